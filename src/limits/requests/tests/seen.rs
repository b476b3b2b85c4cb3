//! The limits as the aggregator sees them: requests arrive later than they were sent, each by another time.

use super::*;

/// A quota of any size with a window of any length, and how many parts of it are kept for bursts.
fn paces() -> impl Strategy<Value = (Quota, u32, u32)> {
    let requests = prop_oneof![1..50_u32, 1..5_000_u32, any::<u32>()];
    let window_ns = prop_oneof![1..1_000_u64, 1..600_000_000_000_u64, Just(1_000_000_000_000_000_000)];
    let margin = MIN_MARGIN_PERCENT..=MAX_MARGIN_PERCENT;
    let quota = (requests, window_ns).prop_map(|(requests, ns)| Quota { requests, window: Duration::from_nanos(ns) });
    (quota, margin, prop_oneof![Just(BURST_PART), Just(SCOPED_BURST_PART), 1..100_u32])
}

/// What a bucket of this pace admits in a closed window at most.
fn most_admitted(pace: Pace, window: Duration) -> u128 {
    u128::from(pace.burst.get()) + window.as_nanos() / pace.period.as_nanos()
}

proptest! {
    #[test]
    fn burst_and_refill_of_every_pace_fit_the_limit((quota, margin, burst_part) in paces()) {
        let pace = Pace::within(quota, margin, burst_part);
        let percent = u64::from(100 - margin);
        prop_assert!(u64::from(pace.limit) <= (u64::from(quota.requests) * percent / 100).max(1));
        prop_assert!(most_admitted(pace, quota.window) <= u128::from(pace.limit), "{pace:?} of {quota:?}");
        let halved = pace.halved();
        prop_assert!(most_admitted(halved, quota.window) <= u128::from(pace.limit), "{halved:?} of {quota:?}");
    }
}

/// How much later one request may arrive than another without the aggregator ever counting more than its quota.
fn tolerated_jitter(quota: Quota) -> Duration {
    let pace = Pace::within(quota, DEFAULT_MARGIN_PERCENT, BURST_PART);
    (pace.period * (quota.requests.max(1) - pace.burst.get())).saturating_sub(quota.window)
}

/// When requests arrive that travel for a while each.
fn arrivals(admitted: &[(Instant, Claims)], delays: &[u32], longest: Duration) -> Vec<Instant> {
    let longest_ns = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
    let part_of = |part: u32| (u128::from(longest_ns) * u128::from(part)) / u128::from(u32::MAX);
    let delays =
        delays.iter().cycle().map(|part| Duration::from_nanos(part_of(*part).try_into().unwrap_or(longest_ns)));
    admitted.iter().zip(delays).map(|((at, _), delay)| *at + delay).collect()
}

#[derive(Clone, Debug)]
struct Change {
    at_ms: u64,
    requests: u32,
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn the_aggregator_sees_no_more_than_its_quota_while_requests_overtake_each_other(
        requests in 1..400_u32,
        window_ms in 500..90_000_u64,
        delays in prop::collection::vec(prop_oneof![Just(0), Just(u32::MAX), any::<u32>()], 1..40),
        load in loads(Just(Claims::none())),
    ) {
        let quota = Quota { requests, window: Duration::from_millis(window_ms) };
        let admitted = in_paused_time(run(move || limiter(quota, 30), load));
        let mut seen = arrivals(&admitted, &delays, tolerated_jitter(quota));
        let worst = worst_window(&mut seen, quota.window);
        prop_assert!(worst <= requests as usize, "{worst} of {quota:?}, {:?} late", tolerated_jitter(quota));
    }

    /// A reload may change the quota of a credential again and again while requests wait.
    #[test]
    fn no_window_exceeds_the_largest_limit_while_limiters_succeed_each_other(
        first in 1..400_u32,
        changes in prop::collection::vec(
            (0..100_000_u64, 1..400_u32).prop_map(|(at_ms, requests)| Change { at_ms, requests }), 1..6
        ),
        arrivals_ms in prop::collection::vec(0..60_000_u64, 1..400),
    ) {
        let largest = changes.iter().map(|change| change.requests).chain([first]).max().unwrap_or(1);
        let mut admitted = in_paused_time(succeeding(first, changes, arrivals_ms));
        let limit = (largest * (100 - DEFAULT_MARGIN_PERCENT) / 100).max(1);
        let worst = worst_window(&mut admitted, MINUTE);
        prop_assert!(worst <= limit as usize, "{worst}, allowed {limit}");
    }
}

/// Lets requests come to the limiter that is the latest when they come.
async fn succeeding(first: u32, mut changes: Vec<Change>, arrivals_ms: Vec<u64>) -> Vec<Instant> {
    let of = |requests| limiter(Quota { requests, window: MINUTE }, 30);
    let began = Instant::now();
    let current = Arc::new(Mutex::new(of(first)));
    let mut tasks = JoinSet::new();
    for at_ms in arrivals_ms {
        let current = Arc::clone(&current);
        tasks.spawn(async move {
            tokio::time::sleep_until(began + Duration::from_millis(at_ms)).await;
            let limiter = current.lock().expect("not poisoned").clone();
            limiter.admit(Lane::Scheduled, &Claims::none()).await;
            Instant::now()
        });
    }
    changes.sort_by_key(|change| change.at_ms);
    for change in changes {
        tokio::time::sleep_until(began + Duration::from_millis(change.at_ms)).await;
        let successor = of(change.requests);
        let former = std::mem::replace(&mut *current.lock().expect("not poisoned"), successor.clone());
        former.succeeded_by(&successor);
    }
    tasks.join_all().await
}

#[test]
fn the_default_margin_tolerates_about_three_seconds_a_minute() {
    let jitter = tolerated_jitter(TRUV);
    assert!((Duration::from_secs(3)..Duration::from_secs(4)).contains(&jitter), "{jitter:?}");
}
