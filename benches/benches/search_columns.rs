//! SEARCH keys that rows answer, over a mailbox of a million rows in memory; no message is there.
//!
//! `cargo bench -p benches --bench search_columns`, with `ROWS=100000` for a smaller one

use criterion::{Criterion, criterion_group, criterion_main};
use engine::catalog::Catalog;
use engine::mailbox::{FlagId, Header, Mailbox, Pager, Row, RowFlags, View};
use engine::search::{Context, DateIs, DateOf, Found, Helpers, Key, Means, Messages, Progress, run};
use engine::types::{
    AccountId, EmailId, MailboxId, MessageNo, ModSeq, ThreadId, Uid, UidSet, UidValidity, ZonedTime,
};
use engine::{Error, Result};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

const DAY_S: i64 = 86_400;

/// Nothing is read here.
struct NoMessages;

impl Messages for NoMessages {
    fn email_bytes(&self, _: &Row) -> Result<Vec<u8>> {
        Err(Error::NoSuchMessage)
    }

    fn header_bytes(&self, _: &Row) -> Result<Vec<u8>> {
        Err(Error::NoSuchMessage)
    }
}

/// SplitMix64.
fn mixed(n: u64) -> u64 {
    let z = (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (n >> 7)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z ^ (z >> 29)
}

/// A year of mail in order; a third is unread by chance, flags changed here and there. One in 500 was
/// expunged, so that most chunks have gaps.
fn mailbox(rows: u32) -> Mailbox {
    let pager = Pager::new(Arc::new(Catalog::in_memory()), 1 << 30);
    let header = Header::new(AccountId(1), MailboxId(1), "INBOX", UidValidity(1), ModSeq(1));
    let mut mailbox = Mailbox::new(header, pager);
    for n in 0..rows {
        let chance = mixed(u64::from(n));
        let mut flags = RowFlags::default();
        if !chance.is_multiple_of(3) {
            flags.insert(FlagId::SEEN);
        }
        if chance % 50 == 1 {
            flags.insert(FlagId::FLAGGED);
        }
        let arrived_s = i64::from(n) * 365 * DAY_S / i64::from(rows);
        let row = Row {
            uid: Uid(n + 1 + n / 500),
            modseq: ModSeq(u64::from(n) + 1 + if chance % 100 == 7 { u64::from(rows) } else { 0 }),
            message: MessageNo(u64::from(n)),
            email: EmailId(n),
            thread: ThreadId(chance >> 3),
            size_bytes: (chance >> 40) as u32 % 60_000,
            internal_date: ZonedTime { unix_s: arrived_s, offset_minutes: [0, 120, -420][n as usize % 3] },
            save_date_s: arrived_s,
            sent: (!chance.is_multiple_of(10))
                .then_some(ZonedTime { unix_s: arrived_s - (chance % 5000) as i64, offset_minutes: 60 }),
            flags,
            prefix: Arc::default(),
        };
        mailbox.append(row).expect("a row");
    }
    mailbox
}

fn search(view: &View, key: &Key) -> Found {
    let (recent, cancel, progress) = (UidSet::new(), AtomicBool::new(false), Progress::default());
    let context = Context { recent: &recent, now_s: 365 * DAY_S, cancel: &cancel, progress: &progress };
    let helpers = Helpers::default();
    let means = Means { messages: &NoMessages, index: None, helpers: &helpers };
    run(means, view, key, &context).expect("an answer").expect("not cancelled")
}

fn columns(c: &mut Criterion) {
    let rows: u32 = std::env::var("ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(1_000_000);
    let view = View::open(Arc::new(mailbox(rows)));
    let unseen = || Key::not(Key::Flag("\\Seen".to_owned()));
    let date = |of, is, day| Key::Date { of, is, day };
    let since = || date(DateOf::Internal, DateIs::Since, 200);
    let keys = [
        ("ALL", Key::All),
        ("UNSEEN", unseen()),
        ("FLAGGED", Key::Flag("\\Flagged".to_owned())),
        ("SINCE", since()),
        ("ON", date(DateOf::Internal, DateIs::On, 100)),
        ("SENTSINCE", date(DateOf::Sent, DateIs::Since, 200)),
        ("LARGER", Key::Larger(50_000)),
        ("MODSEQ", Key::ModSeq(ModSeq(u64::from(rows)))),
        ("THREADID", Key::ThreadId(ThreadId(77))),
        ("UNSEEN SINCE LARGER", Key::And(vec![unseen(), since(), Key::Larger(50_000)])),
        (
            "OR FLAGGED (UNSEEN SENTSINCE) NOT ON",
            Key::And(vec![
                Key::or(
                    Key::Flag("\\Flagged".to_owned()),
                    Key::And(vec![unseen(), date(DateOf::Sent, DateIs::Since, 200)]),
                ),
                Key::not(date(DateOf::Internal, DateIs::On, 210)),
            ]),
        ),
    ];
    let mut group = c.benchmark_group(format!("search {rows} rows"));
    group.sample_size(50);
    for (name, key) in &keys {
        let found = search(&view, key);
        println!("{name}: {} found, {}", found.uids.len(), found.plan);
        group.bench_function(*name, |b| b.iter(|| black_box(search(&view, key))));
    }
    let all = search(&view, &unseen()).uids;
    group.bench_function("UNSEEN as sequence numbers", |b| {
        b.iter(|| black_box(view.seqs_of(&all).expect("its numbers")));
    });
    group.finish();
}

criterion_group!(benches, columns);
criterion_main!(benches);
