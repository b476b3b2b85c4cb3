//! One call: attempts, waits between them, and what comes of it.

use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use jiff::Timestamp;
use tokio::time::Instant;
use url::Url;

use super::answer::request_id_of;
use super::document::ErrorDocument;
use super::error::{Call, HttpError, TransientCause};
use super::throttle::{Delays, wait_after_throttle};
use super::transport::{MAX_BODY_BYTES, Outgoing, Received, SendError};
use super::verdict::{Verdict, judge};
use super::{Answer, Door, MAX_ATTEMPTS, MAX_INLINE_WAIT, MAX_THROTTLED_AGAIN};
use crate::limits::requests::{Hold, Lane};

/// A path that an aggregator made up is shown up to here.
const MAX_SHOWN_PATH_BYTES: usize = 200;
/// Shorter values (page numbers, dates' parts) are no secrets, and withholding them would garble every message.
const MIN_WITHHELD_BYTES: usize = 6;

/// The state of a call between its attempts.
pub(super) struct Sending<'a> {
    door: &'a Door,
    method: Method,
    url: Url,
    body: Option<Bytes>,
    lane: Lane,
    delays: Delays,
    attempts: u32,
    failures: u32,
    throttles: u32,
    was_redirected: bool,
}

/// `Break` ends the call, `Continue` asks for another attempt.
type Step = ControlFlow<Result<Answer, HttpError>>;

impl<'a> Sending<'a> {
    pub(super) fn new(door: &'a Door, method: Method, url: Url, body: Option<Bytes>, lane: Lane) -> Self {
        Self {
            door,
            method,
            url,
            body,
            lane,
            delays: Delays::new(),
            attempts: 0,
            failures: 0,
            throttles: 0,
            was_redirected: false,
        }
    }

    /// Sends until there is an answer or a reason to stop.
    pub(super) async fn run(mut self) -> Result<Answer, HttpError> {
        loop {
            let limiter = self.door.limiter();
            if let Some(hold) = limiter.held_for(self.door.claims()).filter(|hold| hold.left > MAX_INLINE_WAIT) {
                return Err(self.rate_limited(hold, None));
            }
            limiter.admit(self.lane, self.door.claims()).await;
            let step = match self.attempt().await {
                Ok(received) => self.weigh(received).await,
                Err(SendError::NotSent(reason)) => {
                    ControlFlow::Break(Err(HttpError::NotSent { reason, call: self.call() }))
                }
                Err(SendError::Lost(cause)) => self.fail(cause, None, None).await,
            };
            if let ControlFlow::Break(outcome) = step {
                return outcome;
            }
        }
    }

    async fn attempt(&mut self) -> Result<Received, SendError> {
        self.attempts += 1;
        self.door.count_request();
        let outgoing = Outgoing {
            method: self.method.clone(),
            url: self.url.clone(),
            headers: self.door.request_headers(self.body.is_some()),
            body: self.body.clone(),
        };
        let started = Instant::now();
        let sent = tokio::time::timeout(self.door.request_timeout(), self.door.wire().send(outgoing)).await;
        let outcome = sent.unwrap_or(Err(SendError::Lost(TransientCause::TimedOut)));
        self.log(started.elapsed(), &outcome);
        outcome
    }

    fn log(&self, took: Duration, outcome: &Result<Received, SendError>) {
        let call = self.call();
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        match outcome {
            Ok(received) => tracing::debug!(
                http.method = call.method,
                http.path = call.path,
                http.status = received.status,
                attempt = call.attempts,
                duration_ms,
                request.id = request_id_of(&received.headers),
                "request"
            ),
            Err(lost) => tracing::debug!(
                http.method = call.method,
                http.path = call.path,
                attempt = call.attempts,
                duration_ms,
                error = match lost {
                    SendError::NotSent(reason) => reason.to_string(),
                    SendError::Lost(cause) => cause.to_string(),
                },
                "request"
            ),
        }
    }

    async fn weigh(&mut self, received: Received) -> Step {
        let status = received.status;
        match judge(&self.method, &received, self.door.dialect(), self.door.clock().now_ms()) {
            Verdict::Done => {
                self.door.throttle_streaks().end(self.door.claims());
                ControlFlow::Break(Ok(Answer {
                    status,
                    request_id: request_id_of(&received.headers),
                    body: received.body,
                    attempts: self.attempts,
                }))
            }
            Verdict::Redirect(reference) => self.redirect(status, &reference).await,
            Verdict::Throttled { hint, document } => {
                let document = Box::new(self.clean(document, &received));
                self.throttled(hint, document)
            }
            Verdict::Refused(document) => {
                let document = Box::new(self.clean(document, &received));
                ControlFlow::Break(Err(self.refused(status, document)))
            }
            Verdict::Fault { cause, wait, document } => {
                let document = document.map(|document| Box::new(self.clean(document, &received)));
                self.fail(cause, wait, document).await
            }
            Verdict::TooLarge if self.is_repeatable() => {
                self.door.limiter().record_failed();
                ControlFlow::Break(Err(HttpError::TooLarge { cap_bytes: MAX_BODY_BYTES, call: self.call() }))
            }
            Verdict::TooLarge => self.fail(TransientCause::TooLarge, None, None).await,
        }
    }

    async fn redirect(&mut self, status: u16, reference: &str) -> Step {
        let Some(url) = self.url.join(reference).ok().filter(|url| self.door.is_own_origin(url)) else {
            return ControlFlow::Break(Err(HttpError::ForeignOrigin { call: self.call() }));
        };
        if self.was_redirected {
            return self.fail(TransientCause::Status(status), None, None).await;
        }
        self.was_redirected = true;
        self.url = url;
        self.url.set_fragment(None);
        ControlFlow::Continue(())
    }

    /// Holds whom the limiter thinks is meant; waiting for the end of the hold is left to it, too. A throttled POST was not
    /// executed, so it comes again like a GET.
    fn throttled(&mut self, hint: Option<Duration>, document: Box<ErrorDocument>) -> Step {
        let (limiter, claims) = (self.door.limiter(), self.door.claims());
        limiter.record_rate_limited();
        // Several requests on their way draw several 429 for one and the same throttle: only the first makes it worse.
        let streak = self.door.throttle_streaks().throttled(claims, limiter.held_for(claims).is_none());
        let wait = wait_after_throttle(hint, self.door.dialect().unhinted_waits, streak);
        let hold = limiter.throttled(self.after(wait), claims);
        self.throttles += 1;
        if wait > MAX_INLINE_WAIT || self.throttles > MAX_THROTTLED_AGAIN {
            return ControlFlow::Break(Err(self.rate_limited(hold, Some(document))));
        }
        ControlFlow::Continue(())
    }

    /// A refusal of credentials says nothing about those that have replaced them while the request waited or was on its way.
    fn refused(&self, status: u16, document: Box<ErrorDocument>) -> HttpError {
        let call = self.call();
        if matches!(status, 401 | 403) && self.door.limiter().is_succeeded() {
            let cause = TransientCause::Replaced(status);
            return HttpError::Transient { cause, retry_at: None, document: Some(document), call };
        }
        HttpError::Refused { status, document, call }
    }

    fn rate_limited(&self, hold: Hold, document: Option<Box<ErrorDocument>>) -> HttpError {
        HttpError::RateLimited { until: self.after(hold.left), is_shared: hold.is_shared, document, call: self.call() }
    }

    async fn fail(
        &mut self,
        cause: TransientCause,
        wait: Option<Duration>,
        document: Option<Box<ErrorDocument>>,
    ) -> Step {
        self.door.limiter().record_failed();
        self.failures += 1;
        let was_sent = !matches!(cause, TransientCause::Connect { .. });
        if !self.is_repeatable() && was_sent {
            return ControlFlow::Break(Err(HttpError::OutcomeUnknown { cause, document, call: self.call() }));
        }
        let wait = wait.unwrap_or_default();
        if !self.is_repeatable() || self.failures >= MAX_ATTEMPTS || wait > MAX_INLINE_WAIT {
            let retry_at = (!wait.is_zero()).then(|| self.after(wait));
            return ControlFlow::Break(Err(HttpError::Transient { cause, retry_at, document, call: self.call() }));
        }
        let door = self.door;
        let delay = self.delays.next(|most| door.random_up_to(most));
        tokio::time::sleep(delay.max(wait)).await;
        ControlFlow::Continue(())
    }

    fn is_repeatable(&self) -> bool {
        self.method == Method::GET
    }

    fn after(&self, wait: Duration) -> Timestamp {
        self.door.clock().now().saturating_add(wait).unwrap_or(Timestamp::MAX)
    }

    fn call(&self) -> Call {
        call_of(&self.method, &self.url, self.attempts)
    }

    /// Makes a document fit to leave the door.
    fn clean(&self, mut document: ErrorDocument, received: &Received) -> ErrorDocument {
        document.request_id = request_id_of(&received.headers).or(document.request_id);
        let mut withheld = self.door.header_secrets();
        withheld.extend(self.url.query_pairs().map(|(_, value)| value.into_owned()));
        if let Some(body) = self.body.as_deref().and_then(|body| serde_json::from_slice(body).ok()) {
            collect_texts(&body, &mut withheld);
        }
        withheld.retain(|text| text.len() >= MIN_WITHHELD_BYTES);
        // The longest first: a value may be part of another.
        withheld.sort_by_key(|text| std::cmp::Reverse(text.len()));
        document.clean(&withheld);
        document
    }
}

/// Names a request for errors and logs: never with its query.
pub(super) fn call_of(method: &Method, url: &Url, attempts: u32) -> Call {
    let method = match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "?",
    };
    // A URL's path is ASCII, so any byte is a boundary.
    let path = url.path();
    Call { method, path: path[..path.len().min(MAX_SHOWN_PATH_BYTES)].to_owned(), attempts }
}

fn collect_texts(value: &serde_json::Value, texts: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) => texts.push(text.clone()),
        serde_json::Value::Array(values) => values.iter().for_each(|value| collect_texts(value, texts)),
        serde_json::Value::Object(members) => members.values().for_each(|value| collect_texts(value, texts)),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {}
    }
}
