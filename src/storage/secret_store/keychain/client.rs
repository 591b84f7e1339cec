//! The calls of the Secret Service specification.

use std::collections::HashMap;
use std::io;

use secrecy::{ExposeSecret, SecretString};

use super::bus::{Bus, DBUS, DBUS_NAME};
use super::session::{DhKeyPair, SESSION_ALGORITHM, Session};
use super::wire::{Message, Writer};
use super::{CallError, no_bus_error};
use crate::storage::secret_store::{EntryId, Error};

const SERVICE_BUS_NAME: &str = "org.freedesktop.secrets";
const SERVICE_PATH: &str = "/org/freedesktop/secrets";
const DEFAULT_COLLECTION_PATH: &str = "/org/freedesktop/secrets/aliases/default";
const SERVICE_INTERFACE: &str = "org.freedesktop.Secret.Service";
const COLLECTION_INTERFACE: &str = "org.freedesktop.Secret.Collection";
const ITEM_INTERFACE: &str = "org.freedesktop.Secret.Item";
const PROPERTIES_INTERFACE: &str = "org.freedesktop.DBus.Properties";
const PROMPT_INTERFACE: &str = "org.freedesktop.Secret.Prompt";
/// The path that means "no object" in the specification.
const NO_OBJECT_PATH: &str = "/";

const SERVICE: (&str, &str) = (SERVICE_PATH, SERVICE_INTERFACE);

/// Names and values of an item's attributes.
type Attributes<'a> = [(&'a str, &'a str)];

/// A D-Bus connection, and its session with the Secret Service once a secret was transferred.
pub(super) struct Client {
    bus: Bus,
    session: Option<Session>,
}

impl Client {
    pub(super) fn connect() -> Result<Self, Error> {
        Ok(Self { bus: Bus::connect().map_err(|_| no_bus_error())?, session: None })
    }

    /// Calls a method of the Secret Service, whose reply has this signature.
    fn call(
        &mut self,
        object: (&str, &str),
        method: &str,
        args: &Writer,
        signature: &str,
    ) -> Result<Message, CallError> {
        self.bus.call(SERVICE_BUS_NAME, object, method, args, signature)
    }

    fn property(&mut self, path: &str, interface: &str, name: &str) -> Result<Message, CallError> {
        let mut args = Writer::new("ss");
        args.write_str(interface);
        args.write_str(name);
        self.call((path, PROPERTIES_INTERFACE), "Get", &args, "v")
    }

    /// Returns the encrypted session, which it opens at the first call.
    fn session(&mut self) -> Result<&Session, CallError> {
        let session = match self.session.take() {
            Some(session) => session,
            None => self.open_session()?,
        };
        Ok(self.session.insert(session))
    }

    fn open_session(&mut self) -> Result<Session, CallError> {
        let no_session = || Error::other("no encrypted session with the keychain");
        let key_pair = DhKeyPair::generate().ok_or_else(no_session)?;
        let mut args = Writer::new("sv");
        args.write_str(SESSION_ALGORITHM);
        args.write_signature("ay");
        args.write_bytes(&key_pair.public_key());
        let reply = self.call(SERVICE, "OpenSession", &args, "vo")?;
        let mut reply = reply.body();
        reply.open_variant("ay")?;
        let peer_public = reply.read_bytes()?;
        let path = reply.read_str()?.to_owned();
        let key = key_pair.derive_session_key(peer_public).ok_or_else(no_session)?;
        Ok(Session::new(path, key))
    }

    pub(super) fn get(&mut self, entry_id: &EntryId) -> Result<SecretString, CallError> {
        let attributes = entry_attributes(entry_id);
        // Neither depends on the other, so the provider searches while the session is opened.
        let search = self.send_search(&attributes)?;
        let session = self.session().map(drop);
        let item = self.receive_item(search, &attributes)?;
        session?;
        self.read_secret(&item)
    }

    pub(super) fn read_secret(&mut self, item: &str) -> Result<SecretString, CallError> {
        let mut args = Writer::new("o");
        args.write_str(&self.session()?.path);
        let reply = self.call((item, ITEM_INTERFACE), "GetSecret", &args, "(oayays)")?;
        let mut secret = reply.body();
        secret.read_str()?;
        let (iv, value) = (secret.read_bytes()?, secret.read_bytes()?);
        Ok(self.session()?.decrypt(iv, value)?)
    }

    pub(super) fn replace_secret(
        &mut self,
        item: &str,
        secret: &SecretString,
    ) -> Result<(), CallError> {
        let mut args = Writer::new("(oayays)");
        self.write_secret(&mut args, secret)?;
        self.call((item, ITEM_INTERFACE), "SetSecret", &args, "").map(drop)
    }

    /// Writes the secret as the specification wants it: session, initialisation vector, value, type.
    fn write_secret(&mut self, args: &mut Writer, secret: &SecretString) -> Result<(), CallError> {
        let session = self.session()?;
        #[expect(clippy::disallowed_methods, reason = "writes the secret to the keychain")]
        let (iv, value) = session.encrypt(secret.expose_secret())?;
        args.align(8);
        args.write_str(&session.path);
        args.write_bytes(&iv);
        args.write_bytes(&value);
        args.write_str("application/octet-stream");
        Ok(())
    }

    /// Returns the one item of the entry.
    pub(super) fn find_item(&mut self, entry_id: &EntryId) -> Result<String, CallError> {
        let attributes = entry_attributes(entry_id);
        let search = self.send_search(&attributes)?;
        self.receive_item(search, &attributes)
    }

    fn receive_item(
        &mut self,
        search: u32,
        attributes: &Attributes<'_>,
    ) -> Result<String, CallError> {
        let mut items = self.receive_items(search, attributes)?;
        match (items.pop(), items.len()) {
            (None, _) => Err(Error::NoEntry.into()),
            (Some(item), 0) => Ok(item),
            (Some(_), others) => Err(Error::Ambiguous(others + 1).into()),
        }
    }

    /// Returns the items with these attributes. Unlocks them, and the keychain if it shows none, since
    /// some providers report no items while they are locked.
    pub(super) fn find_items(
        &mut self,
        attributes: &Attributes<'_>,
    ) -> Result<Vec<String>, CallError> {
        let search = self.send_search(attributes)?;
        self.receive_items(search, attributes)
    }

    fn receive_items(
        &mut self,
        search: u32,
        attributes: &Attributes<'_>,
    ) -> Result<Vec<String>, CallError> {
        let (mut items, mut locked) = self.receive_found(search)?;
        if items.is_empty() && locked.is_empty() {
            let (_, was_locked) = self.unlock_collection()?;
            if was_locked {
                let search = self.send_search(attributes)?;
                (items, locked) = self.receive_found(search)?;
            }
        }
        if !locked.is_empty() {
            self.unlock(&locked)?;
            items.append(&mut locked);
        }
        Ok(items)
    }

    fn send_search(&mut self, attributes: &Attributes<'_>) -> io::Result<u32> {
        let mut args = Writer::new("a{ss}");
        write_attributes(&mut args, attributes);
        self.bus.send(SERVICE_BUS_NAME, SERVICE, "SearchItems", &args)
    }

    /// Waits for the items that are unlocked and those that are locked.
    fn receive_found(&mut self, search: u32) -> Result<(Vec<String>, Vec<String>), CallError> {
        let found = self.bus.receive_reply(search, "aoao")?;
        let mut found = found.body();
        Ok((found.read_strings()?, found.read_strings()?))
    }

    /// Returns the attributes of an item.
    pub(super) fn read_attributes(
        &mut self,
        item: &str,
    ) -> Result<HashMap<String, String>, CallError> {
        let property = self.property(item, ITEM_INTERFACE, "Attributes")?;
        let mut property = property.body();
        property.open_variant("a{ss}")?;
        let mut entries = property.read_array(8)?;
        let mut attributes = HashMap::new();
        while !entries.is_empty() {
            entries.align(8);
            attributes.insert(entries.read_str()?.to_owned(), entries.read_str()?.to_owned());
        }
        Ok(attributes)
    }

    /// Creates an item. With `replace` it replaces one that has the same name.
    pub(super) fn create_item(
        &mut self,
        entry_id: &EntryId,
        secret: &SecretString,
        replace: bool,
    ) -> Result<String, CallError> {
        // The title is what keyring managers display.
        let title = format!("Keywright: {}", entry_id.account);
        let mut args = Writer::new("a{sv}(oayays)b");
        args.write_array(8, |properties| {
            properties.align(8);
            properties.write_str("org.freedesktop.Secret.Item.Label");
            properties.write_signature("s");
            properties.write_str(&title);
            properties.align(8);
            properties.write_str("org.freedesktop.Secret.Item.Attributes");
            properties.write_signature("a{ss}");
            write_attributes(properties, &entry_attributes(entry_id));
        });
        self.write_secret(&mut args, secret)?;
        args.write_u32(replace.into());
        let create = |client: &mut Self, collection: &str| {
            client.call((collection, COLLECTION_INTERFACE), "CreateItem", &args, "oo")
        };
        let created = match create(self, DEFAULT_COLLECTION_PATH) {
            // It is locked, or there is none.
            Err(CallError::Rejected { .. }) => {
                let (collection, _) = self.unlock_collection()?;
                create(self, &collection)?
            }
            created => created?,
        };
        let mut created = created.body();
        let item = created.read_str()?.to_owned();
        if item != NO_OBJECT_PATH {
            return Ok(item);
        }
        let no_item = || Error::other("the keychain's prompt returned no item").into();
        self.show_prompt(created.read_str()?)?.ok_or_else(no_item)
    }

    pub(super) fn delete_item(&mut self, item: &str) -> Result<(), CallError> {
        let reply = self.call((item, ITEM_INTERFACE), "Delete", &Writer::new(""), "o")?;
        let prompt = reply.body().read_str()?.to_owned();
        if prompt != NO_OBJECT_PATH {
            self.show_prompt(&prompt)?;
        }
        Ok(())
    }

    pub(super) fn default_collection(&mut self) -> Result<String, CallError> {
        let mut args = Writer::new("s");
        args.write_str("default");
        let reply = self.call(SERVICE, "ReadAlias", &args, "o")?;
        let collection = reply.body().read_str()?.to_owned();
        if collection == NO_OBJECT_PATH {
            return Err(Error::NoDefaultCollection.into());
        }
        Ok(collection)
    }

    pub(super) fn is_locked(&mut self, collection: &str) -> Result<bool, CallError> {
        let property = self.property(collection, COLLECTION_INTERFACE, "Locked")?;
        let mut property = property.body();
        property.open_variant("b")?;
        Ok(property.read_u32()? != 0)
    }

    /// Unlocks the default collection. Returns it, and whether it was locked.
    fn unlock_collection(&mut self) -> Result<(String, bool), CallError> {
        let collection = self.default_collection()?;
        let was_locked = self.is_locked(&collection)?;
        if was_locked {
            self.unlock(std::slice::from_ref(&collection))?;
            if self.is_locked(&collection)? {
                return Err(Error::Locked.into());
            }
        }
        Ok((collection, was_locked))
    }

    /// Unlocks a collection or items, with a prompt if the provider needs one.
    fn unlock(&mut self, objects: &[String]) -> Result<(), CallError> {
        let mut args = Writer::new("ao");
        args.write_array(4, |paths| objects.iter().for_each(|object| paths.write_str(object)));
        let reply = self.call(SERVICE, "Unlock", &args, "aoo")?;
        let mut reply = reply.body();
        reply.read_strings()?;
        let prompt = reply.read_str()?.to_owned();
        if prompt == NO_OBJECT_PATH {
            return Ok(());
        }
        match self.show_prompt(&prompt) {
            Ok(_) => Ok(()),
            // The provider cannot show it.
            Err(CallError::Rejected { .. }) => Err(Error::Locked.into()),
            Err(error) => Err(error),
        }
    }

    /// Shows a prompt and waits for its result: the object it concerned, if that was one. Fails with
    /// [`Error::Locked`] if it is dismissed.
    fn show_prompt(&mut self, prompt: &str) -> Result<Option<String>, CallError> {
        self.bus.subscribe_to_prompt(prompt)?;
        let mut args = Writer::new("s");
        // The prompt belongs to no window.
        args.write_str("");
        let reply = self.call((prompt, PROMPT_INTERFACE), "Prompt", &args, "")?;
        let signal = self.bus.receive_prompt_end(prompt, &reply.sender)?;
        let mut body = signal.body();
        if body.read_u32()? != 0 {
            return Err(Error::Locked.into());
        }
        let is_object = body.read_signature()? == "o";
        Ok(if is_object { Some(body.read_str()?.to_owned()) } else { None })
    }

    /// Returns the program name of the provider, if `/proc` shows it.
    pub(super) fn provider_program(&mut self) -> Option<String> {
        let mut args = Writer::new("s");
        args.write_str(SERVICE_BUS_NAME);
        let method = "GetConnectionUnixProcessID";
        let reply = self.bus.call(DBUS_NAME, DBUS, method, &args, "u").ok()?;
        let pid = reply.body().read_u32().ok()?;
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let program = String::from_utf8_lossy(line.split(|byte| *byte == 0).next()?).into_owned();
        Some(program.rsplit('/').next()?.to_owned()).filter(|name| !name.is_empty())
    }
}

pub(super) fn entry_attributes(entry_id: &EntryId) -> [(&str, &str); 2] {
    [("service", &entry_id.service), ("username", &entry_id.account)]
}

fn write_attributes(args: &mut Writer, attributes: &Attributes<'_>) {
    args.write_array(8, |entries| {
        for (name, value) in attributes {
            entries.align(8);
            entries.write_str(name);
            entries.write_str(value);
        }
    });
}

#[cfg(test)]
mod tests;
