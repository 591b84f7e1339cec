//! The HTML pages. All values from requests are escaped here.

use jiff::Timestamp;
use url::Url;

use super::ledger::{ChallengeMethod, DEFAULT_WORKSPACE_ID, Key, KeyPolicy, Reset};
use super::request::AuthorizationRequest;
use super::response::format_seconds;

const LAYOUT_TEMPLATE: &str = include_str!("../../assets/sandbox.html");
const CONSENT_TEMPLATE: &str = include_str!("../../assets/consent.html");

/// Renders the consent page.
pub fn render_consent(request: &AuthorizationRequest) -> String {
    let policy = &request.policy;
    let destination = match &request.callback_url {
        Some(url) => format!("After your decision you return to {}.", format_origin(url)),
        None => "The next page shows a code to paste into the terminal.".into(),
    };
    let proof = match request.code_challenge.as_ref().map(|challenge| challenge.method) {
        Some(ChallengeMethod::S256) => {
            "Only the application that requested the code can use it (PKCE, S256)."
        }
        Some(ChallengeMethod::Plain) => {
            "The code is bound to a challenge that is sent in plaintext (plain)."
        }
        None => {
            "Warning: the request has no PKCE challenge, so anyone who sees the code can use it."
        }
    };
    let workspace = if policy.workspace_id == DEFAULT_WORKSPACE_ID {
        "default".to_owned()
    } else {
        escape_html(&policy.workspace_id)
    };
    let main = fill_template(
        CONSENT_TEMPLATE,
        &[
            (
                "app",
                request
                    .callback_url
                    .as_ref()
                    .map_or_else(|| "a command-line application".into(), format_origin),
            ),
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

/// Renders the page with the code, for a request without callback.
pub fn render_code(code: &str) -> String {
    let main = format!(
        "<h1>Authorized</h1>\n<p>Paste this code into the terminal. It can be used once within ten \
         minutes.</p>\n<code id=\"code\">{}</code>",
        escape_html(code)
    );
    render_layout("Authorized", &main)
}

/// Renders a page with a heading and a message.
pub fn render_notice(title: &str, text: &str) -> String {
    let main =
        format!("<h1>{}</h1>\n<p id=\"reason\">{}</p>", escape_html(title), escape_html(text));
    render_layout(title, &main)
}

/// Renders the page of a key, or its usage with `activity`.
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
        ("All time", None),
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

/// Replaces each `{{name}}` with its value, which is HTML. A single pass, so that placeholders in
/// values are not replaced.
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

/// Escapes text for an element or a quoted attribute.
fn escape_html(raw: &str) -> String {
    raw.chars().fold(String::with_capacity(raw.len()), |mut escaped, c| {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(c),
        }
        escaped
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
