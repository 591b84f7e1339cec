//! Tests of what is written for a frame.

use ratatui::Terminal;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::{TerminalOptions, Viewport};

use super::*;

/// Draws each frame and returns what was written for each.
fn write_frames(frames: &[Vec<Line<'_>>]) -> Vec<String> {
    crossterm::style::force_color_output(true);
    let area = Rect::new(0, 0, 20, 4);
    let options = TerminalOptions { viewport: Viewport::Fixed(area) };
    let backend = FrameBackend::new(Vec::new(), area.as_size());
    let mut terminal = Terminal::with_options(backend, options).unwrap();
    let write = |lines: &Vec<Line<'_>>| {
        terminal
            .draw(|frame| frame.render_widget(ratatui::text::Text::from(lines.clone()), area))
            .unwrap();
        String::from_utf8(std::mem::take(terminal.backend_mut().writer())).unwrap()
    };
    frames.iter().map(write).collect()
}

#[test]
fn a_frame_without_changes_writes_nothing() {
    let frame = vec![Line::from("one".red())];
    assert_eq!(write_frames(&[frame.clone(), frame])[1], "");
}

#[test]
fn a_change_of_style_is_one_sequence_and_the_frame_ends_without_style() {
    let spans = vec![Span::styled("a", Style::new().bold().red()), "b".blue(), "c".into()];
    let written = write_frames(&[vec![Line::from(spans)]]);
    assert_eq!(written[0], "\x1b[1;1H\x1b[1;31ma\x1b[0;34mb\x1b[0mc");
}

#[test]
fn a_colour_is_written_in_the_shortest_form_that_its_kind_has() {
    for (foreground, background, codes) in [
        (Color::Black, Color::White, "30;107"),
        (Color::Gray, Color::DarkGray, "37;100"),
        (Color::LightCyan, Color::Reset, "96"),
        (Color::Indexed(0), Color::Indexed(255), "38;5;0;48;5;255"),
        (Color::Rgb(0, 1, 255), Color::Rgb(255, 0, 16), "38;2;0;1;255;48;2;255;0;16"),
    ] {
        let style = Style::new().fg(foreground).bg(background);
        let written = write_frames(&[vec![Line::from(Span::styled("a", style))]]);
        assert_eq!(written[0], format!("\x1b[1;1H\x1b[{codes}ma\x1b[0m"));
    }
}

#[test]
fn a_short_gap_is_written_again_where_it_looks_the_same() {
    let before = vec![Line::from("abcd efghij"), Line::from(vec!["a".red(), "b".blue()])];
    let after = vec![Line::from("AbcD EfghiJ"), Line::from(vec!["A".red(), "b".blue()])];
    let written = write_frames(&[before, after]);
    assert_eq!(written[1], "\x1b[1;1HAbcD E\x1b[4CJ\r\n\x1b[31mA\x1b[0m");
}

#[test]
fn a_blank_keeps_the_colour_of_the_text_but_not_another_background() {
    let spans = vec!["a".red(), " ".into(), "b".red(), " ".on_blue(), "c".red()];
    let written = write_frames(&[vec![Line::from(spans)]]);
    assert_eq!(written[0], "\x1b[1;1H\x1b[31ma b\x1b[39;44m \x1b[31;49mc\x1b[0m");
}

#[test]
fn a_style_that_alternates_with_others_is_written_at_last_and_by_itself() {
    let key = |text| Span::styled(text, Style::new().fg(Color::Indexed(74)));
    let row = || Line::from(vec![key("q"), " quit  ".into(), key("n"), " new".into()]);
    let written = write_frames(&[vec![row(), row()]]);
    assert_eq!(
        written[0],
        "\x1b[1;3Hquit\x1b[4Cnew\r\n  quit\x1b[4Cnew\x1b[1;1H\x1b[38;5;74mq\x1b[7Cn\r\nq\x1b[7Cn\x1b[0m"
    );
}

#[test]
fn a_long_blank_is_erased_but_not_in_another_background() {
    let before = vec![Line::from("abcdefghijklmnopqrst"), Line::from("abcdefghijklmnopqrst")];
    let after = vec![Line::from("a"), Line::from("ab               rst")];
    let blue = Line::from("                    ".on_blue());
    let written = write_frames(&[before, after, vec![blue]]);
    assert_eq!(written[1], "\x1b[1;2H\x1b[K\r\nab\x1b[15X");
    assert!(written[2].contains(&" ".repeat(20)), "{}", written[2]);
}

#[test]
fn changes_lead_to_the_same_screen_as_a_whole_frame() {
    let mut seed: u32 = 7;
    let mut next = |below: usize| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        usize::try_from(seed >> 16).unwrap() % below
    };
    // Most frames have no wide character, beside which the cells are written row by row.
    let texts = ["a", "b", " ", "         ", "█", "é", "日"];
    let styles = [
        Style::new(),
        Style::new().red(),
        Style::new().on_blue(),
        Style::new().bold().red(),
        Style::new().reversed(),
        Style::new().underlined(),
    ];
    let mut row = |with_wide: bool| {
        let count = if with_wide { 7 } else { 6 };
        let spans = (0..10).map(|_| Span::styled(texts[next(count)], styles[next(6)]));
        Line::from(spans.collect::<Vec<_>>())
    };
    let frames: Vec<Vec<Line<'_>>> = (0..400)
        .map(|index| index % 8 < 2)
        .map(|with_wide| vec![row(with_wide), row(with_wide), row(with_wide)])
        .collect();
    let parser = || {
        let some = |size| std::num::NonZero::new(size).unwrap();
        vt100::Parser::new(some(4), some(20), 0)
    };
    let mut screen = parser();
    for (written, frame) in write_frames(&frames).iter().zip(&frames) {
        screen.process(written.as_bytes());
        let mut whole = parser();
        whole.process(write_frames(std::slice::from_ref(frame))[0].as_bytes());
        let visible_cells = |parser: &vt100::Parser| {
            let cells = (0..80).filter_map(|at| parser.screen().cell(at / 20, at % 20));
            let visible = cells.map(|cell| {
                let text = if cell.has_contents() { cell.contents() } else { " " };
                let hides_foreground = text == " " && !cell.inverse() && !cell.underline();
                let foreground = (!hides_foreground).then(|| (cell.fgcolor(), cell.bold()));
                (text.to_owned(), foreground, cell.bgcolor(), cell.inverse(), cell.underline())
            });
            visible.collect::<Vec<_>>()
        };
        assert_eq!(visible_cells(&screen), visible_cells(&whole));
    }
}

#[test]
fn what_was_on_screen_is_wiped_when_it_is_cleared() {
    let mut backend = FrameBackend::new(Vec::new(), Size::new(20, 2));
    let mut cell = Cell::default();
    cell.set_symbol("k");
    backend.draw([(3, 1, &cell)].into_iter()).unwrap();
    assert_eq!(backend.shown[23].ascii, Some(b'k'));
    let address = backend.shown.as_ptr();
    backend.clear().unwrap();
    assert!(backend.shown.iter().all(|cell| cell.ascii == Some(b' ')));
    assert_eq!(backend.shown.as_ptr(), address, "the memory is still in use");
}

#[test]
fn gaps_in_a_row_are_relative_and_absolute_after_a_wide_character() {
    let before = vec![Line::from("a–b    c"), Line::from("日 x")];
    let after = vec![Line::from("A–B    C"), Line::from("月 y")];
    let written = write_frames(&[before, after]);
    assert_eq!(written[1], "\x1b[1;1HA\x1b[CB\x1b[4CC\r\n月\x1b[2;4Hy");
}
