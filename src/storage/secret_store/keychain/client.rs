//! The calls of the Secret Service specification.

use std::cell::OnceCell;
use std::collections::HashMap;

use secrecy::{ExposeSecret, SecretString};
use zbus::connection::{Builder, Connection};
use zbus::export::ordered_stream::OrderedStreamExt;
use zbus::zvariant::{DynamicType, OwnedObjectPath, OwnedValue, Type, Value};

use super::session::{DhKeyPair, SESSION_ALGORITHM, Session};
use super::{CallError, no_bus_error};
use crate::storage::secret_store::{EntryId, Error};

const SERVICE_BUS_NAME: &str = "org.freedesktop.secrets";
/// Name and interface of the bus itself.
const DBUS_NAME: &str = "org.freedesktop.DBus";
const SERVICE_PATH: &str = "/org/freedesktop/secrets";
const DEFAULT_COLLECTION_PATH: &str = "/org/freedesktop/secrets/aliases/default";
const SERVICE_INTERFACE: &str = "org.freedesktop.Secret.Service";
const COLLECTION_INTERFACE: &str = "org.freedesktop.Secret.Collection";
pub(super) const ITEM_INTERFACE: &str = "org.freedesktop.Secret.Item";
const PROPERTIES_INTERFACE: &str = "org.freedesktop.DBus.Properties";
const PROMPT_INTERFACE: &str = "org.freedesktop.Secret.Prompt";
/// The path that means "no object" in the specification.
const NO_OBJECT_PATH: &str = "/";

const SERVICE: (&str, &str) = (SERVICE_PATH, SERVICE_INTERFACE);

/// A D-Bus connection, and its session with the Secret Service once a secret was transferred.
pub(super) struct Client {
    pub(super) bus: Connection,
    session: OnceCell<Session>,
}

impl Client {
    pub(super) async fn connect() -> Result<Self, Error> {
        let connect = async { Builder::session()?.internal_executor(false).build().await };
        let bus = connect.await.map_err(|_| no_bus_error())?;
        Ok(Self { bus, session: OnceCell::new() })
    }

    /// Calls a method of the Secret Service. A proxy would subscribe to signals first, and read all
    /// properties of a collection, among them a list of its items.
    pub(super) async fn call<R: serde::de::DeserializeOwned + Type>(
        &self,
        (path, interface): (&str, &str),
        method: &str,
        body: &(impl serde::Serialize + DynamicType),
    ) -> zbus::Result<R> {
        let reply =
            self.bus.call_method(Some(SERVICE_BUS_NAME), path, Some(interface), method, body);
        reply.await?.body().deserialize()
    }

    pub(super) async fn property(
        &self,
        path: &str,
        interface: &str,
        name: &str,
    ) -> zbus::Result<OwnedValue> {
        self.call((path, PROPERTIES_INTERFACE), "Get", &(interface, name)).await
    }

    /// Returns the encrypted session, which it opens at the first call.
    async fn session(&self) -> Result<&Session, CallError> {
        if let Some(session) = self.session.get() {
            return Ok(session);
        }
        let no_session = || Error::other("no encrypted session with the keychain");
        let key_pair = DhKeyPair::generate().ok_or_else(no_session)?;
        let args = (SESSION_ALGORITHM, Value::from(key_pair.public_key()));
        let (peer_public, path): (OwnedValue, OwnedObjectPath) =
            self.call(SERVICE, "OpenSession", &args).await?;
        let peer_public = Vec::<u8>::try_from(peer_public).map_err(zbus::Error::from)?;
        let key = key_pair.derive_session_key(&peer_public).ok_or_else(no_session)?;
        Ok(self.session.get_or_init(|| Session::new(path, key)))
    }

    pub(super) async fn get(&self, entry_id: &EntryId) -> Result<SecretString, CallError> {
        // Neither depends on the other, so they are sent together.
        let (item, session) = tokio::join!(self.find_item(entry_id), self.session());
        let item = item?;
        session?;
        self.read_secret(&item).await
    }

    pub(super) async fn read_secret(&self, item: &str) -> Result<SecretString, CallError> {
        let session = self.session().await?;
        let (_, iv, value, _): (OwnedObjectPath, Vec<u8>, Vec<u8>, String) =
            self.call((item, ITEM_INTERFACE), "GetSecret", &session.path).await?;
        Ok(session.decrypt(&iv, &value)?)
    }

    /// Returns the secret as the specification wants it: session, initialisation vector, value, type.
    pub(super) async fn encrypt(
        &self,
        secret: &SecretString,
    ) -> Result<(OwnedObjectPath, Vec<u8>, Vec<u8>, &'static str), CallError> {
        let session = self.session().await?;
        #[expect(clippy::disallowed_methods, reason = "writes the secret to the keychain")]
        let (iv, value) = session.encrypt(secret.expose_secret())?;
        Ok((session.path.clone(), iv, value, "application/octet-stream"))
    }

    /// Returns the one item of the entry.
    pub(super) async fn find_item(&self, entry_id: &EntryId) -> Result<OwnedObjectPath, CallError> {
        let mut items = self.find_items(&entry_attributes(entry_id)).await?;
        match (items.pop(), items.len()) {
            (None, _) => Err(Error::NoEntry.into()),
            (Some(item), 0) => Ok(item),
            (Some(_), others) => Err(Error::Ambiguous(others + 1).into()),
        }
    }

    /// Returns the items with these attributes. Unlocks them, and the keychain if it shows none, since
    /// some providers report no items while they are locked.
    pub(super) async fn find_items(
        &self,
        attributes: &HashMap<&str, &str>,
    ) -> Result<Vec<OwnedObjectPath>, CallError> {
        type Found = (Vec<OwnedObjectPath>, Vec<OwnedObjectPath>);
        let (mut items, mut locked): Found = self.call(SERVICE, "SearchItems", attributes).await?;
        if items.is_empty() && locked.is_empty() {
            let (_, was_locked) = self.unlock_collection().await?;
            if was_locked {
                (items, locked) = self.call(SERVICE, "SearchItems", attributes).await?;
            }
        }
        if !locked.is_empty() {
            self.unlock(&locked).await?;
            items.append(&mut locked);
        }
        Ok(items)
    }

    /// Creates an item. With `replace` it replaces one that has the same name.
    pub(super) async fn create_item(
        &self,
        entry_id: &EntryId,
        secret: &SecretString,
        replace: bool,
    ) -> Result<OwnedObjectPath, CallError> {
        // The title is what keyring managers display.
        let title = format!("Keywright: {}", entry_id.account);
        let properties = HashMap::from([
            ("org.freedesktop.Secret.Item.Label", Value::from(title)),
            ("org.freedesktop.Secret.Item.Attributes", Value::from(entry_attributes(entry_id))),
        ]);
        let args = (properties, self.encrypt(secret).await?, replace);
        let create = async |collection: &str| {
            self.call((collection, COLLECTION_INTERFACE), "CreateItem", &args).await
        };
        let created: (OwnedObjectPath, OwnedObjectPath) =
            match create(DEFAULT_COLLECTION_PATH).await {
                // It is locked, or there is none.
                Err(zbus::Error::MethodError(..)) => {
                    let (collection, _) = self.unlock_collection().await?;
                    create(&collection).await?
                }
                created => created?,
            };
        let (item, prompt) = created;
        if item.as_str() != NO_OBJECT_PATH {
            return Ok(item);
        }
        let item = self.show_prompt(&prompt).await?;
        Ok(item.try_into().map_err(zbus::Error::from)?)
    }

    pub(super) async fn delete_item(&self, item: &str) -> Result<(), CallError> {
        let prompt: OwnedObjectPath = self.call((item, ITEM_INTERFACE), "Delete", &()).await?;
        if prompt.as_str() != NO_OBJECT_PATH {
            self.show_prompt(&prompt).await?;
        }
        Ok(())
    }

    pub(super) async fn default_collection(&self) -> Result<OwnedObjectPath, CallError> {
        let collection: OwnedObjectPath = self.call(SERVICE, "ReadAlias", &"default").await?;
        if collection.as_str() == NO_OBJECT_PATH {
            return Err(Error::NoDefaultCollection.into());
        }
        Ok(collection)
    }

    pub(super) async fn is_locked(&self, collection: &str) -> zbus::Result<bool> {
        Ok(self.property(collection, COLLECTION_INTERFACE, "Locked").await?.try_into()?)
    }

    /// Unlocks the default collection. Returns it, and whether it was locked.
    async fn unlock_collection(&self) -> Result<(OwnedObjectPath, bool), CallError> {
        let collection = self.default_collection().await?;
        let was_locked = self.is_locked(&collection).await?;
        if was_locked {
            self.unlock(std::slice::from_ref(&collection)).await?;
            if self.is_locked(&collection).await? {
                return Err(Error::Locked.into());
            }
        }
        Ok((collection, was_locked))
    }

    /// Unlocks a collection or items, with a prompt if the provider needs one.
    async fn unlock(&self, objects: &[OwnedObjectPath]) -> Result<(), CallError> {
        let (_, prompt): (Vec<OwnedObjectPath>, OwnedObjectPath) =
            self.call(SERVICE, "Unlock", &(objects,)).await?;
        if prompt.as_str() == NO_OBJECT_PATH {
            return Ok(());
        }
        match self.show_prompt(&prompt).await {
            Ok(_) => Ok(()),
            // The provider cannot show it.
            Err(CallError::Bus(zbus::Error::MethodError(..))) => Err(Error::Locked.into()),
            Err(error) => Err(error),
        }
    }

    /// Shows a prompt and waits for its result. Fails with [`Error::Locked`] if it is dismissed.
    async fn show_prompt(&self, prompt: &str) -> Result<OwnedValue, CallError> {
        let prompt =
            zbus::Proxy::new(&self.bus, SERVICE_BUS_NAME, prompt, PROMPT_INTERFACE).await?;
        let mut completed = prompt.receive_signal("Completed").await?;
        let () = prompt.call("Prompt", &("",)).await?;
        let Some(signal) = completed.next().await else { return Err(Error::Locked.into()) };
        let (is_dismissed, result): (bool, OwnedValue) = signal.body().deserialize()?;
        if is_dismissed { Err(Error::Locked.into()) } else { Ok(result) }
    }

    /// Returns the program name of the provider, if `/proc` shows it.
    pub(super) async fn provider_program(&self) -> Option<String> {
        let bus_path = "/org/freedesktop/DBus";
        let method = "GetConnectionUnixProcessID";
        let reply = self.bus.call_method(
            Some(DBUS_NAME),
            bus_path,
            Some(DBUS_NAME),
            method,
            &SERVICE_BUS_NAME,
        );
        let pid: u32 = reply.await.ok()?.body().deserialize().ok()?;
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let program = String::from_utf8_lossy(line.split(|byte| *byte == 0).next()?).into_owned();
        Some(program.rsplit('/').next()?.to_owned()).filter(|name| !name.is_empty())
    }
}

pub(super) fn entry_attributes(entry_id: &EntryId) -> HashMap<&str, &str> {
    HashMap::from([("service", entry_id.service.as_str()), ("username", entry_id.account.as_str())])
}
