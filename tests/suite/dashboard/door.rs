//! In and out, and everybody who is neither.

use std::time::Duration;

use axum::http::{Request, StatusCode};

use super::browser::{ADMIN, BOTH, Side};
use crate::harness::Bench;

const PAGES: [&str; 4] = ["/", "/attention", "/links", "/links/1"];

#[tokio::test(start_paused = true)]
async fn nobody_sees_anything_before_the_login() {
    let bench = Bench::with(ADMIN);
    let side = Side::open(&bench).await;
    for path in PAGES {
        let reply = side.browser().get(path).await;
        assert_eq!((reply.status, reply.text.as_str()), (StatusCode::SEE_OTHER, ""), "{path}");
        assert!(reply.header("location").starts_with("/login"), "{path}");
    }
    let login = side.browser().page("/login").await;
    assert!(login.contains("Admin token") && !login.contains("Overview"), "{login}");
}

#[tokio::test(start_paused = true)]
async fn the_token_opens_and_logging_out_closes() {
    let bench = Bench::with(ADMIN);
    let side = Side::open(&bench).await;
    let mut browser = side.browser();
    let wanted = browser.get("/links?state=failing").await;
    assert_eq!(wanted.header("location"), "/login?next=%2Flinks%3Fstate%3Dfailing");
    let reply = browser.log_in(&side.token, "/links?state=failing").await;
    assert_eq!((reply.status, reply.header("location")), (StatusCode::SEE_OTHER, "/links?state=failing"));
    let cookie = reply.header("set-cookie");
    assert!(cookie.starts_with("passbook=") && cookie.ends_with("; HttpOnly; SameSite=Strict; Path=/"), "{cookie}");
    for path in &PAGES[..3] {
        let reply = browser.get(path).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}");
        assert_eq!(reply.header("cache-control"), "no-store");
        assert!(reply.header("content-security-policy").starts_with("default-src 'none'"));
    }
    assert_eq!(browser.get("/login").await.header("location"), "/", "who is in needs no login");
    let form_token = browser.form_token("/").await;
    let left = browser.post("/logout", &[("form_token", &form_token)]).await;
    assert_eq!((left.status, left.header("location")), (StatusCode::SEE_OTHER, "/login"));
    assert!(left.header("set-cookie").contains("Max-Age=0"), "{left:?}");
    // The browser was told to forget it, and one that does not is refused all the same.
    assert_eq!(browser.get("/").await.status, StatusCode::SEE_OTHER);
    let again = browser.post("/links/1/pause", &[("form_token", &form_token)]).await;
    assert_eq!(again.header("location"), "/login");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_token_opens_nothing_and_guessing_shuts_the_door() {
    let bench = Bench::with(ADMIN);
    let side = Side::open(&bench).await;
    let mut browser = side.browser();
    for token in ["", "wrong", &side.token[1..], &format!("{}x", side.token)] {
        let reply = browser.log_in(token, "/").await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{token:?}");
        assert!(reply.text.contains("not the admin token") && !reply.text.contains(&side.token));
        assert_eq!(reply.header("set-cookie"), "");
    }
    for _ in 0..16 {
        browser.log_in("wrong", "/").await;
    }
    let shut = browser.log_in(&side.token, "/").await;
    assert_eq!((shut.status, shut.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "60"));
    let script = Request::get("/").header("authorization", format!("Bearer {}", side.token));
    assert_eq!(side.send([127, 0, 0, 1], script, String::new()).await.status, StatusCode::TOO_MANY_REQUESTS);
    bench.pass(Duration::from_secs(61)).await;
    assert_eq!(browser.log_in(&side.token, "/").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test(start_paused = true)]
async fn cookies_that_are_not_ours_or_too_old_lead_to_the_login() {
    let bench = Bench::with(ADMIN);
    let side = Side::open(&bench).await;
    let mut browser = side.logged_in().await;
    let good = browser.cookie.clone().expect("a cookie");
    let restarted = Side::open(&bench).await;
    let foreign = restarted.logged_in().await.cookie.clone().expect("a cookie");
    let flipped = good.strip_suffix(|_: char| true).map(|head| format!("{head}!")).expect("a cookie");
    let cases = [
        foreign.as_str(),
        flipped.as_str(),
        "passbook=",
        "passbook=AAAA",
        "passbook=\"",
        "__Host-passbook=x",
        "other=1",
    ];
    for cookie in cases {
        browser.cookie = Some(cookie.to_owned());
        let reply = browser.get("/links").await;
        assert_eq!((reply.status, reply.text.as_str()), (StatusCode::SEE_OTHER, ""), "{cookie}");
        assert_eq!(reply.header("location"), "/login?next=%2Flinks", "{cookie}");
    }
    // A cookie set for plain HTTP is none where TLS is spoken.
    browser.cookie = Some(good);
    assert_eq!(browser.get("/").await.status, StatusCode::OK);
    bench.pass(Duration::from_hours(12) - Duration::from_secs(1)).await;
    assert_eq!(browser.get("/").await.status, StatusCode::OK);
    bench.pass(Duration::from_secs(1)).await;
    assert_eq!(browser.get("/").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test(start_paused = true)]
async fn behind_a_proxy_that_speaks_tls_the_cookie_is_for_tls_alone() {
    let bench = Bench::with(BOTH);
    let side = Side::open(&bench).await;
    let login = |from| {
        let request = Request::post("/login").header("x-forwarded-proto", "https").header("host", "admin.example.com");
        side.send(from, request, format!("token={}", side.token))
    };
    let over_tls = login([10, 0, 0, 1]).await;
    let cookie = over_tls.header("set-cookie");
    assert!(cookie.starts_with("__Host-passbook=") && cookie.contains("; Secure"), "{cookie}");
    let untrusted = login([192, 0, 2, 1]).await;
    assert!(untrusted.header("set-cookie").starts_with("passbook="), "a stranger's header is not believed");
    let plain = untrusted.header("set-cookie").split(';').next().expect("a cookie").to_owned();
    let request = Request::get("/").header("x-forwarded-proto", "https").header("cookie", plain);
    assert_eq!(side.send([10, 0, 0, 1], request, String::new()).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test(start_paused = true)]
async fn a_login_leads_nowhere_else_and_comes_from_nowhere_else() {
    let bench = Bench::with(ADMIN);
    let side = Side::open(&bench).await;
    for next in ["//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil.example", "javascript:alert(1)"]
    {
        let mut browser = side.browser();
        assert_eq!(browser.log_in(&side.token, next).await.header("location"), "/", "{next:?}");
    }
    let foreign = side.browser().post_from("cross-site", "/login", &[("token", &side.token)]).await;
    assert_eq!((foreign.status, foreign.header("set-cookie")), (StatusCode::FORBIDDEN, ""));
    let large = "x".repeat(20_000);
    let large = side.browser().post("/login", &[("token", &large)]).await;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test(start_paused = true)]
async fn a_script_sends_the_token_with_each_request() {
    let bench = Bench::with(ADMIN);
    let side = Side::open(&bench).await;
    for (token, status) in [(side.token.as_str(), StatusCode::OK), ("wrong", StatusCode::UNAUTHORIZED)] {
        let request = Request::get("/").header("authorization", format!("Bearer {token}"));
        let reply = side.send([127, 0, 0, 1], request, String::new()).await;
        assert_eq!(reply.status, status);
        assert_eq!(reply.header("set-cookie"), "");
    }
}

#[tokio::test(start_paused = true)]
async fn assets_tell_nothing_and_everybody_may_have_them() {
    let bench = Bench::with(ADMIN);
    let side = Side::open(&bench).await;
    for (path, kind) in [("admin.css", "text/css"), ("admin.js", "text/javascript"), ("mark.svg", "image/svg+xml")] {
        let reply = side.browser().get(&format!("/assets/{path}")).await;
        assert_eq!(reply.status, StatusCode::OK);
        assert!(reply.header("content-type").starts_with(kind), "{path}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
    }
    assert_eq!(side.browser().get("/assets/../door.rs").await.status, StatusCode::NOT_FOUND);
}
