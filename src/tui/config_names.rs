//! The names that the section `[dashboard]` and the section `[keys]` of the configuration file accept.

use super::effects;
use super::keymap;
use super::state::SortOrder;
use crate::domain::ThemeChoice;
use crate::services::config::{DashboardNames, LastView};
use crate::storage::json_store::StoreLocation;

/// The names that the configuration file may contain. A list that is empty turns its field off: it is
/// an unknown field then, and the example does not have it.
pub const CONFIG_NAMES: DashboardNames = DashboardNames {
    sorts: &SortOrder::NAMES,
    // Read back with `Settings::theme`.
    themes: &ThemeChoice::NAMES,
    // Read back with `Settings::bindings`: action and key.
    actions: keymap::action_names,
    check_key: keymap::check_key,
    last_view,
    conflicts: |bindings| keymap::resolve_key_overrides(bindings.iter().copied()).1,
};

/// Returns the view of the last run, which takes precedence over the configuration as in
/// `Model::restore_view`.
fn last_view(location: &StoreLocation) -> LastView {
    let view = effects::load_view(location);
    let theme: Option<ThemeChoice> = view.theme.parse().ok();
    LastView {
        theme: theme.map(ThemeChoice::as_str),
        sort: SortOrder::NAMES.into_iter().find(|name| *name == view.sort),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::services::config::{ConfigFile, example};

    #[test]
    fn the_example_has_the_built_in_key_of_each_action() {
        let example = example(&CONFIG_NAMES);
        let keys = example.split("[keys]\n").nth(1).unwrap().split("\n\n").next().unwrap();
        let lines: Vec<&str> =
            keys.lines().skip(1).map(|line| line.strip_prefix("# ").unwrap()).collect();
        let text = format!("[keys]\n{}\n", lines.join("\n"));
        let file = ConfigFile::parse(text.as_bytes(), &CONFIG_NAMES, Timestamp::UNIX_EPOCH);
        assert_eq!(file.errors, Vec::<String>::new(), "{text}");
        assert_eq!(file.bindings.len(), keymap::action_names().len());
    }
}
