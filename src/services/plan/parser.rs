//! From TOML to requests. Owns: which fields there are, which values each takes, and saying
//! everything that is wrong at once, in the order of the file.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, Read as _};
use std::ops::Range;

use jiff::Timestamp;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, LineIndex, Position, find_keys, redact_excerpt};
use crate::domain::{Cents, Expiry, KeyRequest, Label, ResetInterval};

/// The fields of a key. Those after the label can have defaults.
const KEY_FIELDS: [&str; 5] = ["label", "limit", "reset", "expires", "workspace"];
/// OpenRouter's names for them, and others that people try.
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

/// The bytes of the largest plan.
const MAX_PLAN_BYTES: u64 = 64 << 20;

/// The bytes of a plan, from wherever they come: a device that never ends is given up.
pub fn read_plan_bytes(source: impl io::Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(MAX_PLAN_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_PLAN_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// Reads a plan, or says everything that is wrong with it. `now` is what expiries count from.
pub fn parse(bytes: &[u8], now: Timestamp) -> Result<Vec<KeyRequest>, Vec<Diagnostic>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            // Up to there it is text.
            let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let at = LineIndex::new(&valid).position(valid.len());
            return Err(vec![Diagnostic {
                position: at,
                message: "this is not UTF-8 text: save the file as UTF-8".into(),
            }]);
        }
    };
    let mut reader = Parser { text, now, diagnostics: Vec::new() };
    for (at, key) in find_keys(text) {
        reader.report(at, format!("a key stands here ({key}): a plan holds no secret, so that it can be shared; take it out, and revoke it if others have seen it"));
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let at = error.span().map_or(text.len(), |span| span.start);
        reader.report(at, format!("this is not TOML: {}", redact_excerpt(error.message())));
    }
    let requests = reader.parse_plan(table.get_ref());
    if reader.diagnostics.is_empty() { Ok(requests) } else { Err(reader.into_diagnostics()) }
}

/// Something wrong: where, in what words, and the place that was there first.
struct RawDiagnostic {
    offset: usize,
    message: String,
    first_offset: Option<usize>,
}

struct Parser<'a> {
    text: &'a str,
    now: Timestamp,
    diagnostics: Vec<RawDiagnostic>,
}

/// What a field says, and where: a value, or that there is none.
type FieldValue<T> = Option<(Option<T>, usize)>;

/// What a table says of a key.
#[derive(Clone, Default)]
struct KeyFields {
    label: Option<(Label, usize)>,
    limit: FieldValue<Cents>,
    reset: FieldValue<ResetInterval>,
    expiry: FieldValue<Expiry>,
    workspace: FieldValue<String>,
}

impl Parser<'_> {
    fn report(&mut self, at: usize, words: impl Into<String>) {
        self.diagnostics.push(RawDiagnostic {
            offset: at,
            message: words.into(),
            first_offset: None,
        });
    }

    fn into_diagnostics(mut self) -> Vec<Diagnostic> {
        self.diagnostics.sort_by_key(|wrong| wrong.offset);
        let lines = LineIndex::new(self.text);
        let place = |first: usize| -> Position { lines.position(first) };
        let complaint = |wrong: RawDiagnostic| Diagnostic {
            position: lines.position(wrong.offset),
            message: match wrong.first_offset {
                Some(first) => format!("{}, at {}", wrong.message, place(first)),
                None => wrong.message,
            },
        };
        self.diagnostics.into_iter().map(complaint).collect()
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
                    self.report(start_offset(name), "defaults are a table: [defaults]")
                }
                ("key", DeValue::Array(array)) => tables = array,
                ("key", _) => {
                    self.report(start_offset(name), "each key begins with two brackets: [[key]]");
                }
                (other, _) => {
                    let meant = format_suggestion(other, &["key", "defaults"]);
                    self.report(start_offset(name), format!("'{}' is not part of a plan, which holds [defaults] and any number of [[key]]{meant}", redact_excerpt(other)));
                }
            }
        }
        let mut requests = Vec::with_capacity(tables.len());
        let mut labels = HashMap::with_capacity(tables.len());
        for value in tables {
            let DeValue::Table(table) = value.get_ref() else {
                self.report(value.span().start, "each key is a table that begins with [[key]]");
                continue;
            };
            let fields = self.parse_fields(table, &KEY_FIELDS);
            let Some((label, at)) = fields.label.clone() else {
                if !table.iter().any(|(name, _)| name.get_ref() == "label") {
                    self.report(value.span().start, "this key has no label: label = \"…\"");
                }
                continue;
            };
            if let Some(first) = labels.get(&label) {
                let words = format!(
                    "the label '{}' is taken by a key above",
                    redact_excerpt(label.as_str())
                );
                self.diagnostics.push(RawDiagnostic {
                    offset: at,
                    message: words,
                    first_offset: Some(*first),
                });
                continue;
            }
            labels.insert(label.clone(), at);
            requests.push(self.build_request(label, fields, &defaults, value.span().start));
        }
        requests
    }

    /// One key, its gaps filled from the defaults, checked as a whole.
    fn build_request(
        &mut self,
        label: Label,
        fields: KeyFields,
        defaults: &KeyFields,
        at: usize,
    ) -> KeyRequest {
        let limit = fields.limit.or(defaults.limit).and_then(|(limit, _)| limit);
        let reset = match fields.reset {
            Some((reset, _)) => reset,
            // A default is for the keys it fits: without a limit there is nothing to reset.
            None => defaults.reset.and_then(|(reset, _)| reset).filter(|_| limit.is_some()),
        };
        let expiry = fields.expiry.or_else(|| defaults.expiry.clone());
        let workspace = fields.workspace.or_else(|| defaults.workspace.clone());
        let workspace_at = workspace.as_ref().map(|(_, at)| *at);
        let request = KeyRequest {
            label,
            limit,
            limit_reset: reset,
            expiry: expiry.and_then(|(expiry, _)| expiry),
            workspace_id: workspace.and_then(|(id, _)| id),
        };
        if let Err(problem) = request.validate() {
            let of_reset = request.limit_reset.is_some() && request.limit.is_none();
            let reset_at = fields.reset.map(|(_, at)| at);
            let at = if of_reset { reset_at } else { workspace_at }.unwrap_or(at);
            // One default that is wrong is said once, not for each key.
            if self.diagnostics.last().is_none_or(|wrong| wrong.offset != at) {
                self.report(at, problem.0);
            }
        }
        request
    }

    fn parse_fields(&mut self, table: &TomlTable<'_>, known: &[&str]) -> KeyFields {
        let mut fields = KeyFields::default();
        for (name, value) in table {
            let at = value.span().start;
            match name.get_ref().as_ref() {
                field if !known.contains(&field) => self.report_unknown_field(name, known),
                "label" => {
                    let text =
                        self.expect_string(value, "a label is text in quotes, such as \"aider\"");
                    let label =
                        text.and_then(|text| self.ok_or_report(value, &text, text.parse(), &[]));
                    fields.label = label.map(|label| (label, at));
                }
                "limit" => fields.limit = self.parse_limit(value),
                "reset" => {
                    let words = "a reset is \"daily\", \"weekly\", \"monthly\" or \"never\"";
                    let text = self.expect_string(value, words);
                    let near = ["daily", "weekly", "monthly", "never"];
                    let reset = text.and_then(|text| {
                        self.ok_or_report(value, &text, ResetInterval::parse(&text), &near)
                    });
                    fields.reset = reset.map(|reset| (reset, at));
                }
                "expires" => {
                    let words = "an expiry is text such as \"30d\" or \"never\", or a date such as 2027-12-31";
                    let text = match value.get_ref() {
                        DeValue::Datetime(at) => Some(Cow::from(at.to_string())),
                        _ => self.expect_string(value, words),
                    };
                    let now = self.now;
                    let expiry = text.and_then(|text| {
                        self.ok_or_report(value, &text, Expiry::parse(&text, now), &["never"])
                    });
                    fields.expiry = expiry.map(|expiry| (expiry, at));
                }
                _ => {
                    let text = self.expect_string(value, "a workspace is its UUID, in quotes");
                    let id =
                        text.map(|text| Some(text.trim().to_owned()).filter(|id| !id.is_empty()));
                    fields.workspace = id.map(|id| (id, at));
                }
            }
        }
        fields
    }

    fn parse_limit(&mut self, value: &TomlValue<'_>) -> FieldValue<Cents> {
        let at = value.span().start;
        let digits = match value.get_ref() {
            DeValue::Integer(number) if number.radix() == 10 => number.as_str(),
            DeValue::Float(number) => number.as_str(),
            DeValue::String(text) if text.trim().eq_ignore_ascii_case("none") => {
                return Some((None, at));
            }
            DeValue::String(text) => {
                let like = match text.parse::<Cents>() {
                    Ok(usd) => format!(": limit = {}", usd.to_dollars()),
                    Err(_) => format!(
                        ", not '{}'{}",
                        redact_excerpt(text),
                        format_suggestion(text, &["none"])
                    ),
                };
                let words = "a limit is a number of USD without quotes, or \"none\"";
                self.report(at, format!("{words}{like}"));
                return None;
            }
            _ => {
                self.report(at, "a limit is a number of USD such as 10 or 12.50, or \"none\"");
                return None;
            }
        };
        self.ok_or_report(value, digits, digits.parse(), &[]).map(|usd| (Some(usd), at))
    }

    /// What became of a value; one that is not accepted is said, with what was perhaps meant.
    fn ok_or_report<T>(
        &mut self,
        value: &TomlValue<'_>,
        text: &str,
        parsed: Result<T, crate::domain::ValidationError>,
        near: &[&str],
    ) -> Option<T> {
        parsed
            .map_err(|problem| {
                let not = if text.trim().is_empty() {
                    String::new()
                } else {
                    format!(", not '{}'", redact_excerpt(text))
                };
                let words = format!("{problem}{not}{}", format_suggestion(text, near));
                self.report(value.span().start, words);
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
        // A key written with escapes is a key all the same.
        let raw = self.text.get(start..end).unwrap_or_default();
        if let (Some((_, key)), true) = (find_keys(text).pop(), find_keys(raw).is_empty()) {
            self.report(start, format!("a key stands here ({key}): a plan holds no secret"));
            return None;
        }
        Some(Cow::from(text.as_ref()))
    }

    fn report_unknown_field(&mut self, name: &Spanned<Cow<'_, str>>, known: &[&str]) {
        let field = name.get_ref().as_ref();
        let words = match FIELD_ALIASES.iter().find(|(other, _)| *other == field) {
            Some((_, ours)) if known.contains(ours) => format!("; it is called {ours} here"),
            _ if field == "label" => "; it belongs to a [[key]]".into(),
            _ => format_suggestion(field, known),
        };
        let known = known.join(", ");
        self.report(
            start_offset(name),
            format!("'{}' is not a field: they are {known}{words}", redact_excerpt(field)),
        );
    }
}

fn start_offset<T>(spanned: &Spanned<T>) -> usize {
    spanned.span().start
}

/// `; did you mean …?`, where one is near.
fn format_suggestion(text: &str, known: &[&str]) -> String {
    let text = text.trim().to_lowercase();
    known
        .iter()
        .map(|word| (strsim::jaro_winkler(&text, word), word))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or(String::new(), |(_, word)| format!("; did you mean {word}?"))
}
