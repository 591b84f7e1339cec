//! `keywright doctor`: checks the setup and prints one line per check.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::cli::output::{print, print_json, print_status};
use crate::cli::repeated_options::complete_commands;
use crate::cli::run_async;
use crate::cli::table::terminal_width;
use crate::domain::{ErrorKind, UserError};
use crate::services::doctor::{
    self, DoctorProgress, HealthCheck, HealthStatus, KEYCHAIN_CHECK, Options,
};
use crate::services::provision::ServiceContext;

/// Arguments of `doctor`.
#[derive(Args, Debug)]
#[command(
    after_help = "Exit codes: 0 no check failed, 4 only the keychain check failed, 1 another check failed."
)]
pub struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
    /// Repair file modes, and rebuild the inventory from the keychain
    #[arg(long)]
    fix: bool,
    /// Also search these directories for keys in plaintext, besides the usual files in the home directory
    #[arg(long, value_name = "DIR", num_args = 1..)]
    search: Vec<PathBuf>,
}

impl DoctorArgs {
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        let options = Options { fix: self.fix, extra_paths: self.search.clone() };
        let (mut checks, mut written) = (Vec::new(), Ok(()));
        run_async(doctor::run_checks(services, &options, &mut |event| match event {
            DoctorProgress::Notice(text) => print_status(&text),
            DoctorProgress::CheckFinished(mut check) => {
                check.advice = complete_commands(&check.advice);
                if !self.json && written.is_ok() {
                    written = print(&format_health_check(&check, terminal_width()));
                }
                checks.push(check);
            }
        }))?;
        written?;
        if self.json {
            print_json(&json!({ "checks": checks }))?;
        }
        let failed: Vec<_> =
            checks.iter().filter(|check| check.status == HealthStatus::Fail).collect();
        let Some(first) = failed.first() else { return Ok(()) };
        let only_keychain = failed.len() == 1 && first.name == KEYCHAIN_CHECK;
        let names: Vec<_> = failed.iter().map(|check| check.name).collect();
        Err(UserError::new(
            if only_keychain { ErrorKind::SecretStore } else { ErrorKind::Failed },
            match names.len() {
                1 => format!("1 check failed: {}", names[0]),
                count => format!("{count} checks failed: {}", names.join(", ")),
            },
            "follow the advice given with each",
        ))
    }
}

fn format_health_check(check: &HealthCheck, width: Option<usize>) -> String {
    let status = match check.status {
        HealthStatus::Ok => "ok",
        HealthStatus::Warn => "warn",
        HealthStatus::Fail => "FAIL",
    };
    let mut text = wrap_hanging(&format!("{status:<5} {:<15} ", check.name), &check.message, width);
    if !check.advice.is_empty() {
        text += &wrap_hanging("", &check.advice, width);
    }
    text
}

/// The columns of a check's status and name.
const NAME_COLUMNS: usize = 22;

/// Returns a text after its name, wrapped at words and continued below its beginning on a terminal of
/// `width` columns.
fn wrap_hanging(name: &str, text: &str, width: Option<usize>) -> String {
    let indent = " ".repeat(NAME_COLUMNS);
    let rows = match width {
        Some(width) => {
            let options = textwrap::Options::new(width.saturating_sub(NAME_COLUMNS).max(20))
                .break_words(false)
                .word_splitter(textwrap::WordSplitter::NoHyphenation);
            textwrap::wrap(text, options)
        }
        None => vec![text.into()],
    };
    let names = std::iter::once(format!("{name:<NAME_COLUMNS$}")).chain(std::iter::repeat(indent));
    let lines = names.zip(rows).map(|(name, row)| format!("{name}{row}\n"));
    lines.collect::<Vec<_>>().concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_wrapped_at_words_below_its_beginning() {
        let check = HealthCheck {
            name: "browser",
            status: HealthStatus::Ok,
            message: "no browser can be opened: the address is shown instead, and you paste a code"
                .into(),
            advice: "set BROWSER".into(),
            location: None,
        };
        assert_eq!(
            format_health_check(&check, Some(60)),
            "ok    browser         no browser can be opened: the address\n                      \
             is shown instead, and you paste a code\n                      set BROWSER\n"
        );
        assert_eq!(format_health_check(&check, None).lines().count(), 2);
    }
}
