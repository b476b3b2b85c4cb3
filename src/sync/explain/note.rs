//! What is worth saying of a link in few words.

use jiff::Timestamp;

use crate::store::HealthRow;
use crate::words::{consent, since};

/// What is worth saying of a link in a list, in few words; empty where all is well.
pub fn note(h: &HealthRow, now: Timestamp) -> String {
    let mut notes = Vec::new();
    if let Some(attention) = &h.attention {
        notes.push(attention.clone());
    } else if let Some(words) = condition(&h.condition) {
        notes.push(format!("{words}{}", h.condition_at.map_or_else(String::new, |at| since(at, now))));
    } else if h.consecutive_failures > 0 {
        notes.extend(h.last_error.clone());
    }
    notes.extend(h.consent_ends_at(now).map(|at| consent(at, now)));
    notes.join("; ")
}

/// What a condition means for the person who waits; `None`: nothing to say, or a person is needed.
fn condition(word: &str) -> Option<&'static str> {
    match word {
        "connecting" => Some("being connected"),
        "incomplete" => Some("the aggregator lacks rows"),
        "passing" => Some("bank not reached for now"),
        _ => None,
    }
}

/// The aggregator's sentence for the customer, quoted, with its own word for the state.
pub fn told(status: Option<&str>, detail: Option<&str>) -> Option<String> {
    match (status, detail) {
        (Some(status), Some(detail)) => Some(format!("{status}: {detail:?}")),
        (None, Some(detail)) => Some(format!("{detail:?}")),
        (Some(status), None) => Some(status.to_owned()),
        (None, None) => None,
    }
}
