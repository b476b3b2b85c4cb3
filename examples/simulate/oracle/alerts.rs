//! People are told what is so: once, for a reason, and when it is over.

use std::collections::{HashMap, HashSet};

use super::{Book, Verdict};
use crate::on_call::{Message, OnCall};
use crate::plan::MINUTE;
use crate::town::Town;

/// What a message is about: kind, source and link.
type About = (String, String, Option<String>);

/// What was told is what is the case, at rest.
pub(super) fn told(book: &Book, town: &Town, on_call: &OnCall, grace_ms: i64, ours_ms: i64) -> Verdict {
    if let Some(wrong) = on_call.wrong() {
        return Err(format!("alerts: {wrong}"));
    }
    let forgotten = town.forgotten_links();
    let heard: Vec<Message> = on_call
        .heard()
        .into_iter()
        .filter(|message| message.upstream_link_id.as_ref().is_none_or(|link| !forgotten.contains(link)))
        .collect();
    justified(&heard, town)?;
    open_as_needed(book, &forgotten, grace_ms, ours_ms)?;
    in_turns(book, &heard)
}

/// Nobody is called to a link whose login works, or to credentials that are in force.
fn justified(heard: &[Message], town: &Town) -> Verdict {
    for message in heard.iter().filter(|message| message.event == "raised") {
        if message.kind == "source_refused" {
            return Err(format!("alerts: {} says that good credentials are refused", message.id));
        }
        // A fault hides data as if somebody had not proved who they are.
        let Some(link) = message.upstream_link_id.as_ref().filter(|_| message.reason != "identity") else { continue };
        if !town.was_broken(link, message.since.as_millisecond()) {
            return Err(format!(
                "alerts: {} calls somebody to link {link}, which was in order: {} since {}",
                message.id, message.reason, message.since
            ));
        }
    }
    Ok(())
}

/// An alert is open for each link that needs a person, and for no other.
fn open_as_needed(book: &Book, forgotten: &HashSet<String>, grace_ms: i64, ours_ms: i64) -> Verdict {
    let links = |sql: &str| -> Result<HashSet<String>, String> {
        let links = book.rows(sql, |row| row.get::<_, String>(0))?;
        Ok(links.into_iter().filter(|link| !forgotten.contains(link)).collect())
    };
    let open = links("SELECT upstream_id FROM alerts JOIN links USING (link_id) WHERE resolved_at IS NULL")?;
    let needs = |since_ms: i64| {
        links(&format!(
            "SELECT upstream_id FROM links WHERE attention_at <= {since_ms} AND removed_at IS NULL AND paused_at IS NULL"
        ))
    };
    // It is looked four times a minute.
    if let Some(link) = needs(ours_ms - grace_ms - MINUTE)?.difference(&open).min() {
        return Err(format!("alerts: link {link} needs a person, and no alert is open"));
    }
    if let Some(link) = open.difference(&needs(ours_ms)?).min() {
        return Err(format!("alerts: one is open for link {link}, which needs nobody"));
    }
    Ok(())
}

/// What is told of one thing begins, ends and begins again; the last that was heard is what is the case.
fn in_turns(book: &Book, heard: &[Message]) -> Verdict {
    let sql = "SELECT a.kind, s.name, l.upstream_id, a.alert_id FROM alerts a JOIN sources s USING (source_id)
               LEFT JOIN links l USING (link_id) WHERE a.resolved_at IS NULL AND a.raised_told_at IS NOT NULL";
    let open: HashMap<About, i64> =
        book.rows(sql, |row| Ok(((row.get(0)?, row.get(1)?, row.get(2)?), row.get(3)?)))?.into_iter().collect();
    let waiting = book.number("SELECT count(*) FROM alerts WHERE resolved_at IS NULL AND raised_told_at IS NULL")?;
    if waiting > 0 {
        return Err(format!("alerts: {waiting} are open and were told to nobody"));
    }
    // A process that dies over a message does not know whether it arrived: its end is told in any case.
    let unsure = book.rows(
        "SELECT 'alert-' || alert_id || '-resolved' FROM alerts WHERE resolved_at IS NOT NULL AND raised_told_at IS NULL",
        |row| row.get::<_, String>(0),
    )?;
    let mut last: HashMap<About, &Message> = HashMap::new();
    for message in heard {
        let about = (message.kind.clone(), message.source.clone(), message.upstream_link_id.clone());
        let before = last.insert(about, message);
        if before.map_or("resolved", |before| &before.event) == message.event && !unsure.contains(&message.id) {
            return Err(format!("alerts: {} follows {}", message.id, before.map_or("nothing", |before| &before.id)));
        }
    }
    for (about, message) in &last {
        let is_open = open.contains_key(about);
        if is_open != (message.event == "raised") {
            let is = if is_open { "is still open" } else { "is over" };
            return Err(format!("alerts: {} was heard last, and its alert {is}", message.id));
        }
    }
    match open.iter().find(|(about, _)| !last.contains_key(*about)) {
        Some((_, alert)) => Err(format!("alerts: alert {alert} counts as told, and nobody heard of it")),
        None => Ok(()),
    }
}
