//! Every fault of the aggregator at every place it can strike: a clear outcome, nothing lost, nothing doubled.

use std::time::Duration;

use jiff::SignedDuration;
use passbook::sandbox::{Fault, NewTransaction, Served};
use passbook::store::Outcome::{self, Failed, Ok, Partial};

use crate::home::word;
use crate::street::Place::{self, Accounts, Discovery, FirstPage, Link, SecondPage};
use crate::street::{Street, anywhere, strike};

at_every_aggregator!(
    a_discovery_that_meets_a_fault_is_made_up_for,
    a_link_whose_first_sync_meets_a_fault_is_read_later,
    accounts_that_cannot_be_read_stop_the_sync_and_nothing_else,
    a_first_page_that_cannot_be_read_is_read_later,
    a_second_page_that_cannot_be_read_keeps_the_first,
    a_list_that_lies_removes_nothing_and_is_read_again,
    a_list_that_moves_once_is_read_again_at_once,
    a_list_that_lies_for_days_still_removes_nothing,
    rows_that_are_malformed_for_days_are_stored_once_they_are_right,
);

/// What only a list of transactions can meet, with how a sync ends that meets it on every page from the first or second on.
///
/// A list by cursor and a feed of changes bear some of it, and do not make up for the rest by being read again at once.
fn in_lists(serves: Served) -> Vec<(Fault, Outcome)> {
    let (moved, unreadable) = match serves {
        Served::Truv => (Partial, Partial),
        Served::Bridge => (Ok, Failed),
    };
    vec![
        (Fault::RepeatPage, unreadable),
        (Fault::InvalidPage404, unreadable),
        (Fault::DriftWhilePaging, moved),
        (Fault::ShrinkWhilePaging, moved),
        (Fault::RowWithoutId, Partial),
        (Fault::BadAmount, Partial),
        (Fault::DuplicateRow, Ok),
    ]
}

async fn strike_everything_at(serves: Served, place: Place) {
    for (fault, expected, _) in anywhere(serves) {
        strike(serves, place, &fault, expected).await;
    }
}

async fn a_discovery_that_meets_a_fault_is_made_up_for(serves: Served) {
    strike_everything_at(serves, Discovery).await;
}

async fn a_link_whose_first_sync_meets_a_fault_is_read_later(serves: Served) {
    strike_everything_at(serves, Link).await;
}

async fn accounts_that_cannot_be_read_stop_the_sync_and_nothing_else(serves: Served) {
    strike_everything_at(serves, Accounts).await;
}

async fn a_first_page_that_cannot_be_read_is_read_later(serves: Served) {
    strike_everything_at(serves, FirstPage).await;
}

async fn a_second_page_that_cannot_be_read_keeps_the_first(serves: Served) {
    strike_everything_at(serves, SecondPage).await;
}

async fn a_list_that_lies_removes_nothing_and_is_read_again(serves: Served) {
    for (fault, expected) in in_lists(serves) {
        for place in [FirstPage, SecondPage] {
            let needs_later_page = matches!(
                fault,
                Fault::RepeatPage | Fault::InvalidPage404 | Fault::DriftWhilePaging | Fault::ShrinkWhilePaging
            );
            if !(needs_later_page && place == FirstPage) {
                strike(serves, place, &fault, expected).await;
            }
        }
    }
}

async fn a_list_that_moves_once_is_read_again_at_once(serves: Served) {
    for (fault, lasting) in in_lists(serves) {
        let street = Street::at(serves);
        street.bench.run_once().await;
        street.move_on();
        street.bench.pass(Duration::from_hours(9)).await;
        let is_malformed = matches!(fault, Fault::RowWithoutId | Fault::BadAmount);
        let fault_id = street.bench.bank.fault(fault.clone(), street.scope(SecondPage).once());
        street.bench.run_once().await;
        street.bench.bank.clear_fault(fault_id);
        let expected = if is_malformed || lasting == Failed { lasting } else { Ok };
        assert_eq!(street.outcome(street.victim), expected.as_str(), "{fault:?}");
        street.bench.pass(Duration::from_hours(9)).await;
        street.bench.run_once().await;
        street.bench.assert_store_is_truth();
    }
}

async fn a_list_that_lies_for_days_still_removes_nothing(serves: Served) {
    let is_lie = |fault: &Fault| {
        matches!(fault, Fault::RepeatPage | Fault::InvalidPage404 | Fault::RowWithoutId | Fault::BadAmount)
    };
    for (fault, expected) in in_lists(serves).into_iter().filter(|(fault, _)| is_lie(fault)) {
        let street = Street::at(serves);
        street.bench.run_once().await;
        let before = street.bench.value("SELECT count(*) FROM v_transactions");
        street.bench.bank.fault(fault.clone(), street.scope(SecondPage));
        for _ in 0..6 {
            street.bench.pass(Duration::from_hours(9)).await;
            street.bench.run_once().await;
        }
        assert_eq!(street.bench.value("SELECT count(*) FROM v_transactions"), before, "{fault:?}");
        assert_eq!(street.outcome(street.victim), expected.as_str(), "{fault:?}");
        street.bench.bank.clear_faults();
        street.bench.pass(Duration::from_hours(9)).await;
        street.bench.run_once().await;
        street.bench.assert_store_is_truth();
        // A row without an id is known to be right only when everything is.
        street.bench.sync_all(true).await;
        assert_eq!(street.bench.value("SELECT count(*) FROM rejected_rows WHERE resolved_at IS NULL"), "0");
    }
}

async fn rows_that_are_malformed_for_days_are_stored_once_they_are_right(serves: Served) {
    for fault in [Fault::BadAmount, Fault::RowWithoutId] {
        let street = Street::at(serves);
        street.bench.run_once().await;
        street.bench.bank.fault(fault.clone(), street.scope(FirstPage));
        // The newest row of each page is malformed, and one that is written later is not.
        for n in 0..3 {
            for (text, days_ago) in [("FIRST", 0), ("SECOND", 4)] {
                street.bench.pass(Duration::from_hours(5)).await;
                for link in street.bench.bank.truth().links {
                    let happened = street.bench.bank.now() - SignedDuration::from_hours(24 * days_ago);
                    let new = NewTransaction::posted(-900 - n, &format!("{text} {}", word(n))).at(happened);
                    street.bench.bank.add_transaction(link.accounts[0].id, new);
                }
                street.bench.aggregator_reads_banks();
            }
            street.bench.run_once().await;
            assert_eq!(street.outcome(street.victim), "partial", "{fault:?}");
        }
        street.bench.bank.clear_faults();
        street.bench.pass(Duration::from_hours(9)).await;
        street.bench.run_once().await;
        street.bench.assert_store_is_truth();
        street.bench.assert_verifies().await;
    }
}
