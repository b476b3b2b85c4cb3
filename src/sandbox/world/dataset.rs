//! Loads a world from a CSV of real transactions.
//!
//! Columns, in any order: `transaction_id, account_id, date, amount, currency, description, counterparty,
//! balance_after`. Dates are moved so that the last one is today; amounts, currency and texts stay.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

use super::{Bank, DEMO_BANK, Detail, FOREVER, NewAccount, Owner, Row, Served, Status};
use crate::clock::DAY_MS;
use crate::money::MAX_MINOR;
use crate::sandbox::id::LinkId;
use jiff::civil::Date;

const TEST_BANK: &str = "truv_bank";

/// How a data set becomes a world.
#[derive(Clone, Debug)]
pub struct DatasetOptions {
    /// How many accounts share a link; at least 1.
    pub accounts_per_link: usize,
    /// The institution of all links; for Bridge's customers, the default is its Demo Bank.
    pub institution: String,
    /// Whose customers they are; `None` is the sandbox's setting.
    pub serves: Option<Served>,
    /// The last date in the file becomes today; otherwise dates stay.
    pub shift_to_today: bool,
}

impl Default for DatasetOptions {
    fn default() -> Self {
        Self { accounts_per_link: 2, institution: TEST_BANK.to_owned(), serves: None, shift_to_today: true }
    }
}

/// A data set that cannot be loaded; nothing of it was kept.
#[derive(Debug, thiserror::Error)]
#[error("data set, line {line}: {problem}")]
pub struct DatasetError {
    /// Line in the file, the header being line 1.
    pub line: u64,
    /// What is wrong there.
    pub problem: DatasetProblem,
}

/// What is wrong with a line of a data set.
#[derive(Debug, thiserror::Error)]
pub enum DatasetProblem {
    /// The file cannot be read, or is not CSV.
    #[error(transparent)]
    Csv(#[from] csv::Error),
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The header lacks a column.
    #[error("no column `{0}`")]
    NoColumn(&'static str),
    /// A date is not `YYYY-MM-DD`.
    #[error("`{0}` is not a date")]
    Date(String),
    /// An amount or balance is not a decimal with at most two digits, or larger than any.
    #[error("`{0}` is not an amount")]
    Amount(String),
    /// An identifier is empty.
    #[error("`{0}` is empty")]
    Empty(&'static str),
    /// A transaction came before.
    #[error("transaction `{0}` came before")]
    Duplicate(String),
}

/// What was loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// The new links.
    pub links: Vec<LinkId>,
    /// How many accounts.
    pub accounts: usize,
    /// How many transactions.
    pub transactions: usize,
    /// Accounts whose rows do not lead from an opening balance to the last `balance_after`, as when the bank rounded.
    ///
    /// Their balance is the opening balance plus the rows all the same.
    pub unbalanced_accounts: usize,
    /// How far the worst of them is off, in minor units.
    pub worst_drift_minor: i64,
}

struct Entry {
    external_id: String,
    day: i64,
    amount_minor: i64,
    detail: Arc<Detail>,
    balance_after_minor: i64,
}

struct Holding {
    currency: String,
    entries: Vec<Entry>,
}

const COLUMNS: [&str; 8] =
    ["transaction_id", "account_id", "date", "amount", "currency", "description", "counterparty", "balance_after"];

impl Bank {
    /// Loads a CSV, plain or gzip, and publishes the new links.
    ///
    /// Errors: the first bad line, with its reason; the bank is then unchanged.
    pub fn load_dataset(&mut self, reader: impl Read, options: &DatasetOptions) -> Result<Loaded, DatasetError> {
        let holdings = read(reader)?;
        let last_day = holdings.iter().flat_map(|h| h.entries.iter().map(|e| e.day)).max().unwrap_or(0);
        let today = self.now_ms.div_euclid(DAY_MS);
        let shift = if options.shift_to_today { today - last_day } else { 0 };
        let mut loaded = Loaded::default();
        let owner = options.serves.unwrap_or(self.serves).owner();
        let institution = match owner {
            Owner::Bridge(_) if options.institution == TEST_BANK => DEMO_BANK.to_string(),
            Owner::Truv(_) | Owner::Bridge(_) => options.institution.clone(),
        };
        for group in holdings.chunks(options.accounts_per_link.max(1)) {
            let external_id = format!("customer-{:05}", self.users.len() + 1);
            let user = self.insert_user(owner, Some(external_id), None, None);
            let link = self.insert_link(user, &institution);
            for holding in group {
                self.hold(link, holding, shift, &mut loaded);
            }
            let rows = &mut self.links[link].rows;
            rows.sort_by_key(|row| (row.transacted_ms, !row.id));
            self.publish_at(link);
            loaded.links.push(LinkId(self.links[link].id));
        }
        Ok(loaded)
    }

    fn hold(&mut self, link: usize, holding: &Holding, shift: i64, loaded: &mut Loaded) {
        let opening_minor = opening(&holding.entries);
        let new = NewAccount { currency: holding.currency.clone(), ..NewAccount::checking("Current", opening_minor) };
        let account = self.insert_account(link, new);
        let last = holding.entries.iter().map(|entry| entry.day).max().unwrap_or(0);
        for entry in &holding.entries {
            // Civil dates become noon UTC; what would be later than now is now.
            let at_ms = ((entry.day + shift) * DAY_MS + DAY_MS / 2).min(self.now_ms);
            let row = Row {
                id: self.issue_transaction(link),
                since: 0,
                until: FOREVER,
                amount_minor: entry.amount_minor,
                transacted_ms: at_ms,
                posted_ms: Some(at_ms),
                created_ms: at_ms,
                updated_ms: at_ms,
                external_id: Some(entry.external_id.as_str().into()),
                detail: Arc::clone(&entry.detail),
                check_number: None,
                account: u16::try_from(account).unwrap_or(0),
                status: Status::Posted,
            };
            self.insert_row(link, row);
        }
        let booked = self.links[link].accounts[account].booked_minor;
        let ends = holding.entries.iter().filter(|entry| entry.day == last);
        let drift_minor = ends.map(|entry| (entry.balance_after_minor - booked).abs()).min().unwrap_or(0);
        loaded.unbalanced_accounts += usize::from(drift_minor != 0);
        loaded.worst_drift_minor = loaded.worst_drift_minor.max(drift_minor);
        loaded.accounts += 1;
        loaded.transactions += holding.entries.len();
    }
}

/// The balance before the first row. Rows of one day may come in any order: the first is the one no other leads to.
fn opening(entries: &[Entry]) -> i64 {
    let first_day = entries.iter().map(|entry| entry.day).min();
    let day: Vec<&Entry> = entries.iter().filter(|entry| Some(entry.day) == first_day).collect();
    let before = |entry: &Entry| entry.balance_after_minor - entry.amount_minor;
    let mut starts = day.iter().filter(|entry| day.iter().all(|other| other.balance_after_minor != before(entry)));
    starts.next().or(day.first()).map_or(0, |entry| before(entry))
}

fn read(reader: impl Read) -> Result<Vec<Holding>, DatasetError> {
    let at = |line: u64| move |problem: DatasetProblem| DatasetError { line, problem };
    let mut input = BufReader::new(reader);
    let is_gzip = input.fill_buf().map_err(|e| at(1)(e.into()))?.starts_with(&[0x1f, 0x8b]);
    let plain: Box<dyn Read + '_> =
        if is_gzip { Box::new(flate2::bufread::MultiGzDecoder::new(input)) } else { Box::new(input) };
    let mut table = csv::Reader::from_reader(plain);
    let header = table.headers().map_err(|e| at(1)(e.into()))?.clone();
    let mut places = [0; COLUMNS.len()];
    for (place, name) in places.iter_mut().zip(COLUMNS) {
        let found = header.iter().position(|column| column.trim() == name);
        *place = found.ok_or_else(|| at(1)(DatasetProblem::NoColumn(name)))?;
    }
    let mut holdings: Vec<Holding> = Vec::new();
    let mut index: HashMap<String, usize> = HashMap::new();
    let mut details: HashMap<(String, String), Arc<Detail>> = HashMap::new();
    let mut seen = std::collections::HashSet::new();
    let mut record = csv::StringRecord::new();
    loop {
        let line = table.position().line();
        if !table.read_record(&mut record).map_err(|e| at(e.position().map_or(line, csv::Position::line))(e.into()))? {
            return Ok(holdings);
        }
        let line = record.position().map_or(line, csv::Position::line);
        let [id, account, date, amount, currency, description, counterparty, balance_after] =
            places.map(|place| record.get(place).unwrap_or_default().trim());
        for (name, value) in [("transaction_id", id), ("account_id", account), ("currency", currency)] {
            if value.is_empty() {
                return Err(at(line)(DatasetProblem::Empty(name)));
            }
        }
        if !seen.insert(id.to_owned()) {
            return Err(at(line)(DatasetProblem::Duplicate(id.to_owned())));
        }
        let day: Date = date.parse().map_err(|_| at(line)(DatasetProblem::Date(date.to_owned())))?;
        let minor = |text: &str| minor(text).ok_or_else(|| at(line)(DatasetProblem::Amount(text.to_owned())));
        let shared = details.entry((description.to_owned(), counterparty.to_owned())).or_insert_with(|| {
            Arc::new(Detail {
                description: description.to_owned(),
                memo: (!counterparty.is_empty()).then(|| counterparty.to_owned()),
                ..Detail::default()
            })
        });
        let entry = Entry {
            external_id: id.to_owned(),
            day: day_number(day),
            amount_minor: minor(amount)?,
            detail: Arc::clone(shared),
            balance_after_minor: minor(balance_after)?,
        };
        let holding = *index.entry(account.to_owned()).or_insert_with(|| {
            holdings.push(Holding { currency: currency.to_owned(), entries: Vec::new() });
            holdings.len() - 1
        });
        holdings[holding].entries.push(entry);
    }
}

/// Days since 1970-01-01.
fn day_number(date: Date) -> i64 {
    let midnight = date.to_datetime(jiff::civil::Time::midnight()).to_zoned(jiff::tz::TimeZone::UTC);
    midnight.map_or(0, |zoned| zoned.timestamp().as_second().div_euclid(DAY_MS / 1000))
}

/// Reads a decimal text with at most two digits after the point.
fn minor(text: &str) -> Option<i64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || fraction.len() > 2 || !plain(whole) || !plain(fraction) {
        return None;
    }
    let cents: i64 = format!("{fraction:0<2}").parse().ok()?;
    let value = whole.parse::<i64>().ok()?.checked_mul(100)?.checked_add(cents)?;
    if value > MAX_MINOR {
        return None;
    }
    Some(if negative { -value } else { value })
}
