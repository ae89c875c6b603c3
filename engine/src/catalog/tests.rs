//! The catalog over memory and over sled: objects come back whole or are refused.

use super::*;
use crate::error::Error;
use crate::sys::disk::Disk;
use crate::sys::real::RealDisk;
use crate::sys::sim::SimDisk;
use crate::types::{AccountId, Lsn, MailboxId};
use std::path::Path;
use std::sync::Arc;

/// Rows that the test can reach behind the catalog's back.
#[derive(Clone, Default)]
struct Shared(Arc<MemoryRows>);

impl Rows for Shared {
    fn get(&self, key: &[u8]) -> crate::Result<Option<Vec<u8>>> {
        self.0.get(key)
    }
    fn write(&self, batch: Vec<Write>) -> crate::Result<()> {
        self.0.write(batch)
    }
    fn scan(&self, prefix: &[u8], f: &mut Visit<'_>) -> crate::Result<()> {
        self.0.scan(prefix, f)
    }
    fn clear(&self) -> crate::Result<()> {
        self.0.clear()
    }
    fn flush_durable(&self) -> crate::Result<()> {
        self.0.flush_durable()
    }
    fn bytes_on_disk(&self) -> crate::Result<u64> {
        self.0.bytes_on_disk()
    }
}

impl Shared {
    fn all(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut all = Vec::new();
        let keep = &mut |key: &[u8], value: &[u8]| {
            all.push((key.to_vec(), value.to_vec()));
            Ok(())
        };
        self.0.scan(&[], keep).unwrap();
        all
    }
}

const CHUNK: ObjectKey = ObjectKey::Chunk(AccountId(1), MailboxId(2), 3);

fn noise(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|i| (i * 31 + i / 251) as u8 ^ seed).collect()
}

fn put(catalog: &Catalog, key: ObjectKey, lsn: u64, object: Option<Vec<u8>>) {
    catalog.put_all(vec![(key, Lsn(lsn), object)]).unwrap();
}

fn get(catalog: &Catalog, key: ObjectKey) -> Option<(u64, Vec<u8>)> {
    catalog.get(&key).unwrap().map(|object| (object.as_of.0, object.bytes))
}

fn is_corrupt<T>(result: crate::Result<T>) -> bool {
    matches!(result, Err(Error::Corrupt { .. }))
}

#[test]
fn objects_of_every_length_come_back_and_leave_no_page_behind() {
    let rows = Shared::default();
    let catalog = Catalog::over(Box::new(rows.clone()));
    let lengths = [0, 1, 3565, 3566, 3567, 7150, 7151, 200_000, 10, 3567, 0];
    for (lsn, length) in (1..).zip(lengths) {
        put(&catalog, CHUNK, lsn, Some(noise(length, lsn as u8)));
        assert_eq!(get(&catalog, CHUNK), Some((lsn, noise(length, lsn as u8))));
        assert_eq!(rows.all().len(), (length + 18).div_ceil(3584), "pages of {length} bytes");
        assert!(rows.all().iter().all(|(_, value)| value.len() <= 3584));
    }
    put(&catalog, CHUNK, 99, Some(noise(9000, 1)));
    put(&catalog, CHUNK, 100, None);
    assert_eq!(get(&catalog, CHUNK), None);
    assert!(rows.all().is_empty());
}

#[test]
fn an_object_of_two_versions_is_refused() {
    let rows = Shared::default();
    let catalog = Catalog::over(Box::new(rows.clone()));
    put(&catalog, CHUNK, 1, Some(noise(9000, 1)));
    let old = rows.all();
    put(&catalog, CHUNK, 2, Some(noise(9000, 2)));
    let new = rows.all();
    for torn in 0..3 {
        rows.write(vec![(old[torn].0.clone(), Some(old[torn].1.clone()))]).unwrap();
        assert!(is_corrupt(catalog.get(&CHUNK)), "page {torn} is the old one");
        rows.write(vec![(new[torn].0.clone(), Some(new[torn].1.clone()))]).unwrap();
    }
    for (key, value) in &new {
        rows.write(vec![(key.clone(), None)]).unwrap();
        assert!(key.ends_with(&[0, 0]) || is_corrupt(catalog.get(&CHUNK)), "a page is missing");
        rows.write(vec![(key.clone(), Some(value.clone()))]).unwrap();
    }
    assert_eq!(get(&catalog, CHUNK), Some((2, noise(9000, 2))));
}

#[test]
fn every_flipped_bit_is_seen() {
    let rows = Shared::default();
    let catalog = Catalog::over(Box::new(rows.clone()));
    put(&catalog, CHUNK, 7, Some(noise(40, 1)));
    let (key, good) = rows.all().remove(0);
    // Byte 1 is reserved and means nothing.
    for bit in (0..good.len() * 8).filter(|bit| bit / 8 != 1) {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        rows.write(vec![(key.clone(), Some(bad))]).unwrap();
        assert!(is_corrupt(catalog.get(&CHUNK)), "bit {bit}");
    }
    // What is damaged can be written over and removed.
    put(&catalog, CHUNK, 8, Some(noise(9000, 1)));
    assert_eq!(get(&catalog, CHUNK), Some((8, noise(9000, 1))));
    rows.write(vec![(key, Some(vec![9]))]).unwrap();
    put(&catalog, CHUNK, 9, None);
    assert!(rows.all().is_empty());
}

#[test]
fn a_scan_gives_a_kind_in_order_and_nothing_else() {
    let catalog = Catalog::in_memory();
    let key = |account, id| ObjectKey::Mailbox(AccountId(account), MailboxId(id));
    let keys = [key(1, 1), key(1, 300), key(2, 0), key(256, 1)];
    for (key, lsn) in keys.into_iter().zip([1, 2, 3, 4]).rev() {
        put(&catalog, key, lsn, Some(noise(lsn as usize * 3000, lsn as u8)));
    }
    put(&catalog, CHUNK, 9, Some(vec![1]));
    put(&catalog, ObjectKey::Account(AccountId(1)), 9, Some(vec![2]));
    let mut found = Vec::new();
    let keep = &mut |key, object: Object| {
        assert_eq!(object.bytes, noise(object.as_of.0 as usize * 3000, object.as_of.0 as u8));
        found.push(key);
        Ok(())
    };
    catalog.scan_kind(Kind::Mailbox, keep).unwrap();
    assert_eq!(found, keys);
}

#[test]
fn the_mark_is_no_object_and_goes_with_the_rest() {
    let catalog = Catalog::in_memory();
    assert_eq!(catalog.mark().unwrap(), None);
    let mark = Mark { lsn: Lsn(12), clean: true, boot_id: "b".into() };
    catalog.set_mark(&mark).unwrap();
    assert_eq!(catalog.mark().unwrap(), Some(mark));
    for kind in [Kind::Store, Kind::Account, Kind::Mailbox, Kind::Chunk, Kind::DeliveryKeys] {
        catalog.scan_kind(kind, &mut |key, _| panic!("{key:?}")).unwrap();
    }
    catalog.delete_and_reopen().unwrap();
    assert_eq!(catalog.mark().unwrap(), None);
}

fn open(dir: &Path) -> Catalog {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    Catalog::open(&disk, &dir.join("catalog"), 4 << 20).unwrap()
}

fn clean_mark() -> Mark {
    Mark { lsn: Lsn(5), clean: true, boot_id: String::new() }
}

#[test]
fn sled_keeps_objects_across_a_close_and_makes_no_files_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = open(dir.path());
    for number in 0..200 {
        let key = ObjectKey::Chunk(AccountId(1), MailboxId(1), number);
        put(&catalog, key, 3, Some(noise(20_000, number as u8)));
    }
    put(&catalog, CHUNK, 4, Some(noise(50_000, 7)));
    put(&catalog, ObjectKey::Store, 4, None);
    catalog.set_mark(&clean_mark()).unwrap();
    drop(catalog);

    let catalog = open(dir.path());
    assert_eq!(catalog.mark().unwrap(), Some(clean_mark()));
    assert_eq!(get(&catalog, CHUNK), Some((4, noise(50_000, 7))));
    let mut chunks = 0;
    let count = &mut |_, _| {
        chunks += 1;
        Ok(())
    };
    catalog.scan_kind(Kind::Chunk, count).unwrap();
    assert_eq!(chunks, 201);
    assert!(catalog.bytes_on_disk().unwrap() > 0);
    let blobs = RealDisk.list(&dir.path().join("catalog/blobs")).unwrap();
    assert_eq!(blobs, Vec::<String>::new());
}

#[test]
fn sled_files_that_cannot_be_read_are_deleted_and_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = open(dir.path());
    put(&catalog, CHUNK, 4, Some(noise(50_000, 7)));
    catalog.set_mark(&clean_mark()).unwrap();
    drop(catalog);
    // Its configuration file: sled refuses to open without understanding it.
    let conf = RealDisk.open(&dir.path().join("catalog/conf")).unwrap();
    conf.write_all_at(&[0xff; 64], 0).unwrap();

    let catalog = open(dir.path());
    assert_eq!(catalog.mark().unwrap(), None, "nothing says it is complete");
    assert_eq!(get(&catalog, CHUNK), None);
    put(&catalog, CHUNK, 5, Some(noise(10, 7)));
    assert_eq!(get(&catalog, CHUNK), Some((5, noise(10, 7))));
}

#[test]
fn sled_is_deleted_and_goes_on_while_open() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = open(dir.path());
    put(&catalog, CHUNK, 4, Some(noise(50_000, 7)));
    catalog.set_mark(&clean_mark()).unwrap();
    catalog.delete_and_reopen().unwrap();
    assert_eq!((get(&catalog, CHUNK), catalog.mark().unwrap()), (None, None));
    put(&catalog, CHUNK, 6, Some(noise(50_000, 8)));
    catalog.set_mark(&clean_mark()).unwrap();
    drop(catalog);
    assert_eq!(get(&open(dir.path()), CHUNK), Some((6, noise(50_000, 8))));
}

#[test]
fn a_catalog_in_use_is_not_taken_for_a_damaged_one() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = open(dir.path());
    put(&catalog, CHUNK, 4, Some(vec![1]));
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let second = Catalog::open(&disk, &dir.path().join("catalog"), 4 << 20);
    assert!(matches!(second, Err(Error::Owned)));
    assert_eq!(get(&catalog, CHUNK), Some((4, vec![1])));
}

#[test]
fn a_simulated_disk_gets_a_catalog_in_memory() {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
    let catalog = Catalog::open(&disk, Path::new("catalog"), 0).unwrap();
    put(&catalog, CHUNK, 4, Some(vec![1]));
    assert_eq!(get(&catalog, CHUNK), Some((4, vec![1])));
    assert!(!disk.exists(Path::new("catalog")));
}

#[test]
fn a_page_and_the_mark_are_as_drawn() {
    let drawn = crate::codec::golden(include_str!("../../tests/data/format/drawn/page.hex"));
    let rows = Shared::default();
    let catalog = Catalog::over(Box::new(rows.clone()));
    put(&catalog, CHUNK, 258, Some(b"object".to_vec()));
    catalog.set_mark(&Mark { lsn: Lsn(258), clean: true, boot_id: "boot".to_owned() }).unwrap();
    let page = [&CHUNK.to_bytes()[..], &[0, 0]].concat();
    let mark = br#"{"lsn":258,"clean":true,"boot_id":"boot"}"#.to_vec();
    assert_eq!(rows.all(), [(page.clone(), drawn.clone()), (b"\xffmark".to_vec(), mark.clone())]);

    let rows = Shared::default();
    rows.write(vec![(page, Some(drawn)), (b"\xffmark".to_vec(), Some(mark))]).unwrap();
    let catalog = Catalog::over(Box::new(rows));
    assert_eq!(get(&catalog, CHUNK), Some((258, b"object".to_vec())));
    assert_eq!(catalog.mark().unwrap().map(|mark| mark.lsn), Some(Lsn(258)));
}
