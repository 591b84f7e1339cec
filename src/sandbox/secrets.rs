//! What has to be unguessable: keys and codes, from the randomness of the OS.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRng as _;
use rand::rngs::SysRng;

use super::ledger::encode_hex;

const SECRET_BYTES: usize = 32;

/// A fresh secret in the shape of OpenRouter's keys.
pub fn generate_key() -> io::Result<String> {
    Ok(format_key(&random_bytes(SECRET_BYTES)?))
}

/// Many of them for one question to the OS.
pub fn generate_keys(count: usize) -> io::Result<Vec<String>> {
    Ok(random_bytes(SECRET_BYTES * count)?.chunks_exact(SECRET_BYTES).map(format_key).collect())
}

/// A fresh authorization code.
pub fn generate_code() -> io::Result<String> {
    Ok(format!("auth_code_{}", URL_SAFE_NO_PAD.encode(random_bytes(SECRET_BYTES)?)))
}

fn format_key(bytes: &[u8]) -> String {
    format!("sk-or-v1-{}", encode_hex(bytes))
}

fn random_bytes(len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    SysRng.try_fill_bytes(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}
