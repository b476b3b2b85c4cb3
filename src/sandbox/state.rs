//! Everything behind the sandbox's lock, and the queue of what is still to happen.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;

use super::fault::Faults;
use super::settings::Settings;
use super::traffic::Traffic;
use super::truv::Truv;
use super::world::Bank;
use crate::clock::DAY_MS;

/// The sandbox's whole state.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) bank: Bank,
    pub(crate) truv: Truv,
    pub(crate) traffic: Traffic,
    pub(crate) faults: Faults,
    pub(crate) settings: Settings,
    queue: BinaryHeap<Reverse<Due>>,
    serial: u64,
}

/// What happens when its time comes.
pub(crate) enum Event {
    /// A Truv task enters its next status.
    TruvTask(usize),
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
            bank,
            traffic: Traffic::default(),
            faults: Faults::default(),
            settings: Settings::default(),
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
                Event::Live => {
                    if let Some(every_ms) = self.bank.live_once() {
                        // After a long sleep the bank makes up for one day, not for all of it.
                        self.schedule((due.at_ms + every_ms).max(now_ms - DAY_MS), Event::Live);
                    }
                }
            }
        }
        self.bank.now_ms = now_ms;
    }

    /// Takes the next step of life off the queue, if the bank was in motion.
    pub(crate) fn stop_living(&mut self) {
        self.queue.retain(|Reverse(due)| !matches!(due.event, Event::Live));
    }
}
