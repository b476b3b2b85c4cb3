//! Somebody who delivers webhooks, signed as an aggregator signs them.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use hmac::{Hmac, KeyInit as _, Mac as _};
use passbook::daemon::Daemon;
use passbook::sandbox::{LinkId, Served};
use passbook::server::public::{intake, router};
use passbook::server::{self, Peer, Tally};
use passbook::sync::{Engine, Waker};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::harness::Bench;

/// A source line with which webhooks are signed with the credential's own secret, where that does not go by itself.
pub(crate) fn signed(serves: Served) -> &'static str {
    match serves {
        Served::Truv => "",
        Served::Bridge => "webhook_secrets = [{ credential = \"secret\" }]\n",
    }
}

/// Delivers webhooks to the public side of one process.
pub(crate) struct Post {
    pub(crate) router: Router,
    /// What the process has counted.
    pub(crate) tally: Arc<Tally>,
    secret: String,
    serves: Served,
    _storing: JoinSet<()>,
}

impl Post {
    /// A public side over a store that nobody works on.
    pub(crate) async fn to(bench: &Bench) -> Self {
        Self::at(bench, bench.engine().await, Waker::default())
    }

    fn at(bench: &Bench, engine: Arc<Engine>, waker: Waker) -> Self {
        let served = server::Served::new(engine, waker, Arc::new(bench.config().clone()));
        let (intake, storing) = intake(&served);
        let mut jobs = JoinSet::new();
        jobs.spawn(storing);
        let router = router(&served, intake);
        Self { router, tally: served.tally, secret: bench.secret.clone(), serves: bench.serves, _storing: jobs }
    }

    /// The name of the source.
    pub(crate) fn source(&self) -> &'static str {
        match self.serves {
            Served::Truv => "truv",
            Served::Bridge => "bridge",
        }
    }

    pub(crate) fn header(&self) -> &'static str {
        match self.serves {
            Served::Truv => "X-WEBHOOK-SIGN",
            Served::Bridge => "BridgeApi-Signature",
        }
    }

    /// A body's signature with a secret, as the aggregator writes it.
    pub(crate) fn signature(&self, secret: &str, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key");
        mac.update(body);
        let bytes: [u8; 32] = mac.finalize().into_bytes().into();
        let digits = bytes.iter().fold(String::new(), |digits, byte| format!("{digits}{byte:02x}"));
        match self.serves {
            Served::Truv => format!("v1={digits}"),
            Served::Bridge => format!("v1={}", digits.to_uppercase()),
        }
    }

    /// A webhook that is as it should be.
    pub(crate) fn request(&self, body: &[u8]) -> Request<Body> {
        let mut request = Request::post(format!("/webhooks/{}", self.source()))
            .header(self.header(), self.signature(&self.secret, body))
            .body(Body::from(body.to_vec()))
            .expect("a request");
        request.extensions_mut().insert(Peer([203, 0, 113, 9].into()));
        request
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().oneshot(request).await.expect("the router never fails")
    }

    /// Delivers an event that must be acknowledged.
    pub(crate) async fn deliver(&self, event: &Value) {
        let answer = self.send(self.request(event.to_string().as_bytes())).await;
        assert_eq!(answer.status(), StatusCode::OK, "{event}");
    }
}

/// Runs a daemon while `script` delivers webhooks to it, then stops it.
pub(crate) async fn with_daemon(bench: &Bench, script: impl AsyncFnOnce(&Post)) {
    let engine = bench.engine().await;
    let daemon = Daemon::new(Arc::clone(&engine), bench.options(false));
    let (post, stop) = (Post::at(bench, engine, daemon.waker()), CancellationToken::new());
    let scripted = async {
        script(&post).await;
        stop.cancel();
    };
    let (result, ()) = tokio::join!(daemon.run(stop.clone()), scripted);
    result.expect("the store works");
}

/// Handles what was stored, as the daemon does; how many events made something due.
pub(crate) async fn take(bench: &Bench) -> u32 {
    bench.engine().await.take_news().await.expect("the store works").applied
}

/// Lets virtual time pass.
pub(crate) async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// The outcomes of all events, in the order in which they came.
pub(crate) fn outcomes(bench: &Bench) -> Vec<String> {
    let rows = bench.rows("SELECT coalesce(outcome, 'waits') FROM webhook_events ORDER BY webhook_event_id");
    rows.into_iter().map(|mut row| row.remove(0)).collect()
}

/// The aggregator's ids of a link and its customer.
pub(crate) fn ids(bench: &Bench, link: LinkId) -> (String, String) {
    let truth = bench.bank.truth();
    let link = truth.link(link).expect("a link");
    (link.upstream_id.clone(), link.user_upstream_id.clone())
}

/// The event that a task stands at a status.
pub(crate) fn task_status(task: &str, status: &str, link: &str, user: &str) -> Value {
    json!({
        "webhook_id": format!("{task}-{status}"), "event_type": "task-status-updated",
        "event_created_at": "2026-03-02T12:00:01.845645Z", "updated_at": "2026-03-02T12:00:01.845666+00:00",
        "task_id": task, "link_id": link, "product": "transactions", "data_source": "financial_accounts",
        "tracking_info": null, "status": status, "user_id": user, "template_id": null,
    })
}

/// An event about an item; `number` makes it different from others.
pub(crate) fn item(name: &str, item: &str, user: &str, number: i64) -> Value {
    let id: i64 = item.parse().expect("a number");
    json!({
        "content": { "item_id": id, "user_uuid": user, "status_code": 0, "full_refresh": false },
        "timestamp": 1_772_452_800_000_i64 + number, "type": name,
    })
}

/// The event that a link is not what it was, in the words of either aggregator.
pub(crate) fn link_changed(serves: Served, what: &str, link: &str, user: &str) -> Value {
    match serves {
        Served::Truv => {
            let name = if what == "created" { "connected" } else { what };
            json!({ "webhook_id": "1", "event_type": format!("link-{name}"), "link_id": link, "user_id": user,
                    "event_created_at": "2026-03-02T12:00:01Z", "data_source": "financial_accounts" })
        }
        Served::Bridge => item(&format!("item.{what}"), link, user, 0),
    }
}

/// The event that the aggregator has read a link's bank without being asked by us.
pub(crate) fn link_read(serves: Served, link: &str, user: &str, number: i64) -> Value {
    match serves {
        Served::Truv => task_status(&format!("foreign-{number}"), "done", link, user),
        Served::Bridge => item("item.account.updated", link, user, number),
    }
}
