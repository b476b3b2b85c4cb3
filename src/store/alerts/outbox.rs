//! What of the alerts is still to be told: each beginning and each end until somebody took it.

use jiff::Timestamp;
use rusqlite::{Row, named_params};

use super::AlertKind;
use crate::store::{ReadTxn, StoreError, WriteTxn, instant, ms};

/// A way in which people are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A POST to an address.
    Webhook,
    /// A command.
    Command,
}

impl Way {
    /// The word the store keeps.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Command => "command",
        }
    }
}

/// An alert whose beginning, or if it has ended its end, is to be told now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueAlert {
    /// Our id.
    pub alert_id: i64,
    /// What it is about.
    pub kind: AlertKind,
    /// Our id of the source.
    pub source_id: i64,
    /// The source's name.
    pub source: String,
    /// The word for its aggregator.
    pub aggregator: String,
    /// Our id of the link; `None`: the whole source.
    pub link_id: Option<i64>,
    /// The aggregator's.
    pub upstream_link_id: Option<String>,
    /// Why: for a link its attention, else the kind.
    pub reason: String,
    /// When the condition began.
    pub since: Timestamp,
    /// When it was noticed.
    pub raised_at: Timestamp,
    /// When it was noticed to have ended.
    pub resolved_at: Option<Timestamp>,
    /// When the message was last sent without learning that it did not arrive.
    pub sent_at: Option<Timestamp>,
    /// The way that has taken it already.
    pub accepted_by: Option<Way>,
    /// The summary it was put in.
    pub summary_id: Option<i64>,
    /// Attempts before.
    pub tries: u32,
}

impl DueAlert {
    /// When what is to be told was noticed.
    pub fn noticed_at(&self) -> Timestamp {
        self.resolved_at.unwrap_or(self.raised_at)
    }
}

/// Links of one source that began, or ceased, to need a person within a short time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Burst {
    /// The source.
    pub source_id: i64,
    /// Ceased.
    pub is_end: bool,
    /// How many.
    pub links: usize,
}

impl ReadTxn<'_> {
    /// What is to be told now, the longest due first. What began again is told after its former end.
    pub fn due_alerts(&self, now: Timestamp) -> Result<Vec<DueAlert>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT a.alert_id, a.kind, a.source_id, s.name AS source, s.aggregator, a.link_id,
                    l.upstream_id AS upstream_link_id, a.reason, a.since_at, a.raised_at, a.resolved_at, a.sent_at,
                    a.accepted_by, a.summary_id, a.tries
             FROM alerts a JOIN sources s ON s.source_id = a.source_id LEFT JOIN links l ON l.link_id = a.link_id
             WHERE a.next_try_at <= :now
                 AND NOT EXISTS (SELECT 1 FROM alerts former WHERE former.next_try_at IS NOT NULL AND former.kind = a.kind
                                 AND former.source_id = a.source_id AND coalesce(former.link_id, 0) = coalesce(a.link_id, 0)
                                 AND former.alert_id < a.alert_id)
             ORDER BY a.next_try_at, a.alert_id",
        )?;
        let mut rows = select.query(named_params! { ":now": ms(now) })?;
        let mut due = Vec::new();
        while let Some(row) = rows.next()? {
            due.push(due_alert(row)?);
        }
        Ok(due)
    }

    /// How many links of each source began or ceased to need a person after `after`.
    pub fn attention_bursts(&self, after: Timestamp) -> Result<Vec<Burst>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT source_id, resolved_at IS NOT NULL AS is_end, count(*) AS links FROM alerts
             WHERE kind = 'link_attention' AND coalesce(resolved_at, raised_at) > :after GROUP BY source_id, is_end",
        )?;
        let rows = select.query_map(named_params! { ":after": ms(after) }, |row| {
            Ok(Burst { source_id: row.get("source_id")?, is_end: row.get("is_end")?, links: row.get("links")? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn due_alert(row: &Row<'_>) -> Result<DueAlert, StoreError> {
    let at = |column: &str| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(instant));
    let accepted_by = match row.get::<_, Option<String>>("accepted_by")?.as_deref() {
        None => None,
        Some("webhook") => Some(Way::Webhook),
        Some("command") => Some(Way::Command),
        Some(other) => {
            return Err(StoreError::UnknownWord { column: "alerts.accepted_by", value: other.to_owned() });
        }
    };
    Ok(DueAlert {
        alert_id: row.get("alert_id")?,
        kind: AlertKind::from_word(&row.get::<_, String>("kind")?)?,
        source_id: row.get("source_id")?,
        source: row.get("source")?,
        aggregator: row.get("aggregator")?,
        link_id: row.get("link_id")?,
        upstream_link_id: row.get("upstream_link_id")?,
        reason: row.get("reason")?,
        since: instant(row.get("since_at")?),
        raised_at: instant(row.get("raised_at")?),
        resolved_at: at("resolved_at")?,
        sent_at: at("sent_at")?,
        accepted_by,
        summary_id: row.get("summary_id")?,
        tries: row.get("tries")?,
    })
}

impl WriteTxn<'_> {
    /// Notes that a message about these alerts is about to be sent, and when it is tried again if nothing else is noted.
    ///
    /// After a crash: it counts as sent, and is sent again under the same id.
    pub fn alerts_are_being_told(
        &self,
        alerts: &[i64],
        summary_id: Option<i64>,
        next_try_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut update = self.txn.prepare_cached(
            "UPDATE alerts SET sent_at = :now, tries = tries + 1, next_try_at = :next, summary_id = :summary_id
             WHERE alert_id = :alert_id",
        )?;
        for alert_id in alerts {
            update.execute(named_params! {
                ":now": ms(now), ":next": ms(next_try_at), ":summary_id": summary_id, ":alert_id": alert_id,
            })?;
        }
        Ok(())
    }

    /// Notes that the beginnings, or with `is_end` the ends, of these alerts were told.
    pub fn alerts_were_told(&self, alerts: &[i64], is_end: bool, now: Timestamp) -> Result<(), StoreError> {
        let mut update = self.txn.prepare_cached(
            "UPDATE alerts SET raised_told_at = iif(:is_end, raised_told_at, :now),
                 resolved_told_at = iif(:is_end, :now, resolved_told_at),
                 tries = 0, next_try_at = NULL, last_error = NULL, accepted_by = NULL, summary_id = NULL
             WHERE alert_id = :alert_id",
        )?;
        for alert_id in alerts {
            update.execute(named_params! { ":is_end": is_end, ":now": ms(now), ":alert_id": alert_id })?;
        }
        Ok(())
    }

    /// Notes that a message about these alerts was not taken, or by one of two ways only. What is not worth telling any more,
    /// an end before `too_late`, is given up.
    ///
    /// Shape: `sent_at` is what it is now known to be: `None` if no attempt can have arrived.
    pub fn alerts_were_not_told(
        &self,
        alerts: &[(i64, Option<Timestamp>)],
        accepted_by: Option<Way>,
        error: &str,
        too_late: Timestamp,
    ) -> Result<(), StoreError> {
        let mut update = self.txn.prepare_cached(
            "UPDATE alerts SET sent_at = :sent_at, accepted_by = :accepted_by, last_error = :error,
                 next_try_at = iif(resolved_at < :too_late, NULL, next_try_at)
             WHERE alert_id = :alert_id",
        )?;
        for (alert_id, sent_at) in alerts {
            update.execute(named_params! {
                ":sent_at": sent_at.map(ms), ":accepted_by": accepted_by.map(Way::as_str), ":error": error,
                ":too_late": ms(too_late), ":alert_id": alert_id,
            })?;
        }
        Ok(())
    }
}
