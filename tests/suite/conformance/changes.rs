//! The feed of changes: whoever goes on after the last id they have gets every change once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use passbook::config::RetentionConfig;
use passbook::daemon;
use passbook::sandbox::{NewTransaction, Pace, Plan, PostStyle, Served};
use passbook::store::FeedChange;
use serde_json::{Map, Value};

use crate::harness::Bench;

at_every_aggregator!(
    a_reader_of_the_feed_ends_with_the_rows_of_the_store,
    a_reader_learns_which_accounts_were_forgotten,
    what_is_too_old_is_dropped_and_nothing_that_is_needed,
);

async fn read(bench: &Bench, since: i64, limit: usize) -> (Vec<FeedChange>, i64) {
    let page = bench.store.read(move |txn| txn.change_feed(since, None, limit)).await.expect("the store works");
    (page.changes, page.read_to)
}

/// Another system: goes on where it was, a few lines at a time.
#[derive(Default)]
struct Reader {
    last: i64,
    seen: BTreeSet<i64>,
    rows: BTreeMap<i64, (i64, Map<String, Value>)>,
}

impl Reader {
    async fn catch_up(&mut self, bench: &Bench, at_once: usize) {
        loop {
            let (changes, _) = read(bench, self.last, at_once).await;
            for change in &changes {
                assert!(change.change_id > self.last && self.seen.insert(change.change_id), "{change:?}");
                self.last = change.change_id;
                let Some(of) = &change.of else {
                    self.rows.retain(|_, (account, _)| *account != change.account_id);
                    continue;
                };
                let row = self.rows.entry(of.transaction_id).or_insert((change.account_id, Map::new()));
                if change.kind == "added" {
                    assert!(row.1.is_empty() && of.before.is_none());
                } else {
                    for (name, value) in of.before.as_ref().expect("values") {
                        assert_eq!(row.1.get(name).unwrap_or(&Value::Null), value, "{name} of {change:?}");
                    }
                }
                row.1.extend(of.after.clone());
            }
            if changes.len() < at_once {
                return;
            }
        }
    }

    fn live(&self) -> BTreeMap<String, (String, String, String)> {
        let is_live = |row: &&Map<String, Value>| row.get("removed_at").is_none_or(Value::is_null);
        let text = |row: &Map<String, Value>, name: &str| {
            row[name].as_str().map_or_else(|| row[name].to_string(), str::to_owned)
        };
        let rows = self.rows.values().map(|(_, row)| row).filter(is_live);
        rows.map(|row| {
            (text(row, "upstream_id"), (text(row, "amount_minor"), text(row, "status"), text(row, "description")))
        })
        .collect()
    }
}

fn stored(bench: &Bench) -> BTreeMap<String, (String, String, String)> {
    let rows = bench.rows("SELECT upstream_id, amount_minor, status, description FROM v_transactions");
    rows.into_iter().map(|mut row| (row.remove(0), (row.remove(0), row.remove(0), row.remove(0)))).collect()
}

async fn town(serves: Served) -> Bench {
    let bench = Bench::pulling(serves, "");
    bench.bank.settings(|s| s.pace = Pace::instant());
    bench.bank.seed_world(&Plan { links: 3, transactions_per_link: 30, days: 20, ..Plan::default() });
    bench.run_once().await;
    bench
}

async fn a_reader_of_the_feed_ends_with_the_rows_of_the_store(serves: Served) {
    let bench = town(serves).await;
    let (mut steady, mut late) = (Reader::default(), Reader::default());
    steady.catch_up(&bench, 7).await;
    assert_eq!(steady.live(), stored(&bench));
    for round in 0..3_i64 {
        for link in bench.bank.truth().links {
            let rows = &link.transactions;
            let nth = usize::try_from(round).expect("small");
            bench.bank.edit_transaction(rows[6 + nth].id, Some(-9_000 - round), Some("EDITED"));
            if let Some(pending) = rows.iter().find(|t| t.status.is_pending()) {
                bench.bank.post_pending(pending.id, PostStyle::NewIdSameExternalId);
            }
            bench.bank.remove_transaction(rows[12 + nth].id);
            bench.bank.add_transaction(link.accounts[0].id, NewTransaction::posted(-55 - round, "NEW"));
        }
        bench.aggregator_reads_banks();
        bench.pass(Duration::from_hours(9)).await;
        bench.sync_all(true).await;
        if round == 0 {
            steady.catch_up(&bench, 5).await;
            assert_eq!(steady.live(), stored(&bench));
        }
    }
    steady.catch_up(&bench, 1).await;
    late.catch_up(&bench, 1_000).await;
    assert_eq!(steady.live(), stored(&bench));
    assert_eq!(late.live(), stored(&bench), "added tells the values as they were then");
    let all: i64 = bench.value("SELECT count(*) FROM transaction_changes").parse().expect("a number");
    assert_eq!((i64::try_from(steady.seen.len()), i64::try_from(late.seen.len())), (Ok(all), Ok(all)));
    assert_eq!(read(&bench, steady.last, 10).await, (Vec::new(), steady.last));
}

async fn a_reader_learns_which_accounts_were_forgotten(serves: Served) {
    let bench = town(serves).await;
    let (mut steady, mut late) = (Reader::default(), Reader::default());
    steady.catch_up(&bench, 100).await;
    let last = bench.value("SELECT max(change_id) FROM transaction_changes");
    let user = bench.bank.truth().links[0].user_upstream_id.clone();
    let source: i64 = bench.value("SELECT source_id FROM sources").parse().expect("a number");
    let erasure =
        bench.engine().await.forget(source, user, false).await.expect("the store works").pop().expect("known");
    assert!(erasure.finished_at.is_some(), "{erasure:?}");
    // Ids are not used again although the highest may be gone.
    bench.bank.add_transaction(bench.bank.truth().links[2].accounts[0].id, NewTransaction::posted(-5, "AFTER"));
    bench.aggregator_reads_banks();
    bench.pass(Duration::from_hours(9)).await;
    bench.sync_all(false).await;
    steady.catch_up(&bench, 2).await;
    late.catch_up(&bench, 2).await;
    assert_eq!(steady.live(), stored(&bench));
    assert_eq!(late.live(), stored(&bench));
    let erased = bench.value("SELECT min(change_id) FROM erased_accounts");
    assert!(erased.parse::<i64>().expect("an id") > last.parse().expect("an id"), "{erased} after {last}");
}

async fn what_is_too_old_is_dropped_and_nothing_that_is_needed(serves: Served) {
    let bench = town(serves).await;
    let week = Some(Duration::from_hours(24 * 7));
    let retention =
        RetentionConfig { syncs: week, request_usage: week, balances: week, raw: week, ..RetentionConfig::default() };
    for _ in 0..2 {
        for link in bench.bank.truth().links {
            bench.bank.add_transaction(link.accounts[0].id, NewTransaction::posted(-55, "NEW"));
        }
        bench.aggregator_reads_banks();
        bench.pass(Duration::from_hours(24 * 6)).await;
        bench.run_once().await;
    }
    let engine = bench.engine().await;
    for source in engine.sources() {
        daemon::flush_usage(&engine, source).await;
    }
    let count = |sql: &str| bench.value(sql).parse::<i64>().expect("a number");
    let rows = stored(&bench);
    let balances = bench.rows("SELECT account_id, current_minor FROM v_accounts");
    let (syncs, observed) = (count("SELECT count(*) FROM syncs"), count("SELECT count(*) FROM balances"));
    daemon::drop_old(&engine, &retention).await;
    assert!(count("SELECT count(*) FROM syncs") < syncs && count("SELECT count(*) FROM balances") < observed);
    let limit = bench.clock.now().as_millisecond() - 7 * 24 * 3_600_000;
    assert_eq!(count(&format!("SELECT count(*) FROM syncs WHERE started_at < {limit}")), 0);
    assert_eq!(count(&format!("SELECT count(*) FROM request_usage WHERE minute_at < {limit}")), 0);
    assert_eq!(count(&format!("SELECT count(*) FROM transactions WHERE raw IS NOT NULL AND changed_at < {limit}")), 0);
    assert_ne!(count("SELECT count(*) FROM transactions WHERE raw IS NOT NULL"), 0, "younger ones keep it");
    assert_eq!(bench.rows("SELECT account_id, current_minor FROM v_accounts"), balances);
    assert_eq!(stored(&bench), rows);
    let changes = bench.changes();
    bench.sync_all(true).await;
    assert_eq!(bench.changes(), changes, "nothing comes back as news");
    bench.assert_verifies().await;
}
