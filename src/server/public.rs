//! The public side: webhooks and connect pages.

use axum::Router;

use super::Served;

/// Everything the world may ask for.
pub fn router(_served: &Served) -> Router {
    Router::new()
}
