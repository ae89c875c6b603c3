//! The text index against the truth: a scan of the folded texts.
//!
//! Texts and patterns are random over small alphabets that meet every rule of the tokens: letters and marks,
//! scripts without blanks, long words, separators of all kinds, line ends and NUL. A failing seed is printed.

#![allow(clippy::unwrap_used)]

use engine::sys::disk::{Disk, RealDisk};
use engine::text::fold;
use engine::text::index::{EmailSet, Folded, Group, Hits, Needle, Scope, Segment};
use engine::types::EmailId;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

static GO_ON: AtomicBool = AtomicBool::new(false);

const SCOPES: [Scope; 8] = [
    Scope::Text,
    Scope::Body,
    Scope::AnyHeader,
    Scope::Field(Group::Subject),
    Scope::Field(Group::From),
    Scope::Field(Group::To),
    Scope::Field(Group::Cc),
    Scope::Field(Group::Bcc),
];

/// xorshift64*: the same numbers from the same seed.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }
}

fn word(rng: &mut Rng) -> String {
    match rng.below(12) {
        0 => (0..rng.below(240) + 60).map(|_| rng.pick(&["A", "B", "É", "1"])).collect(),
        1 => (0..rng.below(4) + 1).map(|_| rng.pick(&["日", "本", "か", "\u{3099}", "ไ", "한"])).collect(),
        2 => (0..rng.below(40) + 20).map(|_| rng.pick(&["a", "b"])).collect(),
        _ => (0..rng.below(4) + 1).map(|_| rng.pick(&["a", "b", "B", "e\u{301}", "ß", "2"])).collect(),
    }
}

fn text(rng: &mut Rng, words: usize) -> String {
    let mut out = String::new();
    for _ in 0..rng.below(words + 1) {
        out.push_str(&word(rng));
        out.push_str(
            rng.pick(&[" ", " ", " ", " ", "", ", ", "\r\n", ".", "-", "@", "  ", "\0", "…", " 日"]),
        );
    }
    out
}

/// A message as `canon` would have it: every field is a part of the header.
fn folded(rng: &mut Rng, email: u32) -> Folded {
    let mut texts = <[String; 7]>::default();
    texts[Group::Body as usize] = fold(&text(rng, 30));
    let mut header = String::new();
    for group in [Group::Subject, Group::From, Group::To, Group::Cc, Group::Bcc] {
        let field = fold(&text(rng, 4)).replace('\0', "");
        header.push_str(&format!("{group:?}: {field}\r\n"));
        texts[group as usize] = field;
    }
    header.push_str(&fold(&text(rng, 4)));
    texts[Group::Header as usize] = fold(&header);
    if rng.below(150) == 0 {
        let long: String = (0..132_000).map(|_| rng.pick(&["A", "B"])).collect();
        texts[Group::Body as usize].push_str(&long);
        texts[Group::Body as usize].push_str(" AB AB");
    }
    Folded { email: EmailId(email), texts }
}

fn pattern(rng: &mut Rng, docs: &[Folded]) -> String {
    let doc = &docs[rng.below(docs.len())];
    let from = doc.text(Group::ALL[rng.below(7)]);
    let from: Vec<char> = from.chars().take(2000).collect();
    let start = rng.below(from.len() + 1);
    let len = [2, 4, 8, 30, 90][rng.below(5)];
    let mut cut: Vec<char> = from.into_iter().skip(start).take(rng.below(len) + 1).collect();
    if rng.below(4) == 0 && !cut.is_empty() {
        let at = rng.below(cut.len());
        cut[at] = ['A', ' ', '日', ',', 'Z'][rng.below(5)];
    }
    cut.into_iter().collect()
}

fn groups(scope: Scope) -> Vec<Group> {
    match scope {
        Scope::Text => vec![Group::Body, Group::Header],
        Scope::Body => vec![Group::Body],
        Scope::Field(group) => vec![group],
        // Any field of it may be meant.
        Scope::AnyHeader => vec![Group::Header],
    }
}

fn truth(docs: &[Folded], needle: &Needle, scope: Scope) -> EmailSet {
    let matches = |doc: &&Folded| groups(scope).into_iter().any(|g| needle.matches(doc.text(g)));
    docs.iter().filter(matches).map(|doc| doc.email).collect()
}

/// What a pattern is for the index, said independently: (one token, all separators canonical, no outer
/// separator, a fragment too long for a piece, nothing to ask for).
struct Shape {
    is_one: bool,
    is_canonical: bool,
    is_long: bool,
    is_open: bool,
}

fn shape(folded: &str) -> Shape {
    let is_single = |c: char| "日本かไ한\u{3099}\u{1112}\u{1161}\u{11ab}".contains(c);
    let is_word = |c: char| c.is_alphanumeric() || c == '\u{301}' || c == '\u{3099}';
    let chars: Vec<char> = folded.chars().collect();
    let mut tokens: Vec<(usize, usize, bool)> = Vec::new();
    for (at, c) in chars.iter().enumerate() {
        match tokens.last_mut() {
            Some((_, end, false)) if *end == at && is_word(*c) && !is_single(*c) => *end += 1,
            _ if is_word(*c) => tokens.push((at, at + 1, is_single(*c))),
            _ => {}
        }
    }
    let inner = tokens.windows(2).all(|w| match chars.get(w[0].1..w[1].0).unwrap() {
        [] => true,
        [' '] => !w[0].2 && !w[1].2,
        _ => false,
    });
    let outer = tokens.first().is_some_and(|t| t.0 > 0) || tokens.last().is_some_and(|t| t.1 < chars.len());
    let bytes = |t: &(usize, usize, bool)| chars[t.0..t.1].iter().map(|c| c.len_utf8()).sum::<usize>();
    Shape {
        is_one: tokens.len() == 1,
        is_canonical: inner && !outer && tokens.len() <= 32,
        is_long: tokens.iter().any(|t| bytes(t) > 24),
        is_open: tokens.is_empty() || folded.contains('\0'),
    }
}

fn ids(set: &EmailSet) -> Vec<u32> {
    set.iter().map(|email| email.0).collect()
}

/// Asks and compares.
fn check(
    segment: &Segment,
    docs: &[Folded],
    needle: &Needle,
    scope: Scope,
    within: Option<&EmailSet>,
    why: &str,
) {
    let mut hits = Hits::default();
    segment.find(needle, scope, within, &GO_ON, &mut hits).unwrap();
    let mut truth = truth(docs, needle, scope);
    let mut asked: EmailSet = docs.iter().map(|doc| doc.email).collect();
    if let Some(within) = within {
        truth.meet(within);
        asked.meet(within);
    }
    let why = format!("{why}: {:?} in {scope:?}", needle.folded());
    let Hits { sure, maybe } = hits;
    let mut both = sure.clone();
    both.meet(&maybe);
    assert!(both.is_empty(), "{why}: sure and maybe {:?}", ids(&both));
    let shape = shape(needle.folded());
    if shape.is_open {
        assert!(sure.is_empty() && maybe == asked, "{why}");
        return;
    }
    let mut wrong = sure.clone();
    wrong.subtract(&truth);
    assert!(wrong.is_empty(), "{why}: sure, yet not so {:?}", ids(&wrong));
    if scope != Scope::AnyHeader
        && shape.is_canonical
        && (shape.is_one || scope != Scope::Text)
        && !shape.is_long
    {
        // All of it is proved, but for what was not indexed.
        let whole: EmailSet =
            docs.iter().filter(|doc| doc.text(Group::Body).len() < 100_000).map(|doc| doc.email).collect();
        let (mut proved, mut wanted) = (sure.clone(), truth.clone());
        proved.meet(&whole);
        wanted.meet(&whole);
        assert_eq!(ids(&proved), ids(&wanted), "{why}: proved");
    }
    let mut missed = truth;
    missed.subtract(&sure);
    missed.subtract(&maybe);
    assert!(missed.is_empty(), "{why}: missed {:?}", ids(&missed));
}

fn build(disk: &dyn Disk, dir: &Path, docs: &[Folded]) -> Segment {
    let info = Segment::build(disk, dir, &mut docs.iter().cloned().map(Ok)).unwrap();
    let segment = Segment::open(disk, dir).unwrap();
    assert_eq!(segment.info(), info);
    assert_eq!(info.docs as usize, docs.len());
    assert_eq!(info.text_bytes, docs.iter().map(Folded::text_bytes).sum::<u64>());
    assert_eq!(segment.emails(), docs.iter().map(|doc| doc.email).collect());
    segment.verify(disk).unwrap();
    segment
}

#[test]
fn as_a_scan_finds() {
    let disk = RealDisk;
    for seed in 1..=2u64 {
        let why = format!("seed {seed}");
        let mut rng = Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let dir = tempfile::tempdir().unwrap();
        let mut email = 0;
        let mut docs = Vec::new();
        for _ in 0..300 {
            email += 1 + rng.below(10) as u32 / 9 * rng.below(70) as u32;
            docs.push(folded(&mut rng, email));
        }
        let cuts = [0, 90, 91, 300];
        let parts: Vec<Arc<Segment>> = cuts
            .windows(2)
            .enumerate()
            .map(|(n, cut)| Arc::new(build(&disk, &dir.path().join(n.to_string()), &docs[cut[0]..cut[1]])))
            .collect();
        let live: EmailSet = docs.iter().map(|doc| doc.email).filter(|_| rng.below(5) > 0).collect();
        let merged = dir.path().join("merged");
        let info = Segment::merge(&disk, &merged, &parts, &live).unwrap().unwrap();
        let living: Vec<Folded> = docs.iter().filter(|doc| live.contains(doc.email)).cloned().collect();
        let merged = Segment::open(&disk, &merged).unwrap();
        assert_eq!(merged.info(), info);
        assert_eq!(merged.emails(), live);
        assert_eq!(info.text_bytes, living.iter().map(Folded::text_bytes).sum::<u64>());
        // Merging is building: the dead leave nothing behind, not even words.
        let again = build(&disk, &dir.path().join("again"), &living);
        assert_eq!(info.terms, again.info().terms);
        for _ in 0..120 {
            let needle = Needle::new(&pattern(&mut rng, &docs));
            let within: EmailSet = docs.iter().map(|doc| doc.email).filter(|_| rng.below(3) > 0).collect();
            for scope in SCOPES {
                for (part, cut) in parts.iter().zip(cuts.windows(2)) {
                    check(part, &docs[cut[0]..cut[1]], &needle, scope, None, &why);
                }
                check(&merged, &living, &needle, scope, Some(&within), &why);
                check(&merged, &living, &needle, scope, None, &why);
            }
        }
        assert!(Segment::merge(&disk, &dir.path().join("none"), &parts, &EmailSet::new()).unwrap().is_none());
    }
}

/// What is damaged is an error or an answer, never a panic; and what `verify` does not find (some bytes of
/// tantivy's own frames mean nothing) does not change an answer.
#[test]
fn damage() {
    let disk = RealDisk;
    let mut rng = Rng(77);
    let home = tempfile::tempdir().unwrap();
    let docs: Vec<Folded> = (0..40).map(|email| folded(&mut rng, email)).collect();
    let dir = home.path().join("1");
    let whole = build(&disk, &dir, &docs);
    let needles: Vec<Needle> = (0..6).map(|_| Needle::new(&pattern(&mut rng, &docs))).collect();
    for name in disk.list(&dir).unwrap() {
        let path = dir.join(&name);
        let bytes = std::fs::read(&path).unwrap();
        for nth in 0..16 {
            let at = if nth < 8 { bytes.len() - 1 - nth * 3 % bytes.len() } else { rng.below(bytes.len()) };
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << rng.below(8);
            // A new file: the old one may still be mapped.
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, &damaged).unwrap();
            let Ok(segment) = Segment::open(&disk, &dir) else { continue };
            let is_told = segment.verify(&disk).is_err();
            for needle in &needles {
                for scope in [Scope::Text, Scope::Body, Scope::Field(Group::Subject)] {
                    let mut hits = Hits::default();
                    let found = segment.find(needle, scope, None, &GO_ON, &mut hits);
                    let mut wanted = Hits::default();
                    whole.find(needle, scope, None, &GO_ON, &mut wanted).unwrap();
                    let is_same = found.is_ok() && hits.sure == wanted.sure && hits.maybe == wanted.maybe;
                    assert!(is_told || is_same, "{name}, byte {at}");
                }
            }
            let _ = segment.ranked(&["AB".to_owned()], Scope::Text, None, &GO_ON, &mut Vec::new());
            let _ = Segment::merge(
                &disk,
                &home.path().join("2"),
                &[Arc::new(segment)],
                &(0..9).map(EmailId).collect(),
            );
        }
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, &bytes).unwrap();
    }
    drop(whole);
    Segment::open(&disk, &dir).unwrap().verify(&disk).unwrap();
}

#[test]
fn forms_of_words_are_ranked() {
    let disk = RealDisk;
    let home = tempfile::tempdir().unwrap();
    let bodies =
        ["connection lost", "connected connecting connections", "unrelated", "книги и connect", "lost cause"];
    let docs: Vec<Folded> = (0..)
        .zip(bodies)
        .map(|(email, body)| {
            let mut texts = <[String; 7]>::default();
            texts[Group::Body as usize] = fold(body);
            Folded { email: EmailId(email), texts }
        })
        .collect();
    let segment = build(&disk, &home.path().join("1"), &docs);
    let ranked = |words: &[&str], within: Option<&EmailSet>| {
        let words: Vec<String> = words.iter().map(|word| fold(word)).collect();
        let mut scores = Vec::new();
        segment.ranked(&words, Scope::Text, within, &GO_ON, &mut scores).unwrap();
        scores.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        scores.into_iter().map(|(email, _)| email.0).collect::<Vec<_>>()
    };
    assert_eq!(ranked(&["connects"], None), [1, 0, 3]);
    assert_eq!(ranked(&["connect", "lost"], None), [0]);
    assert_eq!(ranked(&["книга"], None), [3]);
    assert_eq!(ranked(&["absent"], None), Vec::<u32>::new());
    assert_eq!(ranked(&["connect"], Some(&[EmailId(3)].into_iter().collect())), [3]);
}

#[test]
fn what_is_refused() {
    let disk = RealDisk;
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("1");
    assert!(Segment::build(&disk, &dir, &mut std::iter::empty()).is_err());
    assert!(!disk.exists(&dir));
    let twice = [7, 7].map(|email| Ok(Folded { email: EmailId(email), texts: <[String; 7]>::default() }));
    assert!(Segment::build(&disk, &dir, &mut twice.into_iter()).is_err());
    assert!(!disk.exists(&dir));
    assert!(Segment::open(&disk, &dir).is_err());
}

/// Real mail, where it lies beside the repository.
#[test]
fn real_mail_is_found_as_a_scan_finds_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus/ham.mbox.gz");
    let Ok(packed) = std::fs::read(&path) else {
        eprintln!("no mail corpus at {}: skipped", path.display());
        return;
    };
    let mut mbox = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(&packed[..]), &mut mbox).unwrap();
    let starts: Vec<usize> = memchr_lines(&mbox);
    let docs: Vec<Folded> = (0..)
        .zip(starts.windows(2))
        .take(400)
        .map(|(email, range)| Folded::of(EmailId(email), &mbox[range[0]..range[1]]))
        .collect();
    assert!(!docs.is_empty());
    let home = tempfile::tempdir().unwrap();
    let segment = build(&RealDisk, &home.path().join("1"), &docs);
    let mut rng = Rng(5);
    for _ in 0..150 {
        let needle = Needle::new(&pattern(&mut rng, &docs));
        if shape(needle.folded()).is_open {
            continue;
        }
        for scope in SCOPES {
            let mut hits = Hits::default();
            segment.find(&needle, scope, None, &GO_ON, &mut hits).unwrap();
            let truth = truth(&docs, &needle, scope);
            let mut wrong = hits.sure.clone();
            wrong.subtract(&truth);
            let mut missed = truth;
            missed.subtract(&hits.sure);
            missed.subtract(&hits.maybe);
            assert!(
                wrong.is_empty() && missed.is_empty(),
                "{:?} in {scope:?}: wrong {:?}, missed {:?}",
                needle.folded(),
                ids(&wrong),
                ids(&missed)
            );
        }
    }
}

/// Where each message of an mbox begins, and its end.
fn memchr_lines(mbox: &[u8]) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut at = 0;
    for line in mbox.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b"From ")
            && (at == 0 || mbox[..at].ends_with(b"\n\n") || mbox[..at].ends_with(b"\r\n\r\n"))
        {
            starts.push(at);
        }
        at += line.len();
    }
    starts.push(mbox.len());
    starts
}
