//! Who asks: a browser with a session, or a script with the token. Everybody else is sent to the login page.

use axum::extract::FromRequestParts;
use axum::http::header::{COOKIE, LOCATION, RETRY_AFTER, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use cookie::{Cookie, SameSite};
use url::form_urlencoded;

use super::Admin;
use super::session::Session;
use super::token::{Verdict, bearer};
use crate::server::Peer;
use crate::server::peer::{client_address, is_secure};

/// Seconds after which a gate that is shut is worth another try.
pub(super) const SHUT_SECONDS: &str = "60";

/// Someone who may see everything here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Visitor {
    /// A person who logged in.
    Person(Session),
    /// A program that sends the token with each request. No browser does so by itself.
    Script,
}

impl Visitor {
    /// The session of a person.
    pub(super) fn session(&self) -> Option<&Session> {
        match self {
            Self::Person(session) => Some(session),
            Self::Script => None,
        }
    }
}

impl FromRequestParts<Admin> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, admin: &Admin) -> Result<Self, Response> {
        let now = admin.served.engine.clock().now();
        if let Some(token) = bearer(&parts.headers) {
            return match admin.gate.try_token(token, now) {
                Verdict::Open => Ok(Self::Script),
                Verdict::Wrong => {
                    tracing::warn!(client = client(admin, parts), "a wrong admin token was refused");
                    Err((StatusCode::UNAUTHORIZED, "this is not the admin token\n").into_response())
                }
                Verdict::Shut => Err(shut("too many wrong tokens; try again in a minute\n")),
            };
        }
        let is_secure = is_browser_secure(admin, parts);
        let Some(carried) = carried_session(&parts.headers, is_secure) else {
            return Err(to_login(parts, None));
        };
        admin.sessions.read(&carried, now).map(Self::Person).map_err(|refused| {
            tracing::info!(client = client(admin, parts), reason = %refused, "a session was refused");
            to_login(parts, Some(forgetting_cookie(is_secure)))
        })
    }
}

/// What answers a token while the gate is shut.
pub(super) fn shut(body: impl axum::response::IntoResponse) -> Response {
    (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, SHUT_SECONDS)], body).into_response()
}

/// The address to name in the log; empty where nobody can tell.
pub(super) fn client(admin: &Admin, parts: &Parts) -> String {
    let trusted = &admin.served.config.server.trusted_proxies;
    let peer = parts.extensions.get::<Peer>();
    let address = peer.and_then(|peer| client_address(*peer, &parts.headers, trusted));
    address.map_or_else(String::new, |address| address.to_string())
}

/// Whether the browser speaks TLS with the proxy in front of us.
pub(super) fn is_browser_secure(admin: &Admin, parts: &Parts) -> bool {
    let trusted = &admin.served.config.server.trusted_proxies;
    parts.extensions.get::<Peer>().is_some_and(|peer| is_secure(*peer, &parts.headers, trusted))
}

/// Browsers take a cookie with this prefix only over TLS and only for this very host.
fn cookie_name(is_secure: bool) -> &'static str {
    if is_secure { "__Host-passbook" } else { "passbook" }
}

fn carried_session(headers: &HeaderMap, is_secure: bool) -> Option<String> {
    let name = cookie_name(is_secure);
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut cookies = lines.flat_map(Cookie::split_parse).filter_map(Result::ok);
    cookies.find(|cookie| cookie.name() == name).map(|cookie| cookie.value().to_owned())
}

/// The cookie that carries a session. Without an end of its own: the browser drops it when it closes.
pub(super) fn session_cookie(value: String, is_secure: bool) -> String {
    cookie(value, is_secure).to_string()
}

/// The cookie that takes the session away from the browser.
pub(super) fn forgetting_cookie(is_secure: bool) -> String {
    let mut cookie = cookie(String::new(), is_secure);
    cookie.make_removal();
    cookie.to_string()
}

fn cookie(value: String, is_secure: bool) -> Cookie<'static> {
    let cookie = Cookie::build((cookie_name(is_secure), value)).path("/").http_only(true).secure(is_secure);
    cookie.same_site(SameSite::Strict).build()
}

/// Sends a browser to the login page, and back afterwards if it only wanted to look.
fn to_login(parts: &Parts, cookie: Option<String>) -> Response {
    let wanted = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let place = if parts.method == Method::GET && wanted != "/" {
        let next = form_urlencoded::byte_serialize(wanted.as_bytes()).collect::<String>();
        format!("/login?next={next}")
    } else {
        "/login".to_owned()
    };
    let mut response = (StatusCode::SEE_OTHER, [(LOCATION, place)]).into_response();
    if let Some(value) = cookie.and_then(|cookie| cookie.parse().ok()) {
        response.headers_mut().insert(SET_COOKIE, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_for_this_site_alone() {
        assert_eq!(session_cookie("x".to_owned(), false), "passbook=x; HttpOnly; SameSite=Strict; Path=/");
        assert_eq!(
            session_cookie("x".to_owned(), true),
            "__Host-passbook=x; HttpOnly; SameSite=Strict; Secure; Path=/"
        );
        let gone = forgetting_cookie(true);
        assert!(
            gone.starts_with("__Host-passbook=; ") && gone.contains("Max-Age=0") && gone.contains("Secure"),
            "{gone}"
        );
    }

    #[test]
    fn over_tls_only_the_cookie_of_tls_counts() {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, "passbook=open; __Host-passbook=secure".parse().expect("a header"));
        assert_eq!(carried_session(&headers, true).as_deref(), Some("secure"));
        assert_eq!(carried_session(&headers, false).as_deref(), Some("open"));
    }
}
