//! What is spent, from the activity and from samples, where the server refuses, limits or is older.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::{Timestamp, ToSpan};
use keywright::domain::{ErrorKind, ModelUse, UsageSample, utc_date};
use keywright::services::usage::{
    SummaryScope, UsageQuery, UsageReport, UsageSource, fetch_summary, read_spending, report_usage,
};
use keywright::storage::activity_cache::{CachedActivity, write_activity};
use keywright::storage::usage_history;
use tokio::sync::watch;

use super::proxy::Fault;
use super::{TestAccount, block_on};

const ACTIVITY: &str = "GET /api/v1/activity";
const KEYS: &str = "GET /api/v1/keys";

fn new_account() -> TestAccount {
    let mut account = TestAccount::new();
    account.services.management_key = Some(account.management.clone());
    account
}

fn query(labels: &[&str], account: &TestAccount) -> UsageQuery {
    let keys = labels.iter().map(|label| account.stored_key(label)).collect();
    UsageQuery { keys, days: 30, by_key: true }
}

fn report(account: &TestAccount, query: &UsageQuery) -> UsageReport {
    let cancel = watch::channel(false).1;
    let report = report_usage(&account.services, query, Timestamp::now(), &|_, _| {}, cancel);
    block_on(report).unwrap()
}

/// Returns label and total of each key, in cents.
fn totals(report: &UsageReport) -> Vec<(String, u64)> {
    let cents = |usd: f64| format!("{:.0}", usd * 100.0).parse().unwrap();
    let total = |days: &keywright::domain::DailySpending| days.total(report.from, report.today);
    let mut totals: Vec<_> = report
        .keys
        .iter()
        .map(|key| (key.label.clone().unwrap_or_default(), cents(total(&key.days))))
        .collect();
    totals.sort();
    totals
}

/// Returns how many keys are requested again. Yesterday becomes final at six o'clock.
fn repeated_requests(keys: usize) -> usize {
    let hour = Timestamp::now().as_second().rem_euclid(86_400) / 3_600;
    if hour < 6 { keys } else { 0 }
}

#[test]
fn completed_days_are_requested_once_for_each_key() {
    let account = new_account();
    let first = report(&account, &query(&[], &account));
    assert_eq!((first.source, first.keys.len()), (UsageSource::Activity, 4));
    assert_eq!(account.proxy.count(ACTIVITY), 4);
    // Every day of the past is known, and each key's spending is what the server says it was.
    for key in &first.keys {
        assert_eq!(key.days.iter().count(), 30, "{key:?}");
    }
    let agent = first.keys.iter().find(|key| key.label.as_deref() == Some("agent")).unwrap();
    let idle = (8..=14).map(|ago| agent.days.get(first.today.saturating_sub(ago.days())));
    assert!(idle.clone().all(|usd| usd == Some(0.0)), "{:?}", idle.collect::<Vec<_>>());
    assert_eq!(agent.days.get(first.today), Some(2.4));

    let again = report(&account, &query(&[], &account));
    assert_eq!(account.proxy.count(ACTIVITY), 4 + repeated_requests(4));
    assert_eq!(totals(&again), totals(&first));
    // The dashboard reads the same from disk, with the models.
    let spending = read_spending(&account.services, Timestamp::now()).unwrap();
    let agent_hash = account.stored_key("agent").hash.clone();
    assert!(spending[&agent_hash].models.len() > 1);
    // The account as a whole adds up to the same.
    let whole = report(&account, &UsageQuery { keys: Vec::new(), days: 30, by_key: false });
    let sum: u64 = totals(&first).iter().map(|(_, cents)| cents).sum();
    assert!(totals(&whole)[0].1.abs_diff(sum) <= 2, "{:?} {sum}", totals(&whole));
}

#[test]
fn the_dashboard_knows_yesterday_right_after_midnight() {
    let account = new_account();
    // 00:11 on the first day of a month and of a week.
    let now: Timestamp = "2027-02-01T00:11:00Z".parse().unwrap();
    let yesterday = jiff::civil::date(2027, 1, 31);
    let activity = |read_at: Timestamp| CachedActivity {
        from: jiff::civil::date(2027, 1, 3),
        to: yesterday,
        read_at,
        uses: vec![ModelUse { date: yesterday, model: "a".into(), requests: 1, usage: 1.5 }],
    };
    let services = &account.services;
    let entries = ["k", "l"].map(|hash| (hash.to_owned(), activity(now)));
    write_activity(&services.location, &services.server, &entries).unwrap();
    // Two checks on one machine say exactly what was spent yesterday, also without the activity.
    for (hash, daily) in [("l", Some(0.2)), ("m", Some(0.2)), ("n", None)] {
        for (at, usage, usage_daily) in [
            ("2027-01-31T20:00:00Z", 11.0, daily.map(|_| 1.0)),
            ("2027-02-01T00:10:00Z", 11.9, daily),
        ] {
            let at = at.parse().unwrap();
            let sample = UsageSample { usage_daily, ..UsageSample::new(at, usage) };
            usage_history::record_usage(&services.location, &[(hash, sample)]).unwrap();
        }
    }
    let spending = read_spending(services, now).unwrap();
    let days = |hash: &str| spending[hash].days.last_days(yesterday, 2).map(|(_, usd)| usd);
    assert_eq!(days("k").collect::<Vec<_>>(), [Some(0.0), Some(1.5)]);
    assert_eq!(days("l").collect::<Vec<_>>(), [Some(0.0), Some(1.7)], "activity is not final");
    assert_eq!(days("m").collect::<Vec<_>>(), [None, Some(1.7)]);
    assert_eq!(days("n").collect::<Vec<_>>(), [None, None]);
    // From six o'clock the activity is final.
    let later = "2027-02-01T06:00:00Z".parse().unwrap();
    write_activity(&services.location, &services.server, &[("l".into(), activity(later))]).unwrap();
    let spending = read_spending(services, later).unwrap();
    assert_eq!(spending["l"].days.get(yesterday), Some(1.5));
}

#[test]
fn samples_are_reported_where_the_activity_is_refused_or_unknown() {
    for status in [403, 404] {
        let account = new_account();
        let today = utc_date(Timestamp::now());
        let stored_key = account.stored_key("laptop");
        let sample =
            UsageSample { usage_daily: Some(1.25), ..UsageSample::new(Timestamp::now(), 9.5) };
        usage_history::record_usage(&account.services.location, &[(&stored_key.hash, sample)])
            .unwrap();
        account.inject_fault(ACTIVITY, Fault::Respond(status, String::new()));
        let found = report(&account, &query(&[], &account));
        assert_eq!(found.source, UsageSource::Samples);
        assert!(found.notes[0].message.contains("the activity cannot be read"), "{found:?}");
        let laptop = found.keys.iter().find(|key| key.label.as_deref() == Some("laptop")).unwrap();
        assert_eq!(laptop.days.iter().collect::<Vec<_>>(), [(today, 1.25)]);
        // Each of the other keys is named, and nothing is known about it.
        assert_eq!(found.keys.iter().filter(|key| key.days.iter().next().is_none()).count(), 3);
    }
    // Without a management key nothing is sent.
    let account = TestAccount::new();
    assert_eq!(report(&account, &query(&[], &account)).source, UsageSource::Samples);
    assert!(account.proxy.requests().is_empty());
}

#[test]
fn a_rate_limit_in_the_middle_keeps_what_was_read() {
    let account = TestAccount::of(20, keywright::storage::json_store::StoreLocation::in_memory());
    let account = TestAccount {
        services: keywright::services::provision::ServiceContext {
            management_key: Some(account.management.clone()),
            ..account.services.clone()
        },
        ..account
    };
    let answered = AtomicUsize::new(0);
    account.proxy.set_rule(move |request| {
        let is_late =
            request.starts_with(ACTIVITY) && answered.fetch_add(1, Ordering::Relaxed) >= 9;
        if is_late { Fault::RateLimit(3_600) } else { Fault::Pass }
    });
    let found = report(&account, &query(&[], &account));
    assert_eq!((found.keys.len(), found.unread.len()), (9, 11), "{:?}", found.unread);
    assert_eq!(found.unread[0].2.kind, ErrorKind::Unreachable);
    // No request is sent after the limit except those under way.
    assert!(account.proxy.count(ACTIVITY) <= 9 + 8);
    let before = account.proxy.count(ACTIVITY);
    account.proxy.set_rule(|_| Fault::Pass);
    let found = report(&account, &query(&[], &account));
    assert_eq!((found.keys.len(), found.unread.len()), (20, 0));
    assert_eq!(account.proxy.count(ACTIVITY) - before, 11 + repeated_requests(9));
}

#[test]
fn a_missing_right_hides_nothing_else() {
    let account = new_account();
    account.inject_fault(KEYS, Fault::Respond(403, String::new()));
    let found = report(&account, &query(&["agent"], &account));
    assert!(found.notes[0].message.contains("keys of the account could not be listed"));
    // Today is known from the list only.
    assert_eq!(found.keys[0].days.get(found.today), None);
    assert_eq!(found.keys[0].days.iter().count(), 29);

    for (path, name) in [
        ("GET /api/v1/credits", "credits"),
        (ACTIVITY, "activity"),
        (KEYS, "keys of the account"),
        ("GET /api/v1/workspaces", "workspaces"),
    ] {
        let account = new_account();
        account.inject_fault(path, Fault::Respond(403, "{}".into()));
        let summary = fetch_summary(&account.services, SummaryScope::Whole, Timestamp::now());
        let summary = block_on(summary).unwrap().unwrap();
        let known = [
            ("credits", summary.credits.is_some()),
            ("activity", summary.days.is_some()),
            ("keys of the account", true),
            ("workspaces", summary.workspaces.is_some()),
        ];
        for (part, is_known) in known {
            let is_refused = part == name && part != "keys of the account";
            assert_eq!(is_known, !is_refused, "{part} without {name}");
        }
        // Not every management key may read the credits.
        let is_said = summary.notes.iter().any(|note| note.message.contains(name));
        assert_eq!(is_said, name != "credits", "{summary:?}");
        assert_eq!(summary.keys.values().sum::<usize>(), 4, "{name}");
    }
}

#[test]
fn the_budgets_of_the_workspaces_are_read_and_a_refusal_hides_nothing_else() {
    let account = new_account();
    let budget = r#"{"id": "b", "limit_usd": 50, "reset_interval": "monthly"}"#;
    let read = |status, body: String| {
        account.inject_fault("GET /api/v1/workspaces/", Fault::Respond(status, body));
        let summary = fetch_summary(&account.services, SummaryScope::Whole, Timestamp::now());
        block_on(summary).unwrap().unwrap()
    };
    let summary = read(200, format!(r#"{{"data": [{budget}], "total_count": 1}}"#));
    let limits: Vec<_> = summary.budgets.values().map(|budgets| budgets[0].limit_usd).collect();
    assert_eq!((limits, summary.notes.len()), (vec![Some(50.0); 2], 0), "{summary:?}");
    let unread = "the budgets of 2 workspaces could not be read";
    for (status, body) in [
        (403, "{}".to_owned()),
        (404, "{}".to_owned()),
        (200, format!(r#"{{"data": [{budget}, 7], "total_count": 2}}"#)),
    ] {
        let summary = read(status, body);
        assert_eq!((summary.budgets.len(), summary.notes.len()), (0, 1), "{summary:?}");
        assert!(summary.notes[0].message.starts_with(unread), "{summary:?}");
        assert_eq!(summary.workspaces.map(|all| all.len()), Some(2));
    }
}

#[test]
fn a_key_that_the_account_no_longer_has_is_named() {
    let account = new_account();
    let client = account.services.build_management_client(&account.management).unwrap();
    let gone = account.stored_key("laptop").hash.clone();
    block_on(client.delete_key(&gone)).unwrap();
    let found = report(&account, &query(&["laptop", "ci"], &account));
    assert_eq!(found.source, UsageSource::Activity);
    let unread: Vec<_> = found.unread.iter().map(|(label, ..)| label.as_str()).collect();
    assert_eq!(unread, ["laptop"]);
    assert_eq!(found.keys[0].label.as_deref(), Some("ci"));
}

#[test]
fn days_are_those_of_the_server() {
    let account = new_account();
    let before = report(&account, &query(&["agent"], &account));
    keywright::sandbox::advance_clock_one_day(account.sandbox.url()).unwrap();
    let after = report(&account, &query(&["agent"], &account));
    assert_eq!(after.today, before.today.tomorrow().unwrap());
    assert_eq!(after.keys[0].days.get(before.today), Some(2.4));
    assert_eq!(after.keys[0].days.get(after.today), Some(0.0));
    // The usage of a day is not that of the day here, so no sample claims it.
    let keys = vec![account.stored_key("agent")];
    let hash = keys[0].hash.clone();
    let stop = watch::channel(false).1;
    block_on(keywright::services::keys::refresh_keys(
        &account.services,
        keys,
        Timestamp::now,
        |_, _, _| {},
        stop,
    ));
    let samples = usage_history::read_samples(&account.services.location).unwrap();
    assert_eq!(samples[&hash][0].usage_daily, None);
}

#[test]
fn a_cancelled_run_keeps_what_it_read() {
    let account = new_account();
    let (sender, cancel) = watch::channel(false);
    let stop = move |done: usize, _: usize| {
        if done == 2 {
            let _ = sender.send(true);
        }
    };
    let query_of_all = query(&[], &account);
    let run = report_usage(&account.services, &query_of_all, Timestamp::now(), &stop, cancel);
    assert_eq!(block_on(run).unwrap_err().kind, ErrorKind::Cancelled);
    let before = account.proxy.requests().len();
    assert_eq!(report(&account, &query(&[], &account)).keys.len(), 4);
    // A request of the cancelled run may arrive late; it is for a key that is requested here too.
    let requests = account.proxy.requests().split_off(before);
    let distinct: HashSet<String> =
        requests.into_iter().filter(|request| request.starts_with(ACTIVITY)).collect();
    assert!(distinct.len() <= 2 + repeated_requests(2), "{distinct:?}");
}

#[test]
fn rows_that_cannot_be_read_are_counted_and_requested_again() {
    let account = new_account();
    let yesterday = utc_date(Timestamp::now()).yesterday().unwrap();
    let rows = serde_json::json!({"data": [
        {"date": yesterday.to_string(), "model": "a/b", "usage": 1.5, "requests": 1},
        {"date": yesterday.to_string(), "model": "a/b", "usage": "much"},
        {"date": "yesterday", "model": "a/b", "usage": 2.0},
        7,
    ]});
    account.inject_fault(ACTIVITY, Fault::Respond(200, rows.to_string()));
    let found = report(&account, &query(&["ci"], &account));
    assert_eq!((found.unreadable_rows, found.keys[0].days.get(yesterday)), (3, Some(1.5)));
    assert!(found.notes[0].message.contains("3 rows of the activity could not be read"));
    let summary = fetch_summary(&account.services, SummaryScope::Whole, Timestamp::now());
    let summary = block_on(summary).unwrap().unwrap();
    assert!(summary.days.is_none() && summary.days_left.is_none(), "{summary:?}");
    assert!(summary.notes[0].message.contains("3 rows"), "{summary:?}");
    // An incomplete response is not cached.
    account.proxy.set_rule(|_| Fault::Pass);
    let found = report(&account, &query(&["ci"], &account));
    assert_eq!((found.unreadable_rows, found.notes.len()), (0, 0));
    assert!(account.proxy.count(ACTIVITY) >= 3);
}

#[test]
fn a_clock_an_hour_off_changes_no_day_and_no_expiry() {
    let now = Timestamp::now();
    let account = new_account();
    let stored = account.stored_key("agent");
    let expires_at = stored.requested.expires_at.unwrap();
    for hours in [-1, 1] {
        let here = now + jiff::SignedDuration::from_hours(hours);
        let cancel = watch::channel(false).1;
        let query = query(&["agent"], &account);
        let report = report_usage(&account.services, &query, here, &|_, _| {}, cancel);
        let report = block_on(report).unwrap();
        // The days are those of the server, whatever time it is here.
        assert_eq!(report.today, utc_date(Timestamp::now()));
        assert_eq!(report.keys[0].days.get(report.today), Some(2.4));
        assert_eq!(report.keys[0].days.iter().count(), 30);
        let keys = vec![stored.clone()];
        let stop = watch::channel(false).1;
        let clock = move || here;
        let refresh = keywright::services::keys::refresh_keys(
            &account.services,
            keys,
            clock,
            |_, _, _| {},
            stop,
        );
        block_on(refresh);
        let checked = account.stored_key("agent");
        assert_eq!(checked.expires_at().value(), Some(expires_at));
        assert!(checked.state(here).is_usable(), "{:?}", checked.state(here));
    }
}
