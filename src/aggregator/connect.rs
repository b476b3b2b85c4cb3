//! Connecting customers: whom to connect, the way to the aggregator's own pages, and what comes back from there.
//!
//! The customer never types a bank's password into anything of ours. An aggregator either brings a widget, a script that
//! opens its pages over ours and hands over a public token ([`Begun::Widget`]), or pages of its own to which the browser goes
//! and from which it returns ([`Begun::Hosted`]). Whatever the browser brings back is a hint: what counts is what
//! [`Connect::exchange`] and the list of the customer's links say.
//!
//! What must stay true: nothing here is sent twice by itself, and tokens are only shown to the page that needs them.

use url::Url;

use super::call::{CallContext, CallError};
use super::{Aggregator, Kind};
use crate::http::TransientCause;
use crate::model::{Attention, UserRecord};
use crate::secret::Secret;

/// Connects and repairs links.
pub struct Connect<'a>(&'a Kind);

/// A customer as the organisation knows them.
#[derive(Debug, Clone, Copy)]
pub struct Customer<'a> {
    /// The organisation's own id.
    pub external_id: &'a str,
    /// The aggregator's id that is stored for it, if any.
    pub known_as: Option<&'a str>,
    /// First name, for aggregators that keep one.
    pub first_name: Option<&'a Secret>,
    /// Last name.
    pub last_name: Option<&'a Secret>,
}

/// What a connection is begun with.
#[derive(Debug, Clone, Copy)]
pub struct Beginning<'a> {
    /// The aggregator's id of the customer.
    pub user: &'a str,
    /// The customer's e-mail address.
    pub email: Option<&'a Secret>,
    /// The link to repair; `None`: a bank is connected.
    pub repair: Option<Repair<'a>>,
    /// Two letters, for pages that can be had in several languages.
    pub language: &'a str,
    /// Where the browser comes back to.
    pub callback: &'a Url,
    /// What it must carry then: letters and digits, at most [`MAX_CONTEXT_CHARS`].
    pub context: &'a Secret,
}

/// A link to be repaired.
#[derive(Debug, Clone, Copy)]
pub struct Repair<'a> {
    /// The aggregator's id of the link.
    pub link: &'a str,
    /// Its access token, where one is known.
    pub access_token: Option<&'a Secret>,
    /// What is wrong with it.
    pub attention: Option<Attention>,
}

/// The longest context that every aggregator gives back.
pub const MAX_CONTEXT_CHARS: usize = 100;

/// How a connection goes on in the customer's browser.
#[derive(Debug)]
pub enum Begun {
    /// On our page, with the aggregator's script.
    Widget {
        /// What the script is opened with; good for this customer and a few hours.
        token: Secret,
        /// The script.
        script: Url,
        /// What the script loads, frames and talks to, as a Content-Security-Policy names it.
        origins: Vec<String>,
    },
    /// On a page of the aggregator's: https, or this machine where the aggregator itself is.
    Hosted {
        /// The page; good for one customer and a short time.
        url: Url,
    },
}

/// What a public token was exchanged for.
#[derive(Debug)]
pub struct Exchanged {
    /// The aggregator's id of the link.
    pub link: String,
    /// What its refreshes need.
    pub access_token: Secret,
}

/// Why a public token was not exchanged.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// It is too old, was exchanged before, or never was one: the customer begins anew.
    #[error("the public token is expired, used or unknown")]
    Expired,
    /// Sent, and no answer: look whether the customer has a new link.
    #[error("no answer to the exchange of a public token: {0}")]
    OutcomeUnknown(TransientCause),
    /// It was not exchanged.
    #[error(transparent)]
    Call(CallError),
}

/// What the browser says when it comes back from the aggregator's pages: hints, all of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Returned {
    /// What we gave along; whoever does not have it comes from elsewhere.
    pub context: Option<Secret>,
    /// The aggregator's id of the customer.
    pub user: Option<String>,
    /// The aggregator's id of the link.
    pub link: Option<String>,
    /// Where the customer stopped; `None`: not before the end.
    pub stopped: Option<Stopped>,
}

/// Where a customer stopped on the aggregator's pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// While choosing a bank: changed their mind.
    Choosing,
    /// At the login.
    Login,
    /// At the second factor.
    SecondFactor,
    /// At a confirmation, of who they are or of their address.
    Confirmation,
    /// While the bank was being read, which goes on by itself.
    Reading,
    /// The bank could not be read.
    Failed,
    /// Somewhere else.
    Elsewhere,
}

impl Stopped {
    /// The word that is stored and logged.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Choosing => "stopped while choosing a bank",
            Self::Login => "stopped at the login",
            Self::SecondFactor => "stopped at the second factor",
            Self::Confirmation => "stopped at a confirmation",
            Self::Reading => "left while the bank was being read",
            Self::Failed => "the bank could not be read",
            Self::Elsewhere => "stopped",
        }
    }
}

impl Aggregator {
    /// Connects and repairs links.
    pub fn connect(&self) -> Connect<'_> {
        Connect(&self.0)
    }
}

impl Connect<'_> {
    /// Whether a bank can only be connected with the customer's e-mail address.
    pub fn needs_email(&self) -> bool {
        match self.0 {
            Kind::Truv(_) => false,
            Kind::Bridge(_) => true,
        }
    }

    /// The script that runs the aggregator's widget on our page; `None`: there is no widget.
    ///
    /// Shape: it defines `connectWidget.open(token, on)`, with `on.opened`, `on.connected(publicToken)`, `on.failed(code)` and
    /// `on.closed`.
    pub fn glue(&self) -> Option<&'static str> {
        match self.0 {
            Kind::Truv(truv) => Some(truv.glue()),
            Kind::Bridge(_) => None,
        }
    }

    /// Finds the customer at the aggregator, or makes them known there.
    ///
    /// Shape: one customer per external id, also where the answer to making one was lost.
    /// After a crash: asking again finds the one that was made.
    pub async fn user(&self, context: &CallContext, customer: &Customer<'_>) -> Result<UserRecord, CallError> {
        match self.0 {
            Kind::Truv(truv) => truv.find_or_make_user(context, customer).await,
            Kind::Bridge(bridge) => bridge.find_or_make_user(context, customer).await,
        }
    }

    /// Begins a connection.
    ///
    /// Errors: `Gone` where the aggregator does not know the customer or the link any more; `OutcomeUnknown` does no harm,
    /// the customer begins again.
    pub async fn begin(&self, context: &CallContext, beginning: &Beginning<'_>) -> Result<Begun, CallError> {
        match self.0 {
            Kind::Truv(truv) => truv.begin_connection(context, beginning).await,
            Kind::Bridge(bridge) => bridge.begin_connection(context, beginning).await,
        }
    }

    /// Exchanges the public token that the widget handed over, once.
    pub async fn exchange(&self, context: &CallContext, public_token: &Secret) -> Result<Exchanged, ExchangeError> {
        match self.0 {
            Kind::Truv(truv) => truv.exchange(context, public_token).await,
            Kind::Bridge(_) => Err(ExchangeError::Expired),
        }
    }

    /// Reads what the browser brought back; `None`: nobody comes back from this aggregator.
    pub fn read_return(&self, query: &str) -> Option<Returned> {
        match self.0 {
            Kind::Truv(_) => None,
            Kind::Bridge(bridge) => Some(bridge.read_return(query)),
        }
    }
}
