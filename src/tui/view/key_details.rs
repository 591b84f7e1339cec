//! The details of one key, most important first.

mod usage;

use jiff::Timestamp;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::key_table::format_spent;
use super::text::{format_property, quote_shell_word, wrap_property};
use super::{Theme, text};
use crate::domain::{
    Cents, GrantedPolicy, Reported, ResetInterval, StoreKind, StoredKey, format_command,
    format_date, format_last_use, format_relative_time, format_usd, format_usd_short, sanitize,
};
use crate::tui::state::Model;

/// Returns what fits beside a chart: spending, what ends it, and the last use.
pub fn format_facts(
    key: &StoredKey,
    model: &Model,
    with_periods: bool,
    theme: Theme,
    width: usize,
) -> Vec<Line<'static>> {
    let now = model.now;
    let mut lines = Vec::new();
    let revealed_until = revealed_until(key, model);
    if revealed_until.is_some() {
        lines.extend(format_key(key, revealed_until, model, theme, width));
    }
    if let Some(by) = key.describe_block(now, format_date) {
        lines.extend(wrap_property("blocked", Span::styled(by, theme.error()), width, theme));
    }
    lines.extend(format_store_problem(key, theme, width));
    lines.extend(format_rejection(key, model, theme, width));
    lines.extend(wrap_property("spent", format_spent(key, now, theme), width, theme));
    lines.extend(usage::format_budget_left(key, now, theme, width));
    lines.extend(format_reset(key, now, theme, width));
    lines.extend(format_end(key, now, theme, width));
    lines.extend(format_use(key, now, theme, width));
    if with_periods && let Some(info) = &key.info {
        let periods = [
            ("today", info.usage_daily),
            ("week", info.usage_weekly),
            ("month", info.usage_monthly),
            ("ever", info.usage),
        ];
        lines.push(Line::default());
        for (name, usd) in periods {
            let usd = usd.map_or_else(|| "–".to_owned(), format_usd_short);
            lines.push(format_property(name, Span::raw(format!("{usd:>10}")), theme));
        }
        lines.push(Line::default());
    }
    // Values of several rows come last, so that the figures keep their positions.
    lines.extend(usage::format_history(key, model, theme, width));
    lines.extend(usage::format_forecast(key, model, true, theme, width));
    lines
}

/// Returns all that is known about a key.
pub fn format_details(
    key: &StoredKey,
    model: &Model,
    theme: Theme,
    width: usize,
) -> Vec<Line<'static>> {
    let now = model.now;
    let mut lines = Vec::new();
    if let Some(by) = key.describe_block(now, format_date) {
        lines.extend(wrap_property("blocked", Span::styled(by, theme.error()), width, theme));
    }
    lines.extend(format_store_problem(key, theme, width));
    lines.extend(format_key(key, revealed_until(key, model), model, theme, width));
    lines.extend(format_usage(key, model, theme, width));
    lines.extend(usage::format_history(key, model, theme, width));
    lines.extend(usage::format_forecast(key, model, false, theme, width));
    lines.extend(format_policy(key, now, theme, width));
    lines.extend(format_access(key, model, theme, width));
    let created =
        format!("{}, {}", format_date(key.created_at), format_relative_time(now, key.created_at));
    lines.extend(wrap_property("created", Span::raw(created), width, theme));
    lines.extend(format_use(key, now, theme, width));
    if let Some(guardrail) = &key.guardrail {
        lines.extend(wrap_property("guardrail", Span::raw(guardrail.name.clone()), width, theme));
    }
    if let Some(id) = key.workspace_id() {
        let name = model.dashboard.names.workspace_name(id).to_owned();
        lines.extend(wrap_property("workspace", Span::raw(name), width, theme));
    }
    if let Some(user) = key.account_id() {
        let user = sanitize(user, 60);
        let span = match &key.other_account {
            Some(other) if other.confirmed => Span::raw(format!("{user}, confirmed as yours")),
            Some(_) => {
                Span::styled(format!("{user}, not that of your other keys"), theme.warning())
            }
            None => Span::raw(user),
        };
        lines.extend(wrap_property("account", span, width, theme));
    }
    lines
}

/// Returns what to do about a key that the shared store cannot return, or could not take.
fn format_store_problem(key: &StoredKey, theme: Theme, width: usize) -> Vec<Line<'static>> {
    if key.move_to.is_some() {
        let recover = format_command(&["recover"], &[]);
        let text = format!("only on this machine; to move it to the shared store: {recover}");
        return wrap_property("stored", Span::styled(text, theme.warning()), width, theme);
    }
    let Some(loss) = key.secret_loss() else { return Vec::new() };
    let show = key.label.command("show");
    let text = format!("{} in the shared store; what to do: {show}", loss.as_str());
    wrap_property("text", Span::styled(text, theme.error()), width, theme)
}

/// Returns until when the key is revealed.
fn revealed_until(key: &StoredKey, model: &Model) -> Option<Timestamp> {
    let revealed = model.dashboard.revealed_key.as_ref()?;
    (revealed.hash == key.hash).then_some(revealed.revealed_until)
}

/// Returns when the limit resets.
fn format_reset(key: &StoredKey, now: Timestamp, theme: Theme, width: usize) -> Vec<Line<'static>> {
    let Some(at) = key.next_reset(now) else { return Vec::new() };
    let text = format!("{}, {}", format_relative_time(now, at), at.strftime("%-d %b %H:%M UTC"));
    wrap_property("resets", Span::raw(text), width, theme)
}

fn format_end(key: &StoredKey, now: Timestamp, theme: Theme, width: usize) -> Vec<Line<'static>> {
    let text = key.expires_at().describe("never", |at| {
        // The year is clear from the distance.
        let is_near = at.duration_since(now).as_hours().abs() < 300 * 24;
        let date = at.strftime(if is_near { "%-d %b %H:%M UTC" } else { "%-d %b %Y %H:%M UTC" });
        format!("{}, {date}", format_relative_time(now, at))
    });
    wrap_property("ends", Span::raw(text), width, theme)
}

fn format_use(key: &StoredKey, now: Timestamp, theme: Theme, width: usize) -> Vec<Line<'static>> {
    let Some(at) = key.last_used_at() else { return Vec::new() };
    let dormant = if key.is_dormant(now) == Some(true) { ", dormant" } else { "" };
    let used = format!("{}{dormant}", format_last_use(at, now));
    wrap_property("last used", Span::raw(used), width, theme)
}

/// Returns the masked key, and for how long it is shown below while it is revealed.
pub fn format_key(
    stored_key: &StoredKey,
    revealed_until: Option<Timestamp>,
    model: &Model,
    theme: Theme,
    width: usize,
) -> Vec<Line<'static>> {
    let mut lines = wrap_property("key", Span::raw(stored_key.masked.clone()), width, theme);
    if let Some(until) = revealed_until {
        let left = until.duration_since(model.now).as_secs().max(0);
        let text = Span::styled(format!("shown below for {left} s"), theme.warning());
        lines.push(format_property("", text, theme));
    }
    lines
}

/// Returns the policy in one sentence if it was granted as requested, else the requested beside the
/// granted one.
fn format_policy(
    key: &StoredKey,
    now: Timestamp,
    theme: Theme,
    width: usize,
) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    if key.granted.is_none() || !key.differing_fields().is_empty() {
        lines.extend(format_policies(key, theme, width));
    } else {
        let limit = key.limit().describe("no limit", format_usd);
        let interval = match key.reset() {
            Reported::None => String::new(),
            reset => reset.describe("", |interval| format!(", {}", interval.as_str())),
        };
        // Nothing was requested here for a key that only the account lists.
        let origin = if key.is_stored() { ", granted as requested" } else { "" };
        let text = format!("{limit}{interval}{origin}");
        lines.extend(wrap_property("limit", Span::raw(text), width, theme));
    }
    lines.extend(format_reset(key, now, theme, width));
    lines.extend(format_end(key, now, theme, width));
    lines
}

/// Returns the requested policy beside the granted one, with a warning for each difference.
pub fn format_policies(key: &StoredKey, theme: Theme, width: usize) -> Vec<Line<'static>> {
    // Seconds only where both columns have room for them.
    let (column, time) = if width >= 60 {
        (25, "%Y-%m-%d %H:%M:%S UTC")
    } else {
        (width.saturating_sub(10) / 2, "%Y-%m-%d %H:%M")
    };
    let usd = |amount: &Reported<f64>| amount.describe("none", format_usd);
    let reset = |interval: &Reported<ResetInterval>| {
        interval.describe("never", |interval| interval.as_str().to_owned())
    };
    let at = |at: &Reported<Timestamp>| at.describe("never", |at| at.strftime(time).to_string());
    let policy = &key.requested;
    let requested = [
        usd(&policy.limit.map(Cents::to_dollars).into()),
        reset(&policy.limit_reset.into()),
        at(&policy.expires_at.into()),
    ];
    let mut lines =
        vec![Line::styled(format!("{:<10}{:<column$}granted", "", "requested"), theme.dim())];
    let granted = key.granted.as_ref().map(|granted: &GrantedPolicy| {
        [usd(&granted.limit), reset(&granted.limit_reset), at(&granted.expires_at)]
    });
    let differences = key.differing_fields();
    for (row, name) in ["limit", "reset", "expires"].into_iter().enumerate() {
        let differs = differences.contains(&["limit", "limit_reset", "expires_at"][row]);
        let granted =
            granted.as_ref().map_or("not checked".to_owned(), |granted| granted[row].clone());
        let style = if differs { theme.warning() } else { Style::new() };
        let requested = text::truncate(&requested[row], column.saturating_sub(1));
        lines.push(Line::from(vec![
            Span::styled(format!("{name:<10}"), theme.dim()),
            Span::raw(format!("{requested:<column$}")),
            Span::styled(text::truncate(&granted, width.saturating_sub(10 + column)), style),
        ]));
    }
    for name in differences {
        let text = match name {
            "limit" => {
                "not the limit you requested: change it on the key's page, or revoke the key"
            }
            "limit_reset" => {
                "not the reset you requested: change it on the key's page, or revoke the key"
            }
            _ => {
                "not the expiry you requested, which cannot be changed later: revoke the key when it should end"
            }
        };
        lines.extend(wrap_property("!", Span::styled(text, theme.warning()), width, theme));
    }
    lines
}

fn format_rejection(
    key: &StoredKey,
    model: &Model,
    theme: Theme,
    width: usize,
) -> Vec<Line<'static>> {
    // The server also rejects a disabled key, and its state says so already.
    let rejected_at = key.rejected_at.filter(|_| key.disabled != Some(true));
    let Some(at) = rejected_at else { return Vec::new() };
    let text = format!(
        "by the server (401), {}: revoked, disabled or deleted there",
        format_relative_time(model.now, at)
    );
    wrap_property("rejected", Span::styled(text, theme.error()), width, theme)
}

/// Returns the usage of the key and when it was checked.
fn format_usage(
    stored_key: &StoredKey,
    model: &Model,
    theme: Theme,
    width: usize,
) -> Vec<Line<'static>> {
    let mut lines = format_rejection(stored_key, model, theme, width);
    let (Some(info), Some(at)) = (&stored_key.info, stored_key.checked_at) else {
        if stored_key.rejected_at.is_none() {
            lines.push(format_property("checked", Span::styled("not yet", theme.dim()), theme));
        }
        return lines;
    };
    let known = |amount: Option<f64>| amount.map_or_else(|| "–".to_owned(), format_usd_short);
    let format_periods = |day, week, month, ever| {
        format!(
            "today {} · week {} · month {} · ever {}",
            known(day),
            known(week),
            known(month),
            known(ever)
        )
    };
    lines.extend(wrap_property("spent", format_spent(stored_key, model.now, theme), width, theme));
    lines.extend(usage::format_budget_left(stored_key, model.now, theme, width));
    let usage = format_periods(info.usage_daily, info.usage_weekly, info.usage_monthly, info.usage);
    lines.extend(wrap_property("usage", Span::raw(usage), width, theme));
    if info.byok_usage.is_some_and(|usage| usage > 0.0) {
        let byok = format_periods(
            info.byok_usage_daily,
            info.byok_usage_weekly,
            info.byok_usage_monthly,
            info.byok_usage,
        );
        lines.extend(wrap_property("BYOK", Span::raw(byok), width, theme));
    }
    if info.is_management_key {
        let text = "management key: it manages keys and cannot call models";
        lines.extend(wrap_property("", Span::styled(text, theme.warning()), width, theme));
    }
    let freshness = if stored_key.has_reset_since_check(model.now) {
        "; a limit has reset since"
    } else if stored_key.is_stale(model.now) {
        "; out of date"
    } else {
        ""
    };
    let checked = format!("{}{freshness}", at.strftime("%Y-%m-%d %H:%M UTC"));
    lines.extend(wrap_property("checked", Span::styled(checked, theme.dim()), width, theme));
    lines
}

/// Returns where the key is stored and the commands that read it.
pub fn format_access(
    stored_key: &StoredKey,
    model: &Model,
    theme: Theme,
    width: usize,
) -> Vec<Line<'static>> {
    let page = Span::styled(stored_key.page_url(), theme.dim());
    if !stored_key.is_stored() {
        let copies = model.dashboard.other_profiles.get(&stored_key.hash);
        let text = copies.and_then(|copies| copies.first()).map_or_else(
            || "not on this machine; a key is shown only once, at creation".into(),
            |copy| format!("as '{}' in profile {}", copy.label, copy.profile),
        );
        let mut lines = wrap_property("stored", Span::styled(text, theme.dim()), width, theme);
        lines.extend(wrap_property("page", page, width, theme));
        return lines;
    }
    let label = quote_shell_word(stored_key.label.as_str());
    let store = model.store_name_of(stored_key).to_owned();
    let mut lines = wrap_property("stored", Span::raw(store), width, theme);
    let alternate = model.alternate_store.as_ref().map(|other| &other.store_kind);
    let alternate = alternate.filter(|kind| stored_key.is_in_store(kind));
    let store = alternate.map(ToString::to_string);
    let command: Vec<&str> =
        store.as_deref().map_or(vec!["get"], |kind| vec!["get", "--store", kind]);
    if !stored_key.is_in_store(&StoreKind::Memory) {
        let command = format_command(&command, &[stored_key.label.as_str()]);
        lines.extend(wrap_property("read it", Span::raw(command), width, theme));
    }
    if stored_key.is_in_store(&StoreKind::Keychain) && cfg!(all(unix, not(target_os = "macos"))) {
        let service = quote_shell_word(&model.keychain_service);
        let lookup = format!("secret-tool lookup service {service} username {label}");
        lines.extend(wrap_property("", Span::raw(lookup), width, theme));
    }
    lines.extend(wrap_property("page", page, width, theme));
    lines
}
