//! Mail to search: of the generator beside the repository, else made here.
//!
//! Laws
//! - The same seed gives the same messages, with CRLF, one at a time.

use super::common::Rng;
use std::io::{BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

pub enum Source {
    Generator { child: Child, stream: BufReader<ChildStdout> },
    Made { rng: Rng, left: usize },
}

impl Source {
    pub fn new(messages: usize, seed: u64) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus/make_mailbox.py");
        match script.exists().then(|| generate(&script, messages, seed)) {
            Some(Some(source)) => source,
            _ => {
                println!(
                    "note: no make_mailbox.py beside the repository, or no python3; the mail is made here"
                );
                Self::Made { rng: Rng::new(seed), left: messages }
            }
        }
    }
}

fn generate(script: &Path, messages: usize, seed: u64) -> Option<Source> {
    let mut child = Command::new("python3")
        .arg(script)
        .args(["-n", &messages.to_string(), "--seed", &seed.to_string(), "--special", "3"])
        .args(["--format", "stream", "--out", "-", "--no-needles"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let stream = BufReader::with_capacity(1 << 20, child.stdout.take()?);
    Some(Source::Generator { child, stream })
}

impl Iterator for Source {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        match self {
            Self::Generator { child, stream } => {
                let mut length = [0; 4];
                if stream.read_exact(&mut length).is_err() {
                    assert!(child.wait().unwrap().success(), "the generator failed");
                    return None;
                }
                let mut message = vec![0; u32::from_be_bytes(length) as usize];
                stream.read_exact(&mut message).unwrap();
                Some(message)
            }
            Self::Made { rng, left } => {
                *left = left.checked_sub(1)?;
                Some(made(rng, *left))
            }
        }
    }
}

const WORDS: &[&str] = &[
    "about",
    "amber",
    "the",
    "to",
    "of",
    "lanterns",
    "Straße",
    "ΟΔΥΣΣΕΥΣ",
    "éclair",
    "naïve",
    "ﬁnal",
    "I",
    "won't",
    "e-mail",
    "x_y",
    "2024-11",
    "re:sort",
    "不",
    "麒麟",
    "珈琲館",
    "東京都",
    "도깨비",
    "ไทย",
    "дорога",
    "İstanbul",
    "office",
    "sea",
    "seaward",
    "<angle>",
    "a",
    "b",
    "cafe\u{301}",
    "\u{1f600}",
    "----",
    "e.g.",
];

/// A message of a few known words, so that many patterns are in many of them: plain or HTML, folded
/// and encoded header fields, a long run now and then.
fn made(rng: &mut Rng, number: usize) -> Vec<u8> {
    let words = |rng: &mut Rng, count: usize| {
        let mut text = String::new();
        for _ in 0..count {
            let word = rng.pick(WORDS).unwrap_or(&"");
            match rng.below(12) {
                0 => text.push_str(&format!("{word}{}", rng.below(100_000))),
                1 => text.push_str(&word.to_uppercase()),
                2 => text.push_str(&format!("{word}\r\n")),
                3 => text.push_str(&format!("{word},")),
                _ => text.push_str(word),
            }
            if rng.chance(90) {
                text.push(' ');
            }
        }
        text
    };
    let subject = words(rng, 5).replace("\r\n", "\r\n\t");
    let name = words(rng, 2).replace(['\r', '\n', '<', '>', ','], "");
    let mut body = {
        let count = 5 + rng.below(120);
        words(rng, count)
    };
    if rng.chance(5) {
        body.push_str(&"0123456789abcdef".repeat(rng.below(60)));
    }
    let kind = if rng.chance(30) { "html" } else { "plain" };
    if kind == "html" {
        body = format!(
            "<p>{}</p><script>hidden</script>",
            body.replace(' ', "&nbsp;").replace("sea", "s<b>ea</b>")
        );
    }
    format!(
        "From: {name} <user{}@example.org>\r\nTo: list@example.org, other{number}@example.net\r\nSubject: \
         {subject}\r\nMessage-ID: <{number}@example.org>\r\nMIME-Version: 1.0\r\nContent-Type: text/{kind}; \
         charset=utf-8\r\n\r\n{body}\r\n",
        rng.below(50)
    )
    .into_bytes()
}
