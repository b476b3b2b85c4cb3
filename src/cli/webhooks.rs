//! `passbook webhooks`: where the aggregators send their news.

use std::path::Path;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use serde::Serialize;
use url::Url;

use super::context::Context;
use super::{Exit, output};
use crate::aggregator::{self, Aggregator, CallContext, Registered, WebhookEndpoint};
use crate::config::SourceConfig;
use crate::http::Transport;
use crate::limits::requests::Lane;
use crate::store::{Access, EventSummary, Store};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Each source's address, how its aggregator lists it, and what came.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Have webhooks sent to this machine, or sent again after the aggregator switched its address off.
    Register {
        /// Only this source.
        #[arg(long)]
        source: Option<String>,
        /// An address other than the one under `public_url`; with several sources only together with --source.
        #[arg(long)]
        url: Option<Url>,
    },
}

#[derive(Serialize)]
struct Listed {
    source: String,
    aggregator: &'static str,
    /// `None`: there is no public side.
    address: Option<String>,
    /// `None`: the aggregator has no such list.
    endpoints: Option<Vec<EndpointJson>>,
    /// What a person does in the dashboard of an aggregator that has no such list.
    instructions: Option<&'static str>,
    /// Why the aggregator could not be asked.
    error: Option<String>,
    last_event_at: Option<Timestamp>,
    waiting: u64,
    waiting_since: Option<Timestamp>,
}

#[derive(Serialize)]
struct EndpointJson {
    upstream_id: String,
    url: String,
    is_enabled: bool,
    is_ours: bool,
}

pub(super) async fn webhooks(config: &Path, verb: Verb) -> anyhow::Result<Exit> {
    let context = Context::load(config)?;
    match verb {
        Verb::List { json } => list(&context, json).await,
        Verb::Register { source, url } => register(&context, source.as_deref(), url).await,
    }
}

/// Where the webhooks of a source are to be sent, as far as the configuration says.
fn address_of(context: &Context, source: &SourceConfig) -> Option<Url> {
    context.config.server.public.as_ref().map(|public| public.webhook_address(&source.name))
}

fn open(context: &Context, source: &SourceConfig) -> anyhow::Result<Aggregator> {
    Ok(aggregator::open(source, Transport::network(), &context.clock, rand::random())?.aggregator)
}

async fn list(context: &Context, json: bool) -> anyhow::Result<Exit> {
    let store = if context.config.store.path.exists() { Some(context.open(Access::ReadOnly)?) } else { None };
    let mut all = Vec::new();
    for source in &context.config.sources {
        all.push(listed(context, source, store.as_ref()).await?);
    }
    if json {
        output::print_json(&all)?;
    } else {
        let now = context.clock.now();
        let texts: Vec<String> = all.iter().map(|listed| text(listed, now)).collect();
        output::print(&texts.join("\n"))?;
    }
    Ok(if all.iter().any(|listed| listed.error.is_some()) { Exit::Failed } else { Exit::Done })
}

async fn listed(context: &Context, source: &SourceConfig, store: Option<&Store>) -> anyhow::Result<Listed> {
    let address = address_of(context, source);
    let aggregator = open(context, source)?;
    let (endpoints, error) = match aggregator.webhook_endpoints() {
        None => (None, None),
        Some(endpoints) => match endpoints.list(&CallContext::new(Lane::Person)).await {
            Ok(found) => (Some(found.into_iter().map(|found| endpoint(found, address.as_ref())).collect()), None),
            Err(error) => (None, Some(error.to_string())),
        },
    };
    let has_list = aggregator.webhook_endpoints().is_some();
    let events = events_of(store, &source.name).await?;
    Ok(Listed {
        source: source.name.clone(),
        aggregator: source.word(),
        address: address.map(String::from),
        endpoints,
        instructions: (!has_list).then(|| aggregator.webhooks().instructions()),
        error,
        last_event_at: events.last_received_at,
        waiting: events.waiting,
        waiting_since: events.waiting_since,
    })
}

fn endpoint(found: WebhookEndpoint, address: Option<&Url>) -> EndpointJson {
    let is_ours = address.is_some() && found.url.parse().ok().as_ref() == address;
    EndpointJson { upstream_id: found.upstream_id, url: found.url, is_enabled: found.is_enabled, is_ours }
}

async fn events_of(store: Option<&Store>, source: &str) -> anyhow::Result<EventSummary> {
    let Some(store) = store else { return Ok(EventSummary::default()) };
    let name = source.to_owned();
    let summary = store.read(move |txn| match txn.source(&name)? {
        Some(row) => txn.event_summary(row.source_id),
        None => Ok(EventSummary::default()),
    });
    Ok(summary.await?)
}

fn text(listed: &Listed, now: Timestamp) -> String {
    let mut lines = vec![(
        "address",
        listed.address.clone().unwrap_or_else(|| "none: set public_listen and public_url under [server]".to_owned()),
    )];
    if let Some(error) = &listed.error {
        lines.push(("aggregator", output::alarming(error)));
    }
    if let Some(endpoints) = &listed.endpoints {
        for endpoint in endpoints {
            let state = if endpoint.is_enabled { "enabled" } else { "disabled" };
            let ours = if endpoint.is_ours { ", this machine's" } else { "" };
            lines.push(("aggregator", format!("{} {state}{ours}", endpoint.url)));
        }
        let is_sent = endpoints.iter().any(|endpoint| endpoint.is_ours && endpoint.is_enabled);
        if !is_sent && listed.address.is_some() {
            let advice = "sends nothing to this address; run `passbook webhooks register`";
            lines.push(("aggregator", output::alarming(advice)));
        }
    }
    if let Some(instructions) = listed.instructions {
        lines.push(("set up", instructions.to_owned()));
    }
    lines.push(("last event", listed.last_event_at.map_or_else(|| "none".to_owned(), |at| output::relative(at, now))));
    if let Some(since) = listed.waiting_since {
        let waiting =
            format!("{} wait, the oldest since {}", output::count(listed.waiting), crate::words::age(since, now));
        lines.push(("waiting", waiting));
    }
    let mut text = format!("{}  {}\n", output::bold(&listed.source), output::dim(listed.aggregator));
    for (label, value) in lines {
        text.push_str(&output::paragraph(&format!("  {label:<10} "), &value));
    }
    text
}

async fn register(context: &Context, name: Option<&str>, url: Option<Url>) -> anyhow::Result<Exit> {
    let all = &context.config.sources;
    let wanted: Vec<&SourceConfig> = all.iter().filter(|source| name.is_none_or(|name| source.name == name)).collect();
    let names = || all.iter().map(|source| source.name.as_str()).collect::<Vec<_>>().join(", ");
    if wanted.is_empty() {
        bail!("no such source; configured are: {}", names());
    }
    if url.is_some() && wanted.len() > 1 {
        bail!("--url is one source's address; name the source with --source: {}", names());
    }
    for source in wanted {
        let address = url.clone().or_else(|| address_of(context, source));
        let address =
            address.context("no address to register: set public_url under [server], or give one with --url")?;
        let aggregator = open(context, source)?;
        let said = match aggregator.webhook_endpoints() {
            Some(endpoints) => {
                let registered = endpoints.register(&CallContext::new(Lane::Person), &address).await;
                done(registered.with_context(|| format!("source {:?}", source.name))?).to_owned()
            }
            None => format!("cannot be registered from here: {}", aggregator.webhooks().instructions()),
        };
        output::print(&output::paragraph("", &format!("{}: {address} {said}", source.name)))?;
    }
    Ok(Exit::Done)
}

fn done(registered: Registered) -> &'static str {
    match registered {
        Registered::Created => "is registered",
        Registered::Enabled => "is switched on again",
        Registered::WasThere => "was registered already",
    }
}
