//! What is to be written for a row: pure comparisons of what came with what is stored.
//!
//! Nothing here reads or writes. `apply` asks these functions row by row and at the end of a walk.

use std::collections::{BTreeMap, HashMap, HashSet};

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
    Some(Change {
        kind,
        before: Value::Object(before).to_string(),
        after: Value::Object(after).to_string(),
    })
}

/// The values whose change is history, by column.
fn columns(r: &TransactionRecord) -> [(&'static str, Value); 20] {
    [
        ("upstream_id", json!(r.upstream_id)),
        ("upstream_account_id", json!(r.upstream_account_id)),
        ("external_id", json!(r.external_id)),
        ("status", json!(r.status.as_str())),
        ("amount_minor", json!(r.amount_minor)),
        ("memo_minor", json!(r.memo_minor)),
        ("currency", json!(r.currency.as_str())),
        ("transacted_at", json!(r.transacted_at.as_millisecond())),
        ("transacted_on", json!(r.transacted_on.to_string())),
        ("posted_at", json!(r.posted_at.map(jiff::Timestamp::as_millisecond))),
        ("posted_on", json!(r.posted_on.map(|d| d.to_string()))),
        ("description", json!(r.description)),
        ("merchant", json!(r.merchant)),
        ("category", json!(r.category)),
        ("merchant_code", json!(r.merchant_code)),
        ("check_number", json!(r.check_number)),
        ("memo", json!(r.memo)),
        ("location", json!((&r.latitude, &r.longitude))),
        ("operation_type", json!(r.operation_type)),
        ("upstream_status", json!(r.upstream_status)),
    ]
}

/// Whether a stored row could be `incoming` under its former id, so that the walk's end must decide.
pub(super) fn may_be_same(stored: &TransactionRecord, incoming: &TransactionRecord) -> bool {
    (stored.external_id.is_some() && stored.external_id == incoming.external_id)
        || are_identical(stored, incoming)
        || posts(stored, incoming)
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
            let found = self
                .free_gone
                .iter()
                .copied()
                .find(|g| Some(self.gone[*g].row.transaction_id) == owner);
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
    fn by_identity(&mut self) {
        let mut gone_by_key: HashMap<_, Vec<usize>> = HashMap::new();
        for g in self.free_gone.iter().rev() {
            gone_by_key
                .entry(identity(self.gone[*g].account_id, &self.gone[*g].row.record))
                .or_default()
                .push(*g);
        }
        for h in self.free_held.clone() {
            let held = &self.held[h];
            let Some(same) = gone_by_key.get_mut(&identity(held.account_id, &held.record)) else {
                continue;
            };
            let fitting = same
                .iter()
                .rposition(|g| external_ids_agree(&self.gone[*g].row.record, &held.record));
            if let Some(at) = fitting {
                let g = same.remove(at);
                self.pair(h, g, AliasRule::Identical);
            }
        }
    }

    /// A pending row and the posted one that replaced it, where each is the other's only possibility.
    fn by_posting(&mut self) {
        let mut fits: Vec<(usize, usize)> = Vec::new();
        for h in &self.free_held {
            for g in &self.free_gone {
                let (held, gone) = (&self.held[*h], &self.gone[*g]);
                if held.account_id == gone.account_id && posts(&gone.row.record, &held.record) {
                    fits.push((*h, *g));
                }
            }
        }
        for (h, g) in &fits {
            let only = fits.iter().filter(|(h2, g2)| h2 == h || g2 == g).count() == 1;
            if only {
                self.pair(*h, *g, AliasRule::PostedLikePending);
            }
        }
    }
}

fn identity(
    account_id: i64,
    r: &TransactionRecord,
) -> (i64, Status, i64, crate::money::Currency, jiff::civil::Date, &str) {
    (
        account_id,
        r.status,
        r.amount_minor,
        r.currency,
        r.transacted_on,
        &r.description,
    )
}

fn are_identical(a: &TransactionRecord, b: &TransactionRecord) -> bool {
    identity(0, a) == identity(0, b) && external_ids_agree(a, b)
}

/// Two different external ids are two different bookings.
fn external_ids_agree(a: &TransactionRecord, b: &TransactionRecord) -> bool {
    match (&a.external_id, &b.external_id) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    }
}

/// Whether `posted` can be what `pending` became: same amount, direction and currency, within days, a like description.
fn posts(pending: &TransactionRecord, posted: &TransactionRecord) -> bool {
    pending.status == Status::Pending
        && posted.status == Status::Posted
        && pending.amount_minor == posted.amount_minor
        && pending.currency == posted.currency
        && external_ids_agree(pending, posted)
        && days_between(pending, posted) <= MATCH_DAYS
        && are_alike(&pending.description, &posted.description)
}

fn days_between(a: &TransactionRecord, b: &TransactionRecord) -> i32 {
    a.transacted_on
        .until(b.transacted_on)
        .map_or(i32::MAX, |span| span.get_days().abs())
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
