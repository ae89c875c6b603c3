//! Maildir: one file a message under `new/` and `cur/`, flags in the name behind `:2,`.
//!
//! Flags: D \Draft, F \Flagged, P $Forwarded, R \Answered, S \Seen, T \Deleted; a to z are keywords
//! by the numbers in the file `dovecot-keywords`, as Dovecot keeps them. INTERNALDATE is the
//! file's modification time.

use super::sidecar::Place;
use super::sink::{Outgoing, Put, Sink, set_modified, sync_folder};
use super::spool::Spool;
use super::{Incoming, Source, Total};
use anyhow::{Context, bail};
use engine::types::ZonedTime;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

const LETTERS: [(char, &str); 6] = [
    ('D', "\\Draft"),
    ('F', "\\Flagged"),
    ('P', "$Forwarded"),
    ('R', "\\Answered"),
    ('S', "\\Seen"),
    ('T', "\\Deleted"),
];
/// How many keywords have a letter.
const KEYWORDS_MAX: usize = 26;
const KEYWORDS_FILE: &str = "dovecot-keywords";

/// True for a folder that looks like a Maildir.
#[must_use]
pub fn is_maildir(path: &Path) -> bool {
    path.join("cur").is_dir() && path.join("new").is_dir()
}

pub struct MaildirReader {
    root: PathBuf,
    /// (folder, file name), in the order of their names, which begin with the time of arrival.
    files: VecDeque<(&'static str, String)>,
    keywords: Vec<Option<String>>,
    total_files: u64,
    done_files: u64,
}

impl MaildirReader {
    pub fn open(root: &Path) -> anyhow::Result<Self> {
        let mut files = Vec::new();
        for folder in ["cur", "new"] {
            let dir = root.join(folder);
            for entry in fs::read_dir(&dir).with_context(|| format!("reading {}", dir.display()))? {
                let entry = entry.with_context(|| format!("reading {}", dir.display()))?;
                let Ok(name) = entry.file_name().into_string() else {
                    bail!("{} has a file name that is not UTF-8: {:?}", dir.display(), entry.file_name());
                };
                if !name.starts_with('.') && entry.path().is_file() {
                    files.push((folder, name));
                }
            }
        }
        files.sort_by(|(_, a), (_, b)| arrival(a).cmp(&arrival(b)).then_with(|| a.cmp(b)));
        let total_files = files.len() as u64;
        Ok(Self {
            root: root.to_owned(),
            files: files.into(),
            keywords: read_keywords(&root.join(KEYWORDS_FILE))?,
            total_files,
            done_files: 0,
        })
    }

    fn flags_of(&self, name: &str) -> Vec<String> {
        let Some((_, letters)) = name.rsplit_once(":2,") else { return Vec::new() };
        letters.chars().filter_map(|letter| self.flag_of(letter)).collect()
    }

    fn flag_of(&self, letter: char) -> Option<String> {
        if letter.is_ascii_lowercase() {
            let at = usize::try_from(u32::from(letter) - u32::from('a')).ok()?;
            return self.keywords.get(at).cloned().flatten();
        }
        LETTERS.iter().find(|(l, _)| *l == letter).map(|(_, flag)| (*flag).to_owned())
    }
}

impl Source for MaildirReader {
    fn next(&mut self) -> anyhow::Result<Option<Incoming>> {
        let Some((folder, name)) = self.files.pop_front() else { return Ok(None) };
        let path = self.root.join(folder).join(&name);
        let origin = path.display().to_string();
        let (body, modified) = read_file(&path)?;
        self.done_files += 1;
        let (flags, at) = (self.flags_of(&name), Place::File(without_flags(&name).to_owned()));
        Ok(Some(Incoming { body, flags, internal_date: modified, at, origin }))
    }

    fn position(&self) -> u64 {
        self.done_files
    }

    fn total(&self) -> Total {
        Total::Files(self.total_files)
    }
}

/// The part of a file's name that stays while its flags change.
fn without_flags(name: &str) -> &str {
    name.rsplit_once(":2,").map_or(name, |(unique, _)| unique)
}

/// A file's bytes and when it was modified.
pub fn read_file(path: &Path) -> anyhow::Result<(Spool, Option<ZonedTime>)> {
    let read = || -> io::Result<(Spool, Option<ZonedTime>)> {
        let mut file = File::open(path)?;
        let modified = file.metadata()?.modified().ok().and_then(unix_s).map(ZonedTime::utc);
        let mut body = Spool::default();
        io::copy(&mut file, &mut body)?;
        Ok((body, modified))
    };
    read().with_context(|| format!("reading {}", path.display()))
}

fn unix_s(at: SystemTime) -> Option<i64> {
    at.duration_since(UNIX_EPOCH).ok().and_then(|d| i64::try_from(d.as_secs()).ok())
}

/// The second that a file name begins with; names that do not begin with one come last.
fn arrival(name: &str) -> u64 {
    let digits: String = name.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(u64::MAX)
}

/// Lines `NUMBER KEYWORD`; an absent file has none.
fn read_keywords(path: &Path) -> anyhow::Result<Vec<Option<String>>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    let mut keywords = vec![None; KEYWORDS_MAX];
    for line in text.lines() {
        let Some((number, keyword)) = line.split_once(' ') else { continue };
        let slot = number.parse::<usize>().ok().and_then(|at| keywords.get_mut(at));
        if let Some(slot) = slot {
            *slot = Some(keyword.to_owned());
        }
    }
    Ok(keywords)
}

/// Writes a new Maildir. Names hold the UID, so they sort in the mailbox's order.
pub struct MaildirWriter {
    root: PathBuf,
    lf: bool,
    started_s: i64,
    keywords: Vec<String>,
}

impl MaildirWriter {
    pub fn create(root: &Path, lf: bool) -> anyhow::Result<Self> {
        for folder in ["cur", "new", "tmp"] {
            let dir = root.join(folder);
            fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
        }
        let started_s = unix_s(SystemTime::now()).unwrap_or_default();
        Ok(Self { root: root.to_owned(), lf, started_s, keywords: Vec::new() })
    }

    /// The letters of the flags, sorted. A keyword past the 26th has none and is answered.
    fn letters(&mut self, flags: &[String]) -> (String, Vec<String>) {
        let mut letters = Vec::new();
        let mut without = Vec::new();
        for flag in flags {
            let known = LETTERS.iter().find(|(_, f)| f.eq_ignore_ascii_case(flag)).map(|(letter, _)| *letter);
            match known.or_else(|| self.keyword_letter(flag)) {
                Some(letter) => letters.push(letter),
                None => without.push(flag.clone()),
            }
        }
        letters.sort_unstable();
        letters.dedup();
        (letters.into_iter().collect(), without)
    }

    fn keyword_letter(&mut self, flag: &str) -> Option<char> {
        if flag.starts_with('\\') {
            return None;
        }
        let at = match self.keywords.iter().position(|k| k.eq_ignore_ascii_case(flag)) {
            Some(at) => at,
            None if self.keywords.len() < KEYWORDS_MAX => {
                self.keywords.push(flag.to_owned());
                self.keywords.len() - 1
            }
            None => return None,
        };
        u8::try_from(at).ok().map(|at| char::from(b'a' + at))
    }
}

impl Sink for MaildirWriter {
    fn put(&mut self, message: Outgoing<'_>) -> anyhow::Result<Put> {
        let (letters, left_out) = self.letters(message.flags);
        let unique = format!("{}.U{:010}.mailcask", self.started_s, message.uid.0);
        let staged = self.root.join("tmp").join(&unique);
        let kept = self.root.join("cur").join(format!("{unique}:2,{letters}"));
        let mut write = || -> io::Result<()> {
            let mut file = BufWriter::new(File::create_new(&staged)?);
            message.body.write_to(&mut file, self.lf)?;
            file.flush()?;
            set_modified(file.get_ref(), message.internal_date)?;
            fs::rename(&staged, &kept)
        };
        write().with_context(|| format!("writing {}", kept.display()))?;
        Ok(Put { at: Place::File(unique), left_out })
    }

    fn finish(self: Box<Self>) -> anyhow::Result<()> {
        if !self.keywords.is_empty() {
            let lines: String =
                self.keywords.iter().enumerate().map(|(at, keyword)| format!("{at} {keyword}\n")).collect();
            let path = self.root.join(KEYWORDS_FILE);
            fs::write(&path, lines).with_context(|| format!("writing {}", path.display()))?;
        }
        sync_folder(&self.root)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use engine::types::Uid;

    fn put(writer: &mut MaildirWriter, uid: u32, text: &[u8], flags: &[&str]) -> Vec<String> {
        let mut body = Spool::default();
        body.write_all(text).unwrap();
        let flags: Vec<String> = flags.iter().map(|f| (*f).to_owned()).collect();
        let internal_date = ZonedTime::utc(1_000_000_000 + i64::from(uid));
        writer
            .put(Outgoing { body: &mut body, flags: &flags, internal_date, uid: Uid(uid) })
            .unwrap()
            .left_out
    }

    #[test]
    fn written_and_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = MaildirWriter::create(dir.path(), true).unwrap();
        assert!(put(&mut writer, 2, b"A: 2\r\n", &["\\Seen", "Work", "$Forwarded"]).is_empty());
        assert!(
            put(&mut writer, 1, b"A: 1\r\n", &["\\Answered", "\\Flagged", "\\Draft", "\\Deleted"]).is_empty()
        );
        assert!(put(&mut writer, 30, b"A: 3\r\nx\n", &["other", "WORK"]).is_empty());
        Box::new(writer).finish().unwrap();

        let mut reader = MaildirReader::open(dir.path()).unwrap();
        assert_eq!(reader.total(), Total::Files(3));
        let mut seen = Vec::new();
        while let Some(mut message) = reader.next().unwrap() {
            let mut bytes = Vec::new();
            message.body.write_to(&mut bytes, false).unwrap();
            message.flags.sort();
            seen.push((
                String::from_utf8(bytes).unwrap(),
                message.flags.join(" "),
                message.internal_date.unwrap().unix_s,
            ));
        }
        let expected = [
            ("A: 1\n", "\\Answered \\Deleted \\Draft \\Flagged", 1_000_000_001),
            ("A: 2\n", "$Forwarded Work \\Seen", 1_000_000_002),
            ("A: 3\r\nx\n", "Work other", 1_000_000_030),
        ];
        assert_eq!(seen, expected.map(|(text, flags, at)| (text.to_owned(), flags.to_owned(), at)));
    }

    #[test]
    fn the_27th_keyword_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = MaildirWriter::create(dir.path(), true).unwrap();
        let names: Vec<String> = (0..27).map(|n| format!("k{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(put(&mut writer, 1, b"x", &names), ["k26"]);
    }

    #[test]
    fn new_has_no_flags_and_names_order_by_second() {
        let dir = tempfile::tempdir().unwrap();
        drop(MaildirWriter::create(dir.path(), true).unwrap());
        for (name, text) in [("cur/999.a:2,S", "first"), ("new/1000.b", "second"), ("cur/1001.c:2,", "third")]
        {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let mut reader = MaildirReader::open(dir.path()).unwrap();
        let mut seen = Vec::new();
        while let Some(message) = reader.next().unwrap() {
            seen.push((String::from_utf8(message.body.head().to_vec()).unwrap(), message.flags.len()));
        }
        assert_eq!(seen, [("first".into(), 1), ("second".into(), 0), ("third".into(), 0)]);
    }
}
