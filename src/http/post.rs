//! Posting a message to an address that the operator chose: no aggregator, so no limiter, no credentials, no retry.

use std::fmt;
use std::time::Duration;

use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, Method};
use thiserror::Error;
use url::Url;

use super::error::{Reason, TransientCause};
use super::transport::{Outgoing, SendError, Transport, Wire};
use super::{DEFAULT_CONNECT_TIMEOUT, JSON, OUR_USER_AGENT};

/// Time for everything, from connecting to the last byte of the answer.
const POST_TIMEOUT: Duration = Duration::from_secs(15);

/// Posts JSON to one address. Its errors and its `Debug` never show the address, whose path often is the right to post there.
pub struct Poster {
    wire: Wire,
    url: Url,
}

/// Why a message was not taken.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PostError {
    /// It did not arrive: send it again.
    #[error("could not connect ({0})")]
    Unreachable(Reason),
    /// It arrived and was not taken: send it again later, and look at the receiver. A redirect is not followed.
    #[error("answered with status {0}")]
    Refused(u16),
    /// It may have been taken: send it again if twice is better than never.
    #[error("{0}, and whether it was taken is unknown")]
    Unknown(TransientCause),
    /// The request cannot be built: correct the address.
    #[error("the request cannot be built")]
    NotSent,
}

/// Why there is no poster.
#[derive(Debug, Error)]
pub enum PosterError {
    /// The address is none.
    #[error("not an address: {0}")]
    NotAnAddress(#[from] url::ParseError),
    /// The HTTP client does not start. Most often the machine has no CA certificates: install `ca-certificates`.
    #[error("the HTTP client does not start (are CA certificates installed?)")]
    Client(#[source] reqwest::Error),
}

impl Poster {
    /// Prepares for an address; sends nothing. Plain http only where the address says so, which the config allows to this
    /// machine alone.
    pub fn new(address: &str, transport: Transport) -> Result<Self, PosterError> {
        let url = Url::parse(address)?;
        let wire =
            Wire::new(transport, url.scheme() == "http", DEFAULT_CONNECT_TIMEOUT).map_err(PosterError::Client)?;
        Ok(Self { wire, url })
    }

    /// Posts `body`, once. Whatever the answer says, its status alone counts.
    pub async fn post(&self, body: Vec<u8>) -> Result<(), PostError> {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, JSON), (USER_AGENT, OUR_USER_AGENT)]);
        let outgoing = Outgoing { method: Method::POST, url: self.url.clone(), headers, body: Some(body.into()) };
        match tokio::time::timeout(POST_TIMEOUT, self.wire.send(outgoing)).await {
            Err(_) => Err(PostError::Unknown(TransientCause::TimedOut)),
            Ok(Err(SendError::NotSent(_))) => Err(PostError::NotSent),
            Ok(Err(SendError::Lost(TransientCause::Connect { reason }))) => Err(PostError::Unreachable(reason)),
            Ok(Err(SendError::Lost(cause))) => Err(PostError::Unknown(cause)),
            Ok(Ok(received)) if (200..300).contains(&received.status) => Ok(()),
            Ok(Ok(received)) => Err(PostError::Refused(received.status)),
        }
    }
}

impl fmt::Debug for Poster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poster").finish_non_exhaustive()
    }
}
