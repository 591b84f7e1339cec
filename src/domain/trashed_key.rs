//! A key that was removed from this machine and can still be restored.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{StoredKey, sanitize};

/// How many days a removed key can be restored.
pub const TRASH_DAYS: i64 = 7;

/// A removed key. Its secret is in the trash of the store in which it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrashedKey {
    /// When it was removed.
    pub removed_at: Timestamp,
    /// The key as it was in the inventory.
    pub key: StoredKey,
}

impl TrashedKey {
    /// The field of a shared record that says who removed the key.
    pub const REMOVED_BY: &str = "removed_by";

    /// Returns who removed a key from a shared store, if that was someone else.
    pub fn removed_by(&self) -> Option<String> {
        let who = self.key.shared.as_ref()?.fields.get(Self::REMOVED_BY)?;
        Some(sanitize(who, 100))
    }

    /// Returns when the key is deleted for good: by the next command that removes, restores or checks
    /// keys after that time.
    pub fn deleted_at(&self) -> Timestamp {
        self.removed_at
            .checked_add(SignedDuration::from_hours(24 * TRASH_DAYS))
            .unwrap_or(Timestamp::MAX)
    }

    /// Returns whether the key is due to be deleted.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.deleted_at() <= now
    }

    /// Returns whether this is the key with that hash, of that server.
    pub fn is_key(&self, server: &str, hash: &str) -> bool {
        self.key.server == server && self.key.hash == hash
    }
}
