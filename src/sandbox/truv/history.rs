//! The history of webhook requests, paged by a cursor (section 13.1).

use jiff::Timestamp;
use serde_json::{Value, json};

use super::json::instant;
use super::reply::{Answer, Call, Reply};
use crate::sandbox::id;
use crate::sandbox::outbox::Attempt;
use crate::sandbox::state::State;

/// What the filters leave, newest first; the cursor is a number of attempts from the oldest (invented).
pub(super) fn list(state: &State, call: &Call) -> Answer {
    let client = state.truv.tenants[call.tenant].client;
    let mine: Vec<u128> = state.truv.webhooks.iter().filter(|of| of.client == client).map(|of| of.id).collect();
    let since_ms = bound(call, "created_at__gte")?.unwrap_or(i64::MIN);
    let until_ms = bound(call, "created_at__lte")?.unwrap_or(i64::MAX);
    let status = call.param("status_code").map(str::to_owned);
    let wanted = |(_, attempt, payload): &(usize, &Attempt, Value)| {
        mine.contains(&attempt.endpoint)
            && (since_ms..=until_ms).contains(&attempt.at_ms)
            && call.param("event_type").is_none_or(|event| payload["event_type"] == event)
            && status.as_ref().is_none_or(|status| attempt.status.is_some_and(|had| had.to_string() == *status))
    };
    let before = match call.param("cursor") {
        None => usize::MAX,
        Some(text) => text.parse().map_err(|_| Reply::detail(404, "Invalid cursor"))?,
    };
    let payload = |attempt: &Attempt| serde_json::from_slice(&attempt.body).unwrap_or_default();
    let newest_first = state.outbox.history.iter().enumerate().rev().filter(|(at, _)| *at < before);
    let mut found = newest_first.map(|(at, attempt)| (at, attempt, payload(attempt))).filter(wanted);
    let size = call.param("page_size").and_then(|size| size.parse().ok()).unwrap_or(state.settings.default_page_size);
    let page: Vec<(usize, &Attempt, Value)> = found.by_ref().take(size.max(1)).collect();
    let last = page.last().map(|(at, ..)| *at);
    let next = last.filter(|_| found.next().is_some()).map(|at| format!("{}{}?cursor={at}", call.origin, call.path));
    let results: Vec<Value> = page.into_iter().map(|(_, attempt, payload)| object(attempt, &payload)).collect();
    Ok(Reply::ok(&json!({"next": next, "previous": null, "results": results})))
}

fn bound(call: &Call, name: &'static str) -> Result<Option<i64>, Reply> {
    let Some(text) = call.param(name) else { return Ok(None) };
    let at: Timestamp = text.parse().map_err(|_| Reply::invalid(name, "Enter a valid date/time."))?;
    Ok(Some(at.as_millisecond()))
}

/// Here `webhook_id` is the configuration's, in the payload it is the request's.
fn object(attempt: &Attempt, payload: &Value) -> Value {
    json!({
        "webhook_id": id::hex(attempt.endpoint),
        "event_type": payload["event_type"],
        "event_created_at": payload.get("event_created_at").cloned().unwrap_or_else(|| json!(instant(attempt.at_ms))),
        "status_code": attempt.status,
        "error_message": attempt.status.is_none().then_some("No answer in time"),
        "webhook_payload": payload,
        "webhook_url": attempt.url,
    })
}
