//! What follows from what happens. Pure: a model and a message in, effects out.

mod actions;
mod form;
mod intents;
mod plan;
mod responses;
mod sign_in;

use jiff::Timestamp;

use crate::domain::{CheckResult, ErrorKind, ProvisioningOutcome, StoredKey, UserError};
use crate::tui::state::{BackgroundRun, Effect, Model, NewKeyScreen, Operation, Screen};
use crate::tui::state::{Msg, Ticket};

/// The first effects.
pub fn load_keys(model: &mut Model) -> Vec<Effect> {
    let ticket = model.next_ticket();
    model.dashboard.load_ticket = Some(ticket);
    vec![Effect::LoadKeys(ticket)]
}

/// One message, at that moment.
pub fn update(model: &mut Model, msg: Msg, now: Timestamp) -> Vec<Effect> {
    model.now = now;
    let mut effects = match msg {
        Msg::Intent(intent) => {
            model.notice = None;
            intents::handle_intent(model, intent)
        }
        Msg::Tick => {
            model.dashboard.update_attention_list(now);
            if model.refresh.is_due(now) { start_refresh(model) } else { Vec::new() }
        }
        Msg::Disconnected => handle_disconnect(model),
        Msg::FocusGained if model.refresh.is_due_on_focus(now) => start_refresh(model),
        Msg::FocusGained => Vec::new(),
        Msg::KeyChecked { ticket, hash, result: read, checked_at: at } => {
            if model.refresh.is_current_round(ticket) {
                model.refresh.has_insufficient_credits = read == CheckResult::InsufficientCredits;
                if let Some(round) = &mut model.refresh.current_round {
                    round.record_check(&read);
                }
                model.dashboard.record_check(&hash, &read, at);
            }
            Vec::new()
        }
        Msg::RefreshFinished {
            ticket,
            error: trouble,
            retry_after: wait,
            rejected_keys: refused,
        } => {
            if model.refresh.is_current_round(ticket) {
                for remote in &refused {
                    model.dashboard.record_account_key(remote, now);
                }
                // The past has grown.
                model.dashboard.mark_usage_history_stale();
                let resets = model.dashboard.stored_keys().iter().filter_map(StoredKey::reset);
                let first = resets.filter_map(|reset| reset.next_after(now)).min();
                model.refresh.finish_round(now, trouble, wait, first);
                model.dashboard.update_attention_list(now);
            }
            let again = model.refresh.current_round.is_none()
                && std::mem::take(&mut model.refresh.rerun_requested);
            if again { start_refresh(model) } else { Vec::new() }
        }
        Msg::Resized(columns, rows) => {
            model.terminal_size = (columns, rows);
            Vec::new()
        }
        Msg::KeysLoaded { ticket, result: keys } => {
            let mut effects = Vec::new();
            if model.dashboard.load_ticket == Some(ticket) {
                model.dashboard.load_ticket = None;
                let read = keys.is_ok();
                let asked = std::mem::take(&mut model.refresh.refresh_after_load);
                model.dashboard.set_keys(keys, now);
                update_used_labels(model);
                // The list first; then what was left behind, and the figures.
                effects.push(Effect::RecoverInterrupted);
                if read && (model.refresh.refresh_interval.is_some() || asked) {
                    effects.extend(start_refresh(model));
                }
            }
            effects
        }
        Msg::RecoveryFinished {
            stored_keys: stored,
            unstored_keys: not_stored,
            rotations,
            unresolved_attempts: unresolved,
            error: trouble,
        } => {
            for reveal in not_stored
                .into_iter()
                .filter_map(|outcome| NewKeyScreen::from_outcome(outcome).ok())
            {
                queue_unstored(model, reveal);
            }
            model.dashboard.unresolved_attempts = unresolved;
            for (label, result) in rotations {
                responses::finish_resumed_rotation(model, &label, result);
            }
            for held in stored {
                model.notice = Some(Ok(format!(
                    "'{}' was left behind by an earlier run and is stored now",
                    held.label
                )));
                model.dashboard.upsert_key(held, now);
            }
            if let Some(trouble) = trouble {
                model.notice = Some(Err(trouble));
            }
            Vec::new()
        }
        Msg::ProvisioningEvent { ticket, event: report } => {
            if let Screen::SignIn(login) = &mut model.screen
                && login.ticket == ticket
            {
                login.handle_event(report, now);
            }
            Vec::new()
        }
        Msg::ProvisioningFinished { ticket, outcome } => {
            finish_provisioning(model, ticket, outcome)
        }
        Msg::RotationFinished { ticket, outcome: rotation } => {
            responses::finish_rotation(model, ticket, rotation)
        }
        Msg::LeakResponseFinished { ticket, responses: panicked } => {
            responses::finish_leak_response(model, ticket, panicked)
        }
        Msg::PlanLoaded { ticket, result: plan } => {
            plan::finish_plan_load(model, ticket, plan);
            Vec::new()
        }
        Msg::ItemStarted { ticket, label } => {
            plan::start_item(model, ticket, &label);
            Vec::new()
        }
        Msg::ItemFinished { ticket, label, result, warning: note } => {
            plan::finish_item(model, ticket, &label, result, note);
            Vec::new()
        }
        Msg::PlanApplied { ticket, error: trouble } => plan::finish_plan(model, ticket, trouble),
        Msg::AccountKeyFetched { ticket, result: remote } => {
            if model.edit_ticket == Some(ticket) {
                responses::open_edit_form(model, remote);
            }
            Vec::new()
        }
        Msg::KeyUpdated { ticket, outcome } => {
            if model.close_request(ticket) {
                responses::finish_key_update(model, ticket, outcome);
            }
            Vec::new()
        }
        Msg::KeyDisabledSet { label, result, warning } => {
            responses::finish_set_disabled(model, &label, result, warning);
            Vec::new()
        }
        Msg::KeyImported { ticket, result } => {
            if model.close_request(ticket) {
                responses::finish_import(model, ticket, result);
            }
            Vec::new()
        }
        Msg::KeyRevoked { hash, label, result } => {
            responses::finish_revoke(model, &hash, &label, result);
            Vec::new()
        }
        Msg::AccountKeysLoaded { ticket, result: account } => {
            if model.dashboard.account_keys_ticket == Some(ticket) {
                responses::finish_account_load(model, account);
            }
            Vec::new()
        }
        Msg::ManagementKeyDetected(known) => {
            responses::set_management_key_known(model, known);
            Vec::new()
        }
        Msg::UsageHistoryLoaded { ticket, history: past } => {
            if model.dashboard.usage_history_ticket == Some(ticket) {
                model.dashboard.set_usage_history(past, now);
                responses::revoke_unused_keys(model)
            } else {
                Vec::new()
            }
        }
        Msg::SecretRead { ticket, label, result: key } => {
            let selected = model.dashboard.selected_key().is_some_and(|held| held.label == label);
            if model.dashboard.secret_ticket.take_if(|awaited| *awaited == ticket).is_some()
                && selected
            {
                match key {
                    Ok(key) => model.dashboard.reveal_key(label, key, now),
                    Err(trouble) => model.notice = Some(Err(trouble)),
                }
            }
            Vec::new()
        }
        Msg::KeyRemoved { label, result } => {
            model.notice = Some(result.map(|()| {
                model.dashboard.remove_key(&label, now);
                format!("'{label}' was forgotten here; the key itself stays valid until you delete it at the server")
            }));
            Vec::new()
        }
        Msg::ConsentDecided { ticket, result } => {
            sign_in::handle_consent_decision(model, ticket, result)
        }
        Msg::SandboxActionFinished(words) => {
            model.notice = Some(words);
            // Figures that are on their way may be from before.
            model.refresh.rerun_requested = model.refresh.current_round.is_some();
            start_refresh(model)
        }
        Msg::Notice(words) => {
            model.notice = Some(words);
            Vec::new()
        }
    };
    effects.extend(after_update(model));
    effects
}

/// Asks the keys about themselves, those on screen first.
fn start_refresh(model: &mut Model) -> Vec<Effect> {
    if model.refresh.current_round.is_some() {
        return Vec::new();
    }
    if model.dashboard.stored_keys().is_empty() {
        model.refresh.postpone(model.now);
        return Vec::new();
    }
    let ticket = model.next_ticket();
    let dashboard = &model.dashboard;
    let seen: Vec<&StoredKey> =
        dashboard.visible_keys(model.terminal_size.1).map(|(_, held)| held).collect();
    let rest = dashboard
        .stored_keys()
        .iter()
        .filter(|held| !seen.iter().any(|other| other.hash == held.hash));
    let keys: Vec<_> = seen
        .iter()
        .copied()
        .chain(rest)
        .map(|held| (held.hash.clone(), held.label.clone()))
        .collect();
    model.refresh.start_round(ticket, keys.len());
    vec![Effect::RefreshKeys { ticket, keys }]
}

/// A journey's end: shown where its screen is, said where the person is elsewhere by now.
fn finish_provisioning(
    model: &mut Model,
    ticket: Ticket,
    outcome: ProvisioningOutcome,
) -> Vec<Effect> {
    if !model.close_request(ticket) {
        // Nobody waits for it. A key that is nowhere but here is kept all the same.
        if let Ok(reveal) = NewKeyScreen::from_outcome(outcome)
            && !reveal.is_stored
        {
            queue_unstored(model, reveal);
        }
        return Vec::new();
    }
    let seen = match &model.screen {
        Screen::SignIn(login) => login.ticket == ticket,
        Screen::NewKey(reveal) => reveal.store_ticket == Some(ticket),
        Screen::Dashboard
        | Screen::Form(_)
        | Screen::Confirm(_)
        | Screen::ActionResults(_)
        | Screen::Plan(_) => false,
    };
    let left = model.background_runs.iter().position(|unfinished| unfinished.ticket == ticket);
    let left = left.map(|at| model.background_runs.remove(at));
    if let ProvisioningOutcome::Stored { stored_key: held, .. } = &outcome {
        model.dashboard.upsert_key(held.clone(), model.now);
        update_used_labels(model);
    }
    match (NewKeyScreen::from_outcome(outcome), left) {
        (Ok(reveal), None) if seen => {
            let hash = reveal.key.hash();
            let left = std::mem::replace(&mut model.screen, Screen::NewKey(Box::new(reveal)));
            // An answer about another key takes nothing from this one.
            if let Screen::NewKey(left) = left
                && left.key.hash() != hash
            {
                model.unstored_keys.push(NewKeyScreen { store_ticket: None, ..*left });
            }
        }
        (Ok(reveal), _) if !reveal.is_stored => queue_unstored(model, reveal),
        (Ok(reveal), _) => {
            model.notice =
                Some(Ok(format!("'{}' had been issued and is stored", reveal.entry.label)));
        }
        (Err(trouble), None) => match &mut model.screen {
            Screen::SignIn(login) if seen => login.error = Some(trouble),
            Screen::NewKey(reveal) if seen => {
                reveal.store_ticket = None;
                reveal.error = Some(trouble);
            }
            _ => {}
        },
        // Cancelled, as was wanted.
        (Err(trouble), Some(_)) if trouble.kind == ErrorKind::Cancelled => {}
        (Err(trouble), Some(_)) => {
            model.notice = Some(Err(trouble));
        }
    }
    quit_when_idle(model)
}

/// A key that is nowhere but here is never dropped, wherever the person went: it waits for the
/// screen, and whoever was leaving stays for it.
fn queue_unstored(model: &mut Model, reveal: NewKeyScreen) {
    let hash = reveal.key.hash();
    let on_screen = match &model.screen {
        Screen::NewKey(shown) if !shown.is_stored => Some(&**shown),
        _ => None,
    };
    let shown = on_screen.is_some();
    if model.unstored_keys.iter().chain(on_screen).any(|kept| kept.key.hash() == hash) {
        return;
    }
    model.notice = Some(Err(UserError::new(
        ErrorKind::SecretStore,
        format!("'{}' was issued and could not be stored", reveal.entry.label),
        "it waits behind this screen: esc shows it",
    )));
    model.unstored_keys.push(reveal);
    // On any other screen there is nothing to lose.
    if std::mem::take(&mut model.quit_requested) && !model.is_disconnected && !shown {
        model.screen = Screen::Dashboard;
    }
}

fn quit_when_idle(model: &mut Model) -> Vec<Effect> {
    if !model.quit_requested && !model.is_disconnected {
        return Vec::new();
    }
    let Some(unfinished) = model.background_runs.first() else { return vec![Effect::Quit] };
    model.notice = Some(Err(UserError::new(
        ErrorKind::Failed,
        format!("a key for {} may be on its way", unfinished.label),
        "leaving as soon as it is stored or known not to come",
    )));
    Vec::new()
}

/// Nobody is there to be asked: ends as soon as no key is on its way any more. A key that could not
/// be stored is on the journal's list from the next start on.
fn handle_disconnect(model: &mut Model) -> Vec<Effect> {
    model.is_disconnected = true;
    model.question = None;
    if let Screen::NewKey(reveal) = &model.screen
        && let Some(ticket) = reveal.store_ticket
    {
        // It may be stored in the next moment.
        model.background_runs.push(BackgroundRun { ticket, label: reveal.entry.label.clone() });
    }
    let mut effects = intents::request_quit(model);
    if model.question.take().is_some() {
        effects.extend(quit_when_idle(model));
    }
    effects
}

/// A key that is nowhere but here comes on screen as soon as that takes nothing from the person, and
/// nothing that is asked about; one that is shown for a moment is shown on its own screen alone.
/// What the dashboard shows of a key's past is looked up when it is to be shown.
fn after_update(model: &mut Model) -> Vec<Effect> {
    if matches!(model.screen, Screen::Dashboard)
        && model.question.is_none()
        && let Some(reveal) = model.unstored_keys.pop()
    {
        model.screen = Screen::NewKey(Box::new(reveal));
    }
    model.dashboard.hide_when_expired(model.now);
    match &mut model.screen {
        Screen::Dashboard => {}
        Screen::NewKey(reveal) => {
            reveal.hide_when_expired(model.now);
            model.dashboard.hide_revealed_key();
        }
        Screen::Form(_)
        | Screen::SignIn(_)
        | Screen::Confirm(_)
        | Screen::ActionResults(_)
        | Screen::Plan(_) => {
            model.dashboard.hide_revealed_key();
        }
    }
    if !matches!(model.screen, Screen::Dashboard) || model.dashboard.usage_history_ticket.is_some()
    {
        return Vec::new();
    }
    let hashes = model.dashboard.missing_usage_history(model.terminal_size.0);
    if hashes.is_empty() {
        return Vec::new();
    }
    let ticket = model.next_ticket();
    model.dashboard.usage_history_ticket = Some(ticket);
    vec![Effect::LoadUsageHistory { ticket, hashes }]
}

/// The form knows which labels are taken, even those that were taken while it was open.
fn update_used_labels(model: &mut Model) {
    let held = model.dashboard.stored_keys();
    match &mut model.screen {
        Screen::Form(form) => form.set_used_labels(held),
        Screen::SignIn(login) => {
            if let Operation::CreateKey { form, .. } = &mut login.operation {
                form.set_used_labels(held);
            }
        }
        Screen::Dashboard
        | Screen::NewKey(_)
        | Screen::Confirm(_)
        | Screen::ActionResults(_)
        | Screen::Plan(_) => {}
    }
}
