//! What it is asked to do.

use std::ops::Range;
use std::path::PathBuf;

use crate::generate::Size;

/// Simulated weeks against a made-up bank, with everything that can go wrong.
#[derive(Debug, clap::Parser)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches of a command line")]
#[command(name = "simulate")]
pub(crate) struct Options {
    /// Which seeds, the last one left out, such as 1..100.
    #[arg(long, default_value = "1..21", value_parser = seeds)]
    pub(crate) seeds: Range<u64>,
    /// Days of each plan.
    #[arg(long, default_value_t = 4)]
    pub(crate) days: i64,
    /// Links at the start, over both aggregators.
    #[arg(long, default_value_t = 6)]
    pub(crate) links: i64,
    /// Runs at the same time, each on a thread.
    #[arg(long, default_value_t = 1)]
    pub(crate) jobs: usize,
    /// Runs a script instead of seeds.
    #[arg(long, value_name = "SCRIPT")]
    pub(crate) replay: Option<PathBuf>,
    /// The world lives, and nothing goes wrong.
    #[arg(long)]
    pub(crate) calm: bool,
    /// Runs every plan twice and compares the two.
    #[arg(long)]
    pub(crate) twice: bool,
    /// Goes on after a failure.
    #[arg(long)]
    pub(crate) keep_going: bool,
    /// Seconds that a failing plan is shrunk for; 0: not at all.
    #[arg(long, default_value_t = 60)]
    pub(crate) shrink_for: u64,
    /// Where the script of a failing plan is written.
    #[arg(long, default_value = "target", value_name = "DIRECTORY")]
    pub(crate) scripts: PathBuf,
    /// Where the store of a failing plan is left.
    #[arg(long, value_name = "FILE")]
    pub(crate) keep: Option<PathBuf>,
    /// Tells on standard error what the daemon logs.
    #[arg(long)]
    pub(crate) log: bool,
}

impl Options {
    /// How large each run is.
    pub(crate) fn size(&self) -> Size {
        Size { days: self.days, links: self.links.max(2), has_trouble: !self.calm }
    }
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let number = |text: &str| text.parse::<u64>().map_err(|error| format!("{text}: {error}"));
    match text.split_once("..") {
        Some((first, end)) => Ok(number(first)?..number(end)?),
        None => number(text).map(|seed| seed..seed + 1),
    }
}
