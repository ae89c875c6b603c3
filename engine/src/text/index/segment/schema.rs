//! The tantivy index inside a segment: a text field for each group, and nothing else.
//!
//! Laws
//! - Nothing is stored, no field norms, no fast field: documents are numbers.
//! - Group n is field n.
//! - The header group has no positions: they cost more disk than what they prove is worth.

use super::super::folded::Group;
use super::super::needle::gaps_of;
use super::super::tokens::{NARROW, Seen, Tokenizer, WIDE};
use std::sync::Arc;
use tantivy::IndexSettings;
use tantivy::schema::{Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::tokenizer::TokenizerManager;

/// With narrow gaps and with wide ones.
const TOKENIZER: &str = "mailcask";
const FIELD_TOKENIZER: &str = "mailcask-field";

pub(in super::super) fn has_positions(group: Group) -> bool {
    group != Group::Header
}

pub(in super::super) fn field(group: Group) -> Field {
    Field::from_field_id(group as u32)
}

pub(super) fn schema() -> Schema {
    let mut schema = Schema::builder();
    for group in Group::ALL {
        let record = if has_positions(group) {
            IndexRecordOption::WithFreqsAndPositions
        } else {
            IndexRecordOption::Basic
        };
        let indexing = TextFieldIndexing::default()
            .set_tokenizer(if *gaps_of(group) == WIDE { FIELD_TOKENIZER } else { TOKENIZER })
            .set_fieldnorms(false)
            .set_index_option(record);
        schema.add_text_field(name(group), TextOptions::default().set_indexing_options(indexing));
    }
    schema.build()
}

pub(super) fn settings() -> IndexSettings {
    IndexSettings { docstore_compress_dedicated_thread: false, ..IndexSettings::default() }
}

/// Both say what they met in the same place.
pub(super) fn tokenizers(seen: &Arc<Seen>) -> TokenizerManager {
    let manager = TokenizerManager::new();
    for (name, gaps) in [(TOKENIZER, &NARROW), (FIELD_TOKENIZER, &WIDE)] {
        manager.register(name, Tokenizer { seen: seen.clone(), gaps });
    }
    manager
}

fn name(group: Group) -> &'static str {
    match group {
        Group::Body => "body",
        Group::Header => "header",
        Group::Subject => "subject",
        Group::From => "from",
        Group::To => "to",
        Group::Cc => "cc",
        Group::Bcc => "bcc",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_n_is_field_n() {
        let schema = schema();
        for group in Group::ALL {
            assert_eq!(schema.get_field(name(group)).unwrap(), field(group));
        }
    }
}
