//! `POST /webhooks/{source}`: what an aggregator announces, stored and committed before it is acknowledged.
//!
//! A webhook is the aggregator's if its signature says so; a list of addresses may narrow down who is listened to at all.
//! Nothing is made of an event here but a row in the store. An answer other than 200 has it sent again.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::header::{CONNECTION, CONTENT_LENGTH, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use ipnet::IpNet;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::Intake;
use super::intake::NotStored;
use crate::aggregator::SignatureError;
use crate::server::peer::{self, Peer};
use crate::server::{Receipt, Served, Tally};
use crate::store::NewEvent;
use crate::sync::{Engine, Source};

/// Bytes of a webhook; real ones have less than two kilobytes.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// How long a webhook's body may take to arrive. Who sends slowly holds a connection.
const BODY_DEADLINE: Duration = Duration::from_secs(3);
/// When an aggregator is to try again what could not be stored, in seconds.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("10");
const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// What every webhook is received with. Cheap to clone.
#[derive(Clone)]
struct Reception {
    engine: Arc<Engine>,
    entrances: Arc<HashMap<String, Entrance>>,
    trusted_proxies: Arc<[IpNet]>,
    intake: Intake,
    tally: Arc<Tally>,
}

/// Where the webhooks of one source come in.
struct Entrance {
    source: Arc<Source>,
    /// From where; empty: from anywhere.
    addresses: Vec<IpNet>,
}

/// Why a webhook is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    UnknownSource,
    Address,
    TooLarge,
    TooSlow,
    CutShort,
    Signature(SignatureError),
    NotJson,
    Full,
    Store,
}

impl Refusal {
    fn status(self) -> StatusCode {
        match self {
            Self::UnknownSource => StatusCode::NOT_FOUND,
            Self::Address => StatusCode::FORBIDDEN,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::CutShort | Self::NotJson => StatusCode::BAD_REQUEST,
            Self::Signature(_) => StatusCode::UNAUTHORIZED,
            Self::Full | Self::Store => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::UnknownSource => "no such source",
            Self::Address => "it comes from an address that is not in webhook_addresses",
            Self::TooLarge => "it is too large",
            Self::TooSlow => "it arrived too slowly",
            Self::CutShort => "it ended too early",
            Self::Signature(error) => error.as_str(),
            Self::NotJson => "it is no JSON object",
            Self::Full => "too many wait to be stored",
            Self::Store => "it could not be stored",
        }
    }

    fn answer(self) -> Response {
        let mut response = (self.status(), self.reason()).into_response();
        match self {
            Self::Full | Self::Store => {
                response.headers_mut().insert(RETRY_AFTER, RETRY_SECONDS);
            }
            // The rest of the body is not waited for.
            Self::TooLarge | Self::TooSlow => {
                response.headers_mut().insert(CONNECTION, CLOSE);
            }
            Self::UnknownSource | Self::Address | Self::CutShort | Self::Signature(_) | Self::NotJson => {}
        }
        response
    }
}

pub(super) fn router(served: &Served, intake: Intake) -> Router {
    let entrances = served.config.sources.iter().filter_map(|config| {
        let source = served.engine.sources().find(|source| source.name == config.name)?;
        let entrance = Entrance { source: Arc::clone(source), addresses: config.webhook_addresses.clone() };
        Some((config.name.clone(), entrance))
    });
    let reception = Reception {
        engine: Arc::clone(&served.engine),
        entrances: Arc::new(entrances.collect()),
        trusted_proxies: served.config.server.trusted_proxies.clone().into(),
        intake,
        tally: Arc::clone(&served.tally),
    };
    Router::new().route("/webhooks/{source}", post(receive)).with_state(reception)
}

async fn receive(
    State(reception): State<Reception>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let peer = request.extensions().get::<Peer>().copied();
    let client = peer.and_then(|peer| peer::client_address(peer, request.headers(), &reception.trusted_proxies));
    let entrance = path.ok().and_then(|Path(name)| reception.entrances.get(&name));
    let taken = match entrance {
        Some(entrance) => reception.take(entrance, client, request).await,
        None => Err(Refusal::UnknownSource),
    };
    reception.tally.webhook(entrance.map(|entrance| entrance.source.source_id), receipt(taken));
    match taken {
        Ok(is_new) => {
            tracing::debug!(source = entrance.map(|e| e.source.name.as_str()), is_new, "webhook");
            StatusCode::OK.into_response()
        }
        Err(refusal) => {
            let source = entrance.map(|entrance| entrance.source.name.as_str());
            reception.intake.refusals().note(source, refusal.reason(), client);
            refusal.answer()
        }
    }
}

/// What monitoring counts it as.
fn receipt(taken: Result<bool, Refusal>) -> Receipt {
    match taken {
        Ok(true) => Receipt::Stored,
        Ok(false) => Receipt::Repeated,
        Err(Refusal::Full | Refusal::Store) => Receipt::Failed,
        Err(
            Refusal::UnknownSource
            | Refusal::Address
            | Refusal::TooLarge
            | Refusal::TooSlow
            | Refusal::CutShort
            | Refusal::Signature(_)
            | Refusal::NotJson,
        ) => Receipt::Refused,
    }
}

impl Reception {
    /// Takes one webhook; returns whether it is new once it is stored for good, or false if it is not to be stored.
    async fn take(&self, entrance: &Entrance, client: Option<IpAddr>, request: Request) -> Result<bool, Refusal> {
        let addresses = &entrance.addresses;
        if !addresses.is_empty() && !client.is_some_and(|client| peer::is_within(client, addresses)) {
            return Err(Refusal::Address);
        }
        let received_at = self.engine.clock().now();
        let (parts, body) = request.into_parts();
        let body = read(&parts.headers, body).await?;
        let webhooks = entrance.source.aggregator.webhooks();
        webhooks.verify(&parts.headers, &body).map_err(Refusal::Signature)?;
        let (digest, text) = digest(&body).ok_or(Refusal::NotJson)?;
        let announcement = webhooks.read(&body).ok_or(Refusal::NotJson)?;
        let event = NewEvent {
            source_id: entrance.source.source_id,
            digest,
            link: announcement.link().map(str::to_owned),
            user: announcement.user,
            event_type: announcement.event_type,
            announced_at: announcement.announced_at,
            received_at,
            body: text.to_owned(),
        };
        self.intake.store(event).await.map_err(|not_stored| match not_stored {
            NotStored::Full => Refusal::Full,
            NotStored::Store => Refusal::Store,
        })
    }
}

/// Reads a body that is neither too large nor too slow.
async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes, Refusal> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > MAX_BODY_BYTES) {
        return Err(Refusal::TooLarge);
    }
    let collected = tokio::time::timeout(BODY_DEADLINE, Limited::new(body, MAX_BODY_BYTES).collect()).await;
    match collected {
        Err(_) => Err(Refusal::TooSlow),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::TooLarge),
        Ok(Err(_)) => Err(Refusal::CutShort),
        Ok(Ok(body)) => Ok(body.to_bytes()),
    }
}

/// What the same event has in common however often it is sent, and its text; `None` for what is no JSON object.
///
/// Of the content rather than the bytes, and not of an id in it: whether one names the event or the attempt to deliver it
/// is not documented (upstream/truv.md section 20, 28).
fn digest(body: &[u8]) -> Option<([u8; 32], &str)> {
    let mut value: Value = serde_json::from_slice(body).ok().filter(Value::is_object)?;
    value.sort_all_objects();
    let sorted = serde_json::to_vec(&value).ok()?;
    Some((Sha256::digest(&sorted).into(), std::str::from_utf8(body).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_content_has_the_same_digest() {
        let of = |text: &str| digest(text.as_bytes()).map(|(digest, _)| digest);
        let one = of(r#"{"a":1,"b":{"c":[1,2],"d":null}}"#);
        assert!(one.is_some());
        assert_eq!(one, of(" { \"b\" : {\"d\":null, \"c\":[1, 2]}, \"a\":1 }\n"));
        assert_ne!(one, of(r#"{"a":1,"b":{"c":[2,1],"d":null}}"#));
        assert_ne!(one, of(r#"{"a":1,"b":{"c":[1,2]}}"#));
        for no_object in ["", "[]", "1", "{", r#"{"a":"\ud800"}"#, "{} {}"] {
            assert_eq!(of(no_object), None, "{no_object}");
        }
    }
}
