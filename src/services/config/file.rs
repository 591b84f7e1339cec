//! The configuration file. All errors are reported at once; a field with an error keeps its built-in
//! value, except those that decide where a profile's keys are: without them the profile is not used.

mod rejected;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use jiff::Timestamp;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{DashboardNames, Field};
use crate::domain::{Cents, ProfileName, ResetInterval, ValidationError, find_keys, io_error_text};
use crate::services::diagnostic::{Diagnostic, LineIndex, format_suggestion, redact_excerpt};

/// Largest configuration file in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// A value in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The valid value as text, as the option of the same name takes it.
    pub text: String,
    /// The line, from 1.
    pub line: usize,
}

/// The table of a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileTable {
    /// The valid fields: those of [`Field::OF_PROFILE`], and those of new keys.
    pub settings: BTreeMap<Field, Setting>,
    /// Why the profile cannot be used: a field that decides where its keys are is not valid.
    pub error: Option<String>,
}

/// The content of a configuration file.
#[derive(Clone, Debug, Default)]
pub struct ConfigFile {
    /// The valid fields of all sections.
    pub settings: BTreeMap<Field, Setting>,
    /// The key that each action of the dashboard has.
    pub bindings: BTreeMap<String, Setting>,
    /// The profiles by name.
    pub profiles: BTreeMap<ProfileName, ProfileTable>,
    /// The lines of known fields and actions whose value is not used, by `section.name`.
    pub rejected: BTreeMap<String, usize>,
    /// What is wrong, in the order of the file.
    pub errors: Vec<String>,
    /// Why the file or a part of it could not be read, so that fields may be missing.
    pub unreadable: Option<String>,
}

impl ConfigFile {
    /// Reads a file. A missing one is empty unless it `must_exist`.
    pub fn read(path: &Path, must_exist: bool, names: &DashboardNames, now: Timestamp) -> Self {
        match read_bytes(path) {
            Ok(bytes) => Self::parse(&bytes, names, now),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !must_exist => Self::default(),
            Err(error) => Self::unreadable(match error.kind() {
                io::ErrorKind::FileTooLarge => "it is larger than 1 MiB".into(),
                io::ErrorKind::InvalidInput => "it is not a regular file".into(),
                _ => format!("it cannot be read: {}", io_error_text(&error)),
            }),
        }
    }

    fn unreadable(reason: String) -> Self {
        Self { errors: vec![reason.clone()], unreadable: Some(reason), ..Self::default() }
    }

    /// Parses the content of a file. Expiries are checked against `now`.
    pub fn parse(bytes: &[u8], names: &DashboardNames, now: Timestamp) -> Self {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Self::unreadable("it is not UTF-8 text: save it as UTF-8".into());
        };
        let lines = LineIndex::new(text);
        let mut parser = Parser { lines, names, now, errors: Vec::new(), file: Self::default() };
        for (offset, key) in find_keys(text) {
            parser.report(offset, format!("this is a key ({key}): the file must not contain secrets; remove it, and revoke the key if others may have seen it"));
        }
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let offset = error.span().map_or(text.len(), |span| span.start);
            let error = format!("invalid TOML: {}", redact_excerpt(error.message()));
            let error = parser.report(offset, error);
            parser.file.unreadable.get_or_insert(error);
        }
        // A value on a line with a syntax error may be wrong only because of that error.
        let invalid: Vec<_> = parser.errors.iter().map(|error| error.position.line).collect();
        parser.parse_sections(table.get_ref());
        let later = parser.errors.split_off(invalid.len()).into_iter();
        parser.errors.extend(later.filter(|error| !invalid.contains(&error.position.line)));
        crate::domain::sort_by_key(&mut parser.errors, |error| error.position);
        let errors = parser.errors.iter().map(ToString::to_string).collect();
        Self { errors, ..parser.file }
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
    let dir = etcetera::choose_base_strategy().ok()?.config_dir();
    dir.is_absolute().then(|| dir.join("keywright").join("config.toml"))
}

/// Returns a file with each field and its documentation. Fields without a built-in value are comments.
pub fn example(names: &DashboardNames) -> String {
    let mut text = String::from(
        "# Keywright's configuration. Each field is optional. The command line and the environment\n\
         # take precedence over this file. See what applies: keywright config show\n",
    );
    let mut current = "";
    for field in Field::OF_SECTIONS.into_iter().filter(|field| field.exists(names)) {
        let (section, name) = field.path();
        if section != current {
            let _ = write!(text, "\n[{section}]\n");
            current = section;
        }
        let (about, value) = field.example(names);
        let prefix = if field.default_value().is_some() { "" } else { "# " };
        let _ = write!(text, "# {about}\n{prefix}{name} = {value}\n");
    }
    text += "\n[keys]\n# The keys of the dashboard's actions: a character such as D, or ctrl-d, space, f5.\n";
    for (action, key) in (names.actions)() {
        let key = key.replace('\\', "\\\\").replace('"', "\\\"");
        let _ = writeln!(text, "# {action} = \"{key}\"");
    }
    text += "\n# A profile is an account or a server of its own, with its own keys; use it with\n\
             # --profile work, or for all commands: keywright profile use work\n\
             # [profiles.work]\n";
    for field in Field::OF_PROFILE {
        let (about, value) = field.example(names);
        let _ = write!(text, "# # {about}\n# {} = {value}\n", field.path().1);
    }
    text + "# # Its own defaults for new keys, with the fields of [new] above.\n# new.limit = 5\n"
}

struct Parser<'a> {
    lines: LineIndex<'a>,
    names: &'a DashboardNames,
    now: Timestamp,
    errors: Vec<Diagnostic>,
    file: ConfigFile,
}

impl Parser<'_> {
    /// Adds an error, and returns it with its position.
    fn report(&mut self, offset: usize, message: impl Into<String>) -> String {
        let diagnostic =
            Diagnostic { position: self.lines.position(offset), message: message.into() };
        let text = diagnostic.to_string();
        self.errors.push(diagnostic);
        text
    }

    fn parse_sections(&mut self, top: &DeTable<'_>) {
        let mut known: Vec<_> = self.sections().iter().map(|field| field.path().0).collect();
        known.dedup();
        known.extend(["keys", "profiles"]);
        for (name, value) in top {
            let (offset, section) = (name.span().start, name.get_ref().as_ref());
            match value.get_ref() {
                _ if !known.contains(&section) => {
                    self.report(offset, unknown_message("section", section, &known));
                }
                DeValue::Table(table) if section == "keys" => self.parse_bindings(table),
                DeValue::Table(table) if section == "profiles" => self.parse_profiles(table),
                DeValue::Table(table) => {
                    let fields = self.sections();
                    let settings = self.parse_fields(section, &fields, table).0;
                    self.file.settings.extend(settings);
                    self.record_rejected(section, table);
                }
                _ => {
                    self.report(offset, format!("{section} must be a table: [{section}]"));
                }
            }
        }
    }

    /// Returns the fields that exist in sections.
    fn sections(&self) -> Vec<Field> {
        Field::OF_SECTIONS.into_iter().filter(|field| field.exists(self.names)).collect()
    }

    fn parse_profiles(&mut self, profiles: &DeTable<'_>) {
        let mut offsets = BTreeMap::new();
        for (name, value) in profiles {
            let offset = name.span().start;
            let profile = match name.get_ref().parse::<ProfileName>() {
                Ok(profile) => profile,
                Err(error) => {
                    let shown = redact_excerpt(name.get_ref());
                    self.report(offset, format!("{error}, not '{shown}'"));
                    continue;
                }
            };
            let DeValue::Table(table) = value.get_ref() else {
                self.report(offset, format!("{profile} must be a table: [profiles.{profile}]"));
                continue;
            };
            let (mut settings, mut error) = self.parse_fields("", &Field::OF_PROFILE, table);
            if let Some((name, value)) = table.iter().find(|(name, _)| name.get_ref() == "new") {
                if let DeValue::Table(new) = value.get_ref() {
                    let fields = self.sections();
                    settings.extend(self.parse_fields("new", &fields, new).0);
                } else {
                    let offset = name.span().start;
                    self.report(offset, format!("new must be a table: [profiles.{profile}.new]"));
                }
            }
            // The missing value could have been the server's.
            error = error.or_else(|| self.file.unreadable.clone());
            let data_dir = table.iter().find(|(name, _)| name.get_ref() == "data_dir");
            offsets.insert(profile.clone(), data_dir.map_or(offset, |(_, dir)| dir.span().start));
            self.file.profiles.insert(profile, ProfileTable { settings, error });
        }
        self.check_data_dirs(&offsets);
    }

    /// Refuses profiles with the same directory: each would use and delete the keys of the other.
    fn check_data_dirs(&mut self, offsets: &BTreeMap<ProfileName, usize>) {
        let dirs: Vec<(ProfileName, PathBuf)> = std::iter::once(&ProfileName::default())
            .chain(self.file.profiles.keys().filter(|name| !name.is_default()))
            .filter_map(|name| Some((name.clone(), self.data_dir_of(name)?)))
            .collect();
        for (index, (name, dir)) in dirs.iter().enumerate() {
            let Some((other, _)) = dirs[..index].iter().find(|(_, other)| other == dir) else {
                continue;
            };
            let error = format!(
                "the profiles '{other}' and '{name}' have the same data_dir: give each its own"
            );
            let error = self.report(offsets.get(name).copied().unwrap_or_default(), error);
            for name in [other, name] {
                if let Some(table) = self.file.profiles.get_mut(name) {
                    table.error.get_or_insert_with(|| error.clone());
                }
            }
        }
    }

    /// Returns the directory of a profile, without symbolic links as far as it exists.
    fn data_dir_of(&self, name: &ProfileName) -> Option<PathBuf> {
        let own =
            self.file.profiles.get(name).and_then(|table| table.settings.get(&Field::DataDir));
        let dir = match own {
            Some(dir) => super::expand_home(PathBuf::from(&dir.text)).ok()?,
            None => super::profile_dir(super::default_data_dir().ok()?, name),
        };
        Some(dir.canonicalize().unwrap_or_else(|_| dir.components().collect()))
    }

    fn parse_bindings(&mut self, table: &DeTable<'_>) {
        let known: Vec<_> = (self.names.actions)().iter().map(|(action, _)| *action).collect();
        for (name, value) in table {
            let (offset, action) = (value.span().start, name.get_ref().as_ref());
            if !known.contains(&action) {
                self.report(name.span().start, unknown_message("action", action, &known));
                continue;
            }
            let DeValue::String(text) = value.get_ref() else {
                self.report(offset, format!("keys.{action} must be a key such as \"ctrl-n\""));
                continue;
            };
            if let Err(problem) = (self.names.check_key)(text) {
                let shown = redact_excerpt(text);
                self.report(offset, format!("keys.{action}: {problem}, not '{shown}'"));
                continue;
            }
            let setting =
                Setting { text: text.to_string(), line: self.lines.position(offset).line };
            self.file.bindings.insert(action.into(), setting);
        }
        let bindings = &self.file.bindings;
        let bindings: Vec<_> = bindings.iter().map(|(name, key)| (&**name, &*key.text)).collect();
        for (action, problem) in (self.names.conflicts)(&bindings) {
            self.file.bindings.remove(&action);
            let value = table.iter().find(|(name, _)| name.get_ref() == action.as_str());
            self.report(value.map_or(0, |(_, value)| value.span().start), problem);
        }
        self.record_rejected("keys", table);
    }

    /// Returns the valid fields of a section and the first error of a value.
    fn parse_fields(
        &mut self,
        section: &str,
        fields: &[Field],
        table: &DeTable<'_>,
    ) -> (BTreeMap<Field, Setting>, Option<String>) {
        let fields: Vec<_> = fields.iter().filter(|field| field.path().0 == section).collect();
        let (mut settings, mut first_error) = (BTreeMap::new(), None);
        for (name, value) in table {
            let text = name.get_ref().as_ref();
            match fields.iter().find(|field| field.path().1 == text) {
                Some(field) => match self.parse_value(**field, value) {
                    Ok(setting) => drop(settings.insert(**field, setting)),
                    Err(error) => drop(first_error.get_or_insert(error)),
                },
                // The table of a profile's own defaults.
                None if section.is_empty() && text == "new" => {}
                None => {
                    let mut known: Vec<_> = fields.iter().map(|field| field.path().1).collect();
                    known.extend(section.is_empty().then_some("new"));
                    self.report(name.span().start, unknown_message("field", text, &known));
                }
            }
        }
        let is_unlimited = settings
            .get(&Field::NewLimit)
            .is_some_and(|limit| matches!(Cents::parse_limit(&limit.text), Ok(None)));
        let resets = |reset: &Setting| matches!(ResetInterval::parse(&reset.text), Ok(Some(_)));
        if is_unlimited && settings.get(&Field::NewReset).is_some_and(resets) {
            settings.remove(&Field::NewReset);
            let value = table.iter().find(|(name, _)| name.get_ref() == "reset");
            let offset = value.map_or(0, |(_, value)| value.span().start);
            self.report(offset, "new.reset needs a limit, and new.limit is none");
        }
        (settings, first_error)
    }

    fn parse_value(
        &mut self,
        field: Field,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Setting, String> {
        let offset = value.span().start;
        let line = self.lines.position(offset).line;
        let text = match value.get_ref() {
            DeValue::String(text) => Some(text.to_string()),
            DeValue::Integer(number) if number.radix() == 10 && field.is_numeric() => {
                Some(number.as_str().to_owned())
            }
            DeValue::Float(number) if field.is_numeric() => Some(number.as_str().to_owned()),
            DeValue::Datetime(date) if field == Field::NewExpires => Some(date.to_string()),
            _ => None,
        };
        let dotted = field.dotted_name();
        let hint = format!("write {} = {}", field.path().1, field.example(self.names).1);
        let Some(text) = text else {
            return Err(self.report(offset, format!("{dotted} has a wrong type, {hint}")));
        };
        if find_keys(&text).next().is_some() {
            // A key that is written with escapes is found only in the decoded text.
            if let Some(known) = self.errors.iter().find(|error| error.position.line == line) {
                return Err(known.to_string());
            }
            return Err(self.report(offset, "this is a key: the file must not contain secrets"));
        }
        if text.trim().is_empty() {
            return Err(self.report(offset, format!("{dotted} is empty, {hint}")));
        }
        match field.check(&text, self.names, self.now) {
            Ok(()) => Ok(Setting { text, line }),
            Err(ValidationError(error)) => {
                let hint = format_suggestion(&text, field.words(self.names));
                // A server's address may contain a password.
                let shown = match field {
                    Field::Server => String::new(),
                    _ => format!(", not '{}'", redact_excerpt(&text)),
                };
                Err(self.report(offset, format!("{dotted}: {error}{shown}{hint}")))
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
