//! The authorization response of RFC 6749 §4.1.2: the query that a browser delivers to the
//! callback, or that the user pastes.

use subtle::ConstantTimeEq;
use url::Url;

use super::{AuthCode, sanitize};

/// The maximum length of a code; known servers issue less than a tenth of it.
const MAX_CODE_BYTES: usize = 512;

/// The maximum length of the server's error description.
const MAX_DESCRIPTION_GRAPHEMES: usize = 200;

const NOT_A_CODE: &str = "this is not a code: copy the code, or the whole address, again";

/// The authorization response.
#[derive(Clone, Debug)]
pub enum AuthorizationResponse {
    /// The authorization code (RFC 6749 §4.1.2).
    Code(AuthCode),
    /// The user or the server denied the request (RFC 6749 §4.1.2.1).
    Error {
        /// The server's description, sanitized for a terminal.
        description: Option<String>,
    },
}

impl AuthorizationResponse {
    /// Parses what the user pastes while signing in at `sign_in_url`: the code alone, the whole
    /// address to which the browser was sent, or its query. Quotes, backticks and angle brackets
    /// around it are ignored. Nonce and `state` must be those of this sign-in; one without a
    /// callback has none, and PKCE alone binds the code to it.
    ///
    /// # Errors
    ///
    /// Returns a message for the user if the text contains no response to this sign-in.
    pub fn parse_pasted(text: &str, sign_in_url: &str) -> Result<Self, &'static str> {
        let text = strip_quotes(text);
        let Some((address, query)) = split_address(text) else {
            return parse_bare_code(text);
        };
        // An address that was copied from a terminal may contain line breaks.
        let address: String = address.split_whitespace().collect();
        let query: String = query.split_whitespace().collect();
        let sign_in_url = Url::parse(sign_in_url).ok();
        let given = address.rsplit_once("/callback/").map(|(_, nonce)| nonce.trim_end_matches('/'));
        let nonce = sign_in_url.as_ref().and_then(callback_nonce);
        let nonce = nonce.as_deref().or(given);
        match (given, nonce) {
            (Some(given), Some(nonce)) if !is_same_nonce(given, nonce) => {
                return Err(OTHER_SIGN_IN);
            }
            (Some(_), _) => {}
            (None, _) => check_page(&address, sign_in_url.as_ref())?,
        }
        let query = query.split('#').next().unwrap_or_default();
        ResponseParams::parse_query(query, nonce).map(Self::from).map_err(|error| match error {
            QueryError::OtherState => OTHER_SIGN_IN,
            QueryError::Malformed => NO_CODE_IN_ADDRESS,
        })
    }
}

const OTHER_SIGN_IN: &str =
    "this belongs to another sign-in: open the address shown here, and approve there";
const NO_CODE_IN_ADDRESS: &str =
    "this address contains no code: approve there, then paste the address to which it leads";

/// The parameters of an authorization response.
pub(crate) enum ResponseParams {
    /// The code.
    Code(String),
    /// The sanitized description of an error.
    Error(Option<String>),
}

/// Why a query is not a valid authorization response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueryError {
    /// `state` is not the nonce of this sign-in.
    OtherState,
    /// A parameter is missing, repeated or invalid.
    Malformed,
}

impl ResponseParams {
    /// Parses the parameters of RFC 6749 §4.1.2 and §4.1.2.1. A repeated parameter is an error
    /// (§3.1); unknown ones are ignored. `nonce` is that of the callback, if there is one.
    pub(crate) fn parse_query(query: &str, nonce: Option<&str>) -> Result<Self, QueryError> {
        let (mut code, mut error, mut description, mut state) = (None, None, None, None);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let param = match name.as_ref() {
                "code" => &mut code,
                "error" => &mut error,
                "error_description" => &mut description,
                "state" => &mut state,
                _ => continue,
            };
            if param.replace(value.into_owned()).is_some() {
                return Err(QueryError::Malformed);
            }
        }
        // Not every server returns `state`. The nonce was sent as `state`.
        if let Some(state) = state
            && nonce.is_some_and(|nonce| !is_same_nonce(&state, nonce))
        {
            return Err(QueryError::OtherState);
        }
        match (code, error) {
            (Some(code), None)
                if (1..=MAX_CODE_BYTES).contains(&code.len())
                    && code.bytes().all(|byte| byte.is_ascii_graphic()) =>
            {
                Ok(Self::Code(code))
            }
            (None, Some(error)) if !error.is_empty() => {
                // "access_denied" adds nothing to the fact that access was denied.
                Ok(Self::Error(
                    [description, Some(error).filter(|error| error != "access_denied")]
                        .into_iter()
                        .flatten()
                        .map(|text| sanitize(text.trim(), MAX_DESCRIPTION_GRAPHEMES))
                        .find(|text| !text.is_empty()),
                ))
            }
            _ => Err(QueryError::Malformed),
        }
    }
}

impl From<ResponseParams> for AuthorizationResponse {
    fn from(params: ResponseParams) -> Self {
        match params {
            ResponseParams::Code(code) => Self::Code(AuthCode::from(code)),
            ResponseParams::Error(description) => Self::Error { description },
        }
    }
}

/// Returns whether `given` is the nonce, compared in constant time.
pub(crate) fn is_same_nonce(given: &str, nonce: &str) -> bool {
    given.as_bytes().ct_eq(nonce.as_bytes()).into()
}

/// Removes surrounding whitespace and pairs of quotation marks and brackets.
fn strip_quotes(text: &str) -> &str {
    const PAIRS: [(char, char); 6] =
        [('"', '"'), ('\'', '\''), ('`', '`'), ('<', '>'), ('“', '”'), ('‘', '’')];
    let text = text.trim();
    for (open, close) in PAIRS {
        let inner = text.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
        if let Some(inner) = inner {
            return strip_quotes(inner);
        }
    }
    text
}

/// Splits an address into the part before the query and the query. Returns `None` for a code alone.
fn split_address(text: &str) -> Option<(&str, &str)> {
    if let Some(parts) = text.split_once('?') {
        return Some(parts);
    }
    let names = ["code=", "error=", "error_description=", "state="];
    if names.iter().any(|name| text.starts_with(name)) || text.contains("&code=") {
        return Some(("", text));
    }
    text.contains("://").then_some((text, ""))
}

/// Returns the nonce in the callback URL that the sign-in URL contains.
fn callback_nonce(sign_in_url: &Url) -> Option<String> {
    let callback = sign_in_url.query_pairs().find(|(name, _)| name == "callback_url")?.1;
    callback.rsplit_once("/callback/").map(|(_, nonce)| nonce.to_owned())
}

/// Checks that a pasted address that is not a callback is missing or a page of the server.
fn check_page(address: &str, sign_in_url: Option<&Url>) -> Result<(), &'static str> {
    let origin = Url::parse(address).ok().map(|page| page.origin());
    if address.is_empty() || origin.is_some() && origin == sign_in_url.map(Url::origin) {
        return Ok(());
    }
    Err(NOT_A_CODE)
}

/// Parses a code without an address. Characters that no code has show that something else was
/// copied, which must not be sent: the sign-in would end.
fn parse_bare_code(text: &str) -> Result<AuthorizationResponse, &'static str> {
    if text.starts_with("sk-or-") {
        return Err("this is a key, not a code: store it with keywright import LABEL");
    }
    if text.contains(['"', '\'', '`', '<', '>', '\\', '{', '}', '$']) {
        return Err(NOT_A_CODE);
    }
    AuthCode::parse(text).map(AuthorizationResponse::Code)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the test reads the code")]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    const WITH_CALLBACK: &str = "https://openrouter.ai/auth?callback_url=http%3A%2F%2F127.0.0.1%3A4711%2Fcallback%2FN0nce&code_challenge=c&state=N0nce";
    const WITHOUT_CALLBACK: &str = "https://openrouter.ai/auth?code_challenge=c";

    /// Returns the code, `denied: DESCRIPTION` or the message.
    fn parse(text: &str, sign_in_url: &str) -> String {
        match AuthorizationResponse::parse_pasted(text, sign_in_url) {
            Ok(AuthorizationResponse::Code(code)) => code.expose_secret().into(),
            Ok(AuthorizationResponse::Error { description }) => {
                format!("denied: {}", description.unwrap_or_default())
            }
            Err(message) => message.into(),
        }
    }

    #[test]
    fn code_is_found_in_everything_that_a_user_copies() {
        for pasted in [
            "the-code",
            "code=the-code",
            "?code=the-code&state=N0nce",
            "code=the-code&state=N0nce",
            "state=N0nce&code=the-code",
            "http://127.0.0.1:4711/callback/N0nce?code=the-code",
            "http://127.0.0.1:4711/callback/N0nce?code=the-code&state=N0nce",
            "http://localhost:4711/callback/N0nce/?code=the-code#",
            "127.0.0.1:4711/callback/N0nce?code=the-code",
            "/callback/N0nce?code=%74he-code",
            "https://openrouter.ai/auth/done?code=the-code",
            "http://127.0.0.1:4711/callb\n  ack/N0nce?code=the-\r\ncode",
        ] {
            for (open, close) in [
                ("", ""),
                (" ", "\n"),
                ("\"", "\""),
                ("'", "'"),
                ("`", "`"),
                ("<", ">"),
                ("<`", "`>"),
            ] {
                let text = format!("{open}{pasted}{close}");
                assert_eq!(parse(&text, WITH_CALLBACK), "the-code", "{text}");
                assert_eq!(parse(&text, WITHOUT_CALLBACK), "the-code", "{text}");
            }
        }
    }

    #[test]
    fn a_refusal_in_the_address_is_a_refusal() {
        for pasted in [
            "http://127.0.0.1:4711/callback/N0nce?error=access_denied&state=N0nce",
            "?error=access_denied",
            "`error=access_denied`",
        ] {
            assert_eq!(parse(pasted, WITH_CALLBACK), "denied: ", "{pasted}");
        }
        let pasted = "?error=server_error&error_description=%1b[2Jlater";
        assert_eq!(parse(pasted, WITH_CALLBACK), "denied: [2Jlater");
    }

    #[test]
    fn nonce_and_state_of_another_sign_in_are_rejected() {
        for pasted in [
            "http://127.0.0.1:4711/callback/0123?code=the-code",
            "http://127.0.0.1:4711/callback/N0nce?code=the-code&state=0123",
            "?code=the-code&state=0123",
            "http://127.0.0.1:4711/callback/?error=access_denied",
        ] {
            assert_eq!(parse(pasted, WITH_CALLBACK), OTHER_SIGN_IN, "{pasted}");
        }
        let pasted = "http://127.0.0.1:4711/callback/one?code=the-code&state=two";
        assert_eq!(parse(pasted, WITHOUT_CALLBACK), OTHER_SIGN_IN);
    }

    #[test]
    fn text_that_cannot_be_a_code_is_rejected() {
        for pasted in [
            "two words",
            "\"the-code",
            "`",
            "<>",
            "$(pbpaste)",
            "ünïcode",
            "https://attacker.example/?code=the-code",
            "see?code=the-code",
            "sk-or-v1-0123",
            WITH_CALLBACK,
            WITHOUT_CALLBACK,
            "http://127.0.0.1:4711/callback/N0nce",
            "http://127.0.0.1:4711/callback/N0nce?code=",
            "?code=one&code=two",
            "?code=one&error=access_denied",
            "",
            &"x".repeat(513),
        ] {
            let result = AuthorizationResponse::parse_pasted(pasted, WITH_CALLBACK);
            assert!(result.is_err(), "{pasted}: {result:?}");
        }
    }
}
