//! What can be proved of a damaged message, as a message of its own.
//!
//! Laws
//! - Every byte of it that came from the damaged one was proved by a checksum.
//! - Where bytes are missing a line says how many, and a header field says where it came from.

use super::recovered::{Incoming, Source};
use crate::error::{Error, Result};
use crate::log::{Orphan, StagedMessage};
use crate::mailbox::{FlagId, MAX_PREFIX_BYTES, Mailbox, Row};
use crate::ops::Store;
use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;

/// So many missing ranges are named in the header field.
const RANGES_MAX: usize = 20;
/// A mailbox's name takes at most so many characters there.
const NAME_MAX: usize = 300;
/// Piece of a whole message that is copied at once.
const COPY_BYTES: u64 = 1 << 20;

/// The message to take in for a row whose message is damaged; `None` when nothing of it is proved.
pub fn recover(store: &Store, mailbox: &Mailbox, row: &Row) -> Result<Option<Incoming>> {
    let remains = match store.core().log.remains(row.message) {
        Ok(remains) => remains,
        Err(Error::NoSuchMessage | Error::Damaged { .. } | Error::Corrupt { .. }) => return Ok(None),
        // Its segment is gone.
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if remains.pieces.iter().all(|(_, bytes)| bytes.is_none()) {
        return Ok(None);
    }
    let mut stager = store.stager();
    if remains.header.is_none() {
        stager.write(b"Subject: (recovered; the header is lost)\r\n\r\n")?;
    }
    for (range, bytes) in &remains.pieces {
        match bytes {
            Some(bytes) => stager.write(bytes)?,
            None => stager.write(missing(range).as_bytes())?,
        }
    }
    let missing: Vec<&Range<u64>> =
        remains.pieces.iter().filter(|(_, bytes)| bytes.is_none()).map(|(range, _)| range).collect();
    let why =
        if missing.is_empty() { "none; the digest does not match".to_owned() } else { ranges(&missing) };
    let prefix = prefix(mailbox, row, remains.size_bytes, &why);
    incoming(store, row, stager.finish()?, prefix).map(Some)
}

/// The message to take in for a row of which the message is whole, and only what named it is lost.
pub fn of_orphan(store: &Store, orphan: &Orphan, mailbox: &Mailbox, row: &Row) -> Result<Incoming> {
    let stored = store.core().log.read_orphan(orphan)?;
    let mut stager = store.stager();
    let mut at = 0;
    while at < stored.size_bytes() {
        let bytes = stored.read_range(at..at + COPY_BYTES)?;
        stager.write(&bytes)?;
        at += bytes.len() as u64;
    }
    let prefix = prefix(mailbox, row, stored.size_bytes(), "none");
    incoming(store, row, stager.finish()?, prefix)
}

fn incoming(store: &Store, row: &Row, message: StagedMessage, prefix: Arc<[u8]>) -> Result<Incoming> {
    let facts = store.facts_of_header(message.header(), &message.digest);
    let size_bytes = u32::try_from(message.size_bytes + prefix.len() as u64)
        .map_err(|_| Error::Limit("a message has less than 4 GiB".to_owned()))?;
    let kept = [FlagId::ANSWERED, FlagId::FLAGGED, FlagId::SEEN, FlagId::DRAFT];
    Ok(Incoming {
        source: Source::Staged(message),
        size_bytes,
        thread: facts.thread,
        sent: facts.sent,
        internal_date: row.internal_date,
        flags: kept.into_iter().filter(|flag| row.flags.contains(*flag)).collect(),
        prefix,
    })
}

fn missing(range: &Range<u64>) -> String {
    format!("\r\n[{} bytes of this message are lost]\r\n", range.end.saturating_sub(range.start))
}

/// Missing ranges, as they stand in the header field.
fn ranges(missing: &[&Range<u64>]) -> String {
    let named = missing.iter().take(RANGES_MAX).map(|range| format!("{}-{}", range.start, range.end));
    let mut said = named.collect::<Vec<_>>().join(",");
    if missing.len() > RANGES_MAX {
        // Writing to a string does not fail.
        let _ = write!(said, " and {} more", missing.len() - RANGES_MAX);
    }
    said
}

/// Where it came from, before the trace header that it had.
fn prefix(mailbox: &Mailbox, row: &Row, size_bytes: u64, missing: &str) -> Arc<[u8]> {
    let header = &mailbox.header;
    let field = format!(
        "X-Mailcask-Recovered: mailbox={};\r\n uidvalidity={}; uid={}; size={size_bytes};\r\n missing={missing}\r\n",
        plain(&header.name),
        header.uid_validity,
        row.uid,
    );
    let mut prefix = field.into_bytes();
    if prefix.len() + row.prefix.len() <= MAX_PREFIX_BYTES {
        prefix.extend_from_slice(&row.prefix);
    }
    prefix.into()
}

/// A name in letters that a header field may have; what is none of them as %XX.
fn plain(name: &str) -> String {
    let mut plain = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(&byte) {
            plain.push(char::from(byte));
        } else {
            let _ = write!(plain, "%{byte:02X}");
        }
    }
    plain.truncate(NAME_MAX);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_breaks_no_header() {
        assert_eq!(plain("Sent/é x\r\n"), "Sent/%C3%A9%20x%0D%0A");
        assert_eq!(plain(&"ä".repeat(1000)).len(), NAME_MAX);
    }
}
