//! What differs between two configurations, and what of it a running daemon can follow.

use std::path::Path;

use passbook::config::{Config, changes, unchangeable};

use super::{CANARY, and_then, reference, secrets, swap, with};

const AS_IT_WAS: [&str; 0] = [];

/// What is said of a change from the plain configuration to `text`: what differs, and what needs a restart.
fn said(text: &str) -> (Vec<String>, Vec<&'static str>) {
    let secrets = secrets();
    let parse = |text: &str| Config::parse(text, Path::new("/etc/passbook/passbook.toml"), &secrets).expect("good");
    let (former, changed) = (parse(&with("", "")), parse(text));
    (changes(&former, &changed), unchangeable(&former, &changed))
}

#[test]
fn every_change_is_named_by_its_section_or_source_and_never_by_its_value() {
    let table = [
        (with("", "# a comment"), vec![], vec![]),
        (with("", "sync_schedule = \"0 1 * * *\""), vec!["source \"truv-prod\" changed"], vec![]),
        (reference("{ credential = \"hook-new\" }"), vec!["source \"truv-prod\" changed"], vec![]),
        (
            swap("\"truv-prod\"", "\"truv-live\""),
            vec!["source \"truv-live\" added", "source \"truv-prod\" removed; its links rest and its rows stay"],
            vec![],
        ),
        (and_then("[log]\nlevel = \"debug\""), vec!["[log] changed"], vec![]),
        (and_then("[log]\nformat = \"json\""), vec!["[log] changed"], vec!["log.format"]),
        (and_then("[schedule]\nworkers = 3"), vec!["[schedule] changed"], vec![]),
        (and_then("[alert]\ncommand = [\"/bin/true\"]"), vec!["[alert] changed"], vec![]),
        (with("path = \"/elsewhere/passbook.db\"", ""), vec!["[store] changed"], vec!["store.path"]),
        (with("keep_raw = false", ""), vec!["[store] changed"], vec!["store.keep_raw"]),
    ];
    for (text, differs, needs_restart) in table {
        let (words, keys) = said(&text);
        assert_eq!((&words, &keys), (&differs.iter().map(ToString::to_string).collect(), &needs_restart), "{text}");
        assert!(!format!("{words:?}").contains(CANARY), "{words:?}");
    }
    assert_eq!(said(&with("", "")).0, AS_IT_WAS);
}
