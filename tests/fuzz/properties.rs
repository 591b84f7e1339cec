//! What must hold for every input that comes from outside: one function a boundary. The fuzz
//! targets in `fuzz/` and the tests in `runs.rs` call the same ones.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test may fail")]

use std::fs;
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use secrecy::ExposeSecret;

use crate::api::oauth::callback::{AuthorizationResponse, respond_to_bytes};
use crate::api::openrouter::wire;
use crate::domain::{
    AccountKey, ApiKey, AuthCode, Cents, CheckResult, Expiry, KeyRequest, Label, ResetInterval,
    StoredKey, sanitize,
};
use crate::services::plan;
use crate::storage::json_store::{Error, StoreLocation};
use crate::storage::{inventory, journal};
use crate::tui::state::{AppContext, Model, Msg};
use crate::tui::update::{load_keys, update};
use crate::tui::view::{self, Theme};

#[cfg(test)]
#[path = "runs.rs"]
mod runs;

/// The address in the seeds of [`callback`].
const HOST: &str = "127.0.0.1:4711";
const NONCE: &str = "NNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNN";

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

/// Fit for a terminal.
fn assert_clean(words: &str) {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    assert!(!words.chars().any(hidden), "{words:?}");
}

/// The callback: whatever a head says, it gets one whole answer that repeats nothing of it, and
/// only a person's own visit to the whole address brings a code.
pub fn callback(data: &[u8]) {
    let Some((page, answer)) = respond_to_bytes(data, HOST, NONCE) else { return };
    let text = String::from_utf8(page).unwrap();
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
    // A page is one of a few, whoever asks.
    assert!(body.is_empty() || body.starts_with("<!"), "{body}");
    let says = |words: &str| data.windows(words.len()).any(|part| part == words.as_bytes());
    match answer {
        Some(AuthorizationResponse::Code(code)) => {
            let code = revealed(&code);
            assert!((1..=512).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_graphic()));
            assert!(code.len() < 20 || !text.contains(code));
            assert!(says("GET ") && says(HOST) && says(NONCE) && says("code"));
        }
        Some(AuthorizationResponse::Error { description }) => {
            assert_clean(description.as_deref().unwrap_or_default());
            assert!(says("GET ") && says(HOST) && says(NONCE) && says("error"));
        }
        None => {}
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's own secret")]
fn revealed(secret: &impl ExposeSecret<str>) -> &str {
    secret.expose_secret()
}

/// The exchange's answer: a key that came whole is found, however the answer ends.
pub fn exchange(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(exchanged) = wire::parse_created_key(&text) {
        assert!(!revealed(&exchanged.key).is_empty());
        let _ = (exchanged.key.hash(), exchanged.key.masked());
    }
    if let Some(code) = wire::parse_auth_code(&text) {
        assert!((1..=512).contains(&revealed(&code).len()));
    }
    if let Some(words) = wire::parse_error_message(&text) {
        assert_clean(&words);
    }
    let _ = wire::is_deletion_confirmed(&text);
    // The input as a key of the strangest shape, in an answer that is cut off behind it.
    if !text.is_empty() {
        let start = format!("{{\"key\":{}", serde_json::to_string(&text).unwrap());
        let whole = format!("{start},\"user_id\":\"user_1\"}}");
        for cut in [start.len(), whole.len() - 1, whole.len()] {
            let found = wire::parse_created_key(&whole[..cut]).map(|e| revealed(&e.key).to_owned());
            assert_eq!(found.as_deref(), Some(&*text), "cut at {cut}");
        }
        let masked = ApiKey::from(text.clone().into_owned()).masked();
        assert_clean(&masked);
        assert!(masked.chars().count() <= 25, "{masked}");
    }
}

/// What a key says of itself and what an account says of its keys: drawn without harm.
pub fn answers(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut held = some_key();
    if let Some(reading) = wire::parse_key_info(&text) {
        held.record_check(&CheckResult::Valid(reading.into()), now());
    }
    let mut remotes: Vec<AccountKey> = wire::parse_account_key(&text).into_iter().collect();
    if let Some(page) = wire::parse_key_list(&text) {
        assert!(page.items.len() <= page.row_count);
        remotes.extend(page.items);
    }
    if let Some(page) = wire::parse_workspace_list(&text) {
        assert!(page.items.len() <= page.row_count);
    }
    let rows = remotes.iter().map(|remote| {
        assert!(crate::domain::is_key_hash(&remote.hash));
        assert_clean(&remote.display_name());
        remote.to_inventory_row("https://openrouter.ai", now())
    });
    show(std::iter::once(held).chain(rows).collect());
}

fn some_key() -> StoredKey {
    let key = ApiKey::from(String::from("sk-or-v1-0"));
    let server = String::from("https://openrouter.ai");
    StoredKey::new("laptop".parse().unwrap(), &key, server, "os".into(), now())
}

/// The dashboard with these keys: drawn, with nothing in it that a terminal would obey.
fn show(keys: Vec<StoredKey>) {
    let world = AppContext {
        refresh_interval: Some(SignedDuration::from_mins(5)),
        ..AppContext::default()
    };
    let mut model = Model::new(world, (160, 40), now());
    load_keys(&mut model);
    let ticket = model.dashboard.load_ticket.unwrap();
    update(&mut model, Msg::KeysLoaded { ticket, result: Ok(keys) }, now());
    let _ = model.next_tick_at();
    let mut terminal = Terminal::new(TestBackend::new(160, 40)).unwrap();
    terminal.draw(|frame| view::draw(&model, Theme::Dark, frame)).unwrap();
    for cell in terminal.backend().buffer().content() {
        assert!(!cell.symbol().chars().any(char::is_control), "{:?}", cell.symbol());
    }
}

/// A directory with this file in it, for one look.
fn with_file(name: &str, data: &[u8], look: impl FnOnce(&StoreLocation) -> Result<(), Error>) {
    let thread = format!("{:?}", std::thread::current().id());
    let dir: PathBuf = std::env::temp_dir().join(format!(
        "keywright-fuzz-{}-{}",
        std::process::id(),
        thread.replace(|c: char| !c.is_ascii_alphanumeric(), "")
    ));
    crate::storage::json_store::create_private_dir(&dir).unwrap();
    let path = dir.join(name);
    fs::write(&path, data).unwrap();
    if let Err(error) = look(&StoreLocation::Directory(dir.clone())) {
        assert_clean(&error.to_string());
        assert!(!error.advice().is_empty());
        assert!(fs::read(&path).unwrap() == data, "what could not be read was overwritten");
    }
    fs::remove_dir_all(&dir).unwrap();
}

/// `inventory.json`: read, drawn and written back with every key in it, or left as it is.
pub fn inventory(data: &[u8]) {
    with_file("inventory.json", data, |place| {
        let keys = match inventory::list_all_keys(place) {
            Ok(keys) => keys,
            Err(error) => {
                assert!(inventory::remove_key(place, "nowhere", "nothing").is_err());
                return Err(error);
            }
        };
        inventory::remove_key(place, "https://nowhere.example", "nothing")?;
        let hashes = |keys: &[StoredKey]| -> Vec<String> {
            keys.iter().map(|held| format!("{} {}", held.hash, held.label)).collect()
        };
        let again = inventory::list_all_keys(place).unwrap();
        assert_eq!(hashes(&keys), hashes(&again));
        show(keys);
        Ok(())
    });
}

/// `journal.json`: read and written back with every attempt in it, or left as it is.
pub fn journal(data: &[u8]) {
    with_file("journal.json", data, |place| {
        let attempts = match journal::list_all_attempts(place) {
            Ok(attempts) => attempts,
            Err(error) => {
                assert!(journal::dismiss_attempt(place, "none").is_err());
                return Err(error);
            }
        };
        let known: Vec<_> = attempts.into_iter().filter(|attempt| attempt.id != "none").collect();
        journal::dismiss_attempt(place, "none")?;
        let again = journal::list_all_attempts(place).unwrap();
        assert_eq!(known.len(), again.len());
        for (one, other) in known.iter().zip(&again) {
            assert_eq!(
                (&one.id, one.stage, one.send_count),
                (&other.id, other.stage, other.send_count)
            );
        }
        journal::list_attempts_outside(place, "https://openrouter.ai", "os")?;
        Ok(())
    });
}

/// A plan: requests that could be sent as they are, or complaints that each name a place in it and
/// repeat no key.
pub fn plan(data: &[u8]) {
    match plan::parse(data, now()) {
        Ok(requests) => {
            for (at, request) in requests.iter().enumerate() {
                request.validate().unwrap();
                assert!(requests[..at].iter().all(|other| other.label != request.label));
            }
            plan::compare(requests, vec![some_key()], Vec::new());
        }
        Err(complaints) => {
            assert!(!complaints.is_empty());
            let lines = data.split(|byte| *byte == b'\n').count();
            for complaint in complaints {
                assert!((1..=lines).contains(&complaint.position.line), "{complaint}");
                assert!(complaint.position.column >= 1);
                assert_clean(&complaint.message);
                let secret = complaint.message.split("sk-or-v1-").nth(1).unwrap_or_default();
                let shown = secret.bytes().take_while(u8::is_ascii_alphanumeric).count();
                assert!(shown < 20, "{complaint}");
            }
        }
    }
}

/// What a stranger said, on its way to a terminal.
pub fn words(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for most in [0, 1, 24, 200] {
        let cleaned = sanitize(&text, most);
        assert_clean(&cleaned);
        assert_eq!(sanitize(&cleaned, most + 1), cleaned, "cleaning twice cleans more");
        assert!(
            cleaned.chars().filter(|c| !c.is_alphanumeric()).count() <= text.chars().count() + 1
        );
    }
}

/// What a person types into a form or a command line.
pub fn typed(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(label) = text.parse::<Label>() {
        assert_clean(label.as_str());
        assert!((1..=100).contains(&label.as_str().chars().count()));
        assert_eq!(label.as_str().parse::<Label>().as_ref(), Ok(&label));
        for words in ["(old)", "2", &"x".repeat(120)] {
            assert!(label.with_suffix(words).as_str().chars().count() <= 100);
        }
    }
    if let Ok(Some(limit)) = Cents::parse_limit(&text) {
        assert!((0.01..=1_000_000.0).contains(&limit.to_dollars()));
        assert_eq!(limit.to_string().parse(), Ok(limit));
        let travelled = serde_json::to_string(&limit).unwrap();
        assert_eq!(serde_json::from_str::<Cents>(&travelled).ok(), Some(limit));
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
            Err(problem) => assert_clean(&problem.0),
        }
    }
    if let Ok(code) = AuthCode::parse(&text) {
        let code = revealed(&code);
        assert!((1..=512).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_graphic()));
    }
    if KeyRequest::validate_workspace_id(&text).is_ok() {
        assert_eq!(text.len(), 36);
    }
}
