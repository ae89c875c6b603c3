//! Which account an address is for (RFC 5321 section 2.3.10; subaddress as in RFC 5233).
//!
//! Laws
//! - Tried in this order: the whole address, the whole address without `+detail`, the local part,
//!   the local part without `+detail`. The first account found has it.
//! - Names are compared without regard to ASCII case.

use crate::error::{Error, Result};
use crate::types::AccountId;

/// Where mail to an address goes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Route {
    pub account: AccountId,
    /// What stood after the `+`.
    pub detail: Option<String>,
}

/// Finds the account of `address` with `find`, which looks up a folded name.
pub fn route(address: &str, find: impl Fn(&str) -> Option<AccountId>) -> Option<Route> {
    let folded = fold_name(address);
    let (local, domain) = match folded.rsplit_once('@') {
        Some((local, domain)) => (local, Some(domain)),
        None => (folded.as_str(), None),
    };
    let whole = |local: &str| domain.map(|domain| format!("{local}@{domain}"));
    let plain = |account| Route { account, detail: None };
    let (user, detail) = match address.rsplit_once('@').map_or(address, |(l, _)| l).split_once('+') {
        Some((user, detail)) if !user.is_empty() => (fold_name(user), Some(detail.to_owned())),
        _ => (local.to_owned(), None),
    };
    let with_detail = |account| Route { account, detail: detail.clone().filter(|d| !d.is_empty()) };
    whole(local)
        .and_then(|name| find(&name))
        .map(plain)
        .or_else(|| whole(&user).and_then(|name| find(&name)).map(with_detail))
        .or_else(|| find(local).map(plain))
        .or_else(|| find(&user).map(with_detail))
}

/// The form in which names of accounts are compared.
#[must_use]
pub fn fold_name(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// Says why a name cannot be an account's.
pub fn check_name(name: &str) -> Result<()> {
    let bad = |why: &str| Err(Error::InvalidName(why.to_owned()));
    if name.is_empty() || name.len() > 255 {
        return bad("an account's name has 1 to 255 bytes");
    }
    if name.chars().any(|c| c.is_control() || c.is_whitespace() || "\"\\<>(),;:".contains(c)) {
        return bad("an account's name has no spaces, control characters or any of \"\\<>(),;:");
    }
    if name.contains('+') {
        return bad("`+` begins the detail of an address and cannot be in an account's name");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(name: &str) -> Option<AccountId> {
        match name {
            "alice" => Some(AccountId(1)),
            "bob@example.org" => Some(AccountId(2)),
            _ => None,
        }
    }

    #[test]
    fn addresses_find_their_account() {
        let to = |address: &str| route(address, find).map(|r| (r.account.0, r.detail));
        assert_eq!(to("alice"), Some((1, None)));
        assert_eq!(to("Alice@anywhere.example"), Some((1, None)));
        assert_eq!(to("alice+Lists@anywhere.example"), Some((1, Some("Lists".into()))));
        assert_eq!(to("bob@EXAMPLE.org"), Some((2, None)));
        assert_eq!(to("bob+x@example.org"), Some((2, Some("x".into()))));
        assert_eq!(to("bob@example.net"), None);
        assert_eq!(to("bob"), None);
        assert_eq!(to("alice+@x"), Some((1, None)));
        assert_eq!(to(""), None);
    }
}
