//! Items: the connection to a bank, and what its state means.

use jiff::SignedDuration;
use serde_json::value::RawValue;

use super::{catalog, id, instant_of, wire};
use crate::model::{Attention, Condition, InstitutionRecord, LinkHealth, LinkRecord};

/// How long a technical failure may last before Bridge's support must help. Source: page 003.
const PATIENCE: SignedDuration = SignedDuration::from_hours(24);

/// One item; `None` for one without an id.
pub(in crate::aggregator::bridge) fn link(raw: &RawValue) -> Option<LinkRecord> {
    let item: wire::Item<'_> = wire::object(catalog::single(raw.get())).ok()?;
    let institution =
        id(&item.provider_id).map(|upstream_id| InstitutionRecord { upstream_id, ..InstitutionRecord::default() });
    Some(LinkRecord {
        upstream_id: id(&item.id)?,
        institution,
        access_token: None,
        health: health(&item),
        is_removed: false,
        refreshed_at: instant_of(&item.last_successful_refresh),
        tried_at: instant_of(&item.last_try_refresh),
        consent_expires_at: instant_of(&item.authentication_expires_at),
    })
}

fn health(item: &wire::Item<'_>) -> LinkHealth {
    let (number, word) = (item.status.text(), item.status_code_info.text().map(|word| word.to_ascii_lowercase()));
    let parts: Vec<&str> = [&number, &word].into_iter().flatten().map(String::as_str).collect();
    LinkHealth {
        condition: condition(number.as_deref().and_then(|n| n.parse().ok()), word.as_deref()),
        upstream_status: (!parts.is_empty()).then(|| parts.join(" ")),
        detail: item.status_code_description.text(),
    }
}

/// Source: sections 8.2 and 8.3. The number decides; the word only tells a bank that locked its customer out.
fn condition(number: Option<i64>, word: Option<&str>) -> Condition {
    let is_blocked =
        word.is_some_and(|w| w.starts_with("account_blocked") || w.starts_with("account_temporarily_blocked"));
    match number {
        Some(0) => Condition::Well,
        Some(-2 | -3) => Condition::Connecting,
        Some(402) if is_blocked => Condition::NeedsPerson(Attention::AccountLocked),
        Some(402) => Condition::NeedsPerson(Attention::Login),
        Some(429 | 430) => Condition::NeedsPerson(Attention::BankAction),
        Some(1003) => Condition::Passing { patience: Some(PATIENCE) },
        Some(1005) => Condition::NeedsPerson(Attention::Unsupported),
        Some(1009) => Condition::Incomplete,
        Some(1010) => Condition::NeedsPerson(Attention::SecondFactor),
        Some(1099) => Condition::NeedsPerson(Attention::Migration),
        Some(1100) => Condition::NeedsPerson(Attention::Identity),
        None if word == Some("ok") => Condition::Well,
        // 1007 is a connector that Bridge switched off; an unknown number asks nobody for anything either.
        Some(_) | None => Condition::Passing { patience: None },
    }
}
