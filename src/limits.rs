//! What the aggregators allow us, and how much of it is left.
//!
//! Requests are paced by a token bucket per credential ([`requests`]): the aggregator counts them over a minute or five,
//! so a bucket in memory that starts empty is enough. Refreshes are counted over a day and cost money, so they are decided
//! ([`refreshes`]) by a ledger in the store.

pub mod refreshes;
pub mod requests;
