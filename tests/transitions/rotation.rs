//! Rotation and leak response.

use super::*;
use keywright::domain::{GuardrailRef, KeyPart, NotCarried};

/// Opens the dialog, and answers what the new key will lack.
fn open_rotation(model: &mut Model, losses: Vec<NotCarried>) {
    let effects = send_intent(model, Intent::Rotate);
    let [Effect::Request(ticket, Request::PreviewReplacements(keys))] = &effects[..] else {
        panic!("{effects:?}")
    };
    let losses = vec![(keys[0].label.clone(), losses)];
    send(model, Msg::Response(*ticket, Response::LossesExpected(losses)));
}

fn guardrail_loss() -> NotCarried {
    let guardrail = GuardrailRef { id: "g".into(), name: "research".into() };
    NotCarried {
        what: "guardrail",
        part: Some(KeyPart::Guardrail(guardrail)),
        reason: "this management key may not read it (403)".into(),
    }
}

#[test]
fn a_rotation_waits_until_its_losses_are_known_and_a_leak_response_does_not() {
    let mut model = model_with_keys(&["laptop"]);
    let effects = send_intent(&mut model, Intent::Rotate);
    let [Effect::Request(ticket, Request::PreviewReplacements(_))] = effects[..] else {
        panic!("{effects:?}")
    };
    assert!(send_intent(&mut model, Intent::Yes).is_empty());
    // The response to a dialog that was closed is not shown in another one.
    send_intent(&mut model, Intent::Back);
    send_intent(&mut model, Intent::RespondToLeak);
    let losses = vec![("laptop".parse().unwrap(), vec![guardrail_loss()])];
    send(&mut model, Msg::Response(ticket, Response::LossesExpected(losses)));
    let Screen::Confirm(dialog) = &model.screen else { panic!() };
    assert!(matches!(dialog.losses, ExpectedLosses::Pending(_)));
    let effects = send_intent(&mut model, Intent::Yes);
    assert!(matches!(effects[..], [Effect::Request(_, Request::RespondToLeak(_))]), "{effects:?}");
}

#[test]
fn what_a_new_key_lacks_is_an_error_after_the_rotation() {
    let mut model = model_with_keys(&["laptop"]);
    open_rotation(&mut model, vec![guardrail_loss()]);
    let effects = send_intent(&mut model, Intent::Yes);
    let [Effect::Request(ticket, Request::RotateKey { .. })] = effects[..] else {
        panic!("{effects:?}")
    };
    let rotated = Rotated { not_carried: vec![guardrail_loss()], ..rotated("laptop") };
    let rotation = RotationOutcome::Completed { rotated, warning: None };
    send(&mut model, Msg::Response(ticket, Response::RotationFinished(rotation)));
    let error = model.notice.unwrap().unwrap_err();
    assert!(error.message.contains("does not have: guardrail 'research' (this man"), "{error:?}");
    assert!(error.advice.contains("keywright edit --guardrail research laptop"), "{error:?}");
}

#[test]
fn a_rotation_is_confirmed_and_moves_the_label() {
    let mut model = model_with_keys(&["laptop", "ci"]);
    open_rotation(&mut model, Vec::new());
    assert_eq!(confirm_kind(&model), Some(ConfirmKind::Rotate));
    send_intent(&mut model, Intent::NextChoice);
    send_intent(&mut model, Intent::ToggleMark);
    let effects = send_intent(&mut model, Intent::Yes);
    let [Effect::Request(ticket, Request::RotateKey { stored_key, retire_policy, .. })] =
        &effects[..]
    else {
        panic!("{effects:?}")
    };
    assert_eq!(stored_key.label.as_str(), "laptop");
    assert_eq!(*retire_policy, RetirePolicy { unused_for: 21_600, revoke_when_unused: true });
    let rotation = RotationOutcome::Completed { rotated: rotated("laptop"), warning: None };
    send(&mut model, Msg::Response(*ticket, Response::RotationFinished(rotation)));
    assert!(matches!(model.screen, Screen::Dashboard));
    assert_eq!(labels(&model), ["laptop (old)", "ci", "laptop"]);
    assert_eq!(model.dashboard.selected_key().unwrap().hash, "new");
}

#[test]
fn a_rotation_that_failed_can_be_tried_again_and_left() {
    let mut model = model_with_keys(&["laptop"]);
    open_rotation(&mut model, Vec::new());
    let effects = send_intent(&mut model, Intent::Yes);
    let [Effect::Request(ticket, Request::RotateKey { .. })] = effects[..] else {
        panic!("{effects:?}")
    };
    let failed = |ticket| {
        Msg::Response(
            ticket,
            Response::RotationFinished(RotationOutcome::Failed(user_error(ErrorKind::Unreachable))),
        )
    };
    send(&mut model, failed(ticket));
    assert!(matches!(&model.screen, Screen::SignIn(login) if login.error.is_some()));
    let effects = send_intent(&mut model, Intent::Retry);
    let [Effect::Request(ticket, Request::RotateKey { .. })] = effects[..] else {
        panic!("{effects:?}")
    };
    let effects = send_intent(&mut model, Intent::Back);
    assert!(matches!(effects[..], [Effect::CancelRun(cancelled)] if cancelled == ticket));
    assert!(matches!(model.screen, Screen::Dashboard));
    assert_eq!(model.background_runs.len(), 1);
    send(&mut model, failed(ticket));
    assert_eq!(model.background_runs, []);
}

#[test]
fn an_unstored_key_of_a_rotation_is_shown() {
    let mut model = model_with_keys(&["laptop"]);
    open_rotation(&mut model, Vec::new());
    let effects = send_intent(&mut model, Intent::Yes);
    let [Effect::Request(ticket, Request::RotateKey { .. })] = effects[..] else {
        panic!("{effects:?}")
    };
    let rotation = RotationOutcome::NotStored {
        entry: key("laptop (new)"),
        key: secret(),
        error: user_error(ErrorKind::SecretStore),
    };
    send(&mut model, Msg::Response(ticket, Response::RotationFinished(rotation)));
    assert_eq!(new_key_label(&model), Some("laptop (new)"));
    assert!(send_intent(&mut model, Intent::Quit).is_empty());
    assert_eq!(model.question, Some(Question::QuitWithUnstoredKey));
}

#[test]
fn a_leak_response_is_confirmed_and_reports_failures() {
    let mut model = model_with_keys(&["laptop", "ci"]);
    send_intent(&mut model, Intent::ToggleMark);
    send_intent(&mut model, Intent::ToggleMark);
    send_intent(&mut model, Intent::RespondToLeak);
    assert_eq!(confirm_kind(&model), Some(ConfirmKind::RespondToLeak));
    let effects = send_intent(&mut model, Intent::Yes);
    let [Effect::Request(ticket, Request::RespondToLeak(keys))] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(keys.len(), 2);
    let one = |label: &str, done, replaced| LeakResponse {
        label: label.parse().unwrap(),
        disable_result: ActionResult {
            succeeded: done,
            message: format!("{label} is perhaps off"),
        },
        rotation: Some(replaced),
    };
    let responses = vec![
        one(
            "laptop",
            true,
            RotationOutcome::Completed { rotated: rotated("laptop"), warning: None },
        ),
        one("ci", false, RotationOutcome::Failed(user_error(ErrorKind::Unreachable))),
    ];
    send(&mut model, Msg::Response(*ticket, Response::LeakResponseFinished(responses)));
    let Screen::ActionResults(ResultsScreen { results, .. }) = &model.screen else {
        panic!("{:?}", model.screen)
    };
    assert_eq!(
        results.iter().map(|result| result.succeeded).collect::<Vec<_>>(),
        [false, false, true, true]
    );
    assert!(labels(&model).contains(&"laptop (old)"));
    send_intent(&mut model, Intent::Back);
    assert!(matches!(model.screen, Screen::Dashboard));
}

#[test]
fn a_leaked_key_that_was_replaced_is_copied() {
    let mut model = model_with_keys(&["laptop"]);
    send_intent(&mut model, Intent::RespondToLeak);
    let effects = send_intent(&mut model, Intent::Yes);
    let [Effect::Request(ticket, Request::RespondToLeak(_))] = effects[..] else {
        panic!("{effects:?}")
    };
    let responses = vec![LeakResponse {
        label: "laptop".parse().unwrap(),
        disable_result: ActionResult { succeeded: true, message: String::new() },
        rotation: Some(RotationOutcome::Completed { rotated: rotated("laptop"), warning: None }),
    }];
    let effects =
        send(&mut model, Msg::Response(ticket, Response::LeakResponseFinished(responses)));
    assert!(
        effects
            .iter()
            .any(|e| matches!(e, Effect::CopyStoredKey(key) if key.label.as_str() == "laptop"))
    );
}

#[test]
fn leaving_stops_when_a_replacement_that_came_could_not_be_stored() {
    let mut model = model_with_keys(&["laptop"]);
    open_rotation(&mut model, Vec::new());
    let effects = send_intent(&mut model, Intent::Yes);
    let [Effect::Request(ticket, Request::RotateKey { .. })] = effects[..] else {
        panic!("{effects:?}")
    };
    send_intent(&mut model, Intent::Quit);
    let rotation = RotationOutcome::NotStored {
        entry: key("laptop"),
        key: secret(),
        error: user_error(ErrorKind::SecretStore),
    };
    let effects = send(&mut model, Msg::Response(ticket, Response::RotationFinished(rotation)));
    assert!(effects.is_empty(), "{effects:?}");
    assert_eq!(new_key_label(&model), Some("laptop"));
}

#[test]
fn a_replacement_that_is_stored_at_last_takes_its_place_and_ends_on_the_reveal() {
    let mut model = model_with_keys(&["laptop"]);
    finish_recovery(&mut model, vec![not_stored("new")]);
    let effects = send_intent(&mut model, Intent::Retry);
    let [Effect::Request(ticket, Request::RetryStore { .. })] = effects[..] else {
        panic!("{effects:?}")
    };
    let handed = Rotated { new: key("new"), old: Some(key("laptop")), not_carried: Vec::new() };
    send(
        &mut model,
        Msg::Response(
            ticket,
            Response::RotationFinished(RotationOutcome::Completed {
                rotated: handed,
                warning: None,
            }),
        ),
    );
    send(&mut model, Msg::Response(ticket, Response::ProvisioningFinished(stored("new"))));
    assert!(matches!(&model.screen, Screen::NewKey(reveal) if reveal.is_stored));
    assert_eq!(model.dashboard.stored_keys().len(), 2);
}

#[test]
fn a_rotated_key_that_the_account_had_listed_is_listed_once() {
    let mut model = model_with_keys(&["laptop"]);
    let known = AccountKey { hash: "new".into(), ..account_key("laptop") };
    let account = AccountKeys { keys: vec![known], ..AccountKeys::default() };
    model.dashboard.merge_account_keys(account, "s", now());
    model.dashboard.apply_rotation(rotated("laptop"), now());
    let hashes: Vec<_> = model.dashboard.all_keys().iter().map(|key| key.hash.as_str()).collect();
    assert_eq!(hashes.iter().filter(|hash| **hash == "new").count(), 1, "{hashes:?}");
}

/// Marks both keys and starts their rotation; returns its ticket.
fn rotate_both(model: &mut Model) -> Ticket {
    send_intent(model, Intent::ToggleMark);
    send_intent(model, Intent::ToggleMark);
    open_rotation(model, Vec::new());
    let effects = send_intent(model, Intent::Yes);
    let [Effect::Request(ticket, Request::RotateKeys { keys, .. })] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(keys.iter().map(|key| key.label.as_str()).collect::<Vec<_>>(), ["laptop", "ci"]);
    *ticket
}

#[test]
fn marked_keys_are_rotated_together_with_a_result_for_each() {
    let mut model = model_with_keys(&["laptop", "ci"]);
    let ticket = rotate_both(&mut model);
    send(&mut model, Msg::Response(ticket, Response::ItemStarted("ci".parse().unwrap())));
    let Screen::SignIn(sign_in) = &model.screen else { panic!("{:?}", model.screen) };
    assert_eq!(sign_in.operation.label().unwrap().as_str(), "ci");
    let outcomes = vec![
        (
            "laptop".parse().unwrap(),
            RotationOutcome::Completed { rotated: rotated("laptop"), warning: None },
        ),
        ("ci".parse().unwrap(), RotationOutcome::Failed(user_error(ErrorKind::Unreachable))),
    ];
    send(&mut model, Msg::Response(ticket, Response::RotationsFinished(outcomes)));
    let Screen::ActionResults(ResultsScreen { results, .. }) = &model.screen else {
        panic!("{:?}", model.screen)
    };
    assert!(!results[0].succeeded && results[0].message.contains("'ci'"), "{results:?}");
    assert!(results[1].succeeded && results[1].message.contains("'laptop'"), "{results:?}");
    assert!(labels(&model).contains(&"laptop (old)"));
    assert!(model.dashboard.marked_hashes.is_empty());
}

#[test]
fn rotations_that_were_left_end_in_the_background_and_keep_what_is_not_stored() {
    let mut model = model_with_keys(&["laptop", "ci"]);
    let ticket = rotate_both(&mut model);
    let effects = send_intent(&mut model, Intent::Back);
    assert!(matches!(effects[..], [Effect::CancelRun(cancelled)] if cancelled == ticket));
    assert!(matches!(model.screen, Screen::Dashboard));
    let not_stored = RotationOutcome::NotStored {
        entry: key("laptop"),
        key: secret(),
        error: user_error(ErrorKind::SecretStore),
    };
    let cancelled = RotationOutcome::Failed(user_error(ErrorKind::Cancelled));
    let outcomes =
        vec![("laptop".parse().unwrap(), not_stored), ("ci".parse().unwrap(), cancelled)];
    send(&mut model, Msg::Response(ticket, Response::RotationsFinished(outcomes)));
    assert!(matches!(&model.screen, Screen::NewKey(new_key) if !new_key.is_stored));
    assert!(model.background_runs.is_empty());
}

#[test]
fn a_key_that_ends_soon_is_offered_another_end() {
    let mut model = model_with_keys(&["laptop"]);
    let end = now() + SignedDuration::from_hours(72);
    let mut ending = key("laptop");
    ending.created_at = now() - SignedDuration::from_hours(24 * 60);
    ending.requested.expires_at = Some(end);
    model.dashboard.upsert_key(ending, now());
    let requested = |model: &mut Model| match &send_intent(model, Intent::Yes)[..] {
        [Effect::Request(_, Request::RotateKey { expiry, .. })] => expiry.clone(),
        effects => panic!("{effects:?}"),
    };
    // Without a choice the end stays: a replacement does not live longer by itself.
    let mut unchanged = model.clone();
    open_rotation(&mut unchanged, Vec::new());
    assert_eq!(requested(&mut unchanged), FieldChange::Keep);
    open_rotation(&mut model, Vec::new());
    send_intent(&mut model, Intent::EditKey);
    send_intent(&mut model, Intent::EditKey);
    let FieldChange::Set(expiry) = requested(&mut model.clone()) else { panic!() };
    assert_eq!(expiry.input, "30d");
    // After the last choice the end of the replaced key is chosen again.
    for _ in 0..4 {
        send_intent(&mut model, Intent::EditKey);
    }
    assert_eq!(requested(&mut model), FieldChange::Keep);
}

#[test]
fn a_key_whose_end_has_passed_is_not_replaced_without_another_end() {
    let mut model = model_with_keys(&["laptop"]);
    let mut expired = key("laptop");
    expired.requested.expires_at = Some(now() - SignedDuration::from_hours(24));
    model.dashboard.upsert_key(expired, now());
    open_rotation(&mut model, Vec::new());
    assert!(send_intent(&mut model, Intent::Yes).is_empty());
    send_intent(&mut model, Intent::EditKey);
    assert!(matches!(
        send_intent(&mut model, Intent::Yes)[..],
        [Effect::Request(_, Request::RotateKey { expiry: FieldChange::Set(_), .. })]
    ));
}

#[test]
fn undo_after_a_rotation_says_why_not_and_what_the_old_key_does() {
    let mut model = model_with_keys(&["laptop", "other"]);
    let removed = TrashedKey { removed_at: now(), key: key("other") };
    model.undoable = Some(UndoableChange::Removed(vec![removed]));
    open_rotation(&mut model, Vec::new());
    let effects = send_intent(&mut model, Intent::Yes);
    let [Effect::Request(ticket, Request::RotateKey { .. })] = effects[..] else {
        panic!("{effects:?}")
    };
    let rotation = RotationOutcome::Completed { rotated: rotated("laptop"), warning: None };
    send(&mut model, Msg::Response(ticket, Response::RotationFinished(rotation)));
    // An earlier change is not undone in its place.
    assert!(send_intent(&mut model, Intent::Undo).is_empty());
    let Some(Ok(text)) = &model.notice else { panic!("{:?}", model.notice) };
    for part in
        ["rotation of 'laptop' cannot be undone", "The old key '", "works until", "d disables"]
    {
        assert!(text.contains(part), "{text}");
    }
}
