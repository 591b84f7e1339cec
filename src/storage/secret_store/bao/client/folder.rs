//! Reads of a whole folder: its names, and the metadata of its entries.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::Method;
use tokio::sync::Semaphore;
use url::form_urlencoded;

use super::{Client, Result};
use crate::storage::secret_store;
use crate::storage::secret_store::bao::wire::{
    DetailedListData, EntryMetadata, Envelope, ListData,
};

/// How many entries one response with details may have: below the size of the longest response, even if each
/// has all the custom metadata that the engine allows.
const DETAILS_PER_PAGE: usize = 100;

/// How many entries are read at once where lists have no details.
const MAX_CONCURRENT_READS: usize = 32;

impl Client {
    /// Returns the names in a folder; those of folders end with a slash.
    pub(in crate::storage::secret_store::bao) async fn list(
        &self,
        path: &str,
    ) -> Result<Vec<String>> {
        let session = self.session()?;
        let api_path = self.api_path("metadata", path);
        let response = self.send(Method::GET, &api_path, Some("list=true"), None).await?;
        match response.status {
            200 => Ok(response.parse::<Envelope<ListData>>(&session.address)?.data.keys),
            404 => {
                self.check_mount().await?;
                Ok(Vec::new())
            }
            _ => Err(self.to_error(&response, "list", path).await.into()),
        }
    }

    /// Reads the metadata of entries of a folder, in the order of their names. `on_read` is called with the
    /// number read so far.
    pub(in crate::storage::secret_store::bao) async fn read_all_metadata(
        self: Arc<Self>,
        folder: &str,
        names: Vec<String>,
        on_read: Arc<dyn Fn(usize) + Send + Sync>,
    ) -> Result<Vec<Result<EntryMetadata>>> {
        let count = names.len();
        let mut details = match count {
            0 | 1 => BTreeMap::new(),
            _ => self.read_details(folder, |read| on_read(read.min(count))).await?,
        };
        let found: Vec<_> = names.iter().map(|name| details.remove(name)).collect();
        let done = Arc::new(AtomicUsize::new(found.iter().flatten().count()));
        let limit = Arc::new(Semaphore::new(MAX_CONCURRENT_READS));
        let read = |(name, found): (String, Option<EntryMetadata>)| {
            let path = format!("{folder}/{name}");
            let (client, limit) = (Arc::clone(&self), Arc::clone(&limit));
            let (on_read, done) = (Arc::clone(&on_read), Arc::clone(&done));
            tokio::spawn(async move {
                if let Some(metadata) = found {
                    return Ok(metadata);
                }
                let _permit = limit.acquire().await;
                let result = client.read_metadata(&path).await;
                on_read(1 + done.fetch_add(1, Ordering::Relaxed));
                result
            })
        };
        let tasks: Vec<_> = names.into_iter().zip(found).map(read).collect();
        let mut results = Vec::with_capacity(count);
        for task in tasks {
            results.push(task.await.unwrap_or(Err(secret_store::Error::TimedOut)));
        }
        Ok(results)
    }

    /// Returns the metadata of the entries of a folder by name, as far as the engine lists it. HashiCorp
    /// Vault and older versions of OpenBao have no such list, and a policy may not allow it: what is
    /// missing is read entry by entry.
    async fn read_details(
        &self,
        folder: &str,
        on_read: impl Fn(usize),
    ) -> Result<BTreeMap<String, EntryMetadata>> {
        let api_path = self.api_path("detailed-metadata", folder);
        let mut all = BTreeMap::new();
        let mut after = String::new();
        loop {
            let query = form_urlencoded::Serializer::new(String::new())
                .append_pair("list", "true")
                .append_pair("limit", &DETAILS_PER_PAGE.to_string())
                .append_pair("after", &after)
                .finish();
            let response = self.send(Method::GET, &api_path, Some(&query), None).await?;
            let parsed = response.parse::<Envelope<DetailedListData>>(&self.session()?.address);
            let (200, Ok(page)) = (response.status, parsed) else { return Ok(all) };
            let is_last = page.data.keys.len() < DETAILS_PER_PAGE;
            // A folder, and an entry that has no version yet.
            let entries = page.data.key_info.into_iter().filter(|(_, one)| one.current_version > 0);
            all.extend(entries);
            on_read(all.len());
            match page.data.keys.into_iter().next_back() {
                Some(name) if !is_last && name > after => after = name,
                _ => return Ok(all),
            }
        }
    }
}
