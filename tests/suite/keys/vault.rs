//! A store in which every sealed column holds something, what it says under a key, and what a kill would leave of it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use passbook::sandbox::Plan;
use passbook::secret::{Encryption, Place, Sealer, StoreKey};
use passbook::store::{Access, OpenError, OpenOptions, Store, cipher_settings};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, params};

use crate::harness::{Bench, START, at};

/// What belongs to a store's file, beside it and under its name.
const SUFFIXES: [&str; 4] = ["", "-wal", ".draft", ".former"];

/// A store that nobody has open, in a directory of its own.
pub(crate) struct Vault {
    pub(crate) path: PathBuf,
    pub(crate) key: StoreKey,
    dir: tempfile::TempDir,
}

pub(crate) fn new_key() -> StoreKey {
    StoreKey::generate().expect("randomness")
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

impl Vault {
    /// A store with two links, their accounts and an invite, that any SQLite reads.
    pub(crate) async fn plain() -> Self {
        let bench = Bench::new();
        bench.bank.seed_world(&Plan { links: 2, transactions_per_link: 20, ..Plan::default() });
        bench.run_once().await;
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("passbook.db");
        // The bench keeps its own file open as long as the process lives.
        connect(&bench.path(), None).execute("VACUUM INTO ?1", [path.to_str()]).expect("a copy");
        let vault = Self { path, key: bench.key().clone(), dir };
        vault.invite("canary@example.com");
        vault
    }

    /// A store that is there, under a key.
    #[cfg(feature = "sqlcipher")]
    pub(crate) fn at(path: &Path, key: &StoreKey) -> Self {
        Self { path: path.to_owned(), key: key.clone(), dir: tempfile::tempdir().expect("a directory") }
    }

    /// The same store, encrypted whole.
    #[cfg(feature = "sqlcipher")]
    pub(crate) async fn whole() -> Self {
        let vault = Self::plain().await;
        vault.convert(Encryption::Full, &mut |_| ()).expect("converted");
        vault
    }

    #[cfg(feature = "sqlcipher")]
    pub(crate) fn convert(
        &self,
        to: Encryption,
        progress: passbook::store::Progress<'_>,
    ) -> Result<passbook::store::Converted, passbook::store::ConvertError> {
        let sealer = Sealer::new(self.key.clone());
        let options = passbook::store::ConvertOptions { path: &self.path, sealer: &sealer, to };
        passbook::store::convert(&options, progress)
    }

    fn invite(&self, email: &str) {
        let connection = connect(&self.path, None);
        let place = Place { table: "invites", column: "email_sealed", row_id: 1 };
        let sealed = Sealer::new(self.key.clone()).seal(place, email.as_bytes()).expect("sealed");
        let insert =
            "INSERT INTO invites (invite_id, token_hash, source_id, user_id, email_sealed, created_at, expires_at)
                      SELECT 1, x'00', source_id, user_id, ?1, 0, 9000000000000 FROM users ORDER BY user_id LIMIT 1";
        connection.execute(insert, params![sealed]).expect("an invite");
    }

    /// Opens it as the daemon does.
    pub(crate) fn open(&self, key: &StoreKey, encryption: Encryption) -> Result<Store, OpenError> {
        open(&self.path, key, encryption, Access::Create)
    }

    /// A directory of its own for what is left after each step.
    pub(crate) fn album(&self) -> Album {
        Album {
            path: self.path.clone(),
            dir: tempfile::tempdir_in(self.dir.path()).expect("a directory"),
            taken: Vec::new(),
        }
    }
}

pub(crate) fn open(path: &Path, key: &StoreKey, encryption: Encryption, access: Access) -> Result<Store, OpenError> {
    Store::open(OpenOptions {
        path,
        sealer: Sealer::new(key.clone()),
        encryption,
        keep_raw: true,
        access,
        now: at(START),
    })
}

/// What a kill would leave of a store after each of several steps.
pub(crate) struct Album {
    path: PathBuf,
    dir: tempfile::TempDir,
    /// Where each is, and the step before it.
    pub(crate) taken: Vec<(PathBuf, String)>,
}

impl Album {
    /// Keeps what there is now.
    pub(crate) fn take(&mut self, step: &str) {
        let directory = self.dir.path().join(self.taken.len().to_string());
        fs::create_dir(&directory).expect("a directory");
        let image = directory.join("passbook.db");
        let identity = |path: &Path| fs::metadata(path).map(|m| m.ino()).ok();
        for suffix in SUFFIXES {
            let from = beside(&self.path, suffix);
            if suffix == ".former" && identity(&from).is_some() && identity(&from) == identity(&self.path) {
                fs::hard_link(&image, beside(&image, suffix)).expect("a second name");
            } else if from.exists() {
                fs::copy(&from, beside(&image, suffix)).expect("a copy");
            }
        }
        self.taken.push((image, step.to_owned()));
    }
}

#[expect(clippy::disallowed_methods, reason = "reads and writes as another program does")]
pub(crate) fn connect(path: &Path, whole: Option<&StoreKey>) -> Connection {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).expect("a file");
    if let Some(key) = whole {
        connection.execute_batch(&cipher_settings(&key.file_key())).expect("a key");
    }
    connection
}

/// Everything in a store, sealed values opened, in one order; but for what names the key.
pub(crate) fn dump(path: &Path, key: &StoreKey, encryption: Encryption) -> String {
    let connection = connect(path, (encryption == Encryption::Full).then_some(key));
    let sealer = Sealer::new(key.clone());
    let mut select =
        connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").expect("SQL");
    let tables: Vec<String> =
        select.query_map([], |row| row.get(0)).expect("rows").map(|name| name.expect("text")).collect();
    let mut lines = Vec::new();
    for table in tables {
        let mut select = connection.prepare(&format!("SELECT * FROM {table} ORDER BY 1")).expect("SQL");
        let columns: Vec<String> = select.column_names().map(str::to_owned).collect();
        let mut rows = select.query([]).expect("rows");
        while let Some(row) = rows.next().expect("a row") {
            let cell = |(index, column): (usize, &String)| {
                let value = row.get_ref(index).expect("a value");
                let Some(blob) = value.as_blob().ok().filter(|_| column.ends_with("_sealed")) else {
                    return format!("{value:?}");
                };
                let place = Place { table: &table, column, row_id: row.get(0).expect("an id") };
                let plain = sealer.open(place, blob).unwrap_or_else(|error| panic!("{place}: {error}"));
                format!("sealed {}", String::from_utf8_lossy(&plain))
            };
            lines.push(format!("{table}: {}", columns.iter().enumerate().map(cell).collect::<Vec<_>>().join(" | ")));
        }
    }
    lines.retain(|line| {
        !line.contains(&format!("{:?}", ValueRef::Text(b"key_id")))
            && !line.contains(&format!("{:?}", ValueRef::Text(b"key_check")))
    });
    assert!(lines.iter().filter(|line| line.contains("sealed ")).count() > 4, "too little is sealed");
    lines.join("\n")
}

/// Whether these bytes stand anywhere in the store's files.
pub(crate) fn is_in_files(path: &Path, bytes: &[u8]) -> bool {
    SUFFIXES.iter().any(|suffix| {
        let found = fs::read(beside(path, suffix)).unwrap_or_default();
        found.windows(bytes.len()).any(|window| window == bytes)
    })
}

/// How every value begins that was sealed with a key.
pub(crate) fn seal_of(key: &StoreKey) -> Vec<u8> {
    let id = u32::from_str_radix(key.id(), 16).expect("hexadecimal");
    [&[1], id.to_be_bytes().as_slice()].concat()
}
