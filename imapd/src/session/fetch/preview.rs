//! PREVIEW (RFC 8970).
//!
//! Laws
//! - PREVIEW is always a string, empty where the message has no text (section 3.2).
//! - PREVIEW (LAZY) is NIL once a command has read `LAZY_READS_BYTES` for previews, and for every message
//!   that would go over that: the rest of the listing is not delayed by it (section 4.1).

use super::plan::Preview;
use engine::mailbox::Row;
use engine::types::AccountId;
use engine::{Error, Store};

/// What one command reads for previews that are asked for lazily: those of some thousand messages of
/// usual size.
const LAZY_READS_BYTES: u64 = 32 << 20;

/// The previews of one command.
pub struct Previews {
    asked: Preview,
    lazy_left_bytes: u64,
}

impl Previews {
    pub fn new(asked: Preview) -> Self {
        Self { asked, lazy_left_bytes: LAZY_READS_BYTES }
    }

    /// None where it is not asked for, or lazily and not at hand.
    pub fn of(&mut self, store: &Store, account: AccountId, row: &Row) -> Result<Option<String>, Error> {
        match self.asked {
            Preview::No => return Ok(None),
            Preview::Yes => {}
            Preview::Lazy => {
                let Some(left) = self.lazy_left_bytes.checked_sub(u64::from(row.size_bytes)) else {
                    return Ok(None);
                };
                self.lazy_left_bytes = left;
            }
        }
        store.preview(account, row).map(Some)
    }
}
