//! Completion: what may stand at the end of a command line, a candidate a line, and the scripts
//! with which shells ask for it. Must not know: keychains; labels are the inventory's.
//!
//! The scripts ask for everything that may stand in a place and leave choosing and quoting to
//! their shell, since only it knows what was typed how.

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
    /// Whose script
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

/// Arguments of the question that the scripts ask.
#[derive(Args, Debug)]
pub struct CompleteArgs {
    /// The words before the one to be completed, without the program's name
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

impl CompleteArgs {
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        let labels = || {
            let keys =
                inventory::list_keys(&services.location, &services.server).unwrap_or_default();
            keys.iter().map(|held| (held.label.to_string(), held.masked.clone())).collect()
        };
        let lines = list_candidates(&Cli::command(), &self.words, labels)
            .into_iter()
            .map(|(value, about)| format!("{value}\t{}\n", sanitize(&about, 80)));
        print(&lines.collect::<String>())
    }
}

type Candidates = Vec<(String, String)>;

/// The place that the next word would take.
struct CursorContext<'a> {
    command: &'a Command,
    /// The option that waits for its value.
    pending_option: Option<&'a Arg>,
    /// How many arguments that are no options stand before it.
    positional_index: usize,
    /// Whether options are over.
    is_after_double_dash: bool,
}

fn parse_context<'a>(root: &'a Command, words: &[String]) -> CursorContext<'a> {
    let mut at = CursorContext {
        command: root,
        pending_option: None,
        positional_index: 0,
        is_after_double_dash: false,
    };
    for word in words {
        if at.pending_option.take().is_some() {
            continue;
        }
        if at.is_after_double_dash || !word.starts_with('-') || word == "-" {
            match at
                .command
                .find_subcommand(word)
                .filter(|_| at.positional_index == 0 && !at.is_after_double_dash)
            {
                Some(command) => at.command = command,
                None => at.positional_index += 1,
            }
        } else if word == "--" {
            at.is_after_double_dash = true;
        } else {
            at.pending_option = list_options(root, at.command).find(|arg| expects_value(arg, word));
        }
    }
    at
}

/// The command's options and those of every command. Building the whole tree, which would put the
/// latter there, takes longer than all the rest.
fn list_options<'a>(root: &'a Command, command: &'a Command) -> impl Iterator<Item = &'a Arg> {
    let within = !std::ptr::eq(root, command);
    let global = root.get_arguments().filter(move |arg| within && arg.is_global_set());
    command.get_arguments().filter(|arg| !arg.is_positional()).chain(global)
}

/// Whether `word` is that option, and its value is yet to come.
fn expects_value(arg: &Arg, word: &str) -> bool {
    let is_it = match word.strip_prefix("--") {
        Some(long) => arg.get_long() == Some(long),
        None => arg.get_short().is_some() && arg.get_short() == word.chars().next_back(),
    };
    is_it && arg.get_action().takes_values()
}

fn list_candidates(
    root: &Command,
    words: &[String],
    labels: impl Fn() -> Candidates,
) -> Candidates {
    let at = parse_context(root, words);
    if let Some(arg) = at.pending_option {
        return list_values(at.command, arg, labels);
    }
    let mut found = BTreeMap::new();
    if at.positional_index == 0 && !at.is_after_double_dash {
        found.extend(at.command.get_subcommands().filter(|command| !command.is_hide_set()).map(
            |command| (command.get_name().to_owned(), command.get_about().map(ToString::to_string)),
        ));
    }
    let last = at.command.get_positionals().last();
    // One that takes many takes all that follow.
    let rest = last.filter(|arg| matches!(arg.get_action(), ArgAction::Append));
    let here = at.command.get_positionals().nth(at.positional_index).or(rest);
    let mut all: Candidates =
        here.map(|arg| list_values(at.command, arg, labels)).unwrap_or_default();
    // Only behind a `--` is such a label no option.
    all.retain(|(value, _)| at.is_after_double_dash || !value.starts_with('-'));
    // Behind the program that is run stand its own options.
    let over = last.is_some_and(Arg::is_trailing_var_arg_set) && at.positional_index > 1;
    if !at.is_after_double_dash && !over {
        let shown = list_options(root, at.command).filter(|arg| !arg.is_hide_set());
        found.extend(shown.filter_map(|arg| {
            Some((format!("--{}", arg.get_long()?), arg.get_help().map(ToString::to_string)))
        }));
        found.insert("--help".into(), Some("Print help".into()));
    }
    all.extend(found.into_iter().map(|(value, about)| (value, about.unwrap_or_default())));
    all
}

/// The commands whose label is a new one.
const NEW_LABEL_COMMANDS: [&str; 2] = ["new", "import"];

fn list_values(command: &Command, arg: &Arg, labels: impl Fn() -> Candidates) -> Candidates {
    let held = match arg.get_id().as_str() {
        "label" | "labels" | "old" => !NEW_LABEL_COMMANDS.contains(&command.get_name()),
        "via_key" => true,
        _ => false,
    };
    if held {
        return labels();
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

    fn after(words: &[&str]) -> Vec<String> {
        let root = Cli::command();
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let labels = || vec![("my key".to_owned(), String::new())];
        list_candidates(&root, &words, labels).into_iter().map(|(value, _)| value).collect()
    }

    fn offers(words: &[&str], value: &str) -> bool {
        after(words).iter().any(|offered| offered == value)
    }

    #[test]
    fn labels_stand_where_a_key_is_named_that_is_held() {
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
            assert!(offers(&words, "my key"), "{words:?}: {:?}", after(&words));
        }
    }

    #[test]
    fn labels_stand_nowhere_else() {
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
    fn commands_options_and_their_values_are_offered_where_they_may_stand() {
        assert!(offers(&[], "get") && offers(&[], "--sandbox"));
        assert!(!offers(&[], "complete") && !offers(&[], "hold-clipboard"));
        assert!(offers(&["management"], "forget") && !offers(&["management"], "get"));
        assert!(offers(&["get"], "--no-tty") && !offers(&["get", "--"], "--no-tty"));
        assert_eq!(after(&["env", "--shell"]), ["bash", "zsh", "fish", "pwsh", "dotenv"]);
        assert!(offers(&["completions"], "elvish"));
        assert!(offers(&["helper"], "claude-code"));
        assert_eq!(after(&["run", "one", "ls"]), [""; 0]);
    }
}
