//! Tests of the configuration file.

use super::*;
use crate::domain::Cents;
use crate::services::config::{LastView, Origin, Settings};

const NAMES: DashboardNames = DashboardNames {
    sorts: &["created", "label", "state"],
    themes: &["auto", "dark", "light"],
    actions: || &[("new", "n"), ("quit", "q")],
    check_key: |text| match text.len() {
        1 => Ok(()),
        _ => Err("write a key such as n".into()),
    },
    last_view: |_| LastView::default(),
    conflicts: |bindings| {
        let is_taken = |(name, key): &&(&str, &str)| *name != "quit" && *key == "q";
        let conflict =
            |(name, _): &(&str, &str)| ((*name).to_owned(), format!("'{name}' is taken"));
        bindings.iter().filter(is_taken).map(conflict).collect()
    },
};

fn parse(text: &str) -> ConfigFile {
    ConfigFile::parse(text.as_bytes(), &NAMES, "2026-11-27T00:00:00Z".parse().unwrap())
}

fn work() -> ProfileName {
    "work".parse().unwrap()
}

#[test]
fn the_example_has_every_field_and_its_built_in_values() {
    let example = example(&NAMES);
    let file = parse(&example);
    assert_eq!(file.errors, Vec::<String>::new());
    for field in Field::OF_SECTIONS {
        let text = file.settings.get(&field).map(|setting| &*setting.text);
        assert_eq!(text, field.default_value(), "{field:?}");
    }
    // With one comment sign less on each line that is a field.
    let lines: Vec<&str> = example
        .lines()
        .map(|line| {
            let field = line.strip_prefix("# ").filter(|rest| {
                rest.starts_with('[')
                    || rest.split_once(" = ").is_some_and(|(name, _)| {
                        name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'_' | b'.'))
                    })
            });
            field.unwrap_or(line)
        })
        .collect();
    let all = lines.join("\n");
    let file = parse(&all);
    assert_eq!(file.errors, Vec::<String>::new(), "{all}");
    assert!(Field::OF_SECTIONS.iter().all(|field| file.settings.contains_key(field)));
    let profile = &file.profiles[&work()];
    assert!(Field::OF_PROFILE.iter().all(|field| profile.settings.contains_key(field)));
    assert!(profile.settings.contains_key(&Field::NewLimit));
    assert_eq!(file.bindings["new"].text, "n");
}

#[test]
fn all_errors_are_reported_and_the_valid_fields_apply() {
    let file = parse(
        "[new]\nlimit = 5\nreset = \"mothly\"\nexpire = \"1d\"\n[treshold]\n[thresholds]\ndormant_days = true\nlow = \"30%\"\n[dashboard]\ntheme = \"drak\"\n[keys]\nneww = \"x\"\nnew = \"xx\"\n",
    );
    let starts = [
        "line 3, column 9: new.reset:",
        "line 4, column 1: unknown field 'expire'",
        "line 5, column 2: unknown section 'treshold'",
        "line 7, column 16: thresholds.dormant_days has a wrong type",
        "line 10, column 9: dashboard.theme: write one of auto, dark, light, not 'drak'",
        "line 12, column 1: unknown action 'neww'",
        "line 13, column 7: keys.new: write a key such as n, not 'xx'",
    ];
    assert_eq!(file.errors.len(), starts.len(), "{:#?}", file.errors);
    for (error, start) in file.errors.iter().zip(starts) {
        assert!(error.starts_with(start), "{error}");
    }
    for (index, word) in
        [(0, "monthly"), (1, "expires"), (2, "thresholds"), (4, "dark"), (5, "new")]
    {
        assert!(file.errors[index].ends_with(&format!("did you mean {word}?")));
    }
    let limit = &file.settings[&Field::NewLimit];
    assert_eq!((&*limit.text, limit.line), ("5", 2));
    assert_eq!(file.settings[&Field::Low].line, 8);
    assert_eq!(file.unreadable, None);
}

#[test]
fn fields_of_the_dashboard_exist_only_where_it_has_names_for_them() {
    let names = DashboardNames { themes: &[], ..NAMES };
    let example = example(&names);
    assert!(!example.contains("theme"), "{example}");
    let file = ConfigFile::parse(b"[dashboard]\ntheme = \"dark\"\n", &names, Timestamp::UNIX_EPOCH);
    assert!(file.errors[0].contains("unknown field 'theme'"), "{:?}", file.errors);
}

#[test]
fn a_profile_whose_server_is_not_certain_cannot_be_used() {
    for (text, error) in [
        ("server = \"http://example.com\"", "server: http sends keys in plaintext"),
        ("server = \"https://me:secret@example.com\"", "server: a server address must not contain"),
        ("server = 5", "server has a wrong type"),
        ("server = true", "server has a wrong type"),
        ("store = \"memory\"", "store: keys in memory are lost when Keywright ends"),
        ("server = https://example.com", "invalid TOML"),
        ("store = \"file\"\n[new]\nlimit = ", "invalid TOML"),
    ] {
        let file = parse(&format!("[profiles.work]\n{text}\n"));
        // The unreadable part may have contained the whole table.
        let found = file.profiles.get(&work()).map_or(&file.unreadable, |table| &table.error);
        let found = found.as_ref().unwrap_or_else(|| panic!("{text}"));
        assert!(found.contains(error) && !found.contains("secret"), "{text}: {found}");
    }
    let file = parse("[profiles.work]\nserver = \"https://example.com\"\nserve = 1\n");
    assert_eq!(file.profiles[&work()].error, None);
    assert!(file.errors[0].ends_with("did you mean server?"), "{:?}", file.errors);
}

#[test]
fn a_profile_has_its_own_defaults_and_its_names_are_checked() {
    let file = parse(
        "[new]\nlimit = 20\nexpires = \"30d\"\n[profiles.work]\nnew.limit = 5\n[profiles.Work]\n[profiles.localhost]\n",
    );
    assert_eq!(file.errors.len(), 2, "{:?}", file.errors);
    let work = Settings::from_file(&file, &work());
    assert_eq!(work.get(Field::NewLimit).unwrap().origin, Origin::File(5));
    let defaults = work.key_defaults();
    assert_eq!(defaults.limit.map(Cents::to_dollars), Some(5.0));
    assert_eq!(defaults.expires, "30d");
    let default = Settings::from_file(&file, &ProfileName::default()).key_defaults();
    assert_eq!(default.limit.map(Cents::to_dollars), Some(20.0));
}

#[test]
fn a_key_in_the_file_is_reported_and_not_shown() {
    let key = format!("sk-or-v1-{}", "ab12".repeat(16));
    for text in [
        format!("[new]\nworkspace = \"{key}\"\n"),
        format!("[new]\nworkspace = \"{}\"\n", key.replace("sk", "\\u0073k")),
    ] {
        let file = parse(&text);
        assert_eq!(file.errors.len(), 1, "{:?}", file.errors);
        assert!(file.errors[0].contains("this is a key") && !file.errors[0].contains(&key));
        assert!(!file.settings.contains_key(&Field::NewWorkspace));
    }
}

#[test]
fn a_value_of_another_type_and_an_empty_one_are_reported_with_their_position() {
    for (text, expected) in [
        (
            "[new]\nworkspace = 3\n",
            "line 2, column 13: new.workspace has a wrong type, write workspace = \"default\"",
        ),
        (
            "[new]\nworkspace = \"\"\n",
            "line 2, column 13: new.workspace is empty, write workspace = \"default\"",
        ),
        (
            "[new]\nguardrail = 1.5\n",
            "line 2, column 13: new.guardrail has a wrong type, write guardrail = \"none\"",
        ),
        (
            "[new]\nreset = 2026-11-27\n",
            "line 2, column 9: new.reset has a wrong type, write reset = \"monthly\"",
        ),
        ("[new]\nlimit = true\n", "line 2, column 9: new.limit has a wrong type, write limit = 10"),
    ] {
        assert_eq!(parse(text).errors, [expected]);
    }
    assert_eq!(parse("[new]\nlimit = 5\nexpires = 2027-12-31\n").errors, Vec::<String>::new());
}

#[test]
fn unreadable_files_are_an_error_and_a_missing_one_is_empty() {
    let dir = tempfile::tempdir().unwrap();
    let read = |path: &Path, must_exist| {
        ConfigFile::read(path, must_exist, &NAMES, Timestamp::UNIX_EPOCH).errors
    };
    assert_eq!(read(&dir.path().join("none"), false), Vec::<String>::new());
    assert_eq!(read(&dir.path().join("none"), true).len(), 1);
    assert_eq!(read(dir.path(), false), ["it is not a regular file"]);
    let path = dir.path().join("config.toml");
    std::fs::write(&path, vec![b'#'; (1 << 20) + 1]).unwrap();
    assert_eq!(read(&path, false), ["it is larger than 1 MiB"]);
    std::fs::write(&path, b"\xff").unwrap();
    assert!(read(&path, false)[0].contains("UTF-8"));
}

#[test]
fn a_key_that_another_action_has_is_an_error_of_the_file() {
    let file = parse("[keys]\nnew = \"q\"\n");
    assert_eq!(file.errors, ["line 2, column 7: 'new' is taken"]);
    assert!(file.bindings.is_empty());
}

#[test]
fn a_reset_needs_a_limit() {
    let file = parse("[new]\nlimit = \"none\"\nreset = \"daily\"\n");
    assert_eq!(file.errors, ["line 3, column 9: new.reset needs a limit, and new.limit is none"]);
}

#[test]
fn a_syntax_error_is_one_error() {
    let file = parse("[new]\nlimit =\n");
    assert_eq!(file.errors.len(), 1, "{:?}", file.errors);
}

#[test]
fn profiles_never_share_a_directory() {
    let dir = std::env::temp_dir();
    let dir = format!("'{}'", dir.display());
    let shared = format!("[profiles.a]\ndata_dir = {dir}\n[profiles.b]\ndata_dir = {dir}\n");
    let file = parse(&shared);
    assert_eq!(
        file.errors,
        ["line 4, column 12: the profiles 'a' and 'b' have the same data_dir: give each its own"]
    );
    assert!(file.profiles.values().all(|profile| profile.error.is_some()));
    let file = parse("[profiles.a]\ndata_dir = \"keys\"\n[profiles.b]\n");
    assert!(file.errors[0].contains("write an absolute path"), "{:?}", file.errors);
    assert!(file.profiles[&"a".parse().unwrap()].error.is_some());
    assert!(file.profiles[&"b".parse().unwrap()].error.is_none());
}
