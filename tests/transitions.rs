//! Tests of the state transitions of the dashboard.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "transitions/actions.rs"]
mod actions;
#[path = "transitions/list.rs"]
mod list;
#[path = "transitions/plan.rs"]
mod plan;
#[path = "transitions/unstored.rs"]
mod unstored;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use keywright::domain::{
    ApiKey, AuthCode, CheckResult, ErrorKind, KeyInfo, KeyState, Label, OtherAccount,
    ProvisioningEvent, ProvisioningOutcome, ProvisioningStep, RequestedPolicy, ResetInterval,
    Retirement, Rotated, StoreKind, StoredKey, UserError,
};
use keywright::tui::state::{
    AlternateStore, AppContext, AuthChoice, ConfirmKind, Effect, Intent, KeyList, Model, Msg,
    Question, Request, Response, Screen, SortOrder, Ticket,
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
            StoreKind::Keychain,
            now(),
        )
    }
}

fn secret() -> ApiKey {
    ApiKey::from("sk-or-v1-secret".to_owned())
}

/// Returns a dashboard with these stored keys.
fn model_with_keys(labels: &[&str]) -> Model {
    let mut model = Model::new(AppContext::default(), (80, 24), now());
    load_keys(&mut model);
    let keys = Ok(labels.iter().map(|label| key(label)).collect());
    send(&mut model, Msg::Response(Ticket(1), Response::KeysLoaded(keys)));
    model
}

fn send(model: &mut Model, msg: Msg) -> Vec<Effect> {
    update(model, msg, now())
}

fn send_intent(model: &mut Model, intent: Intent) -> Vec<Effect> {
    send(model, Msg::Intent(intent))
}

fn type_text(model: &mut Model, text: &str) {
    for c in text.chars() {
        send_intent(model, Intent::TypeChar(c));
    }
}

/// Returns a run for `new` that waits for consent, and its ticket.
fn model_awaiting_consent() -> (Model, Ticket) {
    let mut model = model_with_keys(&["laptop"]);
    send_intent(&mut model, Intent::NewKey);
    type_text(&mut model, "new");
    let effects = send_intent(&mut model, Intent::Submit);
    let [Effect::Request(ticket, Request::ProvisionKey { request, .. })] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(request.label.as_str(), "new");
    let ticket = *ticket;
    let url = "https://openrouter.ai/auth?x".to_owned();
    send(
        &mut model,
        Msg::Response(
            ticket,
            Response::ProvisioningEvent(ProvisioningEvent::SignInUrl { url, needs_code: false }),
        ),
    );
    send(
        &mut model,
        Msg::Response(
            ticket,
            Response::ProvisioningEvent(ProvisioningEvent::StepStarted(
                ProvisioningStep::AwaitConsent,
            )),
        ),
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
        error: user_error(ErrorKind::SecretStore),
    }
}

fn user_error(kind: ErrorKind) -> UserError {
    UserError::new(kind, "it failed", "try again")
}

/// These were received after an earlier run, and are nowhere but here.
fn finish_recovery(model: &mut Model, not_stored: Vec<ProvisioningOutcome>) {
    send(
        model,
        Msg::RecoveryFinished {
            stored_keys: Vec::new(),
            unstored_keys: not_stored,
            rotations: Vec::new(),
            unresolved_attempts: Vec::new(),
            deleted_labels: Vec::new(),
            error: None,
        },
    );
}

fn new_key_label(model: &Model) -> Option<&str> {
    match &model.screen {
        Screen::NewKey(reveal) => Some(reveal.entry.label.as_str()),
        _ => None,
    }
}

#[test]
fn five_keys_take_five_labels() {
    let mut model = model_with_keys(&["laptop"]);
    for number in 0..5 {
        send_intent(&mut model, Intent::NewKey);
        type_text(&mut model, &format!("tool {number}"));
        let effects = send_intent(&mut model, Intent::Submit);
        let [Effect::Request(ticket, Request::ProvisionKey { request, .. })] = &effects[..] else {
            panic!("{effects:?}")
        };
        assert_eq!(request.limit, "7.50".parse().ok());
        assert_eq!((request.limit_reset, &request.expiry), (Some(ResetInterval::Daily), &None));
        let outcome = stored(request.label.as_str());
        send(&mut model, Msg::Response(*ticket, Response::ProvisioningFinished(outcome)));
        assert_eq!(new_key_label(&model), Some(format!("tool {number}").as_str()));
    }
    assert_eq!(model.dashboard.stored_keys().len(), 6);
}

#[test]
fn enter_goes_through_the_fields_and_submits_on_the_last() {
    let mut model = model_with_keys(&[]);
    send_intent(&mut model, Intent::NewKey);
    type_text(&mut model, "x");
    for _ in 0..3 {
        assert!(send_intent(&mut model, Intent::Enter).is_empty());
    }
    assert!(matches!(
        send_intent(&mut model, Intent::Enter)[..],
        [Effect::Request(_, Request::ProvisionKey { .. })]
    ));
}

#[test]
fn what_is_wrong_is_not_sent_and_the_cursor_goes_there() {
    let mut model = model_with_keys(&["laptop"]);
    for (label, limit) in
        [("", "10"), ("laptop", "10"), ("ok", "0"), ("ok", "12,50"), ("ok", "1e9")]
    {
        send_intent(&mut model, Intent::NewKey);
        type_text(&mut model, label);
        send_intent(&mut model, Intent::NextField);
        type_text(&mut model, limit);
        send_intent(&mut model, Intent::NextField);
        assert!(send_intent(&mut model, Intent::Submit).is_empty(), "{label} {limit}");
        let Screen::Form(form) = &model.screen else { panic!() };
        let wrong = if label == "ok" {
            keywright::tui::state::FormField::Limit
        } else {
            keywright::tui::state::FormField::Label
        };
        assert_eq!(form.focused_field, wrong, "{label} {limit}");
        send_intent(&mut model, Intent::Back);
    }
}

#[test]
fn a_retiring_key_is_not_offered_to_authorise_another() {
    let mut model = model_with_keys(&["laptop"]);
    let info = Arc::new(KeyInfo {
        limit: Some(5.0).into(),
        limit_remaining: Some(5.0),
        ..KeyInfo::default()
    });
    let mut laptop = key("laptop");
    laptop.record_check(&CheckResult::Valid(info), now());
    assert!(laptop.can_authorize(now()));
    laptop.retirement =
        Some(Retirement { replaced_at: now(), unused_for: 60, revoke_when_unused: false });
    model.dashboard.upsert_key(laptop, now());
    send_intent(&mut model, Intent::NewKey);
    let Screen::Form(form) = &model.screen else { panic!() };
    assert_eq!(form.existing_key, None);
}

#[test]
fn the_chosen_auth_method_is_sent() {
    let mut model = model_with_keys(&["laptop"]);
    send_intent(&mut model, Intent::NewKey);
    type_text(&mut model, "new");
    let mut roads = Vec::new();
    for _ in 0..4 {
        let effects = send_intent(&mut model, Intent::Submit);
        let [Effect::Request(_, Request::ProvisionKey { auth_choice: road, .. })] = &effects[..]
        else {
            panic!("{effects:?}")
        };
        roads.push(road.clone());
        send_intent(&mut model, Intent::Back);
        send_intent(&mut model, Intent::NextAuthChoice);
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
    let told = Arc::new(KeyInfo {
        limit: Some(5.0).into(),
        limit_remaining: Some(5.0),
        ..KeyInfo::default()
    });
    let hash = model.dashboard.stored_keys()[0].hash.clone();
    model.dashboard.record_check(&hash, &CheckResult::Valid(told), now());
    send_intent(&mut model, Intent::Back);
    send_intent(&mut model, Intent::NewKey);
    type_text(&mut model, "new");
    send_intent(&mut model, Intent::NextAuthChoice);
    send_intent(&mut model, Intent::NextAuthChoice);
    let effects = send_intent(&mut model, Intent::Submit);
    let [
        Effect::Request(
            _,
            Request::ProvisionKey { auth_choice: AuthChoice::ExistingKey(label), .. },
        ),
    ] = &effects[..]
    else {
        panic!("{effects:?}")
    };
    assert_eq!(label.as_str(), "laptop");
}

#[test]
fn a_paste_with_a_newline_submits_nothing() {
    let mut model = model_with_keys(&[]);
    send_intent(&mut model, Intent::NewKey);
    let effects = send_intent(&mut model, Intent::Paste("my\r\ntool\u{1b}[A".into()));
    assert!(effects.is_empty());
    let Screen::Form(form) = &model.screen else { panic!() };
    assert_eq!(form.label.text(), "my tool[A");
}

#[test]
fn the_reset_is_chosen_with_arrows_space_and_letters() {
    let mut model = model_with_keys(&[]);
    send_intent(&mut model, Intent::NewKey);
    send_intent(&mut model, Intent::NextField);
    send_intent(&mut model, Intent::NextField);
    let mut reset = |intent: Intent| {
        send_intent(&mut model, intent);
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
    assert_eq!((form.label.text(), form.limit.text()), ("new", "7.50"));
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
    send(&mut model, Msg::KeyRemoved { label: "new".parse().unwrap(), result: Ok(()) });
    send(&mut model, Msg::Response(ticket, Response::ProvisioningFinished(stored("new"))));
    assert_eq!(model.dashboard.stored_keys().len(), 1);
    // A key that is nowhere else counts whoever brings it.
    send(&mut model, Msg::Response(ticket, Response::ProvisioningFinished(not_stored("new"))));
    assert_eq!(new_key_label(&model), Some("new"));
}

#[test]
fn a_clock_that_is_put_back_shows_no_key_for_longer() {
    let (mut model, ticket) = model_awaiting_consent();
    send(&mut model, Msg::Response(ticket, Response::ProvisioningFinished(stored("new"))));
    send_intent(&mut model, Intent::ToggleReveal);
    update(&mut model, Msg::Tick, now() - SignedDuration::from_hours(1));
    assert!(matches!(&model.screen, Screen::NewKey(reveal) if reveal.revealed_until.is_none()));
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

#[test]
fn a_key_of_another_account_asks_once_and_its_label_confirms() {
    let mut model = model_with_keys(&["agent"]);
    let other_account = Some(OtherAccount::default());
    let new = StoredKey { other_account, ..key("agent (new)") };
    load_keys(&mut model);
    let ticket = model.dashboard.load_ticket.unwrap();
    let loaded = Ok(vec![key("agent"), new.clone()]);
    send(&mut model, Msg::Response(ticket, Response::KeysLoaded(loaded)));
    let is_asking = |model: &Model| matches!(&model.screen, Screen::Confirm(dialog) if dialog.kind == ConfirmKind::ConfirmAccount);
    assert!(is_asking(&model));
    assert!(send_intent(&mut model, Intent::Enter).is_empty() && is_asking(&model));
    send_intent(&mut model, Intent::Back);
    send(&mut model, Msg::Tick);
    assert!(!is_asking(&model));
    // A rotation that finds the same key asks again.
    model.dashboard.shown_account_dialogs.clear();
    send(&mut model, Msg::Tick);
    type_text(&mut model, "agent (new)");
    let effects = send_intent(&mut model, Intent::Enter);
    assert!(matches!(&effects[..], [Effect::ConfirmAccount(key), ..] if key.hash == new.hash));
    let rotated = Rotated { new: StoredKey { other_account: None, ..new.clone() }, old: None };
    let label = new.label.clone();
    send(&mut model, Msg::AccountConfirmed { label, result: Ok(rotated) });
    assert!(matches!(model.screen, Screen::Dashboard));
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

    /// An unstored key is kept until the person agrees to discard it.
    #[test]
    fn no_sequence_of_intents_drops_an_unstored_key(intents in prop::collection::vec(any_intent(), 1..60)) {
        let (mut model, ticket) = model_awaiting_consent();
        let outcome = not_stored("new");
        send(&mut model, Msg::Response(ticket, Response::ProvisioningFinished(outcome)));
        let mut given_up = false;
        for intent in intents {
            let asked = matches!(model.question, Some(Question::QuitWithUnstoredKey | Question::DiscardUnstoredKey));
            given_up |= asked && matches!(intent, Intent::Yes | Intent::Interrupt);
            send_intent(&mut model, intent);
            let kept = new_key_label(&model) == Some("new") || !model.unstored_keys.is_empty();
            prop_assert!(kept || given_up);
        }
    }
}
