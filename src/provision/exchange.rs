//! The code for the key: sent as often as is safe, and not once more. Every stage is on disk
//! before the next begins.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use super::{Error, Services, attempt_slot, cancelled, keep_secrets};
use crate::journal::{Open, Stage};
use crate::key::{AuthCode, CodeVerifier, Report};
use crate::openrouter::{self, Client, Exchanged, Issued};

/// How often a code is sent again whose fate is unknown, one at a time.
const RESENDS: u32 = 2;

/// The longest that `Retry-After` is obeyed; beyond it a person decides.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Exchanges the code. On `Err` the attempt is still open: see [`Error::is_unresolved`].
pub(super) async fn exchange(
    open: &mut Open,
    code: &AuthCode,
    verifier: &CodeVerifier,
    services: &Services,
    cancel: &mut watch::Receiver<bool>,
    report: &(dyn Fn(Report) + Sync),
) -> Result<Exchanged, Error> {
    let client = services.client().map_err(Error::NotIssued)?;
    // Nothing was sent yet: a keychain that locked itself meanwhile costs no more than this login.
    tokio::select! {
        kept = keep_secrets(open, verifier, Some(code), services) => kept?,
        () = cancelled(cancel) => return Err(Error::Cancelled),
    }
    let received = Timestamp::now();
    open.advance(|attempt| {
        attempt.stage = Stage::CodeReceived;
        attempt.code_at = Some(received);
    })?;
    send(open, &client, code, verifier, services, cancel, report).await
}

/// Sends a code that is in the vault. An attempt that was `Sent` before starts as ambiguous.
pub(super) async fn send(
    open: &mut Open,
    client: &Client,
    code: &AuthCode,
    verifier: &CodeVerifier,
    services: &Services,
    cancel: &mut watch::Receiver<bool>,
    report: &(dyn Fn(Report) + Sync),
) -> Result<Exchanged, Error> {
    let mut ambiguous = open.attempt().stage == Stage::Sent;
    open.advance(|attempt| attempt.stage = Stage::Sent)?;
    let (mut tries, mut resent) = (0, u32::from(ambiguous));
    loop {
        let error = match client.exchange(code, verifier).await {
            Ok(Issued::Key(exchanged)) => return Ok(exchanged),
            Ok(Issued::Odd(body)) => {
                let slot = attempt_slot(open);
                let account = slot.account.clone();
                let kept =
                    services.vault(move |vault, patience| vault.set(&slot, &body, patience)).await;
                return Err(Error::OddAnswer { kept: kept.is_ok().then_some(account) });
            }
            Err(error) => error,
        };
        let backoff = Duration::from_millis(500 << tries.min(5));
        let pause = match &error {
            openrouter::Error::NotSent { .. } if tries < services.retries => Some(backoff),
            openrouter::Error::SlowDown { retry_after, .. } if tries < services.retries => {
                Some(retry_after.unwrap_or(backoff * 2)).filter(|wait| *wait <= LONGEST_WAIT)
            }
            openrouter::Error::Ambiguous { .. } => {
                ambiguous = true;
                resent += 1;
                (resent <= RESENDS.min(services.retries)).then_some(backoff)
            }
            openrouter::Error::NotSent { .. }
            | openrouter::Error::SlowDown { .. }
            | openrouter::Error::Refused { .. }
            | openrouter::Error::Odd { .. } => None,
        };
        let Some(pause) = pause else {
            // After a send whose fate is unknown even a clean refusal proves nothing: the code may
            // be used up because the key exists.
            return Err(if ambiguous { Error::Unresolved(error) } else { Error::NotIssued(error) });
        };
        tries += 1;
        report(Report::Notice(format!("{error}; trying again in {} s", pause.as_secs().max(1))));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            // As long as the server has not seen the code, nothing can be lost by leaving.
            () = cancelled(cancel), if !ambiguous => return Err(Error::Cancelled),
        }
    }
}

/// Leaves the attempt on the list of what may have been issued. What the vault keeps under its id
/// stays too: it may be the answer itself.
pub(super) fn leave_unresolved(mut open: Open) {
    if let Err(error) = open.advance(|attempt| attempt.stage = Stage::Unresolved) {
        // The journal still says `sent`: the next start lists it all the same.
        tracing::warn!(%error, "the journal could not be written");
    }
}
