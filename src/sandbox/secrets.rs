//! What has to be unguessable: keys and codes, from the randomness of the OS.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRng as _;
use rand::rngs::SysRng;

use super::ledger::hex;

const BYTES: usize = 32;

/// A fresh secret in the shape of OpenRouter's keys.
pub fn key() -> io::Result<String> {
    Ok(spell(&random(BYTES)?))
}

/// Many of them for one question to the OS.
pub fn keys(count: usize) -> io::Result<Vec<String>> {
    Ok(random(BYTES * count)?.chunks_exact(BYTES).map(spell).collect())
}

/// A fresh authorization code.
pub fn code() -> io::Result<String> {
    Ok(format!("auth_code_{}", URL_SAFE_NO_PAD.encode(random(BYTES)?)))
}

fn spell(bytes: &[u8]) -> String {
    format!("sk-or-v1-{}", hex(bytes))
}

fn random(len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    SysRng.try_fill_bytes(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}
