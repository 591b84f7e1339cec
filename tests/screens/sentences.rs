//! No sentence is cut without an ellipsis, on any screen.

use keywright::tui::state::ResultsScreen;

use super::sweep::{rows, sweep};
use super::*;

#[test]
fn a_sentence_ends_with_a_stop_or_an_ellipsis_wherever_it_is_shown() {
    let mut model = loaded_model((80, 24));
    let attempt = UnresolvedAttempt {
        waits_for_store: false,
        id: "1".into(),
        label: "lost".parse().unwrap(),
        server: "https://openrouter.ai".into(),
        started_at: "2026-11-24T09:00:00Z".parse().unwrap(),
    };
    model.dashboard.unresolved_attempts = vec![attempt];
    sweep(&mut model, |model, rows| {
        let warning = rows[2].trim();
        assert!(warning.contains("press D") || warning.contains("D dismisses"), "{warning}");
        assert!(warning.contains("revoke it"), "{:?} {warning}", model.terminal_size);
    });
    model.dashboard.unresolved_attempts.clear();
    model.refresh.has_insufficient_credits = true;
    sweep(&mut model, |_, rows| assert!(rows[2].contains("(402)."), "{}", rows[2]));
}

/// Every screen except the dashboard and the page of a key, which scrolls.
fn single_column_screens() -> Vec<(&'static str, Model)> {
    let after = |intents: &[Intent]| {
        let mut model = loaded_model((300, 80));
        want(&mut model, intents);
        model
    };
    let mut form_with_errors = after(&[Intent::NewKey]);
    type_text(&mut form_with_errors, "laptop");
    want(&mut form_with_errors, &[Intent::Submit]);
    let mut messages = after(&[]);
    let advice = "a sentence that is longer than a line of eighty columns and ends here";
    let error = UserError::new(ErrorKind::Failed, "it failed", advice);
    update(&mut messages, Msg::Response(Ticket(99), Response::KeysLoaded(Err(error))), now());
    want(&mut messages, &[Intent::ToggleMessages]);
    let stored = || ProvisioningOutcome::Stored {
        stored_key: keys().remove(2),
        key: secret(),
        warning: None,
    };
    let mut results = after(&[]);
    let result = |number: usize| keywright::domain::ActionResult {
        succeeded: number.is_multiple_of(2),
        message: format!("'key-{number}' was changed at OpenRouter and here, and nothing was lost"),
    };
    results.screen = Screen::ActionResults(ResultsScreen::new((0..12).map(result).collect(), true));
    let mut failed_sign_in = waiting((300, 80), false);
    let sign_in = ticket(&failed_sign_in);
    let error = UserError::new(ErrorKind::Unreachable, "the server could not be reached", advice)
        .with_meaning("no key was created and nothing was charged to the account");
    let failure = Response::ProvisioningFinished(ProvisioningOutcome::Failed(error));
    update(&mut failed_sign_in, Msg::Response(sign_in, failure), now());
    let mut known = after(&[Intent::Rotate]);
    if let Screen::Confirm(dialog) = &mut known.screen {
        dialog.losses = keywright::tui::state::ExpectedLosses::Known(Vec::new());
    }
    vec![
        ("form", after(&[Intent::NewKey])),
        ("form with errors", form_with_errors),
        ("import", after(&[Intent::ImportKey])),
        ("sign-in", waiting((300, 80), false)),
        ("sign-in by code", waiting((300, 80), true)),
        ("new key", revealed(stored())),
        ("rotation", known),
        ("pending rotation", after(&[Intent::Rotate])),
        ("leak response", after(&[Intent::ToggleMark, Intent::ToggleMark, Intent::RespondToLeak])),
        ("removal", after(&[Intent::Remove])),
        ("revocation", after(&[Intent::Remove, Intent::Revoke])),
        ("disabling", after(&[Intent::ToggleDisabled])),
        ("help", after(&[Intent::ToggleHelp])),
        ("help of the form", after(&[Intent::NewKey, Intent::ToggleHelp])),
        ("palette", after(&[Intent::OpenPalette])),
        ("messages", messages),
        ("results", results),
        ("failed sign-in", failed_sign_in),
        ("management key", after(&[Intent::OpenManagement])),
        ("plan", after(&[Intent::OpenPlan])),
    ]
}

/// Returns the pieces of text that are separated by two spaces or by lines of a box.
fn pieces(rows: &[String]) -> Vec<String> {
    let is_line = |c: char| matches!(c, '│' | '╭' | '╮' | '╰' | '╯' | '─' | '▸' | '┃');
    // What a dialog covers is no sentence.
    let top = rows.iter().position(|row| row.contains('╭')).unwrap_or(0);
    let column = |c: char| rows[top].chars().position(|other| other == c);
    let (left, right) = (column('╭').unwrap_or(0), column('╮').unwrap_or(usize::MAX));
    let row_pieces = rows[top..].iter().flat_map(|row| {
        let row: String = row.chars().take(right).skip(left).collect();
        let row = row.replace(is_line, "  ");
        row.split("  ").map(|piece| piece.trim().to_owned()).collect::<Vec<_>>()
    });
    row_pieces.filter(|piece| !piece.is_empty()).collect()
}

#[test]
fn no_sentence_ends_without_its_last_word_or_an_ellipsis() {
    for (name, mut model) in single_column_screens() {
        update(&mut model, Msg::Resized(300, 80), now());
        let sentences: Vec<String> = pieces(&rows(&model))
            .into_iter()
            .filter(|piece| piece.split(' ').count() >= 4)
            .collect();
        sweep(&mut model, |model, rows| {
            let size = model.terminal_size;
            let shown = pieces(rows).join(" ");
            for sentence in &sentences {
                let words: Vec<&str> = sentence.split(' ').collect();
                let start = words[..3].join(" ");
                let Some(at) = shown.find(&start) else { continue };
                // Two sentences may begin with the same words.
                let is_whole = sentences
                    .iter()
                    .any(|other| other.starts_with(&start) && shown.contains(other.as_str()));
                let is_marked =
                    shown[at..].chars().take(sentence.chars().count()).any(|c| c == '…');
                assert!(is_whole || is_marked, "{name} {size:?}: {sentence}\n{}", rows.join("\n"));
            }
        });
    }
}
