//! `passbook demo`: everything on a made-up bank, without configuration or account.
//!
//! The bank is served on a loopback port as both aggregators would serve it, and the daemon syncs it as it would them.
//! What the bank announces is posted to the daemon, and customers can connect in a browser: the bank has the pages for it.
//! Everything lies in `./passbook-demo/`, a configuration included, so that every other command can be tried on it.

mod home;
mod result;
mod world;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::context::{Context, Local};
use super::progress::Tally;
use super::run::{Extras, once, serve, stop_on_signals};
use super::{Exit, output, sandbox};
use crate::config::Config;
use crate::http::Transport;
use crate::limits::refreshes::month_began;
use crate::sandbox::Sandbox;
use crate::store::Store;
use crate::telemetry::{self, LogFormat};

/// How often the running demo says what happened.
const NEWS_EVERY: Duration = Duration::from_mins(1);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Sync once, show what came, and exit.
    #[arg(long)]
    once: bool,
    /// How many links the bank has, half of them at each aggregator.
    #[arg(long, default_value_t = 300)]
    links: usize,
    /// How many transactions each of them has.
    #[arg(long, default_value_t = 150)]
    transactions: usize,
    /// Real transactions from a CSV file instead, as `passbook sandbox --dataset` takes them; all of them at Truv.
    #[arg(long, value_name = "CSV")]
    dataset: Option<PathBuf>,
}

pub(super) async fn demo(arguments: Arguments) -> anyhow::Result<Exit> {
    let stop = stop_on_signals()?;
    // What a sync says of itself is in the news and in `status`; a line for each would bury them.
    let level = "error,passbook::sync=off";
    telemetry::init(level, LogFormat::Text, false);
    let (bank, made) = world::make(arguments.dataset.as_deref(), arguments.links, arguments.transactions)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let base_url = format!("http://{}", listener.local_addr()?);
    let home = home::prepare(&bank, made, &base_url)?;
    let context = Context::new(Config::load(&home.config)?, Transport::in_process(bank.router()));
    output::print(&format!(
        "A made-up bank with {} answers as Truv would for {} and as Bridge would for {}.\n",
        output::counted(bank.truth().transaction_count() as u64, "transaction"),
        output::counted(made.us, "link"),
        output::counted(made.europe, "link"),
    ))?;
    let local = context.take_store("demo").await?;
    let began = std::time::Instant::now();
    let tally = once(&context, &local, stop.clone()).await?;
    result::show(&tally, local.engine.store(), began.elapsed()).await?;
    output::print(&result::what_to_look_at(&home, made, arguments.once))?;
    if arguments.once || stop.is_cancelled() {
        return Ok(Exit::Done);
    }
    world::set_in_motion(&bank, &home);
    keep_running(&context, &local, &home.config, &bank, listener, stop).await?;
    Ok(Exit::Done)
}

/// Serves the bank and the daemon together, and says now and then what happened.
async fn keep_running(
    context: &Context,
    local: &Local,
    config: &Path,
    bank: &Sandbox,
    listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let (events, watched) = mpsc::unbounded_channel();
    let bank = sandbox::serve(bank.clone(), listener, stop.clone());
    let daemon = serve(context, local, config, stop.clone(), Extras { events: Some(events), level: None });
    let (daemon, bank, news) = tokio::join!(daemon, bank, tell_news(watched, local.engine.store()));
    daemon.and(bank).and(news)
}

async fn tell_news(mut events: mpsc::UnboundedReceiver<crate::daemon::Event>, store: &Store) -> anyhow::Result<()> {
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
                output::print(&format!("{}{}\n", news(&tally), broken(store).await?))?;
                tally = Tally::default();
            }
        }
    }
}

fn news(tally: &Tally) -> String {
    let c = &tally.counts;
    format!(
        "{}  {} synced ({}): {} new, {} posted, {} changed, {} removed; {} requests",
        output::time_of_day(),
        output::counted(tally.syncs, "link"),
        tally.outcomes(),
        c.rows_added,
        c.rows_posted,
        c.rows_updated,
        c.rows_removed,
        c.requests,
    )
}

/// How many links of each source need a person.
async fn broken(store: &Store) -> anyhow::Result<String> {
    let now = crate::clock::Clock::system().now();
    let sources = store.read(move |txn| txn.source_reports(now, month_began(now))).await?;
    let words: Vec<String> = sources
        .iter()
        .filter_map(|source| {
            let number = source.links_by_state.get("attention").filter(|number| **number > 0)?;
            Some(format!("{number} at {}", source.name))
        })
        .collect();
    Ok(if words.is_empty() { String::new() } else { format!("; need a person: {}", words.join(", ")) })
}
