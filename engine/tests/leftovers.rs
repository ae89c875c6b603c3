//! Files that the manifest does not name: what is not proved to be the store's own leftover is never removed.
#![allow(clippy::unwrap_used)]

mod common;

use common::Rng;
use common::work::stage;
use engine::check::Kind;
use engine::ops::{AppendItem, FlagChange, FlagOp, NewAccount};
use engine::repair::{Mend, Plan, Step};
use engine::sys::clock::SimClock;
use engine::sys::disk::{Disk, RealDisk};
use engine::sys::sim::SimDisk;
use engine::types::AccountId;
use engine::work::Work;
use engine::{Store, StoreOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const DIR: &str = "/store";

fn try_open(disk: Arc<dyn Disk>, dir: &Path) -> engine::Result<Store> {
    let mut options = StoreOptions::for_tests();
    options.log.segment_bytes = 32 << 10;
    options.log.body_threshold_bytes = 8 << 10;
    options.keep.retention_ms = 0;
    options.keep.grace_ms = 0;
    Store::open_on(disk, Arc::new(SimClock::new(1_700_000_000_000)), dir, options)
}

fn open(disk: &SimDisk) -> Store {
    try_open(Arc::new(disk.clone()), Path::new(DIR)).unwrap()
}

fn text(number: u64) -> String {
    let mut rng = Rng::new(number);
    let mut text = format!("Subject: {number}\r\nMessage-ID: <{number}@x>\r\n\r\n");
    let lines = if number.is_multiple_of(9) { 400 } else { 40 };
    (0..lines).for_each(|_| text.push_str(&format!("{:x} {:x}\r\n", rng.next(), rng.next())));
    text
}

fn append(store: &Store, id: AccountId, number: u64) -> engine::Result<()> {
    let inbox = store.account(id)?.mailbox_named("INBOX").unwrap().header.id;
    let item = AppendItem { message: stage(store, &text(number))?, flags: vec![], internal_date: None };
    store.append(id, inbox, vec![item]).map(drop)
}

fn expunge_half(store: &Store, id: AccountId) -> engine::Result<()> {
    let inbox = store.account(id)?.mailbox_named("INBOX").unwrap().header.id;
    let uids = store.mailbox(id, inbox)?.uids()?.iter().filter(|uid| uid % 2 == 0).collect();
    let change = FlagChange { op: FlagOp::Add, flags: vec!["\\Deleted".to_owned()], unchanged_since: None };
    store.change_flags(id, inbox, &uids, change)?;
    store.expunge(id, inbox, Some(&uids)).map(drop)
}

/// Messages in log, body and cold segments.
fn fill(store: &Store) {
    let id = store.create_account(&NewAccount { name: "a", ..NewAccount::default() }).unwrap();
    (0..60).for_each(|number| append(store, id, number).unwrap());
    store.snapshot().unwrap();
    append(store, id, 60).unwrap();
    store.snapshot().unwrap();
    expunge_half(store, id).unwrap();
    store.compact().unwrap();
}

fn names(disk: &dyn Disk, dir: &Path, folder: &str) -> Vec<String> {
    disk.list(&dir.join(folder)).unwrap()
}

fn write(disk: &dyn Disk, path: &Path, bytes: &[u8]) {
    let file = disk.create(path).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(path.parent().unwrap()).unwrap();
}

fn read(disk: &dyn Disk, path: &Path) -> Vec<u8> {
    let file = disk.open(path).unwrap();
    let mut bytes = vec![0; file.len_bytes().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn repair(store: &Store) -> engine::repair::Repaired {
    let plan = store.repair_plan(&mut Work::quiet()).unwrap();
    store.repair(&plan, &mut Work::quiet()).unwrap()
}

#[test]
fn what_is_not_the_stores_is_left_alone_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, dir): (Arc<dyn Disk>, PathBuf) = (Arc::new(RealDisk), folder.path().join("store"));
    let store = try_open(disk.clone(), &dir).unwrap();
    fill(&store);
    store.close().unwrap();
    drop(store);
    let segment = names(&*disk, &dir, "log").into_iter().find(|name| name.ends_with(".seg")).unwrap();
    let copied = read(&*disk, &dir.join("log").join(&segment));
    let copy = format!("log/{segment}.bak");
    write(&*disk, &dir.join(&copy), &copied);
    write(&*disk, &dir.join("cold/notes.txt"), b"\n");
    write(&*disk, &dir.join("snapshots/old.run"), b"x");
    std::fs::create_dir(dir.join("bodies/lost+found")).unwrap();
    let store = try_open(disk.clone(), &dir).unwrap();
    assert_eq!(store.recovery().mended, Vec::<String>::new());
    // One that comes while it is open.
    write(&*disk, &dir.join("log/77777.seg"), b"somebody's");
    let report = store.check(false).unwrap();
    let mut said: Vec<&str> = report.findings.iter().map(|found| found.object.as_str()).collect();
    said.sort_unstable();
    let mut all = vec!["bodies/lost+found", "cold/notes.txt", "log/77777.seg", "snapshots/old.run", &*copy];
    all.sort_unstable();
    assert_eq!(said, all);
    assert!(report.findings.iter().all(|found| found.kind == Kind::UnknownFile));
    assert_eq!(repair(&store).quarantined.len(), 5);
    assert_eq!(read(&*disk, &dir.join("quarantine").join(format!("{segment}.bak"))), copied);
    assert_eq!(store.check(true).unwrap().findings, []);
    store.close().unwrap();
}

#[test]
fn a_segment_that_was_away_comes_back_into_quarantine() {
    let disk = SimDisk::new(1);
    let store = open(&disk);
    fill(&store);
    store.close().unwrap();
    drop(store);
    let cold = names(&disk, Path::new(DIR), "cold");
    let path = Path::new(DIR).join("cold").join(&cold[0]);
    let bytes = read(&disk, &path);
    disk.remove_file(&path).unwrap();
    disk.sync_dir(path.parent().unwrap()).unwrap();
    let store = open(&disk);
    let plan = store.repair_plan(&mut Work::quiet()).unwrap();
    assert!(plan.steps.iter().any(|step| step.why.contains("put it back first")), "{plan:#?}");
    let done = store.repair(&plan, &mut Work::quiet()).unwrap();
    assert!(done.expunged > 0);
    assert!(!done.quarantined.contains(&cold[0]), "{:?}", done.quarantined);
    store.close().unwrap();
    drop(store);
    write(&disk, &path, &bytes);
    let store = open(&disk);
    let said = &store.recovery().mended;
    assert!(said.len() == 1 && said[0].contains(&cold[0]), "{said:?}");
    assert_eq!(read(&disk, &Path::new(DIR).join("quarantine").join(&cold[0])), bytes);
    store.close().unwrap();
    drop(store);
    // Once more: what is in quarantine is not written over.
    write(&disk, &path, &[&bytes[..], b"x"].concat());
    open(&disk).close().unwrap();
    assert_eq!(read(&disk, &Path::new(DIR).join("quarantine").join(&cold[0])), bytes);
}

#[test]
fn a_plan_moves_only_what_is_none_of_the_stores() {
    let disk = SimDisk::new(2);
    let store = open(&disk);
    fill(&store);
    write(&disk, Path::new("/passwd"), b"not in the store");
    let log = names(&disk, Path::new(DIR), "log").into_iter().find(|name| name.ends_with(".seg")).unwrap();
    let of_the_store = format!("log/{log}");
    for path in ["/passwd", "catalog/db", "./FORMAT", "log/../FORMAT", &of_the_store] {
        let mend = Mend::File { path: path.to_owned() };
        let step =
            Step { mend, object: path.to_owned(), why: String::new(), does: String::new(), lost: None };
        let plan = Plan { steps: vec![step], ..Plan::default() };
        assert_eq!(
            store.repair(&plan, &mut Work::quiet()).unwrap().quarantined,
            Vec::<String>::new(),
            "{path}"
        );
    }
    for path in [Path::new("/passwd"), &Path::new(DIR).join("FORMAT"), &Path::new(DIR).join(&of_the_store)] {
        assert!(disk.exists(path), "{}", path.display());
    }
    store.close().unwrap();
}

/// Whatever is interrupted wherever: the next opening knows its own leftovers, and bothers nobody with them.
#[test]
fn what_an_interruption_leaves_does_not_pile_up() {
    let start = SimDisk::new(3);
    let store = open(&start);
    let id = store.create_account(&NewAccount { name: "a", ..NewAccount::default() }).unwrap();
    (0..40).for_each(|number| append(&store, id, number).unwrap());
    store.close().unwrap();
    drop(store);
    let work = |store: &Store| -> engine::Result<()> {
        (40..60).try_for_each(|number| append(store, id, number))?;
        store.snapshot()?;
        append(store, id, 60)?;
        store.snapshot()?;
        expunge_half(store, id)?;
        store.compact()?;
        store.close()
    };
    let operations = {
        let disk = start.power_cut();
        let before = disk.operations();
        work(&open(&disk)).unwrap();
        disk.operations() - before
    };
    for (n, at) in (0..operations).step_by(3).enumerate() {
        let disk = start.power_cut();
        disk.cut_at_operation(disk.operations() + at);
        if let Ok(store) = try_open(Arc::new(disk.clone()), Path::new(DIR)) {
            drop(work(&store));
        }
        let disk = if n % 2 == 0 { disk.power_cut() } else { disk.kill() };
        let store = open(&disk);
        assert_eq!(store.recovery().damage, Vec::<String>::new(), "operation {at}");
        assert_eq!(store.recovery().mended, Vec::<String>::new(), "operation {at}");
        let kept = names(&disk, Path::new(DIR), "quarantine");
        assert!(
            kept.iter().all(|name| !name.contains(".seg") && !name.contains(".run")),
            "operation {at}: {kept:?}"
        );
        let report = store.check(true).unwrap();
        assert_eq!(report.findings, [], "operation {at}");
        store.close().unwrap();
    }
}

/// What was written last is not there: what the manifest calls dropped may be all there is.
#[test]
fn nothing_is_unlinked_when_the_open_segment_is_missing() {
    let disk = SimDisk::new(4);
    let mut options = StoreOptions::for_tests();
    options.log.segment_bytes = 32 << 10;
    options.keep.retention_ms = 0;
    let clock = Arc::new(SimClock::new(1_700_000_000_000));
    let store = Store::open_on(Arc::new(disk.clone()), clock, Path::new(DIR), options).unwrap();
    fill(&store);
    let folders = ["log", "bodies", "cold"];
    let segments = |disk: &SimDisk| -> usize {
        let all = folders.iter().flat_map(|folder| names(disk, Path::new(DIR), folder));
        all.chain(names(disk, Path::new(DIR), "quarantine")).filter(|name| name.ends_with(".seg")).count()
    };
    let disk = disk.kill();
    drop(store);
    let newest = names(&disk, Path::new(DIR), "log");
    let newest =
        newest.iter().filter_map(|name| name.strip_suffix(".seg")?.parse::<u32>().ok()).max().unwrap();
    let path = Path::new(DIR).join(format!("log/{newest}.seg"));
    disk.remove_file(&path).unwrap();
    disk.sync_dir(path.parent().unwrap()).unwrap();
    let before = segments(&disk);
    let store = open(&disk);
    assert!(!names(&disk, Path::new(DIR), "quarantine").is_empty());
    assert!(segments(&disk) > before, "one was made, and none is gone");
    drop(store.close());
}

/// The end of the log is cut, and there is no room for a copy of it: wherever that is interrupted, the bytes stay.
#[test]
fn a_cut_end_stays_though_there_is_no_room_to_copy_it() {
    let start = SimDisk::new(5);
    let store = open(&start);
    let id = store.create_account(&NewAccount { name: "a", ..NewAccount::default() }).unwrap();
    (10..14).for_each(|number| append(&store, id, number).unwrap());
    let start = start.kill();
    drop(store);
    let log = names(&start, Path::new(DIR), "log").into_iter().find(|name| name.ends_with(".seg")).unwrap();
    let path = Path::new(DIR).join("log").join(log);
    let bytes = read(&start, &path);
    // Small blocks of noise are stored as they are, or packed: what is stored of the last one is found by its digest.
    let digest = *blake3::hash(text(13).as_bytes()).as_bytes();
    let at = bytes.windows(32).position(|window| window == digest).unwrap();
    assert!(start.flip_bit(&path, at as u64 + 3, 1));
    let needle = bytes[at + 8..at + 32].to_vec();
    let is_kept = |disk: &SimDisk| {
        let folder = Path::new(DIR).join("quarantine");
        let kept = names(disk, Path::new(DIR), "quarantine");
        kept.iter().any(|name| read(disk, &folder.join(name)).windows(24).any(|window| window == needle))
    };
    let mut kept_whole = 0;
    for n in 0.. {
        let disk = start.kill();
        disk.set_capacity_bytes(Some(disk.used_bytes()));
        let before = disk.operations();
        disk.cut_at_operation(before + n);
        let opened = try_open(Arc::new(disk.clone()), Path::new(DIR));
        let is_done = opened.is_ok() && disk.operations() < before + n;
        drop(opened);
        let disk = disk.kill();
        disk.set_capacity_bytes(None);
        drop(open(&disk).close());
        assert!(is_kept(&disk), "operation {n}");
        let quarantine = names(&disk, Path::new(DIR), "quarantine");
        kept_whole += u64::from(quarantine.iter().any(|name| name.ends_with(".seg")));
        if is_done {
            break;
        }
    }
    assert!(kept_whole > 0);
}
