use std::collections::BTreeSet;

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;

const HALF_HOUR: Duration = Duration::from_mins(30);

fn at(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

fn schedule(text: &str, zone: &str) -> Schedule {
    Schedule::parse(text, &TimeZone::get(zone).expect("a zone")).expect("a schedule")
}

fn later(instant: Timestamp, seconds: i64) -> Timestamp {
    instant.saturating_add(SignedDuration::from_secs(seconds)).expect("in range")
}

#[test]
fn fires_follow_the_table() {
    let cases: &[(&str, &str, &str, &[&str])] = &[
        // The gap: 02:00 to 03:00 does not exist in Berlin on 29 March 2026, nor in New York on 8 March.
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-03-28T00:00:00Z",
            &["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"],
        ),
        (
            "30 2 * * *",
            "America/New_York",
            "2026-03-07T00:00:00Z",
            &["2026-03-07T07:30:00Z", "2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"],
        ),
        (
            "*/30 * * * *",
            "Europe/Berlin",
            "2026-03-29T00:00:00Z",
            &["2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"],
        ),
        // The overlap: 02:00 to 03:00 comes twice in Berlin on 25 October, 01:00 to 02:00 in New York on 1 November.
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", &["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]),
        ("30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", &["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"]),
        (
            "*/30 * * * *",
            "Europe/Berlin",
            "2026-10-25T00:00:00Z",
            &["2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:00:00Z"],
        ),
        // The default schedules.
        (
            "0 */8 * * *",
            "UTC",
            "2026-06-01T00:00:00Z",
            &["2026-06-01T08:00:00Z", "2026-06-01T16:00:00Z", "2026-06-02T00:00:00Z"],
        ),
        ("0 4 * * 0", "UTC", "2026-06-01T00:00:00Z", &["2026-06-07T04:00:00Z", "2026-06-14T04:00:00Z"]),
        // Day of month or day of week, as crontab(5) says.
        (
            "0 0 13 * FRI",
            "UTC",
            "2026-11-01T00:00:00Z",
            &["2026-11-06T00:00:00Z", "2026-11-13T00:00:00Z", "2026-11-20T00:00:00Z"],
        ),
        (
            "0 0 1 12 1",
            "UTC",
            "2026-11-30T12:00:00Z",
            &["2026-12-01T00:00:00Z", "2026-12-07T00:00:00Z", "2026-12-14T00:00:00Z"],
        ),
        // Six fields, and spaces as they come.
        (
            "15  */2 3 * *  *",
            "UTC",
            "2026-06-01T03:57:00Z",
            &["2026-06-01T03:58:15Z", "2026-06-02T03:00:15Z", "2026-06-02T03:02:15Z"],
        ),
        ("@daily", "UTC", "2026-06-01T00:00:00Z", &["2026-06-02T00:00:00Z"]),
        // A leap day is rare, not impossible.
        ("0 0 29 2 *", "UTC", "2026-06-01T00:00:00Z", &["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"]),
    ];
    for (text, zone, from, expected) in cases {
        let schedule = schedule(text, zone);
        let fires: Vec<_> = std::iter::successors(schedule.next_after(at(from)), |fire| schedule.next_after(*fire))
            .take(expected.len())
            .collect();
        let expected: Vec<_> = expected.iter().map(|text| at(text)).collect();
        assert_eq!(fires, expected, "{text} in {zone} after {from}");
    }
}

#[test]
fn wrong_expressions_are_refused_with_a_reason() {
    let refuse = |text: &str| Schedule::parse(text, &TimeZone::UTC).expect_err(text);
    assert!(matches!(refuse(""), ScheduleError::FieldCount { found: 0 }));
    assert!(matches!(refuse("0 4 * *"), ScheduleError::FieldCount { found: 4 }));
    assert!(matches!(refuse("daily"), ScheduleError::FieldCount { found: 1 }));
    assert!(matches!(refuse("@daily 5"), ScheduleError::FieldCount { found: 2 }));
    assert!(matches!(refuse("0 0 4 * * * 2027"), ScheduleError::FieldCount { found: 7 }));
    assert!(matches!(refuse("0 25 * * *"), ScheduleError::Malformed { .. }));
    assert!(matches!(refuse("@sometimes"), ScheduleError::Malformed { .. }));
    assert!(matches!(refuse("every day at four o'clock"), ScheduleError::Malformed { .. }));
    assert!(matches!(refuse("0 0 31 2 *"), ScheduleError::NeverFires));
    assert!(matches!(refuse("0 0 30 2 *"), ScheduleError::NeverFires));
    // The last Friday of February is never its 19th.
    assert!(matches!(refuse("0 0 19 2 +5L"), ScheduleError::NeverFires));
    // No second at all: looked for one by one to the end of the calendar, it took a minute to find none.
    assert!(matches!(refuse(", * * * * *"), ScheduleError::ListWithGap { list } if list == ","));
    assert!(matches!(refuse("0 4,,5 * * *"), ScheduleError::ListWithGap { .. }));
    // The rarest day there is.
    assert!(Schedule::parse("0 0 29 2 +1", &TimeZone::UTC).is_ok());
}

#[test]
fn a_fire_is_missed_from_its_second_on_until_the_next_look() {
    let daily = schedule("0 4 * * *", "UTC");
    let (yesterday, fire) = (at("2026-06-01T04:00:00Z"), at("2026-06-02T04:00:00Z"));
    assert_eq!(daily.missed_since(yesterday, later(fire, -1)), None);
    assert_eq!(daily.missed_since(yesterday, fire), Some(fire));
    assert_eq!(daily.missed_since(yesterday, later(fire, 90_000)), Some(fire), "the first of two");
    assert_eq!(daily.missed_since(fire, later(fire, 60)), None);
}

#[test]
fn schedules_are_equal_when_text_and_zone_are() {
    assert_eq!(schedule("0 4 * * *", "UTC"), schedule(" 0 4  * * *", "UTC"));
    assert_eq!(schedule(" 0 4  * * *", "UTC").as_str(), "0 4 * * *");
    assert_ne!(schedule("0 4 * * *", "Europe/Berlin"), schedule("0 4 * * *", "UTC"));
    assert_ne!(schedule("0 5 * * *", "UTC"), schedule("0 4 * * *", "UTC"));
}

#[test]
fn the_answer_is_strictly_after_now_also_within_a_second() {
    let schedule = schedule("0 4 * * *", "UTC");
    assert_eq!(schedule.next_after(at("2026-06-01T03:59:59.999Z")), Some(at("2026-06-01T04:00:00Z")));
    assert_eq!(schedule.next_after(at("2026-06-01T04:00:00Z")), Some(at("2026-06-02T04:00:00Z")));
    assert_eq!(schedule.next_after(at("2026-06-01T04:00:00.001Z")), Some(at("2026-06-02T04:00:00Z")));
}

#[test]
fn intervals_and_fires_are_counted() {
    let thrice = schedule("0 */8 * * *", "UTC");
    assert_eq!(thrice.interval_after(at("2026-06-01T03:00:00Z")), Duration::from_hours(8));
    assert_eq!(thrice.fires_per_day(at("2026-06-01T00:00:00Z"), 100), 3);
    assert_eq!(schedule("* * * * * *", "UTC").fires_per_day(at("2026-06-01T00:00:00Z"), 7), 7);
    let gap = schedule("0 * * * *", "Europe/Berlin");
    assert_eq!(gap.interval_after(at("2026-03-29T00:30:00Z")), Duration::from_hours(1));
}

#[test]
fn the_span_is_a_quarter_of_the_interval_and_at_most_the_maximum() {
    let now = at("2026-06-01T03:00:00Z");
    assert_eq!(spread_span(&schedule("0 */8 * * *", "UTC"), now, HALF_HOUR), HALF_HOUR);
    assert_eq!(spread_span(&schedule("0 * * * *", "UTC"), now, HALF_HOUR), Duration::from_mins(15));
    assert_eq!(spread_span(&schedule("0 * * * *", "UTC"), now, Duration::ZERO), Duration::ZERO);
}

#[test]
fn offsets_are_stable_and_even() {
    // Fixed values: a change would move every link of every installation.
    assert_eq!(spread("truv-prod/1", HALF_HOUR), Duration::from_millis(GOLDEN_MS[0]));
    assert_eq!(spread("truv-prod/2", HALF_HOUR), Duration::from_millis(GOLDEN_MS[1]));
    assert_eq!(spread("anything", Duration::ZERO), Duration::ZERO);

    let mut buckets = [0_u32; 30];
    for key in 0..10_000 {
        let offset = spread(&format!("truv-prod/{key}"), HALF_HOUR);
        assert!(offset < HALF_HOUR);
        buckets[usize::try_from(offset.as_secs() / 60).expect("small")] += 1;
    }
    // 333 are expected in each minute, with a standard deviation of 18.
    assert!(buckets.iter().all(|count| (250..=420).contains(count)), "{buckets:?}");
}

const GOLDEN_MS: [u64; 2] = [819_874, 1_235_864];

#[test]
fn a_slot_whose_fire_is_past_but_whose_offset_is_ahead_still_comes() {
    let schedule = schedule("0 */8 * * *", "UTC");
    let due_at = next_due_at(&schedule, "a-link", HALF_HOUR, at("2026-06-01T07:00:00Z"));
    assert!(due_at > at("2026-06-01T08:00:00Z") && due_at < at("2026-06-01T08:30:00Z"), "{due_at}");
    assert_eq!(next_due_at(&schedule, "a-link", HALF_HOUR, at("2026-06-01T08:00:00Z")), due_at);
    assert_eq!(next_due_at(&schedule, "a-link", HALF_HOUR, later(due_at, -1)), due_at);
    assert_eq!(next_due_at(&schedule, "a-link", HALF_HOUR, due_at), later(due_at, 8 * 3600));
    assert_eq!(due_at.as_nanosecond() % 1_000_000, 0, "the store keeps milliseconds");
}

#[test]
fn after_three_days_asleep_a_link_is_due_once_and_then_as_usual() {
    let schedule = schedule("0 * * * *", "Europe/Berlin");
    let mut due_at = next_due_at(&schedule, "a-link", HALF_HOUR, at("2026-06-01T00:00:00Z"));
    let woken = later(due_at, 3 * 24 * 3600 + 7);
    let mut runs = 0;
    while due_at <= woken {
        runs += 1;
        due_at = next_due_at(&schedule, "a-link", HALF_HOUR, woken);
    }
    assert_eq!(runs, 1);
    assert!(due_at <= later(woken, 3600), "the next slot is not lost");
}

#[test]
fn retries_double_from_a_minute_to_six_hours_and_never_stop() {
    let mut rng = StdRng::seed_from_u64(7);
    for (failures, minutes) in [(0, 1), (1, 1), (2, 2), (3, 4), (4, 8), (9, 256), (10, 360), (11, 360), (u32::MAX, 360)]
    {
        let full = Duration::from_secs(minutes * 60);
        let delays: BTreeSet<_> = (0..50).map(|_| retry_delay(failures, &mut rng)).collect();
        assert!(delays.iter().all(|delay| *delay <= full && *delay >= full * 3 / 4), "{failures}: {delays:?}");
        assert!(delays.len() > 40, "jitter differs from one to the next");
    }
    let seeded = |seed| retry_delay(3, &mut StdRng::seed_from_u64(seed));
    assert_eq!(seeded(1), seeded(1), "the random source is the argument");
}

#[test]
fn polls_double_to_their_cap() {
    let seconds = |polls| poll_delay(polls, Duration::from_secs(20), Duration::from_mins(2)).as_secs();
    assert_eq!([0, 1, 2, 3, 4, 31, 32, u32::MAX].map(seconds), [20, 40, 80, 120, 120, 120, 120, 120]);
}

/// Expressions of every kind, in zones with gaps and overlaps of an hour and of half an hour.
fn any_schedule() -> impl Strategy<Value = Schedule> {
    let texts = [
        "*/15 * * * *",
        "30 2 * * *",
        "0 */8 * * *",
        "30 1,2 * * *",
        "*/20 1-3 * * *",
        "0 0 13 * FRI",
        "0 4 * * 0",
        "*/10 * * * * *",
        "0 0,1 * * *",
        "59 1 25 10 *",
        "0 0 L * *",
    ];
    let zones = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago"];
    (proptest::sample::select(texts.to_vec()), proptest::sample::select(zones.to_vec()))
        .prop_map(|(text, zone)| schedule(text, zone))
}

/// Instants of 2026 and 2027, half of them within a day of a change of the clocks.
fn any_instant() -> impl Strategy<Value = Timestamp> {
    let changes = [
        "2026-03-08T07:00:00Z",
        "2026-03-29T01:00:00Z",
        "2026-10-25T01:00:00Z",
        "2026-11-01T06:00:00Z",
        "2026-04-04T15:00:00Z",
        "2026-10-03T15:30:00Z",
        "2026-04-05T03:00:00Z",
        "2026-09-06T04:00:00Z",
    ];
    let near = (proptest::sample::select(changes.to_vec()), -86_400_000_i64..86_400_000)
        .prop_map(|(change, off_ms)| at(change).as_millisecond() + off_ms);
    let anywhere = at("2026-01-01T00:00:00Z").as_millisecond()..at("2028-01-01T00:00:00Z").as_millisecond();
    prop_oneof![near, anywhere].prop_map(|ms| Timestamp::from_millisecond(ms).expect("in range"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn delays_grow_to_their_bounds_and_stay_in_them(
        failures in any::<u32>(), polls in any::<u32>(), seed in any::<u64>(),
        first_s in 1_u64..100_000, max_s in 1_u64..100_000,
    ) {
        let delay = retry_delay(failures, &mut StdRng::seed_from_u64(seed));
        prop_assert!((FIRST_RETRY * 3 / 4..=MAX_RETRY).contains(&delay), "{:?}", delay);
        let (first, max) = (Duration::from_secs(first_s), Duration::from_secs(max_s));
        let (now, next) = (poll_delay(polls, first, max), poll_delay(polls.saturating_add(1), first, max));
        prop_assert!(first.min(max) <= now && now <= next && next <= max, "{:?} and {:?}", now, next);
    }

    #[test]
    fn next_after_strictly_increases_and_leaves_out_no_fire(
        schedule in any_schedule(), now in any_instant(), share in 0_i64..1000,
    ) {
        let first = schedule.next_after(now).expect("a fire");
        let second = schedule.next_after(first).expect("a fire");
        prop_assert!(first > now);
        prop_assert!(second > first);
        let gap_ms = second.as_millisecond() - first.as_millisecond();
        let between = Timestamp::from_millisecond(first.as_millisecond() + gap_ms * share / 1000).expect("in range");
        prop_assert_eq!(schedule.next_after(between), Some(second), "asked at {}", between);
        prop_assert_eq!(schedule.last_until(between), Some(first), "asked at {}", between);
    }

    #[test]
    fn next_due_at_neither_skips_nor_doubles_a_slot(
        schedule in any_schedule(), now in any_instant(), key in "[a-z]{1,8}",
        max_spread_s in prop_oneof![Just(0_u64), 1_u64..120, 120_u64..86_400], share in 0_i64..1000,
    ) {
        let max_spread = Duration::from_secs(max_spread_s);
        let mut due_at = next_due_at(&schedule, &key, max_spread, now);
        prop_assert!(due_at > now);
        // An offset is below a day here, so the slot's fire is no longer ago than that.
        let mut fire = schedule.next_after(later(due_at, -86_401)).expect("a fire");
        while let Some(next) = schedule.next_after(fire).filter(|next| *next <= due_at) {
            fire = next;
        }
        for _ in 0..4 {
            // One slot: the last fire at or before the due instant. The next due instant belongs to the next fire.
            let next_fire = schedule.next_after(fire).expect("a fire");
            prop_assert!(fire <= due_at && due_at < next_fire, "{} in {}..{}", due_at, fire, next_fire);
            let next_due = next_due_at(&schedule, &key, max_spread, due_at);
            let gap_ms = next_due.as_millisecond() - due_at.as_millisecond();
            let asked = Timestamp::from_millisecond(due_at.as_millisecond() + gap_ms * share / 1000).expect("in range");
            prop_assert_eq!(next_due_at(&schedule, &key, max_spread, asked), next_due, "asked at {}", asked);
            (fire, due_at) = (next_fire, next_due);
        }
    }
}
