//! Every fault an aggregator, a proxy or the network can show, against the HTTP door.
//!
//! In virtual time against a router in this process; what only sockets can do (`over_sockets`) in real time.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use passbook::clock::Clock;
use passbook::http::{
    Answer, Dialect, Door, DoorOptions, ErrorDocument, HttpError, MAX_BODY_BYTES, Timeouts, TransientCause, Transport,
};
use passbook::limits::requests::{
    Claims, DEFAULT_BACKFILL_SHARE_PERCENT, DEFAULT_MARGIN_PERCENT, Lane, MAX_HOLD, Quota, RequestLimiter,
};
use serde_json::json;
use tokio::time::Instant;

#[path = "http_faults/by_user.rs"]
mod by_user;
#[path = "http_faults/over_sockets.rs"]
mod over_sockets;

const CLIENT_SECRET: &str = "canary-header";
const QUERY_SECRET: &str = "canary-query";
const BODY_SECRET: &str = "canary-body";

const DIALECT: Dialect = Dialect {
    read_error: ErrorDocument::read,
    is_quota: says_refresh_limit,
    unhinted_waits: &[Duration::from_secs(5), Duration::from_secs(15), Duration::from_secs(30), Duration::from_mins(1)],
};

fn says_refresh_limit(status: u16, document: &ErrorDocument) -> bool {
    status == 429 && document.message.as_deref().is_some_and(|text| text.starts_with("Refresh limit"))
}

fn start() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().expect("an instant")
}

fn limiter(clock: &Clock) -> RequestLimiter {
    let quota = Quota { requests: 6000, window: Duration::from_mins(1) };
    RequestLimiter::new(quota, DEFAULT_MARGIN_PERCENT, DEFAULT_BACKFILL_SHARE_PERCENT, clock.clone())
}

fn options_to(origin: &str, transport: Transport, clock: Clock, timeouts: Timeouts) -> DoorOptions {
    let mut headers = HeaderMap::new();
    headers.insert("x-access-secret", HeaderValue::from_static(CLIENT_SECRET));
    DoorOptions {
        origin: origin.parse().expect("a URL"),
        headers,
        transport,
        limiter: limiter(&clock),
        dialect: DIALECT,
        clock,
        timeouts,
        seed: 7,
    }
}

fn door_to(origin: &str, transport: Transport, clock: Clock, timeouts: Timeouts) -> Door {
    Door::new(options_to(origin, transport, clock, timeouts)).expect("a door")
}

/// One scripted answer.
#[derive(Clone)]
enum Reply {
    Whole(u16, Vec<(&'static str, String)>, Bytes),
    CutBody(u16),
    Endless,
    Hang,
    /// An error that repeats every secret it was sent.
    Echo(u16),
}

fn json_reply(status: u16, body: &str) -> Reply {
    Reply::Whole(status, vec![("content-type", "application/json; charset=utf-8".to_owned())], body.to_owned().into())
}

fn ok() -> Reply {
    json_reply(200, r#"{"ok":true}"#)
}

fn throttle_with(retry_after: &str) -> Reply {
    Reply::Whole(429, vec![("retry-after", retry_after.to_owned())], Bytes::new())
}

fn redirect(status: u16, location: &str) -> Reply {
    Reply::Whole(status, vec![("location", location.to_owned())], Bytes::new())
}

fn page(status: u16, content_type: &str, body: impl Into<Bytes>) -> Reply {
    Reply::Whole(status, vec![("content-type", content_type.to_owned())], body.into())
}

/// A stand-in that answers as scripted, the last line again and again, and remembers what it saw.
#[derive(Clone)]
struct Stand {
    script: Arc<Mutex<VecDeque<Reply>>>,
    seen: Arc<Mutex<Vec<(Instant, String, HeaderMap)>>>,
}

impl Stand {
    fn new(script: impl IntoIterator<Item = Reply>) -> Self {
        Self { script: Arc::new(Mutex::new(script.into_iter().collect())), seen: Arc::default() }
    }

    fn options(&self) -> DoorOptions {
        let router = Router::new().fallback(serve).with_state(self.clone());
        let clock = Clock::virtual_at(start());
        options_to("https://bank.test", Transport::in_process(router), clock, Timeouts::default())
    }

    fn door(&self) -> Door {
        Door::new(self.options()).expect("a door")
    }

    fn targets(&self) -> Vec<String> {
        self.seen.lock().expect("not poisoned").iter().map(|(_, target, _)| target.clone()).collect()
    }

    /// Seconds between the first request and each.
    fn seconds(&self) -> Vec<u64> {
        let seen = self.seen.lock().expect("not poisoned");
        seen.iter().map(|(at, ..)| at.duration_since(seen[0].0).as_secs()).collect()
    }
}

async fn serve(State(stand): State<Stand>, request: Request) -> Response {
    let target = format!("{} {}", request.method(), request.uri());
    stand.seen.lock().expect("not poisoned").push((Instant::now(), target, request.headers().clone()));
    let reply = {
        let mut script = stand.script.lock().expect("not poisoned");
        if script.len() > 1 { script.pop_front() } else { script.front().cloned() }
    };
    let chunk = |text: &'static str| Ok(Bytes::from_static(text.as_bytes()));
    match reply.expect("a script") {
        Reply::Whole(status, headers, body) => {
            let builder =
                headers.iter().fold(Response::builder().status(status), |b, (name, value)| b.header(*name, value));
            builder.body(Body::from(body)).expect("a response")
        }
        Reply::CutBody(status) => {
            let broken = futures_util::stream::iter([chunk("{\"half\":"), Err(std::io::Error::other("reset"))]);
            Response::builder().status(status).body(Body::from_stream(broken)).expect("a response")
        }
        Reply::Endless => {
            let megabyte = Bytes::from(vec![b' '; 1024 * 1024]);
            let endless = futures_util::stream::repeat_with(move || Ok::<_, std::io::Error>(megabyte.clone()));
            Response::new(Body::from_stream(endless))
        }
        Reply::Hang => std::future::pending().await,
        Reply::Echo(status) => echo(status, request).await,
    }
}

async fn echo(status: u16, request: Request) -> Response {
    let headers: Vec<String> = request.headers().values().map(|v| v.to_str().expect("text").to_owned()).collect();
    let query = request.uri().query().unwrap_or_default().split('=').next_back().unwrap_or_default().to_owned();
    let body = axum::body::to_bytes(request.into_body(), 1024).await.expect("a body");
    let body = String::from_utf8(body.to_vec()).expect("text");
    let heard = format!("{headers:?} {query} {body} \u{1b}[2J");
    let invalid = json!([{"field": query, "message": heard}]);
    let error = json!({"code": query, "message": heard, "extra": {"invalid-params": invalid}});
    let answer = json!({"error": error, "request_id": "r-9"}).to_string();
    Response::builder().status(status).body(Body::from(answer)).expect("a response")
}

async fn get(stand: &Stand) -> Result<Answer, HttpError> {
    stand.door().get("/v1/links/", &[], Lane::Scheduled).await
}

async fn post(stand: &Stand) -> Result<Answer, HttpError> {
    stand.door().post("/v1/refresh/tasks/", &json!({"access_token": BODY_SECRET}), Lane::Scheduled).await
}

#[tokio::test(start_paused = true)]
async fn an_answer_carries_body_attempts_and_request_id_and_the_request_its_headers() {
    let stand = Stand::new([Reply::Whole(
        200,
        vec![("content-type", "application/json".into()), ("x-request-id", "req-1\u{7f}".replace('\u{7f}', ""))],
        "{}".into(),
    )]);
    let door = stand.door();
    let answer = door.get("/v1/links/", &[("page", "2"), ("q", "a b&c")], Lane::Person).await.expect("an answer");
    assert_eq!((answer.status, &answer.body[..], answer.attempts), (200, &b"{}"[..], 1));
    assert_eq!(answer.request_id.as_deref(), Some("req-1"));
    assert_eq!(door.requests_sent(), 1);
    assert_eq!(stand.targets(), ["GET /v1/links/?page=2&q=a+b%26c"]);
    let headers = stand.seen.lock().expect("not poisoned")[0].2.clone();
    assert_eq!(headers["x-access-secret"], CLIENT_SECRET);
    assert_eq!(headers["accept"], "application/json");
    assert_eq!(headers["user-agent"], concat!("passbook/", env!("CARGO_PKG_VERSION")));
    assert_eq!(headers["host"], "bank.test");
}

#[tokio::test(start_paused = true)]
async fn a_throttle_is_waited_out_in_every_form() {
    let text = "Request was throttled. Expected available in 17 seconds.";
    let code = format!(r#"{{"error":{{"code":"throttled","message":"{text}"}}}}"#);
    for (reply, seconds) in [
        (throttle_with("17"), 17),
        (throttle_with("Fri, 20 Nov 2026 12:00:20 GMT"), 19),
        (json_reply(429, &format!(r#"{{"detail":"{text}"}}"#)), 17),
        (json_reply(429, &code), 17),
        (json_reply(503, &format!(r#"{{"detail":"{text}"}}"#)), 17),
        (page(503, "text/plain", text), 17),
        (throttle_with("-3"), 5),
        (throttle_with("soon"), 5),
        (page(429, "text/html", "<html>slow down</html>"), 5),
        (Reply::CutBody(429), 5),
    ] {
        let stand = Stand::new([reply.clone(), ok()]);
        let answer = get(&stand).await.expect("an answer after the wait");
        assert_eq!(answer.attempts, 2);
        assert!((seconds..=seconds + 2).contains(&stand.seconds()[1]), "{:?} for {seconds}", stand.seconds());

        let stand = Stand::new([reply, ok()]);
        assert_eq!(post(&stand).await.expect("a throttled POST was not executed").attempts, 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_throttle_is_handed_back_with_its_end_and_then_nothing_is_sent() {
    for (retry_after, hold) in [("120", Duration::from_secs(121)), ("99999999999999999999", MAX_HOLD)] {
        let stand = Stand::new([throttle_with(retry_after), ok()]);
        let door = stand.door();
        let before = start();
        let error = door.get("/v1/links/", &[], Lane::Scheduled).await.expect_err("deferred");
        let HttpError::RateLimited { until, .. } = &error else { panic!("{error}") };
        let wait = until.duration_since(before).unsigned_abs();
        assert!(wait >= hold && wait < hold + Duration::from_secs(1), "{wait:?} for {retry_after}");
        let again = door.post("/v1/users/", &json!({}), Lane::Person).await.expect_err("held");
        assert!(
            matches!(again, HttpError::RateLimited { until: same, .. } if same.duration_since(*until).abs().as_millis() < 100)
        );
        assert_eq!((again.attempts(), stand.targets().len()), (0, 1));
        tokio::time::sleep(hold).await;
        assert_eq!(door.get("/v1/links/", &[], Lane::Scheduled).await.expect("lifted").attempts, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_endless_throttle_ends_the_call_and_grows_from_call_to_call() {
    let stand = Stand::new([page(429, "text/plain", "")]);
    let door = stand.door();
    let error = door.get("/v1/links/", &[], Lane::Scheduled).await.expect_err("deferred");
    assert!(matches!(error, HttpError::RateLimited { .. }));
    assert_eq!(error.attempts(), 3);
    let seconds = stand.seconds();
    assert!((6..8).contains(&seconds[1]) && (22..25).contains(&seconds[2]), "{seconds:?}");
    assert!(door.limiter().held_for(&Claims::none()).expect("held").left > Duration::from_secs(30));
    assert_eq!(door.limiter().drain_usage().iter().map(|u| u.rate_limited).sum::<u32>(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_used_up_quota_is_refused_and_slows_nobody() {
    let body = r#"{"error":{"message":"Refresh limit for the access_token exceeded"}}"#;
    let stand = Stand::new([json_reply(429, body)]);
    let door = stand.door();
    let error = door.post("/v1/refresh/tasks/", &json!({}), Lane::Scheduled).await.expect_err("refused");
    assert!(matches!(&error, HttpError::Refused { status: 429, .. }), "{error}");
    assert_eq!((door.limiter().held_for(&Claims::none()), error.attempts()), (None, 1));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_keeps_the_document_and_is_not_tried_again() {
    for status in [400, 401, 403, 404, 410, 415] {
        let stand = Stand::new([json_reply(status, r#"{"detail":"Not Found.","request_id":"r-1"}"#)]);
        let error = get(&stand).await.expect_err("refused");
        let HttpError::Refused { status: seen, document, .. } = &error else { panic!("{error}") };
        assert_eq!((*seen, document.message.as_deref(), document.is_structured), (status, Some("Not Found."), true));
        assert_eq!(error.to_string(), format!("GET /v1/links/: refused with {status}: Not Found. (request r-1)"));
        assert_eq!(stand.targets().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_credentials_that_a_reload_has_replaced_says_nothing_about_those_in_force() {
    let body = r#"{"detail":"Invalid credentials"}"#;
    for status in [401, 403] {
        let stand = Stand::new([json_reply(status, body)]);
        let door = stand.door();
        door.limiter().succeeded_by(stand.door().limiter());
        let read = door.get("/v1/links/", &[], Lane::Scheduled).await.expect_err("refused");
        let posted = door.post("/v1/refresh/tasks/", &json!({}), Lane::Scheduled).await.expect_err("refused");
        for error in [read, posted] {
            assert!(matches!(&error, HttpError::Transient { cause, .. } if *cause == TransientCause::Replaced(status)));
        }
        assert_eq!(stand.targets().len(), 2, "each is sent once");
    }
    let stand = Stand::new([json_reply(404, body)]);
    let door = stand.door();
    door.limiter().succeeded_by(stand.door().limiter());
    let error = door.get("/v1/links/", &[], Lane::Scheduled).await.expect_err("refused");
    assert!(matches!(error, HttpError::Refused { status: 404, .. }), "what is not there is not there: {error}");
}

/// What a GET may meet once and get over, and what it is called if it stays.
fn faults() -> Vec<(Reply, TransientCause)> {
    vec![
        (json_reply(500, "{}"), TransientCause::Status(500)),
        (json_reply(408, "{}"), TransientCause::Status(408)),
        (page(502, "text/html", "<html>Bad Gateway</html>"), TransientCause::Status(502)),
        (page(200, "text/html", "<html>Log in</html>"), TransientCause::NotJson),
        (page(200, "text/plain", "{}"), TransientCause::NotJson),
        (json_reply(200, ""), TransientCause::Empty),
        (json_reply(200, r#"{"results":[{"id":"#), TransientCause::BrokenJson),
        (Reply::CutBody(200), TransientCause::CutShort),
        (Reply::Hang, TransientCause::TimedOut),
        (json_reply(304, ""), TransientCause::Status(304)),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_get_gets_over_every_fault_and_names_the_one_that_stays() {
    for (reply, expected) in faults() {
        let stand = Stand::new([reply.clone(), ok()]);
        assert_eq!(get(&stand).await.expect("the second attempt").attempts, 2, "{expected}");

        let stand = Stand::new([reply]);
        let door = stand.door();
        let error = door.get("/v1/links/", &[], Lane::Scheduled).await.expect_err("it stays");
        let HttpError::Transient { cause, .. } = &error else { panic!("{error}") };
        assert_eq!((cause, error.attempts(), stand.targets().len()), (&expected, 3, 3));
        assert_eq!(door.limiter().drain_usage().iter().map(|u| u.failed).sum::<u32>(), 3);
        assert_eq!(door.limiter().held_for(&Claims::none()), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_post_or_delete_with_a_fault_is_sent_once_and_its_outcome_is_unknown() {
    for (reply, expected) in faults() {
        let stand = Stand::new([reply, ok()]);
        let error = post(&stand).await.expect_err("unknown");
        assert!(matches!(&error, HttpError::OutcomeUnknown { cause, .. } if *cause == expected), "{error}");
        assert_eq!((error.attempts(), stand.targets().len()), (1, 1));
    }
    let stand = Stand::new([Reply::Hang, ok()]);
    let error = stand.door().delete("/v1/links/1/", Lane::Person).await.expect_err("unknown");
    assert!(matches!(error, HttpError::OutcomeUnknown { .. }));
    let stand = Stand::new([page(204, "text/plain", "")]);
    let gone = stand.door().delete("/v1/links/1/", Lane::Person).await.expect("deleted");
    assert_eq!((gone.status, gone.body.len()), (204, 0));
}

#[tokio::test(start_paused = true)]
async fn a_maintenance_hint_delays_the_next_attempt_or_is_handed_back() {
    let busy = |seconds: &str| Reply::Whole(503, vec![("retry-after", seconds.to_owned())], Bytes::new());
    let stand = Stand::new([busy("40"), ok()]);
    get(&stand).await.expect("after the wait");
    assert_eq!(stand.seconds()[1], 40);
    let stand = Stand::new([busy("3600"), ok()]);
    let error = get(&stand).await.expect_err("later");
    assert!(matches!(error, HttpError::Transient { retry_at: Some(at), .. } if at > start()), "{error}");
    assert_eq!(stand.targets().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_beyond_the_cap_is_refused_announced_or_not() {
    for reply in [page(200, "application/json", vec![b' '; 40 * 1024 * 1024]), Reply::Endless] {
        let stand = Stand::new([reply.clone()]);
        let error = get(&stand).await.expect_err("too large");
        assert!(matches!(error, HttpError::TooLarge { cap_bytes: MAX_BODY_BYTES, .. }), "{error}");
        assert_eq!(stand.targets().len(), 1);
        let error = post(&Stand::new([reply])).await.expect_err("unknown");
        assert!(matches!(error, HttpError::OutcomeUnknown { cause: TransientCause::TooLarge, .. }), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_get_follows_one_redirect_within_the_origin_with_its_headers() {
    for location in ["/v1/links/x/", "https://bank.test/v1/links/x/", "x/"] {
        for status in [301, 302, 307, 308] {
            let stand = Stand::new([redirect(status, location), ok()]);
            assert_eq!(get(&stand).await.expect("followed").attempts, 2);
            assert_eq!(stand.targets()[1], "GET /v1/links/x/");
            assert_eq!(stand.seen.lock().expect("not poisoned")[1].2["x-access-secret"], CLIENT_SECRET);
        }
    }
    let stand = Stand::new([redirect(301, "/again")]);
    let error = get(&stand).await.expect_err("a loop");
    assert!(matches!(error, HttpError::Transient { cause: TransientCause::Status(301), .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_redirect_elsewhere_or_of_a_post_is_not_followed() {
    for location in
        ["https://evil.test/", "http://bank.test/", "https://bank.test:444/", "//evil.test/", "https://u@bank.test/"]
    {
        let stand = Stand::new([redirect(302, location), ok()]);
        let error = get(&stand).await.expect_err("foreign");
        assert!(matches!(error, HttpError::ForeignOrigin { .. }), "{location}: {error}");
        assert_eq!(stand.targets().len(), 1);
    }
    let stand = Stand::new([redirect(308, "/v1/refresh/tasks"), ok()]);
    assert!(matches!(post(&stand).await, Err(HttpError::Refused { status: 308, .. })));
    let stand = Stand::new([redirect(303, "/v1/refresh/tasks"), ok()]);
    assert!(matches!(post(&stand).await, Err(HttpError::OutcomeUnknown { .. })));
    assert_eq!(stand.targets().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn only_references_within_the_origin_are_followed() {
    let stand = Stand::new([ok()]);
    let door = stand.door();
    for good in
        ["/v3/items?after=MzIx", "https://bank.test/v3/items?after=MzIx", "https://BANK.test:443/v3/items?after=MzIx#x"]
    {
        door.get_following(good, Lane::Scheduled).await.expect("followed");
    }
    assert_eq!(stand.targets(), ["GET /v3/items?after=MzIx"; 3]);
    for bad in [
        "https://evil.test/v3/items",
        "//evil.test/v3",
        "/\\evil.test/v3",
        "\\\\evil.test/v3",
        "http://bank.test/v3",
        "https://bank.test:8443/v3",
        "https://user@bank.test/v3",
        "https://bank.test@evil.test/v3",
        "https://bank.test.evil.test/",
        "file:///etc/passwd",
        "data:text/html,x",
        "null",
        "",
    ] {
        let error = door.get_following(bad, Lane::Scheduled).await.expect_err("foreign");
        assert!(matches!(error, HttpError::ForeignOrigin { .. }), "{bad}: {error}");
        assert_eq!(error.attempts(), 0);
    }
    assert_eq!(stand.targets().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_odd_path_is_not_sent() {
    let stand = Stand::new([ok()]);
    let door = stand.door();
    for bad in ["v1/links", "", "/v1/links/../users/", "/v1/./x", "/v1/%2E./x", "/v1/.\t./x", "/v1\\..\\x"] {
        let error = door.get(bad, &[], Lane::Scheduled).await.expect_err("not sent");
        assert!(matches!(error, HttpError::NotSent { .. }), "{bad}: {error}");
    }
    assert_eq!(stand.targets().len(), 0);
    door.get("//evil.test/?q#f", &[], Lane::Scheduled).await.expect("an answer");
    assert_eq!(stand.targets(), ["GET //evil.test/%3Fq%23f"]);
}

#[tokio::test(start_paused = true)]
async fn every_attempt_passes_the_limiter() {
    let stand = Stand::new([json_reply(500, "{}"), redirect(301, "/b"), json_reply(500, "{}"), ok()]);
    let door = stand.door();
    let answer = door.get("/v1/links/", &[], Lane::Scheduled).await.expect("an answer");
    assert_eq!((answer.attempts, door.requests_sent(), door.limiter().state().admitted_in_window), (4, 4, 4));
}

#[tokio::test(start_paused = true)]
async fn a_seed_makes_the_waits_repeat() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let stand = Stand::new([json_reply(500, "{}")]);
        get(&stand).await.expect_err("it stays");
        let seen = stand.seen.lock().expect("not poisoned");
        runs.push(seen.iter().map(|(at, ..)| at.duration_since(seen[0].0)).collect::<Vec<_>>());
    }
    assert_eq!(runs[0], runs[1]);
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Captures everything this thread logs, at every level, other crates included.
    fn capture() -> (Self, tracing::subscriber::DefaultGuard) {
        static NOBODY: std::sync::Once = std::sync::Once::new();
        // While there is one subscriber alone, a line that another test's thread comes by first is off for everybody.
        NOBODY.call_once(|| {
            let _set_before = tracing::subscriber::set_global_default(tracing::subscriber::NoSubscriber::default());
        });
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || writer.clone());
        (log, tracing::subscriber::set_default(subscriber.finish()))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("not poisoned").clone()).expect("text")
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn no_secret_reaches_log_error_or_debug() {
    let (log, _guard) = Log::capture();

    let mut shown = String::new();
    for reply in [
        Reply::Echo(400),
        Reply::Echo(500),
        throttle_with("3000"),
        Reply::Hang,
        redirect(302, "https://e.test/?canary-query"),
        ok(),
    ] {
        let stand = Stand::new([reply]);
        let bearer = HeaderValue::from_static("Bearer canary-bearer");
        let door = stand.door().with_header(http::header::AUTHORIZATION, bearer);
        let query = [("token", QUERY_SECRET)];
        let outcome = door.get("/v1/links/abc/", &query, Lane::Scheduled).await;
        write!(shown, "{door:?} {outcome:?} {:?}", door.limiter()).expect("written");
        shown += &outcome.map_or_else(|error| error.to_string(), |answer| format!("{answer:?}"));
        let outcome = door.post("/v1/links/abc/", &json!({"a": [{"token": BODY_SECRET}]}), Lane::Scheduled).await;
        write!(shown, "{outcome:?}").expect("written");
        shown += &outcome.map_or_else(|error| error.to_string(), |answer| format!("{answer:?}"));
        let outcome = door.get_following(&format!("/v1/links/abc/?page={QUERY_SECRET}"), Lane::Scheduled).await;
        write!(shown, "{outcome:?}").expect("written");
    }
    let log = log.text();
    for expected in ["http.method", "http.path", "http.status=400", "attempt=1", "duration_ms", "/v1/links/abc/"] {
        assert!(log.contains(expected), "{expected} is missing from {log}");
    }
    for (place, text) in [("log", &log), ("errors", &shown)] {
        assert!(!text.contains("canary"), "{place}: {text}");
        assert!(!text.contains('\u{1b}'), "{place}: {text}");
    }
    assert!(shown.contains("[withheld]"));
}
