//! The part of the view that is kept for the next run: order, filter, pane and theme.

use serde::{Deserialize, Serialize};

use super::Model;
use super::app_context::Background;
use super::sort_filter::SortOrder;
use crate::domain::ThemeChoice;

/// The view as kept on disk. A field that is missing or unknown has its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ViewState {
    /// The name of the sort order; empty for the configured one.
    pub sort: String,
    /// Whether the order is reversed.
    pub is_reversed: bool,
    /// The filter.
    pub filter: String,
    /// Whether the pane is closed.
    pub is_pane_closed: bool,
    /// The name of the theme that was chosen in the dashboard; empty without a choice.
    pub theme: String,
}

impl Model {
    /// Returns the part of the view that is kept on disk.
    pub fn view_state(&self) -> ViewState {
        let dashboard = &self.dashboard;
        ViewState {
            sort: dashboard.sort_order.name().to_owned(),
            is_reversed: dashboard.is_reversed,
            filter: dashboard.filter.text().to_owned(),
            is_pane_closed: !dashboard.is_pane_open,
            theme: self.chosen_theme.map_or_else(String::new, |theme| theme.to_string()),
        }
    }

    /// Restores the view of an earlier run, before the keys are loaded. A theme in the
    /// configuration takes precedence over the one of that run.
    pub fn restore_view(&mut self, view: &ViewState) {
        let dashboard = &mut self.dashboard;
        if SortOrder::NAMES.contains(&view.sort.as_str()) {
            dashboard.sort_order = SortOrder::from_name(&view.sort);
            dashboard.is_reversed = view.is_reversed;
        }
        dashboard.filter.paste(&view.filter);
        dashboard.is_pane_open = !view.is_pane_closed;
        if self.theme_choice == ThemeChoice::Auto
            && let Ok(theme) = view.theme.parse()
        {
            self.choose_theme(theme);
        }
        self.saved_view = self.view_state();
    }

    /// Returns the theme that a choice shows on this terminal.
    pub fn resolve_theme(&self, choice: ThemeChoice) -> ThemeChoice {
        match (choice, self.background) {
            (ThemeChoice::Auto, _) if self.has_few_colors => ThemeChoice::Terminal,
            (ThemeChoice::Auto, Background::Light) => ThemeChoice::Light,
            (ThemeChoice::Auto, Background::Dark) => ThemeChoice::Dark,
            (chosen, _) => chosen,
        }
    }

    /// Uses a theme, also in the next run.
    pub(in crate::tui) fn choose_theme(&mut self, theme: ThemeChoice) {
        self.theme_choice = theme;
        self.chosen_theme = Some(theme);
    }
}
