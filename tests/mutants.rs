//! The deliberate faults of `tests/mutants`, which show that the simulation's oracle bites (`.ci/mutants`).

use std::path::{Path, PathBuf};
use std::process::Command;

fn patches() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mutants");
    let entries = std::fs::read_dir(directory).expect("a directory");
    let mut patches: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    patches.sort();
    patches
}

#[test]
fn every_mutant_still_applies_to_the_program() {
    if Command::new("git").arg("--version").output().is_err() {
        println!("left out: there is no git here");
        return;
    }
    assert!(patches().len() >= 7, "{:?}", patches());
    for patch in patches() {
        let checked = Command::new("git")
            .args(["apply", "--check"])
            .arg(&patch)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("git runs");
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(checked.status.success(), "{} does not apply: make it anew\n{said}", patch.display());
    }
}
