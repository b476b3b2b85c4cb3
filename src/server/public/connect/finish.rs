//! `POST …/finish`: takes the public token that the widget handed over.
//!
//! Our own script asks and reads the answer: `{"next": path}` where it goes on, or `{"error": word, "message": text}`.

use std::fmt;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::json;

use super::refusal::Refusal;
use super::settle::{self, Settled, Sought};
use super::visit::Visit;
use crate::aggregator::{CallContext, CallError, ExchangeError};
use crate::http::TransientCause;
use crate::limits::requests::Lane;
use crate::secret::Secret;
use crate::store::{InviteState, StoreError};

/// How long a customer waits for the exchange.
const DEADLINE: Duration = Duration::from_secs(15);
/// No aggregator's public token is longer.
const MAX_PUBLIC_TOKEN_BYTES: usize = 512;

/// What the page sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Finish {
    public_token: String,
}

pub(super) async fn finish(visit: Visit, body: Result<Json<Finish>, JsonRejection>) -> Response {
    match public_token(&visit, body) {
        Err(refusal) => refuse(&visit, refusal, None),
        Ok(public_token) => match finished(&visit, &public_token).await {
            Ok(Settled::Connected | Settled::Later) => answer(StatusCode::OK, &json!({ "next": visit.path("/done") })),
            Ok(Settled::UsedAlready) => refuse(&visit, Refusal::Used, None),
            Ok(Settled::NotTheirs) => refuse(&visit, Refusal::NotTheirs, None),
            Ok(Settled::Nothing) => refuse(&visit, Refusal::TokenExpired, None),
            Err(error) => refuse(&visit, Refusal::Busy, Some(&error)),
        },
    }
}

/// The token in a request that may be made now.
fn public_token(visit: &Visit, body: Result<Json<Finish>, JsonRejection>) -> Result<Secret, Refusal> {
    match visit.invite.state {
        InviteState::Used => return Err(Refusal::Used),
        InviteState::Revoked => return Err(Refusal::Revoked),
        InviteState::Expired if !visit.is_under_way() => return Err(Refusal::Expired),
        InviteState::Open | InviteState::Exhausted | InviteState::Expired if visit.is_under_way() => {}
        InviteState::Open | InviteState::Exhausted | InviteState::Expired => return Err(Refusal::NotBegun),
    }
    let Json(finish) = body.map_err(|rejection| match rejection.status() {
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Refusal::NotJson,
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::TooLarge,
        _ => Refusal::Malformed,
    })?;
    let text = finish.public_token;
    let is_token =
        !text.is_empty() && text.len() <= MAX_PUBLIC_TOKEN_BYTES && text.bytes().all(|b| b.is_ascii_graphic());
    if is_token { Ok(Secret::new(text)) } else { Err(Refusal::Malformed) }
}

/// Exchanges the token, once. Whatever else comes of it than a link is looked for among the customer's links, which tell what
/// an exchange would have: also after its answer was lost, or we were.
async fn finished(visit: &Visit, public_token: &Secret) -> Result<Settled, StoreError> {
    let Some(source) = visit.source() else {
        return settle::later(visit).await;
    };
    let context = CallContext::new(Lane::Person);
    let connect = source.aggregator.connect();
    let timed_out = Err(ExchangeError::OutcomeUnknown(TransientCause::TimedOut));
    let exchange = connect.exchange(&context, public_token);
    let sought = match tokio::time::timeout(DEADLINE, exchange).await.unwrap_or(timed_out) {
        Ok(exchanged) => Sought::Exchanged { link: exchanged.link, access_token: exchanged.access_token },
        Err(error) => {
            visit.note(&error.to_string()).await;
            tracing::info!(
                %error, source = %source.name, invite.id = visit.invite.invite_id,
                "a public token was not exchanged; the customer's links are looked at instead"
            );
            if let ExchangeError::Call(CallError::RateLimited { .. }) = error {
                return settle::later(visit).await;
            }
            Sought::News
        }
    };
    settle::settle(visit, source, sought).await
}

fn refuse(visit: &Visit, refusal: Refusal, error: Option<&dyn fmt::Display>) -> Response {
    refusal.log(Some(visit.invite.invite_id), error);
    let (_, message) = refusal.text(visit.words());
    let mut body = json!({ "error": refusal.as_str(), "message": message });
    if !refusal.lets_retry() {
        body["next"] = json!(visit.path(""));
    }
    answer(refusal.status(), &body)
}

fn answer(status: StatusCode, body: &serde_json::Value) -> Response {
    (status, [(CACHE_CONTROL, "no-store"), (X_CONTENT_TYPE_OPTIONS, "nosniff")], Json(body)).into_response()
}
