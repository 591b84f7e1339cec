//! What the world says to what the core asks for: plausible good and bad answers, and some that
//! nobody asked for.

use jiff::SignedDuration;
use keywright::domain::{AccountKeys, ApiKey, ProvisioningOutcome, Rotated, StoredKey};
use keywright::tui::state::{
    Effect, KeyUpdateOutcome, Msg, PlanComparison, Request, Response, Ticket,
};
use secrecy::ExposeSecret;

use super::{Dice, Monkey};

/// The key itself.
#[expect(clippy::disallowed_methods, reason = "a test's own key")]
pub fn text(key: &ApiKey) -> String {
    key.expose_secret().to_owned()
}

impl Monkey {
    /// An answer to something that was asked for. What is asked once is then done with; what is
    /// answered in parts may have more to come.
    pub fn answer(&mut self) -> Msg {
        // Often the one that was asked for last, or few stories would come to their end.
        let last = self.asked.len() - 1;
        let at = if self.dice.once_in(2) { last } else { self.dice.below(last + 1) };
        let effect = self.asked.remove(at);
        let Some((msg, more)) = self.answer_to(effect) else { return Msg::Tick };
        self.asked.extend(more);
        if self.dice.once_in(3) {
            self.late.push(msg.clone());
            if self.late.len() > 12 {
                self.late.remove(0);
            }
        }
        msg
    }

    /// Nothing for what is never answered.
    fn answer_to(&mut self, effect: Effect) -> Option<(Msg, Option<Effect>)> {
        let now = self.now;
        let dice = &mut self.dice;
        let msg = match effect {
            Effect::Request(ticket, Request::LoadKeys) => {
                if self.world.len() < 3 || dice.once_in(20) {
                    self.world = dice.several(30, |dice| {
                        let key = dice.key();
                        let label = dice.label();
                        dice.held(label, &key, now)
                    });
                }
                let world = self.world.clone();
                Msg::Response(ticket, Response::KeysLoaded(dice.or_trouble(|_| world)))
            }
            Effect::Request(ticket, Request::RefreshKeys(keys)) => {
                if !keys.is_empty() && !dice.once_in(4) {
                    let hash = dice.one(&keys).0.clone();
                    let read = dice.read(now);
                    let msg = Msg::Response(
                        ticket,
                        Response::KeyChecked { hash, result: read, checked_at: now },
                    );
                    return Some((msg, Some(Effect::Request(ticket, Request::RefreshKeys(keys)))));
                }
                let world = self.world.clone();
                let refused = dice.several(2, |dice| {
                    let hash = some_hash(&world, dice);
                    dice.remote(hash, now)
                });
                let wait = *dice.one(&[0, 1, 60, 7_200, i64::MAX]);
                Msg::Response(
                    ticket,
                    Response::RefreshFinished {
                        error: dice.maybe(Dice::trouble),
                        retry_after: dice.maybe(|_| SignedDuration::from_secs(wait)),
                        rejected_keys: refused,
                    },
                )
            }
            Effect::RecoverInterrupted => Msg::RecoveryFinished {
                stored_keys: dice.several(1, |dice| {
                    let key = dice.key();
                    let label = dice.label();
                    dice.held(label, &key, now)
                }),
                unstored_keys: if dice.once_in(6) {
                    dice.several(2, |dice| {
                        let (label, key) = (dice.label(), dice.key());
                        let held = dice.held(label, &key, now);
                        ProvisioningOutcome::NotStored { entry: held, key, error: dice.trouble() }
                    })
                } else {
                    Vec::new()
                },
                rotations: Vec::new(),
                deleted_labels: dice.several(2, Dice::label),
                unresolved_attempts: dice.several(3, |dice| dice.unresolved(now)),
                error: dice.maybe(Dice::trouble),
            },
            Effect::Request(ticket, Request::ProvisionKey { request, auth_choice: road }) => {
                if dice.once_in(2) {
                    let report = dice.report();
                    let msg = Msg::Response(ticket, Response::ProvisioningEvent(report));
                    return Some((
                        msg,
                        Some(Effect::Request(
                            ticket,
                            Request::ProvisionKey { request, auth_choice: road },
                        )),
                    ));
                }
                let key = dice.key();
                let held = dice.held(request.label, &key, now);
                Msg::Response(ticket, Response::ProvisioningFinished(dice.outcome(held, key)))
            }
            Effect::Request(
                ticket,
                Request::RotateKey { stored_key: held, retire_policy: terms },
            ) => {
                if dice.once_in(2) {
                    let report = dice.report();
                    let msg = Msg::Response(ticket, Response::ProvisioningEvent(report));
                    return Some((
                        msg,
                        Some(Effect::Request(
                            ticket,
                            Request::RotateKey { stored_key: held, retire_policy: terms },
                        )),
                    ));
                }
                Msg::Response(ticket, Response::RotationFinished(dice.rotation(held, now)))
            }
            Effect::Request(ticket, Request::LoadPlan(_)) => {
                let plan = if dice.once_in(3) {
                    Err(vec![dice.words(), dice.words()])
                } else {
                    let keys = dice.several(30, Dice::planned);
                    Ok(PlanComparison { keys, auth_description: "with the management key".into() })
                };
                Msg::Response(ticket, Response::PlanLoaded(plan))
            }
            Effect::Request(ticket, Request::ApplyPlan(mut requests)) => {
                let Some(request) = requests.pop().filter(|_| !dice.once_in(8)) else {
                    return Some((
                        Msg::Response(ticket, Response::PlanApplied(dice.maybe(Dice::trouble))),
                        None,
                    ));
                };
                let label = request.label.clone();
                let msg = match dice.below(4) {
                    0 => Msg::Response(ticket, Response::ItemStarted(label)),
                    1 | 2 => Msg::Response(ticket, Response::ProvisioningEvent(dice.report())),
                    _ => {
                        let key = dice.key();
                        let result = dice.or_trouble(|dice| dice.held(request.label, &key, now));
                        let note = dice.maybe(Dice::trouble);
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
            Effect::Request(ticket, Request::RespondToLeak(keys)) => {
                let panicked = keys.into_iter().map(|old| dice.panicked(old, now)).collect();
                Msg::Response(ticket, Response::LeakResponseFinished(panicked))
            }
            Effect::Request(ticket, Request::FetchAccountKey(hash)) => {
                let remote =
                    dice.or_trouble(|dice| dice.once_in(3).then(|| dice.remote(hash, now)));
                Msg::Response(ticket, Response::AccountKeyFetched(remote))
            }
            Effect::Request(ticket, Request::UpdateKey(change)) => {
                let remote = dice.remote(change.key.hash.clone(), now);
                let mut here = change.key;
                here.label = dice.label();
                let outcome = match dice.below(3) {
                    0 => KeyUpdateOutcome::Failed(dice.trouble()),
                    1 => KeyUpdateOutcome::Conflict {
                        current: remote,
                        changed_fields: vec!["limit"],
                    },
                    _ => KeyUpdateOutcome::Updated {
                        account_key: dice.maybe(|_| remote),
                        stored_key: here.is_stored().then_some(here),
                        warning: dice.maybe(Dice::trouble),
                    },
                };
                Msg::Response(ticket, Response::KeyUpdated(outcome))
            }
            Effect::SetKeysDisabled { mut keys, disabled } => {
                let held = keys.pop()?;
                let result = dice.or_trouble(|dice| dice.remote(held.hash, now));
                let msg = Msg::KeyDisabledSet { label: held.label, result, warning: None };
                return Some((msg, Some(Effect::SetKeysDisabled { keys, disabled })));
            }
            Effect::Request(ticket, Request::ImportKey { label, key }) => {
                let result = dice.or_trouble(|dice| dice.held(label, &key, now));
                Msg::Response(ticket, Response::KeyImported(result))
            }
            Effect::RevokeKeys(mut keys) => {
                let held = keys.pop()?;
                let result = dice.or_trouble(|_| ());
                let msg = Msg::KeyRevoked { hash: held.hash, label: held.label, result };
                return Some((msg, Some(Effect::RevokeKeys(keys))));
            }
            Effect::Request(ticket, Request::LoadAccountKeys) => {
                let world = self.world.clone();
                let account = dice.or_trouble(|dice| AccountKeys {
                    keys: dice.several(8, |dice| {
                        let hash = some_hash(&world, dice);
                        dice.remote(hash, now)
                    }),
                    revoked_hashes: dice.several(2, |dice| some_hash(&world, dice)),
                });
                Msg::Response(ticket, Response::AccountKeysLoaded(account))
            }
            Effect::DetectManagementKey => Msg::ManagementKeyDetected(dice.once_in(2)),
            Effect::Request(ticket, Request::LoadUsageHistory(hashes)) => {
                let past = hashes.into_iter().map(|hash| (hash, dice.samples(now))).collect();
                Msg::Response(ticket, Response::UsageHistoryLoaded(past))
            }
            Effect::Request(
                ticket,
                Request::RetryStore { entry: held, key }
                | Request::StoreInAlternate { entry: held, key, .. },
            ) => Msg::Response(ticket, Response::ProvisioningFinished(dice.outcome(held, key))),
            Effect::Request(ticket, Request::ReadSecret(label)) => Msg::Response(
                ticket,
                Response::SecretRead { label, result: dice.or_trouble(Dice::key) },
            ),
            Effect::CopyShownKey(_)
            | Effect::CopyStoredKey(_)
            | Effect::CopyUrl(_)
            | Effect::OpenUrl(_) => Msg::Notice(dice.or_trouble(Dice::words)),
            Effect::RemoveKeys(mut labels) => {
                let label = labels.pop()?;
                let result = dice.or_trouble(|_| ());
                return Some((Msg::KeyRemoved { label, result }, Some(Effect::RemoveKeys(labels))));
            }
            Effect::ConfirmAccount(mut new) => {
                let label = new.label.clone();
                new.other_account = None;
                let result = dice.or_trouble(|_| Rotated { new, old: None });
                Msg::AccountConfirmed { label, result }
            }
            Effect::Request(ticket, Request::DecideConsent { .. }) => {
                let code = dice.maybe(Dice::code);
                let words = "the page could not be reached".to_owned();
                let result = if dice.once_in(3) { Err(words) } else { Ok(code) };
                Msg::Response(ticket, Response::ConsentDecided(result))
            }
            Effect::SpendOnKey { .. } | Effect::SkipDay => {
                Msg::SandboxActionFinished(dice.or_trouble(Dice::words))
            }
            Effect::Suspend => Msg::FocusGained,
            Effect::StopRefresh(_)
            | Effect::CancelRun(_)
            | Effect::SubmitCode(..)
            | Effect::SkipItem(_)
            | Effect::RetryItem(_)
            | Effect::DismissAttempt(_)
            | Effect::Quit => return None,
        };
        Some((msg, None))
    }

    /// An answer under a ticket that nobody waits for, or that another one waits for.
    pub fn stale(&mut self) -> Msg {
        let ticket =
            Ticket(self.dice.below(40) as u64 + if self.dice.once_in(2) { 0 } else { 1 << 40 });
        let now = self.now;
        let dice = &mut self.dice;
        let (label, key) = (dice.label(), dice.key());
        let held = dice.held(label, &key, now);
        match dice.below(9) {
            0 => Msg::Response(ticket, Response::KeysLoaded(dice.or_trouble(|_| Vec::new()))),
            1 => {
                let outcome = dice.outcome(held, key);
                Msg::Response(ticket, Response::ProvisioningFinished(outcome))
            }
            2 => Msg::Response(ticket, Response::RotationFinished(dice.rotation(held, now))),
            3 => Msg::Response(
                ticket,
                Response::LeakResponseFinished(vec![dice.panicked(held, now)]),
            ),
            4 => Msg::Response(ticket, Response::SecretRead { label: held.label, result: Ok(key) }),
            5 => Msg::Response(ticket, Response::ProvisioningEvent(dice.report())),
            6 => Msg::Response(ticket, Response::ConsentDecided(Ok(Some(dice.code())))),
            7 => Msg::Response(ticket, Response::KeyImported(Ok(held))),
            _ => Msg::Response(
                ticket,
                Response::UsageHistoryLoaded(vec![(held.hash, dice.samples(now))]),
            ),
        }
    }
}

/// The hash of a key that is known, or of another one.
fn some_hash(world: &[StoredKey], dice: &mut Dice) -> String {
    if world.is_empty() || dice.once_in(2) {
        dice.key().hash()
    } else {
        dice.one(world).hash.clone()
    }
}
