//! What Truv sends by itself.
//!
//! Source: upstream/truv.md sections 13.2 and 13.3.

use jiff::Timestamp;
use serde::Deserialize;

use super::{Truv, normalize};
use crate::aggregator::loose::Loose;
use crate::aggregator::{Announcement, News};
use crate::secret::Secret;

pub(in crate::aggregator) const SIGNATURE_HEADER: &str = "x-webhook-sign";
pub(in crate::aggregator) const WEBHOOK_INSTRUCTIONS: &str =
    "run `passbook webhooks register`, or add the address in Truv's dashboard under Development, Webhooks";

/// The events that say something about links of banks. Others are not asked for.
pub(super) const EVENTS: [&str; 4] = [TASK_STATUS_UPDATED, "link-connected", "link-disconnected", "link-deleted"];
const TASK_STATUS_UPDATED: &str = "task-status-updated";
/// What `data_source` says of banks.
const BANK: &str = "financial_accounts";

/// What webhooks are signed with, and for which environment they are sent.
pub(in crate::aggregator) struct Signing {
    secrets: Vec<Secret>,
    env_type: &'static str,
}

impl Signing {
    /// Source: section 13.2: the key is the whole access secret; 20 (29): with two active keys, either.
    pub(in crate::aggregator) fn new(access_secret: &Secret, others: &[Secret]) -> Self {
        let secrets = std::iter::once(access_secret).chain(others).cloned().collect();
        Self { secrets, env_type: env_type(access_secret.expose()) }
    }
}

/// Source: section 1: the environment is the secret's prefix.
fn env_type(secret: &str) -> &'static str {
    let prefix = secret.split_once('-').map(|(prefix, _)| prefix);
    ["sandbox", "dev"].into_iter().find(|env| Some(*env) == prefix).unwrap_or("prod")
}

impl Truv {
    pub(in crate::aggregator) fn webhook_secrets(&self) -> &[Secret] {
        &self.0.signing.secrets
    }

    pub(super) fn env_type(&self) -> &'static str {
        self.0.signing.env_type
    }
}

/// An event of any generation.
#[expect(clippy::struct_field_names, reason = "Truv's names")]
#[derive(Debug, Deserialize)]
struct Event<'a> {
    #[serde(borrow, default)]
    event_type: Loose<'a>,
    /// Absent in the oldest generation.
    #[serde(borrow, default)]
    event_created_at: Loose<'a>,
    /// In all but some of the newest.
    #[serde(borrow, default)]
    updated_at: Loose<'a>,
    #[serde(borrow, default)]
    user_id: Loose<'a>,
    #[serde(borrow, default)]
    link_id: Loose<'a>,
    #[serde(borrow, default)]
    task_id: Loose<'a>,
    #[serde(borrow, default)]
    status: Loose<'a>,
    #[serde(borrow, default)]
    data_source: Loose<'a>,
}

/// Reads an event; `None` for what is no JSON object.
pub(in crate::aggregator) fn read_webhook(body: &[u8]) -> Option<Announcement> {
    // Asked for first: serde also reads a struct from an array, field by field.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    let event: Event<'_> = serde_json::from_slice(body).ok()?;
    let announced_at = event.event_created_at.text().or_else(|| event.updated_at.text());
    Some(Announcement {
        event_type: event.event_type.text().unwrap_or_default(),
        announced_at: announced_at.and_then(|at| at.parse::<Timestamp>().ok()),
        user: event.user_id.text(),
        news: news(&event),
    })
}

fn news(event: &Event<'_>) -> News {
    // Payroll, documents and the like are not kept here. The oldest generation does not say.
    if event.data_source.text().is_some_and(|source| source != BANK) {
        return News::Nothing;
    }
    let link = event.link_id.text();
    match event.event_type.text().as_deref() {
        Some(TASK_STATUS_UPDATED) => match (event.task_id.text(), event.status.text()) {
            (Some(task), Some(status)) => News::RefreshStatus { task, status, link },
            _ => News::LinkChanged { link },
        },
        Some("link-connected" | "link-disconnected" | "link-deleted") => News::LinkChanged { link },
        _ => News::Nothing,
    }
}

/// How far a task has come, as far as words that follow each other tell: 0 is an unknown word.
///
/// Source: section 8.1; `base_parse` is the old word for `parse`, and switches of a deposit come in its place.
pub(in crate::aggregator) fn stage(status: &str) -> u8 {
    match status {
        "new" => 1,
        "login" => 2,
        "mfa" => 3,
        "parse" | "base_parse" | "switch_deposit" => 4,
        "full_parse" => 5,
        word if normalize::is_terminal(word) => 6,
        _ => 0,
    }
}
