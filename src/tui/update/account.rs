//! Loads the figures of the account and the spending of the keys.

use std::collections::HashMap;

use crate::domain::KeySpending;
use crate::tui::state::{AccountReport, Effect, Model, Request, Ticket};

/// Returns the requests for figures that are out of date.
pub(super) fn load_stale(model: &mut Model) -> Vec<Effect> {
    let mut effects = Vec::new();
    if model.account.is_spending_stale && model.account.spending_ticket.is_none() {
        let ticket = model.next_ticket();
        model.account.is_spending_stale = false;
        model.account.spending_ticket = Some(ticket);
        effects.push(Effect::Request(ticket, Request::LoadSpending));
    }
    if model.account.is_report_stale && model.account.report_ticket.is_none() {
        let ticket = model.next_ticket();
        model.account.is_report_stale = false;
        model.account.report_ticket = Some(ticket);
        effects.push(Effect::Request(ticket, Request::LoadAccount));
    }
    effects
}

pub(super) fn set_spending(
    model: &mut Model,
    ticket: Ticket,
    spending: HashMap<String, KeySpending>,
) {
    if model.account.spending_ticket.take_if(|expected| *expected == ticket).is_some() {
        model.dashboard.set_spending(spending);
        update_figures(model);
    }
}

pub(super) fn set_report(model: &mut Model, ticket: Ticket, report: Option<AccountReport>) {
    if model.account.report_ticket.take_if(|expected| *expected == ticket).is_some() {
        // The activity of the keys was read as well.
        model.account.is_spending_stale = report.is_some();
        if let Some(report) = &report {
            model.dashboard.record_last_uses(&report.keys);
        }
        model.account.lacks_management_key = report.is_none();
        model.account.report = report;
        update_figures(model);
    }
}

pub(super) fn update_figures(model: &mut Model) {
    model.account.update_figures(&model.dashboard, model.now);
}
