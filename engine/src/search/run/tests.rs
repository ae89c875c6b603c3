mod oracle;
mod random;

use super::super::key::{DateIs, DateOf};
use super::*;
use crate::catalog::Catalog;
use crate::mailbox::{Header, Mailbox, Pager, RowFlags};
use crate::mime::{header, thread};
use crate::types::civil::days_of;
use crate::types::{AccountId, EmailId, MailboxId, MessageNo, ThreadId, Uid, UidValidity, ZonedTime};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

/// Messages in memory; counts what is read.
#[derive(Default)]
struct Mails {
    mails: Vec<Vec<u8>>,
    damaged: Option<u64>,
    headers_read: AtomicU32,
    emails_read: AtomicU32,
}

impl Mails {
    fn get(&self, row: &Row) -> Result<Vec<u8>> {
        if self.damaged == Some(row.message.0) {
            return Err(Error::Damaged { message: row.message, what: "test".to_owned() });
        }
        Ok(self.mails[usize::try_from(row.message.0).unwrap()].clone())
    }
}

impl Messages for Mails {
    fn email_bytes(&self, row: &Row) -> Result<Vec<u8>> {
        self.emails_read.fetch_add(1, Relaxed);
        self.get(row)
    }

    fn header_bytes(&self, row: &Row) -> Result<Vec<u8>> {
        self.headers_read.fetch_add(1, Relaxed);
        self.get(row).map(|mut mail| {
            mail.truncate(header::block_bytes(&mail));
            mail
        })
    }
}

const DAY_S: i64 = 86_400;

/// A mailbox of five; message `i` has UID 10 * i, arrived on day 100 + i at 23:30 +0200, was saved
/// on day 200 + i, and has flags by number.
fn five() -> (Mails, Mailbox) {
    let mails: Vec<Vec<u8>> = [
        "From: Ann <ann@x.example>\r\nDate: Thu, 9 May 2024 00:30:00 +0200\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\nalpha beta\r\n",
        "From: bob@x.example (Bob)\r\nDate: Wed, 8 May 2024 23:30:00 -0700\r\nX-Flag:\r\n\r\nALPHA gamma\r\n",
        "From: Ann <ann@y.example>\r\nSubject: no date\r\n\r\ndelta\r\n",
        "To: list: <a@x.example>;\r\nDate: Fri, 10 May 2024 12:00:00 +0000\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; name=epsilon.txt\r\n\r\nalpha\r\n--b--\r\n",
        "Subject: empty\r\n\r\n",
    ]
    .map(|m| m.as_bytes().to_vec())
    .to_vec();
    let pager = Pager::new(Arc::new(Catalog::in_memory()), 1 << 20);
    let header = Header::new(AccountId(1), MailboxId(1), "INBOX", UidValidity(1), ModSeq(1));
    let mut mailbox = Mailbox::new(header, pager);
    let junk = mailbox.add_keyword("$Junk").unwrap();
    for (mail, n) in mails.iter().zip(1_u32..) {
        let day = i64::from(n);
        let mut flags = RowFlags::default();
        if n % 2 == 1 {
            flags.insert(mailbox.flag_id("\\Seen").unwrap());
        }
        if n == 4 {
            flags.insert(junk);
        }
        let row = Row {
            uid: Uid(10 * n),
            modseq: ModSeq(u64::from(100 + n)),
            message: MessageNo(u64::from(n) - 1),
            email: EmailId(n),
            thread: ThreadId(u64::from(n % 2)),
            size_bytes: u32::try_from(mail.len()).unwrap(),
            internal_date: ZonedTime {
                unix_s: (100 + day) * DAY_S + 23 * 3600 + 1800 - 7200,
                offset_minutes: 120,
            },
            save_date_s: (200 + day) * DAY_S,
            sent: thread::sent(mail),
            flags,
            prefix: Arc::from(&b""[..]),
        };
        mailbox.append(row).unwrap();
    }
    (Mails { mails, ..Mails::default() }, mailbox)
}

fn found(mails: &Mails, view: &View, key: &Key) -> Found {
    let recent = UidSet::from_range(40, 50);
    let context = Context {
        recent: &recent,
        now_s: 103 * DAY_S,
        cancel: &AtomicBool::new(false),
        progress: &Progress::default(),
    };
    let helpers = Helpers::new(1);
    let means = Means { messages: mails, index: None, helpers: &helpers };
    run(means, view, key, &context).unwrap().unwrap()
}

fn expect(key: Key, uids: &str) {
    let (mails, mailbox) = five();
    let view = View::open(Arc::new(mailbox));
    assert_eq!(found(&mails, &view, &key).uids.to_string(), uids, "{key:?}");
    let opposite = view.uids().unwrap().difference(&found(&mails, &view, &key).uids);
    assert_eq!(found(&mails, &view, &Key::not(key.clone())).uids, opposite, "NOT {key:?}");
    let sent: Key = serde_json::from_str(&serde_json::to_string(&key).unwrap()).unwrap();
    assert_eq!(sent, key);
}

#[test]
fn keys_of_rows() {
    expect(Key::All, "10,20,30,40,50");
    expect(Key::And(vec![]), "10,20,30,40,50");
    expect(Key::Flag("\\SEEN".to_owned()), "10,30,50");
    expect(Key::Flag("$junk".to_owned()), "40");
    expect(Key::Flag("unheard".to_owned()), "");
    expect(Key::Recent, "40,50");
    expect(Key::New, "40");
    expect(Key::Old, "10,20,30");
    expect(Key::Uids(UidSet::from_range(15, 40)), "20,30,40");
    expect(Key::Uids(UidSet::new()), "");
    expect(Key::Larger(0), "10,20,30,40,50");
    expect(Key::Smaller(19), "50");
    expect(Key::Larger(18), "10,20,30,40");
    expect(Key::ModSeq(ModSeq(104)), "40,50");
    expect(Key::EmailId(EmailId(3)), "30");
    expect(Key::ThreadId(ThreadId(0)), "20,40");
    expect(Key::Older(DAY_S as u32), "10");
    expect(Key::Younger(DAY_S as u32), "20,30,40,50");
    expect(Key::SaveDateSupported, "10,20,30,40,50");
}

/// Days as written: 23:30 +0200 is that day, and 00:30 +0200 and 23:30 -0700 are not one day.
#[test]
fn dates() {
    let date = |of, is, day| Key::Date { of, is, day };
    expect(date(DateOf::Internal, DateIs::On, 102), "20");
    expect(date(DateOf::Internal, DateIs::Before, 102), "10");
    expect(date(DateOf::Internal, DateIs::Since, 102), "20,30,40,50");
    expect(date(DateOf::Saved, DateIs::On, 203), "30");
    let may = |day| days_of(2024, 5, day);
    expect(date(DateOf::Sent, DateIs::On, may(9)), "10");
    expect(date(DateOf::Sent, DateIs::On, may(8)), "20");
    expect(date(DateOf::Sent, DateIs::Before, may(10)), "10,20");
    expect(date(DateOf::Sent, DateIs::Since, may(1)), "10,20,40");
}

#[test]
fn keys_of_text() {
    expect(Key::Body("ALPHA".to_owned()), "10,20,40");
    expect(Key::Body("ann".to_owned()), "");
    expect(Key::Body(String::new()), "10,20,30,40,50");
    expect(Key::Text("alpha".to_owned()), "10,20,40");
    expect(Key::Text("subject: gRÜ".to_owned()), "10");
    expect(Key::Text("epsilon.TXT".to_owned()), "40");
    expect(Key::Body("epsilon.TXT".to_owned()), "");
    expect(Key::Text(String::new()), "10,20,30,40,50");
    expect(Key::header("From", "ann"), "10,30");
    expect(Key::header("SUBJECT", "grüß"), "10");
    expect(Key::header("subject", ""), "10,30,50");
    expect(Key::header("x-flag", ""), "20");
    expect(Key::header("x-flag", "a"), "");
    expect(Key::header("to", "LIST"), "40");
}

#[test]
fn combinations() {
    let ann = || Key::header("from", "ann");
    expect(Key::or(ann(), Key::Body("gamma".to_owned())), "10,20,30");
    expect(Key::And(vec![ann(), Key::not(Key::Body("delta".to_owned()))]), "10");
    expect(Key::And(vec![Key::Uids(UidSet::from_range(20, 50)), ann()]), "30");
    expect(Key::or(Key::And(vec![ann(), Key::Recent]), Key::not(Key::not(Key::Larger(0)))), "10,20,30,40,50");
}

#[test]
fn only_what_is_open_is_read_and_once() {
    let (mails, mailbox) = five();
    let view = View::open(Arc::new(mailbox));
    let text = |s: &str| Key::Text(s.to_owned());
    let reads = |key: &Key| {
        mails.headers_read.store(0, Relaxed);
        mails.emails_read.store(0, Relaxed);
        found(&mails, &view, key);
        (mails.headers_read.load(Relaxed), mails.emails_read.load(Relaxed))
    };
    assert_eq!(reads(&Key::And(vec![text("zzz"), Key::Uids(UidSet::from_range(10, 20))])), (2, 2));
    assert_eq!(reads(&Key::And(vec![text("zzz"), text("yyy"), text("alpha")])), (5, 5));
    assert_eq!(reads(&Key::And(vec![Key::Body("alpha".to_owned()), Key::header("from", "nobody")])), (5, 0));
    assert_eq!(reads(&Key::or(text("zzz"), Key::All)), (0, 0));
    assert_eq!(reads(&Key::Body(String::new())), (0, 0));
}

#[test]
fn highest_modseq_only_with_the_key() {
    let (mails, mailbox) = five();
    let view = View::open(Arc::new(mailbox));
    let modseq = |key| found(&mails, &view, &key).highest_modseq;
    assert_eq!(modseq(Key::All), None);
    let both = |a| Key::And(vec![Key::ModSeq(ModSeq(1)), Key::Uids(a)]);
    assert_eq!(modseq(both(UidSet::from_range(10, 30))), Some(ModSeq(103)));
    assert_eq!(modseq(both(UidSet::new())), None);
}

#[test]
fn a_damaged_message_matches_nothing_and_is_named() {
    let (mut mails, mailbox) = five();
    mails.damaged = Some(0);
    let view = View::open(Arc::new(mailbox));
    let alpha = Key::Body("alpha".to_owned());
    for (key, uids, unreadable) in [
        (alpha.clone(), "20,40", "10"),
        (Key::not(alpha.clone()), "30,50", "10"),
        (Key::or(alpha, Key::Larger(0)), "10,20,30,40,50", ""),
    ] {
        let found = found(&mails, &view, &key);
        assert_eq!((found.uids.to_string(), found.unreadable.to_string()), (uids.into(), unreadable.into()));
    }
}

#[test]
fn ghosts_are_searched_until_they_are_announced() {
    let (mails, mailbox) = five();
    let mut view = View::open(Arc::new(mailbox.clone()));
    let mut later = mailbox;
    later.expunge(&UidSet::from_range(20, 20), ModSeq(200)).unwrap();
    let later = Arc::new(later);
    view.advance(later.clone(), 0, false).unwrap();
    let alpha = Key::Body("alpha".to_owned());
    assert_eq!(found(&mails, &view, &alpha).uids.to_string(), "10,20,40");
    view.advance(later, 0, true).unwrap();
    assert_eq!(found(&mails, &view, &alpha).uids.to_string(), "10,40");
}

#[test]
fn cancelled_and_too_deep() {
    let (mails, mailbox) = five();
    let view = View::open(Arc::new(mailbox));
    let recent = UidSet::new();
    let context =
        Context { recent: &recent, now_s: 0, cancel: &AtomicBool::new(true), progress: &Progress::default() };
    let helpers = Helpers::new(0);
    let means = Means { messages: &mails, index: None, helpers: &helpers };
    assert_eq!(run(means, &view, &Key::Body("x".to_owned()), &context).unwrap(), None);
    let deep = (0..1000).fold(Key::All, |key, _| Key::not(key));
    assert!(matches!(run(means, &view, &deep, &context), Err(Error::Limit(_))));
}
