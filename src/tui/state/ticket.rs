//! Tickets tie results to their requests.

/// Identifies the request that a result answers; a result with a stale ticket is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);
