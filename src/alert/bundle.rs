//! Which alerts make one message: each its own, or many links of one source a summary.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::store::{AlertKind, Burst, DueAlert, Way};

/// More links of one source than this within [`BURST_WINDOW`] are told together: people stop reading earlier.
pub(super) const BURST_LINKS: usize = 20;
/// How long a summary waits for more of the same.
pub(super) const BURST_WINDOW: SignedDuration = SignedDuration::from_mins(1);

/// What one message is about.
///
/// Shape: at least one alert; several are of one kind and source, and all begin or all end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bundle {
    pub(super) alerts: Vec<DueAlert>,
    /// Names the summary, for ever the same however often it is sent; `None`: one alert by itself.
    pub(super) summary_id: Option<i64>,
}

impl Bundle {
    /// The alert whose source and kind stand for all of them.
    pub(super) fn first(&self) -> &DueAlert {
        &self.alerts[0]
    }

    pub(super) fn ids(&self) -> Vec<i64> {
        self.alerts.iter().map(|alert| alert.alert_id).collect()
    }

    /// Whether it tells of ends.
    pub(super) fn is_end(&self) -> bool {
        self.first().resolved_at.is_some()
    }

    pub(super) fn tries(&self) -> u32 {
        self.alerts.iter().map(|alert| alert.tries).max().unwrap_or_default()
    }

    /// The way that has taken it already. Those of a summary go the same ways together.
    pub(super) fn accepted_by(&self) -> Option<Way> {
        self.first().accepted_by
    }

    /// When each was last sent without learning that it did not arrive: `now`, or else as before.
    pub(super) fn sent(&self, now: Option<Timestamp>) -> impl Iterator<Item = (i64, Option<Timestamp>)> {
        self.alerts.iter().map(move |alert| (alert.alert_id, now.or(alert.sent_at)))
    }
}

/// Puts what is due into messages, the longest due first. What may become part of a larger summary is left for later.
pub(super) fn bundles(due: Vec<DueAlert>, bursts: &[Burst], now: Timestamp) -> Vec<Bundle> {
    let mut made = Vec::new();
    let mut summaries: BTreeMap<(i64, bool), Vec<DueAlert>> = BTreeMap::new();
    let mut links: BTreeMap<(i64, bool), Vec<DueAlert>> = BTreeMap::new();
    for alert in due {
        let is_end = alert.resolved_at.is_some();
        match (alert.summary_id, alert.kind) {
            (Some(id), _) => summaries.entry((id, is_end)).or_default().push(alert),
            (None, AlertKind::LinkAttention) => links.entry((alert.source_id, is_end)).or_default().push(alert),
            (None, AlertKind::SourceStale | AlertKind::SourceRefused | AlertKind::WebhooksDisabled) => {
                made.push(Bundle { alerts: vec![alert], summary_id: None });
            }
        }
    }
    made.extend(summaries.into_iter().map(|((id, _), alerts)| Bundle { alerts, summary_id: Some(id) }));
    for ((source_id, is_end), alerts) in links {
        let lately = bursts.iter().find(|burst| (burst.source_id, burst.is_end) == (source_id, is_end));
        if alerts.len().max(lately.map_or(0, |burst| burst.links)) <= BURST_LINKS {
            made.extend(alerts.into_iter().map(|alert| Bundle { alerts: vec![alert], summary_id: None }));
            continue;
        }
        let oldest = alerts.iter().map(DueAlert::noticed_at).min().unwrap_or(now);
        if now.duration_since(oldest) >= BURST_WINDOW {
            let summary_id = alerts.iter().map(|alert| alert.alert_id).min();
            made.push(Bundle { alerts, summary_id });
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).expect("an instant")
    }

    fn link(alert_id: i64, source_id: i64, raised_s: i64) -> DueAlert {
        DueAlert {
            alert_id,
            kind: AlertKind::LinkAttention,
            source_id,
            source: format!("source-{source_id}"),
            aggregator: "some".to_owned(),
            link_id: Some(alert_id),
            upstream_link_id: Some(format!("up-{alert_id}")),
            reason: "login".to_owned(),
            since: at(raised_s),
            raised_at: at(raised_s),
            resolved_at: None,
            sent_at: None,
            accepted_by: None,
            summary_id: None,
            tries: 0,
        }
    }

    fn sizes(made: &[Bundle]) -> Vec<(usize, Option<i64>)> {
        made.iter().map(|bundle| (bundle.alerts.len(), bundle.summary_id)).collect()
    }

    #[test]
    fn a_few_links_are_told_one_by_one_and_many_together() {
        let few = (1..=20).map(|id| link(id, 1, 0)).collect();
        assert_eq!(bundles(few, &[], at(0)).len(), 20);
        let many: Vec<DueAlert> = (1..=21).map(|id| link(id, 1, 0)).collect();
        assert_eq!(bundles(many.clone(), &[], at(59)), [], "waits for more");
        assert_eq!(sizes(&bundles(many, &[], at(60))), [(21, Some(1))]);
    }

    #[test]
    fn links_that_follow_a_burst_belong_to_it() {
        let burst = Burst { source_id: 1, is_end: false, links: 30 };
        let late = vec![link(31, 1, 0), link(32, 1, 30)];
        assert_eq!(bundles(late.clone(), &[burst], at(30)), []);
        assert_eq!(sizes(&bundles(late.clone(), &[burst], at(60))), [(2, Some(31))]);
        let elsewhere = Burst { source_id: 2, ..burst };
        assert_eq!(bundles(late, &[elsewhere], at(30)).len(), 2);
    }

    #[test]
    fn a_summary_that_was_sent_stays_as_it_was() {
        let mut due: Vec<DueAlert> = (1..=3).map(|id| DueAlert { summary_id: Some(1), ..link(id, 1, 0) }).collect();
        due.push(link(9, 1, 100));
        assert_eq!(sizes(&bundles(due, &[], at(100))), [(3, Some(1)), (1, None)]);
    }

    #[test]
    fn beginnings_and_ends_are_told_apart() {
        let mut due: Vec<DueAlert> = (1..=21).map(|id| link(id, 1, 0)).collect();
        due[4].resolved_at = Some(at(5));
        assert_eq!(bundles(due, &[], at(60)).len(), 21, "neither are more than twenty");
    }
}
