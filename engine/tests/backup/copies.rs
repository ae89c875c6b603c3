//! The copies: they grow by what is new, are verified, and go when nothing needs them.

use crate::common::model::{Account, read_out};
use crate::common::work::stage;
use crate::common::{assert_clean, seeds};
use crate::world::*;
use engine::Error;
use engine::backup::{Folder, How, Moment, Rate, prune, take, verify};
use engine::ops::AppendItem;
use engine::sys::clock::Clock;
use engine::sys::disk::Disk;
use engine::work::Work;
use std::path::Path;
use std::sync::Arc;

#[test]
fn a_second_backup_copies_what_is_new() {
    let mut world = World::new(5);
    let id = world.ids[0];
    let inbox = world.store.account(id).unwrap().mailbox_named("INBOX").unwrap().header.id;
    let mut append = |count: usize| {
        let mut bytes = 0;
        for _ in 0..count {
            // Bytes that do not shrink.
            let body: String = (0..40).map(|_| format!("{:x}", world.rng.next())).collect();
            let text = format!("Subject: x\r\n\r\n{body}\r\n");
            bytes += text.len() as u64;
            let message = stage(&world.store, &text).unwrap();
            let item = AppendItem { message, flags: Vec::new(), internal_date: None };
            world.store.append(id, inbox, vec![item]).unwrap();
        }
        bytes
    };
    append(1000);
    world.store.snapshot().unwrap();
    let first = backup(&world.disk, &world.clock, &world.store);
    assert_eq!(first.bytes, first.bytes_copied);
    let again = backup(&world.disk, &world.clock, &world.store);
    assert_eq!(again.bytes_copied, 0, "nothing happened since");
    let new_bytes = append(1000);
    let second = backup(&world.disk, &world.clock, &world.store);
    println!("{new_bytes} bytes of mail, {} copied of {}", second.bytes_copied, second.bytes);
    // Beside its bytes a message has its group, records and row, which are 500 bytes here.
    assert!(second.bytes_copied < new_bytes + 1000 * 500, "{} for {new_bytes}", second.bytes_copied);
    let verified = verify(&folder(&world.disk), &mut Work::quiet()).unwrap();
    assert_eq!((verified.findings, verified.messages >= 2000), (Vec::new(), true));
}

#[test]
fn a_changed_copy_is_found_and_not_restored() {
    for seed in seeds(8) {
        let mut world = World::new(seed);
        world.work(40);
        world.store.snapshot().unwrap();
        world.backup();
        let copies: Vec<_> = ["log", "bodies", "cold", "snapshots"]
            .into_iter()
            .flat_map(|kind| {
                let dir = Path::new(DEST).join(kind);
                let names = world.disk.list(&dir).unwrap();
                names.into_iter().map(move |name| dir.join(name))
            })
            .collect();
        let path = world.rng.pick(&copies).unwrap();
        let len = world.disk.open(path).unwrap().len_bytes().unwrap();
        assert!(world.disk.flip_bit(path, world.rng.next() % len, 3));
        let verified = verify(&folder(&world.disk), &mut Work::quiet()).unwrap();
        assert_eq!(verified.findings.len(), 1, "seed {seed}: {:?}", verified.findings);
        let refused = try_restore(&world.disk, &world.clock, "/to", Moment::Newest, true);
        assert!(matches!(refused, Err(Error::Corrupt { .. })), "seed {seed}");
        // Taken away, it is copied again.
        world.disk.remove_file(path).unwrap();
        world.backup();
        assert!(verify(&folder(&world.disk), &mut Work::quiet()).unwrap().findings.is_empty());
    }
}

#[test]
fn old_backups_go_with_the_files_that_only_they_need() {
    for seed in seeds(6) {
        println!("seed {seed}");
        let mut world = World::new(seed);
        for _ in 0..5 {
            world.work(25);
            world.backup();
        }
        let shared: Arc<dyn Disk> = Arc::new(world.disk.clone());
        let mut dest = Folder::open(&shared, Path::new(DEST)).unwrap();
        assert!(Folder::open(&shared, Path::new(DEST)).is_err(), "one at a time");
        let before = dest.backups().len();
        let pruned = prune(&mut dest, 2).unwrap();
        assert_eq!((pruned.backups as usize, dest.backups().len()), (before - 2, 2));
        drop(dest);
        assert!(verify(&folder(&world.disk), &mut Work::quiet()).unwrap().findings.is_empty());
        try_restore(&world.disk, &world.clock, "/to", Moment::Newest, true).unwrap();
        let store = open(&world.disk, &world.clock, "/to");
        let found: Vec<Account> = world.ids.iter().map(|id| read_out(&store, *id)).collect();
        let messages = |of: &[Account]| -> Vec<_> {
            of.iter().flat_map(|a| a.mailboxes.values()).flat_map(|m| m.messages.clone()).collect()
        };
        assert_eq!(messages(&found), messages(&world.model));
        assert_clean(&store);
    }
}

#[test]
fn a_folder_with_other_things_is_left_alone() {
    let mut world = World::new(2);
    world.work(10);
    let shared: Arc<dyn Disk> = Arc::new(world.disk.clone());
    let refused = Folder::open(&shared, Path::new(STORE)).err().unwrap();
    assert!(refused.to_string().contains("something else"), "{refused}");
    world.backup();
    let others = Path::new(DEST).join("log/messages.log");
    world.disk.create(&others).unwrap();
    prune(&mut Folder::open(&shared, Path::new(DEST)).unwrap(), 1).unwrap();
    assert!(world.disk.exists(&others), "what is not named like a copy stays");
}

#[test]
fn another_stores_folder_is_refused() {
    let mut world = World::new(1);
    world.work(10);
    world.backup();
    let other = open(&world.disk, &world.clock, "/other");
    let (_held, pinned) = other.pin().unwrap();
    let shared: Arc<dyn Disk> = Arc::new(world.disk.clone());
    let mut dest = Folder::open(&shared, Path::new(DEST)).unwrap();
    let (mut how, mut work) = (How::new(Rate::new(None)), Work::quiet());
    let refused = take(&world.disk, Path::new("/other"), &pinned, BEGIN_MS, &mut dest, &mut how, &mut work);
    assert!(refused.unwrap_err().to_string().contains("another store"));
}

/// A clock that was wrong once does not make an old backup the newest.
#[test]
fn the_newest_backup_is_the_one_with_the_newest_group() {
    let mut world = World::new(9);
    world.work(10);
    let now_ms = world.clock.now_ms();
    world.clock.set(now_ms + 4 * 365 * 86_400_000);
    let wrong = backup(&world.disk, &world.clock, &world.store);
    world.clock.set(now_ms);
    world.work(10);
    append(&world.store, world.ids[0], "Subject: newest\r\n\r\nx\r\n");
    let expected = world.read_out();
    let newest = world.backup();
    assert!(newest.lsn > wrong.lsn && newest.as_of_ms >= wrong.as_of_ms);
    assert_eq!(folder(&world.disk).backups().last().unwrap().lsn.0, newest.lsn);
    let shared: Arc<dyn Disk> = Arc::new(world.disk.clone());
    let mut dest = Folder::open(&shared, Path::new(DEST)).unwrap();
    prune(&mut dest, 1).unwrap();
    drop(dest);
    let restored = try_restore(&world.disk, &world.clock, "/to", Moment::Newest, true).unwrap();
    assert_eq!(restored.backup, newest.backup);
    let store = open(&world.disk, &world.clock, "/to");
    assert_eq!(messages(&world.read_out_of(&store)), messages(&expected));
}
