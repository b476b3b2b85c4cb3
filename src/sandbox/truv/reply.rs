//! A request as the endpoints see it, and their answers.

use axum::http::Method;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::sandbox::fault::Fault;
pub(super) use crate::sandbox::reply::{Answer, Reply, Retry, header};

/// An admitted request.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    /// Path below `/v1`, without empty parts.
    pub(super) segments: Vec<String>,
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    /// Scheme and host for absolute URLs.
    pub(super) origin: String,
    pub(super) body: Bytes,
    pub(super) tenant: usize,
    pub(super) wish: Wish,
}

/// What faults want of the endpoints.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "one flag a fault, read one by one")]
pub(super) struct Wish {
    pub(super) repeat_page: bool,
    pub(super) invalid_page: bool,
    pub(super) drift: bool,
    pub(super) shrink: bool,
    pub(super) row_without_id: bool,
    pub(super) bad_amount: bool,
    pub(super) duplicate_row: bool,
    pub(super) skew_ms: i64,
}

impl Wish {
    /// Notes a fault that an endpoint shows; others are none of its business.
    pub(super) fn grant(&mut self, fault: &Fault) {
        self.repeat_page |= *fault == Fault::RepeatPage;
        self.invalid_page |= *fault == Fault::InvalidPage404;
        self.drift |= *fault == Fault::DriftWhilePaging;
        self.shrink |= *fault == Fault::ShrinkWhilePaging;
        self.row_without_id |= *fault == Fault::RowWithoutId;
        self.bad_amount |= *fault == Fault::BadAmount;
        self.duplicate_row |= *fault == Fault::DuplicateRow;
    }
}

impl Call {
    /// The first value of a query parameter.
    pub(super) fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The values of a comma list, if the parameter is there and not empty.
    pub(super) fn list(&self, name: &str) -> Option<Vec<&str>> {
        self.param(name).filter(|text| !text.is_empty()).map(|text| text.split(',').map(str::trim).collect())
    }

    /// The body as a JSON object.
    pub(super) fn json(&self) -> Result<Value, Reply> {
        let value: Value = serde_json::from_slice(&self.body)
            .map_err(|_| Reply::error(400, "incorrect_parameters", "JSON parse error"))?;
        if value.is_object() { Ok(value) } else { Err(Reply::invalid("non_field_errors", "Expected an object.")) }
    }
}

/// Truv's refusals.
impl Reply {
    /// The newest error envelope (3.1).
    pub(super) fn error(status: u16, code: &str, message: &str) -> Self {
        Self::json(status, &json!({"error": {"code": code, "message": message}}))
    }

    /// 400 that names a field (3.1).
    pub(super) fn invalid(field: &str, message: &str) -> Self {
        let extra = json!({"invalid-params": [{"field": field, "message": message}]});
        Self::json(
            400,
            &json!({"error": {"code": "incorrect_parameters", "message": "Incorrect request parameters", "extra": extra}}),
        )
    }

    /// The framework's own form.
    pub(super) fn detail(status: u16, detail: &str) -> Self {
        Self::json(status, &json!({"detail": detail}))
    }

    pub(super) fn not_found() -> Self {
        Self::detail(404, "Not Found.")
    }

    pub(super) fn invalid_page() -> Self {
        Self::detail(404, "Invalid page.")
    }

    /// 429 in the newest form with its header (2).
    pub(super) fn throttled(seconds: i64) -> Self {
        let message = format!("Request was throttled. Expected available in {seconds} seconds.");
        Self { retry_after: Some(Retry::Seconds(seconds)), ..Self::error(429, "throttled", &message) }
    }
}
