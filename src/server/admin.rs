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
mod link;
mod links;
mod metrics;
mod orders;
mod overview;
mod people;
mod plots;
mod script;
mod session;
mod token;
mod visitor;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::response::Response;

pub(super) use self::session::SessionSeed;
use self::session::Sessions;
use self::token::Gate;
use self::words::Watch;
use super::Served;
use crate::store::StoreError;

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
    /// Tells instants as of now, in the zone of the schedules.
    fn watch(&self) -> Watch {
        Watch { now: self.served.engine.clock().now(), zone: self.served.config.schedule.timezone.clone() }
    }

    /// Whether somebody could open an invite.
    fn can_invite(&self) -> bool {
        self.served.public().is_some()
    }
}

/// What answers where the store does not.
fn trouble(error: &StoreError) -> Response {
    tracing::error!(%error, "a page could not be made");
    let words = "The store does not answer. The log says why; the page is worth another try in a minute.";
    frame::refusal(StatusCode::SERVICE_UNAVAILABLE, "The store does not answer", words)
}

/// Everything an operator may ask for.
///
/// Shape: nothing at all where there is no admin side.
pub fn router(served: &Served) -> Router {
    let Some(config) = served.admin() else {
        return Router::new();
    };
    let sessions = match Sessions::new(Arc::clone(&served.sessions), &config.token) {
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
        .merge(health::router())
        .merge(metrics::router())
        .merge(orders::router())
        .merge(overview::router())
        .merge(links::router())
        .merge(link::router())
        .layer(DefaultBodyLimit::max(MAX_FORM_BYTES))
        .with_state(admin)
}
