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
        browser.url_below(&format!("{invite}/return/en?")).await;
        assert_eq!(browser.text("h1").await, "Your bank is connected");
        house.until_all_are_active(1).await;
        house.assert_store_is_truth();
        // Reloaded it says the same; opened anew it says that it was used.
        browser.refresh().await;
        assert_eq!(browser.text("h1").await, "Your bank is connected");
        browser.forgive("410");
        browser.goto(&invite).await;
        assert_eq!(browser.text("h1").await, "This link has been used");
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
        assert_eq!(browser.text("h1").await, "Pas encore connecté");
        browser.shoot("connect-cancelled").await;
        assert_eq!(house.rows("SELECT count(*) FROM links"), [["0"]]);
        browser.click(".primary").await;
        assert_eq!(browser.text("h1").await, "Connectez votre banque");
        browser.click("nav a[lang=en]").await;
        assert_eq!(browser.text("h1").await, "Connect your bank");
        browser.click(".primary").await;
        browser.url_below(&format!("{}/sandbox/bridge/session/", house.bank_origin)).await;
        log_in(browser, 574, "otp").await;
        browser.fill("#code", "1234").await;
        browser.click("#submit").await;
        browser.url_below(&format!("{invite}/return/en?")).await;
        assert_eq!(browser.text("h1").await, "Your bank is connected");
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
        assert_eq!(browser.text("h1").await, "This does not match");
        browser.shoot("connect-forged").await;
        browser.goto(&invite).await;
        browser.click(".primary").await;
        browser.shoot("connect-leaving").await;
        assert_eq!(house.rows("SELECT count(*) FROM links"), [["0"]]);
    });
}
