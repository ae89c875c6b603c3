//! A search that takes long: it says how far it is (RFC 9585), stands in nobody's way, and ends with its
//! client. The disk waits at a gate for as long as a test wants.

#![allow(clippy::unwrap_used)]

mod common;

use common::net::{Running, config};
use common::{Client, Fixture};
use engine::sys::clock::SystemClock;
use engine::sys::disk::{Disk, File, RealDisk};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

const MESSAGES: usize = 500;

/// How many reads may pass; `None` is any number.
#[derive(Default)]
struct Gate {
    left: Mutex<Option<usize>>,
    opened: Condvar,
    passed: AtomicUsize,
}

impl Gate {
    fn set(&self, left: Option<usize>) {
        *self.left.lock().unwrap() = left;
        self.opened.notify_all();
    }

    fn pass(&self) {
        let left = self.left.lock().unwrap();
        let mut left = self.opened.wait_while(left, |left| *left == Some(0)).unwrap();
        if let Some(left) = &mut *left {
            *left -= 1;
            self.passed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The real disk behind the gate.
struct GatedDisk(Arc<Gate>);

struct GatedFile(Arc<Gate>, Box<dyn File>);

impl GatedDisk {
    fn file(&self, file: io::Result<Box<dyn File>>) -> io::Result<Box<dyn File>> {
        Ok(Box::new(GatedFile(Arc::clone(&self.0), file?)))
    }
}

impl File for GatedFile {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.pass();
        self.1.read_exact_at(buf, offset)
    }
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.1.write_all_at(bytes, offset)
    }
    fn len_bytes(&self) -> io::Result<u64> {
        self.1.len_bytes()
    }
    fn truncate(&self, len_bytes: u64) -> io::Result<()> {
        self.1.truncate(len_bytes)
    }
    fn allocate(&self, len_bytes: u64) -> io::Result<()> {
        self.1.allocate(len_bytes)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.1.sync_data()
    }
}

impl Disk for GatedDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.file(RealDisk.create(path))
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.file(RealDisk.open(path))
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_dir_all(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_file(path)
    }
    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_dir_all(path)
    }
    fn exists(&self, path: &Path) -> bool {
        RealDisk.exists(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.sync_dir(dir)
    }
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        RealDisk.lock(path)
    }
    fn is_real(&self) -> bool {
        true
    }
}

/// A mailbox of messages that all have the header searched for: each must be read.
fn mailbox() -> (Fixture, Arc<Gate>) {
    let gate = Arc::new(Gate::default());
    let fixture = Fixture::on(Arc::new(GatedDisk(Arc::clone(&gate))), Arc::new(SystemClock));
    let mut client = Client::logged_in(&fixture.shared());
    let message = "X-Mark: yes\r\nSubject: hello\r\n\r\ntext\r\n";
    let one = format!(" {{{}+}}\r\n{message}", message.len());
    let answer = client.send(format!("a APPEND INBOX{}\r\n", one.repeat(MESSAGES)).as_bytes());
    assert!(answer.starts_with("a OK"), "{answer}");
    (fixture, gate)
}

const SEARCH: &str = "long SEARCH RETURN (COUNT) HEADER X-Mark yes\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn it_says_how_far_it_is_and_others_go_on() {
    let (fixture, gate) = mailbox();
    let server = Running::start(&fixture, &config()).await;
    let (mut slow, mut other) = (server.logged_in().await, server.logged_in().await);
    slow.ok("SELECT INBOX").await;
    other.ok("SELECT INBOX").await;

    gate.set(Some(0));
    slow.send(SEARCH).await;
    let progress = slow.line().await;
    assert!(progress.starts_with("* OK [INPROGRESS (\"long\" "), "{progress}");
    // The other session has nothing to wait for.
    other.ok("NOOP").await;
    other.ok("SEARCH UNSEEN").await;
    other.ok("FETCH 1:* FLAGS").await;
    gate.set(None);

    let mut line = slow.line().await;
    while line.starts_with("* OK [INPROGRESS (\"long\" ") {
        line = slow.line().await;
    }
    assert_eq!(line, format!("* ESEARCH (TAG \"long\") COUNT {MESSAGES}"));
    assert_eq!(slow.line().await, "long OK SEARCH completed");
    server.stop().await;
    fixture.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_when_its_client_goes_away() {
    let (fixture, gate) = mailbox();
    let server = Running::start(&fixture, &config()).await;
    let mut client = server.logged_in().await;
    client.ok("SELECT INBOX").await;
    gate.set(Some(0));
    client.send(SEARCH).await;
    let progress = client.line().await;
    assert!(progress.contains("INPROGRESS"), "{progress}");
    drop(client);

    // Reads are let through one by one until no connection is left.
    let stopped = tokio::spawn(server.stop());
    while !stopped.is_finished() {
        gate.set(Some(1));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stopped.await.unwrap();
    let passed = gate.passed.load(Ordering::Relaxed);
    assert!(passed < MESSAGES, "the search went on for {passed} reads");
    gate.set(None);
    fixture.end();
}
