//! Control with the token: the same orders as over the local socket, and the state of everything.

use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};

use super::Admin;
use super::script::Script;
use crate::server::control::{Order, attend};
use crate::server::listen::REQUEST_DEADLINE;
use crate::server::status::{Seen, StatusReport, TroubleJson};
use crate::store::StoreLock;

/// Bytes of an order: it may name a few thousand links.
const MAX_ORDER_BYTES: usize = 64 * 1024;
/// How long whoever sent an order waits for what came of it: before the request as a whole is given up without a word.
const ANSWERED_WITHIN: Duration = REQUEST_DEADLINE.saturating_sub(Duration::from_secs(5));
/// What is said then. A backup or a reload goes on by itself; what waits for an aggregator may have been given up.
const STILL_UNDER_WAY: &str = "the order takes long and may still be under way: do not send it again before \
                               `passbook status` or the log says what came of it\n";

pub(super) fn router() -> Router<Admin> {
    Router::new()
        .route("/control/order", post(order).layer(DefaultBodyLimit::max(MAX_ORDER_BYTES)))
        .route("/control/status", get(status))
}

/// Carries out an order. What it says is logged nowhere: it may name customers.
async fn order(script: Script, State(admin): State<Admin>, order: Result<Json<Order>, JsonRejection>) -> Response {
    match order {
        Ok(Json(order)) => in_time(attend(&admin.served, order)).await,
        Err(rejection) => {
            let status = rejection.status();
            tracing::warn!(client = script.client, http.status = status.as_u16(), "an order was refused");
            (status, rejection.body_text()).into_response()
        }
    }
}

/// What came of an order, or that nobody knows yet. Not with 408, after which some clients send the same again by themselves.
async fn in_time(answer: impl Future<Output: IntoResponse>) -> Response {
    match tokio::time::timeout(ANSWERED_WITHIN, answer).await {
        Ok(answer) => answer.into_response(),
        Err(_) => (StatusCode::GATEWAY_TIMEOUT, STILL_UNDER_WAY).into_response(),
    }
}

/// What `passbook status --json` prints.
async fn status(_: Script, State(admin): State<Admin>) -> Response {
    let (store, now) = (admin.served.engine.store(), admin.served.engine.clock().now());
    match store.read(move |txn| Seen::read(txn, usize::MAX, now)).await {
        Ok(seen) => {
            let path = store.path();
            let trouble = TroubleJson::of(store, now);
            let report = StatusReport::new(path.display().to_string(), StoreLock::holder(path), trouble, seen);
            ([(CACHE_CONTROL, "no-store")], Json(report)).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "the status could not be read");
            (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_order_that_takes_long_is_answered_with_where_to_look() {
        let patient = tokio::time::timeout(REQUEST_DEADLINE, in_time(std::future::pending::<StatusCode>()));
        let answer = patient.await.expect("answered before the request is given up");
        assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
        let body = axum::body::to_bytes(answer.into_body(), 1_000).await.expect("a body");
        let said = String::from_utf8_lossy(&body);
        assert!(said.contains("still be under way") && said.contains("passbook status"), "{said}");
        let quick = in_time(async { (StatusCode::CONFLICT, "no such link") }).await;
        assert_eq!(quick.status(), StatusCode::CONFLICT);
    }
}
