//! Links as the commands show them, in words for people.

use jiff::Timestamp;

use super::output;
use crate::store::HealthRow;

/// What is worth saying of a link in a list, in few words; empty where all is well.
pub(super) fn note(h: &HealthRow, now: Timestamp) -> String {
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
pub(super) fn condition(word: &str) -> Option<&'static str> {
    match word {
        "connecting" => Some("being connected"),
        "incomplete" => Some("the aggregator lacks rows"),
        "passing" => Some("bank not reached for now"),
        _ => None,
    }
}

/// ` for 3 h 20 min`.
pub(super) fn since(at: Timestamp, now: Timestamp) -> String {
    format!(" for {}", output::age(at, now))
}

/// `consent ends in 6 days`, `consent ended 2 days ago`.
pub(super) fn consent(at: Timestamp, now: Timestamp) -> String {
    let seconds = at.as_second() - now.as_second();
    let days = output::counted(seconds.unsigned_abs() / 86_400, "day");
    match seconds {
        0..86_400 => "consent ends today".to_owned(),
        86_400.. => format!("consent ends in {days}"),
        -86_399..0 => "consent ended today".to_owned(),
        _ => format!("consent ended {days} ago"),
    }
}

/// The aggregator's sentence for the customer, quoted, with its own word for the state.
pub(super) fn told(status: Option<&str>, detail: Option<&str>) -> Option<String> {
    match (status, detail) {
        (Some(status), Some(detail)) => Some(format!("{status}: {detail:?}")),
        (None, Some(detail)) => Some(format!("{detail:?}")),
        (Some(status), None) => Some(status.to_owned()),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_consent_is_told_in_days() {
        let now = Timestamp::from_second(1_800_000_000).expect("an instant");
        let cases = [
            (6 * 86_400 + 3_600, "consent ends in 6 days"),
            (86_400, "consent ends in 1 day"),
            (3_600, "consent ends today"),
            (-60, "consent ended today"),
            (-3 * 86_400, "consent ended 3 days ago"),
        ];
        for (seconds, text) in cases {
            let at = Timestamp::from_second(now.as_second() + seconds).expect("an instant");
            assert_eq!(consent(at, now), text);
        }
    }
}
