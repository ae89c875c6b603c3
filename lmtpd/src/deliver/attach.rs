//! Delivery into a store that another process owns, through its engine.sock.
//!
//! Laws
//! - Without an owner every RCPT is answered 451, and the next one tries again: an owner that comes
//!   back is found without a restart.
//! - 250 only when the owner said durable; an owner that goes in the middle is a 451, which the
//!   delivery key makes safe to retry.

use super::Deliver;
use super::blocking::{BlockingMessage, Sink, blocking};
use crate::proto::address::Address;
use crate::proto::refusal::Refusal;
use engine::accounts::route::Route;
use engine::attach::{Admin, Delivery, Remote};
use engine::ops::{Delivered, Recipient};
use engine::{Error, Result};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Delivers to whoever owns the store in a folder.
#[derive(Clone)]
pub struct AttachDeliver {
    dir: Arc<PathBuf>,
    owner: Arc<Mutex<Option<Remote>>>,
}

impl AttachDeliver {
    /// Needs no owner yet.
    #[must_use]
    pub fn new(dir: PathBuf) -> Self {
        Self { dir: Arc::new(dir), owner: Arc::default() }
    }

    /// The owner, attached to when it was not.
    fn owner(&self) -> Result<Remote> {
        let mut owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        match &*owner {
            Some(remote) => Ok(remote.clone()),
            None => Ok(owner.insert(Remote::connect(&self.dir).map_err(not_now)?).clone()),
        }
    }
}

impl Deliver for AttachDeliver {
    type Target = Route;
    type Message = BlockingMessage<AttachSink>;

    async fn check(
        &self,
        recipient: &Address,
        size_bytes: Option<u64>,
    ) -> std::result::Result<Route, Refusal> {
        let (this, address) = (self.clone(), recipient.unquoted());
        blocking(move || {
            let destination = this.owner()?.destination(&address).map_err(not_now)?;
            let destination = destination.ok_or(Error::NoSuchAccount)?;
            // As in this process: full is full for every message.
            if destination.would_exceed_quota(size_bytes.unwrap_or(1)) {
                return Err(Error::OverQuota);
            }
            Ok(destination.route)
        })
        .await
    }

    async fn begin(&self) -> std::result::Result<Self::Message, Refusal> {
        Ok(BlockingMessage::new(AttachSink { to: self.clone(), delivery: None }))
    }
}

/// Before a message is sent, a limit is one of the owner's connections, not of the message: it passes.
/// And a store that is closed is one that nobody owns now: the log says what to do.
fn not_now(error: Error) -> Error {
    match error {
        Error::Limit(what) => Error::io(
            format!("the owner of the store is busy ({what})"),
            io::ErrorKind::ConnectionRefused.into(),
        ),
        Error::Closed => {
            Error::io("no process owns the store; start `mailcask serve`", io::ErrorKind::NotConnected.into())
        }
        other => other,
    }
}

/// A message being sent to the owner.
pub struct AttachSink {
    to: AttachDeliver,
    /// Begun with the first bytes, so that a slow client holds no connection to the owner while its
    /// message still fits a buffer here.
    delivery: Option<Box<dyn Delivery>>,
}

impl AttachSink {
    fn begin(&mut self) -> Result<Box<dyn Delivery>> {
        match self.delivery.take() {
            Some(delivery) => Ok(delivery),
            None => self.to.owner()?.begin_delivery().map_err(not_now),
        }
    }
}

impl Sink for AttachSink {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let mut delivery = self.begin()?;
        delivery.write(bytes)?;
        self.delivery = Some(delivery);
        Ok(())
    }

    async fn commit(
        mut self,
        held: Vec<u8>,
        sender: String,
        recipients: Vec<Recipient>,
    ) -> std::result::Result<Vec<Result<Delivered>>, Refusal> {
        blocking(move || {
            self.write(&held)?;
            self.begin()?.deliver(&sender, recipients)
        })
        .await
    }
}
