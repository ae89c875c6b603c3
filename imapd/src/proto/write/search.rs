//! SEARCH responses (RFC 3501 section 7.2.5) and SORT responses (RFC 5256 section 4), in pieces: `begin` or
//! `begin_sort`, `numbers`, `end`.

use super::number::number;
use std::io::Write as _;

pub fn begin(out: &mut Vec<u8>) {
    out.extend_from_slice(b"* SEARCH");
}

pub fn begin_sort(out: &mut Vec<u8>) {
    out.extend_from_slice(b"* SORT");
}

/// Some of the numbers found.
pub fn numbers(out: &mut Vec<u8>, found: impl IntoIterator<Item = u32>) {
    for n in found {
        out.push(b' ');
        number(out, u64::from(n));
    }
}

/// With the highest modseq of those found, when a MODSEQ key was used and something was found (RFC
/// 7162 sections 3.1.5 and 3.1.9).
pub fn end(out: &mut Vec<u8>, highest_modseq: Option<u64>) {
    if let Some(modseq) = highest_modseq {
        // Writing to a Vec cannot fail.
        let _ = write!(out, " (MODSEQ {modseq})");
    }
    out.extend_from_slice(b"\r\n");
}
