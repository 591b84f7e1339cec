//! `keywright new` against a sandbox.

use super::*;

/// Runs `new` against a sandbox, and answers the consent page at the address it prints.
fn run_with_consent(home: &Home, arguments: &[&str], approve: bool) -> Output {
    let mut child = home
        .command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut stderr_text = String::new();
    let address = loop {
        let mut line = String::new();
        assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "no address: {stderr_text}");
        stderr_text.push_str(&line);
        if line.starts_with("http") {
            break line.trim().to_owned();
        }
    };
    let code = keywright::sandbox::answer_consent(&address, approve).unwrap();
    let mut stdin = child.stdin.take().unwrap();
    if let Some(code) = code {
        writeln!(stdin, "{code}").unwrap();
    }
    drop(stdin);
    stderr.read_to_string(&mut stderr_text).unwrap();
    let mut output = child.wait_with_output().unwrap();
    output.stderr = stderr_text.into_bytes();
    output
}

#[test]
fn new_prints_the_key_only_with_print_key() {
    let home = Home::new();
    let sandbox = Sandbox::start(&home);
    let base = ["--server", &sandbox.url, "--store", "memory"];
    let mut arguments = vec!["new", "a b", "--limit", "5", "--reset", "weekly", "--expires", "30d"];
    arguments.extend(["--no-open", "--json"]);
    arguments.extend(base);
    let output = run_with_consent(&home, &arguments, true);
    let stderr_text = text(&output.stderr);
    assert!(output.status.success(), "{stderr_text}");
    let key: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&key["label"], &key["limit"], &key["limit_reset"]),
        (&"a b".into(), &5.0.into(), &"weekly".into())
    );
    assert_eq!(key["differences"], Value::Array(Vec::new()));
    assert!(
        key.get("key").is_none()
            && !text(&output.stdout).contains(&key["hash"].as_str().unwrap().repeat(2))
    );
    assert!(
        stderr_text.lines().any(|line| line.starts_with(&format!("{}/auth?", sandbox.url))),
        "{stderr_text}"
    );

    arguments.extend(["--print-key"]);
    arguments[1] = "second";
    let output = run_with_consent(&home, &arguments, true);
    let key: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(key["key"].as_str().unwrap().starts_with("sk-or-v1-"));
    assert!(!text(&output.stderr).contains(key["key"].as_str().unwrap()));
}

#[test]
fn a_code_can_be_piped_without_a_browser() {
    let home = Home::new();
    let sandbox = Sandbox::start(&home);
    let arguments = ["--server", &sandbox.url, "--store", "memory", "new", "ssh", "--no-browser"];
    let output = run_with_consent(&home, &arguments, true);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).starts_with("ssh  sk-or-v1-"));
    // The command ends when the pipe ends without a code.
    let mut arguments = arguments;
    arguments[5] = "ssh 2";
    assert!(home.run_failing(5, &arguments).contains("no code was entered"));
}

#[test]
fn a_refusal_is_code_5_in_json_too() {
    let home = Home::new();
    let sandbox = Sandbox::start(&home);
    let arguments =
        ["--server", &sandbox.url, "--store", "memory", "new", "x", "--no-open", "--json"];
    let output = run_with_consent(&home, &arguments, false);
    assert_eq!(output.status.code(), Some(5));
    let error: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(error["error"]["code"], 5);
}

#[test]
fn an_unreachable_server_is_code_6() {
    let home = Home::new();
    let sandbox = Sandbox::start(&home);
    let arguments = [
        "--server",
        &sandbox.url,
        "--store",
        "memory",
        "--retries",
        "0",
        "new",
        "x",
        "--no-browser",
    ];
    let mut child =
        home.command(&arguments).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("http") {
        line.clear();
        assert_ne!(stderr.read_line(&mut line).unwrap(), 0);
    }
    drop(sandbox);
    writeln!(child.stdin.take().unwrap(), "a-code").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(6));
}

#[test]
fn new_and_import_end_with_the_next_command() {
    let home = Home::new();
    let sandbox = Sandbox::start(&home);
    let passphrase = home.path().join("passphrase");
    fs::write(&passphrase, "a long passphrase\n").unwrap();
    let command = |label: &str| {
        let mut command = home.command(&["--store", "file", "new", "--", label]);
        command.env("KEYWRIGHT_SERVER", &sandbox.url).env("KEYWRIGHT_PASSPHRASE_FILE", &passphrase);
        command.env("OPENROUTER_MANAGEMENT_KEY", &sandbox.management_key);
        command
    };
    for (label, expected) in [
        ("it's; mine", r"keywright --store file run 'it'\''s; mine' -- COMMAND"),
        ("-x", "keywright --store file run -- '-x' -- COMMAND"),
    ] {
        let (code, out, err) = home::run(&mut command(label));
        assert_eq!(code, 0, "{err}");
        assert_eq!(out.lines().count(), 1, "{out}");
        assert!(err.ends_with(&format!("pass the key to a program: {expected}\n")), "{err}");
        // As it stands, with a program.
        let script = expected.replace("keywright", "\"$KW\"").replace("COMMAND", "printenv");
        let mut shell = std::process::Command::new("sh");
        home.set_environment(shell.args(["-c", &format!("{script} OPENROUTER_API_KEY")]));
        shell.env("KW", env!("CARGO_BIN_EXE_keywright")).env("KEYWRIGHT_SERVER", &sandbox.url);
        shell.env("KEYWRIGHT_PASSPHRASE_FILE", &passphrase);
        let (code, out, err) = home::run(&mut shell);
        assert_eq!(code, 0, "{err}");
        assert!(out.starts_with("sk-or-v1-"), "{out}");
    }
}
