//! A customer who is forgotten is gone, there and here and in the file, whatever happens on the way, and nobody else is touched.

use std::path::Path;
use std::time::Duration;

use passbook::model::Cause;
use passbook::sandbox::{Fault, NewTransaction, Pace, Plan, Scope, Served};
use passbook::server::control::{Order, carry_out};
use passbook::server::erasure::ErasureJson;
use passbook::store::{Erasure, UpstreamOutcome};

use crate::harness::{Bench, assert_same};
use crate::webhooks::post::{Post, link_changed, signed, take};

at_every_aggregator!(
    a_forgotten_customer_is_gone_there_and_here_and_nobody_else_is_touched,
    an_erasure_killed_at_any_instant_is_finished_by_the_next_run,
    a_deletion_without_an_answer_is_asked_for_again,
    a_refused_deletion_is_asked_for_again_and_nobody_comes_back_meanwhile,
    a_customer_gone_at_the_aggregator_is_forgotten_here,
    late_news_of_the_forgotten_is_not_kept,
    an_order_given_again_finds_the_first,
    rows_here_go_and_the_aggregator_is_left_alone_where_that_is_asked,
    a_sync_under_way_ends_before_the_rows_go,
    everybody_who_had_the_id_is_forgotten,
    what_comes_after_the_forgotten_has_ids_of_its_own,
    whoever_comes_back_with_an_older_copy_is_forgotten_by_the_certificate,
    whoever_the_aggregator_keeps_is_left_there_and_not_stored_whatever_the_copy_knows,
);

const CANARY: &str = "CANARYSHOP";
const WHO: &str = "canary-customer";

/// A bank with several customers, one of whom is to be forgotten; every page of the file holds rows of several.
async fn town(serves: Served) -> Bench {
    town_of(serves, 40).await
}

/// The same with so many rows for each link.
async fn town_of(serves: Served, rows: i64) -> Bench {
    let lines = format!("page_size = 10\ndiscover_schedule = \"0 * * * *\"\n{}", signed(serves));
    let bench = Bench::with_public_side(serves, &lines);
    bench.bank.settings(|s| s.pace = Pace::instant());
    let transactions_per_link = usize::try_from(rows).expect("few");
    bench.bank.seed_world(&Plan { links: 4, links_per_user: 2, transactions_per_link, days: 40, ..Plan::default() });
    let user = bench.bank.add_user_at(serves, WHO);
    for institution in ["574", "575"] {
        let link = bench.bank.add_link(user, institution);
        let account = bench.bank.add_account(link, passbook::sandbox::NewAccount::checking("Canary Everyday", 90_000));
        for n in 0..rows {
            let at = bench.bank.now() - jiff::SignedDuration::from_hours(20 * n);
            let new = NewTransaction::posted(-100 - n, &format!("{CANARY} {n:04} {}", "X".repeat(80)));
            bench.bank.add_transaction(account, new.at(at));
        }
        bench.bank.publish(link);
    }
    bench.run_once().await;
    bench.assert_store_is_truth();
    // History, so that rows move within the file.
    for link in links(&bench) {
        let truth = bench.bank.truth();
        let rows = &truth.links.iter().find(|l| l.upstream_id == link).expect("a link").transactions;
        bench.bank.edit_transaction(rows[3].id, Some(-77_000), Some(&format!("{CANARY} edited")));
        bench.bank.remove_transaction(rows[5].id);
    }
    bench.aggregator_reads_banks();
    bench.pass(Duration::from_hours(9)).await;
    bench.run_once().await;
    bench
}

/// The upstream id of whoever is to be forgotten.
fn customer(bench: &Bench) -> String {
    let truth = bench.bank.truth();
    truth.links.iter().find(|l| l.user_external_id.as_deref() == Some(WHO)).expect("a link").user_upstream_id.clone()
}

/// The upstream ids of their links.
fn links(bench: &Bench) -> Vec<String> {
    let truth = bench.bank.truth();
    let theirs = truth.links.iter().filter(|l| l.user_external_id.as_deref() == Some(WHO));
    theirs.map(|l| l.upstream_id.clone()).collect()
}

/// Every text by which they could be told in the file.
fn canaries(bench: &Bench) -> Vec<String> {
    let mut texts = vec![CANARY.to_owned(), WHO.to_owned(), "Canary Everyday".to_owned(), customer(bench)];
    texts.extend(links(bench));
    let truth = bench.bank.truth();
    for link in truth.links.iter().filter(|l| l.user_external_id.as_deref() == Some(WHO)) {
        texts.extend(link.accounts.iter().map(|a| a.upstream_id.clone()));
        texts.extend(link.transactions.iter().map(|t| t.upstream_id.clone()));
    }
    texts
}

async fn forget(bench: &Bench) -> Erasure {
    let source: i64 = bench.value("SELECT source_id FROM sources").parse().expect("a number");
    let engine = bench.engine().await;
    engine.forget(source, WHO.to_owned(), false).await.expect("the store works").pop().expect("the customer is known")
}

/// Fails if any of the texts is in the file, its log or the log's index.
fn assert_no_trace(bench: &Bench, texts: &[String], case: &str) {
    assert_no_trace_in(&bench.path(), texts, case);
}

fn assert_no_trace_in(store: &Path, texts: &[String], case: &str) {
    for suffix in ["", "-wal", "-shm"] {
        let mut path = store.as_os_str().to_owned();
        path.push(suffix);
        let bytes = std::fs::read(&path).unwrap_or_default();
        let content = String::from_utf8_lossy(&bytes);
        for text in texts {
            assert!(!content.contains(text.as_str()), "{case}: {text} is in the file{suffix}");
        }
    }
}

/// Everything of the other customers, in one order.
fn others(bench: &Bench) -> String {
    let mut lines = Vec::new();
    for sql in [
        "SELECT u.upstream_id, u.removed_at, u.external_id FROM users u",
        "SELECT u.upstream_id, l.upstream_id, l.removed_at, l.due_at, l.last_success_at FROM links l JOIN users u USING (user_id)",
        "SELECT l.upstream_id, t.upstream_id, t.content_hash, t.removed_at, length(t.raw) FROM transactions t JOIN links l USING (link_id)",
        "SELECT l.upstream_id, c.change_id, c.kind FROM transaction_changes c JOIN transactions t USING (transaction_id)
         JOIN links l USING (link_id)",
        "SELECT a.upstream_id, b.observed_at, b.current_minor FROM balances b JOIN accounts a USING (account_id)",
        "SELECT l.upstream_id, s.sync_id, s.outcome FROM syncs s JOIN links l USING (link_id)",
        "SELECT l.upstream_id, c.covered_to_at FROM cursors c JOIN links l USING (link_id)",
        "SELECT l.upstream_id, r.refresh_id FROM refreshes r JOIN links l USING (link_id)",
        "SELECT upstream_id, name FROM institutions",
    ] {
        let rows = bench.rows(sql);
        let mut rows: Vec<String> = rows.iter().map(|row| row.join(" | ")).collect();
        rows.sort();
        lines.append(&mut rows);
    }
    lines.join("\n")
}

fn without(text: &str, customer: &str, links: &[String], accounts: &[String]) -> String {
    let is_other = |line: &&str| {
        let first = line.split(" | ").next().unwrap_or_default();
        first != customer && !links.iter().chain(accounts).any(|id| id == first)
    };
    text.lines().filter(is_other).collect::<Vec<_>>().join("\n")
}

fn sums(bench: &Bench) -> Vec<Vec<String>> {
    let mut all = bench.rows("SELECT * FROM source_days");
    all.extend(bench.rows("SELECT * FROM sync_totals"));
    all
}

async fn a_forgotten_customer_is_gone_there_and_here_and_nobody_else_is_touched(serves: Served) {
    let bench = town(serves).await;
    let post = Post::to(&bench).await;
    let (customer, theirs) = (customer(&bench), links(&bench));
    for link in &theirs {
        post.deliver(&link_changed(serves, "created", link, &customer)).await;
    }
    let somebody = bench.rows("SELECT l.upstream_id, u.upstream_id FROM links l JOIN users u USING (user_id) WHERE u.external_id IS NOT 'canary-customer' LIMIT 1");
    post.deliver(&link_changed(serves, "created", &somebody[0][0], &somebody[0][1])).await;
    let accounts: Vec<String> = bench
        .rows("SELECT a.upstream_id FROM accounts a JOIN links USING (link_id) JOIN users u USING (user_id) WHERE u.external_id = 'canary-customer'")
        .into_iter()
        .map(|mut row| row.remove(0))
        .collect();
    let texts = canaries(&bench);
    let before = without(&others(&bench), &customer, &theirs, &accounts);
    let (sums_before, refreshes) = (sums(&bench), bench.value("SELECT count(*) FROM refreshes"));

    let erasure = forget(&bench).await;

    assert!(erasure.finished_at.is_some(), "{erasure:?}");
    assert_eq!(erasure.upstream_outcome.map(UpstreamOutcome::as_str), Some("deleted"));
    assert_eq!((erasure.rows["users"], erasure.rows["links"], erasure.rows["accounts"]), (1, 2, 2));
    assert_eq!(erasure.rows["webhook_events"], 2);
    assert!(erasure.rows["transactions"] >= 80 && erasure.rows["transaction_changes"] > 80, "{:?}", erasure.rows);
    assert_eq!(bench.bank.change(|bank| bank.deleted_users()), [customer.as_str()], "seen at the aggregator");
    let truth = bench.bank.truth();
    assert!(truth.links.iter().all(|l| l.deleted_at.is_some() == theirs.contains(&l.upstream_id)));
    assert_same(&others(&bench), &before, "everybody else");
    assert_eq!(sums(&bench), sums_before, "sums are nobody's");
    assert_eq!(bench.value("SELECT count(*) FROM refreshes"), refreshes, "they were spent");
    assert_eq!(bench.value("SELECT count(*) FROM webhook_events"), "1");
    assert_no_trace(&bench, &texts, "after the erasure");
    bench.assert_verifies().await;

    // Nothing of what follows brings anybody back.
    bench.pass(Duration::from_hours(40)).await;
    bench.run_once().await;
    assert_eq!(bench.value("SELECT count(*) FROM users WHERE external_id = 'canary-customer'"), "0");
    bench.assert_store_is_truth();
    assert_no_trace(&bench, &texts, "a day later");
}

/// Orders an erasure as the command does, without carrying it out.
async fn order(bench: &Bench) {
    let source: i64 = bench.value("SELECT source_id FROM sources").parse().expect("a number");
    let now = bench.clock.now();
    let ordered = bench.store.write(move |txn| txn.order_erasure(source, WHO, now)).await.expect("the store works");
    assert_eq!(ordered.len(), 1);
}

async fn an_erasure_killed_at_any_instant_is_finished_by_the_next_run(serves: Served) {
    let mut kills = 0;
    for step in 0..200_u32 {
        let mut bench = town_of(serves, 8).await;
        let texts = canaries(&bench);
        order(&bench).await;
        // Every answer takes a while, and so does every rest between two commits.
        bench.bank.settings(|s| s.latency = Duration::from_millis(60));
        let after = Duration::from_millis(u64::from(step) * 39 + 3);
        bench.run_and_kill(true, after).await;
        bench.reopen();
        let was_open = bench.value("SELECT count(*) FROM erasures WHERE finished_at IS NULL") == "1";
        bench.run_once().await;
        let case = format!("killed after {after:?}");
        assert_eq!(bench.value("SELECT count(*) FROM erasures WHERE finished_at IS NOT NULL"), "1", "{case}");
        assert_eq!(bench.value("SELECT count(*) FROM users WHERE external_id = 'canary-customer'"), "0", "{case}");
        assert_eq!(bench.bank.change(|bank| bank.deleted_users().len()), 1, "{case}");
        assert_eq!(bench.value("SELECT json_extract(rows_deleted, '$.users') FROM erasures"), "1", "{case}");
        assert_eq!(bench.value("SELECT json_extract(rows_deleted, '$.accounts') FROM erasures"), "2", "{case}");
        assert_eq!(bench.value("SELECT count(*) FROM erased_accounts"), "2", "{case}");
        assert_no_trace(&bench, &texts, &case);
        bench.assert_verifies().await;
        if !was_open {
            break;
        }
        kills += 1;
    }
    assert!(kills > 5, "{kills} kills met it");
}

/// The path under which customers are deleted.
fn users_path(serves: Served) -> &'static str {
    match serves {
        Served::Truv => "/v1/users/",
        Served::Bridge => "/v3/aggregation/users/",
    }
}

fn deletions(bench: &Bench, path: &str) -> usize {
    bench.bank.request_log().iter().filter(|l| l.method == "DELETE" && l.path.contains(path)).count()
}

async fn a_deletion_without_an_answer_is_asked_for_again(serves: Served) {
    let bench = town(serves).await;
    bench.bank.fault(Fault::CutBody, Scope::path(users_path(serves)).method("DELETE").once());
    bench.bank.fault(Fault::Hang, Scope::path(users_path(serves)).method("DELETE").after(1).once());
    let erasure = forget(&bench).await;
    let asked = deletions(&bench, users_path(serves));
    if erasure.finished_at.is_none() {
        bench.run_for(Duration::from_hours(3)).await;
    }
    assert_eq!(bench.value("SELECT count(*) FROM erasures WHERE finished_at IS NOT NULL"), "1");
    assert!((1..=4).contains(&asked), "{asked}");
    assert_eq!(bench.bank.change(|bank| bank.deleted_users().len()), 1);
}

async fn a_refused_deletion_is_asked_for_again_and_nobody_comes_back_meanwhile(serves: Served) {
    let bench = town(serves).await;
    let texts = canaries(&bench);
    bench.bank.fault(Fault::Status(500), Scope::path(users_path(serves)).method("DELETE"));
    let erasure = forget(&bench).await;
    assert!(erasure.finished_at.is_none() && erasure.upstream_outcome.is_none());
    assert!(erasure.erased_at.is_some() && erasure.overwritten_at.is_some(), "the rows here do not wait: {erasure:?}");
    assert!(erasure.last_error.is_some() && erasure.next_try_at > bench.clock.now(), "{erasure:?}");
    assert_no_trace(&bench, &texts, "held up");
    // Listed there still; news of them comes.
    let (customer, link) = (customer(&bench), links(&bench).remove(0));
    let post = Post::to(&bench).await;
    post.deliver(&link_changed(serves, "created", &link, &customer)).await;
    take(&bench).await;
    bench.run_for(Duration::from_hours(4)).await;
    assert_eq!(bench.value("SELECT count(*) FROM users"), "2", "the others");
    assert_eq!(bench.value("SELECT count(*) FROM links"), "4");
    assert_eq!(bench.value("SELECT count(*) FROM webhook_events"), "0");
    assert!(deletions(&bench, users_path(serves)) > 3, "it is asked again and again");
    let status = bench.store.read(|txn| txn.erasures(true)).await.expect("the store works");
    assert_eq!(status.len(), 1, "and status tells");
    bench.bank.clear_faults();
    bench.run_for(Duration::from_hours(4)).await;
    let done = bench.store.read(|txn| txn.erasures(false)).await.expect("the store works").remove(0);
    assert!(done.finished_at.is_some() && done.last_error.is_none(), "{done:?}");
    assert_eq!(bench.value("SELECT upstream_id_sealed FROM erasures"), "NULL");
    assert_no_trace(&bench, &texts, "in the end");
}

async fn a_customer_gone_at_the_aggregator_is_forgotten_here(serves: Served) {
    let bench = town(serves).await;
    let texts = canaries(&bench);
    let user = customer(&bench).parse().expect("an id");
    bench.bank.delete_user(user);
    let erasure = forget(&bench).await;
    assert!(erasure.finished_at.is_some() && erasure.upstream_outcome.is_some(), "{erasure:?}");
    assert_no_trace(&bench, &texts, "gone there before");
}

async fn late_news_of_the_forgotten_is_not_kept(serves: Served) {
    let bench = town(serves).await;
    let (customer, theirs, texts) = (customer(&bench), links(&bench), canaries(&bench));
    assert!(forget(&bench).await.finished_at.is_some());
    let post = Post::to(&bench).await;
    for (what, link) in [("created", &theirs[0]), ("deleted", &theirs[1])] {
        for _ in 0..2 {
            post.deliver(&link_changed(serves, what, link, &customer)).await;
            take(&bench).await;
        }
    }
    assert_eq!(bench.value("SELECT count(*) FROM webhook_events"), "0");
    assert_no_trace(&bench, &texts, "late news");
    assert_eq!(bench.value("SELECT count(*) FROM users"), "2");
    bench.run_once().await;
    assert_eq!(bench.value("SELECT count(*) FROM links"), "4");
}

async fn an_order_given_again_finds_the_first(serves: Served) {
    let bench = town(serves).await;
    let customer = customer(&bench);
    let first = forget(&bench).await;
    let again = forget(&bench).await;
    assert_eq!(first, again, "by our own id");
    let engine = bench.engine().await;
    let source: i64 = bench.value("SELECT source_id FROM sources").parse().expect("a number");
    let by_upstream_id = engine.forget(source, customer.clone(), false).await.expect("the store works");
    assert_eq!(by_upstream_id, std::slice::from_ref(&first), "the certificate is proved by the aggregator's id");
    assert_eq!(engine.forget(source, "somebody-else".to_owned(), false).await.expect("the store works"), []);
    let certificate = format!("{first:?}{}", bench.rows("SELECT * FROM erasures").concat().join(" "));
    assert!(!certificate.contains(&customer) && !certificate.contains(WHO), "{certificate}");
    assert_eq!(first.upstream_id_hmac.as_ref().map(String::len), Some(64));
}

async fn rows_here_go_and_the_aggregator_is_left_alone_where_that_is_asked(serves: Served) {
    let bench = town(serves).await;
    let source: i64 = bench.value("SELECT source_id FROM sources").parse().expect("a number");
    let engine = bench.engine().await;
    let erasure = engine.forget(source, WHO.to_owned(), true).await.expect("the store works").pop().expect("known");
    assert!(erasure.finished_at.is_some());
    assert_eq!(erasure.upstream_outcome.map(UpstreamOutcome::as_str), Some("left"));
    assert_eq!(deletions(&bench, "/"), 0);
    bench.pass(Duration::from_hours(40)).await;
    bench.run_once().await;
    assert_eq!(bench.value("SELECT count(*) FROM users"), "2", "listed there, and not stored again");
}

async fn a_sync_under_way_ends_before_the_rows_go(serves: Served) {
    let bench = town(serves).await;
    let ids: Vec<_> = links(&bench).iter().map(|id| id.parse().expect("an id")).collect();
    bench.ask(&ids, Cause::Person, true).await;
    bench.bank.settings(|s| s.latency = Duration::from_millis(700));
    let engine = bench.engine().await;
    let source: i64 = bench.value("SELECT source_id FROM sources").parse().expect("a number");
    let link: i64 = bench.link_id(ids[0]);
    let step = engine.advance(link);
    let order = async {
        tokio::time::sleep(Duration::from_millis(900)).await;
        engine.forget(source, WHO.to_owned(), false).await.expect("the store works").pop().expect("known")
    };
    let (stepped, erasure) = tokio::join!(step, order);
    stepped.expect("the store works");
    assert!(erasure.finished_at.is_some(), "{erasure:?}");
    for table in ["links", "transactions", "accounts"] {
        let left = bench.value(&format!("SELECT count(*) FROM {table}"));
        assert_ne!(left, "0", "{table} of others");
    }
    assert_eq!(bench.value("SELECT count(*) FROM links"), "4");
    bench.assert_verifies().await;
}

async fn whoever_comes_back_with_an_older_copy_is_forgotten_by_the_certificate(serves: Served) {
    let mut bench = town(serves).await;
    let texts = canaries(&bench);
    assert!(bench.store.empty_log().await.expect("a checkpoint"));
    let copy = std::fs::read(bench.path()).expect("the store's file");
    let certificate = forget(&bench).await;
    let restored = bench.path().with_file_name("restored.db");
    std::fs::write(&restored, copy).expect("restored");
    bench.store = bench.open_at(&restored).expect("it opens");
    let known = bench.store.read(|txn| txn.erasures(false)).await.expect("the store works");
    assert_eq!(known, [], "an older copy knows nothing of it");
    let other = Erasure { upstream_id_hmac: Some("0".repeat(64)), ..certificate.clone() };
    let order = || Order::ForgetAgain {
        certificates: [&certificate, &other].map(|erasure| ErasureJson::from(erasure.clone())).into(),
        only_here: false,
    };
    let done = carry_out(bench.engine().await.as_ref(), order()).await.expect("the store works");
    assert_eq!(done.erasures.len(), 1, "{}", done.message);
    assert!(done.message.ends_with("1 who are not here will not be stored again"), "{}", done.message);
    let again = carry_out(bench.engine().await.as_ref(), order()).await.expect("the store works");
    assert!(again.message.starts_with("0 of 2") && !again.message.contains("stored again"), "{}", again.message);
    assert!(done.erasures[0].finished_at.is_some(), "{}", done.message);
    assert_no_trace_in(&restored, &texts, "forgotten again");
    let left = bench.store.read(|txn| txn.users_listed(None)).await.expect("the store works");
    assert_eq!(left.len(), 2);
}

async fn whoever_the_aggregator_keeps_is_left_there_and_not_stored_whatever_the_copy_knows(serves: Served) {
    let mut bench = town_of(serves, 8).await;
    assert!(bench.store.empty_log().await.expect("a checkpoint"));
    let copy = std::fs::read(bench.path()).expect("the store's file");
    let source: i64 = bench.value("SELECT source_id FROM sources").parse().expect("a number");
    let engine = bench.engine().await;
    let left = engine.forget(source, WHO.to_owned(), true).await.expect("the store works").pop().expect("known");
    drop(engine);
    for knows_them in [true, false] {
        let restored = bench.path().with_file_name(format!("restored-{knows_them}.db"));
        std::fs::write(&restored, &copy).expect("restored");
        bench.store = bench.open_at(&restored).expect("it opens");
        if !knows_them {
            // A copy from before they came: nothing of them is in it, not even that they were forgotten.
            let engine = bench.engine().await;
            engine.forget(source, WHO.to_owned(), true).await.expect("the store works");
            drop(engine);
            lose_certificates(&restored);
        }
        let order = Order::ForgetAgain { certificates: vec![ErasureJson::from(left.clone())], only_here: false };
        let done = carry_out(bench.engine().await.as_ref(), order).await.expect("the store works");
        assert_eq!(done.erasures.len(), usize::from(knows_them), "{}", done.message);
        bench.pass(Duration::from_hours(2)).await;
        bench.run_once().await;
        assert_eq!(deletions(&bench, "/"), 0, "nobody is deleted there");
        assert_eq!(bench.value("SELECT count(*) FROM users"), "2", "listed there, and not stored again");
        let certificates = bench.store.read(|txn| txn.erasures(false)).await.expect("the store works");
        let [kept] = &certificates[..] else { panic!("{certificates:?}") };
        assert_eq!((kept.upstream_outcome, &kept.upstream_id_hmac), (left.upstream_outcome, &left.upstream_id_hmac));
    }
}

#[expect(clippy::disallowed_methods, reason = "a copy that knows nothing of them is made of one that does")]
fn lose_certificates(store: &Path) {
    let file = rusqlite::Connection::open(store).expect("it opens");
    file.execute_batch("DELETE FROM forgotten_ids; DELETE FROM erased_accounts; DELETE FROM erasures").expect("SQL");
}

async fn everybody_who_had_the_id_is_forgotten(serves: Served) {
    let bench = town_of(serves, 8).await;
    let texts = canaries(&bench);
    // Deleted at the aggregator, and made known to it anew under the same id.
    bench.bank.delete_user(customer(&bench).parse().expect("an id"));
    let anew = bench.bank.add_user_at(serves, WHO);
    let link = bench.bank.add_link(anew, "576");
    bench.bank.add_account(link, passbook::sandbox::NewAccount::checking("Anew", 1_000));
    bench.bank.publish(link);
    bench.pass(Duration::from_hours(9)).await;
    bench.run_once().await;
    assert_eq!(bench.value("SELECT count(*) FROM users WHERE external_id = 'canary-customer'"), "2");
    let source: i64 = bench.value("SELECT source_id FROM sources").parse().expect("a number");
    let erasures = bench.engine().await.forget(source, WHO.to_owned(), false).await.expect("the store works");
    assert!(erasures.len() == 2 && erasures.iter().all(|erasure| erasure.finished_at.is_some()), "{erasures:?}");
    assert_eq!(bench.value("SELECT count(*) FROM users WHERE external_id = 'canary-customer'"), "0");
    assert_no_trace(&bench, &texts, "both");
}

async fn what_comes_after_the_forgotten_has_ids_of_its_own(serves: Served) {
    let bench = town(serves).await;
    let ids =
        [("users", "user_id"), ("links", "link_id"), ("accounts", "account_id"), ("transactions", "transaction_id")];
    let number = |sql: String| bench.value(&sql).parse::<i64>().expect("a number");
    let last = ids.map(|(table, id)| number(format!("SELECT max({id}) FROM {table}")));
    let engine = bench.engine().await;
    for [source_id, user] in bench.rows("SELECT source_id, upstream_id FROM users").into_iter().map(pair) {
        engine.forget(source_id.parse().expect("a number"), user, false).await.expect("the store works");
    }
    let user = bench.bank.add_user_at(serves, "somebody-else");
    let link = bench.bank.add_link(user, "574");
    let account = bench.bank.add_account(link, passbook::sandbox::NewAccount::checking("Everyday", 90_000));
    for n in 0..3 {
        let new = NewTransaction::posted(-100 - n, &format!("SHOP {n}")).at(bench.bank.now());
        bench.bank.add_transaction(account, new);
    }
    bench.bank.publish(link);
    bench.pass(Duration::from_hours(9)).await;
    bench.run_once().await;
    bench.assert_store_is_truth();
    for ((table, id), last) in ids.into_iter().zip(last) {
        assert!(number(format!("SELECT min({id}) FROM {table}")) > last, "{table}");
    }
}

fn pair(row: Vec<String>) -> [String; 2] {
    row.try_into().expect("two columns")
}
