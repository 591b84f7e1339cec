//! A fast read of one key from the Secret Service, for short-lived commands such as `get`. The D-Bus
//! connection runs on the calling thread, without an executor thread of its own, requests that do
//! not depend on each other are sent together, and the session key needs a quarter of the work of
//! the keyring store's.
//!
//! It returns the secret if exactly one unlocked entry matches, otherwise `None`. After `None` the
//! caller uses the keyring store, which can unlock the keychain and report errors.

use std::collections::HashMap;
use std::time::Duration;

use aes::Aes128;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit};
use hkdf::Hkdf;
use num_bigint::BigUint;
use secrecy::SecretString;
use secrecy::zeroize::{Zeroize, Zeroizing};
use sha2::Sha256;
use zbus::connection::{Builder, Connection};
use zbus::zvariant::{DynamicType, OwnedObjectPath, OwnedValue, Type, Value};

use super::{SERVICE_BUS_NAME, SERVICE_INTERFACE, SERVICE_PATH};
use crate::storage::secret_store::EntryId;

const ITEM_INTERFACE: &str = "org.freedesktop.Secret.Item";
/// The encrypted session of the Secret Service specification.
const SESSION_ALGORITHM: &str = "dh-ietf1024-sha256-aes128-cbc-pkcs7";

/// Timeout of one call; after it the keyring store is used.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Returns the secret if exactly one entry matches and it is unlocked.
pub(in crate::storage::secret_store::keychain) fn try_fast_read(
    entry_id: &EntryId,
) -> Option<SecretString> {
    let key_pair = DhKeyPair::generate()?;
    zbus::block_on(async {
        let builder = Builder::session().ok()?.method_timeout(TIMEOUT).internal_executor(false);
        let bus = builder.build().await.ok()?;
        let run_connection = async {
            loop {
                bus.executor().tick().await;
            }
        };
        tokio::select! {
            secret = read_secret(&bus, &key_pair, entry_id) => secret,
            () = run_connection => None,
        }
    })
}

async fn read_secret(
    bus: &Connection,
    key_pair: &DhKeyPair,
    entry_id: &EntryId,
) -> Option<SecretString> {
    let service = (SERVICE_PATH, SERVICE_INTERFACE);
    let session_args = (SESSION_ALGORITHM, Value::from(key_pair.public.to_bytes_be()));
    let attributes = HashMap::from([
        ("service", entry_id.service.as_str()),
        ("username", entry_id.account.as_str()),
    ]);
    let (session, entries) = tokio::join!(
        call(bus, service, "OpenSession", &session_args),
        call(bus, service, "SearchItems", &attributes),
    );
    let (peer_public, session): (OwnedValue, OwnedObjectPath) = session?;
    let (unlocked, locked): (Vec<OwnedObjectPath>, Vec<OwnedObjectPath>) = entries?;
    let ([item], []) = (unlocked.as_slice(), locked.as_slice()) else { return None };
    let (_, iv, value, _): (OwnedObjectPath, Vec<u8>, Vec<u8>, String) =
        call(bus, (item.as_str(), ITEM_INTERFACE), "GetSecret", &session).await?;
    let key = key_pair.derive_session_key(&Vec::<u8>::try_from(peer_public).ok()?)?;
    decrypt(&key, &iv, &value)
}

/// Calls a method of the Secret Service. A proxy would subscribe to signals first.
async fn call<R: serde::de::DeserializeOwned + Type>(
    bus: &Connection,
    (path, interface): (&str, &str),
    method: &str,
    body: &(impl serde::Serialize + DynamicType),
) -> Option<R> {
    let call = bus.call_method(Some(SERVICE_BUS_NAME), path, Some(interface), method, body);
    call.await.ok()?.body().deserialize().ok()
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
