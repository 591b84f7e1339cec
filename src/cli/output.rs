//! Output of the command line: results on standard output, everything else on standard error.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use super::repeated_options::complete_commands;
use crate::domain::{
    ErrorKind, Label, StoreKind, StoredKey, TrashedKey, UserError, io_error_text, sanitize, sort_by,
};
use crate::services::keys::{find_change_by_others, read_shared_trash};
use crate::services::provision::ServiceContext;
use crate::services::shared_inventory;
use crate::storage::{inventory, json_store};

/// Prints an error on standard error, and under `--json` also as a document on standard output.
pub fn report_error(error: &UserError, as_json: bool) {
    print_warning(error);
    // Standard output holds one document: a command that has printed one reports its errors there.
    if as_json && !STDOUT_WRITTEN.load(Ordering::Relaxed) {
        print_error_json(error);
    }
}

/// Prints an error as a JSON document on standard output.
pub fn print_error_json(error: &UserError) {
    let _ = print(&format!("{:#}\n", super::json::error_to_json(error)));
}

/// Whether something was written to standard output.
static STDOUT_WRITTEN: AtomicBool = AtomicBool::new(false);

/// Writes to standard output. A closed pipe is not an error.
pub fn print(text: &str) -> Result<(), UserError> {
    STDOUT_WRITTEN.store(true, Ordering::Relaxed);
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(stdout_error(&error)),
        _ => Ok(()),
    }
}

/// Writes a large JSON document to standard output, without a copy of it in memory.
pub(super) fn print_json(document: &impl serde::Serialize) -> Result<(), UserError> {
    STDOUT_WRITTEN.store(true, Ordering::Relaxed);
    let mut out = io::BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    let written = serde_json::to_writer_pretty(&mut out, document).map_err(io::Error::from);
    match written.and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(stdout_error(&error)),
        _ => Ok(()),
    }
}

/// Returns the error for output that could not be written.
pub fn stdout_error(error: &io::Error) -> UserError {
    UserError::failed(
        format!("standard output cannot be written: {}", io_error_text(error)),
        "free some disk space, or redirect the output to another file",
    )
}

/// Prints the result of something that was done. If it cannot be printed, the error says it.
pub(super) fn print_result(text: &str) -> Result<(), UserError> {
    print(text).map_err(|error| error.with_meaning(text.trim_end()))
}

/// Prints that a key is stored.
pub(super) fn print_stored_key(
    stored_key: &StoredKey,
    services: &ServiceContext,
) -> Result<(), UserError> {
    // A shared store may not have taken the key.
    let store = services.for_key(stored_key).secret_store.display_name();
    let (label, masked) = (&stored_key.label, &stored_key.masked);
    print_result(&format!("{label}  {masked}  stored in {store} and verified\n"))
}

/// Prints the command that passes a key to a program, unless the key ends with this process.
pub(super) fn print_next_command(stored_key: &StoredKey) {
    if !stored_key.is_in_store(&StoreKind::Memory) {
        let run = stored_key.label.command("run");
        print_status(&format!("pass the key to a program: {run} -- COMMAND"));
    }
}

/// Prints that the account of a key, which was stored before, is confirmed.
pub(super) fn print_confirmed_key(stored_key: &StoredKey) -> Result<(), UserError> {
    let (label, masked) = (&stored_key.label, &stored_key.masked);
    print_result(&format!("{label}  {masked}  was stored before; its account is confirmed\n"))
}

/// Records `error` as the result of the command, which continues with its other keys. Prints the
/// error recorded before.
pub(super) fn set_last_error(result: &mut Result<(), UserError>, error: UserError) {
    if let Err(earlier) = std::mem::replace(result, Err(error)) {
        print_warning(&earlier);
    }
}

/// Adds what was done to earlier keys to the error of one of several keys.
pub(super) fn add_done_keys(
    error: UserError,
    label: &Label,
    verb: &str,
    done: &[Label],
) -> UserError {
    if done.is_empty() {
        return error;
    }
    let done: Vec<String> = done.iter().map(|label| format!("'{label}'")).collect();
    let meaning = match error.meaning.as_str() {
        "" | "nothing was changed" => format!("'{label}' was not changed"),
        meaning => format!("'{label}': {meaning}"),
    };
    error.with_meaning(format!("{meaning}; {verb} before it: {}", done.join(", ")))
}

/// Reads one key of the shared store into the inventory. If that fails, the inventory's own entry
/// is used, if there is one.
fn read_shared_key(services: &ServiceContext, label: &str) -> Result<(), UserError> {
    let Err(error) = shared_inventory::read_key(services, label) else { return Ok(()) };
    let error = error.to_user_error();
    match services.find_key(label) {
        Ok(Some(_)) => {
            print_warning(&error.with_meaning("what this machine knew about the key is used"));
            Ok(())
        }
        Ok(None) | Err(_) => Err(error),
    }
}

/// Returns the key stored under `label`, or an error that names similar labels.
pub(super) fn find_key(services: &ServiceContext, label: &str) -> Result<StoredKey, UserError> {
    let failed = |error: json_store::Error| error.to_user_error();
    let find = || services.find_key(label).map_err(failed);
    let known = find_stored_key(services, label);
    read_shared_key(services, label)?;
    if let Some(key) = find()? {
        Ok(key)
    } else if let Some(error) = known.and_then(|key| find_change_by_others(services, &key)) {
        Err(error)
    } else {
        let keys = inventory::list_all_keys(&services.location).map_err(failed)?;
        Err(unknown_label_error(services, label, &keys))
    }
}

/// Returns the keys stored under `labels`, each key once.
pub(super) fn find_keys(
    services: &ServiceContext,
    labels: &[String],
) -> Result<Vec<StoredKey>, UserError> {
    let mut found: Vec<StoredKey> = Vec::with_capacity(labels.len());
    for label in labels {
        let key = find_key(services, label)?;
        if found.iter().all(|other| other.hash != key.hash) {
            found.push(key);
        }
    }
    Ok(found)
}

/// Returns what the first error of several means for the keys.
pub(super) fn stored_meaning(first: &UserError) -> String {
    match first.kind {
        // Not every key is stored, or that is not known.
        ErrorKind::SecretStore | ErrorKind::NotFound => first.meaning.clone(),
        _ => "the keys are stored and work".into(),
    }
}

/// Returns whether a key is stored under `label`; `false` where the inventory cannot be read.
pub(super) fn has_stored_key(services: &ServiceContext, label: &str) -> bool {
    find_stored_key(services, label).is_some()
}

/// Returns the key stored under `label`; `None` also where the inventory cannot be read.
pub(super) fn find_stored_key(services: &ServiceContext, label: &str) -> Option<StoredKey> {
    services.find_key(label).ok().flatten()
}

/// How many similar labels an error names.
const MAX_SUGGESTIONS: usize = 3;

/// Returns the error for a label without a key. It names the server that has this label, or else
/// similar labels. `keys` are those of all servers.
pub(super) fn unknown_label_error(
    services: &ServiceContext,
    label: &str,
    keys: &[StoredKey],
) -> UserError {
    let shown = sanitize(label, 100);
    if let Some(key) = keys.iter().find(|key| key.label.is_same(label)) {
        return UserError::new(
            ErrorKind::NotFound,
            format!("no key '{shown}' is stored for {}", services.server),
            format!("there is one for another server: --server {}", key.server),
        );
    }
    // Includes what others removed from a shared store.
    if let Err(error) = read_shared_trash(services) {
        tracing::warn!(%error, "the trash of the shared store could not be read");
    }
    let trash = services.list_trash().unwrap_or_default();
    let now = jiff::Timestamp::now();
    let is_restorable =
        |removed: &&TrashedKey| removed.key.label.is_same(label) && !removed.is_expired(now);
    if let Some(trashed) = trash.iter().find(is_restorable) {
        let restore = trashed.key.label.command("trash restore");
        return UserError::new(
            ErrorKind::NotFound,
            format!("no key '{shown}' is stored"),
            match trashed.removed_by() {
                Some(who) => format!("{who} removed it, restore it: {restore}"),
                None => format!("it was removed here, restore it: {restore}"),
            },
        );
    }
    let mut similar: Vec<(f64, &str)> = keys
        .iter()
        .filter(|key| key.server == services.server)
        .map(|key| key.label.as_str())
        .map(|other| (strsim::jaro_winkler(&label.to_lowercase(), &other.to_lowercase()), other))
        .filter(|(similarity, _)| *similarity > 0.75)
        .collect();
    sort_by(&mut similar, |a, b| b.0.total_cmp(&a.0));
    let similar: Vec<String> =
        similar.iter().take(MAX_SUGGESTIONS).map(|(_, label)| format!("'{label}'")).collect();
    let advice = if similar.is_empty() {
        "list the stored keys: keywright list".into()
    } else {
        format!("did you mean {}? list all keys: keywright list", similar.join(" or "))
    };
    UserError::new(ErrorKind::NotFound, format!("no key '{shown}' is stored"), advice)
}

/// Returns the error for wrong usage or an invalid value.
pub(super) fn usage_error(message: impl ToString, advice: &str) -> UserError {
    UserError::new(ErrorKind::InvalidInput, message.to_string(), advice)
}

/// Asks for confirmation on the terminal; a usage error where standard input is not a terminal.
pub(super) fn confirm(question: &str) -> Result<(), UserError> {
    if !io::stdin().is_terminal() {
        return Err(usage_error("confirmation required but stdin is not a terminal", "pass --yes"));
    }
    eprint(&format!("{question} [y/N] "));
    let mut answer = String::new();
    let _ = io::stdin().read_line(&mut answer);
    // The terminal has echoed the line break.
    set_prompt_open(!answer.ends_with('\n'));
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(cancelled_error())
}

/// Returns the error for a prompt that the user did not confirm.
pub(super) fn cancelled_error() -> UserError {
    UserError::new(ErrorKind::Cancelled, "cancelled", "").with_meaning("nothing was changed")
}

/// Whether status messages and progress are suppressed.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Suppresses status messages and progress. Errors, prompts and results are still printed.
pub fn set_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Returns whether status messages and progress are suppressed, see [`set_quiet`].
pub(super) fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Prints a status message, unless they are suppressed.
pub(super) fn print_status(text: &str) {
    if !is_quiet() {
        print_error(text);
    }
}

/// Whether the last text on standard error was a prompt, whose line is not ended.
static PROMPT_OPEN: AtomicBool = AtomicBool::new(false);

/// Records whether the line of the last prompt is not ended.
pub(super) fn set_prompt_open(is_open: bool) {
    PROMPT_OPEN.store(is_open, Ordering::Relaxed);
}

/// Prints a message that is shown even when status messages are suppressed.
pub(super) fn print_error(text: &str) {
    // A message does not continue the line of a prompt that was cancelled.
    if PROMPT_OPEN.load(Ordering::Relaxed) {
        eprint("\n");
    }
    eprintln(&format!("keywright: {}", complete_commands(text)));
}

/// Prints what happened, what it means and what to do, each on its own line.
pub(super) fn print_warning(error: &UserError) {
    let details = [&error.meaning, &error.advice].into_iter().filter(|line| !line.is_empty());
    print_error(&details.fold(error.message.clone(), |text, line| format!("{text}\n  {line}")));
}

/// Writes a line to standard error.
pub(super) fn eprintln(text: &str) {
    eprint(&format!("{text}\n"));
}

/// Writes to standard error. Ignores errors: a closed pipe must not end the program while it has a
/// key that is not stored yet.
pub(super) fn eprint(text: &str) {
    if !text.is_empty() {
        // `ESC [ K` clears the line of a progress message.
        let is_line_empty = text.ends_with('\n') || text.ends_with("\x1b[K");
        PROMPT_OPEN.store(!is_line_empty, Ordering::Relaxed);
    }
    let mut out = io::stderr().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
