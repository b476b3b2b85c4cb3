//! The configuration file of a run and the secrets beside it.

use std::path::Path;

use passbook::config::{Config, SecretReadError, SecretStore};
use passbook::sandbox::{Environment, Sandbox};
use passbook::secret::StoreKey;
use zeroize::Zeroizing;

use crate::on_call;
use crate::plan::Verb;

/// Where webhooks go: nobody listens there, the router is asked in the process.
pub(crate) const PUBLIC: &str = "http://127.0.0.1:8780";

/// What can be turned in it.
pub(super) struct Knobs {
    setup: Verb,
    workers: i64,
    share: i64,
    truv_secret: String,
    /// The one before, which is in use no longer once the new one is. Webhooks on their way were signed with it.
    former_truv_secret: Option<String>,
    /// Newest first.
    bridge_webhooks: Vec<String>,
    bridge_secret: String,
    former_bridge_secret: Option<String>,
    truv_client: String,
    bridge_client: String,
}

/// The secrets a configuration names.
struct Secrets<'a> {
    key: String,
    knobs: &'a Knobs,
}

impl SecretStore for Secrets<'_> {
    fn credential(&self, name: &str) -> Result<Zeroizing<String>, SecretReadError> {
        let value = match name {
            "store-key" => self.key.clone(),
            "truv" => self.knobs.truv_secret.clone(),
            "truv-former" => self.knobs.former_truv_secret.clone().unwrap_or_default(),
            "bridge" => self.knobs.bridge_secret.clone(),
            "webhook-0" => self.knobs.bridge_webhooks.first().cloned().unwrap_or_default(),
            "webhook-1" => self.knobs.bridge_webhooks.get(1).cloned().unwrap_or_default(),
            _ => return Err(SecretReadError::NotFound),
        };
        Ok(Zeroizing::new(value))
    }

    fn file(&self, _: &Path) -> Result<Zeroizing<String>, SecretReadError> {
        Err(SecretReadError::NotFound)
    }

    fn variable(&self, _: &str) -> Result<Zeroizing<String>, SecretReadError> {
        Err(SecretReadError::NotFound)
    }
}

impl Knobs {
    pub(super) fn new(setup: &Verb, bank: &Sandbox) -> Self {
        let mut bridge_webhooks = Vec::new();
        if setup.is("webhooks") {
            bank.set_truv_webhook(&format!("{PUBLIC}/webhooks/truv"));
            bridge_webhooks.push(bank.add_bridge_webhook(&format!("{PUBLIC}/webhooks/bridge")));
        }
        Self {
            workers: setup.number("workers").max(1),
            share: 50,
            truv_secret: bank.truv_secret(),
            former_truv_secret: None,
            bridge_webhooks,
            bridge_secret: bank.bridge_client_secret(),
            former_bridge_secret: None,
            truv_client: bank.truv_client_id(),
            bridge_client: bank.bridge_client_id(),
            setup: setup.clone(),
        }
    }

    /// Turns what a reload turns.
    pub(super) fn change(&mut self, verb: &Verb) {
        if verb.is("workers") {
            self.workers = verb.number("workers");
        }
        if verb.is("share") {
            self.share = verb.number("share");
        }
    }

    /// Has an aggregator issue a new secret, which the next reload takes over.
    pub(super) fn rotate(&mut self, which: &str, bank: &Sandbox) {
        match which {
            "truv-secret" => {
                let new = bank.add_secret(Environment::Sandbox);
                self.former_truv_secret = Some(std::mem::replace(&mut self.truv_secret, new));
            }
            "bridge-secret" => {
                let new = bank.add_bridge_secret();
                self.former_bridge_secret = Some(std::mem::replace(&mut self.bridge_secret, new));
            }
            _ if !self.bridge_webhooks.is_empty() => {
                let new = bank.rotate_bridge_webhook(&format!("{PUBLIC}/webhooks/bridge"));
                self.bridge_webhooks.insert(0, new);
                self.bridge_webhooks.truncate(2);
            }
            _ => {}
        }
    }

    /// Has the former secrets withdrawn.
    pub(super) fn retire(&self, bank: &Sandbox) {
        for former in [&self.former_truv_secret, &self.former_bridge_secret].into_iter().flatten() {
            bank.revoke_secret(former);
        }
    }

    /// Reads the file as it is now.
    pub(super) fn parse(&self, key: &StoreKey, dir: &Path) -> Result<Config, String> {
        let secrets = Secrets { key: key.to_text().to_string(), knobs: self };
        Config::parse(&self.text(), &dir.join("passbook.toml"), &secrets).map_err(|error| error.to_string())
    }

    fn text(&self) -> String {
        let setup = &self.setup;
        let (page, hours, share) = (setup.number("page"), setup.number("hours"), self.share);
        let reconcile = if setup.text("reconcile") == "weekly" { "0 4 * * 0" } else { "0 4 1 * *" };
        let names: Vec<String> =
            (0..self.bridge_webhooks.len()).map(|nth| format!("{{ credential = \"webhook-{nth}\" }}")).collect();
        let former = if self.former_truv_secret.is_some() { "{ credential = \"truv-former\" }" } else { "" };
        let alert = if setup.is("alert-minutes") {
            let (address, minutes) = (on_call::ADDRESS, setup.number("alert-minutes"));
            format!("[alert]\nwebhook_url = \"{address}\"\nlink_grace = \"{minutes}m\"\n")
        } else {
            String::new()
        };
        let status = if setup.number("truv") > 50 { "30 5 * * *" } else { "0 * * * *" };
        let hours = if hours < 24 { format!("*/{hours}") } else { "0".to_owned() };
        format!(
            "[store]\npath = \"passbook.db\"\nkey = {{ credential = \"store-key\" }}\n\
             [server]\npublic_listen = \"127.0.0.1:8780\"\npublic_url = \"{PUBLIC}\"\n\
             {alert}[schedule]\ntimezone = \"{zone}\"\nspread = \"{spread}\"\nworkers = {workers}\n\
             [[source]]\nname = \"truv\"\naggregator = \"truv\"\nbase_url = \"http://127.0.0.1:1\"\n\
             client_id = \"{truv}\"\naccess_secret = {{ credential = \"truv\" }}\nwebhook_secrets = [{former}]\n\
             requests_per_minute = {limit}\n\
             sync_schedule = \"0 {hours} * * *\"\nreconcile_schedule = \"{reconcile}\"\npage_size = {page}\n\
             backfill_share = {share}\n\
             [[source]]\nname = \"bridge\"\naggregator = \"bridge\"\nbase_url = \"http://127.0.0.1:1\"\n\
             client_id = \"{bridge}\"\nclient_secret = {{ credential = \"bridge\" }}\nrequests_per_5_minutes = {application}\n\
             sync_schedule = \"0 {hours} * * *\"\nreconcile_schedule = \"{reconcile}\"\npage_size = {page}\n\
             status_schedule = \"{status}\"\nbackfill_share = {share}\nwebhook_secrets = [{names}]\n",
            zone = setup.text("zone"),
            spread = setup.text("spread"),
            workers = self.workers,
            truv = self.truv_client,
            limit = setup.number("limit"),
            bridge = self.bridge_client,
            application = setup.number("application-limit"),
            names = names.join(", "),
        )
    }
}
