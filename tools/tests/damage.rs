//! A message damaged on disk: the export leaves it out and names it, the others come out as they were.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Cask, files};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Bytes that do not compress (so they lie in the segment as they are), without newlines in them.
fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8 | 0x80
    };
    (0..4_000).map(|_| next()).collect()
}

fn segments(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            segments(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "seg") {
            found.push(path);
        }
    }
}

/// Flips a bit wherever a segment has the needle; says how often that was.
fn flip(store: &Path, needle: &[u8]) -> usize {
    let mut paths = Vec::new();
    segments(store, &mut paths);
    let mut flipped = 0;
    for path in paths {
        let mut bytes = fs::read(&path).unwrap();
        if let Some(at) = memchr::memmem::find(&bytes, needle) {
            bytes[at + needle.len() / 2] ^= 1;
            fs::write(&path, bytes).unwrap();
            flipped += 1;
        }
    }
    flipped
}

#[test]
fn the_others_are_exported() {
    let cask = Cask::with_ann();
    fs::create_dir(cask.path("in")).unwrap();
    let messages: Vec<Vec<u8>> =
        (1..=5).map(|n| [b"Subject: noise\n\n".as_slice(), &noise(n), b"\n"].concat()).collect();
    for (n, message) in messages.iter().enumerate() {
        fs::write(cask.path(&format!("in/{n}.eml")), message).unwrap();
    }
    cask.ok(&["import", "--account", "ann", "in"]);
    assert_eq!(flip(&cask.store(), &noise(3)[1_000..1_100]), 1);

    for (format, out, read) in [("eml", "eml", "eml"), ("maildir", "md", "md/cur")] {
        let output =
            cask.run(&["export", "--account", "ann", "--format", format, "--eol", "lf", out, "--json"]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("UID 3: left out"), "{stderr}");
        let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((summary["exported"].as_u64(), &summary["damaged"][0]["uid"]), (Some(4), &3.into()));
        let whole = [&messages[..2], &messages[3..]].concat();
        assert!(files(&cask.path(read)) == whole, "{format}: the undamaged ones differ");
    }
    let report = cask.run(&["check", "--deep"]);
    assert_eq!(report.status.code(), Some(1));
    let report = String::from_utf8(report.stdout).unwrap();
    assert!(report.contains("finding"), "{report}");

    // Nobody reads what they say: the status is the same, and the mending is done.
    assert_eq!(unread(&cask, &["check", "--deep"]), Some(1));
    assert_eq!(unread(&cask, &["repair"]), Some(0));
    cask.check();
}

/// The status of a command whose stdout is closed.
fn unread(cask: &Cask, args: &[&str]) -> Option<i32> {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    cask.command(args).stdin(Stdio::null()).stdout(writer).stderr(Stdio::null()).status().unwrap().code()
}
