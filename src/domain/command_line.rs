//! Commands that are printed to be pasted into a shell.

/// Quotes `text` for sh, bash, zsh and fish. Between single quotes all of these shells take every
/// character literally, except a quote and, in fish, a backslash. Those two are escaped outside of
/// the quotes.
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

/// Adds `options` to each command of `text`: to each `keywright COMMAND` for which `is_command` is
/// true. An option that the command has already is not repeated. What is between quotes stays as it is.
pub fn repeat_options(
    text: &str,
    options: &[(String, Option<String>)],
    is_command: &dyn Fn(&str) -> bool,
) -> String {
    const PROGRAM: &str = "keywright ";
    let mut repeated = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let before = repeated.chars().next_back();
        let is_word_start = before.is_none_or(|c| !c.is_alphanumeric() && !"/-_.".contains(c));
        let name = rest.strip_prefix(PROGRAM).map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '-');
            &rest[..end.unwrap_or(rest.len())]
        });
        let length = match name {
            Some(name) if is_word_start && is_command(name) => {
                let (length, unquoted) = split_command(rest);
                let command = &rest[..length];
                repeated.push_str(PROGRAM.trim_end());
                for (option, value) in options {
                    let is_given = |word: &str| {
                        word.strip_prefix(option.as_str())
                            .is_some_and(|end| end.is_empty() || end.starts_with('='))
                    };
                    if unquoted.split(' ').any(is_given) {
                        continue;
                    }
                    repeated.extend([" ", option]);
                    if let Some(value) = value {
                        repeated.extend([" ", &quote_shell_word(value)]);
                    }
                }
                repeated.push_str(&command[PROGRAM.len() - 1..]);
                length
            }
            _ if c == '\'' && is_word_start => {
                let length = quoted_length(rest);
                repeated.push_str(&rest[..length]);
                length
            }
            _ => {
                repeated.push(c);
                c.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    repeated
}

/// Returns the length of the command at the start of `text`, and the command without its quotations.
/// It ends at a separator outside of quotes, or where another one starts.
fn split_command(text: &str) -> (usize, String) {
    let (mut end, mut unquoted) = (0, String::new());
    while let Some(c) = text[end..].chars().next() {
        match c {
            '\'' => end += quoted_length(&text[end..]),
            '\\' => end += text[end..].chars().take(2).map(char::len_utf8).sum::<usize>(),
            ';' | ',' | '`' | ')' | '|' | '\n' => break,
            ' ' if text[end..].starts_with(" keywright ") => break,
            c => {
                unquoted.push(c);
                end += c.len_utf8();
            }
        }
    }
    (end, unquoted)
}

/// Returns the length of the quotation at the start of `text`; of the quote alone if it does not end
/// in its line, since a label in a sentence may contain a single quote.
fn quoted_length(text: &str) -> usize {
    let line = text[1..].lines().next().unwrap_or_default();
    line.find('\'').map_or(1, |end| end + 2)
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

    fn repeat(text: &str) -> String {
        let options = [
            ("--server".to_owned(), Some("https://example.com".to_owned())),
            ("--data-dir".to_owned(), Some("it's mine".to_owned())),
            ("--sandbox".to_owned(), None),
        ];
        repeat_options(text, &options, &|word| ["list", "rm", "get", "recover"].contains(&word))
    }

    #[test]
    fn each_command_in_a_text_gets_the_options_that_it_does_not_have() {
        const OPTIONS: &str = r"--server https://example.com --data-dir 'it'\''s mine' --sandbox";
        assert_eq!(repeat("keywright list"), format!("keywright {OPTIONS} list"));
        assert_eq!(
            repeat("run `keywright get LABEL`, or keywright rm LABEL; it's here"),
            format!(
                "run `keywright {OPTIONS} get LABEL`, or keywright {OPTIONS} rm LABEL; \
                 it's here"
            )
        );
        assert_eq!(
            repeat("with keywright get or keywright list --data-dir x"),
            format!(
                "with keywright {OPTIONS} get or keywright --server https://example.com --sandbox \
                 list --data-dir x"
            )
        );
        // A quotation ends with its line: a label in a sentence may contain one quote.
        let text = "'\\' is already stored\nremove it: keywright rm \\\'";
        assert!(
            repeat(text).ends_with(&format!("keywright {OPTIONS} rm \\\'")),
            "{}",
            repeat(text)
        );
        for text in ["/bin/keywright list", "did you mean 'a keywright list'?"] {
            assert_eq!(repeat(text), text);
        }
    }

    proptest! {
        #[test]
        fn options_change_nothing_within_a_label(label in "(keywright list| --server |it's|['\\\\;`, ]|\\PC){0,8}") {
            let plain = format_command(&["rm"], &[&label]);
            let mut expected = parse_words(&plain);
            let options =
                ["--server", "https://example.com", "--data-dir", "it's mine", "--sandbox"];
            expected.splice(1..1, options.map(str::to_owned));
            prop_assert_eq!(parse_words(&repeat(&plain)), expected);
        }

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
