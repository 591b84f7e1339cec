//! The usage of a key: whether a replaced key is still used, when the limit is reached, and what a
//! budget around the key leaves.

use jiff::Timestamp;
use ratatui::text::{Line, Span};

use crate::domain::{KeyState, RetirementStatus, StoredKey, forecast_spending, format_usd};
use crate::tui::keymap::key_text;
use crate::tui::state::{Intent, Model};
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
            let remove = key_text(model, &Intent::Remove);
            (Some(format!("{text}: press {remove}, then r to revoke it")), theme.success())
        }
    };
    if let Some(text) = text {
        lines.extend(wrap_property("replaced", Span::styled(text, style), width, theme));
    }
    if let Some(text) = describe_limit_reached(stored_key, model) {
        lines.extend(wrap_property("blocked", Span::styled(text, theme.error()), width, theme));
    }
    lines
}

/// Returns the forecast in a sentence, or in a few words that most often fit one row.
pub fn format_forecast(
    stored_key: &StoredKey,
    model: &Model,
    is_short: bool,
    theme: Theme,
    width: usize,
) -> Vec<Line<'static>> {
    let samples = model.dashboard.usage_samples(stored_key);
    let days = &model.dashboard.key_spending(stored_key).days;
    let Some(forecast) = forecast_spending(samples, days, stored_key, model.now) else {
        return Vec::new();
    };
    let text = if is_short {
        forecast.summarize(model.now)
    } else {
        to_sentence(&forecast.describe(model.now))
    };
    wrap_property("forecast", Span::raw(text), width, theme)
}

/// Returns until when a key at its limit is blocked, and what raises the limit.
fn describe_limit_reached(key: &StoredKey, model: &Model) -> Option<String> {
    (key.state(model.now) == KeyState::LimitReached).then_some(())?;
    let until = key.next_reset(model.now).map(|at| at.strftime("until %-d %b").to_string());
    let until = until.unwrap_or_else(|| "its limit is spent".to_owned());
    if model.is_read_only(key) {
        return Some(until);
    }
    Some(format!("{until}; {} raises the limit", key_text(model, &Intent::EditKey)))
}

/// Returns what the key may still spend, where a budget around it leaves less than its own limit.
pub fn format_budget_left(
    stored_key: &StoredKey,
    now: Timestamp,
    theme: Theme,
    width: usize,
) -> Vec<Line<'static>> {
    let layer = stored_key.binding_layer(now).filter(|layer| !layer.is_key_limit);
    let Some(layer) = layer.filter(|_| stored_key.state(now) != KeyState::Blocked) else {
        return Vec::new();
    };
    let limit = layer.limit.map_or_else(String::new, |limit| format!(" of {}", format_usd(limit)));
    let left = format_usd(layer.remaining.max(0.0));
    wrap_property(
        "left",
        Span::raw(format!("{left}{limit}: a budget around the key")),
        width,
        theme,
    )
}
