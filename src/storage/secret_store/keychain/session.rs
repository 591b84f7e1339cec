//! The encrypted session of the Secret Service specification. Its Diffie-Hellman exchange needs a
//! quarter of the work of a full exponent's, which short-lived commands such as `get` notice.

use aes::Aes128;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use crypto_bigint::modular::{ConstMontyForm, ConstMontyParams};
use crypto_bigint::{U256, U1024};
use hkdf::Hkdf;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use sha2::Sha256;

use crate::storage::secret_store::Error;

pub(super) const SESSION_ALGORITHM: &str = "dh-ietf1024-sha256-aes128-cbc-pkcs7";

/// A session, in which secrets are encrypted on the bus.
pub(super) struct Session {
    pub(super) path: String,
    key: Zeroizing<[u8; 16]>,
}

impl Session {
    pub(super) const fn new(path: String, key: Zeroizing<[u8; 16]>) -> Self {
        Self { path, key }
    }

    /// Encrypts a secret. Returns the initialisation vector and the value.
    pub(super) fn encrypt(&self, secret: &str) -> Result<(Vec<u8>, Vec<u8>), Error> {
        let mut iv = [0_u8; 16];
        fill_random(&mut iv).ok_or_else(|| Error::other("no randomness from the system"))?;
        let cipher = cbc::Encryptor::<Aes128>::new(&(*self.key).into(), &iv.into());
        Ok((iv.to_vec(), cipher.encrypt_padded_vec::<Pkcs7>(secret.as_bytes())))
    }

    pub(super) fn decrypt(&self, iv: &[u8], value: &[u8]) -> Result<SecretString, Error> {
        let undecryptable = || Error::other("the keychain's response could not be decrypted");
        let cipher = cbc::Decryptor::<Aes128>::new_from_slices(&*self.key, iv)
            .map_err(|_| undecryptable())?;
        let mut bytes = Zeroizing::new(value.to_vec());
        let text = cipher.decrypt_padded::<Pkcs7>(&mut bytes).map_err(|_| undecryptable())?;
        std::str::from_utf8(text).map(SecretString::from).map_err(|_| Error::NotText)
    }
}

/// Returns a random number for a pause; zero without randomness.
pub(super) fn random_byte() -> u8 {
    let mut byte = [0];
    fill_random(&mut byte).map_or(0, |()| byte[0])
}

fn fill_random(bytes: &mut [u8]) -> Option<()> {
    rand::TryRng::try_fill_bytes(&mut rand::rngs::SysRng, bytes).ok()
}

/// The local key pair of the Diffie-Hellman exchange.
pub(super) struct DhKeyPair {
    private: U256,
    public: U1024,
}

crypto_bigint::const_monty_params!(
    OakleyGroup2,
    U1024,
    "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404dd\
     ef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed\
     ee386bfb5a899fa5ae9f24117c4b1fe649286651ece65381ffffffffffffffff",
    "The Second Oakley Group (RFC 2409, section 6.2), which the Secret Service specification requires."
);

/// Returns a power in the group, in constant time.
fn power(base: &U1024, exponent: &U256) -> U1024 {
    ConstMontyForm::<OakleyGroup2, { U1024::LIMBS }>::new(base).pow(exponent).retrieve()
}

impl DhKeyPair {
    /// Generates a key pair. A 256-bit exponent is enough for this group (RFC 3526, section 8) and
    /// needs a quarter of the work of a full one.
    pub(super) fn generate() -> Option<Self> {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        fill_random(&mut *bytes)?;
        Some(Self::from_private(U256::from_be_slice(&*bytes)))
    }

    fn from_private(private: U256) -> Self {
        Self { private, public: power(&U1024::from(2_u8), &private) }
    }

    /// Returns the public key without leading zeros.
    pub(super) fn public_key(&self) -> Vec<u8> {
        let bytes = self.public.to_be_bytes();
        bytes.as_ref().iter().copied().skip_while(|byte| *byte == 0).collect()
    }

    /// Derives the session key. Returns `None` for a public key that would make it predictable.
    pub(super) fn derive_session_key(&self, peer_public: &[u8]) -> Option<Zeroizing<[u8; 16]>> {
        let zeros = peer_public.iter().take_while(|byte| **byte == 0).count();
        let peer_public = &peer_public[zeros..];
        let mut padded = [0; 128];
        padded.get_mut(128_usize.checked_sub(peer_public.len())?..)?.copy_from_slice(peer_public);
        let peer_public = U1024::from_be_slice(&padded);
        let last = OakleyGroup2::PARAMS.modulus().wrapping_sub(&U1024::ONE);
        if peer_public <= U1024::ONE || peer_public >= last {
            return None;
        }
        let shared = power(&peer_public, &self.private).to_be_bytes();
        let mut key = Zeroizing::new([0_u8; 16]);
        Hkdf::<Sha256>::new(None, shared.as_ref()).expand(&[], &mut *key).ok()?;
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn key_pair(private: u32) -> DhKeyPair {
        DhKeyPair::from_private(U256::from(private))
    }

    #[test]
    fn both_key_pairs_derive_the_same_session_key() {
        let (ours, theirs) = (DhKeyPair::generate().unwrap(), DhKeyPair::generate().unwrap());
        let key = ours.derive_session_key(&theirs.public_key()).unwrap();
        assert_eq!(*key, *theirs.derive_session_key(&ours.public_key()).unwrap());
        assert_ne!(*key, *ours.derive_session_key(&key_pair(77).public_key()).unwrap());
        assert_ne!(ours.public, DhKeyPair::generate().unwrap().public);
    }

    #[test]
    fn weak_public_keys_are_rejected() {
        let ours = key_pair(12_345);
        let prime = OakleyGroup2::PARAMS.modulus().to_be_bytes().as_ref().to_vec();
        let mut last = prime.clone();
        last[127] -= 1;
        for weak in [vec![], vec![0], vec![1], last, prime.clone(), [vec![1], prime].concat()] {
            assert!(ours.derive_session_key(&weak).is_none(), "{weak:?}");
        }
        assert_eq!(
            ours.derive_session_key(&[2]),
            ours.derive_session_key(&[&[0; 130][..], &[2]].concat())
        );
        assert!(ours.derive_session_key(&[2]).is_some());
    }

    /// Computed with Python: `pow(2, 12345, p)` and HKDF of `pow(3, 12345, p)`.
    #[test]
    fn known_values_are_computed() {
        let ours = key_pair(12_345);
        let hex = |bytes: &[u8]| {
            bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
        };
        assert_eq!(hex(&ours.public_key()[..8]), "2a98ddf13e8d7ebb");
        assert_eq!(
            hex(&*ours.derive_session_key(&[3]).unwrap()),
            "9fd12d793bc5eaf9691eb389f4d50ef1"
        );
    }

    fn session(key: [u8; 16]) -> Session {
        Session::new(String::new(), Zeroizing::new(key))
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test compares")]
    fn only_unmodified_ciphertext_is_decrypted() {
        let ours = session([7; 16]);
        let (iv, mut value) = ours.encrypt("sk-or-v1-0").unwrap();
        assert_ne!(ours.encrypt("sk-or-v1-0").unwrap(), (iv.clone(), value.clone()));
        assert_eq!(ours.decrypt(&iv, &value).unwrap().expose_secret(), "sk-or-v1-0");
        assert!(ours.decrypt(&iv[1..], &value).is_err());
        assert!(session([8; 16]).decrypt(&iv, &value).is_err());
        value.pop();
        assert!(ours.decrypt(&iv, &value).is_err());
    }

    #[test]
    fn bytes_that_are_not_text_are_not_shown() {
        let cipher = cbc::Encryptor::<Aes128>::new(&[7; 16].into(), &[9; 16].into());
        let value = cipher.encrypt_padded_vec::<Pkcs7>(b"sk-or-\xff");
        assert_eq!(session([7; 16]).decrypt(&[9; 16], &value).unwrap_err(), Error::NotText);
    }
}
