//! A desk whose bank lives on, and a store that has to keep up with it whatever befalls the program.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use age::secrecy::ExposeSecret as _;
use age::x25519::Identity;
use passbook::sandbox::{NewTransaction, PostStyle, Served, Status, TrueLink};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::desk::{Desk, text};

/// See the module.
pub(crate) struct Street {
    pub(crate) desk: Desk,
    pub(crate) rng: StdRng,
}

/// What analysts see of a transaction, by its upstream id: link, amount, status, description.
type Rows = BTreeMap<String, (String, i64, String, String)>;

impl Street {
    /// A desk with backups, and with refreshes where they are asked for and counted.
    pub(crate) fn new(served: Served, links: usize, with_refreshes: bool) -> Self {
        let desk = Desk::at(served, links);
        desk.bank.settings(|settings| settings.visible_immediately = true);
        let identity = Identity::generate();
        desk.secret("backup.key", identity.to_string().expose_secret());
        let section = format!("[backup]\nrecipients = [\"{}\"]\ndirectory = \"backups\"\n", identity.to_public());
        let refreshes = if with_refreshes || served == Served::Bridge { "" } else { "refreshes_per_day = 0\n" };
        let street = Self { desk, rng: StdRng::seed_from_u64(7) };
        street.change_config(|config| format!("{section}{config}page_size = 20\n{refreshes}"));
        street
    }

    pub(crate) fn live_links(&self) -> Vec<TrueLink> {
        self.desk.bank.truth().links.into_iter().filter(|link| link.deleted_at.is_none()).collect()
    }

    /// Lets the world go on.
    pub(crate) fn live(&mut self) {
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

    pub(crate) fn pause(&mut self, longest_ms: u64) {
        std::thread::sleep(Duration::from_micros(self.rng.random_range(0..longest_ms * 1000)));
    }

    pub(crate) fn key_file(&self, name: &str) -> PathBuf {
        self.desk.dir.path().join(name)
    }

    pub(crate) fn change_config(&self, change: impl FnOnce(String) -> String) {
        let config = fs::read_to_string(self.desk.config()).expect("reads");
        fs::write(self.desk.config(), change(config)).expect("writes");
    }

    /// Gives the configuration a new key of the store, and the one in use as the former one.
    pub(crate) fn prepare_rekey(&self) {
        fs::rename(self.key_file("store.key"), self.key_file("former.key")).expect("renames");
        self.desk.secret("store.key", &text(&self.desk.bare().arg("keygen").output().expect("runs").stdout));
        self.change_config(|config| config.replace("[store]\n", "[store]\nprevious_key = { file = \"former.key\" }\n"));
    }

    /// Finishes the change of the key, and forgets the former one.
    pub(crate) fn finish_rekey(&self) {
        self.desk.ends_with(0, &["rekey"]);
        self.change_config(|config| config.replace("previous_key = { file = \"former.key\" }\n", ""));
        fs::remove_file(self.key_file("former.key")).expect("removes");
    }

    /// The rows that the aggregator shows, of links that are there.
    fn truth(&self) -> Rows {
        let mut truth = Rows::new();
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
        truth
    }

    /// The rows that analysts see, of links that are there.
    #[expect(clippy::disallowed_methods, reason = "the tests read as an analyst does")]
    fn stored(&self) -> Rows {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let connection = rusqlite::Connection::open_with_flags(self.desk.store(), flags).expect("a reader");
        let sql = "SELECT upstream_id, upstream_link_id, amount_minor, status, description FROM v_transactions
                   WHERE link_id IN (SELECT link_id FROM links WHERE removed_at IS NULL)";
        let mut select = connection.prepare(sql).expect("a view");
        let rows = select.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))));
        let mut stored = Rows::new();
        for row in rows.expect("rows") {
            let (id, row) = row.expect("a row");
            assert!(stored.insert(id, row.clone()).is_none(), "stored twice: {row:?}");
        }
        stored
    }

    /// The store has what the bank has, row by row, and nothing else.
    pub(crate) fn is_kept_up_with(&self) -> bool {
        self.desk.store().exists() && self.stored() == self.truth()
    }

    /// The same, and says where they differ.
    pub(crate) fn compare(&self) {
        let (truth, stored) = (self.truth(), self.stored());
        let differs: Vec<_> = truth.iter().filter(|(id, row)| stored.get(*id) != Some(row)).collect();
        assert!(differs.is_empty(), "the bank has, and the store has not: {differs:#?}");
        let differs: Vec<_> = stored.iter().filter(|(id, _)| !truth.contains_key(*id)).collect();
        assert!(differs.is_empty(), "the store has, and the bank has not: {differs:#?}");
    }

    /// No link whose cursor says that everything up to now is stored lacks a row that the bank had.
    pub(crate) fn look_at_cursors(&self, covered: &BTreeSet<String>) {
        let (truth, stored) = (self.truth(), self.stored());
        let lost: Vec<_> =
            truth.iter().filter(|(id, row)| covered.contains(&row.0) && stored.get(*id) != Some(row)).collect();
        assert!(lost.is_empty(), "a cursor is ahead of its rows: {lost:#?}");
    }

    /// `verify` finds nothing.
    pub(crate) fn verify(&self) {
        let verified = self.desk.json(0, &["verify", "--json"]);
        assert_eq!(verified["clean"], true, "{verified}");
    }

    /// Every file with a backup's name is whole.
    ///
    /// Shape: how many there are.
    pub(crate) fn look_at_backups(&self) -> usize {
        let files = fs::read_dir(self.desk.store().with_file_name("backups")).expect("a directory");
        let is_named = |path: &PathBuf| !path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let files: Vec<_> = files.map(|entry| entry.expect("an entry").path()).filter(is_named).collect();
        let key = self.key_file("backup.key");
        for (number, file) in files.iter().enumerate() {
            let to = self.desk.dir.path().join(format!("restored-{number}.db"));
            let paths = [file, &key, &to].map(|path| path.to_str().expect("text"));
            self.desk.ends_with(0, &["restore", paths[0], "--identity", paths[1], "--to", paths[2]]);
            fs::remove_file(to).expect("removes");
        }
        files.len()
    }
}
