//! The configured workspace and guardrail of new keys, by name.

use super::home::{SandboxHome, labels};
use super::*;

fn configure(home: &SandboxHome, workspace: &str, guardrail: &str) {
    let config = home.home.path().join(".config/keywright");
    fs::create_dir_all(&config).unwrap();
    let text = format!("[new]\nworkspace = \"{workspace}\"\nguardrail = \"{guardrail}\"\n");
    fs::write(config.join("config.toml"), text).unwrap();
}

fn shown(home: &SandboxHome, label: &str) -> Value {
    let (code, out, err) = home.run(&["show", label, "--json"]);
    assert_eq!(code, 0, "{err}");
    serde_json::from_str(&out).unwrap()
}

#[test]
fn new_keys_are_in_the_configured_workspace_and_under_the_configured_guardrail() {
    let home = SandboxHome::new();
    configure(&home, "research", "Research");
    let (code, _, err) = home.run_with_management_key(&["new", "a"]);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("workspace research, guardrail research"), "{err}");
    let key = shown(&home, "a");
    assert_eq!(key["guardrail"], json!("research"), "{key:#}");
    let workspace = key["requested"]["workspace_id"].as_str().unwrap().to_owned();
    // Without a request the names are those of the last list.
    let (_, out, _) = home.run(&["show", "a"]);
    assert!(out.contains(&format!("workspace  research ({workspace})")), "{out}");
    for option in ["--workspace", "--guardrail"] {
        let (_, out, _) = home.run(&["complete", "--", "new", "x", option]);
        assert!(out.contains("research\t"), "{option}: {out}");
        assert!(!out.contains(&workspace), "{option}: {out}");
    }

    let plan = "[[key]]\nlabel = \"b\"\n[[key]]\nlabel = \"c\"\nlimit = 2\n\
                [[key]]\nlabel = \"d\"\nworkspace = \"default\"\nguardrail = \"none\"\n";
    let plan = home.write_plan(plan);
    let (code, out, err) = home.run_with_management_key(&["apply", &plan, "--yes", "--json"]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(labels(&serde_json::from_str(&out).unwrap(), "created"), ["b", "c", "d"]);
    let key = shown(&home, "b");
    assert_eq!(
        (&key["guardrail"], &key["requested"]["workspace_id"]),
        (&json!("research"), &json!(workspace))
    );
    // The policy of a plan is complete by itself.
    for label in ["c", "d"] {
        let key = shown(&home, label);
        assert_eq!(
            (&key["guardrail"], &key["requested"]["workspace_id"]),
            (&json!(null), &json!(null))
        );
    }
    // What is stored does not differ where only the configuration changes.
    configure(&home, "default", "none");
    let (code, out, err) = home.run_with_management_key(&["apply", &plan, "--yes", "--json"]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(labels(&serde_json::from_str(&out).unwrap(), "unchanged"), ["b", "c", "d"]);
}

#[test]
fn a_configured_name_that_is_not_known_is_reported_with_its_place() {
    let home = SandboxHome::new();
    configure(&home, "reserch", "none");
    let plan = home.write_plan("[[key]]\nlabel = \"b\"\n");
    for arguments in [&["new", "a"][..], &["apply", &plan, "--yes"]] {
        let (code, _, err) = home.run_with_management_key(arguments);
        assert_eq!(code, 2, "{err}");
        let place = "new.workspace (configuration file, line 2): the account has no workspace 'reserch'; did you mean research?";
        assert!(err.contains(place), "{err}");
        // Without a management key the name cannot be found.
        let (code, _, err) = home.run(arguments);
        assert_eq!(code, 2, "{err}");
        let reason = "new.workspace (configuration file, line 2): a workspace by its name needs a management key";
        assert!(err.contains(reason) && err.contains("--workspace default"), "{err}");
    }
    configure(&home, "default", "research");
    let err = home.run(&["new", "a"]).2;
    let reason = "new.guardrail (configuration file, line 3): a guardrail needs a management key";
    assert!(err.contains(reason) && err.contains("--guardrail none"), "{err}");
    let options = ["new", "a", "--workspace", "default", "--guardrail", "none"];
    let (code, _, err) = home.run_with_management_key(&options);
    assert_eq!(code, 0, "{err}");
    assert_eq!(shown(&home, "a")["guardrail"], json!(null));
}
