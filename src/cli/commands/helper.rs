//! `keywright helper TOOL`: the few lines that make a tool ask for its key instead of holding it.
//! The lines are the tools' own, taken from their documentation; they lie in `assets/helpers`.
//!
//! Such a file has a line that names the tool, one that says where the lines go, and where they
//! are documented; below `---` stand the lines, with the label where they name it.

use clap::Args;

use super::env::quote_posix;
use crate::cli::output::{print, print_status, usage_error};
use crate::domain::{Label, UserError, sanitize};
use crate::services::provision::ServiceContext;
use crate::storage::inventory;

macro_rules! tools {
    ($($name:literal),* $(,)?) => {
        /// Each tool's name, and its file.
        const TOOLS: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../../assets/helpers/", $name, ".txt")))),*];
    };
}

tools!(
    "aider",
    "claude-code",
    "codex",
    "continue",
    "direnv",
    "docker-compose",
    "envrc",
    "langchain",
    "litellm",
    "opencode",
    "python-sdk",
    "systemd",
    "typescript-sdk",
);

/// Arguments of `helper`.
#[derive(Args, Debug)]
pub struct HelperArgs {
    /// The tool; without one they are listed
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(TOOLS.iter().map(|(name, _)| *name)), hide_possible_values = true)]
    tool: Option<String>,
    /// The key's label [default: the first that is held]
    #[arg(long)]
    label: Option<Label>,
}

impl HelperArgs {
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        let Some(tool) = &self.tool else {
            let list = TOOLS.iter().map(|(name, file)| {
                format!("{name:<16}{}\n", file.lines().next().unwrap_or_default())
            });
            return print(&list.collect::<String>());
        };
        let Some((head, body)) = TOOLS
            .iter()
            .find(|(name, _)| name == tool)
            .and_then(|(_, file)| file.split_once("---\n"))
        else {
            return Err(usage_error(
                format!("there are no lines for '{}'", sanitize(tool, 40)),
                "keywright helper lists the tools",
            ));
        };
        // Standard output is the file, or the part of it.
        for words in head.lines().skip(1) {
            print_status(words);
        }
        print(&fill_template(body, &self.resolve_label(services)))
    }

    fn resolve_label(&self, services: &ServiceContext) -> String {
        let first = || {
            let keys = inventory::list_keys(&services.location, &services.server).ok()?;
            Some(keys.first()?.label.to_string())
        };
        self.label.as_ref().map(ToString::to_string).or_else(first).unwrap_or("LABEL".into())
    }
}

/// Puts the label where the lines name it, quoted for the language that stands there:
/// `{shell}` a word of a POSIX shell, `{json-shell}` the same within a JSON string, `{string}` a
/// string of JSON, which TOML, Python and TypeScript read alike, `{unit}` a word of a systemd unit.
fn fill_template(body: &str, label: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let word = if label.chars().all(plain) { label.to_owned() } else { quote_posix(label) };
    // A label that looks like an option stands behind a `--`.
    let dashed = label.starts_with('-');
    let shell = if dashed { format!("-- {word}") } else { word };
    let string = format!("\"{}\"", escape_string(label));
    let strings = if dashed { format!("\"--\", {string}") } else { string };
    let unit = label.replace('%', "%%").replace('$', "$$");
    let unit = format!("{}\"{}\"", if dashed { "-- " } else { "" }, escape_string(&unit));
    body.replace("{json-shell}", &escape_string(&shell))
        .replace("{unit}", &unit)
        .replace("{string}", &strings)
        .replace("{shell}", &shell)
}

/// Within double quotes. A label holds nothing else that would mean something there.
fn escape_string(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_says_what_it_is_where_it_goes_and_who_documents_it() {
        for (name, file) in TOOLS {
            let (head, body) = file.split_once("---\n").unwrap();
            let head: Vec<&str> = head.lines().collect();
            assert!(head.len() >= 3, "{name}");
            let source = head.iter().filter(|line| line.contains("https://")).count();
            assert!(source > 0 && head.iter().any(|line| line.contains("(read 2026-")), "{name}");
            assert!(body.ends_with('\n') && !body.contains("sk-or-"), "{name}");
            let filled = fill_template(body, "ci");
            assert!(filled.contains("keywright") && filled.contains("ci"), "{name}");
            assert!(
                !["{shell}", "{string}", "{unit}", "{json-shell}"]
                    .iter()
                    .any(|mark| filled.contains(mark))
            );
        }
    }

    #[test]
    fn a_label_is_quoted_for_what_it_stands_in() {
        let all = "{shell}|{json-shell}|{string}|{unit}";
        assert_eq!(fill_template(all, "ci"), "ci|ci|\"ci\"|\"ci\"");
        assert_eq!(
            fill_template(all, "it's \"100%\" \\"),
            r#"'it'\''s "100%" \'|'it'\\''s \"100%\" \\'|"it's \"100%\" \\"|"it's \"100%%\" \\""#
        );
        assert_eq!(fill_template(all, "--x"), r#"-- --x|-- --x|"--", "--x"|-- "--x""#);
    }
}
