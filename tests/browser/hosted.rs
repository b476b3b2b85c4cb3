//! Customers who connect a bank on the aggregator's own pages and come back.

use crate::driver::{Browser, browse};
use crate::house::{EUROPE, House};

/// Begins under an invite; answers when the aggregator's page is there.
async fn begin(browser: &Browser, house: &House, invite: &str) {
    browser.goto(invite).await;
    browser.click(".primary").await;
    browser.url_below(&format!("{}/sandbox/bridge/session/", house.bank_origin)).await;
}

/// Logs in at the bank with this number.
async fn log_in(browser: &Browser, provider: u32, username: &str) {
    browser.click(&format!("#provider-{provider}")).await;
    browser.fill("#username", username).await;
    browser.fill("#password", "any").await;
    browser.click("#submit").await;
}

#[test]
fn a_customer_comes_back_from_the_aggregators_pages_with_a_bank() {
    browse(async |browser| {
        let house = House::open(0).await;
        let invite = house.invite(EUROPE, "customer-1").await;
        begin(browser, &house, &invite).await;
        log_in(browser, 574, "success").await;
        browser.url_below(&format!("{invite}/done?lang=en")).await;
        browser.reads("h1", "Your bank is connected").await;
        house.until_all_are_active(1).await;
        house.assert_store_is_truth();
        // Reloaded it says the same; opened anew it says that it was used.
        browser.refresh().await;
        browser.reads("h1", "Your bank is connected").await;
        browser.forgive("410");
        browser.goto(&invite).await;
        browser.reads("h1", "This link has been used").await;
    });
}

#[test]
fn a_customer_leaves_the_aggregators_pages_and_then_connects_with_a_code() {
    browse(async |browser| {
        let house = House::open(0).await;
        let invite = house.invite(EUROPE, "customer-1").await;
        browser.asks_for("fr").await;
        begin(browser, &house, &invite).await;
        browser.click("#cancel").await;
        browser.url_below(&format!("{invite}/return/fr?")).await;
        browser.reads("h1", "Pas encore connecté").await;
        browser.shoot("connect-cancelled").await;
        assert_eq!(house.rows("SELECT count(*) FROM links"), [["0"]]);
        browser.click(".primary").await;
        browser.reads("h1", "Connectez votre banque").await;
        browser.click("nav a[lang=en]").await;
        browser.reads("h1", "Connect your bank").await;
        browser.click(".primary").await;
        browser.url_below(&format!("{}/sandbox/bridge/session/", house.bank_origin)).await;
        log_in(browser, 574, "otp").await;
        browser.fill("#code", "1234").await;
        browser.click("#submit").await;
        browser.url_below(&format!("{invite}/done?lang=en")).await;
        browser.reads("h1", "Your bank is connected").await;
        house.until_all_are_active(1).await;
        house.assert_store_is_truth();
    });
}

#[test]
fn a_way_back_that_somebody_made_up_stores_nothing() {
    browse(async |browser| {
        let house = House::open(0).await;
        let invite = house.invite(EUROPE, "customer-1").await;
        // 403: it does not carry what was given along.
        browser.forgive("403");
        browser.goto(&format!("{invite}/return/en?success=true&item_id=1&context=made-up")).await;
        browser.reads("h1", "This does not match").await;
        browser.shoot("connect-forged").await;
        browser.goto(&invite).await;
        browser.click(".primary").await;
        browser.shoot("connect-leaving").await;
        assert_eq!(house.rows("SELECT count(*) FROM links"), [["0"]]);
    });
}
