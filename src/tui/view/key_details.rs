//! All that is known of one key: what matters most first, since a small terminal cuts the rest.

mod usage;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use secrecy::ExposeSecret;

use super::key_table::{format_spent, format_state, format_usd};
use super::text::{format_property, quote_shell_word};
use super::{Theme, text};
use crate::domain::{
    ApiKey, GrantedPolicy, ResetInterval, StoredKey, format_date, format_relative_time, sanitize,
};
use crate::tui::state::Model;

pub fn draw(held: &StoredKey, model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let shown = model.dashboard.revealed_key.as_ref().filter(|shown| shown.label == held.label);
    let name = Span::styled(format!("{}  ", held.label), theme.strong());
    let mut lines = vec![Line::from(vec![name, format_state(held, model.now, theme)])];
    lines.extend(format_key(
        held,
        shown.map(|shown| (&shown.key, shown.revealed_until)),
        model,
        theme,
    ));
    lines.extend(format_usage(held, model, theme));
    lines.extend(usage::format_history(
        held,
        model,
        theme,
        usize::from(area.width.saturating_sub(2)),
    ));
    lines.extend(format_policy(held, model, theme));
    if held.is_stored() {
        lines.extend(format_access(held, model, theme));
    } else {
        let words = "not here: its text was shown once, when it was cut";
        lines.push(format_property("held", Span::styled(words, theme.dim()), theme));
        lines.push(format_page_url(held, theme));
    }
    let cut = format!(
        "{}, {}",
        format_date(held.created_at),
        format_relative_time(model.now, held.created_at)
    );
    lines.push(format_property("cut", Span::raw(cut), theme));
    if let Some(user) = &held.user_id {
        lines.push(format_property("account", Span::raw(sanitize(user, 60)), theme));
    }
    text::draw_paragraph(frame, text::inset(area), lines);
}

/// The key, masked or for a moment in clear.
#[expect(clippy::disallowed_methods, reason = "door: reveal")]
pub fn format_key(
    held: &StoredKey,
    shown: Option<(&ApiKey, jiff::Timestamp)>,
    model: &Model,
    theme: Theme,
) -> Vec<Line<'static>> {
    match shown {
        None => vec![format_property("key", Span::raw(held.masked.clone()), theme)],
        Some((key, until)) => {
            let left = until.duration_since(model.now).as_secs().max(0);
            vec![
                format_property(
                    "key",
                    Span::styled(sanitize(key.expose_secret(), 512), theme.warning()),
                    theme,
                ),
                format_property("", Span::styled(format!("hides in {left} s"), theme.dim()), theme),
            ]
        }
    }
}

/// What was asked beside what was granted, and in words where they differ.
pub fn format_policy(held: &StoredKey, model: &Model, theme: Theme) -> Vec<Line<'static>> {
    let usd = |amount: Option<f64>| amount.map_or("none".to_owned(), |usd| format!("${usd:.2}"));
    let at = |at: Option<jiff::Timestamp>| {
        at.map_or("never".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
    };
    let asked = &held.requested;
    let asked = [
        usd(asked.limit.map(crate::domain::Cents::to_dollars)),
        asked.limit_reset.map_or("never", ResetInterval::as_str).to_owned(),
        at(asked.expires_at),
    ];
    let names = ["limit", "reset", "expires"];
    let mut lines = vec![Line::styled(format!("{:<10}{:<25}granted", "", "asked"), theme.dim())];
    let granted = held.granted.as_ref().map(|granted: &GrantedPolicy| {
        [
            usd(granted.limit),
            granted.limit_reset.clone().unwrap_or_else(|| "never".to_owned()),
            at(granted.expires_at),
        ]
    });
    let differences = held.differing_fields();
    for (row, name) in names.into_iter().enumerate() {
        let differs = differences.contains(&["limit", "limit_reset", "expires_at"][row]);
        let granted =
            granted.as_ref().map_or("not checked".to_owned(), |granted| granted[row].clone());
        let style = if differs { theme.warning() } else { ratatui::style::Style::new() };
        lines.push(Line::from(vec![
            Span::styled(format!("{name:<10}"), theme.dim()),
            Span::raw(format!("{:<25}", asked[row])),
            Span::styled(granted, style),
        ]));
    }
    if let Some(at) = held.expires_at() {
        let words =
            format!("{}, {}", at.strftime("%A %-d %B %Y"), format_relative_time(model.now, at));
        lines.push(format_property("", Span::styled(words, theme.dim()), theme));
    }
    for name in differences {
        let words = match name {
            "limit" => {
                "! not the limit you asked for: change it on the key's page, or revoke the key"
            }
            "limit_reset" => {
                "! not the reset you asked for: change it on the key's page, or revoke the key"
            }
            _ => {
                "! not the expiry you asked for; it cannot be changed: revoke the key by hand when its time comes"
            }
        };
        lines.push(Line::styled(words, theme.warning()));
    }
    lines
}

/// What was spent, as far as it is known, and when that was.
fn format_usage(held: &StoredKey, model: &Model, theme: Theme) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    if let Some(at) = held.rejected_at {
        let words = format!(
            "by the server (401), {}: revoked, disabled or deleted there",
            format_relative_time(model.now, at)
        );
        lines.push(format_property("refused", Span::styled(words, theme.error()), theme));
    }
    let (Some(reading), Some(at)) = (&held.info, held.checked_at) else {
        if held.rejected_at.is_none() {
            lines.push(format_property("checked", Span::styled("never yet", theme.dim()), theme));
        }
        return lines;
    };
    let known = |amount: Option<f64>| amount.map_or_else(|| "–".to_owned(), format_usd);
    let four = |day, week, month, ever| {
        format!(
            "{} today, {} this week, {} this month, {} ever",
            known(day),
            known(week),
            known(month),
            known(ever)
        )
    };
    lines.push(format_property("spent", format_spent(held, model.now, theme), theme));
    let usage =
        four(reading.usage_daily, reading.usage_weekly, reading.usage_monthly, reading.usage);
    lines.push(format_property("usage", Span::raw(usage), theme));
    if reading.byok_usage.is_some_and(|usage| usage > 0.0) {
        let byok = four(
            reading.byok_usage_daily,
            reading.byok_usage_weekly,
            reading.byok_usage_monthly,
            reading.byok_usage,
        );
        lines.push(format_property("own keys", Span::raw(byok), theme));
    }
    if reading.is_management_key {
        let words = "a management key: it manages keys and cannot call models";
        lines.push(format_property("", Span::styled(words, theme.warning()), theme));
    }
    let old = if held.has_reset_since_check(model.now) {
        "; a window has ended since"
    } else if held.is_stale(model.now) {
        "; too old to rely on"
    } else {
        ""
    };
    let checked = format!("{}{old}", at.strftime("%Y-%m-%d %H:%M UTC"));
    lines.push(format_property("checked", Span::styled(checked, theme.dim()), theme));
    lines
}

/// Where it is stored, and how any tool reads it.
pub fn format_access(held: &StoredKey, model: &Model, theme: Theme) -> Vec<Line<'static>> {
    let word = quote_shell_word(held.label.as_str());
    let mut lines =
        vec![format_property("stored", Span::raw(model.store_name_of(held).to_owned()), theme)];
    let elsewhere =
        model.alternate_store.as_ref().is_some_and(|other| other.store_kind == held.store);
    let store = if elsewhere { format!(" --store {}", held.store) } else { String::new() };
    if held.store != "memory" {
        lines.push(format_property(
            "read it",
            Span::raw(format!("keywright get {word}{store}")),
            theme,
        ));
    }
    if held.store == "os" && cfg!(all(unix, not(target_os = "macos"))) {
        let service = quote_shell_word(&model.keychain_service);
        let lookup = format!("secret-tool lookup service {service} username {word}");
        lines.push(format_property("", Span::raw(lookup), theme));
    }
    lines.push(format_page_url(held, theme));
    lines
}

/// Whole, on a line of its own: it may have to be typed or taken with the mouse.
fn format_page_url(held: &StoredKey, theme: Theme) -> Line<'static> {
    format_property("page", Span::styled(held.page_url(), theme.dim()), theme)
}
