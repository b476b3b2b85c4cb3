//! Two customers of one bank: one meets a fault of the aggregator, the other must not notice.

use std::time::Duration;

use jiff::SignedDuration;
use passbook::sandbox::{
    Fault, LinkId, NewAccount, NewTransaction, PostStyle, Scope, Served, ThrottleForm, TransactionId, UserId,
};
use passbook::store::Outcome::{self, Deferred, Failed, Ok, Partial};

use crate::harness::Bench;
use crate::home::word;

const HUGE: usize = 40 * 1024 * 1024;

/// Where a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Discovery,
    /// The data of a link, from its first sync on.
    Link,
    /// Where a user's token is asked for.
    Token,
    /// The list of a user's links.
    Links,
    RefreshPost,
    RefreshPoll,
    /// The list of accounts with their balances.
    Accounts,
    Auth,
    FirstPage,
    SecondPage,
}

use Place::{Accounts, Auth, Discovery, FirstPage, Link, Links, RefreshPoll, RefreshPost, SecondPage, Token};

/// What any request can meet, with how a sync ends that meets it at every read, and what became of a refresh whose
/// request met it.
pub(crate) fn anywhere(serves: Served) -> Vec<(Fault, Outcome, &'static str)> {
    // Truv's proxies word a throttle so; at Bridge such words are known of nobody.
    let under_503 = match serves {
        Served::Truv => Deferred,
        Served::Bridge => Failed,
    };
    vec![
        (Fault::Throttle(ThrottleForm::ErrorEnvelope), Deferred, "throttled"),
        (Fault::Throttle(ThrottleForm::RetryDate), Deferred, "throttled"),
        (Fault::Throttle(ThrottleForm::Detail), Deferred, "throttled"),
        (Fault::Throttle(ThrottleForm::TextUnder503), under_503, "throttled"),
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

/// Two customers: one meets the fault, the other must not notice.
pub(crate) struct Street {
    pub(crate) bench: Bench,
    pub(crate) victim: LinkId,
    victim_user: UserId,
    pub(crate) bystander: LinkId,
    pending: Vec<TransactionId>,
}

impl Street {
    pub(crate) fn at(serves: Served) -> Self {
        let bench = Bench::at(serves, "page_size = 10");
        let (mut pending, mut users) = (Vec::new(), Vec::new());
        let links: Vec<LinkId> = (0..2)
            .map(|nth| {
                let user = bench.bank.add_user(&format!("customer-{nth}"));
                users.push(user);
                let link = bench.bank.add_link(user, "wells_fargo");
                let account = bench.bank.add_account(link, NewAccount::checking("Everyday", 90_000));
                let day = SignedDuration::from_hours(24);
                let now = bench.bank.now();
                for n in 0..22 {
                    let new = NewTransaction::posted(-100 - i64::from(n), &format!("SHOP {}", word(n.into())));
                    bench.bank.add_transaction(account, new.at(now - day * n / 2));
                }
                for n in 0..3 {
                    let (amount, text) = (-5_000 - i64::from(n), format!("HOLD {}", word(n.into())));
                    let new = match serves {
                        Served::Truv => NewTransaction::pending(amount, &text).at(now - day),
                        Served::Bridge => NewTransaction::future(amount, &text, now + day * 20),
                    };
                    pending.push(bench.bank.add_transaction(account, new));
                }
                link
            })
            .collect();
        Self { bench, victim: links[0], victim_user: users[0], bystander: links[1], pending }
    }

    /// Lets the bank move on: rows post in all three styles, one vanishes, new ones come.
    pub(crate) fn move_on(&self) {
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
        self.bench.aggregator_reads_banks();
    }

    pub(crate) fn scope(&self, place: Place) -> Scope {
        let (link, user) = (Scope::link(self.victim), Scope::user(self.victim_user));
        match (self.bench.serves, place) {
            (Served::Truv, Discovery) => Scope::path("/v1/users/"),
            (Served::Truv, Link) => link,
            (Served::Truv, RefreshPost) => link.with_path("/v1/refresh/tasks/").method("POST"),
            (Served::Truv, RefreshPoll) => link.with_path("/v1/refresh/tasks/").method("GET"),
            (Served::Truv, Accounts) => link.with_path("/balances/"),
            (Served::Truv, Auth) => link.with_path("/auth/"),
            (Served::Truv, FirstPage) => link.with_path("/transactions/?page=1&"),
            (Served::Truv, SecondPage) => link.with_path("/transactions/?page=2&"),
            (Served::Bridge, Discovery) => Scope::path("/v3/aggregation/users"),
            (Served::Bridge, Token) => user.with_path("/authorization/token"),
            (Served::Bridge, Links) => user.with_path("/items"),
            (Served::Bridge, Accounts) => user.with_path("/accounts"),
            // A walk that meets it ends there, so every page is the first.
            (Served::Bridge, Link | FirstPage) => user.with_path("/transactions?"),
            (Served::Bridge, SecondPage) => user.with_path("after="),
            (Served::Truv, Token | Links) | (Served::Bridge, RefreshPost | RefreshPoll | Auth) => {
                unreachable!("no such place there")
            }
        }
    }

    /// The value of a column of a link.
    pub(crate) fn of(&self, link: LinkId, column: &str) -> String {
        self.bench.value(&format!("SELECT {column} FROM v_link_health WHERE upstream_link_id = '{link}'"))
    }

    /// How the last sync of a link ended.
    pub(crate) fn outcome(&self, link: LinkId) -> String {
        self.bench.value(&format!(
            "SELECT coalesce((SELECT outcome FROM syncs JOIN links USING (link_id) WHERE upstream_id = '{link}'
                              ORDER BY syncs.sync_id DESC LIMIT 1), 'none')"
        ))
    }

    /// No description is there twice: every row of this street has its own.
    pub(crate) fn assert_nothing_doubled(&self, case: &str) {
        let doubled = self.bench.rows(
            "SELECT description FROM v_transactions WHERE description <> 'DRIFTED IN' GROUP BY link_id, description
                    HAVING count(*) > 1",
        );
        assert!(doubled.is_empty(), "{case}: {doubled:?}");
    }

    /// Every refresh that the aggregator accepted stands in the ledger, and there is at most one a link.
    pub(crate) fn assert_refreshes_booked_once(&self, case: &str) {
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
pub(crate) async fn strike(serves: Served, place: Place, fault: &Fault, expected: Outcome) -> Street {
    let street = Street::at(serves);
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
    if expected == Partial || serves == Served::Bridge {
        // Malformed rows, and what moved while it was read, are looked at again on schedule; what was seen before it went is
        // decided by a second walk.
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
