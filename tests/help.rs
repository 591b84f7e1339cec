//! Each command's help has examples that the command line accepts, and names the page of the global
//! options.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/home.rs"]
mod home;

use clap::CommandFactory;
use home::{Home, run};
use keywright::cli::Cli;

const POINTER: &str = "keywright help global";

/// Calls `visit` with each command that help shows, and with its name as it is typed.
fn for_each_command(
    command: &clap::Command,
    name: &str,
    visit: &mut dyn FnMut(&str, &clap::Command),
) {
    for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        let name = format!("{name} {}", command.get_name());
        visit(&name, command);
        for_each_command(command, &name, visit);
    }
}

/// Returns the arguments of each call of Keywright in a shell command. Quotes are single quotes.
fn parse_calls(line: &str) -> Vec<Vec<String>> {
    let mut calls = Vec::new();
    for (start, _) in line.match_indices("keywright ") {
        let (mut words, mut is_quoted) = (vec![String::new()], false);
        for c in line[start..].chars() {
            match c {
                '\'' => is_quoted = !is_quoted,
                '|' | ')' if !is_quoted => break,
                ' ' if !is_quoted => words.push(String::new()),
                c => words.last_mut().unwrap().push(c),
            }
        }
        words.retain(|word| !word.is_empty());
        calls.push(words);
    }
    calls
}

fn examples(help: &str) -> Vec<&str> {
    let lines = help.lines().skip_while(|line| *line != "Examples:").skip(1);
    lines.take_while(|line| !line.is_empty()).map(str::trim).collect()
}

#[test]
fn each_command_ends_its_help_with_examples_that_the_command_line_accepts() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for_each_command(&Cli::definition(), "keywright", &mut |name, command| {
        let help = command.clone().render_long_help().to_string();
        if help.matches(POINTER).count() != 1 {
            wrong.push(format!("{name} --help must name {POINTER} once"));
        }
        let examples = examples(&help);
        if !(1..=2).contains(&examples.len()) {
            wrong.push(format!("{name} --help has {} examples", examples.len()));
        }
        for example in examples {
            let calls = parse_calls(example);
            assert!(!calls.is_empty(), "{name}: {example}");
            for call in calls {
                count += 1;
                if let Err(error) = Cli::parse_args(call.into_iter().map(Into::into)) {
                    wrong.push(format!("{name}: {example}: {error}"));
                }
            }
        }
    });
    assert_eq!(wrong, Vec::<String>::new());
    assert!(count > 40, "{count}");
}

#[test]
fn the_global_options_stand_on_a_page_of_their_own() {
    let home = Home::new();
    let (code, page, _) = home.run(&["help", "global"]);
    assert_eq!(code, 0);
    let manual = home.run(&["man"]).1.replace("\\-", "-");
    let (root, new) = (home.run(&["--help"]).1, home.run(&["new", "--help"]).1);
    assert!(new.ends_with(&format!("Options of every command: {POINTER}\n")), "{new}");
    assert_eq!((root.matches(POINTER).count(), new.matches(POINTER).count()), (1, 1));
    let definition = Cli::command();
    let global: Vec<_> = definition.get_arguments().filter(|arg| arg.is_global_set()).collect();
    assert!(global.len() >= 13, "{}", global.len());
    for arg in global {
        let option = format!("--{}", arg.get_long().unwrap());
        assert!(page.contains(&option) && manual.contains(&option), "{option}: {page}");
        for help in [&root, &new] {
            assert!(!help.lines().any(|line| line.trim_start().starts_with(&option)), "{help}");
        }
        if let Some(variable) = arg.get_env().and_then(|name| name.to_str()) {
            assert!(page.contains(variable), "{variable}");
        }
    }
}

/// Examples that ask, wait, or need a file or another program.
const NOT_RUN: [&str; 12] = [
    "--delete-old",
    "keywright apply",
    "keywright copy",
    "keywright edit",
    "keywright import",
    "keywright management set",
    "keywright panic",
    "keywright rm notebook",
    "keywright run",
    "keywright sandbox",
    "keywright store",
    "--exec",
];

#[test]
fn examples_run_in_the_sandbox_as_they_stand() {
    let home = Home::new();
    std::fs::create_dir(home.path().join("work")).unwrap();
    let mut count = 0;
    for_each_command(&Cli::definition(), "keywright", &mut |name, command| {
        let help = command.clone().render_help().to_string();
        for example in examples(&help) {
            if NOT_RUN.iter().any(|part| example.contains(part)) && !example.ends_with("--yes") {
                continue;
            }
            let calls = parse_calls(example);
            // The shell replaces the tilde.
            let home_path = home.path().to_str().unwrap();
            let words: Vec<String> =
                calls[0][1..].iter().map(|word| word.replacen('~', home_path, 1)).collect();
            let arguments: Vec<&str> = words.iter().map(String::as_str).collect();
            let (code, out, err) = run(home.command(&arguments).env("KEYWRIGHT_SANDBOX", "1"));
            // The sandbox has no interrupted attempt, no removed key, and a key that needs attention.
            let expected = match name {
                "keywright watch" => 1,
                // The sandbox's keys are not in a shared store.
                "keywright rollback" => 2,
                _ if example.starts_with("keywright trash restore") => 3,
                "keywright recover" if example.contains("--dismiss") => 3,
                _ => 0,
            };
            assert!(code == expected, "{example}: {code} {out}{err}");
            count += 1;
        }
    });
    assert!(count >= 25, "{count}");
}

#[test]
fn a_usage_error_names_no_option_that_a_variable_sets() {
    let home = Home::new();
    let usage = |arguments: &[&str], variables: &[(&str, &str)]| {
        let (code, _, err) = run(home.command(arguments).envs(variables.iter().copied()));
        assert_eq!(code, 2, "{err}");
        err.lines().find(|line| line.starts_with("Usage:")).map(str::to_owned)
    };
    let set = [
        ("KEYWRIGHT_SERVER", "https://example.com"),
        ("KEYWRIGHT_STORE", "file"),
        ("KEYWRIGHT_APP_TITLE", "T"),
        ("KEYWRIGHT_TIMEOUT", "9"),
        ("KEYWRIGHT_QUIET", "1"),
        ("KEYWRIGHT_EVERY", "9"),
    ];
    for arguments in [&["get"][..], &["show", "a", "b"], &["rm"], &["rename", "x"], &["--x"]] {
        let plain = usage(arguments, &[("KEYWRIGHT_DATA_DIR", "")]).unwrap();
        assert_eq!(usage(arguments, &set).unwrap(), plain);
        assert!(!plain.contains("--data-dir"), "{plain}");
    }
    // A wrong variable is still named.
    let (code, _, err) = run(home.command(&["list"]).env("KEYWRIGHT_RETRIES", "many"));
    assert!(code == 2 && err.contains("--retries"), "{err}");
}

/// Adds the file names of the constants in the sources of a directory to `found`.
fn collect_file_names(dir: &std::path::Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect_file_names(&path, found);
        } else {
            let text = std::fs::read_to_string(&path).unwrap();
            let names = text.lines().filter(|line| line.contains("FILE_NAME: &str = \""));
            found.extend(names.filter_map(|line| Some(line.split('"').nth(1)?.to_owned())));
        }
    }
}

#[test]
fn the_manual_names_every_file_of_the_data_directory() {
    let manual = Home::new().run(&["man"]).1.replace("\\-", "-");
    let mut names = Vec::new();
    collect_file_names(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut names);
    assert!(names.len() >= 9, "{names:?}");
    for name in names {
        assert!(manual.contains(&name), "{name} is not in the manual");
    }
}
