//! A choice by name among the workspaces or guardrails of the account.

use crate::domain::{
    Guardrail, GuardrailRef, Reported, ResetInterval, UserError, Workspace, format_usd,
};

/// The workspaces and guardrails that a form offers. The server may refuse each list alone.
#[derive(Clone, Debug, PartialEq)]
pub struct FormChoices {
    /// The workspaces.
    pub workspaces: Result<Vec<Workspace>, UserError>,
    /// The guardrails of all workspaces.
    pub guardrails: Result<Vec<Guardrail>, UserError>,
    /// The guardrail of the key that is edited.
    pub assigned_guardrail: Option<GuardrailRef>,
}

/// One of the options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PickerOption {
    /// Its UUID; `None` for the default workspace and for no guardrail.
    pub id: Option<String>,
    /// The name that is shown.
    pub name: String,
    /// Other names that the user may write.
    other_name: String,
    /// What choosing it means.
    pub description: String,
}

impl PickerOption {
    fn none(name: &str, description: &str) -> Self {
        Self {
            id: None,
            name: name.into(),
            other_name: String::new(),
            description: description.into(),
        }
    }

    fn has_name(&self, text: &str) -> bool {
        let id = self.id.as_deref().unwrap_or_default();
        [id, &self.name, &self.other_name]
            .iter()
            .any(|name| !name.is_empty() && name.to_lowercase() == text.to_lowercase())
    }
}

/// A field whose value is one of several names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picker {
    options: Vec<PickerOption>,
    chosen: usize,
    /// Why the account's list is missing.
    pub error: Option<UserError>,
}

impl Picker {
    /// Returns the choice of the account's default workspace.
    pub fn default_workspace() -> Self {
        let none = PickerOption::none("default", "the key is in the account's default workspace");
        Self { options: vec![none], chosen: 0, error: None }
    }

    /// Returns the choice of the workspace that a key is in.
    pub fn of_key(workspace_id: Option<&str>) -> Self {
        let mut picker = Self::default_workspace();
        if let Some(id) = workspace_id {
            picker.options.clear();
            picker.select_id(Some(id), id);
        }
        picker
    }

    /// Returns the choice of no guardrail.
    pub fn no_guardrail() -> Self {
        let none = PickerOption::none("none", "the key is under no guardrail of its own");
        Self { options: vec![none], chosen: 0, error: None }
    }

    /// Returns what can be chosen.
    pub fn options(&self) -> &[PickerOption] {
        &self.options
    }

    /// Returns the position of what is chosen.
    pub const fn chosen_index(&self) -> usize {
        self.chosen
    }

    /// Returns what is chosen.
    pub fn chosen(&self) -> Option<&PickerOption> {
        self.options.get(self.chosen)
    }

    /// Moves the choice by `by` steps, from the last to the first.
    pub fn step(&mut self, by: isize) {
        let count = self.options.len().max(1);
        self.chosen = self.chosen.wrapping_add_signed(by).wrapping_add(count) % count;
    }

    /// Chooses the next option whose name begins with a letter.
    pub fn select_by_letter(&mut self, letter: char) {
        let begins = |option: &PickerOption| {
            option
                .name
                .chars()
                .next()
                .is_some_and(|first| first.to_lowercase().eq(letter.to_lowercase()))
        };
        let count = self.options.len();
        let following = (1..=count).map(|step| (self.chosen + step) % count);
        if let Some(index) = following.into_iter().find(|index| begins(&self.options[*index])) {
            self.chosen = index;
        }
    }

    /// Chooses the option with this UUID or name. Returns whether there is one.
    pub fn select_by_name(&mut self, text: &str) -> bool {
        let found = self.options.iter().position(|option| option.has_name(text.trim()));
        self.chosen = found.unwrap_or(self.chosen);
        found.is_some()
    }

    /// Chooses the option with this UUID, which is added if the account did not list it.
    pub fn select_id(&mut self, id: Option<&str>, name: &str) {
        let is_this = |option: &PickerOption| match (&option.id, id) {
            (Some(known), Some(id)) => known.eq_ignore_ascii_case(id),
            (known, id) => known.is_none() && id.is_none(),
        };
        self.chosen = self.options.iter().position(is_this).unwrap_or_else(|| {
            self.options.push(PickerOption {
                id: id.map(str::to_owned),
                name: name.to_owned(),
                other_name: String::new(),
                description: id.unwrap_or_default().to_owned(),
            });
            self.options.len() - 1
        });
    }

    /// Offers these workspaces and keeps what is chosen.
    pub fn set_workspaces(&mut self, workspaces: &Result<Vec<Workspace>, UserError>) {
        let has_default = self.options.iter().any(|option| option.id.is_none());
        let options = workspaces.as_ref().map(|all| {
            all.iter()
                // The list already has it as the default.
                .filter(|workspace| !has_default || workspace.slug != "default")
                .map(|workspace| PickerOption {
                    id: Some(workspace.id.clone()),
                    name: workspace.short_name().to_owned(),
                    other_name: workspace.name.clone(),
                    description: format!("the key is in the workspace '{}'", workspace.name),
                })
                .collect()
        });
        self.set_options(options);
    }

    /// Offers these guardrails and keeps what is chosen. `workspaces` names where they are.
    pub fn set_guardrails(
        &mut self,
        guardrails: &Result<Vec<Guardrail>, UserError>,
        workspaces: &[Workspace],
    ) {
        let options = guardrails.as_ref().map(|all| {
            let options = all.iter().map(|guardrail| PickerOption {
                id: Some(guardrail.id.clone()),
                name: guardrail.name.clone(),
                other_name: String::new(),
                description: describe_guardrail(guardrail, workspaces),
            });
            options.collect()
        });
        self.set_options(options);
    }

    fn set_options(&mut self, listed: Result<Vec<PickerOption>, &UserError>) {
        let chosen = self.chosen().cloned();
        match listed {
            Ok(listed) => {
                self.options.retain(|option| option.id.is_none());
                self.options.extend(listed);
                self.error = None;
            }
            Err(error) => self.error = Some(error.clone()),
        }
        if let Some(chosen) = chosen {
            self.select_id(chosen.id.as_deref(), &chosen.name);
        }
    }
}

fn describe_guardrail(guardrail: &Guardrail, workspaces: &[Workspace]) -> String {
    let window = match guardrail.reset_interval {
        Reported::Value(ResetInterval::Daily) => " a day",
        Reported::Value(ResetInterval::Weekly) => " a week",
        Reported::Value(ResetInterval::Monthly) => " a month",
        _ => "",
    };
    let budget = guardrail.limit_usd.describe("no budget", format_usd);
    let window = if guardrail.limit_usd.is_none() { "" } else { window };
    let workspace = guardrail
        .workspace_id
        .as_ref()
        .and_then(|id| workspaces.iter().find(|workspace| workspace.id.eq_ignore_ascii_case(id)));
    let place =
        workspace.map(|found| format!("; workspace {}", found.short_name())).unwrap_or_default();
    format!("{budget}{window}{place}")
}
