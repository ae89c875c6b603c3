//! LIST and LSUB (RFC 3501 sections 6.3.8 and 6.3.9), with CHILDREN (RFC 3348) and SPECIAL-USE
//! (RFC 6154).
//!
//! Laws
//! - A level that is no mailbox but has mailboxes below is listed with \Noselect.
//! - Every name says \HasChildren or \HasNoChildren, and it is true of the version listed.
//! - LSUB answers from the subscriptions alone, whether the mailbox exists or not.

use super::Session;
use super::sink::Out;
use super::stop::{Answer, Done};
use crate::proto::ast::List;
use crate::proto::write::{self, Attribute};
use engine::mailbox::Mailbox;
use engine::mailbox::names::{self, DELIMITER, ListPattern};
use std::collections::{BTreeMap, BTreeSet};

impl Session {
    /// RFC 3501 section 6.3.8.
    pub(super) fn list(&mut self, list: &List, out: &mut Out) -> Answer {
        let account = self.account()?;
        if list.pattern.is_empty() {
            // Asks for the delimiter only.
            write::list(out.buffer(), &[Attribute::NoSelect], Some(DELIMITER), "");
            return Ok(Done::plain());
        }
        let pattern = ListPattern::new(&format!("{}{}", list.reference, list.pattern));
        let mailboxes: BTreeMap<&str, &Mailbox> =
            account.mailboxes().map(|mailbox| (&*mailbox.header.name, &**mailbox)).collect();
        let parents: BTreeSet<&str> = mailboxes.keys().flat_map(|name| names::ancestors(name)).collect();
        let every: BTreeSet<&str> = mailboxes.keys().copied().chain(parents.iter().copied()).collect();
        for name in every.into_iter().filter(|name| pattern.matches(name)) {
            let mailbox = mailboxes.get(name);
            let special_use = mailbox.and_then(|mailbox| mailbox.header.special_use);
            if list.only_special_use && special_use.is_none() {
                continue;
            }
            let mut attributes = Vec::new();
            if mailbox.is_none() {
                attributes.push(Attribute::NoSelect);
            }
            attributes.push(match parents.contains(name) {
                true => Attribute::HasChildren,
                false => Attribute::HasNoChildren,
            });
            attributes.extend(special_use.map(Attribute::For));
            write::list(out.buffer(), &attributes, Some(DELIMITER), name);
            out.settle()?;
        }
        Ok(Done::plain())
    }

    /// RFC 3501 section 6.3.9: with `%` at the end, a level above a subscribed name is answered with
    /// \Noselect, which says here that it is not subscribed itself.
    pub(super) fn lsub(&mut self, reference: &str, pattern: &str, out: &mut Out) -> Answer {
        let account = self.account()?;
        let subscribed = account.subscriptions();
        let matcher = ListPattern::new(&format!("{reference}{pattern}"));
        let levels: BTreeSet<&str> = match pattern.ends_with('%') {
            true => subscribed.iter().flat_map(|name| names::ancestors(name)).collect(),
            false => BTreeSet::new(),
        };
        let every: BTreeSet<&str> = subscribed.iter().map(String::as_str).chain(levels).collect();
        for name in every.into_iter().filter(|name| matcher.matches(name)) {
            let attributes: &[Attribute] =
                if subscribed.contains(name) { &[] } else { &[Attribute::NoSelect] };
            write::lsub(out.buffer(), attributes, Some(DELIMITER), name);
            out.settle()?;
        }
        Ok(Done::plain())
    }
}
