//! Keys that the account lists: rows, filter, reveal and usage history.

use super::*;

/// `laptop` stored and listed, `ci` stored and revoked, `web` in the account only.
fn with_account() -> Model {
    let mut model = model_with_keys(&["laptop", "ci"]);
    let effects = send_intent(&mut model, Intent::NextScope);
    let [Effect::Request(ticket, Request::LoadAccountKeys)] = effects[..] else {
        panic!("{effects:?}")
    };
    let account = AccountKeys {
        keys: vec![account_key("web"), account_key("laptop")],
        revoked_hashes: vec![key("ci").hash.clone()],
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
    assert_eq!(model.dashboard.stored_keys().len(), 2, "an account key is not stored");
}

#[test]
fn a_key_not_stored_here_cannot_be_copied_or_removed() {
    let mut model = with_account();
    send_intent(&mut model, Intent::MoveToBottom);
    for intent in [Intent::Copy, Intent::ToggleReveal, Intent::Rotate, Intent::RespondToLeak] {
        assert!(send_intent(&mut model, intent.clone()).is_empty(), "{intent:?}");
        assert!(
            matches!(&model.notice, Some(Err(error)) if error.kind == ErrorKind::NotFound),
            "{intent:?}"
        );
        assert!(matches!(model.screen, Screen::Dashboard), "{intent:?}");
    }
    send_intent(&mut model, Intent::Remove);
    assert_eq!((confirm_kind(&model), &model.question), (Some(ConfirmKind::Revoke), &None));
    type_text(&mut model, "web");
    let effects = send_intent(&mut model, Intent::Enter);
    let [Effect::RevokeKeys(keys)] = &effects[..] else { panic!("{effects:?}") };
    assert!(!keys[0].is_stored());
    // A stored key and another key have the same label: only the selected key is removed.
    let (hash, label) = (keys[0].hash.clone(), "laptop".parse().unwrap());
    send(&mut model, Msg::KeyRevoked { hash, label, result: Ok(()) });
    assert_eq!(labels(&model), ["laptop", "ci"]);
}

#[test]
fn usage_history_is_loaded_when_it_is_shown() {
    let mut model = model_with_keys(&["laptop", "ci"]);
    let effects = send_intent(&mut model, Intent::TogglePane);
    let [Effect::SaveView(_), Effect::Request(ticket, Request::LoadUsageHistory(hashes))] =
        &effects[..]
    else {
        panic!("{effects:?}")
    };
    // One read is enough for the keys on screen.
    let mut expected = [key("laptop").hash.clone(), key("ci").hash.clone()];
    expected.sort();
    assert_eq!(*hashes, expected);
    // One at a time.
    assert!(send_intent(&mut model, Intent::Move(1)).is_empty());
    let history = hashes.iter().map(|hash| (hash.clone(), vec![UsageSample::new(now(), 1.0)]));
    let history = Response::UsageHistoryLoaded(history.collect());
    assert!(send(&mut model, Msg::Response(*ticket, history)).is_empty());
    assert!(send_intent(&mut model, Intent::Move(-1)).is_empty(), "it is still known");
}

#[test]
fn revoke_acts_on_the_keys_that_the_question_named() {
    let mut model = model_with_keys(&["laptop", "ci", "web"]);
    send_intent(&mut model, Intent::Remove);
    // The key of the question moves and another one is selected.
    send(&mut model, Msg::KeyRemoved { label: "laptop".parse().unwrap(), result: Ok(None) });
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
    let [Effect::Request(ticket, Request::ReadSecret(key))] = &effects[..] else {
        panic!("{effects:?}")
    };
    let secret_read = Msg::Response(
        *ticket,
        Response::SecretRead { label: key.label.clone(), result: Ok(secret()) },
    );
    send(&mut model, secret_read);
    assert!(model.dashboard.revealed_key.is_some());
    send_intent(&mut model, Intent::NextScope);
    assert_eq!(model.dashboard.selected_key().unwrap().hash, "other");
    assert!(model.dashboard.revealed_key.is_none());
}
