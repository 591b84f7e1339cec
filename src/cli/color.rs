//! When to use colours: the `--color` option and the environment.

use std::ffi::OsString;

/// Returns the value of the last `--color` before a `--`. Help and errors are printed before clap
/// has returned a value.
pub(super) fn find_color_option(args: &[OsString]) -> clap::ColorChoice {
    let mut choice = clap::ColorChoice::Auto;
    let mut args =
        args.iter().skip(1).filter_map(|arg| arg.to_str()).take_while(|arg| *arg != "--");
    while let Some(arg) = args.next() {
        let value = match arg.strip_prefix("--color") {
            Some("") => args.next(),
            Some(value) => value.strip_prefix('='),
            None => None,
        };
        choice = value.and_then(|value| value.parse().ok()).unwrap_or(choice);
    }
    choice
}

/// Returns whether to use colours: `--color` first, then `NO_COLOR`, then `CLICOLOR_FORCE`, as clap
/// does for help. A dumb terminal has none by default.
pub(super) fn is_color_enabled(
    choice: clap::ColorChoice,
    variable: impl Fn(&str) -> Option<OsString>,
) -> bool {
    let is_set = |name| variable(name).is_some_and(|value| !value.is_empty());
    match choice {
        clap::ColorChoice::Always => true,
        clap::ColorChoice::Never => false,
        clap::ColorChoice::Auto if is_set("NO_COLOR") => false,
        clap::ColorChoice::Auto => {
            let is_forced = is_set("CLICOLOR_FORCE")
                && variable("CLICOLOR_FORCE").as_deref() != Some("0".as_ref());
            is_forced || variable("TERM").as_deref() != Some("dumb".as_ref())
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::ColorChoice::{Always, Auto, Never};

    use super::*;

    #[test]
    fn color_follows_the_option_then_no_color_then_clicolor_force() {
        let enabled = |choice, variables: &[(&str, &str)]| {
            is_color_enabled(choice, |name| {
                variables.iter().find(|(other, _)| *other == name).map(|(_, value)| value.into())
            })
        };
        assert!(enabled(Auto, &[("TERM", "xterm")]) && enabled(Auto, &[("NO_COLOR", "")]));
        assert!(!enabled(Auto, &[("TERM", "dumb")]) && !enabled(Auto, &[("NO_COLOR", "1")]));
        assert!(enabled(Auto, &[("TERM", "dumb"), ("CLICOLOR_FORCE", "1")]));
        assert!(!enabled(Auto, &[("TERM", "dumb"), ("CLICOLOR_FORCE", "0")]));
        assert!(!enabled(Auto, &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]));
        assert!(
            enabled(Always, &[("NO_COLOR", "1")]) && !enabled(Never, &[("CLICOLOR_FORCE", "1")])
        );
    }
}
