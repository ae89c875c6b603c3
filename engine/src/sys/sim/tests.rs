#![allow(clippy::unwrap_used)]

use super::*;

fn disk(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    disk.create_dir_all(Path::new("/s")).unwrap();
    disk
}

fn read(disk: &SimDisk, path: &str) -> Vec<u8> {
    let file = disk.open(Path::new(path)).unwrap();
    let mut buf = vec![0; file.len_bytes().unwrap() as usize];
    file.read_exact_at(&mut buf, 0).unwrap();
    buf
}

#[test]
fn what_was_synced_survives_a_power_cut_and_the_rest_may_not() {
    let mut lost = 0;
    for seed in 0..64 {
        let disk = disk(seed);
        let file = disk.create(Path::new("/s/a")).unwrap();
        file.write_all_at(&[1; 10_000], 0).unwrap();
        file.sync_data().unwrap();
        disk.sync_dir(Path::new("/s")).unwrap();
        file.write_all_at(&[2; 5_000], 8_000).unwrap();
        let after = disk.power_cut();
        let bytes = read(&after, "/s/a");
        assert!(bytes.len() >= 10_000, "seed {seed}");
        assert!(bytes[..8_000].iter().all(|b| *b == 1), "seed {seed}");
        assert!(bytes[8_000..10_000].iter().all(|b| *b == 1 || *b == 2), "seed {seed}");
        lost += usize::from(bytes.len() < 13_000 || bytes[8_000..].contains(&1));
        assert_eq!(read(&disk.kill(), "/s/a").len(), 13_000, "the page cache outlives a process");
    }
    assert!((10..64).contains(&lost), "{lost} of 64 lost something");
}

#[test]
fn a_name_not_synced_may_vanish_and_a_rename_is_one_change() {
    let (mut old, mut new) = (0, 0);
    for seed in 0..64 {
        let disk = disk(seed);
        for (path, byte) in [("/s/M", 1u8), ("/s/M.new", 2)] {
            let file = disk.create(Path::new(path)).unwrap();
            file.write_all_at(&[byte], 0).unwrap();
            file.sync_data().unwrap();
        }
        disk.sync_dir(Path::new("/s")).unwrap();
        disk.rename(Path::new("/s/M.new"), Path::new("/s/M")).unwrap();
        match read(&disk.power_cut(), "/s/M").as_slice() {
            [1] => old += 1,
            [2] => new += 1,
            other => panic!("seed {seed}: {other:?}"),
        }
        disk.sync_dir(Path::new("/s")).unwrap();
        assert_eq!(read(&disk.power_cut(), "/s/M"), [2], "seed {seed}");
    }
    assert!(old > 5 && new > 5, "{old} old, {new} new");
}

#[test]
fn a_failed_sync_loses_pages_that_readers_still_see() {
    let disk = disk(7);
    let file = disk.create(Path::new("/s/a")).unwrap();
    disk.sync_dir(Path::new("/s")).unwrap();
    file.allocate(100).unwrap();
    file.sync_data().unwrap();
    file.write_all_at(&[9; 100], 0).unwrap();
    disk.fail_after(FaultKind::SyncEio, 0);
    assert!(file.sync_data().is_err());
    file.sync_data().unwrap();
    assert_eq!(read(&disk, "/s/a"), [9; 100]);
    assert_eq!(read(&disk.power_cut(), "/s/a"), [0; 100]);
}

#[test]
fn power_off_at_a_sync_point_stops_everything() {
    let disk = disk(1);
    let file = disk.create(Path::new("/s/a")).unwrap();
    disk.cut_at_sync_point(1);
    file.sync_data().unwrap();
    assert!(disk.sync_dir(Path::new("/s")).is_err());
    assert!(file.write_all_at(b"x", 0).is_err() && disk.open(Path::new("/s/a")).is_err());
    assert_eq!(disk.sync_points(), 1);
    assert!(disk.power_cut().list(Path::new("/s")).is_ok());
}

#[test]
fn a_full_disk_refuses_growth_and_locks_are_exclusive() {
    let disk = disk(1);
    disk.set_capacity_bytes(Some(1_000));
    let file = disk.create(Path::new("/s/a")).unwrap();
    file.allocate(900).unwrap();
    assert_eq!(file.allocate(1_001).unwrap_err().kind(), io::ErrorKind::StorageFull);
    file.write_all_at(&[1; 900], 0).unwrap();
    assert_eq!(file.write_all_at(&[1; 200], 900).unwrap_err().kind(), io::ErrorKind::StorageFull);
    let held = disk.lock(Path::new("/s/LOCK")).unwrap();
    assert!(disk.lock(Path::new("/s/LOCK")).unwrap().is_none());
    assert!(disk.kill().lock(Path::new("/s/LOCK")).unwrap().is_some());
    drop(held);
    assert!(disk.lock(Path::new("/s/LOCK")).unwrap().is_some());
}

#[test]
fn a_flipped_bit_is_flipped_for_good() {
    let disk = disk(1);
    let file = disk.create(Path::new("/s/a")).unwrap();
    file.write_all_at(&[0; 4], 0).unwrap();
    assert!(disk.flip_bit(Path::new("/s/a"), 2, 3));
    assert!(!disk.flip_bit(Path::new("/s/b"), 2, 3));
    assert_eq!(read(&disk, "/s/a"), [0, 0, 8, 0]);
}

#[test]
fn each_operation_counts_and_the_power_goes_off_before_the_one_asked_for() {
    let work = |disk: &SimDisk| -> io::Result<()> {
        let file = disk.create(Path::new("/s/a"))?;
        file.allocate(100)?;
        file.write_all_at(b"one", 0)?;
        file.truncate(3)?;
        file.sync_data()?;
        disk.rename(Path::new("/s/a"), Path::new("/s/b"))?;
        disk.sync_dir(Path::new("/s"))?;
        disk.operation_beside()?;
        disk.remove_file(Path::new("/s/b"))
    };
    let whole = disk(1);
    work(&whole).unwrap();
    assert_eq!((whole.operations(), whole.reads(), whole.sync_points()), (9, 0, 2));
    for n in 0..9 {
        let disk = disk(n);
        disk.cut_at_operation(n);
        assert!(work(&disk).is_err() && disk.is_off(), "operation {n}");
        assert_eq!(disk.operations(), n);
        let left = disk.kill().list(Path::new("/s")).unwrap();
        let expected: &[&str] = match n {
            0 => &[],
            1..=5 => &["a"],
            _ => &["b"],
        };
        assert_eq!(left, expected, "operation {n}");
        let struck = self::disk(n);
        struck.strike_operation(n, Strike::Eio);
        assert!(work(&struck).is_err() && !struck.is_off(), "operation {n} fails alone");
        assert!(struck.create(Path::new("/s/c")).is_ok());
    }
}

#[test]
fn the_weather_strikes_by_chance_and_is_counted() {
    let mut counts = FaultCounts::default();
    for seed in 0..200 {
        let disk = disk(seed);
        disk.set_weather(Weather {
            read_eio_one_in: 3,
            reads_recover: false,
            write_eio_one_in: 3,
            sync_eio_one_in: 3,
            sync_dir_eio_one_in: 3,
            other_eio_one_in: 5,
            no_space_one_in: 5,
            lie_one_in: 3,
        });
        if let Ok(file) = disk.create(Path::new("/s/a")) {
            let written = file.write_all_at(&[1; 9000], 0);
            if file.len_bytes().unwrap() < 9000 {
                assert!(written.is_err(), "seed {seed}: a short write is an error");
            }
            drop((file.sync_data(), disk.sync_dir(Path::new("/s")), file.read_exact_at(&mut [0], 0)));
        }
        let after = disk.power_cut();
        counts.merge(&after.fault_counts());
        assert!(after.create(Path::new("/s/b")).is_ok(), "seed {seed}: the next day is calm");
    }
    let kinds = [Fault::ReadEio, Fault::WriteEio, Fault::SyncEio, Fault::SyncDirEio];
    let more = [Fault::OtherEio, Fault::NoSpace, Fault::Lie, Fault::LostName, Fault::LostPage];
    for kind in kinds.into_iter().chain(more) {
        assert!(counts.of(kind) > 0, "{kind:?} never struck: {counts}");
    }
}

#[test]
fn a_sync_that_lies_makes_nothing_durable() {
    let mut lost = 0;
    for seed in 0..32 {
        let disk = disk(seed);
        disk.set_weather(Weather { lie_one_in: 1, ..Weather::default() });
        let file = disk.create(Path::new("/s/a")).unwrap();
        file.write_all_at(&[1; 4096], 0).unwrap();
        file.sync_data().unwrap();
        disk.sync_dir(Path::new("/s")).unwrap();
        let after = disk.power_cut();
        lost += usize::from(!after.exists(Path::new("/s/a")) || read(&after, "/s/a") != [1; 4096]);
    }
    assert!((8..32).contains(&lost), "{lost} of 32 lost what was called durable");
}

#[test]
fn a_removal_that_a_kill_outlives_may_still_be_undone_by_a_power_cut() {
    for seed in 0..16 {
        let disk = disk(seed);
        disk.create(Path::new("/s/a")).unwrap().write_all_at(b"x", 0).unwrap();
        disk.open(Path::new("/s/a")).unwrap().sync_data().unwrap();
        disk.sync_dir(Path::new("/s")).unwrap();
        disk.remove_file(Path::new("/s/a")).unwrap();
        let after = disk.kill().power_cut();
        if after.exists(Path::new("/s/a")) {
            assert_eq!(read(&after, "/s/a"), b"x", "seed {seed}");
        }
    }
}
