//! What the log's files say, record by record, for people who look into a store.
//!
//! Laws
//! - Nothing is written, recovered or locked, and no manifest is asked: a damaged store is read as far as its bytes go.
//! - What cannot be read is given out as broken, with its place, and reading goes on behind it.
//! - A message's bytes are not given out, only what its record says of it.

use super::footer::Footer;
use super::group::HEADER_BYTES as GROUP_BYTES;
use super::manifest;
use super::salvage::{self, ColdStep};
use super::segment::{self, HEADER_BYTES, Header, SegmentKind};
use super::walk::{self, Depth, Expect, Item, Reader, Step};
use crate::error::{Error, Result};
use crate::sys::disk::{Disk, File};
use crate::types::{AccountId, Lsn, MessageNo, SegmentId};
use std::path::Path;
use std::sync::Arc;

const KINDS: [SegmentKind; 3] = [SegmentKind::Log, SegmentKind::Cold, SegmentKind::Body];

/// One thing found in a segment, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub segment: SegmentId,
    pub offset: u64,
    pub what: Dumped,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dumped {
    Segment {
        kind: &'static str,
        bytes: u64,
        epoch: u32,
        created_ms: u64,
        /// `None`: it is intact.
        footer: Option<String>,
    },
    Group {
        lsn: Lsn,
        prev_lsn: Lsn,
        durable_lsn: Lsn,
        epoch: u32,
        time_ms: u64,
        records: u32,
        bytes: u64,
    },
    Message {
        message: MessageNo,
        accounts: Vec<AccountId>,
        size_bytes: u64,
        stored_bytes: u64,
        blocks: usize,
        digest: [u8; 32],
        /// Each block matches its checksum.
        whole: bool,
    },
    /// Its bytes lie in a body segment.
    Body {
        message: MessageNo,
        accounts: Vec<AccountId>,
        size_bytes: u64,
        stored_bytes: u64,
        digest: [u8; 32],
        segment: SegmentId,
        at: u64,
    },
    Txn {
        account: Option<AccountId>,
        prev_lsn: Lsn,
        payload: Vec<u8>,
    },
    Relocate {
        cold: SegmentId,
        replaces: Vec<SegmentId>,
        left_out: Vec<MessageNo>,
    },
    Broken {
        why: String,
    },
}

/// Takes what was found; `false` in it ends the dump.
pub type OnFound<'a> = dyn FnMut(Found) -> Result<()> + 'a;

/// Reads the segments of a store's folder, those of one number when it is given, group by group.
pub fn dump_segments(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    only: Option<SegmentId>,
    found: &mut OnFound<'_>,
) -> Result<()> {
    let mut segments = Vec::new();
    for kind in KINDS {
        let names = disk.list(&dir.join(kind.folder())).map_err(|e| Error::io("listing the store", e))?;
        let ids = names.iter().filter_map(|name| name.strip_suffix(".seg")?.parse().ok()).map(SegmentId);
        segments.extend(ids.filter(|id| only.is_none_or(|only| only == *id)).map(|id| (id, kind)));
    }
    segments.sort_by_key(|(id, _)| *id);
    for (id, kind) in segments {
        let path = segment::path(dir, kind, id);
        let opened = disk.open(&path).map_err(|e| Error::io(format!("opening {}", path.display()), e));
        let dumped = opened.and_then(|file| dump_segment(&Arc::from(file), id, kind, found));
        if let Err(error @ (Error::Io { .. } | Error::Corrupt { .. })) = dumped {
            found(Found { segment: id, offset: 0, what: Dumped::Broken { why: error.to_string() } })?;
        } else {
            dumped?;
        }
    }
    Ok(())
}

fn dump_segment(
    file: &Arc<dyn File>,
    id: SegmentId,
    kind: SegmentKind,
    found: &mut OnFound<'_>,
) -> Result<()> {
    let bytes = file.len_bytes().map_err(|e| Error::io("reading a segment", e))?;
    let mut head = [0; HEADER_BYTES];
    file.read_exact_at(&mut head, 0).map_err(|e| Error::io("reading a segment's header", e))?;
    let header = Header::decode(&head)?;
    let footer = match kind {
        SegmentKind::Body => Err(Error::corrupt("it", "body segments have none")),
        SegmentKind::Log | SegmentKind::Cold => Footer::read(&**file, header.store_id, id),
    };
    let what = Dumped::Segment {
        kind: kind.folder(),
        bytes,
        epoch: header.epoch,
        created_ms: header.created_ms,
        footer: footer.as_ref().err().map(ToString::to_string),
    };
    found(Found { segment: id, offset: 0, what })?;
    let mut reader = Reader::new(Arc::clone(file), footer.as_ref().map_or(bytes, |f| f.content_end));
    let expect = Expect { store_id: header.store_id, segment: id };
    match kind {
        SegmentKind::Log => dump_groups(&mut reader, expect, found),
        SegmentKind::Cold => {
            let end = reader.end();
            salvage::cold_records(&mut reader, end, footer.ok().as_ref(), &mut |reader, step| match step {
                ColdStep::Record(item) => dump_item(reader, id, 0, *item, found),
                ColdStep::Lost(offset, message) => {
                    let of = message.map_or_else(String::new, |message| format!(" of message {message}"));
                    let what = Dumped::Broken { why: format!("the record{of} cannot be read") };
                    found(Found { segment: id, offset, what })
                }
            })
        }
        // Its bytes are named by Body records elsewhere.
        SegmentKind::Body => Ok(()),
    }
}

fn dump_groups(reader: &mut Reader, expect: Expect, found: &mut OnFound<'_>) -> Result<()> {
    // What was allocated and not written yet is no group.
    let end = walk::content_end(reader, HEADER_BYTES as u64)?;
    let mut at = HEADER_BYTES as u64;
    while at < end {
        match walk::step(reader, expect, at, Depth::Records)? {
            Step::End => return Ok(()),
            Step::Whole(group) => {
                let h = group.header;
                let bytes = h.whole_len();
                let what = Dumped::Group {
                    lsn: h.lsn,
                    prev_lsn: h.prev_lsn,
                    durable_lsn: h.durable_lsn,
                    epoch: h.epoch,
                    time_ms: h.time_ms,
                    records: h.records,
                    bytes,
                };
                found(Found { segment: expect.segment, offset: at, what })?;
                for item in group.items {
                    dump_item(reader, expect.segment, at + GROUP_BYTES as u64, item, found)?;
                }
                at += bytes;
            }
            Step::Broken { why, .. } => {
                let what = Dumped::Broken { why: why.to_string() };
                found(Found { segment: expect.segment, offset: at, what })?;
                match walk::next_header(reader, expect, at + 1)? {
                    Some(next) => at = next,
                    None => return Ok(()),
                }
            }
        }
    }
    Ok(())
}

fn dump_item(
    reader: &mut Reader,
    segment: SegmentId,
    at: u64,
    item: Item,
    found: &mut OnFound<'_>,
) -> Result<()> {
    let (offset, what) = match item {
        Item::Message { head, offset, stored_bytes } => {
            let blocks_at = u64::from(offset) + head.covered_len() as u64;
            let whole = walk::is_whole(reader, &head, blocks_at, Depth::Blocks).unwrap_or(false);
            let what = Dumped::Message {
                message: head.message,
                size_bytes: head.size_bytes,
                stored_bytes: u64::from(stored_bytes),
                blocks: head.table.len(),
                digest: head.digest,
                accounts: head.accounts,
                whole,
            };
            (u64::from(offset), what)
        }
        Item::Body { body, offset } => {
            let what = Dumped::Body {
                message: body.message,
                size_bytes: body.size_bytes,
                stored_bytes: u64::from(body.stored_bytes),
                digest: body.digest,
                segment: body.segment,
                at: u64::from(body.offset),
                accounts: body.accounts,
            };
            (u64::from(offset), what)
        }
        Item::Txn { account, prev, payload } => (at, Dumped::Txn { account, prev_lsn: prev, payload }),
        Item::Relocate(r) => {
            (at, Dumped::Relocate { cold: r.cold, replaces: r.replaces, left_out: r.left_out })
        }
    };
    found(Found { segment, offset, what })
}

/// FORMAT and MANIFEST as (name, value) lines.
pub fn dump_manifest(disk: &Arc<dyn Disk>, dir: &Path) -> Result<Vec<(String, String)>> {
    let mut out = Vec::new();
    let mut line = |name: String, value: String| out.push((name, value));
    match manifest::load_format(&**disk, dir) {
        Ok(format) => {
            let store_id = format.store_id.map_or_else(|| "missing".to_owned(), |id| hex(&id));
            line("format.store_id".into(), store_id);
            format.faults.into_iter().for_each(|fault| line("format.fault".into(), fault));
        }
        Err(error) => line("format".into(), format!("broken: {error}")),
    }
    let m = match manifest::load(&**disk, dir, None) {
        Ok(loaded) => {
            loaded.faults.into_iter().for_each(|fault| line("manifest.fault".into(), fault));
            match loaded.manifest {
                Some(manifest) => manifest,
                None => {
                    line("manifest".into(), "missing".into());
                    return Ok(out);
                }
            }
        }
        Err(error) => {
            line("manifest".into(), format!("broken: {error}"));
            return Ok(out);
        }
    };
    line("version".into(), m.version.to_string());
    line("store_id".into(), hex(&m.store_id));
    line("epoch".into(), m.epoch.to_string());
    line("clean".into(), m.clean.to_string());
    line("boot_id".into(), m.boot_id.clone());
    line("durable_lsn".into(), m.durable_lsn.to_string());
    line("highest_message".into(), m.highest_message.to_string());
    line("time_ms".into(), m.time_ms.to_string());
    line("next_segment".into(), m.next_segment.to_string());
    for (id, s) in &m.segments {
        let value = format!(
            "{} {:?} {} bytes, lsn {}..{} after {}, {} messages",
            s.kind.folder(),
            s.state,
            s.bytes,
            s.first_lsn,
            s.last_lsn,
            s.prev_lsn,
            s.messages
        );
        line(format!("segment.{id}"), value.to_lowercase());
    }
    for (id, d) in &m.doomed {
        line(format!("dropped.{id}"), format!("{} until {} ms", d.kind.folder(), d.not_before_ms));
    }
    for (name, set) in [("current", &m.current_runs), ("previous", &m.previous_runs)] {
        line(format!("runs.{name}.as_of"), set.as_of.to_string());
        for run in &set.runs {
            let value = format!("as of {}, {} bytes, {} objects", run.as_of_lsn, run.bytes, run.objects);
            line(format!("runs.{name}.{}", run.file), value);
        }
    }
    for (damage, at) in m.damage.iter().zip(1..) {
        let value = format!(
            "segment {}, lsn {}..{}, {} accounts, {} messages: {}",
            damage.segment,
            damage.first_lsn,
            damage.last_lsn,
            damage.accounts.len(),
            damage.messages.len(),
            damage.what
        );
        line(format!("damage.{at}"), value);
    }
    Ok(out)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
