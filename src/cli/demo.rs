//! `passbook demo`: everything on a made-up bank, without configuration or account.
//!
//! The bank is served on a loopback port and the daemon syncs it as it would Truv. Everything lies in `./passbook-demo/`, a
//! configuration included, so that every other command can be tried on it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::context::{Context, Local};
use super::progress::Tally;
use super::run::{once, serve, stop_on_signals};
use super::sandbox::{self, fill};
use super::{Exit, output};
use crate::clock::Clock;
use crate::config::Config;
use crate::http::Transport;
use crate::sandbox::{LivingPlan, Pace, Sandbox};
use crate::secret::StoreKey;
use crate::store::Store;
use crate::telemetry::{self, LogFormat};

const DIRECTORY: &str = "passbook-demo";
/// What the demo makes, and so what a new demo may replace.
const FILES: [&str; 8] = [
    "passbook.db",
    "passbook.db-wal",
    "passbook.db-shm",
    "passbook.db.lock",
    "passbook.db.sock",
    "passbook.toml",
    "store.key",
    "truv.secret",
];
/// How often the running demo says what happened.
const NEWS_EVERY: Duration = Duration::from_mins(1);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Sync once, show what came, and exit.
    #[arg(long)]
    once: bool,
    /// How many links the bank has.
    #[arg(long, default_value_t = 300)]
    links: usize,
    /// How many transactions each of them has.
    #[arg(long, default_value_t = 150)]
    transactions: usize,
    /// Real transactions from a CSV file instead, as `passbook sandbox --dataset` takes them.
    #[arg(long, value_name = "CSV")]
    dataset: Option<PathBuf>,
}

/// Questions that the store answers, to be shown at the end.
const QUERIES: [(&str, &str); 3] = [
    (
        "Where did the customers' money go in the last 30 days?",
        "SELECT category, currency, count(*) AS transactions, printf('%.2f', -sum(amount_minor) / 100.0) AS spent\n\
         FROM v_transactions WHERE is_spending AND transacted_on > date('now', '-30 days')\n\
         GROUP BY category, currency ORDER BY sum(amount_minor) LIMIT 5",
    ),
    (
        "Who earns most, and what is left of it, month by month?",
        "SELECT user, month, printf('%.2f', in_minor / 100.0) AS money_in, printf('%.2f', out_minor / 100.0) AS money_out\n\
         FROM (SELECT user, month, sum(in_minor) AS in_minor, sum(out_minor) AS out_minor\n\
         \x20     FROM v_cashflow_monthly GROUP BY user, month)\n\
         ORDER BY in_minor DESC LIMIT 5",
    ),
    (
        "Is every connection alive?",
        "SELECT state, count(*) AS links, max(age_seconds) AS oldest_seconds FROM v_link_health GROUP BY state",
    ),
];

pub(super) async fn demo(arguments: Arguments) -> anyhow::Result<Exit> {
    let stop = stop_on_signals()?;
    // What a sync says of itself is in the news and in `status`; a line for each would bury them.
    let level = "error,passbook::sync=off";
    telemetry::init(level, LogFormat::Text, false);
    let bank = Sandbox::new(Clock::system(), 1);
    bank.settings(|settings| {
        settings.request_limit = None;
        settings.refresh_limit = None;
        settings.visible_immediately = true;
        settings.pace = Pace { full_parse: Duration::from_secs(1), ..Pace::instant() };
    });
    fill(&bank, arguments.dataset.as_deref(), arguments.links, arguments.transactions)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let base_url = format!("http://{}", listener.local_addr()?);
    let config_path = prepare(&bank, &base_url)?;
    let context = Context::new(Config::load(&config_path)?, Transport::in_process(bank.router()));
    output::print(&format!(
        "A made-up bank with {} and {} answers as Truv would.\n",
        output::counted(bank.truth().links.len() as u64, "link"),
        output::counted(bank.truth().transaction_count() as u64, "transaction"),
    ))?;
    let local = context.take_store("demo").await?;
    let began = std::time::Instant::now();
    let tally = once(&context, &local, stop.clone()).await?;
    show_result(&tally, local.engine.store(), began.elapsed()).await?;
    output::print(&what_to_look_at(&config_path, arguments.once))?;
    if arguments.once || stop.is_cancelled() {
        return Ok(Exit::Done);
    }
    bank.live(LivingPlan { break_login_one_in: 9, heal_one_in: 60, ..LivingPlan::default() });
    keep_running(&context, &local, &bank, listener, stop).await?;
    Ok(Exit::Done)
}

/// Makes the directory with a configuration, a key and the bank's secret; an earlier demo's files are replaced.
fn prepare(bank: &Sandbox, base_url: &str) -> anyhow::Result<PathBuf> {
    let directory = Path::new(DIRECTORY);
    fs::create_dir_all(directory)?;
    fs::set_permissions(directory, std::os::unix::fs::PermissionsExt::from_mode(0o750))?;
    for file in FILES {
        match fs::remove_file(directory.join(file)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    secret_file(&directory.join("store.key"), &StoreKey::generate()?.to_text())?;
    secret_file(&directory.join("truv.secret"), &bank.truv_secret())?;
    let config = directory.join("passbook.toml");
    fs::write(&config, config_text(bank, base_url))?;
    Ok(config)
}

fn secret_file(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = fs::File::options().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{text}")?;
    Ok(())
}

fn config_text(bank: &Sandbox, base_url: &str) -> String {
    format!(
        "# Made by `passbook demo`. The bank lives only while the demo runs.\n\
         [store]\npath = \"passbook.db\"\nkey = {{ file = \"store.key\" }}\n\n\
         [schedule]\nspread = \"20s\"\n\n\
         [[source]]\nname = \"demo-bank\"\naggregator = \"truv\"\nbase_url = \"{base_url}\"\nclient_id = \"{}\"\n\
         access_secret = {{ file = \"truv.secret\" }}\n\
         sync_schedule = \"* * * * *\"            # every minute; at a real bank every few hours do\n\
         discover_schedule = \"*/5 * * * *\"\n\
         requests_per_minute = 100000           # the demo bank has no limit; Truv allows 300\n\
         refreshes_per_day = 24                 # so that a broken login shows soon; Truv allows 3\n\
         refresh_poll_first = \"1s\"\n",
        bank.truv_client_id()
    )
}

async fn show_result(tally: &Tally, store: &Store, took: Duration) -> anyhow::Result<()> {
    #[expect(clippy::redundant_closure_for_method_calls, reason = "a path is not general over the lifetime")]
    let count = store.read(|txn| txn.transaction_count()).await?;
    let requests = u64::from(tally.counts.requests + tally.discovery_requests);
    let mut text = format!(
        "Synced {}: {} in {} ms with {}; under Truv's limit of 300 a minute about {}.\n\
         {} in {}, {} bytes\n",
        output::counted(tally.syncs, "link"),
        tally.outcomes(),
        output::count(u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
        output::counted(requests, "request"),
        output::duration(i64::try_from(requests * 60 / 270).unwrap_or(i64::MAX)),
        output::counted(count, "transaction"),
        store.path().display(),
        output::count(fs::metadata(store.path())?.len()),
    );
    for (question, sql) in QUERIES {
        let answer = store.read(move |txn| txn.query(sql)).await?;
        let columns: Vec<&str> = answer.columns.iter().map(String::as_str).collect();
        let right: Vec<usize> = (1..columns.len()).collect();
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

fn what_to_look_at(config: &Path, once: bool) -> String {
    let passbook = format!("{} --config {}", program(), config.display());
    let next = if once {
        "Without --once the demo keeps running, with a bank that keeps moving.".to_owned()
    } else {
        "The bank keeps moving: new rows every ten seconds, pending rows that post, now and then a login that breaks.\n\
         Every link is synced once a minute. In another terminal, while this runs:"
            .to_owned()
    };
    format!(
        "\n{}\n{next}\n  sqlite3 {DIRECTORY}/passbook.db \"SELECT * FROM v_transactions LIMIT 3\"\n  {passbook} status\n  \
         {passbook} explain 1\n  {passbook} verify\n",
        output::bold("Look around"),
    ) + &if once { String::new() } else { format!("  {passbook} sync 1\nctrl-c ends it.\n\n") }
}

/// How a person calls this program from here.
fn program() -> String {
    let path = std::env::current_exe().unwrap_or_else(|_| "passbook".into());
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(&path).display().to_string()
}

/// Serves the bank and the daemon together, and says now and then what happened.
async fn keep_running(
    context: &Context,
    local: &Local,
    bank: &Sandbox,
    listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let (events, watched) = mpsc::unbounded_channel();
    let bank = sandbox::serve(bank.clone(), listener, stop.clone());
    let daemon = serve(context, local, stop.clone(), Some(events));
    let (daemon, bank, news) = tokio::join!(daemon, bank, tell_news(watched));
    daemon.and(bank).and(news)
}

async fn tell_news(mut events: mpsc::UnboundedReceiver<crate::daemon::Event>) -> anyhow::Result<()> {
    let mut tally = Tally::default();
    let mut tick = tokio::time::interval(NEWS_EVERY);
    tick.tick().await;
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Some(event) => tally.add(&event),
                None => return Ok(()),
            },
            _ = tick.tick() => {
                let c = &tally.counts;
                output::print(&format!(
                    "{}  {} synced ({}): {} new, {} posted, {} changed, {} removed; {} requests\n",
                    output::time_of_day(),
                    output::counted(tally.syncs, "link"), tally.outcomes(), c.rows_added, c.rows_posted, c.rows_updated,
                    c.rows_removed, c.requests,
                ))?;
                tally = Tally::default();
            }
        }
    }
}
