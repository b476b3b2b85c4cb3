//! The one door to the network: every request to an aggregator goes through a [`Door`].
//!
//! The aggregators' clients call it with a path and read JSON out of an [`Answer`]. What must stay true: every attempt
//! passes the credential's [`RequestLimiter`]; nothing is sent outside the aggregator's origin; a request that changes
//! something is sent at most once unless the aggregator said that it was not executed; nothing that is shown holds a
//! header, a query value, a body or a token; and no call lasts for ever.
//!
//! # How an answer is read
//!
//! | answer | GET | POST, PATCH, DELETE |
//! |---|---|---|
//! | 2xx with JSON | [`Answer`] | [`Answer`] |
//! | 2xx that is empty, not JSON, cut short | again, then `Transient` | `OutcomeUnknown` |
//! | 301, 302, 307, 308 | followed once within the origin, else `ForeignOrigin` | `Refused` (302, 303: `OutcomeUnknown`) |
//! | a quota used up, as [`Dialect::is_quota`] says | `Refused` | `Refused` |
//! | 429, or the throttle's text under any status | again after the wait, or `RateLimited` | the same |
//! | 401, 403, once a reload has replaced the door | `Transient` | `Transient` |
//! | other 4xx | `Refused` | `Refused` |
//! | 408, 5xx, timeout, lost connection | again, then `Transient` | `OutcomeUnknown` |
//! | no connection | again, then `Transient` | `Transient` |
//!
//! What it does not do: interpret a 4xx, page through lists, hold tokens, or decide when a link is tried again.

mod answer;
mod call;
mod document;
mod error;
mod options;
mod post;
mod shown;
mod throttle;
mod transport;
mod verdict;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::http::header::{ACCEPT, CONTENT_TYPE, HeaderName, USER_AGENT};
use ::http::{HeaderMap, HeaderValue, Method};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use url::Url;

use crate::clock::Clock;
use crate::limits::requests::{Claims, Lane, RequestLimiter};
use call::{Sending, call_of};
use throttle::Streaks;
use transport::Wire;

pub use answer::Answer;
pub use document::{Dialect, ErrorDocument, FieldProblem};
pub use error::{Call, HttpError, NotSentReason, Reason, TransientCause};
pub(crate) use options::is_loopback;
pub use options::{
    DEFAULT_CONNECT_TIMEOUT, DEFAULT_REQUEST_TIMEOUT, DoorError, DoorOptions, MAX_CONNECT_TIMEOUT, MAX_REQUEST_TIMEOUT,
    MIN_CONNECT_TIMEOUT, MIN_REQUEST_TIMEOUT, Timeouts,
};
pub use post::{PostError, Poster, PosterError};
pub(crate) use transport::install_crypto;
pub use transport::{MAX_BODY_BYTES, Transport};

/// Attempts of a GET that keeps failing.
pub const MAX_ATTEMPTS: u32 = 3;
/// How often a throttled request comes again in one call.
pub const MAX_THROTTLED_AGAIN: u32 = 2;
/// A wait that the aggregator asks for and that is longer than this is the caller's: the link is deferred instead of
/// holding a worker.
pub const MAX_INLINE_WAIT: Duration = Duration::from_mins(1);

const OUR_USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("passbook/", env!("CARGO_PKG_VERSION")));
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Sends requests to one aggregator with one credential. Cheap to clone; clones share limiter and connections.
#[derive(Clone)]
pub struct Door {
    shared: Arc<Shared>,
    headers: Arc<HeaderMap>,
    claims: Claims,
}

struct Shared {
    origin: Url,
    wire: Wire,
    limiter: RequestLimiter,
    dialect: Dialect,
    clock: Clock,
    request_timeout: Duration,
    random: Mutex<Xoshiro256PlusPlus>,
    requests_sent: AtomicU64,
    throttle_streaks: Streaks,
}

impl Door {
    /// Opens a door; sends nothing.
    ///
    /// Errors: `InsecureOrigin` and `NotAnOrigin` (correct the config), `Client` (correct the machine).
    pub fn new(options: DoorOptions) -> Result<Self, DoorError> {
        let DoorOptions { origin, headers, transport, limiter, dialect, clock, timeouts, seed } = options;
        options::check_origin(&origin)?;
        let wire = Wire::new(transport, origin.scheme() == "http", timeouts.connect).map_err(DoorError::Client)?;
        let shared = Shared {
            origin,
            wire,
            limiter,
            dialect,
            clock,
            request_timeout: timeouts.request,
            random: Mutex::new(Xoshiro256PlusPlus::seed_from_u64(seed)),
            requests_sent: AtomicU64::new(0),
            throttle_streaks: Streaks::default(),
        };
        let headers = Arc::new(all_sensitive(headers));
        Ok(Self { shared: Arc::new(shared), headers, claims: Claims::none() })
    }

    /// The same door with one more header, such as a user's token; it shares everything else.
    #[must_use]
    pub fn with_header(&self, name: HeaderName, value: HeaderValue) -> Self {
        let mut headers = (*self.headers).clone();
        headers.insert(name, value);
        Self { headers: Arc::new(all_sensitive(headers)), ..self.clone() }
    }

    /// The same door whose requests also count against these keys, such as a user's, instead of those it had; it shares
    /// everything else.
    #[must_use]
    pub fn counting_against(&self, claims: Claims) -> Self {
        Self { claims, ..self.clone() }
    }

    /// Reads `path` with `query`.
    ///
    /// Shape: `path` begins with `/` and holds neither `.` nor `..` segments.
    /// Errors: `RateLimited` (not before `until`), `Refused` (read status and document), `Transient` (try later),
    /// `ForeignOrigin` and `TooLarge` (look at it), `NotSent` (a defect).
    pub async fn get(&self, path: &str, query: &[(&str, &str)], lane: Lane) -> Result<Answer, HttpError> {
        let mut url = self.url_of(&Method::GET, path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Sending::new(self, Method::GET, url, None, lane).run().await
    }

    /// Reads what an answer points to, such as the next page.
    ///
    /// Shape: `uri_reference` is an absolute URL or begins with `/`; it is resolved against the origin's root.
    /// Errors: `ForeignOrigin` when it leads elsewhere (nothing is sent); otherwise as [`Door::get`].
    pub async fn get_following(&self, uri_reference: &str, lane: Lane) -> Result<Answer, HttpError> {
        let is_absolute = uri_reference.starts_with('/') || uri_reference.contains("://");
        let resolved = self.shared.origin.join(uri_reference).ok();
        let Some(mut url) = resolved.filter(|url| is_absolute && self.is_own_origin(url)) else {
            return Err(HttpError::ForeignOrigin { call: call_of(&Method::GET, &self.shared.origin, 0) });
        };
        url.set_fragment(None);
        Sending::new(self, Method::GET, url, None, lane).run().await
    }

    /// Sends `body` to `path`, once: it is repeated only after a throttle, which nobody executed.
    ///
    /// Errors: `OutcomeUnknown` (it may have been executed: find out first), `Transient` (it was not sent), `RateLimited`
    /// (not before `until`), `Refused` (read status and document), `NotSent` (a defect).
    pub async fn post(&self, path: &str, body: &serde_json::Value, lane: Lane) -> Result<Answer, HttpError> {
        self.send(Method::POST, path, body, lane).await
    }

    /// Changes what is at `path` as `body` says, once.
    ///
    /// Errors: as [`Door::post`].
    pub async fn patch(&self, path: &str, body: &serde_json::Value, lane: Lane) -> Result<Answer, HttpError> {
        self.send(Method::PATCH, path, body, lane).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: &serde_json::Value,
        lane: Lane,
    ) -> Result<Answer, HttpError> {
        let url = self.url_of(&method, path)?;
        let Ok(body) = serde_json::to_vec(body) else {
            return Err(HttpError::NotSent { reason: NotSentReason::Body, call: call_of(&method, &url, 0) });
        };
        Sending::new(self, method, url, Some(body.into()), lane).run().await
    }

    /// Deletes `path`, once.
    ///
    /// Errors: as [`Door::post`].
    pub async fn delete(&self, path: &str, lane: Lane) -> Result<Answer, HttpError> {
        let url = self.url_of(&Method::DELETE, path)?;
        Sending::new(self, Method::DELETE, url, None, lane).run().await
    }

    /// The budget that every attempt passes.
    pub fn limiter(&self) -> &RequestLimiter {
        &self.shared.limiter
    }

    /// Whether the aggregator is on this machine.
    pub fn is_local(&self) -> bool {
        is_loopback(&self.shared.origin)
    }

    /// Requests sent through this door and its clones, retries included.
    pub fn requests_sent(&self) -> u64 {
        self.shared.requests_sent.load(Ordering::Relaxed)
    }

    fn url_of(&self, method: &Method, path: &str) -> Result<Url, HttpError> {
        let is_plain =
            path.starts_with('/') && !path.contains(char::is_control) && !path.split(['/', '\\']).any(is_dot_segment);
        let mut url = self.shared.origin.clone();
        if !is_plain {
            return Err(HttpError::NotSent { reason: NotSentReason::Path, call: call_of(method, &url, 0) });
        }
        let prefix = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{prefix}{path}"));
        Ok(url)
    }

    fn is_own_origin(&self, url: &Url) -> bool {
        url.origin() == self.shared.origin.origin() && url.username().is_empty() && url.password().is_none()
    }

    fn request_headers(&self, has_body: bool) -> HeaderMap {
        let mut headers = (*self.headers).clone();
        headers.insert(ACCEPT, JSON);
        headers.insert(USER_AGENT, OUR_USER_AGENT);
        if has_body {
            headers.insert(CONTENT_TYPE, JSON);
        }
        headers
    }

    /// The values of the headers, and the words in them: `Bearer` stands before a token.
    fn header_secrets(&self) -> Vec<String> {
        let values = self.headers.values().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| std::iter::once(value).chain(value.split_whitespace())).map(str::to_owned).collect()
    }

    fn claims(&self) -> &Claims {
        &self.claims
    }

    fn wire(&self) -> &Wire {
        &self.shared.wire
    }

    fn dialect(&self) -> Dialect {
        self.shared.dialect
    }

    fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    fn request_timeout(&self) -> Duration {
        self.shared.request_timeout
    }

    fn count_request(&self) {
        self.shared.requests_sent.fetch_add(1, Ordering::Relaxed);
    }

    fn random_up_to(&self, most: u64) -> u64 {
        self.shared.random.lock().unwrap_or_else(PoisonError::into_inner).random_range(0..=most)
    }

    fn throttle_streaks(&self) -> &Streaks {
        &self.shared.throttle_streaks
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("origin", &self.shared.origin.as_str()).finish_non_exhaustive()
    }
}

fn all_sensitive(mut headers: HeaderMap) -> HeaderMap {
    headers.values_mut().for_each(|value| value.set_sensitive(true));
    headers
}

/// `.` and `..`, also as a URL parser understands them.
fn is_dot_segment(segment: &str) -> bool {
    let segment = segment.to_ascii_lowercase().replace("%2e", ".");
    segment == "." || segment == ".."
}
