//! What is said: JSON with one readable sentence in it. No customer, no amount, nothing that an aggregator wrote.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::bundle::Bundle;
use crate::model::Attention;
use crate::store::{AlertKind, DueAlert};

/// A message to a person, or to a program that reaches one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// The same however often the message is sent; different for every other message of this store.
    id: String,
    /// `raised`, `resolved` or `test`.
    event: &'static str,
    /// The alert's kind, or `test`.
    kind: &'static str,
    source: String,
    aggregator: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    link_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_link_id: Option<String>,
    reason: String,
    since: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolved_at: Option<Timestamp>,
    /// In a summary: how many links, and how many for each reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    links: Option<usize>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    reasons: BTreeMap<String, usize>,
    /// The page about it, as this machine reaches the admin side.
    #[serde(skip_serializing_if = "Option::is_none")]
    dashboard: Option<String>,
    /// One sentence; what Slack and the like show.
    text: String,
}

impl Message {
    /// What there is to say about some alerts.
    pub(super) fn about(bundle: &Bundle, dashboard: Option<&str>) -> Self {
        let first = bundle.first();
        let event = if bundle.is_end() { "resolved" } else { "raised" };
        let alone = Self {
            id: format!("alert-{}-{event}", first.alert_id),
            event,
            kind: first.kind.as_str(),
            source: first.source.clone(),
            aggregator: first.aggregator.clone(),
            link_id: first.link_id,
            upstream_link_id: first.upstream_link_id.clone(),
            reason: first.reason.clone(),
            since: bundle.alerts.iter().map(|alert| alert.since).min().unwrap_or(first.since),
            resolved_at: bundle.alerts.iter().filter_map(|alert| alert.resolved_at).max(),
            links: None,
            reasons: BTreeMap::new(),
            dashboard: dashboard.map(|at| first.link_id.map_or_else(|| at.to_owned(), |id| format!("{at}links/{id}"))),
            text: sentence(first),
        };
        let Some(summary_id) = bundle.summary_id else {
            return alone;
        };
        let mut reasons = BTreeMap::new();
        for alert in &bundle.alerts {
            *reasons.entry(alert.reason.clone()).or_default() += 1;
        }
        Self {
            id: format!("summary-{summary_id}-{event}"),
            link_id: None,
            upstream_link_id: None,
            reason: "many".to_owned(),
            links: Some(bundle.alerts.len()),
            dashboard: dashboard.map(|at| format!("{at}attention")),
            text: summary(bundle, &reasons),
            reasons,
            ..alone
        }
    }

    /// A message about nothing.
    pub(super) fn test(now: Timestamp, dashboard: Option<&str>) -> Self {
        Self {
            id: format!("test-{}", now.as_millisecond()),
            event: "test",
            kind: "test",
            source: String::new(),
            aggregator: String::new(),
            link_id: None,
            upstream_link_id: None,
            reason: "test".to_owned(),
            since: now,
            resolved_at: None,
            links: None,
            reasons: BTreeMap::new(),
            dashboard: dashboard.map(str::to_owned),
            text: "This is a test of Passbook's alerts; nothing is wrong.".to_owned(),
        }
    }

    /// What tells it from others.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `raised`, `resolved` or `test`.
    pub fn event(&self) -> &'static str {
        self.event
    }

    /// The kind of the alert, or `test`.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// The source's name; empty in a test.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Our id of the link, if it is about one.
    pub fn link_id(&self) -> Option<i64> {
        self.link_id
    }
}

fn sentence(alert: &DueAlert) -> String {
    let (source, since) = (&alert.source, instant(alert.since));
    let link = alert.link_id.unwrap_or_default();
    match (alert.kind, alert.resolved_at) {
        (AlertKind::LinkAttention, None) => {
            let advice = Attention::from_word(&alert.reason).map_or("see what it needs", Attention::advice);
            format!("{source}: link {link} has needed a person since {since}: {advice}.")
        }
        (AlertKind::LinkAttention, Some(at)) => {
            format!("{source}: link {link} needs nobody any more since {}.", instant(at))
        }
        (AlertKind::SourceStale, None) => {
            format!("{source}: no link has been read completely since {since}; passbook status and the log say why.")
        }
        (AlertKind::SourceStale, Some(at)) => format!("{source}: links are read again since {}.", instant(at)),
        (AlertKind::SourceRefused, None) => {
            format!("{source}: the aggregator has refused our credentials since {since}: correct its ids and secrets.")
        }
        (AlertKind::SourceRefused, Some(at)) => {
            format!("{source}: the credentials work again since {}.", instant(at))
        }
        (AlertKind::WebhooksDisabled, None) => format!(
            "{source}: the aggregator sends us no webhooks any more, noticed {since}: see why they failed, then \
             passbook webhooks register."
        ),
        (AlertKind::WebhooksDisabled, Some(at)) => {
            format!("{source}: the aggregator sends us webhooks again since {}.", instant(at))
        }
    }
}

fn summary(bundle: &Bundle, reasons: &BTreeMap<String, usize>) -> String {
    let (source, links) = (&bundle.first().source, bundle.alerts.len());
    if bundle.is_end() {
        return format!("{source}: {links} links need nobody any more.");
    }
    let reasons: Vec<String> = reasons.iter().map(|(reason, links)| format!("{reason} {links}")).collect();
    format!(
        "{source}: {links} links need a person ({}); passbook links list --state attention shows them.",
        reasons.join(", ")
    )
}

fn instant(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}
