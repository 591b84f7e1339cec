//! The data directory and the documents in it. Must not know: keychains, networks.

use std::fs;
use std::path::Path;

use super::{Check, News, count};
use crate::document::{Error, Place};
use crate::inventory;
use crate::journal::{self, Stage};
use crate::key::{HeldKey, day};
use crate::provision::Services;

pub(super) fn directory(services: &Services, fix: bool) -> Check {
    let name = "data directory";
    let Place::Directory(dir) = &services.place else {
        return Check::ok(name, "none: the list lives in memory, and ends with the program");
    };
    let shown = dir.display();
    if fs::symlink_metadata(dir).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
        return Check::ok(name, format!("{shown} is made with the first key"));
    }
    if let Err(error) = services.place.prove_writable() {
        return Check::trouble(name, &error.trouble());
    }
    let open = open_to_others(dir, fix);
    if open.is_empty() {
        return Check::ok(name, format!("{shown}, for you alone, writable"));
    }
    let names = open.join(", ");
    if fix && open_to_others(dir, false).is_empty() {
        return Check::ok(
            name,
            format!("{shown}: {names} could be read by others, and now cannot"),
        );
    }
    let advice = if fix {
        "the file system does not keep modes: choose another place with --data-dir".to_owned()
    } else {
        format!("keywright doctor --fix closes it: chmod -R go= '{shown}'")
    };
    Check::warn(name, format!("{shown}: {names} can be read by others"), advice)
}

/// What others than its owner may use; with `fix` they may no more, afterwards.
#[cfg(unix)]
fn open_to_others(dir: &Path, fix: bool) -> Vec<String> {
    use std::os::unix::fs::PermissionsExt;
    let files = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut open = Vec::new();
    for path in files.chain([dir.to_owned()]) {
        // What is no file of ours is not ours to close: a link, above all.
        let Ok(about) = fs::symlink_metadata(&path) else { continue };
        let mode = about.permissions().mode();
        if about.file_type().is_symlink() || mode & 0o077 == 0 {
            continue;
        }
        if fix {
            // Whether it took is looked at afterwards.
            let _ = fs::set_permissions(&path, fs::Permissions::from_mode(mode & 0o700));
        }
        let name = if path == dir { Some("it".into()) } else { path.file_name().map(Into::into) };
        let name: std::ffi::OsString = name.unwrap_or_default();
        open.push(crate::key::clean(&name.to_string_lossy(), 60));
    }
    open
}

#[cfg(not(unix))]
fn open_to_others(_: &Path, _: bool) -> Vec<String> {
    Vec::new()
}

/// The keys on the list; `None` where it cannot be read. With `fix` a damaged list is moved aside.
pub(super) fn list(
    services: &Services,
    fix: bool,
    tell: &mut dyn FnMut(News),
) -> Option<Vec<HeldKey>> {
    let name = "list of keys";
    let mut read = inventory::read(&services.place, &services.server);
    if let (true, Err(Error::Broken { path, .. })) = (fix, &read) {
        let aside = path.with_extension("json.broken");
        tell(News::Notice(format!(
            "the damaged list is moved aside to {}, and made anew from the keychain",
            aside.display()
        )));
        // An earlier one is not written over.
        if !aside.exists() && fs::rename(path, &aside).is_ok() {
            read = inventory::read(&services.place, &services.server);
        }
    }
    match read {
        Ok(keys) => {
            tell(News::Check(Check::ok(
                name,
                format!("{} for {}", count(keys.len(), "key"), services.server),
            )));
            Some(keys)
        }
        Err(error) => {
            let mut check = Check::trouble(name, &error.trouble());
            if matches!(error, Error::Broken { .. }) && !fix {
                check.advice.push_str("; keywright doctor --fix does that, and makes it anew");
            }
            tell(News::Check(check));
            None
        }
    }
}

pub(super) fn attempts(services: &Services) -> Check {
    let name = "attempts";
    let attempts = match journal::read(&services.place, &services.server) {
        Ok(attempts) => attempts,
        Err(error) => return Check::trouble(name, &error.trouble()),
    };
    let (unresolved, under_way): (Vec<_>, Vec<_>) =
        attempts.into_iter().partition(|attempt| attempt.stage == Stage::Unresolved);
    if !unresolved.is_empty() {
        let named: Vec<_> = unresolved
            .iter()
            .map(|attempt| format!("'{}' of {}", attempt.label, day(attempt.at)))
            .collect();
        let message = format!("a key may have been issued and not received: {}", named.join(", "));
        let advice = format!(
            "look for it at {}/keys and delete it there, then strike it off in the dashboard",
            services.server
        );
        return Check::warn(name, message, advice);
    }
    if !under_way.is_empty() {
        let message = format!("{} not ended", count(under_way.len(), "attempt"));
        let advice =
            "where its program is gone, the next start of the dashboard brings it to its end";
        return Check::warn(name, message, advice);
    }
    Check::ok(name, "none left unresolved")
}
