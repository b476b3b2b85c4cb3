//! Hostile bytes: one function per family of parsers that meet the network or a file.
//!
//! libFuzzer calls them with whatever it makes up (`fuzz/run`), and `tests/corpus.rs` with what was kept of that. Each goes through
//! the same doors of the library as the program does, so nothing is opened up for them, and each panics where a promise is broken.

mod answers;
mod backup;
mod bank;
mod config;
mod dataset;
mod exact;
mod house;
mod keys;
mod money;
mod orders;
mod rows;
mod schedule;
mod script;
mod shown;
mod visits;
mod webhooks;

pub use answers::{bridge, truv};
pub use backup::backup;
pub use config::config;
pub use dataset::dataset;
pub use keys::keys;
pub use money::money;
pub use orders::orders;
pub use schedule::schedule;
pub use visits::visits;
pub use webhooks::webhooks;

/// What is done with one input.
pub type Target = fn(&[u8]);

/// Every target with the name of its corpus.
pub const TARGETS: [(&str, Target); 11] = [
    ("backup", backup),
    ("bridge", bridge),
    ("config", config),
    ("dataset", dataset),
    ("keys", keys),
    ("money", money),
    ("orders", orders),
    ("schedule", schedule),
    ("truv", truv),
    ("visits", visits),
    ("webhooks", webhooks),
];
