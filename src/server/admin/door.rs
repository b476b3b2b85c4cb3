//! In and out: the login page, logging in with the token, logging out.

use axum::Router;
use axum::extract::{FromRequest as _, FromRequestParts as _, Query, Request, State};
use axum::http::header::{AUTHORIZATION, LOCATION, SET_COOKIE};
use axum::http::{StatusCode, request::Parts};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use maud::html;
use serde::Deserialize;

use super::change::{Change, Fields, is_same_site};
use super::token::Verdict;
use super::visitor::{Visitor, client, forgetting_cookie, is_browser_secure, session_cookie, shut};
use super::{Admin, frame};

pub(super) fn router() -> Router<Admin> {
    Router::new().route("/login", get(show).post(enter)).route("/logout", post(leave))
}

#[derive(Deserialize)]
struct Wanted {
    next: Option<String>,
}

async fn show(State(admin): State<Admin>, Query(wanted): Query<Wanted>, mut parts: Parts) -> Response {
    let next = safe_next(wanted.next.as_deref());
    // Only a session is looked at: one that is good needs no login.
    parts.headers.remove(AUTHORIZATION);
    if Visitor::from_request_parts(&mut parts, &admin).await.is_ok() {
        return to(next);
    }
    page(StatusCode::OK, next, None)
}

async fn enter(State(admin): State<Admin>, request: Request) -> Result<Response, Response> {
    let (parts, body) = request.into_parts();
    let (client, is_secure) = (client(&admin, &parts), is_browser_secure(&admin, &parts));
    if !is_same_site(&parts.headers) {
        tracing::warn!(client, "a login was refused: sent by another site");
        let words = "This form was not sent by the login page of this server.";
        return Err(frame::refusal(StatusCode::FORBIDDEN, "Not logged in", words));
    }
    let fields = Fields::from_request(Request::from_parts(parts, body), &()).await?;
    let next = safe_next(fields.get("next"));
    let now = admin.served.engine.clock().now();
    match admin.gate.try_token(fields.get("token").unwrap_or_default().trim(), now) {
        Verdict::Open => {}
        Verdict::Wrong => {
            tracing::warn!(client, "a login with a wrong admin token was refused");
            let words = "This is not the admin token. It is the one that admin_token in the configuration refers to.";
            return Err(page(StatusCode::UNAUTHORIZED, next, Some(words)));
        }
        Verdict::Shut => {
            let words = "Too many wrong tokens came in. Wait a minute, then try again.";
            return Err(shut(page(StatusCode::TOO_MANY_REQUESTS, next, Some(words))));
        }
    }
    let session = admin.sessions.begin(now).map_err(|error| {
        tracing::error!(%error, "the system has no randomness, so nobody can log in");
        frame::refusal(StatusCode::SERVICE_UNAVAILABLE, "Not logged in", "The system has no randomness; try again.")
    })?;
    tracing::info!(client, "logged in to the admin side");
    Ok(([(SET_COOKIE, session_cookie(session, is_secure))], to(next)).into_response())
}

async fn leave(State(admin): State<Admin>, parts: Parts, change: Change) -> Response {
    if let Some(session) = change.visitor.session() {
        admin.sessions.revoke(session, admin.served.engine.clock().now());
    }
    tracing::info!(client = change.client, "logged out of the admin side");
    let cookie = forgetting_cookie(is_browser_secure(&admin, &parts));
    (StatusCode::SEE_OTHER, [(LOCATION, "/login".to_owned()), (SET_COOKIE, cookie)]).into_response()
}

/// Characters of a place to go on to; the longest of ours is far shorter.
const MAX_NEXT_CHARS: usize = 500;

/// Where to go on after the login: a page of ours, whatever was asked for.
///
/// Browsers read `//host`, `/\host` and a tab between the two slashes as another site, so only plain characters pass.
fn safe_next(wanted: Option<&str>) -> &str {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/?&=-_.~%+:,".contains(&byte);
    let is_ours = |next: &&str| {
        next.len() <= MAX_NEXT_CHARS && next.starts_with('/') && !next.starts_with("//") && next.bytes().all(is_plain)
    };
    wanted.filter(is_ours).unwrap_or("/")
}

fn to(next: &str) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, next.to_owned())]).into_response()
}

fn page(status: StatusCode, next: &str, problem: Option<&str>) -> Response {
    let form = html! {
        h1 { "Log in" }
        p.dim { "The dashboard of this Passbook shows balances and can change what is synced." }
        @if let Some(problem) = problem {
            p.problem role="alert" id="problem" { (problem) }
        }
        form method="post" action="/login" {
            input type="hidden" name="next" value=(next);
            label for="token" { "Admin token" }
            input #token type="password" name="token" autocomplete="current-password" required autofocus
                aria-invalid=[problem.map(|_| "true")] aria-describedby=[problem.map(|_| "problem")];
            button.primary type="submit" { "Log in" }
        }
    };
    frame::bare(status, "Log in", &form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_to_a_page_of_ours_and_nowhere_else() {
        for ours in ["/", "/links?state=attention&page=2", "/links/17", "/links?q=a%2Fb+c"] {
            assert_eq!(safe_next(Some(ours)), ours);
        }
        let long = format!("/{}", "a".repeat(MAX_NEXT_CHARS));
        let others = [
            "",
            "links",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/a\r\nSet-Cookie: x=y",
            "/<b>",
            "/@evil.example",
            &long,
        ];
        for other in others {
            assert_eq!(safe_next(Some(other)), "/", "{other:?}");
        }
        assert_eq!(safe_next(None), "/");
    }
}
