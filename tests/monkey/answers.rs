//! What the world says to what the core asks for: plausible good and bad answers, and some that
//! nobody asked for.

use jiff::SignedDuration;
use keywright::domain::{AccountKeys, ApiKey, ProvisioningOutcome, StoredKey};
use keywright::tui::state::{Changed, Compared, Effect, Msg, Ticket};
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
        let Some((msg, more)) = self.answer_to(effect) else { return Msg::Ticked };
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
            Effect::LoadKeys(ticket) => {
                if self.world.len() < 3 || dice.once_in(20) {
                    self.world = dice.several(30, |dice| {
                        let key = dice.key();
                        let label = dice.label();
                        dice.held(label, &key, now)
                    });
                }
                let world = self.world.clone();
                Msg::KeysLoaded { ticket, keys: dice.or_trouble(|_| world) }
            }
            Effect::Refresh { ticket, keys } => {
                if !keys.is_empty() && !dice.once_in(4) {
                    let hash = dice.one(&keys).0.clone();
                    let read = dice.read(now);
                    let msg = Msg::Refreshed { ticket, hash, read, at: now };
                    return Some((msg, Some(Effect::Refresh { ticket, keys })));
                }
                let world = self.world.clone();
                let refused = dice.several(2, |dice| {
                    let hash = some_hash(&world, dice);
                    dice.remote(hash, now)
                });
                let wait = *dice.one(&[0, 1, 60, 7_200, i64::MAX]);
                Msg::RefreshEnded {
                    ticket,
                    trouble: dice.maybe(Dice::trouble),
                    wait: dice.maybe(|_| SignedDuration::from_secs(wait)),
                    refused,
                }
            }
            Effect::Recover => Msg::Recovered {
                stored: dice.several(1, |dice| {
                    let key = dice.key();
                    let label = dice.label();
                    dice.held(label, &key, now)
                }),
                not_stored: if dice.once_in(6) {
                    dice.several(2, |dice| {
                        let (label, key) = (dice.label(), dice.key());
                        let held = dice.held(label, &key, now);
                        ProvisioningOutcome::NotStored { entry: held, key, error: dice.trouble() }
                    })
                } else {
                    Vec::new()
                },
                rotations: Vec::new(),
                unresolved: dice.several(3, |dice| dice.unresolved(now)),
                trouble: dice.maybe(Dice::trouble),
            },
            Effect::Provision { ticket, request, road } => {
                if dice.once_in(2) {
                    let report = dice.report();
                    let msg = Msg::Reported { ticket, report };
                    return Some((msg, Some(Effect::Provision { ticket, request, road })));
                }
                let key = dice.key();
                let held = dice.held(request.label, &key, now);
                Msg::Provisioned { ticket, outcome: dice.outcome(held, key) }
            }
            Effect::Rotate { ticket, held, terms } => {
                if dice.once_in(2) {
                    let report = dice.report();
                    let msg = Msg::Reported { ticket, report };
                    return Some((msg, Some(Effect::Rotate { ticket, held, terms })));
                }
                Msg::Rotated { ticket, rotation: dice.rotation(held, now) }
            }
            Effect::ReadPlan { ticket, .. } => {
                let plan = if dice.once_in(3) {
                    Err(vec![dice.words(), dice.words()])
                } else {
                    let keys = dice.several(30, Dice::planned);
                    Ok(Compared { keys, road: "with the management key".into() })
                };
                Msg::PlanRead { ticket, plan }
            }
            Effect::Apply { ticket, mut requests } => {
                let Some(request) = requests.pop().filter(|_| !dice.once_in(8)) else {
                    return Some((
                        Msg::Applied { ticket, trouble: dice.maybe(Dice::trouble) },
                        None,
                    ));
                };
                let label = request.label.clone();
                let msg = match dice.below(4) {
                    0 => Msg::Turned { ticket, label },
                    1 | 2 => Msg::Reported { ticket, report: dice.report() },
                    _ => {
                        let key = dice.key();
                        let result = dice.or_trouble(|dice| dice.held(request.label, &key, now));
                        let note = dice.maybe(Dice::trouble);
                        let msg = Msg::Ended { ticket, label, result, note };
                        return Some((msg, Some(Effect::Apply { ticket, requests })));
                    }
                };
                requests.push(request);
                return Some((msg, Some(Effect::Apply { ticket, requests })));
            }
            Effect::Panic { ticket, keys } => {
                let panicked = keys.into_iter().map(|old| dice.panicked(old, now)).collect();
                Msg::Panicked { ticket, panicked }
            }
            Effect::Look { ticket, hash } => {
                let remote =
                    dice.or_trouble(|dice| dice.once_in(3).then(|| dice.remote(hash, now)));
                Msg::Looked { ticket, remote }
            }
            Effect::Change { ticket, change } => {
                let remote = dice.remote(change.held.hash.clone(), now);
                let mut here = change.held;
                here.label = dice.label();
                let outcome = match dice.below(3) {
                    0 => Changed::Failed(dice.trouble()),
                    1 => Changed::Conflict { now: remote, differences: vec!["limit"] },
                    _ => Changed::Done {
                        there: dice.maybe(|_| remote),
                        here: here.is_stored().then_some(here),
                        note: dice.maybe(Dice::trouble),
                    },
                };
                Msg::Changed { ticket, outcome }
            }
            Effect::Switch { mut keys, disabled } => {
                let held = keys.pop()?;
                let result = dice.or_trouble(|dice| dice.remote(held.hash, now));
                let msg = Msg::Switched { label: held.label, result };
                return Some((msg, Some(Effect::Switch { keys, disabled })));
            }
            Effect::Import { ticket, label, key } => {
                let result = dice.or_trouble(|dice| dice.held(label, &key, now));
                Msg::Imported { ticket, result }
            }
            Effect::Revoke(mut keys) => {
                let held = keys.pop()?;
                let result = dice.or_trouble(|_| ());
                let msg = Msg::Revoked { hash: held.hash, label: held.label, result };
                return Some((msg, Some(Effect::Revoke(keys))));
            }
            Effect::ReadAccount(ticket) => {
                let world = self.world.clone();
                let account = dice.or_trouble(|dice| AccountKeys {
                    keys: dice.several(8, |dice| {
                        let hash = some_hash(&world, dice);
                        dice.remote(hash, now)
                    }),
                    revoked_hashes: dice.several(2, |dice| some_hash(&world, dice)),
                });
                Msg::AccountRead { ticket, account }
            }
            Effect::LookForManagement => Msg::ManagementKnown(dice.once_in(2)),
            Effect::ReadPast { ticket, hashes } => {
                let past = hashes.into_iter().map(|hash| (hash, dice.samples(now))).collect();
                Msg::PastRead { ticket, past }
            }
            Effect::StoreAgain { ticket, held, key }
            | Effect::StoreElsewhere { ticket, held, key, .. } => {
                Msg::Provisioned { ticket, outcome: dice.outcome(held, key) }
            }
            Effect::Fetch(ticket, label) => {
                Msg::Fetched { ticket, label, key: dice.or_trouble(Dice::key) }
            }
            Effect::CopyKey(_) | Effect::CopyHeld(_) | Effect::CopyAddress(_) | Effect::Open(_) => {
                Msg::Noticed(dice.or_trouble(Dice::words))
            }
            Effect::Remove(mut labels) => {
                let label = labels.pop()?;
                let result = dice.or_trouble(|_| ());
                return Some((Msg::Removed { label, result }, Some(Effect::Remove(labels))));
            }
            Effect::Decide { ticket, .. } => {
                let code = dice.maybe(Dice::code);
                let words = "the page could not be reached".to_owned();
                let result = if dice.once_in(3) { Err(words) } else { Ok(code) };
                Msg::Decided { ticket, result }
            }
            Effect::Spend { .. } | Effect::SkipDay => Msg::Played(dice.or_trouble(Dice::words)),
            Effect::Suspend => Msg::Returned,
            Effect::StopRefresh(_)
            | Effect::Cancel(_)
            | Effect::GiveCode(..)
            | Effect::Skip(_)
            | Effect::Anew(_)
            | Effect::Dismiss(_)
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
            0 => Msg::KeysLoaded { ticket, keys: dice.or_trouble(|_| Vec::new()) },
            1 => {
                let outcome = dice.outcome(held, key);
                Msg::Provisioned { ticket, outcome }
            }
            2 => Msg::Rotated { ticket, rotation: dice.rotation(held, now) },
            3 => Msg::Panicked { ticket, panicked: vec![dice.panicked(held, now)] },
            4 => Msg::Fetched { ticket, label: held.label, key: Ok(key) },
            5 => Msg::Reported { ticket, report: dice.report() },
            6 => Msg::Decided { ticket, result: Ok(Some(dice.code())) },
            7 => Msg::Imported { ticket, result: Ok(held) },
            _ => Msg::PastRead { ticket, past: vec![(held.hash, dice.samples(now))] },
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
