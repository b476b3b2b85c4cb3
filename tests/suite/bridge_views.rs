//! What analysts see of Bridge's rows: planned ones apart, cards with deferred debit counted once, rows made anew still one.

use std::time::Duration;

use passbook::sandbox::{AccountId, DeferredDebit, LinkId, NewAccount, NewTransaction, PostStyle};

use crate::bridge_states::quiet;
use crate::harness::Bench;

/// The largest difference of balances that no rows explain.
const UNEXPLAINED: &str = "SELECT coalesce(max(abs(unexplained_difference_minor)), 0) FROM v_reconciliation";
const HOUR: Duration = Duration::from_hours(1);

/// A customer with a checking account and a card, both without rows.
fn accounts(bench: &Bench) -> (LinkId, AccountId, AccountId) {
    let user = bench.bank.add_user("customer");
    let link = bench.bank.add_link(user, "574");
    let checking = bench.bank.add_account(link, NewAccount::checking("Compte courant", 100_000).currency("EUR"));
    let card = bench.bank.add_account(link, NewAccount::credit_card("Carte", 200_000).currency("EUR"));
    (link, checking, card)
}

async fn refresh_and_sync(bench: &Bench, link: LinkId, hours: u32) {
    bench.pass(HOUR).await;
    bench.bank.refresh_item(link);
    bench.pass(hours * HOUR).await;
    bench.run_once().await;
}

fn days_ago(bench: &Bench, days: i64) -> jiff::Timestamp {
    bench.clock.now() - jiff::SignedDuration::from_hours(24 * days)
}

fn number(bench: &Bench, sql: &str) -> i64 {
    bench.value(sql).parse().expect("a number")
}

#[tokio::test(start_paused = true)]
async fn planned_rows_stand_apart_and_stay_one_row_when_they_are_booked() {
    for style in [PostStyle::NewIdOnly, PostStyle::SameId] {
        let bench = quiet("");
        let (link, checking, _) = accounts(&bench);
        let ahead = days_ago(&bench, -3);
        let planned =
            bench.bank.add_transaction(checking, NewTransaction::future(-80_000, "PRLV SEPA LOYER MARS", ahead));
        bench.bank.add_transaction(checking, NewTransaction::posted(-500, "CAFE"));
        bench.run_once().await;
        let row = "SELECT status, posted_on, is_spending, amount_minor, transacted_on FROM v_transactions
                   WHERE amount_minor = -80000";
        assert_eq!(bench.rows(row), [["future", "NULL", "0", "-80000", "2026-03-05"]]);
        let spending = "SELECT sum(spending_minor), sum(out_minor), sum(transactions) FROM v_cashflow_monthly";
        assert_eq!(bench.rows(spending), [["-500", "-500", "1"]]);
        let id = bench.value("SELECT transaction_id FROM v_transactions WHERE status = 'future'");
        bench.pass(72 * HOUR).await;
        bench.bank.post_pending(planned, style);
        refresh_and_sync(&bench, link, 7).await;
        assert_eq!(bench.value("SELECT count(*) FROM v_transactions"), "2", "{style:?}");
        let booked = bench.rows("SELECT transaction_id, status, posted_on IS NOT NULL, is_spending FROM v_transactions WHERE amount_minor = -80000");
        assert_eq!(booked, [[id.as_str(), "posted", "1", "1"]], "{style:?}");
        assert_eq!(bench.rows(spending), [["-80500", "-80500", "2"]], "{style:?}");
        let aliases = bench.rows("SELECT transaction_id, rule FROM transaction_aliases");
        match style {
            PostStyle::NewIdOnly => assert_eq!(aliases, [[id.as_str(), "posted_like_pending"]]),
            PostStyle::SameId | PostStyle::NewIdSameExternalId => assert!(aliases.is_empty()),
        }
        assert_eq!(bench.value("SELECT group_concat(kind) FROM transaction_changes WHERE kind <> 'added'"), "posted");
        assert_eq!(bench.value(UNEXPLAINED), "0");
        bench.assert_store_is_truth();
        bench.assert_verifies().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_is_dropped_is_removed_and_moves_no_money() {
    let bench = quiet("");
    let (link, checking, _) = accounts(&bench);
    let ahead = days_ago(&bench, -3);
    let planned = bench.bank.add_transaction(checking, NewTransaction::future(-80_000, "LOYER", ahead));
    bench.run_once().await;
    bench.bank.remove_transaction(planned);
    bench.bank.add_transaction(checking, NewTransaction::posted(-1_000, "CAFE"));
    refresh_and_sync(&bench, link, 7).await;
    assert_eq!(bench.value("SELECT count(*) FROM v_transactions"), "1");
    assert_eq!(bench.value("SELECT count(*) FROM transactions WHERE removed_at IS NOT NULL"), "1");
    assert_eq!(bench.value(UNEXPLAINED), "0");
    bench.assert_store_is_truth();
}

/// Section 10.3: Bridge deletes and makes rows anew from day to day.
#[tokio::test(start_paused = true)]
async fn a_row_deleted_and_made_anew_on_another_day_stays_one_row() {
    for apart in [false, true] {
        let bench = quiet("");
        let (link, checking, _) = accounts(&bench);
        let at = days_ago(&bench, 2);
        let old = bench.bank.add_transaction(checking, NewTransaction::posted(-4_200, "CB CARREFOUR LYON").at(at));
        bench.bank.add_transaction(checking, NewTransaction::posted(-300, "CAFE").at(at));
        bench.run_once().await;
        let id = bench.value("SELECT transaction_id FROM transactions WHERE amount_minor = -4200");
        bench.bank.remove_transaction(old);
        let anew = NewTransaction::posted(-4_200, "CB CARREFOUR LYON 03/03").at(days_ago(&bench, 1));
        if apart {
            // First it is gone, and comes with a later refresh: then it is another row, which is all that can be known.
            refresh_and_sync(&bench, link, 7).await;
        }
        bench.bank.add_transaction(checking, anew);
        refresh_and_sync(&bench, link, 7).await;
        let live = bench.rows("SELECT transaction_id, transacted_on FROM v_transactions WHERE amount_minor = -4200");
        assert_eq!(live.len(), 1, "{live:?}");
        if apart {
            assert_eq!(bench.value("SELECT count(*) FROM transaction_aliases"), "0");
        } else {
            assert_eq!(live[0][0], id);
            assert_eq!(
                bench.rows("SELECT transaction_id, rule FROM transaction_aliases"),
                [[id.as_str(), "recreated"]]
            );
            assert_eq!(
                bench.value("SELECT group_concat(kind) FROM transaction_changes WHERE kind <> 'added'"),
                "updated"
            );
        }
        bench.assert_store_is_truth();
        bench.assert_verifies().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_that_only_resembles_a_deleted_one_is_another() {
    let bench = quiet("");
    let (link, checking, card) = accounts(&bench);
    let old =
        bench.bank.add_transaction(checking, NewTransaction::posted(-4_200, "CB CARREFOUR").at(days_ago(&bench, 3)));
    bench.run_once().await;
    bench.bank.remove_transaction(old);
    for (account, amount, text, days) in [
        (checking, -4_201, "CB CARREFOUR", 2),
        (checking, 4_200, "CB CARREFOUR", 2),
        (checking, -4_200, "PHARMACIE CENTRALE", 2),
        (checking, -4_200, "CB CARREFOUR", 40),
        (card, -4_200, "CB CARREFOUR", 3),
    ] {
        let at = days_ago(&bench, days);
        bench.bank.add_transaction(account, NewTransaction::posted(amount, text).at(at));
    }
    refresh_and_sync(&bench, link, 7).await;
    assert_eq!(bench.value("SELECT count(*) FROM transaction_aliases"), "0");
    assert_eq!(bench.value("SELECT count(*) FROM transactions WHERE removed_at IS NOT NULL"), "1");
    bench.assert_store_is_truth();
}

#[tokio::test(start_paused = true)]
async fn what_is_bought_with_deferred_debit_is_counted_once_wherever_it_is_settled() {
    for booked in [DeferredDebit::OnCard, DeferredDebit::OnChecking, DeferredDebit::OnBoth] {
        let bench = quiet("");
        let (link, checking, card) = accounts(&bench);
        bench.bank.add_transaction(checking, NewTransaction::posted(-700, "CAFE").operation("card"));
        bench.bank.add_transaction(card, NewTransaction::posted(-50, "METRO").operation("card"));
        bench.run_once().await;
        bench.pass(24 * HOUR).await;
        let made = bench.bank.deferred_debit_month(card, checking, booked);
        refresh_and_sync(&bench, link, 7).await;
        let bought: i64 = number(&bench, "SELECT sum(amount_minor) FROM v_transactions WHERE operation_type = 'card'");
        assert_eq!(bought, -700 - 50 - 1_250 - 8_990 - 640, "{booked:?}");
        for column in ["spending_minor", "out_minor", "net_minor"] {
            let sum = number(&bench, &format!("SELECT sum({column}) FROM v_cashflow_monthly"));
            assert_eq!(sum, bought, "{booked:?}: {column}");
        }
        assert_eq!(number(&bench, "SELECT sum(in_minor) FROM v_cashflow_monthly"), 0, "{booked:?}");
        let settled = match booked {
            DeferredDebit::OnCard => 10_880,
            DeferredDebit::OnChecking => -10_880,
            DeferredDebit::OnBoth => 0,
        };
        assert_eq!(number(&bench, "SELECT sum(settlement_minor) FROM v_cashflow_monthly"), settled, "{booked:?}");
        let settlements = if booked == DeferredDebit::OnBoth { 2 } else { 1 };
        let sql =
            "SELECT count(*) FROM v_transactions WHERE operation_type = 'deferred_debit_card' AND NOT is_spending";
        assert_eq!(number(&bench, sql), settlements, "{booked:?}");
        assert_eq!(made.len(), 3 + usize::try_from(settlements).expect("few"));
        // What moved explains the balances, account by account.
        let moved = number(&bench, "SELECT sum(net_minor + settlement_minor) FROM v_cashflow_monthly");
        let balances = number(&bench, "SELECT sum(current_minor) FROM v_accounts");
        assert_eq!(balances, 100_000 + moved, "{booked:?}");
        assert_eq!(number(&bench, UNEXPLAINED), 0, "{booked:?}");
        let pairs = number(&bench, "SELECT count(*) FROM v_reconciliation");
        assert_eq!(pairs > 0, booked != DeferredDebit::OnCard, "{booked:?}: on the card alone nothing is left to pay");
        bench.assert_store_is_truth();
    }
}

#[tokio::test(start_paused = true)]
async fn operations_come_in_the_aggregators_words_whatever_they_are() {
    let bench = quiet("");
    let (_, checking, _) = accounts(&bench);
    let words = ["card", "transfer", "direct_debit", "check", "withdrawal", "deposit", "unknown", "standing_order"];
    for word in words {
        bench.bank.add_transaction(checking, NewTransaction::posted(-100, word).operation(word));
    }
    bench.run_once().await;
    let told = bench.rows("SELECT operation_type, description FROM v_transactions");
    assert_eq!(told.len(), words.len());
    assert!(told.iter().all(|row| row[0] == row[1]), "{told:?}");
    bench.assert_store_is_truth();
}

/// A vanished card account or a deleted row never makes money appear twice in the sums.
#[tokio::test(start_paused = true)]
async fn daily_balances_and_reconciliation_hold_over_weeks_of_life() {
    let bench = quiet("");
    let (link, checking, card) = accounts(&bench);
    let first = bench.bank.add_transaction(checking, NewTransaction::posted(-100, "BOULANGERIE UN"));
    bench.run_once().await;
    let mut rows = vec![first];
    for day in 0..14_i64 {
        let of = if day % 3 == 0 { card } else { checking };
        rows.push(bench.bank.add_transaction(of, NewTransaction::posted(-1_000 - day, "MARCHE").operation("card")));
        if day % 5 == 4 {
            bench.bank.remove_transaction(rows.remove(0));
        }
        if day % 4 == 1 {
            bench.bank.edit_transaction(rows[0], Some(-77 - day), None);
        }
        refresh_and_sync(&bench, link, 24).await;
    }
    bench.assert_store_is_truth();
    let off = bench.rows("SELECT account_id, from_at, unexplained_difference_minor FROM v_reconciliation WHERE unexplained_difference_minor <> 0");
    // A correction counts as if the amount had always been so: it shows where the row came, and where the balance followed.
    let corrected = number(&bench, "SELECT count(*) FROM transaction_changes WHERE kind = 'updated'");
    assert!(i64::try_from(off.len()).expect("few") <= 2 * corrected, "{off:?}, {corrected} corrections");
    let days = number(&bench, "SELECT count(*) FROM v_daily_balances");
    assert!(days >= 2 * 14, "{days}");
    bench.assert_verifies().await;
}
