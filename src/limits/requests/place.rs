//! One request on its way through the limiter.

use tokio::time::Instant;

use super::RequestLimiter;
use super::claims::{Claim, Claims};
use super::keys::LineOrder;
use super::queue::{Lane, Waiter};

/// A request that is not admitted yet; it gives up on drop.
pub(super) struct Place<'a> {
    limiter: &'a RequestLimiter,
    lane: Lane,
    claims: &'a Claims,
    waiter: Waiter,
    stands: Stands,
}

enum Stands {
    Nowhere,
    /// In line at a key, outside the queue.
    AtKey(Claim),
    InQueue,
    Admitted,
}

enum Turn {
    Admitted,
    At(Instant),
    Behind,
}

impl<'a> Place<'a> {
    pub(super) fn new(limiter: &'a RequestLimiter, lane: Lane, claims: &'a Claims) -> Self {
        let waiter = limiter.0.lock().queue.arrive();
        Self { limiter, lane, claims, waiter, stands: Stands::Nowhere }
    }

    /// Waits until the request is admitted.
    pub(super) async fn admitted(mut self) {
        loop {
            match self.try_turn() {
                Turn::Admitted => return,
                Turn::At(instant) => tokio::select! {
                    biased;
                    () = tokio::time::sleep_until(instant) => {}
                    () = self.waiter.wake.notified() => {}
                },
                Turn::Behind => self.waiter.wake.notified().await,
            }
        }
    }

    /// Takes all its tokens if its keys have theirs, it is at the head and the shared bucket has one too; else none.
    ///
    /// Without a token at one of its keys it is not in the queue, and with one it comes back to where its arrival puts it.
    fn try_turn(&mut self) -> Turn {
        let shared = &self.limiter.0;
        let now = Instant::now();
        let now_ms = shared.clock.now_ms();
        let order = self.order();
        let mut inner = shared.lock();
        if let Stands::AtKey(claim) = &self.stands {
            inner.scopes.leave(claim, order);
            self.stands = Stands::Nowhere;
        }
        if let Some((claim, ready_at)) = inner.scopes.missing(self.claims, order, now) {
            if matches!(self.stands, Stands::InQueue) {
                inner.queue.leave(self.waiter.id);
                inner.queue.wake_head();
            }
            inner.scopes.stand(claim, order, self.waiter.clone(), now);
            self.stands = Stands::AtKey(claim.clone());
            return Turn::At(ready_at);
        }
        if matches!(self.stands, Stands::Nowhere) {
            inner.queue.join(self.lane, self.waiter.clone());
            self.stands = Stands::InQueue;
        }
        if inner.queue.head() != Some(self.waiter.id) {
            return Turn::Behind;
        }
        if let Err(ready_at) = inner.take_token(shared.pace, now) {
            return Turn::At(ready_at);
        }
        inner.scopes.take(self.claims, now);
        inner.queue.pop_head();
        inner.queue.wake_head();
        self.stands = Stands::Admitted;
        inner.forget_before(now, shared.quota.window);
        inner.admitted.push_back(now);
        inner.usage.at(now_ms).requests += 1;
        Turn::Admitted
    }

    fn order(&self) -> LineOrder {
        LineOrder::of(self.lane, self.waiter.id)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut inner = self.limiter.0.lock();
        match &self.stands {
            Stands::Nowhere | Stands::Admitted => return,
            Stands::AtKey(claim) => inner.scopes.leave(claim, self.order()),
            Stands::InQueue => {
                inner.queue.leave(self.waiter.id);
                inner.queue.wake_head();
            }
        }
        inner.scopes.wake(self.claims);
    }
}
