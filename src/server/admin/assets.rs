//! The files that pages need. They are part of the program and tell nothing, so everybody may have them.

use axum::Router;
use axum::routing::get;

use super::Admin;
use crate::server::page::Asset;

const STYLE: Asset = Asset { media_type: "text/css; charset=utf-8", text: include_str!("assets/admin.css") };
const SCRIPT: Asset = Asset { media_type: "text/javascript; charset=utf-8", text: include_str!("assets/admin.js") };
const MARK: Asset = Asset { media_type: "image/svg+xml", text: include_str!("assets/mark.svg") };

pub(super) fn router() -> Router<Admin> {
    Router::new()
        .route("/assets/admin.css", get(|| async { STYLE }))
        .route("/assets/admin.js", get(|| async { SCRIPT }))
        .route("/assets/mark.svg", get(|| async { MARK }))
}
