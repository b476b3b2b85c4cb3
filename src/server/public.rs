//! The public side: webhooks and connect pages.

mod connect;
mod intake;
mod refusals;
mod webhooks;

use axum::Router;

use super::Served;

pub use intake::{Intake, intake};

/// Everything the world may ask for; `intake` stores the webhooks.
pub fn router(served: &Served, intake: Intake) -> Router {
    Router::new().merge(webhooks::router(served, intake)).nest("/connect", connect::router(served))
}
