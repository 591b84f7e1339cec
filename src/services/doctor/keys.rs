//! The keychain, and the list against it. Must not know: files.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::{DoctorProgress, HealthCheck, KEYCHAIN_CHECK, pluralize};
use crate::domain::{ErrorKind, Label, StoredKey, UserError, sanitize};
use crate::services::keys;
use crate::services::provision::ServiceContext;
use crate::storage::secret_store;

/// How long a person is given to unlock it: long enough to type a password at a window that is
/// already there.
const UNLOCK_TIMEOUT: Duration = Duration::from_secs(15);

/// So long entries are compared with the list; a keychain of thousands is left after that.
const COMPARE_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether keys can be stored and read.
pub(super) fn check_keychain(
    services: &ServiceContext,
    tell: &mut dyn FnMut(DoctorProgress),
) -> bool {
    let name = KEYCHAIN_CHECK;
    let began = Instant::now();
    let served = services.secret_store.provider_info(services.secret_store_timeout);
    let mut patience = services.secret_store_timeout;
    if matches!(&served, Ok(served) if served.locked) && secret_store::can_prompt() {
        let words = format!(
            "the keychain is locked: waiting {} s for you to unlock it",
            UNLOCK_TIMEOUT.as_secs()
        );
        tell(DoctorProgress::Notice(words));
        patience = UNLOCK_TIMEOUT;
    }
    let tried = match &served {
        Ok(_) => services.secret_store.check_writable(&services.keychain_service, patience),
        Err(error) => Err(error.clone()),
    };
    let open = tried.is_ok();
    let by = served.ok().and_then(|served| served.program);
    let by = by.map_or(String::new(), |by| format!(", served by {}", sanitize(&by, 60)));
    let place = services.secret_store.display_name();
    tell(DoctorProgress::CheckFinished(match tried {
        Ok(()) => HealthCheck::ok(
            name,
            format!(
                "{place}{by}: written, read back and deleted in {} ms",
                began.elapsed().as_millis()
            ),
        ),
        Err(error) => HealthCheck::fail(name, format!("{error}{by}"), error.advice()),
    }));
    open
}

/// The list against the keychain, either way.
pub(super) async fn check_stored_keys(
    services: &ServiceContext,
    listed: &[StoredKey],
    fix: bool,
    reached: bool,
    tell: &mut dyn FnMut(DoctorProgress),
) {
    let name = "held keys";
    let there = match services
        .secret_store
        .list_accounts(&services.keychain_service, services.secret_store_timeout)
    {
        Ok(accounts) => accounts,
        Err(error) => {
            let message = format!("the keychain's entries cannot be listed here: {error}");
            return tell(DoctorProgress::CheckFinished(HealthCheck::warn(
                name,
                message,
                error.advice(),
            )));
        }
    };
    let store = services.secret_store.kind().to_string();
    let here = || listed.iter().filter(|held| held.store == store);
    let (present, missing): (Vec<_>, Vec<_>) = here().partition(|held| {
        there.binary_search_by(|other| other.as_str().cmp(held.label.as_str())).is_ok()
    });
    let labels: HashMap<_, _> = listed.iter().map(|held| (held.label.as_str(), held)).collect();
    let unlisted: Vec<_> =
        there.iter().filter(|account| !labels.contains_key(account.as_str())).collect();
    let (compared, other) = find_mismatched(services, &present);

    let mut sound = true;
    if !missing.is_empty() {
        sound = false;
        let message = format!(
            "on the list, and not in the keychain: {}",
            quote_names(missing.iter().map(|held| held.label.as_str()))
        );
        let advice = "the key itself is gone from here: keywright rotate LABEL puts a new one in its place, keywright rm LABEL takes it off the list";
        tell(DoctorProgress::CheckFinished(HealthCheck::fail(name, message, advice)));
    }
    if !other.is_empty() {
        sound = false;
        let message = format!(
            "the keychain holds another key than the list says: {}",
            quote_names(other.iter().map(|held| held.label.as_str()))
        );
        let advice = "another program wrote it: keywright get LABEL shows what is there; keywright rm LABEL, then keywright import LABEL takes it over";
        tell(DoctorProgress::CheckFinished(HealthCheck::warn(name, message, advice)));
    }
    if !unlisted.is_empty() {
        sound = false;
        let names = quote_names(unlisted.iter().map(|label| label.as_str()));
        // A list that is gone is made anew: there is nothing on it that could be wrong.
        if fix || listed.is_empty() {
            restore_inventory(services, &unlisted, reached, tell).await;
        } else {
            let message = format!("in the keychain, and not on the list: {names}");
            let advice = "keywright doctor --fix puts them on the list: each is read, and asked about itself";
            tell(DoctorProgress::CheckFinished(HealthCheck::warn(name, message, advice)));
        }
    }
    if sound {
        let rest = present.len() - compared;
        let rest =
            if rest == 0 { String::new() } else { format!(" ({rest} not compared: too many)") };
        let message = format!("{}, each with its entry{rest}", pluralize(present.len(), "key"));
        tell(DoctorProgress::CheckFinished(HealthCheck::ok(name, message)));
    }
}

/// How many were compared, and which entries hold another key.
fn find_mismatched<'a>(
    services: &ServiceContext,
    present: &[&'a StoredKey],
) -> (usize, Vec<&'a StoredKey>) {
    let began = Instant::now();
    let mut other = Vec::new();
    for (compared, &held) in present.iter().enumerate() {
        if began.elapsed() > COMPARE_TIMEOUT {
            return (compared, other);
        }
        if keys::load_key(services, &held.label).is_ok_and(|key| key.hash() != held.hash) {
            other.push(held);
        }
    }
    (present.len(), other)
}

/// Puts entries on the list.
async fn restore_inventory(
    services: &ServiceContext,
    unlisted: &[&String],
    reached: bool,
    tell: &mut dyn FnMut(DoctorProgress),
) {
    let name = "held keys";
    let ask = if reached { "asked about itself" } else { "not asked: the server is not reached" };
    tell(DoctorProgress::Notice(format!(
        "putting {} on the list: each is read from the keychain, and {ask}",
        pluralize(unlisted.len(), "key")
    )));
    let mut back = Vec::new();
    for account in unlisted {
        let added = match account.parse::<Label>() {
            Ok(label) if label.as_str() == account.as_str() => {
                keys::restore_inventory_entry(services, &label, reached)
                    .await
                    .map_err(|error| error.to_user_error())
            }
            Ok(_) | Err(_) => Err(UserError::new(
                ErrorKind::Failed,
                "this is no label",
                "another program wrote it; it was left as it is",
            )),
        };
        match added {
            Ok(held) => back.push(held.label),
            Err(trouble) => {
                let message =
                    format!("'{}' is not on the list: {}", sanitize(account, 100), trouble.message);
                tell(DoctorProgress::CheckFinished(HealthCheck::warn(
                    name,
                    message,
                    trouble.advice,
                )));
            }
        }
    }
    if !back.is_empty() {
        let names = quote_names(back.iter().map(Label::as_str));
        tell(DoctorProgress::CheckFinished(HealthCheck::ok(
            name,
            format!("put back on the list: {names}"),
        )));
    }
}

/// `'a', 'b' and 3 more`.
fn quote_names<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    const MAX_NAMES: usize = 20;
    let more = names.len().saturating_sub(MAX_NAMES);
    let shown: Vec<_> =
        names.take(MAX_NAMES).map(|name| format!("'{}'", sanitize(name, 100))).collect();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{more}", shown.join(", "))
}
