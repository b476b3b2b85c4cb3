//! Tasks: the status machine, and refreshes with their limit (section 8).

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::json::instant;
use super::links::provider_object;
use super::paging;
use super::reply::{Answer, Call, Reply};
use super::{Environment, Truv};
use crate::clock::DAY_MS;
use crate::sandbox::id;
use crate::sandbox::settings::Pace;
use crate::sandbox::state::{Event, State};
use crate::sandbox::traffic::{Refreshes, worst};
use crate::sandbox::world::{Bank, Happened, Owner};

/// The text of the refresh limit, exactly as documented (section 2).
pub(super) const REFRESH_LIMIT_TEXT: &str = "Refresh limit for the access_token exceeded";

/// Failures of a refresh that only the customer can repair.
const BROKEN_LOGIN: [&str; 4] = ["login_error", "mfa_error", "account_locked", "unable_to_reset"];

const PRODUCTS: [&str; 8] =
    ["income", "employment", "deposit_switch", "pll", "insurance", "transactions", "assets", "admin"];

/// One task.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) id: u128,
    pub(super) user: usize,
    /// `None` for a connect that made no link.
    pub(super) link: Option<usize>,
    pub(super) institution: String,
    pub(super) status: String,
    pub(super) product: String,
    pub(super) created_ms: i64,
    pub(super) updated_ms: i64,
    pub(super) is_refresh: bool,
    pub(super) asks_mfa: bool,
    pub(super) is_long: bool,
    pub(super) tracking: Option<String>,
    pub(super) bridge_token: Option<u128>,
}

pub(super) fn is_product(product: &str) -> bool {
    PRODUCTS.contains(&product)
}

impl Truv {
    /// Files a task; the caller schedules its first step.
    pub(super) fn add_task(&mut self, task: Task) -> usize {
        self.task_index.insert(task.id, self.tasks.len());
        self.tasks.push(task);
        self.tasks.len() - 1
    }

    /// Moves a task to its next status; answers how long it stays there, or `None` at the end.
    pub(crate) fn step_task(&mut self, bank: &mut Bank, pace: &Pace, at: usize) -> Option<i64> {
        let task = &mut self.tasks[at];
        let link = task.link?;
        let trouble = if bank.links[link].deleted_ms.is_some() {
            Some("error".to_owned())
        } else {
            bank.links[link].trouble.clone()
        };
        let fails_in = match trouble.as_deref() {
            None => "",
            Some("mfa_error") => "mfa",
            Some("no_data") => "parse",
            Some("error") => "full_parse",
            Some(_) => "login",
        };
        let next = match task.status.as_str() {
            failing if failing == fails_in => trouble.as_deref().unwrap_or("error"),
            "new" => "login",
            "login" if task.asks_mfa || fails_in == "mfa" => "mfa",
            "login" | "mfa" => "parse",
            "parse" => "full_parse",
            _ => "done",
        };
        next.clone_into(&mut task.status);
        task.updated_ms = bank.now_ms;
        next.clone_into(&mut bank.links[link].status);
        bank.links[link].updated_ms = bank.now_ms;
        let (next, is_refresh) = (task.status.clone(), task.is_refresh);
        self.tell_step(bank, at, link, &next, is_refresh);
        let task = &self.tasks[at];
        let stay = match next.as_str() {
            "login" => pace.login,
            "mfa" => pace.mfa,
            "parse" => pace.parse,
            "full_parse" if task.is_long => pace.full_parse + pace.long_check,
            "full_parse" => pace.full_parse,
            "done" => {
                bank.publish_at(link);
                if let Owner::Truv(tenant) = bank.users[task.user].owner {
                    self.tenants[tenant].successful_tasks += 1;
                }
                return None;
            }
            _ => return None,
        };
        Some(millis(stay))
    }

    /// Tells of a task's new status, and of a login that works or broke.
    fn tell_step(&mut self, bank: &mut Bank, task: usize, link: usize, status: &str, is_refresh: bool) {
        bank.tell_of(link, Happened::TaskMoved { task, status: status.to_owned() });
        match status {
            // The login is over when there is something to read.
            "parse" => {
                self.disconnected.remove(&link);
                if !is_refresh {
                    bank.tell_of(link, Happened::Connected { link });
                }
            }
            _ if is_refresh && BROKEN_LOGIN.contains(&status) && self.disconnected.insert(link) => {
                bank.tell_of(link, Happened::Disconnected { link });
            }
            _ => {}
        }
    }

    pub(crate) fn refreshes(&self, bank: &Bank) -> Vec<Refreshes> {
        let mut all: Vec<(&usize, &Vec<i64>)> = self.refreshes.iter().collect();
        all.sort();
        let of = |(link, at): (&usize, &Vec<i64>)| Refreshes {
            access_token: id::hex(bank.links[*link].access_token),
            link_upstream_id: id::hex(bank.links[*link].id),
            at: at.iter().filter_map(|ms| Timestamp::from_millisecond(*ms).ok()).collect(),
            worst_day: worst(at, DAY_MS),
        };
        all.into_iter().map(of).collect()
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Schedules the first step of a new task.
pub(super) fn start(state: &mut State, task: usize) {
    let at_ms = state.bank.now_ms + millis(state.settings.pace.new);
    state.schedule(at_ms, Event::TruvTask(task));
}

pub(super) fn refresh(state: &mut State, call: &Call) -> Answer {
    let body = call.json()?;
    let token = body.get("access_token").and_then(Value::as_str);
    let token = token.ok_or_else(|| Reply::invalid("access_token", "This field is required."))?;
    let link = id::parse(token).and_then(|token| state.bank.find_token(token)).ok_or_else(Reply::not_found)?;
    let user = state.bank.links[link].user;
    state.truv.may(call.tenant, state.bank.users[user].owner)?;
    if state.bank.links[link].deleted_ms.is_some() {
        return Err(Reply::not_found());
    }
    let product = match body.get("product_type").filter(|value| !value.is_null()) {
        None => state.bank.links[link].product.clone(),
        Some(value) => match value.as_str().filter(|product| is_product(product)) {
            Some(product) => product.to_owned(),
            None => return Err(Reply::invalid("product_type", "Value is not a valid choice.")),
        },
    };
    let tenant = &state.truv.tenants[call.tenant];
    if tenant.environment == Environment::Dev && tenant.successful_tasks >= state.settings.dev_task_limit {
        return Err(Reply::error(403, "task_limit_exceeded", "Limit of successful tasks in development exceeded"));
    }
    let now_ms = state.bank.now_ms;
    let past = state.truv.refreshes.entry(link).or_default();
    let recent = past.iter().filter(|at| **at > now_ms - DAY_MS).count();
    if state.settings.refresh_limit.is_some_and(|limit| recent >= limit) {
        return Err(Reply::error(429, "throttled", REFRESH_LIMIT_TEXT));
    }
    past.push(now_ms);
    state.bank.first_look(link);
    let task = Task {
        id: id::draw(&mut state.bank.rng),
        user,
        link: Some(link),
        institution: state.bank.links[link].institution.to_string(),
        status: "new".to_owned(),
        product,
        created_ms: now_ms + call.wish.skew_ms,
        updated_ms: now_ms,
        is_refresh: true,
        asks_mfa: false,
        is_long: false,
        tracking: state.bank.links[link].tracking.clone(),
        bridge_token: None,
    };
    let id = task.id;
    let task = state.truv.add_task(task);
    "new".clone_into(&mut state.bank.links[link].status);
    state.bank.tell_of(link, Happened::TaskMoved { task, status: "new".to_owned() });
    start(state, task);
    Ok(Reply::json(201, &json!({"task_id": id::hex(id)})))
}

fn find<'a>(state: &'a State, call: &Call, id: &str) -> Result<&'a Task, Reply> {
    let task = id::parse(id).and_then(|id| state.truv.task_index.get(&id)).ok_or_else(Reply::not_found)?;
    let task = &state.truv.tasks[*task];
    state.truv.may(call.tenant, state.bank.users[task.user].owner)?;
    Ok(task)
}

/// A refresh by its task: `id` here, `task_id` at creation; `refresh_date` is deprecated and a bare date.
pub(super) fn retrieve_refresh(state: &mut State, call: &Call, id: &str) -> Answer {
    let task = find(state, call, id)?;
    if !task.is_refresh {
        return Err(Reply::not_found());
    }
    let created = instant(task.created_ms);
    Ok(Reply::ok(&json!({
        "id": id::hex(task.id),
        "refresh_date": &created[..10],
        "status": task.status,
        "created_at": created,
    })))
}

pub(super) fn retrieve(state: &mut State, call: &Call, id: &str) -> Answer {
    let task = find(state, call, id)?;
    Ok(Reply::ok(&object(&state.bank, task)))
}

/// Tasks, newest first, filtered by `user_id` (observed) and `link_id` (invented).
pub(super) fn list(state: &mut State, call: &Call) -> Answer {
    let bank = &state.bank;
    let user = call.param("user_id").map(id::parse);
    let link = call.param("link_id").map(id::parse);
    let wanted = |task: &&Task| {
        bank.users[task.user].owner == Owner::Truv(call.tenant)
            && user.is_none_or(|user| user == Some(bank.users[task.user].id))
            && link.is_none_or(|link| link.is_some() && link == task.link.map(|at| bank.links[at].id))
    };
    let tasks: Vec<&Task> = state.truv.tasks.iter().rev().filter(wanted).collect();
    paging::results(call, &state.settings, &tasks, |task| object(bank, task))
}

fn object(bank: &Bank, task: &Task) -> Value {
    let link = task.link.map(|link| &bank.links[link]);
    let name = link.map_or(task.institution.as_str(), |link| &link.institution_name);
    let failed = task.status.ends_with("error");
    json!({
        "id": id::hex(task.id),
        "status": task.status,
        "product_type": task.product,
        "provider": provider_object(&task.institution, name),
        "created_at": instant(task.created_ms),
        "updated_at": instant(task.updated_ms),
        "link_id": link.map(|link| id::hex(link.id)),
        "user_id": id::hex(bank.users[task.user].id),
        "error_message": failed.then(|| format!("Task ended with {}", task.status)),
        "tracking_info": task.tracking,
        "bridge_token": task.bridge_token.map(id::hex),
        "data_source": "financial_accounts",
        "is_suspicious": false,
        "order_id": null,
    })
}
