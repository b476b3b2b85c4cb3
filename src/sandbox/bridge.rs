//! Bridge's side: who may ask, what is asked, and Bridge's own state (applications, tokens, sessions).
//!
//! Called by the router for every request below `/v3/`. Section numbers refer to `upstream/bridge.md`, whose marks the table
//! follows: *documented* by Bridge, *observed* in public client code, *inferred* there, or *invented* here.
//!
//! What must stay true: `updated_at` is the instant Bridge published a version, never the bank's; ids are numbers and never
//! given twice; nothing a client asks changes what the bank will do, but for connecting and deleting.
//!
//! | behaviour | origin |
//! |---|---|
//! | `Bridge-Version`, `Client-Id`, `Client-Secret` on every call, also with a bearer | documented and observed, 1.2 |
//! | 400 without the version (switch) | inferred, 15.3; code invented |
//! | 401 `invalid_client_credentials` | documented, status inferred, 3.2 |
//! | errors as `{"errors": [{code, message, property}]}`; bare by a fault | observed, 3.2 and 16.1 |
//! | codes of 400, 401, 403, 404, 405, 410, 415 and 422 beside the three known ones | invented, 3.2 |
//! | 415 without a JSON type or body, 422 for broken JSON | documented, 3.1 |
//! | 2000 requests in 300 s an application, 60 in 60 s a user, 10 tokens in 60 s a user; 429 | documented, 3.3 |
//! | no `Retry-After` (switch); windows slide; refused requests do not count; asking for a token counts for the user | inferred, 16.27 and 16.28 |
//! | `resources` and `pagination.next_uri`, which begins with `/v3/` and repeats the filters | documented and observed, 4 |
//! | no `next_uri` on the last page (faults: `null`, `"null"`, absolute, elsewhere) | inferred, 16.4 |
//! | `limit` 1 to 500, default 50; otherwise 400 (switch) | documented; refusal inferred, 4 |
//! | cursor `after`, also read as `starting_after`; refused with other filters | documented; refusal inferred, 4 and 15.3 |
//! | a cursor stands for the last row, so rows that come or go move no others | invented, 4 |
//! | users: `uuid`, optional `external_user_id`; 201; 409 for one that is taken; 204 and all data gone on deletion | documented and observed, 5 |
//! | users filtered by `external_user_id` | observed, 16.29 |
//! | a deleted user's tokens answer 401 | inferred, 5 |
//! | tokens by `user_uuid` or `external_user_id`, opaque, 2 h, 404 for unknown users; several at once | documented and observed; several inferred, 6 |
//! | connect and user management sessions: 200 with `id` and `url`; checks of their fields | documented; checks inferred, 7.1 |
//! | `user_email` needed unless the session names an item | documented and observed, 7.1 |
//! | `connect_session.callback_url_not_whitelisted`; domains below a listed one pass | observed; the latter invented, 3.2 |
//! | a session lives 30 minutes and may be used again | invented, 7.1 and 16.45 |
//! | `/sandbox/bridge/session/` in place of the hosted pages, if `connect_url` says so; 303 to the callback | invented |
//! | `POST /sandbox/bridge/connect` for those without a browser | invented |
//! | the parameters of the callback, also of a customer who leaves; a status page without a callback | documented, 7.1 and 7.2 |
//! | Demo Bank 574: its accounts and logins, dot-joined results of refreshes | documented, 13 |
//! | `otp` without a `code`: 1010, `step=otp_form` | invented, 13 |
//! | fewer accounts with `account_types` `payment` | inferred, 13 |
//! | the same login at the same bank again: a new item, new ids, the same IBANs | inferred, 16.40 |
//! | items with status, detail and a sentence in French or English; -2 and -3 during the first refresh | documented; wording and names of -2 and -3 invented, 8 |
//! | a refresh by Bridge every 12 h (switch); none can be asked for: 404 | documented as 1 to 2 a day; 404 inferred, 8.4 |
//! | consent for 180 days, then refreshes end in 1010; 1007 for a connector that is switched off | documented, 8.2 and 8.4 |
//! | items in error keep their last data; 1009 leaves securities out | inferred, 16.38; documented, 8.2 |
//! | 1100: names, descriptions and IBANs are `XXXX` | documented, 8.2 |
//! | seven days of history at first, the rest a minute later (switch) | documented; the minute inferred, 7.3 and 15.3 |
//! | accounts: fields, types, `last_refresh_status` by comparing instants | documented, 9.1 |
//! | `balance` is the accounting one; loans are negative; both further balances for payment accounts only | inferred, 16.33 and 16.35 |
//! | `data_access` `disabled`: the row stays without numbers, its transactions do not show | inferred, 16.37 |
//! | a closed account leaves the lists with its rows, which are not told as deleted | invented, 9.2 |
//! | transactions: fields, amounts as numbers without needless zeros | documented, 10.1 and 16.47 |
//! | `account_id`, `since`, `until`, `min_date`, `max_date`; other parameters ignored | documented; ignoring inferred, 10.2 and 16.56 |
//! | `since` strictly later (switch), `until` strictly earlier, dates inclusive | inferred, 16.6 and 16.7 |
//! | deleted rows only with `since` or `until`, whole (switch) | inferred, 16.8 to 16.10 |
//! | newest day first, then highest id, or in a fixed disorder | inferred, 15.3 and 16.11 |
//! | a deleted transaction by its id: 404 | invented, 10.3 |
//! | pending rows have no `booking_date`; some banks date by booking, some by the operation; some dates are left out | documented; which ones invented, 10.1 |
//! | civil days are those of UTC | invented, 16.48 |
//! | future rows: outside `balance`, inside `instant_balance` | inferred, 16.32 |
//! | `operation_type`; categories in two levels and two languages, one by its id in a list | documented; ids, names and mapping invented, 10.5 and 11.1 |
//! | providers outside `aggregation`, with filters by comma or repetition | documented; both forms inferred, 11.2 and 16.50 |
//! | stocks, with `since` also those that are gone | documented, 11.3 |
//! | an application's client secrets, any number, all of which are good until they are withdrawn | invented |
//! | webhooks of an application by type of event; made by scripts, as by the dashboard | documented, 12.1 |
//! | `item.created` when the customer submits a login; also when a script adds an item | documented; the latter invented, 12.3 |
//! | `item.refreshed` after each refresh, never for 1100; `full_refresh` when all of the history shows | documented; the latter inferred, 12.3 |
//! | `refresh_trigger` `connect` for the first refreshes of a new or repaired item, else `scheduler` | documented, 12.3 |
//! | `item.account.*` with counts, before the `item.refreshed` of the same refresh; none of an account that stayed the same | documented; the order invented, 12.3 |
//! | an account that comes back: `item.account.updated`; access granted or withdrawn is told at once | documented; at once invented, 12.3 |
//! | `item.deleted`, then `user.deleted` | documented; the order invented, 12.3 |
//! | `TEST_EVENT` with seconds, all others with milliseconds | documented, 12.1 |
//! | `BridgeApi-Signature` in capitals; a replaced secret signs too for 24 h, two at most | documented, 12.4 |
//! | all but 2xx is tried again for 48 h, after 1 min and then twice as long each time, at most 6 h (switch) | documented as one to two days, 12.5; steps invented |
//! | insights and accounts-information: 403, the product is not enabled | observed, 11.4 |

mod accounts;
mod announce;
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
mod site;
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
    secrets: Vec<ClientSecret>,
    /// Domains to which customers may be sent back.
    callback_domains: Vec<String>,
    window: Window,
}

/// One client secret of an application.
#[derive(Debug)]
struct ClientSecret {
    text: Arc<str>,
    revoked: bool,
}

impl Application {
    /// The name under which requests are logged: the first secret, whichever they came with.
    fn name(&self) -> Arc<str> {
        Arc::clone(&self.secrets[0].text)
    }

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
    endpoints: Vec<announce::Endpoint>,
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
            endpoints: Vec::new(),
        };
        bridge.add_application();
        bridge
    }

    pub(crate) fn add_application(&mut self) -> (String, String) {
        let client_id = id::draw(&mut self.rng);
        let application = Application {
            client_id,
            secrets: Vec::new(),
            callback_domains: ["localhost", "127.0.0.1", "example.com"].map(str::to_owned).to_vec(),
            window: Window::default(),
        };
        self.applications.push(application);
        (id::hex(client_id), self.add_secret(self.applications.len() - 1))
    }

    /// Issues a client secret of an application, beside those that it has.
    pub(crate) fn add_secret(&mut self, application: usize) -> String {
        let (one, two): (u128, u128) = (self.rng.random(), self.rng.random());
        let text = format!("{one:032x}{two:032x}");
        self.applications[application].secrets.push(ClientSecret { text: text.as_str().into(), revoked: false });
        text
    }

    pub(crate) fn client_id(&self) -> String {
        id::hex(self.applications[0].client_id)
    }

    pub(crate) fn secret(&self) -> String {
        self.applications[0].name().to_string()
    }

    /// Withdraws a secret.
    pub(crate) fn revoke_secret(&mut self, secret: &str) {
        let all = self.applications.iter_mut().flat_map(|application| &mut application.secrets);
        for known in all.filter(|known| &*known.text == secret) {
            known.revoked = true;
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
        let opens = |application: &Application| {
            let good = |known: &ClientSecret| &*known.text == secret && !known.revoked;
            id::parse(client_id) == Some(application.client_id) && application.secrets.iter().any(good)
        };
        self.applications.iter().position(opens)
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
        (known, _) if is_path(known) => Err(refusal(405, "method_not_allowed", "The method is not allowed here", None)),
        _ => Err(not_found()),
    }
}

/// Tells whether there is a path, whatever the method.
fn is_path(segments: &[&str]) -> bool {
    match segments {
        ["aggregation", "users" | "items" | "accounts" | "transactions" | "stocks" | "categories", rest @ ..]
        | ["providers", rest @ ..] => rest.len() < 2,
        ["aggregation", "connect-sessions" | "user-management-sessions"]
        | ["aggregation", "authorization", "token"] => true,
        _ => false,
    }
}
