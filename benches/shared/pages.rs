//! Pages of transactions as an aggregator's answers become them, drawn from a seed.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use passbook::aggregator::TransactionPage;
use passbook::model::{AccountRecord, Status, TransactionRecord};
use passbook::money::Currency;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use xxhash_rust::xxh3::xxh3_64;

/// Rows of a page.
pub(crate) const PAGE_ROWS: usize = 500;
/// Pages of a link: two accounts of a thousand rows each, as their histories lie in one list.
pub(crate) const PAGES_PER_LINK: usize = 4;
const ACCOUNTS_PER_LINK: usize = 2;
/// Seconds from one row of a link to the next older one.
const ROW_STEP_SECONDS: i64 = 15_000;
/// The newest rows of a link, which have not posted.
const PENDING_ROWS: usize = 6;

const MERCHANTS: [(&str, &str, &str, &str); 6] = [
    ("Blue Bottle Coffee", "POS PURCHASE BLUE BOTTLE COFFEE #0412 OAKLAND CA", "Food and Drink > Coffee", "5814"),
    ("Trader Joe's", "TRADER JOE'S #552 QPS SEATTLE WA CARD 4411", "Shops > Groceries", "5411"),
    ("Shell", "SHELL OIL 57444183309 PORTLAND OR", "Travel > Gas Stations", "5541"),
    ("Netflix", "NETFLIX.COM 866-579-7172 CA RECURRING", "Service > Subscription", "4899"),
    ("City Power and Light", "CITY POWER AND LIGHT WEB PMT 00172934", "Service > Utilities", "4900"),
    ("Corner Pharmacy", "CORNER PHARMACY 1189 DENVER CO", "Healthcare > Pharmacies", "5912"),
];

/// One link's accounts and its whole history, newest first, page by page.
pub(crate) fn pages_of_link(link: usize, now: Timestamp) -> Vec<TransactionPage> {
    let mut rng = StdRng::seed_from_u64(u64::try_from(link).unwrap_or(0));
    let accounts: Vec<AccountRecord> = (0..ACCOUNTS_PER_LINK).map(|_| account(&mut rng)).collect();
    let total = PAGES_PER_LINK * PAGE_ROWS;
    (0..PAGES_PER_LINK)
        .map(|page| TransactionPage {
            accounts: accounts.clone(),
            rows: (page * PAGE_ROWS..(page + 1) * PAGE_ROWS).map(|nth| row(&mut rng, &accounts, nth, now)).collect(),
            total: u64::try_from(total).ok(),
            ..TransactionPage::default()
        })
        .collect()
}

/// A page again: records do not implement `Clone` as a page, because the program never needs one twice.
pub(crate) fn copy_of(page: &TransactionPage) -> TransactionPage {
    TransactionPage {
        accounts: page.accounts.clone(),
        rows: page.rows.clone(),
        rejected: page.rejected.clone(),
        total: page.total,
        ..TransactionPage::default()
    }
}

fn hex_id(rng: &mut StdRng) -> String {
    format!("{:032x}", rng.random::<u128>())
}

fn account(rng: &mut StdRng) -> AccountRecord {
    AccountRecord {
        upstream_id: hex_id(rng),
        kind: Some("CHECKING".to_owned()),
        name: Some("Everyday Checking".to_owned()),
        mask: Some("4411".to_owned()),
        currency: Some(Currency::USD),
        is_open: Some(true),
        ..AccountRecord::default()
    }
}

fn row(rng: &mut StdRng, accounts: &[AccountRecord], nth: usize, now: Timestamp) -> TransactionRecord {
    let (merchant, description, category, code) = MERCHANTS[rng.random_range(0..MERCHANTS.len())];
    let account = &accounts[rng.random_range(0..accounts.len())].upstream_id;
    let age = SignedDuration::from_secs(i64::try_from(nth).unwrap_or(0) * ROW_STEP_SECONDS);
    let transacted_at = now.saturating_sub(age).unwrap_or(now);
    let transacted_on = transacted_at.to_zoned(TimeZone::UTC).date();
    let is_posted = nth >= PENDING_ROWS;
    let posted_at = is_posted.then(|| transacted_at.saturating_add(SignedDuration::from_hours(20)).unwrap_or(now));
    let word = if is_posted { "POSTED" } else { "PENDING" };
    let cents: i64 = rng.random_range(100..20_000);
    let upstream_id = hex_id(rng);
    let external_id = hex_id(rng);
    let raw = format!(
        r#"{{"id":"{upstream_id}","external_id":"{external_id}","account_id":"{account}","amount":"{}.{:02}","currency_code":"USD","check_number":null,"categories":["{category}"],"description":"{description}","merchant_name":"{merchant}","merchant_category_code":"{code}","status":"{word}","type":"DEBIT","posted_at":"{transacted_at}","transacted_at":"{transacted_at}","created_at":"{transacted_at}","updated_at":"{transacted_at}","memo":null,"location":{{"latitude":"40.7","longitude":"-73.9"}}}}"#,
        cents / 100,
        cents % 100,
    );
    TransactionRecord {
        upstream_account_id: account.clone(),
        external_id: Some(external_id),
        status: if is_posted { Status::Posted } else { Status::Pending },
        amount_minor: -cents,
        memo_minor: None,
        currency: Currency::USD,
        transacted_at: Some(transacted_at),
        transacted_on,
        posted_at,
        posted_on: posted_at.map(|at| at.to_zoned(TimeZone::UTC).date()),
        description: description.to_owned(),
        clean_description: None,
        merchant: Some(merchant.to_owned()),
        category: Some(category.to_owned()),
        upstream_category_id: None,
        merchant_code: Some(code.to_owned()),
        check_number: None,
        memo: None,
        latitude: Some("40.7".to_owned()),
        longitude: Some("-73.9".to_owned()),
        operation_type: None,
        upstream_status: Some(word.to_owned()),
        upstream_updated_at: None,
        is_obfuscated: false,
        content_hash: xxh3_64(raw.as_bytes()).cast_signed(),
        upstream_id,
        raw,
    }
}
