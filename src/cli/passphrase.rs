//! The passphrase of the file store: from a file descriptor, a file, or a prompt.

use std::ffi::OsStr;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use super::output::usage_error;
use super::prompts::{are_disabled, prompt_hidden_line, read_secret_line};
use crate::domain::{ErrorKind, UserError, io_error_text};
use crate::services::config::{PassphrasePrompt, expand_home};
use crate::storage::secret_store::Error;

/// Returns the source of the passphrase: the descriptor, else the file in
/// `KEYWRIGHT_PASSPHRASE_FILE`, else a prompt. Fails for a descriptor on Windows.
pub(super) fn create_passphrase_fn(fd: Option<u32>) -> Result<PassphrasePrompt, UserError> {
    check_descriptor(fd, cfg!(windows))?;
    Ok(PassphrasePrompt(Arc::new(move |is_new| {
        let file = std::env::var_os("KEYWRIGHT_PASSPHRASE_FILE").filter(|path| !path.is_empty());
        match (fd, file) {
            (Some(fd), _) => read_passphrase_file(format!("/dev/fd/{fd}").as_ref()),
            (None, Some(file)) => {
                let path = expand_home(file.into()).map_err(Error::NoPassphrase)?;
                read_passphrase_file(path.as_os_str())
            }
            (None, None) if is_new => {
                prompt_new_passphrase("passphrase for the new vault.age (it cannot be recovered): ")
            }
            (None, None) => prompt_passphrase("passphrase for vault.age: "),
        }
    })))
}

/// Returns whether the passphrase can be read without a prompt.
pub(super) fn can_read_passphrase(fd: Option<u32>) -> bool {
    fd.is_some()
        || std::env::var_os("KEYWRIGHT_PASSPHRASE_FILE").is_some_and(|path| !path.is_empty())
}

fn check_descriptor(fd: Option<u32>, is_windows: bool) -> Result<(), UserError> {
    if fd.is_none() || !is_windows {
        return Ok(());
    }
    Err(usage_error(
        "--passphrase-fd is not available on Windows",
        "set KEYWRIGHT_PASSPHRASE_FILE to a file that contains the passphrase, or enter it at the \
         prompt",
    )
    .with_meaning("nothing was changed"))
}

/// Reads a passphrase from the first line of a file.
pub(super) fn read_passphrase_file(path: &OsStr) -> Result<SecretString, Error> {
    let path = Path::new(path);
    let file = File::open(path).map_err(|error| {
        Error::NoPassphrase(format!(
            "the passphrase cannot be read from {}: {}",
            path.display(),
            io_error_text(&error)
        ))
    })?;
    read_secret_line(&mut BufReader::new(file)).filter(|line| !is_empty(line)).ok_or_else(|| {
        Error::NoPassphrase(format!("the first line of {} is empty", path.display()))
    })
}

/// Prompts for a new passphrase twice, because a typing mistake would make the store unreadable.
pub(super) fn prompt_new_passphrase(prompt: &'static str) -> Result<SecretString, Error> {
    let first = prompt_passphrase(prompt)?;
    let second = prompt_passphrase("repeat the passphrase: ")?;
    #[expect(clippy::disallowed_methods, reason = "compares the two passphrases")]
    if first.expose_secret() == second.expose_secret() {
        Ok(first)
    } else {
        Err(Error::NoPassphrase("the passphrases do not match".into()))
    }
}

fn prompt_passphrase(prompt: &'static str) -> Result<SecretString, Error> {
    if are_disabled() {
        let reason = "the dashboard cannot ask for the passphrase of vault.age";
        return Err(Error::NoPassphrase(reason.into()));
    }
    match prompt_hidden_line(prompt) {
        Ok(Some(line)) if !is_empty(&line) => Ok(line),
        Ok(_) => Err(Error::NoPassphrase("no passphrase was entered".into())),
        Err(error) if error.kind == ErrorKind::Cancelled => Err(Error::PromptCancelled),
        Err(_) => Err(Error::NoPassphrase(
            "there is no terminal to ask for the passphrase of vault.age".into(),
        )),
    }
}

#[expect(clippy::disallowed_methods, reason = "rejects an empty passphrase")]
fn is_empty(line: &SecretString) -> bool {
    line.expose_secret().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_descriptor_is_rejected_on_windows() {
        let error = check_descriptor(Some(3), true).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidInput);
        assert!(error.advice.contains("KEYWRIGHT_PASSPHRASE_FILE"), "{}", error.advice);
        assert_eq!(check_descriptor(Some(3), false), Ok(()));
        assert_eq!(check_descriptor(None, true), Ok(()));
    }
}
