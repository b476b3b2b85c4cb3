//! The admin token: compared in constant time, and not often enough to be guessed.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::secret::Secret;

/// Wrong tokens within [`WINDOW`], of everybody together, after which even the right one is not looked at.
const MAX_FAILURES: usize = 20;
const WINDOW: SignedDuration = SignedDuration::from_mins(1);

/// Knows the admin token, and remembers wrong ones.
pub(super) struct Gate {
    token: Secret,
    failures: Mutex<VecDeque<Timestamp>>,
}

/// What a gate says to a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the token.
    Open,
    /// It is not.
    Wrong,
    /// Too many were wrong: come back later.
    Shut,
}

impl Gate {
    pub(super) fn new(token: Secret) -> Self {
        Self { token, failures: Mutex::default() }
    }

    /// Compares a token with ours. The comparison takes as long for every token of any length.
    pub(super) fn try_token(&self, offered: &str, now: Timestamp) -> Verdict {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = now.saturating_sub(WINDOW).unwrap_or(now);
        failures.retain(|at| *at > oldest && *at <= now);
        if failures.len() >= MAX_FAILURES {
            return Verdict::Shut;
        }
        let digest = |text: &str| Sha256::digest(text.as_bytes());
        if digest(offered).ct_eq(&digest(self.token.expose())).into() {
            return Verdict::Open;
        }
        failures.push_back(now);
        Verdict::Wrong
    }
}

/// The bearer token that a request carries; `None`: it carries none.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessing_shuts_the_gate_for_a_minute() {
        let gate = Gate::new(Secret::new("a-long-admin-token-1234".to_owned()));
        let start: Timestamp = "2026-03-02T12:00:00Z".parse().expect("an instant");
        assert_eq!(gate.try_token("a-long-admin-token-1234", start), Verdict::Open);
        for _ in 0..MAX_FAILURES {
            assert_eq!(gate.try_token("a-long-admin-token-123", start), Verdict::Wrong);
        }
        assert_eq!(gate.try_token("a-long-admin-token-1234", start), Verdict::Shut);
        let later = start + WINDOW;
        assert_eq!(gate.try_token("a-long-admin-token-1234", later), Verdict::Open);
    }
}
