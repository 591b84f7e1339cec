//! The Secret Service (Linux, BSD).

mod bus;
mod client;
mod session;
mod wire;

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

use secrecy::SecretString;

use crate::storage::secret_store::{EntryId, Error, Provider, ProviderInfo, check_read_back};
use client::{Client, entry_attributes};
use session::random_byte;

pub(in crate::storage::secret_store) const DISPLAY_NAME: &str = "the Secret Service keychain";

/// How often an item is created, at most, while another program creates and deletes one of this name.
const MAX_CREATE_TRIES: u32 = 8;

/// The error of gnome-keyring for a call that it takes before it has registered the connection.
const UNKNOWN_METHOD: &str = "org.freedesktop.DBus.Error.UnknownMethod";

/// A prompt that is dismissed sooner than this was never shown to a user.
const MIN_DISMISS_TIME: Duration = Duration::from_millis(400);

/// Returns whether an unlock prompt can be shown to the user.
pub(in crate::storage::secret_store) fn can_prompt() -> bool {
    crate::platform::environment::has_display()
}

/// Why a call failed. After the first two the connection is not used again: after the provider was
/// restarted every call on an old connection fails.
#[derive(Debug)]
enum CallError {
    /// The provider or the bus returned an error.
    Rejected { name: String, message: String },
    /// The connection failed, or what arrived is no D-Bus message.
    Bus(io::Error),
    /// The call was answered.
    Store(Error),
}

impl From<io::Error> for CallError {
    fn from(error: io::Error) -> Self {
        Self::Bus(error)
    }
}

impl From<Error> for CallError {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

/// A connection to the keychain, made at the first call and again after an error.
#[derive(Default)]
pub(in crate::storage::secret_store) struct Keychain {
    client: Option<Client>,
}

impl Keychain {
    pub(in crate::storage::secret_store) fn get(
        &mut self,
        entry_id: &EntryId,
    ) -> Result<SecretString, Error> {
        self.call(&|client| client.get(entry_id))
    }

    pub(in crate::storage::secret_store) fn set(
        &mut self,
        entry_id: &EntryId,
        secret: &SecretString,
    ) -> Result<(), Error> {
        self.call(&|client| {
            match client.find_item(entry_id) {
                Ok(item) => client.replace_secret(&item, secret)?,
                Err(CallError::Store(Error::NoEntry)) => {
                    client.create_item(entry_id, secret, true)?;
                }
                Err(error) => return Err(error),
            }
            Ok(check_read_back(&client.get(entry_id)?, secret)?)
        })
    }

    /// Stores the secret without ever replacing another one: creates the item, and deletes it again if
    /// there was one with this name. Fails with [`Error::EntryExists`] if that has another secret.
    pub(in crate::storage::secret_store) fn create(
        &mut self,
        entry_id: &EntryId,
        secret: &SecretString,
    ) -> Result<(), Error> {
        self.call(&|client| {
            for _ in 0..MAX_CREATE_TRIES {
                let created = client.create_item(entry_id, secret, false)?;
                let items = client.find_items(&entry_attributes(entry_id))?;
                if items == [created.clone()] {
                    return Ok(check_read_back(&client.read_secret(&created)?, secret)?);
                }
                client.delete_item(&created)?;
                match client.get(entry_id) {
                    // The response to an earlier call was lost.
                    Ok(existing) if check_read_back(&existing, secret).is_ok() => return Ok(()),
                    Ok(_) => return Err(Error::EntryExists.into()),
                    // The other item is gone: two programs that created one at the same time, and each
                    // deleted its own. After a random pause one of them is first.
                    Err(CallError::Store(Error::NoEntry)) => {
                        std::thread::sleep(Duration::from_millis(random_byte().into()));
                    }
                    Err(error) => return Err(error),
                }
            }
            // The new item cannot be found by its name.
            Err(Error::ReadBackMismatch.into())
        })
    }

    pub(in crate::storage::secret_store) fn delete(
        &mut self,
        entry_id: &EntryId,
    ) -> Result<(), Error> {
        self.call(&|client| {
            let item = client.find_item(entry_id)?;
            client.delete_item(&item)
        })
    }

    pub(in crate::storage::secret_store) fn list_accounts(
        &mut self,
        service: &str,
    ) -> Result<Vec<String>, Error> {
        self.call(&|client| {
            let mut accounts = BTreeSet::new();
            for item in client.find_items(&[("service", service)])? {
                accounts.extend(client.read_attributes(&item)?.remove("username"));
            }
            Ok(accounts.into_iter().collect())
        })
    }

    /// Returns the provider of the service. Shows no unlock prompt.
    pub(in crate::storage::secret_store) fn provider_info(
        &mut self,
    ) -> Result<ProviderInfo, Error> {
        self.call(&|client| {
            let collection = client.default_collection()?;
            let locked = client.is_locked(&collection)?;
            let name = collection.rsplit('/').next().map(str::to_owned);
            let provider = Provider { program: client.provider_program(), collection: name };
            Ok(ProviderInfo { provider, locked })
        })
    }

    /// Makes the call, connecting first if there is no connection. A call that fails on an old
    /// connection, or that gnome-keyring could not take while it registered a new one, is repeated once on
    /// another connection. All calls are idempotent.
    fn call<T>(&mut self, call: &dyn Fn(&mut Client) -> Result<T, CallError>) -> Result<T, Error> {
        let started = Instant::now();
        let was_connected = self.client.is_some();
        let mut outcome = self.call_once(call);
        let is_repeated = match &outcome {
            Err(CallError::Rejected { name, .. }) => was_connected || name == UNKNOWN_METHOD,
            Err(CallError::Bus(_)) => was_connected,
            Ok(_) | Err(CallError::Store(_)) => false,
        };
        if is_repeated {
            outcome = self.call_once(call);
        }
        outcome.map_err(|error| classify_failure(convert_error(error), started.elapsed()))
    }

    fn take_client(&mut self) -> Result<Client, Error> {
        self.client.take().map_or_else(Client::connect, Ok)
    }

    fn call_once<T>(
        &mut self,
        call: &dyn Fn(&mut Client) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        let mut client = self.take_client()?;
        let outcome = call(&mut client);
        if matches!(outcome, Ok(_) | Err(CallError::Store(_))) {
            self.client = Some(client);
        }
        outcome
    }
}

/// Tells a dismissed unlock prompt from a locked keychain by how long the call took.
fn classify_failure(error: Error, elapsed: Duration) -> Error {
    match error {
        Error::Locked if can_prompt() && elapsed > MIN_DISMISS_TIME => Error::PromptDismissed,
        other => other,
    }
}

/// Returns the error for a session bus that cannot be reached: none is known, or the variable is stale.
fn no_bus_error() -> Error {
    if std::env::var_os("DBUS_SESSION_BUS_ADDRESS").is_none_or(|address| address.is_empty()) {
        return Error::NoSessionBus;
    }
    Error::BusUnreachable { has_default_bus: bus::default_bus_path().exists() }
}

/// Converts an error of a call to the provider.
fn convert_error(error: CallError) -> Error {
    match error {
        CallError::Rejected { name, message } => match name.as_str() {
            "org.freedesktop.Secret.Error.IsLocked" => Error::Locked,
            "org.freedesktop.DBus.Error.ServiceUnknown"
            | "org.freedesktop.DBus.Error.NameHasNoOwner" => Error::NoProvider,
            // The provider did not start, or it exited during the call.
            name if name.starts_with("org.freedesktop.DBus.Error.Spawn") => Error::NoProvider,
            "org.freedesktop.DBus.Error.NoReply"
            | "org.freedesktop.DBus.Error.Timeout"
            | "org.freedesktop.DBus.Error.TimedOut" => Error::TimedOut,
            _ => Error::other(&format!("{name}: {message}")),
        },
        CallError::Bus(error) if error.kind() == io::ErrorKind::InvalidData => {
            Error::other("its response has an unknown format")
        }
        CallError::Bus(_) => no_bus_error(),
        CallError::Store(error) => error,
    }
}
