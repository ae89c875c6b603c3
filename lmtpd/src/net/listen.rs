//! Listening addresses: TCP and Unix sockets.
//!
//! Laws
//! - Away from loopback only when told so: LMTP has no authentication and no encryption here.
//! - A Unix socket file is replaced only when nobody answers on it.

use std::fmt;
use std::fs::Permissions;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// LMTP where no address is given.
pub const DEFAULT_ADDRESS: &str = "127.0.0.1:2424";

/// `ADDR:PORT`, `localhost:PORT` or `unix:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("not an address: {0} (write 127.0.0.1:2424, localhost:2424 or unix:/path/to/socket)")]
    NotAnAddress(String),
    #[error(
        "{0} can be reached from other machines, and LMTP knows neither passwords nor encryption: \
         whoever connects can deliver to every account; say --allow-plaintext if that is meant"
    )]
    NotLoopback(SocketAddr),
    #[error("RFC 2033 forbids LMTP on port 25: choose another")]
    Port25,
    #[error("another server is listening on {0}")]
    InUse(Listen),
    #[error("cannot listen on {address}: {source}")]
    Io { address: Listen, source: io::Error },
}

impl FromStr for Listen {
    type Err = ListenError;

    fn from_str(text: &str) -> Result<Self, ListenError> {
        match text.strip_prefix("unix:") {
            Some(path) if !path.is_empty() => Ok(Self::Unix(path.into())),
            Some(_) => Err(ListenError::NotAnAddress(text.to_owned())),
            None => {
                let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
                let address = numeric.as_deref().unwrap_or(text).parse().map(Self::Tcp);
                address.map_err(|_| ListenError::NotAnAddress(text.to_owned()))
            }
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A bound socket.
#[derive(Debug)]
pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

/// An accepted connection.
#[derive(Debug)]
pub enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Listener {
    /// # Errors
    /// When the address is not allowed, in use or cannot be bound.
    pub async fn bind(address: &Listen, allow_plaintext: bool) -> Result<Self, ListenError> {
        let io_error = |source| ListenError::Io { address: address.clone(), source };
        match address {
            Listen::Tcp(tcp) if tcp.port() == 25 => Err(ListenError::Port25),
            Listen::Tcp(tcp) if !tcp.ip().to_canonical().is_loopback() && !allow_plaintext => {
                Err(ListenError::NotLoopback(*tcp))
            }
            Listen::Tcp(tcp) => match TcpListener::bind(tcp).await {
                Ok(listener) => Ok(Self::Tcp(listener)),
                Err(e) if e.kind() == io::ErrorKind::AddrInUse => Err(ListenError::InUse(address.clone())),
                Err(e) => Err(io_error(e)),
            },
            Listen::Unix(path) => {
                if UnixStream::connect(path).await.is_ok() {
                    return Err(ListenError::InUse(address.clone()));
                }
                bind_unix(path).map_err(io_error)
            }
        }
    }

    /// Where it listens, with the port the system chose.
    #[must_use]
    pub fn address(&self) -> Option<Listen> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok().map(Listen::Tcp),
            Self::Unix(_, path) => Some(Listen::Unix(path.clone())),
        }
    }

    /// The next connection, and a name for its peer.
    ///
    /// # Errors
    /// Those of accept(2): the listener itself stays usable.
    pub async fn accept(&self) -> io::Result<(Stream, String)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Replies are flushed whole; Nagle would only delay them.
                stream.set_nodelay(true)?;
                Ok((Stream::Tcp(stream), peer.to_string()))
            }
            Self::Unix(listener, path) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), format!("unix:{}", path.display())))
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Binds where nobody answers. Open to every local user, as the loopback port is: a mail server runs
/// as a user of its own. The folder's permissions narrow it.
fn bind_unix(path: &Path) -> io::Result<Listener> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the file there is no socket")),
        Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o666))?;
    Ok(Listener::Unix(listener, path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_printed() {
        for text in ["127.0.0.1:2424", "[::1]:24", "unix:/run/lmtp.sock"] {
            assert_eq!(text.parse::<Listen>().unwrap().to_string(), text);
        }
        for text in ["", "unix:", "localhost", "2424", "127.0.0.1"] {
            assert!(text.parse::<Listen>().is_err(), "{text}");
        }
        assert_eq!("localhost:24".parse::<Listen>().unwrap().to_string(), "127.0.0.1:24");
        assert!(DEFAULT_ADDRESS.parse::<Listen>().is_ok());
    }

    #[tokio::test]
    async fn other_machines_only_when_told_and_never_port_25() {
        let any: Listen = "0.0.0.0:0".parse().unwrap();
        assert!(matches!(Listener::bind(&any, false).await, Err(ListenError::NotLoopback(_))));
        assert!(Listener::bind(&any, true).await.is_ok());
        let mapped: Listen = "[::ffff:127.0.0.1]:0".parse().unwrap();
        assert!(!matches!(Listener::bind(&mapped, false).await, Err(ListenError::NotLoopback(_))));
        let smtp: Listen = "127.0.0.1:25".parse().unwrap();
        assert!(matches!(Listener::bind(&smtp, true).await, Err(ListenError::Port25)));
    }

    #[tokio::test]
    async fn a_socket_left_behind_is_replaced_one_in_use_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lmtp.sock");
        let address = Listen::Unix(path.clone());
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let listener = Listener::bind(&address, false).await.unwrap();
        assert!(matches!(Listener::bind(&address, false).await, Err(ListenError::InUse(_))));
        drop(listener);
        assert!(!path.exists());
        std::fs::write(&path, "precious").unwrap();
        assert!(matches!(Listener::bind(&address, false).await, Err(ListenError::Io { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    }
}
