//! Handles intents, screen by screen. An intent that does not apply to a screen is ignored.

use super::{
    PAGE_LINES, actions, bulk, form, limits, management, new_key, operation, overlay, plan,
    quit_when_idle, sign_in, trash,
};
use crate::domain::{StoredKey, ThemeChoice};
use crate::tui::keymap::key_text;
use crate::tui::state::{
    Effect, Intent, KeyScope, Model, Question, Request, Screen, TextField, scroll_by,
};

/// Handles an intent on any screen.
pub(super) fn handle_intent(model: &mut Model, intent: Intent) -> Vec<Effect> {
    if let Some(question) = model.question.take() {
        return handle_question_intent(model, question, &intent);
    }
    let intent = match intent {
        Intent::RunFromPalette(chosen) => {
            model.overlay = None;
            *chosen
        }
        other => other,
    };
    match intent {
        Intent::Quit | Intent::Interrupt => return request_quit(model),
        Intent::Unbound(c) => {
            model.notice = Some(Ok(format!("'{c}' does nothing here; the keys below do")));
            return Vec::new();
        }
        Intent::Suspend => {
            model.dashboard.hide_revealed_key();
            if let Screen::NewKey(new_key) = &mut model.screen {
                new_key.revealed_until = None;
            }
            return vec![Effect::Suspend];
        }
        _ => {}
    }
    let Some(intent) = overlay::handle_intent(model, intent) else { return Vec::new() };
    match &mut model.screen {
        Screen::Dashboard => handle_dashboard_intent(model, intent),
        Screen::Form(_) => form::handle_intent(model, intent),
        Screen::SignIn(_) => sign_in::handle_intent(model, intent),
        Screen::NewKey(_) => new_key::handle_intent(model, intent),
        Screen::Confirm(_) => actions::handle_confirm_intent(model, intent),
        Screen::Plan(_) => plan::handle_intent(model, intent),
        Screen::Management(_) => management::handle_intent(model, intent),
        Screen::Trash(_) => trash::handle_intent(model, intent),
        Screen::Limits(_) => limits::handle_intent(model, intent),
        Screen::ActionResults(screen) => {
            match intent {
                Intent::Undo if screen.can_undo => {
                    model.screen = Screen::Dashboard;
                    return actions::handle_intent(model, Intent::Undo);
                }
                Intent::Back | Intent::Enter => model.screen = Screen::Dashboard,
                Intent::Move(by) => screen.scroll = scroll_by(screen.scroll, by),
                Intent::MovePage(by) => {
                    screen.scroll = scroll_by(screen.scroll, by.saturating_mul(PAGE_LINES));
                }
                _ => {}
            }
            Vec::new()
        }
    }
}

fn handle_dashboard_intent(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let page = model.layout().page_size().cast_signed();
    let label = model.dashboard.selected_key().map(|key| key.label.clone());
    let is_stored = model.dashboard.selected_key().is_some_and(StoredKey::is_stored);
    if let Some(error) = model.read_only_error(&intent) {
        model.notify(Err(error));
        return Vec::new();
    }
    if label.is_none() && intent.needs_selection() {
        model.notify(Ok(actions::no_selection_reason(model)));
        return Vec::new();
    }
    match intent {
        // While the filter is edited, letters go to the filter; arrow keys still move the
        // selection.
        Intent::TypeChar(c) if model.dashboard.is_filtering => {
            model.dashboard.filter.insert(c);
            model.dashboard.filter_rows(model.now);
        }
        Intent::Paste(text) if model.dashboard.is_filtering => {
            model.dashboard.filter.paste(&text);
            model.dashboard.filter_rows(model.now);
        }
        Intent::EditText(request) if model.dashboard.is_filtering => {
            model.dashboard.filter.edit(request);
            model.dashboard.filter_rows(model.now);
        }
        Intent::Enter => model.dashboard.is_filtering = false,
        Intent::EditFilter => model.dashboard.is_filtering = true,
        Intent::SetFilter(filter) => {
            // A filter that ends with a colon waits for its value.
            model.dashboard.is_filtering = filter.ends_with(':');
            model.dashboard.filter = TextField::default();
            model.dashboard.filter.paste(&filter);
            model.dashboard.filter_rows(model.now);
        }
        Intent::NextAttention => select_next_attention(model),
        Intent::NextSortOrder => {
            let sort = model.dashboard.sort_order.next();
            model.dashboard.set_sort_order(sort, model.now);
            model.notify(Ok(format!("sorted by {}", sort.description())));
        }
        Intent::SortBy(sort_order) => model.dashboard.set_sort_order(sort_order, model.now),
        Intent::ReverseSort => {
            let sort = model.dashboard.sort_order;
            model.dashboard.set_sort_order(sort, model.now);
            let order = if model.dashboard.is_reversed { ", reversed" } else { "" };
            model.notify(Ok(format!("sorted by {}{order}", sort.description())));
        }
        Intent::ToggleMark => model.dashboard.toggle_mark(),
        Intent::ClickRow(screen_row) => {
            if let Some(row) = model.dashboard.row_at(screen_row, &model.layout()) {
                let is_double = model.dashboard.click_row(row, model.now);
                model.dashboard.are_details_shown |= is_double;
            }
        }
        Intent::Move(by) if model.dashboard.are_details_shown => model.dashboard.scroll_details(by),
        Intent::MovePage(by) if model.dashboard.are_details_shown => {
            model.dashboard.scroll_details(by.saturating_mul(page));
        }
        Intent::MoveToTop if model.dashboard.are_details_shown => {
            model.dashboard.scroll_details(isize::MIN);
        }
        Intent::MoveToBottom if model.dashboard.are_details_shown => {
            model.dashboard.scroll_details(isize::MAX);
        }
        Intent::TogglePane => toggle_pane(model),
        Intent::NextTheme => choose_next_theme(model),
        Intent::SelectKey(hash) => {
            select_key(model, &hash);
        }
        Intent::ActOnKey(hash, intent) => {
            if select_key(model, &hash) {
                model.dashboard.marked_hashes.clear();
                return handle_dashboard_intent(model, *intent);
            }
        }
        Intent::Move(by) => model.dashboard.move_selection(by),
        Intent::MovePage(by) => model.dashboard.move_selection(by.saturating_mul(page)),
        Intent::MoveToTop => model.dashboard.select_row(0),
        Intent::MoveToBottom => model.dashboard.select_row(usize::MAX),
        Intent::ToggleDetails => {
            model.dashboard.hide_revealed_key();
            model.dashboard.details_scroll = 0;
            model.dashboard.are_details_shown =
                label.is_some() && !model.dashboard.are_details_shown;
        }
        // Each press closes one thing: first a revealed key, then the details, then the filter, then the marks.
        Intent::Back if model.dashboard.revealed_key.is_some() => {
            model.dashboard.hide_revealed_key();
        }
        Intent::Back if model.dashboard.are_details_shown => {
            model.dashboard.are_details_shown = false;
        }
        Intent::Back
            if model.dashboard.is_filtering || !model.dashboard.filter.text().is_empty() =>
        {
            model.dashboard.is_filtering = false;
            model.dashboard.filter = TextField::default();
            model.dashboard.filter_rows(model.now);
        }
        Intent::Back if !model.dashboard.marked_hashes.is_empty() => {
            model.dashboard.marked_hashes.clear();
        }
        Intent::Back if model.dashboard.scope != KeyScope::Stored => {
            model.dashboard.set_scope(KeyScope::Stored, model.now);
        }
        Intent::Back => {
            if let Some(round) = &model.refresh.current_round {
                return vec![Effect::StopRefresh(round.ticket)];
            }
        }
        Intent::NewKey => {
            model.dashboard.hide_revealed_key();
            return form::open_new_key_form(model);
        }
        Intent::Reload => {
            model.refresh.refresh_after_load = true;
            model.refresh.reports_result = true;
            model.notice = Some(Ok("checking the keys".into()));
            let mut effects = super::load_keys(model);
            if model.dashboard.scope != KeyScope::Stored {
                let ticket = model.next_ticket();
                model.dashboard.account_keys_ticket = Some(ticket);
                effects.push(Effect::Request(ticket, Request::LoadAccountKeys));
            }
            return effects;
        }
        Intent::Copy => return actions::copy_keys(model),
        Intent::ToggleReveal if !is_stored && label.is_some() => {
            actions::show_not_stored_error(model);
        }
        Intent::ToggleReveal => {
            if model.dashboard.revealed_key.take().is_none()
                && let Some(key) = model.dashboard.selected_key().cloned()
            {
                let ticket = model.next_ticket();
                model.dashboard.secret_ticket = Some(ticket);
                return vec![Effect::Request(ticket, Request::ReadSecret(key))];
            }
        }
        Intent::OpenKeyPage => {
            let url = model.dashboard.selected_key().map(StoredKey::page_url);
            return url.map(Effect::OpenUrl).into_iter().collect();
        }
        Intent::SpendOnKey if model.is_sandbox => {
            let Some(key) = model.dashboard.selected_key() else { return Vec::new() };
            // A fifth of the limit, so that a few presses reach every state.
            let usd = key.limit().value().map_or(1.0, |limit| limit / 5.0);
            return vec![Effect::SpendOnKey { hash: key.hash.clone(), usd }];
        }
        Intent::SkipDay if model.is_sandbox => return vec![Effect::SkipDay],
        Intent::DismissAttempt => match model.dashboard.unresolved_attempts.first() {
            Some(attempt) => model.question = Some(Question::DismissAttempt(attempt.clone())),
            None => model.notify(Ok("no creation has failed".into())),
        },
        other => return actions::handle_intent(model, other),
    }
    Vec::new()
}

/// Selects the key with that hash. A filter that hides it is cleared. Returns whether there is such a key.
fn select_key(model: &mut Model, hash: &str) -> bool {
    let dashboard = &mut model.dashboard;
    let Some(index) = dashboard.all_keys().iter().position(|key| key.hash == hash) else {
        return false;
    };
    if !dashboard.rows.contains(&index) {
        dashboard.filter = TextField::default();
        dashboard.set_scope(KeyScope::Stored, model.now);
    }
    let row = dashboard.rows.iter().position(|row| *row == index);
    row.inspect(|row| dashboard.select_row(*row)).is_some()
}

/// Opens or closes the pane; tells the user if the terminal has no room for it.
fn toggle_pane(model: &mut Model) {
    if model.dashboard.selected_key().is_none() {
        return model.notify(Ok(actions::no_selection_reason(model)));
    }
    let is_shown = model.layout().pane.is_some();
    model.dashboard.is_pane_open = !is_shown;
    if !is_shown && model.layout().pane.is_none() {
        let open = key_text(model, &Intent::ToggleDetails);
        model.notify(Ok(format!("the pane needs more rows; {open} opens the details")));
    }
}

/// Uses the next theme that looks different.
fn choose_next_theme(model: &mut Model) {
    if !model.uses_color {
        return model.notify(Ok("without colours every theme looks the same".into()));
    }
    let shown = model.resolve_theme(model.theme_choice);
    let mut next = model.theme_choice.next();
    while next != model.theme_choice && model.resolve_theme(next) == shown {
        next = next.next();
    }
    model.choose_theme(next);
    let meaning = match next {
        ThemeChoice::Auto => {
            format!(", now {}: it follows the terminal", model.resolve_theme(next))
        }
        _ => String::new(),
    };
    model.notify(Ok(format!("theme: {next}{meaning}")));
}

/// Selects the next key that needs attention, after the selected one in the order of urgency. A filter
/// that hides them all is cleared.
fn select_next_attention(model: &mut Model) {
    let dashboard = &mut model.dashboard;
    let urgent: Vec<usize> = dashboard.attention_list.iter().map(|(index, _)| *index).collect();
    if !urgent.iter().any(|index| dashboard.rows.contains(index)) {
        dashboard.filter = TextField::default();
        dashboard.set_scope(KeyScope::Stored, model.now);
    }
    let selected = dashboard.rows.get(dashboard.selected_row);
    let after = urgent.iter().position(|index| Some(index) == selected).map_or(0, |at| at + 1);
    let mut next = urgent.iter().cycle().skip(after).take(urgent.len());
    let row = next.find_map(|index| dashboard.rows.iter().position(|row| row == index));
    match row {
        Some(row) => dashboard.select_row(row),
        None => model.notify(Ok("no key needs attention".into())),
    }
}

fn handle_question_intent(model: &mut Model, question: Question, answer: &Intent) -> Vec<Effect> {
    let is_yes = match answer {
        Intent::Yes => true,
        Intent::No | Intent::Back => {
            if let Question::RemoveKeys(_)
            | Question::RestoreLimits(_)
            | Question::SetKeysDisabled { .. }
            | Question::DismissAttempt(_) = question
            {
                model.notify(Ok("nothing was changed".into()));
            }
            if question == Question::UseEnvironmentKey {
                return vec![Effect::RecoverInterrupted];
            }
            return Vec::new();
        }
        // Quitting answers only the question whether to quit.
        Intent::Interrupt if question == Question::QuitWithUnstoredKey => true,
        Intent::Interrupt => return request_quit(model),
        Intent::Revoke => {
            // The selection may have moved since the question was asked.
            if let Question::RemoveKeys(labels) = &question {
                let stored_keys = model.dashboard.stored_keys().iter();
                let keys = stored_keys.filter(|key| labels.contains(&key.label)).cloned().collect();
                return actions::confirm_revoke(model, keys);
            }
            false
        }
        _ => false,
    };
    if !is_yes {
        // Any other intent keeps the question open.
        model.question = Some(question);
        return Vec::new();
    }
    match question {
        Question::QuitWithUnstoredKey => {
            model.screen = Screen::Dashboard;
            return request_quit(model);
        }
        Question::DiscardUnstoredKey => model.screen = Screen::Dashboard,
        Question::DismissAttempt(attempt) => {
            model.dashboard.unresolved_attempts.retain(|other| other.id != attempt.id);
            return vec![Effect::DismissAttempt(attempt.id)];
        }
        Question::UseEnvironmentKey => {
            model.account.lacks_management_key = false;
            let mut effects = vec![Effect::UseEnvironmentKey];
            effects.extend(super::load_keys(model));
            return effects;
        }
        Question::RemoveKeys(labels) => {
            model.dashboard.marked_hashes.clear();
            // This removal becomes the change that undo reverts.
            model.undoable = None;
            let stored_keys = model.dashboard.stored_keys().iter();
            let keys: Vec<StoredKey> =
                stored_keys.filter(|key| labels.contains(&key.label)).cloned().collect();
            bulk::begin_action(model, keys.iter().map(|key| key.label.clone()));
            return vec![Effect::RemoveKeys(keys)];
        }
        Question::RestoreLimits(_) => return limits::restore(model),
        Question::SetKeysDisabled { keys, disabled } => {
            return actions::set_keys_disabled(model, &keys, disabled);
        }
    }
    Vec::new()
}

/// Quits unless a key would be lost: asks about an unstored key, and waits for a run under way.
pub(super) fn request_quit(model: &mut Model) -> Vec<Effect> {
    let mut effects = Vec::new();
    if matches!(&model.screen, Screen::SignIn(sign_in) if sign_in.error.is_none()) {
        effects.extend(operation::move_to_background(model));
    }
    let unstored = matches!(&model.screen, Screen::NewKey(new_key) if !new_key.is_stored);
    if !unstored && let Some(new_key) = model.unstored_keys.pop() {
        model.screen = Screen::NewKey(Box::new(new_key));
    }
    if matches!(&model.screen, Screen::NewKey(new_key) if !new_key.is_stored) {
        model.question = Some(Question::QuitWithUnstoredKey);
        return effects;
    }
    model.quit_requested = true;
    effects.extend(quit_when_idle(model));
    effects
}
