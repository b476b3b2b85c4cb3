//! The files that pages need. They are part of the program and tell nothing, so everybody may have them.

use std::sync::LazyLock;

use axum::Router;
use axum::routing::get;
use xxhash_rust::xxh3::xxh3_64;

use super::Admin;
use crate::server::page::Asset;

const STYLE: Asset = Asset { media_type: "text/css; charset=utf-8", text: include_str!("assets/admin.css") };
const SCRIPT: Asset = Asset { media_type: "text/javascript; charset=utf-8", text: include_str!("assets/admin.js") };
const MARK: Asset = Asset { media_type: "image/svg+xml", text: include_str!("assets/mark.svg") };

/// Where pages find the style, the script and the mark: an address that changes with the text, because browsers keep what they have.
pub(super) struct Addresses {
    pub(super) style: String,
    pub(super) script: String,
    pub(super) mark: String,
}

pub(super) static ADDRESSES: LazyLock<Addresses> = LazyLock::new(|| Addresses {
    style: address("admin.css", &STYLE),
    script: address("admin.js", &SCRIPT),
    mark: address("mark.svg", &MARK),
});

fn address(file: &str, asset: &Asset) -> String {
    format!("/assets/{file}?{:016x}", xxh3_64(asset.text.as_bytes()))
}

pub(super) fn router() -> Router<Admin> {
    Router::new()
        .route("/assets/admin.css", get(|| async { STYLE }))
        .route("/assets/admin.js", get(|| async { SCRIPT }))
        .route("/assets/mark.svg", get(|| async { MARK }))
}
