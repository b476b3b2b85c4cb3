//! Everything behind the sandbox's lock, and the queue of what is still to happen.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;

use super::bridge::{self, Bridge, Step};
use super::fault::Faults;
use super::outbox::Outbox;
use super::settings::Settings;
use super::traffic::Traffic;
use super::truv::Truv;
use super::world::{Bank, Owner, TrueLink, World};
use crate::clock::DAY_MS;

/// The sandbox's whole state.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) bank: Bank,
    pub(crate) truv: Truv,
    pub(crate) bridge: Bridge,
    pub(crate) traffic: Traffic,
    pub(crate) faults: Faults,
    pub(crate) settings: Settings,
    pub(crate) outbox: Outbox,
    queue: BinaryHeap<Reverse<Due>>,
    serial: u64,
}

/// What happens when its time comes.
pub(crate) enum Event {
    /// A Truv task enters its next status.
    TruvTask(usize),
    /// Bridge refreshes an item.
    BridgeStep(usize, Step),
    /// A script changes the bank.
    Script(Box<dyn FnOnce(&mut Bank) + Send>),
    /// The living bank takes a step.
    Live,
}

struct Due {
    at_ms: i64,
    serial: u64,
    event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at_ms, self.serial) == (other.at_ms, other.serial)
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at_ms, self.serial).cmp(&(other.at_ms, other.serial))
    }
}

impl fmt::Debug for Due {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.event {
            Event::TruvTask(_) => "task",
            Event::BridgeStep(..) => "refresh",
            Event::Script(_) => "script",
            Event::Live => "live",
        };
        write!(f, "{what} at {}", self.at_ms)
    }
}

impl State {
    pub(crate) fn new(seed: u64, now_ms: i64) -> Self {
        let mut bank = Bank::new(seed, now_ms);
        Self {
            truv: Truv::new(&mut bank.rng),
            bridge: Bridge::new(seed),
            bank,
            traffic: Traffic::default(),
            faults: Faults::default(),
            settings: Settings::default(),
            outbox: Outbox::new(seed),
            queue: BinaryHeap::new(),
            serial: 0,
        }
    }

    /// Notes what is to happen at an instant; events of one instant happen in the order of these calls.
    pub(crate) fn schedule(&mut self, at_ms: i64, event: Event) {
        self.serial += 1;
        self.queue.push(Reverse(Due { at_ms, serial: self.serial, event }));
    }

    /// Lets everything happen that is due, each thing at its own instant.
    pub(crate) fn advance(&mut self, now_ms: i64) {
        self.plan_refreshes();
        // What scripts and requests did since the last look.
        self.announce();
        while self.queue.peek().is_some_and(|Reverse(due)| due.at_ms <= now_ms) {
            let Some(Reverse(due)) = self.queue.pop() else { break };
            self.bank.now_ms = due.at_ms;
            match due.event {
                Event::Script(script) => script(&mut self.bank),
                Event::TruvTask(task) => {
                    if let Some(after_ms) = self.truv.step_task(&mut self.bank, &self.settings.pace, task) {
                        self.schedule(due.at_ms + after_ms, Event::TruvTask(task));
                    }
                }
                Event::BridgeStep(link, step) => {
                    if let Some((after_ms, next)) = self.bank.step_item(link, step, &self.settings.bridge) {
                        // After a long sleep Bridge makes up for one day, not for all of it.
                        let at_ms = (due.at_ms + after_ms).max(now_ms - DAY_MS);
                        self.schedule(at_ms, Event::BridgeStep(link, next));
                    }
                }
                Event::Live => {
                    if let Some(every_ms) = self.bank.live_once() {
                        // After a long sleep the bank makes up for one day, not for all of it.
                        self.schedule((due.at_ms + every_ms).max(now_ms - DAY_MS), Event::Live);
                    }
                }
            }
            self.announce();
        }
        self.bank.now_ms = now_ms;
    }

    /// Plans the refreshes of items that are new since the last look.
    fn plan_refreshes(&mut self) {
        for link in std::mem::take(&mut self.bank.unplanned) {
            if let Some((after_ms, step)) = bridge::regular(link, &self.settings.bridge) {
                self.schedule(self.bank.now_ms + after_ms, Event::BridgeStep(link, step));
            }
        }
    }

    /// Plans every refresh that comes by itself anew, after their interval was changed.
    pub(crate) fn replan_refreshes(&mut self) {
        self.queue.retain(|Reverse(due)| !matches!(due.event, Event::BridgeStep(_, Step::Regular)));
        let bank = &mut self.bank;
        let links = (0..bank.links.len()).filter(|link| matches!(bank.owner_of(*link), Owner::Bridge(_)));
        bank.unplanned = links.collect();
        self.plan_refreshes();
    }

    /// The bank as it is (`immediately`), or as readers see it.
    pub(crate) fn world(&mut self, immediately: bool) -> World {
        World { links: (0..self.bank.links.len()).map(|link| self.true_link(link, immediately)).collect() }
    }

    /// One link of it, by its place.
    pub(crate) fn true_link(&mut self, link: usize, immediately: bool) -> TrueLink {
        match self.bank.owner_of(link) {
            Owner::Truv(_) => self.bank.true_link(link, immediately),
            Owner::Bridge(_) => bridge::true_link(&mut self.bank, link, immediately, self.settings.oddities),
        }
    }

    /// Takes the next step of life off the queue, if the bank was in motion.
    pub(crate) fn stop_living(&mut self) {
        self.queue.retain(|Reverse(due)| !matches!(due.event, Event::Live));
    }
}
