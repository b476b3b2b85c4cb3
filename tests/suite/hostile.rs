//! Hostile bytes: every answer of an aggregator and every webhook as somebody might send it who means harm, or cannot do better.
//!
//! Answers are those of the sandbox with something in them changed: so they come past the parser's first look and reach what
//! is behind. What is asked: no panic, no step without an end, no store that breaks its promises, and once the answers are
//! good again the store says what the bank says. `PASSBOOK_HOSTILE=1000` goes through as many rounds at each aggregator.

mod mutate;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Response, StatusCode};
use axum::middleware::map_response;
use passbook::daemon::{self, BuildOptions, Daemon};
use passbook::http::Transport;
use passbook::sandbox::{Plan, Served};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio_util::sync::CancellationToken;

use crate::harness::Bench;
use crate::webhooks::post::{ids, link_changed, link_read, seconds, signed, task_status, with_daemon};
use mutate::mutate;

/// Rounds at each aggregator in an ordinary run.
const ROUNDS: u64 = 12;
/// No sync lasts as long as this: its deadline is a quarter of an hour.
const LONGEST_ROUND: Duration = Duration::from_hours(12);

#[expect(clippy::disallowed_methods, reason = "how long the tests may take is said from outside")]
fn rounds() -> u64 {
    std::env::var("PASSBOOK_HOSTILE").map_or(ROUNDS, |text| text.parse().expect("PASSBOOK_HOSTILE is a number"))
}

/// The bank's router with one answer in four changed; how many were is counted.
fn hostile(bench: &Bench, seed: u64, changed: &Arc<AtomicU64>) -> Router {
    let rng = Arc::new(Mutex::new(StdRng::seed_from_u64(seed)));
    let changed = Arc::clone(changed);
    bench.bank.router().layer(map_response(move |response: Response<Body>| {
        let (rng, changed) = (Arc::clone(&rng), Arc::clone(&changed));
        async move {
            let (mut parts, body) = response.into_parts();
            let mut bytes = to_bytes(body, usize::MAX).await.expect("a body").to_vec();
            let mut rng = rng.lock().expect("no panic");
            if rng.random_bool(0.25) {
                changed.fetch_add(1, Ordering::Relaxed);
                bytes = mutate(&bytes, &mut rng);
                parts.headers.remove("content-length");
            }
            Response::from_parts(parts, Body::from(bytes))
        }
    }))
}

async fn live_through(bench: &Bench, router: Router) {
    let now = bench.clock.now();
    let ids: Vec<i64> = bench.rows("SELECT link_id FROM links").iter().map(|row| row[0].parse().expect("id")).collect();
    let asked = move |txn: &passbook::store::WriteTxn<'_>| {
        ids.iter().try_for_each(|id| txn.ask_for_sync(*id, passbook::model::Cause::Person, true, now))
    };
    bench.store.write(asked).await.expect("the store works");
    let options = BuildOptions {
        store: bench.store.clone(),
        clock: bench.clock.clone(),
        transport: Transport::in_process(router),
        seed: 3,
    };
    let engine = Arc::new(daemon::build(&bench.config, options).await.expect("an engine"));
    let daemon = Daemon::new(engine, bench.options(true));
    let ended = tokio::time::timeout(LONGEST_ROUND, daemon.run(CancellationToken::new())).await;
    ended.expect("every sync comes to an end").expect("the store works");
}

fn assert_no_bug(bench: &Bench, round: u64) {
    let bugs = bench.rows("SELECT error FROM syncs WHERE error LIKE '%this is a bug%' OR error LIKE '%panicked%'");
    assert!(bugs.is_empty(), "round {round}: {bugs:?}");
}

/// Every row of the bank is in the store with the bank's money. What was made up on the way may be there besides.
fn assert_nothing_is_missing(bench: &Bench) {
    let stored: BTreeMap<String, Vec<String>> = bench
        .rows("SELECT upstream_id, upstream_account_id, amount_minor, currency, description FROM v_transactions")
        .into_iter()
        .map(|mut row| (row.remove(0), row))
        .collect();
    for link in bench.bank.served().links.iter().filter(|link| link.deleted_at.is_none()) {
        for row in &link.transactions {
            let amount = row.amount_minor.to_string();
            let truth = [&row.account_upstream_id, &amount, &row.currency, &row.description];
            let found = stored.get(&row.upstream_id);
            assert_eq!(found.map(|row| row.iter().collect::<Vec<_>>()), Some(truth.to_vec()), "{}", row.upstream_id);
        }
    }
}

#[expect(clippy::print_stdout, reason = "says how much was tried")]
async fn answers_as_somebody_might_send_them(serves: Served) {
    let bench = Bench::pulling(serves, "");
    bench.bank.seed_world(&Plan { links: 3, transactions_per_link: 12, ..Plan::default() });
    bench.run_once().await;
    let changed = Arc::new(AtomicU64::new(0));
    for round in 0..rounds() {
        live_through(&bench, hostile(&bench, round, &changed)).await;
        assert_no_bug(&bench, round);
        bench.aggregator_reads_banks();
    }
    for _ in 0..2 {
        bench.pass(Duration::from_hours(24)).await;
        live_through(&bench, bench.bank.router()).await;
    }
    // What was told twice under different ids stood there twice until the list was read whole and good.
    let now = bench.clock.now();
    let report = bench.store.read(move |txn| txn.verify(now)).await.expect("the store works");
    let broken: Vec<_> = report.findings.iter().filter(|f| f.violations > 0 && f.is_error).collect();
    assert!(broken.is_empty(), "{broken:#?}");
    assert_nothing_is_missing(&bench);
    println!("{serves:?}: {} answers changed in {} rounds", changed.load(Ordering::Relaxed), rounds());
}

#[tokio::test(start_paused = true)]
async fn answers_of_truv_as_somebody_might_send_them_break_nothing() {
    answers_as_somebody_might_send_them(Served::Truv).await;
}

#[tokio::test(start_paused = true)]
async fn answers_of_bridge_as_somebody_might_send_them_break_nothing() {
    answers_as_somebody_might_send_them(Served::Bridge).await;
}

async fn webhooks_as_somebody_might_send_them(serves: Served) {
    let section = "[server]\npublic_listen = \"127.0.0.1:0\"\npublic_url = \"https://bank.example.com\"\n";
    let bench = Bench::pulling(serves, &format!("{}{section}", signed(serves)));
    let links = bench.bank.seed_world(&Plan { links: 3, transactions_per_link: 12, ..Plan::default() });
    bench.run_once().await;
    let mut rng = StdRng::seed_from_u64(5);
    with_daemon(&bench, async |post| {
        for number in 0..i64::try_from(20 * rounds()).expect("a number") {
            let (link, user) = ids(&bench, links[rng.random_range(0..links.len())]);
            let event = match number % 5 {
                0 => link_changed(serves, "deleted", &link, &user),
                1 => link_changed(serves, "updated", &link, &user),
                2 if serves == Served::Truv => task_status(&format!("task-{number}"), "login_error", &link, &user),
                _ => link_read(serves, &link, &user, number),
            };
            // Signed as it should be: what cannot be is refused before anybody looks at it.
            let answer = post.send(post.request(&mutate(event.to_string().as_bytes(), &mut rng))).await;
            let is_well =
                matches!(answer.status(), StatusCode::OK | StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE);
            assert!(is_well, "{}", answer.status());
            seconds(7).await;
        }
        seconds(600).await;
    })
    .await;
    assert_no_bug(&bench, rounds());
    assert_eq!(bench.value("SELECT count(*) FROM webhook_events WHERE handled_at IS NULL"), "0");
    // No event is believed: everybody is still there, and nothing came but what the bank has.
    bench.sync_all(true).await;
    bench.assert_store_is_truth();
    bench.assert_verifies().await;
}

#[tokio::test(start_paused = true)]
async fn webhooks_of_truv_as_somebody_might_send_them_are_believed_in_nothing() {
    webhooks_as_somebody_might_send_them(Served::Truv).await;
}

#[tokio::test(start_paused = true)]
async fn webhooks_of_bridge_as_somebody_might_send_them_are_believed_in_nothing() {
    webhooks_as_somebody_might_send_them(Served::Bridge).await;
}
