//! A bank, a store and a daemon in one process and in virtual time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use jiff::Timestamp;
use passbook::clock::Clock;
use passbook::config::{Config, SecretReadError, SecretStore};
use passbook::daemon::{self, BuildOptions, Daemon, DaemonOptions};
use passbook::http::Transport;
use passbook::model::Cause;
use passbook::sandbox::{Environment, LinkId, Sandbox, Served, Status as TrueStatus, TrueTransaction};
use passbook::secret::{Encryption, Sealer, StoreKey};
use passbook::store::{Access, OpenOptions, Store, StoreError};
use passbook::sync::{Engine, Step, SyncReport};
use rusqlite::types::ValueRef;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use zeroize::Zeroizing;

/// When the virtual world begins: a Monday noon, away from every clock change.
pub(crate) const START: &str = "2026-03-02T12:00:00Z";

/// A bank, a store and everything between them.
pub(crate) struct Bench {
    pub(crate) bank: Sandbox,
    pub(crate) clock: Clock,
    /// The aggregator's own clock.
    pub(crate) bank_clock: Clock,
    pub(crate) store: Store,
    /// The source's secret.
    pub(crate) secret: String,
    pub(crate) serves: Served,
    pub(crate) config: Config,
    key: StoreKey,
    dir: tempfile::TempDir,
}

struct Secrets {
    key: String,
    secret: String,
}

impl SecretStore for Secrets {
    fn credential(&self, name: &str) -> Result<Zeroizing<String>, SecretReadError> {
        match name {
            "store-key" => Ok(Zeroizing::new(self.key.clone())),
            "secret" => Ok(Zeroizing::new(self.secret.clone())),
            _ => Err(SecretReadError::NotFound),
        }
    }

    fn file(&self, _: &Path) -> Result<Zeroizing<String>, SecretReadError> {
        Err(SecretReadError::NotFound)
    }

    fn variable(&self, _: &str) -> Result<Zeroizing<String>, SecretReadError> {
        Err(SecretReadError::NotFound)
    }
}

impl Bench {
    /// An empty bank and an empty store.
    pub(crate) fn new() -> Self {
        Self::with("")
    }

    /// The same with more lines in the `[[source]]`, and tables after it.
    pub(crate) fn with(source_lines: &str) -> Self {
        Self::made(Served::Truv, source_lines, Sandbox::truv_secret)
    }

    /// The same with a public side at `http://127.0.0.1:8780`, that nobody listens at: its router is asked in the process.
    pub(crate) fn with_public_side(serves: Served, source_lines: &str) -> Self {
        let sides = "[server]\npublic_listen = \"127.0.0.1:8780\"\npublic_url = \"http://127.0.0.1:8780\"\n";
        Self::at(serves, &format!("{source_lines}{sides}"))
    }

    /// The same at either aggregator.
    pub(crate) fn at(serves: Served, source_lines: &str) -> Self {
        match serves {
            Served::Truv => Self::made(serves, source_lines, Sandbox::truv_secret),
            Served::Bridge => Self::made(serves, source_lines, Sandbox::bridge_client_secret),
        }
    }

    /// The same where changes of the bank show without refreshes, and none are asked for.
    pub(crate) fn pulling(serves: Served, source_lines: &str) -> Self {
        let refreshes = match serves {
            Served::Truv => "refreshes_per_day = 0\n",
            Served::Bridge => "",
        };
        let bench = Self::at(serves, &format!("{refreshes}{source_lines}"));
        bench.bank.settings(|s| s.visible_immediately = true);
        bench
    }

    /// The same with a secret of the development environment, whose successful tasks are capped.
    pub(crate) fn in_development(source_lines: &str) -> Self {
        Self::made(Served::Truv, source_lines, |bank| bank.add_secret(Environment::Dev))
    }

    /// The same with everything in a directory of the caller's.
    pub(crate) fn within(dir: tempfile::TempDir, source_lines: &str) -> Self {
        Self::made_in(dir, Served::Truv, source_lines, Sandbox::truv_secret)
    }

    fn made(serves: Served, source_lines: &str, secret_of: impl FnOnce(&Sandbox) -> String) -> Self {
        Self::made_in(scratch(), serves, source_lines, secret_of)
    }

    fn made_in(
        dir: tempfile::TempDir,
        serves: Served,
        source_lines: &str,
        secret_of: impl FnOnce(&Sandbox) -> String,
    ) -> Self {
        let clock = Clock::virtual_at(START.parse().expect("an instant"));
        let bank_clock = Clock::virtual_at(START.parse().expect("an instant"));
        let bank = Sandbox::new(bank_clock.clone(), 7);
        bank.settings(|settings| settings.serves = serves);
        let secret = secret_of(&bank);
        let key = StoreKey::generate().expect("randomness");
        let (word, client_id, secret_key) = match serves {
            Served::Truv => ("truv", bank.truv_client_id(), "access_secret"),
            Served::Bridge => ("bridge", bank.bridge_client_id(), "client_secret"),
        };
        let text = format!(
            "[store]\npath = \"passbook.db\"\nkey = {{ credential = \"store-key\" }}\n[[source]]\nname = \"{word}\"\n\
             aggregator = \"{word}\"\nbase_url = \"http://127.0.0.1:1\"\nclient_id = \"{client_id}\"\n\
             {secret_key} = {{ credential = \"secret\" }}\n{source_lines}\n",
        );
        let secrets = Secrets { key: key.to_text().to_string(), secret: secret.clone() };
        let config = Config::parse(&text, &dir.path().join("passbook.toml"), &secrets).expect("a good config");
        let store = open(&config.store.path, &key, &clock).expect("a new store");
        Self { bank, clock, bank_clock, store, secret, serves, config, key, dir }
    }

    /// The store's file.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("passbook.db")
    }

    /// What the operator configured.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// An engine on the present store, as a process that has just started has one.
    pub(crate) async fn engine(&self) -> Arc<Engine> {
        let options = BuildOptions {
            store: self.store.clone(),
            clock: self.clock.clone(),
            transport: Transport::in_process(self.bank.router()),
            seed: 11,
        };
        Arc::new(daemon::build(&self.config, options).await.expect("an engine"))
    }

    /// How the daemon works in these tests.
    pub(crate) fn options(&self, once: bool) -> DaemonOptions {
        DaemonOptions { workers: 4, backfill_share: 50, step_deadline: self.config.schedule.sync_deadline, once }
    }

    /// Syncs everything that is due and returns how each sync ended.
    pub(crate) async fn run_once(&self) -> Vec<SyncReport> {
        self.try_run_once().await.expect("the store works")
    }

    /// The same where the store may not work.
    pub(crate) async fn try_run_once(&self) -> Result<Vec<SyncReport>, StoreError> {
        let (events, mut seen) = tokio::sync::mpsc::unbounded_channel();
        let daemon = Daemon::new(self.engine().await, self.options(true)).watched_by(events);
        daemon.run(CancellationToken::new()).await?;
        let mut reports = Vec::new();
        while let Some(event) = seen.recv().await {
            if let daemon::Event::Stepped { step: Step::Ended(ended), .. } = event {
                reports.extend(ended);
            }
        }
        Ok(reports)
    }

    /// Lets the daemon run for a stretch of virtual time and stops it.
    pub(crate) async fn run_for(&self, duration: Duration) {
        let stop = CancellationToken::new();
        let daemon = Daemon::new(self.engine().await, self.options(false));
        let run = daemon.run(stop.clone());
        let timer = async {
            tokio::time::sleep(duration).await;
            stop.cancel();
        };
        let (result, ()) = tokio::join!(run, timer);
        result.expect("the store works");
    }

    /// Runs a daemon as `once` says and kills it after a stretch of virtual time: nothing of it gets to tidy up.
    ///
    /// Shape: whether it was still running.
    pub(crate) async fn run_and_kill(&self, once: bool, after: Duration) -> bool {
        let daemon = Daemon::new(self.engine().await, self.options(once));
        let ended = tokio::time::timeout(after, daemon.run(CancellationToken::new())).await;
        // What was already on its way to the store gets there, as it would after a kill at a slightly later instant.
        self.store.read(|_| Ok(())).await.expect("the store works");
        self.store.write(|_| Ok(())).await.expect("the store works");
        ended.is_err()
    }

    /// Makes links due now for a cause.
    pub(crate) async fn ask(&self, links: &[LinkId], cause: Cause, full: bool) {
        let now = self.clock.now();
        let ids: Vec<String> = links.iter().map(ToString::to_string).collect();
        self.store
            .write(move |txn| {
                for id in &ids {
                    let link_id = txn.link_by_upstream_id(id)?.expect("a stored link");
                    txn.ask_for_sync(link_id, cause, full, now)?;
                }
                Ok(())
            })
            .await
            .expect("the store works");
    }

    /// Lets the customer of a link log in again, as through the widget in update mode.
    pub(crate) async fn reconnect(&self, link: LinkId) {
        let truth = self.bank.truth();
        let link = truth.link(link).expect("a link").clone();
        let body = json!({ "product_type": "transactions", "access_token": link.access_token });
        let path = format!("/v1/users/{}/tokens/", link.user_upstream_id);
        let bridge = self.post(&path, &body).await;
        let login = json!({
            "bridge_token": bridge["bridge_token"], "username": "goodlogin", "password": "goodpassword",
        });
        let done = self.post("/sandbox/connect", &login).await;
        assert_eq!(done["link_id"], json!(link.upstream_id), "{done}");
    }

    /// Asks the aggregator for something with our credential, as somebody else would.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Value {
        self.send("POST", path, body).await
    }

    /// The same with another method.
    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Value {
        self.send("PATCH", path, body).await
    }

    async fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("x-access-client-id", self.bank.truv_client_id())
            .header("x-access-secret", &self.secret)
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .expect("a request");
        let response = self.bank.router().oneshot(request).await.expect("the router never fails");
        let bytes = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
        serde_json::from_slice(&bytes).expect("JSON")
    }

    /// Lets time pass with no daemon.
    pub(crate) async fn pass(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    /// Lets time pass until a daemon with so many busy jobs is in the middle of a sync.
    pub(crate) async fn until_a_sync_runs(&self, busy: &AtomicUsize) {
        let open = "SELECT count(*) FROM syncs WHERE finished_at IS NULL";
        while self.value(open) == "0" || busy.load(Ordering::Relaxed) == 0 {
            self.pass(Duration::from_secs(1)).await;
        }
    }

    /// Makes every link due now, as a person would, and syncs.
    pub(crate) async fn sync_all(&self, full: bool) -> Vec<SyncReport> {
        let now = self.clock.now();
        let ids: Vec<i64> = self.rows("SELECT link_id FROM links").iter().map(|r| r[0].parse().expect("id")).collect();
        self.store
            .write(move |txn| {
                for id in ids {
                    txn.ask_for_sync(id, passbook::model::Cause::Person, full, now)?;
                }
                Ok(())
            })
            .await
            .expect("the store works");
        self.run_once().await
    }

    /// Our id of a link, which depends on who was discovered first.
    pub(crate) fn link_id(&self, link: LinkId) -> i64 {
        self.value(&format!("SELECT link_id FROM links WHERE upstream_id = '{link}'")).parse().expect("a number")
    }

    /// The states of links, in the order of `links`.
    pub(crate) fn states(&self, links: &[LinkId]) -> Vec<String> {
        let state = |link: &LinkId| format!("SELECT state FROM v_link_health WHERE upstream_link_id = '{link}'");
        links.iter().map(|link| self.value(&state(link))).collect()
    }

    /// Closes the store as a killed process would and opens it again.
    pub(crate) fn reopen(&mut self) {
        self.store = open(&self.path(), &self.key, &self.clock).expect("the store opens again");
    }

    /// What a query answers, every value as text.
    #[expect(clippy::disallowed_methods, reason = "the tests read as an analyst does, with a connection of their own")]
    pub(crate) fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let connection = rusqlite::Connection::open_with_flags(self.path(), flags).expect("a reader");
        let mut statement = connection.prepare(sql).expect(sql);
        let columns = statement.column_count();
        let mut rows = statement.query([]).expect(sql);
        let mut answer = Vec::new();
        while let Some(row) = rows.next().expect(sql) {
            answer.push((0..columns).map(|i| text(row.get_ref(i).expect("a value"))).collect());
        }
        answer
    }

    /// Everything that two runs over the same bank must agree on, in one order: no ids of ours, no instants of theirs.
    pub(crate) fn dump(&self) -> String {
        let parts = [
            "SELECT upstream_link_id, state, attention, consecutive_failures FROM v_link_health",
            "SELECT l.upstream_id, a.upstream_id, a.kind, a.subtype, a.name, a.mask, a.currency, a.is_open, a.missing_at IS NULL
             FROM accounts a JOIN links l USING (link_id)",
            "SELECT a.upstream_id, network, position, is_tokenized FROM account_numbers JOIN accounts a USING (account_id)",
            "SELECT upstream_account_id, current_minor, available_minor, credit_limit_minor FROM v_accounts",
            "SELECT upstream_account_id, v.upstream_id, v.posted_on, v.transacted_on, v.amount_minor, v.currency, v.status,
                    v.description, v.category, v.merchant, t.external_id, t.transacted_at, t.posted_at, t.content_hash
             FROM v_transactions v JOIN transactions t USING (transaction_id)",
            "SELECT t.upstream_id, group_concat(kind) FROM (SELECT * FROM transaction_changes ORDER BY change_id)
             JOIN transactions t USING (transaction_id) GROUP BY transaction_id",
            "SELECT t.upstream_id, x.upstream_id, x.rule FROM transaction_aliases x JOIN transactions t USING (transaction_id)",
            "SELECT l.upstream_id, r.outcome FROM refreshes r JOIN links l USING (link_id)
             WHERE r.outcome NOT IN ('not_sent', 'throttled')",
        ];
        let mut lines = Vec::new();
        for sql in parts {
            let mut rows: Vec<String> = self.rows(sql).iter().map(|row| row.join(" | ")).collect();
            rows.sort();
            lines.append(&mut rows);
            lines.push("--".to_owned());
        }
        lines.join("\n")
    }

    /// The store's key.
    pub(crate) fn key(&self) -> &StoreKey {
        &self.key
    }

    /// Opens the store with another key, as after a mistake in the configuration.
    pub(crate) fn open_with_another_key(&self) -> Result<Store, passbook::store::OpenError> {
        open(&self.path(), &StoreKey::generate().expect("randomness"), &self.clock)
    }

    /// Opens the store at another path with the right key.
    pub(crate) fn open_at(&self, path: &Path) -> Result<Store, passbook::store::OpenError> {
        open(path, &self.key, &self.clock)
    }

    /// The one value that a query answers.
    pub(crate) fn value(&self, sql: &str) -> String {
        let rows = self.rows(sql);
        assert_eq!(rows.len(), 1, "{sql}: {rows:?}");
        rows[0][0].clone()
    }

    /// Fails unless the store's live rows, accounts and balances are exactly what the bank serves.
    pub(crate) fn assert_store_is_truth(&self) {
        let mut truth: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut balances = BTreeMap::new();
        for link in self.bank.served().links.iter().filter(|link| link.deleted_at.is_none()) {
            for t in &link.transactions {
                let mut row = vec![link.upstream_id.clone(), t.account_upstream_id.clone()];
                row.extend(self.true_values(t));
                truth.insert(t.upstream_id.clone(), row);
            }
            for account in link.accounts.iter().filter(|account| account.data_access) {
                balances.insert(account.upstream_id.clone(), account.balance_minor.to_string());
            }
        }
        let stored: BTreeMap<String, Vec<String>> = self
            .rows(
                "SELECT v.upstream_id, v.upstream_link_id, v.upstream_account_id, v.amount_minor, v.currency, v.status,
                        t.transacted_at, v.transacted_on, v.posted_on, v.description, v.operation_type, t.upstream_category_id
                 FROM v_transactions v JOIN transactions t USING (transaction_id) JOIN accounts a ON a.account_id = v.account_id
                 JOIN links l ON l.link_id = v.link_id
                 WHERE l.removed_at IS NULL AND a.missing_at IS NULL AND a.is_shared IS NOT 0",
            )
            .into_iter()
            .map(|mut row| (row.remove(0), row))
            .collect();
        assert_eq!(
            difference(&truth, &stored),
            Vec::<String>::new(),
            "transactions: bank on the left, store on the right"
        );
        let stored: BTreeMap<String, String> = self
            .rows(
                "SELECT v.upstream_account_id, v.current_minor FROM v_accounts v JOIN links l ON l.link_id = v.link_id
                 WHERE v.missing_at IS NULL AND l.removed_at IS NULL AND v.is_shared IS NOT 0",
            )
            .into_iter()
            .map(|mut row| (row.remove(0), row.remove(0)))
            .collect();
        assert_eq!(
            difference(&balances, &stored),
            Vec::<String>::new(),
            "balances: bank on the left, store on the right"
        );
    }

    /// What the store must say of a row: money, where it stands, when it happened, what it is.
    fn true_values(&self, t: &TrueTransaction) -> [String; 9] {
        let text = |value: Option<String>| value.unwrap_or_else(|| "NULL".to_owned());
        let amount = if t.status == TrueStatus::Memo { 0 } else { t.amount_minor };
        let (status, happened_at, happened_on, posted_on) = match self.serves {
            Served::Truv => {
                let status = if t.status == TrueStatus::Posted { "posted" } else { "pending" };
                let day = |at: Timestamp| at.to_zoned(jiff::tz::TimeZone::UTC).date().to_string();
                let at = t.transacted_at.as_millisecond().to_string();
                (status, at, day(t.transacted_at), t.posted_at.map(day))
            }
            Served::Bridge => {
                let happened_on = t.transaction_date.or(t.date).map(|day| day.to_string());
                let posted_on = t.booking_date.or(t.date).filter(|_| !t.future).map(|day| day.to_string());
                (if t.future { "future" } else { "posted" }, text(None), text(happened_on), posted_on)
            }
        };
        let category = t.category_id.map(|id| id.to_string());
        [
            amount.to_string(),
            t.currency.clone(),
            status.to_owned(),
            happened_at,
            happened_on,
            text(posted_on),
            t.description.clone(),
            text(t.operation_type.clone()),
            text(category),
        ]
    }

    /// Lets the aggregator read the banks again, where it does so by itself.
    pub(crate) fn aggregator_reads_banks(&self) {
        if self.serves == Served::Bridge {
            for link in self.bank.truth().links.iter().filter(|link| link.deleted_at.is_none()) {
                self.bank.refresh_item(link.id);
            }
        }
    }

    /// Fails unless `passbook verify` would find nothing.
    pub(crate) async fn assert_verifies(&self) {
        let now = self.clock.now();
        let report = self.store.read(move |txn| txn.verify(now)).await.expect("the store works");
        let off: Vec<_> = report.findings.iter().filter(|f| f.violations > 0 && f.is_error).collect();
        assert!(off.is_empty(), "{off:#?}");
    }

    /// How many rows of history there are: a number that stands still when nothing is written.
    pub(crate) fn changes(&self) -> usize {
        self.value("SELECT count(*) FROM transaction_changes").parse().expect("a number")
    }
}

/// A directory for a store: in memory where there is such a place, because half of the suite's time would go to the disk.
fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.or_else(|_| tempfile::tempdir()).expect("a directory")
}

/// Opens the store at `path`.
pub(crate) fn open(path: &Path, key: &StoreKey, clock: &Clock) -> Result<Store, passbook::store::OpenError> {
    Store::open(OpenOptions {
        path,
        sealer: Sealer::new(key.clone()),
        encryption: Encryption::Secrets,
        keep_raw: true,
        access: Access::Create,
        now: clock.now(),
    })
}

fn difference<V: PartialEq + std::fmt::Debug>(left: &BTreeMap<String, V>, right: &BTreeMap<String, V>) -> Vec<String> {
    let mut lines = Vec::new();
    for key in left.keys().chain(right.keys().filter(|key| !left.contains_key(*key))) {
        if left.get(key) != right.get(key) && lines.len() < 10 {
            lines.push(format!("{key}: {:?} / {:?}", left.get(key), right.get(key)));
        }
    }
    lines
}

fn text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(i) => i.to_string(),
        ValueRef::Real(r) => r.to_string(),
        ValueRef::Text(t) => String::from_utf8_lossy(t).into_owned(),
        ValueRef::Blob(b) => format!("{} bytes", b.len()),
    }
}

/// Fails with the lines that only one of two dumps has.
pub(crate) fn assert_same(broken: &str, unbroken: &str, case: &str) {
    let only = |of: &str, not: &str| -> Vec<String> {
        let lines = of.lines().filter(|line| !not.lines().any(|other| other == *line));
        lines.map(str::to_owned).collect()
    };
    assert!(broken == unbroken, "{case}: {:#?} instead of {:#?}", only(broken, unbroken), only(unbroken, broken));
}

/// The instant in a text.
pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

/// Has this thread's log lines go to `subscriber` until the guard is dropped.
pub(crate) fn log_to(subscriber: impl tracing::Subscriber + Send + Sync) -> tracing::subscriber::DefaultGuard {
    static NOBODY: std::sync::Once = std::sync::Once::new();
    // While there is one subscriber alone, a line that another test's thread comes by first is off for everybody.
    NOBODY.call_once(|| {
        let _set_before = tracing::subscriber::set_global_default(tracing::subscriber::NoSubscriber::default());
    });
    tracing::subscriber::set_default(subscriber)
}
