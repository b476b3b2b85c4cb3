//! The admin side, as a monitor and a browser ask it, without sockets.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, request};
use passbook::server::Peer;
use tower::ServiceExt as _;

/// What a configuration says to have one; the token is the store's key.
pub(crate) const ADMIN: &str =
    "[server]\nadmin_listen = \"127.0.0.1:0\"\nadmin_token = { credential = \"store-key\" }\n";

/// A cookie that opens the dashboard.
pub(crate) async fn log_in(router: &Router, token: &str) -> String {
    let form = Request::post("/login")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("sec-fetch-site", "same-origin");
    let body = url::form_urlencoded::Serializer::new(String::new()).append_pair("token", token).finish();
    let (_, headers, _) = ask(router, form, body).await;
    let cookie = headers.get("set-cookie").and_then(|cookie| cookie.to_str().ok()).expect("a cookie");
    cookie.split(';').next().unwrap_or_default().to_owned()
}

/// Asks the admin side as one on this machine does.
///
/// Shape: status, headers, body.
pub(crate) async fn ask(router: &Router, request: request::Builder, body: String) -> (StatusCode, HeaderMap, String) {
    let mut request = request.body(Body::from(body)).expect("a request");
    request.extensions_mut().insert(Peer([127, 0, 0, 1].into()));
    let response = router.clone().oneshot(request).await.expect("an answer");
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.expect("a body");
    (parts.status, parts.headers, String::from_utf8(bytes.to_vec()).expect("text"))
}
