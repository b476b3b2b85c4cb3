//! The way out: an answer on the wire, whole or damaged, whichever aggregator gives it.

use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header as names};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use jiff::Timestamp;

use super::Sandbox;
use super::fault::Fault;
use super::reply::{Reply, Retry};

/// How a huge body is cut into pieces, so that it needs no memory.
const CHUNK_BYTES: usize = 64 * 1024;
const HUGE_HEAD: &[u8] =
    br#"{"count":0,"next":null,"previous":null,"accounts":[],"transactions":[],"results":[],"resources":[],"padding":""#;
const HUGE_TAIL: &[u8] = br#""}"#;

/// What becomes of an answer on its way out.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "one flag a fault, read one by one")]
pub(crate) struct Wire {
    pub(crate) hang: bool,
    pub(crate) reset: bool,
    pub(crate) cut: bool,
    pub(crate) relabelled: bool,
    pub(crate) huge: Option<usize>,
    pub(crate) delay: Duration,
    pub(crate) skew_ms: i64,
}

impl Wire {
    /// Notes what a fault does to the answer's way out; other faults change nothing here.
    pub(crate) fn suffer(&mut self, fault: &Fault) {
        if let Fault::Slow(by) = fault {
            self.delay += by.unsigned_abs();
        }
        if let Fault::HugeBody(bytes) = fault {
            self.huge = Some(*bytes);
        }
        if let Fault::ClockSkew(by) = fault {
            self.skew_ms = i64::try_from(by.as_millis()).unwrap_or(0);
        }
        self.hang |= *fault == Fault::Hang;
        self.reset |= *fault == Fault::Reset;
        self.cut |= *fault == Fault::CutBody;
        self.relabelled |= *fault == Fault::WrongContentType;
    }
}

/// Puts an answer on the wire, whole or damaged.
pub(crate) fn send(sandbox: &Sandbox, reply: Reply, wire: &Wire) -> Response<Body> {
    let broken = || io::Error::new(io::ErrorKind::ConnectionReset, "the sandbox broke the connection");
    let body = if let Some(bytes) = wire.huge {
        huge(bytes)
    } else if wire.reset {
        Body::from_stream(stream::iter([Err::<Bytes, _>(broken())]))
    } else if wire.cut {
        let mut whole = Bytes::from(reply.body);
        let half = whole.split_to(whole.len() / 2);
        // The pause lets the connection flush the first half before it breaks.
        let end = stream::once(async move {
            tokio::task::yield_now().await;
            Err(broken())
        });
        Body::from_stream(stream::iter([Ok(half)]).chain(end))
    } else {
        Body::from(reply.body)
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    let content_type = if wire.relabelled { "text/html; charset=utf-8" } else { reply.content_type };
    headers.insert(names::CONTENT_TYPE, HeaderValue::from_static(content_type));
    let now_ms = sandbox.now().as_millisecond() + wire.skew_ms;
    match reply.retry_after {
        None => {}
        Some(Retry::Seconds(seconds)) => {
            headers.insert(names::RETRY_AFTER, HeaderValue::from(seconds));
        }
        Some(Retry::DateIn(seconds)) => {
            headers.insert(names::RETRY_AFTER, http_date(now_ms + seconds * 1000));
        }
    }
    headers.insert(names::DATE, http_date(now_ms));
    response
}

fn http_date(ms: i64) -> HeaderValue {
    let at = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
    let text = at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Valid JSON of a given size, made while it is read.
fn huge(bytes: usize) -> Body {
    let padding = bytes.saturating_sub(HUGE_HEAD.len() + HUGE_TAIL.len());
    let chunk = Bytes::from(vec![b'x'; CHUNK_BYTES]);
    let rest = chunk.slice(..padding % CHUNK_BYTES);
    let pieces = std::iter::once(Bytes::from_static(HUGE_HEAD))
        .chain(std::iter::repeat_n(chunk, padding / CHUNK_BYTES))
        .chain([rest, Bytes::from_static(HUGE_TAIL)]);
    Body::from_stream(stream::iter(pieces.map(Ok::<_, io::Error>)))
}
