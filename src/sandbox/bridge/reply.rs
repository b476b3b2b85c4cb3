//! A request as Bridge's endpoints see it, and Bridge's refusals (sections 3 and 15.3).

use axum::http::Method;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::sandbox::fault::Fault;
pub(super) use crate::sandbox::reply::{Answer, Reply, Retry, header};

/// An admitted request.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    /// Path with query, as asked.
    pub(super) target: String,
    /// Scheme and host for absolute URLs.
    pub(super) origin: String,
    pub(super) body: Bytes,
    pub(super) application: usize,
    /// The user of a valid bearer.
    pub(super) user: Option<usize>,
    pub(super) is_english: bool,
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
    pub(super) next_elsewhere: bool,
    pub(super) next_absolute: bool,
    pub(super) next_null: bool,
    pub(super) next_null_text: bool,
    pub(super) exponents: bool,
    pub(super) bare_errors: bool,
    pub(super) whole_seconds: bool,
    pub(super) obfuscated: bool,
}

impl Wish {
    /// Notes a fault that an endpoint shows; others are none of its business.
    pub(super) fn grant(&mut self, fault: &Fault) {
        for (wish, wanted) in [
            (&mut self.repeat_page, Fault::RepeatPage),
            (&mut self.invalid_page, Fault::InvalidPage404),
            (&mut self.drift, Fault::DriftWhilePaging),
            (&mut self.shrink, Fault::ShrinkWhilePaging),
            (&mut self.row_without_id, Fault::RowWithoutId),
            (&mut self.bad_amount, Fault::BadAmount),
            (&mut self.duplicate_row, Fault::DuplicateRow),
            (&mut self.next_elsewhere, Fault::NextUriElsewhere),
            (&mut self.next_absolute, Fault::NextUriAbsolute),
            (&mut self.next_null, Fault::NextUriNull),
            (&mut self.next_null_text, Fault::NextUriNullText),
            (&mut self.exponents, Fault::ExponentAmount),
            (&mut self.bare_errors, Fault::BareErrorBody),
            (&mut self.whole_seconds, Fault::TimestampsWithoutFraction),
            (&mut self.obfuscated, Fault::ObfuscatedEverywhere),
        ] {
            *wish |= *fault == wanted;
        }
    }
}

impl Call {
    /// The first value of a query parameter that is not empty.
    pub(super) fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// The values of a parameter that may be repeated or hold a comma list (section 16, 50).
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        let mine = self.query.iter().filter(|(key, _)| key == name);
        mine.flat_map(|(_, value)| value.split(',')).map(str::trim).filter(|value| !value.is_empty()).collect()
    }

    /// The body as a JSON object; 422 when it is none (3.1).
    pub(super) fn json(&self) -> Result<Value, Reply> {
        let value: Value = serde_json::from_slice(&self.body)
            .map_err(|_| refusal(422, "invalid_json", "The body is not valid JSON", None))?;
        if value.is_object() { Ok(value) } else { Err(invalid("body", "an object is expected")) }
    }

    /// The user of the bearer; 401 without a valid one.
    pub(super) fn user(&self) -> Result<usize, Reply> {
        self.user.ok_or_else(|| refusal(401, "invalid_token", "The access token is missing, unknown or expired", None))
    }
}

/// The error body that clients read (3.2).
pub(super) fn refusal(status: u16, code: &str, message: &str, property: Option<&str>) -> Reply {
    let mut error = json!({"code": code, "message": message});
    if let Some(property) = property {
        error["property"] = json!(property);
    }
    Reply::json(status, &json!({"errors": [error]}))
}

/// 400 that names a field or parameter.
pub(super) fn invalid(property: &str, message: &str) -> Reply {
    refusal(400, "invalid_parameter", &format!("{property}: {message}"), Some(property))
}

pub(super) fn not_found() -> Reply {
    refusal(404, "not_found", "The resource was not found", None)
}

/// 429; nothing says when to come back, unless a switch wants it.
pub(super) fn throttled(retry_after: Option<Retry>) -> Reply {
    Reply { retry_after, ..refusal(429, "rate_limit_exceeded", "Too many requests", None) }
}

/// The same refusal without its list, as in the documents' sample (section 16, 1).
pub(super) fn bare(reply: Reply) -> Reply {
    let value: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    match value["errors"].get(0) {
        Some(error) => Reply { body: error.to_string().into_bytes(), ..reply },
        None => reply,
    }
}
