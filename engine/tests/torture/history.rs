//! What was ever told: numbers that are given once, and counters that never fall, over all lives.

use super::world::{Account, World, mark};
use std::collections::BTreeMap;

/// Account, mailbox name, UIDVALIDITY.
type Place = (u32, String, u32);

#[derive(Debug, Default)]
pub struct History {
    /// What a UID meant when it was told.
    uids: BTreeMap<(Place, u32), u64>,
    /// UIDNEXT and highest modseq.
    counters: BTreeMap<Place, (u32, u64)>,
    /// The highest UIDVALIDITY a name had.
    validities: BTreeMap<(u32, String), u32>,
    /// Modseq and next EmailId of an account.
    accounts: BTreeMap<u32, (u64, u32)>,
    /// Bytes by MessageNo, and by account and EmailId.
    messages: BTreeMap<u64, u64>,
    emails: BTreeMap<(u32, u32), u64>,
    names: BTreeMap<u32, String>,
}

impl History {
    /// Takes in what the store says now. An error names what was used twice or fell.
    pub fn observe(&mut self, world: &World) -> Result<(), String> {
        world.accounts.iter().try_for_each(|(name, account)| self.account(name, account))
    }

    fn account(&mut self, name: &str, account: &Account) -> Result<(), String> {
        let id = account.id.unwrap_or_default();
        if self.names.entry(id).or_insert_with(|| name.to_owned()) != name {
            return Err(format!("account {id} was {}, now it is {name}", self.names[&id]));
        }
        let (modseq, next_email) = self.accounts.entry(id).or_default();
        if account.modseq < *modseq || account.next_email < *next_email {
            return Err(format!("counters of {name} fell: {} {}", account.modseq, account.next_email));
        }
        (*modseq, *next_email) = (account.modseq, account.next_email);
        for (mailbox_name, mailbox) in &account.mailboxes {
            let validity = mailbox.uid_validity.unwrap_or_default();
            let highest = self.validities.entry((id, mailbox_name.clone())).or_default();
            if validity < *highest {
                return Err(format!("UIDVALIDITY of {mailbox_name} fell from {highest} to {validity}"));
            }
            *highest = validity;
            let place = (id, mailbox_name.clone(), validity);
            let (uid_next, modseq) = self.counters.entry(place.clone()).or_default();
            if mailbox.uid_next < *uid_next || mailbox.modseq < *modseq {
                return Err(format!(
                    "UIDNEXT, modseq of {mailbox_name} fell from {uid_next}, {modseq} to {}, {}",
                    mailbox.uid_next, mailbox.modseq
                ));
            }
            (*uid_next, *modseq) = (mailbox.uid_next, mailbox.modseq);
            for message in &mailbox.messages {
                self.message(id, &place, message)?;
            }
        }
        Ok(())
    }

    /// Takes in what was told of one message, though it may be gone before anybody looks again.
    pub fn told(
        &mut self,
        id: u32,
        mailbox: (&str, u32),
        message: &super::world::Message,
    ) -> Result<(), String> {
        let place = (id, mailbox.0.to_owned(), mailbox.1);
        let (uid_next, _) = self.counters.entry(place.clone()).or_default();
        *uid_next = (*uid_next).max(message.uid + 1);
        self.message(id, &place, message)
    }

    fn message(&mut self, id: u32, place: &Place, message: &super::world::Message) -> Result<(), String> {
        let Some(facts) = &message.facts else { return Ok(()) };
        let served = mark(message.text.as_bytes());
        let same = *self.uids.entry((place.clone(), message.uid)).or_insert(served) == served
            && *self.messages.entry(facts.number).or_insert(facts.stored) == facts.stored
            && *self.emails.entry((id, facts.email)).or_insert(facts.stored) == facts.stored;
        let above = self.counters.get(place).is_some_and(|(uid_next, _)| message.uid < *uid_next);
        if same && above {
            return Ok(());
        }
        Err(format!("a number was used twice: UID {} of {place:?}, {facts:?}", message.uid))
    }
}
