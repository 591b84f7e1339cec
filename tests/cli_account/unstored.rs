//! Keys that were received while the secret store does not work: they are stored when it works again.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use super::proxy::{Fault, Proxy};
use super::*;

const NOTICE: &str = "retrying to store it for at most two minutes";

/// Runs a command that creates a key, with a store that is damaged when the key is created. When the
/// command says that it tries again, `during` is called with its process id, and the store is restored
/// if that returns true. Returns the exit code, the output and the errors.
fn run_with_interruption(
    home: &Home,
    sandbox: &Sandbox,
    proxy: &Proxy,
    args: &[&str],
    during: impl Fn(u32) -> bool,
) -> (i32, String, String) {
    let store = home.data().join("vault.age");
    let saved = home.path().join("vault.saved");
    let (path, copy) = (store.clone(), saved.clone());
    proxy.set_rule(move |request| {
        if request == "POST /api/v1/keys" {
            fs::copy(&path, &copy).unwrap();
            fs::write(&path, "damaged").unwrap();
        }
        Fault::Pass
    });
    let mut child = command(home, sandbox, proxy, args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut err = String::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        if line.contains(NOTICE) {
            proxy.set_rule(|_| Fault::Pass);
        }
        if line.contains(NOTICE) && during(child.id()) {
            fs::rename(&saved, &store).unwrap();
        }
        err.push_str(&line);
        err.push('\n');
    }
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    (child.wait().unwrap().code().unwrap(), out, err)
}

fn command(home: &Home, sandbox: &Sandbox, proxy: &Proxy, args: &[&str]) -> std::process::Command {
    let mut command = home.command(args);
    command
        .args(["--server", &proxy.url, "--store", "file"])
        .env("KEYWRIGHT_PASSPHRASE_FILE", home.path().join("passphrase"))
        .env("OPENROUTER_MANAGEMENT_KEY", sandbox.management_key());
    command
}

fn home_with_store() -> Home {
    let home = Home::new();
    fs::create_dir_all(home.data()).unwrap();
    fs::copy("tests/e2e/cheap-vault.age", home.data().join("vault.age")).unwrap();
    fs::write(home.path().join("passphrase"), "correct horse").unwrap();
    home
}

#[test]
fn a_key_is_stored_when_the_store_works_again_and_nothing_is_left_to_finish() {
    let sandbox = Sandbox::start(&Options { port: 0, key_count: 1 }).unwrap();
    let proxy = Proxy::before(sandbox.url());
    let home = home_with_store();
    let plan = home.path().join("plan.toml");
    fs::write(&plan, "[[key]]\nlabel = \"ci\"\n[[key]]\nlabel = \"planned\"\n").unwrap();
    let run =
        |args: &[&str]| decode_output(&command(&home, &sandbox, &proxy, args).output().unwrap());
    assert_eq!(run(&["new", "ci"]).0, 0);
    for (args, count) in [
        (&["new", "late", "--limit", "5"][..], 2),
        (&["rotate", "ci", "--yes"], 3),
        (&["panic", "late", "--yes"], 4),
        (&["apply", plan.to_str().unwrap(), "--yes"], 5),
    ] {
        let (code, out, err) = run_with_interruption(&home, &sandbox, &proxy, args, |_| true);
        assert_eq!(code, 0, "{args:?}: {out}{err}");
        assert_eq!(err.matches(NOTICE).count(), 1, "{args:?}: {err}");
        // The key has its label at the server, and its policy was read.
        let (_, out, _) = run(&["list", "--json"]);
        let listed: Value = serde_json::from_str(&out).unwrap();
        let keys = listed.as_array().unwrap();
        assert_eq!(keys.len(), count, "{args:?}: {out}");
        assert!(keys.iter().all(|key| key["state"] != "unknown"), "{args:?}: {out}");
        let (_, out, _) = run(&["status", "--short"]);
        assert!(!out.contains("not finished"), "{args:?}: {out}");
        let journal = fs::read_to_string(home.data().join("journal.json")).unwrap();
        assert!(!journal.contains("[kw:") && !journal.contains("\"label\""), "{args:?}: {journal}");
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_the_tries_and_recover_finds_out_what_became_of_the_key() {
    let sandbox = Sandbox::start(&Options { port: 0, key_count: 1 }).unwrap();
    let proxy = Proxy::before(sandbox.url());
    let home = home_with_store();
    let interrupt = |pid: u32| {
        let kill = std::process::Command::new("kill").args(["-INT", &pid.to_string()]).status();
        assert!(kill.unwrap().success());
        false
    };
    let new = &["new", "ci"];
    let (code, out, err) = run_with_interruption(&home, &sandbox, &proxy, new, interrupt);
    assert_eq!((code, out.as_str()), (4, ""), "{err}");
    assert!(err.contains("may be stored") && !err.contains("revoke"), "{err}");
    assert!(err.contains("find out whether it is stored: keywright "), "{err}");
    fs::rename(home.path().join("vault.saved"), home.data().join("vault.age")).unwrap();
    let recover = &["recover"];
    let recovered = command(&home, &sandbox, &proxy, recover).output().unwrap();
    let (code, out, err) = decode_output(&recovered);
    assert_eq!((code, proxy.count("DELETE /api/v1/keys/")), (0, 1), "{out}{err}");
}
