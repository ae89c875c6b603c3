//! Numbers, and sets of them, as they are written by the million.
//!
//! Laws
//! - No formatter and no allocation: digits are made on the stack.

/// The digits of `u64::MAX`.
const DIGITS_MAX: usize = 20;

/// Decimal digits.
pub fn number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [b'0'; DIGITS_MAX];
    let mut count = 0;
    for digit in digits.iter_mut().rev() {
        count += 1;
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(DIGITS_MAX - count..).unwrap_or_default());
}

/// Ascending ranges as a set, `2,10:15`; `goes_on` when others were written just before.
pub fn ranges(out: &mut Vec<u8>, ranges: &[(u32, u32)], goes_on: bool) {
    for (i, &(first, last)) in ranges.iter().enumerate() {
        if goes_on || i > 0 {
            out.push(b',');
        }
        number(out, u64::from(first));
        if last != first {
            out.push(b':');
            number(out, u64::from(last));
        }
    }
}

/// Numbers as a set that keeps their order: only ascending neighbours become a range (RFC 4315 section
/// 3, RFC 5267 section 3.2).
pub fn ordered(out: &mut Vec<u8>, numbers: &[u32], goes_on: bool) {
    let mut goes_on = goes_on;
    for run in numbers.chunk_by(|a, b| a.checked_add(1) == Some(*b)) {
        if let (Some(&first), Some(&last)) = (run.first(), run.last()) {
            ranges(out, &[(first, last)], goes_on);
            goes_on = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_the_formatter_writes_them() {
        let mut n = 1_u64;
        for _ in 0..64 {
            for n in [n, n - 1, n + 1, u64::MAX - n] {
                let mut out = b"x".to_vec();
                number(&mut out, n);
                assert_eq!(String::from_utf8_lossy(&out), format!("x{n}"));
            }
            n = n.wrapping_mul(3).max(1);
        }
    }

    #[test]
    fn sets_may_be_written_in_pieces() {
        let mut out = Vec::new();
        ranges(&mut out, &[(2, 2), (10, 15)], false);
        ranges(&mut out, &[(21, u32::MAX)], true);
        assert_eq!(out, b"2,10:15,21:4294967295");
        let mut out = Vec::new();
        ordered(&mut out, &[5, 4, 5, 6], false);
        ordered(&mut out, &[1], true);
        assert_eq!(out, b"5,4:6,1");
    }
}
