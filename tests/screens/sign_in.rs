//! The form of a new key and the sign-in screen.

use super::*;

#[test]
fn form_is_prefilled_with_the_default_policy() {
    let mut model = loaded_model((80, 24));
    want(&mut model, &[Intent::NewKey]);
    insta::assert_snapshot!(drawn(&model));
}

#[test]
fn form_shows_errors_below_each_field() {
    let mut model = loaded_model((80, 24));
    want(&mut model, &[Intent::NewKey]);
    type_text(&mut model, "ci");
    want(&mut model, &[Intent::NextField]);
    type_text(&mut model, "12,50");
    want(&mut model, &[Intent::NextField, Intent::NextField]);
    type_text(&mut model, "2026-02-31");
    insta::assert_snapshot!(drawn(&model));
}

#[test]
fn key_in_a_text_field_is_masked() {
    let key = format!("sk-or-v1-{}", "ab12".repeat(16));
    for open in [Intent::NewKey, Intent::EditFilter, Intent::OpenPlan] {
        let mut model = loaded_model((80, 24));
        want(&mut model, &[open.clone(), Intent::Paste(key.clone())]);
        let screen = drawn(&model);
        assert!(!screen.contains("ab12") && screen.contains("••••"), "{open:?}: {screen}");
    }
}

#[test]
fn sign_in_shows_the_complete_address() {
    let model = waiting((80, 24), false);
    insta::assert_snapshot!(drawn(&model));
    let Screen::SignIn(login) = &model.screen else { panic!("no login on screen") };
    let whole: String =
        drawn(&model).lines().map(|line| line.trim_matches('"').trim_end()).collect();
    assert!(whole.contains(&login.sign_in_url.as_ref().unwrap().url));
}

#[test]
fn pasted_code_is_masked() {
    let mut model = waiting((80, 24), true);
    update(&mut model, Msg::Intent(Intent::Paste("the-code\n".into())), now());
    insta::assert_snapshot!(drawn(&model));
}

#[test]
fn qr_code_is_shown_only_if_it_fits() {
    let mut model = waiting((80, 24), true);
    want(&mut model, &[Intent::ToggleQrCode]);
    assert!(drawn(&model).contains("does not fit"));
    let mut model = waiting((120, 50), true);
    want(&mut model, &[Intent::ToggleQrCode]);
    assert!(drawn(&model).contains('█'));
}

#[test]
fn the_qr_code_is_black_on_white_in_every_theme_and_palette() {
    let mut model = waiting((120, 50), true);
    want(&mut model, &[Intent::ToggleQrCode]);
    for theme in [Theme::Dark, Theme::Light, Theme::NoColor] {
        let terminal = screen(&model, theme);
        let cells = terminal.backend().buffer().content();
        let code: Vec<_> =
            cells.iter().filter(|cell| ["█", "▀", "▄"].contains(&cell.symbol())).collect();
        assert!(code.len() > 100, "{} cells", code.len());
        for cell in code {
            // RGB, because a palette may map the 16 ANSI colours to any others.
            assert_eq!(cell.fg, Color::Rgb(0, 0, 0));
            assert_eq!(cell.bg, Color::Rgb(255, 255, 255));
            assert!(cell.modifier.is_empty());
        }
    }
}

#[test]
fn failed_sign_in_shows_the_meaning_and_the_advice() {
    let error = UserError::new(
        ErrorKind::Cancelled,
        "access was denied on the consent page",
        "no key was issued and nothing was spent; try again if that was not meant",
    );
    insta::assert_snapshot!(drawn(&revealed(ProvisioningOutcome::Failed(error))));
}
