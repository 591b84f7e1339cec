//! Keys found in plaintext files and variables.

use super::*;

#[test]
fn plaintext_keys_are_reported_with_their_owner_and_only_masked() {
    let home = Home::new();
    let sandbox = Sandbox::start(&Options { port: 0, key_count: 4 }).unwrap();
    let key = |label: &str| {
        sandbox.seed_keys().into_iter().find(|seed| seed.label == label).unwrap().secret
    };
    let unknown = format!("sk-or-v1-{}", "ab12".repeat(16));
    home.write_inventory(sandbox.url(), &[("ci", &key("ci")), ("old one", &key("notebook"))]);
    home.write(".zshrc", &format!("a\nb\nexport OPENROUTER_API_KEY={}\n", key("ci")));
    home.write(".codex/auth.json", &format!("{{\"key\": \"{}\"}}", key("notebook")));
    home.write("work/a/.env", &format!("K={}\nL={unknown}\n", key("agent")));
    home.write(&format!("work/{unknown}"), sandbox.management_key());
    let management = [("OPENROUTER_MANAGEMENT_KEY", sandbox.management_key())];
    let work = home.0.path().join("work");
    let arguments = [
        "--store",
        "memory",
        "--server",
        sandbox.url(),
        "--json",
        "--search",
        work.to_str().unwrap(),
    ];
    let (_, out, err) = home.doctor(&arguments, &management);
    let mut messages: Vec<_> =
        checks(&out, "plaintext keys").into_iter().map(|check| check.1).collect();
    let masked = |key: &str| ApiKey::from(key.to_owned()).masked();
    let mut expected = vec![
        format!(
            "your `ci` key is in plaintext in ~/.zshrc line 3; it is live ({})",
            masked(&key("ci"))
        ),
        format!(
            "your `old one` key is in plaintext in ~/.codex/auth.json line 1; it no longer works or is disabled ({})",
            masked(&key("notebook"))
        ),
        format!(
            "your account's `agent` key is in plaintext in ~/work/a/.env line 1; it is live ({})",
            masked(&key("agent"))
        ),
        format!(
            "a key that is not stored here is in plaintext in ~/work/a/.env line 2; not checked at the server ({})",
            masked(&unknown)
        ),
        format!(
            "your management key is in plaintext in ~/work/{} line 1; it is live ({})",
            masked(&unknown),
            masked(sandbox.management_key())
        ),
        "on 5 lines in 4 files scanned".into(),
    ];
    messages.sort();
    expected.sort();
    assert_eq!(messages, expected);
    for whole in [&key("ci"), &key("notebook"), &key("agent"), &unknown] {
        assert!(!out.contains(whole.as_str()) && !err.contains(whole.as_str()));
    }
    assert!(!out.contains(sandbox.management_key()));
    let document: Value = serde_json::from_str(&out).unwrap();
    let found = document["checks"].as_array().unwrap().iter().find(|check| check["label"] == "ci");
    let found = found.unwrap();
    assert_eq!((&found["line"], &found["live"]), (&json!(3), &json!(true)));
    assert!(found["path"].as_str().unwrap().ends_with("/.zshrc"));
    let advice = found["advice"].as_str().unwrap();
    assert!(
        advice.starts_with("replace the key: keywright --server http://127.0.0.1:"),
        "{advice}"
    );
    assert!(advice.contains(" rotate ci,"), "{advice}");
}

#[test]
fn an_unknown_key_is_not_sent_to_the_server() {
    let home = Home::new();
    let (url, requests) = start_server("401 Unauthorized");
    let (mine, unknown) = ("ab12".repeat(16), "cd34".repeat(16));
    home.write_inventory(&url, &[("mine", &format!("sk-or-v1-{mine}"))]);
    home.write(".env", &format!("A=sk-or-v1-{mine}\nB=sk-or-v1-{unknown}\n"));
    home.doctor(&["--store", "memory", "--server", &url], &[]);
    let requests = requests.lock().unwrap();
    assert!(requests.contains(&mine) && !requests.contains(&unknown), "{requests}");
}

#[test]
fn a_missing_search_directory_fails_with_its_path() {
    let home = Home::new();
    let (code, out, _) = home.doctor(&["--sandbox", "--search", "/no/such", "--json"], &[]);
    assert_eq!(code, 1);
    assert_eq!(
        checks(&out, "plaintext keys"),
        [("fail".into(), "cannot scan /no/such: no such file or directory".into())]
    );
}
