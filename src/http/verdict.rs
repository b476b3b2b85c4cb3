//! What an answer means: one pure decision over status, headers and body.

use std::time::Duration;

use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderMap, Method};
use serde::de::IgnoredAny;

use super::document::{Dialect, ErrorDocument};
use super::error::TransientCause;
use super::throttle::retry_after;
use super::transport::{BodyBreak, Received};

/// What to do about an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A usable answer.
    Done,
    /// Ask again at this URL reference.
    Redirect(String),
    /// The request throttle, executed by nobody; `hint` is how long the aggregator says it lasts.
    Throttled { hint: Option<Duration>, document: ErrorDocument },
    /// A no for the caller to read.
    Refused(ErrorDocument),
    /// No usable answer; another try may bring one, not before `wait`.
    Fault { cause: TransientCause, wait: Option<Duration>, document: Option<ErrorDocument> },
    /// Beyond the cap.
    TooLarge,
}

/// Decides what an answer to `method` means at `now_ms`.
pub(super) fn judge(method: &Method, received: &Received, dialect: Dialect, now_ms: i64) -> Verdict {
    let status = received.status;
    match status {
        200..=299 => judge_success(method, received),
        301 | 302 | 307 | 308 if *method == Method::GET => match location(&received.headers) {
            Some(reference) => Verdict::Redirect(reference),
            None => fault(TransientCause::Status(status)),
        },
        // "Come back there with the same request": this one was not executed.
        301 | 307 | 308 => Verdict::Refused((dialect.read_error)(&received.body)),
        400..=599 => {
            let document = (dialect.read_error)(&received.body);
            if (dialect.is_quota)(status, &document) {
                return Verdict::Refused(document);
            }
            let retry_after = retry_after(&received.headers, now_ms);
            if status == 429 || document.says_throttled() {
                return Verdict::Throttled { hint: retry_after.or(document.wait), document };
            }
            if status == 408 || status >= 500 {
                return Verdict::Fault {
                    cause: TransientCause::Status(status),
                    wait: retry_after.or(document.wait),
                    document: Some(document),
                };
            }
            Verdict::Refused(document)
        }
        _ => fault(TransientCause::Status(status)),
    }
}

fn judge_success(method: &Method, received: &Received) -> Verdict {
    match received.broke {
        Some(BodyBreak::TooLarge) => return Verdict::TooLarge,
        Some(BodyBreak::CutShort) => return fault(TransientCause::CutShort),
        None => {}
    }
    if received.body.is_empty() {
        let may_be_empty = received.status == 204 || *method == Method::DELETE;
        return if may_be_empty { Verdict::Done } else { fault(TransientCause::Empty) };
    }
    if !claims_json(&received.headers) {
        return fault(TransientCause::NotJson);
    }
    match serde_json::from_slice::<IgnoredAny>(&received.body) {
        Ok(IgnoredAny) => Verdict::Done,
        Err(_broken) => fault(TransientCause::BrokenJson),
    }
}

fn fault(cause: TransientCause) -> Verdict {
    Verdict::Fault { cause, wait: None, document: None }
}

/// Whether the content type is JSON's; an answer that names none gets the benefit of the doubt.
fn claims_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return true;
    };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "text/json" || essence == "application/json" || essence.ends_with("+json")
}

fn location(headers: &HeaderMap) -> Option<String> {
    headers.get(LOCATION)?.to_str().ok().map(str::to_owned)
}
