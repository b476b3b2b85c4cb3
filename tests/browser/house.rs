//! What the browser visits: a made-up bank on a port, and the daemon that serves its customers.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use axum::Router;
use hyper_util::rt::TokioExecutor;
use passbook::clock::Clock;
use passbook::sandbox::{Pace, Plan, Sandbox, Served, TrueLink, TrueTransaction};
use rusqlite::types::ValueRef;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use crate::driver::{Browser, runtime};
use crate::ports::free_address;

/// How long the daemon may take until it listens.
const PATIENCE: Duration = Duration::from_secs(20);

/// The source of the American customers.
pub(crate) const US: &str = "us";
/// The source of the European customers.
pub(crate) const EUROPE: &str = "europe";

/// Serves a router on a port of its own for as long as the tests run; answers its origin.
pub(crate) async fn serve(router: Router) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    runtime().spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

/// A bank without limits on a port; answers it and its origin.
pub(crate) async fn open_bank() -> (Sandbox, String) {
    let bank = Sandbox::new(Clock::system(), 3);
    let origin = serve(bank.router()).await;
    bank.settings(|settings| {
        (settings.request_limit, settings.refresh_limit) = (None, None);
        settings.pace = Pace::instant();
        let bridge = &mut settings.bridge;
        (bridge.application_limit, bridge.user_limit, bridge.token_limit) = (None, None, None);
        (bridge.first_refresh, bridge.rest_of_history_after) = (Duration::ZERO, None);
        bridge.connect_url = format!("{origin}/sandbox/bridge/session/");
    });
    (bank, origin)
}

/// Posts JSON and reads JSON, as a program would.
pub(crate) async fn ask(origin: &str, path: &str, headers: &[(&str, String)], body: Value) -> Value {
    let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build_http();
    let mut request = http::Request::post(format!("{origin}{path}")).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let request = request.body(axum::body::Body::from(body.to_string())).expect("a request");
    let answer = client.request(request).await.expect("an answer");
    let body = axum::body::Body::new(answer.into_body());
    let bytes = axum::body::to_bytes(body, usize::MAX).await.expect("a body");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// A bank with customers at both aggregators, and the daemon. It ends when this is dropped.
pub(crate) struct House {
    pub(crate) bank: Sandbox,
    /// The origin of the public side.
    pub(crate) public: String,
    /// The origin of the admin side.
    pub(crate) admin: String,
    pub(crate) admin_token: String,
    /// The origin of the bank and of both aggregators' pages.
    pub(crate) bank_origin: String,
    dir: TempDir,
    daemon: Child,
    postman: AbortHandle,
}

impl House {
    /// Starts bank and daemon; answers when both sides of the daemon listen.
    pub(crate) async fn open(links: usize) -> Self {
        let (bank, origin) = open_bank().await;
        let plan = Plan { links, transactions_per_link: 30, ..Plan::default() };
        bank.seed_world(&plan);
        bank.seed_world(&Plan { serves: Some(Served::Bridge), ..plan });
        let dir = tempfile::tempdir().expect("a directory");
        let [public, admin] = [free_address(), free_address()];
        let admin_token = "a-token-for-the-tests-of-the-dashboard".to_owned();
        let webhook_secret = bank.add_bridge_webhook(&format!("http://{public}/webhooks/{EUROPE}"));
        for (name, text) in [
            ("store.key", keygen().as_str()),
            ("us.secret", &bank.truv_secret()),
            ("europe.secret", &bank.bridge_client_secret()),
            ("europe-webhook.secret", &webhook_secret),
            ("admin.token", &admin_token),
        ] {
            write_secret(&dir.path().join(name), text);
        }
        fs::write(dir.path().join("passbook.toml"), config(&bank, &origin, public, admin)).expect("can be written");
        let log = fs::File::create(dir.path().join("log")).expect("a log");
        let daemon = passbook(dir.path()).arg("run").stdout(Stdio::null()).stderr(log).spawn().expect("starts");
        let (public_url, admin_url) = (format!("http://{public}"), format!("http://{admin}"));
        let postman = runtime().spawn(deliver(bank.clone())).abort_handle();
        let mut house =
            Self { bank, public: public_url, admin: admin_url, admin_token, bank_origin: origin, dir, daemon, postman };
        for address in [public, admin] {
            house.wait_for(address).await;
        }
        house
    }

    async fn wait_for(&mut self, address: SocketAddr) {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(address).await.is_err() {
            let ended = self.daemon.try_wait().expect("a state");
            assert!(ended.is_none() && Instant::now() < deadline, "the daemon does not listen: {}", self.log());
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// What the daemon said so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Runs a command beside the daemon; answers what it printed.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let output = passbook(self.dir.path()).args(arguments).output().expect("runs");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{arguments:?}: {out}{err}");
        out.into_owned()
    }

    /// Where the store is.
    pub(crate) fn store(&self) -> PathBuf {
        self.dir.path().join("passbook.db")
    }

    /// Has an order carried out over the admin side; answers what came of it.
    pub(crate) async fn order(&self, order: Value) -> Value {
        let bearer = format!("Bearer {}", self.admin_token);
        ask(&self.admin, "/control/order", &[("authorization", bearer)], order).await
    }

    /// Logs in to the dashboard, and shows its overview.
    pub(crate) async fn log_in(&self, browser: &Browser) {
        browser.goto(&format!("{}/login", self.admin)).await;
        browser.fill("#token", &self.admin_token).await;
        browser.click("form .primary").await;
        browser.find(".headline").await;
    }

    /// An invite to connect a bank; answers its address.
    pub(crate) async fn invite(&self, source: &str, user: &str) -> String {
        let order = json!({"order": "invite", "source": source, "user": user, "email": "customer@example.com"});
        self.order(order).await["address"].as_str().expect("an address").to_owned()
    }

    /// What a query answers, every value as text.
    #[expect(clippy::disallowed_methods, reason = "the tests read as an analyst does, with a connection of their own")]
    pub(crate) fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let connection = rusqlite::Connection::open_with_flags(self.store(), flags).expect("a reader");
        let mut statement = connection.prepare(sql).expect(sql);
        let columns = statement.column_count();
        let read = |row: &rusqlite::Row<'_>| (0..columns).map(|at| Ok(text(row.get_ref(at)?))).collect();
        statement.query_map([], read).expect(sql).collect::<Result<_, _>>().expect(sql)
    }

    /// Waits until a query answers one row with this one value.
    pub(crate) async fn until(&self, sql: &str, expected: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let rows = self.rows(sql);
            if rows == [[expected]] {
                return;
            }
            assert!(Instant::now() < deadline, "{sql}: {rows:?} instead of {expected:?}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until each of so many links was read and is well.
    pub(crate) async fn until_all_are_active(&self, links: usize) {
        let sql = format!(
            "SELECT count(*) = {links} AND min(state = 'active') AND (SELECT count(*) FROM syncs WHERE outcome IS NULL) = 0
             FROM v_link_health"
        );
        self.until(&sql, "1").await;
    }

    /// The live transactions of the store are those of the bank.
    pub(crate) fn assert_store_is_truth(&self) {
        let links = self.bank.served().links;
        let of_link = |link: &TrueLink| -> Vec<Vec<String>> {
            let row = |t: &TrueTransaction| {
                vec![link.upstream_id.clone(), t.upstream_id.clone(), t.amount_minor.to_string(), t.currency.clone()]
            };
            link.transactions.iter().map(row).collect()
        };
        let mut truth: Vec<Vec<String>> = links.iter().flat_map(of_link).collect();
        truth.sort();
        assert!(!truth.is_empty());
        let sql = "SELECT upstream_link_id, upstream_id, amount_minor, currency FROM v_transactions ORDER BY 1, 2";
        assert_eq!(self.rows(sql), truth);
    }
}

fn text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        ValueRef::Blob(bytes) => format!("{} bytes", bytes.len()),
    }
}

/// Posts what a bank announces, as the aggregators do.
async fn deliver(bank: Sandbox) {
    let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build_http();
    loop {
        for webhook in bank.take_webhooks() {
            let mut request = http::Request::post(&webhook.url);
            for (name, value) in &webhook.headers {
                request = request.header(name, value);
            }
            let request = request.body(axum::body::Body::from(webhook.body)).expect("a request");
            let answer = client.request(request).await;
            bank.webhook_answered(webhook.id, answer.ok().map(|answer| answer.status().as_u16()));
        }
        // The bank has no way to say that there is something.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.postman.abort();
        let _ended_before = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

fn passbook(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_passbook"));
    command.arg("--config").arg(dir.join("passbook.toml"));
    command
}

fn keygen() -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_passbook")).arg("keygen").output().expect("runs");
    String::from_utf8(output.stdout).expect("text")
}

fn write_secret(path: &Path, text: &str) {
    fs::write(path, text).expect("can be written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("can be closed to others");
}

/// Schedules so far away that whatever happens was asked for.
const YEARLY: &str =
    "sync_schedule = \"0 0 1 1 *\"\ndiscover_schedule = \"0 0 1 1 *\"\nreconcile_schedule = \"0 0 1 1 *\"\n";

fn config(bank: &Sandbox, origin: &str, public: SocketAddr, admin: SocketAddr) -> String {
    format!(
        "[store]\npath = \"passbook.db\"\nkey = {{ file = \"store.key\" }}\n\n\
         [server]\npublic_listen = \"{public}\"\npublic_url = \"http://{public}\"\nadmin_listen = \"{admin}\"\n\
         admin_token = {{ file = \"admin.token\" }}\n\n\
         [schedule]\nspread = \"0s\"\n\n\
         [[source]]\nname = \"{US}\"\naggregator = \"truv\"\nbase_url = \"{origin}\"\nclient_id = \"{}\"\n\
         access_secret = {{ file = \"us.secret\" }}\nwidget_url = \"{origin}/sandbox/widget/bridge.js\"\n\
         requests_per_minute = 3000\nrefresh_poll_first = \"1s\"\n{YEARLY}\n\
         [[source]]\nname = \"{EUROPE}\"\naggregator = \"bridge\"\nbase_url = \"{origin}\"\nclient_id = \"{}\"\n\
         client_secret = {{ file = \"europe.secret\" }}\nwebhook_secrets = [{{ file = \"europe-webhook.secret\" }}]\n\
         user_requests_per_minute = 3000\n{YEARLY}status_schedule = \"0 0 1 1 *\"\n",
        bank.truv_client_id(),
        bank.bridge_client_id(),
    )
}
