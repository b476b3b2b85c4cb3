//! The built binary as a process of its own, with a store on disk.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use passbook::sandbox::Sandbox;
use passbook::secret::StoreKey;

/// A daemon and what it works on.
pub(crate) struct Daemon {
    pub(crate) address: SocketAddr,
    child: Child,
    dir: tempfile::TempDir,
}

impl Daemon {
    /// Starts a daemon for a bank at `base_url` and waits until its public side answers and it has synced every link.
    pub(crate) async fn start(bank: &Sandbox, base_url: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("an address");
        drop(free);
        let key = StoreKey::generate().expect("randomness").to_text().to_string();
        for (name, text) in [("store.key", key), ("bank.secret", bank.truv_secret())] {
            let path = dir.path().join(name);
            std::fs::write(&path, text).expect("writes");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("sets");
        }
        let config = format!(
            "[store]\npath = \"passbook.db\"\nkey = {{ file = \"store.key\" }}\n[log]\nlevel = \"warn\"\n[server]\n\
             public_listen = \"{address}\"\npublic_url = \"http://{address}\"\n[[source]]\nname = \"bank\"\n\
             aggregator = \"truv\"\nbase_url = \"{base_url}\"\nclient_id = \"{}\"\nrequests_per_minute = 100000\n\
             access_secret = {{ file = \"bank.secret\" }}\n",
            bank.truv_client_id()
        );
        std::fs::write(dir.path().join("passbook.toml"), config).expect("writes");
        let daemon = Self { address, child: spawn(dir.path()), dir };
        daemon.wait().await;
        let links = u64::try_from(bank.truth().links.len()).expect("a number");
        while daemon.number("SELECT count(*) FROM links WHERE last_success_at IS NOT NULL") < links {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        daemon
    }

    /// Ends the daemon without a word and starts another on the same store.
    pub(crate) async fn kill_and_restart(&mut self) {
        self.child.kill().expect("kills");
        self.child.wait().expect("ends");
        self.child = spawn(self.dir.path());
        self.wait().await;
    }

    /// Asks the daemon to end, and waits.
    pub(crate) async fn stop(&mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs").success());
        while self.child.try_wait().expect("a process").is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn wait(&self) {
        while tokio::net::TcpStream::connect(self.address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Events that nobody has acted on.
    pub(crate) fn waiting(&self) -> u64 {
        self.number("SELECT count(*) FROM webhook_events WHERE handled_at IS NULL")
    }

    /// How often each event is in the store, by the sender's own id.
    pub(crate) fn stored(&self) -> HashMap<String, u64> {
        let connection = open(self.dir.path());
        let sql = "SELECT json_extract(body, '$.webhook_id'), count(*) FROM webhook_events GROUP BY 1";
        let mut select = connection.prepare(sql).expect(sql);
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect(sql);
        rows.collect::<Result<_, _>>().expect("ids")
    }

    fn number(&self, sql: &str) -> u64 {
        if !self.dir.path().join("passbook.db").exists() {
            return 0;
        }
        open(self.dir.path()).query_row(sql, [], |row| row.get(0)).expect(sql)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(dir: &Path) -> Child {
    let config = dir.join("passbook.toml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_passbook"));
    command.arg("--config").arg(config).arg("run").stdin(Stdio::null()).stdout(Stdio::null());
    command.spawn().expect("the daemon starts")
}

#[expect(clippy::disallowed_methods, reason = "read as an analyst does, with a connection of one's own")]
fn open(dir: &Path) -> rusqlite::Connection {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    rusqlite::Connection::open_with_flags(dir.join("passbook.db"), flags).expect("a reader")
}
