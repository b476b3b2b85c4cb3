//! Who is at the other end of a request: the address and the scheme, as far as a trusted proxy tells.

use std::net::IpAddr;

use axum::http::HeaderMap;
use ipnet::IpNet;

/// The address at the other end of the connection. Put into each request's extensions by whoever accepts connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// Whether an address is in one of some networks; one that is written as IPv6 counts as the IPv4 address it stands for.
pub(super) fn is_within(address: IpAddr, networks: &[IpNet]) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

/// Who sent a request: the last address in `X-Forwarded-For` that is no trusted proxy, if the connection came from one.
///
/// Shape: `None` where a trusted proxy says something that is no address: nobody can be told from that.
pub(super) fn client_address(peer: Peer, headers: &HeaderMap, trusted: &[IpNet]) -> Option<IpAddr> {
    let mut client = peer.0.to_canonical();
    // A header may come several times: each proxy may append a line instead of a word.
    let lines: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .map(|line| line.to_str().ok())
        .collect::<Option<_>>()
        .or_else(|| (!is_within(client, trusted)).then(Vec::new))?;
    let mut hops = lines.iter().rev().flat_map(|line| line.rsplit(',')).map(str::trim);
    while is_within(client, trusted) {
        match hops.next() {
            Some(hop) => client = hop.parse::<IpAddr>().ok()?.to_canonical(),
            None => break,
        }
    }
    Some(client)
}

/// Whether the browser at the other end speaks TLS, as a trusted proxy tells.
pub(super) fn is_secure(peer: Peer, headers: &HeaderMap, trusted: &[IpNet]) -> bool {
    is_within(peer.0, trusted) && headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", line.parse().expect("a header"));
        }
        headers
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().expect("a network"), "::1/128".parse().expect("a network")];
        let cases: [(&str, &[&str], Option<&str>); 9] = [
            ("203.0.113.9", &[], Some("203.0.113.9")),
            ("203.0.113.9", &["198.51.100.1"], Some("203.0.113.9")),
            ("10.0.0.1", &[], Some("10.0.0.1")),
            ("10.0.0.1", &["198.51.100.1"], Some("198.51.100.1")),
            ("10.0.0.1", &["6.6.6.6, 198.51.100.1"], Some("198.51.100.1")),
            ("10.0.0.1", &["6.6.6.6", "198.51.100.1, 10.2.3.4"], Some("198.51.100.1")),
            ("::ffff:10.0.0.1", &["198.51.100.1"], Some("198.51.100.1")),
            ("::1", &["2001:db8::7"], Some("2001:db8::7")),
            ("10.0.0.1", &["unknown"], None),
        ];
        for (peer, lines, expected) in cases {
            let peer = Peer(peer.parse().expect("an address"));
            let client = client_address(peer, &headers(lines), &trusted);
            assert_eq!(client, expected.map(|e| e.parse().expect("an address")), "{peer:?} {lines:?}");
        }
    }
}
