//! Checks the keys of the configuration, and lists the built-in ones for the README.

use std::fmt::Write;
use std::sync::LazyLock;

use super::action::{Action, Group};
use super::binding::configured_name;
use super::dashboard::{DASHBOARD, GLOBAL, SANDBOX};
use super::form::{CHANGES, FORM};
use super::tables::{
    ACTION_RESULTS, ALTERNATE_STORE, BATCH, CANCEL, CONFIRM_LEAK_RESPONSE, CONFIRM_REVOKE,
    CONFIRM_ROTATE, DECLINE, HELP, MANAGEMENT, MANAGEMENT_STORED, MESSAGES, NEW_KEY, PALETTE,
    PASSPHRASE, PLAN, PLAN_PATH, PROFILES, QUESTION, REMOVE_QUESTION, SANDBOX_CONSENT, SIGN_IN,
    SIGN_IN_BY_CODE, SIGN_IN_FAILED, TEXT_EDITING, TRASH, UNSTORED_KEY,
};
use crate::tui::state::{KeyOverrides, KeyPress};

/// The tables that are active together.
pub(super) const SCREENS: &[&[&[Action]]] = &[
    &[GLOBAL, DASHBOARD, SANDBOX],
    &[GLOBAL, FORM],
    &[GLOBAL, CHANGES],
    &[GLOBAL, TEXT_EDITING],
    &[GLOBAL, SANDBOX_CONSENT, SIGN_IN],
    &[GLOBAL, SANDBOX_CONSENT, SIGN_IN_BY_CODE],
    &[GLOBAL, SIGN_IN_FAILED],
    &[GLOBAL, UNSTORED_KEY, ALTERNATE_STORE, NEW_KEY],
    &[GLOBAL, PASSPHRASE, TEXT_EDITING],
    &[GLOBAL, QUESTION, DECLINE],
    &[GLOBAL, REMOVE_QUESTION, DECLINE],
    &[GLOBAL, CONFIRM_ROTATE, CANCEL],
    &[GLOBAL, CONFIRM_LEAK_RESPONSE, DECLINE],
    &[GLOBAL, CONFIRM_REVOKE, TEXT_EDITING],
    &[GLOBAL, ACTION_RESULTS],
    &[GLOBAL, PLAN_PATH, TEXT_EDITING],
    &[GLOBAL, PLAN],
    &[GLOBAL, MANAGEMENT_STORED],
    &[GLOBAL, SANDBOX_CONSENT, BATCH],
    &[GLOBAL, HELP],
    &[PALETTE, TEXT_EDITING],
    &[GLOBAL, MESSAGES],
    &[GLOBAL, TRASH],
    &[GLOBAL, PROFILES],
    &[GLOBAL, MANAGEMENT, TEXT_EDITING],
];

fn named_actions() -> impl Iterator<Item = &'static Action> {
    [GLOBAL, DASHBOARD, SANDBOX].into_iter().flatten().filter(|action| !action.name.is_empty())
}

/// Returns the names of the actions in the configuration, each with its built-in key.
pub fn action_names() -> &'static [(&'static str, &'static str)] {
    static NAMES: LazyLock<Vec<(&str, &str)>> = LazyLock::new(|| {
        let mut names: Vec<_> =
            named_actions().map(|action| (action.name, action.built_in_key_text())).collect();
        // Two actions on one key have one name.
        names.dedup();
        names
    });
    &NAMES
}

/// Checks the text of a key in the configuration; the error says what is expected.
pub fn check_key(text: &str) -> Result<(), String> {
    let expected = |()| "write a key such as D, ctrl-d, space or f5".to_owned();
    text.parse::<KeyPress>().map(|_| ()).map_err(expected)
}

/// Returns the configured keys that can be used, and a sentence for each that cannot: an unknown name, an
/// unknown key, or a key that another action on the same screen has. Each is with the name.
pub fn resolve_key_overrides<'a>(
    bindings: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> (KeyOverrides, Vec<(String, String)>) {
    let (mut overrides, mut problems) = (KeyOverrides::default(), Vec::new());
    for (name, key) in bindings {
        let Some(action) = named_actions().find(|action| action.name == name) else {
            let similar = named_actions()
                .map(|action| action.name)
                .max_by(|a, b| strsim::jaro(a, name).total_cmp(&strsim::jaro(b, name)))
                .unwrap_or_default();
            let problem = format!("no action is named '{name}'; did you mean '{similar}'?");
            problems.push((name.to_owned(), problem));
            continue;
        };
        match key.parse::<KeyPress>() {
            Ok(key) => overrides.0.push((action.name, key)),
            Err(()) => problems.push((
                name.to_owned(),
                format!(
                    "'{key}' for '{name}' is not a key; write for example D, ctrl-d, space or f5"
                ),
            )),
        }
    }
    // A key that becomes free by another override may be taken, so the conflicts are found at the end.
    while let Some((name, key, other)) = find_conflict(&overrides) {
        let problem = format!("the key {key} for '{name}' is already used: {other}");
        problems.push((name.to_owned(), problem));
        overrides.0.retain(|(override_name, _)| *override_name != name);
    }
    (overrides, problems)
}

/// Returns an override whose key another action on the same screen has: its name, its key and what the
/// other action does.
fn find_conflict(overrides: &KeyOverrides) -> Option<(&'static str, KeyPress, &'static str)> {
    for tables in SCREENS {
        let actions = || tables.iter().copied().flatten();
        for action in actions() {
            let name = configured_name(action);
            let Some(key) = overrides.key_of(name) else { continue };
            let has_key = |other: &&Action| match overrides.key_of(configured_name(other)) {
                Some(other_key) => other_key == key,
                None => other.built_in_keys().contains(&key),
            };
            let conflict = actions().filter(|other| other.intent != action.intent).find(has_key);
            if let Some(other) = conflict {
                return Some((name, key, other.help_text()));
            }
        }
    }
    None
}

/// Returns the keys of the dashboard as a Markdown table, for the README.
pub fn key_table() -> String {
    let mut table =
        String::from("| key | action | name in the configuration |\n| --- | --- | --- |\n");
    for group in Group::ALL {
        // Actions that share a key, such as disable and enable, are one row.
        let mut listed: Vec<(&str, &str)> = Vec::new();
        for action in DASHBOARD.iter().chain(GLOBAL).filter(|action| action.group == group) {
            let name = action.name;
            let row = (name, action.built_in_key_text());
            if listed.contains(&row) {
                continue;
            }
            listed.push(row);
            let name = if name.is_empty() { String::new() } else { format!("`{name}`") };
            let keys = action.built_in_key_text().replace('|', "\\|");
            // Writing to a string cannot fail.
            let _ = writeln!(table, "| `{keys}` | {} | {name} |", action.help_text());
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_actions_can_swap_their_keys() {
        let (overrides, problems) = resolve_key_overrides([("disable", "x"), ("remove", "d")]);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(overrides.key_of("disable"), "x".parse().ok());
    }

    #[test]
    fn unknown_names_unknown_keys_and_conflicts_are_reported() {
        let bindings =
            [("disabel", "z"), ("copy", "dd"), ("sort", "d"), ("quit", "ctrl-c"), ("reveal", "V")];
        let (overrides, problems) = resolve_key_overrides(bindings);
        assert_eq!(overrides.0, [("reveal", "V".parse().unwrap())]);
        let expected = [
            "did you mean 'disable'",
            "'dd' for 'copy' is not a key",
            "key d for 'sort'",
            "key ctrl-c for 'quit'",
        ];
        for text in expected {
            assert!(
                problems.iter().any(|(_, problem)| problem.contains(text)),
                "{text}: {problems:?}"
            );
        }
        assert_eq!(problems.len(), 4, "{problems:?}");
    }

    #[test]
    fn one_configured_key_replaces_the_built_in_one_on_every_screen() {
        let (overrides, problems) = resolve_key_overrides([("copy", "C")]);
        assert!(problems.is_empty(), "{problems:?}");
        for table in [DASHBOARD, NEW_KEY, SIGN_IN] {
            let copy = table.iter().find(|action| configured_name(action) == "copy").unwrap();
            assert_eq!(overrides.key_of(configured_name(copy)), "C".parse().ok());
        }
    }
}
