//! Every link's state is the right one, and none starves.

use std::collections::{HashMap, HashSet};

use passbook::sandbox::{Served, World};

use super::{Book, Verdict};
use crate::plan::HOUR;
use crate::town::Town;

/// A link in order was read within a slot of the schedule and this long: a slot may take as long with its spread. The shortest
/// that are waited for are of 12 hours.
pub(super) const READ_LATE: i64 = 2 * HOUR;
/// The aggregator was asked to read the bank within this long: two of a day's three refreshes are the schedule's.
const REFRESHED_WITHIN: i64 = 34 * HOUR;

/// Links are looked for once a day, and once more six hours later where that failed.
const DISCOVERED_WITHIN: i64 = 32 * HOUR;

/// Checks the state of every link; returns those in order, by upstream id.
pub(super) fn states(book: &Book, town: &Town, (now_ms, skew_ms): (i64, i64)) -> Result<HashSet<String>, String> {
    let sql = "SELECT upstream_link_id, state, coalesce(last_error, ''), coalesce(condition, '') FROM v_link_health";
    let stored: HashMap<String, (String, String, String)> =
        book.rows(sql, |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?))))?.into_iter().collect();
    let mut well = HashSet::new();
    for link in &town.links {
        let id = link.id.to_string();
        let Some((state, error, condition)) = stored.get(&id) else {
            if link.is_deleted || now_ms - link.since_ms < DISCOVERED_WITHIN {
                continue;
            }
            return Err(format!("links: {id} is not in the store"));
        };
        let is_known_to_be_broken = link.trouble.as_ref().is_some_and(|(_, since)| now_ms - since > 40 * HOUR);
        // Its login works again, and the aggregator has not tried since.
        let is_outdated = link.trouble.is_none() && !link.is_deleted && town.says_unavailable(link);
        let expected: &[&str] = match &link.trouble {
            _ if link.is_deleted => &["removed"],
            None if is_outdated => &["failing"],
            None => &["active"],
            _ if !is_known_to_be_broken => continue,
            Some((word, _)) if matches!(word.as_str(), "unavailable" | "1003") => &["failing", "attention"],
            Some(_) => &["attention"],
        };
        if !expected.contains(&state.as_str()) {
            let trouble = link.trouble.as_ref().map(|(word, since)| (word, (now_ms - since) / HOUR));
            return Err(format!(
                "links: {id} is {state} ({condition}; {error}) instead of {expected:?}; trouble {trouble:?} hours, skew {skew_ms} ms"
            ));
        }
        if state == "active" || (is_outdated && state == "failing") {
            well.insert(id);
        }
    }
    Ok(well)
}

/// No link in order waits longer than its bound.
pub(super) fn none_starved(
    book: &Book,
    town: &Town,
    world: &World,
    well: &HashSet<String>,
    (now_ms, skew_ms): (i64, i64),
) -> Verdict {
    let sql = "SELECT upstream_id, coalesce(last_success_at, 0) FROM links";
    let successes: HashMap<String, i64> = book.rows(sql, |row| Ok((row.get(0)?, row.get(1)?)))?.into_iter().collect();
    for link in town.links.iter().filter(|link| well.contains(&link.id.to_string())) {
        let id = link.id.to_string();
        let age = now_ms + skew_ms - successes.get(&id).copied().unwrap_or_default();
        if age > town.slot_ms.max(12 * HOUR) + READ_LATE {
            return Err(format!("starved: link {id} was last read {} h ago", age / HOUR));
        }
        let published_at = world.link(link.id).and_then(|of| of.published_at);
        let age = now_ms - published_at.map_or(0, jiff::Timestamp::as_millisecond);
        if link.serves == Served::Truv && age > REFRESHED_WITHIN {
            return Err(format!("starved: link {id} was last refreshed {} h ago", age / HOUR));
        }
    }
    Ok(())
}

/// No sync panicked.
pub(super) fn no_panic(book: &Book) -> Verdict {
    let panicked = book.number("SELECT count(*) FROM syncs WHERE error LIKE '%panicked%'")?;
    if panicked > 0 { Err(format!("links: {panicked} syncs panicked")) } else { Ok(()) }
}
