//! Every screen at every size: no text is cut without an ellipsis or overdraws another region.

use keywright::domain::{AccountKey, TrashedKey};

use super::*;

/// The widths and heights of the sweep: the edges of every layout and steps between them.
const WIDTHS: [u16; 9] = [60, 75, 80, 99, 120, 139, 140, 200, 300];
const HEIGHTS: [u16; 6] = [16, 23, 24, 40, 50, 80];

pub(super) fn rows(model: &Model) -> Vec<String> {
    let terminal = screen(model, Theme::NoColor);
    let buffer = terminal.backend().buffer();
    let width = usize::from(buffer.area.width);
    let cells: Vec<&str> = buffer.content().iter().map(ratatui::buffer::Cell::symbol).collect();
    let is_wide = |symbol: &str| ratatui::text::Span::raw(symbol).width() > 1;
    let join = |row: &[&str]| {
        // The cell after a wide character is a part of it.
        let previous = std::iter::once(&"").chain(row);
        let shown = row.iter().zip(previous).filter(|(_, previous)| !is_wide(previous));
        shown.map(|(symbol, _)| *symbol).collect()
    };
    cells.chunks(width).map(join).collect()
}

/// Calls `check` with the rows of the screen at every size.
pub(super) fn sweep(model: &mut Model, check: impl Fn(&Model, &[String])) {
    for width in WIDTHS {
        for height in HEIGHTS {
            update(model, Msg::Resized(width, height), now());
            check(model, &rows(model));
        }
    }
}

fn many_keys() -> Model {
    let mut model = model((80, 24));
    let labels = (0..60).map(|number| match number % 3 {
        0 => format!("key-{number}"),
        1 => format!("a label of {number} that is longer than every column of the list can be"),
        _ => format!("日本語のラベル {number}"),
    });
    let keys: Vec<StoredKey> = labels
        .zip(states().into_iter().cycle())
        .map(|(label, mut state)| {
            state.hash = keywright::domain::encode_hex(label.as_bytes());
            state.label = label.parse().unwrap();
            state
        })
        .collect();
    let ticket = model.dashboard.load_ticket.unwrap();
    update(&mut model, Msg::Response(ticket, Response::KeysLoaded(Ok(keys))), now());
    model
}

/// The screen with as many removed keys as there are keys.
fn removed_keys() -> Model {
    let mut model = many_keys();
    want(&mut model, &[Intent::OpenTrash]);
    let Screen::Trash(screen) = &model.screen else { panic!("{:?}", model.screen) };
    let keys = model.dashboard.stored_keys().iter().cloned();
    let trash = keys.map(|key| TrashedKey { removed_at: now(), key }).collect();
    let loaded = Msg::Response(screen.ticket.unwrap(), Response::TrashLoaded(Ok(trash)));
    update(&mut model, loaded, now());
    model
}

/// The screen that edits the limits of all keys, half of which cannot be read.
fn limits_of_all_keys() -> Model {
    let mut model = many_keys();
    let hashes: Vec<String> =
        model.dashboard.stored_keys().iter().map(|key| key.hash.clone()).collect();
    model.dashboard.marked_hashes.extend(hashes.iter().cloned());
    want(&mut model, &[Intent::EditKey]);
    let Screen::Limits(screen) = &model.screen else { panic!("{:?}", model.screen) };
    let error = UserError::new(ErrorKind::Failed, "the server did not answer in time", "");
    let fetch = |(index, hash): (usize, String)| match index % 2 {
        0 => Ok(AccountKey { hash, ..AccountKey::default() }),
        _ => Err(error.clone()),
    };
    let current = hashes.into_iter().enumerate().map(fetch).collect();
    let fetched = Msg::Response(screen.ticket, Response::AccountKeysFetched(current));
    update(&mut model, fetched, now());
    want(&mut model, &[Intent::TypeChar('5')]);
    model
}

#[test]
fn the_limits_of_several_keys_have_the_form_of_one() {
    let mut model = limits_of_all_keys();
    model.terminal_size = (80, 24);
    let rows = drawn(&model);
    assert!(rows.contains(" ▸ Credit limit   5"), "{rows}");
    assert!(rows.contains("   Reset         [keep]  never "), "{rows}");
    want(&mut model, &[Intent::Submit]);
    let rows = drawn(&model);
    assert!(rows.contains("   Enter sends these changes, esc goes back:"), "{rows}");
}

#[test]
fn keys_in_the_trash_and_their_limits_are_listed_at_every_size() {
    sweep(&mut removed_keys(), |model, rows| {
        let text = rows.join("\n");
        assert!(text.contains("key-0") && text.contains("2026-12-01"), "{text}");
        // Wrapped at any word.
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("kept here for 7 days."), "{:?}\n{text}", model.terminal_size);
        let long = rows.iter().filter(|row| row.contains("a label of"));
        assert!(long.into_iter().all(|row| row.contains('…') || row.contains("can be")), "{text}");
    });
    sweep(&mut limits_of_all_keys(), |model, rows| {
        let text = rows.join("\n");
        assert!(text.contains("→ $5.00"), "{:?}\n{text}", model.terminal_size);
        assert!(text.contains("more keys") || model.terminal_size.1 > 70, "{text}");
    });
}

#[test]
fn the_rules_and_the_footer_are_never_overdrawn() {
    let mut screens = vec![many_keys(), in_every_state((80, 24)), model((80, 24))];
    for intents in [
        &[Intent::ToggleDetails][..],
        &[Intent::TogglePane],
        &[Intent::NewKey],
        &[Intent::ToggleHelp],
        &[Intent::EditFilter],
        &[Intent::MoveToBottom],
    ] {
        let mut model = in_every_state((80, 24));
        want(&mut model, intents);
        screens.push(model);
    }
    for field in 0..8 {
        let mut model = in_every_state((80, 24));
        want(&mut model, &[Intent::NewKey]);
        (0..field).for_each(|_| want(&mut model, &[Intent::NextField]));
        screens.push(model);
    }
    screens.push(waiting((80, 24), false));
    screens.extend([removed_keys(), limits_of_all_keys()]);
    for model in &mut screens {
        model.notice = None;
        sweep(model, |model, rows| {
            let (width, height) = model.terminal_size;
            let rule = "─".repeat(usize::from(width));
            assert_eq!(rows[1], rule, "{width}x{height}");
            let bottom = &rows[usize::from(height) - 3];
            assert_eq!(*bottom, rule, "{width}x{height}\n{}", rows.join("\n"));
        });
    }
}

#[test]
fn every_row_of_the_list_is_whole_and_a_long_label_has_an_ellipsis() {
    let mut model = many_keys();
    for bottom in [false, true] {
        want(&mut model, &[if bottom { Intent::MoveToBottom } else { Intent::MoveToTop }]);
        sweep(&mut model, |model, rows| {
            let layout = model.layout();
            let size = model.terminal_size;
            let shown: Vec<_> = model.visible_keys().collect();
            assert_eq!(shown.len(), layout.page_size().min(60), "{size:?}");
            assert!(shown.iter().any(|(row, _)| *row == model.dashboard.selected_row), "{size:?}");
            for (y, (_, key)) in (usize::from(layout.rows.y)..).zip(&shown) {
                let row = &rows[y];
                let state = key.state(now()).word();
                assert!(row.contains(state), "{size:?} {state}\n{row}");
                let label = key.label.as_str();
                let start: String = label.chars().take(5).collect();
                assert!(row.contains(&start), "{size:?} {label}\n{row}");
                assert!(row.contains(label) || row.contains('…'), "{size:?} {label}\n{row}");
            }
            let titles = &rows[usize::from(layout.titles.y)];
            for title in ["LABEL", "STATE", "SPENT $", "LIMIT $", "ENDS"] {
                assert!(titles.contains(title), "{size:?} {titles}");
            }
        });
    }
}

#[test]
fn the_page_scrolls_to_its_last_line_and_no_further() {
    let mut model = in_every_state((60, 16));
    want(&mut model, &[Intent::Move(1), Intent::ToggleDetails]);
    let before = rows(&model);
    assert!(before.iter().any(|row| row.contains("spent  ")), "the chart is below: {before:?}");
    want(&mut model, &[Intent::MoveToBottom]);
    let end = draw_and_limit(&mut model);
    assert!(end > 0 && model.dashboard.details_scroll == end);
    let after = rows(&model);
    assert!(after.iter().any(|row| row.contains("24 Nov")), "{after:?}");
    want(&mut model, &[Intent::Move(-1)]);
    assert_eq!(model.dashboard.details_scroll, end - 1, "one press moves at once");
}

/// Draws and limits the scroll position, as the event loop does.
fn draw_and_limit(model: &mut Model) -> u16 {
    let (columns, rows) = model.terminal_size;
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    let mut end = 0;
    terminal.draw(|frame| end = view::draw(model, Theme::Dark, frame).scroll_end).unwrap();
    model.limit_scroll(end);
    end
}

#[test]
fn no_size_of_the_terminal_is_too_small_to_draw_even_before_the_model_knows_it() {
    let few = |count: usize| {
        let mut model = many_keys();
        let ticket = Ticket(1);
        model.dashboard.load_ticket = Some(ticket);
        let keys = model.dashboard.stored_keys()[..count].to_vec();
        update(&mut model, Msg::Response(ticket, Response::KeysLoaded(Ok(keys))), now());
        model
    };
    let mut models = Vec::new();
    for count in [0, 1, 50] {
        for intents in [
            &[][..],
            &[Intent::TogglePane],
            &[Intent::ToggleDetails],
            &[Intent::ToggleHelp],
            &[Intent::OpenPalette],
            &[Intent::ToggleMessages],
            &[Intent::ToggleAccount],
            &[Intent::EditFilter],
        ] {
            let mut model = few(count);
            want(&mut model, intents);
            models.push(model);
        }
        let mut model = few(count);
        let advice = "a sentence that is far longer than two lines ".repeat(9);
        model.notice = Some(Err(UserError::new(ErrorKind::Failed, "it failed", advice)));
        models.push(model);
    }
    for width in 1..=130 {
        for height in 1..=45 {
            // Each size is drawn with one of the screens, and each screen with sizes of every kind.
            let index = usize::from(width) * 31 + usize::from(height);
            let count = models.len();
            let model = &mut models[index % count];
            model.terminal_size = [(300, 80), (60, 16), (width, height)][usize::from(height) % 3];
            let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
            terminal.draw(|frame| _ = view::draw(model, Theme::Dark, frame)).unwrap();
        }
    }
}

#[test]
fn a_long_notice_hides_the_whole_rule_and_says_where_the_rest_is() {
    let mut model = loaded_model((80, 24));
    let advice = format!("{} https://example.com/end", "a long advice that goes on ".repeat(6));
    model.notice = Some(Err(UserError::new(ErrorKind::Failed, "it failed", advice)));
    let shown = rows(&model);
    assert!(!shown[21].contains('─'), "{}", shown[21]);
    assert!(shown[21].trim_start().starts_with("✗ It failed."), "{}", shown[21]);
    assert!(shown[22].trim_end().ends_with("… m shows all"), "{}", shown[22]);
}

#[test]
fn the_charts_of_the_selected_row_look_as_on_the_other_rows() {
    let mut model = in_every_state((80, 24));
    let row_of = |model: &Model, y: u16| {
        let terminal = screen(model, Theme::Dark);
        let buffer = terminal.backend().buffer();
        (0..80).map(|x| buffer[(x, y)].clone()).collect::<Vec<_>>()
    };
    let y = model.layout().rows.y;
    want(&mut model, &[Intent::MoveToTop]);
    let selected = row_of(&model, y);
    want(&mut model, &[Intent::Move(1)]);
    let other = row_of(&model, y);
    let is_chart = |cell: &ratatui::buffer::Cell| {
        cell.bg == Color::Indexed(238) || "▁▂▃▄▅▆▇█·".contains(cell.symbol())
    };
    assert!(other.iter().filter(|cell| is_chart(cell)).count() > 20);
    for (selected, other) in selected.iter().zip(&other).filter(|(_, other)| is_chart(other)) {
        assert_eq!((selected.fg, selected.bg), (other.fg, other.bg));
    }
    // The selection is one bar, from the label to the charts.
    let is_selected = |cell: &ratatui::buffer::Cell| cell.bg == Color::Indexed(152);
    let rows = model.layout().rows;
    let row = &selected[usize::from(rows.x)..];
    let end = row.iter().position(|cell| !is_selected(cell)).unwrap();
    assert!(end > 40 && !row[end..].iter().any(is_selected), "{end}");
    assert!(is_chart(&row[end + 1]), "{:?}", row[end + 1]);
}
