//! Each row against the bytes of its message.
//!
//! Laws
//! - A row is lost when its message has no place, or cannot be read from it.
//! - Deep: size, thread and date of a row are those of its message's header. What the log's own check read
//!   and proved is not read again whole.

use super::{Check, Kind, of_mailbox};
use crate::accounts::Account;
use crate::error::{Error, Result};
use crate::mailbox::{Chunk, Mailbox};
use crate::types::{MessageNo, Uid};
use crate::work::Unit;
use roaring::RoaringTreemap;

impl Check<'_, '_> {
    pub(super) fn rows(&mut self, account: &Account) -> Result<()> {
        // A message in several mailboxes is proved once.
        let mut lost = RoaringTreemap::new();
        let mut proved = RoaringTreemap::new();
        let total = account.messages();
        let mut done = 0;
        for mailbox in account.mailboxes() {
            for chunk in mailbox.chunks(Uid(0), Uid(u32::MAX)) {
                self.work.step("comparing messages with their rows", done, total, Unit::Messages)?;
                // What cannot be loaded was found by the recount.
                let Ok(chunk) = chunk else { continue };
                for i in 0..chunk.len() {
                    self.row(account, mailbox, &chunk, i, &mut lost, &mut proved);
                }
                done += chunk.len() as u64;
            }
        }
        Ok(())
    }

    fn row(
        &mut self,
        account: &Account,
        mailbox: &Mailbox,
        chunk: &Chunk,
        i: usize,
        lost: &mut RoaringTreemap,
        proved: &mut RoaringTreemap,
    ) {
        let (uid, message) = (chunk.uid(i), chunk.message(i));
        let why = if lost.contains(message.0) {
            Some("it cannot be read".to_owned())
        } else {
            self.why_lost(message, proved).map(|error| error.to_string())
        };
        let object = || of_mailbox(account, mailbox);
        if let Some(why) = why {
            lost.insert(message.0);
            self.add(Kind::LostMessage, &object(), &format!("UID {uid}: {why}"));
            self.evidence.lost.entry((account.id, mailbox.header.id)).or_default().insert_uid(uid);
            return;
        }
        if self.deep
            && let Some(what) = self.wrong_facts(chunk, i)
        {
            self.add(Kind::RowFacts, &object(), &format!("UID {uid}: {what}"));
        }
    }

    /// Why the message cannot be proved, if it cannot.
    fn why_lost(&self, message: MessageNo, proved: &mut RoaringTreemap) -> Option<Error> {
        let log = &self.store.core().log;
        if !log.contains(message) {
            return Some(Error::Damaged { message, what: "it is nowhere in the log".to_owned() });
        }
        if proved.contains(message.0) || !self.is_doubtful(message) {
            return None;
        }
        let verified = log.read(message).and_then(|stored| stored.verify());
        if verified.is_ok() {
            proved.insert(message.0);
        }
        verified.err()
    }

    /// Whether the log's own check has not proved it.
    fn is_doubtful(&self, message: MessageNo) -> bool {
        if self.evidence.bad_messages.contains(&message) {
            return true;
        }
        let hurt = &self.evidence.segments;
        let log = &self.store.core().log;
        !hurt.is_empty() && log.places_of(message).iter().any(|segment| hurt.contains_key(segment))
    }

    /// What the row says of its message that is not so.
    fn wrong_facts(&mut self, chunk: &Chunk, i: usize) -> Option<String> {
        let facts = (|| {
            let stored = self.store.core().log.read(chunk.message(i))?;
            let header = stored.read_range(0..stored.header_len_bytes())?;
            Ok::<_, Error>((self.store.facts_of_header(&header, &stored.digest()), stored.size_bytes()))
        })();
        let (facts, stored_bytes) = match facts {
            Ok(facts) => facts,
            Err(error) => return Some(error.to_string()),
        };
        let served_bytes = stored_bytes + chunk.prefix(i).len() as u64;
        if served_bytes != u64::from(chunk.size_bytes(i)) {
            return Some(format!("it has {served_bytes} bytes, its row says {}", chunk.size_bytes(i)));
        }
        if facts.thread != chunk.thread(i) {
            return Some("its row names another thread than its header".to_owned());
        }
        (facts.sent != chunk.sent(i)).then(|| "its row has another date than its header".to_owned())
    }
}
