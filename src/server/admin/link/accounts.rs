//! A link's accounts, and how their balances went.

use jiff::Timestamp;
use maud::{Markup, html};

use super::LinkPage;
use super::shown::ShownAccount;
use crate::money::Currency;
use crate::server::admin::plots::{StepPoint, Steps};
use crate::store::{AccountSummary, BalancePoint};
use crate::words::count;

impl LinkPage<'_> {
    pub(super) fn accounts(&self) -> Markup {
        let accounts = &self.shown.accounts;
        html! {
            section.card aria-labelledby="accounts" {
                header { h2 #accounts { "Accounts and balances" } }
                @if accounts.is_empty() {
                    p.dim { "No account is known yet." }
                } @else {
                    (self.account_table())
                    div.balances { @for account in accounts { (self.balance(account)) } }
                }
            }
        }
    }

    fn account_table(&self) -> Markup {
        html! {
            div.wide tabindex="0" role="region" aria-label="Accounts" {
                table {
                    caption.unseen { "Accounts of this link with their latest balances" }
                    thead {
                        tr {
                            th scope="col" { "Account" }
                            th scope="col" { "Kind" }
                            th.number scope="col" { "Balance" }
                            th.number scope="col" { "Available" }
                            th scope="col" { "Currency" }
                            th.number scope="col" { "Transactions" }
                            th.number scope="col" { "Read at the bank" }
                            th scope="col" { "Note" }
                        }
                    }
                    tbody { @for account in &self.shown.accounts { (self.account_row(&account.summary)) } }
                }
            }
        }
    }

    fn account_row(&self, account: &AccountSummary) -> Markup {
        let amount = |minor: Option<i64>| minor.map(|minor| money(minor, account.currency.as_deref()));
        html! {
            tr {
                th scope="row" { (label(account)) }
                td { (account.kind.as_deref().unwrap_or("–").to_lowercase().replace('_', " ")) }
                td.number { (amount(account.current_minor).unwrap_or_default()) }
                td.number { (amount(account.available_minor).unwrap_or_default()) }
                td { (account.currency.as_deref().unwrap_or("–")) }
                td.number { (count(account.transactions)) }
                td.number { @if let Some(at) = account.refreshed_at { (self.watch.about(at)) } @else { "–" } }
                td.note { (note(account)) }
            }
        }
    }

    /// How one account's balance went, in its latest currency.
    fn balance(&self, account: &ShownAccount) -> Markup {
        let Some(latest) = account.balances.last() else {
            return Markup::default();
        };
        let currency = latest.currency.as_str();
        let value = |point: &BalancePoint| point.current_minor.or(point.available_minor);
        let points: Vec<StepPoint> = account
            .balances
            .iter()
            .filter(|point| point.currency == currency)
            .filter_map(|point| Some(StepPoint { at_ms: point.observed_at.as_millisecond(), value: value(point)? }))
            .collect();
        let (Some(first), Some(last)) = (points.first(), points.last()) else {
            return Markup::default();
        };
        let began = account.balances.first().map_or(latest.observed_at, |point| point.observed_at);
        // What was read last still holds; after that nothing is known.
        let until = self.shown.known.detail.state.last_success_at.unwrap_or(latest.observed_at).max(latest.observed_at);
        let title = format!(
            "Balance of {} from {} to {}: {} at first, {} at last",
            label(&account.summary),
            self.watch.day(began),
            self.watch.day(until),
            written(first.value, currency),
            written(last.value, currency)
        );
        let middle = began.as_millisecond().midpoint(until.as_millisecond());
        let middle = Timestamp::from_millisecond(middle).map_or_else(|_| String::new(), |at| self.watch.day(at));
        let times = [self.watch.day(began), middle, self.watch.day(until)];
        let write = |minor: i64| money(minor, Some(currency));
        let steps = Steps { title: &title, points: &points, until_ms: until.as_millisecond(), write: &write, times };
        html! {
            figure {
                figcaption {
                    b { (label(&account.summary)) } " "
                    span.amount { (written(last.value, currency)) }
                }
                (steps.plot())
            }
        }
    }
}

/// What an account is called here: without the name its customer gave it.
pub(super) fn label(account: &AccountSummary) -> String {
    match &account.mask {
        Some(mask) => format!("Account {} (…{mask})", account.account_id),
        None => format!("Account {}", account.account_id),
    }
}

/// Money as exact decimal text; in minor units where its currency is none we know.
pub(super) fn money(minor: i64, currency: Option<&str>) -> String {
    let currency: Option<Currency> = currency.and_then(|code| code.parse().ok());
    grouped(&currency.map_or_else(|| minor.to_string(), |currency| currency.format_minor(minor)))
}

/// The same with the currency.
pub(super) fn written(minor: i64, currency: &str) -> String {
    format!("{} {currency}", money(minor, Some(currency)))
}

/// A decimal text with separators between thousands: `-1,234.56`.
fn grouped(decimal: &str) -> String {
    let (sign, digits) = decimal.strip_prefix('-').map_or(("", decimal), |digits| ("\u{2212}", digits));
    let (units, rest) =
        digits.split_once('.').map_or((digits, String::new()), |(units, rest)| (units, format!(".{rest}")));
    let units = units.parse::<u64>().map_or_else(|_| units.to_owned(), count);
    format!("{sign}{units}{rest}")
}

/// What is special about an account, in few words.
fn note(account: &AccountSummary) -> String {
    let notes = [
        (account.missing_at.is_some(), "no longer listed"),
        (account.is_shared == Some(false), "not shared"),
        (account.is_business == Some(true), "business"),
        (account.is_refreshed == Some(false) && account.is_shared != Some(false), "last try at the bank failed"),
        (account.needs_history && account.is_shared != Some(false), "its history is yet to be read"),
        (account.loan.is_some(), "a loan"),
        (account.holdings > 0, "holds securities"),
    ];
    notes.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_exact_in_its_own_currency() {
        assert_eq!(money(-123_456_789, Some("USD")), "\u{2212}1,234,567.89");
        assert_eq!(money(5, Some("EUR")), "0.05");
        assert_eq!(money(1_234_567, Some("JPY")), "1,234,567");
        assert_eq!(money(1_234, Some("KWD")), "1.234");
        assert_eq!(money(i64::MIN, Some("USD")), "\u{2212}92,233,720,368,547,758.08");
        assert_eq!(money(1_234, None), "1,234");
    }
}
