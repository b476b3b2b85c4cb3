//! From values to places in a picture, in whole numbers: nothing here may lose a cent or overflow.

/// How far `value` reaches of `room`, where `most` reaches all of it; anything above nothing reaches at least one.
pub(super) fn reach(value: u64, most: u64, room: u32) -> u32 {
    if value == 0 || most == 0 {
        return 0;
    }
    let scaled = u128::from(value.min(most)) * u128::from(room) / u128::from(most);
    u32::try_from(scaled).unwrap_or(room).max(1)
}

/// Where `value` lies between `low` (0) and `high` (`room`); outside of them, at the nearer one.
pub(super) fn place(value: i64, low: i64, high: i64, room: u32) -> u32 {
    let span = i128::from(high) - i128::from(low);
    if span <= 0 {
        return 0;
    }
    let above = (i128::from(value) - i128::from(low)).clamp(0, span);
    u32::try_from(above * i128::from(room) / span).unwrap_or(room)
}

/// The upper edge of a picture whose highest value is `value`: at least that, little more, and told in few digits.
pub(super) fn edge(value: u64) -> u64 {
    let mut unit = 1_u64;
    while value / unit >= 100 {
        unit *= 10;
    }
    let step = if value < 10 { 1 } else { unit.saturating_mul(5) };
    value.max(1).div_ceil(step).saturating_mul(step)
}

/// A round number that is at least `value` and at most 2.5 times as much: 1, 2 or 5 and zeros; at least 1.
pub(super) fn round_up(value: u64) -> u64 {
    let mut unit = 1_u64;
    loop {
        for factor in [1, 2, 5] {
            match unit.checked_mul(factor) {
                Some(round) if round >= value => return round,
                Some(_) => {}
                None => return u64::MAX,
            }
        }
        match unit.checked_mul(10) {
            Some(next) => unit = next,
            None => return u64::MAX,
        }
    }
}

/// Evenly spaced round values from one at or below `low` to one at or above `high`.
///
/// Shape: three to seven, rising; where the two are the same, the one in the middle of three. Only where numbers end are there
/// less.
pub(super) fn ticks(low: i64, high: i64) -> Vec<i64> {
    let span = high.abs_diff(low);
    let step = i64::try_from(round_up((span / 5).max(1))).unwrap_or(i64::MAX);
    let (mut low, mut high) = (low, high);
    if span == 0 {
        (low, high) = (low.saturating_sub(step), high.saturating_add(step));
    }
    let mut tick = low.div_euclid(step).saturating_mul(step);
    let mut ticks = vec![tick];
    while tick < high {
        let Some(next) = tick.checked_add(step) else { break };
        tick = next;
        ticks.push(tick);
    }
    if ticks.len() == 2 {
        ticks.extend(tick.checked_add(step));
    }
    ticks
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn round_numbers_are_ones_twos_and_fives() {
        let cases =
            [(0, 1), (1, 1), (3, 5), (7, 10), (11, 20), (300, 500), (500, 500), (501, 1000), (u64::MAX, u64::MAX)];
        for (value, round) in cases {
            assert_eq!(round_up(value), round, "{value}");
        }
    }

    #[test]
    fn the_upper_edge_is_near_the_highest_value() {
        let cases =
            [(0, 1), (7, 7), (11, 15), (50, 50), (612, 650), (1_115, 1_500), (99_999, 100_000), (u64::MAX, u64::MAX)];
        for (value, expected) in cases {
            assert_eq!(edge(value), expected, "{value}");
        }
    }

    #[test]
    fn ticks_are_round_and_enclose_what_is_shown() {
        assert_eq!(ticks(0, 100), [0, 20, 40, 60, 80, 100]);
        assert_eq!(ticks(-150, 310), [-200, -100, 0, 100, 200, 300, 400]);
        assert_eq!(ticks(1_234, 1_234), [1_233, 1_234, 1_235]);
    }

    proptest! {
        #[test]
        fn ticks_stay_few_and_in_order(a in any::<i64>(), b in any::<i64>()) {
            let (low, high) = (a.min(b), a.max(b));
            let ticks = ticks(low, high);
            prop_assert!(!ticks.is_empty() && ticks.len() <= 8, "{:?}", ticks);
            prop_assert!(ticks.is_sorted());
        }

        #[test]
        fn places_lie_in_the_room_and_keep_their_order(
            a in any::<i64>(), b in any::<i64>(), low in any::<i64>(), high in any::<i64>(),
        ) {
            let (first, second) = (place(a.min(b), low, high, 400), place(a.max(b), low, high, 400));
            prop_assert!(first <= second && second <= 400);
        }

        #[test]
        fn whatever_is_there_is_seen(value in 1_u64.., most in 1_u64..) {
            let height = reach(value, most, 100);
            prop_assert!((1..=100).contains(&height));
        }
    }
}
