//! Everything that holds a link, that a person should do, or that comes next.

use jiff::Timestamp;

use super::{Known, Reason, told};
use crate::limits::refreshes;
use crate::model::{Attention, Cause};
use crate::store::Phase;
use crate::sync::CREDENTIALS_REFUSED;
use crate::words::{consent, counted, relative, since};

impl Known {
    /// Everything that holds the link or says what comes next, the weightiest first.
    pub fn reasons(&self, now: Timestamp) -> Vec<Reason> {
        let state = &self.detail.state;
        let is_synced = state.removed_at.is_none() && state.paused_at.is_none();
        let mut reasons = self.taken_out();
        reasons.extend(self.person(now));
        if is_synced {
            reasons.extend(self.consent(now));
        }
        if !self.circumstances.daemon_runs {
            let remedy = "start it: systemctl start passbook, or passbook run";
            reasons.push(Reason::new("no daemon is running", None, remedy));
        }
        reasons.extend(self.held_by_reader(now));
        reasons.extend(self.holds(now));
        if is_synced {
            reasons.extend(self.condition(now));
            reasons.extend(self.failures());
            reasons.push(self.what_comes_next(now));
            reasons.extend(self.read_with_others());
            reasons.extend(self.refreshed_by_aggregator(now));
            reasons.extend(self.accounts());
        }
        reasons.extend(self.refresh_held(now));
        reasons
    }

    fn taken_out(&self) -> Vec<Reason> {
        let state = &self.detail.state;
        let mut reasons = Vec::new();
        if state.removed_at.is_some() {
            reasons.push(Reason::new(
                "the link was removed; its history stays",
                None,
                format!("if an operator removed it here: passbook links resume {}", state.link_id),
            ));
        }
        if state.paused_at.is_some() {
            let remedy = format!("passbook links resume {}", state.link_id);
            reasons.push(Reason::new("an operator paused it", None, remedy));
        }
        if !self.circumstances.is_configured {
            reasons.push(Reason::new(
                format!("its source {:?} is not in the configuration", self.detail.source),
                None,
                "add the [[source]] again",
            ));
        }
        reasons
    }

    fn person(&self, now: Timestamp) -> Option<Reason> {
        let attention = self.detail.state.attention?;
        let since = self.detail.attention_at.map_or_else(String::new, |at| since(at, now));
        let told = told(self.health.upstream_status.as_deref(), self.health.status_detail.as_deref());
        let said = match (&self.health.status_detail, &self.detail.attention_detail) {
            (Some(_), _) => told,
            (None, Some(detail)) => Some(format!("{detail:?}")),
            (None, None) => None,
        };
        let said = said.map_or_else(String::new, |said| format!("; the aggregator says {said}"));
        Some(Reason::new(
            format!("only a person can repair it{since}: {attention}{said}"),
            None,
            Attention::advice(attention),
        ))
    }

    fn consent(&self, now: Timestamp) -> Option<Reason> {
        let at = self.health.consent_ends_at(now)?;
        let what = format!("the customer's {}", consent(at, now));
        Some(Reason::new(what, Some(at), "ask the customer to reconnect this bank, which renews it"))
    }

    fn held_by_reader(&self, now: Timestamp) -> Option<Reason> {
        let held = self.wal_held.filter(|held| held.is_over_limit)?;
        let what =
            format!("nothing is synced: a reader has held the store's write-ahead log{}", since(held.since, now));
        Some(Reason::new(what, None, "end its query; fuser -v on the store's -shm file names it"))
    }

    fn holds(&self, now: Timestamp) -> Vec<Reason> {
        let mut reasons = Vec::new();
        if let Some((source, until)) =
            self.source.as_ref().and_then(|s| Some((s, s.hold_until.filter(|until| *until > now)?)))
        {
            let reason = source.hold_reason.as_deref().unwrap_or("a limit");
            let remedy = if reason == CREDENTIALS_REFUSED {
                "check the client id and the secret of the source: passbook check --online"
            } else {
                "nothing: it lifts by itself"
            };
            reasons.push(Reason::new(format!("the whole source rests: {reason}"), Some(until), remedy));
        }
        if let Some(until) = self.detail.hold_until.filter(|until| *until > now) {
            let reason = self.detail.hold_reason.clone().unwrap_or_else(|| "a limit".to_owned());
            let what = format!("{reason} postponed its sync");
            reasons.push(Reason::new(what, Some(until), "nothing: it goes on by itself"));
        }
        reasons
    }

    /// What the aggregator says of a connection that nobody here can do anything about.
    fn condition(&self, now: Timestamp) -> Option<Reason> {
        let what = match self.health.condition.as_str() {
            "connecting" => "the aggregator is connecting it",
            "passing" => "the aggregator does not reach the bank",
            "incomplete" => "the aggregator says that rows are missing",
            _ => return None,
        };
        let since = self.health.condition_at.map_or_else(String::new, |at| since(at, now));
        let told = told(self.health.upstream_status.as_deref(), self.health.status_detail.as_deref());
        let told = told.map_or_else(String::new, |told| format!("; it says {told}"));
        let remedy = match self.health.condition.as_str() {
            "connecting" => "nothing: it is read as soon as that is done",
            "incomplete" => "nothing: what the aggregator has is stored, and the rest follows by itself",
            _ => "nothing: it is tried again by itself, and read as soon as that works",
        };
        Some(Reason::new(format!("{what}{since}{told}"), None, remedy))
    }

    fn failures(&self) -> Option<Reason> {
        let state = &self.detail.state;
        let error = self.detail.last_error.clone().unwrap_or_default();
        let what = match state.consecutive_failures {
            0 => return None,
            1 => format!("its last sync failed: {error}"),
            failures => format!("its last {failures} syncs failed: {error}"),
        };
        Some(Reason::new(what, Some(state.due_at), "nothing: it is tried again by itself, sooner with passbook sync"))
    }

    fn what_comes_next(&self, now: Timestamp) -> Reason {
        let state = &self.detail.state;
        let is_due = state.due_at <= now;
        let what = match (state.phase, is_due) {
            (Phase::Refreshing, _) => "the aggregator refreshes it; we look again then".to_owned(),
            (Phase::Pulling, _) => "its pull goes on then".to_owned(),
            (Phase::Idle, true) => "it is due and waits for its turn in the request budget".to_owned(),
            (Phase::Idle, false) if state.due_cause == Cause::Schedule => "its next sync is on schedule".to_owned(),
            (Phase::Idle, false) => format!("its next sync is set, cause {}", state.due_cause.as_str()),
        };
        Reason::new(what, Some(state.due_at), String::new())
    }

    /// Where changes are told by customer, one due link takes the customer's others along.
    fn read_with_others(&self) -> Option<Reason> {
        let others = &self.around.other_links;
        if self.around.links_due_at.is_none() || others.is_empty() {
            return None;
        }
        let ids: Vec<String> = others.iter().map(ToString::to_string).collect();
        let noun = if ids.len() == 1 { "link" } else { "links" };
        let what = format!("it is read together with the customer's other {noun} {}", ids.join(", "));
        Some(Reason::new(what, None, String::new()))
    }

    fn refreshed_by_aggregator(&self, now: Timestamp) -> Option<Reason> {
        if self.circumstances.refresh_policy.is_some() || !self.circumstances.is_configured {
            return None;
        }
        let last = match (self.health.refreshed_at, self.health.tried_at) {
            (Some(read), Some(tried)) if tried > read => {
                format!("last {}, tried {}", relative(read, now), relative(tried, now))
            }
            (Some(read), _) => format!("last {}", relative(read, now)),
            (None, Some(tried)) => format!("never so far, tried {}", relative(tried, now)),
            (None, None) => "it does not say when".to_owned(),
        };
        let looks = match self.around.links_due_at {
            Some(at) if at <= now => "; whether it has done so again is looked at now".to_owned(),
            Some(_) => "; whether it has done so again is looked at next".to_owned(),
            None => String::new(),
        };
        let what = format!("the aggregator reads the bank by itself and cannot be asked to: {last}{looks}");
        Some(Reason::new(what, self.around.links_due_at.filter(|at| *at > now), String::new()))
    }

    /// What keeps the next scheduled sync from asking for a refresh.
    fn refresh_held(&self, now: Timestamp) -> Option<Reason> {
        let policy = self.circumstances.refresh_policy?;
        let refused_until = self.detail.state.refresh_hold_until;
        let held = refreshes::decide(&policy, &self.used, false, refused_until, now).err()?;
        let what = format!("the next scheduled sync would pull without a refresh: {}", held.reason);
        Some(Reason::new(what, held.until, "`passbook sync` may use the refreshes kept for a person"))
    }

    fn accounts(&self) -> Vec<Reason> {
        let around = &self.around;
        let mut reasons = Vec::new();
        if around.waiting_accounts > 0 {
            let (number, wait) = accounts(around.waiting_accounts, "waits", "wait");
            let what =
                format!("{number} {wait} for the whole history: new, shared again, or with rows that were hidden");
            reasons.push(Reason::new(what, None, "nothing: the next sync that reaches the bank's data reads it"));
        }
        if around.unrefreshed_accounts > 0 {
            let (number, is) = accounts(around.unrefreshed_accounts, "was", "were");
            let what = format!("{number} {is} not reached by the aggregator's last try; the data before it stays");
            reasons.push(Reason::new(what, None, "nothing: the aggregator tries again"));
        }
        if around.hidden_accounts > 0 {
            let (number, is) = accounts(around.hidden_accounts, "is", "are");
            let what = format!("{number} {is} not shared with us: no new data of it comes");
            reasons.push(Reason::new(what, None, "only the customer can share it, when connecting the bank"));
        }
        reasons
    }
}

/// `1 account` or `2 accounts`, and the verb for so many.
fn accounts(number: u64, one: &'static str, many: &'static str) -> (String, &'static str) {
    (counted(number, "account"), if number == 1 { one } else { many })
}
