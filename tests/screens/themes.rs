//! The colours of the themes.

use keywright::tui::state::Background;

use ratatui::buffer::Cell;

use super::*;

#[test]
fn no_color_theme_uses_no_colors() {
    let model = loaded_model((80, 24));
    let colours = |theme| {
        let terminal = screen(&model, theme);
        let cells = terminal.backend().buffer().content().iter();
        cells.filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset).count()
    };
    assert_eq!(colours(Theme::NoColor), 0);
    assert!(colours(Theme::Dark) > 0 && colours(Theme::Light) > 0);
    let plain = screen(&model, Theme::NoColor);
    assert!(plain.backend().buffer().content().iter().any(|cell| cell.modifier == Modifier::BOLD));
    let text = |theme| screen(&model, theme).backend().to_string();
    assert_eq!(text(Theme::NoColor), text(Theme::Light));
}

#[test]
fn a_theme_for_another_background_brings_its_own() {
    let mut model = loaded_model((80, 24));
    for (background, fitting, other) in [
        (Background::Dark, Theme::Dark, Theme::Light),
        (Background::Light, Theme::Light, Theme::Dark),
    ] {
        model.background = background;
        for is_dialog in [false, true] {
            if is_dialog {
                want(&mut model, &[Intent::Remove]);
            }
            let left_to_the_terminal = |theme| {
                let terminal = screen(&model, theme);
                let cells = terminal.backend().buffer().content();
                // Nothing is written to the second cell of a wide character.
                let is_left = |pair: &&[Cell]| {
                    let is_second = pair[0].symbol().chars().any(|c| c > '\u{2fff}');
                    !is_second && (pair[1].fg == Color::Reset || pair[1].bg == Color::Reset)
                };
                cells.windows(2).filter(is_left).count()
            };
            assert_eq!(left_to_the_terminal(other), 0, "{other:?}");
            assert!(left_to_the_terminal(fitting) > 1_000, "{fitting:?}");
        }
        model.screen = Screen::Dashboard;
    }
}

#[test]
fn a_terminal_with_few_colors_keeps_its_own_ones() {
    let mut model = loaded_model((80, 24));
    model.uses_color = true;
    assert_eq!(Theme::of(&model), Theme::Dark);
    model.has_few_colors = true;
    assert_eq!(Theme::of(&model), Theme::Terminal);
    model.theme_choice = keywright::domain::ThemeChoice::Dark;
    assert_eq!(Theme::of(&model), Theme::Dark, "a choice counts");
}
