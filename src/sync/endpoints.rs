//! Are webhooks sent to us? Aggregators switch an address off that fails for too long, and then nothing tells.

use super::{Engine, Source, Stop};
use crate::aggregator::CallContext;
use crate::limits::requests::Lane;
use crate::model::EndpointState;
use crate::store::StoreError;

impl Source {
    /// Whether there is an address that webhooks are to be sent to, and an aggregator that says whether they are.
    pub fn can_check_webhook_endpoint(&self) -> bool {
        self.webhook_address.is_some() && self.aggregator.webhook_endpoints().is_some()
    }
}

impl Engine {
    /// Asks the aggregator how it lists our address for webhooks, and notes the answer.
    ///
    /// Shape: `None` where nothing can be asked, or no answer came: it is asked again later.
    pub async fn check_webhook_endpoint(&self, source: &Source) -> Result<Option<EndpointState>, StoreError> {
        let (Some(endpoints), Some(address)) = (source.aggregator.webhook_endpoints(), &source.webhook_address) else {
            return Ok(None);
        };
        let state = match endpoints.state(&CallContext::new(Lane::Scheduled), address).await {
            Ok(state) => state,
            Err(error) => {
                tracing::info!(
                    source = %source.name, error = %Stop::from(error),
                    "the aggregator could not be asked where it sends webhooks; it is asked again"
                );
                return Ok(None);
            }
        };
        let word = match state {
            EndpointState::Enabled => None,
            EndpointState::Disabled => Some("switched it off"),
            EndpointState::Missing => Some("does not list it"),
        };
        if let Some(word) = word {
            tracing::warn!(
                source = %source.name, address = %address,
                "no webhooks come to this address, because the aggregator {word}; run `passbook webhooks register`"
            );
        }
        let (source_id, now) = (source.source_id, self.clock.now());
        self.store.write(move |txn| txn.webhook_endpoint_checked(source_id, state, now)).await?;
        Ok(Some(state))
    }
}
