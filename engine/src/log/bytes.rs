//! Writing into headers of fixed size. What is read of them is read with [`crate::codec::Decoder`].

/// Puts bytes at a position that is a constant of the format.
pub(super) fn set(out: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = out.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}
