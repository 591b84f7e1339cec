//! `keywright man`: prints the manual page, generated from the command-line definition.

use std::fmt::Write;

use clap::{Arg, Command, CommandFactory};

use crate::cli::Cli;
use crate::cli::output::print;
use crate::domain::UserError;

pub(in crate::cli) fn print_manual() -> Result<(), UserError> {
    print(&render_page())
}

/// Environment variables that no option has.
const ENVIRONMENT_VARIABLES: &[(&str, &str)] = &[
    ("OPENROUTER_MANAGEMENT_KEY", "A management key, used before the stored one."),
    ("KEYWRIGHT_PASSPHRASE_FILE", "A file that contains the passphrase of the store `file`."),
    (
        "KEYWRIGHT_LOG",
        "Filter for the log keywright.log in the data directory, such as `debug`. Without it there is no log. The log contains no secrets.",
    ),
    ("NO_COLOR", "If set and not empty, turns colours off, unless --color is given."),
    (
        "CLICOLOR_FORCE",
        "If set and not 0, turns colours on without a terminal too, unless --color is given.",
    ),
    ("BROWSER", "The browser to open for signing in. If set, a browser is taken to be available."),
];

const EXIT_CODES: &[(&str, &str)] = &[
    ("0", "Done."),
    ("1", "Failed; the message says why."),
    ("2", "Wrong usage, or an invalid value."),
    ("3", "No such label."),
    ("4", "The keychain is locked or missing, or access was refused."),
    ("5", "Refused or cancelled by the user."),
    ("6", "The server could not be reached, or the request timed out."),
    ("7", "Unresolved: a key may have been created and was not received."),
    ("126", "run: the program cannot be executed."),
    ("127", "run: the program was not found. Otherwise run ends with the program's exit code."),
];

const FILES_TEXT: &str = "Keys are stored in the keychain of the operating system, one entry per key: service \
keywright, user name the label. Data that is not secret is stored in inventory.json in the data \
directory, which is $XDG_DATA_HOME/keywright unless --data-dir is given.";

fn render_page() -> String {
    let mut root = Cli::command();
    root.build();
    let mut page = String::new();
    let version = root.get_version().unwrap_or_default();
    let _ = writeln!(page, ".TH KEYWRIGHT 1 \"\" \"keywright {version}\" \"User Commands\"");
    write_section(&mut page, "NAME");
    write_paragraphs(
        &mut page,
        &format!("keywright - {}", about_text(&root).trim_end_matches('.')),
    );
    write_section(&mut page, "SYNOPSIS");
    write_paragraphs(&mut page, "keywright [OPTION]... [COMMAND]");
    write_section(&mut page, "DESCRIPTION");
    write_paragraphs(&mut page, &about_text(&root));
    write_paragraphs(&mut page, "Without a command the dashboard opens.");
    write_section(&mut page, "COMMANDS");
    write_commands(&mut page, &root);
    write_section(&mut page, "OPTIONS");
    write_options(&mut page, root.get_arguments());
    write_section(&mut page, "ENVIRONMENT");
    for arg in root.get_arguments() {
        if let (Some(variable), Some(long)) = (arg.get_env(), arg.get_long()) {
            write_entry(&mut page, &variable.to_string_lossy(), &format!("As --{long}."));
        }
    }
    write_entries(&mut page, ENVIRONMENT_VARIABLES);
    write_section(&mut page, "EXIT STATUS");
    write_entries(&mut page, EXIT_CODES);
    write_section(&mut page, "FILES");
    write_paragraphs(&mut page, FILES_TEXT);
    page
}

/// Writes a section for each command, followed by its subcommands.
fn write_commands(page: &mut String, parent: &Command) {
    for command in parent.get_subcommands().filter(|command| !command.is_hide_set()) {
        if command.get_name() == "help" {
            continue;
        }
        let usage = command.clone().render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: ");
        let _ = writeln!(page, ".SS \"{}\"", escape_roff(usage).replace('"', "\\(dq"));
        write_paragraphs(
            page,
            &command.get_long_about().map_or_else(|| about_text(command), ToString::to_string),
        );
        write_options(page, command.get_arguments().filter(|arg| !arg.is_global_set()));
        write_commands(page, command);
    }
}

fn write_options<'a>(page: &mut String, args: impl Iterator<Item = &'a Arg>) {
    for arg in args.filter(|arg| !arg.is_hide_set() && arg.get_id() != "help") {
        let mut help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let values: Vec<_> =
            arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
        if arg.get_action().takes_values() && !values.is_empty() {
            let _ = write!(help, " [{}]", values.join(", "));
        }
        let default = arg.get_default_values().first().filter(|_| !arg.is_hide_default_value_set());
        if let Some(default) = default.filter(|_| arg.get_action().takes_values()) {
            let _ = write!(help, " [default: {}]", default.to_string_lossy());
        }
        let short = arg.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
        write_entry(page, &format!("{short}{arg}"), &help);
    }
}

fn about_text(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

fn write_section(page: &mut String, name: &str) {
    let _ = writeln!(page, ".SH {name}");
}

fn write_entries(page: &mut String, entries: &[(&str, &str)]) {
    for (name, text) in entries {
        write_entry(page, name, text);
    }
}

fn write_entry(page: &mut String, name: &str, text: &str) {
    let _ = writeln!(
        page,
        ".TP\n.B {}\n{}",
        escape_roff(name).replace('"', "\\(dq"),
        escape_lines(text)
    );
}

/// Writes paragraphs. Indented paragraphs are examples and keep their line breaks.
fn write_paragraphs(page: &mut String, text: &str) {
    for part in text.split("\n\n") {
        let example = part.starts_with("  ");
        let (before, after) = if example { (".PP\n.nf\n", "\n.fi") } else { (".PP\n", "") };
        let _ = writeln!(page, "{before}{}{after}", escape_lines(part));
    }
}

/// Escapes text so that roff takes no line for a request.
fn escape_lines(text: &str) -> String {
    let escape_line = |line: &str| {
        let line = escape_roff(line);
        if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
    };
    text.lines().map(escape_line).collect::<Vec<_>>().join("\n")
}

/// Escapes characters that have a meaning in roff.
fn escape_roff(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-").replace('…', "...").replace('`', "\\(ga")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_option_and_variable_is_in_the_page() {
        let page = render_page();
        let mut root = Cli::command();
        root.build();
        for command in root.get_subcommands().filter(|command| !command.is_hide_set()) {
            let heading = format!(".SS \"keywright {}", escape_roff(command.get_name()));
            assert!(command.get_name() == "help" || page.contains(&heading), "{heading}");
        }
        for arg in root.get_arguments() {
            let long = format!("\\-\\-{}", escape_roff(arg.get_long().unwrap()));
            assert!(page.contains(&long) || long == "\\-\\-help", "{long}");
            if let Some(variable) = arg.get_env() {
                assert!(page.contains(&format!(".B {}\n", variable.to_string_lossy())));
            }
        }
    }

    #[test]
    fn no_line_is_taken_for_a_roff_request() {
        assert_eq!(escape_lines(".x\n'y\n-z \\"), "\\&.x\n\\&'y\n\\-z \\e");
    }
}
