//! The smallest world: one customer with one checking account, whose changes show without a refresh.

use std::collections::BTreeSet;
use std::time::Duration;

use passbook::sandbox::{AccountId, LinkId, NewAccount, NewTransaction, Served, TransactionId};
use passbook::store::Outcome;
use passbook::sync::SyncReport;

use crate::harness::Bench;

/// One link with one account.
pub(crate) struct Home {
    pub(crate) bench: Bench,
    pub(crate) link: LinkId,
    pub(crate) account: AccountId,
}

/// A stored transaction, by what tells it from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) transaction_id: String,
    pub(crate) upstream_id: String,
    pub(crate) status: String,
    pub(crate) amount_minor: String,
    pub(crate) is_live: bool,
}

impl Home {
    /// A home whose source has these further lines; nothing is stored yet.
    pub(crate) fn with(source_lines: &str) -> Self {
        Self::of(Bench::with(source_lines))
    }

    /// A home at either aggregator that is pulled without refreshes, with these further lines.
    pub(crate) fn at(serves: Served, source_lines: &str) -> Self {
        Self::of(Bench::pulling(serves, source_lines))
    }

    /// A home in a bank.
    pub(crate) fn of(bench: Bench) -> Self {
        bench.bank.settings(|s| s.visible_immediately = true);
        let user = bench.bank.add_user("customer-1");
        let link = bench.bank.add_link(user, "wells_fargo");
        let account = bench.bank.add_account(link, NewAccount::checking("Everyday Checking", 500_000));
        Self { bench, link, account }
    }

    /// A home that is pulled without refreshes, ten rows a page.
    pub(crate) fn new() -> Self {
        Self::with("refreshes_per_day = 0\npage_size = 10")
    }

    /// Adds a transaction that happened some days ago.
    pub(crate) fn add(&self, days_ago: i64, new: NewTransaction) -> TransactionId {
        let at = self.bench.bank.now() - jiff::SignedDuration::from_hours(24 * days_ago);
        let new = match new.transacted_at {
            Some(_) => new,
            None => new.at(at),
        };
        self.bench.bank.add_transaction(self.account, new)
    }

    /// Adds a row that waits to be booked, as the aggregator tells of such: one announced `days` ago, or planned in as many.
    pub(crate) fn add_waiting(&self, days: i64, amount_minor: i64, description: &str) -> TransactionId {
        self.bench.bank.add_transaction(self.account, self.waiting(days, amount_minor, description))
    }

    /// The same with the bank's own identifier, or without.
    pub(crate) fn add_waiting_as(&self, days: i64, minor: i64, description: &str, key: Option<&str>) -> TransactionId {
        let new = NewTransaction { external_id: key.map(str::to_owned), ..self.waiting(days, minor, description) };
        self.bench.bank.add_transaction(self.account, new)
    }

    /// A row that waits to be booked.
    pub(crate) fn waiting(&self, days: i64, amount_minor: i64, description: &str) -> NewTransaction {
        let (now, days) = (self.bench.bank.now(), jiff::SignedDuration::from_hours(24 * days));
        match self.bench.serves {
            Served::Truv => NewTransaction::pending(amount_minor, description).at(now - days),
            Served::Bridge => NewTransaction::future(amount_minor, description, now + days),
        }
    }

    /// How a row that waits to be booked is stored.
    pub(crate) fn waiting_status(&self) -> &'static str {
        match self.bench.serves {
            Served::Truv => "pending",
            Served::Bridge => "future",
        }
    }

    /// Adds posted rows, one a day from `days_ago` back, so that a list has several pages.
    pub(crate) fn add_many(&self, count: i64, days_ago: i64) -> Vec<TransactionId> {
        (0..count)
            .map(|n| self.add(days_ago + n, NewTransaction::posted(-1_000 - n, &format!("PURCHASE {}", word(n)))))
            .collect()
    }

    /// Pulls the link now and returns how that ended.
    pub(crate) async fn sync(&self) -> SyncReport {
        self.sync_as(false).await
    }

    async fn sync_as(&self, full: bool) -> SyncReport {
        let reports = self.bench.sync_all(full).await;
        reports.into_iter().next_back().expect("a sync ended")
    }

    /// Pulls over a slow line while a reader looks again and again: the report, and every number of live rows it saw.
    pub(crate) async fn sync_watched(&self) -> (SyncReport, BTreeSet<usize>) {
        self.bench.bank.settings(|s| s.latency = Duration::from_millis(100));
        let mut seen = BTreeSet::new();
        let watching = async {
            loop {
                let rows = self.bench.value("SELECT count(*) FROM v_transactions");
                seen.insert(rows.parse().expect("a number"));
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        };
        let report = tokio::select! {
            report = self.sync() => report,
            () = watching => unreachable!("it watches for ever"),
        };
        self.bench.bank.settings(|s| s.latency = Duration::ZERO);
        seen.insert(self.bench.value("SELECT count(*) FROM v_transactions").parse().expect("a number"));
        (report, seen)
    }

    /// Pulls, and insists that it went well and the store is the bank's truth.
    pub(crate) async fn settle(&self) -> SyncReport {
        let report = self.sync().await;
        assert_eq!(report.outcome, Outcome::Ok, "{report:?}");
        self.bench.assert_store_is_truth();
        self.bench.assert_verifies().await;
        report
    }

    /// Lets hours pass without a daemon.
    pub(crate) async fn hours(&self, hours: u64) {
        self.bench.pass(Duration::from_hours(hours)).await;
    }

    /// The stored rows with a description, oldest first; removed ones too.
    pub(crate) fn stored(&self, description: &str) -> Vec<Stored> {
        let rows = self.bench.rows(&format!(
            "SELECT transaction_id, upstream_id, status, amount_minor, removed_at IS NULL FROM transactions
             WHERE description = '{description}' ORDER BY transaction_id"
        ));
        rows.into_iter()
            .map(|row| Stored {
                transaction_id: row[0].clone(),
                upstream_id: row[1].clone(),
                status: row[2].clone(),
                amount_minor: row[3].clone(),
                is_live: row[4] == "1",
            })
            .collect()
    }

    /// The one stored row with a description.
    pub(crate) fn only(&self, description: &str) -> Stored {
        let rows = self.stored(description);
        assert_eq!(rows.len(), 1, "{description}: {rows:?}");
        rows[0].clone()
    }

    /// The kinds of change of the rows with a description, in the order they happened.
    pub(crate) fn kinds(&self, description: &str) -> Vec<String> {
        let rows = self.bench.rows(&format!(
            "SELECT kind FROM transaction_changes WHERE transaction_id IN
                 (SELECT transaction_id FROM transactions WHERE description = '{description}') ORDER BY change_id"
        ));
        rows.into_iter().map(|mut row| row.remove(0)).collect()
    }

    /// The rules under which a row's former ids were matched, oldest first.
    pub(crate) fn rules(&self, transaction_id: &str) -> Vec<String> {
        let rows = self.bench.rows(&format!(
            "SELECT rule FROM transaction_aliases WHERE transaction_id = {transaction_id} ORDER BY matched_at, alias_id"
        ));
        rows.into_iter().map(|mut row| row.remove(0)).collect()
    }
}

/// A word without digits for a number: descriptions are compared by their words.
pub(crate) fn word(n: i64) -> String {
    let letter = |n: i64| char::from(b'A' + u8::try_from(n % 26).expect("a letter"));
    [letter(n / 676), letter(n / 26), letter(n), 'X'].iter().collect()
}
