//! The admin side: whoever has the token sees everything here and may change what an operator may.
//!
//! A browser logs in with the token and then carries a signed session; scripts send the token with each request. What must
//! stay true: without one of the two nothing is shown but the login page, and nothing changes through a request that another
//! site could have made a browser send.

mod assets;
mod change;
mod door;
mod frame;
mod health;
mod metrics;
mod orders;
mod script;
mod session;
mod token;
mod visitor;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use jiff::tz::TimeZone;

use self::session::Sessions;
use self::token::Gate;
use super::Served;

/// Bytes of a form: a few short fields.
const MAX_FORM_BYTES: usize = 16 * 1024;

/// What every request of the admin side is answered from. Cheap to clone.
#[derive(Clone)]
struct Admin {
    served: Served,
    gate: Arc<Gate>,
    sessions: Arc<Sessions>,
}

impl Admin {
    /// The zone in which instants are shown.
    fn zone(&self) -> &TimeZone {
        &self.served.config.schedule.timezone
    }
}

/// Everything an operator may ask for.
///
/// Shape: nothing at all where there is no admin side.
pub fn router(served: &Served) -> Router {
    let Some(config) = served.admin() else {
        return Router::new();
    };
    let sessions = match Sessions::new() {
        Ok(sessions) => sessions,
        Err(error) => {
            tracing::error!(%error, "the system has no randomness, so nobody can log in: the admin side stays closed");
            return Router::new();
        }
    };
    let gate = Arc::new(Gate::new(config.token.clone()));
    let admin = Admin { served: served.clone(), gate, sessions: Arc::new(sessions) };
    Router::new()
        .merge(assets::router())
        .merge(door::router())
        .merge(health::routes())
        .merge(metrics::routes())
        .merge(orders::routes())
        .layer(DefaultBodyLimit::max(MAX_FORM_BYTES))
        .with_state(admin)
}
