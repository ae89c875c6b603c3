//! What a store's files hold, in words, for people who look into one.
//!
//! Laws
//! - Read-only, without the lock and without recovery: it works beside a server, and on a store that does not open.
//! - No text of a message and no password hash is in it. Names, flags and numbers are.
//! - What is broken is said where it stands; the rest is shown.

mod catalog;
mod words;

pub use catalog::catalog;

use crate::error::Result;
use crate::log::dump::{Dumped, Found, dump_segments};
use crate::sys::disk::{Disk, RealDisk};
use crate::txn::op::{self, Op};
use crate::types::{AccountId, Lsn, MessageNo, SegmentId};
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;

/// What of the log is wanted; all of it by default.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    pub segment: Option<SegmentId>,
    pub from: Option<Lsn>,
    pub to: Option<Lsn>,
    /// Transactions and messages of this account.
    pub account: Option<AccountId>,
    /// This message, and the transactions that name it.
    pub message: Option<MessageNo>,
    /// The bytes of transactions too, in hexadecimal; of those that set a password never.
    pub bytes: bool,
}

/// One line of a dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    pub segment: u32,
    pub offset: u64,
    /// segment, group, message, body, txn, relocate or broken
    pub kind: &'static str,
    /// Of the group that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lsn: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<u64>,
    pub what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<String>,
}

/// The log, record by record.
pub fn log(dir: &Path, wanted: &Wanted, out: &mut dyn FnMut(Line) -> Result<()>) -> Result<()> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let mut lsn = None;
    dump_segments(&disk, dir, wanted.segment, &mut |found| {
        match &found.what {
            Dumped::Segment { .. } => lsn = None,
            Dumped::Group { lsn: this, .. } => lsn = Some(*this),
            _ => {}
        }
        if wanted.lets(lsn, &found) { out(line(&found, lsn, wanted)) } else { Ok(()) }
    })
}

/// FORMAT and MANIFEST, as (name, value).
pub fn manifest(dir: &Path) -> Result<Vec<(String, String)>> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    crate::log::dump::dump_manifest(&disk, dir)
}

impl Wanted {
    fn lets(&self, lsn: Option<Lsn>, found: &Found) -> bool {
        let in_range = lsn
            .is_none_or(|lsn| self.from.is_none_or(|from| lsn >= from) && self.to.is_none_or(|to| lsn <= to));
        let is_ranged = self.from.is_some() || self.to.is_some();
        in_range
            && match &found.what {
                Dumped::Broken { .. } => true,
                Dumped::Segment { .. } => self.message.is_none(),
                Dumped::Group { .. } => self.message.is_none() && self.account.is_none(),
                Dumped::Relocate { .. } => self.message.is_none() && self.account.is_none(),
                Dumped::Message { message, accounts, .. } | Dumped::Body { message, accounts, .. } => {
                    (lsn.is_some() || !is_ranged)
                        && self.message.is_none_or(|wanted| wanted == *message)
                        && self.account.is_none_or(|wanted| accounts.contains(&wanted))
                }
                Dumped::Txn { account, payload, .. } => {
                    self.account.is_none_or(|wanted| *account == Some(wanted))
                        && self.message.is_none_or(|wanted| names(payload, wanted))
                }
            }
    }
}

/// Whether a transaction appends that message somewhere.
fn names(payload: &[u8], wanted: MessageNo) -> bool {
    let is_it = |op: &Op| matches!(op, Op::Append { row, .. } if row.message == wanted);
    op::decode(payload).is_ok_and(|ops| ops.iter().any(is_it))
}

fn line(found: &Found, lsn: Option<Lsn>, wanted: &Wanted) -> Line {
    let (kind, what) = words::of(&found.what, wanted.message);
    let (mut account, mut message, mut bytes) = (None, None, None);
    match &found.what {
        Dumped::Message { message: no, .. } | Dumped::Body { message: no, .. } => message = Some(no.0),
        Dumped::Txn { account: of, payload, .. } => {
            account = of.map(|id| id.0);
            bytes = wanted.bytes.then(|| words::bytes_of(payload));
        }
        _ => {}
    }
    let lsn = lsn.map(|lsn| lsn.0);
    Line { segment: found.segment.0, offset: found.offset, kind, lsn, account, message, what, bytes }
}
