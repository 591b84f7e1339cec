//! The screens on which keys that exist are acted on, and what is shown of their past.

use keywright::domain::{
    AccountKey, AccountKeys, ActionResult, DailySpending, GuardrailRef, KeyPart, KeySpending,
    LeakResponse, NotCarried, ProfileCopy, Retirement, RotationOutcome, UsageSample, Workspace,
    utc_date,
};

use super::*;

fn remote(label: &str) -> AccountKey {
    let stored_key = keys().remove(0);
    AccountKey {
        hash: if label == "laptop" { stored_key.hash.clone() } else { "b".repeat(64) },
        name: Some(label.into()),
        disabled: Some(label != "laptop"),
        created_at: Some("2026-06-02T08:30:00Z".parse().unwrap()),
        info: KeyInfo {
            limit: Some(10.0).into(),
            limit_remaining: Some(6.0),
            limit_reset: Some(ResetInterval::Monthly).into(),
            expires_at: None.into(),
            masked: Some("sk-or-v1-7a7...0b0b".into()),
            ..KeyInfo::default()
        },
        ..AccountKey::default()
    }
}

fn editing(remote: Option<AccountKey>, size: (u16, u16)) -> Model {
    let mut model = loaded_model(size);
    want(&mut model, &[Intent::MoveToBottom]);
    let effects = update(&mut model, Msg::Intent(Intent::EditKey), now());
    let [Effect::Request(ticket, Request::FetchAccountKey(_))] = effects[..] else {
        panic!("{effects:?}")
    };
    update(&mut model, Msg::Response(ticket, Response::AccountKeyFetched(Ok(remote))), now());
    model
}

/// A key that spent 40 cents a day, and a dollar at weekends.
fn with_past(retiring: bool, size: (u16, u16)) -> Model {
    let mut model = model(size);
    let mut row =
        read(key("laptop", Some("25"), Some(ResetInterval::Monthly), Some(20)), Some(13.0), 12.0);
    if retiring {
        let since = now() - SignedDuration::from_hours(3);
        row.retirement =
            Some(Retirement { replaced_at: since, unused_for: 3_600, revoke_when_unused: false });
    }
    update(&mut model, Msg::Response(Ticket(1), Response::KeysLoaded(Ok(vec![row]))), now());
    want(&mut model, &[Intent::ToggleDetails]);
    let Some(ticket) = model.dashboard.usage_history_ticket else {
        panic!("no past is waited for")
    };
    let hash = model.dashboard.selected_key().unwrap().hash.clone();
    let mut usage = 36.0;
    let mut samples: Vec<UsageSample> = (0..28)
        .map(|day| {
            let at = now() - SignedDuration::from_hours(24 * day);
            let spent = if day % 7 > 4 { 1.0 } else { 0.4 };
            let sample = UsageSample { usage_daily: Some(spent), ..UsageSample::new(at, usage) };
            usage -= spent;
            sample
        })
        .collect();
    samples.reverse();
    let from = utc_date(now() - SignedDuration::from_hours(24 * 29));
    let days = DailySpending::from_samples(&samples, from, now());
    let spending = KeySpending { days, ..KeySpending::default() };
    let spending_ticket = model.account.spending_ticket.unwrap();
    for (ticket, response) in [
        (spending_ticket, Response::SpendingLoaded([(hash.clone(), spending)].into())),
        (ticket, Response::UsageHistoryLoaded(vec![(hash, samples)])),
    ] {
        update(&mut model, Msg::Response(ticket, response), now());
    }
    model
}

/// Opens a dialog, and answers what the new key will lack.
fn open_with_losses(model: &mut Model, intent: Intent) {
    want(model, &[Intent::MoveToBottom]);
    let effects = update(model, Msg::Intent(intent), now());
    let [Effect::Request(ticket, Request::PreviewReplacements(keys))] = &effects[..] else {
        panic!("{effects:?}")
    };
    let guardrail = GuardrailRef { id: "g".into(), name: "research".into() };
    let reason = String::from("this management key may not read it (403)");
    let losses = vec![
        NotCarried {
            what: "guardrail",
            part: Some(KeyPart::Guardrail(guardrail)),
            reason: reason.clone(),
        },
        NotCarried { what: "allowed_api_key_hashes", part: None, reason },
    ];
    let losses = vec![(keys[0].label.clone(), losses)];
    update(model, Msg::Response(*ticket, Response::LossesExpected(losses)), now());
}

#[test]
fn rotation_dialog_says_what_the_new_key_will_lack() {
    let mut model = loaded_model((80, 24));
    open_with_losses(&mut model, Intent::Rotate);
    insta::assert_snapshot!(drawn(&model));
}

#[test]
fn leak_response_dialog_says_what_the_new_key_will_lack() {
    let mut model = loaded_model((80, 24));
    open_with_losses(&mut model, Intent::RespondToLeak);
    insta::assert_snapshot!(drawn(&model));
}

#[test]
fn dialogs_say_that_another_profile_has_the_key() {
    for intents in
        [&[Intent::Remove, Intent::Revoke][..], &[Intent::RespondToLeak], &[Intent::Rotate]]
    {
        let mut model = loaded_model((80, 24));
        want(&mut model, &[Intent::MoveToBottom]);
        let hash = model.dashboard.selected_key().unwrap().hash.clone();
        let copy = ProfileCopy { profile: "work".parse().unwrap(), label: "desk".parse().unwrap() };
        let copies = [(hash, vec![copy])].into();
        update(&mut model, Msg::OtherProfilesRead(copies), now());
        want(&mut model, intents);
        let shown = drawn(&model);
        assert!(shown.contains("also stored as 'desk' in profile work"), "{shown}");
    }
}

#[test]
fn rotation_dialog_offers_to_rotate_once_it_knows_what_is_lost() {
    let mut model = loaded_model((80, 24));
    want(&mut model, &[Intent::Rotate, Intent::NextChoice]);
    let pending = drawn(&model);
    assert!(!pending.contains("enter rotate"), "{pending}");
    insta::assert_snapshot!(pending);
    let Screen::Confirm(dialog) = &mut model.screen else { panic!("no dialog") };
    dialog.losses = keywright::tui::state::ExpectedLosses::Known(Vec::new());
    let shown = drawn(&model);
    assert!(shown.contains(" enter  rotate ") && shown.contains(" enter rotate "), "{shown}");
}

#[test]
fn a_dialog_offers_only_what_works_at_every_size() {
    let mut model = loaded_model((80, 24));
    want(&mut model, &[Intent::MoveToBottom, Intent::Remove, Intent::Revoke]);
    for (typed, is_offered) in [("lapt", false), ("op", true)] {
        type_text(&mut model, typed);
        for size in [(60, 16), (80, 24), (300, 80)] {
            update(&mut model, Msg::Resized(size.0, size.1), now());
            let shown = drawn(&model);
            assert_eq!(shown.contains("enter  revoke"), is_offered, "{shown}");
            assert!(shown.contains("It stops working everywhere"), "{shown}");
        }
    }
}

#[test]
fn a_click_beside_a_dialog_closes_it_and_a_click_on_a_button_acts() {
    for size in [(60, 16), (80, 24), (160, 50)] {
        let mut model = loaded_model(size);
        want(&mut model, &[Intent::Remove]);
        let shown = drawn(&model);
        let (row, line) =
            shown.lines().enumerate().find(|(_, line)| line.contains(" y  remove")).unwrap();
        let column = line.split(" y  remove").next().unwrap().chars().count();
        let at = |column: usize, row: usize| {
            view::intent_at(&model, u16::try_from(column).unwrap(), u16::try_from(row).unwrap())
        };
        // A row of the snapshot begins with a quotation mark.
        assert_eq!(at(column, row), Some(Intent::Yes), "{shown}");
        assert_eq!(at(column, row - 1), None, "{shown}");
        assert_eq!(at(0, row), Some(Intent::Back), "{shown}");
        let back = at(0, 3).unwrap();
        want(&mut model, &[back]);
        assert!(model.question.is_none());
    }
}

#[test]
fn leak_response_dialog_lists_the_steps() {
    let mut model = loaded_model((80, 24));
    want(&mut model, &[Intent::ToggleMark, Intent::ToggleMark, Intent::RespondToLeak]);
    insta::assert_snapshot!(drawn(&model));
}

#[test]
fn revocation_requires_the_label() {
    let mut model = loaded_model((80, 24));
    want(&mut model, &[Intent::MoveToBottom, Intent::Remove]);
    let question = drawn(&model);
    assert!(
        question.contains("Remove laptop from this machine?")
            && question.contains("revoke at OpenRouter too")
    );
    want(&mut model, &[Intent::Revoke]);
    type_text(&mut model, "lapt");
    insta::assert_snapshot!(drawn(&model));
}

#[test]
fn failed_leak_response_actions_are_highlighted() {
    let mut model = loaded_model((80, 24));
    want(&mut model, &[Intent::RespondToLeak, Intent::Yes]);
    let ticket = ticket(&model);
    let responses = vec![LeakResponse {
        label: "laptop".parse().unwrap(),
        disable_result: ActionResult {
            succeeded: false,
            message: "'laptop' is NOT disabled: that takes a management key, and none is known; \
                    disable or delete it now at https://openrouter.ai/keys/6c6170746f70"
                .into(),
        },
        rotation: Some(RotationOutcome::Failed(UserError::new(
            ErrorKind::Unreachable,
            "the server could not be reached",
            "check the network",
        ))),
    }];
    update(&mut model, Msg::Response(ticket, Response::LeakResponseFinished(responses)), now());
    insta::assert_snapshot!(drawn(&model));
}

#[test]
fn edit_form_shows_the_changes() {
    let mut model = editing(Some(remote("laptop")), (80, 24));
    type_text(&mut model, "12.5");
    want(&mut model, &[Intent::NextField, Intent::NextChoice, Intent::Submit]);
    insta::assert_snapshot!(drawn(&model));
    insta::assert_snapshot!("edit_form_without_a_management_key", drawn(&editing(None, (80, 24))));
}

#[test]
fn edit_form_shows_the_changes_on_the_smallest_terminal() {
    let mut model = editing(Some(remote("laptop")), view::MIN_TERMINAL_SIZE);
    type_text(&mut model, "12.5");
    want(&mut model, &[Intent::Submit]);
    insta::assert_snapshot!(drawn(&model));
}

#[test]
fn imported_key_is_masked() {
    let mut model = loaded_model((80, 24));
    want(&mut model, &[Intent::ImportKey]);
    type_text(&mut model, "web");
    want(&mut model, &[Intent::Enter, Intent::Paste("sk-or-v1-5ec7e7".into())]);
    insta::assert_snapshot!(drawn(&model));
}

#[test]
fn account_keys_are_shown_with_stored_keys() {
    let mut model = loaded_model((80, 24));
    let effects = update(&mut model, Msg::Intent(Intent::NextScope), now());
    let [Effect::Request(ticket, Request::LoadAccountKeys)] = effects[..] else {
        panic!("{effects:?}")
    };
    let account = AccountKeys {
        keys: vec![remote("laptop"), remote("somebody else's 🤖\u{202e}\u{1b}[2J")],
        revoked_hashes: vec![keys()[1].hash.clone()],
    };
    update(&mut model, Msg::Response(ticket, Response::AccountKeysLoaded(Ok(account))), now());
    insta::assert_snapshot!(drawn(&model));
    want(&mut model, &[Intent::MoveToBottom, Intent::ToggleDetails]);
    insta::assert_snapshot!("details_of_a_key_that_is_not_stored", drawn(&model));
}

#[test]
fn details_show_usage_history_and_forecast() {
    insta::assert_snapshot!(drawn(&with_past(false, (80, 24))));
    let wide = drawn(&with_past(false, (160, 50)));
    assert!(wide.contains("by day"), "{wide}");
    // Below the list the forecast has one row.
    let mut model = with_past(false, (120, 40));
    want(&mut model, &[Intent::ToggleDetails]);
    let pane = drawn(&model);
    assert!(pane.contains("forecast  about $15.70 of $25.00 by the reset  "), "{pane}");
}

#[test]
fn details_show_whether_a_replaced_key_is_used() {
    let used = drawn(&with_past(true, (80, 24)));
    assert!(used.contains("replaced"), "{used}");
    insta::assert_snapshot!(used);
}

#[test]
fn the_focused_choice_stays_on_a_small_screen() {
    let mut model = editing(Some(remote("laptop")), (60, 16));
    let Screen::Form(form) = &model.screen else { panic!() };
    let ticket = form.choices_ticket.unwrap();
    let names = ["default", "research", "customer support in europe", "nightly evaluations"];
    let workspaces =
        names.map(|name| Workspace { id: name.into(), name: name.into(), slug: name.into() });
    let choices = FormChoices {
        workspaces: Ok(workspaces.to_vec()),
        guardrails: Err(UserError::new(ErrorKind::Failed, "the server answered 403", "ask")),
        assigned_guardrail: None,
    };
    update(&mut model, Msg::Response(ticket, Response::FormChoicesLoaded(Some(choices))), now());
    want(&mut model, &[Intent::NextField, Intent::NextField, Intent::NextField]);
    want(&mut model, &[Intent::TypeChar('c'), Intent::NextField]);
    insta::assert_snapshot!(drawn(&model));
}
