//! Webhooks as the store keeps what became of them.

/// How an aggregator lists the address to which it is to send webhooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndpointState {
    /// Webhooks are sent there.
    Enabled,
    /// It is listed, but switched off: by a person, or because it failed for too long.
    Disabled,
    /// It is not listed.
    Missing,
}

impl EndpointState {
    /// The word the store keeps.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Missing => "missing",
        }
    }

    /// Reads the word the store keeps.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Enabled, Self::Disabled, Self::Missing].into_iter().find(|state| state.as_str() == word)
    }
}

/// What became of an event that was announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventOutcome {
    /// Something was made due, or a refresh went on or is over.
    Applied,
    /// It tells what is known already.
    Stale,
    /// It is of no concern here.
    Ignored,
}

impl EventOutcome {
    /// The word the store keeps.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Stale => "stale",
            Self::Ignored => "ignored",
        }
    }
}
