//! Which rows that came are stored rows under a new id.

use std::collections::BTreeMap;

use super::alike::{Identity, identity, is_made_anew, posts};
use super::{Gone, Held};
use crate::model::TransactionRecord;
use crate::store::AliasRule;

/// Indexes of held and of gone rows.
type Sides = (Vec<usize>, Vec<usize>);

/// Decides which held rows are stored rows under a new id.
///
/// Shape: (index into `held`, our id of the gone row, the rule); each held row and each gone row at most once. Whatever is
/// ambiguous is left out: rows that nothing tells apart may be paired in any order, others may not.
pub(in crate::sync) fn match_held(held: &[Held], gone: &[Gone]) -> Vec<(usize, i64, AliasRule)> {
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
            // Then by what may decide where one fits: who takes the only place that two may take decides who is left over.
            held.sort_by_key(|h| {
                let record = &self.held[*h].record;
                (record.transacted_at, record.external_id.as_deref())
            });
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
