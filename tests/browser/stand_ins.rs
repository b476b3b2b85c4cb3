//! The stand-in widget and the stand-in Connect site by themselves, as a customer and a page around them see them.

use axum::Router;
use axum::http::header;
use axum::routing::get;
use fantoccini::key::Key;
use passbook::sandbox::{NewAccount, Sandbox, Served};
use serde_json::{Value, json};

use crate::driver::{Browser, browse};
use crate::house::{House, ask, open_bank, serve};

/// A page that embeds the widget, under a policy that allows nothing it does not need, and one to come back to.
async fn embedding_page(widget: &str) -> String {
    let policy = format!(
        "default-src 'none'; script-src 'self' {widget}/sandbox/widget/bridge.js; frame-src {widget}; base-uri 'none'; \
         form-action 'none'"
    );
    let page = format!(
        "<!doctype html><meta name=\"viewport\" content=\"width=device-width\"><title>Embedding</title><button id=\"start\">Start</button>\
         <script src=\"{widget}/sandbox/widget/bridge.js\"></script><script src=\"/page.js\"></script>"
    );
    let script = r#"
        window.seen = [];
        const bridgeToken = new URLSearchParams(location.search).get("token");
        const bridge = TruvBridge.init({
            bridgeToken,
            onLoad: () => { window.loaded = true; },
            onEvent: (type, payload, source) => window.seen.push([type, payload, source]),
            onSuccess: (token, metadata) => { window.success = [token, metadata]; },
            onClose: () => { window.closings = (window.closings || 0) + 1; },
        });
        document.getElementById("start").addEventListener("click", () => bridge.open());
    "#;
    let router = Router::new()
        .route(
            "/",
            get(move || async move {
                ([(header::CONTENT_SECURITY_POLICY, policy), (header::CONTENT_TYPE, "text/html".to_owned())], page)
            }),
        )
        .route("/page.js", get(move || async move { ([(header::CONTENT_TYPE, "text/javascript")], script) }))
        .route(
            "/back",
            get(|| async { ([(header::CONTENT_TYPE, "text/html")], "<!doctype html><h1 id=\"back\">Back</h1>") }),
        );
    serve(router).await
}

async fn bridge_token(bank: &Sandbox, origin: &str, user: &str, extra: Value) -> String {
    let headers = [("x-access-client-id", bank.truv_client_id()), ("x-access-secret", bank.truv_secret())];
    let mut body = json!({"product_type": "transactions"});
    body.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
    let answer = ask(origin, &format!("/v1/users/{user}/tokens/"), &headers, body).await;
    answer["bridge_token"].as_str().expect("a token").to_owned()
}

async fn event_types(browser: &Browser) -> Vec<String> {
    let seen = browser.value("window.seen.map((event) => event[0])").await;
    serde_json::from_value(seen).expect("texts")
}

#[test]
fn a_customer_connects_a_bank_in_the_widget_after_mistakes() {
    browse(async |browser| {
        let (bank, origin) = open_bank().await;
        let page = embedding_page(&origin).await;
        let user = bank.add_user("customer-1").to_string();
        let token = bridge_token(&bank, &origin, &user, json!({})).await;
        browser.goto(&format!("{page}/?token={token}")).await;
        browser.value("window.loaded").await;
        browser.click("#start").await;
        browser.enter_frame().await;
        browser.fill("#search", "capi").await;
        browser.shoot("widget-banks").await;
        browser.click("#provider-capital_one").await;
        browser.shoot("widget-login").await;
        // Wrong logins are answered with 400.
        browser.forgive("/sandbox/connect");
        for (username, password) in [("error.user", "login_error"), ("goodlogin", "mfa")] {
            browser.fill("#username", username).await;
            browser.fill("#password", password).await;
            browser.click("#submit").await;
            if password == "mfa" {
                browser.fill("#code", "00000").await;
                browser.click("#submit").await;
            }
            assert!(browser.text("#error").await.contains("refused"));
        }
        browser.as_on_a_phone().await;
        browser.shoot("widget-error-on-a-phone").await;
        browser.fill("#password", &format!("mfa{}", char::from(Key::Enter))).await;
        browser.fill("#code", &format!("12345{}", char::from(Key::Enter))).await;
        browser.find("#finish").await;
        browser.shoot("widget-done-on-a-phone").await;
        browser.leave_frame().await;
        let success = browser.value("window.success").await;
        let link = bank.truth().links[0].clone();
        assert_eq!(
            (link.institution.as_str(), &success[1]["employer"]["name"]),
            ("capital_one", &json!("Capital One"))
        );
        let headers = [("x-access-client-id", bank.truv_client_id()), ("x-access-secret", bank.truv_secret())];
        let exchanged = ask(&origin, "/v1/link-access-tokens/", &headers, json!({"public_token": success[0]})).await;
        assert_eq!(exchanged["access_token"], link.access_token.as_str());
        browser.enter_frame().await;
        browser.click("#close").await;
        browser.leave_frame().await;
        assert_eq!(browser.value("window.closings").await, 1);
        assert_eq!(browser.value("document.querySelectorAll('iframe').length === 0").await, true);
        let all = event_types(browser).await;
        let views = |event: &&String| event.as_str() == "SCREEN_VIEW";
        assert_eq!(all.iter().filter(views).count(), 7, "{all:?}");
        let others: Vec<&String> = all.iter().filter(|event| !views(event)).collect();
        let expected = ["LOAD", "OPEN", "ERROR", "ERROR", "LINK_CREATED", "LOGIN_COMPLETE", "SUCCESS", "CLOSE"];
        assert_eq!(others, expected);
        let errors =
            browser.value("window.seen.filter(([type]) => type === 'ERROR').map(([, payload]) => payload.error)").await;
        assert_eq!(
            errors[0],
            json!({"error_type": "LINK_ERROR", "error_code": "LOGIN_ERROR", "error_message": "login_error"})
        );
        assert_eq!(errors[1]["error_code"], "MFA_ERROR");
    });
}

#[test]
fn a_customer_repairs_a_link_or_leaves_the_widget_by_a_key() {
    browse(async |browser| {
        let (bank, origin) = open_bank().await;
        let page = embedding_page(&origin).await;
        let user = bank.add_user("customer-1");
        let link = bank.add_link(user, "chase");
        bank.break_login(link, "login_error");
        let access_token = bank.truth().links[0].access_token.clone();
        let token = bridge_token(&bank, &origin, &user.to_string(), json!({"access_token": access_token})).await;
        browser.goto(&format!("{page}/?token={token}")).await;
        browser.click("#start").await;
        browser.enter_frame().await;
        assert_eq!(browser.text("#bank-name").await, "Chase");
        browser.find("#username").await.send_keys(&char::from(Key::Escape).to_string()).await.expect("takes keys");
        browser.leave_frame().await;
        assert_eq!(browser.value("window.closings").await, 1);
        // A second time: the widget is as good as new.
        browser.click("#start").await;
        browser.enter_frame().await;
        browser.fill("#username", "goodlogin").await;
        browser.fill("#password", "goodpassword").await;
        browser.click("#submit").await;
        browser.click("#finish").await;
        browser.leave_frame().await;
        assert_eq!(browser.value("window.closings === 2").await, true);
        browser.value("window.success").await;
        assert_eq!(bank.truth().links[0].trouble, None);
    });
}

#[test]
fn a_customer_connects_a_bank_on_the_connect_site_and_comes_back() {
    browse(async |browser| {
        let (bank, origin) = open_bank().await;
        let page = embedding_page(&origin).await;
        let user = bank.add_user_at(Served::Bridge, "customer-1");
        let client = [
            ("bridge-version", "2025-01-15".to_owned()),
            ("client-id", bank.bridge_client_id()),
            ("client-secret", bank.bridge_client_secret()),
        ];
        let named = json!({"user_uuid": user.to_string()});
        let token = ask(&origin, "/v3/aggregation/authorization/token", &client, named).await;
        let bearer = format!("Bearer {}", token["access_token"].as_str().expect("a token"));
        let headers = [client.as_slice(), &[("authorization", bearer)]].concat();
        let session = async |extra: Value| {
            let mut body =
                json!({"user_email": "a@example.com", "callback_url": format!("{page}/back"), "context": "c-1"});
            body.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
            let made = ask(&origin, "/v3/aggregation/connect-sessions", &headers, body).await;
            made["url"].as_str().expect("an address").to_owned()
        };
        browser.goto(&session(json!({})).await).await;
        browser.shoot("site-banks").await;
        browser.click("#provider-574").await;
        browser.shoot("site-login").await;
        browser.fill("#username", "otp").await;
        browser.fill("#password", "any").await;
        browser.click("#submit").await;
        browser.fill("#code", "1234").await;
        browser.as_on_a_phone().await;
        browser.shoot("site-code-on-a-phone").await;
        browser.click("#submit").await;
        let landed = browser.url_below(&format!("{page}/back?")).await;
        let item = bank.truth().links[0].clone();
        let expected = format!("user_uuid={user}&item_id={}&success=true&source=connect&context=c-1", item.upstream_id);
        assert_eq!((item.institution.as_str(), landed.query()), ("574", Some(expected.as_str())));
        let number: u64 = item.upstream_id.parse().expect("a number");
        browser.goto(&session(json!({"item_id": number})).await).await;
        assert_eq!(browser.text("h1").await, "Demo Bank");
        browser.click("#cancel").await;
        let landed = browser.url_below(&format!("{page}/back?")).await;
        assert!(landed.as_str().contains("&success=false&step=edit_bank_creds_form&"), "{landed}");
    });
}

#[test]
fn the_house_has_both_sides_open() {
    browse(async |_| {
        let house = House::open(1).await;
        let account = NewAccount::checking("Main", 100);
        house.bank.add_account(house.bank.add_link(house.bank.add_user("late"), "ally"), account);
        assert!(house.run(&["status"]).contains("us") && house.store().exists());
        assert!(house.public.starts_with("http://127.0.0.1:") && house.public != house.admin);
        assert!(!house.log().contains(&house.admin_token));
    });
}
