//! Many writers, other versions, links and modes.

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
fn no_update_is_lost_between_many_writers() {
    let dir = tempfile::tempdir().unwrap();
    let place = StoreLocation::Directory(dir.path().join("deep/data"));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..25 {
                    place.update("c.json", |count: &mut Count| count.n += 1).unwrap();
                }
            });
        }
    });
    assert_eq!(place.read::<Count>("c.json").unwrap().n, 100);
}

#[test]
fn fields_of_another_version_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let place = StoreLocation::Directory(dir.path().to_owned());
    place
        .update("c.json", |count: &mut Count| {
            count.unknown.insert("later".into(), "thing".into());
        })
        .unwrap();
    place.update("c.json", |count: &mut Count| count.n = 1).unwrap();
    assert_eq!(place.read::<Count>("c.json").unwrap().unknown["later"], "thing");
}

#[test]
fn broken_and_newer_files_are_said_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let place = StoreLocation::Directory(dir.path().to_owned());
    let path = dir.path().join("c.json");
    for text in ["{\n  \"n\": ", "{\"version\": 99}", "[1]", "\u{fffd}", "{\"n\": \"x\"}"] {
        fs::write(&path, text).unwrap();
        assert!(place.update("c.json", |count: &mut Count| count.n += 1).is_err(), "{text}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    fs::write(&path, "").unwrap();
    assert_eq!(place.read::<Count>("c.json").unwrap().n, 0);
}

#[cfg(unix)]
#[test]
fn links_are_not_followed_and_modes_are_private() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let dir = tempfile::tempdir().unwrap();
    let real = dir.path().join("real");
    let place = StoreLocation::Directory(real.clone());
    place.update("c.json", |count: &mut Count| count.n += 1).unwrap();
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
    assert!(place.update("d.json", |count: &mut Count| count.n += 1).is_err());
    assert_eq!(fs::read_to_string(&target).unwrap(), "{}");
}

#[cfg(unix)]
#[test]
fn what_lies_ready_under_the_name_of_a_new_file_is_not_written_to_and_no_pipe_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let place = StoreLocation::Directory(dir.path().to_owned());
    let precious = dir.path().join("precious");
    fs::write(&precious, "precious").unwrap();
    for name in ["c.json.new", "write.probe"] {
        fs::hard_link(&precious, dir.path().join(name)).unwrap();
    }
    place.update("c.json", |count: &mut Count| count.n += 1).unwrap();
    place.check_writable().unwrap();
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");

    let pipe = |name: &str| {
        let path = dir.path().join(name);
        rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RUSR).unwrap();
    };
    for name in ["d.json", "c.json.new", "write.probe", "e.json.lock"] {
        pipe(name);
    }
    assert!(matches!(place.read::<Count>("d.json"), Err(Error::NotRegularFile(_))));
    assert!(place.update("d.json", |count: &mut Count| count.n += 1).is_err());
    assert!(place.update("e.json", |count: &mut Count| count.n += 1).is_err());
    // These are taken away: nobody but us names files so.
    place.update("c.json", |count: &mut Count| count.n += 1).unwrap();
    place.check_writable().unwrap();
}

#[test]
fn one_at_a_time_holds_a_name_however_many_want_it() {
    let dir = tempfile::tempdir().unwrap();
    for place in [StoreLocation::in_memory(), StoreLocation::Directory(dir.path().to_owned())] {
        let inside = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let claim = place.try_lock_for("x", Duration::from_secs(20)).unwrap();
                        let others = inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        assert_eq!(others, 0);
                        std::thread::yield_now();
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        drop(claim);
                    }
                });
            }
        });
    }
}

#[test]
fn a_claim_is_one_programs_alone_until_it_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let place = StoreLocation::Directory(dir.path().to_owned());
    let claim = place.try_lock("attempt-1").unwrap();
    assert!(matches!(place.try_lock("attempt-1"), Err(Error::LockHeld(_))));
    drop(claim);
    assert!(place.try_lock("attempt-1").is_ok());
}
