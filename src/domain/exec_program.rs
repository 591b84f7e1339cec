//! The program of the store `exec:PROGRAM`.

use std::path::Path;

/// Longest name, in bytes.
const MAX_BYTES: usize = 300;

/// A program that stores secrets: a name on PATH, an absolute path, or a path that starts with `~/`.
/// A relative path would be another program in each working directory.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ExecProgram(Box<str>);

impl ExecProgram {
    /// What the name of the store starts with.
    pub const PREFIX: &str = "exec:";

    /// Parses the name of a store, `exec:PROGRAM`.
    pub fn parse(store_name: &str) -> Option<Self> {
        let program = store_name.strip_prefix(Self::PREFIX)?;
        let is_name = !program.contains(['/', '\\', '~']) && !matches!(program, "." | "..");
        let is_fixed_path = Path::new(program).is_absolute() || program.starts_with("~/");
        let is_valid = (is_name || is_fixed_path)
            && !program.is_empty()
            && program.trim() == program
            && store_name.len() <= MAX_BYTES
            && super::sanitize(store_name, MAX_BYTES) == store_name;
        is_valid.then(|| Self(store_name.into()))
    }

    /// Returns the name of the store, `exec:PROGRAM`.
    pub const fn store_name(&self) -> &str {
        &self.0
    }

    /// Returns the program as the user wrote it.
    pub fn as_str(&self) -> &str {
        self.0.strip_prefix(Self::PREFIX).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_the_same_in_every_directory() {
        for name in ["docker-credential-pass", "my helper", "~/bin/helper"] {
            let store = format!("exec:{name}");
            assert_eq!(ExecProgram::parse(&store).unwrap().as_str(), name);
        }
        let absolute = if cfg!(windows) { r"exec:C:\\helper.exe" } else { "exec:/opt/helper" };
        assert_eq!(ExecProgram::parse(absolute).unwrap().store_name(), absolute);
        let long = format!("exec:{}", "x".repeat(MAX_BYTES));
        for name in [
            "exec:",
            "exec: ",
            "exec:.",
            "exec:./helper",
            "exec:bin/helper",
            "exec:../x",
            "exec:~root/x",
            "exec:a\nb",
            "exec: a",
            "exec:a\u{202e}b",
            "helper",
            "",
            &long,
        ] {
            assert_eq!(ExecProgram::parse(name), None, "{name:?}");
        }
    }
}
