//! What the torture found, each with the seed that showed it or the smallest story that does.
#![allow(clippy::unwrap_used)]

#[path = "torture/mod.rs"]
mod torture;

use engine::ops::{NewAccount, Recipient};
use engine::sys::clock::SimClock;
use engine::sys::sim::{FaultKind, SimDisk};
use engine::types::AccountId;
use engine::{Error, Store, StoreOptions};
use std::path::Path;
use std::sync::Arc;
use torture::life::plain;
use torture::many::one;
use torture::step::stage;

fn open(disk: &SimDisk) -> (Store, AccountId) {
    let clock = Arc::new(SimClock::new(1_700_000_000_000));
    let options = StoreOptions::for_tests();
    let store = Store::open_on(Arc::new(disk.clone()), clock, Path::new("/store"), options).unwrap();
    let id = store.create_account(&NewAccount { name: "ann", ..NewAccount::default() }).unwrap();
    (store, id)
}

fn deliver(store: &Store, id: AccountId, text: &str) -> engine::Result<()> {
    let to = Recipient { account: id, detail: None, address: "ann@test".into() };
    store.deliver(&stage(store, text)?, "s@x", vec![to]).remove(0).map(drop)
}

/// A delivery of whose group nothing was written answered that its outcome is unknown until a restart, and
/// the store went on.
#[test]
fn a_delivery_that_was_not_written_says_so() {
    for seed in [635, 682, 797, 1827, 1840, 1849] {
        one(seed, plain).1.unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
    }
    let disk = SimDisk::new(1);
    let (store, id) = open(&disk);
    disk.fail_after(FaultKind::WriteEio, 0);
    let refused = deliver(&store, id, "Subject: one\r\n\r\n");
    assert!(matches!(refused, Err(Error::Io { .. })), "{refused:?}");
    deliver(&store, id, "Subject: one\r\n\r\n").unwrap();
    assert_eq!(store.account(id).unwrap().messages(), 1);
    store.close().unwrap();
}

/// A large message whose sync failed poisons the store; the writes after it were told that the disk is full.
#[test]
fn after_a_failed_sync_of_a_large_message_writes_say_that_the_store_is_poisoned() {
    let disk = SimDisk::new(1);
    let (store, id) = open(&disk);
    let large = format!("Subject: large\r\n\r\n{}", "0123456789abcdef\r\n".repeat(20_000));
    deliver(&store, id, &large.replace("large", "first")).unwrap();
    disk.fail_after(FaultKind::SyncEio, 0);
    assert!(deliver(&store, id, &large).is_err());
    for _ in 0..2 {
        let refused = deliver(&store, id, "Subject: small\r\n\r\n");
        assert!(matches!(refused, Err(Error::Poisoned)), "{refused:?}");
    }
    assert!(matches!(store.create_mailbox(id, "x", None), Err(Error::Poisoned)));
    assert!(matches!(store.close(), Err(Error::Poisoned)));
    assert_eq!(store.account(id).unwrap().messages(), 1, "reading goes on");
}
