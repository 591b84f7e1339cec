//! State of the screen that takes a management key.

use super::text_field::TextField;
use super::ticket::Ticket;
use crate::domain::UserError;

/// What a management key may do, and the server's reason where it may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRight {
    /// What it is about, for example "keys".
    pub name: &'static str,
    /// Why the server refused it.
    pub refused: Option<String>,
}

/// A management key that was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredManagementKey {
    /// The key as shown.
    pub masked: String,
    /// The store that has it.
    pub store_name: String,
    /// What it may do.
    pub rights: Vec<KeyRight>,
    /// Whether `OPENROUTER_MANAGEMENT_KEY` is used instead.
    pub is_overridden: bool,
}

/// State of the screen.
#[derive(Clone, Debug, Default)]
pub struct ManagementScreen {
    /// The key as typed; masked on screen.
    pub field: TextField,
    /// The ticket of the check under way.
    pub ticket: Option<Ticket>,
    /// Why the key was not stored.
    pub error: Option<UserError>,
    /// The stored key, after success.
    pub stored: Option<StoredManagementKey>,
}
