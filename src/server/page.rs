//! Pages: HTML with the headers that keep a browser from doing anything we did not mean, and the files they need.

use axum::http::StatusCode;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::response::{IntoResponse, Response};
use maud::Markup;

/// A page: nothing outside `policy` is loaded, run, framed or submitted to.
pub(super) struct Page {
    /// The status to answer with.
    pub(super) status: StatusCode,
    /// The Content-Security-Policy.
    pub(super) policy: String,
    /// The whole document.
    pub(super) markup: Markup,
}

/// Headers of every answer that a browser may show.
const GUARDS: [(HeaderName, HeaderValue); 6] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), microphone=(), geolocation=(), browsing-topics=()"),
    ),
];

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let mut headers = HeaderMap::from_iter(GUARDS);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        // Pages tell about customers, or open banks for them: no cache keeps them.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let policy = HeaderValue::from_str(&self.policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
        headers.insert(CONTENT_SECURITY_POLICY, policy);
        (self.status, headers, self.markup.into_string()).into_response()
    }
}

/// A file that pages need: part of the program, so it changes only with it.
#[derive(Clone, Copy)]
pub(super) struct Asset {
    /// Its media type.
    pub(super) media_type: &'static str,
    /// Its text.
    pub(super) text: &'static str,
}

impl IntoResponse for Asset {
    fn into_response(self) -> Response {
        let mut headers = HeaderMap::from_iter(GUARDS);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
        (headers, self.text).into_response()
    }
}
