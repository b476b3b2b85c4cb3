//! Lives weeks of Passbook's life in virtual time against a made-up bank, breaks everything on the way, and compares.
//!
//! `cargo run --release --example simulate -- --seeds 1..100`. One seed is one plan: an explicit list of what happens in the
//! world, what goes wrong and when the process dies. A plan runs the same way every time; one that fails is shrunk to a short
//! script, which `--replay` runs again. See docs/reliability.md.

#![expect(clippy::print_stdout, reason = "it is a program for people")]
#![expect(clippy::print_stderr, reason = "it is a program for people")]

mod gate;
mod generate;
mod host;
mod on_call;
mod options;
mod oracle;
mod plan;
mod post_office;
mod run;
mod shrink;
mod town;

use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser as _;

use options::Options;
use plan::Plan;
use run::{Outcome, Stats};

// A run allocates far more than the daemon does in the same time of the clock on the wall: it is some percent faster with this one.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let options = Options::parse();
    let began = Instant::now();
    if options.log {
        let level = std::io::stderr;
        tracing_subscriber::fmt().with_writer(level).with_max_level(tracing::Level::DEBUG).init();
    }
    let total = Mutex::new((0_u64, Stats::default()));
    let has_failed = AtomicBool::new(false);
    if let Some(path) = &options.replay {
        let read = std::fs::read_to_string(path).map_err(|error| error.to_string()).and_then(|text| Plan::parse(&text));
        match read {
            Ok(plan) => one(&options, "replay", &plan, &total, &has_failed),
            Err(error) => {
                eprintln!("{}: {error}", path.display());
                return ExitCode::from(2);
            }
        }
    } else {
        let next = AtomicU64::new(options.seeds.start);
        std::thread::scope(|scope| {
            for _ in 0..options.jobs.max(1) {
                scope.spawn(|| {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= options.seeds.end || (has_failed.load(Ordering::Relaxed) && !options.keep_going) {
                            return;
                        }
                        let plan = generate::plan(seed, options.size());
                        one(&options, &format!("seed {seed}"), &plan, &total, &has_failed);
                    }
                });
            }
        });
    }
    let (runs, sum) = &*total.lock().expect("no panic");
    println!("{runs} runs: {}; {:.1} s", line(sum), began.elapsed().as_secs_f32());
    if has_failed.load(Ordering::Relaxed) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Runs one plan and tells how it went.
fn one(options: &Options, name: &str, plan: &Plan, total: &Mutex<(u64, Stats)>, has_failed: &AtomicBool) {
    let began = Instant::now();
    let mut outcome = run_safely(plan, options.keep.as_deref());
    if options.twice && outcome.failure.is_none() {
        let again = run_safely(plan, options.keep.as_deref());
        if again.stats.fingerprint != outcome.stats.fingerprint {
            outcome.failure = Some((None, "replay: the same plan went another way".to_owned()));
        }
    }
    let took = began.elapsed();
    println!("{name}: {}; {:016x}, {:.1} s", line(&outcome.stats), outcome.stats.fingerprint, took.as_secs_f32());
    if let Ok(mut total) = total.lock() {
        total.0 += 1;
        add(&mut total.1, &outcome.stats);
    }
    let Some((at_ms, reason)) = &outcome.failure else { return };
    has_failed.store(true, Ordering::Relaxed);
    let day = at_ms.map_or_else(String::new, |at_ms| format!(" on day {} of its plan", at_ms / plan::DAY));
    eprintln!("{name} FAILED{day}: {reason}\n  {}", plan.setup);
    let patience = Duration::from_secs(options.shrink_for);
    if options.replay.is_some() || patience.is_zero() {
        return;
    }
    let shrunk = shrink::shrink(plan, &outcome, patience);
    let said = shrunk.outcome.failure.as_ref().map_or("", |(_, reason)| reason.as_str());
    let path = options.scripts.join(format!("simulate-{}.txt", name.replace(' ', "-")));
    let text = format!("# {name} of {} days and {} links\n# {said}\n{}", options.days, options.links, shrunk.plan);
    match std::fs::write(&path, text) {
        Ok(()) => eprintln!(
            "{name}: {} of {} events are enough, after {} runs: --replay {}\n  {said}",
            shrunk.plan.events.len(),
            plan.events.len(),
            shrunk.tries,
            path.display()
        ),
        Err(error) => eprintln!("{}: {error}", path.display()),
    }
}

/// Runs a plan; a panic of the run is a failure like another, of which nobody knows when it was.
fn run_safely(plan: &Plan, keep: Option<&Path>) -> Outcome {
    let said = panic::catch_unwind(AssertUnwindSafe(|| run::simulate(plan, keep)));
    said.unwrap_or_else(|panicked| {
        let text = panicked.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panicked.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Outcome { stats: Stats::default(), failure: Some((None, format!("panic: {}", text.unwrap_or_default()))) }
    })
}

fn line(stats: &Stats) -> String {
    format!(
        "{} days, {} syncs, {} requests, {} faults, {} crashes, {} starts, {}/{} webhooks, {} events, {} checks, fullest window {} %",
        stats.virtual_ms / plan::DAY,
        stats.syncs,
        stats.requests,
        stats.faults,
        stats.crashes,
        stats.starts,
        stats.acknowledged,
        stats.webhooks,
        stats.events,
        stats.checks,
        stats.fullest
    )
}

fn add(sum: &mut Stats, one: &Stats) {
    sum.virtual_ms += one.virtual_ms;
    sum.syncs += one.syncs;
    sum.requests += one.requests;
    sum.faults += one.faults;
    sum.crashes += one.crashes;
    sum.starts += one.starts;
    sum.webhooks += one.webhooks;
    sum.acknowledged += one.acknowledged;
    sum.checks += one.checks;
    sum.events += one.events;
    sum.fullest = sum.fullest.max(one.fullest);
}
