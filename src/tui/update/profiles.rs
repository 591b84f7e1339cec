//! Handles the list of profiles and the switch to another one.

use crate::domain::{ErrorKind, UserError};
use crate::tui::keymap::key_text;
use crate::tui::state::{Effect, Intent, Model, Overlay, ProfilePicker};

/// Opens the list; with one profile, says how to add another one.
pub(super) fn open(model: &mut Model) {
    if model.is_sandbox || model.profiles.len() < 2 {
        let message = if model.is_sandbox {
            "the sandbox has one profile"
        } else {
            "there is one profile; for another one add a line [profiles.NAME] to config.toml, see \
             keywright config example"
        };
        return model.notify(Ok(message.into()));
    }
    model.dashboard.hide_revealed_key();
    let selected =
        model.profiles.iter().position(|choice| choice.name == model.profile).unwrap_or(0);
    model.overlay = Some(Overlay::Profiles(ProfilePicker { selected }));
}

/// Moves the selection. Returns the intent that switches to the selected profile on `enter`.
pub(super) fn handle_intent(
    picker: &mut ProfilePicker,
    count: usize,
    intent: Intent,
) -> Option<Intent> {
    let selected = match intent {
        Intent::Move(by) => picker.selected.saturating_add_signed(by),
        Intent::MovePage(by) => picker.selected.saturating_add_signed(by.saturating_mul(10)),
        Intent::MoveToTop => 0,
        Intent::MoveToBottom => usize::MAX,
        Intent::Enter => return Some(Intent::SwitchProfile(picker.selected)),
        Intent::SwitchProfile(index) => return Some(Intent::SwitchProfile(index)),
        _ => picker.selected,
    };
    picker.selected = selected.min(count.saturating_sub(1));
    None
}

/// Switches to another profile, unless something is under way that belongs to this one.
pub(super) fn switch(model: &mut Model, index: usize) -> Vec<Effect> {
    let Some(choice) = model.profiles.get(index) else { return Vec::new() };
    let name = choice.name.clone();
    if name == model.profile {
        model.notify(Ok(format!("the profile '{name}' is shown already")));
        return Vec::new();
    }
    if let Err(problem) = &choice.server {
        let error = UserError::new(
            ErrorKind::InvalidInput,
            problem.clone(),
            "correct the configuration file: keywright config show",
        );
        model.notify(Err(error.with_meaning("the profile was not changed")));
        return Vec::new();
    }
    if let Some(work) = describe_work_under_way(model) {
        let error = UserError::failed(
            format!("{work}, so the profile cannot be changed now"),
            format!(
                "wait for the end, then press {} again",
                key_text(model, &Intent::OpenProfiles)
            ),
        );
        model.notify(Err(error.with_meaning("nothing was interrupted")));
        return Vec::new();
    }
    vec![Effect::SwitchProfile(name)]
}

/// Returns what is under way that would be lost.
fn describe_work_under_way(model: &Model) -> Option<String> {
    if let Some(run) = model.background_runs.first() {
        return Some(format!("'{}' is still being created", run.label));
    }
    if !model.unstored_keys.is_empty() {
        return Some("a new key is not stored yet".into());
    }
    let is_changing = model.changes_under_way > 0
        || !model.open_requests.is_empty()
        || !model.dashboard.revoking_hashes.is_empty();
    is_changing.then(|| "keys are still being changed".into())
}
