//! Finds the keys that need attention, and remembers what was reported, so that each change is
//! reported once.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::{Attention, Condition, StoredKey, UserError, WatchThresholds, find_attention};
use crate::services::provision::ServiceContext;
use crate::storage::json_store::{Error, SchemaVersion};
use crate::storage::usage_history;

const FILE_NAME: &str = "watch.json";

/// The conditions that were reported, by server and hash.
#[derive(Clone, Default, Serialize, Deserialize)]
struct ReportedConditions {
    #[serde(default)]
    version: SchemaVersion,
    #[serde(default)]
    servers: BTreeMap<String, BTreeMap<String, Vec<Condition>>>,
    /// Fields written by a newer version, preserved on update.
    #[serde(flatten)]
    unknown: serde_json::Map<String, serde_json::Value>,
}

/// A key that crossed a threshold since the last call of [`find_changes`].
#[derive(Debug)]
pub struct Change {
    /// The key.
    pub key: StoredKey,
    /// Why it needs attention; `None` when it no longer does.
    pub attention: Option<Attention>,
    /// What was reported of the key before.
    known: Vec<Condition>,
}

/// The result of [`find_changes`].
#[derive(Debug, Default)]
pub struct WatchReport {
    /// What was not reported before, by label.
    pub changes: Vec<Change>,
    /// The labels of all keys that need attention, whether or not it was reported before.
    pub needing_attention: Vec<String>,
}

/// Compares the stored figures with `thresholds` and records what it returns as reported.
///
/// # Errors
/// Returns an error if the inventory or the record cannot be read or written; nothing counts as
/// reported then.
pub fn find_changes(
    services: &ServiceContext,
    thresholds: &WatchThresholds,
    now: Timestamp,
) -> Result<WatchReport, UserError> {
    let failed = |error: Error| error.to_user_error();
    let keys = services.list_keys().map_err(failed)?;
    // Without samples only idle keys are not found.
    let samples = usage_history::read_samples(&services.location).unwrap_or_default();
    let attention: Vec<(StoredKey, Vec<Attention>)> = keys
        .into_iter()
        .map(|key| {
            let samples = samples.get(&key.hash).map_or(&[][..], Vec::as_slice);
            let attention = find_attention(&key, samples, thresholds, now);
            (key, attention)
        })
        .collect();
    services
        .location
        .update(FILE_NAME, |reported: &mut ReportedConditions| {
            let reported = reported.servers.entry(services.server.clone()).or_default();
            compare(attention, reported)
        })
        .map_err(failed)
}

/// Records that a change was not reported after all, so that the next call of [`find_changes`] returns
/// it again.
///
/// # Errors
/// Returns an error if the record cannot be written.
pub fn mark_unreported(services: &ServiceContext, change: &Change) -> Result<(), UserError> {
    services
        .location
        .update(FILE_NAME, |reported: &mut ReportedConditions| {
            unrecord_change(change, reported.servers.entry(services.server.clone()).or_default());
        })
        .map_err(UserError::from)
}

fn unrecord_change(change: &Change, reported: &mut BTreeMap<String, Vec<Condition>>) {
    let Some(attention) = &change.attention else {
        reported.insert(change.key.hash.clone(), change.known.clone());
        return;
    };
    if let Some(conditions) = reported.get_mut(&change.key.hash) {
        conditions.retain(|condition| *condition != attention.condition);
    }
}

fn compare(
    attention: Vec<(StoredKey, Vec<Attention>)>,
    reported: &mut BTreeMap<String, Vec<Condition>>,
) -> WatchReport {
    let mut report = WatchReport::default();
    let mut before: HashMap<String, Vec<Condition>> =
        std::mem::take(reported).into_iter().collect();
    for (key, attention) in attention {
        let known = before.remove(&key.hash).unwrap_or_default();
        if attention.is_empty() {
            if !known.is_empty() {
                report.changes.push(Change { key, attention: None, known });
            }
            continue;
        }
        report.needing_attention.push(key.label.to_string());
        reported
            .insert(key.hash.clone(), attention.iter().map(|reason| reason.condition).collect());
        for reason in attention.into_iter().filter(|reason| !known.contains(&reason.condition)) {
            let (key, known) = (key.clone(), known.clone());
            report.changes.push(Change { key, attention: Some(reason), known });
        }
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(hash: &str) -> StoredKey {
        StoredKey::sample(hash, Timestamp::UNIX_EPOCH).with(|key| key.hash = hash.into())
    }

    /// Returns label and condition of each change; `ok` where attention is no longer needed.
    fn changes(
        reported: &mut BTreeMap<String, Vec<Condition>>,
        keys: &[(&str, &[Condition])],
    ) -> Vec<String> {
        let attention = keys
            .iter()
            .map(|(hash, conditions)| {
                let attention = |condition: &Condition| Attention {
                    condition: *condition,
                    detail: String::new(),
                };
                (key(hash), conditions.iter().map(attention).collect())
            })
            .collect();
        let event = |change: &Change| {
            change.attention.as_ref().map_or("ok", |attention| attention.condition.as_str())
        };
        compare(attention, reported)
            .changes
            .iter()
            .map(|change| format!("{} {}", change.key.label, event(change)))
            .collect()
    }

    #[test]
    fn a_change_that_was_not_delivered_is_reported_again() {
        let attention = |condition| Attention { condition, detail: String::new() };
        let mut reported = BTreeMap::new();
        let low = || vec![(key("a"), vec![attention(Condition::Low)])];
        for _ in 0..2 {
            let report = compare(low(), &mut reported);
            assert_eq!(report.changes.len(), 1);
            unrecord_change(&report.changes[0], &mut reported);
        }
        compare(low(), &mut reported);
        for _ in 0..2 {
            let report = compare(vec![(key("a"), Vec::new())], &mut reported);
            assert!(report.changes[0].attention.is_none());
            unrecord_change(&report.changes[0], &mut reported);
        }
    }

    #[test]
    fn each_change_is_reported_once() {
        let mut reported = BTreeMap::new();
        let (low, expiring) = (Condition::Low, Condition::Expiring);
        assert_eq!(changes(&mut reported, &[("a", &[low]), ("b", &[])]), ["a low"]);
        assert!(changes(&mut reported, &[("a", &[low]), ("b", &[])]).is_empty());
        assert_eq!(changes(&mut reported, &[("a", &[low, expiring]), ("b", &[])]), ["a expiring"]);
        assert_eq!(changes(&mut reported, &[("a", &[]), ("b", &[low])]), ["a ok", "b low"]);
        // A removed key is not reported again, and its record is gone.
        assert!(changes(&mut reported, &[("a", &[])]).is_empty());
        assert!(reported.is_empty());
    }
}
