//! Links and what hangs on them: users, institutions, the access token, when next and in which phase.

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Row, named_params, params};

use super::{ReadTxn, StoreError, WriteTxn, instant, ms};
use crate::model::{Attention, Cause, InstitutionRecord, LinkHealth, LinkRecord, UserRecord};
use crate::secret::{Place, Secret};

/// What comes next for a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// A new sync starts at `due_at`.
    Idle,
    /// A refresh runs; it is looked at again at `due_at`.
    Refreshing,
    /// The refresh is over; the pull starts or goes on at `due_at`.
    Pulling,
}

impl Phase {
    /// The word the store keeps.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Refreshing => "refreshing",
            Self::Pulling => "pulling",
        }
    }

    fn from_word(word: &str) -> Result<Self, StoreError> {
        [Self::Idle, Self::Refreshing, Self::Pulling]
            .into_iter()
            .find(|p| p.as_str() == word)
            .ok_or_else(|| StoreError::UnknownWord {
                column: "links.phase",
                value: word.to_owned(),
            })
    }
}

/// Everything a sync needs to know about its link.
#[derive(Debug, Clone)]
pub struct LinkState {
    /// Our id.
    pub link_id: i64,
    /// Its source.
    pub source_id: i64,
    /// The aggregator's id.
    pub upstream_id: String,
    /// The aggregator's id of the customer.
    pub upstream_user_id: String,
    /// What a refresh needs.
    pub access_token: Option<Secret>,
    /// What only a person can repair.
    pub attention: Option<Attention>,
    /// What comes next.
    pub phase: Phase,
    /// When.
    pub due_at: Timestamp,
    /// Why.
    pub due_cause: Cause,
    /// The next pull walks the whole history.
    pub wants_full: bool,
    /// The open sync.
    pub sync_id: Option<i64>,
    /// Failed syncs since the last success.
    pub consecutive_failures: u32,
    /// Last success.
    pub last_success_at: Option<Timestamp>,
    /// No refresh before.
    pub refresh_hold_until: Option<Timestamp>,
    /// When the whole history is walked next.
    pub reconcile_due_at: Option<Timestamp>,
    /// When account numbers were last read.
    pub numbers_checked_at: Option<Timestamp>,
    /// An operator paused it.
    pub paused_at: Option<Timestamp>,
    /// Gone at the aggregator.
    pub removed_at: Option<Timestamp>,
    /// First seen.
    pub first_seen_at: Timestamp,
}

/// A link as the commands show it.
#[derive(Debug, Clone)]
pub struct LinkDetail {
    /// The engine's view.
    pub state: LinkState,
    /// Its source's name.
    pub source: String,
    /// The customer: the organisation's id, else the aggregator's.
    pub user: String,
    /// The bank.
    pub institution: Option<String>,
    /// The aggregator's word for the connection.
    pub upstream_status: Option<String>,
    /// Since when it needs a person.
    pub attention_at: Option<Timestamp>,
    /// What the aggregator said.
    pub attention_detail: Option<String>,
    /// Last try.
    pub last_attempt_at: Option<Timestamp>,
    /// Last failure; `None` after a success.
    pub last_error: Option<String>,
    /// A limit holds it until then.
    pub hold_until: Option<Timestamp>,
    /// Which limit.
    pub hold_reason: Option<String>,
    /// Last complete walk.
    pub covered_to_at: Option<Timestamp>,
    /// `new`, `active`, `attention`, `failing`, `paused` or `removed`.
    pub state_word: String,
}

/// A link to be stored.
#[derive(Debug, Clone)]
pub struct NewLink {
    /// Its customer.
    pub user: UserRecord,
    /// The link.
    pub link: LinkRecord,
}

/// What storing a link did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upserted {
    /// Our id.
    pub link_id: i64,
    /// It was not in the store before.
    pub is_new: bool,
}

const STATE_COLUMNS: &str =
    "l.link_id, l.source_id, l.upstream_id, u.upstream_id AS upstream_user_id, l.access_token_sealed,
    l.attention, l.phase, l.due_at, l.due_cause, l.wants_full, l.sync_id, l.consecutive_failures, l.last_success_at,
    l.refresh_hold_until, l.reconcile_due_at, l.numbers_checked_at, l.paused_at, l.removed_at, l.first_seen_at";

fn optional_instant(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(instant))
}

impl ReadTxn<'_> {
    fn link_state_of(&self, row: &Row<'_>) -> Result<LinkState, StoreError> {
        let link_id: i64 = row.get("link_id")?;
        let sealed: Option<Vec<u8>> = row.get("access_token_sealed")?;
        let access_token = sealed
            .map(|s| self.unseal("links", "access_token_sealed", link_id, &s))
            .transpose()?;
        let attention: Option<String> = row.get("attention")?;
        let due_cause: String = row.get("due_cause")?;
        Ok(LinkState {
            link_id,
            source_id: row.get("source_id")?,
            upstream_id: row.get("upstream_id")?,
            upstream_user_id: row.get("upstream_user_id")?,
            access_token,
            attention: attention.as_deref().and_then(Attention::from_word),
            phase: Phase::from_word(&row.get::<_, String>("phase")?)?,
            due_at: instant(row.get("due_at")?),
            due_cause: Cause::from_word(&due_cause).ok_or(StoreError::UnknownWord {
                column: "links.due_cause",
                value: due_cause,
            })?,
            wants_full: row.get("wants_full")?,
            sync_id: row.get("sync_id")?,
            consecutive_failures: row.get("consecutive_failures")?,
            last_success_at: optional_instant(row, "last_success_at")?,
            refresh_hold_until: optional_instant(row, "refresh_hold_until")?,
            reconcile_due_at: optional_instant(row, "reconcile_due_at")?,
            numbers_checked_at: optional_instant(row, "numbers_checked_at")?,
            paused_at: optional_instant(row, "paused_at")?,
            removed_at: optional_instant(row, "removed_at")?,
            first_seen_at: instant(row.get("first_seen_at")?),
        })
    }

    pub(super) fn unseal(
        &self,
        table: &'static str,
        column: &'static str,
        row_id: i64,
        sealed: &[u8],
    ) -> Result<Secret, StoreError> {
        let plain = self
            .sealer
            .open(Place { table, column, row_id }, sealed)
            .map_err(|source| StoreError::Sealed {
                table,
                column,
                row_id,
                source,
            })?;
        Ok(Secret::new(String::from_utf8_lossy(&plain).into_owned()))
    }

    /// A source's links whose time has come, the most urgent first: asked for by a person or a webhook, then work already
    /// begun, then the stalest.
    ///
    /// Shape: at most `limit`, either those never pulled completely (`backfills`) or the others; paused and removed ones are
    /// left out; none at all while the aggregator holds the source.
    pub fn due_links(
        &self,
        source_id: i64,
        backfills: bool,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<i64>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT l.link_id
             FROM links l
             JOIN sources s ON s.source_id = l.source_id
             WHERE l.source_id = :source_id AND l.due_at <= :now AND l.removed_at IS NULL AND l.paused_at IS NULL
               AND (l.link_id NOT IN (SELECT link_id FROM cursors)) = :backfills
               AND s.retired_at IS NULL AND coalesce(s.hold_until, 0) <= :now
             ORDER BY l.due_cause NOT IN ('person', 'webhook'), l.phase = 'idle', coalesce(l.last_success_at, 0), l.due_at
             LIMIT :limit",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = select.query_map(
            named_params! { ":source_id": source_id, ":backfills": backfills, ":now": ms(now), ":limit": limit },
            |row| row.get(0),
        )?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// When a source's next link becomes due, not before the aggregator's hold on the source ends; `None`: no link waits.
    pub fn next_due_at(&self, source_id: i64) -> Result<Option<Timestamp>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT max(l.due_at, coalesce(s.hold_until, 0))
             FROM links l JOIN sources s ON s.source_id = l.source_id AND s.retired_at IS NULL
             WHERE l.source_id = :source_id AND l.removed_at IS NULL AND l.paused_at IS NULL ORDER BY l.due_at LIMIT 1",
        )?;
        let next = select.query_row(named_params! { ":source_id": source_id }, |row| row.get::<_, i64>(0));
        Ok(next.optional()?.map(instant))
    }

    /// How many of a source's links are due or in the middle of a sync: what `run --once` still has to do.
    pub fn unfinished_links(&self, source_id: i64, now: Timestamp) -> Result<u64, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT count(*) FROM links l JOIN sources s ON s.source_id = l.source_id
             WHERE l.source_id = :source_id AND l.removed_at IS NULL AND l.paused_at IS NULL AND s.retired_at IS NULL
               AND coalesce(s.hold_until, 0) <= :now AND (l.due_at <= :now OR l.phase = 'refreshing')",
        )?;
        Ok(
            select.query_row(named_params! { ":source_id": source_id, ":now": ms(now) }, |row| {
                row.get(0)
            })?,
        )
    }

    /// Everything a sync needs to know about its link.
    pub fn link_state(&self, link_id: i64) -> Result<LinkState, StoreError> {
        let mut select = self.txn.prepare_cached(&format!(
            "SELECT {STATE_COLUMNS} FROM links l JOIN users u ON u.user_id = l.user_id WHERE l.link_id = :link_id"
        ))?;
        let mut rows = select.query(named_params! { ":link_id": link_id })?;
        match rows.next()? {
            Some(row) => self.link_state_of(row),
            None => Err(StoreError::Missing {
                what: "link",
                id: link_id,
            }),
        }
    }

    /// The link with this upstream id at any source; `None` if there is none. Ids of two sources never meet in practice.
    pub fn link_by_upstream_id(&self, upstream_id: &str) -> Result<Option<i64>, StoreError> {
        let mut select = self
            .txn
            .prepare_cached("SELECT link_id FROM links WHERE upstream_id = :id LIMIT 1")?;
        Ok(select
            .query_row(named_params! { ":id": upstream_id }, |row| row.get(0))
            .optional()?)
    }

    /// A source's links by upstream id, with what discovery compares: the token's last four characters and the status.
    ///
    /// Shape: (upstream link id, last four of the token if one is stored, removed), in upstream id order.
    pub fn known_links(&self, source_id: i64) -> Result<Vec<(String, Option<String>, bool)>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT link_id, upstream_id, access_token_sealed, removed_at IS NOT NULL AS is_removed
             FROM links WHERE source_id = :source_id ORDER BY upstream_id",
        )?;
        let mut rows = select.query(named_params! { ":source_id": source_id })?;
        let mut known = Vec::new();
        while let Some(row) = rows.next()? {
            let link_id: i64 = row.get("link_id")?;
            let sealed: Option<Vec<u8>> = row.get("access_token_sealed")?;
            let suffix = sealed
                .map(|s| self.unseal("links", "access_token_sealed", link_id, &s))
                .transpose()?
                .map(|token| token_suffix(token.expose()).to_owned());
            known.push((row.get("upstream_id")?, suffix, row.get("is_removed")?));
        }
        Ok(known)
    }

    /// A link as the commands show it.
    pub fn link_detail(&self, link_id: i64) -> Result<LinkDetail, StoreError> {
        let mut select = self.txn.prepare_cached(&format!(
            "SELECT {STATE_COLUMNS}, s.name AS source, coalesce(u.external_id, u.upstream_id) AS user,
                    coalesce(i.name, i.upstream_id) AS institution, l.upstream_status, l.attention_at, l.attention_detail,
                    l.last_attempt_at, l.last_error, l.hold_until, l.hold_reason, c.covered_to_at,
                    h.state AS state_word
             FROM links l
             JOIN users u ON u.user_id = l.user_id
             JOIN sources s ON s.source_id = l.source_id
             JOIN v_link_health h ON h.link_id = l.link_id
             LEFT JOIN institutions i ON i.institution_id = l.institution_id
             LEFT JOIN cursors c ON c.link_id = l.link_id
             WHERE l.link_id = :link_id"
        ))?;
        let mut rows = select.query(named_params! { ":link_id": link_id })?;
        let row = rows.next()?.ok_or(StoreError::Missing {
            what: "link",
            id: link_id,
        })?;
        Ok(LinkDetail {
            state: self.link_state_of(row)?,
            source: row.get("source")?,
            user: row.get("user")?,
            institution: row.get("institution")?,
            upstream_status: row.get("upstream_status")?,
            attention_at: optional_instant(row, "attention_at")?,
            attention_detail: row.get("attention_detail")?,
            last_attempt_at: optional_instant(row, "last_attempt_at")?,
            last_error: row.get("last_error")?,
            hold_until: optional_instant(row, "hold_until")?,
            hold_reason: row.get("hold_reason")?,
            covered_to_at: optional_instant(row, "covered_to_at")?,
            state_word: row.get("state_word")?,
        })
    }
}

/// The part of a token that a masked one still shows.
pub(super) fn token_suffix(token: &str) -> &str {
    token.char_indices().rev().nth(3).map_or(token, |(at, _)| &token[at..])
}

impl WriteTxn<'_> {
    /// Stores a customer and returns our id.
    pub fn put_user(&self, source_id: i64, user: &UserRecord, now: Timestamp) -> Result<i64, StoreError> {
        let mut upsert = self.txn.prepare_cached(
            "INSERT INTO users (source_id, upstream_id, external_id, first_seen_at)
             VALUES (:source_id, :upstream_id, :external_id, :now)
             ON CONFLICT (source_id, upstream_id) DO UPDATE SET external_id = excluded.external_id
                 WHERE excluded.external_id IS NOT NULL AND external_id IS NOT excluded.external_id",
        )?;
        upsert.execute(named_params! {
            ":source_id": source_id, ":upstream_id": user.upstream_id, ":external_id": user.external_id, ":now": ms(now),
        })?;
        let mut select = self
            .txn
            .prepare_cached("SELECT user_id FROM users WHERE source_id = :source_id AND upstream_id = :upstream_id")?;
        Ok(select.query_row(
            named_params! { ":source_id": source_id, ":upstream_id": user.upstream_id },
            |row| row.get(0),
        )?)
    }

    fn put_institution(&self, source_id: i64, institution: &InstitutionRecord) -> Result<i64, StoreError> {
        let mut upsert = self.txn.prepare_cached(
            "INSERT INTO institutions (aggregator, upstream_id, name)
             SELECT aggregator, :upstream_id, :name FROM sources WHERE source_id = :source_id
             ON CONFLICT (aggregator, upstream_id) DO UPDATE SET name = excluded.name
                 WHERE excluded.name IS NOT NULL AND name IS NOT excluded.name",
        )?;
        upsert.execute(named_params! {
            ":source_id": source_id, ":upstream_id": institution.upstream_id, ":name": institution.name,
        })?;
        let mut select = self.txn.prepare_cached(
            "SELECT institution_id FROM institutions
             WHERE upstream_id = :upstream_id AND aggregator = (SELECT aggregator FROM sources WHERE source_id = :source_id)",
        )?;
        Ok(select.query_row(
            named_params! { ":source_id": source_id, ":upstream_id": institution.upstream_id },
            |row| row.get(0),
        )?)
    }

    /// Stores what an aggregator says about a link. A new one is due at once for its backfill.
    ///
    /// Shape: an access token that the answer does not carry leaves the stored one alone.
    pub fn put_link(&self, source_id: i64, new: &NewLink, now: Timestamp) -> Result<Upserted, StoreError> {
        let user_id = self.put_user(source_id, &new.user, now)?;
        let institution_id = new
            .link
            .institution
            .as_ref()
            .map(|i| self.put_institution(source_id, i))
            .transpose()?;
        let upstream_id = &new.link.upstream_id;
        let mut insert = self.txn.prepare_cached(
            "INSERT INTO links (source_id, user_id, institution_id, upstream_id, due_at, due_cause, first_seen_at)
             VALUES (:source_id, :user_id, :institution_id, :upstream_id, :now, 'backfill', :now)
             ON CONFLICT (source_id, upstream_id) DO NOTHING",
        )?;
        let is_new = insert.execute(named_params! {
            ":source_id": source_id, ":user_id": user_id, ":institution_id": institution_id,
            ":upstream_id": upstream_id, ":now": ms(now),
        })? == 1;
        let mut select = self
            .txn
            .prepare_cached("SELECT link_id FROM links WHERE source_id = :source_id AND upstream_id = :upstream_id")?;
        let link_id: i64 = select.query_row(
            named_params! { ":source_id": source_id, ":upstream_id": upstream_id },
            |row| row.get(0),
        )?;
        if !is_new {
            let mut update = self.txn.prepare_cached(
                "UPDATE links SET institution_id = coalesce(:institution_id, institution_id), user_id = :user_id
                 WHERE link_id = :link_id
                   AND (institution_id IS NOT coalesce(:institution_id, institution_id) OR user_id <> :user_id)",
            )?;
            update.execute(named_params! {
                ":institution_id": institution_id, ":user_id": user_id, ":link_id": link_id,
            })?;
        }
        if let Some(token) = &new.link.access_token {
            self.set_access_token(link_id, token)?;
        }
        if new.link.is_removed {
            self.remove_link(link_id, now)?;
        } else {
            self.return_link(link_id, now)?;
            self.set_link_health(link_id, &new.link.health, now)?;
        }
        Ok(Upserted { link_id, is_new })
    }

    fn set_access_token(&self, link_id: i64, token: &Secret) -> Result<(), StoreError> {
        let place = Place {
            table: "links",
            column: "access_token_sealed",
            row_id: link_id,
        };
        let sealed_error = |source| StoreError::Sealed {
            table: "links",
            column: "access_token_sealed",
            row_id: link_id,
            source,
        };
        if self
            .link_state(link_id)?
            .access_token
            .is_some_and(|t| t.expose() == token.expose())
        {
            return Ok(());
        }
        let sealed = self
            .sealer
            .seal(place, token.expose().as_bytes())
            .map_err(sealed_error)?;
        self.txn.execute(
            "UPDATE links SET access_token_sealed = ?1 WHERE link_id = ?2",
            params![sealed, link_id],
        )?;
        Ok(())
    }

    /// Notes what the aggregator says about the connection. A repaired link is due at once.
    pub fn set_link_health(&self, link_id: i64, health: &LinkHealth, now: Timestamp) -> Result<(), StoreError> {
        let mut update = self.txn.prepare_cached(
            "UPDATE links SET
                 due_at = iif(:attention IS NULL AND attention IS NOT NULL AND phase = 'idle', min(due_at, :now), due_at),
                 upstream_status = coalesce(:status, upstream_status),
                 attention_at = CASE WHEN :attention IS NULL THEN NULL
                                     WHEN attention IS :attention THEN attention_at ELSE :now END,
                 attention_detail = iif(:attention IS NULL, NULL, coalesce(:status, attention_detail)),
                 attention = :attention
             WHERE link_id = :link_id
               AND (attention IS NOT :attention OR upstream_status IS NOT coalesce(:status, upstream_status))",
        )?;
        update.execute(named_params! {
            ":attention": health.attention.map(Attention::as_str), ":status": health.upstream_status,
            ":now": ms(now), ":link_id": link_id,
        })?;
        Ok(())
    }

    /// Notes that the link is gone at the aggregator; its history stays.
    pub fn remove_link(&self, link_id: i64, now: Timestamp) -> Result<(), StoreError> {
        self.txn.execute(
            "UPDATE links SET removed_at = :now, phase = 'idle', sync_id = NULL, hold_until = NULL, hold_reason = NULL
             WHERE link_id = :link_id AND removed_at IS NULL",
            named_params! { ":now": ms(now), ":link_id": link_id },
        )?;
        Ok(())
    }

    /// Takes back a removal: the aggregator shows the link again.
    fn return_link(&self, link_id: i64, now: Timestamp) -> Result<(), StoreError> {
        self.txn.execute(
            "UPDATE links SET removed_at = NULL, due_at = :now, due_cause = 'schedule', wants_full = 1
             WHERE link_id = :link_id AND removed_at IS NOT NULL",
            named_params! { ":now": ms(now), ":link_id": link_id },
        )?;
        Ok(())
    }

    /// Pauses a link, or lets it go on at once.
    ///
    /// Shape: whether that changed anything.
    pub fn set_paused(&self, link_id: i64, paused: bool, now: Timestamp) -> Result<bool, StoreError> {
        let sql = if paused {
            "UPDATE links SET paused_at = :now WHERE link_id = :link_id AND paused_at IS NULL"
        } else {
            "UPDATE links SET paused_at = NULL, due_at = min(due_at, :now) WHERE link_id = :link_id AND paused_at IS NOT NULL"
        };
        Ok(self
            .txn
            .execute(sql, named_params! { ":now": ms(now), ":link_id": link_id })?
            == 1)
    }

    /// Makes a link due now for `cause`; a running refresh is looked at at once, a paused link stays paused.
    pub fn ask_for_sync(&self, link_id: i64, cause: Cause, full: bool, now: Timestamp) -> Result<(), StoreError> {
        self.txn.execute(
            "UPDATE links SET due_at = min(due_at, :now), due_cause = iif(due_cause = 'person', due_cause, :cause),
                    wants_full = max(wants_full, :full), hold_until = NULL, hold_reason = NULL
             WHERE link_id = :link_id",
            named_params! { ":now": ms(now), ":cause": cause.as_str(), ":full": full, ":link_id": link_id },
        )?;
        Ok(())
    }

    /// Sets what comes next for a link.
    pub fn set_next(&self, link_id: i64, phase: Phase, due_at: Timestamp) -> Result<(), StoreError> {
        let mut update = self
            .txn
            .prepare_cached("UPDATE links SET phase = :phase, due_at = :due_at WHERE link_id = :link_id")?;
        update.execute(named_params! { ":phase": phase.as_str(), ":due_at": ms(due_at), ":link_id": link_id })?;
        Ok(())
    }

    /// Moves when a link is next worked on, in whatever phase it is.
    pub fn set_due_at(&self, link_id: i64, due_at: Timestamp) -> Result<(), StoreError> {
        self.txn.execute(
            "UPDATE links SET due_at = :due_at WHERE link_id = :link_id",
            named_params! { ":due_at": ms(due_at), ":link_id": link_id },
        )?;
        Ok(())
    }

    /// Notes that the aggregator refuses refreshes of this link until then.
    pub fn hold_refresh(&self, link_id: i64, until: Timestamp) -> Result<(), StoreError> {
        self.txn.execute(
            "UPDATE links SET refresh_hold_until = :until WHERE link_id = :link_id",
            named_params! { ":until": ms(until), ":link_id": link_id },
        )?;
        Ok(())
    }

    /// Notes that account numbers were read, or cannot be.
    pub fn numbers_checked(&self, link_id: i64, now: Timestamp) -> Result<(), StoreError> {
        self.txn.execute(
            "UPDATE links SET numbers_checked_at = :now WHERE link_id = :link_id",
            named_params! { ":now": ms(now), ":link_id": link_id },
        )?;
        Ok(())
    }

    /// Brings walks of whole histories forward that no schedule could have put off beyond `latest`.
    pub fn bring_reconciliation_forward(&self, source_id: i64, latest: Timestamp) -> Result<(), StoreError> {
        self.txn.execute(
            "UPDATE links SET reconcile_due_at = :latest WHERE source_id = :source_id AND reconcile_due_at > :latest",
            named_params! { ":latest": ms(latest), ":source_id": source_id },
        )?;
        Ok(())
    }

    /// Links that are due later than `latest`: after the clock was set back their instants lie in a future that never
    /// was.
    ///
    /// Shape: (link id, upstream id).
    pub fn links_due_after(&self, source_id: i64, latest: Timestamp) -> Result<Vec<(i64, String)>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT link_id, upstream_id FROM links
             WHERE source_id = :source_id AND due_at > :latest AND removed_at IS NULL",
        )?;
        let rows = select.query_map(
            named_params! { ":source_id": source_id, ":latest": ms(latest) },
            |row| Ok((row.get("link_id")?, row.get("upstream_id")?)),
        )?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
