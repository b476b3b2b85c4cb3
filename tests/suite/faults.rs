//! Faults where only Truv can be met by them: refreshes and account numbers.

use passbook::sandbox::{Fault, Served};
use passbook::store::Outcome::{Deferred, Failed, Ok};

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
