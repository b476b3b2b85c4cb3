//! A wall clock that was set: due instants in a future that never was.

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use std::sync::Arc;

use super::Lane;
use crate::limits::requests::MAX_HOLD;
use crate::schedule::{self, Schedule};
use crate::store::StoreError;
use crate::sync::CREDENTIALS_REST;

/// Wall and monotonic clock this far apart between two looks mean that the wall clock was set.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_secs(2);

impl Lane {
    /// Notices that the wall clock was set, which leaves due instants in a future that never was.
    pub(super) async fn notice_clock_jump(&mut self) -> Result<(), StoreError> {
        let (wall, monotonic) = (self.engine.clock().now(), Instant::now());
        let passed =
            SignedDuration::try_from(monotonic.duration_since(self.last_look.1)).unwrap_or(SignedDuration::MAX);
        let shown = wall.duration_since(self.last_look.0);
        self.last_look = (wall, monotonic);
        if shown < passed.saturating_sub(CLOCK_TOLERANCE) {
            tracing::warn!(source = %self.source.name, "the clock was set back; due times are worked out anew");
            self.replan().await?;
        }
        Ok(())
    }

    /// Brings back whatever lies further ahead than anything could have put it now, by the clock and the schedules as they are:
    /// due times, holds.
    pub(super) async fn replan(&mut self) -> Result<(), StoreError> {
        let now = self.engine.clock().now();
        let source = Arc::clone(&self.source);
        let last_of_slot = |schedule: &Schedule| {
            let fire = schedule.next_after(now)?;
            fire.saturating_add(source.max_spread).ok()
        };
        let last_slot = last_of_slot(&source.sync_schedule).unwrap_or(Timestamp::MAX);
        let latest_retry = last_slot.saturating_add(schedule::MAX_RETRY).unwrap_or(Timestamp::MAX);
        let latest_reconciliation = last_of_slot(&source.reconcile_schedule).unwrap_or(Timestamp::MAX);
        let latest_look = source.status_schedule.as_ref().and_then(last_of_slot);
        let longest_hold = CREDENTIALS_REST.max(SignedDuration::try_from(MAX_HOLD).unwrap_or(SignedDuration::MAX));
        let latest_hold = now.saturating_add(longest_hold).unwrap_or(Timestamp::MAX);
        self.engine
            .store()
            .write(move |txn| {
                for link_id in txn.links_due_after(source.source_id, last_slot, latest_retry)? {
                    let Some(link) = txn.link_outline(link_id)? else { continue };
                    let spread_key = source.spread_key(&link.upstream_id, &link.upstream_user_id);
                    txn.set_due_at(link_id, source.next_due_at(spread_key, now))?;
                }
                if let Some(latest_look) = latest_look {
                    txn.bring_users_forward(source.source_id, latest_look)?;
                }
                txn.bring_reconciliation_forward(source.source_id, latest_reconciliation)?;
                txn.shorten_hold(source.source_id, latest_hold)?;
                let discover = schedule::next_due_at(&source.discover_schedule, &source.name, source.max_spread, now);
                txn.bring_discovery_forward(source.source_id, discover)
            })
            .await
    }
}
