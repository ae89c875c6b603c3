//! Object identifiers (RFC 8474 section 7): a letter that says of what, and the store's own number.
//!
//! Laws
//! - They are as lasting as the numbers: never reused, kept by RENAME, COPY and MOVE.
//! - Each object has one spelling; any other names nothing.

use engine::types::{EmailId, MailboxId, ThreadId};

/// MAILBOXID.
#[must_use]
pub fn of_mailbox(id: MailboxId) -> String {
    format!("F{id}")
}

/// EMAILID.
#[must_use]
pub fn of_email(id: EmailId) -> String {
    format!("M{id}")
}

/// THREADID.
#[must_use]
pub fn of_thread(ThreadId(id): ThreadId) -> String {
    format!("T{id:016x}")
}

#[must_use]
pub fn email(text: &str) -> Option<EmailId> {
    let id = EmailId(text.strip_prefix('M')?.parse().ok()?);
    (of_email(id) == text).then_some(id)
}

#[must_use]
pub fn thread(text: &str) -> Option<ThreadId> {
    let id = ThreadId(u64::from_str_radix(text.strip_prefix('T')?, 16).ok()?);
    (of_thread(id) == text).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        for id in [0, 1, 77, u32::MAX] {
            assert_eq!(email(&of_email(EmailId(id))), Some(EmailId(id)));
        }
        for id in [0, 1, 77, u64::MAX] {
            assert_eq!(thread(&of_thread(ThreadId(id))), Some(ThreadId(id)));
        }
        for none in ["", "M", "M01", "M+1", "m1", "1", "M4294967296", "F1"] {
            assert_eq!(email(none), None, "{none}");
        }
        for none in ["", "T1", "T000000000000001F", "T00000000000000001", "t0000000000000001"] {
            assert_eq!(thread(none), None, "{none}");
        }
    }
}
