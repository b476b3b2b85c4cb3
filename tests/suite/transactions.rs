//! Rows in windows of time: what a walk shows and does not show.

use std::time::Duration;

use passbook::model::Cause;
use passbook::sandbox::{DeletedRows, Fault, NewTransaction, PostStyle, Reissue, Scope, Served, Status};
use passbook::store::Outcome;

use crate::home::Home;

#[tokio::test(start_paused = true)]
async fn a_posted_row_that_vanishes_is_removed_by_a_second_walk_an_hour_later() {
    let home = Home::new();
    home.add_many(12, 1);
    let row = home.add(1, NewTransaction::posted(-9_900, "BOOK FAIR"));
    home.settle().await;
    home.bench.bank.remove_transaction(row);
    home.sync().await;
    assert!(home.only("BOOK FAIR").is_live, "one walk does not decide");
    home.bench.pass(std::time::Duration::from_mins(50)).await;
    home.sync().await;
    assert!(home.only("BOOK FAIR").is_live, "a second one too soon does not either");
    home.hours(1).await;
    let report = home.settle().await;
    assert_eq!(report.counts.rows_removed, 1, "{report:?}");
    home.bench.bank.restore_transaction(row);
    home.settle().await;
    assert_eq!(home.kinds("BOOK FAIR"), ["added", "removed", "restored"]);
}

#[tokio::test(start_paused = true)]
async fn a_posted_row_that_is_back_for_the_second_walk_has_never_been_gone() {
    let home = Home::new();
    let row = home.add(1, NewTransaction::posted(-9_900, "BOOK FAIR"));
    home.settle().await;
    home.bench.bank.remove_transaction(row);
    home.sync().await;
    home.bench.bank.restore_transaction(row);
    home.hours(2).await;
    home.settle().await;
    home.bench.bank.remove_transaction(row);
    home.hours(2).await;
    home.sync().await;
    assert!(home.only("BOOK FAIR").is_live, "the earlier absence does not count any more");
    assert_eq!(home.kinds("BOOK FAIR"), ["added"]);
}

#[tokio::test(start_paused = true)]
async fn an_absent_row_is_looked_for_until_it_is_decided_however_old_it_gets() {
    let home = Home::with("refreshes_per_day = 0\noverlap = \"1d\"\nreconcile_schedule = \"0 4 1 1 *\"");
    let row = home.add(0, NewTransaction::posted(-9_900, "BOOK FAIR"));
    home.add(5, NewTransaction::posted(-100, "OLDER"));
    home.settle().await;
    home.bench.bank.remove_transaction(row);
    home.sync().await;
    home.hours(24 * 9).await;
    home.settle().await;
    assert!(!home.only("BOOK FAIR").is_live);
    assert!(home.only("OLDER").is_live);
}

#[tokio::test(start_paused = true)]
async fn nothing_outside_the_window_is_touched_until_the_history_is_reconciled() {
    let home = Home::with("refreshes_per_day = 0\npage_size = 10\nreconcile_schedule = \"0 4 * * 0\"");
    home.add_many(15, 1);
    let gone = home.add(40, NewTransaction::posted(-4_000, "OLD AND GONE"));
    let edited = home.add(41, NewTransaction::posted(-4_100, "OLD AND EDITED"));
    home.settle().await;
    home.bench.bank.remove_transaction(gone);
    home.bench.bank.edit_transaction(edited, Some(-4_111), None);
    home.add(45, NewTransaction::posted(-4_500, "BOOKED LATE"));
    let before = home.bench.changes();
    let report = home.sync().await;
    assert_eq!(report.outcome, Outcome::Ok);
    assert_eq!(home.bench.changes(), before, "older than the overlap, so not even asked for");
    // The next walk of the whole history is due on Sunday; the daemon comes to it by itself.
    home.hours(24 * 6).await;
    assert_eq!(home.bench.run_once().await.len(), 1);
    assert_eq!(home.only("OLD AND EDITED").amount_minor, "-4111");
    assert!(home.only("BOOKED LATE").is_live);
    assert!(home.only("OLD AND GONE").is_live, "missed for the first time");
    home.hours(9).await;
    assert_eq!(home.bench.run_once().await.len(), 1);
    assert!(!home.only("OLD AND GONE").is_live, "looked for again because it was missed");
    home.bench.assert_store_is_truth();
}

#[tokio::test(start_paused = true)]
async fn rows_of_every_status_are_stored_as_what_they_are() {
    let home = Home::new();
    for (amount, status, description) in [
        (-100, Status::Posted, "A PURCHASE"),
        (200, Status::Pending, "A DEPOSIT"),
        (-300, Status::Authorization, "AN AUTHORIZATION"),
        (-400, Status::Memo, "A REMARK"),
    ] {
        let mut new = NewTransaction::posted(amount, description);
        new.status = status;
        home.add(1, new);
    }
    home.settle().await;
    let rows = home.bench.rows(
        "SELECT description, t.status, t.amount_minor, memo_minor, upstream_status, is_spending
         FROM transactions t JOIN v_transactions USING (transaction_id, description) ORDER BY 1",
    );
    let expected = [
        ["A DEPOSIT", "pending", "200", "NULL", "PENDING", "0"],
        ["A PURCHASE", "posted", "-100", "NULL", "POSTED", "1"],
        ["A REMARK", "pending", "0", "400", "MEMO", "0"],
        ["AN AUTHORIZATION", "pending", "-300", "NULL", "AUTHORIZATION", "1"],
    ];
    assert_eq!(rows, expected.map(|row| row.map(str::to_owned)));
}

#[tokio::test(start_paused = true)]
async fn a_row_that_a_whole_list_tells_to_be_gone_goes_once() {
    let home = Home::at(Served::Bridge, "");
    home.bench.bank.settings(|s| s.bridge.deleted_rows = DeletedRows::Always);
    home.add_many(5, 1);
    let planned = home.add_waiting(3, -700, "RENT");
    home.settle().await;
    home.bench.bank.remove_transaction(planned);
    home.bench.aggregator_reads_banks();
    home.bench.pass(std::time::Duration::from_mins(5)).await;
    let report = home.bench.sync_all(true).await.remove(0);
    assert_eq!((home.kinds("RENT"), report.counts.rows_removed), (vec!["added".to_owned(), "removed".to_owned()], 1));
    home.settle().await;
}

/// The list is no snapshot: what was shown under the former ids comes again under the new ones, a place further down.
#[tokio::test(start_paused = true)]
async fn ids_that_are_issued_anew_while_the_list_is_read_double_nothing() {
    let home = Home::with("refreshes_per_day = 0\npage_size = 10\noverlap = \"60d\"");
    home.add_many(35, 1);
    home.settle().await;
    let before = home.bench.rows("SELECT transaction_id, amount_minor FROM v_transactions ORDER BY 1");
    home.bench.bank.settings(|settings| settings.latency = std::time::Duration::from_secs(1));
    let (link, account) = (home.link, home.bench.bank.truth().links[0].accounts[0].id);
    for seconds in [2, 3, 4] {
        home.bench.bank.at(home.bench.bank.now() + jiff::SignedDuration::from_secs(seconds), move |bank| {
            bank.add_transaction(account, NewTransaction::posted(-77 - seconds, "CAME MEANWHILE"));
            bank.reissue_ids(Reissue::Link(link), false);
            bank.publish(link);
        });
    }
    home.sync().await;
    let after =
        "SELECT transaction_id, amount_minor FROM v_transactions WHERE description <> 'CAME MEANWHILE' ORDER BY 1";
    assert_eq!(home.bench.rows(after), before);
    home.settle().await;
    assert_eq!(home.bench.rows(after), before);
}

/// Meanwhile the pulls bring what the aggregator had, and go on from there.
#[tokio::test(start_paused = true)]
async fn rows_of_a_bank_that_was_not_read_for_longer_than_the_overlap_come_when_it_is() {
    let home =
        Home::with("refreshes_per_day = 0\npage_size = 10\noverlap = \"2d\"\nreconcile_schedule = \"0 4 1 1 *\"");
    home.add_many(5, 1);
    home.settle().await;
    for _ in 0..10 {
        home.hours(24).await;
        home.settle().await;
    }
    home.add_many(9, 0);
    home.settle().await;
    // Also where the process dies over it, and the newest of them are stored already.
    home.bench.bank.settings(|s| s.latency = Duration::from_millis(100));
    let mut killed = 0;
    for tenths in 1..12 {
        home.hours(24 * 40).await;
        home.settle().await;
        home.add_many(35, 0);
        home.bench.ask(&[home.link], Cause::Person, false).await;
        killed += u32::from(home.bench.run_and_kill(true, Duration::from_millis(100 * tenths + 50)).await);
        home.settle().await;
    }
    assert!(killed > 4, "{killed} of the processes had not ended by themselves");
    // A link that never had a row has the same right.
    let empty = Home::with("refreshes_per_day = 0\noverlap = \"2d\"\nreconcile_schedule = \"0 4 1 1 *\"");
    empty.settle().await;
    empty.hours(24 * 10).await;
    empty.settle().await;
    empty.add(5, NewTransaction::posted(-100, "FIRST"));
    empty.settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_row_that_is_malformed_for_hours_under_a_new_id_is_one_row_afterwards() {
    for fault in [Fault::RowWithoutId, Fault::BadAmount] {
        let home = Home::new();
        home.add_many(3, 20);
        let row = home.add(1, NewTransaction::posted(-9_900, "BOOK FAIR"));
        home.settle().await;
        let before = home.only("BOOK FAIR").transaction_id;
        home.bench.bank.remove_transaction(row);
        home.add(1, NewTransaction::posted(-9_900, "BOOK FAIR"));
        let fault = home.bench.bank.fault(fault, Scope::path("/transactions/"));
        for _ in 0..4 {
            home.sync().await;
            assert!(home.only("BOOK FAIR").is_live, "{fault:?}");
            home.hours(2).await;
        }
        home.bench.bank.clear_fault(fault);
        home.settle().await;
        assert_eq!(home.only("BOOK FAIR").transaction_id, before, "{fault:?}");
        home.bench.assert_store_is_truth();
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_goes_in_time_whatever_malformed_row_it_cannot_be() {
    let home = Home::new();
    let row = home.add(12, NewTransaction::posted(-9_900, "BOOK FAIR"));
    home.add(1, NewTransaction::posted(-1_200, "LAMP"));
    home.settle().await;
    home.bench.bank.remove_transaction(row);
    home.add(0, NewTransaction::posted(-400, "TEA"));
    home.bench.bank.fault(Fault::BadAmount, Scope::path("/transactions/"));
    for _ in 0..2 {
        home.sync().await;
        home.hours(2).await;
    }
    assert!(!home.only("BOOK FAIR").is_live);
}

/// The list is no snapshot: the row is shown while it waits, and once more, a page later, when it has posted.
#[tokio::test(start_paused = true)]
async fn a_row_that_posts_under_a_new_id_while_the_list_is_read_stays_one_row() {
    for style in [PostStyle::NewIdSameExternalId, PostStyle::NewIdOnly] {
        let home = Home::with("refreshes_per_day = 0\npage_size = 10\noverlap = \"60d\"");
        home.add_many(9, 1);
        let waiting = home.add_waiting_as(10, -4_400, "LAMP SHOP", Some("key-1"));
        home.add_many(15, 11);
        home.settle().await;
        let before = home.only("LAMP SHOP").transaction_id;
        home.bench.bank.settings(|settings| settings.latency = Duration::from_secs(1));
        let (link, account) = (home.link, home.account);
        home.bench.bank.at(home.bench.bank.now() + jiff::SignedDuration::from_secs(2), move |bank| {
            bank.add_transaction(account, NewTransaction::posted(-77, "CAME MEANWHILE"));
            bank.post_pending(waiting, style);
            bank.publish(link);
        });
        home.sync().await;
        home.bench.bank.settings(|settings| settings.latency = Duration::ZERO);
        home.settle().await;
        let row = home.only("LAMP SHOP");
        assert_eq!((row.transaction_id, row.status.as_str()), (before, "posted"), "{style:?}");
        assert_eq!(home.kinds("LAMP SHOP"), ["added", "posted"], "{style:?}");
        home.bench.assert_store_is_truth();
    }
}
