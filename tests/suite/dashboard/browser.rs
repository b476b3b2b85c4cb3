//! A browser: it keeps the cookie, fills the forms of the page it looks at, and follows nothing by itself.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use passbook::server::{self, Peer, Served};
use passbook::sync::Waker;
use tower::ServiceExt as _;

use crate::harness::Bench;

/// What opens the admin side: the store's key, because every bench has one.
pub(super) const ADMIN: &str =
    "[server]\nadmin_listen = \"127.0.0.1:0\"\nadmin_token = { credential = \"store-key\" }\n";
/// The same with a public side, and a proxy in front of both.
pub(super) const BOTH: &str = "[server]\nadmin_listen = \"127.0.0.1:0\"\nadmin_token = { credential = \"store-key\" }\n\
     public_listen = \"127.0.0.1:8780\"\npublic_url = \"http://127.0.0.1:8780\"\ntrusted_proxies = [\"10.0.0.0/8\"]\n";

const FORM: &str = "application/x-www-form-urlencoded";

/// What came back.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Reply {
    /// A header's text; empty where there is none.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }
}

/// The admin side of one process.
pub(super) struct Side {
    router: Router,
    pub(super) token: String,
}

impl Side {
    /// Opens the admin side of a bench, as a process that has just started.
    pub(super) async fn open(bench: &Bench) -> Self {
        let served = Served::new(bench.engine().await, Waker::default(), Arc::new(bench.config.clone()));
        let token = served.admin().expect("an admin side").token.expose().to_owned();
        Self { router: server::admin::router(&served), token }
    }

    /// Sends a request from an address.
    pub(super) async fn send(&self, from: [u8; 4], request: axum::http::request::Builder, body: String) -> Reply {
        let mut request = request.body(Body::from(body)).expect("a request");
        request.extensions_mut().insert(Peer(from.into()));
        let response = self.router.clone().oneshot(request).await.expect("the router never fails");
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.expect("a body");
        Reply { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes.to_vec()).expect("text") }
    }

    /// A browser that carries nothing yet.
    pub(super) fn browser(&self) -> Browser<'_> {
        Browser { side: self, cookie: None }
    }

    /// A browser whose person has logged in.
    pub(super) async fn logged_in(&self) -> Browser<'_> {
        let mut browser = self.browser();
        let reply = browser.log_in(&self.token, "").await;
        assert_eq!((reply.status, reply.header("location")), (StatusCode::SEE_OTHER, "/"), "{}", reply.text);
        browser
    }
}

/// A browser at one admin side.
pub(super) struct Browser<'s> {
    side: &'s Side,
    /// Name and value.
    pub(super) cookie: Option<String>,
}

impl Browser<'_> {
    /// Looks at a page.
    pub(super) async fn get(&self, path: &str) -> Reply {
        self.side.send([127, 0, 0, 1], self.request("GET", path), String::new()).await
    }

    /// Looks at a page that must be there.
    pub(super) async fn page(&self, path: &str) -> String {
        let reply = self.get(path).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}: {} {}", reply.header("location"), reply.text);
        reply.text
    }

    /// Sends a form as it stands on our pages.
    pub(super) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        self.post_from("same-origin", path, fields).await
    }

    /// Sends a form that stands on a page of some site.
    pub(super) async fn post_from(&self, site: &str, path: &str, fields: &[(&str, &str)]) -> Reply {
        self.post_with(&[("sec-fetch-site", site)], path, fields).await
    }

    /// Sends a form with some headers of the browser's.
    pub(super) async fn post_with(&self, headers: &[(&str, &str)], path: &str, fields: &[(&str, &str)]) -> Reply {
        let request = self.request("POST", path).header("content-type", FORM).header("host", "admin.example.com");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(fields);
        self.side.send([127, 0, 0, 1], request, body.finish()).await
    }

    /// Logs in with a token, and keeps the cookie that comes.
    pub(super) async fn log_in(&mut self, token: &str, next: &str) -> Reply {
        let reply = self.post("/login", &[("token", token), ("next", next)]).await;
        if let Some((cookie, _)) = reply.header("set-cookie").split_once(';') {
            self.cookie = Some(cookie.to_owned());
        }
        reply
    }

    /// What the forms of a page carry.
    pub(super) async fn form_token(&self, path: &str) -> String {
        let text = self.page(path).await;
        let (_, after) = text.split_once("name=\"form_token\" value=\"").expect("a form");
        after.split_once('"').expect("a value").0.to_owned()
    }

    fn request(&self, method: &str, path: &str) -> axum::http::request::Builder {
        let request = Request::builder().method(method).uri(path);
        match &self.cookie {
            Some(cookie) => request.header("cookie", cookie),
            None => request,
        }
    }
}
