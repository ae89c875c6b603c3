//! Where accepted mail goes: the engine in this process, or the process that owns the store.
//!
//! Laws
//! - `Ok` from `commit` means durable, for that recipient. Nothing else does.
//! - A message streams in: no implementation holds more of it than a buffer, whatever its size.
//! - A verdict for each recipient, in the order given; one refused does not touch the others.
//! - Dropping a `Message` before `commit` delivers nothing.

pub mod attach;
pub mod blocking;
pub mod store;

use crate::proto::address::Address;
use crate::proto::refusal::Refusal;
use std::future::Future;

/// Delivery of whole messages to accounts.
pub trait Deliver: Send + Sync + 'static {
    /// A recipient that can be delivered to.
    type Target: Send + 'static;
    type Message: Message<Target = Self::Target>;

    /// Whether there is such an account, and room in it for `size_bytes` as far as can be told now:
    /// a hint, which `commit` checks again.
    fn check(
        &self,
        recipient: &Address,
        size_bytes: Option<u64>,
    ) -> impl Future<Output = Result<Self::Target, Refusal>> + Send;

    /// Begins a message.
    fn begin(&self) -> impl Future<Output = Result<Self::Message, Refusal>> + Send;
}

/// A message on its way in.
pub trait Message: Send {
    type Target;

    /// The next bytes of the message, as received.
    fn write(&mut self, bytes: &[u8]) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// The message is whole: delivers it and returns a verdict for each recipient, in order.
    fn commit(
        self,
        sender: Option<Address>,
        recipients: Vec<(Address, Self::Target)>,
    ) -> impl Future<Output = Vec<Result<(), Refusal>>> + Send;
}
