//! What all keys spend together: the figures of the first row, and their chart on a large terminal.

use std::collections::BTreeMap;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::bars::format_track;
use super::charts::{DayChart, SUMS_WIDTH, has_bars};
use super::key_charts::{CHART_DAYS, completed_days};
use super::ranking::{Ranked, Ranking};
use super::{Theme, text};
use crate::domain::{StoredKey, format_usd_short, sort_by, utc_date};
use crate::tui::keymap::key_text;
use crate::tui::state::{DashboardLayout, Intent, Model};

/// Figures that are shown together or not at all. Those that come first stay longest when the width
/// shrinks.
struct Figure {
    rank: u8,
    spans: Vec<Span<'static>>,
}

impl Figure {
    fn width(&self) -> usize {
        self.spans.iter().map(Span::width).sum()
    }
}

/// The least number of empty cells between two figures.
const MIN_GAP: usize = 2;
const MAX_GAP: usize = 8;
/// The rank of the credits.
const CREDITS_RANK: u8 = 2;
const BAR_WIDTH: usize = 10;

/// Returns the figures of the first row that fit `width` cells.
pub fn format_figures(model: &Model, theme: Theme, width: usize) -> Line<'static> {
    let needed = |figures: &[Figure], gap: usize| {
        figures.iter().map(|figure| figure.width() + gap).sum::<usize>()
    };
    let mut figures = list_figures(model, theme, width, false);
    let credits_fit = figures.iter().filter(|figure| figure.rank <= CREDITS_RANK);
    let credits_fit = credits_fit.map(|figure| figure.width() + MIN_GAP).sum::<usize>() <= width;
    if !credits_fit {
        figures = list_figures(model, theme, width, true);
    }
    while needed(&figures, MIN_GAP) > width {
        let least = (0..figures.len()).max_by_key(|index| figures[*index].rank);
        let Some(least) = least else { break };
        figures.remove(least);
    }
    let free = width - needed(&figures, MIN_GAP).min(width);
    let gap = (MIN_GAP + free / figures.len().max(1)).min(MAX_GAP);
    let mut line = Line::default();
    for figure in figures {
        line.push_span(Span::raw(" ".repeat(gap)));
        line.spans.extend(figure.spans);
    }
    line
}

/// Returns the figures of the first row, in short words where it has little room.
fn list_figures(model: &Model, theme: Theme, width: usize, is_short: bool) -> Vec<Figure> {
    let name = |text: &str| Span::styled(format!("{text} "), theme.dim());
    let amount = |usd: Option<f64>| {
        Span::styled(usd.map_or("–".to_owned(), format_usd_short), theme.strong())
    };
    let keys = model.dashboard.stored_keys();
    let totals = &model.account.figures;
    // The limits are those of the stored keys, so they do not limit the whole account.
    let limits = model.dashboard.monthly_limits.filter(|_| !totals.is_whole_account);
    let is_whole = totals.is_whole_account && !is_short;
    let today = if is_whole { "account today" } else { "today" };
    let mut figures = vec![Figure { rank: 0, spans: vec![name(today), amount(totals.today)] }];
    let month = model.now.strftime("%b").to_string();
    let mut spans = vec![name(&month), amount(totals.month)];
    if let (Some(month), Some(limits)) = (totals.month, limits) {
        if width >= 100 {
            let share = month / limits;
            let style = if share > 0.8 { theme.warning() } else { theme.bar() };
            spans.push(Span::raw(" "));
            spans.extend(format_track(share, BAR_WIDTH, style, theme));
        }
        spans.push(Span::styled(format!(" of {} limits", format_usd_short(limits)), theme.dim()));
    }
    figures.push(Figure { rank: 1, spans });
    if let Some(left) = totals.credits_left {
        let mut spans = vec![name("credits"), amount(Some(left))];
        if let Some(days) = totals.days_left {
            let unit = if is_short { "d" } else { " days" };
            spans.push(Span::styled(format!(" ≈ {days:.0}{unit}"), theme.dim()));
        }
        figures.push(Figure { rank: CREDITS_RANK, spans });
    } else if width >= 140 && model.account.report.is_none() {
        let spans = vec![
            name("credits"),
            Span::styled(key_text(model, &Intent::OpenManagement), theme.accent()),
            Span::styled(" adds a management key", theme.dim()),
        ];
        figures.push(Figure { rank: 5, spans });
    }
    if width >= 120 {
        let count = keys.len();
        let text = format!("{count} {}", if count == 1 { "key" } else { "keys" });
        figures.push(Figure { rank: 4, spans: vec![Span::raw(text)] });
    }
    // Shown to the minute, because it changes only when the keys are checked again.
    if let Some(at) = model.refresh.last_success_at {
        let text = at.strftime("as of %H:%M UTC").to_string();
        figures.push(Figure { rank: 3, spans: vec![Span::styled(text, theme.dim())] });
    }
    figures
}

/// The least height at which the rankings stand below the chart of all keys.
const MIN_TALL_ROWS: u16 = 18;
/// The empty columns between two rankings, and between a chart and its sums.
pub const COLUMN_GAP: u16 = 3;

/// Draws the spending of all keys by day, by key and by model.
pub fn draw_totals(model: &Model, layout: &DashboardLayout, theme: Theme, frame: &mut Frame<'_>) {
    let Some(area) = layout.totals.map(Rect::from) else { return };
    let last = utc_date(model.now);
    let days: Vec<_> =
        model.account.days.last_days(last, CHART_DAYS).map(|(_, spent)| spent).collect();
    // Above a pane the chart only fills what would be empty.
    if !layout.is_pane_beside && !has_bars(&days) {
        return;
    }
    let heading = Line::from(vec![
        Span::styled("All stored keys", theme.strong()),
        Span::styled("  USD by day", theme.dim()),
    ]);
    let area = text::inset(text::draw_heading(heading, theme, frame, area));
    let mut rankings = list_rankings(model);
    // On a tall terminal the chart has the whole width and the rankings stand below it.
    let is_tall = area.height >= MIN_TALL_ROWS;
    if !is_tall {
        rankings.truncate(1);
    }
    let columns = u16::try_from(rankings.len()).unwrap_or(1).max(1);
    let longest = rankings.iter().map(|ranking| ranking.amounts.len()).max().unwrap_or(0);
    let rows = u16::try_from(longest + 2).unwrap_or(u16::MAX).min(area.height / 3);
    let (chart, below) = if is_tall {
        let height = if has_bars(&days) { area.height - rows } else { 1 };
        (Rect { height, ..area }, Rect { y: area.y + height + 1, height: rows - 1, ..area })
    } else {
        let width = DayChart::fit_width(CHART_DAYS, area.width - (area.width / 2).min(48) - 2);
        let x = area.x + width + 2;
        (Rect { width, ..area }, Rect { x, width: area.right() - x, ..area })
    };
    let day_chart = DayChart { days: &days, last, limit: None };
    let chart = match chart.width.checked_sub(SUMS_WIDTH + COLUMN_GAP) {
        Some(width) if is_tall && DayChart::fits_with_gaps(CHART_DAYS, width) => {
            let x = chart.right() - SUMS_WIDTH;
            let sums = Rect { x, width: SUMS_WIDTH, ..chart };
            text::draw_paragraph(frame, sums, day_chart.format_sums(theme));
            Rect { width, ..chart }
        }
        _ => chart,
    };
    day_chart.draw(theme, chart, frame.buffer_mut());
    let width = (below.width + COLUMN_GAP) / columns - COLUMN_GAP;
    for (index, ranking) in (0..).zip(&rankings) {
        let column = Rect { x: below.x + index * (width + COLUMN_GAP), width, ..below };
        let rows = usize::from(column.height);
        text::draw_paragraph(frame, column, ranking.format(rows, usize::from(width), theme));
    }
}

/// Returns the spending of the stored keys by key and by model, each with its period.
pub fn list_rankings(model: &Model) -> Vec<Ranking<'_>> {
    let keys = model.dashboard.stored_keys();
    let month = |key: &StoredKey| key.info.as_ref().and_then(|info| info.usage_monthly);
    let by_key = keys.iter().filter_map(|key| Some((key.label.as_str(), month(key)?)));
    let today = utc_date(model.now);
    let first = if today.day() == 1 { "" } else { "1 – " };
    let by_key = Ranking {
        ranked: Ranked::Keys,
        title: format!("By key, {first}{}", today.strftime("%-d %b")),
        amounts: sort_amounts(by_key),
    };
    let models = keys.iter().flat_map(|key| &model.dashboard.key_spending(key).models);
    let by_model = Ranking {
        ranked: Ranked::Models,
        title: format!("By model, {}", completed_days(today)),
        amounts: sort_amounts(models.map(|spent| (spent.model.as_str(), spent.usage))),
    };
    let mut rankings = vec![by_key, by_model];
    // On the first day of a month nothing may be spent yet.
    rankings.retain(|ranking| !ranking.amounts.is_empty());
    rankings
}

/// Sums up the amounts of each name and returns the largest ones first.
fn sort_amounts<'a>(amounts: impl Iterator<Item = (&'a str, f64)>) -> Vec<(&'a str, f64)> {
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    for (name, usd) in amounts.filter(|(_, usd)| *usd > 0.0) {
        *sums.entry(name).or_default() += usd;
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sort_by(&mut sums, |(_, one), (_, other)| other.total_cmp(one));
    sums
}
