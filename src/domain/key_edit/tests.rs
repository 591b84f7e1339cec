//! Descriptions of edits.

use super::*;

fn current(limit: Option<f64>, reset: Option<ResetInterval>) -> EditableKey {
    EditableKey {
        account_key: AccountKey {
            name: Some("CI at work".into()),
            workspace_id: Some("1F".into()),
            info: KeyInfo { limit: limit.into(), limit_reset: reset.into(), ..KeyInfo::default() },
            ..AccountKey::default()
        },
        guardrail: None,
        workspaces: vec![workspace("1f", "home")],
    }
}

fn workspace(id: &str, slug: &str) -> Workspace {
    Workspace { id: id.into(), slug: slug.into(), ..Workspace::default() }
}

fn stored_key() -> StoredKey {
    StoredKey::sample("ci", jiff::Timestamp::UNIX_EPOCH)
}

fn diff(edit: &KeyEdit, current: &EditableKey) -> Result<Vec<String>, String> {
    let (_, differences) =
        edit.to_update(&stored_key(), Some(current)).map_err(|ValidationError(message)| message)?;
    Ok(differences.iter().map(ToString::to_string).collect())
}

#[test]
fn each_field_is_described_and_an_equal_value_is_no_change() {
    let research = GuardrailRef { id: "g".into(), name: "research".into() };
    let edit = KeyEdit {
        label: None,
        rename_remote: true,
        limit: FieldChange::from_option("20".parse().ok()),
        limit_reset: FieldChange::Set(ResetInterval::Weekly),
        include_byok_in_limit: Some(true),
        workspace: Some(workspace("2f", "lab")),
        guardrail: FieldChange::Set(research.clone()),
    };
    let mut key = current(Some(10.0), Some(ResetInterval::Monthly));
    let lines = [
        "name at OpenRouter: CI at work → ci",
        "limit: $10.00 → $20.00",
        "reset: monthly → weekly",
        "own providers: do not count → count",
        "workspace: home → lab",
        "guardrail: none → research",
    ];
    assert_eq!(diff(&edit, &key), Ok(lines.map(String::from).to_vec()));
    key.guardrail = Some(GuardrailRef { name: "renamed".into(), ..research });
    key.account_key.name = Some("ci".into());
    let edit = KeyEdit {
        limit: FieldChange::from_option("10".parse().ok()),
        limit_reset: FieldChange::Set(ResetInterval::Monthly),
        include_byok_in_limit: Some(false),
        workspace: Some(workspace("1f", "home")),
        ..edit
    };
    assert_eq!(diff(&edit, &key), Ok(Vec::new()));
    let (update, _) = edit.to_update(&stored_key(), Some(&key)).unwrap();
    assert!(update.account_patch.is_none() && update.guardrail.is_none());
}

#[test]
fn a_limit_that_is_spent_already_is_said_to_block_the_key() {
    let mut key = current(Some(25.0), Some(ResetInterval::Monthly));
    let info = &mut key.account_key.info;
    (info.usage_daily, info.usage_monthly, info.usage) = (Some(1.5), Some(24.0), Some(60.0));
    let limit = |text| FieldChange::from_option(Cents::parse_limit(text).unwrap());
    let lower = KeyEdit { limit: limit("24"), ..KeyEdit::default() };
    let line = "limit: $25.00 → $24.00; $24.00 is spent, so the key is blocked";
    assert_eq!(diff(&lower, &key), Ok(vec![line.to_owned()]));
    let daily = KeyEdit { limit_reset: FieldChange::Set(ResetInterval::Daily), ..lower };
    let lines = ["limit: $25.00 → $24.00", "reset: monthly → daily"].map(String::from);
    assert_eq!(diff(&daily, &key), Ok(lines.to_vec()));
    let never = KeyEdit { limit_reset: FieldChange::Clear, ..KeyEdit::default() };
    let line = "reset: monthly → never; $60.00 is spent, so the key is blocked";
    assert_eq!(diff(&never, &key), Ok(vec![line.to_owned()]));
    key.account_key.info.byok_usage_monthly = Some(2.0);
    let byok = KeyEdit { include_byok_in_limit: Some(true), ..KeyEdit::default() };
    let line = "own providers: do not count → count; $26.00 is spent, so the key is blocked";
    assert_eq!(diff(&byok, &key), Ok(vec![line.to_owned()]));
}

#[test]
fn a_reset_goes_with_its_limit() {
    let edit = KeyEdit { limit: FieldChange::Clear, ..KeyEdit::default() };
    let key = current(Some(10.0), Some(ResetInterval::Daily));
    let lines = ["limit: $10.00 → none", "reset: daily → never"];
    assert_eq!(diff(&edit, &key), Ok(lines.map(String::from).to_vec()));
    let reset =
        KeyEdit { limit_reset: FieldChange::Set(ResetInterval::Daily), ..KeyEdit::default() };
    let error = "a reset needs a limit: set a limit, or the reset to never".to_owned();
    assert_eq!(diff(&reset, &current(None, None)), Err(error.clone()));
    assert_eq!(diff(&KeyEdit { limit: FieldChange::Clear, ..reset }, &key), Err(error));
}
