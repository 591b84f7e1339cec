//! The data directory and the documents in it. Must not know: keychains, networks.

use std::fs;
use std::path::Path;

use super::{DoctorProgress, HealthCheck, pluralize};
use crate::domain::{StoredKey, format_date};
use crate::services::provision::ServiceContext;
use crate::storage::inventory;
use crate::storage::journal::{self, AttemptStage};
use crate::storage::json_store::{Error, StoreLocation};

pub(super) fn check_data_dir(services: &ServiceContext, fix: bool) -> HealthCheck {
    let name = "data directory";
    let StoreLocation::Directory(dir) = &services.location else {
        return HealthCheck::ok(name, "none: the list lives in memory, and ends with the program");
    };
    let shown = dir.display();
    if fs::symlink_metadata(dir).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
        return HealthCheck::ok(name, format!("{shown} is made with the first key"));
    }
    if let Err(error) = services.location.check_writable() {
        return HealthCheck::from_error(name, &error.to_user_error());
    }
    let open = list_exposed_paths(dir, fix);
    if open.is_empty() {
        return HealthCheck::ok(name, format!("{shown}, for you alone, writable"));
    }
    let names = open.join(", ");
    if fix && list_exposed_paths(dir, false).is_empty() {
        return HealthCheck::ok(name, format!("{shown}: others could use {names}, and now cannot"));
    }
    let advice = if fix {
        "the file system does not keep modes: choose another place with --data-dir".to_owned()
    } else {
        "keywright doctor --fix takes that right from them (chmod go=)".to_owned()
    };
    HealthCheck::warn(name, format!("{shown}: others may use {names}"), advice)
}

/// What others than its owner may use; with `fix` they may no more, afterwards. A directory that
/// holds anything but our files (a `--data-dir /tmp`) is not ours to close, nor is what it holds.
#[cfg(unix)]
fn list_exposed_paths(dir: &Path, fix: bool) -> Vec<String> {
    use std::os::unix::fs::PermissionsExt;
    let (mut paths, mut all_ours) = (Vec::new(), true);
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if is_keywright_file(&entry.file_name())
            && entry.file_type().is_ok_and(|kind| kind.is_file())
        {
            paths.push(entry.path());
        } else {
            all_ours = false;
        }
    }
    if all_ours {
        paths.push(dir.to_owned());
    }
    let mut open = Vec::new();
    for path in paths {
        let mode = fs::symlink_metadata(&path).map_or(0, |about| about.permissions().mode());
        if mode.trailing_zeros() >= 6 {
            // Nothing for group or others.
            continue;
        }
        if fix {
            // Whether it took is looked at afterwards.
            let _ = fs::set_permissions(&path, fs::Permissions::from_mode(mode & 0o700));
        }
        open.push(match path.file_name() {
            Some(name) if path != dir => crate::domain::sanitize(&name.to_string_lossy(), 60),
            _ => "the directory".into(),
        });
    }
    open
}

#[cfg(unix)]
fn is_keywright_file(name: &std::ffi::OsStr) -> bool {
    let documents =
        ["inventory.json", "journal.json", "samples.json", "keywright.log", "vault.age"];
    Path::new(name).extension().is_some_and(|extension| extension == "lock")
        || documents.iter().any(|document| name.as_encoded_bytes().starts_with(document.as_bytes()))
}

#[cfg(not(unix))]
fn open_to_others(_: &Path, _: bool) -> Vec<String> {
    Vec::new()
}

/// The keys on the list; `None` where it cannot be read. With `fix` a damaged list is moved aside.
pub(super) fn check_inventory(
    services: &ServiceContext,
    fix: bool,
    tell: &mut dyn FnMut(DoctorProgress),
) -> Option<Vec<StoredKey>> {
    let name = "list of keys";
    let mut read = inventory::list_keys(&services.location, &services.server);
    if let (true, Err(Error::InvalidJson { path, .. })) = (fix, &read) {
        let aside = path.with_extension("json.broken");
        tell(DoctorProgress::Notice(format!(
            "the damaged list is moved aside to {}, and made anew from the keychain",
            aside.display()
        )));
        // An earlier one is not written over.
        if !aside.exists() && fs::rename(path, &aside).is_ok() {
            read = inventory::list_keys(&services.location, &services.server);
        }
    }
    match read {
        Ok(keys) => {
            tell(DoctorProgress::CheckFinished(HealthCheck::ok(
                name,
                format!("{} for {}", pluralize(keys.len(), "key"), services.server),
            )));
            Some(keys)
        }
        Err(error) => {
            let mut check = HealthCheck::from_error(name, &error.to_user_error());
            if matches!(error, Error::InvalidJson { .. }) && !fix {
                check.advice.push_str("; keywright doctor --fix does that, and makes it anew");
            }
            tell(DoctorProgress::CheckFinished(check));
            None
        }
    }
}

pub(super) fn check_pending_attempts(services: &ServiceContext) -> HealthCheck {
    let name = "attempts";
    let attempts = match journal::list_attempts(&services.location, &services.server) {
        Ok(attempts) => attempts,
        Err(error) => return HealthCheck::from_error(name, &error.to_user_error()),
    };
    let (unresolved, under_way): (Vec<_>, Vec<_>) =
        attempts.into_iter().partition(|attempt| attempt.stage == AttemptStage::Unresolved);
    if !unresolved.is_empty() {
        let named: Vec<_> = unresolved
            .iter()
            .map(|attempt| format!("'{}' of {}", attempt.label, format_date(attempt.started_at)))
            .collect();
        let message = format!("a key may have been issued and not received: {}", named.join(", "));
        let advice = format!(
            "keywright recover says more; look for it at {}/keys, delete it there, then strike it off",
            services.server
        );
        return HealthCheck::warn(name, message, advice);
    }
    if !under_way.is_empty() {
        let message = format!("{} not ended", pluralize(under_way.len(), "attempt"));
        let advice = "where its program is gone, keywright recover or the next dashboard brings it to its end";
        return HealthCheck::warn(name, message, advice);
    }
    HealthCheck::ok(name, "none left unresolved")
}
