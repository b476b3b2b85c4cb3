//! Why a sync runs.

/// Why a sync runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Its time in the schedule came.
    Schedule,
    /// A person asked.
    Person,
    /// The aggregator announced news.
    Webhook,
    /// The link's first sync.
    Backfill,
    /// The last sync failed.
    Retry,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 5] = [Self::Schedule, Self::Person, Self::Webhook, Self::Backfill, Self::Retry];

    /// The word the store keeps.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Person => "person",
            Self::Webhook => "webhook",
            Self::Backfill => "backfill",
            Self::Retry => "retry",
        }
    }

    /// Reads the word the store keeps.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.as_str() == word)
    }
}
