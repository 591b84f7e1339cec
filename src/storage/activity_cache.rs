//! `activity.json`: the activity of completed UTC days, which change for some hours at most, so that
//! they are rarely requested.
//!
//! It is a cache: a damaged file is replaced, and a damaged entry is dropped. Each entry is one text
//! with its checksum, the days that it covers, when they were read, and a row for each model of a day.

use std::collections::{BTreeMap, HashMap};

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::{ModelUse, encode_hex, from_nanodollars, to_nanodollars};
use crate::storage::json_store::{Error, SchemaVersion, StoreLocation};

const FILE_NAME: &str = "activity.json";

/// Older days are deleted.
const RETENTION_DAYS: i64 = 366;

/// Digits of the checksum of an entry.
const CHECKSUM_DIGITS: usize = 16;

/// The entries by server and id.
#[derive(Clone, Default, Serialize, Deserialize)]
struct ActivityCache {
    #[serde(default)]
    version: SchemaVersion,
    #[serde(default)]
    servers: BTreeMap<String, BTreeMap<String, String>>,
}

/// The activity of one key, or of the whole account.
#[derive(Clone, Debug, PartialEq)]
pub struct CachedActivity {
    /// The first day that is known.
    pub from: Date,
    /// The last day that is known.
    pub to: Date,
    /// When the server reported it, by the server's clock.
    pub read_at: Timestamp,
    /// The rows of these days, by date. A day without a row had no activity.
    pub uses: Vec<ModelUse>,
}

/// Returns the entries of a server with these ids, or all of them. An entry that cannot be read is
/// missing. Blocks.
pub fn read_activity(
    location: &StoreLocation,
    server: &str,
    ids: Option<&[String]>,
) -> HashMap<String, CachedActivity> {
    let read = location.read_with(FILE_NAME, |cache: std::borrow::Cow<'_, ActivityCache>| {
        let Some(entries) = cache.servers.get(server) else { return HashMap::new() };
        let decode = |(id, text): (&String, &String)| Some((id.clone(), decode_entry(id, text)?));
        match ids {
            Some(ids) => {
                ids.iter().filter_map(|id| entries.get_key_value(id)).filter_map(decode).collect()
            }
            None => entries.iter().filter_map(decode).collect(),
        }
    });
    read.unwrap_or_else(|error| {
        tracing::warn!(%error, "the cached activity could not be read");
        HashMap::new()
    })
}

/// Writes entries of a server by their ids. Blocks.
///
/// # Errors
/// Returns an error if the file cannot be written, or if a newer version wrote it.
pub fn write_activity(
    location: &StoreLocation,
    server: &str,
    entries: &[(String, CachedActivity)],
) -> Result<(), Error> {
    if entries.is_empty() {
        return Ok(());
    }
    let insert = |cache: &mut ActivityCache| {
        let stored = cache.servers.entry(server.to_owned()).or_default();
        for (id, entry) in entries {
            stored.insert(id.clone(), encode_entry(id, entry));
        }
    };
    match location.update(FILE_NAME, insert) {
        Err(Error::InvalidJson { .. } | Error::Empty(_)) => {
            let mut cache = ActivityCache::default();
            insert(&mut cache);
            location.replace(FILE_NAME, cache)
        }
        result => result,
    }
}

fn encode_entry(id: &str, entry: &CachedActivity) -> String {
    use std::fmt::Write as _;
    let first = entry.to.saturating_sub(RETENTION_DAYS.days()).max(entry.from);
    let mut body = format!("{first} {} {}\n", entry.to, entry.read_at.as_second());
    for model_use in
        entry.uses.iter().filter(|model_use| (first..=entry.to).contains(&model_use.date))
    {
        let ModelUse { date, model, requests, usage } = model_use;
        let amount = to_nanodollars(*usage).unwrap_or(0);
        // Texts of the server have no control characters here.
        let model = model.replace(['\t', '\n'], " ");
        // Writing to a string does not fail.
        let _ = writeln!(body, "{date}\t{requests}\t{amount}\t{model}");
    }
    format!("{} {body}", checksum(id, &body))
}

fn decode_entry(id: &str, text: &str) -> Option<CachedActivity> {
    let (sum, body) = text.split_once(' ')?;
    if sum != checksum(id, body) {
        return None;
    }
    let (days, rows) = body.split_once('\n')?;
    let mut days = days.split(' ');
    let (from, to) = (days.next()?, days.next()?);
    // Older versions wrote only days that do not change any more.
    let read_at = match days.next() {
        Some(second) => Timestamp::from_second(second.parse().ok()?).ok()?,
        None => Timestamp::MAX,
    };
    let parse_row = |row: &str| {
        let mut fields = row.splitn(4, '\t');
        Some(ModelUse {
            date: fields.next()?.parse().ok()?,
            requests: fields.next()?.parse().ok()?,
            usage: from_nanodollars(fields.next()?.parse().ok()?),
            model: fields.next()?.to_owned(),
        })
    };
    let uses: Option<Vec<ModelUse>> = rows.lines().map(parse_row).collect();
    Some(CachedActivity { from: from.parse().ok()?, to: to.parse().ok()?, read_at, uses: uses? })
}

/// Returns a checksum that detects accidental damage. It does not detect tampering.
fn checksum(id: &str, body: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(id);
    hash.update(body);
    let mut digits = encode_hex(&hash.finalize());
    digits.truncate(CHECKSUM_DIGITS);
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn activity() -> CachedActivity {
        let date = |day| jiff::civil::date(2026, 11, day);
        let row = |day, model: &str, usage| ModelUse {
            date: date(day),
            model: model.into(),
            requests: 12,
            usage,
        };
        CachedActivity {
            from: date(1),
            to: date(20),
            read_at: "2026-11-21T07:00:00Z".parse().unwrap(),
            uses: vec![row(3, "a/b", 0.000_000_001), row(3, "c d", 12.5), row(9, "a/b", 1.0)],
        }
    }

    fn read(location: &StoreLocation) -> HashMap<String, CachedActivity> {
        read_activity(location, "s", None)
    }

    #[test]
    fn entries_are_read_as_they_were_written_for_their_server_and_id() {
        for location in [
            StoreLocation::in_memory(),
            StoreLocation::Directory(tempfile::tempdir().unwrap().keep()),
        ] {
            let entries = [("k".to_owned(), activity()), ("l".to_owned(), activity())];
            write_activity(&location, "s", &entries).unwrap();
            assert_eq!(read(&location)["k"], activity());
            let one = read_activity(&location, "s", Some(&["l".to_owned(), "x".to_owned()]));
            assert_eq!(one.into_keys().collect::<Vec<_>>(), ["l"]);
            assert!(read_activity(&location, "other", None).is_empty());
            if let StoreLocation::Directory(dir) = location {
                std::fs::remove_dir_all(dir).unwrap();
            }
        }
    }

    #[test]
    fn an_entry_of_an_older_version_is_final() {
        let body = "2026-11-01 2026-11-20\n2026-11-09\t12\t1000000000\ta/b\n";
        let found = decode_entry("k", &format!("{} {body}", checksum("k", body))).unwrap();
        assert_eq!((found.to, found.read_at), (activity().to, Timestamp::MAX));
        assert_eq!(found.uses, activity().uses[2..]);
    }

    #[test]
    fn old_days_are_dropped() {
        let location = StoreLocation::in_memory();
        let to = jiff::civil::date(2027, 11, 10);
        write_activity(&location, "s", &[("k".into(), CachedActivity { to, ..activity() })])
            .unwrap();
        let found = &read(&location)["k"];
        assert_eq!((found.from, found.uses.len()), (jiff::civil::date(2026, 11, 9), 1));
    }

    #[test]
    fn damage_loses_the_damaged_entries_only() {
        let dir = tempfile::tempdir().unwrap();
        let location = StoreLocation::Directory(dir.path().to_owned());
        let path = dir.path().join(FILE_NAME);
        write_activity(&location, "s", &[("k".into(), activity()), ("l".into(), activity())])
            .unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        // A digit of an amount.
        std::fs::write(&path, text.replacen("12500000000", "12500000001", 1)).unwrap();
        assert_eq!(read(&location).into_keys().collect::<Vec<_>>(), ["l"]);
        for damaged in [&text[..text.len() / 2], "", "[]", "\u{0}\u{0}"] {
            std::fs::write(&path, damaged).unwrap();
            assert!(read(&location).is_empty(), "{damaged:?}");
            write_activity(&location, "s", &[("k".into(), activity())]).unwrap();
            assert_eq!(read(&location)["k"], activity(), "{damaged:?}");
        }
        let newer = r#"{"version": 99, "servers": 7}"#;
        std::fs::write(&path, newer).unwrap();
        assert!(read(&location).is_empty());
        write_activity(&location, "s", &[("k".into(), activity())]).unwrap_err();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), newer);
    }
}
