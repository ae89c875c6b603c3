//! What an administrator may say to the IMAP server.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Where to listen: `ADDR:PORT` or `unix:PATH`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Listen {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Listen {
    /// True when a password sent there crosses no network.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
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

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an address to listen on: give ADDRESS:PORT, localhost:PORT or unix:PATH")]
pub struct BadListen(String);

impl FromStr for Listen {
    type Err = BadListen;

    fn from_str(text: &str) -> Result<Self, BadListen> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err(BadListen(text.to_owned())),
                path => Ok(Self::Unix(PathBuf::from(path))),
            };
        }
        let numeric = match text.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}"),
            None => text.to_owned(),
        };
        numeric.parse().map(Self::Tcp).map_err(|_| BadListen(text.to_owned()))
    }
}

/// Who needs no password on a Unix socket (greeting PREAUTH, RFC 3501 section 7.1.4).
///
/// A process is known by the user it runs as, which the kernel tells (`SO_PEERCRED`). A user named in
/// `accounts` gets that account. Root and the user the server runs as, who could read the store's
/// files anyway, get `owner_account` when it is set. Everybody else logs in.
#[derive(Debug, Clone, Default)]
pub struct Preauth {
    pub accounts: BTreeMap<u32, String>,
    pub owner_account: Option<String>,
}

impl Preauth {
    /// The account that a process of user `uid` is let into, the server running as `own_uid`.
    #[must_use]
    pub fn account_for(&self, uid: u32, own_uid: u32) -> Option<&str> {
        match self.accounts.get(&uid) {
            Some(account) => Some(account),
            None if uid == 0 || uid == own_uid => self.owner_account.as_deref(),
            None => None,
        }
    }
}

/// The server's settings; `Default` is what `mailcask serve` runs with.
#[derive(Debug, Clone)]
pub struct Config {
    pub listen: Vec<Listen>,
    /// Listen on other addresses than this machine's own although passwords and mail then cross
    /// the network readable by anybody on the way.
    pub allow_plaintext: bool,
    /// The largest literal taken: the largest message that can be appended.
    pub max_literal_bytes: u64,
    pub max_connections: usize,
    pub max_connections_per_address: u32,
    pub max_connections_per_account: u32,
    pub preauth: Preauth,
    /// Silence until BYE, once logged in (RFC 3501 section 5.4: at least 30 minutes).
    pub autologout: Duration,
    /// Silence until BYE before login.
    pub login_timeout: Duration,
    /// How long a client may leave what it was sent unread.
    pub write_timeout: Duration,
    /// How long the reply to a wrong password is held back.
    pub failed_login_delay: Duration,
    /// How long an expunged message can still be fetched by a session that was not told yet.
    pub grace: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], default_port())))],
            allow_plaintext: false,
            max_literal_bytes: 50 << 20,
            max_connections: 1_024,
            max_connections_per_address: 256,
            max_connections_per_account: 64,
            preauth: Preauth::default(),
            autologout: Duration::from_mins(30),
            login_timeout: Duration::from_mins(5),
            write_timeout: Duration::from_mins(5),
            failed_login_delay: Duration::from_secs(2),
            grace: Duration::from_mins(10),
        }
    }
}

impl Config {
    /// Threads a runtime needs for blocking work so that no connection waits for another: a command
    /// holds one while its client reads the answer.
    #[must_use]
    pub fn blocking_threads(&self) -> usize {
        self.max_connections.saturating_add(64)
    }
}

/// Port 143 for a system service, a child of the system's own systemd; 1143 for everybody else, who
/// may not use ports below 1024.
fn default_port() -> u16 {
    let parent_is_init = rustix::process::getppid().is_some_and(|parent| parent.as_raw_nonzero().get() == 1);
    if parent_is_init && std::env::var_os("INVOCATION_ID").is_some() { 143 } else { 1143 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listen_reads_what_it_writes() {
        for text in ["127.0.0.1:1143", "[::1]:143", "unix:/run/imap.sock"] {
            assert_eq!(text.parse::<Listen>().map(|listen| listen.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("localhost:0".parse(), Ok(Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)))));
        for text in ["", "unix:", "1143", "mail.example:143"] {
            assert!(text.parse::<Listen>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_loopback_and_sockets_are_local() {
        for (text, local) in
            [("127.0.0.9:1", true), ("[::1]:1", true), ("0.0.0.0:1", false), ("[::ffff:127.0.0.1]:1", true)]
        {
            assert_eq!(text.parse::<Listen>().map(|listen| listen.is_local()), Ok(local), "{text}");
        }
    }

    #[test]
    fn preauth_knows_owner_and_map() {
        let preauth = Preauth {
            accounts: BTreeMap::from([(7, "seven".to_owned())]),
            owner_account: Some("me".to_owned()),
        };
        assert_eq!(preauth.account_for(7, 1000), Some("seven"));
        assert_eq!(preauth.account_for(0, 1000), Some("me"));
        assert_eq!(preauth.account_for(1000, 1000), Some("me"));
        assert_eq!(preauth.account_for(1001, 1000), None);
    }
}
