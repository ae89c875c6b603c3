//! Runs against a sorted map, on the simulated disk; every bit of a run flipped once.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::error::{Error, Result};
use crate::sys::disk::Disk;
use crate::sys::sim::SimDisk;
use crate::types::Lsn;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

type Objects = BTreeMap<Vec<u8>, (u64, Option<Vec<u8>>)>;

struct Room {
    sim: SimDisk,
    disk: Arc<dyn Disk>,
}

impl Room {
    fn new() -> Self {
        Self::on(SimDisk::new(1))
    }

    fn on(sim: SimDisk) -> Self {
        sim.create_dir_all(Path::new("/snapshots")).unwrap();
        Self { disk: Arc::new(sim.clone()), sim }
    }

    fn path(name: &str) -> PathBuf {
        Path::new("/snapshots").join(name)
    }

    fn write(&self, name: &str, objects: &Objects) -> Result<Finished> {
        let mut writer = RunWriter::create(&self.disk, &Self::path(name), Lsn(77), Covers::Since(Lsn(70)))?;
        for (key, (as_of, value)) in objects {
            writer.put(key, Lsn(*as_of), value.as_deref())?;
        }
        writer.finish()
    }

    fn open(&self, name: &str) -> Result<RunReader> {
        RunReader::open(&self.disk, &Self::path(name))
    }

    fn read(&self, name: &str) -> Result<Objects> {
        let entries: Result<Vec<Entry>> = self.open(name)?.iter().collect();
        Ok(entries?.into_iter().map(|entry| (entry.key, (entry.as_of.0, entry.value))).collect())
    }
}

fn object(key: impl AsRef<[u8]>, as_of: u64, value: Option<Vec<u8>>) -> (Vec<u8>, (u64, Option<Vec<u8>>)) {
    (key.as_ref().to_vec(), (as_of, value))
}

/// Small, empty, absent, of a block and of several: everything a block boundary can cut.
fn varied() -> Objects {
    let sizes = [0, 1, 70_000, 300, 65_000, 600, 65_524, 65_500, 200_000, 131_048, 3];
    let mut objects: Objects = sizes
        .iter()
        .enumerate()
        .map(|(i, size)| object(format!("key {i:02}"), i as u64, Some(vec![i as u8; *size])))
        .collect();
    objects.extend([object("gone", 5, None), object([0], u64::MAX, None), object([0xff; 1024], 1, None)]);
    objects
}

#[test]
fn what_was_put_is_read_in_order_and_by_key() {
    let room = Room::new();
    let objects = varied();
    let finished = room.write("a.run", &objects).unwrap();
    assert_eq!(finished.objects, objects.len() as u64);
    assert_eq!(room.read("a.run").unwrap(), objects);
    let run = room.open("a.run").unwrap();
    assert_eq!((run.as_of(), run.objects()), (Lsn(77), finished.objects));
    run.verify().unwrap();
    for (key, (as_of, value)) in &objects {
        let entry = Entry { key: key.clone(), as_of: Lsn(*as_of), value: value.clone() };
        assert_eq!(run.get(key).unwrap(), Some(entry));
        let near = [key.as_slice(), b"!"].concat();
        assert_eq!(run.get(&near).unwrap(), None);
    }
    assert_eq!(run.get(b"").unwrap(), None);
}

#[test]
fn a_run_of_nothing() {
    let room = Room::new();
    room.write("a.run", &Objects::new()).unwrap();
    assert_eq!(room.read("a.run").unwrap(), Objects::new());
    assert_eq!(room.open("a.run").unwrap().get(b"x").unwrap(), None);
}

#[test]
fn keys_out_of_order_are_refused() {
    let room = Room::new();
    let mut writer = RunWriter::create(&room.disk, &Room::path("a.run"), Lsn(1), Covers::Whole).unwrap();
    writer.put(b"b", Lsn(1), None).unwrap();
    for key in [b"b".as_slice(), b"a", b"", &[b'x'; 1025]] {
        assert!(matches!(writer.put(key, Lsn(1), None), Err(Error::Corrupt { .. })), "{key:?}");
    }
}

#[test]
fn a_writer_dropped_leaves_nothing_and_a_leftover_is_overwritten() {
    let room = Room::new();
    let path = Room::path("a.run");
    drop(RunWriter::create(&room.disk, &path, Lsn(1), Covers::Whole).unwrap());
    assert!(!room.disk.exists(&path));
    room.disk.create(&path).unwrap().write_all_at(&[7; 100_000], 0).unwrap();
    let objects = Objects::from([object("k", 1, Some(b"v".to_vec()))]);
    room.write("a.run", &objects).unwrap();
    assert_eq!(room.read("a.run").unwrap(), objects);
}

#[test]
fn finished_is_durable() {
    for seed in 0..20 {
        let sim = SimDisk::new(seed);
        let room = Room::on(sim.clone());
        room.write("a.run", &varied()).unwrap();
        let after = Room::on(sim.power_cut());
        assert_eq!(after.read("a.run").unwrap(), varied(), "seed {seed}");
    }
}

/// Everything the run says is as it was put; or it says that it is damaged.
#[test]
fn a_flipped_bit_anywhere_is_corrupt() {
    let objects: Objects = [object("a", 300, Some(b"one".to_vec())), object("b", 2, None)]
        .into_iter()
        .chain((0..3).map(|i| object([b'c', i], 1, Some(vec![i; 40_000]))))
        .chain([object("d", 9, Some(vec![4; 70_000])), object("e", 1, Some(Vec::new()))])
        .collect();
    let room = Room::new();
    let finished = room.write("a.run", &objects).unwrap();
    // All of the small parts, and a byte now and then of the large values.
    let offsets = (0..finished.bytes).filter(|at| at % 997 == 0 || *at < 200 || finished.bytes - at < 200);
    let path = Room::path("a.run");
    for at in offsets {
        let bit = (at % 8) as u8;
        assert!(room.sim.flip_bit(&path, at, bit));
        let read = room.read("a.run");
        assert!(matches!(read, Err(Error::Corrupt { .. })), "byte {at} bit {bit}: {:?}", read.map(|_| ()));
        for (key, (as_of, value)) in &objects {
            match room.open("a.run").and_then(|run| run.get(key)) {
                Ok(found) => assert_eq!(found.map(|e| (e.as_of.0, e.value)), Some((*as_of, value.clone()))),
                Err(Error::Corrupt { .. }) => {}
                Err(other) => panic!("byte {at} bit {bit}: {other}"),
            }
        }
        assert!(room.sim.flip_bit(&path, at, bit));
    }
    assert_eq!(room.read("a.run").unwrap(), objects, "every flip was undone");
}

#[test]
fn a_run_cut_short_is_corrupt_wherever() {
    let room = Room::new();
    let finished = room.write("a.run", &varied()).unwrap();
    let file = room.disk.open(&Room::path("a.run")).unwrap();
    for len in (0..finished.bytes).rev().filter(|len| *len < 200 || len % 4099 == 0) {
        file.truncate(len).unwrap();
        assert!(matches!(room.open("a.run"), Err(Error::Corrupt { .. })), "{len} bytes");
    }
}

#[test]
fn faults_of_the_disk_are_errors_of_the_disk() {
    use crate::sys::sim::FaultKind;
    let room = Room::new();
    room.sim.fail_after(FaultKind::NoSpace, 3);
    assert!(matches!(room.write("a.run", &varied()), Err(Error::StoreFull)));
    assert!(!room.disk.exists(&Room::path("a.run")));
    let room = Room::new();
    room.sim.fail_after(FaultKind::SyncEio, 0);
    assert!(matches!(room.write("a.run", &varied()), Err(Error::Io { .. })));
    let room = Room::new();
    room.write("a.run", &varied()).unwrap();
    room.sim.fail_after(FaultKind::ReadEio, 5);
    // A view that cannot be read is worth no more than one that is wrong.
    assert!(matches!(room.read("a.run"), Err(Error::Corrupt { .. })));
}

fn runs() -> impl Strategy<Value = Vec<Objects>> {
    let key = proptest::collection::vec(0u8..3, 1..4);
    let value = proptest::option::of((any::<u8>(), 0usize..30_000).prop_map(|(byte, len)| vec![byte; len]));
    let run = proptest::collection::btree_map(key, (0u64..1000, value), 0..12);
    proptest::collection::vec(run, 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Merging is: put the oldest into a map, then the newer ones over it.
    #[test]
    fn merged_runs_are_the_newest_word_on_each_key(newest_first in runs()) {
        let room = Room::new();
        let mut readers = Vec::new();
        for (i, objects) in newest_first.iter().enumerate() {
            let name = format!("{i}.run");
            room.write(&name, objects).unwrap();
            prop_assert_eq!(&room.read(&name).unwrap(), objects);
            readers.push(room.open(&name).unwrap());
        }
        let mut model = Objects::new();
        for objects in newest_first.iter().rev() {
            model.extend(objects.clone());
        }
        let mut merged = Vec::new();
        merge(&readers, &mut |key, as_of, value| {
            merged.push((key.to_vec(), (as_of.0, value.map(<[u8]>::to_vec))));
            Ok(())
        }).unwrap();
        prop_assert!(merged.is_sorted_by(|a, b| a.0 < b.0));
        prop_assert_eq!(merged.into_iter().collect::<Objects>(), model);
    }

    /// Bytes that never were a run are refused without a panic.
    #[test]
    fn any_bytes_are_corrupt(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let room = Room::new();
        room.disk.create(&Room::path("a.run")).unwrap().write_all_at(&bytes, 0).unwrap();
        let is_corrupt = matches!(room.open("a.run"), Err(Error::Corrupt { .. }));
        prop_assert!(is_corrupt);
    }
}

/// The bytes of a run as version 2 has always written and must always read them; version 1 is read.
#[test]
fn golden_bytes() {
    const FIRST: &[u8] = include_bytes!("../../../tests/data/format/run-1.run");
    const GOLDEN: &[u8] = include_bytes!("../../../tests/data/format/run-2.run");
    let large: Vec<u8> = (0..70_000u32).map(|i| (i / 256) as u8).collect();
    let objects = Objects::from([
        object("gone", 300, None),
        object("large", 2, Some(large)),
        object("small", u64::MAX, Some(b"value".to_vec())),
    ]);
    let room = Room::new();
    let finished = room.write("new.run", &objects).unwrap();
    let mut written = vec![0; finished.bytes as usize];
    room.disk.open(&Room::path("new.run")).unwrap().read_exact_at(&mut written, 0).unwrap();
    assert!(written == GOLDEN, "the format of a run has changed: it needs a new version");
    for (bytes, covers) in [(FIRST, None), (GOLDEN, Some(Covers::Since(Lsn(70))))] {
        let name = if covers.is_none() { "first.run" } else { "old.run" };
        room.disk.create(&Room::path(name)).unwrap().write_all_at(bytes, 0).unwrap();
        assert_eq!(room.read(name).unwrap(), objects);
        assert_eq!(room.open(name).unwrap().covers(), covers);
    }
}
