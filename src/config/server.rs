//! `[server]`: what listens, who may ask, and for how long an invite lives.
//!
//! Each side is there if its address is: `public_listen` for webhooks and connect pages, `admin_listen` for the dashboard,
//! metrics, health and control. Without the section nothing listens but the control socket beside the store.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use toml::de::DeValue;
use url::Url;

use super::Surroundings;
use super::problem::Wrong;
use super::reference::read_secret;
use super::section::{Reported, Section};
use super::source::read_origin;
use super::value::{kind, shown_text, text};
use crate::secret::Secret;

/// `invite_lifetime`: long enough for a customer who reads mail once a week.
pub const DEFAULT_INVITE_LIFETIME: Duration = Duration::from_hours(7 * 24);
/// A customer needs time to read the mail that the invite is in.
pub const MIN_INVITE_LIFETIME: Duration = Duration::from_mins(10);
/// An invite opens a page in the customer's name.
pub const MAX_INVITE_LIFETIME: Duration = Duration::from_hours(30 * 24);

/// Characters of `admin_token`: a shorter one could be guessed.
pub const MIN_ADMIN_TOKEN_CHARS: usize = 20;

/// Networks in a list; more would be read for every request.
const MAX_NETWORKS: usize = 64;

pub(super) const SERVER_KEYS: &[&str] =
    &["public_listen", "public_url", "admin_listen", "admin_token", "trusted_proxies", "invite_lifetime"];

/// What listens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerConfig {
    /// Webhooks and connect pages; `None`: neither.
    pub public: Option<PublicConfig>,
    /// Dashboard, metrics, health and control; `None`: none of them.
    pub admin: Option<AdminConfig>,
    /// Proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed; possibly none.
    pub trusted_proxies: Vec<IpNet>,
}

/// The public side.
#[derive(Clone, Debug, PartialEq)]
pub struct PublicConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// How the world reaches it: an origin, https, or http to this machine.
    pub url: Url,
    /// How long an invite may be used after it was made.
    pub invite_lifetime: Duration,
}

impl PublicConfig {
    /// Where the webhooks of a source are to be sent.
    pub fn webhook_address(&self, source: &str) -> Url {
        let mut address = self.url.clone();
        address.set_path(&format!("/webhooks/{source}"));
        address
    }
}

/// The admin side.
#[derive(Clone, Debug, PartialEq)]
pub struct AdminConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What opens it, at least [`MIN_ADMIN_TOKEN_CHARS`] long.
    pub token: Secret,
}

impl AdminConfig {
    /// Where an operator sees it, as this machine reaches it; `None` where that is not one address.
    pub fn address(&self) -> Option<String> {
        (!self.listen.ip().is_unspecified()).then(|| format!("http://{}/", self.listen))
    }
}

pub(super) fn read_server(section: &Section<'_, '_>, around: &Surroundings<'_>) -> Option<ServerConfig> {
    let public_listen = section.optional("public_listen", |value| read_address(value, "127.0.0.1:8780"));
    let admin_listen = section.optional("admin_listen", |value| read_address(value, "127.0.0.1:8781"));
    if let (Ok(Some(public)), Ok(Some(admin))) = (&public_listen, &admin_listen)
        && public == admin
        && public.port() != 0
    {
        let wrong = Wrong::new("the public side listens there too", "give each side a port of its own");
        section.wrong("admin_listen", wrong);
        return None;
    }
    let url = section.optional("public_url", |value| read_origin(value, "https://bank.example.com"));
    let lifetimes = MIN_INVITE_LIFETIME..=MAX_INVITE_LIFETIME;
    let invite_lifetime = section.span("invite_lifetime", DEFAULT_INVITE_LIFETIME, lifetimes, "");
    let trusted_proxies = read_networks(section, "trusted_proxies");
    let public = match (public_listen, url) {
        (Ok(None), Ok(_)) => Ok(None),
        (Ok(Some(_)), Ok(None)) => {
            section.missing("public_url", "public_url = \"https://bank.example.com\"");
            Err(Reported)
        }
        (Ok(Some(listen)), Ok(Some(url))) => {
            invite_lifetime.map(|invite_lifetime| Some(PublicConfig { listen, url, invite_lifetime })).ok_or(Reported)
        }
        _ => Err(Reported),
    };
    // Also without an address: a token that stands in the file itself must not go unnoticed.
    let needs_token = matches!(admin_listen, Ok(Some(_))) || section.value("admin_token").is_some();
    let token = if needs_token { read_admin_token(section, around).map(Some).ok_or(Reported) } else { Ok(None) };
    let admin = match (admin_listen, token) {
        (Ok(listen), Ok(token)) => Ok(listen.zip(token).map(|(listen, token)| AdminConfig { listen, token })),
        _ => Err(Reported),
    };
    Some(ServerConfig { public: public.ok()?, admin: admin.ok()?, trusted_proxies: trusted_proxies? })
}

fn read_admin_token(section: &Section<'_, '_>, around: &Surroundings<'_>) -> Option<Secret> {
    let token = read_secret(section, "admin_token", around)?;
    if token.expose().chars().count() >= MIN_ADMIN_TOKEN_CHARS {
        return Some(token);
    }
    let at = section.value("admin_token").map_or(0, |value| value.span().start);
    let reason = format!("shorter than {MIN_ADMIN_TOKEN_CHARS} characters, so it could be guessed");
    section.wrong_secret("admin_token", at, Wrong::new(reason, "make one with: openssl rand -hex 32"));
    None
}

fn read_address(value: &DeValue<'_>, usual: &str) -> Result<SocketAddr, Wrong> {
    let hint = format!("write an address and a port, such as {usual:?}; 0.0.0.0 is every IPv4 address of this machine");
    text(value, usual)?.parse().map_err(|_| Wrong::new("not an address with a port", hint))
}

/// Reads a list of addresses and networks that may be left out.
///
/// Shape: in the order of the file; empty if it is left out; `None` if it is wrong, which has been reported then.
pub(super) fn read_networks(section: &Section<'_, '_>, key: &'static str) -> Option<Vec<IpNet>> {
    const HINT: &str = "write a list of addresses or networks, such as [\"203.0.113.7\", \"10.0.0.0/8\"]";
    section.or_default(key, Vec::new(), |value| {
        let Some(list) = value.as_array() else {
            return Err(Wrong::new(format!("it is {}, and a list is needed", kind(value)), HINT));
        };
        if list.len() > MAX_NETWORKS {
            return Err(Wrong::new(format!("more than {MAX_NETWORKS} entries"), "write networks instead of addresses"));
        }
        list.iter()
            .map(|entry| {
                let entry = text(entry.get_ref(), "203.0.113.7")?;
                let network = entry.parse::<IpNet>().or_else(|_| entry.parse::<IpAddr>().map(IpNet::from));
                network.map_err(|_| {
                    let shown = shown_text(entry).map_or_else(String::new, |shown| format!("{shown} is "));
                    Wrong::new(format!("{shown}neither an address nor a network"), HINT)
                })
            })
            .collect()
    })
}
