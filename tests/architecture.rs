//! The arrows between the rooms, and no secret in what the tests keep.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What each room may import; a room not named here may import nothing but `key`.
const ARROWS: &[(&str, &[&str])] = &[
    ("key", &[]),
    ("surroundings", &[]),
    ("worker", &[]),
    ("qr", &[]),
    ("sandbox", &[]),
    ("document", &["key"]),
    ("inventory", &["document", "key"]),
    ("journal", &["document", "key"]),
    ("samples", &["document", "key"]),
    ("oauth", &["key"]),
    ("openrouter", &["key"]),
    ("vault", &["document", "key", "surroundings", "worker"]),
    ("finder", &["key"]),
    ("browser", &["surroundings"]),
    ("clipboard", &["surroundings", "worker"]),
    ("plan", &["key"]),
    ("app", &["key"]),
    ("ui", &["app", "key", "qr"]),
    ("provision", &["document", "inventory", "journal", "key", "oauth", "openrouter", "vault"]),
    ("config", &["browser", "document", "key", "openrouter", "provision", "vault"]),
    (
        "account",
        &["document", "inventory", "journal", "key", "openrouter", "provision", "samples", "vault"],
    ),
    (
        "doctor",
        &[
            "account",
            "browser",
            "clipboard",
            "document",
            "finder",
            "inventory",
            "journal",
            "key",
            "provision",
            "surroundings",
            "ui",
            "vault",
        ],
    ),
    (
        "tui",
        &[
            "account",
            "app",
            "browser",
            "clipboard",
            "document",
            "inventory",
            "key",
            "plan",
            "provision",
            "samples",
            "surroundings",
            "ui",
            "vault",
        ],
    ),
    (
        "cli",
        &[
            "account",
            "browser",
            "clipboard",
            "config",
            "doctor",
            "finder",
            "inventory",
            "key",
            "openrouter",
            "plan",
            "provision",
            "qr",
            "surroundings",
            "vault",
        ],
    ),
];

fn sources() -> Vec<(String, PathBuf, String)> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &mut found);
    found
        .into_iter()
        .map(|path| {
            let inside = path.strip_prefix(&root).unwrap().to_owned();
            let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
            let room = first.trim_end_matches(".rs").to_owned();
            let text = fs::read_to_string(&path).unwrap();
            (room, inside, text)
        })
        .collect()
}

/// The rooms named after `crate::` outside comments.
fn imports(text: &str) -> BTreeSet<String> {
    text.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .flat_map(|line| line.split("crate::").skip(1))
        .map(|rest| rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect())
        .filter(|room: &String| !room.is_empty())
        .collect()
}

#[test]
fn each_room_imports_only_what_stands_below_it() {
    let mut wrong = Vec::new();
    for (room, path, text) in sources() {
        let allowed = ARROWS.iter().find(|(name, _)| *name == room).map_or(&[][..], |(_, to)| to);
        for import in imports(&text) {
            if import != room && !allowed.contains(&import.as_str()) {
                wrong.push(format!("{}: {import}", path.display()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn the_core_knows_no_outside() {
    for (room, path, text) in sources() {
        let forbidden: &[&str] = match room.as_str() {
            "app" if path.starts_with("app/keymap") || path.ends_with("app/keymap.rs") => {
                &["tokio", "reqwest", "ratatui", "std::fs"]
            }
            "app" => &[
                "tokio",
                "reqwest",
                "ratatui",
                "crossterm",
                "std::fs",
                "std::net",
                "Timestamp::now",
            ],
            "ui" => &["tokio", "reqwest", "crossterm", "std::fs", "std::net", "Timestamp::now"],
            "key" => &["tokio", "reqwest", "ratatui", "std::fs", "std::net", "Timestamp::now"],
            _ => &[],
        };
        for word in forbidden {
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            assert!(!code.clone().any(|line| line.contains(word)), "{}: {word}", path.display());
        }
    }
}

#[test]
fn every_file_says_what_it_is_and_stays_readable() {
    for (_, path, text) in sources() {
        assert!(text.starts_with("//!"), "{} does not say what it owns", path.display());
        assert!(text.lines().count() <= 400, "{} is long", path.display());
        assert!(!path.ends_with("mod.rs"), "{}", path.display());
    }
}

#[test]
fn no_snapshot_holds_a_whole_key() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let dirs = ["snapshots", "screens/snapshots"];
    for entry in dirs.iter().flat_map(|dir| fs::read_dir(tests.join(dir)).unwrap()).flatten() {
        let text = fs::read_to_string(entry.path()).unwrap();
        for part in text.split("sk-or-v1-").skip(1) {
            let body = part.chars().take_while(char::is_ascii_hexdigit).count();
            assert!(body < 16, "{}", entry.path().display());
        }
    }
}
