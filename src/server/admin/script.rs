//! A program that carries the admin token in each request: scripts, Prometheus. A browser's session does not do here.

use axum::extract::FromRequestParts;
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::Admin;
use super::token::{Verdict, bearer};
use super::visitor::{client, shut};

const BEARER: HeaderValue = HeaderValue::from_static("Bearer realm=\"passbook\"");

/// Whoever sent the admin token as a bearer token.
pub(super) struct Script {
    /// From where, for the log.
    pub(super) client: String,
}

impl FromRequestParts<Admin> for Script {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, admin: &Admin) -> Result<Self, Response> {
        let client = client(admin, parts);
        let path = parts.uri.path();
        let Some(token) = bearer(&parts.headers) else {
            tracing::warn!(client, path, "a request without the admin token was refused");
            return Err(refused("send the admin token: Authorization: Bearer TOKEN\n"));
        };
        match admin.gate.try_token(token, admin.served.engine.clock().now()) {
            Verdict::Open => Ok(Self { client }),
            Verdict::Wrong => {
                tracing::warn!(client, path, "a wrong admin token was refused");
                Err(refused("this is not the admin token\n"))
            }
            Verdict::Shut => {
                tracing::warn!(client, path, "an admin token was not looked at: too many were wrong");
                Err(shut("too many wrong tokens; try again in a minute\n"))
            }
        }
    }
}

fn refused(words: &'static str) -> Response {
    (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, BEARER)], words).into_response()
}
