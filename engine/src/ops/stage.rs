//! What appends, deliveries and copies have in common: names of flags become numbers of a mailbox,
//! and a staged message becomes a row.

use super::Store;
use super::store::Inner;
use crate::error::{Error, Result};
use crate::log::StagedMessage;
use crate::mailbox::{FlagId, Keywords, Mailbox};
use crate::mime;
use crate::txn::op::Op;
use crate::types::{MailboxId, ThreadId, ZonedTime};

/// Gives flags their numbers in one mailbox, noting the keywords that are new there.
pub struct FlagNumbers {
    mailbox: MailboxId,
    keywords: Keywords,
    pub new: Vec<Op>,
}

impl FlagNumbers {
    #[must_use]
    pub fn of(mailbox: &Mailbox) -> Self {
        Self { mailbox: mailbox.header.id, keywords: mailbox.header.keywords.clone(), new: Vec::new() }
    }

    /// The number of a flag; a keyword not yet known gets one.
    pub fn give(&mut self, name: &str) -> Result<FlagId> {
        if let Some(known) = self.keywords.id(name) {
            return Ok(known);
        }
        let flag = self.keywords.add(name).ok_or_else(|| {
            if crate::mailbox::is_keyword(name) {
                Error::Limit(format!("a mailbox has at most {} keywords", crate::mailbox::MAX_KEYWORDS))
            } else {
                Error::InvalidName(format!("{name} is not a flag"))
            }
        })?;
        self.new.push(Op::Keyword { mailbox: self.mailbox, flag, name: name.to_owned() });
        Ok(flag)
    }

    pub fn give_all<'n>(&mut self, names: impl IntoIterator<Item = &'n str>) -> Result<Vec<FlagId>> {
        names.into_iter().map(|name| self.give(name)).collect()
    }
}

/// What a row says of a message's header.
#[derive(Debug, Clone, Copy)]
pub struct HeaderFacts {
    pub thread: ThreadId,
    pub sent: Option<ZonedTime>,
}

impl Store {
    /// What a row has to say of a stored message with that header.
    pub(crate) fn facts_of_header(&self, header: &[u8], digest: &[u8; 32]) -> HeaderFacts {
        self.inner.facts_of(header, digest)
    }
}

impl Inner {
    /// ThreadId and date of a message. A message that names no other and has no Message-ID is a
    /// thread of its own.
    pub fn header_facts(&self, message: &StagedMessage) -> HeaderFacts {
        self.facts_of(message.header(), &message.digest)
    }

    fn facts_of(&self, header: &[u8], digest: &[u8; 32]) -> HeaderFacts {
        let mut hasher = blake3::Hasher::new_keyed(&self.thread_key);
        match mime::thread::root_reference(header) {
            Some(root) => hasher.update(root.as_ref()),
            None => hasher.update(digest),
        };
        let mut thread = [0; 8];
        thread.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        HeaderFacts { thread: ThreadId(u64::from_le_bytes(thread)), sent: mime::thread::sent(header) }
    }

    /// The size of a message as it will be served, if it may be stored.
    pub fn served_size(&self, message: &StagedMessage, prefix_bytes: usize) -> Result<u32> {
        let size = message.size_bytes.saturating_add(prefix_bytes as u64);
        if size > self.options.max_message_bytes.saturating_add(crate::mailbox::MAX_PREFIX_BYTES as u64) {
            let limit = self.options.max_message_bytes;
            return Err(Error::Limit(format!("a message has at most {limit} bytes")));
        }
        u32::try_from(size).map_err(|_| Error::Limit("a message has less than 4 GiB".into()))
    }
}
