//! Throttles of an aggregator that counts each user's requests too, and says neither which count is full nor how long.

use passbook::limits::requests::ScopedQuota;

use super::*;

const UNHINTED: Duration = Duration::from_secs(61);

fn throttle() -> Reply {
    page(429, "text/plain", "")
}

/// A door to a stand, which waits more than a minute after a throttle without a hint.
fn door(stand: &Stand) -> (Door, Clock) {
    let mut options = stand.options();
    let minute = Duration::from_mins(1);
    let scope = |scope, requests| ScopedQuota { scope, quota: Quota { requests, window: minute } };
    options.limiter = RequestLimiter::with_scopes(
        Quota { requests: 2000, window: minute * 5 },
        vec![scope("user", 60), scope("user_token", 10)],
        DEFAULT_MARGIN_PERCENT,
        DEFAULT_BACKFILL_SHARE_PERCENT,
        options.clock.clone(),
    );
    options.dialect.unhinted_waits = &[UNHINTED];
    let clock = options.clock.clone();
    (Door::new(options).expect("a door"), clock)
}

async fn get_as(door: &Door, claims: &Claims) -> Result<Answer, HttpError> {
    // A token of the user's changes nothing about whom a request counts against.
    let token = HeaderValue::from_static("Bearer canary-bearer");
    let door = door.counting_against(claims.clone()).with_header(http::header::AUTHORIZATION, token);
    door.get("/v3/aggregation/items", &[], Lane::Scheduled).await
}

/// For how many seconds from now a call is held, whether with everyone, and how often it was sent.
fn hold_of(outcome: Result<Answer, HttpError>, clock: &Clock) -> (u64, bool, u32) {
    let error = outcome.expect_err("held");
    let HttpError::RateLimited { until, is_shared, .. } = &error else { panic!("{error}") };
    let left = until.duration_since(clock.now()).unsigned_abs();
    (left.as_millis().div_ceil(1000).try_into().expect("a few"), *is_shared, error.attempts())
}

#[tokio::test(start_paused = true)]
async fn a_throttled_user_is_deferred_alone_until_a_second_one_shows_that_it_is_everyone() {
    let stand = Stand::new([throttle(), ok(), throttle(), ok()]);
    let (door, clock) = door(&stand);
    let [ann, ben, cleo] = ["ann", "ben", "cleo"].map(|key| Claims::on("user", key));

    assert_eq!(hold_of(get_as(&door, &ann).await, &clock), (62, false, 1), "with a second's margin");
    assert_eq!(hold_of(get_as(&door, &ann.and("user_token", "ann")).await, &clock), (62, false, 0));
    assert_eq!(get_as(&door, &ben).await.expect("not held").attempts, 1);

    assert_eq!(hold_of(get_as(&door, &ben).await, &clock), (62, true, 1));
    assert_eq!(hold_of(get_as(&door, &cleo).await, &clock), (62, true, 0));
    assert_eq!(hold_of(get_as(&door, &Claims::none()).await, &clock), (62, true, 0));
    assert_eq!(stand.targets().len(), 3);

    tokio::time::sleep(UNHINTED + Duration::from_secs(1)).await;
    for claims in [cleo, ben, ann] {
        assert_eq!(get_as(&door, &claims).await.expect("lifted").attempts, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_throttle_of_nobody_in_particular_holds_everyone() {
    let stand = Stand::new([throttle(), ok()]);
    let (door, clock) = door(&stand);
    assert_eq!(hold_of(get_as(&door, &Claims::none()).await, &clock), (62, true, 1));
    assert_eq!(hold_of(get_as(&door, &Claims::on("user", "ann")).await, &clock), (62, true, 0));
}

#[tokio::test(start_paused = true)]
async fn a_short_throttle_is_waited_out_by_its_user_while_others_go_on() {
    let stand = Stand::new([throttle_with("30"), ok()]);
    let (door, _clock) = door(&stand);
    let [ann, ben] = ["ann", "ben"].map(|key| Claims::on("user", key));
    let (of_ann, of_ben) = tokio::join!(get_as(&door, &ann), async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        (get_as(&door, &ben).await, Instant::now())
    });
    assert_eq!(of_ann.expect("an answer after the wait").attempts, 2);
    assert_eq!(of_ben.0.expect("not held").attempts, 1);
    assert!(of_ben.1.elapsed() > Duration::from_secs(20), "{:?}", stand.seconds());
    assert!((31..35).contains(&stand.seconds()[2]), "{:?}", stand.seconds());
}
