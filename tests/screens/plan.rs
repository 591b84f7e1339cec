//! A plan on screen: before, while and after it is applied.

use keywright::domain::{Expiry, KeyRequest};
use keywright::tui::state::{PlanComparison, PlanStatus, PlannedKey, Request, Response};

use super::*;

fn planned(label: &str, status: PlanStatus) -> PlannedKey {
    let request = KeyRequest {
        label: label.parse().unwrap(),
        limit: "10".parse().ok(),
        limit_reset: Some(ResetInterval::Weekly),
        expiry: Expiry::parse("90d", now()).unwrap(),
        ..KeyRequest::default()
    };
    PlannedKey { request, status }
}

/// A plan that was read.
fn seen(size: (u16, u16)) -> Model {
    let mut model = loaded_model(size);
    want(&mut model, &[Intent::OpenPlan]);
    let [Effect::Request(ticket, Request::LoadPlan(_))] =
        update(&mut model, Msg::Intent(Intent::Enter), now())[..]
    else {
        panic!()
    };
    let mut keys = vec![
        planned("aider", PlanStatus::ToCreate),
        planned("laptop", PlanStatus::Unchanged),
        planned("ci", PlanStatus::Differs("limit is $25.00, the plan says $10.00".into())),
        planned("codex", PlanStatus::ToCreate),
        planned("日本語のラベル", PlanStatus::ToCreate),
    ];
    keys.extend((1..=20).map(|n| planned(&format!("tool-{n}"), PlanStatus::ToCreate)));
    let auth_choice = "one after the other, with your consent to each".into();
    let plan = Ok(PlanComparison { keys, auth_description: auth_choice });
    update(&mut model, Msg::Response(ticket, Response::PlanLoaded(plan)), now());
    model
}

/// Two keys have had their turn; the third waits for consent.
fn applying(size: (u16, u16)) -> (Model, Ticket) {
    let mut model = seen(size);
    let [Effect::Request(ticket, Request::ApplyPlan(_))] =
        update(&mut model, Msg::Intent(Intent::Yes), now())[..]
    else {
        panic!()
    };
    let mut end = |label: &str, result| {
        let label: keywright::domain::Label = label.parse().unwrap();
        update(&mut model, Msg::Response(ticket, Response::ItemStarted(label.clone())), now());
        update(
            &mut model,
            Msg::Response(ticket, Response::ItemFinished { label, result, warning: None }),
            now(),
        );
    };
    end("aider", Ok(key("aider", Some("10"), Some(ResetInterval::Weekly), Some(90))));
    let skipped = UserError::new(ErrorKind::Cancelled, "skipped", String::new());
    end("codex", Err(skipped));
    let label = "日本語のラベル".parse().unwrap();
    update(&mut model, Msg::Response(ticket, Response::ItemStarted(label)), now());
    let url = format!("https://openrouter.ai/auth?{}", "x".repeat(300));
    for report in [
        ProvisioningEvent::SignInUrl { url, needs_code: false },
        ProvisioningEvent::StepStarted(ProvisioningStep::AwaitConsent),
    ] {
        update(&mut model, Msg::Response(ticket, Response::ProvisioningEvent(report)), now());
    }
    (model, ticket)
}

#[test]
fn plan_shows_the_status_of_each_key() {
    insta::assert_snapshot!(drawn(&seen((80, 24))));
}

#[test]
fn plan_scrolls_on_the_smallest_terminal() {
    let mut model = seen(view::MIN_TERMINAL_SIZE);
    want(&mut model, &[Intent::MovePage(1), Intent::Move(4)]);
    insta::assert_snapshot!(drawn(&model));
}

#[test]
fn plan_problems_are_shown_with_their_location() {
    let mut model = loaded_model((80, 24));
    want(&mut model, &[Intent::OpenPlan]);
    let [Effect::Request(ticket, Request::LoadPlan(_))] =
        update(&mut model, Msg::Intent(Intent::Enter), now())[..]
    else {
        panic!()
    };
    let plan = Err(vec![
        "line 3, column 9: a limit is an amount in USD above zero, such as 10".to_owned(),
        "line 7, column 1: there is no field `expiers`; did you mean `expires`?".to_owned(),
    ]);
    update(&mut model, Msg::Response(ticket, Response::PlanLoaded(plan)), now());
    insta::assert_snapshot!(drawn(&model));
}

#[test]
fn batch_shows_finished_current_and_waiting_keys() {
    insta::assert_snapshot!(drawn(&applying((80, 24)).0));
}

#[test]
fn batch_shows_the_complete_address_on_the_smallest_terminal() {
    let (mut model, ticket) = applying(view::MIN_TERMINAL_SIZE);
    insta::assert_snapshot!(drawn(&model));
    update(&mut model, Msg::Response(ticket, Response::PlanApplied(None)), now());
    insta::assert_snapshot!(drawn(&model));
}
