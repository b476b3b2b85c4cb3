//! How the sandbox behaves: its knobs.

use std::time::Duration;

/// The knobs of a sandbox.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches, each named by what it does")]
pub struct Settings {
    /// Requests a secret may make in any 60 s; `None` for no limit.
    pub request_limit: Option<usize>,
    /// Refreshes an access token may have in any 24 h, beside the connect; `None` for no limit.
    pub refresh_limit: Option<usize>,
    /// Successful tasks a client may have with `dev-` secrets.
    pub dev_task_limit: usize,
    /// How long the stages of a task take.
    pub pace: Pace,
    /// Rows a page has when the caller does not say.
    pub default_page_size: usize,
    /// Rows a page has at most.
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
