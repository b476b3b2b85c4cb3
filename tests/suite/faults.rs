//! Every fault of the aggregator at every place it can strike: a clear outcome, nothing lost, nothing doubled.

use std::time::Duration;

use jiff::SignedDuration;
use passbook::sandbox::{Fault, LinkId, NewAccount, NewTransaction, PostStyle, Scope, ThrottleForm, TransactionId};
use passbook::store::Outcome::{self, Deferred, Failed, Ok, Partial};

use crate::harness::Bench;
use crate::home::word;

const HUGE: usize = 40 * 1024 * 1024;

/// Where a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Discovery,
    Link,
    RefreshPost,
    RefreshPoll,
    Balances,
    Auth,
    FirstPage,
    SecondPage,
}

use Place::{Auth, Balances, Discovery, FirstPage, Link, RefreshPoll, RefreshPost, SecondPage};

/// What any request can meet, with how a sync ends that meets it at every read, and what became of a refresh whose
/// request met it.
fn anywhere() -> Vec<(Fault, Outcome, &'static str)> {
    vec![
        (Fault::Throttle(ThrottleForm::ErrorEnvelope), Deferred, "throttled"),
        (Fault::Throttle(ThrottleForm::RetryDate), Deferred, "throttled"),
        (Fault::Throttle(ThrottleForm::Detail), Deferred, "throttled"),
        (Fault::Throttle(ThrottleForm::TextUnder503), Deferred, "throttled"),
        (Fault::Status(500), Failed, "not_sent"),
        (Fault::Html502, Failed, "not_sent"),
        (Fault::Hang, Failed, "done"),
        (Fault::Reset, Failed, "done"),
        (Fault::CutBody, Failed, "done"),
        (Fault::NotJson, Failed, "not_sent"),
        (Fault::EmptyBody, Failed, "not_sent"),
        (Fault::WrongContentType, Failed, "done"),
        (Fault::HugeBody(HUGE), Failed, "not_sent"),
        (Fault::Slow(SignedDuration::from_secs(9)), Ok, "done"),
        (Fault::ClockSkew(SignedDuration::from_secs(90)), Ok, "done"),
        (Fault::ClockSkew(SignedDuration::from_secs(-90)), Ok, "done"),
    ]
}

/// What only a list of transactions can meet, with how a sync ends that meets it on every page from the first or second on.
fn in_lists() -> Vec<(Fault, Outcome)> {
    vec![
        (Fault::RepeatPage, Partial),
        (Fault::InvalidPage404, Partial),
        (Fault::DriftWhilePaging, Partial),
        (Fault::ShrinkWhilePaging, Partial),
        (Fault::RowWithoutId, Partial),
        (Fault::BadAmount, Partial),
        (Fault::DuplicateRow, Ok),
    ]
}

/// Two customers: one meets the fault, the other must not notice.
struct Street {
    bench: Bench,
    victim: LinkId,
    bystander: LinkId,
    pending: Vec<TransactionId>,
}

impl Street {
    fn new() -> Self {
        let bench = Bench::with("page_size = 10");
        let mut pending = Vec::new();
        let links: Vec<LinkId> = (0..2)
            .map(|nth| {
                let user = bench.bank.add_user(&format!("customer-{nth}"));
                let link = bench.bank.add_link(user, "wells_fargo");
                let account = bench.bank.add_account(link, NewAccount::checking("Everyday", 90_000));
                let day = SignedDuration::from_hours(24);
                let now = bench.bank.now();
                for n in 0..22 {
                    let new = NewTransaction::posted(-100 - i64::from(n), &format!("SHOP {}", word(n.into())));
                    bench.bank.add_transaction(account, new.at(now - day * n / 2));
                }
                for n in 0..3 {
                    let new = NewTransaction::pending(-5_000 - i64::from(n), &format!("HOLD {}", word(n.into())));
                    pending.push(bench.bank.add_transaction(account, new.at(now - day)));
                }
                link
            })
            .collect();
        Self { bench, victim: links[0], bystander: links[1], pending }
    }

    /// Lets the bank move on: rows post in all three styles, one vanishes, new ones come.
    fn move_on(&self) {
        for link in [0, 3] {
            let bank = &self.bench.bank;
            bank.post_pending(self.pending[link], PostStyle::SameId);
            bank.post_pending(self.pending[link + 1], PostStyle::NewIdOnly);
            bank.remove_transaction(self.pending[link + 2]);
        }
        for link in self.bench.bank.truth().links {
            for n in 0..9 {
                let new = NewTransaction::posted(-777 - n, &format!("NEWS {}", word(n)));
                self.bench.bank.add_transaction(link.accounts[0].id, new);
            }
        }
    }

    fn scope(&self, place: Place) -> Scope {
        let victim = Scope::link(self.victim);
        match place {
            Discovery => Scope::path("/v1/users/"),
            Link => victim,
            RefreshPost => victim.with_path("/v1/refresh/tasks/").method("POST"),
            RefreshPoll => victim.with_path("/v1/refresh/tasks/").method("GET"),
            Balances => victim.with_path("/balances/"),
            Auth => victim.with_path("/auth/"),
            FirstPage => victim.with_path("/transactions/?page=1&"),
            SecondPage => victim.with_path("/transactions/?page=2&"),
        }
    }

    /// The value of a column of a link.
    fn of(&self, link: LinkId, column: &str) -> String {
        self.bench.value(&format!("SELECT {column} FROM v_link_health WHERE upstream_link_id = '{link}'"))
    }

    /// How the last sync of a link ended.
    fn outcome(&self, link: LinkId) -> String {
        self.bench.value(&format!(
            "SELECT coalesce((SELECT outcome FROM syncs JOIN links USING (link_id) WHERE upstream_id = '{link}'
                              ORDER BY syncs.sync_id DESC LIMIT 1), 'none')"
        ))
    }

    /// No description is there twice: every row of this street has its own.
    fn assert_nothing_doubled(&self, case: &str) {
        let doubled = self.bench.rows(
            "SELECT description FROM v_transactions WHERE description <> 'DRIFTED IN' GROUP BY link_id, description
                    HAVING count(*) > 1",
        );
        assert!(doubled.is_empty(), "{case}: {doubled:?}");
    }

    /// Every refresh that the aggregator accepted stands in the ledger, and there is at most one a link.
    fn assert_refreshes_booked_once(&self, case: &str) {
        for accepted in self.bench.bank.refreshes() {
            assert!(accepted.at.len() <= 1, "{case}: {accepted:?}");
        }
        let accepted: usize = self.bench.bank.refreshes().iter().map(|r| r.at.len()).sum();
        let booked = self
            .bench
            .value("SELECT count(*) FROM refreshes WHERE outcome NOT IN ('refused', 'throttled', 'not_sent')");
        assert_eq!(booked, accepted.to_string(), "{case}");
    }
}

/// Strikes once the daemon syncs, looks at what it made of it, clears the fault, and lets the daemon go on.
async fn strike(place: Place, fault: &Fault, expected: Outcome) -> Street {
    let street = Street::new();
    let case = format!("{fault:?} at {place:?}");
    let bench = &street.bench;
    let is_first = matches!(place, Discovery | Link);
    if !is_first {
        bench.run_once().await;
        bench.assert_store_is_truth();
        street.move_on();
        // The schedule comes round; numbers are read once a day.
        bench.pass(Duration::from_hours(if place == Auth { 25 } else { 9 })).await;
    }
    bench.bank.fault(fault.clone(), street.scope(place));
    bench.run_once().await;
    street.assert_nothing_doubled(&case);
    if place == Discovery {
        let is_listed = bench.value("SELECT discovered_at IS NOT NULL FROM sources");
        assert_eq!(is_listed == "1", expected == Ok, "{case}");
    } else {
        assert_eq!(street.outcome(street.victim), expected.as_str(), "{case}");
        let state = match expected {
            Failed => "failing",
            Deferred if is_first => "new",
            Ok | Partial | Deferred | Outcome::Attention => "active",
        };
        assert_eq!(street.of(street.victim, "state"), state, "{case}");
        if expected != Deferred {
            assert_eq!(street.outcome(street.bystander), "ok", "{case}: the neighbour");
        }
        assert_ne!(street.of(street.bystander, "state"), "failing", "{case}: the neighbour");
    }
    bench.bank.clear_faults();
    bench.pass(Duration::from_hours(2)).await;
    bench.run_once().await;
    street.assert_refreshes_booked_once(&case);
    street.assert_nothing_doubled(&case);
    if expected == Partial {
        // Malformed rows are looked at again on schedule; what was seen before it went is decided by a second walk.
        for _ in 0..2 {
            bench.pass(Duration::from_hours(9)).await;
            bench.run_once().await;
        }
    }
    for link in [street.victim, street.bystander] {
        assert_eq!(street.of(link, "state"), "active", "{case}");
        assert_eq!(street.of(link, "last_error"), "NULL", "{case}");
    }
    bench.assert_store_is_truth();
    bench.assert_verifies().await;
    street
}

async fn strike_everything_at(place: Place) {
    for (fault, expected, _) in anywhere() {
        strike(place, &fault, expected).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_discovery_that_meets_a_fault_is_made_up_for() {
    strike_everything_at(Discovery).await;
}

#[tokio::test(start_paused = true)]
async fn a_link_whose_first_sync_meets_a_fault_is_read_later() {
    strike_everything_at(Link).await;
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_cannot_be_looked_at_is_given_up_in_time_and_not_repeated() {
    for (fault, expected, _) in anywhere() {
        let expected = if expected == Failed { Ok } else { expected };
        strike(RefreshPoll, &fault, expected).await;
    }
}

#[tokio::test(start_paused = true)]
async fn balances_that_cannot_be_read_stop_the_sync_and_nothing_else() {
    strike_everything_at(Balances).await;
}

#[tokio::test(start_paused = true)]
async fn account_numbers_that_cannot_be_read_stop_only_themselves() {
    for (fault, expected, _) in anywhere() {
        let expected = if expected == Failed { Ok } else { expected };
        strike(Auth, &fault, expected).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_page_that_cannot_be_read_is_read_later() {
    strike_everything_at(FirstPage).await;
}

#[tokio::test(start_paused = true)]
async fn a_second_page_that_cannot_be_read_keeps_the_first() {
    strike_everything_at(SecondPage).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_for_a_refresh_is_never_doubled_whatever_becomes_of_its_answer() {
    let refused = (Fault::RefreshLimit, Ok, "refused");
    for (fault, read, became) in anywhere().into_iter().chain([refused]) {
        let expected = if read == Deferred { Deferred } else { Ok };
        let street = strike(RefreshPost, &fault, expected).await;
        let ledger = street.bench.rows(&format!(
            "SELECT r.outcome FROM refreshes r JOIN links l USING (link_id) WHERE l.upstream_id = '{}' ORDER BY refresh_id",
            street.victim
        ));
        assert_eq!(ledger[0][0], became, "{fault:?}: {ledger:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_lies_removes_nothing_and_is_read_again() {
    for (fault, expected) in in_lists() {
        for place in [FirstPage, SecondPage] {
            let needs_later_page = matches!(
                fault,
                Fault::RepeatPage | Fault::InvalidPage404 | Fault::DriftWhilePaging | Fault::ShrinkWhilePaging
            );
            if !(needs_later_page && place == FirstPage) {
                strike(place, &fault, expected).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_moves_once_is_read_again_at_once() {
    for (fault, _) in in_lists() {
        let street = Street::new();
        street.bench.run_once().await;
        street.move_on();
        street.bench.pass(Duration::from_hours(9)).await;
        let is_malformed = matches!(fault, Fault::RowWithoutId | Fault::BadAmount);
        let fault_id = street.bench.bank.fault(fault.clone(), street.scope(SecondPage).once());
        street.bench.run_once().await;
        street.bench.bank.clear_fault(fault_id);
        let expected = if is_malformed { "partial" } else { "ok" };
        assert_eq!(street.outcome(street.victim), expected, "{fault:?}");
        street.bench.pass(Duration::from_hours(9)).await;
        street.bench.run_once().await;
        street.bench.assert_store_is_truth();
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_lies_for_days_still_removes_nothing() {
    for fault in [Fault::RepeatPage, Fault::InvalidPage404, Fault::RowWithoutId, Fault::BadAmount] {
        let street = Street::new();
        street.bench.run_once().await;
        let before = street.bench.value("SELECT count(*) FROM v_transactions");
        street.bench.bank.fault(fault.clone(), street.scope(SecondPage));
        for _ in 0..6 {
            street.bench.pass(Duration::from_hours(9)).await;
            street.bench.run_once().await;
        }
        assert_eq!(street.bench.value("SELECT count(*) FROM v_transactions"), before, "{fault:?}");
        assert_eq!(street.outcome(street.victim), "partial", "{fault:?}");
        street.bench.bank.clear_faults();
        street.bench.pass(Duration::from_hours(9)).await;
        street.bench.run_once().await;
        street.bench.assert_store_is_truth();
        assert_eq!(street.bench.value("SELECT count(*) FROM rejected_rows WHERE resolved_at IS NULL"), "0");
    }
}
