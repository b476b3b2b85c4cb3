//! Alive and ready, as service managers and load balancers ask.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};

use crate::counter::{ADMIN, Counter, Reply};
use crate::harness::Bench;

async fn ask(counter: &Counter, path: &str) -> Reply {
    counter.ask(Request::get(path), None, Body::empty()).await
}

#[tokio::test(start_paused = true)]
async fn a_process_that_works_is_alive_and_ready_and_tells_nothing_else() {
    let bench = Bench::with(ADMIN);
    let counter = Counter::open(&bench).await;
    for path in ["/health/live", "/health/ready"] {
        let reply = ask(&counter, path).await;
        assert_eq!((reply.status, reply.text.as_str()), (StatusCode::OK, "{\"status\":\"ok\"}"));
        assert_eq!(reply.headers["cache-control"], "no-store");
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ends_is_alive_and_not_ready() {
    let bench = Bench::with(ADMIN);
    let counter = Counter::open(&bench).await;
    counter.served.stop.cancel();
    assert_eq!(ask(&counter, "/health/live").await.status, StatusCode::OK);
    let ready = ask(&counter, "/health/ready").await;
    assert_eq!((ready.status, ready.text.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "{\"status\":\"stopping\"}"));
}

#[tokio::test]
async fn a_store_that_is_held_up_is_alive_and_not_ready_until_it_goes_on() {
    let bench = Bench::with(ADMIN);
    let counter = Counter::open(&bench).await;
    tokio::time::pause();
    let (go_on, held) = std::sync::mpsc::channel::<()>();
    let store = bench.store.clone();
    let mut writer = tokio::task::JoinSet::new();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    writer.spawn(async move {
        store
            .write(move |_| {
                let _ = begun.send(());
                held.recv().expect("the test lets go");
                Ok(())
            })
            .await
    });
    has_begun.await.expect("the writer runs");
    assert_eq!(ask(&counter, "/health/live").await.status, StatusCode::OK);
    let (ready, ()) = tokio::join!(ask(&counter, "/health/ready"), async {
        // Time stands still while a thread is at work, so it is moved on by hand.
        for _ in 0..6 {
            tokio::task::yield_now().await;
            tokio::time::advance(Duration::from_secs(1)).await;
        }
    });
    assert_eq!((ready.status, ready.text.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "{\"status\":\"slow\"}"));
    go_on.send(()).expect("the writer waits");
    writer.join_all().await.remove(0).expect("the store works");
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(ask(&counter, "/health/ready").await.status, StatusCode::OK);
}
