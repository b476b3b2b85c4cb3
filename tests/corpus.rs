//! Every input that fuzzing kept, tried again: what was once found stays a test (docs/reliability.md, "Hostile bytes").

#[path = "../fuzz/src/lib.rs"]
pub mod fuzz;

use std::fs;
use std::path::{Path, PathBuf};

#[expect(clippy::print_stdout, reason = "says which input it was")]
fn replay(name: &str) {
    let (_, target) = fuzz::TARGETS.into_iter().find(|(known, _)| *known == name).expect("a target");
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut files: Vec<PathBuf> =
        fs::read_dir(&directory).expect("a corpus").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    assert!(files.len() > 3, "only {} inputs in {}", files.len(), directory.display());
    for file in files {
        // Stands last in what a failed test has printed.
        println!("{}", file.display());
        target(&fs::read(&file).expect("an input"));
    }
}

macro_rules! replayed {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                replay(stringify!($name));
            }
        )*

        #[test]
        fn every_target_is_replayed() {
            assert_eq!(fuzz::TARGETS.map(|(name, _)| name), [$(stringify!($name)),*]);
        }
    };
}

replayed! { backup bridge config dataset keys money orders schedule truv visits webhooks }
