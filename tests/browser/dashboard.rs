//! An operator at the dashboard: in, around, a change, out.

use crate::driver::{Browser, browse};
use crate::house::{House, US};

/// What a session is carried in over plain HTTP.
const COOKIE: &str = "passbook";

#[test]
fn an_operator_logs_in_looks_around_and_logs_out() {
    browse(async |browser| {
        let house = House::open(4).await;
        house.until_all_are_active(8).await;
        let page = |path: &str| format!("{}{path}", house.admin);
        browser.goto(&page("/links")).await;
        let asked = browser.url_below(&page("/login")).await;
        assert_eq!(asked.query(), Some("next=%2Flinks"));
        browser.shoot("dashboard-login").await;
        // 401: a wrong token.
        browser.forgive("401");
        browser.fill("#token", "not the token").await;
        browser.click("form .primary").await;
        assert!(browser.text("#problem").await.contains("not the admin token"));
        assert_eq!(browser.cookie(COOKIE).await, None);
        browser.shoot("dashboard-wrong-token").await;
        browser.fill("#token", &house.admin_token).await;
        browser.click("form .primary").await;
        browser.url_below(&page("/links")).await;
        browser.shoot("dashboard-links").await;
        browser.click("a.brand").await;
        assert!(browser.text(".figures").await.contains("100 %"));
        assert!(browser.text(&format!("#{US}")).await.contains("delivers"));
        browser.shoot("dashboard-overview").await;
        for path in ["/attention", "/links?state=paused", "/links?q=customer&order=freshest", "/links/1"] {
            browser.goto(&page(path)).await;
            browser.find("main h1").await;
            browser.as_on_a_phone().await;
            browser.fits_the_screen().await;
            browser.as_on_a_desktop().await;
        }
        browser.shoot("dashboard-link").await;
        browser.forgive("404");
        browser.goto(&page("/links/999")).await;
        browser.reads("h1", "No such link").await;
        let session = browser.cookie(COOKIE).await.expect("a session");
        browser.click(".leave button").await;
        browser.url_below(&page("/login")).await;
        assert_eq!(browser.cookie(COOKIE).await, None);
        browser.back().await;
        browser.url_below(&page("/login")).await;
        browser.refresh().await;
        browser.find("#token").await;
        // What was logged out stays so, whoever kept it.
        browser.set_cookie(&house.admin, COOKIE, &session).await;
        is_not_let_in(browser, &house).await;
    });
}

#[test]
fn a_link_is_paused_and_resumed_by_its_buttons() {
    browse(async |browser| {
        let house = House::open(1).await;
        house.until_all_are_active(2).await;
        house.log_in(browser).await;
        browser.goto(&format!("{}/links/1", house.admin)).await;
        let state = "SELECT state FROM v_link_health WHERE link_id = 1";
        browser.click("form[action='/links/1/pause'] button").await;
        browser.begins(".done", "Paused").await;
        assert_eq!(house.rows(state), [["paused"]]);
        browser.reads("h1 .state", "paused").await;
        browser.shoot("dashboard-paused").await;
        let syncs = "SELECT count(*) FROM syncs WHERE link_id = 1 AND outcome IS NOT NULL";
        let before: i64 = house.rows(syncs)[0][0].parse().expect("a number");
        browser.click("form[action='/links/1/resume'] button").await;
        browser.begins(".done", "Resumed").await;
        house.until(syncs, &(before + 1).to_string()).await;
        browser.click("form[action='/links/1/sync'] button").await;
        browser.begins(".done", "Asked for").await;
        house.until(syncs, &(before + 2).to_string()).await;
        assert_eq!(house.rows(state), [["active"]]);
    });
}

#[test]
fn a_session_of_another_key_is_refused() {
    browse(async |browser| {
        let house = House::open(0).await;
        let other = House::open(0).await;
        other.log_in(browser).await;
        let session = browser.cookie(COOKIE).await.expect("a session");
        is_not_let_in(browser, &house).await;
        assert_eq!(browser.cookie(COOKIE).await, None, "a session that is none is taken away");
        browser.set_cookie(&house.admin, COOKIE, &session).await;
        is_not_let_in(browser, &house).await;
        assert!(house.log().contains("a session was refused"), "{}", house.log());
    });
}

async fn is_not_let_in(browser: &Browser, house: &House) {
    browser.goto(&format!("{}/links", house.admin)).await;
    browser.url_below(&format!("{}/login", house.admin)).await;
    browser.find("#token").await;
}
