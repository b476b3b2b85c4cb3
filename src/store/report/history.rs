//! What a link's page tells of the past: balances, refreshes, events, rows set aside, and whether the balances add up.

use jiff::Timestamp;
use rusqlite::named_params;

use crate::store::{ReadTxn, StoreError, instant, ms};

/// One observation of a balance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalancePoint {
    /// When it was seen.
    pub observed_at: Timestamp,
    /// ISO 4217.
    pub currency: String,
    /// Booked balance, the sign as the bank gives it.
    pub current_minor: Option<i64>,
    /// What can be spent.
    pub available_minor: Option<i64>,
}

/// One refresh of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshRow {
    /// Why.
    pub cause: String,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// When it was over; `None`: not yet.
    pub finished_at: Option<Timestamp>,
    /// What became of it.
    pub outcome: String,
    /// The aggregator's last word.
    pub upstream_status: Option<String>,
    /// What it is billed as; `None`: not billed.
    pub price_unit: Option<String>,
    /// Rows that the pull after it added or changed.
    pub rows_gained: Option<u64>,
}

/// One event that an aggregator announced of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// Upstream's word.
    pub event_type: String,
    /// When it first came.
    pub received_at: Timestamp,
    /// How often it came.
    pub deliveries: u64,
    /// When it was handled; `None`: not yet.
    pub handled_at: Option<Timestamp>,
    /// `applied`, `stale` or `ignored`.
    pub outcome: Option<String>,
}

/// Two successive observations of a balance, and what the transactions between them say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReconciledPair {
    /// ISO 4217.
    pub currency: String,
    /// The earlier observation.
    pub from_at: Timestamp,
    /// The later one.
    pub to_at: Timestamp,
    /// By how much the balance differs.
    pub balance_difference_minor: i64,
    /// What the transactions between the two add up to.
    pub transactions_difference_minor: i64,
}

impl ReconciledPair {
    /// What no transaction explains; 0: all is explained.
    pub fn unexplained_minor(&self) -> i64 {
        self.balance_difference_minor.saturating_sub(self.transactions_difference_minor)
    }
}

/// What happened to the money of an account at one instant: a balance was seen, or a transaction came or went.
struct Moment {
    at: Timestamp,
    /// `None`: a transaction.
    balance_minor: Option<i64>,
    moved_minor: i64,
}

impl ReadTxn<'_> {
    /// An account's latest `limit` balances, the earliest first.
    pub fn latest_balances(&self, account_id: i64, limit: usize) -> Result<Vec<BalancePoint>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT observed_at, currency, current_minor, available_minor FROM balances
             WHERE account_id = :account_id ORDER BY observed_at DESC LIMIT :limit",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = select.query_map(named_params! { ":account_id": account_id, ":limit": limit }, |row| {
            Ok(BalancePoint {
                observed_at: instant(row.get("observed_at")?),
                currency: row.get("currency")?,
                current_minor: row.get("current_minor")?,
                available_minor: row.get("available_minor")?,
            })
        })?;
        let mut points: Vec<BalancePoint> = rows.collect::<Result<_, _>>()?;
        points.reverse();
        Ok(points)
    }

    /// The pairs of an account's latest `limit` balances that no transactions explain, as `v_reconciliation` has them, the
    /// latest first, and how many pairs were looked at.
    ///
    /// Read without the view, so that only the latest pairs are put together, however long the history is.
    pub fn unexplained_pairs(&self, account_id: i64, limit: usize) -> Result<(Vec<ReconciledPair>, usize), StoreError> {
        let mut kinds = self.txn.prepare_cached(
            "SELECT DISTINCT b.currency, c.updated_to_at IS NOT NULL AND b.available_minor IS NOT NULL AS is_instant
             FROM balances b JOIN accounts a ON a.account_id = b.account_id LEFT JOIN cursors c ON c.link_id = a.link_id
             WHERE b.account_id = :account_id ORDER BY 1, 2",
        )?;
        let kinds: Vec<(String, bool)> = kinds
            .query_map(named_params! { ":account_id": account_id }, |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        let (mut unexplained, mut looked_at) = (Vec::new(), 0);
        for (currency, is_instant) in kinds {
            let moments = self.moments(account_id, &currency, is_instant, limit)?;
            for pair in pairs(&moments, &currency) {
                looked_at += 1;
                if pair.unexplained_minor() != 0 {
                    unexplained.push(pair);
                }
            }
        }
        unexplained.sort_by_key(|pair| std::cmp::Reverse(pair.to_at));
        Ok((unexplained, looked_at))
    }

    /// What happened to an account's money since the earliest of its latest `limit` balances of a kind, the earliest first;
    /// transactions before the balance of the same instant.
    fn moments(
        &self,
        account_id: i64,
        currency: &str,
        is_instant: bool,
        limit: usize,
    ) -> Result<Vec<Moment>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "WITH observed AS (
                 SELECT b.observed_at AS at,
                        iif(:is_instant, b.available_minor,
                            iif(a.kind IN ('CREDIT_CARD', 'LOAN', 'LINE_OF_CREDIT', 'MORTGAGE'), -1, 1) * b.current_minor)
                            AS minor
                 FROM balances b JOIN accounts a ON a.account_id = b.account_id
                     LEFT JOIN cursors c ON c.link_id = a.link_id
                 WHERE b.account_id = :account_id AND b.currency = :currency
                   AND (c.updated_to_at IS NOT NULL AND b.available_minor IS NOT NULL) = :is_instant
                 ORDER BY b.observed_at DESC LIMIT :limit),
             seen AS (
                 SELECT iif(:is_instant, first_seen_at, posted_seen_at) AS seen_at, removed_at, amount_minor
                 FROM transactions WHERE account_id = :account_id AND currency = :currency),
             moments AS (
                 SELECT at, 1 AS is_balance, minor, 0 AS moved FROM observed WHERE minor IS NOT NULL
                 UNION ALL SELECT seen_at, 0, NULL, amount_minor FROM seen WHERE seen_at IS NOT NULL
                 UNION ALL SELECT removed_at, 0, NULL, -amount_minor FROM seen
                     WHERE seen_at IS NOT NULL AND removed_at IS NOT NULL)
             SELECT at, minor, moved FROM moments
             WHERE at >= (SELECT min(at) FROM observed) ORDER BY at, is_balance",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = select.query_map(
            named_params! {
                ":account_id": account_id, ":currency": currency, ":is_instant": is_instant, ":limit": limit,
            },
            |row| {
                Ok(Moment {
                    at: instant(row.get("at")?),
                    balance_minor: row.get("minor")?,
                    moved_minor: row.get("moved")?,
                })
            },
        )?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A link's refreshes since `since`, the latest first.
    pub fn refreshes_since(&self, link_id: i64, since: Timestamp, limit: usize) -> Result<Vec<RefreshRow>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT cause, requested_at, finished_at, outcome, upstream_status, price_unit, rows_gained FROM refreshes
             WHERE link_id = :link_id AND counts_from_at >= :since ORDER BY counts_from_at DESC LIMIT :limit",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let parameters = named_params! { ":link_id": link_id, ":since": ms(since), ":limit": limit };
        let rows = select.query_map(parameters, |row| {
            Ok(RefreshRow {
                cause: row.get("cause")?,
                requested_at: instant(row.get("requested_at")?),
                finished_at: row.get::<_, Option<i64>>("finished_at")?.map(instant),
                outcome: row.get("outcome")?,
                upstream_status: row.get("upstream_status")?,
                price_unit: row.get("price_unit")?,
                rows_gained: row.get("rows_gained")?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A link's latest events, the latest first.
    pub fn latest_events(&self, link_id: i64, limit: usize) -> Result<Vec<EventRow>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT event_type, received_at, deliveries, handled_at, outcome FROM webhook_events
             WHERE link_id = :link_id ORDER BY received_at DESC LIMIT :limit",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = select.query_map(named_params! { ":link_id": link_id, ":limit": limit }, |row| {
            Ok(EventRow {
                event_type: row.get("event_type")?,
                received_at: instant(row.get("received_at")?),
                deliveries: row.get("deliveries")?,
                handled_at: row.get::<_, Option<i64>>("handled_at")?.map(instant),
                outcome: row.get("outcome")?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A link's malformed rows that are set aside and not resolved.
    pub fn rejected_rows_of(&self, link_id: i64) -> Result<u64, StoreError> {
        let mut select = self
            .txn
            .prepare_cached("SELECT count(*) FROM rejected_rows WHERE link_id = :link_id AND resolved_at IS NULL")?;
        Ok(select.query_row(named_params! { ":link_id": link_id }, |row| row.get(0))?)
    }
}

/// Pairs of successive balances with the sum of what moved between them, the earliest first.
fn pairs(moments: &[Moment], currency: &str) -> Vec<ReconciledPair> {
    let mut pairs = Vec::new();
    let mut last: Option<(Timestamp, i64)> = None;
    let mut moved_minor = 0_i64;
    for moment in moments {
        moved_minor = moved_minor.saturating_add(moment.moved_minor);
        let Some(balance_minor) = moment.balance_minor else {
            continue;
        };
        if let Some((from_at, from_minor)) = last {
            pairs.push(ReconciledPair {
                currency: currency.to_owned(),
                from_at,
                to_at: moment.at,
                balance_difference_minor: balance_minor.saturating_sub(from_minor),
                transactions_difference_minor: moved_minor,
            });
        }
        last = Some((moment.at, balance_minor));
        moved_minor = 0;
    }
    pairs
}
