//! Reads the keys of a shared store before a command, and writes what it changed afterwards.

use std::io::{self, IsTerminal};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Command;
use super::output::{eprint, is_quiet, print_warning};
use crate::domain::UserError;
use crate::services::provision::ServiceContext;
use crate::services::shared_inventory;
use crate::storage::secret_store::bao;

/// Progress is shown for a reading that takes longer than this.
const QUIET_TIME: Duration = Duration::from_secs(1);

impl Command {
    /// Returns whether the command is about all keys, so that those of a shared store are read
    /// before.
    pub(super) const fn lists_keys(&self) -> bool {
        matches!(
            self,
            Self::List(_) | Self::Apply(_) | Self::Usage(_) | Self::Account(_) | Self::Watch(_)
        )
    }

    /// Returns whether the command may change what is known about a key.
    pub(super) const fn changes_keys(&self) -> bool {
        matches!(
            self,
            Self::New(_)
                | Self::Apply(_)
                | Self::Import(_)
                | Self::Edit(_)
                | Self::Rename(_)
                | Self::Rotate(_)
                | Self::Rollback(_)
                | Self::Disable(_)
                | Self::Enable(_)
                | Self::Rm(_)
                | Self::Trash(_)
                | Self::Panic(_)
                | Self::Recover(_)
                | Self::Store(_)
        )
    }
}

/// Says once on a terminal which engine a command waits for, after a second.
pub(super) fn report_waits() {
    static IS_SAID: AtomicBool = AtomicBool::new(false);
    if !is_quiet() && io::stderr().is_terminal() {
        bao::on_wait(|address| {
            if !IS_SAID.swap(true, Ordering::Relaxed) {
                eprint(&format!("waiting for an answer of {address}\n"));
            }
        });
    }
}

/// Reads all keys of the shared store into the inventory. Shows progress after a second.
pub(super) fn read_shared_keys(services: &ServiceContext) -> Result<(), UserError> {
    let is_shown = !is_quiet() && io::stderr().is_terminal();
    let started = Instant::now();
    let last_shown: Mutex<Option<Instant>> = Mutex::new(None);
    let on_read = move |count: usize, total: usize| {
        let Ok(mut last_shown) = last_shown.lock() else { return };
        let is_due = last_shown.map_or(started.elapsed() > QUIET_TIME, |last| {
            last.elapsed() > QUIET_TIME / 5 || count == total
        });
        if is_shown && is_due {
            *last_shown = Some(Instant::now());
            let end = if count == total { "\r\u{1b}[K" } else { "" };
            eprint(&format!("\rread {count} of {total} shared keys{end}"));
        }
    };
    let read = shared_inventory::read_all(services, on_read)?;
    for label in read.hidden {
        print_warning(&shared_inventory::hidden_key_error(&label));
    }
    for error in read.unreadable {
        print_warning(&error.to_user_error());
    }
    let keys = services.list_keys();
    let problems = keys.map(|keys| shared_inventory::find_problems(services, &keys));
    problems.unwrap_or_default().iter().for_each(print_warning);
    Ok(())
}

/// Writes what a command changed to the shared store.
pub(super) fn write_shared_records(services: &ServiceContext) -> Result<(), UserError> {
    shared_inventory::write_records(services).map_err(|error| {
        let error = error.to_user_error();
        error
            .prefixed("others cannot see the change yet")
            .with_meaning("the change was made; the next command that changes a key writes it")
    })
}
