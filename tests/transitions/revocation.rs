//! Replaced keys that are deleted at OpenRouter once they are unused.

use keywright::domain::{AccountKey, Retirement, UsageSample};

use super::*;

#[test]
fn a_replaced_key_goes_by_itself_only_where_that_was_said_and_it_stood_still() {
    for (delete, usage, goes) in [(true, 1.0, true), (true, 1.5, false), (false, 1.0, false)] {
        let mut model = model_with_keys(&["laptop"]);
        let since = now() - SignedDuration::from_hours(2);
        let mut handed = rotated("laptop");
        handed.old.as_mut().unwrap().retirement =
            Some(Retirement { replaced_at: since, unused_for: 3_600, revoke_when_unused: delete });
        let rotations = vec![("laptop".parse().unwrap(), Ok(handed))];
        let effects = send(
            &mut model,
            Msg::RecoveryFinished {
                stored_keys: Vec::new(),
                unstored_keys: Vec::new(),
                rotations,
                unresolved_attempts: Vec::new(),
                deleted_labels: Vec::new(),
                foreign_keys: Vec::new(),
                finished: Vec::new(),
                errors: Vec::new(),
            },
        );
        let [Effect::Request(ticket, Request::LoadUsageHistory(hashes))] = &effects[..] else {
            panic!("{effects:?}")
        };
        let samples = vec![UsageSample::new(since, 1.0), UsageSample::new(now(), usage)];
        let past = vec![(hashes[0].clone(), samples)];
        let effects = send(&mut model, Msg::Response(*ticket, Response::UsageHistoryLoaded(past)));
        assert_eq!(matches!(effects[..], [Effect::RevokeUnusedKeys(_)]), goes, "{delete} {usage}");
    }
}

#[test]
fn a_replaced_key_that_the_account_saw_used_is_kept_and_tried_again_later() {
    let mut model = model_with_keys(&["laptop (old)"]);
    let hash = model.dashboard.stored_keys()[0].hash.clone();
    model.dashboard.revoking_hashes.insert(hash.clone());
    let account_key =
        AccountKey { hash: hash.clone(), last_used_at: Some(now()), ..AccountKey::default() };
    let message = |account_key: &AccountKey| Msg::RetiredKeyInUse {
        label: "laptop (old)".parse().unwrap(),
        account_key: account_key.clone(),
        reason: "last used a minute ago".into(),
    };
    assert!(send(&mut model, message(&account_key)).is_empty());
    assert!(model.dashboard.revoking_hashes.is_empty() && model.dashboard.stored_keys().len() == 1);
    let notice = model.notice.as_ref().unwrap().as_ref().unwrap();
    assert!(
        notice.contains("is not revoked") && notice.contains("last used a minute ago"),
        "{notice}"
    );
    // Where the time is not known, it would be asked again at each refresh.
    model.dashboard.revoking_hashes.insert(hash);
    send(&mut model, message(&AccountKey { last_used_at: None, ..account_key }));
    assert_eq!(model.dashboard.revoking_hashes.len(), 1);
}
