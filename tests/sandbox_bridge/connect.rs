//! Sessions, and what customers do on the hosted page.

use std::time::Duration;

use passbook::sandbox::UserId;
use serde_json::{Value, json};

use crate::bench::Bench;

const SESSIONS: &str = "/v3/aggregation/connect-sessions";

/// A session for `user`, with the body's fields beside the address and the callback.
pub(crate) async fn session(bench: &Bench, user: UserId, fields: Value) -> String {
    let token = bench.token(user).await;
    let mut body = json!({"user_email": "a@example.com", "callback_url": "http://localhost:1/back", "context": "c-1"});
    for (key, value) in fields.as_object().expect("an object") {
        body[key] = value.clone();
    }
    let answer = bench.post(&token, SESSIONS, body).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    let id = answer.json()["id"].as_str().expect("an id").to_owned();
    assert_eq!(answer.json()["url"], format!("https://connect.bridgeapi.io/session/{id}"));
    id
}

pub(crate) async fn visit(bench: &Bench, session: &str, fields: Value) -> Value {
    let mut body = json!({"session": session});
    for (key, value) in fields.as_object().expect("an object") {
        body[key] = value.clone();
    }
    let answer = bench.post("", "/sandbox/bridge/connect", body).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    answer.json()
}

#[tokio::test(start_paused = true)]
async fn a_session_checks_its_fields() {
    let bench = Bench::new();
    let small = bench.small_link(1).await;
    let good = json!({"user_email": "a@example.com"});
    for (name, value) in [
        ("user_email", json!(null)),
        ("user_email", json!("nobody")),
        ("callback_url", json!("not a url")),
        ("context", json!("a b")),
        ("context", json!("x".repeat(101))),
        ("account_types", json!("some")),
        ("provider_id", json!(99_999)),
        ("provider_id", json!("574")),
        ("force_reauthentication", json!("yes")),
        ("country_code", json!("fr")),
        ("capabilities", json!("aggregation")),
        ("max_selectable_accounts", json!(0)),
    ] {
        let mut body = good.clone();
        body[name] = value;
        let answer = bench.post(&small.token, SESSIONS, body).await;
        assert_eq!((answer.status, &answer.json()["errors"][0]["property"]), (400, &json!(name)));
    }
    let far = json!({"user_email": "a@b.fr", "callback_url": "https://evilexample.com/"});
    let refused = bench.post(&small.token, SESSIONS, far).await.refusal();
    assert_eq!(refused, (400, "connect_session.callback_url_not_whitelisted".to_owned()));
    bench.sandbox.allow_callback("bank.test");
    let allowed = json!({"user_email": "a@b.fr", "callback_url": "https://app.bank.test/back"});
    assert_eq!(bench.post(&small.token, SESSIONS, allowed.clone()).await.status, 200);
    assert_eq!(bench.post(&small.token, "/v3/aggregation/user-management-sessions", allowed).await.status, 200);
    assert_eq!(bench.post(&small.token, SESSIONS, json!({"item_id": 1})).await.status, 404);
    let item = small.link.to_string().parse::<u64>().expect("a number");
    assert_eq!(bench.post(&small.token, SESSIONS, json!({"item_id": item})).await.status, 200);
    assert_eq!(bench.post("", SESSIONS, good).await.status, 401);
}

#[tokio::test(start_paused = true)]
async fn a_new_item_shows_a_week_and_then_the_rest() {
    let bench = Bench::new();
    let user = bench.sandbox.add_user("customer-1");
    let id = session(&bench, user, json!({"account_types": "all"})).await;
    let done = visit(&bench, &id, json!({"login": "success"})).await;
    let item = done["item_id"].to_string();
    let callback = done["callback"].as_str().expect("a URL").to_owned();
    let expected =
        format!("http://localhost:1/back?user_uuid={user}&item_id={item}&success=true&source=connect&context=c-1");
    assert_eq!(callback, expected);
    let token = bench.token(user).await;
    let seen = async || {
        let object = bench.get(&token, &format!("/v3/aggregation/items/{item}")).await.json();
        (object["status"].as_i64(), bench.walk(&token, "").await, object)
    };
    let (status, rows, object) = seen().await;
    assert_eq!((status, rows.len(), object.get("last_successful_refresh")), (Some(-2), 0, None));
    assert_eq!(bench.get(&token, "/v3/aggregation/accounts").await.rows().len(), 0);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (status, week, object) = seen().await;
    assert_eq!((status, &object["account_types"]), (Some(0), &json!("all")));
    assert!(!week.is_empty() && week.len() < 60);
    assert!(week.iter().all(|row| row["date"].as_str() >= Some("2026-03-03")));
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(seen().await.1.len(), 60);
    let since = format!("since={}", week[0]["updated_at"].as_str().expect("an instant"));
    assert_eq!(bench.walk(&token, &since).await.len(), 60 - week.len());
    let accounts = bench.get(&token, "/v3/aggregation/accounts").await.rows();
    let count = |kind: &str| accounts.iter().filter(|account| account["type"] == kind).count();
    assert_eq!((count("checking"), count("card"), count("savings"), count("loan")), (4, 2, 1, 2));
    assert_eq!(count("brokerage") + count("pea") + count("life_insurance"), 3);
    assert_eq!(bench.get(&token, "/v3/aggregation/stocks").await.rows().len(), 3);
    // The same login at the same bank once more: new ids, the same IBANs.
    let id = session(&bench, user, json!({"account_types": "all"})).await;
    bench.sandbox.settings(|settings| settings.bridge.rest_of_history_after = None);
    visit(&bench, &id, json!({"login": "success"})).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(bench.walk(&token, "limit=500").await.len(), 120);
    let twice = bench.get(&token, "/v3/aggregation/accounts").await.rows();
    assert_eq!((twice.len(), &twice[12]["iban"]), (24, &accounts[0]["iban"]));
}

#[tokio::test(start_paused = true)]
async fn the_demo_logins_do_as_documented() {
    let bench = Bench::new();
    let user = bench.sandbox.add_user("customer-1");
    for (login, fields, step, status) in [
        ("otp", json!({"code": "1234"}), None, 0),
        ("app2app", json!({}), None, 0),
        ("otp", json!({}), Some("otp_form"), 1010),
        ("otp_fail", json!({}), Some("otp_form"), 1010),
        ("app2app_expiry", json!({}), Some("sync_error"), 1010),
        ("402", json!({}), Some("bank_creds_form"), 402),
        ("429", json!({}), Some("sync_error"), 429),
        ("1003", json!({}), Some("sync_error"), 1003),
        ("1005_CLOSED_ACCOUNT", json!({}), Some("sync_error"), 1005),
    ] {
        let id = session(&bench, user, json!({})).await;
        let mut body = fields;
        body["login"] = json!(login);
        let done = visit(&bench, &id, body).await;
        let callback = done["callback"].as_str().expect("a URL").to_owned();
        let told = step.map_or("&success=true&".to_owned(), |step| format!("&success=false&step={step}&"));
        assert!(callback.contains(&told), "{callback}");
        tokio::time::sleep(Duration::from_secs(70)).await;
        let token = bench.token(user).await;
        let item = bench.get(&token, &format!("/v3/aggregation/items/{}", done["item_id"])).await.json();
        assert_eq!(item["status"], status, "{login}");
        let path = format!("/v3/aggregation/accounts?item_id={}", done["item_id"]);
        assert_eq!(bench.get(&token, &path).await.rows().len(), if status == 0 { 6 } else { 0 }, "{login}");
    }
    let id = session(&bench, user, json!({"provider_id": 112})).await;
    let left = visit(&bench, &id, json!({"leave": "bank_creds_form"})).await;
    assert_eq!(left["item_id"], Value::Null);
    assert!(left["callback"].as_str().expect("a URL").contains("&success=false&step=bank_creds_form&"));
    let scripted = visit(&bench, &id, json!({"login": "success.1010"})).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let link = scripted["item_id"].to_string().parse().expect("an id");
    bench.sandbox.refresh_item(link);
    let truth = bench.sandbox.truth();
    let truth = truth.link(link).expect("the link");
    assert_eq!((truth.institution.as_str(), truth.status.as_str()), ("112", "1010"));
    tokio::time::sleep(Duration::from_mins(30)).await;
    assert_eq!(bench.post("", "/sandbox/bridge/connect", json!({"session": id})).await.status, 410);
}

#[tokio::test(start_paused = true)]
async fn a_session_with_an_item_repairs_it() {
    let bench = Bench::new();
    let small = bench.small_link(2).await;
    bench.walk(&small.token, "").await;
    bench.sandbox.break_login(small.link, "402");
    bench.sandbox.refresh_item(small.link);
    let item: u64 = small.link.to_string().parse().expect("a number");
    let id = session(&bench, small.user, json!({"item_id": item, "force_reauthentication": true})).await;
    tokio::time::sleep(Duration::from_mins(5)).await;
    let done = visit(&bench, &id, json!({"login": "success"})).await;
    assert_eq!(done["item_id"], item);
    let status = async || {
        let object = bench.get(&small.token, &format!("/v3/aggregation/items/{item}")).await.json();
        (object["status"].as_i64(), object["authentication_expires_at"].clone())
    };
    assert_eq!(status().await, (Some(-3), json!("2026-09-06T12:05:00.000Z")));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(status().await.0, Some(0));
    assert_eq!(bench.walk(&small.token, "").await.len(), 2);
}
