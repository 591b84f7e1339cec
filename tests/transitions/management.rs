//! The management key: its screen, and the question about the one of the environment.

use keywright::tui::state::{KeyRight, StoredManagementKey};

use super::*;

const KEY: &str = "sk-or-v1-4444444444444444444444444444444444444444444444444444444444444444";

fn stored_key() -> StoredManagementKey {
    StoredManagementKey {
        masked: "sk-or-v1-444...4444".into(),
        store_name: "the keychain".into(),
        rights: vec![KeyRight { name: "read the credits", refused: None }],
        is_overridden: false,
    }
}

#[test]
fn a_management_key_is_checked_stored_and_its_rights_are_shown() {
    let mut model = model_with_keys(&["laptop"]);
    send_intent(&mut model, Intent::OpenManagement);
    send_intent(&mut model, Intent::Paste(KEY.into()));
    let effects = send_intent(&mut model, Intent::Enter);
    let [Effect::Request(ticket, Request::StoreManagementKey(_))] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert!(!format!("{effects:?} {model:?}").contains(KEY));
    // A second press sends nothing.
    assert!(send_intent(&mut model, Intent::Enter).is_empty());
    let response = Response::ManagementKeyStored(Ok(stored_key()));
    let effects = send(&mut model, Msg::Response(*ticket, response));
    assert!(matches!(&effects[..], [Effect::Request(_, Request::LoadKeys), ..]));
    let Screen::Management(screen) = &model.screen else { panic!() };
    assert_eq!(screen.stored, Some(stored_key()));
    assert!(screen.field.text().is_empty());
    send_intent(&mut model, Intent::Back);
    assert!(matches!(model.screen, Screen::Dashboard));
}

#[test]
fn a_refused_management_key_leaves_an_empty_field() {
    let mut model = model_with_keys(&["laptop"]);
    send_intent(&mut model, Intent::OpenManagement);
    type_text(&mut model, "not a key");
    assert!(send_intent(&mut model, Intent::Enter).is_empty());
    let error_and_text = |model: &Model| match &model.screen {
        Screen::Management(screen) => (screen.error.is_some(), screen.field.text().to_owned()),
        _ => panic!(),
    };
    assert_eq!(error_and_text(&model), (true, String::new()));
    send_intent(&mut model, Intent::Paste(KEY.into()));
    let effects = send_intent(&mut model, Intent::Enter);
    let [Effect::Request(ticket, _)] = &effects[..] else { panic!() };
    let response = Response::ManagementKeyStored(Err(user_error(ErrorKind::Failed)));
    send(&mut model, Msg::Response(*ticket, response));
    assert_eq!(error_and_text(&model), (true, String::new()));
}

fn recovers(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::RecoverInterrupted))
}

#[test]
fn the_environments_key_is_used_with_another_server_only_after_a_yes() {
    let context = AppContext { asks_about_environment_key: true, ..AppContext::default() };
    for (answer, is_used) in [(Intent::Yes, true), (Intent::No, false)] {
        let mut model = Model::new(context.clone(), (80, 24), now());
        load_keys(&mut model);
        let keys = Ok(vec![key("laptop")]);
        let effects =
            send(&mut model, Msg::Response(Ticket(1), Response::KeysLoaded(keys.clone())));
        assert_eq!(model.question, Some(Question::UseEnvironmentKey));
        assert!(!recovers(&effects), "it needs the management key");
        let mut effects = send_intent(&mut model, answer);
        if let Some(ticket) = model.dashboard.load_ticket {
            let loaded = Msg::Response(ticket, Response::KeysLoaded(keys));
            effects.extend(send(&mut model, loaded));
        }
        assert!(recovers(&effects), "{effects:?}");
        assert_eq!(matches!(effects.first(), Some(Effect::UseEnvironmentKey)), is_used);
        send(&mut model, Msg::Tick);
        assert!(model.question.is_none());
    }
}
