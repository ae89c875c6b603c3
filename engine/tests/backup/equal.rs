//! What was there comes back as it was.

use crate::common::work::stage;
use crate::common::{assert_clean, seeds};
use crate::world::*;
use engine::backup::Moment;
use engine::ops::{NewAccount, Recipient};

#[test]
fn what_was_there_comes_back_as_it_was() {
    for seed in seeds(12) {
        println!("seed {seed}");
        let mut world = World::new(seed);
        for _ in 0..world.rng.below(4) {
            world.work(25);
            world.backup();
            if world.rng.chance(50) {
                world.restart();
            }
        }
        world.work(25);
        world.backup();
        let before: Vec<Facts> = world.ids.iter().map(|id| facts(&world.store, *id)).collect();
        assert_eq!(world.read_out(), world.model);
        // What comes after the backup is not in it.
        world.work(5);
        for (to, since) in [("/exact", false), ("/jumped", true)] {
            let restored = try_restore(&world.disk, &world.clock, to, Moment::Newest, since).unwrap();
            assert!(restored.unavailable.is_empty() && restored.damaged.is_empty());
            let store = open(&world.disk, &world.clock, to);
            assert_clean(&store);
            for (id, before) in world.ids.iter().zip(&before) {
                let after = facts(&store, *id);
                assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
                for (name, (uid_validity, uid_next, modseq, rows)) in before {
                    let now = &after[name];
                    assert_eq!((*uid_validity, rows), (now.0, &now.3), "seed {seed}: {name}");
                    if since {
                        assert!(now.1 >= uid_next + (1 << 20), "UIDs may have been given since");
                        assert!(
                            now.2 >= modseq + (1 << 32),
                            "{name}: HIGHESTMODSEQ may have been told since"
                        );
                    } else {
                        assert_eq!((uid_next, modseq), (&now.1, &now.2));
                    }
                }
                store.authenticate(&store.account(*id).unwrap().name, "x").unwrap();
            }
            store.close().unwrap();
        }
    }
}

/// What a client or a log of the lost store may have seen after the backup is never given again.
#[test]
fn numbers_jump_and_stay_so() {
    for seed in seeds(3) {
        let mut world = World::new(seed);
        world.work(20);
        world.backup();
        let id = world.ids[0];
        let account = world.store.account(id).unwrap();
        let (email, mailbox) = (account.next_email, account.next_mailbox);
        try_restore(&world.disk, &world.clock, "/to", Moment::Newest, true).unwrap();
        // The views may be lost: the numbers are in the log.
        for life in 0..3 {
            let store = open(&world.disk, &world.clock, "/to");
            let now = store.account(id).unwrap();
            assert!(now.next_email.0 >= email.0 + (1 << 20) && now.next_mailbox.0 >= mailbox.0 + (1 << 20));
            assert!(now.modseq.0 >= account.modseq.0 + (1 << 32));
            let message = stage(&store, "Subject: new\r\n\r\nnew\r\n").unwrap();
            let to = Recipient { account: id, detail: None, address: "user0@test".into() };
            let delivered = store.deliver(&message, "", vec![to]).remove(0).unwrap();
            let inbox = store.mailbox(id, delivered.mailbox).unwrap();
            let row = inbox.by_uid(delivered.uid).unwrap().unwrap();
            assert!(row.message.0 > 1 << 32 && row.uid.0 > 1 << 20, "{row:?}");
            let name = format!("new{life}");
            let new = store.create_account(&NewAccount { name: &name, ..NewAccount::default() }).unwrap();
            assert!(new.0 > 1 << 10, "account {new}");
            store.delete_account(new).unwrap();
            assert_clean(&store);
            if life == 1 {
                store.close().unwrap();
            }
            world.disk = world.disk.kill();
        }
    }
}
