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

use super::Unlocked;
use crate::storage::secret_store::{Error, Served};

pub(in crate::storage::secret_store) const PLACE: &str = "the Secret Service keychain";

const PROVIDER: &str = "org.freedesktop.secrets";
/// The bus itself, and its interface.
const BUS: &str = "org.freedesktop.DBus";
const ROOT: &str = "/org/freedesktop/secrets";
const SERVICE: &str = "org.freedesktop.Secret.Service";
const COLLECTION: &str = "org.freedesktop.Secret.Collection";
const PROMPT: &str = "org.freedesktop.Secret.Prompt";
/// The specification's way of saying "no object".
const NOTHING: &str = "/";

/// Whether a window asking to unlock could reach anybody.
pub(in crate::storage::secret_store) fn can_ask() -> bool {
    crate::platform::environment::display()
}

pub(super) use fast_read::read as read_quickly;

pub(super) fn connect() -> keyring_core::Result<Arc<CredentialStore>> {
    Ok(Store::new()?)
}

/// The title people see in their keyring's window; an attribute is not made of it.
pub(super) fn modifiers(title: &str) -> [(&'static str, &str); 1] {
    [("label", title)]
}

pub(super) fn search(store: &CredentialStore, service: &str) -> keyring_core::Result<Vec<Entry>> {
    store.search(&HashMap::from([("service", service)]))
}

/// Who provides the service. Asks nobody to unlock it.
pub(in crate::storage::secret_store) fn served() -> Result<Served, Error> {
    let keychain = Keychain::reach()?;
    let locked = keychain.locked().map_err(|failure| meaning(&failure))?;
    Ok(Served { by: keychain.provider(), locked })
}

/// What "no access" means when nothing else is found wrong.
pub(super) fn closed(_cause: &(dyn std::error::Error + 'static)) -> Error {
    Error::Locked
}

/// Looks for what is wrong with the keychain itself. `None`: nothing is.
pub(super) fn diagnose() -> Option<Error> {
    match Keychain::reach() {
        Err(why) => Some(why),
        Ok(keychain) => keychain.locked().unwrap_or(false).then_some(Error::Locked),
    }
}

/// Asks the person to unlock the default collection, if it is locked.
pub(super) fn unlock() -> Unlocked {
    let keychain = match Keychain::reach() {
        Ok(keychain) => keychain,
        Err(why) => return Unlocked::Not(why),
    };
    match keychain.locked() {
        Ok(false) => Unlocked::Already,
        Ok(true) => match keychain.unlock() {
            Ok(()) if matches!(keychain.locked(), Ok(false)) => Unlocked::Now,
            Ok(()) | Err(_) => Unlocked::Not(Error::Locked),
        },
        Err(failure) => Unlocked::Not(meaning(&failure)),
    }
}

/// The default collection, reached over a connection of its own.
struct Keychain {
    bus: Connection,
    collection: OwnedObjectPath,
}

impl Keychain {
    fn reach() -> Result<Self, Error> {
        let bus = Connection::session().map_err(|_| Error::NoBus)?;
        let collection: OwnedObjectPath = Proxy::new(&bus, PROVIDER, ROOT, SERVICE)
            .and_then(|service| service.call("ReadAlias", &("default",)))
            .map_err(|failure| meaning(&failure))?;
        if collection.as_str() == NOTHING {
            return Err(Error::NoCollection);
        }
        Ok(Self { bus, collection })
    }

    fn locked(&self) -> zbus::Result<bool> {
        Proxy::new(&self.bus, PROVIDER, &self.collection, COLLECTION)?.get_property("Locked")
    }

    /// The name of its program, where that can be told.
    fn provider(&self) -> Option<String> {
        let pid: u32 = Proxy::new(&self.bus, BUS, "/org/freedesktop/DBus", BUS)
            .and_then(|bus| bus.call("GetConnectionUnixProcessID", &(PROVIDER,)))
            .ok()?;
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let program = String::from_utf8_lossy(line.split(|byte| *byte == 0).next()?).into_owned();
        Some(program.rsplit('/').next()?.to_owned()).filter(|name| !name.is_empty())
    }

    fn unlock(&self) -> zbus::Result<()> {
        let (_, prompt): (Vec<OwnedObjectPath>, OwnedObjectPath) =
            Proxy::new(&self.bus, PROVIDER, ROOT, SERVICE)?
                .call("Unlock", &(vec![&self.collection],))?;
        if prompt.as_str() == NOTHING {
            return Ok(());
        }
        let prompt = Proxy::new(&self.bus, PROVIDER, prompt, PROMPT)?;
        let mut completed = prompt.receive_signal("Completed")?;
        let _: () = prompt.call("Prompt", &("",))?;
        if let Some(signal) = completed.next() {
            let _: (bool, OwnedValue) = signal.body().deserialize()?;
        }
        Ok(())
    }
}

/// What a failed question to the provider says about it.
fn meaning(failure: &zbus::Error) -> Error {
    match failure {
        zbus::Error::MethodError(name, _, _) => match name.as_str() {
            "org.freedesktop.DBus.Error.ServiceUnknown"
            | "org.freedesktop.DBus.Error.NameHasNoOwner" => Error::NoProvider,
            // It is registered and did not come up, or it died over the question.
            spawn if spawn.starts_with("org.freedesktop.DBus.Error.Spawn") => Error::NoProvider,
            "org.freedesktop.DBus.Error.NoReply"
            | "org.freedesktop.DBus.Error.Timeout"
            | "org.freedesktop.DBus.Error.TimedOut" => Error::NoAnswer,
            _ => Error::other(&failure.to_string()),
        },
        zbus::Error::InputOutput(_) | zbus::Error::Address(_) => Error::NoBus,
        _ => Error::other(&failure.to_string()),
    }
}
