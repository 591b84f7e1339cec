//! Completions, shell scripts and helper configurations.

use std::path::Path;

use super::*;

#[test]
fn completion_prints_labels_unquoted() {
    let home = Home::new();
    let mut keys = ODD.map(|label| keychain_key(SERVER, label)).to_vec();
    keys.push(keychain_key("https://other.example", "elsewhere"));
    home.add_to_inventory(&keys);
    let (code, out, err) = home.run(&["complete", "--", "get", "--"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let offered: Vec<&str> = out.lines().filter_map(|line| line.split('\t').next()).collect();
    assert_eq!(offered, ODD);
    let (_, out, _) = home.run(&["complete", "--"]);
    assert!(out.lines().any(|line| line.starts_with("run\tRun a program")), "{out}");
}

#[test]
fn each_shell_has_a_script_and_typos_get_a_suggestion() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let (code, out, err) = home.run(&["completions", shell]);
        assert_eq!((code, err.as_str()), (0, ""));
        assert!(out.contains("keywright complete") || out.contains("complete --"), "{shell}");
    }
    for (arguments, meant) in [
        (vec!["completions", "bsh"], "'bash'"),
        (vec!["helper", "aidr"], "'aider'"),
        (vec!["shwo", "ci"], "'show'"),
        (vec!["get", "ci", "--not-tty"], "'--no-tty'"),
    ] {
        let (code, _, err) = home.run(&arguments);
        assert_eq!(code, 2);
        assert!(err.contains("similar") && err.contains(meant), "{err}");
    }
}

#[test]
fn helper_lists_tools_and_prints_configuration_for_a_label() {
    let home = Home::new();
    let (code, out, _) = home.run(&["helper"]);
    assert_eq!((code, out.lines().count()), (0, 13));
    for tool in out.lines().filter_map(|line| line.split_whitespace().next()) {
        let (code, out, err) = home.run(&["helper", tool, "--label", "my key"]);
        assert_eq!(code, 0);
        // Some tools read the variable that `keywright run` sets: the command is in the hint.
        assert!(format!("{out}{err}").contains("my key"), "{tool}: {out}");
        assert!(err.contains("https://"), "{tool} says where it is from: {err}");
    }
    let (_, out, err) = home.run(&["helper", "claude-code", "--label", "it's", "--quiet"]);
    assert_eq!(err, "");
    let settings: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(settings["apiKeyHelper"], r"keywright get 'it'\''s'");
    // What was given as an option is needed by the tool as well.
    let options = ["--server", "https://example.com", "--store", "file", "--data-dir", "my data"];
    let (_, out, err) = home.run(&[&["helper", "codex", "--label", "-x"], &options[..]].concat());
    // The working directory, without the prefix that `canonicalize` adds on Windows.
    let place = home.path().canonicalize().unwrap().to_str().unwrap().to_owned();
    let place = Path::new(place.trim_start_matches(r"\\?\")).join("my data");
    let place = format!("{:?}", place.to_str().unwrap());
    let args =
        r#"args = ["get", "--server", "https://example.com", "--store", "file", "--data-dir", "#;
    assert!(out.contains(&format!(r#"{args}{place}, "--", "-x"]"#)), "{out}");
    assert!(!err.contains("KEYWRIGHT_DATA_DIR"), "{err}");
    assert!(home.run(&["helper", "codex"]).2.contains("KEYWRIGHT_DATA_DIR is set"));
    home.add_to_inventory(&[keychain_key(SERVER, "first"), keychain_key(SERVER, "second")]);
    let (_, out, err) = home.run(&["helper", "direnv"]);
    assert!(out.contains("keywright get first"), "{out}");
    assert!(err.contains("the key 'first'; another one: add --label LABEL"), "{err}");
}
