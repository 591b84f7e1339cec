//! The palette: finds every action of the screen by a fuzzy match.

use std::borrow::Cow;

use crossterm::event::{KeyCode, KeyModifiers};
use fuzzy_matcher::FuzzyMatcher;
use fuzzy_matcher::skim::SkimMatcherV2;

use super::{Binding, screen_bindings};
use crate::domain::sort_by_key;
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
    /// How closely it matches what is typed.
    match_kind: MatchKind,
    /// The name in the configuration and other words that find it.
    pub other_words: [&'static str; 2],
    intent: Intent,
}

impl PaletteEntry {
    /// Returns whether one of the other words begins with the query.
    fn has_other_word(&self, query: &str) -> bool {
        let words = self.other_words.iter().flat_map(|words| words.split([' ', '-']));
        words.filter(|word| !word.is_empty()).any(|word| word.starts_with(query))
    }
}

/// How closely an action matches what is typed, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum MatchKind {
    /// It is the action's key.
    Key,
    /// The text begins with it.
    Beginning,
    /// A later word begins with it.
    Word,
    /// Each typed word is in a word of the text, or nothing is typed.
    Letters,
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
            match_kind: MatchKind::Letters,
            other_words: [binding.action.name, binding.action.other_words],
            intent: binding.intent(),
        };
        // Only one of two actions on the same key works at a time.
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
            match_kind: MatchKind::Letters,
            other_words: ["", ""],
            intent: Intent::SetFilter((*filter).to_owned()),
        }));
    }
    let query = palette.query.text().trim().to_lowercase();
    if query.is_empty() {
        sort_by_key(&mut entries, |entry| !entry.is_enabled);
        return entries;
    }
    let matcher = SkimMatcherV2::default().ignore_case();
    let mut scored: Vec<(i64, PaletteEntry)> = entries
        .into_iter()
        .filter_map(|entry| {
            let (score, matched_chars) =
                match_words(&matcher, entry.text, &query).unwrap_or_default();
            let text = entry.text.to_lowercase();
            // A capital letter is a different key.
            let match_kind = if entry.key_text == palette.query.text().trim() {
                MatchKind::Key
            } else if !query.contains(char::is_alphanumeric) {
                return None;
            } else if text.starts_with(&query) {
                MatchKind::Beginning
            } else if text.contains(&format!(" {query}")) || entry.has_other_word(&query) {
                MatchKind::Word
            } else if !matched_chars.is_empty() {
                MatchKind::Letters
            } else {
                return None;
            };
            Some((score, PaletteEntry { matched_chars, match_kind, ..entry }))
        })
        .collect();
    sort_by_key(&mut scored, |(score, entry)| (entry.match_kind, !entry.is_enabled, -score));
    scored.into_iter().map(|(_, entry)| entry).collect()
}

/// Returns how well the text matches, and the positions of the matching characters. A typed word is part of
/// one word of the text, or has its first letter and then some others in that order.
fn match_words(matcher: &SkimMatcherV2, text: &str, query: &str) -> Option<(i64, Vec<usize>)> {
    let (mut sum, mut matched) = (0, Vec::new());
    for typed in query.split_whitespace() {
        let mut start = 0;
        let words = text.split(' ').map(|word| {
            let at = start;
            start += word.chars().count() + 1;
            (at, word)
        });
        let found = words.filter_map(|(at, word)| {
            let (score, indices) = matcher.fuzzy_indices(word, typed)?;
            let is_part = word.to_lowercase().contains(typed) || indices.first() == Some(&0);
            is_part.then_some((score, at, indices))
        });
        let (score, at, indices) = found.max_by_key(|(score, ..)| *score)?;
        sum += score;
        matched.extend(indices.into_iter().map(|index| at + index));
    }
    Some((sum, matched))
}

/// Returns the index of the selected entry, which `enter` runs.
///
/// The first one is selected only if what is typed is its key or begins one of its words. Otherwise none
/// is selected until the user moves to it, so that a few accidental characters run nothing.
pub fn selected_entry(palette: &Palette, entries: &[PaletteEntry]) -> Option<usize> {
    let is_first_named = entries.first()?.match_kind < MatchKind::Letters;
    let index = palette.moved_by.checked_sub(usize::from(!is_first_named))?;
    Some(index.min(entries.len() - 1))
}

/// Returns the intent of a key press in the palette. `enter` runs the selected action, and selects the first
/// one if none is selected.
pub(super) fn intent_in_palette(
    model: &Model,
    palette: &Palette,
    bound: Option<Intent>,
    code: KeyCode,
    modifiers: KeyModifiers,
) -> Option<Intent> {
    match (bound, code) {
        (Some(Intent::Enter), _) => {
            let entries = palette_entries(model, palette);
            match selected_entry(palette, &entries) {
                Some(selected) => run_entry(&entries, selected),
                // A second press runs it.
                None => (!entries.is_empty()).then_some(Intent::Move(1)),
            }
        }
        (Some(Intent::Move(1)), _) => {
            let entries = palette_entries(model, palette);
            let next = selected_entry(palette, &entries).map_or(0, |index| index + 1);
            (next < entries.len()).then_some(Intent::Move(1))
        }
        (Some(intent), _) => Some(intent),
        (None, KeyCode::Char(c)) if modifiers.is_empty() => Some(Intent::TypeChar(c)),
        (None, _) => None,
    }
}

/// Returns the intent that runs an entry, if it works now.
pub fn run_entry(entries: &[PaletteEntry], index: usize) -> Option<Intent> {
    let entry = entries.get(index)?;
    entry.is_enabled.then(|| Intent::RunFromPalette(Box::new(entry.intent.clone())))
}
