//! Links, and what the statuses of links and tasks mean.
//!
//! Source: upstream/truv.md sections 7 and 8.

use serde_json::value::RawValue;

use crate::aggregator::truv::wire;
use crate::model::{Attention, Condition, InstitutionRecord, LinkHealth, LinkRecord};
use crate::secret::Secret;

/// A link of whatever product, as its deletion needs it: its id, and whether it is deleted already.
pub(in crate::aggregator::truv) fn link_to_delete(raw: &RawValue) -> Option<(String, bool)> {
    let link: wire::Link<'_> = serde_json::from_str(raw.get()).ok()?;
    Some((link.id, link.deleted_at.text().is_some()))
}

/// One link; `None` for payroll, insurance and other links that hold no bank data, and for one without an id.
pub(in crate::aggregator::truv) fn link(raw: &RawValue) -> Option<LinkRecord> {
    let link: wire::Link<'_> = serde_json::from_str(raw.get()).ok()?;
    let products = link.allowed_products.unwrap_or_default();
    let is_bank = match link.data_source.text().as_deref() {
        Some(source) => source == "financial_accounts",
        None => products.is_empty() || products.iter().any(|p| p == "transactions" || p == "assets"),
    };
    if !is_bank {
        return None;
    }
    let provider_id = link.provider.as_ref().and_then(|p| p.id.text()).or_else(|| link.provider_id.text());
    let name = link.provider.as_ref().and_then(|p| p.name.text());
    Some(LinkRecord {
        upstream_id: link.id,
        institution: provider_id.map(|upstream_id| InstitutionRecord { upstream_id, name, ..Default::default() }),
        // Masked as 28 asterisks and the last four characters, except in lists of one user.
        access_token: link.access_token.text().filter(|t| !t.contains('*')).map(Secret::new),
        health: health(link.status.text()),
        is_removed: link.deleted_at.text().is_some(),
        refreshed_at: None,
        tried_at: None,
        consent_expires_at: None,
    })
}

/// The last characters of a link's token, masked or not: what tells a new token from the stored one.
pub(in crate::aggregator::truv) fn token_suffix(raw: &RawValue) -> Option<String> {
    let link: wire::Link<'_> = serde_json::from_str(raw.get()).ok()?;
    let token = link.access_token.text()?;
    let suffix = token.rsplit('*').next()?;
    Some(suffix.chars().rev().take(4).collect::<Vec<_>>().into_iter().rev().collect())
}

/// What a task's or link's status means. An unknown word is taken as running, like an unknown task.
///
/// Source: section 8.1. `error`, `unavailable` and `no_data` pass by themselves, so they are not a person's; while the first two
/// last, what can be read is not fresh.
pub(in crate::aggregator::truv) fn health(status: Option<String>) -> LinkHealth {
    let condition = match status.as_deref() {
        Some("login_error" | "unable_to_reset") => Condition::NeedsPerson(Attention::Login),
        Some("mfa_error") => Condition::NeedsPerson(Attention::SecondFactor),
        Some("account_locked") => Condition::NeedsPerson(Attention::AccountLocked),
        Some("config_error") => Condition::NeedsPerson(Attention::Configuration),
        Some("not_supported") => Condition::NeedsPerson(Attention::Unsupported),
        Some("unavailable" | "error") => Condition::Passing { patience: None },
        Some(word) if !is_terminal(word) => Condition::Connecting,
        _ => Condition::Well,
    };
    LinkHealth { upstream_status: status, detail: None, condition }
}

/// Whether a task is over. Unknown words are taken as running: the refresh timeout ends the wait.
///
/// Source: section 8.1.
pub(in crate::aggregator::truv) fn is_terminal(status: &str) -> bool {
    matches!(
        status,
        "done"
            | "login_error"
            | "mfa_error"
            | "config_error"
            | "account_locked"
            | "unable_to_reset"
            | "no_data"
            | "unavailable"
            | "error"
            | "not_supported"
    )
}
