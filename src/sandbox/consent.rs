//! `/auth`: the question to the person, and the way back to the application. Keeps nothing between
//! the two: the form posts to the address that it was drawn for.

use jiff::Timestamp;
use url::form_urlencoded;

use super::ledger::{Code, Ledger};
use super::request::{self, Consent, Fields};
use super::response::{Answer, Fault};
use super::{pages, secrets};

/// `GET /auth`.
pub fn ask(query: &str) -> Answer {
    match read(query) {
        Ok((_, asked)) => Answer::html(200, pages::consent(&asked)),
        Err(fault) => refused(&fault),
    }
}

/// `POST /auth`: what the person decided.
pub fn decide(query: &str, form: &[u8], ledger: &mut Ledger, now: Timestamp) -> Answer {
    decided(query, form, ledger, now).unwrap_or_else(|fault| refused(&fault))
}

fn decided(query: &str, form: &[u8], ledger: &mut Ledger, now: Timestamp) -> Result<Answer, Fault> {
    let (fields, asked) = read(query)?;
    let decision = form_urlencoded::parse(form)
        .find_map(|(name, value)| (name == "decision").then_some(value))
        .ok_or_else(|| Fault::bad("decision is missing"))?;
    let mut outcome = match decision.as_ref() {
        "approve" => {
            let code = secrets::code()?;
            let Consent { challenge, policy, .. } = asked;
            ledger.authorize(code.clone(), Code { policy, challenge, issued_at: now });
            vec![("code", code)]
        }
        "refuse" => vec![
            ("error", "access_denied".to_owned()),
            ("error_description", "The user denied the request".to_owned()),
        ],
        _ => return Err(Fault::bad("decision must be approve or refuse")),
    };
    let Some(mut callback) = asked.callback else {
        return Ok(Answer::html(
            200,
            match outcome.first() {
                Some(("code", code)) => pages::code(code),
                _ => pages::notice("Refused", "No key was cut. You can close this page."),
            },
        ));
    };
    if let Some(state) = fields.get("state").and_then(|state| state.as_str()) {
        outcome.push(("state", state.to_owned()));
    }
    callback.query_pairs_mut().extend_pairs(outcome);
    Ok(Answer::redirect(callback.into()))
}

fn read(query: &str) -> Result<(Fields, Consent), Fault> {
    let fields = request::query(query);
    let asked = request::consent(&fields)?;
    if asked.callback.is_none() && asked.challenge.is_none() {
        return Err(Fault::bad("Without callback_url, code_challenge is required"));
    }
    Ok((fields, asked))
}

fn refused(fault: &Fault) -> Answer {
    Answer::html(fault.status, pages::notice("This request cannot be authorized", &fault.message))
}
