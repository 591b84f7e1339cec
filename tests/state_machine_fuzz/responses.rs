//! Responses to the effects that the state machine requested: plausible successes and failures, and
//! some that were not requested.

use jiff::SignedDuration;
use keywright::domain::{
    AccountKeys, ApiKey, KeySpending, ProvisioningOutcome, Rotated, StoredKey, TrashedKey,
};
use keywright::tui::state::{
    AccountReport, Effect, KeyRight, Msg, PlanComparison, Request, Response, StoredManagementKey,
    Ticket,
};
use secrecy::ExposeSecret;

use super::{Fuzzer, Rng};

/// Returns the key in plaintext.
#[expect(clippy::disallowed_methods, reason = "a test's own key")]
pub fn expose(key: &ApiKey) -> String {
    key.expose_secret().to_owned()
}

impl Fuzzer {
    /// Returns a response to a pending effect. An effect with several responses stays pending.
    pub fn response(&mut self) -> Msg {
        // Often the latest effect, since otherwise few operations would be completed.
        let last = self.pending.len() - 1;
        let at = if self.rng.one_in(2) { last } else { self.rng.below(last + 1) };
        let effect = self.pending.remove(at);
        let Some((msg, more)) = self.response_to(effect) else { return Msg::Tick };
        self.pending.extend(more);
        if self.rng.one_in(3) {
            self.repeatable.push(msg.clone());
            if self.repeatable.len() > 12 {
                self.repeatable.remove(0);
            }
        }
        msg
    }

    /// Returns `None` for effects without a response.
    fn response_to(&mut self, effect: Effect) -> Option<(Msg, Option<Effect>)> {
        let now = self.now;
        let rng = &mut self.rng;
        let msg = match effect {
            Effect::Request(ticket, Request::LoadKeys) => {
                if self.stored_keys.len() < 3 || rng.one_in(20) {
                    self.stored_keys = rng.vec(30, |rng| {
                        let key = rng.key();
                        let label = rng.label();
                        rng.stored_key(label, &key, now)
                    });
                }
                let stored_keys = self.stored_keys.clone();
                Msg::Response(ticket, Response::KeysLoaded(rng.or_error(|_| stored_keys)))
            }
            Effect::Request(ticket, Request::ReadSharedKeys) => {
                let stored_keys = self.stored_keys.clone();
                let keys = rng.or_error(|_| stored_keys);
                let error = rng.option(Rng::user_error);
                let is_read_only = rng.one_in(4);
                Msg::Response(ticket, Response::SharedKeysRead { keys, error, is_read_only })
            }
            Effect::Request(ticket, Request::RefreshKeys(keys)) => {
                if !keys.is_empty() && !rng.one_in(4) {
                    let hash = rng.choose(&keys).hash.clone();
                    let check_result = rng.check_result(now);
                    let msg = Msg::Response(
                        ticket,
                        Response::KeyChecked { hash, result: check_result, checked_at: now },
                    );
                    return Some((msg, Some(Effect::Request(ticket, Request::RefreshKeys(keys)))));
                }
                let stored_keys = self.stored_keys.clone();
                let rejected_keys = rng.vec(2, |rng| {
                    let hash = some_hash(&stored_keys, rng);
                    rng.account_key(hash, now)
                });
                let seconds = *rng.choose(&[0, 1, 60, 7_200, i64::MAX]);
                Msg::Response(
                    ticket,
                    Response::RefreshFinished {
                        error: rng.option(Rng::user_error),
                        retry_after: rng.option(|_| SignedDuration::from_secs(seconds)),
                        rejected_keys,
                    },
                )
            }
            Effect::RecoverInterrupted => Msg::RecoveryFinished {
                stored_keys: rng.vec(1, |rng| {
                    let key = rng.key();
                    let label = rng.label();
                    rng.stored_key(label, &key, now)
                }),
                unstored_keys: if rng.one_in(6) {
                    rng.vec(2, |rng| {
                        let (label, key) = (rng.label(), rng.key());
                        let entry = rng.stored_key(label, &key, now);
                        ProvisioningOutcome::NotStored { entry, key, error: rng.user_error() }
                    })
                } else {
                    Vec::new()
                },
                rotations: Vec::new(),
                deleted_labels: rng.vec(2, Rng::label),
                foreign_keys: Vec::new(),
                unresolved_attempts: rng.vec(3, |rng| rng.unresolved_attempt(now)),
                finished: rng.vec(2, |rng| keywright::domain::FinishedStep::Renamed(rng.label())),
                errors: rng.vec(2, Rng::user_error),
            },
            Effect::Request(ticket, Request::ProvisionKey { request, auth_choice }) => {
                if rng.one_in(2) {
                    let event = rng.provisioning_event();
                    let msg = Msg::Response(ticket, Response::ProvisioningEvent(event));
                    return Some((
                        msg,
                        Some(Effect::Request(
                            ticket,
                            Request::ProvisionKey { request, auth_choice },
                        )),
                    ));
                }
                let key = rng.key();
                let stored_key = rng.stored_key(request.label, &key, now);
                Msg::Response(
                    ticket,
                    Response::ProvisioningFinished(rng.provisioning_outcome(stored_key, key)),
                )
            }
            Effect::Request(ticket, Request::RotateKey { stored_key, expiry, retire_policy }) => {
                if rng.one_in(2) {
                    let event = rng.provisioning_event();
                    let msg = Msg::Response(ticket, Response::ProvisioningEvent(event));
                    return Some((
                        msg,
                        Some(Effect::Request(
                            ticket,
                            Request::RotateKey { stored_key, expiry, retire_policy },
                        )),
                    ));
                }
                Msg::Response(
                    ticket,
                    Response::RotationFinished(rng.rotation_outcome(stored_key, now)),
                )
            }
            Effect::Request(ticket, Request::StoreManagementKey(_)) => {
                let stored = StoredManagementKey {
                    masked: "sk-or-v1-444...4444".into(),
                    store_name: rng.text(),
                    rights: rng.vec(3, |rng| KeyRight {
                        name: "read the credits",
                        refused: rng.option(Rng::text),
                    }),
                    is_overridden: rng.one_in(2),
                };
                Msg::Response(ticket, Response::ManagementKeyStored(rng.or_error(|_| stored)))
            }
            Effect::Request(ticket, Request::LoadPlan(_)) => {
                let plan = if rng.one_in(3) {
                    Err(vec![rng.text(), rng.text()])
                } else {
                    let keys = rng.vec(30, Rng::planned_key);
                    Ok(PlanComparison { keys, auth_description: "with the management key".into() })
                };
                Msg::Response(ticket, Response::PlanLoaded(plan))
            }
            Effect::Request(ticket, Request::ApplyPlan(mut requests)) => {
                let Some(request) = requests.pop().filter(|_| !rng.one_in(8)) else {
                    return Some((
                        Msg::Response(ticket, Response::PlanApplied(rng.option(Rng::user_error))),
                        None,
                    ));
                };
                let label = request.label.clone();
                let msg = match rng.below(4) {
                    0 => Msg::Response(ticket, Response::ItemStarted(label)),
                    1 | 2 => {
                        Msg::Response(ticket, Response::ProvisioningEvent(rng.provisioning_event()))
                    }
                    _ => {
                        let key = rng.key();
                        let result = rng.or_error(|rng| rng.stored_key(request.label, &key, now));
                        let note = rng.option(Rng::user_error);
                        let msg = Msg::Response(
                            ticket,
                            Response::ItemFinished { label, result, warning: note },
                        );
                        return Some((
                            msg,
                            Some(Effect::Request(ticket, Request::ApplyPlan(requests))),
                        ));
                    }
                };
                requests.push(request);
                return Some((msg, Some(Effect::Request(ticket, Request::ApplyPlan(requests)))));
            }
            Effect::Request(ticket, Request::RotateKeys { keys, expiry, retire_policy }) => {
                if rng.one_in(2) {
                    let started = Response::ItemStarted(keys.first()?.label.clone());
                    let request = Request::RotateKeys { keys, expiry, retire_policy };
                    return Some((
                        Msg::Response(ticket, started),
                        Some(Effect::Request(ticket, request)),
                    ));
                }
                let outcomes = keys
                    .into_iter()
                    .map(|old| (old.label.clone(), rng.rotation_outcome(old, now)))
                    .collect();
                Msg::Response(ticket, Response::RotationsFinished(outcomes))
            }
            Effect::Request(ticket, Request::RespondToLeak(keys)) => {
                let leak_responses =
                    keys.into_iter().map(|old| rng.leak_response(old, now)).collect();
                Msg::Response(ticket, Response::LeakResponseFinished(leak_responses))
            }
            Effect::Request(ticket, Request::PreviewReplacements(keys)) => {
                Msg::Response(ticket, Response::LossesExpected(rng.losses(keys)))
            }
            Effect::Request(ticket, Request::FetchAccountKey(hash)) => {
                let account_key =
                    rng.or_error(|rng| rng.one_in(3).then(|| rng.account_key(hash, now)));
                Msg::Response(ticket, Response::AccountKeyFetched(account_key))
            }
            Effect::Request(ticket, Request::FetchAccountKeys(hashes)) => {
                let fetch = |hash| rng.or_error(|rng| rng.account_key(hash, now));
                let account_keys = hashes.into_iter().map(fetch).collect();
                Msg::Response(ticket, Response::AccountKeysFetched(account_keys))
            }
            Effect::Request(ticket, Request::UpdateKey(change)) => {
                let mut here = change.key;
                here.label = rng.label();
                Msg::Response(ticket, Response::KeyUpdated(rng.update_outcome(here, now)))
            }
            Effect::EditLimits(mut updates) => {
                let update = Box::new(updates.pop()?);
                let outcome = rng.update_outcome(update.key.clone(), now);
                let msg = Msg::LimitEdited { update, outcome };
                return Some((msg, Some(Effect::EditLimits(updates))));
            }
            Effect::SetKeysDisabled { mut keys, disabled } => {
                let (hash, label) = keys.pop().map(|key| (key.hash.clone(), key.label.clone()))?;
                let result = rng.or_error(|rng| rng.account_key(hash, now));
                let msg = Msg::KeyDisabledSet { label, result, warning: None };
                return Some((msg, Some(Effect::SetKeysDisabled { keys, disabled })));
            }
            Effect::Request(ticket, Request::ImportKey { label, key }) => {
                let result = rng.or_error(|rng| rng.stored_key(label, &key, now));
                Msg::Response(ticket, Response::KeyImported(result))
            }
            Effect::RevokeKeys(mut keys) | Effect::RevokeUnusedKeys(mut keys) => {
                let (hash, label) = keys.pop().map(|key| (key.hash.clone(), key.label.clone()))?;
                let (account_key, reason) = (rng.account_key(hash.clone(), now), String::new());
                let kept = Msg::RetiredKeyInUse { label: label.clone(), account_key, reason };
                let revoked = Msg::KeyRevoked { hash, label, result: rng.or_error(|_| ()) };
                let msg = if rng.one_in(4) { kept } else { revoked };
                return Some((msg, Some(Effect::RevokeKeys(keys))));
            }
            Effect::Request(ticket, Request::LoadAccountKeys) => {
                let stored_keys = self.stored_keys.clone();
                let account = rng.or_error(|rng| AccountKeys {
                    keys: rng.vec(8, |rng| {
                        let hash = some_hash(&stored_keys, rng);
                        rng.account_key(hash, now)
                    }),
                    revoked_hashes: rng.vec(2, |rng| some_hash(&stored_keys, rng)),
                });
                Msg::Response(ticket, Response::AccountKeysLoaded(account))
            }
            Effect::Request(ticket, Request::LoadFormChoices(_)) => {
                Msg::Response(ticket, Response::FormChoicesLoaded(rng.option(Rng::form_choices)))
            }
            Effect::Request(ticket, Request::LoadUsageHistory(hashes)) => {
                let histories = hashes.into_iter().map(|hash| (hash, rng.samples(now))).collect();
                Msg::Response(ticket, Response::UsageHistoryLoaded(histories))
            }
            Effect::Request(ticket, Request::LoadSpending) => {
                let spending = KeySpending { days: rng.days(now), models: rng.models() };
                Msg::Response(ticket, Response::SpendingLoaded([("0".repeat(64), spending)].into()))
            }
            Effect::Request(ticket, Request::LoadAccount) => {
                let report = rng.option(|rng| AccountReport {
                    credits: rng.option(Rng::credits),
                    days: rng.option(|rng| rng.days(now)),
                    spent_today: rng.one_in(2).then_some(1.5),
                    models: Vec::new(),
                    keys: Vec::new(),
                });
                Msg::Response(ticket, Response::AccountLoaded(report))
            }
            Effect::Request(
                ticket,
                Request::RetryStore { entry, key } | Request::StoreInAlternate { entry, key, .. },
            ) => Msg::Response(
                ticket,
                Response::ProvisioningFinished(rng.provisioning_outcome(entry, key)),
            ),
            Effect::Request(ticket, Request::ReadSecret(key)) => Msg::Response(
                ticket,
                Response::SecretRead { label: key.label.clone(), result: rng.or_error(Rng::key) },
            ),
            Effect::CopyShownKey(_)
            | Effect::CopyStoredKey(_)
            | Effect::CopyAsVariables(_)
            | Effect::CopyUrl(_)
            | Effect::OpenUrl(_) => Msg::Notice(rng.or_error(Rng::text)),
            Effect::RemoveKeys(mut keys) => {
                let key = keys.pop()?;
                let label = key.label.clone();
                let trashed = TrashedKey { removed_at: now, key };
                let result = rng.or_error(|rng| rng.option(|_| trashed));
                return Some((Msg::KeyRemoved { label, result }, Some(Effect::RemoveKeys(keys))));
            }
            Effect::RestoreKeys(mut keys) => {
                let trashed = keys.pop()?;
                let result = rng.or_error(|_| trashed.key.clone());
                let msg = Msg::KeyRestored { trashed, result };
                return Some((msg, Some(Effect::RestoreKeys(keys))));
            }
            Effect::Request(ticket, Request::LoadTrash) => {
                let keys = self.stored_keys.iter().take(2).cloned();
                let trash = keys.map(|key| TrashedKey { removed_at: now, key }).collect();
                Msg::Response(ticket, Response::TrashLoaded(rng.or_error(|_| trash)))
            }
            Effect::ConfirmAccount(mut new) => {
                let label = new.label.clone();
                new.other_account = None;
                let result = rng.or_error(|_| Rotated { new, old: None, not_carried: Vec::new() });
                Msg::AccountConfirmed { label, result }
            }
            Effect::Request(ticket, Request::DecideConsent { .. }) => {
                let code = rng.option(Rng::code);
                let text = "the page could not be reached".to_owned();
                let result = if rng.one_in(3) { Err(text) } else { Ok(code) };
                Msg::Response(ticket, Response::ConsentDecided(result))
            }
            Effect::SpendOnKey { .. } | Effect::SkipDay => {
                Msg::SandboxActionFinished(rng.or_error(Rng::text))
            }
            Effect::Suspend => Msg::FocusGained,
            Effect::StopRefresh(_)
            | Effect::CancelRun(_)
            | Effect::SubmitCode(..)
            | Effect::SkipItem(_)
            | Effect::RetryItem(_)
            | Effect::DismissAttempt(_)
            | Effect::UseEnvironmentKey
            | Effect::SaveView(_)
            | Effect::CheckInventory
            | Effect::SwitchProfile(_)
            | Effect::Quit => return None,
        };
        Some((msg, None))
    }

    /// Returns a response whose ticket is unknown or belongs to another request.
    pub fn response_to_any_ticket(&mut self) -> Msg {
        let ticket =
            Ticket(self.rng.below(40) as u64 + if self.rng.one_in(2) { 0 } else { 1 << 40 });
        let now = self.now;
        let rng = &mut self.rng;
        let (label, key) = (rng.label(), rng.key());
        let stored_key = rng.stored_key(label, &key, now);
        match rng.below(9) {
            0 => Msg::Response(ticket, Response::KeysLoaded(rng.or_error(|_| Vec::new()))),
            1 => {
                let outcome = rng.provisioning_outcome(stored_key, key);
                Msg::Response(ticket, Response::ProvisioningFinished(outcome))
            }
            2 => Msg::Response(
                ticket,
                Response::RotationFinished(rng.rotation_outcome(stored_key, now)),
            ),
            3 => Msg::Response(
                ticket,
                Response::LeakResponseFinished(vec![rng.leak_response(stored_key, now)]),
            ),
            4 => Msg::Response(
                ticket,
                Response::SecretRead { label: stored_key.label.clone(), result: Ok(key) },
            ),
            5 => Msg::Response(ticket, Response::ProvisioningEvent(rng.provisioning_event())),
            6 => Msg::Response(ticket, Response::ConsentDecided(Ok(Some(rng.code())))),
            7 => Msg::Response(ticket, Response::KeyImported(Ok(stored_key))),
            _ => Msg::Response(
                ticket,
                Response::UsageHistoryLoaded(vec![(stored_key.hash.clone(), rng.samples(now))]),
            ),
        }
    }
}

/// Returns the hash of a stored key, or of an unknown one.
fn some_hash(stored_keys: &[StoredKey], rng: &mut Rng) -> String {
    if stored_keys.is_empty() || rng.one_in(2) {
        rng.key().hash()
    } else {
        rng.choose(stored_keys).hash.clone()
    }
}
