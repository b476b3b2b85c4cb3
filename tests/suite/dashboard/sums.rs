//! The sums that the pages show are those of what they count, after whatever happened.

use std::time::Duration;

use passbook::sandbox::{NewTransaction, PostStyle, Served};

use super::browser::ADMIN;
use crate::harness::Bench;
use crate::home::Home;

const KEPT: &str = "SELECT sum(rows_added), sum(rows_changed), sum(rows_removed), sum(refreshes), sum(refreshes_billed)
                    FROM source_days";
const COUNTED: &str = "SELECT sum(rows_added), sum(rows_updated + rows_posted + rows_restored), sum(rows_removed),
                              (SELECT count(*) FROM refreshes WHERE outcome NOT IN ('refused', 'throttled', 'not_sent')),
                              (SELECT count(*) FROM refreshes WHERE price_unit IS NOT NULL)
                       FROM syncs";

#[tokio::test(start_paused = true)]
async fn each_day_adds_up_to_its_syncs_and_refreshes() {
    let home = Home::of(Bench::at(Served::Truv, ADMIN));
    for day in 0..4_i64 {
        let pending = home.add(0, NewTransaction::pending(-100 - day, "LUNCH"));
        home.add(1, NewTransaction::posted(-200 - day, "COFFEE"));
        home.bench.sync_all(false).await;
        home.bench.pass(Duration::from_hours(13)).await;
        home.bench.bank.post_pending(pending, PostStyle::NewIdOnly);
        home.bench.sync_all(false).await;
        home.bench.pass(Duration::from_hours(13)).await;
    }
    // Killed in the middle of a sync: what it wrote is counted, and what it did not write is not.
    home.add(1, NewTransaction::posted(-300, "DINNER"));
    home.bench.run_and_kill(false, Duration::from_secs(3)).await;
    home.bench.run_once().await;
    assert_eq!(home.bench.rows(KEPT), home.bench.rows(COUNTED));
    assert_ne!(home.bench.value("SELECT count(*) FROM source_days"), "1", "several days");
    let by_day = "SELECT count(*) FROM (SELECT sum(rows_added) AS added, started_at / 86400000 AS day FROM syncs
                                        GROUP BY day HAVING added > 0) s
                  JOIN source_days d ON d.day_at / 86400000 = s.day AND d.rows_added = s.added";
    let days = "SELECT count(*) FROM source_days WHERE rows_added > 0";
    assert_eq!(home.bench.value(by_day), home.bench.value(days));
}
