//! What a passphrase keeps together: wrong ones, damage at every byte, other writers.

#![expect(clippy::disallowed_methods, reason = "a test compares secrets")]

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// A second would be long here.
const CHEAP: u8 = 1;

fn vault(dir: &Path, passphrase: &'static str) -> AgeFile {
    let ask: PassphraseFn = Arc::new(move |_| Ok(SecretString::from(passphrase)));
    AgeFile { work_factor: CHEAP, ..AgeFile::new(dir.to_owned(), ask) }
}

fn slot(account: &str) -> EntryId {
    EntryId { service: "keywright".into(), account: account.into() }
}

fn secret(text: &str) -> SecretString {
    SecretString::from(text)
}

fn content(vault: &mut AgeFile, account: &str) -> Result<String, Error> {
    vault.get(&slot(account)).map(|secret| secret.expose_secret().to_owned())
}

#[test]
fn what_one_program_writes_another_reads() {
    let dir = tempfile::tempdir().unwrap();
    let (mut one, mut other) = (vault(dir.path(), "p"), vault(dir.path(), "p"));
    assert_eq!(content(&mut one, "a"), Err(Error::NoEntry));
    one.set(&slot("a"), &secret("1")).unwrap();
    other.set(&slot("b"), &secret("2 \"\\\u{1f511}\n")).unwrap();
    one.set(&slot("a"), &secret("3")).unwrap();
    assert_eq!(content(&mut other, "a").as_deref(), Ok("3"));
    assert_eq!(content(&mut one, "b").as_deref(), Ok("2 \"\\\u{1f511}\n"));
    assert_eq!(one.list_accounts("keywright").unwrap(), ["a", "b"]);
    assert_eq!(one.list_accounts("keywright management").unwrap(), Vec::<String>::new());
    one.check_writable(&slot("probe")).unwrap();
    one.delete(&slot("a")).unwrap();
    assert_eq!(
        (one.delete(&slot("a")), content(&mut other, "a")),
        (Err(Error::NoEntry), Err(Error::NoEntry))
    );
}

#[test]
fn the_passphrase_is_asked_for_once_and_never_for_a_vault_that_is_not_there() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let dir = tempfile::tempdir().unwrap();
    let ask: PassphraseFn = Arc::new(|new| {
        assert_eq!(new, ASKED.fetch_add(1, Ordering::Relaxed) == 0);
        Ok(secret(if new { "p" } else { "wrong" }))
    });
    let mut first =
        AgeFile { work_factor: CHEAP, ..AgeFile::new(dir.path().into(), Arc::clone(&ask)) };
    assert_eq!(content(&mut first, "a"), Err(Error::NoEntry));
    assert_eq!(first.list_accounts("keywright"), Ok(Vec::new()));
    assert_eq!((ASKED.load(Ordering::Relaxed), dir.path().join(FILE_NAME).exists()), (0, false));
    first.set(&slot("a"), &secret("1")).unwrap();
    first.set(&slot("b"), &secret("2")).unwrap();
    let before = fs::read(dir.path().join(FILE_NAME)).unwrap();
    let mut second = AgeFile { work_factor: CHEAP, ..AgeFile::new(dir.path().into(), ask) };
    for _ in 0..3 {
        assert_eq!(content(&mut second, "a"), Err(Error::WrongPassphrase));
        assert_eq!(second.set(&slot("a"), &secret("3")), Err(Error::WrongPassphrase));
        assert_eq!(second.delete(&slot("a")), Err(Error::WrongPassphrase));
    }
    assert_eq!(ASKED.load(Ordering::Relaxed), 2);
    assert_eq!(fs::read(dir.path().join(FILE_NAME)).unwrap(), before);
}

#[test]
fn damage_at_any_byte_and_any_length_is_noticed_and_overwrites_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    vault(dir.path(), "p").set(&slot("a"), &secret("1")).unwrap();
    let whole = fs::read(&path).unwrap();
    assert!(whole.starts_with(b"age-encryption.org/v1\n-> scrypt "));
    let refused = |bytes: &[u8], what: String| {
        fs::write(&path, bytes).unwrap();
        let mut vault = vault(dir.path(), "p");
        assert!(!matches!(content(&mut vault, "a"), Ok(_) | Err(Error::NoEntry)), "{what}");
        assert!(vault.set(&slot("b"), &secret("2")).is_err(), "{what}");
        assert_eq!(fs::read(&path).unwrap(), bytes, "{what}");
    };
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        refused(&bytes, format!("byte {at}"));
    }
    for length in 1..whole.len() {
        refused(&whole[..length], format!("cut to {length}"));
    }
    refused(&[&whole[..], b"x"].concat(), "one byte more".into());
    fs::write(&path, &whole).unwrap();
    assert_eq!(content(&mut vault(dir.path(), "p"), "a").as_deref(), Ok("1"));
}

#[test]
fn a_file_that_asks_for_too_much_or_is_of_a_later_version_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    let envelope = UnlockedHeader::new(&secret("p"), CHEAP).unwrap();
    let cases = [
        (
            envelope.encrypt(br#"{"version":2,"entries":"otherwise"}"#).unwrap(),
            Error::UnsupportedVersion(2),
        ),
        (envelope.encrypt(b"not json").unwrap(), Error::Damaged),
        (b"age-encryption.org/v1\n-> X25519 abc\n".to_vec(), Error::UnsupportedFormat),
        (b"\xff\xfe".to_vec(), Error::UnsupportedFormat),
    ];
    for (bytes, error) in cases {
        fs::write(&path, &bytes).unwrap();
        let mut vault = vault(dir.path(), "p");
        assert_eq!(vault.set(&slot("a"), &secret("1")), Err(error.clone()));
        assert_eq!((content(&mut vault, "a"), fs::read(&path).unwrap()), (Err(error), bytes));
    }
    let text = String::from_utf8_lossy(&envelope.encrypt(b"{}").unwrap()).into_owned();
    let costly: String = text.split_inclusive('\n').take(4).collect();
    fs::write(&path, costly.replacen(&format!(" {CHEAP}\n"), " 40\n", 1)).unwrap();
    assert_eq!(content(&mut vault(dir.path(), "p"), "a"), Err(Error::WorkFactorTooHigh));
}

#[test]
fn a_changed_passphrase_opens_everything_and_the_old_one_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut one = vault(dir.path(), "old");
    let mut meanwhile = vault(dir.path(), "old");
    one.set(&slot("a"), &secret("1")).unwrap();
    assert_eq!(content(&mut meanwhile, "a").as_deref(), Ok("1"));
    one.change_passphrase(&secret("new")).unwrap();
    one.set(&slot("b"), &secret("2")).unwrap();
    let mut new = vault(dir.path(), "new");
    assert_eq!(
        (content(&mut new, "a").as_deref(), content(&mut new, "b").as_deref()),
        (Ok("1"), Ok("2"))
    );
    assert_eq!(content(&mut vault(dir.path(), "old"), "a"), Err(Error::WrongPassphrase));
    assert_eq!(meanwhile.set(&slot("c"), &secret("3")), Err(Error::WrongPassphrase));
    assert_eq!(new.list_accounts("keywright").unwrap(), ["a", "b"]);
}

#[test]
fn many_writers_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let dir = dir.path();
            scope.spawn(move || {
                let mut vault = vault(dir, "p");
                for number in 0..10 {
                    vault.set(&slot(&format!("{writer}-{number}")), &secret("x")).unwrap();
                }
            });
        }
    });
    assert_eq!(vault(dir.path(), "p").list_accounts("keywright").unwrap().len(), 40);
}

#[test]
fn a_thousand_keys_are_sealed_and_opened_in_several_chunks() {
    let dir = tempfile::tempdir().unwrap();
    let entries: Vec<_> = (0..1_000)
        .map(|number| Entry {
            service: "keywright".into(),
            account: format!("label {number}"),
            secret: secret(&format!("sk-or-v1-{number:064x}")),
        })
        .collect();
    let mut one = vault(dir.path(), "p");
    one.update_entries(|there| {
        *there = entries;
        Ok(())
    })
    .unwrap();
    assert!(fs::metadata(dir.path().join(FILE_NAME)).unwrap().len() > 2 * 65_536);
    let mut other = vault(dir.path(), "p");
    assert_eq!(content(&mut other, "label 999").unwrap(), format!("sk-or-v1-{:064x}", 999));
    let envelope = UnlockedHeader::new(&secret("p"), CHEAP).unwrap();
    for length in [0, 1, 65_535, 65_536, 65_537, 131_072, 131_073] {
        let plain = vec![7; length];
        let sealed = envelope.encrypt(&plain).unwrap();
        assert_eq!(*envelope.decrypt(&sealed).unwrap(), plain, "{length}");
        assert_ne!(envelope.encrypt(&plain).unwrap(), sealed, "a fresh nonce each time");
        // Whole chunks that are missing at the end, or change places.
        if length > 65_536 {
            let at = sealed.len() - length - 16 * length.div_ceil(65_536);
            assert_eq!(envelope.decrypt(&sealed[..at + 65_552]).unwrap_err(), AgeError::Damaged);
        }
    }
}

#[cfg(unix)]
#[test]
fn the_file_is_its_owners_alone_and_no_link_is_followed() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let dir = tempfile::tempdir().unwrap();
    vault(dir.path(), "p").set(&slot("a"), &secret("1")).unwrap();
    let mode = fs::metadata(dir.path().join(FILE_NAME)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let other = tempfile::tempdir().unwrap();
    symlink(dir.path().join(FILE_NAME), other.path().join(FILE_NAME)).unwrap();
    let linked = content(&mut vault(other.path(), "p"), "a");
    assert!(matches!(linked, Err(Error::FileAccess { .. })), "{linked:?}");
}
