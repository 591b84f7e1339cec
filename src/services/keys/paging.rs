//! Reads lists of the account page by page, within limits.

use std::collections::HashSet;

use super::retry_request;
use crate::api::openrouter::{self, Page};
use crate::services::provision::ServiceContext;

/// The maximum number of pages of one list, which has a hundred rows a page.
const MAX_PAGES: usize = 1_000;

/// How much of the account's lists is read in total, so that an endless one neither runs for ever nor
/// fills the memory.
pub(super) struct ListBudget {
    rows: usize,
    bytes: usize,
}

impl ListBudget {
    /// A hundred thousand rows, and a kilobyte for each.
    pub(super) const fn new() -> Self {
        Self { rows: 100_000, bytes: 100 * 1024 * 1024 }
    }

    /// Takes a page off the budget; returns whether there was enough.
    fn take<T>(&mut self, page: &Page<T>) -> bool {
        let (rows, bytes) =
            (self.rows.checked_sub(page.row_count), self.bytes.checked_sub(page.byte_count));
        (self.rows, self.bytes) = (rows.unwrap_or(0), bytes.unwrap_or(0));
        rows.is_some() && bytes.is_some()
    }
}

/// Fetches pages until one contains nothing new. Fails when the budget is used up.
pub(super) async fn fetch_all_pages<T>(
    services: &ServiceContext,
    budget: &mut ListBudget,
    id: impl Fn(&T) -> String,
    fetch: impl AsyncFn(usize) -> Result<Page<T>, openrouter::Error>,
) -> Result<Vec<T>, openrouter::Error> {
    let (mut all, mut seen, mut offset) = (Vec::new(), HashSet::new(), 0);
    for _ in 0..MAX_PAGES {
        let page = retry_request(services, async || fetch(offset).await).await?;
        if !budget.take(&page) {
            break;
        }
        let before = seen.len();
        offset += page.row_count;
        all.extend(page.items.into_iter().filter(|item| seen.insert(id(item))));
        if seen.len() == before {
            return Ok(all);
        }
    }
    Err(openrouter::Error::UnexpectedResponse {
        server: services.server.clone(),
        expected: "lists of at most 100000 rows and 100 MiB",
    })
}

/// Returns the URL of the page that shows the account's keys.
pub(super) fn keys_page_url(services: &ServiceContext) -> String {
    format!("{}/keys", services.server)
}
