//! An answer before it becomes HTTP, whichever aggregator gives it.

use axum::http::HeaderMap;
use serde_json::Value;

use super::fault::Fault;

/// What an endpoint answers; answers and refusals go out the same way.
pub(crate) type Answer = Result<Reply, Reply>;

/// An answer before it becomes HTTP.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    pub(crate) content_type: &'static str,
    pub(crate) retry_after: Option<Retry>,
}

/// When to come back, in the two forms of the header.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Retry {
    /// After this many seconds.
    Seconds(i64),
    /// At this instant, reckoned from the answer, written as a date.
    DateIn(i64),
}

impl Reply {
    pub(crate) fn raw(status: u16, content_type: &'static str, body: Vec<u8>) -> Self {
        Self { status, body, content_type, retry_after: None }
    }

    pub(crate) fn json(status: u16, value: &Value) -> Self {
        Self::raw(status, "application/json", value.to_string().into_bytes())
    }

    pub(crate) fn ok(value: &Value) -> Self {
        Self::json(200, value)
    }

    pub(crate) fn empty() -> Self {
        Self::raw(204, "application/json", Vec::new())
    }
}

/// A header as text, empty when absent or not text.
pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// What a broken server or proxy answers in place of the endpoint, which then does not run.
pub(crate) fn broken(fault: &Fault) -> Option<Reply> {
    if *fault == Fault::Html502 {
        let page =
            b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1>\
            </center>\r\n</body>\r\n</html>\r\n";
        return Some(Reply::raw(502, "text/html", page.to_vec()));
    }
    if *fault == Fault::NotJson {
        return Some(Reply::raw(200, "application/json", b"upstream connect error, {\"count\": 1,".to_vec()));
    }
    if let Fault::Maintenance(lasts) = fault {
        let text = b"The service is under maintenance.".to_vec();
        return Some(Reply {
            retry_after: Some(Retry::Seconds(lasts.as_secs())),
            ..Reply::raw(503, "text/plain", text)
        });
    }
    let is_empty = matches!(fault, Fault::EmptyBody | Fault::HugeBody(_));
    is_empty.then(|| Reply::raw(200, "application/json", Vec::new()))
}
