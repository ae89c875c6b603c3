//! The floors of this crate, read from its `use` lines: a folder names only what lies below it, and the
//! engine is known in `deliver/` and where the program is put together alone, but for its counters.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

/// Folder, and what its files may name.
const MAY_NAME: [(&str, &[&str]); 4] = [
    ("proto", &["crate::proto"]),
    ("session", &["crate::proto", "crate::session"]),
    ("deliver", &["crate::proto", "crate::deliver", "engine::"]),
    ("net", &["crate::proto", "crate::session", "crate::deliver", "crate::net", "engine::metrics"]),
];

/// What only sockets and stores may touch: the rest is bytes in, bytes out.
const OUTSIDE_WORLD: [&str; 6] = ["tokio", "std::net", "std::fs", "std::time", "std::io", "std::thread"];

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(sources(&path)) } else { found.push(path) }
    }
    found
}

/// Lines of code, up to the tests.
fn code(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]"))
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn folders_name_only_what_lies_below_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = 0;
    for (folder, may_name) in MAY_NAME {
        for path in sources(&root.join(folder)).iter().filter(|path| !path.ends_with("tests.rs")) {
            for line in code(path) {
                let names = line.match_indices("crate::").chain(line.match_indices("engine::"));
                for (at, _) in names {
                    seen += 1;
                    let named = &line[at..];
                    let allowed = may_name.iter().any(|allowed| named.starts_with(allowed));
                    assert!(allowed, "{}: {line}", path.display());
                }
                if matches!(folder, "proto" | "session") {
                    let outside = OUTSIDE_WORLD.iter().find(|name| line.contains(*name));
                    assert!(outside.is_none(), "{} is sans-I/O: {line}", path.display());
                }
            }
        }
    }
    assert!(seen > 20, "the test reads the sources");
}
