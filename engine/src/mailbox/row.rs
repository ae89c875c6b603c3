//! One message in one mailbox, as a value.

use super::flags::RowFlags;
use crate::types::{EmailId, MessageNo, ModSeq, ThreadId, Uid, ZonedTime};
use std::sync::Arc;

/// The longest trace header written for a recipient.
pub const MAX_PREFIX_BYTES: usize = 4096;

/// A message of a mailbox. Rows live packed in chunks; this is one taken out, or one to be put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub uid: Uid,
    pub modseq: ModSeq,
    pub message: MessageNo,
    pub email: EmailId,
    pub thread: ThreadId,
    /// RFC822.SIZE: prefix and stored message together.
    pub size_bytes: u32,
    /// INTERNALDATE.
    pub internal_date: ZonedTime,
    /// SAVEDATE (RFC 8514), seconds since 1970.
    pub save_date_s: i64,
    /// The Date header, where it has one that can be read.
    pub sent: Option<ZonedTime>,
    pub flags: RowFlags,
    /// The trace header written for this recipient; what is served is this, then the message.
    pub prefix: Arc<[u8]>,
}
