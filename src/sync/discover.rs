//! Discovery: which users and links are there, with their access tokens.
//!
//! Cheap: the list of users carries their links with masked tokens; only a user with a link or token that is not in the store
//! is asked for in full. Where the list of users shows no links, they are looked at user by user, as customers of their own
//! (`user::look`). A link that a complete listing does not show is asked for by itself before it counts as gone.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::news::DISCOVERY_REST;
use super::outcome::{CREDENTIALS_REFUSED, CREDENTIALS_REST, REQUEST_LIMIT};
use super::{Engine, Source, Stop};
use crate::aggregator::{CallContext, CallError, ListedUser, PageToken};
use crate::limits::requests::Lane;
use crate::model::LinkRecord;
use crate::schedule;
use crate::store::{IdKind, KnownLink, NewLink, RemovedBy, StoreError};

/// More pages of users than anybody has: a list that goes on is a loop.
const MAX_PAGES: u32 = 100_000;
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
        let mut result = self.list_everything(source, &context).await;
        if result.is_ok()
            && let Err(stop) = self.read_catalog(source, &context).await
        {
            result = Err(stop);
        }
        let now = self.clock.now();
        let source_id = source.source_id;
        match result {
            Ok(mut found) => {
                found.requests = context.take_requests();
                let next = schedule::next_due_at(&source.discover_schedule, &source.name, source.max_spread, now);
                self.store.write(move |txn| txn.discovered(source_id, began, now, next, DISCOVERY_REST)).await?;
                tracing::info!(
                    source = %source.name, users = found.users, links = found.links, links.new = found.new_links,
                    links.removed = found.removed_links, requests = found.requests, "discovery"
                );
                Ok(Some(found))
            }
            Err(Stop::Store(error)) => Err(error),
            Err(stop) => {
                self.discovery_stopped(source, stop, now).await?;
                Ok(None)
            }
        }
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
            | Stop::RefreshFailed { .. } => {
                let delay = self.retry_delay(failures + 1);
                (now.saturating_add(delay).unwrap_or(now), None, true)
            }
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

    async fn list_everything(&self, source: &Source, context: &CallContext) -> Result<Discovered, Stop> {
        let source_id = source.source_id;
        let known: HashMap<String, KnownLink> = self
            .store
            .read(move |txn| txn.known_links(source_id))
            .await?
            .into_iter()
            .map(|known| (known.upstream_id.clone(), known))
            .collect();
        let mut found = Discovered::default();
        let mut seen: HashSet<String> = HashSet::new();
        let mut seen_users: HashSet<String> = HashSet::new();
        let mut page: Option<PageToken> = None;
        for _ in 0..MAX_PAGES {
            let answer = source.aggregator.users(context, page.as_ref()).await?;
            if source.status_schedule.is_some() {
                found.users += u32::try_from(answer.users.len()).unwrap_or(u32::MAX);
                seen_users.extend(answer.users.iter().map(|listed| listed.user.upstream_id.clone()));
                self.put_users(source, answer.users).await?;
                page = answer.next;
                if page.is_none() {
                    self.look_for_missing_users(source, &seen_users).await?;
                    return Ok(found);
                }
                continue;
            }
            let mut listed_links = Vec::new();
            for listed in answer.users {
                let upstream_id = listed.user.upstream_id.clone();
                if self.store.read(move |txn| txn.is_forgotten(source_id, IdKind::User, &upstream_id)).await? {
                    continue;
                }
                found.users += 1;
                let user = listed.user.clone();
                for link in self.links_of(source, context, listed, &known).await? {
                    seen.insert(link.upstream_id.clone());
                    listed_links.push(NewLink { user: user.clone(), link });
                }
            }
            found.links += u32::try_from(listed_links.len()).unwrap_or(u32::MAX);
            found.new_links += self.put_links(source, listed_links).await?;
            page = answer.next;
            if page.is_none() {
                let missing = known.iter().filter(|(id, k)| !k.is_removed && !seen.contains(*id));
                let mut missing: Vec<(String, String)> = missing.map(|(id, k)| (id.clone(), k.user.clone())).collect();
                missing.sort_unstable();
                found.removed_links = self.ask_after(source, context, missing).await?;
                return Ok(found);
            }
        }
        Err(CallError::Malformed { what: "the list of users", reason: format!("more than {MAX_PAGES} pages") }.into())
    }

    /// Stores a page of users whose links are looked at user by user; new ones at once.
    async fn put_users(&self, source: &Source, users: Vec<ListedUser>) -> Result<(), StoreError> {
        let (now, source_id) = (self.clock.now(), source.source_id);
        self.store
            .write(move |txn| {
                for listed in &users {
                    if txn.is_forgotten(source_id, IdKind::User, &listed.user.upstream_id)? {
                        continue;
                    }
                    let user_id = txn.put_user(source_id, &listed.user, now)?;
                    txn.look_at_new_user(user_id, now)?;
                }
                Ok(())
            })
            .await
    }

    /// Has every user looked at that a complete listing did not show: the look tells whether they are gone.
    async fn look_for_missing_users(&self, source: &Source, seen: &HashSet<String>) -> Result<(), StoreError> {
        let (now, source_id) = (self.clock.now(), source.source_id);
        let known = self.store.read(move |txn| txn.known_users(source_id)).await?;
        let missing: Vec<i64> = known.into_iter().filter(|(_, id)| !seen.contains(id)).map(|(id, _)| id).collect();
        self.store.write(move |txn| missing.iter().try_for_each(|user_id| txn.set_links_due_at(*user_id, now))).await
    }

    /// A user's links, with tokens if any of them is news.
    async fn links_of(
        &self,
        source: &Source,
        context: &CallContext,
        listed: ListedUser,
        known: &HashMap<String, KnownLink>,
    ) -> Result<Vec<LinkRecord>, Stop> {
        if let Some(links) = listed.links
            && links.iter().all(|(link, suffix)| {
                known.get(&link.upstream_id).is_some_and(|k| {
                    link.is_removed || suffix.is_none() || (k.token_suffix == *suffix && !k.is_removed)
                })
            })
        {
            return Ok(links.into_iter().map(|(link, _)| link).collect());
        }
        Ok(source.aggregator.user_links(context, &listed.user.upstream_id).await?)
    }

    /// Stores a page of links in one commit; returns how many were new.
    async fn put_links(&self, source: &Source, links: Vec<NewLink>) -> Result<u32, Stop> {
        let (now, source_id) = (self.clock.now(), source.source_id);
        let new = self
            .store
            .write(move |txn| {
                let mut new = 0;
                for link in &links {
                    // Forgotten since the listing began.
                    if txn.is_forgotten(source_id, IdKind::User, &link.user.upstream_id)? {
                        continue;
                    }
                    new += u32::from(txn.put_link(source_id, link, now)?.is_new);
                }
                Ok(new)
            })
            .await?;
        Ok(new)
    }

    /// Asks for each link that the listing did not show; absence from a list is no deletion.
    async fn ask_after(
        &self,
        source: &Source,
        context: &CallContext,
        missing: Vec<(String, String)>,
    ) -> Result<u32, Stop> {
        let mut removed = 0;
        for (upstream_id, user) in missing {
            let is_gone = match source.aggregator.link(context, &user, &upstream_id).await {
                Ok(Some(record)) => record.is_removed,
                Ok(None) => false,
                Err(CallError::Gone(_)) => true,
                Err(error) => return Err(error.into()),
            };
            if is_gone {
                let now = self.clock.now();
                let changed = self
                    .store
                    .write(move |txn| match txn.link_by_upstream_id(&upstream_id)? {
                        Some(link_id) => txn.remove_link(link_id, RemovedBy::Aggregator, now),
                        None => Ok(false),
                    })
                    .await?;
                removed += u32::from(changed);
            }
        }
        Ok(removed)
    }
}
