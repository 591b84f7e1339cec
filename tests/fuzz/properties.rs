//! Properties that must hold for all input from outside, one function per kind of input. The fuzz
//! targets in `fuzz/` and the tests in `mutation.rs` call them.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test may fail")]

use std::fs;
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use secrecy::ExposeSecret;

use crate::api::oauth::callback::respond_to_bytes;
use crate::api::openrouter::wire;
use crate::domain::{
    AccountKey, ApiKey, AuthCode, AuthorizationResponse, Cents, CheckResult, Expiry, KeyRequest,
    Label, ResetInterval, StoreKind, StoredKey, sanitize,
};
use crate::services::plan;
use crate::storage::json_store::{Error, StoreLocation};
use crate::storage::{inventory, journal};
use crate::tui::state::{AppContext, Model, Msg, Response};
use crate::tui::update::{load_keys, update};
use crate::tui::view::{self, Theme};

#[cfg(test)]
#[path = "mutation.rs"]
mod mutation;

/// The host in the seeds of [`callback`].
const HOST: &str = "127.0.0.1:4711";
const NONCE: &str = "NNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNN";

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

/// Asserts that the text is safe to show on a terminal.
fn assert_sanitized(text: &str) {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    assert!(!text.chars().any(hidden), "{text:?}");
}

/// Checks callback requests: each one gets a complete response that repeats nothing of the request, and
/// only a request for the full URL delivers a code.
pub fn callback(data: &[u8]) {
    let Some((response, authorization)) = respond_to_bytes(data, HOST, NONCE) else { return };
    let text = String::from_utf8(response).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with("http/1."), "{head}");
    for line in [
        "cache-control: no-store",
        "referrer-policy: no-referrer",
        "x-content-type-options: nosniff",
        "content-security-policy: default-src 'none'",
        "connection: close",
    ] {
        assert!(head.contains(line), "{line} is not in {head}");
    }
    assert!(!head.contains("access-control"), "{head}");
    assert!(!text.contains(NONCE));
    // The body is empty or one of a few fixed pages.
    assert!(body.is_empty() || body.starts_with("<!"), "{body}");
    let contains = |text: &str| data.windows(text.len()).any(|part| part == text.as_bytes());
    match authorization {
        Some(AuthorizationResponse::Code(code)) => {
            let code = expose(&code);
            assert!((1..=512).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_graphic()));
            assert!(code.len() < 20 || !text.contains(code));
            assert!(contains("GET ") && contains(HOST) && contains(NONCE) && contains("code"));
        }
        Some(AuthorizationResponse::Error { description }) => {
            assert_sanitized(description.as_deref().unwrap_or_default());
            assert!(contains("GET ") && contains(HOST) && contains(NONCE) && contains("error"));
        }
        None => {}
    }
}

#[expect(clippy::disallowed_methods, reason = "a secret of the test")]
fn expose(secret: &impl ExposeSecret<str>) -> &str {
    secret.expose_secret()
}

/// Checks responses to the code exchange: a complete key is found even if the response is truncated.
pub fn exchange(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(exchanged) = wire::parse_created_key(&text) {
        assert!(!expose(&exchanged.key).is_empty());
        let _ = (exchanged.key.hash(), exchanged.key.masked());
    }
    if let Some(code) = wire::parse_auth_code(&text) {
        assert!((1..=512).contains(&expose(&code).len()));
    }
    if let Some(message) = wire::parse_error_message(&text) {
        assert_sanitized(&message);
    }
    let _ = wire::is_deletion_confirmed(&text);
    // Use the input as a key of unknown format, in a response that is truncated after it.
    if !text.is_empty() {
        let start = format!("{{\"key\":{}", serde_json::to_string(&text).unwrap());
        let whole = format!("{start},\"user_id\":\"user_1\"}}");
        for end in [start.len(), whole.len() - 1, whole.len()] {
            let found = wire::parse_created_key(&whole[..end]).map(|e| expose(&e.key).to_owned());
            assert_eq!(found.as_deref(), Some(&*text), "truncated at {end}");
        }
        let masked = ApiKey::from(text.clone().into_owned()).masked();
        assert_sanitized(&masked);
        assert!(masked.chars().count() <= 25, "{masked}");
    }
}

/// Checks API responses about keys: every parsed key can be drawn.
pub fn responses(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut stored_key = some_key();
    if let Some(info) = wire::parse_key_info(&text) {
        stored_key.record_check(&CheckResult::Valid(info.into()), now());
    }
    let mut remotes: Vec<AccountKey> = wire::parse_account_key(&text).into_iter().collect();
    if let Some(page) = wire::parse_key_list(&text) {
        assert!(page.items.len() <= page.row_count);
        remotes.extend(page.items);
    }
    if let Some(page) = wire::parse_page(&text, wire::account::parse_workspace) {
        assert!(page.items.len() <= page.row_count);
    }
    let rows = remotes.iter().map(|remote| {
        assert!(crate::domain::is_key_hash(&remote.hash));
        assert_sanitized(&remote.display_name());
        remote.to_inventory_row("https://openrouter.ai", now())
    });
    draw_dashboard(std::iter::once(stored_key).chain(rows).collect());
}

fn some_key() -> StoredKey {
    let key = ApiKey::from(String::from("sk-or-v1-0"));
    let server = String::from("https://openrouter.ai");
    StoredKey::new("laptop".parse().unwrap(), &key, server, StoreKind::Keychain, now())
}

/// Draws the dashboard with these keys and asserts that it has no control characters.
fn draw_dashboard(keys: Vec<StoredKey>) {
    let context = AppContext {
        refresh_interval: Some(SignedDuration::from_mins(5)),
        ..AppContext::default()
    };
    let mut model = Model::new(context, (160, 40), now());
    load_keys(&mut model);
    let ticket = model.dashboard.load_ticket.unwrap();
    update(&mut model, Msg::Response(ticket, Response::KeysLoaded(Ok(keys))), now());
    let _ = model.next_tick_at();
    let mut terminal = Terminal::new(TestBackend::new(160, 40)).unwrap();
    terminal.draw(|frame| _ = view::draw(&model, Theme::Dark, frame)).unwrap();
    for cell in terminal.backend().buffer().content() {
        assert!(!cell.symbol().chars().any(char::is_control), "{:?}", cell.symbol());
    }
}

/// Calls `check` with a directory that contains the file. If it fails, the file must be unchanged.
fn with_file(name: &str, data: &[u8], check: impl FnOnce(&StoreLocation) -> Result<(), Error>) {
    let thread = format!("{:?}", std::thread::current().id());
    let dir: PathBuf = std::env::temp_dir().join(format!(
        "keywright-fuzz-{}-{}",
        std::process::id(),
        thread.replace(|c: char| !c.is_ascii_alphanumeric(), "")
    ));
    crate::storage::json_store::create_private_dir(&dir).unwrap();
    let path = dir.join(name);
    fs::write(&path, data).unwrap();
    if let Err(error) = check(&StoreLocation::Directory(dir.clone())) {
        assert_sanitized(&error.to_string());
        assert!(!error.advice().is_empty());
        assert!(fs::read(&path).unwrap() == data, "an unreadable file was overwritten");
    }
    fs::remove_dir_all(&dir).unwrap();
}

/// Checks `inventory.json`: it is read, drawn and written back with all keys, or not changed.
pub fn inventory(data: &[u8]) {
    with_file("inventory.json", data, |location| {
        let keys = match inventory::list_all_keys(location) {
            Ok(keys) => keys,
            Err(error) => {
                assert!(inventory::update_keys(location, |_| ()).is_err());
                return Err(error);
            }
        };
        inventory::update_keys(location, |_| ())?;
        let names = |keys: &[StoredKey]| -> Vec<String> {
            keys.iter().map(|key| format!("{} {}", key.hash, key.label)).collect()
        };
        let again = inventory::list_all_keys(location).unwrap();
        assert_eq!(names(&keys), names(&again));
        draw_dashboard(keys);
        Ok(())
    });
}

/// Checks `journal.json`: it is read and written back with all attempts, or not changed.
pub fn journal(data: &[u8]) {
    with_file("journal.json", data, |location| {
        let attempts = match journal::list_all_attempts(location) {
            Ok(attempts) => attempts,
            Err(error) => {
                assert!(journal::dismiss_attempt(location, "none").is_err());
                return Err(error);
            }
        };
        let expected: Vec<_> =
            attempts.into_iter().filter(|attempt| attempt.id != "none").collect();
        journal::dismiss_attempt(location, "none")?;
        let again = journal::list_all_attempts(location).unwrap();
        assert_eq!(expected.len(), again.len());
        for (one, other) in expected.iter().zip(&again) {
            assert_eq!(
                (&one.id, one.stage, one.send_count),
                (&other.id, other.stage, other.send_count)
            );
        }
        journal::list_attempts_outside(location, "https://openrouter.ai", &[StoreKind::Keychain])?;
        Ok(())
    });
}

/// Checks plans: each gives valid requests, or diagnostics that each have a position in the plan and show no key.
pub fn plan(data: &[u8]) {
    match plan::parse(data, &crate::domain::KeyDefaults::default(), now()) {
        Ok(plan::Plan { requests, .. }) => {
            for (at, request) in requests.iter().enumerate() {
                request.validate().unwrap();
                assert!(requests[..at].iter().all(|other| other.label != request.label));
            }
            plan::compare(requests, vec![some_key()], Vec::new());
        }
        Err(diagnostics) => {
            assert!(!diagnostics.is_empty());
            let lines = data.split(|byte| *byte == b'\n').count();
            for diagnostic in diagnostics {
                assert!((1..=lines).contains(&diagnostic.position.line), "{diagnostic}");
                assert!(diagnostic.position.column >= 1);
                assert_sanitized(&diagnostic.message);
                let secret = diagnostic.message.split("sk-or-v1-").nth(1).unwrap_or_default();
                let shown = secret.bytes().take_while(u8::is_ascii_alphanumeric).count();
                assert!(shown < 20, "{diagnostic}");
            }
        }
    }
}

/// Checks foreign text that is shown on a terminal.
pub fn foreign_text(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for max in [0, 1, 24, 200] {
        let sanitized = sanitize(&text, max);
        assert_sanitized(&sanitized);
        assert_eq!(sanitize(&sanitized, max + 1), sanitized, "the second call changes the text");
        assert!(
            sanitized.chars().filter(|c| !c.is_alphanumeric()).count() <= text.chars().count() + 1
        );
    }
}

/// Checks values typed into a form or given on the command line.
pub fn user_input(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(label) = text.parse::<Label>() {
        assert_sanitized(label.as_str());
        assert!((1..=100).contains(&label.as_str().chars().count()));
        assert_eq!(label.as_str().parse::<Label>().as_ref(), Ok(&label));
        for suffix in ["(old)", "2", "(other account)"] {
            assert!(label.with_suffix(suffix).as_str().chars().count() <= 100);
        }
    }
    if let Ok(Some(limit)) = Cents::parse_limit(&text) {
        assert!((0.01..=1_000_000.0).contains(&limit.to_dollars()));
        assert_eq!(limit.to_string().parse(), Ok(limit));
        let json = serde_json::to_string(&limit).unwrap();
        assert_eq!(serde_json::from_str::<Cents>(&json).ok(), Some(limit));
    }
    if let Ok(Some(reset)) = ResetInterval::parse(&text) {
        assert_eq!(ResetInterval::parse(reset.as_str()), Ok(Some(reset)));
    }
    for now in [now(), Timestamp::UNIX_EPOCH, Timestamp::MAX, Timestamp::MIN] {
        match Expiry::parse(&text, now) {
            Ok(Some(expiry)) => {
                assert!(expiry.at > now);
                let wire = expiry.to_api_string();
                assert!(wire.ends_with('Z') && !wire.contains('.'), "{wire}");
                assert_eq!(Expiry::parse(&expiry.input, now), Ok(Some(expiry.clone())));
                let _ = expiry.description(now);
            }
            Ok(None) => {}
            Err(error) => assert_sanitized(&error.0),
        }
    }
    if let Ok(code) = AuthCode::parse(&text) {
        let code = expose(&code);
        assert!((1..=512).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_graphic()));
    }
    if KeyRequest::validate_workspace_id(&text).is_ok() {
        assert_eq!(text.len(), 36);
    }
}
