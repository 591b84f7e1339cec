//! The check for entries that an interrupted removal, restoration or renaming left in the keychain.

use super::{DoctorProgress, HealthCheck, STORED_KEYS_CHECK};
use crate::domain::{TRASH_DAYS, format_command, sanitize};
use crate::services::keys::{self, StrayEntry, unlisted_label};
use crate::services::provision::ServiceContext;

/// Reports what interrupted commands left in the keychain, and finishes it with `fix`. Returns what was
/// found.
pub(super) fn check_stray_entries(
    services: &ServiceContext,
    fix: bool,
    report: &mut dyn FnMut(DoctorProgress),
) -> Vec<StrayEntry> {
    let found =
        if fix { keys::mend_stray_entries(services) } else { keys::find_stray_entries(services) };
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            let error = error.to_user_error();
            report(DoctorProgress::CheckFinished(HealthCheck::from_error(
                STORED_KEYS_CHECK,
                &error,
            )));
            return Vec::new();
        }
    };
    for stray in &found {
        report(DoctorProgress::CheckFinished(describe(stray, fix)));
    }
    found
}

fn describe(stray: &StrayEntry, fix: bool) -> HealthCheck {
    let (what, mended) = match stray {
        StrayEntry::SecondEntry { account, label } => {
            let what = format!(
                "'{}' in the keychain is a second copy of '{label}'",
                sanitize(account, 100)
            );
            (what, "the copy was deleted".to_owned())
        }
        StrayEntry::RemovedKey { account, label } => (
            format!(
                "'{label}' was removed, and '{}' in the keychain is still a copy of it",
                sanitize(account, 100)
            ),
            format!(
                "the copy was deleted; for {TRASH_DAYS} days after its removal the key can be restored"
            ),
        ),
        StrayEntry::CopyInTrash { label, .. } => (
            format!("the trash has a copy of '{label}', which is stored"),
            "the copy was deleted".to_owned(),
        ),
        StrayEntry::UnlistedInTrash { hash } => {
            let label = unlisted_label(hash);
            let restore = format_command(&["trash", "restore"], &[&label]);
            (
                "the trash has a removed key that is not listed".to_owned(),
                format!("it is listed as '{label}'; to store it again: {restore} --as LABEL"),
            )
        }
    };
    if fix {
        return HealthCheck::ok(STORED_KEYS_CHECK, format!("{what}: {mended}"));
    }
    let advice = match stray {
        StrayEntry::UnlistedInTrash { .. } => "run keywright doctor --fix to list it again",
        StrayEntry::SecondEntry { .. }
        | StrayEntry::RemovedKey { .. }
        | StrayEntry::CopyInTrash { .. } => {
            "an interrupted command left it: run keywright doctor --fix to delete the copy"
        }
    };
    HealthCheck::warn(STORED_KEYS_CHECK, what, advice)
}
