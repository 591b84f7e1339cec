//! `keywright env`: prints shell commands that set environment variables to keys.

use std::io::{self, IsTerminal};

use clap::{Args, ValueEnum};
use secrecy::ExposeSecret;
use secrecy::zeroize::Zeroizing;

use super::get::load_secret;
use crate::cli::env_mapping::{DEFAULT_VARIABLE, parse_mappings};
use crate::cli::output::{has_stored_key, print, print_error};
use crate::domain::{UserError, quote_posix};
use crate::services::provision::ServiceContext;

pub(in crate::cli) const LONG_ABOUT: &str = "\
Print shell commands that set environment variables to keys, quoted for that shell. In \
PowerShell:

  keywright env ci --shell pwsh | Out-String | Invoke-Expression

Every program started from that shell can then read the keys. `keywright run` passes a key to \
one program only.";

/// Arguments of `env`.
#[derive(Args, Debug)]
pub struct EnvArgs {
    /// The keys, each LABEL or ENV=LABEL; only one may be without a variable
    #[arg(required = true, value_name = "LABEL")]
    labels: Vec<String>,
    /// The shell or file format
    #[arg(long, value_enum)]
    shell: ShellSyntax,
}

/// A shell or file format.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum ShellSyntax {
    Bash,
    Zsh,
    Fish,
    Pwsh,
    Dotenv,
}

impl EnvArgs {
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        let mappings =
            parse_mappings(self.labels.iter().map(String::as_str), DEFAULT_VARIABLE, |label| {
                has_stored_key(services, label)
            })?;
        let mut lines = Zeroizing::new(String::new());
        for mapping in &mappings {
            let key = load_secret(services, &mapping.label)?;
            #[expect(clippy::disallowed_methods, reason = "prints the key")]
            let line = format_assignment(self.shell, &mapping.variable, key.expose_secret());
            lines.push_str(&line.ok_or_else(|| dotenv_error(&mapping.label))?);
        }
        warn_about_plaintext();
        print(&lines)
    }
}

fn dotenv_error(label: &str) -> UserError {
    UserError::failed(
        format!("the key '{label}' cannot be written to a dotenv file"),
        "pass the key without a file: keywright run LABEL -- COMMAND",
    )
    .with_meaning("programs read its special characters from such a file in different ways")
}

/// Warns where the keys are printed to a terminal or a file. A pipe to a shell is the intended use.
fn warn_about_plaintext() {
    if io::stdout().is_terminal() {
        print_error(
            "the key is now on the screen and in the terminal's scrollback; keywright run LABEL -- COMMAND does not show it",
        );
    } else if is_stdout_a_file() {
        print_error(
            "the file now contains the key in plaintext; keywright run LABEL -- COMMAND needs no file",
        );
    }
}

#[cfg(unix)]
fn is_stdout_a_file() -> bool {
    use rustix::fs::{FileType, fstat};
    fstat(io::stdout()).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_file())
}

#[cfg(not(unix))]
fn is_stdout_a_file() -> bool {
    false
}

/// Formats a line that sets a variable; `None` where readers of the format disagree on its meaning.
fn format_assignment(shell: ShellSyntax, variable: &str, value: &str) -> Option<String> {
    Some(match shell {
        ShellSyntax::Bash | ShellSyntax::Zsh => {
            format!("export {variable}={}\n", quote_posix(value))
        }
        ShellSyntax::Fish => format!("set -gx {variable} {}\n", quote_fish(value)),
        ShellSyntax::Pwsh => format!("$env:{variable} = {}\n", quote_powershell(value)),
        ShellSyntax::Dotenv => format!("{variable}={}\n", quote_dotenv(value)?),
    })
}

/// Quotes `value` for fish, where `\` escapes a quote and itself between single quotes.
fn quote_fish(value: &str) -> String {
    format!("'{}'", value.replace('\\', r"\\").replace('\'', r"\'"))
}

/// Quotes `value` for PowerShell, where a doubled quote is one quote. PowerShell also treats
/// typographic quotes as quotes.
fn quote_powershell(value: &str) -> String {
    let mut quoted = String::from("'");
    for c in value.chars() {
        quoted.push(c);
        if matches!(c, '\'' | '\u{2018}'..='\u{201b}') {
            quoted.push(c);
        }
    }
    quoted.push('\'');
    quoted
}

/// Quotes `value` for a dotenv file. Readers interpret double quotes in different ways, so only plain
/// text is put between them; `None` where the value cannot be quoted.
fn quote_dotenv(value: &str) -> Option<String> {
    if value.contains(['\n', '\r']) {
        return None;
    }
    if !value.contains('\'') {
        return Some(format!("'{value}'"));
    }
    (!value.contains(['"', '\\', '$', '`'])).then(|| format!("\"{value}\""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_shell_has_its_own_syntax() {
        let key = "sk-or-v1-0";
        for (shell, expected) in [
            (ShellSyntax::Bash, "export A='sk-or-v1-0'\n"),
            (ShellSyntax::Zsh, "export A='sk-or-v1-0'\n"),
            (ShellSyntax::Fish, "set -gx A 'sk-or-v1-0'\n"),
            (ShellSyntax::Pwsh, "$env:A = 'sk-or-v1-0'\n"),
            (ShellSyntax::Dotenv, "A='sk-or-v1-0'\n"),
        ] {
            assert_eq!(format_assignment(shell, "A", key).as_deref(), Some(expected));
        }
    }

    #[test]
    fn quotes_within_a_value_are_escaped() {
        let odd = "it's \\ $HOME \"`x`\" ’\n";
        assert_eq!(quote_posix(odd), "'it'\\''s '\\\\' $HOME \"`x`\" ’\n'");
        assert_eq!(quote_fish(odd), "'it\\'s \\\\ $HOME \"`x`\" ’\n'");
        assert_eq!(quote_powershell(odd), "'it''s \\ $HOME \"`x`\" ’’\n'");
    }

    #[test]
    fn dotenv_values_are_only_those_that_all_readers_agree_on() {
        assert_eq!(quote_dotenv("a $b \\ \"c\"").as_deref(), Some("'a $b \\ \"c\"'"));
        assert_eq!(quote_dotenv("it's").as_deref(), Some("\"it's\""));
        for odd in ["it's $b", "it's \"b\"", "'\\", "two\nlines", "\r"] {
            assert_eq!(quote_dotenv(odd), None, "{odd}");
        }
    }

    /// Parses a word as a POSIX shell does, where it is quoted with `'` and `\` only.
    fn read_posix(quoted: &str) -> String {
        let (mut value, mut inside, mut chars) = (String::new(), false, quoted.chars());
        while let Some(c) = chars.next() {
            match c {
                '\'' => inside = !inside,
                '\\' if !inside => value.extend(chars.next()),
                c => {
                    assert!(inside, "{c} is not quoted");
                    value.push(c);
                }
            }
        }
        assert!(!inside);
        value
    }

    proptest! {
        #[test]
        fn a_shell_parses_a_quoted_value_unchanged(value in any::<String>()) {
            prop_assert_eq!(read_posix(&quote_posix(&value)), value);
        }

        #[test]
        fn fish_and_powershell_values_have_no_unescaped_quote(value in any::<String>()) {
            let inner = quote_fish(&value);
            let inner = &inner[1..inner.len() - 1];
            let bare = inner.replace(r"\\", "").replace(r"\'", "");
            prop_assert!(!bare.contains('\'') && !bare.ends_with('\\'), "{}", inner);
            let inner = quote_powershell(&value);
            let inner = &inner[1..inner.len() - 1];
            for quote in ['\'', '\u{2018}', '\u{2019}', '\u{201a}', '\u{201b}'] {
                prop_assert_eq!(inner.replace(&[quote; 2].iter().collect::<String>(), "").matches(quote).count(), 0);
            }
        }
    }
}
