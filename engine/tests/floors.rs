//! The floors of the engine: a module imports strictly lower floors and its own folder, and a foreign
//! library is known in its own room only. Read from the `use` lines and paths.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Rooms and their floors. A new room has to be put here, and so has to be thought about.
const FLOORS: [(&str, u32); 23] = [
    ("types", 0),
    ("metrics", 0),
    ("error", 1),
    ("codec", 2),
    ("work", 2),
    ("sys", 3),
    ("log", 4),
    ("catalog", 4),
    ("mime", 4),
    ("text", 5),
    ("summary", 6),
    ("mailbox", 5),
    ("accounts", 6),
    ("txn", 7),
    ("search", 8),
    ("indexer", 8),
    ("scrub", 8),
    ("ops", 9),
    ("check", 10),
    ("repair", 11),
    ("backup", 10),
    ("attach", 12),
    ("dump", 10),
];

/// Library -> the only rooms that may name it.
const LIBRARIES: [(&str, &[&str]); 5] = [
    ("sled", &["catalog"]),
    ("mail_parser", &["mime", "text"]),
    ("argon2", &["accounts"]),
    ("tantivy", &["text"]),
    ("std::fs", &["sys"]),
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            found.push(path);
        }
    }
}

/// (room, file, code without comments and without its tests)
fn rooms() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let room_of = |path: &Path| {
        let inside = path.strip_prefix(&root).unwrap();
        let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
        first.trim_end_matches(".rs").to_owned()
    };
    files
        .into_iter()
        .filter(|path| !path.ends_with("src/lib.rs"))
        .filter(|path| path.file_name().is_none_or(|name| name != "tests.rs"))
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            let code: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
            (room_of(&path), path, code.join("\n"))
        })
        .collect()
}

#[test]
fn imports_go_downward_only() {
    let floors: BTreeMap<&str, u32> = FLOORS.into_iter().collect();
    let mut wrong = Vec::new();
    for (room, path, code) in rooms() {
        let own = floors.get(room.as_str()).unwrap_or_else(|| panic!("{room} has no floor"));
        for part in code.split("crate::").skip(1) {
            let other: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let Some(floor) = floors.get(other.as_str()) else { continue };
            if other != room && floor >= own {
                wrong.push(format!("{} imports {other}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_library_is_known_in_its_own_room_only() {
    let mut wrong = Vec::new();
    for (room, path, code) in rooms() {
        for (library, at_home) in LIBRARIES {
            let is_named = code.contains(&format!("{library}::")) || code.contains(&format!("use {library}"));
            if is_named && !at_home.contains(&room.as_str()) {
                wrong.push(format!("{} names {library}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
