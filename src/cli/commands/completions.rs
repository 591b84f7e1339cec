//! Shell completion: the scripts, and the hidden command that they call for candidates.
//!
//! `candidates` decides what is offered. zsh, fish, elvish and PowerShell filter and quote the
//! candidates themselves; bash inserts them as they are, so `bash_line` quotes them for it.

mod bash_line;
mod candidates;

use clap::{Args, CommandFactory, ValueEnum};
use jiff::Timestamp;

use crate::cli::Cli;
use crate::cli::output::print;
use crate::domain::{
    AccountNames, StoredKey, TrashedKey, UserError, format_relative_time, sanitize, sort_by,
};
use crate::services::provision::ServiceContext;
use crate::storage::{account_names, inventory};
use candidates::{Candidate, NameKind, complete_word};

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
    /// The word to complete, without its quotes; with --bash-line the part that bash replaces
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    current: String,
    /// The line up to the cursor, as bash has it
    #[arg(long, allow_hyphen_values = true, conflicts_with = "words")]
    bash_line: Option<String>,
    /// The words before the word to complete, without the program's name
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

impl CompleteArgs {
    /// Prints a candidate on each line, with its description after a tab unless bash asks. A line
    /// without a candidate means that file names fit too.
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        // Only from disk: a completion must not wait for the network.
        let (location, server) = (&services.location, &services.server);
        let names = |kind| match kind {
            NameKind::RemovedLabel => {
                let trash = inventory::list_trash(location, server).unwrap_or_default();
                list_removed(&trash, Timestamp::now())
            }
            NameKind::Label => {
                list_labels(&inventory::list_keys(location, server).unwrap_or_default())
            }
            NameKind::Guardrail | NameKind::Workspace => {
                let keys = inventory::list_keys(location, server).unwrap_or_default();
                list_names(&keys, &account_names::read_names(location, server), kind)
            }
        };
        let root = Cli::command();
        let complete = |words: &[String], word: &str| complete_word(&root, words, word, &names);
        let lines: Vec<String> = match &self.bash_line {
            Some(line) => bash_line::complete_line(line, &self.current, complete),
            None => complete(&self.words, &self.current)
                .iter()
                .map(|candidate| format!("{}\t{}", candidate.value, sanitize(&candidate.about, 80)))
                .collect(),
        };
        print(&lines.into_iter().map(|line| line + "\n").collect::<String>())
    }
}

/// Returns the labels of the removed keys that can be restored.
fn list_removed(trash: &[TrashedKey], now: Timestamp) -> Vec<Candidate> {
    let restorable = trash.iter().filter(|trashed| !trashed.is_expired(now));
    restorable
        .map(|trashed| {
            let removed = format_relative_time(now, trashed.removed_at);
            let about = format!("{}, removed {removed}", trashed.key.masked);
            Candidate::new(trashed.key.label.as_str(), about)
        })
        .collect()
}

fn list_labels(keys: &[StoredKey]) -> Vec<Candidate> {
    keys.iter().map(|key| Candidate::new(key.label.as_str(), &key.masked)).collect()
}

/// Returns the workspaces or guardrails that the account has, as it was last listed, and those of the
/// stored keys, each once.
fn list_names(keys: &[StoredKey], names: &AccountNames, kind: NameKind) -> Vec<Candidate> {
    let (listed, noun) = match kind {
        NameKind::Guardrail => (&names.guardrails, "guardrail"),
        _ => (&names.workspaces, "workspace"),
    };
    let mut found: Vec<Candidate> = listed
        .values()
        .map(|name| Candidate::new(name, format!("{noun} of the account")))
        .collect();
    found.extend(keys.iter().filter_map(|key| {
        let name = match kind {
            NameKind::Guardrail => &key.guardrail.as_ref()?.name,
            _ => names.workspace_name(key.workspace_id()?),
        };
        Some(Candidate::new(name, format!("as of {}", key.label)))
    }));
    sort_by(&mut found, |one, other| one.value.cmp(&other.value));
    found.dedup_by(|one, other| one.value == other.value);
    found
}
