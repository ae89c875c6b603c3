//! SORT against a plain comparison, and the mailbox that SORT and THREAD are tested on.

use super::*;
use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::mailbox::{Header, Mailbox, Pager, Row, RowFlags, View};
use crate::mime::thread as mime_thread;
use crate::summary::{Summaries, Summary};
use crate::sys::disk::Disk;
use crate::sys::sim::{Rng, SimDisk, seeds};
use crate::types::{
    AccountId, EmailId, MailboxId, MessageNo, ModSeq, ThreadId, Uid, UidSet, UidValidity, ZonedTime,
};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::{AtomicU32, Ordering};

pub const ACCOUNT: AccountId = AccountId(7);

/// A message of a test: its header, when it came, its size, and its email.
#[derive(Debug, Clone, Default)]
pub struct Mail {
    pub header: String,
    pub arrived_s: i64,
    pub size_bytes: u32,
    pub email: u32,
}

/// A mailbox whose message `n` (from 0) has UID `n + 1`.
pub struct Inbox {
    pub mails: Vec<Mail>,
    pub view: View,
    pub summaries: Summaries,
    pub headers_read: AtomicU32,
    pub cancel: AtomicBool,
    pub damaged: Option<u64>,
}

impl Messages for Inbox {
    fn email_bytes(&self, row: &Row) -> Result<Vec<u8>> {
        self.header_bytes(row)
    }

    fn header_bytes(&self, row: &Row) -> Result<Vec<u8>> {
        self.headers_read.fetch_add(1, Ordering::Relaxed);
        if self.damaged == Some(row.message.0) {
            return Err(Error::Damaged { message: row.message, what: "test".to_owned() });
        }
        Ok(self.mails[row.message.0 as usize].header.clone().into_bytes())
    }
}

impl Inbox {
    pub fn new(mails: Vec<Mail>) -> Self {
        let pager = Pager::new(Arc::new(Catalog::in_memory()), 1 << 24);
        let header = Header::new(ACCOUNT, MailboxId(1), "INBOX", UidValidity(1), ModSeq(1));
        let mut mailbox = Mailbox::new(header, pager);
        for (n, mail) in mails.iter().enumerate() {
            let row = Row {
                uid: Uid(n as u32 + 1),
                modseq: ModSeq(n as u64 + 1),
                message: MessageNo(n as u64),
                email: EmailId(mail.email),
                thread: ThreadId(1),
                size_bytes: mail.size_bytes,
                internal_date: ZonedTime { unix_s: mail.arrived_s, offset_minutes: 60 },
                save_date_s: 0,
                sent: mime_thread::sent(mail.header.as_bytes()),
                flags: RowFlags::default(),
                prefix: Arc::from(&b""[..]),
            };
            mailbox.append(row).unwrap();
        }
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
        Self {
            mails,
            view: View::open(Arc::new(mailbox)),
            summaries: Summaries::open(disk, Path::new("/summaries"), [1; 16]),
            headers_read: AtomicU32::new(0),
            cancel: AtomicBool::new(false),
            damaged: None,
        }
    }

    /// Has the summaries of all emails below the given one.
    pub fn cover(&self, covered: u32) {
        let mut rows: Vec<(EmailId, Summary)> = self
            .mails
            .iter()
            .filter(|mail| mail.email < covered)
            .map(|mail| (EmailId(mail.email), Summary::of(mail.header.as_bytes())))
            .collect();
        rows.sort_by_key(|(email, _)| *email);
        rows.dedup_by_key(|(email, _)| *email);
        self.summaries.append(ACCOUNT, &rows, EmailId(covered)).unwrap();
    }

    pub fn sources(&self) -> Sources<'_> {
        Sources {
            messages: self,
            summaries: &self.summaries,
            account: ACCOUNT,
            view: &self.view,
            cancel: &self.cancel,
        }
    }

    pub fn all(&self) -> UidSet {
        UidSet::from_range(1, self.mails.len().max(1) as u32)
    }

    pub fn sorted(&self, by: &[SortKey]) -> Vec<u32> {
        let sorted = sort(&self.sources(), &self.all(), by).unwrap().unwrap();
        sorted.into_iter().map(|uid| uid.0).collect()
    }

    pub fn threads(&self, by: ThreadBy) -> String {
        thread(&self.sources(), &self.all(), by).unwrap().unwrap().to_string()
    }
}

const BYS: [SortBy; 9] = [
    SortBy::Arrival,
    SortBy::Cc,
    SortBy::Date,
    SortBy::DisplayFrom,
    SortBy::DisplayTo,
    SortBy::From,
    SortBy::Size,
    SortBy::Subject,
    SortBy::To,
];

fn pick<'a>(rng: &mut Rng, of: &[&'a str]) -> &'a str {
    of[rng.below(of.len() as u64) as usize]
}

fn some_mail(rng: &mut Rng, n: usize) -> Mail {
    let names = ["", "a@x", "A@y", "\"Zoë\" <b@x>", "=?utf-8?q?zo=C3=AB?= <c@x>", "list: a@x;", "é@x"];
    let subjects = [
        "",
        "a",
        "Re: A",
        "b",
        "[l] re: B",
        "=?utf-8?q?=C3=84?=",
        "ä (fwd)",
        "long subject 1",
        "long subject 2",
    ];
    let dates = [
        "",
        "Date: Mon, 1 Jan 2024 10:00:00 +0000\r\n",
        "Date: Mon, 1 Jan 2024 10:00:00 -0100\r\n",
        "Date: 1 Jan 1960 10:00:00 +0000\r\n",
    ];
    let header = format!(
        "From: {}\r\nTo: {}\r\nCc: {}\r\nSubject: {}\r\n{}\r\n",
        pick(rng, &names),
        pick(rng, &names),
        pick(rng, &names),
        pick(rng, &subjects),
        pick(rng, &dates)
    );
    Mail {
        header,
        arrived_s: 1_704_103_200 + rng.below(3) as i64,
        size_bytes: rng.below(4) as u32,
        email: (n as u32).wrapping_mul(7) % 1009,
    }
}

/// By the RFC's words, one comparison at a time.
fn compared(a: &Mail, b: &Mail, by: &[SortKey]) -> std::cmp::Ordering {
    let (x, y) = (Summary::of(a.header.as_bytes()), Summary::of(b.header.as_bytes()));
    let sent = |m: &Mail| mime_thread::sent(m.header.as_bytes()).map_or(m.arrived_s, |sent| sent.unix_s);
    by.iter().fold(std::cmp::Ordering::Equal, |order, key| {
        let next = match key.by {
            SortBy::Arrival => a.arrived_s.cmp(&b.arrived_s),
            SortBy::Date => sent(a).cmp(&sent(b)),
            SortBy::Size => a.size_bytes.cmp(&b.size_bytes),
            SortBy::Subject => x.subject.cmp(&y.subject),
            SortBy::From => x.from.cmp(&y.from),
            SortBy::To => x.to.cmp(&y.to),
            SortBy::Cc => x.cc.cmp(&y.cc),
            SortBy::DisplayFrom => x.display_from.cmp(&y.display_from),
            SortBy::DisplayTo => x.display_to.cmp(&y.display_to),
        };
        order.then(if key.reverse { next.reverse() } else { next })
    })
}

/// Whatever is covered, whatever the order of the emails: the same answer.
#[test]
fn agrees_with_a_plain_comparison() {
    for seed in seeds(150) {
        let mut rng = Rng::new(seed);
        let mails: Vec<Mail> = (0..rng.below(60) as usize).map(|n| some_mail(&mut rng, n)).collect();
        let inbox = Inbox::new(mails.clone());
        let by: Vec<SortKey> = (0..1 + rng.below(3))
            .map(|_| SortKey { by: BYS[rng.below(9) as usize], reverse: rng.one_in(2) })
            .collect();
        let mut plain: Vec<u32> = (1..=mails.len() as u32).collect();
        plain.sort_by(|a, b| compared(&mails[*a as usize - 1], &mails[*b as usize - 1], &by));
        for covered in [0, 300, 1009] {
            inbox.cover(covered);
            assert_eq!(inbox.sorted(&by), plain, "MAILCASK_SEED={seed}, {by:?}, covered {covered}");
        }
        inbox.headers_read.store(0, Ordering::Relaxed);
        inbox.sorted(&by);
        assert_eq!(inbox.headers_read.load(Ordering::Relaxed), 0, "all is covered");
    }
}

fn mail(subject: &str, email: u32) -> Mail {
    Mail { header: format!("Subject: {subject}\r\n\r\n"), email, ..Mail::default() }
}

const BY_SUBJECT: [SortKey; 1] = [SortKey { by: SortBy::Subject, reverse: false }];

#[test]
fn reverse_leaves_the_sequence_as_it_is() {
    let inbox = Inbox::new(vec![mail("b", 1), mail("a", 2), mail("b", 3), mail("a", 4)]);
    assert_eq!(inbox.sorted(&BY_SUBJECT), [2, 4, 1, 3]);
    assert_eq!(inbox.sorted(&[SortKey { by: SortBy::Subject, reverse: true }]), [1, 3, 2, 4]);
    assert_eq!(inbox.sorted(&[]), [1, 2, 3, 4]);
}

#[test]
fn only_what_was_found_and_is_there() {
    let inbox = Inbox::new(vec![mail("c", 1), mail("b", 2), mail("a", 3)]);
    let some: UidSet = [1, 3, 9].into_iter().collect();
    let sorted = |uids| sort(&inbox.sources(), uids, &BY_SUBJECT).unwrap().unwrap();
    assert_eq!(sorted(&some), [Uid(3), Uid(1)]);
    assert_eq!(sorted(&UidSet::new()), []);
}

/// A ghost is sorted as the session still shows it, also when its summary is gone.
#[test]
fn ghosts_have_their_place() {
    let mut inbox = Inbox::new(vec![mail("c", 1), mail("b", 2), mail("d", 3), mail("a", 4)]);
    inbox.cover(5);
    let mut later = (**inbox.view.latest()).clone();
    later.expunge(&[2, 4].into_iter().collect(), ModSeq(200)).unwrap();
    inbox.view.advance(Arc::new(later), 0, false).unwrap();
    assert_eq!(inbox.sorted(&BY_SUBJECT), [4, 2, 1, 3]);
    inbox.summaries.purge(ACCOUNT, &[1, 3].into_iter().map(EmailId).collect()).unwrap();
    assert_eq!(inbox.sorted(&BY_SUBJECT), [4, 2, 1, 3]);
}

#[test]
fn an_unreadable_message_sorts_as_if_empty_and_a_cancelled_sort_is_none() {
    let mut inbox = Inbox::new(vec![mail("a", 1), mail("b", 2)]);
    inbox.damaged = Some(1);
    assert_eq!(inbox.sorted(&BY_SUBJECT), [2, 1]);
    inbox.cancel = AtomicBool::new(true);
    assert_eq!(sort(&inbox.sources(), &inbox.all(), &BY_SUBJECT).unwrap(), None);
    assert_eq!(thread(&inbox.sources(), &inbox.all(), ThreadBy::References).unwrap(), None);
}
