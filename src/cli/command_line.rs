//! Parses the command line. Adds examples to the help of the derived definition, lists the options
//! that every command accepts on a page of their own, and ignores empty variables.

use std::ffi::{OsStr, OsString};
use std::mem::ManuallyDrop;

use clap::error::ErrorKind;
use clap::{Args, Command, CommandFactory, FromArgMatches, Subcommand};

use super::color::find_color_option;
use super::repeated_options::list_repeated_options;
use super::{Cli, DashboardArgs, GlobalArgs};

/// The examples of each command. The labels are those of the sandbox.
const EXAMPLES: &[(&str, &[&str])] = &[
    ("new", &["keywright new work", "keywright new work --limit 10 --reset monthly --expires 30d"]),
    ("apply", &["keywright apply plan.toml --dry-run", "keywright apply plan.toml"]),
    ("list", &["keywright list", "keywright list --refresh --json"]),
    ("show", &["keywright show ci"]),
    ("status", &["keywright status --short"]),
    ("account", &["keywright account"]),
    ("usage", &["keywright usage ci --days 14", "keywright usage --by model --csv"]),
    (
        "watch",
        &[
            "keywright watch --once --below 10%",
            "keywright watch --exec 'notify-send \"$KEYWRIGHT_LABEL\" \"$KEYWRIGHT_DETAIL\"'",
        ],
    ),
    ("get", &["keywright get ci", "keywright get ci | podman secret create openrouter -"]),
    (
        "run",
        &["keywright run ci -- python agent.py", "keywright run ci,JUDGE_KEY=laptop -- ./evaluate"],
    ),
    (
        "env",
        &[
            "eval \"$(keywright env ci --shell bash)\"",
            "keywright env ci JUDGE_KEY=laptop --shell fish | source",
        ],
    ),
    ("copy", &["keywright copy ci"]),
    ("import", &["keywright import work", "wl-paste | keywright import work"]),
    (
        "edit",
        &["keywright edit ci --limit 40 --reset monthly", "keywright edit ci --guardrail research"],
    ),
    ("guardrail list", &["keywright guardrail list"]),
    ("guardrail show", &["keywright guardrail show research"]),
    ("guardrail open", &["keywright guardrail open"]),
    ("guardrail", &["keywright guardrail list", "keywright guardrail show research"]),
    ("rename", &["keywright rename notebook desk"]),
    (
        "rotate",
        &["keywright rotate ci", "keywright rotate ci --expires 30d --quiet-for 1d --delete-old"],
    ),
    ("rollback", &["keywright rollback ci --to 1"]),
    ("disable", &["keywright disable ci agent"]),
    ("enable", &["keywright enable notebook"]),
    ("rm", &["keywright rm notebook", "keywright rm notebook --revoke --yes"]),
    ("trash list", &["keywright trash list"]),
    (
        "trash restore",
        &["keywright trash restore notebook", "keywright trash restore ci --as ci-2"],
    ),
    ("trash empty", &["keywright trash empty --yes"]),
    ("trash", &["keywright trash list", "keywright trash restore notebook"]),
    ("panic", &["keywright panic ci", "keywright panic ci --search ~/work"]),
    ("doctor", &["keywright doctor", "keywright doctor --search ~/work"]),
    ("management set", &["keywright management set", "wl-paste | keywright management set"]),
    ("management show", &["keywright management show"]),
    ("management forget", &["keywright management forget"]),
    ("management", &["keywright management set", "keywright management show"]),
    ("profile list", &["keywright profile list"]),
    ("profile show", &["keywright profile show"]),
    ("profile use", &["keywright profile use default"]),
    ("profile", &["keywright profile list", "keywright profile show"]),
    ("config path", &["keywright config path"]),
    ("config example", &["keywright config example"]),
    ("config show", &["keywright config show", "keywright config show --json"]),
    ("config", &["keywright config show", "keywright config example"]),
    ("helper", &["keywright helper", "keywright helper claude-code --label ci"]),
    (
        "completions",
        &["source <(keywright completions bash)", "keywright completions fish | source"],
    ),
    ("man", &["keywright man | man -l -"]),
    ("recover", &["keywright recover", "keywright recover --dismiss work"]),
    (
        "store move",
        &[
            "keywright store move --to file",
            "keywright store move --to exec:docker-credential-pass ci laptop",
        ],
    ),
    ("store passphrase", &["keywright store passphrase"]),
    ("store", &["keywright store move --to file", "keywright store passphrase"]),
    ("sandbox", &["keywright sandbox", "keywright sandbox --port 8080 --keys 10"]),
];

const GLOBAL_HELP_POINTER: &str = "Options of every command: keywright help global";

impl Cli {
    /// Returns the definition of the command line as [`Cli::parse_args`] uses it.
    pub fn definition() -> Command {
        let topic = GlobalArgs::augment_args(Command::new("global"))
            .about("Options that every command accepts, before or after the command")
            .override_usage("keywright [OPTIONS] [COMMAND] [OPTIONS]")
            .after_help("Examples:\n  keywright --sandbox list\n  keywright list --quiet")
            .arg_required_else_help(true)
            .disable_help_flag(true)
            .hide(true);
        let root = Self::command();
        let after_help =
            format!("{}\n{GLOBAL_HELP_POINTER}", root.get_after_help().unwrap_or_default());
        let root = root
            .mut_args(|arg| if arg.is_global_set() { arg.hide(true) } else { arg })
            .mut_subcommands(|command| add_examples(command, ""))
            .after_help(after_help)
            .subcommand(topic);
        ignore_variables(root, &is_empty_variable)
    }

    /// Parses arguments, of which the first is the program's name. `--color` applies to help and
    /// errors too.
    pub fn parse_args(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let args: Vec<OsString> = args.into_iter().collect();
        // Only help needs the whole definition, which takes as long as all the rest.
        let asks_for_help = |arg: &OsString| *arg == "--help" || *arg == "-h" || *arg == "help";
        let is_whole = args.iter().any(asks_for_help);
        if !is_whole {
            match Self::parse_with(definition_of_named(&args), &args) {
                Err(error) if error.kind() != ErrorKind::DisplayVersion => {
                    // The error may be about a command that was left out.
                }
                result => return result,
            }
        }
        let command = if is_whole { Self::definition() } else { Self::command() };
        Self::parse_with(command.color(find_color_option(&args)), &args)
            .map_err(|error| explain_error(error, &args, is_whole))
    }

    fn parse_with(command: Command, args: &[OsString]) -> Result<Self, clap::Error> {
        let command = if std::env::vars_os().any(|(_, value)| value.is_empty()) {
            ignore_variables(command, &is_empty_variable)
        } else {
            command
        };
        // Freeing thousands of small strings would take a quarter of the program's start.
        let mut command = ManuallyDrop::new(command);
        let matches = command.try_get_matches_from_mut(args)?;
        let mut cli =
            Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        cli.global.record_origins(&command, &matches);
        cli.global.repeated_options = list_repeated_options(&matches);
        Ok(cli)
    }
}

/// Returns the definition with those commands only that an argument names. To define a command takes time, and
/// clap copies each option of every command into all of them: together most of the program's start, and
/// half a megabyte. Errors that list commands are therefore incomplete.
fn definition_of_named(args: &[OsString]) -> Command {
    let is_command = |arg: &OsString| arg.to_str().is_some_and(super::Command::has_subcommand);
    let root = Command::new("keywright").version(env!("CARGO_PKG_VERSION"));
    let root = GlobalArgs::augment_args(DashboardArgs::augment_args(root));
    if !args.iter().any(is_command) {
        return root;
    }
    let is_named = |command: &&Command| {
        let mut names = command.get_all_aliases().chain([command.get_name()]);
        names.any(|name| args.iter().any(|arg| arg == name))
    };
    let whole = Cli::command();
    root.subcommands(whole.get_subcommands().filter(is_named).cloned())
}

fn add_examples(command: Command, parent: &str) -> Command {
    let name = format!("{parent}{}", command.get_name());
    let after_help = match find_examples(&name) {
        [] => GLOBAL_HELP_POINTER.to_owned(),
        examples => format!("Examples:\n  {}\n\n{GLOBAL_HELP_POINTER}", examples.join("\n  ")),
    };
    let parent = format!("{name} ");
    command.after_help(after_help).mut_subcommands(|command| add_examples(command, &parent))
}

/// Returns the examples of a command, which is named with its parents: `store move`.
pub(super) fn find_examples(name: &str) -> &'static [&'static str] {
    let entry = EXAMPLES.iter().find(|(command, _)| *command == name);
    entry.map_or(&[], |(_, examples)| *examples)
}

/// Treats the environment variables for which `is_ignored` returns true as not set.
fn ignore_variables(command: Command, is_ignored: &dyn Fn(&OsStr) -> bool) -> Command {
    command
        .mut_args(|arg| {
            if arg.get_env().is_some_and(is_ignored) { arg.env(None::<&'static str>) } else { arg }
        })
        .mut_subcommands(|command| ignore_variables(command, is_ignored))
}

fn is_empty_variable(name: &OsStr) -> bool {
    std::env::var_os(name).is_some_and(|value| value.is_empty())
}

/// Returns the error or help of the whole definition, and without the options that variables set:
/// clap lists each option that has a value in the usage line of an error as if it were required.
/// `is_whole` is true if the error comes from the whole definition.
fn explain_error(error: clap::Error, args: &[OsString], is_whole: bool) -> clap::Error {
    if error.kind() == ErrorKind::DisplayVersion || (is_whole && !error.use_stderr()) {
        return error;
    }
    if let Some(variable) = find_unreadable_variable(&error) {
        let message = format!("the value of {variable} is not valid UTF-8");
        return Cli::definition().error(ErrorKind::InvalidUtf8, message);
    }
    let mut command = Cli::definition();
    if error.use_stderr() {
        command = ignore_variables(command, &|_| true);
    }
    match command.color(find_color_option(args)).try_get_matches_from(args) {
        Err(explained) if explained.kind() == error.kind() || !explained.use_stderr() => explained,
        // Caused by the value of a variable.
        _ => error,
    }
}

/// Returns the variable whose value is not text, where that caused the error: clap blames an argument.
fn find_unreadable_variable(error: &clap::Error) -> Option<String> {
    if error.kind() != ErrorKind::InvalidUtf8 {
        return None;
    }
    let definition = Cli::command();
    let variables = definition.get_arguments().filter_map(clap::Arg::get_env);
    let unreadable =
        |name: &&OsStr| std::env::var_os(name).is_some_and(|value| value.to_str().is_none());
    variables
        .filter(|name| *name != "KEYWRIGHT_DATA_DIR")
        .find(unreadable)?
        .to_str()
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::parse_args(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn a_line_is_parsed_as_by_the_whole_definition() {
        for line in [
            "keywright",
            "keywright --sandbox --keys 7",
            "keywright --server http://127.0.0.1:1 get ci --quiet",
            "keywright vault move --to file",
            "keywright rename list get",
            "keywright --profile list show run",
            "keywright run ci -- keywright get ci",
            "keywright store passphrase --data-dir new",
        ] {
            let args: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            let whole = Cli::parse_with(Cli::command(), &args).unwrap();
            assert_eq!(format!("{:?}", parse(line).unwrap()), format!("{whole:?}"), "{line}");
        }
    }

    #[test]
    fn errors_come_from_the_whole_definition() {
        let misspelled = ["keywright", "lst", "--json"].join(" ");
        let error = parse(&misspelled).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidSubcommand);
        assert!(error.to_string().contains("'list'"), "{error}");
        let error = parse("keywright get").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MissingRequiredArgument);
        assert!(error.to_string().contains("keywright get <LABEL>"), "{error}");
        assert_eq!(parse("keywright --version").unwrap_err().kind(), ErrorKind::DisplayVersion);
    }
}
