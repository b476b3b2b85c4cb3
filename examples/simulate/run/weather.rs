//! What goes wrong between us and the aggregators, and for how long.

use std::time::Duration;

use jiff::SignedDuration;
use passbook::sandbox::{Fault, FaultId, Scope, ThrottleForm};

use crate::on_call::{Mood, OnCall};
use crate::plan::{HOUR, MINUTE, Verb};
use crate::town::Town;

enum Ends {
    Fault(FaultId),
    Latency,
    PostOffice,
    OnCall,
}

/// What is wrong now.
pub(super) struct Weather {
    latency: Duration,
    on_call: OnCall,
    ends: Vec<(i64, Ends)>,
    /// Since when rows may vanish unnoticed.
    shrinks_since: Option<i64>,
}

impl Weather {
    pub(super) fn new(setup: &Verb, on_call: OnCall) -> Self {
        Self {
            on_call,
            latency: Duration::from_millis(setup.number("latency-ms").unsigned_abs()),
            ends: Vec::new(),
            shrinks_since: None,
        }
    }

    /// When the next thing is over.
    pub(super) fn next_ms(&self) -> Option<i64> {
        self.ends.iter().map(|(at, _)| *at).min()
    }

    /// Tells the town what vanished.
    pub(super) fn tell(&self, town: &mut Town) {
        if let Some(since) = self.shrinks_since {
            town.notice_vanished(since);
        }
    }

    /// Ends what is over.
    pub(super) fn clear_up(&mut self, town: &mut Town, now_ms: i64) {
        let (over, goes_on) = std::mem::take(&mut self.ends).into_iter().partition(|(at, _)| *at <= now_ms);
        self.ends = goes_on;
        let over: Vec<(i64, Ends)> = over;
        if !over.is_empty() {
            self.tell(town);
        }
        for (_, ends) in over {
            match ends {
                Ends::Fault(fault) => town.bank.clear_fault(fault),
                Ends::Latency => town.bank.settings(|s| s.latency = self.latency),
                Ends::PostOffice => deliver_well(town),
                Ends::OnCall => self.on_call.becomes(Mood::Takes),
            }
        }
        if self.ends.is_empty() {
            self.shrinks_since = None;
        }
    }

    /// Ends everything.
    pub(super) fn calm(&mut self, town: &mut Town) {
        self.tell(town);
        self.ends.clear();
        self.shrinks_since = None;
        town.bank.clear_faults();
        town.bank.settings(|s| s.latency = self.latency);
        deliver_well(town);
        self.on_call.becomes(Mood::Takes);
    }

    /// Begins something.
    pub(super) fn begin(&mut self, verb: &Verb, town: &Town, now: Duration) {
        let now_ms = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        match verb.word.as_str() {
            "fault" => {
                let Some(fault) = fault(verb.text("what")) else { return };
                if fault == Fault::ShrinkWhilePaging {
                    self.shrinks_since.get_or_insert(town.now_ms());
                }
                let id = town.bank.fault(fault, scope(verb, town));
                self.ends.push((now_ms + verb.number("lasts") * MINUTE, Ends::Fault(id)));
            }
            "latency" => {
                let latency = Duration::from_millis(verb.number("ms").unsigned_abs());
                town.bank.settings(|s| s.latency = latency);
                self.ends.push((now_ms + verb.number("minutes") * MINUTE, Ends::Latency));
            }
            "on-call" => {
                self.on_call.becomes(if verb.text("mood") == "hangs" { Mood::Hangs } else { Mood::Refuses });
                self.ends.push((now_ms + verb.number("hours") * HOUR, Ends::OnCall));
            }
            _ => {
                let mode = verb.text("mode");
                let is = |what: &str| mode == what || mode == "all";
                town.bank.settings(|s| {
                    s.webhooks.lose_one_in = if is("lost") { 2 } else { 0 };
                    s.webhooks.twice = is("twice");
                    s.webhooks.disorderly = is("disorder");
                    s.webhooks.delay = if is("late") { Duration::from_mins(95) } else { Duration::ZERO };
                });
                self.ends.push((now_ms + verb.number("hours") * HOUR, Ends::PostOffice));
            }
        }
    }
}

fn deliver_well(town: &Town) {
    town.bank.settings(|s| {
        s.webhooks.lose_one_in = 0;
        s.webhooks.twice = false;
        s.webhooks.disorderly = false;
        s.webhooks.delay = Duration::ZERO;
    });
}

fn scope(verb: &Verb, town: &Town) -> Scope {
    let mut scope = match verb.text("link") {
        "" => Scope::all(),
        _ => town.some_link(verb).map_or_else(Scope::all, |link| Scope::link(town.links[link].id)),
    };
    if verb.text("what") == "drift" {
        // In a feed of changes the row would be stamped with an instant long past, which no reader could find.
        scope = scope.with_path("/v1/links");
        if !verb.is("times") {
            // Read again because it grew, and growing because it is read, a list would get ten thousands of rows.
            scope = scope.times(200);
        }
    } else if !verb.text("path").is_empty() {
        scope = scope.with_path(verb.text("path"));
    }
    if !verb.text("method").is_empty() {
        scope = scope.method(verb.text("method"));
    }
    if verb.is("times") {
        scope = scope.times(u32::try_from(verb.number("times")).unwrap_or(1));
    }
    scope.after(u32::try_from(verb.number("skip")).unwrap_or(0))
}

fn fault(word: &str) -> Option<Fault> {
    Some(match word {
        "throttle" => Fault::Throttle(ThrottleForm::ErrorEnvelope),
        "throttle-date" => Fault::Throttle(ThrottleForm::RetryDate),
        "throttle-detail" => Fault::Throttle(ThrottleForm::Detail),
        "throttle-503" => Fault::Throttle(ThrottleForm::TextUnder503),
        "status-500" => Fault::Status(500),
        "status-503" => Fault::Status(503),
        "html" => Fault::Html502,
        "hang" => Fault::Hang,
        "slow" => Fault::Slow(SignedDuration::from_secs(9)),
        "reset" => Fault::Reset,
        "cut" => Fault::CutBody,
        "not-json" => Fault::NotJson,
        "empty" => Fault::EmptyBody,
        "mislabelled" => Fault::WrongContentType,
        "repeat-page" => Fault::RepeatPage,
        "invalid-page" => Fault::InvalidPage404,
        "drift" => Fault::DriftWhilePaging,
        "shrink" => Fault::ShrinkWhilePaging,
        "no-id" => Fault::RowWithoutId,
        "bad-amount" => Fault::BadAmount,
        "double-row" => Fault::DuplicateRow,
        "skew" => Fault::ClockSkew(SignedDuration::from_secs(90)),
        "absolute-next" => Fault::NextUriAbsolute,
        "null-next" => Fault::NextUriNull,
        "exponent" => Fault::ExponentAmount,
        "no-fraction" => Fault::TimestampsWithoutFraction,
        "obfuscated" => Fault::ObfuscatedEverywhere,
        _ => return None,
    })
}
