//! How the sandbox behaves: its knobs.

use std::time::Duration;

use super::world::Served;

/// The knobs of a sandbox.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches, each named by what it does")]
pub struct Settings {
    /// Whose customers scripts make, unless they say.
    pub serves: Served,
    /// What only Bridge's side has.
    pub bridge: BridgeSettings,
    /// How webhooks are worded and delivered.
    pub webhooks: WebhookSettings,
    /// Requests a secret may make in any 60 s; `None` for no limit.
    pub request_limit: Option<usize>,
    /// Refreshes an access token may have in any 24 h, beside the connect; `None` for no limit.
    pub refresh_limit: Option<usize>,
    /// Successful tasks a client may have with `dev-` secrets.
    pub dev_task_limit: usize,
    /// How long the stages of a task take.
    pub pace: Pace,
    /// Rows a page of Truv's has when the caller does not say.
    pub default_page_size: usize,
    /// Rows a page has at most, whatever the caller asks for.
    pub max_page_size: usize,
    /// Time from request to answer.
    pub latency: Duration,
    /// Changes of the bank show at once, without a refresh.
    pub visible_immediately: bool,
    /// Transactions come in a fixed disorder instead of newest first.
    pub shuffled: bool,
    /// JSON varies from row to row as documents and samples do (types of numbers, timestamps, absent fields).
    pub oddities: bool,
    /// Creating a user whose `external_user_id` exists answers the first one instead of 400.
    pub duplicate_user_returns_existing: bool,
    /// Retrieving a deleted link answers 404 instead of the object with `deleted_at`.
    pub deleted_link_is_404: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            serves: Served::default(),
            bridge: BridgeSettings::default(),
            webhooks: WebhookSettings::default(),
            request_limit: Some(300),
            refresh_limit: Some(3),
            dev_task_limit: 50,
            pace: Pace::default(),
            default_page_size: 100,
            max_page_size: 500,
            latency: Duration::ZERO,
            visible_immediately: false,
            shuffled: false,
            oddities: true,
            duplicate_user_returns_existing: false,
            deleted_link_is_404: false,
        }
    }
}

/// How many requests Bridge's side takes, and what it does where nothing is documented (upstream/bridge.md section 15.3).
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches, each named by what it does")]
pub struct BridgeSettings {
    /// Requests an application may make in any 300 s; `None` for no limit.
    pub application_limit: Option<usize>,
    /// Requests a user may have in any 60 s, asking for tokens included; `None` for no limit.
    pub user_limit: Option<usize>,
    /// Tokens a user may get in any 60 s; `None` for no limit.
    pub token_limit: Option<usize>,
    /// 429 comes with `Retry-After`.
    pub retry_after: bool,
    /// A request without `Bridge-Version` is refused.
    pub require_version: bool,
    /// How long a token lives.
    pub token_life: Duration,
    /// Rows a page has when the caller does not say.
    pub default_limit: usize,
    /// A `limit` beyond 1 to 500 is refused; otherwise it is brought into range.
    pub refuse_bad_limit: bool,
    /// `since` takes in rows of that very instant.
    pub since_inclusive: bool,
    /// How rows that are gone appear.
    pub deleted_rows: DeletedRows,
    /// Time between two refreshes of an item by Bridge itself; `None` for none.
    pub refresh_every: Option<Duration>,
    /// How long the first refresh of a new or repaired item takes.
    pub first_refresh: Duration,
    /// A new item shows a week of history at first, and the rest this much later; `None` shows all at once.
    pub rest_of_history_after: Option<Duration>,
    /// What stands before a session's id in the address of its page; this sandbox has the pages at
    /// `/sandbox/bridge/session/`.
    pub connect_url: String,
}

impl Default for BridgeSettings {
    fn default() -> Self {
        Self {
            application_limit: Some(2000),
            user_limit: Some(60),
            token_limit: Some(10),
            retry_after: false,
            require_version: true,
            token_life: Duration::from_hours(2),
            default_limit: 50,
            refuse_bad_limit: true,
            since_inclusive: false,
            deleted_rows: DeletedRows::default(),
            refresh_every: Some(Duration::from_hours(12)),
            first_refresh: Duration::from_secs(10),
            rest_of_history_after: Some(Duration::from_mins(1)),
            connect_url: "https://connect.bridgeapi.io/session/".to_owned(),
        }
    }
}

/// How Bridge shows transactions that are gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeletedRows {
    /// Whole, when `since` or `until` is asked for.
    #[default]
    Full,
    /// The same with nothing but `id`, `deleted` and `updated_at`.
    Stub,
    /// Not at all.
    Never,
    /// Whole, in every list.
    Always,
}

/// How webhooks are worded, and what happens to them on their way.
#[derive(Clone, Debug)]
pub struct WebhookSettings {
    /// Which generation of Truv's bodies is sent.
    pub truv_form: TruvWebhookForm,
    /// How long Truv waits before each further attempt; after the last it gives up.
    pub truv_retries: Vec<Duration>,
    /// So many deliveries given up in a row, and Truv disables a production endpoint.
    pub truv_disable_after: usize,
    /// How long Bridge waits before the second attempt; each further wait is twice as long, up to six hours.
    pub bridge_first_retry: Duration,
    /// How long after the event Bridge still tries.
    pub bridge_retries_for: Duration,
    /// Time between an event and the first attempt.
    pub delay: Duration,
    /// Each event is delivered twice.
    pub twice: bool,
    /// What is taken at one time comes last event first.
    pub disorderly: bool,
    /// One event in so many is never delivered; 0 loses none, 1 loses all.
    pub lose_one_in: u32,
}

impl Default for WebhookSettings {
    fn default() -> Self {
        Self {
            truv_form: TruvWebhookForm::default(),
            truv_retries: [10, 60, 300].map(Duration::from_secs).to_vec(),
            truv_disable_after: 3,
            bridge_first_retry: Duration::from_mins(1),
            bridge_retries_for: Duration::from_hours(48),
            delay: Duration::ZERO,
            twice: false,
            disorderly: false,
            lose_one_in: 0,
        }
    }
}

/// The generations of Truv's webhook bodies (upstream/truv.md section 13.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TruvWebhookForm {
    /// `updated_at` and `template_id` on the status of tasks only.
    #[default]
    Newest,
    /// Both on every event.
    Earlier,
    /// Neither `event_created_at` nor `user_id`.
    Oldest,
}

/// How long a task stays in each status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// In `new`.
    pub new: Duration,
    /// In `login`.
    pub login: Duration,
    /// In `mfa`, for links that ask for it.
    pub mfa: Duration,
    /// In `parse`.
    pub parse: Duration,
    /// In `full_parse`.
    pub full_parse: Duration,
    /// Added to `full_parse` of the test login `longcheck`.
    pub long_check: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            new: Duration::from_secs(1),
            login: Duration::from_secs(5),
            mfa: Duration::from_secs(10),
            parse: Duration::from_secs(15),
            full_parse: Duration::from_secs(24),
            long_check: Duration::from_mins(1),
        }
    }
}

impl Pace {
    /// Tasks that are done as soon as they are made.
    pub fn instant() -> Self {
        Self {
            new: Duration::ZERO,
            login: Duration::ZERO,
            mfa: Duration::ZERO,
            parse: Duration::ZERO,
            full_parse: Duration::ZERO,
            long_check: Duration::ZERO,
        }
    }

    /// Time from creation to `done` without a second factor.
    pub fn total(&self) -> Duration {
        self.new + self.login + self.parse + self.full_parse
    }
}
