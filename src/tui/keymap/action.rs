//! One definition of each action. The footer, the help, the palette, the mouse and the README's table
//! of keys are drawn from it.

use crate::tui::state::{Intent, KeyPress, Model};

/// The heading under which the help lists an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Actions on the selected key or on the marked keys.
    Keys,
    /// Creating and importing keys, the account.
    Account,
    /// The rows of the table.
    Table,
    /// The program.
    Program,
}

impl Group {
    /// The groups in the order of the help.
    pub const ALL: [Self; 4] = [Self::Keys, Self::Account, Self::Table, Self::Program];

    /// Returns the heading.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Keys => "Selected or marked keys",
            Self::Account => "Keys and account",
            Self::Table => "Table",
            Self::Program => "Program",
        }
    }
}

/// What protects the user from an action by mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Safety {
    /// It changes nothing that matters.
    Harmless,
    /// A question, a dialog or a form comes first.
    Confirmed,
}

/// What the user can do, with its keys.
#[derive(Debug)]
pub struct Action {
    /// The name in the configuration; empty if the keys are fixed.
    pub name: &'static str,
    keys: &'static [KeyPress],
    key_text: &'static str,
    /// What it does; empty if it is not listed.
    pub description: &'static str,
    /// The sentence of the help and the README, if it says more than the description.
    long_description: &'static str,
    /// A shorter description, for narrow terminals.
    short_description: &'static str,
    /// Other words under which the palette finds it.
    pub(super) other_words: &'static str,
    /// The heading in the help.
    pub group: Group,
    /// What protects the user from an action by mistake.
    pub safety: Safety,
    /// Whether the footer shows it; the help shows all.
    pub is_in_footer: bool,
    /// Whether it acts on all marked keys.
    pub is_for_marked: bool,
    is_enabled: fn(&Model) -> bool,
    pub(super) intent: Intent,
}

impl Action {
    /// Returns an action that has no name and is always enabled.
    pub(super) const fn unnamed(
        keys: &'static [KeyPress],
        key_text: &'static str,
        description: &'static str,
        intent: Intent,
    ) -> Self {
        Self {
            name: "",
            keys,
            key_text,
            description,
            long_description: "",
            short_description: "",
            other_words: "",
            group: Group::Program,
            safety: Safety::Harmless,
            is_in_footer: true,
            is_for_marked: false,
            is_enabled: |_| true,
            intent,
        }
    }

    /// Returns an action of a group with a name for the configuration.
    pub(super) const fn named(
        group: Group,
        name: &'static str,
        keys: &'static [KeyPress],
        key_text: &'static str,
        description: &'static str,
        intent: Intent,
    ) -> Self {
        let mut action = Self::unnamed(keys, key_text, description, intent);
        (action.group, action.name) = (group, name);
        action
    }

    /// Sets the condition under which the footer and the palette offer it.
    pub(super) const fn enabled_if(mut self, is_enabled: fn(&Model) -> bool) -> Self {
        self.is_enabled = is_enabled;
        self
    }

    /// Sets the sentence of the help.
    pub(super) const fn with_long_description(mut self, long_description: &'static str) -> Self {
        self.long_description = long_description;
        self
    }

    /// Sets the description for a narrow help.
    pub(super) const fn with_short_description(mut self, short_description: &'static str) -> Self {
        self.short_description = short_description;
        self
    }

    /// Sets other words under which the palette finds it.
    pub(super) const fn with_other_words(mut self, other_words: &'static str) -> Self {
        self.other_words = other_words;
        self
    }

    /// Sets what protects the user from an action by mistake.
    pub(super) const fn safety(mut self, safety: Safety) -> Self {
        self.safety = safety;
        self
    }

    /// Says that it acts on all marked keys.
    pub(super) const fn for_marked(mut self) -> Self {
        self.is_for_marked = true;
        self
    }

    /// Hides it from the footer.
    pub(super) const fn help_only(mut self) -> Self {
        self.is_in_footer = false;
        self
    }

    /// Returns the description for the help.
    pub const fn help_text(&self) -> &'static str {
        if self.long_description.is_empty() { self.description } else { self.long_description }
    }

    /// Returns what it does in at most 17 letters, for a narrow help.
    pub const fn short_text(&self) -> &'static str {
        if self.short_description.is_empty() { self.description } else { self.short_description }
    }

    /// Returns whether it works now.
    pub fn is_enabled(&self, model: &Model) -> bool {
        (self.is_enabled)(model) && model.read_only_error(&self.intent).is_none()
    }

    /// Returns whether it leaves the screen or leads to all other actions. The footer always shows those.
    pub const fn is_essential(&self) -> bool {
        matches!(
            self.intent,
            Intent::Back | Intent::No | Intent::Quit | Intent::ToggleHelp | Intent::OpenPalette
        )
    }

    pub(super) const fn built_in_keys(&self) -> &'static [KeyPress] {
        self.keys
    }

    /// Returns the keys without a configuration, as shown.
    pub const fn built_in_key_text(&self) -> &'static str {
        self.key_text
    }
}
