//! Several quotas for one request.

use super::super::keys::{LineOrder, Scopes};
use super::super::queue::Waiter;
use super::*;

const BRIDGE: Quota = Quota { requests: 2000, window: Duration::from_mins(5) };
const USER: ScopedQuota = ScopedQuota { scope: "user", quota: Quota { requests: 60, window: MINUTE } };
const TOKEN: ScopedQuota = ScopedQuota { scope: "user_token", quota: Quota { requests: 10, window: MINUTE } };

fn scoped(quota: Quota, user: Quota, token: Quota) -> RequestLimiter {
    let scopes = vec![ScopedQuota { quota: user, ..USER }, ScopedQuota { quota: token, ..TOKEN }];
    RequestLimiter::with_scopes(quota, scopes, DEFAULT_MARGIN_PERCENT, 30, Clock::virtual_at(start()))
}

fn bridge() -> RequestLimiter {
    scoped(BRIDGE, USER.quota, TOKEN.quota)
}

fn user(key: &str) -> Claims {
    Claims::on(USER.scope, key)
}

fn token(key: &str) -> Claims {
    user(key).and(TOKEN.scope, key)
}

fn after(limiter: &RequestLimiter, seconds: i64) -> Timestamp {
    limiter.0.clock.now() + SignedDuration::from_secs(seconds)
}

/// A few users, one of them busier than all others; one request in four is for a token, some are nobody's.
fn claims() -> impl Strategy<Value = Claims> + Clone {
    let key = prop_oneof![2 => Just(0_u8), 3 => 0..6_u8].prop_map(|user| user.to_string());
    prop_oneof![
        6 => key.clone().prop_map(|key| user(&key)),
        2 => key.prop_map(|key| token(&key)),
        1 => Just(Claims::none()),
    ]
}

fn quotas(most: u32) -> impl Strategy<Value = Quota> {
    (1..most, 500..90_000_u64).prop_map(|(requests, window_ms)| {
        let window = Duration::from_millis(window_ms);
        Quota { requests, window }
    })
}

/// Admissions against a key of a scope, in its worst window, for every key.
fn worst_of_keys(admitted: &[(Instant, Claims)], scope: &str, window: Duration) -> usize {
    let mut by_key: std::collections::HashMap<&str, Vec<Instant>> = std::collections::HashMap::new();
    for (at, claims) in admitted {
        for claim in claims.all().filter(|claim| claim.scope == scope) {
            by_key.entry(&claim.key).or_default().push(*at);
        }
    }
    by_key.values_mut().map(|instants| worst_window(instants, window)).max().unwrap_or(0)
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn no_window_of_any_quota_is_ever_exceeded(
        shared in quotas(400),
        of_user in quotas(60),
        of_token in quotas(12),
        load in loads(claims()),
    ) {
        let admitted = in_paused_time(run(move || scoped(shared, of_user, of_token), load));
        let limit = |quota: Quota| (quota.requests * (100 - DEFAULT_MARGIN_PERCENT) / 100).max(1) as usize;
        let worst = worst_window(&mut instants(&admitted), shared.window);
        prop_assert!(worst <= limit(shared), "{worst} of {shared:?}");
        for (scope, quota) in [(USER.scope, of_user), (TOKEN.scope, of_token)] {
            let worst = worst_of_keys(&admitted, scope, quota.window);
            prop_assert!(worst <= limit(quota), "{worst} of {scope} {quota:?}");
        }
    }

    #[test]
    fn nobody_who_stays_is_forgotten_at_any_key(load in loads(claims())) {
        let staying = load.requests.iter().filter(|request| request.gives_up_ms.is_none()).count();
        let admitted = in_paused_time(run(bridge, load));
        prop_assert!(admitted.len() >= staying, "{} admitted of {staying} who stayed", admitted.len());
    }

    /// What one user asks for changes nothing for the others as long as the shared budget is not what they wait for.
    #[test]
    fn a_user_who_waits_delays_no_other(load in loads(claims())) {
        let requests: Vec<_> = load.requests.into_iter().filter(|request| request.claims != Claims::none()).collect();
        let is_busy = |claims: &Claims| claims.all().any(|claim| &*claim.key == "0");
        let others = requests.iter().filter(|request| !is_busy(&request.claims)).cloned().collect();
        let admissions_of_others = |requests| {
            let load = Load { requests, restarts_ms: vec![], throttles: vec![(1_000, 120_000, user("0"))] };
            let plenty = Quota { requests: 2_000_000, window: MINUTE };
            let admitted = in_paused_time(async move {
                let began = Instant::now();
                let made = move || scoped(plenty, USER.quota, TOKEN.quota);
                run(made, load).await.into_iter().map(|(at, claims)| (at - began, claims)).collect::<Vec<_>>()
            });
            let mut others: Vec<_> = admitted.into_iter().filter(|(_, claims)| !is_busy(claims)).collect();
            others.sort_by_key(|(after, claims)| (*after, format!("{claims:?}")));
            others
        };
        prop_assert_eq!(admissions_of_others(requests), admissions_of_others(others));
    }
}

#[tokio::test(start_paused = true)]
async fn a_user_who_waits_in_front_of_everyone_delays_nobody() {
    let limiter = bridge();
    tokio::time::sleep(MINUTE).await;
    let mut tasks = JoinSet::new();
    for _ in 0..100 {
        let limiter = limiter.clone();
        tasks.spawn(async move { limiter.admit(Lane::Person, &user("busy")).await });
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((limiter.state().admitted_in_window, limiter.state().waiting), (19, 81));
    let asked_at = Instant::now();
    for other in 0..50 {
        limiter.admit(Lane::Backfill, &user(&other.to_string())).await;
    }
    assert_eq!(asked_at.elapsed(), Duration::ZERO);
    tasks.join_all().await;
    assert!((asked_at + MINUTE * 2..asked_at + MINUTE * 3).contains(&Instant::now()), "38 a minute");
}

#[tokio::test(start_paused = true)]
async fn a_person_overtakes_those_who_wait_for_the_same_user() {
    let limiter = bridge();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = JoinSet::new();
    for index in 0..31 {
        let (limiter, order) = (limiter.clone(), Arc::clone(&order));
        let lane = if index == 30 { Lane::Person } else { Lane::Scheduled };
        tasks.spawn(async move {
            tokio::time::sleep(Duration::from_millis(index)).await;
            limiter.admit(lane, &user("ann")).await;
            order.lock().expect("not poisoned").push(index);
        });
    }
    tasks.join_all().await;
    let order = order.lock().expect("not poisoned");
    assert_eq!(order[0], 30);
    assert!(order[1..].is_sorted(), "first come, first served: {order:?}");
}

/// Whoever stands further behind is told to come later, in whatever order they came to stand there.
#[tokio::test(start_paused = true)]
async fn each_in_line_waits_for_a_token_more_than_who_is_ahead() {
    let now = Instant::now();
    let mut scopes = Scopes::new(vec![USER], DEFAULT_MARGIN_PERCENT, now);
    let ann = user("ann");
    let claim = ann.all().next().expect("a claim");
    let person = |id| LineOrder::of(Lane::Person, id);
    let behind = |id| LineOrder::of(Lane::Scheduled, id);
    let line = [person(4), person(6), behind(1), behind(3), behind(5)];
    for (id, order) in [(3, line[3]), (6, line[1]), (1, line[2]), (5, line[4]), (4, line[0])] {
        scopes.stand(claim, order, Waiter { id, wake: Arc::new(Notify::new()) }, now);
    }
    let ready = |order| scopes.missing(&ann, order, now).expect("an empty bucket").1;
    let first = ready(line[0]) - now;
    for (place, order) in (1..).zip(line) {
        assert_eq!(ready(order), now + first * place, "place {place}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fresh_limiter_has_no_burst_for_a_key_whenever_it_is_first_seen() {
    let limiter = bridge();
    let began = Instant::now();
    limiter.admit(Lane::Person, &user("early")).await;
    let period_of_user = MINUTE / 38;
    assert!((period_of_user..period_of_user * 2).contains(&began.elapsed()), "{:?}", began.elapsed());
    tokio::time::sleep(Duration::from_secs(8)).await;
    // Ten seconds refill one token call and six others; what was first seen now has no more.
    let asked_at = Instant::now();
    limiter.admit(Lane::Person, &token("late")).await;
    assert!(began.elapsed() >= Duration::from_secs(10) && asked_at.elapsed() < Duration::from_secs(1));
    let asked_at = Instant::now();
    limiter.admit(Lane::Person, &token("late")).await;
    assert!(asked_at.elapsed() > Duration::from_secs(9));
    tokio::time::sleep(MINUTE).await;
    let asked_at = Instant::now();
    for _ in 0..19 {
        limiter.admit(Lane::Scheduled, &user("later")).await;
    }
    assert_eq!(asked_at.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn those_who_give_up_cost_no_token_of_their_keys_and_their_place_comes_free() {
    let limiter = bridge();
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..50 {
        let limiter = limiter.clone();
        tasks.spawn(async move {
            let patience = Duration::from_millis(500);
            assert!(tokio::time::timeout(patience, limiter.admit(Lane::Person, &user("ann"))).await.is_err());
        });
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
    limiter.admit(Lane::Backfill, &user("ann")).await;
    assert!(began.elapsed() < MINUTE / 38 + Duration::from_millis(10), "{:?}", began.elapsed());
    tasks.join_all().await;
    assert_eq!((limiter.state().waiting, limiter.state().admitted_in_window), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn keys_are_forgotten_when_their_budget_is_whole_again() {
    let limiter = scoped(Quota { requests: 6_000_000, window: MINUTE }, USER.quota, TOKEN.quota);
    tokio::time::sleep(MINUTE).await;
    for key in 0..10_000 {
        limiter.admit(Lane::Scheduled, &user(&key.to_string())).await;
    }
    assert_eq!(limiter.state().keys, 10_000);
    tokio::time::sleep(MINUTE).await;
    limiter.admit(Lane::Scheduled, &user("another")).await;
    assert_eq!(limiter.state().keys, 1);

    // A steady stream of others: only the last of them are remembered.
    let mut most = 0;
    for key in 0..10_000 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        limiter.admit(Lane::Scheduled, &token(&key.to_string())).await;
        most = most.max(limiter.state().keys);
    }
    assert!(most <= 2 * 2 * 300, "{most} keys of two scopes, for two times the half minute");
}

#[tokio::test(start_paused = true)]
async fn one_throttled_user_is_held_alone_and_a_second_one_means_everyone() {
    let limiter = bridge();
    tokio::time::sleep(MINUTE).await;
    let hold = limiter.throttled(after(&limiter, 61), &token("ann"));
    assert_eq!(hold, Hold { left: Duration::from_secs(61), is_shared: false });
    assert_eq!(limiter.throttled(after(&limiter, 20), &user("ann")), hold, "the same user, and never shorter");
    assert_eq!((limiter.held_for(&user("ann")), limiter.held_for(&token("ann"))), (Some(hold), Some(hold)));
    assert_eq!((limiter.held_for(&user("ben")), limiter.held_for(&Claims::none())), (None, None));
    limiter.admit(Lane::Backfill, &user("ben")).await;

    let held_at = Instant::now();
    let second = limiter.throttled(after(&limiter, 30), &user("ben"));
    assert_eq!(second, Hold { left: Duration::from_secs(30), is_shared: true });
    assert_eq!(limiter.held_for(&user("cleo")), Some(second));
    assert_eq!(limiter.held_for(&user("ann")), Some(hold), "her own is longer");
    assert!(limiter.state().slowed_until.is_some());
    limiter.admit(Lane::Person, &user("cleo")).await;
    assert!(held_at.elapsed() >= Duration::from_secs(30));
    limiter.admit(Lane::Person, &user("ann")).await;
    assert!(held_at.elapsed() >= Duration::from_secs(61) + MINUTE / 38, "an empty bucket after the hold");
}

#[tokio::test(start_paused = true)]
async fn two_users_throttled_one_after_the_other_are_two_matters() {
    let limiter = bridge();
    assert!(!limiter.throttled(after(&limiter, 61), &user("ann")).is_shared);
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(limiter.held_for(&user("ann")), None, "over at its end");
    assert!(!limiter.throttled(after(&limiter, 61), &user("ben")).is_shared);
    for claims in [Claims::none(), Claims::on("unknown", "x")] {
        assert!(limiter.throttled(after(&limiter, 5), &claims).is_shared, "{claims:?} is nobody's");
    }
}

#[tokio::test(start_paused = true)]
async fn a_scope_is_claimed_once_and_an_unknown_one_bounds_nothing() {
    assert_eq!(user("ann").and("user", "ben"), user("ben"));
    let limiter = bridge();
    tokio::time::sleep(MINUTE).await;
    for _ in 0..50 {
        limiter.admit(Lane::Scheduled, &Claims::on("unknown", "x")).await;
    }
    assert_eq!((limiter.state().admitted_in_window, limiter.state().keys), (50, 0));
}
