//! The aggregator's own error document, kept as it was sent as far as it is safe to show.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use super::shown::{WITHHELD, request_id, shown};

const MAX_CODE_CHARS: usize = 100;
const MAX_MESSAGE_CHARS: usize = 300;
/// How much of a body that is no document is looked at.
const MAX_TEXT_BYTES: usize = 4 * 1024;
const MAX_FIELDS: usize = 16;
/// Beyond this a body is not parsed as an error document; its beginning is kept as the message.
const MAX_PARSED_BYTES: usize = 64 * 1024;

/// How one aggregator words its errors, and what to make of what it leaves unsaid.
#[derive(Clone, Copy)]
pub struct Dialect {
    /// Reads the body of an answer that is not 2xx. It gets whatever came, HTML and nothing included, and never fails;
    /// [`ErrorDocument::read`] does for both aggregators.
    pub read_error: fn(&[u8]) -> ErrorDocument,
    /// Whether status and document say that a counted thing (a refresh) is used up, as against too many requests. Such
    /// an answer is `Refused` and slows nobody.
    pub is_quota: fn(u16, &ErrorDocument) -> bool,
    /// The waits after the first, second, … throttle in a row that does not say how long; then the last of them again and
    /// again. None at all is a minute.
    pub unhinted_waits: &'static [Duration],
}

impl fmt::Debug for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dialect")
    }
}

/// One field that the aggregator did not like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldProblem {
    /// The field or parameter.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

/// What an aggregator said when it did not do what was asked.
///
/// Shape: every part may be missing. What the door hands out is cleaned: no control characters, bounded length, and
/// without anything that looks like a token or was part of the request.
/// Source: upstream/truv.md sections 2 and 3, upstream/bridge.md section 3.2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorDocument {
    /// The code for programs, `throttled`.
    pub code: Option<String>,
    /// The text for people; the beginning of the body where that is no document.
    pub message: Option<String>,
    /// How long to wait, where the text says so.
    pub wait: Option<Duration>,
    /// The aggregator's id of the request, for its support.
    pub request_id: Option<String>,
    /// The fields it names, at most a few.
    pub fields: Vec<FieldProblem>,
    /// Whether the body was a JSON object. If not, a proxy may be talking: do not conclude that anything is gone.
    pub is_structured: bool,
}

impl ErrorDocument {
    /// Reads every error shape that is known of Truv and Bridge, and keeps the text of the others.
    ///
    /// Shape: `{"error": {code, message, extra: {"invalid-params": [{field, message}]}}}`, `{"detail": …}`,
    /// `{"errors": [{code, message, property}]}`, `{code, message}`, `{"message": …}`, else raw text.
    pub fn read(body: &[u8]) -> Self {
        let parsed = (body.len() <= MAX_PARSED_BYTES).then(|| serde_json::from_slice::<Value>(body).ok()).flatten();
        let mut document = match &parsed {
            Some(Value::Object(_)) => Self::from_object(parsed.as_ref().unwrap_or(&Value::Null)),
            Some(_) | None => Self::from_text(body),
        };
        document.wait = document.message.as_deref().and_then(wait_in);
        document
    }

    fn from_object(root: &Value) -> Self {
        let listed = root.pointer("/errors/0");
        let inner = listed.or_else(|| root.get("error").filter(|error| error.is_object())).unwrap_or(root);
        let code = text(inner.get("code")).or_else(|| text(root.get("error")));
        let message =
            text(inner.get("message")).or_else(|| text(root.get("detail"))).or_else(|| text(root.get("message")));
        let invalid = inner.pointer("/extra/invalid-params").and_then(Value::as_array);
        let mut fields: Vec<FieldProblem> = invalid
            .into_iter()
            .flatten()
            .take(MAX_FIELDS)
            .map(|problem| FieldProblem {
                field: text(problem.get("field")).unwrap_or_default(),
                message: text(problem.get("message")).unwrap_or_default(),
            })
            .collect();
        if let Some(field) = text(inner.get("property")) {
            fields.push(FieldProblem { field, message: message.clone().unwrap_or_default() });
        }
        let id = text(inner.get("request_id")).or_else(|| text(root.get("request_id")));
        Self { code, message, wait: None, request_id: id, fields, is_structured: true }
    }

    fn from_text(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(&body[..body.len().min(MAX_TEXT_BYTES)]);
        // A word that was cut may be the beginning of a token.
        let whole_words = match text.rsplit_once(char::is_whitespace) {
            Some((before, _)) if body.len() > MAX_TEXT_BYTES => before,
            Some(_) | None => &text,
        };
        let message = whole_words.trim().to_owned();
        Self { message: (!message.is_empty()).then_some(message), ..Self::default() }
    }

    /// Whether this is the request throttle, under whatever status.
    pub(super) fn says_throttled(&self) -> bool {
        self.code.as_deref() == Some("throttled")
            || self.message.as_deref().is_some_and(|m| m.to_ascii_lowercase().contains("request was throttled"))
    }

    /// Makes every text fit to be shown; `withheld` are the request's own secrets and values.
    pub(super) fn clean(&mut self, withheld: &[String]) {
        let clean = |text: &str, max_chars: usize| {
            let text = withheld.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), WITHHELD));
            shown(&text, max_chars)
        };
        self.code = self.code.take().map(|code| clean(&code, MAX_CODE_CHARS));
        self.message = self.message.take().map(|message| clean(&message, MAX_MESSAGE_CHARS));
        self.request_id = self.request_id.take().map(|id| request_id(&id));
        self.fields.truncate(MAX_FIELDS);
        for problem in &mut self.fields {
            problem.field = clean(&problem.field, MAX_CODE_CHARS);
            problem.message = clean(&problem.message, MAX_MESSAGE_CHARS);
        }
    }
}

impl fmt::Display for ErrorDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.code, &self.message) {
            (Some(code), Some(message)) => {
                write!(f, "{}: {}", shown(code, MAX_CODE_CHARS), shown(message, MAX_MESSAGE_CHARS))?;
            }
            (Some(text), None) | (None, Some(text)) => f.write_str(&shown(text, MAX_MESSAGE_CHARS))?,
            (None, None) => f.write_str("no error document")?,
        }
        for problem in self.fields.iter().take(MAX_FIELDS) {
            write!(f, ", {}: {}", shown(&problem.field, MAX_CODE_CHARS), shown(&problem.message, MAX_MESSAGE_CHARS))?;
        }
        if let Some(id) = &self.request_id {
            write!(f, " (request {})", request_id(id))?;
        }
        Ok(())
    }
}

/// A string, or a list's or object's compact text; `None` for what says nothing.
fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        listed @ Value::Array(_) => Some(listed.to_string()),
        Value::Null | Value::Bool(_) | Value::Object(_) => None,
    }
}

/// The wait in "Expected available in 17 seconds.", rounded up to whole seconds.
///
/// Source: Django REST framework's throttle text, upstream/truv.md section 2.
pub(super) fn wait_in(message: &str) -> Option<Duration> {
    let lower = message.to_ascii_lowercase();
    let (_, rest) = lower.split_once("available in ")?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let count = super::throttle::whole_seconds(rest[..end].trim_end_matches('.'))?;
    let unit = rest[end..].trim_start();
    let seconds = match unit {
        _ if unit.starts_with("minute") => count.saturating_mul(60),
        _ if unit.starts_with("hour") => count.saturating_mul(60 * 60),
        _ => count,
    };
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_error_shape_is_read() {
        let read = |body: &str| ErrorDocument::read(body.as_bytes());
        let truv = read(
            r#"{"error":{"code":"incorrect_parameters","message":"Incorrect request parameters",
                "extra":{"invalid-params":[{"field":"env_type","message":"already registered"}]}}}"#,
        );
        assert_eq!(
            truv.to_string(),
            "incorrect_parameters: Incorrect request parameters, env_type: already registered"
        );
        let drf = read(r#"{"detail":"Request was throttled. Expected available in 17 seconds."}"#);
        assert_eq!((drf.says_throttled(), drf.wait), (true, Some(Duration::from_secs(17))));
        let bridge = read(r#"{"errors":[{"code":"invalid_parameter","message":"bad","property":"limit"}]}"#);
        assert_eq!((bridge.code.as_deref(), bridge.fields[0].field.as_str()), (Some("invalid_parameter"), "limit"));
        let bare = read(r#"{"code":"invalid_client_credentials","message":"client_id and client_secret are invalid"}"#);
        assert_eq!(bare.code.as_deref(), Some("invalid_client_credentials"));
        let html = read("<html>Bad gateway</html>");
        assert_eq!((html.is_structured, html.message.as_deref()), (false, Some("<html>Bad gateway</html>")));
        assert_eq!(read("").to_string(), "no error document");
        assert!(!read("[1]").is_structured);
    }

    #[test]
    fn waits_in_text_are_read_and_nonsense_is_not() {
        for (message, seconds) in [
            ("Expected available in 17 seconds.", Some(17)),
            ("Expected available in 1 second.", Some(1)),
            ("expected AVAILABLE in 0.2 seconds", Some(1)),
            ("available in 3 minutes", Some(180)),
            ("available in 99999999999999999999999 hours", Some(u64::MAX)),
            ("available in -3 seconds", None),
            ("available in a while", None),
            ("gone", None),
        ] {
            assert_eq!(wait_in(message), seconds.map(Duration::from_secs), "{message}");
        }
    }

    #[test]
    fn what_is_shown_has_no_control_characters_tokens_or_request_values() {
        let mut document = ErrorDocument::read(
            "{\"error\":{\"code\":\"x\\u001b[31m\",\"message\":\"Public token expired: \
             3f1c9a0b7d2e4f5a8b6c1d0e9f8a7b6c for hunter2\\nnext\"}}"
                .as_bytes(),
        );
        document.clean(&["hunter2".to_owned()]);
        assert_eq!(document.to_string(), "x [31m: Public token expired: [withheld] for [withheld] next");
        let long = ErrorDocument { message: Some("é".repeat(100_000)), ..ErrorDocument::default() };
        assert!(long.to_string().chars().count() <= MAX_MESSAGE_CHARS + 1);
    }
}
