//! One test per oddity of the contract. Sections are those of upstream/truv.md.

use serde_json::{Value, json};

use super::*;
use crate::model::{AccountRecord, Attention, Status};
use crate::money::MAX_MINOR;
use crate::secret::Secret;

mod days;

fn raw(value: &Value) -> Box<RawValue> {
    RawValue::from_string(value.to_string()).expect("JSON")
}

/// A plain posted row with some fields replaced; `null` in `changes` becomes JSON null.
fn row_with(changes: &Value) -> Value {
    let mut row = json!({
        "id": "a1", "account_id": "acc", "amount": "12.34", "currency_code": "USD", "type": "DEBIT", "status": "POSTED",
        "posted_at": "2026-03-02T00:00:00Z", "transacted_at": "2026-03-01T10:00:00Z", "description": "TEA",
    });
    for (key, value) in changes.as_object().expect("an object") {
        row[key] = value.clone();
    }
    row
}

fn read(changes: &Value) -> TransactionRecord {
    transaction(&raw(&row_with(changes))).unwrap_or_else(|e| panic!("{changes}: {}", e.reason))
}

fn refused(changes: &Value) -> RejectedRow {
    *transaction(&raw(&row_with(changes))).err().unwrap_or_else(|| panic!("{changes} was taken"))
}

fn without(field: &str) -> Box<RawValue> {
    let mut row = row_with(&json!({}));
    row.as_object_mut().expect("an object").remove(field);
    raw(&row)
}

#[test]
fn amounts_are_read_from_texts_and_numbers_and_signed_by_type() {
    let cases = [
        (json!({"amount": "12.34", "type": "DEBIT"}), -1_234),
        (json!({"amount": "12.34", "type": "CREDIT"}), 1_234),
        (json!({"amount": 12.3, "type": "CREDIT"}), 1_230),
        (json!({"amount": 7, "type": "DEBIT"}), -700),
        (json!({"amount": " 0.10 ", "type": "debit"}), -10),
        (json!({"amount": "5.1000", "type": "CREDIT"}), 510),
        (json!({"amount": "-5.00", "type": "DEBIT"}), -500),
        (json!({"amount": "-10000000000000.00", "type": "DEBIT"}), -MAX_MINOR),
        (json!({"amount": "0", "type": "CREDIT"}), 0),
        (json!({"amount": "1200", "type": "CREDIT", "currency_code": "JPY"}), 1_200),
        (json!({"amount": "1.234", "type": "CREDIT", "currency_code": "KWD"}), 1_234),
        (json!({"amount": "1.20", "type": "CREDIT", "currency_code": "eur"}), 120),
    ];
    for (changes, expected) in cases {
        assert_eq!(read(&changes).amount_minor, expected, "{changes}");
    }
}

#[test]
fn money_that_cannot_be_told_is_set_aside_with_what_can() {
    let cases = [
        json!({"amount": "12,34"}),
        json!({"amount": ""}),
        json!({"amount": null}),
        json!({"amount": "12.345"}),
        json!({"amount": {"value": 1}}),
        json!({"amount": "1e3"}),
        json!({"amount": "99999999999999999999"}),
        json!({"amount": "-92233720368547758.08", "type": "DEBIT"}),
        json!({"amount": "10000000000000.01"}),
        json!({"amount": "-5.00", "type": "CREDIT"}),
        json!({"type": "TRANSFER"}),
        json!({"type": null}),
        json!({"currency_code": null}),
        json!({"currency_code": "dollars"}),
    ];
    for changes in cases {
        let row = refused(&changes);
        assert_eq!(row.upstream_id.as_deref(), Some("a1"), "{changes}");
        assert_eq!(row.transacted_at, Some("2026-03-01T10:00:00Z".parse().expect("an instant")));
        assert!(!row.reason.is_empty());
    }
}

#[test]
fn a_reason_repeats_little_of_the_row() {
    let long = "0123456789abcdef".repeat(10_000);
    for field in ["type", "posted_at", "transacted_at", "currency_code", "amount"] {
        let reason = refused(&json!({field: long})).reason;
        assert!(reason.len() < 150, "{field}: {} bytes", reason.len());
    }
    let reason = refused(&json!({"description": {"token": long}})).reason;
    assert!(reason.starts_with("not a transaction: invalid type: map, expected a string at line 1"), "{reason}");
    let text = RawValue::from_string(json!(long).to_string()).expect("JSON");
    let reason = transaction(&text).expect_err("no row").reason;
    assert!(reason.starts_with("not a transaction: invalid type: string, expected struct Transaction at"), "{reason}");
}

#[test]
fn what_names_a_row_must_be_there() {
    for field in ["id", "account_id", "amount", "currency_code", "type"] {
        assert!(transaction(&without(field)).is_err(), "{field}");
    }
    for changes in [json!({"id": ""}), json!({"id": null}), json!({"account_id": " "})] {
        refused(&changes);
    }
    assert!(transaction(&raw(&json!("a text"))).is_err());
    assert_eq!(refused(&json!({"id": null})).upstream_id, None);
}

#[test]
fn a_row_that_is_set_aside_tells_which_stored_rows_it_may_be() {
    let whole = RowTraces {
        upstream_account_id: Some("acc".to_owned()),
        external_id: Some("x7".to_owned()),
        amount_minor: Some(-1_234),
        transacted_on: Some(Date::constant(2026, 3, 1)),
        is_taken_back: false,
    };
    let nothing = RowTraces::default();
    let cases = [
        (json!({"id": null}), whole.clone()),
        (
            json!({"id": null, "transacted_at": null}),
            RowTraces { transacted_on: Some(Date::constant(2026, 3, 2)), ..whole.clone() },
        ),
        (json!({"transacted_at": "yesterday", "posted_at": "now"}), RowTraces { transacted_on: None, ..whole.clone() }),
        (json!({"amount": "12,34"}), RowTraces { amount_minor: None, ..whole.clone() }),
        (json!({"type": "TRANSFER"}), RowTraces { amount_minor: None, ..whole.clone() }),
        (json!({"account_id": null}), RowTraces { upstream_account_id: None, ..whole.clone() }),
        (json!({"description": {"a": 1}, "external_id": null}), RowTraces { external_id: None, ..whole }),
    ];
    for (changes, expected) in cases {
        let mut row = row_with(&json!({"external_id": "x7"}));
        for (key, value) in changes.as_object().expect("an object") {
            row[key] = value.clone();
        }
        assert_eq!(refused(&row).traces, expected, "{changes}");
    }
    assert_eq!(transaction(&raw(&json!("a text"))).expect_err("no row").traces, nothing);
}

#[test]
fn everything_else_may_be_missing() {
    for field in ["status", "posted_at", "transacted_at", "description", "memo", "categories", "location"] {
        assert!(transaction(&without(field)).is_ok(), "{field}");
    }
    assert_eq!(read(&json!({"description": null})).description, "");
}

#[test]
fn a_memo_moves_no_money_and_keeps_its_figure() {
    for changes in [
        json!({"type": "MEMO", "status": "MEMO", "amount": "9.00"}),
        json!({"type": "MEMO", "amount": "9.00"}),
        json!({"status": "MEMO", "amount": "9.00"}),
    ] {
        let row = read(&changes);
        assert_eq!((row.amount_minor, row.memo_minor), (0, Some(900)), "{changes}");
    }
    assert_eq!(read(&json!({"status": "MEMO"})).status, Status::Pending);
    assert_eq!(read(&json!({})).memo_minor, None);
}

#[test]
fn statuses_known_and_unknown_find_their_place() {
    let cases = [
        (json!({"status": "POSTED"}), Status::Posted),
        (json!({"status": "posted"}), Status::Posted),
        (json!({"status": "PENDING", "posted_at": null}), Status::Pending),
        (json!({"status": "AUTHORIZATION", "posted_at": null}), Status::Pending),
        (json!({"status": "PENDING"}), Status::Pending),
        (json!({"status": "SETTLED"}), Status::Posted),
        (json!({"status": "SETTLED", "posted_at": null}), Status::Pending),
        (json!({"status": null}), Status::Posted),
    ];
    for (changes, expected) in cases {
        let row = read(&changes);
        assert_eq!(row.status, expected, "{changes}");
        assert_eq!(row.upstream_status.as_deref(), changes["status"].as_str());
    }
}

#[test]
fn codes_and_coordinates_come_as_numbers_or_texts() {
    for (code, expected) in [
        (json!(5814), Some("5814")),
        (json!("5814"), Some("5814")),
        (json!(742), Some("0742")),
        (json!(null), None),
        (json!(""), None),
    ] {
        let row = read(&json!({ "merchant_category_code": code }));
        assert_eq!(row.merchant_code.as_deref(), expected, "{code}");
    }
    for location in [
        json!({"latitude": 37.774_9, "longitude": -122.419_4}),
        json!({"latitude": "37.7749", "longitude": "-122.4194"}),
    ] {
        let row = read(&json!({ "location": location }));
        let place = (row.latitude.as_deref(), row.longitude.as_deref());
        assert_eq!(place, (Some("37.7749"), Some("-122.4194")), "{location}");
    }
    for location in [json!(null), json!({"latitude": null, "longitude": null}), json!({}), json!("here"), json!([])] {
        let row = read(&json!({ "location": location }));
        assert_eq!((row.latitude, row.longitude), (None, None), "{location}");
    }
}

#[test]
fn instants_come_in_both_styles_with_up_to_six_digits() {
    let cases = [
        ("2026-03-01T10:00:00Z", 0),
        ("2026-03-01T10:00:00+00:00", 0),
        ("2026-03-01T10:00:00.1Z", 100),
        ("2026-03-01T10:00:00.123456Z", 123),
        ("2026-03-01T10:00:00.123456+00:00", 123),
        ("2026-03-01T10:00:00", 0),
        ("2026-03-01 10:00:00", 0),
    ];
    for (text, milliseconds) in cases {
        let row = read(&json!({ "transacted_at": text }));
        assert_eq!(row.transacted_at.expect("an instant").as_millisecond(), 1_772_359_200_000 + milliseconds, "{text}");
    }
    let row = read(&json!({"transacted_at": "2026-03-01"}));
    assert_eq!(row.transacted_at.expect("an instant").to_string(), "2026-03-01T00:00:00Z");
}

#[test]
fn the_civil_day_is_the_one_written_whatever_the_zone() {
    for text in [
        "2026-03-01",
        "2026-03-01T00:00:00Z",
        "2026-03-01T23:59:59Z",
        "2026-03-01T23:30:00-08:00",
        "2026-03-01T00:30:00+14:00",
    ] {
        let row = read(&json!({"transacted_at": text, "posted_at": text}));
        assert_eq!(row.transacted_on.to_string(), "2026-03-01", "{text}");
        assert_eq!(row.posted_on.expect("a day").to_string(), "2026-03-01", "{text}");
    }
}

#[test]
fn one_of_the_two_instants_is_enough_and_a_wrong_one_is_not_passed_over() {
    let pending = read(&json!({"posted_at": null, "status": "PENDING"}));
    assert_eq!((pending.posted_at, pending.posted_on), (None, None));
    let row = read(&json!({"transacted_at": null}));
    assert_eq!(row.transacted_on.to_string(), "2026-03-02", "the day it was booked");
    assert_eq!(row.transacted_at, None, "upstream cuts by its own, which is null");
    for changes in [
        json!({"transacted_at": null, "posted_at": null}),
        json!({"transacted_at": "yesterday"}),
        json!({"posted_at": "2026-02-30T00:00:00Z"}),
        json!({"transacted_at": ""  , "posted_at": ""}),
    ] {
        refused(&changes);
    }
}

#[test]
fn categories_are_a_list_a_text_or_nothing() {
    let cases = [
        (json!(["Food & Dining"]), Some("Food & Dining")),
        (json!(["Food & Dining", "Coffee"]), Some("Food & Dining > Coffee")),
        (json!("Travel"), Some("Travel")),
        (json!(["", null, "Travel"]), Some("Travel")),
        (json!([]), None),
        (json!(null), None),
        (json!({"name": "Travel"}), None),
    ];
    for (categories, expected) in cases {
        assert_eq!(read(&json!({ "categories": categories })).category.as_deref(), expected, "{categories}");
    }
}

#[test]
fn unknown_fields_are_kept_in_the_json_and_nowhere_else() {
    let row = read(&json!({"enrichment": {"labels": ["a", 1]}, "is_new_field": true}));
    assert_eq!(row.amount_minor, -1_234);
    let kept: Value = serde_json::from_str(&row.raw).expect("JSON");
    assert_eq!(kept["enrichment"]["labels"], json!(["a", 1]));
}

#[test]
fn the_content_hash_ignores_when_upstream_looked_and_nothing_else() {
    let hash = |changes: &Value| read(changes).content_hash;
    let first = hash(&json!({"updated_at": "2026-03-01T10:00:00Z"}));
    assert_eq!(first, hash(&json!({"updated_at": "2026-03-09T18:30:00.123456+00:00"})));
    assert_ne!(first, hash(&json!({"updated_at": "2026-03-01T10:00:00Z", "is_new_field": true})));
    for changes in [json!({"amount": "12.35"}), json!({"description": "TEE"}), json!({"posted_at": null})] {
        assert_ne!(hash(&json!({})), hash(&changes), "{changes}");
    }
}

fn account_of(value: &Value) -> AccountRecord {
    account(&raw(value)).expect("an account")
}

#[test]
fn balances_are_an_object_an_array_or_nothing() {
    let balances = json!({"currency_code": "USD", "balance": "10.50", "available_balance": 9.5, "credit_limit": null});
    for shape in [balances.clone(), json!([balances])] {
        let account = account_of(&json!({"id": "acc", "balances": shape}));
        let balance = account.balance.expect("a balance");
        let figures = (balance.current_minor, balance.available_minor, balance.credit_limit_minor);
        assert_eq!(figures, (Some(1_050), Some(950), None), "{shape}");
    }
    for shape in [
        json!(null),
        json!([]),
        json!({}),
        json!({"currency_code": "USD", "balance": null}),
        json!({"balance": "10.50"}),
        json!("much"),
    ] {
        assert_eq!(account_of(&json!({"id": "acc", "balances": shape})).balance, None, "{shape}");
    }
}

#[test]
fn an_account_without_an_id_is_none_and_an_empty_text_is_nothing() {
    assert!(account(&raw(&json!({"type": "CHECKING"}))).is_none());
    let account =
        account_of(&json!({"id": "acc", "type": "CREDIT_CARD", "subtype": "", "nickname": "  ", "mask": "0042"}));
    assert_eq!((account.kind.as_deref(), account.subtype, account.name), (Some("CREDIT_CARD"), None, None));
    assert_eq!(account.mask.as_deref(), Some("0042"));
    assert_eq!((account.is_open, account.numbers), (None, None));
}

#[test]
fn account_numbers_come_by_network_and_are_never_kept_in_the_json() {
    let account = account_of(&json!({"id": "acc", "is_open": true, "numbers": {
        "ACH": [{"account_number": "123456789", "routing_number": "021000021", "is_tokenized_account_number": false}],
        "RPT": [{"account_number": 987, "routing_number": null}],
        "OTHERS": null,
    }}));
    assert_eq!(account.raw, None);
    let numbers = account.numbers.expect("numbers");
    let networks: Vec<&str> = numbers.iter().map(|n| n.network.as_str()).collect();
    assert_eq!(networks, ["ACH", "RTP"], "the misprint RPT is RTP");
    let text = |secret: &Option<Secret>| secret.as_ref().map(|s| s.expose().to_owned());
    assert_eq!(text(&numbers[0].account_number).as_deref(), Some("123456789"));
    assert_eq!((numbers[0].is_tokenized, numbers[1].is_tokenized), (Some(false), None));
    assert_eq!((text(&numbers[1].account_number).as_deref(), text(&numbers[1].routing_number)), (Some("987"), None));
}

#[test]
fn a_masked_token_is_no_token_but_shows_its_end() {
    let masked = raw(&json!({"id": "l1", "access_token": "****************************4f2a"}));
    assert!(link(&masked).expect("a link").access_token.is_none());
    assert_eq!(token_suffix(&masked).as_deref(), Some("4f2a"));
    let full = raw(&json!({"id": "l1", "access_token": "0123456789abcdef0123456789ab4f2a"}));
    assert!(link(&full).expect("a link").access_token.is_some());
    assert_eq!(token_suffix(&full), token_suffix(&masked));
}

#[test]
fn only_links_that_hold_bank_data_are_links() {
    let cases = [
        (json!({"id": "l1", "data_source": "financial_accounts"}), true),
        (json!({"id": "l1", "data_source": "payroll"}), false),
        (json!({"id": "l1", "data_source": "insurance", "allowed_products": ["transactions"]}), false),
        (json!({"id": "l1", "allowed_products": ["income", "employment"]}), false),
        (json!({"id": "l1", "allowed_products": ["assets"]}), true),
        (json!({"id": "l1"}), true),
        (json!({"data_source": "financial_accounts"}), false),
    ];
    for (value, expected) in cases {
        assert_eq!(link(&raw(&value)).is_some(), expected, "{value}");
    }
}

#[test]
fn a_links_provider_and_end_are_read_where_they_stand() {
    let record = link(&raw(&json!({
        "id": "l1", "provider": {"id": "chase", "name": "Chase"}, "deleted_at": "2026-03-01T00:00:00Z", "status": "done",
    })))
    .expect("a link");
    let institution = record.institution.expect("a bank");
    assert_eq!((institution.upstream_id.as_str(), institution.name.as_deref()), ("chase", Some("Chase")));
    assert!(record.is_removed);
    let older = link(&raw(&json!({"id": "l1", "provider_id": "chase", "deleted_at": null}))).expect("a link");
    assert_eq!(older.institution.expect("a bank").upstream_id, "chase");
    assert!(!older.is_removed);
}

#[test]
fn every_status_of_a_task_says_what_is_to_be_done() {
    let cases = [
        ("login_error", true, Some(Attention::Login)),
        ("unable_to_reset", true, Some(Attention::Login)),
        ("mfa_error", true, Some(Attention::SecondFactor)),
        ("account_locked", true, Some(Attention::AccountLocked)),
        ("config_error", true, Some(Attention::Configuration)),
        ("not_supported", true, Some(Attention::Unsupported)),
        ("unavailable", true, None),
        ("no_data", true, None),
        ("error", true, None),
        ("done", true, None),
        ("new", false, None),
        ("login", false, None),
        ("mfa", false, None),
        ("parse", false, None),
        ("base_parse", false, None),
        ("full_parse", false, None),
        ("a_word_of_tomorrow", false, None),
    ];
    for (status, ends, attention) in cases {
        assert_eq!(is_terminal(status), ends, "{status}");
        assert_eq!(health(Some(status.to_owned())).condition.attention(), attention, "{status}");
    }
}

#[test]
fn a_page_needs_its_list_and_nothing_else() {
    let page = |value: &Value| {
        serde_json::from_str::<wire::TransactionsPage<'_>>(&value.to_string())
            .map(|p| (p.count.text(), p.next.text().is_some(), p.transactions.len()))
    };
    assert!(page(&json!({"count": 0, "next": null})).is_err(), "no list is no empty list");
    assert!(page(&json!({"transactions": null})).is_err());
    assert_eq!(page(&json!({"transactions": []})).expect("a page"), (None, false, 0));
    let counted = page(&json!({"count": "100", "next": "/v1/link/1/transactions/?page=2", "transactions": [{}]}));
    assert_eq!(counted.expect("a page"), (Some("100".to_owned()), true, 1));
}
