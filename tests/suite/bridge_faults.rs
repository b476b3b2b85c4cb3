//! What only Bridge can get wrong: lists by cursor, tokens, numbers, hidden texts, tombstones, and its clock.

use std::time::Duration;

use jiff::SignedDuration;
use passbook::sandbox::{DeletedRows, Fault, NewAccount, NewTransaction, Scope, Served};
use passbook::store::Outcome;

use crate::harness::{Bench, assert_same};
use crate::home::{Home, word};
use crate::street::Place::{self, Links, Token};
use crate::street::{anywhere, strike};

const LISTS: [&str; 4] =
    ["/v3/aggregation/users?", "/v3/aggregation/items?", "/v3/aggregation/accounts?", "/v3/aggregation/transactions?"];

/// A home whose changes show at once and whose transactions fill four pages.
fn home() -> Home {
    let home = Home::at(Served::Bridge, "page_size = 10");
    home.add_many(35, 1);
    home
}

/// What an operator is told about the one link.
fn last_error(bench: &Bench) -> String {
    bench.value("SELECT coalesce((SELECT last_error FROM v_link_health), (SELECT discover_error FROM sources))")
}

async fn strike_everything_at(place: Place) {
    for (fault, expected, _) in anywhere(Served::Bridge) {
        strike(Served::Bridge, place, &fault, expected).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_cannot_be_had_is_asked_for_later() {
    strike_everything_at(Token).await;
}

#[tokio::test(start_paused = true)]
async fn links_that_cannot_be_listed_are_listed_later() {
    strike_everything_at(Links).await;
}

#[tokio::test(start_paused = true)]
async fn a_next_page_on_another_host_is_refused_and_nothing_is_sent_there() {
    for list in LISTS {
        let home = home();
        if list != LISTS[0] {
            home.settle().await;
            home.add(0, NewTransaction::posted(-100, "TEA"));
        }
        home.bench.bank.clear_request_log();
        home.bench.bank.fault(Fault::NextUriElsewhere, Scope::path(list));
        home.bench.sync_all(false).await;
        let error = last_error(&home.bench);
        assert!(error.contains("away from the aggregator's own address"), "{list}: {error}");
        assert!(!error.contains("elsewhere.example"), "{list}: {error}");
        let log = home.bench.bank.request_log();
        let is_followed = log.iter().any(|r| r.path.starts_with(list) && r.path.contains("after="));
        assert!(!is_followed, "{list}: {log:#?}");
        home.bench.bank.clear_faults();
        home.hours(2).await;
        home.bench.run_once().await;
        home.bench.assert_store_is_truth();
        home.bench.assert_verifies().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_next_page_that_is_the_page_itself_ends_the_walk_with_an_error() {
    for list in LISTS {
        let home = home();
        home.settle().await;
        home.add(0, NewTransaction::posted(-100, "TEA"));
        home.bench.bank.clear_request_log();
        home.bench.bank.fault(Fault::RepeatPage, Scope::path(list));
        // Later pages of other lists than that of transactions do not exist here, so the first is its own next one.
        home.bench.bank.fault(Fault::NextUriNull, Scope::path(list));
        let before = home.bench.value("SELECT count(*) FROM v_transactions");
        home.bench.sync_all(false).await;
        let sent = home.bench.bank.request_log().len();
        assert!(sent < 20, "{list}: {sent} requests");
        assert!(home.bench.value("SELECT count(*) FROM v_transactions") >= before, "{list}");
        home.bench.bank.clear_faults();
        home.hours(2).await;
        home.settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_way_to_write_the_end_of_a_list_is_understood() {
    for fault in [Fault::NextUriNull, Fault::NextUriNullText, Fault::NextUriAbsolute] {
        let home = home();
        home.bench.bank.fault(fault.clone(), Scope::all());
        home.settle().await;
        home.add(0, NewTransaction::posted(-100, "TEA"));
        let report = home.settle().await;
        assert_eq!(report.counts.rows_changed(), 1, "{fault:?}: {report:?}");
        assert_eq!(home.bench.value("SELECT count(*) FROM v_transactions"), "36");
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_that_die_at_any_moment_are_renewed_and_the_walk_goes_on() {
    for after_ms in (0..9).map(|n| 500 + n * 1_000) {
        let home = home();
        home.bench.bank.settings(|s| s.latency = Duration::from_secs(1));
        let death = async {
            tokio::time::sleep(Duration::from_millis(after_ms)).await;
            home.bench.bank.expire_tokens();
        };
        let (reports, ()) = tokio::join!(home.bench.run_once(), death);
        assert!(reports.iter().all(|r| r.outcome == Outcome::Ok), "{after_ms}: {reports:#?}");
        assert_eq!(reports.len(), 1, "{after_ms}");
        let log = home.bench.bank.request_log();
        let tokens = log.iter().filter(|r| r.path.contains("/authorization/token")).count();
        assert!(tokens <= 2, "{after_ms}: {tokens} tokens");
        home.bench.assert_store_is_truth();
        home.bench.assert_verifies().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_refused_again_and_again_does_not_burn_the_quota() {
    let home = home();
    home.settle().await;
    home.bench.bank.clear_request_log();
    home.bench.bank.fault(Fault::Status(401), Scope::path("/v3/aggregation/items"));
    home.hours(9).await;
    home.bench.run_once().await;
    home.bench.run_once().await;
    let sent = home.bench.bank.request_log();
    assert!(sent.len() <= 8, "{sent:#?}");
    home.bench.bank.clear_faults();
    home.hours(1).await;
    home.settle().await;
}

#[tokio::test(start_paused = true)]
async fn numbers_with_exponents_are_the_same_money() {
    let home = home();
    home.bench.bank.fault(Fault::ExponentAmount, Scope::all());
    home.settle().await;
    home.bench.bank.clear_faults();
    let before = home.bench.changes();
    let reports = home.bench.sync_all(true).await;
    assert!(reports.iter().all(|r| r.outcome == Outcome::Ok), "{reports:#?}");
    assert_eq!(home.bench.changes(), before, "written otherwise is not changed");
    home.bench.assert_store_is_truth();
}

#[tokio::test(start_paused = true)]
async fn an_amount_with_more_digits_than_its_currency_is_set_aside_with_the_reason() {
    let home = home();
    home.settle().await;
    home.add(0, NewTransaction::posted(-100, "TEA"));
    home.bench.bank.fault(Fault::BadAmount, Scope::path("/transactions?"));
    let report = home.sync().await;
    assert_eq!(report.outcome, Outcome::Partial, "{report:?}");
    assert!(last_error(&home.bench).contains("set aside"), "{}", last_error(&home.bench));
    let reasons = home.bench.rows("SELECT DISTINCT reason FROM rejected_rows WHERE resolved_at IS NULL");
    assert!(reasons.iter().all(|reason| reason[0].contains("12.34567")), "{reasons:?}");
    assert_eq!(home.bench.value("SELECT count(*) FROM v_transactions WHERE amount_minor = 1234"), "0");
    home.bench.bank.clear_faults();
    home.settle().await;
    assert_eq!(home.bench.value("SELECT count(*) FROM rejected_rows WHERE resolved_at IS NULL"), "0");
}

#[tokio::test(start_paused = true)]
async fn rows_malformed_when_all_was_read_are_read_again_and_belong_to_their_link() {
    let home = home();
    let bench = &home.bench;
    let user = bench.bank.truth().link(home.link).expect("a link").user_upstream_id.parse().expect("a user");
    let other = bench.bank.add_link(user, "6");
    let account = bench.bank.add_account(other, NewAccount::checking("Autre", 1_000).currency("EUR"));
    for n in 0..12 {
        bench.bank.add_transaction(account, NewTransaction::posted(-100 - n, &format!("BAKER {}", word(n))));
    }
    // The feed of changes, which goes on at what was written last, has passed these.
    bench.bank.refresh_item(home.link);
    bench.bank.refresh_item(other);
    bench.pass(Duration::from_hours(5 * 24)).await;
    home.add_many(3, 0);
    bench.bank.fault(Fault::BadAmount, Scope::path("/transactions?"));
    bench.run_once().await;
    let of_link = "SELECT count(*) FROM rejected_rows r WHERE resolved_at IS NULL";
    assert_ne!(bench.value(of_link), "0");
    let elsewhere = format!(
        "{of_link} AND link_id <> (SELECT link_id FROM accounts a WHERE a.upstream_id = json(r.raw) ->> 'account_id')"
    );
    assert_eq!(bench.value(&elsewhere), "0");
    bench.bank.clear_faults();
    bench.pass(Duration::from_hours(7)).await;
    bench.run_once().await;
    assert_eq!(bench.value(of_link), "0");
    assert_eq!(bench.value("SELECT count(*) FROM accounts WHERE needs_history"), "0");
    bench.assert_store_is_truth();
}

#[tokio::test(start_paused = true)]
async fn instants_with_and_without_fractions_lose_nothing() {
    let home = home();
    home.bench.pass(Duration::from_millis(777)).await;
    for n in 0..6 {
        if n % 2 == 0 {
            home.bench.bank.fault(Fault::TimestampsWithoutFraction, Scope::all());
        } else {
            home.bench.bank.clear_faults();
        }
        let row = home.add(n, NewTransaction::posted(-5_000 - n, &format!("TEA {}", word(n))));
        home.settle().await;
        home.bench.pass(Duration::from_millis(20_300)).await;
        home.bench.bank.edit_transaction(row, Some(-6_000 - n), None);
        let report = home.settle().await;
        assert_eq!(report.counts.rows_changed(), 1, "{n}: {report:?}");
        home.bench.pass(Duration::from_millis(20_400)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn errors_without_their_list_mean_the_same() {
    for (status, expected) in [(500, Outcome::Failed), (429, Outcome::Deferred), (400, Outcome::Failed)] {
        let home = home();
        home.settle().await;
        home.bench.bank.fault(Fault::BareErrorBody, Scope::all());
        home.bench.bank.fault(Fault::Status(status), Scope::path("/transactions?"));
        home.add(0, NewTransaction::posted(-100, "TEA"));
        let report = home.sync().await;
        assert_eq!(report.outcome, expected, "{status}: {report:?}");
        home.bench.bank.clear_faults();
        home.hours(2).await;
        home.settle().await;
    }
    // A refused credential too.
    let home = home();
    home.settle().await;
    home.bench.bank.fault(Fault::BareErrorBody, Scope::all());
    home.bench.bank.revoke_secret(&home.bench.secret);
    home.sync().await;
    assert_eq!(home.bench.value("SELECT hold_reason FROM sources"), "credentials refused");
}

#[tokio::test(start_paused = true)]
async fn texts_that_come_hidden_never_overwrite_and_are_read_when_they_show() {
    let home = home();
    home.settle().await;
    let before = home.bench.dump();
    home.bench.bank.fault(Fault::ObfuscatedEverywhere, Scope::all());
    home.hours(2).await;
    for is_full in [false, true] {
        let reports = home.bench.sync_all(is_full).await;
        assert!(reports.iter().all(|r| r.counts.rows_changed() == 0), "{reports:#?}");
        assert_same(&home.bench.dump(), &before, "hidden");
    }
    // What is new comes hidden too: it waits, and the link says so.
    let edited = home.bench.bank.truth().links[0].transactions[3].id;
    home.bench.bank.edit_transaction(edited, Some(-4_321), None);
    home.add(0, NewTransaction::posted(-100, "TEA"));
    let report = home.sync().await;
    assert_eq!(report.outcome, Outcome::Partial, "{report:?}");
    assert!(last_error(&home.bench).contains("XXXX"), "{}", last_error(&home.bench));
    assert_eq!(home.bench.value("SELECT count(*) FROM v_transactions"), "35");
    assert_eq!(home.bench.value("SELECT count(*) FROM transactions WHERE description LIKE '%XXXX%'"), "0");
    assert_eq!(home.bench.value("SELECT count(*) FROM accounts WHERE name LIKE '%XXXX%'"), "0");
    // Days later it can be read; the feed of changes has long passed it.
    home.hours(9).await;
    home.add(0, NewTransaction::posted(-200, "CAKE"));
    home.sync().await;
    home.hours(9).await;
    home.bench.bank.clear_faults();
    home.settle().await;
    assert_eq!(home.only("TEA").amount_minor, "-100");
}

#[tokio::test(start_paused = true)]
async fn a_first_sync_of_hidden_texts_stores_none_and_reads_all_when_they_show() {
    let home = home();
    home.bench.bank.fault(Fault::ObfuscatedEverywhere, Scope::all());
    home.bench.run_once().await;
    assert_eq!(home.bench.value("SELECT count(*) FROM transactions"), "0");
    assert_eq!(home.bench.value("SELECT outcome FROM syncs ORDER BY sync_id DESC LIMIT 1"), "partial");
    home.hours(9).await;
    home.bench.run_once().await;
    assert_eq!(home.bench.value("SELECT count(*) FROM transactions"), "0");
    home.bench.bank.clear_faults();
    home.hours(9).await;
    home.settle().await;
    assert_eq!(home.bench.value("SELECT count(*) FROM v_transactions"), "35");
    assert_eq!(home.bench.value("SELECT name FROM accounts"), "Everyday Checking");
}

#[tokio::test(start_paused = true)]
async fn rows_written_while_the_feed_is_read_are_not_lost() {
    for after_ms in (0..14).map(|n| 300 + n * 4_000) {
        let home = Home::at(Served::Bridge, "page_size = 10\noverlap = \"10m\"\nreconcile_schedule = \"0 4 1 1 *\"");
        home.add_many(35, 1);
        home.settle().await;
        home.hours(9).await;
        for n in 0..60 {
            home.add(n / 3, NewTransaction::posted(-2_000 - n, &format!("NEWS {}", word(n))));
        }
        home.bench.bank.settings(|s| s.latency = Duration::from_secs(4));
        let account = home.account;
        for (nth, late_ms) in [after_ms, after_ms + 9_000].into_iter().enumerate() {
            let at = home.bench.bank.now() + SignedDuration::from_millis(late_ms);
            home.bench.bank.at(at, move |bank| {
                for days in [0, 9, 19, 40] {
                    let happened = bank.now() - SignedDuration::from_hours(24 * days);
                    let text = format!("LATE {} {}", word(nth.try_into().expect("small")), word(days));
                    bank.add_transaction(account, NewTransaction::posted(-300 - days, &text).at(happened));
                }
            });
        }
        let report = home.sync().await;
        assert_eq!(report.outcome, Outcome::Ok, "{after_ms}: {report:?}");
        home.bench.bank.settings(|s| s.latency = Duration::ZERO);
        home.hours(9).await;
        home.settle().await;
    }
}

/// The hours by which Bridge's clock is off at first, by which it is set later, and whether the daemon runs meanwhile.
///
/// A clock set back while nobody looks leaves rows behind that only the reconciliation finds.
const SKEWS: [(i64, i64, bool); 11] = [
    (5, 0, true),
    (5, 0, false),
    (-5, 0, true),
    (-5, 0, false),
    (5, -5, true),
    (5, -5, false),
    (-5, 5, true),
    (-5, 5, false),
    (0, -5, true),
    (0, 5, true),
    (0, 5, false),
];

#[tokio::test(start_paused = true)]
async fn a_clock_of_bridge_that_is_off_or_set_right_loses_nothing() {
    for (off, set, is_running) in SKEWS {
        let case = format!("{off} h off, set by {set} h, the daemon runs: {is_running}");
        let home = Home::at(Served::Bridge, "page_size = 10\nreconcile_schedule = \"0 4 1 1 *\"");
        home.bench.bank.settings(|s| s.bridge.refresh_every = None);
        home.bench.bank_clock.shift(SignedDuration::from_hours(off));
        let rows = home.add_many(35, 1);
        home.settle().await;
        let change = |n: usize| {
            let days = i64::try_from(n).expect("small");
            home.add(days, NewTransaction::posted(-9_000 - days, &format!("NEWS {}", word(days))));
            home.bench.bank.edit_transaction(rows[n], Some(-7_000 - days), None);
            home.bench.bank.remove_transaction(rows[20 + n]);
            // Bridge reads the bank whether anybody looks or not.
            home.bench.bank.publish(home.link);
        };
        change(0);
        home.settle().await;
        home.hours(1).await;
        home.bench.bank_clock.shift(SignedDuration::from_hours(set));
        home.hours(1).await;
        change(1);
        for n in 2..4 {
            if is_running {
                home.bench.run_for(Duration::from_hours(4)).await;
            } else {
                home.hours(4).await;
            }
            change(n);
        }
        // What is believed gone only after a second look is looked at twice.
        for _ in 0..2 {
            let report = home.sync().await;
            assert_eq!(report.outcome, Outcome::Ok, "{case}: {report:?}");
            home.hours(2).await;
        }
        home.bench.assert_store_is_truth();
        home.bench.assert_verifies().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_row_may_be_told_as_a_stub_or_in_every_list() {
    for style in [DeletedRows::Stub, DeletedRows::Always] {
        let home = home();
        home.bench.bank.settings(|s| s.bridge.deleted_rows = style);
        let row = home.add(2, NewTransaction::posted(-9_900, "BOOK FAIR"));
        home.settle().await;
        home.bench.bank.remove_transaction(row);
        let report = home.settle().await;
        assert_eq!(report.counts.rows_removed, 1, "{style:?}: {report:?}");
        home.bench.bank.restore_transaction(row);
        home.settle().await;
        assert_eq!(home.kinds("BOOK FAIR"), ["added", "removed", "restored"], "{style:?}");
        home.bench.sync_all(true).await;
        home.bench.assert_store_is_truth();
    }
}

#[tokio::test(start_paused = true)]
async fn where_nothing_tells_of_deleted_rows_the_reconciliation_finds_them() {
    let home = home();
    home.bench.bank.settings(|s| s.bridge.deleted_rows = DeletedRows::Never);
    let booked = home.add(2, NewTransaction::posted(-9_900, "BOOK FAIR"));
    let planned = home.add_waiting(5, -700, "RENT");
    home.settle().await;
    home.bench.bank.remove_transaction(booked);
    home.bench.bank.remove_transaction(planned);
    home.sync().await;
    assert!(home.only("BOOK FAIR").is_live && home.only("RENT").is_live, "absence from a feed of changes says nothing");
    // Sunday's reconciliation finds them; the daemon comes to it by itself.
    home.hours(24 * 6).await;
    home.bench.run_once().await;
    assert!(!home.only("RENT").is_live, "planned");
    assert!(home.only("BOOK FAIR").is_live, "booked, and missed for the first time");
    home.bench.pass(Duration::from_mins(50)).await;
    home.sync().await;
    assert!(home.only("BOOK FAIR").is_live, "missed again too soon");
    home.bench.pass(Duration::from_mins(70)).await;
    home.sync().await;
    assert!(!home.only("BOOK FAIR").is_live);
    home.bench.assert_store_is_truth();
    home.bench.assert_verifies().await;
}

#[tokio::test(start_paused = true)]
async fn one_customer_whose_tokens_are_refused_holds_up_nobody_else() {
    let home = home();
    let other = home.bench.bank.add_user("customer-2");
    let link = home.bench.bank.add_link(other, "574");
    let account = home.bench.bank.add_account(link, NewAccount::checking("Everyday", 90_000));
    home.bench.run_once().await;
    // New tokens are granted, and refused as well.
    home.bench.bank.fault(Fault::Status(401), Scope::user(other).with_path("/items"));
    for hour in 0..26 {
        home.add(0, NewTransaction::posted(-100 - hour, "TEA"));
        home.bench.run_for(Duration::from_hours(1)).await;
        assert_eq!(home.bench.value("SELECT hold_reason FROM sources"), "NULL", "after {hour} hours");
    }
    assert_eq!(home.bench.states(&[home.link, link]), ["active", "failing"]);
    let failures: i64 = home.bench.value("SELECT max(links_failures) FROM users").parse().expect("a number");
    assert!((1..40).contains(&failures), "later each time: {failures}");
    home.bench.bank.add_transaction(account, NewTransaction::posted(-5, "CAKE").at(home.bench.bank.now()));
    home.bench.bank.clear_faults();
    home.bench.run_for(Duration::from_hours(14)).await;
    assert_eq!(home.bench.states(&[home.link, link]), ["active", "active"]);
    home.bench.assert_store_is_truth();
}
