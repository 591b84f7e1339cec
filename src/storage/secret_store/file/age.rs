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
const VERSION: &str = "age-encryption.org/v1\n";
const SCRYPT: &str = "age-encryption.org/v1/scrypt";
/// Bytes of the payload that are sealed at a time.
const CHUNK: usize = 64 * 1024;
const TAG: usize = 16;
const FILE_KEY: usize = 16;
const SALT: usize = 16;
/// A file that asks for more (each step doubles it; this one is 1 GiB and seconds) is refused.
const MOST_WORK: u8 = 20;

type Key = Zeroizing<[u8; 32]>;

/// Why a file does not open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Failure {
    /// Not an age file that a passphrase opens.
    NotOurs,
    /// It asks for more work than is done for a passphrase.
    TooMuchWork,
    /// The passphrase is another.
    Wrong,
    /// Its bytes are not those that were sealed.
    Damaged,
    /// The system gives no random numbers, or no memory.
    System,
}

/// A header and the key that it wraps. Making or opening one costs a scrypt, sealing nothing.
pub(super) struct Envelope {
    header: Vec<u8>,
    file_key: Zeroizing<[u8; FILE_KEY]>,
}

impl Envelope {
    /// A new one, `work` the binary logarithm of scrypt's cost.
    pub(super) fn new(passphrase: &SecretString, work: u8) -> Result<Self, Failure> {
        let mut file_key = Zeroizing::new([0; FILE_KEY]);
        fill(&mut *file_key)?;
        let mut salt = [0; SALT];
        fill(&mut salt)?;
        let mut wrapped = file_key.to_vec();
        let wrap = wrap_key(passphrase, &salt, work)?;
        sealer(&wrap)
            .seal_in_place_append_tag(zero_nonce(), Aad::empty(), &mut wrapped)
            .map_err(|_| Failure::System)?;
        let mut header = format!(
            "{VERSION}-> scrypt {} {work}\n{}\n---",
            BASE64.encode(salt),
            BASE64.encode(&wrapped)
        );
        let mac = hmac::sign(&mac_key(&file_key), header.as_bytes());
        header.push(' ');
        header.push_str(&BASE64.encode(mac));
        header.push('\n');
        Ok(Self { header: header.into_bytes(), file_key })
    }

    /// The one that this file begins with.
    pub(super) fn of(file: &[u8], passphrase: &SecretString) -> Result<Self, Failure> {
        let header = Header::read(file).ok_or(Failure::NotOurs)?;
        if header.work > MOST_WORK {
            return Err(Failure::TooMuchWork);
        }
        let wrap = wrap_key(passphrase, &header.salt, header.work)?;
        let mut wrapped = Zeroizing::new(header.wrapped);
        let opened = sealer(&wrap)
            .open_in_place(zero_nonce(), Aad::empty(), &mut *wrapped)
            .map_err(|_| Failure::Wrong)?;
        let mut file_key = Zeroizing::new([0; FILE_KEY]);
        file_key.copy_from_slice(opened);
        hmac::verify(&mac_key(&file_key), header.maced, &header.mac)
            .map_err(|_| Failure::Damaged)?;
        Ok(Self { header: header.whole.to_vec(), file_key })
    }

    /// Whether the file was sealed in this very one.
    pub(super) fn is_of(&self, file: &[u8]) -> bool {
        file.starts_with(&self.header)
    }

    /// The whole file around `plain`.
    pub(super) fn seal(&self, plain: &[u8]) -> Result<Vec<u8>, Failure> {
        let mut nonce = [0; 16];
        fill(&mut nonce)?;
        let sealer = sealer(&payload_key(&self.file_key, &nonce));
        let mut file = Vec::with_capacity(self.header.len() + 16 + plain.len() + plain.len() / 64);
        file.extend_from_slice(&self.header);
        file.extend_from_slice(&nonce);
        // An empty payload is one empty chunk.
        let chunks = plain.chunks(CHUNK).chain(plain.is_empty().then_some(plain));
        let last = plain.len().div_ceil(CHUNK).saturating_sub(1);
        for (number, chunk) in chunks.enumerate() {
            let start = file.len();
            file.extend_from_slice(chunk);
            let tag = sealer
                .seal_in_place_separate_tag(
                    chunk_nonce(number, number == last),
                    Aad::empty(),
                    &mut file[start..],
                )
                .map_err(|_| Failure::System)?;
            file.extend_from_slice(tag.as_ref());
        }
        Ok(file)
    }

    /// What was sealed in the file.
    pub(super) fn open(&self, file: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let payload = file.strip_prefix(&*self.header).ok_or(Failure::Damaged)?;
        let (nonce, sealed) = payload.split_at_checked(16).ok_or(Failure::Damaged)?;
        let sealer = sealer(&payload_key(&self.file_key, nonce));
        let mut plain = Zeroizing::new(Vec::with_capacity(sealed.len()));
        let last = sealed.len().div_ceil(CHUNK + TAG).checked_sub(1).ok_or(Failure::Damaged)?;
        for (number, chunk) in sealed.chunks(CHUNK + TAG).enumerate() {
            let mut chunk = Zeroizing::new(chunk.to_vec());
            let opened = sealer
                .open_in_place(chunk_nonce(number, number == last), Aad::empty(), &mut chunk)
                .map_err(|_| Failure::Damaged)?;
            plain.extend_from_slice(opened);
        }
        Ok(plain)
    }
}

/// A header with one scrypt stanza, and nothing else.
struct Header<'a> {
    /// Up to the payload.
    whole: &'a [u8],
    /// Up to and with the three dashes.
    maced: &'a [u8],
    salt: [u8; SALT],
    work: u8,
    wrapped: [u8; FILE_KEY + TAG],
    mac: [u8; 32],
}

impl<'a> Header<'a> {
    fn read(file: &'a [u8]) -> Option<Self> {
        let mut at = 0;
        let mut line = || {
            let rest = &file[at..];
            let end = rest.iter().take(200).position(|byte| *byte == b'\n')?;
            at += end + 1;
            std::str::from_utf8(&rest[..end]).ok()
        };
        if line()? != VERSION.trim_end() {
            return None;
        }
        let (salt, work) = line()?.strip_prefix("-> scrypt ")?.split_once(' ')?;
        let wrapped = line()?;
        let mac = line()?.strip_prefix("--- ")?;
        let maced = at - mac.len() - 2;
        // As the format has it: no sign, no zero in front.
        let work: u8 = work.parse().ok().filter(|number: &u8| number.to_string() == work)?;
        Some(Self {
            whole: &file[..at],
            maced: &file[..maced],
            salt: decode(salt)?,
            work: if work == 0 { return None } else { work },
            wrapped: decode(wrapped)?,
            mac: decode(mac)?,
        })
    }
}

fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    BASE64.decode(text).ok()?.try_into().ok()
}

fn fill(bytes: &mut [u8]) -> Result<(), Failure> {
    SysRng.try_fill_bytes(bytes).map_err(|_| Failure::System)
}

/// scrypt over the passphrase: the one step that takes its time.
fn wrap_key(passphrase: &SecretString, salt: &[u8], work: u8) -> Result<Key, Failure> {
    let parameters = scrypt::Params::new(work, 8, 1).map_err(|_| Failure::TooMuchWork)?;
    let salt = [SCRYPT.as_bytes(), salt].concat();
    let mut key = Key::default();
    #[expect(clippy::disallowed_methods, reason = "door: the passphrase of the file vault")]
    scrypt::scrypt(passphrase.expose_secret().as_bytes(), &salt, &parameters, &mut *key)
        .map_err(|_| Failure::System)?;
    Ok(key)
}

fn mac_key(file_key: &[u8; FILE_KEY]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, &*derive(file_key, &[], b"header"))
}

fn payload_key(file_key: &[u8; FILE_KEY], nonce: &[u8]) -> Key {
    derive(file_key, nonce, b"payload")
}

/// HKDF-SHA-256 (RFC 5869), one block.
fn derive(secret: &[u8], salt: &[u8], purpose: &[u8]) -> Key {
    let mut key = Key::default();
    let filled = hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(secret)
        .expand(&[purpose], hkdf::HKDF_SHA256)
        .and_then(|block| block.fill(&mut *key));
    debug_assert!(filled.is_ok(), "one block is never too long");
    key
}

fn sealer(key: &Key) -> LessSafeKey {
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
