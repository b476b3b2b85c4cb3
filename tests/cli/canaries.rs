//! Every secret there is, planted where it belongs; then a life with everything that goes wrong in it, logged at its loudest; then
//! everything that came out is searched for them, in every form in which a secret might be written.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use age::secrecy::ExposeSecret as _;
use age::x25519::Identity;
use aho_corasick::AhoCorasick;
use axum::Router;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use passbook::clock::Clock;
use passbook::config::Config;
use passbook::sandbox::{Environment, Pace, Plan, Sandbox, Served};
use tower::ServiceExt as _;

use super::desk::{Daemon, query, text, wait_for};
use super::ports::free_address;

const EMAIL: &str = "canary.customer.7731@example.com";
const FIRST_NAME: &str = "Canaryfirstname7731";
const PUBLIC_TOKEN: &str = "canary-public-token-5f1e02c4";
const SIGNATURE: &str = "v1=canaryc0ffeec0ffeec0ffeec0ffeec0ffee";
const WRONG_ADMIN_TOKEN: &str = "canary-wrong-admin-token-42424242";
const ADMIN_TOKEN: &str = "canary-admin-token-0123456789abcdef";
const HOOK_PATH: &str = "canary-hook-path-91c3";
const INLINE_SECRET: &str = "sandbox-5f1e02c4d7b94a6c8e3f0a1b2c3d4e5f";
const WEBHOOK_SECRET: &str = "canary-webhook-secret-2718281828459";
const SECOND_KEY: &str = "sandbox-canary-second-key-1618033988";

/// What must be seen nowhere: what it is, and the text itself.
type Canary = (&'static str, String);

/// Answers like the bank; while `echoes` it fails, and sends back all that it was sent.
async fn answer(bank: Router, echoes: Arc<AtomicBool>, request: Request) -> Response {
    let is_alert = request.uri().path().contains("hook");
    if !is_alert && !echoes.load(Ordering::Relaxed) {
        return bank.oneshot(request).await.unwrap_or_else(|never| match never {});
    }
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let headers: String =
        parts.headers.iter().fold(String::new(), |all, (name, value)| format!("{all}{name}: {value:?}, "));
    let said = format!("invalid request {} {headers} {}", parts.uri, text(&body));
    let status =
        if parts.uri.path().len() % 2 == 0 { StatusCode::BAD_REQUEST } else { StatusCode::INTERNAL_SERVER_ERROR };
    let said = serde_json::json!({
        "detail": said, "error": { "code": "invalid", "message": said }, "errors": [{ "code": said, "message": said }],
    });
    (status, axum::Json(said)).into_response()
}

/// A machine with everything configured, and all that came out of it.
struct House {
    bank: Sandbox,
    echoes: Arc<AtomicBool>,
    dir: tempfile::TempDir,
    public: SocketAddr,
    admin: SocketAddr,
    canaries: Vec<Canary>,
    /// Where it came out, and what.
    heard: Vec<(String, Vec<u8>)>,
    _server: tokio::runtime::Runtime,
}

impl House {
    fn build(format: &str) -> Self {
        let server =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let bank = server.block_on(async { Sandbox::new(Clock::system(), 5) });
        bank.settings(|s| {
            (s.pace, s.request_limit, s.refresh_limit) = (Pace::instant(), None, None);
            s.bridge.refresh_every = None;
            (s.bridge.application_limit, s.bridge.user_limit, s.bridge.token_limit) = (None, None, None);
        });
        let plan = Plan { links: 2, transactions_per_link: 6, ..Plan::default() };
        bank.seed_world(&plan);
        bank.seed_world(&Plan { serves: Some(Served::Bridge), ..plan });
        let echoes = Arc::new(AtomicBool::new(false));
        let listener = server.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let (router, echoing) = (bank.router(), Arc::clone(&echoes));
        let app = Router::new().fallback(move |request| answer(router.clone(), Arc::clone(&echoing), request));
        server.handle().block_on(async {
            #[expect(clippy::disallowed_methods, reason = "ends with the runtime that the house holds")]
            tokio::spawn(async move { axum::serve(listener, app).await });
        });
        let dir = tempfile::tempdir().expect("a directory");
        let house = Self {
            bank,
            echoes,
            dir,
            public: free_address(),
            admin: free_address(),
            canaries: Vec::new(),
            heard: Vec::new(),
            _server: server,
        };
        house.furnish(format, &base)
    }

    /// Writes the configuration, and each secret into a file of its own.
    fn furnish(mut self, format: &str, base: &str) -> Self {
        let key = text(&Command::new(env!("CARGO_BIN_EXE_passbook")).arg("keygen").output().expect("runs").stdout);
        let identity = Identity::generate();
        let truth = self.bank.truth();
        let secrets = [
            ("store key", "store.key", key.trim().to_owned()),
            ("client secret of one source", "us.secret", self.bank.truv_secret()),
            ("second key of that source", "us-second.secret", SECOND_KEY.to_owned()),
            ("client secret of the other", "eu.secret", self.bank.bridge_client_secret()),
            ("webhook secret", "hook.secret", WEBHOOK_SECRET.to_owned()),
            ("admin token", "admin.token", ADMIN_TOKEN.to_owned()),
            ("alert address", "alert.url", format!("{base}/hook/{HOOK_PATH}")),
            ("backup identity", "backup.key", identity.to_string().expose_secret().to_owned()),
        ];
        for (what, name, value) in secrets {
            self.secret(name, &value);
            let value = if what == "alert address" { HOOK_PATH.to_owned() } else { value };
            self.canaries.push((what, value));
        }
        for (what, value) in [
            ("e-mail", EMAIL),
            ("first name", FIRST_NAME),
            ("public token", PUBLIC_TOKEN),
            ("signature", SIGNATURE),
            ("wrong admin token", WRONG_ADMIN_TOKEN),
            ("inline secret", INLINE_SECRET),
        ] {
            self.canaries.push((what, value.to_owned()));
        }
        for link in &truth.links {
            if !link.access_token.is_empty() {
                self.canaries.push(("access token", link.access_token.clone()));
            }
            for account in &link.accounts {
                self.canaries.extend(account.iban.clone().map(|iban| ("IBAN", iban)));
                if link.served == Served::Truv {
                    self.canaries.push(("account number", account.number.clone()));
                }
            }
        }
        let text = format!(
            "[store]\npath = \"passbook.db\"\nkey = {{ file = \"store.key\" }}\n[log]\nlevel = \"trace\"\nformat = \"{format}\"\n\
             [server]\npublic_listen = \"{public}\"\npublic_url = \"http://{public}\"\nadmin_listen = \"{admin}\"\n\
             admin_token = {{ file = \"admin.token\" }}\n[alert]\nwebhook_url = {{ file = \"alert.url\" }}\nlink_grace = \"0s\"\n\
             [backup]\nrecipients = [\"{recipient}\"]\ndirectory = \"backups\"\n\
             [[source]]\nname = \"us\"\naggregator = \"truv\"\nbase_url = \"{base}\"\nclient_id = \"{us}\"\n\
             access_secret = {{ file = \"us.secret\" }}\nrefresh_poll_first = \"1s\"\n\
             [[source]]\nname = \"eu\"\naggregator = \"bridge\"\nbase_url = \"{base}\"\nclient_id = \"{eu}\"\n\
             client_secret = {{ file = \"eu.secret\" }}\nwebhook_secrets = [{{ file = \"hook.secret\" }}]\naccept_language = \"en\"\n",
            public = self.public,
            admin = self.admin,
            recipient = identity.to_public(),
            us = self.bank.truv_client_id(),
            eu = self.bank.bridge_client_id(),
        );
        fs::write(self.config(), text).expect("writes");
        self
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("passbook.toml")
    }

    fn store(&self) -> PathBuf {
        self.dir.path().join("passbook.db")
    }

    fn secret(&self, name: &str, value: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.dir.path().join(name);
        fs::write(&path, value).expect("writes");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("sets");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_passbook"));
        command.arg("--config").arg(self.config()).args(arguments).stdin(Stdio::null()).env("RUST_BACKTRACE", "full");
        command
    }

    /// Runs a command and keeps all that it says.
    fn passbook(&mut self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().expect("runs");
        let code = output.status.code();
        self.heard.push((format!("{arguments:?} ends with {code:?}"), [&output.stdout[..], &output.stderr].concat()));
        output
    }

    /// Sends a request and keeps the answer, which is returned.
    fn ask(&mut self, to: SocketAddr, head: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(to).expect("connects");
        let request =
            format!("{head}\r\nhost: {to}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).expect("sends");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        self.heard.push((head.lines().next().unwrap_or_default().to_owned(), answer.clone()));
        text(&answer)
    }

    fn count(&self, sql: &str) -> usize {
        query(&self.store(), sql)
    }

    fn daemon(&self, log: &str) -> Daemon {
        let log = fs::File::create(self.dir.path().join(log)).expect("a file");
        let child = self.command(&["run"]).stdout(Stdio::null()).stderr(log).spawn().expect("starts");
        let socket = self.dir.path().join("passbook.db.sock");
        wait_for("the control socket", || socket.exists());
        Daemon(child)
    }

    /// An ordinary day, and a bad one.
    fn live(&mut self) {
        let daemon = self.daemon("daemon.log");
        wait_for("the first syncs", || self.count("SELECT count(*) FROM syncs WHERE outcome = 'ok'") >= 4);
        self.look_around();
        self.strangers_knock();
        self.a_customer_connects();
        self.backups_and_copies();
        self.echoes.store(true, Ordering::Relaxed);
        self.passbook(&["sync"]);
        self.passbook(&["check", "--online"]);
        self.passbook(&["webhooks", "list"]);
        self.passbook(&["links", "add", "--source", "us", "--user", "nobody", "nothing"]);
        assert_ne!(self.count("SELECT count(*) FROM links WHERE last_error IS NOT NULL"), 0, "it went wrong");
        self.look_around();
        self.passbook(&["alert", "test"]);
        self.passbook(&["users", "forget", "--source", "eu", "--yes", "--user", "nobody-of-this-name"]);
        let customer = self.bank.truth().links[0].user_external_id.clone().expect("an id");
        self.passbook(&["users", "forget", "--source", "us", "--yes", "--user", &customer]);
        self.echoes.store(false, Ordering::Relaxed);
        self.a_mistake_in_the_configuration();
        self.secrets_are_rotated();
        daemon.signal("-TERM");
        drop(daemon);
        self.debugged();
    }

    fn look_around(&mut self) {
        for arguments in [
            &["status"][..],
            &["status", "--json"],
            &["explain", "1"],
            &["explain", "2", "--json"],
            &["links", "list"],
            &["links", "show", "1"],
            &["links", "show", "3", "--json"],
            &["users", "list"],
            &["users", "erasures"],
            &["check"],
            &["check", "--diff"],
            &["verify"],
            &["changes"],
            &["backup", "--list"],
            &["query", "--json", "SELECT * FROM v_accounts"],
            &["query", "--json", "SELECT * FROM v_link_health"],
        ] {
            self.passbook(arguments);
        }
        let admin = self.admin;
        let bearer = format!("authorization: Bearer {ADMIN_TOKEN}");
        for path in ["/metrics", "/control/status", "/health/ready", "/"] {
            self.ask(admin, &format!("GET {path} HTTP/1.1\r\n{bearer}"), "");
        }
        let form = "content-type: application/x-www-form-urlencoded\r\nsec-fetch-site: same-origin";
        let body = format!("token={ADMIN_TOKEN}");
        let entered = self.ask(admin, &format!("POST /login HTTP/1.1\r\n{form}\r\norigin: http://{admin}"), &body);
        let cookie = entered.lines().find_map(|line| line.strip_prefix("set-cookie: "));
        let cookie = cookie.and_then(|line| line.split(';').next()).unwrap_or_else(|| panic!("{entered}")).to_owned();
        for path in ["/", "/links", "/attention", "/links/1", "/links/3"] {
            let page = self.ask(admin, &format!("GET {path} HTTP/1.1\r\ncookie: {cookie}"), "");
            assert!(page.starts_with("HTTP/1.1 200"), "{path}: {page}");
        }
    }

    fn strangers_knock(&mut self) {
        let (public, admin) = (self.public, self.admin);
        let body = format!("{{\"event_type\":\"x\",\"note\":\"{PUBLIC_TOKEN}\",\"email\":\"{EMAIL}\"}}");
        for (source, header) in [("us", "x-webhook-sign"), ("eu", "bridgeapi-signature"), ("nobody", "x")] {
            let head = format!("POST /webhooks/{source} HTTP/1.1\r\n{header}: {SIGNATURE}");
            let answer = self.ask(public, &head, &body);
            assert!(answer.starts_with("HTTP/1.1 40"), "{answer}");
        }
        let wrong = format!("GET /metrics HTTP/1.1\r\nauthorization: Bearer {WRONG_ADMIN_TOKEN}");
        assert!(self.ask(admin, &wrong, "").starts_with("HTTP/1.1 401"));
        self.ask(admin, &format!("GET /{WRONG_ADMIN_TOKEN}?x={WRONG_ADMIN_TOKEN} HTTP/1.1"), "");
        let form = "POST /login HTTP/1.1\r\ncontent-type: application/x-www-form-urlencoded";
        self.ask(admin, form, &format!("token={WRONG_ADMIN_TOKEN}"));
        let order = format!(
            "POST /control/order HTTP/1.1\r\nauthorization: Bearer {ADMIN_TOKEN}\r\ncontent-type: application/json"
        );
        self.ask(admin, &order, &format!("{{\"order\":\"revoke\",\"address\":\"{PUBLIC_TOKEN}\"}}"));
        self.ask(public, &format!("GET /connect/{PUBLIC_TOKEN} HTTP/1.1"), "");
    }

    fn a_customer_connects(&mut self) {
        let public = self.public;
        for source in ["us", "eu"] {
            let connect = [
                "links",
                "connect",
                "--source",
                source,
                "--user",
                "customer-new",
                "--email",
                EMAIL,
                "--first-name",
                FIRST_NAME,
            ];
            let said = self.passbook(&connect);
            assert!(said.status.success(), "{}", text(&said.stderr));
            // The one thing that is told once, to whoever asked: it stands nowhere else, so it is a canary from here on.
            let (_, said) = self.heard.pop().expect("what was said");
            let said = text(&said);
            let address =
                said.split_whitespace().find(|word| word.contains("/connect/")).expect("an address").to_owned();
            let path = address.split_once("/connect/").expect("a path").1.to_owned();
            for failing in [false, true] {
                self.echoes.store(failing, Ordering::Relaxed);
                self.ask_within(public, &path, &format!("GET /connect/{path} HTTP/1.1"), "");
                let begun = self.ask_within(public, &path, &format!("POST /connect/{path}/begin HTTP/1.1"), "");
                assert!(
                    failing || begun.starts_with("HTTP/1.1 200") || begun.starts_with("HTTP/1.1 303"),
                    "{source}: {begun}"
                );
                let finish = format!("POST /connect/{path}/finish HTTP/1.1\r\ncontent-type: application/json");
                self.ask_within(public, &path, &finish, &format!("{{\"public_token\":\"{PUBLIC_TOKEN}\"}}"));
                self.ask_within(public, &path, &format!("GET /connect/{path}/return?code={PUBLIC_TOKEN} HTTP/1.1"), "");
            }
            self.echoes.store(false, Ordering::Relaxed);
            self.canaries.push(("invite", path));
        }
    }

    /// The same for a page whose own address is the secret.
    fn ask_within(&mut self, to: SocketAddr, invite: &str, head: &str, body: &str) -> String {
        let answer = self.ask(to, head, body).replace(invite, "THIS-PAGE");
        self.heard.pop();
        self.heard.push(("a page of an invite".to_owned(), answer.clone().into_bytes()));
        answer
    }

    fn backups_and_copies(&mut self) {
        assert!(self.passbook(&["backup"]).status.success());
        assert!(self.passbook(&["snapshot"]).status.success());
        let entries = fs::read_dir(self.dir.path().join("backups")).expect("a directory");
        let file = entries.map(|entry| entry.expect("an entry").path()).next().expect("a backup");
        let (key, to) = (self.dir.path().join("backup.key"), self.dir.path().join("restored.db"));
        let words = [file.as_path(), key.as_path(), to.as_path()].map(|path| path.to_str().expect("text").to_owned());
        self.passbook(&["restore", &words[0], "--identity", &words[1], "--to", &words[2]]);
        self.passbook(&["restore", &words[0], "--identity", &words[1], "--to", &words[2]]);
        let wrong = self.dir.path().join("us.secret").to_str().expect("text").to_owned();
        self.passbook(&["restore", &words[0], "--identity", &wrong, "--to", "/nowhere/x.db"]);
    }

    fn a_mistake_in_the_configuration(&mut self) {
        let good = fs::read_to_string(self.config()).expect("reads");
        let inline = good.replace("{ file = \"us.secret\" }", &format!("\"{INLINE_SECRET}\""));
        let unknown =
            good.replace("[[source]]\nname = \"eu\"", &format!("[[source]]\n\"{INLINE_SECRET}\" = 1\nname = \"eu\""));
        for wrong in [inline, unknown, format!("{good}\n{INLINE_SECRET} = {INLINE_SECRET}\n")] {
            fs::write(self.config(), wrong).expect("writes");
            assert_eq!(self.passbook(&["check"]).status.code(), Some(2));
            assert_ne!(self.passbook(&["reload"]).status.code(), Some(0));
            // Past the command's own look at the file: as a signal does it.
            let order = format!(
                "POST /control/order HTTP/1.1\r\nauthorization: Bearer {ADMIN_TOKEN}\r\ncontent-type: application/json"
            );
            let admin = self.admin;
            self.ask(admin, &order, "{\"order\":\"reload\"}");
        }
        fs::write(self.config(), good).expect("writes");
    }

    fn secrets_are_rotated(&mut self) {
        let new = self.bank.add_secret(Environment::Sandbox);
        self.secret("us.secret", &new);
        self.canaries.push(("rotated client secret", new));
        assert!(self.passbook(&["reload"]).status.success());
        self.secret("us.secret", SECOND_KEY);
        self.passbook(&["reload"]);
        self.passbook(&["sync"]);
    }

    /// What a line of debugging left in the program would show.
    fn debugged(&mut self) {
        let config = Config::load(&self.config()).expect("good");
        self.heard.push(("Debug of the configuration".to_owned(), format!("{config:?} {config:#?}").into_bytes()));
    }

    /// Every file there is now, but those that hold nothing but a secret.
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let own = [
            "store.key",
            "us.secret",
            "us-second.secret",
            "eu.secret",
            "hook.secret",
            "admin.token",
            "alert.url",
            "backup.key",
        ];
        let mut files = Vec::new();
        let mut directories = vec![self.dir.path().to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).expect("reads").map(|entry| entry.expect("an entry")) {
                let (path, kind) = (entry.path(), entry.file_type().expect("a type"));
                if kind.is_dir() {
                    directories.push(path);
                } else if kind.is_file() && !own.iter().any(|name| Path::new(name) == path.file_name().expect("a name"))
                {
                    files.push((path.display().to_string(), fs::read(&path).expect("reads")));
                }
            }
        }
        files
    }
}

/// How a text might be written: as it is, encoded for an address, in hexadecimal, in base64 wherever it begins in it.
fn forms(canary: &str) -> Vec<Vec<u8>> {
    let bytes = canary.as_bytes();
    let hex: String = bytes.iter().fold(String::new(), |digits, byte| format!("{digits}{byte:02x}"));
    let encoded: String = url::form_urlencoded::byte_serialize(bytes).collect();
    let percent =
        bytes.iter().map(|b| if b.is_ascii_alphanumeric() { char::from(*b).to_string() } else { format!("%{b:02X}") });
    let mut forms = vec![canary.to_owned(), encoded, percent.collect(), hex.to_uppercase(), hex];
    for offset in 0..3_usize {
        let shifted = [&[0; 3][..offset], bytes].concat();
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let whole = engine.encode(&shifted);
            // The first and last digits hold bits of their neighbours too.
            let (from, to) = ((offset * 8).div_ceil(6), whole.len() - usize::from(shifted.len() % 3 != 0));
            forms.push(whole[from..to].to_owned());
        }
    }
    forms.into_iter().map(String::into_bytes).collect()
}

/// What was found where.
fn leaks<'a>(canaries: &[Canary], places: impl Iterator<Item = &'a (String, Vec<u8>)>) -> Vec<String> {
    let (whats, patterns): (Vec<_>, Vec<_>) =
        canaries.iter().flat_map(|(what, canary)| forms(canary).into_iter().map(move |form| (*what, form))).unzip();
    let searcher = AhoCorasick::new(&patterns).expect("patterns");
    let mut found = Vec::new();
    for (place, bytes) in places {
        for hit in searcher.find_iter(bytes).take(3) {
            let around = &bytes[hit.start().saturating_sub(200)..(hit.end() + 100).min(bytes.len())];
            found.push(format!("{} in {place}: {}", whats[hit.pattern().as_usize()], text(around)));
        }
    }
    found
}

fn no_secret_is_seen_anywhere_but_where_it_belongs(format: &str) {
    let mut house = House::build(format);
    house.live();
    let log = fs::read_to_string(house.dir.path().join("daemon.log")).expect("a log");
    assert!(log.contains("TRACE") || log.contains("DEBUG"), "at its loudest: {log}");
    // The bank's own words are for the store, and for nobody who reads a log.
    for link in house.bank.truth().links {
        for row in link.transactions.iter().filter(|row| row.description.len() > 9) {
            assert!(!log.contains(&row.description), "{}", row.description);
        }
    }
    let said = house.heard.iter().filter(|(_, bytes)| text(bytes).contains("invalid request")).count();
    assert_ne!(said, 0, "what the aggregator said is told, but for what is secret in it");
    let files = house.files();
    let leaked = leaks(&house.canaries, house.heard.iter().chain(&files));
    assert!(leaked.is_empty(), "{} leaks\n{}", leaked.len(), leaked.join("\n---\n"));
}

#[test]
fn no_secret_is_seen_anywhere_but_where_it_belongs_where_the_log_is_text() {
    no_secret_is_seen_anywhere_but_where_it_belongs("text");
}

#[test]
fn no_secret_is_seen_anywhere_but_where_it_belongs_where_the_log_is_json() {
    no_secret_is_seen_anywhere_but_where_it_belongs("json");
}

#[test]
fn a_canary_is_found_in_every_form() {
    let canary = [("admin token", ADMIN_TOKEN.to_owned())];
    for (number, form) in forms(ADMIN_TOKEN).into_iter().enumerate() {
        let place = (format!("form {number}"), [&b"before "[..], &form, &b" after"[..]].concat());
        assert_eq!(leaks(&canary, [place].iter()).len(), 1, "form {number}");
    }
}
