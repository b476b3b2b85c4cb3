//! Above the aggregators nobody knows which there are: what they can do differs, and that is asked.

#[path = "shared/sources.rs"]
mod sources;

use std::path::{Path, PathBuf};

use sources::files_below;

/// Rooms from which no aggregator may be named, not even in prose.
const ROOMS: [&str; 10] = ["alert", "sync", "daemon", "server", "schedule", "limits", "store", "cli", "main", "model"];
/// The commands that play the aggregators themselves.
const STAGES: [&str; 3] = ["cli/demo.rs", "cli/demo/", "cli/sandbox.rs"];

#[test]
fn no_room_above_the_aggregators_names_one() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files: Vec<PathBuf> = files_below(&src).into_iter().filter(|file| is_above(&src, file)).collect();
    assert!(files.len() > 40, "only {} files were looked at", files.len());
    let mut named = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a source file");
        let program = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in program.lines().enumerate() {
            let line = line.to_lowercase();
            // A citation of the contract says where a fact comes from, not what is done.
            let prose = line.replace("upstream/truv.md", "").replace("upstream/bridge.md", "");
            if prose.contains("truv") || prose.contains("bridge") {
                named.push(format!("{}:{}: {}", file.display(), number + 1, line.trim()));
            }
        }
    }
    assert!(named.is_empty(), "{named:#?}");
}

fn is_above(src: &Path, file: &Path) -> bool {
    let path = file.strip_prefix(src).expect("below src").to_string_lossy().into_owned();
    let room = path.split(['/', '.']).next().unwrap_or_default();
    let is_test = path.ends_with("tests.rs") || path.contains("/tests/");
    ROOMS.contains(&room) && !is_test && !STAGES.iter().any(|stage| path.starts_with(stage))
}
