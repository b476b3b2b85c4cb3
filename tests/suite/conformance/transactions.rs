//! One row per transaction, whatever the bank does to it.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use passbook::sandbox::{NewTransaction, PostStyle, Reissue, Served};

use crate::harness::Bench;
use crate::home::Home;

at_every_aggregator!(
    a_pending_row_that_posts_stays_one_row_in_every_style,
    a_posting_whose_text_changed_is_the_same_row_only_if_the_text_is_alike,
    two_identical_pending_rows_that_both_post_stay_two_rows,
    an_ambiguous_posting_is_not_guessed_and_not_doubled,
    one_of_two_identical_pending_rows_posts_and_the_other_waits,
    a_posting_with_another_amount_is_never_the_same_row,
    ids_issued_anew_leave_every_row_where_it_is,
    a_former_id_that_comes_back_finds_its_row,
    a_pending_row_that_vanishes_is_removed_at_once_and_restored_if_it_returns,
    a_posted_row_that_vanishes_is_removed_and_restored_if_it_returns,
    an_edit_leaves_a_change_with_before_and_after,
    a_row_that_did_not_change_is_not_written_again,
);

async fn a_pending_row_that_posts_stays_one_row_in_every_style(serves: Served) {
    // Only Truv tells the bank's own identifiers.
    let by_external_id = if serves == Served::Truv { "external_id" } else { "posted_like_pending" };
    let cases = [
        ("under the same id", PostStyle::SameId, Some("key-1"), None),
        ("under a new id", PostStyle::NewIdSameExternalId, Some("key-1"), Some(by_external_id)),
        ("under a new id, the external id gone", PostStyle::NewIdOnly, Some("key-1"), Some("posted_like_pending")),
        ("under a new id, never an external id", PostStyle::NewIdOnly, None, Some("posted_like_pending")),
    ];
    for (case, style, external_id, rule) in cases {
        let home = Home::at(serves, "page_size = 10");
        home.add_many(25, 3);
        let pending = home.add_waiting_as(1, -4_250, "BLUE BOTTLE COFFEE", external_id);
        home.settle().await;
        let before = home.only("BLUE BOTTLE COFFEE");
        assert_eq!(before.status, home.waiting_status(), "{case}");
        let posted = home.bench.bank.post_pending(pending, style);
        let (report, live) = home.sync_watched().await;
        assert_eq!(live, BTreeSet::from([26]), "{case}: no commit shows it twice or not at all");
        home.bench.assert_store_is_truth();
        assert_eq!(report.counts.rows_posted, 1, "{case}: {report:?}");
        assert_eq!(report.counts.rows_changed(), 1, "{case}: {report:?}");
        let after = home.only("BLUE BOTTLE COFFEE");
        assert_eq!(after.transaction_id, before.transaction_id, "{case}");
        assert_eq!(after.upstream_id, posted.to_string(), "{case}");
        assert_eq!(after.status, "posted", "{case}");
        assert_eq!(home.rules(&after.transaction_id), Vec::from_iter(rule), "{case}");
        assert_eq!(home.kinds("BLUE BOTTLE COFFEE"), ["added", "posted"], "{case}");
    }
}

async fn a_posting_whose_text_changed_is_the_same_row_only_if_the_text_is_alike(serves: Served) {
    let cases =
        [("SHELL OIL 1234 PENDING", "POS DEBIT SHELL OIL 0301", true), ("SHELL OIL", "CITY WATER WORKS", false)];
    for (pending_text, posted_text, is_same) in cases {
        let home = Home::at(serves, "page_size = 10");
        home.add_many(25, 3);
        let pending = home.add_waiting(1, -5_000, pending_text);
        home.settle().await;
        let before = home.only(pending_text);
        let at = home.bench.bank.now() - SignedDuration::from_hours(24);
        home.bench.bank.change(|bank| {
            bank.remove_transaction(pending);
            bank.add_transaction(home.account, NewTransaction::posted(-5_000, posted_text).at(at));
        });
        let (_, live) = home.sync_watched().await;
        assert_eq!(live, BTreeSet::from([26]), "{posted_text}: the money is never there twice");
        home.bench.assert_store_is_truth();
        let after = home.only(posted_text);
        assert_eq!(after.transaction_id == before.transaction_id, is_same, "{posted_text}");
    }
}

async fn two_identical_pending_rows_that_both_post_stay_two_rows(serves: Served) {
    let home = Home::at(serves, "page_size = 10");
    let pendings = [1, 1].map(|days| home.add_waiting(days, -450, "METRO FARE"));
    home.settle().await;
    let before = home.stored("METRO FARE");
    assert_eq!(before.len(), 2);
    for pending in pendings {
        home.bench.bank.post_pending(pending, PostStyle::NewIdOnly);
    }
    let report = home.settle().await;
    assert_eq!(report.counts.rows_posted, 2, "{report:?}");
    let after = home.stored("METRO FARE");
    let ids = |rows: &[crate::home::Stored]| -> Vec<String> { rows.iter().map(|r| r.transaction_id.clone()).collect() };
    assert_eq!(ids(&after), ids(&before), "nothing tells them apart, so any order is right");
}

async fn an_ambiguous_posting_is_not_guessed_and_not_doubled(serves: Served) {
    let home = Home::at(serves, "page_size = 10");
    let first = home.add_waiting(2, -1_999, "PARKING GARAGE");
    let second = home.add_waiting(1, -1_999, "PARKING GARAGE");
    home.settle().await;
    // One posts under a new id, the other is dropped: which one posted cannot be told.
    let posted = home.bench.bank.post_pending(first, PostStyle::NewIdOnly);
    home.bench.bank.remove_transaction(second);
    home.settle().await;
    let rows = home.stored("PARKING GARAGE");
    assert_eq!(rows.len(), 3, "{rows:?}");
    let live: Vec<_> = rows.iter().filter(|row| row.is_live).collect();
    assert_eq!(live.len(), 1, "{rows:?}");
    assert_eq!(live[0].upstream_id, posted.to_string());
    assert_eq!(home.bench.value("SELECT count(*) FROM transaction_aliases"), "0");
}

async fn one_of_two_identical_pending_rows_posts_and_the_other_waits(serves: Served) {
    let home = Home::at(serves, "page_size = 10");
    let first = home.add_waiting(1, -700, "KIOSK");
    home.add_waiting(1, -700, "KIOSK");
    home.settle().await;
    home.bench.bank.post_pending(first, PostStyle::NewIdOnly);
    home.settle().await;
    let rows = home.stored("KIOSK");
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(rows.iter().all(|row| row.is_live));
}

async fn a_posting_with_another_amount_is_never_the_same_row(serves: Served) {
    let home = Home::at(serves, "page_size = 10");
    let pending = home.add_waiting(1, -2_000, "CORNER BISTRO");
    home.settle().await;
    let at = home.bench.bank.now();
    home.bench.bank.change(|bank| {
        bank.remove_transaction(pending);
        bank.add_transaction(home.account, NewTransaction::posted(-2_400, "CORNER BISTRO").at(at));
    });
    home.settle().await;
    let rows = home.stored("CORNER BISTRO");
    assert_eq!(rows.iter().map(|row| row.is_live).collect::<Vec<_>>(), [false, true]);
}

async fn ids_issued_anew_leave_every_row_where_it_is(serves: Served) {
    let cases = [
        ("external ids kept", true, true, "external_id"),
        ("external ids new too", true, false, "identical"),
        ("never an external id", false, false, "identical"),
    ];
    for (case, has_external_ids, keep, rule) in cases {
        let home = Home::at(serves, "page_size = 10");
        for n in 0..33 {
            let mut new = NewTransaction::posted(-1_000 - n % 5, &format!("SHOP {}", crate::home::word(n % 7)));
            if has_external_ids {
                new = new.external(&format!("key-{n}"));
            }
            home.add(n / 4, new);
        }
        home.settle().await;
        let before = home
            .bench
            .rows("SELECT transaction_id, transacted_at, transacted_on, amount_minor FROM transactions ORDER BY 1");
        home.bench.bank.reissue_ids(Reissue::Link(home.link), keep);
        let (report, live) = home.sync_watched().await;
        assert_eq!(live, BTreeSet::from([33]), "{case}: no commit shows a row twice");
        assert_eq!(report.counts.rows_added, 0, "{case}: {report:?}");
        home.bench.assert_store_is_truth();
        let after = home
            .bench
            .rows("SELECT transaction_id, transacted_at, transacted_on, amount_minor FROM transactions ORDER BY 1");
        assert_eq!(after, before, "{case}: every row kept its id, instant and amount");
        let rules = home.bench.rows("SELECT DISTINCT rule FROM transaction_aliases");
        let rule = if serves == Served::Truv { rule } else { "identical" };
        assert_eq!(rules, [[rule.to_owned()]], "{case}");
        home.hours(9).await;
        home.settle().await;
        assert_eq!(home.bench.value("SELECT count(*) FROM transactions"), "33", "{case}");
    }
}

async fn a_former_id_that_comes_back_finds_its_row(serves: Served) {
    let home = Home::at(serves, "page_size = 10");
    home.add_many(12, 1);
    let row = home.add(1, NewTransaction::posted(-8_800, "GARDEN CENTRE"));
    home.settle().await;
    let before = home.only("GARDEN CENTRE");
    let at = home.bench.bank.now() - SignedDuration::from_hours(24);
    let second = home.bench.bank.change(|bank| {
        bank.remove_transaction(row);
        bank.add_transaction(home.account, NewTransaction::posted(-8_800, "GARDEN CENTRE").at(at))
    });
    home.settle().await;
    assert_eq!(home.only("GARDEN CENTRE").upstream_id, second.to_string());
    // The bank goes back to the first id: the second one goes, the first is there again.
    home.bench.bank.change(|bank| {
        bank.remove_transaction(second);
        bank.restore_transaction(row);
    });
    let report = home.settle().await;
    assert_eq!(report.counts.rows_added, 0, "{report:?}");
    let after = home.only("GARDEN CENTRE");
    assert_eq!(after.transaction_id, before.transaction_id);
    assert_eq!(after.upstream_id, row.to_string());
    assert_eq!(home.rules(&after.transaction_id), ["former_id"], "the second id is the former one now");
}

async fn a_pending_row_that_vanishes_is_removed_at_once_and_restored_if_it_returns(serves: Served) {
    let home = Home::at(serves, "page_size = 10");
    home.add_many(12, 1);
    let hold = home.add_waiting(1, -15_000, "HOTEL HOLD");
    home.settle().await;
    home.bench.bank.remove_transaction(hold);
    let report = home.settle().await;
    assert_eq!(report.counts.rows_removed, 1, "{report:?}");
    assert!(!home.only("HOTEL HOLD").is_live);
    home.bench.bank.restore_transaction(hold);
    let report = home.settle().await;
    assert_eq!(report.counts.rows_restored, 1, "{report:?}");
    assert_eq!(home.kinds("HOTEL HOLD"), ["added", "removed", "restored"]);
}

async fn a_posted_row_that_vanishes_is_removed_and_restored_if_it_returns(serves: Served) {
    let home = Home::at(serves, "page_size = 10");
    home.add_many(12, 1);
    let row = home.add(1, NewTransaction::posted(-9_900, "BOOK FAIR"));
    home.settle().await;
    home.bench.bank.remove_transaction(row);
    // Where nothing says that it is gone, a second look an hour later is believed.
    home.sync().await;
    home.hours(2).await;
    home.settle().await;
    assert!(!home.only("BOOK FAIR").is_live);
    home.bench.bank.restore_transaction(row);
    let report = home.settle().await;
    assert_eq!(report.counts.rows_restored, 1, "{report:?}");
    assert_eq!(home.kinds("BOOK FAIR"), ["added", "removed", "restored"]);
}

async fn an_edit_leaves_a_change_with_before_and_after(serves: Served) {
    let home = Home::at(serves, "page_size = 10");
    let row = home.add(1, NewTransaction::posted(-1_200, "BAKERY"));
    home.settle().await;
    home.bench.bank.edit_transaction(row, Some(-1_250), Some("BAKERY DOWNTOWN"));
    let report = home.settle().await;
    assert_eq!(report.counts.rows_updated, 1);
    // A text may be told in two forms.
    let change = home.bench.rows(
        "SELECT json_remove(before, '$.clean_description'), json_remove(after, '$.clean_description')
         FROM transaction_changes WHERE kind = 'updated'",
    );
    assert_eq!(
        change,
        [[
            r#"{"amount_minor":-1200,"description":"BAKERY"}"#.to_owned(),
            r#"{"amount_minor":-1250,"description":"BAKERY DOWNTOWN"}"#.to_owned()
        ]]
    );
}

/// Has the store note every row that is written again, under its upstream id.
#[expect(clippy::disallowed_methods, reason = "the store itself is to say what is written, not the counts of a sync")]
fn note_rewrites(bench: &Bench) {
    let connection = rusqlite::Connection::open(bench.path()).expect("a writer");
    let sql = "CREATE TABLE rewritten (upstream_id TEXT NOT NULL) STRICT;
               CREATE TRIGGER note_rewritten AFTER UPDATE ON transactions
               BEGIN INSERT INTO rewritten VALUES (new.upstream_id); END";
    connection.execute_batch(sql).expect("a trigger");
}

async fn a_row_that_did_not_change_is_not_written_again(serves: Served) {
    let home = Home::at(serves, "page_size = 10");
    home.add_many(25, 1);
    home.add_waiting(9, -4_250, "BLUE BOTTLE COFFEE");
    let row = home.add(1, NewTransaction::posted(-1_200, "BAKERY"));
    home.settle().await;
    note_rewrites(&home.bench);
    let rewritten = || home.bench.rows("SELECT upstream_id FROM rewritten");
    for full in [false, true, false] {
        home.hours(9).await;
        home.bench.aggregator_reads_banks();
        let reports = home.bench.sync_all(full).await;
        assert!(reports.iter().any(|report| report.counts.rows_seen > 0) || !full, "{reports:?}");
        assert_eq!(rewritten(), Vec::<Vec<String>>::new(), "full: {full}");
    }
    home.bench.bank.edit_transaction(row, Some(-1_250), None);
    home.settle().await;
    assert_eq!(rewritten(), [[row.to_string()]]);
    home.bench.sync_all(true).await;
    assert_eq!(rewritten().len(), 1, "once");
}
