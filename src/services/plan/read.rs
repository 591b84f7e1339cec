//! From TOML to requests. Owns: which fields there are, which values each takes, and saying
//! everything that is wrong at once, in the order of the file.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, Read as _};
use std::ops::Range;

use jiff::Timestamp;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Complaint, Lines, Position, keys, shown};
use crate::domain::{Expiry, KeyRequest, Label, Reset, Usd};

/// The fields of a key. Those after the label can have defaults.
const FIELDS: [&str; 5] = ["label", "limit", "reset", "expires", "workspace"];
/// OpenRouter's names for them, and others that people try.
const OTHER_NAMES: [(&str, &str); 8] = [
    ("name", "label"),
    ("key_label", "label"),
    ("limit_reset", "reset"),
    ("usage_limit_type", "reset"),
    ("interval", "reset"),
    ("expires_at", "expires"),
    ("expiry", "expires"),
    ("workspace_id", "workspace"),
];

type Table<'a> = DeTable<'a>;
type Value<'a> = Spanned<DeValue<'a>>;

/// The bytes of the largest plan.
const MOST: u64 = 64 << 20;

/// The bytes of a plan, from wherever they come: a device that never ends is given up.
pub fn load(source: impl io::Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(MOST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// Reads a plan, or says everything that is wrong with it. `now` is what expiries count from.
pub fn read(bytes: &[u8], now: Timestamp) -> Result<Vec<KeyRequest>, Vec<Complaint>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            // Up to there it is text.
            let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let at = Lines::of(&valid).position(valid.len());
            return Err(vec![Complaint {
                at,
                words: "this is not UTF-8 text: save the file as UTF-8".into(),
            }]);
        }
    };
    let mut reader = Reader { text, now, wrong: Vec::new() };
    for (at, key) in keys(text) {
        reader.say(at, format!("a key stands here ({key}): a plan holds no secret, so that it can be shared; take it out, and revoke it if others have seen it"));
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let at = error.span().map_or(text.len(), |span| span.start);
        reader.say(at, format!("this is not TOML: {}", shown(error.message())));
    }
    let requests = reader.plan(table.get_ref());
    if reader.wrong.is_empty() { Ok(requests) } else { Err(reader.complaints()) }
}

/// Something wrong: where, in what words, and the place that was there first.
struct Wrong {
    at: usize,
    words: String,
    first: Option<usize>,
}

struct Reader<'a> {
    text: &'a str,
    now: Timestamp,
    wrong: Vec<Wrong>,
}

/// What a field says, and where: a value, or that there is none.
type Said<T> = Option<(Option<T>, usize)>;

/// What a table says of a key.
#[derive(Clone, Default)]
struct Fields {
    label: Option<(Label, usize)>,
    limit: Said<Usd>,
    reset: Said<Reset>,
    expiry: Said<Expiry>,
    workspace: Said<String>,
}

impl Reader<'_> {
    fn say(&mut self, at: usize, words: impl Into<String>) {
        self.wrong.push(Wrong { at, words: words.into(), first: None });
    }

    fn complaints(mut self) -> Vec<Complaint> {
        self.wrong.sort_by_key(|wrong| wrong.at);
        let lines = Lines::of(self.text);
        let place = |first: usize| -> Position { lines.position(first) };
        let complaint = |wrong: Wrong| Complaint {
            at: lines.position(wrong.at),
            words: match wrong.first {
                Some(first) => format!("{}, at {}", wrong.words, place(first)),
                None => wrong.words,
            },
        };
        self.wrong.into_iter().map(complaint).collect()
    }

    fn plan(&mut self, top: &Table<'_>) -> Vec<KeyRequest> {
        let mut defaults = Fields::default();
        let mut tables: &[Value<'_>] = &[];
        for (name, value) in top {
            match (name.get_ref().as_ref(), value.get_ref()) {
                ("defaults", DeValue::Table(table)) => {
                    defaults = self.fields(table, &FIELDS[1..]);
                }
                ("defaults", _) => self.say(start(name), "defaults are a table: [defaults]"),
                ("key", DeValue::Array(array)) => tables = array,
                ("key", _) => {
                    self.say(start(name), "each key begins with two brackets: [[key]]");
                }
                (other, _) => {
                    let meant = meant(other, &["key", "defaults"]);
                    self.say(start(name), format!("'{}' is not part of a plan, which holds [defaults] and any number of [[key]]{meant}", shown(other)));
                }
            }
        }
        let mut requests = Vec::with_capacity(tables.len());
        let mut labels = HashMap::with_capacity(tables.len());
        for value in tables {
            let DeValue::Table(table) = value.get_ref() else {
                self.say(value.span().start, "each key is a table that begins with [[key]]");
                continue;
            };
            let fields = self.fields(table, &FIELDS);
            let Some((label, at)) = fields.label.clone() else {
                if !table.iter().any(|(name, _)| name.get_ref() == "label") {
                    self.say(value.span().start, "this key has no label: label = \"…\"");
                }
                continue;
            };
            if let Some(first) = labels.get(&label) {
                let words =
                    format!("the label '{}' is taken by a key above", shown(label.as_str()));
                self.wrong.push(Wrong { at, words, first: Some(*first) });
                continue;
            }
            labels.insert(label.clone(), at);
            requests.push(self.request(label, fields, &defaults, value.span().start));
        }
        requests
    }

    /// One key, its gaps filled from the defaults, checked as a whole.
    fn request(
        &mut self,
        label: Label,
        fields: Fields,
        defaults: &Fields,
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
            reset,
            expiry: expiry.and_then(|(expiry, _)| expiry),
            workspace: workspace.and_then(|(id, _)| id),
        };
        if let Err(problem) = request.check() {
            let of_reset = request.reset.is_some() && request.limit.is_none();
            let reset_at = fields.reset.map(|(_, at)| at);
            let at = if of_reset { reset_at } else { workspace_at }.unwrap_or(at);
            // One default that is wrong is said once, not for each key.
            if self.wrong.last().is_none_or(|wrong| wrong.at != at) {
                self.say(at, problem.0);
            }
        }
        request
    }

    fn fields(&mut self, table: &Table<'_>, known: &[&str]) -> Fields {
        let mut fields = Fields::default();
        for (name, value) in table {
            let at = value.span().start;
            match name.get_ref().as_ref() {
                field if !known.contains(&field) => self.unknown(name, known),
                "label" => {
                    let text = self.text_of(value, "a label is text in quotes, such as \"aider\"");
                    let label = text.and_then(|text| self.accept(value, &text, text.parse(), &[]));
                    fields.label = label.map(|label| (label, at));
                }
                "limit" => fields.limit = self.limit(value),
                "reset" => {
                    let words = "a reset is \"daily\", \"weekly\", \"monthly\" or \"never\"";
                    let text = self.text_of(value, words);
                    let near = ["daily", "weekly", "monthly", "never"];
                    let reset =
                        text.and_then(|text| self.accept(value, &text, Reset::parse(&text), &near));
                    fields.reset = reset.map(|reset| (reset, at));
                }
                "expires" => {
                    let words = "an expiry is text such as \"30d\" or \"never\", or a date such as 2027-12-31";
                    let text = match value.get_ref() {
                        DeValue::Datetime(at) => Some(Cow::from(at.to_string())),
                        _ => self.text_of(value, words),
                    };
                    let now = self.now;
                    let expiry = text.and_then(|text| {
                        self.accept(value, &text, Expiry::parse(&text, now), &["never"])
                    });
                    fields.expiry = expiry.map(|expiry| (expiry, at));
                }
                _ => {
                    let text = self.text_of(value, "a workspace is its UUID, in quotes");
                    let id =
                        text.map(|text| Some(text.trim().to_owned()).filter(|id| !id.is_empty()));
                    fields.workspace = id.map(|id| (id, at));
                }
            }
        }
        fields
    }

    fn limit(&mut self, value: &Value<'_>) -> Said<Usd> {
        let at = value.span().start;
        let digits = match value.get_ref() {
            DeValue::Integer(number) if number.radix() == 10 => number.as_str(),
            DeValue::Float(number) => number.as_str(),
            DeValue::String(text) if text.trim().eq_ignore_ascii_case("none") => {
                return Some((None, at));
            }
            DeValue::String(text) => {
                let like = match text.parse::<Usd>() {
                    Ok(usd) => format!(": limit = {}", usd.dollars()),
                    Err(_) => format!(", not '{}'{}", shown(text), meant(text, &["none"])),
                };
                let words = "a limit is a number of USD without quotes, or \"none\"";
                self.say(at, format!("{words}{like}"));
                return None;
            }
            _ => {
                self.say(at, "a limit is a number of USD such as 10 or 12.50, or \"none\"");
                return None;
            }
        };
        self.accept(value, digits, digits.parse(), &[]).map(|usd| (Some(usd), at))
    }

    /// What became of a value; one that is not accepted is said, with what was perhaps meant.
    fn accept<T>(
        &mut self,
        value: &Value<'_>,
        text: &str,
        parsed: Result<T, crate::domain::Problem>,
        near: &[&str],
    ) -> Option<T> {
        parsed
            .map_err(|problem| {
                let not = if text.trim().is_empty() {
                    String::new()
                } else {
                    format!(", not '{}'", shown(text))
                };
                let words = format!("{problem}{not}{}", meant(text, near));
                self.say(value.span().start, words);
            })
            .ok()
    }

    fn text_of<'v>(&mut self, value: &'v Value<'_>, expected: &str) -> Option<Cow<'v, str>> {
        let Range { start, end } = value.span();
        let DeValue::String(text) = value.get_ref() else {
            self.say(start, expected);
            return None;
        };
        // A key written with escapes is a key all the same.
        let raw = self.text.get(start..end).unwrap_or_default();
        if let (Some((_, key)), true) = (keys(text).pop(), keys(raw).is_empty()) {
            self.say(start, format!("a key stands here ({key}): a plan holds no secret"));
            return None;
        }
        Some(Cow::from(text.as_ref()))
    }

    fn unknown(&mut self, name: &Spanned<Cow<'_, str>>, known: &[&str]) {
        let field = name.get_ref().as_ref();
        let words = match OTHER_NAMES.iter().find(|(other, _)| *other == field) {
            Some((_, ours)) if known.contains(ours) => format!("; it is called {ours} here"),
            _ if field == "label" => "; it belongs to a [[key]]".into(),
            _ => meant(field, known),
        };
        let known = known.join(", ");
        self.say(
            start(name),
            format!("'{}' is not a field: they are {known}{words}", shown(field)),
        );
    }
}

fn start<T>(spanned: &Spanned<T>) -> usize {
    spanned.span().start
}

/// `; did you mean …?`, where one is near.
fn meant(text: &str, known: &[&str]) -> String {
    let text = text.trim().to_lowercase();
    known
        .iter()
        .map(|word| (strsim::jaro_winkler(&text, word), word))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or(String::new(), |(_, word)| format!("; did you mean {word}?"))
}
