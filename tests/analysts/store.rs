//! A store that a daemon has filled over nine days, and the bank whose truth it must tell.
//!
//! Time is virtual, but it ends at the present: the queries ask SQLite what day it is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use passbook::clock::Clock;
use passbook::config::{Config, SecretReadError, SecretStore};
use passbook::daemon::{self, BuildOptions, Daemon, DaemonOptions};
use passbook::http::Transport;
use passbook::sandbox::{LinkId, NewAccount, NewTransaction, Plan, PostStyle, Sandbox, Served};
use passbook::secret::{Encryption, Sealer, StoreKey};
use passbook::store::{Access, OpenOptions, Store};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

const US: &str = "demo-us";
const EUROPE: &str = "demo-europe";
const HOUR: Duration = Duration::from_hours(1);
/// How long the daemon has been at work.
const STORY: Duration = Duration::from_hours(9 * 24);

/// What happened, for the answers to be held against.
pub(crate) struct Story {
    pub(crate) bank: Sandbox,
    pub(crate) path: PathBuf,
    /// The link whose login broke five days ago.
    pub(crate) broken: LinkId,
    /// The link whose consent ends in six days.
    pub(crate) expiring: LinkId,
    _dir: tempfile::TempDir,
}

struct Secrets(BTreeMap<&'static str, String>);

impl SecretStore for Secrets {
    fn credential(&self, name: &str) -> Result<Zeroizing<String>, SecretReadError> {
        self.0.get(name).cloned().map(Zeroizing::new).ok_or(SecretReadError::NotFound)
    }

    fn file(&self, _: &Path) -> Result<Zeroizing<String>, SecretReadError> {
        Err(SecretReadError::NotFound)
    }

    fn variable(&self, _: &str) -> Result<Zeroizing<String>, SecretReadError> {
        Err(SecretReadError::NotFound)
    }
}

struct World {
    bank: Sandbox,
    clock: Clock,
    store: Store,
    config: Config,
}

/// Lets the daemon live through it all. The runtime's time must be paused.
pub(crate) async fn story() -> Story {
    let present = Clock::system().now();
    let began = present - SignedDuration::try_from(STORY).expect("in range");
    let clock = Clock::virtual_at(began);
    let bank = Sandbox::new(clock.clone(), 5);
    bank.settings(|settings| settings.visible_immediately = true);
    let plan = Plan { links: 6, transactions_per_link: 110, days: 200, every_kind: true, ..Plan::default() };
    let american = bank.seed_world(&plan);
    let european = bank.seed_world(&Plan { links: 4, links_per_user: 2, serves: Some(Served::Bridge), ..plan.clone() });
    let dir = tempfile::tempdir().expect("a directory");
    let (store, config) = open(&bank, &clock, &dir);
    let path = config.store.path.clone();
    let world = World { bank, clock, store, config };
    let (broken, expiring) = (american[1], european[0]);
    world.live(broken, expiring, began).await;
    let bank = world.bank.clone();
    Story { bank, path, broken, expiring, _dir: dir }
}

impl World {
    async fn live(&self, broken: LinkId, expiring: LinkId, began: Timestamp) {
        let bank = &self.bank;
        let ago = |hours: i64| self.clock.now() - SignedDuration::from_hours(hours);
        let anna = bank.add_user_at(Served::Truv, "anna");
        let link = bank.add_link(anna, "stub");
        let checking = bank.add_account(link, NewAccount::checking("Everyday Checking", 250_000));
        bank.add_account(link, NewAccount::savings("Sterling", 90_000).currency("GBP"));
        // Forgotten by the bank.
        bank.add_transaction(checking, NewTransaction::pending(-9_900, "HOTEL DEPOSIT").at(ago(3 * 24)));
        let late = bank.add_transaction(checking, NewTransaction::pending(-1_250, "TAXI").at(ago(24)));
        for _ in 0..2 {
            bank.add_transaction(checking, NewTransaction::posted(-430, "COFFEE BAR").at(ago(48)));
        }
        bank.add_account(expiring, loan());
        bank.set_consent_expiry(expiring, began + SignedDuration::from_hours(9 * 24 + 6 * 24 + 12));
        bank.publish(expiring);
        self.sync().await;

        self.until_hours_before_the_end(began, 5 * 24).await;
        self.sync().await;
        bank.break_login(broken, "login_error");
        self.until_hours_before_the_end(began, 4 * 24).await;
        self.sync().await;
        bank.add_transaction(checking, NewTransaction::posted(-2_000, "BOOKSHOP"));

        self.until_hours_before_the_end(began, 24).await;
        bank.post_pending(late, PostStyle::NewIdOnly);
        self.until_hours_before_the_end(began, 23).await;
        self.sync().await;
        let current = bank.truth().link(expiring).expect("a link").accounts[0].id;
        bank.add_transaction(current, NewTransaction::future(-61_500, "PRLV SEPA LOYER", ago(-6 * 24)));
        let wrong = bank.add_transaction(checking, NewTransaction::posted(-7_700, "GROCER"));
        self.until_hours_before_the_end(began, 12).await;
        self.sync().await;
        bank.edit_transaction(wrong, Some(-7_070), None);
        self.until_hours_before_the_end(began, 1).await;
        self.sync().await;
        self.until_hours_before_the_end(began, 0).await;
    }

    async fn until_hours_before_the_end(&self, began: Timestamp, hours: u32) {
        let passed = Duration::try_from(self.clock.now().duration_since(began)).expect("forward");
        tokio::time::sleep(STORY.saturating_sub(hours * HOUR + passed)).await;
    }

    /// Syncs everything that is due, after the aggregator has read the banks.
    async fn sync(&self) {
        for link in self.bank.truth().links.iter().filter(|link| link.served == Served::Bridge) {
            self.bank.refresh_item(link.id);
        }
        let options = BuildOptions {
            store: self.store.clone(),
            clock: self.clock.clone(),
            transport: Transport::in_process(self.bank.router()),
            seed: 3,
        };
        let engine = Arc::new(daemon::build(&self.config, options).await.expect("an engine"));
        let step_deadline = self.config.schedule.sync_deadline;
        let options = DaemonOptions { workers: 4, backfill_share: 100, step_deadline, once: true };
        Daemon::new(engine, options).run(CancellationToken::new()).await.expect("the store works");
    }
}

fn loan() -> NewAccount {
    NewAccount { kind: "LOAN".to_owned(), ..NewAccount::savings("Prêt immobilier", -18_400_000).currency("EUR") }
}

fn open(bank: &Sandbox, clock: &Clock, dir: &tempfile::TempDir) -> (Store, Config) {
    let key = StoreKey::generate().expect("randomness");
    let text = format!(
        "[store]\npath = \"passbook.db\"\nkey = {{ credential = \"key\" }}\n[schedule]\nspread = \"0s\"\n\
         [[source]]\nname = \"{US}\"\naggregator = \"truv\"\nbase_url = \"http://127.0.0.1:1\"\nclient_id = \"{}\"\n\
         access_secret = {{ credential = \"truv\" }}\n\
         [[source]]\nname = \"{EUROPE}\"\naggregator = \"bridge\"\nbase_url = \"http://127.0.0.1:1\"\nclient_id = \"{}\"\n\
         client_secret = {{ credential = \"bridge\" }}\naccept_language = \"en\"\n",
        bank.truv_client_id(),
        bank.bridge_client_id()
    );
    let secrets = Secrets(BTreeMap::from([
        ("key", key.to_text().to_string()),
        ("truv", bank.truv_secret()),
        ("bridge", bank.bridge_client_secret()),
    ]));
    let config = Config::parse(&text, &dir.path().join("passbook.toml"), &secrets).expect("a good config");
    let store = Store::open(OpenOptions {
        path: &config.store.path,
        sealer: Sealer::new(key),
        encryption: Encryption::Secrets,
        keep_raw: true,
        access: Access::Create,
        now: clock.now(),
    })
    .expect("a store");
    (store, config)
}
