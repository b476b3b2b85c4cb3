//! What else a link's past tells: whether its balances add up, what refreshes cost and brought, what was announced.

use maud::{Markup, html};

use super::LinkPage;
use super::accounts::{label, written};
use super::shown::{REFRESH_DAYS, ShownAccount};
use crate::server::admin::words::outcome_class;
use crate::store::{EventRow, ReconciledPair, RefreshRow};
use crate::words::{count, counted};

/// Pairs that do not add up, of each account.
const UNEXPLAINED_SHOWN: usize = 10;

impl LinkPage<'_> {
    /// Whether the transactions explain how the balances went.
    pub(super) fn reconciliation(&self) -> Markup {
        let accounts = &self.shown.accounts;
        let pairs: usize = accounts.iter().map(|account| account.pairs).sum();
        let unexplained: usize = accounts.iter().map(|account| account.unexplained.len()).sum();
        html! {
            section.card aria-labelledby="reconciliation" {
                header { h2 #reconciliation { "Do the balances add up?" } }
                @if pairs == 0 {
                    p.dim { "Two balances of an account are needed to tell." }
                } @else if unexplained == 0 {
                    p {
                        span.state.ok { "yes" }
                        @if pairs == 1 {
                            " The transactions explain the last change of a balance."
                        } @else {
                            " The transactions explain each of the last " (counted(pairs as u64, "change")) " of a balance."
                        }
                    }
                } @else {
                    p {
                        span.state.failing { "not all" }
                        " The transactions do not explain " (count(unexplained as u64)) " of the last "
                        (counted(pairs as u64, "change"))
                        " of a balance. Pending rows that a bank counts already explain themselves when they post."
                    }
                    (self.unexplained(accounts))
                }
                (self.continued())
            }
        }
    }

    fn unexplained(&self, accounts: &[ShownAccount]) -> Markup {
        html! {
            div.wide tabindex="0" role="region" aria-label="Changes of balances that are not explained" {
                table {
                    caption.unseen { "Changes of balances that no transactions explain, the latest first" }
                    thead {
                        tr {
                            th scope="col" { "Account" }
                            th scope="col" { "From" }
                            th scope="col" { "To" }
                            th.number scope="col" { "Balance changed by" }
                            th.number scope="col" { "Transactions say" }
                            th.number scope="col" { "Not explained" }
                        }
                    }
                    tbody {
                        @for account in accounts {
                            @for pair in account.unexplained.iter().take(UNEXPLAINED_SHOWN) {
                                tr { th scope="row" { (label(&account.summary)) } (self.pair(pair)) }
                            }
                        }
                    }
                }
            }
        }
    }

    fn pair(&self, pair: &ReconciledPair) -> Markup {
        html! {
            td { (self.watch.instant(pair.from_at)) }
            td { (self.watch.instant(pair.to_at)) }
            td.number { (written(pair.balance_difference_minor, &pair.currency)) }
            td.number { (written(pair.transactions_difference_minor, &pair.currency)) }
            td.number { b { (written(pair.unexplained_minor(), &pair.currency)) } }
        }
    }

    /// Accounts that came from another link or went on from this one.
    fn continued(&self) -> Markup {
        let link_id = self.shown.known.detail.state.link_id;
        html! {
            @for joined in &self.shown.continued {
                @let goes = joined.former_link_id == link_id;
                @let (word, other) =
                    if goes { ("goes on in", joined.link_id) } else { ("came from", joined.former_link_id) };
                p {
                    "Account " (joined.account_id) " " (word) " " a href=(format!("/links/{other}")) { "link " (other) }
                    ", same " (joined.evidence) ", joined " (self.watch.about(joined.matched_at))
                    ". To undo it: " code { "passbook links split " (joined.account_id) }
                }
            }
        }
    }

    /// What was asked of the bank lately.
    pub(super) fn refreshes(&self) -> Markup {
        let refreshes = &self.shown.refreshes;
        if refreshes.is_empty() {
            return Markup::default();
        }
        html! {
            section.card aria-labelledby="refreshes" {
                header { h2 #refreshes { "Refreshes of the last " (REFRESH_DAYS) " days" } }
                div.wide tabindex="0" role="region" aria-label="Refreshes" {
                    table {
                        caption.unseen { "Refreshes of the last days, the latest first" }
                        thead {
                            tr {
                                th scope="col" { "Asked for" }
                                th scope="col" { "Cause" }
                                th scope="col" { "Outcome" }
                                th scope="col" { "Billed as" }
                                th.number scope="col" { "Rows gained" }
                                th scope="col" { "Upstream status" }
                            }
                        }
                        tbody { @for refresh in refreshes { (self.refresh(refresh)) } }
                    }
                }
            }
        }
    }

    fn refresh(&self, refresh: &RefreshRow) -> Markup {
        let class = match refresh.outcome.as_str() {
            "done" => outcome_class(Some("ok")),
            "sending" | "running" => outcome_class(None),
            "throttled" | "not_sent" | "refused" => outcome_class(Some("deferred")),
            _ => outcome_class(Some("failed")),
        };
        html! {
            tr {
                th scope="row" { (self.watch.instant(refresh.requested_at)) }
                td { (refresh.cause) }
                td { span.state.(class) { (refresh.outcome.replace('_', " ")) } }
                td { (refresh.price_unit.as_deref().unwrap_or("not billed")) }
                td.number { @if let Some(rows) = refresh.rows_gained { (count(rows)) } @else { "–" } }
                td { (refresh.upstream_status.as_deref().unwrap_or_default()) }
            }
        }
    }

    /// What the aggregator announced of this link.
    pub(super) fn events(&self) -> Markup {
        let events = &self.shown.events;
        if events.is_empty() {
            return Markup::default();
        }
        html! {
            section.card aria-labelledby="events" {
                header { h2 #events { "Latest webhook events" } }
                div.wide tabindex="0" role="region" aria-label="Webhook events" {
                    table {
                        caption.unseen { "Webhook events of this link, the latest first" }
                        thead {
                            tr {
                                th scope="col" { "Received" }
                                th scope="col" { "Event" }
                                th scope="col" { "What came of it" }
                                th.number scope="col" { "Deliveries" }
                            }
                        }
                        tbody { @for event in events { (self.event(event)) } }
                    }
                }
            }
        }
    }

    fn event(&self, event: &EventRow) -> Markup {
        let without_outcome = if event.handled_at.is_some() { "handled" } else { "waiting" };
        html! {
            tr {
                th scope="row" { (self.watch.instant(event.received_at)) }
                td { (event.event_type) }
                td { (event.outcome.as_deref().unwrap_or(without_outcome)) }
                td.number { (count(event.deliveries)) }
            }
        }
    }
}
