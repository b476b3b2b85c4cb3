//! What the aggregators announce, on its way to whoever configured an endpoint.
//!
//! Letters are put in here when something happens in the bank and taken out by whoever delivers them: a test, which hands
//! them to the program in virtual time, or a deliverer over the network. What was taken stays known until its answer is
//! told; what failed comes again later. What must stay true: nothing is kept while nobody has an endpoint, and nothing here
//! draws from the bank's randomness, so that a world with webhooks goes the same way as one without.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::Sandbox;
use super::id;
use super::settings::WebhookSettings;
use super::state::State;
use super::world::{Audience, News, Owner};
use crate::clock::DAY_MS;

const SEED_SALT: u64 = 0x6f75_7462_6f78;
/// Attempts the history keeps, and for how long (upstream/truv.md section 13.1).
const MAX_ATTEMPTS: usize = 2_000;
const HISTORY_MS: i64 = 30 * DAY_MS;
/// Letters that wait at once: an endpoint that is down for days must not fill a demonstration's memory.
const MAX_WAITING: usize = 50_000;
/// Bridge's waits double up to this.
const MAX_WAIT_MS: i64 = 6 * 60 * 60 * 1000;

/// One delivery of a webhook, ready to be posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingWebhook {
    /// What [`Sandbox::webhook_answered`] takes; each attempt of one delivery has the same.
    pub id: u64,
    /// Where it goes.
    pub url: String,
    /// Its headers, the signature included.
    pub headers: Vec<(String, String)>,
    /// Its body, over which it is signed.
    pub body: Vec<u8>,
}

/// Address and headers of a body.
#[derive(Debug)]
pub(crate) struct Sealed {
    url: String,
    headers: Vec<(String, String)>,
}

impl Sealed {
    pub(crate) fn new(url: &str, headers: &[(&str, &str)]) -> Self {
        let headers = headers.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        Self { url: url.to_owned(), headers: headers.collect() }
    }
}

/// Whose endpoint a letter is for: the id of Truv's, the position of Bridge's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Addressee {
    Truv(u128),
    Bridge(usize),
}

#[derive(Clone, Debug)]
struct Letter {
    id: u64,
    to: Addressee,
    body: Vec<u8>,
    written_ms: i64,
    attempts: usize,
}

/// One attempt at one of Truv's endpoints, for its history.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) endpoint: u128,
    pub(crate) url: String,
    pub(crate) at_ms: i64,
    /// `None`: nothing answered in time.
    pub(crate) status: Option<u16>,
    pub(crate) body: Vec<u8>,
}

/// Letters that wait, that are under way, and what became of those before.
#[derive(Debug)]
pub(crate) struct Outbox {
    rng: StdRng,
    next_id: u64,
    /// By the instant they are due, then in the order they were written.
    waiting: BTreeMap<(i64, u64), Letter>,
    under_way: BTreeMap<u64, (Letter, String)>,
    pub(crate) history: VecDeque<Attempt>,
}

impl Outbox {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed ^ SEED_SALT),
            next_id: 1,
            waiting: BTreeMap::new(),
            under_way: BTreeMap::new(),
            history: VecDeque::new(),
        }
    }

    fn write(&mut self, to: Addressee, body: &[u8], written_ms: i64, settings: &WebhookSettings) {
        if settings.lose_one_in > 0 && self.rng.random_ratio(1, settings.lose_one_in) {
            return;
        }
        for _ in 0..=usize::from(settings.twice) {
            let letter = Letter { id: self.next_id, to, body: body.to_vec(), written_ms, attempts: 0 };
            self.next_id += 1;
            self.wait(letter, written_ms.saturating_add(millis(settings.delay)));
        }
    }

    fn wait(&mut self, letter: Letter, until_ms: i64) {
        self.waiting.insert((until_ms, letter.id), letter);
        if self.waiting.len() > MAX_WAITING {
            self.waiting.pop_last();
        }
    }

    fn record(&mut self, attempt: Attempt) {
        let oldest_ms = attempt.at_ms - HISTORY_MS;
        self.history.push_back(attempt);
        let is_old = |attempt: &Attempt| attempt.at_ms < oldest_ms;
        while self.history.len() > MAX_ATTEMPTS || self.history.front().is_some_and(is_old) {
            self.history.pop_front();
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl State {
    /// Writes letters about what happened since the last call.
    pub(crate) fn announce(&mut self) {
        for news in std::mem::take(&mut self.bank.news) {
            let letters = self.word(&news);
            for (to, body) in letters {
                self.outbox.write(to, &body, news.at_ms, &self.settings.webhooks);
            }
        }
    }

    fn word(&mut self, news: &News) -> Vec<(Addressee, Vec<u8>)> {
        match news.owner {
            Owner::Truv(tenant) => {
                let form = self.settings.webhooks.truv_form;
                let worded = self.truv.word(&self.bank, news, tenant, form, &mut self.outbox.rng);
                worded.into_iter().map(|(endpoint, body)| (Addressee::Truv(endpoint), body)).collect()
            }
            Owner::Bridge(application) => {
                let worded = self.bridge.word(&self.bank, news, application);
                worded.into_iter().map(|(endpoint, body)| (Addressee::Bridge(endpoint), body)).collect()
            }
        }
    }

    /// Lets the bank note what happens for those who have an endpoint now.
    pub(crate) fn update_audience(&mut self) {
        self.bank.audience = Audience { truv: self.truv.has_audience(), bridge: self.bridge.has_audience() };
    }

    fn take_letters(&mut self) -> Vec<OutgoingWebhook> {
        let later = self.outbox.waiting.split_off(&(self.bank.now_ms.saturating_add(1), 0));
        let due = std::mem::replace(&mut self.outbox.waiting, later);
        let mut taken = Vec::with_capacity(due.len());
        for letter in due.into_values() {
            let sealed = match letter.to {
                Addressee::Truv(endpoint) => self.truv.seal(endpoint, &letter.body),
                Addressee::Bridge(endpoint) => self.bridge.seal(endpoint, &letter.body, self.bank.now_ms),
            };
            // Whoever removed or disabled the endpoint meanwhile wants no more of it.
            let Some(Sealed { url, headers }) = sealed else { continue };
            taken.push(OutgoingWebhook { id: letter.id, url: url.clone(), headers, body: letter.body.clone() });
            self.outbox.under_way.insert(letter.id, (letter, url));
        }
        if self.settings.webhooks.disorderly {
            taken.reverse();
        }
        taken
    }

    fn answered(&mut self, id: u64, status: Option<u16>) {
        let Some((mut letter, url)) = self.outbox.under_way.remove(&id) else { return };
        let now_ms = self.bank.now_ms;
        let arrived = status.is_some_and(|status| (200..300).contains(&status));
        letter.attempts += 1;
        if let Addressee::Truv(endpoint) = letter.to {
            self.outbox.record(Attempt { endpoint, url, at_ms: now_ms, status, body: letter.body.clone() });
        }
        let again = if arrived { None } else { next_attempt_ms(&letter, now_ms, &self.settings.webhooks) };
        match (again, letter.to) {
            (Some(again_ms), _) => self.outbox.wait(letter, again_ms),
            (None, Addressee::Truv(endpoint)) => {
                self.truv.note_delivery(endpoint, arrived, self.settings.webhooks.truv_disable_after);
                self.update_audience();
            }
            (None, Addressee::Bridge(_)) => {}
        }
    }
}

/// When a letter that did not arrive goes out again; `None` when its aggregator gives up.
fn next_attempt_ms(letter: &Letter, now_ms: i64, settings: &WebhookSettings) -> Option<i64> {
    match letter.to {
        Addressee::Truv(_) => settings.truv_retries.get(letter.attempts - 1).map(|wait| now_ms + millis(*wait)),
        Addressee::Bridge(_) => {
            let doublings = u32::try_from(letter.attempts - 1).unwrap_or(u32::MAX).min(30);
            let wait_ms = millis(settings.bridge_first_retry).saturating_mul(1 << doublings).min(MAX_WAIT_MS);
            let again_ms = now_ms.saturating_add(wait_ms);
            (again_ms - letter.written_ms <= millis(settings.bridge_retries_for)).then_some(again_ms)
        }
    }
}

/// Webhooks: who gets them, and their delivery.
impl Sandbox {
    /// Configures an endpoint of Truv's default client for every event of its sandbox environment.
    ///
    /// As `POST /v1/webhooks/` does; the same address again takes the place of the first.
    pub fn set_truv_webhook(&self, url: &str) {
        let state = &mut *self.lock();
        let id = id::draw(&mut state.outbox.rng);
        state.truv.set_webhook(id, url, state.bank.now_ms);
        state.update_audience();
    }

    /// Configures an endpoint of Bridge's default application for every type of event; answers its secret.
    pub fn add_bridge_webhook(&self, url: &str) -> String {
        self.add_bridge_webhook_for(url, &[])
    }

    /// The same for some types of events only, e.g. `item.refreshed`; none for all.
    pub fn add_bridge_webhook_for(&self, url: &str, types: &[&str]) -> String {
        let state = &mut *self.lock();
        let secret = state.bridge.add_endpoint(url, types);
        state.update_audience();
        secret
    }

    /// Gives Bridge's endpoint at `url` a new secret; answers it. For a day what is sent is signed with the old one too.
    pub fn rotate_bridge_webhook(&self, url: &str) -> String {
        let state = &mut *self.lock();
        let now_ms = state.bank.now_ms;
        state
            .bridge
            .rotate_endpoint(url, now_ms)
            .unwrap_or_else(|| panic!("no endpoint of Bridge's has the address {url}"))
    }

    /// Sends Bridge's test event to its endpoint at `url`, as the dashboard's button does.
    pub fn test_bridge_webhook(&self, url: &str) {
        let state = &mut *self.lock();
        for (endpoint, body) in state.bridge.word_test(&state.bank, url) {
            let now_ms = state.bank.now_ms;
            state.outbox.write(Addressee::Bridge(endpoint), &body, now_ms, &state.settings.webhooks);
        }
    }

    /// Takes out what is due to be delivered now.
    ///
    /// Shape: in the order of the events, unless a switch wants disorder; each stays known until
    /// [`Sandbox::webhook_answered`] tells what came of it, and is not handed out again before.
    pub fn take_webhooks(&self) -> Vec<OutgoingWebhook> {
        self.lock().take_letters()
    }

    /// Tells what answered a delivery: a status, or `None` for nothing in time. All but 2xx is tried again later.
    pub fn webhook_answered(&self, id: u64, status: Option<u16>) {
        self.lock().answered(id, status);
    }
}
