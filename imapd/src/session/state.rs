//! The states of a session (RFC 3501 section 3).
//!
//! Laws
//! - A variant owns only what its state may use: there is no account before login, and no view
//!   without a selected mailbox.
//! - A session's place among its account's connections is given back with its `Login`.

use super::search::updates::Updates;
use super::stop::Stop;
use engine::mailbox::View;
use engine::types::{AccountId, MailboxId, UidSet};

pub enum State {
    NotAuthenticated { failed_logins: u32 },
    Authenticated(Login),
    Selected(Login, Selected),
    Logout,
}

/// Who is logged in, and what the client said it understands.
pub struct Login {
    pub account: AccountId,
    /// A CONDSTORE enabling command was seen (RFC 7162 section 3.1): every FETCH response carries
    /// MODSEQ and UID from then on.
    pub condstore: bool,
    /// Counted among the account's connections.
    pub _place: Box<dyn Send>,
}

/// The selected mailbox, known by its id: a RENAME does not disturb.
pub struct Selected {
    pub mailbox: MailboxId,
    pub view: View,
    /// EXAMINE.
    pub read_only: bool,
    /// UIDs that are \Recent for this session; some may be gone, or not be announced yet.
    pub recent: UidSet,
    /// What the last RECENT response said.
    pub recent_told: u32,
    /// `$`: what the last SEARCH with SAVE kept; some may be gone (RFC 5182).
    pub saved: UidSet,
    pub updates: Updates,
    /// How many of the mailbox's keywords the last FLAGS response named.
    pub keywords_told: usize,
}

impl State {
    /// The login of an authenticated or selected session.
    pub fn login(&mut self) -> Result<&mut Login, Stop> {
        match self {
            Self::Authenticated(login) | Self::Selected(login, _) => Ok(login),
            Self::NotAuthenticated { .. } | Self::Logout => Err(Stop::bad("Log in first")),
        }
    }

    pub fn selected(&mut self) -> Result<(&mut Login, &mut Selected), Stop> {
        match self {
            Self::Selected(login, selected) => Ok((login, selected)),
            Self::Authenticated(_) => Err(Stop::bad("Select a mailbox first")),
            Self::NotAuthenticated { .. } | Self::Logout => Err(Stop::bad("Log in first")),
        }
    }

    /// Leaves the selected mailbox, if there is one.
    pub fn deselect(&mut self) -> Option<Selected> {
        match std::mem::replace(self, Self::Logout) {
            Self::Selected(login, selected) => {
                *self = Self::Authenticated(login);
                Some(selected)
            }
            other => {
                *self = other;
                None
            }
        }
    }

    /// Enters a mailbox, leaving the one before.
    pub fn select(&mut self, selected: Selected) {
        match std::mem::replace(self, Self::Logout) {
            Self::Authenticated(login) | Self::Selected(login, _) => *self = Self::Selected(login, selected),
            other => *self = other,
        }
    }
}
