//! The `LABEL` and `ENV=LABEL` arguments of `run` and `env`.

use crate::domain::{UserError, sanitize};

use super::output::usage_error;

/// The variable that OpenRouter's libraries and most tools read.
pub(super) const DEFAULT_VARIABLE: &str = "OPENROUTER_API_KEY";

/// A key and the environment variable that receives it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct EnvMapping {
    pub(super) variable: String,
    pub(super) label: String,
}

/// Parses items, each `LABEL` or `ENV=LABEL`. An item without a variable uses `default`.
///
/// A label may contain `=`, `,` or `\`. So an item that is a stored label as a whole is that label;
/// any other item is split at its first `=`.
pub(super) fn parse_mappings<'a>(
    items: impl IntoIterator<Item = &'a str>,
    default: &str,
    is_stored: impl Fn(&str) -> bool,
) -> Result<Vec<EnvMapping>, UserError> {
    let mut mappings: Vec<EnvMapping> = Vec::new();
    for item in items {
        let pair = item.split_once('=').filter(|_| !is_stored(item));
        let (variable, label) = pair.unwrap_or((default, item));
        validate_variable_name(variable)?;
        if label.is_empty() {
            return Err(usage_error(
                format!("no label given for {variable}"),
                "give LABEL or ENV=LABEL, such as OPENAI_API_KEY=ci",
            ));
        }
        if mappings.iter().any(|other| other.variable == variable) {
            return Err(usage_error(
                format!("two keys for the variable {variable}"),
                "name a variable for the others, such as ci,OPENAI_API_KEY=laptop",
            ));
        }
        mappings.push(EnvMapping { variable: variable.into(), label: label.into() });
    }
    Ok(mappings)
}

/// Splits a list at its commas, unless the whole list is one stored label. `\` escapes a comma or
/// another `\`.
pub(super) fn split_items(list: &str, is_stored: impl Fn(&str) -> bool) -> Vec<String> {
    if !list.contains([',', '\\']) || is_stored(list) {
        return vec![list.into()];
    }
    let mut items = vec![String::new()];
    let mut chars = list.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ',' => items.push(String::new()),
            '\\' if matches!(chars.peek(), Some(',' | '\\')) => {
                push_char(&mut items, chars.next());
            }
            c => push_char(&mut items, Some(c)),
        }
    }
    items
}

/// Escapes a label for an item of a list.
pub(super) fn escape_item(label: &str) -> String {
    label.replace('\\', "\\\\").replace(',', "\\,")
}

/// Returns where the last item of a list starts: after its last comma that is not escaped.
pub(super) fn last_item_start(list: &str) -> usize {
    let mut start = 0;
    let mut is_escaped = false;
    for (at, c) in list.char_indices() {
        if c == ',' && !is_escaped {
            start = at + 1;
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    start
}

fn push_char(items: &mut [String], c: Option<char>) {
    if let Some(last) = items.last_mut() {
        last.extend(c);
    }
}

/// Checks that a variable's name is one that every shell and program can read.
pub(super) fn validate_variable_name(variable: &str) -> Result<(), UserError> {
    let mut bytes = variable.bytes();
    let starts_well = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    if starts_well && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Ok(());
    }
    Err(usage_error(
        format!("'{}' is not a valid variable name", sanitize(variable, 100)),
        "use letters, digits and _, and no digit first; an argument with = that is not a stored label is read as ENV=LABEL",
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(list: &str, stored: &[&str]) -> Result<Vec<(String, String)>, String> {
        let is_stored = |label: &str| stored.contains(&label);
        let items = split_items(list, is_stored);
        parse_mappings(items.iter().map(String::as_str), DEFAULT_VARIABLE, is_stored)
            .map(|mappings| {
                mappings.into_iter().map(|mapping| (mapping.variable, mapping.label)).collect()
            })
            .map_err(|error| error.message)
    }

    fn pair(variable: &str, label: &str) -> (String, String) {
        (variable.into(), label.into())
    }

    #[test]
    fn a_label_without_a_variable_uses_the_default() {
        assert_eq!(
            pairs("ci,OTHER_KEY=my laptop", &[]),
            Ok(vec![pair(DEFAULT_VARIABLE, "ci"), pair("OTHER_KEY", "my laptop")])
        );
        assert_eq!(pairs("A=ci", &[]), Ok(vec![pair("A", "ci")]));
    }

    #[test]
    fn a_whole_item_that_is_a_stored_label_is_not_split() {
        for label in ["a,b", "a=b", "A=b,C=d", r"back\slash", r"a\,b", "=", ","] {
            assert_eq!(pairs(label, &[label]), Ok(vec![pair(DEFAULT_VARIABLE, label)]), "{label}");
        }
        assert_eq!(pairs("X=a=b", &["a=b"]), Ok(vec![pair("X", "a=b")]));
    }

    #[test]
    fn a_backslash_escapes_a_comma() {
        assert_eq!(
            pairs(r"a\,b,X=c\\,Y=d\e", &[]),
            Ok(vec![pair(DEFAULT_VARIABLE, "a,b"), pair("X", r"c\"), pair("Y", r"d\e")])
        );
    }

    #[test]
    fn ambiguous_and_invalid_lists_are_rejected() {
        for list in ["a,b", "X=a,X=b", "1X=a", "=a", "X=", "a,", "", "é=a", "A B=c"] {
            assert!(pairs(list, &[]).is_err(), "{list}");
        }
    }

    proptest! {
        #[test]
        fn every_label_can_be_escaped(a in ".{1,20}", b in ".{1,20}") {
            let escape = |label: &str| label.replace('\\', r"\\").replace(',', r"\,");
            let list = format!("X={},Y={}", escape(&a), escape(&b));
            prop_assert_eq!(pairs(&list, &[]), Ok(vec![pair("X", &a), pair("Y", &b)]));
        }
    }
}
