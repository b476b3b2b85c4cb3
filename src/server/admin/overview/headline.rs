//! The state of everything in one sentence, for somebody on call who has five seconds.

use jiff::{SignedDuration, Timestamp};

use super::seen::{Seen, SeenSource};
use crate::store::LoadOutcome;
use crate::words::{age, counted};

/// A backup takes its time, and one that failed is tried again.
const BACKUP_GRACE: SignedDuration = SignedDuration::from_hours(2);

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Nothing to do.
    Well,
    /// Worth knowing; it passes by itself, or has time.
    Notice,
    /// A person must act, today.
    Warning,
    /// A person must act now: a whole source delivers nothing.
    Critical,
}

impl Level {
    /// Its style.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// What it means, for those who do not see its colour.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Well => "Well",
            Self::Notice => "Worth knowing",
            Self::Warning => "A person is needed",
            Self::Critical => "Act now",
        }
    }
}

/// One thing that is the case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fact {
    pub(super) level: Level,
    pub(super) words: String,
    /// Where to see more, and do something.
    pub(super) href: String,
}

/// Everything that is worth saying, the weightiest first; never empty.
pub(super) fn facts(seen: &Seen, now: Timestamp) -> Vec<Fact> {
    let configured: Vec<&SeenSource> = seen.sources.iter().filter(|s| s.glance.retired_at.is_none()).collect();
    let mut facts: Vec<Fact> = configured.iter().flat_map(|source| of_source(source, now)).collect();
    let in_state = |word| configured.iter().map(|source| source.in_state(word)).sum::<u64>();
    let mut say = |number: u64, level, words: String, href: &str| {
        if number > 0 {
            facts.push(Fact { level, words, href: href.to_owned() });
        }
    };
    let attention = in_state("attention");
    let words = format!("{} {} a person", counted(attention, "link"), if attention == 1 { "needs" } else { "need" });
    say(attention, Level::Warning, words, "/attention");
    let consents: u64 = configured.iter().map(|source| source.links.consents_ending).sum();
    let words =
        format!("{} {} within 14 days", counted(consents, "consent"), if consents == 1 { "ends" } else { "end" });
    say(consents, Level::Notice, words, "/attention#consents");
    let failing = in_state("failing");
    let words = format!("{} failing, tried again by itself", counted(failing, "link"));
    say(failing, Level::Notice, words, "/links?state=failing");
    let new = in_state("new");
    let waits = if new == 1 { "waits for its" } else { "wait for their" };
    say(new, Level::Notice, format!("{} {waits} first sync", counted(new, "link")), "/links?state=new");
    let retired: u64 = seen.sources.iter().filter(|s| s.glance.retired_at.is_some()).count() as u64;
    let is = if retired == 1 { "is" } else { "are" };
    let words = format!("{} {is} no longer configured", counted(retired, "source"));
    say(retired, Level::Notice, words, "#sources");
    if let Some(refused) = seen.config_read.as_ref().filter(|load| load.outcome == LoadOutcome::Refused) {
        let words =
            format!("The changed configuration was refused {} ago: {}", age(refused.loaded_at, now), refused.summary);
        facts.push(Fact { level: Level::Warning, words, href: "#sources".to_owned() });
    }
    facts.extend(of_store(seen, now));
    if facts.is_empty() {
        let has_links = configured.iter().any(|source| source.links.readable > 0);
        let words = if has_links { "All well" } else { "No links yet" };
        let level = if has_links { Level::Well } else { Level::Notice };
        facts.push(Fact { level, words: words.to_owned(), href: "/links".to_owned() });
    }
    facts.sort_by_key(|fact| std::cmp::Reverse(fact.level));
    facts
}

/// Backups, and readers who are in the way.
fn of_store(seen: &Seen, now: Timestamp) -> Vec<Fact> {
    let fact = |level, words: String| Fact { level, words, href: "#sources".to_owned() };
    let mut facts = Vec::new();
    if let Some(trouble) = &seen.trouble {
        let level = if trouble.stops_writes { Level::Critical } else { Level::Warning };
        facts.push(fact(level, trouble.said.clone()));
    }
    if let Some(held) = seen.wal_held {
        let held_for = age(held.since, now);
        facts.push(if held.is_over_limit {
            fact(Level::Critical, format!("nothing is synced: a query on the store has not ended for {held_for}"))
        } else {
            fact(Level::Notice, format!("a query on the store has not ended for {held_for}; its log grows"))
        });
    }
    if let Some(at) = seen.backup_missed_at.filter(|at| now.duration_since(*at) >= BACKUP_GRACE) {
        facts.push(fact(Level::Warning, format!("the backup is {} late: passbook backup --list", age(at, now))));
    }
    facts
}

fn of_source(source: &SeenSource, now: Timestamp) -> Vec<Fact> {
    let name = &source.glance.name;
    let mut facts = Vec::new();
    let mut say = |level, words: String| facts.push(Fact { level, words, href: format!("#{name}") });
    if source.refused_until(now).is_some() {
        say(Level::Critical, format!("{name}: the credentials are refused"));
    } else if let Some(until) = source.resting_until(now) {
        let reason = source.glance.hold_reason.as_deref().unwrap_or("a limit");
        say(Level::Notice, format!("{name} rests for {}: {reason}", age(now, until)));
    }
    if let Some(since) = source.stale_since() {
        say(Level::Critical, format!("{name} is stale: nothing was read for {}", age(since, now)));
    }
    if source.webhooks_are_off() {
        say(Level::Warning, format!("{name}: the aggregator stopped sending webhooks"));
    }
    if source.glance.discover_error.is_some() {
        say(Level::Notice, format!("{name}: the last listing of links failed"));
    }
    let stale = source.links.readable - source.links.fresh;
    // New links are said apart.
    let overdue = stale.saturating_sub(source.in_state("new"));
    if overdue > 0 && source.stale_since().is_none() {
        let links = counted(overdue, "link");
        say(Level::Notice, format!("{name}: {links} not read within the schedule"));
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{LinkTotals, SourceGlance, WalHeld, WebhookGlance};

    fn now() -> Timestamp {
        "2026-03-02T12:00:00Z".parse().expect("an instant")
    }

    fn hours_ago(hours: i64) -> Timestamp {
        now() - SignedDuration::from_hours(hours)
    }

    /// A source with ten links that were all read an hour ago.
    fn well() -> SeenSource {
        SeenSource {
            glance: SourceGlance {
                source_id: 1,
                name: "us-prod".to_owned(),
                aggregator: "one".to_owned(),
                retired_at: None,
                request_limit: 300,
                request_window_ms: 60_000,
                refreshes_per_day: 3,
                refreshes_per_month: None,
                discovered_at: Some(hours_ago(9)),
                discover_error: None,
                hold_until: None,
                hold_reason: None,
                webhook_endpoint: None,
                users: 10,
            },
            links: LinkTotals {
                by_state: [("active".to_owned(), 10)].into(),
                readable: 10,
                fresh: 10,
                newest_success_at: Some(hours_ago(1)),
                settled: 10,
                ..LinkTotals::default()
            },
            fresh_since: Some(hours_ago(8)),
            price_unit: None,
            minutes: Vec::new(),
            days: Vec::new(),
            webhooks: WebhookGlance::default(),
            rejected_rows: 0,
        }
    }

    fn said(change: impl FnOnce(&mut SeenSource)) -> Vec<(Level, String)> {
        let mut source = well();
        change(&mut source);
        said_of(&seen(source))
    }

    fn seen(source: SeenSource) -> Seen {
        Seen {
            sources: vec![source],
            people: Vec::new(),
            consents: Vec::new(),
            config_read: None,
            backup_missed_at: None,
            wal_held: None,
            trouble: None,
        }
    }

    fn said_of(seen: &Seen) -> Vec<(Level, String)> {
        facts(seen, now()).into_iter().map(|fact| (fact.level, fact.words)).collect()
    }

    #[test]
    fn the_sentence_says_what_is_the_case() {
        let one = |level, words: &str| vec![(level, words.to_owned())];
        assert_eq!(said(|_| {}), one(Level::Well, "All well"));
        assert_eq!(said(|s| s.links = LinkTotals::default()), one(Level::Notice, "No links yet"));
        let stale = said(|s| (s.links.fresh, s.links.newest_success_at) = (0, Some(hours_ago(12))));
        assert_eq!(stale, one(Level::Critical, "us-prod is stale: nothing was read for 12 h"));
        let refused = said(|s| {
            s.glance.hold_until = Some(now() + SignedDuration::from_mins(3));
            s.glance.hold_reason = Some(crate::sync::CREDENTIALS_REFUSED.to_owned());
        });
        assert_eq!(refused, one(Level::Critical, "us-prod: the credentials are refused"));
        let overdue = said(|s| s.links.fresh = 9);
        assert_eq!(overdue, one(Level::Notice, "us-prod: 1 link not read within the schedule"));
    }

    #[test]
    fn the_weightiest_comes_first() {
        let facts = said(|s| {
            s.links.by_state = [("active", 5), ("attention", 3), ("failing", 1)].map(|(w, n)| (w.to_owned(), n)).into();
            s.links.consents_ending = 1;
            s.glance.webhook_endpoint = Some("disabled".to_owned());
        });
        let words: Vec<&str> = facts.iter().map(|(_, words)| words.as_str()).collect();
        assert_eq!(
            words,
            [
                "us-prod: the aggregator stopped sending webhooks",
                "3 links need a person",
                "1 consent ends within 14 days",
                "1 link failing, tried again by itself",
            ]
        );
    }

    #[test]
    fn a_late_backup_and_a_reader_in_the_way_are_said() {
        let mut seen = seen(well());
        seen.backup_missed_at = Some(hours_ago(1));
        assert_eq!(said_of(&seen)[0].0, Level::Well, "not at once");
        seen.backup_missed_at = Some(hours_ago(9));
        assert_eq!(said_of(&seen), [(Level::Warning, "the backup is 9 h late: passbook backup --list".to_owned())]);
        seen.wal_held = Some(WalHeld { since: hours_ago(3), is_over_limit: true });
        let (level, words) = &said_of(&seen)[0];
        assert_eq!(*level, Level::Critical);
        assert!(words.contains("nothing is synced") && words.ends_with("3 h"), "{words}");
    }

    #[test]
    fn new_links_are_no_reason_for_alarm() {
        let first_day = said(|s| {
            s.links.by_state = [("new".to_owned(), 10)].into();
            (s.links.fresh, s.links.settled, s.links.newest_success_at) = (0, 0, None);
        });
        assert_eq!(first_day, [(Level::Notice, "10 links wait for their first sync".to_owned())]);
    }
}
