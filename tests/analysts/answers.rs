//! Every question asked of a real store, and the answers held against the bank's truth where it knows them.

use std::collections::{BTreeMap, BTreeSet};

use passbook::sandbox::{Status, TrueLink, World};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

use crate::questions::{self, Question, document, questions};
use crate::schema::connection;
use crate::store::{Story, story};
use crate::{assert_current, repository};

/// How many rows of an answer the document shows.
const SHOWN_ROWS: usize = 4;
/// How wide a column of it is at most.
const SHOWN_WIDTH: usize = 36;
/// Tables that grow with time: none of them may be read whole for a question.
const LARGE: [&str; 8] = [
    "transactions",
    "transaction_changes",
    "transaction_aliases",
    "balances",
    "syncs",
    "refreshes",
    "request_usage",
    "webhook_events",
];
/// Views that are asked for one account, whose plans go by it.
const BY_ACCOUNT: [&str; 2] = ["v_daily_balances", "v_reconciliation"];

/// What a query answered.
struct Answer {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Answer {
    /// The rows as values by column name.
    fn all(&self) -> impl Iterator<Item = BTreeMap<&str, &str>> {
        self.rows
            .iter()
            .map(|row| self.columns.iter().map(String::as_str).zip(row.iter().map(String::as_str)).collect())
    }

    fn column(&self, name: &str) -> Vec<&str> {
        self.all().map(|row| *row.get(name).unwrap_or_else(|| panic!("{name} is not in {:?}", self.columns))).collect()
    }

    fn sum(&self, name: &str) -> i64 {
        self.column(name).into_iter().map(|value| value.parse::<i64>().expect("a number")).sum()
    }
}

#[expect(clippy::disallowed_methods, reason = "the tests read as an analyst does, with a connection of their own")]
fn reader(story: &Story) -> Connection {
    Connection::open_with_flags(&story.path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("a reader")
}

fn ask(reader: &Connection, sql: &str) -> Answer {
    let mut statement = reader.prepare(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    assert!(statement.readonly(), "{sql}");
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut rows = statement.query([]).expect(sql);
    let mut answer = Answer { columns, rows: Vec::new() };
    while let Some(row) = rows.next().expect(sql) {
        let text = |at| match row.get_ref(at).expect("a value") {
            ValueRef::Null => String::new(),
            ValueRef::Integer(number) => number.to_string(),
            ValueRef::Real(number) => number.to_string(),
            ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
            ValueRef::Blob(_) => panic!("bytes are no answer: {sql}"),
        };
        answer.rows.push((0..answer.columns.len()).map(text).collect());
    }
    answer
}

fn value(reader: &Connection, sql: &str) -> String {
    ask(reader, sql).rows.remove(0).remove(0)
}

/// As it stands in the document.
fn shown(answer: &Answer) -> String {
    let cut = |text: &str| {
        if text.chars().count() > SHOWN_WIDTH {
            text.chars().take(SHOWN_WIDTH - 3).chain("...".chars()).collect()
        } else {
            text.to_owned()
        }
    };
    let lines: Vec<Vec<String>> = std::iter::once(&answer.columns)
        .chain(answer.rows.iter().take(SHOWN_ROWS))
        .map(|row| row.iter().map(|value| cut(value)).collect())
        .collect();
    let width = |at: usize| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..answer.columns.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(value, width)| format!("{value:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    let mut text: String = lines.iter().map(line).collect();
    if answer.rows.len() > SHOWN_ROWS {
        text.push_str(&format!("... {} more\n", answer.rows.len() - SHOWN_ROWS));
    }
    text
}

#[tokio::test(start_paused = true)]
async fn every_question_is_answered_by_a_real_store_and_as_the_bank_would() {
    let story = story().await;
    let reader = reader(&story);
    let written = document();
    let questions = questions(&written);
    let mut answers = BTreeMap::new();
    for question in &questions {
        // The ids in the document are one's own; here those are taken that have something to tell.
        let answer = ask(&reader, &of_this_store(&reader, &question.sql));
        assert!(!answer.rows.is_empty(), "{}: no rows", question.title);
        let header: Vec<&str> = question.answer.lines().next().unwrap_or_default().split_whitespace().collect();
        assert!(header.is_empty() || header == answer.columns, "{}: the example has other columns", question.title);
        answers.insert(question.title.as_str(), answer);
    }
    held_against_truth(&story, &reader, &answers);
    // The examples are of another day and so never equal; they are only written where that is asked for.
    if !is_complete(&questions) || std::fs::metadata(repository(questions::PATH)).is_err() || writes() {
        let examples: Vec<String> = questions.iter().map(|question| shown(&answers[question.title.as_str()])).collect();
        assert_current(questions::PATH, &questions::with_answers(&written, &examples));
    }
}

fn is_complete(questions: &[Question]) -> bool {
    questions.iter().all(|question| !question.answer.is_empty())
}

#[expect(clippy::disallowed_methods, reason = "the one switch of these tests; the program knows nothing of it")]
fn writes() -> bool {
    std::env::var_os("PASSBOOK_WRITE_DOCS").is_some()
}

/// The query for a transaction and an account with a history.
fn of_this_store(reader: &Connection, sql: &str) -> String {
    let transaction = value(
        reader,
        "SELECT transaction_id FROM transaction_changes WHERE kind = 'posted' ORDER BY change_id LIMIT 1",
    );
    let account = value(reader, "SELECT account_id FROM balances GROUP BY account_id ORDER BY count(*) DESC LIMIT 1");
    sql.replace("1 /* :transaction_id */", &transaction).replace("1 /* :account_id */", &account)
}

fn held_against_truth(story: &Story, reader: &Connection, answers: &BTreeMap<&str, Answer>) {
    let truth = story.bank.truth();
    money(&truth, reader, answers);
    booking(&truth, reader, answers);
    trust(story, &truth, answers);
    costs(story, reader, answers);
}

fn money(truth: &World, reader: &Connection, answers: &BTreeMap<&str, Answer>) {
    let mut worth: BTreeMap<(String, String), i64> = BTreeMap::new();
    for link in &truth.links {
        for account in &link.accounts {
            let user = link.user_external_id.clone().expect("an id of ours");
            // One of the aggregators tells what is owed as a positive number, with the kind in capitals.
            let sign = if matches!(account.kind.as_str(), "CREDIT_CARD" | "LOAN") && !link.access_token.is_empty() {
                -1
            } else {
                1
            };
            *worth.entry((user, account.currency.clone())).or_default() += sign * account.balance_minor;
        }
    }
    let told = answers["How much does each customer have today?"].all();
    let told: BTreeMap<_, _> = told
        .map(|row| {
            (
                (row["user"].to_owned(), row["currency"].to_owned()),
                row["worth"].replace('.', "").parse::<i64>().expect("money"),
            )
        })
        .collect();
    assert_eq!(told, worth);

    let months = &answers["What came in and went out for one customer, month by month?"];
    assert!(months.rows.len() >= 6, "{:?}", months.rows);
    let categories = &answers["Where does the money come from and go to, by category?"];
    assert!(categories.column("category").contains(&"Income"), "{:?}", categories.column("category"));
    let merchants = answers["At which merchants is most spent?"].column("spent");
    assert!(merchants.iter().all(|spent| !spent.starts_with('-')), "{merchants:?}");

    let salaries = &answers["Who gets a salary, how much and when next?"];
    let of = |salary: &&str| salary.contains("PAYROLL") || salary.contains("SALAIRE");
    let paid = salaries.column("description").iter().filter(|description| of(description)).count();
    // Everybody but Anna, who is new.
    assert_eq!(paid, truth.links.len() - 1, "{:?}", salaries.rows);
    assert!(salaries.column("every_days").iter().all(|days| (6..=35).contains(&days.parse::<i64>().expect("days"))));

    let planned: BTreeSet<String> = truth
        .links
        .iter()
        .flat_map(|link| &link.transactions)
        .filter(|t| {
            t.future
                && t.date.is_some_and(|day| {
                    day.to_string() <= value(reader, "SELECT date('now', '+14 days')")
                        && day.to_string() >= value(reader, "SELECT date('now')")
                })
        })
        .map(|t| t.account_upstream_id.clone())
        .collect();
    assert_eq!(answers["Who runs out of money within two weeks?"].rows.len(), planned.len());
    let loans = &answers["What is owed on loans, and is the next payment there?"];
    assert_eq!(loans.column("owed"), ["184000.00"]);
    assert!(answers["How did the balance of one account go, day by day?"].rows.len() >= 8);
    let currencies = &answers["Who holds more than one currency?"];
    assert_eq!(currencies.column("user"), ["anna", "anna"]);
    assert_eq!(currencies.column("currency"), ["GBP", "USD"]);
}

fn booking(truth: &World, reader: &Connection, answers: &BTreeMap<&str, Answer>) {
    let yesterday = value(reader, "SELECT date('now', '-1 day')");
    let rows = || truth.links.iter().flat_map(|link| link.transactions.iter().map(move |t| (link, t)));
    let posted_on = |link: &TrueLink, t: &passbook::sandbox::TrueTransaction| {
        if link.access_token.is_empty() {
            t.booking_date.or(t.date).filter(|_| !t.future).map(|day| day.to_string())
        } else {
            t.posted_at.map(|at| at.to_zoned(jiff::tz::TimeZone::UTC).date().to_string())
        }
    };
    let posted = rows()
        .filter(|(link, t)| t.status == Status::Posted && posted_on(link, t).as_ref() == Some(&yesterday))
        .count();
    let told = &answers["What posted yesterday?"];
    assert_eq!(told.rows.len(), posted);
    assert!(told.column("description").contains(&"TAXI"), "{:?}", told.rows);

    let pending = answers["What has been pending for more than a week?"].column("description");
    assert!(pending.contains(&"HOTEL DEPOSIT"), "{pending:?}");

    let duplicates = &answers["Does anything look like a duplicate?"];
    assert!(
        duplicates.all().any(|row| row["description"] == "COFFEE BAR" && row["times"] == "2"),
        "{:?}",
        duplicates.rows
    );

    let life = &answers["What happened to one transaction?"];
    assert_eq!(life.column("kind")[0], "added");
    assert!(life.column("kind").contains(&"posted"), "{:?}", life.rows);

    let changed = &answers["What has changed since yesterday in rows that were known before?"];
    let grocer: Vec<_> = changed.all().filter(|row| row["description"] == "GROCER").collect();
    assert_eq!(grocer.len(), 1);
    assert_eq!((grocer[0]["kind"], grocer[0]["amount_minor"]), ("updated", "-7070"));
    assert!(grocer[0]["before"].contains("-7700"), "{:?}", grocer[0]);

    let unexplained = answers["Do the balances of an account add up?"].column("unexplained");
    // The bank put a booked amount right: the correction is in one balance, the row in the one before.
    assert_eq!(unexplained, ["6.30", "-6.30", "0.00"]);
    assert_eq!(value(reader, "SELECT count(*) FROM v_reconciliation WHERE unexplained_difference_minor <> 0"), "2");
}

fn trust(story: &Story, truth: &World, answers: &BTreeMap<&str, Answer>) {
    let stale = &answers["Which links are stale, since when and why?"];
    let broken = truth.link(story.broken).expect("a link").user_external_id.clone().expect("an id");
    let row = stale.all().find(|row| row["user"] == broken).expect("the broken link");
    assert_eq!((row["state"], row["why"]), ("attention", "login"));
    let days: f64 = row["days_old"].parse().expect("days");
    assert!((4.9..=5.1).contains(&days), "{days}");
    assert_eq!(stale.rows.len(), 1, "{:?}", stale.rows);

    let consents = &answers["Whose consent ends within 14 days?"];
    assert_eq!(consents.column("consent_days_left"), ["6"]);
    let expiring = truth.link(story.expiring).expect("a link").user_external_id.clone().expect("an id");
    assert_eq!(consents.column("user"), [expiring]);

    let syncs = &answers["How did the syncs of the last week go?"];
    assert!(syncs.column("outcome").contains(&"attention"), "{:?}", syncs.rows);
    assert_eq!(syncs.sum("rejected"), 0);
}

fn costs(story: &Story, reader: &Connection, answers: &BTreeMap<&str, Answer>) {
    let month = value(reader, "SELECT unixepoch('now', 'start of month') * 1000").parse::<i64>().expect("an instant");
    let refreshes = story.bank.refreshes();
    let accepted = refreshes.iter().flat_map(|link| &link.at).filter(|at| at.as_millisecond() >= month).count();
    let told = &answers["How many refreshes were spent this month, and what did they bring?"];
    assert_eq!(told.sum("refreshes"), i64::try_from(accepted).expect("few"));
    assert_eq!(told.rows.len(), 2);

    let since = value(reader, "SELECT unixepoch('now', '-1 day') * 1000").parse::<i64>().expect("an instant");
    let sent = story.bank.request_log().iter().filter(|request| request.at.as_millisecond() >= since).count();
    let told = &answers["How close do requests come to the limit, hour by hour?"];
    assert_eq!(told.sum("requests"), i64::try_from(sent).expect("few"));
    assert!(told.column("busiest_percent").iter().all(|percent| percent.parse::<i64>().expect("percent") <= 100));
}

#[test]
fn no_question_reads_a_large_table_whole() {
    let schema = connection();
    for question in questions(&document()) {
        let plan = ask(&schema, &format!("EXPLAIN QUERY PLAN {}", question.sql));
        let names = names(&question.sql);
        for step in plan.column("detail") {
            let Some(scanned) = step.strip_prefix("SCAN ") else { continue };
            let name = scanned.split_whitespace().next().unwrap_or_default();
            let table = names.get(name).map_or(name, String::as_str);
            // Small indexes over a few of the rows may be read to their end; views by account are measured by their plan.
            let is_partial = ["transactions_pending", "transaction_changes_by_transaction"]
                .iter()
                .any(|index| scanned.ends_with(index));
            let is_by_account = BY_ACCOUNT.iter().any(|view| question.sql.contains(view));
            assert!(!LARGE.contains(&table) || is_partial || is_by_account, "{}: {step}", question.title);
        }
    }
}

/// The tables and views that a query calls by a letter, those of the views included.
fn names(sql: &str) -> BTreeMap<String, String> {
    // In the views a letter always means the same large table.
    let mut names: BTreeMap<String, String> = [("t", "transactions"), ("b", "balances"), ("r", "refreshes")]
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .into();
    let words: Vec<&str> = sql.split_whitespace().collect();
    for pair in words.windows(3).filter(|words| ["FROM", "JOIN"].contains(&words[0]) && words[2].len() == 1) {
        let table = if pair[1] == "v_transactions" { "transactions" } else { pair[1] };
        names.insert(pair[2].to_owned(), table.to_owned());
    }
    names
}
