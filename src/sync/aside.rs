//! What becomes of a step, a look or a listing that cannot end by itself: it took too long, it panicked, or something of its own
//! keeps the store from taking it, such as a sealed value that does not open.
//!
//! Called by the workers. What must stay true: nothing is opened that may be what failed, so that one link never holds up its
//! source; what is wrong with the whole store is passed on.

use super::{Engine, Source, Step, SyncReport};
use crate::store::{LinkOutline, Outcome, StoreError};

/// What a person is told of a failure that is about one link, customer or listing.
pub fn reason_of(error: &StoreError) -> String {
    match error {
        StoreError::Panicked => format!("{error}; this is a bug, please report it with the log"),
        StoreError::Sealed { .. } | StoreError::UnknownWord { .. } => format!("{error}; ask `passbook verify`"),
        StoreError::Full
        | StoreError::Busy
        | StoreError::ReadOnly(_)
        | StoreError::Io(_)
        | StoreError::Damaged(_)
        | StoreError::Copy(_)
        | StoreError::OtherAggregator { .. }
        | StoreError::Missing { .. }
        | StoreError::Forgotten
        | StoreError::Sqlite(_) => error.to_string(),
    }
}

impl Engine {
    /// Closes the sync of a link whose step came to no end, and those of the links that were read with it: left open they would
    /// be due at once, and take this one along again.
    ///
    /// After a crash: all of them are closed or none, and the step is done again.
    pub async fn abandon(&self, link_id: i64, error: &str) -> Result<Step, StoreError> {
        let Some(_presence) = self.enter(link_id).await? else {
            return Ok(Step::Nothing);
        };
        let Some(lead) = self.store.read(move |txn| txn.link_outline(link_id)).await? else {
            return Ok(Step::Nothing);
        };
        let Some(source) = self.source(lead.source_id).filter(|_| !lead.is_removed) else {
            return Ok(Step::Nothing);
        };
        let now = self.clock.now();
        let on_schedule = source.next_due_at(source.spread_key(&lead.upstream_id, &lead.upstream_user_id), now);
        let next_due_at = self.retry_at(lead.consecutive_failures, Some(on_schedule), None);
        let mut links = vec![lead];
        if source.reads_by_user() {
            links.extend(self.read_along_with(&links[0]).await?);
        }
        let (given_up, message) = (links.clone(), error.to_owned());
        let ended = self
            .store
            .write(move |txn| {
                let ended = given_up.iter().map(|link| txn.give_up_sync(link, &message, next_due_at, now));
                ended.collect::<Result<Vec<_>, _>>()
            })
            .await?;
        let reports = links.iter().zip(ended).map(|(link, (sync_id, ended))| SyncReport {
            link_id: link.link_id,
            sync_id,
            outcome: Outcome::Failed,
            error: Some(error.to_owned()),
            counts: ended.counts,
            next_due_at,
        });
        Ok(Step::Ended(reports.inspect(|report| tell(source, report)).collect()))
    }

    /// The other links of a customer whose sync is open.
    async fn read_along_with(&self, lead: &LinkOutline) -> Result<Vec<LinkOutline>, StoreError> {
        let (link_id, user_id) = (lead.link_id, lead.user_id);
        let others = self.store.read(move |txn| {
            let ids = txn.syncable_links_of(user_id)?.into_iter().filter(|other| *other != link_id);
            ids.map(|other| txn.link_outline(other)).collect::<Result<Vec<_>, _>>()
        });
        Ok(others.await?.into_iter().flatten().filter(|other| other.sync_id.is_some()).collect())
    }

    /// Notes that a listing of a source's users and links came to no end; it is tried again after a delay that grows.
    pub async fn abandon_discovery(&self, source: &Source, error: &str) -> Result<(), StoreError> {
        let (source_id, name, error) = (source.source_id, source.name.clone(), error.to_owned());
        let failures =
            self.store.read(move |txn| Ok(txn.source(&name)?.map_or(0, |row| row.discover_failures))).await?;
        let next = self.retry_at(failures, None, None);
        self.store.write(move |txn| txn.discovery_failed(source_id, &error, true, next)).await
    }
}

/// The one line that a sync leaves in the log.
fn tell(source: &Source, report: &SyncReport) {
    tracing::warn!(
        source = %source.name, link.id = report.link_id, sync.id = report.sync_id, outcome = report.outcome.as_str(),
        requests = report.counts.requests, next_due_at = %report.next_due_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        error = report.error.as_deref().unwrap_or_default(), "sync"
    );
}
