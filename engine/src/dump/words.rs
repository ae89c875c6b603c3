//! Records and operations in words.

use crate::log::dump::Dumped;
use crate::mailbox::FlagId;
use crate::txn::op::{self, Op};
use crate::types::{AccountId, MessageNo};

/// The kind of a record, and what it says. Of a transaction that is shown for one message, only what names it.
pub(super) fn of(dumped: &Dumped, only: Option<MessageNo>) -> (&'static str, String) {
    match dumped {
        Dumped::Segment { kind, bytes, epoch, created_ms, footer } => {
            let footer = footer.as_deref().unwrap_or("intact");
            (
                "segment",
                format!("{kind}, {bytes} bytes, epoch {epoch}, made at {created_ms} ms, footer: {footer}"),
            )
        }
        Dumped::Group { lsn, prev_lsn, durable_lsn, epoch, time_ms, records, bytes } => (
            "group",
            format!(
                "{lsn} after {prev_lsn}, durable {durable_lsn}, epoch {epoch}, at {time_ms} ms, {records} records, {bytes} bytes"
            ),
        ),
        Dumped::Message { message, accounts, size_bytes, stored_bytes, blocks, digest, whole } => (
            "message",
            format!(
                "{message} for {}, {size_bytes} bytes in {stored_bytes} ({blocks} blocks, {}), blake3 {}",
                list(accounts),
                if *whole { "whole" } else { "BROKEN" },
                hex(digest)
            ),
        ),
        Dumped::Body { message, accounts, size_bytes, stored_bytes, digest, segment, at } => (
            "body",
            format!(
                "{message} for {}, {size_bytes} bytes in {stored_bytes} at {at} of segment {segment}, blake3 {}",
                list(accounts),
                hex(digest)
            ),
        ),
        Dumped::Txn { account, prev_lsn, payload } => {
            let whose = account.map_or("the store".to_owned(), |id| format!("account {id}"));
            ("txn", format!("{whose} after {prev_lsn}: {}", operations(payload, only)))
        }
        Dumped::Relocate { cold, replaces, left_out } => {
            let replaces: Vec<String> = replaces.iter().map(ToString::to_string).collect();
            let (replaces, left_out) = (replaces.join(","), left_out.len());
            ("relocate", format!("to segment {cold} from {replaces}, {left_out} left out"))
        }
        Dumped::Broken { why } => ("broken", why.clone()),
    }
}

/// The bytes of a transaction, but for one in which a password stands.
pub(super) fn bytes_of(payload: &[u8]) -> String {
    let is_secret = |op: &Op| matches!(op, Op::PutAccount { password_hash: Some(_), .. });
    match op::decode(payload) {
        Ok(ops) if ops.iter().any(is_secret) => "not shown: a password hash is in it".to_owned(),
        // What cannot be understood may hold one as well.
        Err(_) => "not shown: it cannot be understood".to_owned(),
        Ok(_) => hex(payload),
    }
}

fn operations(payload: &[u8], only: Option<MessageNo>) -> String {
    let ops = match op::decode(payload) {
        Ok(ops) => ops,
        Err(error) => return format!("BROKEN: {error}"),
    };
    let is_shown = |op: &&Op| match (only, op) {
        (None, _) => true,
        (Some(wanted), Op::Append { row, .. }) => row.message == wanted,
        (Some(_), _) => false,
    };
    let words: Vec<String> = ops.iter().filter(is_shown).map(operation).collect();
    if words.is_empty() { "nothing".to_owned() } else { words.join("; ") }
}

fn operation(op: &Op) -> String {
    match op {
        Op::PutAccount { name, password_hash, quota_bytes } => {
            let password = if password_hash.is_some() { "a password" } else { "no password" };
            let quota = quota_bytes.map_or("none".to_owned(), |limit| limit.to_string());
            format!("account {name:?}, {password}, quota {quota}")
        }
        Op::DeleteAccount => "account deleted".to_owned(),
        Op::PutMailbox { mailbox, name, uid_validity, special_use } => {
            let special_use = special_use.map_or(String::new(), |of| format!(" {of}"));
            format!("mailbox {mailbox} is {name:?}, uidvalidity {uid_validity}{special_use}")
        }
        Op::DeleteMailbox { mailbox } => format!("mailbox {mailbox} deleted"),
        Op::Subscribe { name, on } => format!("{} {name:?}", if *on { "subscribed" } else { "unsubscribed" }),
        Op::Keyword { mailbox, flag, name } => format!("mailbox {mailbox}: flag {} is {name:?}", flag.0),
        Op::Append { mailbox, row } => format!(
            "mailbox {mailbox}: append uid {}, modseq {}, message {}, email {}, thread {:016x}, {} bytes ({} of prefix), \
             flags {}, internaldate {}, saved {}",
            row.uid,
            row.modseq,
            row.message,
            row.email,
            row.thread.0,
            row.size_bytes,
            row.prefix.len(),
            flags(row.flags.as_slice()),
            row.internal_date.unix_s,
            row.save_date_s
        ),
        Op::Flags { mailbox, uids, set, clear, modseq } => {
            format!(
                "mailbox {mailbox}: flags of uid {uids}: +{} -{}, modseq {modseq}",
                flags(set),
                flags(clear)
            )
        }
        Op::Expunge { mailbox, uids, modseq } => {
            format!("mailbox {mailbox}: expunge uid {uids}, modseq {modseq}")
        }
        Op::Recent { mailbox, uid } => format!("mailbox {mailbox}: recent up to uid {uid}"),
        Op::Delivered { mailbox, uid, time_ms, .. } => {
            format!("mailbox {mailbox}: delivered as uid {uid} at {time_ms} ms")
        }
        Op::Jump { modseq, next_email, next_mailbox } => {
            format!("counters up to modseq {modseq}, next email {next_email}, next mailbox {next_mailbox}")
        }
        Op::JumpMailbox { mailbox, uid_next, uid_validity } => {
            format!("mailbox {mailbox}: uidnext up to {uid_next}, uidvalidity {uid_validity}")
        }
        Op::JumpStore { next_account, next_message, uid_validity } => {
            format!(
                "counters up to next account {next_account}, next message {next_message}, uidvalidity {uid_validity}"
            )
        }
    }
}

fn flags(flags: &[FlagId]) -> String {
    let numbers: Vec<String> = flags.iter().map(|flag| flag.0.to_string()).collect();
    format!("({})", numbers.join(" "))
}

fn list(accounts: &[AccountId]) -> String {
    let numbers: Vec<String> = accounts.iter().map(ToString::to_string).collect();
    format!("account {}", numbers.join(","))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
