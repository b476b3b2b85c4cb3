//! The stand-in Connect site: its pages, and where it sends the browser.

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use crate::bench::{Answer, Bench};
use crate::connect::session;

async fn open(bench: &Bench, path: &str) -> Answer {
    let request = Request::get(format!("/sandbox/bridge/session/{path}")).body(Body::empty()).expect("a request");
    bench.send(request).await.expect("a whole body")
}

async fn submit(bench: &Bench, id: &str, form: &str) -> Answer {
    let request = Request::post(format!("/sandbox/bridge/session/{id}"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(form.to_owned()));
    bench.send(request.expect("a request")).await.expect("a whole body")
}

fn html(answer: &Answer) -> String {
    assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
    let policy = answer.headers["content-security-policy"].to_str().expect("a text");
    // A browser enforces a form-action on the redirect that leads back to the program.
    assert!(policy.contains("default-src 'none'") && !policy.contains("form-action"), "{policy}");
    String::from_utf8_lossy(&answer.bytes).into_owned()
}

fn location(answer: &Answer) -> &str {
    assert_eq!(answer.status, 303);
    answer.headers["location"].to_str().expect("a text")
}

#[tokio::test(start_paused = true)]
async fn a_customer_chooses_a_bank_logs_in_and_comes_back() {
    let bench = Bench::new();
    let user = bench.sandbox.add_user("customer-1");
    let id = session(&bench, user, json!({})).await;
    let banks = html(&open(&bench, &id).await);
    assert!(banks.contains("id=\"provider-574\"") && banks.contains(&format!("href=\"{id}?provider=574\"")));
    let login = html(&open(&bench, &format!("{id}?provider=574")).await);
    assert!(login.contains("Demo Bank") && login.contains("id=\"username\"") && login.contains("Test logins"));
    let back = submit(&bench, &id, "provider=574&username=success&password=x").await;
    let item = bench.sandbox.truth().links[0].upstream_id.clone();
    let expected =
        format!("http://localhost:1/back?user_uuid={user}&item_id={item}&success=true&source=connect&context=c-1");
    assert_eq!(location(&back), expected);
}

#[tokio::test(start_paused = true)]
async fn a_code_is_asked_for_and_every_documented_end_leads_back() {
    let bench = Bench::new();
    let user = bench.sandbox.add_user("customer-1");
    let id = session(&bench, user, json!({"provider_id": 574})).await;
    assert!(html(&open(&bench, &id).await).contains("Demo Bank"));
    let code = html(&submit(&bench, &id, "username=otp").await);
    assert!(code.contains("id=\"code\"") && bench.sandbox.truth().links.is_empty());
    for (form, told) in [
        ("username=otp&code=1234", "&success=true&"),
        ("username=otp_fail&code=1234", "&success=false&step=otp_form&"),
        ("username=402", "&success=false&step=bank_creds_form&"),
        ("username=1010", "&success=false&step=otp_form&"),
        ("username=1005_CLOSED_ACCOUNT", "&success=false&step=sync_error&"),
    ] {
        let back = submit(&bench, &id, form).await;
        assert!(location(&back).contains(told), "{form}: {}", location(&back));
    }
}

#[tokio::test(start_paused = true)]
async fn a_customer_who_leaves_comes_back_with_the_step() {
    let bench = Bench::new();
    let small = bench.small_link(1).await;
    let id = session(&bench, small.user, json!({})).await;
    let path = format!("{id}/leave?step=highlighted_banks");
    assert!(html(&open(&bench, &id).await).contains(&format!("href=\"{path}\"")));
    let back = open(&bench, &path).await;
    let expected = format!(
        "http://localhost:1/back?user_uuid={}&success=false&step=highlighted_banks&source=connect&context=c-1",
        small.user
    );
    assert_eq!(location(&back), expected);
    let item: u64 = small.link.to_string().parse().expect("a number");
    let id = session(&bench, small.user, json!({"item_id": item})).await;
    assert!(html(&open(&bench, &id).await).contains("leave?step=edit_bank_creds_form"));
    let back = open(&bench, &format!("{id}/leave?step=%22%3E%3Cscript%3E")).await;
    assert!(location(&back).contains(&format!("&item_id={item}&success=false&step=highlighted_banks&")));
}

#[tokio::test(start_paused = true)]
async fn without_an_address_to_go_back_to_a_page_says_how_it_ended() {
    let bench = Bench::new();
    let small = bench.small_link(1).await;
    let base = "http://127.0.0.1:8790/sandbox/bridge/session/";
    bench.sandbox.settings(|settings| settings.bridge.connect_url = base.to_owned());
    let body = json!({"user_email": "a@example.com", "provider_id": 574});
    let made = bench.post(&small.token, "/v3/aggregation/connect-sessions", body).await.json();
    let id = made["id"].as_str().expect("an id");
    assert_eq!(made["url"], format!("{base}{id}"));
    let done = submit(&bench, id, "username=success").await;
    assert!(done.status == 200 && html(&done).contains("Connected"));
    let left = open(&bench, &format!("{id}/leave")).await;
    assert!(html(&left).contains("Not connected"));
    bench.sandbox.delete_user(small.user);
    assert_eq!(open(&bench, id).await.status, 410);
    let unknown = open(&bench, "01920000-0000-7000-8000-000000000000").await;
    assert!(unknown.status == 404 && html(&unknown).contains("no such session"));
}
