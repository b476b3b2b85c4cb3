//! The demo's directory: a configuration for the made-up bank, a key and the bank's secrets.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::world::{EUROPE, Made, US};
use crate::sandbox::Sandbox;
use crate::secret::StoreKey;

/// Where everything lies, in the directory the demo is called from.
pub(super) const DIRECTORY: &str = "passbook-demo";
/// What the demo makes, and so what a new demo may replace.
const FILES: [&str; 9] = [
    "passbook.db",
    "passbook.db-wal",
    "passbook.db-shm",
    "passbook.db.lock",
    "passbook.db.sock",
    "passbook.toml",
    "store.key",
    "truv.secret",
    "bridge.secret",
];

/// Makes the directory with all that the program needs; an earlier demo's files are replaced. Answers the configuration.
pub(super) fn prepare(bank: &Sandbox, made: Made, base_url: &str) -> anyhow::Result<PathBuf> {
    let directory = Path::new(DIRECTORY);
    fs::create_dir_all(directory)?;
    fs::set_permissions(directory, std::os::unix::fs::PermissionsExt::from_mode(0o750))?;
    for file in FILES {
        match fs::remove_file(directory.join(file)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    secret_file(&directory.join("store.key"), &StoreKey::generate()?.to_text())?;
    secret_file(&directory.join("truv.secret"), &bank.truv_secret())?;
    secret_file(&directory.join("bridge.secret"), &bank.bridge_client_secret())?;
    let config = directory.join("passbook.toml");
    fs::write(&config, config_text(bank, made, base_url))?;
    Ok(config)
}

fn secret_file(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = fs::File::options().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{text}")?;
    Ok(())
}

fn config_text(bank: &Sandbox, made: Made, base_url: &str) -> String {
    let mut text = "# Made by `passbook demo`. The bank lives only while the demo runs.\n\
         [store]\npath = \"passbook.db\"\nkey = { file = \"store.key\" }\n\n\
         [schedule]\nspread = \"20s\"\n"
        .to_owned();
    if made.us > 0 {
        text.push_str(&format!(
            "\n[[source]]\nname = \"{US}\"\naggregator = \"truv\"\nbase_url = \"{base_url}\"\nclient_id = \"{}\"\n\
             access_secret = {{ file = \"truv.secret\" }}\n\
             sync_schedule = \"* * * * *\"            # every minute; at a real bank every few hours do\n\
             discover_schedule = \"*/5 * * * *\"\n\
             requests_per_minute = 100000           # the demo bank has no limit; Truv allows 300\n\
             refreshes_per_day = 24                 # so that a broken login shows soon; Truv allows 3\n\
             refresh_poll_first = \"1s\"\n",
            bank.truv_client_id()
        ));
    }
    if made.europe > 0 {
        text.push_str(&format!(
            "\n[[source]]\nname = \"{EUROPE}\"\naggregator = \"bridge\"\nbase_url = \"{base_url}\"\nclient_id = \"{}\"\n\
             client_secret = {{ file = \"bridge.secret\" }}\n\
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
