//! Truv's side: who may ask, what is asked, and Truv's own state (tokens, tasks, webhooks).
//!
//! Called by the router for every request. Section numbers refer to `upstream/truv.md`.

mod accounts;
mod announce;
mod door;
mod history;
mod json;
mod links;
mod paging;
mod reply;
mod rows;
mod tasks;
mod tokens;
mod transactions;
mod users;
mod webhooks;
mod widget;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rand::RngExt;
use rand::rngs::StdRng;

use super::id;
use super::state::State;
use super::world::Owner;
use reply::{Answer, Call, Reply};

pub(crate) use door::router;

/// The environment a secret opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// Test logins only.
    Sandbox,
    /// Real logins, few successful tasks.
    Dev,
    /// Production.
    Prod,
}

impl Environment {
    /// The word in secrets and webhooks.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Dev => "dev",
            Self::Prod => "prod",
        }
    }
}

/// A client in one environment: what a secret opens.
#[derive(Debug)]
struct Tenant {
    client: usize,
    environment: Environment,
    successful_tasks: usize,
}

#[derive(Debug)]
struct Secret {
    text: Arc<str>,
    tenant: usize,
    revoked: bool,
}

/// Truv's own state.
#[derive(Debug)]
pub(crate) struct Truv {
    clients: Vec<u128>,
    tenants: Vec<Tenant>,
    secrets: Vec<Secret>,
    tasks: Vec<tasks::Task>,
    task_index: HashMap<u128, usize>,
    refreshes: HashMap<usize, Vec<i64>>,
    bridge_tokens: HashMap<u128, tokens::BridgeToken>,
    public_tokens: HashMap<u128, tokens::PublicToken>,
    webhooks: Vec<webhooks::Webhook>,
    /// Links whose broken login was announced.
    disconnected: HashSet<usize>,
}

impl Truv {
    pub(crate) fn new(rng: &mut StdRng) -> Self {
        let mut truv = Self {
            clients: Vec::new(),
            tenants: Vec::new(),
            secrets: Vec::new(),
            tasks: Vec::new(),
            task_index: HashMap::new(),
            refreshes: HashMap::new(),
            bridge_tokens: HashMap::new(),
            public_tokens: HashMap::new(),
            webhooks: Vec::new(),
            disconnected: HashSet::new(),
        };
        truv.add_client(rng);
        truv
    }

    pub(crate) fn default_client_id(&self) -> String {
        id::hex(self.clients[0])
    }

    pub(crate) fn default_secret(&self) -> String {
        self.secrets[0].text.to_string()
    }

    pub(crate) fn add_client(&mut self, rng: &mut StdRng) -> (String, String) {
        let client = self.clients.len();
        self.clients.push(id::draw(rng));
        let secret = self.issue(rng, client, Environment::Sandbox);
        (id::hex(self.clients[client]), secret)
    }

    pub(crate) fn add_secret(&mut self, rng: &mut StdRng, environment: Environment) -> String {
        self.issue(rng, 0, environment)
    }

    fn issue(&mut self, rng: &mut StdRng, client: usize, environment: Environment) -> String {
        let known = self.tenants.iter().position(|t| t.client == client && t.environment == environment);
        let tenant = known.unwrap_or_else(|| {
            self.tenants.push(Tenant { client, environment, successful_tasks: 0 });
            self.tenants.len() - 1
        });
        let (long, short): (u128, u32) = (rng.random(), rng.random());
        let text = format!("{}-{long:032x}{short:08x}", environment.as_str());
        self.secrets.push(Secret { text: text.as_str().into(), tenant, revoked: false });
        text
    }

    pub(crate) fn revoke_secret(&mut self, secret: &str) {
        for known in self.secrets.iter_mut().filter(|known| &*known.text == secret) {
            known.revoked = true;
        }
    }

    pub(crate) fn tenant_of(&self, secret: &str) -> Option<usize> {
        self.secrets.iter().find(|known| &*known.text == secret).map(|known| known.tenant)
    }

    /// The secret and tenant that two header values open, if they do.
    fn admit(&self, client_id: &str, secret: &str) -> Option<(Arc<str>, usize)> {
        let known = self.secrets.iter().find(|known| &*known.text == secret && !known.revoked)?;
        let client = self.clients[self.tenants[known.tenant].client];
        (id::parse(client_id) == Some(client)).then(|| (Arc::clone(&known.text), known.tenant))
    }

    /// Lets a tenant at what `owner` owns; 403 across environments, 404 across clients and aggregators (3.1).
    fn may(&self, tenant: usize, owner: Owner) -> Result<(), Reply> {
        match owner {
            Owner::Truv(owner) if owner == tenant => Ok(()),
            Owner::Truv(owner) if self.tenants[tenant].client == self.tenants[owner].client => {
                Err(Reply::error(403, "not_authenticated", "You do not have permission to perform this action."))
            }
            Owner::Truv(_) | Owner::Bridge(_) => Err(Reply::not_found()),
        }
    }
}

/// Answers an admitted request.
fn dispatch(state: &mut State, call: &Call) -> Answer {
    let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
    let method = call.method.as_str();
    match (segments.as_slice(), method) {
        (["users"], "GET") => users::list(state, call),
        (["users"], "POST") => users::create(state, call),
        (["users", id], "GET") => users::retrieve(state, call, id),
        (["users", id], "PATCH") => users::update(state, call, id),
        (["users", id], "DELETE") => users::delete(state, call, id),
        (["users", id, "tokens"], "POST") => tokens::create_bridge_token(state, call, id),
        (["link-access-tokens"], "POST") => tokens::exchange(state, call),
        (["links"], "GET") => links::list(state, call),
        (["links", id], "GET") => links::retrieve(state, call, id),
        (["links", id], "DELETE") => links::delete(state, call, id),
        (["links", id, "balances"], "GET") => accounts::balances(state, call, id),
        (["links", id, "auth"], "GET") => accounts::auth(state, call, id),
        (["links", id, "transactions"], "GET") => transactions::list(state, call, id),
        (["tasks"], "GET") => tasks::list(state, call),
        (["tasks", id], "GET") => tasks::retrieve(state, call, id),
        (["refresh", "tasks"], "POST") => tasks::refresh(state, call),
        (["refresh", "tasks", id], "GET") => tasks::retrieve_refresh(state, call, id),
        (["providers"], "GET") => Ok(links::providers(call)),
        (["providers", id], "GET") => links::provider(id),
        (["webhooks"], "GET") => Ok(webhooks::list(state, call)),
        (["webhooks"], "POST") => webhooks::create(state, call),
        (["webhooks", id], "GET") => webhooks::retrieve(state, call, id),
        (["webhooks", id], "PATCH") => webhooks::update(state, call, id),
        (["webhooks", id], "DELETE") => webhooks::delete(state, call, id),
        (["webhook-requests"], "GET") => history::list(state, call),
        (
            ["users" | "links" | "tasks" | "providers" | "webhooks" | "webhook-requests" | "link-access-tokens"]
            | ["users" | "links" | "tasks" | "providers" | "webhooks", _]
            | ["users", _, "tokens"]
            | ["links", _, "balances" | "auth" | "transactions"]
            | ["refresh", "tasks"]
            | ["refresh", "tasks", _],
            _,
        ) => Err(Reply::detail(405, &format!("Method \"{method}\" not allowed."))),
        _ => Err(Reply::not_found()),
    }
}
