//! A stand-in for the aggregators: a bank's state, served as they would serve it.
//!
//! For tests (the router is called in process, in virtual time), for demonstrations and benchmarks (bound to a port).
//! It imports nothing of the program but the clock and has its own JSON, so that a misreading in the client cannot
//! hide in a shared type. Everything is in memory and, for one seed and one sequence of calls, deterministic. What must stay
//! true: the limits are enforced strictly; time comes from the [`Clock`] alone; data endpoints show what the last finished
//! refresh brought; a customer belongs to one aggregator, and the other never sees them.
//!
//! A link made by a script is in its building phase until somebody first reads or refreshes it over HTTP: what is added
//! until then is part of the first snapshot. Generated and loaded worlds are published as they are made. Scripts make
//! customers of [`Settings::serves`], so that one script tests both aggregators; Truv's clients start refreshes over HTTP,
//! at Bridge [`Sandbox::refresh_item`] and time do.
//!
//! The bank lives in `world`, Truv's side in `truv`, Bridge's in `bridge`; faults, limits and the request log are shared.
//!
//! # Where each behaviour comes from
//!
//! This is the table of Truv's side; that of Bridge's stands in `sandbox/bridge.rs`. *Documented* and *observed* (in public client code) refer to sections of `upstream/truv.md`; *inferred* is that document's judgement;
//! *invented* is ours, to have something where nothing is known.
//!
//! | behaviour | origin |
//! |---|---|
//! | headers `X-Access-Client-Id`, `X-Access-Secret`; secret `<env>-` + 40 hex; environments kept apart | documented, 1 |
//! | trailing slash optional on every path | observed, 1 |
//! | error envelope, `extra.invalid-params` on 400, `{"detail": "Not Found."}` on 404 | documented, 3.1 |
//! | 401 `authentication_failed`, 403 `not_authenticated` across environments, 404 across clients | documented, 3.1 |
//! | 405, 406 and 415 with a `detail` | status documented, body invented, 3.1 |
//! | 300 requests a minute a secret; 429 `throttled`, `Retry-After`, newest text | documented and observed, 2 and 20.5 |
//! | sliding window, throttled requests not counted, requests without a valid secret not counted | inferred (DRF), 2 |
//! | 3 refreshes a rolling 24 h a token after the connect, exact text, no `Retry-After` | documented; window inferred, 2, 20.6 and 20.7 |
//! | a `dev-` secret stops at 50 successful tasks | limit documented, 1; 403 `task_limit_exceeded` invented |
//! | users: create, list, retrieve, patch, delete; 201 on create; names optional | documented and observed, 4, 20.10 |
//! | a second user with the same `external_user_id`: 400, or the first one again | inferred, 20.9 |
//! | user list carries links unless `list_links=false`, retrieve does with `list_links=true` | observed; defaults invented, 4 |
//! | bridge tokens, 6 h; update mode with `access_token`; 201 | documented, 5; status inferred, 20.11 |
//! | `/sandbox/widget/bridge.js`: `TruvBridge.init`, its options and callbacks, `open`, `close` | documented and observed, 15 |
//! | events LOAD, OPEN, SCREEN_VIEW, LINK_CREATED, LOGIN_COMPLETE, SUCCESS, ERROR, CLOSE and their payloads | documented; which screens, and the order, invented, 15 |
//! | ERROR holds its members in `error` and beside it | the documents and the apps differ, 15 |
//! | `onSuccess` at once, `onClose` also after `close()` | invented, 15 |
//! | the widget is a frame of the sandbox's own origin; its pages and words | invented |
//! | `POST /sandbox/connect` in place of the widget, for those without a browser | invented |
//! | test logins: `goodlogin` and its passwords, `error.user`, any other fails | documented, 16 |
//! | `error.user` with another status as its password ends in that status | inferred, 16 |
//! | the same user, provider and user name connect to the same link | documented, 6 |
//! | exchange once, 6 h, then 410 `expired_token`; unknown 403 `incorrect_token` | documented; unknown inferred, 6, 20.1 and 20.2 |
//! | links: token masked with 28 asterisks unless filtered by `user_id` | documented, 7 |
//! | deleted link: data 404, retrieve 200 with `deleted_at` (or 404), still listed | inferred, 7 and 20.26 |
//! | `status` of a link is that of its last task | documented, 7 |
//! | task machine new, login, mfa, parse, full_parse, done and the error states | documented, 8.1 |
//! | durations of the stages | documented as minutes, 8.1; the 45 s default invented |
//! | refresh answers `task_id`, the task then has `id`; `product_type` optional | documented and observed, 8.3 |
//! | refresh with an unknown token: 404 | inferred, 3.1 |
//! | data is the snapshot of the last finished task, also while a refresh runs or after it failed | inferred, 20.42 |
//! | balances paged, auth with ACH, RTP and OTHERS not paged | documented, 9 |
//! | balance of a card or loan is what is owed, available is what is left of the limit; none for loans and investments | invented, 9 |
//! | `is_open` false is never shown: a closed account leaves the lists with its rows | invented, 9 |
//! | transactions: shape, `account_ids`, `account_types`, `categories` | documented, 10 |
//! | `transacted_at_from`, `transacted_at_to`: inclusive, dates or date-times, on `transacted_at` | observed and inferred, 10 and 20.15 |
//! | page size 100, at most 500, below 1 refused; page beyond the end 404 `Invalid page.` | inferred, 20.13 and 20.14 |
//! | newest first, or shuffled | inferred, 20.17 |
//! | amount without a sign, the sign in `type`; MEMO rows with amount 0 | documented (samples); MEMO amount invented, 10 and 20.21 |
//! | code as number or string, coordinates as number or string or null, three styles of timestamps | documented, 1 and 10 |
//! | absent optional fields, unknown extra fields | invented (parsers must survive them) |
//! | pending rows post under the same id, or vanish and come under a new one; ids issued anew; silent removal | inferred, 20.18 to 20.20 |
//! | a data set's balances are the opening balance plus the rows, also where the bank rounded otherwise | invented |
//! | webhooks: endpoints of one client by environment and event; a URL twice in one environment: 400 on `env_type` | documented, 13.1 |
//! | an endpoint without a list of events gets all | invented, 13.1 |
//! | `task-status-updated` at every status, `new` included; a failed connect without a link has none | documented; `new` and the latter inferred, 13.3 |
//! | `link-connected` when a connect's login is over, `link-deleted` at once | documented; the instants invented, 13.3 |
//! | `link-disconnected` at the first refresh that meets a login only the customer can repair | documented; the instant and once invented, 13.3 |
//! | three generations of bodies; two styles of instants in one body | documented and observed, 13.3 |
//! | `X-WEBHOOK-SIGN` over the raw body with the environment's first good secret; `User-Agent` | documented; which secret inferred, 13.2 and 20.29 |
//! | `webhook_id` for each endpoint and event, the same at every attempt | inferred, 20.27 and 20.28 |
//! | all but 2xx is tried again after 10, 60 and 300 s (switch) | inferred, 20.27 |
//! | a production endpoint is disabled after three deliveries given up; `PATCH` enables it | documented; the number invented, 13.1 |
//! | `GET /v1/webhook-requests/` by cursor, 30 days | documented; the cursor's form invented, 13.1 |
//! | twice, disorderly, late or lost webhooks (switches) | documented as possible, 13.2 |
//! | providers searched by `query`; other parameters ignored | observed, 14 |

mod bridge;
mod fault;
mod id;
mod outbox;
mod pages;
mod reply;
mod script;
mod settings;
mod state;
mod traffic;
mod truv;
mod wire;
mod world;
mod write;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::clock::Clock;

pub use fault::{Fault, FaultId, Scope, ThrottleForm};
pub use id::{AccountId, LinkId, NotAnId, StockId, TransactionId, UserId};
pub use outbox::OutgoingWebhook;
pub use settings::{BridgeSettings, DeletedRows, Pace, Settings, TruvWebhookForm, WebhookSettings};
pub use traffic::{Logged, Refreshes};
pub use truv::Environment;
pub use world::{
    Bank, DatasetError, DatasetOptions, DatasetProblem, DeferredDebit, LivingPlan, Loaded, NewAccount, NewStock,
    NewTransaction, Plan, PostStyle, Reissue, Served, Status, TrueAccount, TrueLink, TrueTransaction, World,
};

use state::State;

/// The stand-in. Cheap to clone; clones share one bank.
#[derive(Clone, Debug)]
pub struct Sandbox {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    clock: Clock,
    state: Mutex<State>,
}

impl Sandbox {
    /// An empty bank in the time of `clock`; the same seed gives the same ids and the same world.
    ///
    /// A test that sets the program's clock back gives the sandbox a clock of its own: an aggregator's time runs on.
    pub fn new(clock: Clock, seed: u64) -> Self {
        let state = Mutex::new(State::new(seed, clock.now_ms()));
        Self { inner: Arc::new(Inner { clock, state }) }
    }

    /// The HTTP side: Truv under `/v1/`, Bridge under `/v3/`, and what customers use in their browsers under `/sandbox/`.
    ///
    /// In place of Truv's widget there is `/sandbox/widget/bridge.js`, and `/sandbox/connect` for those without a browser; in
    /// place of Bridge's hosted pages `/sandbox/bridge/session/`, and `/sandbox/bridge/connect`.
    pub fn router(&self) -> axum::Router {
        bridge::router(self).merge(pages::router()).merge(truv::router(self))
    }

    /// The client id of the default client.
    pub fn truv_client_id(&self) -> String {
        self.lock().truv.default_client_id()
    }

    /// The first secret of the default client, for the sandbox environment.
    pub fn truv_secret(&self) -> String {
        self.lock().truv.default_secret()
    }

    /// The client id of the default application.
    pub fn bridge_client_id(&self) -> String {
        self.lock().bridge.client_id()
    }

    /// The first client secret of the default application; its requests are logged under it, whichever they came with.
    pub fn bridge_client_secret(&self) -> String {
        self.lock().bridge.secret()
    }

    /// Makes another application of Bridge's; answers its client id and secret.
    pub fn add_bridge_application(&self) -> (String, String) {
        self.lock().bridge.add_application()
    }

    /// Issues another client secret of Bridge's default application, beside those that it has.
    pub fn add_bridge_secret(&self) -> String {
        self.lock().bridge.add_secret(0)
    }

    /// Allows Bridge's default application another domain for callbacks, beside `localhost`, `127.0.0.1` and `example.com`.
    pub fn allow_callback(&self, domain: &str) {
        self.lock().bridge.allow_callback(domain);
    }

    /// Issues another secret of the default client; users and links of another environment are another world.
    pub fn add_secret(&self, environment: Environment) -> String {
        let state = &mut *self.lock();
        state.truv.add_secret(&mut state.bank.rng, environment)
    }

    /// Makes another client; answers its id and a sandbox secret.
    pub fn add_client(&self) -> (String, String) {
        let state = &mut *self.lock();
        state.truv.add_client(&mut state.bank.rng)
    }

    /// Withdraws a secret: every later request with it gets 401.
    pub fn revoke_secret(&self, secret: &str) {
        let mut state = self.lock();
        state.truv.revoke_secret(secret);
        state.bridge.revoke_secret(secret);
    }

    /// Lets every token that was issued so far expire now: Truv's bridge and public tokens, Bridge's access tokens.
    pub fn expire_tokens(&self) {
        let mut state = self.lock();
        state.truv.expire_tokens();
        state.bridge.expire_tokens();
    }

    /// Changes how the sandbox behaves.
    pub fn settings(&self, change: impl FnOnce(&mut Settings)) {
        let state = &mut *self.lock();
        let refresh_every = state.settings.bridge.refresh_every;
        change(&mut state.settings);
        state.bank.serves = state.settings.serves;
        if state.settings.bridge.refresh_every != refresh_every {
            state.replan_refreshes();
        }
    }

    /// Switches a fault on for the requests in `scope`.
    pub fn fault(&self, fault: Fault, scope: Scope) -> FaultId {
        self.lock().faults.add(fault, scope)
    }

    /// Switches one fault off.
    pub fn clear_fault(&self, fault: FaultId) {
        self.lock().faults.remove(fault);
    }

    /// Switches every fault off.
    pub fn clear_faults(&self) {
        self.lock().faults.clear();
    }

    /// The bank as it is, whether readers can see it yet or not.
    pub fn truth(&self) -> World {
        self.lock().world(true)
    }

    /// One link as it is, which copies less than [`Sandbox::truth`].
    pub fn true_link(&self, link: LinkId) -> TrueLink {
        let state = &mut *self.lock();
        let at = state.bank.link_at(link);
        state.true_link(at, true)
    }

    /// The bank as readers of the API see it now.
    pub fn served(&self) -> World {
        let state = &mut *self.lock();
        let immediately = state.settings.visible_immediately;
        state.world(immediately)
    }

    /// Every request, oldest first, also refused and faulty ones; the oldest are dropped beyond a bound.
    pub fn request_log(&self) -> Vec<Logged> {
        self.lock().traffic.log()
    }

    /// Forgets the request log; limits stay.
    pub fn clear_request_log(&self) {
        self.lock().traffic.clear();
    }

    /// The most requests with `secret` that were received within any span of `window`, 429s included.
    pub fn worst_window(&self, secret: &str, window: SignedDuration) -> usize {
        self.lock().traffic.worst_window(secret, window)
    }

    /// The most requests of Bridge's default application that were received within any span of `window`, 429s included.
    pub fn bridge_worst_window(&self, window: SignedDuration) -> usize {
        let state = self.lock();
        let secret = state.bridge.secret();
        state.traffic.worst_window(&secret, window)
    }

    /// The most requests for any one Bridge user that were received within any span of `window`, 429s included.
    pub fn bridge_worst_user_window(&self, window: SignedDuration) -> usize {
        self.lock().traffic.worst_user_window(window)
    }

    /// How many requests were answered with 429, by limits or by faults.
    pub fn throttled_count(&self) -> usize {
        self.lock().traffic.count(429)
    }

    /// Accepted refreshes by access token.
    pub fn refreshes(&self) -> Vec<Refreshes> {
        let state = &*self.lock();
        state.truv.refreshes(&state.bank)
    }

    /// The instant the sandbox lives in.
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// The state, brought up to the present.
    fn lock(&self) -> MutexGuard<'_, State> {
        // A script that panicked on a wrong id leaves the state usable: it panics before it changes anything.
        let mut state = self.inner.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.advance(self.inner.clock.now_ms());
        state
    }
}
