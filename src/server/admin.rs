//! The admin side: whoever has the token sees everything here and may change what an operator may.

mod token;

use axum::Router;

use super::Served;

/// Everything an operator may ask for.
pub fn router(_served: &Served) -> Router {
    Router::new()
}
