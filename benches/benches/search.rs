//! Searches at the level of the engine: what they take without IMAP, on one mailbox, with its index made
//! here or found there.
//!
//! `cargo bench -p benches --bench search -- [--messages N] [--dir FOLDER] [--store DIR --account NAME] [--repeat N]`
//!
//! Without `--store` the mail is `../shared/corpus/make_mailbox.py`'s and the store is made in a folder
//! below `--dir`: then it also says how long the index took for it (`append` alone, then until the
//! index is settled) and what it is on disk. With `--store` that store is opened as it is and only searched.
//! The rows are those of `benches/compare`; `hits` beside the times, so that a fast wrong answer shows.

use engine::mailbox::View;
use engine::ops::{AppendItem, NewAccount};
use engine::search::{Context, Key, Progress, SortBy, SortKey, ThreadBy};
use engine::types::{AccountId, UidSet};
use engine::{Store, StoreOptions};
use std::error::Error;
use std::io::{BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const ACCOUNT: &str = "u";
const BATCH: usize = 64;
/// Of a row, unless it was asked often enough before.
const ROW: Duration = Duration::from_secs(5);

fn main() -> Outcome<()> {
    let options = Options::from_args()?;
    let made = match &options.store {
        Some(_) => None,
        None => Some(tempfile::tempdir_in(&options.dir)?),
    };
    let dir = match (&options.store, &made) {
        (Some(store), _) => store.clone(),
        (None, Some(made)) => made.path().join("store"),
        (None, None) => return Err("no store".into()),
    };
    let store = Store::open(&dir, StoreOptions::default())?;
    if made.is_some() {
        fill(&store, options.messages)?;
    } else {
        settle(&store)?;
    }
    let account = store.account_id(&options.account).ok_or("no such account")?;
    let inbox = store.account(account)?.mailbox_named("inbox").ok_or("no INBOX")?.header.id;
    let searched = Searched { view: View::open(store.mailbox(account, inbox)?), store, account, options };
    searched.rows()?;
    searched.orders()?;
    println!("{}", serde_json::to_string_pretty(&searched.store.index_stats(Some(account))?)?);
    searched.store.close()?;
    Ok(())
}

struct Options {
    messages: usize,
    dir: PathBuf,
    store: Option<PathBuf>,
    account: String,
    repeat: usize,
}

impl Options {
    fn from_args() -> Outcome<Self> {
        let mut options = Self {
            messages: 20_000,
            dir: PathBuf::from(env!("CARGO_TARGET_TMPDIR")),
            store: None,
            account: ACCOUNT.to_owned(),
            repeat: 200,
        };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            // Cargo says it to every bench.
            if arg == "--bench" {
                continue;
            }
            let value = args.next().ok_or_else(|| format!("{arg} needs a value"))?;
            match arg.as_str() {
                "--messages" => options.messages = value.parse()?,
                "--dir" => options.dir = value.into(),
                "--store" => options.store = Some(value.into()),
                "--account" => options.account = value,
                "--repeat" => options.repeat = value.parse()?,
                other => return Err(format!("unknown argument {other}").into()),
            }
        }
        Ok(options)
    }
}

/// Appends the generator's mail and waits for the index.
fn fill(store: &Store, messages: usize) -> Outcome<()> {
    let account = store.create_account(&NewAccount { name: ACCOUNT, password: None, quota_bytes: None })?;
    let inbox = store.account(account)?.mailbox_named("inbox").ok_or("no INBOX")?.header.id;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus/make_mailbox.py");
    let mut child = Command::new("python3")
        .arg(script)
        .args(["-n", &messages.to_string(), "--seed", "1", "--format", "stream", "--out", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut stream = BufReader::with_capacity(1 << 20, child.stdout.take().ok_or("no output")?);
    let (began, mut bytes, mut items) = (Instant::now(), 0, Vec::new());
    loop {
        let next = next_message(&mut stream)?;
        if let Some(raw) = &next {
            bytes += raw.len();
            let mut stager = store.stager();
            stager.write(raw)?;
            items.push(AppendItem { message: stager.finish()?, flags: Vec::new(), internal_date: None });
        }
        if items.len() == BATCH || (next.is_none() && !items.is_empty()) {
            store.append(account, inbox, std::mem::take(&mut items))?;
        }
        if next.is_none() {
            break;
        }
    }
    if !child.wait()?.success() {
        return Err("make_mailbox.py failed".into());
    }
    let appended = began.elapsed();
    store.settle_index()?;
    let indexed = began.elapsed();
    let rate = |took: Duration| messages as f64 / took.as_secs_f64();
    println!(
        "{messages} messages, {} MB: appended {:.0}/s, appended and indexed {:.0}/s",
        bytes / 1_000_000,
        rate(appended),
        rate(indexed)
    );
    Ok(())
}

fn next_message(stream: &mut impl Read) -> Outcome<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let mut message = vec![0; usize::try_from(u32::from_be_bytes(length))?];
    stream.read_exact(&mut message)?;
    Ok(Some(message))
}

/// What an existing store has left to index would be measured with every search.
fn settle(store: &Store) -> Outcome<()> {
    let began = Instant::now();
    store.settle_index()?;
    println!("index settled in {:.1} s", began.elapsed().as_secs_f64());
    Ok(())
}

/// One mailbox, as a session sees it.
struct Searched {
    store: Store,
    account: AccountId,
    view: View,
    options: Options,
}

impl Searched {
    fn rows(&self) -> Outcome<()> {
        println!("{:<34} {:>9} {:>9} {:>9}", "", "hits", "p50 ms", "p99 ms");
        let body = |string: &str| Key::Body(string.to_owned());
        let text = |string: &str| Key::Text(string.to_owned());
        let unseen = || Key::not(Key::Flag("\\Seen".to_owned()));
        let rows = [
            ("BODY rare word", body("quillofenbrask")),
            ("TEXT rare word", text("quillofenbrask")),
            ("BODY absent word", body("qwxzzyvwort")),
            ("BODY word in 30 %", body("tolmerandine")),
            ("BODY mid-word substring", body("zephrocast")),
            ("TEXT mid-word, absent", text("zephrocasq")),
            ("BODY CJK word", body("麒麟珈琲館裏")),
            ("BODY two CJK characters", body("珈琲")),
            ("BODY order number, part", body("7788123-q")),
            ("BODY phrase of four words", body("amber lanterns drifting seaward")),
            ("BODY across words, rare", body("ber lanterns drif")),
            ("BODY across words, common", body("to the")),
            ("BODY mid of common words", body("o th")),
            ("BODY two letters", body("qx")),
            ("TEXT one letter", text("e")),
            ("BODY punctuation only", body(", ")),
            ("FROM substring, rare", Key::header("from", "vious Dellam")),
            ("FROM substring", Key::header("from", "rthwind.exa")),
            ("TO substring, half of all", Key::header("to", "ner@mailb")),
            ("SUBJECT substring", Key::header("subject", "nel-dev")),
            ("SUBJECT re:, half of all", Key::header("subject", "re: ")),
            ("HEADER Received", Key::header("received", "needlegate77")),
            ("UNSEEN", unseen()),
            ("LARGER 50000", Key::Larger(50_000)),
            ("UNSEEN LARGER 50000", Key::And(vec![unseen(), Key::Larger(50_000)])),
            ("LARGER BODY word in 30 %", Key::And(vec![Key::Larger(50_000), body("tolmerandine")])),
            ("NOT BODY word in 30 %", Key::not(body("tolmerandine"))),
        ];
        for (label, key) in rows {
            self.row(label, || Ok(self.search(&key)?.len()))?;
        }
        Ok(())
    }

    /// SORT and THREAD of the whole mailbox.
    fn orders(&self) -> Outcome<()> {
        let all = self.search(&Key::All)?;
        let cancel = AtomicBool::new(false);
        let by = |by| [SortKey { by, reverse: false }];
        for (label, by) in [
            ("SORT (DATE)", by(SortBy::Date)),
            ("SORT (SUBJECT)", by(SortBy::Subject)),
            ("SORT (FROM)", by(SortBy::From)),
        ] {
            let sort = || self.store.sort(self.account, &self.view, &all, &by, &cancel);
            self.row(label, || Ok(sort()?.map_or(0, |uids| uids.len() as u64)))?;
        }
        for (label, by) in [("THREAD=REFERENCES", ThreadBy::References), ("THREAD=REFS", ThreadBy::Refs)] {
            let thread = || self.store.thread(self.account, &self.view, &all, by, &cancel);
            self.row(label, || Ok(if thread()?.is_some() { all.len() } else { 0 }))?;
        }
        Ok(())
    }

    fn search(&self, key: &Key) -> Outcome<UidSet> {
        let context = Context {
            recent: &UidSet::new(),
            now_s: 0,
            cancel: &AtomicBool::new(false),
            progress: &Progress::default(),
        };
        let found = self.store.search(self.account, &self.view, key, &context)?;
        Ok(found.ok_or("cancelled")?.uids)
    }

    fn row(&self, label: &str, ask: impl Fn() -> Outcome<u64>) -> Outcome<()> {
        // Once before, so that all of them are warm alike.
        let hits = ask()?;
        let (mut took, until) = (Vec::new(), Instant::now() + ROW);
        while took.is_empty() || (took.len() < self.options.repeat && Instant::now() < until) {
            let began = Instant::now();
            ask()?;
            took.push(began.elapsed());
        }
        took.sort_unstable();
        println!("{label:<34} {hits:>9} {:>9.3} {:>9.3}", percentile_ms(&took, 50), percentile_ms(&took, 99));
        Ok(())
    }
}

/// Of sorted times.
fn percentile_ms(sorted: &[Duration], percent: usize) -> f64 {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(0.0, |took| took.as_secs_f64() * 1000.0)
}
