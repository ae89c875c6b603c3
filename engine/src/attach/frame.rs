//! Frames on engine.sock: how bytes are cut into messages.
//!
//! ```text
//! frame = length u32 LE (of the payload) | kind u8 | payload
//! kind 1 control: JSON, at most 16 MiB      kind 2 data: raw bytes of a message, at most 64 KiB
//! kind 3 end: the message is whole, empty payload
//! kind 4 part: of a JSON value that is too long for one frame; the last part is a control frame
//! ```
//!
//! Laws
//! - Memory grows with the bytes that came, not with the length that was announced.
//! - A frame that breaks the form ends the connection; it never panics.

use crate::error::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, Read, Write};

/// The most that one control frame may hold.
const CONTROL_BYTES_MAX: u32 = 16 * 1024 * 1024;
/// The most that one data frame may hold.
pub const DATA_BYTES_MAX: usize = 64 * 1024;

/// The most that one value may hold, in all its frames: a plan names rows by the million.
const VALUE_BYTES_MAX: usize = 1 << 30;

const CONTROL: u8 = 1;
const DATA: u8 = 2;
const END: u8 = 3;
const PART: u8 = 4;

#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    Control(Vec<u8>),
    Data(Vec<u8>),
    End,
}

impl Frame {
    /// The value of a control frame; any other frame is out of turn.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        match self {
            Self::Control(json) => {
                serde_json::from_slice(json).map_err(|e| broken(&format!("not understood: {e}")))
            }
            Self::Data(_) | Self::End => Err(broken("message bytes out of turn")),
        }
    }
}

/// Reads one frame, of a long value all of them; `None` when the other side closed between two.
pub fn read(input: &mut impl Read) -> Result<Option<Frame>> {
    let mut value = Vec::new();
    loop {
        let Some((kind, mut payload)) = read_one(input)? else {
            return if value.is_empty() { Ok(None) } else { Err(lost(io::ErrorKind::UnexpectedEof.into())) };
        };
        if matches!(kind, CONTROL | PART) && payload.len() > VALUE_BYTES_MAX.saturating_sub(value.len()) {
            return Err(broken("value too long"));
        }
        match kind {
            PART if payload.is_empty() => return Err(broken("a part with nothing in it")),
            PART => value.append(&mut payload),
            CONTROL if value.is_empty() => return Ok(Some(Frame::Control(payload))),
            CONTROL => {
                value.append(&mut payload);
                return Ok(Some(Frame::Control(value)));
            }
            _ if !value.is_empty() => return Err(broken("another frame among the parts of a value")),
            DATA => return Ok(Some(Frame::Data(payload))),
            _ => return Ok(Some(Frame::End)),
        }
    }
}

fn read_one(input: &mut impl Read) -> Result<Option<(u8, Vec<u8>)>> {
    let mut head = [0u8; 5];
    let mut filled = 0;
    while let Some(rest) = head.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match input.read(rest) {
            Ok(0) if filled == 0 => return Ok(None),
            Ok(0) => return Err(lost(io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(lost(error)),
        }
    }
    let [a, b, c, d, kind] = head;
    let length = u32::from_le_bytes([a, b, c, d]);
    let limit = match kind {
        CONTROL | PART => CONTROL_BYTES_MAX,
        DATA => u32::try_from(DATA_BYTES_MAX).unwrap_or(u32::MAX),
        END => 0,
        _ => return Err(broken("unknown kind of frame")),
    };
    if length > limit {
        return Err(broken("frame too long"));
    }
    let mut payload = Vec::new();
    let count = input.take(u64::from(length)).read_to_end(&mut payload).map_err(lost)?;
    if count as u64 != u64::from(length) {
        return Err(lost(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(Some((kind, payload)))
}

/// Writes a control frame; a value that is too long for one in several.
pub fn control(output: &mut impl Write, value: &impl Serialize) -> Result<()> {
    let json = serde_json::to_vec(value).map_err(|e| broken(&format!("cannot be encoded: {e}")))?;
    if json.len() > VALUE_BYTES_MAX {
        return Err(Error::Limit("more than 1 GiB in one request or reply".into()));
    }
    let mut rest = json.as_slice();
    while let Some((part, more)) =
        rest.split_at_checked(CONTROL_BYTES_MAX as usize).filter(|(_, more)| !more.is_empty())
    {
        put(output, PART, CONTROL_BYTES_MAX, part)?;
        rest = more;
    }
    put(output, CONTROL, u32::try_from(rest.len()).unwrap_or(u32::MAX), rest)
}

/// Writes bytes of a message, in as many data frames as they need.
pub fn data(output: &mut impl Write, bytes: &[u8]) -> Result<()> {
    for piece in bytes.chunks(DATA_BYTES_MAX) {
        put(output, DATA, u32::try_from(piece.len()).unwrap_or(u32::MAX), piece)?;
    }
    Ok(())
}

/// Writes the end of a message.
pub fn end(output: &mut impl Write) -> Result<()> {
    put(output, END, 0, &[])
}

fn put(output: &mut impl Write, kind: u8, length: u32, payload: &[u8]) -> Result<()> {
    let [a, b, c, d] = length.to_le_bytes();
    output.write_all(&[a, b, c, d, kind]).and_then(|()| output.write_all(payload)).map_err(lost)
}

/// The connection broke.
pub fn lost(source: io::Error) -> Error {
    Error::io("the connection on engine.sock was lost", source)
}

/// The other side does not keep to the protocol.
pub fn broken(why: &str) -> Error {
    Error::corrupt("a frame on engine.sock", why)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn frames_come_back() {
        let mut wire = Vec::new();
        control(&mut wire, &("hello", 7)).unwrap();
        data(&mut wire, &[9; DATA_BYTES_MAX + 1]).unwrap();
        end(&mut wire).unwrap();
        let mut input = wire.as_slice();
        let first = read(&mut input).unwrap().unwrap();
        assert_eq!(first.decode::<(String, u32)>().unwrap(), ("hello".to_owned(), 7));
        assert_eq!(read(&mut input).unwrap(), Some(Frame::Data(vec![9; DATA_BYTES_MAX])));
        assert_eq!(read(&mut input).unwrap(), Some(Frame::Data(vec![9])));
        assert_eq!(read(&mut input).unwrap(), Some(Frame::End));
        assert_eq!(read(&mut input).unwrap(), None);
    }

    #[test]
    fn a_value_of_any_length_comes_back() {
        for length in [CONTROL_BYTES_MAX as usize - 3, CONTROL_BYTES_MAX as usize - 2, (40 << 20) + 7] {
            let value = "x".repeat(length);
            let mut wire = Vec::new();
            control(&mut wire, &value).unwrap();
            control(&mut wire, &"next").unwrap();
            let mut input = wire.as_slice();
            assert!(read(&mut input).unwrap().unwrap().decode::<String>().unwrap() == value, "{length}");
            assert_eq!(read(&mut input).unwrap().unwrap().decode::<String>().unwrap(), "next");
        }
    }

    #[test]
    fn broken_form_is_an_error() {
        for bytes in [
            &[1, 0][..],
            &[5, 0, 0, 0, 1, b'x'],
            &[0, 0, 0, 0, 9],
            &[255, 255, 255, 255, 1],
            &[1, 0, 1, 0, 2, 0],
            &[1, 0, 0, 0, 3, 0],
            &[0, 0, 0, 0, 4],
            &[1, 0, 0, 0, 4, b'1'],
            &[1, 0, 0, 0, 4, b'1', 0, 0, 0, 0, 3],
        ] {
            assert!(read(&mut &*bytes).is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_frames_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut input = bytes.as_slice();
            while let Ok(Some(frame)) = read(&mut input) {
                let _ = frame.decode::<(String, u32)>();
            }
        }
    }
}
