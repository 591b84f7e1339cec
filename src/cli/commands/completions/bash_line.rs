//! Completion for bash, which inserts candidates as they are and replaces only a part of the word:
//! what follows its last word break (such as `:` or `=`) or its open quote.
//!
//! A label is data that others may have chosen. So the part that is inserted is quoted for the quote
//! state at its start, and a label that cannot be quoted there is not offered.

use super::Candidate;

/// Completes the last word of `line`, of which bash replaces the end `replaced`. Returns what bash
/// is to insert; an empty line stands for file names.
pub(super) fn complete_line(
    line: &str,
    replaced: &str,
    complete: impl Fn(&[String], &str) -> Vec<Candidate>,
) -> Vec<String> {
    let mut words = split_words(line);
    let Some(current) = words.pop() else { return Vec::new() };
    if current.is_file {
        return vec![String::new()];
    }
    // The part of the word that stays on the line.
    let Some(kept) = current.raw.strip_suffix(replaced) else { return Vec::new() };
    let kept = split_words(kept).pop().unwrap_or_default();
    if kept.has_expansion {
        return Vec::new();
    }
    let before: Vec<String> =
        words.into_iter().filter(|word| !word.is_file).skip(1).map(|word| word.value).collect();
    complete(&before, &current.value)
        .iter()
        .filter(|candidate| !candidate.value.contains(char::is_control))
        .filter_map(|candidate| {
            if candidate.value.is_empty() {
                return Some(String::new());
            }
            let matching = candidate.value.starts_with(&current.value);
            quote(candidate.value.strip_prefix(&kept.value).filter(|_| matching)?, kept.quote)
        })
        .collect()
}

/// Quotes the rest of a word for its quote state. Returns `None` if that is not possible: in double
/// quotes bash expands `!`, and after a quotation mark it does not add the closing quote.
fn quote(text: &str, quote: Option<char>) -> Option<String> {
    let is_special = |c: char| match quote {
        Some('"') => matches!(c, '"' | '\\' | '$' | '`'),
        Some(_) => false,
        None => c.is_ascii() && !c.is_ascii_alphanumeric() && !"_-./:=@%+,".contains(c),
    };
    match quote {
        Some('"') if text.contains('!') || text.ends_with('"') => return None,
        Some('\'') if text.contains('\'') => return None,
        _ => {}
    }
    let mut quoted = String::with_capacity(text.len());
    for c in text.chars() {
        if is_special(c) {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    Some(quoted)
}

/// A word of a line.
#[derive(Default)]
struct Word {
    /// As typed, with quotes.
    raw: String,
    /// Without quotes. Nothing is expanded.
    value: String,
    /// The quote that is open at its end.
    quote: Option<char>,
    /// Whether the shell would expand a part of it.
    has_expansion: bool,
    /// Whether it follows a redirection.
    is_file: bool,
}

/// Splits a line into words as bash does. The last one may be empty.
fn split_words(line: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut word = Word::default();
    let mut is_escaped = false;
    for c in line.chars() {
        if word.quote.is_none() && !is_escaped && matches!(c, ' ' | '\t' | '\n' | '<' | '>') {
            if !word.raw.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            word.is_file |= matches!(c, '<' | '>');
            continue;
        }
        word.raw.push(c);
        match (word.quote, c) {
            _ if is_escaped => {
                // In double quotes a backslash stays before other characters.
                if word.quote.is_some() && !matches!(c, '"' | '\\' | '$' | '`') {
                    word.value.push('\\');
                }
                word.value.push(c);
                is_escaped = false;
            }
            (None | Some('"'), '\\') => is_escaped = true,
            (None, '"' | '\'') => word.quote = Some(c),
            (Some(quote), _) if quote == c => word.quote = None,
            (quote, _) => {
                word.has_expansion |= quote != Some('\'') && matches!(c, '$' | '`');
                word.value.push(c);
            }
        }
    }
    words.push(word);
    words
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LABELS: [&str; 6] = ["$(touch X)", "my key", "it's", "a!b", "co:x", "say \"hi\""];

    /// Completes a line; `replaced` is what follows the last word break or the open quote.
    fn complete(line: &str, replaced: &str) -> Vec<String> {
        complete_line(line, replaced, |words, _| {
            assert_eq!(words, ["get"], "{line}");
            LABELS.map(|label| Candidate::new(label, "")).into()
        })
    }

    #[test]
    fn labels_are_quoted_for_the_quote_state_at_the_cursor() {
        assert_eq!(complete("keywright get $", "$"), ["\\$\\(touch\\ X\\)"]);
        assert_eq!(complete("keywright get \"$", "$"), ["\\$(touch X)"]);
        assert_eq!(complete("keywright get '$", "$"), ["$(touch X)"]);
        assert_eq!(complete("keywright get my", "my"), ["my\\ key"]);
        assert_eq!(complete("keywright get 'my", "my"), ["my key"]);
        assert_eq!(complete("keywright get my' k", " k"), [" key"]);
        assert_eq!(complete("keywright get 'my 'k", "'my 'k"), ["my\\ key"]);
    }

    #[test]
    fn labels_that_cannot_be_quoted_are_not_offered() {
        assert_eq!(complete("keywright get 'it", "it"), [""; 0]);
        assert_eq!(complete("keywright get \"it", "it"), ["it's"]);
        assert_eq!(complete("keywright get \"a", "a"), [""; 0]);
        assert_eq!(complete("keywright get \"say", "say"), [""; 0]);
        assert_eq!(complete("keywright get 'a", "a"), ["a!b"]);
    }

    #[test]
    fn only_what_follows_a_word_break_is_inserted() {
        assert_eq!(complete("keywright get co", "co"), ["co:x"]);
        assert_eq!(complete("keywright get co:", ""), ["x"]);
        assert_eq!(complete("keywright get co:'", ""), ["x"]);
        assert_eq!(complete("keywright get c\\o:", ""), ["x"]);
    }

    #[test]
    fn a_word_that_the_shell_would_expand_is_not_completed() {
        assert_eq!(complete("keywright get $HOME:", ""), [""; 0]);
        assert_eq!(complete("keywright get \"`x`\"c", "c"), [""; 0]);
        assert_eq!(complete("keywright get >", ""), [""], "a file");
        assert_eq!(complete("keywright get > x", "x"), [""], "a file");
        assert_eq!(complete("keywright >x get c", "c"), ["co:x"]);
    }

    proptest! {
        #[test]
        fn a_completed_word_has_the_value_of_the_label(label in "[ -~é🔑]{1,12}", quote in "[\"']?") {
            let line = format!("keywright get {quote}");
            let candidates = |_: &[String], _: &str| vec![Candidate::new(label.clone(), "")];
            for inserted in complete_line(&line, "", candidates) {
                let mut words = split_words(&format!("{line}{inserted}{quote}"));
                let word = words.pop().unwrap();
                prop_assert_eq!(words.len(), 2);
                prop_assert!(!word.has_expansion && word.quote.is_none());
                prop_assert_eq!(word.value, label.clone());
            }
        }
    }
}
