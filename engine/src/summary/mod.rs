//! What SORT and THREAD need of each message, by EmailId: a view of the headers.
//!
//! Laws
//! - A summary is a function of the header alone (prefix and stored header together): whatever is missing
//!   here is computed again from there, and is the same.
//! - `covered` of an account: every live email with a lower id has its summary here, or lay in a file that
//!   was damaged since. Emails that are not found are computed on the spot by whoever asks.
//! - A file counts when the account's MANIFEST names it, and that is written after all it names was synced.
//!   The one file that grows, the tail, proves itself record by record.
//! - A MANIFEST of another store, another version of the text or of Unicode names nothing.
//! - Damage costs time, never an answer: what cannot be read is as good as not there.

mod account;
mod columns;
mod files;
mod ids;
mod manifest;
mod of_header;
mod pack;
mod row;
mod subject;
mod tail;
#[cfg(test)]
mod tests;
mod view;

pub use columns::{Columns, Ids, Table, TextColumn, Texts};
pub use of_header::Summary;
pub use subject::{BaseSubject, base_subject};
pub use view::Summaries;
