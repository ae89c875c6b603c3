//! Where a session's answers go.
//!
//! Laws
//! - At most `CHUNK_BYTES` and one response are held here; the sink behind takes a bounded number of
//!   chunks and then waits for the client, so memory stays bounded however much is fetched.
//! - The session holds no lock while it sends: a client that does not read hurts itself only.
//! - When the client is gone every send says so, and the command that was running ends.

use std::sync::atomic::AtomicBool;

/// Bytes gathered before they are handed on.
pub const CHUNK_BYTES: usize = 64 << 10;

/// The client is gone: nobody hears the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

/// The way to the client.
pub trait Sink {
    /// Takes the next bytes, waiting while the client is behind.
    fn send(&mut self, bytes: Vec<u8>) -> Result<(), Gone>;
    /// Becomes true when the client is gone; long work looks at it.
    fn gone(&self) -> &AtomicBool;
}

/// Gathers responses into chunks.
pub struct Out<'a> {
    sink: &'a mut dyn Sink,
    buffer: Vec<u8>,
}

impl<'a> Out<'a> {
    pub fn new(sink: &'a mut dyn Sink) -> Self {
        Self { sink, buffer: Vec::new() }
    }

    /// Where the next response is written; `settle` follows where many are.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// The buffer, and the sink for a literal too long for it: what is in the buffer goes first.
    pub fn parts(&mut self) -> (&mut Vec<u8>, &mut dyn Sink) {
        (&mut self.buffer, self.sink)
    }

    /// Sends what is there once it is worth it.
    pub fn settle(&mut self) -> Result<(), Gone> {
        if self.buffer.len() >= CHUNK_BYTES { self.flush() } else { Ok(()) }
    }

    /// Sends what is there.
    pub fn flush(&mut self) -> Result<(), Gone> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.sink.send(std::mem::take(&mut self.buffer))
    }

    /// Becomes true when the client is gone.
    pub fn gone(&self) -> &AtomicBool {
        self.sink.gone()
    }
}

/// A sink that keeps everything: for tests and for tools that talk to a session in this process.
#[derive(Debug, Default)]
pub struct Kept {
    pub bytes: Vec<u8>,
    gone: AtomicBool,
}

impl Sink for Kept {
    fn send(&mut self, bytes: Vec<u8>) -> Result<(), Gone> {
        self.bytes.extend_from_slice(&bytes);
        Ok(())
    }

    fn gone(&self) -> &AtomicBool {
        &self.gone
    }
}
