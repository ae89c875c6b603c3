use super::*;
use crate::codec::golden;
use crate::error::Result;
use crate::sys::disk::Disk;
use crate::sys::sim::SimDisk;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use tantivy::postings::TermInfo;

const PATH: &str = "/s/words";
static GO_ON: AtomicBool = AtomicBool::new(false);

/// What a term's numbers are told to be: its postings end in three times its own number.
fn info(nth: usize, docs: u32) -> TermInfo {
    TermInfo {
        doc_freq: docs,
        postings_range: nth * 3..nth * 3 + 3,
        positions_range: nth * 2 + 7..nth * 2 + 9,
    }
}

/// The numbers of the terms that it is called with.
fn numbers_of(ask: impl FnOnce(&mut dyn FnMut(TermInfo) -> Result<bool>) -> Result<()>) -> Vec<usize> {
    let mut found = Vec::new();
    ask(&mut |told| {
        let nth = told.postings_range.start / 3;
        assert_eq!(told, info(nth, told.doc_freq));
        found.push(nth);
        Ok(true)
    })
    .unwrap();
    found
}

/// The terms are those of the first group.
fn write(terms: &BTreeMap<String, u32>) -> SimDisk {
    let disk = SimDisk::new(1);
    disk.create_dir_all(Path::new("/s")).unwrap();
    let mut writer = WordsWriter::create(&disk, Path::new(PATH)).unwrap();
    for (nth, (term, docs)) in terms.iter().enumerate() {
        writer.term(term.as_bytes(), &info(nth, *docs)).unwrap();
    }
    Group::ALL.iter().for_each(|_| writer.end_group().unwrap());
    writer.finish().unwrap();
    disk
}

fn check(terms: &BTreeMap<String, u32>, fragments: &[&str]) {
    let disk = write(terms);
    let words = Words::open(&disk, Path::new(PATH)).unwrap();
    words.verify().unwrap();
    assert_eq!(words.of(Group::Header).unwrap().terms(), 0);
    let of = words.of(Group::Body).unwrap();
    assert_eq!(of.terms() as usize, terms.len());
    let numbers = |f: &dyn Fn(&str) -> bool| {
        terms.keys().enumerate().filter(|(_, t)| f(t)).map(|(n, _)| n).collect::<Vec<_>>()
    };
    for fragment in fragments {
        let find = |place| numbers_of(|take| of.find(fragment.as_bytes(), place, &GO_ON, take));
        assert_eq!(find(Match::Inside), numbers(&|t| t.contains(fragment)), "{fragment:?} inside");
        assert_eq!(find(Match::AtEnd), numbers(&|t| t.ends_with(fragment)), "{fragment:?} at the end");
        let range = of.beginning_with(fragment.as_bytes()).unwrap();
        let range: Vec<usize> = range.map(|n| n as usize).collect();
        assert_eq!(range, numbers(&|t| t.starts_with(fragment)), "{fragment:?} at the beginning");
        let frequent = numbers_of(|take| of.frequent(fragment.as_bytes(), take));
        let inside = find(Match::Inside);
        assert!(frequent.iter().all(|n| inside.binary_search(n).is_ok()));
    }
    let mut listed = Vec::new();
    let range = 0..of.terms();
    of.each(range, &mut |term, told| {
        assert_eq!(told.postings_range.start, listed.len() * 3);
        listed.push(String::from_utf8(term.to_vec()).unwrap());
        Ok(true)
    })
    .unwrap();
    assert!(listed.iter().eq(terms.keys()));
}

#[test]
fn golden_bytes() {
    let disk = write(&[("AB".to_owned(), 2), ("É".to_owned(), 1)].into());
    let file = disk.open(Path::new(PATH)).unwrap();
    let mut bytes = vec![0; file.len_bytes().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    let wanted = golden(include_str!("../../../../tests/data/format/drawn/text-words.hex"));
    assert_eq!(bytes, wanted, "{bytes:02x?}");
}

/// Enough for trigrams and the most frequent.
fn many() -> BTreeMap<String, u32> {
    (0u32..20_000).map(|n| (format!("{:X}É", n.wrapping_mul(2_654_435_761)), n % 977)).collect()
}

#[test]
fn a_large_vocabulary() {
    check(&many(), &["", "A", "AB", "ABC", "É", "0É", "9E3779B", "12345", "FFFF", "Ü"]);
    let disk = write(&many());
    let words = Words::open(&disk, Path::new(PATH)).unwrap();
    let of = words.of(Group::Body).unwrap();
    let frequent = numbers_of(|take| of.frequent("É".as_bytes(), take));
    assert_eq!(frequent.len(), TOP_TERMS);
    let docs: Vec<u32> = many().into_values().collect();
    let ranked: Vec<u32> = frequent.iter().map(|term| docs[*term]).collect();
    assert!(ranked.is_sorted_by(|a, b| a >= b) && ranked[0] == 976);
}

#[test]
fn damage_is_an_error() {
    let disk = write(&many());
    let file = disk.open(Path::new(PATH)).unwrap();
    let len = file.len_bytes().unwrap();
    let read = || Words::open(&disk, Path::new(PATH)).and_then(|words| words.verify());
    for at in (0..len).step_by(97).chain(len - FOOTER_BYTES as u64..len) {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1], at).unwrap();
        assert!(read().is_err(), "byte {at}");
        file.write_all_at(&byte, at).unwrap();
    }
    read().unwrap();
    file.truncate(len - 1).unwrap();
    assert!(read().is_err());
    file.truncate(3).unwrap();
    assert!(read().is_err());
}

proptest! {
    #[test]
    fn found_as_by_looking_at_all(terms in prop::collection::btree_map("[AB1É日]{1,6}", 1u32..9, 0..60), fragment in "[AB1É日]{0,4}") {
        check(&terms, &[&fragment]);
    }
}
