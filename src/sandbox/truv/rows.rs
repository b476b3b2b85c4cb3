//! Writes transactions as JSON, by hand: the one hot path of the sandbox.

use super::reply::Wish;
use crate::sandbox::world::{Account, Row, Status};
use crate::sandbox::write::{fraction_digits, push_decimal, push_hex, push_instant, push_number, push_text};

/// What a row needs at most, usually; the buffer grows if not.
pub(super) const USUAL_ROW_BYTES: usize = 760;

/// Writes the transactions of one link.
pub(super) struct RowWriter {
    accounts: Vec<Told>,
    oddities: bool,
}

/// What rows tell of their account.
struct Told {
    id: u128,
    currency: String,
    digits: usize,
}

impl RowWriter {
    pub(super) fn new(accounts: &[Account], oddities: bool) -> Self {
        let told = accounts.iter().map(|account| Told {
            id: account.id,
            currency: account.currency.to_string(),
            digits: fraction_digits(&account.currency),
        });
        Self { accounts: told.collect(), oddities }
    }

    /// Appends one object; `wish` is the damage asked for.
    pub(super) fn push(&self, out: &mut Vec<u8>, row: &Row, wish: Wish) {
        // Six independent bits and more per field, drawn from the id; 0 everywhere when all rows are to look alike.
        let style = if self.oddities { row.id.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 96 } else { 0 };
        let pick = |shift: u32, of: u128| u32::try_from((style >> shift) % of).unwrap_or(0);
        let account = &self.accounts[usize::from(row.account)];
        let detail = &*row.detail;
        out.push(b'{');
        if !wish.row_without_id {
            out.extend_from_slice(b"\"id\":\"");
            push_hex(out, row.id);
            out.extend_from_slice(b"\",");
        }
        let times = pick(0, 4);
        out.extend_from_slice(b"\"created_at\":\"");
        push_instant(out, row.created_ms, 1);
        out.extend_from_slice(b"\",\"updated_at\":\"");
        push_instant(out, row.updated_ms, if times == 2 { 2 } else { 1 });
        out.extend_from_slice(b"\",\"account_id\":\"");
        push_hex(out, account.id);
        out.push(b'"');
        push_optional(out, "external_id", row.external_id.as_deref(), pick(2, 2), false);
        if wish.bad_amount {
            out.extend_from_slice(b",\"amount\":\"12,34 or so\"");
        } else {
            out.extend_from_slice(b",\"amount\":\"");
            push_decimal(out, row.amount_minor.unsigned_abs(), account.digits);
            out.push(b'"');
        }
        out.extend_from_slice(b",\"currency_code\":");
        push_text(out, &account.currency);
        match row.check_number {
            Some(number) => {
                out.extend_from_slice(b",\"check_number\":\"");
                push_number(out, u64::from(number), 1);
                out.push(b'"');
            }
            None => push_optional(out, "check_number", None, pick(4, 3), true),
        }
        out.extend_from_slice(b",\"categories\":[");
        if let Some(category) = &detail.category {
            push_text(out, category);
        }
        out.extend_from_slice(b"],\"description\":");
        push_text(out, &detail.description);
        push_optional(out, "merchant_name", detail.merchant.as_deref(), pick(6, 2), false);
        push_code(out, detail.mcc, pick(8, 2));
        out.extend_from_slice(b",\"status\":\"");
        out.extend_from_slice(row.status.as_str().as_bytes());
        out.extend_from_slice(b"\",\"type\":\"");
        let kind: &[u8] = match (row.status, row.amount_minor < 0) {
            (Status::Memo, _) => b"MEMO",
            (Status::Posted | Status::Pending | Status::Authorization | Status::Future, true) => b"DEBIT",
            (Status::Posted | Status::Pending | Status::Authorization | Status::Future, false) => b"CREDIT",
        };
        out.extend_from_slice(kind);
        out.extend_from_slice(b"\",\"posted_at\":");
        match row.posted_ms {
            Some(at_ms) => {
                out.push(b'"');
                push_instant(out, at_ms, times);
                out.push(b'"');
            }
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"transacted_at\":\"");
        push_instant(out, row.transacted_ms, times);
        out.push(b'"');
        push_optional(out, "memo", detail.memo.as_deref(), pick(10, 3), true);
        push_place(out, detail.place, pick(12, 4));
        if pick(16, 16) == 5 {
            out.extend_from_slice(b",\"enrichment\":{\"recurring\":null,\"labels\":[\"a\",1]},\"is_new_field\":true");
        }
        out.push(b'}');
    }
}

/// A text that may be missing: style 0 writes null (or the empty text), 1 leaves the field out, 2 writes null.
fn push_optional(out: &mut Vec<u8>, name: &str, value: Option<&str>, style: u32, empty_is_plain: bool) {
    if value.is_none() && style == 1 {
        return;
    }
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    match value {
        Some(text) => push_text(out, text),
        None if empty_is_plain && style == 0 => out.extend_from_slice(b"\"\""),
        None => out.extend_from_slice(b"null"),
    }
}

/// The merchant category code: a number in all samples, a string in the table.
fn push_code(out: &mut Vec<u8>, code: Option<u16>, style: u32) {
    out.extend_from_slice(b",\"merchant_category_code\":");
    let Some(code) = code else {
        out.extend_from_slice(b"null");
        return;
    };
    if style == 1 {
        out.push(b'"');
    }
    push_number(out, u64::from(code), 4);
    if style == 1 {
        out.push(b'"');
    }
}

/// The location: floats in newer samples, strings in older ones, null, or not there.
fn push_place(out: &mut Vec<u8>, place: Option<(i32, i32)>, style: u32) {
    let Some((latitude, longitude)) = place else {
        match style {
            1 => {}
            2 => out.extend_from_slice(b",\"location\":{\"latitude\":null,\"longitude\":null}"),
            _ => out.extend_from_slice(b",\"location\":null"),
        }
        return;
    };
    let quote: &[u8] = if style == 1 { b"\"" } else { b"" };
    for (head, millionths) in [(&b",\"location\":{\"latitude\":"[..], latitude), (b",\"longitude\":", longitude)] {
        out.extend_from_slice(head);
        out.extend_from_slice(quote);
        if millionths < 0 {
            out.push(b'-');
        }
        let size = u64::from(millionths.unsigned_abs());
        push_number(out, size / 1_000_000, 1);
        out.push(b'.');
        push_number(out, size % 1_000_000, 6);
        out.extend_from_slice(quote);
    }
    out.push(b'}');
}
