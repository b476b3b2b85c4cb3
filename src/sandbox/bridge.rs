//! Bridge's side: who may ask, what is asked, and Bridge's own state (applications, tokens, sessions).
//!
//! Called by the router for every request below `/v3/`. Section numbers refer to `upstream/bridge.md`.

mod accounts;
mod categories;
mod connect;
mod door;
mod iban;
mod items;
mod lists;
mod providers;
mod refresh;
mod reply;
mod rows;
mod sessions;
mod stocks;
mod transactions;
mod truth;
mod users;
mod view;
mod words;

use std::collections::HashMap;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::id;
use super::state::State;
use super::traffic::Window;
use reply::{Answer, Call, not_found, refusal};
use view::UserView;

pub(crate) use door::router;
pub(crate) use refresh::{Step, regular};
pub(crate) use truth::true_link;

/// Apart from the bank's, so that what clients ask changes nothing in the bank's future.
const SEED_SALT: u64 = 0x6272_6964_6765;

/// One application of Bridge's customers.
#[derive(Debug)]
struct Application {
    client_id: u128,
    secret: Arc<str>,
    revoked: bool,
    /// Domains to which customers may be sent back.
    callback_domains: Vec<String>,
    window: Window,
}

impl Application {
    /// Tells whether a host is one of the domains or below one.
    fn allows_callback(&self, host: &str) -> bool {
        self.callback_domains
            .iter()
            .any(|domain| host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
    }
}

/// The request windows of one user.
#[derive(Debug, Default)]
struct UserWindows {
    requests: Window,
    tokens: Window,
}

/// Bridge's own state.
#[derive(Debug)]
pub(crate) struct Bridge {
    rng: StdRng,
    applications: Vec<Application>,
    tokens: HashMap<String, users::Token>,
    purge_tokens_at: usize,
    windows: HashMap<usize, UserWindows>,
    views: HashMap<usize, Arc<UserView>>,
    sessions: HashMap<u128, sessions::Session>,
}

impl Bridge {
    pub(crate) fn new(seed: u64) -> Self {
        let mut bridge = Self {
            rng: StdRng::seed_from_u64(seed ^ SEED_SALT),
            applications: Vec::new(),
            tokens: HashMap::new(),
            purge_tokens_at: 1024,
            windows: HashMap::new(),
            views: HashMap::new(),
            sessions: HashMap::new(),
        };
        bridge.add_application();
        bridge
    }

    pub(crate) fn add_application(&mut self) -> (String, String) {
        let (client_id, one, two): (_, u128, u128) = (id::draw(&mut self.rng), self.rng.random(), self.rng.random());
        let secret = format!("{one:032x}{two:032x}");
        let application = Application {
            client_id,
            secret: secret.as_str().into(),
            revoked: false,
            callback_domains: ["localhost", "127.0.0.1", "example.com"].map(str::to_owned).to_vec(),
            window: Window::default(),
        };
        self.applications.push(application);
        (id::hex(client_id), secret)
    }

    pub(crate) fn client_id(&self) -> String {
        id::hex(self.applications[0].client_id)
    }

    pub(crate) fn secret(&self) -> String {
        self.applications[0].secret.to_string()
    }

    /// Withdraws a secret.
    pub(crate) fn revoke_secret(&mut self, secret: &str) {
        for application in self.applications.iter_mut().filter(|application| &*application.secret == secret) {
            application.revoked = true;
        }
    }

    /// Allows another domain for callbacks of the default application.
    pub(crate) fn allow_callback(&mut self, domain: &str) {
        self.applications[0].callback_domains.push(domain.to_owned());
    }

    /// Keeps a session; answers its id. Those that are over are forgotten.
    fn open_session(&mut self, session: sessions::Session, now_ms: i64) -> u128 {
        self.sessions.retain(|_, session| session.expires_ms > now_ms - sessions::SESSION_LIFE_MS);
        let id = id::draw_uuid(&mut self.rng);
        self.sessions.insert(id, session);
        id
    }

    /// Forgets what was kept for a user who is gone.
    fn forget(&mut self, user: usize) {
        self.views.remove(&user);
        self.windows.remove(&user);
    }

    /// The application that two header values open, if they do.
    fn admit(&self, client_id: &str, secret: &str) -> Option<usize> {
        let at = self.applications.iter().position(|application| &*application.secret == secret)?;
        let application = &self.applications[at];
        (!application.revoked && id::parse(client_id) == Some(application.client_id)).then_some(at)
    }
}

/// Answers an admitted request.
fn dispatch(state: &mut State, call: &Call) -> Answer {
    let segments: Vec<&str> = call.path.split('/').filter(|part| !part.is_empty()).skip(1).collect();
    match (segments.as_slice(), call.method.as_str()) {
        (["aggregation", "users"], "GET") => users::list(state, call),
        (["aggregation", "users"], "POST") => users::create(state, call),
        (["aggregation", "users", id], "GET") => users::retrieve(state, call, id),
        (["aggregation", "users", id], "DELETE") => users::delete(state, call, id),
        (["aggregation", "authorization", "token"], "POST") => users::authorize(state, call),
        (["aggregation", "items"], "GET") => items::list(state, call),
        (["aggregation", "items", id], "GET") => items::retrieve(state, call, id),
        (["aggregation", "items", id], "DELETE") => items::delete(state, call, id),
        (["aggregation", "accounts"], "GET") => accounts::list(state, call),
        (["aggregation", "accounts", id], "GET") => accounts::retrieve(state, call, id),
        (["aggregation", "transactions"], "GET") => transactions::list(state, call),
        (["aggregation", "transactions", id], "GET") => transactions::retrieve(state, call, id),
        (["aggregation", "connect-sessions"], "POST") => sessions::connect(state, call),
        (["aggregation", "user-management-sessions"], "POST") => sessions::manage(state, call),
        (["aggregation", "stocks"], "GET") => stocks::list(state, call),
        (["aggregation", "stocks", id], "GET") => stocks::retrieve(state, call, id),
        (["providers"], "GET") => providers::list(state, call),
        (["providers", id], "GET") => providers::retrieve(state, id),
        (["aggregation", "categories"], "GET") => categories::list(&state.settings, call),
        (["aggregation", "categories", id], "GET") => categories::retrieve(call, id),
        // Products the application does not have (11.4).
        (["aggregation", "accounts-information"] | ["aggregation", "insights", "category"], "GET") => {
            Err(refusal(403, "product_not_enabled", "This product is not enabled for the application", None))
        }
        (
            ["aggregation", "users" | "items" | "accounts" | "transactions" | "stocks" | "categories"]
            | ["aggregation", "users" | "items" | "accounts" | "transactions" | "stocks" | "categories", _]
            | ["aggregation", "connect-sessions" | "user-management-sessions"]
            | ["aggregation", "authorization", "token"]
            | ["providers"]
            | ["providers", _],
            _,
        ) => Err(refusal(405, "method_not_allowed", "The method is not allowed here", None)),
        _ => Err(not_found()),
    }
}
