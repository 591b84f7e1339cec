//! What earlier runs left behind: finished where it can be, and the rest held against the account's
//! list. Owns: what is concluded from that. Must not know: who reads it.

use jiff::{SignedDuration, Timestamp};

use super::{Error, closed, list, management, opened, resume_rotations};
use crate::domain::{
    AccountKey, Label, ManagementKey, ProvisioningOutcome, Rotated, StoredKey, UnresolvedAttempt,
    UserError, format_timestamp,
};
use crate::services::provision::{self, Recovered, Services};
use crate::storage::inventory;
use crate::storage::journal::{self, Attempt};
use crate::storage::secret_store;

/// Within this time of its beginning an attempt can bring a key: ten minutes of consent, ten of the
/// code's life, and as much again for a clock that is wrong.
const WINDOW: SignedDuration = SignedDuration::from_mins(30);

/// How far the clocks may be apart at the beginning.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// What came of everything that was left behind.
#[derive(Debug, Default)]
pub struct Leftovers {
    /// Keys that are in the vault now.
    pub stored: Vec<StoredKey>,
    /// Keys that were received just now and are nowhere but here.
    pub not_stored: Vec<ProvisioningOutcome>,
    /// Rotations that went on to their end.
    pub handed: Vec<Rotated>,
    /// Attempts that are still open, each with what to do about it.
    pub unresolved: Vec<(UnresolvedAttempt, String)>,
    /// Attempts that brought no key, as the account's list shows; struck off.
    pub dismissed: Vec<UnresolvedAttempt>,
    /// Label, server and store of attempts that are another server's or store's.
    pub elsewhere: Vec<(Label, String, String)>,
    /// What did not work meanwhile.
    pub troubles: Vec<UserError>,
    /// Keys that were received just now and that nobody could store in the end.
    pub lost: Vec<UserError>,
}

/// Finishes what can be finished, and looks no further.
pub async fn finish(services: &Services) -> Result<Leftovers, Error> {
    let Recovered { stored, not_stored, unresolved, trouble } =
        provision::recover(services).await?;
    let mut left = Leftovers { stored, not_stored, ..Leftovers::default() };
    left.troubles.extend(trouble);
    let store = services.vault.kind().to_string();
    let elsewhere = journal::list_attempts_outside(&services.place, &services.server, &store)?;
    left.elsewhere.extend(elsewhere.into_iter().map(|it| (it.label, it.server, it.store)));
    left.unresolved.extend(unresolved.into_iter().map(|one| {
        let advice = format!(
            "look for a key with this label, cut at that time, at {}, and delete it there; then keywright recover --dismiss {}",
            one.keys_page_url(),
            one.id
        );
        (one, advice)
    }));
    for (label, result) in resume_rotations(services).await? {
        match result {
            Ok(handed) => left.handed.push(handed),
            Err(trouble) => left.troubles.push(UserError {
                message: format!("the rotation of '{label}' cannot go on: {}", trouble.message),
                ..trouble
            }),
        }
    }
    Ok(left)
}

/// [`finish`], and holds what is left against the account's list where a management key is known.
pub async fn leftovers(services: &Services, now: Timestamp) -> Result<Leftovers, Error> {
    let mut left = finish(services).await?;
    if left.unresolved.is_empty() {
        return Ok(left);
    }
    let management = match management::read(services).await {
        Ok(Some((management, _))) => management,
        Ok(None) => return Ok(left),
        Err(error) => {
            // Said once, where the vault has failed before.
            if left.troubles.is_empty() {
                left.troubles.push(error.trouble());
            }
            return Ok(left);
        }
    };
    let remote = match list(services, &management).await {
        Ok(remote) => remote,
        Err(error) => {
            left.troubles.push(error.trouble());
            return Ok(left);
        }
    };
    let held = inventory::list_keys(&services.place, &services.server)?;
    let ours = is_our_account(services, &management, &held).await;
    let attempts = journal::list_all_attempts(&services.place)?;
    let mut still = Vec::new();
    for (one, advice) in left.unresolved.drain(..) {
        let Some(attempt) = attempts.iter().find(|attempt| attempt.id == one.id) else { continue };
        let found: Vec<_> = remote.iter().filter(|key| is_of(key, attempt, &held)).collect();
        let closed = now.duration_since(attempt.started_at) > WINDOW;
        if found.is_empty() && closed && ours {
            match dismiss(services, &one.id).await {
                Ok(()) => left.dismissed.push(one),
                Err(trouble) => {
                    left.troubles.push(trouble);
                    still.push((one, advice));
                }
            }
            continue;
        }
        let advice = match &found[..] {
            [] if !closed => format!(
                "the account has no such key, and until {} one may still come: ask again then",
                attempt
                    .started_at
                    .checked_add(WINDOW)
                    .map_or_else(|_| "later".into(), format_timestamp)
            ),
            [] => format!(
                "the management key's account has no such key; whether that is where you signed in is not known. If it is: keywright recover --dismiss {}; else {advice}",
                one.id
            ),
            found => exists(&one, found, &services.server),
        };
        still.push((one, advice));
    }
    left.unresolved = still;
    Ok(left)
}

async fn dismiss(services: &Services, id: &str) -> Result<(), UserError> {
    let (striking, id) = (services.clone(), id.to_owned());
    tokio::task::spawn_blocking(move || provision::dismiss(&striking, &id))
        .await
        .unwrap_or_else(|_| Err(secret_store::Error::TimedOut.to_user_error()))
}

/// Whether this key can be what the attempt brought: by its hash where that is known, else by name
/// and time. A key that is held is no riddle.
fn is_of(key: &AccountKey, attempt: &Attempt, held: &[StoredKey]) -> bool {
    if let Some(brought) = &attempt.received_key {
        return key.hash == brought.hash;
    }
    if held.iter().any(|held| held.hash == key.hash) {
        return false;
    }
    let name = key.name.as_deref().unwrap_or_default();
    let asked = |label: &Label| label.as_str() == name;
    let replaced = attempt.replaces.as_ref().and_then(|replaces| {
        held.iter().find(|held| held.hash == replaces.hash).map(|held| &held.label)
    });
    // A key that is to replace another was asked for under that one's label.
    let named = replaced.map_or_else(|| asked(&attempt.label), asked);
    let in_time = key.created_at.is_none_or(|at| {
        let after = at.duration_since(attempt.started_at);
        -SKEW <= after && after <= WINDOW
    });
    named && in_time
}

fn exists(one: &UnresolvedAttempt, found: &[&AccountKey], server: &str) -> String {
    let each: Vec<_> = found
        .iter()
        .map(|key| {
            let spent = key.info.usage.map_or(String::new(), |usd| format!(" (spent ${usd:.2})"));
            format!("{server}/keys/{}{spent}", key.hash)
        })
        .collect();
    format!(
        "it exists at OpenRouter, and nobody has its secret: delete it at {}, then keywright recover --dismiss {}",
        each.join(" and "),
        one.id
    )
}

/// Whether the management key's account is the one that every key held here came from. Without
/// that, a list without the key proves nothing.
async fn is_our_account(
    services: &Services,
    management: &ManagementKey,
    held: &[StoredKey],
) -> bool {
    let mut users = held.iter().filter_map(|held| held.user_id.as_deref()).peekable();
    let (Some(_), Ok(client)) = (users.peek(), services.client()) else { return false };
    match client.get_current_key(&opened(&closed(management))).await {
        Ok(reading) => {
            reading.creator_user_id.is_some_and(|account| users.all(|user| user == account))
        }
        Err(error) => {
            tracing::warn!(%error, "whose account it is could not be asked");
            false
        }
    }
}
