//! What requests ask for, checked as strictly as OpenRouter documents it. Turns JSON objects and
//! queries into the ledger's words; decides nothing about them.

use jiff::Timestamp;
use serde_json::{Map, Number, Value};
use url::{Host, Url, form_urlencoded};

use super::ledger::{Challenge, Change, Filter, Method, Patch, Policy, Reset, Usd};
use super::response::Fault;

/// The fields of a request, by name.
pub type Fields = Map<String, Value>;

/// What an application asks the person for.
pub struct Consent {
    /// Where the code goes; without one the page shows it.
    pub callback: Option<Url>,
    /// What the application will have to prove.
    pub challenge: Option<Challenge>,
    /// The key it wants.
    pub policy: Policy,
}

/// What an application presents to get its key.
pub struct Exchange<'a> {
    /// The code from the callback.
    pub code: &'a str,
    /// The proof.
    pub verifier: Option<&'a str>,
    /// How the challenge was made of it.
    pub method: Option<Method>,
}

/// A JSON body's fields.
pub fn body(bytes: &[u8]) -> Result<Fields, Fault> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(Fault::bad("The request body must be a JSON object")),
        Err(_) => Err(Fault::bad("The request body is not valid JSON")),
    }
}

/// A query's fields, of which only `limit` is a number.
pub fn query(query: &str) -> Fields {
    form_urlencoded::parse(query.as_bytes())
        .map(|(name, value)| {
            let number = (name == "limit").then(|| value.parse().ok()).flatten();
            let value = number
                .and_then(Number::from_f64)
                .map_or_else(|| Value::String(value.clone().into_owned()), Value::Number);
            (name.into_owned(), value)
        })
        .collect()
}

/// The parameters of `/auth`, and the body of `POST /auth/keys/code`.
pub fn consent(fields: &Fields) -> Result<Consent, Fault> {
    let callback = text(fields, "callback_url")?.map(callback).transpose()?;
    let method = text(fields, "code_challenge_method")?.map(method).transpose()?;
    let challenge = match (text(fields, "code_challenge")?, method) {
        (Some(""), _) => return Err(Fault::bad("code_challenge must not be empty")),
        // RFC 7636 section 4.3: plain unless the request says otherwise.
        (Some(value), method) => {
            Some(Challenge { method: method.unwrap_or(Method::Plain), value: value.to_owned() })
        }
        (None, Some(_)) => {
            return Err(Fault::bad("code_challenge_method needs a code_challenge"));
        }
        (None, None) => None,
    };
    let label = text(fields, "key_label")?.filter(|label| !label.is_empty());
    if label.is_some_and(|label| label.chars().count() > 100) {
        return Err(Fault::bad("key_label must be at most 100 characters"));
    }
    let app = callback.as_ref().and_then(Url::host_str).unwrap_or("Command line");
    let mut policy = Policy::named(label.unwrap_or(app));
    policy.limit = limit(fields, Null::Refused)?.over(None);
    policy.reset = reset(fields, "usage_limit_type", Null::Refused)?.over(None);
    policy.expires_at = expiry(fields)?;
    if let Some(id) = workspace(fields)? {
        policy.workspace = id.into();
    }
    Ok(Consent { callback, challenge, policy })
}

/// The body of `POST /auth/keys`.
pub fn exchange(fields: &Fields) -> Result<Exchange<'_>, Fault> {
    let code = text(fields, "code")?.ok_or_else(|| Fault::bad("code is required"))?;
    let word = field(fields, "code_challenge_method", Null::Allowed, "a string", Value::as_str)?;
    let method = word.over(None).map(method).transpose()?;
    Ok(Exchange { code, verifier: text(fields, "code_verifier")?, method })
}

/// The body of `POST /keys`.
pub fn new_key(fields: &Fields) -> Result<Policy, Fault> {
    let name = text(fields, "name")?.ok_or_else(|| Fault::bad("name is required"))?;
    let mut policy = Policy::named(named(name)?);
    policy.limit = limit(fields, Null::Allowed)?.over(None);
    policy.reset = reset(fields, "limit_reset", Null::Allowed)?.over(None);
    policy.expires_at = expiry(fields)?;
    policy.include_byok = flag(fields, "include_byok_in_limit")?.unwrap_or(false);
    if let Some(id) = workspace(fields)? {
        policy.workspace = id.into();
    }
    let creator = |value: &Value| value.as_str().filter(|id| !id.is_empty()).map(str::to_owned);
    let wants = "a non-empty string or null";
    if let Change::To(id) = field(fields, "creator_user_id", Null::Allowed, wants, creator)? {
        policy.creator = id.into();
    }
    Ok(policy)
}

/// The body of `PATCH /keys/{hash}`, where an absent field and `null` differ and `expires_at` does
/// not count.
pub fn patch(fields: &Fields) -> Result<Patch, Fault> {
    let patch = Patch {
        name: text(fields, "name")?.map(named).transpose()?,
        disabled: flag(fields, "disabled")?,
        limit: limit(fields, Null::Allowed)?,
        reset: reset(fields, "limit_reset", Null::Allowed)?,
        include_byok: flag(fields, "include_byok_in_limit")?,
    };
    if patch == Patch::default() {
        return Err(Fault::bad("No update fields provided"));
    }
    Ok(patch)
}

/// The query of `GET /keys`.
pub fn filter(fields: &Fields) -> Result<Filter, Fault> {
    let flag = |name: &str| match text(fields, name)? {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(Fault::bad(format!("{name} must be true or false"))),
    };
    let offset = text(fields, "offset")?.map(str::parse).transpose();
    Ok(Filter {
        offset: offset
            .map_err(|_| Fault::bad("offset must be a whole number, zero or more"))?
            .unwrap_or(0),
        disabled: flag("include_disabled")?,
        expired: flag("include_expired")?,
        workspace: workspace(fields)?,
    })
}

/// Whether a field may be null.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Null {
    Allowed,
    Refused,
}

/// An absent field keeps what there is, and null, where it is allowed, clears it.
fn field<'a, T>(
    fields: &'a Fields,
    name: &str,
    null: Null,
    wants: &str,
    read: impl FnOnce(&'a Value) -> Option<T>,
) -> Result<Change<T>, Fault> {
    match fields.get(name) {
        None => Ok(Change::Keep),
        Some(Value::Null) if null == Null::Allowed => Ok(Change::Clear),
        Some(value) => match read(value) {
            Some(read) => Ok(Change::To(read)),
            None => Err(Fault::bad(format!("{name} must be {wants}"))),
        },
    }
}

fn text<'a>(fields: &'a Fields, name: &str) -> Result<Option<&'a str>, Fault> {
    Ok(field(fields, name, Null::Refused, "a string", Value::as_str)?.over(None))
}

fn flag(fields: &Fields, name: &str) -> Result<Option<bool>, Fault> {
    Ok(field(fields, name, Null::Refused, "true or false", Value::as_bool)?.over(None))
}

fn limit(fields: &Fields, null: Null) -> Result<Change<Usd>, Fault> {
    let read = |value: &Value| value.as_f64().and_then(Usd::new);
    field(fields, "limit", null, "an amount in USD, zero or more", read)
}

fn reset(fields: &Fields, name: &str, null: Null) -> Result<Change<Reset>, Fault> {
    let read = |value: &Value| value.as_str().and_then(Reset::named);
    field(fields, name, null, "daily, weekly or monthly", read)
}

fn expiry(fields: &Fields) -> Result<Option<Timestamp>, Fault> {
    let wants = "an ISO 8601 timestamp in UTC with seconds, such as 2027-12-31T23:59:59Z";
    let read = |value: &Value| value.as_str().and_then(instant);
    Ok(field(fields, "expires_at", Null::Allowed, wants, read)?.over(None))
}

/// `2027-12-31T23:59:59Z`, perhaps with a fraction; jiff alone would also take other offsets,
/// spaces and times without seconds.
fn instant(word: &str) -> Option<Timestamp> {
    let (whole, fraction) = word.strip_suffix('Z')?.split_at_checked(19)?;
    let shape = |(place, byte): (usize, u8)| match place {
        4 | 7 => byte == b'-',
        10 => byte == b'T',
        13 | 16 => byte == b':',
        _ => byte.is_ascii_digit(),
    };
    let digits = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let fraction_fits = fraction.is_empty() || fraction.strip_prefix('.').is_some_and(digits);
    let fits = whole.bytes().enumerate().all(shape) && fraction_fits;
    fits.then(|| word.parse().ok()).flatten()
}

fn workspace(fields: &Fields) -> Result<Option<String>, Fault> {
    let uuid = |id: &&str| {
        let groups: Vec<&str> = id.split('-').collect();
        groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
            && groups.concat().bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let read = |value: &Value| value.as_str().filter(uuid).map(str::to_ascii_lowercase);
    Ok(field(fields, "workspace_id", Null::Refused, "a UUID", read)?.over(None))
}

fn method(word: &str) -> Result<Method, Fault> {
    Method::named(word).ok_or_else(|| Fault::bad("Invalid code_challenge_method"))
}

fn named(name: &str) -> Result<String, Fault> {
    if name.is_empty() { Err(Fault::bad("name must not be empty")) } else { Ok(name.to_owned()) }
}

fn callback(address: &str) -> Result<Url, Fault> {
    let fault = || Fault::bad("callback_url must be https, or localhost or 127.0.0.1 on any port");
    let url = Url::parse(address).map_err(|_| fault())?;
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address == std::net::Ipv4Addr::LOCALHOST,
        Some(Host::Ipv6(_)) | None => false,
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if loopback => Ok(url),
        _ => Err(fault()),
    }
}
