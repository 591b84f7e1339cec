//! Tests of the configuration file.

use super::*;

fn parse(text: &str) -> ConfigFile {
    ConfigFile::parse(text.as_bytes(), "2026-11-27T00:00:00Z".parse().unwrap())
}

#[test]
fn the_example_has_every_field_and_its_built_in_values() {
    let example = example();
    let file = parse(&example);
    assert_eq!(file.errors, Vec::<String>::new());
    for field in Field::ALL {
        assert_eq!(file.get(field).map(|set| &*set.text), field.default_value(), "{field:?}");
    }
    let all = parse(
        &example
            .replace("# workspace =", "workspace =")
            .replace("# below =", "below =")
            .replace("# idle_days =", "idle_days ="),
    );
    assert_eq!(all.errors, Vec::<String>::new());
    assert!(Field::ALL.iter().all(|field| all.get(*field).is_some()));
}

#[test]
fn all_errors_are_reported_and_the_valid_fields_apply() {
    let file = parse(
        "[new]\nlimit = 5\nreset = \"mothly\"\nexpire = \"1d\"\n[watsh]\n[watch]\nidle_days = true\nbelow = \"30%\"\n",
    );
    let starts = [
        "line 3, column 9: new.reset:",
        "line 4, column 1: unknown field 'expire'",
        "line 5, column 2: unknown section 'watsh'",
        "line 7, column 13: watch.idle_days",
    ];
    assert_eq!(file.errors.len(), starts.len(), "{:?}", file.errors);
    for (error, start) in file.errors.iter().zip(starts) {
        assert!(error.starts_with(start), "{error}");
    }
    assert!(file.errors[0].ends_with("did you mean monthly?"), "{}", file.errors[0]);
    assert!(file.errors[1].ends_with("did you mean expires?"), "{}", file.errors[1]);
    assert_eq!(file.get(Field::NewLimit), Some(&Setting { text: "5".into(), line: 2 }));
    assert_eq!(file.get(Field::WatchBelow).map(|set| set.line), Some(8));
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
        assert!(file.get(Field::NewWorkspace).is_none());
    }
}

#[test]
fn unreadable_files_are_an_error_and_a_missing_one_is_empty() {
    let dir = tempfile::tempdir().unwrap();
    let read =
        |path: &Path, must_exist| ConfigFile::read(path, must_exist, Timestamp::UNIX_EPOCH).errors;
    assert_eq!(read(&dir.path().join("none"), false), Vec::<String>::new());
    assert_eq!(read(&dir.path().join("none"), true).len(), 1);
    assert_eq!(read(dir.path(), false), ["it is not a regular file"]);
    let path = dir.path().join("config.toml");
    std::fs::write(&path, vec![b'#'; (1 << 20) + 1]).unwrap();
    assert_eq!(read(&path, false), ["it is larger than 1 MiB"]);
    std::fs::write(&path, b"\xff").unwrap();
    assert!(read(&path, false)[0].contains("UTF-8"));
}
