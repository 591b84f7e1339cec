//! Checks of the keychain, and of the inventory against it.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::{
    DoctorProgress, HealthCheck, KEYCHAIN_CHECK, STORED_KEYS_CHECK, pluralize, stray_entries,
};
use crate::domain::{Label, StoreKind, StoredKey, UserError, sanitize};
use crate::services::keys;
use crate::services::provision::ServiceContext;
use crate::storage::secret_store;

/// Time to unlock the keychain: enough to type a password into a prompt that is already open.
const UNLOCK_TIMEOUT: Duration = Duration::from_secs(15);

/// Longest time for comparing entries with the inventory; a keychain may hold thousands.
const COMPARE_TIMEOUT: Duration = Duration::from_secs(5);

/// Returns whether keys can be stored and read.
pub(super) fn check_keychain(
    services: &ServiceContext,
    report: &mut dyn FnMut(DoctorProgress),
) -> bool {
    let name = KEYCHAIN_CHECK;
    let began = Instant::now();
    let provider = services.secret_store.provider_info(services.secret_store_timeout);
    let mut timeout = services.secret_store_timeout;
    if matches!(&provider, Ok(provider) if provider.locked) && secret_store::can_prompt() {
        let message = format!(
            "the keychain is locked: waiting {} s for you to unlock it",
            UNLOCK_TIMEOUT.as_secs()
        );
        report(DoctorProgress::Notice(message));
        timeout = UNLOCK_TIMEOUT;
    }
    let (store, service) = (&services.secret_store, &services.keychain_service);
    let result = match &provider {
        Ok(_) => store.check_writable(service, timeout).and_then(|()| match store.kind() {
            // A helper may store keys and not list them; then no lost inventory can be rebuilt.
            StoreKind::Exec(_) => store.list_accounts(service, timeout).map(drop),
            _ => Ok(()),
        }),
        Err(error) => Err(error.clone()),
    };
    let works = result.is_ok();
    let provider = provider.ok().map(|info| info.provider).filter(|name| !name.is_unknown());
    let program = provider.map_or(String::new(), |name| format!(", served by {name}"));
    let store = services.secret_store.display_name();
    report(DoctorProgress::CheckFinished(match result {
        Ok(()) => HealthCheck::ok(
            name,
            format!(
                "{store}{program}: wrote, read back and deleted a test entry in {} ms",
                began.elapsed().as_millis()
            ),
        ),
        Err(error) => HealthCheck::fail(name, format!("{error}{program}"), error.advice()),
    }));
    works
}

/// Reports for each credential helper that has keys, besides the store in use, whether it answers.
pub(super) fn check_helpers(
    services: &ServiceContext,
    inventory: &[StoredKey],
    report: &mut dyn FnMut(DoctorProgress),
) {
    let mut helpers: Vec<(ServiceContext, usize)> = Vec::new();
    for key in inventory {
        let services_of_key = services.for_key(key);
        let kind = services_of_key.secret_store.kind();
        if !matches!(kind, StoreKind::Exec(_)) || kind == services.secret_store.kind() {
            continue;
        }
        match helpers.iter_mut().find(|(other, _)| other.secret_store.kind() == kind) {
            Some((_, count)) => *count += 1,
            None => helpers.push((services_of_key, 1)),
        }
    }
    for (services, count) in helpers {
        let store = &services.secret_store;
        let accounts =
            store.list_accounts(&services.keychain_service, services.secret_store_timeout);
        report(DoctorProgress::CheckFinished(match accounts {
            Ok(accounts) => HealthCheck::ok(
                "helpers",
                format!(
                    "{}: lists {}; the inventory has {} there",
                    store.display_name(),
                    pluralize(accounts.len(), "key"),
                    pluralize(count, "key"),
                ),
            ),
            Err(error) => HealthCheck::fail("helpers", error.to_string(), error.advice()),
        }));
    }
}

/// Reports each key that leaked and may still be used.
pub(super) fn report_exposed_keys(inventory: &[StoredKey], report: &mut dyn FnMut(DoctorProgress)) {
    let now = jiff::Timestamp::now();
    for key in inventory.iter().filter(|key| key.is_exposed(now)) {
        let UserError { message, advice, .. } = key.exposed_error();
        report(DoctorProgress::CheckFinished(HealthCheck::fail("leaked keys", message, advice)));
    }
}

/// Reports each key of an account that the user has not confirmed.
pub(super) fn report_other_accounts(
    inventory: &[StoredKey],
    report: &mut dyn FnMut(DoctorProgress),
) {
    for key in inventory.iter().filter(|key| key.is_of_unconfirmed_account()) {
        let UserError { message, advice, .. } = key.other_account_error();
        report(DoctorProgress::CheckFinished(HealthCheck::fail("accounts", message, advice)));
    }
}

/// Compares the inventory with the keychain, in both directions.
pub(super) async fn check_stored_keys(
    services: &ServiceContext,
    inventory: &[StoredKey],
    fix: bool,
    reachable: bool,
    report: &mut dyn FnMut(DoctorProgress),
) {
    let name = STORED_KEYS_CHECK;
    let accounts = match services
        .secret_store
        .list_accounts(&services.keychain_service, services.secret_store_timeout)
    {
        Ok(accounts) => accounts,
        Err(error) => {
            let message = format!("cannot list the keychain's entries: {error}");
            return report(DoctorProgress::CheckFinished(HealthCheck::warn(
                name,
                message,
                error.advice(),
            )));
        }
    };
    let store = services.secret_store.kind();
    let in_store = inventory.iter().filter(|key| key.is_in_store(&store));
    let (present, missing): (Vec<_>, Vec<_>) = in_store.partition(|key| {
        accounts.binary_search_by(|account| account.as_str().cmp(key.label.as_str())).is_ok()
    });
    let labels: HashSet<_> = inventory.iter().map(|key| key.label.as_str()).collect();
    let stray = stray_entries::check_stray_entries(services, fix, report);
    let is_stray = |account: &&String| stray.iter().any(|entry| entry.account() == Some(account));
    let (unlisted, foreign): (Vec<_>, Vec<_>) = accounts
        .iter()
        .filter(|account| !labels.contains(account.as_str()) && !is_stray(account))
        .partition(|account| keys::may_be_key(services, account));
    let Comparison { compared, mismatched, unreadable } = compare_entries(services, &present);
    let elsewhere = inventory.iter().filter(|key| !key.is_in_store(&store)).count();

    let mut consistent = stray.is_empty() || fix;
    if !missing.is_empty() {
        consistent = false;
        let check = match keys::missing_error(services, &missing[0].label) {
            keys::Error::OtherKeychain(error) => HealthCheck::from_error(name, &error),
            _ => HealthCheck::fail(
                name,
                format!(
                    "in the inventory but not in the keychain: {}",
                    quote_names(missing.iter().map(|key| key.label.as_str()))
                ),
                "the key is lost on this machine: run keywright rotate LABEL to replace it, or keywright rm LABEL to remove it from the inventory",
            ),
        };
        report(DoctorProgress::CheckFinished(check));
    }
    for (stored_key, error) in &unreadable {
        consistent = false;
        let message = format!("'{}' cannot be read: {error}", stored_key.label);
        report(DoctorProgress::CheckFinished(HealthCheck::fail(name, message, error.advice())));
    }
    if !mismatched.is_empty() {
        consistent = false;
        let message = format!(
            "the keychain holds a different key than the inventory: {}",
            quote_names(mismatched.iter().map(|key| key.label.as_str()))
        );
        let advice = "another program changed the entry: keywright get LABEL prints the key that is there; to adopt it, run keywright rm LABEL, then keywright import LABEL";
        report(DoctorProgress::CheckFinished(HealthCheck::warn(name, message, advice)));
    }
    if !unlisted.is_empty() {
        consistent = false;
        let names = quote_names(unlisted.iter().map(|label| label.as_str()));
        // An empty inventory is rebuilt without --fix, because nothing in it can be overwritten.
        if fix || inventory.is_empty() {
            restore_inventory(services, &unlisted, reachable, report).await;
        } else {
            let message = format!("in the keychain but not in the inventory: {names}");
            let advice = "run keywright doctor --fix to add them: each is read from the keychain and checked at the server";
            report(DoctorProgress::CheckFinished(HealthCheck::warn(name, message, advice)));
        }
    }
    if !foreign.is_empty() {
        let message = format!(
            "in the keychain under Keywright's service name, and not Keywright's keys: {}",
            quote_names(foreign.iter().map(|account| account.as_str()))
        );
        let advice = "another program wrote them; Keywright neither uses, changes nor deletes them";
        report(DoctorProgress::CheckFinished(HealthCheck::warn(name, message, advice)));
    }
    if consistent {
        let skipped = match present.len() - compared {
            0 => String::new(),
            skipped => format!(" ({skipped} not compared: out of time)"),
        };
        let others = match elsewhere {
            0 => String::new(),
            count => format!("; not checked: {} in another store", pluralize(count, "key")),
        };
        let message = format!(
            "{}, each with a keychain entry{skipped}{others}",
            pluralize(present.len(), "key")
        );
        report(DoctorProgress::CheckFinished(HealthCheck::ok(name, message)));
    }
}

/// The result of reading the entries of keys.
#[derive(Default)]
struct Comparison<'a> {
    /// How many entries were read before the time was over.
    compared: usize,
    /// Keys whose entry has a different key.
    mismatched: Vec<&'a StoredKey>,
    /// Keys whose entry cannot be read, such as two entries under one name.
    unreadable: Vec<(&'a StoredKey, secret_store::Error)>,
}

fn compare_entries<'a>(services: &ServiceContext, present: &[&'a StoredKey]) -> Comparison<'a> {
    let started = Instant::now();
    let mut comparison = Comparison::default();
    for &stored in present {
        if started.elapsed() > COMPARE_TIMEOUT {
            break;
        }
        match keys::load_key(services, &stored.label) {
            Ok(key) if key.hash() != stored.hash => comparison.mismatched.push(stored),
            Err(keys::Error::SecretStore(error)) => comparison.unreadable.push((stored, error)),
            Ok(_) | Err(_) => {}
        }
        comparison.compared += 1;
    }
    comparison
}

/// Adds keychain entries to the inventory.
async fn restore_inventory(
    services: &ServiceContext,
    unlisted: &[&String],
    reachable: bool,
    report: &mut dyn FnMut(DoctorProgress),
) {
    let name = STORED_KEYS_CHECK;
    let check =
        if reachable { "checked at the server" } else { "not checked: the server is unreachable" };
    report(DoctorProgress::Notice(format!(
        "adding {} to the inventory: each is read from the keychain and {check}",
        pluralize(unlisted.len(), "key")
    )));
    let mut added = Vec::new();
    for account in unlisted {
        // Entries with other names are not keys.
        let Ok(label) = Label::parse_existing(account) else { continue };
        match keys::restore_inventory_entry(services, &label, reachable).await {
            Ok(key) => added.push(key),
            Err(error) => {
                let error = error.to_user_error();
                let message = format!(
                    "'{}' was not added to the inventory: {}",
                    sanitize(account, 100),
                    error.message
                );
                report(DoctorProgress::CheckFinished(HealthCheck::warn(
                    name,
                    message,
                    error.advice,
                )));
            }
        }
    }
    if !added.is_empty() {
        let names = quote_names(added.iter().map(|key| key.label.as_str()));
        let elsewhere = keys::find_in_other_profiles(services);
        for key in &added {
            for copy in elsewhere.get(&key.hash).into_iter().flatten() {
                report(DoctorProgress::Notice(format!("'{}' is {copy}", key.label)));
            }
        }
        report(DoctorProgress::CheckFinished(HealthCheck::ok(
            name,
            format!("added to the inventory: {names}"),
        )));
    }
}

/// Quotes and joins names: `'a', 'b' and 3 more`.
fn quote_names<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    const MAX_NAMES: usize = 20;
    let more = names.len().saturating_sub(MAX_NAMES);
    let shown: Vec<_> =
        names.take(MAX_NAMES).map(|name| format!("'{}'", sanitize(name, 100))).collect();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{more}", shown.join(", "))
}
