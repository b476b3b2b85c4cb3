//! The way in: version, credentials, limits and faults (sections 1 to 3).

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State as Extract};
use axum::http::{Response, request::Parts};
use axum::routing::{any, get, post};
use bytes::Bytes;

use super::reply::{Call, Reply, Retry, Wish, bare, header, refusal, throttled};
use super::{connect, dispatch, site, users};
use crate::sandbox::Sandbox;
use crate::sandbox::fault::{Asked, Fault, ThrottleForm};
use crate::sandbox::id::{self, UserId};
use crate::sandbox::reply::broken;
use crate::sandbox::state::State;
use crate::sandbox::traffic::MINUTE_MS;
use crate::sandbox::wire::{Wire, send};

/// The version this side speaks (section 1.2).
const VERSION: &str = "2025-01-15";
/// The window of an application's limit (section 3.3).
const APPLICATION_WINDOW_MS: i64 = 5 * MINUTE_MS;
/// Requests carry small JSON only.
const MAX_REQUEST_BYTES: usize = 1024 * 1024;
/// What throttle faults say to wait, where they say it.
const THROTTLE_SECONDS: i64 = 17;

/// The routes of Bridge's side.
pub(crate) fn router(sandbox: &Sandbox) -> Router {
    Router::new()
        .route("/sandbox/bridge/connect", post(connect::connect))
        .route("/sandbox/bridge/session/{id}", get(site::show).post(site::submit))
        .route("/sandbox/bridge/session/{id}/leave", get(site::leave))
        .route("/v3/{*rest}", any(serve))
        .with_state(sandbox.clone())
}

async fn serve(Extract(sandbox): Extract<Sandbox>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_REQUEST_BYTES).await else {
        let reply = refusal(400, "body_too_large", "The request body is too large", None);
        return send(&sandbox, reply, &Wire::default());
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
    let secret = header(&parts.headers, "client-secret");
    let application = state.bridge.admit(header(&parts.headers, "client-id"), secret);
    let bearer = application
        .and_then(|application| state.bridge.bearer(&state.bank, application, header(&parts.headers, "authorization")));
    let asks_token = parts.uri.path().trim_end_matches('/') == "/v3/aggregation/authorization/token";
    let user = match application {
        Some(application) if asks_token => {
            let body = serde_json::from_slice(&body).unwrap_or_default();
            users::named(&state.bank, application, &body)
        }
        Some(_) | None => bearer,
    };
    let logged: Arc<str> = application.map_or_else(|| secret.into(), |at| state.bridge.applications[at].name());
    let whose = user.map(|user| UserId(state.bank.users[user].id));
    let number = state.traffic.receive(now_ms, logged, whose, parts.method.as_str(), target);
    let mut wire = Wire { delay: state.settings.latency, ..Wire::default() };
    let admitted = admit(state, parts, application, user, asks_token);
    let reply = match admitted {
        Err(refusal) => refusal,
        Ok(application) => {
            let call = call_of(parts, body, application, bearer);
            admitted_answer(state, call, parts, user, &mut wire)
        }
    };
    if !wire.hang {
        state.traffic.answer(number, reply.status);
    }
    (reply, wire)
}

/// Lets a request of an application in, or says why not.
fn admit(
    state: &mut State,
    parts: &Parts,
    application: Option<usize>,
    user: Option<usize>,
    asks_token: bool,
) -> Result<usize, Reply> {
    if state.settings.bridge.require_version && header(&parts.headers, "bridge-version") != VERSION {
        let message = format!("The header Bridge-Version must be {VERSION}");
        return Err(refusal(400, "invalid_version", &message, Some("Bridge-Version")));
    }
    let application = application
        .ok_or_else(|| refusal(401, "invalid_client_credentials", "client_id and client_secret are invalid", None))?;
    limit(state, application, user, asks_token)
        .map_err(|seconds| throttled(state.settings.bridge.retry_after.then_some(Retry::Seconds(seconds))))?;
    Ok(application)
}

/// Counts a request in every window it falls in, or in none and answers the seconds to wait (3.3).
fn limit(state: &mut State, application: usize, user: Option<usize>, asks_token: bool) -> Result<(), i64> {
    let (now_ms, settings) = (state.bank.now_ms, &state.settings.bridge);
    let windows = &mut state.bridge.windows;
    let of_application = &mut state.bridge.applications[application].window;
    let of_user = user.map(|user| windows.entry(user).or_default());
    let most = |limit: Option<usize>| limit.unwrap_or(usize::MAX);
    of_application.room(now_ms, APPLICATION_WINDOW_MS, most(settings.application_limit))?;
    if let Some(of_user) = of_user {
        of_user.requests.room(now_ms, MINUTE_MS, most(settings.user_limit))?;
        if asks_token {
            of_user.tokens.room(now_ms, MINUTE_MS, most(settings.token_limit))?;
            of_user.tokens.take(now_ms);
        }
        of_user.requests.take(now_ms);
    }
    of_application.take(now_ms);
    Ok(())
}

fn admitted_answer(state: &mut State, mut call: Call, parts: &Parts, user: Option<usize>, wire: &mut Wire) -> Reply {
    let mut instead = None;
    for fault in faults(state, &call, user) {
        if let Some(reply) = replacement(&fault) {
            instead = instead.or(Some(reply));
        }
        wire.suffer(&fault);
        call.wish.grant(&fault);
    }
    let reply = instead.unwrap_or_else(|| {
        let refused = wrong_media_type(&call, header(&parts.headers, "content-type"));
        refused.unwrap_or_else(|| dispatch(state, &call).unwrap_or_else(|refusal| refusal))
    });
    if call.wish.bare_errors && reply.status >= 400 { bare(reply) } else { reply }
}

/// The faults that meet a request.
fn faults(state: &mut State, call: &Call, user: Option<usize>) -> Vec<Fault> {
    if state.faults.is_empty() {
        return Vec::new();
    }
    let is_first = call.param("after").or_else(|| call.param("starting_after")).is_none();
    let links = links_of(state, call, user);
    state.faults.meet(&Asked {
        method: call.method.as_str(),
        path: &call.target,
        links: &links,
        user: user.map(|user| state.bank.users[user].id),
        page: if is_first { 1 } else { 2 },
    })
}

/// The items a request is about: the one it names, by itself or by an account or a transaction, else all of the user's.
fn links_of(state: &State, call: &Call, user: Option<usize>) -> Vec<u128> {
    let bank = &state.bank;
    let last = call.path.trim_end_matches('/').rsplit('/').next().and_then(id::parse_number);
    let named = [call.param("item_id"), call.param("account_id")].into_iter().flatten().filter_map(id::parse_number);
    let named = named.chain(last).find_map(|id| bank.link_about(id));
    let is_data = ["items", "accounts", "transactions", "stocks"]
        .iter()
        .any(|list| call.path.trim_end_matches('/').strip_prefix("/v3/aggregation/") == Some(list));
    match (named, user) {
        (Some(link), _) => vec![bank.links[link].id],
        (None, Some(user)) if is_data => bank.users[user].links.iter().map(|link| bank.links[*link].id).collect(),
        (None, _) => Vec::new(),
    }
}

/// The answer that a fault puts in place of the endpoint's, which then does not run.
fn replacement(fault: &Fault) -> Option<Reply> {
    let limited = |retry| Some(throttled(retry));
    match fault {
        Fault::Throttle(ThrottleForm::ErrorEnvelope) => limited(Some(Retry::Seconds(THROTTLE_SECONDS))),
        Fault::Throttle(ThrottleForm::RetryDate) => limited(Some(Retry::DateIn(THROTTLE_SECONDS))),
        Fault::Throttle(ThrottleForm::Detail) => limited(None),
        Fault::Throttle(ThrottleForm::TextUnder503) => {
            Some(Reply::raw(503, "text/plain", b"Too many requests, try again later.".to_vec()))
        }
        Fault::Status(status) => Some(refusal(*status, "fault", "This answer was asked for", None)),
        Fault::Html502 | Fault::Maintenance(_) | Fault::NotJson | Fault::EmptyBody | Fault::HugeBody(_) => {
            broken(fault)
        }
        Fault::RefreshLimit
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
        | Fault::ObfuscatedEverywhere => None,
    }
}

fn call_of(parts: &Parts, body: Bytes, application: usize, user: Option<usize>) -> Call {
    let host = header(&parts.headers, "host");
    let target = parts.uri.path_and_query().map_or_else(|| parts.uri.path(), |all| all.as_str());
    Call {
        method: parts.method.clone(),
        path: parts.uri.path().to_owned(),
        query: url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect(),
        target: target.to_owned(),
        origin: if host.is_empty() { "https://api.bridgeapi.io".to_owned() } else { format!("http://{host}") },
        body,
        application,
        user,
        is_english: header(&parts.headers, "accept-language").starts_with("en"),
        wish: Wish::default(),
    }
}

/// 415, where a body is not called JSON or one is missing that must be there (3.1).
fn wrong_media_type(call: &Call, content_type: &str) -> Option<Reply> {
    let is_json = content_type.to_ascii_lowercase().starts_with("application/json");
    let needs_body = ["authorization/token", "connect-sessions", "user-management-sessions"]
        .iter()
        .any(|path| call.path.trim_end_matches('/').strip_prefix("/v3/aggregation/") == Some(path));
    let is_wrong = if call.body.is_empty() { call.method == "POST" && needs_body } else { !is_json };
    is_wrong.then(|| refusal(415, "unsupported_media_type", "A JSON body with its content type is expected", None))
}
