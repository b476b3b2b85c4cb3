//! The pages that customers see in a browser in place of the aggregators' own: what both have in common, and their files.
//!
//! They say that the bank is made up, and work without inline scripts and styles.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header as names};
use axum::response::IntoResponse;
use axum::routing::get;
use maud::{DOCTYPE, Markup, html};

/// What a page that needs no script may do. A form's way back to the program is a redirect, which `form-action` would block.
const PLAIN_POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'";
/// The inside of the widget may be framed by whoever embeds the widget, on any origin.
const FRAME_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors *";

/// The files of the pages.
pub(crate) fn router() -> Router {
    let script = "text/javascript; charset=utf-8";
    Router::new()
        .route("/sandbox/bank.css", get(|| async { file("text/css; charset=utf-8", include_str!("pages/bank.css")) }))
        .route("/sandbox/widget/bridge.js", get(move || async move { file(script, include_str!("pages/widget.js")) }))
        .route("/sandbox/widget/frame.js", get(move || async move { file(script, include_str!("pages/frame.js")) }))
        .route("/sandbox/widget/frame", get(frame))
}

async fn frame() -> Response<Body> {
    with_policy(StatusCode::OK, FRAME_POLICY, include_str!("pages/frame.html").to_owned())
}

fn file(media_type: &'static str, text: &'static str) -> Response<Body> {
    let mut headers = HeaderMap::new();
    headers.insert(names::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(names::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // The script is made to be embedded by others.
    headers.insert(HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("cross-origin"));
    (headers, text).into_response()
}

/// A page that needs no script, in the frame that all have.
pub(crate) fn page(status: StatusCode, title: &str, content: &Markup) -> Response<Body> {
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · Made-up bank" }
                link rel="stylesheet" href="/sandbox/bank.css";
            }
            body {
                main class="card" {
                    header { span { "Made-up bank, for tests only" } }
                    (content)
                }
            }
        }
    };
    with_policy(status, PLAIN_POLICY, markup.into_string())
}

fn with_policy(status: StatusCode, policy: &'static str, html: String) -> Response<Body> {
    let mut headers = HeaderMap::new();
    headers.insert(names::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(names::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(names::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(names::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(names::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    (status, headers, html).into_response()
}
