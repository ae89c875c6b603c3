//! The configuration file of `mailcask serve`: TOML, every key optional, unknown keys refused.
//!
//! ```toml
//! store = "/var/lib/mailcask"
//! imap = ["127.0.0.1:1143", "unix:/run/mailcask/imap.sock"]
//! lmtp = ["unix:/run/mailcask/lmtp.sock"]
//! allow_plaintext = false
//! max_message_bytes = 52428800
//! slow_search_ms = 1000
//! metrics = "127.0.0.1:9143"
//! ```
//!
//! What the command line says goes before the file; a list there replaces the list here.

use crate::failure::usage;
use anyhow::Context;
use serde::Deserialize;
use std::path::{Path, PathBuf};

#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub store: Option<PathBuf>,
    pub imap: Option<Vec<String>>,
    pub lmtp: Option<Vec<String>>,
    pub allow_plaintext: Option<bool>,
    pub max_message_bytes: Option<u64>,
    pub slow_search_ms: Option<u64>,
    pub metrics: Option<String>,
}

pub fn read(path: &Path) -> anyhow::Result<Config> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    parse(&text).map_err(|why| usage(format!("{}: {why}", path.display())))
}

fn parse(text: &str) -> Result<Config, String> {
    toml::from_str(text).map_err(|error| {
        let line =
            error.span().map(|span| text.get(..span.start).unwrap_or_default().matches('\n').count() + 1);
        match line {
            Some(line) => format!("line {line}: {}", error.message()),
            None => error.message().to_owned(),
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_their_absence() {
        assert_eq!(parse("").unwrap(), Config::default());
        let config =
            parse("store = \"/x\"\nimap = [\"127.0.0.1:0\"]\nlmtp = []\nallow_plaintext = true\n").unwrap();
        assert_eq!(config.store, Some("/x".into()));
        assert_eq!(config.imap, Some(vec!["127.0.0.1:0".to_owned()]));
        assert_eq!((config.lmtp, config.allow_plaintext), (Some(vec![]), Some(true)));
    }

    #[test]
    fn a_mistyped_key_is_named_with_its_line() {
        let why = parse("store = \"/x\"\nimpa = []\n").unwrap_err();
        assert!(why.starts_with("line 2: ") && why.contains("impa"), "{why}");
        assert!(parse("imap = 3").is_err());
        assert!(parse("= nonsense").is_err());
    }
}
