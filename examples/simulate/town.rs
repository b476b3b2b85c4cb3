//! The world: customers, links, accounts and rows of both aggregators, and what the oracle must know of their past.

mod forgetting;
mod life;
mod logins;

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use passbook::clock::Clock;
use passbook::sandbox::{
    AccountId, DeletedRows, Environment, LinkId, NewAccount, NewTransaction, Sandbox, Served, TransactionId, UserId,
};

pub(crate) use forgetting::Customer;

use crate::plan::{DAY, HOUR, Verb};

/// Rows are looked at this far back by an incremental read where lists are windows; what happened to older ones only a
/// reconciliation shows (`overlap` is 14 days; a link may be out of order for some of them).
const WINDOW: i64 = 8 * DAY;
/// After this long and two syncs everything that happened to a row of a link in order has been read.
const SETTLED: i64 = 16 * HOUR;

/// A row as the bank has it.
pub(crate) struct Row {
    pub(crate) id: TransactionId,
    account: usize,
    /// What stays when the id changes.
    chain: u64,
    is_pending: bool,
    is_removed: bool,
    /// It has another id since it was last certain to have been read.
    is_renamed: bool,
    transacted_ms: i64,
    touched_ms: i64,
}

/// An account as the bank has it.
pub(crate) struct Account {
    pub(crate) id: AccountId,
    is_closed: bool,
    is_shared: bool,
}

/// A while in which the bank did not have an id.
#[derive(Debug)]
pub(crate) struct Absence {
    pub(crate) gone_at: i64,
    /// When readers had it again, at the latest; `None`: they have not.
    pub(crate) back_at: Option<i64>,
}

/// A link as the bank has it.
pub(crate) struct Link {
    pub(crate) id: LinkId,
    pub(crate) serves: Served,
    pub(crate) user: UserId,
    pub(crate) accounts: Vec<Account>,
    pub(crate) rows: Vec<Row>,
    /// What refreshes meet, and since when.
    pub(crate) trouble: Option<(String, i64)>,
    /// When refreshes met any before, from when until when.
    broken: Vec<(i64, i64)>,
    pub(crate) is_deleted: bool,
    /// When it came.
    pub(crate) since_ms: i64,
    /// Since when nothing but its rows has changed.
    calm_since: i64,
}

/// The world.
pub(crate) struct Town {
    pub(crate) bank: Sandbox,
    /// The aggregators' own clock.
    pub(crate) clock: Clock,
    pub(crate) links: Vec<Link>,
    users: Vec<(UserId, Served)>,
    links_per_user: usize,
    /// Between two slots of the schedule.
    pub(crate) slot_ms: i64,
    /// The row behind each upstream id, as far as nobody could doubt it.
    pub(crate) chains: HashMap<String, u64>,
    /// Ids that the bank took away, with every while in which it did not have them, the earliest first.
    pub(crate) gone: HashMap<String, Vec<Absence>>,
    /// Ids that the bank has again and readers may not yet, and since when, by the place of their link.
    returning: HashMap<usize, HashMap<String, i64>>,
    /// Ids to which something happened that only a reconciliation shows, with the place of their link.
    pub(crate) deep: HashMap<String, usize>,
    next_word: u64,
    next_chain: u64,
    /// Bridge says which rows are gone; otherwise nothing but a whole list does.
    pub(crate) tells_deletions: bool,
    /// Who each text of a row is about, the former ones too.
    texts: HashMap<String, UserId>,
    /// Customers who are being forgotten, or may be: the order was cut off.
    forgetting: HashSet<UserId>,
    /// Those of them who are for certain.
    forgotten: HashSet<UserId>,
    /// Another credential of the same client, with which customers' own systems ask.
    others_secret: String,
}

impl Town {
    /// Builds the world of a plan.
    pub(crate) fn new(setup: &Verb, clock: Clock) -> Self {
        let bank = Sandbox::new(clock.clone(), u64::try_from(setup.number("seed")).unwrap_or(0));
        bank.settings(|s| {
            s.request_limit = Some(usize::try_from(setup.number("limit")).unwrap_or(300));
            s.bridge.application_limit = Some(usize::try_from(setup.number("application-limit")).unwrap_or(2000));
            // An aggregator that refuses a fourth refresh hides that one was asked for.
            s.refresh_limit = None;
            s.latency = std::time::Duration::from_millis(setup.number("latency-ms").unsigned_abs());
            s.oddities = setup.is("oddities");
            s.shuffled = setup.is("shuffled");
            s.bridge.deleted_rows = match setup.text("deleted") {
                "stub" => DeletedRows::Stub,
                "always" => DeletedRows::Always,
                "never" => DeletedRows::Never,
                _ => DeletedRows::Full,
            };
        });
        let others_secret = bank.add_secret(Environment::Sandbox);
        let links_per_user = usize::try_from(setup.number("links-per-user").max(1)).unwrap_or(1);
        let mut town = Self {
            bank,
            clock,
            links: Vec::new(),
            users: Vec::new(),
            links_per_user,
            slot_ms: setup.number("hours") * HOUR,
            chains: HashMap::new(),
            gone: HashMap::new(),
            returning: HashMap::new(),
            deep: HashMap::new(),
            next_word: 0,
            next_chain: 0,
            tells_deletions: setup.text("deleted") != "never",
            texts: HashMap::new(),
            forgetting: HashSet::new(),
            forgotten: HashSet::new(),
            others_secret,
        };
        for (serves, count) in [(Served::Truv, setup.number("truv")), (Served::Bridge, setup.number("bridge"))] {
            for nth in 0..count {
                let rows = setup.number("rows") * (nth % 3 + 1) / 2;
                town.add_link(serves, 1 + usize::from(nth % 2 == 0), rows, setup.number("history"));
            }
        }
        town
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Connects one more bank, of a customer who has few or of a new one.
    pub(crate) fn add_link(&mut self, serves: Served, accounts: usize, rows: i64, history_days: i64) {
        let has_room = |town: &Self, user: UserId| {
            let of_user = town.links.iter().filter(|link| link.user == user);
            of_user.clone().count() < town.links_per_user && of_user.clone().all(|link| !link.is_deleted)
        };
        let known = self.users.iter().rev().find(|(_, served)| *served == serves).copied();
        let user = match known {
            Some((user, _)) if has_room(self, user) => user,
            _ => {
                let user =
                    self.bank.change(|bank| bank.add_user_at(serves, &forgetting::external_id(self.users.len())));
                self.users.push((user, serves));
                user
            }
        };
        let id = self.bank.add_link(user, if serves == Served::Truv { "wells_fargo" } else { "another_bank" });
        let link = self.note_link(id, serves, user);
        for _ in 0..accounts {
            self.open_account(link);
        }
        for nth in 0..rows {
            let account = usize::try_from(nth).unwrap_or(0) % accounts;
            let at_ms = self.now_ms() - history_days * DAY * (rows - nth) / rows.max(1);
            self.add_row(link, account, -1_000 - nth * 37, at_ms, None);
        }
    }

    fn note_link(&mut self, id: LinkId, serves: Served, user: UserId) -> usize {
        self.links.push(Link {
            id,
            serves,
            user,
            accounts: Vec::new(),
            rows: Vec::new(),
            trouble: None,
            broken: Vec::new(),
            is_deleted: false,
            since_ms: self.now_ms(),
            calm_since: self.now_ms(),
        });
        self.links.len() - 1
    }

    fn open_account(&mut self, link: usize) {
        let currency = if self.links[link].serves == Served::Truv { "USD" } else { "EUR" };
        let nth = self.links[link].accounts.len();
        let new = NewAccount::checking(&format!("Account {nth}"), 500_000).currency(currency);
        let id = self.bank.add_account(self.links[link].id, new);
        self.links[link].accounts.push(Account { id, is_closed: false, is_shared: true });
    }

    /// Adds a row; with `pending_until` one that waits to be booked.
    fn add_row(&mut self, link: usize, account: usize, amount: i64, at_ms: i64, pending_until: Option<i64>) {
        let text = self.text(link);
        let serves = self.links[link].serves;
        let new = match (pending_until, serves) {
            (None, _) => NewTransaction::posted(amount, &text).at(instant(at_ms)),
            (Some(_), Served::Truv) => NewTransaction::pending(amount, &text).at(instant(at_ms)),
            (Some(until), Served::Bridge) => NewTransaction::future(amount, &text, instant(until)),
        };
        let has_key = self.next_word.is_multiple_of(2);
        let new = NewTransaction { external_id: has_key.then(|| format!("K{}", self.next_word)), ..new };
        let id = self.bank.add_transaction(self.links[link].accounts[account].id, new);
        self.next_chain += 1;
        self.chains.insert(id.to_string(), self.next_chain);
        let touched_ms = self.now_ms();
        self.links[link].rows.push(Row {
            id,
            account,
            chain: self.next_chain,
            is_pending: pending_until.is_some(),
            is_removed: false,
            is_renamed: false,
            transacted_ms: at_ms,
            touched_ms,
        });
    }

    /// Two words that no other row has, without digits: what tells rows apart must not be chance.
    fn text(&mut self, link: usize) -> String {
        self.next_word += 1;
        let word = |first: char| {
            let mut word = String::from(first);
            let mut rest = self.next_word;
            for _ in 0..5 {
                word.push(char::from(b'A' + u8::try_from(rest % 26).unwrap_or(0)));
                rest /= 26;
            }
            word
        };
        let text = format!("{} {}", word('K'), word('Q'));
        self.texts.insert(text.clone(), self.links[link].user);
        text
    }

    /// The place of a link that is there, by number.
    pub(crate) fn some_link(&self, verb: &Verb) -> Option<usize> {
        let there: Vec<usize> = (0..self.links.len()).filter(|at| !self.links[*at].is_deleted).collect();
        verb.pick("link", there.len()).map(|nth| there[nth])
    }

    /// Notes that something happens to a row; `true` if everything before it must have been read by now.
    fn touch(&mut self, link: usize, row: usize) -> bool {
        let now_ms = self.now_ms();
        let calm_since = self.links[link].calm_since;
        // Nothing is read while the login needs its customer.
        let read_until = self.links[link].trouble.as_ref().map_or(now_ms, |(_, since)| now_ms.min(*since));
        let published_ms = self.published_ms(link);
        let is_windowed = self.links[link].serves == Served::Truv;
        let of = &mut self.links[link].rows[row];
        // What only a reconciliation shows is not read for as long as there was none.
        // A day at least: some slots are refreshed only.
        let settled = SETTLED + 2 * self.slot_ms.max(12 * HOUR);
        let was_settled = read_until - of.touched_ms.max(calm_since) > settled
            && published_ms > of.touched_ms
            && !self.deep.contains_key(&of.id.to_string());
        of.touched_ms = now_ms;
        of.is_renamed &= !was_settled;
        if is_windowed && of.transacted_ms < now_ms - WINDOW {
            self.deep.insert(of.id.to_string(), link);
        }
        was_settled
    }

    /// Whether the last that the aggregator said of a link is that its bank is not reached.
    pub(crate) fn says_unavailable(&self, link: &Link) -> bool {
        self.bank.true_link(link.id).status == "unavailable"
    }

    /// When the aggregator read the bank last: readers see nothing of what happened since.
    fn published_ms(&self, link: usize) -> i64 {
        self.bank.change(|bank| bank.published_at(self.links[link].id)).map_or(0, Timestamp::as_millisecond)
    }

    /// Notes that the bank does not have a row under its id any more.
    fn withdraw(&mut self, link: usize, id: TransactionId, at_ms: i64) {
        self.lose(link, id, at_ms);
        if self.links[link].serves == Served::Bridge && !self.tells_deletions {
            self.deep.insert(id.to_string(), link);
        }
    }

    /// Notes that an id of a link is no longer there.
    fn lose(&mut self, link: usize, id: TransactionId, at_ms: i64) {
        self.notice_returns();
        let id = id.to_string();
        // It goes again before anybody read that it was back.
        if let Some(returning) = self.returning.get_mut(&link) {
            returning.remove(&id);
        }
        let absences = self.gone.entry(id).or_default();
        if absences.last().is_none_or(|last| last.back_at.is_some()) {
            absences.push(Absence { gone_at: at_ms, back_at: None });
        }
    }

    /// Notes that the bank has an id again.
    fn give_back(&mut self, link: usize, id: TransactionId) {
        let (id, now_ms) = (id.to_string(), self.now_ms());
        if self.is_gone(link, &id) {
            self.returning.entry(link).or_default().insert(id, now_ms);
        }
    }

    /// Whether the bank does not have an id that it had.
    fn is_gone(&self, link: usize, id: &str) -> bool {
        let last = self.gone.get(id).and_then(|absences| absences.last());
        last.is_some_and(|last| last.back_at.is_none())
            && self.returning.get(&link).is_none_or(|returning| !returning.contains_key(id))
    }

    /// Notes which ids readers have again: the aggregator has read the bank since it has them.
    pub(crate) fn notice_returns(&mut self) {
        let Self { bank, links, returning, gone, .. } = self;
        bank.change(|bank| {
            returning.retain(|link, ids| {
                let published_ms = bank.published_at(links[*link].id).map_or(0, Timestamp::as_millisecond);
                for (id, _) in ids.extract_if(|_, since| published_ms > *since) {
                    if let Some(last) = gone.get_mut(&id).and_then(|absences| absences.last_mut()) {
                        last.back_at = Some(published_ms);
                    }
                }
                !ids.is_empty()
            });
        });
    }

    /// A row has another id now. Where what came before may not have been read, nobody can know that it is the same; nor
    /// where nothing tells that its former id is gone.
    fn rename(&mut self, link: usize, row: usize, id: TransactionId) {
        let is_told = self.links[link].serves == Served::Truv || self.tells_deletions;
        let is_certain = self.touch(link, row) && is_told;
        let old = self.links[link].rows[row].id;
        if old == id {
            return;
        }
        self.withdraw(link, old, self.now_ms());
        self.links[link].rows[row].id = id;
        if is_certain {
            self.links[link].rows[row].is_renamed = true;
            self.chains.insert(id.to_string(), self.links[link].rows[row].chain);
        } else {
            self.estrange(link, row);
        }
        if self.deep.contains_key(&old.to_string()) {
            self.deep.insert(id.to_string(), link);
        }
    }

    /// Nobody can know any more that a row is the one that it was.
    fn estrange(&mut self, link: usize, row: usize) {
        self.next_chain += 1;
        let of = &mut self.links[link].rows[row];
        of.chain = self.next_chain;
        self.chains.insert(of.id.to_string(), of.chain);
    }

    /// Nothing of a link is read for a while.
    pub(crate) fn unsettle(&mut self, link: usize) {
        // Two days at most, and a day to catch up.
        self.links[link].calm_since = self.now_ms() + 2 * DAY;
    }

    /// The credential of the customers' own systems.
    pub(crate) fn others_secret(&self) -> &str {
        &self.others_secret
    }

    /// Has that credential withdrawn: a client has two at most, and while ours is replaced both are.
    pub(crate) fn withdraw_others_secret(&self) {
        self.bank.revoke_secret(&self.others_secret);
    }

    /// Gives the customers' own systems a credential again.
    pub(crate) fn renew_others_secret(&mut self) {
        self.others_secret = self.bank.add_secret(Environment::Sandbox);
    }

    /// Everything that was to be shown by a reconciliation of the links in order was, unless the aggregator has not read it
    /// itself.
    pub(crate) fn reconciled(&mut self, well: &HashSet<String>) {
        let read: Vec<bool> =
            self.links.iter().map(|link| well.contains(&link.id.to_string()) && !self.says_unavailable(link)).collect();
        self.deep.retain(|_, link| !read[*link]);
    }
}

/// An instant of the world.
pub(crate) fn instant(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Milliseconds as a span.
pub(crate) fn span(ms: i64) -> SignedDuration {
    SignedDuration::from_millis(ms)
}
