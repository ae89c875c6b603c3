//! Import and export, byte for byte, without a server.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Cask, files, mbox, messages};
use std::fs;
use std::io::Write;

#[test]
fn mbox_in_and_out_is_the_same_file() {
    let cask = Cask::with_ann();
    // More than one batch, and a batch that is full by bytes.
    let original = mbox(&messages(700));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&original).unwrap();
    fs::write(cask.path("mail.mbox.gz"), gzip.finish().unwrap()).unwrap();

    let summary = cask.json(&["import", "--account", "ann", "mail.mbox.gz"]);
    assert_eq!(summary["imported"], 700);
    assert_eq!(cask.messages("INBOX"), 700);
    let summary = cask.json(&["export", "--account", "ann", "--format", "mbox", "out.mbox"]);
    assert_eq!(summary["exported"], 700);
    assert!(fs::read(cask.path("out.mbox")).unwrap() == original, "the exported mbox differs");
    cask.check();
}

#[test]
fn eml_files_of_any_newlines_come_back() {
    let cask = Cask::with_ann();
    let originals: [&[u8]; 7] = [
        b"A: lf\n\nbody\n",
        b"A: mixed\r\n\nbody\n\r\n",
        b"A: no end\n\nbody",
        b"A: old mac\r\rbody\r",
        b"A: bare cr\n\na\rb\n",
        b"no header, no newline",
        b"From a@b Wed Jan  2 18:55:00 2002\nA: From_ line first\n\n",
    ];
    fs::create_dir(cask.path("in")).unwrap();
    for (n, message) in originals.iter().enumerate() {
        fs::write(cask.path(&format!("in/{n}.eml")), message).unwrap();
    }
    cask.ok(&["import", "--account", "ann", "--mailbox", "Odd/Ones", "in"]);
    for (format, out, read) in [("eml", "eml", "eml"), ("maildir", "md", "md/cur")] {
        cask.ok(&[
            "export",
            "--account",
            "ann",
            "--mailbox",
            "Odd/Ones",
            "--format",
            format,
            "--eol",
            "lf",
            out,
        ]);
        assert_eq!(files(&cask.path(read)), originals, "{format}");
    }
    cask.check();
}

#[test]
fn crlf_files_are_stored_and_exported_as_they_are() {
    let cask = Cask::with_ann();
    let original = b"A: crlf\r\n\r\nbody\r\n.\r\n";
    fs::write(cask.path("one.eml"), original).unwrap();
    cask.ok(&["import", "--account", "ann", "one.eml"]);
    cask.ok(&["export", "--account", "ann", "--format", "eml", "out"]);
    assert_eq!(files(&cask.path("out")), [original]);
    cask.check();
}

#[test]
fn maildir_keeps_flags_keywords_dates_and_order() {
    let cask = Cask::with_ann();
    for folder in ["in/cur", "in/new", "in/tmp"] {
        fs::create_dir_all(cask.path(folder)).unwrap();
    }
    fs::write(cask.path("in/dovecot-keywords"), "0 Work\n1 $Forwarded\n").unwrap();
    let seven = [
        ("in/cur/1000.a:2,S", "A: 1\n"),
        ("in/cur/1001.b:2,FRS", "A: 2\n"),
        ("in/new/1002.c", "A: 3\n"),
        ("in/cur/1003.d:2,DTa", "A: 4\n"),
        ("in/cur/1004.e:2,Pab", "A: 5\n"),
    ];
    for (name, text) in seven {
        fs::write(cask.path(name), text).unwrap();
        let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        fs::File::options().write(true).open(cask.path(name)).unwrap().set_modified(at).unwrap();
    }
    cask.ok(&["import", "--account", "ann", "in"]);
    let uids =
        |keys: &str| cask.ok(&["search", "ann", keys]).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(uids("SEEN"), "1 2");
    assert_eq!(uids("ANSWERED FLAGGED"), "2");
    assert_eq!(uids("KEYWORD Work"), "4 5");
    assert_eq!(uids("KEYWORD $Forwarded"), "5");
    assert_eq!(uids("DELETED DRAFT"), "4");
    assert_eq!(uids("ON 9-Sep-2001"), "1 2 3 4 5");
    assert_eq!(uids("2:* NOT DELETED"), "2 3 5");

    cask.ok(&["export", "--account", "ann", "--format", "maildir", "out"]);
    assert_eq!(files(&cask.path("out/cur")), seven.map(|(_, text)| text.as_bytes()));
    let mut letters: Vec<String> = fs::read_dir(cask.path("out/cur"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    letters.sort();
    let letters: Vec<&str> = letters.iter().map(|name| name.rsplit_once(",").unwrap().1).collect();
    assert_eq!(letters, ["S", "FRS", "", "DTa", "Pa"]);
    assert_eq!(fs::read_to_string(cask.path("out/dovecot-keywords")).unwrap(), "0 Work\n");
    cask.check();
}

#[test]
fn what_is_read_before_a_bad_place_stays() {
    let cask = Cask::with_ann();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    gzip.write_all(&mbox(&messages(40))).unwrap();
    let bytes = gzip.finish().unwrap();
    fs::write(cask.path("cut.gz"), &bytes[..bytes.len() - 200]).unwrap();
    let line = cask.refused(1, &["import", "--account", "ann", "cut.gz"]);
    let imported = cask.messages("INBOX");
    assert!(imported > 30 && imported < 40, "{imported}");
    assert!(line.contains(&format!("{imported} messages are imported and stay")), "{line}");
    cask.check();
}

#[test]
fn over_quota_ends_an_import_and_says_so() {
    let cask = Cask::with_ann();
    cask.ok(&["account", "quota", "ann", "100k"]);
    fs::write(cask.path("big.mbox"), mbox(&messages(50))).unwrap();
    let line = cask.refused(1, &["import", "--account", "ann", "big.mbox"]);
    assert!(line.contains("quota"), "{line}");
    assert_eq!(cask.messages("INBOX"), 0, "a batch is all or nothing");
    cask.check();
}
