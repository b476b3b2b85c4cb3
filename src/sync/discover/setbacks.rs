//! What a listing goes on without: a customer, a link or a bank that cannot be read delays no other.

use crate::aggregator::CallError;
use crate::sync::{Source, Stop};

/// So many calls in a row without any answer, and the aggregator is taken for down: each of them took its time.
const MAX_UNANSWERED: u32 = 5;

/// What could not be read so far.
#[derive(Debug, Default)]
pub(in crate::sync) struct Setbacks {
    count: u32,
    /// The first of them, as the store says it.
    first: Option<String>,
    /// Calls in a row that were not answered at all.
    unanswered: u32,
}

impl Setbacks {
    /// Goes on without `what`, whose upstream id is `id`.
    ///
    /// Errors: what would stop everything else as well.
    pub(in crate::sync) fn pass_over(
        &mut self,
        source: &Source,
        (what, id): (&str, &str),
        error: CallError,
    ) -> Result<(), Stop> {
        self.unanswered = match &error {
            CallError::RateLimited { .. } | CallError::Unauthorized(_) => return Err(error.into()),
            CallError::Transient { .. } | CallError::OutcomeUnknown(_) => self.unanswered + 1,
            CallError::RefreshRefused(_)
            | CallError::Gone(_)
            | CallError::NeedsAttention { .. }
            | CallError::Rejected { .. }
            | CallError::Malformed { .. }
            | CallError::TooLarge { .. }
            | CallError::NotSent(_)
            | CallError::ForeignOrigin => 0,
        };
        if self.unanswered >= MAX_UNANSWERED {
            return Err(error.into());
        }
        self.note(source, (what, id), &error, 1);
        Ok(())
    }

    /// Notes that `count` things could not be read, `error` being what is wrong with the first.
    pub(super) fn note(&mut self, source: &Source, (what, id): (&str, &str), error: &CallError, count: u32) {
        // Without the id: a log outlives customers who are to be forgotten.
        tracing::warn!(source = %source.name, what, count, %error, "passed over, to be read later");
        self.count += count;
        self.first.get_or_insert_with(|| format!("{what} {id}: {error}"));
    }

    /// Notes that a call was answered.
    pub(in crate::sync) fn answered(&mut self) {
        self.unanswered = 0;
    }

    /// How much could not be read.
    pub(in crate::sync) fn count(&self) -> u32 {
        self.count
    }

    /// What the store says; `None`: everything was read.
    pub(super) fn message(&self) -> Option<String> {
        let first = self.first.as_ref()?;
        Some(format!("listed without {} of what is there, tried again later; the first is {first}", self.count))
    }
}
