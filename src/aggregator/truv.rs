//! Truv: which request answers which question, and what its refusals mean.
//!
//! Paths end in a slash, the page size is always sent, parameters are only those that official code or pages show.
//! Source: upstream/truv.md sections 1 to 10.

mod connect;
mod endpoints;
mod normalize;
mod webhook;
mod wire;

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use serde_json::value::RawValue;

use super::call::{CallContext, CallError, parse};
use super::complaint::complaint;
use super::loose::Loose;
use super::{Deleted, ListedUser, PageToken, RefreshProgress, RefreshTerms, TransactionPage, UserPage, Window};
use crate::http::{Answer, Dialect, Door, ErrorDocument, HttpError};
use crate::model::{AccountRecord, LinkRecord};
use crate::secret::Secret;
pub(super) use webhook::{SIGNATURE_HEADER, Signing, WEBHOOK_INSTRUCTIONS, read_webhook, stage};

pub(super) use connect::{GLUE, Widget};

/// The product whose data we store; sent with every refresh.
const PRODUCT: &str = "transactions";
/// Page size of lists other than transactions.
const LIST_PAGE_SIZE: &str = "100";
/// More pages than any list has: a list that goes on is a loop.
const MAX_LIST_PAGES: u32 = 10_000;
/// How many successful tasks a development secret allows. Source: page 002.
const DEVELOPMENT_TASKS: u32 = 50;
/// How far Truv's clock may be behind ours when we look for a task by its creation. What is too old by it is taken for never
/// made and asked for again, so it is generous; earlier tasks of the link are known by their ids.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(15);
/// The waits after throttles that do not say how long. Source: what Truv's own client does, section 2.
const UNHINTED_WAITS: &[Duration] =
    &[Duration::from_secs(5), Duration::from_secs(15), Duration::from_secs(30), Duration::from_mins(1)];

/// One Truv credential.
#[derive(Clone)]
pub(super) struct Truv(Arc<Inner>);

struct Inner {
    door: Door,
    page_size: String,
    is_development: bool,
    widget: Widget,
    signing: Signing,
}

/// Whether a secret is one of the development environment, whose successful tasks are capped.
pub(super) fn is_development_secret(secret: &str) -> bool {
    secret.starts_with("dev-")
}

/// The two headers that every request carries; `None` if the credentials hold characters no header can.
pub(super) fn headers(client_id: &str, access_secret: &Secret) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in [("x-access-client-id", client_id), ("x-access-secret", access_secret.expose())] {
        let mut value = HeaderValue::from_str(value).ok()?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_static(name), value);
    }
    Some(headers)
}

/// How Truv writes errors, and which 429 is no request throttle.
pub(super) fn dialect() -> Dialect {
    Dialect { read_error: ErrorDocument::read, is_quota, unhinted_waits: UNHINTED_WAITS }
}

/// Source: section 2: the refresh limit answers 429 with this text, whatever its code.
fn is_quota(_status: u16, document: &ErrorDocument) -> bool {
    document.message.as_deref().is_some_and(|m| m.to_ascii_lowercase().contains("refresh limit"))
}

impl Truv {
    /// A credential that speaks through `door`, and whose customers connect in `widget`.
    pub(super) fn new(door: Door, page_size: u32, is_development: bool, signing: Signing, widget: Widget) -> Self {
        Self(Arc::new(Inner { door, page_size: page_size.to_string(), is_development, signing, widget }))
    }

    pub(super) fn refresh_terms(&self) -> RefreshTerms {
        RefreshTerms { price_unit: "verification", lifetime_cap: self.0.is_development.then_some(DEVELOPMENT_TASKS) }
    }

    async fn get(&self, context: &CallContext, path: &str, query: &[(&str, &str)]) -> Result<Answer, HttpError> {
        context.counted(self.0.door.get(path, query, context.lane).await)
    }

    pub(super) async fn check(&self, context: &CallContext) -> Result<(), CallError> {
        let answer = self.get(context, "/v1/users/", &[("page_size", "1"), ("list_links", "false")]).await?;
        parse::<wire::List<'_>>("the list of users", &answer)?;
        Ok(())
    }

    pub(super) async fn users(&self, context: &CallContext, page: Option<&PageToken>) -> Result<UserPage, CallError> {
        let page = page.map_or("1", |p| p.page.as_str());
        let query = [("page", page), ("page_size", LIST_PAGE_SIZE), ("list_links", "true")];
        let answer = match self.get(context, "/v1/users/", &query).await {
            // The list shrank below the page asked for. Source: section 20 (14).
            Err(HttpError::Refused { status: 404, .. }) if page != "1" => return Ok(UserPage::default()),
            answer => answer?,
        };
        let list: wire::List<'_> = parse("the list of users", &answer)?;
        let mut users = UserPage { next: next_page(&list.next, page), ..UserPage::default() };
        list.results.iter().for_each(|raw| users.push(listed_user(raw)));
        Ok(users)
    }

    pub(super) async fn user_links(&self, context: &CallContext, user: &str) -> Result<Vec<LinkRecord>, CallError> {
        let mut links = Vec::new();
        self.list(context, "/v1/links/", &[("user_id", user)], "the links of a user", |raw| {
            links.extend(normalize::link(raw));
        })
        .await?;
        Ok(links)
    }

    /// Walks a plain list to its end.
    async fn list(
        &self,
        context: &CallContext,
        path: &str,
        filter: &[(&str, &str)],
        what: &'static str,
        mut each: impl FnMut(&RawValue),
    ) -> Result<(), CallError> {
        let mut page = "1".to_owned();
        for _ in 0..MAX_LIST_PAGES {
            let mut query = filter.to_vec();
            query.extend([("page", page.as_str()), ("page_size", LIST_PAGE_SIZE)]);
            let answer = match self.get(context, path, &query).await {
                // The list shrank below the page asked for. Source: section 20 (14).
                Err(HttpError::Refused { status: 404, .. }) if page != "1" => return Ok(()),
                answer => answer?,
            };
            let list: wire::List<'_> = parse(what, &answer)?;
            list.results.iter().for_each(|raw| each(raw));
            match next_page(&list.next, &page) {
                Some(next) => page = next.page,
                None => return Ok(()),
            }
        }
        Err(CallError::Malformed { what, reason: format!("more than {MAX_LIST_PAGES} pages") })
    }

    pub(super) async fn link(&self, context: &CallContext, link: &str) -> Result<Option<LinkRecord>, CallError> {
        let answer = self.get(context, &format!("/v1/links/{link}/"), &[]).await?;
        let raw: &RawValue = parse("a link", &answer)?;
        Ok(normalize::link(raw))
    }

    /// Source: section 4: what deleting a user does to their links is not documented, so each of them is deleted first
    /// (section 7); and one that is deleted already may still be listed.
    pub(super) async fn delete_user(&self, context: &CallContext, user: &str) -> Result<Deleted, CallError> {
        const LINKS: &str = "the links of a user";
        let mut listed = Vec::new();
        self.list(context, "/v1/links/", &[("user_id", user)], LINKS, |raw| {
            listed.push(normalize::link_to_delete(raw));
        })
        .await?;
        let mut links = Vec::with_capacity(listed.len());
        for link in listed {
            // Of whatever product: those that hold no bank data hold other data of theirs.
            let (id, is_deleted) =
                link.ok_or_else(|| CallError::Malformed { what: LINKS, reason: "a link without an id".to_owned() })?;
            if !is_deleted {
                match self.delete(context, &format!("/v1/links/{id}/")).await {
                    Ok(()) | Err(CallError::Gone(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            links.push(id);
        }
        match self.delete(context, &format!("/v1/users/{user}/")).await {
            // Deleted before, as far as that went: by an attempt whose answer was lost.
            Err(CallError::Gone(_)) if !links.is_empty() => Ok(Deleted { links }),
            deleted => deleted.map(|()| Deleted { links }),
        }
    }

    async fn delete(&self, context: &CallContext, path: &str) -> Result<(), CallError> {
        context.counted(self.0.door.delete(path, context.lane).await)?;
        Ok(())
    }

    pub(super) async fn start_refresh(&self, context: &CallContext, token: &Secret) -> Result<String, CallError> {
        let body = json!({ "access_token": token.expose(), "product_type": PRODUCT });
        let answer = context.counted(self.0.door.post("/v1/refresh/tasks/", &body, context.lane).await);
        let answer = answer.map_err(|error| {
            // Nothing was started. A 403 may be the cap of a development key, and a 400 or 404 a link of another product or a
            // stale token: whether the link may be read, the pull will tell.
            if let HttpError::Refused { status, document, .. } = &error
                && (is_quota(*status, document) || (*status != 401 && document.is_structured))
            {
                return CallError::RefreshRefused(document.clone());
            }
            CallError::from(error)
        })?;
        // An answer that cannot be read hides a task that runs: its fate is unknown, not refused.
        let task: wire::Task<'_> =
            parse("a refresh", &answer).map_err(|_| CallError::OutcomeUnknown(crate::http::TransientCause::NotJson))?;
        Ok(task.id)
    }

    pub(super) async fn refresh_progress(
        &self,
        context: &CallContext,
        task: &str,
    ) -> Result<RefreshProgress, CallError> {
        let answer = match self.get(context, &format!("/v1/refresh/tasks/{task}/"), &[]).await {
            Err(HttpError::Refused { status: 404, .. }) => return Ok(RefreshProgress::Lost),
            answer => answer?,
        };
        let task: wire::Task<'_> = parse("a refresh task", &answer)?;
        Ok(progress(task.status.text()))
    }

    /// Source: section 20 (40): there are no idempotency keys, so the task list is the only witness.
    pub(super) async fn find_refresh(
        &self,
        context: &CallContext,
        user: &str,
        link: &str,
        sent_at: Timestamp,
    ) -> Result<Vec<String>, CallError> {
        let earliest = sent_at.saturating_sub(CLOCK_SKEW).unwrap_or(sent_at);
        let mut found: Vec<(bool, Option<Timestamp>, String)> = Vec::new();
        self.list(context, "/v1/tasks/", &[("user_id", user)], "the list of tasks", |raw| {
            let Ok(task) = serde_json::from_str::<wire::Task<'_>>(raw.get()) else {
                return;
            };
            // What does not say when it was made, or for which link, may be the one: a refresh that was made and taken for
            // never made would be asked for again.
            let created_at = task.created_at.text().and_then(|text| normalize::instant(&text));
            let of_link = task.link_id.text();
            if created_at.is_none_or(|at| at >= earliest) && of_link.as_deref().is_none_or(|of| of == link) {
                found.push((of_link.is_some(), created_at, task.id));
            }
        })
        .await?;
        // Those that say so go first; an instant sorts above none.
        found.sort_by_key(|(is_of_link, at, _)| Reverse((*is_of_link && at.is_some(), *at)));
        Ok(found.into_iter().map(|(.., id)| id).collect())
    }

    /// Source: section 9: `auth` shows the accounts of `balances` with their numbers, so one request does for both.
    pub(super) async fn accounts(
        &self,
        context: &CallContext,
        link: &str,
        with_numbers: bool,
    ) -> Result<Vec<AccountRecord>, CallError> {
        let mut accounts = Vec::new();
        if with_numbers {
            let answer = self.get(context, &format!("/v1/links/{link}/auth/"), &[]).await?;
            let auth: wire::Auth<'_> = parse("account numbers", &answer)?;
            accounts.extend(auth.accounts.iter().filter_map(|raw| normalize::account(raw)));
        } else {
            self.list(context, &format!("/v1/links/{link}/balances/"), &[], "balances", |raw| {
                accounts.extend(normalize::account(raw));
            })
            .await?;
        }
        Ok(accounts)
    }

    pub(super) async fn transactions(
        &self,
        context: &CallContext,
        link: &str,
        window: Window,
        page: Option<&PageToken>,
    ) -> Result<TransactionPage, CallError> {
        let number = page.map_or("1", |p| p.page.as_str());
        // Whole seconds, rounded down: the form that official code sends. Source: section 10.
        let from = window.from.map(|at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        let mut query = vec![("page", number), ("page_size", self.0.page_size.as_str())];
        if let Some(from) = &from {
            query.push(("transacted_at_from", from));
        }
        let answer = match self.get(context, &format!("/v1/links/{link}/transactions/"), &query).await {
            // The list shrank below the page asked for; the count tells that the walk is not complete.
            Err(HttpError::Refused { status: 404, .. }) if number != "1" => return Ok(TransactionPage::default()),
            answer => answer?,
        };
        let parsed: wire::TransactionsPage<'_> = parse("transactions", &answer)?;
        let mut page = TransactionPage {
            accounts: parsed.accounts.iter().filter_map(|raw| normalize::account(raw)).collect(),
            rows: Vec::with_capacity(parsed.transactions.len()),
            total: parsed.count.text().and_then(|count| count.parse().ok()),
            next: next_page(&parsed.next, number),
            ..TransactionPage::default()
        };
        for raw in parsed.transactions {
            match normalize::transaction(raw) {
                Ok(row) => page.rows.push(row),
                Err(rejected) => page.rejected.push(*rejected),
            }
        }
        Ok(page)
    }
}

/// What a task's status means for the refresh.
pub(super) fn progress(status: Option<String>) -> RefreshProgress {
    match status.as_deref() {
        Some("done") => RefreshProgress::Done,
        Some(word) if normalize::is_terminal(word) => RefreshProgress::Failed { health: normalize::health(status) },
        _ => RefreshProgress::Running { status },
    }
}

fn listed_user(raw: &RawValue) -> Result<ListedUser, CallError> {
    let user: wire::User<'_> = serde_json::from_str(raw.get())
        .map_err(|e| CallError::Malformed { what: "the list of users", reason: complaint(&e) })?;
    let links = user.links.as_ref().map(|links| {
        links.iter().filter_map(|raw| Some((normalize::link(raw)?, normalize::token_suffix(raw)))).collect()
    });
    Ok(ListedUser { user: normalize::user(&user), links })
}

/// The page after `page`, if the answer has a next one. Its address is not followed, only taken as a yes.
///
/// Source: section 10: official code counts pages up until `next` is empty.
fn next_page(next: &Loose<'_>, page: &str) -> Option<PageToken> {
    next.text()?;
    let number: u32 = page.parse().ok()?;
    Some(PageToken::new((number + 1).to_string()))
}
