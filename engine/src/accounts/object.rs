//! The account as bytes, for checkpoint and snapshot. Its mailboxes are objects of their own; only
//! their ids and names stand here. Drawn in `docs/format.md`.

use super::{Account, NameValidity};
use crate::codec::{Decoder, Encoder};
use crate::error::Result;
use crate::types::{AccountId, EmailId, Lsn, MailboxId, ModSeq, UidValidity};
use std::sync::Arc;

const VERSION: u8 = 2;
/// Did not say under which UIDVALIDITY a name gave UIDs: under any it had.
const VERSION_1: u8 = 1;

/// What an account's object says: the account without its mailboxes, and which it has.
pub struct AccountObject {
    pub account: Account,
    pub mailboxes: Vec<MailboxId>,
}

#[must_use]
pub fn encode(account: &Account) -> Vec<u8> {
    let mut e = Encoder::new();
    e.u8(VERSION);
    e.uint(u64::from(account.id.0));
    e.str(&account.name);
    e.str(account.password_hash.as_deref().unwrap_or(""));
    e.uint(account.quota_bytes.map_or(0, |limit| limit.saturating_add(1)));
    e.uint(account.modseq.0);
    e.uint(u64::from(account.next_email.0));
    e.uint(u64::from(account.next_mailbox.0));
    e.uint(account.last_lsn.0);
    e.uint(account.mailboxes.len() as u64);
    account.mailboxes.keys().for_each(|id| e.uint(u64::from(id.0)));
    e.uint(account.subscriptions.len() as u64);
    account.subscriptions.iter().for_each(|name| e.str(name));
    e.uint(account.name_validities.len() as u64);
    for (name, validity) in &account.name_validities {
        e.str(name);
        e.uint(u64::from(validity.last.0));
        e.uint(u64::from(validity.given.0));
    }
    e.into_bytes()
}

pub fn decode(bytes: &[u8]) -> Result<AccountObject> {
    let mut d = Decoder::new(bytes, "an account's row");
    let version = d.u8()?;
    if !matches!(version, VERSION | VERSION_1) {
        return Err(d.bad("its version is unknown"));
    }
    let id = AccountId(d.u32()?);
    let mut account = Account::new(id, d.str()?);
    account.password_hash = Some(d.str()?).filter(|hash| !hash.is_empty()).map(Arc::from);
    account.quota_bytes = d.uint()?.checked_sub(1);
    account.modseq = ModSeq(d.uint()?);
    account.next_email = EmailId(d.u32()?);
    account.next_mailbox = MailboxId(d.u32()?);
    account.last_lsn = Lsn(d.uint()?);
    let count = d.count(1)?;
    let mailboxes = (0..count).map(|_| Ok(MailboxId(d.u32()?))).collect::<Result<_>>()?;
    let count = d.count(1)?;
    account.subscriptions = Arc::new((0..count).map(|_| Ok(d.str()?.to_owned())).collect::<Result<_>>()?);
    for _ in 0..d.count(2)? {
        let name = d.str()?.to_owned();
        let last = UidValidity(d.u32()?);
        let given = if version == VERSION_1 { last } else { UidValidity(d.u32()?) };
        account.name_validities.insert(name, NameValidity { last, given });
    }
    d.finish()?;
    Ok(AccountObject { account, mailboxes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::codec::golden;
    use crate::mailbox::{Header, Mailbox, Pager};

    #[test]
    fn an_account_is_as_drawn() {
        let drawn = golden(include_str!("../../tests/data/format/drawn/account.hex"));
        let pager = Pager::new(Arc::new(Catalog::in_memory()), 1 << 20);
        let mut account = Account::new(AccountId(3), "alice");
        account.password_hash = Some("$argon2id$x".into());
        account.quota_bytes = Some(1000);
        account.modseq = ModSeq(9);
        account.next_email = EmailId(300);
        account.next_mailbox = MailboxId(8);
        account.last_lsn = Lsn(77);
        for id in [MailboxId(1), MailboxId(7)] {
            let header = Header::new(account.id, id, "any", UidValidity(1), ModSeq(1));
            account.mailboxes.insert(id, Arc::new(Mailbox::new(header, pager.clone())));
        }
        account.subscriptions = Arc::new(["Sent", "INBOX"].map(str::to_owned).into());
        let had = |last, given| NameValidity { last: UidValidity(last), given: UidValidity(given) };
        account.name_validities.insert("Old".to_owned(), had(201, 0));
        account.name_validities.insert("INBOX".to_owned(), had(200, 200));
        assert_eq!(encode(&account), drawn);

        let AccountObject { account: again, mailboxes } = decode(&drawn).unwrap();
        assert_eq!(mailboxes, [MailboxId(1), MailboxId(7)]);
        assert_eq!((again.id, &*again.name, again.quota_bytes), (AccountId(3), "alice", Some(1000)));
        assert_eq!(again.password_hash.as_deref(), Some("$argon2id$x"));
        assert_eq!((again.modseq, again.next_email), (ModSeq(9), EmailId(300)));
        assert_eq!((again.next_mailbox, again.last_lsn), (MailboxId(8), Lsn(77)));
        assert_eq!(again.subscriptions, account.subscriptions);
        assert_eq!(again.name_validities, account.name_validities);
    }

    #[test]
    fn version_1_is_read_and_its_names_may_have_given_uids() {
        let account =
            decode(&golden(include_str!("../../tests/data/format/drawn/account-1.hex"))).unwrap().account;
        let had = |last| NameValidity { last: UidValidity(last), given: UidValidity(last) };
        assert_eq!(account.name_validities.get("Old"), Some(&had(201)));
        assert_eq!(account.name_validities.get("INBOX"), Some(&had(200)));
    }

    #[test]
    fn a_cut_or_lengthened_account_is_refused() {
        let drawn = golden(include_str!("../../tests/data/format/drawn/account.hex"));
        assert!((0..drawn.len()).all(|len| decode(&drawn[..len]).is_err()));
        assert!(decode(&[&drawn[..], &[0]].concat()).is_err());
    }
}
