//! What can be done to a link: sync it now, pause it, resume it, and invite its customer to repair it.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use maud::html;

use super::not_found;
use crate::server::admin::Admin;
use crate::server::admin::change::Change;
use crate::server::admin::frame::Frame;
use crate::server::control::{Done, Order, OrderError, carry_out};

pub(super) fn router() -> Router<Admin> {
    Router::new()
        .route("/links/{link}/sync", post(sync))
        .route("/links/{link}/pause", post(pause))
        .route("/links/{link}/resume", post(resume))
        .route("/links/{link}/invite", post(invite))
}

/// What a page says of what was just done to its link; `None`: it is no word of ours.
pub(super) fn notice(word: &str) -> Option<&'static str> {
    match word {
        "sync" => Some("Asked for: it is due now, and shows here when it is done."),
        "pause" => Some("Paused: it is not synced until somebody resumes it."),
        "resume" => Some("Resumed: it is due now."),
        _ => None,
    }
}

async fn sync(State(admin): State<Admin>, Path(link): Path<String>, change: Change) -> Result<Response, Response> {
    let order = Order::Sync { links: vec![link.clone()], full: false };
    ask(&admin, &change, &link, order).await?;
    Ok(back(&link, "sync"))
}

async fn pause(State(admin): State<Admin>, Path(link): Path<String>, change: Change) -> Result<Response, Response> {
    ask(&admin, &change, &link, Order::Pause { link: link.clone() }).await?;
    Ok(back(&link, "pause"))
}

async fn resume(State(admin): State<Admin>, Path(link): Path<String>, change: Change) -> Result<Response, Response> {
    ask(&admin, &change, &link, Order::Resume { link: link.clone() }).await?;
    Ok(back(&link, "resume"))
}

async fn invite(State(admin): State<Admin>, Path(link): Path<String>, change: Change) -> Result<Response, Response> {
    let order = Order::Invite {
        source: None,
        user: None,
        link: Some(link.clone()),
        email: None,
        first_name: None,
        last_name: None,
    };
    let done = ask(&admin, &change, &link, order).await?;
    let watch = admin.watch();
    let content = html! {
        h1 { "An invite to repair link " (link) }
        section.card aria-label="The invite" {
            p { "Send this address to the customer. It is shown only here and only now, and it is good for one use." }
            label for="address" { "Address" }
            div.copy {
                input #address type="text" readonly data-copy value=(done.address.unwrap_or_default()) size="60";
            }
            @if let Some(until) = done.good_until {
                p { "It expires " (watch.relative(until)) ", on " (watch.instant(until)) "." }
            }
            p.dim { "Whoever has the address can repair this link: send it to nobody else." }
        }
        p { a href=(format!("/links/{link}")) { "Back to the link" } }
    };
    let frame = Frame { admin: &admin, visitor: &change.visitor, title: "Invite", place: "/links", is_live: false };
    Ok(frame.around(&content))
}

/// Has an order carried out, or says why it was not.
async fn ask(admin: &Admin, change: &Change, link: &str, order: Order) -> Result<Done, Response> {
    // Our own ids only, as on the pages: an upstream id may hold anything.
    if link.parse::<i64>().is_err() {
        return Err(not_found(admin, &change.visitor));
    }
    tracing::info!(client = change.client, order = ?order, "asked for on the dashboard");
    let result = carry_out(&admin.served.engine, order).await;
    admin.served.waker.wake();
    result.map_err(|error| {
        if matches!(error, OrderError::NoSuchLink(_)) {
            return not_found(admin, &change.visitor);
        }
        tracing::warn!(%error, "what was asked for on the dashboard was not done");
        let title = "That was not done";
        let content = html! {
            h1 { (title) }
            p.problem role="alert" { (error) }
            p { a href=(format!("/links/{link}")) { "Back to the link" } }
        };
        let frame = Frame { admin, visitor: &change.visitor, title, place: "/links", is_live: false };
        frame.with_status(StatusCode::CONFLICT, &content)
    })
}

fn back(link: &str, done: &str) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, format!("/links/{link}?done={done}"))]).into_response()
}
