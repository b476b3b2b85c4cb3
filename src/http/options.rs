//! What a door is made of, and what an origin must be.

use std::net::IpAddr;
use std::time::Duration;

use http::HeaderMap;
use thiserror::Error;
use url::{Host, Url};

use super::document::Dialect;
use super::transport::Transport;
use crate::clock::Clock;
use crate::limits::requests::RequestLimiter;

/// Time to connect, TLS included.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The least time to connect that a config may set.
pub const MIN_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest time to connect that a config may set.
pub const MAX_CONNECT_TIMEOUT: Duration = Duration::from_mins(1);

/// Time for one attempt, from connecting to the last byte.
pub const DEFAULT_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The least time for one attempt that a config may set.
pub const MIN_REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest time for one attempt that a config may set.
pub const MAX_REQUEST_TIMEOUT: Duration = Duration::from_mins(5);

/// The deadlines of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To connect; only the network knows this one.
    pub connect: Duration,
    /// For everything, from connecting to the last byte.
    pub request: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: DEFAULT_CONNECT_TIMEOUT, request: DEFAULT_REQUEST_TIMEOUT }
    }
}

/// What a door is made of.
pub struct DoorOptions {
    /// The aggregator's base URL; a path in it is put before every path. Plain http only to loopback.
    pub origin: Url,
    /// Sent with every request, credentials among them. All are treated as secrets.
    pub headers: HeaderMap,
    /// Where requests go.
    pub transport: Transport,
    /// The budget of the credential; doors of one credential share it.
    pub limiter: RequestLimiter,
    /// How the aggregator words its errors.
    pub dialect: Dialect,
    /// What time it is.
    pub clock: Clock,
    /// The deadlines of one attempt.
    pub timeouts: Timeouts,
    /// The seed of the jitter.
    pub seed: u64,
}

/// Why a door cannot be made.
#[derive(Debug, Error)]
pub enum DoorError {
    /// The base URL is neither https nor plain http to loopback: correct it.
    #[error("the base URL must be https, or http to a loopback address")]
    InsecureOrigin,
    /// The base URL has a user, a query or a fragment: correct it.
    #[error("the base URL must have no user, password, query or fragment")]
    NotAnOrigin,
    /// The HTTP client does not start. Most often the machine has no CA certificates: install `ca-certificates`.
    #[error("the HTTP client does not start (are CA certificates installed?)")]
    Client(#[source] reqwest::Error),
}

/// Insists on https, or plain http that does not leave the machine, and on a URL that is nothing but a base.
pub(super) fn check_origin(origin: &Url) -> Result<(), DoorError> {
    let is_plain_loopback = origin.scheme() == "http" && is_loopback(origin);
    if origin.scheme() != "https" && !is_plain_loopback {
        return Err(DoorError::InsecureOrigin);
    }
    let has_user = !origin.username().is_empty() || origin.password().is_some();
    if has_user || origin.query().is_some() || origin.fragment().is_some() {
        return Err(DoorError::NotAnOrigin);
    }
    Ok(())
}

/// Whether a URL names this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_leave_the_machine_only_over_https() {
        let check = |url: &str| check_origin(&url.parse().expect("a URL"));
        for good in ["https://prod.truv.com", "http://127.0.0.1:1", "http://[::1]:1", "http://localhost/bridge/"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for insecure in
            ["http://prod.truv.com", "http://127.0.0.1.example.com", "http://localhost.example", "ftp://localhost"]
        {
            assert!(matches!(check(insecure), Err(DoorError::InsecureOrigin)), "{insecure}");
        }
        for odd in ["https://user@prod.truv.com", "https://:secret@prod.truv.com", "https://prod.truv.com/?key=1"] {
            assert!(matches!(check(odd), Err(DoorError::NotAnOrigin)), "{odd}");
        }
    }
}
