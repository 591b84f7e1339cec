//! Rows, tables, JSON and CSV of known, unknown and idle days.

use jiff::civil::Date;
use serde_json::{Value, json};

use super::*;
use crate::domain::{DailySpending, ModelUse};
use crate::services::usage::KeyUsage;

fn day(number: i8) -> Date {
    jiff::civil::date(2026, 11, number)
}

fn key(label: &str, days: &[(i8, f64)], uses: &[(i8, &str, f64)]) -> KeyUsage {
    let to_use = |(date, model, usage): &(i8, &str, f64)| ModelUse {
        date: day(*date),
        model: (*model).into(),
        requests: 4,
        usage: *usage,
    };
    KeyUsage {
        label: Some(label.into()),
        hash: Some(format!("hash of {label}")),
        masked: Some(format!("sk-or-v1-{}", days.len())),
        created: None,
        days: days.iter().map(|(date, usd)| (day(*date), *usd)).collect::<DailySpending>(),
        uses: uses.iter().map(to_use).collect(),
    }
}

fn report(source: UsageSource, keys: Vec<KeyUsage>) -> UsageReport {
    UsageReport {
        from: day(1),
        today: day(5),
        source,
        keys,
        unread: Vec::new(),
        unreadable_rows: 0,
        notes: Vec::new(),
    }
}

fn to_value(report: &UsageReport, rows: &[UsageRow<'_>]) -> Value {
    serde_json::to_value(to_document(report, rows)).unwrap()
}

fn two_keys() -> UsageReport {
    let first = key(
        "ci, \"nightly\"",
        &[(1, 0.0), (2, 0.3), (3, 0.0), (4, 10.0), (5, 0.000_000_001)],
        &[(2, "a/x", 0.1), (2, "a/y", 0.2), (4, "a/x", 10.0)],
    );
    let other = key("laptop", &[(2, 0.0), (3, 0.0), (4, 2.5), (5, 1.0)], &[(4, "a/y", 2.5)]);
    report(UsageSource::Activity, vec![first, other])
}

#[test]
fn json_has_a_row_for_each_known_day_key_and_model() {
    let report = two_keys();
    let document = to_value(&report, &group_rows(&report, None));
    let row = |date: &str, label: &str, model: Option<&str>, requests: Option<u64>, usage: f64| {
        json!({
            "date": date, "label": label, "hash": format!("hash of {label}"),
            "model": model, "requests": requests, "usage": usage,
        })
    };
    let (ci, laptop) = ("ci, \"nightly\"", "laptop");
    let expected = json!([
        row("2026-11-01", ci, None, Some(0), 0.0),
        row("2026-11-02", ci, Some("a/x"), Some(4), 0.1),
        row("2026-11-02", ci, Some("a/y"), Some(4), 0.2),
        row("2026-11-02", laptop, None, Some(0), 0.0),
        row("2026-11-03", ci, None, Some(0), 0.0),
        row("2026-11-03", laptop, None, Some(0), 0.0),
        row("2026-11-04", ci, Some("a/x"), Some(4), 10.0),
        row("2026-11-04", laptop, Some("a/y"), Some(4), 2.5),
        row("2026-11-05", ci, None, None, 0.000_000_001),
        row("2026-11-05", laptop, None, None, 1.0),
    ]);
    assert_eq!(document["rows"], expected);
    assert_eq!(document["from"], "2026-11-01");
    assert_eq!(document["to"], "2026-11-05");
    assert_eq!(document["source"], "activity");
}

#[test]
fn a_day_that_is_not_known_of_every_key_is_left_out_of_the_sum() {
    let report = two_keys();
    let rows = group_rows(&report, Some(Grouping::Day));
    let found: Vec<_> = rows.iter().map(|row| (row.usage.is_some(), row.known_usage())).collect();
    let expected = [(false, 0.0), (true, 0.3), (true, 0.0), (true, 12.5), (true, 1.000_000_001)];
    assert_eq!(found, expected);
    assert_eq!(to_value(&report, &rows)["rows"].as_array().unwrap().len(), 4);
}

#[test]
fn models_and_keys_are_ordered_by_spending_and_add_up() {
    let report = two_keys();
    let models = group_rows(&report, Some(Grouping::Model));
    let found: Vec<_> =
        models.iter().map(|row| (row.model.as_deref(), row.known_usage())).collect();
    // What was spent today is not known by model.
    assert_eq!(found, [(Some("a/x"), 10.1), (Some("a/y"), 2.7), (None, 1.000_000_001)]);
    let keys = group_rows(&report, Some(Grouping::Key));
    let found: Vec<_> = keys.iter().map(UsageRow::known_usage).collect();
    assert_eq!(found, [10.300_000_001, 3.5]);
    // A day of the second one is not known.
    let document = to_value(&report, &keys);
    assert_eq!(document["rows"][0]["usage"], 10.300_000_001);
    assert_eq!(document["rows"][0].get("at_least"), None);
    let second = &document["rows"][1];
    assert_eq!((&second["usage"], &second["at_least"]), (&Value::Null, &json!(3.5)));
    let table = text::format_report(&report, &keys, Grouping::Key);
    assert!(table.contains("at least $3.50"), "{table}");
    assert!(table.contains("$13.80 in all that is known; 1 key is not known"), "{table}");
}

#[test]
fn csv_quotes_commas_and_quotation_marks() {
    let report = two_keys();
    let text = format_csv(&group_rows(&report, Some(Grouping::Key)));
    assert_eq!(
        text,
        "date,label,hash,model,requests,usage\n\
         ,\"ci, \"\"nightly\"\"\",\"hash of ci, \"\"nightly\"\"\",,12,10.300000001\n\
         ,laptop,hash of laptop,,4,\n"
    );
    assert_eq!(quote_csv("a\nb"), "\"a\nb\"");
    assert_eq!(quote_csv("=cmd|x!A1"), "'=cmd|x!A1");
    assert_eq!(quote_csv("@a,b"), "\"'@a,b\"");
}

#[test]
fn table_tells_idle_from_unknown_days() {
    let days = [(1, 100.0), (2, 20.0), (3, 0.0), (5, 0.004)];
    let report = report(UsageSource::Samples, vec![key("laptop", &days, &[])]);
    let rows = group_rows(&report, Some(Grouping::Day));
    assert_eq!(
        text::format_report(&report, &rows, Grouping::Day),
        "'laptop' by day, 2026-11-01 to 2026-11-05 UTC, from Keywright's own checks\n\
         \n\
         2026-11-01  $100.00  ████████████████████████████████████████\n\
         2026-11-02   $20.00  ████████\n\
         2026-11-03    $0.00\n\
         2026-11-04        ·\n\
         2026-11-05   <$0.01  ▏\n\
         \n\
         $120.00 in all that is known; 1 day is not known; the last day is not over\n"
    );
}

#[test]
fn keys_that_could_not_be_read_are_an_error_and_in_the_document() {
    let mut report = two_keys();
    assert!(check_unread(&report).is_ok());
    let error = UserError::new(ErrorKind::Unreachable, "rate limited", "wait a minute");
    report.unread = vec![("a".into(), "h".into(), error.clone()), ("b".into(), "i".into(), error)];
    let error = check_unread(&report).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(
        error.message.contains("2 of 4 keys could not be read; 'a': rate limited"),
        "{error:?}"
    );
    let document = to_value(&report, &[]);
    assert_eq!(document["unread"][1], json!({"label": "b", "hash": "i", "error": "rate limited"}));
}

#[test]
fn equal_labels_are_told_apart_and_a_key_has_no_zeros_before_it_existed() {
    let mut late = key("ci", &[(1, 0.0), (2, 0.0), (3, 0.0), (4, 1.0)], &[]);
    late.created = Some(day(3));
    let both = report(UsageSource::Activity, vec![key("ci", &[(4, 2.0)], &[]), late.clone()]);
    let rows = group_rows(&both, Some(Grouping::Key));
    let table = text::format_report(&both, &rows, Grouping::Key);
    assert!(table.contains("ci sk-or-v1-1  at least $2.00"), "{table}");
    assert!(table.contains("ci sk-or-v1-4  at least $1.00"), "{table}");
    let one = report(UsageSource::Activity, vec![late]);
    let dates: Vec<_> = group_rows(&one, None).iter().filter_map(|row| row.date).collect();
    assert_eq!(dates, [day(3), day(4)]);
}

#[test]
fn without_keys_no_empty_days_are_printed() {
    let none = report(UsageSource::Samples, Vec::new());
    let table = text::format_report(&none, &group_rows(&none, Some(Grouping::Day)), Grouping::Day);
    assert_eq!(table, "no keys, so nothing was spent with them; create one: keywright new\n");
}

#[test]
fn nothing_known_is_never_a_total_of_zero() {
    for by in [Grouping::Day, Grouping::Model, Grouping::Key] {
        let format =
            |report: &UsageReport| text::format_report(report, &group_rows(report, Some(by)), by);
        let mut nothing = report(UsageSource::Samples, vec![key("laptop", &[], &[])]);
        let text = format(&nothing);
        assert!(text.contains("what was spent is not known; "), "{text}");
        assert!(text.contains("keywright management set"), "{text}");
        assert!(!text.contains("$0.00"), "{text}");
        // No key could be read.
        nothing.source = UsageSource::Activity;
        nothing.unread = vec![("laptop".into(), "h".into(), UserError::failed("refused", "ask"))];
        nothing.keys.clear();
        let text = format(&nothing);
        assert!(text.contains("what was spent is not known") && !text.contains("$0.00"), "{text}");
    }
    // Days that are not known are counted for models too, and rows that could not be read.
    let mut some = two_keys();
    some.unreadable_rows = 2;
    let text =
        text::format_report(&some, &group_rows(&some, Some(Grouping::Model)), Grouping::Model);
    assert!(text.contains("at least $13.80 in all that is known; 1 day is not known"), "{text}");
    assert_eq!(to_value(&some, &[])["unreadable_rows"], 2);
}

#[test]
fn a_correction_below_zero_is_in_every_document() {
    let mut corrected = key("ci", &[(1, 3.0), (2, -1.0)], &[(1, "a/x", 3.0)]);
    corrected.created = Some(day(4));
    let report = report(UsageSource::Activity, vec![corrected]);
    let details = to_value(&report, &group_rows(&report, None));
    assert_eq!(
        (&details["rows"][1]["date"], &details["rows"][1]["usage"]),
        (&json!("2026-11-02"), &json!(-1.0))
    );
    assert_eq!(details["rows"][1]["requests"], Value::Null);
    let models = to_value(&report, &group_rows(&report, Some(Grouping::Model)));
    assert_eq!(models["rows"][1]["usage"], -1.0, "{models}");
}
