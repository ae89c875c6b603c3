//! Whatever rots among the files of a store: it opens, serves no wrong byte, and is repaired. What is not hit
//! stays as it was, what is lost is said, and repaired once is repaired for good.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "repair/rot.rs"]
mod rot;
#[path = "repair/rows.rs"]
mod rows;
#[path = "repair/stored.rs"]
mod stored;

use common::work::stage;
use common::{Rng, seeds};
use engine::catalog::{Kind as RowKind, Object};
use engine::check::{Kind, Severity};
use engine::ops::{AppendItem, NewAccount};
use engine::sys::disk::Disk;
use engine::sys::sim::{SimDisk, Strike};
use engine::types::AccountId;
use engine::work::Work;
use engine::{Error, Store};
use rot::rot;
use rows::KeptRows;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use stored::{Message, Stored, filled, filled_over, open, open_over};

/// How an operation is struck, and whether the power goes afterwards; else the process is killed. Each one in one of these
/// ways: another seed, another way.
const WAYS: [(Strike, bool); 5] = [
    (Strike::PowerOff, true),
    (Strike::Eio, false),
    (Strike::PowerOff, false),
    (Strike::NoSpace, false),
    (Strike::Eio, true),
];

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

/// The catalog has what the log lost: nothing is lost, nobody is kept from writing, and after the repair the
/// catalog is not needed for it any more.
#[test]
fn what_a_view_has_is_not_lost() {
    for seed in seeds(40) {
        let (disk, rows, mut rng) = (SimDisk::new(seed), KeptRows::default(), Rng::new(seed));
        let whole = filled_over(&disk, &rows, &mut rng);
        let when = format!("seed {seed}, {}, {}", rot(&disk, &mut rng), rot(&disk, &mut rng));
        let store = open_over(&disk, &rows).unwrap_or_else(|e| panic!("{when}: {e}"));
        if store.recovery().catalog_rebuilt.is_none() {
            assert_eq!(store.recovery().read_only_accounts, [], "{when}");
            assert_honest(&whole, &Stored::read(&store), &|_| false, &when);
        }
        let before = Stored::read(&store);
        repair(&store, &when);
        let after = Stored::read(&store);
        assert_kept(&before, &after, &when);
        store.close().unwrap();
        drop(store);
        let store = open(&disk.power_cut()).unwrap_or_else(|e| panic!("{when}: {e}"));
        assert_eq!(Stored::read(&store), after, "{when}: without the catalog");
        store.close().unwrap();
    }
}

/// Rows of the catalog that rot while the store is open are made again from the log.
#[test]
fn a_catalog_that_rots_is_made_again() {
    let mut found = 0;
    for seed in seeds(40) {
        let (disk, rows, mut rng) = (SimDisk::new(seed), KeptRows::default(), Rng::new(seed));
        let whole = filled_over(&disk, &rows, &mut rng);
        let store = open_over(&disk, &rows).unwrap();
        let when = format!("seed {seed}, {}, {}", rows.rot(&mut rng), rows.rot(&mut rng));
        found += u64::from(!store.check(true).unwrap().is_clean());
        repair(&store, &when);
        assert_eq!(Stored::read(&store), whole, "{when}");
        store.close().unwrap();
        drop(store);
        let store = open_over(&disk, &rows).unwrap();
        assert_eq!(store.recovery().catalog_rebuilt, None, "{when}: opened again");
        assert_eq!(Stored::read(&store), whole, "{when}: opened again");
        assert!(store.check(true).unwrap().is_clean(), "{when}: opened again");
        store.close().unwrap();
    }
    assert!(found > 0);
}

/// What an account's row says is compared though the account has changed since it was written.
#[test]
fn the_catalog_of_a_busy_account_is_compared() {
    let (disk, rows) = (SimDisk::new(1), KeptRows::default());
    let store = open_over(&disk, &rows).unwrap();
    let id = store.create_account(&NewAccount { name: "a", ..NewAccount::default() }).unwrap();
    let archive = store.account(id).unwrap().mailbox_named("Archive").unwrap().header.id;
    for number in 0..5 {
        let message = stage(&store, &format!("Subject: {number}\r\n\r\n")).unwrap();
        store.append(id, archive, vec![AppendItem { message, flags: vec![], internal_date: None }]).unwrap();
    }
    store.checkpoint().unwrap();
    append(&store, id, "Subject: later\r\n\r\n").unwrap();
    let catalog = rows.catalog();
    let mut chunks = Vec::new();
    let collect = &mut |key, row: Object| {
        chunks.push((key, row.as_of, None));
        Ok(())
    };
    catalog.scan_kind(RowKind::Chunk, collect).unwrap();
    assert_eq!(chunks.len(), 1);
    catalog.put_all(chunks).unwrap();
    let report = store.check(false).unwrap();
    assert!(report.findings.iter().any(|found| found.kind == Kind::Catalog), "{:#?}", report.findings);
    repair(&store, "a lost chunk");
    store.close().unwrap();
}

/// Each disk operation of a repair is struck: the power goes, it is killed, an I/O error, no space. Run again it ends as it
/// would have.
#[test]
fn a_repair_that_is_cut_off_is_run_again() {
    for seed in seeds(4) {
        let (disk, mut rng) = (SimDisk::new(seed), Rng::new(seed));
        filled(&disk, &mut rng);
        let when = format!("seed {seed}, {}, {}", rot(&disk, &mut rng), rot(&disk, &mut rng));
        // The same damage each time: a power cut of a disk at rest changes nothing.
        let operations = {
            let disk = disk.power_cut();
            let store = open(&disk).unwrap();
            let before = disk.operations();
            repair(&store, &when);
            store.close().unwrap();
            disk.operations() - before
        };
        println!("{when}: {operations} operations");
        for n in 0..operations {
            let (strike, is_cut) = WAYS[(n + seed) as usize % WAYS.len()];
            let end = if is_cut { "power lost" } else { "killed" };
            let when = format!("{when}, operation {n} of {operations}: {strike:?}, then {end}");
            let disk = disk.power_cut();
            let store = open(&disk).unwrap();
            let before = Stored::read(&store);
            disk.strike_operation(disk.operations() + n, strike);
            if let Ok(plan) = store.repair_plan(&mut Work::quiet()) {
                drop(store.repair(&plan, &mut Work::quiet()));
            }
            let found = if is_cut { disk.power_cut() } else { disk.kill() };
            disk.cut_at_operation(disk.operations());
            drop(store);
            let disk = found;
            let store = open(&disk).unwrap_or_else(|e| panic!("{when}: {e}"));
            repair(&store, &when);
            assert_kept(&before, &Stored::read(&store), &when);
            store.close().unwrap();
        }
    }
}

/// Mail goes on coming in while a store is repaired: what was acknowledged is there, once.
#[test]
fn mail_comes_in_while_it_is_repaired() {
    for seed in seeds(10) {
        let (disk, mut rng) = (SimDisk::new(seed), Rng::new(seed));
        filled(&disk, &mut rng);
        let when = format!("seed {seed}, {}, {}", rot(&disk, &mut rng), rot(&disk, &mut rng));
        let store = open(&disk).unwrap();
        let accounts = store.accounts().unwrap();
        let stop = AtomicBool::new(false);
        let mut given: Vec<String> = Vec::new();
        std::thread::scope(|scope| {
            let writers: Vec<_> = accounts
                .iter()
                .map(|account| {
                    let (store, stop) = (&store, &stop);
                    scope.spawn(move || {
                        let mut given = Vec::new();
                        while !stop.load(Ordering::Relaxed) && given.len() < 200 {
                            let text = format!("Subject: {} {}\r\n\r\nnew\r\n", account.name, given.len());
                            if append(store, account.id, &text).is_ok() {
                                given.push(text);
                            }
                        }
                        given
                    })
                })
                .collect();
            let plan = store.repair_plan(&mut Work::quiet()).unwrap();
            let done = store.repair(&plan, &mut Work::quiet()).unwrap_or_else(|e| panic!("{when}: {e}"));
            assert!(done.left.is_empty(), "{when}: {:#?}", done.left);
            stop.store(true, Ordering::Relaxed);
            writers.into_iter().for_each(|writer| given.extend(writer.join().unwrap()));
        });
        repair(&store, &when);
        let said = Stored::read(&store);
        let inboxes = said.accounts.values().flat_map(|account| account.mailboxes.values());
        let texts: Vec<Vec<u8>> =
            inboxes.flat_map(|(_, messages)| messages.values()).filter_map(|m| m.bytes.clone()).collect();
        for text in &given {
            let count = texts.iter().filter(|bytes| *bytes == text.as_bytes()).count();
            assert_eq!(count, 1, "{when}: {text:?}");
        }
        store.close().unwrap();
    }
}

fn append(store: &Store, id: AccountId, text: &str) -> engine::Result<()> {
    let account = store.account(id)?;
    let Some(inbox) = account.mailbox_named("INBOX") else { return Err(Error::NoSuchMailbox) };
    let item = AppendItem { message: stage(store, text)?, flags: vec![], internal_date: None };
    store.append(id, inbox.header.id, vec![item]).map(drop)
}

/// A large message whose record rots between plan and repair may still be read from its body segment: that stays, with
/// every message in it.
#[test]
fn a_body_segment_stays_as_long_as_a_message_may_be_read_from_it() {
    let disk = SimDisk::new(1);
    let store = open(&disk).unwrap();
    let id = store.create_account(&engine::ops::NewAccount { name: "a", ..Default::default() }).unwrap();
    let mut rng = Rng::new(1);
    let mut texts = Vec::new();
    for n in 0..2 {
        let lines: String = (0..400).map(|_| format!("{:016x}{:016x}\r\n", rng.next(), rng.next())).collect();
        texts.push(format!("Subject: {n}\r\n\r\n{lines}"));
        append(&store, id, &texts[n]).unwrap();
    }
    store.close().unwrap();
    drop(store);
    let body = disk.list(Path::new("/store/bodies")).unwrap().remove(0);
    let body = Path::new("/store/bodies").join(body);
    // In a block of the first one.
    assert!(disk.flip_bit(&body, 5_000, 1));
    let store = open(&disk).unwrap();
    let plan = store.repair_plan(&mut Work::quiet()).unwrap();
    // The place of the second one, in the log: its digest stands there.
    let digest = *blake3::hash(texts[1].as_bytes()).as_bytes();
    let mut is_hit = false;
    for name in disk.list(Path::new("/store/log")).unwrap() {
        let path = Path::new("/store/log").join(name);
        let file = disk.open(&path).unwrap();
        let mut bytes = vec![0; file.len_bytes().unwrap() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        if let Some(at) = bytes.windows(32).position(|window| window == digest) {
            is_hit |= disk.flip_bit(&path, at as u64, 0);
        }
    }
    assert!(is_hit);
    let done = store.repair(&plan, &mut Work::quiet()).unwrap();
    assert!(done.left.iter().any(|left| left.contains("cannot be proved")), "{:?}", done.left);
    assert!(disk.exists(&body));
    drop(store.close());
}

/// The check of a store that is not there at all, and of one whose account takes no writes.
#[test]
fn an_account_that_is_read_only_says_what_to_do() {
    let error = Error::AccountReadOnly(engine::types::AccountId(3)).to_string();
    assert!(error.contains("mailcask repair"), "{error}");
}
