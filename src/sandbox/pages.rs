//! What a person sees in the browser. Everything that came with a request is escaped here; must
//! not know where it came from.

use jiff::Timestamp;
use url::Url;

use super::ledger::{DEFAULT_WORKSPACE, Key, Method, Policy, Reset};
use super::request::Consent;
use super::response::whole_seconds;

const SHELL: &str = include_str!("../../assets/sandbox.html");
const CONSENT: &str = include_str!("../../assets/consent.html");

/// The question that `/auth` puts.
pub fn consent(asked: &Consent) -> String {
    let policy = &asked.policy;
    let destination = match &asked.callback {
        Some(url) => format!("Either answer leads back to {}.", origin(url)),
        None => "You will be shown a code to paste where you came from.".into(),
    };
    let proof = match asked.challenge.as_ref().map(|challenge| challenge.method) {
        Some(Method::S256) => "Only the program that asked can use the code (PKCE, S256).",
        Some(Method::Plain) => "The code is bound to a challenge that travels in the open (plain).",
        None => "Careful: whoever sees the code can use it, for no PKCE challenge came along.",
    };
    let workspace = if policy.workspace == DEFAULT_WORKSPACE {
        "default".to_owned()
    } else {
        text(&policy.workspace)
    };
    let main = fill(
        CONSENT,
        &[
            ("app", asked.callback.as_ref().map_or_else(|| "a terminal".into(), origin)),
            ("label", text(&policy.name)),
            ("limit", limit(policy)),
            ("reset", reset(policy).into()),
            ("expires", expires(policy)),
            ("workspace", workspace),
            ("destination", destination),
            ("proof", proof.into()),
        ],
    );
    shell("Authorize", &main)
}

/// The code, for somebody who has no callback.
pub fn code(code: &str) -> String {
    let main = format!(
        "<h1>Authorized</h1>\n<p>Paste this code where you came from. It works once, for ten \
         minutes.</p>\n<code id=\"code\">{}</code>",
        text(code)
    );
    shell("Authorized", &main)
}

/// A heading and a sentence.
pub fn notice(title: &str, words: &str) -> String {
    let main = format!("<h1>{}</h1>\n<p id=\"reason\">{}</p>", text(title), text(words));
    shell(title, &main)
}

/// A key's settings page, or with `activity` its log.
pub fn key(key: &Key, activity: bool, now: Timestamp) -> String {
    let state = match (key.disabled, key.expired(now)) {
        (true, _) => "disabled",
        (false, true) => "expired",
        (false, false) => "active",
    };
    let usage = [
        ("Today", Some(Reset::Daily)),
        ("This week", Some(Reset::Weekly)),
        ("This month", Some(Reset::Monthly)),
        ("Ever", None),
    ];
    let spent = usage.map(|(name, window)| {
        (name, format!("${:.2}", key.spending.within(window, now).dollars()))
    });
    let rows: Vec<(&str, String)> = if activity {
        spent.into()
    } else {
        let policy = &key.policy;
        vec![
            ("Key", text(&key.masked)),
            ("State", state.into()),
            ("Credit limit", limit(policy)),
            ("Reset", reset(policy).into()),
            ("Expires", expires(policy)),
            ("Created", whole_seconds(key.created_at)),
        ]
    };
    let rows: Vec<String> =
        rows.iter().map(|(name, value)| format!("<dt>{name}</dt><dd>{value}</dd>")).collect();
    let rows = rows.join("\n");
    let title = if activity { "Activity" } else { "Key" };
    shell(title, &format!("<h1>{}</h1>\n<dl>\n{rows}\n</dl>", text(&key.policy.name)))
}

fn shell(title: &str, main: &str) -> String {
    fill(SHELL, &[("title", text(title)), ("main", main.into())])
}

/// Puts values, already HTML, in the place of `{{name}}`. One pass, so that a value cannot bring
/// places of its own.
fn fill(template: &str, values: &[(&str, String)]) -> String {
    let mut pieces = template.split("{{");
    let mut page = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (name, rest) = piece.split_once("}}").unwrap_or((piece, ""));
        page.extend(values.iter().filter(|(n, _)| *n == name).map(|(_, value)| value.as_str()));
        page.push_str(rest);
    }
    page
}

/// Escapes for an element and for a quoted attribute.
fn text(raw: &str) -> String {
    raw.chars().fold(String::with_capacity(raw.len()), |mut safe, c| {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ => safe.push(c),
        }
        safe
    })
}

fn origin(url: &Url) -> String {
    text(&url.origin().ascii_serialization())
}

fn limit(policy: &Policy) -> String {
    policy.limit.map_or_else(|| "none".into(), |limit| format!("${:.2}", limit.dollars()))
}

fn reset(policy: &Policy) -> &'static str {
    policy.reset.map_or("never", Reset::word)
}

fn expires(policy: &Policy) -> String {
    policy.expires_at.map_or_else(|| "never".into(), |at| at.to_string())
}
