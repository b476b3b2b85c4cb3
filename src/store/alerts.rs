//! Alerts: conditions that somebody is told about, and what of them is still to be told.
//!
//! Level, not edge: what is the case is compared with what is open, so a condition that began or ended while nobody looked is
//! noticed by the next look, and none is opened twice.

mod outbox;

use jiff::{SignedDuration, Timestamp};
use rusqlite::named_params;

use super::{ReadTxn, StoreError, WriteTxn, ms};

pub use outbox::{Burst, DueAlert, Way};

/// What somebody is told about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AlertKind {
    /// A link needs a person.
    LinkAttention,
    /// Nothing of a source was read for too long.
    SourceStale,
    /// A source's credentials are refused.
    SourceRefused,
    /// The aggregator stopped sending webhooks.
    WebhooksDisabled,
}

impl AlertKind {
    /// Every kind, in the order of the schema.
    pub const ALL: [Self; 4] = [Self::LinkAttention, Self::SourceStale, Self::SourceRefused, Self::WebhooksDisabled];

    /// The word the store keeps.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LinkAttention => "link_attention",
            Self::SourceStale => "source_stale",
            Self::SourceRefused => "source_refused",
            Self::WebhooksDisabled => "webhooks_disabled",
        }
    }

    fn from_word(word: &str) -> Result<Self, StoreError> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == word)
            .ok_or_else(|| StoreError::UnknownWord { column: "alerts.kind", value: word.to_owned() })
    }
}

/// From when on a state is a condition to tell about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlertPolicy {
    /// How long a link may need a person.
    pub link_grace: SignedDuration,
    /// How long a source may go without a success.
    pub stale_after: SignedDuration,
    /// The reason of a hold that says: credentials refused.
    pub refused: &'static str,
    /// How long such a hold lasts.
    pub refused_rest: SignedDuration,
}

/// What a look changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settled {
    /// Alerts that began.
    pub raised: usize,
    /// Alerts that ended.
    pub resolved: usize,
}

/// What is the case now, whether it was told or not. A refusal is over when something worked after it; a source is stale only
/// by links that are synced and need nobody, for the others are told of one by one.
const CONDITIONS: &str = "WITH conditions (kind, source_id, link_id, reason, since_at) AS (
     SELECT 'link_attention', l.source_id, l.link_id, l.attention, l.attention_at
     FROM links l JOIN sources s ON s.source_id = l.source_id
     WHERE l.attention IS NOT NULL AND l.attention_at <= :now - :grace AND l.removed_at IS NULL AND l.paused_at IS NULL
         AND s.retired_at IS NULL
     UNION ALL
     SELECT 'source_stale', s.source_id, NULL, 'source_stale',
            coalesce((SELECT max(l.last_success_at) FROM links l WHERE l.source_id = s.source_id),
                     (SELECT min(l.first_seen_at) FROM links l WHERE l.source_id = s.source_id))
     FROM sources s
     WHERE s.retired_at IS NULL
         AND NOT EXISTS (SELECT 1 FROM links l WHERE l.source_id = s.source_id AND l.last_success_at > :now - :stale)
         AND EXISTS (SELECT 1 FROM links l WHERE l.source_id = s.source_id AND l.first_seen_at <= :now - :stale
                     AND l.removed_at IS NULL AND l.paused_at IS NULL AND l.attention IS NULL)
     UNION ALL
     SELECT 'source_refused', s.source_id, NULL, 'source_refused', s.hold_until - :rest
     FROM sources s
     WHERE s.retired_at IS NULL AND s.hold_reason = :refused AND coalesce(s.discovered_at, 0) <= s.hold_until - :rest
         AND NOT EXISTS (SELECT 1 FROM links l WHERE l.source_id = s.source_id
                         AND l.last_success_at > s.hold_until - :rest)
     UNION ALL
     SELECT 'webhooks_disabled', s.source_id, NULL, 'webhooks_disabled', coalesce(s.webhook_checked_at, :now)
     FROM sources s
     WHERE s.retired_at IS NULL AND s.webhook_endpoint = 'disabled')";

/// Calls `f` with the parameters that [`CONDITIONS`] names.
fn with_conditions<T>(policy: &AlertPolicy, now: Timestamp, f: impl FnOnce(&[(&str, &dyn rusqlite::ToSql)]) -> T) -> T {
    let span = |of: SignedDuration| i64::try_from(of.as_millis()).unwrap_or(i64::MAX);
    f(named_params! {
        ":now": ms(now), ":grace": span(policy.link_grace), ":stale": span(policy.stale_after),
        ":refused": policy.refused, ":rest": span(policy.refused_rest),
    })
}

impl ReadTxn<'_> {
    /// Whether what is the case differs from what is open, so that [`WriteTxn::settle_alerts`] has something to do.
    pub fn alerts_are_unsettled(&self, policy: &AlertPolicy, now: Timestamp) -> Result<bool, StoreError> {
        let mut select = self.txn.prepare_cached(&format!(
            "{CONDITIONS}
             SELECT EXISTS (SELECT kind, source_id, coalesce(link_id, 0) FROM conditions
                            EXCEPT SELECT kind, source_id, coalesce(link_id, 0) FROM alerts WHERE resolved_at IS NULL)
                 OR EXISTS (SELECT kind, source_id, coalesce(link_id, 0) FROM alerts WHERE resolved_at IS NULL
                            EXCEPT SELECT kind, source_id, coalesce(link_id, 0) FROM conditions)"
        ))?;
        Ok(with_conditions(policy, now, |values| select.query_row(values, |row| row.get(0)))?)
    }
}

impl WriteTxn<'_> {
    /// Opens an alert for each condition that has none, and ends those whose condition has ended.
    ///
    /// After a crash: nothing is lost, because the next look compares anew.
    pub fn settle_alerts(&self, policy: &AlertPolicy, now: Timestamp) -> Result<Settled, StoreError> {
        let mut raise = self.txn.prepare_cached(&format!(
            "{CONDITIONS}
             INSERT INTO alerts (alert_id, kind, source_id, link_id, reason, since_at, raised_at, next_try_at)
             SELECT (SELECT max(value, (SELECT coalesce(max(alert_id), 0) FROM alerts)) FROM store_meta
                     WHERE name = 'last_alert_id') + row_number() OVER (),
                 kind, source_id, link_id, reason, since_at, :now, :now FROM conditions WHERE true
             ON CONFLICT DO NOTHING"
        ))?;
        // One that nobody can have heard of is told as neither.
        let mut resolve = self.txn.prepare_cached(&format!(
            "{CONDITIONS}
             UPDATE alerts SET resolved_at = :now, tries = 0, accepted_by = NULL, summary_id = NULL, last_error = NULL,
                 next_try_at = iif(raised_told_at IS NULL AND sent_at IS NULL, NULL, :now)
             WHERE resolved_at IS NULL AND (kind, source_id, coalesce(link_id, 0)) NOT IN
                 (SELECT kind, source_id, coalesce(link_id, 0) FROM conditions)"
        ))?;
        let settled = with_conditions(policy, now, |values| {
            Ok::<_, StoreError>(Settled { raised: raise.execute(values)?, resolved: resolve.execute(values)? })
        })?;
        if settled.raised > 0 {
            self.hurry_former_ends(now)?;
        }
        Ok(settled)
    }

    /// What began again now is told after its former end: nobody who was long out of reach makes it wait longer for that.
    fn hurry_former_ends(&self, now: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "UPDATE alerts SET tries = 0, next_try_at = :now
             WHERE next_try_at > :now AND resolved_at IS NOT NULL AND (kind, source_id, coalesce(link_id, 0)) IN
                 (SELECT kind, source_id, coalesce(link_id, 0) FROM alerts WHERE resolved_at IS NULL AND raised_at = :now)",
            named_params! { ":now": ms(now) },
        )?;
        Ok(())
    }
}
