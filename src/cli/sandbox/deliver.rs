//! Delivers what the made-up bank announces, over the network, as the aggregators do: a few at a time, with a deadline.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::Client;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::http::install_crypto;
use crate::sandbox::{OutgoingWebhook, Sandbox};

/// How often it looks for something to deliver.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long an endpoint may take to answer (both aggregators' documents say as much).
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);
/// Deliveries at once.
const MAX_AT_ONCE: usize = 8;

/// Delivers until `stop` is cancelled; what is under way then is dropped.
pub(in crate::cli) async fn deliver(bank: Sandbox, stop: CancellationToken) -> anyhow::Result<()> {
    install_crypto();
    let client = || Client::builder().no_proxy().timeout(ANSWER_DEADLINE);
    // A machine without a list of certificate authorities can still be reached by itself.
    let client =
        client().build().or_else(|_| client().tls_certs_only([]).build()).context("cannot deliver webhooks")?;
    let mut waiting: VecDeque<OutgoingWebhook> = VecDeque::new();
    let mut under_way = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(LOOK_EVERY), if waiting.is_empty() => waiting.extend(bank.take_webhooks()),
            Some(_) = under_way.join_next(), if !under_way.is_empty() => {}
        }
        while under_way.len() < MAX_AT_ONCE
            && let Some(webhook) = waiting.pop_front()
        {
            under_way.spawn(post(client.clone(), bank.clone(), webhook));
        }
    }
}

async fn post(client: Client, bank: Sandbox, webhook: OutgoingWebhook) {
    let mut request = client.post(&webhook.url).body(webhook.body);
    for (name, value) in &webhook.headers {
        request = request.header(name, value);
    }
    let answer = request.send().await;
    bank.webhook_answered(webhook.id, answer.ok().map(|answer| answer.status().as_u16()));
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::http::{HeaderMap, StatusCode};
    use axum::routing::post;
    use tokio::net::TcpListener;

    use super::*;
    use crate::clock::Clock;

    #[tokio::test]
    async fn what_an_endpoint_refuses_is_posted_again_until_it_is_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let bank = Sandbox::new(Clock::system(), 1);
        bank.settings(|settings| settings.webhooks.truv_retries = vec![Duration::from_millis(1); 3]);
        bank.set_truv_webhook(&url);
        bank.add_link(bank.add_user("customer-1"), "chase");
        let (calls, stop) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
        let received = Arc::new(Mutex::new(Vec::new()));
        let (counted, kept, done) = (Arc::clone(&calls), Arc::clone(&received), stop.clone());
        let answer = move |headers: HeaderMap, body: String| async move {
            kept.lock().expect("no panic").push((headers["x-webhook-sign"].clone(), body));
            if counted.fetch_add(1, Ordering::Relaxed) < 2 {
                return StatusCode::SERVICE_UNAVAILABLE;
            }
            done.cancel();
            StatusCode::OK
        };
        let server = async { axum::serve(listener, Router::new().route("/hook", post(answer))).await };
        tokio::select! {
            ended = server => panic!("the server ended: {ended:?}"),
            delivered = deliver(bank, stop) => delivered.expect("a client"),
            () = tokio::time::sleep(Duration::from_secs(20)) => panic!("nothing came"),
        }
        let received = received.lock().expect("no panic");
        assert_eq!(received.len(), 3);
        assert!(received.iter().all(|one| *one == received[0]) && received[0].1.contains("link-connected"));
    }
}
