//! Customers, banks, and the connections between them.

use jiff::Timestamp;

use super::LinkHealth;
use crate::secret::Secret;

/// One end customer at an aggregator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRecord {
    /// The aggregator's id.
    pub upstream_id: String,
    /// The organisation's own id for this customer.
    pub external_id: Option<String>,
}

/// One bank as an aggregator names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstitutionRecord {
    /// The aggregator's id, e.g. `chase`.
    pub upstream_id: String,
    /// The name a person knows.
    pub name: Option<String>,
    /// ISO 3166 country, two letters.
    pub country: Option<String>,
    /// The banking group it belongs to.
    pub group_name: Option<String>,
    /// Where its logo is.
    pub logo_url: Option<String>,
    /// Whether the aggregator can reach it at present, verbatim: a word, or JSON where there are several.
    pub service_status: Option<String>,
}

/// One category of transactions as an aggregator names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CategoryRecord {
    /// The aggregator's id.
    pub upstream_id: String,
    /// The category above it.
    pub parent_upstream_id: Option<String>,
    /// In the configured language.
    pub name: String,
}

/// One customer's connection to one institution.
#[derive(Debug, Clone)]
pub struct LinkRecord {
    /// The aggregator's id.
    pub upstream_id: String,
    /// The bank, where the aggregator says.
    pub institution: Option<InstitutionRecord>,
    /// What a refresh needs; `None` where the answer masks or omits it.
    pub access_token: Option<Secret>,
    /// What the aggregator says about the connection.
    pub health: LinkHealth,
    /// Deleted at the aggregator.
    pub is_removed: bool,
    /// When the aggregator last read the bank with success, where it says.
    pub refreshed_at: Option<Timestamp>,
    /// When it last tried.
    pub tried_at: Option<Timestamp>,
    /// When the customer's consent ends and must be renewed.
    pub consent_expires_at: Option<Timestamp>,
}
