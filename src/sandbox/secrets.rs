//! Generates keys and codes from the operating system's random number generator.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRng as _;
use rand::rngs::SysRng;

use super::ledger::encode_hex;

const SECRET_BYTES: usize = 32;

/// Generates a key in OpenRouter's format.
pub fn generate_key() -> io::Result<String> {
    Ok(format_key(&random_bytes(SECRET_BYTES)?))
}

/// Generates `count` keys with one system call.
pub fn generate_keys(count: usize) -> io::Result<Vec<String>> {
    Ok(random_bytes(SECRET_BYTES * count)?.chunks_exact(SECRET_BYTES).map(format_key).collect())
}

/// Generates an authorization code.
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
