//! What every aggregator must do, told once and run at each: the store ends as the bank serves it, whatever the way there.

/// Runs each case at every aggregator.
macro_rules! at_every_aggregator {
    ($($case:ident),* $(,)?) => {
        mod truv {
            $(#[tokio::test(start_paused = true)]
            async fn $case() {
                super::$case(passbook::sandbox::Served::Truv).await;
            })*
        }
        mod bridge {
            $(#[tokio::test(start_paused = true)]
            async fn $case() {
                super::$case(passbook::sandbox::Served::Bridge).await;
            })*
        }
    };
}

mod accounts;
mod changes;
mod crash;
mod erasure;
mod faults;
mod first;
mod limits;
mod pages;
mod refusals;
mod reload;
mod schedule;
mod store_trouble;
mod transactions;
