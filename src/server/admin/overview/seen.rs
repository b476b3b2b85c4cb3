//! What the overview reads of the store, and what follows from it for each source.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use crate::clock::DAY_MS;
use crate::limits::refreshes::month_began;
use crate::schedule::Schedule;
use crate::server::admin::Admin;
use crate::store::{
    ConfigLoad, HealthRow, LinkTotals, ReadTxn, SourceDay, SourceGlance, StoreError, Trouble, UsageRow, WalHeld,
    WebhookGlance,
};
use crate::sync::CREDENTIALS_REFUSED;

/// How many days of rows and refreshes are shown.
pub(super) const DAYS: i64 = 30;
/// How many hours of requests and events are shown.
pub(super) const HOURS: i64 = 24;

/// Everything the overview shows.
pub(super) struct Seen {
    pub(super) sources: Vec<SeenSource>,
    /// Links that need a person, as many as are listed.
    pub(super) people: Vec<HealthRow>,
    pub(super) consents: Vec<HealthRow>,
    /// The configuration that was read last, in use or refused.
    pub(super) config_read: Option<ConfigLoad>,
    /// Since when there should have been a new proved backup; `None`: there is, or none are made.
    pub(super) backup_missed_at: Option<Timestamp>,
    /// A reader who holds the store's write-ahead log.
    pub(super) wal_held: Option<WalHeld>,
    /// What keeps the store from working.
    pub(super) trouble: Option<Trouble>,
}

/// One source.
pub(super) struct SeenSource {
    pub(super) glance: SourceGlance,
    pub(super) links: LinkTotals,
    /// Since when a link must have been read to count as fresh; `None`: the source is not configured.
    pub(super) fresh_since: Option<Timestamp>,
    /// What a successful refresh is billed as; `None`: its aggregator cannot be asked to refresh.
    pub(super) price_unit: Option<&'static str>,
    /// The last hours and the window before them, so that the first minute shown has its whole window.
    pub(super) minutes: Vec<UsageRow>,
    /// At least the last [`DAYS`] days, and the month.
    pub(super) days: Vec<SourceDay>,
    pub(super) webhooks: WebhookGlance,
    pub(super) rejected_rows: u64,
}

/// What is configured of a source.
#[derive(Clone, Copy)]
struct Configured {
    fresh_since: Timestamp,
    price_unit: Option<&'static str>,
}

impl Seen {
    /// Reads everything in one consistent view.
    pub(super) async fn read(admin: &Admin, now: Timestamp, listed: usize) -> Result<Self, StoreError> {
        let configured: HashMap<i64, Configured> = admin
            .served
            .engine
            .sources()
            .map(|source| {
                let price_unit = source.aggregator.refreshes().map(|refreshes| refreshes.terms().price_unit);
                (source.source_id, Configured { fresh_since: source.fresh_since(now), price_unit })
            })
            .collect();
        let backups = admin.served.engine.backup().map(|backup| backup.schedule);
        let look = move |txn: &ReadTxn<'_>| Self::look(txn, &configured, backups.as_ref(), now, listed);
        let store = admin.served.engine.store();
        Ok(Self { trouble: store.trouble(), ..store.read(look).await? })
    }

    fn look(
        txn: &ReadTxn<'_>,
        configured: &HashMap<i64, Configured>,
        backups: Option<&Schedule>,
        now: Timestamp,
        listed: usize,
    ) -> Result<Self, StoreError> {
        let fresh_since = configured.iter().map(|(id, source)| (*id, source.fresh_since)).collect();
        let mut links = txn.link_totals(&fresh_since, now)?;
        let rejected = txn.rejected_by_source()?;
        let mut sources = Vec::new();
        for glance in txn.source_glances()? {
            let id = glance.source_id;
            let window = SignedDuration::from_millis(glance.request_window_ms);
            sources.push(SeenSource {
                links: links.remove(&id).unwrap_or_default(),
                fresh_since: configured.get(&id).map(|source| source.fresh_since),
                price_unit: configured.get(&id).and_then(|source| source.price_unit),
                minutes: txn.requests_by_minute(id, hours_began(now).saturating_sub(window).unwrap_or(now))?,
                days: txn.source_days(id, days_began(now).min(month_began(now)))?,
                webhooks: txn.webhook_glance(id, hours_began(now), now)?,
                rejected_rows: rejected.get(&id).copied().unwrap_or(0),
                glance,
            });
        }
        // What is in trouble stands first, what is not configured any more last.
        sources.sort_by_key(|source| (source.glance.retired_at.is_some(), !source.is_in_trouble(now)));
        let proved = txn.backup_glance()?.last_proved.map(|backup| backup.made_at);
        let last = proved.or(txn.created_at()?).unwrap_or(now);
        Ok(Self {
            sources,
            people: txn.links_needing_person(listed)?,
            consents: txn.consents_to_renew(now, listed)?,
            config_read: txn.last_config_load()?,
            backup_missed_at: backups.and_then(|schedule| schedule.missed_since(last, now)),
            wal_held: txn.wal_held()?,
            trouble: None,
        })
    }
}

impl SeenSource {
    /// Whether the aggregator refuses the credentials, and until when we rest therefore.
    pub(super) fn refused_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.resting_until(now).filter(|_| self.glance.hold_reason.as_deref() == Some(CREDENTIALS_REFUSED))
    }

    /// Until when no request is sent.
    pub(super) fn resting_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.glance.hold_until.filter(|until| *until > now)
    }

    /// Since when nothing at all was read, if that is longer than one slot; links that are new do not count.
    pub(super) fn stale_since(&self) -> Option<Timestamp> {
        let fresh_since = self.fresh_since.filter(|_| self.links.settled > 0)?;
        let last = self.links.newest_success_at.or(self.glance.discovered_at).unwrap_or(fresh_since);
        (self.links.fresh == 0 && last < fresh_since).then_some(last)
    }

    /// Whether the aggregator no longer sends events to us.
    pub(super) fn webhooks_are_off(&self) -> bool {
        self.glance.webhook_endpoint.as_deref() == Some("disabled")
    }

    /// Links in a state.
    pub(super) fn in_state(&self, word: &str) -> u64 {
        self.links.by_state.get(word).copied().unwrap_or(0)
    }

    fn is_in_trouble(&self, now: Timestamp) -> bool {
        self.refused_until(now).is_some() || self.stale_since().is_some()
    }

    /// What was written today.
    pub(super) fn today(&self, now: Timestamp) -> Option<&SourceDay> {
        self.days.last().filter(|day| day.day_at == day_began(now))
    }
}

/// The start of the day (UTC) that an instant lies in.
pub(super) fn day_began(at: Timestamp) -> Timestamp {
    let ms = at.as_millisecond();
    Timestamp::from_millisecond(ms - ms.rem_euclid(DAY_MS)).unwrap_or(at)
}

/// The start of the first of the days shown.
pub(super) fn days_began(now: Timestamp) -> Timestamp {
    let back = SignedDuration::from_hours(24 * (DAYS - 1));
    day_began(now).saturating_sub(back).unwrap_or(now)
}

/// The start of the first of the hours shown: whole hours, the present one included.
pub(super) fn hours_began(now: Timestamp) -> Timestamp {
    let second = now.as_second();
    let hour = second - second.rem_euclid(3600) - 3600 * (HOURS - 1);
    Timestamp::from_second(hour).unwrap_or(now)
}
