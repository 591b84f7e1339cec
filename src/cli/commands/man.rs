//! `keywright man`: prints the manual page, generated from the command-line definition.

use std::io;

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::cli::Cli;
use crate::cli::command_line::find_examples;
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
    (
        "BROWSER",
        "The browser to open for signing in. If set, a browser is assumed to be available, unless it is a text browser.",
    ),
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
directory, which is $XDG_DATA_HOME/keywright unless --data-dir is given. The same directory \
has journal.json (attempts to create keys that have not ended), samples.json (the results of checks), \
activity.json (completed days of the account's activity, a cache), watch.json, view.json, profile.json, \
keychain.json, names.json, keywright.log, and with --store file vault.age (keys, encrypted). Another profile than \
default has the service keywright/PROFILE and the directory profiles/PROFILE in it. The configuration \
is $XDG_CONFIG_HOME/keywright/config.toml unless --config is given; keywright config example prints \
one.";

/// Renders one page for all commands. clap_mangen renders the options; alone it would only name
/// the commands and refer to a page for each of them.
fn render_page() -> String {
    // Not built: a built command repeats the global options in every subcommand.
    let root = Cli::command();
    // An empty date would be left out, and the arguments after it would move.
    let man = Man::new(root.clone()).title("KEYWRIGHT").date(" ").manual("User Commands");
    let mut page = render(|page| man.render_title(page));
    page += &render(|page| man.render_name_section(page));
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]).text([bold("keywright"), roman(" [OPTION]... [COMMAND]")]);
    roff.control("SH", ["DESCRIPTION"]);
    write_paragraphs(&mut roff, &about_text(&root));
    write_paragraphs(&mut roff, "Without a command the dashboard opens.");
    roff.control("SH", ["COMMANDS"]);
    page += &roff.to_roff();
    write_commands(&mut page, &root, "keywright");
    page += &render(|page| man.render_options_section(page));
    let mut roff = Roff::new();
    roff.control("SH", ["ENVIRONMENT"]);
    for arg in root.get_arguments() {
        if let (Some(variable), Some(long)) = (arg.get_env(), arg.get_long()) {
            write_entry(&mut roff, &variable.to_string_lossy(), &format!("As --{long}."));
        }
    }
    write_entries(&mut roff, ENVIRONMENT_VARIABLES);
    roff.control("SH", ["EXIT STATUS"]);
    write_entries(&mut roff, EXIT_CODES);
    roff.control("SH", ["FILES"]);
    write_paragraphs(&mut roff, FILES_TEXT);
    page + &roff.to_roff()
}

/// Returns what clap_mangen renders. Writing to memory does not fail.
fn render(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
    let mut page = Vec::new();
    let _ = write(&mut page);
    String::from_utf8_lossy(&page).into_owned()
}

/// Writes a section for each command, followed by its subcommands.
fn write_commands(page: &mut String, parent: &Command, parent_name: &str) {
    for command in parent.get_subcommands().filter(|command| !command.is_hide_set()) {
        let name = format!("{parent_name} {}", command.get_name());
        let usage = command.clone().bin_name(&name).render_usage().to_string();
        let mut roff = Roff::new();
        roff.control("SS", [usage.trim_start_matches("Usage: ")]);
        let about = command.get_long_about().map(ToString::to_string);
        write_paragraphs(&mut roff, &about.unwrap_or_else(|| about_text(command)));
        *page += &roff.to_roff();
        let man = Man::new(command.clone().disable_help_flag(true));
        // Its options belong to the command's section and have no section of their own.
        page.extend(
            render(|page| man.render_options_section(page))
                .lines()
                .filter(|line| !line.starts_with(".SH"))
                .map(|line| format!("{line}\n")),
        );
        let path = name.trim_start_matches("keywright ");
        let mut roff = Roff::new();
        for example in find_examples(path) {
            write_paragraphs(&mut roff, &format!("  {example}"));
        }
        *page += &roff.to_roff();
        write_commands(page, command, &name);
    }
}

fn about_text(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

fn write_entries(roff: &mut Roff, entries: &[(&str, &str)]) {
    for (name, text) in entries {
        write_entry(roff, name, text);
    }
}

fn write_entry(roff: &mut Roff, name: &str, text: &str) {
    roff.control("TP", []).text([bold(name)]).text([roman(text)]);
}

/// Writes paragraphs. Indented paragraphs are examples and keep their line breaks.
fn write_paragraphs(roff: &mut Roff, text: &str) {
    for part in text.split("\n\n") {
        let is_example = part.starts_with("  ");
        roff.control("PP", []);
        if is_example {
            roff.control("nf", []);
        }
        for line in part.lines() {
            roff.text([roman(line)]);
        }
        if is_example {
            roff.control("fi", []);
        }
    }
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
            let heading = format!(".SS \"keywright {}", command.get_name().replace('-', "\\-"));
            assert!(command.get_name() == "help" || page.contains(&heading), "{heading}");
        }
        for arg in root.get_arguments() {
            let long = format!("\\-\\-{}", arg.get_long().unwrap().replace('-', "\\-"));
            assert!(page.contains(&long) || long == "\\-\\-help", "{long}");
            if let Some(variable) = arg.get_env() {
                assert!(page.contains(&format!("\\fB{}\\fR\n", variable.to_string_lossy())));
            }
        }
    }
}
