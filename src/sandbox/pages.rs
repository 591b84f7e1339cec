//! What a person sees in the browser. Everything that came with a request is escaped here; must
//! not know where it came from.

use jiff::Timestamp;
use url::Url;

use super::ledger::{ChallengeMethod, DEFAULT_WORKSPACE_ID, Key, KeyPolicy, Reset};
use super::request::AuthorizationRequest;
use super::response::format_seconds;

const LAYOUT_TEMPLATE: &str = include_str!("../../assets/sandbox.html");
const CONSENT_TEMPLATE: &str = include_str!("../../assets/consent.html");

/// The question that `/auth` puts.
pub fn render_consent(asked: &AuthorizationRequest) -> String {
    let policy = &asked.policy;
    let destination = match &asked.callback_url {
        Some(url) => format!("Either answer leads back to {}.", format_origin(url)),
        None => "You will be shown a code to paste where you came from.".into(),
    };
    let proof = match asked.code_challenge.as_ref().map(|challenge| challenge.method) {
        Some(ChallengeMethod::S256) => "Only the program that asked can use the code (PKCE, S256).",
        Some(ChallengeMethod::Plain) => {
            "The code is bound to a challenge that travels in the open (plain)."
        }
        None => "Careful: whoever sees the code can use it, for no PKCE challenge came along.",
    };
    let workspace = if policy.workspace_id == DEFAULT_WORKSPACE_ID {
        "default".to_owned()
    } else {
        escape_html(&policy.workspace_id)
    };
    let main = fill_template(
        CONSENT_TEMPLATE,
        &[
            ("app", asked.callback_url.as_ref().map_or_else(|| "a terminal".into(), format_origin)),
            ("label", escape_html(&policy.name)),
            ("limit", format_limit(policy)),
            ("reset", format_reset(policy).into()),
            ("expires", format_expiry(policy)),
            ("workspace", workspace),
            ("destination", destination),
            ("proof", proof.into()),
        ],
    );
    render_layout("Authorize", &main)
}

/// The code, for somebody who has no callback.
pub fn render_code(code: &str) -> String {
    let main = format!(
        "<h1>Authorized</h1>\n<p>Paste this code where you came from. It works once, for ten \
         minutes.</p>\n<code id=\"code\">{}</code>",
        escape_html(code)
    );
    render_layout("Authorized", &main)
}

/// A heading and a sentence.
pub fn render_notice(title: &str, words: &str) -> String {
    let main =
        format!("<h1>{}</h1>\n<p id=\"reason\">{}</p>", escape_html(title), escape_html(words));
    render_layout(title, &main)
}

/// A key's settings page, or with `activity` its log.
pub fn render_key(key: &Key, activity: bool, now: Timestamp) -> String {
    let state = match (key.disabled, key.is_expired(now)) {
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
        (name, format!("${:.2}", key.spending.spent_in_window(window, now).to_dollars()))
    });
    let rows: Vec<(&str, String)> = if activity {
        spent.into()
    } else {
        let policy = &key.policy;
        vec![
            ("Key", escape_html(&key.masked)),
            ("State", state.into()),
            ("Credit limit", format_limit(policy)),
            ("Reset", format_reset(policy).into()),
            ("Expires", format_expiry(policy)),
            ("Created", format_seconds(key.created_at)),
        ]
    };
    let rows: Vec<String> =
        rows.iter().map(|(name, value)| format!("<dt>{name}</dt><dd>{value}</dd>")).collect();
    let rows = rows.join("\n");
    let title = if activity { "Activity" } else { "Key" };
    render_layout(
        title,
        &format!("<h1>{}</h1>\n<dl>\n{rows}\n</dl>", escape_html(&key.policy.name)),
    )
}

fn render_layout(title: &str, main: &str) -> String {
    fill_template(LAYOUT_TEMPLATE, &[("title", escape_html(title)), ("main", main.into())])
}

/// Puts values, already HTML, in the place of `{{name}}`. One pass, so that a value cannot bring
/// places of its own.
fn fill_template(template: &str, values: &[(&str, String)]) -> String {
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
fn escape_html(raw: &str) -> String {
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

fn format_origin(url: &Url) -> String {
    escape_html(&url.origin().ascii_serialization())
}

fn format_limit(policy: &KeyPolicy) -> String {
    policy.limit.map_or_else(|| "none".into(), |limit| format!("${:.2}", limit.to_dollars()))
}

fn format_reset(policy: &KeyPolicy) -> &'static str {
    policy.reset.map_or("never", Reset::as_str)
}

fn format_expiry(policy: &KeyPolicy) -> String {
    policy.expires_at.map_or_else(|| "never".into(), |at| at.to_string())
}
