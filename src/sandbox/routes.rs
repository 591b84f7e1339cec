//! Which request means what, and who may make it. Knows the ledger and the shapes; must not know
//! sockets or clocks.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::ledger::{Bearer, Code, Key, Ledger, Usd};
use super::response::{self, Answer, Fault};
use super::{consent, pages, request, secrets};

/// One request, after it travelled. Holds secrets, so it does not print.
pub struct Call {
    /// GET, POST and so on.
    pub method: String,
    /// Path and query as they came.
    pub target: String,
    /// What follows `Bearer` in the authorization header.
    pub token: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// OpenRouter has many applications; the sandbox has one.
const APP: u32 = 1;

/// Answers a call.
pub fn answer(call: &Call, ledger: &mut Ledger, now: Timestamp) -> Answer {
    let (path, query) = call.target.split_once('?').unwrap_or((&call.target, ""));
    let path: Vec<&str> = path.split('/').skip(1).collect();
    let methods = methods(&path);
    if methods.is_empty() {
        return Fault::new(404, "Not Found").into();
    }
    if !methods.contains(&call.method.as_str()) {
        let refused = Answer::from(Fault::new(405, "Method Not Allowed"));
        return Answer { allow: Some(methods.join(", ")), ..refused };
    }
    let answer = match (call.method.as_str(), path.as_slice()) {
        ("GET", ["auth"]) => Ok(consent::ask(query)),
        ("POST", ["auth"]) => Ok(consent::decide(query, &call.body, ledger, now)),
        ("GET", ["keys", hash]) => Ok(page(ledger.find(hash), false, now)),
        ("GET", ["logs"]) => {
            let fields = request::query(query);
            let hash = fields.get("api_key_hash").and_then(|hash| hash.as_str());
            Ok(page(hash.and_then(|hash| ledger.find(hash)), true, now))
        }
        ("POST", ["sandbox", deed]) => play(deed, &call.body, ledger, now),
        (_, ["api", "v1", "key"]) => itself(call, ledger, now),
        (_, ["api", "v1", "auth", "keys"]) => exchange(call, ledger, now),
        (_, ["api", "v1", "auth", "keys", "code"]) => create_code(call, ledger, now),
        (_, ["api", "v1", rest @ ..]) => managed(call, rest, query, ledger, now),
        _ => Err(not_found()),
    };
    answer.unwrap_or_else(Answer::from)
}

fn methods(path: &[&str]) -> &'static [&'static str] {
    match path {
        ["auth"] | ["api", "v1", "keys"] => &["GET", "POST"],
        ["sandbox", "spend" | "clock"] => &["POST"],
        ["keys", _] | ["logs"] | ["api", "v1", "key"] => &["GET"],
        ["api", "v1", "auth", "keys"] | ["api", "v1", "auth", "keys", "code"] => &["POST"],
        ["api", "v1", "keys", _] => &["GET", "PATCH", "DELETE"],
        _ => &[],
    }
}

/// What no account can do and a person who tries things out wants to: spend on a key, and let time
/// go by. The sandbox's own, and none of OpenRouter's.
fn play(deed: &str, body: &[u8], ledger: &mut Ledger, now: Timestamp) -> Result<Answer, Fault> {
    let fields = request::body(body)?;
    let number = |name| fields.get(name).and_then(serde_json::Value::as_f64);
    if deed == "spend" {
        let hash = fields.get("hash").and_then(|hash| hash.as_str()).unwrap_or_default();
        let usd = number("usd").and_then(Usd::new).ok_or_else(|| Fault::bad("usd is an amount"))?;
        if !ledger.spend(hash, usd, now) {
            return Err(no_such_key());
        }
    } else {
        let hours = fields.get("hours").and_then(serde_json::Value::as_i64);
        // Backwards would make windows end before they began.
        let hours = hours.filter(|hours| (0..=24 * 366).contains(hours));
        let hours = hours.ok_or_else(|| Fault::bad("hours is a number from 0 to 8784"))?;
        ledger.move_on(SignedDuration::from_hours(hours));
    }
    Ok(Answer::json(200, &json!({ "done": true })))
}

fn page(key: Option<&Key>, activity: bool, now: Timestamp) -> Answer {
    match key {
        Some(key) => Answer::html(200, pages::key(key, activity, now)),
        None => Answer::html(404, pages::notice("No such key", "It was deleted, or never here.")),
    }
}

fn bearer<'a>(call: &Call, ledger: &'a Ledger, now: Timestamp) -> Result<Bearer<'a>, Fault> {
    let missing = || Fault::new(401, "Missing Authentication header");
    let token = call.token.as_deref().ok_or_else(missing)?;
    ledger.bearer(token, now).ok_or_else(|| Fault::new(401, "User not found."))
}

fn itself(call: &Call, ledger: &Ledger, now: Timestamp) -> Result<Answer, Fault> {
    let data = match bearer(call, ledger, now)? {
        Bearer::Key(key) => response::self_portrait(key, now),
        Bearer::Management(masked) => response::management_portrait(masked, now),
    };
    Ok(Answer::json(200, &json!({ "data": data })))
}

fn exchange(call: &Call, ledger: &mut Ledger, now: Timestamp) -> Result<Answer, Fault> {
    let fields = request::body(&call.body)?;
    let asked = request::exchange(&fields)?;
    let secret = secrets::key()?;
    let key = ledger.exchange(asked.code, asked.verifier, asked.method, &secret, now)?;
    Ok(Answer::json(200, &json!({ "key": secret, "user_id": key.policy.creator })))
}

/// Any live key may: whether OpenRouter asks for more is not documented.
fn create_code(call: &Call, ledger: &mut Ledger, now: Timestamp) -> Result<Answer, Fault> {
    bearer(call, ledger, now)?;
    let asked = request::consent(&request::body(&call.body)?)?;
    if asked.callback.is_none() {
        return Err(Fault::bad("callback_url is required"));
    }
    let code = secrets::code()?;
    let agreed = Code { policy: asked.policy, challenge: asked.challenge, issued_at: now };
    ledger.authorize(code.clone(), agreed);
    let created_at = response::whole_seconds(now);
    let data = json!({ "id": code, "app_id": APP, "created_at": created_at });
    Ok(Answer::json(200, &json!({ "data": data })))
}

/// `/keys` and `/keys/{hash}`, the management key's own.
fn managed(
    call: &Call,
    rest: &[&str],
    query: &str,
    ledger: &mut Ledger,
    now: Timestamp,
) -> Result<Answer, Fault> {
    if let Bearer::Key(_) = bearer(call, ledger, now)? {
        return Err(Fault::new(403, "Only management keys can perform this operation"));
    }
    let one = |key: &Key| Answer::json(200, &json!({ "data": response::row(key, now) }));
    match (call.method.as_str(), rest) {
        ("GET", ["keys"]) => {
            let filter = request::filter(&request::query(query))?;
            let page = ledger.page(&filter, now);
            let rows: Vec<_> = page.into_iter().map(|key| response::row(key, now)).collect();
            Ok(Answer::json(200, &json!({ "data": rows })))
        }
        ("POST", ["keys"]) => {
            let policy = request::new_key(&request::body(&call.body)?)?;
            let secret = secrets::key()?;
            let key = ledger.issue(policy, &secret, now);
            let created = json!({ "data": response::row(key, now), "key": secret });
            Ok(Answer::json(201, &created))
        }
        ("GET", ["keys", hash]) => ledger.find(hash).map(one).ok_or_else(no_such_key),
        ("PATCH", ["keys", hash]) => {
            let patch = request::patch(&request::body(&call.body)?)?;
            ledger.patch(hash, patch, now).map(one).ok_or_else(no_such_key)
        }
        ("DELETE", ["keys", hash]) if ledger.delete(hash) => {
            Ok(Answer::json(200, &json!({ "deleted": true })))
        }
        ("DELETE", ["keys", _]) => Err(no_such_key()),
        _ => Err(not_found()),
    }
}

fn no_such_key() -> Fault {
    Fault::new(404, "API key not found")
}

fn not_found() -> Fault {
    Fault::new(404, "Not Found")
}
