//! A changed configuration and a running daemon.

use std::net::{SocketAddr, TcpListener, TcpStream};

use passbook::sandbox::{Environment, Served};

use super::desk::{Desk, query, text, wait_for};
use super::ports::free_address;

fn change(desk: &Desk, change: impl FnOnce(String) -> String) {
    let config = std::fs::read_to_string(desk.config()).expect("reads");
    std::fs::write(desk.config(), change(config)).expect("writes");
}

fn loads(desk: &Desk, outcome: &str) -> usize {
    query(&desk.store(), &format!("SELECT count(*) FROM config_loads WHERE outcome = '{outcome}'"))
}

#[test]
fn a_changed_configuration_is_taken_over_and_a_bad_one_is_refused_with_its_reason() {
    let desk = Desk::at(Served::Truv, 2);
    let nobody = desk.passbook(&["reload"]);
    assert_eq!(nobody.status.code(), Some(1), "{}", text(&nobody.stderr));
    let daemon = desk.daemon();
    wait_for("the first syncs", || query(&desk.store(), "SELECT count(*) FROM syncs WHERE outcome = 'ok'") == 2);
    assert!(desk.ends_with(0, &["reload"]).contains("nothing changed"));
    assert!(desk.ends_with(0, &["check", "--diff"]).contains("nothing that shows here differs"));

    // A schedule, shown before it is taken over.
    change(&desk, |config| config.replace("[[source]]\n", "[[source]]\nsync_schedule = \"0 * * * *\"\n"));
    let diff = desk.ends_with(0, &["check", "--diff"]);
    assert!(diff.contains("sync_schedule: 0 */8 * * * → 0 * * * *"), "{diff}");
    let diff = desk.json(0, &["check", "--diff", "--json"]);
    let (before, after) = (&diff["diff"]["sources"][0]["before"], &diff["diff"]["sources"][0]["after"]);
    assert_eq!((&before["syncs"], &after["syncs"]), (&6.into(), &48.into()), "{diff}");
    assert_eq!(
        (&before["refreshes"], &after["refreshes"]),
        (&4.into(), &4.into()),
        "the reserve stays a person's: {diff}"
    );
    let said = desk.ends_with(0, &["reload"]);
    assert!(said.contains("source \"bank\" changed"), "{said}");
    let soon = "SELECT count(*) FROM links WHERE due_at < (unixepoch() + 5400) * 1000";
    wait_for("the links to be due by the new schedule", || query(&desk.store(), soon) == 2);

    // A mistake: the command sees it, a signal is answered in the store.
    let good = std::fs::read_to_string(desk.config()).expect("reads");
    change(&desk, |config| config.replace("0 * * * *", "0 * * *"));
    let refused = desk.passbook(&["reload"]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused.stderr));
    let before = loads(&desk, "refused");
    daemon.signal("-HUP");
    wait_for("the refusal", || loads(&desk, "refused") > before);
    let reason = "SELECT count(*) FROM config_loads WHERE outcome = 'refused' AND summary LIKE '%sync_schedule%'";
    assert_eq!(query(&desk.store(), reason), 1);

    // A secret that is not there is seen by the daemon alone, which may read it.
    std::fs::write(desk.config(), good.replace("bank.secret", "nowhere.secret")).expect("writes");
    let refused = desk.passbook(&["reload"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("nowhere.secret") && text(&refused.stderr).contains("goes on with"));
    let status = text(&desk.passbook(&["status"]).stdout);
    assert!(status.contains("refused") && status.contains("nowhere.secret"), "{status}");

    // What only a start can change.
    std::fs::write(desk.config(), good.replace("passbook.db", "other.db")).expect("writes");
    daemon.signal("-HUP");
    wait_for("the second refusal", || {
        query(&desk.store(), "SELECT count(*) FROM config_loads WHERE summary LIKE 'store.path cannot change%'") == 1
    });

    // Corrected: the daemon went on all the while.
    std::fs::write(desk.config(), good).expect("writes");
    let applied = loads(&desk, "applied");
    daemon.signal("-HUP");
    wait_for("the correction", || loads(&desk, "applied") > applied);
    assert!(!text(&desk.passbook(&["status"]).stdout).contains("refused"));
}

#[test]
fn sides_open_move_and_close_and_a_secret_is_rotated_while_the_daemon_runs() {
    let desk = Desk::at(Served::Truv, 1);
    desk.secret("admin.token", "first-admin-token-0123456789");
    let bare = std::fs::read_to_string(desk.config()).expect("reads");
    let with_admin = |address: SocketAddr, token: &str| {
        let server = format!("[server]\nadmin_listen = \"{address}\"\nadmin_token = {{ file = \"{token}\" }}\n");
        std::fs::write(desk.config(), format!("{bare}{server}")).expect("writes");
        desk.passbook(&["reload"])
    };
    let listens = |address: SocketAddr| TcpStream::connect(address).is_ok();
    let _daemon = desk.daemon();
    wait_for("the first sync", || query(&desk.store(), "SELECT count(*) FROM syncs WHERE outcome = 'ok'") == 1);

    let (first, second) = (free_address(), free_address());
    assert!(with_admin(first, "admin.token").status.success());
    wait_for("the admin side", || listens(first));
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let refused = with_admin(taken.local_addr().expect("an address"), "admin.token");
    assert!(text(&refused.stderr).contains("another process listens there"), "{}", text(&refused.stderr));
    assert!(listens(first), "what listened goes on");
    assert!(with_admin(second, "admin.token").status.success());
    wait_for("the move", || listens(second) && !listens(first));

    let status = |token: &str| {
        let client = format!(
            "GET /control/status HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
        );
        ask(second, &client)
    };
    assert!(status("first-admin-token-0123456789").starts_with("HTTP/1.1 200"));
    desk.secret("admin.token", "second-admin-token-9876543210");
    assert!(desk.ends_with(0, &["reload"]).contains("[server] changed"), "a rotated secret is a change");
    assert!(status("first-admin-token-0123456789").starts_with("HTTP/1.1 401"));
    assert!(status("second-admin-token-9876543210").starts_with("HTTP/1.1 200"));

    std::fs::write(desk.config(), &bare).expect("writes");
    desk.ends_with(0, &["reload"]);
    wait_for("the side to close", || !listens(second));

    // The aggregator's secret: a new one, then the old one is revoked; the next sync uses the new one.
    let (old, new) = (desk.bank_secret(), desk.bank.add_secret(Environment::Sandbox));
    desk.secret("bank.secret", &new);
    assert!(desk.ends_with(0, &["reload"]).contains("source \"bank\" changed"));
    desk.bank.revoke_secret(&old);
    desk.ends_with(0, &["sync"]);
}

fn ask(address: SocketAddr, request: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = TcpStream::connect(address).expect("connects");
    stream.write_all(request.as_bytes()).expect("sends");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}
