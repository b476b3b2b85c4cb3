//! The admin side as programs meet it: requests with a token into the router, without sockets.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use passbook::server::{self, Peer, Served};
use passbook::sync::Waker;
use tower::ServiceExt as _;

use crate::harness::Bench;

/// What opens it: the store's key, because every bench has one.
pub(crate) const ADMIN: &str =
    "[server]\nadmin_listen = \"127.0.0.1:0\"\nadmin_token = { credential = \"store-key\" }\n";

/// The admin side of a bench.
pub(crate) struct Counter {
    pub(crate) served: Served,
    pub(crate) token: String,
    router: Router,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Counter {
    /// Opens the admin side; the bench was made with [`ADMIN`].
    pub(crate) async fn open(bench: &Bench) -> Self {
        let served = Served::new(bench.engine().await, Waker::default(), Arc::new(bench.config().clone()));
        let token = served.admin().expect("an admin side").token.expose().to_owned();
        Self { router: server::admin::router(&served), served, token }
    }

    /// Gets a path with the right token.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.ask(Request::get(path), Some(&self.token), Body::empty()).await
    }

    /// Posts JSON with the right token.
    pub(crate) async fn post(&self, path: &str, json: &str) -> Reply {
        let request = Request::post(path).header("content-type", "application/json");
        self.ask(request, Some(&self.token), Body::from(json.to_owned())).await
    }

    /// Sends a request with some token or none.
    pub(crate) async fn ask(&self, request: axum::http::request::Builder, token: Option<&str>, body: Body) -> Reply {
        let request = match token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        };
        let mut request = request.body(body).expect("a request");
        request.extensions_mut().insert(Peer([127, 0, 0, 1].into()));
        let response = self.router.clone().oneshot(request).await.expect("the router never fails");
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.expect("a body");
        Reply { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes.to_vec()).expect("text") }
    }
}
