//! Every page in every state of the store.

use std::time::Duration;

use axum::http::StatusCode;
use passbook::sandbox::{NewAccount, NewTransaction, Served};

use super::browser::{ADMIN, BOTH, Side};
use crate::harness::Bench;
use crate::home::Home;

/// A text that is dangerous on a page that does not mind what it shows.
const HOSTILE: &str = "<script>alert('x')</script>\"&";

/// Changes the store behind the program's back.
#[expect(clippy::disallowed_methods, reason = "brings about states that only time and chance do")]
fn doctor(bench: &Bench, sql: &str) {
    let connection = rusqlite::Connection::open(bench.path()).expect("a writer");
    connection.execute_batch(sql).expect(sql);
}

/// Six customers with an account each, and some rows.
async fn street(serves: Served, sides: &str) -> Bench {
    let bench = Bench::pulling(serves, sides);
    for nth in 0..6 {
        let user = bench.bank.add_user(&format!("customer-{nth}"));
        let link = bench.bank.add_link(user, if serves == Served::Truv { "wells_fargo" } else { "574" });
        let account = bench.bank.add_account(link, NewAccount::checking("Everyday", 500_000 + nth));
        bench.bank.add_transaction(account, NewTransaction::posted(-1_234, "SECRET COFFEE"));
    }
    bench.run_once().await;
    bench
}

#[tokio::test(start_paused = true)]
async fn an_empty_store_has_all_pages() {
    let bench = Bench::with(ADMIN);
    let side = Side::open(&bench).await;
    let browser = side.logged_in().await;
    let overview = browser.page("/").await;
    assert!(overview.contains("No links yet") && overview.contains("id=\"truv\""), "{overview}");
    assert!(overview.contains("None configured: without"), "{overview}");
    assert!(browser.page("/attention").await.contains("No link needs a person."));
    assert!(browser.page("/links").await.contains("No link is like that."));
    for link in ["1", "0", "-1", "x", "9223372036854775808"] {
        let reply = browser.get(&format!("/links/{link}")).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{link}");
        assert!(reply.text.contains("No such link"), "{}", reply.text);
    }
    assert_eq!(browser.get("/nothing").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn when_all_is_well_it_says_so() {
    for serves in [Served::Truv, Served::Bridge] {
        let bench = street(serves, BOTH).await;
        let side = Side::open(&bench).await;
        let browser = side.logged_in().await;
        let overview = browser.page("/").await;
        assert!(overview.contains("<title>All well · Passbook</title>"), "{serves:?}: {overview}");
        assert!(overview.contains("<b>6</b> of 6 read within the schedule"), "{overview}");
        assert!(overview.contains("6 new, 0 changed, 0 removed"), "{overview}");
        let link = browser.page("/links/1").await;
        for words in ["Why it is as it is", "Latest syncs", "4,987.6", "Two balances of an account", "backfill"] {
            assert!(link.contains(words), "{serves:?} {words}: {link}");
        }
        for private in ["SECRET COFFEE", "Everyday", "12.34"] {
            assert!(!link.contains(private), "{private}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn links_in_every_state_are_shown_as_they_are() {
    let bench = street(Served::Truv, BOTH).await;
    let now = bench.clock.now().as_millisecond();
    doctor(
        &bench,
        &format!(
            "UPDATE links SET attention = 'login', attention_at = {now} - 7200000, condition = 'needs_person',
                 upstream_status = 'login_error', status_detail = 'log in again' WHERE link_id = 1;
             UPDATE links SET consecutive_failures = 3, last_error = 'the bank is away' WHERE link_id = 2;
             UPDATE links SET last_success_at = NULL WHERE link_id = 3;
             UPDATE links SET paused_at = {now} WHERE link_id = 4;
             UPDATE links SET removed_at = {now}, removed_by = 'operator' WHERE link_id = 5;
             UPDATE links SET consent_expires_at = {now} + 86400000 * 3 WHERE link_id = 6;"
        ),
    );
    let side = Side::open(&bench).await;
    let browser = side.logged_in().await;
    let overview = browser.page("/").await;
    for words in [
        "1 link needs a person",
        "1 consent ends within 14 days",
        "1 link failing, tried again by itself",
        "1 link waits for its first sync",
        "the bank refused the login: ask the customer to reconnect this bank",
        "The aggregator says login_error: &quot;log in again&quot;",
        "consent ends in 3 days",
        "2 h ago",
        "action=\"/links/1/invite\"",
    ] {
        assert!(overview.contains(words), "{words}: {overview}");
    }
    let states = ["attention", "failing", "new", "paused", "removed", "active"];
    for (link, state) in (1..).zip(states) {
        let listed = browser.page(&format!("/links?state={state}")).await;
        assert!(listed.contains("1 link<") && listed.contains(&format!("\"/links/{link}\"")), "{state}: {listed}");
        let page = browser.page(&format!("/links/{link}")).await;
        assert!(page.contains(&format!("class=\"state {state}\"")), "{state}: {page}");
    }
    assert!(browser.page("/links").await.contains("5 links, removed ones left out"));
    assert!(browser.page("/attention").await.contains("Links whose consent ends soon"));
    assert!(browser.page("/links/5").await.contains("Take it back"));
    assert!(browser.page("/links/2").await.contains("its last 3 syncs failed: the bank is away"));
}

#[tokio::test(start_paused = true)]
async fn a_source_in_trouble_stands_in_the_first_line() {
    let bench = street(Served::Truv, ADMIN).await;
    let side = Side::open(&bench).await;
    let browser = side.logged_in().await;
    let now = bench.clock.now().as_millisecond();
    let title = |page: String| page.split("</title>").next().and_then(|t| t.split("<title>").nth(1)).map(str::to_owned);
    let hold = |reason: &str| format!("UPDATE sources SET hold_until = {now} + 180000, hold_reason = '{reason}'");
    doctor(&bench, &hold("request limit"));
    assert_eq!(title(browser.page("/").await).as_deref(), Some("truv rests for 3 min: request limit · Passbook"));
    doctor(&bench, &hold("credentials refused"));
    let overview = browser.page("/").await;
    assert!(
        overview.contains("headline critical") && overview.contains("credentials refused, tried again"),
        "{overview}"
    );
    assert!(browser.page("/attention").await.contains("truv: the credentials are refused"));
    doctor(&bench, "UPDATE sources SET hold_until = NULL, webhook_endpoint = 'disabled'");
    assert!(browser.page("/").await.contains("the aggregator stopped sending webhooks"));
    bench.pass(Duration::from_hours(20)).await;
    let side = Side::open(&bench).await;
    let stale = side.logged_in().await.page("/").await;
    assert_eq!(title(stale).as_deref(), Some("truv is stale: nothing was read for 20 h · Passbook"));
}

#[tokio::test(start_paused = true)]
async fn what_others_wrote_is_text_and_nothing_else() {
    let bench = street(Served::Truv, BOTH).await;
    let sql = HOSTILE.replace('\'', "''");
    doctor(
        &bench,
        &format!(
            "UPDATE institutions SET name = '{sql}';
             UPDATE users SET external_id = '{sql}' || user_id;
             UPDATE accounts SET kind = '{sql}', mask = '{sql}', currency = NULL;
             UPDATE links SET upstream_status = '{sql}', status_detail = '{sql}', last_error = '{sql}', attention = 'login',
                 attention_at = 1, attention_detail = '{sql}', consecutive_failures = 1;
             UPDATE links SET upstream_id = '{sql}' WHERE link_id = 1;
             UPDATE links SET attention = NULL WHERE link_id = 2;
             UPDATE syncs SET error = '{sql}', refreshed = '{sql}';
             UPDATE sources SET discover_error = '{sql}', hold_reason = '{sql}', hold_until = 9999999999999;
             INSERT INTO webhook_events (source_id, digest, event_type, received_at, body, link_id)
             VALUES (1, x'00', '{sql}', 1772452800000, x'00', 1);"
        ),
    );
    let side = Side::open(&bench).await;
    let browser = side.logged_in().await;
    let search = "/links?q=%3Cscript%3Ealert&state=%3Cem%3E&source=%22%3E%3Cem%3E&order=%3Cem%3E&page=%3Cem%3E";
    for path in ["/", "/attention", "/links", "/links/1", "/links/2", search, "/login?next=%22%3E%3Cscript%3E"] {
        let reply = browser.get(path).await;
        assert!(!reply.text.contains("<script>alert"), "{path}: {}", reply.text);
        assert!(!reply.text.contains("<em"), "{path}: {}", reply.text);
        if !path.contains('?') {
            assert!(reply.text.contains("&lt;script&gt;alert"), "{path}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn links_are_found_and_turned_over_page_by_page() {
    let bench = street(Served::Truv, ADMIN).await;
    doctor(
        &bench,
        "WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 219)
         INSERT INTO links (link_id, source_id, user_id, upstream_id, due_at, first_seen_at, last_success_at)
         SELECT i, 1, 1, 'up_' || i || '%', 9999999999999, 1, i * 1000 FROM n;",
    );
    let side = Side::open(&bench).await;
    let browser = side.logged_in().await;
    let rows = |page: &str| page.matches("<th scope=\"row\">").count();
    let first = browser.page("/links").await;
    assert!(rows(&first) == 50 && first.contains("126 links") && first.contains("Page 1 of 3"), "{first}");
    assert!(first.find("/links/100\"") < first.find("/links/101\""), "the stalest first");
    let last = browser.page("/links?page=3").await;
    assert!(rows(&last) == 26 && last.contains("/links?page=2"), "{last}");
    assert!(browser.page("/links?page=99").await.contains("No link is like that."));
    let found = browser.page("/links?q=UP_150%25").await;
    assert!(rows(&found) == 1 && found.contains("/links/150\""), "{found}");
    assert!(browser.page("/links?q=_").await.contains("120 links"), "an underscore is an underscore");
    assert!(browser.page("/links?source=other").await.contains("No link is like that."));
    let freshest = browser.page("/links?order=freshest&q=up_").await;
    assert!(freshest.find("/links/219\"") < freshest.find("/links/218\""), "{freshest}");
}

#[tokio::test(start_paused = true)]
async fn balances_that_do_not_add_up_are_said_as_the_view_says_them() {
    let home = Home::of(Bench::pulling(Served::Truv, ADMIN));
    let bench = &home.bench;
    home.add(3, NewTransaction::posted(-1_000, "COFFEE"));
    bench.run_once().await;
    for (nth, explained) in [(0_i64, true), (1, false), (2, true)] {
        bench.pass(Duration::from_hours(24)).await;
        home.add(0, NewTransaction::posted(-700 - nth, "LUNCH"));
        if !explained {
            bench.bank.set_balance(home.account, 123_456);
        }
        bench.sync_all(false).await;
    }
    let view = "SELECT from_at, to_at, balance_difference_minor, transactions_difference_minor FROM v_reconciliation
                WHERE unexplained_difference_minor <> 0 ORDER BY to_at DESC";
    let account: i64 = bench.value("SELECT account_id FROM accounts").parse().expect("a number");
    let (pairs, looked_at) =
        bench.store.read(move |txn| txn.unexplained_pairs(account, 100)).await.expect("the store works");
    let ours: Vec<Vec<String>> = pairs
        .iter()
        .map(|p| {
            let (from, to) = (p.from_at.as_millisecond(), p.to_at.as_millisecond());
            [from, to, p.balance_difference_minor, p.transactions_difference_minor].map(|n| n.to_string()).to_vec()
        })
        .collect();
    assert_eq!(ours, bench.rows(view));
    assert!(!ours.is_empty());
    assert_eq!(looked_at.to_string(), bench.value("SELECT count(*) FROM v_reconciliation"));
    let side = Side::open(bench).await;
    let page = side.logged_in().await.page("/links/1").await;
    assert!(page.contains("Not explained") && page.contains("svg class=\"steps\""), "{page}");
}
