//! The demo's directory: a configuration for the made-up bank, a key and the bank's secrets.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use super::world::{EUROPE, Made, US};
use crate::cli::sandbox::{connect_url, widget_url};
use crate::sandbox::Sandbox;
use crate::secret::StoreKey;

/// Where everything lies, in the directory the demo is called from.
pub(super) const DIRECTORY: &str = "passbook-demo";
/// What the demo makes, and so what a new demo may replace.
const FILES: [&str; 11] = [
    "passbook.db",
    "passbook.db-wal",
    "passbook.db-shm",
    "passbook.db.lock",
    "passbook.db.sock",
    "passbook.toml",
    "store.key",
    "truv.secret",
    "bridge.secret",
    "bridge-webhook.secret",
    ADMIN_TOKEN,
];
const ADMIN_TOKEN: &str = "admin.token";
/// Where the two sides listen, if nothing else does.
const USUAL_PORTS: [u16; 2] = [8780, 8781];

/// What the demo made, and where it will listen.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) config: PathBuf,
    public: SocketAddr,
    admin: SocketAddr,
}

impl Home {
    /// Where the webhooks of a source go.
    pub(super) fn webhooks(&self, source: &str) -> String {
        format!("http://{}/webhooks/{source}", self.public)
    }

    pub(super) fn dashboard(&self) -> String {
        format!("http://{}/", self.admin)
    }

    pub(super) fn admin_token() -> PathBuf {
        Path::new(DIRECTORY).join(ADMIN_TOKEN)
    }
}

/// Makes the directory with all that the program needs; an earlier demo's files are replaced.
pub(super) fn prepare(bank: &Sandbox, made: Made, base_url: &str) -> anyhow::Result<Home> {
    let directory = Path::new(DIRECTORY);
    fs::create_dir_all(directory)?;
    fs::set_permissions(directory, std::os::unix::fs::PermissionsExt::from_mode(0o750))?;
    for file in FILES {
        match fs::remove_file(directory.join(file)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    let [public, admin] = free_addresses()?;
    let home = Home { config: directory.join("passbook.toml"), public, admin };
    secret_file(&directory.join("store.key"), &StoreKey::generate()?.to_text())?;
    secret_file(&directory.join("truv.secret"), &bank.truv_secret())?;
    secret_file(&directory.join("bridge.secret"), &bank.bridge_client_secret())?;
    secret_file(&directory.join("bridge-webhook.secret"), &bank.add_bridge_webhook(&home.webhooks(EUROPE)))?;
    secret_file(&Home::admin_token(), &format!("{:032x}", rand::random::<u128>()))?;
    bank.settings(|settings| settings.bridge.connect_url = connect_url(base_url));
    fs::write(&home.config, config_text(bank, made, base_url, &home))?;
    Ok(home)
}

/// Addresses of this machine that nothing listens on now.
fn free_addresses() -> anyhow::Result<[SocketAddr; 2]> {
    let bind =
        |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    // Both are held until both are chosen, so that they differ.
    let [public, admin] = USUAL_PORTS.map(bind);
    let (public, admin) = (public?, admin?);
    Ok([public.local_addr()?, admin.local_addr()?])
}

fn secret_file(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = fs::File::options().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{text}")?;
    Ok(())
}

fn config_text(bank: &Sandbox, made: Made, base_url: &str, home: &Home) -> String {
    let mut text = format!(
        "# Made by `passbook demo`. The bank lives only while the demo runs.\n\
         [store]\npath = \"passbook.db\"\nkey = {{ file = \"store.key\" }}\n\n\
         [server]\npublic_listen = \"{public}\"\npublic_url = \"http://{public}\"\n\
         admin_listen = \"{}\"\nadmin_token = {{ file = \"{ADMIN_TOKEN}\" }}\n\n\
         [schedule]\nspread = \"20s\"\n",
        home.admin,
        public = home.public,
    );
    if made.us > 0 {
        text.push_str(&format!(
            "\n[[source]]\nname = \"{US}\"\naggregator = \"truv\"\nbase_url = \"{base_url}\"\nclient_id = \"{}\"\n\
             access_secret = {{ file = \"truv.secret\" }}\n\
             widget_url = \"{}\"\n\
             sync_schedule = \"* * * * *\"            # every minute; at a real bank every few hours do\n\
             discover_schedule = \"*/5 * * * *\"\n\
             requests_per_minute = 100000           # the demo bank has no limit; Truv allows 300\n\
             refreshes_per_day = 24                 # so that a broken login shows soon; Truv allows 3\n\
             refresh_poll_first = \"1s\"\n",
            bank.truv_client_id(),
            widget_url(base_url)
        ));
    }
    if made.europe > 0 {
        text.push_str(&format!(
            "\n[[source]]\nname = \"{EUROPE}\"\naggregator = \"bridge\"\nbase_url = \"{base_url}\"\nclient_id = \"{}\"\n\
             client_secret = {{ file = \"bridge.secret\" }}\n\
             webhook_secrets = [{{ file = \"bridge-webhook.secret\" }}]\n\
             accept_language = \"en\"\n\
             sync_schedule = \"*/5 * * * *\"          # every six hours is the default\n\
             status_schedule = \"* * * * *\"          # news makes a link due before that; every hour is the default\n\
             discover_schedule = \"*/5 * * * *\"\n\
             requests_per_5_minutes = 500000        # the demo bank has no limit; Bridge allows 2000\n\
             user_requests_per_minute = 100000      # and 60 for one user\n",
            bank.bridge_client_id()
        ));
    }
    text
}
