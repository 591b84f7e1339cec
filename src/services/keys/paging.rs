//! Reads lists of the account page by page, within limits.

use std::collections::HashSet;

use crate::api::openrouter::{self, Page};
use crate::services::provision::ServiceContext;

/// The maximum number of pages of one list, which has a hundred rows a page.
const MAX_PAGES: usize = 1_000;

/// How much of the account's lists is read in total, so that an endless one neither runs for ever nor
/// fills the memory.
pub(super) struct ListBudget {
    rows: usize,
    bytes: usize,
    skipped_rows: usize,
}

impl ListBudget {
    /// Returns the budget: a hundred thousand rows, and a kilobyte for each.
    pub(super) const fn new() -> Self {
        Self { rows: 100_000, bytes: 100 * 1024 * 1024, skipped_rows: 0 }
    }

    /// Takes a page off the budget; returns whether there was enough.
    fn take_page<T>(&mut self, page: &Page<T>) -> bool {
        let (rows, bytes) =
            (self.rows.checked_sub(page.row_count), self.bytes.checked_sub(page.byte_count));
        (self.rows, self.bytes) = (rows.unwrap_or(0), bytes.unwrap_or(0));
        rows.is_some() && bytes.is_some()
    }

    /// Returns the number of rows that could not be read; their content is not known.
    pub(super) const fn skipped_rows(&self) -> usize {
        self.skipped_rows
    }
}

/// One of the account's lists.
#[derive(Clone, Copy)]
pub(super) struct List<'a> {
    /// What it has, as in `keys`.
    pub(super) noun: &'static str,
    /// The workspace, where each has a list of its own.
    pub(super) workspace: Option<&'a str>,
}

impl List<'static> {
    /// Returns a list of the whole account.
    pub(super) const fn of_account(noun: &'static str) -> Self {
        Self { noun, workspace: None }
    }
}

/// Fetches pages until one contains nothing new. Fails when the budget is used up. Rows that cannot be
/// read are skipped and counted.
pub(super) async fn fetch_all_pages<T>(
    services: &ServiceContext,
    budget: &mut ListBudget,
    list: List<'_>,
    id: impl Fn(&T) -> String,
    fetch: impl AsyncFn(usize) -> Result<Page<T>, openrouter::Error>,
) -> Result<Vec<T>, openrouter::Error> {
    let (mut all, mut seen, mut offset) = (Vec::new(), HashSet::new(), 0);
    let (mut skipped, mut total) = (0, 0);
    for _ in 0..MAX_PAGES {
        let page = fetch(offset).await?;
        if !budget.take_page(&page) {
            break;
        }
        let before = seen.len();
        offset += page.row_count;
        let (rows, unreadable) = (page.row_count, page.unreadable_count());
        let has_readable_rows = !page.items.is_empty();
        all.extend(page.items.into_iter().filter(|item| seen.insert(id(item))));
        let is_new = seen.len() > before;
        // A server that ignores the offset sends the same page again.
        if is_new || !has_readable_rows {
            skipped += unreadable;
            total += rows;
        }
        if !is_new {
            budget.skipped_rows += skipped;
            services.skipped_rows.record(list.noun, list.workspace, skipped, total);
            return Ok(all);
        }
    }
    Err(openrouter::Error::UnexpectedResponse {
        server: services.server.clone(),
        expected: "lists of at most 100000 rows and 100 MiB",
    })
}

/// Fetches a list like [`fetch_all_pages`], and fails if a row of it cannot be read: where a missing row
/// would be taken for a missing guardrail.
pub(super) async fn fetch_complete_list<T>(
    services: &ServiceContext,
    list: List<'_>,
    id: impl Fn(&T) -> String,
    fetch: impl AsyncFn(usize) -> Result<Page<T>, openrouter::Error>,
) -> Result<Vec<T>, openrouter::Error> {
    let mut budget = ListBudget::new();
    let all = fetch_all_pages(services, &mut budget, list, id, fetch).await?;
    if budget.skipped_rows() == 0 {
        return Ok(all);
    }
    Err(openrouter::Error::UnexpectedResponse {
        server: services.server.clone(),
        expected: "a list whose rows can all be read",
    })
}
