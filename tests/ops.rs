//! The alert rules and the dashboard in `ops/`, against what the metrics route really exports.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use passbook::clock::Clock;
use passbook::config::{Config, SecretReadError, SecretStore};
use passbook::daemon::{self, BuildOptions, Daemon, DaemonOptions};
use passbook::http::Transport;
use passbook::sandbox::{Plan, Sandbox};
use passbook::secret::{Encryption, Sealer, StoreKey};
use passbook::server::{self, Peer, Served};
use passbook::store::{Access, ConfigLoad, LoadOutcome, OpenOptions, Store};
use passbook::sync::Waker;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use zeroize::Zeroizing;

const RULES: &str = include_str!("../ops/prometheus/passbook.rules.yml");
const SCRAPE: &str = include_str!("../ops/prometheus/scrape.yml");
const RUNBOOK: &str = include_str!("../docs/runbook.md");
const DASHBOARD: &str = include_str!("../ops/grafana/passbook.json");

struct Secrets(BTreeMap<&'static str, String>);

impl SecretStore for Secrets {
    fn credential(&self, name: &str) -> Result<Zeroizing<String>, SecretReadError> {
        self.0.get(name).cloned().map(Zeroizing::new).ok_or(SecretReadError::NotFound)
    }

    fn file(&self, _: &Path) -> Result<Zeroizing<String>, SecretReadError> {
        Err(SecretReadError::NotFound)
    }

    fn variable(&self, _: &str) -> Result<Zeroizing<String>, SecretReadError> {
        Err(SecretReadError::NotFound)
    }
}

/// What the metrics route answers after a first sync of a small bank.
async fn scrape() -> String {
    let clock = Clock::virtual_at("2026-03-02T12:00:00Z".parse().expect("an instant"));
    let bank = Sandbox::new(clock.clone(), 7);
    bank.seed_world(&Plan { links: 2, transactions_per_link: 10, ..Plan::default() });
    let dir = tempfile::tempdir().expect("a directory");
    let key = StoreKey::generate().expect("randomness");
    let text = format!(
        "[store]\npath = \"passbook.db\"\nkey = {{ credential = \"key\" }}\n[server]\nadmin_listen = \"127.0.0.1:0\"\n\
         admin_token = {{ credential = \"key\" }}\n[[source]]\nname = \"truv-prod\"\naggregator = \"truv\"\n\
         base_url = \"http://127.0.0.1:1\"\nclient_id = \"{}\"\naccess_secret = {{ credential = \"secret\" }}\n\
         refreshes_per_month = 100\n[backup]\nrecipients = [\"{}\"]\ndirectory = \"backups\"\n",
        bank.truv_client_id(),
        age::x25519::Identity::generate().to_public()
    )
    .replace("[server]", "snapshot_schedule = \"30 5 * * *\"\n[server]");
    let secrets = Secrets(BTreeMap::from([("key", key.to_text().to_string()), ("secret", bank.truv_secret())]));
    let config = Config::parse(&text, &dir.path().join("passbook.toml"), &secrets).expect("a good config");
    let sealer = Sealer::new(key);
    let path = &config.store.path;
    let opened = OpenOptions {
        path,
        sealer,
        encryption: Encryption::Secrets,
        keep_raw: true,
        access: Access::Create,
        now: clock.now(),
    };
    let store = Store::open(opened).expect("a store");
    let options =
        BuildOptions { store, clock: clock.clone(), transport: Transport::in_process(bank.router()), seed: 1 };
    let engine = Arc::new(daemon::build(&config, options).await.expect("an engine"));
    let options =
        DaemonOptions { workers: 2, backfill_share: 100, step_deadline: config.schedule.sync_deadline, once: true };
    Daemon::new(Arc::clone(&engine), options).run(CancellationToken::new()).await.expect("the store works");
    let hold = clock.now() + jiff::SignedDuration::from_mins(1);
    engine.store().write(move |txn| txn.hold_source(1, hold, "request limit")).await.expect("the store works");
    let load = ConfigLoad { loaded_at: clock.now(), outcome: LoadOutcome::Started, summary: String::new(), plan: None };
    engine.store().write(move |txn| txn.note_config_load(&load)).await.expect("the store works");
    let backups = engine.backup().expect("a section");
    let made = engine.store().back_up(backups, clock.clone(), CancellationToken::new()).await.expect("the store works");
    assert_eq!(made.error, None);
    let snapshot = engine.readers().snapshot_path;
    engine.store().publish_snapshot(snapshot, clock.now()).await.expect("a copy");

    let served = Served::new(engine, Waker::default(), Arc::new(config));
    let token = served.admin().expect("an admin side").token.expose().to_owned();
    let mut request = Request::get("/metrics").header("authorization", format!("Bearer {token}"));
    request.extensions_mut().expect("a request").insert(Peer([127, 0, 0, 1].into()));
    let request = request.body(Body::empty()).expect("a request");
    let response = server::admin::router(&served).oneshot(request).await.expect("an answer");
    let bytes = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// What is exported: each metric with its type and help, each sample's name with its labels and their values.
#[derive(Default)]
struct Exported {
    types: BTreeMap<String, String>,
    helps: BTreeMap<String, String>,
    samples: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
}

fn exported(text: &str) -> Exported {
    let mut all = Exported::default();
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            assert!(all.types.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} comes twice");
        } else if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help");
            all.helps.insert(name.to_owned(), help.to_owned());
        } else {
            assert!(!line.starts_with('#'), "{line}");
            let (sample, _) = line.rsplit_once(' ').expect("a value");
            let (name, labels) = sample.split_once('{').unwrap_or((sample, "}"));
            let known = all.samples.entry(name.to_owned()).or_default();
            for label in labels.trim_end_matches('}').split("\",").filter(|label| !label.is_empty()) {
                let (name, value) = label.split_once("=\"").expect("a label");
                known.entry(name.to_owned()).or_default().insert(value.trim_end_matches('"').to_owned());
            }
        }
    }
    all
}

/// Where an expression uses a metric: its name, and for each label the values it is compared with, if they are plain words.
type Uses = Vec<(String, Vec<(String, Vec<String>)>)>;

fn uses(expression: &str) -> Uses {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(at) = rest.find("passbook_") {
        let from = &rest[at..];
        let end = from.find(|c| !is_word(c)).unwrap_or(from.len());
        let (name, after) = from.split_at(end);
        let mut labels = Vec::new();
        if let Some(inner) = after.strip_prefix('{') {
            let inner = &inner[..inner.find('}').expect("labels end")];
            for matcher in inner.split("\",").filter(|matcher| !matcher.trim().is_empty()) {
                let (label, values) = matcher.split_once('"').expect("a value");
                let values = values.trim_end_matches('"');
                let is_plain = !values.contains(['$', '.', '*']);
                let values = if is_plain { values.split('|').map(str::to_owned).collect() } else { Vec::new() };
                labels.push((label.trim_end_matches(['=', '~', '!', ' ']).trim().to_owned(), values));
            }
        }
        found.push((name.to_owned(), labels));
        rest = after;
    }
    found
}

/// The labels that an expression groups or joins by.
fn groupings(expression: &str) -> BTreeSet<String> {
    let mut labels = BTreeSet::new();
    for word in ["by (", "on (", "without (", "ignoring (", "group_left (", "group_right ("] {
        for (at, _) in expression.match_indices(word) {
            let inside = &expression[at + word.len()..];
            let inside = &inside[..inside.find(')').expect("a list ends")];
            labels.extend(inside.split(',').map(|label| label.trim().to_owned()).filter(|label| !label.is_empty()));
        }
    }
    labels
}

/// The labels that a text shows, `{{source}}` in Grafana and `{{ $labels.source }}` in rules.
fn shown(text: &str) -> BTreeSet<String> {
    let inner = text.split("{{").skip(1).filter_map(|part| part.split("}}").next());
    let inner = inner.map(|part| part.trim().trim_start_matches("$labels.").to_owned());
    inner.filter(|part| !part.starts_with("$value")).collect()
}

/// Fails unless everything that an expression names is exported; returns the labels its metrics have.
fn check(expression: &str, all: &Exported, place: &str) -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    for (name, labels) in uses(expression) {
        let sample = all.samples.get(&name).unwrap_or_else(|| panic!("{place}: {name} is not exported: {expression}"));
        known.extend(sample.keys().cloned());
        for (label, values) in labels {
            let exported = sample.get(&label).unwrap_or_else(|| panic!("{place}: {name} has no label {label}"));
            for value in values {
                // Which outcomes there are depends on what happened.
                let is_open = label == "outcome" && name == "passbook_syncs_total";
                assert!(is_open || exported.contains(&value), "{place}: no {name} has {label}={value}");
            }
        }
    }
    for label in groupings(expression) {
        assert!(known.contains(&label), "{place}: no metric in it has the label {label}: {expression}");
    }
    known
}

#[tokio::test(start_paused = true)]
async fn every_metric_is_explained_and_named_as_is_usual() {
    let text = scrape().await;
    let all = exported(&text);
    assert!(all.types.len() > 40, "{}", all.types.len());
    for (name, kind) in &all.types {
        let help = all.helps.get(name).unwrap_or_else(|| panic!("{name} has no help"));
        assert!(help.ends_with('.') && !help.ends_with("..") && help.len() > 10, "{name}: {help}");
        assert!(help.starts_with(|c: char| c.is_uppercase() || c == '1'), "{name}: {help}");
        let is_plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        assert!(name.starts_with("passbook_") && is_plain, "{name}");
        for unit in ["_ms", "_milliseconds", "_minutes", "_hours", "_days", "_kb", "_mb", "_percent", "_total"] {
            assert!(!name.ends_with(unit), "{name}: base units, and _total only from the format");
        }
        assert!(["gauge", "counter"].contains(&kind.as_str()), "{name} is a {kind}");
        let sample = if kind == "counter" { format!("{name}_total") } else { name.clone() };
        assert!(all.samples.contains_key(&sample), "{name} has no sample");
    }
    for (name, labels) in &all.samples {
        for (label, values) in labels {
            let allowed = ["source", "aggregator", "state", "outcome", "cause", "scope", "kind", "version"];
            assert!(allowed.contains(&label.as_str()), "{name} has a label {label}");
            assert!(values.len() <= 10, "{name}: {label} has {} values", values.len());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_alert_rules_use_what_is_exported_and_say_what_to_do() {
    let all = exported(&scrape().await);
    let rules: Value = serde_norway::from_str(RULES).expect("YAML");
    let mut names = BTreeSet::new();
    for group in rules["groups"].as_array().expect("groups") {
        for rule in group["rules"].as_array().expect("rules") {
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let name = text(&rule["alert"]).expect("a name");
            assert!(names.insert(name.clone()), "{name} comes twice");
            let expression = text(&rule["expr"]).expect("an expression");
            let mut known = check(&expression, &all, &name);
            known.extend(["instance", "job"].map(str::to_owned));
            assert!(rule["for"].is_string(), "{name} has no for");
            let severity = text(&rule["labels"]["severity"]).expect("a severity");
            assert!(["page", "ticket"].contains(&severity.as_str()), "{name}: {severity}");
            for annotation in ["summary", "description"] {
                let said =
                    text(&rule["annotations"][annotation]).unwrap_or_else(|| panic!("{name} has no {annotation}"));
                let unknown: Vec<_> = shown(&said).into_iter().filter(|label| !known.contains(label)).collect();
                assert_eq!(unknown, Vec::<String>::new(), "{name}");
            }
            if let Some(runbook) = text(&rule["annotations"]["runbook"]) {
                let anchor = runbook.strip_prefix("docs/runbook.md#").expect("the runbook");
                assert!(anchors(RUNBOOK).contains(anchor), "{name}: no paragraph {anchor}");
            }
        }
    }
    assert!(names.len() >= 12, "{names:?}");
}

#[tokio::test(start_paused = true)]
async fn the_dashboard_shows_what_is_exported() {
    let all = exported(&scrape().await);
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    assert!(dashboard["schemaVersion"].as_u64().expect("a version") >= 39);
    let (mut titles, mut ids, mut asked) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().expect("panels") {
        let title = panel["title"].as_str().expect("a title");
        assert!(ids.insert(panel["id"].as_u64().expect("an id")), "{title}: an id comes twice");
        if panel["type"] == "row" {
            titles.push(title);
            continue;
        }
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        for target in panel["targets"].as_array().expect("targets") {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
            let expression = target["expr"].as_str().expect("an expression");
            let known = check(expression, &all, title);
            let legend = shown(target["legendFormat"].as_str().expect("a legend"));
            assert!(legend.is_subset(&known), "{title}: {legend:?}");
            asked.extend(uses(expression).into_iter().map(|(name, _)| name));
        }
    }
    for row in ["Freshness", "Links", "Requests against limits", "Refreshes and cost", "Rows", "Store and process"] {
        assert!(titles.contains(&row), "{row} is not in {titles:?}");
    }
    assert!(asked.len() > 25, "{asked:?}");
    for list in [&dashboard["templating"]["list"], &dashboard["annotations"]["list"]] {
        check(&list.to_string().replace('\\', ""), &all, "variables");
    }
}

#[test]
fn the_scrape_sends_the_token_to_the_metrics_route() {
    let scrape: Value = serde_norway::from_str(SCRAPE).expect("YAML");
    let job = &scrape["scrape_configs"][0];
    assert_eq!((&job["job_name"], &job["metrics_path"]), (&"passbook".into(), &"/metrics".into()));
    assert!(job["authorization"]["credentials_file"].is_string());
}

/// What a link to each heading ends with.
fn anchors(markdown: &str) -> BTreeSet<String> {
    let headings = markdown.lines().filter(|line| line.starts_with('#'));
    let kept = |c: char| c.is_alphanumeric() || "- ".contains(c);
    headings
        .map(|line| line.trim_start_matches('#').trim().to_lowercase().chars().filter(|c| kept(*c)).collect::<String>())
        .map(|heading| heading.replace(' ', "-"))
        .collect()
}

/// Every test there is, by name.
fn tests_in(directory: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            tests_in(&entry, names);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            let source = std::fs::read_to_string(&entry).expect("reads");
            let functions = source.lines().filter_map(|line| line.split_once("fn ")?.1.split_once('('));
            names.extend(functions.map(|(name, _)| name.to_owned()));
        }
    }
}

#[test]
fn the_runbook_has_every_disaster_and_names_tests_that_exist() {
    let (_, paragraphs) = RUNBOOK.split_once("\n## Disk full while writing").expect("the first disaster");
    let paragraphs: Vec<&str> = paragraphs.split("\n## ").collect();
    let disasters = [
        "disk-full-while-writing",
        "disk-full-while-checkpointing",
        "read-only-file-system",
        "clock-jumping-by-a-day",
        "two-daemons",
        "store-from-a-newer-version",
        "damaged-page",
        "lost-write-ahead-log",
        "lost-key",
        "wrong-key",
        "machine-asleep-for-three-days",
        "aggregator-down-for-a-day",
        "dns-gone",
        "certificate-expired",
        "10000-links-needing-attention-at-once",
    ];
    assert_eq!(paragraphs.len(), disasters.len());
    let anchors = anchors(RUNBOOK);
    let (symptoms, _) = RUNBOOK.split_once("\n## Disk full while writing").expect("a table");
    for disaster in disasters {
        assert!(anchors.contains(disaster), "{disaster} has no heading");
        assert!(symptoms.contains(&format!("](#{disaster})")), "no symptom leads to {disaster}");
    }
    let mut tests = BTreeSet::new();
    tests_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"), &mut tests);
    for paragraph in paragraphs {
        let title = paragraph.lines().next().unwrap_or_default();
        let parts =
            ["**What you see.**", "**Why.**", "**What Passbook does by itself.**", "**What you do.**", "**Proved by**"];
        for part in parts {
            assert!(paragraph.contains(part), "{title} does not say {part}");
        }
        let (_, proofs) = paragraph.split_once("**Proved by**").expect("proofs");
        let named: Vec<&str> = proofs.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "{title} is proved by nothing");
        for name in named {
            assert!(tests.contains(name), "{title}: there is no test {name}");
        }
    }
}
