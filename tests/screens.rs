//! What is on screen, as snapshots: the same model and the same drawing as the program's, on a
//! terminal in memory.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "screens/feedback.rs"]
mod feedback;
#[path = "screens/help.rs"]
mod help;
#[path = "screens/key_actions.rs"]
mod key_actions;
#[path = "screens/key_table.rs"]
mod key_table;
#[path = "screens/new_key.rs"]
mod new_key;
#[path = "screens/plan.rs"]
mod plan;
#[path = "screens/rebound_keys.rs"]
mod rebound_keys;
#[path = "screens/sentences.rs"]
mod sentences;
#[path = "screens/shared_store.rs"]
mod shared_store;
#[path = "screens/sign_in.rs"]
mod sign_in;
#[path = "screens/sweep.rs"]
mod sweep;
#[path = "screens/themes.rs"]
mod themes;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use keywright::domain::{
    ApiKey, CheckResult, ErrorKind, GrantedPolicy, KeyInfo, ProvisioningEvent, ProvisioningOutcome,
    ProvisioningStep, Reported, RequestedPolicy, ResetInterval, StoreKind, StoredKey,
    UnresolvedAttempt, UserError,
};
use keywright::tui::keymap::{intent_for_key, screen_bindings};
use keywright::tui::state::{
    AlternateStore, AppContext, Effect, FormChoices, Intent, Model, Msg, ProfileChoice, Request,
    Response, Screen, Ticket,
};
use keywright::tui::update::{load_keys, update};
use keywright::tui::view::{self, Theme};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::{Color, Modifier};

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn model(size: (u16, u16)) -> Model {
    let world = AppContext {
        server: "https://openrouter.ai".into(),
        is_sandbox: false,
        store_name: "the Secret Service keychain".into(),
        alternate_store: Some(AlternateStore {
            store_kind: StoreKind::File,
            display_name: "/home/me/.local/share/keywright/vault.age".into(),
            needs_passphrase: true,
        }),
        keychain_service: "keywright".into(),
        refresh_interval: Some(SignedDuration::from_mins(5)),
        ..AppContext::default()
    };
    let mut model = Model::new(world, size, now());
    load_keys(&mut model);
    model
}

fn key(
    label: &str,
    limit: Option<&str>,
    reset: Option<ResetInterval>,
    days: Option<i64>,
) -> StoredKey {
    let expires_at = days.map(|days| {
        "2026-11-24T23:59:59Z".parse::<Timestamp>().unwrap() + SignedDuration::from_hours(24 * days)
    });
    let limit = limit.map(|limit| limit.parse().unwrap());
    StoredKey::new(
        label.parse().unwrap(),
        &ApiKey::from(String::new()),
        "https://openrouter.ai".into(),
        StoreKind::Keychain,
        now(),
    )
    .with(|key| {
        key.hash = keywright::domain::encode_hex(format!("{label:.32}").as_bytes());
        key.masked = "sk-or-v1-0e6...1c96".into();
        key.created_at = "2026-11-02T08:30:00Z".parse().unwrap();
        key.requested = RequestedPolicy {
            guardrail: None,
            limit,
            limit_reset: reset,
            expires_at,
            workspace_id: None,
            expires_input: days.map(|days| format!("{days}d")),
        };
        key.granted = Some(GrantedPolicy {
            limit: limit.map(keywright::domain::Cents::to_dollars).into(),
            limit_reset: reset.into(),
            expires_at: expires_at.into(),
        });
    })
}

/// A key that said at noon that so much of its limit is left.
fn read(mut stored_key: StoredKey, remaining: Option<f64>, month: f64) -> StoredKey {
    let reading = KeyInfo {
        limit: stored_key.limit(),
        limit_remaining: remaining,
        limit_reset: stored_key.reset(),
        usage: Some(month * 3.0),
        usage_daily: Some(month / 10.0),
        usage_weekly: Some(month / 4.0),
        usage_monthly: Some(month),
        byok_usage: Some(0.0),
        expires_at: stored_key.expires_at(),
        ..KeyInfo::default()
    };
    stored_key.record_check(&CheckResult::Valid(Arc::new(reading)), now());
    stored_key
}

/// One key in each state.
fn states() -> Vec<StoredKey> {
    let mut dead = read(key("dead", Some("5"), None, None), Some(3.0), 2.0);
    dead.record_check(&CheckResult::Rejected, now());
    let mut off = read(key("switched off", Some("5"), None, None), Some(3.0), 2.0);
    off.disabled = Some(true);
    vec![
        read(key("fresh", Some("10"), Some(ResetInterval::Monthly), None), Some(9.6), 0.4),
        read(key("nearly spent", Some("25"), Some(ResetInterval::Weekly), None), Some(1.25), 80.0),
        read(key("spent", Some("5"), Some(ResetInterval::Daily), Some(60)), Some(0.0), 55.0),
        read(key("ends on Friday", Some("8"), None, Some(3)), Some(7.0), 1.0),
        read(key("ended", Some("8"), None, Some(-2)), Some(7.0), 1.0),
        read(key("unlimited", None, None, Some(400)), None, 12_345.6),
        dead,
        off,
        key("never asked", Some("5"), None, None),
    ]
}

fn keys() -> Vec<StoredKey> {
    vec![
        key("laptop", Some("10"), Some(ResetInterval::Monthly), None),
        key("ci", Some("5.50"), Some(ResetInterval::Daily), Some(30)),
        key("a label that is longer than its column is wide 日本語", None, None, Some(400)),
    ]
}

fn loaded_model(size: (u16, u16)) -> Model {
    let mut model = model(size);
    update(&mut model, Msg::Response(Ticket(1), Response::KeysLoaded(Ok(keys()))), now());
    model
}

fn want(model: &mut Model, intents: &[Intent]) {
    for intent in intents {
        update(model, Msg::Intent(intent.clone()), now());
    }
}

fn type_text(model: &mut Model, text: &str) {
    for c in text.chars() {
        update(model, Msg::Intent(Intent::TypeChar(c)), now());
    }
}

fn screen(model: &Model, theme: Theme) -> Terminal<TestBackend> {
    let mut terminal =
        Terminal::new(TestBackend::new(model.terminal_size.0, model.terminal_size.1)).unwrap();
    terminal.draw(|frame| _ = view::draw(model, theme, frame)).unwrap();
    terminal
}

fn drawn(model: &Model) -> String {
    screen(model, Theme::Dark).backend().to_string()
}

/// A login for `laptop2` that waits for consent.
fn waiting(size: (u16, u16), paste: bool) -> Model {
    let mut model = loaded_model(size);
    want(&mut model, &[Intent::NewKey]);
    type_text(&mut model, "laptop2");
    want(&mut model, &[Intent::Submit]);
    let ticket = ticket(&model);
    let callback = if paste {
        ""
    } else {
        "callback_url=http%3A%2F%2F127.0.0.1%3A40123%2Fcallback%2FAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA&"
    };
    let url = format!(
        "https://openrouter.ai/auth?{callback}code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256&key_label=laptop2&limit=5.50&usage_limit_type=daily&expires_at=2026-12-24T23%3A59%3A59Z"
    );
    for report in [
        ProvisioningEvent::StepStarted(ProvisioningStep::Preflight),
        ProvisioningEvent::StepStarted(ProvisioningStep::OpenBrowser),
        ProvisioningEvent::SignInUrl { url, needs_code: paste },
        ProvisioningEvent::StepStarted(ProvisioningStep::AwaitConsent),
    ] {
        update(&mut model, Msg::Response(ticket, Response::ProvisioningEvent(report)), now());
    }
    update(&mut model, Msg::Tick, now() + SignedDuration::from_secs(72));
    model
}

fn ticket(model: &Model) -> Ticket {
    let Screen::SignIn(login) = &model.screen else { panic!("no login on screen") };
    login.ticket
}

fn secret() -> ApiKey {
    ApiKey::from(format!("sk-or-v1-{}", "5ec7e7".repeat(10)))
}

fn revealed(outcome: ProvisioningOutcome) -> Model {
    let mut model = waiting((80, 24), false);
    let ticket = ticket(&model);
    update(&mut model, Msg::Response(ticket, Response::ProvisioningFinished(outcome)), now());
    model
}

#[test]
fn first_frame_shows_that_keys_are_loading() {
    insta::assert_snapshot!(drawn(&model((80, 24))));
}

#[test]
fn empty_inventory_shows_the_first_steps() {
    let mut model = model((80, 24));
    update(&mut model, Msg::Response(Ticket(1), Response::KeysLoaded(Ok(Vec::new()))), now());
    insta::assert_snapshot!(drawn(&model));
}

#[test]
fn unreadable_inventory_shows_the_error_and_the_advice() {
    let mut model = model((80, 24));
    let error = UserError::new(
        ErrorKind::Failed,
        "/home/me/inventory.json is damaged at line 3, column 7",
        "nothing was overwritten and your keys are safe in the keychain; mend the file",
    );
    update(&mut model, Msg::Response(Ticket(1), Response::KeysLoaded(Err(error))), now());
    insta::assert_snapshot!(drawn(&model));
}

fn in_every_state(size: (u16, u16)) -> Model {
    let mut model = model(size);
    update(&mut model, Msg::Response(Ticket(1), Response::KeysLoaded(Ok(states()))), now());
    let ticket = Ticket(2);
    update(
        &mut model,
        Msg::Response(
            ticket,
            Response::RefreshFinished { error: None, retry_after: None, rejected_keys: Vec::new() },
        ),
        now(),
    );
    model
}

#[test]
fn revealed_key_is_hidden_after_ten_seconds() {
    let mut model = loaded_model((80, 24));
    let effects = update(&mut model, Msg::Intent(Intent::ToggleReveal), now());
    let [Effect::Request(ticket, Request::ReadSecret(key))] = &effects[..] else {
        panic!("{effects:?}")
    };
    let msg = Msg::Response(
        *ticket,
        Response::SecretRead { label: key.label.clone(), result: Ok(secret()) },
    );
    update(&mut model, msg, now());
    let whole = format!("sk-or-v1-{}", "5ec7e7".repeat(10));
    for (columns, is_on_one_line) in [(60, false), (75, true), (80, true), (160, true), (300, true)]
    {
        update(&mut model, Msg::Resized(columns, 24), now());
        model.notice = Some(Ok("a message that is longer than the line ".repeat(9)));
        let shown = drawn(&model);
        assert_eq!(shown.contains(&whole), is_on_one_line, "{shown}");
        assert!(shown.contains(if is_on_one_line { "shows all" } else { "sk-or-v1-5ec7e7" }));
        assert!(shown.contains("shown below for 10 s"), "{shown}");
    }
    update(&mut model, Msg::Tick, now() + SignedDuration::from_secs(10));
    assert!(!drawn(&model).contains("sk-or-v1-5ec7e7"));
}

#[test]
fn small_terminal_shows_the_required_size() {
    insta::assert_snapshot!(drawn(&loaded_model((40, 8))));
}

#[test]
fn unresolved_attempts_are_shown_on_top() {
    let mut model = loaded_model((80, 24));
    let attempt = UnresolvedAttempt {
        waits_for_store: false,
        id: "1".into(),
        label: "lost".parse().unwrap(),
        server: "https://openrouter.ai".into(),
        started_at: "2026-11-24T09:00:00Z".parse().unwrap(),
    };
    let msg = Msg::RecoveryFinished {
        stored_keys: Vec::new(),
        unstored_keys: Vec::new(),
        rotations: Vec::new(),
        unresolved_attempts: vec![attempt],
        deleted_labels: Vec::new(),
        foreign_keys: Vec::new(),
        finished: Vec::new(),
        errors: Vec::new(),
    };
    update(&mut model, msg, now());
    insta::assert_snapshot!(drawn(&model));
}

#[test]
fn disabling_and_enabling_name_the_key_in_their_question() {
    let mut model = loaded_model((80, 24));
    want(&mut model, &[Intent::MoveToBottom, Intent::ToggleDisabled]);
    let label = model.dashboard.selected_key().unwrap().label.clone();
    let screen = drawn(&model);
    assert!(screen.contains(&format!("Disable {label} at OpenRouter?")), "{screen}");
    assert!(screen.contains("y disable") && screen.contains("esc cancel"), "{screen}");
}

#[test]
fn every_screen_survives_every_size() {
    let mut screens =
        vec![loaded_model((80, 24)), waiting((80, 24), true), waiting((80, 24), false)];
    let outcome =
        ProvisioningOutcome::Stored { stored_key: keys().remove(2), key: secret(), warning: None };
    screens.push(revealed(outcome));
    let mut form = loaded_model((80, 24));
    want(&mut form, &[Intent::NewKey]);
    screens.push(form);
    let mut help = loaded_model((80, 24));
    want(&mut help, &[Intent::ToggleHelp]);
    screens.push(help);
    for model in &mut screens {
        for size in
            [(1, 1), (60, 16), (61, 17), (79, 23), (100, 16), (139, 30), (140, 16), (300, 100)]
        {
            update(model, Msg::Resized(size.0, size.1), now());
            drawn(model);
        }
    }
}

#[test]
fn capital_letters_have_their_own_bindings() {
    use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
    let model = loaded_model((80, 24));
    for modifiers in [KeyModifiers::NONE, KeyModifiers::SHIFT] {
        let event = KeyEvent::new(KeyCode::Char('G'), modifiers);
        assert_eq!(intent_for_key(&model, &event), Some(Intent::MoveToBottom));
    }
}

#[test]
fn a_key_of_another_account_is_explained_and_stays_a_warning() {
    let mut model = loaded_model((80, 24));
    let mut keys = model.dashboard.stored_keys().to_vec();
    keys[0].user_id = Some("user_2another".into());
    keys[0].other_account = Some(keywright::domain::OtherAccount::default());
    load_keys(&mut model);
    let ticket = model.dashboard.load_ticket.unwrap();
    update(&mut model, Msg::Response(ticket, Response::KeysLoaded(Ok(keys))), now());
    insta::assert_snapshot!("other_account_dialog", drawn(&model));
    want(&mut model, &[Intent::Back]);
    insta::assert_snapshot!("other_account_warning", drawn(&model));
}
