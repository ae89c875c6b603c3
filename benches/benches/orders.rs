//! What SORT and THREAD cost on a mailbox of a million messages and of twenty thousand, with every summary
//! in its packs and every row in memory; and what it takes to make the summaries.
//!
//! `cargo bench -p benches --bench orders`; `-- 20000` for one size. Prints the best and the median of eleven
//! runs in milliseconds, and the processor time of one, both threads together: what counts where the machine is
//! busy. The memory is the process's own peak, the rows of the mailbox included.

use engine::catalog::Catalog;
use engine::error::{Error, Result};
use engine::mailbox::{Header, Mailbox, Pager, Row, RowFlags, View};
use engine::search::{Messages, SortBy, SortKey, Sources, ThreadBy, sort, thread};
use engine::summary::{Summaries, Summary};
use engine::sys::disk::RealDisk;
use engine::sys::sim::Rng;
use engine::types::{
    AccountId, EmailId, MailboxId, MessageNo, ModSeq, ThreadId, Uid, UidSet, UidValidity, ZonedTime,
};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

const ACCOUNT: AccountId = AccountId(1);
const RUNS: usize = 11;
const BATCH: u32 = 1000;

/// Every message has its summary: none is read.
struct Nothing;

impl Messages for Nothing {
    fn email_bytes(&self, _: &Row) -> Result<Vec<u8>> {
        Err(Error::NoSuchMessage)
    }

    fn header_bytes(&self, _: &Row) -> Result<Vec<u8>> {
        Err(Error::Closed)
    }
}

/// Headers as a mailbox has them: two in three answer one of the last hundred, with all the references of it.
struct Mails {
    rng: Rng,
    recent: Vec<(String, Vec<String>)>,
}

impl Mails {
    fn next(&mut self, n: u32) -> String {
        const WORDS: [&str; 12] = [
            "budget", "meeting", "release", "kernel", "patch", "question", "about", "the", "weekly",
            "report", "Grüße", "order",
        ];
        let id = format!("<{n}.{:x}@mail.example>", self.rng.next_u64());
        let answered = self.rng.below(100) as usize;
        let (subject, references) = match self.recent.get(answered) {
            Some((subject, references)) if !self.rng.one_in(3) => {
                (format!("Re: {subject}"), references.clone())
            }
            _ => {
                let words: Vec<&str> = (0..4).map(|_| WORDS[self.rng.below(12) as usize]).collect();
                (format!("[list] {} {}", words.join(" "), self.rng.below(200_000)), Vec::new())
            }
        };
        let base = subject.trim_start_matches("Re: ").to_owned();
        let mut own = references.clone();
        own.push(id.clone());
        if own.len() > 12 {
            own.remove(1);
        }
        if self.recent.len() < 100 {
            self.recent.push((base, own));
        } else {
            self.recent[answered] = (base, own);
        }
        format!(
            "From: Person {0} <person{0}@x.example>\r\nTo: list@x.example\r\nSubject: {subject}\r\nMessage-ID: {id}\r\n\
             References: {1}\r\n\r\n",
            self.rng.below(5000),
            references.join("\r\n "),
        )
    }
}

fn made(count: u32, summaries: &Summaries) -> View {
    let pager = Pager::new(Arc::new(Catalog::in_memory()), 4 << 30);
    let header = Header::new(ACCOUNT, MailboxId(1), "INBOX", UidValidity(1), ModSeq(1));
    let mut mailbox = Mailbox::new(header, pager);
    let mut mails = Mails { rng: Rng::new(1), recent: Vec::new() };
    let (mut summing, mut appending) = (0.0, 0.0);
    for first in (0..count).step_by(BATCH as usize) {
        let emails = first..(first + BATCH).min(count);
        let headers: Vec<String> = emails.clone().map(|n| mails.next(n)).collect();
        let began = Instant::now();
        let rows: Vec<(EmailId, Summary)> =
            emails.clone().zip(&headers).map(|(n, h)| (EmailId(n), Summary::of(h.as_bytes()))).collect();
        summing += began.elapsed().as_secs_f64();
        let began = Instant::now();
        summaries.append(ACCOUNT, &rows, EmailId(emails.end)).expect("appended");
        appending += began.elapsed().as_secs_f64();
        for n in emails {
            let sent = 1_700_000_000 + i64::from(n) * 60 + mails.rng.below(7200) as i64;
            let row = Row {
                uid: Uid(n + 1),
                modseq: ModSeq(u64::from(n) + 1),
                message: MessageNo(u64::from(n)),
                email: EmailId(n),
                thread: ThreadId(1),
                size_bytes: 1000 + mails.rng.below(100_000) as u32,
                internal_date: ZonedTime::utc(sent + 30),
                save_date_s: sent,
                sent: Some(ZonedTime::utc(sent)),
                flags: RowFlags::default(),
                prefix: Arc::from(&b""[..]),
            };
            mailbox.append(row).expect("a row");
        }
    }
    let bytes = summaries.disk_bytes(ACCOUNT).expect("bytes");
    let packs = summaries.packs(ACCOUNT).expect("packs");
    println!(
        "{count} summaries: {:.1} us each to make, {:.1} us to append; {packs} packs, {:.0} bytes each on disk",
        summing * 1e6 / f64::from(count),
        appending * 1e6 / f64::from(count),
        bytes as f64 / f64::from(count)
    );
    View::open(Arc::new(mailbox))
}

fn measure(name: &str, mut run: impl FnMut()) {
    let used_before_ms = processor_ms();
    let mut times_ms: Vec<f64> = (0..RUNS)
        .map(|_| {
            let began = Instant::now();
            run();
            began.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times_ms.sort_by(f64::total_cmp);
    let used_ms = (processor_ms() - used_before_ms) / RUNS as f64;
    let (best, median) = (times_ms[0], times_ms[RUNS / 2]);
    println!("{name:26} best {best:7.1} ms, median {median:7.1} ms, processor {used_ms:7.1} ms");
}

/// What the process has used so far; /proc counts in hundredths of a second.
fn processor_ms() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
    ticks * 10.0
}

/// Peak memory of the process so far, in MiB.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() / 1024
}

fn bench(count: u32) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let summaries = Summaries::open(Arc::new(RealDisk), dir.path(), [1; 16]);
    let view = made(count, &summaries);
    let before = peak_mib();
    let cancel = AtomicBool::new(false);
    let sources =
        Sources { messages: &Nothing, summaries: &summaries, account: ACCOUNT, view: &view, cancel: &cancel };
    let all = UidSet::from_range(1, count);
    let ascending = |by| SortKey { by, reverse: false };
    let sorts: [(&str, Vec<SortKey>); 5] = [
        ("SORT (DATE)", vec![ascending(SortBy::Date)]),
        ("SORT (REVERSE SIZE)", vec![SortKey { by: SortBy::Size, reverse: true }]),
        ("SORT (SUBJECT)", vec![ascending(SortBy::Subject)]),
        ("SORT (SUBJECT DATE)", vec![ascending(SortBy::Subject), ascending(SortBy::Date)]),
        ("SORT (DISPLAYFROM DATE)", vec![ascending(SortBy::DisplayFrom), ascending(SortBy::Date)]),
    ];
    for (name, by) in sorts {
        measure(name, || drop(black_box(sort(&sources, &all, &by).expect("sorted"))));
    }
    for (name, by) in [
        ("THREAD ORDEREDSUBJECT", ThreadBy::OrderedSubject),
        ("THREAD REFERENCES", ThreadBy::References),
        ("THREAD REFS", ThreadBy::Refs),
    ] {
        measure(name, || drop(black_box(thread(&sources, &all, by).expect("threads"))));
    }
    println!("peak memory {} MiB, before the first sort {before} MiB\n", peak_mib());
}

fn main() {
    let sizes: Vec<u32> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![20_000, 1_000_000] } else { sizes };
    sizes.into_iter().for_each(bench);
}
