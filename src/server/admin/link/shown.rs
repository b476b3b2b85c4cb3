//! What the page of a link reads of the store.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use crate::limits::refreshes::RefreshPolicy;
use crate::server::admin::Admin;
use crate::store::{
    AccountSummary, BalancePoint, ContinuedAccount, EventRow, ReadTxn, ReconciledPair, RefreshRow, StoreError, SyncRow,
};
use crate::sync::explain::{Circumstances, Known};

/// Syncs shown.
const SYNCS: usize = 50;
/// Balances of an account drawn: more than a picture has room for.
const BALANCES: usize = 400;
/// Balances of an account that are reconciled.
const RECONCILED: usize = 100;
/// Refreshes shown are of so many days.
pub(super) const REFRESH_DAYS: i64 = 7;
const REFRESHES: usize = 50;
/// Events shown.
const EVENTS: usize = 20;

/// Everything that is shown of a link.
pub(super) struct Shown {
    pub(super) known: Known,
    pub(super) syncs: Vec<SyncRow>,
    pub(super) accounts: Vec<ShownAccount>,
    pub(super) continued: Vec<ContinuedAccount>,
    pub(super) refreshes: Vec<RefreshRow>,
    pub(super) events: Vec<EventRow>,
    pub(super) rejected_rows: u64,
}

/// One account.
pub(super) struct ShownAccount {
    pub(super) summary: AccountSummary,
    /// The earliest first.
    pub(super) balances: Vec<BalancePoint>,
    /// Pairs of balances that no transactions explain, the latest first.
    pub(super) unexplained: Vec<ReconciledPair>,
    /// Pairs that were looked at.
    pub(super) pairs: usize,
}

impl Shown {
    /// Reads everything in one consistent view.
    ///
    /// Errors: `Missing` where there is no such link.
    pub(super) async fn read(admin: &Admin, link_id: i64, now: Timestamp) -> Result<Self, StoreError> {
        let policies: HashMap<String, Option<RefreshPolicy>> = admin
            .served
            .engine
            .sources()
            .map(|source| (source.name.clone(), source.aggregator.refreshes().map(|_| source.refresh_policy)))
            .collect();
        let circumstances = move |source: &str| Circumstances {
            is_configured: policies.contains_key(source),
            refresh_policy: policies.get(source).copied().flatten(),
            daemon_runs: true,
        };
        admin.served.engine.store().read(move |txn| Self::look(txn, link_id, circumstances, now)).await
    }

    fn look(
        txn: &ReadTxn<'_>,
        link_id: i64,
        circumstances: impl FnOnce(&str) -> Circumstances,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let known = Known::read(txn, link_id, circumstances, now)?;
        let accounts = txn.account_summaries(link_id)?.into_iter().map(|summary| {
            let (unexplained, pairs) = txn.unexplained_pairs(summary.account_id, RECONCILED)?;
            Ok(ShownAccount {
                balances: txn.latest_balances(summary.account_id, BALANCES)?,
                unexplained,
                pairs,
                summary,
            })
        });
        let since = now.saturating_sub(SignedDuration::from_hours(24 * REFRESH_DAYS)).unwrap_or(now);
        Ok(Self {
            accounts: accounts.collect::<Result<_, StoreError>>()?,
            syncs: txn.latest_syncs(link_id, SYNCS)?,
            continued: txn.continued_accounts(link_id)?,
            refreshes: txn.refreshes_since(link_id, since, REFRESHES)?,
            events: txn.latest_events(link_id, EVENTS)?,
            rejected_rows: txn.rejected_rows_of(link_id)?,
            known,
        })
    }
}
