//! The configuration file: its fields, its errors and an example. All errors are reported at once; a
//! field with an error is left at its default.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use jiff::{SignedDuration, Timestamp};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::domain::{
    Cents, Expiry, LowThreshold, ResetInterval, ValidationError, find_keys, io_error_text,
};
use crate::services::diagnostic::{Diagnostic, LineIndex, format_suggestion, redact_excerpt};

/// Largest configuration file in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// A field of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// The credit limit of new keys.
    NewLimit,
    /// The reset interval of new keys.
    NewReset,
    /// The expiry of new keys.
    NewExpires,
    /// The workspace of new keys.
    NewWorkspace,
    /// Minutes between two refreshes of the dashboard.
    RefreshMinutes,
    /// The remaining budget that `watch` reports.
    WatchBelow,
    /// The time until the expiry that `watch` reports.
    WatchExpiring,
    /// The days without use that `watch` reports.
    WatchIdleDays,
}

impl Field {
    /// All fields, in the order of the example.
    pub const ALL: [Self; 8] = [
        Self::NewLimit,
        Self::NewReset,
        Self::NewExpires,
        Self::NewWorkspace,
        Self::RefreshMinutes,
        Self::WatchBelow,
        Self::WatchExpiring,
        Self::WatchIdleDays,
    ];

    /// Returns the section and the name.
    pub const fn path(self) -> (&'static str, &'static str) {
        match self {
            Self::NewLimit => ("new", "limit"),
            Self::NewReset => ("new", "reset"),
            Self::NewExpires => ("new", "expires"),
            Self::NewWorkspace => ("new", "workspace"),
            Self::RefreshMinutes => ("dashboard", "refresh_minutes"),
            Self::WatchBelow => ("watch", "below"),
            Self::WatchExpiring => ("watch", "expiring"),
            Self::WatchIdleDays => ("watch", "idle_days"),
        }
    }

    /// Returns the built-in value; `None` where there is none.
    pub const fn default_value(self) -> Option<&'static str> {
        match self {
            Self::NewLimit => Some("10"),
            Self::NewReset => Some("monthly"),
            Self::NewExpires => Some("90d"),
            Self::RefreshMinutes => Some("5"),
            Self::WatchExpiring => Some("7d"),
            Self::NewWorkspace | Self::WatchBelow | Self::WatchIdleDays => None,
        }
    }

    /// Returns the lines about the field in the example: a comment and a value.
    const fn example(self) -> (&'static str, &'static str) {
        match self {
            Self::NewLimit => ("The credit limit in USD, or \"none\".", "10"),
            Self::NewReset => {
                ("When the limit resets: daily, weekly, monthly or never.", "\"monthly\"")
            }
            Self::NewExpires => {
                ("When a key expires: 12h, 30d, 6w, 3mo, 1y, a date, or never.", "\"90d\"")
            }
            Self::NewWorkspace => (
                "The UUID of the workspace; leave it out for the account's default workspace.",
                "\"00000000-0000-4000-8000-000000000000\"",
            ),
            Self::RefreshMinutes => {
                ("Minutes between two refreshes, at most 1440; 0 turns them off.", "5")
            }
            Self::WatchBelow => {
                ("Report a key when less than this share, or amount in USD, remains.", "\"20%\"")
            }
            Self::WatchExpiring => ("Report a key that expires within this time.", "\"7d\""),
            Self::WatchIdleDays => {
                ("Report a key that was not used for this many days, at most 3650.", "30")
            }
        }
    }

    fn check(self, text: &str, now: Timestamp) -> Result<(), ValidationError> {
        let number = |least: u32, most: u32| match text.parse::<u32>() {
            Ok(number) if (least..=most).contains(&number) => Ok(()),
            _ => Err(ValidationError(format!("write a whole number from {least} to {most}"))),
        };
        match self {
            Self::NewLimit => Cents::parse_limit(text).map(drop),
            Self::NewReset => ResetInterval::parse(text).map(drop),
            Self::NewExpires => Expiry::parse(text, now).map(drop),
            Self::NewWorkspace if text.trim().is_empty() => {
                Err(ValidationError("write the UUID of a workspace".into()))
            }
            Self::NewWorkspace => Ok(()),
            Self::RefreshMinutes => number(0, 1_440),
            Self::WatchBelow => text.parse::<LowThreshold>().map(drop),
            Self::WatchExpiring => parse_duration(text).map(drop).map_err(ValidationError),
            Self::WatchIdleDays => number(1, 3_650),
        }
    }
}

/// Parses `12h`, `7d` or `2w`.
pub fn parse_duration(text: &str) -> Result<SignedDuration, String> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (count, unit) = text.split_at(split);
    let hours = match unit {
        "h" => 1,
        "d" => 24,
        "w" => 7 * 24,
        _ => 0,
    };
    match count.parse::<u32>() {
        Ok(count) if hours > 0 && (1..=10_000).contains(&count) => {
            Ok(SignedDuration::from_hours(i64::from(count) * hours))
        }
        _ => Err("write a time such as 12h, 7d or 2w".into()),
    }
}

/// A value in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The valid value as text, as the option of the same name takes it.
    pub text: String,
    /// The line, from 1.
    pub line: usize,
}

/// The content of a configuration file.
#[derive(Clone, Debug, Default)]
pub struct ConfigFile {
    settings: BTreeMap<Field, Setting>,
    /// What is wrong, in the order of the file.
    pub errors: Vec<String>,
}

impl ConfigFile {
    /// Returns the value of a field.
    pub fn get(&self, field: Field) -> Option<&Setting> {
        self.settings.get(&field)
    }

    /// Reads a file. A missing one is empty unless it `must_exist`.
    pub fn read(path: &Path, must_exist: bool, now: Timestamp) -> Self {
        match read_bytes(path) {
            Ok(bytes) => Self::parse(&bytes, now),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !must_exist => Self::default(),
            Err(error) => {
                let text = match error.kind() {
                    io::ErrorKind::FileTooLarge => "it is larger than 1 MiB".into(),
                    io::ErrorKind::InvalidInput => "it is not a regular file".into(),
                    _ => io_error_text(&error),
                };
                Self { errors: vec![text], ..Self::default() }
            }
        }
    }

    /// Parses the content of a file. Expiries are checked against `now`.
    pub fn parse(bytes: &[u8], now: Timestamp) -> Self {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let Ok(text) = std::str::from_utf8(bytes) else {
            let errors = vec!["the file is not UTF-8 text: save it as UTF-8".into()];
            return Self { errors, ..Self::default() };
        };
        let mut parser = Parser {
            lines: LineIndex::new(text),
            now,
            errors: Vec::new(),
            settings: BTreeMap::new(),
        };
        for (offset, key) in find_keys(text) {
            parser.report(offset, format!("this is a key ({key}): the file must not contain secrets; remove it, and revoke the key if others may have seen it"));
        }
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let offset = error.span().map_or(text.len(), |span| span.start);
            parser.report(offset, format!("invalid TOML: {}", redact_excerpt(error.message())));
        }
        parser.parse_sections(table.get_ref());
        parser.errors.sort_by_key(|error| error.position);
        let errors = parser.errors.iter().map(ToString::to_string).collect();
        Self { settings: parser.settings, errors }
    }
}

/// Reads at most [`MAX_FILE_BYTES`] of a regular file; a named pipe could wait for ever.
fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// Returns the path of the file without `--config`; `None` where there is no home directory.
pub fn default_path() -> Option<PathBuf> {
    let strategy = etcetera::choose_base_strategy().ok()?;
    Some(strategy.config_dir().join("keywright").join("config.toml"))
}

/// Returns a file with each field and its documentation. Fields without a built-in value are comments.
pub fn example() -> String {
    let mut text = String::from(
        "# Keywright's configuration. Each field is optional. The command line and the environment\n\
         # take precedence over this file. See what applies: keywright config show\n",
    );
    let mut current = "";
    for field in Field::ALL {
        let (section, name) = field.path();
        if section != current {
            text += &format!("\n[{section}]\n");
            current = section;
        }
        let (about, value) = field.example();
        let prefix = if field.default_value().is_some() { "" } else { "# " };
        text += &format!("# {about}\n{prefix}{name} = {value}\n");
    }
    text
}

struct Parser<'a> {
    lines: LineIndex<'a>,
    now: Timestamp,
    errors: Vec<Diagnostic>,
    settings: BTreeMap<Field, Setting>,
}

impl Parser<'_> {
    fn report(&mut self, offset: usize, message: impl Into<String>) {
        let position = self.lines.position(offset);
        self.errors.push(Diagnostic { position, message: message.into() });
    }

    fn parse_sections(&mut self, top: &DeTable<'_>) {
        for (name, value) in top {
            let (offset, section) = (name.span().start, name.get_ref().as_ref());
            let mut known: Vec<_> = Field::ALL.iter().map(|field| field.path().0).collect();
            known.dedup();
            match value.get_ref() {
                _ if !known.contains(&section) => {
                    let message = unknown_message("section", section, &known);
                    self.report(offset, message);
                }
                DeValue::Table(table) => self.parse_fields(section, table),
                _ => self.report(offset, format!("{section} must be a table: [{section}]")),
            }
        }
    }

    fn parse_fields(&mut self, section: &str, table: &DeTable<'_>) {
        let fields = Field::ALL.into_iter().filter(|field| field.path().0 == section);
        let fields: Vec<Field> = fields.collect();
        for (name, value) in table {
            let text = name.get_ref().as_ref();
            match fields.iter().find(|field| field.path().1 == text) {
                Some(field) => self.parse_value(*field, value),
                None => {
                    let known: Vec<_> = fields.iter().map(|field| field.path().1).collect();
                    self.report(name.span().start, unknown_message("field", text, &known));
                }
            }
        }
    }

    fn parse_value(&mut self, field: Field, value: &Spanned<DeValue<'_>>) {
        let offset = value.span().start;
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_owned(),
            DeValue::Float(number) => number.as_str().to_owned(),
            DeValue::Datetime(date) => date.to_string(),
            _ => String::new(),
        };
        if find_keys(&text).next().is_some() {
            // A key that is written with escapes is found only in the decoded text.
            if self
                .errors
                .iter()
                .all(|error| error.position.line != self.lines.position(offset).line)
            {
                self.report(offset, "this is a key: the file must not contain secrets");
            }
            return;
        }
        let (section, name) = field.path();
        let checked = match text.is_empty() {
            true => Err(ValidationError(format!(
                "{section}.{name} has a wrong type, write {name} = {}",
                field.example().1
            ))),
            false => field.check(&text, self.now),
        };
        match checked {
            Ok(()) => {
                let line = self.lines.position(offset).line;
                self.settings.insert(field, Setting { text, line });
            }
            Err(error) => {
                let not = match text.is_empty() {
                    true => String::new(),
                    false => format!(", not '{}'", redact_excerpt(&text)),
                };
                let words = ["daily", "weekly", "monthly", "never", "none"];
                let hint = format_suggestion(&text, &words);
                self.report(offset, format!("{section}.{name}: {error}{not}{hint}"));
            }
        }
    }
}

fn unknown_message(kind: &str, text: &str, known: &[&str]) -> String {
    format!(
        "unknown {kind} '{}', expected one of {}{}",
        redact_excerpt(text),
        known.join(", "),
        format_suggestion(text, known)
    )
}

#[cfg(test)]
mod tests;
