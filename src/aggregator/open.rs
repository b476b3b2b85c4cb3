//! From a configured credential to an aggregator with its request budget.

use http::HeaderMap;

use crate::clock::Clock;
use crate::config::{AggregatorConfig, SourceConfig};
use crate::http::{Dialect, Door, DoorError, DoorOptions, Timeouts, Transport};
use crate::limits::requests::{DEFAULT_MARGIN_PERCENT, Quota, RequestLimiter};

use super::bridge::{self, Bridge};
use super::truv::{self, Truv};
use super::{Aggregator, Kind};

/// An aggregator ready to be asked.
pub struct Opened {
    /// The aggregator.
    pub aggregator: Aggregator,
    /// What its requests are paced by.
    pub limiter: RequestLimiter,
}

/// Why no aggregator could be made of a configuration.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The door to the aggregator could not be made.
    #[error(transparent)]
    Door(#[from] DoorError),
    /// The credentials hold characters that no HTTP header can.
    #[error("an id or secret holds a character that cannot be sent in a header; copy it again")]
    Credentials,
}

/// Makes the aggregator of one configured credential; sends nothing.
pub fn open(source: &SourceConfig, transport: Transport, clock: &Clock, seed: u64) -> Result<Opened, OpenError> {
    let (requests, window) = source.quota();
    let quota = Quota { requests, window };
    let scopes = match &source.aggregator {
        AggregatorConfig::Truv(_) => Vec::new(),
        AggregatorConfig::Bridge(config) => bridge::scopes(config.user_requests_per_minute),
    };
    let margin = DEFAULT_MARGIN_PERCENT;
    let limiter = RequestLimiter::with_scopes(quota, scopes, margin, source.backfill_share, clock.clone());
    let door = |headers: Option<HeaderMap>, dialect: Dialect| {
        Ok::<_, OpenError>(Door::new(DoorOptions {
            origin: source.base_url.clone(),
            headers: headers.ok_or(OpenError::Credentials)?,
            transport,
            limiter: limiter.clone(),
            dialect,
            clock: clock.clone(),
            timeouts: Timeouts::default(),
            seed,
        })?)
    };
    let kind = match &source.aggregator {
        AggregatorConfig::Truv(config) => {
            let headers = truv::headers(&config.client_id, &config.access_secret);
            let is_development = truv::is_development_secret(config.access_secret.expose());
            let signing = truv::Signing::new(&config.access_secret, &config.webhook_secrets);
            let widget = truv::Widget::new(config.widget_url.clone(), &source.base_url);
            let door = door(headers, truv::dialect())?;
            Kind::Truv(Truv::new(door, source.page_size(), is_development, signing, widget))
        }
        AggregatorConfig::Bridge(config) => {
            let headers = bridge::headers(&config.client_id, &config.client_secret, &config.accept_language);
            let door = door(headers, bridge::DIALECT)?;
            let webhook_secrets = config.webhook_secrets.clone();
            Kind::Bridge(Bridge::new(door, source.page_size(), clock.clone(), webhook_secrets))
        }
    };
    Ok(Opened { aggregator: Aggregator(kind), limiter })
}
