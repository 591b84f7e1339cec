//! The file format of `age` (age-encryption.org/v1), as far as a passphrase needs it: `age -d` opens
//! what is sealed here, and what `age -p` sealed is opened here.
//! Must not know: what is inside, or where it lies.
//!
//! The `age` crate was measured first. It seals under a new salt each time, so every write would
//! cost another scrypt, and it brings a translation system along that the binary has no room for.
//! Here the header is made once, and each write takes a fresh nonce, from which the format derives
//! a fresh key: one scrypt a run.

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
/// Bytes of the payload that are sealed at a time.
const CHUNK_SIZE: usize = 64 * 1024;
const TAG_SIZE: usize = 16;
const FILE_KEY_SIZE: usize = 16;
const SALT_SIZE: usize = 16;
/// A file that asks for more (each step doubles it; this one is 1 GiB and seconds) is refused.
const MAX_WORK_FACTOR: u8 = 20;

type DerivedKey = Zeroizing<[u8; 32]>;

/// Why a file does not open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum AgeError {
    /// Not an age file that a passphrase opens.
    UnsupportedFormat,
    /// It asks for more work than is done for a passphrase.
    WorkFactorTooHigh,
    /// The passphrase is another.
    WrongPassphrase,
    /// Its bytes are not those that were sealed.
    Damaged,
    /// The system gives no random numbers, or no memory.
    SystemResources,
}

/// A header and the key that it wraps. Making or opening one costs a scrypt, sealing nothing.
pub(super) struct UnlockedHeader {
    header_bytes: Vec<u8>,
    file_key: Zeroizing<[u8; FILE_KEY_SIZE]>,
}

impl UnlockedHeader {
    /// A new one, `work` the binary logarithm of scrypt's cost.
    pub(super) fn new(passphrase: &SecretString, work: u8) -> Result<Self, AgeError> {
        let mut file_key = Zeroizing::new([0; FILE_KEY_SIZE]);
        fill_random(&mut *file_key)?;
        let mut salt = [0; SALT_SIZE];
        fill_random(&mut salt)?;
        let mut wrapped = file_key.to_vec();
        let wrap = derive_wrap_key(passphrase, &salt, work)?;
        new_cipher(&wrap)
            .seal_in_place_append_tag(zero_nonce(), Aad::empty(), &mut wrapped)
            .map_err(|_| AgeError::SystemResources)?;
        let mut header = format!(
            "{VERSION_LINE}-> scrypt {} {work}\n{}\n---",
            BASE64.encode(salt),
            BASE64.encode(&wrapped)
        );
        let mac = hmac::sign(&derive_mac_key(&file_key), header.as_bytes());
        header.push(' ');
        header.push_str(&BASE64.encode(mac));
        header.push('\n');
        Ok(Self { header_bytes: header.into_bytes(), file_key })
    }

    /// The one that this file begins with.
    pub(super) fn unlock(file: &[u8], passphrase: &SecretString) -> Result<Self, AgeError> {
        let header = ParsedHeader::parse(file).ok_or(AgeError::UnsupportedFormat)?;
        if header.work_factor > MAX_WORK_FACTOR {
            return Err(AgeError::WorkFactorTooHigh);
        }
        let wrap = derive_wrap_key(passphrase, &header.salt, header.work_factor)?;
        let mut wrapped = Zeroizing::new(header.wrapped_file_key);
        let opened = new_cipher(&wrap)
            .open_in_place(zero_nonce(), Aad::empty(), &mut *wrapped)
            .map_err(|_| AgeError::WrongPassphrase)?;
        let mut file_key = Zeroizing::new([0; FILE_KEY_SIZE]);
        file_key.copy_from_slice(opened);
        hmac::verify(&derive_mac_key(&file_key), header.authenticated_bytes, &header.mac)
            .map_err(|_| AgeError::Damaged)?;
        Ok(Self { header_bytes: header.header_bytes.to_vec(), file_key })
    }

    /// Whether the file was sealed in this very one.
    pub(super) fn is_header_of(&self, file: &[u8]) -> bool {
        file.starts_with(&self.header_bytes)
    }

    /// The whole file around `plain`.
    pub(super) fn encrypt(&self, plain: &[u8]) -> Result<Vec<u8>, AgeError> {
        let mut nonce = [0; 16];
        fill_random(&mut nonce)?;
        let sealer = new_cipher(&derive_payload_key(&self.file_key, &nonce));
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
            let tag = sealer
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

    /// What was sealed in the file.
    pub(super) fn decrypt(&self, file: &[u8]) -> Result<Zeroizing<Vec<u8>>, AgeError> {
        let payload = file.strip_prefix(&*self.header_bytes).ok_or(AgeError::Damaged)?;
        let (nonce, sealed) = payload.split_at_checked(16).ok_or(AgeError::Damaged)?;
        let sealer = new_cipher(&derive_payload_key(&self.file_key, nonce));
        let mut plain = Zeroizing::new(Vec::with_capacity(sealed.len()));
        let last =
            sealed.len().div_ceil(CHUNK_SIZE + TAG_SIZE).checked_sub(1).ok_or(AgeError::Damaged)?;
        for (number, chunk) in sealed.chunks(CHUNK_SIZE + TAG_SIZE).enumerate() {
            let mut chunk = Zeroizing::new(chunk.to_vec());
            let opened = sealer
                .open_in_place(chunk_nonce(number, number == last), Aad::empty(), &mut chunk)
                .map_err(|_| AgeError::Damaged)?;
            plain.extend_from_slice(opened);
        }
        Ok(plain)
    }
}

/// A header with one scrypt stanza, and nothing else.
struct ParsedHeader<'a> {
    /// Up to the payload.
    header_bytes: &'a [u8],
    /// Up to and with the three dashes.
    authenticated_bytes: &'a [u8],
    salt: [u8; SALT_SIZE],
    work_factor: u8,
    wrapped_file_key: [u8; FILE_KEY_SIZE + TAG_SIZE],
    mac: [u8; 32],
}

impl<'a> ParsedHeader<'a> {
    fn parse(file: &'a [u8]) -> Option<Self> {
        let mut at = 0;
        let mut line = || {
            let rest = &file[at..];
            let end = rest.iter().take(200).position(|byte| *byte == b'\n')?;
            at += end + 1;
            std::str::from_utf8(&rest[..end]).ok()
        };
        if line()? != VERSION_LINE.trim_end() {
            return None;
        }
        let (salt, work) = line()?.strip_prefix("-> scrypt ")?.split_once(' ')?;
        let wrapped = line()?;
        let mac = line()?.strip_prefix("--- ")?;
        let maced = at - mac.len() - 2;
        // As the format has it: no sign, no zero in front.
        let work: u8 = work.parse().ok().filter(|number: &u8| number.to_string() == work)?;
        Some(Self {
            header_bytes: &file[..at],
            authenticated_bytes: &file[..maced],
            salt: decode_base64(salt)?,
            work_factor: if work == 0 { return None } else { work },
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

/// scrypt over the passphrase: the one step that takes its time.
fn derive_wrap_key(
    passphrase: &SecretString,
    salt: &[u8],
    work: u8,
) -> Result<DerivedKey, AgeError> {
    let parameters = scrypt::Params::new(work, 8, 1).map_err(|_| AgeError::WorkFactorTooHigh)?;
    let salt = [SCRYPT_SALT_LABEL.as_bytes(), salt].concat();
    let mut key = DerivedKey::default();
    #[expect(clippy::disallowed_methods, reason = "door: the passphrase of the file vault")]
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

/// HKDF-SHA-256 (RFC 5869), one block.
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

/// A key that wraps is used once.
fn zero_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

/// Eleven bytes of counter, one that says whether it is the last.
fn chunk_nonce(number: usize, last: bool) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[3..11].copy_from_slice(&(number as u64).to_be_bytes());
    nonce[11] = u8::from(last);
    Nonce::assume_unique_for_key(nonce)
}
