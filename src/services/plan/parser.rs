//! Parses a plan. Reports all errors at once, in the order of the file.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::Path;

use jiff::Timestamp;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::domain::{
    Cents, Expiry, KeyDefaults, KeyRequest, Label, PartialPolicy, ResetInterval, find_keys,
};
use crate::services::diagnostic::{Diagnostic, LineIndex, format_suggestion, redact_excerpt};

/// Fields of a key. All but the label can have defaults.
const KEY_FIELDS: [&str; 5] = ["label", "limit", "reset", "expires", "workspace"];
/// OpenRouter's names for these fields, and other likely names.
const FIELD_ALIASES: [(&str, &str); 8] = [
    ("name", "label"),
    ("key_label", "label"),
    ("limit_reset", "reset"),
    ("usage_limit_type", "reset"),
    ("interval", "reset"),
    ("expires_at", "expires"),
    ("expiry", "expires"),
    ("workspace_id", "workspace"),
];

type TomlTable<'a> = DeTable<'a>;
type TomlValue<'a> = Spanned<DeValue<'a>>;

/// Largest plan in bytes.
const MAX_PLAN_BYTES: u64 = 64 << 20;

/// Reads a plan. Fails if it is too large, so that a stream without an end can be given.
fn read_plan_bytes(source: impl io::Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(MAX_PLAN_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_PLAN_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// Reads the file of a plan. It must be a regular file, since a named pipe could wait for ever, or a
/// descriptor that the shell passed: `/dev/stdin` or `/dev/fd/N`.
pub fn read_plan_file(path: &Path) -> io::Result<Vec<u8>> {
    let is_descriptor = path == Path::new("/dev/stdin") || path.starts_with("/dev/fd");
    if !is_descriptor && !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    fs::File::open(path).and_then(read_plan_bytes)
}

/// Parses a plan, or returns all errors in it. Expiries count from `now`.
/// Fields that neither a key nor the plan's own defaults have come from `key_defaults`.
pub fn parse(
    bytes: &[u8],
    key_defaults: &KeyDefaults,
    now: Timestamp,
) -> Result<Vec<KeyRequest>, Vec<Diagnostic>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let position = LineIndex::new(&valid).position(valid.len());
            return Err(vec![Diagnostic {
                position,
                message: "the file is not UTF-8 text: save it as UTF-8".into(),
            }]);
        }
    };
    let mut parser = Parser { text, key_defaults, now, diagnostics: Vec::new() };
    for (offset, key) in find_keys(text) {
        parser.report(offset, format!("this is a key ({key}): a plan must not contain secrets; remove it, and revoke the key if others may have seen it"));
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let offset = error.span().map_or(text.len(), |span| span.start);
        parser.report(offset, format!("invalid TOML: {}", redact_excerpt(error.message())));
    }
    let requests = parser.parse_plan(table.get_ref());
    if parser.diagnostics.is_empty() { Ok(requests) } else { Err(parser.into_diagnostics()) }
}

/// An error before its offsets are converted to lines and columns.
struct RawDiagnostic {
    offset: usize,
    message: String,
    /// For a duplicate: where the first one is.
    first_offset: Option<usize>,
}

struct Parser<'a> {
    text: &'a str,
    key_defaults: &'a KeyDefaults,
    now: Timestamp,
    diagnostics: Vec<RawDiagnostic>,
}

/// The value of a field (`None` for `"none"` and `"never"`) and its offset.
type FieldValue<T> = Option<(Option<T>, usize)>;

/// The fields of one table.
#[derive(Clone, Default)]
struct KeyFields {
    label: Option<(Label, usize)>,
    limit: FieldValue<Cents>,
    reset: FieldValue<ResetInterval>,
    expiry: FieldValue<Expiry>,
    workspace: FieldValue<String>,
}

impl Parser<'_> {
    fn report(&mut self, offset: usize, message: impl Into<String>) {
        self.diagnostics.push(RawDiagnostic {
            offset,
            message: message.into(),
            first_offset: None,
        });
    }

    fn into_diagnostics(mut self) -> Vec<Diagnostic> {
        self.diagnostics.sort_by_key(|error| error.offset);
        let lines = LineIndex::new(self.text);
        let resolve = |error: RawDiagnostic| Diagnostic {
            position: lines.position(error.offset),
            message: match error.first_offset {
                Some(first) => format!("{}, at {}", error.message, lines.position(first)),
                None => error.message,
            },
        };
        self.diagnostics.into_iter().map(resolve).collect()
    }

    fn parse_plan(&mut self, top: &TomlTable<'_>) -> Vec<KeyRequest> {
        let mut defaults = KeyFields::default();
        let mut tables: &[TomlValue<'_>] = &[];
        for (name, value) in top {
            match (name.get_ref().as_ref(), value.get_ref()) {
                ("defaults", DeValue::Table(table)) => {
                    defaults = self.parse_fields(table, &KEY_FIELDS[1..]);
                }
                ("defaults", _) => {
                    self.report(start_offset(name), "defaults must be a table: [defaults]");
                }
                ("key", DeValue::Array(array)) => tables = array,
                ("key", _) => {
                    self.report(
                        start_offset(name),
                        "each key must be a table that begins with [[key]]",
                    );
                }
                (other, _) => {
                    let suggestion = format_suggestion(other, &["key", "defaults"]);
                    self.report(start_offset(name), format!("unknown entry '{}': a plan has [defaults] and any number of [[key]]{suggestion}", redact_excerpt(other)));
                }
            }
        }
        let mut requests = Vec::with_capacity(tables.len());
        let mut labels = HashMap::with_capacity(tables.len());
        for value in tables {
            let DeValue::Table(table) = value.get_ref() else {
                self.report(
                    value.span().start,
                    "each key must be a table that begins with [[key]]",
                );
                continue;
            };
            let fields = self.parse_fields(table, &KEY_FIELDS);
            let Some((label, offset)) = fields.label.clone() else {
                if !table.iter().any(|(name, _)| name.get_ref() == "label") {
                    self.report(value.span().start, "this key has no label: add label = \"…\"");
                }
                continue;
            };
            if let Some(first) = labels.get(&label) {
                let message =
                    format!("the label '{}' is already used", redact_excerpt(label.as_str()));
                self.diagnostics.push(RawDiagnostic {
                    offset,
                    message,
                    first_offset: Some(*first),
                });
                continue;
            }
            labels.insert(label.clone(), offset);
            requests.push(self.build_request(label, fields, &defaults, value.span().start));
        }
        requests
    }

    /// Builds the request for one key: fills in the defaults and validates the result.
    fn build_request(
        &mut self,
        label: Label,
        fields: KeyFields,
        defaults: &KeyFields,
        table_offset: usize,
    ) -> KeyRequest {
        let limit = fields.limit.or(defaults.limit).map(|(limit, _)| limit);
        let has_limit = limit.unwrap_or(self.key_defaults.limit).is_some();
        let reset = match fields.reset {
            Some((reset, _)) => Some(reset),
            // A default reset applies only to keys with a limit.
            None => defaults.reset.map(|(reset, _)| reset.filter(|_| has_limit)),
        };
        let expiry = fields.expiry.or_else(|| defaults.expiry.clone());
        let workspace = fields.workspace.or_else(|| defaults.workspace.clone());
        let workspace_offset = workspace.as_ref().map(|(_, offset)| *offset);
        let requested = PartialPolicy {
            limit,
            limit_reset: reset,
            expiry: expiry.map(|(expiry, _)| expiry),
            workspace_id: workspace.map(|(id, _)| id),
        };
        let request = self.key_defaults.complete(label, requested, self.now);
        if let Err(error) = request.validate() {
            let is_reset_error = request.limit_reset.is_some() && request.limit.is_none();
            let reset_offset = fields.reset.map(|(_, offset)| offset);
            let offset = if is_reset_error { reset_offset } else { workspace_offset };
            let offset = offset.unwrap_or(table_offset);
            // An invalid default is reported once, not for each key.
            if self.diagnostics.last().is_none_or(|last| last.offset != offset) {
                self.report(offset, error.0);
            }
        }
        request
    }

    fn parse_fields(&mut self, table: &TomlTable<'_>, known: &[&str]) -> KeyFields {
        let mut fields = KeyFields::default();
        for (name, value) in table {
            let offset = value.span().start;
            match name.get_ref().as_ref() {
                field if !known.contains(&field) => self.report_unknown_field(name, known),
                "label" => {
                    let text = self.expect_string(
                        value,
                        "label must be a string in quotes, such as \"aider\"",
                    );
                    let label =
                        text.and_then(|text| self.ok_or_report(value, &text, text.parse(), &[]));
                    fields.label = label.map(|label| (label, offset));
                }
                "limit" => fields.limit = self.parse_limit(value),
                "reset" => {
                    let expected = "reset must be \"daily\", \"weekly\", \"monthly\" or \"never\"";
                    let text = self.expect_string(value, expected);
                    let known = ["daily", "weekly", "monthly", "never"];
                    let reset = text.and_then(|text| {
                        self.ok_or_report(value, &text, ResetInterval::parse(&text), &known)
                    });
                    fields.reset = reset.map(|reset| (reset, offset));
                }
                "expires" => {
                    let expected = "expires must be a string such as \"30d\" or \"never\", or a date such as 2027-12-31";
                    let text = match value.get_ref() {
                        DeValue::Datetime(date) => Some(Cow::from(date.to_string())),
                        _ => self.expect_string(value, expected),
                    };
                    let now = self.now;
                    let expiry = text.and_then(|text| {
                        self.ok_or_report(value, &text, Expiry::parse(&text, now), &["never"])
                    });
                    fields.expiry = expiry.map(|expiry| (expiry, offset));
                }
                _ => {
                    let text = self.expect_string(value, "workspace must be a UUID in quotes");
                    let id =
                        text.map(|text| Some(text.trim().to_owned()).filter(|id| !id.is_empty()));
                    fields.workspace = id.map(|id| (id, offset));
                }
            }
        }
        fields
    }

    fn parse_limit(&mut self, value: &TomlValue<'_>) -> FieldValue<Cents> {
        let offset = value.span().start;
        let digits = match value.get_ref() {
            DeValue::Integer(number) if number.radix() == 10 => number.as_str(),
            DeValue::Float(number) => number.as_str(),
            DeValue::String(text) if text.trim().eq_ignore_ascii_case("none") => {
                return Some((None, offset));
            }
            DeValue::String(text) => {
                let detail = match text.parse::<Cents>() {
                    Ok(usd) => format!(": limit = {}", usd.to_dollars()),
                    Err(_) => format!(
                        ", not '{}'{}",
                        redact_excerpt(text),
                        format_suggestion(text, &["none"])
                    ),
                };
                let expected = "limit must be a number in USD without quotes, or \"none\"";
                self.report(offset, format!("{expected}{detail}"));
                return None;
            }
            _ => {
                self.report(
                    offset,
                    "limit must be a number in USD such as 10 or 12.50, or \"none\"",
                );
                return None;
            }
        };
        self.ok_or_report(value, digits, digits.parse(), &[]).map(|usd| (Some(usd), offset))
    }

    /// Returns the parsed value, or reports the error with the most similar of `known`.
    fn ok_or_report<T>(
        &mut self,
        value: &TomlValue<'_>,
        text: &str,
        parsed: Result<T, crate::domain::ValidationError>,
        known: &[&str],
    ) -> Option<T> {
        parsed
            .map_err(|error| {
                let not = if text.trim().is_empty() {
                    String::new()
                } else {
                    format!(", not '{}'", redact_excerpt(text))
                };
                let message = format!("{error}{not}{}", format_suggestion(text, known));
                self.report(value.span().start, message);
            })
            .ok()
    }

    fn expect_string<'v>(
        &mut self,
        value: &'v TomlValue<'_>,
        expected: &str,
    ) -> Option<Cow<'v, str>> {
        let Range { start, end } = value.span();
        let DeValue::String(text) = value.get_ref() else {
            self.report(start, expected);
            return None;
        };
        // A key that is written with escapes is found only in the decoded text.
        let raw = self.text.get(start..end).unwrap_or_default();
        if let (Some((_, key)), None) = (find_keys(text).next(), find_keys(raw).next()) {
            self.report(start, format!("this is a key ({key}): a plan must not contain secrets"));
            return None;
        }
        Some(Cow::from(text.as_ref()))
    }

    fn report_unknown_field(&mut self, name: &Spanned<Cow<'_, str>>, known: &[&str]) {
        let field = name.get_ref().as_ref();
        let hint = match FIELD_ALIASES.iter().find(|(other, _)| *other == field) {
            Some((_, name)) if known.contains(name) => format!("; use {name} instead"),
            _ if field == "label" => "; it is allowed only in [[key]]".into(),
            _ => format_suggestion(field, known),
        };
        let known = known.join(", ");
        self.report(
            start_offset(name),
            format!("unknown field '{}', expected one of {known}{hint}", redact_excerpt(field)),
        );
    }
}

fn start_offset<T>(spanned: &Spanned<T>) -> usize {
    spanned.span().start
}
