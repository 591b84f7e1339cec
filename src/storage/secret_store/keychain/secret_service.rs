//! The Secret Service (Linux, BSD): the keyring store, plus what it cannot do: unlocking, and
//! telling a missing bus, provider or collection from a locked collection.

mod fast_read;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use keyring_core::{CredentialStore, Entry};
use zbus::blocking::{Connection, Proxy};
use zbus::zvariant::{DynamicType, OwnedObjectPath, OwnedValue, Type};
use zbus_secret_service_keyring_store::Store;

use super::UnlockOutcome;
use crate::storage::secret_store::{Error, Provider, ProviderInfo};

pub(in crate::storage::secret_store) const DISPLAY_NAME: &str = "the Secret Service keychain";

const SERVICE_BUS_NAME: &str = "org.freedesktop.secrets";
/// Name and interface of the bus itself.
const DBUS_NAME: &str = "org.freedesktop.DBus";
const SERVICE_PATH: &str = "/org/freedesktop/secrets";
const SERVICE_INTERFACE: &str = "org.freedesktop.Secret.Service";
const COLLECTION_INTERFACE: &str = "org.freedesktop.Secret.Collection";
const PROPERTIES_INTERFACE: &str = "org.freedesktop.DBus.Properties";
const PROMPT_INTERFACE: &str = "org.freedesktop.Secret.Prompt";
/// The path that means "no object" in the specification.
const NO_OBJECT_PATH: &str = "/";

/// Returns whether an unlock prompt can be shown to the user.
pub(in crate::storage::secret_store) fn can_prompt() -> bool {
    crate::platform::environment::has_display()
}

pub(super) use fast_read::try_fast_read;

pub(super) fn connect() -> keyring_core::Result<Arc<CredentialStore>> {
    Ok(Store::new()?)
}

/// Sets the title that keyring managers display. It is not an attribute.
pub(super) fn entry_modifiers(title: &str) -> [(&'static str, &str); 1] {
    [("label", title)]
}

pub(super) fn search_entries(
    store: &CredentialStore,
    service: &str,
) -> keyring_core::Result<Vec<Entry>> {
    store.search(&HashMap::from([("service", service)]))
}

/// Returns the provider of the service. Shows no unlock prompt.
pub(in crate::storage::secret_store) fn provider_info() -> Result<ProviderInfo, Error> {
    let keychain = DefaultCollection::connect()?;
    let locked = keychain.is_locked().map_err(|error| convert_error(&error))?;
    let collection = keychain.path.rsplit('/').next().map(str::to_owned);
    let provider = Provider { program: keychain.provider_program(), collection };
    Ok(ProviderInfo { provider, locked })
}

/// Converts a "no access" error for which [`diagnose_access`] found no cause.
pub(super) fn no_access_error(_cause: &(dyn std::error::Error + 'static)) -> Error {
    Error::Locked
}

/// Converts an error that has no known cause.
pub(super) fn platform_error(cause: &(dyn std::error::Error + 'static)) -> Error {
    Error::other(&cause.to_string())
}

/// Returns the reason why the keychain cannot be accessed, or `None` if there is none.
pub(super) fn diagnose_access() -> Option<Error> {
    match DefaultCollection::connect() {
        Err(error) => Some(error),
        Ok(keychain) => keychain.is_locked().unwrap_or(false).then_some(Error::Locked),
    }
}

/// Shows the unlock prompt if the default collection is locked.
pub(super) fn unlock() -> UnlockOutcome {
    let keychain = match DefaultCollection::connect() {
        Ok(keychain) => keychain,
        Err(error) => return UnlockOutcome::Failed(error),
    };
    match keychain.is_locked() {
        Ok(false) => UnlockOutcome::AlreadyUnlocked,
        Ok(true) => match keychain.unlock() {
            Ok(()) if matches!(keychain.is_locked(), Ok(false)) => UnlockOutcome::JustUnlocked,
            Ok(()) | Err(_) => UnlockOutcome::Failed(Error::Locked),
        },
        Err(error) => UnlockOutcome::Failed(convert_error(&error)),
    }
}

/// The default collection, with a D-Bus connection of its own.
struct DefaultCollection {
    connection: Connection,
    path: OwnedObjectPath,
}

impl DefaultCollection {
    fn connect() -> Result<Self, Error> {
        let bus = Connection::session().map_err(|_| no_bus_error())?;
        let service = (SERVICE_PATH, SERVICE_INTERFACE);
        let collection: OwnedObjectPath =
            call(&bus, service, "ReadAlias", &"default").map_err(|error| convert_error(&error))?;
        if collection.as_str() == NO_OBJECT_PATH {
            return Err(Error::NoDefaultCollection);
        }
        Ok(Self { connection: bus, path: collection })
    }

    fn is_locked(&self) -> zbus::Result<bool> {
        let locked: OwnedValue = call(
            &self.connection,
            (self.path.as_str(), PROPERTIES_INTERFACE),
            "Get",
            &(COLLECTION_INTERFACE, "Locked"),
        )?;
        Ok(bool::try_from(locked)?)
    }

    /// Returns the program name of the provider, if `/proc` shows it.
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

/// Calls a method of the Secret Service. A proxy would subscribe to signals first, and read all
/// properties of a collection, among them a list of its entries.
fn call<R: serde::de::DeserializeOwned + Type>(
    bus: &Connection,
    (path, interface): (&str, &str),
    method: &str,
    body: &(impl serde::Serialize + DynamicType),
) -> zbus::Result<R> {
    let reply = bus.call_method(Some(SERVICE_BUS_NAME), path, Some(interface), method, body)?;
    reply.body().deserialize()
}

/// Returns the error for a session bus that cannot be reached: none is known, or the variable is stale.
fn no_bus_error() -> Error {
    if std::env::var_os("DBUS_SESSION_BUS_ADDRESS").is_none_or(|address| address.is_empty()) {
        return Error::NoSessionBus;
    }
    let default_bus = std::env::var_os("XDG_RUNTIME_DIR").map(|dir| Path::new(&dir).join("bus"));
    Error::BusUnreachable { has_default_bus: default_bus.is_some_and(|path| path.exists()) }
}

/// Converts an error of a call to the provider.
fn convert_error(error: &zbus::Error) -> Error {
    match error {
        zbus::Error::MethodError(name, _, _) => match name.as_str() {
            "org.freedesktop.DBus.Error.ServiceUnknown"
            | "org.freedesktop.DBus.Error.NameHasNoOwner" => Error::NoProvider,
            // The provider did not start, or it exited during the call.
            name if name.starts_with("org.freedesktop.DBus.Error.Spawn") => Error::NoProvider,
            "org.freedesktop.DBus.Error.NoReply"
            | "org.freedesktop.DBus.Error.Timeout"
            | "org.freedesktop.DBus.Error.TimedOut" => Error::TimedOut,
            _ => Error::other(&error.to_string()),
        },
        zbus::Error::InputOutput(_) | zbus::Error::Address(_) => no_bus_error(),
        _ => Error::other(&error.to_string()),
    }
}
