//! `GET /metrics`: how everything is, for Prometheus, in the OpenMetrics text format.
//!
//! Everything is read anew for each scrape, in one read transaction and from the limiters, and put on a sheet; nothing here
//! keeps count, so that two scrapers see the same. Labels are names from the configuration and words of ours, never a customer,
//! a link or a bank: their number is bounded whatever comes in.

mod copies;
mod process;
mod sheet;
mod sources;

use std::fmt;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tokio::time::Instant;

use self::sheet::Sheet;
use super::Admin;
use super::script::Script;
use crate::limits::refreshes::month_began;
use crate::server::Served;
use crate::store::{Figures, StoreError};

/// The format, as scrapers ask for it.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) fn router() -> Router<Admin> {
    Router::new().route("/metrics", get(scrape))
}

async fn scrape(_: Script, State(admin): State<Admin>) -> Response {
    match reading(&admin.served).await {
        Ok(text) => ([(CONTENT_TYPE, OPEN_METRICS), (CACHE_CONTROL, "no-store")], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics could not be read");
            (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response()
        }
    }
}

/// Why there are no metrics.
#[derive(Debug, thiserror::Error)]
enum ScrapeError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the metrics could not be written down")]
    Format(#[from] fmt::Error),
}

async fn reading(served: &Served) -> Result<String, ScrapeError> {
    let (began, now) = (Instant::now(), served.engine.clock().now());
    let figures: Figures = served.engine.store().read(move |txn| txn.figures(now, month_began(now))).await?;
    let mut sheet = Sheet::default();
    sources::put(&mut sheet, served, &figures, now);
    process::put(&mut sheet, served, &figures, now);
    copies::put(&mut sheet, served, &figures, now);
    process::put_duration(&mut sheet, began.elapsed());
    Ok(sheet.into_text()?)
}
