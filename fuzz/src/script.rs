//! How an input says what is asked and what is answered.
//!
//! The first line is the question. Each answer begins with lines after `> `, the first of them its status and the others its
//! headers; its body goes up to the next such line. JSON has no line that begins so. An input that is written otherwise is one
//! question and one body.

use std::collections::VecDeque;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// What is asked, and what comes back in turn.
pub(crate) struct Script {
    pub(crate) question: String,
    pub(crate) replies: VecDeque<Reply>,
}

/// One answer.
#[derive(Clone, Default)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Script {
    pub(crate) fn read(input: &[u8]) -> Self {
        let mut lines = input.split_inclusive(|byte| *byte == b'\n').peekable();
        let question = String::from_utf8_lossy(lines.next().unwrap_or_default()).trim().to_owned();
        let mut replies = VecDeque::new();
        while lines.peek().is_some() {
            let mut reply = Reply::default();
            let mut is_first = true;
            while let Some(line) = lines.next_if(|line| line.starts_with(b"> ")) {
                reply.head(line[2..].trim_ascii(), is_first);
                is_first = false;
            }
            let mut body = Vec::new();
            while let Some(line) = lines.next_if(|line| !line.starts_with(b"> ")) {
                body.extend_from_slice(line);
            }
            // The line break belongs to the script.
            if body.last() == Some(&b'\n') {
                body.pop();
            }
            reply.body = body.into();
            replies.push_back(reply);
        }
        Self { question, replies }
    }
}

impl Reply {
    fn head(&mut self, line: &[u8], is_status: bool) {
        if is_status {
            self.status = StatusCode::from_bytes(line).unwrap_or_default();
        } else if let Some((name, value)) = header(line) {
            self.headers.append(name, value);
        }
    }
}

/// One line of a header.
pub(crate) fn header(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let name = HeaderName::from_bytes(line[..colon].trim_ascii()).ok()?;
    Some((name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?))
}
