//! Power cuts at every point of a backup and of a restore.

use crate::common::{assert_clean, seeds};
use crate::world::*;
use engine::backup::{Moment, verify};
use engine::sys::clock::Clock;
use engine::work::Work;
use std::path::Path;

/// After a cut at any sync point the older backup is whole, and a backup taken then is.
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
        for point in 0.. {
            let mut cut = world.fork();
            cut.disk.cut_at_sync_point(cut.disk.sync_points() + point);
            let finished = try_backup(&cut.disk, &cut.clock, &cut.store).is_ok();
            if finished && !cut.disk.is_off() {
                break;
            }
            cuts += 1;
            let when = format!("seed {seed}, cut at {point}");
            cut.disk = cut.disk.power_cut();
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
    println!("{cuts} cuts");
    assert!(cuts > 30);
}

fn verified(world: &World) -> Vec<String> {
    verify(&folder(&world.disk), &mut Work::quiet()).unwrap().findings
}

/// After a cut at any sync point the half-made store is not served, and the same restore ends it.
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
        for point in 0.. {
            let mut cut = world.fork();
            cut.disk.cut_at_sync_point(cut.disk.sync_points() + point);
            if try_restore(&cut.disk, &cut.clock, "/to", Moment::At(at_ms), true).is_ok() {
                assert!(!cut.disk.is_off());
                break;
            }
            cuts += 1;
            let when = format!("seed {seed}, cut at {point}");
            cut.disk = cut.disk.power_cut();
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
    println!("{cuts} cuts");
    assert!(cuts > 30);
}

trait ExistsFile {
    fn exists_file(&self, path: &str) -> bool;
}

impl ExistsFile for engine::sys::sim::SimDisk {
    fn exists_file(&self, path: &str) -> bool {
        engine::sys::disk::Disk::exists(self, Path::new(path))
    }
}
