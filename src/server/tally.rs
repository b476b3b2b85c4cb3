//! What came in from outside since the process began, counted for monitoring. The store does not keep what was refused.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What became of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Receipt {
    /// New, and stored.
    Stored,
    /// Stored before.
    Repeated,
    /// Turned away: its signature, its sender or its form.
    Refused,
    /// Not stored, because the store did not take it: the sender must come again.
    Failed,
}

impl Receipt {
    /// Every receipt.
    pub const ALL: [Self; 4] = [Self::Stored, Self::Repeated, Self::Refused, Self::Failed];

    /// The word for it in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Repeated => "repeated",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Counts since the process began.
#[derive(Debug, Default)]
pub struct Tally {
    webhooks: Mutex<BTreeMap<(Option<i64>, Receipt), u64>>,
}

impl Tally {
    /// Counts a webhook. `source_id`: the source it is for; `None`: none that is configured, so that nobody outside can make
    /// up new ones.
    pub fn webhook(&self, source_id: Option<i64>, receipt: Receipt) {
        let mut webhooks = self.webhooks.lock().unwrap_or_else(PoisonError::into_inner);
        *webhooks.entry((source_id, receipt)).or_default() += 1;
    }

    /// How many webhooks there were.
    pub fn webhooks(&self, source_id: Option<i64>, receipt: Receipt) -> u64 {
        let webhooks = self.webhooks.lock().unwrap_or_else(PoisonError::into_inner);
        webhooks.get(&(source_id, receipt)).copied().unwrap_or_default()
    }
}
