//! From a configuration and an open store to an engine: one door, limiter and source per configured credential.

use std::sync::Arc;

use crate::aggregator::{self, Opened};
use crate::clock::Clock;
use crate::config::{Config, RefreshConfig, SourceConfig};
use crate::http::Transport;
use crate::limits::refreshes::RefreshPolicy;
use crate::limits::requests::RequestLimiter;
use crate::store::{SourceRow, SourceSettings, Store, StoreError};
use crate::sync::{Engine, Source};

/// What an engine is built from besides its configuration.
#[derive(Clone)]
pub struct BuildOptions {
    /// The store.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// Where requests go.
    pub transport: Transport,
    /// Seed of all jitter.
    pub seed: u64,
}

/// Why an engine could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An aggregator could not be made of its configuration.
    #[error("source {name:?}: {source}")]
    Aggregator {
        /// The source's name.
        name: String,
        /// What is wrong.
        source: aggregator::OpenError,
    },
}

/// Builds the engine of a configuration and records its sources in the store.
pub async fn build(config: &Config, options: BuildOptions) -> Result<Engine, BuildError> {
    let opened = open_sources(config, &options)?;
    let rows = record(config, &options).await?;
    let sources = opened.into_iter().zip(rows).zip(&config.sources);
    let sources = sources.map(|((opened, row), source)| Arc::new(source_of(config, source, &row, opened))).collect();
    let engine = Engine::new(options.store, options.clock, sources, options.seed);
    let engine = engine.with_copies(config.store.readers.clone(), config.backup.clone());
    Ok(engine.with_public_side(config.server.public.clone()))
}

/// Builds the engine of a changed configuration beside the running one of the former.
///
/// Shape: a source that did not change is the very same as before. One that did is a new one, which nobody may ask for anything
/// until [`Succession::take_over`].
/// Errors: nothing has changed then, neither here nor in the store.
pub async fn rebuild(
    config: &Config,
    former: &Config,
    running: &Engine,
    options: BuildOptions,
) -> Result<Succession, BuildError> {
    let is_same = |source: &SourceConfig| {
        let had = former.sources.iter().find(|had| had.name == source.name);
        had == Some(source) && former.schedule == config.schedule && former.server.public == config.server.public
    };
    let kept = |source: &SourceConfig| running.sources().find(|kept| is_same(source) && kept.name == source.name);
    let changed: Vec<&SourceConfig> = config.sources.iter().filter(|source| kept(source).is_none()).collect();
    let mut opened = Vec::with_capacity(changed.len());
    for source in &changed {
        opened.push(open_source(source, &options)?);
    }
    let rows = record(config, &options).await?;
    let mut opened = opened.into_iter();
    let mut sources = Vec::with_capacity(rows.len());
    for (source, row) in config.sources.iter().zip(&rows) {
        match kept(source) {
            Some(kept) => sources.push(Arc::clone(kept)),
            None => sources.extend(opened.next().map(|opened| Arc::new(source_of(config, source, row, opened)))),
        }
    }
    let engine = running.with_sources(sources).with_public_side(config.server.public.clone());
    let engine = engine.with_copies(config.store.readers.clone(), config.backup.clone());
    let replaced = running.sources().filter_map(|old| {
        let new = engine.source(old.source_id).filter(|new| !Arc::ptr_eq(old, new))?;
        Some((old.limiter.clone(), new.limiter.clone()))
    });
    Ok(Succession { replaced: replaced.collect(), engine: Arc::new(engine) })
}

/// An engine that is about to take over from another.
pub struct Succession {
    engine: Arc<Engine>,
    /// The request budgets of sources that changed, each with the one that follows it.
    replaced: Vec<(RequestLimiter, RequestLimiter)>,
}

impl Succession {
    /// Lets the new engine begin: the former one's requests count against the new budgets from now on.
    pub fn take_over(self) -> Arc<Engine> {
        for (former, successor) in &self.replaced {
            former.succeeded_by(successor);
        }
        self.engine
    }
}

fn open_sources(config: &Config, options: &BuildOptions) -> Result<Vec<Opened>, BuildError> {
    config.sources.iter().map(|source| open_source(source, options)).collect()
}

fn open_source(source: &SourceConfig, options: &BuildOptions) -> Result<Opened, BuildError> {
    aggregator::open(source, options.transport.clone(), &options.clock, options.seed)
        .map_err(|error| BuildError::Aggregator { name: source.name.clone(), source: error })
}

/// Records the configured sources in the store.
///
/// Shape: their rows, in the order of the configuration.
async fn record(config: &Config, options: &BuildOptions) -> Result<Vec<SourceRow>, BuildError> {
    let settings: Vec<SourceSettings> = config.sources.iter().map(settings_of).collect();
    let now = options.clock.now();
    Ok(options.store.write(move |txn| txn.put_sources(&settings, now)).await?)
}

fn settings_of(source: &SourceConfig) -> SourceSettings {
    let (request_limit, window) = source.quota();
    let refresh = source.refresh().unwrap_or(&RefreshConfig::NEVER);
    SourceSettings {
        name: source.name.clone(),
        aggregator: source.word().to_owned(),
        base_url: source.base_url.to_string(),
        request_limit,
        request_window_ms: i64::try_from(window.as_millis()).unwrap_or(i64::MAX),
        refreshes_per_day: refresh.per_day,
        refresh_reserve: refresh.reserve,
        refreshes_per_month: refresh.per_month,
    }
}

/// How a source's refreshes are limited by the configuration.
pub fn refresh_policy(source: &SourceConfig) -> RefreshPolicy {
    let refresh = source.refresh().unwrap_or(&RefreshConfig::NEVER);
    RefreshPolicy {
        per_day: refresh.per_day,
        reserve: refresh.reserve,
        per_month: refresh.per_month,
        lifetime_cap: None,
    }
}

fn source_of(config: &Config, source: &SourceConfig, row: &SourceRow, opened: Opened) -> Source {
    let refresh = source.refresh().unwrap_or(&RefreshConfig::NEVER);
    let refresh_policy = RefreshPolicy {
        lifetime_cap: opened.aggregator.refreshes().and_then(|refreshes| refreshes.terms().lifetime_cap),
        ..refresh_policy(source)
    };
    Source {
        refresh_policy,
        source_id: row.source_id,
        name: source.name.clone(),
        aggregator: opened.aggregator,
        limiter: opened.limiter,
        sync_schedule: source.sync_schedule.clone(),
        discover_schedule: source.discover_schedule.clone(),
        reconcile_schedule: source.reconcile_schedule.clone(),
        status_schedule: source.status_schedule().cloned(),
        max_spread: config.schedule.spread,
        overlap: source.overlap(),
        refresh_poll_first: refresh.poll_first,
        refresh_poll_max: refresh.poll_max,
        refresh_timeout: refresh.timeout,
        step_deadline: config.schedule.sync_deadline,
        webhook_address: config.server.public.as_ref().map(|public| public.webhook_address(&source.name)),
    }
}
