//! The sign-in screen: waiting, cancelling, codes and the end of a run.

use super::*;

#[test]
fn a_failed_sign_in_keeps_the_form() {
    let (mut model, ticket) = model_awaiting_consent();
    send(
        &mut model,
        Msg::Response(
            ticket,
            Response::ProvisioningFinished(ProvisioningOutcome::Failed(user_error(
                ErrorKind::Unreachable,
            ))),
        ),
    );
    assert!(
        matches!(&model.screen, Screen::SignIn(login) if login.error == Some(user_error(ErrorKind::Unreachable)))
    );
    let mut again = model.clone();
    send_intent(&mut model, Intent::Back);
    let Screen::Form(form) = &model.screen else { panic!() };
    assert_eq!((form.label.text(), form.limit.text()), ("new", "10"));
    assert!(matches!(
        send_intent(&mut again, Intent::Retry)[..],
        [Effect::Request(_, Request::ProvisionKey { .. })]
    ));
}

#[test]
fn esc_while_waiting_cancels_at_once_and_keeps_the_form() {
    let (mut model, ticket) = model_awaiting_consent();
    let effects = send_intent(&mut model, Intent::Back);
    assert!(matches!(effects[..], [Effect::CancelRun(cancelled)] if cancelled == ticket));
    assert!(matches!(&model.screen, Screen::Form(form) if form.label.text() == "new"));
    send(
        &mut model,
        Msg::Response(
            ticket,
            Response::ProvisioningFinished(ProvisioningOutcome::Failed(user_error(
                ErrorKind::Cancelled,
            ))),
        ),
    );
    assert_eq!((model.notice, model.background_runs.len()), (None, 0));
}

#[test]
fn a_key_created_after_cancelling_is_listed_and_reported() {
    let (mut model, ticket) = model_awaiting_consent();
    send_intent(&mut model, Intent::Back);
    send(&mut model, Msg::Response(ticket, Response::ProvisioningFinished(stored("new"))));
    assert_eq!(model.dashboard.stored_keys().len(), 2);
    assert!(model.notice.unwrap().unwrap().contains("new"));
}

#[test]
fn an_answer_counts_once() {
    let (mut model, ticket) = model_awaiting_consent();
    send(&mut model, Msg::Response(ticket, Response::ProvisioningFinished(stored("new"))));
    send_intent(&mut model, Intent::Back);
    send(&mut model, Msg::KeyRemoved { label: "new".parse().unwrap(), result: Ok(None) });
    send(&mut model, Msg::Response(ticket, Response::ProvisioningFinished(stored("new"))));
    assert_eq!(model.dashboard.stored_keys().len(), 1);
    // An unstored key is kept, whichever message contains it.
    send(&mut model, Msg::Response(ticket, Response::ProvisioningFinished(not_stored("new"))));
    assert_eq!(new_key_label(&model), Some("new"));
}

#[test]
fn leaving_one_run_does_not_cancel_another() {
    let (mut model, first) = model_awaiting_consent();
    send(
        &mut model,
        Msg::Response(
            first,
            Response::ProvisioningEvent(ProvisioningEvent::StepStarted(
                ProvisioningStep::ExchangeCode,
            )),
        ),
    );
    send_intent(&mut model, Intent::Quit);
    send_intent(&mut model, Intent::Back);
    send_intent(&mut model, Intent::NewKey);
    type_text(&mut model, "second");
    assert!(matches!(
        send_intent(&mut model, Intent::Submit)[..],
        [Effect::Request(_, Request::ProvisionKey { .. })]
    ));
    let effects =
        send(&mut model, Msg::Response(first, Response::ProvisioningFinished(stored("new"))));
    assert!(effects.is_empty(), "{effects:?}");
}

#[test]
fn events_of_a_cancelled_run_are_ignored() {
    let (mut model, old) = model_awaiting_consent();
    send_intent(&mut model, Intent::Back);
    send_intent(&mut model, Intent::Submit);
    send(
        &mut model,
        Msg::Response(
            old,
            Response::ProvisioningEvent(ProvisioningEvent::StepStarted(ProvisioningStep::StoreKey)),
        ),
    );
    assert!(
        matches!(&model.screen, Screen::SignIn(login) if login.step == ProvisioningStep::Preflight)
    );
}

#[test]
fn a_pasted_code_is_given_once_and_only_if_it_is_one() {
    let (mut model, _) = model_awaiting_consent();
    send_intent(&mut model, Intent::ToggleCodeField);
    assert!(send_intent(&mut model, Intent::Enter).is_empty());
    send_intent(&mut model, Intent::Paste("`junk".into()));
    assert!(send_intent(&mut model, Intent::Enter).is_empty());
    // What was rejected does not stay in the field.
    send_intent(&mut model, Intent::Paste(" the-code\n".into()));
    assert!(matches!(send_intent(&mut model, Intent::Enter)[..], [Effect::SubmitCode(..)]));
    assert!(send_intent(&mut model, Intent::Enter).is_empty());
}

#[test]
fn only_the_sandbox_can_decide_consent() {
    let (mut model, ticket) = model_awaiting_consent();
    assert!(send_intent(&mut model, Intent::Approve).is_empty());
    model.is_sandbox = true;
    let effects = send_intent(&mut model, Intent::Approve);
    assert!(
        matches!(effects[..], [Effect::Request(_, Request::DecideConsent { approve: true, .. })]),
        "{effects:?}"
    );
    let result = Ok(Some(AuthCode::from("code".to_owned())));
    let effects = send(&mut model, Msg::Response(ticket, Response::ConsentDecided(result)));
    assert!(matches!(effects[..], [Effect::SubmitCode(..)]));
}
