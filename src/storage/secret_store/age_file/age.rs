//! The part of the age file format (age-encryption.org/v1) that passphrases need. `age -d` decrypts
//! files written here, and files written by `age -p` are decrypted here.
//!
//! The `age` crate derives a new key with scrypt for every write, and its translation system makes
//! the binary larger. Here the header is created once, and each write takes a new nonce, from which
//! the format derives a new payload key. A run needs scrypt once.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use rand::TryRng;
use rand::rngs::SysRng;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::{hkdf, hmac};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

/// The first line of every age file.
const VERSION_LINE: &str = "age-encryption.org/v1\n";
const SCRYPT_SALT_LABEL: &str = "age-encryption.org/v1/scrypt";
/// Plaintext bytes in a chunk.
const CHUNK_SIZE: usize = 64 * 1024;
const TAG_SIZE: usize = 16;
const FILE_KEY_SIZE: usize = 16;
const SALT_SIZE: usize = 16;
/// Limit for the scrypt work factor of a file. Each step doubles the cost; 20 needs 1 GiB of memory
/// and several seconds.
const MAX_WORK_FACTOR: u8 = 20;

type DerivedKey = Zeroizing<[u8; 32]>;

/// The reason why a file cannot be decrypted or encrypted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum AgeError {
    /// Not an age file, or not encrypted with a passphrase.
    UnsupportedFormat,
    /// The scrypt work factor is above the limit.
    WorkFactorTooHigh,
    /// The passphrase is wrong.
    WrongPassphrase,
    /// The content fails authentication or breaks the format.
    Damaged,
    /// The system provides no random numbers or no memory.
    SystemResources,
}

/// A header and the file key that it wraps. Creating and unlocking one runs scrypt; encrypting and
/// decrypting do not.
pub(super) struct UnlockedHeader {
    header_bytes: Vec<u8>,
    file_key: Zeroizing<[u8; FILE_KEY_SIZE]>,
}

impl UnlockedHeader {
    /// Creates a header with a new file key. `work_factor` is the base-2 logarithm of scrypt's cost.
    pub(super) fn new(passphrase: &SecretString, work_factor: u8) -> Result<Self, AgeError> {
        let mut file_key = Zeroizing::new([0; FILE_KEY_SIZE]);
        fill_random(&mut *file_key)?;
        let mut salt = [0; SALT_SIZE];
        fill_random(&mut salt)?;
        let mut wrapped = file_key.to_vec();
        let wrap_key = derive_wrap_key(passphrase, &salt, work_factor)?;
        new_cipher(&wrap_key)
            .seal_in_place_append_tag(zero_nonce(), Aad::empty(), &mut wrapped)
            .map_err(|_| AgeError::SystemResources)?;
        let mut header = format!(
            "{VERSION_LINE}-> scrypt {} {work_factor}\n{}\n---",
            BASE64.encode(salt),
            BASE64.encode(&wrapped)
        );
        let mac = hmac::sign(&derive_mac_key(&file_key), header.as_bytes());
        header.push(' ');
        header.push_str(&BASE64.encode(mac));
        header.push('\n');
        Ok(Self { header_bytes: header.into_bytes(), file_key })
    }

    /// Unlocks the header at the start of `file`.
    pub(super) fn unlock(file: &[u8], passphrase: &SecretString) -> Result<Self, AgeError> {
        let header = ParsedHeader::parse(file).ok_or(AgeError::UnsupportedFormat)?;
        if header.work_factor > MAX_WORK_FACTOR {
            return Err(AgeError::WorkFactorTooHigh);
        }
        let wrap_key = derive_wrap_key(passphrase, &header.salt, header.work_factor)?;
        let mut unwrapped = Zeroizing::new(header.wrapped_file_key);
        let decrypted = new_cipher(&wrap_key)
            .open_in_place(zero_nonce(), Aad::empty(), &mut *unwrapped)
            .map_err(|_| AgeError::WrongPassphrase)?;
        let mut file_key = Zeroizing::new([0; FILE_KEY_SIZE]);
        file_key.copy_from_slice(decrypted);
        hmac::verify(&derive_mac_key(&file_key), header.authenticated_bytes, &header.mac)
            .map_err(|_| AgeError::Damaged)?;
        Ok(Self { header_bytes: header.header_bytes.to_vec(), file_key })
    }

    /// Returns whether `file` starts with this header.
    pub(super) fn is_header_of(&self, file: &[u8]) -> bool {
        file.starts_with(&self.header_bytes)
    }

    /// Encrypts `plain` and returns the whole file.
    pub(super) fn encrypt(&self, plain: &[u8]) -> Result<Vec<u8>, AgeError> {
        let mut nonce = [0; 16];
        fill_random(&mut nonce)?;
        let cipher = new_cipher(&derive_payload_key(&self.file_key, &nonce));
        let mut file =
            Vec::with_capacity(self.header_bytes.len() + 16 + plain.len() + plain.len() / 64);
        file.extend_from_slice(&self.header_bytes);
        file.extend_from_slice(&nonce);
        // An empty payload is one empty chunk.
        let chunks = plain.chunks(CHUNK_SIZE).chain(plain.is_empty().then_some(plain));
        let last = plain.len().div_ceil(CHUNK_SIZE).saturating_sub(1);
        for (number, chunk) in chunks.enumerate() {
            let start = file.len();
            file.extend_from_slice(chunk);
            let tag = cipher
                .seal_in_place_separate_tag(
                    chunk_nonce(number, number == last),
                    Aad::empty(),
                    &mut file[start..],
                )
                .map_err(|_| AgeError::SystemResources)?;
            file.extend_from_slice(tag.as_ref());
        }
        Ok(file)
    }

    /// Decrypts the payload of `file`.
    pub(super) fn decrypt(&self, file: &[u8]) -> Result<Zeroizing<Vec<u8>>, AgeError> {
        let payload = file.strip_prefix(&*self.header_bytes).ok_or(AgeError::Damaged)?;
        let (nonce, encrypted) = payload.split_at_checked(16).ok_or(AgeError::Damaged)?;
        let cipher = new_cipher(&derive_payload_key(&self.file_key, nonce));
        let mut plain = Zeroizing::new(Vec::with_capacity(encrypted.len()));
        let last = encrypted
            .len()
            .div_ceil(CHUNK_SIZE + TAG_SIZE)
            .checked_sub(1)
            .ok_or(AgeError::Damaged)?;
        for (number, chunk) in encrypted.chunks(CHUNK_SIZE + TAG_SIZE).enumerate() {
            let mut chunk = Zeroizing::new(chunk.to_vec());
            let decrypted = cipher
                .open_in_place(chunk_nonce(number, number == last), Aad::empty(), &mut chunk)
                .map_err(|_| AgeError::Damaged)?;
            // Only an empty payload may end with an empty chunk.
            if decrypted.is_empty() && number > 0 {
                return Err(AgeError::Damaged);
            }
            plain.extend_from_slice(decrypted);
        }
        Ok(plain)
    }
}

/// A header with exactly one scrypt stanza.
struct ParsedHeader<'a> {
    /// All bytes before the payload.
    header_bytes: &'a [u8],
    /// The bytes that the MAC covers, up to and including the three dashes.
    authenticated_bytes: &'a [u8],
    salt: [u8; SALT_SIZE],
    work_factor: u8,
    wrapped_file_key: [u8; FILE_KEY_SIZE + TAG_SIZE],
    mac: [u8; 32],
}

impl<'a> ParsedHeader<'a> {
    fn parse(file: &'a [u8]) -> Option<Self> {
        let mut position = 0;
        let mut line = || {
            let rest = &file[position..];
            let end = rest.iter().take(200).position(|byte| *byte == b'\n')?;
            position += end + 1;
            std::str::from_utf8(&rest[..end]).ok()
        };
        if line()? != VERSION_LINE.trim_end() {
            return None;
        }
        let (salt, work_factor) = line()?.strip_prefix("-> scrypt ")?.split_once(' ')?;
        let wrapped = line()?;
        let mac = line()?.strip_prefix("--- ")?;
        let authenticated_len = position - mac.len() - 2;
        // The format allows no sign and no leading zero.
        let work_factor: u8 =
            work_factor.parse().ok().filter(|number: &u8| number.to_string() == work_factor)?;
        Some(Self {
            header_bytes: &file[..position],
            authenticated_bytes: &file[..authenticated_len],
            salt: decode_base64(salt)?,
            work_factor: if work_factor == 0 { return None } else { work_factor },
            wrapped_file_key: decode_base64(wrapped)?,
            mac: decode_base64(mac)?,
        })
    }
}

fn decode_base64<const N: usize>(text: &str) -> Option<[u8; N]> {
    BASE64.decode(text).ok()?.try_into().ok()
}

fn fill_random(bytes: &mut [u8]) -> Result<(), AgeError> {
    SysRng.try_fill_bytes(bytes).map_err(|_| AgeError::SystemResources)
}

/// Derives the key that wraps the file key, with scrypt.
fn derive_wrap_key(
    passphrase: &SecretString,
    salt: &[u8],
    work_factor: u8,
) -> Result<DerivedKey, AgeError> {
    let parameters =
        scrypt::Params::new(work_factor, 8, 1).map_err(|_| AgeError::WorkFactorTooHigh)?;
    let salt = [SCRYPT_SALT_LABEL.as_bytes(), salt].concat();
    let mut key = DerivedKey::default();
    #[expect(clippy::disallowed_methods, reason = "derives a key from the passphrase")]
    scrypt::scrypt(passphrase.expose_secret().as_bytes(), &salt, &parameters, &mut *key)
        .map_err(|_| AgeError::SystemResources)?;
    Ok(key)
}

fn derive_mac_key(file_key: &[u8; FILE_KEY_SIZE]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, &*derive_key(file_key, &[], b"header"))
}

fn derive_payload_key(file_key: &[u8; FILE_KEY_SIZE], nonce: &[u8]) -> DerivedKey {
    derive_key(file_key, nonce, b"payload")
}

/// Derives one block with HKDF-SHA-256 (RFC 5869).
fn derive_key(secret: &[u8], salt: &[u8], purpose: &[u8]) -> DerivedKey {
    let mut key = DerivedKey::default();
    let filled = hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(secret)
        .expand(&[purpose], hkdf::HKDF_SHA256)
        .and_then(|block| block.fill(&mut *key));
    debug_assert!(filled.is_ok(), "one block is never too long");
    key
}

fn new_cipher(key: &DerivedKey) -> LessSafeKey {
    let Ok(key) = UnboundKey::new(&CHACHA20_POLY1305, &**key) else {
        unreachable!("32 bytes are a key")
    };
    LessSafeKey::new(key)
}

/// Returns the nonce for the wrap key, which encrypts only one message.
fn zero_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

/// Returns the nonce of a chunk: an eleven-byte counter and one byte that marks the last chunk.
fn chunk_nonce(number: usize, last: bool) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[3..11].copy_from_slice(&(number as u64).to_be_bytes());
    nonce[11] = u8::from(last);
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_last_chunk_after_a_full_chunk_is_rejected() {
        let header = UnlockedHeader::new(&SecretString::from("p"), 1).unwrap();
        let file = |chunks: &[&[u8]]| {
            let nonce = [3; 16];
            let cipher = new_cipher(&derive_payload_key(&header.file_key, &nonce));
            let mut file = [&header.header_bytes[..], &nonce].concat();
            for (number, chunk) in chunks.iter().enumerate() {
                let mut chunk = chunk.to_vec();
                let nonce = chunk_nonce(number, number + 1 == chunks.len());
                cipher.seal_in_place_append_tag(nonce, Aad::empty(), &mut chunk).unwrap();
                file.extend(chunk);
            }
            file
        };
        let full = vec![7; CHUNK_SIZE];
        assert_eq!(*header.decrypt(&file(&[&full])).unwrap(), full);
        assert!(header.decrypt(&file(&[&[]])).unwrap().is_empty(), "an empty payload");
        assert_eq!(header.decrypt(&file(&[&full, &[]])).unwrap_err(), AgeError::Damaged);
    }
}
