//! Control with the token: the same orders as over the local socket, and the state of everything.

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};

use super::Admin;
use super::script::Script;
use crate::server::control::{Order, attend};
use crate::server::status::{Seen, StatusReport, TroubleJson};
use crate::store::StoreLock;

/// Bytes of an order: it may name a few thousand links.
const MAX_ORDER_BYTES: usize = 64 * 1024;

pub(super) fn router() -> Router<Admin> {
    Router::new()
        .route("/control/order", post(order).layer(DefaultBodyLimit::max(MAX_ORDER_BYTES)))
        .route("/control/status", get(status))
}

/// Carries out an order. What it says is logged nowhere: it may name customers.
async fn order(script: Script, State(admin): State<Admin>, order: Result<Json<Order>, JsonRejection>) -> Response {
    match order {
        Ok(Json(order)) => attend(&admin.served, order).await.into_response(),
        Err(rejection) => {
            let status = rejection.status();
            tracing::warn!(client = script.client, http.status = status.as_u16(), "an order was refused");
            (status, rejection.body_text()).into_response()
        }
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
