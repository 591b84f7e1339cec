//! The store with helpers that work, and with helpers that do not.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::*;
use crate::domain::ErrorKind;

/// A helper that keeps each answer in a file in `DIR`. `FAULT` runs first.
const HELPER: &str = include_str!("../../../../tests/support/credential_helper.sh");

const KEY: &str = "sk-or-v1-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const TIMEOUT: Duration = Duration::from_secs(20);

/// Writes a program. Another process writes it: a file that a test of another thread has inherited for
/// writing cannot be started.
fn write_program(path: &Path, text: &str) {
    let mut shell = Command::new("sh")
        .args(["-c", r#"cat >"$0" && chmod 755 "$0""#])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    shell.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(shell.wait().unwrap().success());
}

fn store_of(path: &Path, min_time_limit: Duration) -> ExecStore {
    let program = ExecProgram::parse(&format!("exec:{}", path.display())).unwrap();
    ExecStore { program, min_time_limit }
}

/// Returns a store whose helper runs `fault` first.
fn broken_store(dir: &Path, fault: &str) -> ExecStore {
    let path = dir.join("helper");
    let text = HELPER.replace("DIR", &dir.display().to_string()).replace("FAULT", fault);
    write_program(&path, &text);
    store_of(&path, TIMEOUT)
}

fn id(label: &str) -> EntryId {
    EntryId { service: "keywright".into(), account: label.into() }
}

fn fault_of<T: std::fmt::Debug>(result: Result<T, Error>) -> (Verb, Fault) {
    match result.unwrap_err() {
        Error::Helper(error) => (error.verb, error.fault),
        error => panic!("{error:?}"),
    }
}

fn read(secret: &SecretString) -> &str {
    #[expect(clippy::disallowed_methods, reason = "compares the secret")]
    secret.expose_secret()
}

#[test]
fn keys_are_stored_read_listed_and_erased() {
    let dir = tempfile::tempdir().unwrap();
    let store = broken_store(dir.path(), "");
    let key = SecretString::from(KEY);
    assert_eq!(store.list_accounts("keywright", TIMEOUT), Ok(vec![]));
    assert_eq!(store.get(&id("ci"), TIMEOUT).unwrap_err(), Error::NoEntry);
    store.set(&id("ci"), &SecretString::from("an earlier key"), TIMEOUT).unwrap();
    store.set(&id("ci"), &key, TIMEOUT).unwrap();
    store.set(&id("laptop"), &key, TIMEOUT).unwrap();
    store
        .check_writable(&EntryId { service: "probe".into(), account: "p".into() }, TIMEOUT)
        .unwrap();
    assert_eq!(read(&store.get(&id("ci"), TIMEOUT).unwrap()), KEY);
    assert_eq!(store.list_accounts("keywright", TIMEOUT).unwrap(), ["ci", "laptop"]);
    assert_eq!(store.list_accounts("keywright/work", TIMEOUT), Ok(vec![]));
    store.delete(&id("ci"), TIMEOUT).unwrap();
    assert_eq!(store.delete(&id("ci"), TIMEOUT), Err(Error::NoEntry));
    assert_eq!(store.list_accounts("keywright", TIMEOUT).unwrap(), ["laptop"]);
}

#[test]
fn a_helper_gets_the_verb_alone_and_no_secret_variables() {
    let dir = tempfile::tempdir().unwrap();
    let store = broken_store(dir.path(), r#"{ echo "$#:$0:$1"; env; } >>"$dir/seen""#);
    store.set(&id("ci"), &SecretString::from(KEY), TIMEOUT).unwrap();
    let seen = fs::read_to_string(dir.path().join("seen")).unwrap();
    assert!(seen.contains("1:") && seen.contains(":store") && seen.contains("PATH="), "{seen}");
    assert!(!seen.contains("sk-or-v1-") && !seen.contains("KEYWRIGHT_"), "{seen}");
}

#[test]
fn a_helper_that_lies_is_not_believed() {
    let json = |url: &str, user: &str, secret: &str| {
        format!(
            r#"[ "$1" = get ] && {{ echo '{{"ServerURL":"{url}","Username":"{user}","Secret":"{secret}"}}'; exit; }}"#
        )
    };
    let url = "https://openrouter.ai/keywright/default/ci";
    let not_json = (Verb::Get, Fault::NotJson);
    for (fault, expected) in [
        (json(url, "laptop", KEY), (Verb::Get, Fault::OtherUser)),
        (json("https://example.com", "ci", KEY), (Verb::Get, Fault::OtherServer)),
        (r#"[ "$1" = get ] && { echo 'no JSON'; exit; }"#.into(), not_json.clone()),
        (r#"[ "$1" = get ] && exit"#.into(), not_json.clone()),
        (r#"[ "$1" = get ] && { echo '{"Username":"ci"}'; exit; }"#.into(), not_json),
        (r#"[ "$1" = store ] && { cat >/dev/null; exit; }"#.into(), (Verb::Store, Fault::NotKept)),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let store = broken_store(dir.path(), &fault);
        assert_eq!(
            fault_of(store.set(&id("ci"), &SecretString::from(KEY), TIMEOUT)),
            expected,
            "{fault}"
        );
    }
    let dir = tempfile::tempdir().unwrap();
    let store = broken_store(dir.path(), &json(url, "ci", "sk-or-v1-another"));
    let result = store.set(&id("ci"), &SecretString::from(KEY), TIMEOUT);
    assert_eq!(result, Err(Error::ReadBackMismatch));
    assert_eq!(fault_of(store.delete(&id("ci"), TIMEOUT)), (Verb::Erase, Fault::NotErased));
    let store = broken_store(dir.path(), r#"[ "$1" = list ] && { echo '["x"]'; exit; }"#);
    assert_eq!(fault_of(store.list_accounts("keywright", TIMEOUT)), (Verb::List, Fault::NotJson));
}

#[test]
fn an_answer_without_a_secret_is_no_entry() {
    let dir = tempfile::tempdir().unwrap();
    let answer =
        r#"[ "$1" = get ] && { echo '{"ServerURL":"","Username":"","Secret":""}'; exit; }"#;
    let store = broken_store(dir.path(), answer);
    assert_eq!(store.get(&id("ci"), TIMEOUT).unwrap_err(), Error::NoEntry);
    assert_eq!(store.delete(&id("ci"), TIMEOUT), Err(Error::NoEntry));
}

#[test]
fn the_message_of_a_helper_is_shown_without_the_key() {
    let long = "x".repeat(500);
    for (fault, expected) in [
        ("echo 'the safe is locked' >&2; exit 3", "the safe is locked"),
        ("cat >/dev/null; echo 'no credentials username'; exit 1", "no credentials username"),
        ("printf 'a\\033[2Jb\\nc'; exit 1", "a[2Jb c"),
        ("exit 9", "with exit code 9 and no message"),
        ("kill -9 $$", "a signal ended it"),
        (&format!("echo {long} >&2; exit 1"), "…"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let store = broken_store(dir.path(), fault);
        let error =
            store.set(&id("ci"), &SecretString::from(KEY), TIMEOUT).unwrap_err().to_user_error();
        assert!(error.message.ends_with(expected), "{error:?}");
        assert!(error.message.len() < 400 && error.kind == ErrorKind::SecretStore, "{error:?}");
    }
    for fault in [
        "cat; exit 1",
        "cat >&2; exit 1",
        "cut -b 90-130; exit 1",
        "tr a-f A-F >&2; exit 1",
        "sed 's/sk-or/key /' >&2; exit 1",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let store = broken_store(dir.path(), fault);
        let error = store.set(&id("ci"), &SecretString::from(KEY), TIMEOUT).unwrap_err();
        let shown = format!("{error} {error:?} {}", error.advice()).to_ascii_lowercase();
        assert!(!shown.contains("0123456789abcdef"), "{fault}: {shown}");
    }
}

#[test]
fn a_helper_that_hangs_prints_too_much_or_leaves_processes_is_ended() {
    let short = Duration::from_secs(1);
    for (fault, expected) in [
        ("sleep 60", Fault::TimedOut(1)),
        // The output is complete, and the program keeps running.
        ("exec 1>&-; sleep 60", Fault::TimedOut(1)),
        ("yes", Fault::TooMuchOutput(MAX_GET_KIB)),
        ("sleep 60 & exit 0", Fault::OutputLeftOpen),
        ("while :; do echo x >&2; done", Fault::TimedOut(1)),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let store = broken_store(dir.path(), &format!("echo $$ >\"$dir/pid\"; {fault}"));
        let store = ExecStore { min_time_limit: short, ..store };
        let began = Instant::now();
        assert_eq!(fault_of(store.get(&id("ci"), short)), (Verb::Get, expected), "{fault}");
        assert!(began.elapsed() < Duration::from_secs(10), "{fault}");
        let group = fs::read_to_string(dir.path().join("pid")).unwrap();
        let is_running = || {
            let kill = format!("kill -0 -{}", group.trim());
            Command::new("sh").args(["-c", &kill]).stderr(Stdio::null()).status().unwrap().success()
        };
        while is_running() {
            assert!(began.elapsed() < Duration::from_secs(10), "{fault}: it still runs");
        }
    }
}

#[test]
fn a_helper_that_closes_its_input_has_no_key() {
    let dir = tempfile::tempdir().unwrap();
    let store = broken_store(dir.path(), r#"[ "$1" = store ] && exec 0<&- && exit"#);
    let big = SecretString::from("k".repeat(300_000));
    assert_eq!(fault_of(store.set(&id("ci"), &big, TIMEOUT)), (Verb::Store, Fault::InputNotRead));
}

#[test]
fn a_program_that_cannot_be_started_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("helper");
    let store = store_of(&path, TIMEOUT);
    let fault = |store: &ExecStore| fault_of(store.get(&id("ci"), TIMEOUT)).1;
    assert_eq!(fault(&store), Fault::NoFile);
    write_program(&path, "#!/nonexistent/interpreter\n");
    assert!(matches!(fault(&store), Fault::NotStarted(_)), "{:?}", fault(&store));
    Command::new("chmod").arg("644").arg(&path).status().unwrap();
    assert_eq!(fault(&store), Fault::NotExecutable);
    let unknown = ExecStore::new(ExecProgram::parse("exec:keywright-no-such-helper").unwrap());
    assert_eq!(fault(&unknown), Fault::NotOnPath);
    for fault in [Fault::NotExecutable, Fault::NoFile, Fault::NotOnPath] {
        let error = unknown.error(Verb::Store, fault).to_user_error();
        assert!(error.meaning.contains("no key was passed to it"), "{error:?}");
    }
}

#[test]
fn errors_are_sentences_without_a_full_stop() {
    let store = ExecStore::new(ExecProgram::parse("exec:~/my helper").unwrap());
    for fault in [
        Fault::NotOnPath,
        Fault::NoFile,
        Fault::NoHome,
        Fault::NotExecutable,
        Fault::CommandScript,
        Fault::NotStarted("x".into()),
        Fault::TimedOut(30),
        Fault::TooMuchOutput(64),
        Fault::OutputLeftOpen,
        Fault::InputNotRead,
        Fault::NotJson,
        Fault::OtherServer,
        Fault::OtherUser,
        Fault::NotKept,
        Fault::NotErased,
        Fault::Refused(Some(1), String::new()),
    ] {
        let error = store.error(Verb::Store, fault);
        for text in [error.to_string(), error.advice().into_owned(), error.meaning().into()] {
            assert!(text.starts_with(char::is_lowercase) && !text.ends_with('.'), "{text}");
        }
    }
    let advice = store.error(Verb::Get, Fault::NotJson).advice().into_owned();
    assert!(advice.contains("`~/'my helper' list`"), "{advice}");
}
