//! The keys that answer the questions before something changes: `y` agrees, enter only sends a form.

use super::*;
use crossterm::event::{KeyCode, KeyEvent};
use keywright::domain::UnresolvedAttempt;
use keywright::tui::keymap::{footer_items, intent_for_key};
use keywright::tui::state::{ConfirmDialog, PlanComparison, PlanScreen};

fn press(model: &mut Model, code: KeyCode) -> Vec<Effect> {
    let intent = intent_for_key(model, &KeyEvent::from(code));
    intent.map_or_else(Vec::new, |intent| send_intent(model, intent))
}

/// Returns every question; a new one is added here, since the compiler asks for it.
fn all_questions() -> Vec<Question> {
    let label = || "laptop".parse().unwrap();
    let keys = vec![(key("laptop").hash.clone(), label())];
    let attempt = UnresolvedAttempt {
        id: "1".into(),
        label: label(),
        server: "https://openrouter.ai".into(),
        started_at: now(),
        waits_for_store: false,
    };
    let questions = vec![
        Question::QuitWithUnstoredKey,
        Question::DiscardUnstoredKey,
        Question::DismissAttempt(attempt),
        Question::UseEnvironmentKey,
        Question::RemoveKeys(vec![label()]),
        Question::RestoreLimits(vec![(label(), "$5.00".into())]),
        Question::SetKeysDisabled { keys: keys.clone(), disabled: true },
        Question::SetKeysDisabled { keys, disabled: false },
    ];
    for question in &questions {
        match question {
            Question::QuitWithUnstoredKey
            | Question::DiscardUnstoredKey
            | Question::DismissAttempt(_)
            | Question::UseEnvironmentKey
            | Question::RemoveKeys(_)
            | Question::RestoreLimits(_)
            | Question::SetKeysDisabled { .. } => {}
        }
    }
    questions
}

/// Returns a model for each question and each dialog that a press of `y` agrees to, and whether it is a
/// form, which enter sends.
fn all_asking() -> Vec<(Model, bool)> {
    let asking = |question| {
        let mut model = model_with_keys(&["laptop"]);
        model.question = Some(question);
        (model, false)
    };
    let mut models: Vec<(Model, bool)> = all_questions().into_iter().map(asking).collect();
    for kind in [ConfirmKind::Rotate, ConfirmKind::RespondToLeak] {
        let mut model = model_with_keys(&["laptop"]);
        let dialog = ConfirmDialog::new(kind, vec![key("laptop")]);
        model.screen = Screen::Confirm(Box::new(dialog));
        models.push((model, kind == ConfirmKind::Rotate));
    }
    let mut model = model_with_keys(&["laptop"]);
    let comparison = PlanComparison { keys: Vec::new(), auth_description: String::new() };
    let plan = PlanScreen { comparison: Some(comparison), ..PlanScreen::default() };
    model.screen = Screen::Plan(Box::new(plan));
    models.push((model, true));
    models
}

#[test]
fn enter_agrees_to_no_question_and_y_to_each() {
    for (model, is_form) in all_asking() {
        let shown = format!("{:?} {:?}", model.question, confirm_kind(&model));
        let intent_of = |code: KeyCode| intent_for_key(&model, &KeyEvent::from(code));
        assert_eq!(intent_of(KeyCode::Char('y')), Some(Intent::Yes), "{shown}");
        if is_form {
            assert_eq!(intent_of(KeyCode::Enter), Some(Intent::Yes), "{shown}");
        } else {
            assert!(matches!(intent_of(KeyCode::Enter), None | Some(Intent::No)), "{shown}");
            let mut after = model.clone();
            let effects = press(&mut after, KeyCode::Enter);
            let is_harmless = |effect: &Effect| matches!(effect, Effect::RecoverInterrupted);
            assert!(effects.iter().all(is_harmless), "{shown}: {effects:?}");
        }
        // Every question shows the same two keys, and every form.
        let keys: Vec<String> = footer_items(&model, 200)
            .iter()
            .filter(|item| matches!(item.binding.intent(), Intent::Yes | Intent::No | Intent::Back))
            .map(|item| item.binding.key_text().into_owned())
            .collect();
        assert_eq!(keys, [if is_form { "enter" } else { "y" }, "esc"], "{shown}");
    }
}

#[test]
fn enter_confirms_only_what_was_typed() {
    for kind in [ConfirmKind::Revoke, ConfirmKind::ConfirmAccount] {
        assert!(kind.requires_text());
        let mut model = model_with_keys(&["laptop"]);
        let dialog = ConfirmDialog::new(kind, vec![key("laptop")]);
        model.screen = Screen::Confirm(Box::new(dialog));
        assert!(press(&mut model, KeyCode::Enter).is_empty());
        assert_eq!(confirm_kind(&model), Some(kind));
        type_text(&mut model, "laptop");
        assert!(!press(&mut model, KeyCode::Enter).is_empty(), "{kind:?}");
    }
}

#[test]
fn marked_keys_put_what_acts_on_them_first_in_the_footer() {
    let mut model = model_with_keys(&["laptop", "ci", "agent"]);
    let keys = |model: &Model| -> Vec<String> {
        let items = footer_items(model, 78);
        items.iter().map(|item| item.binding.key_text().into_owned()).collect()
    };
    assert_eq!(keys(&model)[..2], ["n", "c"]);
    send_intent(&mut model, Intent::ToggleMark);
    send_intent(&mut model, Intent::ToggleMark);
    assert_eq!(keys(&model)[..3], ["e", "d", "R"], "{:?}", keys(&model));
}

#[test]
fn esc_hides_a_revealed_key_first() {
    let mut model = model_with_keys(&["laptop"]);
    send_intent(&mut model, Intent::ToggleDetails);
    let hash = key("laptop").hash.clone();
    model.dashboard.reveal_key(hash, secret(), now());
    press(&mut model, KeyCode::Esc);
    assert!(model.dashboard.revealed_key.is_none() && model.dashboard.are_details_shown);
    press(&mut model, KeyCode::Esc);
    assert!(!model.dashboard.are_details_shown);
}
