//! Checks of the data directory and of the files in it.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::{DoctorProgress, HealthCheck, HealthStatus, pluralize};
use crate::domain::{StoredKey, format_date, io_error_text};
use crate::services::provision::ServiceContext;
use crate::storage::journal::{self, Attempt, AttemptStage};
use crate::storage::json_store::{Error, StoreLocation};
use crate::storage::{inventory, usage_history};

pub(super) fn check_data_dir(services: &ServiceContext, fix: bool) -> HealthCheck {
    let name = "data directory";
    let StoreLocation::Directory(dir) = &services.location else {
        return HealthCheck::ok(
            name,
            "none: the inventory is in memory and is lost when the program ends",
        );
    };
    let path = dir.display();
    if fs::symlink_metadata(dir).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return match check_creatable(dir) {
            Ok(()) => HealthCheck::ok(name, format!("{path} is created with the first key")),
            Err(error) => HealthCheck::from_error(name, &error.to_user_error()),
        };
    }
    if let Err(error) = services.location.reserve_space() {
        return HealthCheck::from_error(name, &error.to_user_error());
    }
    let exposed = list_exposed_paths(dir, fix);
    if exposed.is_empty() {
        return HealthCheck::ok(name, format!("{path} is writable and private"));
    }
    let names = exposed.join(", ");
    if fix && list_exposed_paths(dir, false).is_empty() {
        return HealthCheck::ok(
            name,
            format!("{path}: removed the access of other users to {names}"),
        );
    }
    let advice = if fix {
        "the file system does not store file modes: choose another directory with --data-dir"
            .to_owned()
    } else {
        "run keywright doctor --fix to remove that access (chmod go=)".to_owned()
    };
    HealthCheck::warn(name, format!("{path}: other users have access to {names}"), advice)
}

/// Checks that the directory can be created: writes and syncs a file in the nearest directory above
/// it that exists.
fn check_creatable(dir: &Path) -> Result<(), Error> {
    let parent = dir.ancestors().skip(1).find(|path| path.is_dir()).unwrap_or(Path::new("."));
    tempfile::tempfile_in(parent)
        .and_then(|mut file| {
            io::Write::write_all(&mut file, b"probe").and_then(|()| file.sync_all())
        })
        .map_err(|source| Error::Io { path: dir.to_owned(), action: "created", source })
}

/// Returns the names of files that users other than the owner can access; `fix` removes that access.
/// A directory that also holds other files (such as `--data-dir /tmp`) keeps its mode, and so do
/// those files.
#[cfg(unix)]
fn list_exposed_paths(dir: &Path, fix: bool) -> Vec<String> {
    use std::os::unix::fs::PermissionsExt;
    let (mut paths, mut only_our_files) = (Vec::new(), true);
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if is_keywright_file(&entry.file_name())
            && entry.file_type().is_ok_and(|kind| kind.is_file())
        {
            paths.push(entry.path());
        } else {
            only_our_files = false;
        }
    }
    if only_our_files {
        paths.push(dir.to_owned());
    }
    let mut exposed = Vec::new();
    for path in paths {
        let mode = fs::symlink_metadata(&path).map_or(0, |metadata| metadata.permissions().mode());
        if mode.trailing_zeros() >= 6 {
            // No access for group and others.
            continue;
        }
        if fix {
            // The caller lists the paths again to see whether it worked.
            let _ = fs::set_permissions(&path, fs::Permissions::from_mode(mode & 0o700));
        }
        exposed.push(match path.file_name() {
            Some(name) if path != dir => crate::domain::sanitize(&name.to_string_lossy(), 60),
            _ => "the directory".into(),
        });
    }
    exposed
}

#[cfg(unix)]
fn is_keywright_file(name: &std::ffi::OsStr) -> bool {
    let documents = [
        "activity.json",
        "inventory.json",
        "journal.json",
        "names.json",
        "samples.json",
        "keywright.log",
        "vault.age",
    ];
    Path::new(name).extension().is_some_and(|extension| extension == "lock")
        || documents.iter().any(|document| name.as_encoded_bytes().starts_with(document.as_bytes()))
}

#[cfg(not(unix))]
fn list_exposed_paths(_: &Path, _: bool) -> Vec<String> {
    Vec::new()
}

/// Returns the keys of the inventory, or `None` if it cannot be read. `fix` moves a damaged one aside.
pub(super) fn check_inventory(
    services: &ServiceContext,
    fix: bool,
    report: &mut dyn FnMut(DoctorProgress),
) -> Option<Vec<StoredKey>> {
    const RESULT: &str = "it is rebuilt from the keychain";
    let read = || services.list_keys();
    let (check, keys) = match read_document("inventory", RESULT, fix, report, &read) {
        Ok(keys) => {
            let message = format!("{} for {}", pluralize(keys.len(), "key"), services.server);
            (HealthCheck::ok("inventory", message), Some(keys))
        }
        Err(check) => (*check, None),
    };
    report(DoctorProgress::CheckFinished(check));
    keys
}

/// Checks that the samples of the keys' usage can be read. `fix` moves a damaged file aside.
pub(super) fn check_usage_history(
    services: &ServiceContext,
    fix: bool,
    report: &mut dyn FnMut(DoctorProgress),
) {
    const RESULT: &str = "the usage of each key is recorded again from its next check on";
    let read = || usage_history::read_samples(&services.location);
    let samples = read_document("usage history", RESULT, fix, report, &read);
    let check = samples.map_or_else(
        |check| HealthCheck { status: HealthStatus::Warn, ..*check },
        |samples| HealthCheck::ok("usage history", pluralize(samples.len(), "key")),
    );
    report(DoctorProgress::CheckFinished(check));
}

/// Reads a document of the data directory; `fix` moves a damaged one aside, and `result` says what that
/// leads to. Returns the failed check if it cannot be read.
fn read_document<T>(
    name: &'static str,
    result: &str,
    fix: bool,
    report: &mut dyn FnMut(DoctorProgress),
    read: &dyn Fn() -> Result<T, Error>,
) -> Result<T, Box<HealthCheck>> {
    let error = match read() {
        Ok(document) => return Ok(document),
        Err(error) => error,
    };
    let mut check = Box::new(HealthCheck::from_error(name, &error.to_user_error()));
    let (Error::InvalidJson { path, .. } | Error::Empty(path)) = &error else { return Err(check) };
    if !fix {
        check.advice = format!("run keywright doctor --fix to move the file aside; {result}");
        return Err(check);
    }
    match move_aside(path) {
        Ok(aside) => {
            let aside = aside.display();
            report(DoctorProgress::Notice(format!(
                "moved the damaged {name} to {aside}; {result}"
            )));
            read().map_err(|error| Box::new(HealthCheck::from_error(name, &error.to_user_error())))
        }
        Err(error) => {
            let reason = io_error_text(&error);
            let _ = write!(check.message, ", and could not be moved aside: {reason}");
            Err(check)
        }
    }
}

/// Renames a damaged file to the first free name and returns that name. Earlier copies are kept.
fn move_aside(path: &Path) -> io::Result<PathBuf> {
    const MAX_COPIES: usize = 99;
    for copy in 1..=MAX_COPIES {
        let suffix = if copy == 1 { String::new() } else { format!("-{copy}") };
        let aside = path.with_extension(format!("json.broken{suffix}"));
        if fs::symlink_metadata(&aside).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            return fs::rename(path, &aside).map(|()| aside);
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

pub(super) fn check_pending_attempts(services: &ServiceContext) -> HealthCheck {
    let name = "attempts";
    let (location, server) = (&services.location, &services.server);
    let read = || {
        let unguarded = inventory::filter_keys(location, server, StoredKey::awaits_guardrail)?;
        let replacing = inventory::filter_keys(location, server, |key| key.replaces.is_some())?;
        Ok((journal::list_attempts(location, server)?, unguarded, replacing))
    };
    let (attempts, unguarded, replacing) = match read() {
        Ok(read) => read,
        Err(error) => return HealthCheck::from_error(name, &Error::to_user_error(&error)),
    };
    let (unresolved, attempts): (Vec<_>, Vec<_>) =
        attempts.into_iter().partition(|attempt| attempt.stage == AttemptStage::Unresolved);
    let (unnamed, unfinished): (Vec<_>, Vec<_>) =
        attempts.into_iter().partition(Attempt::awaits_rename);
    let (mut messages, mut advice) = (Vec::new(), Vec::new());
    let mut report = |names: Vec<String>, message: &str, what_to_do: String| {
        if !names.is_empty() {
            messages.push(format!("{message}: {}", names.join(", ")));
            advice.push(what_to_do);
        }
    };
    let quote = |keys: &[StoredKey]| keys.iter().map(|key| format!("'{}'", key.label)).collect();
    let dated =
        |attempt: &Attempt| format!("'{}' of {}", attempt.label, format_date(attempt.started_at));
    report(
        unresolved.iter().map(dated).collect(),
        "a key may have been created and was not received",
        format!(
            "run keywright recover for details; look for the key at {server}/keys, delete it there, then run keywright recover --dismiss LABEL"
        ),
    );
    report(
        unnamed.iter().map(|attempt| format!("'{}'", attempt.key_name())).collect(),
        "stored keys still have the names of their attempts at the server",
        "run keywright recover to rename them".into(),
    );
    report(
        quote(&unguarded),
        "keys are not under the guardrail requested for them",
        "run keywright recover to assign it".into(),
    );
    report(
        quote(&replacing),
        "rotations were interrupted before the new key got its label",
        "run keywright recover to finish them".into(),
    );
    if !unfinished.is_empty() {
        messages.push(format!("{} not finished", pluralize(unfinished.len(), "attempt")));
        advice.push("if the program that started it has ended, run keywright recover or open the dashboard to finish it".into());
    }
    if messages.is_empty() {
        return HealthCheck::ok(name, "none pending");
    }
    HealthCheck::warn(name, messages.join("; "), advice.join("; "))
}
