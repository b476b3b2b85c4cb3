//! How the sync of one link of a user ends, from the state of the link and what was found.

use jiff::{SignedDuration, Timestamp};

use super::Member;
use crate::model::{Attention, Cause, Condition};
use crate::store::{Outcome, Phase, SyncEnd};

/// When a first pull is followed by another: aggregators bring the last days first and the history minutes later.
const HISTORY_FOLLOWS: SignedDuration = SignedDuration::from_mins(10);

/// What was found while reading one link's data.
#[derive(Debug, Default, Clone)]
pub(super) struct Findings {
    /// Rows of this link set aside.
    pub(super) rejected: usize,
    /// Accounts of this link with rows that came obfuscated.
    pub(super) hidden_accounts: usize,
    /// Accounts of this link that the last try at the bank did not reach.
    pub(super) unreached_accounts: usize,
    /// When everything is read again, if it was now.
    pub(super) reconcile_due_at: Option<Timestamp>,
}

impl Member<'_> {
    /// How this link's sync ends.
    pub(super) fn end(&self, findings: &Findings, now: Timestamp) -> SyncEnd {
        let (outcome, is_fresh, error) = self.outcome(findings);
        let mut next_due_at = self.trip.source.next_due_at(self.trip.spread_key(), now);
        let mut next_cause = Cause::Schedule;
        if self.trip.cursor.is_none() && is_fresh {
            let follow_up = now.saturating_add(HISTORY_FOLLOWS).unwrap_or(now);
            (next_due_at, next_cause) = (next_due_at.min(follow_up), Cause::Backfill);
        }
        SyncEnd {
            outcome,
            is_fresh,
            error,
            hold: None,
            next_due_at,
            next_cause,
            next_phase: Phase::Idle,
            reconcile_due_at: findings.reconcile_due_at,
        }
    }

    /// The outcome, whether the data is as fresh as it gets, and what to say about it.
    fn outcome(&self, findings: &Findings) -> (Outcome, bool, Option<String>) {
        let told = self.listed.as_ref().and_then(|listed| listed.health.detail.clone());
        let said = |text: String| Some(told.as_ref().map_or(text.clone(), |told| format!("{text}; {told}")));
        match self.condition {
            Condition::NeedsPerson(reason) => {
                return (Outcome::Attention, false, said(self.advice(reason)));
            }
            Condition::Passing { .. } | Condition::Connecting => {
                let status = self.listed.as_ref().and_then(|listed| listed.health.upstream_status.clone());
                let text = format!(
                    "the aggregator does not reach the bank for now ({}); nothing to do, it goes on trying",
                    status.unwrap_or_default()
                );
                return (Outcome::Partial, false, said(text));
            }
            Condition::Incomplete => {
                let text = "the aggregator says that rows are missing; what it has is stored".to_owned();
                return (Outcome::Partial, true, said(text));
            }
            Condition::Well => {}
        }
        let mut lacks = Vec::new();
        if findings.rejected > 0 {
            lacks.push(format!(
                "{} malformed rows were set aside; see rejected_rows in the store and report them to the aggregator",
                findings.rejected
            ));
        }
        if findings.hidden_accounts > 0 {
            lacks.push(format!(
                "rows of {} came with their texts hidden (XXXX) and were left out until they can be read",
                accounts_in_words(findings.hidden_accounts)
            ));
        }
        if findings.unreached_accounts > 0 {
            lacks.push(format!(
                "the last try at the bank did not reach {}; the data before it stays",
                accounts_in_words(findings.unreached_accounts)
            ));
        }
        if lacks.is_empty() { (Outcome::Ok, true, None) } else { (Outcome::Partial, true, Some(lacks.join("; "))) }
    }

    fn advice(&self, reason: Attention) -> String {
        match reason {
            Attention::Support => format!("{} ({})", reason.advice(), self.trip.link.upstream_id),
            Attention::Login
            | Attention::SecondFactor
            | Attention::AccountLocked
            | Attention::Configuration
            | Attention::Unsupported
            | Attention::Access
            | Attention::BankAction
            | Attention::Identity
            | Attention::Migration => reason.advice().to_owned(),
        }
    }
}

fn accounts_in_words(accounts: usize) -> String {
    if accounts == 1 { "one account".to_owned() } else { format!("{accounts} accounts") }
}
