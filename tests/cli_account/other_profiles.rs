//! Keys that another profile stores too are named before anything happens to them.

use super::*;

/// Returns a home directory whose profile `work` stores the sandbox's key `ci` as `nightly`, and what
/// runs a command in the default profile, which stores it as `ci`.
fn with_two_profiles() -> (Home, Sandbox, String) {
    let home = Home::new();
    let sandbox = Sandbox::start(&Options { port: 0, key_count: 4 }).unwrap();
    let secret = sandbox.seed_keys().into_iter().find(|seed| seed.label == "ci").unwrap().secret;
    let config = home.path().join(".config/keywright");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("config.toml"), "[profiles.work]\n").unwrap();
    home.add_to_inventory(&[stored_key(sandbox.url(), "ci", &secret, StoreKind::Memory)]);
    let work = home.data().join("profiles/work");
    fs::create_dir_all(&work).unwrap();
    let key = stored_key(sandbox.url(), "nightly", &secret, StoreKind::Memory);
    let inventory = json!({"version": 1, "keys": [key]}).to_string();
    fs::write(work.join("inventory.json"), inventory).unwrap();
    (home, sandbox, secret)
}

#[test]
fn a_copy_in_another_profile_is_named_before_the_key_changes() {
    for (arguments, expected) in [
        (&["rm", "ci", "--revoke"][..], "it stops working there too; remove that copy: keywright"),
        (&["rm", "ci"], "that copy stays"),
        (&["panic", "ci"], "it stops working there too and is not replaced there"),
        (&["disable", "ci"], "it stops working there too"),
        (&["rotate", "ci", "--delete-old"], "--store memory rm --profile work --server http"),
    ] {
        let (home, sandbox, _) = with_two_profiles();
        let mut command = home.command(arguments);
        // The advice names the server, which the other profile may not have.
        command.args(["--store", "memory"]).env("KEYWRIGHT_SERVER", sandbox.url());
        command.env("OPENROUTER_MANAGEMENT_KEY", sandbox.management_key());
        let (_, _, err) = decode_output(&command.output().unwrap());
        let said = err.find("'ci' is also stored as 'nightly' in profile work: ");
        assert!(said.is_some() && err.contains(expected), "{arguments:?}: {err}");
        // Before the confirmation, which fails without a terminal.
        if let Some(question) = err.find("--yes") {
            assert!(said.unwrap() < question, "{arguments:?}: {err}");
        }
    }
}

#[test]
fn an_import_says_that_another_profile_has_the_key() {
    let (home, sandbox, secret) = with_two_profiles();
    let options = ["--server", sandbox.url(), "--store", "memory"];
    let import = [&["--profile", "team", "import", "third"][..], &options].concat();
    let config = home.path().join(".config/keywright/config.toml");
    fs::write(config, "[profiles.work]\n[profiles.team]\n").unwrap();
    let (code, out, err) = home.run_with_input(&import, &secret);
    assert_eq!(code, 0, "{out}{err}");
    for copy in ["'third' is also stored as 'ci' in profile default", "'nightly' in profile work"] {
        assert!(err.contains(copy), "{err}");
    }
}
