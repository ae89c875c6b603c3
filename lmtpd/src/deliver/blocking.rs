//! A message for a store whose calls block: held a buffer at a time, handed over on threads that may
//! wait.
//!
//! Laws
//! - A message that fits the buffer is handed over once, by `commit`.
//! - A connection that goes away does not stop a commit under way.

use super::Message;
use crate::proto::address::Address;
use crate::proto::refusal::Refusal;
use engine::accounts::route::Route;
use engine::ops::{Delivered, Recipient};
use engine::{Error, Result};
use std::future::Future;
use tokio::task::spawn_blocking;

const HELD_BYTES: usize = 64 * 1024;

/// Where the bytes of one message go.
pub trait Sink: Send + 'static {
    /// Called where waiting holds nobody up.
    fn write(&mut self, bytes: &[u8]) -> Result<()>;
    /// Takes the last bytes and delivers: a verdict for each recipient, in order. The outer error is
    /// everybody's. Called on the runtime: what may wait goes through `blocking`.
    fn commit(
        self,
        held: Vec<u8>,
        sender: String,
        recipients: Vec<Recipient>,
    ) -> impl Future<Output = std::result::Result<Vec<Result<Delivered>>, Refusal>> + Send;
}

/// A message on its way into a `Sink`.
pub struct BlockingMessage<S> {
    /// Away only while a write is under way, and for good after one failed.
    sink: Option<S>,
    held: Vec<u8>,
}

impl<S: Sink> BlockingMessage<S> {
    pub(super) fn new(sink: S) -> Self {
        Self { sink: Some(sink), held: Vec::new() }
    }
}

impl<S: Sink> Message for BlockingMessage<S> {
    type Target = Route;

    async fn write(&mut self, bytes: &[u8]) -> std::result::Result<(), Refusal> {
        self.held.extend_from_slice(bytes);
        if self.held.len() < HELD_BYTES {
            return Ok(());
        }
        let mut sink = self.sink.take().ok_or(Refusal::Unavailable)?;
        let held = std::mem::take(&mut self.held);
        let (sink, held) = blocking(move || {
            sink.write(&held)?;
            Ok((sink, held))
        })
        .await?;
        self.sink = Some(sink);
        self.held = held;
        self.held.clear();
        Ok(())
    }

    async fn commit(
        self,
        sender: Option<Address>,
        recipients: Vec<(Address, Route)>,
    ) -> Vec<std::result::Result<(), Refusal>> {
        let count = recipients.len();
        let Some(sink) = self.sink else { return vec![Err(Refusal::Unavailable); count] };
        let sender = sender.map(|sender| sender.to_string()).unwrap_or_default();
        let recipients = recipients.into_iter().map(recipient).collect();
        match sink.commit(self.held, sender, recipients).await {
            Ok(verdicts) => verdicts.into_iter().map(|verdict| verdict.map(drop).map_err(refusal)).collect(),
            Err(refusal) => vec![Err(refusal); count],
        }
    }
}

/// Runs what may wait for the disk or for another process where waiting holds nobody up.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> std::result::Result<T, Refusal> {
    match spawn_blocking(work).await {
        Ok(result) => result.map_err(refusal),
        // The work panicked, or the runtime is going down: what came of it is not known.
        Err(_) => Err(refusal(Error::OutcomeUnknown)),
    }
}

fn recipient((address, route): (Address, Route)) -> Recipient {
    Recipient { account: route.account, detail: route.detail, address: address.to_string() }
}

/// The one place where an engine error becomes a refusal. What the client cannot mend, and neither
/// can the account's user, is ours: logged, and answered so that the client tries again.
pub(super) fn refusal(error: Error) -> Refusal {
    match error {
        Error::NoSuchAccount => Refusal::NoSuchAccount,
        Error::OverQuota => Refusal::OverQuota,
        Error::Limit(_) => Refusal::TooBig,
        Error::AccountReadOnly(_) => Refusal::ReadOnly,
        Error::StoreFull => Refusal::StoreFull,
        other => {
            tracing::warn!(error = other.label(), "{other}");
            Refusal::Unavailable
        }
    }
}
