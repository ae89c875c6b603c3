#![allow(clippy::unwrap_used)]

use super::*;
use crate::codec::golden;
use crate::sys::sim::SimDisk;

fn full() -> Manifest {
    let mut m = Manifest::new([5; 16]);
    m.version = 9;
    m.boot_id = "boot".to_owned();
    let id = m.take_segment_id();
    m.segments.insert(id, Segment { bytes: 7, last_lsn: Lsn(9), ..Segment::open(SegmentKind::Cold) });
    m.doomed
        .insert(SegmentId(8), Doomed { kind: SegmentKind::Body, not_before_ms: 77, end: End::Quarantined });
    m.damage.push(Damage {
        segment: SegmentId(1),
        first_lsn: Lsn(2),
        last_lsn: Lsn(3),
        accounts: vec![AccountId(4)],
        messages: vec![MessageNo(5)],
        spared: vec![AccountId(6)],
        what: "torn".to_owned(),
    });
    let run = RunInfo { file: "1.run".to_owned(), as_of_lsn: Lsn(4), bytes: 5, objects: 6 };
    m.current_runs = RunSet { as_of: Lsn(4), runs: vec![run] };
    m
}

#[test]
fn a_manifest_comes_back_and_a_flipped_bit_is_seen() {
    let bytes = full().encode();
    assert_eq!(Manifest::decode(&bytes).unwrap(), full());
    for at in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 4;
        assert!(Manifest::decode(&bytes).is_err(), "byte {at}");
    }
}

#[test]
fn a_manifest_is_as_drawn() {
    let drawn = golden(include_str!("../../../tests/data/format/drawn/manifest-2.hex"));
    assert_eq!(full().encode(), drawn);
    assert_eq!(Manifest::decode(&drawn).unwrap(), full());
}

#[test]
fn one_of_version_1_is_read() {
    let drawn = golden(include_str!("../../../tests/data/format/drawn/manifest.hex"));
    let mut first = Manifest { version: 0, ..full() };
    first.doomed.values_mut().for_each(|doomed| doomed.end = End::Unlinked);
    first.damage.iter_mut().for_each(|damage| damage.spared.clear());
    assert_eq!(Manifest::decode(&drawn).unwrap(), first);
}

#[test]
fn replacing_leaves_the_old_or_the_new_one_at_every_power_cut() {
    let dir = Path::new("/s");
    for seed in 0..40 {
        for point in 0..4 {
            let disk = SimDisk::new(seed);
            disk.create_dir_all(dir).unwrap();
            let old = Manifest::new([5; 16]);
            old.store(&disk, dir).unwrap();
            disk.cut_at_sync_point(disk.sync_points() + point);
            let stored = full().store(&disk, dir).is_ok();
            let found = load(&disk.power_cut(), dir, None).unwrap();
            assert!(found.faults.is_empty(), "seed {seed}, point {point}: {:?}", found.faults);
            let found = found.manifest.unwrap();
            assert!(found == full() || (!stored && found == old), "seed {seed}, point {point}");
        }
    }
}

#[test]
fn a_format_of_the_future_is_refused() {
    let disk = SimDisk::new(1);
    let dir = Path::new("/s");
    disk.create_dir_all(dir).unwrap();
    assert_eq!(load_format(&disk, dir).unwrap().store_id, None);
    create_format(&disk, dir, [3; 16], 99).unwrap();
    assert_eq!(load_format(&disk, dir).unwrap().store_id, Some([3; 16]));
    let mut bytes = encode_format([3; 16], 99);
    bytes[24] |= 2;
    let crc = crc32fast::hash(&bytes[..60]);
    bytes[60..].copy_from_slice(&crc.to_le_bytes());
    disk.open(&dir.join("FORMAT")).unwrap().write_all_at(&bytes, 0).unwrap();
    assert!(load_format(&disk, dir).is_err());
}
