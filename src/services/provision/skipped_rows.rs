//! Rows of the account's lists that could not be read. They are skipped, and their number is
//! reported.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::UserError;

/// A list: what it contains, and its workspace if each workspace has a list of its own.
type ListId = (&'static str, Option<String>);

/// The number of rows of each list that were skipped and not reported yet.
#[derive(Clone, Debug, Default)]
pub struct SkippedRows(Arc<Mutex<BTreeMap<ListId, (usize, usize)>>>);

impl SkippedRows {
    /// Records that `skipped` of the `total` rows could not be read. A list that is read again replaces its
    /// earlier figures.
    pub(crate) fn record(
        &self,
        noun: &'static str,
        workspace: Option<&str>,
        skipped: usize,
        total: usize,
    ) {
        let mut lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lists.insert((noun, workspace.map(str::to_owned)), (skipped, total));
    }

    /// Returns a warning for each kind of list, and clears the numbers.
    pub fn take_errors(&self) -> Vec<UserError> {
        let lists = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut sums: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for ((noun, _), (skipped, total)) in lists {
            let sum = sums.entry(noun).or_default();
            *sum = (sum.0 + skipped, sum.1 + total);
        }
        sums.into_iter()
            .filter(|(_, (skipped, _))| *skipped > 0)
            .map(|(noun, (skipped, total))| {
                UserError::failed(format!("{skipped} of {total} {noun} in the account's list could not be read"),
                    "run the command again later; if that does not help, a newer Keywright may read them",
                )
                .with_meaning("they are missing here, and nothing was done to them")
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_all_workspaces_are_added_and_reported_once() {
        let rows = SkippedRows::default();
        rows.record("keys", None, 9, 9);
        rows.record("keys", None, 1, 30);
        rows.record("keys", Some("w"), 1, 10);
        rows.record("workspaces", None, 0, 2);
        let messages: Vec<String> =
            rows.take_errors().into_iter().map(|error| error.message).collect();
        assert_eq!(messages, ["2 of 40 keys in the account's list could not be read"]);
        assert_eq!(rows.take_errors(), []);
    }
}
