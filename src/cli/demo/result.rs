//! What the demo shows after its first syncs: what they cost, what the store answers, what to try next.

use std::fs;
use std::time::Duration;

use super::home::{DIRECTORY, Home};
use super::world::{EUROPE, Made, US};
use crate::cli::output;
use crate::cli::progress::Tally;
use crate::config::{bridge, truv};
use crate::limits::refreshes::month_began;
use crate::store::Store;

/// What a customer may type at the made-up banks.
const US_LOGINS: &str = "goodlogin / goodpassword connects; goodlogin / mfa asks for the code 12345; any other fails";
const EUROPE_LOGINS: &str = "any login connects; otp asks for a code, which may be any; 402 fails";

/// Questions that the store answers.
const QUERIES: [(&str, &str); 3] = [
    (
        "Where did the customers' money go in the last 30 days?",
        "SELECT currency, category, transactions, printf('%.2f', spent_minor / 100.0) AS spent\n\
         FROM (SELECT currency, category, count(*) AS transactions, -sum(amount_minor) AS spent_minor,\n\
         \x20            row_number() OVER (PARTITION BY currency ORDER BY sum(amount_minor)) AS place\n\
         \x20     FROM v_transactions WHERE is_spending AND transacted_on > date('now', '-30 days')\n\
         \x20     GROUP BY currency, category)\n\
         WHERE place <= 4 ORDER BY currency, place",
    ),
    (
        "What came in and went out, month by month?",
        "SELECT month, currency, count(DISTINCT user) AS users, printf('%.2f', sum(in_minor) / 100.0) AS money_in,\n\
         \x20      printf('%.2f', sum(out_minor) / 100.0) AS money_out\n\
         FROM v_cashflow_monthly GROUP BY month, currency ORDER BY month DESC, currency LIMIT 4",
    ),
    (
        "Is every connection alive, and whose consent ends soon?",
        "SELECT source, state, count(*) AS links, max(age_seconds) AS oldest_seconds,\n\
         \x20      count(*) FILTER (WHERE consent_days_left < 14) AS consent_ends\n\
         FROM v_link_health GROUP BY source, state ORDER BY source, state",
    ),
];

/// Says what the first syncs brought and what they cost, and asks the store a few questions.
pub(super) async fn show(tally: &Tally, store: &Store, took: Duration) -> anyhow::Result<()> {
    let now = crate::clock::Clock::system().now();
    let (count, sources) =
        store.read(move |txn| Ok((txn.transaction_count()?, txn.source_reports(now, month_began(now))?))).await?;
    let mut text = format!(
        "Synced {}: {} in {} ms. {} in {}, {} bytes\n",
        output::counted(tally.syncs, "link"),
        tally.outcomes(),
        output::count(u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
        output::counted(count, "transaction"),
        store.path().display(),
        output::count(fs::metadata(store.path())?.len()),
    );
    for source in sources {
        let requests = source.requests_last_hour;
        let limit = if source.name == US {
            under_limit("Truv", requests, truv::DEFAULT_REQUESTS_PER_MINUTE, truv::REQUEST_WINDOW)
        } else {
            under_limit("Bridge", requests, bridge::DEFAULT_REQUESTS_PER_5_MINUTES, bridge::REQUEST_WINDOW)
        };
        text.push_str(&format!("  {:<width$}  {limit}\n", source.name, width = EUROPE.len()));
    }
    for (question, sql) in QUERIES {
        let answer = store.read(move |txn| txn.query(sql)).await?;
        let columns: Vec<&str> = answer.columns.iter().map(String::as_str).collect();
        let right: Vec<usize> = (0..columns.len()).filter(|at| is_numeric(&answer.rows, *at)).collect();
        let sql = format!("  {}\n", sql.replace('\n', "\n  "));
        text.push_str(&format!(
            "\n{}\n{}{}",
            output::bold(question),
            output::dim(&sql),
            output::table(&columns, &right, answer.rows)
        ));
    }
    output::print(&text)
}

/// What so many requests would take at the real aggregator, a tenth of its limit left alone.
fn under_limit(aggregator: &str, requests: u64, limit: u32, window: Duration) -> String {
    let seconds = requests * window.as_secs() * 10 / (u64::from(limit) * 9);
    let words = |seconds: u64| output::duration(i64::try_from(seconds).unwrap_or(i64::MAX));
    format!(
        "{}; under {aggregator}'s limit of {} in {} about {}",
        output::counted(requests, "request"),
        output::count(limit.into()),
        words(window.as_secs()),
        words(seconds.max(1))
    )
}

fn is_numeric(rows: &[Vec<String>], column: usize) -> bool {
    rows.iter().all(|row| row.get(column).is_none_or(|value| value.parse::<rust_decimal::Decimal>().is_ok()))
}

/// What a person can try next.
pub(super) fn what_to_look_at(home: &Home, made: Made, once: bool) -> String {
    let passbook = format!("{} --config {}", program(), home.config.display());
    let next = if once {
        "Without --once the demo keeps running, with a bank that keeps moving, a dashboard, and customers to connect."
            .to_owned()
    } else {
        format!(
            "The bank keeps moving: new rows every ten seconds, pending rows that post, now and then a login that breaks.\n\
             Links of {US} are refreshed and read once a minute. Those of {EUROPE} are refreshed by their aggregator, and\n\
             read when it has done so. In another terminal, while this runs:"
        )
    };
    let mut text = format!(
        "\n{}\n{next}\n  sqlite3 -readonly {DIRECTORY}/passbook.db \"SELECT * FROM v_transactions LIMIT 3\"\n  \
         {passbook} status\n  {passbook} explain 1\n  {passbook} verify\n",
        output::bold("Look around"),
    );
    if once {
        return text;
    }
    text.push_str(&format!("  {passbook} sync 1\n"));
    text.push_str(&format!(
        "\n{}\n  {}   the token is in {}\n",
        output::bold("Dashboard"),
        home.dashboard(),
        Home::admin_token().display()
    ));
    text.push_str(&format!("\n{}\n", output::bold("Connect a customer in your browser")));
    for (source, links, logins) in [(US, made.us, US_LOGINS), (EUROPE, made.europe, EUROPE_LOGINS)] {
        if links > 0 {
            text.push_str(&format!("  {passbook} links connect --source {source} --user new-customer\n    {logins}\n"));
        }
    }
    text.push_str("\nctrl-c ends it.\n\n");
    text
}

/// How a person calls this program from here.
fn program() -> String {
    let path = std::env::current_exe().unwrap_or_else(|_| "passbook".into());
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(&path).display().to_string()
}
