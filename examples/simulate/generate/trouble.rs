//! What goes wrong: between us and the aggregators, with the process, and by whoever operates it.

use super::{Draw, Size};
use crate::plan::{DAY, HOUR, MINUTE, Verb};

/// What a request can meet; twice what is worth twice as much.
const FAULTS: [&str; 30] = [
    "throttle",
    "throttle-date",
    "throttle-detail",
    "throttle-503",
    "status-500",
    "status-503",
    "html",
    "hang",
    "hang",
    "slow",
    "reset",
    "reset",
    "cut",
    "cut",
    "not-json",
    "empty",
    "mislabelled",
    "repeat-page",
    "invalid-page",
    "drift",
    "shrink",
    "no-id",
    "bad-amount",
    "double-row",
    "skew",
    "absolute-next",
    "null-next",
    "exponent",
    "no-fraction",
    "obfuscated",
];

impl Draw {
    /// What goes wrong between us and the aggregators.
    pub(super) fn faults(&mut self) {
        for _ in 0..self.count(250) {
            let at = self.any_time();
            let lasts = self.one(&[2 * MINUTE, 10 * MINUTE, HOUR, 4 * HOUR]);
            let what = self.one(&FAULTS);
            let mut verb = Verb::new("fault").with("what", what).with("lasts", lasts / MINUTE);
            // A row goes with each page: not all of them.
            if what == "shrink" || self.once_in(2) {
                verb = verb.with("times", self.number(1, 12));
            }
            if self.once_in(3) {
                verb = verb.with("link", self.number(0, 99));
            }
            if self.once_in(3) {
                verb = verb
                    .with("path", self.one(&["refresh/tasks", "transactions", "accounts", "token", "items", "users"]));
            }
            if self.once_in(3) {
                verb = verb.with("skip", self.number(1, 6));
            }
            self.put(at, verb);
        }
        // A refresh whose answer is lost is what costs money.
        for _ in 0..self.count(60) {
            let at = self.any_time();
            let what = self.one(&["hang", "reset", "cut", "empty"]);
            let lasts = self.one(&[60, 600]);
            let verb =
                Verb::new("fault").with("what", what).with("lasts", lasts).with("times", 2).with("method", "POST");
            self.put(at, verb.with("path", "refresh/tasks"));
        }
        for _ in 0..self.count(40) {
            let (at, lasts) = (self.any_time(), self.number(1, 30));
            let mode = self.one(&["late", "lost", "twice", "disorder", "all"]);
            self.put(at, Verb::new("post-office").with("mode", mode).with("hours", lasts));
        }
        for _ in 0..self.count(20) {
            let at = self.any_time();
            let latency = self.one(&[0, 100, 2_000, 12_000]);
            let verb = Verb::new("latency").with("ms", latency).with("minutes", self.number(5, 200));
            self.put(at, verb);
        }
    }

    /// The process dies: at a commit, before one, before a request is sent, after it was answered, at any instant.
    pub(super) fn crashes(&mut self) {
        for _ in 0..self.count(220) {
            let at = self.any_time();
            // One after another is what a crash loop is.
            let times = self.one(&[1, 1, 1, 2, 5]);
            for nth in 0..times {
                let point = self.one(&[
                    "commit",
                    "commit",
                    "before-commit",
                    "read",
                    "before-request",
                    "after-request",
                    "after-request",
                    "now",
                ]);
                let verb = Verb::new("crash").with("at", point).with("nth", self.number(1, 60));
                let down = self.one(&[0, 0, 1, 30, 600, 5 * 3600]);
                let then = at + nth * self.number(1, 40) * 1000;
                self.put(then, verb.with("down-s", down));
            }
        }
        // A first listing and the first pulls are where the most is new: what is lost there only a reconciliation brings.
        let times = self.one(&[0, 1, 3, 10]);
        for nth in 0..times {
            let at = (nth * 20 + self.number(0, 20)) * 1000;
            let point = self.one(&["commit", "commit", "after-request", "now"]);
            let verb = Verb::new("crash").with("at", point).with("nth", self.number(1, 12)).with("down-s", 0);
            self.put(at, verb);
        }
        for _ in 0..self.count(25) {
            // A refresh is booked, sent and noted: dying in between must not double it.
            let at = self.any_time();
            let verb = Verb::new("crash")
                .with("at", self.one(&["refresh-sent", "refresh-answered"]))
                .with("nth", self.number(1, 3));
            let down = self.one(&[0, 60, 3600]);
            self.put(at, verb.with("down-s", down));
        }
    }

    /// A person has everything read at once, so that limits are what holds it up; and at times the process dies over it.
    ///
    /// In half of the plans only what is new, because a read of everything makes good whatever was lost before it.
    pub(super) fn rushes(&mut self) {
        let is_full = i64::from(self.once_in(2));
        for _ in 0..self.count(40) {
            let at = self.any_time();
            self.put(at, Verb::new("rush").with("full", is_full));
            for nth in 1..=self.one(&[0, 1, 4]) {
                let then = at + (40 + nth * self.number(8, 20)) * 1000;
                self.put(then, Verb::new("crash").with("at", "now").with("nth", 1).with("down-s", 0));
            }
        }
    }

    /// Customers want to be forgotten, and at times the process dies over it.
    pub(super) fn forgettings(&mut self, size: Size) {
        for _ in 0..self.count(12) {
            let (at, verb) = (self.any_time(), self.on("forget", size.links));
            let only_here = i64::from(self.once_in(3));
            self.put(at, verb.with("only-here", only_here));
            let deaths = if size.has_trouble { self.one(&[0, 1, 4]) } else { 0 };
            for nth in 0..deaths {
                let point = self.one(&["commit", "before-commit", "after-request", "now"]);
                let verb = Verb::new("crash").with("at", point).with("nth", self.number(1, 12)).with("down-s", 0);
                let then = at - 1 + nth * self.number(1, 40_000);
                self.put(then, verb);
            }
        }
    }

    /// Those who are told of alerts do not hear, or do not say that they did.
    pub(super) fn deaf_ears(&mut self) {
        for _ in 0..self.count(40) {
            let (at, hours) = (self.any_time(), self.number(1, 30));
            let verb = Verb::new("on-call").with("mood", self.one(&["refuses", "hangs"])).with("hours", hours);
            self.put(at, verb);
        }
    }

    /// What operators do on our side.
    pub(super) fn our_side(&mut self, links: i64) {
        for _ in 0..self.count(20) {
            let (at, by) = (self.any_time(), self.number(-90_000, 90_000));
            self.put(at, Verb::new("shift").with("ms", by));
        }
        for _ in 0..self.count(18) {
            let (at, workers) = (self.any_time(), self.number(1, 6));
            let verb = Verb::new("reload").with("workers", workers).with("share", self.one(&[10, 50, 90]));
            self.put(at, verb);
        }
        for _ in 0..self.count(8) {
            let which = ["truv-secret", "bridge-secret", "bridge-webhook", "store-key"];
            let (at, which) = (self.any_time(), self.one(&which));
            self.put(at, Verb::new("rotate").with("which", which));
        }
        for _ in 0..self.count(20) {
            let (at, verb) = (self.any_time(), self.on("pause", links));
            let back = at + self.number(HOUR, 2 * DAY);
            let again = Verb::new("resume").with("link", verb.text("link"));
            self.put(at, verb);
            self.put(back, again);
        }
    }
}
