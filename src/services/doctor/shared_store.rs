//! Checks of a shared store: the engine, the mount, the token and its rights, and the keys of the
//! inventory that should be there.

use jiff::{SignedDuration, Timestamp};

use super::{DoctorProgress, HealthCheck, KEYCHAIN_CHECK};
use crate::domain::{StoreKind, StoredKey, format_duration, sanitize};
use crate::services::provision::{self, ServiceContext};
use crate::services::shared_inventory;
use crate::storage::secret_store::bao::{BaoStore, Error, TokenInfo};
use crate::storage::secret_store::{self, SecretStore};

const CHECK_NAME: &str = "shared store";

/// A larger difference between the clocks is worth a warning.
const MAX_CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// A token with less time left is worth a warning, where nothing can extend it.
const SHORT_LIFE: SignedDuration = SignedDuration::from_hours(24);

/// Checks each shared store that keys are or may be in. Returns whether the first store is one.
pub(super) fn check_shared_stores(
    services: &ServiceContext,
    inventory: &[StoredKey],
    report: &mut dyn FnMut(DoctorProgress),
) -> bool {
    let has_keys = inventory.iter().any(|key| key.is_in_store(&StoreKind::Bao));
    let stores = std::iter::once(&services.secret_store)
        .chain(services.other_stores.iter().filter(|_| has_keys))
        .filter_map(SecretStore::as_bao);
    for store in stores {
        for check in check_engine(store, services, Timestamp::now()) {
            report(DoctorProgress::CheckFinished(check));
        }
    }
    services.secret_store.as_bao().is_some()
}

/// Checks the store of this machine, which has the secrets of a sign-in until its key is stored.
pub(super) fn check_local_store(services: &ServiceContext) -> HealthCheck {
    let services = services.local();
    let (store, service) = (&services.secret_store, &services.keychain_service);
    match store.check_writable(service, services.secret_store_timeout) {
        Ok(()) => HealthCheck::ok(
            KEYCHAIN_CHECK,
            format!("{} takes the secrets of a sign-in", store.display_name()),
        ),
        Err(error) => {
            let error = provision::Error::NoLocalStore(error).to_user_error();
            HealthCheck::from_error(KEYCHAIN_CHECK, &error)
        }
    }
}

fn check_engine(store: &BaoStore, services: &ServiceContext, now: Timestamp) -> Vec<HealthCheck> {
    match read_engine(store, services, now) {
        Ok(checks) => checks,
        Err(error) => vec![HealthCheck::fail(CHECK_NAME, error.to_string(), error.advice())],
    }
}

fn read_engine(
    store: &BaoStore,
    services: &ServiceContext,
    now: Timestamp,
) -> Result<Vec<HealthCheck>, secret_store::Error> {
    let health = store.health()?;
    let address = store.address()?;
    if !health.initialized {
        return Err(Error::NotInitialized(address).into());
    }
    if health.sealed {
        return Err(Error::Sealed(address).into());
    }
    let token = store.lookup_token()?;
    match store.read_mount()? {
        None => return Err(Error::NoMount(store.mount().into()).into()),
        Some(mount) if !mount.is_kv2() => {
            let kind =
                if mount.kind == "kv" { "a KV engine of version 1" } else { "another engine" };
            let mount = store.mount().into();
            return Err(Error::WrongMount { mount, kind: kind.into() }.into());
        }
        Some(_) => {}
    }
    let entry_id = services.entry_id("example");
    let path = store.entry_path(&entry_id);
    let folder = store.folder_path(&services.keychain_service);
    let paths = ["data", "metadata"].map(|kind| format!("{}/{kind}/{path}", store.mount()));
    let list_path = format!("{}/metadata/{folder}/", store.mount());
    let rights = store.capabilities(paths.into_iter().chain([list_path]).collect());
    let rights = rights.map(|rights| describe_rights(&rights));
    let mut checks = Vec::new();
    let version = sanitize(&health.version, 40);
    let where_ = format!("{} has version {version}", store.display_name());
    let token_text = describe_token(&token);
    match rights {
        Ok(Rights { may_write: true, text, .. }) => {
            checks.push(HealthCheck::ok(CHECK_NAME, format!("{where_}; {token_text}; it may {text}")));
        }
        Ok(Rights { may_read, text, .. }) => checks.push(HealthCheck::warn(
            CHECK_NAME,
            format!("{where_}; {token_text}; it may {text}"),
            if may_read {
                "get, run and env work; to create or rotate keys, ask for a policy with create and update"
            } else {
                "no command can use a key; ask for a policy with read and list, and to create keys with create and update"
            },
        )),
        // A policy may hide what the token may do.
        Err(_) => checks.push(HealthCheck::ok(CHECK_NAME, format!("{where_}; {token_text}"))),
    }
    let left = SignedDuration::from_secs(i64::try_from(token.ttl).unwrap_or(i64::MAX));
    if token.ttl > 0 && left < SHORT_LIFE && !token.renewable {
        checks.push(HealthCheck::warn(
            CHECK_NAME,
            format!("the token expires in {} and cannot be renewed", format_duration(left)),
            "log in again with `bao login` before it expires",
        ));
    }
    if let Ok(theirs) = Timestamp::from_second(health.server_time_utc)
        && health.server_time_utc > 0
        && theirs.duration_since(now).abs() > MAX_CLOCK_SKEW
    {
        checks.push(HealthCheck::warn(
            CHECK_NAME,
            format!(
                "the clock of the engine and that of this machine differ by {}",
                format_duration(theirs.duration_since(now).abs())
            ),
            "set the clock: logins and certificates are refused where it is wrong; see `date -u`",
        ));
    }
    checks.extend(check_entries(services));
    Ok(checks)
}

/// Reads all keys. One that is not there any more is not called lost: a colleague may have removed or
/// renamed it.
fn check_entries(services: &ServiceContext) -> Vec<HealthCheck> {
    let view = shared_inventory::read_only_view(services);
    let services = view.as_ref().unwrap_or(services);
    let read = match shared_inventory::read_all(services, |_, _| ()) {
        Ok(read) => read,
        Err(error) => return vec![HealthCheck::from_error(CHECK_NAME, &error.to_user_error())],
    };
    let mut checks = Vec::new();
    if !read.removed.is_empty() {
        let names: Vec<_> = read.removed.iter().map(|label| format!("'{label}'")).collect();
        checks.push(HealthCheck::warn(
            CHECK_NAME,
            format!("not in the shared store any more: {}", names.join(", ")),
            "someone removed or renamed them, and they are not listed here any more: see keywright list",
        ));
    }
    let keys = services.list_keys().unwrap_or_default();
    let unreadable = read.unreadable.iter().map(secret_store::Error::to_user_error);
    let hidden = read.hidden.iter().map(shared_inventory::hidden_key_error);
    let problems = shared_inventory::find_problems(services, &keys).into_iter();
    let all = problems.chain(unreadable).chain(hidden);
    checks.extend(all.map(|error| HealthCheck::from_error(CHECK_NAME, &error)));
    checks
}

struct Rights {
    may_read: bool,
    may_write: bool,
    text: String,
}

fn describe_rights(rights: &[Vec<String>]) -> Rights {
    let may = |index: usize, name: &str| {
        let names = rights.get(index).map(Vec::as_slice).unwrap_or_default();
        names.iter().any(|other| other == name || other == "root")
    };
    let may_write = may(0, "create") && may(0, "update");
    let verbs = [
        (may(0, "read"), "read"),
        (may_write, "write"),
        (may(1, "delete"), "delete"),
        (may(2, "list"), "list"),
    ];
    let words: Vec<_> = verbs.into_iter().filter(|(may, _)| *may).map(|(_, word)| word).collect();
    let text = match words.split_last() {
        Some((last, [])) => format!("{last} keys"),
        Some((last, others)) => format!("{} and {last} keys", others.join(", ")),
        None => "do nothing with keys".into(),
    };
    let only = if may_write || words.is_empty() { "" } else { " only" };
    Rights { may_write, may_read: may(0, "read"), text: text + only }
}

fn describe_token(token: &TokenInfo) -> String {
    let policies: Vec<_> = token
        .policies
        .iter()
        .chain(&token.identity_policies)
        .map(|policy| sanitize(policy, 60))
        .collect();
    let life = match i64::try_from(token.ttl) {
        Ok(0) => "never expires".into(),
        Ok(seconds) => {
            format!("expires in {}", format_duration(SignedDuration::from_secs(seconds)))
        }
        Err(_) => "expires late".into(),
    };
    let name = sanitize(&token.display_name, 60);
    format!("the token of '{name}' has the policies {} and {life}", policies.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_named_in_words() {
        let rights = |data: &[&str], metadata: &[&str], list: &[&str]| {
            let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            describe_rights(&[names(data), names(metadata), names(list)])
        };
        let all = rights(&["create", "read", "update"], &["delete"], &["list"]);
        assert!(all.may_write);
        assert_eq!(all.text, "read, write, delete and list keys");
        let read_only = rights(&["read"], &["read"], &[]);
        assert!(!read_only.may_write);
        assert_eq!(read_only.text, "read keys only");
        let none = rights(&["deny"], &[], &[]);
        assert_eq!((none.may_read, none.text.as_str()), (false, "do nothing with keys"));
        assert!(rights(&["root"], &["root"], &["root"]).may_write);
    }
}
