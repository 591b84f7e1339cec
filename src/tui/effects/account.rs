//! Loads the spending of the keys and the figures of the account.

use super::EffectRunner;
use crate::services::usage::{self, SummaryScope};
use crate::tui::state::{AccountReport, Response, Ticket};

impl EffectRunner {
    pub(super) fn load_spending(&self, ticket: Ticket) {
        let clock = self.clock.clone();
        self.spawn_blocking_request(ticket, move |services| {
            // Without the spending only the charts are missing.
            let spending = usage::read_spending(services, clock.now()).unwrap_or_default();
            Response::SpendingLoaded(spending)
        });
    }

    pub(super) fn load_account(&self, ticket: Ticket) {
        let clock = self.clock.clone();
        self.spawn_request(ticket, move |services, responder| async move {
            let summary = usage::fetch_summary(&services, SummaryScope::Figures, clock.now()).await;
            responder.send_names(&services);
            Response::AccountLoaded(match summary {
                Ok(summary) => summary.map(|summary| AccountReport {
                    credits: summary.credits,
                    days: summary.days,
                    spent_today: summary.spent_today,
                    models: summary.models,
                    keys: summary.account_keys,
                }),
                Err(error) => {
                    tracing::warn!(error = %error.message, "the account could not be read");
                    Some(AccountReport::default())
                }
            })
        });
    }
}
