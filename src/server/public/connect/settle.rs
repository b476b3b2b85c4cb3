//! What a customer's visit has led to: read back from the aggregator, then stored with the invite used up.
//!
//! What must stay true: only a link that the aggregator lists as this customer's is stored; the invite is used up in the same
//! transaction; what cannot be told now is looked for later, and the customer need not wait for it.

use std::time::Duration;

use super::visit::Visit;
use crate::aggregator::{CallContext, CallError};
use crate::http::TransientCause;
use crate::limits::requests::Lane;
use crate::model::{Cause, Condition, LinkRecord, UserRecord};
use crate::secret::Secret;
use crate::store::{NewLink, RemovedBy, StoreError};
use crate::sync::Source;

/// How long a customer waits for the list of the links.
const DEADLINE: Duration = Duration::from_secs(8);

/// What came of a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    /// The link is stored and due, the invite used up.
    Connected,
    /// Another visit used the invite up.
    UsedAlready,
    /// The aggregator shows no link that this visit could have led to.
    Nothing,
    /// The link that was named is not among this customer's.
    NotTheirs,
    /// It cannot be told now; a look at the customer's links will tell.
    Later,
}

/// What to look for among a customer's links.
#[derive(Debug, Clone)]
pub(super) enum Sought {
    /// This one, which was exchanged for this access token.
    Exchanged { link: String, access_token: Secret },
    /// This one, as the browser says; else whatever is news.
    Hinted(Option<String>),
    /// Whatever is news.
    News,
}

/// Looks for a link among the customer's and stores it.
///
/// After a crash: nothing or all of it is stored; what the aggregator has, a later look or listing finds.
pub(super) async fn settle(visit: &Visit, source: &Source, sought: Sought) -> Result<Settled, StoreError> {
    let context = CallContext::new(Lane::Person);
    let asked = source.aggregator.user_links(&context, &visit.invite.upstream_user_id);
    let timed_out = Err(CallError::Transient { cause: TransientCause::TimedOut, retry_at: None });
    let listed = match tokio::time::timeout(DEADLINE, asked).await.unwrap_or(timed_out) {
        Ok(listed) => listed,
        Err(error) => {
            tracing::warn!(
                %error, source = %source.name, invite.id = visit.invite.invite_id,
                "what a customer connected could not be read back; it is looked for again"
            );
            return later(visit).await;
        }
    };
    let known = known(visit).await?;
    match choose(listed, &known, &sought) {
        Some(record) => store(visit, source, record).await,
        None => match sought {
            Sought::Exchanged { .. } => Ok(Settled::NotTheirs),
            Sought::Hinted(_) | Sought::News => Ok(Settled::Nothing),
        },
    }
}

/// Has the customer's links looked at as soon as may be.
pub(super) async fn later(visit: &Visit) -> Result<Settled, StoreError> {
    let (user_id, now) = (visit.invite.user_id, visit.now);
    visit.served.engine.store().write(move |txn| txn.set_links_due_at(user_id, now)).await?;
    visit.served.waker.wake();
    Ok(Settled::Later)
}

/// What is stored of the customer's links.
struct Known {
    /// (the aggregator's id, was it first seen since the visit began).
    links: Vec<(String, bool)>,
    /// The link to repair, and whether it was known to need a person.
    repair: Option<(String, bool)>,
}

async fn known(visit: &Visit) -> Result<Known, StoreError> {
    let (user_id, link_id) = (visit.invite.user_id, visit.invite.link_id);
    let begun_at = visit.invite.begun_at.unwrap_or(visit.now);
    let read = move |txn: &crate::store::ReadTxn<'_>| {
        let links = txn.links_known_to(user_id, begun_at)?;
        let state = link_id.map(|link_id| txn.link_state(link_id)).transpose()?;
        Ok(Known { links, repair: state.map(|state| (state.upstream_id, state.attention.is_some())) })
    };
    visit.served.engine.store().read(read).await
}

/// Chooses the link that a visit has led to.
///
/// Shape: the one that is named if it is listed, and healthy again where it is the one to repair. Otherwise, to repair:
/// that one, if it needed a person and does no more; to connect: one that was not there before, healthy ones first.
fn choose(listed: Vec<LinkRecord>, known: &Known, sought: &Sought) -> Option<LinkRecord> {
    let needs_person = |link: &LinkRecord| matches!(link.health.condition, Condition::NeedsPerson(_));
    let listed: Vec<LinkRecord> = listed.into_iter().filter(|link| !link.is_removed).collect();
    let by_id = |id: &str| listed.iter().find(|link| link.upstream_id == id).cloned();
    match sought {
        Sought::Exchanged { link, access_token } => {
            let access_token = Some(access_token.clone());
            return by_id(link).map(|link| LinkRecord { access_token, ..link });
        }
        Sought::Hinted(Some(hint)) => {
            let hinted = by_id(hint);
            if let Some(link) = hinted.filter(|link| known.repair.is_none() || !needs_person(link)) {
                return Some(link);
            }
        }
        Sought::Hinted(None) | Sought::News => {}
    }
    if let Some((repaired, needed_person)) = &known.repair {
        return by_id(repaired).filter(|link| *needed_person && !needs_person(link));
    }
    let is_news = |link: &&LinkRecord| known.links.iter().all(|(id, is_news)| *id != link.upstream_id || *is_news);
    let news = || listed.iter().filter(is_news);
    news().find(|link| !needs_person(link)).or_else(|| news().next()).cloned()
}

/// Stores the link, makes it due for the customer, and uses the invite up: all or nothing.
async fn store(visit: &Visit, source: &Source, link: LinkRecord) -> Result<Settled, StoreError> {
    let (invite_id, source_id) = (visit.invite.invite_id, source.source_id);
    let now = visit.served.engine.clock().now();
    let user = UserRecord { upstream_id: visit.invite.upstream_user_id.clone(), external_id: None };
    let new = NewLink { user, link };
    let stored = visit
        .served
        .engine
        .store()
        .write(move |txn| {
            if !txn.use_invite(invite_id, now)? {
                return Ok(None);
            }
            let upserted = txn.put_link(source_id, &new, now)?;
            // Whoever had the invite made wants the link.
            txn.return_link(upserted.link_id, RemovedBy::Operator, now)?;
            txn.ask_for_sync(upserted.link_id, Cause::Person, false, now)?;
            txn.invite_led_to(invite_id, upserted.link_id)?;
            Ok(Some(upserted))
        })
        .await?;
    let Some(upserted) = stored else {
        return Ok(Settled::UsedAlready);
    };
    visit.served.waker.wake();
    tracing::info!(
        source = %source.name, invite.id = invite_id, link.id = upserted.link_id, link.is_new = upserted.is_new,
        "a customer connected a bank"
    );
    Ok(Settled::Connected)
}
