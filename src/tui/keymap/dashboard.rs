//! The actions of the dashboard, most used first.

use crossterm::event::KeyCode;

use super::action::{Action, Group, Safety};
use super::tables::{bare_key, char_key, ctrl_key};
use crate::domain::StoredKey;
use crate::tui::state::{Intent, KeyScope, Model, UndoableChange};

fn has_selection(model: &Model) -> bool {
    model.dashboard.selected_key().is_some()
}

fn has_several_targets(model: &Model) -> bool {
    has_selection(model) && model.dashboard.marked_hashes.len() > 1
}

/// Returns whether the secret of the selected key can be read.
fn is_selection_stored(model: &Model) -> bool {
    model.dashboard.selected_key().is_some_and(StoredKey::is_stored)
}

fn has_stored_target(model: &Model) -> bool {
    has_selection(model) && model.dashboard.target_keys().iter().any(|key| key.is_stored())
}

fn has_enabled_target(model: &Model) -> bool {
    has_selection(model)
        && model.dashboard.target_keys().iter().any(|key| key.disabled != Some(true))
}

fn has_keys(model: &Model) -> bool {
    !model.dashboard.all_keys().is_empty()
}

/// What `esc` closes next.
#[derive(PartialEq, Eq)]
enum Closed {
    RevealedKey,
    Details,
    Filter,
    Marks,
    Scope,
    Nothing,
}

fn closed_next(model: &Model) -> Closed {
    let dashboard = &model.dashboard;
    if dashboard.revealed_key.is_some() {
        Closed::RevealedKey
    } else if dashboard.are_details_shown {
        Closed::Details
    } else if !dashboard.filter.text().is_empty() {
        Closed::Filter
    } else if !dashboard.marked_hashes.is_empty() {
        Closed::Marks
    } else if dashboard.scope != KeyScope::Stored {
        Closed::Scope
    } else {
        Closed::Nothing
    }
}

/// One action each: `Group "name" [keys] "keys as shown" "description" => Intent, options…;`. Without a
/// name its keys are fixed. The options are the methods of [`Action`].
macro_rules! actions {
    ($($(#[$cfg:meta])* $group:ident $name:literal [$($key:expr),+] $key_text:literal $description:literal => $intent:expr $(, $option:ident($($value:expr)?))*;)*) => {
        &[$(
            $(#[$cfg])*
            Action::named(Group::$group, $name, &[$($key),+], $key_text, $description, $intent)
                $(.$option($($value)?))*
        ),*]
    };
}

pub(super) const DASHBOARD: &[Action] = actions! {
    Account "new-key" [char_key('n')] "n" "new" => Intent::NewKey, with_long_description("create a key");
    Keys "undo" [char_key('u')] "u" "undo" => Intent::Undo,
        with_long_description("undo the last change"), safety(Safety::Confirmed),
        enabled_if(|model| model.undoable.as_ref().is_some_and(UndoableChange::is_undoable));
    Keys "copy" [char_key('c')] "c" "copy" => Intent::Copy,
        with_long_description("copy, or several as .env"),
        enabled_if(|model| is_selection_stored(model) && !has_several_targets(model));
    Keys "copy" [char_key('c')] "c" "copy as .env" => Intent::Copy,
        with_long_description("copy, or several as .env"),
        enabled_if(|model| has_stored_target(model) && has_several_targets(model));
    Keys "edit" [char_key('e')] "e" "edit" => Intent::EditKey, for_marked(),
        with_long_description("edit limit, reset and label"), with_other_words("rename raise guardrail workspace"),
        safety(Safety::Confirmed), enabled_if(has_selection);
    Keys "disable" [char_key('d')] "d" "disable" => Intent::ToggleDisabled, for_marked(),
        with_long_description("disable or enable"), with_short_description("disable, enable"),
        safety(Safety::Confirmed), enabled_if(has_enabled_target);
    Keys "disable" [char_key('d')] "d" "enable" => Intent::ToggleDisabled, for_marked(),
        with_long_description("disable or enable"), with_short_description("disable, enable"),
        safety(Safety::Confirmed), enabled_if(|model| has_selection(model) && !has_enabled_target(model));
    Table "filter" [char_key('/')] "/" "filter" => Intent::EditFilter,
        enabled_if(|model| has_keys(model) && !model.dashboard.are_details_shown);
    Keys "rotate" [char_key('R')] "R" "rotate" => Intent::Rotate, for_marked(),
        with_long_description("rotate: get a new key"), with_other_words("replace renew"),
        safety(Safety::Confirmed), enabled_if(has_stored_target);
    Keys "details" [bare_key(KeyCode::Enter), char_key('l'), bare_key(KeyCode::Right)] "enter" "open" => Intent::ToggleDetails,
        with_long_description("open or close the details"),
        enabled_if(|model| has_selection(model) && !model.dashboard.are_details_shown);
    Keys "details" [bare_key(KeyCode::Enter), char_key('l'), bare_key(KeyCode::Right)] "enter" "close" => Intent::ToggleDetails,
        help_only(), enabled_if(|model| has_selection(model) && model.dashboard.are_details_shown);
    Keys "mark" [char_key(' ')] "space" "mark" => Intent::ToggleMark,
        with_long_description("mark and move down"), with_short_description("mark, move down"),
        with_other_words("select several"), enabled_if(has_selection);
    Keys "remove" [char_key('x')] "x" "remove" => Intent::Remove, for_marked(),
        with_long_description("remove or revoke"), with_other_words("delete trash rm"), safety(Safety::Confirmed),
        enabled_if(has_selection);
    Table "next-attention" [char_key('!')] "!" "urgent" => Intent::NextAttention,
        with_long_description("next that needs attention"), with_short_description("next attention"),
        enabled_if(|model| !model.dashboard.attention_list.is_empty());
    Keys "reveal" [char_key('v')] "v" "reveal" => Intent::ToggleReveal,
        with_long_description("reveal for a moment"), enabled_if(is_selection_stored);
    Account "refresh" [char_key('r')] "r" "refresh" => Intent::Reload,
        with_long_description("check all keys again");
    Table "sort" [char_key('s')] "s" "sort" => Intent::NextSortOrder,
        with_long_description("sort by the next column"),
        enabled_if(|model| has_keys(model) && !model.dashboard.are_details_shown);
    Table "pane" [bare_key(KeyCode::Tab)] "tab" "open or close the pane" => Intent::TogglePane,
        with_short_description("pane"), help_only(), enabled_if(has_keys);
    Program "theme" [char_key('t')] "t" "next theme" => Intent::NextTheme,
        with_other_words("colours colors dark light");
    Table "reverse" [char_key('S')] "S" "reverse the order" => Intent::ReverseSort,
        help_only(), enabled_if(has_keys);
    Keys "open-page" [char_key('o')] "o" "page" => Intent::OpenKeyPage,
        with_long_description("open its OpenRouter page"), enabled_if(has_selection);
    Keys "leak" [char_key('P')] "P" "leaked" => Intent::RespondToLeak,
        with_long_description("leaked: disable and replace"), with_other_words("panic stolen"),
        safety(Safety::Confirmed), help_only(), enabled_if(has_stored_target);
    Account "import" [char_key('i')] "i" "import" => Intent::ImportKey,
        with_long_description("import an existing key");
    Account "apply-plan" [char_key('A')] "A" "apply a plan" => Intent::OpenPlan, safety(Safety::Confirmed);
    Account "trash" [char_key('X')] "X" "trash" => Intent::OpenTrash,
        with_long_description("trash: restore a key"), with_other_words("removed deleted undelete");
    Account "account" [char_key('a')] "a" "account" => Intent::NextScope,
        with_long_description("all keys of the account");
    Account "spending" [char_key('$')] "$" "spending" => Intent::ToggleAccount,
        with_long_description("credits, spending, models"),
        with_other_words("account usage costs money states budget today");
    Account "management-key" [char_key('M')] "M" "management key" => Intent::OpenManagement,
        with_long_description("set the management key"), with_other_words("credits"), help_only();
    Account "profile" [char_key('p')] "p" "profile" => Intent::OpenProfiles,
        with_long_description("show another profile"), help_only();
    Account "dismiss-attempt" [char_key('D')] "D" "dismiss a failed creation" => Intent::DismissAttempt,
        with_short_description("dismiss a failure"), with_other_words("interrupted"), safety(Safety::Confirmed),
        enabled_if(|model| !model.dashboard.unresolved_attempts.is_empty());
    Program "messages" [char_key('m')] "m" "messages" => Intent::ToggleMessages,
        with_long_description("all messages so far");
    Table "" [bare_key(KeyCode::Up), char_key('k')] "↑ k" "up" => Intent::Move(-1), help_only();
    Table "" [bare_key(KeyCode::Down), char_key('j')] "↓ j" "down" => Intent::Move(1), help_only();
    Table "" [bare_key(KeyCode::PageUp), ctrl_key('b')] "page up" "previous page" => Intent::MovePage(-1),
        help_only();
    Table "" [bare_key(KeyCode::PageDown), ctrl_key('f')] "page down" "next page" => Intent::MovePage(1),
        help_only();
    Table "" [bare_key(KeyCode::Home), char_key('g')] "g" "first row" => Intent::MoveToTop, help_only();
    Table "" [bare_key(KeyCode::End), char_key('G')] "G" "last row" => Intent::MoveToBottom, help_only();
    Program "" [bare_key(KeyCode::Esc), char_key('h'), bare_key(KeyCode::Left)] "esc" "hide the key" => Intent::Back,
        with_long_description("close what is open"), with_short_description("close"),
        enabled_if(|model| closed_next(model) == Closed::RevealedKey);
    Program "" [bare_key(KeyCode::Esc), char_key('h'), bare_key(KeyCode::Left)] "esc" "close" => Intent::Back,
        with_long_description("close what is open"), enabled_if(|model| closed_next(model) == Closed::Details);
    Program "" [bare_key(KeyCode::Esc), char_key('h'), bare_key(KeyCode::Left)] "esc" "clear filter" => Intent::Back,
        with_long_description("close what is open"), enabled_if(|model| closed_next(model) == Closed::Filter);
    Program "" [bare_key(KeyCode::Esc), char_key('h'), bare_key(KeyCode::Left)] "esc" "clear marks" => Intent::Back,
        with_long_description("close what is open"), enabled_if(|model| closed_next(model) == Closed::Marks);
    Program "" [bare_key(KeyCode::Esc), char_key('h'), bare_key(KeyCode::Left)] "esc" "stored keys" => Intent::Back,
        with_long_description("close what is open"), enabled_if(|model| closed_next(model) == Closed::Scope);
    Program "commands" [char_key(':')] ":" "more" => Intent::OpenPalette,
        with_long_description("find a command by name"), with_short_description("commands");
    Program "help" [char_key('?'), bare_key(KeyCode::F(1))] "?" "help" => Intent::ToggleHelp;
    Program "quit" [char_key('q')] "q" "quit" => Intent::Quit, with_other_words("exit");
};

/// Works on every screen.
pub(super) const GLOBAL: &[Action] = actions! {
    Program "commands-anywhere" [ctrl_key('p')] "ctrl-p" "commands on any screen" => Intent::OpenPalette,
        with_short_description("commands anywhere"), help_only();
    Program "" [ctrl_key('c')] "ctrl-c" "quit from any screen" => Intent::Interrupt,
        with_short_description("quit anywhere"), help_only();
    #[cfg(unix)]
    Program "" [ctrl_key('z')] "ctrl-z" "suspend" => Intent::Suspend, help_only();
};

/// Additional actions of the sandbox.
pub(super) const SANDBOX: &[Action] = actions! {
    Program "sandbox-spend" [char_key('+')] "+" "spend" => Intent::SpendOnKey,
        with_long_description("sandbox: spend on the key"),
        enabled_if(|model| model.is_sandbox && has_selection(model));
    Program "sandbox-skip-day" [char_key('>')] ">" "skip a day" => Intent::SkipDay,
        with_long_description("sandbox: skip a day"), enabled_if(|model| model.is_sandbox);
};
