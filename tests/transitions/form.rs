//! The form of a new key.

use super::*;

#[test]
fn enter_goes_through_the_fields_and_submits_on_the_last() {
    let mut model = model_with_keys(&[]);
    send_intent(&mut model, Intent::NewKey);
    type_text(&mut model, "x");
    for _ in 0..3 {
        assert!(send_intent(&mut model, Intent::Enter).is_empty());
    }
    assert!(matches!(
        send_intent(&mut model, Intent::Enter)[..],
        [Effect::Request(_, Request::ProvisionKey { .. })]
    ));
}

#[test]
fn what_is_wrong_is_not_sent_and_the_cursor_goes_there() {
    for (label, limit) in
        [("", "10"), ("laptop", "10"), ("ok", "0"), ("ok", "12,50"), ("ok", "1e9")]
    {
        let mut model = model_with_keys(&["laptop"]);
        send_intent(&mut model, Intent::NewKey);
        type_text(&mut model, label);
        send_intent(&mut model, Intent::NextField);
        type_text(&mut model, limit);
        send_intent(&mut model, Intent::NextField);
        assert!(send_intent(&mut model, Intent::Submit).is_empty(), "{label} {limit}");
        let Screen::Form(form) = &model.screen else { panic!() };
        let wrong = if label == "ok" { FormField::Limit } else { FormField::Label };
        assert_eq!(form.focused_field, wrong, "{label} {limit}");
    }
}

#[test]
fn the_form_of_a_new_key_that_was_left_is_opened_again_with_its_values() {
    let mut model = model_with_keys(&["laptop"]);
    let open = |model: &mut Model| {
        send_intent(model, Intent::NewKey);
        let Screen::Form(form) = &model.screen else { panic!() };
        [form.label.text().to_owned(), form.limit.text().to_owned()]
    };
    let empty = open(&mut model);
    type_text(&mut model, "ci");
    send_intent(&mut model, Intent::NextField);
    type_text(&mut model, "5");
    send_intent(&mut model, Intent::Back);
    let Some(Ok(notice)) = &model.notice else { panic!("{:?}", model.notice) };
    assert_eq!(notice, "no key was created; n opens the form for 'ci' again");
    // A key with the label may have been created since.
    model.dashboard.upsert_key(key("ci"), now());
    assert_eq!(open(&mut model)[0], "ci");
    send_intent(&mut model, Intent::Submit);
    let Screen::Form(form) = &model.screen else { panic!() };
    assert_eq!(form.focused_field, FormField::Label);
    assert_ne!(form.limit.text(), empty[1]);
    // What is not a label is not kept: it may be a key.
    for text in ["", "sk-or-v1-0123456789abcdef0123456789abcdef"] {
        let mut model = model_with_keys(&[]);
        assert_eq!(open(&mut model), empty);
        type_text(&mut model, text);
        send_intent(&mut model, Intent::Back);
        assert_eq!((open(&mut model), &model.unsent_form.is_none()), (empty.clone(), &true));
    }
}

#[test]
fn a_retiring_key_is_not_offered_to_authorise_another() {
    let mut model = model_with_keys(&["laptop"]);
    let info = Arc::new(KeyInfo {
        limit: Some(5.0).into(),
        limit_remaining: Some(5.0),
        ..KeyInfo::default()
    });
    let mut laptop = key("laptop");
    laptop.record_check(&CheckResult::Valid(info), now());
    assert!(laptop.can_authorize(now()));
    laptop.retirement =
        Some(Retirement { replaced_at: now(), unused_for: 60, revoke_when_unused: false });
    model.dashboard.upsert_key(laptop, now());
    send_intent(&mut model, Intent::NewKey);
    let Screen::Form(form) = &model.screen else { panic!() };
    assert_eq!(form.existing_key, None);
}

#[test]
fn the_chosen_auth_method_is_sent() {
    let mut model = model_with_keys(&["laptop"]);
    send_intent(&mut model, Intent::NewKey);
    type_text(&mut model, "new");
    let mut auth_choices = Vec::new();
    for _ in 0..4 {
        let effects = send_intent(&mut model, Intent::Submit);
        let [Effect::Request(_, Request::ProvisionKey { auth_choice, .. })] = &effects[..] else {
            panic!("{effects:?}")
        };
        auth_choices.push(auth_choice.clone());
        send_intent(&mut model, Intent::Back);
        send_intent(&mut model, Intent::NextAuthChoice);
    }
    // A stored key that was never checked does not authorise another one.
    assert_eq!(
        auth_choices,
        [
            AuthChoice::Automatic,
            AuthChoice::PasteCode,
            AuthChoice::Automatic,
            AuthChoice::PasteCode
        ]
    );
    let info = Arc::new(KeyInfo {
        limit: Some(5.0).into(),
        limit_remaining: Some(5.0),
        ..KeyInfo::default()
    });
    let hash = model.dashboard.stored_keys()[0].hash.clone();
    model.dashboard.record_check(&hash, &CheckResult::Valid(info), now());
    send_intent(&mut model, Intent::Back);
    send_intent(&mut model, Intent::NewKey);
    type_text(&mut model, "new");
    send_intent(&mut model, Intent::NextAuthChoice);
    send_intent(&mut model, Intent::NextAuthChoice);
    let effects = send_intent(&mut model, Intent::Submit);
    let [
        Effect::Request(
            _,
            Request::ProvisionKey { auth_choice: AuthChoice::ExistingKey(label), .. },
        ),
    ] = &effects[..]
    else {
        panic!("{effects:?}")
    };
    assert_eq!(label.as_str(), "laptop");
}

#[test]
fn a_paste_with_a_newline_submits_nothing() {
    let mut model = model_with_keys(&[]);
    send_intent(&mut model, Intent::NewKey);
    let effects = send_intent(&mut model, Intent::Paste("my\r\ntool\u{1b}[A".into()));
    assert!(effects.is_empty());
    let Screen::Form(form) = &model.screen else { panic!() };
    assert_eq!(form.label.text(), "my tool[A");
}

#[test]
fn the_reset_is_chosen_with_arrows_space_and_letters() {
    let mut model = model_with_keys(&[]);
    send_intent(&mut model, Intent::NewKey);
    send_intent(&mut model, Intent::NextField);
    send_intent(&mut model, Intent::NextField);
    let mut reset = |intent: Intent| {
        send_intent(&mut model, intent);
        let Screen::Form(form) = &model.screen else { panic!() };
        form.limit_reset
    };
    assert_eq!(reset(Intent::TypeChar('n')), None);
    assert_eq!(reset(Intent::TypeChar(' ')), Some(ResetInterval::Daily));
    let right = Intent::EditText(tui_input::InputRequest::GoToNextChar);
    assert_eq!(reset(right), Some(ResetInterval::Weekly));
    let left = Intent::EditText(tui_input::InputRequest::GoToPrevChar);
    assert_eq!(reset(left), Some(ResetInterval::Daily));
    assert_eq!(reset(Intent::TypeChar('m')), Some(ResetInterval::Monthly));
}

#[test]
fn a_label_that_was_deleted_again_is_an_error_at_once() {
    let mut model = model_with_keys(&[]);
    send_intent(&mut model, Intent::NewKey);
    let hint = |model: &Model| {
        let Screen::Form(form) = &model.screen else { panic!("{:?}", model.screen) };
        form.field_hint(FormField::Label, now())
    };
    assert!(matches!(hint(&model), keywright::tui::state::FieldHint::Description(_)));
    type_text(&mut model, "x");
    send_intent(&mut model, Intent::EditText(tui_input::InputRequest::DeletePrevChar));
    assert!(matches!(hint(&model), keywright::tui::state::FieldHint::Error(_)));
}
