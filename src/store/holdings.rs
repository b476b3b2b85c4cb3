//! Securities and loans: what accounts hold beside a balance.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff::civil::Date;
use rusqlite::named_params;

use super::{StoreError, WriteTxn, ms};
use crate::model::{HoldingRecord, LoanRecord};

impl WriteTxn<'_> {
    /// Stores a loan's terms if they differ from the stored ones; a value the bank does not tell leaves the stored one alone.
    pub fn put_loan(&self, account_id: i64, loan: &LoanRecord, now: Timestamp) -> Result<(), StoreError> {
        let mut upsert = self.txn.prepare_cached(
            "INSERT INTO loans (account_id, kind, interest_rate, borrowed_minor, repaid_minor, remaining_minor, opened_on,
                 matures_on, next_payment_on, next_payment_minor, changed_at)
             VALUES (:account_id, :kind, :rate, :borrowed, :repaid, :remaining, :opened, :matures, :next_on, :next_minor, :now)
             ON CONFLICT (account_id) DO UPDATE SET kind = coalesce(excluded.kind, kind),
                 interest_rate = coalesce(excluded.interest_rate, interest_rate),
                 borrowed_minor = coalesce(excluded.borrowed_minor, borrowed_minor),
                 repaid_minor = coalesce(excluded.repaid_minor, repaid_minor),
                 remaining_minor = coalesce(excluded.remaining_minor, remaining_minor),
                 opened_on = coalesce(excluded.opened_on, opened_on),
                 matures_on = coalesce(excluded.matures_on, matures_on),
                 next_payment_on = coalesce(excluded.next_payment_on, next_payment_on),
                 next_payment_minor = coalesce(excluded.next_payment_minor, next_payment_minor),
                 changed_at = excluded.changed_at
             WHERE kind IS NOT coalesce(excluded.kind, kind)
                OR interest_rate IS NOT coalesce(excluded.interest_rate, interest_rate)
                OR borrowed_minor IS NOT coalesce(excluded.borrowed_minor, borrowed_minor)
                OR repaid_minor IS NOT coalesce(excluded.repaid_minor, repaid_minor)
                OR remaining_minor IS NOT coalesce(excluded.remaining_minor, remaining_minor)
                OR opened_on IS NOT coalesce(excluded.opened_on, opened_on)
                OR matures_on IS NOT coalesce(excluded.matures_on, matures_on)
                OR next_payment_on IS NOT coalesce(excluded.next_payment_on, next_payment_on)
                OR next_payment_minor IS NOT coalesce(excluded.next_payment_minor, next_payment_minor)",
        )?;
        let day = |day: Option<Date>| day.map(|day| day.to_string());
        upsert.execute(named_params! {
            ":account_id": account_id, ":kind": loan.kind, ":rate": loan.interest_rate, ":borrowed": loan.borrowed_minor,
            ":repaid": loan.repaid_minor, ":remaining": loan.remaining_minor, ":opened": day(loan.opened_on),
            ":matures": day(loan.matures_on), ":next_on": day(loan.next_payment_on),
            ":next_minor": loan.next_payment_minor, ":now": ms(now),
        })?;
        Ok(())
    }

    /// Stores a complete list of the securities on some accounts: what it no longer shows there is no longer held.
    ///
    /// Shape: `accounts` are our ids by upstream id; securities of other accounts are left alone.
    pub fn put_holdings(
        &self,
        accounts: &HashMap<String, i64>,
        holdings: &[HoldingRecord],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut listed: HashMap<i64, Vec<&str>> = accounts.values().map(|id| (*id, Vec::new())).collect();
        for holding in holdings.iter().filter(|holding| !holding.is_removed) {
            let account_id = holding.upstream_account_id.as_ref().and_then(|id| accounts.get(id));
            if let Some(account_id) = account_id {
                self.put_holding(*account_id, holding, now)?;
                listed.entry(*account_id).or_default().push(&holding.upstream_id);
            }
        }
        let mut remove = self.txn.prepare_cached(
            "UPDATE holdings SET removed_at = :now, changed_at = :now
             WHERE account_id = :account_id AND removed_at IS NULL
               AND upstream_id NOT IN (SELECT value FROM json_each(:listed))",
        )?;
        for (account_id, listed) in listed {
            let listed = serde_json::to_string(&listed).unwrap_or_else(|_| "[]".to_owned());
            remove.execute(named_params! { ":now": ms(now), ":account_id": account_id, ":listed": listed })?;
        }
        Ok(())
    }

    fn put_holding(&self, account_id: i64, holding: &HoldingRecord, now: Timestamp) -> Result<(), StoreError> {
        if let Some(currency) = holding.currency {
            self.put_currency(currency)?;
        }
        let mut upsert = self.txn.prepare_cached(
            "INSERT INTO holdings (account_id, upstream_id, label, isin, ticker, marketplace, quantity, price,
                 average_purchase_price, value_minor, currency, valued_on, first_seen_at, changed_at, raw)
             VALUES (:account_id, :upstream_id, :label, :isin, :ticker, :marketplace, :quantity, :price, :average, :value,
                 :currency, :valued_on, :now, :now, jsonb(:raw))
             ON CONFLICT (account_id, upstream_id) DO UPDATE SET label = coalesce(excluded.label, label), isin = excluded.isin,
                 ticker = excluded.ticker, marketplace = excluded.marketplace, quantity = excluded.quantity,
                 price = excluded.price, average_purchase_price = excluded.average_purchase_price,
                 value_minor = excluded.value_minor, currency = excluded.currency, valued_on = excluded.valued_on,
                 changed_at = excluded.changed_at, removed_at = NULL, raw = coalesce(excluded.raw, raw)
             WHERE label IS NOT coalesce(excluded.label, label) OR isin IS NOT excluded.isin OR ticker IS NOT excluded.ticker
                OR marketplace IS NOT excluded.marketplace OR quantity IS NOT excluded.quantity
                OR price IS NOT excluded.price OR average_purchase_price IS NOT excluded.average_purchase_price
                OR value_minor IS NOT excluded.value_minor OR currency IS NOT excluded.currency
                OR valued_on IS NOT excluded.valued_on OR removed_at IS NOT NULL",
        )?;
        upsert.execute(named_params! {
            ":account_id": account_id, ":upstream_id": holding.upstream_id, ":label": holding.label,
            ":isin": holding.isin, ":ticker": holding.ticker, ":marketplace": holding.marketplace,
            ":quantity": holding.quantity, ":price": holding.price, ":average": holding.average_purchase_price,
            ":value": holding.value_minor, ":currency": holding.currency.map(|c| c.as_str().to_owned()),
            ":valued_on": holding.valued_on.map(|day| day.to_string()), ":now": ms(now),
            ":raw": holding.raw.as_ref().filter(|_| self.keep_raw),
        })?;
        Ok(())
    }
}
