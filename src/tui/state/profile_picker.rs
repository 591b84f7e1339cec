//! The list of profiles, over the dashboard.

use crate::domain::ProfileName;

/// A profile that the dashboard can show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileChoice {
    /// Its name.
    pub name: ProfileName,
    /// Its server, or why it cannot be used.
    pub server: Result<String, String>,
}

/// State of the list of profiles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProfilePicker {
    /// The selected row.
    pub selected: usize,
}
