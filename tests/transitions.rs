//! What follows from what happens: the core alone, on any day, with no world around it.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "transitions/deeds.rs"]
mod deeds;
#[path = "transitions/list.rs"]
mod list;
#[path = "transitions/plan.rs"]
mod plan;
#[path = "transitions/unstored.rs"]
mod unstored;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use keywright::domain::{
    ApiKey, AuthCode, CheckResult, ErrorKind, KeyInfo, KeyState, Label, ProvisioningEvent,
    ProvisioningOutcome, ProvisioningStep, RequestedPolicy, ResetInterval, Retirement, StoredKey,
    UserError,
};
use keywright::tui::state::{
    AlternateStore, AppContext, AuthChoice, Effect, Intent, KeyList, Model, Msg, Question, Screen,
    SortOrder, Ticket,
};
use keywright::tui::update::{load_keys, update};
use proptest::prelude::*;

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn key(label: &str) -> StoredKey {
    StoredKey {
        hash: keywright::domain::encode_hex(label.as_bytes()),
        masked: "sk-or-v1-0e6...1c96".into(),
        created_at: now(),
        requested: RequestedPolicy {
            limit: "7.50".parse().ok(),
            limit_reset: Some(ResetInterval::Daily),
            ..RequestedPolicy::default()
        },
        granted: None,
        ..StoredKey::new(
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
    let mut model = Model::new(AppContext::default(), (80, 24), now());
    load_keys(&mut model);
    let keys = Ok(labels.iter().map(|label| key(label)).collect());
    tell(&mut model, Msg::KeysLoaded { ticket: Ticket(1), result: keys });
    model
}

fn tell(model: &mut Model, msg: Msg) -> Vec<Effect> {
    update(model, msg, now())
}

fn want(model: &mut Model, intent: Intent) -> Vec<Effect> {
    tell(model, Msg::Intent(intent))
}

fn type_text(model: &mut Model, text: &str) {
    for c in text.chars() {
        want(model, Intent::TypeChar(c));
    }
}

/// A login for `new`, waiting for consent; and its ticket.
fn waiting() -> (Model, Ticket) {
    let mut model = holding(&["laptop"]);
    want(&mut model, Intent::NewKey);
    type_text(&mut model, "new");
    let effects = want(&mut model, Intent::Submit);
    let [Effect::ProvisionKey { ticket, request, .. }] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(request.label.as_str(), "new");
    let ticket = *ticket;
    let url = "https://openrouter.ai/auth?x".to_owned();
    tell(
        &mut model,
        Msg::ProvisioningEvent {
            ticket,
            event: ProvisioningEvent::SignInUrl { url, needs_code: false },
        },
    );
    tell(
        &mut model,
        Msg::ProvisioningEvent {
            ticket,
            event: ProvisioningEvent::StepStarted(ProvisioningStep::AwaitConsent),
        },
    );
    (model, ticket)
}

fn stored(label: &str) -> ProvisioningOutcome {
    ProvisioningOutcome::Stored { stored_key: key(label), key: secret(), warning: None }
}

fn not_stored(label: &str) -> ProvisioningOutcome {
    let text = format!("sk-or-v1-secret-{label}");
    ProvisioningOutcome::NotStored {
        entry: key(label),
        key: ApiKey::from(text),
        error: trouble(ErrorKind::SecretStore),
    }
}

fn trouble(kind: ErrorKind) -> UserError {
    UserError::new(kind, "it failed", "try again")
}

/// These were received after an earlier run, and are nowhere but here.
fn recovered(model: &mut Model, not_stored: Vec<ProvisioningOutcome>) {
    tell(
        model,
        Msg::RecoveryFinished {
            stored_keys: Vec::new(),
            unstored_keys: not_stored,
            rotations: Vec::new(),
            unresolved_attempts: Vec::new(),
            error: None,
        },
    );
}

fn revealed(model: &Model) -> Option<&str> {
    match &model.screen {
        Screen::NewKey(reveal) => Some(reveal.entry.label.as_str()),
        _ => None,
    }
}

#[test]
fn five_keys_take_five_labels() {
    let mut model = holding(&["laptop"]);
    for number in 0..5 {
        want(&mut model, Intent::NewKey);
        type_text(&mut model, &format!("tool {number}"));
        let effects = want(&mut model, Intent::Submit);
        let [Effect::ProvisionKey { ticket, request, .. }] = &effects[..] else {
            panic!("{effects:?}")
        };
        assert_eq!(request.limit, "7.50".parse().ok());
        assert_eq!((request.limit_reset, &request.expiry), (Some(ResetInterval::Daily), &None));
        let outcome = stored(request.label.as_str());
        tell(&mut model, Msg::ProvisioningFinished { ticket: *ticket, outcome });
        assert_eq!(revealed(&model), Some(format!("tool {number}").as_str()));
    }
    assert_eq!(model.dashboard.stored_keys().len(), 6);
}

#[test]
fn enter_goes_through_the_fields_and_submits_on_the_last() {
    let mut model = holding(&[]);
    want(&mut model, Intent::NewKey);
    type_text(&mut model, "x");
    for _ in 0..3 {
        assert!(want(&mut model, Intent::Enter).is_empty());
    }
    assert!(matches!(want(&mut model, Intent::Enter)[..], [Effect::ProvisionKey { .. }]));
}

#[test]
fn what_is_wrong_is_not_sent_and_the_cursor_goes_there() {
    let mut model = holding(&["laptop"]);
    for (label, limit) in
        [("", "10"), ("laptop", "10"), ("ok", "0"), ("ok", "12,50"), ("ok", "1e9")]
    {
        want(&mut model, Intent::NewKey);
        type_text(&mut model, label);
        want(&mut model, Intent::NextField);
        type_text(&mut model, limit);
        want(&mut model, Intent::NextField);
        assert!(want(&mut model, Intent::Submit).is_empty(), "{label} {limit}");
        let Screen::Form(form) = &model.screen else { panic!() };
        let wrong = if label == "ok" {
            keywright::tui::state::FormField::Limit
        } else {
            keywright::tui::state::FormField::Label
        };
        assert_eq!(form.focused_field, wrong, "{label} {limit}");
        want(&mut model, Intent::Back);
    }
}

#[test]
fn a_retiring_key_is_not_offered_to_authorise_another() {
    let mut model = holding(&["laptop"]);
    let info =
        Arc::new(KeyInfo { limit: Some(5.0), limit_remaining: Some(5.0), ..KeyInfo::default() });
    let mut laptop = key("laptop");
    laptop.record_check(&CheckResult::Valid(info), now());
    assert!(laptop.can_authorize(now()));
    laptop.retirement =
        Some(Retirement { replaced_at: now(), unused_for: 60, revoke_when_unused: false });
    model.dashboard.upsert_key(laptop, now());
    want(&mut model, Intent::NewKey);
    let Screen::Form(form) = &model.screen else { panic!() };
    assert_eq!(form.existing_key, None);
}

#[test]
fn a_new_key_comes_by_the_road_that_was_chosen() {
    let mut model = holding(&["laptop"]);
    want(&mut model, Intent::NewKey);
    type_text(&mut model, "new");
    let mut roads = Vec::new();
    for _ in 0..4 {
        let effects = want(&mut model, Intent::Submit);
        let [Effect::ProvisionKey { auth_choice: road, .. }] = &effects[..] else {
            panic!("{effects:?}")
        };
        roads.push(road.clone());
        want(&mut model, Intent::Back);
        want(&mut model, Intent::NextAuthChoice);
    }
    // What is held but was never heard of does not vouch.
    assert_eq!(
        roads,
        [
            AuthChoice::Automatic,
            AuthChoice::PasteCode,
            AuthChoice::Automatic,
            AuthChoice::PasteCode
        ]
    );
    let told =
        Arc::new(KeyInfo { limit: Some(5.0), limit_remaining: Some(5.0), ..KeyInfo::default() });
    let hash = model.dashboard.stored_keys()[0].hash.clone();
    model.dashboard.record_check(&hash, &CheckResult::Valid(told), now());
    want(&mut model, Intent::Back);
    want(&mut model, Intent::NewKey);
    type_text(&mut model, "new");
    want(&mut model, Intent::NextAuthChoice);
    want(&mut model, Intent::NextAuthChoice);
    let effects = want(&mut model, Intent::Submit);
    let [Effect::ProvisionKey { auth_choice: AuthChoice::ExistingKey(label), .. }] = &effects[..]
    else {
        panic!("{effects:?}")
    };
    assert_eq!(label.as_str(), "laptop");
}

#[test]
fn a_paste_with_a_newline_submits_nothing() {
    let mut model = holding(&[]);
    want(&mut model, Intent::NewKey);
    let effects = want(&mut model, Intent::Paste("my\r\ntool\u{1b}[A".into()));
    assert!(effects.is_empty());
    let Screen::Form(form) = &model.screen else { panic!() };
    assert_eq!(form.label.text(), "my tool[A");
}

#[test]
fn the_reset_is_chosen_with_arrows_space_and_letters() {
    let mut model = holding(&[]);
    want(&mut model, Intent::NewKey);
    want(&mut model, Intent::NextField);
    want(&mut model, Intent::NextField);
    let mut reset = |intent: Intent| {
        want(&mut model, intent);
        let Screen::Form(form) = &model.screen else { panic!() };
        form.limit_reset
    };
    assert_eq!(reset(Intent::TypeChar('n')), None);
    assert_eq!(reset(Intent::TypeChar(' ')), Some(ResetInterval::Daily));
    let right = Intent::EditText(tui_input::InputRequest::GoToNextChar);
    assert_eq!(reset(right), Some(ResetInterval::Weekly));
    let left = Intent::EditText(tui_input::InputRequest::GoToPrevChar);
    assert_eq!(reset(left), Some(ResetInterval::Daily));
    assert_eq!(reset(Intent::TypeChar('m')), Some(ResetInterval::Monthly));
}

#[test]
fn nothing_typed_is_lost_when_a_login_fails() {
    let (mut model, ticket) = waiting();
    tell(
        &mut model,
        Msg::ProvisioningFinished {
            ticket,
            outcome: ProvisioningOutcome::Failed(trouble(ErrorKind::Unreachable)),
        },
    );
    assert!(
        matches!(&model.screen, Screen::SignIn(login) if login.error == Some(trouble(ErrorKind::Unreachable)))
    );
    let mut again = model.clone();
    want(&mut model, Intent::Back);
    let Screen::Form(form) = &model.screen else { panic!() };
    assert_eq!((form.label.text(), form.limit.text()), ("new", "7.50"));
    assert!(matches!(want(&mut again, Intent::Retry)[..], [Effect::ProvisionKey { .. }]));
}

#[test]
fn esc_while_waiting_cancels_at_once_and_keeps_the_form() {
    let (mut model, ticket) = waiting();
    let effects = want(&mut model, Intent::Back);
    assert!(matches!(effects[..], [Effect::CancelRun(cancelled)] if cancelled == ticket));
    assert!(matches!(&model.screen, Screen::Form(form) if form.label.text() == "new"));
    tell(
        &mut model,
        Msg::ProvisioningFinished {
            ticket,
            outcome: ProvisioningOutcome::Failed(trouble(ErrorKind::Cancelled)),
        },
    );
    assert_eq!((model.notice, model.background_runs.len()), (None, 0));
}

#[test]
fn a_key_that_came_in_spite_of_esc_is_listed_and_said() {
    let (mut model, ticket) = waiting();
    want(&mut model, Intent::Back);
    tell(&mut model, Msg::ProvisioningFinished { ticket, outcome: stored("new") });
    assert_eq!(model.dashboard.stored_keys().len(), 2);
    assert!(model.notice.unwrap().unwrap().contains("new"));
}

#[test]
fn an_answer_counts_once() {
    let (mut model, ticket) = waiting();
    tell(&mut model, Msg::ProvisioningFinished { ticket, outcome: stored("new") });
    want(&mut model, Intent::Back);
    tell(&mut model, Msg::KeyRemoved { label: "new".parse().unwrap(), result: Ok(()) });
    tell(&mut model, Msg::ProvisioningFinished { ticket, outcome: stored("new") });
    assert_eq!(model.dashboard.stored_keys().len(), 1);
    // A key that is nowhere else counts whoever brings it.
    tell(&mut model, Msg::ProvisioningFinished { ticket, outcome: not_stored("new") });
    assert_eq!(revealed(&model), Some("new"));
}

#[test]
fn a_clock_that_is_put_back_shows_no_key_for_longer() {
    let (mut model, ticket) = waiting();
    tell(&mut model, Msg::ProvisioningFinished { ticket, outcome: stored("new") });
    want(&mut model, Intent::ToggleReveal);
    update(&mut model, Msg::Tick, now() - SignedDuration::from_hours(1));
    assert!(matches!(&model.screen, Screen::NewKey(reveal) if reveal.revealed_until.is_none()));
}

#[test]
fn leaving_one_login_does_not_end_another() {
    let (mut model, first) = waiting();
    tell(
        &mut model,
        Msg::ProvisioningEvent {
            ticket: first,
            event: ProvisioningEvent::StepStarted(ProvisioningStep::ExchangeCode),
        },
    );
    want(&mut model, Intent::Quit);
    want(&mut model, Intent::Back);
    want(&mut model, Intent::NewKey);
    type_text(&mut model, "second");
    assert!(matches!(want(&mut model, Intent::Submit)[..], [Effect::ProvisionKey { .. }]));
    let effects =
        tell(&mut model, Msg::ProvisioningFinished { ticket: first, outcome: stored("new") });
    assert!(effects.is_empty(), "{effects:?}");
}

#[test]
fn news_of_a_journey_that_was_left_changes_nothing() {
    let (mut model, old) = waiting();
    want(&mut model, Intent::Back);
    want(&mut model, Intent::Submit);
    tell(
        &mut model,
        Msg::ProvisioningEvent {
            ticket: old,
            event: ProvisioningEvent::StepStarted(ProvisioningStep::StoreKey),
        },
    );
    assert!(
        matches!(&model.screen, Screen::SignIn(login) if login.step == ProvisioningStep::Preflight)
    );
}

#[test]
fn a_pasted_code_is_given_once_and_only_if_it_is_one() {
    let (mut model, _) = waiting();
    want(&mut model, Intent::ToggleCodeField);
    assert!(want(&mut model, Intent::Enter).is_empty());
    want(&mut model, Intent::Paste(" the-code\n".into()));
    assert!(matches!(want(&mut model, Intent::Enter)[..], [Effect::SubmitCode(..)]));
    assert!(want(&mut model, Intent::Enter).is_empty());
}

#[test]
fn only_the_sandbox_decides_in_the_browsers_place() {
    let (mut model, ticket) = waiting();
    assert!(want(&mut model, Intent::Approve).is_empty());
    model.is_sandbox = true;
    let effects = want(&mut model, Intent::Approve);
    assert!(matches!(effects[..], [Effect::DecideConsent { approve: true, .. }]), "{effects:?}");
    let result = Ok(Some(AuthCode::from("code".to_owned())));
    let effects = tell(&mut model, Msg::ConsentDecided { ticket, result });
    assert!(matches!(effects[..], [Effect::SubmitCode(..)]));
}

fn any_intent() -> impl Strategy<Value = Intent> {
    use tui_input::InputRequest as Edit;
    prop_oneof![
        Just(Intent::Quit),
        Just(Intent::Interrupt),
        Just(Intent::Back),
        Just(Intent::ToggleHelp),
        Just(Intent::NewKey),
        Just(Intent::Move(1)),
        Just(Intent::MovePage(-1)),
        Just(Intent::MoveToTop),
        Just(Intent::MoveToBottom),
        Just(Intent::ToggleDetails),
        Just(Intent::Copy),
        Just(Intent::ToggleReveal),
        Just(Intent::OpenKeyPage),
        Just(Intent::Remove),
        Just(Intent::Reload),
        Just(Intent::DismissAttempt),
        Just(Intent::Yes),
        Just(Intent::No),
        Just(Intent::NextField),
        Just(Intent::PreviousField),
        Just(Intent::Enter),
        Just(Intent::Submit),
        Just(Intent::EditText(Edit::DeletePrevWord)),
        Just(Intent::EditText(Edit::GoToNextChar)),
        Just(Intent::OpenBrowser),
        Just(Intent::ToggleCodeField),
        Just(Intent::ToggleQrCode),
        Just(Intent::Approve),
        Just(Intent::Retry),
        any::<char>().prop_map(Intent::TypeChar),
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
        tell(&mut model, Msg::ProvisioningFinished { ticket, outcome });
        let mut given_up = false;
        for intent in intents {
            let asked = matches!(model.question, Some(Question::QuitWithUnstoredKey | Question::DiscardUnstoredKey));
            given_up |= asked && matches!(intent, Intent::Yes | Intent::Interrupt);
            want(&mut model, intent);
            let kept = revealed(&model) == Some("new") || !model.unstored_keys.is_empty();
            prop_assert!(kept || given_up);
        }
    }
}
