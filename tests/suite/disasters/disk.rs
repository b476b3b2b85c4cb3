//! A disk that is full or may not be written any more.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use passbook::daemon::Daemon;
use passbook::sandbox::{NewTransaction, Plan, Sandbox, Served as Serves};
use passbook::server::{self, Peer, Served};
use passbook::store::TroubleKind;
use passbook::sync::Waker;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::log::Log;
use super::small_disk::SmallDisk;
use crate::harness::Bench;
use crate::webhooks::post::Post;

const ADMIN: &str = "[server]\nadmin_listen = \"127.0.0.1:0\"\nadmin_token = { credential = \"store-key\" }\n\
     public_listen = \"127.0.0.1:8780\"\npublic_url = \"http://127.0.0.1:8780\"\n";

/// Rows enough for some dozens of pages.
pub(super) fn much_news(bank: &Sandbox) {
    for link in bank.truth().links {
        for _ in 0..60 {
            let new = NewTransaction::posted(-100, &"A LONG STORY,".repeat(40));
            bank.add_transaction(link.accounts[0].id, new);
        }
    }
}

/// What the admin side answers.
pub(super) async fn ask(served: &Served, path: &str) -> (StatusCode, String) {
    let token = served.admin().expect("an admin side").token.expose().to_owned();
    let request = Request::get(path).header("authorization", format!("Bearer {token}"));
    let mut request = request.body(Body::empty()).expect("a request");
    request.extensions_mut().insert(Peer([127, 0, 0, 1].into()));
    let response = server::admin::router(served).oneshot(request).await.expect("an answer");
    let status = response.status();
    let bytes = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    (status, String::from_utf8(bytes.to_vec()).expect("text"))
}

async fn strike(bench: &Bench, kind: TroubleKind, is_struck: bool) {
    let struck = if kind == TroubleKind::Full {
        bench.store.limit_pages(if is_struck { 1 } else { 1_000_000 }).await
    } else {
        bench.store.forbid_writes(is_struck).await
    };
    struck.expect("a limit");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_written_is_told_once_and_seen_everywhere_and_goes_on_by_itself() {
    let cases = [(TroubleKind::Full, "the disk is full"), (TroubleKind::ReadOnly, "the store cannot be written")];
    for (kind, words) in cases {
        let bench = Bench::with(ADMIN);
        bench.bank.seed_world(&Plan { links: 3, transactions_per_link: 40, ..Plan::default() });
        bench.bank.settings(|s| s.visible_immediately = true);
        bench.run_once().await;
        bench.pass(Duration::from_hours(9)).await;
        much_news(&bench.bank);
        bench.bank.clear_request_log();
        let engine = bench.engine().await;
        let served = Served::new(Arc::clone(&engine), Waker::default(), Arc::new(bench.config.clone()));
        assert_eq!(ask(&served, "/health/ready").await.0, StatusCode::OK);
        let post = Post::to(&bench).await;
        let (log, _guard) = Log::listen();
        strike(&bench, kind, true).await;
        let stop = CancellationToken::new();
        let daemon = Daemon::new(engine, bench.options(false));
        let story = async {
            bench.pass(Duration::from_mins(30)).await;
            let mut complaints = log.complaints();
            complaints.retain(|line| !line.contains("no webhooks come to this address"));
            assert!(complaints.len() == 1 && complaints[0].contains(words), "{complaints:#?}");
            let sent = bench.bank.request_log().len();
            assert!(sent < 60, "{sent} requests in half an hour, and nothing to show for it");
            let trouble = bench.store.trouble().expect("trouble");
            assert!(trouble.kind == kind && trouble.stops_writes && trouble.said.contains(words), "{trouble:?}");

            let event = json!({ "event_type": "unheard-of", "note": "X".repeat(60_000) }).to_string();
            let answer = post.send(post.request(event.as_bytes())).await;
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "not stored, so not acknowledged");
            let (status, ready) = ask(&served, "/health/ready").await;
            assert_eq!((status, ready.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "{\"status\":\"store\"}"));
            assert_eq!(ask(&served, "/health/live").await.0, StatusCode::OK, "a restart would not help");
            let (_, metrics) = ask(&served, "/metrics").await;
            assert!(metrics.contains(&format!("passbook_store_trouble{{kind=\"{}\"}} 1", kind.as_str())), "{metrics}");
            let (_, status) = ask(&served, "/control/status").await;
            let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
            assert_eq!(status["store_trouble"]["kind"], kind.as_str(), "{status}");

            strike(&bench, kind, false).await;
            bench.pass(Duration::from_mins(6)).await;
            assert_eq!(bench.store.trouble(), None);
            assert_eq!(ask(&served, "/health/ready").await.0, StatusCode::OK);
            assert_eq!(post.send(post.request(event.as_bytes())).await.status(), StatusCode::OK, "it came again");
            stop.cancel();
        };
        let (result, ()) = tokio::join!(daemon.run(stop.clone()), story);
        result.expect("the daemon outlived it");
        bench.assert_store_is_truth();
        bench.assert_verifies().await;
        let doubled = bench.bank.refreshes().iter().map(|r| r.at.len()).max().unwrap_or(0);
        assert!(doubled <= 2, "one for the first sync, one for this: {doubled}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_is_full_while_the_log_is_moved_into_the_file_loses_nothing() {
    let Some(disk) = SmallDisk::mount(8 * 1024) else { return };
    let bench = Bench::within(tempfile::tempdir_in(disk.path()).expect("a directory"), "");
    assert_eq!(bench.serves, Serves::Truv);
    bench.bank.seed_world(&Plan { links: 3, transactions_per_link: 40, ..Plan::default() });
    bench.bank.settings(|s| s.visible_immediately = true);
    bench.run_once().await;
    assert_eq!(bench.store.checkpoint().await.expect("room"), 0);
    // Everything of the next syncs is in the log, and there is no room for it in the file.
    bench.pass(Duration::from_hours(9)).await;
    much_news(&bench.bank);
    let reader = reader_of(&bench);
    reader.execute_batch("BEGIN; SELECT count(*) FROM links").expect("a view, which holds the log");
    bench.run_once().await;
    bench.assert_store_is_truth();
    let (daemon, stop) = (Daemon::new(bench.engine().await, bench.options(false)), CancellationToken::new());
    let filler = disk.fill(0);
    drop(reader);
    let (log, _guard) = Log::listen();
    bench.store.checkpoint().await.expect_err("no room");
    let trouble = bench.store.trouble().expect("trouble");
    assert!(!trouble.stops_writes && matches!(trouble.kind, TroubleKind::Full | TroubleKind::Io), "{trouble:?}");
    let story = async {
        bench.pass(Duration::from_mins(20)).await;
        let complaints = log.complaints();
        assert!(complaints[0].contains("cannot be moved into the store's file"), "{complaints:#?}");
        assert!(complaints.len() <= 2, "{complaints:#?}");
        assert_eq!(bench.value("PRAGMA integrity_check"), "ok");
        bench.assert_store_is_truth();
        std::fs::remove_file(filler).expect("removes");
        bench.pass(Duration::from_mins(10)).await;
        assert_eq!(bench.store.trouble(), None);
        assert_eq!(bench.store.size().wal_bytes, 0);
        stop.cancel();
    };
    let (result, ()) = tokio::join!(daemon.run(stop.clone()), story);
    result.expect("the daemon outlived it");
    bench.assert_store_is_truth();
    bench.assert_verifies().await;
}

#[expect(clippy::disallowed_methods, reason = "reads as an analyst does")]
fn reader_of(bench: &Bench) -> rusqlite::Connection {
    rusqlite::Connection::open_with_flags(bench.path(), rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).expect("a reader")
}
