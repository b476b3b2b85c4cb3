//! What Bridge sends by itself.
//!
//! Source: upstream/bridge.md section 12. Status 1100 is never announced: the looks find it.

use jiff::Timestamp;
use serde::Deserialize;

use super::{Bridge, wire};
use crate::aggregator::loose::Loose;
use crate::aggregator::{Announcement, News};
use crate::secret::Secret;

pub(in crate::aggregator) const SIGNATURE_HEADER: &str = "bridgeapi-signature";
pub(in crate::aggregator) const WEBHOOK_INSTRUCTIONS: &str = "in Bridge's dashboard, under Webhooks, add the address with \
     the events item.created, item.refreshed, item.deleted, item.account.created, item.account.updated, \
     item.account.deleted and user.deleted; the secret that is shown once belongs into webhook_secrets";

/// Timestamps from here on are milliseconds. Source: section 16 (22): the dashboard's test sends seconds.
const MILLISECONDS_FROM: i64 = 100_000_000_000;

impl Bridge {
    pub(in crate::aggregator) fn webhook_secrets(&self) -> &[Secret] {
        &self.0.webhook_secrets
    }
}

#[derive(Debug, Deserialize)]
struct Event<'a> {
    #[serde(borrow, default)]
    r#type: Loose<'a>,
    #[serde(borrow, default)]
    timestamp: Loose<'a>,
    #[serde(borrow, default)]
    content: Loose<'a>,
}

#[derive(Debug, Deserialize, Default)]
struct Content<'a> {
    #[serde(borrow, default)]
    user_uuid: Loose<'a>,
    #[serde(borrow, default)]
    item_id: Loose<'a>,
}

/// Reads an event; `None` for what is no JSON object.
pub(in crate::aggregator) fn read_webhook(body: &[u8]) -> Option<Announcement> {
    let event: Event<'_> = wire::object(std::str::from_utf8(body).ok()?).ok()?;
    let content: Content<'_> = event.content.raw().and_then(|raw| wire::object(raw).ok()).unwrap_or_default();
    let event_type = event.r#type.text().unwrap_or_default();
    Some(Announcement {
        announced_at: event.timestamp.text().and_then(|number| instant(number.parse().ok()?)),
        user: content.user_uuid.text(),
        news: news(&event_type, content.item_id.text()),
        event_type,
    })
}

fn instant(number: i64) -> Option<Timestamp> {
    let ms = if number >= MILLISECONDS_FROM { number } else { number.checked_mul(1000)? };
    Timestamp::from_millisecond(ms).ok()
}

/// Source: section 12.3: old names are upper case with underscores; names of page 003 are accepted, too.
fn news(event_type: &str, link: Option<String>) -> News {
    let name = event_type.to_ascii_lowercase().replace('_', ".");
    match name.strip_prefix("item.account.").or_else(|| name.strip_prefix("account.")) {
        Some("created" | "updated" | "deleted") => return read(link),
        Some(_) => return News::Nothing,
        None => {}
    }
    match name.as_str() {
        "item.created" | "item.deleted" => News::LinkChanged { link },
        "item.refreshed" | "item.status.changed" | "transaction.created" => read(link),
        "user.deleted" => News::UserDeleted,
        _ => News::Nothing,
    }
}

fn read(link: Option<String>) -> News {
    link.map_or(News::LinkChanged { link: None }, |link| News::LinkRead { link })
}
