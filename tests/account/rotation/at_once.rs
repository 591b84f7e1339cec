//! Two rotations of one key at the same time.

use super::*;

#[test]
fn of_two_rotations_at_once_the_second_one_leaves_nothing() {
    for is_resumed in [false, true] {
        let account = TestAccount::new();
        let old = account.get("agent").unwrap();
        let first = create_replacement(&account, "agent (new)");
        let second = create_replacement(&account, "agent (new) 2");
        let ProvisioningOutcome::Stored { stored_key, .. } = &second else { panic!("{second:?}") };
        let unneeded = stored_key.hash.clone();
        let mut services = account.services.clone();
        services.management_key = Some(account.management.clone());
        let first = block_on(keys::finish_rotation(&services, first));
        assert!(matches!(first, RotationOutcome::Completed { .. }), "{first:?}");
        let error = if is_resumed {
            block_on(keys::resume_rotations(&services)).unwrap().remove(0).1.unwrap_err()
        } else {
            match block_on(keys::finish_rotation(&services, second)) {
                RotationOutcome::Failed(error) => error,
                outcome => panic!("{outcome:?}"),
            }
        };
        assert_eq!(
            error.message,
            "another rotation replaced the key first; it is 'agent (old)' now"
        );
        let meaning = error.meaning;
        assert_eq!(meaning, "your new key was deleted at OpenRouter; the other one stays");
        handed_over(&account, &old);
        let client = account.services.build_management_client(&account.management).unwrap();
        let gone = block_on(client.get_key(&unneeded));
        assert_eq!(gone.unwrap_err().status(), Some(404));
    }
}

#[test]
fn a_rotation_that_meets_another_one_of_the_key_says_so() {
    let account = TestAccount::new();
    let first = create_replacement(&account, "agent (new)");
    assert!(matches!(first, ProvisioningOutcome::Stored { .. }), "{first:?}");
    let error_of_second = || match create_replacement(&account, "agent (new)") {
        ProvisioningOutcome::Failed(error) => error,
        outcome => panic!("{outcome:?}"),
    };
    let error = error_of_second();
    assert_eq!(error.message, "the key of 'agent' is being replaced by another program");
    assert_eq!(error.meaning, "nothing was changed, and no second key was created");
    assert_eq!(error.advice, "see the result: keywright show agent");
    assert_eq!(exit_code(error.kind), 1);
    assert_eq!(account.proxy.count("POST"), 1);
    // A key that has only the label is another matter.
    let release = |key: &mut StoredKey| key.replaces = None;
    let hash = account.stored_key("agent (new)").hash.clone();
    let (location, server) = (&account.services.location, &account.services.server);
    inventory::update_key(location, server, &hash, release).unwrap();
    let error = error_of_second();
    assert_eq!(error.message, "a key with the label agent (new) is already stored");
}

#[test]
fn rotating_again_continues_the_interrupted_rotation() {
    let account = TestAccount::new();
    let (old, new) = interrupted(&account);
    let rotation = rotate(&account, "agent", management(&account));
    assert!(matches!(rotation, RotationOutcome::Completed { .. }), "{rotation:?}");
    handed_over(&account, &old);
    assert_eq!((account.get("agent"), account.proxy.count("POST")), (Some(new), 1));
}
