//! After a disk that lied: whatever is served is what was once given.

use engine::{Error, Store};

/// Reads all there is. Damage is an error; wrong bytes are wrong.
pub fn no_wrong_byte(store: &Store, known: &dyn Fn(&str) -> bool) -> Result<(), String> {
    for info in store.accounts().unwrap_or_default() {
        let Ok(account) = store.account(info.id) else { continue };
        for mailbox in account.mailboxes() {
            let Ok(uids) = mailbox.uids() else { continue };
            for row in mailbox.rows(&uids).flatten() {
                match store.email(&row).and_then(|email| email.read_all()) {
                    Ok(bytes) if known(&String::from_utf8_lossy(&bytes)) => {}
                    Ok(_) => return Err(format!("after the lies UID {} serves wrong bytes", row.uid)),
                    Err(
                        Error::Damaged { .. }
                        | Error::NoSuchMessage
                        | Error::Corrupt { .. }
                        | Error::Io { .. },
                    ) => {}
                    Err(error) => return Err(format!("after the lies UID {}: {error}", row.uid)),
                }
            }
        }
    }
    Ok(())
}
