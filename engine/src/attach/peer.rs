//! Who is on the other side of engine.sock, as the kernel tells.
//!
//! Law: only the user that owns the process, and root, administer a store; both could read its
//! files anyway.

use std::os::unix::net::UnixStream;

/// Whether the process on the other side may administer the store.
#[must_use]
pub fn is_trusted(stream: &UnixStream) -> bool {
    match rustix::net::sockopt::socket_peercred(stream) {
        Ok(peer) => peer.uid.is_root() || peer.uid == rustix::process::geteuid(),
        Err(_) => false,
    }
}

/// Whether the other side has closed, or says something out of turn: such a connection is no longer
/// used. Looks without taking and without waiting.
#[must_use]
pub fn is_stale(stream: &UnixStream) -> bool {
    use rustix::net::{RecvFlags, recv};
    let mut byte = [0u8; 1];
    let waiting = recv(stream, byte.as_mut_slice(), RecvFlags::PEEK | RecvFlags::DONTWAIT);
    !matches!(waiting, Err(rustix::io::Errno::AGAIN))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn own_processes_are_trusted_and_a_closed_side_is_stale() {
        let (here, there) = UnixStream::pair().unwrap();
        assert!(is_trusted(&here));
        assert!(!is_stale(&here));
        drop(there);
        assert!(is_stale(&here));
    }
}
