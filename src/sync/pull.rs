//! The pull of a sync: accounts, numbers, and a walk over the transactions.

use std::collections::HashSet;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::walk::Walk;
use super::{Step, Stop, Trip};
use crate::aggregator::{CallError, Feed, PageToken, Window, Windows};
use crate::model::AccountRecord;
use crate::store::{FeedPosition, Phase, StoreError};

/// How often a list that changes under our eyes is read before the sync gives up.
pub(super) const MAX_WALKS: u32 = 3;
/// More pages than any history has: a list that goes on is a loop.
pub(super) const MAX_PAGES: u32 = 20_000;
/// Account numbers hardly ever change.
const NUMBERS_EVERY: SignedDuration = SignedDuration::from_hours(23);
/// Reached back beyond the oldest unsettled row, so that a row on the edge is surely asked for.
const UNSETTLED_MARGIN: SignedDuration = SignedDuration::from_hours(24);

impl Trip<'_> {
    /// Pulls, and keeps with the sync what became of its refresh.
    pub(super) async fn pull_noting(&mut self, refreshed: &str) -> Result<Step, Stop> {
        self.refreshed = Some(refreshed.to_owned());
        self.pull().await
    }

    /// Reads everything the aggregator holds for the link since the cursor, and stores it.
    pub(super) async fn pull(&mut self) -> Result<Step, Stop> {
        let feed = match self.source.aggregator.feed() {
            Feed::Windows(feed) => feed,
            // Read by customer, all links together, and never by link.
            Feed::Changes(_) => return Ok(Step::Nothing),
        };
        self.begin_pull().await?;
        let mut listed = self.read_accounts(&feed).await?;
        let mut earlier: Option<Walk> = None;
        for _ in 0..MAX_WALKS {
            let window = self.window().await?;
            let Some(walk) = self.walk(&feed, window, &mut listed).await? else { continue };
            if walk.is_complete() {
                return self.completed(walk, window, listed).await;
            }
            if earlier.as_ref().is_some_and(|earlier| walk.saw_the_same_as(earlier)) {
                return Err(Stop::Inconsistent { seen: walk.seen_rows() });
            }
            earlier = Some(walk);
        }
        Err(Stop::Restless { walks: MAX_WALKS })
    }

    /// Says in the store that the refresh is over and the pull is what comes next, in one commit.
    async fn begin_pull(&mut self) -> Result<(), Stop> {
        let (link_id, causes, is_full, began, now) =
            (self.link.link_id, self.causes(), self.is_full, self.began, self.now());
        let (open, refreshed) = (self.link.sync_id, self.refreshed.take());
        let sync_id = self
            .store()
            .write(move |txn| {
                let sync_id = match open {
                    Some(sync_id) => sync_id,
                    None => txn.begin_sync(link_id, causes, is_full, began)?,
                };
                if let Some(word) = refreshed {
                    txn.note_refreshed(sync_id, &word)?;
                }
                txn.set_next(link_id, Phase::Pulling, now)?;
                Ok(sync_id)
            })
            .await?;
        self.sync_id = sync_id;
        self.link.sync_id = Some(sync_id);
        self.link.phase = Phase::Pulling;
        Ok(())
    }

    /// Accounts with balances; once a day, and where one is new, their numbers too.
    async fn read_accounts(&mut self, feed: &Windows<'_>) -> Result<Vec<AccountRecord>, Stop> {
        let now = self.now();
        let is_due = self.link.numbers_checked_at.is_none_or(|at| now.duration_since(at) >= NUMBERS_EVERY);
        let with_numbers = if is_due { self.read_numbers(feed).await? } else { None };
        let accounts = match with_numbers {
            Some(accounts) => accounts,
            None => feed.accounts(&self.context, &self.link.upstream_id, false).await?,
        };
        if self.reach_back_for(&accounts).await? && !is_due {
            let mut with_numbers = self.read_numbers(feed).await?.unwrap_or_default();
            add_others(&mut with_numbers, accounts);
            return Ok(with_numbers);
        }
        Ok(accounts)
    }

    /// Accounts with balances and numbers, in one request unless that leaves accounts out; `None`: there are no numbers.
    async fn read_numbers(&mut self, feed: &Windows<'_>) -> Result<Option<Vec<AccountRecord>>, Stop> {
        let upstream_id = self.link.upstream_id.clone();
        match feed.accounts(&self.context, &upstream_id, true).await {
            Ok(mut accounts) => {
                self.numbers_checked = true;
                if self.leaves_out_known(&accounts).await? {
                    // An account may have no numbers: that it is gone, only the list of accounts says.
                    add_others(&mut accounts, feed.accounts(&self.context, &upstream_id, false).await?);
                }
                Ok(Some(accounts))
            }
            // What stops every request stops this sync.
            Err(error @ (CallError::RateLimited { .. } | CallError::Unauthorized(_))) => Err(error.into()),
            // Numbers are a product of their own: a link without them is synced all the same, and asked again tomorrow.
            Err(_) => {
                self.numbers_checked = true;
                Ok(None)
            }
        }
    }

    /// Whether an account that was there last time is not among these.
    async fn leaves_out_known(&self, accounts: &[AccountRecord]) -> Result<bool, Stop> {
        Ok(self.present_accounts().await?.iter().any(|upstream_id| !shows(accounts, upstream_id)))
    }

    /// Whether an account was not there last time. It has rows from before the window that were never read, so the whole
    /// history is.
    ///
    /// Noted before a page is stored, because with that the account is known: a crash in between must not lose what is due.
    async fn reach_back_for(&mut self, listed: &[AccountRecord]) -> Result<bool, Stop> {
        let present = self.present_accounts().await?;
        if listed.iter().all(|account| present.contains(&account.upstream_id)) {
            return Ok(false);
        }
        if !self.is_full {
            let (link_id, sync_id) = (self.link.link_id, self.sync_id);
            self.store().write(move |txn| txn.widen_sync(link_id, sync_id)).await?;
            self.is_full = true;
        }
        Ok(true)
    }

    /// Upstream ids of the accounts that the last complete pull showed.
    async fn present_accounts(&self) -> Result<HashSet<String>, StoreError> {
        let link_id = self.link.link_id;
        self.store().read(move |txn| txn.present_accounts(link_id)).await
    }

    /// From the oldest of: cursor minus overlap, newest row minus overlap, and what is not settled yet. The whole history where
    /// that is due.
    ///
    /// A bank may go unread for longer than the overlap while we read what the aggregator had: then what comes at last is
    /// older than the overlap, and nothing between it and the newest row is stored. Where the bank was read and nothing came,
    /// the longer window is as empty.
    async fn window(&self) -> Result<Window, Stop> {
        let Some(cursor) = self.cursor.filter(|_| !self.is_full) else {
            return Ok(Window { from: None });
        };
        let link_id = self.link.link_id;
        let (unsettled, newest) = self
            .store()
            .read(move |txn| {
                // Newer ones are of walks that were cut short, and say nothing of what lies before them.
                let newest = txn.newest_row_on(link_id, cursor.covered_to_at)?;
                Ok((txn.oldest_unsettled_at(link_id)?, newest))
            })
            .await?;
        let Some(after_newest) = newest.and_then(|day| day.tomorrow().ok()?.to_zoned(TimeZone::UTC).ok()) else {
            return Ok(Window { from: None });
        };
        // A cursor in the future was written by a clock that was ahead; from there on nothing would ever be asked for.
        let covered_to = cursor.covered_to_at.min(self.began).min(after_newest.timestamp());
        let overlapping = covered_to.saturating_sub(self.source.overlap).unwrap_or(Timestamp::MIN);
        let unsettled = unsettled.map(|at| at.saturating_sub(UNSETTLED_MARGIN).unwrap_or(Timestamp::MIN));
        let from = unsettled.map_or(overlapping, |at| at.min(overlapping));
        // Whole seconds: what the aggregator is asked for is exactly what absences are judged by.
        Ok(Window { from: Timestamp::from_second(from.as_second()).ok() })
    }

    /// Reads the list from its first page to its last, storing each page as it comes. Accounts that its first page shows
    /// are listed from then on; `None`: because of one of them more is to be read than was asked for.
    async fn walk(
        &mut self,
        feed: &Windows<'_>,
        window: Window,
        listed: &mut Vec<AccountRecord>,
    ) -> Result<Option<Walk>, Stop> {
        let has_history = self.cursor.is_some();
        let mut walk = Walk::over_link(self.link.link_id, self.sync_id, self.began, window, has_history);
        let mut token: Option<PageToken> = None;
        for number in 0..MAX_PAGES {
            let mut page = feed.transactions(&self.context, &self.link.upstream_id, window, token.as_ref()).await?;
            token = page.next.take();
            if number == 0 {
                // The dedicated list is fresher; what only this answer shows is there too.
                page.accounts.retain(|account| !shows(listed, &account.upstream_id));
                let has_new = !page.accounts.is_empty() && self.reach_back_for(&page.accounts).await?;
                listed.append(&mut page.accounts);
                if has_new && window.from.is_some() {
                    return Ok(None);
                }
                page.accounts.clone_from(listed);
            } else {
                // What comes while the list is read is listed when it is read anew.
                page.accounts.clear();
            }
            let (sync_id, requests) = (self.sync_id, self.requests());
            walk = self
                .store()
                .write(move |txn| {
                    walk.apply_page(txn, &page)?;
                    txn.count_sync(sync_id, &requests)?;
                    Ok(walk)
                })
                .await?;
            if token.is_none() {
                return Ok(Some(walk));
            }
        }
        Err(CallError::Malformed { what: "transactions", reason: format!("more than {MAX_PAGES} pages") }.into())
    }

    /// Commits what only a complete walk can decide, the cursor and the end of the sync, all in one transaction.
    async fn completed(&mut self, mut walk: Walk, window: Window, listed: Vec<AccountRecord>) -> Result<Step, Stop> {
        let now = self.now();
        let rejected = walk.rejected_rows();
        let mut end = self.end_of_complete_walk(rejected, now);
        let (link_id, sync_id, seen_at, requests) = (self.link.link_id, self.sync_id, self.began, self.requests());
        if self.is_full {
            end.reconcile_due_at = Some(self.source.next_reconcile_at(self.spread_key(), now));
        }
        let stored = end.clone();
        let numbers_checked = self.numbers_checked;
        let ended = self
            .store()
            .write(move |txn| {
                let decided = listed.iter().filter_map(|account| walk.account_id(&account.upstream_id)).collect();
                walk.settle(txn, &decided, now)?;
                for account in &listed {
                    if let (Some(balance), Some(id)) = (&account.balance, walk.account_id(&account.upstream_id)) {
                        txn.put_balance(id, balance, seen_at, sync_id)?;
                    }
                }
                let listed: Vec<String> = listed.into_iter().map(|account| account.upstream_id).collect();
                txn.mark_missing_accounts(link_id, &listed, seen_at)?;
                txn.move_cursor(link_id, seen_at, FeedPosition::default(), window.from.is_none())?;
                txn.count_sync(sync_id, &requests)?;
                if numbers_checked {
                    txn.numbers_checked(link_id, now)?;
                }
                let ended = txn.end_sync(link_id, sync_id, &stored, now)?;
                txn.refresh_gained(link_id, ended.counts.rows_changed())?;
                Ok(ended)
            })
            .await?;
        Ok(self.report(&end, ended))
    }
}

/// Adds those of `more` that are not among `accounts`.
fn add_others(accounts: &mut Vec<AccountRecord>, mut more: Vec<AccountRecord>) {
    more.retain(|account| !shows(accounts, &account.upstream_id));
    accounts.append(&mut more);
}

fn shows(accounts: &[AccountRecord], upstream_id: &str) -> bool {
    accounts.iter().any(|account| account.upstream_id == upstream_id)
}
