//! What an aggregator can do for us: the contract in prose, and one enum over the aggregators.
//!
//! Everything above this floor (sync, daemon, commands) speaks to an [`Aggregator`] and never names one. They differ in
//! what they can do, and each ability is a value that is there or not:
//!
//! - [`Feed`]: how transactions are read. [`Windows`] shows a link's rows that happened in a stretch of time, and what a
//!   complete walk does not show is gone. [`Changes`] shows what was written for a user since an instant of the aggregator's
//!   own clock, and says itself what is gone.
//! - [`Refreshes`]: the bank can be asked again on demand, at a price. Without it the aggregator does so by itself.
//! - [`Connect`]: the way of a customer's browser to the aggregator's own pages, and back.
//! - [`Catalog`]: names for the categories and banks that rows and links only number.
//! - [`Webhooks`]: news that the aggregator sends by itself. [`WebhookEndpoints`]: where it sends them, where it can be asked.
//!
//! The contract:
//! - An answer is a whole page or an error; a page with malformed rows is whole, the rows set aside in it.
//! - Rows come in no promised order, may come again on a later page, and lists drift while somebody writes.
//! - A POST is sent once. Where its fate is unknown the error says so, and [`Refreshes::find`] looks for it.
//! - Nothing here writes to the store or decides when to try again; `http` repeats reads that failed in passing.

mod answers;
mod bridge;
mod call;
mod complaint;
mod connect;
mod listed;
mod loose;
mod open;
mod truv;
mod webhook;

use jiff::Timestamp;

use crate::model::{AccountRecord, CategoryRecord, HoldingRecord, InstitutionRecord, LinkRecord};
use crate::secret::Secret;

pub use answers::{
    Deleted, ListedUser, PageToken, RefreshProgress, RefreshTerms, Stretch, Tombstone, TransactionPage, UserPage,
    Window,
};
use bridge::Bridge;
pub use call::{CallContext, CallError};
pub use connect::{
    Beginning, Begun, Connect, Customer, ExchangeError, Exchanged, MAX_CONTEXT_CHARS, Repair, Returned, Stopped,
};
pub use open::{OpenError, Opened, open};
use truv::Truv;
pub use webhook::{Announcement, News, Registered, SignatureError, WebhookEndpoint, WebhookEndpoints, Webhooks};

/// One configured credential at one of the aggregators. Cheap to clone.
#[derive(Clone)]
pub struct Aggregator(Kind);

#[derive(Clone)]
enum Kind {
    Truv(Truv),
    Bridge(Bridge),
}

/// How an aggregator's transactions are read.
pub enum Feed<'a> {
    /// Link by link, in windows of time.
    Windows(Windows<'a>),
    /// User by user, as changes since an instant.
    Changes(Changes<'a>),
}

/// A link's accounts and its transactions in windows of time.
pub struct Windows<'a>(&'a Truv);

/// A user's accounts and what changed in their transactions.
pub struct Changes<'a>(&'a Bridge);

/// Asks the bank again on demand.
pub struct Refreshes<'a>(&'a Truv);

/// The aggregator's lists of names.
pub struct Catalog<'a>(&'a Bridge);

impl Aggregator {
    /// How transactions are read.
    pub fn feed(&self) -> Feed<'_> {
        match &self.0 {
            Kind::Truv(truv) => Feed::Windows(Windows(truv)),
            Kind::Bridge(bridge) => Feed::Changes(Changes(bridge)),
        }
    }

    /// Asks the bank again; `None`: the aggregator does so by itself, and nothing else makes it.
    pub fn refreshes(&self) -> Option<Refreshes<'_>> {
        match &self.0 {
            Kind::Truv(truv) => Some(Refreshes(truv)),
            Kind::Bridge(_) => None,
        }
    }

    /// The lists of names; `None`: rows and links carry their names themselves.
    pub fn catalog(&self) -> Option<Catalog<'_>> {
        match &self.0 {
            Kind::Truv(_) => None,
            Kind::Bridge(bridge) => Some(Catalog(bridge)),
        }
    }

    /// The news that the aggregator sends by itself.
    pub fn webhooks(&self) -> Webhooks<'_> {
        Webhooks(&self.0)
    }

    /// Where the aggregator sends webhooks; `None`: only its dashboard knows, and sets it.
    pub fn webhook_endpoints(&self) -> Option<WebhookEndpoints<'_>> {
        match &self.0 {
            Kind::Truv(truv) => Some(WebhookEndpoints(truv)),
            Kind::Bridge(_) => None,
        }
    }

    /// Proves the credential with one cheap request.
    pub async fn check(&self, context: &CallContext) -> Result<(), CallError> {
        match &self.0 {
            Kind::Truv(truv) => truv.check(context).await,
            Kind::Bridge(bridge) => bridge.check(context).await,
        }
    }

    /// Lists users, with their links where one request shows both, one page.
    pub async fn users(&self, context: &CallContext, page: Option<&PageToken>) -> Result<UserPage, CallError> {
        match &self.0 {
            Kind::Truv(truv) => truv.users(context, page).await,
            Kind::Bridge(bridge) => bridge.users(context, page).await,
        }
    }

    /// Lists one user's links, with their access tokens where there are any.
    ///
    /// Errors: `Gone` where the aggregator does not know the user.
    pub async fn user_links(&self, context: &CallContext, user: &str) -> Result<Vec<LinkRecord>, CallError> {
        match &self.0 {
            Kind::Truv(truv) => truv.user_links(context, user).await,
            Kind::Bridge(bridge) => bridge.user_links(context, user).await,
        }
    }

    /// Deletes a user with all links and everything the aggregator holds of them.
    ///
    /// Shape: the links it deleted one by one, where deleting the user does not surely delete them.
    /// Errors: `Gone` where the aggregator does not know the user, or no more; `OutcomeUnknown`: ask again, that does no harm.
    pub async fn delete_user(&self, context: &CallContext, user: &str) -> Result<Deleted, CallError> {
        match &self.0 {
            Kind::Truv(truv) => truv.delete_user(context, user).await,
            Kind::Bridge(bridge) => bridge.delete_user(context, user).await,
        }
    }

    /// Reads one link of a user.
    ///
    /// Shape: `None` for a link that holds no bank data.
    /// Errors: `Gone` where the aggregator does not know the link or the user.
    pub async fn link(&self, context: &CallContext, user: &str, link: &str) -> Result<Option<LinkRecord>, CallError> {
        match &self.0 {
            Kind::Truv(truv) => truv.link(context, link).await,
            Kind::Bridge(bridge) => bridge.link(context, user, link).await.map(Some),
        }
    }
}

impl Windows<'_> {
    /// Lists a link's accounts with balances, and with their numbers where that is asked and allowed.
    pub async fn accounts(
        &self,
        context: &CallContext,
        link: &str,
        with_numbers: bool,
    ) -> Result<Vec<AccountRecord>, CallError> {
        self.0.accounts(context, link, with_numbers).await
    }

    /// Reads one page of a link's transactions.
    pub async fn transactions(
        &self,
        context: &CallContext,
        link: &str,
        window: Window,
        page: Option<&PageToken>,
    ) -> Result<TransactionPage, CallError> {
        self.0.transactions(context, link, window, page).await
    }
}

impl Changes<'_> {
    /// Lists the accounts of all links of a user, with balances and numbers; each names its link.
    pub async fn accounts(&self, context: &CallContext, user: &str) -> Result<Vec<AccountRecord>, CallError> {
        self.0.accounts(context, user).await
    }

    /// Reads one page of a user's transactions.
    ///
    /// Shape: removals only for [`Stretch::Since`]; the other stretches show what is there now and name no total.
    pub async fn transactions(
        &self,
        context: &CallContext,
        user: &str,
        stretch: Stretch<'_>,
        page: Option<&PageToken>,
    ) -> Result<TransactionPage, CallError> {
        self.0.transactions(context, user, stretch, page).await
    }

    /// Lists the securities that a user's accounts hold now.
    pub async fn holdings(&self, context: &CallContext, user: &str) -> Result<Vec<HoldingRecord>, CallError> {
        self.0.holdings(context, user).await
    }
}

impl Refreshes<'_> {
    /// What a refresh is and costs here.
    pub fn terms(&self) -> RefreshTerms {
        self.0.refresh_terms()
    }

    /// Asks for a refresh and returns its upstream task id. Costs money; book it in the ledger first.
    pub async fn start(&self, context: &CallContext, token: &Secret) -> Result<String, CallError> {
        self.0.start_refresh(context, token).await
    }

    /// Looks at a refresh.
    pub async fn progress(&self, context: &CallContext, task: &str) -> Result<RefreshProgress, CallError> {
        self.0.refresh_progress(context, task).await
    }

    /// What an announced task status means; for webhooks, which carry the same words as the task.
    pub fn announced(&self, status: &str) -> RefreshProgress {
        truv::progress(Some(status.to_owned()))
    }

    /// Whether a task that stood at `before` has gone on if it is said to stand at `now`: webhooks come in any order.
    ///
    /// Shape: a word whose place is unknown never is later than one whose place is known.
    pub fn goes_on(&self, before: Option<&str>, now: &str) -> bool {
        match before {
            Some(before) => truv::stage(now) > truv::stage(before),
            None => true,
        }
    }

    /// Looks for a refresh of `link` that was sent at `sent_at` or later but never answered.
    ///
    /// Shape: the tasks it may be, newest first, those that do not say when they were made or for which link last; other
    /// refreshes and connections may be among them.
    pub async fn find(
        &self,
        context: &CallContext,
        user: &str,
        link: &str,
        sent_at: Timestamp,
    ) -> Result<Vec<String>, CallError> {
        self.0.find_refresh(context, user, link, sent_at).await
    }
}

impl Catalog<'_> {
    /// Lists every category, the ones above before the ones below.
    pub async fn categories(&self, context: &CallContext) -> Result<Vec<CategoryRecord>, CallError> {
        self.0.categories(context).await
    }

    /// Reads one bank.
    ///
    /// Errors: `Gone` where the aggregator does not know it (any more).
    pub async fn institution(&self, context: &CallContext, institution: &str) -> Result<InstitutionRecord, CallError> {
        self.0.institution(context, institution).await
    }
}
