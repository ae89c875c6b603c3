//! The catalog's objects in words.

use crate::accounts::object;
use crate::catalog::{Catalog, Kind, ObjectKey};
use crate::error::Result;
use crate::mailbox::{Pager, decode_chunk, decode_header};
use crate::sys::disk::{Disk, RealDisk};
use crate::txn::checkpoint::decode_store_row;
use crate::types::AccountId;
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;

const CACHE_BYTES: u64 = 8 << 20;

/// One object of the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    pub key: String,
    pub as_of: u64,
    pub bytes: usize,
    pub what: String,
}

/// The objects of the catalog in `dir`. It is opened, and so written to: give it a copy.
pub fn catalog(dir: &Path, account: Option<AccountId>, out: &mut dyn FnMut(Row) -> Result<()>) -> Result<()> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let catalog = Arc::new(Catalog::open(&disk, dir, CACHE_BYTES)?);
    let mark = match catalog.mark() {
        Ok(Some(mark)) => format!("up to lsn {}, clean: {}, boot {}", mark.lsn, mark.clean, mark.boot_id),
        Ok(None) => "none".to_owned(),
        Err(error) => format!("BROKEN: {error}"),
    };
    out(Row { key: "mark".into(), as_of: 0, bytes: 0, what: mark })?;
    let pager = Pager::new(catalog.clone(), CACHE_BYTES);
    for kind in [Kind::Store, Kind::Account, Kind::Mailbox, Kind::Chunk, Kind::DeliveryKeys] {
        let mut refused = Ok(());
        let scanned = catalog.scan_kind(kind, &mut |key, object| {
            if account.is_some() && owner(&key) != account {
                return Ok(());
            }
            let what = words(&key, &object.bytes, &pager).unwrap_or_else(|error| format!("BROKEN: {error}"));
            let row = Row { key: format!("{key:?}"), as_of: object.as_of.0, bytes: object.bytes.len(), what };
            refused = out(row);
            if refused.is_ok() { Ok(()) } else { Err(crate::error::Error::Interrupted) }
        });
        refused?;
        if let Err(error) = scanned {
            out(Row { key: format!("{kind:?}"), as_of: 0, bytes: 0, what: format!("BROKEN: {error}") })?;
        }
    }
    Ok(())
}

fn owner(key: &ObjectKey) -> Option<AccountId> {
    match key {
        ObjectKey::Store => None,
        ObjectKey::Account(id)
        | ObjectKey::Mailbox(id, _)
        | ObjectKey::Chunk(id, _, _)
        | ObjectKey::DeliveryKeys(id, _) => Some(*id),
    }
}

fn words(key: &ObjectKey, bytes: &[u8], pager: &Arc<Pager>) -> Result<String> {
    Ok(match key {
        ObjectKey::Store => {
            let (numbers, changed, lost) = decode_store_row(bytes)?;
            format!(
                "next account {}, next message {}, last uidvalidity {}, {} rows changed since the last snapshot, {} holes not mended",
                numbers.next_account,
                numbers.next_message,
                numbers.last_uid_validity,
                changed.len(),
                lost.holes.len()
            )
        }
        ObjectKey::Account(_) => {
            let object::AccountObject { account, mailboxes } = object::decode(bytes)?;
            format!(
                "{:?}, modseq {}, next email {}, next mailbox {}, lsn {}, {} mailboxes",
                account.name,
                account.modseq,
                account.next_email,
                account.next_mailbox,
                account.last_lsn,
                mailboxes.len()
            )
        }
        ObjectKey::Mailbox(..) => {
            let header = decode_header(bytes, pager)?.header;
            format!(
                "{:?}, uidvalidity {}, uidnext {}, modseq {}, {} messages, {} unseen, {} bytes, {} keywords, lsn {}",
                header.name,
                header.uid_validity,
                header.uid_next,
                header.highest_modseq,
                header.exists,
                header.unseen,
                header.size_bytes,
                header.keywords.len(),
                header.changed_lsn
            )
        }
        ObjectKey::Chunk(..) => {
            let chunk = decode_chunk(bytes)?;
            let Some(last) = chunk.len().checked_sub(1) else { return Ok("no rows".to_owned()) };
            format!(
                "{} rows, uid {}..{}, modseq up to {}",
                chunk.len(),
                chunk.uid(0),
                chunk.uid(last),
                chunk.max_modseq()
            )
        }
        ObjectKey::DeliveryKeys(..) => "deliveries of a day".to_owned(),
    })
}
