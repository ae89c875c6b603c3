//! Sectors that cannot be read: what stood there is lost and said, everything else is served; where what was acknowledged last
//! may have stood, the store is not opened, and nothing is cut.
#![allow(clippy::unwrap_used)]

mod common;

use common::Rng;
use common::work::stage;
use engine::backup::{Folder, How, Rate, take};
use engine::ops::{AppendItem, NewAccount};
use engine::sys::clock::SimClock;
use engine::sys::disk::Disk;
use engine::sys::sim::SimDisk;
use engine::types::AccountId;
use engine::work::Work;
use engine::{Error, Store, StoreOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const DIR: &str = "/store";

fn open(disk: &SimDisk) -> engine::Result<Store> {
    let mut options = StoreOptions::for_tests();
    options.log.segment_bytes = 512 << 10;
    options.log.body_threshold_bytes = 64 << 10;
    options.keep.retention_ms = 0;
    options.keep.grace_ms = 0;
    let clock = Arc::new(SimClock::new(1_700_000_000_000));
    Store::open_on(Arc::new(disk.clone()), clock, Path::new(DIR), options)
}

fn text(number: usize) -> String {
    let mut text = format!("Subject: {number}\r\n\r\n");
    let mut rng = Rng::new(number as u64);
    (0..400).for_each(|_| text.push_str(&format!("{:016x}\r\n", rng.next())));
    text
}

fn append(store: &Store, number: usize) -> engine::Result<()> {
    let account = store.account(AccountId(0)).or_else(|_| store.account(AccountId(1)))?;
    let inbox = account.mailbox_named("INBOX").unwrap().header.id;
    let item = AppendItem { message: stage(store, &text(number))?, flags: vec![], internal_date: None };
    store.append(account.id, inbox, vec![item]).map(drop)
}

fn filled(count: usize) -> (SimDisk, Store) {
    let disk = SimDisk::new(1);
    let store = open(&disk).unwrap();
    store.create_account(&NewAccount { name: "a", ..NewAccount::default() }).unwrap();
    (0..count).for_each(|number| append(&store, number).unwrap());
    (disk, store)
}

fn shut(store: Store) {
    store.close().unwrap();
}

/// The process goes away; what it still does happens on a disk that nobody looks at.
fn killed(disk: &SimDisk, store: Store) -> SimDisk {
    let next = disk.kill();
    disk.cut_at_operation(disk.operations());
    drop(store);
    next
}

/// The texts of all messages by their row; `Err` = why not.
fn read_all(store: &Store) -> Vec<Result<String, Error>> {
    let id = store.accounts().unwrap().first().unwrap().id;
    let inbox = store.account(id).unwrap().mailbox_named("INBOX").unwrap().clone();
    let uids = inbox.uids().unwrap();
    let read = |row: engine::Result<_>| store.email(&row.unwrap()).and_then(|email| email.read_all());
    inbox.rows(&uids).map(|row| read(row).map(|bytes| String::from_utf8(bytes).unwrap())).collect()
}

/// The file of the log that has something in it.
fn segment(disk: &SimDisk) -> PathBuf {
    let dir = Path::new(DIR).join("log");
    let names = disk.list(&dir).unwrap();
    let seg = names.iter().filter(|name| name.ends_with(".seg")).min_by_key(|name| name.len());
    dir.join(seg.unwrap())
}

fn content_end(disk: &SimDisk, path: &Path) -> u64 {
    let file = disk.open(path).unwrap();
    let mut bytes = vec![0; file.len_bytes().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes.iter().rposition(|b| *b != 0).unwrap() as u64 + 1
}

fn mend(store: &Store) -> engine::repair::Repaired {
    let plan = store.repair_plan(&mut Work::quiet()).unwrap();
    let done = store.repair(&plan, &mut Work::quiet()).unwrap();
    assert!(done.left.is_empty(), "{:#?}", done.left);
    let report = store.check(true).unwrap();
    assert!(report.is_clean(), "{:#?}", report.findings);
    done
}

#[test]
fn of_a_sealed_segment_only_what_cannot_be_read_is_lost() {
    let (disk, store) = filled(60);
    shut(store);
    let path = segment(&disk);
    assert!(disk.bad_sector(&path, 40_000, 512));
    let store = open(&disk).unwrap();
    let said = read_all(&store);
    let lost: Vec<&Error> = said.iter().filter_map(|said| said.as_ref().err()).collect();
    assert!((1..=4).contains(&lost.len()), "{lost:?}");
    for error in lost {
        let said = error.to_string();
        assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
        let place = format!("{}, offset 3", path.display());
        assert!(said.contains(&place) && said.contains("read error"), "{said}");
    }
    for said in said.iter().flatten() {
        assert!((0..60).any(|number| *said == text(number)));
    }
    let report = store.check(true).unwrap();
    let named = format!("{}, offset 36864", path.display());
    assert!(report.findings.iter().any(|found| found.what.contains(&named)), "{:#?}", report.findings);
    let done = mend(&store);
    assert!(done.quarantined.iter().any(|name| name.ends_with(".seg")), "{done:?}");
    let names = disk.list(&Path::new(DIR).join("quarantine")).unwrap();
    assert!(names.iter().any(|name| name.ends_with(".unreadable")), "{names:?}");
    shut(store);
}

/// Every page of the segment in turn, its footer and its header too.
#[test]
fn whichever_page_of_a_sealed_segment_it_is() {
    let (disk, store) = filled(20);
    shut(store);
    let end = content_end(&disk, &segment(&disk));
    for at in (0..end).step_by(4096) {
        let disk = disk.power_cut();
        disk.bad_sector(&segment(&disk), at, 4096);
        let store = open(&disk).unwrap_or_else(|e| panic!("page at {at}: {e}"));
        let said = read_all(&store);
        let served = said.iter().flatten().count();
        assert!(served + 4 >= 20, "page at {at}: {served} served");
        let is_said = !store.recovery().damage.is_empty() || !store.check(false).unwrap().is_clean();
        assert!(is_said, "page at {at}: nothing is said");
        for said in said.iter().flatten() {
            assert!((0..60).any(|number| *said == text(number)), "page at {at}");
        }
        mend(&store);
        shut(store);
    }
}

/// Each page of the segment that was being written when the process was killed: either the store says exactly what is lost, or
/// it does not open, and opens again once the disk gives the page.
#[test]
fn nothing_is_cut_where_the_end_of_the_log_cannot_be_read() {
    let (disk, store) = filled(20);
    let disk = killed(&disk, store);
    let end = content_end(&disk, &segment(&disk));
    let (mut refused, mut opened) = (0, 0);
    for at in (0..end + 8192).step_by(4096) {
        let disk = disk.kill();
        let path = segment(&disk);
        let whole = {
            let file = disk.open(&path).unwrap();
            let mut bytes = vec![0; 4096];
            file.read_exact_at(&mut bytes, at).unwrap();
            bytes
        };
        disk.bad_sector(&path, at, 4096);
        match open(&disk) {
            Ok(store) => {
                let said = read_all(&store);
                assert!(said.len() + 4 >= 20, "page at {at}: {} rows", said.len());
                if said.len() < 20 || said.iter().any(Result::is_err) {
                    assert!(!store.recovery().damage.is_empty(), "page at {at}: nothing is said");
                    opened += 1;
                    let kept = disk.list(&Path::new(DIR).join("quarantine")).unwrap();
                    assert!(kept.iter().any(|name| name.ends_with(".seg")), "page at {at}: {kept:?}");
                }
                for said in said.iter().flatten() {
                    assert!((0..20).any(|number| *said == text(number)), "page at {at}");
                }
                mend(&store);
                shut(store);
            }
            Err(error) => {
                refused += 1;
                let said = error.to_string();
                assert!(said.contains("ddrescue") && said.contains("offset"), "{said}");
                // The disk gives it after all.
                disk.open(&path).unwrap().write_all_at(&whole, at).unwrap();
                let store = open(&disk).unwrap();
                assert!(store.recovery().damage.is_empty());
                assert_eq!(read_all(&store).into_iter().map(Result::unwrap).count(), 20);
                shut(store);
            }
        }
    }
    assert!(refused > 0 && opened > 5, "{refused} refused, {opened} opened with damage");
}

#[test]
fn one_copy_of_the_manifest_is_enough() {
    for (name, copy) in [("MANIFEST", "MANIFEST.copy"), ("FORMAT", "FORMAT.copy")] {
        for bad in [name, copy] {
            let (disk, store) = filled(5);
            let disk = killed(&disk, store);
            disk.bad_sector(&Path::new(DIR).join(bad), 0, 512);
            let store = open(&disk).unwrap_or_else(|e| panic!("{bad}: {e}"));
            assert_eq!(read_all(&store).into_iter().map(Result::unwrap).count(), 5);
            assert!(!store.recovery().mended.is_empty(), "{bad}");
            shut(store);
            assert!(open(&disk).unwrap().recovery().mended.is_empty(), "{bad}: it is mended");
        }
        let (disk, store) = filled(5);
        let disk = killed(&disk, store);
        for bad in [name, copy] {
            disk.bad_sector(&Path::new(DIR).join(bad), 0, 512);
        }
        let error = open(&disk).err().unwrap().to_string();
        assert!(error.contains("ddrescue"), "{error}");
    }
}

/// Nothing is taken for new where nobody can look.
#[test]
fn a_store_that_lost_its_manifest_is_not_made_anew_over_what_cannot_be_read() {
    let (disk, store) = filled(5);
    let disk = killed(&disk, store);
    for name in ["MANIFEST", "MANIFEST.copy"] {
        disk.remove_file(&Path::new(DIR).join(name)).unwrap();
    }
    let path = segment(&disk);
    disk.bad_sector(&path, 0, 1 << 20);
    if let Ok(store) = open(&disk) {
        assert!(!store.recovery().created, "it was made anew");
        assert!(store.accounts().unwrap().is_empty());
    }
    let left = [Path::new(DIR).join("log"), Path::new(DIR).join("quarantine")];
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(left.iter().any(|dir| disk.list(dir).unwrap().iter().any(|one| one == name)), "its file is gone");
}

/// Damage in the segment that is being written: repaired beside the running server.
#[test]
fn the_segment_being_written_is_repaired_without_a_restart() {
    for is_bad in [true, false] {
        let (disk, store) = filled(30);
        let path = segment(&disk);
        match is_bad {
            true => assert!(disk.bad_sector(&path, 40_000, 512)),
            false => assert!(disk.flip_bit(&path, 40_000, 3)),
        }
        assert!(!store.check(true).unwrap().is_clean());
        let done = mend(&store);
        assert!(done.quarantined.iter().any(|name| name.ends_with(".seg")), "{done:?}");
        append(&store, 30).unwrap();
        let said: Vec<String> = read_all(&store).into_iter().map(Result::unwrap).collect();
        assert!(said.contains(&text(30)) && said.len() >= 27, "{}", said.len());
        shut(store);
        let store = open(&disk).unwrap();
        assert!(store.check(true).unwrap().is_clean());
    }
}

#[test]
fn a_backup_goes_on_and_says_what_it_does_not_have() {
    let (disk, store) = filled(60);
    shut(store);
    let store = open(&disk).unwrap();
    let path = segment(&disk);
    let there = disk.kill();
    disk.bad_sector(&path, 40_000, 512);
    let target = SimDisk::new(2);
    let back_up = |disk: &SimDisk| {
        let mut folder =
            Folder::open(&(Arc::new(target.clone()) as Arc<dyn Disk>), Path::new("/backup")).unwrap();
        let (_held, pinned) = store.pin().unwrap();
        let mut how = How::new(Rate::new(None));
        take(disk, Path::new(DIR), &pinned, 1_700_000_001_000, &mut folder, &mut how, &mut Work::quiet())
            .unwrap()
    };
    let taken = back_up(&disk);
    assert_eq!(taken.damaged.len(), 1, "{:?}", taken.damaged);
    assert!(
        taken.damaged[0].contains(&format!("{}: 4096 bytes at 36864", path.display())),
        "{:?}",
        taken.damaged
    );
    let again = back_up(&disk);
    assert_eq!(again.damaged.len(), 1, "said each time: {:?}", again.damaged);
    // The disk gives it after all: the next one has it.
    let whole = back_up(&there);
    assert!(whole.damaged.is_empty() && whole.bytes_copied > 0, "{whole:?}");
    // And keeps it, whatever becomes of the disk.
    let after = back_up(&disk);
    assert!(after.damaged.is_empty(), "{:?}", after.damaged);
    shut(store);
}
