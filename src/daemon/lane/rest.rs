//! How long a lane does nothing after the store failed.

use std::time::Duration;

use tokio::time::Instant;

use super::Lane;
use crate::store::StoreError;

/// The first rest.
const SHORTEST: Duration = Duration::from_secs(10);
/// The longest: how late a lane notices that the store works again.
const LONGEST: Duration = Duration::from_mins(2);
/// A failure so long after a rest is another one's beginning.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(10);

/// Rests that become longer while the store keeps failing.
#[derive(Debug, Default)]
pub(super) struct Rest {
    /// How long the last one was, and until when.
    last: Option<(Duration, Instant)>,
    /// Nobody has looked yet whether the store works again.
    is_unproved: bool,
}

impl Rest {
    /// Begins one, or goes on with that which there is; how long it lasts from now on.
    pub(super) fn begin(&mut self, now: Instant) -> Duration {
        if let Some(left) = self.left(now) {
            return left;
        }
        let length = match self.last {
            Some((length, until)) if now.duration_since(until) < FORGOTTEN_AFTER => (length * 2).min(LONGEST),
            _ => SHORTEST,
        };
        self.last = Some((length, now + length));
        self.is_unproved = true;
        length
    }

    /// How much of it is left; `None`: there is none, or it is over.
    pub(super) fn left(&self, now: Instant) -> Option<Duration> {
        let (_, until) = self.last?;
        (until > now).then(|| until - now)
    }

    /// Whether the store has to be tried before anything is begun.
    pub(super) fn is_unproved(&self) -> bool {
        self.is_unproved
    }

    /// The store was tried, and works.
    pub(super) fn prove(&mut self) {
        self.is_unproved = false;
    }
}

impl Lane {
    /// Lets the lane rest after the store failed: trying on would only spend requests whose answers cannot be kept.
    ///
    /// Errors: with `once` the failure itself, because nobody would see when the store works again.
    pub(super) fn rest(&mut self, error: StoreError) -> Result<Duration, StoreError> {
        if !error.is_told() {
            tracing::error!(source = %self.source.name, %error, "the store failed; nothing new is started for a while");
        }
        if self.options.once {
            return Err(error);
        }
        Ok(self.rest.begin(Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_become_longer_up_to_a_limit_and_begin_anew_after_a_good_while() {
        let (mut rest, mut now) = (Rest::default(), Instant::now());
        let mut lengths = Vec::new();
        for _ in 0..6 {
            lengths.push(rest.begin(now).as_secs());
            assert_eq!(rest.begin(now + Duration::from_secs(4)).as_secs(), lengths[lengths.len() - 1] - 4);
            now += rest.left(now).expect("some is left");
            assert_eq!(rest.left(now), None);
        }
        assert_eq!(lengths, [10, 20, 40, 80, 120, 120]);
        assert_eq!(rest.begin(now + FORGOTTEN_AFTER).as_secs(), 10);
    }
}
