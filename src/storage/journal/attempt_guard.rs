//! Attempts that this process has locked, and what it writes about them.

use super::{Attempt, FILE_NAME, Journal, list_all_attempts};
use crate::domain::{ManagementKey, StoreKind};
use crate::storage::json_store::{Error, LockGuard, StoreLocation};

/// An attempt locked by this process: no other process can recover it while this value exists.
#[derive(Debug)]
pub struct AttemptGuard {
    location: StoreLocation,
    attempt: Attempt,
    /// Whether the last write of the attempt failed, so that the file has an earlier state.
    is_unwritten: bool,
    is_announced: bool,
    _lock: LockGuard,
}

impl AttemptGuard {
    /// Records new attempts in one transaction and locks them.
    pub fn begin_all(location: &StoreLocation, attempts: Vec<Attempt>) -> Result<Vec<Self>, Error> {
        let guards: Vec<Self> = attempts
            .into_iter()
            .map(|attempt| Self::lock(location, attempt))
            .collect::<Result<_, _>>()?;
        location.update(FILE_NAME, |journal: &mut Journal| {
            journal.attempts.extend(guards.iter().map(|guard| guard.attempt.clone()));
        })?;
        Ok(guards)
    }

    fn lock(location: &StoreLocation, attempt: Attempt) -> Result<Self, Error> {
        let lock = location.try_lock(&lock_file_name(&attempt.id))?;
        Ok(Self {
            location: location.clone(),
            attempt,
            is_unwritten: false,
            is_announced: false,
            _lock: lock,
        })
    }

    /// Returns the attempt with all its changes.
    pub fn attempt(&self) -> &Attempt {
        &self.attempt
    }

    /// Updates the attempt; the change is on disk when this returns. If it could not be written, the next
    /// update writes it too.
    pub fn update(&mut self, change: impl FnOnce(&mut Attempt)) -> Result<(), Error> {
        self.update_and_announce(change, None)
    }

    /// Updates the attempt, and records in the same transaction that the request of `next` is being
    /// sent. The caller sends it soon afterwards. A transaction for each would take twice as long.
    pub fn update_and_announce(
        &mut self,
        change: impl FnOnce(&mut Attempt),
        next: Option<(&mut Self, &ManagementKey)>,
    ) -> Result<(), Error> {
        let mut changed = self.attempt.clone();
        change(&mut changed);
        let announced = next.map(|(guard, management)| {
            let mut attempt = guard.attempt.clone();
            attempt.mark_sent(1, Some(management.fingerprint()));
            (guard, attempt)
        });
        if announced.is_none() && changed == self.attempt && !self.is_unwritten {
            return Ok(());
        }
        // Kept even if it cannot be written: a received key must not be forgotten.
        self.attempt = changed;
        self.is_unwritten = true;
        self.location.update(FILE_NAME, |journal: &mut Journal| {
            journal.put_attempt(&self.attempt);
            if let Some((_, attempt)) = &announced {
                journal.put_attempt(attempt);
            }
        })?;
        self.is_unwritten = false;
        if let Some((guard, attempt)) = announced {
            guard.attempt = attempt;
            guard.is_announced = true;
        }
        Ok(())
    }

    /// Returns whether the journal records the request as sent although it is only sent now, and
    /// clears that mark.
    pub fn take_announcement(&mut self) -> bool {
        std::mem::take(&mut self.is_announced)
    }

    /// Removes the attempt, which has ended with a known result.
    pub fn complete(self) -> Result<(), Error> {
        Self::complete_all(vec![self])
    }

    /// Removes several attempts of one location in one transaction; see [`Self::complete`].
    pub fn complete_all(guards: Vec<Self>) -> Result<(), Error> {
        let Some(location) = guards.first().map(|guard| guard.location.clone()) else {
            return Ok(());
        };
        let is_completed =
            |attempt: &Attempt| guards.iter().any(|guard| guard.attempt.id == attempt.id);
        location.update(FILE_NAME, |journal: &mut Journal| {
            journal.attempts.retain(|a| !is_completed(a));
        })
    }
}

/// Locks the attempts at `server` whose process has ended; skips those of a running process, and the
/// unresolved ones about which nothing more can be found out.
pub fn lock_interrupted_attempts(
    location: &StoreLocation,
    server: &str,
    stores: &[StoreKind],
) -> Result<Vec<AttemptGuard>, Error> {
    let attempts = list_all_attempts(location)?;
    let mut guards = Vec::new();
    for attempt in attempts {
        // Without access to another store its attempts cannot be recovered; a rename needs no store.
        let is_here = attempt.awaits_rename() || attempt.is_in_one_of(stores);
        if attempt.server != server || !is_here || attempt.is_final() {
            continue;
        }
        match location.try_lock(&lock_file_name(&attempt.id)) {
            Ok(lock) => {
                // Its own process may have completed it before this one got the lock.
                let now = list_all_attempts(location)?;
                if let Some(attempt) = now.into_iter().find(|other| other.id == attempt.id) {
                    let location = location.clone();
                    let is_announced = false;
                    guards.push(AttemptGuard {
                        location,
                        attempt,
                        is_unwritten: false,
                        is_announced,
                        _lock: lock,
                    });
                }
            }
            Err(Error::LockHeld(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(guards)
}

fn lock_file_name(id: &str) -> String {
    format!("attempt-{id}.lock")
}
