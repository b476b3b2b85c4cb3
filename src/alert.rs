//! Alerts: somebody is told that a link needs a person, that a source stands still or is refused, that webhooks stopped; and
//! when it is over.
//!
//! Called by the daemon every few seconds. A pass compares the store's state with the alerts that are open, which raises new
//! ones and ends others, and then tells what is due: by a POST, by a command, or both. What must stay true: nothing is lost by
//! a crash, because the state is compared and every message is a state of its row until it was taken; nothing is told twice
//! but where a message may or may not have arrived, and then under the same id; many links at once are one message; no
//! message holds a customer, an amount or a secret.
//!
//! It repairs nothing and decides nothing about links.

mod bundle;
mod command;
mod message;
mod ways;

use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use self::bundle::{BURST_WINDOW, Bundle, bundles};
use self::ways::Ways;
use crate::clock::Clock;
use crate::config::AlertConfig;
use crate::http::{PosterError, Transport};
use crate::schedule;
use crate::store::{AlertPolicy, Settled, Store, StoreError, Way};
use crate::sync::{CREDENTIALS_REFUSED, CREDENTIALS_REST};

pub use message::Message;
pub use ways::NotTold;

/// The end of a condition is not worth telling any more after this.
const TOO_LATE: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What alerts are made of.
pub struct AlertOptions<'a> {
    /// The store whose state is told.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// Who is told, and how soon.
    pub config: &'a AlertConfig,
    /// Where a person can see more; `None`: nowhere.
    pub dashboard: Option<String>,
    /// How POSTs travel.
    pub transport: Transport,
    /// Seed of the jitter.
    pub seed: u64,
}

/// Tells people what the store says they should know.
pub struct Alerts {
    store: Store,
    clock: Clock,
    policy: AlertPolicy,
    ways: Ways,
    dashboard: Option<String>,
    rng: Mutex<StdRng>,
}

/// What a pass did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Passed {
    /// What began and ended.
    pub settled: Settled,
    /// Messages that were taken.
    pub told: usize,
    /// Messages that were not, and are tried again.
    pub failed: usize,
}

/// Sends a message that is about nothing, each way that `config` says, and returns what came of it; none where nobody is told.
///
/// Errors: the address or the HTTP client (correct the config or the machine).
pub async fn test(
    config: &AlertConfig,
    transport: Transport,
    dashboard: Option<&str>,
    now: Timestamp,
) -> Result<Vec<(Way, Result<(), NotTold>)>, PosterError> {
    let (ways, message) = (Ways::new(config, transport)?, Message::test(now, dashboard));
    let mut results = Vec::new();
    for way in ways.configured() {
        results.push((way, ways.tell(way, &message).await));
    }
    Ok(results)
}

impl Alerts {
    /// Prepares to tell; sends nothing.
    ///
    /// Errors: the address or the HTTP client (correct the config or the machine).
    pub fn new(options: AlertOptions<'_>) -> Result<Self, PosterError> {
        let AlertOptions { store, clock, config, dashboard, transport, seed } = options;
        let span = |of| SignedDuration::try_from(of).unwrap_or(SignedDuration::MAX);
        let policy = AlertPolicy {
            link_grace: span(config.link_grace),
            stale_after: span(config.stale_after),
            refused: CREDENTIALS_REFUSED,
            refused_rest: CREDENTIALS_REST,
        };
        let ways = Ways::new(config, transport)?;
        Ok(Self { store, clock, policy, ways, dashboard, rng: Mutex::new(StdRng::seed_from_u64(seed)) })
    }

    /// Looks once, and tells what is due.
    ///
    /// Errors: only the store's; a message that is not taken is noted and tried again.
    /// After a crash: at any instant, the next pass goes on; a message under way is sent again under the same id.
    pub async fn pass(&self) -> Result<Passed, StoreError> {
        let mut passed = Passed { settled: self.settle().await?, ..Passed::default() };
        if !self.ways.is_any() {
            return Ok(passed);
        }
        let now = self.clock.now();
        let burst_began = now.saturating_sub(BURST_WINDOW).unwrap_or(now);
        let (due, bursts) = self
            .store
            .read(move |txn| {
                let due = txn.due_alerts(now)?;
                let bursts = if due.is_empty() { Vec::new() } else { txn.attention_bursts(burst_began)? };
                Ok((due, bursts))
            })
            .await?;
        for bundle in bundles(due, &bursts, now) {
            if !self.tell(&bundle).await? {
                // Whoever did not take this one will hardly take the next; the others stay due.
                passed.failed += 1;
                break;
            }
            passed.told += 1;
        }
        Ok(passed)
    }

    async fn settle(&self) -> Result<Settled, StoreError> {
        let (policy, now) = (self.policy, self.clock.now());
        if !self.store.read(move |txn| txn.alerts_are_unsettled(&policy, now)).await? {
            return Ok(Settled::default());
        }
        let settled = self.store.write(move |txn| txn.settle_alerts(&policy, now)).await?;
        tracing::info!(raised = settled.raised, resolved = settled.resolved, "alerts");
        Ok(settled)
    }

    /// Sends one message each way that has not taken it yet, and notes what came of it: whether it is told.
    async fn tell(&self, bundle: &Bundle) -> Result<bool, StoreError> {
        let message = Message::about(bundle, self.dashboard.as_deref());
        let (ids, summary_id, now) = (bundle.ids(), bundle.summary_id, self.clock.now());
        let next_try_at = self.next_try_at(bundle.tries() + 1, now);
        let noted = ids.clone();
        self.store.write(move |txn| txn.alerts_are_being_told(&noted, summary_id, next_try_at, now)).await?;
        let mut accepted_by = bundle.accepted_by();
        let mut failures = Vec::new();
        for way in self.ways.configured().filter(|way| Some(*way) != bundle.accepted_by()) {
            match self.ways.tell(way, &message).await {
                Ok(()) => accepted_by = Some(way),
                Err(error) => failures.push(error),
            }
        }
        let now = self.clock.now();
        if failures.is_empty() {
            tracing::info!(alert = message.id(), kind = message.kind(), event = message.event(), "an alert was told");
            let is_end = bundle.is_end();
            self.store.write(move |txn| txn.alerts_were_told(&ids, is_end, now)).await?;
            return Ok(true);
        }
        let error = failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        tracing::warn!(
            alert = message.id(), kind = message.kind(), event = message.event(), error, %next_try_at,
            "an alert could not be told; it is tried again"
        );
        let may_have_arrived = accepted_by.is_some() || failures.iter().any(NotTold::may_have_arrived);
        let sent: Vec<(i64, Option<Timestamp>)> = bundle.sent(may_have_arrived.then_some(now)).collect();
        let too_late = now.saturating_sub(TOO_LATE).unwrap_or(now);
        self.store.write(move |txn| txn.alerts_were_not_told(&sent, accepted_by, &error, too_late)).await?;
        Ok(false)
    }

    fn next_try_at(&self, failures: u32, now: Timestamp) -> Timestamp {
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        now.saturating_add(schedule::retry_delay(failures, &mut *rng)).unwrap_or(Timestamp::MAX)
    }
}
