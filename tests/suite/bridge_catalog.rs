//! What Bridge keeps beside links and rows: names of banks and categories, loans, securities, balances of two kinds.

use std::time::Duration;

use passbook::sandbox::{AccountId, Fault, LinkId, NewAccount, NewStock, NewTransaction, Scope};

use crate::bridge_states::{last_sync, one_link, quiet};
use crate::harness::Bench;

const HOUR: Duration = Duration::from_hours(1);

async fn hours(bench: &Bench, hours: u32) {
    bench.pass(hours * HOUR).await;
    bench.run_once().await;
}

fn kind(kind: &str, name: &str, opening: i64) -> NewAccount {
    NewAccount { kind: kind.to_owned(), ..NewAccount::checking(name, opening).currency("EUR") }
}

#[tokio::test(start_paused = true)]
async fn banks_have_their_names_from_the_first_run_on() {
    let bench = quiet("");
    one_link(&bench);
    bench.run_once().await;
    let banks = bench
        .rows("SELECT upstream_id, name, country, logo_url IS NOT NULL, service_status IS NOT NULL FROM institutions");
    assert_eq!(banks, [["574", "Demo Bank", "FR", "1", "1"]]);
    assert_eq!(bench.value("SELECT institution FROM v_link_health"), "Demo Bank");
    let user = bench.bank.truth().links[0].user_upstream_id.parse().expect("a user");
    bench.bank.add_link(user, "6");
    hours(&bench, 2).await;
    assert_eq!(bench.value("SELECT name FROM institutions WHERE upstream_id = '6'"), "BNP Paribas");
    let asked = bench.bank.request_log().iter().filter(|logged| logged.path.contains("/providers/")).count();
    assert_eq!(asked, 2, "once each");
}

#[tokio::test(start_paused = true)]
async fn a_bank_that_cannot_be_named_delays_nothing() {
    let bench = quiet("");
    let link = one_link(&bench);
    let fault = bench.bank.fault(Fault::Status(500), Scope::path("/providers"));
    bench.run_once().await;
    assert_eq!(last_sync(&bench, link).0, "ok");
    bench.bank.clear_fault(fault);
    hours(&bench, 2).await;
    assert_eq!(bench.value("SELECT institution FROM v_link_health"), "Demo Bank");
}

#[tokio::test(start_paused = true)]
async fn categories_are_named_in_the_configured_language_and_a_new_one_leaves_a_change() {
    for (language, before, after) in [
        ("fr", "Alimentation & Restauration > Restaurants", "Loisirs & Sorties > Voyages"),
        ("en", "Food & Dining > Restaurants", "Leisure & Entertainment > Travel"),
    ] {
        let bench = quiet(&format!("accept_language = \"{language}\""));
        let link = one_link(&bench);
        let account = bench.bank.truth().link(link).expect("a link").accounts[0].id;
        let new =
            NewTransaction { category: Some("Food & Dining".to_owned()), ..NewTransaction::posted(-4_200, "SNCF") };
        let row = bench.bank.add_transaction(account, new);
        bench.run_once().await;
        let category = || bench.value("SELECT category FROM v_transactions WHERE description = 'SNCF'");
        assert_eq!(category(), before);
        bench.bank.recategorise(row, "Travel");
        bench.pass(HOUR).await;
        bench.bank.refresh_item(link);
        hours(&bench, 7).await;
        assert_eq!(category(), after);
        let change = bench.rows(
            "SELECT kind, json_extract(before, '$.upstream_category_id'), json_extract(after, '$.upstream_category_id')
             FROM transaction_changes WHERE kind <> 'added'",
        );
        assert_eq!(change, [["updated", "83", "249"]]);
        bench.assert_store_is_truth();
    }
}

#[tokio::test(start_paused = true)]
async fn a_loan_tells_its_terms_and_owes_what_remains() {
    let bench = quiet("");
    let link = one_link(&bench);
    let loan = bench.bank.add_account(link, kind("LOAN", "Prêt immobilier", -14_020_050));
    bench.run_once().await;
    let terms = bench.rows("SELECT name, remaining_minor, borrowed_minor > remaining_minor, interest_rate IS NOT NULL, currency FROM v_loans");
    assert_eq!(terms, [["Prêt immobilier", "14020050", "1", "1", "EUR"]]);
    let balance = format!("SELECT current_minor, available_minor FROM v_accounts WHERE upstream_account_id = '{loan}'");
    assert_eq!(bench.rows(&balance), [["-14020050", "NULL"]]);
    bench.bank.set_balance(loan, -13_900_000);
    bench.pass(HOUR).await;
    bench.bank.refresh_item(link);
    hours(&bench, 7).await;
    assert_eq!(bench.value("SELECT remaining_minor FROM v_loans"), "13900000");
    assert_eq!(bench.rows(&balance), [["-13900000", "NULL"]]);
}

#[tokio::test(start_paused = true)]
async fn balances_tell_what_is_booked_and_what_is_left() {
    let bench = quiet("");
    let link = one_link(&bench);
    let account = bench.bank.truth().link(link).expect("a link").accounts[0].id;
    let ahead = bench.clock.now() + jiff::SignedDuration::from_hours(72);
    bench.bank.add_transaction(account, NewTransaction::future(-20_000, "LOYER", ahead));
    bench.run_once().await;
    let balances = || bench.rows("SELECT current_minor, available_minor FROM v_accounts");
    assert_eq!(balances(), [["126500", "106500"]]);
    bench.bank.add_transaction(account, NewTransaction::posted(-500, "CAFE"));
    bench.pass(HOUR).await;
    bench.bank.refresh_item(link);
    hours(&bench, 7).await;
    assert_eq!(balances(), [["126000", "106000"]]);
    let unexplained = bench.rows("SELECT unexplained_difference_minor FROM v_reconciliation");
    assert_eq!(unexplained, [["0"]]);
}

fn stock(label: &str, price_minor: i64) -> NewStock {
    NewStock {
        label: label.to_owned(),
        isin: "FR0000120271".to_owned(),
        ticker: "TTE".to_owned(),
        quantity_thousandths: 10_500,
        price_minor,
        cost_minor: 4_000,
    }
}

fn portfolio(bench: &Bench) -> (LinkId, AccountId) {
    let link = one_link(bench);
    (link, bench.bank.add_account(link, kind("INVESTMENT", "PEA", 500_000)))
}

#[tokio::test(start_paused = true)]
async fn securities_are_followed_until_they_are_sold() {
    let bench = quiet("");
    let (link, account) = portfolio(&bench);
    let kept = bench.bank.add_stock(account, stock("TOTALENERGIES", 6_000));
    let sold = bench.bank.add_stock(account, stock("ACME", 1_000));
    bench.run_once().await;
    let held = || bench.rows("SELECT label, quantity, price, value_minor, currency FROM v_holdings ORDER BY label");
    assert_eq!(held(), [["ACME", "10.5", "10", "10500", "EUR"], ["TOTALENERGIES", "10.5", "60", "63000", "EUR"]]);
    bench.bank.price_stock(kept, 6_100);
    bench.bank.sell_stock(sold);
    bench.pass(HOUR).await;
    bench.bank.refresh_item(link);
    hours(&bench, 7).await;
    assert_eq!(held(), [["TOTALENERGIES", "10.5", "61", "64050", "EUR"]]);
    let rows = bench.rows("SELECT label, removed_at IS NULL FROM holdings ORDER BY label");
    assert_eq!(rows, [["ACME", "0"], ["TOTALENERGIES", "1"]], "a sold one keeps its row");
}

#[tokio::test(start_paused = true)]
async fn securities_that_are_refused_do_not_hurt_the_sync() {
    for status in [403, 404] {
        let bench = quiet("");
        let (link, account) = portfolio(&bench);
        bench.bank.add_stock(account, stock("TOTALENERGIES", 6_000));
        bench.run_once().await;
        let fault = bench.bank.fault(Fault::Status(status), Scope::path("/stocks"));
        bench.pass(HOUR).await;
        bench.bank.refresh_item(link);
        hours(&bench, 7).await;
        assert_eq!(last_sync(&bench, link), ("ok".to_owned(), "NULL".to_owned()), "{status}");
        assert_eq!(bench.value("SELECT count(*) FROM v_holdings"), "1", "{status}: what was known stays");
        bench.bank.clear_fault(fault);
        bench.assert_store_is_truth();
    }
}

#[tokio::test(start_paused = true)]
async fn securities_of_an_account_that_is_not_shared_or_hidden_stay_as_they_were() {
    let bench = quiet("");
    let (link, account) = portfolio(&bench);
    bench.bank.add_stock(account, stock("TOTALENERGIES", 6_000));
    bench.run_once().await;
    let held = || bench.rows("SELECT label, price FROM v_holdings");
    let before = held();
    bench.bank.set_data_access(account, false);
    bench.pass(HOUR).await;
    bench.bank.refresh_item(link);
    hours(&bench, 7).await;
    assert_eq!(held(), before);
    bench.bank.set_data_access(account, true);
    bench.pass(HOUR).await;
    bench.bank.refresh_item(link);
    hours(&bench, 7).await;
    assert_eq!(held(), before);
    let fault = bench.bank.fault(Fault::ObfuscatedEverywhere, Scope::path("/stocks"));
    bench.pass(HOUR).await;
    bench.bank.refresh_item(link);
    hours(&bench, 7).await;
    assert_eq!(held(), before, "XXXX is no name");
    bench.bank.clear_fault(fault);
}
