//! The refresh budget: may this link be refreshed now, and if not, until when not. Pure; the ledger is in the store.
//!
//! The limit is a rolling log of instants, not a bucket: a bucket of four a day admits seven in 24 hours. A refresh counts
//! from the latest instant at which the aggregator may have counted it, so that a slow answer never makes us early.
//! Source: upstream/truv.md section 2 (three per access token in 24 hours), page 002 (development secrets).

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::store::RefreshUse;

/// The rolling window of the daily limit.
pub const REFRESH_WINDOW: SignedDuration = SignedDuration::from_hours(24);

/// What limits refreshes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshPolicy {
    /// Per link and rolling 24 hours; 0: never refresh.
    pub per_day: u32,
    /// How many of those only a person may use.
    pub reserve: u32,
    /// Per source and calendar month (UTC).
    pub per_month: Option<u32>,
    /// Successful ones per credential, ever.
    pub lifetime_cap: Option<u32>,
}

/// Why a link is not refreshed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshHeld {
    /// Which limit holds it.
    pub reason: HoldReason,
    /// When it lifts; `None`: not by waiting.
    pub until: Option<Timestamp>,
}

/// A limit on refreshes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldReason {
    /// `refreshes_per_day` is 0.
    SwitchedOff,
    /// No access token is known.
    NoToken,
    /// The link's refreshes of the last 24 hours are spent.
    DailyLimit,
    /// What is left is kept for a person.
    Reserve,
    /// The source's refreshes of this month are spent.
    MonthlyCap,
    /// The development credential's tasks are spent.
    LifetimeCap,
    /// The aggregator refused although our ledger allowed it: somebody else refreshes too.
    RefusedUpstream,
}

impl fmt::Display for HoldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SwitchedOff => "refreshes are switched off (refreshes_per_day = 0)",
            Self::NoToken => "the link's access token is not known; the next discovery brings it",
            Self::DailyLimit => "the link's refreshes of the last 24 hours are spent",
            Self::Reserve => "the refreshes left today are kept for a person's request (refresh_reserve)",
            Self::MonthlyCap => "the source's refreshes of this month are spent (refreshes_per_month)",
            Self::LifetimeCap => "the development secret's successful tasks are spent",
            Self::RefusedUpstream => "the aggregator counts more refreshes than we sent: another system refreshes too",
        })
    }
}

impl fmt::Display for RefreshHeld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reason)?;
        match self.until {
            Some(until) => write!(f, ", until {}", until.strftime("%Y-%m-%d %H:%M:%SZ")),
            None => Ok(()),
        }
    }
}

/// Decides whether a link may be refreshed at `now`.
///
/// Shape: `Ok` grants one refresh, to be booked in the same store transaction that `used` was read in.
pub fn decide(
    policy: &RefreshPolicy,
    used: &RefreshUse,
    is_person: bool,
    refused_until: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), RefreshHeld> {
    let held = |reason, until| Err(RefreshHeld { reason, until });
    if policy.per_day == 0 {
        return held(HoldReason::SwitchedOff, None);
    }
    if policy.lifetime_cap.is_some_and(|cap| used.done_ever >= cap) {
        return held(HoldReason::LifetimeCap, None);
    }
    if policy.per_month.is_some_and(|cap| used.in_month >= cap) {
        return held(HoldReason::MonthlyCap, Some(next_month(now)));
    }
    if let Some(until) = refused_until.filter(|until| *until > now) {
        return held(HoldReason::RefusedUpstream, Some(until));
    }
    let allowed = if is_person { policy.per_day } else { policy.per_day.saturating_sub(policy.reserve) };
    let spent = used.in_last_day.len();
    if spent < allowed as usize {
        return Ok(());
    }
    // The oldest ones fall out of the window one by one; so many must, that fewer than `allowed` are left.
    let frees_at = spent.checked_sub(allowed as usize).and_then(|index| used.in_last_day.get(index));
    let until = frees_at.and_then(|at| at.checked_add(REFRESH_WINDOW).ok());
    let is_reserve = spent < policy.per_day as usize;
    held(if is_reserve { HoldReason::Reserve } else { HoldReason::DailyLimit }, until)
}

/// Start of the calendar month (UTC) that `now` lies in.
pub fn month_began(now: Timestamp) -> Timestamp {
    let day = now.to_zoned(jiff::tz::TimeZone::UTC).date().first_of_month();
    day.to_zoned(jiff::tz::TimeZone::UTC).map_or(now, |zoned| zoned.timestamp())
}

fn next_month(now: Timestamp) -> Timestamp {
    let last = now.to_zoned(jiff::tz::TimeZone::UTC).date().last_of_month();
    let first = last.saturating_add(jiff::Span::new().days(1));
    first.to_zoned(jiff::tz::TimeZone::UTC).map_or(now, |zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POLICY: RefreshPolicy = RefreshPolicy { per_day: 3, reserve: 1, per_month: None, lifetime_cap: None };

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + hours * 3600).expect("in range")
    }

    fn used(hours: &[i64]) -> RefreshUse {
        RefreshUse { in_last_day: hours.iter().map(|h| at(*h)).collect(), ..RefreshUse::default() }
    }

    fn verdict(
        policy: &RefreshPolicy,
        used: &RefreshUse,
        is_person: bool,
    ) -> Result<(), (HoldReason, Option<Timestamp>)> {
        decide(policy, used, is_person, None, at(20)).map_err(|held| (held.reason, held.until))
    }

    #[test]
    fn the_last_one_is_kept_for_a_person() {
        assert_eq!(verdict(&POLICY, &used(&[]), false), Ok(()));
        assert_eq!(verdict(&POLICY, &used(&[0]), false), Ok(()));
        assert_eq!(verdict(&POLICY, &used(&[0, 8]), false), Err((HoldReason::Reserve, Some(at(24)))));
        assert_eq!(verdict(&POLICY, &used(&[0, 8]), true), Ok(()));
        assert_eq!(verdict(&POLICY, &used(&[0, 8, 16]), true), Err((HoldReason::DailyLimit, Some(at(24)))));
        assert_eq!(
            verdict(&POLICY, &used(&[0, 8, 16]), false),
            Err((HoldReason::DailyLimit, Some(at(32)))),
            "two must fall out before a scheduled one may go"
        );
    }

    #[test]
    fn what_holds_a_refresh_is_said_in_words_with_when_it_lifts() {
        let held = |reason, until| RefreshHeld { reason, until }.to_string();
        assert_eq!(
            held(HoldReason::DailyLimit, Some(at(0))),
            "the link's refreshes of the last 24 hours are spent, until 2023-11-14 22:13:20Z"
        );
        assert_eq!(
            held(HoldReason::SwitchedOff, None),
            "refreshes are switched off (refreshes_per_day = 0)",
            "waiting does not help"
        );
    }

    #[test]
    fn a_month_begins_at_midnight_of_its_first_day_in_utc() {
        let instant = |text: &str| text.parse::<Timestamp>().expect("an instant");
        for (now, began) in [
            ("2026-03-15T13:14:15Z", "2026-03-01T00:00:00Z"),
            ("2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z"),
            ("2026-02-28T23:59:59Z", "2026-02-01T00:00:00Z"),
        ] {
            assert_eq!(month_began(instant(now)), instant(began), "{now}");
        }
    }

    #[test]
    fn caps_name_themselves_and_when_they_lift() {
        let off = RefreshPolicy { per_day: 0, reserve: 0, ..POLICY };
        assert_eq!(verdict(&off, &used(&[]), true), Err((HoldReason::SwitchedOff, None)));
        let monthly = RefreshPolicy { per_month: Some(10), ..POLICY };
        let spent = RefreshUse { in_month: 10, ..used(&[]) };
        let december: Timestamp = "2023-12-01T00:00:00Z".parse().expect("an instant");
        assert_eq!(verdict(&monthly, &spent, true), Err((HoldReason::MonthlyCap, Some(december))));
        let development = RefreshPolicy { lifetime_cap: Some(50), ..POLICY };
        let spent = RefreshUse { done_ever: 50, ..used(&[]) };
        assert_eq!(verdict(&development, &spent, true), Err((HoldReason::LifetimeCap, None)));
        let refused = decide(&POLICY, &used(&[]), true, Some(at(21)), at(20)).expect_err("held");
        assert_eq!(refused.reason, HoldReason::RefusedUpstream);
        assert_eq!(decide(&POLICY, &used(&[]), true, Some(at(20)), at(20)), Ok(()), "the hold is over");
    }

    proptest! {
        #[test]
        fn no_window_of_24_hours_holds_more_than_allowed(
            steps in proptest::collection::vec(0_i64..40_000, 1..120), per_day in 1_u32..5, is_person in any::<bool>()
        ) {
            let policy = RefreshPolicy { per_day, reserve: 0, ..POLICY };
            let mut log: Vec<Timestamp> = Vec::new();
            let mut now = at(0);
            for step in steps {
                now = now.checked_add(SignedDuration::from_secs(step)).expect("in range");
                let began = now.checked_sub(REFRESH_WINDOW).expect("in range");
                let in_last_day = log.iter().copied().filter(|t| *t > began).collect();
                match decide(&policy, &RefreshUse { in_last_day, ..RefreshUse::default() }, is_person, None, now) {
                    Ok(()) => log.push(now),
                    Err(held) => prop_assert!(held.until.is_some_and(|until| until > now)),
                }
            }
            for first in &log {
                let ends = first.checked_add(REFRESH_WINDOW).expect("in range");
                let inside = log.iter().filter(|t| *t >= first && **t < ends).count();
                prop_assert!(inside <= per_day as usize);
            }
        }

        #[test]
        fn a_hold_lifts_when_it_says_and_not_before(
            seconds in proptest::collection::vec(0_i64..86_400, 0..8), per_day in 1_u32..5, reserve in 0_u32..5,
            is_person in any::<bool>(),
        ) {
            let policy = RefreshPolicy { per_day, reserve: reserve.min(per_day), ..POLICY };
            let mut log: Vec<Timestamp> = seconds.iter().map(|s| at(0) + SignedDuration::from_secs(*s)).collect();
            log.sort();
            let asked_at = |now: Timestamp| {
                let began = now - REFRESH_WINDOW;
                let in_last_day = log.iter().copied().filter(|t| *t > began).collect();
                decide(&policy, &RefreshUse { in_last_day, ..RefreshUse::default() }, is_person, None, now)
            };
            if let Err(RefreshHeld { until: Some(until), .. }) = asked_at(at(24)) {
                prop_assert!(asked_at(until - SignedDuration::from_millis(1)).is_err(), "it lifts before {}", until);
                prop_assert_eq!(asked_at(until), Ok(()));
            }
        }
    }
}
