//! Bridge's JSON as it comes: tolerant types, no meaning yet.
//!
//! Everything is optional and of any type, unknown fields are ignored; what a thing needs is for `normalize` to say. Rows
//! of a page stay raw text here, so that a malformed one spoils only itself.
//! Source: upstream/bridge.md sections 4 to 6, 8, 9, 10, 11.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::aggregator::complaint::complaint;
use crate::aggregator::listed::Listed;
use crate::aggregator::loose::Loose;

/// Reads an object; an array, which serde would read field by field, is none.
pub(super) fn object<'a, T: Deserialize<'a>>(raw: &'a str) -> Result<T, String> {
    if !raw.trim_start().starts_with('{') {
        return Err("not an object".to_owned());
    }
    serde_json::from_str(raw).map_err(|e| complaint(&e))
}

/// One page of any list.
#[derive(Debug, Deserialize)]
pub(super) struct List<'a> {
    /// Not defaulted: an answer without the list is no empty list.
    #[serde(borrow)]
    pub(super) resources: Listed<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) pagination: Loose<'a>,
}

/// Where a list continues.
#[derive(Debug, Deserialize)]
pub(super) struct Pagination<'a> {
    #[serde(borrow, default)]
    pub(super) next_uri: Loose<'a>,
}

/// A user's token. Not to be shown.
#[expect(clippy::struct_field_names, reason = "Bridge's names")]
#[derive(Deserialize)]
pub(super) struct Token<'a> {
    #[serde(borrow, default)]
    pub(super) access_token: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) expires_at: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) user: Loose<'a>,
}

/// One user.
#[derive(Debug, Deserialize, Default)]
pub(super) struct User<'a> {
    #[serde(borrow, default)]
    pub(super) uuid: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) external_user_id: Loose<'a>,
}

/// A page for one customer.
#[derive(Deserialize)]
pub(super) struct Session<'a> {
    #[serde(borrow, default)]
    pub(super) url: Loose<'a>,
}

/// One item.
#[derive(Debug, Deserialize)]
pub(super) struct Item<'a> {
    #[serde(borrow, default)]
    pub(super) id: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) provider_id: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) status: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) status_code_info: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) status_code_description: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) last_successful_refresh: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) last_try_refresh: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) authentication_expires_at: Loose<'a>,
}

/// One account.
#[derive(Debug, Deserialize)]
pub(super) struct Account<'a> {
    #[serde(borrow, default)]
    pub(super) id: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) item_id: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) name: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) r#type: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) balance: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) accounting_balance: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) instant_balance: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) currency_code: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) updated_at: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) last_refresh_status: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) data_access: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) pro: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) iban: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) loan_details: Loose<'a>,
}

/// What an account tells of a loan.
#[derive(Debug, Deserialize)]
pub(super) struct Loan<'a> {
    #[serde(borrow, default)]
    pub(super) r#type: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) interest_rate: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) borrowed_capital: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) repaid_capital: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) remaining_capital: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) opening_date: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) maturity_date: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) next_payment_date: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) next_payment_amount: Loose<'a>,
}

/// One transaction.
#[expect(clippy::struct_field_names, reason = "Bridge's names")]
#[derive(Debug, Deserialize, Default)]
pub(super) struct Transaction<'a> {
    #[serde(borrow, default)]
    pub(super) id: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) account_id: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) clean_description: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) provider_description: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) amount: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) currency_code: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) date: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) booking_date: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) transaction_date: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) value_date: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) updated_at: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) deleted: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) future: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) category_id: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) operation_type: Loose<'a>,
}

/// One security.
#[derive(Debug, Deserialize)]
pub(super) struct Stock<'a> {
    #[serde(borrow, default)]
    pub(super) id: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) account_id: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) label: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) isin: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) ticker: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) marketplace: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) quantity: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) current_price: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) average_purchase_price: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) total_value: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) currency_code: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) value_date: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) updated_at: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) deleted: Loose<'a>,
}

/// One category, with those below it where the list is nested.
#[derive(Debug, Deserialize)]
pub(super) struct Category<'a> {
    #[serde(borrow, default)]
    pub(super) id: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) name: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) parent_id: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) categories: Loose<'a>,
}

/// One bank.
#[derive(Debug, Deserialize)]
pub(super) struct Provider<'a> {
    #[serde(borrow, default)]
    pub(super) id: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) name: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) country_code: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) group_name: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) images: Loose<'a>,
    #[serde(borrow, default)]
    pub(super) health_status: Loose<'a>,
}

/// A bank's pictures.
#[derive(Debug, Deserialize)]
pub(super) struct Images<'a> {
    #[serde(borrow, default)]
    pub(super) logo: Loose<'a>,
}
