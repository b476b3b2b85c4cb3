//! The accounts of a user: read where the aggregator has been at the bank since, stored with their links, and turned into the
//! places where rows go.

use std::collections::{HashMap, HashSet};

use super::{Member, UserSync};
use crate::aggregator::Changes;
use crate::model::AccountRecord;
use crate::store::{StoreError, WriteTxn};
use crate::sync::{Place, Stop};

/// Where rows go, and whose history must be read as a whole.
#[derive(Default)]
pub(super) struct Places {
    /// By upstream account id; `None`: rows of it are left out, because its link is paused or the account goes on elsewhere.
    pub(super) by_upstream_id: HashMap<String, Option<Place>>,
    /// Upstream id and place of accounts whose history is to be read by itself.
    pub(super) without_history: Vec<(String, Place)>,
    /// Accounts whose whole history is to be read once more, or once their link can be read.
    pub(super) waiting: HashSet<i64>,
    /// Those of them whose history came with hidden rows.
    pub(super) hidden: HashSet<i64>,
    /// The links of accounts that nobody can name yet and whose rows are left out until then, once for each: such an account may
    /// be a stored one of another link.
    pub(super) unnamed: Vec<i64>,
    /// The links of accounts that the last try at their bank did not reach, once for each.
    pub(super) unreached: Vec<i64>,
}

impl UserSync<'_> {
    /// Reads the accounts if the aggregator has been at the bank since they were stored; `None`: they are as they were.
    pub(super) async fn read_accounts(&mut self, feed: &Changes<'_>) -> Result<Option<Vec<AccountRecord>>, Stop> {
        let is_asked = self.lead().cause == crate::model::Cause::Person;
        if !is_asked && !self.is_full() && !self.links.iter().any(Member::has_news) {
            return Ok(None);
        }
        let lead = self.lead();
        let mut accounts = feed.accounts(&lead.context, &lead.link.upstream_user_id).await?;
        let tried_at: HashMap<&str, _> = self
            .links
            .iter()
            .map(|link| (link.trip.link.upstream_id.as_str(), link.listed.as_ref().and_then(|listed| listed.tried_at)))
            .collect();
        for account in &mut accounts {
            let link = account.upstream_link_id.as_deref().and_then(|id| tried_at.get(id).copied().flatten());
            // The aggregator's word for it is tied to these two instants; its word may lag behind them.
            if let (Some(read), Some(tried)) = (account.refreshed_at, link) {
                account.is_refreshed = Some(read >= tried);
            }
        }
        self.store_accounts(accounts.clone()).await?;
        Ok(Some(accounts))
    }

    async fn store_accounts(&self, accounts: Vec<AccountRecord>) -> Result<(), StoreError> {
        let user_id = self.lead().link.user_id;
        let links: Vec<(String, i64, i64)> = self
            .links
            .iter()
            .map(|link| (link.trip.link.upstream_id.clone(), link.trip.link.link_id, link.trip.sync_id))
            .collect();
        let now = self.lead().began;
        let source = self.lead().source.name.clone();
        self.engine
            .store
            .write(move |txn| {
                for (upstream_link_id, link_id, sync_id) in &links {
                    let of_link =
                        |account: &&AccountRecord| account.upstream_link_id.as_ref() == Some(upstream_link_id);
                    for account in continuable(accounts.iter().filter(of_link).collect()) {
                        if let Some(former) = txn.continue_account(*link_id, account, *sync_id, now)? {
                            tracing::info!(
                                source = %source, link.id = link_id, account.id = former.account_id,
                                former_link.id = former.former_link_id,
                                "an account goes on under a new link of the same customer"
                            );
                        }
                    }
                    let superseded = txn.superseded_accounts(user_id)?;
                    let of_link: Vec<AccountRecord> = accounts
                        .iter()
                        .filter(of_link)
                        .filter(|account| !superseded.contains(&(*link_id, account.upstream_id.clone())))
                        .cloned()
                        .collect();
                    txn.put_accounts(*link_id, &of_link, true, now)?;
                    let listed: Vec<String> = of_link.into_iter().map(|account| account.upstream_id).collect();
                    txn.mark_missing_accounts(*link_id, &listed, now)?;
                }
                Ok(())
            })
            .await
    }

    /// Where the rows of each stored account of the user go.
    pub(super) async fn places(&self, listed: &[AccountRecord]) -> Result<Places, StoreError> {
        let user_id = self.lead().link.user_id;
        let (accounts, superseded) = self
            .engine
            .store
            .read(move |txn| Ok((txn.accounts_of_user(user_id)?, txn.superseded_accounts(user_id)?)))
            .await?;
        let hidden: HashSet<&str> =
            listed.iter().filter(|account| account.is_hidden).map(|account| account.upstream_id.as_str()).collect();
        let mut places = Places::default();
        for account in accounts {
            let link = self.links.iter().find(|link| link.trip.link.link_id == account.link_id);
            places.unreached.extend(account.is_unreached.then_some(account.link_id));
            let place = link.map(|link| Place {
                link_id: account.link_id,
                account_id: account.account_id,
                sync_id: link.trip.sync_id,
                has_history: link.trip.cursor.is_some() || account.is_continued,
            });
            if account.needs_history && !account.is_continued && hidden.contains(account.upstream_id.as_str()) {
                places.unnamed.push(account.link_id);
                places.by_upstream_id.insert(account.upstream_id, None);
                continue;
            }
            if let Some(place) = place.filter(|_| account.needs_history) {
                if link.is_some_and(Member::is_readable) {
                    places.without_history.push((account.upstream_id.clone(), place));
                } else {
                    places.waiting.insert(place.account_id);
                }
            }
            places.by_upstream_id.insert(account.upstream_id, place);
        }
        for (_, upstream_id) in superseded {
            places.by_upstream_id.insert(upstream_id, None);
        }
        Ok(places)
    }

    /// The accounts that a complete list shows, of links whose data flows: only their rows can be absent.
    pub(super) fn decided(&self, accounts: &[AccountRecord], places: &Places) -> HashSet<i64> {
        let readable: HashSet<i64> =
            self.links.iter().filter(|link| link.is_readable()).map(|link| link.trip.link.link_id).collect();
        accounts
            .iter()
            .filter(|account| account.is_shared != Some(false))
            .filter_map(|account| places.by_upstream_id.get(&account.upstream_id).copied().flatten())
            .filter(|place| readable.contains(&place.link_id))
            .map(|place| place.account_id)
            .collect()
    }
}

/// The accounts of a link that may be stored ones under another id: those with numbers first, because they prove whose
/// connection it is; of those without, the ones that nothing else in the link resembles.
fn continuable(accounts: Vec<&AccountRecord>) -> Vec<&AccountRecord> {
    let has_number = |account: &AccountRecord| account.numbers.as_ref().is_some_and(|numbers| !numbers.is_empty());
    let resembles = |a: &AccountRecord, b: &AccountRecord| {
        !has_number(b) && a.kind == b.kind && a.name == b.name && a.currency == b.currency
    };
    let (mut first, mut then): (Vec<_>, Vec<_>) = accounts.into_iter().partition(|account| has_number(account));
    let all = then.clone();
    then.retain(|account| all.iter().filter(|other| resembles(account, other)).count() == 1);
    first.append(&mut then);
    first
}

/// Stores the balances and loan terms that a list of accounts shows.
pub(super) fn put_balances(
    txn: &WriteTxn<'_>,
    accounts: &[AccountRecord],
    places: &HashMap<String, Option<Place>>,
    seen_at: jiff::Timestamp,
) -> Result<(), StoreError> {
    for account in accounts {
        let Some(place) = places.get(&account.upstream_id).copied().flatten() else { continue };
        if let Some(balance) = &account.balance {
            txn.put_balance(place.account_id, balance, seen_at, place.sync_id)?;
        }
        if let Some(loan) = &account.loan {
            txn.put_loan(place.account_id, loan, seen_at)?;
        }
    }
    Ok(())
}
