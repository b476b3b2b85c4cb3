//! Accounts come and go, balances are observations, and the history replays.

use std::collections::BTreeMap;

use passbook::sandbox::{LivingPlan, NewAccount, NewTransaction, Plan, PostStyle, Reissue, Served};
use passbook::store::Outcome;
use serde_json::{Map, Value};

use crate::harness::Bench;
use crate::home::Home;

at_every_aggregator!(
    an_account_that_closes_and_reopens_keeps_its_history,
    accounts_under_new_ids_take_their_transactions_along,
    a_balance_is_written_only_when_it_differs,
    posted_rows_explain_every_change_of_balance,
    a_balance_that_no_row_explains_is_shown,
    the_history_replayed_backwards_gives_every_row_as_it_was_added,
);

async fn an_account_that_closes_and_reopens_keeps_its_history(serves: Served) {
    let home = Home::at(serves, "page_size = 10");
    let savings = home.bench.bank.add_account(home.link, NewAccount::savings("Rainy Day", 100_000));
    home.add_many(12, 1);
    let interest = home.bench.bank.add_transaction(savings, NewTransaction::posted(250, "INTEREST"));
    home.bench.bank.add_transaction(savings, home.waiting(0, -900, "TRANSFER OUT"));
    home.settle().await;
    home.bench.bank.close_account(savings);
    let report = home.settle().await;
    assert_eq!(report.counts.rows_changed(), 0, "its rows are history, not removed: {report:?}");
    home.hours(2).await;
    home.settle().await;
    let missing = home.bench.rows("SELECT name FROM accounts WHERE missing_at IS NOT NULL");
    assert_eq!(missing, [["Rainy Day".to_owned()]]);
    assert!(home.only("INTEREST").is_live);
    home.bench.bank.reopen_account(savings);
    let report = home.settle().await;
    assert_eq!(report.counts.rows_changed(), 0, "{report:?}");
    assert_eq!(home.bench.value("SELECT count(*) FROM accounts WHERE missing_at IS NOT NULL"), "0");
    assert_eq!(home.only("INTEREST").upstream_id, interest.to_string());
}

async fn accounts_under_new_ids_take_their_transactions_along(serves: Served) {
    let home = Home::at(serves, "page_size = 10");
    home.add_many(12, 1);
    home.settle().await;
    home.bench.bank.reissue_ids(Reissue::AccountsOf(home.link), true);
    let report = home.settle().await;
    assert_eq!((report.counts.rows_added, report.counts.rows_updated), (0, 12), "{report:?}");
    assert_eq!(home.bench.value("SELECT count(*) FROM transactions"), "12");
    assert_eq!(home.bench.value("SELECT count(*) FROM accounts WHERE missing_at IS NULL"), "1");
}

async fn a_balance_is_written_only_when_it_differs(serves: Served) {
    let home = Home::at(serves, "page_size = 10");
    home.settle().await;
    home.settle().await;
    assert_eq!(home.bench.value("SELECT count(*) FROM balances"), "1");
    home.add(0, NewTransaction::posted(-1_000, "LUNCH"));
    home.settle().await;
    home.settle().await;
    assert_eq!(
        home.bench.rows("SELECT current_minor, available_minor FROM balances ORDER BY observed_at"),
        [["500000", "500000"], ["499000", "499000"]].map(|row| row.map(str::to_owned))
    );
}

async fn posted_rows_explain_every_change_of_balance(serves: Served) {
    let home = Home::at(serves, "page_size = 10");
    let rows = home.add_many(8, 1);
    let pending = home.add_waiting(0, -3_300, "TAILOR");
    let moved = home.add_waiting(0, -2_200, "FLORIST");
    home.settle().await;
    for step in 0..6 {
        match step {
            0 => drop(home.add(0, NewTransaction::posted(70_000, "SALARY"))),
            1 => drop(home.bench.bank.post_pending(pending, PostStyle::SameId)),
            2 => drop(home.bench.bank.post_pending(moved, PostStyle::NewIdOnly)),
            3 => drop(home.bench.bank.reissue_ids(Reissue::Link(home.link), true)),
            4 => drop(home.add(5, NewTransaction::posted(-450, "BOOKED LATE"))),
            _ => drop(home.add_waiting(0, -1, "A HOLD")),
        }
        home.hours(2).await;
        home.settle().await;
    }
    assert!(rows.len() == 8);
    let off = home.bench.rows("SELECT * FROM v_reconciliation WHERE unexplained_difference_minor <> 0");
    assert!(off.is_empty(), "{off:?}");
    let explained = home.bench.value("SELECT sum(transactions_difference_minor) FROM v_reconciliation");
    assert_eq!(explained, (70_000 - 3_300 - 2_200 - 450).to_string());
}

async fn a_balance_that_no_row_explains_is_shown(serves: Served) {
    let home = Home::at(serves, "page_size = 10");
    home.settle().await;
    home.bench.bank.set_balance(home.account, 499_000);
    home.hours(1).await;
    home.sync().await;
    let off = home
        .bench
        .rows("SELECT balance_difference_minor, transactions_difference_minor, unexplained_difference_minor FROM v_reconciliation");
    assert_eq!(off, [["-1000", "0", "-1000"].map(str::to_owned)]);
}

async fn the_history_replayed_backwards_gives_every_row_as_it_was_added(serves: Served) {
    let bench = Bench::pulling(serves, "page_size = 25");
    bench.bank.seed_world(&Plan { links: 3, links_per_user: 3, transactions_per_link: 60, ..Plan::default() });
    let plan = LivingPlan { break_login_one_in: 0, ..LivingPlan::default() };
    let mut gone = Vec::new();
    let mut added: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for step in 0..24 {
        let reports = bench.sync_all(false).await;
        assert!(reports.iter().all(|r| r.outcome == Outcome::Ok), "{reports:#?}");
        for (id, row) in rows(&bench) {
            added.entry(id).or_insert(row);
        }
        let link = bench.bank.truth().links[step % 3].clone();
        bench.bank.change(|bank| {
            match step % 6 {
                1 => bank.remove_transaction(link.transactions[step].id),
                2 => bank.edit_transaction(link.transactions[step].id, Some(-4_321), Some("CORRECTED")),
                3 => bank.restore_transaction(gone.remove(0)),
                5 => drop(bank.reissue_ids(Reissue::Link(link.id), step % 4 == 1)),
                _ => {}
            }
            bank.step(&plan);
        });
        if step % 6 == 1 {
            gone.push(link.transactions[step].id);
        }
        bench.pass(std::time::Duration::from_hours(3)).await;
    }
    bench.sync_all(false).await;
    let kinds = bench.rows("SELECT DISTINCT kind FROM transaction_changes ORDER BY 1");
    assert!(kinds.len() >= 4, "a history worth replaying: {kinds:?}");
    let mut replayed = rows(&bench);
    for (id, row) in &replayed {
        added.entry(id.clone()).or_insert(row.clone());
    }
    let changes = bench.rows(
        "SELECT transaction_id, kind, coalesce(before, 'null'), coalesce(after, 'null') FROM transaction_changes
         ORDER BY change_id DESC",
    );
    for change in changes {
        let row = replayed.get_mut(&change[0]).expect("a row of the change");
        let read = |text: &str| -> Map<String, Value> { serde_json::from_str(text).unwrap_or_default() };
        for (column, after) in read(&change[3]) {
            assert_eq!(row[&column], after, "{change:?}");
        }
        for (column, before) in read(&change[2]) {
            row.insert(column, before);
        }
    }
    assert_eq!(replayed, added);
}

/// Every transaction with the columns whose change is history, by our id.
fn rows(bench: &Bench) -> BTreeMap<String, Map<String, Value>> {
    let rows = bench.rows(
        "SELECT transaction_id, json_object('upstream_id', t.upstream_id, 'upstream_account_id', a.upstream_id,
             'external_id', external_id, 'status', status, 'amount_minor', amount_minor, 'memo_minor', memo_minor,
             'currency', t.currency, 'transacted_at', transacted_at, 'transacted_on', transacted_on,
             'posted_at', posted_at, 'posted_on', posted_on, 'description', description, 'clean_description', clean_description, 'merchant', merchant,
             'category', category, 'upstream_category_id', upstream_category_id, 'merchant_code', merchant_code, 'check_number', check_number, 'memo', memo,
             'location', json_array(latitude, longitude), 'operation_type', operation_type,
             'upstream_status', upstream_status, 'removed_at', removed_at)
         FROM transactions t JOIN accounts a USING (account_id)",
    );
    rows.into_iter().map(|row| (row[0].clone(), serde_json::from_str(&row[1]).expect("an object"))).collect()
}
