//! One listing: page by page what is there, then a question after each that no page showed.

use std::collections::{HashMap, HashSet};

use super::{Discovered, Setbacks};
use crate::aggregator::{CallContext, CallError, ListedUser, PageToken, UserPage};
use crate::model::LinkRecord;
use crate::store::{IdKind, KnownLink, NewLink, RemovedBy, StoreError};
use crate::sync::{Engine, Source, Stop};

/// More pages of users than anybody has: a list that goes on is a loop.
const MAX_PAGES: u32 = 100_000;

/// A listing under way.
struct Listing<'a> {
    source: &'a Source,
    context: &'a CallContext,
    /// The stored links, by upstream id.
    known: HashMap<String, KnownLink>,
    /// Upstream ids of what was shown.
    seen_links: HashSet<String>,
    seen_users: HashSet<String>,
    /// Users whose links could not be listed.
    unread_users: HashSet<String>,
    /// Somebody was shown who cannot be told, so that nobody can be said to be missing.
    is_anybody_nameless: bool,
    setbacks: Setbacks,
    found: Discovered,
}

impl Engine {
    /// Lists users and links page by page, and asks after those that no page showed.
    ///
    /// Shape: what was found, and what the store says of what could not be read.
    pub(super) async fn list_everything(
        &self,
        source: &Source,
        context: &CallContext,
    ) -> Result<(Discovered, Option<String>), Stop> {
        let source_id = source.source_id;
        let known = self.store.read(move |txn| txn.known_links(source_id)).await?;
        let mut listing = Listing {
            source,
            context,
            known: known.into_iter().map(|known| (known.upstream_id.clone(), known)).collect(),
            seen_links: HashSet::new(),
            seen_users: HashSet::new(),
            unread_users: HashSet::new(),
            is_anybody_nameless: false,
            setbacks: Setbacks::default(),
            found: Discovered::default(),
        };
        let mut page: Option<PageToken> = None;
        for _ in 0..MAX_PAGES {
            let mut answer = source.aggregator.users(context, page.as_ref()).await?;
            page = answer.next.take();
            self.take_page(&mut listing, answer).await?;
            if page.is_none() {
                self.look_for_missing(&mut listing).await?;
                listing.found.passed_over = listing.setbacks.count();
                return Ok((listing.found, listing.setbacks.message()));
            }
        }
        Err(CallError::Malformed { what: "the list of users", reason: format!("more than {MAX_PAGES} pages") }.into())
    }

    /// Stores one page of the list.
    async fn take_page(&self, listing: &mut Listing<'_>, page: UserPage) -> Result<(), Stop> {
        let (source, source_id) = (listing.source, listing.source.source_id);
        if let Some(error) = page.unreadable.first() {
            let count = u32::try_from(page.unreadable.len()).unwrap_or(u32::MAX);
            listing.setbacks.note(source, ("an entry", "of the list of users"), error, count);
            listing.is_anybody_nameless = true;
        }
        if source.status_schedule.is_some() {
            listing.found.users += u32::try_from(page.users.len()).unwrap_or(u32::MAX);
            listing.seen_users.extend(page.users.iter().map(|listed| listed.user.upstream_id.clone()));
            return Ok(self.put_users(source, page.users).await?);
        }
        let mut listed_links = Vec::new();
        for listed in page.users {
            let upstream_id = listed.user.upstream_id.clone();
            if self.store.read(move |txn| txn.is_forgotten(source_id, IdKind::User, &upstream_id)).await? {
                continue;
            }
            listing.found.users += 1;
            let user = listed.user.clone();
            for link in self.links_of(listing, listed).await? {
                listing.seen_links.insert(link.upstream_id.clone());
                listed_links.push(NewLink { user: user.clone(), link });
            }
        }
        listing.found.links += u32::try_from(listed_links.len()).unwrap_or(u32::MAX);
        listing.found.new_links += self.put_links(source, listed_links).await?;
        Ok(())
    }

    /// Asks after whom and what the whole listing did not show, as far as it can tell.
    async fn look_for_missing(&self, listing: &mut Listing<'_>) -> Result<(), Stop> {
        if listing.is_anybody_nameless {
            return Ok(());
        }
        if listing.source.status_schedule.is_some() {
            return Ok(self.look_for_missing_users(listing.source, &listing.seen_users).await?);
        }
        let mut missing: Vec<(String, String)> = listing
            .known
            .values()
            .filter(|known| !known.is_removed && !listing.seen_links.contains(&known.upstream_id))
            .filter(|known| !listing.unread_users.contains(&known.user))
            .map(|known| (known.upstream_id.clone(), known.user.clone()))
            .collect();
        missing.sort_unstable();
        listing.found.removed_links = self.ask_after(listing, missing).await?;
        Ok(())
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

    /// A user's links, with tokens if any of them is news; none where they cannot be listed.
    async fn links_of(&self, listing: &mut Listing<'_>, listed: ListedUser) -> Result<Vec<LinkRecord>, Stop> {
        let is_known = |link: &LinkRecord, suffix: &Option<String>| {
            listing
                .known
                .get(&link.upstream_id)
                .is_some_and(|k| link.is_removed || suffix.is_none() || (k.token_suffix == *suffix && !k.is_removed))
        };
        if let Some(links) = listed.links
            && links.iter().all(|(link, suffix)| is_known(link, suffix))
        {
            return Ok(links.into_iter().map(|(link, _)| link).collect());
        }
        let user = listed.user.upstream_id;
        match listing.source.aggregator.user_links(listing.context, &user).await {
            Ok(links) => {
                listing.setbacks.answered();
                Ok(links)
            }
            Err(error) => {
                listing.setbacks.pass_over(listing.source, ("the links of user", &user), error)?;
                listing.unread_users.insert(user);
                Ok(Vec::new())
            }
        }
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
    async fn ask_after(&self, listing: &mut Listing<'_>, missing: Vec<(String, String)>) -> Result<u32, Stop> {
        let source_id = listing.source.source_id;
        let mut removed = 0;
        for (upstream_id, user) in missing {
            let is_gone = match listing.source.aggregator.link(listing.context, &user, &upstream_id).await {
                Ok(Some(record)) => record.is_removed,
                Ok(None) => false,
                Err(CallError::Gone(_)) => true,
                Err(error) => {
                    listing.setbacks.pass_over(listing.source, ("link", &upstream_id), error)?;
                    continue;
                }
            };
            listing.setbacks.answered();
            if is_gone {
                let now = self.clock.now();
                let changed = self
                    .store
                    .write(move |txn| match txn.link_of_source(source_id, &upstream_id)? {
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
