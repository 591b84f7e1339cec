//! The Secret Service of Linux and its kin: the store, and the questions it cannot answer.
//! Owns: telling no bus, no provider, no collection and a locked one apart; unlocking.
//! Must not know: secrets. Nothing here ever asks for one.

mod fast_read;

use std::collections::HashMap;
use std::sync::Arc;

use keyring_core::{CredentialStore, Entry};
use zbus::blocking::{Connection, Proxy};
use zbus::zvariant::{OwnedObjectPath, OwnedValue};
use zbus_secret_service_keyring_store::Store;

use super::UnlockOutcome;
use crate::storage::secret_store::{Error, ProviderInfo};

pub(in crate::storage::secret_store) const DISPLAY_NAME: &str = "the Secret Service keychain";

const SERVICE_BUS_NAME: &str = "org.freedesktop.secrets";
/// The bus itself, and its interface.
const DBUS_NAME: &str = "org.freedesktop.DBus";
const SERVICE_PATH: &str = "/org/freedesktop/secrets";
const SERVICE_INTERFACE: &str = "org.freedesktop.Secret.Service";
const COLLECTION_INTERFACE: &str = "org.freedesktop.Secret.Collection";
const PROMPT_INTERFACE: &str = "org.freedesktop.Secret.Prompt";
/// The specification's way of saying "no object".
const NO_OBJECT_PATH: &str = "/";

/// Whether a window asking to unlock could reach anybody.
pub(in crate::storage::secret_store) fn can_prompt() -> bool {
    crate::platform::environment::has_display()
}

pub(super) use fast_read::try_fast_read;

pub(super) fn connect() -> keyring_core::Result<Arc<CredentialStore>> {
    Ok(Store::new()?)
}

/// The title people see in their keyring's window; an attribute is not made of it.
pub(super) fn entry_modifiers(title: &str) -> [(&'static str, &str); 1] {
    [("label", title)]
}

pub(super) fn search_entries(
    store: &CredentialStore,
    service: &str,
) -> keyring_core::Result<Vec<Entry>> {
    store.search(&HashMap::from([("service", service)]))
}

/// Who provides the service. Asks nobody to unlock it.
pub(in crate::storage::secret_store) fn provider_info() -> Result<ProviderInfo, Error> {
    let keychain = DefaultCollection::connect()?;
    let locked = keychain.is_locked().map_err(|failure| convert_error(&failure))?;
    Ok(ProviderInfo { program: keychain.provider_program(), locked })
}

/// What "no access" means when nothing else is found wrong.
pub(super) fn no_access_error(_cause: &(dyn std::error::Error + 'static)) -> Error {
    Error::Locked
}

/// Looks for what is wrong with the keychain itself. `None`: nothing is.
pub(super) fn diagnose_access() -> Option<Error> {
    match DefaultCollection::connect() {
        Err(why) => Some(why),
        Ok(keychain) => keychain.is_locked().unwrap_or(false).then_some(Error::Locked),
    }
}

/// Asks the person to unlock the default collection, if it is locked.
pub(super) fn unlock() -> UnlockOutcome {
    let keychain = match DefaultCollection::connect() {
        Ok(keychain) => keychain,
        Err(why) => return UnlockOutcome::Failed(why),
    };
    match keychain.is_locked() {
        Ok(false) => UnlockOutcome::AlreadyUnlocked,
        Ok(true) => match keychain.unlock() {
            Ok(()) if matches!(keychain.is_locked(), Ok(false)) => UnlockOutcome::JustUnlocked,
            Ok(()) | Err(_) => UnlockOutcome::Failed(Error::Locked),
        },
        Err(failure) => UnlockOutcome::Failed(convert_error(&failure)),
    }
}

/// The default collection, reached over a connection of its own.
struct DefaultCollection {
    connection: Connection,
    path: OwnedObjectPath,
}

impl DefaultCollection {
    fn connect() -> Result<Self, Error> {
        let bus = Connection::session().map_err(|_| Error::NoSessionBus)?;
        let collection: OwnedObjectPath =
            Proxy::new(&bus, SERVICE_BUS_NAME, SERVICE_PATH, SERVICE_INTERFACE)
                .and_then(|service| service.call("ReadAlias", &("default",)))
                .map_err(|failure| convert_error(&failure))?;
        if collection.as_str() == NO_OBJECT_PATH {
            return Err(Error::NoDefaultCollection);
        }
        Ok(Self { connection: bus, path: collection })
    }

    fn is_locked(&self) -> zbus::Result<bool> {
        Proxy::new(&self.connection, SERVICE_BUS_NAME, &self.path, COLLECTION_INTERFACE)?
            .get_property("Locked")
    }

    /// The name of its program, where that can be told.
    fn provider_program(&self) -> Option<String> {
        let pid: u32 = Proxy::new(&self.connection, DBUS_NAME, "/org/freedesktop/DBus", DBUS_NAME)
            .and_then(|bus| bus.call("GetConnectionUnixProcessID", &(SERVICE_BUS_NAME,)))
            .ok()?;
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let program = String::from_utf8_lossy(line.split(|byte| *byte == 0).next()?).into_owned();
        Some(program.rsplit('/').next()?.to_owned()).filter(|name| !name.is_empty())
    }

    fn unlock(&self) -> zbus::Result<()> {
        let (_, prompt): (Vec<OwnedObjectPath>, OwnedObjectPath) =
            Proxy::new(&self.connection, SERVICE_BUS_NAME, SERVICE_PATH, SERVICE_INTERFACE)?
                .call("Unlock", &(vec![&self.path],))?;
        if prompt.as_str() == NO_OBJECT_PATH {
            return Ok(());
        }
        let prompt = Proxy::new(&self.connection, SERVICE_BUS_NAME, prompt, PROMPT_INTERFACE)?;
        let mut completed = prompt.receive_signal("Completed")?;
        let _: () = prompt.call("Prompt", &("",))?;
        if let Some(signal) = completed.next() {
            let _: (bool, OwnedValue) = signal.body().deserialize()?;
        }
        Ok(())
    }
}

/// What a failed question to the provider says about it.
fn convert_error(failure: &zbus::Error) -> Error {
    match failure {
        zbus::Error::MethodError(name, _, _) => match name.as_str() {
            "org.freedesktop.DBus.Error.ServiceUnknown"
            | "org.freedesktop.DBus.Error.NameHasNoOwner" => Error::NoProvider,
            // It is registered and did not come up, or it died over the question.
            spawn if spawn.starts_with("org.freedesktop.DBus.Error.Spawn") => Error::NoProvider,
            "org.freedesktop.DBus.Error.NoReply"
            | "org.freedesktop.DBus.Error.Timeout"
            | "org.freedesktop.DBus.Error.TimedOut" => Error::TimedOut,
            _ => Error::other(&failure.to_string()),
        },
        zbus::Error::InputOutput(_) | zbus::Error::Address(_) => Error::NoSessionBus,
        _ => Error::other(&failure.to_string()),
    }
}
