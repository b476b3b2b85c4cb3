//! Accounts, their numbers and their balances.

mod continued;
mod split;

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, named_params};

use super::{ReadTxn, StoreError, WriteTxn, ms};
use crate::model::{AccountNumber, AccountRecord, BalanceRecord};
use crate::money::Currency;
use crate::secret::{Place, Secret};

pub use continued::Continued;

impl ReadTxn<'_> {
    /// A link's accounts: our id by upstream id.
    pub fn account_ids(&self, link_id: i64) -> Result<HashMap<String, i64>, StoreError> {
        let mut select =
            self.txn.prepare_cached("SELECT upstream_id, account_id FROM accounts WHERE link_id = :link_id")?;
        let rows = select.query_map(named_params! { ":link_id": link_id }, |row| {
            Ok((row.get("upstream_id")?, row.get("account_id")?))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Upstream ids of those of a link's accounts that were listed last.
    pub fn present_accounts(&self, link_id: i64) -> Result<HashSet<String>, StoreError> {
        let mut select = self
            .txn
            .prepare_cached("SELECT upstream_id FROM accounts WHERE link_id = :link_id AND missing_at IS NULL")?;
        let rows = select.query_map(named_params! { ":link_id": link_id }, |row| row.get("upstream_id"))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// An account's numbers, opened.
    pub fn account_numbers(&self, account_id: i64) -> Result<Vec<AccountNumber>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT account_number_id, network, account_number_sealed, routing_number_sealed, is_tokenized
             FROM account_numbers WHERE account_id = :account_id ORDER BY network, position",
        )?;
        let mut rows = select.query(named_params! { ":account_id": account_id })?;
        let mut numbers = Vec::new();
        while let Some(row) = rows.next()? {
            let id: i64 = row.get("account_number_id")?;
            let open = |column: &'static str| -> Result<Option<Secret>, StoreError> {
                let sealed: Option<Vec<u8>> = row.get(column)?;
                sealed.map(|s| self.unseal("account_numbers", column, id, &s)).transpose().map(Option::flatten)
            };
            numbers.push(AccountNumber {
                network: row.get("network")?,
                account_number: open("account_number_sealed")?,
                routing_number: open("routing_number_sealed")?,
                is_tokenized: row.get("is_tokenized")?,
            });
        }
        Ok(numbers)
    }
}

impl WriteTxn<'_> {
    /// Stores what one answer shows of a link's accounts and returns our ids by upstream id.
    ///
    /// Shape: a value that the answer does not carry leaves the stored one alone; unchanged accounts are not rewritten. With
    /// `wants_history` an account that is new, shared again or listed again is marked for its whole history to be read.
    pub fn put_accounts(
        &self,
        link_id: i64,
        accounts: &[AccountRecord],
        wants_history: bool,
        now: Timestamp,
    ) -> Result<HashMap<String, i64>, StoreError> {
        let mut upsert = self.txn.prepare_cached(
            "INSERT INTO accounts (account_id, link_id, upstream_id, kind, subtype, name, mask, currency, is_open, is_shared,
                 is_business, needs_history, first_seen_at, changed_at, raw)
             VALUES ((SELECT max(value, (SELECT coalesce(max(account_id), 0) FROM accounts)) + 1
                      FROM store_meta WHERE name = 'last_account_id'),
                 :link_id, :upstream_id, :kind, :subtype, :name, :mask, :currency, :is_open, :is_shared, :is_business,
                 :wants_history, :now, :now, jsonb(:raw))
             ON CONFLICT (link_id, upstream_id) DO UPDATE SET
                 kind = coalesce(excluded.kind, kind), subtype = coalesce(excluded.subtype, subtype),
                 name = coalesce(excluded.name, name), mask = coalesce(excluded.mask, mask),
                 currency = coalesce(excluded.currency, currency), is_open = coalesce(excluded.is_open, is_open),
                 is_shared = coalesce(excluded.is_shared, is_shared),
                 is_business = coalesce(excluded.is_business, is_business),
                 needs_history = max(needs_history, :wants_history AND (missing_at IS NOT NULL
                                                      OR (is_shared IS 0 AND excluded.is_shared IS 1))),
                 missing_at = NULL, changed_at = excluded.changed_at, raw = coalesce(excluded.raw, raw)
             WHERE kind IS NOT coalesce(excluded.kind, kind) OR subtype IS NOT coalesce(excluded.subtype, subtype)
                OR name IS NOT coalesce(excluded.name, name) OR mask IS NOT coalesce(excluded.mask, mask)
                OR currency IS NOT coalesce(excluded.currency, currency)
                OR is_open IS NOT coalesce(excluded.is_open, is_open) OR missing_at IS NOT NULL
                OR is_shared IS NOT coalesce(excluded.is_shared, is_shared)
                OR is_business IS NOT coalesce(excluded.is_business, is_business)",
        )?;
        let mut freshness = self.txn.prepare_cached(
            "UPDATE accounts SET refreshed_at = coalesce(:refreshed_at, refreshed_at),
                 is_refreshed = coalesce(:is_refreshed, is_refreshed)
             WHERE link_id = :link_id AND upstream_id = :upstream_id
               AND (refreshed_at IS NOT coalesce(:refreshed_at, refreshed_at)
                    OR is_refreshed IS NOT coalesce(:is_refreshed, is_refreshed))",
        )?;
        for account in accounts {
            if let Some(currency) = account.currency {
                self.put_currency(currency)?;
            }
            upsert.execute(named_params! {
                ":link_id": link_id, ":upstream_id": account.upstream_id, ":kind": account.kind,
                ":subtype": account.subtype, ":name": account.name, ":mask": account.mask,
                ":currency": account.currency.map(|c| c.as_str().to_owned()), ":is_open": account.is_open,
                ":is_shared": account.is_shared, ":is_business": account.is_business, ":wants_history": wants_history,
                ":now": ms(now), ":raw": account.raw.as_ref().filter(|_| self.keep_raw),
            })?;
            if account.refreshed_at.is_some() || account.is_refreshed.is_some() {
                freshness.execute(named_params! {
                    ":refreshed_at": account.refreshed_at.map(ms), ":is_refreshed": account.is_refreshed,
                    ":link_id": link_id, ":upstream_id": account.upstream_id,
                })?;
            }
        }
        let ids = self.account_ids(link_id)?;
        for account in accounts {
            if let (Some(numbers), Some(id)) = (&account.numbers, ids.get(&account.upstream_id)) {
                self.put_account_numbers(*id, numbers, now)?;
            }
        }
        Ok(ids)
    }

    /// Stores an account that rows name and no list shows; one that is stored stays as it is.
    pub fn put_unlisted_account(&self, link_id: i64, upstream_id: &str, now: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO accounts (account_id, link_id, upstream_id, missing_at, first_seen_at, changed_at)
             VALUES ((SELECT max(value, (SELECT coalesce(max(account_id), 0) FROM accounts)) + 1
                      FROM store_meta WHERE name = 'last_account_id'), :link_id, :upstream_id, :now, :now, :now)
             ON CONFLICT (link_id, upstream_id) DO NOTHING",
            named_params! { ":link_id": link_id, ":upstream_id": upstream_id, ":now": ms(now) },
        )?;
        Ok(())
    }

    /// Notes whether an account's whole history is to be read.
    pub fn set_needs_history(&self, account_id: i64, needs_history: bool) -> Result<(), StoreError> {
        let mut update = self.txn.prepare_cached(
            "UPDATE accounts SET needs_history = :needs WHERE account_id = :account_id AND needs_history <> :needs",
        )?;
        update.execute(named_params! { ":needs": needs_history, ":account_id": account_id })?;
        Ok(())
    }

    /// Notes which accounts a complete list no longer shows.
    pub fn mark_missing_accounts(&self, link_id: i64, listed: &[String], now: Timestamp) -> Result<(), StoreError> {
        let mut update = self.txn.prepare_cached(
            "UPDATE accounts SET missing_at = :now, changed_at = :now
             WHERE link_id = :link_id AND missing_at IS NULL
               AND upstream_id NOT IN (SELECT value FROM json_each(:listed))",
        )?;
        let listed = serde_json::to_string(listed).unwrap_or_else(|_| "[]".to_owned());
        update.execute(named_params! { ":now": ms(now), ":link_id": link_id, ":listed": listed })?;
        Ok(())
    }

    /// Makes sure that the views know how to write this currency.
    pub fn put_currency(&self, currency: Currency) -> Result<(), StoreError> {
        let mut insert = self.txn.prepare_cached(
            "INSERT INTO currencies (code, minor_digits) VALUES (:code, :digits) ON CONFLICT (code) DO NOTHING",
        )?;
        insert.execute(named_params! { ":code": currency.as_str(), ":digits": currency.minor_digits() })?;
        Ok(())
    }

    /// Replaces an account's numbers where they differ from the stored ones.
    fn put_account_numbers(
        &self,
        account_id: i64,
        numbers: &[AccountNumber],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut sorted: Vec<&AccountNumber> = numbers.iter().collect();
        sorted.sort_by(|a, b| a.network.cmp(&b.network));
        if self.account_numbers(account_id)?.iter().eq(sorted.iter().copied()) {
            return Ok(());
        }
        self.execute(
            "DELETE FROM account_numbers WHERE account_id = :account_id",
            named_params! { ":account_id": account_id },
        )?;
        let mut position = 0_i64;
        let mut network = "";
        for number in sorted {
            position = if number.network == network { position + 1 } else { 0 };
            network = &number.network;
            self.insert_account_number(account_id, position, number, now)?;
        }
        Ok(())
    }

    /// Inserts the row first: what is sealed is bound to its id.
    fn insert_account_number(
        &self,
        account_id: i64,
        position: i64,
        number: &AccountNumber,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO account_numbers (account_id, network, position, is_tokenized, changed_at)
             VALUES (:account_id, :network, :position, :is_tokenized, :now)",
            named_params! {
                ":account_id": account_id, ":network": number.network, ":position": position,
                ":is_tokenized": number.is_tokenized, ":now": ms(now),
            },
        )?;
        let id = self.txn.last_insert_rowid();
        let seal = |column: &'static str, secret: &Option<Secret>| -> Result<Option<Vec<u8>>, StoreError> {
            let place = Place { table: "account_numbers", column, row_id: id };
            let sealed_error = |source| StoreError::Sealed { table: "account_numbers", column, row_id: id, source };
            secret.as_ref().map(|s| self.sealer.seal(place, s.expose().as_bytes()).map_err(sealed_error)).transpose()
        };
        self.execute(
            "UPDATE account_numbers SET account_number_sealed = :account, routing_number_sealed = :routing
             WHERE account_number_id = :id",
            named_params! {
                ":account": seal("account_number_sealed", &number.account_number)?,
                ":routing": seal("routing_number_sealed", &number.routing_number)?,
                ":id": id,
            },
        )?;
        Ok(())
    }

    /// Stores an observation of an account's balances if it differs from the previous one.
    ///
    /// Shape: whether it did.
    pub fn put_balance(
        &self,
        account_id: i64,
        balance: &BalanceRecord,
        observed_at: Timestamp,
        sync_id: i64,
    ) -> Result<bool, StoreError> {
        self.put_currency(balance.currency)?;
        // An observation from the future was stamped by a clock that was ahead, and would pass for the latest until then.
        let mut forget = self
            .txn
            .prepare_cached("DELETE FROM balances WHERE account_id = :account_id AND observed_at > :observed_at")?;
        forget.execute(named_params! { ":account_id": account_id, ":observed_at": ms(observed_at) })?;
        let mut select = self.txn.prepare_cached(
            "SELECT currency, current_minor, available_minor, credit_limit_minor FROM balances
             WHERE account_id = :account_id ORDER BY observed_at DESC LIMIT 1",
        )?;
        let last = select
            .query_row(named_params! { ":account_id": account_id }, |row| {
                Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
            .optional()?;
        let this = (
            balance.currency.as_str().to_owned(),
            balance.current_minor,
            balance.available_minor,
            balance.credit_limit_minor,
        );
        if last.as_ref() == Some(&this) {
            return Ok(false);
        }
        let mut insert = self.txn.prepare_cached(
            "INSERT INTO balances (account_id, observed_at, currency, current_minor, available_minor, credit_limit_minor, sync_id)
             VALUES (:account_id, :observed_at, :currency, :current, :available, :credit_limit, :sync_id)
             ON CONFLICT (account_id, observed_at) DO UPDATE SET
                 currency = excluded.currency, current_minor = excluded.current_minor,
                 available_minor = excluded.available_minor, credit_limit_minor = excluded.credit_limit_minor",
        )?;
        insert.execute(named_params! {
            ":account_id": account_id, ":observed_at": ms(observed_at), ":currency": this.0, ":current": this.1,
            ":available": this.2, ":credit_limit": this.3, ":sync_id": sync_id,
        })?;
        Ok(true)
    }
}
