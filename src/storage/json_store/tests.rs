//! Concurrent writers, other versions, links and modes.

use std::fs;

use super::document::leading_version;
use super::*;

#[derive(Clone, Default, Serialize, Deserialize)]
struct Count {
    #[serde(default)]
    version: SchemaVersion,
    #[serde(default)]
    n: u64,
    #[serde(flatten)]
    unknown: serde_json::Map<String, serde_json::Value>,
}

#[test]
fn concurrent_updates_are_all_applied() {
    let dir = tempfile::tempdir().unwrap();
    let location = StoreLocation::Directory(dir.path().join("deep/data"));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..25 {
                    location.update("c.json", |count: &mut Count| count.n += 1).unwrap();
                }
            });
        }
    });
    assert_eq!(location.read::<Count>("c.json").unwrap().n, 100);
}

#[test]
fn fields_of_a_newer_version_are_preserved() {
    let dir = tempfile::tempdir().unwrap();
    let location = StoreLocation::Directory(dir.path().to_owned());
    location
        .update("c.json", |count: &mut Count| {
            count.unknown.insert("later".into(), "thing".into());
        })
        .unwrap();
    location.update("c.json", |count: &mut Count| count.n = 1).unwrap();
    assert_eq!(location.read::<Count>("c.json").unwrap().unknown["later"], "thing");
}

#[test]
fn invalid_and_newer_files_are_reported_and_not_changed() {
    let dir = tempfile::tempdir().unwrap();
    let location = StoreLocation::Directory(dir.path().to_owned());
    let path = dir.path().join("c.json");
    for text in ["", "\n", "{\n  \"n\": ", "{\"version\": 99}", "[1]", "\u{fffd}", "{\"n\": \"x\"}"]
    {
        fs::write(&path, text).unwrap();
        assert!(location.update("c.json", |count: &mut Count| count.n += 1).is_err(), "{text}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    fs::write(&path, "").unwrap();
    let error = location.read::<Count>("c.json").map(|count| count.n).unwrap_err();
    assert!(error.to_string().ends_with("c.json is damaged: it is empty"), "{error}");
}

#[test]
fn reserved_space_leaves_no_file_and_is_free_again() {
    let dir = tempfile::tempdir().unwrap();
    let location = StoreLocation::Directory(dir.path().to_owned());
    fs::write(dir.path().join("large.json"), vec![b' '; 1 << 20]).unwrap();
    let reserve = location.reserve_space().unwrap();
    location.update("c.json", |count: &mut Count| count.n += 1).unwrap();
    drop(reserve);
    let mut names: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["c.json", "c.json.lock", "inventory.json.lock", "large.json"]);
}

/// A virus scanner opens files in this way.
#[cfg(windows)]
#[test]
fn a_file_that_another_program_has_open_for_a_moment_is_read_and_replaced() {
    use std::os::windows::fs::OpenOptionsExt;
    let dir = tempfile::tempdir().unwrap();
    let location = StoreLocation::Directory(dir.path().to_owned());
    location.update("c.json", |count: &mut Count| count.n += 1).unwrap();
    for _ in 0..2 {
        let mut options = fs::OpenOptions::new();
        let open = options.read(true).share_mode(0).open(dir.path().join("c.json")).unwrap();
        let closer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            drop(open);
        });
        location.update("c.json", |count: &mut Count| count.n += 1).unwrap();
        closer.join().unwrap();
    }
    assert_eq!(location.read::<Count>("c.json").unwrap().n, 3);
}

#[cfg(unix)]
#[test]
fn a_data_directory_must_be_a_directory_of_this_user() {
    let not_directory = StoreLocation::Directory("/dev/null".into());
    let error = not_directory.reserve_space().map(drop).unwrap_err();
    assert!(matches!(error, Error::NotDirectory(_)), "{error}");
    assert!(!error.advice().contains("mv "), "{}", error.advice());
    // Only root can give a directory away.
    let dir = tempfile::tempdir().unwrap();
    let (owner, group) = (rustix::fs::Uid::from_raw(65_534), rustix::fs::Gid::from_raw(65_534));
    if rustix::fs::chown(dir.path(), Some(owner), Some(group)).is_ok() {
        let location = StoreLocation::Directory(dir.path().to_owned());
        let error = location.reserve_space().map(drop).unwrap_err();
        assert!(matches!(error, Error::OtherOwner { owner: 65_534, .. }), "{error}");
        assert!(location.read::<Count>("c.json").is_err());
    }
}

#[cfg(unix)]
#[test]
fn links_are_not_followed_and_modes_are_private() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let dir = tempfile::tempdir().unwrap();
    let real = dir.path().join("real");
    let location = StoreLocation::Directory(real.clone());
    location.update("c.json", |count: &mut Count| count.n += 1).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&real), mode(&real.join("c.json"))), (0o700, 0o600));
    let link = dir.path().join("link");
    symlink(&real, &link).unwrap();
    assert!(matches!(
        StoreLocation::Directory(link).read::<Count>("c.json"),
        Err(Error::Symlink(_))
    ));
    let target = dir.path().join("target");
    fs::write(&target, "{}").unwrap();
    symlink(&target, real.join("d.json")).unwrap();
    assert!(location.update("d.json", |count: &mut Count| count.n += 1).is_err());
    assert_eq!(fs::read_to_string(&target).unwrap(), "{}");
}

#[cfg(unix)]
#[test]
fn existing_files_under_temporary_names_are_not_written_to_and_pipes_do_not_block() {
    let dir = tempfile::tempdir().unwrap();
    let location = StoreLocation::Directory(dir.path().to_owned());
    let original = dir.path().join("original");
    fs::write(&original, "original").unwrap();
    fs::hard_link(&original, dir.path().join("c.json.new")).unwrap();
    location.update("c.json", |count: &mut Count| count.n += 1).unwrap();
    location.reserve_space().map(drop).unwrap();
    assert_eq!(fs::read_to_string(&original).unwrap(), "original");

    let pipe = |name: &str| {
        let path = dir.path().join(name);
        rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RUSR).unwrap();
    };
    for name in ["d.json", "c.json.new", "e.json.lock"] {
        pipe(name);
    }
    assert!(matches!(location.read::<Count>("d.json"), Err(Error::NotRegularFile(_))));
    assert!(location.update("d.json", |count: &mut Count| count.n += 1).is_err());
    assert!(location.update("e.json", |count: &mut Count| count.n += 1).is_err());
    // Pipes under temporary names are removed, because only Keywright uses these names.
    location.update("c.json", |count: &mut Count| count.n += 1).unwrap();
    location.reserve_space().map(drop).unwrap();
}

#[test]
fn only_one_thread_holds_a_lock() {
    let dir = tempfile::tempdir().unwrap();
    for location in [StoreLocation::in_memory(), StoreLocation::Directory(dir.path().to_owned())] {
        let holder_count = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let lock = location.try_lock_for("x", Duration::from_secs(20)).unwrap();
                        let other_holders =
                            holder_count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        assert_eq!(other_holders, 0);
                        std::thread::yield_now();
                        holder_count.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
    }
}

#[test]
fn lock_is_exclusive_until_it_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let location = StoreLocation::Directory(dir.path().to_owned());
    let lock = location.try_lock("attempt-1").unwrap();
    assert!(matches!(location.try_lock("attempt-1"), Err(Error::LockHeld(_))));
    drop(lock);
    assert!(location.try_lock("attempt-1").is_ok());
}

#[test]
fn the_version_is_found_first_and_anywhere() {
    for (text, version) in [
        ("{\"version\": 7, \"keys\": []}", Some(7)),
        (" {\n  \"version\" : 12\n}", Some(12)),
        ("{\"version\": 7.5}", None),
        ("{\"version\": \"7\"}", None),
        ("{\"version\": 7", None),
        ("{\"keys\": [], \"version\": 7}", None),
        ("[7]", None),
        ("", None),
    ] {
        assert_eq!(leading_version(text), version, "{text}");
    }
}
