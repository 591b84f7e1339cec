//! `keywright account`: credits, pace, keys by state and workspaces.

use std::collections::BTreeMap;

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::usage::no_management_key_error;
use crate::cli::output::{print, print_json, print_status, print_warning};
use crate::cli::run_async;
use crate::domain::{
    Reported, UserError, WorkspaceBudget, format_usd, from_nanodollars, to_nanodollars,
};
use crate::services::provision::ServiceContext;
use crate::services::usage::{AccountSummary, SummaryScope, count_by_state, fetch_summary};

/// Arguments of `account`.
#[derive(Args, Debug)]
pub struct AccountArgs {
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

impl AccountArgs {
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        let now = Timestamp::now();
        let summary = run_async(fetch_summary(services, SummaryScope::Whole, now))??;
        let summary = if let Some(summary) = summary {
            summary
        } else {
            let keys = services.list_keys()?;
            let error = no_management_key_error("the account");
            print_status(&format!(
                "{}; these are the keys stored here; {}",
                error.message, error.advice
            ));
            AccountSummary {
                keys: count_by_state(&keys, now),
                has_only_stored_keys: true,
                ..AccountSummary::default()
            }
        };
        for note in &summary.notes {
            print_warning(note);
        }
        if self.json {
            print_json(&summary_to_json(&summary))
        } else {
            print(&format_summary(&summary))
        }
    }
}

fn summary_to_json(summary: &AccountSummary) -> Value {
    let credits = summary.credits;
    json!({
        "total_credits": credits.map(|credits| credits.total_credits),
        "total_usage": credits.map(|credits| credits.total_usage),
        "remaining": credits.map(|credits| remove_rounding_error(credits.remaining())),
        "days_left": summary.days_left.map(|days| (days * 10.0).round() / 10.0),
        "keys": summary.keys,
        "workspaces": summary.workspaces.as_ref().map(|workspaces| {
            let row = |workspace: &crate::domain::Workspace| {
                let budgets = summary.budgets.get(&workspace.id).map(|budgets| {
                    budgets.iter().map(budget_to_json).collect::<Vec<_>>()
                });
                json!({ "id": workspace.id, "name": workspace.name, "slug": workspace.slug, "budgets": budgets })
            };
            workspaces.iter().map(row).collect::<Vec<_>>()
        }),
    })
}

fn budget_to_json(budget: &WorkspaceBudget) -> Value {
    json!({
        "id": budget.id,
        "limit_usd": budget.limit_usd,
        "reset_interval": budget.reset_interval,
    })
}

/// Returns an amount without the rounding error of a subtraction.
fn remove_rounding_error(usd: f64) -> f64 {
    to_nanodollars(usd).map_or(usd, from_nanodollars)
}

fn format_summary(summary: &AccountSummary) -> String {
    let mut lines = Vec::new();
    if let Some(credits) = summary.credits {
        lines.push((
            "credits",
            format!(
                "{} left of {}, {} used",
                format_usd(credits.remaining()),
                format_usd(credits.total_credits),
                format_usd(credits.total_usage)
            ),
        ));
    }
    if let (Some(days), Some(_)) = (&summary.days, summary.credits) {
        let last_week = days
            .iter()
            .next_back()
            .and_then(|(yesterday, _)| days.pace(yesterday.tomorrow().ok()?));
        let pace = last_week.map(|pace| format!("{} a day in the last week", format_usd(pace)));
        let lasts = match summary.days_left {
            Some(days) => format!("the credits last for {}", format_days(days)),
            None => "nothing was spent, so the credits last".into(),
        };
        lines.push((
            "pace",
            [pace, Some(lasts)].into_iter().flatten().collect::<Vec<_>>().join("; "),
        ));
    }
    let states = format_states(&summary.keys);
    lines.push((
        "keys",
        if summary.has_only_stored_keys {
            format!("{states} stored here; those of the account are not known")
        } else {
            states
        },
    ));
    if let Some(workspaces) = &summary.workspaces {
        let names = workspaces.iter().map(|workspace| {
            let budgets = summary.budgets.get(&workspace.id).map(Vec::as_slice).unwrap_or_default();
            let budgets = budgets.iter().map(|budget| format!(", {}", format_budget(budget)));
            format!("{} ({}{})", workspace.name, workspace.slug, budgets.collect::<String>())
        });
        lines.push(("workspaces", names.collect::<Vec<_>>().join(", ")));
    }
    let lines = lines.into_iter().map(|(name, text)| format!("{name:<12}{text}\n"));
    lines.collect::<Vec<_>>().concat()
}

/// Formats as `$50.00 monthly`.
fn format_budget(budget: &WorkspaceBudget) -> String {
    let limit = budget.limit_usd.map_or_else(|| "a budget".into(), format_usd);
    match &budget.reset_interval {
        Reported::Value(reset) => format!("{limit} {}", reset.as_str()),
        Reported::None => format!("{limit} in all"),
        Reported::Missing => limit,
        Reported::Other(words) => format!("{limit} {words}"),
    }
}

fn format_days(days: f64) -> String {
    match days {
        ..1.0 => "less than a day".into(),
        ..1.5 => "1 day".into(),
        ..3650.0 => format!("{days:.0} days"),
        _ => "more than ten years".into(),
    }
}

/// Formats as `3 active, 1 limit reached`, or `none`.
fn format_states(keys: &BTreeMap<&'static str, usize>) -> String {
    if keys.is_empty() {
        return "none".into();
    }
    let states = keys.iter().map(|(state, count)| format!("{count} {}", state.replace('_', " ")));
    states.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Credits, DailySpending, ResetInterval, Workspace};

    fn summary() -> AccountSummary {
        let date = |day| jiff::civil::date(2026, 11, day);
        AccountSummary {
            credits: Some(Credits { total_credits: 250.3, total_usage: 200.1 }),
            days: Some((1..8).map(|day| (date(day), 2.0)).collect::<DailySpending>()),
            days_left: Some(25.1),
            keys: [("active", 3), ("limit_reached", 1)].into(),
            workspaces: Some(vec![Workspace {
                id: "w".into(),
                name: "Default".into(),
                slug: "default".into(),
            }]),
            budgets: [(
                "w".to_owned(),
                vec![WorkspaceBudget {
                    id: "b".into(),
                    limit_usd: Some(50.0),
                    reset_interval: Reported::Value(ResetInterval::Monthly),
                }],
            )]
            .into(),
            ..AccountSummary::default()
        }
    }

    #[test]
    fn document_and_text_have_every_part() {
        assert_eq!(
            summary_to_json(&summary()),
            json!({
                "total_credits": 250.3, "total_usage": 200.1, "remaining": 50.2,
                "days_left": 25.1, "keys": {"active": 3, "limit_reached": 1},
                "workspaces": [{
                    "id": "w", "name": "Default", "slug": "default",
                    "budgets": [{"id": "b", "limit_usd": 50.0, "reset_interval": "monthly"}],
                }],
            })
        );
        assert_eq!(
            format_summary(&summary()),
            "credits     $50.20 left of $250.30, $200.10 used\n\
             pace        $2.00 a day in the last week; the credits last for 25 days\n\
             keys        3 active, 1 limit reached\n\
             workspaces  Default (default, $50.00 monthly)\n"
        );
    }

    #[test]
    fn parts_that_are_not_known_are_null_or_left_out() {
        let summary = AccountSummary { keys: [("active", 1)].into(), ..AccountSummary::default() };
        let document = summary_to_json(&summary);
        for name in ["total_credits", "total_usage", "remaining", "days_left", "workspaces"] {
            assert_eq!(document[name], Value::Null, "{name}");
        }
        assert_eq!(format_summary(&summary), "keys        1 active\n");
        let summary = AccountSummary { has_only_stored_keys: true, ..AccountSummary::default() };
        assert_eq!(
            format_summary(&summary),
            "keys        none stored here; those of the account are not known\n"
        );
    }
}
