//! Rotation, leak response, revocation, edit and import.

use keywright::domain::{
    AccountKey, AccountKeys, ActionResult, ErrorKind, FieldChange, KeyInfo, KeyPatch, LeakResponse,
    RetirePolicy, Retirement, Rotated, RotationOutcome, StoredKey, UsageSample,
};
use keywright::tui::state::{
    ConfirmKind, Effect, FormField, FormKind, Intent, KeyScope, KeyUpdate, KeyUpdateOutcome, Msg,
    Request, Response, Screen,
};

use super::*;

fn account_key(label: &str) -> AccountKey {
    AccountKey {
        hash: keywright::domain::encode_hex(label.as_bytes()),
        name: Some(label.into()),
        disabled: Some(false),
        info: KeyInfo {
            limit: Some(7.5).into(),
            limit_remaining: Some(7.5),
            limit_reset: Some(ResetInterval::Daily).into(),
            expires_at: None.into(),
            ..KeyInfo::default()
        },
        ..AccountKey::default()
    }
}

fn rotated(label: &str) -> Rotated {
    let new = StoredKey { hash: "new".into(), ..key(label) };
    let old = StoredKey {
        label: format!("{label} (old)").parse().unwrap(),
        retirement: Some(Retirement {
            replaced_at: now(),
            unused_for: 3_600,
            revoke_when_unused: false,
        }),
        ..key(label)
    };
    Rotated { new, old: Some(old) }
}

fn labels(model: &Model) -> Vec<&str> {
    let all = model.dashboard.all_keys();
    model.dashboard.rows.iter().map(|row| all[*row].label.as_str()).collect()
}

fn asking(model: &Model) -> Option<ConfirmKind> {
    match &model.screen {
        Screen::Confirm(ask) => Some(ask.kind),
        _ => None,
    }
}

/// The edit form of `laptop`, with what the account says of it.
fn editing(remote: Option<AccountKey>) -> Model {
    let mut model = model_with_keys(&["laptop", "ci"]);
    let effects = send_intent(&mut model, Intent::EditKey);
    let [Effect::Request(ticket, Request::FetchAccountKey(_))] = effects[..] else {
        panic!("{effects:?}")
    };
    send(&mut model, Msg::Response(ticket, Response::AccountKeyFetched(Ok(remote))));
    model
}

#[test]
fn a_rotation_is_confirmed_and_moves_the_label() {
    let mut model = model_with_keys(&["laptop", "ci"]);
    assert!(send_intent(&mut model, Intent::Rotate).is_empty());
    assert_eq!(asking(&model), Some(ConfirmKind::Rotate));
    send_intent(&mut model, Intent::NextChoice);
    send_intent(&mut model, Intent::ToggleMark);
    let effects = send_intent(&mut model, Intent::Yes);
    let [Effect::Request(ticket, Request::RotateKey { stored_key: held, retire_policy: terms })] =
        &effects[..]
    else {
        panic!("{effects:?}")
    };
    assert_eq!(held.label.as_str(), "laptop");
    assert_eq!(*terms, RetirePolicy { unused_for: 21_600, revoke_when_unused: true });
    let rotation = RotationOutcome::Completed { rotated: rotated("laptop"), warning: None };
    send(&mut model, Msg::Response(*ticket, Response::RotationFinished(rotation)));
    assert!(matches!(model.screen, Screen::Dashboard));
    assert_eq!(labels(&model), ["laptop (old)", "ci", "laptop"]);
    assert_eq!(model.dashboard.selected_key().unwrap().hash, "new");
}

#[test]
fn a_rotation_that_failed_can_be_tried_again_and_left() {
    let mut model = model_with_keys(&["laptop"]);
    send_intent(&mut model, Intent::Rotate);
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
    send_intent(&mut model, Intent::Rotate);
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
    assert!(send_intent(&mut model, Intent::RespondToLeak).is_empty());
    assert_eq!(asking(&model), Some(ConfirmKind::RespondToLeak));
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
        rotation: replaced,
    };
    let panicked = vec![
        one(
            "laptop",
            true,
            RotationOutcome::Completed { rotated: rotated("laptop"), warning: None },
        ),
        one("ci", false, RotationOutcome::Failed(user_error(ErrorKind::Unreachable))),
    ];
    send(&mut model, Msg::Response(*ticket, Response::LeakResponseFinished(panicked)));
    let Screen::ActionResults(deeds) = &model.screen else { panic!("{:?}", model.screen) };
    assert_eq!(
        deeds.iter().map(|deed| deed.succeeded).collect::<Vec<_>>(),
        [true, true, false, false]
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
    let panicked = vec![LeakResponse {
        label: "laptop".parse().unwrap(),
        disable_result: ActionResult { succeeded: true, message: String::new() },
        rotation: RotationOutcome::Completed { rotated: rotated("laptop"), warning: None },
    }];
    let effects = send(&mut model, Msg::Response(ticket, Response::LeakResponseFinished(panicked)));
    assert!(
        effects
            .iter()
            .any(|e| matches!(e, Effect::CopyStoredKey(label) if label.as_str() == "laptop"))
    );
}

#[test]
fn nothing_is_deleted_at_the_server_before_its_label_was_typed() {
    let mut model = model_with_keys(&["laptop"]);
    send_intent(&mut model, Intent::Remove);
    assert_eq!(model.question, Some(Question::RemoveKeys(vec!["laptop".parse().unwrap()])));
    send_intent(&mut model, Intent::Revoke);
    assert_eq!((asking(&model), &model.question), (Some(ConfirmKind::Revoke), &None));
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
    // Somebody was quicker: what is there now is what is changed from.
    let mut now_there = account_key("laptop");
    now_there.info.limit = Some(5.0).into();
    let outcome = KeyUpdateOutcome::Conflict { current: now_there, changed_fields: vec!["limit"] };
    send(&mut model, Msg::Response(*ticket, Response::KeyUpdated(outcome)));
    let Screen::Form(form) = &model.screen else { panic!() };
    assert_eq!((form.limit.text(), form.submit_ticket, form.diff.len()), ("5", None, 0));
    assert!(form.error.as_ref().unwrap().message.contains("limit"));
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
    let here = StoredKey { label: "cicd".parse().unwrap(), ..key("laptop") };
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
    assert!(matches!(model.screen, Screen::Dashboard));
    assert_eq!(labels(&model), ["laptop", "ci"]);
}

/// `laptop` held and known, `ci` held and gone, `web` the account's alone.
fn with_account() -> Model {
    let mut model = model_with_keys(&["laptop", "ci"]);
    let effects = send_intent(&mut model, Intent::NextScope);
    let [Effect::Request(ticket, Request::LoadAccountKeys)] = effects[..] else {
        panic!("{effects:?}")
    };
    let account = AccountKeys {
        keys: vec![account_key("web"), account_key("laptop")],
        revoked_hashes: vec![key("ci").hash],
    };
    send(&mut model, Msg::Response(ticket, Response::AccountKeysLoaded(Ok(account))));
    model
}

#[test]
fn the_accounts_keys_are_joined_by_hash_and_can_be_filtered() {
    let mut model = with_account();
    let mut seen = vec![labels(&model).join(" ")];
    for _ in 0..3 {
        send_intent(&mut model, Intent::NextScope);
        seen.push(labels(&model).join(" "));
    }
    assert_eq!(seen, ["laptop ci web", "web", "ci", "laptop ci"]);
    assert_eq!(model.dashboard.scope, KeyScope::Stored);
    assert_eq!(model.dashboard.stored_keys().len(), 2, "a key elsewhere is not held");
}

#[test]
fn a_key_not_stored_here_cannot_be_copied_or_removed() {
    let mut model = with_account();
    send_intent(&mut model, Intent::MoveToBottom);
    for intent in [Intent::Copy, Intent::ToggleReveal, Intent::Rotate, Intent::RespondToLeak] {
        assert!(send_intent(&mut model, intent.clone()).is_empty(), "{intent:?}");
        assert!(
            matches!(&model.notice, Some(Err(trouble)) if trouble.kind == ErrorKind::NotFound),
            "{intent:?}"
        );
        assert!(matches!(model.screen, Screen::Dashboard), "{intent:?}");
    }
    send_intent(&mut model, Intent::Remove);
    assert_eq!((asking(&model), &model.question), (Some(ConfirmKind::Revoke), &None));
    type_text(&mut model, "web");
    let effects = send_intent(&mut model, Intent::Enter);
    let [Effect::RevokeKeys(keys)] = &effects[..] else { panic!("{effects:?}") };
    assert!(!keys[0].is_stored());
    // A label that both a held key and another one have: only the one that was meant goes.
    let (hash, label) = (keys[0].hash.clone(), "laptop".parse().unwrap());
    send(&mut model, Msg::KeyRevoked { hash, label, result: Ok(()) });
    assert_eq!(labels(&model), ["laptop", "ci"]);
}

#[test]
fn usage_history_is_loaded_when_it_is_shown() {
    let mut model = model_with_keys(&["laptop", "ci"]);
    let effects = send_intent(&mut model, Intent::ToggleDetails);
    let [Effect::Request(ticket, Request::LoadUsageHistory(hashes))] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(*hashes, [key("laptop").hash]);
    // One at a time.
    assert!(send_intent(&mut model, Intent::Move(1)).is_empty());
    let history = vec![(hashes[0].clone(), vec![UsageSample { at: now(), usage: 1.0 }])];
    let effects = send(&mut model, Msg::Response(*ticket, Response::UsageHistoryLoaded(history)));
    let [Effect::Request(ticket, Request::LoadUsageHistory(hashes))] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(*hashes, [key("ci").hash]);
    let history = vec![(hashes[0].clone(), Vec::new())];
    assert!(
        send(&mut model, Msg::Response(*ticket, Response::UsageHistoryLoaded(history))).is_empty()
    );
}

#[test]
fn a_replaced_key_goes_by_itself_only_where_that_was_said_and_it_stood_still() {
    for (delete, usage, goes) in [(true, 1.0, true), (true, 1.5, false), (false, 1.0, false)] {
        let mut model = model_with_keys(&["laptop"]);
        let since = now() - SignedDuration::from_hours(2);
        let mut handed = rotated("laptop");
        handed.old.as_mut().unwrap().retirement =
            Some(Retirement { replaced_at: since, unused_for: 3_600, revoke_when_unused: delete });
        let rotations = vec![("laptop".parse().unwrap(), Ok(handed))];
        let effects = send(
            &mut model,
            Msg::RecoveryFinished {
                stored_keys: Vec::new(),
                unstored_keys: Vec::new(),
                rotations,
                unresolved_attempts: Vec::new(),
                deleted_labels: Vec::new(),
                error: None,
            },
        );
        let [Effect::Request(ticket, Request::LoadUsageHistory(hashes))] = &effects[..] else {
            panic!("{effects:?}")
        };
        let samples = vec![UsageSample { at: since, usage: 1.0 }, UsageSample { at: now(), usage }];
        let past = vec![(hashes[0].clone(), samples)];
        let effects = send(&mut model, Msg::Response(*ticket, Response::UsageHistoryLoaded(past)));
        assert_eq!(matches!(effects[..], [Effect::RevokeKeys(_)]), goes, "{delete} {usage}");
    }
}

#[test]
fn a_workspace_can_be_chosen_where_a_management_key_is_known() {
    let mut model = model_with_keys(&[]);
    let effects = send_intent(&mut model, Intent::NewKey);
    assert!(matches!(effects[..], [Effect::DetectManagementKey]));
    send(&mut model, Msg::ManagementKeyDetected(true));
    type_text(&mut model, "web");
    let Screen::Form(form) = &mut model.screen else { panic!() };
    assert_eq!(form.fields().len(), 5);
    form.workspace_id.paste("1f0e9c1a-5b7d-4c3e-9a44-0d2b6f8e7a10");
    let effects = send_intent(&mut model, Intent::Submit);
    let [Effect::Request(_, Request::ProvisionKey { request, .. })] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(request.workspace_id.as_deref(), Some("1f0e9c1a-5b7d-4c3e-9a44-0d2b6f8e7a10"));
}

#[test]
fn leaving_stops_when_a_replacement_that_came_could_not_be_stored() {
    let mut model = model_with_keys(&["laptop"]);
    send_intent(&mut model, Intent::Rotate);
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
    let handed = Rotated { new: key("new"), old: Some(key("laptop")) };
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
fn revoke_acts_on_the_keys_that_the_question_named() {
    let mut model = model_with_keys(&["laptop", "ci", "web"]);
    send_intent(&mut model, Intent::Remove);
    // The key of the question moves and another one is selected.
    send(&mut model, Msg::KeyRemoved { label: "laptop".parse().unwrap(), result: Ok(()) });
    send_intent(&mut model, Intent::Revoke);
    assert!(matches!(model.screen, Screen::Dashboard), "{:?}", model.screen);

    let mut model = with_account();
    for _ in 0..3 {
        send_intent(&mut model, Intent::ToggleMark);
    }
    send_intent(&mut model, Intent::Remove);
    send_intent(&mut model, Intent::Revoke);
    let Screen::Confirm(dialog) = &model.screen else { panic!("{:?}", model.screen) };
    let labels: Vec<_> = dialog.keys.iter().map(|key| key.label.as_str()).collect();
    assert_eq!(labels, ["laptop", "ci"]);
}

#[test]
fn a_revealed_key_is_hidden_when_its_row_shows_a_key_of_the_same_name() {
    let mut model = model_with_keys(&["laptop"]);
    let effects = send_intent(&mut model, Intent::NextScope);
    let [Effect::Request(ticket, Request::LoadAccountKeys)] = effects[..] else {
        panic!("{effects:?}")
    };
    let same_name = AccountKey { hash: "other".into(), ..account_key("laptop") };
    let account =
        AccountKeys { keys: vec![account_key("laptop"), same_name], revoked_hashes: Vec::new() };
    send(&mut model, Msg::Response(ticket, Response::AccountKeysLoaded(Ok(account))));
    let effects = send_intent(&mut model, Intent::ToggleReveal);
    let [Effect::Request(ticket, Request::ReadSecret(label))] = &effects[..] else {
        panic!("{effects:?}")
    };
    let secret_read =
        Msg::Response(*ticket, Response::SecretRead { label: label.clone(), result: Ok(secret()) });
    send(&mut model, secret_read);
    assert!(model.dashboard.revealed_key.is_some());
    send_intent(&mut model, Intent::NextScope);
    assert_eq!(model.dashboard.selected_key().unwrap().hash, "other");
    assert!(model.dashboard.revealed_key.is_none());
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
    assert!(matches!(send(&mut model, removed(Ok(())))[..], [Effect::Quit]));

    let mut model = start_removal();
    send_intent(&mut model, Intent::Quit);
    assert!(send(&mut model, removed(Err(user_error(ErrorKind::Failed)))).is_empty());
    assert!(matches!(&model.notice, Some(Err(error)) if error.kind == ErrorKind::Failed));
    assert_eq!(key_of(&model).label.as_str(), "laptop");
    assert!(matches!(send_intent(&mut model, Intent::Quit)[..], [Effect::Quit]));
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
