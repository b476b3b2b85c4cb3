//! What a scrape, a status, a look for alerts and the dashboard's pages cost on a store of a hundred thousand links and a year:
//! `cargo bench --bench scrape [-- LINKS]`.
//!
//! The store is made by SQL, not by syncs: rows of the tables that monitoring, alerts and pages look at, as many as a year leaves,
//! and two million transactions, ten thousand of them of one account with a thousand balances.
//! The rows of a year's syncs are a tenth of what they would be, because nothing that is measured looks at them.

#![expect(clippy::print_stdout, clippy::float_arithmetic, reason = "a benchmark prints its figures")]

use std::sync::Arc;
use std::time::Instant;

use axum::http::{Request, StatusCode};
use passbook::alert::{AlertOptions, Alerts};
use passbook::clock::Clock;
use passbook::config::{AlertConfig, Config};
use passbook::http::Transport;
use passbook::sandbox::Sandbox;
use passbook::server::status::Seen;
use passbook::server::{self, Served};
use passbook::sync::Waker;

#[path = "shared/admin.rs"]
mod admin;
#[path = "shared/setup.rs"]
#[expect(dead_code, reason = "other benches use more of it")]
mod setup;

use admin::{ADMIN, ask, log_in};

const SCRAPES: usize = 20;
/// Links in each list of a status.
const LISTED: usize = 20;

/// What a year leaves, with `:links` links and the present instant `:now`.
const A_YEAR: &str = "
    PRAGMA foreign_keys = OFF;
    BEGIN;
    CREATE TEMP TABLE n (n INTEGER PRIMARY KEY);
    WITH RECURSIVE up (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < 4000000) INSERT INTO n SELECT n FROM up;
    INSERT INTO users (user_id, source_id, upstream_id, first_seen_at) SELECT n, 1, hex(randomblob(16)), 0 FROM n WHERE n <= LINKS;
    INSERT INTO institutions (institution_id, aggregator, upstream_id, name)
    SELECT n, 'truv', 'bank-' || n, 'Bank ' || n FROM n WHERE n <= 500;
    INSERT INTO links (link_id, source_id, user_id, institution_id, upstream_id, access_token_sealed, upstream_status, due_at,
                       last_attempt_at, last_success_at, first_seen_at, attention, attention_at, reconcile_due_at)
    SELECT n, 1, n, n % 500 + 1, hex(randomblob(16)), NULL, 'done', NOW + n % 28800000, NOW - n % 28800000,
           NOW - n % 28800000, NOW - 31536000000, iif(n % 50 = 0, 'login', NULL), iif(n % 50 = 0, NOW - n * 1000, NULL),
           NOW + n * 1000
    FROM n WHERE n <= LINKS;
    INSERT INTO syncs (link_id, cause, started_at, finished_at, outcome, requests, pages, rows_seen)
    SELECT n % LINKS + 1, 'schedule', NOW - n * 8, NOW - n * 8 + 5000, 'ok', 5, 1, 60 FROM n;
    INSERT INTO refreshes (source_id, link_id, sync_id, cause, requested_at, counts_from_at, answered_at, upstream_task_id, outcome)
    SELECT 1, n % LINKS + 1, n, 'schedule', NOW - n * 1036, NOW - n * 1036, NOW - n * 1036, hex(randomblob(16)), 'done'
    FROM n WHERE n <= 2500000;
    INSERT INTO request_usage SELECT 1, 'secret', NOW - n * 60000, 200, 0, 1 FROM n WHERE n <= 525600;
    INSERT INTO source_days SELECT 1, NOW - NOW % 86400000 - n * 86400000, 6000000, 100000, 1000, 83000, 82000 FROM n WHERE n <= 365;
    INSERT INTO request_totals SELECT 1, 'secret', 105120000, 0, 525600;
    INSERT INTO sync_totals SELECT 1, 'schedule', 'ok', 36500000, 1, 1, 1, 1, 1, 1, 1;
    INSERT INTO webhook_events (source_id, digest, event_type, received_at, body, handled_at, outcome)
    SELECT 1, randomblob(32), 'task-status-updated', NOW - n * 1000, randomblob(400), iif(n > 2000, NOW, NULL),
           iif(n > 2000, 'applied', NULL)
    FROM n WHERE n <= 1000000;
    INSERT INTO rejected_rows (link_id, fingerprint, reason, raw, first_seen_at, last_seen_at, resolved_at)
    SELECT n % LINKS + 1, n, 'no amount', hex(randomblob(200)), NOW, NOW, iif(n % 10 = 0, NULL, NOW) FROM n WHERE n <= 20000;
    COMMIT;
    BEGIN;
    INSERT INTO accounts (account_id, link_id, upstream_id, kind, name, currency, first_seen_at, changed_at)
    SELECT n, n, hex(randomblob(16)), 'CHECKING', 'Everyday', 'USD', 0, 0 FROM n WHERE n <= LINKS;
    INSERT OR IGNORE INTO currencies VALUES ('USD', 2);
    INSERT INTO balances (account_id, observed_at, currency, current_minor, sync_id)
    SELECT n % LINKS + 1, NOW - n * 864, 'USD', n * 7919 % 1000000, n FROM n WHERE n <= 1000000;
    INSERT OR IGNORE INTO balances (account_id, observed_at, currency, current_minor, sync_id)
    SELECT LARGE, NOW - n * 31536000, 'USD', n * 7919 % 1000000, n FROM n WHERE n <= 1000;
    INSERT INTO transactions (link_id, account_id, upstream_id, status, amount_minor, currency, transacted_at, transacted_on,
                              posted_at, posted_on, description, posted_seen_at, first_seen_at, changed_at, content_hash)
    SELECT account, account, hex(randomblob(16)), 'posted', n * 7919 % 100000 - 50000, 'USD', at,
           date(at / 1000, 'unixepoch'), at, date(at / 1000, 'unixepoch'), 'CARD PAYMENT 4711 SOME SHOP SOMEWHERE', at, at, at, n
    FROM (SELECT n, iif(n <= 10000, LARGE, n % LINKS + 1) AS account, NOW - n * 15768 AS at FROM n WHERE n <= 2000000);
    COMMIT;";

/// The link whose account has most rows.
const LARGE: u32 = 7;

#[tokio::main]
async fn main() {
    let links = std::env::args().find_map(|word| word.parse::<u32>().ok()).unwrap_or(100_000);
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).init();
    let clock = Clock::system();
    let bank = Sandbox::new(clock.clone(), 7);
    let keys = setup::Keys::of(&bank);
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let config = setup::config(dir.path(), &keys, "http://127.0.0.1:1", ADMIN);
    let store = setup::open_store(&config, &clock);
    let engine = setup::engine(&config, &store, &clock, Transport::in_process(bank.router())).await;
    let began = Instant::now();
    fill(&config, links, clock.now_ms());
    store.checkpoint().await.expect("a checkpoint");
    let megabytes = store.size().file_bytes / 1_000_000;
    println!("{links} links, a store of {megabytes} MB, made in {:.0} s", began.elapsed().as_secs_f64());

    let served = Served::new(engine, Waker::default(), Arc::new(config.clone()));
    let token = served.admin().expect("an admin side").token.expose().to_owned();
    let router = server::admin::router(&served);
    let mut took = Vec::new();
    for _ in 0..SCRAPES {
        let request = Request::get("/metrics").header("authorization", format!("Bearer {token}"));
        let began = Instant::now();
        let (status, _, metrics) = ask(&router, request, String::new()).await;
        took.push(began.elapsed());
        assert!(status == StatusCode::OK && metrics.ends_with("# EOF\n"), "{status}");
    }
    report("scrape", took);
    let cookie = log_in(&router, &token).await;
    for (what, path) in [
        ("overview", "/".to_owned()),
        ("links that need a person", "/links?state=attention".to_owned()),
        ("a link", "/links/5".to_owned()),
        ("the largest link", format!("/links/{LARGE}")),
    ] {
        let mut took = Vec::new();
        for _ in 0..SCRAPES {
            let request = Request::get(&path).header("cookie", &cookie);
            let began = Instant::now();
            let (status, _, page) = ask(&router, request, String::new()).await;
            took.push(began.elapsed());
            assert_eq!(status, StatusCode::OK, "{path}: {page}");
            assert!(page.len() > 2_000, "{path}");
        }
        report(what, took);
    }

    let mut took = Vec::new();
    for _ in 0..SCRAPES {
        let (now, began) = (clock.now(), Instant::now());
        let seen = store.read(move |txn| Seen::read(txn, LISTED, now)).await.expect("the store works");
        took.push(began.elapsed());
        assert_eq!(seen.attention.len(), LISTED);
    }
    report("status", took);

    let alerts = Alerts::new(AlertOptions {
        store,
        clock,
        config: &AlertConfig::default(),
        dashboard: None,
        transport: Transport::network(),
        seed: 1,
    })
    .expect("alerts");
    let mut took = Vec::new();
    for _ in 0..SCRAPES {
        let began = Instant::now();
        alerts.pass().await.expect("the store works");
        took.push(began.elapsed());
    }
    report("look for alerts", took);
}

fn report(what: &str, mut took: Vec<std::time::Duration>) {
    let first = took[0];
    took.sort();
    let ms = |of: std::time::Duration| of.as_secs_f64() * 1000.0;
    println!(
        "{what}: first {:.1} ms, median {:.1} ms, slowest {:.1} ms",
        ms(first),
        ms(took[took.len() / 2]),
        ms(took[took.len() - 1])
    );
}

#[expect(clippy::disallowed_methods, reason = "the rows of a year are made in seconds, past the store's own door")]
fn fill(config: &Config, links: u32, now: i64) {
    let connection = rusqlite::Connection::open(&config.store.path).expect("the store's file");
    let sql = A_YEAR
        .replace("LINKS", &links.to_string())
        .replace("LARGE", &LARGE.to_string())
        .replace("NOW", &now.to_string());
    connection.execute_batch(&sql).expect("a year");
}
