//! Help, colours, wrong usage, and errors before any request.

use super::*;

#[test]
fn version_and_help_are_printed() {
    let home = Home::new();
    assert!(text(&home.output(&["--version"]).stdout).starts_with("keywright "));
    let help = text(&home.output(&["--help"]).stdout);
    for word in ["new", "list", "get", "rm", "sandbox", "Exit codes", "keywright help global"] {
        assert!(help.contains(word), "{word}");
    }
    for command in ["new", "list", "show", "get", "rm", "sandbox"] {
        assert!(home.output(&[command, "--help"]).status.success(), "{command}");
    }
    assert!(!home.data().exists(), "help touches nothing");
}

#[test]
fn color_options_and_variables_apply_to_help() {
    let home = Home::new();
    let is_colored = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = home.command(arguments);
        text(&command.envs(variables.iter().copied()).output().unwrap().stdout).contains('\u{1b}')
    };
    assert!(!is_colored(&["--help"], &[]) && is_colored(&["--help"], &[("CLICOLOR_FORCE", "1")]));
    assert!(is_colored(&["--color", "always", "list", "--help"], &[("NO_COLOR", "1")]));
    assert!(is_colored(&["--help", "--color=always"], &[]));
    assert!(!is_colored(&["--color=never", "--help"], &[("CLICOLOR_FORCE", "1")]));
}

#[test]
fn wrong_usage_names_the_valid_values() {
    let home = Home::new();
    assert!(home.run_failing(2, &["lst"]).contains("list"));
    assert!(home.run_failing(2, &["new"]).contains("give a label: keywright new LABEL"));
    for (arguments, expected) in [
        (["--limit", "0"], "above zero"),
        (["--limit", "-5"], "above zero"),
        (["--limit", "1e9"], "such as 10 or 12.50"),
        (["--limit", "12,50"], "with a point"),
        (["--limit", "0.001"], "two decimals"),
        (["--reset", "hourly"], "daily, weekly, monthly or never"),
        (["--limit=none", "--reset=daily"], "a reset needs a limit"),
        (["--expires", "2026-02-31"], "no such date"),
        (["--expires", "2020-01-01"], "future"),
        (["--expires", "9999-01-01"], "ten years"),
        (["--expires", "5x"], "30d"),
    ] {
        let mut all = vec!["new", "x"];
        all.extend(arguments);
        let stderr_text = home.run_failing(2, &all);
        assert!(stderr_text.contains(expected), "{arguments:?}: {stderr_text}");
    }
    for label in ["", "a\nb", "a\u{1b}[31mb", &"x".repeat(101)] {
        let stderr_text = home.run_failing(2, &["new", label]);
        assert!(stderr_text.contains("label") && !stderr_text.contains('\u{1b}'), "{stderr_text}");
    }
    assert!(!home.data().exists(), "nothing was written");
}

#[test]
fn an_unsafe_server_address_is_wrong_usage() {
    let home = Home::new();
    for server in
        ["http://example.com", "ftp://127.0.0.1", "https://me:pw@example.com", "openrouter.ai"]
    {
        let stderr_text = home.run_failing(2, &["--server", server, "list"]);
        assert!(!stderr_text.contains("pw"), "{stderr_text}");
    }
    let mut command = home.command(&["list"]);
    let output = command.env("KEYWRIGHT_SERVER", "http://example.com").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

/// Other systems always have a keychain.
#[cfg(all(unix, not(target_os = "macos")))]
#[test]
fn a_missing_keychain_is_code_4_before_any_request() {
    let home = Home::new();
    let began = std::time::Instant::now();
    let stderr_text = home.run_failing(4, &["new", "x", "--no-open"]);
    assert!(
        stderr_text.contains("bus") && stderr_text.contains("no key was created"),
        "{stderr_text}"
    );
    assert!(!stderr_text.contains("http"), "no address was shown: {stderr_text}");
    home.run_failing(4, &["get", "x"]);
    assert!(began.elapsed().as_secs() < 10);
}

#[test]
fn the_dashboard_needs_a_terminal() {
    let home = Home::new();
    let output = home.output(&["--sandbox"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("needs a terminal"));
    assert!(output.stdout.is_empty(), "the terminal is untouched");
}
