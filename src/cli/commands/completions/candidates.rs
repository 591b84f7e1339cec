//! The candidates for a word of the command line.

use std::collections::BTreeMap;

use clap::{Arg, ArgAction, Command, ValueHint};

use crate::cli::env_mapping::{escape_item, last_item_start, validate_variable_name};
use crate::domain::{ResetInterval, collect_ordered, sort_by};
use crate::platform::child_process::list_on_path;

/// A completion and its description. An empty value stands for file names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Candidate {
    pub(super) value: String,
    pub(super) about: String,
}

impl Candidate {
    pub(super) fn new(value: impl Into<String>, about: impl Into<String>) -> Self {
        Self { value: value.into(), about: about.into() }
    }
}

/// Names that are read from the inventory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NameKind {
    /// Labels of stored keys.
    Label,
    /// Guardrails of stored keys.
    Guardrail,
    /// Workspaces of stored keys.
    Workspace,
    /// Labels of removed keys.
    RemovedLabel,
}

/// Returns the candidates for `current`, the word after `words`. Those that do not start with `current` are
/// included, but each has the part of a list or option that stands before the value.
pub(super) fn complete_word(
    root: &Command,
    words: &[String],
    current: &str,
    names: &dyn Fn(NameKind) -> Vec<Candidate>,
) -> Vec<Candidate> {
    let mut found = list_candidates(root, words, current, names);
    // Options, and labels that look like options, are offered once a dash was typed, or
    // after a double dash.
    let shows_dashes = current.starts_with('-') || words.iter().any(|word| word == "--");
    found.retain(|candidate| shows_dashes || !candidate.value.starts_with('-'));
    found
}

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

/// Returns whether `word` is this option and its value is the next word.
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
    current: &str,
    names: &dyn Fn(NameKind) -> Vec<Candidate>,
) -> Vec<Candidate> {
    let context = parse_context(root, words);
    if let Some(arg) = context.pending_option {
        return list_values(context.command, arg, current, names);
    }
    let last = context.command.get_positionals().last();
    // An argument with many values takes all further words.
    let repeated = last.filter(|arg| matches!(arg.get_action(), ArgAction::Append));
    let positional = context.command.get_positionals().nth(context.positional_index).or(repeated);
    let list_positional = || {
        positional.map(|arg| list_values(context.command, arg, current, names)).unwrap_or_default()
    };
    if context.is_after_double_dash {
        return list_positional();
    }
    // Options after the program of `run` belong to that program.
    let is_past_program =
        last.is_some_and(Arg::is_trailing_var_arg_set) && context.positional_index > 1;
    if current.starts_with('-') && !is_past_program {
        return match current.split_once('=') {
            Some((name, value)) => list_options(root, context.command)
                .find(|arg| expects_value(arg, name))
                .map(|arg| list_values(context.command, arg, value, names))
                .unwrap_or_default()
                .into_iter()
                .map(|found| Candidate::new(format!("{name}={}", found.value), found.about))
                .collect(),
            None => list_option_names(root, context.command),
        };
    }
    let mut found = list_positional();
    if context.positional_index == 0 {
        let commands = context.command.get_subcommands().filter(|command| !command.is_hide_set());
        found
            .extend(commands.map(|command| {
                Candidate::new(command.get_name(), about_text(command.get_about()))
            }));
    }
    found
}

fn list_option_names(root: &Command, command: &Command) -> Vec<Candidate> {
    let shown = list_options(root, command).filter(|arg| !arg.is_hide_set());
    let mut found: BTreeMap<String, String> =
        collect_ordered(shown.filter_map(|arg| {
            Some((format!("--{}", arg.get_long()?), about_text(arg.get_help())))
        }));
    found.insert("--help".into(), "Print help".into());
    found.into_iter().map(|(value, about)| Candidate::new(value, about)).collect()
}

fn about_text(about: Option<&clap::builder::StyledStr>) -> String {
    about.map(ToString::to_string).unwrap_or_default()
}

/// The commands whose label argument is a new label.
const NEW_LABEL_COMMANDS: [&str; 2] = ["new", "import"];

/// The stores that keep keys after the program has ended, as candidates of `--store`.
const STORES: [(&str, &str); 4] = [
    ("os", "The operating system's keychain"),
    ("file", "A file encrypted with a passphrase"),
    ("bao", "OpenBao or HashiCorp Vault"),
    ("exec:", "A program that speaks the protocol of Docker's credential helpers"),
];

/// What the names of Docker's credential helpers start with.
const HELPER_PREFIX: &str = "docker-credential-";

/// Returns the stores, or the credential helpers on PATH if `current` starts with `exec:`.
fn list_stores(current: &str) -> Vec<Candidate> {
    if !current.starts_with("exec:") {
        return STORES.map(|(name, about)| Candidate::new(name, about)).into();
    }
    let mut names = list_on_path(HELPER_PREFIX);
    sort_by(&mut names, Ord::cmp);
    names.dedup();
    names
        .into_iter()
        .map(|name| Candidate::new(format!("exec:{name}"), "credential helper"))
        .collect()
}

fn list_values(
    command: &Command,
    arg: &Arg,
    current: &str,
    names: &dyn Fn(NameKind) -> Vec<Candidate>,
) -> Vec<Candidate> {
    match (command.get_name(), arg.get_id().as_str()) {
        ("run", "labels") => {
            let (before, item) = current.split_at(last_item_start(current));
            list_mappings(before, item, !before.is_empty(), names(NameKind::Label))
        }
        ("env", "labels") => list_mappings("", current, false, names(NameKind::Label)),
        (name, "label" | "labels" | "old") if !NEW_LABEL_COMMANDS.contains(&name) => {
            names(NameKind::Label)
        }
        ("restore", "removed") => names(NameKind::RemovedLabel),
        (_, "via_key") => names(NameKind::Label),
        ("show", "name") => names(NameKind::Guardrail),
        (_, "guardrail") => {
            let mut found = names(NameKind::Guardrail);
            found.push(Candidate::new("none", "no guardrail of its own"));
            found
        }
        (_, "workspace") => names(NameKind::Workspace),
        // Not value enums: other stores have names that cannot be listed, and an interval is
        // parsed by the domain.
        (_, "store") | ("move", "to") => list_stores(current),
        (_, "reset") => ResetInterval::ALL
            .map(|reset| Candidate::new(reset.as_str(), reset.description()))
            .into_iter()
            .chain([Candidate::new("never", "never resets")])
            .collect(),
        _ if takes_file(arg) => vec![Candidate::new("", "files")],
        _ => arg
            .get_possible_values()
            .iter()
            .filter(|value| !value.is_hide_set())
            .map(|value| Candidate::new(value.get_name(), about_text(value.get_help())))
            .collect(),
    }
}

fn takes_file(arg: &Arg) -> bool {
    matches!(
        arg.get_value_hint(),
        ValueHint::AnyPath
            | ValueHint::FilePath
            | ValueHint::DirPath
            | ValueHint::CommandWithArguments
    )
}

/// Lists the labels as items `LABEL`, or `ENV=LABEL` where `item` starts with a variable. `before`
/// is the list before the item.
fn list_mappings(
    before: &str,
    item: &str,
    is_list: bool,
    labels: Vec<Candidate>,
) -> Vec<Candidate> {
    let variable = item
        .split_once('=')
        .filter(|(variable, _)| validate_variable_name(variable).is_ok())
        .map(|(variable, _)| format!("{variable}="));
    let prefixed = |prefix: &str| {
        let with_prefix = |label: &Candidate| {
            let value = if is_list { escape_item(&label.value) } else { label.value.clone() };
            Candidate::new(format!("{before}{prefix}{value}"), label.about.clone())
        };
        labels.iter().map(with_prefix).collect::<Vec<_>>()
    };
    let mut found = prefixed("");
    found.extend(variable.iter().flat_map(|variable| prefixed(variable)));
    found
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    fn candidates(words: &[&str], current: &str) -> Vec<String> {
        let root = Cli::command();
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let names = |kind| match kind {
            NameKind::Label => vec![Candidate::new("my key", ""), Candidate::new("a,b", "")],
            NameKind::Guardrail => vec![Candidate::new("research", "")],
            NameKind::Workspace => vec![Candidate::new("1f0e", "")],
            NameKind::RemovedLabel => vec![Candidate::new("old key", "")],
        };
        let found = complete_word(&root, &words, current, &names);
        found.into_iter().map(|candidate| candidate.value).collect()
    }

    fn offers(words: &[&str], current: &str, value: &str) -> bool {
        candidates(words, current).iter().any(|candidate| candidate == value)
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
            assert!(offers(&words, "", "my key"), "{words:?}: {:?}", candidates(&words, ""));
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
            assert!(!offers(&words, "", "my key"), "{words:?}");
        }
    }

    #[test]
    fn commands_options_and_values_are_offered_where_they_are_valid() {
        assert!(offers(&[], "", "get") && offers(&[], "-", "--sandbox"));
        assert!(!offers(&[], "", "complete") && !offers(&[], "", "hold-clipboard"));
        assert!(!offers(&[], "", "--sandbox"), "options are offered only after a dash");
        assert!(offers(&["management"], "", "forget") && !offers(&["management"], "", "get"));
        assert!(offers(&["get"], "--", "--no-tty") && !offers(&["get", "--"], "-", "--no-tty"));
        assert_eq!(candidates(&["env", "--shell"], ""), ["bash", "zsh", "fish", "pwsh", "dotenv"]);
        assert!(offers(&["completions"], "", "elvish"));
        assert_eq!(candidates(&["list", "--store"], ""), ["os", "file", "bao", "exec:"]);
        assert_eq!(candidates(&["list"], "--store=o")[..2], ["--store=os", "--store=file"]);
        assert_eq!(candidates(&["store", "move", "--to"], "b").len(), 4);
        assert_eq!(candidates(&["new", "x", "--reset"], "")[2..], ["monthly", "never"]);
        assert!(offers(&["helper"], "", "claude-code"));
        assert_eq!(candidates(&["new", "x", "--via-key"], "m"), ["my key", "a,b"]);
    }

    #[test]
    fn guardrails_and_workspaces_of_stored_keys_are_offered() {
        assert_eq!(candidates(&["edit", "x", "--guardrail"], ""), ["research", "none"]);
        assert_eq!(candidates(&["new", "x", "--guardrail"], ""), ["research", "none"]);
        assert_eq!(candidates(&["guardrail", "show"], ""), ["research"]);
        assert_eq!(candidates(&["edit", "x", "--workspace"], ""), ["1f0e"]);
        assert!(offers(&["guardrail"], "", "list") && offers(&["edit"], "", "my key"));
    }

    #[test]
    fn removed_keys_are_offered_where_one_is_restored() {
        assert_eq!(candidates(&["trash", "restore"], ""), ["old key"]);
        assert_eq!(candidates(&["trash", "restore", "x", "--as"], ""), [""; 0]);
    }

    #[test]
    fn items_of_a_list_complete_to_labels() {
        assert_eq!(candidates(&["run"], "ci,"), ["ci,my key", "ci,a\\,b"]);
        assert_eq!(candidates(&["run"], "a,A=m")[2..], ["a,A=my key", "a,A=a\\,b"]);
        assert_eq!(candidates(&["run"], "A=")[2..], ["A=my key", "A=a,b"]);
        assert_eq!(candidates(&["run"], "a\\,b"), ["my key", "a,b"]);
        assert_eq!(candidates(&["env"], "A=")[2..], ["A=my key", "A=a,b"]);
        assert_eq!(candidates(&["env"], "1=").len(), 2);
    }

    #[test]
    fn files_are_offered_where_a_file_is_expected() {
        for words in [
            vec!["apply"],
            vec!["list", "--data-dir"],
            vec!["run", "one"],
            vec!["run", "one", "--", "ls"],
            vec!["store", "passphrase", "--new-file"],
        ] {
            assert_eq!(candidates(&words, ""), [""], "{words:?}");
        }
        for words in [vec!["get"], vec!["new"], vec!["new", "x", "--limit"], vec!["list"]] {
            assert!(!offers(&words, "", ""), "{words:?}");
        }
    }
}
