//! What a program that died left behind: finished where it can be, listed where it cannot.

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::watch;

use super::{
    ATTEMPTS, CODE_LIFE, Error, Secrets, Services, abandon, attempt_slot, exchange, store,
};
use crate::domain::{
    AuthCode, CodeVerifier, ProvisioningOutcome, StoredKey, UnresolvedAttempt, UserError,
};
use crate::storage::inventory;
use crate::storage::journal::{self, AttemptGuard, AttemptStage};
use crate::storage::json_store;
use crate::storage::secret_store::{self, EntryId};

/// What came of the attempts that were left behind.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Keys that are in the vault now.
    pub stored: Vec<StoredKey>,
    /// Keys that were received just now and are nowhere but here.
    pub not_stored: Vec<ProvisioningOutcome>,
    /// Attempts that may have issued a key nobody holds; until dismissed.
    pub unresolved: Vec<UnresolvedAttempt>,
    /// Why some of them wait for the vault.
    pub trouble: Option<UserError>,
}

/// Goes through the attempts whose program is gone.
pub async fn recover(services: &Services) -> Result<Recovered, json_store::Error> {
    let mut recovered = Recovered::default();
    for open in journal::lock_interrupted_attempts(
        &services.place,
        &services.server,
        &services.vault.kind().to_string(),
    )? {
        match open.attempt().stage {
            // No key without a code that was sent.
            AttemptStage::Prepared => abandon(open, services).await,
            AttemptStage::CodeReceived | AttemptStage::RequestSent => {
                resume(open, services, &mut recovered).await
            }
            AttemptStage::KeyReceived | AttemptStage::Stored => {
                look(open, services, &mut recovered).await?
            }
            AttemptStage::Unresolved => {}
        }
    }
    let unresolved = journal::list_unresolved_attempts(&services.place, &services.server)?;
    recovered.unresolved.extend(unresolved.into_iter().map(UnresolvedAttempt::from));
    Ok(recovered)
}

impl Recovered {
    /// The vault cannot be asked now: the next start asks again. Until then a key may exist.
    fn waits(&mut self, open: AttemptGuard, error: &secret_store::Error) {
        tracing::warn!(%error, "an attempt waits for the vault");
        self.trouble = Some(error.to_user_error());
        self.unresolved.push(UnresolvedAttempt::from(open.attempt().clone()));
    }
}

/// Strikes an attempt off the list of what may have been issued, and what the vault kept of it.
pub fn dismiss(services: &Services, id: &str) -> Result<(), UserError> {
    let slot = EntryId { service: ATTEMPTS.into(), account: id.into() };
    match services.vault.delete(&slot, services.patience) {
        Ok(()) | Err(secret_store::Error::NoEntry) => {}
        Err(error) => return Err(error.to_user_error()),
    }
    journal::dismiss_attempt(&services.place, id).map_err(|error| error.to_user_error())
}

/// A code younger than ten minutes is exchanged; an older one that was sent stays unresolved.
async fn resume(mut open: AttemptGuard, services: &Services, recovered: &mut Recovered) {
    let young = open.attempt().code_received_at.is_some_and(|at| {
        let age = Timestamp::now().duration_since(at);
        age >= SignedDuration::ZERO && age.unsigned_abs() < CODE_LIFE
    });
    let sent = open.attempt().stage == AttemptStage::RequestSent;
    let secrets = match secrets(&open, services).await {
        Ok(secrets) => secrets.filter(|_| young),
        Err(error) if sent || young => return recovered.waits(open, &error),
        Err(_) => None,
    };
    // Nobody is there to leave.
    let mut cancel = watch::channel(false).1;
    let issued = match (secrets, services.client()) {
        (Some((code, verifier)), Ok(client)) => {
            let ask = exchange::Ask::Code(&code, &verifier);
            exchange::send(&mut open, &client, &ask, services, &mut cancel, &|_| ()).await
        }
        _ if sent => return exchange::leave_unresolved(open),
        _ => return abandon(open, services).await,
    };
    match issued {
        Ok(issued) => match store::finish(open, issued, services, None, &mut cancel, &|_| ()).await
        {
            ProvisioningOutcome::Stored { stored_key: held, .. } => recovered.stored.push(held),
            outcome => recovered.not_stored.push(outcome),
        },
        Err(Error::OddAnswer { answer: Some(answer), place, more, .. }) => {
            let error = Error::OddAnswer { kept: None, place, answer: None, more };
            let outcome = store::hand_back(open, answer, &error.trouble(), services);
            recovered.not_stored.push(outcome);
        }
        Err(Error::NotIssued(_)) => abandon(open, services).await,
        Err(_) => exchange::leave_unresolved(open),
    }
}

/// A key came: is it in the vault?
async fn look(
    mut open: AttemptGuard,
    services: &Services,
    recovered: &mut Recovered,
) -> Result<(), json_store::Error> {
    let Some(held) = open.attempt().received_key.clone() else {
        exchange::leave_unresolved(open);
        return Ok(());
    };
    let slot = services.slot(held.label.as_str());
    let there = services.vault(move |vault, patience| vault.get(&slot, patience)).await;
    match there {
        Ok(secret) if store::hash(&secret) == held.hash => {
            inventory::upsert_keys(&services.place, vec![held.clone()])?;
            recovered.stored.push(held);
            abandon(open, services).await;
        }
        Ok(_) | Err(secret_store::Error::NoEntry) => {
            open.update(|attempt| attempt.stage = AttemptStage::Unresolved)?;
        }
        Err(error) => recovered.waits(open, &error),
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "door: the vault")]
async fn secrets(
    open: &AttemptGuard,
    services: &Services,
) -> Result<Option<(AuthCode, CodeVerifier)>, secret_store::Error> {
    let slot = attempt_slot(open);
    let text: SecretString =
        match services.vault(move |vault, patience| vault.get(&slot, patience)).await {
            Ok(text) => text,
            Err(secret_store::Error::NoEntry) => return Ok(None),
            Err(error) => return Err(error),
        };
    let secrets: Option<Secrets> = serde_json::from_str(text.expose_secret()).ok();
    Ok(secrets.and_then(|secrets| {
        Some((AuthCode::from(secrets.code?), CodeVerifier::from(secrets.code_verifier)))
    }))
}
