//! The links of one user as the aggregator shows them: their state, their consents, which are new and which are gone.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::aggregator::{CallContext, CallError};
use crate::model::{Attention, Condition, LinkHealth, LinkRecord, UserRecord};
use crate::store::{LinkState, NewLink, RemovedBy, StoreError};
use crate::sync::{Engine, Source, Stop};

/// How many days before a customer's consent ends it is warned about.
const CONSENT_WARNINGS: [i64; 3] = [14, 7, 1];
/// When it is looked whether a user who is said to be unknown is in the list of users.
const CONFIRM_GONE_AFTER: SignedDuration = SignedDuration::from_hours(1);

impl Engine {
    /// Stores what a complete list of a user's links says: new ones, their states, and which are gone.
    ///
    /// Shape: the links by upstream id, their conditions as we see them. A stored link that the list does not show is asked for
    /// by itself before it counts as gone. `began`: before the list was asked for.
    pub(in crate::sync) async fn take_links(
        &self,
        source: &Source,
        context: &CallContext,
        (user_id, upstream_user_id): (i64, &str),
        listed: Vec<LinkRecord>,
        began: Timestamp,
    ) -> Result<HashMap<String, LinkRecord>, Stop> {
        let stored = self
            .store
            .read(move |txn| {
                let links = txn.present_links_of(user_id)?;
                links.into_iter().map(|(link_id, _)| txn.link_state(link_id)).collect::<Result<Vec<_>, _>>()
            })
            .await?;
        let mut links: HashMap<String, LinkRecord> =
            listed.into_iter().map(|link| (link.upstream_id.clone(), link)).collect();
        let mut gone = Vec::new();
        for missing in &stored {
            if links.contains_key(&missing.upstream_id) {
                continue;
            }
            match source.aggregator.link(context, upstream_user_id, &missing.upstream_id).await {
                Ok(Some(link)) if !link.is_removed => {
                    links.insert(missing.upstream_id.clone(), link);
                }
                Ok(Some(_)) | Err(CallError::Gone(_)) => gone.push(missing.link_id),
                // It is there, and cannot be read: neither the list nor this answer says that it is gone.
                Ok(None) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let now = self.clock.now();
        for state in &stored {
            if let Some(link) = links.get_mut(&state.upstream_id) {
                link.health = patient(state, std::mem::take(&mut link.health), source.refresh_timeout, now);
            }
        }
        // In one order, so that the same answers always give the same ids.
        let mut in_order: Vec<LinkRecord> = links.values().cloned().collect();
        in_order.sort_by(|a, b| a.upstream_id.cmp(&b.upstream_id));
        self.store_links(source, (user_id, upstream_user_id), in_order, gone, began).await?;
        Ok(links)
    }

    async fn store_links(
        &self,
        source: &Source,
        (user_id, upstream_user_id): (i64, &str),
        links: Vec<LinkRecord>,
        gone: Vec<i64>,
        began: Timestamp,
    ) -> Result<(), StoreError> {
        let (now, source_id) = (self.clock.now(), source.source_id);
        let next_look_at = source.next_look_at(upstream_user_id, now);
        let user = UserRecord { upstream_id: upstream_user_id.to_owned(), external_id: None };
        let warnings = self
            .store
            .write(move |txn| {
                for link in links {
                    txn.put_link(source_id, &NewLink { user: user.clone(), link }, now)?;
                }
                for link_id in gone {
                    txn.remove_link(link_id, RemovedBy::Aggregator, now)?;
                }
                txn.looked_at(user_id, began, next_look_at, now)?;
                txn.take_consent_warnings(user_id, &CONSENT_WARNINGS, now)
            })
            .await?;
        for (link_id, days_left) in warnings {
            tracing::warn!(
                source = %source.name, link.id = link_id, days_left,
                "the customer's consent ends soon; ask the customer to reconnect this bank before"
            );
        }
        Ok(())
    }

    /// Removes every link of a user that the aggregator does not know any more.
    ///
    /// Shape: how many. A list of all users soon after brings back one that is there all the same.
    pub(in crate::sync) async fn forget_user(
        &self,
        source: &Source,
        (user_id, upstream_user_id): (i64, &str),
    ) -> Result<u32, StoreError> {
        let (now, source_id) = (self.clock.now(), source.source_id);
        let confirm_at = now.saturating_add(CONFIRM_GONE_AFTER).unwrap_or(now);
        let removed = self
            .store
            .write(move |txn| {
                let mut removed = 0;
                for (link_id, _) in txn.present_links_of(user_id)? {
                    removed += u32::from(txn.remove_link(link_id, RemovedBy::Aggregator, now)?);
                }
                txn.remove_user(user_id, now)?;
                txn.bring_discovery_forward(source_id, confirm_at)?;
                Ok(removed)
            })
            .await?;
        tracing::warn!(
            source = %source.name, user.upstream_id = upstream_user_id, links.removed = removed,
            "the user was deleted at the aggregator; its history stays"
        );
        Ok(removed)
    }
}

/// A state that passes by itself and has not passed for too long is another one: a connection under way is not waited for any
/// more, and a technical failure is the aggregator's support's.
fn patient(state: &LinkState, mut health: LinkHealth, connecting: Duration, now: Timestamp) -> LinkHealth {
    let lasts = |condition: &str, patience: SignedDuration| {
        state.condition == condition && state.condition_at.is_some_and(|at| now.duration_since(at) >= patience)
    };
    match health.condition {
        Condition::Connecting => {
            let connecting = SignedDuration::try_from(connecting).unwrap_or(SignedDuration::MAX);
            let was_given_up = state.condition == "passing" && state.upstream_status == health.upstream_status;
            if was_given_up || lasts("connecting", connecting) {
                health.condition = Condition::Passing { patience: None };
            }
        }
        Condition::Passing { patience: Some(patience) } => {
            let is_same = state.upstream_status.as_deref().and_then(|status| status.split(' ').next()) == health.code();
            if (is_same && lasts("passing", patience)) || state.attention == Some(Attention::Support) {
                health.condition = Condition::NeedsPerson(Attention::Support);
            }
        }
        Condition::Well | Condition::Incomplete | Condition::Passing { patience: None } | Condition::NeedsPerson(_) => {
        }
    }
    health
}
