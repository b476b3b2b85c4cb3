//! The public side on a real socket, in real time: senders who send slowly, or too much.

use std::net::SocketAddr;

use passbook::sandbox::Served;
use passbook::server::listen;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::post::{Post, outcomes};
use crate::harness::Bench;

/// Sends bytes and returns what is answered until the other side closes.
async fn say(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connects");
    // The other side may close before it has read everything.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn slow_and_endless_bodies_end_and_others_are_served_meanwhile() {
    let bench = Bench::at(Served::Truv, "");
    let post = Post::to(&bench).await;
    let listener = listen::bind("127.0.0.1:0".parse().expect("an address")).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let stop = CancellationToken::new();
    let head = "POST /webhooks/truv HTTP/1.1\r\nHost: bank\r\n";
    let script = async {
        let slow = format!("{head}Content-Length: 100\r\n\r\n{{\"half\":");
        let large = format!("{head}Content-Length: 1000000\r\n\r\n");
        let mut endless = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
        for _ in 0..10 {
            endless.extend_from_slice(b"4000\r\n");
            endless.extend_from_slice(&[b' '; 0x4000]);
            endless.extend_from_slice(b"\r\n");
        }
        let body = "{\"event_type\":\"unheard-of\"}";
        let signature = post.signature(&bench.secret, body.as_bytes());
        let good = format!(
            "{head}X-Webhook-Sign: {signature}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let quick = async {
            tokio::join!(say(address, large.as_bytes()), say(address, &endless), say(address, good.as_bytes()))
        };
        let slow = say(address, slow.as_bytes());
        tokio::pin!(slow);
        let (large, endless, good) = tokio::select! {
            biased;
            answers = quick => answers,
            slow = &mut slow => panic!("nobody waits for the slow one: {slow}"),
        };
        let slow = slow.await;
        assert!(slow.starts_with("HTTP/1.1 408"), "{slow}");
        assert!(slow.contains("it arrived too slowly"), "by the deadline of bodies, not by that of requests: {slow}");
        assert!(large.starts_with("HTTP/1.1 413"), "{large}");
        assert!(endless.starts_with("HTTP/1.1 413") || endless.is_empty(), "{endless}");
        assert!(good.starts_with("HTTP/1.1 200"), "{good}");
        stop.cancel();
    };
    let (_router, routers) = tokio::sync::watch::channel(post.router.clone());
    tokio::join!(listen::serve(listener, routers, stop.clone()), script);
    assert_eq!(outcomes(&bench), ["waits"], "the good one, and nothing else");
}
