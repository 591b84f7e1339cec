//! Actions on several keys, and undo.

use super::*;

fn disabled_result(label: &str, disabled: bool) -> Msg {
    let account_key = AccountKey { disabled: Some(disabled), ..account_key(label) };
    Msg::KeyDisabledSet { label: label.parse().unwrap(), result: Ok(account_key), warning: None }
}

fn mark_all(model: &mut Model, count: usize) {
    send_intent(model, Intent::MoveToTop);
    for _ in 0..count {
        send_intent(model, Intent::ToggleMark);
    }
}

#[test]
fn each_key_of_several_gets_a_result_and_failures_come_first() {
    let mut model = model_with_keys(&["a", "b", "c"]);
    mark_all(&mut model, 3);
    send_intent(&mut model, Intent::ToggleDisabled);
    let effects = send_intent(&mut model, Intent::Yes);
    assert!(matches!(&effects[..], [Effect::SetKeysDisabled { keys, .. }] if keys.len() == 3));
    send(&mut model, disabled_result("a", true));
    assert!(matches!(&model.notice, Some(Ok(text)) if text.contains("1 of 3")));
    send(&mut model, disabled_result("b", true));
    let failed = Msg::KeyDisabledSet {
        label: "c".parse().unwrap(),
        result: Err(user_error(ErrorKind::Failed)),
        warning: None,
    };
    send(&mut model, failed);
    let Screen::ActionResults(results) = &model.screen else { panic!() };
    assert_eq!(results.len(), 3);
    assert!(!results[0].succeeded && results[0].message.contains("'c'"));
    assert_eq!(model.messages.iter().filter(|logged| logged.message.is_ok()).count(), 2);
    assert!(model.dashboard.marked_hashes.is_empty() && model.bulk.is_none());
}

#[test]
fn results_of_removed_keys_do_not_cover_a_form() {
    let mut model = model_with_keys(&["a", "b"]);
    mark_all(&mut model, 2);
    send_intent(&mut model, Intent::Remove);
    send_intent(&mut model, Intent::Yes);
    send_intent(&mut model, Intent::NewKey);
    for label in ["a", "b"] {
        send(&mut model, Msg::KeyRemoved { label: label.parse().unwrap(), result: Ok(None) });
    }
    assert!(matches!(model.screen, Screen::Form(_)));
    assert!(matches!(&model.notice, Some(Ok(text)) if text.contains("2 keys done, 0 failed")));
}

#[test]
fn undo_asks_and_enables_exactly_what_was_disabled() {
    let mut model = model_with_keys(&["a", "b", "c"]);
    send_intent(&mut model, Intent::Undo);
    assert!(model.question.is_none());
    mark_all(&mut model, 2);
    send_intent(&mut model, Intent::ToggleDisabled);
    send_intent(&mut model, Intent::Yes);
    send(&mut model, disabled_result("a", true));
    send(&mut model, disabled_result("b", true));
    send_intent(&mut model, Intent::Back);
    send_intent(&mut model, Intent::MoveToBottom);
    assert!(send_intent(&mut model, Intent::Undo).is_empty());
    let effects = send_intent(&mut model, Intent::Yes);
    let [Effect::SetKeysDisabled { keys, disabled: false }] = &effects[..] else {
        panic!("{effects:?}")
    };
    let labels: Vec<_> = keys.iter().map(|key| key.label.as_str()).collect();
    assert_eq!(labels, ["a", "b"]);
    send(&mut model, disabled_result("a", false));
    send(&mut model, disabled_result("b", false));
    // An undo is not offered for undoing again.
    send_intent(&mut model, Intent::Back);
    assert!(model.undoable.is_none());
    send_intent(&mut model, Intent::Undo);
    assert!(model.question.is_none());
}

#[test]
fn marks_are_never_ignored_silently() {
    let mut model = model_with_keys(&["a", "b", "c"]);
    mark_all(&mut model, 2);
    let effects = send_intent(&mut model, Intent::Copy);
    assert!(matches!(&effects[..], [Effect::CopyAsVariables(labels)] if labels.len() == 2));
    for intent in [Intent::EditKey] {
        mark_all(&mut model, 2);
        assert!(send_intent(&mut model, intent).is_empty());
        assert!(
            matches!(&model.notice, Some(Err(error)) if error.message.contains("only one key"))
        );
        send_intent(&mut model, Intent::Back);
    }
}

#[test]
fn a_label_becomes_the_name_of_a_variable() {
    for (label, name) in [("ci", "CI"), ("my tool-2", "MY_TOOL_2"), ("é", "_")] {
        let label: Label = label.parse().unwrap();
        assert_eq!(label.to_variable_name(), format!("OPENROUTER_API_KEY_{name}"));
    }
}

#[test]
fn disabling_without_a_management_key_is_refused_before_the_question() {
    let mut model = model_with_keys(&["a"]);
    model.account.lacks_management_key = true;
    assert!(send_intent(&mut model, Intent::ToggleDisabled).is_empty());
    assert!(model.question.is_none());
    assert!(matches!(&model.notice, Some(Err(error)) if error.advice.contains("press M")));
}
