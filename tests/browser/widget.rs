//! Customers who connect or repair a bank in the widget on our page: invite, widget, store.

use fantoccini::key::Key;
use serde_json::json;

use crate::driver::{Browser, browse};
use crate::house::{House, US};

/// Begins under an invite and goes on inside the widget.
async fn begin(browser: &Browser, invite: &str) {
    browser.goto(invite).await;
    browser.click(".primary").await;
    browser.enter_frame().await;
}

async fn log_in(browser: &Browser, username: &str, password: &str) {
    browser.fill("#username", username).await;
    browser.fill("#password", password).await;
    browser.click("#submit").await;
}

#[test]
fn a_customer_connects_a_bank_once_and_it_is_synced() {
    browse(async |browser| {
        let house = House::open(0).await;
        let printed = house.run(&["links", "connect", "--source", US, "--user", "customer-1"]);
        let invite = printed.lines().next().expect("an address");
        browser.goto(invite).await;
        assert_eq!(browser.text("h1").await, "Connect your bank");
        browser.shoot("connect-landing").await;
        begin(browser, invite).await;
        browser.click("#provider-chase").await;
        browser.shoot("connect-widget-login").await;
        log_in(browser, "goodlogin", "goodpassword").await;
        browser.leave_frame().await;
        browser.url_below(&format!("{invite}/done")).await;
        assert_eq!(browser.text("h1").await, "Your bank is connected");
        browser.shoot("connect-done").await;
        house.until_all_are_active(1).await;
        house.assert_store_is_truth();
        let used = house.rows("SELECT count(*) FROM invites WHERE used_at IS NOT NULL AND connected_link_id = 1");
        assert_eq!(used, [["1"]]);
        // 410: the invite is used up.
        browser.forgive("410");
        browser.goto(invite).await;
        assert_eq!(browser.text("h1").await, "This link has been used");
        browser.shoot("connect-used").await;
    });
}

#[test]
fn a_customer_is_told_what_went_wrong_and_tries_again() {
    browse(async |browser| {
        let house = House::open(0).await;
        let invite = house.invite(US, "customer-1").await;
        begin(browser, &invite).await;
        browser.click("#close").await;
        browser.leave_frame().await;
        assert!(browser.text("#alert").await.contains("closed before the connection was made"));
        browser.shoot("connect-closed").await;
        browser.click("#again").await;
        browser.enter_frame().await;
        browser.click("#provider-ally").await;
        // Wrong logins are answered with 400.
        browser.forgive("/sandbox/connect");
        log_in(browser, "error.user", "login_error").await;
        assert!(browser.text("#error").await.contains("refused"));
        browser.click("#close").await;
        browser.leave_frame().await;
        assert!(browser.text("#alert").await.contains("did not accept the login"));
        browser.shoot("connect-login-error").await;
        browser.click("#again").await;
        browser.enter_frame().await;
        browser.click("#provider-ally").await;
        log_in(browser, "goodlogin", "mfa").await;
        browser.fill("#code", "54321").await;
        browser.click("#submit").await;
        assert!(browser.text("#error").await.contains("refused the code"));
        browser.leave_frame().await;
        assert!(browser.text("#alert").await.contains("confirmation code was not accepted"));
        browser.enter_frame().await;
        log_in(browser, "goodlogin", "mfa").await;
        browser.fill("#code", "12345").await;
        browser.shoot("connect-widget-code").await;
        browser.click("#submit").await;
        browser.leave_frame().await;
        browser.url_below(&format!("{invite}/done")).await;
        house.until_all_are_active(1).await;
        house.assert_store_is_truth();
    });
}

#[test]
fn a_widget_that_does_not_load_is_told_and_tried_again() {
    browse(async |browser| {
        let house = House::open(0).await;
        let invite = house.invite(US, "customer-1").await;
        let script = format!("{}/sandbox/widget/bridge.js", house.bank_origin);
        // The browser tells of what was blocked.
        browser.forgive(&script);
        browser.block(&[&script]).await;
        browser.goto(&invite).await;
        browser.click(".primary").await;
        assert!(browser.text("#alert").await.contains("could not be loaded"));
        browser.shoot("connect-blocked").await;
        browser.block(&[]).await;
        browser.click("#again").await;
        browser.enter_frame().await;
        browser.find("#provider-chase").await;
    });
}

#[test]
fn a_french_customer_connects_on_a_phone_with_the_keyboard_alone() {
    browse(async |browser| {
        let house = House::open(0).await;
        let invite = house.invite(US, "customer-1").await;
        browser.as_on_a_phone().await;
        browser.asks_for("fr-FR,fr;q=0.9,en;q=0.5").await;
        browser.goto(&invite).await;
        assert_eq!(browser.value("document.documentElement.lang").await, "fr");
        assert_eq!(browser.text("h1").await, "Connectez votre banque");
        browser.fits_the_screen().await;
        browser.shoot("connect-french").await;
        browser.tab_to("button.primary").await;
        browser.press(Key::Enter).await;
        assert_eq!(browser.text("#content h1").await, "Identifiez-vous auprès de votre banque");
        browser.enter_frame().await;
        browser.find("#search").await;
        browser.fits_the_screen().await;
        browser.press(Key::Escape).await;
        browser.leave_frame().await;
        assert!(browser.text("#alert").await.contains("La fenêtre a été fermée"));
        browser.fits_the_screen().await;
        browser.shoot("connect-french-closed").await;
        browser.tab_to("#again").await;
        browser.press(Key::Enter).await;
        browser.enter_frame().await;
        browser.tab_to("#provider-chase").await;
        browser.press(Key::Enter).await;
        browser.fill("#username", "goodlogin").await;
        browser.fill("#password", &format!("goodpassword{}", char::from(Key::Enter))).await;
        browser.leave_frame().await;
        browser.url_below(&format!("{invite}/done")).await;
        assert_eq!(browser.text("h1").await, "Votre banque est connectée");
        browser.fits_the_screen().await;
    });
}

#[test]
fn a_link_is_repaired_with_the_invite_of_the_dashboards_button() {
    browse(async |browser| {
        let house = House::open(1).await;
        house.until_all_are_active(2).await;
        let link = house.bank.truth().links[0].clone();
        house.bank.break_login(link.id, "login_error");
        let sql = format!("SELECT link_id FROM links WHERE upstream_id = '{}'", link.upstream_id);
        let link_id = house.rows(&sql)[0][0].clone();
        house.order(json!({"order": "sync", "links": [link_id], "full": false})).await;
        let state = format!("SELECT state FROM v_link_health WHERE link_id = {link_id}");
        house.until(&state, "attention").await;
        house.log_in(browser).await;
        assert!(browser.text(".headline").await.contains("needs a person"), "{}", browser.text(".headline").await);
        assert!(browser.text(&format!("#{US}")).await.contains("no link can be read"));
        browser.shoot("dashboard-attention").await;
        browser.click("table.people button").await;
        let address = browser.find("#address").await;
        let invite = address.prop("value").await.expect("a property").expect("an address");
        browser.shoot("dashboard-invite").await;
        browser.goto(&invite).await;
        assert!(browser.text("h1").await.starts_with("Reconnect "), "{}", browser.text("h1").await);
        browser.shoot("connect-repair").await;
        begin(browser, &invite).await;
        log_in(browser, "goodlogin", "goodpassword").await;
        browser.leave_frame().await;
        browser.url_below(&format!("{invite}/done")).await;
        assert_eq!(browser.text("h1").await, "Your bank is connected again");
        house.until_all_are_active(2).await;
        house.assert_store_is_truth();
        browser.goto(&format!("{}/attention", house.admin)).await;
        assert!(browser.text("main").await.contains("No link needs a person."));
        browser.shoot("dashboard-no-attention").await;
    });
}
