//! The client against a stand-in that answers as scripted, in virtual time. Sections are those of upstream/bridge.md.

mod connect;

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use serde_json::{Value, json};

use jiff::SignedDuration;

use super::*;
use crate::http::{DoorOptions, Timeouts, Transport};
use crate::limits::requests::{DEFAULT_BACKFILL_SHARE_PERCENT, DEFAULT_MARGIN_PERCENT, Lane, Quota, RequestLimiter};

const TOKEN: &str = "POST /v3/aggregation/authorization/token";
const ITEMS_PAGE: &str = "GET /v3/aggregation/items?limit=500";

/// Answers by method and target: the first of a script until one is left, which answers again and again. Every token it
/// hands out is new.
#[derive(Clone, Default)]
struct Stand(Arc<Mutex<Scene>>);

#[derive(Default)]
struct Scene {
    script: HashMap<String, Vec<(u16, Value)>>,
    seen: Vec<Seen>,
    tokens: u32,
    /// How long a token takes.
    delay: Duration,
    /// The `expires_at` of the tokens.
    expires_at: Option<&'static str>,
}

#[derive(Clone)]
struct Seen {
    target: String,
    headers: HeaderMap,
    body: Value,
}

impl Stand {
    fn on(&self, target: &str, answers: impl IntoIterator<Item = (u16, Value)>) -> &Self {
        let script = answers.into_iter().collect();
        self.0.lock().expect("not poisoned").script.insert(target.to_owned(), script);
        self
    }

    fn seen(&self) -> Vec<Seen> {
        self.0.lock().expect("not poisoned").seen.clone()
    }

    fn targets(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.target).collect()
    }

    fn count(&self, target: &str) -> usize {
        self.targets().iter().filter(|t| *t == target).count()
    }

    fn bridge(&self) -> (Bridge, Clock) {
        self.bridge_at("https://bridge.test")
    }

    fn bridge_at(&self, origin: &str) -> (Bridge, Clock) {
        let clock = Clock::virtual_at("2026-11-20T12:00:00Z".parse().expect("an instant"));
        let quota = Quota { requests: 60_000, window: Duration::from_mins(1) };
        let limiter = RequestLimiter::new(quota, DEFAULT_MARGIN_PERCENT, DEFAULT_BACKFILL_SHARE_PERCENT, clock.clone());
        let door = Door::new(DoorOptions {
            origin: origin.parse().expect("a URL"),
            headers: headers("client-1", &Secret::new("canary-secret"), "fr").expect("headers"),
            transport: Transport::in_process(Router::new().fallback(serve).with_state(self.clone())),
            limiter,
            dialect: DIALECT,
            clock: clock.clone(),
            timeouts: Timeouts::default(),
            seed: 7,
        })
        .expect("a door");
        (Bridge::new(door, 200, clock.clone(), Vec::new()), clock)
    }
}

async fn serve(State(stand): State<Stand>, request: Request) -> Response {
    let target = format!("{} {}", request.method(), request.uri());
    let headers = request.headers().clone();
    let body = to_bytes(request.into_body(), 1 << 20).await.expect("a body");
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let (delay, answer) = {
        let mut scene = stand.0.lock().expect("not poisoned");
        scene.seen.push(Seen { target: target.clone(), headers, body });
        let scripted = scene.script.get_mut(&target).map(|script| match script.len() {
            1 => script[0].clone(),
            _ => script.remove(0),
        });
        let answer = scripted.unwrap_or_else(|| {
            if target != TOKEN {
                return (404, errors("not_found"));
            }
            scene.tokens += 1;
            (200, json!({"access_token": format!("token-{}", scene.tokens), "expires_at": scene.expires_at}))
        });
        (if target == TOKEN { scene.delay } else { Duration::ZERO }, answer)
    };
    tokio::time::sleep(delay).await;
    let builder = Response::builder().status(answer.0).header("content-type", "application/json");
    builder.body(Body::from(answer.1.to_string())).expect("a response")
}

fn errors(code: &str) -> Value {
    json!({"errors": [{"code": code, "message": "no"}]})
}

fn items(ids: &[u32], next: &Value) -> (u16, Value) {
    let resources: Vec<Value> = ids.iter().map(|id| json!({"id": id, "status": 0})).collect();
    (200, json!({"resources": resources, "pagination": {"next_uri": next}}))
}

fn context() -> CallContext {
    CallContext::new(Lane::Scheduled)
}

async fn links(bridge: &Bridge) -> Result<Vec<String>, CallError> {
    let links = bridge.user_links(&context(), "u-1").await?;
    Ok(links.into_iter().map(|link| link.upstream_id).collect())
}

/// Section 1.2.
#[tokio::test(start_paused = true)]
async fn every_request_carries_the_application_and_a_users_one_the_token_too() {
    let stand = Stand::default();
    stand.on(ITEMS_PAGE, [items(&[1], &Value::Null)]);
    stand.on("GET /v3/aggregation/users?limit=1", [(200, json!({"resources": []}))]);
    let (bridge, _) = stand.bridge();
    bridge.check(&context()).await.expect("an answer");
    let context = context();
    bridge.user_links(&context, "u-1").await.expect("links");
    assert_eq!(context.take_requests(), 2, "the token counts");
    let seen = stand.seen();
    assert_eq!(seen.iter().map(|s| s.target.as_str()).collect::<Vec<_>>()[1..], [TOKEN, ITEMS_PAGE]);
    for request in &seen {
        for (name, value) in [
            ("bridge-version", "2025-01-15"),
            ("client-id", "client-1"),
            ("client-secret", "canary-secret"),
            ("accept-language", "fr"),
        ] {
            assert_eq!(request.headers.get(name).and_then(|v| v.to_str().ok()), Some(value), "{}", request.target);
        }
    }
    let bearers: Vec<_> =
        seen.iter().map(|s| s.headers.get("authorization").map(http::HeaderValue::as_bytes)).collect();
    assert_eq!(bearers, [None, None, Some(&b"Bearer token-1"[..])]);
    assert_eq!(seen[1].body, json!({"user_uuid": "u-1"}));
}

/// Section 6: ten tokens a minute and user.
#[tokio::test(start_paused = true)]
async fn calls_at_once_wait_for_one_token() {
    let stand = Stand::default();
    stand.on(ITEMS_PAGE, [items(&[1], &Value::Null)]);
    stand.0.lock().expect("not poisoned").delay = Duration::from_secs(3);
    let (bridge, _) = stand.bridge();
    let (a, b, c) = tokio::join!(links(&bridge), links(&bridge), links(&bridge));
    assert_eq!([a, b, c].map(|links| links.expect("links").len()), [1, 1, 1]);
    assert_eq!((stand.count(TOKEN), stand.count(ITEMS_PAGE)), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_at_110_minutes_or_when_it_expires() {
    let minutes = |m| Duration::from_mins(m);
    // The waits between calls, and whether the last call asked for another token.
    for (expires_at, waits, tokens) in [
        (None, [109, 0], 1),
        (None, [109, 2], 2),
        (Some("2026-11-20T14:00:00.000Z"), [109, 2], 2),
        (Some("2026-11-20T12:30:00.000Z"), [29, 0], 1),
        (Some("2026-11-20T12:30:00.000Z"), [29, 2], 2),
        // Clocks that differ by hours do not make every call ask for a token.
        (Some("2026-11-20T02:00:00.000Z"), [0, 0], 1),
        (Some("2026-11-20T22:00:00.000Z"), [109, 2], 2),
        (Some("soon"), [109, 0], 1),
    ] {
        let stand = Stand::default();
        stand.on(ITEMS_PAGE, [items(&[1], &Value::Null)]);
        stand.0.lock().expect("not poisoned").expires_at = expires_at;
        let (bridge, clock) = stand.bridge();
        links(&bridge).await.expect("links");
        for wait in waits {
            clock.sleep(minutes(wait)).await;
            links(&bridge).await.expect("links");
        }
        assert_eq!(stand.count(TOKEN), tokens, "{expires_at:?} {waits:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_does_not_prolong_a_token() {
    let stand = Stand::default();
    stand.on(ITEMS_PAGE, [items(&[1], &Value::Null)]);
    let (bridge, clock) = stand.bridge();
    links(&bridge).await.expect("links");
    clock.shift(SignedDuration::from_hours(-24));
    links(&bridge).await.expect("links");
    assert_eq!(stand.count(TOKEN), 2);
}

#[tokio::test(start_paused = true)]
async fn tokens_that_expired_are_not_kept() {
    let stand = Stand::default();
    stand.on(ITEMS_PAGE, [items(&[], &Value::Null)]);
    let (bridge, clock) = stand.bridge();
    for user in 0..500 {
        bridge.user_links(&context(), &format!("u-{user}")).await.expect("links");
    }
    assert_eq!(bridge.0.tokens.count(), 500);
    clock.sleep(Duration::from_mins(111)).await;
    bridge.user_links(&context(), "u-new").await.expect("links");
    assert_eq!(bridge.0.tokens.count(), 1);
}

/// Section 6: afterwards 401, one renewal and one retry.
#[tokio::test(start_paused = true)]
async fn a_token_refused_in_a_walk_is_renewed_once_and_the_walk_goes_on() {
    let next = "/v3/aggregation/items?after=MzIx";
    let stand = Stand::default();
    stand.on(ITEMS_PAGE, [items(&[1], &json!(next))]);
    stand.on(&format!("GET {next}"), [(401, errors("invalid_token")), items(&[2], &Value::Null)]);
    let (bridge, _) = stand.bridge();
    assert_eq!(links(&bridge).await.expect("links"), ["1", "2"]);
    assert_eq!(stand.count(TOKEN), 2);
    let last = stand.seen().pop().expect("a request");
    assert_eq!(last.headers["authorization"], "Bearer token-2");
    links(&bridge).await.expect("links");
    assert_eq!(stand.count(TOKEN), 2, "the renewed one is kept");
}

#[tokio::test(start_paused = true)]
async fn calls_whose_token_is_refused_at_once_renew_it_once() {
    let stand = Stand::default();
    stand.on(ITEMS_PAGE, [items(&[], &Value::Null), (401, errors("x")), (401, errors("x")), items(&[1], &Value::Null)]);
    let (bridge, _) = stand.bridge();
    links(&bridge).await.expect("links");
    let (a, b) = tokio::join!(links(&bridge), links(&bridge));
    assert_eq!((a.expect("links").len(), b.expect("links").len()), (1, 1));
    assert_eq!(stand.count(TOKEN), 2);
}

/// Section 3.2: both shapes of an error.
#[tokio::test(start_paused = true)]
async fn a_new_token_refused_too_is_about_this_user() {
    for body in [errors("invalid_token"), json!({"code": "invalid_token", "message": "no"})] {
        let stand = Stand::default();
        stand.on(ITEMS_PAGE, [(401, body)]);
        let error = links(&stand.bridge().0).await.expect_err("refused");
        let code = |document: &ErrorDocument| document.code.clone();
        assert!(
            matches!(&error, CallError::Rejected { status: 401, document } if code(document).as_deref() == Some("invalid_token")),
            "{error}"
        );
        assert_eq!((stand.count(TOKEN), stand.count(ITEMS_PAGE)), (2, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_secret_is_not_tried_again() {
    for body in [errors("invalid_client_credentials"), json!({"code": "invalid_client_credentials", "message": "x"})] {
        let stand = Stand::default();
        stand.on(ITEMS_PAGE, [(401, body.clone())]);
        let error = links(&stand.bridge().0).await.expect_err("refused");
        assert!(matches!(error, CallError::Unauthorized(_)), "{error}");
        assert_eq!(stand.targets(), [TOKEN, ITEMS_PAGE]);

        let stand = Stand::default();
        stand.on(TOKEN, [(401, body)]);
        let error = links(&stand.bridge().0).await.expect_err("refused");
        assert!(matches!(error, CallError::Unauthorized(_)), "{error}");
        assert_eq!(stand.targets(), [TOKEN]);
    }
}

/// Section 6: never make the user again, that would lose every item.
#[tokio::test(start_paused = true)]
async fn a_user_without_a_token_is_gone() {
    let stand = Stand::default();
    stand.on(TOKEN, [(404, errors("not_found"))]);
    let (bridge, _) = stand.bridge();
    assert!(matches!(links(&bridge).await, Err(CallError::Gone(_))));
    assert_eq!(stand.targets(), [TOKEN]);
}

#[tokio::test(start_paused = true)]
async fn a_token_call_without_an_answer_is_only_for_later() {
    let stand = Stand::default();
    stand
        .on(TOKEN, [(502, json!({})), (200, json!({"access_token": "t"}))])
        .on(ITEMS_PAGE, [items(&[1], &Value::Null)]);
    let (bridge, _) = stand.bridge();
    assert!(matches!(links(&bridge).await, Err(CallError::Transient { .. })));
    links(&bridge).await.expect("the next try");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_cannot_be_used_is_no_token() {
    for body in [
        json!({}),
        json!({"access_token": null}),
        json!({"access_token": "two words"}),
        json!("canary-token"),
        json!({"access_token": "t", "user": {"uuid": "u-2"}}),
    ] {
        let stand = Stand::default();
        stand.on(TOKEN, [(200, body.clone())]);
        let error = links(&stand.bridge().0).await.expect_err("no token");
        assert!(matches!(error, CallError::Malformed { .. }), "{body}: {error}");
        assert!(!error.to_string().contains("canary"), "{error}");
    }
}

#[test]
fn a_token_never_shows() {
    let answer = Answer {
        status: 200,
        body: r#"{"access_token":"canary-token","user":{"uuid":"U-1"}}"#.into(),
        request_id: None,
        attempts: 1,
    };
    let token = token::UserToken::read(&answer, "u-1", Timestamp::UNIX_EPOCH).expect("a token");
    assert_eq!(token.secret().expose(), "canary-token");
    assert!(!format!("{token:?}").contains("canary"));
}

/// Section 3.1.
#[tokio::test(start_paused = true)]
async fn refusals_mean_what_the_contract_says() {
    for (status, body, expected) in [
        (403, errors("forbidden"), "refuses the source's credentials"),
        (404, errors("not_found"), "does not know"),
        (400, errors("invalid_parameter"), "(status 400)"),
        (409, errors("conflict"), "(status 409)"),
        (422, json!({"code": "x", "message": "y"}), "(status 422)"),
        // What is no document may be a proxy's.
        (403, json!("no"), "(status 403)"),
        (404, json!("no"), "(status 404)"),
        (401, json!("no"), "(status 401)"),
    ] {
        let stand = Stand::default();
        stand.on("GET /v3/aggregation/items/7", [(status, body)]);
        let error = stand.bridge().0.link(&context(), "u-1", "7").await.expect_err("refused");
        assert!(error.to_string().contains(expected), "{status}: {error}");
    }
}

/// Section 4: where a list goes on, in every form that was seen.
#[tokio::test(start_paused = true)]
async fn the_next_page_is_followed_as_it_comes() {
    for next in [
        "/v3/aggregation/items?after=Mz%2BIx%3d&limit=500&since=2024-11-19T18:44:09.523Z",
        "https://bridge.test/v3/aggregation/items?after=a+b~!*()",
        "https://bridge.test:443/v3/aggregation/items?starting_after=9",
    ] {
        let stand = Stand::default();
        stand.on(ITEMS_PAGE, [items(&[1], &json!(next))]);
        let path = &next[next.find("/v3").expect("a path")..];
        stand.on(&format!("GET {path}"), [items(&[2], &Value::Null)]);
        assert_eq!(links(&stand.bridge().0).await.expect("links"), ["1", "2"], "{next}");
    }
    for end in [
        json!({"resources": [{"id": 1}]}),
        json!({"resources": [{"id": 1}], "pagination": null}),
        json!({"resources": [{"id": 1}], "pagination": {}}),
        json!({"resources": [{"id": 1}], "pagination": {"next_uri": null}}),
        json!({"resources": [{"id": 1}], "pagination": {"next_uri": ""}}),
        json!({"resources": [{"id": 1}], "pagination": {"next_uri": "null"}}),
    ] {
        let stand = Stand::default();
        stand.on(ITEMS_PAGE, [(200, end.clone())]);
        assert_eq!(links(&stand.bridge().0).await.expect("links"), ["1"], "{end}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_whose_end_cannot_be_told_is_no_list() {
    for odd in [
        json!({}),
        json!({"resources": null}),
        json!([]),
        json!({"resources": [], "pagination": "odd"}),
        json!({"resources": [], "pagination": {"next_uri": 7}}),
        json!({"resources": [], "pagination": {"next_uri": {}}}),
    ] {
        let stand = Stand::default();
        stand.on(ITEMS_PAGE, [(200, odd.clone())]);
        assert!(matches!(links(&stand.bridge().0).await, Err(CallError::Malformed { .. })), "{odd}");
    }
}

/// Section 4: the origin must be ours before secrets are sent.
#[tokio::test(start_paused = true)]
async fn nothing_is_sent_to_another_origin() {
    for foreign in [
        "https://evil.test/v3/aggregation/items",
        "http://bridge.test/v3/aggregation/items",
        "https://bridge.test:8443/v3/aggregation/items",
        "https://user@bridge.test/v3/aggregation/items",
        "//evil.test/v3/aggregation/items",
        "/\\evil.test/v3",
        "https://bridge.test.evil.test/v3",
    ] {
        let stand = Stand::default();
        stand.on(ITEMS_PAGE, [items(&[1], &json!(foreign))]);
        let (bridge, _) = stand.bridge();
        let error = links(&bridge).await.expect_err("foreign");
        assert!(matches!(error, CallError::ForeignOrigin), "{foreign}: {error}");
        assert_eq!(stand.targets(), [TOKEN, ITEMS_PAGE], "{foreign}");
        let page = PageToken::new(foreign.to_owned());
        let error = bridge.transactions(&context(), "u-1", Stretch::Whole, Some(&page)).await.expect_err("foreign");
        assert!(matches!(error, CallError::ForeignOrigin), "{foreign}: {error}");
        assert_eq!(stand.targets().len(), 2, "{foreign}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_goes_in_circles_is_noticed() {
    let (one, two) = ("/v3/aggregation/items?after=1", "/v3/aggregation/items?after=2");
    let stand = Stand::default();
    stand.on(ITEMS_PAGE, [items(&[1], &json!(one))]);
    stand.on(&format!("GET {one}"), [items(&[2], &json!(two))]).on(&format!("GET {two}"), [items(&[3], &json!(one))]);
    let error = links(&stand.bridge().0).await.expect_err("a circle");
    assert!(error.to_string().ends_with("points back to a page already read"), "{error}");
    assert_eq!(stand.targets().len(), 4);

    let page = "/v3/aggregation/transactions?after=1";
    let stand = Stand::default();
    stand.on(&format!("GET {page}"), [items(&[], &json!(page))]);
    let page = PageToken::new(page.to_owned());
    let error = stand.bridge().0.transactions(&context(), "u-1", Stretch::Whole, Some(&page)).await;
    assert!(matches!(error, Err(CallError::Malformed { .. })));
}

/// Section 15.1: the same where the caller walks page by page.
#[tokio::test(start_paused = true)]
async fn a_list_that_goes_in_wide_circles_is_noticed_page_by_page() {
    let stand = Stand::default();
    for list in ["users", "transactions"] {
        let page = |n: u32| format!("/v3/aggregation/{list}?after={n}");
        let size = if list == "users" { 500 } else { 200 };
        let pages = [(format!("/v3/aggregation/{list}?limit={size}"), 1), (page(1), 2), (page(2), 3), (page(3), 1)];
        for (at, next) in pages {
            stand.on(&format!("GET {at}"), [items(&[], &json!(page(next)))]);
        }
    }
    let (bridge, _) = stand.bridge();
    let context = context();
    let mut asked: Option<PageToken> = None;
    for _ in 0..3 {
        asked = bridge.users(&context, asked.as_ref()).await.expect("a page").next;
    }
    let error = bridge.users(&context, asked.as_ref()).await.expect_err("a circle");
    assert!(error.to_string().ends_with("points back to a page already read"), "{error}");
    let mut asked: Option<PageToken> = None;
    for _ in 0..3 {
        asked = bridge.transactions(&context, "u-1", Stretch::Whole, asked.as_ref()).await.expect("a page").next;
    }
    for _ in 0..2 {
        let error = bridge.transactions(&context, "u-1", Stretch::Whole, asked.as_ref()).await.expect_err("a circle");
        assert!(matches!(error, CallError::Malformed { .. }), "asked again, it is the same: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_user_without_an_id_hides_no_other() {
    let stand = Stand::default();
    let users = json!({"resources": [{"external_user_id": "41"}, {"uuid": "u-1"}, "odd"]});
    stand.on("GET /v3/aggregation/users?limit=500", [(200, users)]);
    let page = stand.bridge().0.users(&context(), None).await.expect("users");
    let ids: Vec<&str> = page.users.iter().map(|listed| listed.user.upstream_id.as_str()).collect();
    assert_eq!((ids, page.unreadable.len()), (vec!["u-1"], 2));
}

/// A cursor that died is not a user that is gone.
#[tokio::test(start_paused = true)]
async fn a_page_that_is_not_found_ends_the_walk_and_nothing_more() {
    let stand = Stand::default();
    stand.on(ITEMS_PAGE, [items(&[1], &json!("/v3/aggregation/items?after=old"))]);
    let error = links(&stand.bridge().0).await.expect_err("no page");
    assert!(matches!(error, CallError::Rejected { status: 404, .. }), "{error}");
}

/// Section 10.2, and 16 (6): the filter is exclusive or not.
#[tokio::test(start_paused = true)]
async fn each_stretch_asks_its_question() {
    let stand = Stand::default();
    let (bridge, _) = stand.bridge();
    let at = "2024-11-19T18:44:09.523Z".parse().expect("an instant");
    for stretch in [Stretch::Since(at), Stretch::Whole, Stretch::Account("48100001")] {
        assert!(matches!(bridge.transactions(&context(), "u-1", stretch, None).await, Err(CallError::Gone(_))));
    }
    let _gone = bridge.holdings(&context(), "u-1").await;
    let base = "GET /v3/aggregation";
    assert_eq!(
        stand.targets(),
        [
            TOKEN.to_owned(),
            format!("{base}/transactions?limit=200&since=2024-11-19T18%3A44%3A09.523Z"),
            format!("{base}/transactions?limit=200"),
            format!("{base}/transactions?limit=200&account_id=48100001"),
            format!("{base}/stocks?limit=500"),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_page_of_transactions_names_the_next_one() {
    let next = "/v3/aggregation/transactions?after=abc&limit=200";
    let row = json!({
        "id": 5, "account_id": 1, "amount": 1, "currency_code": "EUR", "date": "2026-01-01",
        "updated_at": "2026-01-02T00:00:00Z",
    });
    let stand = Stand::default();
    let first = json!({"resources": [row, "odd", {"id": 6, "deleted": true}], "pagination": {"next_uri": next}});
    stand.on("GET /v3/aggregation/transactions?limit=200", [(200, first)]);
    stand.on(&format!("GET {next}"), [(200, json!({"resources": []}))]);
    let (bridge, _) = stand.bridge();
    let page = bridge.transactions(&context(), "u-1", Stretch::Whole, None).await.expect("a page");
    assert_eq!((page.rows.len(), page.rejected.len(), page.removed.len(), page.total), (1, 1, 1, None));
    assert_eq!(page.latest_update, Some("2026-01-02T00:00:00Z".parse().expect("an instant")));
    assert_eq!(page.next, Some(PageToken::new(next.to_owned())));
    let last = bridge.transactions(&context(), "u-1", Stretch::Whole, page.next.as_ref()).await.expect("a page");
    assert_eq!((last.rows.len(), last.next), (0, None));
}

#[tokio::test(start_paused = true)]
async fn what_belongs_to_nobody_is_asked_without_a_token() {
    let stand = Stand::default();
    stand.on("GET /v3/providers/574", [(200, json!({"id": 574, "name": "Demo Bank"}))]);
    let flat = json!({"resources": [{"id": 3, "name": "Fees", "parent_id": 2}, {"id": 2, "name": "Bank"}]});
    stand.on("GET /v3/aggregation/categories?limit=500", [(200, flat)]);
    let users = json!({
        "resources": [{"uuid": "u-1", "external_user_id": "42"}],
        "pagination": {"next_uri": "/v3/aggregation/users?after=x"},
    });
    stand.on("GET /v3/aggregation/users?limit=500", [(200, users)]);
    stand.on("GET /v3/aggregation/users?after=x", [(200, json!({"resources": []}))]);
    let (bridge, _) = stand.bridge();
    let context = context();

    assert_eq!(bridge.institution(&context, "574").await.expect("a bank").name.as_deref(), Some("Demo Bank"));
    assert!(matches!(bridge.institution(&context, "575").await, Err(CallError::Gone(_))));
    let categories = bridge.categories(&context).await.expect("categories");
    assert_eq!(categories.iter().map(|c| c.upstream_id.as_str()).collect::<Vec<_>>(), ["2", "3"], "those above first");
    let page = bridge.users(&context, None).await.expect("users");
    assert_eq!(page.users[0].user.external_id.as_deref(), Some("42"));
    assert!(page.users[0].links.is_none());
    let last = bridge.users(&context, page.next.as_ref()).await.expect("users");
    assert!(last.users.is_empty() && last.next.is_none());
    assert_eq!(stand.count(TOKEN), 0);
    assert!(matches!(bridge.check(&context).await, Err(CallError::Rejected { status: 404, .. })), "no list at all");
}
