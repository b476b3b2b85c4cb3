//! What a request brought.

use std::fmt;

use bytes::Bytes;
use http::HeaderMap;

use super::shown;

const REQUEST_ID_HEADERS: [&str; 4] = ["x-request-id", "request-id", "x-amzn-requestid", "cf-ray"];

/// A usable answer: a 2xx whose body is JSON.
#[derive(Clone)]
pub struct Answer {
    /// The HTTP status, 200 to 299.
    pub status: u16,
    /// Valid JSON; empty only for a 204 and for a DELETE.
    pub body: Bytes,
    /// The aggregator's id of the request.
    pub request_id: Option<String>,
    /// How many requests it took.
    pub attempts: u32,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("body_bytes", &self.body.len())
            .field("request_id", &self.request_id)
            .field("attempts", &self.attempts)
            .finish()
    }
}

/// The aggregator's id of a request, as far as it is made of what ids are made of.
pub(super) fn request_id_of(headers: &HeaderMap) -> Option<String> {
    let value = REQUEST_ID_HEADERS.iter().find_map(|name| headers.get(*name))?;
    Some(shown::request_id(value.to_str().ok()?))
}
