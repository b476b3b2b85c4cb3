//! A disk that fails at the first call, the second, and so on, in every way, under every kind of work, and a look at what is
//! left after each.
//!
//! `PASSBOOK_DISKS=500 cargo test --test cli disks -- --nocapture` has it fail that often at each aggregator, under the running
//! daemon too, and says what failed and what was told.

mod disk;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use passbook::clock::Clock;
use passbook::sandbox::Served;
use passbook::server::control::{self, Order};
use rand::RngExt as _;

use self::disk::{Class, Disk, Kind, Rule, Seen};
use super::desk::{Daemon, query, text};
use super::street::Street;

/// After so many `verify` is asked.
const POINTS_PER_LOOK: usize = 10;
/// Every so many, where more are wanted, the disk fails under the running daemon, which takes half a minute.
const POINTS_PER_DAEMON: usize = 12;
const LINKS: usize = 3;
/// Nothing takes so long, whatever fails.
const DEADLINE: Duration = Duration::from_mins(1);

/// What is under way when the disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    /// From an empty directory to a store with everything in it.
    Create,
    /// What is new.
    Sync,
    /// Everything again.
    FullSync,
    /// Discovery, with nothing due.
    Once,
    /// A backup is made.
    Backup,
    /// The store's key is changed.
    Rekey,
    /// The daemon starts.
    Start,
    /// The daemon syncs.
    Serve,
}

const WORK: [Work; 6] = [Work::Create, Work::Sync, Work::Backup, Work::Rekey, Work::FullSync, Work::Once];

/// Their number and that of the works have no common divisor, so every pair comes up.
const FAILURES: [(Class, Kind); 19] = [
    (Class::Write, Kind::Enospc),
    (Class::Sync, Kind::Eio),
    (Class::Write, Kind::Short),
    (Class::All, Kind::Erofs),
    (Class::Read, Kind::Eio),
    (Class::Write, Kind::Eio),
    (Class::Open, Kind::Eio),
    (Class::All, Kind::Eio),
    (Class::Truncate, Kind::Eio),
    (Class::Name, Kind::Eio),
    (Class::All, Kind::Enospc),
    (Class::Sync, Kind::Enospc),
    (Class::Write, Kind::Edquot),
    (Class::Open, Kind::Erofs),
    (Class::Write, Kind::Erofs),
    (Class::Name, Kind::Erofs),
    (Class::Read, Kind::Short),
    (Class::Name, Kind::Enospc),
    (Class::Sync, Kind::Erofs),
];

/// What is always tried: in the middle of the work, in every way.
const ORDINARY: [(Work, Rule); 8] = [
    (Work::Create, rule(Class::Write, Kind::Enospc, 300, 0)),
    (Work::Sync, rule(Class::Sync, Kind::Eio, 9, 1)),
    (Work::Backup, rule(Class::Write, Kind::Short, 120, 0)),
    (Work::Backup, rule(Class::Sync, Kind::Eio, 8, 1)),
    (Work::Rekey, rule(Class::All, Kind::Erofs, 20, 0)),
    (Work::FullSync, rule(Class::Read, Kind::Eio, 12, 4)),
    (Work::Sync, rule(Class::Write, Kind::Short, 20, 1)),
    (Work::Create, rule(Class::All, Kind::Eio, 300, 1)),
];

const fn rule(class: Class, kind: Kind, from: u64, length: u64) -> Rule {
    Rule { class, kind, from, length }
}

/// What an error has a person do, or look at.
const CURES: [&str; 7] = [
    "look after the disk",
    "free some space",
    "look at the disk",
    "look at the mount",
    "must exist and be writable, on a disk that works",
    "ask `passbook verify`",
    "or the disk does not read it",
];

/// How many calls fail: all from there on, one, a burst.
const LENGTHS: [u64; 3] = [0, 1, 4];

/// Which call of a class fails next: the first, the second, …, sparser afterwards, and any when the last was passed.
#[derive(Debug, Default)]
struct Walk {
    next: u64,
    /// How many there are, once a rule was not met.
    total: Option<u64>,
}

/// A program on a disk that fails again and again.
struct Wear {
    street: Street,
    disk: Disk,
    runtime: tokio::runtime::Runtime,
    walks: BTreeMap<(Work, Class), Walk>,
    /// Rules that were met, by kind and work.
    met: BTreeMap<(Kind, Work), usize>,
    not_met: usize,
    /// Calls that failed, by name.
    failed: BTreeMap<String, usize>,
    /// How programs ended under a rule that was met, and what they said, without its numbers.
    told: BTreeMap<String, usize>,
}

/// How a program ended.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    said: String,
}

impl Wear {
    fn new(served: Served) -> Self {
        let mut street = Street::new(served, LINKS, false);
        street.desk.move_store_to("disk");
        let disk = Disk::under(&street.desk);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (walks, met, failed, told) = Default::default();
        Self { street, disk, runtime, walks, met, not_met: 0, failed, told }
    }

    /// The next rule for a work, of this class and kind.
    fn rule(&mut self, work: Work, (class, kind): (Class, Kind), length: u64) -> Rule {
        let walk = self.walks.entry((work, class)).or_default();
        walk.next = match walk.total {
            Some(total) => self.street.rng.random_range(1..=total.max(1)),
            None => walk.next + 1 + walk.next / 2,
        };
        Rule { class, kind, from: walk.next, length }
    }

    /// Has the disk fail during a work, and looks at what is left.
    fn try_out(&mut self, work: Work, rule: Rule) {
        self.prepare(work);
        let changed_at = Clock::system().now().as_millisecond();
        self.disk.fails(rule);
        let ended = match work {
            Work::Start | Work::Serve => self.serve(work, rule),
            Work::Create | Work::Sync | Work::FullSync | Work::Once | Work::Backup | Work::Rekey => {
                self.ends(arguments(work))
            }
        };
        let seen = self.disk.seen();
        self.disk.works();
        self.note(work, rule, &seen, &ended);
        assert!(ended.is_clear(), "{work:?} with {rule}, {seen:?}: {ended:?}");
        let is_harmless = seen.failed.is_empty() || (rule.kind == Kind::Short && rule.length == 1);
        assert!(!is_harmless || ended.code == Some(0), "{work:?} with {rule}, {seen:?}: {ended:?}");
        self.look_at_file();
        self.look_at_cursors(changed_at);
        self.recover(work, &ended);
    }

    fn prepare(&mut self, work: Work) {
        self.street.live();
        match work {
            Work::Create => {
                let home = self.street.desk.store().parent().expect("a directory").to_owned();
                fs::remove_dir_all(&home).expect("removes");
                fs::create_dir(&home).expect("a directory");
            }
            Work::Rekey => self.street.prepare_rekey(),
            Work::Sync | Work::FullSync | Work::Once | Work::Backup | Work::Start | Work::Serve => {}
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.street.desk.bare();
        command.arg("--config").arg(self.street.desk.config()).args(arguments).stdin(Stdio::null());
        let out = fs::File::create(self.street.desk.dir.path().join("out")).expect("a file");
        command.stdout(out.try_clone().expect("the same file")).stderr(out);
        self.disk.holds(&mut command);
        command
    }

    /// What a program said, but news of its life and of its configuration, and nothing twice.
    fn said(&self) -> String {
        let said = text(&fs::read(self.street.desk.dir.path().join("out")).expect("reads"));
        let mut lines: Vec<_> =
            said.lines().filter(|line| !line.contains("\"INFO\"") && !line.contains("passbook.toml")).collect();
        lines.dedup_by_key(|line| without_numbers(line));
        lines.join("\n")
    }

    /// Runs a command to its end.
    fn ends(&self, arguments: &[&str]) -> Ended {
        let mut child = self.command(arguments).spawn().expect("starts");
        let status = ended_in_time(&mut child);
        Ended { code: status.code(), said: self.said() }
    }

    /// Runs the daemon until the disk has failed for a while and works again, and everything is in the store; or until it ends
    /// at its start.
    fn serve(&mut self, work: Work, rule: Rule) -> Ended {
        if work == Work::Serve {
            self.disk.works();
        }
        let mut daemon = Daemon(self.command(&["run"]).spawn().expect("starts"));
        let began = Instant::now();
        while !self.orders_sync() {
            if let Some(status) = daemon.0.try_wait().expect("a state") {
                return Ended { code: status.code(), said: self.said() };
            }
            if work == Work::Start && began.elapsed() > Duration::from_secs(5) {
                break;
            }
            assert!(began.elapsed() < DEADLINE, "the daemon takes no orders: {}", self.said());
            std::thread::sleep(Duration::from_millis(5));
        }
        if work == Work::Serve {
            self.street.live();
            self.disk.fails(rule);
            self.orders_sync();
        }
        let began = Instant::now();
        while self.disk.seen().failed.is_empty() && began.elapsed() < Duration::from_secs(3) {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(400));
        self.disk.works();
        let began = Instant::now();
        while !self.street.is_kept_up_with() {
            assert!(began.elapsed() < DEADLINE, "{work:?} with {rule}: the daemon does not recover: {}", self.said());
            assert!(daemon.0.try_wait().expect("a state").is_none(), "the daemon ended: {}", self.said());
            self.orders_sync();
            std::thread::sleep(Duration::from_millis(300));
        }
        daemon.signal("-TERM");
        let status = ended_in_time(&mut daemon.0);
        Ended { code: status.code(), said: self.said() }
    }

    fn orders_sync(&self) -> bool {
        let order = Order::Sync { links: Vec::new(), full: false };
        let store = self.street.desk.store();
        self.street.desk.socket().exists() && self.runtime.block_on(control::send(&store, &order)).is_ok()
    }

    fn note(&mut self, work: Work, rule: Rule, seen: &Seen, ended: &Ended) {
        let walk = self.walks.entry((work, rule.class)).or_default();
        if seen.failed.is_empty() {
            walk.total = Some(walk.total.unwrap_or_default().max(seen.counted));
            self.not_met += 1;
            return;
        }
        *self.met.entry((rule.kind, work)).or_default() += 1;
        for call in &seen.failed {
            *self.failed.entry(call.clone()).or_default() += 1;
        }
        let lines: BTreeSet<_> = ended.said.lines().map(without_numbers).collect();
        let said = lines.into_iter().collect::<Vec<_>>().join("\n      ");
        *self
            .told
            .entry(format!("{work:?} {:?} {:?}: {:?}\n      {said}", rule.class, rule.kind, ended.code))
            .or_default() += 1;
    }

    /// SQLite's own look at the file, by another program and on a disk that works.
    fn look_at_file(&self) {
        let store = self.street.desk.store();
        if store.exists() {
            let sql = "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'";
            assert_eq!(query(&store, sql), 0, "the store is damaged");
            assert_eq!(query(&store, "SELECT count(*) FROM pragma_foreign_key_check"), 0, "rows without parents");
        }
    }

    /// No link whose cursor says that all is stored lacks a row.
    #[expect(clippy::disallowed_methods, reason = "the tests read as an analyst does")]
    fn look_at_cursors(&self, changed_at: i64) {
        let store = self.street.desk.store();
        if !store.exists() {
            return;
        }
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let connection = rusqlite::Connection::open_with_flags(store, flags).expect("a reader");
        let sql = "SELECT upstream_link_id FROM cursors JOIN v_link_health USING (link_id) WHERE covered_to_at >= ?1";
        let mut select = connection.prepare(sql).expect("a table");
        let covered = select.query_map([changed_at], |row| row.get(0)).expect("rows");
        self.street.look_at_cursors(&covered.collect::<Result<_, _>>().expect("rows"));
    }

    /// Once the disk works the same command does, and everything is in the store.
    fn recover(&self, work: Work, ended: &Ended) {
        match work {
            Work::Rekey => self.street.finish_rekey(),
            Work::Start => {
                self.street.desk.ends_with(0, &["sync"]);
            }
            Work::Backup => {
                if ended.code != Some(0) {
                    self.street.desk.ends_with(0, arguments(work));
                }
                let made = &self.street.desk.json(0, &["backup", "--list", "--json"])[0];
                assert!(made["error"].is_null() && made["is_there"] == true, "{made}");
            }
            Work::Create | Work::Sync | Work::FullSync | Work::Once if ended.code != Some(0) => {
                self.street.desk.ends_with(0, arguments(work));
            }
            Work::Create | Work::Sync | Work::FullSync | Work::Once | Work::Serve => {}
        }
        if matches!(work, Work::Create | Work::Sync | Work::FullSync | Work::Start | Work::Serve) {
            self.street.compare();
        }
    }

    /// Finishes everything, and compares with the world.
    fn look(&self) {
        self.street.desk.ends_with(0, &["run", "--once"]);
        self.street.desk.ends_with(0, &["sync"]);
        self.street.compare();
        self.street.verify();
        self.look_at_file();
    }
}

impl Ended {
    /// Whether a person who reads this knows what happened, where, and what to do.
    fn is_clear(&self) -> bool {
        let is_told = || CURES.iter().any(|cure| self.said.contains(cure)) && !self.said.contains("Error code");
        let is_over = self.code == Some(0) || (matches!(self.code, Some(1 | 3)) && is_told());
        is_over && !self.said.contains("panicked")
    }
}

fn arguments(work: Work) -> &'static [&'static str] {
    match work {
        Work::Create | Work::Once => &["run", "--once"],
        Work::Sync => &["sync"],
        Work::FullSync => &["sync", "--full"],
        Work::Backup => &["backup"],
        Work::Rekey => &["rekey"],
        Work::Start | Work::Serve => &["run"],
    }
}

fn ended_in_time(child: &mut Child) -> ExitStatus {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a state") {
            return status;
        }
        if began.elapsed() > DEADLINE {
            child.kill().expect("is killed");
            panic!("the program hangs");
        }
        std::thread::sleep(Duration::from_millis(3));
    }
}

fn without_numbers(line: &str) -> String {
    let mut short = String::new();
    let path = std::env::temp_dir();
    let line = line.replace(&*path.to_string_lossy(), "");
    for letter in line.chars() {
        let letter = if letter.is_ascii_digit() { '#' } else { letter };
        if letter != '#' || !short.ends_with('#') {
            short.push(letter);
        }
    }
    short
}

#[expect(clippy::disallowed_methods, reason = "how long the tests may take is said from outside")]
fn wanted() -> usize {
    std::env::var("PASSBOOK_DISKS").map_or(ORDINARY.len(), |text| text.parse().expect("PASSBOOK_DISKS is a number"))
}

#[expect(clippy::print_stdout, reason = "says how much was tried")]
fn whatever_the_disk_does(served: Served) {
    let mut wear = Wear::new(served);
    wear.street.desk.ends_with(0, &["run", "--once"]);
    for (work, rule) in ORDINARY {
        wear.try_out(work, rule);
        assert_eq!(wear.not_met, 0, "{work:?} with {rule} tried nothing: {:?}", wear.walks);
    }
    for number in ORDINARY.len()..wanted() {
        let failure = FAILURES[number % FAILURES.len()];
        let mut work = WORK[number % WORK.len()];
        if (number + 1).is_multiple_of(POINTS_PER_DAEMON) {
            work = if (number / POINTS_PER_DAEMON).is_multiple_of(3) { Work::Start } else { Work::Serve };
        }
        // Shifted whenever the works come round, so that each meets every length.
        let rule = wear.rule(work, failure, LENGTHS[(number + number / WORK.len()) % LENGTHS.len()]);
        wear.try_out(work, rule);
        if (number + 1).is_multiple_of(POINTS_PER_LOOK) {
            wear.look();
        }
    }
    wear.look();
    wear.street.desk.ends_with(0, &["backup"]);
    let backups = wear.street.look_at_backups();
    let Wear { met, not_met, failed, told, .. } = &wear;
    let all: usize = met.values().sum();
    assert!(all >= *not_met, "{all} rules were met and {not_met} were not");
    println!("{served:?}: {all} rules met, {not_met} not met; {backups} backups restored");
    println!("  {met:?}\n  {failed:?}");
    for (said, times) in told {
        println!("  {times} times {said}");
    }
}

#[test]
fn whatever_the_disk_does_the_store_is_whole_and_keeps_up_with_truv() {
    whatever_the_disk_does(Served::Truv);
}

#[test]
fn whatever_the_disk_does_the_store_is_whole_and_keeps_up_with_bridge() {
    whatever_the_disk_does(Served::Bridge);
}
