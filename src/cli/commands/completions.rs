//! Shell completion: the scripts, and the hidden command that they call for candidates.
//!
//! The command prints every candidate. Filtering and quoting are left to the shell, because only
//! the shell knows how the word was typed.

use std::collections::BTreeMap;

use clap::{Arg, ArgAction, Args, Command, CommandFactory, ValueEnum};

use crate::cli::Cli;
use crate::cli::output::print;
use crate::domain::{UserError, sanitize};
use crate::services::provision::ServiceContext;
use crate::storage::inventory;

/// Arguments of `completions`.
#[derive(Args, Debug)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: CompletionShell,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum CompletionShell {
    Bash,
    Zsh,
    Fish,
    Powershell,
    Elvish,
}

impl CompletionsArgs {
    pub(in crate::cli) fn run(&self) -> Result<(), UserError> {
        print(match self.shell {
            CompletionShell::Bash => include_str!("../../../assets/completions/keywright.bash"),
            CompletionShell::Zsh => include_str!("../../../assets/completions/keywright.zsh"),
            CompletionShell::Fish => include_str!("../../../assets/completions/keywright.fish"),
            CompletionShell::Powershell => {
                include_str!("../../../assets/completions/keywright.ps1")
            }
            CompletionShell::Elvish => include_str!("../../../assets/completions/keywright.elv"),
        })
    }
}

/// Arguments of the hidden command that the scripts call.
#[derive(Args, Debug)]
pub struct CompleteArgs {
    /// The words before the word to complete, without the program's name
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

impl CompleteArgs {
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        let labels = || {
            let keys =
                inventory::list_keys(&services.location, &services.server).unwrap_or_default();
            keys.iter().map(|key| (key.label.to_string(), key.masked.clone())).collect()
        };
        let lines = list_candidates(&Cli::command(), &self.words, labels)
            .into_iter()
            .map(|(value, about)| format!("{value}\t{}\n", sanitize(&about, 80)));
        print(&lines.collect::<String>())
    }
}

type Candidates = Vec<(String, String)>;

/// The position of the word to complete.
struct CursorContext<'a> {
    command: &'a Command,
    /// The option whose value is completed.
    pending_option: Option<&'a Arg>,
    /// The number of positional arguments before the word.
    positional_index: usize,
    /// Whether a `--` came before the word.
    is_after_double_dash: bool,
}

fn parse_context<'a>(root: &'a Command, words: &[String]) -> CursorContext<'a> {
    let mut context = CursorContext {
        command: root,
        pending_option: None,
        positional_index: 0,
        is_after_double_dash: false,
    };
    for word in words {
        if context.pending_option.take().is_some() {
            continue;
        }
        if context.is_after_double_dash || !word.starts_with('-') || word == "-" {
            match context
                .command
                .find_subcommand(word)
                .filter(|_| context.positional_index == 0 && !context.is_after_double_dash)
            {
                Some(command) => context.command = command,
                None => context.positional_index += 1,
            }
        } else if word == "--" {
            context.is_after_double_dash = true;
        } else {
            context.pending_option =
                list_options(root, context.command).find(|arg| expects_value(arg, word));
        }
    }
    context
}

/// Lists the options of a command, including the global ones. `Command::build` would add the global
/// options too, but takes longer than the rest of the completion.
fn list_options<'a>(root: &'a Command, command: &'a Command) -> impl Iterator<Item = &'a Arg> {
    let is_subcommand = !std::ptr::eq(root, command);
    let global = root.get_arguments().filter(move |arg| is_subcommand && arg.is_global_set());
    command.get_arguments().filter(|arg| !arg.is_positional()).chain(global)
}

/// Whether `word` is this option and its value is the next word.
fn expects_value(arg: &Arg, word: &str) -> bool {
    let matches = match word.strip_prefix("--") {
        Some(long) => arg.get_long() == Some(long),
        None => arg.get_short().is_some() && arg.get_short() == word.chars().next_back(),
    };
    matches && arg.get_action().takes_values()
}

fn list_candidates(
    root: &Command,
    words: &[String],
    labels: impl Fn() -> Candidates,
) -> Candidates {
    let context = parse_context(root, words);
    if let Some(arg) = context.pending_option {
        return list_values(context.command, arg, labels);
    }
    let mut found = BTreeMap::new();
    if context.positional_index == 0 && !context.is_after_double_dash {
        let commands = context.command.get_subcommands().filter(|command| !command.is_hide_set());
        found.extend(commands.map(|command| {
            (command.get_name().to_owned(), command.get_about().map(ToString::to_string))
        }));
    }
    let last = context.command.get_positionals().last();
    // An argument with many values takes all further words.
    let repeated = last.filter(|arg| matches!(arg.get_action(), ArgAction::Append));
    let current = context.command.get_positionals().nth(context.positional_index).or(repeated);
    let mut all: Candidates =
        current.map(|arg| list_values(context.command, arg, labels)).unwrap_or_default();
    // Without a preceding `--` a label that starts with `-` would be parsed as an option.
    all.retain(|(value, _)| context.is_after_double_dash || !value.starts_with('-'));
    // Options after the program of `run` belong to that program.
    let is_past_program =
        last.is_some_and(Arg::is_trailing_var_arg_set) && context.positional_index > 1;
    if !context.is_after_double_dash && !is_past_program {
        let shown = list_options(root, context.command).filter(|arg| !arg.is_hide_set());
        found.extend(shown.filter_map(|arg| {
            Some((format!("--{}", arg.get_long()?), arg.get_help().map(ToString::to_string)))
        }));
        found.insert("--help".into(), Some("Print help".into()));
    }
    all.extend(found.into_iter().map(|(value, about)| (value, about.unwrap_or_default())));
    all
}

/// The commands whose label argument is a new label.
const NEW_LABEL_COMMANDS: [&str; 2] = ["new", "import"];

/// The stores that keep keys after the program has ended, as candidates of `--store`.
const STORES: [(&str, &str); 2] =
    [("os", "The operating system's keychain"), ("file", "A file encrypted with a passphrase")];

fn list_values(command: &Command, arg: &Arg, labels: impl Fn() -> Candidates) -> Candidates {
    let takes_label = match arg.get_id().as_str() {
        "label" | "labels" | "old" => !NEW_LABEL_COMMANDS.contains(&command.get_name()),
        "via_key" => true,
        _ => false,
    };
    if takes_label {
        return labels();
    }
    // Not a value enum: other stores have names that cannot be listed.
    if arg.get_id() == "store" {
        return STORES.map(|(name, about)| (name.to_owned(), about.to_owned())).into();
    }
    let possible = arg.get_possible_values();
    possible
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| {
            let about = value.get_help().map(ToString::to_string).unwrap_or_default();
            (value.get_name().to_owned(), about)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(words: &[&str]) -> Vec<String> {
        let root = Cli::command();
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let labels = || vec![("my key".to_owned(), String::new())];
        list_candidates(&root, &words, labels).into_iter().map(|(value, _)| value).collect()
    }

    fn offers(words: &[&str], value: &str) -> bool {
        candidates(words).iter().any(|candidate| candidate == value)
    }

    #[test]
    fn labels_are_offered_where_a_stored_key_is_expected() {
        for words in [
            vec!["get"],
            vec!["get", "--"],
            vec!["--server", "https://example.com", "show", "--json"],
            vec!["run", "-v", "--env", "NAME"],
            vec!["rm", "one", "two"],
            vec!["env", "A=one", "--shell", "bash"],
            vec!["rename"],
            vec!["new", "fresh", "--via-key"],
            vec!["helper", "aider", "--label"],
        ] {
            assert!(offers(&words, "my key"), "{words:?}: {:?}", candidates(&words));
        }
    }

    #[test]
    fn labels_are_offered_nowhere_else() {
        for words in [
            vec![],
            vec!["new"],
            vec!["import"],
            vec!["get", "one"],
            vec!["rename", "one"],
            vec!["list"],
            vec!["run", "one"],
            vec!["run", "one", "--", "ls"],
            vec!["get", "--server"],
        ] {
            assert!(!offers(&words, "my key"), "{words:?}");
        }
    }

    #[test]
    fn commands_options_and_values_are_offered_where_they_are_valid() {
        assert!(offers(&[], "get") && offers(&[], "--sandbox"));
        assert!(!offers(&[], "complete") && !offers(&[], "hold-clipboard"));
        assert!(offers(&["management"], "forget") && !offers(&["management"], "get"));
        assert!(offers(&["get"], "--no-tty") && !offers(&["get", "--"], "--no-tty"));
        assert_eq!(candidates(&["env", "--shell"]), ["bash", "zsh", "fish", "pwsh", "dotenv"]);
        assert!(offers(&["completions"], "elvish"));
        assert_eq!(candidates(&["list", "--store"]), ["os", "file"]);
        assert!(offers(&["helper"], "claude-code"));
        assert_eq!(candidates(&["run", "one", "ls"]), [""; 0]);
    }
}
