//! Starts and ends refresh rounds.

use jiff::SignedDuration;

use super::{account, inventory_change};
use crate::domain::{AccountKey, StoredKey, UserError};
use crate::tui::keymap::key_text;
use crate::tui::state::{Effect, Intent, Model, Request, Ticket};

/// Starts a round that is due. The keys of a shared store are read first, since others change them.
pub(super) fn start_due(model: &mut Model) -> Vec<Effect> {
    if !model.shared_store.is_in_use {
        return start(model);
    }
    if model.dashboard.load_ticket.is_some() || !inventory_change::is_idle(model) {
        model.refresh.postpone(model.now);
        return Vec::new();
    }
    model.refresh.refresh_after_load = true;
    super::load_keys(model)
}

/// Starts a refresh round; the visible keys are checked first.
pub(super) fn start(model: &mut Model) -> Vec<Effect> {
    if model.refresh.current_round.is_some() {
        return Vec::new();
    }
    if model.dashboard.stored_keys().is_empty() {
        if std::mem::take(&mut model.refresh.reports_result) {
            model.notify(Ok("no key is stored here, so there is none to check".into()));
        }
        model.refresh.postpone(model.now);
        return Vec::new();
    }
    let ticket = model.next_ticket();
    let dashboard = &model.dashboard;
    let visible: Vec<&StoredKey> = model.visible_keys().map(|(_, key)| key).collect();
    let rest = dashboard
        .stored_keys()
        .iter()
        .filter(|key| !visible.iter().any(|other| other.hash == key.hash));
    let keys: Vec<StoredKey> = visible.iter().copied().chain(rest).cloned().collect();
    model.refresh.start_round(ticket, keys.len());
    vec![Effect::Request(ticket, Request::RefreshKeys(keys))]
}

/// Handles the end of a round.
pub(super) fn finish(
    model: &mut Model,
    ticket: Ticket,
    error: Option<UserError>,
    retry_after: Option<SignedDuration>,
    rejected_keys: &[AccountKey],
) -> Vec<Effect> {
    let now = model.now;
    if model.refresh.is_current_round(ticket) {
        for account_key in rejected_keys {
            model.dashboard.record_account_key(account_key, now);
        }
        // The round added usage samples.
        model.dashboard.mark_usage_history_stale();
        model.account.is_spending_stale = true;
        model.account.is_report_stale = error.is_none();
        let keys = model.dashboard.stored_keys().iter();
        let first = keys.filter_map(|key| key.next_reset(now)).min();
        let retry = format!("press {} to retry", key_text(model, &Intent::Reload));
        let checked = model.refresh.current_round.as_ref().map_or(0, |round| round.checked_count);
        model.refresh.finish_round(now, error, retry_after, first);
        if let Some(error) =
            model.refresh.last_error.as_mut().filter(|error| error.advice.is_empty())
        {
            error.advice = retry;
        }
        report_result(model, checked);
        model.dashboard.update_order(now);
        account::update_figures(model);
        if !model.dashboard.has_acted {
            model.dashboard.select_row(0);
        }
    }
    let rerun =
        model.refresh.current_round.is_none() && std::mem::take(&mut model.refresh.rerun_requested);
    if rerun { start(model) } else { Vec::new() }
}

/// Reports the end of a round that the user requested. An error is shown until a round succeeds; one of
/// another action that came during the round stays.
fn report_result(model: &mut Model, checked: usize) {
    let reports_result = std::mem::take(&mut model.refresh.reports_result);
    if !reports_result || matches!(model.notice, Some(Err(_))) {
        return;
    }
    let keys = if checked == 1 { "key" } else { "keys" };
    let is_ok = model.refresh.last_error.is_none();
    model.notice = is_ok.then(|| Ok(format!("checked {checked} {keys}")));
}
