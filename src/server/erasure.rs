//! An erasure for people and scripts: an order under way, or the certificate that it was carried out.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::store::Erasure;

/// An erasure, as commands print it. It does not say who it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasureJson {
    /// Our id.
    pub erasure_id: i64,
    /// The source's name.
    pub source: String,
    /// `open` or `finished`.
    pub state: String,
    /// When it was ordered.
    pub requested_at: Timestamp,
    /// `deleted`, `unknown_there`, `left`, or `null`: not yet.
    pub upstream_outcome: Option<String>,
    /// When the aggregator deleted the customer.
    pub upstream_at: Option<Timestamp>,
    /// When the last row here was deleted.
    pub erased_at: Option<Timestamp>,
    /// When what the rows left in the file was overwritten.
    pub overwritten_at: Option<Timestamp>,
    /// When everything was done.
    pub finished_at: Option<Timestamp>,
    /// Rows by table.
    pub rows_deleted: BTreeMap<String, u64>,
    /// HMAC-SHA-256 of the aggregator's id under the store's own key.
    pub upstream_id_hmac: Option<String>,
    /// The same of the organisation's id.
    pub external_id_hmac: Option<String>,
    /// When it goes on; `null`: it is finished.
    pub next_try_at: Option<Timestamp>,
    /// What holds it up.
    pub last_error: Option<String>,
}

impl From<Erasure> for ErasureJson {
    fn from(e: Erasure) -> Self {
        let is_finished = e.finished_at.is_some();
        Self {
            erasure_id: e.erasure_id,
            source: e.source,
            state: if is_finished { "finished" } else { "open" }.to_owned(),
            requested_at: e.requested_at,
            upstream_outcome: e.upstream_outcome.map(|outcome| outcome.as_str().to_owned()),
            upstream_at: e.upstream_at,
            erased_at: e.erased_at,
            overwritten_at: e.overwritten_at,
            finished_at: e.finished_at,
            rows_deleted: e.rows,
            upstream_id_hmac: e.upstream_id_hmac,
            external_id_hmac: e.external_id_hmac,
            next_try_at: (!is_finished).then_some(e.next_try_at),
            last_error: e.last_error,
        }
    }
}

impl ErasureJson {
    /// How far it is, in a sentence.
    pub fn sentence(&self) -> String {
        let id = self.erasure_id;
        if self.finished_at.is_some() {
            let there = match self.upstream_outcome.as_deref() {
                Some("deleted") => "deleted at the aggregator",
                Some("unknown_there") => "not known to the aggregator",
                _ => "left at the aggregator, as you asked",
            };
            let rows: u64 = self.rows_deleted.values().sum();
            return format!("erasure {id}: the customer is forgotten: {there}, and {rows} rows are deleted here");
        }
        let why = self.last_error.as_ref().map_or_else(String::new, |error| format!(": {error}"));
        format!("erasure {id}: under way, {}{why}", self.left_to_do())
    }

    /// What is still to be done, in a few words; empty where nothing is.
    pub fn left_to_do(&self) -> String {
        let mut left = Vec::new();
        if self.upstream_outcome.is_none() {
            left.push("not deleted at the aggregator yet");
        }
        if self.erased_at.is_none() {
            left.push("rows are left here");
        } else if self.overwritten_at.is_none() {
            left.push("rows deleted, their traces in the file not overwritten yet");
        } else if self.upstream_outcome.is_none() {
            left.push("nothing left here");
        }
        left.join("; ")
    }
}
