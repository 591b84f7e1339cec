//! The screen of a new key, stored or not.

use super::*;

#[test]
fn new_key_is_masked_and_shows_its_store() {
    let stored_key = key("laptop2", Some("5.50"), Some(ResetInterval::Daily), Some(30));
    let outcome = ProvisioningOutcome::Stored { stored_key, key: secret(), warning: None };
    insta::assert_snapshot!(drawn(&revealed(outcome)));
}

#[test]
fn differences_to_the_granted_policy_are_shown() {
    let mut stored_key = key("laptop2", Some("5.50"), Some(ResetInterval::Daily), Some(30));
    stored_key.granted = Some(GrantedPolicy {
        limit: Reported::Value(5.5),
        limit_reset: Reported::None,
        expires_at: Reported::None,
    });
    let outcome = ProvisioningOutcome::Stored { stored_key, key: secret(), warning: None };
    insta::assert_snapshot!(drawn(&revealed(outcome)));
}

#[test]
fn unstored_key_stays_on_screen_and_quitting_asks() {
    let error = UserError::new(
        ErrorKind::SecretStore,
        "the key was issued and could not be stored: the keychain is locked",
        "it is nowhere but here, so do not quit yet; unlock the keychain",
    );
    let stored_key = key("laptop2", None, None, None);
    let mut model =
        revealed(ProvisioningOutcome::NotStored { entry: stored_key, key: secret(), error });
    want(&mut model, &[Intent::Quit]);
    insta::assert_snapshot!(drawn(&model));
}

#[test]
fn alternate_store_is_offered_and_its_passphrase_is_masked() {
    let stored_key = key("laptop2", None, None, None);
    let error = UserError::new(ErrorKind::SecretStore, "it failed", "try again");
    let mut model =
        revealed(ProvisioningOutcome::NotStored { entry: stored_key, key: secret(), error });
    want(&mut model, &[Intent::StoreInAlternate, Intent::Paste("correct horse\n".into())]);
    want(&mut model, &[Intent::Enter, Intent::TypeChar('x'), Intent::Enter]);
    insta::assert_snapshot!(drawn(&model));
}

#[test]
fn the_page_of_a_new_key_scrolls_to_its_last_line_on_the_smallest_terminal() {
    let stored_key = key("laptop2", Some("5.50"), Some(ResetInterval::Daily), Some(30));
    let outcome = ProvisioningOutcome::Stored { stored_key, key: secret(), warning: None };
    let mut model = revealed(outcome);
    model.terminal_size = view::MIN_TERMINAL_SIZE;
    let first = drawn(&model);
    assert!(
        first.contains("more lines") && !first.contains("https://openrouter.ai/keys"),
        "{first}"
    );
    want(&mut model, &[Intent::MovePage(9)]);
    let last = drawn(&model);
    assert!(last.contains("scrolls back") && last.contains("https://openrouter.ai/keys"), "{last}");
}
