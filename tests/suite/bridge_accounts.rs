//! Accounts at Bridge: shared or not, reached or not, hidden behind X, gone and back, and connected anew.

use std::time::Duration;

use passbook::model::Cause;
use passbook::sandbox::{AccountId, Fault, LinkId, NewAccount, NewTransaction, Scope};

use crate::bridge_states::{health, last_sync, quiet};
use crate::harness::Bench;

const HOUR: Duration = Duration::from_hours(1);
const DAY: i64 = 24;

/// A customer with one item of two accounts: the accounts have rows of every month of half a year.
fn two_accounts(bench: &Bench) -> (LinkId, [AccountId; 2]) {
    let user = bench.bank.add_user("customer");
    let link = bench.bank.add_link(user, "574");
    let accounts = ["Compte courant", "Livret A"].map(|name| {
        let account = bench.bank.add_account(link, NewAccount::checking(name, 100_000).currency("EUR"));
        for month in 0..6 {
            past(bench, account, month * 30 * DAY + 5, -1_000 - month, &format!("{name} {}", words(month)));
        }
        account
    });
    (link, accounts)
}

/// Texts that differ in their words, not only in their numbers.
fn words(nth: i64) -> &'static str {
    const WORDS: [&str; 8] =
        ["BOULANGERIE", "LIBRAIRIE", "PHARMACIE", "STATION", "CINEMA", "MARCHE", "THEATRE", "JARDIN"];
    WORDS[usize::try_from(nth).expect("a number") % WORDS.len()]
}

fn past(bench: &Bench, account: AccountId, hours: i64, amount: i64, text: &str) {
    let at = bench.clock.now() - jiff::SignedDuration::from_hours(hours);
    bench.bank.add_transaction(account, NewTransaction::posted(amount, text).at(at));
}

/// Lets the aggregator read an item, and a schedule pass.
async fn refresh_and_sync(bench: &Bench, link: LinkId) {
    bench.bank.refresh_item(link);
    bench.pass(7 * HOUR).await;
    bench.run_once().await;
}

fn live(bench: &Bench, account: AccountId) -> String {
    bench.value(&format!("SELECT count(*) FROM v_transactions WHERE upstream_account_id = '{account}'"))
}

fn removals(bench: &Bench) -> String {
    bench.value("SELECT count(*) FROM transaction_changes WHERE kind = 'removed'")
}

#[tokio::test(start_paused = true)]
async fn accounts_that_the_aggregator_did_not_reach_are_said_and_keep_their_data() {
    let bench = quiet("");
    let (link, [checking, savings]) = two_accounts(&bench);
    bench.run_once().await;
    for (stalled, said) in [(&[savings][..], "one account"), (&[checking, savings][..], "2 accounts")] {
        for account in stalled {
            bench.bank.set_stalled(*account, true);
        }
        bench.pass(HOUR).await;
        refresh_and_sync(&bench, link).await;
        let (outcome, error) = last_sync(&bench, link);
        assert_eq!(outcome, "partial", "{error}");
        assert!(error.contains(&format!("did not reach {said}")), "{error}");
        assert_eq!(bench.value("SELECT consecutive_failures FROM v_link_health"), "0");
        assert_eq!(
            bench.value("SELECT count(*) FROM v_accounts WHERE is_refreshed = 0"),
            stalled.len().to_string(),
            "{error}"
        );
    }
    assert_eq!(live(&bench, savings), "6");
    for account in [checking, savings] {
        bench.bank.set_stalled(account, false);
    }
    refresh_and_sync(&bench, link).await;
    assert_eq!(last_sync(&bench, link), ("ok".to_owned(), "NULL".to_owned()));
    assert_eq!(bench.value("SELECT count(*) FROM v_accounts WHERE is_refreshed = 0"), "0");
}

/// A link that stays as it was goes on being told what it lacks, also in syncs that have no reason to read accounts again.
#[tokio::test(start_paused = true)]
async fn an_account_that_was_not_reached_is_said_until_it_is() {
    let bench = quiet("");
    let (link, [_, savings]) = two_accounts(&bench);
    bench.run_once().await;
    bench.bank.set_stalled(savings, true);
    bench.pass(HOUR).await;
    refresh_and_sync(&bench, link).await;
    assert_eq!(last_sync(&bench, link).0, "partial");
    bench.pass(7 * HOUR).await;
    bench.run_once().await;
    let (outcome, error) = last_sync(&bench, link);
    assert_eq!(outcome, "partial", "nothing came since: {error}");
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_no_longer_shared_keeps_what_it_had_and_gets_its_whole_history_when_it_is_again() {
    let bench = quiet("");
    let (link, [checking, savings]) = two_accounts(&bench);
    bench.run_once().await;
    for round in 0..2 {
        let rows = live(&bench, savings);
        let balance = format!("SELECT current_minor FROM v_accounts WHERE upstream_account_id = '{savings}'");
        let before = bench.value(&balance);
        bench.bank.set_data_access(savings, false);
        refresh_and_sync(&bench, link).await;
        past(&bench, savings, 50 * DAY, -4_000 - round, &format!("INVISIBLE {}", words(round)));
        past(&bench, checking, 2, -70 - round, &format!("VISIBLE {}", words(round)));
        refresh_and_sync(&bench, link).await;
        // Also a walk of everything takes nothing that is not shown for gone.
        for _ in 0..2 {
            bench.pass(2 * HOUR).await;
            bench.sync_all(true).await;
        }
        assert_eq!(live(&bench, savings), rows);
        assert_eq!(bench.value(&balance), before);
        let is_shared = format!("SELECT is_shared, missing_at FROM v_accounts WHERE upstream_account_id = '{savings}'");
        assert_eq!(bench.rows(&is_shared), [["0", "NULL"]]);
        assert_eq!(removals(&bench), "0");
        assert_eq!(last_sync(&bench, link), ("ok".to_owned(), "NULL".to_owned()), "it is no failure");
        bench.bank.set_data_access(savings, true);
        bench.bank.clear_request_log();
        refresh_and_sync(&bench, link).await;
        let log = bench.bank.request_log();
        let walks = log.iter().filter(|l| l.path.contains(&format!("account_id={savings}"))).count();
        assert_eq!(walks, 1, "its whole history by itself: {log:#?}");
        bench.assert_store_is_truth();
        bench.assert_verifies().await;
    }
}

/// Nothing says how Bridge answers who asks for rows that are not shared, or of an account that is gone.
#[tokio::test(start_paused = true)]
async fn rows_of_an_account_that_is_not_shared_or_not_listed_are_not_asked_for() {
    let bench = quiet("");
    let (link, [checking, savings]) = two_accounts(&bench);
    bench.bank.set_data_access(savings, false);
    bench.run_once().await;
    refresh_and_sync(&bench, link).await;
    let third = bench.bank.add_account(link, NewAccount::savings("PEL", 5_000).currency("EUR"));
    bench.bank.set_data_access(third, false);
    // A row that was missed once has its account looked at again, unless that has gone meanwhile.
    bench.bank.settings(|settings| settings.bridge.deleted_rows = passbook::sandbox::DeletedRows::Never);
    let truth = bench.bank.truth();
    let row = truth
        .link(link)
        .expect("a link")
        .transactions
        .iter()
        .find(|row| row.amount_minor == -1_003 && row.account_upstream_id == checking.to_string());
    bench.bank.remove_transaction(row.expect("a row of three months ago").id);
    bench.bank.refresh_item(link);
    bench.pass(2 * HOUR).await;
    bench.sync_all(true).await;
    assert_eq!(bench.value("SELECT count(*) FROM transaction_absences"), "1");
    bench.bank.close_account(checking);
    for _ in 0..2 {
        refresh_and_sync(&bench, link).await;
    }
    let log = bench.bank.request_log();
    let asked: Vec<_> = log.iter().filter(|logged| logged.path.contains("account_id=")).collect();
    assert!(asked.is_empty(), "{asked:#?}");
    bench.bank.set_data_access(savings, true);
    refresh_and_sync(&bench, link).await;
    assert_eq!(live(&bench, savings), "6");
}

#[tokio::test(start_paused = true)]
async fn a_new_account_of_an_old_link_comes_with_its_whole_history() {
    let bench = quiet("");
    let (link, _) = two_accounts(&bench);
    bench.run_once().await;
    bench.pass(HOUR).await;
    let account = bench.bank.add_account(link, NewAccount::savings("PEL", 5_000).currency("EUR"));
    for month in 0..12 {
        past(&bench, account, month * 30 * DAY, 1_000 + month, words(month));
    }
    refresh_and_sync(&bench, link).await;
    assert_eq!(live(&bench, account), "12");
    bench.assert_store_is_truth();
    assert_eq!(bench.value("SELECT count(*) FROM rejected_rows"), "0");
}

#[tokio::test(start_paused = true)]
async fn a_closed_account_keeps_its_history_and_returns_with_what_was_missed() {
    let bench = quiet("");
    let (link, [_, savings]) = two_accounts(&bench);
    bench.run_once().await;
    bench.bank.close_account(savings);
    refresh_and_sync(&bench, link).await;
    for _ in 0..2 {
        bench.pass(2 * HOUR).await;
        bench.sync_all(true).await;
    }
    let missing = format!("SELECT missing_at IS NOT NULL FROM v_accounts WHERE upstream_account_id = '{savings}'");
    assert_eq!(bench.value(&missing), "1");
    assert_eq!(live(&bench, savings), "6");
    assert_eq!(removals(&bench), "0");
    bench.assert_store_is_truth();
    bench.bank.reopen_account(savings);
    past(&bench, savings, 100 * DAY, -4_444, "PENDANT LA FERMETURE");
    refresh_and_sync(&bench, link).await;
    assert_eq!(bench.value(&missing), "0");
    assert_eq!(live(&bench, savings), "7");
    bench.assert_store_is_truth();
}

#[tokio::test(start_paused = true)]
async fn a_row_that_was_malformed_when_its_account_returned_comes_once_it_is_right() {
    let bench = quiet("");
    let (link, [checking, _]) = two_accounts(&bench);
    let savings = bench.bank.add_account(link, NewAccount::savings("PEL", 5_000).currency("EUR"));
    bench.run_once().await;
    bench.bank.close_account(savings);
    past(&bench, savings, 1, -4_444, "PENDANT LA FERMETURE");
    // The feed goes on, and never tells that row again.
    for day in 0..10 {
        bench.pass(24 * HOUR).await;
        past(&bench, checking, 1, -100 - day, words(day));
        refresh_and_sync(&bench, link).await;
    }
    bench.bank.reopen_account(savings);
    let fault = bench.bank.fault(Fault::BadAmount, Scope::path("account_id"));
    refresh_and_sync(&bench, link).await;
    assert_eq!(live(&bench, savings), "0");
    assert_eq!(last_sync(&bench, link).0, "partial");
    bench.bank.clear_fault(fault);
    refresh_and_sync(&bench, link).await;
    assert_eq!(live(&bench, savings), "1");
    assert_eq!(bench.value("SELECT count(*) FROM rejected_rows WHERE resolved_at IS NULL"), "0");
    bench.assert_store_is_truth();
}

#[tokio::test(start_paused = true)]
async fn what_comes_behind_x_never_takes_the_place_of_what_was_known() {
    // Alone, and beside an item that is well, which has the rows of both read.
    for has_other in [false, true] {
        let bench = quiet("");
        let (link, [checking, _]) = two_accounts(&bench);
        if has_other {
            let user = bench.bank.truth().link(link).expect("a link").user_upstream_id.parse().expect("a user");
            let other = bench.bank.add_link(user, "6");
            let account = bench.bank.add_account(other, NewAccount::checking("Autre", 1_000).currency("EUR"));
            bench.bank.add_transaction(account, NewTransaction::posted(-100, "AUTRE"));
        }
        bench.run_once().await;
        let known = || {
            [
                bench.rows("SELECT name, mask FROM v_accounts ORDER BY account_id"),
                bench.rows(
                    "SELECT upstream_id, description FROM v_transactions WHERE description NOT LIKE 'NEUF%' ORDER BY 1",
                ),
                bench.rows("SELECT account_id, network FROM account_numbers ORDER BY 1"),
            ]
        };
        let before = known();
        past(&bench, checking, 24, -5_555, "NEUF SOUS CLE");
        let edited = bench.bank.truth().link(link).expect("a link").transactions[3].id;
        bench.bank.edit_transaction(edited, Some(-9_999), None);
        bench.bank.script_item(link, "1100.1100");
        refresh_and_sync(&bench, link).await;
        bench.pass(2 * HOUR).await;
        bench.sync_all(true).await;
        assert_eq!(known(), before, "beside another item: {has_other}");
        let hidden =
            "SELECT count(*) FROM transactions WHERE description LIKE '%XXX%' OR clean_description LIKE '%XXX%'";
        assert_eq!(bench.value(hidden), "0");
        assert_eq!(bench.value("SELECT count(*) FROM transactions WHERE json_extract(raw, '$') LIKE '%XXXX%'"), "0");
        assert_eq!(bench.value("SELECT count(*) FROM accounts WHERE json_extract(raw, '$') LIKE '%XXXX%'"), "0");
        assert_eq!(bench.value("SELECT count(*) FROM v_transactions WHERE description LIKE 'NEUF%'"), "0");
        assert_eq!(health(&bench, link)[1], "identity");
        // The identity is confirmed, and no refresh comes with it.
        bench.bank.set_item_status(link, 0);
        bench.pass(7 * HOUR).await;
        bench.run_once().await;
        bench.assert_store_is_truth();
        assert_eq!(last_sync(&bench, link).0, "ok");
        assert_eq!(removals(&bench), "0");
        bench.assert_verifies().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_item_hidden_from_the_beginning_is_read_once_it_can_be() {
    for has_other in [false, true] {
        let bench = quiet("");
        let (link, _) = two_accounts(&bench);
        if has_other {
            let user = bench.bank.truth().link(link).expect("a link").user_upstream_id.parse().expect("a user");
            let other = bench.bank.add_link(user, "6");
            let account = bench.bank.add_account(other, NewAccount::checking("Autre", 1_000).currency("EUR"));
            bench.bank.add_transaction(account, NewTransaction::posted(-100, "AUTRE"));
        }
        bench.bank.set_item_status(link, 1100);
        bench.run_once().await;
        bench.pass(7 * HOUR).await;
        bench.run_once().await;
        assert_eq!(
            bench.value(&format!(
                "SELECT count(*) FROM transactions t JOIN links l USING (link_id) WHERE l.upstream_id = '{link}'"
            )),
            "0"
        );
        assert_eq!(bench.value("SELECT count(*) FROM account_numbers"), if has_other { "1" } else { "0" });
        bench.bank.set_item_status(link, 0);
        bench.pass(7 * HOUR).await;
        bench.run_once().await;
        bench.assert_store_is_truth();
        let unnamed = bench.value("SELECT count(*) FROM v_accounts WHERE name IS NULL OR mask IS NULL");
        assert_eq!(unnamed, "0", "beside another item: {has_other}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hidden_answer_of_a_healthy_item_is_left_out_and_read_later() {
    let bench = quiet("");
    let (link, [checking, _]) = two_accounts(&bench);
    bench.run_once().await;
    past(&bench, checking, 24, -5_555, "NEUF");
    let fault = bench.bank.fault(passbook::sandbox::Fault::ObfuscatedEverywhere, passbook::sandbox::Scope::all());
    refresh_and_sync(&bench, link).await;
    let (outcome, error) = last_sync(&bench, link);
    assert_eq!(outcome, "partial", "{error}");
    assert!(error.contains("XXXX"), "{error}");
    assert_eq!(bench.value("SELECT count(*) FROM v_transactions WHERE description = 'NEUF'"), "0");
    bench.bank.clear_fault(fault);
    bench.ask(&[link], Cause::Person, false).await;
    bench.run_once().await;
    assert_eq!(last_sync(&bench, link), ("ok".to_owned(), "NULL".to_owned()));
    bench.assert_store_is_truth();
}
