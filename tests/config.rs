//! The config as an operator meets it: every kind of mistake, the example, and what no message may hold.
//!
//! What only Bridge sources have is in `bridge_source`; Truv's stands for all that sources have in common.

#[path = "config/bridge_source.rs"]
mod bridge_source;
#[path = "config/changes.rs"]
mod changes;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use passbook::config::{
    AggregatorConfig, AlertConfig, Config, ConfigErrors, KeyGroup, LogFormat, Problem, RetentionConfig, SECTION_KEYS,
    SecretReadError, SecretStore, SourceConfig, SystemSecrets, TruvConfig, alert, backup, bridge, common, refresh,
    server, source, truv,
};
use passbook::secret::StoreKey;
use zeroize::Zeroizing;

const EXAMPLE: &str = include_str!("../config.example.toml");
const CANARY: &str = "dev-c4n4ry";

/// Secrets from a table, by kind and name.
struct Secrets(HashMap<&'static str, String>);

impl Secrets {
    fn get(&self, name: &str) -> Result<Zeroizing<String>, SecretReadError> {
        self.0.get(name).cloned().map(Zeroizing::new).ok_or(SecretReadError::NotFound)
    }
}

impl SecretStore for Secrets {
    fn credential(&self, name: &str) -> Result<Zeroizing<String>, SecretReadError> {
        self.get(&format!("credential {name}"))
    }

    fn file(&self, path: &Path) -> Result<Zeroizing<String>, SecretReadError> {
        self.get(&format!("file {}", path.display()))
    }

    fn variable(&self, name: &str) -> Result<Zeroizing<String>, SecretReadError> {
        self.get(&format!("env {name}"))
    }
}

fn secrets() -> Secrets {
    let key = StoreKey::generate().expect("randomness").to_text().to_string();
    Secrets(HashMap::from([
        ("credential store-key", format!("{key}\n")),
        ("credential truv-secret", format!("{CANARY}\r\n")),
        ("credential other-secret", format!("{CANARY}-other")),
        ("file /etc/passbook/secret", CANARY.to_owned()),
        ("env TRUV_SECRET", CANARY.to_owned()),
        ("credential truv-id", "the-id\n".to_owned()),
        ("credential empty", "\n".to_owned()),
        ("credential two-lines", format!("{CANARY}\n{CANARY}")),
        ("credential no-key", CANARY.to_owned()),
        ("credential cut-key", key[..40].to_owned()),
        ("credential bridge-client-secret", format!("{CANARY}-bridge\n")),
        ("credential bridge-id", "bridge-id\n".to_owned()),
        ("credential hook-old", format!("{CANARY}-old\n")),
        ("credential hook-new", format!("{CANARY}-new\n")),
        ("credential alert-url", format!("https://hooks.example.com/{CANARY}\n")),
    ]))
}

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    Config::parse(text, Path::new("/etc/passbook/passbook.toml"), &secrets())
}

/// A config with these lines in its sections, all on lines of their own: `[store]` is line 1, `[[source]]` line 5.
fn with(store: &str, source: &str) -> String {
    format!(
        "[store]\nkey = {{ credential = \"store-key\" }}\n{store}\n\n[[source]]\nname = \"truv-prod\"\naggregator = \"truv\"\n\
         client_id = \"the-id\"\naccess_secret = {{ credential = \"truv-secret\" }}\n{source}\n"
    )
}

fn truv_of(source: &SourceConfig) -> &TruvConfig {
    match &source.aggregator {
        AggregatorConfig::Truv(truv) => truv,
        AggregatorConfig::Bridge(_) => panic!("{} is a bridge source", source.name),
    }
}

/// Somebody's public key.
fn recipient() -> String {
    age::x25519::Identity::generate().to_public().to_string()
}

fn problems(text: &str) -> Vec<Problem> {
    parse(text).err().map(|errors| errors.problems).unwrap_or_default()
}

/// One mistake: the file, and the line, column, key, a part of the reason and a part of the hint that are expected.
type Mistake = (String, usize, usize, &'static str, &'static str, &'static str);

fn in_store(line: &str) -> String {
    with(line, "")
}

fn in_source(line: &str) -> String {
    with("", line)
}

fn swap(from: &str, to: &str) -> String {
    with("", "").replace(from, to)
}

fn and_then(text: &str) -> String {
    format!("{}{text}\n", with("", ""))
}

fn reference(to: &str) -> String {
    swap("{ credential = \"truv-secret\" }", to)
}

fn key(to: &str) -> String {
    swap("{ credential = \"store-key\" }", to)
}

/// The source and, after it, the same with one change.
fn twice(from: &str, to: &str) -> String {
    let one = with("", "");
    let two = one[one.find("[[").expect("source")..].replace(from, to);
    format!("{one}{two}")
}

#[rustfmt::skip]
fn structure() -> Vec<Mistake> {
    vec![
        (String::new(), 1, 1, "store.key", "missing, with the whole section [store]", "key = { credential"),
        (and_then("[stroe]"), 11, 2, "stroe", "unknown section", "did you mean store?"),
        (format!("x = 1\n{}", with("", "")), 1, 1, "x", "unknown section", "store, server, alert, backup, log, schedule, retention, source"),
        (format!("log = 5\n{}", with("", "")), 1, 7, "log", "a whole number, and a table", "[log]"),
        (swap("[[source]]", "[source]"), 5, 1, "source", "a list of tables", "[[source]]"),
        ("source = []\n[store]\nkey = { credential = \"store-key\" }".to_owned(), 1, 1, "source", "missing", "[[source]]"),
    ]
}

#[rustfmt::skip]
fn server_settings() -> Vec<Mistake> {
    let token = "admin_token = { credential = \"store-key\" }";
    let section = |lines: &str| and_then(&format!("[server]\n{lines}"));
    vec![
        (section("public_listen = \"8780\"\npublic_url = \"https://a.example\""), 12, 17, "server.public_listen", "not an address with a port", "127.0.0.1:8780"),
        (section("public_listen = \"127.0.0.1:8780\""), 11, 1, "server.public_url", "missing", "https://bank.example.com"),
        (section("public_url = \"http://bank.example.com\""), 12, 14, "server.public_url", "https is required", "https://bank"),
        (section("admin_listen = \"127.0.0.1:8781\""), 11, 1, "server.admin_token", "missing", "credential"),
        (section("admin_token = { credential = \"truv-secret\" }"), 12, 15, "server.admin_token", "shorter than 20", "openssl"),
        (section(&format!("public_listen = \"[::1]:1\"\npublic_url = \"https://a.example\"\nadmin_listen = \"[::1]:1\"\n{token}")), 14, 16, "server.admin_listen", "the public side listens there", "a port of its own"),
        (section("trusted_proxies = \"10.0.0.1\""), 12, 19, "server.trusted_proxies", "a list is needed", "10.0.0.0/8"),
        (section("trusted_proxies = [\"10.0.0.0/40\"]"), 12, 19, "server.trusted_proxies", "neither an address nor a network", "10.0.0.0/8"),
        (section("invite_lifetime = \"1m\""), 12, 19, "server.invite_lifetime", "outside 10m to 30d", "10m"),
        (in_source("webhook_addresses = [\"bank.example\"]"), 10, 21, "source.webhook_addresses", "neither an address nor a network", "203.0.113.7"),
        (in_source("widget_url = \"http://cdn.truv.com/bridge.js\""), 10, 14, "source.widget_url", "https is required", "https://cdn"),
    ]
}

#[rustfmt::skip]
fn alert_settings() -> Vec<Mistake> {
    let section = |lines: &str| and_then(&format!("[alert]\n{lines}"));
    let told = "webhook_url = \"https://hooks.example.com/a?b=c\"\n";
    vec![
        (section(""), 11, 1, "alert.webhook_url", "missing", "or command = "),
        (section("stale_after = \"2h\""), 11, 1, "alert.webhook_url", "missing", "https://"),
        (section("webhook_url = \"hooks.example.com\""), 12, 15, "alert.webhook_url", "not an address", "https://hooks"),
        (section("webhook_url = \"http://hooks.example.com\""), 12, 15, "alert.webhook_url", "https is required", "https://hooks"),
        (section("webhook_url = { credential = \"truv-secret\" }"), 12, 15, "alert.webhook_url", "not an address", "https://hooks"),
        (section("command = \"/bin/true\""), 12, 11, "alert.command", "a list is needed", "/usr/local/bin"),
        (section("command = []"), 12, 11, "alert.command", "empty", "/usr/local/bin"),
        (section("command = [\"page\", \"me\"]"), 12, 11, "alert.command", "absolute path", "/usr/local/bin"),
        (section("command = [\"/bin/true\", 5]"), 12, 11, "alert.command", "a whole number", "in quotes"),
        (section(&format!("{told}stale_after = \"59m\"")), 13, 15, "alert.stale_after", "outside 1h to 30d", "\"1h\""),
        (section(&format!("{told}link_grace = \"8d\"")), 13, 14, "alert.link_grace", "outside 0s to 7d", "\"7d\""),
        (section(&format!("{told}grace = \"1h\"")), 13, 1, "alert.grace", "unknown key", "link_grace"),
    ]
}

#[rustfmt::skip]
fn backup_settings() -> Vec<Mistake> {
    let somebody = recipient();
    let section = |lines: &str| and_then(&format!("[backup]\n{lines}"));
    let whom = format!("recipients = [\"{somebody}\"]\n");
    let secret = "recipients = [\"AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ\"]";
    vec![
        (section(""), 11, 1, "backup.recipients", "missing", "age1"),
        (section("recipients = \"age1\""), 12, 14, "backup.recipients", "a list is needed", "age-keygen"),
        (section("recipients = []"), 12, 14, "backup.recipients", "there are 0", "age-keygen"),
        (section("recipients = [\"age1qqq\"]"), 12, 14, "backup.recipients", "not an age recipient", "age-keygen"),
        (section("recipients = [5]"), 12, 14, "backup.recipients", "a whole number", "in quotes"),
        (section(secret), 12, 14, "backup.recipients", "a secret key must not stand in this file", "new pair"),
        (section(&format!("recipients = [\"{somebody}\", \"{somebody}\"]")), 12, 14, "backup.recipients", "twice", "remove one"),
        (section(&format!("{whom}schedule = \"never\"")), 13, 12, "backup.schedule", "five fields", "15 3 * * *"),
        (section(&format!("{whom}keep_last = 0")), 13, 13, "backup.keep_last", "outside 1 to 10000", "1 to 10000"),
        (section(&format!("{whom}keep_for = \"3654d\"")), 13, 12, "backup.keep_for", "outside 0s to 3653d", "3653d"),
        (section(&format!("{whom}keep = 3")), 13, 1, "backup.keep", "unknown key", "keep_"),
        (in_store("snapshot_path = \"passbook.db\"\npath = \"passbook.db\""), 3, 17, "store.snapshot_path", "the store itself", "another file"),
        (in_store("snapshot_path = \"/srv/\""), 3, 17, "store.snapshot_path", "a directory", "/srv/snapshot.db"),
        (in_store("snapshot_schedule = \"5\""), 3, 21, "store.snapshot_schedule", "five fields", "30 5 * * *"),
        (in_store("wal_warn = 256"), 3, 12, "store.wal_warn", "a size needs a unit", "256MB"),
        (in_store("wal_warn = \"127MB\""), 3, 12, "store.wal_warn", "outside 128MB to 1000GB", "128MB"),
        (in_store("wal_limit = \"two\""), 3, 13, "store.wal_limit", "not a size", "2GB"),
        (in_store("wal_limit = \"200MB\""), 3, 13, "store.wal_limit", "less than wal_warn (256MB)", "a warning comes"),
    ]
}

#[rustfmt::skip]
fn keys() -> Vec<Mistake> {
    vec![
        (in_source("overlpa = \"14d\""), 10, 1, "source.overlpa", "unknown key", "did you mean overlap?"),
        (in_source("timezone = \"UTC\""), 10, 1, "source.timezone", "unknown key", "belongs in [schedule]"),
        (in_store("page_size = 5"), 3, 1, "store.page_size", "unknown key", "belongs in [[source]]"),
        (in_store("colour = 5"), 3, 1, "store.colour", "unknown key", "path, key, previous_key, encryption, keep_raw, snapshot_path"),
        (swap("name = \"truv-prod\"\n", ""), 5, 1, "source.name", "missing", "name = "),
        (swap("aggregator = \"truv\"\n", ""), 5, 1, "source.aggregator", "missing", "aggregator = \"truv\""),
        (swap("client_id = \"the-id\"\n", ""), 5, 1, "source.client_id", "missing", "client_id = "),
        (swap("access_secret = { credential = \"truv-secret\" }\n", ""), 5, 1, "source.access_secret", "missing", "{ credential"),
    ]
}

#[rustfmt::skip]
fn types_and_bounds() -> Vec<Mistake> {
    vec![
        (in_store("keep_raw = \"yes\""), 3, 12, "store.keep_raw", "text, and true or false", "without quotes"),
        (in_store("path = 5"), 3, 8, "store.path", "a whole number, and text", "in quotes"),
        (in_store("path = \"\""), 3, 8, "store.path", "empty", DEFAULT_PATH),
        (in_store("path = \"/var/lib/\""), 3, 8, "store.path", "a directory", "/var/lib/passbook.db"),
        (in_store("encryption = \"ful\""), 3, 14, "store.encryption", "not one of the words", "did you mean \"full\"?"),
        (in_source("page_size = \"500\""), 10, 13, "source.page_size", "text, and a whole number", "10 to 500"),
        (in_source("page_size = 501"), 10, 13, "source.page_size", "outside 10 to 500 (smaller pages", "10 to 500"),
        (in_source("page_size = 9"), 10, 13, "source.page_size", "outside 10 to 500", ""),
        (in_source("page_size = -500"), 10, 13, "source.page_size", "outside 10 to 500", ""),
        (in_source("page_size = 5e2"), 10, 13, "source.page_size", "a number with a fraction", ""),
        (in_source("requests_per_minute = 9"), 10, 23, "source.requests_per_minute", "outside 10 to 100000", ""),
        (in_source("backfill_share = 0"), 10, 18, "source.backfill_share", "outside 1 to 90", ""),
        (in_source("refreshes_per_month = 0"), 10, 23, "source.refreshes_per_month", "refreshes_per_day = 0", ""),
        (and_then("[schedule]\nworkers = 65"), 12, 11, "schedule.workers", "outside 1 to 64", ""),
    ]
}

#[rustfmt::skip]
fn durations() -> Vec<Mistake> {
    vec![
        (in_source("overlap = 14"), 10, 11, "source.overlap", "needs a unit", "write \"14d\""),
        (in_source("overlap = \"14\""), 10, 11, "source.overlap", "needs a unit", "write \"14d\""),
        (in_source("refresh_poll_max = 90"), 10, 20, "source.refresh_poll_max", "needs a unit", "write \"90m\""),
        (in_source("overlap = \"two weeks\""), 10, 11, "source.overlap", "not a duration", "\"14d\" or \"6h30m\""),
        (in_source("overlap = true"), 10, 11, "source.overlap", "true or false, and a duration", "\"14d\""),
        (in_source("overlap = \"23h\""), 10, 11, "source.overlap", "outside 1d to 90d (less would", "\"1d\" to \"90d\""),
        (and_then("[schedule]\nsync_deadline = \"7h\""), 12, 17, "schedule.sync_deadline", "outside 1m to 6h", ""),
        (and_then("[schedule]\nspread = \"7h\""), 12, 10, "schedule.spread", "outside 0s to 6h", ""),
        (and_then("[retention]\nsyncs = \"6d\""), 12, 9, "retention.syncs", "outside 7d to 36500d (or \"never\"", "from \"7d\""),
        (and_then("[retention]\nrefreshes = \"40d\""), 12, 13, "retention.refreshes", "outside 62d", "\"62d\""),
        (and_then("[retention]\nraw = \"forever\""), 12, 7, "retention.raw", "not a duration", "write a duration"),
        (and_then("[retention]\ntransactions = \"90d\""), 12, 1, "retention.transactions", "unknown key", "known here"),
    ]
}

#[rustfmt::skip]
fn words() -> Vec<Mistake> {
    vec![
        (and_then("[log]\nformat = \"jsno\""), 12, 10, "log.format", "not one of the words", "did you mean \"json\"?"),
        (and_then("[log]\nformat = \"xml\""), 12, 10, "log.format", "not one", "\"auto\", \"text\", \"json\", \"journald\""),
        (and_then("[log]\nlevel = \"inof\""), 12, 9, "log.level", "not a log level", "did you mean \"info\"?"),
        (and_then("[log]\nlevel = \"passbook=loud\""), 12, 9, "log.level", "not a log filter", "passbook=debug"),
        (and_then("[schedule]\ntimezone = \"Europe/Berlim\""), 12, 12, "schedule.timezone", "not a time zone", "Europe/Berlin"),
        (and_then("[schedule]\ntimezone = \"CEST\""), 12, 12, "schedule.timezone", "not a time zone", ""),
        (in_source("sync_schedule = \"0 25 * * *\""), 10, 17, "source.sync_schedule", "not a cron expression", "minute hour"),
        (in_source("sync_schedule = \"hourly\""), 10, 17, "source.sync_schedule", "this one has 1", "minute hour"),
        (in_source("discover_schedule = \"0 0 31 2 *\""), 10, 21, "source.discover_schedule", "never run", ""),
        (in_source("base_url = \"prod.truv.com\""), 10, 12, "source.base_url", "not an address", "https://prod.truv.com"),
        (in_source("base_url = \"http://prod.truv.com\""), 10, 12, "source.base_url", "https is required", "https://"),
        (in_source("base_url = \"ftp://prod.truv.com\""), 10, 12, "source.base_url", "https is required", ""),
        (in_source("base_url = \"https://prod.truv.com/v1\""), 10, 12, "source.base_url", "no path", ""),
        (in_source("base_url = \"https://prod.truv.com?a=b\""), 10, 12, "source.base_url", "no query", ""),
        (in_source("base_url = \"https://u:p@prod.truv.com\""), 10, 12, "source.base_url", "no user or password", ""),
        (swap("\"truv-prod\"", "\"Truv Prod\""), 6, 8, "source.name", "lower-case", "write \"truv-prod\""),
        (swap("\"truv-prod\"", "\"-\""), 6, 8, "source.name", "lower-case", "truv-prod"),
        (swap("\"truv\"", "\"brigde\""), 7, 14, "source.aggregator", "not one of the words", "did you mean \"bridge\"?"),
        (swap("\"truv\"", "\"plaid\""), 7, 14, "source.aggregator", "not one of the words", "\"truv\", \"bridge\""),
        (swap("\"truv\"", "\"turv\""), 7, 14, "source.aggregator", "not one of the words", "did you mean \"truv\"?"),
    ]
}

#[rustfmt::skip]
fn combinations() -> Vec<Mistake> {
    vec![
        (in_source("refresh_poll_first = \"3m\""), 10, 22, "source.refresh_poll_first", "longer than refresh_poll_max (2m)", "\"2m\" or less"),
        (in_source("refresh_timeout = \"1m\"\nrefresh_poll_first = \"90s\""), 10, 19, "source.refresh_timeout", "shorter than refresh_poll_first (1m30s)", "more than \"1m30s\""),
        (in_store("previous_key = { credential = \"store-key\" }"), 3, 16, "store.previous_key", "the same as key", "passbook keygen"),
        (in_source("refresh_reserve = 3"), 10, 19, "source.refresh_reserve", "keeps back all of", "2 or less"),
        (in_source("refreshes_per_day = 0\nrefresh_reserve = 1"), 11, 19, "source.refresh_reserve", "keeps back all", "0 or less"),
        (twice("the-id", "another"), 12, 8, "source.name", "the source in line 6 has this name", "of its own"),
        (twice("truv-prod", "b"), 14, 13, "source.client_id", "the source in line 8 has the same credential", "its own credential"),
    ]
}

#[rustfmt::skip]
fn references() -> Vec<Mistake> {
    vec![
        (reference(&format!("\"{CANARY}\"")), 9, 17, "source.access_secret", "must not stand in this file", "{ credential = \"name\" }"),
        (reference("12345678"), 9, 17, "source.access_secret", "a whole number, and a reference", "{ credential"),
        (reference("{}"), 9, 17, "source.access_secret", "exactly one of", "{ credential"),
        (reference("{ secret = \"x\" }"), 9, 17, "source.access_secret", "exactly one of", "{ credential"),
        (reference("{ env = \"A\", file = \"b\" }"), 9, 17, "source.access_secret", "exactly one of", "{ credential"),
        (reference("{ env = 5 }"), 9, 25, "source.access_secret", "it refers to a whole number", ""),
        (reference("{ env = \"UNSET\" }"), 9, 25, "source.access_secret", "env UNSET: not found", "set the variable"),
        (reference("{ credential = \"gone\" }"), 9, 32, "source.access_secret", "credential gone: not found", "LoadCredential=gone:PATH"),
        (reference("{ file = \"gone.txt\" }"), 9, 26, "source.access_secret", "/etc/passbook/gone.txt: not found", "create the file"),
        (reference("{ credential = \"empty\" }"), 9, 32, "source.access_secret", "credential empty: empty", ""),
        (reference("{ credential = \"two-lines\" }"), 9, 32, "source.access_secret", "a line break", "on one line"),
        (key("{ credential = \"no-key\" }"), 2, 7, "store.key", "begins with pbk1_", "passbook keygen"),
        (key("{ credential = \"cut-key\" }"), 2, 7, "store.key", "cut off", "passbook keygen"),
        (swap("\"the-id\"", "\"the id\""), 8, 13, "source.client_id", "a space", "alone"),
        (swap("\"the-id\"", "5"), 8, 13, "source.client_id", "a whole number", "{ credential"),
    ]
}

#[rustfmt::skip]
fn no_toml() -> Vec<Mistake> {
    vec![
        (in_store("path = /var/lib"), 3, 8, "path", "not valid TOML", ""),
        (in_store("path = \"/var/lib"), 3, 17, "path", "not valid TOML", ""),
        (in_store("keep_raw = true\nkeep_raw = true"), 4, 1, "keep_raw", "not valid TOML: duplicate key", ""),
    ]
}

#[test]
fn every_kind_of_mistake_is_placed_and_explained() {
    are_explained(
        [
            structure(),
            server_settings(),
            alert_settings(),
            backup_settings(),
            keys(),
            types_and_bounds(),
            durations(),
            words(),
            combinations(),
            references(),
            no_toml(),
        ]
        .concat(),
    );
}

fn are_explained(mistakes: Vec<Mistake>) {
    let mut wrong = String::new();
    for (text, line, column, key, reason, hint) in mistakes {
        let found = problems(&text);
        let expected = |problem: &&Problem| {
            (problem.line, problem.column, problem.key.as_str()) == (line, column, key)
                && problem.reason.contains(reason)
                && problem.hint.contains(hint)
        };
        // Only the empty file has several mistakes at once.
        if found.iter().find(expected).is_none() || (found.len() != 1 && !text.is_empty()) {
            let _ = writeln!(wrong, "\n{line}:{column} {key} {reason} … {hint}\nfound {found:#?}\nin\n{text}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

const DEFAULT_PATH: &str = common::DEFAULT_STORE_PATH;

#[test]
fn ten_mistakes_are_reported_at_once_in_the_order_of_the_file() {
    let text = r#"
[store]
path = ""
keep_raw = 1
[log]
level = "verbose"
[schedule]
timezone = "Mars/Olympus"
workers = 0
[[source]]
name = "A"
aggregator = "truv"
client_id = "x"
access_secret = "dev-c4n4ry"
overlap = 14
colour = "red"
"#;
    let errors = parse(text).expect_err("mistakes");
    let found: Vec<_> = errors.problems.iter().map(|problem| (problem.line, problem.key.as_str())).collect();
    let expected = [
        (2, "store.key"),
        (3, "store.path"),
        (4, "store.keep_raw"),
        (6, "log.level"),
        (8, "schedule.timezone"),
        (9, "schedule.workers"),
        (11, "source.name"),
        (14, "source.access_secret"),
        (15, "source.overlap"),
        (16, "source.colour"),
    ];
    assert_eq!(found, expected);
    let shown = errors.to_string();
    assert!(
        shown.contains(
            "/etc/passbook/passbook.toml:15:11: source.overlap = 14: a duration needs a unit; write \"14d\", if that is \
             what is meant (units: d, h, m, s)\n"
        ),
        "{shown}"
    );
    assert!(shown.ends_with("\n10 problems"), "{shown}");
    assert_eq!(shown.lines().count(), 11);
}

#[test]
fn no_message_holds_a_secret() {
    let whole = with("", "");
    let reference = "{ credential = \"truv-secret\" }";
    let token = "dev-0123456789abcdef0123456789abcdef01234567";
    let mut shown = String::new();
    for secret in [CANARY, token] {
        let instead = |text: &str| whole.replace(reference, text);
        let texts = [
            instead(&format!("\"{secret}\"")),
            instead(&format!("\"{secret}")),
            instead(&format!("'{secret}")),
            instead(&format!("\"\"\"{secret}")),
            instead(secret),
            instead(&format!("\"{secret}\" extra")),
            instead(&format!("\"{secret}\\q\"")),
            instead(&format!("[\"{secret}\"]")),
            instead(&format!("{{ secret = \"{secret}\" }}")),
            instead(&format!("{{ credential = \"a\", value = \"{secret}\" }}")),
            instead(&format!("{{ env = \"{secret}\" }}")),
            instead(&format!("{{ file = \"{secret}\" }}")),
            instead(&format!("{{ credential = [\"{secret}\"] }}")),
            instead(&format!("{{ credential = \"{secret}")),
            instead("{ credential = \"two-lines\" }"),
            whole.replace("access_secret = ", "access_secret "),
            whole.replace("access_secret = { credential = \"truv-secret\" }", &format!("access_secret \"{secret}\"")),
            whole.replace("access_secret = { credential = \"truv-secret\" }", &format!("acess_secret = \"{secret}\"")),
            whole.replace("access_secret = { credential = \"truv-secret\" }", secret),
            whole.replace("{ credential = \"store-key\" }", &format!("\"{secret}\"")),
            whole.replace("{ credential = \"store-key\" }", "{ credential = \"no-key\" }"),
            with("", &format!("access_secret = \"{secret}\"")),
            with("", &format!("base_url = \"https://user:{secret}@prod.truv.com\"")),
            with("", &format!("base_url = \"https://prod.truv.com?key={secret}\"")),
            with("", &format!("[server]\nadmin_token = \"{secret}\"")),
            with("", &format!("[alert]\nwebhook_url = \"http://hooks.example.com/{secret}\"")),
            with("", &format!("[alert]\nwebhook_url = \"{secret}\"")),
            with("", &format!("[unknown]\ntoken = \"{secret}\"")),
            with("", &format!("client_secret = \"{secret}\"")),
        ];
        for text in texts {
            let errors = parse(&text).expect_err(&text);
            let _ = writeln!(shown, "{errors}\n{errors:?}");
        }
    }
    let _ = writeln!(shown, "{:?}", problems(&whole.replace(reference, &format!("{{ credential = \"{token}\" }}"))));
    let _ = writeln!(shown, "{:?}", problems(&with(&format!("path = \"{token}/\""), "")));
    let _ = writeln!(shown, "{:#?}", parse(&whole).expect("valid"));
    for secret in ["c4n4ry", "0123456789abcdef", "pbk1_A"] {
        let leak = shown.lines().find(|line| line.contains(secret));
        assert_eq!(leak, None);
    }
}

#[test]
fn defaults_are_those_of_the_code() {
    let config = parse(&with("", "")).expect("valid");
    assert_eq!(config.store.path, Path::new(common::DEFAULT_STORE_PATH));
    assert!(config.store.keep_raw);
    assert_eq!((config.log.level.as_str(), config.log.format), ("info", LogFormat::Auto));
    assert_eq!((config.schedule.timezone_name.as_str(), config.schedule.workers), ("UTC", 8));
    assert_eq!(config.schedule.sync_deadline, Duration::from_mins(15));
    assert_eq!(config.schedule.spread, Duration::from_mins(30));
    assert_eq!(config.retention, RetentionConfig::default());
    let [source] = config.sources.as_slice() else { panic!("one source") };
    assert_eq!(source.base_url.as_str(), "https://prod.truv.com/");
    assert_eq!(source.sync_schedule.as_str(), truv::DEFAULT_SYNC_SCHEDULE);
    assert_eq!(source.discover_schedule.as_str(), source::DEFAULT_DISCOVER_SCHEDULE);
    assert_eq!(source.reconcile_schedule.as_str(), source::DEFAULT_RECONCILE_SCHEDULE);
    assert_eq!(source.backfill_share, 50);
    let truv = truv_of(source);
    assert_eq!((truv.client_id.as_str(), truv.access_secret.expose()), ("the-id", CANARY));
    let refresh = source.refresh().expect("Truv can be asked");
    assert_eq!((refresh.per_day, refresh.reserve, refresh.per_month), (3, 1, None));
    assert_eq!(
        [refresh.poll_first, refresh.poll_max, refresh.timeout, source.overlap()].map(|d| d.as_secs()),
        [20, 120, 1200, 14 * 86_400]
    );
    assert_eq!((source.word(), source.quota(), source.page_size()), ("truv", (300, Duration::from_mins(1)), 500));
    assert_eq!(source.status_schedule(), None, "a sync tells the state");
    assert_eq!(config.warnings, []);
}

#[test]
fn alerts_go_where_the_section_says_and_nowhere_without_it() {
    assert_eq!(parse(&with("", "")).expect("valid").alert, AlertConfig::default());
    let section =
        "[alert]\nwebhook_url = { credential = \"alert-url\" }\ncommand = [\"/bin/page\", \"-u\"]\nlink_grace = \"0s\"";
    let config = parse(&and_then(section)).expect("valid");
    let url = config.alert.webhook_url.as_ref().expect("an address");
    assert_eq!(url.expose(), format!("https://hooks.example.com/{CANARY}"));
    let command = config.alert.command.as_ref().expect("a command");
    assert_eq!((command.program.to_str(), command.arguments.as_slice()), (Some("/bin/page"), &["-u".to_owned()][..]));
    assert_eq!((config.alert.link_grace, config.alert.stale_after), (Duration::ZERO, alert::DEFAULT_STALE_AFTER));
    assert!(!format!("{config:?}").contains(CANARY));
    for local in ["http://127.0.0.1:9/a", "http://[::1]/a?b", "http://localhost:1"] {
        assert!(parse(&and_then(&format!("[alert]\nwebhook_url = {local:?}"))).is_ok(), "{local}");
    }
}

#[test]
fn settings_are_taken_over() {
    let source = "client_id = { credential = \"truv-id\" }\nbase_url = \"http://[::1]:8080\"\nrefreshes_per_day = 1\n\
                  overlap = \"1d12h\"\nsync_schedule = \"15 30 6 * * MON-FRI\"\nrefreshes_per_month = 5_000";
    let text = with("path = \"data/p.db\"", source).replace("client_id = \"the-id\"\n", "");
    let text = format!(
        "{text}\n[schedule]\ntimezone = \"Europe/Berlin\"\n[log]\nlevel = \"warn,passbook=trace\"\nformat = \"json\""
    );
    let config = parse(&format!("{text}\n[retention]\nsyncs = \"never\"\nbalances = \"30d\"")).expect("valid");
    let days = |days: u64| Some(Duration::from_hours(24 * days));
    assert_eq!((config.retention.syncs, config.retention.balances), (None, days(30)));
    assert_eq!((config.retention.webhook_events, config.retention.raw), (days(7), None));
    assert_eq!(config.store.path, Path::new("/etc/passbook/data/p.db"), "relative to the file");
    assert_eq!(config.log.format, LogFormat::Json);
    let source = &config.sources[0];
    assert_eq!(source.sync_schedule.zone(), &config.schedule.timezone);
    assert_eq!(source.sync_schedule.zone().iana_name(), Some("Europe/Berlin"));
    let truv = truv_of(source);
    assert_eq!(truv.client_id, "the-id");
    assert_eq!((truv.refresh.per_day, truv.refresh.reserve), (1, 0), "nothing to keep back from one");
    assert_eq!(truv.refresh.per_month, Some(5000));
    assert_eq!(truv.overlap, Duration::from_hours(36));
}

#[test]
fn a_secret_may_come_from_a_credential_a_file_or_the_environment() {
    for reference in [
        "{ credential = \"truv-secret\" }",
        "{ file = \"secret\" }",
        "{ file = \"/etc/passbook/secret\" }",
        "{ env = \"TRUV_SECRET\" }",
    ] {
        let config = parse(&with("", "").replace("{ credential = \"truv-secret\" }", reference)).expect(reference);
        let truv = truv_of(&config.sources[0]);
        assert_eq!(truv.access_secret.expose(), CANARY, "{reference}: without the newline");
    }
}

#[test]
fn what_is_doubtful_is_a_warning_with_its_place() {
    for (line, key, reason) in [
        ("sync_schedule = \"0 */4 * * *\"", "source.sync_schedule", "more syncs a day than refreshes (3)"),
        ("sync_schedule = \"*/5 * * * *\"", "source.sync_schedule", "more than 24 syncs a day"),
        ("requests_per_minute = 301", "source.requests_per_minute", "Truv documents 300"),
        ("refreshes_per_day = 4", "source.refreshes_per_day", "Truv documents 3"),
    ] {
        let warnings = parse(&with("", line)).expect(line).warnings;
        let [warning] = warnings.as_slice() else { panic!("{line}: {warnings:?}") };
        assert_eq!((warning.line, warning.key.as_str()), (10, key));
        assert!(warning.reason.contains(reason) && warning.value.is_some(), "{warning}");
    }
    for line in ["sync_schedule = \"0 */4 * * *\"\nrefreshes_per_day = 0", "sync_schedule = \"0 6 * * *\""] {
        assert_eq!(parse(&with("", line)).expect(line).warnings, [], "{line}");
    }
}

#[test]
fn two_sources_with_different_secrets_stand_side_by_side() {
    let one = with("", "");
    let two = one[one.find("[[").expect("source")..].replace("truv-prod", "b").replace("truv-secret", "other-secret");
    assert_eq!(parse(&format!("{one}{two}")).expect("valid").sources.len(), 2);
}

mod on_disk {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_example_loads_with_a_credentials_directory() {
        let directory = tempfile::tempdir().expect("directory");
        let key = StoreKey::generate().expect("randomness");
        fs::write(directory.path().join("store-key"), format!("{}\n", key.to_text().as_str())).expect("written");
        fs::write(directory.path().join("truv-secret"), CANARY).expect("written");
        fs::write(directory.path().join("bridge-client-secret"), CANARY).expect("written");
        let secrets = SystemSecrets { credentials_directory: Some(directory.path().to_owned()) };
        let config = Config::parse(EXAMPLE, Path::new("config.example.toml"), &secrets).expect("valid");
        assert_eq!(config.store.key, key);
        assert_eq!(config.warnings, []);
        let without = Config::parse(EXAMPLE, Path::new("config.example.toml"), &SystemSecrets::default());
        let errors = without.expect_err("no credentials");
        assert!(errors.problems.iter().all(|problem| problem.reason.contains("$CREDENTIALS_DIRECTORY is not set")));
    }

    #[cfg(not(feature = "sqlcipher"))]
    #[test]
    fn a_build_without_sqlcipher_says_which_build_encrypts_the_whole_store() {
        let found = super::problems(&with("encryption = \"full\"", ""));
        assert_eq!((found[0].line, found[0].key.as_str(), found.len()), (3, "store.encryption", 1));
        assert!(
            found[0].reason.contains("no SQLCipher") && found[0].hint.contains("--features sqlcipher"),
            "{found:?}"
        );
    }

    #[cfg(feature = "sqlcipher")]
    #[test]
    fn whoever_only_reads_needs_the_key_of_a_store_that_is_encrypted_whole_and_nothing_else() {
        let directory = tempfile::tempdir().expect("directory");
        let file = directory.path().join("passbook.toml");
        fs::write(&file, with("encryption = \"full\"", "")).expect("written");
        let errors = Config::load_without_secrets(&file).expect_err("no key");
        let found: Vec<_> =
            errors.problems.iter().map(|problem| (problem.key.as_str(), problem.hint.as_str())).collect();
        assert_eq!(found.iter().map(|(key, _)| *key).collect::<Vec<_>>(), ["store.key", "store.encryption"]);
        assert!(found[1].1.contains("who may read store.key"), "{found:?}");
    }

    #[test]
    fn credentials_of_a_whole_directory_go_by_their_plain_names() {
        let directory = tempfile::tempdir().expect("directory");
        let secrets = SystemSecrets { credentials_directory: Some(directory.path().to_owned()) };
        // As systemd names what the unit has it load.
        fs::write(directory.path().join("passbook_truv-secret"), "from the directory").expect("written");
        assert_eq!(secrets.credential("truv-secret").expect("found").as_str(), "from the directory");
        fs::write(directory.path().join("truv-secret"), "its own").expect("written");
        assert_eq!(secrets.credential("truv-secret").expect("found").as_str(), "its own");
    }

    #[test]
    fn whoever_only_reads_needs_no_address_that_is_kept_secret() {
        let directory = tempfile::tempdir().expect("directory");
        let file = directory.path().join("passbook.toml");
        fs::write(&file, and_then("[alert]\nwebhook_url = { credential = \"alert-url\" }")).expect("written");
        let config = Config::load_without_secrets(&file).expect("valid");
        assert!(config.alert.webhook_url.is_some());
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let directory = tempfile::tempdir().expect("directory");
        let secret = directory.path().join("truv.secret");
        fs::write(&secret, CANARY).expect("written");
        let key = directory.path().join("store.key");
        fs::write(&key, StoreKey::generate().expect("randomness").to_text().as_str()).expect("written");
        fs::set_permissions(&key, Permissions::from_mode(0o400)).expect("set");
        let text = with("", "")
            .replace("{ credential = \"store-key\" }", "{ file = \"store.key\" }")
            .replace("{ credential = \"truv-secret\" }", "{ file = \"truv.secret\" }");
        let file = directory.path().join("passbook.toml");
        fs::write(&file, text).expect("written");
        for mode in [0o640, 0o604, 0o644, 0o610, 0o602] {
            fs::set_permissions(&secret, Permissions::from_mode(mode)).expect("set");
            let errors = Config::load(&file).expect_err("refused");
            let [problem] = errors.problems.as_slice() else { panic!("{errors}") };
            assert_eq!((problem.line, problem.key.as_str()), (9, "source.access_secret"));
            assert!(problem.reason.contains(&format!("mode {mode:04o}")), "{problem}");
            assert_eq!(problem.hint, format!("chmod 600 {}", secret.display()));
        }
        for mode in [0o600, 0o400] {
            fs::set_permissions(&secret, Permissions::from_mode(mode)).expect("set");
            Config::load(&file).expect("private enough");
        }
    }

    #[test]
    fn what_is_no_secret_file_is_refused() {
        let directory = tempfile::tempdir().expect("directory");
        let secrets = SystemSecrets { credentials_directory: Some(directory.path().to_owned()) };
        fs::create_dir(directory.path().join("inner")).expect("made");
        fs::write(directory.path().join("binary"), [0xff, 0xfe]).expect("written");
        fs::write(directory.path().join("long"), "x".repeat(64 * 1024 + 1)).expect("written");
        for (name, expected) in [
            ("inner", SecretReadError::NotAFile),
            ("binary", SecretReadError::NotText),
            ("long", SecretReadError::TooLong),
            ("gone", SecretReadError::NotFound),
            ("../long", SecretReadError::BadName),
            ("..", SecretReadError::BadName),
            ("", SecretReadError::BadName),
        ] {
            assert_eq!(secrets.credential(name), Err(expected), "{name}");
        }
        assert_eq!(secrets.variable("PASSBOOK_TEST_UNSET"), Err(SecretReadError::NotFound));
        assert_eq!(secrets.variable("A=B"), Err(SecretReadError::BadName));
        assert_eq!(SystemSecrets::default().credential("x"), Err(SecretReadError::NoCredentialsDirectory));
    }

    #[test]
    fn a_missing_file_is_one_problem() {
        let errors = Config::load(Path::new("/nowhere/passbook.toml")).expect_err("missing");
        let shown = errors.to_string();
        assert!(shown.starts_with("/nowhere/passbook.toml: the file cannot be read: "), "{shown}");
        assert!(shown.contains("--config FILE") && shown.ends_with("\n1 problem"), "{shown}");
    }
}

/// What the example holds back with its section.
const EXAMPLE_SECTIONS: [&str; 11] = [
    "[alert]\n",
    "webhook_url = ",
    "command = ",
    "stale_after = ",
    "link_grace = ",
    "[backup]\n",
    "recipients = ",
    "directory = ",
    "schedule = ",
    "keep_last = ",
    "keep_for = ",
];

/// The example with the options that stand at their defaults switched on.
fn example_in_full() -> String {
    let is_option =
        |line: &str| line.strip_prefix('#').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()));
    EXAMPLE.lines().map(|line| if is_option(line) { &line[1..] } else { line }).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_shows_every_option_at_its_default() {
    let secrets = secrets();
    let load = |text: &str| Config::parse(text, Path::new("/etc/passbook/passbook.toml"), &secrets).expect("valid");
    let full = example_in_full();
    assert_eq!(load(&full), load(EXAMPLE), "defaults stated are those of the code");

    let with_alerts = EXAMPLE_SECTIONS.iter().fold(full, |text, line| text.replace(&format!("# {line}"), line));
    assert!(with_alerts.contains("age1…"), "a key that nobody has must not load");
    let with_alerts = with_alerts.replace("age1…", &recipient());
    let config = load(&with_alerts);
    let backup = config.backup.expect("a section");
    assert_eq!(backup.directory, Path::new(backup::DEFAULT_BACKUP_DIRECTORY));
    assert_eq!(backup.schedule.as_str(), backup::DEFAULT_BACKUP_SCHEDULE);
    assert_eq!(
        (backup.keep_last, backup.keep_for),
        (backup::DEFAULT_KEEP_LAST as usize, backup::DEFAULT_KEEP_FOR),
        "defaults stated are those of the code"
    );
    assert!(config.alert.webhook_url.is_some() && config.alert.command.is_some());
    let told = AlertConfig { webhook_url: None, command: None, ..config.alert };
    assert_eq!(told, AlertConfig::default(), "defaults stated are those of the code");
    let full = with_alerts;

    let without_defaults = [
        "previous_key",
        "snapshot_schedule",
        "refreshes_per_month",
        "public_listen",
        "public_url",
        "admin_listen",
        "admin_token",
    ];
    let shown =
        without_defaults.iter().fold(full, |text, key| text.replace(&format!("# {key} = "), &format!("{key} = ")));
    let document: toml::Table = shown.parse().expect("valid");
    for KeyGroup { section, aggregator, keys } in SECTION_KEYS {
        let sources = document[*section].as_array().map_or(&[] as &[_], Vec::as_slice);
        let is_meant =
            |source: &&toml::Value| aggregator.is_none_or(|word| source["aggregator"].as_str() == Some(word));
        let tables: Vec<_> =
            if sources.is_empty() { vec![&document[*section]] } else { sources.iter().filter(is_meant).collect() };
        assert!(!tables.is_empty(), "{aggregator:?} has no source in the example");
        for (key, table) in keys.iter().flat_map(|key| tables.iter().map(move |table| (key, table))) {
            assert!(table.get(key).is_some(), "{section}.{key} ({aggregator:?}) is not in the example");
        }
    }
}

#[test]
fn the_example_can_be_cut_down_to_one_aggregator() {
    let (truv, bridge) = (EXAMPLE.find("# Truv.\n").expect("Truv"), EXAMPLE.find("# Bridge. ").expect("Bridge"));
    for (text, word) in
        [(EXAMPLE[..bridge].to_owned(), "truv"), (format!("{}{}", &EXAMPLE[..truv], &EXAMPLE[bridge..]), "bridge")]
    {
        let config = parse(&text).expect(word);
        assert_eq!(config.sources.iter().map(SourceConfig::word).collect::<Vec<_>>(), [word]);
    }
}

#[test]
fn the_example_states_the_bounds_of_the_code() {
    let seconds = |text: &str, unit_s: u64, duration: Duration| format!("{}{text}", duration.as_secs() / unit_s);
    let numbers = |min: u32, max: u32| format!("{min} to {max}");
    let spans = |min: String, max: String| format!("{min} to {max}");
    let (in_truv, in_bridge) = EXAMPLE.split_at(EXAMPLE.find("# Bridge. ").expect("Bridge"));
    for (example, key, bounds) in [
        (in_truv, "workers", numbers(common::MIN_WORKERS, common::MAX_WORKERS)),
        (
            in_truv,
            "sync_deadline",
            spans(seconds("m", 60, common::MIN_SYNC_DEADLINE), seconds("h", 3600, common::MAX_SYNC_DEADLINE)),
        ),
        (
            in_truv,
            "invite_lifetime",
            spans(seconds("m", 60, server::MIN_INVITE_LIFETIME), seconds("d", 86_400, server::MAX_INVITE_LIFETIME)),
        ),
        (in_truv, " admin_token", format!("at least {} characters", server::MIN_ADMIN_TOKEN_CHARS)),
        (in_truv, "webhook_secrets", format!("at most {}", truv::MAX_WEBHOOK_SECRETS)),
        (
            in_truv,
            " stale_after",
            spans(seconds("h", 3600, alert::MIN_STALE_AFTER), seconds("d", 86_400, alert::MAX_STALE_AFTER)),
        ),
        (
            in_truv,
            " link_grace",
            spans(seconds("s", 1, alert::MIN_LINK_GRACE), seconds("d", 86_400, alert::MAX_LINK_GRACE)),
        ),
        (in_truv, " recipients", format!("At most {}", backup::MAX_RECIPIENTS)),
        (in_truv, " keep_last", numbers(backup::MIN_KEEP_LAST, backup::MAX_KEEP_LAST)),
        (
            in_truv,
            " keep_for",
            spans(seconds("s", 1, backup::MIN_KEEP_FOR), seconds("d", 86_400, backup::MAX_KEEP_FOR)),
        ),
        (in_truv, "wal_warn", "128MB to 1000GB".to_owned()),
        (in_truv, "spread", spans(seconds("s", 1, common::MIN_SPREAD), seconds("h", 3600, common::MAX_SPREAD))),
        (in_truv, "backfill_share", numbers(source::MIN_BACKFILL_SHARE, source::MAX_BACKFILL_SHARE)),
        (in_truv, "requests_per_minute", numbers(truv::MIN_REQUESTS_PER_MINUTE, truv::MAX_REQUESTS_PER_MINUTE)),
        (in_truv, "refreshes_per_day", numbers(refresh::MIN_REFRESHES_PER_DAY, refresh::MAX_REFRESHES_PER_DAY)),
        (in_truv, " refreshes_per_month", numbers(refresh::MIN_REFRESHES_PER_MONTH, refresh::MAX_REFRESHES_PER_MONTH)),
        (in_truv, "refresh_reserve", numbers(refresh::MIN_REFRESH_RESERVE, refresh::MAX_REFRESH_RESERVE)),
        (
            in_truv,
            "refresh_poll_first",
            spans(seconds("s", 1, refresh::MIN_REFRESH_POLL), seconds("h", 3600, refresh::MAX_REFRESH_POLL)),
        ),
        (
            in_truv,
            "refresh_poll_first",
            spans(seconds("m", 60, refresh::MIN_REFRESH_TIMEOUT), seconds("h", 3600, refresh::MAX_REFRESH_TIMEOUT)),
        ),
        (in_truv, "overlap", spans(seconds("d", 86_400, truv::MIN_OVERLAP), seconds("d", 86_400, truv::MAX_OVERLAP))),
        (in_truv, "page_size", numbers(truv::MIN_PAGE_SIZE, truv::MAX_PAGE_SIZE)),
        (in_bridge, "webhook_secrets", format!("at most {}", bridge::MAX_WEBHOOK_SECRETS)),
        (in_bridge, "backfill_share", numbers(source::MIN_BACKFILL_SHARE, source::MAX_BACKFILL_SHARE)),
        (
            in_bridge,
            "requests_per_5_minutes",
            numbers(bridge::MIN_REQUESTS_PER_5_MINUTES, bridge::MAX_REQUESTS_PER_5_MINUTES),
        ),
        (
            in_bridge,
            "user_requests_per_minute",
            numbers(bridge::MIN_USER_REQUESTS_PER_MINUTE, bridge::MAX_USER_REQUESTS_PER_MINUTE),
        ),
        (in_bridge, "overlap", spans(seconds("m", 60, bridge::MIN_OVERLAP), seconds("d", 86_400, bridge::MAX_OVERLAP))),
        (in_bridge, "page_size", numbers(bridge::MIN_PAGE_SIZE, bridge::MAX_PAGE_SIZE)),
    ] {
        // The paragraph that ends in the option's own line.
        let at = example.find(&format!("\n#{key} = ")).unwrap_or_else(|| panic!("{key}"));
        let paragraph = example[..at].rsplit("\n\n").next().expect("a paragraph").replace("\n# ", " ");
        assert!(paragraph.contains(&bounds), "{key}: {bounds} is not in: {paragraph}");
    }
}
