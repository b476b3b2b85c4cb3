//! The way in: admission, limits and faults.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State as Extract};
use axum::http::{HeaderMap, Response, request::Parts};
use axum::routing::post;
use bytes::Bytes;

use super::reply::{Call, Reply, Retry, Wish, header};
use super::{dispatch, widget};
use crate::sandbox::Sandbox;
use crate::sandbox::fault::{Asked, Fault, ThrottleForm};
use crate::sandbox::id;
use crate::sandbox::reply::broken;
use crate::sandbox::state::State;
use crate::sandbox::traffic::MINUTE_MS;
use crate::sandbox::wire::{Wire, send};

/// Requests carry small JSON only.
const MAX_REQUEST_BYTES: usize = 1024 * 1024;
/// What throttle faults say to wait; their texts name it too.
const THROTTLE_SECONDS: i64 = 17;

/// The routes of Truv's side.
pub(crate) fn router(sandbox: &Sandbox) -> Router {
    Router::new()
        .route("/sandbox/connect", post(widget::connect))
        .route("/sandbox/widget/open", post(widget::open))
        .fallback(serve)
        .with_state(sandbox.clone())
}

async fn serve(Extract(sandbox): Extract<Sandbox>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_REQUEST_BYTES).await else {
        return send(&sandbox, Reply::detail(413, "Request body too large."), &Wire::default());
    };
    let (reply, wire) = {
        let mut state = sandbox.lock();
        answer(&mut state, &parts, body)
    };
    if wire.hang {
        std::future::pending::<()>().await;
    }
    if !wire.delay.is_zero() {
        sandbox.clock().sleep(wire.delay).await;
    }
    send(&sandbox, reply, &wire)
}

/// Logs, admits, limits and answers one request; all at one instant.
fn answer(state: &mut State, parts: &Parts, body: Bytes) -> (Reply, Wire) {
    let now_ms = state.bank.now_ms;
    let target = parts.uri.path_and_query().map_or_else(|| parts.uri.path(), |all| all.as_str());
    let client_id = header(&parts.headers, "x-access-client-id");
    let secret = header(&parts.headers, "x-access-secret");
    let admitted = state.truv.admit(client_id, secret);
    let logged: Arc<str> = admitted.as_ref().map_or_else(|| secret.into(), |(text, _)| Arc::clone(text));
    let number = state.traffic.receive(now_ms, logged, None, parts.method.as_str(), target);
    let mut wire = Wire { delay: state.settings.latency, ..Wire::default() };
    let reply = match admitted {
        None => Reply::error(401, "authentication_failed", "No such user"),
        Some((secret, tenant)) => {
            let limit = state.settings.request_limit.unwrap_or(usize::MAX);
            match state.traffic.admit(&secret, now_ms, MINUTE_MS, limit) {
                Err(seconds) => Reply::throttled(seconds),
                Ok(()) => admitted_answer(state, parts, body, tenant, &mut wire),
            }
        }
    };
    if !wire.hang {
        state.traffic.answer(number, reply.status);
    }
    (reply, wire)
}

fn admitted_answer(state: &mut State, parts: &Parts, body: Bytes, tenant: usize, wire: &mut Wire) -> Reply {
    let mut call = call_of(parts, body, tenant);
    let target = parts.uri.path_and_query().map_or_else(|| parts.uri.path(), |all| all.as_str());
    let link = link_of(state, &call);
    let asked = Asked {
        method: call.method.as_str(),
        path: target,
        links: link.as_slice(),
        user: None,
        page: call.param("page").and_then(|page| page.parse().ok()).unwrap_or(1),
    };
    let faults = state.faults.meet(&asked);
    let mut instead = None;
    for fault in &faults {
        if let Some(reply) = replacement(fault) {
            instead = instead.or(Some(reply));
        }
        wire.suffer(fault);
        call.wish.grant(fault);
    }
    call.wish.skew_ms = wire.skew_ms;
    instead.unwrap_or_else(|| {
        negotiate(&call, &parts.headers).unwrap_or_else(|| dispatch(state, &call).unwrap_or_else(|refusal| refusal))
    })
}

/// The answer that a fault puts in place of the endpoint's, which then does not run.
fn replacement(fault: &Fault) -> Option<Reply> {
    let text = "Request was throttled. Expected available in 17 seconds.";
    let reply = match fault {
        Fault::Throttle(ThrottleForm::ErrorEnvelope) => Reply::throttled(THROTTLE_SECONDS),
        Fault::Throttle(ThrottleForm::RetryDate) => Reply {
            retry_after: Some(Retry::DateIn(THROTTLE_SECONDS)),
            ..Reply::error(429, "throttled", "Request was throttled.")
        },
        Fault::Throttle(ThrottleForm::Detail) => Reply::detail(429, text),
        Fault::Throttle(ThrottleForm::TextUnder503) => Reply::raw(503, "text/plain", text.as_bytes().to_vec()),
        Fault::RefreshLimit => Reply::error(429, "throttled", super::tasks::REFRESH_LIMIT_TEXT),
        Fault::Status(status) => Reply::error(*status, "fault", "This answer was asked for."),
        Fault::Html502
        | Fault::Maintenance(_)
        | Fault::NotJson
        | Fault::EmptyBody
        | Fault::HugeBody(_)
        | Fault::Hang
        | Fault::Slow(_)
        | Fault::Reset
        | Fault::CutBody
        | Fault::WrongContentType
        | Fault::RepeatPage
        | Fault::InvalidPage404
        | Fault::DriftWhilePaging
        | Fault::ShrinkWhilePaging
        | Fault::RowWithoutId
        | Fault::BadAmount
        | Fault::DuplicateRow
        | Fault::ClockSkew(_)
        | Fault::NextUriElsewhere
        | Fault::NextUriAbsolute
        | Fault::NextUriNull
        | Fault::NextUriNullText
        | Fault::ExponentAmount
        | Fault::BareErrorBody
        | Fault::TimestampsWithoutFraction
        | Fault::ObfuscatedEverywhere => return broken(fault),
    };
    Some(reply)
}

pub(super) fn call_of(parts: &Parts, body: Bytes, tenant: usize) -> Call {
    let path = parts.uri.path();
    let below = path.strip_prefix("/v1/").unwrap_or("-");
    let query = parts.uri.query().unwrap_or_default();
    let host = header(&parts.headers, "host");
    Call {
        method: parts.method.clone(),
        segments: below.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect(),
        path: path.to_owned(),
        query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        origin: if host.is_empty() { "https://prod.truv.com".to_owned() } else { format!("http://{host}") },
        body,
        tenant,
        wish: Wish::default(),
    }
}

/// 406 and 415, where the request's headers call for them (3.1).
fn negotiate(call: &Call, headers: &HeaderMap) -> Option<Reply> {
    let accept = header(headers, "accept");
    if !accept.is_empty() && !accept.contains("json") && !accept.contains("*/*") && !accept.contains("application/*") {
        return Some(Reply::detail(406, "Could not satisfy the request Accept header."));
    }
    let content_type = header(headers, "content-type");
    if !call.body.is_empty() && !content_type.to_ascii_lowercase().starts_with("application/json") {
        return Some(Reply::detail(415, &format!("Unsupported media type \"{content_type}\" in request.")));
    }
    None
}

/// The link a request is about, for the scope of faults.
fn link_of(state: &State, call: &Call) -> Option<u128> {
    let named = call.segments.iter().find_map(|part| id::parse(part));
    if let Some(named) = named {
        let task = state.truv.task_index.get(&named).and_then(|task| state.truv.tasks[*task].link);
        return task.map(|link| state.bank.links[link].id).or(Some(named));
    }
    let body: serde_json::Value = serde_json::from_slice(&call.body).ok()?;
    let token = body.get("access_token")?.as_str().and_then(id::parse)?;
    state.bank.find_token(token).map(|link| state.bank.links[link].id)
}
