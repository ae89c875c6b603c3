//! Delivery into the store of this process.
//!
//! Laws
//! - RCPT is answered from memory: no thread hop, no disk, no lock that a delivery needs.
//! - A message that fits the buffer is staged where it was received and holds no thread while its
//!   group is synced: thread hops cost more than staging it.

use super::Deliver;
use super::blocking::{BlockingMessage, Sink, blocking, refusal};
use crate::proto::address::Address;
use crate::proto::refusal::Refusal;
use engine::accounts::route::Route;
use engine::log::MessageStager;
use engine::ops::{Delivered, Recipient};
use engine::{Result, Store};

/// Delivers into a store that this process owns.
#[derive(Clone)]
pub struct StoreDeliver {
    store: Store,
}

impl StoreDeliver {
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

impl Deliver for StoreDeliver {
    type Target = Route;
    type Message = BlockingMessage<StoreSink>;

    async fn check(
        &self,
        recipient: &Address,
        size_bytes: Option<u64>,
    ) -> std::result::Result<Route, Refusal> {
        let route = self.store.route(&recipient.unquoted()).ok_or(Refusal::NoSuchAccount)?;
        let account = self.store.account(route.account).map_err(refusal)?;
        // No message is smaller than a byte: an account that is full is full for all of them.
        if account.would_exceed_quota(size_bytes.unwrap_or(1)) {
            return Err(Refusal::OverQuota);
        }
        Ok(route)
    }

    async fn begin(&self) -> std::result::Result<Self::Message, Refusal> {
        let (stager, store) = (self.store.stager(), self.store.clone());
        Ok(BlockingMessage::new(StoreSink { store, stager, is_long: false }))
    }
}

/// A message being staged.
pub struct StoreSink {
    store: Store,
    stager: MessageStager,
    /// More than a buffer: what is staged next may go to the disk.
    is_long: bool,
}

impl Sink for StoreSink {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.is_long = true;
        self.stager.write(bytes)
    }

    async fn commit(
        self,
        held: Vec<u8>,
        sender: String,
        recipients: Vec<Recipient>,
    ) -> std::result::Result<Vec<Result<Delivered>>, Refusal> {
        let Self { store, mut stager, is_long } = self;
        let stage = move || {
            stager.write(&held)?;
            stager.finish()
        };
        let message = if is_long { blocking(stage).await? } else { stage().map_err(refusal)? };
        Ok(store.deliver_async(&message, &sender, recipients).await)
    }
}
