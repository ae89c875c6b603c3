//! Summaries that fell behind the text: their folder was removed, or a power cut took their end.

use super::Shared;
use super::gather::{self, WINDOW_EMAILS, Waiting};
use crate::accounts::Account;
use crate::error::{Error, Result};
use crate::summary::Summary;
use crate::text::account::{Marks, Uncovered};
use crate::types::EmailId;

/// Makes the next window of them, up to where the text is.
pub fn catch_up(shared: &Shared, account: &Account, from: EmailId, to: EmailId) -> Result<()> {
    let from = Uncovered { covered: from, marks: Marks::new() };
    let window = gather::window(account, &from, WINDOW_EMAILS.min(to.0.saturating_sub(from.covered.0)))?;
    let mut summaries = Vec::with_capacity(window.rows.len());
    for row in &window.rows {
        match header(shared, row) {
            Ok(header) => summaries.push((row.email, Summary::of(&header))),
            // Whoever needs it reads the message, and says so.
            Err(Error::Closed) => return Err(Error::Closed),
            Err(_) => {}
        }
    }
    shared.summaries.append(account.id, &summaries, window.covered)
}

fn header(shared: &Shared, row: &Waiting) -> Result<Vec<u8>> {
    let stored = shared.core.log.read(row.message)?;
    let header = stored.read_range(0..stored.header_len_bytes())?;
    Ok([&row.prefix[..], &header].concat())
}
