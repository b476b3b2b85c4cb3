//! Where a process may die: at every commit, before and after every request, at any instant. One gate is one process.
//!
//! A dead process does nothing more: whatever it awaits never comes. So it does not matter when its parts are dropped.

use std::hash::{DefaultHasher, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use passbook::store::{Gate as StoreGate, Moment};
use tokio::sync::Notify;
use tower::ServiceExt as _;

/// Where to die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    /// Right after a commit, before anybody hears of it.
    Commit,
    /// Right before a commit: nothing of it is there.
    BeforeCommit,
    /// Before something is read.
    Read,
    /// Before a request is sent.
    BeforeRequest,
    /// After a request was answered, before the answer is seen.
    AfterRequest,
    /// Before a request for a refresh is sent, that is booked.
    RefreshSent,
    /// After it was answered.
    RefreshAnswered,
}

impl Point {
    /// Reads the word of a plan; `None`: at once.
    pub(crate) fn of(word: &str) -> Option<Self> {
        Some(match word {
            "commit" => Self::Commit,
            "before-commit" => Self::BeforeCommit,
            "read" => Self::Read,
            "before-request" => Self::BeforeRequest,
            "after-request" => Self::AfterRequest,
            "refresh-sent" => Self::RefreshSent,
            "refresh-answered" => Self::RefreshAnswered,
            _ => return None,
        })
    }
}

/// What all processes of a run did, and a fingerprint of it: the same plan has the same.
#[derive(Debug, Default)]
pub(crate) struct Deeds {
    pub(crate) requests: u64,
    pub(crate) commits: u64,
    hasher: DefaultHasher,
}

impl Deeds {
    /// What tells this run from any other.
    pub(crate) fn fingerprint(&self) -> u64 {
        self.hasher.finish()
    }
}

#[derive(Debug, Default)]
struct State {
    is_dead: bool,
    was_writing: bool,
    armed: Option<(Point, i64)>,
}

/// One process's gate.
#[derive(Debug)]
pub(crate) struct Gate {
    state: Mutex<State>,
    deeds: Arc<Mutex<Deeds>>,
    /// Told when the process dies.
    pub(crate) died: Notify,
}

impl Gate {
    pub(crate) fn new(deeds: Arc<Mutex<Deeds>>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), deeds, died: Notify::new() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn deeds(&self) -> MutexGuard<'_, Deeds> {
        self.deeds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing more happens from now on.
    pub(crate) fn kill(&self) {
        self.lock().is_dead = true;
        self.died.notify_one();
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.lock().is_dead
    }

    /// Lets the process die when it comes to a point for the `nth` time from now.
    pub(crate) fn arm(&self, point: Point, nth: i64) {
        self.lock().armed = Some((point, nth));
    }

    /// Lets it live.
    pub(crate) fn disarm(&self) {
        self.lock().armed = None;
    }

    /// Comes to a point; `false`: it is dead.
    fn pass(&self, point: Point) -> bool {
        let mut state = self.lock();
        if let Some((armed, left)) = &mut state.armed
            && *armed == point
        {
            *left -= 1;
            if *left <= 0 {
                state.armed = None;
                state.is_dead = true;
                self.died.notify_one();
            }
        }
        !state.is_dead
    }

    /// What a store asks.
    pub(crate) fn of_store(self: &Arc<Self>) -> StoreGate {
        let gate = Arc::clone(self);
        Arc::new(move |moment| match moment {
            Moment::Read => {
                gate.lock().was_writing = false;
                gate.pass(Point::Read)
            }
            Moment::Commit => {
                gate.lock().was_writing = true;
                gate.pass(Point::BeforeCommit)
            }
            Moment::Done => {
                if !gate.lock().was_writing {
                    return !gate.is_dead();
                }
                let mut deeds = gate.deeds();
                deeds.commits += 1;
                deeds.hasher.write_u8(1);
                drop(deeds);
                gate.pass(Point::Commit)
            }
        })
    }

    /// The way from this process to a router.
    pub(crate) fn of_network(
        self: &Arc<Self>,
        inner: Router,
        now_ms: impl Fn() -> i64 + Clone + Send + Sync + 'static,
    ) -> Router {
        let gate = Arc::clone(self);
        Router::new().fallback(move |request: Request| {
            let (gate, inner, at_ms) = (Arc::clone(&gate), inner.clone(), now_ms());
            async move { gate.send(inner, request, at_ms).await }
        })
    }

    async fn send(&self, inner: Router, request: Request, at_ms: i64) -> Response {
        let is_refresh = request.method() == "POST" && request.uri().path().contains("/refresh/tasks");
        {
            let mut deeds = self.deeds();
            deeds.requests += 1;
            deeds.hasher.write_i64(at_ms);
            deeds.hasher.write(request.uri().to_string().as_bytes());
        }
        if !self.pass(Point::BeforeRequest) || (is_refresh && !self.pass(Point::RefreshSent)) {
            std::future::pending::<()>().await;
        }
        let answer = inner.oneshot(request).await.unwrap_or_else(|never| match never {});
        if !self.pass(Point::AfterRequest) || (is_refresh && !self.pass(Point::RefreshAnswered)) {
            std::future::pending::<()>().await;
        }
        answer
    }
}
