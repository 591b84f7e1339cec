//! What each key press shows, and that no text of a form or a dialog is lost.

use keywright::domain::{AccountKey, Retirement, Workspace};
use keywright::tui::keymap::footer_items;

use super::*;

/// A key that another one replaced and that no longer works.
fn replaced_key() -> StoredKey {
    let mut old = read(key("ci (old)", Some("10"), None, None), Some(0.5), 9.5);
    old.disabled = Some(true);
    old.retirement =
        Some(Retirement { replaced_at: now(), unused_for: 60, revoke_when_unused: false });
    old
}

fn loaded(size: (u16, u16), keys: Vec<StoredKey>) -> Model {
    let mut model = model(size);
    update(&mut model, Msg::Response(Ticket(1), Response::KeysLoaded(Ok(keys))), now());
    model
}

fn footer(model: &Model) -> String {
    let items = footer_items(model, model.terminal_size.0);
    let items = items
        .iter()
        .map(|item| format!("{} {}", item.binding.key_text(), item.binding.action.description));
    items.collect::<Vec<_>>().join("  ")
}

#[test]
fn a_replaced_key_is_to_be_removed_and_has_a_row_of_its_own() {
    let low = read(key("ci", Some("10"), None, None), Some(0.5), 9.5);
    let mut used = replaced_key();
    (used.label, used.disabled) = ("web (old)".parse().unwrap(), None);
    used.hash = "77".repeat(32);
    let model = loaded((160, 50), vec![replaced_key(), low, used]);
    let shown = drawn(&model);
    assert!(shown.contains("Attention  2"), "{shown}");
    assert!(shown.contains("no longer works: press x, then r to revoke it"), "{shown}");
    // A higher limit is no advice for a key that is not needed any more.
    assert_eq!(shown.matches("e raise the limit").count(), 1, "{shown}");
    assert!(shown.contains("x remove") && !shown.contains(" more  !"), "{shown}");
    let order: Vec<_> = model
        .dashboard
        .rows
        .iter()
        .map(|row| model.dashboard.all_keys()[*row].label.as_str())
        .collect();
    assert_eq!(order, ["ci", "web (old)", "ci (old)"]);
}

#[test]
fn the_account_page_counts_the_states_that_the_list_shows() {
    let low = read(key("ci", Some("10"), None, None), Some(0.5), 9.5);
    let mut used = replaced_key();
    (used.disabled, used.hash) = (None, "77".repeat(32));
    let mut model = loaded((80, 24), vec![low, used]);
    assert!(drawn(&model).contains("↷ replaced"));
    want(&mut model, &[Intent::ToggleAccount]);
    let shown = drawn(&model);
    assert!(shown.contains("2 here · ◐ 1 low · ↷ 1 replaced "), "{shown}");
}

#[test]
fn the_question_whether_to_disable_says_which_marked_keys_are_disabled() {
    let mut disabled = read(key("ci", Some("10"), None, None), Some(5.0), 5.0);
    (disabled.disabled, disabled.hash) = (Some(true), "77".repeat(32));
    let active = read(key("web", Some("10"), None, None), Some(5.0), 5.0);
    let mut model = loaded((120, 40), vec![active, disabled]);
    want(&mut model, &[Intent::ToggleDisabled]);
    assert!(!drawn(&model).contains("disabled already"));
    want(&mut model, &[Intent::No, Intent::ToggleMark, Intent::ToggleMark, Intent::ToggleDisabled]);
    let shown = drawn(&model);
    assert!(shown.contains("Disable web at OpenRouter?"), "{shown}");
    assert!(shown.contains("key is disabled already."), "{shown}");
}

#[test]
fn the_page_of_a_key_says_when_its_limit_resets_and_how_to_read_on() {
    let spent = read(key("ci", Some("10"), Some(ResetInterval::Monthly), None), Some(0.0), 10.0);
    for size in [(60, 16), (80, 24), (120, 40), (160, 50)] {
        let mut model = loaded(size, vec![spent.clone()]);
        want(&mut model, &[Intent::ToggleDetails]);
        let mut shown = drawn(&model);
        assert_eq!(size.1 < 30, shown.contains("more lines, ↓ scrolls"), "{shown}");
        assert!(size.1 == 24 || shown.contains("blocked "), "{shown}");
        want(&mut model, &[Intent::MovePage(1)]);
        shown.push_str(&drawn(&model));
        assert!(shown.contains("resets    in 7 days, 1 Dec 00:00 UTC"), "{shown}");
    }
}

#[test]
fn a_leaked_key_that_was_replaced_gets_no_new_key() {
    let mut model = loaded((80, 24), vec![replaced_key()]);
    want(&mut model, &[Intent::RespondToLeak]);
    let shown = drawn(&model);
    assert!(shown.contains("so no new key is created"), "{shown}");
    assert!(!shown.contains("takes its label"), "{shown}");
}

#[test]
fn rows_below_a_dialog_still_name_the_keys_to_press() {
    let mut model = in_every_state((160, 50));
    want(&mut model, &[Intent::Rotate]);
    let shown = drawn(&model);
    assert!(shown.contains("e raise the limit"), "{shown}");
}

#[test]
fn the_days_before_a_key_existed_are_not_days_without_spending() {
    let mut new = read(key("new", Some("10"), None, None), Some(10.0), 0.0);
    new.created_at = now();
    let mut model = loaded((120, 40), vec![new.clone()]);
    let days = (0..14).map(|ago| {
        let day = keywright::domain::utc_date(now() - SignedDuration::from_hours(24 * ago));
        (day, 0.0)
    });
    let spending = keywright::domain::KeySpending { days: days.collect(), models: Vec::new() };
    let ticket = model.account.spending_ticket.unwrap();
    let loaded = Response::SpendingLoaded([(new.hash.clone(), spending)].into());
    update(&mut model, Msg::Response(ticket, loaded), now());
    let days = model.dashboard.recent_days(&new, keywright::domain::utc_date(now()), 14);
    assert_eq!((days[12], days[13]), (None, Some(0.0)));
}

#[test]
fn the_hints_and_errors_of_a_form_are_never_truncated() {
    for size in [(60, 16), (80, 24), (120, 40)] {
        let mut model = loaded_model(size);
        want(&mut model, &[Intent::NewKey]);
        let Screen::Form(form) = &mut model.screen else { panic!() };
        let ticket = form.choices_ticket.unwrap();
        let workspace = |name: &str| Workspace {
            id: name.to_owned(),
            name: name.to_owned(),
            ..Workspace::default()
        };
        let choices = FormChoices {
            workspaces: Ok(vec![workspace("research"), workspace("tools")]),
            guardrails: Ok(Vec::new()),
            assigned_guardrail: None,
        };
        update(
            &mut model,
            Msg::Response(ticket, Response::FormChoicesLoaded(Some(choices))),
            now(),
        );
        for _ in 0..3 {
            want(&mut model, &[Intent::NextField]);
        }
        type_text(&mut model, "xyz");
        for step in 0..6 {
            let shown = drawn(&model);
            assert!(!shown.contains('…'), "{size:?}, field {step}: {shown}");
            let Screen::Form(form) = &model.screen else { panic!() };
            assert!(shown.contains(&format!("▸ {}", form.focused_field.title())), "{shown}");
            want(&mut model, &[Intent::NextField]);
        }
    }
}

#[test]
fn the_notes_of_a_form_go_before_empty_rows() {
    let mut model = loaded_model((80, 24));
    want(&mut model, &[Intent::NewKey]);
    let Screen::Form(form) = &mut model.screen else { panic!() };
    let ticket = form.choices_ticket.unwrap();
    let choices = FormChoices {
        workspaces: Ok(vec![Workspace { id: "1".into(), name: "a".into(), ..Default::default() }]),
        guardrails: Ok(Vec::new()),
        assigned_guardrail: None,
    };
    update(&mut model, Msg::Response(ticket, Response::FormChoicesLoaded(Some(choices))), now());
    assert!(drawn(&model).contains("ctrl-r: another method."), "{}", drawn(&model));
}

#[test]
fn a_key_press_without_effect_says_why() {
    let mut empty = loaded((80, 24), Vec::new());
    for intent in [
        Intent::Copy,
        Intent::ToggleDetails,
        Intent::Rotate,
        Intent::ToggleMark,
        Intent::TogglePane,
    ] {
        want(&mut empty, &[intent]);
        assert!(
            drawn(&empty).contains("No key is stored yet; n creates one."),
            "{}",
            drawn(&empty)
        );
    }
    want(&mut empty, &[Intent::DismissAttempt]);
    assert!(drawn(&empty).contains("No creation has failed."), "{}", drawn(&empty));
    let mut small = loaded_model((60, 16));
    want(&mut small, &[Intent::TogglePane]);
    assert!(drawn(&small).contains("The pane needs more rows"), "{}", drawn(&small));
}

#[test]
fn a_key_that_does_nothing_on_a_screen_says_so() {
    let mut model = loaded_model((80, 24));
    want(&mut model, &[Intent::OpenTrash]);
    let intent = intent_for_key(&model, &crossterm::event::KeyCode::Char('/').into()).unwrap();
    want(&mut model, &[intent]);
    assert!(
        drawn(&model).contains("'/' does nothing here; the keys below do."),
        "{}",
        drawn(&model)
    );
    // A question stays open, and a field takes every character.
    want(&mut model, &[Intent::Back, Intent::ToggleDisabled, Intent::Unbound('z')]);
    assert!(model.question.is_some());
}

#[test]
fn a_requested_refresh_reports_its_end() {
    let mut model = loaded_model((80, 24));
    want(&mut model, &[Intent::Reload]);
    assert!(drawn(&model).contains("Checking the keys."), "{}", drawn(&model));
    let ticket = model.dashboard.load_ticket.unwrap();
    update(&mut model, Msg::Response(ticket, Response::KeysLoaded(Ok(keys()))), now());
    let round = model.refresh.current_round.clone().unwrap();
    let result = CheckResult::Failed("500".into());
    for key in keys() {
        let checked = Response::KeyChecked {
            hash: key.hash.clone(),
            result: result.clone(),
            checked_at: now(),
        };
        update(&mut model, Msg::Response(round.ticket, checked), now());
    }
    let finished =
        Response::RefreshFinished { error: None, retry_after: None, rejected_keys: Vec::new() };
    update(&mut model, Msg::Response(round.ticket, finished), now());
    assert!(drawn(&model).contains("3 of 3 keys could not be checked"), "{}", drawn(&model));
}

#[test]
fn a_refresh_that_ends_leaves_the_error_of_another_action_on_screen() {
    let mut model = loaded_model((80, 24));
    want(&mut model, &[Intent::Reload]);
    let ticket = model.dashboard.load_ticket.unwrap();
    update(&mut model, Msg::Response(ticket, Response::KeysLoaded(Ok(keys()))), now());
    let ticket = model.refresh.current_round.as_ref().unwrap().ticket;
    let error = UserError::new(ErrorKind::SecretStore, "no keychain is running", "start one");
    model.notice = Some(Err(error));
    let finished =
        Response::RefreshFinished { error: None, retry_after: None, rejected_keys: Vec::new() };
    update(&mut model, Msg::Response(ticket, finished), now());
    assert!(drawn(&model).contains("No keychain is running"), "{}", drawn(&model));
}

#[test]
fn after_the_last_key_was_removed_the_trash_is_named_and_the_log_offers_no_undo() {
    let old = replaced_key();
    let mut model = loaded((80, 24), vec![old.clone()]);
    want(&mut model, &[Intent::Remove, Intent::Yes]);
    let trashed = keywright::domain::TrashedKey { removed_at: now(), key: old.clone() };
    let removed = Msg::KeyRemoved { label: old.label.clone(), result: Ok(Some(trashed)) };
    update(&mut model, removed, now());
    let shown = drawn(&model);
    assert!(
        shown.contains("X  restores a removed key") || shown.contains("X  Restores"),
        "{shown}"
    );
    assert!(!shown.contains("No keys are stored yet") && shown.contains("press u"), "{shown}");
    want(&mut model, &[Intent::ToggleMessages]);
    let shown = drawn(&model);
    assert!(shown.contains("was removed here") && !shown.contains("press u"), "{shown}");
}

#[test]
fn the_end_of_a_key_that_is_not_in_use_is_not_alarming() {
    let low = read(key("low", Some("10"), None, None), Some(0.5), 9.5);
    let mut ending = read(key("ci", None, None, Some(2)), None, 1.0);
    ending.hash = "77".repeat(32);
    let mut model = loaded((80, 24), vec![low, ending]);
    want(&mut model, &[Intent::MoveToTop]);
    let style_of_end = |model: &Model| {
        let screen = screen(model, Theme::Dark);
        let buffer = screen.backend().buffer().clone();
        let end = buffer.content().windows(2).rposition(|cells| {
            cells[0].symbol() == "2" && cells[1].symbol() == "d" && cells[0].bg == cells[1].bg
        });
        buffer.content()[end.unwrap()].fg
    };
    let alarming = style_of_end(&model);
    let mut disabled = model.dashboard.stored_keys()[1].clone();
    disabled.disabled = Some(true);
    model.dashboard.upsert_key(disabled, now());
    assert_ne!(style_of_end(&model), alarming);
}

#[test]
fn the_footer_has_the_same_actions_for_one_marked_key_and_for_several() {
    let mut model = loaded_model((80, 24));
    for _ in 0..3 {
        want(&mut model, &[Intent::ToggleMark]);
        let footer = footer(&model);
        for action in ["e edit", "d disable", "R rotate", "x remove"] {
            assert!(footer.contains(action), "{action} in {footer}");
        }
    }
}

#[test]
fn the_footer_of_an_edit_says_that_the_changes_are_shown_first() {
    let mut model = loaded_model((80, 24));
    want(&mut model, &[Intent::EditKey]);
    let ticket = model.edit_request.as_ref().unwrap().ticket;
    let stored = model.dashboard.selected_key().unwrap();
    let account_key = AccountKey { hash: stored.hash.clone(), ..AccountKey::default() };
    let fetched = Response::AccountKeyFetched(Ok(Some(account_key)));
    update(&mut model, Msg::Response(ticket, fetched), now());
    assert!(footer(&model).contains("ctrl-s review"), "{}", footer(&model));
    want(&mut model, &[Intent::NewKey]);
    let mut new = loaded_model((80, 24));
    want(&mut new, &[Intent::NewKey]);
    assert!(footer(&new).contains("ctrl-s submit"), "{}", footer(&new));
}

#[test]
fn a_qr_code_is_offered_only_where_it_fits() {
    let mut model = waiting((110, 24), false);
    assert!(footer(&model).contains("# QR code"), "{}", footer(&model));
    let measured = Response::QrCodeMeasured((61, 31));
    let ticket = ticket(&model);
    update(&mut model, Msg::Response(ticket, measured), now());
    assert!(!footer(&model).contains('#'), "{}", footer(&model));
    update(&mut model, Msg::Resized(120, 40), now());
    assert!(footer(&model).contains("# QR code"), "{}", footer(&model));
}

#[test]
fn a_bar_behind_a_dialog_is_fainter_than_text_and_differs_from_its_empty_part() {
    let mut model = in_every_state((120, 40));
    want(&mut model, &[Intent::ToggleDisabled]);
    let rows = model.layout().rows;
    for (theme, bar, color) in [
        (Theme::Dark, "▇", Color::Indexed(236)),
        (Theme::Light, "▇", Color::Indexed(254)),
        (Theme::HighContrast, "▇", Color::Indexed(238)),
        (Theme::Terminal, "░", Color::Reset),
        (Theme::NoColor, "░", Color::Reset),
    ] {
        let terminal = screen(&model, theme);
        let buffer = terminal.backend().buffer();
        let row: Vec<_> = (rows.x..rows.right()).map(|x| &buffer[(x, rows.y + 1)]).collect();
        let with = |symbol| row.iter().filter(move |cell| cell.symbol() == symbol);
        assert!(with(bar).count() > 2 && with("▁").count() > 2, "{theme:?} {buffer:?}");
        assert!(with(bar).all(|cell| cell.fg == color), "{theme:?}");
        let blocks = buffer.content.iter().filter(|cell| ["█", "▇"].contains(&cell.symbol()));
        assert_eq!(blocks.filter(|cell| cell.fg != color).count(), 0, "{theme:?}");
    }
}

#[test]
fn the_border_of_a_dialog_is_whole_where_it_cuts_a_wide_character() {
    for label in ["日本語日本語日本語日本語日本語", "x日本語日本語日本語日本語日本語"]
    {
        let keys = (0..20).map(|number| key(&format!("{label}{number:02}"), None, None, None));
        let mut model = loaded((120, 30), keys.collect());
        want(&mut model, &[Intent::Remove]);
        let terminal = screen(&model, Theme::Dark);
        let buffer = terminal.backend().buffer();
        let find = |symbol: &str| buffer.content.iter().position(|cell| cell.symbol() == symbol);
        let (top, bottom) = (find("╭").unwrap(), find("╰").unwrap());
        for corner in (top + 120..bottom).step_by(120) {
            assert_eq!(buffer.content[corner].symbol(), "│", "{}", drawn(&model));
        }
    }
}
