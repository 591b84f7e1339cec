//! An action together with the keys that trigger it, from the configuration or built in.

use std::borrow::Cow;

use super::action::Action;
use super::dashboard::{DASHBOARD, GLOBAL, SANDBOX};
use super::screen_tables;
use crate::tui::state::{Intent, KeyPress, Model};

/// Returns the name in the configuration. The same action on another screen has the same name.
pub(super) fn configured_name(action: &Action) -> &'static str {
    if !action.name.is_empty() {
        return action.name;
    }
    let named = [GLOBAL, SANDBOX, DASHBOARD].into_iter().flatten();
    named
        .filter(|other| !other.name.is_empty())
        .find(|other| other.intent == action.intent)
        .map_or("", |other| other.name)
}

/// An action with the keys that trigger it now.
#[derive(Clone, Debug)]
pub struct Binding {
    /// The action.
    pub action: &'static Action,
    /// The configured key, which replaces the built-in ones.
    configured_key: Option<KeyPress>,
}

impl Binding {
    /// Returns the action with its configured key, if it has one.
    pub(super) fn new(action: &'static Action, model: &Model) -> Self {
        let overrides = &model.key_overrides;
        // Most often no key is configured, and to find a name takes longer than all the rest.
        let name = if overrides.is_empty() { "" } else { configured_name(action) };
        let configured_key = overrides.key_of(name);
        Self { action, configured_key }
    }

    /// Returns the keys as shown.
    pub fn key_text(&self) -> Cow<'static, str> {
        match self.configured_key {
            Some(key) => Cow::Owned(key.to_string()),
            None => Cow::Borrowed(self.action.built_in_key_text()),
        }
    }

    /// Returns whether a key press triggers the action.
    pub fn is_triggered_by(&self, pressed: KeyPress) -> bool {
        match self.configured_key {
            Some(key) => key == pressed,
            None => self.action.built_in_keys().contains(&pressed),
        }
    }

    /// Returns what the user requests by it.
    pub fn intent(&self) -> Intent {
        self.action.intent.clone()
    }
}

/// Returns the key that triggers an action now, as shown: on the present screen, or else on the dashboard.
/// Texts take it from here, because the configuration can bind another one.
pub fn key_text(model: &Model, intent: &Intent) -> Cow<'static, str> {
    let tables = screen_tables(model).into_iter().chain([GLOBAL, DASHBOARD]);
    let action = tables.flatten().find(|action| action.intent == *intent);
    action.map_or(Cow::Borrowed(""), |action| Binding::new(action, model).key_text())
}

/// Returns the end of a message about a change that can be undone.
pub fn undo_hint(model: &Model) -> String {
    format!("; press {} to undo", key_text(model, &Intent::Undo))
}
