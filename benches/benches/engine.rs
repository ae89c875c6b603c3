//! What the engine's own steps cost, without a socket: a durable append, a message read back, a mailbox
//! searched by reading it.
//!
//! `cargo bench -p benches --bench engine`

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use engine::log::StagedMessage;
use engine::mailbox::{Row, View};
use engine::ops::{AppendItem, NewAccount};
use engine::search::{self, Context, Helpers, Key, Means, Messages, Progress};
use engine::types::{AccountId, MailboxId, Uid, UidSet};
use engine::{Result, Store, StoreOptions};
use std::cell::Cell;
use std::hint::black_box;
use std::sync::atomic::AtomicBool;
use tempfile::TempDir;

const MESSAGE_BYTES: usize = 4096;
const FILLED: usize = 2000;

struct Bench {
    store: Store,
    account: AccountId,
    inbox: MailboxId,
    written: Cell<usize>,
    /// Last, so that the store is closed before its folder goes.
    _dir: TempDir,
}

impl Bench {
    fn open() -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let store = Store::open(dir.path(), StoreOptions::default()).expect("a store");
        let new = NewAccount { name: "bench", password: None, quota_bytes: None };
        let account = store.create_account(&new).expect("an account");
        let version = store.account(account).expect("the account");
        let inbox = version.mailbox_named("INBOX").expect("its inbox").header.id;
        Self { store, account, inbox, written: Cell::new(0), _dir: dir }
    }

    fn filled() -> Self {
        let bench = Self::open();
        bench.append((0..FILLED).map(|_| bench.stage()).collect()).expect("an append");
        bench
    }

    fn stage(&self) -> StagedMessage {
        self.written.update(|written| written + 1);
        let mut stager = self.store.stager();
        stager.write(&message(self.written.get())).and_then(|()| stager.finish()).expect("a staged message")
    }

    fn append(&self, messages: Vec<StagedMessage>) -> Result<()> {
        let item = |message| AppendItem { message, flags: vec![], internal_date: None };
        self.store.append(self.account, self.inbox, messages.into_iter().map(item).collect()).map(drop)
    }

    fn rows(&self) -> Vec<Row> {
        let mailbox = self.store.mailbox(self.account, self.inbox).expect("the mailbox");
        let uids = mailbox.uids().expect("its UIDs");
        uids.iter().filter_map(|uid| mailbox.by_uid(Uid(uid)).expect("a row")).collect()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.store.close().expect("a clean close");
    }
}

/// One committer: bound by the disk's fdatasync. Sixteen in one transaction share it.
fn append(c: &mut Criterion) {
    let bench = Bench::open();
    let mut group = c.benchmark_group("append 4 KiB, durable");
    for count in [1, 16] {
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(format!("{count} a transaction"), |b| {
            b.iter_batched(
                || (0..count).map(|_| bench.stage()).collect::<Vec<_>>(),
                |messages| bench.append(messages).expect("an append"),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn read(c: &mut Criterion) {
    let bench = Bench::filled();
    let rows = bench.rows();
    let mut next = rows.iter().cycle();
    let mut group = c.benchmark_group("read");
    group.throughput(Throughput::Bytes(MESSAGE_BYTES as u64));
    group.bench_function("a whole 4 KiB message", |b| {
        b.iter(|| {
            let row = next.next().expect("a row");
            black_box(bench.store.email(row).and_then(|email| email.read_all()).expect("a message"))
        });
    });
    group.finish();
}

/// The messages of a bench's store, for search.
struct Reader<'a>(&'a Store);

impl Messages for Reader<'_> {
    fn email_bytes(&self, row: &Row) -> Result<Vec<u8>> {
        self.0.email(row)?.read_all()
    }

    fn header_bytes(&self, row: &Row) -> Result<Vec<u8>> {
        self.0.email(row)?.header()
    }
}

/// Every message read, decoded and folded: what a text key costs before there is an index.
fn scan(c: &mut Criterion) {
    let bench = Bench::filled();
    let view = View::open(bench.store.mailbox(bench.account, bench.inbox).expect("the mailbox"));
    let (recent, cancel) = (UidSet::new(), AtomicBool::new(false));
    let (reader, helpers) = (Reader(&bench.store), Helpers::default());
    let means = Means { messages: &reader, index: None, helpers: &helpers };
    let progress = Progress::default();
    let context = Context { recent: &recent, now_s: 0, cancel: &cancel, progress: &progress };
    let mut group = c.benchmark_group(format!("search {FILLED} messages of 4 KiB"));
    group.sample_size(10).throughput(Throughput::Elements(FILLED as u64));
    let keys = [
        ("LARGER", Key::Larger(1 << 20)),
        ("SUBJECT", Key::Header { name: "subject".into(), string: "number 77".into() }),
        ("TEXT", Key::Text("of message 77,".into())),
    ];
    for (name, key) in keys {
        group.bench_function(name, |b| {
            b.iter(|| black_box(search::run(means, &view, &key, &context).expect("an answer")));
        });
    }
    group.finish();
}

/// Unlike any other of the same length.
fn message(n: usize) -> Vec<u8> {
    let mut text =
        format!("From: a@example.org\r\nSubject: number {n}\r\nMessage-ID: <{n}@example.org>\r\n\r\n");
    while text.len() < MESSAGE_BYTES {
        text.push_str(&format!("line {} of message {n}, with words to compress\r\n", text.len()));
    }
    text.truncate(MESSAGE_BYTES);
    text.into_bytes()
}

criterion_group!(benches, append, read, scan);
criterion_main!(benches);
