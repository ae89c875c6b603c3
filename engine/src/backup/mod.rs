//! Backup and restore: a store's files copied into a folder, and stores made from such folders.
//!
//! Laws
//! - A copy only grows: bytes that a description names are never written again, so an interrupted backup harms none of
//!   the older ones.
//! - A description is written last, after every byte that it names is durable; what no description names is nothing.
//! - A backup is as of one group: everything acknowledged before it was begun is in it.
//! - A restored store uses no UID, modseq, EmailId, MessageNo or LSN again that its past may have given after the backup.
//! - A folder that a restore has not finished is not served.

mod copy;
mod description;
mod folder;
mod history;
mod plan;
mod prune;
mod restore;
mod source;
mod take;
mod verify;

pub use description::{Copied, Description, compact_time};
pub use folder::Folder;
pub use plan::{Moment, Plan, plan, show_time};
pub use prune::{Pruned, prune};
pub use restore::{Restore, Restored, Target, restore};
pub use source::{RESTORED, open_source};
pub use take::{How, Rate, Taken, take};
pub use verify::{Verified, verify};
