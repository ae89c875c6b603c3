//! The states of a session, as two enums whose variants own what that state may touch.
//!
//! Laws
//! - `Input` says what the next bytes are; it never depends on whether a command was accepted: a
//!   refused BDAT's chunk is read all the same (RFC 3030 section 2).
//! - A transaction's addresses exist only from its MAIL to its last reply.

use crate::proto::address::Address;
use crate::proto::command::MailParameters;
use crate::proto::data::DotDecoder;
use crate::proto::refusal::Refusal;

/// What the next bytes of the stream are.
#[derive(Debug)]
pub(super) enum Input {
    Lines,
    Data(DotDecoder),
    Chunk { left_bytes: u64, last: bool },
}

/// How far the transaction is.
pub(super) enum Phase<R> {
    /// No LHLO yet.
    Connected,
    /// No transaction.
    Ready,
    /// MAIL was accepted; RCPTs come in. One may be with the driver.
    Envelope {
        envelope: Envelope<R>,
        checking: Option<Address>,
    },
    /// DATA or the first BDAT came.
    Body {
        envelope: Envelope<R>,
        content: Content,
    },
    /// The message is with the driver; the verdicts are owed to these.
    Committing {
        owed: Vec<Address>,
    },
    Closed,
}

/// The message so far.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub received_bytes: u64,
    /// Why it will not be delivered to anyone; the rest of it is read and dropped.
    pub refusal: Option<Refusal>,
}

/// An envelope whose MAIL was accepted.
#[derive(Debug)]
pub struct Envelope<R> {
    /// The reverse-path; `None` is the null one.
    pub sender: Option<Address>,
    pub recipients: Vec<Recipient<R>>,
    pub(super) parameters: MailParameters,
}

/// One RCPT that was answered 250.
#[derive(Debug)]
pub struct Recipient<R> {
    /// As the client named it.
    pub address: Address,
    /// What `Deliver` made of it.
    pub target: R,
}
