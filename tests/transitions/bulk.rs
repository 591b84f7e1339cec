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
    let Screen::ActionResults(ResultsScreen { results, .. }) = &model.screen else { panic!() };
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
fn undo_enables_exactly_what_was_disabled_without_another_question() {
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
    let effects = send_intent(&mut model, Intent::Undo);
    assert!(model.question.is_none());
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
}

#[test]
fn marked_keys_have_the_order_of_the_table() {
    let mut model = model_with_keys(&["a", "b", "c"]);
    send_intent(&mut model, Intent::ReverseSort);
    mark_all(&mut model, 3);
    let targets: Vec<_> =
        model.dashboard.target_keys().iter().map(|key| key.label.as_str()).collect();
    assert_eq!(targets, ["c", "b", "a"]);
    // A key that the filter hides stays marked.
    model.dashboard.rows.retain(|index| *index == 1);
    let targets: Vec<_> =
        model.dashboard.target_keys().iter().map(|key| key.label.as_str()).collect();
    assert_eq!(targets, ["b", "a", "c"]);
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

fn account_key_with_limit(label: &str, limit: f64) -> AccountKey {
    let mut account_key = account_key(label);
    account_key.info.limit = Some(limit).into();
    account_key
}

/// Opens the limits of the keys `a`, `b` and `c`, of which the last cannot be read.
fn open_limits() -> Model {
    let mut model = model_with_keys(&["a", "b", "c"]);
    mark_all(&mut model, 3);
    let effects = send_intent(&mut model, Intent::EditKey);
    let [Effect::Request(ticket, Request::FetchAccountKeys(hashes))] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(hashes.len(), 3);
    let ticket = *ticket;
    type_text(&mut model, "20");
    assert!(send_intent(&mut model, Intent::Submit).is_empty(), "the limits are not known yet");
    let current = vec![
        Ok(account_key_with_limit("a", 5.0)),
        Ok(account_key_with_limit("b", 20.0)),
        Err(user_error(ErrorKind::Unreachable)),
    ];
    send(&mut model, Msg::Response(ticket, Response::AccountKeysFetched(current)));
    model
}

#[test]
fn the_limits_of_marked_keys_are_shown_before_they_are_sent_and_each_has_a_result() {
    let mut model = open_limits();
    let Screen::Limits(screen) = &model.screen else { panic!("{:?}", model.screen) };
    let plan = screen.plan().unwrap();
    assert!(
        matches!(&plan[0], PlannedLimit::Change(_, text) if text == "limit: $5.00 → $20.00"),
        "{plan:?}"
    );
    assert!(matches!(&plan[1..], [PlannedLimit::Unchanged, PlannedLimit::Impossible(_)]));
    assert!(send_intent(&mut model, Intent::Enter).is_empty(), "the next field");
    assert!(send_intent(&mut model, Intent::Enter).is_empty(), "shown for the last time");
    let effects = send_intent(&mut model, Intent::Enter);
    let [Effect::EditLimits(updates)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(updates.len(), 1);
    assert!(matches!(&model.notice, Some(Ok(text)) if text.contains("2 of 3 keys done")));
    let update = Box::new(updates[0].clone());
    let outcome = KeyUpdateOutcome::Updated {
        account_key: Some(account_key_with_limit("a", 20.0)),
        stored_key: None,
        warning: None,
    };
    send(&mut model, Msg::LimitEdited { update, outcome });
    let Screen::ActionResults(ResultsScreen { results, .. }) = &model.screen else {
        panic!("{:?}", model.screen)
    };
    let succeeded: Vec<bool> = results.iter().map(|result| result.succeeded).collect();
    assert_eq!(succeeded, [false, true, true], "{results:?}");
    assert!(results.iter().all(|result| !result.message.contains("press u")), "{results:?}");
    // The dialog offers what its results can be reverted with.
    send_intent(&mut model, Intent::Undo);
    assert!(matches!(&model.question, Some(Question::RestoreLimits(limits)) if limits.len() == 1));
}

#[test]
fn limits_that_change_no_key_are_not_sent_and_the_reset_has_its_letters() {
    let mut model = open_limits();
    send_intent(&mut model, Intent::EditText(tui_input::InputRequest::DeleteLine));
    assert!(send_intent(&mut model, Intent::Submit).is_empty());
    let Screen::Limits(screen) = &model.screen else { panic!("{:?}", model.screen) };
    assert!(screen.error.is_some());
    send_intent(&mut model, Intent::NextField);
    type_text(&mut model, "w");
    // What was shown is sent only if nothing is typed since.
    send_intent(&mut model, Intent::Enter);
    type_text(&mut model, "w");
    assert!(send_intent(&mut model, Intent::Submit).is_empty());
    let effects = send_intent(&mut model, Intent::Submit);
    let [Effect::EditLimits(updates)] = &effects[..] else { panic!("{effects:?}") };
    let patches = updates.iter().map(|update| &update.account_patch.as_ref().unwrap().1);
    for patch in patches {
        assert_eq!(patch.limit, FieldChange::Keep);
        assert_eq!(patch.limit_reset, FieldChange::Set(ResetInterval::Weekly));
    }
}

#[test]
fn results_that_nothing_reverts_offer_no_undo() {
    let mut model = model_with_keys(&["a", "b"]);
    mark_all(&mut model, 2);
    send_intent(&mut model, Intent::ToggleDisabled);
    send_intent(&mut model, Intent::Yes);
    for label in ["a", "b"] {
        let result = Err(user_error(ErrorKind::Failed));
        let label = label.parse().unwrap();
        send(&mut model, Msg::KeyDisabledSet { label, result, warning: None });
    }
    let Screen::ActionResults(ResultsScreen { can_undo, .. }) = &model.screen else { panic!() };
    assert!(!can_undo);
    send_intent(&mut model, Intent::Undo);
    assert!(matches!(model.screen, Screen::ActionResults(_)) && model.question.is_none());
}
