//! One run: a plan carried out in virtual time, with a process that is started again whenever it died.

mod forgetting;
mod quiet;
mod weather;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use passbook::clock::Clock;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::gate::Point;
use crate::host::Host;
use crate::oracle::{Book, Oracle, Verdict};
use crate::plan::{HOUR, MINUTE, Plan, Verb};
use crate::post_office::{self, Tally};
use crate::town::{Town, span};
use forgetting::Order;
use weather::Weather;

/// How often it is looked at what must always be true.
const LOOK_EVERY: i64 = 12 * HOUR;
/// How much longer than its plan a run may take: what waits for nothing would otherwise wait for ever.
const LONGEST: Duration = Duration::from_hours(400 * 24);

/// What a run did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stats {
    pub(crate) virtual_ms: i64,
    pub(crate) syncs: i64,
    pub(crate) requests: u64,
    pub(crate) faults: u64,
    pub(crate) crashes: u64,
    pub(crate) starts: u64,
    /// Deliveries that were tried, and those of them that were acknowledged.
    pub(crate) webhooks: u64,
    pub(crate) acknowledged: u64,
    pub(crate) checks: u64,
    pub(crate) events: u64,
    /// The fullest window of any limit, in percent.
    pub(crate) fullest: i64,
    /// What tells this run from any other.
    pub(crate) fingerprint: u64,
}

/// How a run went.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) stats: Stats,
    /// What was wrong, and how far the plan had come, if that is known; `None`: nothing.
    pub(crate) failure: Option<(Option<i64>, String)>,
}

/// Carries out a plan; a store that went wrong is left at `keep`.
pub(crate) fn simulate(plan: &Plan, keep: Option<&Path>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async {
        let mut run = Run::new(plan);
        let too_late = LONGEST + Duration::from_millis(plan.setup.number("lasts-ms").unsigned_abs());
        let verdict = match tokio::time::timeout(too_late, run.carry_out(plan)).await {
            Ok(verdict) => verdict,
            Err(_) => Err("the run does not come to its end".to_owned()),
        };
        let failure = verdict.err().map(|reason| (Some(run.plan_ms()), reason));
        let stats = run.stats();
        run.host.kill().await;
        if let (Some(keep), Some(_)) = (keep, &failure) {
            // Best effort: what went wrong is told in any case.
            drop(std::fs::copy(run.host.path(), keep));
        }
        Outcome { stats, failure }
    })
}

struct Run {
    town: Town,
    host: Host,
    oracle: Oracle,
    weather: Weather,
    stats: Stats,
    began: Instant,
    /// Time that was spent waiting for quiet, in which the plan stands still.
    waited_ms: i64,
    next_look: i64,
    /// How long the process stays down when it dies next.
    down_ms: i64,
    /// When it is started again.
    up_at: Option<i64>,
    /// Links that rest, or may: the process died over it.
    paused: Vec<String>,
    /// Orders to forget somebody that the process died over.
    unsure: Vec<Order>,
    /// Hours between two slots of the schedule.
    hours: i64,
    /// The quiet is waited for as long as the schedule alone takes.
    is_patient: bool,
    tally: Arc<Mutex<Tally>>,
    _office: JoinSet<()>,
}

impl Run {
    fn new(plan: &Plan) -> Self {
        let setup = &plan.setup;
        let start = setup.text("start").parse().expect("an instant");
        let theirs = Clock::virtual_at(start);
        let ours = Clock::virtual_at(start);
        ours.shift(span(setup.number("skew-ms")));
        let town = Town::new(setup, theirs);
        let host = Host::new(setup, &town.bank, ours);
        let (tally, mut office) = (Arc::default(), JoinSet::new());
        office.spawn(post_office::deliver(town.bank.clone(), Arc::clone(&host.entrance), Arc::clone(&tally)));
        let mut oracle = Oracle::default();
        oracle.limits.allowed = (setup.number("limit"), setup.number("application-limit"));
        oracle.limits.others.push(town.others_secret().to_owned());
        if setup.is("alert-minutes") {
            oracle.on_call = Some((host.on_call.clone(), setup.number("alert-minutes") * MINUTE));
        }
        let weather = Weather::new(setup, host.on_call.clone());
        Self {
            town,
            host,
            oracle,
            weather,
            stats: Stats::default(),
            began: Instant::now(),
            waited_ms: 0,
            next_look: LOOK_EVERY,
            down_ms: 0,
            up_at: Some(0),
            paused: Vec::new(),
            unsure: Vec::new(),
            hours: setup.number("hours"),
            is_patient: setup.is("patient"),
            tally,
            _office: office,
        }
    }

    /// Time since the start.
    fn now_ms(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// How far the plan has come.
    fn plan_ms(&self) -> i64 {
        self.now_ms() - self.waited_ms
    }

    fn stats(&mut self) -> Stats {
        let deeds = self.host.deeds.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        let syncs = Book::open(&self.host.path()).and_then(|book| book.number("SELECT count(*) FROM syncs"));
        Stats {
            virtual_ms: self.now_ms(),
            syncs: syncs.unwrap_or(0),
            requests: deeds.requests,
            starts: self.host.starts,
            webhooks: tally.tried,
            acknowledged: tally.acknowledged,
            checks: self.oracle.checks,
            fullest: self.oracle.limits.fullest,
            fingerprint: deeds.fingerprint(),
            ..self.stats.clone()
        }
    }

    async fn carry_out(&mut self, plan: &Plan) -> Verdict {
        for event in &plan.events {
            self.wait_until(event.at_ms + self.waited_ms).await?;
            self.stats.events += 1;
            self.act(&event.verb).await?;
        }
        self.wait_until(plan.setup.number("lasts-ms") + self.waited_ms).await?;
        self.quiet().await
    }

    async fn act(&mut self, verb: &Verb) -> Verdict {
        match verb.word.as_str() {
            "quiet" => self.quiet().await?,
            "crash" => self.crash(verb).await,
            "fault" | "latency" | "post-office" | "on-call" => {
                self.stats.faults += 1;
                self.weather.begin(verb, &self.town, self.began.elapsed());
            }
            "shift" => {
                self.oracle.limits.shifts.push((self.town.now_ms(), verb.number("ms")));
                self.host.clock.shift(span(verb.number("ms")));
            }
            "reload" => self.host.reload(verb).await?,
            "rotate" => {
                self.rotate(verb).await?;
                if !self.host.is_up() && self.up_at.is_none() {
                    self.up_at = Some(self.now_ms());
                }
            }
            "ask" => {
                if let Some(link) = self.town.some_link(verb) {
                    self.host.ask(vec![self.town.links[link].id.to_string()], verb.is("full")).await?;
                }
            }
            "rush" => self.ask_for_all(verb.is("full")).await?,
            "pause" | "resume" => self.rest(verb).await?,
            "forget" => self.forget(verb).await?,
            "heal" => {
                if let Some(link) = self.town.some_link(verb) {
                    self.heal(link).await?;
                }
            }
            _ => {
                // What a fault took away went before whatever happens to it now.
                self.weather.tell(&mut self.town);
                self.town.happen(verb);
            }
        }
        Ok(())
    }

    async fn rotate(&mut self, verb: &Verb) -> Verdict {
        if verb.text("which") != "truv-secret" {
            return self.host.rotate(verb).await;
        }
        self.town.withdraw_others_secret();
        self.host.rotate(verb).await?;
        self.town.renew_others_secret();
        self.oracle.limits.others.push(self.town.others_secret().to_owned());
        Ok(())
    }

    async fn rest(&mut self, verb: &Verb) -> Verdict {
        if verb.word == "pause" {
            let Some(link) = self.town.some_link(verb) else { return Ok(()) };
            let id = self.town.links[link].id.to_string();
            if self.host.pause(id.clone(), true).await? != Some(false) {
                self.town.unsettle(link);
                self.paused.push(id);
            }
        } else if !self.paused.is_empty() {
            let id = self.paused.remove(0);
            if self.host.pause(id.clone(), false).await? != Some(true) {
                self.paused.push(id);
            }
        }
        Ok(())
    }

    /// A login works again; where the customer could not get through, it is as broken as before.
    async fn heal(&mut self, link: usize) -> Verdict {
        let trouble = self.town.links[link].trouble.clone();
        if let Some(errand) = self.town.heal(link)
            && !errand.run().await
            && let Some((word, since)) = trouble
        {
            self.town.bank.break_login(self.town.links[link].id, &word);
            self.town.links[link].trouble = Some((word, since));
        }
        Ok(())
    }

    async fn crash(&mut self, verb: &Verb) {
        if !self.host.is_up() {
            return;
        }
        self.down_ms = verb.number("down-s") * 1000;
        match Point::of(verb.text("at")) {
            Some(point) => self.host.gate.arm(point, verb.number("nth")),
            None => self.bring_down().await,
        }
    }

    async fn bring_down(&mut self) {
        self.host.kill().await;
        self.stats.crashes += 1;
        self.up_at = Some(self.now_ms() + self.down_ms);
    }

    /// Lets time pass, and sees to what comes up meanwhile.
    async fn wait_until(&mut self, at_ms: i64) -> Verdict {
        loop {
            let now_ms = self.now_ms();
            self.weather.clear_up(&mut self.town, now_ms);
            if self.up_at.is_some_and(|at| at <= now_ms) {
                self.start().await?;
                continue;
            }
            if self.next_look <= now_ms {
                self.next_look = now_ms + if self.is_crowded() { 2 * LOOK_EVERY } else { LOOK_EVERY };
                self.look()?;
            }
            if now_ms >= at_ms {
                return Ok(());
            }
            let next =
                [Some(at_ms), self.up_at, self.weather.next_ms(), Some(self.next_look)].into_iter().flatten().min();
            let until = self.began + Duration::from_millis(next.unwrap_or(at_ms).unsigned_abs());
            let gate = Arc::clone(&self.host.gate);
            tokio::select! {
                biased;
                () = gate.died.notified(), if self.host.is_up() => self.bring_down().await,
                () = tokio::time::sleep_until(until) => {}
            }
            if let Some(fate) = self.host.fate() {
                return Err(format!("process: {fate}"));
            }
            if let Some(refused) = &self.tally.lock().unwrap_or_else(PoisonError::into_inner).refused {
                return Err(format!("webhooks: {refused}"));
            }
        }
    }

    async fn start(&mut self) -> Verdict {
        self.up_at = None;
        if self.host.start().await? {
            self.order_again().await?;
            if !self.is_crowded() && self.stats.crashes > 0 {
                self.look()?;
            }
        } else {
            self.bring_down().await;
        }
        Ok(())
    }

    /// Whether a look takes so long that a few must do.
    fn is_crowded(&self) -> bool {
        self.town.links.len() > 60
    }

    fn look(&mut self) -> Verdict {
        self.weather.tell(&mut self.town);
        let book = Book::open(&self.host.path())?;
        self.oracle.look(&book, &self.town)
    }
}
