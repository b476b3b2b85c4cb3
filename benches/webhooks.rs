//! Webhooks at 2,000 a second for ten seconds, the daemon killed in the middle: how fast they are acknowledged, and whether
//! every one that was is there.
//!
//! This process holds the bank and delivers; the daemon is the built binary, on loopback, with its store on disk. A webhook
//! that is not acknowledged is delivered again, as the aggregators do.

#[path = "webhooks/daemon.rs"]
mod daemon;
#[path = "webhooks/sender.rs"]
mod sender;
#[path = "shared/table.rs"]
mod table;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use passbook::clock::Clock;
use passbook::sandbox::{Pace, Plan, Sandbox};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use daemon::Daemon;
use sender::{Answers, Sender};
use table::{Table, percent, verdict};

const PER_SECOND: usize = 2_000;
const SECONDS: usize = 10;
const CONNECTIONS: usize = 40;
const KILLED_AFTER: Duration = Duration::from_secs(5);
const CEILING: Duration = Duration::from_secs(1);
/// How long what was acknowledged may wait to be acted on, until this gives up.
const DRAIN: Duration = Duration::from_mins(1);

fn main() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(measure());
}

async fn measure() {
    let bank = Sandbox::new(Clock::system(), 7);
    bank.settings(|s| {
        s.request_limit = None;
        s.pace = Pace::instant();
    });
    bank.seed_world(&Plan { links: 50, transactions_per_link: 20, ..Plan::default() });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base_url = format!("http://{}", listener.local_addr().expect("an address"));
    let stop = CancellationToken::new();
    let serve = axum::serve(listener, bank.router()).with_graceful_shutdown(stop.clone().cancelled_owned());
    let work = async {
        let daemon = Daemon::start(&bank, &base_url).await;
        deliver(&bank, daemon).await;
        stop.cancel();
    };
    let (served, ()) = tokio::join!(serve, work);
    served.expect("the bank serves");
}

async fn deliver(bank: &Sandbox, mut daemon: Daemon) {
    let links: Vec<(String, String)> =
        bank.truth().links.iter().map(|link| (link.upstream_id.clone(), link.user_upstream_id.clone())).collect();
    let began = Instant::now();
    let mut senders = JoinSet::new();
    for first in 0..CONNECTIONS {
        let sender = Sender {
            address: daemon.address,
            secret: bank.truv_secret(),
            links: links.clone(),
            first,
            step: CONNECTIONS,
            count: PER_SECOND * SECONDS,
            per_second: PER_SECOND,
        };
        senders.spawn(sender.run(began));
    }
    tokio::time::sleep(KILLED_AFTER).await;
    let killed = Instant::now();
    daemon.kill_and_restart().await;
    let down = killed.elapsed();
    let mut answers = Answers::default();
    while let Some(joined) = senders.join_next().await {
        answers.add(joined.expect("a sender"));
    }
    let took = began.elapsed();
    let drained = Instant::now();
    while daemon.waiting() > 0 && drained.elapsed() < DRAIN {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (drained, waiting) = (drained.elapsed(), daemon.waiting());
    daemon.stop().await;
    report(&mut answers, &daemon.stored(), took, down, (drained, waiting));
}

fn report(
    answers: &mut Answers,
    stored: &HashMap<String, u64>,
    took: Duration,
    down: Duration,
    (drained, waiting): (Duration, u64),
) {
    let table = Table::new(
        "webhooks: 2,000 a second for ten seconds over 40 connections, the daemon killed after five",
        &["what                                            ", "      figure", "     target", "      "],
    );
    let acknowledged = answers.acknowledged.len();
    let lost = answers.acknowledged.iter().filter(|id| !stored.contains_key(*id)).count();
    let twice = stored.values().filter(|rows| **rows > 1).count();
    let rate = u128::try_from(acknowledged).unwrap_or(0) * 1000 / took.as_millis().max(1);
    let before = answers.before(KILLED_AFTER) as u64 / KILLED_AFTER.as_secs();
    let ms = |duration: Duration| format!("{}.{} ms", duration.as_millis(), duration.subsec_micros() / 100 % 10);
    let ceiling = format!("< {} ms", CEILING.as_millis());
    let row = |what: &str, figure: String, target: &str, is_met: Option<bool>| {
        table.row(&[what.to_owned(), figure, target.to_owned(), is_met.map_or_else(String::new, verdict)]);
    };
    let share = percent(before, PER_SECOND as u64);
    row("acknowledged a second before the kill", format!("{before} ({share} %)"), "2000", Some(share >= 99));
    row("acknowledged a second in all, downtime included", rate.to_string(), "", None);
    row("down", ms(down), "", None);
    for (what, percent) in [("answer, median", 50), ("answer, 99 %", 99), ("answer, slowest", 100)] {
        let latency = answers.percentile(percent);
        row(what, ms(latency), &ceiling, Some(latency < CEILING));
    }
    row("delivered again after no answer", answers.repeated.to_string(), "", None);
    row("acknowledged", acknowledged.to_string(), "", None);
    row("stored", stored.len().to_string(), "", None);
    row("acknowledged and lost", lost.to_string(), "0", Some(lost == 0));
    row("stored twice", twice.to_string(), "0", Some(twice == 0));
    row("acted on after the last answer", ms(drained), "", Some(waiting == 0));
}
