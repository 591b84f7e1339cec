//! Tests of the file store: wrong passphrases, damage at every byte, concurrent writers.

#![expect(clippy::disallowed_methods, reason = "a test compares secrets")]

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// Keeps scrypt fast.
const LOW_WORK_FACTOR: u8 = 1;

fn open_store(dir: &Path, passphrase: &'static str) -> AgeFile {
    let passphrase_fn: PassphraseFn = Arc::new(move |_| Ok(SecretString::from(passphrase)));
    AgeFile { work_factor: LOW_WORK_FACTOR, ..AgeFile::new(dir.to_owned(), passphrase_fn) }
}

fn entry_id(account: &str) -> EntryId {
    EntryId { service: "keywright".into(), account: account.into() }
}

fn secret(text: &str) -> SecretString {
    SecretString::from(text)
}

fn read_entry(store: &mut AgeFile, account: &str) -> Result<String, Error> {
    store.get(&entry_id(account)).map(|secret| secret.expose_secret().to_owned())
}

#[test]
fn two_processes_see_each_others_writes() {
    let dir = tempfile::tempdir().unwrap();
    let (mut one, mut other) = (open_store(dir.path(), "p"), open_store(dir.path(), "p"));
    assert_eq!(read_entry(&mut one, "a"), Err(Error::NoEntry));
    one.set(&entry_id("a"), &secret("1")).unwrap();
    other.set(&entry_id("b"), &secret("2 \"\\\u{1f511}\n")).unwrap();
    one.set(&entry_id("a"), &secret("3")).unwrap();
    assert_eq!(read_entry(&mut other, "a").as_deref(), Ok("3"));
    assert_eq!(read_entry(&mut one, "b").as_deref(), Ok("2 \"\\\u{1f511}\n"));
    assert_eq!(one.list_accounts("keywright").unwrap(), ["a", "b"]);
    assert_eq!(one.list_accounts("keywright management").unwrap(), Vec::<String>::new());
    one.check_writable(&entry_id("probe")).unwrap();
    one.delete(&entry_id("a")).unwrap();
    assert_eq!(
        (one.delete(&entry_id("a")), read_entry(&mut other, "a")),
        (Err(Error::NoEntry), Err(Error::NoEntry))
    );
}

#[test]
fn the_passphrase_is_requested_once_and_never_for_a_missing_file() {
    static REQUESTS: AtomicUsize = AtomicUsize::new(0);
    let dir = tempfile::tempdir().unwrap();
    let passphrase_fn: PassphraseFn = Arc::new(|new| {
        assert_eq!(new, REQUESTS.fetch_add(1, Ordering::Relaxed) == 0);
        Ok(secret(if new { "p" } else { "wrong" }))
    });
    let mut first = AgeFile {
        work_factor: LOW_WORK_FACTOR,
        ..AgeFile::new(dir.path().into(), Arc::clone(&passphrase_fn))
    };
    assert_eq!(read_entry(&mut first, "a"), Err(Error::NoEntry));
    assert_eq!(first.list_accounts("keywright"), Ok(Vec::new()));
    assert_eq!((REQUESTS.load(Ordering::Relaxed), dir.path().join(FILE_NAME).exists()), (0, false));
    first.set(&entry_id("a"), &secret("1")).unwrap();
    first.set(&entry_id("b"), &secret("2")).unwrap();
    let before = fs::read(dir.path().join(FILE_NAME)).unwrap();
    let mut second =
        AgeFile { work_factor: LOW_WORK_FACTOR, ..AgeFile::new(dir.path().into(), passphrase_fn) };
    for _ in 0..3 {
        assert_eq!(read_entry(&mut second, "a"), Err(Error::WrongPassphrase));
        assert_eq!(second.set(&entry_id("a"), &secret("3")), Err(Error::WrongPassphrase));
        assert_eq!(second.delete(&entry_id("a")), Err(Error::WrongPassphrase));
    }
    assert_eq!(REQUESTS.load(Ordering::Relaxed), 2);
    assert_eq!(fs::read(dir.path().join(FILE_NAME)).unwrap(), before);
}

#[test]
fn damage_at_any_byte_or_length_is_detected_and_the_file_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    open_store(dir.path(), "p").set(&entry_id("a"), &secret("1")).unwrap();
    let whole = fs::read(&path).unwrap();
    assert!(whole.starts_with(b"age-encryption.org/v1\n-> scrypt "));
    let expect_error = |bytes: &[u8], case: String| {
        fs::write(&path, bytes).unwrap();
        let mut store = open_store(dir.path(), "p");
        assert!(!matches!(read_entry(&mut store, "a"), Ok(_) | Err(Error::NoEntry)), "{case}");
        assert!(store.set(&entry_id("b"), &secret("2")).is_err(), "{case}");
        assert_eq!(fs::read(&path).unwrap(), bytes, "{case}");
    };
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        expect_error(&bytes, format!("byte {at}"));
    }
    for length in 1..whole.len() {
        expect_error(&whole[..length], format!("truncated to {length}"));
    }
    expect_error(&[&whole[..], b"x"].concat(), "one extra byte".into());
    fs::write(&path, &whole).unwrap();
    assert_eq!(read_entry(&mut open_store(dir.path(), "p"), "a").as_deref(), Ok("1"));
}

#[test]
fn files_with_a_later_version_or_a_high_work_factor_are_not_changed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    let header = UnlockedHeader::new(&secret("p"), LOW_WORK_FACTOR).unwrap();
    let cases = [
        (
            header.encrypt(br#"{"version":2,"entries":"otherwise"}"#).unwrap(),
            Error::UnsupportedVersion(2),
        ),
        (header.encrypt(b"not json").unwrap(), Error::Damaged),
        (b"age-encryption.org/v1\n-> X25519 abc\n".to_vec(), Error::UnsupportedFormat),
        (b"\xff\xfe".to_vec(), Error::UnsupportedFormat),
    ];
    for (bytes, error) in cases {
        fs::write(&path, &bytes).unwrap();
        let mut store = open_store(dir.path(), "p");
        assert_eq!(store.set(&entry_id("a"), &secret("1")), Err(error.clone()));
        assert_eq!((read_entry(&mut store, "a"), fs::read(&path).unwrap()), (Err(error), bytes));
    }
    let text = String::from_utf8_lossy(&header.encrypt(b"{}").unwrap()).into_owned();
    let costly: String = text.split_inclusive('\n').take(4).collect();
    fs::write(&path, costly.replacen(&format!(" {LOW_WORK_FACTOR}\n"), " 40\n", 1)).unwrap();
    assert_eq!(read_entry(&mut open_store(dir.path(), "p"), "a"), Err(Error::WorkFactorTooHigh));
}

#[test]
fn after_a_change_only_the_new_passphrase_works() {
    let dir = tempfile::tempdir().unwrap();
    let mut one = open_store(dir.path(), "old");
    let mut other_process = open_store(dir.path(), "old");
    one.set(&entry_id("a"), &secret("1")).unwrap();
    assert_eq!(read_entry(&mut other_process, "a").as_deref(), Ok("1"));
    one.change_passphrase(&secret("new")).unwrap();
    one.set(&entry_id("b"), &secret("2")).unwrap();
    let mut new = open_store(dir.path(), "new");
    assert_eq!(
        (read_entry(&mut new, "a").as_deref(), read_entry(&mut new, "b").as_deref()),
        (Ok("1"), Ok("2"))
    );
    assert_eq!(read_entry(&mut open_store(dir.path(), "old"), "a"), Err(Error::WrongPassphrase));
    assert_eq!(other_process.set(&entry_id("c"), &secret("3")), Err(Error::WrongPassphrase));
    assert_eq!(new.list_accounts("keywright").unwrap(), ["a", "b"]);
}

#[test]
fn concurrent_writers_lose_no_entry() {
    let dir = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let dir = dir.path();
            scope.spawn(move || {
                let mut store = open_store(dir, "p");
                for number in 0..10 {
                    store.set(&entry_id(&format!("{writer}-{number}")), &secret("x")).unwrap();
                }
            });
        }
    });
    assert_eq!(open_store(dir.path(), "p").list_accounts("keywright").unwrap().len(), 40);
}

#[test]
fn payloads_of_several_chunks_are_encrypted_and_decrypted() {
    let dir = tempfile::tempdir().unwrap();
    let entries: Vec<_> = (0..1_000)
        .map(|number| Entry {
            service: "keywright".into(),
            account: format!("label {number}"),
            secret: secret(&format!("sk-or-v1-{number:064x}")),
        })
        .collect();
    let mut one = open_store(dir.path(), "p");
    one.update_entries(|all| {
        *all = entries;
        Ok(())
    })
    .unwrap();
    assert!(fs::metadata(dir.path().join(FILE_NAME)).unwrap().len() > 2 * 65_536);
    let mut other = open_store(dir.path(), "p");
    assert_eq!(read_entry(&mut other, "label 999").unwrap(), format!("sk-or-v1-{:064x}", 999));
    let header = UnlockedHeader::new(&secret("p"), LOW_WORK_FACTOR).unwrap();
    for length in [0, 1, 65_535, 65_536, 65_537, 131_072, 131_073] {
        let plain = vec![7; length];
        let encrypted = header.encrypt(&plain).unwrap();
        assert_eq!(*header.decrypt(&encrypted).unwrap(), plain, "{length}");
        assert_ne!(header.encrypt(&plain).unwrap(), encrypted, "each file has a new nonce");
        // Missing chunks at the end.
        if length > 65_536 {
            let at = encrypted.len() - length - 16 * length.div_ceil(65_536);
            assert_eq!(header.decrypt(&encrypted[..at + 65_552]).unwrap_err(), AgeError::Damaged);
        }
    }
}

#[cfg(unix)]
#[test]
fn the_file_is_private_and_symlinks_are_not_followed() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let dir = tempfile::tempdir().unwrap();
    open_store(dir.path(), "p").set(&entry_id("a"), &secret("1")).unwrap();
    let mode = fs::metadata(dir.path().join(FILE_NAME)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let other = tempfile::tempdir().unwrap();
    symlink(dir.path().join(FILE_NAME), other.path().join(FILE_NAME)).unwrap();
    let linked = read_entry(&mut open_store(other.path(), "p"), "a");
    assert!(matches!(linked, Err(Error::FileAccess { .. })), "{linked:?}");
}
