//! What only a real connection can do, over loopback and in real time.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;

use super::*;

/// What a connection does after it has read a request.
enum Wire {
    /// Writes this and closes.
    Bytes(Vec<u8>),
    /// Writes this, reads one more request on the same connection and closes without an answer.
    ThenDrop(Vec<u8>),
    /// Closes with unread input, so that the kernel sends a reset.
    Reset,
    /// Writes nothing for a while.
    Silence,
}

const TIMEOUTS: Timeouts = Timeouts { connect: Duration::from_secs(2), request: Duration::from_millis(800) };

fn answer(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

fn ok() -> Wire {
    Wire::Bytes(answer("{}"))
}

/// Serves the script, one connection a line, and counts the requests.
fn serve(script: Vec<Wire>) -> (SocketAddr, JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let served = std::thread::spawn(move || {
        let mut requests = 0;
        for wire in script {
            let (mut stream, _) = listener.accept().expect("a connection");
            requests += 1;
            match wire {
                Wire::Reset => {
                    stream.read_exact(&mut [0]).expect("a byte");
                    // The rest of the request has to be there, unread, when the socket closes.
                    while stream.peek(&mut [0; 16]).expect("more") < 16 {}
                }
                Wire::Bytes(bytes) => {
                    read_request(&mut stream);
                    // The client may hang up on a body it does not want.
                    let _hung_up = stream.write_all(&bytes);
                }
                Wire::ThenDrop(bytes) => {
                    read_request(&mut stream);
                    stream.write_all(&bytes).expect("written");
                    read_request(&mut stream);
                    requests += 1;
                }
                Wire::Silence => {
                    read_request(&mut stream);
                    // Until the client gives up.
                    let _closed = stream.read(&mut [0]);
                }
            }
        }
        requests
    });
    (address, served)
}

/// Joins without blocking the runtime, which has connections to close.
async fn joined(served: JoinHandle<usize>) -> usize {
    tokio::task::spawn_blocking(move || served.join().expect("served")).await.expect("joined")
}

fn read_request(stream: &mut TcpStream) {
    let mut seen = Vec::new();
    while !seen.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk).expect("a request");
        assert!(count > 0, "the client closed");
        seen.extend_from_slice(&chunk[..count]);
    }
}

fn door(address: SocketAddr) -> Door {
    door_to(&format!("http://{address}"), Transport::network(), Clock::system(), TIMEOUTS)
}

async fn get_from(script: Vec<Wire>) -> (Result<Answer, HttpError>, usize) {
    let (address, served) = serve(script);
    let outcome = door(address).get("/v1/links/", &[("token", QUERY_SECRET)], Lane::Person).await;
    (outcome, joined(served).await)
}

#[tokio::test]
async fn a_get_gets_over_what_a_connection_can_do() {
    let half = |bytes: &[u8]| Wire::Bytes(bytes[..bytes.len() - 1].to_vec());
    for fault in [
        Wire::Reset,
        Wire::Silence,
        Wire::Bytes(Vec::new()),
        Wire::Bytes(b"HTTP/1.1 200 OK\r\ncontent-ty".to_vec()),
        Wire::Bytes(b"this is not HTTP\r\n\r\n".to_vec()),
        half(&answer("{}")),
        Wire::Bytes(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n".to_vec()),
        Wire::Bytes(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}".to_vec()),
    ] {
        let (outcome, requests) = get_from(vec![fault, ok()]).await;
        assert_eq!((outcome.expect("the second attempt").attempts, requests), (2, 2));
    }
}

#[tokio::test]
async fn an_idle_connection_that_closes_costs_a_get_one_attempt_and_a_post_its_outcome() {
    let (address, served) = serve(vec![Wire::ThenDrop(answer("{}")), ok()]);
    let door = door(address);
    door.get("/a", &[], Lane::Person).await.expect("the first");
    assert_eq!(door.get("/b", &[], Lane::Person).await.expect("the second").attempts, 2);
    assert_eq!(joined(served).await, 3);

    let (address, served) = serve(vec![Wire::ThenDrop(answer("{}"))]);
    let door = self::door(address);
    door.get("/a", &[], Lane::Person).await.expect("the first");
    let error = door.post("/b", &json!({}), Lane::Person).await.expect_err("unknown");
    assert!(matches!(error, HttpError::OutcomeUnknown { .. }), "{error}");
    assert_eq!(joined(served).await, 2);
}

#[tokio::test]
async fn a_post_is_sent_once_whatever_the_connection_does() {
    for fault in [Wire::Reset, Wire::Silence, Wire::Bytes(Vec::new()), Wire::Bytes(b"HTTP/1.1 200 OK\r\n".to_vec())] {
        let (address, served) = serve(vec![fault]);
        let error = door(address).post("/a", &json!({"token": BODY_SECRET}), Lane::Person).await.expect_err("unknown");
        assert!(matches!(error, HttpError::OutcomeUnknown { .. }), "{error}");
        assert_eq!((error.attempts(), joined(served).await), (1, 1));
    }
}

#[tokio::test]
async fn a_post_that_finds_nobody_was_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let door = door(address);
    let error = door.post("/a", &json!({}), Lane::Person).await.expect_err("nobody");
    assert!(matches!(&error, HttpError::Transient { cause: TransientCause::Connect { .. }, .. }), "{error}");
    assert_eq!(error.attempts(), 1);
    let error = door.get("/a", &[("token", QUERY_SECRET)], Lane::Person).await.expect_err("nobody");
    assert_eq!(error.attempts(), 3);
    assert!(error.to_string().starts_with("GET /a: could not connect (Connection refused"), "{error}");
    assert!(!format!("{error:?}").contains(QUERY_SECRET));
}

#[tokio::test]
async fn a_gzip_bomb_is_stopped_at_the_cap() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let megabyte = vec![b' '; 1024 * 1024];
    for _ in 0..64 {
        encoder.write_all(&megabyte).expect("compressed");
    }
    let bomb = encoder.finish().expect("compressed");
    assert!(bomb.len() < MAX_BODY_BYTES / 20);
    let length = bomb.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: {length}\r\n\r\n"
    );
    let (address, served) = serve(vec![Wire::Bytes([head.into_bytes(), bomb].concat())]);
    let timeouts = Timeouts { request: Duration::from_secs(20), ..TIMEOUTS };
    let door = door_to(&format!("http://{address}"), Transport::network(), Clock::system(), timeouts);
    let error = door.get("/a", &[], Lane::Person).await.expect_err("too large");
    assert!(matches!(error, HttpError::TooLarge { .. }), "{error}");
    joined(served).await;
}

#[tokio::test]
async fn a_gzip_answer_is_read() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(br#"{"ok":true}"#).expect("compressed");
    let body = encoder.finish().expect("compressed");
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: {length}\r\n\r\n"
    );
    let (outcome, _) = get_from(vec![Wire::Bytes([head.into_bytes(), body].concat())]).await;
    assert_eq!(&outcome.expect("an answer").body[..], br#"{"ok":true}"#);
}

#[tokio::test]
async fn no_secret_reaches_the_log_of_the_libraries_below() {
    let (log, _guard) = Log::capture();
    let (outcome, _) = get_from(vec![Wire::Reset, Wire::Bytes(answer(r#"{"name":"canary-answer"}"#))]).await;
    outcome.expect("an answer");
    let (address, served) = serve(vec![ok()]);
    door(address).post("/a", &json!({"token": BODY_SECRET}), Lane::Person).await.expect("an answer");
    joined(served).await;
    let log = log.text();
    assert!(log.contains("hyper_util") && log.contains("attempt=2"), "{log}");
    assert!(!log.contains("canary"), "{log}");
}
