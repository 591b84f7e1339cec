//! Chooses the actions of the footer: those that work now and fit, most used first.

use unicode_width::UnicodeWidthStr;

use super::{Action, Binding, active_bindings};
use crate::domain::sort_by_key;
use crate::tui::state::{Intent, Model};

/// An action in the footer.
#[derive(Clone, Debug)]
pub struct FooterItem {
    /// The first column, counted from the left end of the footer.
    pub column: u16,
    /// The columns that the key and the description take, with the space between them.
    pub width: u16,
    /// The action with its keys.
    pub binding: Binding,
}

/// The columns between two actions.
const GAP: usize = 2;

/// Returns the columns of a description. Both states of a switch take the same, so that the actions
/// after it stay in their places when another key is selected.
fn description_width(action: &Action) -> usize {
    let longest = if action.intent == Intent::ToggleDisabled { "disable" } else { "" };
    action.description.width().max(longest.width())
}

/// Returns the actions that a footer of `columns` columns shows. Those that leave the screen or lead to
/// all others always have a place.
pub fn footer_items(model: &Model, columns: u16) -> Vec<FooterItem> {
    let is_shown = |action: &Action| action.is_in_footer && action.is_enabled(model);
    let (essential, mut others): (Vec<Binding>, Vec<Binding>) = active_bindings(model)
        .into_iter()
        .filter(|binding| is_shown(binding.action))
        .partition(|binding| binding.action.is_essential());
    if !model.dashboard.marked_hashes.is_empty() {
        // What the keys were marked for comes first.
        sort_by_key(&mut others, |binding| !binding.action.is_for_marked);
    }
    let width =
        |binding: &Binding| binding.key_text().width() + 1 + description_width(binding.action);
    let mut room = (usize::from(columns) + GAP)
        .saturating_sub(essential.iter().map(|binding| width(binding) + GAP).sum());
    let fitting = others.into_iter().filter(|binding| {
        let needed = width(binding) + GAP;
        let fits = needed <= room;
        room -= if fits { needed } else { 0 };
        fits
    });
    let fitting: Vec<Binding> = fitting.collect();
    let mut column = 0;
    let items = fitting.into_iter().chain(essential).filter_map(|binding| {
        let item_width = width(&binding);
        let item = FooterItem {
            column: u16::try_from(column).ok()?,
            width: u16::try_from(item_width).ok()?,
            binding,
        };
        column += item_width + GAP;
        Some(item)
    });
    items.filter(|item| item.column + item.width <= columns).collect()
}
