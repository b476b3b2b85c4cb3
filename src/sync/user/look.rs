//! A look at the state of a user's links between syncs: what webhooks do not tell, or told to nobody.

use crate::aggregator::{CallContext, CallError};
use crate::limits::requests::Lane;
use crate::model::Condition;
use crate::store::{DueUser, StoreError};
use crate::sync::outcome::{CREDENTIALS_REFUSED, CREDENTIALS_REST, REQUEST_LIMIT, Verdict};
use crate::sync::{Engine, Source, Stop};

/// What a look at a user found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Looked {
    /// Links that are due because the aggregator has read their bank since.
    pub due_links: u32,
    /// Requests it took.
    pub requests: u32,
}

impl Engine {
    /// Looks at the state of a user's links, stores it, and makes those due that have news.
    ///
    /// After a crash: the user is still due; looking again changes nothing.
    pub async fn look_at_user(&self, source: &Source, user: &DueUser) -> Result<Looked, StoreError> {
        let Some(_presence) = self.enter_user(user.user_id).await? else {
            return Ok(Looked::default());
        };
        let _turn = self.turn_of(user.user_id).await;
        let context = CallContext::new(Lane::Scheduled);
        let mut looked = match self.look(source, &context, user).await {
            Ok(looked) => looked,
            // Ordered while the look was under way.
            Err(Stop::Store(StoreError::Forgotten)) => Looked::default(),
            Err(Stop::Store(error)) => return Err(error),
            Err(stop) => {
                self.look_stopped(source, user, stop).await?;
                Looked::default()
            }
        };
        looked.requests = context.take_requests();
        Ok(looked)
    }

    async fn look(&self, source: &Source, context: &CallContext, user: &DueUser) -> Result<Looked, Stop> {
        let id = (user.user_id, user.upstream_id.as_str());
        let began = self.clock.now();
        let listed = match source.aggregator.user_links(context, id.1).await {
            Err(CallError::Gone(_)) => {
                self.forget_user(source, id).await?;
                return Ok(Looked::default());
            }
            listed => listed?,
        };
        let listed = self.take_links(source, context, id, listed, began).await?;
        let now = self.clock.now();
        let user_id = user.user_id;
        let due_links = self
            .store
            .write(move |txn| {
                let mut due = 0;
                for link_id in txn.syncable_links_of(user_id)? {
                    let state = txn.link_state(link_id)?;
                    let Some(link) = listed.get(&state.upstream_id) else { continue };
                    let is_readable = matches!(link.health.condition, Condition::Well | Condition::Incomplete);
                    let has_news = link.tried_at.is_some() && link.tried_at != state.read_tried_at;
                    if is_readable && has_news && state.sync_id.is_none() && state.due_at > now {
                        txn.set_due_at(link_id, now)?;
                        due += 1;
                    }
                }
                if txn.settle_invites(user_id, now)? > 0 {
                    tracing::info!(user.id = user_id, "an invite has led to a connection");
                }
                Ok(due)
            })
            .await?;
        Ok(Looked { due_links, requests: 0 })
    }

    /// Gives up a look that ran into its deadline.
    pub async fn abandon_look(&self, user: &DueUser, error: &str) -> Result<(), StoreError> {
        let (user_id, next, error) = (user.user_id, self.retry_at(user.failures, None, None), error.to_owned());
        self.store.write(move |txn| txn.look_failed(user_id, &error, next)).await
    }

    /// A look that failed is taken again later; what stops every request rests the source.
    async fn look_stopped(&self, source: &Source, user: &DueUser, stop: Stop) -> Result<(), StoreError> {
        let (source_id, user_id, now) = (source.source_id, user.user_id, self.clock.now());
        let (message, not_before) = (stop.to_string(), stop.retry_at());
        let (next, hold, is_failure) = match stop.verdict()? {
            Verdict::Deferred { until, is_shared } => (until, is_shared.then_some((until, REQUEST_LIMIT)), false),
            Verdict::Unauthorized => {
                let until = now.saturating_add(CREDENTIALS_REST).unwrap_or(now);
                (until, Some((until, CREDENTIALS_REFUSED)), false)
            }
            Verdict::NeedsPerson { .. }
            | Verdict::Gone
            | Verdict::Unread { .. }
            | Verdict::RefreshFailed
            | Verdict::Failed { .. } => {
                tracing::warn!(
                    source = %source.name, user.id = user_id, error = %message,
                    "the state of a user's links could not be read; it is tried again"
                );
                (self.retry_at(user.failures, None, not_before), None, true)
            }
        };
        self.store
            .write(move |txn| {
                if let Some((until, reason)) = hold {
                    txn.hold_source(source_id, until, reason)?;
                }
                if is_failure { txn.look_failed(user_id, &message, next) } else { txn.set_links_due_at(user_id, next) }
            })
            .await
    }
}
