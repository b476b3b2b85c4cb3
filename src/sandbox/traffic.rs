//! What was asked: the request log and the request limit.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::id::UserId;

/// The window of Truv's limit, and of Bridge's for a user.
pub(crate) const MINUTE_MS: i64 = 60_000;
/// The log's bound: enough for a long test, small enough for a demonstration that runs for weeks.
const MAX_LOGGED: usize = 200_000;

/// One request in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// When it was received.
    pub at: Timestamp,
    /// The secret it came with; empty without one.
    pub secret: Arc<str>,
    /// At Bridge, the user it was made for: the bearer's, or the one a token is asked for.
    pub user: Option<UserId>,
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
    history: HashMap<Arc<str>, Window>,
}

impl Traffic {
    /// Notes a received request; answers its number.
    pub(crate) fn receive(
        &mut self,
        at_ms: i64,
        secret: Arc<str>,
        user: Option<UserId>,
        method: &str,
        path: &str,
    ) -> usize {
        if self.log.len() == MAX_LOGGED {
            self.log.pop_front();
            self.dropped += 1;
        }
        let at = Timestamp::from_millisecond(at_ms).unwrap_or(Timestamp::UNIX_EPOCH);
        self.log.push_back(Logged { at, secret, user, method: method.to_owned(), path: path.to_owned(), status: None });
        self.dropped + self.log.len() - 1
    }

    /// Notes the answer to a request.
    pub(crate) fn answer(&mut self, number: usize, status: u16) {
        if let Some(logged) = number.checked_sub(self.dropped).and_then(|at| self.log.get_mut(at)) {
            logged.status = Some(status);
        }
    }

    /// Admits a request or answers the whole seconds to wait; refused requests leave no trace in the window.
    pub(crate) fn admit(&mut self, secret: &Arc<str>, now_ms: i64, window_ms: i64, limit: usize) -> Result<(), i64> {
        let window = self.history.entry(Arc::clone(secret)).or_default();
        window.room(now_ms, window_ms, limit)?;
        window.take(now_ms);
        Ok(())
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

    /// The same for the busiest user.
    pub(crate) fn worst_user_window(&self, window: SignedDuration) -> usize {
        let mut of_user: HashMap<UserId, Vec<i64>> = HashMap::new();
        for logged in &self.log {
            if let Some(user) = logged.user {
                of_user.entry(user).or_default().push(logged.at.as_millisecond());
            }
        }
        let window_ms = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
        of_user.values().map(|instants| worst(instants, window_ms)).max().unwrap_or(0)
    }
}

/// The admitted requests of one caller within the span of a limit, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Window {
    admitted: VecDeque<i64>,
}

impl Window {
    /// Tells whether one more is admitted now; if not, the whole seconds to wait. Nothing is counted yet.
    pub(crate) fn room(&mut self, now_ms: i64, window_ms: i64, limit: usize) -> Result<(), i64> {
        let admitted = &mut self.admitted;
        // A clock that was set back must not lock the caller out.
        while admitted.back().is_some_and(|last| *last > now_ms) {
            admitted.pop_back();
        }
        while admitted.front().is_some_and(|first| *first <= now_ms - window_ms) {
            admitted.pop_front();
        }
        if admitted.len() < limit {
            return Ok(());
        }
        // With a limit that was lowered meanwhile, several must leave the window before there is room.
        let leaving = admitted.get(admitted.len() - limit).copied().unwrap_or(now_ms);
        Err((leaving + window_ms - now_ms + 999).div_euclid(1000))
    }

    /// Counts an admitted request.
    pub(crate) fn take(&mut self, now_ms: i64) {
        self.admitted.push_back(now_ms);
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
            assert_eq!(traffic.admit(&secret, at_ms, MINUTE_MS, 3), Ok(()));
        }
        assert_eq!(traffic.admit(&secret, 59_999, MINUTE_MS, 3), Err(1));
        assert_eq!(traffic.admit(&secret, 30_000, MINUTE_MS, 3), Err(30));
        assert_eq!(traffic.admit(&secret, 30_000, MINUTE_MS, 2), Err(31));
        assert_eq!(traffic.admit(&secret, 60_000, MINUTE_MS, 3), Ok(()));
        assert_eq!(traffic.admit(&secret, 60_001, MINUTE_MS, 3), Err(1));
        assert_eq!(traffic.admit(&"sandbox-2".into(), 60_001, MINUTE_MS, 3), Ok(()));
        assert_eq!(traffic.admit(&secret, -100_000, MINUTE_MS, 3), Ok(()));
    }

    #[test]
    fn the_worst_window_is_half_open() {
        assert_eq!(worst(&[], 10), 0);
        assert_eq!(worst(&[0, 10, 20], 10), 1);
        assert_eq!(worst(&[0, 9, 10, 11, 30], 10), 3);
        assert_eq!(worst(&[5, 5, 5], 1), 3);
    }
}
