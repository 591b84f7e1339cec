//! Tests of the state transitions of the dashboard.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "transitions/account_figures.rs"]
mod account_figures;
#[path = "transitions/account_keys.rs"]
mod account_keys;
#[path = "transitions/bulk.rs"]
mod bulk;
#[path = "transitions/choices.rs"]
mod choices;
#[path = "transitions/form.rs"]
mod form;
#[path = "transitions/inventory.rs"]
mod inventory;
#[path = "transitions/key_update.rs"]
mod key_update;
#[path = "transitions/management.rs"]
mod management;
#[path = "transitions/overlay.rs"]
mod overlay;
#[path = "transitions/palette.rs"]
mod palette;
#[path = "transitions/plan.rs"]
mod plan;
#[path = "transitions/profiles.rs"]
mod profiles;
#[path = "transitions/questions.rs"]
mod questions;
#[path = "transitions/revocation.rs"]
mod revocation;
#[path = "transitions/rotation.rs"]
mod rotation;
#[path = "transitions/shared_store.rs"]
mod shared_store;
#[path = "transitions/sign_in.rs"]
mod sign_in;
#[path = "transitions/trash.rs"]
mod trash;
#[path = "transitions/unstored.rs"]
mod unstored;
#[path = "transitions/view_state.rs"]
mod view_state;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use keywright::domain::{
    AccountKey, AccountKeys, ActionResult, ApiKey, AuthCode, CheckResult, ErrorKind, FieldChange,
    KeyInfo, KeyPatch, KeyState, KeyUpdate, KeyUpdateOutcome, Label, LeakResponse, OtherAccount,
    ProvisioningEvent, ProvisioningOutcome, ProvisioningStep, RequestedPolicy, ResetInterval,
    RetirePolicy, Retirement, Rotated, RotationOutcome, StoreKind, StoredKey, TrashedKey,
    UsageSample, UserError,
};
use keywright::tui::state::{
    AlternateStore, AppContext, AuthChoice, ConfirmKind, Effect, ExpectedLosses, FormField,
    FormKind, Intent, KeyList, KeyScope, Model, Msg, PlannedLimit, Question, Request, Response,
    ResultsScreen, Screen, SortOrder, Ticket, UndoableChange,
};
use keywright::tui::update::{load_keys, update};
use proptest::prelude::*;

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn key(label: &str) -> StoredKey {
    StoredKey::new(
        label.parse().unwrap(),
        &ApiKey::from(String::new()),
        "https://openrouter.ai".into(),
        StoreKind::Keychain,
        now(),
    )
    .with(|key| {
        key.hash = keywright::domain::encode_hex(label.as_bytes());
        key.masked = "sk-or-v1-0e6...1c96".into();
        key.created_at = now();
        key.requested = RequestedPolicy {
            limit: "7.50".parse().ok(),
            limit_reset: Some(ResetInterval::Daily),
            ..RequestedPolicy::default()
        };
        key.granted = None;
    })
}

fn secret() -> ApiKey {
    ApiKey::from("sk-or-v1-secret".to_owned())
}

/// Returns a dashboard with these stored keys.
fn model_with_keys(labels: &[&str]) -> Model {
    let context = AppContext { sort_order: SortOrder::CreatedAt, ..AppContext::default() };
    let mut model = Model::new(context, (80, 24), now());
    // The pane would load the past of the selected key.
    show_pane(&mut model, false);
    load_keys(&mut model);
    let keys = Ok(labels.iter().map(|label| key(label)).collect());
    send(&mut model, Msg::Response(Ticket(1), Response::KeysLoaded(keys)));
    model
}

/// Opens or closes the pane as an earlier run left it, so that nothing is saved.
fn show_pane(model: &mut Model, is_open: bool) {
    model.dashboard.is_pane_open = is_open;
    model.saved_view = model.view_state();
}

fn send(model: &mut Model, msg: Msg) -> Vec<Effect> {
    update(model, msg, now())
}

/// Returns the effects, without the look for changes by other programs.
fn send_intent(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let mut effects = send(model, Msg::Intent(intent));
    effects.retain(|effect| !matches!(effect, Effect::CheckInventory));
    effects
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
            foreign_keys: Vec::new(),
            finished: Vec::new(),
            errors: Vec::new(),
        },
    );
}

fn new_key_label(model: &Model) -> Option<&str> {
    match &model.screen {
        Screen::NewKey(reveal) => Some(reveal.entry.label.as_str()),
        _ => None,
    }
}

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
    let new = key(label).with(|key| key.hash = "new".into());
    let old = key(label).with(|key| {
        key.label = format!("{label} (old)").parse().unwrap();
        key.retirement =
            Some(Retirement { replaced_at: now(), unused_for: 3_600, revoke_when_unused: false });
    });
    Rotated { new, old: Some(old), not_carried: Vec::new() }
}

fn labels(model: &Model) -> Vec<&str> {
    let all = model.dashboard.all_keys();
    model.dashboard.rows.iter().map(|row| all[*row].label.as_str()).collect()
}

fn confirm_kind(model: &Model) -> Option<ConfirmKind> {
    match &model.screen {
        Screen::Confirm(dialog) => Some(dialog.kind),
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
fn five_keys_take_five_labels() {
    let mut model = model_with_keys(&["laptop"]);
    for number in 0..5 {
        send_intent(&mut model, Intent::NewKey);
        type_text(&mut model, &format!("tool {number}"));
        let effects = send_intent(&mut model, Intent::Submit);
        let [Effect::Request(ticket, Request::ProvisionKey { request, .. })] = &effects[..] else {
            panic!("{effects:?}")
        };
        // The policy is that of the defaults, whatever the last key has.
        assert_eq!(request.limit, "10".parse().ok());
        let expiry = request.expiry.as_ref().map(|expiry| expiry.input.as_str());
        assert_eq!((request.limit_reset, expiry), (Some(ResetInterval::Monthly), Some("90d")));
        let outcome = stored(request.label.as_str());
        send(&mut model, Msg::Response(*ticket, Response::ProvisioningFinished(outcome)));
        assert_eq!(new_key_label(&model), Some(format!("tool {number}").as_str()));
    }
    assert_eq!(model.dashboard.stored_keys().len(), 6);
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
fn a_key_of_another_account_asks_once_and_its_label_confirms() {
    let mut model = model_with_keys(&["agent"]);
    let other_account = Some(OtherAccount::default());
    let new = key("agent (new)").with(|key| key.other_account = other_account);
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
    let rotated = Rotated {
        new: new.clone().with(|key| key.other_account = None),
        old: None,
        not_carried: Vec::new(),
    };
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

    /// An unstored key is kept until the user agrees to discard it.
    #[test]
    fn no_sequence_of_intents_drops_an_unstored_key(intents in prop::collection::vec(any_intent(), 1..60)) {
        let (mut model, ticket) = model_awaiting_consent();
        let outcome = not_stored("new");
        send(&mut model, Msg::Response(ticket, Response::ProvisioningFinished(outcome)));
        let mut given_up = false;
        for intent in intents {
            let is_asking = matches!(model.question, Some(Question::QuitWithUnstoredKey | Question::DiscardUnstoredKey));
            given_up |= is_asking && matches!(intent, Intent::Yes | Intent::Interrupt);
            send_intent(&mut model, intent);
            let kept = new_key_label(&model) == Some("new") || !model.unstored_keys.is_empty();
            prop_assert!(kept || given_up);
        }
    }
}
