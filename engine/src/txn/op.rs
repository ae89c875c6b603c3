//! The operations of a transaction, as they stand in the log.
//!
//! Laws
//! - Every operation names one object by its immutable id and is a post-image, never an increment:
//!   applying it again changes nothing.
//! - Live and replayed operations go through the same `apply`, so a rebuilt view is equal.
//! - Kinds are only added; what is unknown stops the reader with an error that says so.

use crate::codec::{Decoder, Encoder};
use crate::error::Result;
use crate::mailbox::{FlagId, Row, RowFlags, SpecialUse};
use crate::types::{
    AccountId, EmailId, MailboxId, MessageNo, ModSeq, ThreadId, Uid, UidSet, UidValidity, ZonedTime,
};
use std::sync::Arc;

/// First bytes of BLAKE3(sender, recipient, bytes as received).
pub type DeliveryKey = [u8; 16];

/// One change to one account. The account is named by the record around it.
#[derive(Debug, Clone)]
pub enum Op {
    /// The account's own row: made, or changed.
    PutAccount {
        name: String,
        password_hash: Option<String>,
        quota_bytes: Option<u64>,
    },
    DeleteAccount,
    /// A mailbox made or renamed (same id, other name).
    PutMailbox {
        mailbox: MailboxId,
        name: String,
        uid_validity: UidValidity,
        special_use: Option<SpecialUse>,
    },
    DeleteMailbox {
        mailbox: MailboxId,
    },
    Subscribe {
        name: String,
        on: bool,
    },
    /// A keyword gets its number in a mailbox.
    Keyword {
        mailbox: MailboxId,
        flag: FlagId,
        name: String,
    },
    Append {
        mailbox: MailboxId,
        row: Row,
    },
    Flags {
        mailbox: MailboxId,
        uids: UidSet,
        set: Vec<FlagId>,
        clear: Vec<FlagId>,
        modseq: ModSeq,
    },
    Expunge {
        mailbox: MailboxId,
        uids: UidSet,
        modseq: ModSeq,
    },
    /// Up to this UID, \Recent was announced.
    Recent {
        mailbox: MailboxId,
        uid: Uid,
    },
    /// A delivery was made: the same one again is answered without a second copy.
    Delivered {
        key: DeliveryKey,
        mailbox: MailboxId,
        uid: Uid,
        time_ms: u64,
    },
    /// Counters jump past everything possibly issued, after loss.
    Jump {
        modseq: ModSeq,
        next_email: EmailId,
        next_mailbox: MailboxId,
    },
    /// The same for a mailbox: UIDNEXT jumps and UIDVALIDITY changes.
    JumpMailbox {
        mailbox: MailboxId,
        uid_next: Uid,
        uid_validity: UidValidity,
    },
    /// The same for what is given to the store as a whole. Of no account: its transaction is the store's own.
    JumpStore {
        next_account: AccountId,
        next_message: MessageNo,
        /// Given last.
        uid_validity: UidValidity,
    },
}

impl Op {
    /// Whether messages may die by it.
    #[must_use]
    pub fn removes(&self) -> bool {
        matches!(self, Self::DeleteAccount | Self::DeleteMailbox { .. } | Self::Expunge { .. })
    }

    /// A change of no message's flags: HIGHESTMODSEQ rises, as far as it may have been told of.
    #[must_use]
    pub fn raise_modseq(mailbox: MailboxId, modseq: ModSeq) -> Self {
        Self::Flags { mailbox, uids: UidSet::new(), set: Vec::new(), clear: Vec::new(), modseq }
    }
}

mod kind {
    pub const PUT_ACCOUNT: u8 = 1;
    pub const DELETE_ACCOUNT: u8 = 2;
    pub const PUT_MAILBOX: u8 = 3;
    pub const DELETE_MAILBOX: u8 = 4;
    pub const SUBSCRIBE: u8 = 5;
    pub const KEYWORD: u8 = 6;
    pub const APPEND: u8 = 7;
    pub const FLAGS: u8 = 8;
    pub const EXPUNGE: u8 = 9;
    pub const RECENT: u8 = 10;
    pub const DELIVERED: u8 = 11;
    pub const JUMP: u8 = 12;
    pub const JUMP_MAILBOX: u8 = 13;
    pub const JUMP_STORE: u8 = 14;
}

/// A transaction's payload: each operation as (kind, body).
#[must_use]
pub fn encode(ops: &[Op]) -> Vec<u8> {
    let mut e = Encoder::new();
    ops.iter().for_each(|op| encode_op(&mut e, op));
    e.into_bytes()
}

pub fn decode(payload: &[u8]) -> Result<Vec<Op>> {
    let mut d = Decoder::new(payload, "a transaction");
    let mut ops = Vec::new();
    while !d.is_empty() {
        ops.push(decode_op(&mut d)?);
    }
    Ok(ops)
}

fn encode_op(e: &mut Encoder, op: &Op) {
    match op {
        Op::PutAccount { name, password_hash, quota_bytes } => {
            e.u8(kind::PUT_ACCOUNT);
            e.str(name);
            e.str(password_hash.as_deref().unwrap_or(""));
            e.uint(quota_bytes.map_or(0, |limit| limit.saturating_add(1)));
        }
        Op::DeleteAccount => e.u8(kind::DELETE_ACCOUNT),
        Op::PutMailbox { mailbox, name, uid_validity, special_use } => {
            e.u8(kind::PUT_MAILBOX);
            e.uint(u64::from(mailbox.0));
            e.str(name);
            e.uint(u64::from(uid_validity.0));
            e.u8(special_use.map_or(0, SpecialUse::code));
        }
        Op::DeleteMailbox { mailbox } => {
            e.u8(kind::DELETE_MAILBOX);
            e.uint(u64::from(mailbox.0));
        }
        Op::Subscribe { name, on } => {
            e.u8(kind::SUBSCRIBE);
            e.str(name);
            e.u8(u8::from(*on));
        }
        Op::Keyword { mailbox, flag, name } => {
            e.u8(kind::KEYWORD);
            e.uint(u64::from(mailbox.0));
            e.uint(u64::from(flag.0));
            e.str(name);
        }
        Op::Append { mailbox, row } => {
            e.u8(kind::APPEND);
            e.uint(u64::from(mailbox.0));
            encode_row(e, row);
        }
        Op::Flags { mailbox, uids, set, clear, modseq } => {
            e.u8(kind::FLAGS);
            e.uint(u64::from(mailbox.0));
            e.uid_set(uids);
            encode_flags(e, set);
            encode_flags(e, clear);
            e.uint(modseq.0);
        }
        Op::Expunge { mailbox, uids, modseq } => {
            e.u8(kind::EXPUNGE);
            e.uint(u64::from(mailbox.0));
            e.uid_set(uids);
            e.uint(modseq.0);
        }
        Op::Recent { mailbox, uid } => {
            e.u8(kind::RECENT);
            e.uint(u64::from(mailbox.0));
            e.uint(u64::from(uid.0));
        }
        Op::Delivered { key, mailbox, uid, time_ms } => {
            e.u8(kind::DELIVERED);
            e.raw(key);
            e.uint(u64::from(mailbox.0));
            e.uint(u64::from(uid.0));
            e.uint(*time_ms);
        }
        Op::Jump { modseq, next_email, next_mailbox } => {
            e.u8(kind::JUMP);
            e.uint(modseq.0);
            e.uint(u64::from(next_email.0));
            e.uint(u64::from(next_mailbox.0));
        }
        Op::JumpMailbox { mailbox, uid_next, uid_validity } => {
            e.u8(kind::JUMP_MAILBOX);
            e.uint(u64::from(mailbox.0));
            e.uint(u64::from(uid_next.0));
            e.uint(u64::from(uid_validity.0));
        }
        Op::JumpStore { next_account, next_message, uid_validity } => {
            e.u8(kind::JUMP_STORE);
            e.uint(u64::from(next_account.0));
            e.uint(next_message.0);
            e.uint(u64::from(uid_validity.0));
        }
    }
}

fn decode_op(d: &mut Decoder<'_>) -> Result<Op> {
    Ok(match d.u8()? {
        kind::PUT_ACCOUNT => Op::PutAccount {
            name: d.str()?.to_owned(),
            password_hash: Some(d.str()?.to_owned()).filter(|hash| !hash.is_empty()),
            quota_bytes: d.uint()?.checked_sub(1),
        },
        kind::DELETE_ACCOUNT => Op::DeleteAccount,
        kind::PUT_MAILBOX => Op::PutMailbox {
            mailbox: MailboxId(d.u32()?),
            name: d.str()?.to_owned(),
            uid_validity: UidValidity(d.u32()?),
            special_use: SpecialUse::from_code(d.u8()?),
        },
        kind::DELETE_MAILBOX => Op::DeleteMailbox { mailbox: MailboxId(d.u32()?) },
        kind::SUBSCRIBE => Op::Subscribe { name: d.str()?.to_owned(), on: d.u8()? != 0 },
        kind::KEYWORD => {
            Op::Keyword { mailbox: MailboxId(d.u32()?), flag: FlagId(d.u16()?), name: d.str()?.to_owned() }
        }
        kind::APPEND => Op::Append { mailbox: MailboxId(d.u32()?), row: decode_row(d)? },
        kind::FLAGS => Op::Flags {
            mailbox: MailboxId(d.u32()?),
            uids: d.uid_set()?,
            set: decode_flags(d)?,
            clear: decode_flags(d)?,
            modseq: ModSeq(d.uint()?),
        },
        kind::EXPUNGE => {
            Op::Expunge { mailbox: MailboxId(d.u32()?), uids: d.uid_set()?, modseq: ModSeq(d.uint()?) }
        }
        kind::RECENT => Op::Recent { mailbox: MailboxId(d.u32()?), uid: Uid(d.u32()?) },
        kind::DELIVERED => Op::Delivered {
            key: d.array()?,
            mailbox: MailboxId(d.u32()?),
            uid: Uid(d.u32()?),
            time_ms: d.uint()?,
        },
        kind::JUMP => Op::Jump {
            modseq: ModSeq(d.uint()?),
            next_email: EmailId(d.u32()?),
            next_mailbox: MailboxId(d.u32()?),
        },
        kind::JUMP_MAILBOX => Op::JumpMailbox {
            mailbox: MailboxId(d.u32()?),
            uid_next: Uid(d.u32()?),
            uid_validity: UidValidity(d.u32()?),
        },
        kind::JUMP_STORE => Op::JumpStore {
            next_account: AccountId(d.u32()?),
            next_message: MessageNo(d.uint()?),
            uid_validity: UidValidity(d.u32()?),
        },
        _ => return Err(d.bad("it has an operation that this version does not know")),
    })
}

fn encode_row(e: &mut Encoder, row: &Row) {
    e.uint(u64::from(row.uid.0));
    e.uint(row.modseq.0);
    e.uint(row.message.0);
    e.uint(u64::from(row.email.0));
    e.u64_le(row.thread.0);
    e.uint(u64::from(row.size_bytes));
    encode_time(e, row.internal_date);
    e.int(row.save_date_s);
    e.u8(u8::from(row.sent.is_some()));
    if let Some(sent) = row.sent {
        encode_time(e, sent);
    }
    encode_flags(e, row.flags.as_slice());
    e.bytes(&row.prefix);
}

fn decode_row(d: &mut Decoder<'_>) -> Result<Row> {
    Ok(Row {
        uid: Uid(d.u32()?),
        modseq: ModSeq(d.uint()?),
        message: MessageNo(d.uint()?),
        email: EmailId(d.u32()?),
        thread: ThreadId(d.u64_le()?),
        size_bytes: d.u32()?,
        internal_date: decode_time(d)?,
        save_date_s: d.int()?,
        sent: if d.u8()? != 0 { Some(decode_time(d)?) } else { None },
        flags: decode_flags(d)?.into_iter().collect::<RowFlags>(),
        prefix: Arc::from(d.bytes()?),
    })
}

fn encode_time(e: &mut Encoder, time: ZonedTime) {
    e.int(time.unix_s);
    e.int(i64::from(time.offset_minutes));
}

fn decode_time(d: &mut Decoder<'_>) -> Result<ZonedTime> {
    Ok(ZonedTime { unix_s: d.int()?, offset_minutes: d.i16()? })
}

fn encode_flags(e: &mut Encoder, flags: &[FlagId]) {
    e.uint(flags.len() as u64);
    flags.iter().for_each(|flag| e.uint(u64::from(flag.0)));
}

fn decode_flags(d: &mut Decoder<'_>) -> Result<Vec<FlagId>> {
    (0..d.count(1)?).map(|_| Ok(FlagId(d.u16()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::golden;

    fn row(sent: Option<ZonedTime>, flags: &[FlagId], prefix: &[u8]) -> Row {
        Row {
            uid: Uid(300),
            modseq: ModSeq(9),
            message: MessageNo(70_000),
            email: EmailId(5),
            thread: ThreadId(0x0807_0605_0403_0201),
            size_bytes: 4096,
            internal_date: ZonedTime { unix_s: -1, offset_minutes: -330 },
            save_date_s: 1_700_000_000,
            sent,
            flags: flags.iter().copied().collect(),
            prefix: prefix.into(),
        }
    }

    fn every_operation() -> Vec<Op> {
        let mailbox = MailboxId(7);
        let sent = ZonedTime { unix_s: 100, offset_minutes: 60 };
        let put_account = |name: &str, hash: Option<&str>, quota_bytes| Op::PutAccount {
            name: name.to_owned(),
            password_hash: hash.map(str::to_owned),
            quota_bytes,
        };
        vec![
            put_account("alice", Some("$argon2id$x"), Some(1000)),
            put_account("bob", None, None),
            Op::DeleteAccount,
            Op::PutMailbox {
                mailbox,
                name: "Sent/é".to_owned(),
                uid_validity: UidValidity(1_700_000_000),
                special_use: Some(SpecialUse::Sent),
            },
            Op::DeleteMailbox { mailbox },
            Op::Subscribe { name: "Sent".to_owned(), on: true },
            Op::Keyword { mailbox, flag: FlagId(8), name: "$Junk".to_owned() },
            Op::Append { mailbox, row: row(Some(sent), &[FlagId::SEEN, FlagId(8)], b"X: y\r\n") },
            Op::Append { mailbox, row: row(None, &[], b"") },
            Op::Flags {
                mailbox,
                uids: [1, 2, 3, 4, 5, 300u32].into_iter().collect(),
                set: vec![FlagId::DELETED],
                clear: vec![FlagId::ANSWERED, FlagId::FLAGGED],
                modseq: ModSeq(10),
            },
            Op::Expunge { mailbox, uids: [3u32].into_iter().collect(), modseq: ModSeq(11) },
            Op::Recent { mailbox, uid: Uid(300) },
            Op::Delivered {
                key: std::array::from_fn(|i| i as u8),
                mailbox,
                uid: Uid(300),
                time_ms: 1_700_000_000_000,
            },
            Op::Jump { modseq: ModSeq(1 << 40), next_email: EmailId(1 << 20), next_mailbox: MailboxId(9) },
            Op::JumpMailbox { mailbox, uid_next: Uid(1 << 20), uid_validity: UidValidity(0) },
            Op::JumpStore {
                next_account: AccountId(1 << 10),
                next_message: MessageNo(1 << 20),
                uid_validity: UidValidity(1_700_000_000),
            },
        ]
    }

    #[test]
    fn every_operation_is_as_drawn() {
        let drawn = golden(include_str!("../../tests/data/format/drawn/txn.hex"));
        let ops = every_operation();
        assert_eq!(encode(&ops), drawn);
        assert_eq!(format!("{:?}", decode(&drawn).unwrap()), format!("{ops:?}"));
    }

    #[test]
    fn an_operation_of_the_future_stops_the_reader() {
        assert!(decode(&[15]).is_err());
        assert!(decode(&[0]).is_err());
    }
}
