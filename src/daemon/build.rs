//! From a configuration and an open store to an engine: one door, limiter and source per configured credential.

use std::sync::Arc;

use crate::aggregator::{self, Aggregator, Truv};
use crate::clock::Clock;
use crate::config::{AggregatorConfig, Config, RefreshConfig, SourceConfig};
use crate::http::{Door, DoorError, DoorOptions, Timeouts, Transport};
use crate::limits::refreshes::RefreshPolicy;
use crate::limits::requests::{DEFAULT_MARGIN_PERCENT, Quota, RequestLimiter};
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
    /// The door to the aggregator could not be made.
    #[error("source {name:?}: {source}")]
    Door {
        /// The source's name.
        name: String,
        /// What is wrong.
        source: DoorError,
    },
    /// The credentials hold characters that no HTTP header can.
    #[error("source {name:?}: client_id or secret holds a character that cannot be sent in a header; copy it again")]
    Credentials {
        /// The source's name.
        name: String,
    },
    /// The configuration knows the aggregator and the engine does not: leave the source out.
    #[error("source {name:?}: aggregator {aggregator:?} is not supported yet; remove the source")]
    Unsupported {
        /// The source's name.
        name: String,
        /// The aggregator's word.
        aggregator: &'static str,
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

/// Makes the aggregator of one configured credential, with the request budget that goes with it.
pub fn aggregator_of(
    source: &SourceConfig,
    transport: Transport,
    clock: Clock,
    seed: u64,
) -> Result<(Aggregator, RequestLimiter), BuildError> {
    let truv = match &source.aggregator {
        AggregatorConfig::Truv(truv) => truv,
        AggregatorConfig::Bridge(_) => {
            return Err(BuildError::Unsupported { name: source.name.clone(), aggregator: source.word() });
        }
    };
    let (requests, window) = source.quota();
    let quota = Quota { requests, window };
    let limiter = RequestLimiter::new(quota, DEFAULT_MARGIN_PERCENT, source.backfill_share, clock.clone());
    let headers = aggregator::truv_headers(&truv.client_id, &truv.access_secret)
        .ok_or_else(|| BuildError::Credentials { name: source.name.clone() })?;
    let door = Door::new(DoorOptions {
        origin: source.base_url.clone(),
        headers,
        transport,
        limiter: limiter.clone(),
        dialect: aggregator::truv_dialect(),
        clock,
        timeouts: Timeouts::default(),
        seed,
    })
    .map_err(|error| BuildError::Door { name: source.name.clone(), source: error })?;
    let is_development = aggregator::is_development_secret(truv.access_secret.expose());
    Ok((Aggregator::Truv(Truv::new(door, source.page_size(), is_development)), limiter))
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
    let (aggregator, limiter) = aggregator_of(source, options.transport.clone(), options.clock.clone(), options.seed)?;
    let refresh = source.refresh().unwrap_or(&RefreshConfig::NEVER);
    let refresh_policy = RefreshPolicy {
        lifetime_cap: aggregator.refresh_terms().and_then(|terms| terms.lifetime_cap),
        ..refresh_policy(source)
    };
    Ok(Source {
        refresh_policy,
        source_id: row.source_id,
        name: source.name.clone(),
        aggregator,
        limiter,
        sync_schedule: source.sync_schedule.clone(),
        discover_schedule: source.discover_schedule.clone(),
        reconcile_schedule: source.reconcile_schedule.clone(),
        max_spread: config.schedule.spread,
        overlap: source.overlap(),
        refresh_poll_first: refresh.poll_first,
        refresh_poll_max: refresh.poll_max,
        refresh_timeout: refresh.timeout,
        step_deadline: config.schedule.sync_deadline,
    })
}
