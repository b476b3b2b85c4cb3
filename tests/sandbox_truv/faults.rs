//! What each fault does on the wire.

use std::time::Duration;

use jiff::SignedDuration;
use passbook::clock::Clock;
use passbook::sandbox::{Fault, Plan, Sandbox, Scope, ThrottleForm};

use crate::bench::{Answer, Bench, same_rows};

#[tokio::test(start_paused = true)]
async fn replacement_faults_answer_in_their_form() {
    let bench = Bench::new();
    bench.sandbox.seed_world(&Plan { links: 1, ..Plan::default() });
    for (fault, status, part) in [
        (Fault::Throttle(ThrottleForm::ErrorEnvelope), 429, "\"code\":\"throttled\""),
        (Fault::Throttle(ThrottleForm::Detail), 429, "{\"detail\":\"Request was throttled."),
        (Fault::Throttle(ThrottleForm::TextUnder503), 503, "Expected available in 17 seconds."),
        (Fault::Status(500), 500, "error"),
        (Fault::Html502, 502, "<html>"),
        (Fault::Maintenance(SignedDuration::from_hours(1)), 503, "under maintenance"),
        (Fault::NotJson, 200, "upstream connect error"),
        (Fault::EmptyBody, 200, ""),
    ] {
        bench.sandbox.fault(fault.clone(), Scope::path("/links").method("GET").once());
        assert_eq!(bench.get("/v1/users/").await.status, 200);
        let answer = bench.get("/v1/links/").await;
        let text = String::from_utf8(answer.bytes).expect("text");
        assert_eq!((answer.status, text.contains(part)), (status, true), "{fault:?}: {text}");
        assert_eq!(bench.get("/v1/links/").await.status, 200);
    }
    bench.sandbox.fault(Fault::Throttle(ThrottleForm::RetryDate), Scope::all().once());
    let dated = bench.get("/v1/links/").await;
    assert_eq!(
        (dated.status, &dated.headers["retry-after"]),
        (429, &"Tue, 10 Mar 2026 12:00:17 GMT".parse().expect("a value"))
    );
    bench.sandbox.fault(Fault::WrongContentType, Scope::all());
    bench.sandbox.fault(Fault::ClockSkew(SignedDuration::from_hours(1)), Scope::all());
    let answer = bench.get("/v1/links/").await;
    assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
    assert_eq!(answer.headers["date"], "Tue, 10 Mar 2026 13:00:00 GMT");
    assert_eq!(answer.json()["count"], 1);
    bench.sandbox.clear_faults();
    bench.sandbox.fault(Fault::HugeBody(1_000_000), Scope::all());
    let answer = bench.get("/v1/links/").await;
    assert_eq!(answer.bytes.len(), 1_000_000);
    assert_eq!(answer.json()["count"], 0);
}

#[tokio::test(start_paused = true)]
async fn connection_faults_break_hang_or_delay() {
    let bench = Bench::new();
    for fault in [Fault::Reset, Fault::CutBody] {
        bench.sandbox.fault(fault, Scope::all().once());
        assert!(bench.send(bench.request("GET", "/v1/users/", None)).await.is_err());
    }
    bench.sandbox.fault(Fault::Hang, Scope::all().once());
    let hanging = tokio::time::timeout(Duration::from_hours(5), bench.get("/v1/users/")).await;
    assert!(hanging.is_err());
    assert_eq!(bench.sandbox.request_log().last().expect("a request").status, None);
    bench.sandbox.fault(Fault::Slow(SignedDuration::from_secs(9)), Scope::all().after(1).once());
    let started = bench.sandbox.now();
    bench.get("/v1/users/").await;
    assert_eq!(bench.sandbox.now(), started);
    bench.get("/v1/users/").await;
    assert_eq!(bench.sandbox.now().duration_since(started), SignedDuration::from_secs(9));
}

#[tokio::test(start_paused = true)]
async fn paging_faults_move_the_list_under_the_reader() {
    let bench = Bench::new();
    bench.sandbox.settings(|settings| settings.default_page_size = 10);
    let (link, ..) = bench.small_link(25);
    let page = async |n: usize| bench.get(&format!("/v1/links/{link}/transactions/?page={n}")).await;
    let id = |answer: &Answer, at: usize| answer.json()["transactions"][at]["id"].as_str().map(str::to_owned);
    let (first, second) = (page(1).await, page(2).await);
    bench.sandbox.fault(Fault::RepeatPage, Scope::link(link).once());
    let repeated = page(2).await;
    assert_eq!(repeated.json()["transactions"], first.json()["transactions"]);
    assert!(repeated.json()["next"].as_str().expect("a URL").ends_with("page=3"));
    bench.sandbox.fault(Fault::InvalidPage404, Scope::link(link).once());
    assert_eq!(page(1).await.status, 200);
    assert_eq!(page(2).await.status, 404);
    bench.sandbox.fault(Fault::DriftWhilePaging, Scope::link(link).once());
    let drifted = page(2).await;
    assert_eq!((drifted.json()["count"].as_i64(), id(&drifted, 0)), (Some(26), id(&first, 9)));
    bench.sandbox.fault(Fault::ShrinkWhilePaging, Scope::link(link).once());
    assert_eq!(id(&page(2).await, 0), id(&second, 0));
    bench.sandbox.fault(Fault::ShrinkWhilePaging, Scope::link(link).once());
    let shrunk = page(2).await;
    assert_eq!((shrunk.json()["count"].as_i64(), id(&shrunk, 0)), (Some(24), id(&second, 1)));
    assert_eq!(bench.sandbox.truth().transaction_count(), 24);
    same_rows(&bench.transactions(link).await, &bench.sandbox.truth(), link);
}

#[tokio::test(start_paused = true)]
async fn row_faults_damage_the_first_row_of_a_page() {
    let bench = Bench::new();
    let (link, ..) = bench.small_link(3);
    bench.sandbox.fault(Fault::RowWithoutId, Scope::path("/transactions").once());
    assert!(bench.transactions(link).await[0].get("id").is_none());
    bench.sandbox.fault(Fault::BadAmount, Scope::path("/transactions").once());
    assert_eq!(bench.transactions(link).await[0]["amount"], "12,34 or so");
    bench.sandbox.fault(Fault::DuplicateRow, Scope::path("/transactions").once());
    let rows = bench.transactions(link).await;
    assert_eq!((rows.len(), &rows[0]), (4, &rows[1]));
    bench.sandbox.fault(Fault::RefreshLimit, Scope::link(link).once());
    assert_eq!(bench.start_refresh(link).await.status, 429);
    assert_eq!(bench.start_refresh(link).await.status, 201);
}

/// Sends bytes to a bound sandbox and reads until the connection ends or the answer is whole.
async fn over_the_wire(address: std::net::SocketAddr, bench: &Bench) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("a connection");
    let request = format!(
        "GET /v1/users/ HTTP/1.1\r\nhost: {address}\r\nx-access-client-id: {}\r\nx-access-secret: {}\r\n\
         connection: close\r\n\r\n",
        bench.sandbox.truv_client_id(),
        bench.secret
    );
    stream.write_all(request.as_bytes()).await.expect("a sent request");
    let mut answer = Vec::new();
    // A reset is as good an end as any other.
    while let Ok(1..) = stream.read_buf(&mut answer).await {}
    String::from_utf8(answer).expect("text")
}

#[tokio::test]
async fn over_a_socket_cut_and_reset_end_the_connection() {
    let sandbox = Sandbox::new(Clock::system(), 7);
    let bench = Bench { secret: sandbox.truv_secret(), sandbox };
    for n in 0..20 {
        bench.sandbox.add_user(&format!("customer-{n}"));
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let mut served = tokio::task::JoinSet::new();
    let router = bench.sandbox.router();
    served.spawn(async move { axum::serve(listener, router).await });
    let whole = over_the_wire(address, &bench).await;
    assert!(whole.starts_with("HTTP/1.1 200 OK") && whole.ends_with('}'), "{whole}");
    bench.sandbox.fault(Fault::CutBody, Scope::all().once());
    let cut = over_the_wire(address, &bench).await;
    assert!(cut.contains("customer-0") && !cut.contains("customer-19") && !cut.ends_with("0\r\n\r\n"), "{cut}");
    bench.sandbox.fault(Fault::Reset, Scope::all().once());
    let reset = over_the_wire(address, &bench).await;
    assert!(!reset.contains("customer-0") && !reset.ends_with("0\r\n\r\n"), "{reset}");
    assert_eq!(over_the_wire(address, &bench).await.len(), whole.len());
}
