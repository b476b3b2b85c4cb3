//! From a configuration and an open store to an engine: one door, limiter and source per configured credential.

use std::sync::Arc;

use crate::aggregator;
use crate::clock::Clock;
use crate::config::{Config, RefreshConfig, SourceConfig};
use crate::http::Transport;
use crate::limits::refreshes::RefreshPolicy;
use crate::store::{SourceRow, SourceSettings, Store, StoreError};
use crate::sync::{Engine, Source};

/// What an engine is built from besides its configuration.
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
    let settings: Vec<SourceSettings> = config.sources.iter().map(settings_of).collect();
    let now = options.clock.now();
    let rows = options.store.write(move |txn| txn.put_sources(&settings, now)).await?;
    let mut sources = Vec::with_capacity(rows.len());
    for (source, row) in config.sources.iter().zip(rows) {
        sources.push(Arc::new(source_of(config, source, &row, &options)?));
    }
    let engine = Engine::new(options.store, options.clock, sources, options.seed);
    let engine = engine.with_copies(config.store.readers.clone(), config.backup.clone());
    Ok(engine.with_public_side(config.server.public.clone()))
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

fn source_of(
    config: &Config,
    source: &SourceConfig,
    row: &SourceRow,
    options: &BuildOptions,
) -> Result<Source, BuildError> {
    let opened = aggregator::open(source, options.transport.clone(), &options.clock, options.seed)
        .map_err(|error| BuildError::Aggregator { name: source.name.clone(), source: error })?;
    let refresh = source.refresh().unwrap_or(&RefreshConfig::NEVER);
    let refresh_policy = RefreshPolicy {
        lifetime_cap: opened.aggregator.refreshes().and_then(|refreshes| refreshes.terms().lifetime_cap),
        ..refresh_policy(source)
    };
    Ok(Source {
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
    })
}
