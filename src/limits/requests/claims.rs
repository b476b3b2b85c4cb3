//! What a request counts against besides the credential's own quota.

use std::sync::Arc;

use super::Quota;

/// A quota that each key of a scope has for itself, such as each user's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScopedQuota {
    /// The scope's name, by which [`Claims`] name it.
    pub scope: &'static str,
    /// What each of its keys may do.
    pub quota: Quota,
}

/// The keys that a request counts against besides the credential's own quota. Cheap to clone.
///
/// Shape: at most one key per scope. A scope that the limiter was not made with bounds nothing: the request then counts
/// as if it had not been named, and a throttle holds everyone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Claims(Arc<[Claim]>);

/// One key of one scope.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Claim {
    pub(super) scope: &'static str,
    pub(super) key: Arc<str>,
}

impl Claims {
    /// Nothing but the credential's own quota.
    pub fn none() -> Self {
        Self::default()
    }

    /// The quota of one key.
    pub fn on(scope: &'static str, key: &str) -> Self {
        Self::none().and(scope, key)
    }

    /// These and another key; it takes the place of one of the same scope.
    #[must_use]
    pub fn and(&self, scope: &'static str, key: &str) -> Self {
        let others = self.0.iter().filter(|claim| claim.scope != scope).cloned();
        Self(others.chain([Claim { scope, key: key.into() }]).collect())
    }

    pub(super) fn all(&self) -> std::slice::Iter<'_, Claim> {
        self.0.iter()
    }
}
