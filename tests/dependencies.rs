//! What others' code the program is made of: from where, under which licences, and no crate twice
//! but those that `deny.toml` names. The same is asked of cargo-deny, which need not be there.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn file(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The strings of a list in `deny.toml`.
fn allowed(list: &str) -> BTreeSet<String> {
    let text = file("deny.toml");
    let (_, rest) = text.split_once(&format!("\n{list} = [")).unwrap();
    let (list, _) = rest.split_once("\n]").unwrap();
    list.lines().filter_map(|line| Some(line.split('"').nth(1)?.to_owned())).collect()
}

/// Every crate of `Cargo.lock`, for all systems: its name, its version, and the rest of its entry.
fn locked() -> Vec<(String, String, String)> {
    let text = file("Cargo.lock");
    let value = |entry: &str, name: &str| {
        let line = entry.lines().find_map(|line| line.strip_prefix(&format!("{name} = ")));
        line.unwrap_or_default().trim_matches('"').to_owned()
    };
    text.split("[[package]]\n")
        .skip(1)
        .map(|entry| (value(entry, "name"), value(entry, "version"), entry.to_owned()))
        .collect()
}

#[test]
fn every_crate_comes_from_the_registry_with_its_checksum() {
    for (name, _, entry) in locked().iter().filter(|(name, ..)| name != "keywright") {
        let source = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
        assert!(entry.contains(source) && entry.contains("\nchecksum = \""), "{name}: {entry}");
    }
}

#[test]
fn no_crate_is_there_twice_but_those_that_are_named() {
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, version, _) in locked() {
        versions.entry(name).or_default().push(version);
    }
    let named = allowed("skip");
    let mut twice = BTreeSet::new();
    for (name, versions) in versions.iter().filter(|(_, versions)| versions.len() > 1) {
        twice.extend(versions.iter().map(|version| format!("{name}@{version}")));
    }
    let names = |set: &BTreeSet<String>| -> BTreeSet<String> {
        set.iter().map(|one| one.split('@').next().unwrap().to_owned()).collect()
    };
    // No part of the program: what drives its terminal in the tests brings older ones.
    for tests in ["bitflags", "thiserror", "thiserror-impl"] {
        twice.retain(|one: &String| !one.starts_with(&format!("{tests}@")));
    }
    assert_eq!(names(&twice), names(&named), "{twice:?}");
    assert!(named.is_subset(&twice), "{named:?} {twice:?}");
}

#[test]
fn every_crate_is_under_a_licence_that_is_allowed() {
    let mut command = Command::new(env!("CARGO"));
    // Of this system alone: the others' crates need not be there.
    let host = std::env::consts::ARCH.to_owned() + "-unknown-linux-gnu";
    command
        .args(["metadata", "--offline", "--locked", "--format-version", "1", "--filter-platform"])
        .arg(host)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100);
    let allowed = allowed("allow");
    // "(A OR B) AND C": one of each.
    let is_allowed = |terms: &str| {
        terms.split(" AND ").all(|choice| {
            let choice = choice.replace(['(', ')'], "").replace('/', " OR ");
            choice.split(" OR ").any(|licence| allowed.contains(licence.trim()))
        })
    };
    for package in packages {
        let licence = package["license"].as_str().unwrap_or("none");
        assert!(is_allowed(licence), "{}: {licence}", package["name"]);
    }
}
