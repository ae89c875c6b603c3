//! A message as it is served: the trace header written for its recipient, then the stored bytes.

use super::Store;
use crate::error::{Error, Result};
use crate::log::StoredMessage;
use crate::mailbox::Row;
use crate::types::{AccountId, MailboxId};
use std::ops::Range;
use std::sync::Arc;

/// One message of a mailbox, open for reading. It pins nothing: when its segment is compacted away
/// the bytes are read from their new place.
pub struct Email {
    prefix: Arc<[u8]>,
    stored: StoredMessage,
}

impl Store {
    /// Opens a row's message.
    pub fn email(&self, row: &Row) -> Result<Email> {
        Ok(Email { prefix: row.prefix.clone(), stored: self.core().log.read(row.message)? })
    }

    /// Why a row's message could not be read: of one that the mailbox still has nothing may be missing, so it is damaged;
    /// any other was expunged meanwhile.
    #[must_use]
    pub fn why_unread(&self, account: AccountId, mailbox: MailboxId, row: &Row, error: Error) -> Error {
        let named = || self.mailbox(account, mailbox)?.by_uid(row.uid);
        match error {
            Error::NoSuchMessage if matches!(named(), Ok(Some(now)) if now.message == row.message) => {
                Error::Damaged { message: row.message, what: "it is nowhere in the log".to_owned() }
            }
            error => error,
        }
    }
}

impl Email {
    /// RFC822.SIZE.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.prefix.len() as u64 + self.stored.size_bytes()
    }

    /// The bytes of a range; what lies past the end is left out.
    pub fn read_range(&self, range: Range<u64>) -> Result<Vec<u8>> {
        let prefix_bytes = self.prefix.len() as u64;
        let end = range.end.min(self.size_bytes());
        let start = range.start.min(end);
        let mut bytes = Vec::new();
        if start < prefix_bytes {
            // Both bounds are at most the prefix's length.
            let (from, to) = (start as usize, end.min(prefix_bytes) as usize);
            bytes.extend_from_slice(self.prefix.get(from..to).unwrap_or_default());
        }
        if end > prefix_bytes {
            let from = start.saturating_sub(prefix_bytes);
            let stored = self.stored.read_range(from..end - prefix_bytes)?;
            if bytes.is_empty() {
                return Ok(stored);
            }
            bytes.extend_from_slice(&stored);
        }
        Ok(bytes)
    }

    pub fn read_all(&self) -> Result<Vec<u8>> {
        self.read_range(0..self.size_bytes())
    }

    /// The header with the empty line that ends it.
    pub fn header(&self) -> Result<Vec<u8>> {
        self.read_range(0..self.prefix.len() as u64 + self.stored.header_len_bytes())
    }

    /// Reads everything and compares it with the digest made when it was stored.
    pub fn verify(&self) -> Result<()> {
        self.stored.verify()
    }
}
