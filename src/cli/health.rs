//! Links as the commands show them: for scripts here, in words for people by what all faces share.

use jiff::Timestamp;
use serde::Serialize;

use crate::store::HealthRow;
pub(super) use crate::sync::explain::{note, told};
pub(super) use crate::words::{consent, since};

/// A link for scripts.
#[derive(Serialize)]
pub(super) struct LinkJson {
    link_id: i64,
    source: String,
    upstream_link_id: String,
    user: String,
    institution: Option<String>,
    state: String,
    upstream_status: Option<String>,
    /// The aggregator's sentence for the customer.
    status_detail: Option<String>,
    condition: String,
    condition_at: Option<Timestamp>,
    attention: Option<String>,
    attention_at: Option<Timestamp>,
    last_success_at: Option<Timestamp>,
    /// When the aggregator last read the bank.
    refreshed_at: Option<Timestamp>,
    consent_expires_at: Option<Timestamp>,
    due_at: Timestamp,
    /// `null`: none is ever asked for.
    refreshes_left: Option<i64>,
    consecutive_failures: u32,
    last_error: Option<String>,
}

impl From<HealthRow> for LinkJson {
    fn from(h: HealthRow) -> Self {
        Self {
            link_id: h.link_id,
            source: h.source,
            upstream_link_id: h.upstream_link_id,
            user: h.user,
            institution: h.institution,
            state: h.state,
            upstream_status: h.upstream_status,
            status_detail: h.status_detail,
            condition: h.condition,
            condition_at: h.condition_at,
            attention: h.attention,
            attention_at: h.attention_at,
            last_success_at: h.last_success_at,
            refreshed_at: h.refreshed_at,
            consent_expires_at: h.consent_expires_at,
            due_at: h.due_at,
            refreshes_left: h.refreshes_left,
            consecutive_failures: h.consecutive_failures,
            last_error: h.last_error,
        }
    }
}
