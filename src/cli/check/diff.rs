//! `passbook check --diff`: what a changed file would do, beside what the daemon works by.

use serde::Serialize;

use crate::cli::output;
use crate::config::{Plan, SourcePlan};
use crate::store::{ConfigLoad, ReadTxn, SourceLoad, StoreError};

const DAY_MS: i64 = 86_400_000;

/// What differs.
#[derive(Serialize)]
pub(super) struct Diff {
    /// When the daemon took over what it works by.
    in_use_since: String,
    /// Why the file that was last read was refused; `None`: it was not.
    last_refusal: Option<String>,
    /// Settings of all sources together.
    settings: Vec<Change>,
    /// Each source that is configured now, or would be.
    sources: Vec<SourceDiff>,
}

#[derive(Serialize)]
struct Change {
    what: &'static str,
    before: String,
    after: String,
}

#[derive(Serialize)]
struct SourceDiff {
    name: String,
    /// `added`, `removed`, `changed` or `same`. Secrets are not compared.
    fate: &'static str,
    settings: Vec<Change>,
    /// Links that are synced on schedule.
    links: u64,
    before: Option<Day>,
    after: Option<Day>,
}

/// What a source would be asked for in a day, all its links together.
#[derive(Serialize, Clone, Copy, PartialEq, Eq)]
struct Day {
    syncs: u64,
    /// As the latest syncs went; `None`: there was none yet.
    requests: Option<u64>,
    /// What the limit allows.
    requests_allowed: u64,
    /// At most; `None`: there is none to ask for.
    refreshes: Option<u64>,
}

/// What the store knows that is needed.
pub(super) struct Known {
    in_use: ConfigLoad,
    last: ConfigLoad,
    former: Plan,
    loads: Vec<SourceLoad>,
}

/// Reads what the daemon works by, or worked by last, and what its sources cost.
///
/// Shape: `None`: no daemon has worked on this store.
pub(super) fn read(txn: &ReadTxn<'_>, names: &[String]) -> Result<Option<Known>, StoreError> {
    let (Some(in_use), Some(last)) = (txn.config_in_use()?, txn.last_config_load()?) else {
        return Ok(None);
    };
    let Some(former) = in_use.plan.as_deref().and_then(|plan| serde_json::from_str::<Plan>(plan).ok()) else {
        return Ok(None);
    };
    let gone = former.sources.iter().map(|source| &source.name).filter(|name| !names.contains(name));
    let loads = names.iter().chain(gone).map(|name| txn.source_load(name)).collect::<Result<_, _>>()?;
    Ok(Some(Known { in_use, last, former, loads }))
}

/// Compares `plan` with what is known. The sources of `plan` are those that were read for, in their order.
pub(super) fn compare(known: Known, plan: &Plan, shown: impl Fn(jiff::Timestamp) -> String) -> Diff {
    let Known { in_use, last, former, loads } = known;
    let gone = former.sources.iter().filter(|had| plan.sources.iter().all(|source| source.name != had.name));
    let pairs =
        plan.sources.iter().map(|source| (former.sources.iter().find(|had| had.name == source.name), Some(source)));
    let pairs = pairs.chain(gone.map(|had| (Some(had), None)));
    let sources = pairs.zip(loads).filter_map(|((before, after), load)| source_diff(before, after, load)).collect();
    Diff {
        in_use_since: shown(in_use.loaded_at),
        last_refusal: (last.plan.is_none()).then_some(last.summary),
        settings: changes([
            ("schedule.timezone", former.timezone.clone(), plan.timezone.clone()),
            ("schedule.workers", former.workers.to_string(), plan.workers.to_string()),
        ]),
        sources,
    }
}

fn source_diff(before: Option<&SourcePlan>, after: Option<&SourcePlan>, load: SourceLoad) -> Option<SourceDiff> {
    let name = after.or(before)?.name.clone();
    let settings = match (before, after) {
        (Some(before), Some(after)) => settings(before, after),
        _ => Vec::new(),
    };
    let (day_before, day_after) = (before.map(|plan| day(plan, load)), after.map(|plan| day(plan, load)));
    let fate = match (before, after) {
        (None, _) => "added",
        (_, None) => "removed",
        _ if !settings.is_empty() || day_before != day_after => "changed",
        _ => "same",
    };
    Some(SourceDiff { name, fate, settings, links: load.links, before: day_before, after: day_after })
}

fn settings(before: &SourcePlan, after: &SourcePlan) -> Vec<Change> {
    let number = |number: Option<u32>| number.map_or_else(|| "none".to_owned(), |number| number.to_string());
    let status = |plan: &SourcePlan| plan.status_schedule.clone().unwrap_or_else(|| "none".to_owned());
    let limit =
        |plan: &SourcePlan| format!("{} in {}", plan.request_limit, output::duration(plan.request_window_ms / 1000));
    changes([
        ("aggregator", before.aggregator.clone(), after.aggregator.clone()),
        ("base_url", before.base_url.clone(), after.base_url.clone()),
        ("sync_schedule", before.sync_schedule.clone(), after.sync_schedule.clone()),
        ("discover_schedule", before.discover_schedule.clone(), after.discover_schedule.clone()),
        ("reconcile_schedule", before.reconcile_schedule.clone(), after.reconcile_schedule.clone()),
        ("status_schedule", status(before), status(after)),
        ("refreshes per link and day", number(before.refreshes_per_day), number(after.refreshes_per_day)),
        ("refreshes_per_month", number(before.refreshes_per_month), number(after.refreshes_per_month)),
        ("request limit", limit(before), limit(after)),
    ])
}

fn changes<const N: usize>(settings: [(&'static str, String, String); N]) -> Vec<Change> {
    settings
        .into_iter()
        .filter(|(_, before, after)| before != after)
        .map(|(what, before, after)| Change { what, before, after })
        .collect()
}

fn day(plan: &SourcePlan, load: SourceLoad) -> Day {
    let syncs = load.links.saturating_mul(plan.syncs_per_day as u64);
    let windows = u64::try_from(DAY_MS / plan.request_window_ms.max(1)).unwrap_or(0);
    let per_day = |refreshes: u32| u64::from(refreshes).min(plan.syncs_per_day as u64).saturating_mul(load.links);
    Day {
        syncs,
        requests: (load.syncs > 0).then(|| syncs.saturating_mul(load.requests).div_ceil(load.syncs)),
        requests_allowed: u64::from(plan.request_limit).saturating_mul(windows),
        refreshes: plan.refreshes_per_day.map(per_day),
    }
}

/// For a person.
pub(super) fn text(diff: &Diff) -> String {
    let mut out = format!("\nCompared with the configuration in use since {}:\n", diff.in_use_since);
    if let Some(refusal) = &diff.last_refusal {
        out.push_str(&output::paragraph("  ", &output::alarming(&format!("the last reload was refused: {refusal}"))));
    }
    for change in &diff.settings {
        out.push_str(&change_line(change));
    }
    let is_same = diff.settings.is_empty() && diff.sources.iter().all(|source| source.fate == "same");
    if is_same {
        out.push_str("  nothing that shows here differs; whether a secret does is not compared\n");
        return out;
    }
    for source in diff.sources.iter().filter(|source| source.fate != "same") {
        out.push_str(&format!("\n{}  {} · {}\n", output::bold(&source.name), source.fate, links(source.links)));
        for change in &source.settings {
            out.push_str(&change_line(change));
        }
        out.push_str(&day_table(source));
    }
    out
}

fn links(number: u64) -> String {
    output::counted(number, "link")
}

fn change_line(change: &Change) -> String {
    format!("  {}: {} → {}\n", change.what, change.before, output::bold(&change.after))
}

fn day_table(source: &SourceDiff) -> String {
    let cell = |day: Option<Day>, of: fn(&Day) -> Option<u64>| {
        day.as_ref().and_then(of).map_or_else(|| "-".to_owned(), output::count)
    };
    let row = |label: &str, of: fn(&Day) -> Option<u64>| {
        vec![format!("  {label}"), cell(source.before, of), cell(source.after, of)]
    };
    let rows = vec![
        row("syncs", |day| Some(day.syncs)),
        row("requests, about", |day| day.requests),
        row("requests allowed", |day| Some(day.requests_allowed)),
        row("refreshes, at most", |day| day.refreshes),
    ];
    let mut out = output::table(&["  a day", "before", "after"], &[1, 2], rows);
    if let Some(Day { requests: Some(wanted), requests_allowed, .. }) = source.after
        && wanted > requests_allowed
    {
        let warning = "more requests than the limit allows: syncs would fall behind their schedule";
        out.push_str(&output::paragraph("  ", &output::alarming(warning)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(syncs_per_day: usize, refreshes_per_day: Option<u32>) -> SourcePlan {
        SourcePlan {
            name: "bank".to_owned(),
            aggregator: "some".to_owned(),
            base_url: "https://bank.example/".to_owned(),
            sync_schedule: format!("{syncs_per_day} times"),
            discover_schedule: "daily".to_owned(),
            reconcile_schedule: "weekly".to_owned(),
            status_schedule: None,
            syncs_per_day,
            refreshes_per_day,
            refreshes_per_month: None,
            request_limit: 300,
            request_window_ms: 60_000,
        }
    }

    #[test]
    fn a_day_is_counted_for_all_links_and_as_the_latest_syncs_went() {
        let load = SourceLoad { links: 1_000, requests: 25, syncs: 10 };
        let expected = Day { syncs: 3_000, requests: Some(7_500), requests_allowed: 432_000, refreshes: Some(2_000) };
        assert!(day(&plan(3, Some(2)), load) == expected);
        let before_the_first = day(&plan(3, None), SourceLoad { links: 5, ..SourceLoad::default() });
        assert!(before_the_first.requests.is_none() && before_the_first.refreshes.is_none());
    }

    #[test]
    fn refreshes_are_no_more_than_syncs() {
        let load = SourceLoad { links: 10, requests: 1, syncs: 1 };
        assert_eq!(day(&plan(1, Some(3)), load).refreshes, Some(10));
    }

    #[test]
    fn a_schedule_that_the_limit_cannot_hold_is_said() {
        let load = SourceLoad { links: 100_000, requests: 5, syncs: 1 };
        let diff = source_diff(Some(&plan(1, Some(1))), Some(&plan(24, Some(1))), load).expect("a source");
        assert_eq!(diff.fate, "changed");
        assert!(day_table(&diff).contains("more requests than the limit allows"));
        let same = source_diff(Some(&plan(1, None)), Some(&plan(1, None)), load).expect("a source");
        assert_eq!((same.fate, same.settings.len()), ("same", 0));
    }
}
