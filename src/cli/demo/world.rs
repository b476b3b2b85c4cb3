//! The demo's bank: customers in the US whom Truv serves, customers in Europe whom Bridge serves, and what makes them worth
//! a look.

use std::path::Path;
use std::time::Duration;

use jiff::SignedDuration;

use super::home::Home;
use crate::cli::sandbox::load;
use crate::clock::Clock;
use crate::sandbox::{LinkId, LivingPlan, NewAccount, NewStock, Pace, Plan, Sandbox, Served};

/// The source of Truv's customers.
pub(super) const US: &str = "demo-us";
/// The source of Bridge's customers.
pub(super) const EUROPE: &str = "demo-europe";
/// How often the demo's Bridge reads the banks by itself; the real one does once or twice a day.
const EUROPE_REFRESHED_EVERY: Duration = Duration::from_mins(1);
/// When one customer's consent ends: near enough for a warning.
const CONSENT_LASTS: SignedDuration = SignedDuration::from_hours(6 * 24 + 12);

/// How many links each aggregator has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Made {
    pub(super) us: u64,
    pub(super) europe: u64,
}

/// Makes the bank; a data set's customers are all Truv's.
pub(super) fn make(dataset: Option<&Path>, links: usize, transactions: usize) -> anyhow::Result<(Sandbox, Made)> {
    let bank = Sandbox::new(Clock::system(), 1);
    bank.settings(|settings| {
        settings.request_limit = None;
        settings.refresh_limit = None;
        settings.visible_immediately = true;
        settings.pace = Pace { full_parse: Duration::from_secs(1), ..Pace::instant() };
        settings.bridge.application_limit = None;
        settings.bridge.user_limit = None;
        settings.bridge.token_limit = None;
    });
    if let Some(path) = dataset {
        let us = load(&bank, path)?;
        return Ok((bank, Made { us, europe: 0 }));
    }
    let plan = Plan { transactions_per_link: transactions, ..Plan::default() };
    bank.seed_world(&Plan { links: links.div_ceil(2), ..plan.clone() });
    let europe = bank.seed_world(&Plan { links: links / 2, links_per_user: 2, serves: Some(Served::Bridge), ..plan });
    if let Some(first) = europe.first() {
        decorate(&bank, *first);
    }
    Ok((bank, Made { us: links.div_ceil(2) as u64, europe: europe.len() as u64 }))
}

/// Sets the bank in motion, and lets it announce what happens.
pub(super) fn set_in_motion(bank: &Sandbox, home: &Home) {
    bank.set_truv_webhook(&home.webhooks(US));
    bank.settings(|settings| settings.bridge.refresh_every = Some(EUROPE_REFRESHED_EVERY));
    bank.live(LivingPlan { break_login_one_in: 9, heal_one_in: 60, ..LivingPlan::default() });
}

/// Gives one European customer what the others lack: securities, a loan, an account that is not shared, a consent near its
/// end. None of it brings transactions.
fn decorate(bank: &Sandbox, link: LinkId) {
    let account = |kind: &str, name: &str, opening_minor: i64| NewAccount {
        kind: kind.to_owned(),
        ..NewAccount::savings(name, opening_minor).currency("EUR")
    };
    bank.add_account(link, account("LOAN", "Prêt immobilier", -18_400_000));
    let hidden = bank.add_account(link, account("CHECKING", "Compte professionnel", 1_245_000));
    bank.set_business(hidden, true);
    bank.set_data_access(hidden, false);
    let securities = bank.add_account(link, account("INVESTMENT", "Compte titres", 911_750));
    for (label, isin, ticker, quantity_thousandths, price_minor, cost_minor) in [
        ("Air Liquide", "FR0000120073", "AI", 25_000, 17_830, 15_112),
        ("TotalEnergies", "FR0000120271", "TTE", 60_000, 5_750, 6_104),
        ("Amundi MSCI World", "LU1681043599", "CW8", 2_000, 60_500, 48_075),
    ] {
        let (label, isin, ticker) = (label.to_owned(), isin.to_owned(), ticker.to_owned());
        bank.add_stock(securities, NewStock { label, isin, ticker, quantity_thousandths, price_minor, cost_minor });
    }
    bank.set_consent_expiry(link, bank.now() + CONSENT_LASTS);
    bank.publish(link);
}
