//! The walks of a user's sync: whole histories where they are needed, then what changed, and the commit that ends it.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::accounts::{Places, put_balances};
use super::ending::Findings;
use super::{Member, UserSync};
use crate::aggregator::{CallError, Changes, PageToken, Stretch};
use crate::model::{AccountRecord, HoldingRecord};
use crate::store::{FeedPosition, SyncEnd};
use crate::sync::pull::{MAX_PAGES, MAX_WALKS};
use crate::sync::{Place, Reading, Step, Stop, Walk};

impl UserSync<'_> {
    /// Reads everything the aggregator holds for the user since the cursor, and stores it.
    pub(super) async fn pull(&mut self, feed: &Changes<'_>) -> Result<Step, Stop> {
        let listed = self.read_accounts(feed).await?;
        let holdings = self.read_holdings(feed, listed.as_deref()).await?;
        let mut places = self.places(listed.as_deref().unwrap_or_default()).await?;
        let mut rejected = HashMap::new();
        let is_full = self.is_full();
        if !is_full {
            for (upstream_id, place) in std::mem::take(&mut places.without_history) {
                let history = self.read_history(feed, &upstream_id, place).await?;
                places.hidden.extend(history.is_hidden.then_some(place.account_id));
                places.waiting.extend(history.is_open.then_some(place.account_id));
                *rejected.entry(place.link_id).or_default() += history.rejected;
            }
        }
        let began = Instant::now();
        let since = if is_full { None } else { self.since() };
        let walk = self.walk_until_whole(feed, since.map_or(Stretch::Whole, Stretch::Since), &places).await?;
        // A row may have been written while the walk went on, before the latest one that it saw.
        let walking_for = SignedDuration::try_from(began.elapsed()).unwrap_or_default();
        let seen_to = walk.latest_update().and_then(|at| at.checked_sub(walking_for).ok());
        let seen_to = if self.has_gone_back() { seen_to.min(self.tried_to()) } else { seen_to };
        // Nothing tells when a row that was set aside was written: the feed goes on where it began, until the next whole walk.
        // After that the accounts of such rows are read as a whole, until they can be taken.
        let is_passed = is_full || walk.rejected_rows() == 0;
        let updated_to = if is_passed { seen_to } else { self.oldest_cursor() };
        let is_settling = is_passed && !self.has_gone_back();
        self.complete(walk, Read { listed, holdings, places, rejected, updated_to, is_settling, is_full }).await
    }

    /// Where the feed of changes goes on: at the oldest cursor of the links, and the overlap before what is not settled.
    fn since(&self) -> Option<Timestamp> {
        let overlap = self.lead().source.overlap;
        let goes_on = |feed: FeedPosition| {
            let unsettled = feed.updated_to?.saturating_sub(overlap).unwrap_or(Timestamp::MIN);
            Some(feed.settled_to.map_or(unsettled, |settled| settled.max(unsettled)))
        };
        self.links.iter().filter_map(|link| goes_on(link.trip.cursor?.feed)).min()
    }

    /// Up to where everything has now been seen twice: the former end of a link's feed, if that was long enough ago.
    ///
    /// A row may appear in the feed a little after the instant it is stamped with; the overlap is how long that is believed
    /// to take at most. Only spans of our clock are compared with it, never our clock with theirs.
    fn settled_to(&self, link: &Member<'_>, now: Timestamp) -> Option<Timestamp> {
        let cursor = link.trip.cursor?;
        let overlap = SignedDuration::try_from(self.lead().source.overlap).unwrap_or(SignedDuration::MAX);
        let has_passed = now.duration_since(cursor.covered_to_at) >= overlap;
        cursor.feed.updated_to.filter(|_| has_passed)
    }

    /// Where the aggregator's clock stood when it last tried to read a bank.
    fn tried_to(&self) -> Option<Timestamp> {
        self.links.iter().filter_map(|link| link.listed.as_ref()?.tried_at).max()
    }

    fn oldest_cursor(&self) -> Option<Timestamp> {
        let cursors = self.links.iter().filter_map(|link| link.trip.cursor);
        cursors.filter_map(|cursor| cursor.feed.updated_to).min()
    }

    /// The securities, if any account that was just read can hold some.
    async fn read_holdings(
        &self,
        feed: &Changes<'_>,
        listed: Option<&[AccountRecord]>,
    ) -> Result<Option<Vec<HoldingRecord>>, Stop> {
        if !listed.unwrap_or_default().iter().any(|account| account.holds_securities) {
            return Ok(None);
        }
        let lead = self.lead();
        match feed.holdings(&lead.context, &lead.link.upstream_user_id).await {
            Ok(holdings) => Ok(Some(holdings)),
            Err(error @ CallError::RateLimited { .. }) => Err(error.into()),
            // Securities are a product of their own: a user without it is synced all the same, and asked for with the next news.
            Err(error) => {
                tracing::debug!(source = %lead.source.name, link.id = lead.link.link_id, %error, "no securities");
                Ok(None)
            }
        }
    }

    /// Reads one account's whole history; once more with the next sync where some of it could not be taken, because no feed
    /// tells it again.
    async fn read_history(&self, feed: &Changes<'_>, upstream_id: &str, place: Place) -> Result<History, Stop> {
        let by_upstream_id = HashMap::from([(upstream_id.to_owned(), Some(place))]);
        let places = Places { by_upstream_id, ..Places::default() };
        let mut walk = self.walk_until_whole(feed, Stretch::Account(upstream_id), &places).await?;
        let now = self.engine.clock.now();
        let is_hidden = walk.hidden_accounts().contains(&place.account_id);
        let rejected = walk.rejected_rows();
        let is_open = self
            .engine
            .store
            .write(move |txn| {
                let undecided = walk.settle(txn, &HashSet::from([place.account_id]), now)?;
                let is_open = is_hidden || rejected > 0 || !undecided.is_empty();
                txn.set_needs_history(place.account_id, is_open)?;
                Ok(is_open)
            })
            .await?;
        Ok(History { is_hidden, is_open, rejected })
    }

    /// Walks a stretch until it was seen as a whole.
    async fn walk_until_whole(&self, feed: &Changes<'_>, stretch: Stretch<'_>, places: &Places) -> Result<Walk, Stop> {
        for _ in 0..MAX_WALKS {
            let walk = self.walk(feed, stretch, places).await?;
            if walk.is_complete() {
                return Ok(walk);
            }
        }
        Err(Stop::Restless { walks: MAX_WALKS })
    }

    /// Reads a stretch from its first page to its last, storing each page as it comes.
    async fn walk(&self, feed: &Changes<'_>, stretch: Stretch<'_>, places: &Places) -> Result<Walk, Stop> {
        let lead = self.lead();
        let reading = match stretch {
            Stretch::Since(_) => Reading::Changes,
            Stretch::Whole => Reading::Whole,
            Stretch::Account(_) => Reading::Account,
        };
        let sync_id = lead.sync_id;
        let whose = Place { link_id: lead.link.link_id, account_id: 0, sync_id, has_history: lead.cursor.is_some() };
        let mut walk = Walk::new(whose, lead.began, reading, places.by_upstream_id.clone());
        walk = walk.beside_waiting(places.waiting.clone());
        if self.leaves_links_out {
            walk = walk.beside_other_links();
        }
        let mut token: Option<PageToken> = None;
        for _ in 0..MAX_PAGES {
            let user = &lead.link.upstream_user_id;
            let mut page = feed.transactions(&lead.context, user, stretch, token.as_ref()).await?;
            token = page.next.take();
            page.written_until(self.engine.clock.now());
            let requests = lead.requests();
            walk = self
                .engine
                .store
                .write(move |txn| {
                    walk.apply_page(txn, &page)?;
                    txn.count_sync(sync_id, &requests)?;
                    Ok(walk)
                })
                .await?;
            if token.is_none() {
                return Ok(walk);
            }
        }
        Err(CallError::Malformed { what: "transactions", reason: format!("more than {MAX_PAGES} pages") }.into())
    }

    /// Commits what only the complete walk can decide, the balances, the cursors and the ends, all in one transaction.
    async fn complete(&mut self, mut walk: Walk, read: Read) -> Result<Step, Stop> {
        let now = self.engine.clock.now();
        let seen_at = self.lead().began;
        let decided = self.decided(read.listed.as_deref().unwrap_or_default(), &read.places);
        let ends = self.ends(&walk, &read, now);
        let feeds: Vec<(i64, FeedPosition)> = self
            .links
            .iter()
            .map(|link| {
                let settled_to = self.settled_to(link, seen_at).filter(|_| read.is_settling);
                let feed = FeedPosition { updated_to: read.updated_to, settled_to };
                (link.trip.link.link_id, feed)
            })
            .collect();
        // What was hidden or not brought stays news until it can be read.
        let is_news = |link: &&Member<'_>| !link.is_readable() || read.places.unnamed.contains(&link.trip.link.link_id);
        let tried_at = |link: &Member<'_>| link.listed.as_ref().and_then(|listed| listed.tried_at);
        let marks: Vec<_> = self
            .links
            .iter()
            .filter(|link| !is_news(link))
            .map(|link| (link.trip.link.link_id, tried_at(link)))
            .collect();
        let step = self
            .commit_ends(ends, move |txn| {
                let undecided = walk.settle(txn, &decided, now)?;
                for account_id in walk.hidden_accounts() {
                    txn.set_needs_history(*account_id, true)?;
                }
                if read.is_full {
                    for account_id in decided.difference(walk.hidden_accounts()) {
                        let is_open = undecided.contains(account_id) || walk.incomplete_accounts().contains(account_id);
                        txn.set_needs_history(*account_id, is_open)?;
                    }
                }
                if let Some(listed) = &read.listed {
                    put_balances(txn, listed, &read.places.by_upstream_id, seen_at)?;
                }
                if let (Some(holdings), Some(listed)) = (&read.holdings, &read.listed) {
                    let can_hold = listed.iter().filter(|a| a.holds_securities && a.is_shared != Some(false));
                    let ids = can_hold.filter_map(|a| Some((a.upstream_id.clone(), walk.account_id(&a.upstream_id)?)));
                    txn.put_holdings(&ids.collect(), holdings, seen_at)?;
                }
                for (link_id, feed) in feeds {
                    txn.move_cursor(link_id, seen_at, feed, read.is_full)?;
                }
                for (link_id, tried_at) in marks.into_iter().filter(|_| read.listed.is_some()) {
                    txn.set_read_tried_at(link_id, tried_at)?;
                }
                Ok(())
            })
            .await?;
        Ok(step)
    }

    /// How each link's sync ends after a complete walk.
    fn ends(&self, walk: &Walk, read: &Read, now: Timestamp) -> Vec<SyncEnd> {
        self.links
            .iter()
            .map(|link| {
                let link_id = link.trip.link.link_id;
                let of_link = |account_id: &i64| {
                    let mut places = read.places.by_upstream_id.values().flatten();
                    places.any(|place| place.account_id == *account_id && place.link_id == link_id)
                };
                let reconcile = || link.trip.source.next_reconcile_at(link.trip.spread_key(), now);
                let hidden: HashSet<i64> = walk.hidden_accounts().union(&read.places.hidden).copied().collect();
                let findings = Findings {
                    rejected: walk.rejected_rows_of(link_id) + read.rejected.get(&link_id).unwrap_or(&0),
                    hidden_accounts: hidden.iter().filter(|id| of_link(id)).count()
                        + read.places.unnamed.iter().filter(|id| **id == link_id).count(),
                    unreached_accounts: read.places.unreached.iter().filter(|id| **id == link_id).count(),
                    reconcile_due_at: (read.is_full || link.trip.link.reconcile_due_at.is_none()).then(reconcile),
                };
                link.end(&findings, now)
            })
            .collect()
    }
}

/// What came of reading an account's whole history.
struct History {
    /// Rows of it came hidden.
    is_hidden: bool,
    /// It is to be read once more.
    is_open: bool,
    /// Rows of it that were set aside.
    rejected: usize,
}

/// What a pull read before its last walk.
struct Read {
    /// The accounts; `None`: they are as they were.
    listed: Option<Vec<AccountRecord>>,
    /// The securities; `None`: not asked for.
    holdings: Option<Vec<HoldingRecord>>,
    places: Places,
    /// Rows of whole histories that were set aside, by link.
    rejected: HashMap<i64, usize>,
    /// Where the feed of changes goes on next time.
    updated_to: Option<Timestamp>,
    /// Nothing speaks against believing that the feed before its former end is complete.
    is_settling: bool,
    is_full: bool,
}
