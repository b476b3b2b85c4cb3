//! Tables of what is matched and what is not, and properties over all of it.

use std::collections::HashSet;

use jiff::Timestamp;
use jiff::civil::Date;
use proptest::prelude::*;

use super::alike::are_alike;
use super::*;
use crate::model::RowTraces;
use crate::money::Currency;
use crate::store::AliasRule;

/// A row in words: id, external id, status, amount, day of March 2026, description.
type Words<'a> = (&'a str, Option<&'a str>, Status, i64, i8, &'a str);

fn record((id, external_id, status, amount_minor, day, description): Words<'_>) -> TransactionRecord {
    let on = Date::constant(2026, 3, day);
    let at: Timestamp = format!("{on}T12:00:00Z").parse().expect("an instant");
    TransactionRecord {
        upstream_id: id.to_owned(),
        upstream_account_id: "acc".to_owned(),
        external_id: external_id.map(str::to_owned),
        status,
        amount_minor,
        memo_minor: None,
        currency: Currency::USD,
        transacted_at: Some(at),
        transacted_on: on,
        posted_at: None,
        posted_on: None,
        description: description.to_owned(),
        clean_description: None,
        merchant: None,
        category: None,
        upstream_category_id: None,
        merchant_code: None,
        check_number: None,
        memo: None,
        latitude: None,
        longitude: None,
        operation_type: None,
        upstream_status: None,
        upstream_updated_at: None,
        is_obfuscated: false,
        content_hash: 0,
        raw: String::new(),
    }
}

fn stored(transaction_id: i64, words: Words<'_>) -> StoredRow {
    StoredRow { transaction_id, record: record(words), removed_at: None }
}

fn held(words: &[Words<'_>]) -> Vec<Held> {
    let one = |words: &Words<'_>| Held { record: record(*words), account_id: 1, former_owner: None };
    words.iter().map(one).collect()
}

/// Gone rows with the ids 10, 11, 12 and so on.
fn gone(words: &[Words<'_>]) -> Vec<Gone> {
    let one = |(id, words): (i64, &Words<'_>)| Gone { row: stored(id, *words), account_id: 1, is_for_good: false };
    (10..).zip(words).map(one).collect()
}

const PENDING: Status = Status::Pending;
const POSTED: Status = Status::Posted;

/// What is tested, what came, what went, and the pairs expected.
type Case<'a> = (&'a str, Vec<Words<'a>>, Vec<Words<'a>>, Vec<(usize, i64, AliasRule)>);

#[test]
fn rows_are_matched_by_the_first_rule_that_is_sure() {
    use AliasRule::{ExternalId, Identical, PostedLikePending};
    let tea = |id, status, day| (id, None, status, -450, day, "TEA HOUSE 12");
    let cases: Vec<Case<'_>> = vec![
        ("nothing gone", vec![tea("n", POSTED, 2)], vec![], vec![]),
        ("nothing new", vec![], vec![tea("o", POSTED, 2)], vec![]),
        (
            "the same external id, whatever else changed",
            vec![("n", Some("k"), POSTED, -999, 9, "OTHER")],
            vec![("o", Some("k"), PENDING, -450, 1, "TEA")],
            vec![(0, 10, ExternalId)],
        ),
        (
            "an external id that comes twice says nothing",
            vec![("n", Some("k"), POSTED, -1, 1, "A"), ("m", Some("k"), POSTED, -2, 1, "B")],
            vec![("o", Some("k"), POSTED, -3, 1, "C")],
            vec![],
        ),
        ("identical", vec![tea("n", POSTED, 2)], vec![tea("o", POSTED, 2)], vec![(0, 10, Identical)]),
        ("another day", vec![tea("n", POSTED, 3)], vec![tea("o", POSTED, 2)], vec![]),
        (
            "two of a kind, both new",
            vec![tea("n", POSTED, 2), tea("m", POSTED, 2)],
            vec![tea("o", POSTED, 2), tea("p", POSTED, 2)],
            vec![(0, 10, Identical), (1, 11, Identical)],
        ),
        (
            "external ids new too, as many as went",
            vec![("n", Some("k2"), POSTED, -450, 2, "TEA")],
            vec![("o", Some("k1"), POSTED, -450, 2, "TEA")],
            vec![(0, 10, Identical)],
        ),
        (
            "external ids new too, fewer than went",
            vec![("n", Some("k2"), POSTED, -450, 2, "TEA")],
            vec![("o", Some("k1"), POSTED, -450, 2, "TEA"), ("p", Some("k0"), POSTED, -450, 2, "TEA")],
            vec![],
        ),
        (
            "a pending row posts",
            vec![tea("n", POSTED, 4)],
            vec![tea("o", PENDING, 2)],
            vec![(0, 10, PostedLikePending)],
        ),
        ("too late", vec![tea("n", POSTED, 10)], vec![tea("o", PENDING, 2)], vec![]),
        ("a posted row is no pending one", vec![tea("n", PENDING, 4)], vec![tea("o", POSTED, 2)], vec![]),
        ("two candidates went", vec![tea("n", POSTED, 4)], vec![tea("o", PENDING, 2), tea("p", PENDING, 3)], vec![]),
        ("two candidates came", vec![tea("n", POSTED, 4), tea("m", POSTED, 5)], vec![tea("o", PENDING, 2)], vec![]),
        (
            "two of a kind went, two of a kind came",
            vec![tea("n", POSTED, 4), tea("m", POSTED, 4)],
            vec![tea("o", PENDING, 2), tea("p", PENDING, 2)],
            vec![(0, 10, PostedLikePending), (1, 11, PostedLikePending)],
        ),
        (
            "money that came is not money that went",
            vec![("n", None, POSTED, 450, 2, "TEA")],
            vec![("o", None, PENDING, -450, 2, "TEA")],
            vec![],
        ),
        (
            "two external ids are two bookings",
            vec![("n", Some("k2"), POSTED, -450, 2, "TEA")],
            vec![("o", Some("k1"), PENDING, -450, 2, "TEA")],
            vec![],
        ),
    ];
    for (case, came, went, expected) in cases {
        assert_eq!(match_held(&held(&came), &gone(&went)), expected, "{case}");
    }
}

#[test]
fn of_identical_rows_those_of_the_same_instant_belong_together() {
    let tea = ("t", None, POSTED, -450, 2, "TEA");
    let later =
        record(tea).transacted_at.map(|at| at.saturating_add(jiff::SignedDuration::from_hours(2)).expect("in range"));
    let mut went = gone(&[tea, tea]);
    went[1].row.record.transacted_at = later;
    let mut came = held(&[tea]);
    assert_eq!(match_held(&came, &went), [(0, 10, AliasRule::Identical)]);
    came[0].record.transacted_at = later;
    assert_eq!(match_held(&came, &went), [(0, 11, AliasRule::Identical)]);
    // Where none is of the same instant, any will do.
    came[0].record.transacted_at = None;
    assert_eq!(match_held(&came, &went), [(0, 10, AliasRule::Identical)]);
}

/// A text that was tidied, a day that moved: only where the former row is gone for good.
#[test]
fn a_row_is_made_anew_only_where_the_former_one_is_told_to_be_gone() {
    let was = |status| ("o", None, status, -450, 2, "TEA HOUSE OAKLAND");
    let is = |status| ("n", None, status, -450, 3, "Tea House");
    let matched = |was, is, is_for_good| {
        let mut went = gone(&[was]);
        went[0].is_for_good = is_for_good;
        match_held(&held(&[is]), &went)
    };
    assert_eq!(matched(was(POSTED), is(POSTED), true), [(0, 10, AliasRule::Recreated)]);
    assert_eq!(matched(was(POSTED), is(POSTED), false), []);
    assert_eq!(matched(was(PENDING), is(PENDING), true), [(0, 10, AliasRule::Recreated)]);
    assert_eq!(matched(was(POSTED), is(PENDING), true), [], "what posted does not wait again");
    assert_eq!(matched(was(PENDING), is(POSTED), true), [(0, 10, AliasRule::PostedLikePending)]);
    assert_eq!(matched(was(POSTED), ("n", None, POSTED, -450, 3, "HARDWARE"), true), [], "another text");
}

#[test]
fn a_former_id_goes_before_every_other_rule_and_other_accounts_never_match() {
    let tea = ("n", None, POSTED, -450, 2, "TEA");
    let went = gone(&[tea, tea]);
    let mut came = held(&[tea]);
    came[0].former_owner = Some(11);
    assert_eq!(match_held(&came, &went), [(0, 11, AliasRule::FormerId)]);
    came[0].former_owner = Some(99);
    assert_eq!(match_held(&came, &went), [(0, 10, AliasRule::Identical)], "its former owner is still there");
    came[0].account_id = 2;
    assert_eq!(match_held(&came, &went), []);
}

#[test]
fn descriptions_are_alike_when_they_share_half_their_words() {
    let cases = [
        ("TEA HOUSE", "tea house", true),
        ("TEA HOUSE 0423 PENDING", "POS TEA-HOUSE #99 OAKLAND CA", true),
        ("SQ *BLUE BOTTLE", "BLUE BOTTLE COFFEE", true),
        ("AMAZON", "AMAZON MKTPLACE PMTS", true),
        ("TEA HOUSE", "HARDWARE STORE", false),
        ("SHELL OIL", "CITY WATER WORKS", false),
        ("", "", true),
        ("1234", "5678", true),
        ("", "TEA", false),
        ("CAFÉ ÉTOILE", "café étoile", true),
        ("TEA HOUSE OAKLAND", "TEA SHOP BERKELEY", false),
        ("A B TEA", "A B OIL", false),
        ("PENDING AUTH TEA", "PENDING AUTH OIL", false),
        ("HOLD TEA", "HOLD OIL", false),
    ];
    for (a, b, expected) in cases {
        assert_eq!(are_alike(a, b), expected, "{a} / {b}");
        assert_eq!(are_alike(b, a), expected, "{b} / {a}");
    }
}

/// Everything that a walk's end might pair, and no more: each other row is stored at once.
#[test]
fn a_row_is_kept_for_the_walks_end_where_it_may_come_in_place_of_a_stored_one() {
    let in_pages_and_feeds = |stored: Words<'_>, came: Words<'_>| {
        (may_replace(&record(stored), &record(came), false), may_replace(&record(stored), &record(came), true))
    };
    let tea = ("o", None, POSTED, -450, 2, "TEA");
    let waiting = ("o", None, PENDING, -450, 2, "TEA");
    let cases = [
        ("identical", tea, ("n", None, POSTED, -450, 2, "TEA"), (true, true)),
        (
            "the bank's own id",
            ("o", Some("k"), POSTED, -9, 2, "TEA"),
            ("n", Some("k"), POSTED, -450, 9, "OIL"),
            (true, true),
        ),
        ("neither has one", ("o", None, POSTED, -9, 2, "TEA"), ("n", None, POSTED, -450, 9, "OIL"), (false, false)),
        ("posted, another text", waiting, ("n", None, POSTED, -450, 9, "OIL"), (true, true)),
        ("posted, another amount", waiting, ("n", None, POSTED, -451, 2, "TEA"), (false, false)),
        ("made anew with another text", tea, ("n", None, POSTED, -450, 9, "OIL"), (false, true)),
        ("another amount", tea, ("n", None, POSTED, -451, 2, "TEA"), (false, false)),
    ];
    for (case, stored, came, expected) in cases {
        assert_eq!(in_pages_and_feeds(stored, came), expected, "{case}");
    }
    let euros = TransactionRecord { currency: "EUR".parse().expect("a currency"), ..record(waiting) };
    assert!(!may_replace(&euros, &record(("n", None, POSTED, -450, 2, "TEA")), true), "other money");
}

/// All that can be read of a row whose malformation is elsewhere.
fn traces(record: &TransactionRecord) -> RowTraces {
    RowTraces {
        upstream_account_id: Some(record.upstream_account_id.clone()),
        external_id: record.external_id.clone(),
        amount_minor: Some(record.amount_minor),
        transacted_on: Some(record.transacted_on),
        is_taken_back: false,
    }
}

#[test]
fn a_malformed_row_may_be_any_that_what_can_be_read_of_it_does_not_exclude() {
    let tea = record(("o", Some("k"), POSTED, -450, 2, "TEA"));
    let of = |words| traces(&record(words));
    let same = of(("n", None, POSTED, -450, 9, "OIL"));
    let too_far = of(("n", None, POSTED, -450, 10, "TEA"));
    let other_amount = of(("n", None, POSTED, -451, 2, "TEA"));
    let cases = [
        ("a week apart", same.clone(), true),
        ("nothing can be read", RowTraces::default(), true),
        ("no amount", RowTraces { amount_minor: None, ..other_amount.clone() }, true),
        ("no day", RowTraces { transacted_on: None, ..too_far.clone() }, true),
        ("no amount, too far", RowTraces { amount_minor: None, ..too_far.clone() }, false),
        ("no day, another amount", RowTraces { transacted_on: None, ..other_amount.clone() }, false),
        ("too far", too_far.clone(), false),
        ("another amount", other_amount.clone(), false),
        ("the bank's own id", RowTraces { external_id: Some("k".to_owned()), ..other_amount.clone() }, true),
        ("another of the bank's ids", RowTraces { external_id: Some("j".to_owned()), ..too_far }, false),
    ];
    for (case, malformed, expected) in cases {
        assert_eq!(may_be(&malformed, &tea), expected, "{case}");
    }
    let without = record(("o", None, POSTED, -450, 2, "TEA"));
    assert!(!may_be(&other_amount, &without), "no id of the bank is not the same id");
    assert!(may_be(&same, &without));
}

#[test]
fn a_version_is_older_only_where_both_say_when_they_were_written() {
    let written = |second: Option<i64>| TransactionRecord {
        upstream_updated_at: second.map(|second| Timestamp::from_second(second).expect("in range")),
        ..record(("a", None, POSTED, -450, 2, "TEA"))
    };
    for (version, than, expected) in [
        (Some(1), Some(2), true),
        (Some(2), Some(2), false),
        (Some(3), Some(2), false),
        (None, Some(2), false),
        (Some(1), None, false),
    ] {
        assert_eq!(is_older(&written(version), &written(than)), expected, "{version:?} {than:?}");
    }
}

#[test]
fn a_change_names_what_differs_and_nothing_else() {
    let tea = ("a", None, PENDING, -450, 2, "TEA");
    assert_eq!(change_between(&stored(1, tea), &record(tea)), None);
    let posted = change_between(&stored(1, tea), &record(("a", None, POSTED, -450, 2, "TEA"))).expect("a change");
    assert_eq!(posted.kind, "posted");
    assert_eq!((posted.before.as_str(), posted.after.as_str()), (r#"{"status":"pending"}"#, r#"{"status":"posted"}"#));
    let edited = change_between(&stored(1, tea), &record(("b", None, PENDING, -500, 2, "TEA"))).expect("a change");
    assert_eq!(edited.kind, "updated");
    assert_eq!(edited.before, r#"{"amount_minor":-450,"upstream_id":"a"}"#);
    let mut removed = stored(1, tea);
    removed.removed_at = Some(Timestamp::UNIX_EPOCH);
    let back = change_between(&removed, &record(("a", None, POSTED, -450, 2, "TEA"))).expect("a change");
    assert_eq!(back.kind, "restored", "also where it posted meanwhile");
    assert_eq!(back.before, r#"{"removed_at":0,"status":"pending"}"#);
}

#[test]
fn each_value_of_history_is_told_under_its_column_when_it_alone_differs() {
    let old = || record(("a", Some("k"), PENDING, -450, 2, "TEA"));
    // A new field does not compile until it is said here whether history tells of it, and if so has a case below.
    let TransactionRecord {
        upstream_id: _,
        upstream_account_id: _,
        external_id: _,
        status: _,
        amount_minor: _,
        memo_minor: _,
        currency: _,
        transacted_at: _,
        transacted_on: _,
        posted_at: _,
        posted_on: _,
        description: _,
        clean_description: _,
        merchant: _,
        category: _,
        upstream_category_id: _,
        merchant_code: _,
        check_number: _,
        memo: _,
        latitude: _,
        longitude: _,
        operation_type: _,
        upstream_status: _,
        // None of history's: when it was written, and how.
        upstream_updated_at: _,
        is_obfuscated: _,
        content_hash: _,
        raw: _,
    } = old();
    let text = || Some("x".to_owned());
    let (instant, day) = (Some(Timestamp::UNIX_EPOCH), Date::constant(1970, 1, 1));
    let euro = "EUR".parse().expect("a currency");
    let none = Value::Null;
    let cases = [
        ("upstream_id", TransactionRecord { upstream_id: "x".to_owned(), ..old() }, json!("a"), json!("x")),
        (
            "upstream_account_id",
            TransactionRecord { upstream_account_id: "x".to_owned(), ..old() },
            json!("acc"),
            json!("x"),
        ),
        ("external_id", TransactionRecord { external_id: text(), ..old() }, json!("k"), json!("x")),
        ("status", TransactionRecord { status: POSTED, ..old() }, json!("pending"), json!("posted")),
        ("amount_minor", TransactionRecord { amount_minor: 7, ..old() }, json!(-450), json!(7)),
        ("memo_minor", TransactionRecord { memo_minor: Some(7), ..old() }, none.clone(), json!(7)),
        ("currency", TransactionRecord { currency: euro, ..old() }, json!("USD"), json!("EUR")),
        (
            "transacted_at",
            TransactionRecord { transacted_at: instant, ..old() },
            json!(1_772_452_800_000_i64),
            json!(0),
        ),
        ("transacted_on", TransactionRecord { transacted_on: day, ..old() }, json!("2026-03-02"), json!("1970-01-01")),
        ("posted_at", TransactionRecord { posted_at: instant, ..old() }, none.clone(), json!(0)),
        ("posted_on", TransactionRecord { posted_on: Some(day), ..old() }, none.clone(), json!("1970-01-01")),
        ("description", TransactionRecord { description: "x".to_owned(), ..old() }, json!("TEA"), json!("x")),
        ("clean_description", TransactionRecord { clean_description: text(), ..old() }, none.clone(), json!("x")),
        ("merchant", TransactionRecord { merchant: text(), ..old() }, none.clone(), json!("x")),
        ("category", TransactionRecord { category: text(), ..old() }, none.clone(), json!("x")),
        ("upstream_category_id", TransactionRecord { upstream_category_id: text(), ..old() }, none.clone(), json!("x")),
        ("merchant_code", TransactionRecord { merchant_code: text(), ..old() }, none.clone(), json!("x")),
        ("check_number", TransactionRecord { check_number: text(), ..old() }, none.clone(), json!("x")),
        ("memo", TransactionRecord { memo: text(), ..old() }, none.clone(), json!("x")),
        ("location", TransactionRecord { latitude: text(), ..old() }, json!([null, null]), json!(["x", null])),
        ("location", TransactionRecord { longitude: text(), ..old() }, json!([null, null]), json!([null, "x"])),
        ("operation_type", TransactionRecord { operation_type: text(), ..old() }, none.clone(), json!("x")),
        ("upstream_status", TransactionRecord { upstream_status: text(), ..old() }, none, json!("x")),
    ];
    for (column, new, was, is) in &cases {
        let told = |from: TransactionRecord, to: &TransactionRecord| {
            let stored = StoredRow { transaction_id: 1, record: from, removed_at: None };
            let change = change_between(&stored, to).unwrap_or_else(|| panic!("{column} is not told"));
            (change.before, change.after)
        };
        let (was, is) = (json!({ *column: was }).to_string(), json!({ *column: is }).to_string());
        assert_eq!(told(old(), new), (was.clone(), is.clone()));
        assert_eq!(told(new.clone(), &old()), (is, was), "and back");
    }
    let mut tried: Vec<&str> = cases.iter().map(|case| case.0).collect();
    tried.dedup();
    assert_eq!(tried, columns(&old()).map(|(column, _)| column), "every column has its case");
}

fn any_words() -> impl Strategy<Value = (Option<u8>, bool, i64, i8, u8)> {
    (proptest::option::of(0_u8..3), any::<bool>(), -2_i64..2, 1_i8..4, 0_u8..2)
}

proptest! {
    #[test]
    fn no_row_is_matched_twice_and_the_order_of_arrival_does_not_matter(
        came in proptest::collection::vec(any_words(), 0..6), went in proptest::collection::vec(any_words(), 0..6)
    ) {
        let make = |prefix: &str, n: usize, w: &(Option<u8>, bool, i64, i8, u8)| {
            let external_id = w.0.map(|k| format!("key-{k}"));
            let status = if w.1 { PENDING } else { POSTED };
            let description = if w.4 == 0 { "TEA HOUSE" } else { "HARDWARE STORE" };
            record((&format!("{prefix}{n}"), external_id.as_deref(), status, w.2, w.3, description))
        };
        let came: Vec<Held> = came.iter().enumerate()
            .map(|(n, w)| Held { record: make("n", n, w), account_id: 1, former_owner: None }).collect();
        let went: Vec<Gone> = (10..).zip(went.iter().enumerate())
            .map(|(id, (n, w))| Gone {
                row: StoredRow { transaction_id: id, record: make("o", n, w), removed_at: None }, account_id: 1,
                is_for_good: false,
            }).collect();
        let pairs = match_held(&came, &went);
        let (mut helds, mut gones) = (HashSet::new(), HashSet::new());
        for (h, g, _) in &pairs {
            prop_assert!(helds.insert(*h) && gones.insert(*g));
            let stored = &went.iter().find(|gone| gone.row.transaction_id == *g).expect("a gone row").row.record;
            prop_assert!(may_be(&traces(&came[*h].record), stored), "had it come malformed, the stored row had gone");
        }
        let mut backwards = came.clone();
        backwards.reverse();
        let again = match_held(&backwards, &went);
        // Which of two rows that nothing tells apart goes where may differ; how many find their place may not.
        prop_assert_eq!(pairs.len(), again.len());
    }
}
