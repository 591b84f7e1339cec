//! A fast read of one key from the Secret Service, for short-lived commands such as `get`. It uses
//! a plain socket without an executor or a thread, and sends independent requests together.
//!
//! It returns the secret if exactly one unlocked entry matches, otherwise `None`. After `None` the
//! caller uses the keyring store, which can unlock the keychain and report errors.
//!
//! ```text
//! AUTH, BEGIN, Hello, OpenSession, SearchItems  ->
//!                                               <-  OK, the session and its public key, the entry
//! GetSecret                                     ->
//! (the session key is computed meanwhile)
//!                                               <-  the secret, encrypted
//! ```

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use aes::Aes128;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit};
use hkdf::Hkdf;
use num_bigint::BigUint;
use secrecy::SecretString;
use secrecy::zeroize::{Zeroize, Zeroizing};
use sha2::Sha256;
use zbus::Address;
use zbus::address::transport::{Transport, UnixSocket};
use zbus::message::Message;
use zbus::zvariant::serialized::{Context, Data};
use zbus::zvariant::{Endian, OwnedObjectPath, OwnedValue, Type, Value};

use super::{SERVICE_BUS_NAME, SERVICE_INTERFACE, SERVICE_PATH};
use crate::storage::secret_store::EntryId;

const ITEM_INTERFACE: &str = "org.freedesktop.Secret.Item";
const DBUS_NAME: &str = "org.freedesktop.DBus";

/// Timeout for the bus; after it the keyring store is used.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Limit for the parts of a reply. The expected replies are much shorter.
const MAX_FIELD_SIZE: usize = 1 << 20;

/// Returns the secret if exactly one entry matches and it is unlocked.
pub(in crate::storage::secret_store::keychain) fn try_fast_read(
    entry_id: &EntryId,
) -> Option<SecretString> {
    let key_pair = DhKeyPair::generate()?;
    let hello = build_call(DBUS_NAME, "/org/freedesktop/DBus", DBUS_NAME, "Hello", &())?;
    let algorithm = "dh-ietf1024-sha256-aes128-cbc-pkcs7";
    let public = Value::from(key_pair.public.to_bytes_be());
    let open = build_call(
        SERVICE_BUS_NAME,
        SERVICE_PATH,
        SERVICE_INTERFACE,
        "OpenSession",
        &(algorithm, public),
    )?;
    let attributes = HashMap::from([
        ("service", entry_id.service.as_str()),
        ("username", entry_id.account.as_str()),
    ]);
    let search =
        build_call(SERVICE_BUS_NAME, SERVICE_PATH, SERVICE_INTERFACE, "SearchItems", &attributes)?;

    let mut bus = BusConnection::connect(&[&hello, &open, &search])?;
    let (peer_public, session): (OwnedValue, OwnedObjectPath) = bus.receive_reply(&open)?;
    let (unlocked, locked): (Vec<OwnedObjectPath>, Vec<OwnedObjectPath>) =
        bus.receive_reply(&search)?;
    let ([item], []) = (unlocked.as_slice(), locked.as_slice()) else { return None };
    let get = build_call(SERVICE_BUS_NAME, item.as_str(), ITEM_INTERFACE, "GetSecret", &session)?;
    bus.send(get.data())?;
    let key = key_pair.derive_session_key(&Vec::<u8>::try_from(peer_public).ok()?)?;
    let (_, iv, value, _): (OwnedObjectPath, Vec<u8>, Vec<u8>, String) = bus.receive_reply(&get)?;
    decrypt(&key, &iv, &value)
}

fn build_call<B: serde::Serialize + zbus::zvariant::DynamicType>(
    destination: &str,
    path: &str,
    interface: &str,
    method: &str,
    body: &B,
) -> Option<Message> {
    let message = Message::method_call(path, method).ok()?;
    message.destination(destination).ok()?.interface(interface).ok()?.build(body).ok()
}

/// A connection to the session bus.
struct BusConnection(BufReader<UnixStream>);

impl BusConnection {
    /// Connects, authenticates and sends these requests in one write. The replies arrive in the same
    /// order.
    fn connect(requests: &[&Message]) -> Option<Self> {
        let Transport::Unix(unix) = Address::session().ok()?.transport().clone() else {
            return None;
        };
        let stream = match unix.path() {
            UnixSocket::File(path) => UnixStream::connect(path).ok()?,
            #[cfg(target_os = "linux")]
            UnixSocket::Abstract(name) => {
                use std::os::linux::net::SocketAddrExt;
                use std::os::unix::ffi::OsStrExt;
                let address = std::os::unix::net::SocketAddr::from_abstract_name(name.as_bytes());
                UnixStream::connect_addr(&address.ok()?).ok()?
            }
            _ => return None,
        };
        stream.set_read_timeout(Some(TIMEOUT)).ok()?;
        stream.set_write_timeout(Some(TIMEOUT)).ok()?;
        let mut bus = Self(BufReader::new(stream));
        let uid = rustix::process::geteuid().as_raw().to_string();
        // The user id is sent as hexadecimal ASCII: the code of digit `d` is `3d`.
        let uid: String = uid.chars().flat_map(|digit| ['3', digit]).collect();
        let mut bytes = format!("\0AUTH EXTERNAL {uid}\r\nBEGIN\r\n").into_bytes();
        for request in requests {
            bytes.extend_from_slice(request.data());
        }
        bus.send(&bytes)?;
        let mut line = String::new();
        bus.0.by_ref().take(256).read_line(&mut line).ok()?;
        line.starts_with("OK ").then_some(bus)
    }

    fn send(&mut self, bytes: &[u8]) -> Option<()> {
        self.0.get_mut().write_all(bytes).ok()
    }

    /// Returns the reply to `request` and ignores earlier messages.
    fn receive_reply<T: serde::de::DeserializeOwned + Type>(
        &mut self,
        request: &Message,
    ) -> Option<T> {
        let serial = request.primary_header().serial_num().get();
        loop {
            let message = self.receive_message()?;
            if message.reply_serial == Some(serial) {
                let context = Context::new_dbus(message.endian, 0);
                let body = Data::new(message.body.as_slice(), context);
                return message
                    .is_method_return
                    .then(|| body.deserialize().ok())?
                    .map(|(body, _)| body);
            }
        }
    }

    /// Reads one message (D-Bus Specification, "Message Format": twelve bytes, the header fields,
    /// padding to eight, the body).
    fn receive_message(&mut self) -> Option<BusMessage> {
        type Header = (u8, u8, u8, u8, u32, u32, Vec<(u8, OwnedValue)>);
        const METHOD_RETURN: u8 = 2;
        const REPLY_SERIAL: u8 = 5;
        let mut head = vec![0; 16];
        self.0.read_exact(&mut head).ok()?;
        let endian = match head[0] {
            b'l' => Endian::Little,
            b'B' => Endian::Big,
            _ => return None,
        };
        let size = |at: usize| {
            let bytes = <[u8; 4]>::try_from(&head[at..at + 4]).ok()?;
            usize::try_from(endian.read_u32(&bytes)).ok().filter(|size| *size <= MAX_FIELD_SIZE)
        };
        let (body_size, fields_size) = (size(4)?, size(12)?);
        let is_method_return = head[1] == METHOD_RETURN;
        head.resize((16 + fields_size).next_multiple_of(8), 0);
        self.0.read_exact(&mut head[16..]).ok()?;
        let mut body = Zeroizing::new(vec![0; body_size]);
        self.0.read_exact(&mut body).ok()?;
        let head = Data::new(head, Context::new_dbus(endian, 0));
        let ((.., fields), _): (Header, _) = head.deserialize().ok()?;
        let reply_serial = fields.into_iter().find(|(code, _)| *code == REPLY_SERIAL);
        let reply_serial = reply_serial.and_then(|(_, serial)| u32::try_from(serial).ok());
        Some(BusMessage { reply_serial, is_method_return, body, endian })
    }
}

/// A D-Bus message.
struct BusMessage {
    /// Serial number of the request that this message replies to.
    reply_serial: Option<u32>,
    /// Whether it is a method return, not an error or a signal.
    is_method_return: bool,
    body: Zeroizing<Vec<u8>>,
    endian: Endian,
}

/// The local key pair of the Diffie-Hellman exchange.
struct DhKeyPair {
    private: BigUint,
    public: BigUint,
    prime: BigUint,
}

/// The Second Oakley Group (RFC 2409, section 6.2), which the Secret Service specification requires.
const OAKLEY_GROUP_2_PRIME: [u64; 16] = [
    0xffff_ffff_ffff_ffff,
    0xc90f_daa2_2168_c234,
    0xc4c6_628b_80dc_1cd1,
    0x2902_4e08_8a67_cc74,
    0x020b_bea6_3b13_9b22,
    0x514a_0879_8e34_04dd,
    0xef95_19b3_cd3a_431b,
    0x302b_0a6d_f25f_1437,
    0x4fe1_356d_6d51_c245,
    0xe485_b576_625e_7ec6,
    0xf44c_42e9_a637_ed6b,
    0x0bff_5cb6_f406_b7ed,
    0xee38_6bfb_5a89_9fa5,
    0xae9f_2411_7c4b_1fe6,
    0x4928_6651_ece6_5381,
    0xffff_ffff_ffff_ffff,
];

impl DhKeyPair {
    /// Generates a key pair. A 256-bit exponent is enough for this group (RFC 3526, section 8) and
    /// needs a quarter of the work of a full one.
    fn generate() -> Option<Self> {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        rand::TryRng::try_fill_bytes(&mut rand::rngs::SysRng, &mut *bytes).ok()?;
        Some(Self::from_private(&BigUint::from_bytes_be(&*bytes)))
    }

    fn from_private(private: &BigUint) -> Self {
        let prime =
            BigUint::from_bytes_be(OAKLEY_GROUP_2_PRIME.map(u64::to_be_bytes).as_flattened());
        let public = BigUint::from(2_u8).modpow(private, &prime);
        Self { private: private.clone(), public, prime }
    }

    /// Derives the session key. Returns `None` for a public key that would make it predictable.
    fn derive_session_key(&self, peer_public: &[u8]) -> Option<Zeroizing<[u8; 16]>> {
        let peer_public = BigUint::from_bytes_be(peer_public);
        let one = BigUint::from(1_u8);
        if peer_public <= one || peer_public >= &self.prime - &one {
            return None;
        }
        let mut shared = peer_public.modpow(&self.private, &self.prime).to_bytes_be();
        let mut padded = Zeroizing::new([0_u8; 128]);
        padded[128 - shared.len()..].copy_from_slice(&shared);
        shared.zeroize();
        let mut key = Zeroizing::new([0_u8; 16]);
        Hkdf::<Sha256>::new(None, &*padded).expand(&[], &mut *key).ok()?;
        Some(key)
    }
}

fn decrypt(key: &[u8; 16], iv: &[u8], value: &[u8]) -> Option<SecretString> {
    let cipher = cbc::Decryptor::<Aes128>::new_from_slices(key, iv).ok()?;
    let mut bytes = Zeroizing::new(value.to_vec());
    let text = cipher.decrypt_padded::<Pkcs7>(&mut bytes).ok()?;
    std::str::from_utf8(text).ok().map(SecretString::from)
}

#[cfg(test)]
mod tests {
    use cbc::cipher::BlockModeEncrypt;
    use secrecy::ExposeSecret;

    use super::*;

    fn key_pair(private: u32) -> DhKeyPair {
        DhKeyPair::from_private(&BigUint::from(private))
    }

    #[test]
    fn both_key_pairs_derive_the_same_session_key() {
        let (ours, theirs) = (DhKeyPair::generate().unwrap(), DhKeyPair::generate().unwrap());
        let key = ours.derive_session_key(&theirs.public.to_bytes_be()).unwrap();
        assert_eq!(*key, *theirs.derive_session_key(&ours.public.to_bytes_be()).unwrap());
        assert_ne!(*key, *ours.derive_session_key(&key_pair(77).public.to_bytes_be()).unwrap());
        assert_ne!(ours.public, DhKeyPair::generate().unwrap().public);
    }

    #[test]
    fn weak_public_keys_are_rejected() {
        let ours = key_pair(12_345);
        let last = &ours.prime - BigUint::from(1_u8);
        for weak in [vec![], vec![0], vec![1], last.to_bytes_be(), ours.prime.to_bytes_be()] {
            assert!(ours.derive_session_key(&weak).is_none(), "{weak:?}");
        }
        assert!(ours.derive_session_key(&[2]).is_some());
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test compares")]
    fn only_unmodified_ciphertext_is_decrypted() {
        let (key, iv) = ([7; 16], [9; 16]);
        let cipher = cbc::Encryptor::<Aes128>::new(&key.into(), &iv.into());
        let mut value = cipher.encrypt_padded_vec::<Pkcs7>(b"sk-or-v1-0");
        assert_eq!(decrypt(&key, &iv, &value).unwrap().expose_secret(), "sk-or-v1-0");
        assert!(decrypt(&key, &iv[1..], &value).is_none());
        assert!(decrypt(&[8; 16], &iv, &value).is_none());
        value.pop();
        assert!(decrypt(&key, &iv, &value).is_none());
    }
}
