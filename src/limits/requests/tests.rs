use std::future::Future;

use jiff::SignedDuration;
use proptest::prelude::*;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::pace::SCOPED_BURST_PART;
use super::*;

mod scopes;
mod seen;

const MINUTE: Duration = Duration::from_mins(1);
const TRUV: Quota = Quota { requests: 300, window: MINUTE };

fn start() -> Timestamp {
    Timestamp::from_second(1_790_000_000).expect("in range")
}

fn limiter(quota: Quota, share: u8) -> RequestLimiter {
    RequestLimiter::new(quota, DEFAULT_MARGIN_PERCENT, share, Clock::virtual_at(start()))
}

/// So many cases in an ordinary run; as many as `PROPTEST_CASES` says, where somebody says it.
fn cases(usual: u32) -> ProptestConfig {
    /// What the crate runs where nobody says anything.
    const UNSAID: u32 = 256;
    let said = ProptestConfig::default();
    if said.cases == UNSAID { ProptestConfig { cases: usual, ..said } } else { said }
}

fn in_paused_time<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(future)
}

fn worst_window(instants: &mut [Instant], window: Duration) -> usize {
    instants.sort();
    let mut first = 0;
    let mut worst = 0;
    for last in 0..instants.len() {
        while instants[last] - instants[first] > window {
            first += 1;
        }
        worst = worst.max(last - first + 1);
    }
    worst
}

fn instants(admitted: &[(Instant, Claims)]) -> Vec<Instant> {
    admitted.iter().map(|(at, _)| *at).collect()
}

#[derive(Clone, Debug)]
struct Arrival {
    at_ms: u64,
    lane: Lane,
    gives_up_ms: Option<u64>,
    claims: Claims,
}

#[derive(Clone, Debug)]
struct Load {
    requests: Vec<Arrival>,
    restarts_ms: Vec<u64>,
    /// When, for how long, and what the throttled request had claimed.
    throttles: Vec<(u64, u64, Claims)>,
}

fn loads(claims: impl Strategy<Value = Claims> + Clone) -> impl Strategy<Value = Load> {
    let lane = prop::sample::select(vec![Lane::Person, Lane::Scheduled, Lane::Backfill]);
    let request = (0..4_u64, 0..60_000_u64, lane, prop::option::weighted(0.2, 0..20_000_u64), claims.clone()).prop_map(
        // Most requests come together, at one of four instants: the pattern that hurts.
        |(crowd, at_ms, lane, gives_up_ms, claims)| Arrival {
            at_ms: if crowd < 3 { crowd * 17_000 } else { at_ms },
            lane,
            gives_up_ms,
            claims,
        },
    );
    (
        prop::collection::vec(request, 1..400),
        prop::collection::vec(0..120_000_u64, 0..4),
        prop::collection::vec((0..120_000_u64, 0..30_000_u64, claims), 0..3),
    )
        .prop_map(|(requests, restarts_ms, throttles)| Load { requests, restarts_ms, throttles })
}

/// Runs a load until everyone is served or has given up, after two hours at the latest, and returns when each request was
/// admitted. A restart drops the limiter, with everyone who waits, and lets a new one serve those who come again.
async fn run(made: impl Fn() -> RequestLimiter + Send + Sync + 'static, load: Load) -> Vec<(Instant, Claims)> {
    let began = Instant::now();
    let current = Arc::new(Mutex::new(made()));
    let made = Arc::new(made);
    let epochs = Arc::new(Notify::new());
    let admitted = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = JoinSet::new();
    for Arrival { at_ms, lane, gives_up_ms, claims } in load.requests {
        let (current, epochs, admitted) = (Arc::clone(&current), Arc::clone(&epochs), Arc::clone(&admitted));
        tasks.spawn(async move {
            tokio::time::sleep_until(began + Duration::from_millis(at_ms)).await;
            let patience = gives_up_ms.map_or(Duration::from_hours(2), Duration::from_millis);
            let wait = async {
                loop {
                    let restarted = epochs.notified();
                    let limiter = current.lock().expect("not poisoned").clone();
                    tokio::select! {
                        () = limiter.admit(lane, &claims) => {
                            admitted.lock().expect("not poisoned").push((Instant::now(), claims.clone()));
                            return;
                        }
                        () = restarted => {}
                    }
                }
            };
            let _gave_up = tokio::time::timeout(patience, wait).await;
        });
    }
    for at_ms in load.restarts_ms {
        let (current, epochs, made) = (Arc::clone(&current), Arc::clone(&epochs), Arc::clone(&made));
        tasks.spawn(async move {
            tokio::time::sleep_until(began + Duration::from_millis(at_ms)).await;
            *current.lock().expect("not poisoned") = made();
            epochs.notify_waiters();
        });
    }
    for (at_ms, hold_ms, claims) in load.throttles {
        let current = Arc::clone(&current);
        tasks.spawn(async move {
            tokio::time::sleep_until(began + Duration::from_millis(at_ms)).await;
            let limiter = current.lock().expect("not poisoned").clone();
            let until = limiter.0.clock.now().saturating_add(Duration::from_millis(hold_ms)).expect("in range");
            limiter.throttled(until, &claims);
        });
    }
    tasks.join_all().await;
    let admitted = admitted.lock().expect("not poisoned");
    admitted.clone()
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn no_sliding_window_ever_exceeds_the_limit(
        requests in 1..400_u32,
        window_ms in 500..90_000_u64,
        load in loads(Just(Claims::none())),
    ) {
        let window = Duration::from_millis(window_ms);
        let admitted = in_paused_time(run(move || limiter(Quota { requests, window }, 30), load));
        let limit = (requests * (100 - DEFAULT_MARGIN_PERCENT) / 100).max(1);
        let worst = worst_window(&mut instants(&admitted), window);
        prop_assert!(worst <= limit as usize, "{worst} in a window of {window:?}, allowed {limit}");
    }

    #[test]
    fn nobody_who_stays_is_forgotten(load in loads(Just(Claims::none()))) {
        let staying = load.requests.iter().filter(|request| request.gives_up_ms.is_none()).count();
        let admitted = in_paused_time(run(|| limiter(TRUV, 30), load));
        prop_assert!(admitted.len() >= staying, "{} admitted of {staying} who stayed", admitted.len());
    }
}

#[tokio::test(start_paused = true)]
async fn steady_use_reaches_most_of_the_quota_and_never_more_than_the_limit() {
    for quota in
        [TRUV, Quota { requests: 2000, window: Duration::from_mins(5) }, Quota { requests: 60, window: MINUTE }]
    {
        let limiter = limiter(quota, 30);
        let began = Instant::now();
        let mut admitted = Vec::new();
        while began.elapsed() < quota.window * 4 {
            limiter.admit(Lane::Scheduled, &Claims::none()).await;
            admitted.push(Instant::now());
        }
        let per_window = admitted.len() / 4;
        assert!(per_window * 100 >= quota.requests as usize * 85, "{per_window} of {quota:?}");
        assert!(worst_window(&mut admitted, quota.window) <= quota.requests as usize * 95 / 100);
    }
}

#[tokio::test(start_paused = true)]
async fn a_fresh_limiter_has_no_burst_and_an_idle_one_has_its_burst() {
    let limiter = limiter(TRUV, 30);
    assert_eq!(limiter.state().available_now, 0);
    let began = Instant::now();
    limiter.admit(Lane::Person, &Claims::none()).await;
    assert!(began.elapsed() >= limiter.0.pace.period);
    tokio::time::sleep(MINUTE).await;
    let state = limiter.state();
    assert_eq!((state.limit, state.available_now, state.admitted_in_window), (285, 14, 1));
    let idle_until = Instant::now();
    for _ in 0..14 {
        limiter.admit(Lane::Scheduled, &Claims::none()).await;
    }
    assert_eq!(idle_until.elapsed(), Duration::ZERO);
    assert_eq!(limiter.state().available_now, 0);
}

#[tokio::test(start_paused = true)]
async fn what_left_the_window_is_forgotten() {
    let limiter = limiter(TRUV, 30);
    for _ in 0..5 {
        limiter.admit(Lane::Person, &Claims::none()).await;
    }
    tokio::time::sleep(MINUTE).await;
    assert_eq!(limiter.state().admitted_in_window, 1, "the last one is as old as the window");
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(limiter.state().admitted_in_window, 0);
    assert_eq!(limiter.0.lock().admitted.len(), 0, "nothing is kept of it");
}

/// The instant at which it ends is no longer part of a throttle, nor of the slow pace after it.
#[tokio::test(start_paused = true)]
async fn a_throttle_is_over_at_its_end() {
    let limiter = limiter(TRUV, 30);
    let ends_at = limiter.0.clock.now() + SignedDuration::from_secs(20);
    limiter.throttled(ends_at, &Claims::none());
    let slow_period = limiter.0.pace.halved().period;
    assert_eq!(limiter.state().refills_at, ends_at + SignedDuration::try_from(slow_period).expect("short"));
    assert!(limiter.held_for(&Claims::none()).is_some_and(|hold| hold.left == Duration::from_secs(20)));
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(limiter.held_for(&Claims::none()).is_none());
    assert_eq!(limiter.state().held_until, None);
    let slowed_until = limiter.state().slowed_until.expect("a slow pace after a throttle");
    let rest = slowed_until.duration_since(limiter.0.clock.now()).unsigned_abs();
    tokio::time::sleep(rest).await;
    assert_eq!(limiter.state().slowed_until, None);
}

/// Lets everyone in `lanes` wait, then returns the order in which they went.
async fn order_of(limiter: &RequestLimiter, lanes: &[Lane]) -> Vec<(usize, Lane)> {
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = JoinSet::new();
    for (index, lane) in lanes.iter().copied().enumerate() {
        let (limiter, order) = (limiter.clone(), Arc::clone(&order));
        tasks.spawn(async move {
            limiter.admit(lane, &Claims::none()).await;
            order.lock().expect("not poisoned").push((index, lane));
        });
    }
    tasks.join_all().await;
    let order = order.lock().expect("not poisoned");
    order.clone()
}

#[tokio::test(start_paused = true)]
async fn a_person_overtakes_two_hundred_who_wait() {
    let limiter = limiter(TRUV, 30);
    let mut lanes = vec![Lane::Scheduled; 200];
    lanes.push(Lane::Person);
    let order = order_of(&limiter, &lanes).await;
    assert_eq!(order[0], (200, Lane::Person));
    assert!(order[1..].is_sorted_by_key(|(index, _)| *index), "first come, first served");
}

#[tokio::test(start_paused = true)]
async fn backfills_get_their_share_while_others_wait_and_everything_when_not() {
    for share in [0, 30, 50] {
        let limiter = limiter(TRUV, share);
        // While nothing else waits backfills earn nothing, nor from people, who are before both.
        order_of(&limiter, &[Lane::Scheduled; 20]).await;
        let lanes = [[Lane::Backfill; 100], [Lane::Scheduled; 100]].concat();
        let order = order_of(&limiter, &[lanes.as_slice(), &[Lane::Person; 20]].concat()).await;
        assert_eq!(order.len(), 220);
        let (people, order) = order.split_at(20);
        assert!(people.iter().all(|(_, lane)| *lane == Lane::Person));
        for contested in 1..=100 {
            let backfills = order[..contested].iter().filter(|(_, lane)| *lane == Lane::Backfill).count();
            assert!(backfills * 100 <= contested * usize::from(share), "{backfills} of {contested} at {share} %");
            assert!(backfills * 100 + 100 > contested * usize::from(share), "{backfills} of {contested} at {share} %");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_wait_costs_no_token_and_blocks_nobody() {
    let limiter = limiter(Quota { requests: 10, window: MINUTE }, 30);
    let began = Instant::now();
    for _ in 0..50 {
        let given_up =
            tokio::time::timeout(Duration::from_millis(100), limiter.admit(Lane::Person, &Claims::none())).await;
        assert!(given_up.is_err());
    }
    limiter.admit(Lane::Backfill, &Claims::none()).await;
    assert!(began.elapsed() <= limiter.0.pace.period + Duration::from_millis(1));
    assert_eq!((limiter.state().waiting, limiter.state().admitted_in_window), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_counted_in_every_lane() {
    let limiter = limiter(Quota { requests: 10, window: MINUTE }, 30);
    let mut tasks = JoinSet::new();
    for (lane, count) in [(Lane::Person, 2), (Lane::Scheduled, 3), (Lane::Backfill, 4)] {
        for _ in 0..count {
            let limiter = limiter.clone();
            tasks.spawn(async move { limiter.admit(lane, &Claims::none()).await });
        }
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(limiter.state().waiting, 9);
    tasks.join_all().await;
    assert_eq!((limiter.state().waiting, limiter.state().admitted_in_window), (0, 9));
}

#[tokio::test(start_paused = true)]
async fn a_throttle_holds_everyone_and_halves_the_pace_for_a_while() {
    let limiter = limiter(TRUV, 30);
    tokio::time::sleep(MINUTE).await;
    limiter.throttled(limiter.0.clock.now() + SignedDuration::from_secs(20), &Claims::none());
    limiter.throttled(limiter.0.clock.now() + SignedDuration::from_secs(1), &Claims::none());
    let held_at = Instant::now();
    let state = limiter.state();
    assert_eq!(
        (state.available_now, state.held_until),
        (0, Some(limiter.0.clock.now() + SignedDuration::from_secs(20)))
    );
    limiter.admit(Lane::Person, &Claims::none()).await;
    assert!(held_at.elapsed() >= Duration::from_secs(20));

    let slowed_at = Instant::now();
    let mut slowed = 0;
    while slowed_at.elapsed() < MINUTE {
        limiter.admit(Lane::Scheduled, &Claims::none()).await;
        slowed += 1;
    }
    assert!((120..=143).contains(&slowed), "{slowed} in the first minute after a throttle");

    tokio::time::sleep(SLOWED_FOR).await;
    limiter.admit(Lane::Scheduled, &Claims::none()).await;
    let recovered_at = Instant::now();
    let mut recovered = 0;
    while recovered_at.elapsed() < MINUTE {
        limiter.admit(Lane::Scheduled, &Claims::none()).await;
        recovered += 1;
    }
    assert!((255..=285).contains(&recovered), "{recovered} in a minute at full pace");
}

#[tokio::test(start_paused = true)]
async fn an_absurd_hold_is_capped_and_a_clock_set_back_does_not_hang() {
    let limiter = limiter(TRUV, 30);
    let began = Instant::now();
    limiter.throttled(Timestamp::MAX, &Claims::none());
    limiter.0.clock.shift(SignedDuration::from_hours(-24 * 365));
    limiter.admit(Lane::Scheduled, &Claims::none()).await;
    assert!(began.elapsed() >= MAX_HOLD && began.elapsed() < MAX_HOLD + MINUTE);
    limiter.throttled(Timestamp::MIN, &Claims::none());
    limiter.admit(Lane::Scheduled, &Claims::none()).await;
    assert!(began.elapsed() < MAX_HOLD + MINUTE);
}

#[tokio::test(start_paused = true)]
async fn usage_is_counted_by_the_minute_and_can_be_put_back() {
    let limiter = limiter(TRUV, 30);
    limiter.admit(Lane::Scheduled, &Claims::none()).await;
    limiter.record_rate_limited();
    tokio::time::sleep(MINUTE).await;
    limiter.admit(Lane::Scheduled, &Claims::none()).await;
    limiter.record_failed();
    let usage = limiter.drain_usage();
    assert_eq!(
        usage.iter().map(|u| (u.requests, u.rate_limited, u.failed)).collect::<Vec<_>>(),
        [(1, 1, 0), (1, 0, 1)]
    );
    assert_eq!(usage[1].minute_at.duration_since(usage[0].minute_at), SignedDuration::from_mins(1));
    assert_eq!(limiter.drain_usage(), []);
    limiter.admit(Lane::Scheduled, &Claims::none()).await;
    limiter.restore_usage(usage);
    assert_eq!(limiter.drain_usage()[1].requests, 2);
}

#[tokio::test(start_paused = true)]
async fn minutes_that_a_clock_lives_twice_are_marked() {
    let limiter = limiter(TRUV, 30);
    let admit = async || limiter.admit(Lane::Scheduled, &Claims::none()).await;
    let counted = || limiter.drain_usage().iter().map(|u| (u.requests, u.clock_set_back)).collect::<Vec<_>>();
    for minutes in [1, 1, -1, 2] {
        admit().await;
        limiter.0.clock.shift(SignedDuration::from_mins(minutes));
    }
    admit().await;
    assert_eq!(counted(), [(1, false), (2, true), (1, true), (1, false)]);
    limiter.0.clock.shift(SignedDuration::from_millis(-900));
    admit().await;
    assert!(counted().iter().all(|(_, is_marked)| !is_marked), "a correction");
}

#[tokio::test(start_paused = true)]
async fn who_waits_goes_on_at_the_successor_and_both_together_stay_within_the_limit() {
    for taken_over_after_ms in [0, 100, 7_000, 61_000, 90_500] {
        let former = limiter(TRUV, 30);
        let successor_quota = Quota { requests: 120, window: MINUTE };
        let mut admitted = JoinSet::new();
        for _ in 0..900 {
            let former = former.clone();
            admitted.spawn(async move {
                former.admit(Lane::Scheduled, &Claims::none()).await;
                Instant::now()
            });
        }
        tokio::time::sleep(Duration::from_millis(taken_over_after_ms)).await;
        let taken_over_at = Instant::now();
        let successor = limiter(successor_quota, 30);
        former.succeeded_by(&successor);
        former.succeeded_by(&former);
        let mut instants = admitted.join_all().await;
        assert_eq!(instants.len(), 900, "nobody is forgotten");
        assert!(worst_window(&mut instants, MINUTE) <= 285);
        let mut later: Vec<Instant> = instants.into_iter().filter(|at| *at > taken_over_at).collect();
        assert!(worst_window(&mut later, MINUTE) <= 114, "the successor's pace");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hold_goes_over_to_the_successor_also_when_it_is_heard_of_late() {
    let (former, successor) = (limiter(TRUV, 30), limiter(TRUV, 30));
    let until = |seconds| former.0.clock.now() + SignedDuration::from_secs(seconds);
    former.throttled(until(60), &Claims::none());
    former.succeeded_by(&successor);
    assert!(successor.held_for(&Claims::none()).is_some_and(|hold| hold.left == MINUTE));
    former.throttled(until(120), &Claims::none());
    assert!(successor.held_for(&Claims::none()).is_some_and(|hold| hold.left == 2 * MINUTE));
    assert_eq!(former.held_for(&Claims::none()), successor.held_for(&Claims::none()));
}
