//! How a request travels: over the network, or into a router in this process.
//!
//! Both read the body under the same cap while it streams, and neither knows of retries. Deadlines are the caller's, by
//! `tokio::time`, so that they pass in virtual time too.

use std::fmt;
use std::sync::Once;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::header::HOST;
use http::{HeaderMap, HeaderValue, Method};
use http_body_util::BodyExt;
use tower::ServiceExt;
use url::Url;

use super::error::{NotSentReason, Reason, TransientCause};

/// The largest body that is read, after decompression.
pub const MAX_BODY_BYTES: usize = 32 * 1024 * 1024;

/// A server may drop an idle connection at any moment, and a POST sent into that is lost. So idle ones are not kept.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// Where requests go.
#[derive(Clone)]
pub struct Transport(Kind);

#[derive(Clone)]
enum Kind {
    Network,
    InProcess(Router),
}

impl Transport {
    /// Over the network, without proxies from the environment, with TLS 1.2 or newer.
    pub fn network() -> Self {
        Self(Kind::Network)
    }

    /// Into `router`, without sockets: works in paused time. Nothing is compressed on this way.
    pub fn in_process(router: Router) -> Self {
        Self(Kind::InProcess(router))
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Network => "Network",
            Kind::InProcess(_) => "InProcess",
        })
    }
}

/// A transport that is ready for one origin.
pub(super) enum Wire {
    Network(reqwest::Client),
    InProcess(Router),
}

pub(super) struct Outgoing {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Bytes>,
}

pub(super) struct Received {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// What came of the body, all of it unless it `broke`.
    pub(super) body: Bytes,
    pub(super) broke: Option<BodyBreak>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyBreak {
    CutShort,
    TooLarge,
}

pub(super) enum SendError {
    NotSent(NotSentReason),
    Lost(TransientCause),
}

impl Wire {
    /// Prepares for an origin; without `allows_plain_http` the client refuses anything but https.
    pub(super) fn new(
        transport: Transport,
        allows_plain_http: bool,
        connect: Duration,
    ) -> Result<Self, reqwest::Error> {
        match transport.0 {
            Kind::InProcess(router) => Ok(Self::InProcess(router)),
            Kind::Network => {
                install_crypto();
                let client = reqwest::Client::builder()
                    .no_proxy()
                    .redirect(reqwest::redirect::Policy::none())
                    .retry(reqwest::retry::never())
                    .https_only(!allows_plain_http)
                    .tls_version_min(reqwest::tls::Version::TLS_1_2)
                    .connect_timeout(connect)
                    .pool_idle_timeout(POOL_IDLE_TIMEOUT)
                    .referer(false)
                    .build()
                    .map_err(reqwest::Error::without_url)?;
                Ok(Self::Network(client))
            }
        }
    }

    /// Sends one request and reads its answer.
    pub(super) async fn send(&self, outgoing: Outgoing) -> Result<Received, SendError> {
        match self {
            Self::Network(client) => over_network(client, outgoing).await,
            Self::InProcess(router) => in_process(router.clone(), outgoing).await,
        }
    }
}

async fn over_network(client: &reqwest::Client, outgoing: Outgoing) -> Result<Received, SendError> {
    let mut request = client.request(outgoing.method, outgoing.url).headers(outgoing.headers);
    if let Some(body) = outgoing.body {
        request = request.body(body);
    }
    let mut response = request.send().await.map_err(|error| send_error(&error.without_url()))?;
    let (status, headers) = (response.status().as_u16(), std::mem::take(response.headers_mut()));
    let mut body = CappedBody::expecting(&headers);
    while body.broke.is_none() {
        match response.chunk().await {
            Ok(Some(chunk)) => body.push(&chunk),
            Ok(None) => break,
            Err(_broken) => body.broke = Some(BodyBreak::CutShort),
        }
    }
    Ok(body.into_received(status, headers))
}

fn send_error(error: &reqwest::Error) -> SendError {
    let reason = Reason::innermost(error);
    if error.is_builder() {
        SendError::NotSent(NotSentReason::Request)
    } else if error.is_connect() {
        SendError::Lost(TransientCause::Connect { reason })
    } else if error.is_timeout() {
        SendError::Lost(TransientCause::TimedOut)
    } else {
        SendError::Lost(TransientCause::ConnectionLost { reason })
    }
}

async fn in_process(router: Router, outgoing: Outgoing) -> Result<Received, SendError> {
    let unbuildable = SendError::NotSent(NotSentReason::Request);
    let authority = outgoing.url.authority().rsplit('@').next().unwrap_or_default();
    let Ok(host) = HeaderValue::from_str(authority) else {
        return Err(unbuildable);
    };
    let body = outgoing.body.map_or_else(Body::empty, Body::from);
    let target = &outgoing.url[url::Position::BeforePath..url::Position::AfterQuery];
    let Ok(mut request) = http::Request::builder().method(outgoing.method).uri(target).body(body) else {
        return Err(unbuildable);
    };
    *request.headers_mut() = outgoing.headers;
    request.headers_mut().insert(HOST, host);

    let response = router.oneshot(request).await.unwrap_or_else(|never| match never {});
    let (parts, mut stream) = response.into_parts();
    let mut body = CappedBody::expecting(&parts.headers);
    while body.broke.is_none() {
        match stream.frame().await {
            Some(Ok(frame)) => {
                if let Ok(chunk) = frame.into_data() {
                    body.push(&chunk);
                }
            }
            None => break,
            Some(Err(_broken)) => body.broke = Some(BodyBreak::CutShort),
        }
    }
    Ok(body.into_received(parts.status.as_u16(), parts.headers))
}

/// A body that stops growing at the cap.
struct CappedBody {
    bytes: BytesMut,
    broke: Option<BodyBreak>,
}

impl CappedBody {
    /// Refuses at once what is announced to be too large.
    fn expecting(headers: &HeaderMap) -> Self {
        let announced = headers.get(http::header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let is_too_large = announced.is_some_and(|bytes: u64| bytes > MAX_BODY_BYTES as u64);
        Self { bytes: BytesMut::new(), broke: is_too_large.then_some(BodyBreak::TooLarge) }
    }

    fn push(&mut self, chunk: &[u8]) {
        if self.bytes.len().saturating_add(chunk.len()) > MAX_BODY_BYTES {
            self.broke = Some(BodyBreak::TooLarge);
        } else {
            self.bytes.extend_from_slice(chunk);
        }
    }

    fn into_received(self, status: u16, headers: HeaderMap) -> Received {
        Received { status, headers, body: self.bytes.freeze(), broke: self.broke }
    }
}

/// Makes ring the process's TLS provider; one that is installed already stays.
pub(crate) fn install_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _installed_already = rustls::crypto::ring::default_provider().install_default();
    });
}
