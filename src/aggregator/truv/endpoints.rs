//! Where Truv sends webhooks.
//!
//! Source: upstream/truv.md section 13.1. The list is the account's, whatever the key: only what belongs to the key's
//! environment concerns us.

use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::{Truv, webhook};
use crate::aggregator::loose::Loose;
use crate::aggregator::{CallContext, CallError, WebhookEndpoint};
use crate::http::HttpError;

const WEBHOOKS: &str = "/v1/webhooks/";
/// What the endpoint is called in Truv's dashboard.
const NAME: &str = "passbook";

#[derive(Debug, Deserialize)]
struct Endpoint<'a> {
    id: String,
    #[serde(borrow, default)]
    webhook_url: Loose<'a>,
    #[serde(borrow, default)]
    env_type: Loose<'a>,
    /// Only in the newest generation.
    enabled: Option<bool>,
}

impl Truv {
    pub(in crate::aggregator) async fn webhook_endpoints(
        &self,
        context: &CallContext,
    ) -> Result<Vec<WebhookEndpoint>, CallError> {
        let mut endpoints = Vec::new();
        self.list(context, WEBHOOKS, &[], "the list of webhooks", |raw| {
            let Ok(endpoint) = serde_json::from_str::<Endpoint<'_>>(raw.get()) else {
                return;
            };
            if endpoint.env_type.text().is_none_or(|env| env == self.env_type()) {
                endpoints.push(WebhookEndpoint {
                    upstream_id: endpoint.id,
                    url: endpoint.webhook_url.text().unwrap_or_default(),
                    is_enabled: endpoint.enabled.unwrap_or(true),
                });
            }
        })
        .await?;
        Ok(endpoints)
    }

    /// Shape: `false`: the address is there already, which Truv says of `env_type`.
    pub(in crate::aggregator) async fn create_webhook_endpoint(
        &self,
        context: &CallContext,
        address: &Url,
    ) -> Result<bool, CallError> {
        let body = json!({
            "name": NAME, "webhook_url": address.as_str(), "env_type": self.env_type(), "events": webhook::EVENTS,
        });
        match context.counted(self.0.door.post(WEBHOOKS, &body, context.lane).await) {
            Ok(_) => Ok(true),
            Err(HttpError::Refused { status: 400, document, .. })
                if document.fields.iter().any(|problem| problem.field == "env_type") =>
            {
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(in crate::aggregator) async fn enable_webhook_endpoint(
        &self,
        context: &CallContext,
        id: &str,
    ) -> Result<(), CallError> {
        let path = format!("{WEBHOOKS}{id}/");
        context.counted(self.0.door.patch(&path, &json!({ "enabled": true }), context.lane).await)?;
        Ok(())
    }
}
