//! The addresses of a running daemon: what becomes of its listeners when the configuration moves them.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Output;
use std::time::Duration;

use passbook::sandbox::Served;

use super::desk::{Desk, text, wait_for};
use super::ports::free_address;

const TOKEN: &str = "an-admin-token-0123456789";

/// A desk whose daemon is told again and again where to listen.
struct Mover {
    desk: Desk,
    /// Its configuration without addresses.
    bare: String,
}

impl Mover {
    fn new() -> Self {
        let desk = Desk::at(Served::Truv, 1);
        desk.secret("admin.token", TOKEN);
        let bare = std::fs::read_to_string(desk.config()).expect("reads");
        Self { desk, bare }
    }

    fn reload(&self, public: Option<SocketAddr>, admin: Option<SocketAddr>) -> Output {
        let public = public.map_or_else(String::new, |address| {
            format!("public_listen = \"{address}\"\npublic_url = \"https://bank.example.com\"\n")
        });
        let admin = admin.map_or_else(String::new, |address| {
            format!("admin_listen = \"{address}\"\nadmin_token = {{ file = \"admin.token\" }}\n")
        });
        std::fs::write(self.desk.config(), format!("{}[server]\n{public}{admin}", self.bare)).expect("writes");
        self.desk.passbook(&["reload"])
    }

    fn moves(&self, public: Option<SocketAddr>, admin: Option<SocketAddr>) {
        let said = self.reload(public, admin);
        assert!(said.status.success(), "{}", text(&said.stderr));
    }
}

/// Which side answers at an address.
fn side_at(address: SocketAddr) -> &'static str {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let head = "GET /control/status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n";
        write!(stream, "{head}authorization: Bearer {TOKEN}\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    match ask() {
        Ok(answer) if answer.starts_with("HTTP/1.1 200") => "admin",
        Ok(answer) if answer.starts_with("HTTP/1.1 404") => "public",
        _ => "nobody",
    }
}

#[test]
fn the_sides_trade_and_inherit_addresses_while_the_daemon_runs() {
    let mover = Mover::new();
    let (one, other) = (free_address(), free_address());
    let _daemon = mover.desk.daemon();
    mover.moves(Some(one), Some(other));
    assert_eq!((side_at(one), side_at(other)), ("public", "admin"));

    mover.moves(Some(other), Some(one));
    assert_eq!((side_at(one), side_at(other)), ("admin", "public"), "each has the other's");
    mover.moves(Some(one), Some(other));
    assert_eq!((side_at(one), side_at(other)), ("public", "admin"), "and its own again");

    mover.moves(None, Some(one));
    assert_eq!(side_at(one), "admin", "where the side was that is gone");
    wait_for("its own address to close", || side_at(other) == "nobody");
    mover.moves(Some(other), Some(one));
    assert_eq!((side_at(one), side_at(other)), ("admin", "public"));

    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let refused = mover.reload(Some(one), Some(taken.local_addr().expect("an address")));
    assert!(text(&refused.stderr).contains("another process listens there"), "{}", text(&refused.stderr));
    assert_eq!((side_at(one), side_at(other)), ("admin", "public"), "half a move is none");
}

#[test]
fn an_address_that_the_daemon_is_in_the_way_of_is_refused_with_what_to_do() {
    let mover = Mover::new();
    let own = free_address();
    let _daemon = mover.desk.daemon();
    mover.moves(None, Some(own));
    let everywhere = SocketAddr::new(std::net::Ipv4Addr::UNSPECIFIED.into(), own.port());
    let refused = mover.reload(None, Some(everywhere));
    let said = text(&refused.stderr);
    assert!(said.contains(&format!("this daemon itself listens on {own}; restart the daemon")), "{said}");
    assert!(!said.contains("another process"), "{said}");
    let refused = mover.reload(Some(everywhere), Some(own));
    let said = text(&refused.stderr);
    assert!(said.contains(&format!("this daemon itself listens on {own}; choose another port")), "{said}");
    assert_eq!(side_at(own), "admin", "what listened goes on");
}
