//! The users' tokens, kept until shortly before they expire.
//!
//! What must stay true: of several calls for one user only one asks for a token and the others wait for it, because
//! Bridge allows few; a token is never shown; and what is kept does not grow with the users ever seen, only with those of
//! the last two hours. Nothing is stored: a restart asks anew.
//! Source: upstream/bridge.md section 6.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::{normalize, wire};
use crate::aggregator::call::CallError;
use crate::clock::Clock;
use crate::http::Answer;
use crate::secret::Secret;

/// How long a token is used. It lives two hours; the rest is for calls that wait their turn with it.
const USED_FOR: SignedDuration = SignedDuration::from_mins(110);
/// The least time a token is used, whatever its expiry says: where the two clocks differ by hours, every request would ask
/// for a token otherwise. One that did expire is noticed when it is refused.
const MIN_USED_FOR: SignedDuration = SignedDuration::from_mins(1);
/// How often expired tokens are looked for.
const SWEEP_EVERY: Duration = Duration::from_mins(10);

/// One user's token.
#[derive(Debug)]
pub(super) struct UserToken {
    secret: Secret,
    asked_at: Timestamp,
    renew_at: Timestamp,
}

impl UserToken {
    /// Reads the answer to a request made for `user` at `asked_at`, by our clock.
    ///
    /// Errors: `Malformed`, also where the token is another user's: their data would be stored as this one's.
    pub(super) fn read(answer: &Answer, user: &str, asked_at: Timestamp) -> Result<Self, CallError> {
        // The parser's own words could repeat the token.
        let malformed = |reason: &str| CallError::Malformed { what: "a user's token", reason: reason.to_owned() };
        let body = std::str::from_utf8(&answer.body).map_err(|_| malformed("not a text"))?;
        let token: wire::Token<'_> = wire::object(body).map_err(|_| malformed("not an object"))?;
        let owner: wire::User<'_> =
            token.user.raw().map(wire::object).transpose().map_err(|_| malformed("no user"))?.unwrap_or_default();
        if owner.uuid.text().is_some_and(|uuid| !uuid.eq_ignore_ascii_case(user)) {
            return Err(malformed("it belongs to another user"));
        }
        let text = token.access_token.text().ok_or_else(|| malformed("no access_token"))?;
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(malformed("access_token holds a character that no header can"));
        }
        let expires_at = token.expires_at.text().and_then(|at| normalize::instant(&at));
        Ok(Self { secret: Secret::new(text), asked_at, renew_at: renew_at(asked_at, expires_at) })
    }

    pub(super) fn secret(&self) -> &Secret {
        &self.secret
    }

    /// A clock that was set back makes a token look new for too long, so one from the future is not used.
    fn is_fresh(&self, now: Timestamp) -> bool {
        self.asked_at <= now && now < self.renew_at
    }
}

fn renew_at(asked_at: Timestamp, expires_at: Option<Timestamp>) -> Timestamp {
    let after = |time: SignedDuration| asked_at.saturating_add(time).unwrap_or(Timestamp::MAX);
    expires_at.map_or(after(USED_FOR), |at| at.clamp(after(MIN_USED_FOR), after(USED_FOR)))
}

/// A user's place: who holds the lock is asking.
type Slot = tokio::sync::Mutex<Option<Arc<UserToken>>>;

/// The tokens of all users of one application.
pub(super) struct Tokens {
    clock: Clock,
    kept: Mutex<Kept>,
}

struct Kept {
    slots: HashMap<String, Arc<Slot>>,
    swept_at: Instant,
}

impl Tokens {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, kept: Mutex::new(Kept { slots: HashMap::new(), swept_at: Instant::now() }) }
    }

    /// The user's token; `ask` is only run where there is none that is fresh.
    ///
    /// Errors: those of `ask`. Whoever waited then asks in turn.
    pub(super) async fn get(
        &self,
        user: &str,
        ask: impl Future<Output = Result<UserToken, CallError>>,
    ) -> Result<Arc<UserToken>, CallError> {
        let slot = self.slot(user);
        let mut held = slot.lock().await;
        if let Some(token) = held.as_ref().filter(|token| token.is_fresh(self.clock.now())) {
            return Ok(Arc::clone(token));
        }
        *held = None;
        let token = Arc::new(ask.await?);
        *held = Some(Arc::clone(&token));
        Ok(token)
    }

    /// Drops a token that was refused, unless somebody renewed it already.
    pub(super) async fn forget(&self, user: &str, refused: &Arc<UserToken>) {
        let slot = self.slot(user);
        let mut held = slot.lock().await;
        if held.as_ref().is_some_and(|token| Arc::ptr_eq(token, refused)) {
            *held = None;
        }
    }

    /// Drops what is kept of a user who is gone.
    pub(super) fn drop_user(&self, user: &str) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).slots.remove(user);
    }

    fn slot(&self, user: &str) -> Arc<Slot> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.swept_at.elapsed() >= SWEEP_EVERY {
            kept.swept_at = Instant::now();
            let now = self.clock.now();
            // A slot that somebody holds is in use, though it may be empty.
            kept.slots.retain(|_, slot| Arc::strong_count(slot) > 1 || is_fresh(slot, now));
        }
        if let Some(slot) = kept.slots.get(user) {
            return Arc::clone(slot);
        }
        Arc::clone(kept.slots.entry(user.to_owned()).or_default())
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.kept.lock().expect("not poisoned").slots.len()
    }
}

fn is_fresh(slot: &Slot, now: Timestamp) -> bool {
    slot.try_lock().map_or(true, |held| held.as_ref().is_some_and(|token| token.is_fresh(now)))
}
