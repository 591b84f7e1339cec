//! Edit, disable, import, removal and revocation.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use keywright::domain::PendingReplacement;
use keywright::tui::keymap::intent_for_key;
use keywright::tui::state::{Attention, KeyList};

use super::*;

#[test]
fn nothing_is_deleted_at_the_server_before_its_label_was_typed() {
    let mut model = model_with_keys(&["laptop"]);
    send_intent(&mut model, Intent::Remove);
    assert_eq!(model.question, Some(Question::RemoveKeys(vec!["laptop".parse().unwrap()])));
    send_intent(&mut model, Intent::Revoke);
    assert_eq!((confirm_kind(&model), &model.question), (Some(ConfirmKind::Revoke), &None));
    type_text(&mut model, "lap");
    assert!(send_intent(&mut model, Intent::Enter).is_empty());
    type_text(&mut model, "top");
    let effects = send_intent(&mut model, Intent::Enter);
    let [Effect::RevokeKeys(keys)] = &effects[..] else { panic!("{effects:?}") };
    let (hash, label) = (keys[0].hash.clone(), keys[0].label.clone());
    let failed = Msg::KeyRevoked {
        hash: hash.clone(),
        label: label.clone(),
        result: Err(user_error(ErrorKind::Failed)),
    };
    send(&mut model, failed);
    assert_eq!(labels(&model), ["laptop"], "what was not done is not shown as done");
    send(&mut model, Msg::KeyRevoked { hash, label, result: Ok(()) });
    assert_eq!(labels(&model), [""; 0]);
}

#[test]
fn keys_are_disabled_and_enabled_only_after_a_question() {
    let mut model = model_with_keys(&["laptop", "ci"]);
    assert!(send_intent(&mut model, Intent::ToggleDisabled).is_empty());
    assert!(send_intent(&mut model, Intent::No).is_empty());
    assert_eq!(model.question, None);
    assert!(send_intent(&mut model, Intent::ToggleDisabled).is_empty());
    let effects = send_intent(&mut model, Intent::Yes);
    assert!(
        matches!(&effects[..], [Effect::SetKeysDisabled { keys, disabled: true }] if keys.len() == 1)
    );
    let off = AccountKey { disabled: Some(true), ..account_key("laptop") };
    let label: Label = "laptop".parse().unwrap();
    send(&mut model, Msg::KeyDisabledSet { label: label.clone(), result: Ok(off), warning: None });
    assert_eq!(model.dashboard.selected_key().unwrap().state(now()), KeyState::Disabled);
    assert!(send_intent(&mut model, Intent::ToggleDisabled).is_empty());
    let effects = send_intent(&mut model, Intent::Yes);
    assert!(matches!(&effects[..], [Effect::SetKeysDisabled { disabled: false, .. }]));
    send(
        &mut model,
        Msg::KeyDisabledSet { label, result: Ok(account_key("laptop")), warning: None },
    );
    send_intent(&mut model, Intent::ToggleMark);
    send_intent(&mut model, Intent::ToggleMark);
    assert!(send_intent(&mut model, Intent::ToggleDisabled).is_empty());
    // The question names its keys, whatever is selected when it is answered.
    model.dashboard.marked_hashes.clear();
    let effects = send_intent(&mut model, Intent::Yes);
    assert!(
        matches!(&effects[..], [Effect::SetKeysDisabled { keys, disabled: true }] if keys.len() == 2)
    );
}

#[test]
fn a_change_is_shown_before_it_is_sent_and_only_what_differs_is() {
    let mut model = editing(Some(account_key("laptop")));
    type_text(&mut model, "20");
    assert!(send_intent(&mut model, Intent::Submit).is_empty());
    let Screen::Form(form) = &model.screen else { panic!() };
    assert_eq!(form.diff, ["limit: $7.50 → $20.00"]);
    let effects = send_intent(&mut model, Intent::Submit);
    let [Effect::Request(ticket, Request::UpdateKey(change))] = &effects[..] else {
        panic!("{effects:?}")
    };
    let KeyUpdate { account_patch: Some((seen, patch)), new_label: None, .. } = &**change else {
        panic!()
    };
    assert_eq!(*seen, account_key("laptop"));
    assert_eq!(
        *patch,
        KeyPatch { limit: FieldChange::from_option("20".parse().ok()), ..KeyPatch::default() }
    );
    // Once is enough.
    assert!(send_intent(&mut model, Intent::Submit).is_empty());
    // Someone changed the key first: the edit now starts from these values.
    let mut now_there = account_key("laptop");
    now_there.info.limit = Some(5.0).into();
    let outcome = KeyUpdateOutcome::Conflict {
        guardrail: None,
        current: now_there,
        changed_fields: vec!["limit"],
    };
    send(&mut model, Msg::Response(*ticket, Response::KeyUpdated(outcome)));
    let Screen::Form(form) = &model.screen else { panic!() };
    assert_eq!((form.limit.text(), form.submit_ticket, form.diff.len()), ("5", None, 0));
    assert!(form.error.as_ref().unwrap().message.contains("limit"));
}

#[test]
fn the_message_about_a_changed_key_says_what_was_changed() {
    let mut model = editing(Some(account_key("laptop")));
    send_intent(&mut model, Intent::EditText(tui_input::InputRequest::DeleteLine));
    type_text(&mut model, "20");
    assert!(send_intent(&mut model, Intent::Submit).is_empty());
    let effects = send_intent(&mut model, Intent::Submit);
    let [Effect::Request(ticket, _)] = &effects[..] else { panic!("{effects:?}") };
    let mut now_there = account_key("laptop");
    now_there.info.limit = Some(20.0).into();
    let outcome =
        KeyUpdateOutcome::Updated { account_key: Some(now_there), stored_key: None, warning: None };
    send(&mut model, Msg::Response(*ticket, Response::KeyUpdated(outcome)));
    let Some(Ok(notice)) = &model.notice else { panic!("{:?}", model.notice) };
    assert!(
        notice.starts_with("'laptop' was changed (limit: $7.50 → $20.00); press u"),
        "{notice}"
    );
}

#[test]
fn y_sends_the_changes_that_are_shown_and_n_shows_the_form_again() {
    let press = |model: &mut Model, c: char| {
        let key = KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE);
        let intent = intent_for_key(model, &key).unwrap();
        send_intent(model, intent)
    };
    let mut model = editing(Some(account_key("laptop")));
    send_intent(&mut model, Intent::EditText(tui_input::InputRequest::DeleteLine));
    press(&mut model, 'y');
    let Screen::Form(form) = &model.screen else { panic!() };
    assert_eq!(form.limit.text(), "y", "without changes it is a character");
    send_intent(&mut model, Intent::EditText(tui_input::InputRequest::DeleteLine));
    type_text(&mut model, "20");
    for answer in ['n', 'y'] {
        assert!(send_intent(&mut model, Intent::Submit).is_empty());
        let effects = press(&mut model, answer);
        let Screen::Form(form) = &model.screen else { panic!() };
        assert_eq!(form.limit.text(), "20");
        let is_sent = matches!(effects[..], [Effect::Request(_, Request::UpdateKey(_))]);
        assert_eq!((is_sent, form.diff.is_empty()), (answer == 'y', answer == 'n'));
    }
}

#[test]
fn a_change_that_is_none_is_not_sent_and_a_new_name_renames_the_stored_key() {
    let mut model = editing(Some(account_key("laptop")));
    assert!(send_intent(&mut model, Intent::Submit).is_empty());
    assert!(matches!(model.screen, Screen::Dashboard), "there is nothing to send");
    let mut model = editing(Some(account_key("laptop")));
    send_intent(&mut model, Intent::PreviousField);
    type_text(&mut model, "ci");
    assert!(send_intent(&mut model, Intent::Submit).is_empty());
    let Screen::Form(form) = &model.screen else { panic!() };
    assert_eq!((form.focused_field, form.diff.len()), (FormField::Label, 0), "that label is taken");
    type_text(&mut model, "cd");
    send_intent(&mut model, Intent::Submit);
    let effects = send_intent(&mut model, Intent::Submit);
    let [Effect::Request(ticket, Request::UpdateKey(change))] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert!(
        change.account_patch.is_none() && change.new_label.as_ref().unwrap().as_str() == "cicd"
    );
    let here = key("laptop").with(|key| key.label = "cicd".parse().unwrap());
    let outcome =
        KeyUpdateOutcome::Updated { account_key: None, stored_key: Some(here), warning: None };
    send(&mut model, Msg::Response(*ticket, Response::KeyUpdated(outcome)));
    assert_eq!(labels(&model), ["cicd", "ci"]);
}

#[test]
fn without_a_management_key_a_label_is_all_that_can_be_changed() {
    let model = editing(None);
    let Screen::Form(form) = &model.screen else { panic!() };
    assert_eq!(form.fields(), [FormField::Label]);
    assert!(matches!(form.kind, FormKind::Edit { account_key: None, .. }));
}

#[test]
fn an_imported_key_is_sent_once_and_redacted_in_debug() {
    let mut model = model_with_keys(&["laptop"]);
    send_intent(&mut model, Intent::ImportKey);
    type_text(&mut model, "ci");
    send_intent(&mut model, Intent::Enter);
    send(&mut model, Msg::Intent(Intent::Paste("sk-or-v1-very-secret\n".into())));
    assert!(!format!("{model:?}").contains("very-secret"));
    let effects = send_intent(&mut model, Intent::Submit);
    let [Effect::Request(ticket, Request::ImportKey { label, .. })] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(label.as_str(), "ci");
    assert!(send_intent(&mut model, Intent::Submit).is_empty());
    send(
        &mut model,
        Msg::Response(*ticket, Response::KeyImported(Err(user_error(ErrorKind::Unreachable)))),
    );
    let effects = send_intent(&mut model, Intent::Submit);
    let [Effect::Request(ticket, Request::ImportKey { .. })] = &effects[..] else {
        panic!("{effects:?}")
    };
    send(&mut model, Msg::Response(*ticket, Response::KeyImported(Ok(key("ci")))));
    assert!(
        matches!(&model.undoable, Some(UndoableChange::Final(text)) if text.contains("x removes"))
    );
    assert!(matches!(model.screen, Screen::Dashboard));
    assert_eq!(labels(&model), ["laptop", "ci"]);
}

#[test]
fn a_fetched_key_does_not_open_the_form_of_another_key() {
    for result in [Ok(None), Ok(Some(account_key("laptop")))] {
        let mut model = model_with_keys(&["laptop", "ci"]);
        let effects = send_intent(&mut model, Intent::EditKey);
        let [Effect::Request(ticket, Request::FetchAccountKey(_))] = effects[..] else {
            panic!("{effects:?}")
        };
        send_intent(&mut model, Intent::Move(1));
        send(&mut model, Msg::Response(ticket, Response::AccountKeyFetched(result)));
        assert!(matches!(model.screen, Screen::Dashboard), "{:?}", model.screen);
    }
}

#[test]
fn quitting_waits_for_changes_under_way_and_a_failure_cancels_it() {
    let key_of = |model: &Model| model.dashboard.selected_key().unwrap().clone();
    let removed = |result| Msg::KeyRemoved { label: "laptop".parse().unwrap(), result };
    let start_removal = || {
        let mut model = model_with_keys(&["laptop"]);
        send_intent(&mut model, Intent::Remove);
        let effects = send_intent(&mut model, Intent::Yes);
        assert!(matches!(effects[..], [Effect::RemoveKeys(_)]), "{effects:?}");
        model
    };
    let mut model = start_removal();
    assert!(send_intent(&mut model, Intent::Quit).is_empty());
    assert!(matches!(&model.notice, Some(Err(_))), "it says why it does not quit");
    assert!(matches!(send(&mut model, removed(Ok(None)))[..], [Effect::Quit]));

    let mut model = start_removal();
    send_intent(&mut model, Intent::Quit);
    let effects = send(&mut model, removed(Err(user_error(ErrorKind::Failed))));
    assert!(matches!(effects[..], [Effect::CheckInventory]), "{effects:?}");
    assert!(matches!(&model.notice, Some(Err(error)) if error.kind == ErrorKind::Failed));
    assert_eq!(key_of(&model).label.as_str(), "laptop");
    assert!(matches!(send_intent(&mut model, Intent::Quit)[..], [Effect::Quit]));
}

#[test]
fn a_leaked_key_and_an_unfinished_rotation_need_attention() {
    let mut model = model_with_keys(&["laptop", "new", "leaked"]);
    let now = model.now;
    let [ok, mut new, mut leaked] = ["laptop", "new", "leaked"].map(key);
    leaked.leaked = true;
    let hash = leaked.hash.clone();
    new.replaces = Some(PendingReplacement {
        hash,
        unused_for: 0,
        revoke_when_unused: false,
        is_planned: false,
    });
    model.dashboard.keys = KeyList::Loaded(vec![ok, new, leaked]);
    model.dashboard.update_summary(now);
    let expected = [(2, Attention::Leaked), (1, Attention::Unfinished)];
    assert_eq!(model.dashboard.attention_list, expected);
}

#[test]
fn a_raised_limit_ends_the_warning_about_the_key() {
    let with_limit = |limit: f64, spent: f64| KeyInfo {
        limit: Some(limit).into(),
        limit_remaining: Some(limit - spent),
        ..KeyInfo::default()
    };
    let mut model = model_with_keys(&["laptop"]);
    let report = |info| AccountKey { info, disabled: Some(false), ..account_key("laptop") };
    model.dashboard.record_account_key(&report(with_limit(10.0, 9.0)), now());
    assert_eq!(model.dashboard.attention_list, [(0, Attention::State(KeyState::Low))]);
    model.dashboard.record_account_key(&report(with_limit(40.0, 9.0)), now());
    assert_eq!(model.dashboard.attention_list, []);
}

#[test]
fn the_last_use_is_that_of_the_account() {
    let mut model = model_with_keys(&["laptop"]);
    model.dashboard.record_account_key(&account_key("laptop"), now());
    assert_eq!(model.dashboard.selected_key().unwrap().last_used_at(), None);
    let used = AccountKey { last_used_at: Some(now()), ..account_key("laptop") };
    model.dashboard.record_last_uses(&[used]);
    assert_eq!(model.dashboard.selected_key().unwrap().last_used_at(), Some(now()));
}

/// Submits the limit $20.00 in the form and returns the ticket.
fn submit_limit(model: &mut Model) -> Ticket {
    type_text(model, "20");
    send_intent(model, Intent::Submit);
    let effects = send_intent(model, Intent::Submit);
    let [Effect::Request(ticket, Request::UpdateKey(_))] = &effects[..] else {
        panic!("{effects:?}")
    };
    *ticket
}

fn with_limit(limit: f64) -> AccountKey {
    let mut account_key = account_key("laptop");
    account_key.info.limit = Some(limit).into();
    account_key
}

fn updated(account_key: AccountKey) -> KeyUpdateOutcome {
    let account_key = Some(account_key);
    KeyUpdateOutcome::Updated { account_key, stored_key: Some(key("laptop")), warning: None }
}

#[test]
fn undo_asks_and_sends_the_earlier_limit_of_an_edited_key() {
    let mut model = editing(Some(account_key("laptop")));
    let ticket = submit_limit(&mut model);
    let outcome = updated(with_limit(20.0));
    send(&mut model, Msg::Response(ticket, Response::KeyUpdated(outcome)));
    assert!(matches!(&model.notice, Some(Ok(text)) if text.contains("press u to undo")));
    assert!(send_intent(&mut model, Intent::Undo).is_empty());
    let expected = vec![("laptop".parse().unwrap(), "$7.50 daily".to_owned())];
    assert_eq!(model.question, Some(Question::RestoreLimits(expected)));
    let bindings = keywright::tui::keymap::active_bindings(&model);
    let mut enabled = bindings.iter().filter(|binding| binding.action.is_enabled(&model));
    assert!(enabled.any(|binding| binding.intent() == Intent::Yes), "the dialog says how");
    let effects = send_intent(&mut model, Intent::Yes);
    let [Effect::EditLimits(updates)] = &effects[..] else { panic!("{effects:?}") };
    let (seen, patch) = updates[0].account_patch.as_ref().unwrap();
    assert_eq!(*seen, with_limit(20.0), "a change in the meantime is a conflict");
    assert_eq!(patch.limit, FieldChange::from_option("7.5".parse().ok()));
    let update = Box::new(updates[0].clone());
    let outcome = updated(with_limit(7.5));
    send(&mut model, Msg::LimitEdited { update, outcome });
    assert!(matches!(&model.notice, Some(Ok(text)) if text.contains("$7.50 daily")));
}

#[test]
fn undo_of_an_edit_says_so_when_the_server_refuses() {
    let mut model = editing(Some(account_key("laptop")));
    let ticket = submit_limit(&mut model);
    let outcome = updated(with_limit(20.0));
    send(&mut model, Msg::Response(ticket, Response::KeyUpdated(outcome)));
    send_intent(&mut model, Intent::Undo);
    let effects = send_intent(&mut model, Intent::Yes);
    let [Effect::EditLimits(updates)] = &effects[..] else { panic!("{effects:?}") };
    let update = Box::new(updates[0].clone());
    let outcome = KeyUpdateOutcome::Failed(user_error(ErrorKind::Failed));
    send(&mut model, Msg::LimitEdited { update, outcome });
    let Some(Err(error)) = &model.notice else { panic!("{:?}", model.notice) };
    assert!(error.message.starts_with("the limit of 'laptop' was not changed"), "{error:?}");
    assert_eq!(model.changes_under_way, 0);
}

#[test]
fn a_new_label_alone_is_not_undone() {
    let mut model = editing(Some(account_key("laptop")));
    let outcome = KeyUpdateOutcome::Updated { account_key: None, stored_key: None, warning: None };
    let ticket = submit_limit(&mut model);
    send(&mut model, Msg::Response(ticket, Response::KeyUpdated(outcome)));
    assert!(model.undoable.is_none());
    // An earlier change must not be undone in its place.
    let mut model = editing(Some(account_key("laptop")));
    model.undoable = Some(UndoableChange::DisabledSet { keys: Vec::new(), disabled: true });
    let ticket = submit_limit(&mut model);
    let renamed = key("laptop").with(|key| key.label = "desk".parse().unwrap());
    let outcome =
        KeyUpdateOutcome::Updated { account_key: None, stored_key: Some(renamed), warning: None };
    send(&mut model, Msg::Response(ticket, Response::KeyUpdated(outcome)));
    assert!(send_intent(&mut model, Intent::Undo).is_empty());
    let expected = "this change of 'desk' is not undone by u; e edits the key again";
    assert!(matches!(&model.notice, Some(Ok(text)) if text == expected), "{:?}", model.notice);
}
