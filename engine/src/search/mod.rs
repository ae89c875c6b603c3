//! SEARCH (RFC 3501 section 6.4.4, and the keys of RFC 5032, 7162, 8474 and 8514), by a scan.
//!
//! Laws
//! - The answer is exact for the view it is asked of, ghosts included; text keys are
//!   case-insensitive substrings of `text::canon`, the one definition of the text.
//! - Columns first: a message is read only if its row leaves the answer open, its header before its
//!   bodies, each once.
//! - A message that cannot be read matches nothing, neither a key nor its NOT, unless its row alone
//!   decides; it is named in the answer.
//! - Dates compare days as written, disregarding time and zone; a message without a Date that can be
//!   read never matches SENTBEFORE, SENTON, SENTSINCE.

mod key;
mod plan;
mod run;
mod texts;

pub use key::{DateIs, DateOf, Key};
pub use run::{Context, Found, Messages, run};
