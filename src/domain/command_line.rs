//! Commands that are printed to be pasted into a shell.

/// Quotes `text` for sh, bash, zsh and fish. Between single quotes all of these take every character
/// for itself, except a quote and, in fish, a backslash; these are escaped outside of them.
pub fn quote_posix(text: &str) -> String {
    if text.is_empty() {
        return String::from("''");
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    for part in text.split_inclusive(['\'', '\\']) {
        let plain = part.trim_end_matches(['\'', '\\']);
        if !plain.is_empty() {
            quoted.extend(["'", plain, "'"]);
        }
        if let Some(escaped) = part.get(plain.len()..).filter(|rest| !rest.is_empty()) {
            quoted.extend(["\\", escaped]);
        }
    }
    quoted
}

/// Quotes `text` for sh, bash, zsh and fish where that is necessary.
pub fn quote_shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@".contains(c);
    let is_plain = !text.is_empty() && !text.starts_with('-') && text.chars().all(plain);
    if is_plain { text.to_owned() } else { quote_posix(text) }
}

/// Returns the arguments of `keywright`: `words`, which are a command and its options, then
/// `operands`, which are labels or other values, after a `--` where one looks like an option.
pub fn command_arguments(words: &[&str], operands: &[&str]) -> Vec<String> {
    let dashes = operands.iter().any(|operand| operand.starts_with('-')).then_some("--");
    words.iter().copied().chain(dashes).chain(operands.iter().copied()).map(str::to_owned).collect()
}

/// Returns a `keywright` command to be pasted into a shell; see [`command_arguments`]. Every command
/// with a value that someone chose is printed through this function.
pub fn format_command(words: &[&str], operands: &[&str]) -> String {
    let mut command = String::from("keywright");
    for argument in command_arguments(words, operands) {
        command.push(' ');
        // Options are the program's own and need no quotes.
        let is_option = words.contains(&argument.as_str()) || argument == "--";
        let is_plain_option = is_option && argument.starts_with('-');
        command.push_str(&if is_plain_option { argument } else { quote_shell_word(&argument) });
    }
    command
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_quoted_only_where_necessary() {
        assert_eq!(quote_shell_word("laptop"), "laptop");
        assert_eq!(quote_shell_word("my key"), "'my key'");
        assert_eq!(quote_shell_word("it's"), r"'it'\''s'");
        assert_eq!(quote_shell_word(r"a\"), r"'a'\\");
        assert_eq!(quote_shell_word("-rf"), "'-rf'");
        assert_eq!(quote_shell_word(""), "''");
    }

    #[test]
    fn labels_that_look_like_options_or_commands_are_neither() {
        assert_eq!(format_command(&["rm", "--revoke"], &["ci"]), "keywright rm --revoke ci");
        assert_eq!(format_command(&["get"], &["-x"]), "keywright get -- '-x'");
        assert_eq!(
            format_command(&["show"], &["x;touch X; $(touch Y)"]),
            "keywright show 'x;touch X; $(touch Y)'"
        );
        assert_eq!(format_command(&["rename"], &["a b", "NEW"]), "keywright rename 'a b' NEW");
    }

    /// Parses a line of words that are quoted with `'` and `\` only, as a POSIX shell does.
    fn parse_words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut inside) = (Vec::new(), None::<String>, false);
        let mut chars = line.chars();
        while let Some(c) = chars.next() {
            match c {
                '\'' => {
                    inside = !inside;
                    word.get_or_insert_default();
                }
                ' ' if !inside => words.extend(word.take()),
                '\\' if !inside => word.get_or_insert_default().extend(chars.next()),
                c => {
                    assert!(inside || c.is_ascii_alphanumeric() || "-_./:@".contains(c), "{c:?}");
                    word.get_or_insert_default().push(c);
                }
            }
        }
        assert!(!inside, "{line}");
        words.extend(word);
        words
    }

    proptest! {
        #[test]
        fn a_shell_parses_a_printed_command_unchanged(label in "([-'\\\\\"$`;&|<>(){}!#~*?=, \n]|\\PC){0,20}") {
            let expected: &[&str] = if label.starts_with('-') {
                &["keywright", "rm", "--revoke", "--", &label]
            } else {
                &["keywright", "rm", "--revoke", &label]
            };
            prop_assert_eq!(parse_words(&format_command(&["rm", "--revoke"], &[&label])), expected);
            // fish reads a backslash between quotes in another way, so there is none.
            let quoted = quote_posix(&label);
            let inside = quoted.split('\'').skip(1).step_by(2).collect::<String>();
            prop_assert!(quoted.contains(r"\'") || !inside.contains('\\'));
        }
    }
}
