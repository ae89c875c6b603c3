//! Every disk operation of a backup and of a restore is struck: power lost, killed, an I/O error, no space.

use crate::common::{assert_clean, seeds, seeds_and};
use crate::world::*;
use engine::Error;
use engine::backup::{Folder, How, Moment, Rate, Restore, take, verify};
use engine::sys::clock::Clock;
use engine::sys::disk::Disk;
use engine::sys::sim::{FaultKind, Strike};
use engine::work::Work;
use std::path::Path;
use std::sync::Arc;

/// How an operation is struck, and whether the power goes afterwards; else the process is killed. Each one in one of these
/// ways: another seed, another way.
const WAYS: [(Strike, bool); 5] = [
    (Strike::PowerOff, true),
    (Strike::Eio, false),
    (Strike::PowerOff, false),
    (Strike::NoSpace, false),
    (Strike::Eio, true),
];

/// After it was struck anywhere the older backup is whole, and a backup taken then is.
#[test]
fn a_backup_cut_off_anywhere_harms_nothing() {
    let mut cuts = 0;
    for seed in seeds(2) {
        println!("seed {seed}");
        let mut world = World::new(seed);
        world.work(12);
        world.backup();
        let older = world.model.clone();
        world.work(12);
        let expected = world.model.clone();
        for n in 0.. {
            let mut cut = world.fork();
            let at = cut.disk.operations() + n;
            let (strike, is_cut) = WAYS[(n + seed) as usize % WAYS.len()];
            cut.disk.strike_operation(at, strike);
            drop(try_backup(&cut.disk, &cut.clock, &cut.store));
            if cut.disk.operations() <= at && !cut.disk.is_off() {
                break;
            }
            cuts += 1;
            let when = format!("seed {seed}, operation {n}: {strike:?}, power lost: {is_cut}");
            cut.disk = if is_cut { cut.disk.power_cut() } else { cut.disk.kill() };
            assert_eq!(verified(&cut), Vec::<String>::new(), "{when}");
            let found = cut.restored("/older", Moment::Newest);
            let newest = if folder(&cut.disk).backups().len() == 2 { &expected } else { &older };
            assert_eq!(messages(&found), messages(newest), "{when}");
            cut.store = open(&cut.disk, &cut.clock, STORE);
            backup(&cut.disk, &cut.clock, &cut.store);
            assert_eq!(verified(&cut), Vec::<String>::new(), "{when}, and taken again");
            assert_eq!(messages(&cut.restored("/newer", Moment::Newest)), messages(&expected), "{when}");
        }
    }
    println!("{cuts} operations struck");
    assert!(cuts > 60);
}

fn verified(world: &World) -> Vec<String> {
    verify(&folder(&world.disk), &mut Work::quiet()).unwrap().findings
}

/// Struck anywhere, the half-made store is not served, and the same restore ends it.
#[test]
fn a_restore_cut_off_anywhere_goes_on() {
    let mut cuts = 0;
    for seed in seeds(2) {
        println!("seed {seed}");
        let mut world = World::new(seed);
        world.work(30);
        world.backup();
        world.work(10);
        let middle = world.model.clone();
        let at_ms = world.clock.now_ms() + 500;
        world.work(10);
        world.backup();
        world.store.close().unwrap();
        for n in 0.. {
            let mut cut = world.fork();
            let at = cut.disk.operations() + n;
            let (strike, is_cut) = WAYS[(n + seed) as usize % WAYS.len()];
            cut.disk.strike_operation(at, strike);
            drop(try_restore(&cut.disk, &cut.clock, "/to", Moment::At(at_ms), true));
            if cut.disk.operations() <= at && !cut.disk.is_off() {
                break;
            }
            cuts += 1;
            let when = format!("seed {seed}, operation {n}: {strike:?}, power lost: {is_cut}");
            cut.disk = if is_cut { cut.disk.power_cut() } else { cut.disk.kill() };
            let is_marked = cut.disk.exists_file("/to/RESTORING");
            if is_marked {
                let served = try_open(&cut.disk, &cut.clock, "/to");
                assert!(served.is_err_and(|e| e.to_string().contains("not restored completely")), "{when}");
            }
            // The mark's removal may be durable though its sync was not answered: then the store is whole.
            let is_done = !is_marked && cut.disk.exists_file("/to/MANIFEST");
            if !is_done {
                try_restore(&cut.disk, &cut.clock, "/to", Moment::At(at_ms), true)
                    .unwrap_or_else(|e| panic!("{when}: {e}"));
            }
            let store = open(&cut.disk, &cut.clock, "/to");
            assert_clean(&store);
            assert_eq!(messages(&cut.read_out_of(&store)), messages(&middle), "{when}");
        }
    }
    println!("{cuts} operations struck");
    assert!(cuts > 60);
}

trait ExistsFile {
    fn exists_file(&self, path: &str) -> bool;
}

impl ExistsFile for engine::sys::sim::SimDisk {
    fn exists_file(&self, path: &str) -> bool {
        engine::sys::disk::Disk::exists(self, Path::new(path))
    }
}

/// A disk that is full, or fails, ends a backup with an error, and nothing else.
#[test]
fn a_disk_that_refuses_harms_no_backup() {
    let mut refused = 0;
    for seed in seeds(2) {
        println!("seed {seed}");
        let mut world = World::new(seed);
        world.work(12);
        world.backup();
        world.work(12);
        for kind in [FaultKind::NoSpace, FaultKind::WriteEio, FaultKind::ReadEio, FaultKind::SyncEio] {
            for nth in (0..).step_by(3) {
                let mut hit = world.fork();
                // Of a store that is closed: its files are copied all the same.
                let (held, pinned) = hit.store.pin().unwrap();
                hit.disk.fail_after(kind, nth);
                let taken = take_pinned(&hit.disk, &hit.clock, &pinned);
                drop(held);
                if taken.is_ok() {
                    break;
                }
                refused += 1;
                hit.disk = hit.disk.power_cut();
                let when = format!("seed {seed}, {kind:?} {nth}");
                assert_eq!(verified(&hit), Vec::<String>::new(), "{when}");
                hit.store = open(&hit.disk, &hit.clock, STORE);
                backup(&hit.disk, &hit.clock, &hit.store);
                assert_eq!(verified(&hit), Vec::<String>::new(), "{when}, and taken again");
            }
        }
    }
    println!("{refused} backups refused");
    assert!(refused > 20);
}

/// What a store has lost does not keep the rest of it from being copied, and restored.
#[test]
fn a_store_that_lost_a_file_is_copied_without_it() {
    // 107: a segment's end is lost; 148: a keyword's number is.
    for seed in seeds_and(4, &[107, 148]) {
        let mut world = World::new(seed);
        world.work(60);
        let (_held, pinned) = world.store.pin().unwrap();
        let lost = world.rng.pick(&pinned.files).unwrap().clone();
        let path = Path::new(STORE).join(&lost.folder).join(&lost.name);
        if world.rng.chance(50) {
            world.disk.remove_file(&path).unwrap();
        } else {
            world.disk.open(&path).unwrap().truncate(lost.bytes / 2).unwrap();
        }
        assert!(take_pinned(&world.disk, &world.clock, &pinned).is_err());
        let shared: Arc<dyn Disk> = Arc::new(world.disk.clone());
        let mut dest = Folder::open(&shared, Path::new(DEST)).unwrap();
        let mut how = How { damaged_too: true, ..How::new(Rate::new(None)) };
        let (now_ms, mut work) = (world.clock.now_ms(), Work::quiet());
        let store = Path::new(STORE);
        let taken = take(&world.disk, store, &pinned, now_ms, &mut dest, &mut how, &mut work).unwrap();
        assert_eq!(taken.damaged.len(), 1, "seed {seed}");
        drop(dest);
        let refused = try_restore(&world.disk, &world.clock, "/to", Moment::Newest, true);
        assert!(
            matches!(&refused, Err(Error::Corrupt { what, .. }) if what.contains(&lost.name)),
            "seed {seed}, {} is lost: {refused:?}",
            lost.name
        );
        let asked = Restore { moment: Moment::Newest, nothing_since: false, damaged_too: true };
        let said = restore_asked(&world.disk, &world.clock, "/to", asked).unwrap().damaged;
        assert!(said.iter().any(|what| what.contains(&lost.name)), "seed {seed}: {said:?}");
        let restored = open(&world.disk, &world.clock, "/to");
        // What is served is right; what is lost is reported.
        for id in &world.ids {
            let Ok(account) = restored.account(*id) else { continue };
            for mailbox in account.mailboxes() {
                let uids = mailbox.uids().unwrap();
                for row in mailbox.rows(&uids) {
                    let row = row.unwrap();
                    let Ok(bytes) = restored.email(&row).and_then(|email| email.read_all()) else { continue };
                    assert!(world.ever.contains(&String::from_utf8(bytes).unwrap()), "seed {seed}");
                }
            }
        }
    }
}

/// What was taken damaged is said, however often the restore was interrupted.
#[test]
fn a_restore_that_goes_on_forgets_no_damage() {
    let mut world = World::new(12);
    world.work(5);
    let body: String = (0..9000).map(|_| format!("{:x}\r\n", world.rng.next())).collect();
    append(&world.store, world.ids[0], &format!("Subject: large\r\n\r\n{body}"));
    world.backup();
    world.store.close().unwrap();
    let bodies = Path::new(DEST).join("bodies");
    let name = world.disk.list(&bodies).unwrap().remove(0);
    assert!(world.disk.flip_bit(&bodies.join(&name), 40_000, 3));
    let asked = Restore { moment: Moment::Newest, nothing_since: false, damaged_too: true };
    let mut cuts = 0;
    for n in (0..).step_by(2) {
        let disk = world.disk.kill();
        let at = disk.operations() + n;
        disk.strike_operation(at, Strike::PowerOff);
        let first = restore_asked(&disk, &world.clock, "/to", asked);
        let was_off = disk.is_off();
        let disk = disk.kill();
        let said = match first {
            Ok(restored) if !was_off => restored.damaged,
            // The mark is gone: it was the last sync that was not answered.
            _ if !disk.exists_file("/to/RESTORING") && disk.exists_file("/to/MANIFEST") => continue,
            _ => restore_asked(&disk, &world.clock, "/to", asked).unwrap().damaged,
        };
        assert!(said.iter().any(|what| what.contains(&name)), "operation {n}: {said:?}");
        if !was_off {
            break;
        }
        cuts += 1;
    }
    println!("{cuts} operations struck");
    assert!(cuts > 20);
}

/// Of the copy that a moment ends in the middle of every byte is compared too.
#[test]
fn a_copy_that_is_cut_is_verified_whole() {
    let mut world = World::new(13);
    world.work(3);
    world.backup();
    for n in 0..8 {
        world.clock.advance(10_000);
        append(&world.store, world.ids[0], &format!("Subject: {n}\r\n\r\n{}\r\n", "body ".repeat(300)));
    }
    let at_ms = world.clock.now_ms() - 35_000;
    world.backup();
    let log = Path::new(DEST).join("log");
    let name = world.disk.list(&log).unwrap().pop().unwrap();
    let len = world.disk.open(&log.join(&name)).unwrap().len_bytes().unwrap();
    for at in (len / 8..len).step_by(len as usize / 16) {
        let disk = world.disk.kill();
        assert!(disk.flip_bit(&log.join(&name), at, 3));
        let restored = try_restore(&disk, &world.clock, "/to", Moment::At(at_ms), true);
        assert!(restored.is_err(), "byte {at} of {len}: {restored:?}");
    }
    let restored = try_restore(&world.disk, &world.clock, "/to", Moment::At(at_ms), true).unwrap();
    assert!(restored.damaged.is_empty(), "{restored:?}");
}
