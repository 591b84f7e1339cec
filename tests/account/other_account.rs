//! Keys that another account issued, as when someone else answered the sign-in.

use keywright::domain::{ErrorKind, FieldChange, RetirePolicy, RotationOutcome};
use keywright::services::keys::{self, Error};
use keywright::services::provision::{AuthMethod, ProvisioningControls};
use keywright::storage::inventory;
use tokio::sync::{mpsc, watch};

use super::{TestAccount, block_on, label};

const POLICY: RetirePolicy = RetirePolicy { unused_for: 3_600, revoke_when_unused: false };

/// The stored keys belong to another account than the one that the sandbox imitates.
fn account_of_another_user() -> TestAccount {
    let account = TestAccount::new();
    inventory::update_keys(&account.services.location, |keys| {
        for key in keys {
            key.user_id = Some("user_mine".into());
        }
    })
    .unwrap();
    account
}

fn rotate(account: &TestAccount) -> RotationOutcome {
    let mut controls =
        ProvisioningControls { cancel: watch::channel(false).1, pasted_codes: mpsc::channel(1).1 };
    let method = AuthMethod::ManagementKey(account.management.clone());
    let (services, agent) = (&account.services, account.stored_key("agent"));
    block_on(keys::rotate_key(
        services,
        &agent,
        &FieldChange::Keep,
        method,
        POLICY,
        &mut controls,
        &|_| (),
    ))
}

#[test]
fn rotation_gives_the_label_to_a_key_of_another_account_only_after_confirmation() {
    let account = account_of_another_user();
    let old = account.get("agent").unwrap();
    for _ in 0..2 {
        // The second rotation continues with the same new key.
        let RotationOutcome::LabelNotMoved { new, error } = rotate(&account) else { panic!() };
        assert_eq!((new.label.as_str(), error.kind), ("agent (new)", ErrorKind::OtherAccount));
        assert!(error.message.contains("(user_2sandbox"), "{error:?}");
        assert!(new.is_of_unconfirmed_account());
        assert_eq!(account.get("agent").as_deref(), Some(&*old));
        assert_eq!(account.labels().len(), 5);
    }
    let resumed = block_on(keys::resume_rotations(&account.services)).unwrap();
    assert!(matches!(&resumed[..], [(_, Err(error))] if error.kind == ErrorKind::OtherAccount));

    let new = keys::find_unconfirmed_replacement(&account.services, &account.stored_key("agent"));
    let new = new.unwrap().unwrap();
    let rotated = block_on(keys::confirm_account(&account.services, &new)).unwrap();
    assert_eq!(rotated.new.label.as_str(), "agent");
    assert_ne!(account.get("agent").as_deref(), Some(&*old));
    assert_eq!(account.get("agent (old)").as_deref(), Some(&*old));
    // The user said that this account is theirs.
    let again = rotate(&account);
    assert!(matches!(again, RotationOutcome::Completed { .. }), "{again:?}");
}

#[test]
fn a_key_of_another_account_authorises_no_other_key() {
    let account = account_of_another_user();
    let RotationOutcome::LabelNotMoved { new, .. } = rotate(&account) else { panic!() };
    let refused = keys::load_authorizing_key(&account.services, &new.label);
    assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
    assert!(keys::load_authorizing_key(&account.services, &label("agent")).is_ok());
    assert!(!new.can_authorize(new.checked_at.unwrap()));
}

#[test]
fn an_imported_key_of_another_account_is_marked() {
    let account = account_of_another_user();
    let key = keywright::domain::ApiKey::from(account.get("laptop").unwrap());
    inventory::remove_key(&account.services.location, &account.stored_key("laptop")).unwrap();
    let imported = block_on(keys::import_key(&account.services, &label("laptop"), &key)).unwrap();
    assert!(imported.is_of_unconfirmed_account() && account.stored_key("laptop") == imported);
}
