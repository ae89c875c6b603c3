//! Passwords: generated, or read from stdin.

use anyhow::{Context, bail};
use std::io::{self, Read};

/// Letters and digits that are not mistaken for each other.
const ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz123456789";
/// 4 groups of 5 letters: 100 bits.
const GROUPS: usize = 4;
const GROUP_LETTERS: usize = 5;
/// More than any password; a limit all the same.
const STDIN_BYTES_MAX: u64 = 4096;

/// A password nobody guesses.
pub fn generate() -> anyhow::Result<String> {
    let mut random = [0u8; GROUPS * GROUP_LETTERS];
    getrandom::fill(&mut random).map_err(|e| anyhow::anyhow!("no random bytes from the system: {e}"))?;
    let mut password = String::new();
    for (at, byte) in random.iter().enumerate() {
        if at > 0 && at % GROUP_LETTERS == 0 {
            password.push('-');
        }
        // 256 is a multiple of 32: every letter is as likely as the next.
        password.push(char::from(*ALPHABET.get(usize::from(byte % 32)).unwrap_or(&b'x')));
    }
    Ok(password)
}

/// The first line of stdin.
pub fn from_stdin() -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    io::stdin()
        .lock()
        .take(STDIN_BYTES_MAX)
        .read_to_end(&mut bytes)
        .context("reading the password from stdin")?;
    first_line(&bytes)
}

fn first_line(bytes: &[u8]) -> anyhow::Result<String> {
    let line = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let Ok(password) = std::str::from_utf8(line) else { bail!("the password on stdin is not UTF-8") };
    if password.is_empty() || password.contains('\0') {
        bail!("the password on stdin is empty or has a NUL");
    }
    Ok(password.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn generated_passwords_differ_and_have_their_form() {
        let (one, two) = (generate().unwrap(), generate().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.len(), 23);
        assert!(one.bytes().all(|b| b == b'-' || ALPHABET.contains(&b)), "{one}");
    }

    #[test]
    fn the_first_line_counts() {
        assert_eq!(first_line(b"secret\r\nmore").unwrap(), "secret");
        assert_eq!(first_line(b" spaces stay ").unwrap(), " spaces stay ");
        for bad in [&b""[..], b"\n", b"\xff", b"a\0b"] {
            assert!(first_line(bad).is_err());
        }
    }
}
