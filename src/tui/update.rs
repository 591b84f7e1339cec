//! What follows from what happens. Pure: a model and a message in, effects out.

mod actions;
mod form;
mod intents;
mod plan;
mod responses;
mod sign_in;

use jiff::Timestamp;

use crate::domain::{CheckResult, ErrorKind, ProvisioningOutcome, StoredKey, UserError};
use crate::tui::state::{Effect, Errand, Model, Reveal, Screen, Unfinished};
use crate::tui::state::{Msg, Ticket};

/// The first effects.
pub fn start(model: &mut Model) -> Vec<Effect> {
    let ticket = model.ticket();
    model.dashboard.loading = Some(ticket);
    vec![Effect::LoadKeys(ticket)]
}

/// One message, at that moment.
pub fn update(model: &mut Model, msg: Msg, now: Timestamp) -> Vec<Effect> {
    model.now = now;
    let mut effects = match msg {
        Msg::Wanted(intent) => {
            model.notice = None;
            intents::wanted(model, intent)
        }
        Msg::Ticked => {
            model.dashboard.look(now);
            if model.refresh.is_due(now) { refresh(model) } else { Vec::new() }
        }
        Msg::Left => left(model),
        Msg::Returned if model.refresh.is_due_on_return(now) => refresh(model),
        Msg::Returned => Vec::new(),
        Msg::Refreshed { ticket, hash, read, at } => {
            if model.refresh.is(ticket) {
                model.refresh.no_credit = read == CheckResult::InsufficientCredits;
                if let Some(round) = &mut model.refresh.round {
                    round.note(&read);
                }
                model.dashboard.note(&hash, &read, at);
            }
            Vec::new()
        }
        Msg::RefreshEnded { ticket, trouble, wait, refused } => {
            if model.refresh.is(ticket) {
                for remote in &refused {
                    model.dashboard.note_remote(remote, now);
                }
                // The past has grown.
                model.dashboard.past_grew();
                let resets = model.dashboard.held().iter().filter_map(StoredKey::reset);
                let first = resets.filter_map(|reset| reset.next_after(now)).min();
                model.refresh.end(now, trouble, wait, first);
                model.dashboard.look(now);
            }
            let again = model.refresh.round.is_none() && std::mem::take(&mut model.refresh.again);
            if again { refresh(model) } else { Vec::new() }
        }
        Msg::Resized(columns, rows) => {
            model.size = (columns, rows);
            Vec::new()
        }
        Msg::KeysLoaded { ticket, keys } => {
            let mut effects = Vec::new();
            if model.dashboard.loading == Some(ticket) {
                model.dashboard.loading = None;
                let read = keys.is_ok();
                let asked = std::mem::take(&mut model.refresh.asked);
                model.dashboard.load(keys, now);
                refresh_taken(model);
                // The list first; then what was left behind, and the figures.
                effects.push(Effect::Recover);
                if read && (model.refresh.every.is_some() || asked) {
                    effects.extend(refresh(model));
                }
            }
            effects
        }
        Msg::Recovered { stored, not_stored, rotations, unresolved, trouble } => {
            for reveal in not_stored.into_iter().filter_map(|outcome| Reveal::of(outcome).ok()) {
                rescue(model, reveal);
            }
            model.dashboard.unresolved = unresolved;
            for (label, result) in rotations {
                responses::resumed(model, &label, result);
            }
            for held in stored {
                model.notice = Some(Ok(format!(
                    "'{}' was left behind by an earlier run and is stored now",
                    held.label
                )));
                model.dashboard.add(held, now);
            }
            if let Some(trouble) = trouble {
                model.notice = Some(Err(trouble));
            }
            Vec::new()
        }
        Msg::Reported { ticket, report } => {
            if let Screen::Login(login) = &mut model.screen
                && login.ticket == ticket
            {
                login.report(report, now);
            }
            Vec::new()
        }
        Msg::Provisioned { ticket, outcome } => provisioned(model, ticket, outcome),
        Msg::Rotated { ticket, rotation } => responses::rotated(model, ticket, rotation),
        Msg::Panicked { ticket, panicked } => responses::panicked(model, ticket, panicked),
        Msg::PlanRead { ticket, plan } => {
            plan::was_read(model, ticket, plan);
            Vec::new()
        }
        Msg::Turned { ticket, label } => {
            plan::turned(model, ticket, &label);
            Vec::new()
        }
        Msg::Ended { ticket, label, result, note } => {
            plan::ended(model, ticket, &label, result, note);
            Vec::new()
        }
        Msg::Applied { ticket, trouble } => plan::applied(model, ticket, trouble),
        Msg::Looked { ticket, remote } => {
            if model.looking == Some(ticket) {
                responses::looked(model, remote);
            }
            Vec::new()
        }
        Msg::Changed { ticket, outcome } => {
            if model.close(ticket) {
                responses::changed(model, ticket, outcome);
            }
            Vec::new()
        }
        Msg::Switched { label, result } => {
            responses::switched(model, &label, result);
            Vec::new()
        }
        Msg::Imported { ticket, result } => {
            if model.close(ticket) {
                responses::imported(model, ticket, result);
            }
            Vec::new()
        }
        Msg::Revoked { hash, label, result } => {
            responses::revoked(model, &hash, &label, result);
            Vec::new()
        }
        Msg::AccountRead { ticket, account } => {
            if model.dashboard.reading == Some(ticket) {
                responses::account_read(model, account);
            }
            Vec::new()
        }
        Msg::ManagementKnown(known) => {
            responses::management_known(model, known);
            Vec::new()
        }
        Msg::PastRead { ticket, past } => {
            if model.dashboard.recalling == Some(ticket) {
                model.dashboard.recall(past, now);
                responses::let_go(model)
            } else {
                Vec::new()
            }
        }
        Msg::Fetched { ticket, label, key } => {
            let selected = model.dashboard.current().is_some_and(|held| held.label == label);
            if model.dashboard.awaited.take_if(|awaited| *awaited == ticket).is_some() && selected {
                match key {
                    Ok(key) => model.dashboard.show(label, key, now),
                    Err(trouble) => model.notice = Some(Err(trouble)),
                }
            }
            Vec::new()
        }
        Msg::Removed { label, result } => {
            model.notice = Some(result.map(|()| {
                model.dashboard.remove(&label, now);
                format!("'{label}' was forgotten here; the key itself stays valid until you delete it at the server")
            }));
            Vec::new()
        }
        Msg::Decided { ticket, result } => sign_in::decided(model, ticket, result),
        Msg::Played(words) => {
            model.notice = Some(words);
            // Figures that are on their way may be from before.
            model.refresh.again = model.refresh.round.is_some();
            refresh(model)
        }
        Msg::Noticed(words) => {
            model.notice = Some(words);
            Vec::new()
        }
    };
    effects.extend(settle(model));
    effects
}

/// Asks the keys about themselves, those on screen first.
fn refresh(model: &mut Model) -> Vec<Effect> {
    if model.refresh.round.is_some() {
        return Vec::new();
    }
    if model.dashboard.held().is_empty() {
        model.refresh.put_off(model.now);
        return Vec::new();
    }
    let ticket = model.ticket();
    let dashboard = &model.dashboard;
    let seen: Vec<&StoredKey> = dashboard.visible(model.size.1).map(|(_, held)| held).collect();
    let rest =
        dashboard.held().iter().filter(|held| !seen.iter().any(|other| other.hash == held.hash));
    let keys: Vec<_> = seen
        .iter()
        .copied()
        .chain(rest)
        .map(|held| (held.hash.clone(), held.label.clone()))
        .collect();
    model.refresh.begin(ticket, keys.len());
    vec![Effect::Refresh { ticket, keys }]
}

/// A journey's end: shown where its screen is, said where the person is elsewhere by now.
fn provisioned(model: &mut Model, ticket: Ticket, outcome: ProvisioningOutcome) -> Vec<Effect> {
    if !model.close(ticket) {
        // Nobody waits for it. A key that is nowhere but here is kept all the same.
        if let Ok(reveal) = Reveal::of(outcome)
            && !reveal.stored
        {
            rescue(model, reveal);
        }
        return Vec::new();
    }
    let seen = match &model.screen {
        Screen::Login(login) => login.ticket == ticket,
        Screen::Reveal(reveal) => reveal.storing == Some(ticket),
        Screen::Dashboard
        | Screen::Form(_)
        | Screen::Ask(_)
        | Screen::Deeds(_)
        | Screen::Plan(_) => false,
    };
    let left = model.unfinished.iter().position(|unfinished| unfinished.ticket == ticket);
    let left = left.map(|at| model.unfinished.remove(at));
    if let ProvisioningOutcome::Stored { stored_key: held, .. } = &outcome {
        model.dashboard.add(held.clone(), model.now);
        refresh_taken(model);
    }
    match (Reveal::of(outcome), left) {
        (Ok(reveal), None) if seen => {
            let hash = reveal.key.hash();
            let left = std::mem::replace(&mut model.screen, Screen::Reveal(Box::new(reveal)));
            // An answer about another key takes nothing from this one.
            if let Screen::Reveal(left) = left
                && left.key.hash() != hash
            {
                model.rescued.push(Reveal { storing: None, ..*left });
            }
        }
        (Ok(reveal), _) if !reveal.stored => rescue(model, reveal),
        (Ok(reveal), _) => {
            model.notice =
                Some(Ok(format!("'{}' had been issued and is stored", reveal.held.label)));
        }
        (Err(trouble), None) => match &mut model.screen {
            Screen::Login(login) if seen => login.trouble = Some(trouble),
            Screen::Reveal(reveal) if seen => {
                reveal.storing = None;
                reveal.trouble = Some(trouble);
            }
            _ => {}
        },
        // Cancelled, as was wanted.
        (Err(trouble), Some(_)) if trouble.kind == ErrorKind::Cancelled => {}
        (Err(trouble), Some(_)) => {
            model.notice = Some(Err(trouble));
        }
    }
    depart(model)
}

/// A key that is nowhere but here is never dropped, wherever the person went: it waits for the
/// screen, and whoever was leaving stays for it.
fn rescue(model: &mut Model, reveal: Reveal) {
    let hash = reveal.key.hash();
    let on_screen = match &model.screen {
        Screen::Reveal(shown) if !shown.stored => Some(&**shown),
        _ => None,
    };
    let shown = on_screen.is_some();
    if model.rescued.iter().chain(on_screen).any(|kept| kept.key.hash() == hash) {
        return;
    }
    model.notice = Some(Err(UserError::new(
        ErrorKind::SecretStore,
        format!("'{}' was issued and could not be stored", reveal.held.label),
        "it waits behind this screen: esc shows it",
    )));
    model.rescued.push(reveal);
    // On any other screen there is nothing to lose.
    if std::mem::take(&mut model.leaving) && !model.gone && !shown {
        model.screen = Screen::Dashboard;
    }
}

fn depart(model: &mut Model) -> Vec<Effect> {
    if !model.leaving && !model.gone {
        return Vec::new();
    }
    let Some(unfinished) = model.unfinished.first() else { return vec![Effect::Quit] };
    model.notice = Some(Err(UserError::new(
        ErrorKind::Failed,
        format!("a key for {} may be on its way", unfinished.label),
        "leaving as soon as it is stored or known not to come",
    )));
    Vec::new()
}

/// Nobody is there to be asked: ends as soon as no key is on its way any more. A key that could not
/// be stored is on the journal's list from the next start on.
fn left(model: &mut Model) -> Vec<Effect> {
    model.gone = true;
    model.question = None;
    if let Screen::Reveal(reveal) = &model.screen
        && let Some(ticket) = reveal.storing
    {
        // It may be stored in the next moment.
        model.unfinished.push(Unfinished { ticket, label: reveal.held.label.clone() });
    }
    let mut effects = intents::quit(model);
    if model.question.take().is_some() {
        effects.extend(depart(model));
    }
    effects
}

/// A key that is nowhere but here comes on screen as soon as that takes nothing from the person, and
/// nothing that is asked about; one that is shown for a moment is shown on its own screen alone.
/// What the dashboard shows of a key's past is looked up when it is to be shown.
fn settle(model: &mut Model) -> Vec<Effect> {
    if matches!(model.screen, Screen::Dashboard)
        && model.question.is_none()
        && let Some(reveal) = model.rescued.pop()
    {
        model.screen = Screen::Reveal(Box::new(reveal));
    }
    model.dashboard.tick(model.now);
    match &mut model.screen {
        Screen::Dashboard => {}
        Screen::Reveal(reveal) => {
            reveal.tick(model.now);
            model.dashboard.hide();
        }
        Screen::Form(_)
        | Screen::Login(_)
        | Screen::Ask(_)
        | Screen::Deeds(_)
        | Screen::Plan(_) => {
            model.dashboard.hide();
        }
    }
    if !matches!(model.screen, Screen::Dashboard) || model.dashboard.recalling.is_some() {
        return Vec::new();
    }
    let hashes = model.dashboard.unknown_past(model.size.0);
    if hashes.is_empty() {
        return Vec::new();
    }
    let ticket = model.ticket();
    model.dashboard.recalling = Some(ticket);
    vec![Effect::ReadPast { ticket, hashes }]
}

/// The form knows which labels are taken, even those that were taken while it was open.
fn refresh_taken(model: &mut Model) {
    let held = model.dashboard.held();
    match &mut model.screen {
        Screen::Form(form) => form.set_taken(held),
        Screen::Login(login) => {
            if let Errand::Cut { form, .. } = &mut login.errand {
                form.set_taken(held);
            }
        }
        Screen::Dashboard
        | Screen::Reveal(_)
        | Screen::Ask(_)
        | Screen::Deeds(_)
        | Screen::Plan(_) => {}
    }
}
