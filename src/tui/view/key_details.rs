//! The details of one key, most important first, because a small terminal cuts off the end.

mod usage;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use secrecy::ExposeSecret;

use super::key_table::{format_spent, format_state};
use super::text::{format_property, quote_shell_word};
use super::{Theme, text};
use crate::domain::{
    ApiKey, GrantedPolicy, Reported, ResetInterval, StoreKind, StoredKey, format_command,
    format_date, format_relative_time, format_usd, format_usd_short, sanitize,
};
use crate::tui::state::Model;

pub fn draw(
    stored_key: &StoredKey,
    model: &Model,
    theme: Theme,
    frame: &mut Frame<'_>,
    area: Rect,
) {
    let shown = model.dashboard.revealed_key.as_ref().filter(|shown| shown.hash == stored_key.hash);
    let name = Span::styled(format!("{}  ", stored_key.label), theme.strong());
    let mut lines = vec![Line::from(vec![name, format_state(stored_key, model.now, theme)])];
    if let Some(by) = stored_key.describe_block(model.now, format_date) {
        lines.push(format_property("blocked", Span::styled(by, theme.error()), theme));
    }
    lines.extend(format_key(
        stored_key,
        shown.map(|shown| (&shown.key, shown.revealed_until)),
        model,
        theme,
    ));
    lines.extend(format_usage(stored_key, model, theme));
    lines.extend(usage::format_history(
        stored_key,
        model,
        theme,
        usize::from(area.width.saturating_sub(2)),
    ));
    lines.extend(format_policy(stored_key, model, theme));
    if stored_key.is_stored() {
        lines.extend(format_access(stored_key, model, theme));
    } else {
        let text = "not on this machine; a key is shown only once, at creation";
        lines.push(format_property("stored", Span::styled(text, theme.dim()), theme));
        lines.push(format_page_url(stored_key, theme));
    }
    let created = format!(
        "{}, {}",
        format_date(stored_key.created_at),
        format_relative_time(model.now, stored_key.created_at)
    );
    lines.push(format_property("created", Span::raw(created), theme));
    if let Some(at) = stored_key.last_used_at() {
        let dormant = if stored_key.is_dormant(model.now) == Some(true) { ", dormant" } else { "" };
        let used = format!("{}{dormant}", format_relative_time(model.now, at));
        lines.push(format_property("last used", Span::raw(used), theme));
    }
    if let Some(guardrail) = &stored_key.guardrail {
        lines.push(format_property("guardrail", Span::raw(guardrail.name.clone()), theme));
    }
    if let Some(user) = stored_key.account_id() {
        let user = sanitize(user, 60);
        let span = match &stored_key.other_account {
            Some(other) if other.confirmed => Span::raw(format!("{user}, confirmed as yours")),
            Some(_) => {
                Span::styled(format!("{user}, not that of your other keys"), theme.warning())
            }
            None => Span::raw(user),
        };
        lines.push(format_property("account", span, theme));
    }
    text::draw_paragraph(frame, text::inset(area), lines);
}

/// Returns the key, masked, or in plaintext while it is revealed.
#[expect(clippy::disallowed_methods, reason = "reveals the key")]
pub fn format_key(
    stored_key: &StoredKey,
    shown: Option<(&ApiKey, jiff::Timestamp)>,
    model: &Model,
    theme: Theme,
) -> Vec<Line<'static>> {
    match shown {
        None => vec![format_property("key", Span::raw(stored_key.masked.clone()), theme)],
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

/// Returns the requested policy beside the granted one, with a warning for each difference.
pub fn format_policy(stored_key: &StoredKey, model: &Model, theme: Theme) -> Vec<Line<'static>> {
    let usd = |amount: &Reported<f64>| amount.describe("none", format_usd);
    let reset = |interval: &Reported<ResetInterval>| {
        interval.describe("never", |interval| interval.as_str().to_owned())
    };
    let at = |at: &Reported<jiff::Timestamp>| {
        at.describe("never", |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
    };
    let policy = &stored_key.requested;
    let requested = [
        usd(&policy.limit.map(crate::domain::Cents::to_dollars).into()),
        reset(&policy.limit_reset.into()),
        at(&policy.expires_at.into()),
    ];
    let names = ["limit", "reset", "expires"];
    let mut lines =
        vec![Line::styled(format!("{:<10}{:<25}granted", "", "requested"), theme.dim())];
    let granted = stored_key.granted.as_ref().map(|granted: &GrantedPolicy| {
        [usd(&granted.limit), reset(&granted.limit_reset), at(&granted.expires_at)]
    });
    let differences = stored_key.differing_fields();
    for (row, name) in names.into_iter().enumerate() {
        let differs = differences.contains(&["limit", "limit_reset", "expires_at"][row]);
        let granted =
            granted.as_ref().map_or("not checked".to_owned(), |granted| granted[row].clone());
        let style = if differs { theme.warning() } else { ratatui::style::Style::new() };
        lines.push(Line::from(vec![
            Span::styled(format!("{name:<10}"), theme.dim()),
            Span::raw(format!("{:<25}", requested[row])),
            Span::styled(granted, style),
        ]));
    }
    if let Some(at) = stored_key.expires_at().value() {
        let text =
            format!("{}, {}", at.strftime("%A %-d %B %Y"), format_relative_time(model.now, at));
        lines.push(format_property("", Span::styled(text, theme.dim()), theme));
    }
    for name in differences {
        let text = match name {
            "limit" => {
                "! not the limit you requested: change it on the key's page, or revoke the key"
            }
            "limit_reset" => {
                "! not the reset you requested: change it on the key's page, or revoke the key"
            }
            _ => {
                "! not the expiry you requested; it cannot be changed: revoke the key when it should end"
            }
        };
        lines.push(Line::styled(text, theme.warning()));
    }
    lines
}

/// Returns the usage of the key and when it was checked.
fn format_usage(stored_key: &StoredKey, model: &Model, theme: Theme) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    if let Some(at) = stored_key.rejected_at {
        let text = format!(
            "by the server (401), {}: revoked, disabled or deleted there",
            format_relative_time(model.now, at)
        );
        lines.push(format_property("rejected", Span::styled(text, theme.error()), theme));
    }
    let (Some(info), Some(at)) = (&stored_key.info, stored_key.checked_at) else {
        if stored_key.rejected_at.is_none() {
            lines.push(format_property("checked", Span::styled("not yet", theme.dim()), theme));
        }
        return lines;
    };
    let known = |amount: Option<f64>| amount.map_or_else(|| "–".to_owned(), format_usd_short);
    let format_periods = |day, week, month, ever| {
        format!(
            "{} today, {} this week, {} this month, {} ever",
            known(day),
            known(week),
            known(month),
            known(ever)
        )
    };
    lines.push(format_property("spent", format_spent(stored_key, model.now, theme), theme));
    let usage = format_periods(info.usage_daily, info.usage_weekly, info.usage_monthly, info.usage);
    lines.push(format_property("usage", Span::raw(usage), theme));
    if info.byok_usage.is_some_and(|usage| usage > 0.0) {
        let byok = format_periods(
            info.byok_usage_daily,
            info.byok_usage_weekly,
            info.byok_usage_monthly,
            info.byok_usage,
        );
        lines.push(format_property("BYOK", Span::raw(byok), theme));
    }
    if info.is_management_key {
        let text = "management key: it manages keys and cannot call models";
        lines.push(format_property("", Span::styled(text, theme.warning()), theme));
    }
    let freshness = if stored_key.has_reset_since_check(model.now) {
        "; a limit has reset since"
    } else if stored_key.is_stale(model.now) {
        "; out of date"
    } else {
        ""
    };
    let checked = format!("{}{freshness}", at.strftime("%Y-%m-%d %H:%M UTC"));
    lines.push(format_property("checked", Span::styled(checked, theme.dim()), theme));
    lines
}

/// Returns where the key is stored and the commands that read it.
pub fn format_access(stored_key: &StoredKey, model: &Model, theme: Theme) -> Vec<Line<'static>> {
    let label = quote_shell_word(stored_key.label.as_str());
    let mut lines = vec![format_property(
        "stored",
        Span::raw(model.store_name_of(stored_key).to_owned()),
        theme,
    )];
    let alternate = model.alternate_store.as_ref().map(|other| &other.store_kind);
    let alternate = alternate.filter(|kind| stored_key.is_in_store(kind));
    let store = alternate.map(ToString::to_string);
    let command: Vec<&str> =
        store.as_deref().map_or(vec!["get"], |kind| vec!["get", "--store", kind]);
    if !stored_key.is_in_store(&StoreKind::Memory) {
        lines.push(format_property(
            "read it",
            Span::raw(format_command(&command, &[stored_key.label.as_str()])),
            theme,
        ));
    }
    if stored_key.is_in_store(&StoreKind::Keychain) && cfg!(all(unix, not(target_os = "macos"))) {
        let service = quote_shell_word(&model.keychain_service);
        let lookup = format!("secret-tool lookup service {service} username {label}");
        lines.push(format_property("", Span::raw(lookup), theme));
    }
    lines.push(format_page_url(stored_key, theme));
    lines
}

/// Returns the key's page on a line of its own, so that it can be selected with the mouse.
fn format_page_url(stored_key: &StoredKey, theme: Theme) -> Line<'static> {
    format_property("page", Span::styled(stored_key.page_url(), theme.dim()), theme)
}
