//! The configuration file and profiles, with the real binary.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/home.rs"]
mod home;

use std::fs;
use std::path::Path;

use home::Home;
use serde_json::{Value, json};

/// Returns a home directory with a configuration file.
fn home_with_config(text: &str) -> Home {
    let home = Home::new();
    fs::create_dir_all(home.path().join(".config/keywright")).unwrap();
    fs::write(config_path(&home), text).unwrap();
    home
}

fn config_path(home: &Home) -> std::path::PathBuf {
    home.path().join(".config/keywright/config.toml")
}

/// Writes an inventory with one key.
fn add_key(dir: &Path, label: &str, server: &str) {
    fs::create_dir_all(dir).unwrap();
    let key = json!({
        "label": label, "hash": "0".repeat(64), "masked": "sk-or-v1-000...0000", "server": server,
        "store": "os", "created_at": "2026-11-01T00:00:00Z",
    });
    let inventory = json!({"version": 1, "keys": [key]}).to_string();
    fs::write(dir.join("inventory.json"), inventory).unwrap();
}

fn labels(home: &Home, arguments: &[&str]) -> Vec<String> {
    let (code, out, err) = home.run(&[arguments, &["list", "--json"]].concat());
    assert_eq!(code, 0, "{err}");
    let keys: Value = serde_json::from_str(&out).unwrap();
    keys.as_array().unwrap().iter().map(|key| key["label"].as_str().unwrap().into()).collect()
}

#[test]
fn each_profile_has_its_own_keys_and_the_one_in_use_is_remembered() {
    let home = home_with_config("[profiles.work]\nserver = \"https://example.com\"\n");
    let server = "https://openrouter.ai";
    add_key(&home.data(), "laptop", server);
    add_key(&home.data().join("profiles/work"), "desk", "https://example.com");
    assert_eq!(labels(&home, &[]), ["laptop"]);
    assert_eq!(labels(&home, &["--profile", "work"]), ["desk"]);
    let (code, out, err) = home.run(&["profile", "use", "work"]);
    assert_eq!(
        (code, &*out),
        (0, "profile work is used in all commands without --profile\n"),
        "{err}"
    );
    assert_eq!(labels(&home, &[]), ["desk"]);
    assert_eq!(labels(&home, &["--profile", "default"]), ["laptop"]);
    let (_, out, _) = home.run(&["profile", "list", "--json"]);
    let profiles: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(profiles[1]["name"], "work");
    assert_eq!((&profiles[1]["in_use"], &profiles[1]["keys"]), (&json!(true), &json!(1)));
    assert_eq!(profiles[1]["keychain_service"], "keywright/work/example.com");
    let (_, out, _) = home.run(&["helper", "aider", "--label", "desk"]);
    assert!(out.contains("--profile work desk"), "{out}");
}

#[test]
fn a_profile_that_is_unknown_or_whose_server_is_not_certain_is_not_used() {
    let home = home_with_config(
        "[profiles.work]\nserver = \"http://example.com\"\n[profiles.team]\n[profiles.default]\n",
    );
    let err = home.run_failing(2, &["--profile", "wrok", "list"]);
    assert!(err.contains("there is no profile 'wrok'; did you mean work?"), "{err}");
    let err = home.run_failing(2, &["--profile", "work", "list"]);
    assert!(err.contains("line 2, column 10: server: http sends keys"), "{err}");
    let err = home.run_failing(2, &["profile", "use", "work"]);
    assert!(err.contains("cannot be used"), "{err}");
    home.run_failing(2, &["--profile", "Work!", "list"]);
    assert_eq!(labels(&home, &["--profile", "team"]), Vec::<String>::new());
    // Where the file cannot be read, a profile's server is not known.
    fs::write(config_path(&home), "[profiles.team\n").unwrap();
    let err = home.run_failing(2, &["--profile", "team", "list"]);
    assert!(err.contains("the profile 'team' cannot be used"), "{err}");
    assert_eq!(labels(&home, &[]), Vec::<String>::new());
    // An invalid server of the default profile is no reason to use OpenRouter's.
    fs::write(config_path(&home), "[profiles.default]\nserver = \"example.com\"\n").unwrap();
    home.run_failing(2, &["list"]);
}

#[test]
fn wrong_values_are_reported_and_the_commands_go_on() {
    let home = home_with_config("[new]\nlimitt = 5\n[thresholds]\ndormant_days = \"many\"\n");
    let (code, _, err) = home.run(&["status", "--short"]);
    assert_eq!(code, 0);
    assert!(err.contains("line 2, column 1: unknown field 'limitt'"), "{err}");
    assert!(err.contains("did you mean limit?") && err.contains("line 4, column 16"), "{err}");
    let (_, _, err) = home.run(&["--quiet", "status", "--short"]);
    assert_eq!(err, "");
    let (code, out, _) = home.run(&["config", "show"]);
    assert_eq!(code, 0);
    assert!(out.contains("error: line 2, column 1"), "{out}");
    fs::remove_file(config_path(&home)).unwrap();
    fs::create_dir(config_path(&home)).unwrap();
    let (code, _, err) = home.run(&["status", "--short"]);
    assert!(code == 0 && err.contains("config.toml: it is not a regular file"), "{err}");
    assert!(err.ends_with("the built-in values are used instead\n"), "{err}");
    fs::remove_dir(config_path(&home)).unwrap();
    fs::write(config_path(&home), vec![b'a'; 10 << 20]).unwrap();
    let (code, _, err) = home.run(&["status", "--short"]);
    assert!(code == 0 && err.contains("larger than 1 MiB") && err.len() < 500, "{err}");
}

#[cfg(unix)]
#[test]
fn a_file_that_may_not_be_read_is_named_and_the_commands_go_on() {
    use std::os::unix::fs::PermissionsExt;
    let home = home_with_config("[dashboard]\nsort = \"label\"\n");
    fs::set_permissions(config_path(&home), fs::Permissions::from_mode(0o000)).unwrap();
    let (code, _, err) = home.run(&["status", "--short"]);
    assert_eq!(code, 0, "{err}");
    // Root may read every file.
    if fs::read(config_path(&home)).is_err() {
        assert!(err.contains("config.toml: it cannot be read: permission denied"), "{err}");
    }
}

#[test]
fn the_command_line_takes_precedence_over_the_environment_the_file_and_the_built_in_value() {
    let home = home_with_config(
        "[profiles.default]\nserver = \"https://file.example\"\nstore = \"file\"\n[dashboard]\nsort = \"label\"\n",
    );
    let origin_of = |arguments: &[&str], variables: &[(&str, &str)], name: &str| {
        let arguments = [arguments, &["config", "show", "--json"]].concat();
        let output = home.command(&arguments).envs(variables.iter().copied()).output().unwrap();
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        let settings = document["settings"].as_array().unwrap();
        let setting = settings.iter().find(|setting| setting["name"] == name).unwrap();
        format!(
            "{} {}",
            setting["value"].as_str().unwrap_or("null"),
            setting["origin"].as_str().unwrap()
        )
    };
    let environment = [("KEYWRIGHT_SERVER", "https://env.example")];
    let option = ["--server", "https://option.example"];
    for (arguments, variables, expected) in [
        (&option[..], &environment[..], "https://option.example command line"),
        (&[], &environment, "https://env.example environment (KEYWRIGHT_SERVER)"),
        (&[], &[], "https://file.example configuration file, line 2"),
    ] {
        assert_eq!(origin_of(arguments, variables, "server"), expected);
    }
    let in_sandbox = origin_of(&["--sandbox"], &environment, "server");
    assert!(in_sandbox.starts_with("http://127.0.0.1:"), "{in_sandbox}");
    assert!(in_sandbox.ends_with(" command line"), "{in_sandbox}");
    assert_eq!(origin_of(&[], &[], "store"), "file configuration file, line 3");
    assert_eq!(origin_of(&[], &[], "dashboard.sort"), "label configuration file, line 5");
    assert_eq!(origin_of(&[], &[], "new.expires"), "90d built-in");
    assert_eq!(
        origin_of(&[], &[("KEYWRIGHT_EVERY", "9")], "dashboard.refresh_minutes"),
        "9 environment (KEYWRIGHT_EVERY)"
    );
    // A password in an address is never shown.
    let (_, out, err) = home.run(&["--server", "https://me:secret@example.com", "config", "show"]);
    assert!(!out.contains("secret") && !err.contains("secret"), "{out}{err}");
}

#[test]
fn the_example_is_a_valid_file_at_the_path_that_is_printed() {
    let home = home_with_config("");
    let (_, path, _) = home.run(&["config", "path"]);
    assert_eq!(Path::new(path.trim_end()), config_path(&home));
    let (code, example, _) = home.run(&["config", "example"]);
    fs::write(config_path(&home), example).unwrap();
    let (status, out, err) = home.run(&["config", "show"]);
    assert_eq!((code, status, &*err), (0, 0, ""));
    assert!(!out.contains("error"), "{out}");
    let other = home.path().join("other.toml");
    fs::write(&other, "[new]\nlimit = 3\n").unwrap();
    let (_, out, _) = home.run(&["--config", other.to_str().unwrap(), "config", "show"]);
    assert!(out.lines().any(|line| line.starts_with("new.limit") && line.contains(" 3 ")), "{out}");
}

#[test]
fn the_sandbox_is_stated_where_it_is_in_use() {
    let home = Home::new();
    let (code, out, err) = home.run(&["--sandbox", "config", "show", "--json"]);
    assert_eq!(code, 0, "{err}");
    let document: Value = serde_json::from_str(&out).unwrap();
    let settings = document["settings"].as_array().unwrap().iter();
    let server = settings.clone().find(|row| row["name"] == "server").unwrap();
    assert!(server["value"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{server}");
    assert_eq!(server["origin"], "command line");
    let (_, out, _) = home.run(&["--sandbox", "profile", "show", "--json"]);
    let profile: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&profile["store"], &profile["keys"]), (&json!("memory"), &json!(4)));
    assert!(profile["data_dir"].is_null(), "{profile}");
    let (_, out, _) = home.run(&["--sandbox", "profile", "show"]);
    assert!(out.contains("none: the sandbox keeps everything in memory"), "{out}");
}

#[test]
fn config_show_has_the_theme_in_effect_and_marks_values_that_are_not_used() {
    let home = home_with_config(
        "[dashboard]\ntheme = \"drak\"\nsort = \"label\"\n[keys]\nnew-key = \"q\"\nimport = \"I\"\n[new]\nlimit = \"x\"\n",
    );
    let row = |name: &str| {
        let (code, out, err) = home.run(&["config", "show", "--json"]);
        assert_eq!(code, 0, "{err}");
        let document: Value = serde_json::from_str(&out).unwrap();
        let rows = document["settings"].as_array().unwrap();
        let row = rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("{out}"));
        json!([row["value"], row["origin"], row["invalid_line"]])
    };
    assert_eq!(row("dashboard.theme"), json!(["auto", "built-in", 2]));
    assert_eq!(row("dashboard.sort"), json!(["label", "configuration file, line 3", null]));
    // The key of another action is not used; the built-in one is.
    assert_eq!(row("keys.new-key"), json!(["n", "built-in", 5]));
    assert_eq!(row("keys.import"), json!(["I", "configuration file, line 6", null]));
    assert_eq!(row("new.limit"), json!(["10", "built-in", 8]));
    let (_, out, _) = home.run(&["config", "show"]);
    assert!(out.contains("built-in; line 2 is not valid"), "{out}");
    // What the dashboard kept goes before the built-in theme, and its order before the configured one.
    fs::create_dir_all(home.data()).unwrap();
    let view = json!({"theme": "light", "sort": "created"}).to_string();
    fs::write(home.data().join("view.json"), view).unwrap();
    assert_eq!(row("dashboard.theme"), json!(["light", "the dashboard's last run", 2]));
    assert_eq!(row("dashboard.sort"), json!(["created", "the dashboard's last run", null]));
    fs::write(config_path(&home), "[dashboard]\ntheme = \"dark\"\n").unwrap();
    assert_eq!(row("dashboard.theme"), json!(["dark", "configuration file, line 2", null]));
}

#[test]
fn config_show_names_the_rule_of_a_setting_without_a_value() {
    let (code, out, err) = Home::new().run(&["config", "show"]);
    assert_eq!(code, 0, "{err}");
    let row = |name: &str| {
        let line = out.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(row("thresholds.low"), "20%, or what a day costs built-in");
    assert_eq!(row("thresholds.expiring"), "7d, or a quarter of the lifetime built-in");
    assert_eq!(row("new.guardrail"), "none built-in");
    assert_eq!(row("bao_address"), "– not set");
}
