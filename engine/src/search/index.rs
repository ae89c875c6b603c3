//! What a search asks of a text index.

use crate::error::Result;
use crate::text::account::AccountText;
use crate::text::fold;
use crate::text::index::{EmailSet, Hits, Needle, Scope};
use crate::types::EmailId;
use std::collections::HashMap;
use std::sync::atomic::AtomicBool;

/// The text of an account's emails, as of one moment.
///
/// Laws
/// - `sure` is proved, and of the `known` emails what is neither `sure` nor `maybe` does not match. Of
///   others the index may say nothing: the view that is searched may be older than the index, or newer.
/// - `within` narrows the work; hits outside of it may come all the same.
/// - Once `cancel` is set, an answer may be anything.
pub trait TextIndex: Sync {
    /// The emails whose text it holds.
    fn known(&self) -> &EmailSet;

    /// The emails whose text holds the string.
    fn find(
        &self,
        string: &str,
        scope: Scope,
        within: Option<&EmailSet>,
        cancel: &AtomicBool,
    ) -> Result<Hits>;

    /// The emails that have, for each of the words, one of the same stem, with their weight.
    fn ranked(
        &self,
        string: &str,
        scope: Scope,
        within: Option<&EmailSet>,
        cancel: &AtomicBool,
    ) -> Result<HashMap<EmailId, f32>>;
}

impl TextIndex for AccountText {
    fn known(&self) -> &EmailSet {
        Self::known(self)
    }

    fn find(
        &self,
        string: &str,
        scope: Scope,
        within: Option<&EmailSet>,
        cancel: &AtomicBool,
    ) -> Result<Hits> {
        Ok(Self::find(self, &Needle::new(string), scope, within, cancel))
    }

    fn ranked(
        &self,
        string: &str,
        scope: Scope,
        within: Option<&EmailSet>,
        cancel: &AtomicBool,
    ) -> Result<HashMap<EmailId, f32>> {
        Ok(Self::ranked(self, &[fold(string)], scope, within, cancel).into_iter().collect())
    }
}
