//! One test per oddity of the contract. Sections are those of upstream/bridge.md.

use serde_json::{Value, json};

use super::*;
use crate::model::{AccountRecord, Attention, Condition, HoldingRecord, LinkRecord};
use jiff::SignedDuration;

fn raw_text(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).expect("JSON")
}

fn raw(value: &Value) -> Box<RawValue> {
    raw_text(&value.to_string())
}

fn with(mut base: Value, changes: &Value) -> Value {
    for (key, value) in changes.as_object().expect("an object") {
        base[key] = value.clone();
    }
    base
}

/// A plain row with some fields replaced.
fn row_with(changes: &Value) -> Value {
    let row = json!({
        "id": 33_000_191_035_701_i64, "account_id": 48_100_001, "clean_description": "Tea",
        "provider_description": "TEA 01/03", "amount": -12.34, "currency_code": "EUR", "date": "2026-03-02",
        "booking_date": "2026-03-02",
        "transaction_date": "2026-03-01", "value_date": "2026-03-03", "updated_at": "2026-03-02T16:10:09.429Z",
        "deleted": false, "future": false, "category_id": 271, "operation_type": "card",
    });
    with(row, changes)
}

fn without(field: &str) -> Value {
    let mut row = row_with(&json!({}));
    row.as_object_mut().expect("an object").remove(field);
    row
}

fn page_of(rows: &[Value], account: Option<&str>) -> TransactionPage {
    let rows: Vec<Box<RawValue>> = rows.iter().map(raw).collect();
    transactions(&rows.iter().map(|raw| &**raw).collect::<Vec<_>>(), account)
}

fn one(row: Value) -> TransactionRecord {
    let page = page_of(&[row], None);
    assert_eq!(page.rejected, []);
    page.rows.into_iter().next().expect("a row")
}

fn read(changes: &Value) -> TransactionRecord {
    one(row_with(changes))
}

fn refused(row: &Value) -> RejectedRow {
    let page = page_of(std::slice::from_ref(row), None);
    page.rejected.into_iter().next().unwrap_or_else(|| panic!("{row} was taken"))
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

fn on(text: &str) -> Date {
    text.parse().expect("a day")
}

/// Section 10.1.
#[test]
fn a_full_row_is_read_as_it_stands() {
    let row = read(&json!({}));
    assert_eq!((row.upstream_id.as_str(), row.upstream_account_id.as_str()), ("33000191035701", "48100001"));
    assert_eq!((row.amount_minor, row.currency.as_str(), row.status), (-1_234, "EUR", Status::Posted));
    assert_eq!((row.transacted_on, row.posted_on), (on("2026-03-01"), Some(on("2026-03-02"))));
    assert_eq!((row.transacted_at, row.posted_at), (None, None), "Bridge tells days only");
    assert_eq!((row.description.as_str(), row.clean_description.as_deref()), ("TEA 01/03", Some("Tea")));
    assert_eq!((row.operation_type.as_deref(), row.upstream_category_id.as_deref()), (Some("card"), Some("271")));
    assert_eq!(row.upstream_updated_at, Some(at("2026-03-02T16:10:09.429Z")));
    assert!(!row.is_obfuscated);
}

/// Section 16 (47): integers without decimals, any scale, perhaps an exponent.
#[test]
fn amounts_are_exact_however_they_are_written() {
    let cases = [
        ("EUR", "-194", -19_400),
        ("EUR", "-6.92", -692),
        ("EUR", "1.5e2", 15_000),
        ("EUR", "-1.5E-1", -15),
        ("EUR", "0", 0),
        ("EUR", "-0.0", 0),
        ("EUR", "12.3400000000000000000000000000000000", 1_234),
        ("EUR", "9876543210987.65", 987_654_321_098_765),
        ("EUR", "\"12.34\"", 1_234),
        ("JPY", "1200", 1_200),
        ("KWD", "1.234", 1_234),
        ("eur", "1.20", 120),
    ];
    for (currency, amount, expected) in cases {
        let text = row_with(&json!({"currency_code": currency})).to_string().replace("-12.34", amount);
        let page = transactions(&[&raw_text(&text)], None);
        assert_eq!(page.rows.first().map(|row| row.amount_minor), Some(expected), "{amount} {currency}");
    }
}

#[test]
fn money_that_cannot_be_told_is_set_aside_with_what_can() {
    for changes in [
        json!({"amount": 12.345}),
        json!({"amount": 1.5, "currency_code": "JPY"}),
        json!({"amount": "12,34"}),
        json!({"amount": "XXXX"}),
        json!({"amount": null}),
        json!({"amount": true}),
        json!({"amount": {"value": 1}}),
        json!({"amount": 1e30}),
        json!({"currency_code": null}),
        json!({"currency_code": "euros"}),
    ] {
        let row = refused(&row_with(&changes));
        assert_eq!((row.upstream_id.as_deref(), row.transacted_at), (Some("33000191035701"), None), "{changes}");
        assert!(!row.reason.is_empty() && row.raw.contains("TEA"));
    }
}

#[test]
fn what_names_a_row_must_be_there_and_the_page_goes_on() {
    for field in ["id", "account_id", "amount", "currency_code"] {
        refused(&without(field));
    }
    for changes in [json!({"id": true}), json!({"id": -1}), json!({"id": 1.5}), json!({"account_id": " "})] {
        refused(&row_with(&changes));
    }
    for odd in [json!("a text"), json!(7), json!(null), json!([]), json!([1, 2])] {
        let page = page_of(&[odd, row_with(&json!({}))], None);
        assert_eq!((page.rejected.len(), page.rows.len()), (1, 1));
    }
}

/// Section 1.3: absent instead of null, and null is read the same.
#[test]
fn everything_else_may_be_missing_or_null() {
    let optional = [
        "clean_description",
        "provider_description",
        "booking_date",
        "transaction_date",
        "value_date",
        "updated_at",
        "deleted",
        "future",
        "category_id",
        "operation_type",
    ];
    for field in optional {
        let (absent, null) = (one(without(field)), read(&json!({ field: null })));
        let same = |row: TransactionRecord| TransactionRecord { content_hash: 0, raw: String::new(), ..row };
        assert_eq!(same(absent), same(null), "{field}");
    }
    assert_eq!(one(without("provider_description")).description, "Tea", "the tidied text stands in");
    let row = read(&json!({"provider_description": null, "clean_description": ""}));
    assert_eq!((row.description.as_str(), row.clean_description), ("", None));
}

/// Section 10.1: `date` is always present and equals one of the next three, depending on the bank.
#[test]
fn days_stand_in_for_each_other() {
    let days = |changes: &Value| {
        let row = read(changes);
        (row.transacted_on.to_string(), row.posted_on.map(|d| d.to_string()))
    };
    let none = json!({"date": null, "booking_date": null, "transaction_date": null, "value_date": null});
    let cases = [
        (json!({"date": "2026-03-05"}), "2026-03-05", "2026-03-05"),
        (json!({"date": "2026-03-05", "booking_date": "2026-03-06"}), "2026-03-05", "2026-03-06"),
        (json!({"date": "2026-03-05", "transaction_date": "2026-03-04"}), "2026-03-04", "2026-03-05"),
        (json!({"booking_date": "2026-03-06"}), "2026-03-06", "2026-03-06"),
        (json!({"transaction_date": "2026-03-04"}), "2026-03-04", "2026-03-04"),
        (json!({"value_date": "2026-03-07"}), "2026-03-07", "2026-03-07"),
        (json!({"date": "2026-03-05T23:30:00+02:00"}), "2026-03-05", "2026-03-05"),
    ];
    for (changes, transacted, posted) in cases {
        let expected = (transacted.to_owned(), Some(posted.to_owned()));
        assert_eq!(days(&with(none.clone(), &changes)), expected, "{changes}");
    }
    assert!(refused(&row_with(&none)).reason.contains("no date"));
    for odd in ["02/03/2026", "2026-02-30", "soon", "2026-03-021"] {
        assert!(refused(&row_with(&json!({"date": odd}))).reason.contains("is no day"), "{odd}");
    }
}

/// Section 10.4.
#[test]
fn a_planned_row_is_not_posted() {
    let row = read(&json!({"future": true, "date": "2027-01-01", "transaction_date": null}));
    assert_eq!((row.status, row.transacted_on, row.posted_on), (Status::Future, on("2027-01-01"), None));
    assert_eq!(read(&json!({"future": "false"})).status, Status::Posted);
}

/// Section 10.5: the list of operation types may grow.
#[test]
fn words_of_tomorrow_are_kept() {
    assert_eq!(
        read(&json!({"operation_type": "instant_transfer"})).operation_type.as_deref(),
        Some("instant_transfer")
    );
}

/// Section 15.1: with or without a fraction, and some banks' offsets.
#[test]
fn instants_are_read_in_every_form() {
    for (text, expected) in [
        ("2026-03-02T16:10:09.429Z", "2026-03-02T16:10:09.429Z"),
        ("2026-03-02T16:10:09Z", "2026-03-02T16:10:09Z"),
        ("2026-03-02T18:10:09.4297+02:00", "2026-03-02T16:10:09.429Z"),
        ("2026-03-02T16:10:09", "2026-03-02T16:10:09Z"),
    ] {
        assert_eq!(read(&json!({"updated_at": text})).upstream_updated_at, Some(at(expected)), "{text}");
    }
    assert_eq!(read(&json!({"updated_at": "lately"})).upstream_updated_at, None);
}

/// Section 10.3: only `id` and `deleted` are sure to be there.
#[test]
fn a_deleted_row_is_a_tombstone_whole_or_as_a_stub() {
    let later = "2026-03-09T10:00:00.000Z";
    let page = page_of(
        &[
            row_with(&json!({})),
            row_with(&json!({"id": 2, "deleted": true, "updated_at": later})),
            json!({"id": 3, "deleted": true}),
        ],
        None,
    );
    assert_eq!((page.rows.len(), page.rejected.len()), (1, 0));
    let removed: Vec<_> = page.removed.iter().map(|t| (t.upstream_id.as_str(), t.upstream_updated_at)).collect();
    assert_eq!(removed, [("2", Some(at(later))), ("3", None)]);
    assert_eq!(page.latest_update, Some(at(later)), "removals move the cursor too");
    assert!(refused(&json!({"deleted": true})).upstream_id.is_none());
}

#[test]
fn a_row_that_is_set_aside_tells_which_stored_rows_it_may_be() {
    let whole = RowTraces {
        upstream_account_id: Some("48100001".to_owned()),
        external_id: None,
        amount_minor: Some(-1_234),
        transacted_on: Some(read(&json!({})).transacted_on),
        is_taken_back: false,
    };
    let deleted_without_id = row_with(&json!({"id": null, "deleted": true}));
    let cases = [
        (without("id"), whole.clone()),
        (deleted_without_id, RowTraces { is_taken_back: true, ..whole.clone() }),
        (without("account_id"), RowTraces { upstream_account_id: None, ..whole.clone() }),
        (row_with(&json!({"amount": "12,34"})), RowTraces { amount_minor: None, ..whole.clone() }),
        (row_with(&json!({"currency_code": null})), RowTraces { amount_minor: None, ..whole.clone() }),
        (row_with(&json!({"date": "soon"})), RowTraces { transacted_on: None, ..whole }),
        (json!("a text"), RowTraces::default()),
    ];
    for (row, expected) in cases {
        assert_eq!(refused(&row).traces, expected, "{row}");
    }
}

/// Section 10.2: a server that does not know a filter shows the rows of all accounts.
#[test]
fn rows_of_another_account_than_asked_for_are_left_out() {
    let rows = [
        row_with(&json!({})),
        row_with(&json!({"id": 2, "account_id": 48_100_002, "updated_at": "2026-04-01T00:00:00Z"})),
        row_with(&json!({"id": 3, "account_id": 48_100_002, "amount": "odd"})),
        json!({"id": 4, "account_id": 48_100_002, "deleted": true}),
        json!({"id": 5, "deleted": true}),
    ];
    let page = page_of(&rows, Some("48100001"));
    assert_eq!((page.rows.len(), page.rejected.len()), (1, 0));
    assert_eq!(page.removed.iter().map(|t| t.upstream_id.as_str()).collect::<Vec<_>>(), ["5"]);
    assert_eq!(page.latest_update, Some(at("2026-03-02T16:10:09.429Z")));
}

/// Section 8.2, status 1100.
#[test]
fn a_row_behind_x_is_told_from_one_that_only_holds_some() {
    for (changes, expected) in [
        (json!({"provider_description": "XXXX"}), true),
        (json!({"clean_description": "XXXX XXXXXX"}), true),
        (json!({"provider_description": "XX XX", "clean_description": null}), true),
        (json!({"provider_description": "XXX"}), false),
        (json!({"provider_description": "CB XXXX1234"}), false),
        (json!({"provider_description": "", "clean_description": null}), false),
    ] {
        assert_eq!(read(&changes).is_obfuscated, expected, "{changes}");
    }
}

#[test]
fn the_content_hash_ignores_when_upstream_looked_and_nothing_else() {
    let hash = |changes: &Value| read(changes).content_hash;
    assert_eq!(
        hash(&json!({"updated_at": "2026-03-02T16:10:09.429Z"})),
        hash(&json!({"updated_at": "2026-03-09T18:30:00Z"}))
    );
    for changes in [json!({"amount": -12.35}), json!({"category_id": 1}), json!({"future": true}), json!({"new": 1})] {
        assert_ne!(hash(&json!({})), hash(&changes), "{changes}");
    }
}

fn account_with(changes: &Value) -> AccountRecord {
    let base = json!({
        "id": 48_100_001, "name": "Compte courant", "balance": 1489.54, "accounting_balance": 1489.54,
        "instant_balance": 1463.89, "updated_at": "2026-03-02T16:10:09.429Z", "last_refresh_status": "successful",
        "type": "checking", "currency_code": "EUR", "item_id": 10_000_001, "provider_id": 574, "data_access": "enabled",
        "pro": false, "iban": "FR76 3000 6000 0112 3456 7890 189",
    });
    account(&raw(&with(base, changes))).expect("an account")
}

fn figures(account: &AccountRecord) -> Option<(Option<i64>, Option<i64>)> {
    account.balance.map(|balance| (balance.current_minor, balance.available_minor))
}

/// Section 9.1.
#[test]
fn a_full_account_is_read_as_it_stands() {
    let account = account_with(&json!({}));
    assert_eq!((account.upstream_id.as_str(), account.upstream_link_id.as_deref()), ("48100001", Some("10000001")));
    assert_eq!((account.kind.as_deref(), account.name.as_deref()), (Some("checking"), Some("Compte courant")));
    assert_eq!(figures(&account), Some((Some(148_954), Some(146_389))));
    assert_eq!((account.is_shared, account.is_business, account.is_open), (Some(true), Some(false), None));
    assert_eq!((account.refreshed_at, account.is_refreshed), (Some(at("2026-03-02T16:10:09.429Z")), Some(true)));
    assert_eq!(account.mask.as_deref(), Some("0189"));
    let numbers = account.numbers.expect("numbers");
    let number = numbers[0].account_number.as_ref().expect("a number");
    assert_eq!((numbers[0].network.as_str(), number.expose()), ("IBAN", "FR7630006000011234567890189"));
    let kept = account.raw.expect("JSON");
    assert!(!kept.contains("FR76") && kept.contains("\"balance\":1489.54"), "{kept}");
}

#[test]
fn an_account_keeps_numbers_that_no_float_could() {
    let text = r#"{"id": 1, "iban": "FR76", "balance": 12345678901234567.890, "extra": {"a": [1.10, 1e2]}}"#;
    let kept = account(&raw_text(text)).expect("an account").raw.expect("JSON");
    assert_eq!(kept, r#"{"balance":12345678901234567.890,"extra":{"a": [1.10, 1e2]},"id":1}"#);
}

/// Sections 9.1 and 9.2: every member but the id may be absent.
#[test]
fn an_account_may_show_next_to_nothing() {
    assert!(account(&raw(&json!({"name": "x"}))).is_none());
    let bare = account(&raw(&json!({"id": 1}))).expect("an account");
    assert_eq!((bare.balance, bare.numbers, bare.is_shared, bare.is_refreshed), (None, None, None, None));
    for (changes, expected) in [
        (json!({"accounting_balance": null}), Some((Some(148_954), Some(146_389)))),
        (json!({"accounting_balance": 1, "balance": 2, "instant_balance": null}), Some((Some(100), None))),
        (json!({"accounting_balance": null, "balance": null}), Some((None, Some(146_389)))),
        (json!({"accounting_balance": "XXXX", "balance": "XXXX", "instant_balance": "XXXX"}), None),
        (json!({"currency_code": null}), None),
    ] {
        assert_eq!(figures(&account_with(&changes)), expected, "{changes}");
    }
    assert_eq!(account_with(&json!({"last_refresh_status": "failed"})).is_refreshed, Some(false));
    assert_eq!(account_with(&json!({"last_refresh_status": "odd", "data_access": "odd"})).is_refreshed, None);
}

/// Section 9.2.
#[test]
fn an_account_that_is_not_shared_has_no_data() {
    let account = account_with(&json!({"data_access": "disabled", "loan_details": {"remaining_capital": 5}}));
    assert_eq!((account.is_shared, account.balance, account.loan), (Some(false), None, None));
    assert_eq!((account.numbers, account.mask), (None, None));
    assert_eq!(account.name.as_deref(), Some("Compte courant"));
}

/// Section 8.2, status 1100.
#[test]
fn hidden_names_and_numbers_are_not_there() {
    for changes in [json!({"name": "XXXX XXXX"}), json!({"iban": "XXXX"}), json!({"iban": "FR76XXXXXXXXXXXX"})] {
        let account = account_with(&changes);
        assert!(account.name.is_none() || account.numbers.is_none(), "{changes}");
        assert_eq!(account.raw, None, "the JSON that is stored stays too");
    }
    assert_eq!(account_with(&json!({"iban": "XXXX"})).mask, None);
}

/// Section 9.1: loan balances come with either sign.
#[test]
fn what_a_loan_owes_is_its_remaining_capital() {
    let details = json!({
        "type": "mortgage", "interest_rate": 1.250, "borrowed_capital": 200_000, "repaid_capital": 59_800,
        "remaining_capital": 140_200.5, "opening_date": "2020-01-01", "maturity_date": "2040-01-01",
        "next_payment_date": "2026-04-05", "next_payment_amount": 912.3,
    });
    for sign in [1, -1] {
        let balance = json!(140_200 * sign);
        let account = account_with(&json!({
            "type": "loan", "balance": balance, "accounting_balance": balance, "instant_balance": balance,
            "loan_details": details,
        }));
        assert_eq!(figures(&account), Some((Some(-14_020_050), None)));
        let loan = account.loan.expect("a loan");
        assert_eq!((loan.kind.as_deref(), loan.interest_rate.as_deref()), (Some("mortgage"), Some("1.25")));
        assert_eq!((loan.borrowed_minor, loan.repaid_minor), (Some(20_000_000), Some(5_980_000)));
        assert_eq!((loan.remaining_minor, loan.next_payment_minor), (Some(14_020_050), Some(91_230)));
        assert_eq!((loan.opened_on, loan.matures_on), (Some(on("2020-01-01")), Some(on("2040-01-01"))));
    }
    let signed = account_with(&json!({"loan_details": {"remaining_capital": -140_200}}));
    assert_eq!(figures(&signed), Some((Some(-14_020_000), None)));
    for nothing in [json!({}), json!(null), json!([]), json!("none")] {
        assert_eq!(account_with(&json!({"loan_details": nothing})).loan, None, "{nothing}");
    }
}

fn item(value: &Value) -> LinkRecord {
    link(&raw(value)).expect("a link")
}

/// Sections 8.2 and 8.3.
#[test]
fn every_status_of_an_item_says_what_is_to_be_done() {
    let person = Condition::NeedsPerson;
    let passing = Condition::Passing { patience: None };
    let cases = [
        (0, "ok", Condition::Well),
        (-2, "just_added", Condition::Connecting),
        (-3, "anything", Condition::Connecting),
        (402, "invalid_creds", person(Attention::Login)),
        (402, "wrong_pwd", person(Attention::Login)),
        (402, "account_temporarily_blocked", person(Attention::AccountLocked)),
        (402, "account_blocked", person(Attention::AccountLocked)),
        (402, "ACCOUNT_BLOCKED_CONTACT_BANK", person(Attention::AccountLocked)),
        (429, "kyc_to_fill", person(Attention::BankAction)),
        (430, "", person(Attention::BankAction)),
        (1003, "cnt_crash", Condition::Passing { patience: Some(SignedDuration::from_hours(24)) }),
        (1005, "closed_account", person(Attention::Unsupported)),
        (1007, "", passing),
        (1009, "incomplete", Condition::Incomplete),
        (1010, "sca_required_webview", person(Attention::SecondFactor)),
        (1099, "migration", person(Attention::Migration)),
        (1100, "pro_account_locked", person(Attention::Identity)),
        (1234, "new_trouble", passing),
    ];
    for (status, info, expected) in cases {
        let health = item(&json!({"id": 1, "status": status, "status_code_info": info})).health;
        assert_eq!(health.condition, expected, "{status} {info}");
        let shown = format!("{status} {}", info.to_ascii_lowercase());
        assert_eq!(health.upstream_status.as_deref(), Some(shown.trim()));
    }
    assert_eq!(item(&json!({"id": 1, "status": "402"})).health.condition, person(Attention::Login));
    assert_eq!(item(&json!({"id": 1, "status_code_info": "ok"})).health.condition, Condition::Well);
    let silent = item(&json!({"id": 1})).health;
    assert_eq!((silent.condition, silent.upstream_status), (passing, None));
}

/// Section 8.1.
#[test]
fn an_item_tells_its_bank_and_its_times() {
    let record = item(&json!({
        "id": 10_000_001, "provider_id": 574, "status": 0, "status_code_info": "ok",
        "status_code_description": "Tout va bien.",
        "last_successful_refresh": "2026-03-02T16:10:09.429Z", "last_try_refresh": "2026-03-02T17:00:00.000Z",
        "authentication_expires_at": "2026-09-04T10:25:35Z",
    }));
    assert_eq!(record.upstream_id, "10000001");
    let institution = record.institution.expect("a bank");
    assert_eq!((institution.upstream_id.as_str(), institution.name), ("574", None));
    assert_eq!(record.health.detail.as_deref(), Some("Tout va bien."));
    assert_eq!(record.refreshed_at, Some(at("2026-03-02T16:10:09.429Z")));
    assert_eq!(record.tried_at, Some(at("2026-03-02T17:00:00Z")));
    assert_eq!(record.consent_expires_at, Some(at("2026-09-04T10:25:35Z")));
    assert!(record.access_token.is_none() && !record.is_removed);
    assert!(link(&raw(&json!({"status": 0}))).is_none());
    assert!(link(&raw(&json!({"resources": [{"id": 7}]}))).is_some(), "as a list of one");
}

fn security(value: &Value) -> Option<HoldingRecord> {
    holding(&raw(value))
}

/// Section 11.3.
#[test]
fn a_security_keeps_its_digits_and_its_value_is_rounded() {
    let record = security(&json!({
        "id": 9, "account_id": 48_100_001, "label": "ACME", "isin": "FR0000120271", "ticker": "ACM",
        "marketplace": "XPAR",
        "quantity": 10.125, "current_price": 33.3333, "average_purchase_price": 30, "total_value": 337.505,
        "currency_code": "EUR", "value_date": "2026-03-01", "updated_at": "2026-03-02T16:10:09.429Z",
    }))
    .expect("a security");
    assert_eq!((record.upstream_id.as_str(), record.upstream_account_id.as_deref()), ("9", Some("48100001")));
    assert_eq!((record.quantity.as_deref(), record.price.as_deref()), (Some("10.125"), Some("33.3333")));
    assert_eq!((record.average_purchase_price.as_deref(), record.value_minor), (Some("30"), Some(33_750)));
    assert_eq!((record.valued_on, record.is_removed), (Some(on("2026-03-01")), false));
    let stub = security(&json!({"id": 9, "deleted": true})).expect("a stub");
    assert!(stub.is_removed && stub.upstream_account_id.is_none());
    assert!(security(&json!({"id": 9})).is_none(), "held nowhere");
    assert!(security(&json!({"account_id": 1})).is_none());
}

/// Section 11.1: lists nested, single ones flat.
#[test]
fn categories_are_nested_or_flat() {
    let read = |value: &Value| {
        let found = categories(&raw(value)).into_iter();
        found.map(|c| (c.upstream_id, c.parent_upstream_id, c.name)).collect::<Vec<_>>()
    };
    let entry =
        |id: &str, parent: Option<&str>, name: &str| (id.to_owned(), parent.map(str::to_owned), name.to_owned());
    let nested = json!({"id": 2, "name": "Bank", "categories": [
        {"id": 79, "name": "Fees"}, {"id": 80}, "odd", {"id": 81, "name": "Interest"},
    ]});
    let expected = [entry("2", None, "Bank"), entry("79", Some("2"), "Fees"), entry("81", Some("2"), "Interest")];
    assert_eq!(read(&nested), expected);
    assert_eq!(read(&json!({"id": 79, "name": "Fees", "parent_id": 2})), [entry("79", Some("2"), "Fees")]);
    assert_eq!(read(&json!({"id": 79, "categories": null})), []);
}

/// Section 11.2.
#[test]
fn a_bank_tells_its_name_and_how_it_fares() {
    let text = r#"{"id": 574, "name": "Demo Bank", "country_code": "FR", "group_name": "Demo",
        "images": {"logo": "https://logo.test/574.png"}, "health_status": {"aggregation": {
        "status": "healthy"}}}"#;
    for text in [text.to_owned(), format!(r#"{{"resources": [{text}]}}"#)] {
        let bank = institution(&raw_text(&text)).expect("a bank");
        assert_eq!((bank.upstream_id.as_str(), bank.name.as_deref()), ("574", Some("Demo Bank")));
        assert_eq!((bank.country.as_deref(), bank.group_name.as_deref()), (Some("FR"), Some("Demo")));
        assert_eq!(bank.logo_url.as_deref(), Some("https://logo.test/574.png"));
        let status = bank.service_status.expect("a status");
        assert!(!status.contains('\n') && serde_json::from_str::<Value>(&status).is_ok(), "{status}");
    }
    let plain = institution(&raw(&json!({"id": 1, "images": [], "health_status": "healthy"}))).expect("a bank");
    assert_eq!((plain.logo_url, plain.service_status.as_deref()), (None, Some("healthy")));
    assert!(institution(&raw(&json!({"name": "x"}))).is_none());
}

/// Section 5.
#[test]
fn a_user_may_have_no_id_of_ours() {
    let read = |value: &Value| user(&raw(value)).map(|user| (user.upstream_id, user.external_id));
    assert_eq!(read(&json!({"uuid": "u-1"})), Some(("u-1".to_owned(), None)));
    let named = read(&json!({"uuid": "u-1", "external_user_id": "42"}));
    assert_eq!(named, Some(("u-1".to_owned(), Some("42".to_owned()))));
    assert_eq!(read(&json!({"external_user_id": "42"})), None);
}
