//! The small binary alphabet of every durable structure: little-endian fixed integers, LEB128
//! varints, zigzag for signed ones, columns of differences, and length-prefixed bytes.
//!
//! Laws
//! - No layout depends on a Rust type or on the machine's endianness.
//! - Reading never panics and never allocates more than what the input itself holds.
//! - Names: a plain `u32` is a varint of at most 32 bits, `u32_le` has four bytes always.

mod frame;

pub use frame::decompress;

use crate::error::{Error, Result};
use crate::types::UidSet;

/// Appends values to a byte vector.
#[derive(Debug, Clone, Default)]
pub struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes) }
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    /// An unsigned LEB128 varint, at most 10 bytes.
    pub fn uint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    /// A signed integer, zigzag then LEB128.
    pub fn int(&mut self, value: i64) {
        self.uint(((value << 1) ^ (value >> 63)) as u64);
    }

    pub fn u16_le(&mut self, value: u16) {
        self.raw(&value.to_le_bytes());
    }

    pub fn u32_le(&mut self, value: u32) {
        self.raw(&value.to_le_bytes());
    }

    pub fn u64_le(&mut self, value: u64) {
        self.raw(&value.to_le_bytes());
    }

    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.uint(bytes.len() as u64);
        self.raw(bytes);
    }

    pub fn str(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// A UID set: its number of runs, then each as (gap from the last run's end, length - 1).
    pub fn uid_set(&mut self, set: &UidSet) {
        self.uint(set.ranges().len() as u64);
        let mut last = 0;
        for &(from, to) in set.ranges() {
            self.uint(u64::from(from - last));
            self.uint(u64::from(to - from));
            last = to;
        }
    }
}

/// Reads what [`Encoder`] wrote.
#[derive(Debug)]
pub struct Decoder<'a> {
    rest: &'a [u8],
    what: &'a str,
}

impl<'a> Decoder<'a> {
    /// `what` names the structure in errors.
    #[must_use]
    pub fn new(bytes: &'a [u8], what: &'a str) -> Self {
        Self { rest: bytes, what }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// How many bytes were not read yet.
    #[must_use]
    pub fn left_bytes(&self) -> usize {
        self.rest.len()
    }

    /// The error for something that cannot be understood here.
    #[must_use]
    pub fn bad(&self, why: &str) -> Error {
        Error::corrupt(self.what, why)
    }

    pub fn raw(&mut self, len: usize) -> Result<&'a [u8]> {
        let Some((head, tail)) = self.rest.split_at_checked(len) else {
            return Err(self.bad("it ends too early"));
        };
        self.rest = tail;
        Ok(head)
    }

    /// All that was not read yet.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Bytes that are reserved.
    pub fn zeros(&mut self, len: usize) -> Result<()> {
        if self.raw(len)?.iter().any(|byte| *byte != 0) {
            return Err(self.bad("a reserved byte is not zero"));
        }
        Ok(())
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.raw(N)?);
        Ok(array)
    }

    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub fn u16_le(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub fn u32_le(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub fn u64_le(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub fn uint(&mut self) -> Result<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.bad("a number is too long"))
    }

    pub fn int(&mut self) -> Result<i64> {
        let value = self.uint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    pub fn u16(&mut self) -> Result<u16> {
        u16::try_from(self.uint()?).map_err(|_| self.bad("a number does not fit 16 bits"))
    }

    pub fn u32(&mut self) -> Result<u32> {
        u32::try_from(self.uint()?).map_err(|_| self.bad("a number does not fit 32 bits"))
    }

    pub fn i16(&mut self) -> Result<i16> {
        i16::try_from(self.int()?).map_err(|_| self.bad("a number does not fit 16 bits"))
    }

    /// A length: one that no memory could hold is as good as the largest.
    pub fn len(&mut self) -> Result<usize> {
        Ok(usize::try_from(self.uint()?).unwrap_or(usize::MAX))
    }

    /// A count of things of at least `min_bytes` each: bounded by the bytes that are left, so that a
    /// lying count asks for no memory.
    pub fn count(&mut self, min_bytes: usize) -> Result<usize> {
        let count = self.len()?;
        self.bounded(count, min_bytes)
    }

    /// The same, where the count has four bytes.
    pub fn count_le(&mut self, min_bytes: usize) -> Result<usize> {
        let count = self.u32_le()? as usize;
        self.bounded(count, min_bytes)
    }

    fn bounded(&self, count: usize, min_bytes: usize) -> Result<usize> {
        if count > self.rest.len() / min_bytes.max(1) {
            return Err(self.bad("a count is larger than what follows"));
        }
        Ok(count)
    }

    pub fn bytes(&mut self) -> Result<&'a [u8]> {
        let len = self.count(1)?;
        self.raw(len)
    }

    pub fn str(&mut self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| self.bad("a text is not UTF-8"))
    }

    pub fn uid_set(&mut self) -> Result<UidSet> {
        let runs = self.count(2)?;
        let mut set = UidSet::new();
        let mut last = 0u32;
        for _ in 0..runs {
            let from = last.checked_add(self.u32()?).ok_or_else(|| self.bad("a UID overflows"))?;
            let to = from.checked_add(self.u32()?).ok_or_else(|| self.bad("a UID overflows"))?;
            set.insert_range(from, to);
            last = to;
        }
        Ok(set)
    }

    /// Says that nothing may follow.
    pub fn finish(&self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.bad("bytes are left over")) }
    }
}

/// A column whose neighbours are close: each number by its signed distance from the one before.
#[derive(Debug, Clone, Default)]
pub struct Delta(u64);

impl Delta {
    pub fn put(&mut self, out: &mut Encoder, number: u64) {
        out.int(number.wrapping_sub(self.0) as i64);
        self.0 = number;
    }

    pub fn take(&mut self, from: &mut Decoder<'_>) -> Result<u64> {
        self.0 = self.0.wrapping_add(from.int()? as u64);
        Ok(self.0)
    }

    pub fn take_u32(&mut self, from: &mut Decoder<'_>) -> Result<u32> {
        u32::try_from(self.take(from)?).map_err(|_| from.bad("a number does not fit 32 bits"))
    }
}

/// The bytes of a golden file of `tests/data/format/drawn`: hex, `#` begins a remark.
#[cfg(test)]
pub fn golden(text: &str) -> Vec<u8> {
    let data = text.lines().flat_map(|line| line.split('#').next());
    data.flat_map(str::split_whitespace).map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(a: u64, b: i64, text: String, blob: Vec<u8>) {
            let mut encoder = Encoder::new();
            encoder.uint(a);
            encoder.int(b);
            encoder.str(&text);
            encoder.bytes(&blob);
            encoder.u64_le(a);
            let bytes = encoder.into_bytes();
            let mut decoder = Decoder::new(&bytes, "test");
            prop_assert_eq!(decoder.uint().unwrap(), a);
            prop_assert_eq!(decoder.int().unwrap(), b);
            prop_assert_eq!(decoder.str().unwrap(), text);
            prop_assert_eq!(decoder.bytes().unwrap(), &blob[..]);
            prop_assert_eq!(decoder.u64_le().unwrap(), a);
            prop_assert!(decoder.finish().is_ok());
        }

        #[test]
        fn what_is_fixed_has_its_width(a: u16, b: u32, c: u64, s: i16) {
            let mut encoder = Encoder::new();
            encoder.u16_le(a);
            encoder.u32_le(b);
            encoder.u64_le(c);
            encoder.raw(&[0; 3]);
            prop_assert_eq!(encoder.as_bytes().len(), 2 + 4 + 8 + 3);
            encoder.int(i64::from(s));
            let mut decoder = Decoder::new(encoder.as_bytes(), "test");
            prop_assert_eq!((decoder.u16_le().unwrap(), decoder.u32_le().unwrap()), (a, b));
            prop_assert_eq!(decoder.u64_le().unwrap(), c);
            decoder.zeros(3).unwrap();
            prop_assert_eq!(decoder.i16().unwrap(), s);
            prop_assert!(decoder.is_empty() && decoder.zeros(1).is_err());
        }

        #[test]
        fn a_column_comes_back(values: Vec<u64>) {
            let mut encoder = Encoder::new();
            let mut delta = Delta::default();
            values.iter().for_each(|v| delta.put(&mut encoder, *v));
            let mut decoder = Decoder::new(encoder.as_bytes(), "test");
            let mut delta = Delta::default();
            for value in &values {
                prop_assert_eq!(delta.take(&mut decoder).unwrap(), *value);
            }
            prop_assert!(decoder.finish().is_ok());
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            let mut decoder = Decoder::new(&bytes, "test");
            let _ = (decoder.uint(), decoder.int(), decoder.uid_set(), decoder.str(), decoder.bytes());
            let mut decoder = Decoder::new(&bytes, "test");
            while decoder.uint().and_then(|_| decoder.count_le(4)).and_then(|_| decoder.u16_le()).is_ok() {}
        }
    }
}
