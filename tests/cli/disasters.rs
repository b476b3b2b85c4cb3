//! Disasters that take a process, a disk or a network: what a person at the terminal sees. `docs/runbook.md` goes through them.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use passbook::sandbox::{NewTransaction, Served};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::desk::{Desk, query, tamper, text, wait_for};
use super::left_out::left_out;

const NOBODY: u32 = 65_534;

/// Ends with `code` and says every one of `words`.
fn is_told(desk: &Desk, code: i32, arguments: &[&str], words: &[&str]) {
    let output = desk.passbook(arguments);
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    // Lines are wrapped for people.
    let flat = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    for word in words {
        assert!(flat.contains(word), "{arguments:?} does not say {word:?}: {said}");
    }
}

#[test]
fn what_keeps_a_store_from_opening_is_said_with_its_exit_code_and_changes_nothing() {
    let desk = Desk::at(Served::Truv, 1);
    desk.ends_with(0, &["run", "--once"]);
    let rows = desk.rows();

    let daemon = desk.daemon();
    is_told(&desk, 3, &["run"], &["another passbook works on this store", "run, process"]);
    assert_eq!(desk.rows(), rows, "the first goes on");
    drop(daemon);

    let key = fs::read_to_string(desk.dir.path().join("store.key")).expect("reads");
    fs::remove_file(desk.dir.path().join("store.key")).expect("lost");
    is_told(&desk, 2, &["run", "--once"], &["store.key", "store.key"]);
    assert!(desk.ends_with(0, &["status"]).contains("active"), "reading takes no key");
    desk.secret("store.key", &text(&desk.bare().arg("keygen").output().expect("runs").stdout));
    is_told(&desk, 3, &["run", "--once"], &["do not open with the configured [store] key", "give it the right key"]);
    desk.secret("store.key", &key);
    desk.ends_with(0, &["run", "--once"]);

    tamper(&desk.store(), "PRAGMA user_version = 99");
    for command in [&["run", "--once"][..], &["status"]] {
        is_told(&desk, 3, command, &["schema version 99", "install a newer passbook"]);
    }
    tamper(&desk.store(), "PRAGMA user_version = 1");

    let whole = {
        let copy = desk.dir.path().join("copy.db");
        tamper(&desk.store(), &format!("VACUUM INTO '{}'", copy.display()));
        fs::read(copy).expect("reads")
    };
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{suffix}", desk.store().display()));
    }
    fs::write(desk.store(), &whole[..whole.len() / 2]).expect("cut");
    for command in [&["run", "--once"][..], &["status"]] {
        is_told(&desk, 3, command, &["is damaged", "it is left as it is: restore a backup"]);
    }
    assert_eq!(fs::read(desk.store()).expect("reads").len(), whole.len() / 2);
    let mut flipped = whole.clone();
    let page = usize::try_from(root_page(&desk.dir.path().join("copy.db"))).expect("small") - 1;
    flipped[page * 8192..(page + 1) * 8192].fill(0xA5);
    fs::write(desk.store(), flipped).expect("damages");
    is_told(&desk, 3, &["sync", "--full"], &["the store is damaged", "restore a backup"]);
    is_told(&desk, 3, &["verify"], &["the store is damaged", "restore a backup"]);
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{suffix}", desk.store().display()));
    }
    fs::write(desk.store(), whole).expect("restores");
    desk.ends_with(0, &["run", "--once"]);
    assert_eq!(desk.json(0, &["verify", "--json"])["clean"], true);
    assert_eq!(desk.rows(), rows);
}

#[expect(clippy::disallowed_methods, reason = "looks where a page lies")]
fn root_page(store: &Path) -> i64 {
    let connection = rusqlite::Connection::open(store).expect("a store");
    let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'transactions'";
    connection.query_row(sql, [], |row| row.get(0)).expect("a page")
}

/// A file system of its own for a desk's store, mounted while it lives.
struct SmallDisk<'d>(&'d Desk);

impl<'d> SmallDisk<'d> {
    /// `None`, and a word about it, where this user may not mount.
    fn under(desk: &'d Desk, kilobytes: u32) -> Option<Self> {
        let place = desk.dir.path().join("disk");
        fs::create_dir(&place).expect("a directory");
        let options = format!("size={kilobytes}k,mode=755");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "passbook-test"]).arg(&place).stderr(Stdio::null());
        if !mount.status().is_ok_and(|status| status.success()) {
            left_out("only root can mount a small file system");
            return None;
        }
        let config =
            fs::read_to_string(desk.config()).expect("reads").replace("\"passbook.db\"", "\"disk/passbook.db\"");
        fs::write(desk.config(), config).expect("writes");
        Some(Self(desk))
    }

    fn path(&self) -> std::path::PathBuf {
        self.0.dir.path().join("disk")
    }

    fn remount(&self, options: &str) {
        let status = Command::new("mount").args(["-o", options]).arg(self.path()).status().expect("mount runs");
        assert!(status.success(), "{options}");
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

#[test]
fn a_full_disk_shows_in_status_and_is_over_when_there_is_room() {
    let desk = Desk::at(Served::Truv, 2);
    let Some(mounted) = SmallDisk::under(&desk, 12 * 1024) else { return };
    let store = mounted.path().join("passbook.db");
    desk.bank.settings(|s| s.visible_immediately = true);
    let mut command = desk.bare();
    command.arg("--config").arg(desk.config()).arg("run").stdin(Stdio::null());
    let log = fs::File::create(desk.dir.path().join("log")).expect("a file");
    let daemon = super::desk::Daemon(command.stdout(Stdio::null()).stderr(log).spawn().expect("starts"));
    wait_for("the first syncs", || {
        store.exists()
            && mounted.path().join("passbook.db.sock").exists()
            && query(&store, "SELECT count(*) FROM syncs WHERE outcome = 'ok'") == 2
    });
    for link in desk.bank.truth().links {
        for _ in 0..300 {
            desk.bank.add_transaction(link.accounts[0].id, NewTransaction::posted(-100, &"A LONG STORY,".repeat(40)));
        }
    }
    let filler = mounted.path().join("filler");
    let mut command = Command::new("dd");
    command.args(["if=/dev/zero", "bs=4k"]).arg(format!("of={}", filler.display())).stderr(Stdio::null());
    assert!(!command.status().expect("dd runs").success(), "until it is full");
    let failed = desk.passbook(&["sync"]);
    assert_ne!(failed.status.code(), Some(0), "{}", text(&failed.stdout));
    wait_for("the trouble to show", || desk.passbook(&["status"]).status.code() == Some(4));
    is_told(&desk, 4, &["status"], &["nothing is synced", "free some space"]);
    assert_eq!(desk.json(4, &["status", "--json"])["store_trouble"]["stops_writes"], true);

    fs::remove_file(filler).expect("removes");
    // What was asked for while nothing could be noted has to be asked for again; what is due by the schedule has not.
    wait_for("a sync", || desk.passbook(&["sync"]).status.success());
    let truth = desk.bank.served().transaction_count();
    assert_eq!(query(&store, "SELECT count(*) FROM v_transactions"), truth);
    drop(daemon);
    let log = fs::read_to_string(desk.dir.path().join("log")).expect("a log");
    assert_eq!(log.matches("the store fails").count(), 1, "told once: {log}");
    assert_eq!(desk.json(0, &["verify", "--json"])["clean"], true);
}

#[test]
fn a_read_only_file_system_is_refused_and_still_read() {
    let desk = Desk::at(Served::Truv, 1);
    let Some(mounted) = SmallDisk::under(&desk, 12 * 1024) else { return };
    desk.ends_with(0, &["run", "--once"]);
    mounted.remount("remount,ro");
    is_told(&desk, 3, &["run", "--once"], &["Read-only file system", "passbook.db.lock"]);
    assert!(desk.ends_with(0, &["status"]).contains("active"));
    desk.ends_with(0, &["query", "SELECT count(*) FROM v_transactions"]);
    mounted.remount("remount,rw");
    desk.ends_with(0, &["run", "--once"]);
    assert_eq!(desk.json(0, &["verify", "--json"])["clean"], true);
}

#[test]
fn an_aggregator_whose_name_does_not_resolve_is_told_and_read_once_it_does() {
    let desk = Desk::at(Served::Truv, 1);
    desk.ends_with(0, &["run", "--once"]);
    let good = fs::read_to_string(desk.config()).expect("reads");
    let base = good.lines().find(|line| line.starts_with("base_url")).expect("a line").to_owned();
    fs::write(desk.config(), good.replace(&base, "base_url = \"https://bank.invalid\"")).expect("writes");
    let rows = desk.rows();
    is_told(&desk, 1, &["sync"], &["could not connect"]);
    is_told(&desk, 1, &["check", "--online"], &["could not connect"]);
    assert!(desk.ends_with(0, &["status"]).contains("could not connect"));
    assert_eq!(desk.rows(), rows, "what was there stays");
    fs::write(desk.config(), good).expect("writes");
    desk.ends_with(0, &["sync"]);
    assert!(!desk.ends_with(0, &["status"]).contains("could not connect"));
}

/// What a server shows: a certificate for this machine that is good until a year.
fn certificate(issuer: &CertifiedIssuer<'_, KeyPair>, until: i32) -> ServerConfig {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(until, 1, 1));
    let certificate = params.signed_by(&key, issuer).expect("a certificate");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    server.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).expect("a pair")
}

#[test]
fn an_expired_certificate_is_told_and_nothing_is_sent_until_it_is_renewed() {
    let desk = Desk::at(Served::Truv, 1);
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_after = date_time_ymd(2120, 1, 1);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an issuer");
    let roots = desk.dir.path().join("roots.pem");
    let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(issuer.der()));
    fs::write(&roots, pem).expect("writes");

    let shown = Arc::new(Mutex::new(Arc::new(certificate(&issuer, 2119))));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (router, showing) = (desk.bank.router(), Arc::clone(&shown));
    runtime.handle().block_on(async {
        #[expect(clippy::disallowed_methods, reason = "ends with the runtime of this test")]
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = TlsAcceptor::from(Arc::clone(&*showing.lock().expect("no panic")));
                // Who does not like the certificate hangs up here.
                let Ok(stream) = acceptor.accept(stream).await else { continue };
                let service = TowerToHyperService::new(router.clone());
                let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                let _ = served.await;
            }
        });
    });
    desk.write_config(&format!("https://localhost:{port}"), "");
    let passbook = |arguments: &[&str]| {
        let mut command = desk.bare();
        command.arg("--config").arg(desk.config()).args(arguments).stdin(Stdio::null());
        command.env("SSL_CERT_FILE", &roots).env_remove("SSL_CERT_DIR").output().expect("runs")
    };
    let done = passbook(&["run", "--once"]);
    assert_eq!(done.status.code(), Some(0), "{}{}", text(&done.stdout), text(&done.stderr));

    *shown.lock().expect("no panic") = Arc::new(certificate(&issuer, 2021));
    desk.bank.clear_request_log();
    let failed = passbook(&["sync"]);
    assert_eq!(failed.status.code(), Some(1), "{}", text(&failed.stdout));
    let status = text(&passbook(&["status"]).stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(status.contains("could not connect") && status.contains("expired"), "{status}");
    assert_eq!(desk.bank.request_log().len(), 0, "nothing was sent, least of all the secret");

    *shown.lock().expect("no panic") = Arc::new(certificate(&issuer, 2119));
    let link = desk.bank.truth().links[0].accounts[0].id;
    desk.bank.settings(|s| s.visible_immediately = true);
    desk.bank.add_transaction(link, NewTransaction::posted(-100, "NEWS"));
    let done = passbook(&["sync"]);
    assert_eq!(done.status.code(), Some(0), "{}{}", text(&done.stdout), text(&done.stderr));
    assert_eq!(desk.rows(), desk.bank.served().transaction_count());
    assert!(!text(&passbook(&["status"]).stdout).contains("could not connect"));
}

#[test]
fn the_memory_of_the_process_is_never_dumped() {
    let desk = Desk::at(Served::Truv, 1);
    let daemon = desk.daemon();
    let limits = fs::read_to_string(format!("/proc/{}/limits", daemon.0.id())).expect("reads");
    let line = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a line");
    assert_eq!(line.split_whitespace().nth(4), Some("0"), "{line}");
    drop(daemon);
    if fs::metadata("/proc/self").expect("Linux").uid() != 0 {
        left_out("only root can look at a process of another user");
        return;
    }
    // What may be dumped belongs to its own user under /proc, what may not belongs to root.
    let owner = |program: &Path, arguments: &[&str]| {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .uid(NOBODY)
            .gid(NOBODY)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let daemon = super::desk::Daemon(command.current_dir("/").spawn().expect("starts"));
        let (memory, end) = (format!("/proc/{}/mem", daemon.0.id()), std::time::Instant::now());
        let owner = || fs::metadata(&memory).map_or(NOBODY, |file| file.uid());
        while owner() != 0 && end.elapsed() < std::time::Duration::from_secs(3) {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        owner()
    };
    assert_eq!(owner(Path::new("/bin/sleep"), &["9"]), NOBODY, "or the test would look at nothing");
    assert_eq!(owner(Path::new(env!("CARGO_BIN_EXE_passbook")), &["sandbox", "--listen", "127.0.0.1:0"]), 0);
}
