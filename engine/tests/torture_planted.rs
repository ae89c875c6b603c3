//! The torture finds what it is there for: each bug planted between the store and its disk is caught
//! within some hundred seeds.
#![allow(clippy::unwrap_used)]

#[path = "torture/mod.rs"]
mod torture;

use std::time::Duration;
use torture::life::Disguise;
use torture::many::many;
use torture::planted::{Bug, plant};

fn assert_caught(what: &str, disguise: Disguise) {
    let mut tried = 0;
    while tried < 1_000 {
        let summary = many(tried, 50, Duration::from_secs(120), disguise, &|_| {});
        tried += 50;
        if let Some((seed, wrong)) = summary.wrong.first() {
            let wrong: String = wrong.chars().take(200).collect();
            println!("{what}: seed {seed}: {wrong}");
            return;
        }
    }
    panic!("{what} was not caught by {tried} seeds");
}

#[test]
fn a_skipped_sync_is_caught() {
    assert_caught("groups acknowledged unsynced", |disk| plant(disk, Bug::NoLogSync));
}

#[test]
fn a_large_message_left_unsynced_is_caught() {
    assert_caught("bodies committed unsynced", |disk| plant(disk, Bug::NoBodySync));
}

#[test]
fn a_skipped_sync_of_a_folder_is_caught() {
    assert_caught("names of segments never durable", |disk| plant(disk, Bug::NoFolderSync));
}

#[test]
fn a_manifest_renamed_before_it_is_durable_is_caught() {
    assert_caught("the manifest renamed unsynced", |disk| plant(disk, Bug::ManifestUnsynced));
}

#[test]
fn a_manifest_whose_name_is_never_durable_is_caught() {
    assert_caught("the manifest's rename unsynced", |disk| plant(disk, Bug::ManifestNeverDurable));
}

#[test]
fn an_ignored_error_of_a_sync_is_caught() {
    assert_caught("a failed sync taken for a good one", |disk| plant(disk, Bug::SyncErrorIgnored));
}

#[test]
fn an_ignored_error_of_a_write_is_caught() {
    assert_caught("a failed write taken for a good one", |disk| plant(disk, Bug::ShortWriteIgnored));
}
