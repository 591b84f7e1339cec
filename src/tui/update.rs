//! State transitions of the dashboard: [`update`] takes a model and a message and returns effects.

mod account;
mod actions;
mod bulk;
mod form;
mod intents;
mod inventory_change;
mod limits;
mod load;
mod management;
mod new_key;
mod operation;
mod overlay;
mod plan;
mod profiles;
mod provisioning;
mod quit;
mod refresh;
mod responses;
mod reveal;
mod revocation;
mod sign_in;
mod trash;

use form::update_used_labels;
use inventory_change::is_idle;
use jiff::Timestamp;
use quit::{
    change_result, count_changes, finish_change, handle_disconnect, queue_unstored, quit_when_idle,
};

use crate::domain::CheckResult;
use crate::tui::state::{Effect, Model, Msg, NewKeyScreen, Question, Request, Response, Screen};

/// The lines by which a page key scrolls.
const PAGE_LINES: isize = 10;

/// Starts loading the inventory, as at the start of the program.
pub fn load_keys(model: &mut Model) -> Vec<Effect> {
    let ticket = model.next_ticket();
    model.dashboard.load_ticket = Some(ticket);
    vec![Effect::Request(ticket, Request::LoadKeys)]
}

/// Applies one message at the time `now` and returns the effects to run.
pub fn update(model: &mut Model, msg: Msg, now: Timestamp) -> Vec<Effect> {
    model.now = now;
    let change_result = change_result(model, &msg);
    let mut effects = Vec::new();
    match msg {
        Msg::BackgroundReported(background) => model.background = background,
        Msg::Intent(intent) => {
            model.dashboard.has_acted = true;
            model.notice = None;
            if intent.acts_on_keys() {
                effects = inventory_change::check_before_action(model);
            }
            effects.extend(intents::handle_intent(model, intent));
        }
        Msg::Tick => {
            model.dashboard.update_order(now);
            if model.refresh.is_due(now) {
                effects = refresh::start_due(model);
            }
        }
        Msg::Disconnected => effects = handle_disconnect(model),
        Msg::FocusGained => {
            model.is_inventory_check_due = true;
            if model.refresh.is_due_on_focus(now) {
                effects = refresh::start_due(model);
            }
        }
        Msg::InventoryChanged(keys) => inventory_change::apply(model, keys),
        Msg::Response(ticket, Response::KeyChecked { hash, result, checked_at }) => {
            if model.refresh.is_current_round(ticket) {
                // Other keys of the account may still work; the next round decides.
                model.refresh.has_insufficient_credits |=
                    result == CheckResult::InsufficientCredits;
                if let Some(round) = &mut model.refresh.current_round {
                    round.record_check(&result);
                }
                model.dashboard.record_check(&hash, &result, checked_at);
            }
        }
        Msg::Response(ticket, Response::RefreshFinished { error, retry_after, rejected_keys }) => {
            effects = refresh::finish(model, ticket, error, retry_after, &rejected_keys);
        }
        Msg::Resized(columns, rows) => model.terminal_size = (columns, rows),
        Msg::Response(ticket, Response::KeysLoaded(keys)) => {
            if model.dashboard.load_ticket == Some(ticket) {
                effects = load::finish_inventory(model, keys);
            }
        }
        Msg::Response(ticket, Response::SharedKeysRead { keys, error, is_read_only }) => {
            if model.dashboard.load_ticket == Some(ticket) {
                model.shared_store.is_read_only = is_read_only;
                effects = load::finish_shared_store(model, keys, error);
            }
        }
        Msg::RecoveryFinished {
            stored_keys,
            unstored_keys,
            rotations,
            unresolved_attempts,
            deleted_labels,
            foreign_keys,
            finished,
            errors,
        } => {
            for new_key in unstored_keys
                .into_iter()
                .filter_map(|outcome| NewKeyScreen::from_outcome(outcome).ok())
            {
                queue_unstored(model, new_key);
            }
            model.dashboard.unresolved_attempts = unresolved_attempts;
            for label in deleted_labels {
                model.notify(Ok(format!(
                    "a key for '{label}' that was created and not received was deleted at OpenRouter"
                )));
            }
            for key in foreign_keys {
                let page = format!("{}/keys/{}", model.server, key.hash);
                model.notify(Ok(format!(
                    "another key with the name '{}' is not stored here and was left as it is: {page}",
                    key.display_name()
                )));
            }
            for (label, result) in rotations {
                responses::finish_resumed_rotation(model, &label, result);
            }
            for key in stored_keys {
                model.notify(Ok(format!(
                    "'{}' was recovered from an interrupted run and is stored",
                    key.label
                )));
                model.dashboard.upsert_key(key, now);
            }
            if !finished.is_empty() {
                effects = load_keys(model);
            }
            for step in finished {
                model.notify(Ok(format!("{step}: an interrupted run is finished")));
            }
            for error in errors {
                model.notify(Err(error));
            }
        }
        Msg::Response(ticket, Response::ProvisioningEvent(event)) => {
            if let Screen::SignIn(sign_in) = &mut model.screen
                && sign_in.ticket == ticket
            {
                sign_in.handle_event(event, now);
            }
        }
        Msg::Response(ticket, Response::QrCodeMeasured(size)) => {
            if let Screen::SignIn(sign_in) = &mut model.screen
                && sign_in.ticket == ticket
            {
                sign_in.qr_code_size = Some(size);
            }
        }
        Msg::Response(ticket, Response::ProvisioningFinished(outcome)) => {
            effects = provisioning::finish_provisioning(model, ticket, outcome);
        }
        Msg::Response(ticket, Response::RotationFinished(rotation)) => {
            effects = responses::finish_rotation(model, ticket, rotation);
        }
        Msg::Response(ticket, Response::RotationsFinished(outcomes)) => {
            effects = responses::finish_rotations(model, ticket, outcomes);
        }
        Msg::Response(ticket, Response::LeakResponseFinished(responses)) => {
            effects = responses::finish_leak_response(model, ticket, responses);
        }
        Msg::Response(ticket, Response::PlanLoaded(result)) => {
            plan::finish_plan_load(model, ticket, result);
        }
        Msg::Response(ticket, Response::ItemStarted(label)) => {
            plan::start_item(model, ticket, &label);
        }
        Msg::Response(ticket, Response::ItemFinished { label, result, warning }) => {
            plan::finish_item(model, ticket, &label, result, warning);
        }
        Msg::Response(ticket, Response::PlanApplied(error)) => {
            effects = plan::finish_plan(model, ticket, error);
        }
        Msg::Response(ticket, Response::LossesExpected(losses)) => {
            responses::set_expected_losses(model, ticket, losses);
        }
        Msg::Response(ticket, Response::AccountKeyFetched(account_key)) => {
            if let Some(request) = model.edit_request.take_if(|request| request.ticket == ticket) {
                effects = form::open_edit_form(model, &request.hash, account_key);
            }
        }
        Msg::Response(ticket, Response::KeyUpdated(outcome)) => {
            if model.close_request(ticket) {
                responses::finish_key_update(model, ticket, outcome);
            }
        }
        Msg::KeyDisabledSet { label, result, warning } => {
            responses::finish_set_disabled(model, &label, result, warning);
        }
        Msg::Response(ticket, Response::ManagementKeyStored(result)) => {
            effects = management::finish(model, ticket, result);
        }
        Msg::Response(ticket, Response::KeyImported(result)) => {
            if model.close_request(ticket) {
                form::finish_import(model, ticket, result);
            }
        }
        Msg::KeyRevoked { hash, label, result } => {
            revocation::finish_revoke(model, &hash, &label, result);
        }
        Msg::RetiredKeyInUse { label, account_key, reason } => {
            revocation::keep_used_key(model, &label, account_key, &reason);
        }
        Msg::Response(ticket, Response::AccountKeysLoaded(account)) => {
            responses::finish_account_load(model, ticket, account);
        }
        Msg::Response(ticket, Response::FormChoicesLoaded(choices)) => {
            form::set_choices(model, ticket, choices);
        }
        // The account is read at intervals; an error that was already reported is not repeated.
        Msg::RowsSkipped(error) => {
            if model.messages.iter().all(|logged| logged.message.as_ref().err() != Some(&error)) {
                model.notify(Err(error));
            }
        }
        Msg::NamesRead(names) => model.dashboard.names = names,
        Msg::OtherProfilesRead(copies) => model.dashboard.other_profiles = copies,
        Msg::Response(ticket, Response::UsageHistoryLoaded(history)) => {
            if model.dashboard.usage_history_ticket == Some(ticket) {
                model.dashboard.add_usage_history(history);
                if !model.dashboard.replaced_keys.is_empty() {
                    model.dashboard.update_summary(now);
                }
                effects = revocation::revoke_unused_keys(model);
            }
        }
        Msg::Response(ticket, Response::SpendingLoaded(spending)) => {
            account::set_spending(model, ticket, spending);
        }
        Msg::Response(ticket, Response::AccountLoaded(report)) => {
            account::set_report(model, ticket, report);
        }
        Msg::Response(ticket, Response::SecretRead { label, result }) => {
            reveal::finish_secret_read(model, ticket, &label, result);
        }
        Msg::KeyRemoved { label, result } => trash::finish_remove(model, &label, result),
        Msg::KeyRestored { trashed, result } => {
            effects = trash::finish_restore(model, &trashed, result);
        }
        Msg::Response(ticket, Response::AccountKeysFetched(current)) => {
            limits::finish_fetch(model, ticket, current);
        }
        Msg::LimitEdited { update, outcome } => limits::finish_edit(model, &update, outcome),
        Msg::Response(ticket, Response::TrashLoaded(keys)) => {
            trash::finish_load(model, ticket, keys);
        }
        Msg::AccountConfirmed { label, result } => {
            responses::finish_account_confirmation(model, &label, result);
            effects = load_keys(model);
        }
        Msg::Response(ticket, Response::ConsentDecided(result)) => {
            effects = sign_in::handle_consent_decision(model, ticket, result);
        }
        Msg::SandboxActionFinished(notice) => {
            model.notify(notice);
            // Results of the current round may be from before the action.
            model.refresh.rerun_requested = model.refresh.current_round.is_some();
            effects = refresh::start(model);
        }
        Msg::Notice(notice) => {
            // What failed may be the copying of a key that others changed.
            model.is_inventory_check_due |= notice.is_err();
            model.notify(notice);
        }
    }
    effects.extend(after_update(model));
    effects.extend(change_result.into_iter().flat_map(|done| finish_change(model, done)));
    count_changes(model, &effects);
    effects
}

/// Restores the invariants after a message: shows a waiting unstored key when the dashboard is free,
/// hides revealed keys that expired or are on another screen, and loads missing usage history.
fn after_update(model: &mut Model) -> Vec<Effect> {
    if matches!(model.screen, Screen::Dashboard)
        && model.question.is_none()
        && let Some(new_key) = model.unstored_keys.pop()
    {
        model.screen = Screen::NewKey(Box::new(new_key));
    }
    if matches!(model.screen, Screen::Dashboard)
        && model.question.is_none()
        && !model.dashboard.is_filtering
        && !model.quit_requested
    {
        actions::confirm_account(model);
    }
    if model.asks_about_environment_key
        && matches!(model.screen, Screen::Dashboard)
        && model.question.is_none()
    {
        model.asks_about_environment_key = false;
        model.question = Some(Question::UseEnvironmentKey);
    }
    let layout = model.layout();
    model.dashboard.scroll_to_selection(layout.page_size());
    model.dashboard.hide_when_expired(model.now);
    match &mut model.screen {
        Screen::Dashboard => {}
        Screen::NewKey(new_key) => {
            new_key.hide_when_expired(model.now);
            model.dashboard.hide_revealed_key();
        }
        _ => model.dashboard.hide_revealed_key(),
    }
    if !matches!(model.screen, Screen::Dashboard) {
        return Vec::new();
    }
    let mut effects = account::load_stale(model);
    let view = model.view_state();
    if model.is_inventory_check_due && is_idle(model) {
        model.is_inventory_check_due = false;
        effects.push(Effect::CheckInventory);
    }
    // A filter is kept when it is complete, not at each letter.
    if !model.dashboard.is_filtering && view != model.saved_view {
        model.saved_view = view.clone();
        effects.push(Effect::SaveView(view));
    }
    if model.dashboard.usage_history_ticket.is_some() {
        return effects;
    }
    let hashes = model.dashboard.missing_usage_history(layout.pane.is_some(), layout.page_size());
    if !hashes.is_empty() {
        let ticket = model.next_ticket();
        model.dashboard.usage_history_ticket = Some(ticket);
        effects.push(Effect::Request(ticket, Request::LoadUsageHistory(hashes)));
    }
    effects
}
