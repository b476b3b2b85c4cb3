//! Any split into pages and any order of rows gives the same store.

use std::time::Duration;

use jiff::SignedDuration;
use passbook::sandbox::{Plan, PostStyle, Reissue, Served};

use crate::harness::{Bench, START, assert_same, at};

at_every_aggregator!(any_split_into_pages_and_any_order_of_rows_gives_the_same_store);

/// The store after a first sync and one with news, with pages of some size.
async fn stored(serves: Served, page_size: u32, shuffled: bool) -> String {
    let bench = Bench::at(serves, &format!("page_size = {page_size}"));
    bench.bank.seed_world(&Plan { links: 2, links_per_user: 2, transactions_per_link: 83, ..Plan::default() });
    bench.bank.settings(|s| s.shuffled = shuffled);
    bench.run_once().await;
    // The news comes at one instant, however long the first sync took.
    let news_at = at(START) + SignedDuration::from_hours(1);
    bench.pass(news_at.duration_since(bench.bank.now()).unsigned_abs()).await;
    let links = bench.bank.truth().links;
    for link in &links {
        let pending: Vec<_> = link.transactions.iter().filter(|t| t.status.is_pending()).map(|t| t.id).collect();
        let styles = [PostStyle::SameId, PostStyle::NewIdSameExternalId, PostStyle::NewIdOnly];
        for (txn, style) in pending.into_iter().zip(styles) {
            bench.bank.post_pending(txn, style);
        }
        bench.bank.edit_transaction(link.transactions[9].id, Some(-4_321), None);
        bench.bank.remove_transaction(link.transactions[11].id);
    }
    bench.bank.reissue_ids(Reissue::Link(links[1].id), true);
    bench.aggregator_reads_banks();
    for _ in 0..2 {
        bench.pass(Duration::from_hours(9)).await;
        bench.run_once().await;
    }
    // Rows older than the window have new ids too.
    bench.sync_all(true).await;
    bench.assert_store_is_truth();
    bench.assert_verifies().await;
    bench.dump()
}

async fn any_split_into_pages_and_any_order_of_rows_gives_the_same_store(serves: Served) {
    let expected = stored(serves, 500, false).await;
    for (page_size, shuffled) in [(10, false), (10, true), (17, true), (83, false), (83, true), (500, true)] {
        let other = stored(serves, page_size, shuffled).await;
        assert_same(&other, &expected, &format!("pages of {page_size}, shuffled: {shuffled}"));
    }
}
