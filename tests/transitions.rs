//! What follows from what happens: the core alone, on any day, with no world around it.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "transitions/deeds.rs"]
mod deeds;
#[path = "transitions/plan.rs"]
mod plan;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use keywright::app::{
    Effect, Elsewhere, Intent, Keys, Model, Msg, Question, Road, Screen, Sort, Ticket, World,
    start, update,
};
use keywright::key::{
    ApiKey, Asked, AuthCode, HeldKey, KeyState, Label, Outcome, Read, Reading, Report, Reset, Step,
    Trouble,
};
use proptest::prelude::*;

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn key(label: &str) -> HeldKey {
    HeldKey {
        hash: keywright::key::hexadecimal(label.as_bytes()),
        masked: "sk-or-v1-0e6...1c96".into(),
        created_at: now(),
        asked: Asked {
            limit: "7.50".parse().ok(),
            limit_reset: Some(Reset::Daily),
            ..Asked::default()
        },
        granted: None,
        ..HeldKey::new(
            label.parse().unwrap(),
            &ApiKey::from(String::new()),
            "https://openrouter.ai".into(),
            "os".into(),
            now(),
        )
    }
}

fn secret() -> ApiKey {
    ApiKey::from("sk-or-v1-secret".to_owned())
}

/// A dashboard that holds these.
fn holding(labels: &[&str]) -> Model {
    let mut model = Model::new(World::default(), (80, 24), now());
    start(&mut model);
    let keys = Ok(labels.iter().map(|label| key(label)).collect());
    tell(&mut model, Msg::KeysLoaded { ticket: Ticket(1), keys });
    model
}

fn tell(model: &mut Model, msg: Msg) -> Vec<Effect> {
    update(model, msg, now())
}

fn want(model: &mut Model, intent: Intent) -> Vec<Effect> {
    tell(model, Msg::Wanted(intent))
}

fn type_text(model: &mut Model, text: &str) {
    for c in text.chars() {
        want(model, Intent::Type(c));
    }
}

/// A login for `new`, waiting for consent; and its ticket.
fn waiting() -> (Model, Ticket) {
    let mut model = holding(&["laptop"]);
    want(&mut model, Intent::New);
    type_text(&mut model, "new");
    let effects = want(&mut model, Intent::Submit);
    let [Effect::Provision { ticket, request, .. }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(request.label.as_str(), "new");
    let ticket = *ticket;
    let url = "https://openrouter.ai/auth?x".to_owned();
    tell(&mut model, Msg::Reported { ticket, report: Report::Address { url, paste: false } });
    tell(&mut model, Msg::Reported { ticket, report: Report::Step(Step::Consent) });
    (model, ticket)
}

fn stored(label: &str) -> Outcome {
    Outcome::Stored { held: key(label), key: secret(), note: None }
}

fn not_stored(label: &str) -> Outcome {
    let text = format!("sk-or-v1-secret-{label}");
    Outcome::NotStored { held: key(label), key: ApiKey::from(text), trouble: trouble(4) }
}

fn trouble(code: u8) -> Trouble {
    Trouble { message: "it failed".into(), advice: "try again".into(), code }
}

/// These were received after an earlier run, and are nowhere but here.
fn recovered(model: &mut Model, not_stored: Vec<Outcome>) {
    tell(
        model,
        Msg::Recovered {
            stored: Vec::new(),
            not_stored,
            rotations: Vec::new(),
            unresolved: Vec::new(),
            trouble: None,
        },
    );
}

fn revealed(model: &Model) -> Option<&str> {
    match &model.screen {
        Screen::Reveal(reveal) => Some(reveal.held.label.as_str()),
        _ => None,
    }
}

#[test]
fn the_start_reads_the_list() {
    let mut model = Model::new(World::default(), (80, 24), now());
    let effects = start(&mut model);
    assert!(matches!(effects[..], [Effect::LoadKeys(Ticket(1))]));
    assert!(matches!(model.dashboard.keys, Keys::Loading));
}

#[test]
fn a_stale_list_is_dropped() {
    let mut model = holding(&["laptop"]);
    want(&mut model, Intent::Reload);
    tell(&mut model, Msg::KeysLoaded { ticket: Ticket(1), keys: Ok(Vec::new()) });
    assert_eq!(model.dashboard.held().len(), 1);
}

#[test]
fn five_keys_take_five_labels() {
    let mut model = holding(&["laptop"]);
    for number in 0..5 {
        want(&mut model, Intent::New);
        type_text(&mut model, &format!("tool {number}"));
        let effects = want(&mut model, Intent::Submit);
        let [Effect::Provision { ticket, request, .. }] = &effects[..] else {
            panic!("{effects:?}")
        };
        assert_eq!(request.limit, "7.50".parse().ok());
        assert_eq!((request.reset, &request.expiry), (Some(Reset::Daily), &None));
        let outcome = stored(request.label.as_str());
        tell(&mut model, Msg::Provisioned { ticket: *ticket, outcome });
        assert_eq!(revealed(&model), Some(format!("tool {number}").as_str()));
    }
    assert_eq!(model.dashboard.held().len(), 6);
}

#[test]
fn enter_goes_through_the_fields_and_submits_on_the_last() {
    let mut model = holding(&[]);
    want(&mut model, Intent::New);
    type_text(&mut model, "x");
    for _ in 0..3 {
        assert!(want(&mut model, Intent::Enter).is_empty());
    }
    assert!(matches!(want(&mut model, Intent::Enter)[..], [Effect::Provision { .. }]));
}

#[test]
fn what_is_wrong_is_not_sent_and_the_cursor_goes_there() {
    let mut model = holding(&["laptop"]);
    for (label, limit) in
        [("", "10"), ("laptop", "10"), ("ok", "0"), ("ok", "12,50"), ("ok", "1e9")]
    {
        want(&mut model, Intent::New);
        type_text(&mut model, label);
        want(&mut model, Intent::NextField);
        type_text(&mut model, limit);
        want(&mut model, Intent::NextField);
        assert!(want(&mut model, Intent::Submit).is_empty(), "{label} {limit}");
        let Screen::Form(form) = &model.screen else { panic!() };
        let wrong =
            if label == "ok" { keywright::app::Part::Limit } else { keywright::app::Part::Label };
        assert_eq!(form.focus, wrong, "{label} {limit}");
        want(&mut model, Intent::Back);
    }
}

#[test]
fn a_new_key_comes_by_the_road_that_was_chosen() {
    let mut model = holding(&["laptop"]);
    want(&mut model, Intent::New);
    type_text(&mut model, "new");
    let mut roads = Vec::new();
    for _ in 0..4 {
        let effects = want(&mut model, Intent::Submit);
        let [Effect::Provision { road, .. }] = &effects[..] else { panic!("{effects:?}") };
        roads.push(road.clone());
        want(&mut model, Intent::Back);
        want(&mut model, Intent::NextRoad);
    }
    // What is held but was never heard of does not vouch.
    assert_eq!(roads, [Road::Best, Road::Paste, Road::Best, Road::Paste]);
    let told =
        Arc::new(Reading { limit: Some(5.0), limit_remaining: Some(5.0), ..Reading::default() });
    let hash = model.dashboard.held()[0].hash.clone();
    model.dashboard.note(&hash, &Read::Told(told), now());
    want(&mut model, Intent::Back);
    want(&mut model, Intent::New);
    type_text(&mut model, "new");
    want(&mut model, Intent::NextRoad);
    want(&mut model, Intent::NextRoad);
    let effects = want(&mut model, Intent::Submit);
    let [Effect::Provision { road: Road::Key(label), .. }] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(label.as_str(), "laptop");
}

#[test]
fn a_paste_with_a_newline_submits_nothing() {
    let mut model = holding(&[]);
    want(&mut model, Intent::New);
    let effects = want(&mut model, Intent::Paste("my\r\ntool\u{1b}[A".into()));
    assert!(effects.is_empty());
    let Screen::Form(form) = &model.screen else { panic!() };
    assert_eq!(form.label.text(), "my tool[A");
}

#[test]
fn the_reset_is_chosen_with_arrows_space_and_letters() {
    let mut model = holding(&[]);
    want(&mut model, Intent::New);
    want(&mut model, Intent::NextField);
    want(&mut model, Intent::NextField);
    let mut reset = |intent: Intent| {
        want(&mut model, intent);
        let Screen::Form(form) = &model.screen else { panic!() };
        form.reset
    };
    assert_eq!(reset(Intent::Type('n')), None);
    assert_eq!(reset(Intent::Type(' ')), Some(Reset::Daily));
    let right = Intent::Edit(tui_input::InputRequest::GoToNextChar);
    assert_eq!(reset(right), Some(Reset::Weekly));
    let left = Intent::Edit(tui_input::InputRequest::GoToPrevChar);
    assert_eq!(reset(left), Some(Reset::Daily));
    assert_eq!(reset(Intent::Type('m')), Some(Reset::Monthly));
}

#[test]
fn nothing_typed_is_lost_when_a_login_fails() {
    let (mut model, ticket) = waiting();
    tell(&mut model, Msg::Provisioned { ticket, outcome: Outcome::Failed(trouble(6)) });
    assert!(matches!(&model.screen, Screen::Login(login) if login.trouble == Some(trouble(6))));
    let mut again = model.clone();
    want(&mut model, Intent::Back);
    let Screen::Form(form) = &model.screen else { panic!() };
    assert_eq!((form.label.text(), form.limit.text()), ("new", "7.50"));
    assert!(matches!(want(&mut again, Intent::Retry)[..], [Effect::Provision { .. }]));
}

#[test]
fn esc_while_waiting_cancels_at_once_and_keeps_the_form() {
    let (mut model, ticket) = waiting();
    let effects = want(&mut model, Intent::Back);
    assert!(matches!(effects[..], [Effect::Cancel(cancelled)] if cancelled == ticket));
    assert!(matches!(&model.screen, Screen::Form(form) if form.label.text() == "new"));
    tell(&mut model, Msg::Provisioned { ticket, outcome: Outcome::Failed(trouble(5)) });
    assert_eq!((model.notice, model.unfinished.len()), (None, 0));
}

#[test]
fn a_key_that_came_in_spite_of_esc_is_listed_and_said() {
    let (mut model, ticket) = waiting();
    want(&mut model, Intent::Back);
    tell(&mut model, Msg::Provisioned { ticket, outcome: stored("new") });
    assert_eq!(model.dashboard.held().len(), 2);
    assert!(model.notice.unwrap().unwrap().contains("new"));
}

#[test]
fn a_key_that_could_not_be_stored_is_shown_wherever_the_person_went() {
    let (mut model, ticket) = waiting();
    want(&mut model, Intent::Back);
    tell(&mut model, Msg::Provisioned { ticket, outcome: not_stored("new") });
    assert!(matches!(model.screen, Screen::Form(_)), "what is being typed is not taken away");
    want(&mut model, Intent::Back);
    assert_eq!(revealed(&model), Some("new"));
}

#[test]
fn several_keys_that_could_not_be_stored_wait_for_each_other() {
    let mut model = holding(&[]);
    recovered(&mut model, vec![not_stored("a"), not_stored("b")]);
    let first = revealed(&model).unwrap().to_owned();
    want(&mut model, Intent::Back);
    assert_eq!(model.question, Some(Question::DropUnstored));
    want(&mut model, Intent::No);
    assert_eq!(revealed(&model), Some(first.as_str()));
    want(&mut model, Intent::Back);
    want(&mut model, Intent::Yes);
    assert_ne!(revealed(&model).unwrap(), first);
}

#[test]
fn quitting_asks_first_while_a_key_is_stored_nowhere() {
    let (mut model, ticket) = waiting();
    tell(&mut model, Msg::Provisioned { ticket, outcome: not_stored("new") });
    for leave in [Intent::Quit, Intent::Interrupt] {
        assert!(want(&mut model, leave).is_empty());
        assert_eq!(model.question, Some(Question::QuitUnstored));
        assert!(want(&mut model, Intent::Copy).is_empty(), "a question waits for its answer");
        want(&mut model, Intent::No);
    }
    want(&mut model, Intent::Quit);
    assert!(matches!(want(&mut model, Intent::Yes)[..], [Effect::Quit]));
}

#[test]
fn leaving_is_no_answer_to_a_question_about_something_else() {
    for leave in [Msg::Wanted(Intent::Interrupt), Msg::Left] {
        let mut model = holding(&["laptop"]);
        want(&mut model, Intent::Remove);
        let effects = tell(&mut model, leave.clone());
        assert!(matches!(effects[..], [Effect::Quit]), "{effects:?}");
        assert_eq!(model.dashboard.held().len(), 1);
        let (mut model, ticket) = waiting();
        tell(&mut model, Msg::Provisioned { ticket, outcome: not_stored("new") });
        want(&mut model, Intent::Back);
        assert_eq!(model.question, Some(Question::DropUnstored));
        tell(&mut model, leave);
        assert!(revealed(&model) == Some("new"), "the only copy is not dropped for a signal");
    }
}

#[test]
fn when_nobody_is_there_an_exchange_is_still_waited_for() {
    let (mut model, ticket) = waiting();
    tell(&mut model, Msg::Reported { ticket, report: Report::Step(Step::Exchange) });
    let effects = tell(&mut model, Msg::Left);
    assert!(matches!(effects[..], [Effect::Cancel(_)]), "{effects:?}");
    let effects = tell(&mut model, Msg::Provisioned { ticket, outcome: not_stored("new") });
    assert!(matches!(effects[..], [Effect::Quit]), "{effects:?}");
}

#[test]
fn when_nobody_is_there_a_key_that_is_being_stored_is_waited_for() {
    let (mut model, ticket) = waiting();
    tell(&mut model, Msg::Provisioned { ticket, outcome: not_stored("new") });
    let effects = want(&mut model, Intent::Retry);
    let [Effect::StoreAgain { ticket, .. }] = effects[..] else { panic!("{effects:?}") };
    assert!(tell(&mut model, Msg::Left).is_empty());
    let effects = tell(&mut model, Msg::Provisioned { ticket, outcome: stored("new") });
    assert!(matches!(effects[..], [Effect::Quit]), "{effects:?}");
}

#[test]
fn a_key_that_waits_for_the_screen_waits_for_the_answer_to_a_question() {
    let mut model = holding(&["laptop"]);
    want(&mut model, Intent::Remove);
    recovered(&mut model, vec![not_stored("a")]);
    assert_eq!(model.question, Some(Question::Remove(vec!["laptop".parse().unwrap()])));
    want(&mut model, Intent::Revoke);
    assert!(matches!(model.screen, Screen::Ask(_)));
    want(&mut model, Intent::Back);
    assert_eq!(revealed(&model), Some("a"));
}

#[test]
fn an_answer_counts_once() {
    let (mut model, ticket) = waiting();
    tell(&mut model, Msg::Provisioned { ticket, outcome: stored("new") });
    want(&mut model, Intent::Back);
    tell(&mut model, Msg::Removed { label: "new".parse().unwrap(), result: Ok(()) });
    tell(&mut model, Msg::Provisioned { ticket, outcome: stored("new") });
    assert_eq!(model.dashboard.held().len(), 1);
    // A key that is nowhere else counts whoever brings it.
    tell(&mut model, Msg::Provisioned { ticket, outcome: not_stored("new") });
    assert_eq!(revealed(&model), Some("new"));
}

#[test]
fn a_clock_that_is_put_back_shows_no_key_for_longer() {
    let (mut model, ticket) = waiting();
    tell(&mut model, Msg::Provisioned { ticket, outcome: stored("new") });
    want(&mut model, Intent::ToggleReveal);
    update(&mut model, Msg::Ticked, now() - SignedDuration::from_hours(1));
    assert!(matches!(&model.screen, Screen::Reveal(reveal) if reveal.shown_until.is_none()));
}

#[test]
fn without_keys_nothing_is_asked_all_the_time() {
    let world = World { every: Some(SignedDuration::from_mins(5)), ..World::default() };
    let mut model = Model::new(world, (80, 24), now());
    start(&mut model);
    tell(&mut model, Msg::KeysLoaded { ticket: Ticket(1), keys: Ok(vec![key("laptop")]) });
    let ticket = model.refresh.round.as_ref().unwrap().ticket;
    let ended = Msg::RefreshEnded { ticket, trouble: None, wait: None, refused: Vec::new() };
    tell(&mut model, ended);
    tell(&mut model, Msg::Removed { label: "laptop".parse().unwrap(), result: Ok(()) });
    let due = model.wake().unwrap();
    update(&mut model, Msg::Ticked, due);
    assert!(model.wake().unwrap() > due);
}

#[test]
fn leaving_one_login_does_not_end_another() {
    let (mut model, first) = waiting();
    tell(&mut model, Msg::Reported { ticket: first, report: Report::Step(Step::Exchange) });
    want(&mut model, Intent::Quit);
    want(&mut model, Intent::Back);
    want(&mut model, Intent::New);
    type_text(&mut model, "second");
    assert!(matches!(want(&mut model, Intent::Submit)[..], [Effect::Provision { .. }]));
    let effects = tell(&mut model, Msg::Provisioned { ticket: first, outcome: stored("new") });
    assert!(effects.is_empty(), "{effects:?}");
}

#[test]
fn storing_again_ends_on_the_reveal() {
    let (mut model, ticket) = waiting();
    tell(&mut model, Msg::Provisioned { ticket, outcome: not_stored("new") });
    let effects = want(&mut model, Intent::Retry);
    let [Effect::StoreAgain { ticket, .. }] = effects[..] else { panic!("{effects:?}") };
    assert!(want(&mut model, Intent::Retry).is_empty(), "one try at a time");
    tell(&mut model, Msg::Provisioned { ticket, outcome: stored("new") });
    assert!(matches!(&model.screen, Screen::Reveal(reveal) if reveal.stored));
}

#[test]
fn a_key_that_one_store_refuses_goes_into_the_other() {
    let elsewhere =
        |passphrase| Elsewhere { store: "file".into(), place: "vault.age".into(), passphrase };
    let (mut model, ticket) = waiting();
    tell(&mut model, Msg::Provisioned { ticket, outcome: not_stored("new") });
    assert!(want(&mut model, Intent::StoreElsewhere).is_empty(), "there is no other");

    model.elsewhere = Some(elsewhere(true));
    assert!(want(&mut model, Intent::StoreElsewhere).is_empty());
    assert!(want(&mut model, Intent::Enter).is_empty(), "nothing is typed");
    type_text(&mut model, "correct horse");
    assert!(want(&mut model, Intent::Enter).is_empty(), "once more");
    type_text(&mut model, "correct hose");
    assert!(want(&mut model, Intent::Enter).is_empty(), "a slip");
    type_text(&mut model, "correct horse");
    let effects = want(&mut model, Intent::Enter);
    let [Effect::StoreElsewhere { ticket, passphrase: Some(_), .. }] = effects[..] else {
        panic!("{effects:?}")
    };
    assert!(want(&mut model, Intent::StoreElsewhere).is_empty(), "one try at a time");
    tell(&mut model, Msg::Provisioned { ticket, outcome: not_stored("new") });
    assert_eq!(revealed(&model), Some("new"), "refused there, too");

    model.elsewhere = Some(elsewhere(false));
    let effects = want(&mut model, Intent::StoreElsewhere);
    let [Effect::StoreElsewhere { ticket, passphrase: None, .. }] = effects[..] else {
        panic!("{effects:?}")
    };
    tell(&mut model, Msg::Provisioned { ticket, outcome: stored("new") });
    assert!(matches!(&model.screen, Screen::Reveal(reveal) if reveal.stored));
}

#[test]
fn leaving_waits_for_a_key_that_may_be_on_its_way() {
    let (mut model, ticket) = waiting();
    tell(&mut model, Msg::Reported { ticket, report: Report::Step(Step::Exchange) });
    let effects = want(&mut model, Intent::Interrupt);
    assert!(matches!(effects[..], [Effect::Cancel(_)]), "{effects:?}");
    let effects = tell(&mut model, Msg::Provisioned { ticket, outcome: stored("new") });
    assert!(matches!(effects[..], [Effect::Quit]), "{effects:?}");
}

#[test]
fn leaving_stops_when_the_key_that_came_could_not_be_stored() {
    let (mut model, ticket) = waiting();
    want(&mut model, Intent::Interrupt);
    let effects = tell(&mut model, Msg::Provisioned { ticket, outcome: not_stored("new") });
    assert!(effects.is_empty(), "{effects:?}");
    assert!(want(&mut model, Intent::Interrupt).is_empty());
    assert_eq!((revealed(&model), &model.question), (Some("new"), &Some(Question::QuitUnstored)));
}

#[test]
fn news_of_a_journey_that_was_left_changes_nothing() {
    let (mut model, old) = waiting();
    want(&mut model, Intent::Back);
    want(&mut model, Intent::Submit);
    tell(&mut model, Msg::Reported { ticket: old, report: Report::Step(Step::Store) });
    assert!(matches!(&model.screen, Screen::Login(login) if login.step == Step::Preflight));
}

#[test]
fn a_pasted_code_is_given_once_and_only_if_it_is_one() {
    let (mut model, _) = waiting();
    want(&mut model, Intent::ToggleCode);
    assert!(want(&mut model, Intent::Enter).is_empty());
    want(&mut model, Intent::Paste(" the-code\n".into()));
    assert!(matches!(want(&mut model, Intent::Enter)[..], [Effect::GiveCode(..)]));
    assert!(want(&mut model, Intent::Enter).is_empty());
}

#[test]
fn only_the_sandbox_decides_in_the_browsers_place() {
    let (mut model, ticket) = waiting();
    assert!(want(&mut model, Intent::Approve).is_empty());
    model.sandbox = true;
    let effects = want(&mut model, Intent::Approve);
    assert!(matches!(effects[..], [Effect::Decide { approve: true, .. }]), "{effects:?}");
    let result = Ok(Some(AuthCode::from("code".to_owned())));
    let effects = tell(&mut model, Msg::Decided { ticket, result });
    assert!(matches!(effects[..], [Effect::GiveCode(..)]));
}

#[test]
fn removing_asks_and_says_that_the_key_stays_valid() {
    let mut model = holding(&["laptop", "ci"]);
    assert!(want(&mut model, Intent::Remove).is_empty());
    assert_eq!(model.question, Some(Question::Remove(vec!["laptop".parse().unwrap()])));
    let effects = want(&mut model, Intent::Yes);
    assert!(matches!(&effects[..], [Effect::Remove(labels)] if labels[0].as_str() == "laptop"));
    let label = "laptop".parse().unwrap();
    tell(&mut model, Msg::Removed { label, result: Ok(()) });
    assert_eq!(model.dashboard.current().unwrap().label.as_str(), "ci");
    assert!(model.notice.unwrap().unwrap().contains("stays valid"));
}

#[test]
fn a_key_is_shown_for_ten_seconds_and_hidden_by_moving_on() {
    let mut model = holding(&["laptop", "ci"]);
    let show = |model: &mut Model| {
        let effects = want(model, Intent::ToggleReveal);
        let [Effect::Fetch(ticket, label)] = &effects[..] else { panic!("{effects:?}") };
        let (ticket, label) = (*ticket, label.clone());
        tell(model, Msg::Fetched { ticket, label, key: Ok(secret()) });
        assert!(model.dashboard.shown.is_some());
        assert_eq!(model.wake(), Some(now() + SignedDuration::from_secs(1)));
    };
    show(&mut model);
    update(&mut model, Msg::Ticked, now() + SignedDuration::from_secs(10));
    assert!(model.dashboard.shown.is_none());
    show(&mut model);
    want(&mut model, Intent::Move(1));
    assert!(model.dashboard.shown.is_none());
    show(&mut model);
    want(&mut model, Intent::New);
    assert!(model.dashboard.shown.is_none(), "leaving the screen hides it");
}

#[test]
fn an_idle_list_wakes_only_when_a_word_on_it_changes() {
    let mut model = holding(&["laptop"]);
    // Resets at midnight: in 12 hours, which becomes 11 a second after noon.
    assert_eq!(model.wake(), Some(now() + SignedDuration::from_secs(1)));
    update(&mut model, Msg::Ticked, now() + SignedDuration::from_secs(1));
    assert_eq!(model.wake(), Some(now() + SignedDuration::from_secs(3_601)));
    let mut model = holding(&[]);
    assert_eq!(model.wake(), None);
    want(&mut model, Intent::New);
    assert_eq!(model.wake(), None);
}

/// A dashboard that asks by itself every five minutes, and is asking now.
fn asking(labels: &[&str]) -> (Model, Ticket, Vec<String>) {
    let world = World { every: Some(SignedDuration::from_mins(5)), ..World::default() };
    let mut model = Model::new(world, (80, 24), now());
    start(&mut model);
    let keys = Ok(labels.iter().map(|label| key(label)).collect());
    let effects = tell(&mut model, Msg::KeysLoaded { ticket: Ticket(1), keys });
    let [Effect::Recover, Effect::Refresh { ticket, keys }] = &effects[..] else {
        panic!("{effects:?}")
    };
    let asked = keys.iter().map(|(_, label)| label.to_string()).collect();
    (model, *ticket, asked)
}

fn told(ticket: Ticket, label: &str, remaining: f64) -> Msg {
    let reading =
        Reading { limit: Some(10.0), limit_remaining: Some(remaining), ..Reading::default() };
    let read = Read::Told(Arc::new(reading));
    Msg::Refreshed { ticket, hash: key(label).hash, read, at: now() }
}

#[test]
fn keys_are_asked_once_the_list_is_there_the_visible_ones_first() {
    let labels: Vec<String> = (0..100).map(|number| format!("key {number:03}")).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let (_, _, asked) = asking(&labels);
    assert_eq!(asked, labels);
    let (mut model, ticket, _) = asking(&labels);
    tell(&mut model, Msg::RefreshEnded { ticket, trouble: None, wait: None, refused: Vec::new() });
    want(&mut model, Intent::ToBottom);
    let due = model.refresh.next.unwrap();
    let effects = update(&mut model, Msg::Ticked, due);
    let [Effect::Refresh { keys, .. }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(keys[0].1.as_str(), "key 085", "the last page begins there");
    assert_eq!(keys.len(), 100);
}

#[test]
fn one_round_at_a_time_and_none_while_it_is_off() {
    let (mut model, ticket, _) = asking(&["a"]);
    let later = now() + SignedDuration::from_hours(1);
    assert!(update(&mut model, Msg::Ticked, later).is_empty());
    assert!(update(&mut model, Msg::Returned, later).is_empty());
    update(
        &mut model,
        Msg::RefreshEnded { ticket, trouble: None, wait: None, refused: Vec::new() },
        later,
    );
    let due = model.refresh.next.unwrap();
    assert!(due > later + SignedDuration::from_mins(4));
    assert_eq!(update(&mut model, Msg::Ticked, due).len(), 1);
    let mut off = holding(&["a"]);
    assert!(off.refresh.round.is_none());
    want(&mut off, Intent::Reload);
    let keys = Ok(vec![key("a")]);
    let ticket = off.dashboard.loading.unwrap();
    let effects = tell(&mut off, Msg::KeysLoaded { ticket, keys });
    assert!(
        matches!(effects[..], [Effect::Recover, Effect::Refresh { .. }]),
        "asked for, it is done"
    );
}

#[test]
fn figures_arrive_and_no_row_moves() {
    let (mut model, ticket, _) = asking(&["a", "b", "c"]);
    want(&mut model, Intent::Sort);
    want(&mut model, Intent::Sort);
    want(&mut model, Intent::Sort);
    assert_eq!(model.dashboard.sort, Sort::Spent);
    want(&mut model, Intent::Move(1));
    let rows = model.dashboard.rows.clone();
    tell(&mut model, told(ticket, "c", 1.0));
    tell(&mut model, told(ticket, "a", 9.0));
    assert_eq!(
        (&model.dashboard.rows, model.dashboard.current().unwrap().label.as_str()),
        (&rows, "b")
    );
    assert_eq!(model.dashboard.held()[2].state(now()), KeyState::Low);
    want(&mut model, Intent::Reverse);
    want(&mut model, Intent::Reverse);
    let labels: Vec<_> =
        model.dashboard.visible(24).map(|(_, held)| held.label.to_string()).collect();
    assert_eq!(labels, ["c", "a", "b"], "asked for, the order is made anew");
    assert_eq!(model.dashboard.current().unwrap().label.as_str(), "b");
}

#[test]
fn a_stale_answer_and_one_for_another_key_change_nothing() {
    let (mut model, ticket, _) = asking(&["a"]);
    tell(&mut model, told(Ticket(999), "a", 1.0));
    tell(&mut model, told(ticket, "zzz", 1.0));
    assert_eq!(model.dashboard.held()[0].reading, None);
}

#[test]
fn esc_stops_a_round_and_only_then() {
    let (mut model, ticket, _) = asking(&["a"]);
    let effects = want(&mut model, Intent::Back);
    assert!(matches!(effects[..], [Effect::StopRefresh(stopped)] if stopped == ticket));
    tell(&mut model, Msg::RefreshEnded { ticket, trouble: None, wait: None, refused: Vec::new() });
    assert!(want(&mut model, Intent::Back).is_empty());
}

#[test]
fn marked_keys_are_removed_together() {
    let mut model = holding(&["a", "b", "c"]);
    want(&mut model, Intent::Mark);
    want(&mut model, Intent::Mark);
    want(&mut model, Intent::Remove);
    let effects = want(&mut model, Intent::Yes);
    let [Effect::Remove(labels)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(labels.iter().map(Label::as_str).collect::<Vec<_>>(), ["a", "b"]);
    assert!(model.dashboard.marked.is_empty());
}

#[test]
fn a_filter_narrows_as_it_is_typed_and_esc_drops_it() {
    let mut model = holding(&["laptop", "ci", "lab"]);
    want(&mut model, Intent::Filter);
    type_text(&mut model, "la");
    assert_eq!(model.dashboard.rows, [0, 2]);
    type_text(&mut model, "p");
    assert_eq!(model.dashboard.current().unwrap().label.as_str(), "laptop");
    want(&mut model, Intent::Enter);
    want(&mut model, Intent::Back);
    assert_eq!(model.dashboard.rows.len(), 3);
}

#[test]
fn a_click_selects_the_row_under_it() {
    let mut model = holding(&["a", "b", "c"]);
    want(&mut model, Intent::Click(6));
    assert_eq!(model.dashboard.current().unwrap().label.as_str(), "c");
    for outside in [0, 3, 7, 23, 500] {
        want(&mut model, Intent::Click(outside));
        assert_eq!(model.dashboard.current().unwrap().label.as_str(), "c");
    }
}

fn any_intent() -> impl Strategy<Value = Intent> {
    use tui_input::InputRequest as Edit;
    prop_oneof![
        Just(Intent::Quit),
        Just(Intent::Interrupt),
        Just(Intent::Back),
        Just(Intent::ToggleHelp),
        Just(Intent::New),
        Just(Intent::Move(1)),
        Just(Intent::MovePage(-1)),
        Just(Intent::ToTop),
        Just(Intent::ToBottom),
        Just(Intent::ToggleDetails),
        Just(Intent::Copy),
        Just(Intent::ToggleReveal),
        Just(Intent::OpenPage),
        Just(Intent::Remove),
        Just(Intent::Reload),
        Just(Intent::Dismiss),
        Just(Intent::Yes),
        Just(Intent::No),
        Just(Intent::NextField),
        Just(Intent::PreviousField),
        Just(Intent::Enter),
        Just(Intent::Submit),
        Just(Intent::Edit(Edit::DeletePrevWord)),
        Just(Intent::Edit(Edit::GoToNextChar)),
        Just(Intent::OpenBrowser),
        Just(Intent::ToggleCode),
        Just(Intent::ToggleQr),
        Just(Intent::Approve),
        Just(Intent::Retry),
        any::<char>().prop_map(Intent::Type),
        any::<String>().prop_map(Intent::Paste),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    /// Whatever a person does, a key that is stored nowhere stays until they say that it may go.
    #[test]
    fn no_walk_through_the_screens_drops_a_key(intents in prop::collection::vec(any_intent(), 1..60)) {
        let (mut model, ticket) = waiting();
        let outcome = not_stored("new");
        tell(&mut model, Msg::Provisioned { ticket, outcome });
        let mut given_up = false;
        for intent in intents {
            let asked = matches!(model.question, Some(Question::QuitUnstored | Question::DropUnstored));
            given_up |= asked && matches!(intent, Intent::Yes | Intent::Interrupt);
            want(&mut model, intent);
            let kept = revealed(&model) == Some("new") || !model.rescued.is_empty();
            prop_assert!(kept || given_up);
        }
    }
}
