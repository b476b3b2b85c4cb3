//! The quotas of scopes: a token bucket for every key, and who waits for it.
//!
//! A bucket is kept as the one instant at which it is full again (the "theoretical arrival time" of the algorithm that
//! `governor` runs, too). `governor`'s own keyed buckets are no use here: to them a key they do not know is full, which is
//! the burst that a restart must not bring; they cannot be asked without taking; and they cannot be held.
//!
//! What must stay true: a key that is not in the map is the same as one that is in it with [`Scope::unseen_full_at`]. It
//! stands for a bucket that was empty when the limiter was made, and an instant only ever moves on from there. So a bucket
//! that is full can be forgotten: one never seen would be full by then as well.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::claims::{Claim, Claims, ScopedQuota};
use super::pace::{Pace, SCOPED_BURST_PART};
use super::queue::{Lane, Waiter};

/// The scopes of a limiter.
pub(super) struct Scopes(Vec<Scope>);

struct Scope {
    name: &'static str,
    pace: Pace,
    /// When the bucket of a key that is not in the map is or was full.
    unseen_full_at: Instant,
    keys: HashMap<Arc<str>, Key>,
    /// When full buckets are forgotten next: whenever an empty one has had the time to fill since the last time. So only
    /// those are remembered, and looked at, who sent or waited within twice that time, however many keys there are.
    sweep_at: Instant,
    /// The key that was throttled last, and how long that holds it.
    throttled: Option<(Arc<str>, Instant)>,
}

struct Key {
    full_at: Instant,
    /// In their order: a person first, then first come first served.
    line: Vec<InLine>,
}

struct InLine {
    order: LineOrder,
    waiter: Waiter,
}

/// A request's place among those that wait for the same key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LineOrder {
    is_not_person: bool,
    id: u64,
}

impl LineOrder {
    pub(super) fn of(lane: Lane, id: u64) -> Self {
        Self { is_not_person: lane != Lane::Person, id }
    }
}

impl Scopes {
    /// Scopes whose every key has an empty bucket at `now`.
    pub(super) fn new(quotas: Vec<ScopedQuota>, margin_percent: u32, now: Instant) -> Self {
        let scope = |scoped: ScopedQuota| {
            let pace = Pace::within(scoped.quota, margin_percent, SCOPED_BURST_PART);
            Scope {
                name: scoped.scope,
                pace,
                unseen_full_at: now + pace.time_to_fill(),
                keys: HashMap::new(),
                sweep_at: now + pace.time_to_fill(),
                throttled: None,
            }
        };
        Self(quotas.into_iter().map(scope).collect())
    }

    /// The claimed key that is last to have a token for the request at `order`, and when that is; `None` if all have one.
    pub(super) fn missing<'a>(
        &self,
        claims: &'a Claims,
        order: LineOrder,
        now: Instant,
    ) -> Option<(&'a Claim, Instant)> {
        let ready = claims.all().filter_map(|claim| Some((claim, self.named(claim)?.ready_at(&claim.key, order))));
        ready.filter(|(_, ready_at)| *ready_at > now).max_by_key(|(_, ready_at)| *ready_at)
    }

    /// Takes one token of every claimed key, which must have been asked at the same instant.
    pub(super) fn take(&mut self, claims: &Claims, now: Instant) {
        for claim in claims.all() {
            if let Some(scope) = self.named_mut(claim) {
                let period = scope.pace.period;
                let key = scope.key_mut(&claim.key, now);
                key.full_at = key.full_at.max(now) + period;
            }
        }
    }

    /// Puts a request in line at a key.
    pub(super) fn stand(&mut self, claim: &Claim, order: LineOrder, waiter: Waiter, now: Instant) {
        if let Some(scope) = self.named_mut(claim) {
            let line = &mut scope.key_mut(&claim.key, now).line;
            let index = line.partition_point(|ahead| ahead.order < order);
            line.insert(index, InLine { order, waiter });
        }
    }

    /// Takes a request out of the line at a key.
    pub(super) fn leave(&mut self, claim: &Claim, order: LineOrder) {
        let key = self.named_mut(claim).and_then(|scope| scope.keys.get_mut(&claim.key));
        if let Some(key) = key {
            key.line.retain(|standing| standing.order != order);
        }
    }

    /// Tells everyone in line at the claimed keys to look again: somebody gave up.
    pub(super) fn wake(&self, claims: &Claims) {
        for claim in claims.all() {
            let key = self.named(claim).and_then(|scope| scope.keys.get(&claim.key));
            key.into_iter().flat_map(|key| &key.line).for_each(|standing| standing.waiter.wake.notify_one());
        }
    }

    /// Holds every claimed key until `until`, with an empty bucket then. Whether that explains the throttle: not if
    /// nothing is claimed, nor if another key of one of the scopes is held too.
    pub(super) fn hold(&mut self, claims: &Claims, until: Instant, now: Instant) -> bool {
        let mut is_any_known = false;
        let mut is_another_held = false;
        for claim in claims.all() {
            if let Some(scope) = self.named_mut(claim) {
                is_any_known = true;
                is_another_held |= scope.hold(&claim.key, until, now);
            }
        }
        is_any_known && !is_another_held
    }

    /// The end of the longest hold on one of the claimed keys.
    pub(super) fn held_until(&self, claims: &Claims, now: Instant) -> Option<Instant> {
        let holds = claims.all().filter_map(|claim| self.named(claim)?.held_until(&claim.key, now));
        holds.max()
    }

    /// Requests that stand in line at a key.
    pub(super) fn waiting(&self) -> usize {
        self.0.iter().flat_map(|scope| scope.keys.values()).map(|key| key.line.len()).sum()
    }

    /// Keys that are remembered.
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|scope| scope.keys.len()).sum()
    }

    fn named(&self, claim: &Claim) -> Option<&Scope> {
        self.0.iter().find(|scope| scope.name == claim.scope)
    }

    fn named_mut(&mut self, claim: &Claim) -> Option<&mut Scope> {
        self.0.iter_mut().find(|scope| scope.name == claim.scope)
    }
}

impl Scope {
    /// When the key has a token for the request at `order`, after one for everyone ahead of it in line.
    fn ready_at(&self, key: &str, order: LineOrder) -> Instant {
        let Some(key) = self.keys.get(key) else {
            return self.unseen_full_at - self.pace.time_to_fill() + self.pace.period;
        };
        let ahead = key.line.partition_point(|standing| standing.order < order);
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        // No underflow: no bucket is full earlier than one that was empty when the limiter was made.
        key.full_at - self.pace.time_to_fill() + self.pace.period.saturating_mul(ahead.saturating_add(1))
    }

    /// Holds a key; whether another one is held too.
    fn hold(&mut self, key: &Arc<str>, until: Instant, now: Instant) -> bool {
        let last = self.throttled.take();
        let is_another_held = last.is_some_and(|(other, until)| other != *key && until > now);
        let emptied_full_at = until + self.pace.time_to_fill();
        let entry = self.key_mut(key, now);
        entry.full_at = entry.full_at.max(emptied_full_at);
        self.throttled = Some((Arc::clone(key), until));
        is_another_held
    }

    /// A bucket that is further from full than an empty one is held.
    fn held_until(&self, key: &str, now: Instant) -> Option<Instant> {
        let empty_at = self.keys.get(key)?.full_at - self.pace.time_to_fill();
        (empty_at > now).then_some(empty_at)
    }

    fn key_mut(&mut self, key: &Arc<str>, now: Instant) -> &mut Key {
        if now >= self.sweep_at {
            self.sweep(now);
        }
        let full_at = self.unseen_full_at;
        self.keys.entry(Arc::clone(key)).or_insert_with(|| Key { full_at, line: Vec::new() })
    }

    /// Forgets the keys whose bucket is full.
    fn sweep(&mut self, now: Instant) {
        self.keys.retain(|_, key| key.full_at > now || !key.line.is_empty());
        self.keys.shrink_to(self.keys.len().saturating_mul(2));
        self.sweep_at = now + self.pace.time_to_fill();
    }
}

impl Pace {
    /// The time in which an empty bucket becomes full.
    fn time_to_fill(self) -> Duration {
        self.period.saturating_mul(self.burst.get())
    }
}
