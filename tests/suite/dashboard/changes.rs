//! Changes through forms: only those that a page of this session can have sent.

use axum::http::{Request, StatusCode};
use passbook::sandbox::{NewTransaction, Served};

use super::browser::{ADMIN, BOTH, Side};
use crate::harness::Bench;
use crate::home::Home;

async fn home(server: &str) -> Home {
    let home = Home::of(Bench::pulling(Served::Truv, server));
    home.add(2, NewTransaction::posted(-1_200, "COFFEE"));
    home.bench.run_once().await;
    home
}

#[tokio::test(start_paused = true)]
async fn a_link_is_paused_resumed_and_synced_from_its_page() {
    let home = home(ADMIN).await;
    let side = Side::open(&home.bench).await;
    let browser = side.logged_in().await;
    let state = || home.bench.states(&[home.link]).remove(0);
    let page = format!("/links/{}", home.bench.link_id(home.link));
    let form_token = browser.form_token(&page).await;
    let fields = [("form_token", form_token.as_str())];
    for (action, expected) in [("pause", "paused"), ("resume", "active"), ("sync", "active")] {
        let reply = browser.post(&format!("{page}/{action}"), &fields).await;
        assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.text);
        assert_eq!(reply.header("location"), format!("{page}?done={action}"));
        assert_eq!(state(), expected, "{action}");
        let shown = browser.page(reply.header("location")).await;
        assert!(shown.contains("role=\"status\""), "{action}: {shown}");
    }
    assert_eq!(home.bench.value("SELECT due_cause FROM links"), "person");
    let strange = browser.page(&format!("{page}?done=%3Cb%3E")).await;
    assert!(!strange.contains("role=\"status\""), "what is no word of ours is not said: {strange}");
}

#[tokio::test(start_paused = true)]
async fn what_no_page_of_this_session_sent_changes_nothing() {
    let home = home(ADMIN).await;
    let side = Side::open(&home.bench).await;
    let (mine, theirs) = (side.logged_in().await, side.logged_in().await);
    let pause = format!("/links/{}/pause", home.bench.link_id(home.link));
    let (good, foreign) = (mine.form_token("/").await, theirs.form_token("/").await);
    assert_ne!(good, foreign);
    let before = home.bench.dump();
    for token in [None, Some(""), Some("AAAA"), Some(foreign.as_str()), Some(&good[1..])] {
        let fields: Vec<(&str, &str)> = token.map(|token| ("form_token", token)).into_iter().collect();
        let reply = mine.post(&pause, &fields).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{token:?}");
        assert!(reply.text.contains("Nothing was changed"));
    }
    let fields = [("form_token", good.as_str())];
    for site in ["cross-site", "same-site", "none"] {
        assert_eq!(mine.post_from(site, &pause, &fields).await.status, StatusCode::FORBIDDEN, "{site}");
    }
    for origin in
        ["https://evil.example", "null", "https://admin.example.com.evil.example", "http://admin.example.com:1"]
    {
        let reply = mine.post_with(&[("origin", origin)], &pause, &fields).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{origin}");
    }
    assert_eq!(mine.get(&pause).await.status, StatusCode::METHOD_NOT_ALLOWED, "looking changes nothing");
    let anonymous = side.browser().post(&pause, &fields).await;
    assert_eq!((anonymous.status, anonymous.header("location")), (StatusCode::SEE_OTHER, "/login"));
    let logout = mine.post_from("cross-site", "/logout", &fields).await;
    assert_eq!((logout.status, mine.get("/").await.status), (StatusCode::FORBIDDEN, StatusCode::OK));
    assert_eq!(home.bench.dump(), before);
    let ours = mine.post_with(&[("origin", "https://admin.example.com")], &pause, &fields).await;
    assert_eq!(ours.status, StatusCode::SEE_OTHER, "an old browser that says only the origin");
    assert_eq!(home.bench.states(&[home.link]), ["paused"]);
}

#[tokio::test(start_paused = true)]
async fn a_script_changes_with_the_token_alone() {
    let home = home(ADMIN).await;
    let side = Side::open(&home.bench).await;
    let pause = format!("/links/{}/pause", home.bench.link_id(home.link));
    let ask = |token: &str| {
        let request = Request::post(&pause).header("authorization", format!("Bearer {token}"));
        side.send([127, 0, 0, 1], request, String::new())
    };
    assert_eq!(ask("wrong").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(home.bench.states(&[home.link]), ["active"]);
    assert_eq!(ask(&side.token).await.status, StatusCode::SEE_OTHER);
    assert_eq!(home.bench.states(&[home.link]), ["paused"]);
}

#[tokio::test(start_paused = true)]
async fn links_that_are_not_there_are_not_changed() {
    let home = home(ADMIN).await;
    let side = Side::open(&home.bench).await;
    let browser = side.logged_in().await;
    let form_token = browser.form_token("/").await;
    for link in ["99", "-1", "x", "%2e%2e", "99999999999999999999", home.link.to_string().as_str()] {
        let reply = browser.post(&format!("/links/{link}/pause"), &[("form_token", &form_token)]).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{link}");
    }
    assert_eq!(home.bench.states(&[home.link]), ["active"]);
}

#[tokio::test(start_paused = true)]
async fn an_invite_is_shown_once_and_only_where_somebody_could_open_it() {
    let home = home(BOTH).await;
    let side = Side::open(&home.bench).await;
    let browser = side.logged_in().await;
    let page = format!("/links/{}", home.bench.link_id(home.link));
    let form_token = browser.form_token(&page).await;
    let made = browser.post(&format!("{page}/invite"), &[("form_token", &form_token)]).await;
    assert_eq!((made.status, made.header("cache-control")), (StatusCode::OK, "no-store"), "{}", made.text);
    assert!(made.text.contains("value=\"http://127.0.0.1:8780/connect/"), "{}", made.text);
    assert_eq!(home.bench.value("SELECT count(*) FROM invites WHERE link_id IS NOT NULL AND used_at IS NULL"), "1");
    let (_, after) = made.text.split_once("/connect/").expect("an address");
    let token = after.split_once('"').expect("its end").0;
    assert!(!browser.page(&page).await.contains(token));

    let home = self::home(ADMIN).await;
    let side = Side::open(&home.bench).await;
    let browser = side.logged_in().await;
    assert!(!browser.page(&page).await.contains("/invite\""), "no public side, no button");
    let form_token = browser.form_token("/").await;
    let refused = browser.post(&format!("{page}/invite"), &[("form_token", &form_token)]).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.text.contains("public_listen"), "{}", refused.text);
}
