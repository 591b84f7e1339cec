//! The passphrase of the `file` store: from a descriptor, a file, or a person at the terminal.
//! Must not know: what it opens.

use crate::domain::ErrorKind;
use std::ffi::OsString;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use super::prompts::{prompt_hidden_line, read_secret_line};
use crate::services::config::PassphrasePrompt;
use crate::storage::secret_store::Error;

/// Whoever gives it: that descriptor, else the file that the environment names, else a person.
pub(super) fn create_passphrase_fn(fd: Option<u32>) -> PassphrasePrompt {
    PassphrasePrompt(Arc::new(move |new| {
        let file = std::env::var_os("KEYWRIGHT_PASSPHRASE_FILE").filter(|path| !path.is_empty());
        match (fd, file) {
            (Some(fd), _) => read_passphrase_file(&OsString::from(format!("/dev/fd/{fd}"))),
            (None, Some(file)) => read_passphrase_file(&file),
            (None, None) if new => prompt_new_passphrase(
                "passphrase of the new vault (without it nobody opens it again): ",
            ),
            (None, None) => prompt_passphrase("passphrase of the vault: "),
        }
    }))
}

/// A passphrase from the first line of a file.
pub(super) fn read_passphrase_file(path: &OsString) -> Result<SecretString, Error> {
    let path = Path::new(path);
    let file = File::open(path).map_err(|error| {
        Error::NoPassphrase(format!(
            "the passphrase cannot be read from {}: {}",
            path.display(),
            error.kind()
        ))
    })?;
    read_secret_line(&mut BufReader::new(file)).filter(|line| !is_empty(line)).ok_or_else(|| {
        Error::NoPassphrase(format!(
            "there is no passphrase on the first line of {}",
            path.display()
        ))
    })
}

/// From a person, who types it a second time: a slip would lock them out for good.
pub(super) fn prompt_new_passphrase(prompt: &'static str) -> Result<SecretString, Error> {
    let first = prompt_passphrase(prompt)?;
    let again = prompt_passphrase("once more: ")?;
    #[expect(clippy::disallowed_methods, reason = "door: a passphrase is typed twice")]
    if first.expose_secret() == again.expose_secret() {
        Ok(first)
    } else {
        Err(Error::NoPassphrase("the two passphrases are not the same".into()))
    }
}

fn prompt_passphrase(prompt: &'static str) -> Result<SecretString, Error> {
    match prompt_hidden_line(prompt) {
        Ok(Some(line)) if !is_empty(&line) => Ok(line),
        Ok(_) => Err(Error::NoPassphrase("no passphrase was given".into())),
        Err(trouble) => Err(Error::NoPassphrase(match trouble.kind {
            ErrorKind::Cancelled => "no passphrase was given".into(),
            _ => "there is no terminal to ask for the vault's passphrase on".into(),
        })),
    }
}

#[expect(clippy::disallowed_methods, reason = "door: an empty passphrase is none")]
fn is_empty(line: &SecretString) -> bool {
    line.expose_secret().is_empty()
}
