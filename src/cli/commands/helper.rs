//! `keywright helper`: prints configuration that makes a tool read its key from Keywright.
//!
//! The configurations come from the tools' documentation and are in `assets/helpers`. Each file has
//! a line with the tool's name, a line that says where the configuration goes, and a line with the
//! address of its documentation. The configuration follows after `---`.
//!
//! Both parts have placeholders for a call of Keywright: `{shell get}` is a command for a POSIX shell or fish,
//! `{json get}` the same as a JSON string, `{list get}` its arguments as strings of a list, which are
//! valid in JSON, TOML, Python and JavaScript alike, and `{unit get}` its arguments in a systemd unit.
//! `get` may be replaced by another command with options.

use std::fmt::Write as _;
use std::path::Path;

use clap::Args;

use crate::cli::output::{print, print_status, usage_error};
use crate::domain::{Label, StoreKind, UserError, command_arguments, format_command, sanitize};
use crate::services::config::{Config, DEFAULT_SERVER, Field, Origin, parse_server};
use crate::services::provision::ServiceContext;

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
    #[arg(long, allow_hyphen_values = true, value_parser = Label::parse_existing)]
    label: Option<Label>,
}

impl HelperArgs {
    pub(in crate::cli) fn run(
        &self,
        config: &Config,
        services: &ServiceContext,
    ) -> Result<(), UserError> {
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
        let call =
            KeywrightCall { options: list_options(config)?, label: self.resolve_label(services) };
        // Standard output contains only the configuration, so that it can be redirected to a file.
        for line in head.lines().skip(1) {
            print_status(&call.fill_template(line));
        }
        print(&call.fill_template(body))
    }

    fn resolve_label(&self, services: &ServiceContext) -> String {
        let first = || {
            let keys = services.list_keys().ok()?;
            let label = keys.first()?.label.to_string();
            if keys.len() > 1 {
                print_status(&format!(
                    "this passes the key '{label}'; another one: add --label LABEL"
                ));
            }
            Some(label)
        };
        self.label.as_ref().map(ToString::to_string).or_else(first).unwrap_or("LABEL".into())
    }
}

/// Returns the global options that another process needs to find the same key: those that differ from
/// the default. An option that an environment variable sets is left out, and a message names the variable.
fn list_options(config: &Config) -> Result<Vec<String>, UserError> {
    let mut options = Vec::new();
    // A sandbox ends with this process.
    if config.sandbox {
        return Ok(options);
    }
    let mut add = |option: &str, variable: &str, value: String, same: &dyn Fn(&str) -> bool| {
        if std::env::var(variable).is_ok_and(|text| same(&text)) {
            print_status(&format!("{variable} is set; the tool needs it in its environment too"));
        } else {
            options.extend([option.to_owned(), value]);
        }
    };
    // The server, the store and the directory of a profile come with its name.
    let of_profile = |field| {
        let value =
            config.settings.get(field).filter(|value| matches!(value.origin, Origin::File(_)));
        value.is_some()
    };
    if !config.profile.is_default() || config.profile_origin == Origin::CommandLine {
        add("--profile", "KEYWRIGHT_PROFILE", config.profile.to_string(), &|text| {
            text == config.profile.as_str()
        });
    }
    if let Some(path) = &config.config_path {
        let text = absolute_path(path, "configuration file", "--config FILE")?;
        add("--config", "KEYWRIGHT_CONFIG", text, &|text| path.as_os_str() == text);
    }
    if config.server != DEFAULT_SERVER && !of_profile(Field::Server) {
        add("--server", "KEYWRIGHT_SERVER", config.server.clone(), &|text| {
            parse_server(text).is_ok_and(|server| server == config.server)
        });
    }
    if config.store_kind != StoreKind::Keychain && !of_profile(Field::Store) {
        add("--store", "KEYWRIGHT_STORE", config.store_kind.to_string(), &|text| {
            text.parse().is_ok_and(|kind: StoreKind| kind == config.store_kind)
        });
    }
    if let Some(dir) = &config.data_dir {
        let text = absolute_path(dir, "data directory", "--data-dir DIR")?;
        add("--data-dir", "KEYWRIGHT_DATA_DIR", text, &|text| dir.as_os_str() == text);
    }
    Ok(options)
}

/// Returns an absolute path that can be written in a configuration.
fn absolute_path(path: &Path, what: &str, option: &str) -> Result<String, UserError> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    // A line break would end a comment or a setting.
    let breaks_line = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    match path.to_str().filter(|text| !text.contains(breaks_line)) {
        Some(text) => Ok(text.to_owned()),
        None => Err(usage_error(
            format!("the path of the {what} cannot be written in a configuration"),
            &format!("rename it so that its path is plain text, then give it again: {option}"),
        )),
    }
}

/// A call of Keywright as it is printed in a configuration.
struct KeywrightCall {
    options: Vec<String>,
    label: String,
}

impl KeywrightCall {
    /// Fills the placeholders of a template from left to right. Inserted text is not searched for
    /// placeholders.
    fn fill_template(&self, template: &str) -> String {
        let mut filled = String::with_capacity(2 * template.len());
        let mut rest = template;
        while let Some(start) = rest.find('{') {
            filled.push_str(&rest[..start]);
            rest = &rest[start..];
            let end = rest.find('}').map_or(rest.len(), |end| end + 1);
            if let Some(call) = self.fill_placeholder(&rest[..end]) {
                filled.push_str(&call);
                rest = &rest[end..];
            } else {
                filled.push('{');
                rest = &rest[1..];
            }
        }
        filled + rest
    }

    /// Returns what a placeholder such as `{shell get}` is filled with; `None` for other text in braces.
    fn fill_placeholder(&self, placeholder: &str) -> Option<String> {
        let (language, command) =
            placeholder.strip_prefix('{')?.strip_suffix('}')?.split_once(' ')?;
        let options = self.options.iter().map(String::as_str);
        let words: Vec<&str> = command.split(' ').chain(options).collect();
        let label = [self.label.as_str()];
        let join = |quote: fn(&str) -> String, separator: &str| {
            let arguments = command_arguments(&words, &label);
            arguments.iter().map(|word| quote(word)).collect::<Vec<_>>().join(separator)
        };
        match language {
            "shell" => Some(format_command(&words, &label)),
            "json" => Some(quote_string(&format_command(&words, &label))),
            "list" => Some(join(quote_string, ", ")),
            "unit" => Some(join(quote_unit, " ")),
            _ => None,
        }
    }
}

/// Quotes text as a string that JSON, TOML, Python and JavaScript read alike.
fn quote_string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                // Writing to a string does not fail.
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// Quotes a word of a command in a systemd unit, where `%` and `$` are special within quotes too.
fn quote_unit(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    quote_string(&text.replace('%', "%%").replace('$', "$$"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn call(label: &str) -> KeywrightCall {
        let options = ["--store", "file", "--data-dir", "/my data"].map(str::to_owned);
        KeywrightCall { options: options.into(), label: label.into() }
    }

    #[test]
    fn each_file_names_its_tool_its_place_and_its_documentation() {
        for (name, file) in TOOLS {
            let (head, body) = file.split_once("---\n").unwrap();
            let head: Vec<&str> = head.lines().collect();
            assert!(head.len() >= 3, "{name}");
            let source = head.iter().filter(|line| line.contains("https://")).count();
            assert!(source > 0 && head.iter().any(|line| line.contains("(read 2026-")), "{name}");
            assert!(body.ends_with('\n') && !body.contains("sk-or-"), "{name}");
            let filled = call("ci").fill_template(file);
            assert!(filled.contains("ci") && filled.contains("--data-dir"), "{name}");
            for language in ["{shell", "{json", "{list", "{unit", "{string"] {
                assert!(!filled.contains(language), "{name}: {filled}");
            }
            assert!(!filled.contains("LABEL"), "{name}: {filled}");
        }
    }

    #[test]
    fn calls_are_quoted_for_the_language_around_them() {
        let fill = |placeholder: &str, label: &str| {
            KeywrightCall { options: vec![], label: label.into() }.fill_template(placeholder)
        };
        assert_eq!(fill("{shell get}; {x} ${{ y }} {", "ci"), "keywright get ci; {x} ${{ y }} {");
        assert_eq!(fill("[{list get}]", "--x"), r#"["get", "--", "--x"]"#);
        assert_eq!(fill("{json get}", "a\"b"), r#""keywright get 'a\"b'""#);
        assert_eq!(fill("{unit get}", "100% $HOME"), r#"get "100%% $$HOME""#);
        assert_eq!(
            call("ci").fill_template("{shell run --env X} -- app"),
            "keywright run --env X --store file --data-dir '/my data' ci -- app"
        );
    }

    /// Labels made of placeholders and of the special characters of all languages.
    fn any_label() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            "\\{(shell|json|list|unit|string) (get|run)\\}",
            "[-'\"\\\\$`;&|<>(){}\\[\\]!#~*?%=,:@ ]{1,4}",
            "\\$\\((touch X)\\)|\\\\u0022|%h|--|''|\"\"\"|\\PC",
        ];
        prop::collection::vec(part, 1..8).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn every_label_arrives_as_one_argument(label in any_label()) {
            let dashes = label.starts_with('-').then_some("--");
            let mut expected = vec!["get", "--store", "file", "--data-dir", "/my data"];
            expected.extend(dashes);
            expected.push(&label);
            let call = call(&label);
            let list = format!("[{}]", call.fill_template("{list get}"));
            prop_assert_eq!(serde_json::from_str::<Vec<String>>(&list).unwrap(), expected.clone());
            let text = format!("args = {list}");
            let document = toml::de::DeTable::parse(&text).unwrap();
            let words = document.get_ref()["args"].get_ref().as_array().unwrap();
            let from_toml: Vec<_> =
                words.iter().map(|word| word.get_ref().as_str().unwrap()).collect();
            prop_assert_eq!(&from_toml, &expected);
            // A shell command is covered by `format_command`'s own test.
            let json: String = serde_json::from_str(&call.fill_template("{json get}")).unwrap();
            prop_assert_eq!(&json, &call.fill_template("{shell get}"));
            prop_assert_eq!(json, format_command(&expected[..5], &[&label]));
            let unit = call.fill_template("{unit get}").replace("%%", "").replace("$$", "");
            prop_assert!(!unit.contains(['%', '$']), "{}", unit);
        }
    }
}
