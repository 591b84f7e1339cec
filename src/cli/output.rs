//! What the command line says and asks: results on standard output, everything else on standard
//! error. Must not know: commands.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::domain::{ErrorKind, StoredKey, UserError, sanitize};
use crate::services::provision::ServiceContext;
use crate::storage::inventory;

/// Says what went wrong: words on standard error, and under `--json` a document on standard output.
pub fn report_error(trouble: &UserError, as_json: bool) {
    print_error(&format_error(trouble));
    // One document: where a command has printed one, it says itself what went wrong.
    if as_json && !STDOUT_WRITTEN.load(Ordering::Relaxed) {
        let _ = print(&format!("{:#}\n", super::json::error_to_json(trouble)));
    }
}

/// Wrong usage, as a document.
pub fn print_usage_error_json(trouble: &UserError) {
    let _ = print(&format!("{:#}\n", super::json::error_to_json(trouble)));
}

/// Whether something was written to standard output.
static STDOUT_WRITTEN: AtomicBool = AtomicBool::new(false);

/// Writes to standard output; a reader who has gone is not an error of ours.
pub fn print(text: &str) -> Result<(), UserError> {
    STDOUT_WRITTEN.store(true, Ordering::Relaxed);
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(UserError::new(
            ErrorKind::Failed,
            format!("standard output cannot be written: {}", error.kind()),
            "free some space, or send it elsewhere",
        )),
        _ => Ok(()),
    }
}

/// The key under `label` as the inventory knows it, or exit code 3 with what was perhaps meant.
pub(super) fn find_key(services: &ServiceContext, label: &str) -> Result<StoredKey, UserError> {
    let mut keys =
        inventory::list_all_keys(&services.location).map_err(|error| error.to_user_error())?;
    let is_it = |held: &StoredKey| held.server == services.server && held.label.as_str() == label;
    match keys.iter().position(is_it) {
        Some(at) => Ok(keys.swap_remove(at)),
        None => Err(unknown_label_error(services, label, &keys)),
    }
}

/// [`find`] for each of them before anything is done to one; each key once.
pub(super) fn find_keys(
    services: &ServiceContext,
    labels: &[String],
) -> Result<Vec<StoredKey>, UserError> {
    let mut found: Vec<StoredKey> = Vec::with_capacity(labels.len());
    for label in labels {
        let held = find_key(services, label)?;
        if found.iter().all(|other| other.hash != held.hash) {
            found.push(held);
        }
    }
    Ok(found)
}

/// Whether the inventory knows a key under that label. One that cannot be read knows none.
pub(super) fn has_stored_key(services: &ServiceContext, label: &str) -> bool {
    inventory::find_key(&services.location, &services.server, label)
        .is_ok_and(|held| held.is_some())
}

/// How many labels are offered to one that is not held.
const MAX_SUGGESTIONS: usize = 3;

/// Exit code 3: the server that the label is held for, or else the labels nearest to it. `keys` are
/// those of all servers.
pub(super) fn unknown_label_error(
    services: &ServiceContext,
    label: &str,
    keys: &[StoredKey],
) -> UserError {
    let shown = sanitize(label, 100);
    if let Some(held) = keys.iter().find(|held| held.label.as_str() == label) {
        return UserError::new(
            ErrorKind::NotFound,
            format!("no key is held under '{shown}' for {}", services.server),
            format!("there is one for another server: --server {}", held.server),
        );
    }
    let mut near: Vec<(f64, &str)> = keys
        .iter()
        .filter(|held| held.server == services.server)
        .map(|held| held.label.as_str())
        .map(|held| (strsim::jaro_winkler(&label.to_lowercase(), &held.to_lowercase()), held))
        .filter(|(likeness, _)| *likeness > 0.75)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    let near: Vec<String> =
        near.iter().take(MAX_SUGGESTIONS).map(|(_, label)| format!("'{label}'")).collect();
    let advice = if near.is_empty() {
        "keywright list shows the keys that are held, keywright new cuts one".into()
    } else {
        format!("did you mean {}? keywright list shows all", near.join(" or "))
    };
    UserError::new(ErrorKind::NotFound, format!("no key is held under '{shown}'"), advice)
}

pub(super) fn usage_error(message: impl ToString, advice: &str) -> UserError {
    UserError::new(ErrorKind::InvalidInput, message.to_string(), advice)
}

/// Asks yes or no on the terminal; exit code 2 where there is none.
pub(super) fn confirm(question: &str) -> Result<(), UserError> {
    if !io::stdin().is_terminal() {
        return Err(usage_error(
            "this needs a yes, and there is no terminal to ask on",
            "say it with --yes",
        ));
    }
    eprint(&format!("{question} [y/N] "));
    let mut answer = String::new();
    let _ = io::stdin().read_line(&mut answer);
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(UserError::new(ErrorKind::Cancelled, "cancelled", "nothing was changed"))
}

/// Whether remarks and progress are left out.
static QUIET: AtomicBool = AtomicBool::new(false);

/// From now on remarks and progress are left out; errors, questions and results are not.
pub fn set_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// See [`be_quiet`].
pub(super) fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Something a person may want to know meanwhile.
pub(super) fn print_status(words: &str) {
    if !is_quiet() {
        print_error(words);
    }
}

/// Something a person must know: what went wrong, or lies where it should not.
pub(super) fn print_error(words: &str) {
    eprintln(&format!("keywright: {words}"));
}

/// [`fault`], of trouble that ends nothing.
pub(super) fn print_warning(trouble: &UserError) {
    print_error(&format_error(trouble));
}

/// Returns message, meaning and advice, each on a line.
fn format_error(error: &UserError) -> String {
    let details = [&error.meaning, &error.advice].into_iter().filter(|line| !line.is_empty());
    details.fold(error.message.clone(), |text, line| format!("{text}\n  {line}"))
}

/// A line of standard error.
pub(super) fn eprintln(words: &str) {
    eprint(&format!("{words}\n"));
}

/// Writes to standard error. A reader who has gone must not take a key with it: nothing here fails.
pub(super) fn eprint(words: &str) {
    let mut out = io::stderr().lock();
    let _ = out.write_all(words.as_bytes()).and_then(|()| out.flush());
}
