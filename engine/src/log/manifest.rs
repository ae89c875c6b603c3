//! MANIFEST and FORMAT: which files count, and whose they are.
//!
//! Laws
//! - A file that the manifest does not name is a leftover; a segment is named before anything durable depends on it.
//! - It is replaced whole: written beside, synced, renamed, folder synced. A reader of the folder finds the old one or the
//!   new one.
//! - Both files have a copy, so that one that rots costs nothing: the newest intact manifest counts, and each open writes
//!   both anew.
//! - What it says of LSNs and message numbers was durable when it was written: recovery takes it for proof.

use super::bytes::set;
use super::cold::End;
use super::segment::SegmentKind;
use super::types::{Damage, RunInfo, RunSet};
use crate::codec::{Decoder, Encoder};
use crate::error::{Error, Result};
use crate::sys::disk::Disk;
use crate::sys::patient::is_unreadable;
use crate::types::{AccountId, Lsn, MessageNo, SegmentId};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

const MAGIC: &[u8; 8] = b"MCMANIF2";
/// Without its own version, ends of doomed segments and spared accounts. Read, never written.
const MAGIC_1: &[u8; 8] = b"MCMANIF1";
const MANIFEST: &str = "MANIFEST";
const MANIFEST_COPY: &str = "MANIFEST.copy";
const FORMAT: &str = "FORMAT";
const FORMAT_COPY: &str = "FORMAT.copy";
const FORMAT_MAGIC: &[u8; 8] = b"MAILCASK";
const FORMAT_BYTES: usize = 64;
/// Incompat bit 0: the format of `docs/format.md`.
const INCOMPAT_BASE: u64 = 1;

/// How a manifest lies on the disk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    One,
    Two,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Open,
    Sealed,
    /// A cold segment whose Relocate is not durable yet.
    Pending,
}

/// A segment that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) kind: SegmentKind,
    pub(super) state: State,
    pub(super) bytes: u64,
    pub(super) first_lsn: Lsn,
    pub(super) last_lsn: Lsn,
    pub(super) prev_lsn: Lsn,
    pub(super) messages: u64,
    pub(super) newest_time_ms: u64,
}

impl Segment {
    pub(super) fn open(kind: SegmentKind) -> Self {
        Self {
            kind,
            state: State::Open,
            bytes: 0,
            first_lsn: Lsn(0),
            last_lsn: Lsn(0),
            prev_lsn: Lsn(0),
            messages: 0,
            newest_time_ms: 0,
        }
    }
}

/// A segment that no longer counts but is kept for a grace time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Doomed {
    pub(super) kind: SegmentKind,
    pub(super) not_before_ms: u64,
    pub(super) end: End,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Manifest {
    /// Rises with each one written: of two the one with the greater number is the newer.
    pub(super) version: u64,
    pub(super) store_id: [u8; 16],
    pub(super) epoch: u32,
    pub(super) clean: bool,
    pub(super) boot_id: String,
    pub(super) durable_lsn: Lsn,
    pub(super) time_ms: u64,
    pub(super) highest_message: MessageNo,
    pub(super) next_segment: u32,
    pub(super) segments: BTreeMap<SegmentId, Segment>,
    pub(super) doomed: BTreeMap<SegmentId, Doomed>,
    pub(super) damage: Vec<Damage>,
    pub(super) current_runs: RunSet,
    pub(super) previous_runs: RunSet,
}

impl Manifest {
    pub(super) fn new(store_id: [u8; 16]) -> Self {
        Self { store_id, epoch: 1, next_segment: 1, ..Self::default() }
    }

    /// A number that no segment had.
    pub(super) fn take_segment_id(&mut self) -> SegmentId {
        let id = SegmentId(self.next_segment);
        self.next_segment += 1;
        id
    }

    /// The number was not used after all.
    pub(super) fn give_back_segment_id(&mut self, id: SegmentId) {
        if self.next_segment == id.0 + 1 {
            self.next_segment = id.0;
        }
    }

    /// Adds what of some damage is not on the list yet: groups listed as missing, messages listed as lost.
    pub(super) fn add_damage(&mut self, damage: Damage) -> bool {
        if damage.lost_up_to().is_some() {
            let is_known = self.damage.iter().any(|d| d.lost_up_to() >= damage.lost_up_to());
            if !is_known {
                self.damage.push(damage);
            }
            return !is_known;
        }
        let messages = damage.unlisted_messages(&self.damage);
        let is_news = damage.is_hole() && !damage.is_hole_known_by(&self.damage);
        if is_news {
            self.damage.push(Damage { messages, ..damage });
            return true;
        }
        let new = !messages.is_empty() || (!damage.is_hole() && damage.messages.is_empty());
        if new && !self.damage.contains(&damage) {
            let (first_lsn, last_lsn, spared) = (Lsn(0), Lsn(0), Vec::new());
            self.damage.push(Damage { messages, first_lsn, last_lsn, spared, ..damage });
            return true;
        }
        false
    }

    /// The kind of a segment whose bytes may still be read.
    pub(super) fn kind(&self, id: SegmentId) -> Option<SegmentKind> {
        self.segments.get(&id).map(|s| s.kind).or_else(|| self.doomed.get(&id).map(|d| d.kind))
    }

    /// Segments of one kind, oldest first.
    pub(super) fn of(&self, kind: SegmentKind) -> impl DoubleEndedIterator<Item = (SegmentId, &Segment)> {
        self.segments.iter().filter(move |(_, s)| s.kind == kind).map(|(id, s)| (*id, s))
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut body = Encoder::new();
        put_u64(&mut body, &[self.version]);
        body.raw(&self.store_id);
        body.u32_le(self.epoch);
        body.u8(u8::from(self.clean));
        let boot = self.boot_id.as_bytes();
        let boot = &boot[..boot.len().min(255)];
        body.u8(boot.len() as u8);
        body.raw(boot);
        put_u64(&mut body, &[self.durable_lsn.0, self.time_ms, self.highest_message.0]);
        body.u32_le(self.next_segment);
        body.u32_le(self.segments.len() as u32);
        for (id, s) in &self.segments {
            body.u32_le(id.0);
            body.raw(&[s.kind.code(), s.state as u8]);
            let lsns = [s.first_lsn.0, s.last_lsn.0, s.prev_lsn.0];
            put_u64(&mut body, &[s.bytes, lsns[0], lsns[1], lsns[2], s.messages, s.newest_time_ms]);
        }
        body.u32_le(self.doomed.len() as u32);
        for (id, d) in &self.doomed {
            body.u32_le(id.0);
            body.raw(&[d.kind.code(), d.end as u8]);
            put_u64(&mut body, &[d.not_before_ms]);
        }
        body.u32_le(self.damage.len() as u32);
        self.damage.iter().for_each(|d| put_damage(&mut body, d));
        put_runs(&mut body, &self.current_runs);
        put_runs(&mut body, &self.previous_runs);
        let body = body.as_bytes();
        let mut out = Encoder::new();
        out.raw(MAGIC);
        out.u32_le(body.len() as u32);
        out.u32_le(crc32fast::hash(body));
        out.raw(body);
        out.into_bytes()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut c = Decoder::new(bytes, "MANIFEST");
        let layout = match c.raw(8)? {
            magic if magic == MAGIC => Layout::Two,
            magic if magic == MAGIC_1 => Layout::One,
            _ => return Err(c.bad("it is no manifest of a known version")),
        };
        let (len, crc32) = (c.u32_le()? as usize, c.u32_le()?);
        let body = c.raw(len)?;
        if crc32fast::hash(body) != crc32 {
            return Err(c.bad("its checksum does not match"));
        }
        let mut c = Decoder::new(body, "MANIFEST");
        let version = if layout == Layout::Two { c.u64_le()? } else { 0 };
        let (store_id, epoch, clean) = (c.array()?, c.u32_le()?, c.u8()? != 0);
        let boot_len = usize::from(c.u8()?);
        let boot_id = text(&mut c, boot_len)?;
        let (durable_lsn, time_ms, highest_message) = (Lsn(c.u64_le()?), c.u64_le()?, MessageNo(c.u64_le()?));
        let next_segment = c.u32_le()?;
        let segments = (0..c.count_le(54)?).map(|_| read_segment(&mut c)).collect::<Result<_>>()?;
        let doomed = (0..c.count_le(13)?).map(|_| read_doomed(&mut c, layout)).collect::<Result<_>>()?;
        let damage = (0..c.count_le(30)?).map(|_| read_damage(&mut c, layout)).collect::<Result<_>>()?;
        let (current_runs, previous_runs) = (read_runs(&mut c)?, read_runs(&mut c)?);
        Ok(Self {
            version,
            store_id,
            epoch,
            clean,
            boot_id,
            durable_lsn,
            time_ms,
            highest_message,
            next_segment,
            segments,
            doomed,
            damage,
            current_runs,
            previous_runs,
        })
    }

    /// Replaces the manifest and its copy. `Err(Replace::Unknown)`: which of the two counts after a crash is not known.
    pub(super) fn store(&self, disk: &dyn Disk, dir: &Path) -> std::result::Result<(), Replace> {
        let bytes = self.encode();
        write_beside(disk, dir, MANIFEST, &bytes).map_err(Replace::Failed)?;
        // A copy that fails is older than what counts: the next manifest, or the next open, puts that right.
        let copied = write_beside(disk, dir, MANIFEST_COPY, &bytes);
        put_in_place(disk, dir, MANIFEST).map_err(Replace::Failed)?;
        let copied = copied.and_then(|()| put_in_place(disk, dir, MANIFEST_COPY));
        if let Err(error) = copied {
            tracing::warn!(%error, "the copy of MANIFEST could not be written");
        }
        disk.sync_dir(dir).map_err(|e| Replace::Unknown(Error::io("syncing the store's folder", e)))
    }
}

/// How replacing a file failed.
#[derive(Debug)]
pub(super) enum Replace {
    /// The old one is still there.
    Failed(Error),
    Unknown(Error),
}

impl Replace {
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Failed(e) | Self::Unknown(e) => e,
        }
    }
}

fn write_beside(disk: &dyn Disk, dir: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let beside = dir.join(format!("{name}.new"));
    let write = || -> io::Result<()> {
        if disk.exists(&beside) {
            disk.remove_file(&beside)?;
        }
        let file = disk.create(&beside)?;
        file.write_all_at(bytes, 0)?;
        file.sync_data()
    };
    write().map_err(|e| Error::io(format!("writing {}", beside.display()), e))
}

fn put_in_place(disk: &dyn Disk, dir: &Path, name: &str) -> Result<()> {
    let (beside, path) = (dir.join(format!("{name}.new")), dir.join(name));
    disk.rename(&beside, &path).map_err(|e| Error::io(format!("writing {}", path.display()), e))
}

/// A file and its copy as they are found.
struct Pair<T> {
    first: Result<Option<T>>,
    copy: Result<Option<T>>,
}

impl<T> Pair<T> {
    /// The disk's own error, when neither could be read because of one: then nothing is known to be damaged.
    fn check_disk(&mut self) -> Result<()> {
        if matches!(self.first, Ok(Some(_))) || matches!(self.copy, Ok(Some(_))) {
            return Ok(());
        }
        for found in [&mut self.first, &mut self.copy] {
            if !matches!(found, Err(Error::Io { .. })) {
                continue;
            }
            return match std::mem::replace(found, Ok(None)) {
                Err(Error::Io { context, source }) if is_unreadable(&source) => {
                    let todo =
                        "its copy is no help; copy the disk to a good one with ddrescue, and start on that";
                    Err(Error::Io { context: format!("{context} ({todo})"), source })
                }
                other => other.map(drop),
            };
        }
        Ok(())
    }

    fn read(disk: &dyn Disk, dir: &Path, names: [&str; 2], decode: impl Fn(&[u8]) -> Result<T>) -> Self {
        let read = |name: &str| read_whole(disk, &dir.join(name))?.map(|bytes| decode(&bytes)).transpose();
        let [first, copy] = names;
        Self { first: read(first), copy: read(copy) }
    }

    /// What is wrong with either, in words.
    fn faults(&self, names: [&str; 2], is_due: bool) -> Vec<String> {
        let found = [&self.first, &self.copy].into_iter().zip(names);
        let fault = |(found, name): (&Result<Option<T>>, &str)| match found {
            Ok(None) if is_due => Some(format!("{name} was missing")),
            Ok(_) => None,
            Err(why) => Some(format!("{name} could not be read: {why}")),
        };
        found.filter_map(fault).collect()
    }
}

/// The manifest that counts.
pub(super) struct Loaded {
    /// `None`: there is none that could be read.
    pub(super) manifest: Option<Manifest>,
    /// What was wrong; the next manifest puts it right.
    pub(super) faults: Vec<String>,
    /// Only the copy could be read, which a crash may have left one manifest behind: what it does not name may count.
    pub(super) may_be_old: bool,
}

/// Loads the newest manifest of the store, of any store where that is not known.
pub(super) fn load(disk: &dyn Disk, dir: &Path, store_id: Option<[u8; 16]>) -> Result<Loaded> {
    let names = [MANIFEST, MANIFEST_COPY];
    let mut pair = Pair::read(disk, dir, names, Manifest::decode);
    pair.check_disk()?;
    let intact: Vec<&Manifest> = [&pair.first, &pair.copy].into_iter().flatten().flatten().collect();
    let ours = |m: &&&Manifest| store_id.is_none_or(|id| m.store_id == id);
    let newest = intact.iter().filter(ours).max_by_key(|m| m.version).map(|m| Manifest::clone(m));
    if newest.is_none() && !intact.is_empty() {
        return Err(Error::corrupt("MANIFEST", "it belongs to another store"));
    }
    // Version 1 had no copy, and a crash right after the store was made leaves none.
    let is_due = newest.as_ref().is_some_and(|m| m.version > 1);
    let faults = pair.faults(names, is_due);
    let may_be_old = newest.is_some() && !matches!(pair.first, Ok(Some(_)));
    Ok(Loaded { manifest: newest, faults, may_be_old })
}

fn read_whole(disk: &dyn Disk, path: &Path) -> Result<Option<Vec<u8>>> {
    let io = |e| Error::io(format!("reading {}", path.display()), e);
    let file = match disk.open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io(e)),
    };
    let mut bytes = vec![0; file.len_bytes().map_err(io)? as usize];
    file.read_exact_at(&mut bytes, 0).map_err(io)?;
    Ok(Some(bytes))
}

fn put_u64(out: &mut Encoder, values: &[u64]) {
    values.iter().for_each(|v| out.u64_le(*v));
}

fn put_text(out: &mut Encoder, text: &str) {
    let bytes = &text.as_bytes()[..text.len().min(usize::from(u16::MAX))];
    out.u16_le(bytes.len() as u16);
    out.raw(bytes);
}

fn text(c: &mut Decoder<'_>, len: usize) -> Result<String> {
    Ok(String::from_utf8_lossy(c.raw(len)?).into_owned())
}

fn read_text(c: &mut Decoder<'_>) -> Result<String> {
    let len = usize::from(c.u16_le()?);
    text(c, len)
}

fn read_kind(c: &mut Decoder<'_>) -> Result<SegmentKind> {
    SegmentKind::from_code(c.u8()?).ok_or_else(|| c.bad("the kind of a segment is unknown"))
}

fn read_segment(c: &mut Decoder<'_>) -> Result<(SegmentId, Segment)> {
    let id = SegmentId(c.u32_le()?);
    let kind = read_kind(c)?;
    let state = match c.u8()? {
        0 => State::Open,
        1 => State::Sealed,
        2 => State::Pending,
        _ => return Err(c.bad("the state of a segment is unknown")),
    };
    let bytes = c.u64_le()?;
    let (first_lsn, last_lsn, prev_lsn) = (Lsn(c.u64_le()?), Lsn(c.u64_le()?), Lsn(c.u64_le()?));
    let (messages, newest_time_ms) = (c.u64_le()?, c.u64_le()?);
    Ok((id, Segment { kind, state, bytes, first_lsn, last_lsn, prev_lsn, messages, newest_time_ms }))
}

fn read_doomed(c: &mut Decoder<'_>, layout: Layout) -> Result<(SegmentId, Doomed)> {
    let (id, kind) = (SegmentId(c.u32_le()?), read_kind(c)?);
    let end = match if layout == Layout::Two { c.u8()? } else { 0 } {
        0 => End::Unlinked,
        1 => End::Quarantined,
        _ => return Err(c.bad("the end of a segment is unknown")),
    };
    Ok((id, Doomed { kind, end, not_before_ms: c.u64_le()? }))
}

fn put_damage(out: &mut Encoder, d: &Damage) {
    out.u32_le(d.segment.0);
    put_u64(out, &[d.first_lsn.0, d.last_lsn.0]);
    out.u32_le(d.accounts.len() as u32);
    d.accounts.iter().for_each(|a| out.u32_le(a.0));
    out.u32_le(d.messages.len() as u32);
    d.messages.iter().for_each(|m| put_u64(out, &[m.0]));
    out.u32_le(d.spared.len() as u32);
    d.spared.iter().for_each(|a| out.u32_le(a.0));
    put_text(out, &d.what);
}

fn read_accounts(c: &mut Decoder<'_>) -> Result<Vec<AccountId>> {
    (0..c.count_le(4)?).map(|_| Ok(AccountId(c.u32_le()?))).collect()
}

fn read_damage(c: &mut Decoder<'_>, layout: Layout) -> Result<Damage> {
    let (segment, first_lsn, last_lsn) = (SegmentId(c.u32_le()?), Lsn(c.u64_le()?), Lsn(c.u64_le()?));
    let accounts = read_accounts(c)?;
    let messages = (0..c.count_le(8)?).map(|_| Ok(MessageNo(c.u64_le()?))).collect::<Result<_>>()?;
    let spared = if layout == Layout::Two { read_accounts(c)? } else { Vec::new() };
    Ok(Damage { segment, first_lsn, last_lsn, accounts, messages, spared, what: read_text(c)? })
}

fn put_runs(out: &mut Encoder, set: &RunSet) {
    put_u64(out, &[set.as_of.0]);
    out.u32_le(set.runs.len() as u32);
    for run in &set.runs {
        put_text(out, &run.file);
        put_u64(out, &[run.as_of_lsn.0, run.bytes, run.objects]);
    }
}

fn read_runs(c: &mut Decoder<'_>) -> Result<RunSet> {
    let as_of = Lsn(c.u64_le()?);
    let mut runs = Vec::new();
    for _ in 0..c.count_le(26)? {
        let file = read_text(c)?;
        runs.push(RunInfo { file, as_of_lsn: Lsn(c.u64_le()?), bytes: c.u64_le()?, objects: c.u64_le()? });
    }
    Ok(RunSet { as_of, runs })
}

fn decode_format(bytes: &[u8]) -> Result<([u8; 16], u64)> {
    let mut c = Decoder::new(bytes, "FORMAT");
    if c.raw(8)? != FORMAT_MAGIC {
        return Err(c.bad("this is no mailcask store"));
    }
    let (_compat, ro_compat, incompat, store_id) = (c.u64_le()?, c.u64_le()?, c.u64_le()?, c.array()?);
    let created_ms = c.u64_le()?;
    c.raw(4)?;
    if c.u32_le()? != crc32fast::hash(bytes.get(..60).unwrap_or_default()) {
        return Err(c.bad("its checksum does not match"));
    }
    if ro_compat != 0 || incompat != INCOMPAT_BASE {
        let why = "the store has features this version does not know; use a newer mailcask";
        return Err(Error::NotPossible(why.to_owned()));
    }
    Ok((store_id, created_ms))
}

/// What FORMAT says, or its copy.
pub(super) struct Format {
    pub(super) store_id: Option<[u8; 16]>,
    /// When the store was made, if that is known.
    pub(super) created_ms: u64,
    /// What was wrong with either; `create_format` puts it right.
    pub(super) faults: Vec<String>,
    /// One of the two is not there.
    pub(super) incomplete: bool,
}

pub(super) fn load_format(disk: &dyn Disk, dir: &Path) -> Result<Format> {
    let names = [FORMAT, FORMAT_COPY];
    let mut pair = Pair::read(disk, dir, names, decode_format);
    pair.check_disk()?;
    for found in [&pair.first, &pair.copy] {
        // Intact, and not for this version: that is no damage.
        if let Err(Error::NotPossible(why)) = found {
            return Err(Error::corrupt("FORMAT", why));
        }
    }
    let intact = [&pair.first, &pair.copy].into_iter().flatten().flatten().next().copied();
    let faults = pair.faults(names, false);
    let incomplete = !matches!((&pair.first, &pair.copy), (Ok(Some(_)), Ok(Some(_))));
    let (store_id, created_ms) = (intact.map(|(id, _)| id), intact.map_or(0, |(_, ms)| ms));
    Ok(Format { store_id, created_ms, faults, incomplete })
}

/// What is wrong with FORMAT, MANIFEST and their copies as they lie there, by name. Nobody may write one meanwhile.
pub(super) fn verify(disk: &dyn Disk, dir: &Path, counts: &Manifest) -> Vec<(String, String)> {
    let of_format = |bytes: &[u8]| decode_format(bytes).map(|(store_id, _)| store_id == counts.store_id);
    let of_manifest = |bytes: &[u8]| {
        Manifest::decode(bytes).map(|m| m.store_id == counts.store_id && m.version == counts.version)
    };
    let mut wrong = Vec::new();
    for name in [FORMAT, FORMAT_COPY, MANIFEST, MANIFEST_COPY] {
        let is_right = read_whole(disk, &dir.join(name)).and_then(|bytes| match bytes {
            Some(bytes) if name.starts_with(FORMAT) => of_format(&bytes).map(Some),
            Some(bytes) => of_manifest(&bytes).map(Some),
            None => Ok(None),
        });
        let what = match is_right {
            Ok(Some(true)) => continue,
            Ok(Some(false)) => "it is another store's, or an old one".to_owned(),
            Ok(None) => "it is missing".to_owned(),
            Err(error) => error.to_string(),
        };
        wrong.push((name.to_owned(), what));
    }
    wrong
}

/// When the store was made, as FORMAT or its copy says.
pub(super) fn created_ms(disk: &dyn Disk, dir: &Path) -> Option<u64> {
    let read = |name: &str| read_whole(disk, &dir.join(name)).ok().flatten();
    let said = |name: &str| decode_format(&read(name)?).ok().map(|(_, created_ms)| created_ms);
    said(FORMAT).or_else(|| said(FORMAT_COPY))
}

pub(super) fn encode_format(store_id: [u8; 16], created_ms: u64) -> [u8; FORMAT_BYTES] {
    let mut out = [0; FORMAT_BYTES];
    set(&mut out, 0, FORMAT_MAGIC);
    set(&mut out, 24, &INCOMPAT_BASE.to_le_bytes());
    set(&mut out, 32, &store_id);
    set(&mut out, 48, &created_ms.to_le_bytes());
    let crc = crc32fast::hash(&out[..60]);
    set(&mut out, 60, &crc.to_le_bytes());
    out
}

/// Writes FORMAT and its copy.
pub(super) fn create_format(disk: &dyn Disk, dir: &Path, store_id: [u8; 16], now_ms: u64) -> Result<()> {
    for name in [FORMAT, FORMAT_COPY] {
        write_beside(disk, dir, name, &encode_format(store_id, now_ms))?;
        put_in_place(disk, dir, name)?;
    }
    disk.sync_dir(dir).map_err(|e| Error::io("syncing the store's folder", e))
}

#[cfg(test)]
mod tests;
