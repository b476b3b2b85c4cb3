//! Discovery: which users and links are there, with their access tokens.
//!
//! Cheap: the list of users carries their links with masked tokens; only a user with a link or token that is not in the store
//! is asked for in full. Where the list of users shows no links, they are looked at user by user, as customers of their own
//! (`user::look`). A link that a complete listing does not show is asked for by itself before it counts as gone.
//!
//! One user, link or bank that cannot be read delays no other ([`setbacks`]): the listing goes on without it and is made again
//! soon. Whose absence it cannot judge, it does not ask after.

mod listing;
mod setbacks;

use jiff::{SignedDuration, Timestamp};

pub(super) use setbacks::Setbacks;

use super::news::DISCOVERY_REST;
use super::outcome::{CREDENTIALS_REFUSED, CREDENTIALS_REST, REQUEST_LIMIT};
use super::{Engine, Source, Stop};
use crate::aggregator::{CallContext, CallError};
use crate::limits::requests::Lane;
use crate::schedule;
use crate::store::StoreError;

/// When names that could not be read are asked for again, if that is before the next listing.
const NAMES_RETRY: SignedDuration = SignedDuration::from_hours(6);

/// What a discovery found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Discovered {
    /// Users listed.
    pub users: u32,
    /// Bank links listed.
    pub links: u32,
    /// Links that were new.
    pub new_links: u32,
    /// Links gone at the aggregator.
    pub removed_links: u32,
    /// What could not be read, and waits for the next listing.
    pub passed_over: u32,
    /// Requests it took.
    pub requests: u32,
}

impl Engine {
    /// Lists a source's users and links and stores what is news; notes when it is due next.
    ///
    /// Shape: `None` where the aggregator did not let it finish; the reason is in the store and in the log.
    /// After a crash: what was found is stored; the next discovery lists everything again.
    pub async fn discover(&self, source: &Source, is_person: bool) -> Result<Option<Discovered>, StoreError> {
        let context = CallContext::new(if is_person { Lane::Person } else { Lane::Scheduled });
        let began = self.clock.now();
        let listed = match self.list_everything(source, &context).await {
            Ok(listed) => match self.read_catalog(source, &context).await {
                Ok(has_names) => Ok((listed, has_names)),
                Err(stop) => Err(stop),
            },
            Err(stop) => Err(stop),
        };
        match listed {
            Ok(((mut found, trouble), has_names)) => {
                found.requests = context.take_requests();
                self.discovery_ended(source, began, trouble, has_names).await?;
                tracing::info!(
                    source = %source.name, users = found.users, links = found.links, links.new = found.new_links,
                    links.removed = found.removed_links, passed_over = found.passed_over, requests = found.requests,
                    "discovery"
                );
                Ok(Some(found))
            }
            Err(Stop::Store(error)) => Err(error),
            Err(stop) => {
                self.discovery_stopped(source, stop, self.clock.now()).await?;
                Ok(None)
            }
        }
    }

    /// Notes when the next listing is due; `trouble` says what this one went on without.
    async fn discovery_ended(
        &self,
        source: &Source,
        began: Timestamp,
        trouble: Option<String>,
        has_names: bool,
    ) -> Result<(), StoreError> {
        let (now, source_id, name) = (self.clock.now(), source.source_id, source.name.clone());
        let planned = schedule::next_due_at(&source.discover_schedule, &source.name, source.max_spread, now);
        let Some(trouble) = trouble else {
            let names_at = now.saturating_add(NAMES_RETRY).unwrap_or(now);
            let next = if has_names { planned } else { planned.min(names_at) };
            return self.store.write(move |txn| txn.discovered(source_id, began, now, next, DISCOVERY_REST)).await;
        };
        let failures = self.store.read(move |txn| Ok(txn.source(&name)?.map_or(0, |s| s.discover_failures))).await?;
        let next = self.retry_at(failures, Some(planned), None);
        self.store.write(move |txn| txn.discovery_failed(source_id, &trouble, true, next)).await
    }

    async fn discovery_stopped(&self, source: &Source, stop: Stop, now: Timestamp) -> Result<(), StoreError> {
        let source_id = source.source_id;
        let name = source.name.clone();
        let failures = self.store.read(move |txn| Ok(txn.source(&name)?.map_or(0, |s| s.discover_failures))).await?;
        let message = stop.to_string();
        let later = |delay: SignedDuration| now.saturating_add(delay).unwrap_or(now);
        let (next, hold, is_failure) = match &stop {
            Stop::Call(CallError::RateLimited { until, is_shared }) => {
                (*until, is_shared.then_some((*until, REQUEST_LIMIT)), false)
            }
            Stop::Call(CallError::Unauthorized(_)) => {
                (later(CREDENTIALS_REST), Some((later(CREDENTIALS_REST), CREDENTIALS_REFUSED)), true)
            }
            Stop::Call(_)
            | Stop::Store(_)
            | Stop::Restless { .. }
            | Stop::Inconsistent { .. }
            | Stop::RefreshFailed { .. } => (self.retry_at(failures, None, stop.retry_at()), None, true),
        };
        if is_failure {
            tracing::error!(source = %source.name, error = %message, "discovery failed");
        }
        self.store
            .write(move |txn| {
                if let Some((until, reason)) = hold {
                    txn.hold_source(source_id, until, reason)?;
                }
                txn.discovery_failed(source_id, &message, is_failure, next)
            })
            .await
    }
}
