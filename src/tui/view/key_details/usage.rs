//! What the past of a key says: whether a replaced key is still used, and when the limit is reached.

use ratatui::text::{Line, Span};

use crate::domain::{RetirementStatus, StoredKey, forecast_spending};
use crate::tui::state::Model;
use crate::tui::view::Theme;
use crate::tui::view::text::{to_sentence, wrap_property};

pub fn format_history(
    stored_key: &StoredKey,
    model: &Model,
    theme: Theme,
    width: usize,
) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let (text, style) = match model.dashboard.retirement_status(stored_key, model.now) {
        RetirementStatus::NotReplaced => (None, theme.dim()),
        RetirementStatus::InUse(text) => (Some(text), theme.warning()),
        RetirementStatus::Observing(text) => (Some(text), theme.dim()),
        RetirementStatus::Unused(text) | RetirementStatus::Inactive(text) => {
            (Some(format!("{text}: press x, then r to delete it")), theme.success())
        }
    };
    if let Some(text) = text {
        lines.extend(wrap_property("replaced", Span::styled(text, style), width, theme));
    }
    let samples = model.dashboard.usage_samples(stored_key);
    let days = &model.dashboard.key_spending(stored_key).days;
    if let Some(forecast) = forecast_spending(samples, days, stored_key, model.now) {
        let text = to_sentence(&forecast.describe(model.now));
        lines.extend(wrap_property("forecast", Span::raw(text), width, theme));
    }
    lines
}
