//! What the store keeps from going on by itself, be it a link, a look, a listing or an erasure, holds up nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::Request;
use axum::middleware::{self, Next};
use passbook::config::{Config, RetentionConfig};
use passbook::daemon::{self, Assignment, BuildOptions, Daemon, Succession};
use passbook::http::Transport;
use passbook::model::{Condition, EventOutcome, LinkHealth, LinkRecord, UserRecord};
use passbook::sandbox::{NewTransaction, Plan, Served};
use passbook::secret::Secret;
use passbook::store::{NewEvent, NewInvite, NewLink, Outcome, TokenHash};
use passbook::sync::Engine;
use passbook::sync::explain::{Circumstances, Known};
use tokio_util::sync::CancellationToken;

use crate::harness::Bench;

const HOUR: Duration = Duration::from_hours(1);
/// What a trigger says that stands for a broken rule of the store.
const REFUSED: &str = "refused by a test";

/// A bank with so many customers of one link each, all of them read.
async fn town(serves: Served, links: usize) -> Bench {
    let bench = Bench::pulling(serves, "sync_schedule = \"0 * * * *\"\n");
    bench.bank.seed_world(&Plan { links, transactions_per_link: 12, ..Plan::default() });
    bench.run_once().await;
    bench
}

/// Changes the store behind the daemon's back.
#[expect(clippy::disallowed_methods, reason = "stands for damage")]
fn change(bench: &Bench, sql: &str) {
    rusqlite::Connection::open(bench.path()).expect("a SQLite file").execute_batch(sql).expect(sql);
}

fn source_id(bench: &Bench) -> i64 {
    bench.value("SELECT source_id FROM sources").parse().expect("a number")
}

/// An engine in which the first request below `path` meets a bug.
async fn engine_with_a_bug(bench: &Bench, path: &'static str) -> Arc<Engine> {
    let is_over = Arc::new(AtomicBool::new(false));
    let router = bench.bank.router().layer(middleware::from_fn(move |request: Request, next: Next| {
        let is_over = Arc::clone(&is_over);
        async move {
            let is_met = request.uri().path().starts_with(path) && !is_over.swap(true, Ordering::Relaxed);
            assert!(!is_met, "a bug of ours");
            next.run(request).await
        }
    }));
    let transport = Transport::in_process(router);
    let options = BuildOptions { store: bench.store.clone(), clock: bench.clock.clone(), transport, seed: 11 };
    Arc::new(daemon::build(bench.config(), options).await.expect("an engine"))
}

/// Runs a daemon for some hours, and returns the first that a query answers within a minute.
async fn run_and_ask(bench: &Bench, engine: Arc<Engine>, hours: u32, sql: &str) -> String {
    let (daemon, stop) = (Daemon::new(engine, bench.options(false)), CancellationToken::new());
    let script = async {
        let mut answer = bench.value(sql);
        for _ in 0..60 {
            if answer != "NULL" {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            answer = bench.value(sql);
        }
        tokio::time::sleep(hours * HOUR).await;
        stop.cancel();
        answer
    };
    let (result, answer) = tokio::join!(daemon.run(stop.clone()), script);
    result.expect("the store works");
    answer
}

#[tokio::test(start_paused = true)]
async fn a_token_that_does_not_open_fails_its_own_link_until_a_listing_brings_it_anew() {
    let bench = town(Served::Truv, 4).await;
    change(&bench, "UPDATE links SET access_token_sealed = zeroblob(64) WHERE link_id = 1");
    bench.run_for(5 * HOUR).await;
    let hourly =
        "SELECT min(n) FROM (SELECT count(*) AS n FROM syncs WHERE outcome = 'ok' AND link_id > 1 GROUP BY link_id)";
    assert!(bench.value(hourly).parse::<u32>().expect("a number") >= 5, "the others are read on schedule");
    let failures = "SELECT count(*) FROM syncs WHERE link_id = 1 AND outcome = 'failed'";
    let failures: u32 = bench.value(failures).parse().expect("a number");
    assert!((4..40).contains(&failures), "tried again, later each time: {failures}");
    assert_eq!(bench.value("SELECT state FROM v_link_health WHERE link_id = 1"), "failing");
    let error = bench.value("SELECT last_error FROM links WHERE link_id = 1");
    assert!(error.contains("links.access_token_sealed row 1 does not open"), "{error}");
    let now = bench.clock.now();
    let around = |_: &str| Circumstances { is_configured: true, refresh_policy: None, daemon_runs: true };
    let known = bench.store.read(move |txn| Known::read(txn, 1, around, now)).await.expect("it is explained");
    let reasons = known.reasons(now);
    assert!(reasons.iter().any(|reason| reason.what.contains("does not open")), "{reasons:?}");

    let ended = bench.sync_all(false).await;
    let failed: BTreeSet<i64> =
        ended.iter().filter(|report| report.outcome == Outcome::Failed).map(|report| report.link_id).collect();
    assert_eq!(failed, BTreeSet::from([1]), "a run that ends by itself reads the others");

    change(&bench, "UPDATE sources SET discover_due_at = 0");
    bench.run_once().await;
    assert_eq!(bench.value("SELECT discover_failures FROM sources"), "0", "a listing reads around it");
    bench.sync_all(false).await;
    assert_eq!(bench.value("SELECT state FROM v_link_health WHERE link_id = 1"), "active");
}

/// After a change of the clock or the schedule every due time is worked out anew, also that of a link that does not open.
#[tokio::test(start_paused = true)]
async fn due_times_are_brought_back_although_a_token_does_not_open() {
    let bench = town(Served::Truv, 2).await;
    change(&bench, "UPDATE links SET access_token_sealed = zeroblob(64) WHERE link_id = 1");
    let far = bench.clock.now().as_millisecond() + 40 * 24 * 3_600_000;
    change(&bench, &format!("UPDATE links SET due_at = {far}"));
    bench.run_once().await;
    assert_eq!(bench.value(&format!("SELECT count(*) FROM links WHERE due_at < {far}")), "2");
}

#[tokio::test(start_paused = true)]
async fn a_row_that_the_store_refuses_fails_the_sync_of_its_link_alone() {
    for serves in [Served::Truv, Served::Bridge] {
        refuse_a_row(serves).await;
    }
}

async fn refuse_a_row(serves: Served) {
    let bench = town(serves, 4).await;
    let theirs = "SELECT account_id FROM accounts WHERE link_id = 1";
    change(
        &bench,
        &format!(
            "CREATE TRIGGER refused BEFORE INSERT ON transactions WHEN NEW.account_id IN ({theirs})
             BEGIN SELECT RAISE(ABORT, '{REFUSED}'); END"
        ),
    );
    for link in bench.bank.truth().links {
        bench.bank.add_transaction(link.accounts[0].id, NewTransaction::posted(-55, "NEW"));
    }
    bench.aggregator_reads_banks();
    let mut outcomes: BTreeMap<i64, Outcome> = BTreeMap::new();
    for report in bench.sync_all(false).await {
        outcomes.insert(report.link_id, report.outcome);
    }
    let expected = [(1, Outcome::Failed), (2, Outcome::Ok), (3, Outcome::Ok), (4, Outcome::Ok)];
    assert_eq!(outcomes, BTreeMap::from(expected));
    let error = bench.value("SELECT last_error FROM links WHERE link_id = 1");
    assert!(error.contains(REFUSED), "{error}");
    assert_eq!(bench.value("SELECT count(*) FROM syncs WHERE outcome IS NULL"), "0");
    change(&bench, "DROP TRIGGER refused");
    bench.pass(2 * HOUR).await;
    bench.run_once().await;
    bench.assert_store_is_truth();
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_panics_is_noted_and_tried_again() {
    for serves in [Served::Truv, Served::Bridge] {
        panic_in_a_listing(serves).await;
    }
}

async fn panic_in_a_listing(serves: Served) {
    let bench = Bench::pulling(serves, "");
    bench.bank.seed_world(&Plan { links: 3, transactions_per_link: 12, ..Plan::default() });
    let users = match serves {
        Served::Truv => "/v1/users/",
        Served::Bridge => "/v3/aggregation/users",
    };
    let engine = engine_with_a_bug(&bench, users).await;
    let noted = run_and_ask(&bench, engine, 2, "SELECT discover_failures || ' ' || discover_error FROM sources").await;
    assert_eq!(noted, "1 the listing panicked; this is a bug, please report it with the log");
    assert_eq!(bench.value("SELECT discover_failures FROM sources"), "0");
    assert_eq!(bench.value("SELECT count(*) FROM links WHERE last_success_at IS NOT NULL"), "3");
}

#[tokio::test(start_paused = true)]
async fn a_look_that_panics_is_noted_and_its_customer_is_worked_on_again() {
    let bench = town(Served::Bridge, 2).await;
    change(&bench, "UPDATE users SET links_due_at = 0 WHERE user_id = 1");
    let began = bench.clock.now().as_millisecond();
    let engine = engine_with_a_bug(&bench, "/v3/aggregation/items").await;
    let failed = "SELECT links_failures || ' ' || links_error FROM users WHERE user_id = 1";
    let noted = run_and_ask(&bench, engine, 3, failed).await;
    assert_eq!(noted, "1 the look panicked; this is a bug, please report it with the log");
    assert_eq!(bench.value("SELECT links_failures FROM users WHERE user_id = 1"), "0");
    let read = format!("SELECT count(*) FROM links WHERE user_id = 1 AND last_success_at <= {began}");
    assert_eq!(bench.value(&read), "0", "its links are read as before");
}

#[tokio::test(start_paused = true)]
async fn an_erasure_that_the_store_refuses_holds_up_no_other() {
    let bench = town(Served::Truv, 2).await;
    change(
        &bench,
        &format!(
            "CREATE TRIGGER refused BEFORE DELETE ON accounts WHEN OLD.link_id = 1
             BEGIN SELECT RAISE(ABORT, '{REFUSED}'); END"
        ),
    );
    order_all(&bench).await;
    let engine = bench.engine().await;
    engine.erase_due().await.expect("the store works");
    assert_eq!(bench.value("SELECT count(*) FROM erasures WHERE finished_at IS NOT NULL"), "1");
    let held =
        bench.rows("SELECT tries, next_try_at > requested_at, last_error FROM erasures WHERE finished_at IS NULL");
    assert_eq!(held.len(), 1);
    assert!(held[0][..2] == ["1", "1"] && held[0][2].contains(REFUSED), "{held:?}");
    assert_eq!(bench.value("SELECT link_id FROM links"), "1");
    change(&bench, "DROP TRIGGER refused");
    bench.pass(HOUR).await;
    engine.erase_due().await.expect("the store works");
    assert_eq!(bench.value("SELECT count(*) FROM erasures WHERE finished_at IS NOT NULL"), "2");
    assert_eq!(bench.value("SELECT count(*) FROM users"), "0");
}

#[tokio::test(start_paused = true)]
async fn rows_here_go_although_the_sealed_id_of_the_customer_does_not_open() {
    let bench = town(Served::Truv, 1).await;
    let user = bench.value("SELECT upstream_id FROM users");
    order_all(&bench).await;
    change(&bench, "UPDATE erasures SET upstream_id_sealed = zeroblob(64)");
    let engine = bench.engine().await;
    engine.erase_due().await.expect("the store works");
    assert_eq!(bench.value("SELECT count(*) FROM users"), "0");
    let held = bench.rows("SELECT finished_at, upstream_outcome, last_error FROM erasures").remove(0);
    assert!(held[..2] == ["NULL", "NULL"] && held[2].contains("upstream_id_sealed"), "{held:?}");
    let left = engine.forget(source_id(&bench), user, true).await.expect("the store works");
    assert!(left[0].finished_at.is_some(), "an operator ends it without the aggregator: {left:?}");
}

/// Orders that every customer is forgotten, in the order of our ids of their links.
async fn order_all(bench: &Bench) {
    let source = source_id(bench);
    for row in bench.rows("SELECT u.upstream_id FROM users u JOIN links l USING (user_id) ORDER BY l.link_id") {
        let (user, now) = (row[0].clone(), bench.clock.now());
        let ordered = bench.store.write(move |txn| txn.order_erasure(source, &user, now)).await;
        assert_eq!(ordered.expect("the store works").len(), 1);
        bench.pass(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_invite_of_a_former_customer_does_not_hold_a_link() {
    let bench = town(Served::Truv, 2).await;
    let (source_id, now) = (source_id(&bench), bench.clock.now());
    let former: i64 = bench.value("SELECT user_id FROM links WHERE link_id = 1").parse().expect("a number");
    let link = bench.value("SELECT upstream_id FROM links WHERE link_id = 1");
    let present = bench.value("SELECT u.upstream_id FROM users u JOIN links l USING (user_id) WHERE l.link_id = 2");
    let (whose, expires_at) = (present.clone(), now + jiff::SignedDuration::from_hours(1));
    bench
        .store
        .write(move |txn| {
            let token = TokenHash::of(&Secret::new("a token"));
            let invite = NewInvite { token, source_id, user_id: former, link_id: Some(1), email: None, expires_at };
            txn.make_invite(&invite, now)?;
            let link = LinkRecord {
                upstream_id: link,
                institution: None,
                access_token: None,
                health: LinkHealth { upstream_status: None, detail: None, condition: Condition::Well },
                is_removed: false,
                refreshed_at: None,
                tried_at: None,
                consent_expires_at: None,
            };
            txn.put_link(source_id, &NewLink { user: UserRecord { upstream_id: whose, external_id: None }, link }, now)
        })
        .await
        .expect("the store works");
    let forgotten = bench.engine().await.forget(source_id, present, true).await.expect("the store works");
    assert!(forgotten[0].finished_at.is_some(), "{forgotten:?}");
    assert_eq!(bench.value("SELECT count(*) FROM links"), "0");
    assert_eq!(bench.value("SELECT count(*) FROM users"), "1", "the former customer is not concerned");
}

#[tokio::test(start_paused = true)]
async fn events_of_a_source_that_is_gone_are_forgotten_in_time() {
    let bench = town(Served::Truv, 1).await;
    let (source_id, now) = (source_id(&bench), bench.clock.now());
    bench
        .store
        .write(move |txn| {
            txn.put_event(&NewEvent {
                source_id,
                digest: [1; 32],
                user: None,
                link: None,
                event_type: "unheard-of".to_owned(),
                announced_at: None,
                received_at: now,
                body: "{}".to_owned(),
            })?;
            txn.event_handled(1, EventOutcome::Ignored, None, now)
        })
        .await
        .expect("the store works");
    bench.pass(48 * HOUR).await;
    let retention = RetentionConfig { webhook_events: Some(24 * HOUR), ..RetentionConfig::default() };
    let nothing_configured = Arc::new(bench.engine().await.with_sources(Vec::new()));
    let daemon = Daemon::new(nothing_configured, bench.options(false)).keeping(retention);
    let stop = CancellationToken::new();
    let timer = async {
        tokio::time::sleep(Duration::from_mins(5)).await;
        stop.cancel();
    };
    let (result, ()) = tokio::join!(daemon.run(stop.clone()), timer);
    result.expect("the store works");
    assert_eq!(bench.value("SELECT count(*) FROM webhook_events"), "0");
}

#[tokio::test(start_paused = true)]
async fn what_was_sealed_in_an_invite_goes_when_its_time_is_over() {
    let bench = town(Served::Bridge, 1).await;
    let (source_id, now) = (source_id(&bench), bench.clock.now());
    let expires_at = now + jiff::SignedDuration::from_hours(1);
    bench
        .store
        .write(move |txn| {
            let (token, email) = (TokenHash::of(&Secret::new("a token")), Some(Secret::new("someone@example.org")));
            let invite = NewInvite { token, source_id, user_id: 1, link_id: None, email, expires_at };
            let invite_id = txn.make_invite(&invite, now)?;
            txn.begin_invite(invite_id, TokenHash::of(&Secret::new("a context")), now)
        })
        .await
        .expect("the store works");
    let kept = "SELECT (email_sealed IS NOT NULL) + (context_hash IS NOT NULL) FROM invites";
    let engine = bench.engine().await;
    let retention = RetentionConfig { invites: None, ..RetentionConfig::default() };
    daemon::drop_old(&engine, &retention).await;
    assert_eq!(bench.value(kept), "2", "it is open");
    bench.pass(2 * HOUR).await;
    daemon::drop_old(&engine, &retention).await;
    assert_eq!(bench.value(kept), "0");
}

/// How often what was asked for in the first minutes, by a daemon whose source is taken out and put back in the middle of a sync if
/// that `is_disturbed`.
async fn asked_for(is_disturbed: bool) -> BTreeMap<String, usize> {
    let bench = Bench::pulling(Served::Truv, "");
    bench.bank.seed_world(&Plan { links: 1, transactions_per_link: 12, ..Plan::default() });
    bench.bank.settings(|settings| settings.latency = Duration::from_secs(8));
    let engine = bench.engine().await;
    let daemon = Daemon::new(Arc::clone(&engine), bench.options(false));
    let (assignment, busy, stop) = (daemon.assignment(), daemon.busy(), CancellationToken::new());
    let assign = |succession: Succession| {
        let engine = succession.take_over();
        let (options, retention) = (bench.options(false), bench.config().retention);
        assignment.send_replace(Assignment { engine: Arc::clone(&engine), options, retention });
        engine
    };
    let script = async {
        bench.until_a_sync_runs(&busy).await;
        if is_disturbed {
            let none = Config { sources: Vec::new(), ..bench.config().clone() };
            let resting = assign(changed(&bench, bench.config(), &engine, &none).await);
            tokio::time::sleep(Duration::from_secs(1)).await;
            assign(changed(&bench, &none, &resting, bench.config()).await);
        }
        tokio::time::sleep(Duration::from_mins(10)).await;
        stop.cancel();
    };
    let (result, ()) = tokio::join!(daemon.run(stop.clone()), script);
    result.expect("the store works");
    assert_eq!(bench.value("SELECT group_concat(outcome) FROM syncs"), "ok");
    let mut asked = BTreeMap::new();
    for logged in bench.bank.request_log() {
        *asked.entry(format!("{} {}", logged.method, logged.path)).or_default() += 1;
    }
    asked
}

/// The engine of a changed configuration, ready to take over from that of `former`.
async fn changed(bench: &Bench, former: &Config, running: &Engine, config: &Config) -> Succession {
    let transport = Transport::in_process(bench.bank.router());
    let options = BuildOptions { store: bench.store.clone(), clock: bench.clock.clone(), transport, seed: 5 };
    daemon::rebuild(config, former, running, options).await.expect("an engine")
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_back_before_its_sync_has_ended_is_asked_nothing_twice() {
    assert_eq!(asked_for(true).await, asked_for(false).await);
}
