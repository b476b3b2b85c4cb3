//! A changed configuration in the middle of work: no sync is dropped, no limit forgotten, nobody else disturbed.

use std::sync::Arc;
use std::time::Duration;

use passbook::config::{AggregatorConfig, Config};
use passbook::daemon::{self, Assignment, BuildOptions, Daemon, DaemonOptions, Succession};
use passbook::http::Transport;
use passbook::sandbox::{Environment, Plan, Served};
use passbook::secret::Secret;
use passbook::sync::Engine;
use tokio_util::sync::CancellationToken;

use crate::harness::Bench;

at_every_aggregator!(
    a_sync_under_way_comes_to_its_end_when_its_source_changes,
    requests_under_way_when_the_secret_is_rotated_hold_nobody,
    a_source_that_is_gone_rests_and_goes_on_when_it_is_back,
    a_source_that_did_not_change_is_the_same_as_before,
);

/// The engine of a changed configuration, ready to take over from that of `former`.
async fn changed(bench: &Bench, former: &Config, running: &Engine, config: &Config) -> Succession {
    let options = BuildOptions {
        store: bench.store.clone(),
        clock: bench.clock.clone(),
        transport: Transport::in_process(bench.bank.router()),
        seed: 5,
    };
    daemon::rebuild(config, former, running, options).await.expect("an engine")
}

fn town(serves: Served) -> Bench {
    let bench = Bench::at(serves, "sync_schedule = \"0 * * * *\"\n");
    bench.bank.settings(|settings| settings.bridge.refresh_every = None);
    bench.bank.seed_world(&Plan { links: 6, transactions_per_link: 12, ..Plan::default() });
    bench
}

async fn a_sync_under_way_comes_to_its_end_when_its_source_changes(serves: Served) {
    let bench = town(serves);
    bench.bank.settings(|settings| settings.latency = Duration::from_secs(8));
    let engine = bench.engine().await;
    let daemon = Daemon::new(Arc::clone(&engine), bench.options(false));
    let (assignment, busy, stop) = (daemon.assignment(), daemon.busy(), CancellationToken::new());
    let script = async {
        bench.until_a_sync_runs(&busy).await;
        let open = bench.value("SELECT max(sync_id) FROM syncs WHERE finished_at IS NULL");
        let mut config = bench.config().clone();
        config.sources[0].backfill_share = 10;
        let succession = changed(&bench, bench.config(), &engine, &config).await;
        let options = DaemonOptions { workers: 2, ..bench.options(false) };
        let retention = config.retention;
        assignment.send_replace(Assignment { engine: succession.take_over(), options, retention });
        tokio::time::sleep(Duration::from_hours(5)).await;
        stop.cancel();
        open
    };
    let (result, open) = tokio::join!(daemon.run(stop.clone()), script);
    result.expect("the store works");
    assert_eq!(bench.value(&format!("SELECT outcome FROM syncs WHERE sync_id = {open}")), "ok");
    assert_eq!(bench.value("SELECT count(*) FROM syncs WHERE outcome IS NOT 'ok'"), "0");
    let hourly = bench.value("SELECT min(n) FROM (SELECT count(*) AS n FROM syncs GROUP BY link_id)");
    assert!(hourly.parse::<u32>().expect("a number") >= 5, "the new lane goes on: {hourly}");
    bench.assert_store_is_truth();
}

/// A configuration with another secret, issued by the bank, which forgets the former one at once.
fn rotated(bench: &Bench) -> Config {
    let mut config = bench.config().clone();
    let new = match &mut config.sources[0].aggregator {
        AggregatorConfig::Truv(truv) => {
            let new = bench.bank.add_secret(Environment::Sandbox);
            truv.access_secret = Secret::new(&*new);
            new
        }
        AggregatorConfig::Bridge(bridge) => {
            let new = bench.bank.add_bridge_secret();
            bridge.client_secret = Secret::new(&*new);
            new
        }
    };
    assert_ne!(new, bench.secret);
    bench.bank.revoke_secret(&bench.secret);
    config
}

async fn requests_under_way_when_the_secret_is_rotated_hold_nobody(serves: Served) {
    let bench = town(serves);
    bench.bank.settings(|settings| settings.latency = Duration::from_secs(8));
    let engine = bench.engine().await;
    let daemon = Daemon::new(Arc::clone(&engine), bench.options(false));
    let (assignment, busy, stop) = (daemon.assignment(), daemon.busy(), CancellationToken::new());
    let script = async {
        bench.until_a_sync_runs(&busy).await;
        let config = rotated(&bench);
        let succession = changed(&bench, bench.config(), &engine, &config).await;
        let (options, retention) = (bench.options(false), config.retention);
        assignment.send_replace(Assignment { engine: succession.take_over(), options, retention });
        for _ in 0..120 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(bench.value("SELECT count(*) FROM sources WHERE hold_reason IS NOT NULL"), "0");
        }
        assert_ne!(bench.value("SELECT count(*) FROM syncs WHERE error LIKE '%replaced meanwhile%'"), "0");
        tokio::time::sleep(Duration::from_hours(3)).await;
        stop.cancel();
    };
    let (result, ()) = tokio::join!(daemon.run(stop.clone()), script);
    result.expect("the store works");
    bench.assert_store_is_truth();
}

async fn a_source_that_is_gone_rests_and_goes_on_when_it_is_back(serves: Served) {
    let bench = town(serves);
    let engine = bench.engine().await;
    let daemon = Daemon::new(Arc::clone(&engine), bench.options(false));
    let (assignment, stop) = (daemon.assignment(), CancellationToken::new());
    let assign = |succession: Succession| {
        let engine = succession.take_over();
        let (options, retention) = (bench.options(false), bench.config().retention);
        assignment.send_replace(Assignment { engine: Arc::clone(&engine), options, retention });
        engine
    };
    let script = async {
        tokio::time::sleep(Duration::from_hours(3)).await;
        let none = Config { sources: Vec::new(), ..bench.config().clone() };
        let resting = assign(changed(&bench, bench.config(), &engine, &none).await);
        tokio::time::sleep(Duration::from_mins(5)).await;
        let before = bench.value("SELECT count(*) FROM syncs");
        tokio::time::sleep(Duration::from_hours(5)).await;
        assert_eq!(bench.value("SELECT count(*) FROM syncs"), before, "nothing of it is asked for");
        assert_eq!(bench.value("SELECT retired_at IS NULL FROM sources"), "0");
        assign(changed(&bench, &none, &resting, bench.config()).await);
        tokio::time::sleep(Duration::from_hours(2)).await;
        assert_eq!(bench.value("SELECT retired_at IS NULL FROM sources"), "1");
        assert_ne!(bench.value("SELECT count(*) FROM syncs"), before);
        stop.cancel();
    };
    let (result, ()) = tokio::join!(daemon.run(stop.clone()), script);
    result.expect("the store works");
    bench.assert_store_is_truth();
}

async fn a_source_that_did_not_change_is_the_same_as_before(serves: Served) {
    let bench = town(serves);
    let engine = bench.engine().await;
    let before = Arc::clone(engine.sources().next().expect("a source"));
    let mut config = bench.config().clone();
    "debug".clone_into(&mut config.log.level);
    let same = changed(&bench, bench.config(), &engine, &config).await.take_over();
    assert!(Arc::ptr_eq(&before, same.sources().next().expect("a source")));
    config.schedule.workers = 1;
    let other = changed(&bench, bench.config(), &engine, &config).await.take_over();
    assert!(!Arc::ptr_eq(&before, other.sources().next().expect("a source")));
}
