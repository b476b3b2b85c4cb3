//! Ten thousand links that need a person at once.

use std::sync::Arc;

use passbook::sandbox::{Plan, Served as Serves};
use passbook::server::Served;
use passbook::sync::Waker;

use super::disk::ask;
use crate::alerts::{Receiver, watch};
use crate::harness::Bench;

const ADMIN: &str = "[server]\nadmin_listen = \"127.0.0.1:0\"\nadmin_token = { credential = \"store-key\" }\n";
const LINKS: i64 = 10_000;

/// Multiplies the one link of a store, as a bank's change does that breaks every login on one day.
#[expect(clippy::disallowed_methods, reason = "brings about what would take the bank an hour")]
fn multiply(bench: &Bench) {
    let connection = rusqlite::Connection::open(bench.path()).expect("a writer");
    let names: Vec<String> = {
        let mut select = connection.prepare("SELECT name FROM pragma_table_info('links')").expect("a query");
        let names = select.query_map([], |row| row.get(0)).expect("rows");
        names.map(|name| name.expect("a name")).collect()
    };
    let values = names.iter().map(|name| match name.as_str() {
        "link_id" => "n".to_owned(),
        "upstream_id" => "'crowd-' || n".to_owned(),
        name => name.to_owned(),
    });
    let sql = format!(
        "WITH RECURSIVE numbers (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM numbers WHERE n < {LINKS})
         INSERT INTO links ({}) SELECT {} FROM links, numbers WHERE link_id = 1;
         UPDATE links SET attention = 'login', attention_at = {}, condition = 'needs_person',
             upstream_status = 'login_error'",
        names.join(", "),
        values.collect::<Vec<_>>().join(", "),
        bench.clock.now_ms(),
    );
    connection.execute_batch(&sql).expect("multiplies");
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_links_that_need_a_person_are_one_message_and_pages_that_answer() {
    let bench = Bench::pulling(Serves::Truv, ADMIN);
    bench.bank.seed_world(&Plan { links: 1, transactions_per_link: 3, ..Plan::default() });
    bench.run_once().await;
    multiply(&bench);
    assert_eq!(bench.value("SELECT count(*) FROM v_link_health WHERE state = 'attention'"), LINKS.to_string());
    let receiver = Receiver::new();
    watch(&bench, &receiver, 14).await;
    let heard = receiver.heard();
    assert_eq!(heard.len(), 1, "{heard:#?}");
    let message = heard[0].to_string();
    assert!(message.len() < 20_000 && message.contains("10000"), "{} bytes: {message}", message.len());

    let served = Served::new(bench.engine().await, Waker::default(), Arc::new(bench.config.clone()));
    let (_, metrics) = ask(&served, "/metrics").await;
    let counted = |line: &&str| line.starts_with("passbook_links{") && line.contains("attention");
    assert!(metrics.lines().find(counted).is_some_and(|line| line.ends_with(" 10000")), "{metrics}");
    assert!(metrics.len() < 100_000);
    assert!(ask(&served, "/health/ready").await.0.is_success());
    let (_, status) = ask(&served, "/control/status").await;
    assert!(status.contains("crowd-9999"));

    // Repaired as it broke, at once: one message again.
    mend(&bench);
    watch(&bench, &receiver, 4).await;
    assert_eq!(receiver.heard().len(), 1);
}

#[expect(clippy::disallowed_methods, reason = "brings about what would take the bank an hour")]
fn mend(bench: &Bench) {
    let connection = rusqlite::Connection::open(bench.path()).expect("a writer");
    connection
        .execute_batch(
            "UPDATE links SET attention = NULL, attention_at = NULL, condition = 'well', upstream_status = NULL",
        )
        .expect("mends");
}
