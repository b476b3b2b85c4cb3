//! What differs between two configurations, in words for a log: no values, which may be secrets.

use super::Config;

/// Settings whose change a running daemon cannot follow.
///
/// Shape: empty where it can follow everything.
pub fn unchangeable(former: &Config, changed: &Config) -> Vec<&'static str> {
    let (from, to) = (&former.store, &changed.store);
    let mut keys = Vec::new();
    if from.path != to.path {
        keys.push("store.path");
    }
    if from.key != to.key {
        keys.push("store.key");
    }
    if from.keep_raw != to.keep_raw {
        keys.push("store.keep_raw");
    }
    if from.encryption != to.encryption {
        keys.push("store.encryption");
    }
    if former.log.format != changed.log.format {
        keys.push("log.format");
    }
    keys
}

/// The sections and sources that differ, sources by their names.
///
/// Shape: in the order of the file, then what is gone; empty where nothing differs.
pub fn changes(former: &Config, changed: &Config) -> Vec<String> {
    let sections = [
        ("store", former.store != changed.store),
        ("server", former.server != changed.server),
        ("alert", former.alert != changed.alert),
        ("backup", former.backup != changed.backup),
        ("log", former.log != changed.log),
        ("schedule", former.schedule != changed.schedule),
        ("retention", former.retention != changed.retention),
    ];
    let mut words: Vec<String> =
        sections.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| format!("[{name}] changed")).collect();
    for source in &changed.sources {
        match former.sources.iter().find(|had| had.name == source.name) {
            None => words.push(format!("source {:?} added", source.name)),
            Some(had) if had != source => words.push(format!("source {:?} changed", source.name)),
            Some(_) => {}
        }
    }
    let is_gone = |name: &str| changed.sources.iter().all(|source| source.name != name);
    let gone = former.sources.iter().filter(|had| is_gone(&had.name));
    words.extend(gone.map(|source| format!("source {:?} removed; its links rest and its rows stay", source.name)));
    words
}
