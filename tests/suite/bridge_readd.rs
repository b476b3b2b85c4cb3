//! A bank that a customer connects anew: one account goes on under other ids, is never doubled, and can be split again.

use std::time::Duration;

use passbook::sandbox::{AccountId, Fault, LinkId, NewAccount, NewTransaction, Scope};

use crate::bridge_states::{last_sync, quiet};
use crate::harness::Bench;

const HOUR: Duration = Duration::from_hours(1);
const TEXTS: [&str; 6] = ["BOULANGERIE", "LIBRAIRIE", "PHARMACIE", "STATION", "CINEMA", "MARCHE"];

/// What became of the former item.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Former {
    Deleted,
    Broken,
    Healthy,
}

/// A customer with one item: one account, a row every tenth day of four months, some of them alike.
fn one_account(bench: &Bench) -> (LinkId, AccountId) {
    let user = bench.bank.add_user("customer");
    let link = bench.bank.add_link(user, "574");
    let account = bench.bank.add_account(link, NewAccount::checking("Compte courant", 100_000).currency("EUR"));
    for nth in 0..12_usize {
        let at = bench.clock.now() - jiff::SignedDuration::from_hours(24 * 10 * i64::try_from(nth).expect("few"));
        let amount = -1_000 - 100 * i64::try_from(nth / 2).expect("few");
        bench.bank.add_transaction(account, NewTransaction::posted(amount, TEXTS[nth % 6]).at(at));
    }
    // Two rows that nothing tells apart.
    for _ in 0..2 {
        bench.bank.add_transaction(account, NewTransaction::posted(-450, "CAFE"));
    }
    (link, account)
}

fn readd(bench: &Bench, link: LinkId, former: Former) -> LinkId {
    let new = bench.bank.readd_link(link);
    match former {
        Former::Deleted => bench.bank.delete_link(link),
        Former::Broken => {
            bench.bank.script_item(link, "402.402.402.402.402");
            bench.bank.refresh_item(link);
        }
        Former::Healthy => {}
    }
    new
}

/// Count and sum of the live rows of everything.
fn totals(bench: &Bench) -> (i64, i64) {
    let row = bench.rows("SELECT count(*), coalesce(sum(amount_minor), 0) FROM v_transactions").remove(0);
    (row[0].parse().expect("a number"), row[1].parse().expect("a number"))
}

fn true_totals(bench: &Bench, link: LinkId) -> (i64, i64) {
    let served = bench.bank.served();
    let rows = &served.link(link).expect("a link").transactions;
    (i64::try_from(rows.len()).expect("few"), rows.iter().map(|row| row.amount_minor).sum())
}

async fn hours(bench: &Bench, hours: u32) {
    bench.pass(hours * HOUR).await;
    bench.run_once().await;
}

fn spend(bench: &Bench, account: AccountId, amount: i64, text: &str) {
    bench.bank.add_transaction(account, NewTransaction::posted(amount, text));
}

fn account_of(bench: &Bench, link: LinkId) -> AccountId {
    bench.bank.truth().link(link).expect("a link").accounts[0].id
}

#[tokio::test(start_paused = true)]
async fn a_bank_connected_anew_goes_on_in_the_same_account_whatever_became_of_the_former_item() {
    for former in [Former::Deleted, Former::Broken, Former::Healthy] {
        let bench = quiet("");
        let (old, _) = one_account(&bench);
        bench.run_once().await;
        let before = bench.value("SELECT account_id FROM accounts");
        hours(&bench, 7).await;
        let new = readd(&bench, old, former);
        spend(&bench, account_of(&bench, new), -7_777, "NOUVEAU");
        hours(&bench, 7).await;
        assert_eq!(totals(&bench), true_totals(&bench, new), "{former:?}");
        assert_eq!(bench.value("SELECT count(*) FROM accounts"), "1", "{former:?}");
        assert_eq!(bench.value("SELECT account_id FROM accounts"), before, "{former:?}");
        let alias = bench.rows("SELECT rule, split_at, evidence LIKE 'IBAN ending in ____' FROM account_aliases");
        assert_eq!(alias, [["iban", "NULL", "1"]], "{former:?}");
        assert_eq!(bench.value("SELECT count(*) FROM transaction_aliases"), "14", "{former:?}");
        assert_eq!(bench.value("SELECT count(*) FROM transaction_changes WHERE kind = 'removed'"), "0", "{former:?}");
        assert_eq!(last_sync(&bench, new).0, "ok", "{former:?}");
        assert_eq!(bench.value("SELECT count(*) FROM rejected_rows"), "0", "{former:?}");
        // Life goes on, also on the former item, whose rows are the same ones.
        for round in 0..3_i64 {
            spend(&bench, account_of(&bench, new), -100 - round, "SUITE");
            if former == Former::Healthy {
                spend(&bench, account_of(&bench, old), -100 - round, "SUITE");
                bench.bank.refresh_item(old);
            }
            bench.bank.refresh_item(new);
            hours(&bench, 7).await;
            assert_eq!(totals(&bench), true_totals(&bench, new), "{former:?}, round {round}");
        }
        bench.sync_all(true).await;
        hours(&bench, 2).await;
        bench.sync_all(true).await;
        assert_eq!(totals(&bench), true_totals(&bench, new), "{former:?}");
        assert_eq!(bench.value("SELECT count(*) FROM accounts"), "1", "{former:?}");
        bench.assert_verifies().await;
    }
}

/// Section 7.3: at first a new item shows the last days alone.
#[tokio::test(start_paused = true)]
async fn a_history_that_comes_in_two_steps_is_not_doubled_by_the_second() {
    let bench = quiet("");
    let (old, _) = one_account(&bench);
    bench.run_once().await;
    hours(&bench, 7).await;
    let before = totals(&bench);
    let former = bench.bank.truth().link(old).expect("a link").clone();
    let user = former.user_upstream_id.parse().expect("a user");
    let new = bench.bank.add_link(user, "574");
    let number = former.accounts[0].number.parse().ok();
    let account = NewAccount { number, ..NewAccount::checking("Compte courant", 100_000).currency("EUR") };
    let account = bench.bank.add_account(new, account);
    bench.bank.delete_link(old);
    let week_ago = bench.clock.now() - jiff::SignedDuration::from_hours(7 * 24);
    let (recent, older): (Vec<_>, Vec<_>) =
        former.transactions.into_iter().partition(|row| row.transacted_at >= week_ago);
    assert!(!recent.is_empty() && older.len() > 8);
    for (step, rows) in [recent, older].into_iter().enumerate() {
        for row in rows {
            let again = NewTransaction::posted(row.amount_minor, &row.description).at(row.transacted_at);
            bench.bank.add_transaction(account, again);
        }
        if step == 1 {
            bench.bank.refresh_item(new);
        }
        hours(&bench, 2).await;
        assert_eq!(totals(&bench), before, "step {step}");
    }
    assert_eq!(bench.value("SELECT count(*) FROM accounts"), "1");
    assert_eq!(bench.value("SELECT count(*) FROM transaction_aliases"), "14");
    for _ in 0..2 {
        hours(&bench, 2).await;
        bench.sync_all(true).await;
    }
    assert_eq!(totals(&bench), before);
    assert_eq!(bench.value("SELECT count(*) FROM transaction_changes WHERE kind = 'removed'"), "0");
    bench.assert_verifies().await;
}

#[tokio::test(start_paused = true)]
async fn history_older_than_the_new_connection_reaches_stays() {
    let bench = quiet("");
    let (old, _) = one_account(&bench);
    bench.run_once().await;
    let before = totals(&bench);
    hours(&bench, 7).await;
    let new = readd(&bench, old, Former::Deleted);
    // The new connection never shows more than a month.
    let month_ago = (bench.clock.now() - jiff::SignedDuration::from_hours(30 * 24)).as_millisecond();
    let rows = bench.bank.truth().link(new).expect("a link").transactions.clone();
    for row in rows.iter().filter(|row| row.transacted_at.as_millisecond() < month_ago) {
        bench.bank.remove_transaction(row.id);
    }
    for _ in 0..3 {
        hours(&bench, 3).await;
        bench.sync_all(true).await;
    }
    assert_eq!(totals(&bench), before);
    assert_eq!(bench.value("SELECT count(*) FROM transaction_changes WHERE kind = 'removed'"), "0");
    assert_eq!(bench.value("SELECT count(*) FROM accounts"), "1");
    // A row within its reach that goes is gone.
    let newest = bench.bank.truth().link(new).expect("a link").transactions[0].clone();
    bench.bank.remove_transaction(newest.id);
    bench.bank.refresh_item(new);
    hours(&bench, 7).await;
    assert_eq!(totals(&bench), (before.0 - 1, before.1 - newest.amount_minor));
}

#[tokio::test(start_paused = true)]
async fn a_split_account_is_two_again_and_stays_so() {
    for former in [Former::Healthy, Former::Deleted, Former::Broken] {
        let bench = quiet("");
        let (old, old_account) = one_account(&bench);
        bench.run_once().await;
        hours(&bench, 7).await;
        let new = readd(&bench, old, former);
        spend(&bench, account_of(&bench, new), -7_777, "NOUVEAU");
        hours(&bench, 7).await;
        assert_eq!(bench.value("SELECT count(*) FROM accounts"), "1");
        let account_id: i64 = bench.value("SELECT account_id FROM accounts").parse().expect("an id");
        let now = bench.clock.now();
        let split = bench.store.write(move |txn| txn.split_account(account_id, now)).await.expect("the store works");
        assert!(split.is_some());
        for _ in 0..3 {
            bench.bank.refresh_item(new);
            hours(&bench, 7).await;
            bench.sync_all(true).await;
        }
        let accounts = bench
            .rows("SELECT upstream_link_id, upstream_account_id, count(*) FROM v_transactions GROUP BY 2 ORDER BY 1");
        let expected = [
            [old.to_string(), old_account.to_string(), "14".to_owned()],
            [new.to_string(), account_of(&bench, new).to_string(), "15".to_owned()],
        ];
        assert_eq!(accounts, expected, "{former:?}");
        assert_eq!(bench.value("SELECT count(*) FROM account_aliases WHERE split_at IS NULL"), "0", "{former:?}");
        bench.assert_store_is_truth();
        bench.assert_verifies().await;
    }
}

#[tokio::test(start_paused = true)]
async fn accounts_of_other_numbers_customers_and_currencies_are_never_joined() {
    let bench = quiet("");
    let number = |number, currency: &str| NewAccount {
        number: Some(number),
        ..NewAccount::checking("Compte", 1_000).currency(currency)
    };
    let mut links = Vec::new();
    let one = bench.bank.add_user("one");
    let other = bench.bank.add_user("other");
    for (user, account) in [
        (one, number(11_111, "EUR")),
        (one, number(22_222, "EUR")),
        (other, number(11_111, "EUR")),
        (one, number(11_111, "USD")),
    ] {
        let link = bench.bank.add_link(user, "574");
        let account = bench.bank.add_account(link, account);
        bench.bank.add_transaction(account, NewTransaction::posted(-100, "CAFE"));
        links.push(link);
    }
    for _ in 0..3 {
        for link in &links {
            bench.bank.refresh_item(*link);
        }
        hours(&bench, 7).await;
    }
    assert_eq!(bench.value("SELECT count(*) FROM accounts"), "4");
    assert_eq!(bench.value("SELECT count(*) FROM account_aliases"), "0");
    bench.assert_store_is_truth();
}

#[tokio::test(start_paused = true)]
async fn an_account_connected_twice_from_the_beginning_is_one() {
    let bench = quiet("");
    let (old, _) = one_account(&bench);
    let new = bench.bank.readd_link(old);
    bench.run_once().await;
    hours(&bench, 7).await;
    assert_eq!(totals(&bench), true_totals(&bench, new));
    assert_eq!(bench.value("SELECT count(*) FROM accounts"), "1");
    assert_eq!(bench.value("SELECT count(*) FROM rejected_rows"), "0");
}

#[tokio::test(start_paused = true)]
async fn a_bank_connected_again_and_again_stays_one_account() {
    let bench = quiet("");
    let (first, _) = one_account(&bench);
    bench.run_once().await;
    let mut link = first;
    for round in 0..3_i64 {
        hours(&bench, 7).await;
        let former = [Former::Deleted, Former::Broken, Former::Healthy][usize::try_from(round).expect("few")];
        link = readd(&bench, link, former);
        spend(&bench, account_of(&bench, link), -900 - round, "ENCORE");
        hours(&bench, 7).await;
        assert_eq!(totals(&bench), true_totals(&bench, link), "round {round}");
    }
    assert_eq!(bench.value("SELECT count(*) FROM accounts"), "1");
    assert_eq!(bench.value("SELECT count(*) FROM account_aliases"), "3");
    bench.assert_verifies().await;
}

/// The customer tries a new connection, deletes it, and keeps the former one.
#[tokio::test(start_paused = true)]
async fn an_account_goes_back_to_the_former_item_if_the_new_one_is_deleted() {
    let bench = quiet("");
    let (old, old_account) = one_account(&bench);
    bench.run_once().await;
    hours(&bench, 7).await;
    let new = readd(&bench, old, Former::Healthy);
    hours(&bench, 7).await;
    bench.bank.delete_link(new);
    spend(&bench, old_account, -5_151, "RETOUR");
    for _ in 0..2 {
        bench.bank.refresh_item(old);
        hours(&bench, 7).await;
    }
    assert_eq!(totals(&bench), true_totals(&bench, old));
    assert_eq!(bench.value("SELECT upstream_link_id FROM v_transactions GROUP BY 1"), old.to_string());
    assert_eq!(bench.value("SELECT count(*) FROM accounts"), "1");
    bench.assert_verifies().await;
}

#[tokio::test(start_paused = true)]
async fn a_bank_connected_anew_is_one_account_wherever_the_process_is_killed() {
    let bench = quiet("page_size = 10");
    let (old, _) = one_account(&bench);
    bench.run_once().await;
    bench.pass(7 * HOUR).await;
    let new = readd(&bench, old, Former::Deleted);
    spend(&bench, account_of(&bench, new), -7_777, "NOUVEAU");
    bench.bank.settings(|settings| settings.latency = Duration::from_secs(1));
    let mut kills = 0;
    for seconds in 1..30 {
        if !bench.run_and_kill(true, Duration::from_secs(seconds)).await {
            break;
        }
        kills += 1;
        assert_eq!(bench.value("SELECT count(*) FROM accounts"), "1");
        let doubled = bench.value(
            "SELECT count(*) - count(DISTINCT amount_minor || transacted_on || description) FROM v_transactions",
        );
        assert_eq!(doubled, "1", "but for the two that nothing tells apart");
    }
    assert!(kills > 3, "{kills} kills");
    bench.bank.settings(|settings| settings.latency = Duration::ZERO);
    hours(&bench, 7).await;
    assert_eq!(totals(&bench), true_totals(&bench, new));
    assert_eq!(bench.value("SELECT count(*) FROM transaction_aliases"), "14");
    bench.assert_verifies().await;
}

/// Under status 1100, and for an account that is not shared, there is no number to tell by at first.
#[tokio::test(start_paused = true)]
async fn an_account_whose_number_shows_later_still_goes_on() {
    for is_hidden in [true, false] {
        let bench = quiet("");
        let (old, _) = one_account(&bench);
        bench.run_once().await;
        hours(&bench, 7).await;
        let new = readd(&bench, old, Former::Deleted);
        let account = account_of(&bench, new);
        spend(&bench, account, -7_777, "NOUVEAU");
        if is_hidden {
            bench.bank.set_item_status(new, 1100);
        } else {
            bench.bank.set_data_access(account, false);
        }
        hours(&bench, 7).await;
        assert_eq!(bench.value("SELECT count(*) FROM v_transactions"), "14");
        bench.bank.set_data_access(account, true);
        bench.bank.refresh_item(new);
        hours(&bench, 7).await;
        assert_eq!(totals(&bench), true_totals(&bench, new), "hidden: {is_hidden}");
        assert_eq!(bench.value("SELECT count(*) FROM accounts"), "1", "hidden: {is_hidden}");
        assert_eq!(bench.value("SELECT count(*) FROM account_aliases"), "1");
        bench.assert_verifies().await;
    }
}

#[tokio::test(start_paused = true)]
async fn cards_without_a_number_go_on_with_the_account_that_has_one_if_nothing_resembles_them() {
    for former in [Former::Deleted, Former::Broken, Former::Healthy] {
        let bench = quiet("");
        let (old, _) = one_account(&bench);
        for (name, rows) in [("Carte Premier", 3), ("Carte double", 2), ("Carte double", 2)] {
            let card = bench.bank.add_account(old, NewAccount::credit_card(name, 500_000).currency("EUR"));
            for nth in 0..rows {
                spend(&bench, card, -2_500 - nth, "BOULANGERIE");
            }
        }
        bench.run_once().await;
        let cards = "SELECT a.account_id, count(*) FROM accounts a JOIN v_transactions v USING (account_id)
                     WHERE a.name = 'Carte Premier' GROUP BY a.account_id";
        let before = bench.rows(cards);
        hours(&bench, 7).await;
        let new = readd(&bench, old, former);
        hours(&bench, 7).await;
        assert_eq!(bench.rows(cards), before, "{former:?}: the card is the same account with the same rows");
        let joined = bench.rows("SELECT rule, evidence FROM account_aliases ORDER BY rule");
        assert_eq!(joined.len(), 2, "{former:?}: {joined:?}");
        assert_eq!(joined[1][0], "sibling", "{joined:?}");
        assert!(joined[1][1].contains("Carte Premier"), "{joined:?}");
        let doubles = bench.value("SELECT count(*) FROM accounts WHERE name = 'Carte double'");
        assert_eq!(doubles, "4", "{former:?}: two cards of one name are never guessed at");
        // Undone like any other, for good.
        let account_id: i64 = before[0][0].parse().expect("an id");
        let now = bench.clock.now();
        let split = bench.store.write(move |txn| txn.split_account(account_id, now)).await.expect("the store works");
        assert!(split.is_some());
        bench.bank.refresh_item(new);
        hours(&bench, 7).await;
        assert_eq!(bench.value("SELECT count(*) FROM accounts WHERE name = 'Carte Premier'"), "2", "{former:?}");
        bench.assert_verifies().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_that_only_the_feed_shows_right_is_not_doubled() {
    for fault in [Fault::BadAmount, Fault::RowWithoutId] {
        let bench = quiet("");
        let (old, account) = one_account(&bench);
        spend(&bench, account, -7_700, "THEATRE");
        // Beside another item nothing else is read whole.
        let user = bench.bank.truth().link(old).expect("a link").user_upstream_id.parse().expect("a user");
        let other = bench.bank.add_link(user, "6");
        bench.bank.add_account(other, NewAccount::checking("Autre", 1_000).currency("EUR"));
        bench.run_once().await;
        hours(&bench, 7).await;
        let before = totals(&bench);
        let ids = || bench.rows("SELECT transaction_id FROM v_transactions ORDER BY 1");
        let rows = ids();
        readd(&bench, old, Former::Deleted);
        // The whole history comes with a malformed row, the feed after it does not.
        let fault = bench.bank.fault(fault, Scope::path("account_id"));
        hours(&bench, 2).await;
        assert_eq!((totals(&bench), ids()), (before, rows.clone()));
        assert_ne!(bench.value("SELECT count(*) FROM rejected_rows"), "0");
        bench.bank.clear_fault(fault);
        hours(&bench, 7).await;
        assert_eq!((totals(&bench), ids()), (before, rows));
        bench.assert_verifies().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_that_comes_hidden_at_first_is_joined_before_its_rows_are_taken() {
    for former in [Former::Deleted, Former::Broken] {
        let bench = quiet("");
        let (old, _) = one_account(&bench);
        // Beside another item nothing else is read whole.
        let user = bench.bank.truth().link(old).expect("a link").user_upstream_id.parse().expect("a user");
        let other = bench.bank.add_link(user, "6");
        bench.bank.add_account(other, NewAccount::checking("Autre", 1_000).currency("EUR"));
        hours(&bench, 1).await;
        let before = totals(&bench);
        let rows = || bench.rows("SELECT transaction_id FROM v_transactions ORDER BY 1");
        let ids = rows();
        let new = readd(&bench, old, former);
        // What an item shows may change between two answers.
        let fault = bench.bank.fault(Fault::ObfuscatedEverywhere, Scope::path("/accounts"));
        for _ in 0..3 {
            hours(&bench, 7).await;
            assert_eq!((totals(&bench), rows()), (before, ids.clone()), "{former:?}");
            assert_eq!(last_sync(&bench, new).0, "partial", "{former:?}");
        }
        bench.bank.clear_fault(fault);
        hours(&bench, 7).await;
        assert_eq!((totals(&bench), rows()), (before, ids.clone()), "{former:?}");
        assert_eq!(last_sync(&bench, new).0, "ok", "{former:?}");
        assert_eq!(bench.value("SELECT count(*) FROM account_aliases"), "1", "{former:?}");
        bench.assert_verifies().await;
    }
}
