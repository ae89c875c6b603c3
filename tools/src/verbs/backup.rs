//! `mailcask backup`: the store's files copied into a folder, only what is new each time.
//!
//! Laws
//! - Beside a server the server holds the files still, and this process copies them: mail goes on.
//! - A backup that is interrupted harms none of the older ones, and the next one goes on where it ended.

use crate::failure::{FAILED, say, usage};
use crate::output::{self, Output};
use crate::{progress, size, store};
use anyhow::bail;
use engine::Error;
use engine::attach::Admin;
use engine::backup::{Description, Folder, How, Pruned, Rate, Taken, prune, show_time, take, verify};
use engine::sys::clock::{Clock, SystemClock};
use engine::sys::disk::{Disk, RealDisk};
use serde::Serialize;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// How often a backup is begun because files went: the store may have changed hands meanwhile.
const ATTEMPTS: u32 = 3;

/// Copy what is new in the store to a folder, from which `restore` makes it again
#[derive(clap::Args)]
pub struct Args {
    /// The folder for the backups of this store
    dest: PathBuf,
    /// Copy at most that many bytes a second: 10M
    #[arg(long, value_name = "SIZE", value_parser = rate)]
    rate: Option<u64>,
    /// After the backup, keep that many of the newest and remove what only older ones need
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,
    /// No new backup: only remove what `--keep` leaves over
    #[arg(long, requires = "keep")]
    prune: bool,
    /// No new backup: list those there are
    #[arg(long, conflicts_with_all = ["prune", "keep", "verify"])]
    list: bool,
    /// No new backup: read those there are and compare every byte with its checksum
    #[arg(long, conflicts_with_all = ["prune", "keep"])]
    verify: bool,
}

pub fn rate(text: &str) -> Result<u64, String> {
    let parsed = size::parse_quota(text).ok().and_then(|size| size.0).filter(|bytes| *bytes > 0);
    parsed.ok_or_else(|| "give bytes a second such as 500k or 20M".to_owned())
}

/// The machine's own disk.
pub fn disk() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
}

#[derive(Serialize)]
struct Listed {
    backup: String,
    as_of: String,
    as_of_ms: u64,
    lsn: u64,
    files: usize,
    bytes: u64,
}

#[derive(Serialize)]
struct Done {
    #[serde(flatten)]
    taken: Option<Taken>,
    pruned: Option<Pruned>,
}

pub fn run(args: Args, dir: &Path, output: &Output) -> anyhow::Result<ExitCode> {
    if args.list {
        return list(&args.dest, output);
    }
    if args.verify {
        return verify_all(&args.dest, output);
    }
    if is_inside(&args.dest, dir) {
        return Err(usage("a backup inside of its store is lost with it; choose another folder"));
    }
    let taken = if args.prune { None } else { Some(back_up(&args, dir)?) };
    let pruned = match args.keep {
        Some(keep) => Some(prune(&mut Folder::open(&disk(), &args.dest)?, keep as usize)?),
        None => None,
    };
    output.data(&Done { taken: taken.clone(), pruned: pruned.clone() }, |out| {
        if let Some(taken) = &taken {
            let (copied, all) = (size::show(taken.bytes_copied), size::show(taken.bytes));
            writeln!(out, "{}: as of {}, {copied} copied of {all}", taken.backup, show_time(taken.as_of_ms))?;
        }
        if let Some(pruned) = &pruned {
            let (backups, files, bytes) = (pruned.backups, pruned.files, size::show(pruned.bytes));
            writeln!(out, "{backups} old backups and {files} files ({bytes}) removed")?;
        }
        Ok(())
    })?;
    let damaged = taken.map(|taken| taken.damaged).unwrap_or_default();
    damaged.iter().for_each(|what| say(what));
    Ok(if damaged.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn is_inside(dest: &Path, store: &Path) -> bool {
    let (Ok(dest), Ok(store)) = (std::path::absolute(dest), std::path::absolute(store)) else { return false };
    dest.starts_with(store)
}

fn back_up(args: &Args, dir: &Path) -> anyhow::Result<Taken> {
    let admin = store::open(dir)?;
    let mut folder = Folder::open(&disk(), &args.dest)?;
    let mut attempt = 1;
    let taken = loop {
        // What is missing from the same store again and again is lost; the rest is worth a backup all the more.
        let damaged_too = attempt == ATTEMPTS;
        match attempt_once(admin.as_ref(), dir, &mut folder, args.rate, damaged_too) {
            Err(error) if attempt < ATTEMPTS && is_missing(&error) => attempt += 1,
            taken => break taken?,
        }
    };
    admin.close()?;
    Ok(taken)
}

fn attempt_once(
    admin: &dyn Admin,
    dir: &Path,
    folder: &mut Folder,
    rate: Option<u64>,
    damaged_too: bool,
) -> anyhow::Result<Taken> {
    // Before the pin: what is acknowledged later is not said to be in it.
    let now_ms = SystemClock.now_ms();
    let held = admin.pin()?;
    let mut how = How { damaged_too, ..How::new(Rate::new(rate)) };
    progress::follow(|work| take(&RealDisk, dir, &held.pinned, now_ms, folder, &mut how, work))
}

/// A file that was held is not there, or not all of it: its holder ended, or it is lost.
fn is_missing(error: &anyhow::Error) -> bool {
    let is_it = |error: &Error| match error {
        Error::Io { source, .. } => source.kind() == ErrorKind::NotFound,
        error => matches!(error, Error::Corrupt { .. }),
    };
    error.downcast_ref::<Error>().is_some_and(is_it)
}

/// An existing folder of backups.
pub fn existing(dest: &Path) -> anyhow::Result<Folder> {
    let folder = Folder::read(&disk(), dest)?;
    for name in folder.unreadable() {
        say(&format!("backups/{name} is damaged and left out"));
    }
    if folder.backups().is_empty() {
        bail!("there is no backup in {}", dest.display());
    }
    Ok(folder)
}

fn list(dest: &Path, output: &Output) -> anyhow::Result<ExitCode> {
    let folder = existing(dest)?;
    let listed = |found: &Description| Listed {
        backup: found.file_name(),
        as_of: show_time(found.as_of_ms),
        as_of_ms: found.as_of_ms,
        lsn: found.lsn.0,
        files: found.files.len(),
        bytes: found.bytes(),
    };
    let backups: Vec<Listed> = folder.backups().iter().map(listed).collect();
    output.data(&backups, |out| {
        let rows: Vec<Vec<String>> = backups
            .iter()
            .map(|one| {
                vec![one.as_of.clone(), one.files.to_string(), size::show(one.bytes), one.backup.clone()]
            })
            .collect();
        output::table(out, &["AS OF", "FILES", "SIZE", "BACKUP"], &rows)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn verify_all(dest: &Path, output: &Output) -> anyhow::Result<ExitCode> {
    let folder = existing(dest)?;
    let verified = progress::follow(|work| verify(&folder, work))?;
    output.data(&verified, |out| {
        for finding in &verified.findings {
            writeln!(out, "{finding}")?;
        }
        let (backups, files) = (verified.backups, verified.files);
        let found = match verified.findings.len() {
            0 => "all of it is as it was copied".to_owned(),
            1 => "1 finding; remove a copy that changed, and the next backup copies it again".to_owned(),
            many => {
                format!("{many} findings; remove copies that changed, and the next backup copies them again")
            }
        };
        writeln!(out, "{backups} backups, {files} files, {}: {found}", size::show(verified.bytes))
    })?;
    Ok(if verified.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}
