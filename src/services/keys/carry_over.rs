//! Gives a new key the assignments of the key that it replaces: workspace, guardrail, the use of
//! provider keys, and whether their spending counts. Rotation, leak response and plans all use it.

use jiff::Timestamp;

use super::account_resources::{list_guardrail_assignments, name_guardrail};
use super::management_key::{AccountAccess, NO_MANAGEMENT_KEY};
use super::paging::{List, fetch_complete_list};
use super::same_policy::{fetch_policy, follow_policy, follow_policy_of_key};
use super::secret_for;
use crate::api::openrouter::{self, ManagementClient};
use crate::domain::{
    AccountKey, ByokAccess, ByokCredential, GUARDRAIL_DELETED, GuardrailAssignment, GuardrailRef,
    KeyAssignments, KeyPart, ManagementKey, MissingPart, NotCarried, StoredKey,
};
use crate::services::provision::ServiceContext;

/// How often the two keys are compared and missing parts are assigned. The second comparison also
/// finds what someone else changed in the meantime.
const MAX_ROUNDS: usize = 3;

/// Returns what a replacement of `stored_key` will lack, as far as that is known before it is
/// created. Whether the account allows a change is known only after it was tried.
pub async fn preview_replacement(
    services: &ServiceContext,
    stored_key: &StoredKey,
    management: Option<&ManagementKey>,
) -> Vec<NotCarried> {
    let access = management.cloned().ok_or_else(|| NO_MANAGEMENT_KEY.to_owned());
    let key = secret_for(&services.for_key(stored_key), &stored_key.label).await;
    let current = match key {
        Ok(Some(key)) if key.hash() == stored_key.hash => {
            fetch_policy(services, &access, stored_key, Some(&key)).await
        }
        _ => stored_key.clone(),
    };
    let assignments = match management.map(|key| services.build_management_client(key)) {
        Some(Ok(client)) => {
            let guardrail_assignments = list_assignments(services, &client).await;
            let hash = &stored_key.hash;
            read_key(services, &client, &guardrail_assignments, hash).await.assignments
        }
        None => KeyAssignments::unknown(NO_MANAGEMENT_KEY),
        Some(Err(error)) => KeyAssignments::unknown(&error.to_string()),
    };
    assignments.expected_losses(&current)
}

/// Returns what a replacement of `stored_key` will lack if there is no management key. Sends nothing:
/// a leaked key is disabled first.
pub fn preview_without_management_key(stored_key: &StoredKey) -> Vec<NotCarried> {
    KeyAssignments::unknown(NO_MANAGEMENT_KEY).expected_losses(stored_key)
}

/// The result of [`carry_over`].
pub(super) struct CarriedOver {
    /// The new key with what its account reported at the end.
    pub new: StoredKey,
    /// What it does not have, or what could not be compared.
    pub not_carried: Vec<NotCarried>,
    /// Whether no guardrail is requested for it any more: someone took the old key out of it, or deleted it.
    pub ends_guardrail_request: bool,
}

/// Gives `new` what the key with the hash `old_hash` has, reads both back and compares them. `old` is
/// that key's inventory entry, if it is still there. Idempotent.
pub(super) async fn carry_over(
    services: &ServiceContext,
    access: &AccountAccess,
    old_hash: &str,
    old: Option<&StoredKey>,
    new: &StoredKey,
) -> CarriedOver {
    let mut new = new.clone();
    let planned = new.replaces.as_ref().filter(|replaces| replaces.is_planned);
    let planned = planned.map(|_| new.requested.clone());
    // The guardrail that was requested for the old key and not assigned yet.
    let mut pending =
        old.filter(|old| old.awaits_guardrail()).and_then(|old| old.requested.guardrail.clone());
    let expected = |assignments: KeyAssignments, pending: Option<&GuardrailRef>| {
        let mut assignments = match old {
            Some(old) => assignments.or_last_known(old),
            None => assignments,
        };
        if let Ok(guardrail @ None) = &mut assignments.guardrail {
            *guardrail = pending.cloned();
        }
        match &planned {
            Some(planned) => assignments.with_planned(planned),
            None => assignments,
        }
    };
    let client = access.as_ref().map_err(Clone::clone).and_then(|management| {
        services.build_management_client(management).map_err(|error| error.to_string())
    });
    let client = match &client {
        Ok(client) => client,
        Err(reason) => {
            let after = KeyAssignments::last_known(&new, reason);
            let mut missing =
                expected(KeyAssignments::unknown(reason), pending.as_ref()).missing_on(&after);
            let policy = match (old, services.build_client()) {
                (Some(old), Ok(client)) if planned.is_none() => {
                    follow_policy_of_key(services, &client, old, &mut new).await
                }
                _ => Ok(false),
            };
            missing.extend(match &policy {
                Ok(true) => new.differing_policy(),
                Ok(false) | Err(_) => new.missing_policy(),
            });
            missing
                .extend(policy.err().map(|reason| MissingPart::Unknown { field: "limit", reason }));
            let add_reason = |part: MissingPart| part.with_reason(Some(reason.clone()), &after);
            let not_carried = missing.into_iter().map(add_reason).collect();
            return CarriedOver { new, not_carried, ends_guardrail_request: false };
        }
    };
    let mut failures: Vec<(KeyPart, String)> = Vec::new();
    // Parts that the server accepted and that cannot be read back, with the reason.
    let mut unconfirmed: Vec<(KeyPart, String)> = Vec::new();
    // A deleted guardrail leaves no assignment behind, so the one seen before is remembered.
    let mut seen_guardrail = old.and_then(|old| old.guardrail.clone());
    let mut has_new_policy = false;
    let mut round = 0;
    loop {
        round += 1;
        let guardrail_assignments = list_assignments(services, client).await;
        let before = read_key(services, client, &guardrail_assignments, old_hash).await;
        let after = read_key(services, client, &guardrail_assignments, &new.hash).await;
        if let Some(account_key) = &after.account_key {
            new.record_account_key(account_key, Timestamp::now());
            new.granted = Some(account_key.info.to_granted_policy());
        }
        if planned.is_none()
            && let Some(old) = &before.account_key
        {
            has_new_policy |= follow_policy(&mut new, &old.info);
        }
        let after = after.assignments;
        if let Ok(guardrail) = &after.guardrail {
            new.guardrail.clone_from(guardrail);
        }
        // `GET /key` with the key itself reports the same values as the account's list.
        let reported_workspace = new.info.as_deref().and_then(|info| info.workspace_id.clone());
        let known_after = KeyAssignments {
            workspace_id: after
                .workspace_id
                .clone()
                .or_else(|reason| reported_workspace.map(Some).ok_or(reason)),
            include_byok_in_limit: after
                .include_byok_in_limit
                .clone()
                .or_else(|reason| KeyAssignments::last_known(&new, &reason).include_byok_in_limit),
            ..after.clone()
        };
        let deleted_guardrail = match (&before.assignments.guardrail, &seen_guardrail) {
            (Ok(None), Some(seen)) if is_deleted(client, seen).await => {
                Some(KeyPart::Guardrail(seen.clone()))
            }
            (Ok(Some(now)), _) => {
                seen_guardrail = Some(now.clone());
                None
            }
            _ => None,
        };
        // A provider key is of no use in the other workspace that a plan names.
        let leaves_workspace =
            planned.is_some() && before.assignments.workspace_id != after.workspace_id;
        let is_unassigned = before.assignments.guardrail == Ok(None);
        let mut missing = expected(before.assignments, pending.as_ref()).missing_on(&known_after);
        missing.extend(if has_new_policy { new.differing_policy() } else { new.missing_policy() });
        if let Some(part) = deleted_guardrail
            && !missing.iter().any(|part| matches!(part, MissingPart::Lost(KeyPart::Guardrail(_))))
        {
            failures.retain(|(failed, _)| *failed != part);
            failures.push((part.clone(), GUARDRAIL_DELETED.into()));
            missing.push(MissingPart::Lost(part));
        }
        let reason_in = |list: &[(KeyPart, String)], part: &KeyPart| {
            list.iter().find(|(failed, _)| failed == part).map(|(_, reason)| reason.clone())
        };
        let failure_of = |part: &KeyPart| reason_in(&failures, part);
        let unconfirmed_of = |part: &KeyPart| reason_in(&unconfirmed, part);
        let parts: Vec<KeyPart> = missing
            .iter()
            .filter_map(|part| match part {
                MissingPart::Lost(part)
                    if failure_of(part).is_none() && unconfirmed_of(part).is_none() =>
                {
                    Some(part.clone())
                }
                MissingPart::Lost(_) | MissingPart::Unknown { .. } => None,
            })
            .collect();
        if parts.is_empty() || round == MAX_ROUNDS {
            let add_reason = |part: MissingPart| {
                if let MissingPart::Lost(lost) = &part
                    && let Some(reason) = unconfirmed_of(lost)
                {
                    return NotCarried { what: lost.field(), part: None, reason };
                }
                let failure = match &part {
                    MissingPart::Lost(part) => failure_of(part),
                    MissingPart::Unknown { .. } => None,
                };
                part.with_reason(failure, &after)
            };
            let not_carried = missing.into_iter().map(add_reason).collect();
            let is_deleted = |(part, reason): &(KeyPart, String)| {
                matches!(part, KeyPart::Guardrail(_)) && reason == GUARDRAIL_DELETED
            };
            let ends_guardrail_request = failures.iter().any(is_deleted)
                || planned.is_none() && is_unassigned && pending.is_none();
            return CarriedOver { new, not_carried, ends_guardrail_request };
        }
        for part in parts {
            if leaves_workspace && matches!(part, KeyPart::Byok(_)) {
                failures.push((part, "it belongs to the workspace that the plan leaves".into()));
                continue;
            }
            let given = give_part(client, &part, old_hash, &new.hash).await;
            // A part that cannot be read back is not assigned a second time.
            let result = match (given, after.unread_reason(&part)) {
                (Ok(()), None) => continue,
                (Ok(()), Some(reason)) => {
                    unconfirmed.push((part, format!("sent, but not read back: {reason}")));
                    continue;
                }
                // The old key never had it, so the new one is not weaker without it.
                (Err(_), _)
                    if let KeyPart::Guardrail(guardrail) = &part
                        && pending.as_ref() == Some(guardrail)
                        && is_deleted(client, guardrail).await =>
                {
                    pending = None;
                    continue;
                }
                (Err(error), _)
                    if error.status() == Some(404) && matches!(part, KeyPart::Guardrail(_)) =>
                {
                    GUARDRAIL_DELETED.into()
                }
                (Err(error), _) => describe_error(&error, "change"),
            };
            failures.push((part, result));
        }
    }
}

/// Returns whether the account says that it does not have this guardrail.
pub(super) async fn is_deleted(client: &ManagementClient, guardrail: &GuardrailRef) -> bool {
    client.get_guardrail(&guardrail.id).await.is_err_and(|error| error.status() == Some(404))
}

/// Gives a part of the old key to the new one. Every request is idempotent.
async fn give_part(
    client: &ManagementClient,
    part: &KeyPart,
    old_hash: &str,
    hash: &str,
) -> Result<(), openrouter::Error> {
    match part {
        KeyPart::Guardrail(guardrail) => {
            let hashes = [hash.to_owned()];
            client.assign_guardrail(&guardrail.id, &hashes).await?;
        }
        KeyPart::Byok(access) => {
            let mut allowed = client
                .get_byok_credential(&access.id)
                .await?
                .allowed_api_key_hashes
                .unwrap_or_default();
            // Someone else may have changed the list since it was compared.
            let has = |hash: &str| allowed.iter().any(|other| other == hash);
            if has(old_hash) && !has(hash) {
                allowed.push(hash.to_owned());
                client.set_byok_key_hashes(&access.id, &allowed).await?;
            }
        }
        KeyPart::Workspace(_) | KeyPart::IncludeByok(_) | KeyPart::Policy(..) => {
            if let Some(patch) = part.to_patch() {
                client.update_key(hash, &patch).await?;
            }
        }
    }
    Ok(())
}

/// A key as its account reported it.
struct ReadKey {
    account_key: Option<AccountKey>,
    assignments: KeyAssignments,
}

/// Reads a key and its assignments. A part that cannot be read does not hide the others.
async fn read_key(
    services: &ServiceContext,
    client: &ManagementClient,
    guardrail_assignments: &Result<Vec<GuardrailAssignment>, String>,
    hash: &str,
) -> ReadKey {
    let row = client.get_key(hash).await;
    let is_gone = row.as_ref().is_err_and(|error| error.status() == Some(404));
    let row = row.map_err(|error| describe_error(&error, "read"));
    let guardrail = match guardrail_assignments {
        // A deleted key has no assignment any more, so the list does not show which one it had.
        Ok(all) if is_gone && all.iter().all(|assignment| assignment.key_hash != hash) => {
            Err("the account does not have the key any more (404)".into())
        }
        Ok(all) => match all.iter().find(|assignment| assignment.key_hash == hash) {
            Some(GuardrailAssignment { guardrail_id: id, .. }) => {
                Ok(Some(name_guardrail(client, id.clone()).await))
            }
            None => Ok(None),
        },
        Err(reason) => Err(reason.clone()),
    };
    let (workspace_id, include_byok_in_limit, byok_access) = match &row {
        Ok(row) => {
            let workspace = row.workspace_id.as_deref();
            let access = list_byok_access(services, client, workspace, hash).await;
            let counts = row.info.include_byok_in_limit.unwrap_or(false);
            (Ok(row.workspace_id.clone()), Ok(counts), access)
        }
        Err(reason) => (Err(reason.clone()), Err(reason.clone()), Err(reason.clone())),
    };
    let assignments =
        KeyAssignments { workspace_id, include_byok_in_limit, guardrail, byok_access };
    ReadKey { account_key: row.ok(), assignments }
}

/// Returns the provider keys of a workspace whose list of allowed keys has this one.
async fn list_byok_access(
    services: &ServiceContext,
    client: &ManagementClient,
    workspace: Option<&str>,
    hash: &str,
) -> Result<Vec<ByokAccess>, String> {
    let id = |credential: &ByokCredential| credential.id.clone();
    let list = List { noun: "provider keys", workspace };
    let all = fetch_complete_list(services, list, id, async |offset| {
        client.list_byok_credentials(workspace, offset).await
    })
    .await
    .map_err(|error| describe_error(&error, "read"))?;
    let allows = |credential: &ByokCredential| {
        credential.allowed_api_key_hashes.iter().flatten().any(|allowed| allowed == hash)
    };
    Ok(all
        .into_iter()
        .filter(allows)
        .map(|credential| ByokAccess { id: credential.id, name: credential.name })
        .collect())
}

async fn list_assignments(
    services: &ServiceContext,
    client: &ManagementClient,
) -> Result<Vec<GuardrailAssignment>, String> {
    let listed = list_guardrail_assignments(services, client).await;
    listed.map_err(|error| describe_error(&error, "read"))
}

/// Describes why something could not be read or changed, as the reason in a list.
fn describe_error(error: &openrouter::Error, verb: &str) -> String {
    match error.status() {
        Some(403) => format!("this management key may not {verb} it (403)"),
        Some(404) => "the account does not have it, or the server is older (404)".into(),
        _ => error.to_string(),
    }
}
