//! The public side: webhooks and connect pages.

mod connect;

use axum::Router;

use super::Served;

/// Everything the world may ask for.
pub fn router(served: &Served) -> Router {
    Router::new().nest("/connect", connect::router(served))
}
