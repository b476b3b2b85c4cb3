//! SIGKILL at every kind of moment, in the middle of every kind of work, and a look at what is left after each.
//!
//! `PASSBOOK_KILLS=1000 cargo test --test cli kills -- --nocapture` kills that often at each aggregator, with refreshes, and
//! says what was killed.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use age::secrecy::ExposeSecret as _;
use age::x25519::Identity;
use passbook::sandbox::{NewTransaction, Plan, PostStyle, Served, Status, TrueLink};
use passbook::server::control::{self, Order};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::desk::{Desk, query, text};

/// Kills at each aggregator in an ordinary run.
const KILLS: usize = 6;
/// After so many kills everything is finished, and compared with the world.
const KILLS_PER_LOOK: usize = 6;
/// The same where links are refreshed: a refresh whose request was cut off is waited for by design, two minutes.
const KILLS_PER_LOOK_WITH_REFRESHES: usize = 25;
const LINKS: usize = 8;

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

/// A world that goes on, and a program in it that is killed again and again.
struct Street {
    desk: Desk,
    rng: StdRng,
    runtime: tokio::runtime::Runtime,
    /// After how many requests the next one dies that dies at a request.
    nth_request: usize,
    /// Ids of customers who were forgotten.
    forgotten: Vec<String>,
    /// Kills by what was under way.
    kills: BTreeMap<Work, usize>,
    /// Of those, where the process was over before.
    too_late: usize,
}

impl Street {
    fn new(served: Served, with_refreshes: bool) -> Self {
        let desk = Desk::at(served, LINKS);
        desk.bank.settings(|settings| {
            settings.visible_immediately = true;
            settings.latency = Duration::from_millis(3);
        });
        let identity = Identity::generate();
        desk.secret("backup.key", identity.to_string().expose_secret());
        let section = format!("[backup]\nrecipients = [\"{}\"]\ndirectory = \"backups\"\n", identity.to_public());
        let config = fs::read_to_string(desk.config()).expect("reads");
        let refreshes = if with_refreshes || served == Served::Bridge { "" } else { "refreshes_per_day = 0\n" };
        fs::write(desk.config(), format!("{section}{config}page_size = 20\n{refreshes}")).expect("writes");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let rng = StdRng::seed_from_u64(7);
        Self { desk, rng, runtime, nth_request: 1, forgotten: Vec::new(), kills: BTreeMap::new(), too_late: 0 }
    }

    fn live_links(&self) -> Vec<TrueLink> {
        self.desk.bank.truth().links.into_iter().filter(|link| link.deleted_at.is_none()).collect()
    }

    /// Lets the world go on.
    fn live(&mut self) {
        let links = self.live_links();
        for link in &links {
            let account = &link.accounts[self.rng.random_range(0..link.accounts.len())];
            let amount = self.rng.random_range(-90_000..90_000);
            let row = if self.desk.served == Served::Truv && self.rng.random_bool(0.3) {
                NewTransaction::pending(amount, "ON ITS WAY")
            } else {
                NewTransaction::posted(amount, "NEWS")
            };
            self.desk.bank.add_transaction(account.id, row.at(self.desk.bank.now()));
            let pending = link.transactions.iter().find(|row| row.status == Status::Pending);
            if let Some(row) = pending.filter(|_| self.rng.random_bool(0.5)) {
                self.desk.bank.post_pending(row.id, PostStyle::SameId);
            }
            self.desk.refresh(link.id);
        }
    }

    fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.desk.bare();
        command.arg("--config").arg(self.desk.config()).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts")
    }

    fn pause(&mut self, longest_ms: u64) {
        std::thread::sleep(Duration::from_micros(self.rng.random_range(0..longest_ms * 1000)));
    }

    /// Kills a process of which this kind of work is asked.
    fn kill(&mut self, work: Work) {
        let _ = fs::remove_file(self.desk.dir.path().join("passbook.db.sock"));
        let mut process = match work {
            Work::Start => {
                let daemon = self.start(&["run"]);
                self.pause(60);
                daemon
            }
            Work::Request | Work::Sync => self.sync(work),
            Work::Backup => {
                let backup = self.start(&["backup"]);
                self.pause(90);
                backup
            }
            Work::Rekey => {
                self.prepare_rekey();
                let rekey = self.start(&["rekey"]);
                self.pause(40);
                rekey
            }
            Work::Forget => {
                let links = self.live_links();
                let user = links[self.rng.random_range(0..links.len())].user_upstream_id.clone();
                let forget = self.start(&["users", "forget", "--user", &user, "--yes"]);
                self.forgotten.push(user);
                self.pause(120);
                forget
            }
        };
        self.too_late += usize::from(process.try_wait().expect("a state").is_some());
        let _over_before = process.kill();
        process.wait().expect("gone");
        *self.kills.entry(work).or_default() += 1;
        // What is there opens, whatever was under way: SQLite's own look at it, by another program.
        assert_eq!(query(&self.desk.store(), "SELECT count(*) FROM pragma_quick_check WHERE quick_check <> 'ok'"), 0);
        match work {
            Work::Rekey => self.finish_rekey(),
            Work::Forget => self.finish_forget(),
            Work::Start | Work::Request | Work::Sync | Work::Backup => {}
        }
    }

    /// A daemon that syncs all links, until the moment comes.
    fn sync(&mut self, work: Work) -> Child {
        let daemon = self.start(&["run"]);
        let socket = self.desk.dir.path().join("passbook.db.sock");
        let began = Instant::now();
        let order = Order::Sync { links: Vec::new(), full: self.rng.random_bool(0.3) };
        let (runtime, store) = (&self.runtime, self.desk.store());
        while !socket.exists() || runtime.block_on(control::send(&store, &order)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(30), "the daemon takes no orders");
            std::thread::sleep(Duration::from_millis(2));
        }
        if work == Work::Sync {
            self.pause(250);
            return daemon;
        }
        let before = self.desk.bank.request_log().len();
        let began = Instant::now();
        while self.desk.bank.request_log().len() < before + self.nth_request && began.elapsed() < Duration::from_secs(1)
        {
            std::thread::sleep(Duration::from_micros(200));
        }
        self.nth_request = self.nth_request % 60 + 1;
        daemon
    }

    fn key_file(&self, name: &str) -> PathBuf {
        self.desk.dir.path().join(name)
    }

    fn change_config(&self, change: impl FnOnce(String) -> String) {
        let config = fs::read_to_string(self.desk.config()).expect("reads");
        fs::write(self.desk.config(), change(config)).expect("writes");
    }

    fn prepare_rekey(&self) {
        fs::rename(self.key_file("store.key"), self.key_file("former.key")).expect("renames");
        self.desk.secret("store.key", &text(&self.desk.bare().arg("keygen").output().expect("runs").stdout));
        self.change_config(|config| config.replace("[store]\n", "[store]\nprevious_key = { file = \"former.key\" }\n"));
    }

    fn finish_rekey(&self) {
        self.desk.ends_with(0, &["rekey"]);
        self.change_config(|config| config.replace("previous_key = { file = \"former.key\" }\n", ""));
        fs::remove_file(self.key_file("former.key")).expect("removes");
    }

    fn finish_forget(&self) {
        let user = self.forgotten.last().expect("one");
        self.desk.ends_with(0, &["users", "forget", "--user", user, "--yes"]);
        // Somebody else comes in their place.
        let new = self.desk.bank.seed_world(&Plan { links: 1, transactions_per_link: 25, ..Plan::default() })[0];
        let new = self.live_links().into_iter().find(|link| link.id == new).expect("it is there");
        self.desk.ends_with(0, &["links", "add", &new.upstream_id, "--user", &new.user_upstream_id]);
    }

    /// Finishes everything, and compares with the world.
    fn look(&self) {
        self.desk.ends_with(0, &["run", "--once"]);
        self.desk.ends_with(0, &["sync"]);
        let verified = self.desk.json(0, &["verify", "--json"]);
        assert_eq!(verified["clean"], true, "{verified}");
        let mut truth = BTreeMap::new();
        for link in self.desk.bank.served().links.iter().filter(|link| link.deleted_at.is_none()) {
            for row in &link.transactions {
                let status = match (self.desk.served, row.future, row.status) {
                    (Served::Bridge, true, _) => "future",
                    (Served::Truv, _, status) if status != Status::Posted => "pending",
                    (Served::Bridge | Served::Truv, ..) => "posted",
                };
                let row_is = (link.upstream_id.clone(), row.amount_minor, status.to_owned(), row.description.clone());
                truth.insert(row.upstream_id.clone(), row_is);
            }
        }
        let sql = "SELECT upstream_id, upstream_link_id, amount_minor, status, description FROM v_transactions
                   WHERE link_id IN (SELECT link_id FROM links WHERE removed_at IS NULL)";
        let stored = self.desk.json(0, &["query", "--format", "json", sql]);
        let word = |row: &serde_json::Value, name: &str| row[name].as_str().expect(name).to_owned();
        let stored: BTreeMap<_, _> = stored
            .as_array()
            .expect("rows")
            .iter()
            .map(|row| {
                let amount = row["amount_minor"].as_i64().expect("an amount");
                let row_is = (word(row, "upstream_link_id"), amount, word(row, "status"), word(row, "description"));
                (word(row, "upstream_id"), row_is)
            })
            .collect();
        let differs: Vec<_> = truth.iter().filter(|(id, row)| stored.get(*id) != Some(row)).collect();
        assert!(differs.is_empty(), "the bank has, and the store has not: {differs:#?}");
        let differs: Vec<_> = stored.iter().filter(|(id, _)| !truth.contains_key(*id)).collect();
        assert!(differs.is_empty(), "the store has, and the bank has not: {differs:#?}");
        assert!(self.desk.bank.refreshes().iter().all(|link| link.worst_day <= 3), "a refresh too many");
        self.look_for_the_forgotten();
    }

    fn look_for_the_forgotten(&self) {
        for suffix in ["", "-wal"] {
            let bytes = fs::read(self.desk.dir.path().join(format!("passbook.db{suffix}"))).unwrap_or_default();
            for id in &self.forgotten {
                let is_there = bytes.windows(id.len()).any(|window| window == id.as_bytes());
                assert!(!is_there, "passbook.db{suffix} still knows a forgotten customer");
            }
        }
    }

    /// Every file with a backup's name is whole.
    fn look_at_backups(&self) {
        self.desk.ends_with(0, &["backup"]);
        let files = fs::read_dir(self.desk.dir.path().join("backups")).expect("a directory");
        let key = self.key_file("backup.key");
        for (number, file) in files.map(|entry| entry.expect("an entry").path()).enumerate() {
            let to = self.desk.dir.path().join(format!("restored-{number}.db"));
            let paths = [&file, &key, &to].map(|path| path.to_str().expect("text"));
            self.desk.ends_with(0, &["restore", paths[0], "--identity", paths[1], "--to", paths[2]]);
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
    let mut street = Street::new(served, with_refreshes);
    street.desk.ends_with(0, &["run", "--once"]);
    let mut looks = 1;
    for (number, work) in WORK.into_iter().cycle().take(wanted()).enumerate() {
        street.live();
        street.kill(work);
        if (number + 1) % kills_per_look == 0 {
            street.look();
            looks += 1;
        }
    }
    street.look();
    street.look_at_backups();
    let Street { kills, too_late, .. } = &street;
    println!("{served:?}: killed {kills:?}, {too_late} of them over before; compared with the world {looks} times");
}

#[test]
fn whatever_is_killed_whenever_loses_and_doubles_nothing_of_truv() {
    whatever_is_killed_whenever(Served::Truv);
}

#[test]
fn whatever_is_killed_whenever_loses_and_doubles_nothing_of_bridge() {
    whatever_is_killed_whenever(Served::Bridge);
}
