//! Bridge: which request answers which question, and what its refusals mean.
//!
//! What belongs to a user is asked with the user's token, everything else with the application's secret alone; the secret
//! goes with every request, since Bridge's own samples differ about it. Lists are read by following `next_uri` as it
//! comes: nothing of a cursor is built or understood here. There is no way to make Bridge ask the bank.
//! Source: upstream/bridge.md sections 1 to 11.

mod ask;
mod connect;
mod normalize;
mod paging;
mod token;
mod webhook;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::{ACCEPT_LANGUAGE, HeaderName, HeaderValue};
use jiff::Timestamp;
use serde_json::value::RawValue;

use super::call::{CallContext, CallError, parse};
use super::{Deleted, ListedUser, PageToken, Stretch, TransactionPage, UserPage};
use crate::clock::Clock;
use crate::http::{Answer, Dialect, Door, ErrorDocument};
use crate::limits::requests::{Quota, ScopedQuota};
use crate::model::{AccountRecord, CategoryRecord, HoldingRecord, InstitutionRecord, LinkRecord};
use crate::secret::Secret;
use ask::Ask;
pub(super) use connect::read_return;
use paging::{Walk, next_page};
use token::Tokens;
pub(super) use webhook::{SIGNATURE_HEADER, WEBHOOK_INSTRUCTIONS, read_webhook};

/// The version whose fields are read here. Source: section 1.3.
const VERSION: HeaderValue = HeaderValue::from_static("2025-01-15");
/// Page size of lists other than transactions, the largest there is. Source: section 4.
const LIST_PAGE_SIZE: &str = "500";
const USERS: &str = "/v3/aggregation/users";
const ITEMS: &str = "/v3/aggregation/items";
const THE_USERS: &str = "the list of users";
const THE_TRANSACTIONS: &str = "transactions";

/// How Bridge words its errors. It counts nothing but requests, so no refusal is a quota's.
pub(super) const DIALECT: Dialect =
    Dialect { read_error: ErrorDocument::read, is_quota: |_, _| false, unhinted_waits: UNHINTED_WAITS };
/// Bridge names no wait; a full window surely ends it. Source: section 3.3.
const UNHINTED_WAITS: &[Duration] = &[MINUTE];
const MINUTE: Duration = Duration::from_mins(1);

/// The scope of a user's requests.
const USER: &str = "user";
/// The scope of asking for a user's tokens.
const USER_TOKEN: &str = "user_token";
/// A user may get one token where there may be this many requests. Source: section 3.3, which has 10 and 60 a minute.
const REQUESTS_PER_TOKEN: u32 = 6;

/// What a user's requests count against beside the application's quota.
pub(super) fn scopes(user_requests_per_minute: u32) -> Vec<ScopedQuota> {
    let per_minute = |scope, requests| ScopedQuota { scope, quota: Quota { requests, window: MINUTE } };
    vec![
        per_minute(USER, user_requests_per_minute),
        per_minute(USER_TOKEN, user_requests_per_minute / REQUESTS_PER_TOKEN),
    ]
}

/// One Bridge application.
#[derive(Clone)]
pub(super) struct Bridge(Arc<Inner>);

struct Inner {
    door: Door,
    page_size: String,
    clock: Clock,
    tokens: Tokens,
    webhook_secrets: Vec<Secret>,
}

/// The headers that every request carries; `None` if one of the values holds characters no header can.
pub(super) fn headers(client_id: &str, client_secret: &Secret, accept_language: &str) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_static("bridge-version"), VERSION);
    headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_str(accept_language).ok()?);
    for (name, value) in [("client-id", client_id), ("client-secret", client_secret.expose())] {
        let mut value = HeaderValue::from_str(value).ok()?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_static(name), value);
    }
    Some(headers)
}

impl Bridge {
    /// An application that speaks through `door`, which carries its [`headers`]; `page_size` is that of transactions.
    pub(super) fn new(door: Door, page_size: u32, clock: Clock, webhook_secrets: Vec<Secret>) -> Self {
        let tokens = Tokens::new(clock.clone());
        Self(Arc::new(Inner { door, page_size: page_size.to_string(), clock, tokens, webhook_secrets }))
    }

    pub(super) async fn check(&self, context: &CallContext) -> Result<(), CallError> {
        let answer = self.ask(context, None, Ask::List(USERS, &[("limit", "1")])).await?;
        parse::<wire::List<'_>>(THE_USERS, &answer)?;
        Ok(())
    }

    pub(super) async fn users(&self, context: &CallContext, page: Option<&PageToken>) -> Result<UserPage, CallError> {
        let answer = self.page(context, None, page, USERS, &[("limit", LIST_PAGE_SIZE)]).await?;
        let list: wire::List<'_> = parse(THE_USERS, &answer)?;
        let mut users = UserPage { next: next_page(THE_USERS, &list, page)?, ..UserPage::default() };
        list.resources.iter().for_each(|raw| users.push(listed_user(raw)));
        Ok(users)
    }

    pub(super) async fn user_links(&self, context: &CallContext, user: &str) -> Result<Vec<LinkRecord>, CallError> {
        let mut links = Vec::new();
        self.list(context, Some(user), ITEMS, "the links of a user", |raw| links.extend(normalize::link(raw))).await?;
        Ok(links)
    }

    /// Source: section 5: deletes the items and all data with the user; the user's token dies with it.
    pub(super) async fn delete_user(&self, context: &CallContext, user: &str) -> Result<Deleted, CallError> {
        self.ask(context, None, Ask::Delete(&format!("{USERS}/{user}"))).await?;
        self.0.tokens.drop_user(user);
        Ok(Deleted::default())
    }

    pub(super) async fn link(&self, context: &CallContext, user: &str, link: &str) -> Result<LinkRecord, CallError> {
        let answer = self.ask(context, Some(user), Ask::One(&format!("{ITEMS}/{link}"))).await?;
        let raw: &RawValue = parse("a link", &answer)?;
        normalize::link(raw).ok_or_else(|| CallError::Malformed { what: "a link", reason: "no id".to_owned() })
    }

    pub(super) async fn accounts(&self, context: &CallContext, user: &str) -> Result<Vec<AccountRecord>, CallError> {
        let mut accounts = Vec::new();
        self.list(context, Some(user), "/v3/aggregation/accounts", "the accounts of a user", |raw| {
            accounts.extend(normalize::account(raw));
        })
        .await?;
        Ok(accounts)
    }

    pub(super) async fn transactions(
        &self,
        context: &CallContext,
        user: &str,
        stretch: Stretch<'_>,
        page: Option<&PageToken>,
    ) -> Result<TransactionPage, CallError> {
        let since = match stretch {
            Stretch::Since(at) => Some(since(at)),
            Stretch::Whole | Stretch::Account(_) => None,
        };
        let mut query = vec![("limit", self.0.page_size.as_str())];
        query.extend(since.as_deref().map(|since| ("since", since)));
        if let Stretch::Account(account) = stretch {
            query.push(("account_id", account));
        }
        let answer = self.page(context, Some(user), page, "/v3/aggregation/transactions", &query).await?;
        let list: wire::List<'_> = parse(THE_TRANSACTIONS, &answer)?;
        let next = next_page(THE_TRANSACTIONS, &list, page)?;
        let account = match stretch {
            Stretch::Account(account) => Some(account),
            Stretch::Since(_) | Stretch::Whole => None,
        };
        Ok(TransactionPage { next, ..normalize::transactions(&list.resources, account) })
    }

    pub(super) async fn holdings(&self, context: &CallContext, user: &str) -> Result<Vec<HoldingRecord>, CallError> {
        let mut holdings = Vec::new();
        self.list(context, Some(user), "/v3/aggregation/stocks", "the holdings of a user", |raw| {
            holdings.extend(normalize::holding(raw));
        })
        .await?;
        Ok(holdings)
    }

    pub(super) async fn categories(&self, context: &CallContext) -> Result<Vec<CategoryRecord>, CallError> {
        let mut categories = Vec::new();
        self.list(context, None, "/v3/aggregation/categories", "the list of categories", |raw| {
            categories.extend(normalize::categories(raw));
        })
        .await?;
        // A flat list may name a category before the one above it.
        categories.sort_by_key(|category| category.parent_upstream_id.is_some());
        Ok(categories)
    }

    /// Source: section 1.1: banks are the one resource without `aggregation` in its path.
    pub(super) async fn institution(&self, context: &CallContext, id: &str) -> Result<InstitutionRecord, CallError> {
        let answer = self.ask(context, None, Ask::One(&format!("/v3/providers/{id}"))).await?;
        let raw: &RawValue = parse("a bank", &answer)?;
        normalize::institution(raw).ok_or_else(|| CallError::Malformed { what: "a bank", reason: "no id".to_owned() })
    }

    /// Walks a list to its end.
    async fn list(
        &self,
        context: &CallContext,
        user: Option<&str>,
        path: &str,
        what: &'static str,
        mut each: impl FnMut(&RawValue),
    ) -> Result<(), CallError> {
        let query = [("limit", LIST_PAGE_SIZE)];
        let mut walk = Walk::new(what);
        let mut answer = self.ask(context, user, Ask::List(path, &query)).await?;
        loop {
            let list: wire::List<'_> = parse(what, &answer)?;
            list.resources.iter().for_each(|raw| each(raw));
            match walk.next(&list)? {
                Some(next) => answer = self.ask(context, user, Ask::Next(&next)).await?,
                None => return Ok(()),
            }
        }
    }

    /// Asks for the page of a list that the caller is at.
    async fn page(
        &self,
        context: &CallContext,
        user: Option<&str>,
        page: Option<&PageToken>,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Answer, CallError> {
        let ask = page.map_or(Ask::List(path, query), |page| Ask::Next(&page.page));
        self.ask(context, user, ask).await
    }
}

/// The filter for what was written after `at`.
///
/// Source: section 16 (6): whether rows of that very instant come again is not documented, and does no harm.
fn since(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

fn listed_user(raw: &RawValue) -> Result<ListedUser, CallError> {
    let user = normalize::user(raw)
        .ok_or_else(|| CallError::Malformed { what: THE_USERS, reason: "a user without a uuid".to_owned() })?;
    Ok(ListedUser { user, links: None })
}

#[cfg(test)]
mod tests;
