//! Faults where only Truv can be met by them: refreshes and account numbers.

use std::time::Duration;

use jiff::SignedDuration;
use passbook::model::Cause;
use passbook::sandbox::{Fault, Scope, Served};
use passbook::store::Outcome::{Deferred, Failed, Ok};
use passbook::store::{NewRefresh, Phase};

use crate::home::Home;
use crate::street::Place::{Auth, RefreshPoll, RefreshPost};
use crate::street::{anywhere, strike};

#[tokio::test(start_paused = true)]
async fn a_refresh_that_cannot_be_looked_at_is_given_up_in_time_and_not_repeated() {
    for (fault, expected, _) in anywhere(Served::Truv) {
        let expected = if expected == Failed { Ok } else { expected };
        strike(Served::Truv, RefreshPoll, &fault, expected).await;
    }
}

#[tokio::test(start_paused = true)]
async fn account_numbers_that_cannot_be_read_stop_only_themselves() {
    for (fault, expected, _) in anywhere(Served::Truv) {
        let expected = if expected == Failed { Ok } else { expected };
        strike(Served::Truv, Auth, &fault, expected).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_for_a_refresh_is_never_doubled_whatever_becomes_of_its_answer() {
    let refused = (Fault::RefreshLimit, Ok, "refused");
    for (fault, read, became) in anywhere(Served::Truv).into_iter().chain([refused]) {
        let expected = if read == Deferred { Deferred } else { Ok };
        let street = strike(Served::Truv, RefreshPost, &fault, expected).await;
        let ledger = street.bench.rows(&format!(
            "SELECT r.outcome FROM refreshes r JOIN links l USING (link_id) WHERE l.upstream_id = '{}' ORDER BY refresh_id",
            street.victim
        ));
        assert_eq!(ledger[0][0], became, "{fault:?}: {ledger:?}");
    }
}

/// What became of each refresh in the ledger, and how many the aggregator made.
fn booked_and_made(home: &Home) -> (Vec<String>, usize) {
    let booked = home.bench.rows("SELECT outcome FROM refreshes ORDER BY refresh_id");
    let made = home.bench.bank.refreshes().iter().map(|refreshes| refreshes.at.len()).sum();
    (booked.into_iter().flatten().collect(), made)
}

#[tokio::test(start_paused = true)]
async fn a_refresh_whose_answer_was_lost_is_found_though_our_clock_is_minutes_off() {
    for minutes in [-10, -3, 3, 10] {
        let home = Home::with("");
        home.bench.run_once().await;
        home.bench.clock.shift(SignedDuration::from_mins(minutes));
        home.hours(9).await;
        home.bench.bank.fault(Fault::Reset, Scope::link(home.link).method("POST").once());
        home.bench.run_once().await;
        assert_eq!(booked_and_made(&home), (vec!["done".to_owned()], 1), "{minutes} min");
    }
}

#[tokio::test(start_paused = true)]
async fn a_customers_new_login_is_not_taken_for_the_refresh_that_a_killed_process_never_sent() {
    let home = Home::with("");
    let bench = &home.bench;
    bench.run_once().await;
    home.hours(9).await;
    let (now, link_id) = (bench.clock.now(), bench.link_id(home.link));
    let booking = bench.store.write(move |txn| {
        let sync_id = txn.begin_sync(link_id, (Cause::Schedule, Cause::Schedule), false, now)?;
        txn.set_next(link_id, Phase::Refreshing, now)?;
        let source_id = txn.link_state(link_id)?.source_id;
        let new =
            NewRefresh { source_id, link_id, sync_id, cause: Cause::Schedule, requested_at: now, counts_from_at: now };
        txn.book_refresh(new)
    });
    booking.await.expect("the store works");
    bench.reconnect(home.link).await;
    bench.pass(Duration::from_mins(3)).await;
    bench.run_once().await;
    assert_eq!(booked_and_made(&home), (vec!["not_sent".to_owned(), "done".to_owned()], 1));
    bench.assert_store_is_truth();
}
