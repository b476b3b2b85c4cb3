//! What Prometheus reads, compared with what happened.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use passbook::sandbox::{Fault, NewTransaction, Plan, Scope, Served};
use passbook::server::Receipt;

use crate::counter::{ADMIN, Counter};
use crate::harness::Bench;
use crate::home::Home;

/// The value of one sample, written as in the text: name and labels.
fn sample(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).map(|value| value.parse().expect(value))
}

#[expect(clippy::cast_possible_truncation, reason = "every sample asked for is a whole number")]
fn number(text: &str, name: &str) -> i64 {
    sample(text, name).unwrap_or_else(|| panic!("{name} is not in:\n{text}")) as i64
}

const TRUV: &str = "{source=\"truv\",aggregator=\"truv\"}";

fn of_truv(name: &str) -> String {
    format!("{name}{TRUV}")
}

fn links(text: &str, state: &str) -> i64 {
    number(text, &format!("passbook_links{{source=\"truv\",aggregator=\"truv\",state=\"{state}\"}}"))
}

async fn scrape(bench: &Bench) -> String {
    let reply = Counter::open(bench).await.get("/metrics").await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    assert_eq!(reply.headers["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert_eq!(reply.headers["cache-control"], "no-store");
    assert!(reply.text.ends_with("# EOF\n"));
    reply.text
}

#[tokio::test(start_paused = true)]
async fn links_freshness_and_rows_are_told_as_they_are() {
    let bench = Bench::with(ADMIN);
    bench.bank.seed_world(&Plan { links: 4, transactions_per_link: 30, ..Plan::default() });
    bench.run_once().await;
    let broken = bench.bank.truth().links[2].id;
    bench.bank.break_login(broken, "login_error");
    bench.pass(Duration::from_hours(9)).await;
    bench.run_once().await;
    bench.pass(Duration::from_mins(90)).await;
    let text = scrape(&bench).await;
    assert_eq!((links(&text, "active"), links(&text, "attention"), links(&text, "removed")), (3, 1, 0));
    let staleness = number(&text, &of_truv("passbook_source_staleness_seconds"));
    assert!((5_400..6_000).contains(&staleness), "{staleness}");
    let last = number(&text, &of_truv("passbook_source_last_success_timestamp_seconds"));
    assert_eq!(last + staleness, bench.clock.now().as_second());
    assert_eq!(number(&text, &of_truv("passbook_links_overdue")), 0);
    let added = "passbook_transaction_rows_total{source=\"truv\",aggregator=\"truv\",kind=\"added\"}";
    assert_eq!(number(&text, added), 120);
    let stored: i64 = bench.value("SELECT sum(requests) FROM request_usage").parse().expect("a number");
    let sent = "passbook_requests_total{source=\"truv\",aggregator=\"truv\",scope=\"secret\"}";
    assert_eq!(number(&text, sent), stored);
    let refreshes: i64 = bench.value("SELECT count(*) FROM refreshes").parse().expect("a number");
    assert_eq!(number(&text, &of_truv("passbook_refreshes_today")), refreshes);
    assert_eq!(number(&text, &of_truv("passbook_refreshes_this_month")), refreshes);
}

#[tokio::test(start_paused = true)]
async fn links_are_in_the_states_in_which_the_view_shows_them() {
    let bench = Bench::with(&format!("refreshes_per_day = 0\n{ADMIN}"));
    bench.bank.seed_world(&Plan { links: 6, transactions_per_link: 3, ..Plan::default() });
    bench.run_once().await;
    let truth: Vec<_> = bench.bank.truth().links.iter().map(|link| link.id).collect();
    let ids: Vec<i64> = truth.iter().map(|link| bench.link_id(*link)).collect();
    let now = bench.clock.now();
    let (paused, removed) = (ids[0], ids[1]);
    let change = move |txn: &passbook::store::WriteTxn<'_>| {
        txn.set_paused(paused, true, now)?;
        txn.remove_link(removed, passbook::store::RemovedBy::Operator, now)
    };
    bench.store.write(change).await.expect("the store works");
    bench.bank.fault(Fault::Status(403), Scope::link(truth[2]));
    bench.bank.fault(Fault::Status(500), Scope::link(truth[3]));
    bench.pass(Duration::from_hours(9)).await;
    bench.run_once().await;
    let text = scrape(&bench).await;
    let seen = bench.rows("SELECT state, count(*) FROM v_link_health GROUP BY state ORDER BY state");
    let expected = [("active", "2"), ("attention", "1"), ("failing", "1"), ("paused", "1"), ("removed", "1")];
    assert_eq!(seen, expected.map(|(state, number)| [state.to_owned(), number.to_owned()]));
    for row in seen {
        assert_eq!(links(&text, &row[0]).to_string(), row[1], "{}", row[0]);
    }
    assert_eq!(links(&text, "new"), 0);
}

#[tokio::test(start_paused = true)]
async fn what_the_totals_say_is_what_the_rows_say() {
    let home = Home::of(Bench::pulling(Served::Truv, ADMIN));
    let bench = &home.bench;
    home.add(1, NewTransaction::posted(-100, "TEA"));
    bench.run_once().await;
    let fault = bench.bank.fault(Fault::Status(500), Scope::all());
    home.hours(9).await;
    bench.run_once().await;
    // A sync that a kill left open is closed by the next one.
    bench.bank.clear_fault(fault);
    bench.bank.settings(|s| s.latency = Duration::from_secs(2));
    home.hours(9).await;
    bench.run_and_kill(true, Duration::from_secs(3)).await;
    home.add(0, NewTransaction::posted(-200, "SCONES"));
    home.hours(9).await;
    bench.run_once().await;
    // Removed while its sync is under way, which comes to its end all the same.
    home.add(0, NewTransaction::posted(-300, "JAM"));
    bench.ask(&[home.link], passbook::model::Cause::Person, false).await;
    let (link_id, by) = (bench.link_id(home.link), passbook::store::RemovedBy::Operator);
    let remove = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let now = bench.clock.now();
        bench.store.write(move |txn| txn.remove_link(link_id, by, now)).await.expect("the store works")
    };
    let (_, is_removed) = tokio::join!(bench.run_once(), remove);
    assert!(is_removed);
    let totals = bench.rows(
        "SELECT cause, outcome, syncs, rows_seen, rows_added, rows_updated, rows_posted, rows_removed, rows_restored,
                rows_rejected FROM sync_totals ORDER BY cause, outcome",
    );
    let counted = bench.rows(
        "SELECT cause, outcome, count(*), sum(rows_seen), sum(rows_added), sum(rows_updated), sum(rows_posted),
                sum(rows_removed), sum(rows_restored), sum(rows_rejected)
         FROM syncs WHERE outcome IS NOT NULL GROUP BY cause, outcome ORDER BY cause, outcome",
    );
    assert_eq!(totals, counted);
    assert!(totals.len() >= 3, "{totals:?}");
    assert_eq!(
        bench.rows("SELECT source_id, scope, requests, rate_limited, failed FROM request_totals"),
        bench.rows(
            "SELECT source_id, scope, sum(requests), sum(rate_limited), sum(failed) FROM request_usage GROUP BY 1, 2"
        )
    );
    let text = scrape(bench).await;
    for row in totals {
        let labels = format!("source=\"truv\",aggregator=\"truv\",outcome=\"{}\",cause=\"{}\"", row[1], row[0]);
        assert_eq!(number(&text, &format!("passbook_syncs_total{{{labels}}}")).to_string(), row[2]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_without_any_success_grows_stale_from_its_first_sight() {
    let bench = Bench::with(ADMIN);
    bench.bank.seed_world(&Plan { links: 1, transactions_per_link: 5, ..Plan::default() });
    bench.bank.fault(Fault::Status(401), Scope::all());
    bench.run_once().await;
    let text = scrape(&bench).await;
    assert_eq!(number(&text, &of_truv("passbook_source_resting")), 1, "its credentials were refused");
    bench.pass(Duration::from_hours(5)).await;
    let text = scrape(&bench).await;
    assert!(sample(&text, &of_truv("passbook_source_last_success_timestamp_seconds")).is_none());
    let staleness = number(&text, &of_truv("passbook_source_staleness_seconds"));
    assert!((18_000..18_100).contains(&staleness), "{staleness}");
    assert!(number(&text, &of_truv("passbook_discovery_failures")) >= 1);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_source_rests_and_has_no_budget() {
    let home = Home::of(Bench::pulling(Served::Truv, ADMIN));
    let bench = &home.bench;
    bench.run_once().await;
    let until = bench.clock.now() + jiff::SignedDuration::from_mins(3);
    bench.store.write(move |txn| txn.hold_source(1, until, "request limit")).await.expect("the store works");
    let text = scrape(bench).await;
    assert_eq!(number(&text, &of_truv("passbook_source_resting")), 1);
    assert_eq!(number(&text, &of_truv("passbook_source_rests_until_timestamp_seconds")), until.as_second());
    assert_eq!(number(&text, &of_truv("passbook_request_budget_left")), 0);
    bench.pass(Duration::from_mins(4)).await;
    let text = scrape(bench).await;
    assert_eq!(number(&text, &of_truv("passbook_source_resting")), 0);
    assert_eq!(number(&text, &of_truv("passbook_request_budget_left")), 285, "the limit less our margin");
    assert_eq!(number(&text, &of_truv("passbook_request_limit")), 300);
}

#[tokio::test(start_paused = true)]
async fn webhooks_are_counted_as_they_come_and_wait() {
    let home = Home::of(Bench::pulling(Served::Truv, ADMIN));
    let counter = Counter::open(&home.bench).await;
    for _ in 0..3 {
        counter.served.tally.webhook(Some(1), Receipt::Stored);
    }
    counter.served.tally.webhook(Some(1), Receipt::Refused);
    counter.served.tally.webhook(None, Receipt::Refused);
    let text = counter.get("/metrics").await.text;
    let received = |outcome: &str| {
        let labels = format!("source=\"truv\",aggregator=\"truv\",outcome=\"{outcome}\"");
        number(&text, &format!("passbook_webhooks_received_total{{{labels}}}"))
    };
    assert_eq!((received("stored"), received("refused"), received("repeated")), (3, 1, 0));
    assert_eq!(number(&text, "passbook_webhooks_misdirected_total"), 1);
    assert_eq!(number(&text, &of_truv("passbook_webhook_lag_seconds")), 0);
    let unknown = "passbook_webhook_endpoint{source=\"truv\",aggregator=\"truv\",state=\"unknown\"}";
    assert_eq!(number(&text, unknown), 1);
}

#[tokio::test(start_paused = true)]
async fn no_customer_link_or_bank_is_in_a_label_and_their_number_adds_no_series() {
    let series = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
    let mut numbers = Vec::new();
    for links in [2, 12] {
        let bench = Bench::with(ADMIN);
        bench.bank.seed_world(&Plan { links, transactions_per_link: 5, ..Plan::default() });
        bench.run_once().await;
        let text = scrape(&bench).await;
        numbers.push(series(&text));
        let private = bench.rows(
            "SELECT upstream_id FROM users UNION SELECT external_id FROM users WHERE external_id IS NOT NULL
             UNION SELECT upstream_id FROM links UNION SELECT upstream_id FROM institutions UNION SELECT name FROM institutions",
        );
        for row in private {
            assert!(!text.contains(&row[0]), "{}", row[0]);
        }
    }
    assert_eq!(numbers[0], numbers[1]);
}

#[tokio::test(start_paused = true)]
async fn without_the_token_there_are_no_metrics_and_guessing_shuts_the_gate() {
    let bench = Bench::with(ADMIN);
    let counter = Counter::open(&bench).await;
    let none = counter.ask(Request::get("/metrics"), None, Body::empty()).await;
    assert_eq!(none.status, StatusCode::UNAUTHORIZED);
    assert!(none.headers["www-authenticate"].to_str().expect("text").starts_with("Bearer"));
    let cookie = Request::get("/metrics").header("cookie", "passbook=1.2.3");
    assert_eq!(counter.ask(cookie, None, Body::empty()).await.status, StatusCode::UNAUTHORIZED, "no session does here");
    for _ in 0..20 {
        let wrong = counter.ask(Request::get("/metrics"), Some("pbk1_wrong"), Body::empty()).await;
        assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
        assert!(!wrong.text.contains("passbook_"));
    }
    let shut = counter.get("/metrics").await;
    assert_eq!(shut.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(shut.headers["retry-after"], "60");
    bench.pass(Duration::from_secs(61)).await;
    assert_eq!(counter.get("/metrics").await.status, StatusCode::OK);
}
