//! `apply` run without a terminal: its output, its JSON and its exit codes.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/home.rs"]
mod home;
#[path = "account/proxy.rs"]
mod proxy;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

use home::{SandboxHome, decode_output, labels, stored_key};
use keywright::domain::StoreKind;
use keywright::sandbox;
use proxy::{Fault, Proxy};
use serde_json::{Value, json};

const THREE: &str = "[defaults]\nlimit = 5\n[[key]]\nlabel = \"a\"\n[[key]]\nlabel = \"b b\"\n\
                     reset = \"daily\"\nexpires = \"30d\"\n[[key]]\nlabel = \"c\"\nlimit = \"none\"\n";

#[test]
fn a_plan_is_previewed_applied_and_then_unchanged() {
    let home = SandboxHome::new();
    let plan = home.write_plan(THREE);
    let (code, out, err) = home.run(&["apply", &plan, "--dry-run"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("+  a      create: limit $5.00, expires never\n"), "{out}");
    assert!(out.contains("+  b b    create: limit $5.00 daily, expires 20"), "{out}");
    assert!(out.ends_with("3 to create\n"), "{out}");
    assert!(!home.data().exists(), "nothing was written");

    let (code, out, err) = home.run_with_management_key(&["apply", &plan]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("--yes"), "{err}");

    let (code, out, err) = home.run_with_management_key(&["apply", &plan, "--yes", "--json"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let done: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(labels(&done, "created"), ["a", "b b", "c"]);
    assert_eq!((&done["created"][1]["limit"], &done["dry_run"]), (&json!(5.0), &json!(false)));
    assert_eq!(done["created"][1]["differences"], json!([]));

    let (code, out, _) = home.run(&["apply", &plan]);
    assert_eq!(code, 0, "no confirmation is needed when there is nothing to create");
    assert!(out.ends_with("3 unchanged\n") && out.contains("=  c      unchanged"), "{out}");
    let changed = THREE.replace("limit = 5", "limit = 20").replace("daily", "weekly");
    let (code, out, err) = home.run(&["apply", &home.write_plan(changed), "--json"]);
    assert_eq!(code, 0);
    assert!(err.is_empty(), "{err}");
    let seen: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (labels(&seen, "unchanged"), labels(&seen, "differing")),
        (vec!["c".into()], vec!["a".to_owned(), "b b".into()])
    );
    let key = &seen["differing"][1];
    assert_eq!(key["differences"], json!(["limit", "limit_reset"]));
    assert_eq!((&key["planned"]["limit"], &key["limit"]), (&json!(20.0), &json!(5.0)));
    let (_, out, err) =
        home.run(&["apply", &home.home.path().join("plan.toml").display().to_string()]);
    assert!(
        out.contains(
            "~  b b    differs: limit is $5.00, the plan says $20.00; limit reset is daily"
        ),
        "{out}"
    );
    assert!(err.contains("left as they are"), "{err}");
}

#[test]
fn dry_run_json_has_the_fields_of_a_key_with_null_values() {
    let home = SandboxHome::new();
    let plan = home.write_plan(THREE);
    let (code, out, _) = home.run(&["apply", &plan, "--dry-run", "--json"]);
    assert_eq!(code, 0);
    let planned: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(planned["dry_run"], true);
    let (_, out, _) = home.run_with_management_key(&["apply", &plan, "--yes", "--json"]);
    let done: Value = serde_json::from_str(&out).unwrap();
    for (would, did) in [0, 1, 2].map(|n| (&planned["created"][n], &done["created"][n])) {
        let names = |key: &Value| key.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(would), names(did));
        assert_eq!(would["label"], did["label"]);
        assert_eq!(would["requested"]["limit"], did["requested"]["limit"]);
        assert_eq!(
            (&would["hash"], &would["limit"], &would["state"]),
            (&Value::Null, &Value::Null, &json!("unknown"))
        );
    }
}

#[test]
fn errors_of_a_plan_are_listed_in_order_and_nothing_is_created() {
    let home = SandboxHome::new();
    let text = "[[key]]\nlabel = \"a\"\nlimt = 5\n[[key]]\nlabel = \"a\"\n";
    let (code, out, err) = home.run(&["apply", &home.write_plan(text), "--json"]);
    assert_eq!(code, 2);
    let first = err.find("line 3, column 1: unknown field 'limt'").unwrap();
    let second =
        err.find("line 5, column 9: the label 'a' is already used, at line 2, column 9").unwrap();
    assert!(
        first < second && err.contains("has 2 errors") && err.contains("did you mean limit?"),
        "{err}"
    );
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["error"]["code"], 2);
    let many: String = (0..50).map(|n| format!("x{n} = 1")).collect::<Vec<_>>().join("\n");
    let (_, _, err) = home.run(&["apply", &home.write_plan(many)]);
    assert!(err.contains("and 30 more"), "{err}");
    let (code, _, err) = home.run(&["apply", "/nonexistent/plan.toml"]);
    assert!(code == 2 && err.contains("cannot be read"), "{err}");
    assert_eq!(home.run(&["apply", &home.write_plan("")]).1, "the plan lists no keys\n");
    assert!(!home.data().exists());
}

#[test]
fn a_key_that_may_have_been_issued_is_not_requested_again() {
    let home = SandboxHome::new();
    fs::create_dir(home.data()).unwrap();
    let attempt = json!({
        "id": "0123456789abcdef0123456789abcdef", "at": "2026-11-25T10:00:00Z", "label": "b b",
        "server": home.sandbox.url(), "stage": "unresolved", "store": "memory",
    });
    let journal = json!({"version": 1, "attempts": [attempt]}).to_string();
    fs::write(home.data().join("journal.json"), journal).unwrap();
    let plan = home.write_plan(THREE);
    let (code, out, err) = home.run(&["apply", &plan, "--dry-run"]);
    assert_eq!(code, 7);
    assert!(
        out.contains("!  b b    failed: a key may have been created")
            && out.contains("2 to create, 1 failed"),
        "{out}"
    );
    let (code, out, err_2) = home.run_with_management_key(&["apply", &plan, "--yes", "--json"]);
    assert_eq!(code, 7, "{err_2}");
    assert!(err.contains("dismiss") && err_2.contains("may have been created"), "{err} {err_2}");
    let done: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (labels(&done, "created"), labels(&done, "failed")),
        (vec!["a".to_owned(), "c".into()], vec!["b b".into()])
    );
    assert!(done["failed"][0]["error"].as_str().unwrap().contains("may have been created"));
    assert_eq!(home.run_with_management_key(&["apply", &plan, "--yes"]).0, 7, "and again");
}

/// Runs a command and answers each consent page whose address it prints; writes the codes to its
/// standard input.
fn run_with_consents(
    home: &SandboxHome,
    arguments: &[&str],
    decide: impl Fn(&str) -> bool,
) -> (i32, String, String) {
    let mut child = home.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stderr_text = String::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        if line.starts_with("http")
            && let Some(code) = sandbox::answer_consent(&line, decide(&line)).unwrap()
        {
            writeln!(stdin, "{code}").unwrap();
        }
        stderr_text.push_str(&line);
        stderr_text.push('\n');
    }
    let (code, out, _) = decode_output(&child.wait_with_output().unwrap());
    (code, out, stderr_text)
}

#[test]
fn without_a_terminal_consents_are_requested_one_at_a_time() {
    let home = SandboxHome::new();
    let plan = home.write_plan(THREE);
    let refuse_b = |address: &str| !address.contains("key_label=b");
    let arguments = ["apply", &plan, "--yes", "--no-open", "--json"];
    let (code, out, err) = run_with_consents(&home, &arguments, refuse_b);
    assert_eq!(code, 5, "{err}");
    let done: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (labels(&done, "created"), labels(&done, "failed")),
        (vec!["a".to_owned(), "c".into()], vec!["b b".into()])
    );
    assert!(done["failed"][0]["error"].as_str().unwrap().contains("denied"), "{done}");
    assert!(err.contains("2 of 3: b b") && err.contains("3 of 3: c"), "{err}");
    // The remaining key, with piped codes.
    let (code, out, err) =
        run_with_consents(&home, &["apply", &plan, "--yes", "--no-browser"], |_| true);
    assert_eq!(code, 0, "{err}");
    assert!(out.ends_with("1 created, 2 unchanged\n"), "{out}");
    assert!(!err.contains('█') && !err.contains('\u{1b}'), "no picture without a terminal: {err}");
}

#[test]
fn a_pipe_without_codes_stops_the_batch() {
    let home = SandboxHome::new();
    let (code, out, err) = home.run(&["apply", &home.write_plan(THREE), "--yes", "--no-browser"]);
    assert_eq!(code, 5);
    assert!(err.contains("no further code was entered"), "{err}");
    assert!(
        out.contains("!  c      not started") && out.contains("1 failed, 2 not started"),
        "{out}"
    );
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let home = SandboxHome::new();
    let keys: Vec<String> = (0..20_000).map(|n| format!("[[key]]\nlabel = \"k{n}\"")).collect();
    let plan = home.write_plan(keys.join("\n"));
    let mut child = home.command(&["apply", &plan, "--dry-run"]).spawn().unwrap();
    drop(child.stdout.take());
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(0), ""));
}

#[test]
fn over_ssh_a_code_or_a_tunnel_is_used() {
    let home = SandboxHome::new();
    let ssh = |arguments: &[&str]| {
        let mut command = home.command(arguments);
        command.env("SSH_CONNECTION", "192.0.2.1 50000 192.0.2.2 2222").env("USER", "me");
        command.env_remove("BROWSER");
        let mut child = command.spawn().unwrap();
        let mut stderr_text = String::new();
        for line in BufReader::new(child.stderr.take().unwrap()).lines() {
            let line = line.unwrap();
            stderr_text.push_str(&line);
            stderr_text.push('\n');
            if line.starts_with("http") {
                let _ = sandbox::answer_consent(&line, true);
            }
        }
        child.wait().unwrap();
        stderr_text
    };
    let stderr_text = ssh(&["new", "x"]);
    assert!(
        stderr_text.contains("no browser is available (over SSH)")
            && stderr_text.contains("paste the code"),
        "{stderr_text}"
    );
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
        .to_string();
    let stderr_text = ssh(&["new", "x", "--callback-port", &port]);
    let tunnel = format!("\nssh -p 2222 -L {port}:127.0.0.1:{port} me@192.0.2.2\n");
    assert!(stderr_text.contains(&tunnel) && stderr_text.contains("callback_url"), "{stderr_text}");
}

#[test]
fn a_key_without_a_stored_secret_authorises_nothing() {
    let home = SandboxHome::new();
    let secret = home.sandbox.seed_keys().remove(0).secret;
    let mine = stored_key(home.sandbox.url(), "mine", &secret, StoreKind::Memory);
    home.home.add_to_inventory(&[mine]);
    // The key is in the inventory but not in this run's memory store, so consent is requested.
    let (code, _, err) = home.run(&["apply", &home.write_plan(THREE), "--yes"]);
    assert_eq!(code, 5, "{err}");
    assert!(err.contains("paste the code"), "{err}");
}

#[test]
fn a_key_whose_creation_ended_before_its_guardrail_gets_it_when_the_plan_is_applied_again() {
    let home = SandboxHome::new();
    let plan = home.write_plan("[[key]]\nlabel = \"ci\"\nguardrail = \"research\"\n");
    let (code, out, err) = home.run_with_management_key(&["apply", &plan, "--yes"]);
    assert_eq!(code, 0, "{out}{err}");
    let path = home.data().join("inventory.json");
    let read = || -> Value { serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap() };
    let guardrail = read()["keys"][0]["guardrail"].clone();
    assert_eq!(guardrail["name"], "research");
    // As a kill between the creation and the assignment leaves it.
    let edit = ["edit", "ci", "--guardrail", "none", "--yes"];
    let (code, _, err) = home.run_with_management_key(&edit);
    assert_eq!(code, 0, "{err}");
    let mut inventory = read();
    inventory["keys"][0]["requested"]["guardrail"] = guardrail.clone();
    fs::write(&path, inventory.to_string()).unwrap();
    let (code, out, err) = home.run_with_management_key(&["apply", &plan, "--yes"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(
        out.contains("unchanged") && err.contains("'ci' is under its guardrail 'research' now"),
        "{out}{err}"
    );
    assert_eq!(read()["keys"][0]["guardrail"], guardrail);
    let (_, out, err) = home.run_with_management_key(&["guardrail", "show", "research"]);
    assert!(out.contains("ci"), "{out}{err}");
}

#[test]
fn the_last_line_says_for_how_many_keys_what_was_done() {
    let numbered = |count: usize| {
        let keys: Vec<_> = (0..count).map(|n| format!("[[key]]\nlabel = \"k{n}\"\n")).collect();
        keys.concat()
    };
    for (fault, code, expected) in [
        (
            Fault::Respond(401, r#"{"error":{"message":"no"}}"#.into()),
            1,
            "2 keys were created and stored, 2 failed, 1 was not started; for 'k2': no key was created",
        ),
        (Fault::TruncateResponse, 7, "2 keys were created and stored, 2 failed, 1 was not started"),
        (Fault::RateLimit(0), 6, "2 keys were created and stored, 1 failed, 2 were not started"),
    ] {
        let home = SandboxHome::new();
        let proxy = Proxy::before(home.sandbox.url());
        let creates = std::sync::atomic::AtomicUsize::new(0);
        proxy.set_rule(move |request| {
            let is_create = request.starts_with("POST /api/v1/keys");
            let earlier = usize::from(is_create);
            let earlier = creates.fetch_add(earlier, std::sync::atomic::Ordering::SeqCst);
            if is_create && earlier >= 2 { fault.clone() } else { Fault::Pass }
        });
        let plan = home.write_plan(numbered(5));
        let (actual, out, err) = home.run_with_management_key(&[
            "--server",
            &proxy.url,
            "--retries",
            "0",
            "apply",
            &plan,
            "--yes",
        ]);
        assert_eq!(actual, code, "{out}{err}");
        assert!(err.contains(expected), "{expected}: {err}");
        assert!(out.contains("2 created") && out.contains("not started\n"), "{out}");
    }
}

#[test]
fn a_key_in_another_store_than_the_planned_one_is_moved_and_not_replaced() {
    let home = SandboxHome::new();
    let plan = home.write_plan("[[key]]\nlabel = \"a\"\nlimit = 5\n");
    let (code, _, err) = home.run_with_management_key(&["apply", &plan, "--yes"]);
    assert_eq!(code, 0, "{err}");
    let plan = home.write_plan("[defaults]\nstore = \"file\"\n[[key]]\nlabel = \"a\"\nlimit = 5\n");
    for arguments in [&["apply", &plan][..], &["apply", &plan, "--replace", "--yes"]] {
        let (code, out, err) = home.run_with_management_key(arguments);
        assert_eq!(code, 0, "{err}");
        assert!(out.contains("a      differs: store is memory, the plan says file\n"), "{out}");
        assert!(err.contains("store move --to file a"), "{err}");
        assert!(!err.contains("--replace") && !out.contains("replaced"), "{out}{err}");
    }
    let (_, out, _) = home.run(&["apply", &plan, "--json"]);
    let document: Value = serde_json::from_str(&out).unwrap();
    let key = &document["differing"][0];
    assert_eq!(
        (&key["differences"], &key["planned"]["store"]),
        (&json!(["store"]), &json!("file"))
    );
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_the_replacement_of_keys_after_the_one_that_is_under_way() {
    use std::sync::{Arc, OnceLock};

    use rustix::process::{Pid, Signal, kill_process};

    let home = SandboxHome::new();
    let proxy = Proxy::before(home.sandbox.url());
    let passphrase = home.home.add_file_store();
    let run = |arguments: &[&str]| {
        let mut command = home.command(arguments);
        command.env("KEYWRIGHT_SERVER", &proxy.url).env("KEYWRIGHT_STORE", "file");
        command.env("KEYWRIGHT_PASSPHRASE_FILE", &passphrase);
        command.env("OPENROUTER_MANAGEMENT_KEY", home.sandbox.management_key());
        command.spawn().unwrap()
    };
    let plan = home.write_plan(THREE);
    assert_eq!(run(&["apply", &plan, "--yes"]).wait().unwrap().code(), Some(0));
    let changed = THREE.replace("limit = 5", "limit = 20").replace("limit = \"none\"", "limit = 7");
    let plan = home.write_plan(changed);
    let pid = Arc::new(OnceLock::new());
    let of_child = Arc::clone(&pid);
    proxy.set_rule(move |request| {
        if request.starts_with("POST /api/v1/keys") {
            kill_process(*of_child.wait(), Signal::INT).unwrap();
        }
        Fault::Pass
    });
    let child = run(&["apply", &plan, "--replace", "--yes"]);
    pid.set(Pid::from_child(&child)).unwrap();
    let (code, out, err) = decode_output(&child.wait_with_output().unwrap());
    assert_eq!(code, 5, "{out}{err}");
    assert!(out.ends_with("2 not started\n") && !out.contains("differs"), "{out}");
    assert!(err.contains("2 were not started"), "{err}");
    assert_eq!(proxy.count("POST"), 4, "{err}");
}
