//! `passbook sandbox`: the made-up bank alone, on a port, for trying out a configuration.

mod deliver;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use jiff::SignedDuration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::run::stop_on_signals;
use super::{Exit, output};
use crate::clock::Clock;
use crate::sandbox::{DatasetOptions, LivingPlan, Plan, Sandbox, Served};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Where it listens.
    #[arg(long, default_value = "127.0.0.1:8790")]
    listen: SocketAddr,
    /// How many of Truv's links it makes up.
    #[arg(long, default_value_t = 200)]
    links: usize,
    /// How many of Bridge's links it makes up beside them.
    #[arg(long, default_value_t = 50)]
    bridge_links: usize,
    /// How many transactions each of them has.
    #[arg(long, default_value_t = 150)]
    transactions: usize,
    /// Real transactions for Truv's customers from a CSV file instead, gzipped or not, with the columns `transaction_id`,
    /// `account_id`, `date`, `amount`, `currency`, `description`, `counterparty` and `balance_after`.
    #[arg(long, value_name = "CSV")]
    dataset: Option<PathBuf>,
    /// How often Bridge reads its banks by itself, such as "1m"; the real one does once or twice a day.
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    bridge_refreshes_every: SignedDuration,
    /// Where Bridge's webhooks go, such as <http://127.0.0.1:8780/webhooks/sandbox-bridge>; Truv's are configured through its
    /// API.
    #[arg(long, value_name = "URL")]
    bridge_webhooks: Option<Url>,
    /// The bank stands still: no new rows, nothing posts, no login breaks.
    #[arg(long)]
    still: bool,
    /// The seed: the same seed makes the same bank.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(super) async fn sandbox(arguments: Arguments) -> anyhow::Result<Exit> {
    let refresh_every: Duration =
        arguments.bridge_refreshes_every.try_into().context("--bridge-refreshes-every is in the past")?;
    let bank = Sandbox::new(Clock::system(), arguments.seed);
    let plan = Plan { transactions_per_link: arguments.transactions, ..Plan::default() };
    match &arguments.dataset {
        Some(path) => drop(load(&bank, path)?),
        None => drop(bank.seed_world(&Plan { links: arguments.links, ..plan.clone() })),
    }
    bank.seed_world(&Plan { links: arguments.bridge_links, serves: Some(Served::Bridge), ..plan });
    bank.settings(|settings| settings.bridge.refresh_every = Some(refresh_every));
    if !arguments.still {
        bank.live(LivingPlan::default());
    }
    let listener = TcpListener::bind(arguments.listen)
        .await
        .with_context(|| format!("cannot listen on {}; choose another address with --listen", arguments.listen))?;
    let address = listener.local_addr()?;
    bank.settings(|settings| settings.bridge.connect_url = connect_url(&format!("http://{address}")));
    let webhooks = arguments.bridge_webhooks.as_ref().map_or_else(String::new, |url| {
        let secret = bank.add_bridge_webhook(url.as_str());
        format!("webhook_secrets = [{{ env = \"SANDBOX_WEBHOOK\" }}]   # export SANDBOX_WEBHOOK={secret}\n")
    });
    output::print(&format!(
        "A made-up bank answers as Truv and as Bridge on http://{address}, limits included, until ctrl-c.\n\n\
         [[source]]\nname = \"sandbox\"\naggregator = \"truv\"\nbase_url = \"http://{address}\"\nclient_id = \"{}\"\n\
         access_secret = {{ env = \"SANDBOX_SECRET\" }}   # export SANDBOX_SECRET={}\n\
         widget_url = \"{}\"\n\n\
         [[source]]\nname = \"sandbox-bridge\"\naggregator = \"bridge\"\nbase_url = \"http://{address}\"\nclient_id = \"{}\"\n\
         client_secret = {{ env = \"SANDBOX_BRIDGE_SECRET\" }}   # export SANDBOX_BRIDGE_SECRET={}\n\
         {webhooks}",
        bank.truv_client_id(),
        bank.truv_secret(),
        widget_url(&format!("http://{address}")),
        bank.bridge_client_id(),
        bank.bridge_client_secret(),
    ))?;
    serve(bank, listener, stop_on_signals()?).await?;
    Ok(Exit::Done)
}

/// Loads a data set as customers of Truv's; answers how many links they have.
pub(super) fn load(bank: &Sandbox, path: &Path) -> anyhow::Result<u64> {
    let loaded = bank.load_dataset_file(path, &DatasetOptions::default())?;
    eprintln!(
        "{}: {} rows of {} accounts in {} links",
        path.display(),
        output::count(loaded.transactions as u64),
        output::count(loaded.accounts as u64),
        output::count(loaded.links.len() as u64)
    );
    Ok(loaded.links.len() as u64)
}

/// The address of the stand-in widget's script.
pub(super) fn widget_url(base_url: &str) -> String {
    format!("{base_url}/sandbox/widget/bridge.js")
}

/// What the addresses of the stand-in Connect site begin with.
pub(super) fn connect_url(base_url: &str) -> String {
    format!("{base_url}/sandbox/bridge/session/")
}

/// Serves a bank and delivers its webhooks until `stop` is cancelled; open connections are not waited for.
pub(super) async fn serve(bank: Sandbox, listener: TcpListener, stop: CancellationToken) -> anyhow::Result<()> {
    let router = bank.router();
    tokio::select! {
        result = async { axum::serve(listener, router).await } => Ok(result?),
        result = deliver::deliver(bank, stop) => result,
    }
}
