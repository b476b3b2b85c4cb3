//! The pages on which a customer connects a bank or repairs a link, under the address of an invite.
//!
//! | request | does |
//! |---|---|
//! | `GET /connect/{invite}` | says who asks and what will happen; changes nothing, because programs that scan mail open links, too |
//! | `POST …/begin` | begins: the page with the aggregator's widget, or a page that goes on to the aggregator's own |
//! | `POST …/finish` | takes what the widget handed over: exchanged, stored, the invite used up |
//! | `GET …/return` | the way back from the aggregator's pages: its parameters are hints, what counts is read back |
//! | `GET …/done` | says that it is done, or that it will be |
//!
//! Everything that comes in is hostile until the invite says otherwise, and what the invite's holder sends is a hint even then.
//! What must stay true: nothing is stored before the aggregator has confirmed it, an invite leads to one connection at most,
//! every page carries a policy that lets nothing run or load but ours and the widget's, and no token is logged.

mod back;
mod begin;
mod finish;
mod language;
mod pages;
mod refusal;
mod settle;
mod visit;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::header::{CACHE_CONTROL, HeaderMap};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};

use super::super::Served;
use super::super::page::Asset;
use crate::store::InviteState;
use language::Language;
use refusal::Refusal;
use visit::Visit;

/// Bytes of a body: a public token and its wrapping.
const MAX_BODY_BYTES: usize = 4 * 1024;
/// Bytes of a query: the hints of a way back.
const MAX_QUERY_BYTES: usize = 2 * 1024;

/// The part of `/connect` of the public side.
pub(super) fn router(served: &Served) -> Router {
    Router::new()
        .route("/assets/connect.css", get(async || STYLE))
        .route("/assets/connect.js", get(async || SCRIPT))
        .route("/assets/{file}", get(glue))
        .route("/{invite}", get(landing))
        .route("/{invite}/begin", post(begin::begin).get(to_landing))
        .route("/{invite}/finish", post(finish::finish))
        .route("/{invite}/return", get(back::come_back))
        .route("/{invite}/return/{language}", get(back::come_back))
        .route("/{invite}/done", get(done))
        .fallback(unknown)
        .method_not_allowed_fallback(not_so)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(Arc::new(served.clone()))
}

const STYLE: Asset = Asset { media_type: "text/css; charset=utf-8", text: include_str!("connect/connect.css") };
const SCRIPT: Asset = Asset { media_type: "text/javascript; charset=utf-8", text: include_str!("connect/connect.js") };

/// Where the glue of a source's widget is.
fn glue_path(source_id: i64) -> String {
    format!("/connect/assets/widget-{source_id}.js")
}

async fn glue(State(served): State<Arc<Served>>, file: Result<Path<String>, PathRejection>) -> Response {
    let Ok(Path(file)) = file else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let source_id =
        file.strip_prefix("widget-").and_then(|rest| rest.strip_suffix(".js")).and_then(|id| id.parse().ok());
    let source = source_id.and_then(|id: i64| served.engine.source(id));
    match source.and_then(|source| source.aggregator.connect().glue()) {
        Some(text) => Asset { text, ..SCRIPT }.into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn landing(visit: Visit) -> Response {
    match visit.refusal_to_begin() {
        Some(refusal) => visit.refuse(refusal),
        None => pages::landing(&visit).into_response(),
    }
}

/// The page after `begin` was reloaded by its address: where it began.
async fn to_landing(visit: Visit) -> Response {
    ([(CACHE_CONTROL, "no-store")], Redirect::to(&visit.path(""))).into_response()
}

async fn done(visit: Visit) -> Response {
    match visit.invite.state {
        InviteState::Used => pages::done(&visit).into_response(),
        InviteState::Revoked => visit.refuse(Refusal::Revoked),
        InviteState::Open | InviteState::Exhausted | InviteState::Expired if visit.is_under_way() => {
            pages::pending(&visit).into_response()
        }
        InviteState::Open | InviteState::Exhausted | InviteState::Expired => visit.refuse(Refusal::NotBegun),
    }
}

async fn unknown(State(served): State<Arc<Served>>, uri: Uri, headers: HeaderMap) -> Response {
    refusal::plain(&served, Refusal::Unknown, Language::of(uri.query(), &headers))
}

async fn not_so(State(served): State<Arc<Served>>, uri: Uri, headers: HeaderMap) -> Response {
    refusal::plain(&served, Refusal::WrongMethod, Language::of(uri.query(), &headers))
}
