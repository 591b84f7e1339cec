//! Loading, showing and applying a plan.

use keywright::domain::KeyRequest;
use keywright::tui::state::{
    Effect, Intent, Msg, PlanComparison, PlanScreen, PlanStatus, PlannedKey, Request, Response,
    Screen, Ticket,
};

use super::*;

fn request(label: &str) -> KeyRequest {
    KeyRequest { label: label.parse().unwrap(), limit: "5".parse().ok(), ..KeyRequest::default() }
}

fn compared() -> PlanComparison {
    let key = |label: &str, status| PlannedKey { request: request(label), status };
    PlanComparison {
        keys: vec![
            key("aider", PlanStatus::ToCreate),
            key("laptop", PlanStatus::Unchanged),
            key("ci", PlanStatus::Differs("limit is $1.00, the plan says $5.00".into())),
            key("codex", PlanStatus::ToCreate),
            key("zed", PlanStatus::ToCreate),
        ],
        auth_description: "one after the other, with your consent to each".into(),
    }
}

fn plan(model: &Model) -> &PlanScreen {
    match &model.screen {
        Screen::Plan(plan) => plan,
        Screen::SignIn(login) => login.plan().unwrap(),
        other => panic!("{other:?}"),
    }
}

/// A plan that was read.
fn seen() -> Model {
    let mut model = model_with_keys(&["laptop"]);
    assert!(send_intent(&mut model, Intent::OpenPlan).is_empty());
    for c in "team.toml".chars() {
        send_intent(&mut model, Intent::TypeChar(c));
    }
    let effects = send_intent(&mut model, Intent::Enter);
    let [Effect::Request(ticket, Request::LoadPlan(path))] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(path, "team.toml");
    let ticket = *ticket;
    send(&mut model, Msg::Response(Ticket(99), Response::PlanLoaded(Err(vec!["stale".into()]))));
    send(&mut model, Msg::Response(ticket, Response::PlanLoaded(Ok(compared()))));
    model
}

fn applying() -> (Model, Ticket) {
    let mut model = seen();
    let effects = send_intent(&mut model, Intent::Yes);
    let [Effect::Request(ticket, Request::ApplyPlan(requests))] = &effects[..] else {
        panic!("{effects:?}")
    };
    let labels: Vec<_> = requests.iter().map(|request| request.label.as_str()).collect();
    assert_eq!(labels, ["aider", "codex", "zed"]);
    (model, *ticket)
}

fn turned(model: &mut Model, ticket: Ticket, label: &str) {
    send(model, Msg::Response(ticket, Response::ItemStarted(label.parse().unwrap())));
    let url = format!("http://127.0.0.1/auth?key_label={label}");
    send(
        model,
        Msg::Response(
            ticket,
            Response::ProvisioningEvent(ProvisioningEvent::SignInUrl { url, needs_code: false }),
        ),
    );
    send(
        model,
        Msg::Response(
            ticket,
            Response::ProvisioningEvent(ProvisioningEvent::StepStarted(
                ProvisioningStep::AwaitConsent,
            )),
        ),
    );
}

fn ended(model: &mut Model, ticket: Ticket, label: &str, error: Option<ErrorKind>) {
    let result = match error {
        Some(kind) => Err(user_error(kind)),
        None => Ok(key(label).with(|key| key.hash = label.into())),
    };
    send(
        model,
        Msg::Response(
            ticket,
            Response::ItemFinished { label: label.parse().unwrap(), result, warning: None },
        ),
    );
}

#[test]
fn a_plan_is_seen_before_anything_is_done_and_left_without_a_trace() {
    let mut model = seen();
    assert_eq!(plan(&model).missing_requests().len(), 3);
    assert!(send_intent(&mut model, Intent::Back).is_empty());
    assert!(plan(&model).comparison.is_none(), "back to the path");
    assert!(send_intent(&mut model, Intent::Back).is_empty());
    assert!(matches!(model.screen, Screen::Dashboard));
}

#[test]
fn plan_problems_are_shown_and_nothing_can_be_created() {
    let mut model = model_with_keys(&[]);
    send_intent(&mut model, Intent::OpenPlan);
    let effects = send_intent(&mut model, Intent::Enter);
    let [Effect::Request(ticket, Request::LoadPlan(_))] = effects[..] else {
        panic!("{effects:?}")
    };
    let wrong = vec!["line 3, column 9: a limit is an amount in USD".to_owned()];
    send(&mut model, Msg::Response(ticket, Response::PlanLoaded(Err(wrong.clone()))));
    assert_eq!(plan(&model).problems, wrong);
    // `enter` reads the corrected file again.
    assert!(matches!(
        send_intent(&mut model, Intent::Enter)[..],
        [Effect::Request(_, Request::LoadPlan(_))]
    ));
}

#[test]
fn a_plan_of_which_nothing_is_missing_sends_nothing() {
    let mut model = model_with_keys(&["laptop"]);
    send_intent(&mut model, Intent::OpenPlan);
    let effects = send_intent(&mut model, Intent::Enter);
    let [Effect::Request(ticket, Request::LoadPlan(_))] = effects[..] else {
        panic!("{effects:?}")
    };
    let mut same = compared();
    same.keys.retain(|key| matches!(key.status, PlanStatus::Unchanged));
    send(&mut model, Msg::Response(ticket, Response::PlanLoaded(Ok(same))));
    assert!(send_intent(&mut model, Intent::Yes).is_empty());
    assert!(matches!(model.screen, Screen::Dashboard));
}

#[test]
fn each_key_has_its_turn_and_its_own_address_and_its_end_is_kept() {
    let (mut model, ticket) = applying();
    turned(&mut model, ticket, "aider");
    // Events of the next key, which is prepared meanwhile, do not change the step of this one.
    let prepared = ProvisioningEvent::StepStarted(ProvisioningStep::Preflight);
    send(&mut model, Msg::Response(ticket, Response::ProvisioningEvent(prepared)));
    let Screen::SignIn(login) = &model.screen else { panic!() };
    assert!(
        login.is_awaiting_consent() && login.sign_in_url.as_ref().unwrap().url.ends_with("aider")
    );
    assert_eq!(login.step, ProvisioningStep::AwaitConsent);
    ended(&mut model, ticket, "aider", None);
    assert_eq!(model.dashboard.stored_keys().len(), 2);

    turned(&mut model, ticket, "codex");
    let Screen::SignIn(login) = &model.screen else { panic!() };
    assert!(login.sign_in_url.as_ref().unwrap().url.ends_with("codex"));
    let effects = send_intent(&mut model, Intent::SkipItem);
    assert!(matches!(effects[..], [Effect::SkipItem(of)] if of == ticket));
    ended(&mut model, ticket, "codex", Some(ErrorKind::Cancelled));

    turned(&mut model, ticket, "zed");
    let effects = send_intent(&mut model, Intent::Retry);
    assert!(matches!(effects[..], [Effect::RetryItem(of)] if of == ticket));
    ended(&mut model, ticket, "zed", None);
    send(&mut model, Msg::Response(ticket, Response::PlanApplied(None)));
    let Screen::ActionResults(ResultsScreen { results, .. }) = &model.screen else {
        panic!("{:?}", model.screen)
    };
    let shown: Vec<_> = results
        .iter()
        .map(|one| (one.succeeded, one.message.split('\'').nth(1).unwrap()))
        .collect();
    assert_eq!(shown, [(false, "codex"), (true, "aider"), (true, "zed")]);
    send_intent(&mut model, Intent::Back);
    assert!(matches!(model.screen, Screen::Dashboard));
    assert_eq!(model.dashboard.stored_keys().len(), 3);
}

#[test]
fn esc_stops_the_queue_and_its_end_is_shown_and_esc_again_goes_to_the_list() {
    let (mut model, ticket) = applying();
    turned(&mut model, ticket, "aider");
    let effects = send_intent(&mut model, Intent::Back);
    assert!(matches!(effects[..], [Effect::CancelRun(of)] if of == ticket));
    assert!(matches!(model.screen, Screen::SignIn(_)), "a key may be on its way");
    send_intent(&mut model, Intent::Back);
    assert!(matches!(model.screen, Screen::Dashboard));
    assert_eq!(model.background_runs[0].label.as_str(), "aider");
    // A key that was received while the user was leaving is in the inventory.
    ended(&mut model, ticket, "aider", None);
    send(&mut model, Msg::Response(ticket, Response::PlanApplied(None)));
    assert_eq!((model.dashboard.stored_keys().len(), model.background_runs.len()), (2, 0));
}

#[test]
fn quitting_waits_for_a_queue_that_may_have_a_key_on_its_way() {
    let (mut model, ticket) = applying();
    turned(&mut model, ticket, "aider");
    let effects = send_intent(&mut model, Intent::Quit);
    assert!(matches!(effects[..], [Effect::CancelRun(of)] if of == ticket), "{effects:?}");
    ended(&mut model, ticket, "aider", None);
    let effects = send(&mut model, Msg::Response(ticket, Response::PlanApplied(None)));
    assert!(matches!(effects[..], [Effect::Quit]), "{effects:?}");
}
