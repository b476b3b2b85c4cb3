//! From a configuration and an open store to an engine: one door, limiter and source per configured credential.

use std::sync::Arc;

use crate::aggregator;
use crate::clock::Clock;
use crate::config::{AggregatorConfig, Config, SourceConfig};
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
    Ok(Engine::new(options.store, options.clock, sources, options.seed))
}

fn settings_of(source: &SourceConfig) -> SourceSettings {
    let AggregatorConfig::Truv(truv) = &source.aggregator;
    SourceSettings {
        name: source.name.clone(),
        aggregator: source.aggregator.word().to_owned(),
        base_url: source.base_url.to_string(),
        request_limit: truv.requests_per_minute,
        request_window_ms: 60_000,
        refreshes_per_day: truv.refreshes_per_day,
        refresh_reserve: truv.refresh_reserve,
        refreshes_per_month: truv.refreshes_per_month,
    }
}

/// How a source's refreshes are limited by the configuration.
pub fn refresh_policy(source: &SourceConfig) -> RefreshPolicy {
    let AggregatorConfig::Truv(truv) = &source.aggregator;
    RefreshPolicy {
        per_day: truv.refreshes_per_day,
        reserve: truv.refresh_reserve,
        per_month: truv.refreshes_per_month,
        lifetime_cap: None,
    }
}

fn source_of(
    config: &Config,
    source: &SourceConfig,
    row: &SourceRow,
    options: &BuildOptions,
) -> Result<Source, BuildError> {
    let opened = aggregator::open(source, options.transport.clone(), options.clock.clone(), options.seed)
        .map_err(|error| BuildError::Aggregator { name: source.name.clone(), source: error })?;
    let AggregatorConfig::Truv(truv) = &source.aggregator;
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
        max_spread: config.schedule.spread,
        overlap: truv.overlap,
        refresh_poll_first: truv.refresh_poll_first,
        refresh_poll_max: truv.refresh_poll_max,
        refresh_timeout: truv.refresh_timeout,
        step_deadline: config.schedule.sync_deadline,
    })
}
