//! What accounts mean for the window that is read.

use passbook::sandbox::{NewAccount, NewTransaction};

use crate::home::Home;

#[tokio::test(start_paused = true)]
async fn a_pending_row_of_a_closed_account_does_not_stretch_every_later_window() {
    let home = Home::with("refreshes_per_day = 0\noverlap = \"2d\"\nreconcile_schedule = \"0 4 1 1 *\"");
    let savings = home.bench.bank.add_account(home.link, NewAccount::savings("Rainy Day", 100_000));
    home.bench.bank.add_transaction(savings, NewTransaction::pending(-900, "TRANSFER OUT"));
    home.settle().await;
    home.bench.bank.close_account(savings);
    home.settle().await;
    home.hours(24 * 30).await;
    home.settle().await;
    home.bench.bank.clear_request_log();
    home.settle().await;
    let asked = home.bench.bank.request_log();
    let asked = asked.iter().find(|r| r.path.contains("transactions")).expect("a pull");
    assert!(asked.path.contains("transacted_at_from=2026-03-30"), "{}", asked.path);
}
