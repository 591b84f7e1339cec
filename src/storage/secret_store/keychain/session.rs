//! The encrypted session of the Secret Service specification. Its Diffie-Hellman exchange needs a
//! quarter of the work of a full exponent's, which short-lived commands such as `get` notice.

use aes::Aes128;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use hkdf::Hkdf;
use num_bigint::BigUint;
use secrecy::SecretString;
use secrecy::zeroize::{Zeroize, Zeroizing};
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
    pub(super) fn generate() -> Option<Self> {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        fill_random(&mut *bytes)?;
        Some(Self::from_private(&BigUint::from_bytes_be(&*bytes)))
    }

    fn from_private(private: &BigUint) -> Self {
        let prime =
            BigUint::from_bytes_be(OAKLEY_GROUP_2_PRIME.map(u64::to_be_bytes).as_flattened());
        let public = BigUint::from(2_u8).modpow(private, &prime);
        Self { private: private.clone(), public, prime }
    }

    pub(super) fn public_key(&self) -> Vec<u8> {
        self.public.to_bytes_be()
    }

    /// Derives the session key. Returns `None` for a public key that would make it predictable.
    pub(super) fn derive_session_key(&self, peer_public: &[u8]) -> Option<Zeroizing<[u8; 16]>> {
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

#[cfg(test)]
mod tests {
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
