//! `keywright helper`: prints configuration that makes a tool read its key from Keywright.
//!
//! The configurations come from the tools' documentation and are in `assets/helpers`. Each file has
//! a line with the tool's name, a line that says where the configuration goes, and a line with the
//! address of its documentation. The configuration follows after `---`, with placeholders for the
//! label.

use clap::Args;

use crate::cli::output::{print, print_status, usage_error};
use crate::domain::{Label, UserError, quote_shell_word, sanitize};
use crate::services::provision::ServiceContext;
use crate::storage::inventory;

macro_rules! tools {
    ($($name:literal),* $(,)?) => {
        /// The name and the file of each tool.
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
    /// The tool; without it the tools are listed
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(TOOLS.iter().map(|(name, _)| *name)), hide_possible_values = true)]
    tool: Option<String>,
    /// The key's label [default: the first stored key]
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
                format!("no helper for '{}'", sanitize(tool, 40)),
                "list the tools: keywright helper",
            ));
        };
        // Standard output contains only the configuration, so that it can be redirected to a file.
        for line in head.lines().skip(1) {
            print_status(line);
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

/// Replaces each placeholder with the label, quoted for the language around it:
/// `{shell}` a POSIX shell word, `{json-shell}` the same within a JSON string, `{string}` a JSON
/// string, which is valid in TOML, Python and TypeScript too, `{unit}` a word of a systemd unit.
fn fill_template(body: &str, label: &str) -> String {
    let word = quote_shell_word(label);
    // A label that looks like an option needs a `--` before it.
    let needs_dashes = label.starts_with('-');
    let shell = if needs_dashes { format!("-- {word}") } else { word };
    let string = format!("\"{}\"", escape_string(label));
    let strings = if needs_dashes { format!("\"--\", {string}") } else { string };
    let unit = label.replace('%', "%%").replace('$', "$$");
    let unit = format!("{}\"{}\"", if needs_dashes { "-- " } else { "" }, escape_string(&unit));
    body.replace("{json-shell}", &escape_string(&shell))
        .replace("{unit}", &unit)
        .replace("{string}", &strings)
        .replace("{shell}", &shell)
}

/// Escapes text for double quotes. Labels contain no other characters that need an escape.
fn escape_string(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_names_its_tool_its_place_and_its_documentation() {
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
    fn labels_are_quoted_for_the_language_around_them() {
        let all = "{shell}|{json-shell}|{string}|{unit}";
        assert_eq!(fill_template(all, "ci"), "ci|ci|\"ci\"|\"ci\"");
        assert_eq!(
            fill_template(all, "it's \"100%\" \\"),
            r#"'it'\''s "100%" \'|'it'\\''s \"100%\" \\'|"it's \"100%\" \\"|"it's \"100%%\" \\""#
        );
        assert_eq!(fill_template(all, "--x"), r#"-- '--x'|-- '--x'|"--", "--x"|-- "--x""#);
    }
}
