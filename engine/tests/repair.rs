//! Whatever rots among the files of a store: it opens, serves no wrong byte, and is repaired. What is not hit
//! stays as it was, what is lost is said, and repaired once is repaired for good.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "repair/rot.rs"]
mod rot;
#[path = "repair/stored.rs"]
mod stored;

use common::{Rng, seeds};
use engine::check::{Kind, Severity};
use engine::sys::sim::SimDisk;
use engine::work::Work;
use engine::{Error, Store};
use rot::rot;
use stored::{Message, Stored, filled, open};

/// Plans, repairs, and holds the store to what it promises afterwards.
fn repair(store: &Store, when: &str) -> engine::repair::Repaired {
    let plan = store.repair_plan(&mut Work::quiet()).unwrap_or_else(|e| panic!("{when}: {e}"));
    let done = store.repair(&plan, &mut Work::quiet()).unwrap_or_else(|e| panic!("{when}: {e}\n{plan:#?}"));
    assert!(done.left.is_empty(), "{when}: left: {:#?}\n{plan:#?}", done.left);
    let report = store.check(true).unwrap();
    assert!(report.is_clean(), "{when}: after the repair: {:#?}\n{plan:#?}\n{done:#?}", report.findings);
    let again = store.repair_plan(&mut Work::quiet()).unwrap();
    assert!(again.is_empty(), "{when}: a second plan has {again:#?}\nafter {plan:#?}");
    done
}

/// All that was served is still served, under the same name where the account was not hit.
fn assert_kept(before: &Stored, after: &Stored, when: &str) {
    for (name, account) in &before.accounts {
        let Some(now) = after.accounts.get(name) else { panic!("{when}: account {name} is gone") };
        for (mailbox, (validity, messages)) in &account.mailboxes {
            let Some((validity_now, messages_now)) = now.mailboxes.get(mailbox) else {
                panic!("{when}: {name}'s {mailbox} is gone")
            };
            for (uid, message) in messages {
                let Some(bytes) = &message.bytes else { continue };
                let Some(found) = messages_now.get(uid) else {
                    panic!("{when}: {name} {mailbox} {uid} is gone")
                };
                assert_eq!(found.bytes.as_ref(), Some(bytes), "{when}: {name} {mailbox} {uid}");
                if validity == validity_now {
                    assert_eq!(found, message, "{when}: {name} {mailbox} {uid}");
                }
            }
        }
    }
}

/// Against what was stored: nothing wrong, and what is missing of an account that was not hit was said.
fn assert_honest(whole: &Stored, now: &Stored, hit: &dyn Fn(&str) -> bool, when: &str) {
    for (name, account) in &whole.accounts {
        let Some(found) = now.accounts.get(name) else {
            assert!(hit(name), "{when}: {name} is gone and nobody says so");
            continue;
        };
        for (mailbox, (_, messages)) in &account.mailboxes {
            let Some((_, messages_now)) = found.mailboxes.get(mailbox) else {
                assert!(hit(name), "{when}: {name}'s {mailbox} is gone and nobody says so");
                continue;
            };
            for (uid, message) in messages {
                match messages_now.get(uid) {
                    Some(Message { bytes: Some(bytes), .. }) => {
                        assert_eq!(Some(bytes), message.bytes.as_ref(), "{when}: {name} {mailbox} {uid}");
                    }
                    Some(_) | None if hit(name) => {}
                    Some(_) => {}
                    None => panic!("{when}: {name} {mailbox} {uid} is gone and nobody says so"),
                }
            }
        }
    }
}

#[test]
fn whatever_rots_is_repaired() {
    let mut with_damage = 0;
    let seeds = seeds(200);
    for seed in &seeds {
        let (disk, mut rng) = (SimDisk::new(*seed), Rng::new(*seed));
        let whole = filled(&disk, &mut rng);
        let mut when = format!("seed {seed}");
        for _ in 0..=rng.below(3) {
            when = format!("{when}, {}", rot(&disk, &mut rng));
        }
        let store = match open(&disk) {
            Ok(store) => store,
            Err(error) => panic!("{when}: it does not open: {error}"),
        };
        let report = store.check(true).unwrap();
        let hit = store.recovery().read_only_accounts.clone();
        let names: Vec<String> = store
            .accounts()
            .unwrap()
            .into_iter()
            .filter(|account| hit.contains(&account.id))
            .map(|account| account.name)
            .collect();
        // Then not even names are known.
        let is_everybodys = report.findings.iter().any(|found| found.kind == Kind::LostAccount);
        let is_hit = |name: &str| is_everybodys || names.iter().any(|hit| hit == name);
        let before = Stored::read(&store);
        assert_honest(&whole, &before, &is_hit, &when);
        with_damage += u64::from(report.count(Severity::Damage) > 0);
        repair(&store, &when);
        let after = Stored::read(&store);
        assert_kept(&before, &after, &when);
        drop(store.close());
        drop(store);
        // And so it stays, from what is durable.
        let disk = disk.power_cut();
        let store = open(&disk).unwrap_or_else(|e| panic!("{when}: repaired, it does not open: {e}"));
        assert_eq!(store.recovery().damage, Vec::<String>::new(), "{when}: opened again");
        assert_eq!(Stored::read(&store), after, "{when}: opened again");
        let report = store.check(true).unwrap();
        assert!(report.is_clean(), "{when}: opened again: {:#?}", report.findings);
        store.close().unwrap();
    }
    println!("{with_damage} of {} runs had damage", seeds.len());
    assert!(seeds.len() == 1 || with_damage * 2 > seeds.len() as u64);
}

/// The check of a store that is not there at all, and of one whose account takes no writes.
#[test]
fn an_account_that_is_read_only_says_what_to_do() {
    let error = Error::AccountReadOnly(engine::types::AccountId(3)).to_string();
    assert!(error.contains("mailcask repair"), "{error}");
}
