//! Random keys over a mailbox with gaps, ghosts and damage, with and without an index that proves some
//! things, leaves others open and does not know all messages; held against the naive search.

use super::super::*;
use super::oracle::truth;
use crate::catalog::Catalog;
use crate::mailbox::{Header, Mailbox, Pager, RowFlags};
use crate::mime::{header, thread};
use crate::search::{DateIs, DateOf};
use crate::sys::sim::Rng;
use crate::text::fold;
use crate::text::index::{self as text, EmailSet, Folded, Group, Hits, Query, SEAM};
use crate::types::{AccountId, EmailId, MailboxId, MessageNo, ThreadId, Uid, UidValidity, ZonedTime};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

const DAY_S: i64 = 86_400;
const MESSAGES: u32 = 700;

/// What stands in messages, and is looked for whole and in pieces.
const WORDS: [&str; 16] = [
    "alpha",
    "Beta",
    "connection",
    "connected",
    "connects",
    "grüße",
    "日本語",
    "x",
    "it's",
    "re:",
    "walk",
    "walking",
    "walked",
    "книга",
    "книги",
    "the",
];
const FIELDS: [&str; 6] = ["Subject", "From", "To", "Cc", "X-Note", "Bcc"];

#[derive(Clone, Copy, PartialEq)]
enum Damage {
    None,
    /// The header can be read, the rest not.
    Body,
    All,
}

struct Mails {
    mails: Vec<(Vec<u8>, Damage)>,
}

impl Mails {
    fn get(&self, row: &Row, up_to: Damage) -> Result<Vec<u8>> {
        let (mail, damage) = &self.mails[row.message.0 as usize];
        if *damage == Damage::All || *damage == up_to {
            return Err(Error::Damaged { message: row.message, what: "test".to_owned() });
        }
        Ok(mail.clone())
    }
}

impl Messages for Mails {
    fn email_bytes(&self, row: &Row) -> Result<Vec<u8>> {
        self.get(row, Damage::Body)
    }

    fn header_bytes(&self, row: &Row) -> Result<Vec<u8>> {
        self.get(row, Damage::All).map(|mut mail| {
            mail.truncate(header::block_bytes(&mail));
            mail
        })
    }
}

fn words(rng: &mut Rng, at_most: u64) -> String {
    let count = rng.below(at_most + 1);
    let words: Vec<&str> = (0..count).map(|_| WORDS[rng.below(16) as usize]).collect();
    words.join([" ", ", ", "\r\n "][rng.below(3) as usize])
}

fn mail(rng: &mut Rng) -> Vec<u8> {
    let mut mail = String::new();
    for field in FIELDS {
        if rng.one_in(2) {
            mail += &format!("{field}: {}\r\n", words(rng, 3));
        }
    }
    if !rng.one_in(4) {
        let (day, hour) = (rng.below(20) + 1, rng.below(24));
        let zone = ["+0000", "-0700", "+0530"][rng.below(3) as usize];
        mail += &format!("Date: {day} May 2024 {hour:02}:30:00 {zone}\r\n");
    }
    let text = words(rng, 12);
    if rng.one_in(4) {
        mail += "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n";
        mail += &format!("Content-Type: text/plain; name={}\r\n\r\n{text}\r\n--b--\r\n", WORDS[0]);
    } else {
        mail += &format!("\r\n{text}\r\n");
    }
    mail.into_bytes()
}

struct World {
    mails: Mails,
    view: View,
    recent: UidSet,
}

fn world(rng: &mut Rng) -> World {
    let pager = Pager::new(Arc::new(Catalog::in_memory()), 1 << 20);
    let header = Header::new(AccountId(1), MailboxId(1), "INBOX", UidValidity(1), ModSeq(1));
    let mut mailbox = Mailbox::new(header, pager);
    let junk = mailbox.add_keyword("$Junk").unwrap();
    let mut mails = Vec::new();
    let mut uid = 0;
    for n in 0..MESSAGES {
        // The second chunk has gaps, so has the whole after expunges.
        uid += if (256..512).contains(&n) { 1 + rng.below(3) as u32 } else { 1 };
        let damage = match rng.below(40) {
            0 => Damage::All,
            1 => Damage::Body,
            _ => Damage::None,
        };
        let mail = mail(rng);
        let mut flags = RowFlags::default();
        for name in ["\\Seen", "\\Flagged", "\\Deleted"] {
            if rng.one_in(3) && n < 600 {
                flags.insert(mailbox.flag_id(name).unwrap());
            }
        }
        if rng.one_in(9) {
            flags.insert(junk);
        }
        let row = Row {
            uid: Uid(uid),
            modseq: ModSeq(1 + rng.below(1000)),
            message: MessageNo(u64::from(n)),
            // Most in order; some were copied here late.
            email: EmailId(if rng.one_in(10) { MESSAGES + n } else { n }),
            thread: ThreadId(rng.below(9)),
            size_bytes: rng.below(5000) as u32,
            internal_date: ZonedTime {
                unix_s: rng.below(30 * 24) as i64 * 3600,
                offset_minutes: [0, 330, -420][rng.below(3) as usize],
            },
            save_date_s: rng.below(30 * 24) as i64 * 3600,
            sent: thread::sent(&mail),
            flags,
            prefix: Arc::default(),
        };
        mails.push((mail, damage));
        mailbox.append(row).unwrap();
    }
    let some = |rng: &mut Rng| -> UidSet { (0..20).map(|_| rng.below(u64::from(uid)) as u32).collect() };
    mailbox.expunge(&some(rng), ModSeq(2000)).unwrap();
    let mut view = View::open(Arc::new(mailbox.clone()));
    mailbox.expunge(&some(rng), ModSeq(2001)).unwrap();
    view.advance(Arc::new(mailbox), 0, false).unwrap();
    assert!(!view.ghost_uids().is_empty());
    World { mails: Mails { mails }, view, recent: UidSet::from_range(uid - 100, uid) }
}

/// Answers by brute force; whether it proves what it knows is chance.
struct Brute {
    seed: u64,
    known: EmailSet,
    texts: HashMap<EmailId, Option<Folded>>,
    fails: bool,
}

impl Brute {
    fn new(world: &World, seed: u64) -> Self {
        let rng = &mut Rng::new(seed);
        let mut brute = Self { seed, known: EmailSet::new(), texts: HashMap::new(), fails: rng.one_in(8) };
        let covered = rng.below(u64::from(MESSAGES) * 3);
        for found in world.view.rows(&UidSet::from_range(0, u32::MAX)) {
            let row = found.unwrap().row;
            if u64::from(row.email.0) >= covered || rng.one_in(50) {
                continue;
            }
            let (mail, damage) = &world.mails.mails[row.message.0 as usize];
            let readable = *damage == Damage::None;
            brute.known.insert(row.email);
            brute.texts.insert(row.email, readable.then(|| Folded::of(row.email, mail)));
        }
        brute
    }

    fn texts<'a>(folded: &'a Folded, scope: text::Scope) -> Vec<&'a str> {
        let of = |groups: &[Group]| -> Vec<&'a str> {
            groups.iter().flat_map(|group| folded.text(*group).split(SEAM)).collect()
        };
        match scope {
            text::Scope::Text => of(&[Group::Body, Group::Header]),
            text::Scope::Body => of(&[Group::Body]),
            text::Scope::Field(group) => of(&[group]),
            text::Scope::AnyHeader => of(&[Group::Header]),
        }
    }
}

impl TextIndex for Brute {
    fn known(&self) -> &EmailSet {
        &self.known
    }

    fn find(
        &self,
        string: &str,
        scope: text::Scope,
        within: Option<&EmailSet>,
        _: &AtomicBool,
    ) -> Result<Hits> {
        if self.fails {
            return Err(Error::corrupt("the index", "this test says so"));
        }
        let string = fold(string);
        let rng = &mut Rng::new(self.seed ^ string.len() as u64);
        let mut hits = Hits::default();
        for email in self.known.iter() {
            // Some hits outside come too.
            if within.is_some_and(|within| !within.contains(email)) && !rng.one_in(4) {
                continue;
            }
            let holds = self.texts[&email]
                .as_ref()
                .map(|folded| Self::texts(folded, scope).iter().any(|text| text.contains(&string)));
            let proves = scope != text::Scope::AnyHeader && rng.one_in(2);
            match holds {
                Some(true) if proves => hits.sure.insert(email),
                Some(true) | None => hits.maybe.insert(email),
                Some(false) if rng.one_in(5) => hits.maybe.insert(email),
                Some(false) => {}
            }
        }
        Ok(hits)
    }

    fn ranked(
        &self,
        string: &str,
        scope: text::Scope,
        _: Option<&EmailSet>,
        _: &AtomicBool,
    ) -> Result<HashMap<EmailId, f32>> {
        let forms = Query::new(&[fold(string)]);
        let is_like = |folded: &Folded| {
            let mut counts = Vec::new();
            Self::texts(folded, scope).iter().for_each(|text| forms.count(text, &mut counts));
            !counts.is_empty() && !counts.contains(&0)
        };
        let like = self.texts.iter().filter(|(_, folded)| folded.as_ref().is_some_and(is_like));
        Ok(like.map(|(email, _)| (*email, 1.0 + (email.0 % 7) as f32)).collect())
    }
}

fn string(rng: &mut Rng) -> String {
    let whole = words(rng, 2);
    let chars: Vec<char> = whole.chars().collect();
    match rng.below(6) {
        0 => String::new(),
        1 | 2 => {
            let from = rng.below(chars.len() as u64 + 1) as usize;
            chars[from..].iter().take(4).collect()
        }
        3 => whole.to_uppercase(),
        _ => whole,
    }
}

fn leaf(rng: &mut Rng) -> Key {
    let day = rng.below(32) as i64 - 1;
    let is = [DateIs::Before, DateIs::On, DateIs::Since][rng.below(3) as usize];
    match rng.below(22) {
        0 => Key::All,
        1 => Key::Uids((0..5).map(|_| rng.below(1200) as u32).collect()),
        2 => Key::Uids(UidSet::from_range(rng.below(1200) as u32, rng.below(1200) as u32)),
        3 | 4 => {
            let names = ["\\Seen", "\\Flagged", "\\Deleted", "\\Draft", "$junk", "unheard"];
            Key::Flag(names[rng.below(6) as usize].to_owned())
        }
        5 => Key::Recent,
        6 => [Key::New, Key::Old][rng.below(2) as usize].clone(),
        7 => Key::Date { of: DateOf::Internal, is, day },
        8 => Key::Date { of: DateOf::Saved, is, day },
        9 => Key::Date { of: DateOf::Sent, is, day: 19_843 + day },
        10 => [Key::Older(rng.below(900_000) as u32), Key::Younger(rng.below(900_000) as u32)]
            [rng.below(2) as usize]
            .clone(),
        11 => Key::Larger(rng.below(5000)),
        12 => Key::Smaller(if rng.one_in(5) { 1 << 40 } else { rng.below(5000) }),
        13 => Key::ModSeq(ModSeq(rng.below(1010))),
        14 => Key::EmailId(EmailId(rng.below(800) as u32)),
        15 => Key::ThreadId(ThreadId(rng.below(9))),
        16 | 17 => Key::header(FIELDS[rng.below(6) as usize], &string(rng)),
        18 | 19 => Key::Body(string(rng)),
        20 => Key::Text(string(rng)),
        _ => Key::SaveDateSupported,
    }
}

fn key(rng: &mut Rng, depth: u32) -> Key {
    if depth == 0 {
        return leaf(rng);
    }
    match rng.below(8) {
        0 | 1 => Key::And((0..rng.below(4)).map(|_| key(rng, depth - 1)).collect()),
        2 | 3 => Key::or(key(rng, depth - 1), key(rng, depth - 1)),
        4 => Key::not(key(rng, depth - 1)),
        5 => Key::Fuzzy(Box::new(key(rng, depth - 1))),
        _ => leaf(rng),
    }
}

fn has_forms(key: &Key, fuzzy: bool) -> bool {
    match key {
        Key::And(keys) => keys.iter().any(|key| has_forms(key, fuzzy)),
        Key::Or(a, b) => has_forms(a, fuzzy) || has_forms(b, fuzzy),
        Key::Not(key) => has_forms(key, fuzzy),
        Key::Fuzzy(key) => has_forms(key, true),
        Key::Body(string) | Key::Text(string) | Key::Header { string, .. } => fuzzy && !string.is_empty(),
        _ => false,
    }
}

struct Case<'a> {
    world: &'a World,
    index: Option<&'a Brute>,
    helpers: &'a Helpers,
}

impl Case<'_> {
    fn check(&self, key: &Key) {
        let World { mails, view, recent } = self.world;
        let progress = Progress::default();
        let context =
            Context { recent, now_s: 30 * DAY_S, cancel: &AtomicBool::new(false), progress: &progress };
        let index = self.index.map(|index| index as &dyn TextIndex);
        let means = Means { messages: mails, index, helpers: self.helpers };
        let found = run(means, view, key, &context).unwrap().unwrap();
        let (mut uids, mut unreadable, mut highest) = (UidSet::new(), UidSet::new(), None);
        for row in view.rows(&UidSet::from_range(0, u32::MAX)) {
            let row = row.unwrap().row;
            match truth(key, &row, view.latest(), mails, &context) {
                Some(true) => {
                    uids.insert_uid(row.uid);
                    highest = highest.max(Some(row.modseq));
                }
                Some(false) => {}
                None => unreadable.insert_uid(row.uid),
            }
        }
        assert_eq!(found.uids.to_string(), uids.to_string(), "{key:?}");
        assert_eq!(found.unreadable.to_string(), unreadable.to_string(), "{key:?}");
        assert_eq!(found.highest_modseq, highest.filter(|_| asks_modseq(key)), "{key:?}");
        let graded = if has_forms(key, false) { found.uids.len() } else { 0 };
        assert_eq!(found.relevancy.len() as u64, graded, "{key:?}");
        assert!(found.relevancy.iter().all(|grade| (1..=100).contains(grade)));
        assert_eq!(found.relevancy.iter().max().copied(), (graded > 0).then_some(100));
        let (done, total) = progress.read();
        assert_eq!(done, total, "{key:?}");
        let root = &found.plan.steps[0];
        assert!(root.rows_out <= root.rows_in && root.rows_in <= found.plan.messages, "{:?}", found.plan);
    }
}

#[test]
fn agrees_with_the_naive_search() {
    let seeds: Vec<u64> = match std::env::var("MAILCASK_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..8).collect(),
    };
    for seed in seeds {
        println!("MAILCASK_SEED={seed}");
        let rng = &mut Rng::new(seed);
        let world = world(rng);
        let index = Brute::new(&world, seed);
        for round in 0..12 {
            let helpers = Helpers::new(round % 3);
            let index = (round % 4 > 0).then_some(&index);
            let depth = rng.below(4) as u32 + 1;
            let key = key(rng, depth);
            Case { world: &world, index, helpers: &helpers }.check(&key);
        }
        let word = WORDS[rng.below(16) as usize];
        let case = Case { world: &world, index: Some(&index), helpers: &Helpers::new(2) };
        let header = |name: &str| Key::header(name, word);
        for key in
            [header("X-Note"), header("Subject"), Key::Body(word.to_owned()), Key::Text(word.to_owned())]
        {
            case.check(&Key::Fuzzy(Box::new(key.clone())));
            case.exact_ones_rank_first(&key);
        }
    }
}

impl Case<'_> {
    fn exact_ones_rank_first(&self, key: &Key) {
        let World { mails, view, recent } = self.world;
        let context =
            Context { recent, now_s: 0, cancel: &AtomicBool::new(false), progress: &Progress::default() };
        let index = self.index.map(|index| index as &dyn TextIndex);
        let means = Means { messages: mails, index, helpers: self.helpers };
        let exact = run(means, view, key, &context).unwrap().unwrap();
        let fuzzy = run(means, view, &Key::Fuzzy(Box::new(key.clone())), &context).unwrap().unwrap();
        if fuzzy.uids.len() > crate::search::relevancy::READ_MAX {
            return;
        }
        let graded = || fuzzy.uids.iter().zip(&fuzzy.relevancy);
        let worst = graded().filter(|(uid, _)| exact.uids.contains(*uid)).map(|(_, grade)| *grade).min();
        let best = graded().filter(|(uid, _)| !exact.uids.contains(*uid)).map(|(_, grade)| *grade).max();
        if let (Some(worst), Some(best)) = (worst, best) {
            assert!(worst >= best, "{key:?}: an exact one has {worst}, another {best}");
        }
    }
}
