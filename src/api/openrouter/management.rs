//! A client with the management key of an account.

use std::ops::Deref;

use super::Client;
use crate::domain::ManagementKey;

/// Sends requests about the keys and the resources of an account. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ManagementClient {
    client: Client,
    management_key: ManagementKey,
}

impl Client {
    /// Returns a client for the account of the management key.
    pub fn with_management_key(&self, management_key: &ManagementKey) -> ManagementClient {
        ManagementClient { client: self.clone(), management_key: management_key.clone() }
    }
}

impl ManagementClient {
    /// Returns the management key.
    pub const fn management_key(&self) -> &ManagementKey {
        &self.management_key
    }

    /// Returns a client that sends each request once.
    #[must_use]
    pub fn once(&self) -> Self {
        self.client.once().with_management_key(&self.management_key)
    }
}

impl Deref for ManagementClient {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}
