//! Commands that pass keys to programs, and the interface for scripts and shells. They run with
//! `--sandbox`, so that no test uses the keychain.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "cli_run/helpers.rs"]
mod helpers;
#[path = "support/home.rs"]
mod home;

use home::{Home, stored_key};
use keywright::domain::{StoreKind, StoredKey};

const SERVER: &str = "https://openrouter.ai";

/// Returns a key in the keychain.
fn keychain_key(server: &str, label: &str) -> StoredKey {
    stored_key(server, label, &format!("sk-or-v1-{label}-{server}"), StoreKind::Keychain)
}

/// Labels that are special to shells, options or lists.
const ODD: [&str; 12] = [
    "my key",
    "it's",
    "say \"hi\"",
    "a=b",
    "a,b",
    "--",
    "--help",
    "-x",
    "a\\b",
    "$HOME `x`",
    "🔑 é",
    "*?[~]#;&|",
];

#[cfg(unix)]
mod unix {
    use std::fs;
    use std::process::{Command, Stdio};

    use super::home::decode_output;
    use super::*;

    #[test]
    fn the_key_is_in_the_programs_environment_and_in_no_argument() {
        let script = "echo \"$OPENROUTER_API_KEY\"; cat /proc/$$/cmdline /proc/$PPID/cmdline";
        let (code, out, err) =
            Home::new().run_in_sandbox(&["run", "laptop", "--", "sh", "-c", script]);
        assert_eq!((code, err.as_str()), (0, ""));
        assert!(out.starts_with("sk-or-v1-"), "{out}");
        assert_eq!(out.matches("sk-or-").count(), 1, "{out}");
    }

    #[test]
    fn the_program_gets_no_secret_of_keywright_unless_asked_for() {
        let home = Home::new();
        let script =
            "env | grep -cE '^(OPENROUTER_MANAGEMENT_KEY|KEYWRIGHT_PASSPHRASE|BAO_|VAULT_)'";
        for (option, count) in [(None, "0\n"), (Some("--keep-env"), "6\n")] {
            let mut arguments = vec!["--sandbox", "run", "laptop"];
            arguments.extend(option);
            arguments.extend(["--", "sh", "-c", script]);
            let mut command = home.command(&arguments);
            command
                .env("OPENROUTER_MANAGEMENT_KEY", "sk-or-v1-management")
                .env("KEYWRIGHT_PASSPHRASE_FILE", "/dev/null")
                .env("KEYWRIGHT_PASSPHRASE", "correct horse")
                .envs(["BAO_TOKEN", "VAULT_TOKEN"].map(|name| (name, "token")))
                .env("KEYWRIGHT_PASSPHRASE_FD", "7");
            let (_, out, err) = decode_output(&command.output().unwrap());
            assert_eq!((out.as_str(), err.as_str()), (count, ""), "{option:?}");
        }
    }

    #[test]
    fn json_after_the_label_of_run_belongs_to_the_program() {
        for arguments in [
            vec!["run", "--no-such", "x", "--", "program", "--json"],
            vec!["run", "--no-such", "x", "program", "--json"],
        ] {
            let (code, out, err) = Home::new().run_in_sandbox(&arguments);
            assert_eq!((code, out.as_str()), (2, ""), "{err}");
        }
        let (code, out, _) = Home::new().run_in_sandbox(&["list", "--no-such", "--json"]);
        assert_eq!(code, 2);
        assert!(out.contains("\"error\""), "{out}");
    }

    #[test]
    fn each_key_gets_its_own_variable() {
        let script = "echo ${#A} ${#B} ${#C} ${#OPENROUTER_API_KEY}; test \"$A\" != \"$B\"";
        for labels in [vec!["laptop,B=ci,C=agent", "--env", "A"], vec!["A=laptop,B=ci,C=agent"]] {
            let mut arguments = vec!["run"];
            arguments.extend(labels);
            arguments.extend(["--", "sh", "-c", script]);
            let (code, out, err) = Home::new().run_in_sandbox(&arguments);
            assert_eq!((code, out.as_str(), err.as_str()), (0, "73 73 73 0\n", ""));
        }
    }

    #[test]
    fn run_exits_with_the_programs_code() {
        let home = Home::new();
        for (script, code) in [("exit 42", 42), ("kill -KILL $$", 137), ("kill -TERM $$", 143)] {
            assert_eq!(
                home.run_in_sandbox(&["run", "laptop", "--", "sh", "-c", script]).0,
                code,
                "{script}"
            );
        }
    }

    /// Signals, limits and open files are the same as without Keywright.
    #[cfg(target_os = "linux")]
    #[test]
    fn the_program_inherits_no_signals_limits_or_files_from_keywright() {
        let home = Home::new();
        let script = "grep -E '^(Sig(Blk|Ign|Cgt)|NoNewPrivs|Seccomp:)' /proc/self/status; cat /proc/self/limits; \
            for fd in /proc/self/fd/*; do echo \"$fd\"; done; umask";
        let mut alone = Command::new("sh");
        alone.args(["-c", script]);
        home.set_environment(&mut alone);
        // The C library reserves signals 32 and 33, and does not always ignore them.
        let known = |(code, out, err): (i32, String, String)| {
            let lines: Vec<String> = out
                .lines()
                .map(|line| match line.strip_prefix("SigIgn:\t") {
                    Some(set) => {
                        let set = u64::from_str_radix(set, 16).unwrap() & !(3 << 31);
                        format!("SigIgn {set:x}, SIGPIPE {}", set >> 12 & 1)
                    }
                    None => line.into(),
                })
                .collect();
            (code, lines, err)
        };
        let alone = known(decode_output(&alone.output().unwrap()));
        assert!(alone.1.iter().any(|line| line.ends_with("SIGPIPE 0")), "{alone:?}");
        assert_eq!(known(home.run_in_sandbox(&["run", "laptop", "--", "sh", "-c", script])), alone);
    }

    #[test]
    fn the_program_reads_standard_input() {
        let home = Home::new();
        let mut command = home.command(&["--sandbox", "run", "laptop", "--", "cat"]);
        let path = home.path().join("input");
        fs::write(&path, "untouched\n").unwrap();
        let output = command.stdin(fs::File::open(path).unwrap()).output().unwrap();
        assert_eq!(decode_output(&output), (0, "untouched\n".into(), String::new()));
    }

    #[test]
    fn a_program_that_cannot_be_run_has_the_exit_code_of_a_shell() {
        let home = Home::new();
        for (program, expected) in
            [("no-such-program", 127), ("/no/such", 127), ("/etc", 126), ("/etc/passwd", 126)]
        {
            let (code, out, err) = home.run_in_sandbox(&["run", "laptop", "--", program]);
            assert_eq!((code, out.as_str()), (expected, ""), "{program}: {err}");
            assert!(err.contains("the key was not exposed"), "{err}");
        }
    }

    #[test]
    fn a_label_may_follow_dashes_and_options_belong_to_the_program() {
        let home = Home::new();
        for arguments in [
            vec!["run", "laptop", "--", "echo", "-v", "--", "--env"],
            vec!["run", "--", "laptop", "--", "echo", "-v", "--", "--env"],
            vec!["run", "laptop", "echo", "-v", "--", "--env"],
        ] {
            assert_eq!(home.run_in_sandbox(&arguments), (0, "-v -- --env\n".into(), String::new()));
        }
    }

    #[test]
    fn verbose_prints_the_variables_unless_quiet() {
        let home = Home::new();
        let mut command = home.command(&[
            "--sandbox",
            "run",
            "-v",
            "laptop,NEW=ci",
            "--env",
            "OLD",
            "--",
            "true",
        ]);
        let (code, _, err) = decode_output(&command.env("OLD", "value").output().unwrap());
        assert_eq!(code, 0);
        assert_eq!(
            err,
            "keywright: OLD is set to the key 'laptop', replacing its previous value\nkeywright: NEW is set to the key 'ci'\n"
        );
        let (code, _, err) = home.run_in_sandbox(&["run", "-v", "--quiet", "laptop", "--", "true"]);
        assert_eq!((code, err.as_str()), (0, ""));
        let mut command = home.command(&["run", "-v", "laptop", "--", "true"]);
        command.env("KEYWRIGHT_QUIET", "1").env("KEYWRIGHT_SANDBOX", "yes");
        assert_eq!(decode_output(&command.output().unwrap()), (0, String::new(), String::new()));
    }

    #[test]
    fn env_warns_where_a_key_is_written_to_a_file() {
        let home = Home::new();
        let (code, out, err) = home.run_in_sandbox(&["env", "laptop", "B=ci", "--shell", "bash"]);
        assert_eq!((code, err.as_str()), (0, ""));
        assert!(out.starts_with("export OPENROUTER_API_KEY='sk-or-v1-"), "{out}");
        assert!(out.contains("'\nexport B='sk-or-v1-") && out.ends_with("'\n"), "{out}");
        let file = fs::File::create(home.path().join("env")).unwrap();
        let mut command = home.command(&["--sandbox", "env", "laptop", "--shell", "dotenv"]);
        let (code, _, err) = decode_output(&command.stdout(file).output().unwrap());
        assert_eq!(code, 0);
        assert!(err.contains("the file now contains the key in plaintext"), "{err}");
    }

    #[test]
    fn a_closed_pipe_is_not_an_error() {
        let home = Home::new();
        for arguments in [vec!["man"], vec!["completions", "bash"], vec!["--help"], vec!["list"]] {
            let mut command = home.command(&arguments);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            drop(child.stdout.take());
            let (code, _, err) = decode_output(&child.wait_with_output().unwrap());
            assert_eq!((code, err.as_str()), (0, ""), "{arguments:?}");
        }
    }
}

#[test]
fn invalid_or_duplicate_variables_are_wrong_usage() {
    let home = Home::new();
    for arguments in [
        vec!["run", "laptop", "--env", "A-B", "--", "true"],
        vec!["run", "laptop,1=ci", "--", "true"],
        vec!["run", "laptop,ci", "--", "true"],
        vec!["run", "A=laptop,A=ci", "--", "true"],
        vec!["run", "laptop,", "--", "true"],
        vec!["run", "laptop", "--"],
        vec!["run", "laptop"],
        vec!["env", "laptop"],
        vec!["env", "laptop", "ci", "--shell", "bash"],
        vec!["env", "A B=laptop", "--shell", "bash"],
        vec!["env", "laptop", "--shell", "tcsh"],
    ] {
        let (code, out, err) = home.run_in_sandbox(&arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {err}");
        assert!(!err.is_empty(), "{arguments:?}");
    }
}

#[test]
fn an_unknown_label_is_answered_with_similar_ones() {
    let home = Home::new();
    for arguments in [
        vec!["get", "lapto"],
        vec!["run", "lapto", "--", "true"],
        vec!["env", "Laptop", "--shell", "fish"],
        vec!["show", "laptob"],
        vec!["rm", "ci", "labtop", "--yes"],
    ] {
        let (code, out, err) = home.run_in_sandbox(&arguments);
        assert_eq!((code, out.as_str()), (3, ""), "{arguments:?}: {err}");
        assert!(err.contains("did you mean 'laptop'"), "{err}");
    }
}

#[test]
fn the_error_names_the_server_that_has_the_label() {
    let home = Home::new();
    home.add_to_inventory(&[
        keychain_key("https://other.example", "ci"),
        keychain_key(SERVER, "laptop"),
    ]);
    for command in ["get", "show"] {
        let (code, out, err) = home.run(&["--store", "memory", command, "ci"]);
        assert_eq!((code, out.as_str()), (3, ""), "{err}");
        assert!(err.contains("for https://openrouter.ai\n"), "{err}");
        assert!(err.contains("--server https://other.example"), "{err}");
    }
}

#[test]
fn several_keys_are_disabled_and_removed_at_once() {
    let home = Home::new();
    let (code, out, _) = home.run_in_sandbox(&["disable", "laptop", "agent", "laptop"]);
    assert_eq!((code, out.lines().count()), (0, 2), "{out}");
    let (code, out, _) = home.run_in_sandbox(&["rm", "laptop", "agent", "--revoke", "--yes"]);
    assert_eq!(code, 0);
    assert_eq!(
        out,
        "deleted laptop at OpenRouter and removed it here\ndeleted agent at OpenRouter and removed it here\n"
    );
}
