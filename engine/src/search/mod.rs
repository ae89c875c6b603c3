//! SEARCH (RFC 3501 section 6.4.4, and the keys of RFC 5032, 6203, 7162, 8474 and 8514).
//!
//! Laws
//! - The answer is exact for the view it is asked of, ghosts included; text keys are
//!   case-insensitive substrings of `text::canon`, the one definition of the text. FUZZY alone finds
//!   more.
//! - Columns first, as sets of rows; the text index for what they leave; a message is read only if both
//!   leave the answer open, its header before its bodies, each once.
//! - A message that has to be read and cannot be matches nothing, neither a key nor its NOT, unless
//!   what is known of it decides; it is named in the answer.
//! - Dates compare days as written, disregarding time and zone; a message without a Date that can be
//!   read never matches SENTBEFORE, SENTON, SENTSINCE.
//! - No lock is held while anything is read or compared, and a cancelled search ends within one
//!   message, or one chunk.

mod bits;
mod evaluate;
mod explain;
mod helpers;
mod index;
mod key;
mod leaf;
mod order;
mod plan;
mod progress;
mod ranking;
mod relevancy;
mod row_test;
mod rows;
mod run;
mod scope;
mod sort;
#[cfg(test)]
mod tests;
mod texts;
mod thread;
mod verify;

pub use explain::{How, Label, Plan, Step};
pub use helpers::Helpers;
pub use index::TextIndex;
pub use key::{DateIs, DateOf, Key};
pub use order::{SortBy, SortKey, ThreadBy, ThreadNode, ThreadPiece, Threads};
pub use progress::Progress;
pub use rows::Sources;
pub use run::{Context, Found, Means, Messages, has_text, run};
pub use sort::sort;
pub use thread::thread;
