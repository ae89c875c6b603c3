//! Every disk operation of every step that writes more than a group is struck: power lost, killed, an
//! I/O error, no space. What was acknowledged is there afterwards, and the check is clean.
#![allow(clippy::unwrap_used)]

#[path = "torture/mod.rs"]
mod torture;

use engine::Store;
use engine::sys::sim::Rng;
use torture::each::{Ended, Prepared, each_operation};
use torture::rows::KeptRows;
use torture::step::{New, Step, random_text};
use torture::world::{World, read_out};

fn seeds(count: u64) -> Vec<u64> {
    let one = std::env::var("MAILCASK_SEED").ok().and_then(|seed| seed.parse().ok());
    one.map_or_else(|| (0..count).collect(), |seed| vec![seed])
}

#[test]
fn opening_after_a_kill() {
    for seed in seeds(3) {
        let prepared = Prepared::new(seed, 40, Ended::Killed);
        let operations = prepared.each_operation_of_opening(&format!("opening after a kill, seed {seed}"));
        assert!(operations > 8, "{operations}");
    }
}

#[test]
fn opening_after_a_loss_of_power_with_the_catalog_made_again() {
    for seed in seeds(3) {
        let prepared = Prepared::new(seed, 40, Ended::PowerCut);
        prepared.each_operation_of_opening(&format!("opening after a power cut, seed {seed}"));
    }
}

#[test]
fn each_read_of_opening() {
    for seed in seeds(2) {
        for ended in [Ended::Closed, Ended::Killed, Ended::PowerCut] {
            let prepared = Prepared::new(seed, 40, ended);
            prepared.each_read_of_opening(&format!("opening, {ended:?}, seed {seed}"));
        }
    }
}

/// A step that changes nothing that anybody sees.
fn each_of_keeping(what: &str, count: u64, least: u64, step: impl Fn(&Store)) {
    let mut most = 0;
    for seed in seeds(count) {
        let prepared = Prepared::new(seed, 50, Ended::Killed);
        most = most.max(prepared.each_operation_of(&format!("{what}, seed {seed}"), &step, &[]));
    }
    assert!(most >= least || std::env::var("MAILCASK_SEED").is_ok(), "{most} operations");
}

#[test]
fn a_checkpoint() {
    each_of_keeping("a checkpoint and a clean stop", 3, 8, |store| drop(store.checkpoint()));
}

#[test]
fn a_snapshot_with_its_merges() {
    each_of_keeping("two snapshots", 3, 12, |store| {
        drop(store.snapshot());
        drop(store.snapshot());
    });
}

#[test]
fn compaction_with_what_it_drops() {
    each_of_keeping("snapshots and compaction", 2, 20, |store| {
        drop(store.snapshot());
        drop(store.compact());
    });
}

#[test]
fn the_files_of_summaries_and_tails() {
    each_of_keeping("indexing", 2, 8, |store| while store.step_index().unwrap_or(false) {});
}

/// An import: batches of messages, small and large, and snapshots between them.
#[test]
fn batches_of_appends() {
    for seed in seeds(3) {
        let prepared = Prepared::new(seed, 30, Ended::Closed);
        let mut rng = Rng::new(seed);
        let Some(account) = prepared.world.accounts.keys().next().cloned() else { continue };
        let batch = |rng: &mut Rng| Step::Append {
            account: account.clone(),
            mailbox: "INBOX".to_owned(),
            messages: (0..8)
                .map(|_| New { text: random_text(rng), flags: ["\\Seen".to_owned()].into(), date: None })
                .collect(),
        };
        let steps: Vec<Step> = (0..3).map(|_| batch(&mut rng)).collect();
        let worlds = prepared.worlds_after(&steps);
        let import = |store: &Store| {
            for step in &steps {
                if step.on_store(store).is_err() {
                    return;
                }
            }
        };
        prepared.each_operation_of(&format!("batches of appends, seed {seed}"), import, &worlds);
    }
}

/// The AccountId and the MessageNo that were given last, as far as they are seen.
fn given_last(world: &World) -> (u32, u64) {
    let messages = world.accounts.values().flat_map(|account| account.mailboxes.values());
    let facts = messages.flat_map(|mailbox| &mailbox.messages).filter_map(|message| message.facts.as_ref());
    let numbers = facts.map(|facts| facts.number).max().unwrap_or_default();
    (world.accounts.values().filter_map(|account| account.id).max().unwrap_or_default(), numbers)
}

/// Those that a new account and a message for it are given.
fn gives(store: &Store) -> (u32, u64) {
    let name = "new".to_owned();
    let account = Step::CreateAccount { name: name.clone(), quota_bytes: None };
    let message =
        Step::Deliver { accounts: vec![name.clone()], detail: None, text: "Subject: new\r\n\r\n".into() };
    for step in [account, message] {
        step.on_store(store).unwrap();
    }
    given_last(&World {
        accounts: [(name.clone(), read_out(store).unwrap().accounts.remove(&name).unwrap())].into(),
    })
}

/// A catalog ahead of the log says that acknowledged groups are lost. However the opening is struck that finds
/// it, in the end every counter of everybody has jumped past what may have been given.
#[test]
fn a_lost_end_is_not_forgotten_before_all_counters_have_jumped() {
    let prepared = Prepared::new(1, 30, Ended::Killed);
    let later = prepared.lived_on(25);
    let ahead = Prepared { rows: later.reopened(&prepared.disk, None), ..prepared };
    let uid_next = |world: &World, name: &str| world.accounts[name].mailboxes["INBOX"].uid_next;
    let operations = each_operation(
        "opening under a catalog that is ahead",
        &ahead.disk,
        |disk| (disk.clone(), ahead.rows.reopened(disk, None)),
        |(disk, rows)| {
            if let Ok(store) = ahead.open_with(&disk, rows.clone()) {
                drop(store.close());
            }
            *ahead.last.borrow_mut() = rows;
        },
        |disk, _, when| {
            let rows = ahead.last.borrow().reopened(disk, None);
            let store = ahead.open_with(disk, rows).unwrap_or_else(|e| panic!("{when}: {e}"));
            let said = read_out(&store).unwrap();
            for name in said.accounts.keys() {
                let (now, before) = (uid_next(&said, name), uid_next(&ahead.world, name));
                assert!(now >= before + (1 << 20), "{when}: UIDNEXT of {name} is {now}, it was {before}");
            }
            // What the store itself gives has jumped with them, and the log says so: the power may go right now.
            let next = disk.power_cut();
            disk.cut_at_operation(disk.operations());
            drop(store.close());
            let store = ahead.open_with(&next, KeptRows::default()).unwrap_or_else(|e| panic!("{when}: {e}"));
            let (last_id, last_number) = given_last(&ahead.world);
            let (id, number) = gives(&store);
            assert!(id > last_id + (1 << 10), "{when}: account {id} after {last_id}");
            assert!(number > last_number + (1 << 20), "{when}: message {number} after {last_number}");
            store.close().unwrap();
        },
    );
    assert!(operations > 10, "{operations}");
}
