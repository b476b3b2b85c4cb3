//! What every state of a Bridge item leads to: in the store, in the outcome of its syncs, for a person (upstream/bridge.md
//! section 8.2).

use std::time::Duration;

use passbook::sandbox::{LinkId, NewAccount, NewTransaction, Served};

use crate::harness::Bench;

const HOUR: Duration = Duration::from_hours(1);

/// A bank whose items are refreshed by the test alone.
pub(crate) fn quiet(lines: &str) -> Bench {
    let bench = Bench::at(Served::Bridge, lines);
    bench.bank.settings(|settings| settings.bridge.refresh_every = None);
    bench
}

/// One item of a new customer with a checking account and three rows.
pub(crate) fn one_link(bench: &Bench) -> LinkId {
    let user = bench.bank.add_user("customer");
    let link = bench.bank.add_link(user, "574");
    let account = bench.bank.add_account(link, NewAccount::checking("Compte courant", 100_000).currency("EUR"));
    for amount in [-1_000, -2_500, 30_000] {
        bench.bank.add_transaction(account, NewTransaction::posted(amount, "CARTE BOULANGERIE"));
    }
    link
}

/// What the store says of a link: state, attention, condition, the aggregator's sentence.
pub(crate) fn health(bench: &Bench, link: LinkId) -> [String; 4] {
    let sql = format!(
        "SELECT state, attention, condition, status_detail FROM v_link_health WHERE upstream_link_id = '{link}'"
    );
    let row = bench.rows(&sql).remove(0);
    row.try_into().expect("four columns")
}

/// Outcome and error of a link's last sync.
pub(crate) fn last_sync(bench: &Bench, link: LinkId) -> (String, String) {
    let sql = format!(
        "SELECT s.outcome, s.error FROM syncs s JOIN links l ON l.link_id = s.link_id WHERE l.upstream_id = '{link}'
         ORDER BY s.sync_id DESC LIMIT 1"
    );
    let mut row = bench.rows(&sql).remove(0);
    (row.remove(0), row.remove(0))
}

/// What the next refreshes of an item end in, the first of them now.
fn ends_in(bench: &Bench, link: LinkId, status: &str) {
    bench.bank.script_item(link, status);
    bench.bank.refresh_item(link);
}

struct Case {
    status: &'static str,
    health: [&'static str; 3],
    outcome: &'static str,
    advice: &'static str,
    french: &'static str,
}

const fn case(
    status: &'static str,
    health: [&'static str; 3],
    outcome: &'static str,
    advice: &'static str,
    french: &'static str,
) -> Case {
    Case { status, health, outcome, advice, french }
}

const CASES: [Case; 15] = [
    case("402", ["attention", "login", "needs_person"], "attention", "reconnect", "identifiants"),
    case("402_WRONG_PWD", ["attention", "login", "needs_person"], "attention", "reconnect", "identifiants"),
    case(
        "402_ACCOUNT_BLOCKED",
        ["attention", "account_locked", "needs_person"],
        "attention",
        "unlocks",
        "identifiants",
    ),
    case(
        "402_ACCOUNT_TEMPORARILY_BLOCKED",
        ["attention", "account_locked", "needs_person"],
        "attention",
        "unlocks",
        "identifiants",
    ),
    case("429_KYC_TO_FILL", ["attention", "bank_action", "needs_person"], "attention", "its own site", "attend"),
    case("430", ["attention", "bank_action", "needs_person"], "attention", "its own site", "attend"),
    case("1003", ["failing", "NULL", "passing"], "partial", "nothing to do", "indisponible"),
    case(
        "1005_CLOSED_ACCOUNT",
        ["attention", "unsupported", "needs_person"],
        "attention",
        "ask the aggregator",
        "pris en charge",
    ),
    case("1007", ["failing", "NULL", "passing"], "partial", "nothing to do", "indisponible"),
    case("1009", ["active", "NULL", "incomplete"], "partial", "rows are missing", "Certaines"),
    case(
        "1010_SCA_REQUIRED_WEBVIEW",
        ["attention", "second_factor", "needs_person"],
        "attention",
        "second factor",
        "forte",
    ),
    case("1099", ["attention", "migration", "needs_person"], "attention", "connect it anew", "migre"),
    case("1100", ["attention", "identity", "needs_person"], "attention", "reconnect", "identité"),
    case("7777", ["failing", "NULL", "passing"], "partial", "7777", "inconnu"),
    case("-9", ["failing", "NULL", "passing"], "partial", "-9", "inconnu"),
];

#[tokio::test(start_paused = true)]
async fn every_state_says_what_is_to_be_done_and_heals_within_a_schedule() {
    for case in &CASES {
        let bench = quiet("");
        let link = one_link(&bench);
        bench.run_once().await;
        let rows = bench.value("SELECT count(*) FROM v_transactions");
        bench.pass(HOUR).await;
        ends_in(&bench, link, case.status);
        bench.pass(7 * HOUR).await;
        bench.run_once().await;
        let status = case.status;
        let [state, attention, condition, detail] = health(&bench, link);
        assert_eq!([state, attention, condition], case.health, "{status}");
        assert!(detail.contains(case.french), "{status}: {detail}");
        let (outcome, error) = last_sync(&bench, link);
        assert_eq!(outcome, case.outcome, "{status}: {error}");
        assert!(error.contains(case.advice), "{status}: {error}");
        assert!(error.contains(&detail), "{status}: the aggregator's own words are missing in {error}");
        assert_eq!(bench.value("SELECT count(*) FROM v_transactions"), rows, "{status}");
        assert_eq!(bench.value("SELECT consecutive_failures FROM v_link_health"), "0", "{status}");
        ends_in(&bench, link, "success");
        bench.pass(7 * HOUR).await;
        bench.run_once().await;
        let [state, attention, condition, detail] = health(&bench, link);
        assert_eq!([state.as_str(), &attention, &condition], ["active", "NULL", "well"], "{status}");
        assert!(detail.contains("fonctionne"), "{status}: {detail}");
        assert_eq!(last_sync(&bench, link), ("ok".to_owned(), "NULL".to_owned()), "{status}");
        assert_eq!(bench.value("SELECT last_error FROM v_link_health"), "NULL", "{status}");
        bench.assert_store_is_truth();
    }
}

#[tokio::test(start_paused = true)]
async fn the_aggregators_sentence_comes_in_the_configured_language() {
    for (language, sentence) in [("en", "Your credentials are wrong"), ("fr", "Vos identifiants")] {
        let bench = quiet(&format!("accept_language = \"{language}\""));
        let link = one_link(&bench);
        bench.run_once().await;
        ends_in(&bench, link, "402");
        bench.pass(2 * HOUR).await;
        bench.run_once().await;
        let [_, _, _, detail] = health(&bench, link);
        assert!(detail.contains(sentence), "{language}: {detail}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_technical_failure_is_the_supports_after_a_day_and_not_before() {
    let bench = quiet("");
    let link = one_link(&bench);
    bench.run_once().await;
    ends_in(&bench, link, "1003.1003.1003.1003.1003");
    let mut support_since = None;
    for hour in 1..60 {
        bench.pass(HOUR).await;
        if hour % 12 == 0 {
            bench.bank.refresh_item(link);
        }
        bench.run_once().await;
        let [state, attention, ..] = health(&bench, link);
        if attention == "support" {
            support_since.get_or_insert(hour);
            assert_eq!(state, "attention");
        } else {
            assert_eq!((state.as_str(), attention.as_str()), ("failing", "NULL"), "after {hour} hours");
            assert!(support_since.is_none(), "it flaps after {hour} hours");
        }
    }
    assert!(support_since.is_some_and(|hour| (24..=26).contains(&hour)), "{support_since:?}");
    let (outcome, error) = last_sync(&bench, link);
    assert_eq!(outcome, "attention");
    assert!(error.contains("support") && error.contains(&link.to_string()), "{error}");
    ends_in(&bench, link, "success");
    bench.pass(2 * HOUR).await;
    bench.run_once().await;
    assert_eq!(health(&bench, link)[..3], ["active", "NULL", "well"]);
    bench.assert_store_is_truth();
}

#[tokio::test(start_paused = true)]
async fn a_failure_after_a_connector_was_switched_off_has_a_day_of_its_own() {
    let bench = quiet("");
    let link = one_link(&bench);
    bench.run_once().await;
    ends_in(&bench, link, "1007");
    for _ in 0..3 {
        bench.pass(24 * HOUR).await;
        bench.run_once().await;
    }
    // Another word for the same failure is still the same one.
    for (word, hours) in [("1003", 12), ("1003_BANK_IS_DOWN", 10)] {
        ends_in(&bench, link, word);
        for _ in 0..hours / 2 {
            bench.pass(2 * HOUR).await;
            bench.run_once().await;
            assert_eq!(health(&bench, link)[..3], ["failing", "NULL", "passing"], "{word}");
        }
    }
    bench.pass(4 * HOUR).await;
    bench.run_once().await;
    assert_eq!(health(&bench, link)[1], "support");
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_is_switched_off_never_asks_for_a_person() {
    for status in ["1007", "1009"] {
        let bench = quiet("");
        let link = one_link(&bench);
        bench.run_once().await;
        for _ in 0..8 {
            ends_in(&bench, link, status);
            bench.pass(12 * HOUR).await;
            bench.run_once().await;
            assert_eq!(health(&bench, link)[1], "NULL", "{status}");
        }
        assert_eq!(bench.value("SELECT count(*) FROM syncs WHERE outcome = 'attention'"), "0");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connector_switched_off_by_the_aggregator_comes_back_by_itself() {
    let bench = quiet("");
    let link = one_link(&bench);
    bench.run_once().await;
    bench.bank.set_provider_disabled(574, true);
    bench.bank.refresh_item(link);
    bench.pass(2 * HOUR).await;
    bench.run_once().await;
    assert_eq!(health(&bench, link)[..3], ["failing", "NULL", "passing"]);
    bench.bank.set_provider_disabled(574, false);
    bench.bank.refresh_item(link);
    bench.pass(2 * HOUR).await;
    bench.run_once().await;
    assert_eq!(health(&bench, link)[..3], ["active", "NULL", "well"]);
}

#[tokio::test(start_paused = true)]
async fn an_identity_check_is_found_within_the_hour_although_nothing_tells() {
    let bench = quiet("sync_schedule = \"0 3 * * *\"");
    let link = one_link(&bench);
    bench.run_once().await;
    // No refresh, no webhook: only the item's state changes.
    bench.bank.set_item_status(link, 1100);
    bench.pass(HOUR + HOUR / 2).await;
    bench.run_once().await;
    assert_eq!(health(&bench, link)[..3], ["attention", "identity", "needs_person"]);
    let syncs = bench.value("SELECT count(*) FROM syncs");
    assert_eq!(syncs, bench.value("SELECT count(*) FROM syncs WHERE cause = 'backfill'"), "found between syncs");
    bench.bank.set_item_status(link, 0);
    bench.pass(HOUR + HOUR / 2).await;
    bench.run_once().await;
    assert_eq!(health(&bench, link)[..3], ["active", "NULL", "well"]);
    assert_eq!(last_sync(&bench, link).0, "ok", "a repaired link is synced at once");
}

#[tokio::test(start_paused = true)]
async fn a_look_that_finds_a_fresh_refresh_makes_the_link_due_at_once() {
    let bench = quiet("sync_schedule = \"0 3 * * *\"");
    let link = one_link(&bench);
    bench.run_once().await;
    bench.pass(HOUR).await;
    bench.run_once().await;
    let account = bench.bank.truth().link(link).expect("a link").accounts[0].id;
    bench.bank.add_transaction(account, NewTransaction::posted(-777, "NOUVEAU"));
    bench.bank.refresh_item(link);
    bench.pass(HOUR + HOUR / 2).await;
    bench.run_once().await;
    assert_eq!(bench.value("SELECT count(*) FROM v_transactions WHERE description = 'NOUVEAU'"), "1");
    bench.assert_store_is_truth();
}

#[tokio::test(start_paused = true)]
async fn an_item_whose_connection_still_runs_is_waited_for_and_not_read() {
    let bench = quiet("");
    let link = one_link(&bench);
    bench.bank.set_item_status(link, -2);
    bench.run_once().await;
    assert_eq!(bench.value("SELECT count(*) FROM transactions"), "0");
    assert_eq!(bench.value("SELECT count(*) FROM syncs"), "0");
    assert_eq!(health(&bench, link)[..3], ["new", "NULL", "connecting"]);
    let read = bench.bank.request_log().iter().filter(|logged| logged.path.contains("/transactions")).count();
    assert_eq!(read, 0);
    bench.bank.set_item_status(link, 0);
    bench.pass(Duration::from_mins(5)).await;
    bench.run_once().await;
    assert_eq!(health(&bench, link)[..3], ["active", "NULL", "well"]);
    bench.assert_store_is_truth();
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_never_ends_is_not_waited_for_forever() {
    for status in [-2, -3] {
        let bench = quiet("");
        let link = one_link(&bench);
        bench.bank.set_item_status(link, status);
        bench.run_for(2 * HOUR).await;
        let (outcome, error) = last_sync(&bench, link);
        assert_eq!(outcome, "partial", "{error}");
        assert!(error.contains("nothing to do"), "{error}");
        assert_eq!(health(&bench, link)[..3], ["failing", "NULL", "passing"]);
        bench.assert_store_is_truth();
        let before = bench.bank.request_log().len();
        bench.run_for(24 * HOUR).await;
        let asked = bench.bank.request_log().len() - before;
        assert!(asked <= 24 * 2 + 4 * 4 + 24, "it is polled on and on: {asked} requests in a day");
    }
}

#[tokio::test(start_paused = true)]
async fn rows_of_an_item_that_still_connects_are_not_taken_for_malformed_ones() {
    let bench = quiet("");
    let user = bench.bank.add_user("customer");
    let mut links = Vec::new();
    for institution in ["574", "6"] {
        let link = bench.bank.add_link(user, institution);
        let account = bench.bank.add_account(link, NewAccount::checking("Compte", 100_000).currency("EUR"));
        bench.bank.add_transaction(account, NewTransaction::posted(-1_000, "CARTE"));
        links.push(link);
    }
    bench.bank.set_item_status(links[1], -2);
    bench.run_once().await;
    assert_eq!(last_sync(&bench, links[0]), ("ok".to_owned(), "NULL".to_owned()));
    assert_eq!(bench.value("SELECT count(*) FROM rejected_rows"), "0");
    bench.bank.set_item_status(links[1], 0);
    bench.pass(Duration::from_mins(20)).await;
    bench.run_once().await;
    bench.assert_store_is_truth();
    assert_eq!(bench.value("SELECT count(*) FROM rejected_rows"), "0");
}

#[tokio::test(start_paused = true)]
async fn one_broken_item_does_not_keep_the_customers_others_from_their_data() {
    for status in ["402", "1003", "1100", "-3", "7777"] {
        let bench = quiet("");
        let user = bench.bank.add_user("customer");
        let mut links = Vec::new();
        for institution in ["574", "6"] {
            let link = bench.bank.add_link(user, institution);
            let account = bench.bank.add_account(link, NewAccount::checking("Compte", 100_000).currency("EUR"));
            bench.bank.add_transaction(account, NewTransaction::posted(-1_000, "CARTE"));
            links.push((link, account));
        }
        bench.run_once().await;
        bench.pass(HOUR).await;
        ends_in(&bench, links[0].0, status);
        bench.bank.add_transaction(links[1].1, NewTransaction::posted(-2_000, "CARTE DEUX"));
        bench.bank.refresh_item(links[1].0);
        bench.pass(7 * HOUR).await;
        bench.run_once().await;
        assert_eq!(last_sync(&bench, links[1].0), ("ok".to_owned(), "NULL".to_owned()), "{status}");
        assert_eq!(health(&bench, links[1].0)[..3], ["active", "NULL", "well"], "{status}");
        bench.assert_store_is_truth();
        bench.bank.add_transaction(links[0].1, NewTransaction::posted(-3_000, "CARTE TROIS"));
        ends_in(&bench, links[0].0, "success");
        bench.pass(7 * HOUR).await;
        bench.run_once().await;
        bench.assert_store_is_truth();
    }
}

#[tokio::test(start_paused = true)]
async fn a_consent_is_warned_about_three_times_and_a_new_one_begins_anew() {
    let bench = quiet("");
    let link = one_link(&bench);
    let until = bench.clock.now() + jiff::SignedDuration::from_hours(20 * 24);
    bench.bank.set_consent_expiry(link, until);
    let warned = || bench.value("SELECT consent_warned_days FROM links");
    let mut stages: Vec<(i64, String)> = Vec::new();
    for hour in 0..20 * 24 - 2 {
        bench.run_once().await;
        if stages.last().is_none_or(|(_, stage)| *stage != warned()) {
            stages.push((20 * 24 - hour, warned()));
        }
        bench.pass(HOUR).await;
    }
    let names: Vec<&str> = stages.iter().map(|(_, stage)| stage.as_str()).collect();
    assert_eq!(names, ["NULL", "14", "7", "1"], "{stages:?}");
    for (hours_left, stage) in &stages[1..] {
        let days: i64 = stage.parse().expect("a number");
        assert!((days * 24 - 2..=days * 24 + 1).contains(hours_left), "{stages:?}");
    }
    bench.pass(3 * HOUR).await;
    bench.bank.refresh_item(link);
    bench.pass(HOUR).await;
    bench.run_once().await;
    assert_eq!(health(&bench, link)[1], "second_factor", "it has ended");
    let renewed = bench.clock.now() + jiff::SignedDuration::from_hours(180 * 24);
    bench.bank.set_consent_expiry(link, renewed);
    bench.bank.refresh_item(link);
    bench.pass(2 * HOUR).await;
    bench.run_once().await;
    assert_eq!(warned(), "NULL");
    assert_eq!(health(&bench, link)[..3], ["active", "NULL", "well"]);
    assert_eq!(
        bench.value("SELECT consent_expires_at FROM v_link_health"),
        renewed.as_millisecond().to_string(),
        "as Bridge says"
    );
}

#[tokio::test(start_paused = true)]
async fn the_view_counts_the_whole_days_of_a_consent() {
    let bench = quiet("");
    let link = one_link(&bench);
    // The view reads the machine's own clock.
    let now: i64 = bench.value("SELECT unixepoch()").parse().expect("a number");
    for (hours, days) in [(60, "2"), (30, "1"), (5, "0"), (-5, "-1"), (-30, "-2")] {
        let until = jiff::Timestamp::from_second(now + hours * 3_600).expect("an instant");
        bench.bank.set_consent_expiry(link, until);
        bench.pass(HOUR).await;
        bench.run_once().await;
        assert_eq!(bench.value("SELECT consent_days_left FROM v_link_health"), days, "{hours} hours");
    }
}
