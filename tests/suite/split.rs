//! A joined account that an operator takes apart: what goes with which account, and what the history says of it.

use std::collections::BTreeMap;
use std::time::Duration;

use passbook::sandbox::{AccountId, LinkId, NewTransaction, Reissue};
use serde_json::{Map, Value, json};

use crate::bridge_states::{one_link, quiet};
use crate::harness::Bench;

const HOUR: Duration = Duration::from_hours(1);

/// The row that came after the join.
const SINCE: &str = "SELECT transaction_id, upstream_id FROM transactions WHERE amount_minor = -7777";
/// Every row with its account and id.
const ROWS: &str = "SELECT transaction_id, account_id, upstream_id FROM transactions ORDER BY transaction_id";

/// An account of three rows that goes on under a new link, with one row more that came there and was made anew since.
struct Joined {
    bench: Bench,
    new: LinkId,
    /// Ours.
    account_id: i64,
    /// Its rows before it was joined: our ids and upstream's.
    before: Vec<Vec<String>>,
}

impl Joined {
    async fn with_a_row_made_anew(deletes_former: bool) -> Self {
        let bench = quiet("");
        let old = one_link(&bench);
        bench.run_once().await;
        let account_id = bench.value("SELECT account_id FROM accounts").parse().expect("an id");
        let before = rows_of(&bench, account_id);
        bench.pass(7 * HOUR).await;
        let new = bench.bank.readd_link(old);
        if deletes_former {
            bench.bank.delete_link(old);
        }
        bench.pass(7 * HOUR).await;
        bench.run_once().await;
        let joined = Self { bench, new, account_id, before };
        assert_eq!(joined.bench.value("SELECT count(*) FROM account_aliases"), "1");
        joined.bench.bank.add_transaction(joined.upstream_account(), NewTransaction::posted(-7_777, "NOUVEAU"));
        joined.hours_later().await;
        let first_id = joined.bench.rows(SINCE);
        joined.bench.bank.reissue_ids(Reissue::Account(joined.upstream_account()), false);
        joined.hours_later().await;
        assert_ne!(joined.bench.rows(SINCE), first_id);
        assert_eq!(joined.bench.value("SELECT count(*) FROM transactions"), "4", "every row kept its place");
        joined
    }

    fn upstream_account(&self) -> AccountId {
        self.bench.bank.truth().link(self.new).expect("a link").accounts[0].id
    }

    async fn hours_later(&self) {
        self.bench.bank.refresh_item(self.new);
        self.bench.pass(7 * HOUR).await;
        self.bench.run_once().await;
    }

    /// Our id of the new account.
    async fn split(&self) -> i64 {
        let (account_id, now) = (self.account_id, self.bench.clock.now());
        let split = self.bench.store.write(move |txn| txn.split_account(account_id, now)).await;
        split.expect("the store works").expect("it was joined")
    }
}

fn rows_of(bench: &Bench, account_id: i64) -> Vec<Vec<String>> {
    bench.rows(&format!(
        "SELECT transaction_id, upstream_id FROM v_transactions WHERE account_id = {account_id} ORDER BY transaction_id"
    ))
}

#[tokio::test(start_paused = true)]
async fn a_row_that_came_since_and_was_made_anew_goes_with_the_new_account() {
    for deletes_former in [true, false] {
        let joined = Joined::with_a_row_made_anew(deletes_former).await;
        let bench = &joined.bench;
        let since = bench.rows(SINCE);
        let new_id = joined.split().await;
        assert_eq!(rows_of(bench, joined.account_id), joined.before, "the former account is what it was");
        assert_eq!(rows_of(bench, new_id), since, "under the id it has now");
        let aliases = bench.rows("SELECT transaction_id FROM transaction_aliases");
        assert_eq!(aliases, [[since[0][0].clone()]], "its own former id alone");
        bench.assert_verifies().await;
        for _ in 0..2 {
            joined.hours_later().await;
            bench.sync_all(true).await;
        }
        assert_eq!(rows_of(bench, joined.account_id), joined.before, "former deleted: {deletes_former}");
        assert_eq!(rows_of(bench, new_id).len(), 4, "former deleted: {deletes_former}");
        let since_now = bench.rows("SELECT transaction_id, upstream_id FROM v_transactions WHERE amount_minor = -7777");
        assert_eq!(since_now, since, "once, in the row that it had");
        bench.assert_store_is_truth();
        bench.assert_verifies().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_history_says_of_every_row_that_a_split_moves_or_renames() {
    let joined = Joined::with_a_row_made_anew(true).await;
    let bench = &joined.bench;
    let was = bench.rows(ROWS);
    let last: i64 = bench.value("SELECT max(change_id) FROM transaction_changes").parse().expect("an id");
    let new_id = joined.split().await;
    let is = bench.rows(ROWS);
    let page = bench.store.read(move |txn| txn.change_feed(last, None, 100)).await.expect("the store works");
    let mut told = BTreeMap::new();
    for change in page.changes {
        let of = change.of.expect("of a row");
        assert_eq!(change.kind, "updated");
        let values = (change.account_id, of.upstream_id, of.before, of.after);
        assert!(
            told.insert(of.transaction_id.to_string(), values).is_none(),
            "{} was told of twice",
            of.transaction_id
        );
    }
    assert_eq!(told.len(), 4, "three got their ids back, one its account: {told:#?}");
    for (was, is) in was.iter().zip(&is) {
        let (account_id, upstream_id, before, after) = told.remove(&is[0]).expect("a change");
        assert_eq!((account_id.to_string(), upstream_id), (is[1].clone(), is[2].clone()), "a line tells what is now");
        let [mut from, mut to] = [Map::new(), Map::new()];
        if was[1] == is[1] {
            from.insert("upstream_id".to_owned(), json!(was[2]));
            to.insert("upstream_id".to_owned(), json!(is[2]));
        } else {
            from.insert("account_id".to_owned(), json!(joined.account_id));
            to.insert("account_id".to_owned(), json!(new_id));
            assert_eq!(was[2], is[2]);
        }
        assert_eq!((before, after), (Some(from), to));
    }
    // Ids go on behind those that were given.
    bench.bank.add_transaction(joined.upstream_account(), NewTransaction::posted(-8_888, "ENSUITE"));
    joined.hours_later().await;
    let page = bench.store.read(|txn| txn.change_feed(0, None, 1_000)).await.expect("the store works");
    let mut followed: BTreeMap<i64, Value> = BTreeMap::new();
    for of in page.changes.into_iter().filter_map(|change| change.of) {
        if let Some(id) = of.after.get("upstream_id") {
            let known = followed.insert(of.transaction_id, id.clone());
            assert_eq!(known.as_ref(), of.before.as_ref().and_then(|before| before.get("upstream_id")));
        }
    }
    let stored = bench.rows("SELECT transaction_id, upstream_id FROM transactions ORDER BY transaction_id");
    let followed: Vec<_> = followed
        .into_iter()
        .map(|(id, upstream)| vec![id.to_string(), upstream.as_str().unwrap_or_default().to_owned()])
        .collect();
    assert_eq!(followed, stored);
}
