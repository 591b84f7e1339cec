//! Workspace and guardrail in the form: chosen by name, and read with a management key.

use keywright::domain::{Guardrail, GuardrailRef, Workspace};
use keywright::tui::state::{FieldHint, Form, FormChoices, FormChoicesState};

use super::*;

fn workspace(id: &str, slug: &str) -> Workspace {
    Workspace { id: id.into(), name: slug.to_uppercase(), slug: slug.into() }
}

fn guardrail(id: &str, name: &str) -> Guardrail {
    Guardrail { id: id.into(), name: name.into(), ..Guardrail::default() }
}

fn choices() -> FormChoices {
    FormChoices {
        workspaces: Ok(vec![workspace("w0", "default"), workspace("w1", "research")]),
        guardrails: Ok(vec![guardrail("g1", "no training"), guardrail("g2", "small")]),
        assigned_guardrail: None,
    }
}

/// Opens the form and answers its request for choices.
fn open_form(model: &mut Model, intent: Intent, choices: Option<FormChoices>) {
    let mut effects = send_intent(model, intent);
    if let [Effect::Request(ticket, Request::FetchAccountKey(_))] = effects[..] {
        let response = Response::AccountKeyFetched(Ok(Some(account_key("laptop"))));
        effects = send(model, Msg::Response(ticket, response));
    }
    let [Effect::Request(ticket, Request::LoadFormChoices(_))] = effects[..] else {
        panic!("{effects:?}")
    };
    send(model, Msg::Response(ticket, Response::FormChoicesLoaded(choices)));
}

fn form(model: &Model) -> &Form {
    let Screen::Form(form) = &model.screen else { panic!() };
    form
}

fn focus(model: &mut Model, field: FormField) {
    while form(model).focused_field != field {
        send_intent(model, Intent::NextField);
    }
}

#[test]
fn a_new_key_gets_the_chosen_workspace_and_guardrail() {
    let mut model = model_with_keys(&[]);
    open_form(&mut model, Intent::NewKey, Some(choices()));
    type_text(&mut model, "web");
    assert_eq!(form(&model).fields().len(), 6);
    let names: Vec<&str> =
        form(&model).workspace.options().iter().map(|option| option.name.as_str()).collect();
    assert_eq!(names, ["default", "research"], "the default workspace stands there once");
    focus(&mut model, FormField::Workspace);
    send_intent(&mut model, Intent::TypeChar('r'));
    focus(&mut model, FormField::Guardrail);
    send_intent(&mut model, Intent::TypeChar(' '));
    send_intent(&mut model, Intent::TypeChar(' '));
    let effects = send_intent(&mut model, Intent::Submit);
    let [Effect::Request(_, Request::ProvisionKey { request, .. })] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(request.workspace_id.as_deref(), Some("w1"));
    assert_eq!(request.guardrail, Some(GuardrailRef { id: "g2".into(), name: "small".into() }));
}

#[test]
fn without_a_management_key_the_form_has_no_choice_of_workspace_or_guardrail() {
    let mut model = model_with_keys(&[]);
    open_form(&mut model, Intent::NewKey, None);
    assert_eq!(form(&model).fields().len(), 4);
    assert_eq!(form(&model).choices, FormChoicesState::NoManagementKey);
}

#[test]
fn an_edit_moves_a_key_and_changes_its_guardrail() {
    let mut model = model_with_keys(&["laptop"]);
    let assigned = GuardrailRef { id: "g1".into(), name: "no training".into() };
    let choices = FormChoices { assigned_guardrail: Some(assigned.clone()), ..choices() };
    open_form(&mut model, Intent::EditKey, Some(choices));
    assert_eq!(form(&model).guardrail.chosen().unwrap().name, "no training");
    focus(&mut model, FormField::Workspace);
    send_intent(&mut model, Intent::TypeChar('r'));
    focus(&mut model, FormField::Guardrail);
    send_intent(&mut model, Intent::TypeChar('n'));
    send_intent(&mut model, Intent::Submit);
    assert_eq!(
        form(&model).diff,
        ["workspace: default → research", "guardrail: no training → none"]
    );
    let effects = send_intent(&mut model, Intent::Submit);
    let [Effect::Request(ticket, Request::UpdateKey(update))] = &effects[..] else {
        panic!("{effects:?}")
    };
    let (_, patch) = update.account_patch.as_ref().unwrap();
    assert_eq!(patch.workspace_id.as_deref(), Some("w1"));
    assert_eq!(patch.limit, FieldChange::Keep);
    let change = update.guardrail.as_ref().unwrap();
    assert_eq!((&change.from, &change.to), (&Some(assigned), &None));
    // Someone assigned another one meanwhile.
    let outcome = KeyUpdateOutcome::Conflict {
        guardrail: Some(GuardrailRef { id: "g2".into(), name: "small".into() }),
        current: account_key("laptop"),
        changed_fields: vec!["guardrail"],
    };
    send(&mut model, Msg::Response(*ticket, Response::KeyUpdated(outcome)));
    assert_eq!(form(&model).guardrail.chosen().unwrap().name, "small");
}

#[test]
fn a_refused_list_does_not_hide_the_other_and_changes_nothing() {
    let mut model = model_with_keys(&["laptop"]);
    let refused = Err(user_error(ErrorKind::Failed));
    let choices = FormChoices { guardrails: refused, ..choices() };
    open_form(&mut model, Intent::EditKey, Some(choices));
    let FieldHint::Description(hint) = form(&model).field_hint(FormField::Guardrail, now()) else {
        panic!()
    };
    assert!(hint.starts_with("the guardrails cannot be listed: "), "{hint}");
    focus(&mut model, FormField::Workspace);
    send_intent(&mut model, Intent::TypeChar('r'));
    send_intent(&mut model, Intent::Submit);
    assert_eq!(form(&model).diff, ["workspace: default → research"]);
}
