//! One connection that delivers signed webhooks at fixed instants, and again where no answer came.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Delivers every `step`th event from `first` on.
pub(crate) struct Sender {
    pub(crate) address: SocketAddr,
    pub(crate) secret: String,
    pub(crate) links: Vec<(String, String)>,
    pub(crate) first: usize,
    pub(crate) step: usize,
    pub(crate) count: usize,
    pub(crate) per_second: usize,
}

/// What came back.
#[derive(Default)]
pub(crate) struct Answers {
    /// The ids of the events that were acknowledged.
    pub(crate) acknowledged: Vec<String>,
    /// When each was, after the beginning, and how long its answer took.
    answered: Vec<(Duration, Duration)>,
    /// Deliveries that were not acknowledged.
    pub(crate) repeated: u64,
}

impl Answers {
    pub(crate) fn add(&mut self, other: Self) {
        self.acknowledged.extend(other.acknowledged);
        self.answered.extend(other.answered);
        self.repeated += other.repeated;
    }

    /// How many were acknowledged before an instant.
    pub(crate) fn before(&self, end: Duration) -> usize {
        self.answered.iter().filter(|(at, _)| *at < end).count()
    }

    /// How long an answer took at most, for so many percent of them.
    pub(crate) fn percentile(&mut self, percent: usize) -> Duration {
        self.answered.sort_by_key(|(_, took)| *took);
        let at = (self.answered.len() * percent).div_ceil(100).max(1) - 1;
        self.answered.get(at).map_or(Duration::ZERO, |(_, took)| *took)
    }
}

impl Sender {
    pub(crate) async fn run(self, began: Instant) -> Answers {
        let mut answers = Answers::default();
        let mut connection = None;
        for number in (self.first..self.count).step_by(self.step) {
            let due = Duration::from_micros(u64::try_from(number * 1_000_000 / self.per_second).unwrap_or(u64::MAX));
            tokio::time::sleep_until((began + due).into()).await;
            let request = self.request(number);
            loop {
                let sent = Instant::now();
                if let Ok(200) = exchange(&mut connection, self.address, &request).await {
                    answers.answered.push((began.elapsed(), sent.elapsed()));
                    answers.acknowledged.push(id(number));
                    break;
                }
                answers.repeated += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        answers
    }

    /// A task's status, a quarter of them ends, each event different from all others.
    fn request(&self, number: usize) -> Vec<u8> {
        let (link, user) = &self.links[number % self.links.len()];
        let status = ["login", "parse", "full_parse", "done"][number / self.links.len() % 4];
        let body = format!(
            r#"{{"webhook_id":"{}","event_type":"task-status-updated","event_created_at":"2022-08-24T13:55:12.845645Z","updated_at":"2022-08-24T13:55:12.845666+00:00","task_id":"{number:032x}","link_id":"{link}","product":"transactions","data_source":"financial_accounts","tracking_info":null,"status":"{status}","user_id":"{user}","template_id":null}}"#,
            id(number)
        );
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).expect("any key");
        mac.update(body.as_bytes());
        let bytes: [u8; 32] = mac.finalize().into_bytes().into();
        let digits = bytes.iter().fold(String::new(), |digits, byte| format!("{digits}{byte:02x}"));
        format!(
            "POST /webhooks/bank HTTP/1.1\r\nHost: bank\r\nContent-Type: application/json\r\nX-WEBHOOK-SIGN: v1={digits}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }
}

fn id(number: usize) -> String {
    format!("event-{number}")
}

/// Sends a request over a connection that is kept, and returns the answer's status.
async fn exchange(kept: &mut Option<TcpStream>, address: SocketAddr, request: &[u8]) -> io::Result<u16> {
    let mut stream = if let Some(stream) = kept.take() { stream } else { TcpStream::connect(address).await? };
    stream.set_nodelay(true)?;
    stream.write_all(request).await?;
    let mut answer = Vec::with_capacity(256);
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let text = String::from_utf8_lossy(&answer);
    let status: u16 = text.get(9..12).and_then(|digits| digits.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    if status == 200 {
        // Its body is empty; that of any other is not waited for.
        *kept = Some(stream);
    }
    Ok(status)
}
