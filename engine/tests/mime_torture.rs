//! Every message there is, fetched by every section: the laws of `engine::mime` and `engine::text`
//! held against files, whole, with other line ends, cut off and damaged.
//!
//! The files under `data/mime` are always there. Where the project's mail corpus lies beside the
//! repository, all of it is read too; a note says when it is not.

#![allow(clippy::unwrap_used)]

use engine::mime::{self, Body, Content, Fields, Part, SectionSpec, Structure, What, section, structure};
use engine::text::{self, Pattern};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Checks all laws of one message.
fn check(name: &str, raw: &[u8]) {
    let root = mime::parse(raw);
    let check = Checker { name, raw, root: &root };
    check.tree(&root, 0, raw.len());
    check.whole_message();
    let structure = structure::of(&root, raw);
    check.strings(&structure);
    check.part(&structure, &mut Vec::new(), &root);
    check.texts();
}

struct Checker<'a> {
    name: &'a str,
    raw: &'a [u8],
    root: &'a Part,
}

impl Checker<'_> {
    fn section(&self, path: &[u32], what: What) -> Option<Vec<u8>> {
        let spec = SectionSpec { path: path.to_vec(), what };
        let bytes = section::resolve(self.root, self.raw, &spec).map(|b| b.into_owned());
        if spec.is_of_header_only() {
            let header = &self.raw[self.root.header.clone()];
            assert_eq!(
                section::resolve_in_header(header, &spec).map(|b| b.into_owned()),
                bytes,
                "{}",
                self.name
            );
        }
        bytes
    }

    /// Children lie in their parents, in order.
    fn tree(&self, part: &Part, from: usize, to: usize) {
        assert!(from <= part.header.start && part.body.end <= to, "{}: {part:?}", self.name);
        assert!(part.header.end == part.body.start && part.body.start <= part.body.end, "{}", self.name);
        match &part.content {
            Content::Leaf => {}
            Content::Message(message) => self.tree(message, part.body.start, part.body.end),
            Content::Multipart(children) => {
                assert!(!children.is_empty(), "{}", self.name);
                let mut at = part.body.start;
                for child in children {
                    self.tree(child, at, part.body.end);
                    at = child.body.end;
                }
            }
        }
    }

    fn whole_message(&self) {
        assert_eq!(self.section(&[], What::All).unwrap(), self.raw, "{}", self.name);
        self.header_and_text(&[], self.raw);
        assert_eq!(self.section(&[], What::Mime), None);
        assert_eq!(self.section(&[0], What::All), None);
    }

    /// HEADER and TEXT make up the message; a field is in HEADER.FIELDS or in HEADER.FIELDS.NOT.
    fn header_and_text(&self, path: &[u32], message: &[u8]) {
        let header = self.section(path, What::Header).unwrap();
        let text = self.section(path, What::Text).unwrap();
        assert!([&*header, &*text].concat() == message, "{} {path:?}", self.name);
        let names = || ["Subject", "received", "CONTENT-TYPE"].map(str::to_owned).to_vec();
        let some = self.section(path, What::HeaderFields(names())).unwrap();
        let others = self.section(path, What::HeaderFieldsNot(names())).unwrap();
        let none = self.section(path, What::HeaderFields(vec![])).unwrap();
        let all = self.section(path, What::HeaderFieldsNot(vec![])).unwrap();
        assert!(none.iter().all(|b| matches!(b, b'\r' | b'\n')), "{} {path:?}", self.name);
        assert_eq!(some.len() + others.len(), header.len() + none.len(), "{} {path:?}", self.name);
        assert!(all == header, "{} {path:?}", self.name);
    }

    /// What BODYSTRUCTURE says of a part is what its sections answer.
    fn part(&self, structure: &Structure, path: &mut Vec<u32>, part: &Part) {
        let multipart = match &structure.body {
            Body::Multipart(children) => Some(children),
            _ => None,
        };
        if let Some(children) = multipart {
            let Content::Multipart(parts) = &part.content else { panic!("{}", self.name) };
            assert_eq!(children.len(), parts.len());
            for ((child, part), number) in children.iter().zip(parts).zip(1..) {
                path.push(number);
                self.part(child, path, part);
                path.pop();
            }
            path.push(u32::try_from(parts.len()).unwrap() + 1);
            assert_eq!(self.section(path, What::All), None, "{} {path:?}", self.name);
            path.pop();
            return;
        }
        // A message that is no multipart has part 1.
        let is_own_message = path.is_empty() || std::ptr::eq(part, self.root);
        if is_own_message {
            path.push(1);
        }
        let body = self.section(path, What::All).unwrap_or_else(|| panic!("{} {path:?}", self.name));
        let mime = self.section(path, What::Mime).unwrap();
        assert!(body == self.raw[part.body.clone()] && mime == self.raw[part.header.clone()]);
        let lines = body.iter().filter(|b| **b == b'\n').count() as u64;
        match &structure.body {
            Body::Multipart(_) => {}
            Body::Basic(fields) => self.size(fields, &body, path),
            Body::Text { fields, lines: said } => {
                self.size(fields, &body, path);
                assert_eq!(*said, lines, "{} {path:?}", self.name);
            }
            Body::Message { fields, lines: said, structure, .. } => {
                self.size(fields, &body, path);
                assert_eq!(*said, lines, "{} {path:?}", self.name);
                self.header_and_text(path, &body);
                let Content::Message(message) = &part.content else { panic!("{}", self.name) };
                self.message_in(structure, path, message);
            }
        }
        if !matches!(structure.body, Body::Message { .. }) {
            assert_eq!(self.section(path, What::Header), None, "{} {path:?}", self.name);
            path.push(1);
            assert_eq!(self.section(path, What::All), None, "{} {path:?}", self.name);
            path.pop();
        }
        if is_own_message {
            path.pop();
        }
    }

    /// The parts of a message in a message: its only part is number 1.
    fn message_in(&self, structure: &Structure, path: &mut Vec<u32>, message: &Part) {
        if let Body::Multipart(_) = structure.body {
            self.part(structure, path, message);
        } else {
            path.push(1);
            self.part(structure, path, message);
            path.pop();
        }
    }

    fn size(&self, fields: &Fields, body: &[u8], path: &[u32]) {
        assert_eq!(fields.size_bytes, body.len() as u64, "{} {path:?}", self.name);
    }

    /// All strings can stand in IMAP strings.
    fn strings(&self, structure: &Structure) {
        let shown =
            |s: &[u8]| assert!(!s.iter().any(|b| matches!(b, 0 | b'\r' | b'\n')), "{} {s:?}", self.name);
        let envelope = mime::envelope::parse(&self.raw[self.root.header.clone()]);
        for s in [&envelope.date, &envelope.subject, &envelope.in_reply_to, &envelope.message_id]
            .into_iter()
            .flatten()
        {
            shown(s);
        }
        for list in
            [&envelope.from, &envelope.sender, &envelope.reply_to, &envelope.to, &envelope.cc, &envelope.bcc]
        {
            let mut in_group = false;
            for address in list {
                [&address.name, &address.route, &address.mailbox, &address.host]
                    .into_iter()
                    .flatten()
                    .for_each(|s| shown(s));
                if address.host.is_none() {
                    assert_eq!(in_group, address.mailbox.is_none(), "{}: groups pair up", self.name);
                    in_group = !in_group;
                } else {
                    assert!(address.mailbox.is_some());
                }
            }
            assert!(!in_group, "{}: a group without its end", self.name);
        }
        let disposition = structure.disposition.iter().flat_map(|d| &d.params);
        for (attribute, value) in structure.params.iter().chain(disposition) {
            shown(attribute);
            shown(value);
        }
        match &structure.body {
            Body::Multipart(children) => children.iter().for_each(|c| self.strings(c)),
            Body::Message { structure, .. } => self.strings(structure),
            Body::Basic(_) | Body::Text { .. } => {}
        }
    }

    /// The texts are the same in one piece and in two, and what is found is found by its fold.
    fn texts(&self) {
        let all = text::canon(self.raw);
        let header = text::canon_header(&self.raw[self.root.header.clone()]);
        assert!(
            all.starts_with(&header) && all[header.len()..] == text::canon_bodies(self.raw)[..],
            "{}",
            self.name
        );
        for canon in &all {
            let middle: String = canon.text.chars().skip(canon.text.chars().count() / 2).take(20).collect();
            assert!(Pattern::new(&middle).matches(&text::fold(&canon.text)), "{} {middle:?}", self.name);
        }
    }
}

/// As it is, with CR LF, and its LFs alone.
fn check_variants(name: &str, raw: &[u8]) {
    check(name, raw);
    check(&format!("{name} with CRLF"), &with_crlf(raw));
    let lf: Vec<u8> = raw.iter().copied().filter(|b| *b != b'\r').collect();
    check(&format!("{name} with LF"), &lf);
}

fn with_crlf(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len() + raw.len() / 32);
    let mut before = 0;
    for &byte in raw {
        if byte == b'\n' && before != b'\r' {
            out.push(b'\r');
        }
        out.push(byte);
        before = byte;
    }
    out
}

fn files_in(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "eml"));
    paths.sort();
    let name = |p: &Path| p.file_name().unwrap().to_string_lossy().into_owned();
    paths.iter().map(|p| (name(p), std::fs::read(p).unwrap())).collect()
}

fn own_files() -> Vec<(String, Vec<u8>)> {
    let files = files_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/mime"));
    assert!(files.len() >= 10);
    files
}

/// The corpus beside the repository, if it is there.
fn corpus() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    if path.is_dir() {
        return Some(path);
    }
    println!("note: no mail corpus beside the repository; only the messages in tests/data/mime are read");
    None
}

#[test]
fn own_messages() {
    for (name, raw) in own_files() {
        check_variants(&name, &raw);
    }
}

#[test]
fn torture() {
    let Some(corpus) = corpus() else { return };
    for (name, raw) in files_in(&corpus.join("torture")) {
        check_variants(&name, &raw);
    }
}

#[test]
fn real_mail() {
    let Some(corpus) = corpus() else { return };
    for file in ["ham.mbox.gz", "spam.mbox.gz"] {
        let messages = mbox(&corpus.join(file));
        assert!(messages.len() > 300, "{file}");
        for (i, raw) in messages.iter().enumerate() {
            check(&format!("{file} {}", i + 1), &with_crlf(raw));
        }
    }
}

/// The messages of a gzipped mboxrd file.
fn mbox(path: &Path) -> Vec<Vec<u8>> {
    let mut bytes = Vec::new();
    flate2::read::MultiGzDecoder::new(std::fs::File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
    let mut messages: Vec<Vec<u8>> = Vec::new();
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        if line.starts_with(b"From ") {
            messages.push(Vec::new());
            continue;
        }
        let quotes = line.iter().take_while(|b| **b == b'>').count();
        let is_quoted = quotes > 0 && line[quotes..].starts_with(b"From ");
        messages.last_mut().unwrap().extend_from_slice(&line[usize::from(is_quoted)..]);
    }
    for message in &mut messages {
        message.pop(); // the empty line between messages
    }
    messages
}

/// A small generator of random numbers (xorshift), so that a failure is a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % n.max(1) as u64).unwrap()
    }
}

/// Cut off, and with bytes changed to those that mean something to MIME.
#[test]
fn damaged_messages() {
    let seed: u64 = std::env::var("MAILCASK_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_240_509);
    println!("MAILCASK_SEED={seed}");
    let mut random = Random(seed);
    let mut files = own_files();
    if let Some(corpus) = corpus() {
        files.extend(files_in(&corpus.join("torture")).into_iter().filter(|(_, raw)| raw.len() < 8000));
    }
    for (name, raw) in files {
        for round in 0..10 {
            let mut damaged = raw[..random.below(raw.len() + 1)].to_vec();
            for _ in 0..random.below(6) {
                let at = random.below(damaged.len());
                let with = b"\r\n\0-=?:;\"()<>@, \x80\xff"[random.below(18)];
                match damaged.get_mut(at) {
                    Some(byte) if random.below(2) == 0 => *byte = with,
                    _ => damaged.insert(at, with),
                }
            }
            check(&format!("{name} damaged, round {round}, MAILCASK_SEED={seed}"), &damaged);
        }
    }
}

/// The tree of a file in short: `mixed[text/plain, message<text/plain>]`.
fn tree(part: &Part) -> String {
    match &part.content {
        Content::Leaf => format!("{}/{}", part.media_type, part.subtype),
        Content::Message(message) => format!("message<{}>", tree(message)),
        Content::Multipart(parts) => {
            format!("{}[{}]", part.subtype, parts.iter().map(tree).collect::<Vec<_>>().join(", "))
        }
    }
}

#[test]
fn what_bad_mime_is_taken_for() {
    let files = own_files();
    let file = |name: &str| &files.iter().find(|(n, _)| n == name).unwrap().1;
    for (name, wanted) in [
        ("mp_prefix.eml", "mixed[alternative[text/plain, text/html], text/plain]"),
        ("mp_sameboundary.eml", "mixed[alternative[text/plain, text/plain], text/plain]"),
        ("mp_noend.eml", "mixed[text/plain, text/plain]"),
        ("mp_emptyparts.eml", "mixed[text/plain, text/plain, text/plain]"),
        ("mp_boundary_2231.eml", "mixed[text/plain]"),
        ("rfc822_b64.eml", "application/octet-stream"),
        ("rfc822_attached.eml", "mixed[text/plain, message<text/plain>]"),
        ("bare_cr.eml", "text/plain"),
    ] {
        assert_eq!(tree(&mime::parse(file(name))), wanted, "{name}");
    }
}

/// Messages that were made to be found hold the word `quillwort`, encoded in every way. Where it
/// stands in the raw bytes it is always found.
#[test]
fn the_needle_is_found() {
    let needle = Pattern::new("QuillWort");
    let is_found = |raw: &[u8]| text::canon(raw).iter().any(|canon| needle.matches(&text::fold(&canon.text)));
    for (name, raw) in own_files() {
        let without = ["mp_emptyparts.eml", "r2231_cont.eml", "hdr_ws_cont.eml"];
        let holds_it = !without.contains(&&*name);
        assert_eq!(is_found(&raw), holds_it, "{name}");
    }
    let Some(corpus) = corpus() else { return };
    let mut found = 0;
    for (name, raw) in files_in(&corpus.join("torture")) {
        let is_raw = raw.to_ascii_lowercase().windows(9).any(|w| w == b"quillwort");
        let is_hit = is_found(&raw);
        assert!(is_hit || !is_raw, "{name}");
        found += usize::from(is_hit);
    }
    assert!(found >= 100, "{found}");
}
