//! The options of the command line that commands in messages and advice repeat, so that they can be
//! pasted.

use std::sync::OnceLock;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory};

use super::Cli;
use crate::domain::repeat_options;

/// See [`set_repeated_options`].
static OPTIONS: OnceLock<Vec<(String, Option<String>)>> = OnceLock::new();

/// Sets the options that commands in messages and advice repeat, so that they can be pasted.
pub fn set_repeated_options(options: &[(String, Option<String>)]) {
    let _ = OPTIONS.set(options.to_vec());
}

/// Adds the options of [`set_repeated_options`] to the commands in a message or advice.
pub(super) fn complete_commands(text: &str) -> String {
    let options = OPTIONS.get().map_or(&[][..], Vec::as_slice);
    if options.is_empty() || !text.contains("keywright ") {
        return text.to_owned();
    }
    let definition = Cli::command();
    repeat_options(text, options, &|word| definition.find_subcommand(word).is_some())
}

/// The arguments that say where keys are.
const REPEATED_IDS: [&str; 6] = ["sandbox", "server", "store", "data_dir", "profile", "config"];

/// Returns the options of the command line that commands in advice repeat.
pub(super) fn list_repeated_options(matches: &ArgMatches) -> Vec<(String, Option<String>)> {
    let typed = REPEATED_IDS.iter().filter(|id| is_typed(matches, id));
    typed
        .filter_map(|id| {
            let value = match *id {
                "sandbox" => None,
                id => Some(matches.get_raw(id)?.next()?.to_str()?.to_owned()),
            };
            Some((format!("--{}", id.replace('_', "-")), value))
        })
        .collect()
}

/// Returns whether an option is among the arguments; a variable that sets it does not count.
fn is_typed(matches: &ArgMatches, id: &str) -> bool {
    let is_defined = matches.try_contains_id(id).is_ok();
    is_defined && matches.value_source(id) == Some(ValueSource::CommandLine)
}
