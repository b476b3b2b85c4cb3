//! What only Bridge sources have, and sources of both aggregators side by side.

use passbook::config::{BridgeConfig, RefreshConfig};

use super::*;

/// A Bridge source with these lines at its end, all on lines of their own: `[store]` is line 1, `[[source]]` line 4, the lines
/// given begin at 9.
fn with(lines: &str) -> String {
    format!("[store]\nkey = {{ credential = \"store-key\" }}\n\n{}", source("bridge-prod", lines))
}

fn source(name: &str, lines: &str) -> String {
    format!(
        "[[source]]\nname = \"{name}\"\naggregator = \"bridge\"\nclient_id = \"the-id\"\n\
         client_secret = {{ credential = \"bridge-client-secret\" }}\n{lines}\n"
    )
}

fn bridge_of(source: &SourceConfig) -> &BridgeConfig {
    match &source.aggregator {
        AggregatorConfig::Bridge(bridge) => bridge,
        AggregatorConfig::Truv(_) => panic!("{} is a truv source", source.name),
    }
}

fn swap(from: &str, to: &str) -> String {
    with("").replace(from, to)
}

fn hooks(to: &str) -> String {
    with(&format!("webhook_secrets = {to}"))
}

#[rustfmt::skip]
fn keys() -> Vec<Mistake> {
    let foreign = "a key of truv sources; Bridge ";
    vec![
        (with("overlpa = \"1h\""), 9, 1, "source.overlpa", "unknown key", "did you mean overlap?"),
        (with("colour = 5"), 9, 1, "source.colour", "unknown key", "name, aggregator, base_url"),
        (with("requests_per_5_minute = 5"), 9, 1, "source.requests_per_5_minute", "unknown key", "requests_per_5_minutes?"),
        (swap("client_id = \"the-id\"\n", ""), 4, 1, "source.client_id", "missing", "client_id = "),
        (swap("client_secret = { credential = \"bridge-client-secret\" }\n", ""), 4, 1, "source.client_secret", "missing", "client_secret = { credential"),
        (swap("name = \"bridge-prod\"\n", ""), 4, 1, "source.name", "missing", "name = \"bridge-prod\""),
        (with("access_secret = { env = \"X\" }"), 9, 1, "source.access_secret", foreign, "did you mean client_secret?"),
        (with("requests_per_minute = 300"), 9, 1, "source.requests_per_minute", foreign, "requests_per_5_minutes"),
        (with("refreshes_per_day = 3"), 9, 1, "source.refreshes_per_day", "Bridge refreshes by itself", "remove it"),
        (with("refreshes_per_month = 3"), 9, 1, "source.refreshes_per_month", "Bridge refreshes by itself", "remove it"),
        (with("refresh_reserve = 1"), 9, 1, "source.refresh_reserve", "Bridge refreshes by itself", "remove it"),
        (with("refresh_poll_first = \"20s\""), 9, 1, "source.refresh_poll_first", "Bridge refreshes by itself", "remove it"),
        (with("refresh_poll_max = \"2m\""), 9, 1, "source.refresh_poll_max", "Bridge refreshes by itself", "remove it"),
        (with("refresh_timeout = \"20m\""), 9, 1, "source.refresh_timeout", "Bridge refreshes by itself", "remove it"),
    ]
}

/// The same the other way round: a Truv source with a key of Bridge's.
#[rustfmt::skip]
fn keys_at_truv() -> Vec<Mistake> {
    let foreign = "a key of bridge sources; Truv ";
    vec![
        (in_source("client_secret = { env = \"X\" }"), 10, 1, "source.client_secret", foreign, "did you mean access_secret?"),
        (in_source("requests_per_5_minutes = 2000"), 10, 1, "source.requests_per_5_minutes", foreign, "requests_per_minute?"),
        (in_source("user_requests_per_minute = 60"), 10, 1, "source.user_requests_per_minute", "no limit per user", "remove it"),
        (in_source("accept_language = \"fr\""), 10, 1, "source.accept_language", "Truv has no accept_language", "remove it"),
        (in_source("status_schedule = \"0 * * * *\""), 10, 1, "source.status_schedule", "Truv has no status_schedule", "remove it"),
    ]
}

#[rustfmt::skip]
fn values() -> Vec<Mistake> {
    vec![
        (with("page_size = 501"), 9, 13, "source.page_size", "outside 10 to 500 (smaller pages", "10 to 500"),
        (with("page_size = 9"), 9, 13, "source.page_size", "outside 10 to 500", ""),
        (with("requests_per_5_minutes = 49"), 9, 26, "source.requests_per_5_minutes", "outside 50 to 500000", ""),
        (with("requests_per_5_minutes = \"2000\""), 9, 26, "source.requests_per_5_minutes", "a whole number is needed", ""),
        (with("user_requests_per_minute = 9"), 9, 28, "source.user_requests_per_minute", "outside 10 to 100000", ""),
        (with("overlap = \"9m\""), 9, 11, "source.overlap", "outside 10m to 14d (less would", "\"10m\" to \"14d\""),
        (with("overlap = \"15d\""), 9, 11, "source.overlap", "outside 10m to 14d", ""),
        (with("overlap = 2"), 9, 11, "source.overlap", "needs a unit", "write \"2h\""),
        (with("sync_schedule = \"6h\""), 9, 17, "source.sync_schedule", "this one has 1", bridge::DEFAULT_SYNC_SCHEDULE),
        (with("status_schedule = \"0 25 * * *\""), 9, 19, "source.status_schedule", "not a cron expression", bridge::DEFAULT_STATUS_SCHEDULE),
        (with("base_url = \"http://api.bridgeapi.io\""), 9, 12, "source.base_url", "https is required", bridge::DEFAULT_BASE_URL),
        (with("base_url = \"https://api.bridgeapi.io/v3\""), 9, 12, "source.base_url", "no path", bridge::DEFAULT_BASE_URL),
        (swap("\"bridge-prod\"", "\"-\""), 5, 8, "source.name", "lower-case", "such as \"bridge-prod\""),
        (with("accept_language = 5"), 9, 19, "source.accept_language", "a whole number, and text", "\"fr\""),
        (with("accept_language = \"\""), 9, 19, "source.accept_language", "empty", "\"fr\""),
        (with("accept_language = \"french\""), 9, 19, "source.accept_language", "not a language tag", "\"fr\" or \"fr-FR\""),
        (with("accept_language = \"fr,en;q=0.5\""), 9, 19, "source.accept_language", "not a language tag", "one language"),
        (with("accept_language = \"fr_FR.UTF-8\""), 9, 19, "source.accept_language", "not a language tag", "did you mean \"fr-FR\"?"),
    ]
}

#[rustfmt::skip]
fn references() -> Vec<Mistake> {
    let (old, new) = ("{ credential = \"hook-old\" }", "{ credential = \"hook-new\" }");
    vec![
        (swap("{ credential = \"bridge-client-secret\" }", &format!("\"{CANARY}\"")), 8, 17, "source.client_secret", "must not stand in this file", "{ credential"),
        (swap("bridge-client-secret", "gone"), 8, 32, "source.client_secret", "credential gone: not found", "LoadCredential=gone:PATH"),
        (swap("\"the-id\"", "{ credential = \"gone\" }"), 7, 28, "source.client_id", "credential gone: not found", "LoadCredential=gone:PATH"),
        (hooks(old), 9, 19, "source.webhook_secrets", "a table, and a list of references", "in brackets"),
        (hooks(&format!("\"{CANARY}\"")), 9, 19, "source.webhook_secrets", "text, and a list of references", "in brackets"),
        (hooks(&format!("[\"{CANARY}\"]")), 9, 20, "source.webhook_secrets", "must not stand in this file", "{ credential"),
        (hooks("[{ credential = \"gone\" }]"), 9, 35, "source.webhook_secrets", "credential gone: not found", "LoadCredential=gone:PATH"),
        (hooks(&format!("[{old}, 5]")), 9, 49, "source.webhook_secrets", "a whole number, and a reference", "{ credential"),
        (hooks(&format!("[{old}, {new}, {new}]")), 9, 19, "source.webhook_secrets", "there are 3, and no more than 2", "the newest"),
    ]
}

#[rustfmt::skip]
fn combinations() -> Vec<Mistake> {
    let and_then = |name: &str| format!("{}{}", with(""), source(name, ""));
    vec![
        (and_then("b"), 13, 13, "source.client_id", "the source in line 7 has the same credential", "its own credential"),
        (and_then("bridge-prod").replacen("the-id", "another", 1), 11, 8, "source.name", "the source in line 5 has this name", "of its own"),
        (and_then("b").replacen("bridge-client-secret", "other-secret", 1), 13, 13, "source.client_id", "the same credential", ""),
    ]
}

#[test]
fn every_kind_of_mistake_in_a_bridge_source_is_placed_and_explained() {
    are_explained([keys(), keys_at_truv(), values(), references(), combinations()].concat());
}

#[test]
fn all_mistakes_of_a_bridge_source_are_reported_at_once() {
    let text = swap("{ credential = \"bridge-client-secret\" }", &format!("\"{CANARY}\""))
        + "access_secret = { env = \"X\" }\noverlap = \"1m\"\naccept_language = \"klingon\"\n\
           webhook_secrets = [{ env = \"A\" }, { env = \"B\" }]\nstatus_schedule = \"often\"\npage_size = 1000\n";
    let found = problems(&text);
    let keys: Vec<_> = found.iter().map(|problem| problem.key.trim_start_matches("source.")).collect();
    assert_eq!(
        keys,
        [
            "client_secret",
            "access_secret",
            "overlap",
            "accept_language",
            "webhook_secrets",
            "webhook_secrets",
            "status_schedule",
            "page_size"
        ]
    );
    assert!(found.iter().all(|problem| problem.line > 0 && !problem.hint.is_empty()), "{found:#?}");
    assert!(!format!("{found:?}").contains("c4n4ry"));
}

#[test]
fn no_message_holds_a_secret_of_a_bridge_source() {
    let token = "0123456789abcdef0123456789abcdef01234567";
    let mut shown = String::new();
    for secret in [CANARY, token] {
        for text in [
            hooks(&format!("\"{secret}\"")),
            hooks(&format!("[\"{secret}\"]")),
            hooks(&format!("[[\"{secret}\"]]")),
            hooks(&format!("[{{ env = \"{secret}\" }}]")),
            hooks(&format!("[{{ secret = \"{secret}\" }}]")),
            hooks(&format!("[\"{secret}")),
            with(&format!("client_secrets = \"{secret}\"")),
            with(&format!("webhook_secret = \"{secret}\"")),
            with(&format!("access_secret = \"{secret}\"")),
            with(&format!("accept_language = \"{token}\"")),
            swap("{ credential = \"bridge-client-secret\" }", &format!("\"{secret}\"")),
        ] {
            let errors = parse(&text).expect_err(&text);
            let _ = writeln!(shown, "{errors}\n{errors:?}");
        }
    }
    let hooks = hooks("[{ credential = \"hook-old\" }, { credential = \"hook-new\" }]");
    let _ = writeln!(shown, "{:#?}", parse(&hooks).expect("valid"));
    let leak = shown.lines().find(|line| line.contains("c4n4ry") || line.contains("0123456789abcdef"));
    assert_eq!(leak, None);
}

#[test]
fn defaults_of_a_bridge_source_are_those_of_the_code() {
    let config = parse(&with("")).expect("valid");
    assert_eq!(config.warnings, []);
    let [source] = config.sources.as_slice() else { panic!("one source") };
    assert_eq!(source.base_url.as_str(), "https://api.bridgeapi.io/");
    assert_eq!(source.sync_schedule.as_str(), "0 */6 * * *");
    assert_eq!(source.discover_schedule.as_str(), source::DEFAULT_DISCOVER_SCHEDULE);
    assert_eq!(source.reconcile_schedule.as_str(), source::DEFAULT_RECONCILE_SCHEDULE);
    assert_eq!(source.backfill_share, 50);
    let bridge = bridge_of(source);
    assert_eq!((bridge.client_id.as_str(), bridge.client_secret.expose()), ("the-id", "dev-c4n4ry-bridge"));
    assert_eq!((bridge.webhook_secrets.as_slice(), bridge.accept_language.as_str()), (&[] as &[_], "fr"));
    assert_eq!((bridge.user_requests_per_minute, bridge.page_size), (60, 500));
    assert_eq!((source.word(), source.quota(), source.page_size()), ("bridge", (2000, Duration::from_mins(5)), 500));
    assert_eq!(source.overlap(), Duration::from_hours(1));
    assert_eq!(source.refresh(), None, "nothing to ask for");
    assert_eq!(source.status_schedule().map(passbook::schedule::Schedule::as_str), Some("0 * * * *"));
}

#[test]
fn settings_of_a_bridge_source_are_taken_over() {
    let lines = "base_url = \"http://127.0.0.1:8080\"\naccept_language = \"en-GB\"\nstatus_schedule = \"30 6 * * *\"\n\
                 sync_schedule = \"0 7 * * *\"\nrequests_per_5_minutes = 1_000\nuser_requests_per_minute = 30\n\
                 overlap = \"1d\"\npage_size = 50\nbackfill_share = 10\n\
                 webhook_secrets = [{ credential = \"hook-old\" }, { credential = \"hook-new\" }]\n\
                 [schedule]\ntimezone = \"Europe/Paris\"";
    let config = parse(&with(lines).replace("\"the-id\"", "{ credential = \"bridge-id\" }")).expect("valid");
    assert_eq!(config.warnings, []);
    let source = &config.sources[0];
    assert_eq!(source.base_url.as_str(), "http://127.0.0.1:8080/");
    assert_eq!((source.quota(), source.page_size()), ((1000, Duration::from_mins(5)), 50));
    assert_eq!((source.overlap(), source.backfill_share), (Duration::from_hours(24), 10));
    let bridge = bridge_of(source);
    assert_eq!((bridge.client_id.as_str(), bridge.accept_language.as_str()), ("bridge-id", "en-GB"));
    assert_eq!(bridge.user_requests_per_minute, 30);
    assert_eq!(bridge.status_schedule.as_str(), "30 6 * * *");
    assert_eq!(bridge.status_schedule.zone().iana_name(), Some("Europe/Paris"));
    let secrets: Vec<_> = bridge.webhook_secrets.iter().map(|secret| secret.expose().to_owned()).collect();
    assert_eq!(secrets, ["dev-c4n4ry-old", "dev-c4n4ry-new"]);
}

#[test]
fn what_is_doubtful_in_a_bridge_source_is_a_warning_with_its_place() {
    for (line, key, reason) in [
        ("accept_language = \"de\"", "source.accept_language", "Bridge documents fr and en"),
        ("sync_schedule = \"*/5 * * * *\"", "source.sync_schedule", "more than 24 syncs a day"),
        ("status_schedule = \"*/5 * * * *\"", "source.status_schedule", "more than 24 times a day"),
        ("requests_per_5_minutes = 2001", "source.requests_per_5_minutes", "Bridge documents 2000 requests"),
        ("user_requests_per_minute = 61", "source.user_requests_per_minute", "Bridge documents 60 requests per user"),
    ] {
        let warnings = parse(&with(line)).expect(line).warnings;
        let [warning] = warnings.as_slice() else { panic!("{line}: {warnings:?}") };
        assert_eq!((warning.line, warning.key.as_str()), (9, key));
        assert!(warning.reason.contains(reason) && warning.value.is_some(), "{warning}");
    }
    for line in ["accept_language = \"EN\"", "accept_language = \"fr-FR\"", "sync_schedule = \"0 * * * *\""] {
        assert_eq!(parse(&with(line)).expect(line).warnings, [], "{line}: more often than at Truv is no harm");
    }
}

#[test]
fn sources_of_both_aggregators_stand_side_by_side() {
    let two = format!("{}{}", super::with("", "overlap = \"7d\""), source("bridge-prod", "overlap = \"2h\""));
    let config = parse(&two).expect("the same client id at another aggregator is another credential");
    let words: Vec<_> = config.sources.iter().map(|source| (source.name.as_str(), source.word())).collect();
    assert_eq!(words, [("truv-prod", "truv"), ("bridge-prod", "bridge")]);
    let [truv, bridge] = config.sources.as_slice() else { panic!("two sources") };
    assert_eq!((truv.sync_schedule.as_str(), bridge.sync_schedule.as_str()), ("0 */8 * * *", "0 */6 * * *"));
    assert_eq!([truv.overlap(), bridge.overlap()].map(|overlap| overlap.as_secs()), [7 * 86_400, 7200]);
    assert_eq!(truv.refresh(), Some(&truv_of(truv).refresh));
    assert_eq!(bridge.refresh().unwrap_or(&RefreshConfig::NEVER).per_day, 0);
}

#[test]
fn without_an_aggregator_the_keys_of_none_are_refused() {
    let lines = "refreshes_per_day = 3\nstatus_schedule = \"0 * * * *\"";
    let found = problems(&with(lines).replace("aggregator = \"bridge\"\n", ""));
    let [problem] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(problem.key, "source.aggregator");
}
