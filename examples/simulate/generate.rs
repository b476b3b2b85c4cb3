//! From a seed to a plan: what the world is, what happens in it, what goes wrong, when the process dies.

mod trouble;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use crate::plan::{DAY, Event, HOUR, MINUTE, Plan, Verb};

/// How large a run is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Days of virtual time, beside those in which it is waited for quiet.
    pub(crate) days: i64,
    /// Links at the start, over both aggregators.
    pub(crate) links: i64,
    /// Faults and crashes are drawn; otherwise only the world lives.
    pub(crate) has_trouble: bool,
}

impl Size {
    /// So many that a day of all of them takes a while: they are synced once a day, and compared at the end.
    fn has_many(self) -> bool {
        self.links > 100
    }
}

/// What refreshes at either aggregator can meet; the first word is the first aggregator's.
const TROUBLES: [(&str, &str); 5] = [
    ("login_error", "402"),
    ("mfa_error", "429"),
    ("unavailable", "1003"),
    ("login_error", "1010"),
    ("mfa_error", "402"),
];

struct Draw {
    rng: StdRng,
    events: Vec<Event>,
    days: i64,
    /// How many times as much happens as to the customers of a bank.
    density: i64,
}

/// Draws the plan of a seed.
pub(crate) fn plan(seed: u64, size: Size) -> Plan {
    // Quiet is dear, so what happens to few links is dense.
    let density = if size.has_many() { 1 } else { 2 };
    let rng = StdRng::seed_from_u64(seed ^ 0x5061_7373);
    let mut draw = Draw { rng, events: Vec::new(), days: size.days, density };
    let setup = draw.setup(seed, size);
    draw.life(size.links);
    if size.has_trouble {
        draw.faults();
        draw.crashes();
        draw.our_side(size.links);
        draw.rushes();
    }
    draw.forgettings(size);
    // Among many one link or another is always in every stage of its life.
    let quiet_every = if size.has_many() { size.days } else { draw.one(&[4, 6, 9]) };
    for at in (1..).map(|n| n * quiet_every * DAY).take_while(|at| *at < size.days * DAY) {
        draw.put(at, Verb::new("quiet"));
    }
    if size.has_trouble && setup.is("alert-minutes") {
        draw.deaf_ears();
    }
    draw.events.sort_by_key(|event| event.at_ms);
    Plan { setup, events: draw.events }
}

impl Draw {
    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        *of.choose(&mut self.rng).expect("something to choose")
    }

    fn number(&mut self, from: i64, to: i64) -> i64 {
        self.rng.random_range(from..=to)
    }

    /// True once in so many times.
    fn once_in(&mut self, times: u32) -> bool {
        self.rng.random_ratio(1, times)
    }

    fn put(&mut self, at_ms: i64, verb: Verb) {
        self.events.push(Event { at_ms, verb });
    }

    fn any_time(&mut self) -> i64 {
        self.number(HOUR, self.days * DAY - 1)
    }

    /// Draws how often something happens that does so often in a hundred days of any customer.
    fn count(&mut self, per_hundred_days: i64) -> i64 {
        let hundredths = self.density * per_hundred_days * self.days;
        hundredths / 100 + i64::from(self.number(0, 99) < hundredths % 100)
    }

    fn setup(&mut self, seed: u64, size: Size) -> Verb {
        let many = size.has_many();
        let bridge = size.links / 2;
        let limit = if many { 300 } else { self.one(&[12, 12, 24, 60, 300]) };
        let application = if many { 2000 } else { self.one(&[60, 150, 400, 2000]) };
        let setup = match seed % 3 {
            // It is looked for them four times a minute, which takes as long as all the rest.
            0 if !many => Verb::new("setup").with("alert-minutes", [1, 10, 120][(seed / 3 % 3) as usize]),
            _ => Verb::new("setup"),
        };
        setup
            .with("seed", seed)
            .with("lasts-ms", size.days * DAY)
            // Weeks in which summer time begins or ends, in one zone or the other, and weeks in which it does not.
            .with(
                "start",
                self.one(&[
                    "2026-03-04T12:00:00Z",
                    "2026-03-24T08:00:00Z",
                    "2026-10-20T16:00:00Z",
                    "2026-06-01T12:00:00Z",
                ]),
            )
            .with("zone", self.one(&["UTC", "Europe/Paris", "America/New_York", "Asia/Kolkata"]))
            .with("truv", size.links - bridge)
            .with("bridge", bridge)
            .with("links-per-user", self.number(1, 3))
            .with("rows", if many { 30 } else { self.number(8, 60) })
            .with("history", self.number(20, 60))
            .with("page", if many { 100 } else { self.one(&[10, 25, 100]) })
            .with("limit", limit)
            .with("application-limit", application)
            .with("hours", if many { 24 } else { self.one(&[4, 6, 8]) })
            .with("spread", self.one(&["0s", "10m", "40m"]))
            .with("latency-ms", self.one(&[0, 40, 300, 1500]))
            .with("skew-ms", self.number(-240_000, 240_000))
            .with("deleted", self.one(&["full", "full", "stub", "always", "never"]))
            .with("reconcile", self.one(&["weekly", "monthly", "monthly"]))
            .with("webhooks", i64::from(!self.once_in(4)))
            .with("oddities", i64::from(!self.once_in(3)))
            .with("shuffled", i64::from(self.once_in(4)))
            .with("workers", self.number(1, 6))
            .with("patient", i64::from(self.once_in(3)))
    }

    fn on(&mut self, word: &str, links: i64) -> Verb {
        let (link, pick) = (self.number(0, links - 1), self.number(0, 9_999));
        Verb::new(word).with("link", link).with("pick", pick)
    }

    /// What happens in the world whether we look or not.
    fn life(&mut self, links: i64) {
        let rates = [
            ("row", 110),
            ("pending", 60),
            ("post", 50),
            ("edit", 14),
            ("remove", 8),
            ("restore", 6),
            ("reissue", 4),
            ("break", 3),
            ("close-account", 2),
            ("open-account", 2),
            ("read-bank", 20),
            ("ask", 6),
            ("share", 1),
        ];
        for (word, per_hundred_days) in rates {
            for _ in 0..self.count(per_hundred_days * links) {
                let at = self.any_time();
                self.happen(word, at, links);
            }
        }
        for (word, per_hundred_days) in
            [("new-link", 25), ("delete-link", 6), ("consent", 12), ("delete-user", 4), ("reconnect", 12)]
        {
            for _ in 0..self.count(per_hundred_days) {
                let (at, verb) = (self.any_time(), self.on(word, links));
                self.put(at, verb);
            }
        }
    }

    fn happen(&mut self, word: &str, at: i64, links: i64) {
        let verb = self.on(word, links);
        let link = verb.text("link").to_owned();
        let again = |word: &str| Verb::new(word).with("link", &link).with("pick", verb.text("pick"));
        match word {
            "row" => {
                let verb = verb.with("amount", self.number(-90_000, 60_000)).with("hours-ago", self.number(0, 70));
                self.put(at, verb);
            }
            "pending" => {
                let verb = verb.with("amount", self.number(-90_000, -1)).with("hours", self.number(2, 90));
                self.put(at, verb);
            }
            "post" => {
                let style = self.one(&["same", "same", "external", "new"]);
                self.put(at, verb.with("style", style));
            }
            "edit" => {
                let verb = verb.with("amount", self.number(-90_000, 60_000)).with("what", self.number(1, 3));
                let is_deep = self.once_in(6);
                self.put(at, verb.with("deep", i64::from(is_deep)));
            }
            "remove" => {
                if self.once_in(2) {
                    // A person looks right away: a first absence decides nothing.
                    let soon = at + self.one(&[1, 6, 20]) * MINUTE;
                    self.put(soon, again("ask"));
                }
                if self.once_in(3) {
                    let back = at + self.number(10, 50) * MINUTE;
                    self.put(back, again("restore"));
                }
                let is_deep = self.once_in(6);
                self.put(at, verb.with("deep", i64::from(is_deep)));
            }
            "reissue" => {
                let keep = i64::from(self.once_in(2));
                self.put(at, verb.with("keep", keep));
            }
            "break" => {
                let trouble = self.one(&TROUBLES);
                let healed = at + self.number(HOUR, 3 * DAY);
                self.put(at, verb.clone().with("truv", trouble.0).with("bridge", trouble.1));
                self.put(healed, again("heal"));
            }
            "close-account" => {
                let back = at + self.number(HOUR, 4 * DAY);
                self.put(at, verb.clone());
                self.put(back, again("reopen-account"));
            }
            "share" => {
                let back = at + self.number(HOUR, 4 * DAY);
                self.put(at, verb.clone().with("shared", 0));
                self.put(back, again("share").with("shared", 1));
            }
            "ask" => {
                let is_full = i64::from(self.once_in(6));
                self.put(at, verb.with("full", is_full));
            }
            _ => self.put(at, verb),
        }
    }
}
