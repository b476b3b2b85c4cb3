//! Delivers what the aggregators announce to whoever listens, and tells them what came of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use passbook::sandbox::{OutgoingWebhook, Sandbox};
use passbook::server::Peer;
use tower::ServiceExt as _;

/// How often it is looked for letters.
const LOOK_EVERY: Duration = Duration::from_secs(11);
/// How long the aggregators wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was delivered.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Deliveries that were tried.
    pub(crate) tried: u64,
    /// Deliveries that were acknowledged.
    pub(crate) acknowledged: u64,
    /// The first that was refused, which none ever must be: its sender and its signature are good.
    pub(crate) refused: Option<String>,
}

/// Delivers for ever.
pub(crate) async fn deliver(bank: Sandbox, entrance: Arc<Mutex<Option<Router>>>, tally: Arc<Mutex<Tally>>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        for webhook in bank.take_webhooks() {
            let router = entrance.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let (id, url) = (webhook.id, webhook.url.clone());
            let status = match router {
                Some(router) => hand_over(router, webhook).await,
                None => None,
            };
            let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            tally.tried += 1;
            tally.acknowledged += u64::from(status == Some(200));
            if let Some(status) = status.filter(|status| (400..500).contains(status)) {
                tally.refused.get_or_insert_with(|| format!("{status} at {url}"));
            }
            // Now and then the answer is lost on its way: the event comes again.
            let heard = status.filter(|_| !tally.tried.is_multiple_of(13));
            bank.webhook_answered(id, heard);
        }
    }
}

async fn hand_over(router: Router, webhook: OutgoingWebhook) -> Option<u16> {
    let path = webhook.url.split_once("//")?.1.split_once('/')?.1;
    let mut request = Request::post(format!("/{path}"));
    for (name, value) in &webhook.headers {
        request = request.header(name, value);
    }
    let mut request = request.body(Body::from(webhook.body)).ok()?;
    request.extensions_mut().insert(Peer([203, 0, 113, 9].into()));
    let answer = tokio::time::timeout(PATIENCE, router.oneshot(request)).await.ok()?;
    Some(answer.unwrap_or_else(|never| match never {}).status().as_u16())
}
