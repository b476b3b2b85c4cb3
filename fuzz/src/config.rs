//! The configuration: any text as the file, with good secrets behind every reference.

use std::path::Path;

use passbook::config::{AggregatorConfig, Config, Plan, changes, unchangeable};

use super::bank::{SECRET, START, Secrets};
use super::house::ADMIN_TOKEN;
use super::keys::KEY;
use super::shown::assert_safe;

/// Ids that hints show, and the example file has.
const EXAMPLES: [&str; 2] = ["dd21ca23c12142b6a0970b1e0afedf16", "3f2a9c1e7b5d4806a1c2e3f405162738"];
/// What one problem may say.
const MAX_PROBLEM_CHARS: usize = 1_500;

/// A file.
pub fn config(input: &[u8]) {
    // What is no text is refused when the file is read.
    let Ok(text) = std::str::from_utf8(input) else { return };
    let path = Path::new("/etc/passbook/passbook.toml");
    match Config::parse(text, path, &Secrets) {
        Ok(config) => assert_good(&config, text, path),
        Err(errors) => {
            assert!(!errors.problems.is_empty());
            for problem in &errors.problems {
                // What a hint shows as an example is ours, also where the file repeats it.
                let shown = EXAMPLES.iter().fold(problem.to_string(), |shown, example| shown.replace(example, ""));
                assert_safe(&shown, input);
                assert_keeps_secrets(&shown, text);
                assert!(shown.chars().count() <= MAX_PROBLEM_CHARS, "{shown}");
                assert!(problem.line <= text.lines().count() + 1, "line {} of {}", problem.line, text.lines().count());
            }
        }
    }
}

fn assert_good(config: &Config, text: &str, path: &Path) {
    assert!(!config.sources.is_empty());
    // An id is no secret, but may be kept where secrets are.
    let ids = config.sources.iter().map(|source| match &source.aggregator {
        AggregatorConfig::Truv(truv) => &truv.client_id,
        AggregatorConfig::Bridge(bridge) => &bridge.client_id,
    });
    if ids.into_iter().all(|id| [SECRET, KEY, ADMIN_TOKEN].iter().all(|secret| !id.contains(secret))) {
        assert_keeps_secrets(&format!("{config:?}"), text);
    }
    let again = Config::parse(text, path, &Secrets).expect("what was read once");
    assert!(again == *config, "read twice, it says two things");
    assert!(changes(config, &again).is_empty() && unchangeable(config, &again).is_empty());
    let now = START.parse().expect("an instant");
    let plan = serde_json::to_string(&Plan::of(config, now)).expect("JSON");
    let read: Plan = serde_json::from_str(&plan).expect("what was written");
    assert_eq!(serde_json::to_string(&read).expect("JSON"), plan);
    config.warnings.iter().for_each(|warning| assert_keeps_secrets(&warning.to_string(), text));
}

/// Nothing that stands behind a reference is shown; who writes it into a path sees it there.
fn assert_keeps_secrets(shown: &str, file: &str) {
    let unwritten = [SECRET, KEY, ADMIN_TOKEN].into_iter().filter(|secret| !file.contains(secret));
    unwritten.for_each(|secret| assert!(!shown.contains(secret), "a secret in {shown}"));
}
