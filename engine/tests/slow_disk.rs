//! A disk that takes its time: who waits for it, and who must not.
#![allow(clippy::unwrap_used)]

mod common;

use common::assert_clean;
use engine::ops::{AppendItem, NewAccount, Store, StoreOptions};
use engine::sys::clock::SystemClock;
use engine::sys::disk::{Disk, File, RealDisk};
use engine::sys::sim::SimDisk;
use engine::types::{AccountId, UidSet};
use parking_lot::{Condvar, Mutex};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Far longer than anything here takes when it does not wait for itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// A call of the disk that can be made to hang.
#[derive(Default)]
struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    closed: bool,
    waiting: usize,
}

impl Gate {
    fn pass(&self) {
        let mut state = self.state.lock();
        if state.closed {
            state.waiting += 1;
            self.changed.notify_all();
            while state.closed {
                self.changed.wait(&mut state);
            }
            state.waiting -= 1;
        }
    }

    fn close(&self) {
        self.state.lock().closed = true;
    }

    fn open(&self) {
        self.state.lock().closed = false;
        self.changed.notify_all();
    }

    fn wait_until_somebody_hangs(&self) {
        let mut state = self.state.lock();
        while state.waiting == 0 {
            assert!(!self.changed.wait_for(&mut state, PATIENCE).timed_out(), "nobody came to the gate");
        }
    }
}

/// A disk with a gate before syncs of the log, one before listings, and one before a segment of the text index is
/// begun.
#[derive(Clone)]
struct Slow {
    disk: Arc<dyn Disk>,
    syncs: Arc<Gate>,
    lists: Arc<Gate>,
    text: Arc<Gate>,
}

struct SlowFile {
    file: Box<dyn File>,
    syncs: Option<Arc<Gate>>,
}

impl Slow {
    fn over(disk: Arc<dyn Disk>) -> Self {
        Self { disk, syncs: Arc::default(), lists: Arc::default(), text: Arc::default() }
    }

    fn wrap(&self, path: &Path, file: Box<dyn File>) -> Box<dyn File> {
        let syncs = path.starts_with("/store/log").then(|| self.syncs.clone());
        Box::new(SlowFile { file, syncs })
    }
}

impl File for SlowFile {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }
    fn len_bytes(&self) -> io::Result<u64> {
        self.file.len_bytes()
    }
    fn truncate(&self, len_bytes: u64) -> io::Result<()> {
        self.file.truncate(len_bytes)
    }
    fn allocate(&self, len_bytes: u64) -> io::Result<()> {
        self.file.allocate(len_bytes)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.syncs.iter().for_each(|gate| gate.pass());
        self.file.sync_data()
    }
}

impl Disk for Slow {
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        Ok(self.wrap(path, self.disk.create(path)?))
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        Ok(self.wrap(path, self.disk.open(path)?))
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let is_number =
            path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.parse::<u32>().is_ok());
        if is_number && path.parent().is_some_and(|folder| folder.ends_with("text/1")) {
            self.text.pass();
        }
        self.disk.create_dir_all(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.lists.pass();
        self.disk.list(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_file(path)
    }
    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir_all(path)
    }
    fn exists(&self, path: &Path) -> bool {
        self.disk.exists(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        self.disk.lock(path)
    }
    fn is_real(&self) -> bool {
        self.disk.is_real()
    }
}

fn opened() -> (Slow, Store, AccountId) {
    let slow = Slow::over(Arc::new(SimDisk::new(1)));
    let disk: Arc<dyn Disk> = Arc::new(slow.clone());
    let store =
        Store::open_on(disk, Arc::new(SystemClock), Path::new("/store"), StoreOptions::for_tests()).unwrap();
    let id = store.create_account(&NewAccount { name: "a", ..NewAccount::default() }).unwrap();
    (slow, store, id)
}

fn append(store: &Store, id: AccountId, text: &str) -> engine::Result<UidSet> {
    let inbox = store.account(id)?.mailbox_named("INBOX").unwrap().header.id;
    let mut stager = store.stager();
    stager.write(text.as_bytes())?;
    let message = stager.finish()?;
    Ok(store.append(id, inbox, vec![AppendItem { message, flags: vec![], internal_date: None }])?.uids)
}

/// Runs beside; what it answers is waited for with patience alone.
fn beside<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
    let (answer, wait) = channel();
    std::thread::spawn(move || drop(answer.send(run())));
    wait
}

/// A commit that waits for the disk holds nothing that a reader needs: accounts, rows, messages, numbers.
#[test]
fn a_slow_sync_keeps_no_reader_waiting() {
    let (slow, store, id) = opened();
    append(&store, id, "Subject: first\r\n\r\n").unwrap();
    slow.syncs.close();
    let of_writer = store.clone();
    let second = beside(move || append(&of_writer, id, "Subject: second\r\n\r\n"));
    slow.syncs.wait_until_somebody_hangs();
    let of_reader = store.clone();
    let read = beside(move || {
        let inbox = of_reader.account(id).unwrap().mailbox_named("INBOX").unwrap().clone();
        let rows: Vec<_> = inbox.rows(&UidSet::from_range(1, u32::MAX)).map(Result::unwrap).collect();
        let bytes: Vec<_> =
            rows.iter().map(|row| of_reader.email(row).unwrap().read_all().unwrap()).collect();
        let stats = of_reader.stats().unwrap();
        (bytes, stats.messages, of_reader.route("a@example.org").is_some())
    });
    let (bytes, messages, is_known) = read.recv_timeout(PATIENCE).expect("a reader waits for the sync");
    assert_eq!((bytes, messages, is_known), (vec![b"Subject: first\r\n\r\n".to_vec()], 1, true));
    assert!(second.try_recv().is_err(), "answered before the sync");
    slow.syncs.open();
    assert_eq!(second.recv_timeout(PATIENCE).unwrap().unwrap().to_string(), "2");
    assert_clean(&store);
    store.close().unwrap();
}

/// While `stats` asks the disk, commits are published: it holds no lock that they need, and so cannot wait for itself.
#[test]
fn stats_that_wait_for_the_disk_keep_no_commit_waiting() {
    let (slow, store, id) = opened();
    slow.lists.close();
    let of_stats = store.clone();
    let stats = beside(move || of_stats.stats().map(|stats| stats.messages));
    slow.lists.wait_until_somebody_hangs();
    let of_writer = store.clone();
    let appended = beside(move || append(&of_writer, id, "Subject: meanwhile\r\n\r\n"));
    let uids = appended.recv_timeout(PATIENCE).expect("a commit waits for stats").unwrap();
    assert_eq!(uids.to_string(), "1");
    slow.lists.open();
    assert!(stats.recv_timeout(PATIENCE).unwrap().is_ok());
    assert_clean(&store);
    store.close().unwrap();
}

/// Segments of the text index are merged; the store stops in the middle. What was cut off is not noted as settled: the
/// next opening does it.
#[test]
fn a_merge_that_a_stop_cut_off_is_done_by_the_next_opening() {
    let dir = tempfile::tempdir().unwrap();
    let options = |segments_max: usize| {
        let mut options = StoreOptions::for_tests();
        options.text.workers = 1;
        options.text.segment_text_bytes = 2_000;
        options.text.tail_only_bytes = 1_000;
        options.text.segments_max = segments_max;
        options.text.quiet_ms = 0;
        options
    };
    let open = |slow: &Slow, segments_max| {
        let disk: Arc<dyn Disk> = Arc::new(slow.clone());
        Store::open_on(disk, Arc::new(SystemClock), dir.path(), options(segments_max)).unwrap()
    };
    let slow = Slow::over(Arc::new(RealDisk));
    let store = open(&slow, 100);
    let id = store.create_account(&NewAccount { name: "a", ..NewAccount::default() }).unwrap();
    for number in 0..6 {
        append(&store, id, &format!("Subject: {number}\r\n\r\n{}", "many words of text\r\n".repeat(150)))
            .unwrap();
        assert!(store.settle_index().unwrap());
    }
    let built = store.index_stats(Some(id)).unwrap().figures.segments;
    assert!(built > 3, "only {built} segments");
    store.close().unwrap();
    drop(store);

    let store = open(&slow, 2);
    slow.text.close();
    append(&store, id, "Subject: wakes the index\r\n\r\n").unwrap();
    slow.text.wait_until_somebody_hangs();
    let of_close = store.clone();
    let closed = beside(move || of_close.close());
    // Time for the stop to be asked for. Without it the merge comes to its end, and nothing is shown.
    std::thread::sleep(Duration::from_millis(300));
    slow.text.open();
    closed.recv_timeout(PATIENCE).unwrap().unwrap();
    drop(store);
    let cut_off = std::fs::read_dir(dir.path().join("text/1")).unwrap().count();
    assert!(cut_off > 3, "the merge was not cut off");

    let store = open(&slow, 2);
    assert!(store.settle_index().unwrap());
    let merged = store.index_stats(Some(id)).unwrap().figures.segments;
    assert!(merged <= 2, "{merged} segments of {built} are left: the merge was forgotten");
    assert_clean(&store);
    store.close().unwrap();
}
