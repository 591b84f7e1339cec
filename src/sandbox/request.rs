//! Parses and validates requests as strictly as OpenRouter documents them.

use jiff::Timestamp;
use serde_json::{Map, Number, Value};
use url::{Host, Url, form_urlencoded};

use super::ledger::{
    ChallengeMethod, Change, CodeChallenge, KeyPatch, KeyPolicy, ListFilter, MicroUsd, Reset,
};
use super::response::ApiError;

/// The fields of a request, by name.
pub type JsonFields = Map<String, Value>;

/// An authorization request of an application.
pub struct AuthorizationRequest {
    /// The redirect target; without one the page shows the code.
    pub callback_url: Option<Url>,
    /// The PKCE challenge.
    pub code_challenge: Option<CodeChallenge>,
    /// The requested policy of the key.
    pub policy: KeyPolicy,
}

/// A request to exchange a code for a key.
pub struct ExchangeRequest<'a> {
    /// The code from the callback.
    pub code: &'a str,
    /// The PKCE verifier.
    pub code_verifier: Option<&'a str>,
    /// How the challenge was derived from the verifier.
    pub code_challenge_method: Option<ChallengeMethod>,
}

/// Parses a JSON body.
pub fn parse_body(bytes: &[u8]) -> Result<JsonFields, ApiError> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(ApiError::bad_request("The request body must be a JSON object")),
        Err(_) => Err(ApiError::bad_request("The request body is not valid JSON")),
    }
}

/// Parses a query; only `limit` is a number.
pub fn parse_query(query: &str) -> JsonFields {
    let mut fields = JsonFields::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let number = (name == "limit").then(|| value.parse().ok()).flatten();
        let value = number
            .and_then(Number::from_f64)
            .map_or_else(|| Value::String(value.into_owned()), Value::Number);
        fields.insert(name.into_owned(), value);
    }
    fields
}

/// Parses the parameters of `/auth` and the body of `POST /auth/keys/code`.
pub fn parse_authorization_request(fields: &JsonFields) -> Result<AuthorizationRequest, ApiError> {
    let callback = parse_string(fields, "callback_url")?.map(parse_callback_url).transpose()?;
    let method =
        parse_string(fields, "code_challenge_method")?.map(parse_challenge_method).transpose()?;
    let challenge = match (parse_string(fields, "code_challenge")?, method) {
        (Some(""), _) => return Err(ApiError::bad_request("code_challenge must not be empty")),
        // RFC 7636 section 4.3: plain unless the request says otherwise.
        (Some(value), method) => Some(CodeChallenge {
            method: method.unwrap_or(ChallengeMethod::Plain),
            value: value.to_owned(),
        }),
        (None, Some(_)) => {
            return Err(ApiError::bad_request("code_challenge_method needs a code_challenge"));
        }
        (None, None) => None,
    };
    let label = parse_string(fields, "key_label")?.filter(|label| !label.is_empty());
    if label.is_some_and(|label| label.chars().count() > 100) {
        return Err(ApiError::bad_request("key_label must be at most 100 characters"));
    }
    let app = callback.as_ref().and_then(Url::host_str).unwrap_or("Command line");
    let mut policy = KeyPolicy::unrestricted(label.unwrap_or(app));
    policy.limit = parse_limit(fields, NullHandling::Reject)?.apply_to(None);
    policy.reset = parse_reset(fields, "usage_limit_type", NullHandling::Reject)?.apply_to(None);
    policy.expires_at = parse_expiry(fields)?;
    if let Some(id) = parse_workspace_id(fields)? {
        policy.workspace_id = id.into();
    }
    Ok(AuthorizationRequest { callback_url: callback, code_challenge: challenge, policy })
}

/// Parses the body of `POST /auth/keys`.
pub fn parse_exchange_request(fields: &JsonFields) -> Result<ExchangeRequest<'_>, ApiError> {
    let code =
        parse_string(fields, "code")?.ok_or_else(|| ApiError::bad_request("code is required"))?;
    let method = parse_field(
        fields,
        "code_challenge_method",
        NullHandling::Accept,
        "a string",
        Value::as_str,
    )?;
    let method = method.apply_to(None).map(parse_challenge_method).transpose()?;
    Ok(ExchangeRequest {
        code,
        code_verifier: parse_string(fields, "code_verifier")?,
        code_challenge_method: method,
    })
}

/// Parses the body of `POST /keys`.
pub fn parse_create_request(fields: &JsonFields) -> Result<KeyPolicy, ApiError> {
    let name =
        parse_string(fields, "name")?.ok_or_else(|| ApiError::bad_request("name is required"))?;
    let mut policy = KeyPolicy::unrestricted(parse_name(name)?);
    policy.limit = parse_limit(fields, NullHandling::Accept)?.apply_to(None);
    policy.reset = parse_reset(fields, "limit_reset", NullHandling::Accept)?.apply_to(None);
    policy.expires_at = parse_expiry(fields)?;
    policy.include_byok = parse_bool(fields, "include_byok_in_limit")?.unwrap_or(false);
    if let Some(id) = parse_workspace_id(fields)? {
        policy.workspace_id = id.into();
    }
    let creator = |value: &Value| value.as_str().filter(|id| !id.is_empty()).map(str::to_owned);
    let expected = "a non-empty string or null";
    if let Change::Set(id) =
        parse_field(fields, "creator_user_id", NullHandling::Accept, expected, creator)?
    {
        policy.creator_user_id = id.into();
    }
    Ok(policy)
}

/// Parses the body of `PATCH /keys/{hash}`. `null` clears a field, and `expires_at` is ignored.
pub fn parse_patch(fields: &JsonFields) -> Result<KeyPatch, ApiError> {
    let patch = KeyPatch {
        name: parse_string(fields, "name")?.map(parse_name).transpose()?,
        disabled: parse_bool(fields, "disabled")?,
        limit: parse_limit(fields, NullHandling::Accept)?,
        reset: parse_reset(fields, "limit_reset", NullHandling::Accept)?,
        include_byok: parse_bool(fields, "include_byok_in_limit")?,
        workspace_id: parse_workspace_id(fields)?,
    };
    if patch == KeyPatch::default() {
        return Err(ApiError::bad_request("No update fields provided"));
    }
    Ok(patch)
}

/// Parses the query of `GET /keys`.
pub fn parse_list_filter(fields: &JsonFields) -> Result<ListFilter, ApiError> {
    let flag = |name: &str| match parse_string(fields, name)? {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(ApiError::bad_request(format!("{name} must be true or false"))),
    };
    let offset = parse_string(fields, "offset")?.map(str::parse).transpose();
    Ok(ListFilter {
        offset: offset
            .map_err(|_| ApiError::bad_request("offset must be a whole number, zero or more"))?
            .unwrap_or(0),
        include_disabled: flag("include_disabled")?,
        include_expired: flag("include_expired")?,
        workspace_id: parse_workspace_id(fields)?,
    })
}

/// Whether a field may be null.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NullHandling {
    Accept,
    Reject,
}

/// Parses a field: an absent one is `Keep`, an accepted null is `Clear`.
fn parse_field<'a, T>(
    fields: &'a JsonFields,
    name: &str,
    null: NullHandling,
    expected: &str,
    parse: impl FnOnce(&'a Value) -> Option<T>,
) -> Result<Change<T>, ApiError> {
    match fields.get(name) {
        None => Ok(Change::Keep),
        Some(Value::Null) if null == NullHandling::Accept => Ok(Change::Clear),
        Some(value) => match parse(value) {
            Some(parsed) => Ok(Change::Set(parsed)),
            None => Err(ApiError::bad_request(format!("{name} must be {expected}"))),
        },
    }
}

/// Parses a text.
pub fn parse_string<'a>(fields: &'a JsonFields, name: &str) -> Result<Option<&'a str>, ApiError> {
    Ok(parse_field(fields, name, NullHandling::Reject, "a string", Value::as_str)?.apply_to(None))
}

/// Parses a flag.
pub fn parse_bool(fields: &JsonFields, name: &str) -> Result<Option<bool>, ApiError> {
    Ok(parse_field(fields, name, NullHandling::Reject, "true or false", Value::as_bool)?
        .apply_to(None))
}

/// Parses an amount in USD or null.
pub fn parse_amount(fields: &JsonFields, name: &str) -> Result<Change<MicroUsd>, ApiError> {
    let parse = |value: &Value| value.as_f64().and_then(MicroUsd::from_dollars);
    parse_field(fields, name, NullHandling::Accept, "an amount in USD, zero or more", parse)
}

/// Parses a reset interval or null.
pub fn parse_interval(fields: &JsonFields, name: &str) -> Result<Change<Reset>, ApiError> {
    parse_reset(fields, name, NullHandling::Accept)
}

/// Parses a list of texts or null.
pub fn parse_texts(fields: &JsonFields, name: &str) -> Result<Change<Vec<String>>, ApiError> {
    let parse = |value: &Value| {
        let texts = value.as_array()?.iter().map(|text| text.as_str().map(str::to_owned));
        texts.collect::<Option<Vec<String>>>()
    };
    parse_field(fields, name, NullHandling::Accept, "a list of texts or null", parse)
}

fn parse_limit(fields: &JsonFields, null: NullHandling) -> Result<Change<MicroUsd>, ApiError> {
    let parse = |value: &Value| value.as_f64().and_then(MicroUsd::from_dollars);
    parse_field(fields, "limit", null, "an amount in USD, zero or more", parse)
}

fn parse_reset(
    fields: &JsonFields,
    name: &str,
    null: NullHandling,
) -> Result<Change<Reset>, ApiError> {
    let parse = |value: &Value| value.as_str().and_then(Reset::parse);
    parse_field(fields, name, null, "daily, weekly or monthly", parse)
}

fn parse_expiry(fields: &JsonFields) -> Result<Option<Timestamp>, ApiError> {
    let expected = "an ISO 8601 timestamp in UTC with seconds, such as 2027-12-31T23:59:59Z";
    let parse = |value: &Value| value.as_str().and_then(parse_timestamp);
    Ok(parse_field(fields, "expires_at", NullHandling::Accept, expected, parse)?.apply_to(None))
}

/// Parses `2027-12-31T23:59:59Z` with an optional fraction. jiff would also accept other offsets,
/// spaces and times without seconds.
fn parse_timestamp(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.strip_suffix('Z')?.split_at_checked(19)?;
    let is_valid_at = |(index, byte): (usize, u8)| match index {
        4 | 7 => byte == b'-',
        10 => byte == b'T',
        13 | 16 => byte == b':',
        _ => byte.is_ascii_digit(),
    };
    let digits = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let is_valid_fraction = fraction.is_empty() || fraction.strip_prefix('.').is_some_and(digits);
    let is_valid = whole.bytes().enumerate().all(is_valid_at) && is_valid_fraction;
    is_valid.then(|| text.parse().ok()).flatten()
}

/// Parses the UUID of a workspace.
pub fn parse_workspace_id(fields: &JsonFields) -> Result<Option<String>, ApiError> {
    let uuid = |id: &&str| {
        let groups: Vec<&str> = id.split('-').collect();
        groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
            && groups.concat().bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let parse = |value: &Value| value.as_str().filter(uuid).map(str::to_ascii_lowercase);
    Ok(parse_field(fields, "workspace_id", NullHandling::Reject, "a UUID", parse)?.apply_to(None))
}

fn parse_challenge_method(name: &str) -> Result<ChallengeMethod, ApiError> {
    ChallengeMethod::parse(name)
        .ok_or_else(|| ApiError::bad_request("Invalid code_challenge_method"))
}

fn parse_name(name: &str) -> Result<String, ApiError> {
    if name.is_empty() {
        Err(ApiError::bad_request("name must not be empty"))
    } else {
        Ok(name.to_owned())
    }
}

fn parse_callback_url(text: &str) -> Result<Url, ApiError> {
    let invalid_url = || {
        ApiError::bad_request("callback_url must be https, or localhost or 127.0.0.1 on any port")
    };
    let url = Url::parse(text).map_err(|_| invalid_url())?;
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address == std::net::Ipv4Addr::LOCALHOST,
        Some(Host::Ipv6(_)) | None => false,
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback => Ok(url),
        _ => Err(invalid_url()),
    }
}
