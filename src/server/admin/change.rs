//! Changes: forms that only a page of ours can have sent.
//!
//! A browser sends along the session with whatever any site makes it send, so a change also needs a token that stands in
//! our pages only, and must not come from another site by the browser's own word.

use std::collections::HashMap;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts as _, Request};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use url::{Url, form_urlencoded};

use super::visitor::{Visitor, client};
use super::{Admin, frame};

/// The field of a form that carries its token.
pub(super) const TOKEN_FIELD: &str = "form_token";

/// A change that somebody who may asked for.
#[derive(Debug)]
pub(super) struct Change {
    /// Who.
    pub(super) visitor: Visitor,
    /// From where, for the log.
    pub(super) client: String,
}

impl FromRequest<Admin> for Change {
    type Rejection = Response;

    async fn from_request(request: Request, admin: &Admin) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let visitor = Visitor::from_request_parts(&mut parts, admin).await?;
        let client = client(admin, &parts);
        let is_ours = is_same_site(&parts.headers);
        let request = Request::from_parts(parts, body);
        let path = request.uri().path().to_owned();
        let fields = Fields::from_request(request, &()).await?;
        let has_token = visitor.session().is_none_or(|session| {
            fields.get(TOKEN_FIELD).is_some_and(|token| admin.sessions.is_form_token(session, token))
        });
        if is_ours && has_token {
            return Ok(Self { visitor, client });
        }
        let reason = if is_ours { "no token of this session" } else { "sent by another site" };
        tracing::warn!(client, path, reason, "a change was refused");
        Err(frame::refusal(
            StatusCode::FORBIDDEN,
            "Nothing was changed",
            "This form was not sent by a page of this session. Go back, load the page again, and repeat what you did.",
        ))
    }
}

/// The fields of a small form; of one that comes twice, the last.
pub(super) struct Fields(HashMap<String, String>);

impl Fields {
    /// The value of a field.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let body = Bytes::from_request(request, state).await.map_err(|_| {
            let words = "The form is larger than any form of ours.";
            frame::refusal(StatusCode::PAYLOAD_TOO_LARGE, "Nothing was changed", words)
        })?;
        Ok(Self(form_urlencoded::parse(&body).into_owned().collect()))
    }
}

/// Whether a request comes from a page of ours, as far as the browser says.
///
/// Its own word for it is `Sec-Fetch-Site`; where it has none (plain HTTP, old browsers), the origin must be the host asked for.
/// A program says neither.
pub(super) fn is_same_site(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    let Some(origin) = headers.get(ORIGIN) else {
        return true;
    };
    let origin = origin.to_str().ok().and_then(|origin| Url::parse(origin).ok());
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let asked = host.zip(origin.as_ref()).and_then(|(host, origin)| {
        // With the scheme of the origin, whose usual port both may leave out.
        Url::parse(&format!("{}://{host}", origin.scheme())).ok()
    });
    asked.is_some_and(|asked| origin.is_some_and(|origin| origin.origin() == asked.origin()))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let line =
            |(name, value): &(&'static str, &str)| (HeaderName::from_static(name), value.parse().expect("a value"));
        lines.iter().map(line).collect()
    }

    #[test]
    fn a_request_of_another_site_is_recognised() {
        let host = ("host", "admin.example.com:8443");
        let cases: [(&[(&'static str, &str)], bool); 11] = [
            (&[host], true),
            (&[host, ("origin", "https://admin.example.com:8443")], true),
            (&[("host", "admin.example.com"), ("origin", "https://admin.example.com")], true),
            (&[("host", "[::1]:8781"), ("origin", "http://[::1]:8781")], true),
            (&[host, ("origin", "https://admin.example.com")], false),
            (&[host, ("origin", "https://evil.example")], false),
            (&[host, ("origin", "null")], false),
            (&[("origin", "https://admin.example.com")], false),
            (&[host, ("sec-fetch-site", "same-origin"), ("origin", "null")], true),
            (&[host, ("sec-fetch-site", "same-site"), ("origin", "https://admin.example.com:8443")], false),
            (&[host, ("sec-fetch-site", "cross-site")], false),
        ];
        for (lines, expected) in cases {
            assert_eq!(is_same_site(&headers(lines)), expected, "{lines:?}");
        }
        assert!(is_same_site(&headers(&[])));
    }
}
