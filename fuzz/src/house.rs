//! A whole program without sockets: a store, two banks that behave, and everything that listens.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use http::header::{COOKIE, HOST, SET_COOKIE};
use http_body_util::BodyExt as _;
use passbook::clock::Clock;
use passbook::config::{Config, SecretReadError, SecretStore};
use passbook::daemon::{self, BuildOptions, Daemon, DaemonOptions};
use passbook::http::Transport;
use passbook::sandbox::{Plan, Sandbox, Served as Serves};
use passbook::secret::{Encryption, Sealer, StoreKey};
use passbook::server::control::{Order, carry_out};
use passbook::server::{self, Peer, Served};
use passbook::store::{Access, OpenOptions, Store};
use passbook::sync::{Engine, Waker};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use zeroize::Zeroizing;

use super::bank::{START, runtime};
use super::keys::KEY;

/// What opens the admin side.
pub(crate) const ADMIN_TOKEN: &str = "admin-0123456789abcdefghijklmnop";
/// After so many inputs everything is made anew: what one leaves behind shall not grow for ever.
const MAX_USES: usize = 3_000;
const BOTH: [Serves; 2] = [Serves::Truv, Serves::Bridge];

thread_local! {
    static HOUSE: RefCell<Option<House>> = const { RefCell::new(None) };
}

/// The program, and what was given to somebody who may come in.
pub(crate) struct House {
    engine: Arc<Engine>,
    public: Router,
    admin: Router,
    /// The tokens of an invite at each aggregator, both begun.
    pub(crate) invites: Vec<String>,
    /// The cookie of somebody who has logged in, and the token of their forms.
    pub(crate) session: String,
    pub(crate) form_token: String,
    uses: usize,
    _storing: JoinSet<()>,
    runtime: Runtime,
    _directory: TempDir,
}

/// An answer of a side of ours.
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) text: String,
}

struct Secrets {
    by_name: [(&'static str, String); 4],
}

impl SecretStore for Secrets {
    fn credential(&self, name: &str) -> Result<Zeroizing<String>, SecretReadError> {
        let found = self.by_name.iter().find(|(known, _)| *known == name);
        found.map(|(_, secret)| Zeroizing::new(secret.clone())).ok_or(SecretReadError::NotFound)
    }

    fn file(&self, _: &Path) -> Result<Zeroizing<String>, SecretReadError> {
        Err(SecretReadError::NotFound)
    }

    fn variable(&self, _: &str) -> Result<Zeroizing<String>, SecretReadError> {
        Err(SecretReadError::NotFound)
    }
}

/// A directory that goes with the process, in memory where the system has such a place.
pub(crate) fn scratch() -> TempDir {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.expect("a scratch directory")
}

impl House {
    /// Runs `visit` in this thread's house.
    pub(crate) fn with(visit: impl FnOnce(&House)) {
        HOUSE.with_borrow_mut(|kept| {
            if kept.as_ref().is_none_or(|house| house.uses >= MAX_USES) {
                *kept = None;
                *kept = Some(Self::build());
            }
            let house = kept.as_mut().expect("just made");
            house.uses += 1;
            visit(house);
        });
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Sends a request to the public or the admin side.
    pub(crate) fn visit(&self, is_admin: bool, mut request: Request) -> Page {
        request.extensions_mut().insert(Peer([127, 0, 0, 1].into()));
        let router = if is_admin { &self.admin } else { &self.public };
        self.block_on(page(router, request))
    }

    fn build() -> Self {
        let runtime = runtime();
        let directory = scratch();
        let made = runtime.block_on(Made::new(directory.path()));
        let (intake, storing) = server::public::intake(&made.served);
        let (public, admin) = (server::public::router(&made.served, intake), server::admin::router(&made.served));
        let mut jobs = JoinSet::new();
        jobs.spawn_on(storing, runtime.handle());
        let mut house = Self {
            engine: Arc::clone(&made.served.engine),
            public,
            admin,
            invites: Vec::new(),
            session: String::new(),
            form_token: String::new(),
            uses: 0,
            _storing: jobs,
            runtime,
            _directory: directory,
        };
        house.invite();
        house.log_in();
        house
    }

    fn invite(&mut self) {
        for source in ["truv", "bridge"] {
            let order = serde_json::json!({
                "order": "invite", "source": source, "user": format!("new-{source}"), "email": "a@example.org"
            });
            let order: Order = serde_json::from_value(order).expect("an order");
            let done = self.block_on(carry_out(&self.engine, order)).expect("an invite");
            let address = done.address.expect("an address");
            let token = address.rsplit('/').next().expect("a token").to_owned();
            let begin = Request::post(format!("/connect/{token}/begin")).body(Body::empty()).expect("a request");
            let page = self.visit(false, begin);
            assert!(page.status < 400, "{} {}", page.status, page.text);
            self.invites.push(token);
        }
    }

    fn log_in(&mut self) {
        let form = Body::from(format!("token={ADMIN_TOKEN}"));
        let page = self.visit(true, Request::post("/login").body(form).expect("a request"));
        let (_, cookie) = page.head.split_once(&format!("{SET_COOKIE}: passbook=")).expect("a cookie");
        cookie.split(';').next().expect("a value").clone_into(&mut self.session);
        let with_cookie = Request::get("/").header(COOKIE, format!("passbook={}", self.session));
        let page = self.visit(true, with_cookie.body(Body::empty()).expect("a request"));
        let (_, token) = page.text.split_once("name=\"form_token\" value=\"").expect("a form");
        token.split('"').next().expect("a value").clone_into(&mut self.form_token);
    }
}

/// A store that has been filled, and what serves it.
struct Made {
    served: Served,
}

impl Made {
    async fn new(directory: &Path) -> Self {
        let clock = Clock::virtual_at(START.parse().expect("an instant"));
        let banks = BOTH.map(|serves| {
            let bank = Sandbox::new(clock.clone(), 7);
            bank.settings(|settings| {
                settings.serves = serves;
                settings.visible_immediately = true;
            });
            bank.seed_world(&Plan { links: 2, transactions_per_link: 3, ..Plan::default() });
            bank.allow_callback("ours.example");
            bank
        });
        let config = config(&banks, directory);
        let key = StoreKey::parse(KEY).expect("a key");
        let store = Store::open(OpenOptions {
            path: &config.store.path,
            access: Access::Create,
            encryption: Encryption::Secrets,
            sealer: Sealer::new(key),
            keep_raw: true,
            now: clock.now(),
        });
        let store = store.expect("a new store");
        let transport = Transport::in_process(both(&banks));
        let options = BuildOptions { store, clock, transport, seed: 7 };
        let engine = Arc::new(daemon::build(&config, options).await.expect("an engine"));
        let options =
            DaemonOptions { workers: 2, backfill_share: 50, step_deadline: config.schedule.sync_deadline, once: true };
        let daemon = Daemon::new(Arc::clone(&engine), options);
        daemon.run(CancellationToken::new()).await.expect("a filled store");
        Self { served: Served::new(engine, Waker::default(), Arc::new(config)) }
    }
}

fn config(banks: &[Sandbox; 2], directory: &Path) -> Config {
    let secrets = Secrets {
        by_name: [
            ("store-key", KEY.to_owned()),
            ("admin-token", ADMIN_TOKEN.to_owned()),
            ("truv", banks[0].truv_secret()),
            ("bridge", banks[1].bridge_client_secret()),
        ],
    };
    let text = format!(
        "[store]\npath = \"passbook.db\"\nkey = {{ credential = \"store-key\" }}\n\
         [server]\npublic_listen = \"127.0.0.1:0\"\npublic_url = \"https://ours.example\"\n\
         admin_listen = \"127.0.0.1:0\"\nadmin_token = {{ credential = \"admin-token\" }}\n\
         trusted_proxies = [\"127.0.0.1\"]\n\
         [[source]]\nname = \"truv\"\naggregator = \"truv\"\nbase_url = \"https://truv.example\"\nclient_id = \"{}\"\n\
         access_secret = {{ credential = \"truv\" }}\nrefreshes_per_day = 0\n\
         [[source]]\nname = \"bridge\"\naggregator = \"bridge\"\nbase_url = \"https://bridge.example\"\nclient_id = \"{}\"\n\
         client_secret = {{ credential = \"bridge\" }}\nwebhook_secrets = [{{ credential = \"bridge\" }}]\n",
        banks[0].truv_client_id(),
        banks[1].bridge_client_id(),
    );
    Config::parse(&text, &directory.join("passbook.toml"), &secrets).expect("a good configuration")
}

/// One router for two banks, told apart by the host that is asked.
fn both(banks: &[Sandbox; 2]) -> Router {
    let [truv, bridge] = [banks[0].router(), banks[1].router()];
    Router::new().fallback(async move |request: Request| {
        let is_truv = request.headers().get(HOST).is_some_and(|host| host == "truv.example");
        let router = if is_truv { truv } else { bridge };
        router.oneshot(request).await
    })
}

async fn page(router: &Router, request: Request) -> Page {
    let response = router.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.expect("a whole answer").to_bytes();
    let lines = parts.headers.iter().map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap_or_default()));
    Page { status: parts.status.as_u16(), head: lines.collect(), text: String::from_utf8_lossy(&bytes).into_owned() }
}
