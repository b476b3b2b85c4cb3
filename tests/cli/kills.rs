//! SIGKILL at every kind of moment, in the middle of every kind of work, and a look at what is left after each.
//!
//! `PASSBOOK_KILLS=1000 cargo test --test cli kills -- --nocapture` kills that often at each aggregator, with refreshes, and
//! says what was killed.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use passbook::sandbox::{Plan, Served};
use passbook::server::control::{self, Order};
use rand::RngExt as _;

use super::desk::query;
use super::street::Street;

/// Kills at each aggregator in an ordinary run.
const KILLS: usize = 6;
/// After so many kills everything is finished, and compared with the world.
const KILLS_PER_LOOK: usize = 6;
/// The same where links are refreshed: a refresh whose request was cut off is waited for by design, two minutes.
const KILLS_PER_LOOK_WITH_REFRESHES: usize = 25;
const LINKS: usize = 8;
/// So many kills of a kind say whether they come in time: a third of them must.
const JUDGED_FROM: usize = 6;

/// What is under way when the process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    /// The daemon starts.
    Start,
    /// The daemon has just been answered a request: at each in turn.
    Request,
    /// The daemon syncs.
    Sync,
    /// A backup is made.
    Backup,
    /// The store's key is changed.
    Rekey,
    /// A customer is forgotten.
    Forget,
}

const WORK: [Work; 8] =
    [Work::Start, Work::Request, Work::Sync, Work::Backup, Work::Rekey, Work::Forget, Work::Request, Work::Sync];

/// A program that is killed again and again.
struct Killer {
    street: Street,
    runtime: tokio::runtime::Runtime,
    /// After how many requests the next one dies that dies at a request.
    nth_request: usize,
    /// Ids of customers who were forgotten.
    forgotten: Vec<String>,
    /// Kills by what was under way.
    kills: BTreeMap<Work, usize>,
    /// Of those, where the process was over before.
    too_late: BTreeMap<Work, usize>,
    /// Within how many milliseconds a process is killed that ends by itself.
    longest_ms: BTreeMap<Work, u64>,
}

impl Killer {
    fn new(served: Served, with_refreshes: bool) -> Self {
        let street = Street::new(served, LINKS, with_refreshes);
        street.desk.bank.settings(|settings| {
            settings.latency = Duration::from_millis(3);
            // The bank refuses no refresh, or one too many would not be seen.
            settings.refresh_limit = None;
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self {
            street,
            runtime,
            nth_request: 1,
            forgotten: Vec::new(),
            kills: BTreeMap::new(),
            too_late: BTreeMap::new(),
            longest_ms: [(Work::Backup, 90), (Work::Rekey, 40), (Work::Forget, 120)].into(),
        }
    }

    fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.street.desk.bare();
        command.arg("--config").arg(self.street.desk.config()).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts")
    }

    /// Kills a process of which this kind of work is asked.
    fn kill(&mut self, work: Work) {
        let _ = fs::remove_file(self.street.desk.socket());
        let mut process = match work {
            Work::Start => {
                let daemon = self.start(&["run"]);
                self.street.pause(60);
                daemon
            }
            Work::Request | Work::Sync => self.sync(work),
            Work::Backup => {
                let backup = self.start(&["backup"]);
                self.street.pause(self.longest_ms[&work]);
                backup
            }
            Work::Rekey => {
                self.street.prepare_rekey();
                let rekey = self.start(&["rekey"]);
                self.street.pause(self.longest_ms[&work]);
                rekey
            }
            Work::Forget => {
                let links = self.street.live_links();
                let user = links[self.street.rng.random_range(0..links.len())].user_upstream_id.clone();
                let forget = self.start(&["users", "forget", "--user", &user, "--yes"]);
                self.forgotten.push(user);
                self.street.pause(self.longest_ms[&work]);
                forget
            }
        };
        let is_late = process.try_wait().expect("a state").is_some();
        *self.too_late.entry(work).or_default() += usize::from(is_late);
        if let Some(longest_ms) = self.longest_ms.get_mut(&work) {
            // How long it runs is the machine's affair: nearer where it was over, and where it was not a little farther, so that
            // its end is struck too.
            *longest_ms = if is_late { (*longest_ms / 2).max(1) } else { *longest_ms + *longest_ms / 8 + 1 };
        }
        let _over_before = process.kill();
        process.wait().expect("gone");
        *self.kills.entry(work).or_default() += 1;
        // What is there opens, whatever was under way: SQLite's own look at it, by another program.
        assert_eq!(
            query(&self.street.desk.store(), "SELECT count(*) FROM pragma_quick_check WHERE quick_check <> 'ok'"),
            0
        );
        match work {
            Work::Rekey => self.street.finish_rekey(),
            Work::Forget => self.finish_forget(),
            Work::Start | Work::Request | Work::Sync | Work::Backup => {}
        }
    }

    /// A daemon that syncs all links, until the moment comes.
    fn sync(&mut self, work: Work) -> Child {
        let daemon = self.start(&["run"]);
        let socket = self.street.desk.socket();
        let began = Instant::now();
        let order = Order::Sync { links: Vec::new(), full: self.street.rng.random_bool(0.3) };
        let (runtime, store) = (&self.runtime, self.street.desk.store());
        while !socket.exists() || runtime.block_on(control::send(&store, &order)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(30), "the daemon takes no orders");
            std::thread::sleep(Duration::from_millis(2));
        }
        if work == Work::Sync {
            self.street.pause(250);
            return daemon;
        }
        let before = self.street.desk.bank.request_log().len();
        let began = Instant::now();
        while self.street.desk.bank.request_log().len() < before + self.nth_request
            && began.elapsed() < Duration::from_secs(1)
        {
            std::thread::sleep(Duration::from_micros(200));
        }
        self.nth_request = self.nth_request % 60 + 1;
        daemon
    }

    fn finish_forget(&self) {
        let user = self.forgotten.last().expect("one");
        self.street.desk.ends_with(0, &["users", "forget", "--user", user, "--yes"]);
        // Somebody else comes in their place.
        let new = self.street.desk.bank.seed_world(&Plan { links: 1, transactions_per_link: 25, ..Plan::default() })[0];
        let new = self.street.live_links().into_iter().find(|link| link.id == new).expect("it is there");
        self.street.desk.ends_with(0, &["links", "add", &new.upstream_id, "--user", &new.user_upstream_id]);
    }

    /// Finishes everything, and compares with the world.
    fn look(&self) {
        self.street.desk.ends_with(0, &["run", "--once"]);
        self.street.desk.ends_with(0, &["sync"]);
        self.street.verify();
        self.street.compare();
        assert!(self.street.desk.bank.refreshes().iter().all(|link| link.worst_day <= 3), "a refresh too many");
        self.look_for_the_forgotten();
    }

    fn look_for_the_forgotten(&self) {
        for suffix in ["", "-wal"] {
            let bytes = fs::read(self.street.desk.dir.path().join(format!("passbook.db{suffix}"))).unwrap_or_default();
            for id in &self.forgotten {
                let is_there = bytes.windows(id.len()).any(|window| window == id.as_bytes());
                assert!(!is_there, "passbook.db{suffix} still knows a forgotten customer");
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "how long the tests may take is said from outside")]
fn wanted() -> usize {
    std::env::var("PASSBOOK_KILLS").map_or(KILLS, |text| text.parse().expect("PASSBOOK_KILLS is a number"))
}

#[expect(clippy::print_stdout, reason = "says how much was tried")]
fn whatever_is_killed_whenever(served: Served) {
    let with_refreshes = wanted() > KILLS;
    let kills_per_look = if with_refreshes { KILLS_PER_LOOK_WITH_REFRESHES } else { KILLS_PER_LOOK };
    let mut killer = Killer::new(served, with_refreshes);
    killer.street.desk.ends_with(0, &["run", "--once"]);
    let mut looks = 1;
    for (number, work) in WORK.into_iter().cycle().take(wanted()).enumerate() {
        killer.street.live();
        killer.kill(work);
        if (number + 1) % kills_per_look == 0 {
            killer.look();
            looks += 1;
        }
    }
    killer.look();
    killer.street.desk.ends_with(0, &["backup"]);
    killer.street.look_at_backups();
    let Killer { kills, too_late, .. } = &killer;
    println!("{served:?}: killed {kills:?}, of them over before {too_late:?}; compared with the world {looks} times");
    for (work, made) in kills {
        let alive = made - too_late[work];
        assert!(
            *made < JUDGED_FROM || alive * 3 >= *made,
            "{work:?}: only {alive} of {made} kills met a living process"
        );
    }
}

#[test]
fn whatever_is_killed_whenever_loses_and_doubles_nothing_of_truv() {
    whatever_is_killed_whenever(Served::Truv);
}

#[test]
fn whatever_is_killed_whenever_loses_and_doubles_nothing_of_bridge() {
    whatever_is_killed_whenever(Served::Bridge);
}
