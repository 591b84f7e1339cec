//! The inventory in memory and in a file.

use jiff::SignedDuration;

use super::*;

fn key(label: &str) -> StoredKey {
    StoredKey::sample(label, Timestamp::UNIX_EPOCH)
}

fn labels(location: &StoreLocation) -> Vec<String> {
    let keys = list_keys(location, "s").unwrap();
    keys.into_iter().map(|key| key.label.to_string()).collect()
}

#[test]
fn a_change_of_another_process_is_read_and_a_damaged_file_reported() {
    let dir = tempfile::tempdir().unwrap();
    let location = StoreLocation::Directory(dir.path().join("data"));
    upsert_keys(&location, vec![key("one")]).unwrap();
    assert_eq!(labels(&location), ["one"]);
    assert_eq!(labels(&location), ["one"]);
    // Another process replaces the file.
    let file = dir.path().join("data").join(FILE_NAME);
    let other = std::fs::read_to_string(&file).unwrap().replace("\"one\"", "\"two\"");
    std::fs::write(dir.path().join("new"), other).unwrap();
    std::fs::rename(dir.path().join("new"), &file).unwrap();
    assert_eq!(labels(&location), ["two"]);
    upsert_keys(&location, vec![key("three")]).unwrap();
    assert_eq!(labels(&location), ["two", "three"]);
    std::fs::write(&file, "{").unwrap();
    assert!(matches!(list_keys(&location, "s"), Err(Error::InvalidJson { .. })));
    let changed = update_keys(&location, Vec::clear);
    assert!(matches!(changed, Err(Error::InvalidJson { .. })));
    std::fs::remove_file(&file).unwrap();
    assert_eq!(labels(&location), Vec::<String>::new());
}

#[test]
fn the_states_of_the_keys_of_one_server_are_visited_in_order() {
    let dir = tempfile::tempdir().unwrap();
    for location in [StoreLocation::Directory(dir.path().join("data")), StoreLocation::in_memory()]
    {
        let visit = |server: &str| {
            let mut found = Vec::new();
            for_each_state(&location, server, |key| found.push((key.leaked, key.disabled)))
                .map(|()| found)
        };
        assert_eq!(visit("s").unwrap(), []);
        let elsewhere = key("one").with(|key| key.server = "t".into());
        let leaked = key("two").with(|key| {
            key.leaked = true;
            key.disabled = Some(false);
        });
        upsert_keys(&location, vec![key("one"), elsewhere, leaked]).unwrap();
        assert_eq!(visit("s").unwrap(), [(false, None), (true, Some(false))]);
        assert_eq!(visit("t").unwrap(), [(false, None)]);
        let StoreLocation::Directory(dir) = &location else { continue };
        for text in ["{\"keys\": [{}]}", "{", "{\"version\": 2}", "{\"keys\": []} 1"] {
            std::fs::write(dir.join(FILE_NAME), text).unwrap();
            assert!(visit("s").is_err(), "{text}");
            assert!(list_keys(&location, "s").is_err(), "{text}");
        }
    }
}

#[test]
fn a_written_file_is_read_in_pieces_and_a_damaged_one_reported() {
    let dir = tempfile::tempdir().unwrap();
    let location = StoreLocation::Directory(dir.path().to_owned());
    let unknown = [("later".to_owned(), true.into())].into_iter().collect();
    let keys = vec![key("one"), key("two")];
    let trash = vec![TrashedKey { removed_at: Timestamp::UNIX_EPOCH, key: key("old") }];
    let written = Inventory { keys: keys.clone(), trash, unknown, ..Inventory::default() };
    location.replace(FILE_NAME, written).unwrap();
    let read = read_in_pieces(dir.path()).unwrap();
    assert_eq!((read.keys, read.trash.len(), read.unknown.len()), (keys, 1, 1));
    let file = dir.path().join(FILE_NAME);
    let text = std::fs::read_to_string(&file).unwrap();
    for damaged in ["]", "],\"keys\":[]", "],\"trash\":1", "]}"] {
        std::fs::write(&file, text.replacen(']', damaged, 1)).unwrap();
        let result = list_keys(&location, "s");
        assert_eq!(result.is_ok(), damaged == "]", "{damaged}: {result:?}");
    }
}

#[test]
fn a_file_that_did_not_change_is_not_parsed_again() {
    let dir = tempfile::tempdir().unwrap();
    let location = StoreLocation::Directory(dir.path().join("data"));
    upsert_keys(&location, vec![key("one")]).unwrap();
    let address = || read_with(&location, |inventory| inventory.keys.as_ptr()).unwrap();
    let first = address();
    assert_eq!(address(), first);
    let results = [(key("one").hash.clone(), (Timestamp::now(), CheckResult::Rejected))].into();
    record_checks(&location, "s", &results).unwrap();
    // The written keys are those that were read before.
    assert_eq!(address(), first);
    let later = Timestamp::now() + SignedDuration::from_secs(1);
    assert!(list_keys(&location, "s").unwrap()[0].rejected_at.is_some_and(|at| at < later));
}
