//! `usage` and `account` without a management key: from the samples on disk.

use jiff::{SignedDuration, Timestamp};
use keywright::domain::{StoreKind, UsageSample, utc_date};
use keywright::sandbox::{Options, Sandbox};
use keywright::storage::json_store::StoreLocation;
use keywright::storage::usage_history::record_usage;
use serde_json::{Value, json};

use super::home::{Home, decode_output, stored_key};

/// Stores a key that spent these amounts, one a day until today, and was checked once a day. The second
/// day from the end was not checked.
fn home_with_past(spent: &[f64], unchecked: Option<usize>) -> Home {
    let home = Home::new();
    let key = stored_key("https://openrouter.ai", "laptop", "sk-or-v1-x", StoreKind::Memory);
    home.add_to_inventory(std::slice::from_ref(&key));
    let location = StoreLocation::Directory(home.data());
    let (now, mut usage) = (Timestamp::now(), 7.5);
    for (index, usd) in spent.iter().enumerate() {
        usage += usd;
        let ago = i64::try_from(spent.len() - 1 - index).unwrap();
        let at = now - SignedDuration::from_hours(24 * ago);
        let sample = UsageSample { usage_daily: Some(*usd), ..UsageSample::new(at, usage) };
        if unchecked != Some(index) {
            record_usage(&location, &[(&key.hash, sample)]).unwrap();
        }
    }
    home
}

fn usage_by_day(home: &Home) -> Vec<(String, f64)> {
    let (code, out, err) =
        home.run(&["--store", "memory", "usage", "laptop", "--days", "9", "--json"]);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("management set"), "{err}");
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["source"], "samples");
    assert_eq!(document["to"], utc_date(Timestamp::now()).to_string());
    let rows = document["rows"].as_array().unwrap().iter();
    rows.map(|row| {
        assert_eq!((&row["label"], &row["model"]), (&json!("laptop"), &Value::Null));
        (row["date"].as_str().unwrap().to_owned(), row["usage"].as_f64().unwrap())
    })
    .collect()
}

#[test]
fn idle_days_and_bursts_come_out_exactly() {
    let spent = [100.0, 20.0, 0.0, 60.0, 0.0, 0.0, 40.0, 80.0, 0.0];
    let found = usage_by_day(&home_with_past(&spent, None));
    assert_eq!(found.iter().map(|(_, usd)| *usd).collect::<Vec<_>>(), spent);
    // A day without a check is not known, and neither is what it took from the day before.
    let found = usage_by_day(&home_with_past(&spent, Some(3)));
    let known: Vec<_> = found.iter().map(|(_, usd)| *usd).collect();
    assert_eq!(known, [100.0, 20.0, 0.0, 0.0, 40.0, 80.0, 0.0]);
    let table = home_with_past(&spent, Some(3)).run(&["usage", "--store", "memory", "--days", "9"]);
    assert!(table.1.contains("  ·\n"), "{}", table.1);
}

#[test]
fn account_without_a_management_key_shows_the_stored_keys_and_what_is_missing() {
    let home = home_with_past(&[1.0], None);
    let (code, out, err) = home.run(&["--store", "memory", "account", "--json"]);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("the account needs a management key"), "{err}");
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&document["total_credits"], &document["workspaces"]), (&Value::Null, &Value::Null));
    assert_eq!(document["keys"], json!({"unknown": 1}));
    let (code, _, err) = home.run(&["--store", "memory", "usage", "latpop"]);
    assert_eq!(code, 3);
    assert!(err.contains("did you mean 'laptop'"), "{err}");
}

#[test]
fn a_key_that_is_not_stored_here_is_found_by_its_name_and_a_used_label_before_the_method() {
    let sandbox = Sandbox::start(&Options { port: 0, key_count: 4 }).unwrap();
    let home = Home::new();
    let run = |arguments: &[&str], management: Option<&str>| {
        let options = ["--server", sandbox.url(), "--store", "memory"];
        let mut command = home.command(&[&options[..], arguments].concat());
        if let Some(key) = management {
            command.env("OPENROUTER_MANAGEMENT_KEY", key);
        }
        decode_output(&command.output().unwrap())
    };
    let management = Some(sandbox.management_key());
    let (code, out, err) = run(&["usage", "ci", "agent", "--by", "key", "--json"], management);
    assert_eq!(code, 0, "{err}");
    let document: Value = serde_json::from_str(&out).unwrap();
    let rows = document["rows"].as_array().unwrap().iter();
    let mut labels: Vec<&str> = rows.map(|row| row["label"].as_str().unwrap()).collect();
    labels.sort_unstable();
    assert_eq!(labels, ["agent", "ci"]);
    assert_eq!(run(&["usage", "ci", "unknown"], management).0, 3);
    assert_eq!(run(&["usage", "ci"], None).0, 3);
    home.add_to_inventory(&[stored_key(sandbox.url(), "desk", "sk-or-v1-x", StoreKind::Memory)]);
    let (code, _, err) = run(&["new", "desk", "--limit", "5"], management);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("already stored") && !err.contains("authorising"), "{err}");
}
