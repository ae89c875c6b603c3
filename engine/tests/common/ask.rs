//! What every test asks of a store in the same words.
#![allow(dead_code)]

use engine::types::{Uid, UidSet};
use engine::{Result, Store};

pub fn set(uids: &[u32]) -> UidSet {
    let mut set = UidSet::new();
    uids.iter().for_each(|uid| set.insert_uid(Uid(*uid)));
    set
}

pub fn stage(store: &Store, text: &str) -> Result<engine::log::StagedMessage> {
    let mut stager = store.stager();
    stager.write(text.as_bytes())?;
    stager.finish()
}
