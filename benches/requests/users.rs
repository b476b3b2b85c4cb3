//! Three requests of each of 10,000 users, all at once, under Bridge's three quotas: how much of the application's is
//! used, and what it costs to keep a budget for every user.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use passbook::clock::Clock;
use passbook::limits::requests::{
    Claims, DEFAULT_BACKFILL_SHARE_PERCENT, DEFAULT_MARGIN_PERCENT, Lane, Quota, RequestLimiter, ScopedQuota,
};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::memory::status_kb;
use crate::table::{Table, percent, verdict};
use crate::{START, TARGET_USED_PERCENT};

const APPLICATION: Quota = Quota { requests: 2000, window: Duration::from_mins(5) };
const USER: Quota = Quota { requests: 60, window: Duration::from_mins(1) };
const TOKEN: Quota = Quota { requests: 10, window: Duration::from_mins(1) };
const USERS: usize = 10_000;
/// Users whose memory is measured: enough to tell it from the process's own.
const MEASURED_USERS: u64 = 200_000;
const TARGET_PER_SECOND: u64 = 10_000;
const TARGET_BYTES: u64 = 500;

/// Whom a request was for, and when it was admitted.
type Admission = (Instant, usize);

pub(crate) async fn users(bytes_of_a_user: u64) {
    let limiter = limiter(APPLICATION);
    let began = Instant::now();
    let began_really = std::time::Instant::now();
    let (admissions, most_keys) = sync_everyone(&limiter).await;
    let took = began_really.elapsed();
    tokio::time::sleep(USER.window).await;
    limiter.admit(Lane::Scheduled, &token_claims(0)).await;
    let rested_keys = limiter.state().keys as u64;

    let worst = worst_window(admissions.iter().map(|(at, _)| *at), APPLICATION.window);
    let mut by_user: HashMap<usize, Vec<Instant>> = HashMap::new();
    for (at, user) in &admissions {
        by_user.entry(*user).or_default().push(*at);
    }
    let worst_of_user = by_user.into_values().map(|at| worst_window(at, USER.window)).max().unwrap_or(0);
    let fewest = fewest_in_a_window(&admissions, began);
    let per_second = u64::try_from(admissions.len() as u128 * 1000 / took.as_millis().max(1)).expect("a figure");

    let table = Table::new(
        "requests: three of each of 10,000 users at once, limits 2,000 in 5 min, 60 and 10 (tokens) a minute and user",
        &["what                                ", " figure", "ceiling", "  target", "      "],
    );
    let row = |what: &str, figure: String, ceiling: String, target: String, is_met: bool| {
        table.row(&[what.to_owned(), figure, ceiling, target, verdict(is_met)]);
    };
    let limit = u64::from(APPLICATION.requests);
    let used = percent(fewest, limit);
    let ceiling = format!("{} %", 100 - u64::from(DEFAULT_MARGIN_PERCENT));
    row(
        "used of the limit, steady 5 min",
        format!("{used} %"),
        ceiling,
        format!(">= {TARGET_USED_PERCENT} %"),
        used >= TARGET_USED_PERCENT,
    );
    let kept_to = limiter.state().limit.to_string();
    row("most in any 5 min", worst.to_string(), kept_to, format!("<= {limit}"), worst <= limit);
    let limit = u64::from(USER.requests);
    row(
        "most of a user in any 60 s",
        worst_of_user.to_string(),
        "3".to_owned(),
        format!("<= {limit}"),
        worst_of_user <= limit,
    );
    row(
        "admissions/s of real time",
        per_second.to_string(),
        String::new(),
        format!(">= {TARGET_PER_SECOND}"),
        per_second >= TARGET_PER_SECOND,
    );
    let keys = 2 * USERS as u64;
    row("budgets remembered, at most", most_keys.to_string(), keys.to_string(), String::new(), most_keys <= keys);
    row("the same after a minute's rest", rested_keys.to_string(), String::new(), "<= 2".to_owned(), rested_keys <= 2);
    row(
        "bytes of a user who is not idle",
        bytes_of_a_user.to_string(),
        String::new(),
        format!("<= {TARGET_BYTES}"),
        bytes_of_a_user <= TARGET_BYTES,
    );
}

fn limiter(application: Quota) -> RequestLimiter {
    let clock = Clock::virtual_at(START.parse().expect("an instant"));
    let scopes = vec![ScopedQuota { scope: "user", quota: USER }, ScopedQuota { scope: "user_token", quota: TOKEN }];
    let (margin, share) = (DEFAULT_MARGIN_PERCENT, DEFAULT_BACKFILL_SHARE_PERCENT);
    RequestLimiter::with_scopes(application, scopes, margin, share, clock)
}

fn claims(user: usize) -> Claims {
    // As long as the ids that Bridge gives.
    Claims::on("user", &format!("00000000-0000-4000-8000-{user:012}"))
}

fn token_claims(user: usize) -> Claims {
    claims(user).and("user_token", &format!("00000000-0000-4000-8000-{user:012}"))
}

/// Every user's sync at once: a token, then two requests with it. What was admitted, and the most budgets remembered.
async fn sync_everyone(limiter: &RequestLimiter) -> (Vec<Admission>, u64) {
    let admissions = Arc::new(Mutex::new(Vec::with_capacity(3 * USERS)));
    let mut syncs = JoinSet::new();
    for user in 0..USERS {
        let (limiter, admissions) = (limiter.clone(), Arc::clone(&admissions));
        syncs.spawn(async move {
            let (of_user, of_token) = (claims(user), token_claims(user));
            for claims in [&of_token, &of_user, &of_user] {
                limiter.admit(Lane::Scheduled, claims).await;
                admissions.lock().expect("not poisoned").push((Instant::now(), user));
            }
        });
    }
    let mut most_keys = 0;
    while syncs.join_next().await.is_some() {
        most_keys = most_keys.max(limiter.state().keys as u64);
    }
    let admissions = std::mem::take(&mut *admissions.lock().expect("not poisoned"));
    (admissions, most_keys)
}

fn worst_window(instants: impl IntoIterator<Item = Instant>, window: Duration) -> u64 {
    let mut inside = std::collections::VecDeque::new();
    let mut worst = 0;
    for at in instants {
        inside.push_back(at);
        while inside.front().is_some_and(|first| at - *first > window) {
            inside.pop_front();
        }
        worst = worst.max(inside.len());
    }
    worst as u64
}

/// The fewest in any whole window that follows another, without the first: it starts with an empty bucket.
fn fewest_in_a_window(admissions: &[Admission], began: Instant) -> u64 {
    let mut counts: HashMap<u128, u64> = HashMap::new();
    for (at, _) in admissions {
        *counts.entry((*at - began).as_nanos() / APPLICATION.window.as_nanos()).or_default() += 1;
    }
    let last = counts.keys().copied().max().unwrap_or(0);
    (1..last).map(|window| counts.get(&window).copied().unwrap_or(0)).min().unwrap_or(0)
}

/// The growth of this process by users who have just sent one request each.
pub(crate) async fn bytes_of_a_user() -> u64 {
    let limiter = limiter(Quota { requests: 20_000, window: Duration::from_millis(1) });
    tokio::time::sleep(USER.window).await;
    let before_kb = status_kb("VmRSS:");
    for user in 0..MEASURED_USERS {
        limiter.admit(Lane::Scheduled, &claims(usize::try_from(user).expect("a number"))).await;
    }
    assert_eq!(limiter.state().keys as u64, MEASURED_USERS);
    status_kb("VmRSS:").saturating_sub(before_kb) * 1024 / MEASURED_USERS
}
