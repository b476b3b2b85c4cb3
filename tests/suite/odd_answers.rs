//! Answers that are odd in one place: what is odd is set aside, put off or believed no further than it goes, and all the rest
//! goes on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::Response;
use axum::middleware::{Next, from_fn};
use jiff::SignedDuration;
use passbook::daemon::{self, BuildOptions, Daemon, Event};
use passbook::http::Transport;
use passbook::model::{Cause, LinkHealth, LinkRecord, UserRecord};
use passbook::sandbox::{Fault, LinkId, NewAccount, NewTransaction, Scope, Served};
use passbook::store::{NewLink, Outcome, SourceSettings};
use passbook::sync::{Step, SyncReport};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::harness::Bench;
use crate::home::Home;

/// The listing of everybody comes round once a month, unless something brings it forward.
const MONTHLY: &str = "discover_schedule = \"30 2 1 * *\"";

/// Syncs everything that is due over answers that `doctor` has been at; it is given the path with the query, and the JSON.
async fn run_doctored(
    bench: &Bench,
    doctor: impl Fn(&str, &mut Value) + Clone + Send + Sync + 'static,
) -> Vec<SyncReport> {
    let router: Router = bench.bank.router().layer(from_fn(move |request: Request, next: Next| {
        let (doctor, path) = (doctor.clone(), request.uri().path_and_query().expect("a path").to_string());
        async move {
            let (mut parts, body) = next.run(request).await.into_parts();
            let bytes = to_bytes(body, usize::MAX).await.expect("a body");
            let Ok(mut value) = serde_json::from_slice::<Value>(&bytes) else {
                return Response::from_parts(parts, Body::from(bytes));
            };
            doctor(&path, &mut value);
            parts.headers.remove("content-length");
            Response::from_parts(parts, Body::from(value.to_string()))
        }
    }));
    let options = BuildOptions {
        store: bench.store.clone(),
        clock: bench.clock.clone(),
        transport: Transport::in_process(router),
        seed: 11,
    };
    let engine = Arc::new(daemon::build(&bench.config, options).await.expect("an engine"));
    let (events, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let daemon = Daemon::new(engine, bench.options(true)).watched_by(events);
    daemon.run(CancellationToken::new()).await.expect("the store works");
    let mut reports = Vec::new();
    while let Some(event) = seen.recv().await {
        if let Event::Stepped { step: Step::Ended(ended), .. } = event {
            reports.extend(ended);
        }
    }
    reports
}

/// The same with the one link of a home asked for by a person.
async fn sync_doctored(
    home: &Home,
    is_full: bool,
    doctor: impl Fn(&str, &mut Value) + Clone + Send + Sync + 'static,
) -> SyncReport {
    let now = home.bench.clock.now();
    let ids = home.bench.rows("SELECT link_id FROM links").into_iter().map(|row| row[0].parse().expect("an id"));
    let ids: Vec<i64> = ids.collect();
    let asking = home
        .bench
        .store
        .write(move |txn| ids.iter().try_for_each(|link_id| txn.ask_for_sync(*link_id, Cause::Person, is_full, now)));
    asking.await.expect("the store works");
    run_doctored(&home.bench, doctor).await.into_iter().next_back().expect("a sync ended")
}

/// The rows of a page of transactions, if that is what it is.
fn rows_of<'v>(path: &str, value: &'v mut Value) -> Option<&'v mut Vec<Value>> {
    path.contains("/transactions/").then(|| value["transactions"].as_array_mut()).flatten()
}

/// A page whose rows `TEA` and `HOLD` say only when they were posted, as an aggregator that cuts windows by the other instant
/// shows it.
fn without_transacted_at(path: &str, value: &mut Value) {
    let is_windowed = path.contains("transacted_at_from");
    let Some(rows) = rows_of(path, value) else { return };
    let before = rows.len();
    for row in rows.iter_mut().filter(|row| row["description"] == "TEA" || row["description"] == "HOLD") {
        row["posted_at"] = row["transacted_at"].take();
    }
    if is_windowed {
        rows.retain(|row| !row["transacted_at"].is_null());
    }
    let hidden = before - rows.len();
    value["count"] = json!(value["count"].as_u64().expect("a count") - hidden as u64);
}

#[tokio::test(start_paused = true)]
async fn an_account_that_only_its_rows_come_with_is_read_with_its_whole_history() {
    let home = Home::with("refreshes_per_day = 0\noverlap = \"2d\"\nreconcile_schedule = \"0 4 1 1 *\"");
    home.settle().await;
    home.hours(24 * 40).await;
    home.settle().await;
    let savings = home.bench.bank.add_account(home.link, NewAccount::savings("Rainy Day", 100_000));
    let now = home.bench.bank.now();
    for day in [0, 9, 30] {
        let at = now - SignedDuration::from_hours(24 * day);
        home.bench.bank.add_transaction(savings, NewTransaction::posted(-100, &format!("DAY {day}")).at(at));
    }
    let hidden = savings.to_string();
    let report = sync_doctored(&home, false, move |path, value| {
        for list in ["results", "accounts"] {
            if let Some(accounts) = value[list].as_array_mut().filter(|_| !path.contains("/transactions/")) {
                accounts.retain(|account| account["id"] != hidden.as_str());
                value["count"] = json!(accounts.len());
            }
        }
    })
    .await;
    assert_eq!(report.outcome, Outcome::Ok, "{report:?}");
    home.bench.assert_store_is_truth();
}

#[tokio::test(start_paused = true)]
async fn a_row_without_an_instant_is_no_windows_to_miss_and_a_whole_walks_to_remove() {
    let home = Home::with("refreshes_per_day = 0\nreconcile_schedule = \"0 4 1 1 *\"");
    let tea = home.add(3, NewTransaction::posted(-4_200, "TEA"));
    home.add(2, NewTransaction::pending(-900, "HOLD"));
    home.add(1, NewTransaction::posted(-100, "CAKE"));
    for _ in 0..4 {
        let report = sync_doctored(&home, false, without_transacted_at).await;
        assert_eq!(report.outcome, Outcome::Ok, "{report:?}");
        home.hours(3).await;
    }
    assert_eq!(home.kinds("TEA"), ["added"]);
    assert_eq!(home.kinds("HOLD"), ["added"]);
    let told =
        home.bench.rows("SELECT transacted_at, transacted_on = posted_on FROM transactions WHERE description = 'TEA'");
    assert_eq!(told, [["NULL", "1"]], "the day it was booked, and no instant");
    let asked = home.bench.bank.request_log();
    let last = asked.iter().rfind(|logged| logged.path.contains("/transactions/")).expect("a pull");
    assert!(last.path.contains("transacted_at_from="), "{}", last.path);
    home.bench.bank.remove_transaction(tea);
    for _ in 0..2 {
        sync_doctored(&home, true, without_transacted_at).await;
        home.hours(3).await;
    }
    assert_eq!(home.kinds("TEA"), ["added", "removed"]);
    assert!(home.only("HOLD").is_live);
}

#[tokio::test(start_paused = true)]
async fn the_same_malformed_row_twice_on_a_page_is_one_row_set_aside() {
    let home = Home::new();
    home.add(2, NewTransaction::posted(-4_200, "TEA"));
    home.add(1, NewTransaction::posted(-100, "CAKE"));
    let doctor = |path: &str, value: &mut Value| {
        let Some(rows) = rows_of(path, value) else { return };
        let mut odd = rows.iter().find(|row| row["description"] == "TEA").expect("a row").clone();
        odd["amount"] = json!("twelve");
        rows.retain(|row| row["description"] != "TEA");
        rows.extend([odd.clone(), odd]);
        value["count"] = json!(3);
    };
    let report = sync_doctored(&home, false, doctor).await;
    assert_eq!(report.outcome, Outcome::Partial);
    let error = home.bench.value("SELECT error FROM syncs ORDER BY sync_id DESC LIMIT 1");
    assert!(error.starts_with("1 malformed rows were set aside"), "{error}");
    assert_eq!(home.bench.value("SELECT count(*) FROM cursors"), "1", "the list was read to its end");
    assert_eq!(home.bench.value("SELECT count(*) FROM rejected_rows"), "1");
}

/// Takes an account out of the lists whose paths contain one of these.
fn hiding(account: &str, lists: &'static [&'static str]) -> impl Fn(&str, &mut Value) + Clone + Send + Sync + 'static {
    let account = account.to_owned();
    move |path, value| {
        if lists.iter().any(|list| path.contains(list)) {
            for of in ["results", "accounts"] {
                if let Some(shown) = value[of].as_array_mut() {
                    shown.retain(|shown| shown["id"] != json!(account));
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_shown_only_beside_transactions_is_there() {
    let home = Home::new();
    let savings = home.bench.bank.add_account(home.link, NewAccount::savings("Rainy Day", 100_000));
    let row = home.bench.bank.add_transaction(savings, NewTransaction::pending(-900, "TRANSFER OUT"));
    for round in 0..3 {
        sync_doctored(&home, false, hiding(&savings.to_string(), &["/balances/", "/auth/"])).await;
        let told = format!(
            "SELECT missing_at, current_minor IS NULL, (SELECT count(*) FROM v_transactions WHERE upstream_account_id = '{savings}')
             FROM v_accounts WHERE upstream_account_id = '{savings}'"
        );
        let rows = if round < 2 { "1" } else { "0" };
        assert_eq!(home.bench.rows(&told), [["NULL", "0", rows]], "{round}");
        if round == 1 {
            home.bench.bank.remove_transaction(row);
        }
        home.hours(9).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_without_numbers_is_not_gone() {
    let home = Home::new();
    let savings = home.bench.bank.add_account(home.link, NewAccount::savings("Rainy Day", 100_000));
    home.settle().await;
    let present = || home.bench.value("SELECT count(*) FROM accounts WHERE missing_at IS NULL");
    for _ in 0..3 {
        home.hours(25).await;
        home.bench.bank.clear_request_log();
        sync_doctored(&home, false, hiding(&savings.to_string(), &["/auth/", "/transactions/"])).await;
        assert_eq!(present(), "2");
        let lists = home.bench.bank.request_log();
        assert_eq!(lists.iter().filter(|logged| logged.path.contains("/balances/")).count(), 1);
    }
    home.bench.bank.close_account(savings);
    for left in [1, 0] {
        home.hours(25).await;
        home.bench.bank.clear_request_log();
        home.sync().await;
        assert_eq!(present(), "1");
        let lists = home.bench.bank.request_log();
        assert_eq!(lists.iter().filter(|logged| logged.path.contains("/balances/")).count(), left, "asked once more");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_refresh_is_found_though_the_list_does_not_say_when_it_was_made_or_for_which_link() {
    let oddities: [(&str, Value); 4] = [
        ("created_at", json!("2026-03-02 21:00:30")),
        ("created_at", json!("yesterday")),
        ("created_at", Value::Null),
        ("link_id", Value::Null),
    ];
    for (field, odd) in oddities {
        let home = Home::with("");
        home.bench.run_once().await;
        home.hours(9).await;
        home.bench.bank.fault(Fault::Reset, Scope::link(home.link).method("POST").once());
        let written = odd.clone();
        run_doctored(&home.bench, move |path, value| {
            if path.starts_with("/v1/tasks/") {
                for task in value["results"].as_array_mut().into_iter().flatten() {
                    task[field] = written.clone();
                }
            }
        })
        .await;
        let booked = home.bench.rows("SELECT outcome FROM refreshes");
        assert_eq!(booked, [["done"]], "{field} {odd}");
        assert_eq!(home.bench.bank.refreshes().iter().map(|made| made.at.len()).sum::<usize>(), 1, "{field} {odd}");
    }
}

/// Three customers with a bank each.
fn three_homes(bench: &Bench) -> Vec<LinkId> {
    (0..3).map(|n| home_of(bench, &format!("customer-{n}"))).collect()
}

fn home_of(bench: &Bench, customer: &str) -> LinkId {
    let user = bench.bank.add_user_at(bench.serves, customer);
    let (bank, currency) = match bench.serves {
        Served::Truv => ("wells_fargo", "USD"),
        Served::Bridge => ("574", "EUR"),
    };
    let link = bench.bank.add_link(user, bank);
    bench.bank.add_account(link, NewAccount::checking("Everyday Checking", 50_000).currency(currency));
    link
}

/// Has the listing of everybody fall due now.
async fn list_now(bench: &Bench) {
    let now = bench.clock.now();
    let source_id = bench.value("SELECT source_id FROM sources WHERE retired_at IS NULL").parse().expect("a number");
    bench.store.write(move |txn| txn.bring_discovery_forward(source_id, now)).await.expect("the store works");
}

/// What the store says of the last listing: its error, and whether the next one comes within a day.
fn listing(bench: &Bench) -> (String, bool) {
    let soon = (bench.clock.now() + SignedDuration::from_hours(24)).as_millisecond();
    let row =
        bench.rows(&format!("SELECT discover_error, discover_due_at < {soon} FROM sources WHERE retired_at IS NULL"));
    (row[0][0].clone(), row[0][1] == "1")
}

#[tokio::test(start_paused = true)]
async fn a_customer_whose_links_cannot_be_listed_delays_nobody_else() {
    for victim in 0..3 {
        let bench = Bench::pulling(Served::Truv, MONTHLY);
        let links = three_homes(&bench);
        let user = bench.bank.truth().link(links[victim]).expect("a link").user_upstream_id.clone();
        let fault = bench.bank.fault(Fault::Status(400), Scope::path(&format!("/v1/links/?user_id={user}")));
        bench.run_once().await;
        assert_eq!(bench.value("SELECT count(*) FROM v_link_health WHERE state = 'active'"), "2", "{victim}");
        let (error, is_soon) = listing(&bench);
        assert!(error.contains(&format!("the links of user {user}")) && is_soon, "{victim}: {error}");
        bench.bank.clear_fault(fault);
        bench.pass(Duration::from_hours(2)).await;
        bench.run_once().await;
        assert_eq!(listing(&bench), ("NULL".to_owned(), false));
        bench.assert_store_is_truth();
    }
}

#[tokio::test(start_paused = true)]
async fn an_aggregator_that_does_not_answer_is_not_asked_about_everybody() {
    let bench = Bench::pulling(Served::Truv, MONTHLY);
    for n in 0..9 {
        home_of(&bench, &format!("customer-{n}"));
    }
    let fault = bench.bank.fault(Fault::Status(500), Scope::path("/v1/links/?user_id="));
    bench.run_once().await;
    let log = bench.bank.request_log();
    let asked: BTreeSet<&str> = log.iter().map(|r| r.path.as_str()).filter(|path| path.contains("user_id=")).collect();
    assert_eq!(asked.len(), 5);
    assert!(listing(&bench).1, "and soon again");
    bench.bank.clear_fault(fault);
    bench.pass(Duration::from_hours(2)).await;
    bench.run_once().await;
    bench.assert_store_is_truth();
}

#[tokio::test(start_paused = true)]
async fn an_aggregator_under_maintenance_is_asked_again_when_it_wants_to_be_and_within_six_hours() {
    let transactions = [(Served::Truv, "/transactions"), (Served::Bridge, "/aggregation/transactions")];
    for ((serves, path), (lasts_h, waits_h)) in transactions.into_iter().zip([(2, 2), (24 * 365, 6)]) {
        let bench = Bench::pulling(serves, "sync_schedule = \"0 6 * * *\"\ndiscover_schedule = \"30 2 1 * *\"");
        home_of(&bench, "a-customer");
        bench.run_once().await;
        let fault = bench.bank.fault(Fault::Maintenance(SignedDuration::from_hours(lasts_h)), Scope::path(path));
        bench.sync_all(false).await;
        let wants = (bench.clock.now() + SignedDuration::from_hours(waits_h)).as_millisecond();
        let due = bench.rows("SELECT consecutive_failures, due_at, due_cause FROM links").remove(0);
        let early_ms = wants - due[1].parse::<i64>().expect("an instant");
        assert_eq!((due[0].as_str(), due[2].as_str()), ("1", "retry"), "{serves:?}");
        assert!((0..60_000).contains(&early_ms), "{serves:?}: {early_ms} ms before that");
        bench.bank.clear_fault(fault);
        bench.pass(Duration::from_hours(waits_h.unsigned_abs())).await;
        bench.run_once().await;
        assert_eq!(bench.value("SELECT consecutive_failures FROM links"), "0");
        bench.assert_store_is_truth();
    }
}

#[tokio::test(start_paused = true)]
async fn a_link_that_cannot_be_asked_after_keeps_no_other_from_being_removed() {
    let bench = Bench::pulling(Served::Truv, MONTHLY);
    bench.bank.settings(|s| s.deleted_link_is_404 = true);
    let links = three_homes(&bench);
    bench.run_once().await;
    for link in &links {
        bench.bank.delete_link(*link);
    }
    for link in &links[..2] {
        bench.bank.fault(Fault::Status(400), Scope::path(&format!("/v1/links/{link}/")));
    }
    list_now(&bench).await;
    run_doctored(&bench, unlisting_links).await;
    assert_eq!(bench.states(&links), ["active", "active", "removed"]);
    assert!(listing(&bench).0.contains("listed without 2 of what is there"), "{:?}", listing(&bench));
}

fn unlisting_links(path: &str, value: &mut Value) {
    if path.starts_with("/v1/users/?") {
        for user in value["results"].as_array_mut().into_iter().flatten() {
            user["links"] = json!([]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_cannot_be_read_hides_nobody_and_removes_nobody() {
    for serves in [Served::Truv, Served::Bridge] {
        let bench = Bench::pulling(serves, MONTHLY);
        let mut links = three_homes(&bench);
        bench.run_once().await;
        links.push(home_of(&bench, "customer-3"));
        let victim = bench.bank.truth().link(links[0]).expect("a link").user_upstream_id.clone();
        list_now(&bench).await;
        bench.bank.clear_request_log();
        run_doctored(&bench, move |path, value| {
            if path.contains("/users?") || path.contains("/users/?") {
                for list in ["results", "resources"] {
                    let users = value[list].as_array_mut().into_iter().flatten();
                    for user in users.filter(|user| user["id"] == json!(victim) || user["uuid"] == json!(victim)) {
                        *user = json!({ "external_user_id": user["external_user_id"] });
                    }
                }
            }
        })
        .await;
        assert_eq!(bench.states(&links), ["active"; 4], "{serves:?}");
        let (error, is_soon) = listing(&bench);
        assert!(error.contains("an entry of the list of users") && is_soon, "{serves:?}: {error}");
        let victims = format!("/v1/links/{}/", links[0]);
        assert!(bench.bank.request_log().iter().all(|logged| logged.path != victims), "{serves:?}: nobody is missing");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_of_users_that_shrank_ends_where_it_is_said_to_end() {
    let bench = Bench::pulling(Served::Truv, MONTHLY);
    three_homes(&bench);
    run_doctored(&bench, |path, value| {
        if path.starts_with("/v1/users/?page=1&") {
            value["next"] = json!("https://prod.truv.com/v1/users/?page=2");
        }
    })
    .await;
    assert!(bench.bank.request_log().iter().any(|logged| logged.path.starts_with("/v1/users/?page=2&")));
    assert_eq!(listing(&bench), ("NULL".to_owned(), false));
    bench.assert_store_is_truth();
}

#[tokio::test(start_paused = true)]
async fn a_bank_that_can_never_be_named_starves_no_other_and_is_not_asked_for_with_every_sync() {
    let bench = Bench::pulling(Served::Bridge, MONTHLY);
    let broken = home_of(&bench, "customer-1");
    let user = bench.bank.truth().link(broken).expect("a link").user_upstream_id.parse().expect("a user");
    bench.bank.add_link(user, "6");
    let fault = bench.bank.fault(Fault::Status(500), Scope::path("/providers/574"));
    bench.run_once().await;
    let name_of = |id: &str| bench.value(&format!("SELECT name FROM institutions WHERE upstream_id = '{id}'"));
    let asked = || bench.bank.request_log().iter().filter(|logged| logged.path.contains("/providers/574")).count();
    assert_eq!((name_of("574"), name_of("6")), ("NULL".to_owned(), "BNP Paribas".to_owned()));
    assert_eq!(listing(&bench), ("NULL".to_owned(), true), "the names are read again soon");
    bench.bank.clear_request_log();
    for _ in 0..3 {
        bench.sync_all(false).await;
    }
    assert_eq!(asked(), 0, "with every sync");
    bench.pass(Duration::from_mins(10)).await;
    bench.run_once().await;
    assert!(asked() > 0, "with the next listing");
    assert_eq!(listing(&bench), ("NULL".to_owned(), true));
    bench.bank.clear_fault(fault);
    bench.pass(Duration::from_hours(7)).await;
    bench.run_once().await;
    assert_eq!(name_of("574"), "Demo Bank");
    assert_eq!(listing(&bench), ("NULL".to_owned(), false));
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_gone_at_one_source_stays_at_another_that_names_its_own_alike() {
    let bench = Bench::pulling(Served::Truv, MONTHLY);
    bench.bank.settings(|s| s.deleted_link_is_404 = true);
    let link = home_of(&bench, "customer-1");
    let (now, upstream_id) = (bench.clock.now(), link.to_string());
    let other = SourceSettings {
        name: "other".to_owned(),
        aggregator: "truv".to_owned(),
        base_url: "http://127.0.0.1:2".to_owned(),
        request_limit: 300,
        request_window_ms: 60_000,
        refreshes_per_day: 0,
        refresh_reserve: 0,
        refreshes_per_month: None,
    };
    let alike = NewLink {
        user: UserRecord { upstream_id: "somebody".to_owned(), external_id: None },
        link: LinkRecord {
            upstream_id,
            institution: None,
            access_token: None,
            health: LinkHealth::default(),
            is_removed: false,
            refreshed_at: None,
            tried_at: None,
            consent_expires_at: None,
        },
    };
    let stored = bench.store.write(move |txn| {
        let source_id = txn.put_sources(&[other], now)?[0].source_id;
        txn.put_link(source_id, &alike, now)
    });
    stored.await.expect("the store works");
    bench.run_once().await;
    let named = bench.store.read(move |txn| txn.find_link(&link.to_string())).await.expect("the store works");
    let ours = bench.value("SELECT link_id FROM links JOIN sources USING (source_id) WHERE name = 'truv'");
    assert_eq!(
        named.map(|link_id| link_id.to_string()),
        Some(ours),
        "who names it means the source that is configured"
    );
    bench.bank.delete_link(link);
    list_now(&bench).await;
    run_doctored(&bench, unlisting_links).await;
    let removed =
        bench.rows("SELECT s.name, l.removed_at IS NOT NULL FROM links l JOIN sources s USING (source_id) ORDER BY 1");
    assert_eq!(removed, [["other", "0"], ["truv", "1"]]);
}
