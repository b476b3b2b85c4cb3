//! What accounts mean for the window that is read.

use std::time::Duration;

use passbook::model::Cause;
use passbook::sandbox::{AccountId, NewAccount, NewTransaction};

use crate::home::Home;

/// Windows of two days, and a reconciliation once a year.
const NARROW: &str = "refreshes_per_day = 0\npage_size = 10\noverlap = \"2d\"\nreconcile_schedule = \"0 4 1 1 *\"";

/// Gives an account a row for each of some days, counted back from today.
fn add_rows(home: &Home, account: AccountId, days_ago: std::ops::Range<i64>) {
    for day in days_ago {
        let at = home.bench.bank.now() - jiff::SignedDuration::from_hours(24 * day);
        home.bench.bank.add_transaction(account, NewTransaction::posted(-100 - day, &format!("DAY {day}")).at(at));
    }
}

/// Whether the latest sync walked the whole history.
fn was_full(home: &Home) -> bool {
    home.bench.value("SELECT is_full FROM syncs ORDER BY sync_id DESC LIMIT 1") == "1"
}

#[tokio::test(start_paused = true)]
async fn an_account_that_a_known_link_gets_is_read_with_its_whole_history() {
    let home = Home::with(NARROW);
    home.settle().await;
    home.hours(24 * 40).await;
    home.settle().await;
    assert!(!was_full(&home));
    let savings = home.bench.bank.add_account(home.link, NewAccount::savings("Rainy Day", 100_000));
    add_rows(&home, savings, 0..35);
    home.settle().await;
    assert!(was_full(&home));
    let numbers = "SELECT count(*) FROM account_numbers JOIN accounts USING (account_id) WHERE upstream_id = ";
    assert_ne!(home.bench.value(&format!("{numbers}'{savings}'")), "0", "its numbers do not wait for tomorrow");
    home.settle().await;
    assert!(!was_full(&home), "once is enough");
}

#[tokio::test(start_paused = true)]
async fn an_account_that_was_away_is_read_back_to_where_it_went() {
    let home = Home::with(NARROW);
    let savings = home.bench.bank.add_account(home.link, NewAccount::savings("Rainy Day", 100_000));
    home.settle().await;
    home.bench.bank.close_account(savings);
    home.settle().await;
    home.hours(24 * 40).await;
    home.settle().await;
    assert!(!was_full(&home), "one that stays away asks for nothing");
    add_rows(&home, savings, 0..35);
    home.bench.bank.reopen_account(savings);
    home.settle().await;
    home.settle().await;
    assert!(!was_full(&home), "once is enough");
}

#[tokio::test(start_paused = true)]
async fn an_account_that_comes_while_the_list_is_read_is_read_with_its_whole_history() {
    let home = Home::with(NARROW);
    home.bench.bank.settings(|s| s.latency = Duration::from_millis(100));
    add_rows(&home, home.account, 0..35);
    home.settle().await;
    for tenths in 1..9 {
        home.hours(24 * 40).await;
        add_rows(&home, home.account, 0..35);
        let (link, now) = (home.link, home.bench.bank.now());
        let when = now + jiff::SignedDuration::from_millis(100 * tenths + 50);
        home.bench.bank.at(when, move |bank| {
            let savings = bank.add_account(link, NewAccount::savings(&format!("No {tenths}"), 100_000));
            for day in 0..70 {
                let at = now - jiff::SignedDuration::from_hours(24 * day);
                bank.add_transaction(savings, NewTransaction::posted(-100 - day, &format!("DAY {day}")).at(at));
            }
        });
        home.sync().await;
        home.settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_over_a_new_account_has_it_read_by_the_next_one() {
    let home = Home::with(NARROW);
    home.bench.bank.settings(|s| s.latency = Duration::from_millis(100));
    home.settle().await;
    let mut killed = 0;
    for tenths in 1..12 {
        home.hours(24 * 40).await;
        home.settle().await;
        let nth = home.bench.bank.add_account(home.link, NewAccount::savings(&format!("No {tenths}"), 100_000));
        add_rows(&home, nth, 0..35);
        home.bench.ask(&[home.link], Cause::Person, false).await;
        killed += u32::from(home.bench.run_and_kill(true, Duration::from_millis(100 * tenths + 50)).await);
        home.settle().await;
    }
    assert!(killed > 6, "{killed} of the processes had not ended by themselves");
}

#[tokio::test(start_paused = true)]
async fn a_pending_row_of_a_closed_account_does_not_stretch_every_later_window() {
    let home = Home::with("refreshes_per_day = 0\noverlap = \"2d\"\nreconcile_schedule = \"0 4 1 1 *\"");
    let savings = home.bench.bank.add_account(home.link, NewAccount::savings("Rainy Day", 100_000));
    home.bench.bank.add_transaction(savings, NewTransaction::pending(-900, "TRANSFER OUT"));
    home.settle().await;
    home.bench.bank.close_account(savings);
    home.settle().await;
    home.hours(24 * 30).await;
    home.add(0, NewTransaction::posted(-100, "TEA"));
    home.settle().await;
    home.bench.bank.clear_request_log();
    home.settle().await;
    let asked = home.bench.bank.request_log();
    let asked = asked.iter().find(|r| r.path.contains("transactions")).expect("a pull");
    assert!(asked.path.contains("transacted_at_from=2026-03-30"), "{}", asked.path);
}
