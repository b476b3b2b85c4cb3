//! What tests compare with: a link of a Bridge customer, told in Bridge's words.

use std::cmp::Reverse;

use jiff::Timestamp;
use jiff::civil::Date;

use super::rows::Days;
use super::{categories, iban, words};
use crate::clock::DAY_MS;
use crate::sandbox::world::{Account, Bank, Link, Row, Seen, Status, TrueAccount, TrueLink, TrueTransaction};

/// A link as it is (`immediately`), or as Bridge shows it.
pub(crate) fn true_link(bank: &mut Bank, at: usize, immediately: bool, oddities: bool) -> TrueLink {
    // Before the first look, readers would see all that was built.
    let as_it_is = immediately || bank.links[at].visible.is_none();
    let mut told = bank.true_link(at, as_it_is);
    let order = bank.links[at].view(as_it_is, false);
    let link = &bank.links[at];
    let (status, info) = words::status_of(link);
    told.status = status.to_string();
    told.status_info = Some(info.to_owned());
    told.access_token.clear();
    told.consent_expires_at = link.upkeep.consent_until_ms.and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let accounts = link.accounts_for(as_it_is);
    for account in &mut told.accounts {
        if let Some(of) = accounts.iter().find(|of| of.id == account.id.0) {
            tell_account(account, link, of);
        }
    }
    if as_it_is {
        for (transaction, row) in told.transactions.iter_mut().zip(order.iter()) {
            tell(transaction, link, &link.rows[*row], None, oddities);
        }
        return told;
    }
    let shown = link.seen_rows().into_iter().filter_map(|(at, seen)| {
        let row = &link.rows[at];
        let account = accounts.get(usize::from(row.account))?;
        let mut transaction = TrueTransaction::of(accounts, row);
        tell(&mut transaction, link, row, Some(seen), oddities);
        (account.listed && account.shared).then_some(transaction)
    });
    let mut shown: Vec<TrueTransaction> = shown.collect();
    shown.sort_by_key(|row| Reverse((row.date, row.id)));
    (told.deleted_transactions, told.transactions) = shown.into_iter().partition(|row| row.deleted);
    told
}

fn tell_account(told: &mut TrueAccount, link: &Link, of: &Account) {
    told.kind = words::account_type(&of.kind);
    told.balance_minor = of.booked_minor;
    told.available_minor = words::is_payment(of).then_some(of.booked_minor + of.pending_minor);
    told.credit_limit_minor = None;
    told.iban = iban::of(link, of);
    told.data_access = of.shared;
    told.is_business = of.is_business;
}

fn tell(told: &mut TrueTransaction, link: &Link, row: &Row, seen: Option<Seen>, oddities: bool) {
    let days = Days::of(link, row, oddities);
    told.operation_type = Some(words::operation(&row.detail, row.check_number.is_some()).to_owned());
    told.category_id = Some(categories::id_of(row.detail.category.as_deref()));
    told.future = row.status == Status::Future;
    told.date = civil(Some(days.date));
    told.booking_date = civil(days.booking);
    told.transaction_date = civil(days.transaction);
    told.value_date = civil(days.value);
    told.deleted = seen.is_some_and(|seen| seen.deleted);
    told.updated_at = seen.and_then(|seen| Timestamp::from_millisecond(seen.updated_ms).ok());
    told.external_id = None;
}

fn civil(day: Option<i32>) -> Option<Date> {
    let midnight = Timestamp::from_millisecond(i64::from(day?) * DAY_MS).ok()?;
    Some(midnight.to_zoned(jiff::tz::TimeZone::UTC).date())
}
