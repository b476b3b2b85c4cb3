//! What is to be written for a row: pure comparisons of what came with what is stored.
//!
//! Nothing here reads or writes. `apply` asks these functions row by row and at the end of a walk.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value, json};

use crate::model::{Status, TransactionRecord};
use crate::store::{AliasRule, StoredRow};

/// How far apart the days of one transaction under two ids may lie.
pub(super) const MATCH_DAYS: i32 = 7;
/// The share of words that two descriptions of one transaction have in common at least, in percent of the shorter one.
const ALIKE_PERCENT: usize = 50;

/// A change of value, ready for the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    /// `updated`, `posted` or `restored`.
    pub(super) kind: &'static str,
    /// The differing columns as they were, JSON.
    pub(super) before: String,
    /// The same columns as they are now.
    pub(super) after: String,
}

/// A new upstream id that may be a stored row under another name, kept until the walk has shown what is gone.
#[derive(Debug, Clone)]
pub(super) struct Held {
    /// The row as it came.
    pub(super) record: TransactionRecord,
    /// Its account.
    pub(super) account_id: i64,
    /// The stored row that had this very id once.
    pub(super) former_owner: Option<i64>,
}

/// A stored row that a complete walk did not show.
#[derive(Debug, Clone)]
pub(super) struct Gone {
    /// The row.
    pub(super) row: StoredRow,
    /// Its account.
    pub(super) account_id: i64,
    /// The list that did not show it is a statement of what there is, or upstream took it back: it will not come again under
    /// its id.
    pub(super) is_for_good: bool,
}

/// Whether a version of a row was written upstream before another one of it.
pub(super) fn is_older(version: &TransactionRecord, than: &TransactionRecord) -> bool {
    matches!((version.upstream_updated_at, than.upstream_updated_at), (Some(written), Some(other)) if written < other)
}

/// Compares a row with its stored self.
///
/// Shape: `None` where no value differs; then at most the JSON is news.
pub(super) fn change_between(stored: &StoredRow, incoming: &TransactionRecord) -> Option<Change> {
    let mut before = Map::new();
    let mut after = Map::new();
    if let Some(removed_at) = stored.removed_at {
        before.insert("removed_at".to_owned(), json!(removed_at.as_millisecond()));
        after.insert("removed_at".to_owned(), Value::Null);
    }
    for ((name, old), (_, new)) in columns(&stored.record).into_iter().zip(columns(incoming)) {
        if old != new {
            before.insert(name.to_owned(), old);
            after.insert(name.to_owned(), new);
        }
    }
    if before.is_empty() {
        return None;
    }
    let kind = if stored.removed_at.is_some() {
        "restored"
    } else if stored.record.status != Status::Posted && incoming.status == Status::Posted {
        "posted"
    } else {
        "updated"
    };
    Some(Change { kind, before: Value::Object(before).to_string(), after: Value::Object(after).to_string() })
}

/// The values whose change is history, by column.
fn columns(r: &TransactionRecord) -> [(&'static str, Value); 22] {
    [
        ("upstream_id", json!(r.upstream_id)),
        ("upstream_account_id", json!(r.upstream_account_id)),
        ("external_id", json!(r.external_id)),
        ("status", json!(r.status.as_str())),
        ("amount_minor", json!(r.amount_minor)),
        ("memo_minor", json!(r.memo_minor)),
        ("currency", json!(r.currency.as_str())),
        ("transacted_at", json!(r.transacted_at.map(jiff::Timestamp::as_millisecond))),
        ("transacted_on", json!(r.transacted_on.to_string())),
        ("posted_at", json!(r.posted_at.map(jiff::Timestamp::as_millisecond))),
        ("posted_on", json!(r.posted_on.map(|d| d.to_string()))),
        ("description", json!(r.description)),
        ("clean_description", json!(r.clean_description)),
        ("merchant", json!(r.merchant)),
        ("category", json!(r.category)),
        ("upstream_category_id", json!(r.upstream_category_id)),
        ("merchant_code", json!(r.merchant_code)),
        ("check_number", json!(r.check_number)),
        ("memo", json!(r.memo)),
        ("location", json!((&r.latitude, &r.longitude))),
        ("operation_type", json!(r.operation_type)),
        ("upstream_status", json!(r.upstream_status)),
    ]
}

/// Whether a stored row could be `incoming` under its former id, or give way to it, so that the walk's end must decide.
///
/// Wider than what [`match_held`] accepts: a row that comes in place of another one must be stored in the commit that removes
/// the other, or a reader would see the money twice in between. In a feed of changes any row may be made anew (`is_feed`).
pub(super) fn may_replace(stored: &TransactionRecord, incoming: &TransactionRecord, is_feed: bool) -> bool {
    let is_same_money = stored.amount_minor == incoming.amount_minor && stored.currency == incoming.currency;
    (stored.external_id.is_some() && stored.external_id == incoming.external_id)
        || ((is_feed || stored.status == Status::Pending) && is_same_money)
        || identity(0, stored) == identity(0, incoming)
}

/// Indexes of held and of gone rows.
type Sides = (Vec<usize>, Vec<usize>);

/// Decides which held rows are stored rows under a new id.
///
/// Shape: (index into `held`, our id of the gone row, the rule); each held row and each gone row at most once. Whatever is
/// ambiguous is left out: rows that nothing tells apart may be paired in any order, others may not.
pub(super) fn match_held(held: &[Held], gone: &[Gone]) -> Vec<(usize, i64, AliasRule)> {
    let mut matching = Matching {
        held,
        gone,
        free_held: (0..held.len()).collect(),
        free_gone: (0..gone.len()).collect(),
        pairs: Vec::new(),
    };
    matching.by_former_id();
    matching.by_external_id();
    matching.by_identity();
    matching.by_posting();
    matching.pairs
}

struct Matching<'a> {
    held: &'a [Held],
    gone: &'a [Gone],
    free_held: Vec<usize>,
    free_gone: Vec<usize>,
    pairs: Vec<(usize, i64, AliasRule)>,
}

impl Matching<'_> {
    fn pair(&mut self, h: usize, g: usize, rule: AliasRule) {
        self.free_held.retain(|i| *i != h);
        self.free_gone.retain(|i| *i != g);
        self.pairs.push((h, self.gone[g].row.transaction_id, rule));
    }

    fn by_former_id(&mut self) {
        for h in self.free_held.clone() {
            let owner = self.held[h].former_owner;
            let found = self.free_gone.iter().copied().find(|g| Some(self.gone[*g].row.transaction_id) == owner);
            if let Some(g) = found {
                self.pair(h, g, AliasRule::FormerId);
            }
        }
    }

    /// One held and one gone row of an account with the same external id.
    fn by_external_id(&mut self) {
        let mut groups: BTreeMap<(i64, &str), Sides> = BTreeMap::new();
        let (held, gone) = (self.held, self.gone);
        for h in &self.free_held {
            if let Some(external_id) = &held[*h].record.external_id {
                groups.entry((held[*h].account_id, external_id)).or_default().0.push(*h);
            }
        }
        for g in &self.free_gone {
            if let Some(external_id) = &gone[*g].row.record.external_id {
                groups.entry((gone[*g].account_id, external_id)).or_default().1.push(*g);
            }
        }
        for (h, g) in groups.into_values() {
            if let ([h], [g]) = (h.as_slice(), g.as_slice()) {
                self.pair(*h, *g, AliasRule::ExternalId);
            }
        }
    }

    /// Rows that nothing tells apart are paired in order: whichever is whichever, no information is lost.
    ///
    /// External ids that were issued anew as well tell nothing apart either, where as many rows came as went.
    fn by_identity(&mut self) {
        for (mut held, mut gone) in self.identical_groups() {
            // The choosiest first, so that whatever order rows come in, as many as possible find their place.
            for fit in [Fit::SameExternalId, Fit::NoneThere, Fit::NoneHere] {
                for wants_same_instant in [true, false] {
                    self.pair_identical(&mut held, &mut gone, fit, wants_same_instant);
                }
            }
            if held.len() == gone.len() {
                for (h, g) in held.into_iter().zip(gone) {
                    self.pair(h, g, AliasRule::Identical);
                }
            }
        }
    }

    /// Pairs what `fit` allows and takes it from both lists.
    fn pair_identical(&mut self, held: &mut Vec<usize>, gone: &mut Vec<usize>, fit: Fit, wants_same_instant: bool) {
        held.retain(|h| {
            let incoming = &self.held[*h].record;
            let fitting = gone.iter().position(|g| {
                let stored = &self.gone[*g].row.record;
                fit.holds(stored, incoming) && (!wants_same_instant || stored.transacted_at == incoming.transacted_at)
            });
            if let Some(at) = fitting {
                self.pair(*h, gone.remove(at), AliasRule::Identical);
            }
            fitting.is_none()
        });
    }

    /// Free rows that are identical but for their ids, each side in the order they happened.
    fn identical_groups(&self) -> Vec<Sides> {
        let mut groups: BTreeMap<_, Sides> = BTreeMap::new();
        for h in &self.free_held {
            groups.entry(self.held_identity(*h)).or_default().0.push(*h);
        }
        for g in &self.free_gone {
            if let Some((_, gone)) = groups.get_mut(&self.gone_identity(*g)) {
                gone.push(*g);
            }
        }
        let mut groups: Vec<_> = groups.into_values().filter(|(_, gone)| !gone.is_empty()).collect();
        for (held, gone) in &mut groups {
            held.sort_by_key(|h| self.held[*h].record.transacted_at);
            gone.sort_by_key(|g| self.gone[*g].row.record.transacted_at);
        }
        groups
    }

    /// Rows and those that replaced them, pending ones that posted or any that upstream made anew, where each is the other's
    /// only possibility. Several of a kind are one possibility if as many came as went.
    fn by_posting(&mut self) {
        let mut held_kinds: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for h in &self.free_held {
            held_kinds.entry(self.held_identity(*h)).or_default().push(*h);
        }
        let mut gone_kinds: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for g in &self.free_gone {
            gone_kinds.entry(self.gone_identity(*g)).or_default().push(*g);
        }
        let mut fits: Vec<(&[usize], &[usize])> = Vec::new();
        for held in held_kinds.values() {
            for gone in gone_kinds.values() {
                if held.iter().any(|h| gone.iter().any(|g| self.posts(*h, *g))) {
                    fits.push((held, gone));
                }
            }
        }
        let mut pairs = Vec::new();
        for (held, gone) in &fits {
            let is_only = fits.iter().filter(|(h, g)| h == held || g == gone).count() == 1;
            let is_each = held.iter().all(|h| gone.iter().all(|g| self.posts(*h, *g)));
            if is_only && is_each && held.len() == gone.len() {
                pairs.extend(held.iter().copied().zip(gone.iter().copied()));
            }
        }
        for (h, g) in pairs {
            let is_posting = self.gone[g].row.record.status != self.held[h].record.status;
            self.pair(h, g, if is_posting { AliasRule::PostedLikePending } else { AliasRule::Recreated });
        }
    }

    fn posts(&self, h: usize, g: usize) -> bool {
        let (held, gone) = (&self.held[h], &self.gone[g]);
        held.account_id == gone.account_id
            && (posts(&gone.row.record, &held.record)
                || (gone.is_for_good && is_made_anew(&gone.row.record, &held.record)))
    }

    fn held_identity(&self, h: usize) -> Identity<'_> {
        identity(self.held[h].account_id, &self.held[h].record)
    }

    fn gone_identity(&self, g: usize) -> Identity<'_> {
        identity(self.gone[g].account_id, &self.gone[g].row.record)
    }
}

/// How the external ids of two identical rows go together.
#[derive(Clone, Copy)]
enum Fit {
    /// Both have the same.
    SameExternalId,
    /// The stored row has none.
    NoneThere,
    /// The row that came has none.
    NoneHere,
}

impl Fit {
    fn holds(self, stored: &TransactionRecord, incoming: &TransactionRecord) -> bool {
        match self {
            Self::SameExternalId => stored.external_id.is_some() && stored.external_id == incoming.external_id,
            Self::NoneThere => stored.external_id.is_none() && incoming.external_id.is_some(),
            Self::NoneHere => incoming.external_id.is_none(),
        }
    }
}

/// What two rows share that nothing but their ids and instants tells apart: account, status, amount, currency, day, text.
type Identity<'a> = (i64, &'static str, i64, &'a str, jiff::civil::Date, &'a str);

fn identity(account_id: i64, r: &TransactionRecord) -> Identity<'_> {
    (account_id, r.status.as_str(), r.amount_minor, r.currency.as_str(), r.transacted_on, &r.description)
}

/// Two different external ids are two different bookings.
fn external_ids_agree(a: &TransactionRecord, b: &TransactionRecord) -> bool {
    match (&a.external_id, &b.external_id) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    }
}

/// Whether `posted` can be what `pending` became: announced or planned, then booked.
fn posts(pending: &TransactionRecord, posted: &TransactionRecord) -> bool {
    pending.status != Status::Posted && posted.status == Status::Posted && is_like(pending, posted)
}

/// Whether `new` can be what `old` became without changing where it stands: a day that moved, a text that was tidied.
fn is_made_anew(old: &TransactionRecord, new: &TransactionRecord) -> bool {
    old.status == new.status && is_like(old, new)
}

/// Same amount, direction and currency, within days, a like description.
fn is_like(a: &TransactionRecord, b: &TransactionRecord) -> bool {
    a.amount_minor == b.amount_minor
        && a.currency == b.currency
        && external_ids_agree(a, b)
        && days_between(a, b) <= MATCH_DAYS
        && are_alike(&a.description, &b.description)
}

fn days_between(a: &TransactionRecord, b: &TransactionRecord) -> i32 {
    a.transacted_on.until(b.transacted_on).map_or(i32::MAX, |span| span.get_days().abs())
}

/// Whether two descriptions can name one transaction: they share at least half of the shorter one's words.
///
/// Case, punctuation and words with digits do not count: banks add dates, terminals and card numbers when a row posts.
pub(super) fn are_alike(a: &str, b: &str) -> bool {
    let (a, b) = (words(a), words(b));
    if a.is_empty() || b.is_empty() {
        return a.is_empty() && b.is_empty();
    }
    let shared = a.intersection(&b).count();
    shared * 100 >= ALIKE_PERCENT * a.len().min(b.len())
}

fn words(text: &str) -> HashSet<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.chars().count() > 1 && !word.chars().any(|c| c.is_ascii_digit()))
        .map(str::to_uppercase)
        .filter(|word| word != "PENDING" && word != "AUTH" && word != "HOLD")
        .collect()
}

#[cfg(test)]
mod tests;
