//! Draws a realistic world: households with checking, savings and cards, and what they earn and spend.

use std::sync::Arc;

use rand::RngExt;

use super::{Bank, Detail, FOREVER, INSTITUTIONS, NewAccount, Owner, Row, Served, Status};
use crate::clock::DAY_MS;
use crate::sandbox::id::LinkId;

/// A link with no more rows than this has none of the rare ones.
const FEW: usize = 9;
const HOUR_MS: i64 = 60 * 60 * 1000;

/// How large a world to draw.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many links.
    pub links: usize,
    /// How many transactions each link has, over all its accounts.
    pub transactions_per_link: usize,
    /// How many days they reach back from now.
    pub days: i64,
    /// How many links a user has; at least 1.
    pub links_per_user: usize,
    /// Whether every link has savings and a card beside the checking account; otherwise some have.
    pub every_kind: bool,
    /// Whose customers they are; `None` is the sandbox's setting.
    pub serves: Option<Served>,
    /// Whether rare statuses (AUTHORIZATION, at Truv MEMO, at Bridge a planned row a link) occur.
    pub rare_statuses: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            links: 200,
            transactions_per_link: 150,
            days: 90,
            links_per_user: 1,
            every_kind: false,
            serves: None,
            rare_statuses: true,
        }
    }
}

/// What drawn accounts are called.
struct AccountNames {
    checking: &'static str,
    savings: &'static str,
    card: &'static str,
    currency: &'static str,
}

impl AccountNames {
    fn of(owner: Owner) -> Self {
        match owner {
            Owner::Truv(_) => {
                Self { checking: "Everyday Checking", savings: "Rainy Day", card: "Rewards Card", currency: "USD" }
            }
            Owner::Bridge(_) => {
                Self {
                    checking: "Compte courant", savings: "Livret A", card: "Carte à débit différé", currency: "EUR"
                }
            }
        }
    }
}

impl Bank {
    /// Draws users, links, accounts and transactions, and publishes them; answers the new links.
    ///
    /// Shape: exactly `transactions_per_link` rows a link; the rows of the last two days are pending. Balances are an
    /// opening balance plus the posted rows.
    pub fn seed_world(&mut self, plan: &Plan) -> Vec<LinkId> {
        let mut made = Vec::with_capacity(plan.links);
        let owner = plan.serves.unwrap_or(self.serves).owner();
        let mut user = 0;
        for nth in 0..plan.links {
            if nth % plan.links_per_user.max(1) == 0 {
                let external_id = format!("customer-{:05}", self.users.len() + 1);
                user = self.insert_user(owner, Some(external_id), None, None);
            }
            let institution = self.some_institution(owner);
            let link = self.insert_link(user, &institution);
            let age_ms = plan.days.max(1) * DAY_MS;
            self.links[link].created_ms = self.now_ms - age_ms;
            self.furnish(link, plan);
            self.publish_at(link);
            made.push(LinkId(self.links[link].id));
        }
        made
    }

    /// An institution of the owner's continent that is no aggregator's test bank.
    fn some_institution(&mut self, owner: Owner) -> String {
        match owner {
            Owner::Truv(_) => INSTITUTIONS[2 + self.rng.random_range(0..INSTITUTIONS.len() - 2)].0.to_owned(),
            Owner::Bridge(_) => {
                let known = &self.providers.known;
                known[1 + self.rng.random_range(0..known.len() - 1)].id.to_string()
            }
        }
    }

    /// Opens accounts on a link and fills them.
    pub(crate) fn furnish(&mut self, link: usize, plan: &Plan) {
        let names = AccountNames::of(self.owner_of(link));
        let opening = self.rng.random_range(150_000..900_000);
        let checking = NewAccount::checking(names.checking, opening).currency(names.currency);
        let checking = self.insert_account(link, checking);
        if plan.every_kind || self.rng.random_ratio(1, 2) {
            let opening = self.rng.random_range(200_000..4_000_000);
            self.insert_account(link, NewAccount::savings(names.savings, opening).currency(names.currency));
        }
        if plan.every_kind || self.rng.random_ratio(2, 5) {
            let limit = self.rng.random_range(20..150) * 10_000;
            self.insert_account(link, NewAccount::credit_card(names.card, limit).currency(names.currency));
        }
        self.fill(link, checking, plan);
    }

    /// Draws what moved on a link's accounts; `checking` is the one with the salary.
    pub(crate) fn fill(&mut self, link: usize, checking: usize, plan: &Plan) {
        let mut moves = self.recurring(link, checking, plan);
        moves.truncate(plan.transactions_per_link / 2);
        while moves.len() < plan.transactions_per_link {
            let purchase = self.purchase_on(link, plan);
            moves.push(purchase);
        }
        if plan.rare_statuses
            && plan.transactions_per_link > FEW
            && let Owner::Bridge(_) = self.owner_of(link)
        {
            // Something is planned.
            let at_ms = self.now_ms + self.rng.random_range(1..9) * DAY_MS;
            let rent = Arc::clone(&self.merchants[self.owner_of(link).served() as usize].rent);
            moves[FEW] = (at_ms, checking, -self.rng.random_range(40_000..120_000), rent);
        }
        moves.sort_by_key(|(at_ms, ..)| *at_ms);
        self.links[link].rows.reserve(moves.len());
        for (at_ms, account, amount_minor, detail) in moves {
            self.insert_drawn(link, account, amount_minor, at_ms, detail, plan.rare_statuses);
        }
    }

    /// Salary, rent, bills, interest and card payments, newest first.
    fn recurring(&mut self, link: usize, checking: usize, plan: &Plan) -> Vec<(i64, usize, i64, Arc<Detail>)> {
        let pay = self.rng.random_range(140_000..420_000);
        let rent = self.rng.random_range(90_000..260_000);
        let accounts = self.links[link].accounts.iter();
        let kinds: Vec<(usize, String)> = accounts.enumerate().map(|(at, a)| (at, a.kind.to_string())).collect();
        let mut moves = Vec::new();
        let region = self.owner_of(link).served() as usize;
        for day in 1..plan.days {
            let at_ms = self.now_ms - day * DAY_MS - self.rng.random_range(0..6) * HOUR_MS;
            let merchants = &self.merchants[region];
            let (account, amount_minor, detail) = match day % 30 {
                1 | 15 => (checking, pay, &merchants.salary),
                2 => (checking, -rent, &merchants.rent),
                9 => (checking, -self.rng.random_range(4_000..19_000), &merchants.power),
                12 => (checking, -self.rng.random_range(2_500..9_000), &merchants.phone),
                20 => (checking, -self.rng.random_range(5_000..90_000), &merchants.check),
                23 => (checking, self.rng.random_range(900..9_000), &merchants.refund),
                _ => continue,
            };
            moves.push((at_ms, account, amount_minor, Arc::clone(detail)));
            for (account, kind) in &kinds {
                let (amount_minor, detail) = match (kind.as_str(), day % 30) {
                    ("SAVINGS", 1) => (self.rng.random_range(50..4_000), &merchants.interest),
                    ("CREDIT_CARD", 12) => (self.rng.random_range(10_000..90_000), &merchants.card_payment),
                    _ => continue,
                };
                moves.push((at_ms, *account, amount_minor, Arc::clone(detail)));
            }
        }
        moves
    }

    fn purchase_on(&mut self, link: usize, plan: &Plan) -> (i64, usize, i64, Arc<Detail>) {
        let (detail, cost_minor) = self.merchants[self.owner_of(link).served() as usize].purchase(&mut self.rng);
        let account = self.spending_account(link);
        let at_ms = self.now_ms - self.rng.random_range(0..plan.days.max(1) * DAY_MS / 1000) * 1000;
        (at_ms, account, -cost_minor, detail)
    }

    /// An account one pays with: checking or a card.
    pub(crate) fn spending_account(&mut self, link: usize) -> usize {
        let accounts = &self.links[link].accounts;
        let choice = self.rng.random_range(0..accounts.len());
        let chosen = &accounts[choice];
        let pays = !chosen.invests() && !matches!(&*chosen.kind, "SAVINGS" | "LOAN");
        if pays { choice } else { 0 }
    }

    /// Inserts a drawn row: pending when it is younger than its booking delay.
    pub(crate) fn insert_drawn(
        &mut self,
        link: usize,
        account: usize,
        amount_minor: i64,
        at_ms: i64,
        detail: Arc<Detail>,
        rare_statuses: bool,
    ) -> u128 {
        let posted_ms = (at_ms + self.rng.random_range(1..=2) * DAY_MS).div_euclid(DAY_MS) * DAY_MS;
        let roll: u32 = self.rng.random_range(0..400);
        let owner = self.owner_of(link);
        let merchants = &self.merchants[owner.served() as usize];
        let is_check = Arc::ptr_eq(&detail, &merchants.check);
        let remark = Arc::clone(&merchants.remark);
        let mut row = Row {
            id: self.issue_transaction(link),
            since: 0,
            until: FOREVER,
            amount_minor,
            transacted_ms: at_ms,
            posted_ms: Some(posted_ms),
            created_ms: at_ms.max(self.links[link].created_ms),
            updated_ms: self.now_ms.min(posted_ms.max(at_ms)),
            external_id: Some(self.draw_external_id()),
            detail,
            check_number: is_check.then(|| self.rng.random_range(101..9_999)),
            account: u16::try_from(account).unwrap_or(0),
            status: Status::Posted,
        };
        if at_ms > self.now_ms {
            row.posted_ms = None;
            row.status = Status::Future;
        } else if posted_ms > self.now_ms {
            row.posted_ms = None;
            row.status = if rare_statuses && roll.is_multiple_of(5) { Status::Authorization } else { Status::Pending };
        } else if rare_statuses && roll == 0 && owner.served() == Served::Truv {
            row.status = Status::Memo;
            row.amount_minor = 0;
            row.detail = remark;
        }
        self.insert_row(link, row)
    }
}
