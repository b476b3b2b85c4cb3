//! The store's key changes hands, as `docs/rotation.md` says; and what a kill does to that.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use passbook::sandbox::Served;
use passbook::secret::{Place, Sealer, StoreKey};
use rusqlite::params;

use super::desk::{Desk, text};

/// Account numbers, many enough that a change of the key takes several transactions.
const NUMBERS: i64 = 3_000;

fn key_in(desk: &Desk, name: &str) -> StoreKey {
    StoreKey::parse(&fs::read_to_string(desk.dir.path().join(name)).expect("reads")).expect("a key")
}

/// Makes a new key and puts it in the configuration beside the former one.
fn prepare(desk: &Desk) {
    let key = text(&desk.bare().arg("keygen").output().expect("runs").stdout);
    desk.secret("new.key", &key);
    let config = fs::read_to_string(desk.config()).expect("reads");
    let lines = "key = { file = \"new.key\" }\nprevious_key = { file = \"store.key\" }";
    fs::write(desk.config(), config.replace("key = { file = \"store.key\" }", lines)).expect("writes");
}

/// Gives the first account many numbers.
#[expect(clippy::disallowed_methods, reason = "the tests write what a bank would take long to tell")]
fn many_numbers(desk: &Desk) {
    let mut connection = rusqlite::Connection::open(desk.store()).expect("a writer");
    let txn = connection.transaction().expect("begins");
    let sealer = Sealer::new(key_in(desk, "store.key"));
    for id in 1_000..1_000 + NUMBERS {
        let place = Place { table: "account_numbers", column: "account_number_sealed", row_id: id };
        let number = sealer.seal(place, id.to_string().as_bytes()).expect("sealed");
        let insert = "INSERT INTO account_numbers (account_number_id, account_id, network, position, account_number_sealed, changed_at)
                      VALUES (?1, 1, 'ACH', ?1, ?2, 0)";
        txn.execute(insert, params![id, number]).expect(insert);
    }
    txn.commit().expect("stored");
}

/// Starts a command and reads what it says until a line has `mark`, or it ends.
fn until(desk: &Desk, command: &str, mark: &str) -> Child {
    let mut child = desk.bare();
    child.arg("--config").arg(desk.config()).arg(command).stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = child.stderr(Stdio::piped()).spawn().expect("starts");
    let lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    lines.map_while(Result::ok).take_while(|line| !line.contains(mark)).for_each(drop);
    child
}

#[test]
fn a_key_is_changed_with_one_command_and_the_former_one_opens_nothing_any_more() {
    let desk = Desk::at(Served::Truv, 2);
    desk.ends_with(0, &["run", "--once"]);
    let without = desk.passbook(&["rekey"]);
    assert_eq!(without.status.code(), Some(1));
    assert!(text(&without.stderr).contains("previous_key") && text(&without.stderr).contains("passbook keygen"));
    prepare(&desk);
    let early = desk.passbook(&["run", "--once"]);
    assert_eq!(early.status.code(), Some(3), "{}", text(&early.stderr));
    assert!(text(&early.stderr).contains("passbook rekey"), "{}", text(&early.stderr));
    assert!(desk.ends_with(0, &["check"]).contains("only passbook rekey uses it"));

    let said = desk.ends_with(0, &["rekey"]);
    assert!(said.contains(key_in(&desk, "new.key").id()) && said.contains("Remove previous_key"), "{said}");
    assert!(desk.ends_with(0, &["rekey"]).contains("0 values"));
    assert_eq!(desk.json(0, &["verify", "--json"])["clean"], true);
    assert!(desk.ends_with(0, &["sync"]).contains("ok"));

    fs::rename(desk.dir.path().join("store.key"), desk.dir.path().join("new.key")).expect("the former key again");
    let config =
        fs::read_to_string(desk.config()).expect("reads").replace("previous_key = { file = \"store.key\" }\n", "");
    fs::write(desk.config(), config).expect("writes");
    let former = desk.passbook(&["run", "--once"]);
    assert_eq!(former.status.code(), Some(3), "{}", text(&former.stderr));
}

#[test]
fn a_rekey_that_is_killed_is_finished_by_the_next() {
    let desk = Desk::at(Served::Truv, 1);
    desk.ends_with(0, &["run", "--once"]);
    many_numbers(&desk);
    let numbers = "SELECT account_number_id, account_id, network, position FROM account_numbers ORDER BY 1";
    let before = desk.ends_with(0, &["query", "--format", "csv", numbers]);
    prepare(&desk);

    let mut child = until(&desk, "rekey", "sealed anew");
    child.kill().expect("killed");
    child.wait().expect("gone");
    // Half way, nearly always; a machine that is fast enough is done.
    let met = desk.passbook(&["run", "--once"]);
    if met.status.code() == Some(3) {
        let said = text(&met.stderr);
        assert!(said.contains("on its way") && said.contains("passbook rekey"), "{said}");
        assert_eq!(desk.json(1, &["verify", "--json"])["clean"], false);
    }
    desk.ends_with(0, &["rekey"]);
    assert_eq!(desk.ends_with(0, &["query", "--format", "csv", numbers]), before);
    assert_eq!(desk.json(0, &["verify", "--json"])["clean"], true);
    opens_all(&desk);
    let id = u32::from_str_radix(key_in(&desk, "store.key").id(), 16).expect("hexadecimal");
    let former = [&[1], id.to_be_bytes().as_slice()].concat();
    for name in ["passbook.db", "passbook.db-wal"] {
        let bytes = fs::read(desk.dir.path().join(name)).unwrap_or_default();
        assert!(!bytes.windows(former.len()).any(|window| window == former), "{name} holds what the former key sealed");
    }
}

/// Every number opens with the new key and says what it said.
#[expect(clippy::disallowed_methods, reason = "the tests read what the program shows nowhere")]
fn opens_all(desk: &Desk) {
    let connection = rusqlite::Connection::open(desk.store()).expect("a reader");
    let sealer = Sealer::new(key_in(desk, "new.key"));
    let sql = "SELECT account_number_id, account_number_sealed FROM account_numbers WHERE account_number_id >= 1000";
    let mut select = connection.prepare(sql).expect(sql);
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
    let opened = rows.map(|row| row.expect("a row")).filter(|(row_id, number): &(i64, Vec<u8>)| {
        let place = Place { table: "account_numbers", column: "account_number_sealed", row_id: *row_id };
        sealer.open(place, number).expect("opens").as_slice() == row_id.to_string().as_bytes()
    });
    assert_eq!(i64::try_from(opened.count()), Ok(NUMBERS));
}

#[test]
fn a_daemon_keeps_its_store_from_being_changed() {
    let desk = Desk::at(Served::Truv, 1);
    desk.ends_with(0, &["run", "--once"]);
    let daemon = desk.daemon();
    prepare(&desk);
    for command in ["rekey", "convert"] {
        let refused = desk.passbook(&[command]);
        assert_eq!(refused.status.code(), Some(3), "{}", text(&refused.stderr));
        assert!(text(&refused.stderr).contains("another passbook works on this store"), "{}", text(&refused.stderr));
    }
    drop(daemon);
}

#[cfg(feature = "sqlcipher")]
mod whole {
    use super::*;

    fn set(desk: &Desk, encryption: &str) {
        let config = fs::read_to_string(desk.config()).expect("reads");
        let lines = config.lines().filter(|line| !line.starts_with("encryption"));
        let text: Vec<&str> =
            lines.flat_map(|line| if line == "[store]" { vec![line, encryption] } else { vec![line] }).collect();
        fs::write(desk.config(), text.join("\n")).expect("writes");
    }

    #[test]
    fn a_store_encrypted_whole_does_all_that_another_does() {
        let desk = Desk::at(Served::Truv, 2);
        desk.ends_with(0, &["run", "--once"]);
        let all = "SELECT * FROM v_transactions ORDER BY transaction_id";
        let before = desk.ends_with(0, &["query", "--json", all]);
        set(&desk, "encryption = \"full\"");
        for command in [&["status"][..], &["run", "--once"], &["query", "SELECT 1"]] {
            let refused = desk.passbook(command);
            assert_eq!(refused.status.code(), Some(3), "{}", text(&refused.stderr));
            assert!(text(&refused.stderr).contains("passbook convert"), "{}", text(&refused.stderr));
        }
        let mut child = until(&desk, "convert", "everything is copied");
        child.kill().expect("killed");
        child.wait().expect("gone");
        desk.ends_with(0, &["convert"]);
        assert_eq!(desk.ends_with(0, &["query", "--json", all]), before);
        assert!(desk.ends_with(0, &["sync"]).contains("ok"));
        desk.ends_with(0, &["status"]);
        desk.ends_with(0, &["explain", "1"]);
        assert_eq!(desk.json(0, &["verify", "--json"])["clean"], true);
        assert!(desk.ends_with(0, &["keygen", "--sqlcipher"]).contains("PRAGMA cipher_page_size = 8192;"));

        prepare(&desk);
        assert!(desk.ends_with(0, &["rekey"]).contains("the whole file is encrypted with it"));
        assert!(desk.ends_with(0, &["sync"]).contains("ok"));

        fs::remove_file(desk.dir.path().join("new.key")).expect("gone");
        let keyless = desk.passbook(&["status"]);
        assert_eq!(keyless.status.code(), Some(2), "{}", text(&keyless.stderr));
        assert!(text(&keyless.stderr).contains("reading it takes its key"), "{}", text(&keyless.stderr));
    }

    #[test]
    fn a_store_encrypted_whole_becomes_plain_again() {
        let desk = Desk::at(Served::Truv, 1);
        set(&desk, "encryption = \"full\"");
        desk.ends_with(0, &["run", "--once"]);
        let all = "SELECT * FROM v_transactions ORDER BY transaction_id";
        let before = desk.ends_with(0, &["query", "--json", all]);
        set(&desk, "encryption = \"secrets\"");
        assert!(text(&desk.passbook(&["run", "--once"]).stderr).contains("passbook convert"));
        desk.ends_with(0, &["convert"]);
        assert_eq!(desk.ends_with(0, &["query", "--json", all]), before);
        assert_eq!(desk.rows(), 40);
    }
}
