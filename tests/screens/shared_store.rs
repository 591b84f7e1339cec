//! A dashboard whose keys are in a shared store.

use keywright::domain::{KeyLocation, SecretLoss, SharedRecord};

use super::*;

#[test]
fn a_shared_store_that_is_not_read_yet_is_not_called_empty() {
    let mut model = model((80, 24));
    model.shared_store.is_in_use = true;
    update(&mut model, Msg::Response(Ticket(1), Response::KeysLoaded(Ok(Vec::new()))), now());
    assert!(drawn(&model).contains("Reading the shared store."));
    let ticket = model.dashboard.load_ticket.unwrap();
    let (keys, error, is_read_only) = (Ok(Vec::new()), None, false);
    let read = Response::SharedKeysRead { keys, error, is_read_only };
    update(&mut model, Msg::Response(ticket, read), now());
    assert!(drawn(&model).contains("No keys are stored yet."));
}

#[test]
fn a_token_that_may_only_read_is_offered_no_rotation() {
    let mut model = model((160, 50));
    model.shared_store.is_in_use = true;
    let mut shared = key("ci", Some("5"), None, Some(-2));
    shared.location = KeyLocation::Stored(StoreKind::Bao);
    let keys = vec![shared];
    update(&mut model, Msg::Response(Ticket(1), Response::KeysLoaded(Ok(keys.clone()))), now());
    assert!(drawn(&model).contains("R rotate"), "{}", drawn(&model));
    let ticket = model.dashboard.load_ticket.unwrap();
    let read = Response::SharedKeysRead { keys: Ok(keys), error: None, is_read_only: true };
    update(&mut model, Msg::Response(ticket, read), now());
    assert!(!drawn(&model).contains("R rotate"), "{}", drawn(&model));
}

#[test]
fn what_the_shared_store_lost_or_could_not_take_is_said_with_the_next_step() {
    let mut model = model((160, 50));
    let mut lost = key("ci", Some("5"), None, None);
    lost.location = KeyLocation::Stored(StoreKind::Bao);
    let record = SharedRecord::new(lost.label.clone(), 2, lost.to_shared_fields());
    lost.shared = Some(Box::new(SharedRecord { loss: Some(SecretLoss::Deleted), ..record }));
    let mut waiting = key("web", Some("5"), None, None);
    waiting.move_to = Some(StoreKind::Bao);
    update(
        &mut model,
        Msg::Response(Ticket(1), Response::KeysLoaded(Ok(vec![lost, waiting]))),
        now(),
    );
    let shown = drawn(&model);
    for text in [
        "! no text",
        "text deleted in the shared store",
        "on this machine only: the shared store could not take it",
        "deleted in the shared store; what to do:",
    ] {
        assert!(shown.contains(text), "{text}\n{shown}");
    }
}
