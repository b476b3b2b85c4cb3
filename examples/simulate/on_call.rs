//! The people who are told of alerts: what they heard, and how they take it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use serde::Deserialize;

/// Where messages are posted: nobody listens there, the router is asked in the process.
pub(crate) const ADDRESS: &str = "http://127.0.0.1:8790/on-call";

/// How messages are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    /// At once.
    #[default]
    Takes,
    /// Not at all.
    Refuses,
    /// Heard, and never answered.
    Hangs,
}

/// A message that somebody heard.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) event: String,
    pub(crate) kind: String,
    pub(crate) source: String,
    pub(crate) upstream_link_id: Option<String>,
    pub(crate) reason: String,
    pub(crate) since: jiff::Timestamp,
}

#[derive(Debug, Default)]
struct State {
    mood: Mood,
    /// Each once, in the order in which they were first heard.
    heard: Vec<Message>,
    /// Ids of those, and who told them.
    known: HashSet<String>,
    taken: HashSet<(u64, String)>,
    tellers: u64,
    wrong: Option<String>,
}

/// The people.
#[derive(Clone, Debug, Default)]
pub(crate) struct OnCall(Arc<Mutex<State>>);

impl OnCall {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The way to them for one who tells, who is not to say again what was taken.
    pub(crate) fn router(&self) -> Router {
        let (on_call, teller) = (self.clone(), {
            let mut state = self.lock();
            state.tellers += 1;
            state.tellers
        });
        Router::new().fallback(move |body: Bytes| {
            let on_call = on_call.clone();
            async move { on_call.hear(teller, &body).await }
        })
    }

    async fn hear(&self, teller: u64, body: &[u8]) -> StatusCode {
        let mood = self.lock().mood;
        if mood == Mood::Refuses {
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        self.note(teller, body, mood);
        if mood == Mood::Hangs {
            std::future::pending::<()>().await;
        }
        StatusCode::NO_CONTENT
    }

    fn note(&self, teller: u64, body: &[u8], mood: Mood) {
        let mut state = self.lock();
        let message: Message = match serde_json::from_slice(body) {
            Ok(message) => message,
            Err(error) => {
                state.wrong.get_or_insert_with(|| format!("a message cannot be read: {error}"));
                return;
            }
        };
        if state.taken.contains(&(teller, message.id.clone())) {
            state.wrong.get_or_insert_with(|| format!("{} was told again after it was taken", message.id));
        }
        if mood == Mood::Takes {
            state.taken.insert((teller, message.id.clone()));
        }
        if state.known.insert(message.id.clone()) {
            state.heard.push(message);
        }
    }

    /// Takes messages otherwise from now on.
    pub(crate) fn becomes(&self, mood: Mood) {
        self.lock().mood = mood;
    }

    /// What was heard so far, in this order, each once.
    pub(crate) fn heard(&self) -> Vec<Message> {
        self.lock().heard.clone()
    }

    /// What was wrong with what was heard.
    pub(crate) fn wrong(&self) -> Option<String> {
        self.lock().wrong.clone()
    }
}
