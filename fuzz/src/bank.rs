//! An aggregator that answers as a script says, asked through the one door to the network.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::header::HOST;
use passbook::aggregator::{self, Aggregator};
use passbook::clock::Clock;
use passbook::config::{Config, SecretReadError, SecretStore, SourceConfig};
use passbook::http::Transport;
use tokio::runtime::{Builder, Runtime};
use zeroize::Zeroizing;

use super::script::{Reply, Script};

/// The credential's secret.
pub(crate) const SECRET: &str = "dev-0123456789abcdefghijklmnopqrstuvwxyz";
/// Where the aggregator is.
const HOST_NAME: &str = "bank.example";
/// When everything happens.
pub(crate) const START: &str = "2026-03-02T12:00:00Z";
/// A list that has come to its end, whatever it lists.
const END: &str = r#"{"results":[],"resources":[],"accounts":[],"transactions":[]}"#;
/// Where a user's token is asked for.
const TOKENS: &str = "/v3/aggregation/authorization/token";
const TOKEN: &str = r#"{"access_token":"t-1","expires_at":"2026-03-02T14:00:00Z"}"#;

/// Which aggregator is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    Truv,
    Bridge,
}

impl Which {
    /// The `[[source]]` of a configuration, and `more` of it.
    pub(crate) fn source_text(self, more: &str) -> String {
        // What webhooks are signed with: the secret itself, or one that is configured for it.
        let (word, secret, signing) = match self {
            Self::Truv => ("truv", "access_secret", ""),
            Self::Bridge => ("bridge", "client_secret", "webhook_secrets = [{ credential = \"secret\" }]\n"),
        };
        format!(
            "[[source]]\nname = \"{word}\"\naggregator = \"{word}\"\nbase_url = \"https://{HOST_NAME}\"\n\
             client_id = \"client-1\"\n{secret} = {{ credential = \"secret\" }}\n\
             {signing}{more}\n"
        )
    }
}

/// The secrets of every configuration here.
pub(crate) struct Secrets;

impl SecretStore for Secrets {
    fn credential(&self, name: &str) -> Result<Zeroizing<String>, SecretReadError> {
        match name {
            "secret" => Ok(Zeroizing::new(SECRET.to_owned())),
            "store-key" => Ok(Zeroizing::new(super::keys::KEY.to_owned())),
            "admin-token" => Ok(Zeroizing::new(super::house::ADMIN_TOKEN.to_owned())),
            _ => Err(SecretReadError::NotFound),
        }
    }

    fn file(&self, _: &Path) -> Result<Zeroizing<String>, SecretReadError> {
        Err(SecretReadError::NotFound)
    }

    fn variable(&self, _: &str) -> Result<Zeroizing<String>, SecretReadError> {
        Err(SecretReadError::NotFound)
    }
}

/// A configured credential at one of the aggregators.
pub(crate) fn source(which: Which) -> SourceConfig {
    let store = "[store]\npath = \"passbook.db\"\nkey = { credential = \"store-key\" }\n";
    let text = format!("{store}{}", which.source_text(""));
    let config =
        Config::parse(&text, Path::new("/etc/passbook/passbook.toml"), &Secrets).expect("a good configuration");
    config.sources.into_iter().next().expect("its only source")
}

/// Time that passes as soon as nobody has anything to do.
pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}

/// Who answers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Bank(Arc<Mutex<Desk>>);

struct Desk {
    script: Script,
    asked: usize,
    /// An answer named the secret, so where it sends us next may name it too.
    told_secret: bool,
}

impl Bank {
    pub(crate) fn new(script: Script) -> Self {
        Self(Arc::new(Mutex::new(Desk { script, asked: 0, told_secret: false })))
    }

    /// How many requests came.
    pub(crate) fn asked(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).asked
    }

    /// The aggregator that is asked here.
    pub(crate) fn aggregator(&self, source: &SourceConfig, clock: &Clock) -> Aggregator {
        let bank = self.clone();
        let router = Router::new().fallback(async move |request: Request| bank.answer(&request));
        aggregator::open(source, Transport::in_process(router), clock, 7).expect("an aggregator").aggregator
    }

    fn answer(&self, request: &Request) -> Response {
        let mut desk = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        assert_stays_home(request, desk.told_secret);
        desk.asked += 1;
        // Whose question it is comes after the token.
        if request.uri().path() == TOKENS && desk.script.question != "token" {
            return respond(Reply { body: TOKEN.into(), ..Reply::default() });
        }
        let reply = desk.script.replies.pop_front().unwrap_or_else(|| Reply { body: END.into(), ..Reply::default() });
        let names_secret = |bytes: &[u8]| bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
        desk.told_secret |=
            names_secret(&reply.body) || reply.headers.values().any(|value| names_secret(value.as_bytes()));
        respond(reply)
    }
}

/// Whatever an answer says, the next request goes to the aggregator, under a plain path, and its address holds no secret.
fn assert_stays_home(request: &Request, told_secret: bool) {
    assert_eq!(request.headers()[HOST], HOST_NAME);
    let address = request.uri().to_string();
    assert!(address.starts_with('/') && (told_secret || !address.contains(SECRET)), "{address}");
    assert!(request.uri().path().split('/').all(|part| part != ".."), "{address}");
}

fn respond(reply: Reply) -> Response {
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    response
}
