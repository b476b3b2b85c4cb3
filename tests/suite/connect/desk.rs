//! A customer at the pages: every request goes to the public side's router, every answer is a whole page.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use passbook::sandbox::Served as Which;
use passbook::server::control::{Order, Private, carry_out};
use passbook::server::{Peer, Served, public};
use passbook::sync::Waker;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::harness::Bench;

pub(crate) const EMAIL: &str = "canary.person@example.com";

/// A bench with its public side, and the customer of one invite.
pub(crate) struct Desk {
    pub(crate) bench: Bench,
    pub(crate) router: Router,
    /// `/connect/{token}` of the invite made last.
    pub(crate) invite: String,
}

/// An answer.
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Page {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("JSON")
    }

    /// The value of the first attribute with this name.
    pub(crate) fn attribute(&self, name: &str) -> String {
        let (_, rest) =
            self.text.split_once(&format!("{name}=\"")).unwrap_or_else(|| panic!("{name} in {}", self.text));
        rest.split('"').next().expect("an end").replace("&amp;", "&")
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a text"))
    }

    pub(crate) fn heading(&self) -> &str {
        let (_, rest) = self.text.split_once("<h1>").unwrap_or_else(|| panic!("no heading: {}", self.text));
        rest.split("</h1>").next().expect("an end")
    }
}

impl Desk {
    /// With an invite to connect a bank.
    pub(crate) async fn new(which: Which) -> Self {
        Self::on(Bench::with_public_side(which, ""), Some("customer-1"), None).await
    }

    /// With an invite on a bench, to connect a bank or to repair `link`.
    pub(crate) async fn on(bench: Bench, user: Option<&str>, link: Option<String>) -> Self {
        let engine = bench.engine().await;
        let config = Arc::new(bench.config.clone());
        let served = Served::new(Arc::clone(&engine), Waker::default(), config);
        // No webhook comes here, so nobody has to store them.
        let (intake, _) = public::intake(&served);
        let router = public::router(&served, intake);
        let mut desk = Self { bench, router, invite: String::new() };
        desk.invite_again(user, link).await;
        desk
    }

    /// Makes another invite.
    pub(crate) async fn invite_again(&mut self, user: Option<&str>, link: Option<String>) {
        let order = Order::Invite {
            source: None,
            user: user.map(str::to_owned),
            link,
            email: Some(Private(EMAIL.to_owned())),
            first_name: None,
            last_name: None,
        };
        let done = carry_out(self.bench.engine().await.as_ref(), order).await.expect("an invite");
        let address = done.address.expect("an address");
        address.strip_prefix("http://127.0.0.1:8780").expect("our address").clone_into(&mut self.invite);
    }

    /// The token of the invite.
    pub(crate) fn token(&self) -> &str {
        self.invite.rsplit('/').next().expect("a token")
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Page {
        let mut request = request;
        request.extensions_mut().insert(Peer("203.0.113.9".parse().expect("an address")));
        let response = self.router.clone().oneshot(request).await.expect("the router never fails");
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.expect("a body");
        let page =
            Page { status: parts.status, headers: parts.headers, text: String::from_utf8_lossy(&bytes).into_owned() };
        page.assert_guarded();
        page
    }

    pub(crate) async fn get(&self, path: &str) -> Page {
        self.send(Request::get(path).body(Body::empty()).expect("a request")).await
    }

    /// Comes back from the aggregator's pages, and goes where that leads.
    pub(crate) async fn come_back(&self, path: &str) -> Page {
        let page = self.get(path).await;
        if page.status != StatusCode::SEE_OTHER {
            return page;
        }
        assert!(
            page.header("location").starts_with(&format!("{}/done?lang=", self.invite)),
            "{}",
            page.header("location")
        );
        self.get(page.header("location")).await
    }

    /// Opens a path under the invite.
    pub(crate) async fn open(&self, rest: &str) -> Page {
        self.get(&format!("{}{rest}", self.invite)).await
    }

    pub(crate) async fn begin(&self) -> Page {
        let path = format!("{}/begin", self.invite);
        self.send(Request::post(path).body(Body::empty()).expect("a request")).await
    }

    pub(crate) async fn finish(&self, public_token: &str) -> Page {
        self.finish_with("application/json", json!({ "public_token": public_token }).to_string()).await
    }

    pub(crate) async fn finish_with(&self, media_type: &str, body: String) -> Page {
        let path = format!("{}/finish", self.invite);
        let request = Request::post(path).header("content-type", media_type).body(Body::from(body));
        self.send(request.expect("a request")).await
    }

    /// What the customer does at the aggregator.
    pub(crate) async fn at_the_aggregator(&self, path: &str, body: Value) -> Value {
        let request = Request::post(path).header("content-type", "application/json").body(Body::from(body.to_string()));
        let response =
            self.bench.bank.router().oneshot(request.expect("a request")).await.expect("the router never fails");
        let bytes = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
        serde_json::from_slice(&bytes).expect("JSON")
    }

    /// How many rows there are of what only a connection brings.
    pub(crate) fn stored(&self) -> (String, String) {
        let used = self.bench.value("SELECT count(*) FROM invites WHERE used_at IS NOT NULL");
        (self.bench.value("SELECT count(*) FROM links"), used)
    }
}

impl Page {
    /// Whatever is asked: nothing is cached, sniffed or framed, and pages carry a policy.
    fn assert_guarded(&self) {
        let kind = self.header("content-type");
        if kind.starts_with("text/html") {
            let policy = self.header("content-security-policy");
            for part in ["default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'", "form-action 'self'"] {
                assert!(policy.contains(part), "{policy}");
            }
            assert!(!policy.contains("unsafe") && !policy.contains(" *"), "{policy}");
            assert_eq!((self.header("cache-control"), self.header("referrer-policy")), ("no-store", "no-referrer"));
            assert!(self.text.is_empty() || self.text.contains("<html lang=\""), "{}", self.text);
            let lower = self.text.to_ascii_lowercase();
            assert!(!lower.contains(" style=") && !lower.contains("<style") && !lower.contains(" onclick"), "{lower}");
            let inline = lower.match_indices("<script").any(|(at, _)| !lower[at..].starts_with("<script src="));
            assert!(!inline, "{lower}");
        }
        if !kind.is_empty() {
            assert_eq!(self.header("x-content-type-options"), "nosniff", "{kind} {}", self.text);
        }
        assert!(!self.text.contains(EMAIL), "{}", self.text);
    }
}
