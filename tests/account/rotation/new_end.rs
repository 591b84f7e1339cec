//! Rotation of a key whose end is a date.

use keywright::domain::{Expiry, KeyState};

use super::*;

#[test]
fn a_new_key_that_ends_on_the_same_date_is_as_near_to_it_as_the_old_one() {
    let account = TestAccount::new();
    let before = account.stored_key("agent");
    let rotation = rotate(&account, "agent", management(&account));
    let RotationOutcome::Completed { rotated, .. } = rotation else { panic!("{rotation:?}") };
    assert_eq!(rotated.new.lifetime_from, Some(before.created_at));
    assert_eq!(rotated.new.state(jiff::Timestamp::now()), KeyState::Expiring);
    assert_eq!(account.stored_key("agent").lifetime_from, Some(before.created_at));
}

#[test]
fn a_rotation_with_another_end_has_a_lifetime_of_its_own() {
    let account = TestAccount::new();
    let now = jiff::Timestamp::now();
    let expiry = FieldChange::from_option(Expiry::parse("30d", now).unwrap());
    let (stored_key, method) = (account.stored_key("agent"), management(&account));
    let (services, mut controls) = (&account.services, controls());
    let rotation =
        keys::rotate_key(services, &stored_key, &expiry, method, TERMS, &mut controls, &|_| ());
    let RotationOutcome::Completed { rotated, .. } = block_on(rotation) else { panic!() };
    let FieldChange::Set(expiry) = expiry else { panic!() };
    assert_eq!(rotated.new.expires_at().value(), Some(expiry.at));
    assert_eq!(rotated.new.requested.expires_input.as_deref(), Some("30d"));
    assert_eq!(rotated.new.lifetime_from, None);
    assert_eq!(rotated.new.limit().value(), Some(8.0));
}

#[test]
fn a_key_whose_date_has_passed_is_rotated_with_another_end_only() {
    let account = TestAccount::new();
    let hash = account.stored_key("agent").hash.clone();
    let services = &account.services;
    inventory::update_key(&services.location, &services.server, &hash, |key| {
        key.requested.expires_input = Some("2020-01-01".into());
    })
    .unwrap();
    let RotationOutcome::Failed(error) = rotate(&account, "agent", management(&account)) else {
        panic!()
    };
    assert!(error.advice.contains("keywright rotate --expires 30d agent"), "{error:?}");
    assert!(error.meaning.contains("no key was created"), "{error:?}");
}
