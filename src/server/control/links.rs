//! Orders about links.

use super::{Done, OrderError, source_named};
use crate::aggregator::CallContext;
use crate::limits::requests::Lane;
use crate::model::{Cause, LinkRecord, UserRecord};
use crate::store::{NewLink, RemovedBy};
use crate::sync::Engine;

/// Rests a link until it is resumed.
pub(super) async fn pause(engine: &Engine, link: &str) -> Result<Done, OrderError> {
    let now = engine.clock().now();
    let id = find(engine, link).await?;
    let changed = engine.store().write(move |txn| txn.set_paused(id, true, now)).await?;
    Ok(done(id, if changed { "paused" } else { "was paused or removed already" }))
}

/// Goes on with a paused link, or one that an operator removed.
pub(super) async fn resume(engine: &Engine, link: &str) -> Result<Done, OrderError> {
    let now = engine.clock().now();
    let id = find(engine, link).await?;
    let changed = engine
        .store()
        .write(move |txn| Ok(txn.set_paused(id, false, now)? | txn.return_link(id, RemovedBy::Operator, now)?))
        .await?;
    Ok(done(id, if changed { "resumed, due now" } else { "was not paused" }))
}

/// Takes a link out; its history stays.
pub(super) async fn remove(engine: &Engine, link: &str) -> Result<Done, OrderError> {
    let now = engine.clock().now();
    let id = find(engine, link).await?;
    let changed = engine
        .store()
        .write(move |txn| {
            txn.revoke_invites_of_link(id, now)?;
            txn.remove_link(id, RemovedBy::Operator, now)
        })
        .await?;
    let word = "removed; its history stays, and it still exists at the aggregator";
    Ok(done(id, if changed { word } else { "was removed already" }))
}

fn done(link_id: i64, word: &str) -> Done {
    Done { links: vec![link_id], message: format!("link {link_id} {word}"), ..Done::default() }
}

/// Why a link is not synced, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsyncable {
    /// An operator paused it.
    #[error("it is paused; `passbook links resume {0}` lets it go on")]
    Paused(i64),
    /// It was taken out, here or at the aggregator.
    #[error("it was removed; if an operator removed it here, `passbook links resume {0}` takes it back")]
    Removed(i64),
    /// Nobody has its source's credentials.
    #[error("its source is not in the configuration; add the [[source]] again")]
    NotConfigured,
}

/// Makes links due; none named means all that may be synced.
///
/// Shape: each link once, however often and by whichever of its ids it was named.
/// Errors: a named one that would not be synced is refused, and nothing is asked for: whoever waits for it would wait for ever.
pub(super) async fn ask_for_syncs(engine: &Engine, links: Vec<String>, full: bool) -> Result<Done, OrderError> {
    let mut ids = Vec::with_capacity(links.len());
    for link in &links {
        let id = find(engine, link).await?;
        if let Some(why) = unsyncable(engine, id).await? {
            return Err(OrderError::NotSyncable { link_id: id, why });
        }
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    if links.is_empty() {
        #[expect(clippy::redundant_closure_for_method_calls, reason = "a path is not general over the lifetime")]
        let all = engine.store().read(|txn| txn.syncable_links()).await?;
        ids = all;
    }
    let (now, asked) = (engine.clock().now(), ids.clone());
    engine
        .store()
        .write(move |txn| asked.iter().try_for_each(|id| txn.ask_for_sync(*id, Cause::Person, full, now)))
        .await?;
    let message = format!("{} links are due now", ids.len());
    Ok(Done { links: ids, message, ..Done::default() })
}

/// What keeps a link from being synced; `None`: nothing.
async fn unsyncable(engine: &Engine, link_id: i64) -> Result<Option<Unsyncable>, OrderError> {
    let link = engine.store().read(move |txn| txn.link_state(link_id)).await?;
    Ok(match () {
        () if link.removed_at.is_some() => Some(Unsyncable::Removed(link_id)),
        () if link.paused_at.is_some() => Some(Unsyncable::Paused(link_id)),
        () if engine.source(link.source_id).is_none() => Some(Unsyncable::NotConfigured),
        () => None,
    })
}

/// Gives an account that goes on under another id its former link back, and has both links read.
pub(super) async fn split(engine: &Engine, account_id: i64) -> Result<Done, OrderError> {
    let now = engine.clock().now();
    let parted = engine
        .store()
        .write(move |txn| {
            let joined = txn.former_ids_of_account(account_id)?.into_iter().next();
            let (Some(joined), Some(new_id)) = (joined, txn.split_account(account_id, now)?) else {
                return Ok(None);
            };
            for link_id in [joined.former_link_id, joined.link_id] {
                txn.ask_for_sync(link_id, Cause::Person, false, now)?;
            }
            Ok(Some((joined, new_id)))
        })
        .await?;
    let Some((joined, new_id)) = parted else {
        return Err(OrderError::NotJoined(account_id));
    };
    let (former, link) = (joined.former_link_id, joined.link_id);
    let message = format!(
        "account {account_id} is in link {former} again, with its upstream id {} and the rows it had there\n\
         account {new_id} is new in link {link}, with the rows that came since they were joined\n\
         the history of both is read anew by their next syncs, due now; the two are not joined again",
        joined.former_upstream_id
    );
    Ok(Done { links: vec![former, link], message, ..Done::default() })
}

/// Our id of a link named by our id or the aggregator's.
pub(super) async fn find(engine: &Engine, name: &str) -> Result<i64, OrderError> {
    let wanted = name.to_owned();
    let found = engine.store().read(move |txn| txn.find_link(&wanted)).await?;
    found.ok_or_else(|| OrderError::NoSuchLink(name.to_owned()))
}

/// Stores a link that the aggregator shows.
pub(super) async fn add(
    engine: &Engine,
    source: Option<String>,
    user: String,
    link: String,
) -> Result<Done, OrderError> {
    let source = source_named(engine, source)?;
    let context = CallContext::new(Lane::Person);
    let links = source.aggregator.user_links(&context, &user).await?;
    let record: Option<LinkRecord> = links.into_iter().find(|l| l.upstream_id == link);
    let Some(record) = record else {
        return Err(OrderError::NotShown { link, user });
    };
    let (now, source_id) = (engine.clock().now(), source.source_id);
    let user = UserRecord { upstream_id: user, external_id: None };
    let upserted =
        engine.store().write(move |txn| txn.put_link(source_id, &NewLink { user, link: record }, now)).await?;
    Ok(done(upserted.link_id, if upserted.is_new { "added, due now" } else { "was known already" }))
}
