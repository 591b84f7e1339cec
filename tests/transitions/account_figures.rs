//! The figures of the account in the header: from the keys, and from what the account answers.

use std::sync::Arc;

use keywright::domain::{AccountFigures, Credits, DailySpending, KeySpending};
use keywright::tui::state::AccountReport;

use super::*;

/// Returns a dashboard whose keys were checked at `checked_at` and report this usage.
fn checked_model(keys: &[(&str, f64, f64)], checked_at: Timestamp) -> Model {
    let mut model = Model::new(AppContext::default(), (80, 24), now());
    load_keys(&mut model);
    let to_key = |(label, daily, monthly): &(&str, f64, f64)| {
        key(label).with(|key| {
            key.checked_at = Some(checked_at);
            key.info = Some(Arc::new(KeyInfo {
                usage_daily: Some(*daily),
                usage_monthly: Some(*monthly),
                ..KeyInfo::default()
            }));
        })
    };
    let keys = Ok(keys.iter().map(to_key).collect());
    send(&mut model, Msg::Response(Ticket(1), Response::KeysLoaded(keys)));
    let ticket = model.account.spending_ticket.unwrap();
    send(&mut model, Msg::Response(ticket, Response::SpendingLoaded([].into())));
    model
}

#[test]
fn figures_of_the_keys_count_on_the_day_and_month_of_their_check() {
    let keys = [("laptop", 1.5, 10.0), ("ci", 0.5, 2.0)];
    let model = checked_model(&keys, now());
    let expected = AccountFigures { today: Some(2.0), month: Some(12.0), ..Default::default() };
    assert_eq!(model.account.figures, expected);
    // Yesterday's figures say nothing about today, and still something about the month.
    let model = checked_model(&keys, now() - SignedDuration::from_hours(13));
    assert_eq!(model.account.figures, AccountFigures { today: None, ..expected });
    let model = checked_model(&keys, now() - SignedDuration::from_hours(24 * 24));
    assert_eq!(model.account.figures, AccountFigures::default());
    assert_eq!(checked_model(&[], now()).account.figures, AccountFigures::default());
}

#[test]
fn a_finished_refresh_loads_the_account_and_what_it_refuses_is_missing() {
    let mut model = checked_model(&[("laptop", 1.5, 10.0)], now());
    model.refresh.refresh_interval = Some(SignedDuration::from_mins(5));
    model.refresh.next_at = Some(now());
    send(&mut model, Msg::Tick);
    let round = model.refresh.current_round.as_ref().unwrap().ticket;
    let finished =
        Response::RefreshFinished { error: None, retry_after: None, rejected_keys: Vec::new() };
    let effects = send(&mut model, Msg::Response(round, finished));
    let loads = |effects: &[Effect]| {
        effects.iter().any(|effect| matches!(effect, Effect::Request(_, Request::LoadAccount)))
    };
    assert!(loads(&effects), "{effects:?}");
    let day = |number| jiff::civil::date(2026, 11, number);
    let days: DailySpending = (1..24).map(|number| (day(number), 2.0)).collect();
    let mut spender = account_key("laptop");
    spender.info.usage_daily = Some(2.5);
    let report = AccountReport {
        credits: Some(Credits { total_credits: 100.0, total_usage: 70.0 }),
        days: Some(days),
        spent_today: Some(2.5),
        models: Vec::new(),
        keys: vec![spender],
    };
    let ticket = model.account.report_ticket.unwrap();
    // An answer to another request changes nothing.
    let stale = Response::AccountLoaded(Some(AccountReport::default()));
    send(&mut model, Msg::Response(Ticket(999), stale));
    assert!(model.account.report.is_none());
    let effects =
        send(&mut model, Msg::Response(ticket, Response::AccountLoaded(Some(report.clone()))));
    assert!(!loads(&effects));
    let expected = AccountFigures {
        // The whole account, not only the keys that are stored here.
        is_whole_account: true,
        today: Some(2.5),
        month: Some(48.5),
        credits_left: Some(30.0),
        days_left: Some(15.0),
    };
    assert_eq!(model.account.figures, expected);

    // Without the right to read the activity the rest stays, with the pace of the stored keys.
    let without = AccountReport { days: None, ..report };
    model.account.report_ticket = Some(Ticket(1_000));
    let hash = key("laptop").hash.clone();
    let spending = KeySpending {
        days: (17..24).map(|number| (day(number), 3.0)).collect(),
        models: Vec::new(),
    };
    model.dashboard.spending = [(hash, spending)].into();
    send(&mut model, Msg::Response(Ticket(1_000), Response::AccountLoaded(Some(without))));
    let expected = AccountFigures {
        is_whole_account: false,
        today: Some(1.5),
        month: Some(10.0),
        days_left: Some(10.0),
        ..expected
    };
    assert_eq!(model.account.figures, expected);
}

#[test]
fn the_last_use_outlasts_rows_of_the_inventory() {
    let used = Some(now());
    let row = key("laptop").with(|key| key.info = Some(Arc::default()));
    let mut model = model_with_keys(&[]);
    let dashboard = &mut model.dashboard;
    dashboard.set_keys(Ok(vec![row.clone()]), now());
    let account_key =
        AccountKey { hash: row.hash.clone(), last_used_at: used, ..account_key("laptop") };
    dashboard.record_last_uses(&[account_key]);
    dashboard.rename_key(row.clone(), now());
    assert_eq!(dashboard.stored_keys()[0].last_used_at(), used, "a new label");
    dashboard.upsert_key(row.clone(), now());
    assert_eq!(dashboard.stored_keys()[0].last_used_at(), used, "a changed row");
    dashboard.set_keys(Ok(vec![row]), now());
    assert_eq!(dashboard.stored_keys()[0].last_used_at(), used, "a changed inventory");
}
