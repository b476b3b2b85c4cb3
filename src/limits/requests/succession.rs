//! One limiter taking over from another, because the configuration changed while requests were waiting.
//!
//! Two limiters of one credential must never admit beside each other: whoever still holds the old one is sent on to the new
//! one, also in the middle of waiting.

use std::sync::OnceLock;

use tokio_util::sync::CancellationToken;

use super::RequestLimiter;

/// Whether a limiter has been succeeded, and by which.
#[derive(Default)]
pub(super) struct Succession {
    successor: OnceLock<RequestLimiter>,
    happened: CancellationToken,
}

impl Succession {
    /// The limiter to ask instead; `None`: this one counts.
    pub(super) fn successor(&self) -> Option<&RequestLimiter> {
        self.successor.get()
    }

    /// Returns when there is a successor.
    pub(super) async fn happened(&self) {
        self.happened.cancelled().await;
    }
}

impl RequestLimiter {
    /// Hands over to a limiter that has just been made for the same credential: from now on that one admits, also those who
    /// ask or wait here. A hold of everyone goes over; what was counted stays here until it is drained.
    ///
    /// Shape: a second successor is ignored, and so is oneself.
    pub fn succeeded_by(&self, successor: &Self) {
        if std::sync::Arc::ptr_eq(&self.0, &successor.0) {
            return;
        }
        let (held_until, slowed_until) = {
            let inner = self.0.lock();
            (inner.held_until, inner.slowed_until)
        };
        {
            let mut inner = successor.0.lock();
            inner.held_until = inner.held_until.max(held_until);
            inner.slowed_until = inner.slowed_until.max(slowed_until);
        }
        if self.0.succession.successor.set(successor.clone()).is_ok() {
            self.0.succession.happened.cancel();
        }
    }

    /// Whether another has taken over: whoever still comes here does so with what was configured before.
    pub fn is_succeeded(&self) -> bool {
        self.0.succession.successor().is_some()
    }

    /// The last of those that took over from each other.
    pub(super) fn latest(&self) -> Self {
        let mut latest = self;
        while let Some(successor) = latest.0.succession.successor() {
            latest = successor;
        }
        latest.clone()
    }
}
