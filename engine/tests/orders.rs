//! SORT, THREAD and PREVIEW of a store: the same with summaries, without them, and after a restart.
#![allow(clippy::unwrap_used)]

mod common;

use common::assert_clean;
use engine::mailbox::View;
use engine::ops::{AppendItem, NewAccount};
use engine::search::{SortBy, SortKey, ThreadBy};
use engine::summary::Summary;
use engine::types::{AccountId, EmailId, MailboxId, Uid, ZonedTime};
use engine::{Store, StoreOptions};
use std::path::Path;
use std::sync::atomic::AtomicBool;

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
const THREADS: [ThreadBy; 3] = [ThreadBy::OrderedSubject, ThreadBy::References, ThreadBy::Refs];

fn mail(n: i64) -> String {
    let reply = if n % 3 == 0 { String::new() } else { format!("References: <{}@x>\r\n", n / 3 * 3) };
    format!(
        "From: P{} <p{n}@x>\r\nSubject: {}S{}\r\nMessage-ID: <{n}@x>\r\n{reply}\r\n> said\r\n\r\nText {n}\r\n",
        n % 4,
        if n % 2 == 0 { "" } else { "Re: " },
        n % 5
    )
}

struct Open {
    store: Store,
    account: AccountId,
    inbox: MailboxId,
}

impl Open {
    fn new(dir: &Path) -> Self {
        let store = Store::open(dir, StoreOptions::for_tests()).unwrap();
        let account = match store.account_id("ada") {
            Some(account) => account,
            None => {
                let new = NewAccount { name: "ada", password: None, quota_bytes: None };
                store.create_account(&new).unwrap()
            }
        };
        let inbox = store.account(account).unwrap().mailbox_named("INBOX").unwrap().header.id;
        Self { store, account, inbox }
    }

    fn append(&self, mails: impl Iterator<Item = i64>) {
        let items = mails.map(|n| {
            let mut stager = self.store.stager();
            stager.write(mail(n).as_bytes()).unwrap();
            let internal_date = Some(ZonedTime::utc(1_000_000 - n * 7 % 11));
            AppendItem { message: stager.finish().unwrap(), flags: Vec::new(), internal_date }
        });
        self.store.append(self.account, self.inbox, items.collect()).unwrap();
    }

    fn view(&self) -> View {
        View::open(self.store.mailbox(self.account, self.inbox).unwrap())
    }

    /// Every order of everything.
    fn answers(&self) -> (Vec<Vec<Uid>>, Vec<String>) {
        let view = self.view();
        let (uids, never) = (view.uids().unwrap(), AtomicBool::new(false));
        let sorted = |by: SortBy| {
            let by = [SortKey { by, reverse: true }];
            self.store.sort(self.account, &view, &uids, &by, &never).unwrap().unwrap()
        };
        let threads =
            |by| self.store.thread(self.account, &view, &uids, by, &never).unwrap().unwrap().to_string();
        (BYS.map(sorted).to_vec(), THREADS.map(threads).to_vec())
    }

    /// Gives the summaries of everything there is.
    fn summarise(&self) {
        let view = self.view();
        let uids = view.uids().unwrap();
        let rows: Vec<(EmailId, Summary)> = view
            .rows(&uids)
            .map(|row| {
                let row = row.unwrap().row;
                (row.email, Summary::of(&self.store.email(&row).unwrap().header().unwrap()))
            })
            .collect();
        let covered = rows.last().unwrap().0.next();
        self.store.summaries().append(self.account, &rows, covered).unwrap();
    }
}

#[test]
fn the_same_whatever_is_summarised() {
    let dir = tempfile::tempdir().unwrap();
    let open = Open::new(dir.path());
    open.append(0..40);
    let of_forty = open.answers();
    open.summarise();
    assert_eq!(open.answers(), of_forty);
    open.append(40..55);
    let of_all = open.answers();
    assert!(of_all.0.iter().all(|uids| uids.len() == 55));
    open.store.close().unwrap();
    drop(open);
    let open = Open::new(dir.path());
    assert_eq!(open.answers(), of_all);
    assert!(open.store.summaries().covered(open.account).unwrap() > EmailId(0));
    open.summarise();
    assert_eq!(open.answers(), of_all);
    open.store.close().unwrap();
    drop(open);
    std::fs::remove_dir_all(dir.path().join("summaries")).unwrap();
    let open = Open::new(dir.path());
    assert_eq!(open.answers(), of_all);
    assert_clean(&open.store);
    open.store.close().unwrap();
}

#[test]
fn previews() {
    let dir = tempfile::tempdir().unwrap();
    let open = Open::new(dir.path());
    open.append(7..8);
    // A text behind an attachment that is larger than the first read.
    let long = format!(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: image/png\r\n\r\n{}\r\n--b\r\n\r\nbehind\r\n--b--\r\n",
        "A234567890123456789012345678901234567890123456789012345678901234\r\n".repeat(4000)
    );
    let mut stager = open.store.stager();
    stager.write(long.as_bytes()).unwrap();
    let item = AppendItem { message: stager.finish().unwrap(), flags: Vec::new(), internal_date: None };
    open.store.append(open.account, open.inbox, vec![item]).unwrap();
    let view = open.view();
    let preview = |uid| {
        let row = view.row(Uid(uid)).unwrap().unwrap().row;
        open.store.preview(open.account, &row).unwrap()
    };
    assert_eq!((preview(1).as_str(), preview(2).as_str()), ("Text 7", "behind"));
    assert_clean(&open.store);
    open.store.close().unwrap();
}
