//! A bank that keeps moving: new rows, pending rows that are booked, now and then a login that breaks.

use jiff::SignedDuration;
use rand::RngExt;

use super::{Bank, PostStyle, Status};
use crate::clock::DAY_MS;
use crate::sandbox::id::TransactionId;

/// How lively the bank is.
#[derive(Clone, Debug)]
pub struct LivingPlan {
    /// Time between two steps.
    pub every: SignedDuration,
    /// New rows a step, over all links.
    pub rows_per_step: usize,
    /// Pending rows booked a step, over all links, oldest of a link first.
    pub posts_per_step: usize,
    /// One step in this many breaks a login; 0 never does.
    pub break_login_one_in: u32,
    /// One step in this many heals every login; 0 never does.
    pub heal_one_in: u32,
}

impl Default for LivingPlan {
    fn default() -> Self {
        Self {
            every: SignedDuration::from_secs(10),
            rows_per_step: 8,
            posts_per_step: 4,
            break_login_one_in: 30,
            heal_one_in: 0,
        }
    }
}

/// The plan in force.
#[derive(Debug)]
pub(crate) struct Living {
    plan: LivingPlan,
}

impl Bank {
    /// Sets the bank in motion; answers the pause until the first step, in milliseconds.
    pub(crate) fn start_living(&mut self, plan: LivingPlan) -> i64 {
        let every_ms = i64::try_from(plan.every.as_millis()).unwrap_or(DAY_MS).max(1);
        self.living = Some(Living { plan });
        every_ms
    }

    /// Lets one step of life happen now; answers the pause until the next, or `None` when the bank stands still.
    pub(crate) fn live_once(&mut self) -> Option<i64> {
        let plan = self.living.as_ref().map(|living| living.plan.clone())?;
        self.step(&plan);
        Some(i64::try_from(plan.every.as_millis()).unwrap_or(DAY_MS).max(1))
    }

    /// Lets one step of `plan` happen now.
    pub fn step(&mut self, plan: &LivingPlan) {
        if self.links.is_empty() {
            return;
        }
        for _ in 0..plan.rows_per_step {
            let link = self.rng.random_range(0..self.links.len());
            if self.links[link].deleted_ms.is_some() || self.links[link].accounts.is_empty() {
                continue;
            }
            let account = self.spending_account(link);
            let (detail, cost_minor) = self.merchants[self.owner_of(link).served() as usize].purchase(&mut self.rng);
            let at_ms = self.now_ms - self.rng.random_range(0..600) * 1000;
            self.insert_drawn(link, account, -cost_minor, at_ms, detail, true);
        }
        for _ in 0..plan.posts_per_step {
            self.post_some();
        }
        if plan.break_login_one_in > 0 && self.rng.random_ratio(1, plan.break_login_one_in) {
            let link = self.rng.random_range(0..self.links.len());
            let status = ["login_error", "mfa_error", "unavailable"][self.rng.random_range(0..3)];
            self.links[link].trouble = Some(status.to_owned());
        }
        if plan.heal_one_in > 0 && self.rng.random_ratio(1, plan.heal_one_in) {
            for link in &mut self.links {
                link.trouble = None;
            }
        }
    }

    /// Books the oldest pending row of a drawn link, under the same id more often than not.
    fn post_some(&mut self) {
        let link = self.rng.random_range(0..self.links.len());
        // Pending rows are young: a bounded look from the newest keeps a step cheap on long histories.
        let rows = self.links[link].rows.iter().rev().take(500);
        let now_ms = self.now_ms;
        let mut waiting = rows.filter(|row| {
            let is_due = row.status == Status::Future && row.transacted_ms <= now_ms;
            row.is_live() && (is_due || matches!(row.status, Status::Pending | Status::Authorization))
        });
        if let Some((txn, status)) = waiting.next_back().map(|row| (TransactionId(row.id), row.status)) {
            let style = match self.rng.random_range(0..6) {
                // What was planned is booked as something new.
                _ if status == Status::Future => PostStyle::NewIdOnly,
                0 => PostStyle::NewIdOnly,
                1 | 2 => PostStyle::NewIdSameExternalId,
                _ => PostStyle::SameId,
            };
            self.post_pending(txn, style);
        }
    }
}
