//! Webhooks as Truv words, signs and records them (sections 13.2 and 13.3).

use hmac::{Hmac, KeyInit, Mac};
use rand::rngs::StdRng;
use serde_json::{Value, json};
use sha2::Sha256;

use super::Truv;
use super::json::instant;
use super::tasks::Task;
use super::webhooks::Webhook;
use crate::sandbox::id;
use crate::sandbox::outbox::Sealed;
use crate::sandbox::settings::TruvWebhookForm;
use crate::sandbox::world::{Bank, Happened, News};
use crate::sandbox::write::{hex_lower, push_instant};

const USER_AGENT: &str = "Truv-Webhook-Service/2.0";

/// An instant with an offset in place of `Z`: one body has both styles.
const WITH_OFFSET: u32 = 2;

/// What a body is about.
struct Subject<'a> {
    event: &'static str,
    /// A task and the status it entered.
    task: Option<(&'a Task, &'a str)>,
    link: Option<usize>,
}

impl Truv {
    /// The bodies that tell the endpoints of a tenant what happened: endpoint and body, in the order of the endpoints.
    pub(crate) fn word(
        &self,
        bank: &Bank,
        news: &News,
        tenant: usize,
        form: TruvWebhookForm,
        rng: &mut StdRng,
    ) -> Vec<(u128, Vec<u8>)> {
        let Some(subject) = self.subject(news) else { return Vec::new() };
        let tenant = &self.tenants[tenant];
        let listening = self.webhooks.iter().filter(|webhook| {
            webhook.client == tenant.client
                && webhook.env_type == tenant.environment.as_str()
                && webhook.enabled
                && webhook.wants(subject.event)
        });
        let word = |webhook: &Webhook| {
            let body = body(bank, &subject, news.at_ms, form, id::draw(rng));
            (webhook.id, body.to_string().into_bytes())
        };
        listening.map(word).collect()
    }

    /// `None` for what Truv announces nothing of.
    fn subject<'a>(&'a self, news: &'a News) -> Option<Subject<'a>> {
        let of_link = |event, link: usize| Some(Subject { event, task: None, link: Some(link) });
        match &news.happened {
            Happened::TaskMoved { task, status } => {
                let task = &self.tasks[*task];
                Some(Subject { event: "task-status-updated", task: Some((task, status)), link: task.link })
            }
            Happened::Connected { link } => of_link("link-connected", *link),
            Happened::Disconnected { link } => of_link("link-disconnected", *link),
            Happened::Deleted { link } => of_link("link-deleted", *link),
            Happened::UserDeleted { .. } | Happened::Refreshed { .. } | Happened::AccountChanged { .. } => None,
        }
    }

    /// Address and headers for a body; `None` when its endpoint is gone, disabled, or has no secret to sign with.
    pub(crate) fn seal(&self, endpoint: u128, body: &[u8]) -> Option<Sealed> {
        let webhook = self.webhooks.iter().find(|webhook| webhook.id == endpoint && webhook.enabled)?;
        let opens = |tenant: usize| {
            let tenant = &self.tenants[tenant];
            tenant.client == webhook.client && tenant.environment.as_str() == webhook.env_type
        };
        let secret = self.secrets.iter().find(|secret| !secret.revoked && opens(secret.tenant))?;
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.text.as_bytes()).ok()?;
        mac.update(body);
        let signature = format!("v1={}", hex_lower(&mac.finalize().into_bytes()));
        let headers =
            [("Content-Type", "application/json"), ("User-Agent", USER_AGENT), ("X-WEBHOOK-SIGN", signature.as_str())];
        Some(Sealed::new(&webhook.url, &headers))
    }

    /// Notes that a delivery arrived, or was given up; a production endpoint that keeps failing is disabled (13.1).
    pub(crate) fn note_delivery(&mut self, endpoint: u128, arrived: bool, disable_after: usize) {
        let Some(webhook) = self.webhooks.iter_mut().find(|webhook| webhook.id == endpoint) else { return };
        webhook.given_up = if arrived { 0 } else { webhook.given_up + 1 };
        if webhook.env_type == "prod" && webhook.given_up >= disable_after.max(1) {
            webhook.enabled = false;
        }
    }
}

fn body(bank: &Bank, subject: &Subject<'_>, at_ms: i64, form: TruvWebhookForm, webhook_id: u128) -> Value {
    let link = subject.link.map(|link| &bank.links[link]);
    let (user, product, tracking) = match subject.task {
        Some((task, _)) => (Some(task.user), Some(&task.product), task.tracking.as_ref()),
        None => (link.map(|of| of.user), link.map(|of| &of.product), link.and_then(|of| of.tracking.as_ref())),
    };
    let mut body = json!({
        "webhook_id": id::hex(webhook_id),
        "event_type": subject.event,
        "link_id": link.map(|of| id::hex(of.id)),
        "product": product,
        "tracking_info": tracking,
    });
    if let Some((task, status)) = subject.task {
        body["task_id"] = json!(id::hex(task.id));
        body["status"] = json!(status);
    }
    let has_all = form != TruvWebhookForm::Newest || subject.task.is_some();
    if has_all {
        body["updated_at"] = json!(with_offset(at_ms));
    }
    if form == TruvWebhookForm::Oldest {
        return body;
    }
    if has_all {
        body["template_id"] = Value::Null;
    }
    body["event_created_at"] = json!(instant(at_ms));
    body["user_id"] = json!(user.map(|user| id::hex(bank.users[user].id)));
    body["data_source"] = json!("financial_accounts");
    body
}

fn with_offset(ms: i64) -> String {
    let mut out = Vec::with_capacity(32);
    push_instant(&mut out, ms, WITH_OFFSET);
    String::from_utf8_lossy(&out).into_owned()
}
