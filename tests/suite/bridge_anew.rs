//! Rows that Bridge deletes and makes anew while they cannot be read, or their link needs a person: they stay one row, which is
//! there all the time and once.

use std::time::Duration;

use jiff::SignedDuration;
use passbook::model::Cause;
use passbook::sandbox::{AccountId, DeletedRows, Fault, LinkId, NewAccount, NewTransaction, Scope, TransactionId};

use crate::bridge_states::{last_sync, quiet};
use crate::harness::Bench;

const SHOPS: [&str; 4] = ["BOULANGERIE", "LIBRAIRIE", "PHARMACIE", "CINEMA"];

/// One item with an account and a row for each shop.
struct Item {
    link: LinkId,
    account: AccountId,
    rows: [TransactionId; 4],
}

/// A customer of two items: the first is what happens to, the second is well.
fn two_items(bench: &Bench) -> [Item; 2] {
    let user = bench.bank.add_user("customer");
    ["574", "6"].map(|institution| {
        let link = bench.bank.add_link(user, institution);
        let account = bench.bank.add_account(link, NewAccount::checking(institution, 100_000).currency("EUR"));
        Item { link, account, rows: [0, 1, 2, 3].map(|shop| buy(bench, account, shop, 240)) }
    })
}

fn buy(bench: &Bench, account: AccountId, shop: usize, hours_ago: i64) -> TransactionId {
    let at = bench.clock.now() - SignedDuration::from_hours(hours_ago);
    let amount = -1_000 - i64::try_from(shop).expect("few");
    bench.bank.add_transaction(account, NewTransaction::posted(amount, SHOPS[shop]).at(at))
}

async fn refresh_and_sync(bench: &Bench, item: &Item) {
    bench.bank.refresh_item(item.link);
    bench.pass(Duration::from_hours(7)).await;
    bench.run_once().await;
}

/// What a reader sees of an item: our id of each row, and its money.
fn seen(bench: &Bench, item: &Item) -> Vec<Vec<String>> {
    bench.rows(&format!(
        "SELECT v.transaction_id, v.amount_minor FROM v_transactions v JOIN links l USING (link_id)
         WHERE l.upstream_id = '{}' ORDER BY 1",
        item.link
    ))
}

#[tokio::test(start_paused = true)]
async fn a_row_made_anew_behind_x_is_never_away_and_stays_one_row() {
    for is_item_locked in [false, true] {
        for is_deleted_later in [false, true] {
            let case = format!("locked: {is_item_locked}, deleted later: {is_deleted_later}");
            let bench = quiet("");
            let [item, other] = two_items(&bench);
            bench.run_once().await;
            let before = seen(&bench, &item);
            if is_item_locked {
                bench.bank.script_item(item.link, "1100.1100");
            } else {
                bench.bank.fault(Fault::ObfuscatedEverywhere, Scope::all());
            }
            buy(&bench, item.account, 1, 216);
            if !is_deleted_later {
                bench.bank.remove_transaction(item.rows[1]);
            }
            refresh_and_sync(&bench, &item).await;
            assert_eq!(seen(&bench, &item), before, "{case}");
            if is_deleted_later {
                bench.bank.remove_transaction(item.rows[1]);
            }
            refresh_and_sync(&bench, &item).await;
            assert_eq!(seen(&bench, &item), before, "{case}");
            // A walk of everything tells no more.
            for _ in 0..2 {
                bench.ask(&[other.link], Cause::Person, true).await;
                bench.run_once().await;
                bench.pass(Duration::from_hours(2)).await;
                assert_eq!(seen(&bench, &item), before, "{case}");
            }
            bench.bank.clear_faults();
            bench.bank.set_item_status(item.link, 0);
            refresh_and_sync(&bench, &item).await;
            assert_eq!(last_sync(&bench, item.link).0, "ok", "{case}");
            assert_eq!(seen(&bench, &item), before, "{case}");
            bench.assert_store_is_truth();
            bench.assert_verifies().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_deleted_beside_hidden_ones_goes_once_they_can_be_read() {
    let bench = quiet("");
    let [item, _] = two_items(&bench);
    bench.run_once().await;
    bench.bank.fault(Fault::ObfuscatedEverywhere, Scope::all());
    bench.bank.add_transaction(item.account, NewTransaction::posted(-77, "THEATRE"));
    bench.bank.remove_transaction(item.rows[2]);
    refresh_and_sync(&bench, &item).await;
    assert_eq!(last_sync(&bench, item.link).0, "partial");
    assert_eq!(seen(&bench, &item).len(), 4, "any of them may be the hidden one");
    bench.bank.clear_faults();
    // Nothing tells of it any more: two reads of the whole account do.
    for _ in 0..2 {
        refresh_and_sync(&bench, &item).await;
    }
    assert_eq!(last_sync(&bench, item.link).0, "ok");
    bench.assert_store_is_truth();
    assert_eq!(bench.value("SELECT group_concat(kind) FROM transaction_changes WHERE kind <> 'added'"), "removed");
}

#[tokio::test(start_paused = true)]
async fn a_row_made_anew_of_a_link_that_needs_a_person_is_there_once() {
    let bench = quiet("");
    bench.bank.settings(|settings| settings.bridge.deleted_rows = DeletedRows::Never);
    let [item, other] = two_items(&bench);
    bench.run_once().await;
    let before = seen(&bench, &item);
    bench.bank.remove_transaction(item.rows[1]);
    buy(&bench, item.account, 1, 216);
    bench.bank.refresh_item(item.link);
    bench.bank.set_item_status(item.link, 402);
    bench.pass(Duration::from_hours(1)).await;
    // The other one has everything of the customer read.
    bench.ask(&[other.link], Cause::Person, true).await;
    bench.run_once().await;
    assert_eq!(last_sync(&bench, item.link).0, "attention");
    assert_eq!(seen(&bench, &item), before);
    bench.bank.set_item_status(item.link, 0);
    refresh_and_sync(&bench, &item).await;
    assert_eq!(seen(&bench, &item), before);
    bench.assert_store_is_truth();
    bench.assert_verifies().await;
}

#[tokio::test(start_paused = true)]
async fn a_row_made_anew_that_comes_without_its_id_at_first_is_there_once() {
    let bench = quiet("");
    bench.bank.settings(|settings| settings.bridge.deleted_rows = DeletedRows::Never);
    let [item, _] = two_items(&bench);
    bench.run_once().await;
    let before = seen(&bench, &item);
    bench.bank.remove_transaction(item.rows[1]);
    buy(&bench, item.account, 1, 120);
    bench.bank.refresh_item(item.link);
    let fault = bench.bank.fault(Fault::RowWithoutId, Scope::path("/transactions"));
    bench.ask(&[item.link], Cause::Person, true).await;
    bench.run_once().await;
    assert_eq!(bench.value("SELECT reason FROM rejected_rows"), "no id");
    assert_eq!(seen(&bench, &item), before);
    bench.bank.clear_fault(fault);
    refresh_and_sync(&bench, &item).await;
    assert_eq!(last_sync(&bench, item.link).0, "ok");
    assert_eq!(seen(&bench, &item), before);
    bench.assert_store_is_truth();
    bench.assert_verifies().await;
}

#[tokio::test(start_paused = true)]
async fn a_row_made_anew_that_comes_malformed_beside_the_word_that_it_is_gone_is_there_once() {
    for fault in [Fault::RowWithoutId, Fault::BadAmount] {
        for rounds in [1, 5] {
            let case = format!("{fault:?}, {rounds} times");
            let bench = quiet("");
            let [item, _] = two_items(&bench);
            bench.run_once().await;
            let before = seen(&bench, &item);
            let fault = bench.bank.fault(fault.clone(), Scope::path("/transactions"));
            bench.bank.remove_transaction(item.rows[1]);
            // The newest of the list, which is the malformed one.
            buy(&bench, item.account, 1, 216);
            for _ in 0..rounds {
                refresh_and_sync(&bench, &item).await;
                assert_eq!(bench.value("SELECT count(*) > 0 FROM rejected_rows"), "1", "{case}");
                assert_eq!(seen(&bench, &item), before, "{case}");
            }
            bench.bank.clear_fault(fault);
            refresh_and_sync(&bench, &item).await;
            assert_eq!(last_sync(&bench, item.link).0, "ok", "{case}");
            assert_eq!(seen(&bench, &item), before, "{case}");
            bench.assert_store_is_truth();
            bench.assert_verifies().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_goes_when_it_is_told_whatever_malformed_row_it_cannot_be() {
    for fault in [Fault::RowWithoutId, Fault::BadAmount] {
        let bench = quiet("");
        let [item, _] = two_items(&bench);
        let far = buy(&bench, item.account, 3, 24 * 40);
        bench.run_once().await;
        bench.bank.fault(fault.clone(), Scope::path("/transactions"));
        bench.bank.remove_transaction(far);
        bench.bank.add_transaction(item.account, NewTransaction::posted(-77, "THEATRE"));
        refresh_and_sync(&bench, &item).await;
        assert_eq!(last_sync(&bench, item.link).0, "partial", "{fault:?}");
        assert_eq!(seen(&bench, &item).len(), 4, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_made_anew_beside_a_malformed_word_that_it_is_gone_is_there_once() {
    let bench = quiet("");
    let [item, _] = two_items(&bench);
    // The first of the list is the malformed one: the newest.
    let newest = buy(&bench, item.account, 1, 24);
    bench.run_once().await;
    let before = seen(&bench, &item);
    let fault = bench.bank.fault(Fault::RowWithoutId, Scope::path("/transactions"));
    bench.bank.remove_transaction(newest);
    buy(&bench, item.account, 1, 48);
    for _ in 0..3 {
        refresh_and_sync(&bench, &item).await;
        assert_eq!(bench.value("SELECT count(*) > 0 FROM rejected_rows WHERE raw ->> 'deleted'"), "1");
        assert_eq!(seen(&bench, &item), before);
    }
    bench.bank.clear_fault(fault);
    refresh_and_sync(&bench, &item).await;
    assert_eq!(last_sync(&bench, item.link).0, "ok");
    assert_eq!(seen(&bench, &item), before);
    bench.assert_store_is_truth();
    bench.assert_verifies().await;
}
