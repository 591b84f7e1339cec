//! Parses a plan. Reports all errors at once, in the order of the file.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use jiff::Timestamp;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::names::{self, FIELD_ALIASES, KEY_FIELDS, NameField, NamePlace, Plan, PlanName};
use crate::domain::{
    Cents, DefaultedFields, Expiry, KeyDefaults, KeyRequest, Label, PartialPolicy, ResetInterval,
    StoreKind, find_keys, sort_by_key,
};
use crate::services::diagnostic::{Diagnostic, LineIndex, format_suggestion, redact_excerpt};
use crate::services::keys::{WorkspaceText, parse_workspace};

type TomlTable<'a> = DeTable<'a>;
type TomlValue<'a> = Spanned<DeValue<'a>>;

/// Parses a plan, or returns all errors in it. Expiries count from `now`.
/// A key for which the plan has no limit, reset or expiry takes the policy of `key_defaults`.
pub fn parse(
    bytes: &[u8],
    key_defaults: &KeyDefaults,
    now: Timestamp,
) -> Result<Plan, Vec<Diagnostic>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let position = LineIndex::new(&valid).position(valid.len());
            let message = "the file is not UTF-8 text: save it as UTF-8".into();
            return Err(vec![Diagnostic { position, message }]);
        }
    };
    let mut parser = Parser {
        text,
        key_defaults,
        now,
        diagnostics: Vec::new(),
        names: Vec::new(),
        configured_names: Vec::new(),
    };
    for (offset, key) in find_keys(text) {
        parser.report(offset, format!("this is a key ({key}): a plan must not contain secrets; remove it, and revoke the key if others may have seen it"));
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let offset = error.span().map_or(text.len(), |span| span.start);
        parser.report(offset, format!("invalid TOML: {}", redact_excerpt(error.message())));
    }
    let requests = parser.parse_plan(table.get_ref());
    if !parser.diagnostics.is_empty() {
        return Err(parser.into_diagnostics());
    }
    let lines = LineIndex::new(text);
    let planned = parser.names.into_iter().map(|(key, field, name, offset)| PlanName {
        key,
        field,
        name,
        place: NamePlace::Plan(lines.position(offset)),
    });
    Ok(Plan { requests, names: planned.chain(parser.configured_names).collect() })
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
    /// Each with the index of its key and its offset.
    names: Vec<(usize, NameField, String, usize)>,
    /// Those of the configuration, for keys that take its policy.
    configured_names: Vec<PlanName>,
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
    guardrail: FieldValue<String>,
    store: Option<StoreKind>,
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
        sort_by_key(&mut self.diagnostics, |error| error.offset);
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
            let at = requests.len();
            requests.push(self.build_request(at, label, fields, &defaults, value.span().start));
        }
        requests
    }

    /// Builds the request for one key: fills in the defaults and validates the result.
    fn build_request(
        &mut self,
        at: usize,
        label: Label,
        fields: KeyFields,
        defaults: &KeyFields,
        table_offset: usize,
    ) -> KeyRequest {
        let limit = fields.limit.or(defaults.limit).map(|(limit, _)| limit);
        let has_limit = limit.flatten().is_some();
        let reset = match fields.reset {
            Some((reset, _)) => Some(reset),
            // A default reset applies only to keys with a limit.
            None => defaults.reset.map(|(reset, _)| reset.filter(|_| has_limit)),
        };
        let expiry = fields.expiry.or_else(|| defaults.expiry.clone());
        let workspace = fields.workspace.or_else(|| defaults.workspace.clone());
        let workspace_id = workspace.map(|(text, offset)| {
            match parse_workspace(text.as_deref().unwrap_or_default()) {
                WorkspaceText::Id(id) => return Some(id.to_owned()),
                WorkspaceText::Name(name) => {
                    self.names.push((at, NameField::Workspace, name.to_owned(), offset));
                }
                WorkspaceText::Default => {}
            }
            None
        });
        let guardrail = fields.guardrail.or_else(|| defaults.guardrail.clone());
        let has_guardrail = guardrail.is_some();
        if let Some((Some(name), offset)) = guardrail {
            self.names.push((at, NameField::Guardrail, name, offset));
        }
        let requested = PartialPolicy {
            limit,
            limit_reset: reset,
            expiry: expiry.map(|(expiry, _)| expiry),
            workspace_id,
        };
        // The plan's policy is complete by itself: only a key without any field takes the defaults.
        let has_policy = requested.limit.is_some()
            || requested.limit_reset.is_some()
            || requested.expiry.is_some();
        let store = fields.store.or_else(|| defaults.store.clone());
        let request = if has_policy {
            let request = KeyDefaults::none().complete(label, requested, self.now);
            KeyRequest { defaulted: DefaultedFields::default(), ..request }
        } else {
            let mut request = self.key_defaults.complete(label, requested, self.now);
            request.defaulted.guardrail = !has_guardrail;
            self.configured_names.extend(names::of_defaults(at, &request, self.key_defaults));
            request
        };
        let request = KeyRequest { store, ..request };
        if let Err(error) = request.validate() {
            let offset = fields.reset.map_or(table_offset, |(_, offset)| offset);
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
                "store" => {
                    let text = self.expect_string(value, "store must be a name in quotes");
                    fields.store = text.and_then(|text| {
                        let kind = StoreKind::parse_lasting(&text);
                        self.ok_or_report(value, &text, kind, &["os", "file", "bao"])
                    });
                }
                field => {
                    let expected = format!("{field} must be a name or an id in quotes");
                    let text = self.expect_string(value, &expected);
                    let name = text.map(|text| {
                        let is_none = text.trim().is_empty() || text.trim() == "none";
                        ((!is_none).then(|| text.trim().to_owned()), offset)
                    });
                    let is_guardrail = field == "guardrail";
                    *if is_guardrail { &mut fields.guardrail } else { &mut fields.workspace } =
                        name;
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
