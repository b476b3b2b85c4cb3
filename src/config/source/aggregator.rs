//! Which aggregators there are, and what differs between their sources before anything else of one is read.

use super::SOURCE_KEYS;
use crate::config::problem::Wrong;
use crate::config::section::Keys;
use crate::config::{bridge, refresh, truv};

/// What the word after `aggregator` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aggregator {
    Truv,
    Bridge,
}

/// The keys that any source may hold, for as long as it is not known which aggregator's it is.
pub(super) const ALL_KEYS: Keys = &[SOURCE_KEYS, truv::TRUV_KEYS, refresh::REFRESH_KEYS, bridge::BRIDGE_KEYS];

impl Aggregator {
    pub(super) const ALL: [Self; 2] = [Self::Truv, Self::Bridge];

    /// The word for it in the file and in the store.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Truv => "truv",
            Self::Bridge => "bridge",
        }
    }

    /// The keys of its sources.
    pub(super) fn keys(self) -> Keys {
        match self {
            Self::Truv => &[SOURCE_KEYS, truv::TRUV_KEYS, refresh::REFRESH_KEYS],
            Self::Bridge => &[SOURCE_KEYS, bridge::BRIDGE_KEYS],
        }
    }

    pub(super) fn default_base_url(self) -> &'static str {
        match self {
            Self::Truv => truv::DEFAULT_BASE_URL,
            Self::Bridge => bridge::DEFAULT_BASE_URL,
        }
    }

    pub(super) fn default_sync_schedule(self) -> &'static str {
        match self {
            Self::Truv => truv::DEFAULT_SYNC_SCHEDULE,
            Self::Bridge => bridge::DEFAULT_SYNC_SCHEDULE,
        }
    }

    /// What is wrong with a key that only another aggregator's sources have; `None` if none has it.
    pub(super) fn foreign(self, key: &str) -> Option<Wrong> {
        let has = |other: &Self| other.keys().iter().any(|group| group.contains(&key));
        let owner = Self::ALL.into_iter().find(|other| *other != self && has(other))?;
        let (why, hint) = match self {
            Self::Truv => not_at_truv(key),
            Self::Bridge => not_at_bridge(key),
        };
        Some(Wrong::new(format!("a key of {} sources; {why}", owner.word()), hint))
    }
}

fn not_at_truv(key: &str) -> (String, &'static str) {
    let (why, hint) = match key {
        "client_secret" => ("Truv has no client secret", "did you mean access_secret?"),
        "requests_per_5_minutes" => ("Truv counts requests by the minute", "did you mean requests_per_minute?"),
        "user_requests_per_minute" => ("Truv has no limit per user", "remove it"),
        _ => return (format!("Truv has no {key}"), "remove it"),
    };
    (why.to_owned(), hint)
}

fn not_at_bridge(key: &str) -> (String, &'static str) {
    let (why, hint) = match key {
        "access_secret" => ("Bridge has no access secret", "did you mean client_secret?"),
        "requests_per_minute" => {
            ("Bridge counts requests in five minutes", "did you mean requests_per_5_minutes (five times as many)?")
        }
        _ if refresh::REFRESH_KEYS.contains(&key) => {
            ("Bridge refreshes by itself and cannot be asked to, so it has no such setting", "remove it")
        }
        _ => return (format!("Bridge has no {key}"), "remove it"),
    };
    (why.to_owned(), hint)
}
