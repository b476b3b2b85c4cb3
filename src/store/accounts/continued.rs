//! Accounts that go on under another upstream id, because the customer connected the bank anew.
//!
//! The full account number proves that two accounts are one, and by that, that two links are the same connection: accounts of
//! theirs that have no number, such as cards, are then told by kind, name and currency. The stored account moves to the new link with all its rows;
//! the former id stays in `account_aliases`, and what still comes under it is left out. [`WriteTxn::split_account`] undoes it.

use std::collections::HashSet;

use jiff::Timestamp;
use jiff::civil::Date;
use rusqlite::named_params;

use crate::model::{AccountNumber, AccountRecord};
use crate::store::{ReadTxn, StoreError, WriteTxn, ms};

/// The network of numbers that name one account all over the world.
const IBAN: &str = "IBAN";

/// An account found to go on under a new id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Continued {
    /// The account, ours.
    pub account_id: i64,
    /// The link it had.
    pub former_link_id: i64,
    /// Its id there.
    pub former_upstream_id: String,
}

impl ReadTxn<'_> {
    /// Upstream ids of a customer's accounts that go on under another id, with the link they had.
    pub fn superseded_accounts(&self, user_id: i64) -> Result<HashSet<(i64, String)>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT x.link_id, x.upstream_id FROM account_aliases x JOIN links l ON l.link_id = x.link_id
             WHERE l.user_id = :user_id AND x.split_at IS NULL
               AND NOT EXISTS (SELECT 1 FROM accounts a WHERE a.link_id = x.link_id AND a.upstream_id = x.upstream_id)",
        )?;
        let rows = select.query_map(named_params! { ":user_id": user_id }, |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Live rows of an account that goes on under another id which have not come under that id yet, and before which day it may
    /// still show them: that of the oldest row that came under it.
    ///
    /// Shape: our ids; none for an account that has an id it had before, under which they may never come again.
    pub fn rows_under_former_id(&self, account_id: i64) -> Result<(Date, Vec<i64>), StoreError> {
        let mut select = self.txn.prepare_cached(
            "WITH joined AS (
                 SELECT max(x.matched_at) AS at FROM account_aliases x JOIN accounts a ON a.account_id = x.account_id
                 WHERE x.account_id = :account_id AND x.split_at IS NULL
                   AND NOT EXISTS (SELECT 1 FROM account_aliases y
                                   WHERE y.account_id = a.account_id AND y.upstream_id = a.upstream_id)
             )
             SELECT t.transaction_id, t.transacted_on,
                    t.first_seen_at >= joined.at OR EXISTS (SELECT 1 FROM transaction_aliases x
                        WHERE x.transaction_id = t.transaction_id AND x.matched_at >= joined.at) AS has_come
             FROM joined JOIN transactions t ON t.account_id = :account_id
             WHERE joined.at IS NOT NULL AND t.removed_at IS NULL",
        )?;
        let mut rows = select.query(named_params! { ":account_id": account_id })?;
        let (mut reach, mut ids) = (Date::MAX, Vec::new());
        while let Some(row) = rows.next()? {
            if row.get("has_come")? {
                let day: String = row.get("transacted_on")?;
                let parsed: Result<Date, _> = day.parse();
                let day =
                    parsed.map_err(|_| StoreError::UnknownWord { column: "transactions.transacted_on", value: day })?;
                reach = reach.min(day);
            } else {
                ids.push(row.get("transaction_id")?);
            }
        }
        Ok((reach, ids))
    }

    /// The stored account of the same customer that has the number of `account`, if there is exactly one elsewhere.
    fn same_account(&self, link_id: i64, account: &AccountRecord) -> Result<Option<Continued>, StoreError> {
        let Some(number) = account.numbers.iter().flatten().find(|number| number.network == IBAN) else {
            return self.sibling(link_id, account);
        };
        let mut select = self.txn.prepare_cached(
            "SELECT a.account_id, a.link_id, a.upstream_id FROM accounts a JOIN links l ON l.link_id = a.link_id
             WHERE l.user_id = (SELECT user_id FROM links WHERE link_id = :link_id) AND a.link_id <> :link_id
               AND (a.currency IS NULL OR :currency IS NULL OR a.currency = :currency)
               AND EXISTS (SELECT 1 FROM account_numbers n WHERE n.account_id = a.account_id AND n.network = 'IBAN')
               AND NOT EXISTS (SELECT 1 FROM account_aliases x WHERE x.split_at IS NOT NULL
                               AND a.upstream_id IN (x.upstream_id, x.new_upstream_id)
                               AND :upstream_id IN (x.upstream_id, x.new_upstream_id))",
        )?;
        let currency = account.currency.map(|currency| currency.as_str().to_owned());
        let mut rows = select.query(named_params! {
            ":link_id": link_id, ":currency": currency, ":upstream_id": account.upstream_id,
        })?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let account_id = row.get("account_id")?;
            if self.account_numbers(account_id)?.iter().any(|stored| is_same_number(stored, number)) {
                let (former_link_id, former_upstream_id) = (row.get("link_id")?, row.get("upstream_id")?);
                found.push(Continued { account_id, former_link_id, former_upstream_id });
            }
        }
        Ok(if found.len() == 1 { found.pop() } else { None })
    }

    /// The stored account without a number that `account` is, if a number joined other accounts of their links and it is the
    /// only one of its kind, name and currency there.
    fn sibling(&self, link_id: i64, account: &AccountRecord) -> Result<Option<Continued>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT a.account_id, a.link_id, a.upstream_id FROM accounts a
             WHERE a.link_id <> :link_id AND a.kind = :kind AND a.name = :name AND a.currency = :currency
               AND a.link_id IN (SELECT x.link_id FROM account_aliases x JOIN accounts s ON s.account_id = x.account_id
                                 WHERE s.link_id = :link_id AND x.rule = 'iban' AND x.split_at IS NULL)
               AND NOT EXISTS (SELECT 1 FROM account_numbers n WHERE n.account_id = a.account_id AND n.network = 'IBAN')
               AND NOT EXISTS (SELECT 1 FROM account_aliases x WHERE x.split_at IS NOT NULL
                               AND a.upstream_id IN (x.upstream_id, x.new_upstream_id)
                               AND :upstream_id IN (x.upstream_id, x.new_upstream_id))",
        )?;
        let currency = account.currency.map(|currency| currency.as_str().to_owned());
        let rows = select.query_map(
            named_params! {
                ":link_id": link_id, ":kind": account.kind, ":name": account.name, ":currency": currency,
                ":upstream_id": account.upstream_id,
            },
            |row| {
                Ok(Continued {
                    account_id: row.get("account_id")?,
                    former_link_id: row.get("link_id")?,
                    former_upstream_id: row.get("upstream_id")?,
                })
            },
        )?;
        let mut found = rows.collect::<Result<Vec<_>, _>>()?;
        Ok(if found.len() == 1 { found.pop() } else { None })
    }

    /// Whether no row and no number of an account was ever seen, as where it was hidden or not shared from the beginning.
    fn is_bare(&self, account_id: i64) -> Result<bool, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT NOT EXISTS (SELECT 1 FROM transactions WHERE account_id = :account_id)
                AND NOT EXISTS (SELECT 1 FROM account_numbers WHERE account_id = :account_id)
                AND NOT EXISTS (SELECT 1 FROM holdings WHERE account_id = :account_id)
                AND NOT EXISTS (SELECT 1 FROM account_aliases WHERE account_id = :account_id)",
        )?;
        Ok(select.query_row(named_params! { ":account_id": account_id }, |row| row.get(0))?)
    }

    /// Whether an account can no longer be read under its present id.
    fn is_orphaned(&self, account_id: i64) -> Result<bool, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT l.removed_at IS NOT NULL OR a.missing_at IS NOT NULL
             FROM accounts a JOIN links l ON l.link_id = a.link_id WHERE a.account_id = :account_id",
        )?;
        Ok(select.query_row(named_params! { ":account_id": account_id }, |row| row.get(0))?)
    }
}

fn is_same_number(stored: &AccountNumber, number: &AccountNumber) -> bool {
    let plain = |number: &AccountNumber| number.account_number.as_ref().map(|n| n.expose().replace(' ', ""));
    stored.network == number.network && plain(stored).is_some() && plain(stored) == plain(number)
}

impl WriteTxn<'_> {
    /// Moves a stored account to `link_id` if `account`, which is new there or showed no number and no rows yet, is the same
    /// one.
    ///
    /// Shape: what was found; `None`: it is another account, or goes on under another id and is to be left out.
    pub fn continue_account(
        &self,
        link_id: i64,
        account: &AccountRecord,
        sync_id: i64,
        now: Timestamp,
    ) -> Result<Option<Continued>, StoreError> {
        let stored = self.account_ids(link_id)?.get(&account.upstream_id).copied();
        if let Some(stored) = stored
            && !self.is_bare(stored)?
        {
            return Ok(None);
        }
        let Some(found) = self.same_account(link_id, account)? else {
            return Ok(None);
        };
        let is_superseded = self.is_superseded(link_id, &account.upstream_id)?;
        if is_superseded && !self.is_orphaned(found.account_id)? {
            return Ok(None);
        }
        let number = account.numbers.iter().flatten().find(|number| number.network == IBAN);
        let (rule, evidence) = if let Some(number) = number.and_then(|number| number.account_number.as_ref()) {
            ("iban", format!("IBAN ending in {}", last_four(number.expose())))
        } else {
            let (kind, name) = (account.kind.as_deref(), account.name.as_deref());
            ("sibling", format!("{} {:?}", kind.unwrap_or_default(), name.unwrap_or_default()))
        };
        self.execute(
            "INSERT INTO account_aliases (account_id, link_id, upstream_id, new_upstream_id, rule, evidence, matched_at, sync_id)
             VALUES (:account_id, :link_id, :upstream_id, :new_upstream_id, :rule, :evidence, :now, :sync_id)
             ON CONFLICT (link_id, upstream_id, new_upstream_id) DO UPDATE SET matched_at = excluded.matched_at,
                 sync_id = excluded.sync_id",
            named_params! {
                ":account_id": found.account_id, ":link_id": found.former_link_id,
                ":upstream_id": found.former_upstream_id, ":new_upstream_id": account.upstream_id,
                ":rule": rule, ":evidence": evidence, ":now": ms(now), ":sync_id": sync_id,
            },
        )?;
        if let Some(stored) = stored {
            self.drop_bare_account(stored)?;
        }
        self.move_account(found.account_id, link_id, &account.upstream_id, now)?;
        Ok(Some(found))
    }

    /// Forgets an account of which nothing but balances was seen: it is another one under a new id.
    fn drop_bare_account(&self, account_id: i64) -> Result<(), StoreError> {
        for sql in [
            "DELETE FROM balances WHERE account_id = :account_id",
            "DELETE FROM loans WHERE account_id = :account_id",
            "DELETE FROM accounts WHERE account_id = :account_id",
        ] {
            self.execute(sql, named_params! { ":account_id": account_id })?;
        }
        Ok(())
    }

    /// Whether an account goes on under another id.
    fn is_superseded(&self, link_id: i64, upstream_id: &str) -> Result<bool, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM account_aliases
                            WHERE link_id = :link_id AND upstream_id = :upstream_id AND split_at IS NULL)",
        )?;
        Ok(select.query_row(named_params! { ":link_id": link_id, ":upstream_id": upstream_id }, |row| row.get(0))?)
    }

    /// Gives an account and its rows another link, and has its history read there.
    pub(super) fn move_account(
        &self,
        account_id: i64,
        link_id: i64,
        upstream_id: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE accounts SET link_id = :link_id, upstream_id = :upstream_id, missing_at = NULL, needs_history = 1,
                 changed_at = :now
             WHERE account_id = :account_id",
            named_params! {
                ":link_id": link_id, ":upstream_id": upstream_id, ":now": ms(now), ":account_id": account_id,
            },
        )?;
        for sql in [
            "UPDATE transactions SET link_id = :link_id WHERE account_id = :account_id AND link_id <> :link_id",
            "UPDATE transaction_aliases SET link_id = :link_id
             WHERE transaction_id IN (SELECT transaction_id FROM transactions WHERE account_id = :account_id)",
        ] {
            self.execute(sql, named_params! { ":link_id": link_id, ":account_id": account_id })?;
        }
        Ok(())
    }
}

fn last_four(number: &str) -> String {
    number.chars().rev().filter(char::is_ascii_alphanumeric).take(4).collect::<Vec<_>>().into_iter().rev().collect()
}
