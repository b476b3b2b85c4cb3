//! A bank on a port, a configuration for it, and the binary.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use passbook::clock::Clock;
use passbook::sandbox::{LinkId, Pace, Plan, Sandbox, Served};
use serde_json::Value;

/// Every aggregator.
pub(crate) const BOTH: [Served; 2] = [Served::Truv, Served::Bridge];

/// See the module.
pub(crate) struct Desk {
    pub(crate) bank: Sandbox,
    pub(crate) served: Served,
    pub(crate) dir: tempfile::TempDir,
    /// Where the store is.
    home: PathBuf,
    _server: tokio::runtime::Runtime,
}

impl Desk {
    /// A bank whose customers belong to one aggregator.
    pub(crate) fn at(served: Served, links: usize) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let bank = runtime.block_on(async { Sandbox::new(Clock::system(), 3) });
        bank.settings(|s| {
            s.serves = served;
            s.pace = Pace::instant();
            s.bridge.refresh_every = None;
            (s.bridge.application_limit, s.bridge.user_limit, s.bridge.token_limit) = (None, None, None);
        });
        bank.seed_world(&Plan { links, transactions_per_link: 40, ..Plan::default() });
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = bank.router();
        runtime.handle().block_on(async {
            #[expect(clippy::disallowed_methods, reason = "ends with the runtime that the desk holds")]
            tokio::spawn(async move { axum::serve(listener, router).await });
        });
        let dir = tempfile::tempdir().expect("a directory");
        let home = dir.path().to_owned();
        let desk = Self { bank, served, dir, home, _server: runtime };
        let key = desk.bare().arg("keygen").output().expect("runs").stdout;
        desk.secret("store.key", &String::from_utf8(key).expect("text"));
        desk.secret("bank.secret", &desk.bank_secret());
        desk.write_config(&format!("http://{address}"), "");
        desk
    }

    pub(crate) fn secret(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).expect("writes");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("sets");
    }

    /// What the bank takes as the secret of our credential.
    pub(crate) fn bank_secret(&self) -> String {
        match self.served {
            Served::Truv => self.bank.truv_secret(),
            Served::Bridge => self.bank.bridge_client_secret(),
        }
    }

    /// The key of that secret in the configuration.
    fn secret_key(&self) -> &'static str {
        match self.served {
            Served::Truv => "access_secret",
            Served::Bridge => "client_secret",
        }
    }

    pub(crate) fn write_config(&self, base_url: &str, more: &str) {
        let source = match self.served {
            Served::Truv => format!(
                "aggregator = \"truv\"\nclient_id = \"{}\"\nrefresh_poll_first = \"1s\"\nrequests_per_minute = 3000\n",
                self.bank.truv_client_id()
            ),
            Served::Bridge => format!(
                "aggregator = \"bridge\"\nclient_id = \"{}\"\naccept_language = \"en\"\n\
                 requests_per_5_minutes = 30000\nuser_requests_per_minute = 3000\n",
                self.bank.bridge_client_id()
            ),
        };
        let text = format!(
            "[store]\npath = \"passbook.db\"\nkey = {{ file = \"store.key\" }}\n[[source]]\nname = \"bank\"\n\
             base_url = \"{base_url}\"\n{} = {{ file = \"bank.secret\" }}\n{source}{more}\n",
            self.secret_key()
        );
        self.bank.settings(|s| s.request_limit = Some(3000));
        std::fs::write(self.config(), text).expect("writes");
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.dir.path().join("passbook.toml")
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.home.join("passbook.db")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.home.join("passbook.db.sock")
    }

    /// Has the store, and what belongs to it, in a directory of its own.
    pub(crate) fn move_store_to(&mut self, directory: &str) {
        self.home = self.dir.path().join(directory);
        std::fs::create_dir(&self.home).expect("a directory");
        let config = std::fs::read_to_string(self.config()).expect("reads");
        let moved = config.replace("\"passbook.db\"", &format!("\"{directory}/passbook.db\""));
        std::fs::write(self.config(), moved.replace("\"backups\"", &format!("\"{directory}/backups\"")))
            .expect("writes");
    }

    #[expect(clippy::unused_self, reason = "reads like the others")]
    pub(crate) fn bare(&self) -> Command {
        Command::new(env!("CARGO_BIN_EXE_passbook"))
    }

    pub(crate) fn passbook(&self, arguments: &[&str]) -> Output {
        let mut command = self.bare();
        command.arg("--config").arg(self.config()).args(arguments).stdin(Stdio::null());
        command.output().expect("runs")
    }

    /// Runs a command that must end with `code`, and returns its standard output.
    pub(crate) fn ends_with(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.passbook(arguments);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{out}\n{err}");
        out
    }

    pub(crate) fn json(&self, code: i32, arguments: &[&str]) -> Value {
        let output = self.passbook(arguments);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{out}\n{err}");
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{arguments:?}: {error}\n{out}\n{err}"))
    }

    /// Starts the daemon and waits until its control socket is there.
    pub(crate) fn daemon(&self) -> Daemon {
        let mut command = self.bare();
        command.arg("--config").arg(self.config()).arg("run").stdin(Stdio::null());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
        wait_for("the control socket", || self.socket().exists());
        Daemon(child)
    }

    /// The bank refuses a login from now on, and the aggregator knows.
    pub(crate) fn break_login(&self, link: LinkId) {
        self.bank.break_login(link, "login_error");
        self.refresh(link);
    }

    /// The bank accepts a login again, and the aggregator knows.
    pub(crate) fn heal_login(&self, link: LinkId) {
        self.bank.heal_login(link);
        self.refresh(link);
    }

    /// Has the aggregator read the bank by itself, where that is its way.
    pub(crate) fn refresh(&self, link: LinkId) {
        match self.served {
            Served::Truv => {}
            Served::Bridge => self.bank.refresh_item(link),
        }
    }

    pub(crate) fn rows(&self) -> usize {
        query(&self.store(), "SELECT count(*) FROM v_transactions")
    }
}

pub(crate) struct Daemon(pub(crate) Child);

impl Daemon {
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").arg(signal).arg(self.0.id().to_string()).status().expect("kill runs");
        assert!(sent.success());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(30), "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(30));
    }
}

#[expect(clippy::disallowed_methods, reason = "the tests read as an analyst does")]
pub(crate) fn query(store: &Path, sql: &str) -> usize {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = rusqlite::Connection::open_with_flags(store, flags).expect("a reader");
    connection.query_row(sql, [], |row| row.get(0)).expect(sql)
}

/// Changes a store behind the program's back, as no program should.
#[expect(clippy::disallowed_methods, reason = "the tests damage what the program would not")]
pub(crate) fn tamper(store: &Path, sql: &str) {
    let connection = rusqlite::Connection::open(store).expect("a writer");
    connection.execute_batch("PRAGMA foreign_keys = OFF").expect("switches off");
    connection.execute_batch(sql).expect(sql);
}
