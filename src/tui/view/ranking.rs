//! Amounts by name, largest first, each with its bar and its share.

use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::Theme;
use super::bars::format_track;
use super::text::truncate;
use crate::domain::format_usd_short;

/// What the amounts of a ranking are spent by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ranked {
    /// Keys, by label.
    Keys,
    /// Models, by OpenRouter's id: `vendor/model`.
    Models,
}

/// Returns one line for each of the largest amounts: name, bar, amount, share. What does not fit into
/// `rows` lines is summed up in the last one, unless there is only one.
pub fn format_ranking(
    ranked: Ranked,
    amounts: &[(&str, f64)],
    rows: usize,
    width: usize,
    theme: Theme,
) -> Vec<Line<'static>> {
    const NUMBERS_WIDTH: usize = 15;
    let total: f64 = amounts.iter().map(|(_, usd)| usd).sum();
    let shown = if amounts.len() > rows { rows.max(2) - 1 } else { amounts.len() };
    let rest = &amounts[shown..];
    let others = format!("{} others", rest.len());
    let rest_usd: f64 = rest.iter().map(|(_, usd)| usd).sum();
    let lines = amounts[..shown].iter().copied();
    let has_others = !rest.is_empty() && rows > 1;
    let lines = lines.chain(has_others.then_some((others.as_str(), rest_usd)));
    // Room for a short bar stays.
    let room = width.saturating_sub(NUMBERS_WIDTH + 6).min(34);
    let names = || amounts[..shown].iter().map(|(name, _)| *name);
    // The vendors are shown only if they leave the bars enough room, and where another vendor has a model of
    // the same name.
    let is_short = ranked == Ranked::Models && names().any(|name| name.width() > width / 3);
    let is_alone = |model: &str| names().filter(|name| model_name(name) == model).nth(1).is_none();
    let shorten = |name| match model_name(name) {
        model if is_short && is_alone(model) => model,
        _ => name,
    };
    let widest = names().map(|name| shorten(name).width()).max().unwrap_or(0);
    // The last line is never cut, and short names have the room of longer ones.
    let name_width = widest.min(room).max(others.width());
    let bar_width = width.saturating_sub(name_width + NUMBERS_WIDTH + 2).min(60);
    lines
        .map(|(name, usd)| {
            let share = if total > 0.0 { usd / total } else { 0.0 };
            let [bar, empty] = format_track(share, bar_width, theme.bar(), theme);
            let name = truncate(shorten(name), name_width);
            let pad = name_width - name.width();
            Line::from(vec![
                Span::raw(format!("{name}{:pad$} ", "")),
                bar,
                empty,
                Span::raw(format!("{:>9} {:>4.0}%", format_usd_short(usd), share * 100.0)),
            ])
        })
        .collect()
}

/// Returns the name of a model without its vendor.
fn model_name(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(_, model)| model)
}

/// The largest amounts, in USD, below a heading.
pub struct Ranking<'a> {
    /// What is ranked.
    pub ranked: Ranked,
    /// What the heading says, with the period.
    pub title: String,
    /// The names and their amounts, largest first.
    pub amounts: Vec<(&'a str, f64)>,
}

impl Ranking<'_> {
    /// Returns the heading and what fits below it, in at most `rows` lines.
    pub fn format(&self, rows: usize, width: usize, theme: Theme) -> Vec<Line<'static>> {
        let mut lines = vec![Line::styled(self.title.clone(), theme.dim())];
        let rows = rows.saturating_sub(1);
        lines.extend(format_ranking(self.ranked, &self.amounts, rows, width, theme));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ranking_sums_up_what_does_not_fit() {
        let amounts = [("one", 60.0), ("two", 30.0), ("three", 9.0), ("four", 1.0)];
        let lines = format_ranking(Ranked::Keys, &amounts, 3, 40, Theme::NoColor);
        let text: Vec<String> = lines.iter().map(ToString::to_string).collect();
        assert!(text[0].starts_with("one"), "{text:?}");
        assert!(text[2].starts_with("2 others") && text[2].ends_with("$10.00   10%"), "{text:?}");
        assert!(lines.iter().all(|line| line.width() <= 40), "{text:?}");
        let largest = format_ranking(Ranked::Keys, &amounts, 1, 40, Theme::NoColor);
        assert!(largest.len() == 1 && largest[0].to_string().starts_with("one"), "{largest:?}");
    }

    #[test]
    fn the_number_of_others_is_not_cut() {
        let names: Vec<String> = (0..300).map(|index| format!("k{index}")).collect();
        let amounts: Vec<(&str, f64)> = names.iter().map(|name| (name.as_str(), 1.0)).collect();
        let lines = format_ranking(Ranked::Keys, &amounts, 4, 48, Theme::NoColor);
        assert!(lines[3].to_string().starts_with("297 others "), "{lines:?}");
    }

    #[test]
    fn the_vendor_of_models_is_left_out_where_the_bars_need_the_room_and_labels_stay_whole() {
        let amounts = [("openai/gpt-4.1-mini", 6.0)];
        let first = |ranked, width| {
            let lines = format_ranking(ranked, &amounts, 1, width, Theme::NoColor);
            lines[0].to_string().split(' ').next().unwrap().to_owned()
        };
        assert_eq!(first(Ranked::Models, 56), "gpt-4.1-mini");
        assert_eq!(first(Ranked::Models, 57), "openai/gpt-4.1-mini");
        assert_eq!(first(Ranked::Keys, 48), "openai/gpt-4.1-mini");
        let amounts = [("openai/gpt-oss-120b", 6.0), ("groq/gpt-oss-120b", 5.0), ("a/b", 1.0)];
        let lines = format_ranking(Ranked::Models, &amounts, 3, 50, Theme::NoColor);
        let names = lines.iter().map(|line| line.to_string().split(' ').next().map(String::from));
        let names: Vec<String> = names.flatten().collect();
        assert_eq!(names, ["openai/gpt-oss-120b", "groq/gpt-oss-120b", "b"]);
    }
}
