//! The rows of the store against those of the bank.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use passbook::sandbox::{Served, Status, TrueTransaction, World};

use super::links::READ_LATE;
use super::{Book, Depth, STEP_WITHIN, Verdict};
use crate::plan::{HOUR, MINUTE};
use crate::town::{Absence, Town};

/// By how much clocks may be off, theirs and ours.
const CLOCKS: i64 = 20 * MINUTE;
/// A posted row is removed when a second complete read, an hour later, does not show it either.
const REMOVED_AFTER: i64 = HOUR - CLOCKS;

/// Where a row's account, and the day on which it happened, stand among the values that are compared.
const ACCOUNT: usize = 1;
const DAY: usize = 6;

/// No two live rows are one row of the bank, at any instant: a reader would see the money twice.
pub(super) fn none_twice(book: &Book, town: &Town) -> Verdict {
    let sql = "SELECT upstream_id, transaction_id FROM transactions WHERE removed_at IS NULL";
    let mut owners: HashMap<u64, i64> = HashMap::with_capacity(town.chains.len());
    let mut twice = None;
    book.visit(sql, |row| {
        let (upstream_id, id) = (row.get_ref(0)?.as_str()?, row.get(1)?);
        let Some(chain) = town.chains.get(upstream_id) else { return Ok(()) };
        // What only a reconciliation shows may stand under both ids until then.
        if let Some(other) = owners.insert(*chain, id)
            && !town.deep.contains_key(upstream_id)
        {
            twice.get_or_insert_with(|| {
                format!("twice: transactions {other} and {id} (upstream {upstream_id}) are one row of the bank")
            });
        }
        Ok(())
    })?;
    twice.map_or(Ok(()), Err)
}

/// The live rows, accounts and balances of links in order are exactly what readers of the aggregator see.
pub(super) fn equal(book: &Book, town: &Town, world: &World, well: &HashSet<String>, depth: Depth) -> Verdict {
    let mut truth: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut balances = BTreeMap::new();
    let mut reach = BTreeMap::new();
    for link in world.links.iter().filter(|link| well.contains(&link.upstream_id)) {
        for row in &link.transactions {
            let mut values = vec![link.upstream_id.clone(), row.account_upstream_id.clone()];
            values.extend(true_values(link.served, row));
            if link.served == Served::Bridge {
                let oldest = reach.entry(row.account_upstream_id.clone()).or_insert_with(|| values[DAY].clone());
                *oldest = values[DAY].clone().min(oldest.clone());
            }
            truth.insert(row.upstream_id.clone(), values);
        }
        for account in link.accounts.iter().filter(|account| account.data_access) {
            balances.insert(account.upstream_id.clone(), account.balance_minor.to_string());
        }
    }
    let stored = book.texts(
        "SELECT v.upstream_id, v.upstream_link_id, v.upstream_account_id, v.amount_minor, v.currency, v.status,
                t.transacted_at, v.transacted_on, v.posted_on, v.description,
                EXISTS (SELECT 1 FROM account_aliases x WHERE x.account_id = a.account_id)
         FROM v_transactions v JOIN transactions t USING (transaction_id) JOIN accounts a ON a.account_id = v.account_id
         JOIN links l ON l.link_id = v.link_id
         WHERE l.removed_at IS NULL AND a.missing_at IS NULL AND a.is_shared IS NOT 0",
    )?;
    let mut connected_anew = HashSet::new();
    let mut by_id: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for mut row in stored.into_iter().filter(|row| well.contains(&row[1])) {
        let id = row.remove(0);
        if row.pop().is_some_and(|is_continued| is_continued == "1") {
            connected_anew.insert(id.clone());
        }
        by_id.insert(id, row);
    }
    let stored = by_id;
    // What lies before the first row of a whole list is history, unless somebody says that it is gone; and of what a former
    // connection brought, the new one does not.
    let is_history = |id: &str| {
        let is_told = town.tells_deletions && !connected_anew.contains(id);
        let row = stored.get(id).filter(|_| !is_told && !truth.contains_key(id));
        row.is_some_and(|row| reach.get(&row[ACCOUNT]).is_some_and(|oldest| row[DAY] < *oldest))
    };
    let is_out_of_reach = |id: &str| is_history(id) || depth == Depth::Incremental && town.deep.contains_key(id);
    differ(&truth, &stored, is_out_of_reach).map_err(|what| format!("rows ({depth:?}): {what}"))?;
    let stored = book.texts(
        "SELECT v.upstream_account_id, v.current_minor, l.upstream_id FROM v_accounts v JOIN links l ON l.link_id = v.link_id
         WHERE v.missing_at IS NULL AND l.removed_at IS NULL AND v.is_shared IS NOT 0",
    )?;
    let stored: BTreeMap<String, String> =
        stored.into_iter().filter(|row| well.contains(&row[2])).map(|mut row| (row.remove(0), row.remove(0))).collect();
    differ(&balances, &stored, |_| false).map_err(|what| format!("balances ({depth:?}): {what}"))
}

/// What the store must say of a row: money, where it stands, when it happened, what it is.
fn true_values(serves: Served, row: &TrueTransaction) -> [String; 7] {
    let null = || "NULL".to_owned();
    let amount = if row.status == Status::Memo { 0 } else { row.amount_minor };
    let (status, at, on, posted_on) = match serves {
        Served::Truv => {
            let status = if row.status == Status::Posted { "posted" } else { "pending" };
            let day = |at: Timestamp| at.to_zoned(jiff::tz::TimeZone::UTC).date().to_string();
            (status, row.transacted_at.as_millisecond().to_string(), day(row.transacted_at), row.posted_at.map(day))
        }
        Served::Bridge => {
            let on = row.transaction_date.or(row.date).map_or_else(null, |day| day.to_string());
            let posted_on = row.booking_date.or(row.date).filter(|_| !row.future).map(|day| day.to_string());
            (if row.future { "future" } else { "posted" }, null(), on, posted_on)
        }
    };
    let posted_on = posted_on.unwrap_or_else(null);
    [amount.to_string(), row.currency.clone(), status.to_owned(), at, on, posted_on, row.description.clone()]
}

fn differ<V: PartialEq + std::fmt::Debug>(
    bank: &BTreeMap<String, V>,
    store: &BTreeMap<String, V>,
    is_excused: impl Fn(&str) -> bool,
) -> Verdict {
    let ids = bank.keys().chain(store.keys().filter(|id| !bank.contains_key(*id)));
    let off: Vec<&String> = ids.filter(|id| bank.get(*id) != store.get(*id) && !is_excused(id)).collect();
    let Some(first) = off.first() else { return Ok(()) };
    let lost = off.iter().filter(|id| !store.contains_key(**id)).count();
    let kept = off.iter().filter(|id| !bank.contains_key(**id)).count();
    Err(format!(
        "{} differ ({lost} only at the bank, {kept} only in the store), such as {first}: bank {:?}, store {:?}",
        off.len(),
        bank.get(*first),
        store.get(*first)
    ))
}

/// Every removal in the history was one: the bank did not have the row while it was read, and for long enough where nothing but
/// an absence tells.
pub(super) fn removals(book: &Book, town: &Town) -> Verdict {
    // What the row was then, the first later change of that value says.
    let then = |column: &str| {
        format!(
            "coalesce((SELECT later.before ->> '{column}' FROM transaction_changes later
                       WHERE later.transaction_id = t.transaction_id AND later.kind <> 'added'
                       AND later.change_id > c.change_id AND later.before ->> '{column}' IS NOT NULL
                       ORDER BY later.change_id LIMIT 1), t.{column})"
        )
    };
    let sql = format!(
        "SELECT t.transaction_id, {}, s.aggregator, {}, c.changed_at
         FROM transaction_changes c JOIN transactions t USING (transaction_id) JOIN links l USING (link_id)
         JOIN sources s USING (source_id) WHERE c.kind = 'removed' ORDER BY c.change_id",
        then("upstream_id"),
        then("status")
    );
    let removed = book.rows(&sql, |row| {
        let text = |at: usize| row.get::<_, String>(at);
        Ok((row.get::<_, i64>(0)?, text(1)?, text(2)?, text(3)?, row.get::<_, i64>(4)?))
    })?;
    for (id, upstream_id, aggregator, status, at) in removed {
        // Rows that faults brought are nobody's.
        if !town.chains.contains_key(&upstream_id) {
            continue;
        }
        let absences = town.gone.get(&upstream_id).map_or(&[][..], Vec::as_slice);
        let Some(gone_at) = away_since(absences, at, town.slot_ms + READ_LATE) else {
            return Err(format!(
                "removals: transaction {id} (upstream {upstream_id}) was removed while the bank had it; away {absences:?}, read {at}"
            ));
        };
        let is_told = (aggregator != "truv" && town.tells_deletions) || status != "posted";
        if !is_told && at - gone_at < REMOVED_AFTER {
            return Err(format!(
                "removals: transaction {id} was removed {} s after the bank had it last",
                (at - gone_at) / 1000
            ));
        }
    }
    Ok(())
}

/// Since when an id was away that was not there in the step of a sync that began at `at`; `None`: readers had it all that time.
///
/// Where it was back for less than `unread`, nobody may have looked meanwhile: to readers that is one absence.
fn away_since(absences: &[Absence], at: i64, unread: i64) -> Option<i64> {
    let mut earliest: Option<i64> = None;
    let (mut since, mut was_back_at) = (0, i64::MIN);
    for Absence { gone_at, back_at } in absences {
        since = if gone_at.saturating_sub(was_back_at) < unread { since.min(*gone_at) } else { *gone_at };
        was_back_at = back_at.unwrap_or(i64::MAX);
        if gone_at - CLOCKS <= at + STEP_WITHIN && at - CLOCKS <= was_back_at {
            earliest = Some(earliest.map_or(since, |earliest| earliest.min(since)));
        }
    }
    earliest
}

/// A row that the bank gave another id stayed one row.
pub(super) fn continuity(book: &Book, town: &Town) -> Verdict {
    let sql = "SELECT upstream_id, transaction_id FROM transactions";
    let mut owners: HashMap<u64, i64> = HashMap::new();
    for (upstream_id, id) in book.rows(sql, |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))? {
        let Some(chain) = town.chains.get(&upstream_id) else { continue };
        if let Some(other) = owners.insert(*chain, id) {
            return Err(format!(
                "continuity: transactions {other} and {id} (upstream {upstream_id}) were one row of the bank"
            ));
        }
    }
    Ok(())
}
