//! The request budget of one credential: who may send the next request, and when.
//!
//! The HTTP door asks for every attempt, retries included; nothing else sends. What must stay true: no closed window of
//! the quota's length holds more than [`LimiterState::limit`] admissions, also across a restart, a crash loop or a
//! change of pace.
//!
//! # Why that holds
//!
//! With a bucket of `burst` tokens, refilled one per `period`, any closed window `W` sees at most
//! `burst + floor(W / period)` admissions; both are chosen so that this sum is at most the limit. Every bucket **starts
//! empty**, so in the first `b` of its life it admits at most `floor(b / period)`. Replace a bucket in the middle of a
//! window, by restarting the process or by changing the pace, and the old one has admitted at most
//! `burst + floor(a / period)`, the new one at most `floor(b / period)`, with `a + b <= W`: together no more than before.
//! So nothing about the bucket has to be stored, and a crash loop admits nothing but what time refills. The same holds where
//! a limiter is succeeded by another while requests wait at it: from that instant on all go to the successor.
//!
//! The margin between the limit and the quota pays for what we cannot see: two requests may take differently long to
//! arrive. At the default margin the aggregator would have to see them shifted by more than about three seconds a minute.
//!
//! # Scopes
//!
//! Some aggregators count one request against several quotas: the application's, and each user's. The others than the
//! credential's own are scopes, each with a bucket per key, and a request takes a token from each of its buckets and from
//! the shared one, all at once or none. A key's bucket counts as made, empty, with the limiter, whenever the key is first
//! seen; so the proof above holds for each key as it does for the credential.
//!
//! Which quota a 429 means it does not say. It holds the keys that the request counts against, and everyone only if it
//! counts against none, or if another key of the same scope is held already: two users at once are no coincidence.
//!
//! # Order
//!
//! A person goes first. Between scheduled and backfill requests a share decides while both wait; what one side does not
//! use the other gets. Within a lane first come is first served. There is no task behind this: the request at the head
//! of the queue sleeps until its token is there, the others until they are the head. All waiting is on `tokio`'s
//! monotonic time, so a wall clock that is set back neither hangs nor hurries anything.
//!
//! Who has to wait for a key of its own does so outside the queue, and goes out again if at its turn the token is gone.
//! The head of the queue therefore only ever waits for the shared bucket, and no key delays another.

mod claims;
mod keys;
mod pace;
mod place;
mod queue;
mod state;
mod succession;
mod usage;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::clock::Clock;
use keys::Scopes;
use pace::{BURST_PART, Bucket, Pace};
use place::Place;
use queue::Queue;
use succession::Succession;
use usage::UsageLog;

pub use claims::{Claims, ScopedQuota};
pub use pace::Quota;
pub use queue::Lane;
pub use state::{Hold, LimiterState};
pub use usage::Usage;

/// How far below the aggregator's limit we stay, in percent.
pub const DEFAULT_MARGIN_PERCENT: u32 = 5;
/// The least margin: none.
pub const MIN_MARGIN_PERCENT: u32 = 0;
/// The largest margin.
pub const MAX_MARGIN_PERCENT: u32 = 50;

/// The share of the request budget that backfills get while scheduled requests wait, in percent.
pub const DEFAULT_BACKFILL_SHARE_PERCENT: u8 = 30;
/// The least share: backfills only run when nothing else waits.
pub const MIN_BACKFILL_SHARE_PERCENT: u8 = 0;
/// The largest share; a tenth always stays for what is scheduled.
pub const MAX_BACKFILL_SHARE_PERCENT: u8 = 90;

/// The longest the aggregator can make us wait with one answer, whatever the answer says.
pub const MAX_HOLD: Duration = Duration::from_mins(5);
/// How long after a throttle the pace stays halved.
pub const SLOWED_FOR: Duration = Duration::from_mins(5);

/// Admits the requests of one credential within its quota. Cheap to clone; clones share one budget.
#[derive(Clone)]
pub struct RequestLimiter(Arc<Shared>);

struct Shared {
    quota: Quota,
    pace: Pace,
    clock: Clock,
    inner: Mutex<Inner>,
    succession: Succession,
}

struct Inner {
    queue: Queue,
    scopes: Scopes,
    bucket: Bucket,
    admitted: VecDeque<Instant>,
    held_until: Option<Instant>,
    slowed_until: Option<Instant>,
    usage: UsageLog,
}

impl RequestLimiter {
    /// Makes a limiter with an empty bucket: the first request goes one refill period from now.
    ///
    /// Shape: percentages outside their `MIN_`/`MAX_` bounds are moved to the nearest bound; at least one request per
    /// window is always allowed.
    pub fn new(quota: Quota, margin_percent: u32, backfill_share_percent: u8, clock: Clock) -> Self {
        Self::with_scopes(quota, Vec::new(), margin_percent, backfill_share_percent, clock)
    }

    /// Makes a limiter whose requests also count against the keys they claim.
    ///
    /// Shape: as [`RequestLimiter::new`], for each scope too: the first request of every key goes one of the scope's
    /// refill periods from now. Of scopes with the same name the first counts.
    pub fn with_scopes(
        quota: Quota,
        scopes: Vec<ScopedQuota>,
        margin_percent: u32,
        backfill_share_percent: u8,
        clock: Clock,
    ) -> Self {
        let margin_percent = margin_percent.clamp(MIN_MARGIN_PERCENT, MAX_MARGIN_PERCENT);
        let pace = Pace::within(quota, margin_percent, BURST_PART);
        let share = backfill_share_percent.clamp(MIN_BACKFILL_SHARE_PERCENT, MAX_BACKFILL_SHARE_PERCENT);
        let now = Instant::now();
        Self(Arc::new(Shared {
            quota,
            pace,
            clock,
            inner: Mutex::new(Inner {
                queue: Queue::new(u32::from(share)),
                scopes: Scopes::new(scopes, margin_percent, now),
                bucket: Bucket::empty(pace, now),
                admitted: VecDeque::new(),
                held_until: None,
                slowed_until: None,
                usage: UsageLog::default(),
            }),
            succession: Succession::default(),
        }))
    }

    /// Waits until one request may be sent, and counts it as sent, also against the keys it claims.
    ///
    /// Dropping the future before it is ready gives its place away and costs no token. A future that is neither polled
    /// nor dropped keeps its place, as with every queue that has no task of its own.
    pub async fn admit(&self, lane: Lane, claims: &Claims) {
        let mut limiter = self.latest();
        loop {
            tokio::select! {
                biased;
                () = limiter.0.succession.happened() => limiter = limiter.latest(),
                () = Place::new(&limiter, lane, claims).admitted() => return,
            }
        }
    }

    /// The aggregator said 429 to a request with these claims: the keys, or everyone, are held until `until`. If it is
    /// everyone, the pace is halved for [`SLOWED_FOR`] after it. What holds such a request now is returned.
    ///
    /// Shape: never shortens a hold; an instant further off than [`MAX_HOLD`] counts as that. The instant is turned into
    /// monotonic time here and now, so a later change of the wall clock does not move it.
    pub fn throttled(&self, until: Timestamp, claims: &Claims) -> Hold {
        if let Some(successor) = self.0.succession.successor() {
            return successor.throttled(until, claims);
        }
        let ahead_ms = until.as_millisecond().saturating_sub(self.0.clock.now_ms());
        let hold = Duration::from_millis(u64::try_from(ahead_ms).unwrap_or(0)).min(MAX_HOLD);
        let mut inner = self.0.lock();
        let now = Instant::now();
        let until = now + hold;
        let is_shared = !inner.scopes.hold(claims, until, now);
        if is_shared {
            let until = inner.held_until.map_or(until, |held| held.max(until));
            inner.held_until = Some(until);
            inner.slowed_until = Some(until + SLOWED_FOR);
        }
        inner.hold_on(claims, now).unwrap_or(Hold { left: Duration::ZERO, is_shared })
    }

    /// The throttle that holds a request with these claims longest; `None` when none does.
    pub fn held_for(&self, claims: &Claims) -> Option<Hold> {
        self.latest().0.lock().hold_on(claims, Instant::now())
    }

    /// What the limiter allows right now.
    pub fn state(&self) -> LimiterState {
        let now = Instant::now();
        let wall_at = |at: Instant| {
            let ahead = at.saturating_duration_since(now);
            self.0.clock.now().saturating_add(ahead).unwrap_or(Timestamp::MAX)
        };
        let mut inner = self.0.lock();
        inner.forget_before(now, self.0.quota.window);
        let held_until = inner.held_until.filter(|held| *held > now);
        let (available, ready_at) = inner.bucket.peek(now);
        LimiterState {
            quota: self.0.quota,
            limit: self.0.pace.limit,
            admitted_in_window: u32::try_from(inner.admitted.len()).unwrap_or(u32::MAX),
            available_now: if held_until.is_some() { 0 } else { available },
            waiting: inner.queue.len() + inner.scopes.waiting(),
            keys: inner.scopes.len(),
            held_until: held_until.map(wall_at),
            slowed_until: inner.slowed_until.filter(|slowed| *slowed > now).map(wall_at),
            refills_at: wall_at(held_until.map_or(ready_at, |held| held + self.0.pace.halved().period)),
        }
    }

    /// Counts one answer that said 429.
    pub fn record_rate_limited(&self) {
        let now_ms = self.0.clock.now_ms();
        self.0.lock().usage.at(now_ms).rate_limited += 1;
    }

    /// Counts one request that brought no usable answer: a timeout, a broken connection, a 5xx.
    pub fn record_failed(&self) {
        let now_ms = self.0.clock.now_ms();
        self.0.lock().usage.at(now_ms).failed += 1;
    }

    /// Takes the usage counted since the last call, for the store's `request_usage`.
    ///
    /// Shape: oldest minute first; the running minute is included and comes again later with what was added, so the
    /// store adds to a minute instead of replacing it.
    pub fn drain_usage(&self) -> Vec<Usage> {
        self.0.lock().usage.drain()
    }

    /// Puts back what could not be stored; it is added to what was counted meanwhile.
    pub fn restore_usage(&self, usage: Vec<Usage>) {
        self.0.lock().usage.restore(usage);
    }
}

impl std::fmt::Debug for RequestLimiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestLimiter").field("quota", &self.0.quota).finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Takes one token, or says when to ask again.
    fn take_token(&mut self, pace: Pace, now: Instant) -> Result<(), Instant> {
        if let Some(held_until) = self.held_until {
            if now < held_until {
                return Err(held_until);
            }
            self.held_until = None;
            self.bucket = Bucket::empty(pace.halved(), now);
        }
        if self.slowed_until.is_some_and(|slowed_until| slowed_until <= now) {
            self.slowed_until = None;
            self.bucket = Bucket::empty(pace, now);
        }
        self.bucket.take(now)
    }

    fn hold_on(&self, claims: &Claims, now: Instant) -> Option<Hold> {
        let shared = self.held_until.filter(|until| *until > now);
        let own = self.scopes.held_until(claims, now);
        let until = shared.max(own)?;
        Some(Hold { left: until.saturating_duration_since(now), is_shared: shared == Some(until) })
    }

    fn forget_before(&mut self, now: Instant, window: Duration) {
        while self.admitted.front().is_some_and(|at| now.duration_since(*at) > window) {
            self.admitted.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
