//! Which key goes into which variable: what `run` and `env` are told as `LABEL` and `ENV=LABEL`.
//! Must not know: where keys lie, shells.

use crate::domain::{UserError, sanitize};

use super::output::usage_error;

/// The variable that OpenRouter's own libraries and most tools read.
pub(super) const DEFAULT_VARIABLE: &str = "OPENROUTER_API_KEY";

/// A key, and the variable it goes into.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct EnvMapping {
    pub(super) variable: String,
    pub(super) label: String,
}

/// Reads the items, each `LABEL` or `ENV=LABEL`. The one without a variable goes into `default`.
///
/// A label may hold a `=` itself, or a `,`, or a `\`. An item that is a label from end to end is
/// that label, and so `held` is asked first; what is none is taken apart at its first `=`.
pub(super) fn parse_mappings<'a>(
    items: impl IntoIterator<Item = &'a str>,
    default: &str,
    held: impl Fn(&str) -> bool,
) -> Result<Vec<EnvMapping>, UserError> {
    let mut chosen: Vec<EnvMapping> = Vec::new();
    for item in items {
        let pair = item.split_once('=').filter(|_| !held(item));
        let (variable, label) = pair.unwrap_or((default, item));
        validate_variable_name(variable)?;
        if label.is_empty() {
            return Err(usage_error(
                format!("no label is given for {variable}"),
                "a key is named as LABEL or ENV=LABEL, such as OPENAI_API_KEY=ci",
            ));
        }
        if chosen.iter().any(|other| other.variable == variable) {
            return Err(usage_error(
                format!("two keys cannot both be {variable}"),
                "name the variable of each but one, such as ci,OPENAI_API_KEY=laptop",
            ));
        }
        chosen.push(EnvMapping { variable: variable.into(), label: label.into() });
    }
    Ok(chosen)
}

/// Takes a list apart at its commas, unless it is one label from end to end. `\` keeps the comma
/// after it, or the `\`, from meaning anything.
pub(super) fn split_items(list: &str, held: impl Fn(&str) -> bool) -> Vec<String> {
    if !list.contains([',', '\\']) || held(list) {
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

fn push_char(items: &mut [String], c: Option<char>) {
    if let Some(last) = items.last_mut() {
        last.extend(c);
    }
}

/// A name that every shell and every program can read.
pub(super) fn validate_variable_name(variable: &str) -> Result<(), UserError> {
    let mut bytes = variable.bytes();
    let begins = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    if begins && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Ok(());
    }
    Err(usage_error(
        format!("'{}' cannot be the name of a variable", sanitize(variable, 100)),
        "a name is letters, digits and _, and begins with no digit; a label with = in it that is not held is read as ENV=LABEL",
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(list: &str, held: &[&str]) -> Result<Vec<(String, String)>, String> {
        let is_held = |label: &str| held.contains(&label);
        let items = split_items(list, is_held);
        parse_mappings(items.iter().map(String::as_str), DEFAULT_VARIABLE, is_held)
            .map(|chosen| chosen.into_iter().map(|one| (one.variable, one.label)).collect())
            .map_err(|trouble| trouble.message)
    }

    fn pair(variable: &str, label: &str) -> (String, String) {
        (variable.into(), label.into())
    }

    #[test]
    fn a_label_alone_goes_into_the_default_and_others_into_their_own() {
        assert_eq!(
            pairs("ci,OTHER_KEY=my laptop", &[]),
            Ok(vec![pair(DEFAULT_VARIABLE, "ci"), pair("OTHER_KEY", "my laptop")])
        );
        assert_eq!(pairs("A=ci", &[]), Ok(vec![pair("A", "ci")]));
    }

    #[test]
    fn what_is_a_label_from_end_to_end_is_that_label() {
        for label in ["a,b", "a=b", "A=b,C=d", r"back\slash", r"a\,b", "=", ","] {
            assert_eq!(pairs(label, &[label]), Ok(vec![pair(DEFAULT_VARIABLE, label)]), "{label}");
        }
        assert_eq!(pairs("X=a=b", &["a=b"]), Ok(vec![pair("X", "a=b")]));
    }

    #[test]
    fn a_backslash_keeps_a_comma_in_its_label() {
        assert_eq!(
            pairs(r"a\,b,X=c\\,Y=d\e", &[]),
            Ok(vec![pair(DEFAULT_VARIABLE, "a,b"), pair("X", r"c\"), pair("Y", r"d\e")])
        );
    }

    #[test]
    fn what_cannot_be_told_apart_is_refused() {
        for list in ["a,b", "X=a,X=b", "1X=a", "=a", "X=", "a,", "", "é=a", "A B=c"] {
            assert!(pairs(list, &[]).is_err(), "{list}");
        }
    }

    proptest! {
        #[test]
        fn every_label_can_be_named_beside_others(a in ".{1,20}", b in ".{1,20}") {
            let escape = |label: &str| label.replace('\\', r"\\").replace(',', r"\,");
            let list = format!("X={},Y={}", escape(&a), escape(&b));
            prop_assert_eq!(pairs(&list, &[]), Ok(vec![pair("X", &a), pair("Y", &b)]));
        }
    }
}
