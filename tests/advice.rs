//! Commands in advice and help exist: each `keywright COMMAND --option` in a string of the source is one
//! that the command line accepts.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::path::Path;

use clap::CommandFactory;
use keywright::cli::Cli;

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
