//! Commands in advice and help exist: each `keywright COMMAND --option` in a string of the source is one
//! that the command line accepts.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/home.rs"]
mod home;

use std::fs;
use std::path::Path;

use clap::CommandFactory;
use home::{Home, stored_key};
use keywright::cli::Cli;
use keywright::domain::StoreKind;

/// Calls `visit` with each source file's lines that are not comments.
fn for_each_line(dir: &Path, visit: &mut dyn FnMut(&Path, &str)) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            for_each_line(&path, visit);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            // A string may go on in the next line.
            let text = text.replace("\\\n", "\u{1f}");
            for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
                let line: String = line.split('\u{1f}').map(str::trim_start).collect();
                visit(&path, &line);
            }
        }
    }
}

#[test]
fn each_advised_command_and_option_exists() {
    let mut cli = Cli::command();
    cli.build();
    let (mut count, mut unknown) = (0, Vec::new());
    for_each_line(Path::new("src"), &mut |path, line| {
        for (start, _) in line.match_indices("keywright ") {
            // A path ends with the program's name.
            if line[..start].ends_with('/') {
                continue;
            }
            let rest = &line[start + "keywright ".len()..];
            // The command ends where its sentence or its quotation does.
            let end = rest.find(['`', '"', ';', ':', '\'', ')', '(', '|']);
            let words = rest[..end.unwrap_or(rest.len())].split([' ', ',']);
            let mut command = &cli;
            for (index, word) in words.enumerate() {
                let is_name = !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
                if let Some(option) = word.strip_prefix("--").filter(|option| !option.is_empty()) {
                    count += 1;
                    let is_known = [command, &cli].iter().any(|command| {
                        command.get_arguments().any(|arg| arg.get_long() == Some(option))
                    });
                    if !is_known {
                        unknown.push(format!("{}: keywright … --{option}", path.display()));
                    }
                } else if is_name && (index == 0 || command.has_subcommands()) {
                    count += 1;
                    match command.find_subcommand(word) {
                        Some(found) => command = found,
                        None if index == 0 => {
                            unknown.push(format!("{}: keywright {word}", path.display()));
                        }
                        None => {}
                    }
                } else if is_name && index > 0 {
                    // A word of the sentence after the command.
                    break;
                }
            }
        }
    });
    assert!(count > 60, "{count} commands and options found");
    assert_eq!(unknown, Vec::<String>::new());
}

/// Returns the commands of a text as they are: up to a separator that is not quoted.
fn commands(text: &str) -> Vec<String> {
    let starts = text.match_indices("keywright -").map(|(start, _)| start);
    starts
        .map(|start| {
            let (mut is_quoted, mut is_escaped) = (false, false);
            let command = text[start..].chars().take_while(|c| {
                let is_plain = !std::mem::take(&mut is_escaped) && !is_quoted;
                is_escaped = is_plain && *c == '\\';
                is_quoted ^= *c == '\'' && (is_plain || is_quoted);
                !is_plain || !";,<`()\"\n".contains(*c)
            });
            command.collect()
        })
        .collect()
}

/// Returns the words of a command, as the shell passes them.
fn shell_words(command: &str) -> Vec<String> {
    let script = format!("keywright() {{ printf '%s\\n' keywright \"$@\"; }}; {command}");
    let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{command}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn advised_commands_repeat_the_options_that_were_typed_and_can_be_pasted() {
    let home = Home::new();
    let dir = home.path().join("it's $(mine);");
    fs::create_dir(&dir).unwrap();
    let dir = dir.to_str().unwrap();
    let options = ["--server", "http://127.0.0.1:9", "--store", "memory", "--data-dir", dir];
    let key = |label: &str| stored_key("http://127.0.0.1:9", label, label, StoreKind::Memory);
    let inventory =
        serde_json::json!({"version": 1, "keys": [key("ci"), key("a b; keywright list")]});
    fs::write(Path::new(dir).join("inventory.json"), inventory.to_string()).unwrap();
    let (mut count, mut wrong) = (0, Vec::new());
    for arguments in [
        &["get", "nothing-like-it"][..],
        &["get", "ci"],
        &["get", "a b; keywright list"],
        &["get", "a b; keywright list", "--retries", "0"],
        &["rm", "ci", "--revoke", "--yes"],
        &["disable", "a b; keywright list"],
        &["management", "show"],
        &["recover", "--dismiss", "x"],
        &["recover", "--dismiss", "x", "--json"],
        &["doctor"],
        &["doctor", "--json"],
        &["store", "passphrase"],
        &["import", "x"],
        &["new", "x", "--limit", "y"],
    ] {
        let (code, out, err) = home.run(&[arguments, &options[..]].concat());
        assert_ne!((code, arguments), (0, &["get", "ci"][..]), "{out}");
        let text = format!("{err}\n{}", out.replace("\\\\", "\\"));
        assert!(!text.contains("keywright get") && !text.contains("keywright list "), "{text}");
        for command in commands(&text) {
            count += 1;
            let words = shell_words(&command);
            // A command may name another store.
            let mut repeated = options.iter().filter(|option| **option != "memory");
            if repeated.any(|option| !words.iter().any(|word| word == option)) {
                wrong.push(format!("{arguments:?}: {command}"));
            }
            // Words of the sentence may follow.
            let accepted = (2..=words.len())
                .any(|length| Cli::parse_args(words[..length].iter().map(Into::into)).is_ok());
            if !accepted && !words.contains(&"--help".into()) {
                wrong.push(format!("{arguments:?} is not accepted: {command}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(count >= 10, "{count}");
}
