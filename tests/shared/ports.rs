//! Ports for whoever listens later.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// Below what the kernel gives to whoever asks for any port (`net.ipv4.ip_local_port_range`, 32768 and up): another test that
/// does so must not come by one of these before it is listened on.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;
/// Processes that start one after the other begin so far apart. It and the count have no common divisor.
const APART: u32 = 97;

/// An address that nothing listens on, another one each time.
pub(crate) fn free_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..COUNT {
        let nth = std::process::id().wrapping_mul(APART).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = FIRST + u16::try_from(nth % u32::from(COUNT)).expect("below the count");
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return listener.local_addr().expect("an address");
        }
    }
    panic!("something listens on every port from {FIRST} on");
}
