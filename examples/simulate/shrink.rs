//! From a plan that fails to a short one that fails in the same way.

use std::time::{Duration, Instant};

use crate::plan::{Event, Plan};
use crate::run::Outcome;
use crate::run_safely;

/// What a failure is: its reason up to the first colon.
pub(crate) fn kind(reason: &str) -> &str {
    reason.split(':').next().unwrap_or(reason)
}

/// A shrunken plan.
pub(crate) struct Shrunk {
    pub(crate) plan: Plan,
    pub(crate) outcome: Outcome,
    /// How often it was run on the way.
    pub(crate) tries: usize,
}

struct Shrinking<'a> {
    kind: &'a str,
    plan: Plan,
    outcome: Outcome,
    tries: usize,
    until: Instant,
}

/// Leaves out of a failing plan what its failure does not need, for at most `patience`.
pub(crate) fn shrink(plan: &Plan, outcome: &Outcome, patience: Duration) -> Shrunk {
    let reason = outcome.failure.as_ref().map_or("", |(_, reason)| reason.as_str());
    let mut shrinking = Shrinking {
        kind: kind(reason),
        plan: plan.clone(),
        outcome: outcome.clone(),
        tries: 0,
        until: Instant::now() + patience,
    };
    shrinking.cut();
    let mut size = shrinking.plan.events.len().div_ceil(2);
    while size > 0 && !shrinking.is_over() {
        let has_shrunk = shrinking.leave_out(size);
        if size == 1 && !has_shrunk {
            break;
        }
        size = if size == 1 { 1 } else { size / 2 };
    }
    shrinking.simplify();
    Shrunk { plan: shrinking.plan, outcome: shrinking.outcome, tries: shrinking.tries }
}

impl Shrinking<'_> {
    fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// Takes a plan that fails in the same way.
    fn accept(&mut self, plan: Plan) -> bool {
        if self.is_over() {
            return false;
        }
        self.tries += 1;
        let outcome = run_safely(&plan, None);
        let fails = outcome.failure.as_ref().is_some_and(|(_, reason)| kind(reason) == self.kind);
        if fails {
            (self.plan, self.outcome) = (plan, outcome);
        }
        fails
    }

    /// Ends the plan where it failed, if that is known.
    fn cut(&mut self) {
        let Some((Some(failed_at), _)) = self.outcome.failure else { return };
        let events: Vec<Event> = self.plan.events.iter().filter(|event| event.at_ms < failed_at).cloned().collect();
        let mut plan = self.plan.of(events);
        plan.setup.replace("lasts-ms", &failed_at.to_string());
        self.accept(plan);
    }

    /// Leaves out every stretch of so many events that is not needed.
    fn leave_out(&mut self, size: usize) -> bool {
        let mut has_shrunk = false;
        // From the end: what comes late needs what came early, not the other way round.
        let mut end = self.plan.events.len();
        while end > 0 && !self.is_over() {
            let start = end.saturating_sub(size);
            let events = &self.plan.events;
            let rest: Vec<Event> = events[..start].iter().chain(&events[end..]).cloned().collect();
            has_shrunk |= self.accept(self.plan.of(rest));
            end = start;
        }
        has_shrunk
    }

    /// Makes the world smaller and plainer.
    fn simplify(&mut self) {
        let simpler = [
            ("bridge", "0"),
            ("truv", "0"),
            ("truv", "1"),
            ("bridge", "1"),
            ("rows", "8"),
            ("latency-ms", "0"),
            ("skew-ms", "0"),
            ("webhooks", "0"),
            ("oddities", "0"),
            ("shuffled", "0"),
            ("links-per-user", "1"),
            ("workers", "1"),
            ("zone", "UTC"),
            ("spread", "0s"),
        ];
        for (name, value) in simpler {
            let mut plan = self.plan.clone();
            if plan.setup.text(name) != value && plan.setup.replace(name, value) {
                self.accept(plan);
            }
        }
    }
}
