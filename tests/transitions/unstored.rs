//! Keys that could not be stored, and quitting while there is one.

use secrecy::ExposeSecret;

use super::*;

#[test]
fn a_key_that_could_not_be_stored_is_shown_wherever_the_person_went() {
    let (mut model, ticket) = model_awaiting_consent();
    send_intent(&mut model, Intent::Back);
    send(&mut model, Msg::Response(ticket, Response::ProvisioningFinished(not_stored("new"))));
    assert!(matches!(model.screen, Screen::Form(_)), "what is being typed is not taken away");
    send_intent(&mut model, Intent::Back);
    assert_eq!(new_key_label(&model), Some("new"));
}

#[test]
fn several_keys_that_could_not_be_stored_wait_for_each_other() {
    let mut model = model_with_keys(&[]);
    finish_recovery(&mut model, vec![not_stored("a"), not_stored("b")]);
    let first = new_key_label(&model).unwrap().to_owned();
    send_intent(&mut model, Intent::Back);
    assert_eq!(model.question, Some(Question::DiscardUnstoredKey));
    send_intent(&mut model, Intent::No);
    assert_eq!(new_key_label(&model), Some(first.as_str()));
    send_intent(&mut model, Intent::Back);
    send_intent(&mut model, Intent::Yes);
    assert_ne!(new_key_label(&model).unwrap(), first);
}

#[test]
fn quitting_asks_first_while_a_key_is_stored_nowhere() {
    let (mut model, ticket) = model_awaiting_consent();
    send(&mut model, Msg::Response(ticket, Response::ProvisioningFinished(not_stored("new"))));
    for leave in [Intent::Quit, Intent::Interrupt] {
        assert!(send_intent(&mut model, leave).is_empty());
        assert_eq!(model.question, Some(Question::QuitWithUnstoredKey));
        assert!(
            send_intent(&mut model, Intent::Copy).is_empty(),
            "a question waits for its answer"
        );
        send_intent(&mut model, Intent::No);
    }
    send_intent(&mut model, Intent::Quit);
    assert!(matches!(send_intent(&mut model, Intent::Yes)[..], [Effect::Quit]));
}

#[test]
fn leaving_is_no_answer_to_a_question_about_something_else() {
    for leave in [Msg::Intent(Intent::Interrupt), Msg::Disconnected] {
        let mut model = model_with_keys(&["laptop"]);
        send_intent(&mut model, Intent::Remove);
        let effects = send(&mut model, leave.clone());
        assert!(matches!(effects[..], [Effect::Quit]), "{effects:?}");
        assert_eq!(model.dashboard.stored_keys().len(), 1);
        let (mut model, ticket) = model_awaiting_consent();
        send(&mut model, Msg::Response(ticket, Response::ProvisioningFinished(not_stored("new"))));
        send_intent(&mut model, Intent::Back);
        assert_eq!(model.question, Some(Question::DiscardUnstoredKey));
        send(&mut model, leave);
        assert!(new_key_label(&model) == Some("new"), "the only copy is not dropped for a signal");
    }
}

#[test]
fn a_disconnect_waits_for_an_exchange() {
    let (mut model, ticket) = model_awaiting_consent();
    send(
        &mut model,
        Msg::Response(
            ticket,
            Response::ProvisioningEvent(ProvisioningEvent::StepStarted(
                ProvisioningStep::ExchangeCode,
            )),
        ),
    );
    let effects = send(&mut model, Msg::Disconnected);
    assert!(matches!(effects[..], [Effect::CancelRun(_)]), "{effects:?}");
    let effects =
        send(&mut model, Msg::Response(ticket, Response::ProvisioningFinished(not_stored("new"))));
    assert!(matches!(effects[..], [Effect::Quit]), "{effects:?}");
}

#[test]
fn a_disconnect_waits_for_a_key_being_stored() {
    let (mut model, ticket) = model_awaiting_consent();
    send(&mut model, Msg::Response(ticket, Response::ProvisioningFinished(not_stored("new"))));
    let effects = send_intent(&mut model, Intent::Retry);
    let [Effect::Request(ticket, Request::RetryStore { .. })] = effects[..] else {
        panic!("{effects:?}")
    };
    assert!(send(&mut model, Msg::Disconnected).is_empty());
    let effects =
        send(&mut model, Msg::Response(ticket, Response::ProvisioningFinished(stored("new"))));
    assert!(matches!(effects[..], [Effect::Quit]), "{effects:?}");
}

#[test]
fn a_key_that_waits_for_the_screen_waits_for_the_answer_to_a_question() {
    let mut model = model_with_keys(&["laptop"]);
    send_intent(&mut model, Intent::Remove);
    finish_recovery(&mut model, vec![not_stored("a")]);
    assert_eq!(model.question, Some(Question::RemoveKeys(vec!["laptop".parse().unwrap()])));
    send_intent(&mut model, Intent::Revoke);
    assert!(matches!(model.screen, Screen::Confirm(_)));
    send_intent(&mut model, Intent::Back);
    assert_eq!(new_key_label(&model), Some("a"));
}

#[test]
fn storing_again_ends_on_the_reveal() {
    let (mut model, ticket) = model_awaiting_consent();
    send(&mut model, Msg::Response(ticket, Response::ProvisioningFinished(not_stored("new"))));
    let effects = send_intent(&mut model, Intent::Retry);
    let [Effect::Request(ticket, Request::RetryStore { .. })] = effects[..] else {
        panic!("{effects:?}")
    };
    assert!(send_intent(&mut model, Intent::Retry).is_empty(), "one try at a time");
    send(&mut model, Msg::Response(ticket, Response::ProvisioningFinished(stored("new"))));
    assert!(matches!(&model.screen, Screen::NewKey(reveal) if reveal.is_stored));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test compares secrets")]
fn a_passphrase_is_trimmed_as_on_the_command_line() {
    let (mut model, ticket) = model_awaiting_consent();
    send(&mut model, Msg::Response(ticket, Response::ProvisioningFinished(not_stored("new"))));
    model.alternate_store = Some(AlternateStore {
        store_kind: StoreKind::File,
        display_name: "vault.age".into(),
        needs_passphrase: true,
    });
    send_intent(&mut model, Intent::StoreInAlternate);
    type_text(&mut model, "  ");
    assert!(send_intent(&mut model, Intent::Enter).is_empty(), "blanks are no passphrase");
    type_text(&mut model, "correct horse ");
    send_intent(&mut model, Intent::Enter);
    type_text(&mut model, "correct horse");
    let effects = send_intent(&mut model, Intent::Enter);
    let [Effect::Request(_, Request::StoreInAlternate { passphrase: Some(passphrase), .. })] =
        &effects[..]
    else {
        panic!("{effects:?}")
    };
    assert_eq!(passphrase.expose_secret(), "correct horse");
}

#[test]
fn a_key_that_one_store_refuses_goes_into_the_other() {
    let elsewhere = |passphrase| AlternateStore {
        store_kind: StoreKind::File,
        display_name: "vault.age".into(),
        needs_passphrase: passphrase,
    };
    let (mut model, ticket) = model_awaiting_consent();
    send(&mut model, Msg::Response(ticket, Response::ProvisioningFinished(not_stored("new"))));
    assert!(send_intent(&mut model, Intent::StoreInAlternate).is_empty(), "there is no other");

    model.alternate_store = Some(elsewhere(true));
    assert!(send_intent(&mut model, Intent::StoreInAlternate).is_empty());
    assert!(send_intent(&mut model, Intent::Enter).is_empty(), "nothing is typed");
    type_text(&mut model, "correct horse");
    assert!(send_intent(&mut model, Intent::Enter).is_empty(), "once more");
    type_text(&mut model, "correct hose");
    assert!(send_intent(&mut model, Intent::Enter).is_empty(), "a slip");
    type_text(&mut model, "correct horse");
    let effects = send_intent(&mut model, Intent::Enter);
    let [Effect::Request(ticket, Request::StoreInAlternate { passphrase: Some(_), .. })] =
        effects[..]
    else {
        panic!("{effects:?}")
    };
    assert!(send_intent(&mut model, Intent::StoreInAlternate).is_empty(), "one try at a time");
    send(&mut model, Msg::Response(ticket, Response::ProvisioningFinished(not_stored("new"))));
    assert_eq!(new_key_label(&model), Some("new"), "refused there, too");

    model.alternate_store = Some(elsewhere(false));
    let effects = send_intent(&mut model, Intent::StoreInAlternate);
    let [Effect::Request(ticket, Request::StoreInAlternate { passphrase: None, .. })] = effects[..]
    else {
        panic!("{effects:?}")
    };
    send(&mut model, Msg::Response(ticket, Response::ProvisioningFinished(stored("new"))));
    assert!(matches!(&model.screen, Screen::NewKey(reveal) if reveal.is_stored));
}

#[test]
fn leaving_waits_for_a_key_that_may_be_on_its_way() {
    let (mut model, ticket) = model_awaiting_consent();
    send(
        &mut model,
        Msg::Response(
            ticket,
            Response::ProvisioningEvent(ProvisioningEvent::StepStarted(
                ProvisioningStep::ExchangeCode,
            )),
        ),
    );
    let effects = send_intent(&mut model, Intent::Interrupt);
    assert!(matches!(effects[..], [Effect::CancelRun(_)]), "{effects:?}");
    let effects =
        send(&mut model, Msg::Response(ticket, Response::ProvisioningFinished(stored("new"))));
    assert!(matches!(effects[..], [Effect::Quit]), "{effects:?}");
}

#[test]
fn leaving_stops_when_the_key_that_came_could_not_be_stored() {
    let (mut model, ticket) = model_awaiting_consent();
    send_intent(&mut model, Intent::Interrupt);
    let effects =
        send(&mut model, Msg::Response(ticket, Response::ProvisioningFinished(not_stored("new"))));
    assert!(effects.is_empty(), "{effects:?}");
    assert!(send_intent(&mut model, Intent::Interrupt).is_empty());
    assert_eq!(
        (new_key_label(&model), &model.question),
        (Some("new"), &Some(Question::QuitWithUnstoredKey))
    );
}
