//! What was asked: the request log and the request limit.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

/// The limit's window.
const WINDOW_MS: i64 = 60_000;
/// The log's bound: enough for a long test, small enough for a demonstration that runs for weeks.
const MAX_LOGGED: usize = 200_000;

/// One request in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// When it was received.
    pub at: Timestamp,
    /// The secret it came with; empty without one.
    pub secret: Arc<str>,
    /// Its method.
    pub method: String,
    /// Its path with the query.
    pub path: String,
    /// The answer's status; `None` while there is none, as under a hang.
    pub status: Option<u16>,
}

/// The accepted refreshes of one access token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refreshes {
    /// The access token.
    pub access_token: String,
    /// Upstream id of its link.
    pub link_upstream_id: String,
    /// When, oldest first.
    pub at: Vec<Timestamp>,
    /// The most within any 24 h.
    pub worst_day: usize,
}

/// The log and the history of each secret.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    log: VecDeque<Logged>,
    dropped: usize,
    history: HashMap<Arc<str>, VecDeque<i64>>,
}

impl Traffic {
    /// Notes a received request; answers its number.
    pub(crate) fn receive(&mut self, at_ms: i64, secret: Arc<str>, method: &str, path: &str) -> usize {
        if self.log.len() == MAX_LOGGED {
            self.log.pop_front();
            self.dropped += 1;
        }
        let at = Timestamp::from_millisecond(at_ms).unwrap_or(Timestamp::UNIX_EPOCH);
        self.log.push_back(Logged { at, secret, method: method.to_owned(), path: path.to_owned(), status: None });
        self.dropped + self.log.len() - 1
    }

    /// Notes the answer to a request.
    pub(crate) fn answer(&mut self, number: usize, status: u16) {
        if let Some(logged) = number.checked_sub(self.dropped).and_then(|at| self.log.get_mut(at)) {
            logged.status = Some(status);
        }
    }

    /// Admits a request or answers the whole seconds to wait; refused requests leave no trace in the window.
    pub(crate) fn admit(&mut self, secret: &Arc<str>, now_ms: i64, limit: usize) -> Result<(), i64> {
        let history = self.history.entry(Arc::clone(secret)).or_default();
        // A clock that was set back must not lock the caller out.
        while history.back().is_some_and(|last| *last > now_ms) {
            history.pop_back();
        }
        while history.front().is_some_and(|first| *first <= now_ms - WINDOW_MS) {
            history.pop_front();
        }
        if history.len() < limit {
            history.push_back(now_ms);
            return Ok(());
        }
        // With a limit that was lowered meanwhile, several must leave the window before there is room.
        let leaving = history.get(history.len() - limit).copied().unwrap_or(now_ms);
        Err((leaving + WINDOW_MS - now_ms + 999).div_euclid(1000))
    }

    pub(crate) fn log(&self) -> Vec<Logged> {
        self.log.iter().cloned().collect()
    }

    pub(crate) fn clear(&mut self) {
        self.dropped += self.log.len();
        self.log.clear();
    }

    pub(crate) fn count(&self, status: u16) -> usize {
        self.log.iter().filter(|logged| logged.status == Some(status)).count()
    }

    pub(crate) fn worst_window(&self, secret: &str, window: SignedDuration) -> usize {
        let with_secret = self.log.iter().filter(|logged| &*logged.secret == secret);
        let instants: Vec<i64> = with_secret.map(|logged| logged.at.as_millisecond()).collect();
        worst(&instants, i64::try_from(window.as_millis()).unwrap_or(i64::MAX))
    }
}

/// The most instants within any half-open span of `window_ms`.
pub(crate) fn worst(instants: &[i64], window_ms: i64) -> usize {
    let mut first = 0;
    let mut most = 0;
    for (at, instant) in instants.iter().enumerate() {
        while instants[first] <= instant - window_ms {
            first += 1;
        }
        most = most.max(at + 1 - first);
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_minute_holds_the_limit_and_a_clock_set_back_locks_nobody_out() {
        let mut traffic = Traffic::default();
        let secret: Arc<str> = "sandbox-1".into();
        for at_ms in [0, 10, 20] {
            assert_eq!(traffic.admit(&secret, at_ms, 3), Ok(()));
        }
        assert_eq!(traffic.admit(&secret, 59_999, 3), Err(1));
        assert_eq!(traffic.admit(&secret, 30_000, 3), Err(30));
        assert_eq!(traffic.admit(&secret, 30_000, 2), Err(31));
        assert_eq!(traffic.admit(&secret, 60_000, 3), Ok(()));
        assert_eq!(traffic.admit(&secret, 60_001, 3), Err(1));
        assert_eq!(traffic.admit(&"sandbox-2".into(), 60_001, 3), Ok(()));
        assert_eq!(traffic.admit(&secret, -100_000, 3), Ok(()));
    }

    #[test]
    fn the_worst_window_is_half_open() {
        assert_eq!(worst(&[], 10), 0);
        assert_eq!(worst(&[0, 10, 20], 10), 1);
        assert_eq!(worst(&[0, 9, 10, 11, 30], 10), 3);
        assert_eq!(worst(&[5, 5, 5], 1), 3);
    }
}
