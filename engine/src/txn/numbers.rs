//! The counters that belong to the store as a whole.
//!
//! Law: they only rise.

use super::op::Op;
use crate::codec::{Decoder, Encoder};
use crate::error::Result;
use crate::types::{AccountId, MessageNo, UidValidity};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbers {
    pub next_account: AccountId,
    pub next_message: MessageNo,
    /// The UIDVALIDITY given last, to any mailbox of any account.
    pub last_uid_validity: UidValidity,
}

impl Default for Numbers {
    fn default() -> Self {
        Self { next_account: AccountId(1), next_message: MessageNo(1), last_uid_validity: UidValidity(0) }
    }
}

impl Numbers {
    /// Notes what an operation of `account` used up.
    pub fn note(&mut self, account: AccountId, op: &Op) {
        self.next_account = self.next_account.max(account.next());
        match op {
            Op::Append { row, .. } => self.next_message = self.next_message.max(row.message.next()),
            Op::PutMailbox { uid_validity, .. } | Op::JumpMailbox { uid_validity, .. } => {
                self.last_uid_validity = self.last_uid_validity.max(*uid_validity);
            }
            _ => {}
        }
    }

    /// Notes what an operation of the store itself used up.
    pub fn note_jump(&mut self, op: &Op) {
        if let Op::JumpStore { next_account, next_message, uid_validity } = op {
            self.next_account = self.next_account.max(*next_account);
            self.next_message = self.next_message.max(*next_message);
            self.last_uid_validity = self.last_uid_validity.max(*uid_validity);
        }
    }

    /// Past everything possibly issued: acknowledged transactions are lost. UIDVALIDITY follows the clock, but where many
    /// mailboxes were made at once it was ahead of it.
    #[must_use]
    pub fn jump(&self) -> Op {
        Op::JumpStore {
            next_account: AccountId(self.next_account.0.saturating_add(1 << 10)),
            next_message: MessageNo(self.next_message.0.saturating_add(1 << 20)),
            uid_validity: UidValidity(self.last_uid_validity.0.saturating_add(1 << 16)),
        }
    }

    /// A UIDVALIDITY above every one given before: max(last + 1, unix seconds).
    pub fn give_uid_validity(&mut self, now_ms: u64) -> UidValidity {
        let seconds = u32::try_from(now_ms / 1000).unwrap_or(u32::MAX);
        self.last_uid_validity = UidValidity(self.last_uid_validity.next().0.max(seconds));
        self.last_uid_validity
    }

    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut e = Encoder::new();
        e.u8(1);
        e.uint(u64::from(self.next_account.0));
        e.uint(self.next_message.0);
        e.uint(u64::from(self.last_uid_validity.0));
        e.into_bytes()
    }

    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut d = Decoder::new(bytes, "the store's row");
        if d.u8()? != 1 {
            return Err(d.bad("its version is unknown"));
        }
        let numbers = Self {
            next_account: AccountId(d.u32()?),
            next_message: MessageNo(d.uint()?),
            last_uid_validity: UidValidity(d.u32()?),
        };
        d.finish()?;
        Ok(numbers)
    }
}
