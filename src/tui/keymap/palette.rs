//! The palette: finds every action of the screen by a fuzzy match.

use std::borrow::Cow;

use crossterm::event::{KeyCode, KeyModifiers};
use fuzzy_matcher::FuzzyMatcher;
use fuzzy_matcher::skim::SkimMatcherV2;

use super::{Binding, screen_bindings};
use crate::tui::state::{Intent, Model, Palette, Screen};

/// An action that the palette lists.
#[derive(Clone, Debug)]
pub struct PaletteEntry {
    /// What it does.
    pub text: &'static str,
    /// The keys as shown; empty without a key.
    pub key_text: Cow<'static, str>,
    /// Whether it works now.
    pub is_enabled: bool,
    /// The positions in `text` of the characters that match.
    pub matched_chars: Vec<usize>,
    intent: Intent,
}

/// Filters that the palette offers, with what they show.
const FILTERS: [(&str, &str); 6] = [
    ("filter state:low: nearly spent", "state:low"),
    ("filter state:disabled: disabled keys", "state:disabled"),
    ("filter spent>10: more than $10 spent", "spent>10"),
    ("filter expires<7d: expire within 7 days", "expires<7d"),
    ("filter store:os: stored in the keychain", "store:os"),
    ("filter workspace:… : keys of a workspace", "workspace:"),
];

/// Returns the actions of the screen that match the query, best first. Without a query they have the
/// order of the help, those that work now first.
pub fn palette_entries(model: &Model, palette: &Palette) -> Vec<PaletteEntry> {
    let is_listed = |binding: &Binding| {
        let action = binding.action;
        // Moving the selection is done with the keys.
        let moves = matches!(
            action.intent,
            Intent::Move(_) | Intent::OpenPalette | Intent::EditText(_) | Intent::Interrupt
        );
        !action.description.is_empty() && !moves
    };
    let mut entries: Vec<PaletteEntry> = Vec::new();
    for binding in screen_bindings(model).into_iter().filter(is_listed) {
        let entry = PaletteEntry {
            text: binding.action.help_text(),
            key_text: binding.key_text(),
            is_enabled: binding.action.is_enabled(model),
            matched_chars: Vec::new(),
            intent: binding.intent(),
        };
        // Of two actions on one key, one works.
        match entries.iter_mut().find(|other| other.intent == entry.intent) {
            Some(other) if !other.is_enabled && entry.is_enabled => {
                *other = PaletteEntry { text: other.text, ..entry };
            }
            Some(_) => {}
            None => entries.push(entry),
        }
    }
    if matches!(model.screen, Screen::Dashboard) {
        entries.extend(FILTERS.iter().map(|(text, filter)| PaletteEntry {
            text,
            key_text: Cow::Borrowed(""),
            is_enabled: !model.dashboard.all_keys().is_empty(),
            matched_chars: Vec::new(),
            intent: Intent::SetFilter((*filter).to_owned()),
        }));
    }
    let query: String = palette.query.text().split_whitespace().collect();
    if query.is_empty() {
        entries.sort_by_key(|entry| !entry.is_enabled);
        return entries;
    }
    let matcher = SkimMatcherV2::default().ignore_case();
    let mut scored: Vec<(i64, PaletteEntry)> = entries
        .into_iter()
        .filter_map(|entry| {
            // The key itself also finds its action.
            if entry.key_text == query {
                return Some((i64::MAX, entry));
            }
            let (score, matched_chars) = matcher.fuzzy_indices(entry.text, &query)?;
            Some((score, PaletteEntry { matched_chars, ..entry }))
        })
        .collect();
    scored.sort_by_key(|(score, entry)| (!entry.is_enabled, -score));
    scored.into_iter().map(|(_, entry)| entry).collect()
}

/// Returns the index of the selected entry, which is kept in the list.
pub fn selected_entry(palette: &Palette, entry_count: usize) -> usize {
    palette.selected.min(entry_count.saturating_sub(1))
}

/// Returns the intent of a key press in the palette. `enter` runs the selected action.
pub(super) fn intent_in_palette(
    model: &Model,
    palette: &Palette,
    bound: Option<Intent>,
    code: KeyCode,
    modifiers: KeyModifiers,
) -> Option<Intent> {
    let entries = || palette_entries(model, palette);
    match (bound, code) {
        (Some(Intent::Enter), _) => run_entry(&entries(), palette.selected),
        (Some(Intent::Move(1)), _) => {
            (palette.selected + 1 < entries().len()).then_some(Intent::Move(1))
        }
        (Some(intent), _) => Some(intent),
        (None, KeyCode::Char(c)) if modifiers.is_empty() => Some(Intent::TypeChar(c)),
        (None, _) => None,
    }
}

/// Returns the intent that runs an entry, if it works now.
pub fn run_entry(entries: &[PaletteEntry], index: usize) -> Option<Intent> {
    let entry = entries.get(index.min(entries.len().checked_sub(1)?))?;
    entry.is_enabled.then(|| Intent::RunFromPalette(Box::new(entry.intent.clone())))
}
