//! The names that the section `[dashboard]` and the section `[keys]` of the configuration file accept.

use super::keymap;
use super::state::SortOrder;
use crate::services::config::DashboardNames;

/// The names that the configuration file may contain. A list that is empty turns its field off: it is
/// an unknown field then, and the example does not have it.
pub const CONFIG_NAMES: DashboardNames = DashboardNames {
    sorts: &SortOrder::NAMES,
    // Read back with `Settings::theme`.
    themes: &[],
    // Read back with `Settings::bindings`: action and key.
    actions: keymap::action_names,
    check_key: keymap::check_key,
};
