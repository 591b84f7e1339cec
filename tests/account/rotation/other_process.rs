//! Rotations beside other programs that remove, finish or rename what is rotated.

use super::*;

#[test]
fn a_key_whose_text_was_removed_is_replaced_and_stays_in_the_inventory() {
    for is_interrupted in [true, false] {
        let account = TestAccount::new();
        if is_interrupted {
            interrupted(&account);
        }
        let old = account.stored_key("agent");
        account.services.secret_store.delete(&entry_id("agent"), TIMEOUT).unwrap();
        let rotation = rotate(&account, "agent", management(&account));
        let RotationOutcome::Completed { rotated, .. } = rotation else { panic!("{rotation:?}") };
        assert_eq!(rotated.new.label.as_str(), "agent");
        assert!(account.get("agent").is_some() && account.get("agent (new)").is_none());
        let kept = account.stored_key("agent (old)");
        assert!(kept.hash == old.hash && kept.retirement.is_some(), "{kept:?}");
        assert_eq!(account.proxy.count("POST"), 1, "no second key was created");
    }
}

#[test]
fn a_rotation_that_another_process_finished_is_complete() {
    let account = TestAccount::new();
    interrupted(&account);
    let new = account.stored_key("agent (new)");
    let is_moved = block_on(keys::resume_rotations(&account.services)).unwrap()[0].1.is_ok();
    assert!(is_moved);
    let outcome = |stored_key| {
        let key = ApiKey::from("k".to_owned());
        ProvisioningOutcome::Stored { stored_key, key, warning: None }
    };
    let end = |stored_key| block_on(keys::finish_rotation(&account.services, outcome(stored_key)));
    let rotation = end(new.clone());
    let RotationOutcome::Completed { rotated, .. } = rotation else { panic!("{rotation:?}") };
    assert_eq!(rotated.new.label.as_str(), "agent");
    assert_eq!(rotated.old.unwrap().label.as_str(), "agent (old)");
    // Another process has removed the new key, since another rotation won.
    let location = &account.services.location;
    inventory::remove_key(location, &account.stored_key("agent")).unwrap();
    let rotation = end(new);
    assert!(matches!(&rotation, RotationOutcome::Failed(_)), "{rotation:?}");
}

#[test]
fn a_new_key_has_the_name_of_the_replaced_one_that_was_renamed_meanwhile() {
    let mut account = TestAccount::new();
    account.services.management_key = Some(account.management.clone());
    interrupted(&account);
    let old = account.stored_key("agent");
    let (services, management) = (&account.services, &account.management);
    block_on(keys::rename_key(services, &old, &label("bot"), Some(management))).unwrap();
    assert!(block_on(keys::resume_rotations(&account.services)).unwrap()[0].1.is_ok());
    let hash = account.stored_key("bot").hash.clone();
    let key = keys::fetch_account_key(&account.services, &account.management, &hash);
    assert_eq!(block_on(key).unwrap().display_name(), "bot");
}

#[test]
fn rotation_never_overwrites_a_foreign_key() {
    let account = TestAccount::new();
    interrupted(&account);
    account.put("agent", "foreign");
    let resumed = block_on(keys::resume_rotations(&account.services)).unwrap();
    let error = resumed[0].1.as_ref().unwrap_err();
    assert!(error.meaning.contains("the text of the old one is not stored"), "{error:?}");
    assert!(
        error.advice.ends_with("rm agent, then keywright rename 'agent (new)' agent"),
        "{error:?}"
    );
    assert_eq!(account.get("agent").as_deref(), Some("foreign"));
    assert!(account.get("agent (new)").is_some());
}

/// Two replacements of one key, of which the first one wins. Returns the second one as it was before.
fn lost_rotation(account: &TestAccount) -> StoredKey {
    interrupted(account);
    create_replacement(account, "agent (new) 2");
    let first = account.stored_key("agent (new)");
    block_on(keys::move_label(&account.services, &first)).unwrap();
    account.stored_key("agent (new) 2")
}

#[test]
fn a_new_key_that_another_process_released_is_named_and_stays() {
    let account = TestAccount::new();
    let lost = lost_rotation(&account);
    let resumed = block_on(keys::resume_rotations(&account.services)).unwrap();
    assert!(resumed[0].1.is_err(), "{resumed:?}");
    let key = ApiKey::from("k".to_owned());
    let outcome = ProvisioningOutcome::Stored { stored_key: lost, key, warning: None };
    let rotation = block_on(keys::finish_rotation(&account.services, outcome));
    let RotationOutcome::Failed(error) = rotation else { panic!("{rotation:?}") };
    assert!(error.advice.ends_with("keywright rm --revoke 'agent (new) 2'"), "{error:?}");
    assert!(account.get("agent (new) 2").is_some());
}

#[test]
fn a_new_key_that_the_user_renamed_is_not_deleted_as_unneeded() {
    let mut account = TestAccount::new();
    let lost = lost_rotation(&account);
    block_on(keys::rename_key(&account.services, &lost, &label("spare"), None)).unwrap();
    account.put("agent (new) 2", "foreign");
    account.services.management_key = Some(account.management.clone());
    let key = ApiKey::from("k".to_owned());
    let outcome = ProvisioningOutcome::Stored { stored_key: lost, key, warning: None };
    let rotation = block_on(keys::finish_rotation(&account.services, outcome));
    assert!(matches!(rotation, RotationOutcome::Failed(_)), "{rotation:?}");
    assert!(account.get("spare").is_some());
    assert_eq!(
        (account.stored_key("spare").replaces.clone(), account.proxy.count("DELETE")),
        (None, 0)
    );
    assert_eq!(account.get("agent (new) 2").as_deref(), Some("foreign"));
}

#[test]
fn a_new_key_that_was_used_is_not_deleted_as_unneeded() {
    let mut account = TestAccount::new();
    let lost = lost_rotation(&account);
    account.services.management_key = Some(account.management.clone());
    keywright::sandbox::spend_on_key(account.sandbox.url(), &lost.hash, 0.5).unwrap();
    assert!(block_on(keys::resume_rotations(&account.services)).unwrap()[0].1.is_err());
    assert_eq!(
        (account.stored_key("agent (new) 2").replaces.clone(), account.proxy.count("DELETE")),
        (None, 0)
    );
}

#[test]
fn a_new_key_that_the_user_renamed_takes_no_label() {
    let account = TestAccount::new();
    let (old, new) = interrupted(&account);
    let before = account.stored_key("agent (new)");
    block_on(keys::rename_key(&account.services, &before, &label("prod"), None)).unwrap();
    assert!(block_on(keys::resume_rotations(&account.services)).unwrap().is_empty());
    // The process that created it may still be about to move the label.
    let key = ApiKey::from("k".to_owned());
    let outcome = ProvisioningOutcome::Stored { stored_key: before, key, warning: None };
    let rotation = block_on(keys::finish_rotation(&account.services, outcome));
    let RotationOutcome::Failed(error) = rotation else { panic!("{rotation:?}") };
    assert!(error.message.contains("renamed to 'prod'"), "{error:?}");
    assert_eq!(error.meaning, "both keys are stored and work");
    assert_eq!((account.get("agent"), account.get("prod")), (Some(old), Some(new)));
    assert_eq!(account.stored_key("agent").retirement, None);
}

#[test]
fn a_new_key_that_is_restored_takes_no_label() {
    let account = TestAccount::new();
    interrupted(&account);
    let new = account.stored_key("agent (new)");
    let trashed = keys::remove_key(&account.services, &new).unwrap().unwrap();
    let restored = keys::restore_key(&account.services, &trashed, &label("prod")).unwrap();
    assert_eq!(restored.replaces, None);
    assert!(block_on(keys::resume_rotations(&account.services)).unwrap().is_empty());
}

/// The management key of another account gets 404 for each key of this one.
#[test]
fn a_new_key_that_the_account_does_not_have_is_released_and_stays_stored() {
    let mut account = TestAccount::new();
    let lost = lost_rotation(&account);
    account.services.management_key = Some(account.management.clone());
    account.proxy.set_rule(|request| {
        let is_for_key = ["GET", "DELETE", "PATCH"]
            .iter()
            .any(|method| request.starts_with(&format!("{method} /api/v1/keys/")));
        if is_for_key { Fault::Respond(404, String::new()) } else { Fault::Pass }
    });
    let key = ApiKey::from("k".to_owned());
    let outcome = ProvisioningOutcome::Stored { stored_key: lost.clone(), key, warning: None };
    let rotation = block_on(keys::finish_rotation(&account.services, outcome));
    let RotationOutcome::Failed(error) = rotation else { panic!("{rotation:?}") };
    assert!(error.meaning.starts_with("your new key is stored as 'agent (new) 2'"), "{error:?}");
    let delete = format!("{}, then run keywright rm 'agent (new) 2'", lost.page_url());
    assert!(error.advice.ends_with(&delete), "{error:?}");
    assert!(account.get("agent (new) 2").is_some());
    assert_eq!(account.stored_key("agent (new) 2").replaces, None);
}

#[test]
fn a_new_key_whose_deletion_was_not_confirmed_is_not_said_to_be_valid() {
    let mut account = TestAccount::new();
    let lost = lost_rotation(&account);
    account.services.management_key = Some(account.management.clone());
    account.inject_fault("DELETE", Fault::ReplaceResponse(200, "<html>".into()));
    let key = ApiKey::from("k".to_owned());
    let outcome = ProvisioningOutcome::Stored { stored_key: lost, key, warning: None };
    let rotation = block_on(keys::finish_rotation(&account.services, outcome));
    let RotationOutcome::Failed(error) = rotation else { panic!("{rotation:?}") };
    assert!(error.meaning.contains("perhaps still valid"), "{error:?}");
    assert!(error.advice.ends_with("keywright rm --revoke 'agent (new) 2'"), "{error:?}");
}
