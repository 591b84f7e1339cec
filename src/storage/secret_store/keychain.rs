//! The OS keychain, called on the worker's thread.

#[cfg_attr(all(unix, not(target_os = "macos")), path = "keychain/secret_service.rs")]
#[cfg_attr(any(target_os = "macos", windows), path = "keychain/keyring.rs")]
mod native;

use secrecy::SecretString;

use super::{EntryId, Error};

pub(super) use native::{DISPLAY_NAME, Keychain, can_prompt};

impl Keychain {
    pub(super) fn check_writable(&mut self, entry_id: &EntryId) -> Result<(), Error> {
        let written = self.set(entry_id, &SecretString::from("probe"));
        let removed = match written {
            Err(Error::ReadBackMismatch) | Ok(()) => self.delete(entry_id),
            Err(_) => Ok(()),
        };
        written.and(removed)
    }
}
