//! What a check found, in the terms of the store: what repair plans from.

use crate::types::{AccountId, Lsn, MailboxId, MessageNo, SegmentId, UidSet};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub struct Evidence {
    /// Rows whose message cannot be proved.
    pub lost: BTreeMap<(AccountId, MailboxId), UidSet>,
    /// Accounts of which readers see, or the catalog holds, something wrong; and what.
    pub accounts: BTreeMap<AccountId, String>,
    /// The catalog as a whole cannot be read through.
    pub catalog: Option<String>,
    /// Accounts whose remembered deliveries are not those of the log.
    pub deliveries: BTreeSet<AccountId>,
    pub text: BTreeMap<AccountId, String>,
    pub summaries: BTreeMap<AccountId, String>,
    /// Segments with bytes that do not fit; and what.
    pub segments: BTreeMap<SegmentId, String>,
    /// Messages that the log's own check says are damaged.
    pub bad_messages: BTreeSet<MessageNo>,
    /// Snapshot runs that count and cannot be read; and why.
    pub runs: BTreeMap<String, String>,
    /// Lost transactions that a view has.
    pub covered: Vec<(Lsn, Lsn)>,
    pub unknown_files: Vec<String>,
    /// FORMAT, MANIFEST or their copies that are not as they should be; and what.
    pub listing: Vec<(String, String)>,
}
