//! From a configured credential to an aggregator with its request budget.

use crate::clock::Clock;
use crate::config::{AggregatorConfig, SourceConfig};
use crate::http::{DoorError, Transport};
use crate::limits::requests::RequestLimiter;

use super::{Aggregator, Kind, truv};

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
pub fn open(source: &SourceConfig, transport: Transport, clock: Clock, seed: u64) -> Result<Opened, OpenError> {
    let (kind, limiter) = match &source.aggregator {
        AggregatorConfig::Truv(config) => {
            let (truv, limiter) = truv::open(source, config, transport, clock, seed)?;
            (Kind::Truv(truv), limiter)
        }
    };
    Ok(Opened { aggregator: Aggregator(kind), limiter })
}
