//! Truv's JSON as it comes: tolerant types, no meaning yet.
//!
//! Everything but what identifies a thing is optional, unknown fields are ignored, and values that Truv's own documents
//! show in two types are [`Loose`]. Rows of a page stay raw text here, so that a malformed one spoils only itself.
//! Source: upstream/truv.md sections 3, 4, 7 to 10.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::aggregator::listed::Listed;
use crate::aggregator::loose::Loose;

/// The answer of `links/{id}/transactions/`.
#[derive(Debug, Deserialize)]
pub(super) struct TransactionsPage<'a> {
    #[serde(borrow, default)]
    pub(super) count: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) next: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) accounts: Listed<&'a RawValue>,
    /// Not defaulted: an answer without the list is no empty list.
    #[serde(borrow)]
    pub(super) transactions: Listed<&'a RawValue>,
}

/// One transaction.
#[derive(Debug, Deserialize)]
pub(super) struct Transaction<'a> {
    pub(super) id: Option<String>,
    pub(super) account_id: Option<String>,
    #[serde(borrow, default)]
    pub(super) external_id: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) amount: Loose<'a>,
    pub(super) currency_code: Option<String>,
    #[serde(borrow, default)]
    pub(super) check_number: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) categories: Loose<'a>,
    pub(super) description: Option<String>,
    #[serde(borrow, default)]
    pub(super) merchant_name: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) merchant_category_code: Loose<'a>,
    pub(super) status: Option<String>,
    pub(super) r#type: Option<String>,
    pub(super) posted_at: Option<String>,
    pub(super) transacted_at: Option<String>,
    #[serde(borrow, default)]
    pub(super) updated_at: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) memo: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) location: Loose<'a>,
}

/// Where a transaction took place.
#[derive(Debug, Deserialize, Default)]
pub(super) struct Location<'a> {
    #[serde(borrow, default)]
    pub(super) latitude: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) longitude: Loose<'a>,
}

/// What can be told of a row that does not parse as a whole.
#[derive(Debug, Deserialize, Default)]
pub(super) struct RowTraces<'a> {
    #[serde(borrow, default)]
    pub(super) id: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) account_id: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) external_id: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) amount: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) currency_code: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) r#type: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) status: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) posted_at: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) transacted_at: Loose<'a>,
}

/// One page of a plain list.
#[derive(Debug, Deserialize)]
pub(super) struct List<'a> {
    #[serde(borrow, default)]
    pub(super) next: Loose<'a>,
    #[serde(borrow)]
    pub(super) results: Listed<&'a RawValue>,
}

/// The answer of `links/{id}/auth/`.
#[derive(Debug, Deserialize)]
pub(super) struct Auth<'a> {
    #[serde(borrow)]
    pub(super) accounts: Listed<&'a RawValue>,
}

/// One account, with balances and, from `auth`, numbers.
#[derive(Debug, Deserialize)]
pub(super) struct Account<'a> {
    pub(super) id: String,
    #[serde(borrow, default)]
    pub(super) r#type: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) subtype: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) mask: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) nickname: Loose<'a>,
    pub(super) is_open: Option<bool>,
    /// An object in every sample, an array in old tables.
    #[serde(borrow, default)]
    pub(super) balances: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) numbers: Loose<'a>,
}

/// An account's balances.
#[derive(Debug, Deserialize, Default)]
pub(super) struct Balances<'a> {
    #[serde(borrow, default)]
    pub(super) currency_code: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) balance: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) available_balance: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) credit_limit: Loose<'a>,
}

/// One account and routing number.
#[expect(clippy::struct_field_names, reason = "Truv's names")]
#[derive(Debug, Deserialize)]
pub(super) struct Number<'a> {
    #[serde(borrow, default)]
    pub(super) account_number: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) routing_number: Loose<'a>,
    pub(super) is_tokenized_account_number: Option<bool>,
}

/// One link.
#[derive(Debug, Deserialize)]
pub(super) struct Link<'a> {
    pub(super) id: String,
    #[serde(borrow, default)]
    pub(super) access_token: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) deleted_at: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) status: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) provider_id: Loose<'a>,
    pub(super) provider: Option<Provider<'a>>,
    #[serde(borrow, default)]
    pub(super) data_source: Loose<'a>,
    pub(super) allowed_products: Option<Listed<String>>,
}

/// The bank of a link.
#[derive(Debug, Deserialize)]
pub(super) struct Provider<'a> {
    #[serde(borrow, default)]
    pub(super) id: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) name: Loose<'a>,
}

/// One user.
#[derive(Debug, Deserialize)]
pub(super) struct User<'a> {
    pub(super) id: String,
    #[serde(borrow, default)]
    pub(super) external_user_id: Loose<'a>,
    /// Absent where the answer leaves the links out.
    #[serde(borrow)]
    pub(super) links: Option<Listed<&'a RawValue>>,
}

/// What the widget is opened with. Not to be shown.
#[derive(Deserialize)]
pub(super) struct BridgeToken {
    pub(super) bridge_token: String,
}

/// What a public token was exchanged for. Not to be shown.
#[derive(Deserialize)]
pub(super) struct Exchange {
    pub(super) access_token: String,
    pub(super) link_id: String,
}

/// A task as any of the task endpoints shows it.
#[derive(Debug, Deserialize)]
pub(super) struct Task<'a> {
    /// `id` when read, `task_id` when created.
    #[serde(alias = "task_id")]
    pub(super) id: String,
    #[serde(borrow, default)]
    pub(super) status: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) created_at: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) link_id: Loose<'a>,
}
