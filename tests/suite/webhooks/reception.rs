//! Who is listened to, and what is kept.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode};
use passbook::sandbox::Served;
use passbook::server::{Peer, Receipt};
use serde_json::json;
use tokio::task::JoinSet;
use tracing_subscriber::fmt::MakeWriter;

use super::post::{Post, item, outcomes, signed, take, task_status};
use crate::harness::Bench;

const BOTH: [Served; 2] = [Served::Truv, Served::Bridge];
/// Stands in every body: must never be told.
const CANARY: &str = "canary-7f3a";

fn body() -> Vec<u8> {
    json!({ "event_type": "unheard-of", "type": "unheard.of", "note": CANARY }).to_string().into_bytes()
}

fn stored(bench: &Bench) -> String {
    bench.value("SELECT count(*) FROM webhook_events")
}

/// What is logged while it lives, on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Log {
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().expect("no panic"))).expect("text")
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_is_refused_leaves_one_line_in_the_log_and_nothing_else() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false).finish();
    let _guard = crate::harness::log_to(subscriber);
    for serves in BOTH {
        let bench = Bench::at(serves, signed(serves));
        let post = Post::to(&bench).await;
        log.take();
        let body = body();
        let (path, right) = (format!("/webhooks/{}", post.source()), post.signature(&bench.secret, &body));
        let signature = |value: &str| {
            let request = Request::post(&path).header(post.header(), value);
            request.body(Body::from(body.clone())).expect("a request")
        };
        let to = |path: &str| {
            let request = Request::post(path).header(post.header(), &right);
            request.body(Body::from(body.clone())).expect("a request")
        };
        let unsigned = Request::post(&path).body(Body::from(body.clone())).expect("a request");
        let tampered = Request::post(&path).header(post.header(), &right).body(Body::from("{}")).expect("a request");
        let large = vec![b' '; 64 * 1024 + 1];
        let chunks =
            futures_util::stream::iter([40_000, 40_000, 9].map(|size| Ok::<_, std::io::Error>(vec![b' '; size])));
        let streamed = Request::post(&path).header(post.header(), &right).body(Body::from_stream(chunks));
        let broken = futures_util::stream::iter([Ok(vec![b'{']), Err(std::io::Error::other("gone"))]);
        let broken = Request::post(&path).header(post.header(), &right).body(Body::from_stream(broken));
        let slow = Request::post(&path).header(post.header(), &right);
        let slow = slow.body(Body::from_stream(futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>()));
        let other_case = right.replace("v1=", "V1=");
        let cases = [
            (to("/webhooks/nobody"), 404, "no such source"),
            (to("/webhooks/%2e%2e"), 404, "no such source"),
            (to("/webhooks/%ff"), 404, "no such source"),
            (unsigned, 401, "no signature"),
            (signature(""), 401, "scheme v1"),
            (signature(&right[3..]), 401, "scheme v1"),
            (signature(&right.replace("v1", "v0")), 401, "scheme v1"),
            (signature(&other_case), 401, "scheme v1"),
            (signature(&right[..right.len() - 2]), 401, "scheme v1"),
            (signature(&post.signature("another-secret", &body)), 401, "another secret"),
            (tampered, 401, "another secret"),
            (post.request(&large), 413, "too large"),
            (streamed.expect("a request"), 413, "too large"),
            (broken.expect("a request"), 400, "too early"),
            (slow.expect("a request"), 408, "slowly"),
            (post.request(b"[1]"), 400, "no JSON object"),
            (post.request(b"{\"a\":"), 400, "no JSON object"),
        ];
        for (number, (request, status, reason)) in cases.into_iter().enumerate() {
            let answer = post.send(request).await;
            assert_eq!(answer.status().as_u16(), status, "{number} {reason}");
            let said = to_bytes(answer.into_body(), 1000).await.expect("a body");
            assert!(String::from_utf8_lossy(&said).contains(reason), "{number} {reason}: {said:?}");
            let logged = log.take();
            assert_eq!(logged.lines().count(), 1, "{number} {reason}: {logged}");
            assert!(logged.contains(reason) && logged.contains("WARN"), "{number} {logged}");
            assert!(!logged.contains(CANARY) && !logged.contains(&right[3..]), "{number} {logged}");
            tokio::time::sleep(Duration::from_mins(2)).await;
            log.take();
        }
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            let request = Request::builder().method(method).uri(&path).body(Body::empty()).expect("a request");
            assert_eq!(post.send(request).await.status(), StatusCode::METHOD_NOT_ALLOWED);
        }
        assert_eq!(stored(&bench), "0");
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_without_a_webhook_secret_says_so() {
    let bench = Bench::at(Served::Bridge, "");
    let post = Post::to(&bench).await;
    let answer = post.send(post.request(&body())).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let said = to_bytes(answer.into_body(), 1000).await.expect("a body");
    assert!(String::from_utf8_lossy(&said).contains("webhook_secrets"), "{said:?}");
    assert_eq!(stored(&bench), "0");
}

#[tokio::test(start_paused = true)]
async fn only_listed_addresses_are_listened_to_also_behind_a_proxy() {
    let lines = "webhook_addresses = [\"198.51.100.7\"]\n[server]\ntrusted_proxies = [\"10.0.0.1\"]\n";
    let bench = Bench::at(Served::Truv, lines);
    let post = Post::to(&bench).await;
    let from = |peer: [u8; 4], forwarded: Option<&str>, number: u32| {
        let mut request = post.request(json!({ "number": number }).to_string().as_bytes());
        request.extensions_mut().insert(Peer(peer.into()));
        if let Some(forwarded) = forwarded {
            request.headers_mut().insert("x-forwarded-for", forwarded.parse().expect("a header"));
        }
        request
    };
    let listed = "198.51.100.7";
    let cases = [
        (from([198, 51, 100, 7], None, 1), 200),
        (from([10, 0, 0, 1], Some(listed), 2), 200),
        (from([10, 0, 0, 1], Some("6.6.6.6, 198.51.100.7"), 3), 200),
        (from([203, 0, 113, 9], None, 4), 403),
        (from([203, 0, 113, 9], Some(listed), 5), 403),
        (from([10, 0, 0, 1], Some("198.51.100.7, 6.6.6.6"), 6), 403),
        (from([10, 0, 0, 1], Some("unknown"), 7), 403),
        (from([10, 0, 0, 1], None, 8), 403),
    ];
    for (number, (request, status)) in cases.into_iter().enumerate() {
        assert_eq!(post.send(request).await.status().as_u16(), status, "case {number}");
    }
    assert_eq!(stored(&bench), "3");
}

#[tokio::test(start_paused = true)]
async fn a_repeated_event_is_acknowledged_and_changes_nothing() {
    for serves in BOTH {
        let bench = Bench::at(serves, signed(serves));
        let post = Post::to(&bench).await;
        let event = body();
        let spaced = format!(" {} ", String::from_utf8(event.clone()).expect("text")).replace(',', " , ");
        for _ in 0..2 {
            assert_eq!(post.send(post.request(&event)).await.status(), StatusCode::OK);
            take(&bench).await;
        }
        let handled_at = bench.value("SELECT handled_at FROM webhook_events");
        tokio::time::sleep(Duration::from_hours(30)).await;
        assert_eq!(post.send(post.request(spaced.as_bytes())).await.status(), StatusCode::OK);
        take(&bench).await;
        let row =
            bench.rows("SELECT deliveries, event_type, handled_at, json_extract(body, '$.note') FROM webhook_events");
        let word = if serves == Served::Truv { "unheard-of" } else { "unheard.of" };
        assert_eq!(row, [["3", word, handled_at.as_str(), CANARY].map(str::to_owned)]);
        assert_eq!(outcomes(&bench), ["ignored"], "unknown events are kept and of no concern");
        let forged = Request::post(format!("/webhooks/{}", post.source())).body(Body::from(event)).expect("a request");
        assert_eq!(post.send(forged).await.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(Receipt::ALL.map(|receipt| post.tally.webhooks(Some(1), receipt)), [1, 2, 1, 0], "as it is counted");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_stored_is_not_acknowledged() {
    let bench = Bench::at(Served::Truv, "");
    let post = Post::to(&bench).await;
    bench.store.limit_pages(1).await.expect("the store works");
    let mut refused = 0;
    let padding = "x".repeat(60_000);
    for number in 0..20 {
        let body = json!({ "number": number, "padding": padding }).to_string();
        let answer = post.send(post.request(body.as_bytes())).await;
        if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
            assert!(answer.headers().contains_key("retry-after"));
            refused += 1;
        }
    }
    assert!(refused > 0, "the disk is full");
    assert_eq!(stored(&bench), (20 - refused).to_string(), "what was acknowledged, and no more");
    bench.store.limit_pages(100_000).await.expect("the store works");
    for number in 0..20 {
        let body = json!({ "number": number, "padding": padding }).to_string();
        assert_eq!(post.send(post.request(body.as_bytes())).await.status(), StatusCode::OK);
    }
    assert_eq!(stored(&bench), "20");
}

#[tokio::test(start_paused = true)]
async fn events_that_come_at_once_are_each_stored_once() {
    let bench = Bench::at(Served::Truv, "");
    let post = Post::to(&bench).await;
    let mut senders = JoinSet::new();
    for number in 0..600 {
        // Every third is a repetition.
        let event = task_status(&format!("task-{}", number / 3 * 3 + number % 3 % 2), "login", "l", "u");
        let (request, router) = (post.request(event.to_string().as_bytes()), post.router.clone());
        senders.spawn(async move { tower::ServiceExt::oneshot(router, request).await.expect("never fails").status() });
    }
    let statuses = senders.join_all().await;
    assert!(statuses.iter().all(|status| *status == StatusCode::OK), "{statuses:?}");
    assert_eq!(bench.rows("SELECT count(*), sum(deliveries) FROM webhook_events"), [["400", "600"]]);
}

#[tokio::test(start_paused = true)]
async fn events_are_forgotten_a_week_after_they_were_handled() {
    let bench = Bench::at(Served::Bridge, signed(Served::Bridge));
    Post::to(&bench).await.deliver(&item("TEST_EVENT", "1234567890", "u", 0)).await;
    take(&bench).await;
    bench.pass(Duration::from_hours(6 * 24)).await;
    bench.run_for(Duration::from_mins(2)).await;
    assert_eq!(outcomes(&bench), ["ignored"]);
    bench.pass(Duration::from_hours(24)).await;
    bench.run_for(Duration::from_mins(2)).await;
    assert_eq!(stored(&bench), "0");
}
