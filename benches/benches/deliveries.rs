//! LMTP deliveries a second, each answered 250 only when durable, beside what the disk itself can do in
//! the same folder in the same run.
//!
//! `cargo bench -p benches --bench deliveries -- [--seconds N] [--dir FOLDER]`
//!
//! Two rates of the disk, one `fdatasync` a write each:
//! - *bare*: 4 KiB appended to a growing file, what a plain append costs;
//! - *same*: as many bytes as a group of the row had, into allocated room, what the log itself does.
//!   Messages are stored compressed, so a group of one is smaller than its message.
//!
//! One connection can do one delivery a sync (the column *a sync* says so), more connections share them.
//! The three are measured in turns of a fraction of a second, because a shared disk changes from
//! second to second: ratios hold within a row. Clients and server share the processors.

use engine::ops::NewAccount;
use engine::sys::disk::{Disk, RealDisk};
use engine::{Store, StoreOptions};
use lmtpd::deliver::store::StoreDeliver;
use lmtpd::{Server, ServerOptions};
use std::error::Error;
use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const MESSAGE_BYTES: usize = 4096;
const CONNECTIONS: [usize; 3] = [1, 8, 64];
/// Of deliveries; each rate of the disk has half of it.
const TURN: Duration = Duration::from_millis(500);
/// As a segment of the log.
const ROOM_BYTES: u64 = 64 << 20;

fn main() -> Outcome<()> {
    let options = Options::from_args()?;
    let dir = tempfile::tempdir_in(&options.dir)?;
    let store = Store::open(&dir.path().join("store"), StoreOptions::default())?;
    for n in 0..CONNECTIONS[CONNECTIONS.len() - 1] {
        store.create_account(&NewAccount { name: &format!("u{n}"), password: None, quota_bytes: None })?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let lmtp = ServerOptions { listen: vec!["127.0.0.1:0".parse()?], ..ServerOptions::default() };
    let server = runtime.block_on(Server::bind(lmtp, StoreDeliver::new(store.clone())))?;
    let address = server.addresses().first().ok_or("the server has no address")?.to_string();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = runtime.spawn(server.run(async move {
        let _ = stopped.await;
    }));

    let seconds = options.window.as_secs();
    println!("LMTP over loopback, {MESSAGE_BYTES} byte messages, fsync on, {seconds} s a row");
    println!(
        "connections  deliveries/s  p50 ms  p99 ms  a sync  log B each  bare/s  ratio  same/s  syncs/same"
    );
    let mut given = 0;
    for connections in CONNECTIONS {
        let row = Row::measure(&store, &address, dir.path(), connections, options.window)?;
        println!("{row}");
        given += row.took.len() as u64;
    }

    let _ = stop.send(());
    runtime.block_on(running)?;
    let stored: u64 = store.accounts()?.iter().map(|account| account.messages).sum();
    let findings = store.check(false)?.findings;
    store.close()?;
    println!("250s given: {given}; messages stored: {stored}; check: {} findings", findings.len());
    if stored != given || !findings.is_empty() {
        return Err(format!("what was answered is not what is stored: {findings:#?}").into());
    }
    Ok(())
}

struct Options {
    window: Duration,
    dir: PathBuf,
}

impl Options {
    fn from_args() -> Outcome<Self> {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let mut options = Self { window: Duration::from_secs(10), dir };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            match arg.as_str() {
                // Cargo says it to every bench.
                "--bench" => {}
                "--seconds" => {
                    let seconds = args.next().ok_or("--seconds needs a number")?;
                    options.window = Duration::from_secs(seconds.parse()?);
                }
                "--dir" => options.dir = args.next().ok_or("--dir needs a folder")?.into(),
                other => {
                    return Err(format!("unknown argument {other}: try --seconds N, --dir FOLDER").into());
                }
            }
        }
        Ok(options)
    }
}

/// What one number of connections came to, over all turns.
#[derive(Default)]
struct Row {
    connections: usize,
    /// How long each 250 took, from MAIL on, sorted.
    took: Vec<Duration>,
    elapsed: Duration,
    groups: u64,
    log_bytes: u64,
    bare: Rate,
    same: Rate,
}

impl Row {
    fn measure(
        store: &Store,
        address: &str,
        dir: &Path,
        connections: usize,
        window: Duration,
    ) -> Outcome<Self> {
        let mut row = Self { connections, ..Self::default() };
        while row.elapsed < window {
            row.bare.measure(&dir.join("bare"), MESSAGE_BYTES, 0)?;
            let before = store.stats()?.counts;
            let (took, elapsed) = deliver(address, connections, TURN)?;
            let after = store.stats()?.counts;
            row.took.extend(took);
            row.elapsed += elapsed;
            row.groups += after.groups - before.groups;
            row.log_bytes += after.log_bytes - before.log_bytes;
            let group_bytes = usize::try_from(row.log_bytes / row.groups.max(1))?;
            row.same.measure(&dir.join("same"), group_bytes, ROOM_BYTES)?;
        }
        row.took.sort_unstable();
        Ok(row)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, groups) = (self.took.len() as f64, self.groups as f64);
        let (rate, groups_rate) = (count / self.elapsed.as_secs_f64(), groups / self.elapsed.as_secs_f64());
        let (bare, same) = (self.bare.a_second(), self.same.a_second());
        let (p50, p99) = (percentile_ms(&self.took, 50), percentile_ms(&self.took, 99));
        write!(f, "{:>11}  {rate:>12.0}  {p50:>6.2}  {p99:>6.2}", self.connections)?;
        write!(f, "  {:>6.2}  {:>10.0}", count / groups, self.log_bytes as f64 / count)?;
        write!(f, "  {bare:>6.0}  {:>5.2}  {same:>6.0}  {:>10.2}", rate / bare, groups_rate / same)
    }
}

/// Writes followed by an `fdatasync` each.
#[derive(Default)]
struct Rate {
    count: u32,
    elapsed: Duration,
}

impl Rate {
    /// Appends to a new file for half a turn; within room allocated before, when there is to be any.
    fn measure(&mut self, path: &Path, write_bytes: usize, room_bytes: u64) -> Outcome<()> {
        let file = RealDisk.create(path)?;
        if room_bytes > 0 {
            file.allocate(room_bytes)?;
        }
        file.sync_data()?;
        let block = vec![b'x'; write_bytes];
        let mut at = 0;
        let started = Instant::now();
        while started.elapsed() < TURN / 2 && (room_bytes == 0 || at + block.len() as u64 <= room_bytes) {
            file.write_all_at(&block, at)?;
            file.sync_data()?;
            at += block.len() as u64;
            self.count += 1;
        }
        self.elapsed += started.elapsed();
        RealDisk.remove_file(path)?;
        Ok(())
    }

    fn a_second(&self) -> f64 {
        f64::from(self.count) / self.elapsed.as_secs_f64()
    }
}

/// Delivers over so many connections for a while: how long each took, and how long all of it.
fn deliver(address: &str, connections: usize, window: Duration) -> Outcome<(Vec<Duration>, Duration)> {
    let begin = Arc::new(Barrier::new(connections + 1));
    let clients: Vec<_> = (0..connections)
        .map(|n| {
            let (address, begin) = (address.to_owned(), begin.clone());
            thread::spawn(move || {
                let client = Client::connect(&address);
                begin.wait();
                deliver_until(client?, n, Instant::now() + window)
            })
        })
        .collect();
    begin.wait();
    let started = Instant::now();
    let mut took = Vec::new();
    for client in clients {
        took.extend(client.join().map_err(|_| "a client panicked")??);
    }
    Ok((took, started.elapsed()))
}

fn deliver_until(mut client: Client, n: usize, until: Instant) -> Outcome<Vec<Duration>> {
    let envelope = format!(
        "MAIL FROM:<bench@example.org> SIZE={MESSAGE_BYTES}\r\nRCPT TO:<u{n}@example.org>\r\nDATA\r\n"
    );
    let mut took = Vec::new();
    while Instant::now() < until {
        let mut wire = message(n);
        wire.extend_from_slice(b".\r\n");
        let started = Instant::now();
        client.ask(envelope.as_bytes(), &["250", "250", "354"])?;
        client.ask(&wire, &["250"])?;
        took.push(started.elapsed());
    }
    client.ask(b"QUIT\r\n", &["221"])?;
    Ok(took)
}

struct Client {
    stream: BufReader<TcpStream>,
    line: String,
}

impl Client {
    fn connect(address: &str) -> Outcome<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut client = Self { stream: BufReader::new(stream), line: String::new() };
        client.ask(b"LHLO bench\r\n", &["220"])?;
        while client.hear("250")?.starts_with("250-") {}
        Ok(client)
    }

    fn ask(&mut self, wire: &[u8], replies: &[&str]) -> Outcome<()> {
        self.stream.get_mut().write_all(wire)?;
        replies.iter().try_for_each(|want| self.hear(want).map(drop))
    }

    fn hear(&mut self, want: &str) -> Outcome<&str> {
        self.line.clear();
        self.stream.read_line(&mut self.line)?;
        if !self.line.starts_with(want) {
            return Err(format!("wanted {want}, heard {}", self.line).into());
        }
        Ok(&self.line)
    }
}

/// A message of exactly `MESSAGE_BYTES`, unlike any other, which compresses about as text does.
fn message(connection: usize) -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "mail", "store", "about", "which", "durable", "group", "there", "commit", "reader", "people",
        "would", "first", "message", "should", "system", "other",
    ];
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let mut state = NUMBER.fetch_add(1, Ordering::Relaxed);
    let mut text = format!(
        "From: bench@example.org\r\nTo: u{connection}@example.org\r\nSubject: number {state}\r\n\
         Message-ID: <{state}@example.org>\r\n\r\n"
    );
    while text.len() < MESSAGE_BYTES {
        for _ in 0..9 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let word = WORDS[(state >> 60) as usize];
            text.push_str(&format!("{word}{:x} ", (state >> 40) & 0xff));
        }
        text.push_str("\r\n");
    }
    text.truncate(MESSAGE_BYTES - 2);
    text.push_str("\r\n");
    text.into_bytes()
}

/// Of sorted times.
fn percentile_ms(sorted: &[Duration], percent: usize) -> f64 {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(0.0, |took| took.as_secs_f64() * 1000.0)
}
