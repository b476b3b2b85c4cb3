//! Both webhooks, from the signature to the neutral event, and what a browser brings back from an aggregator's pages.

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderValue};
use passbook::aggregator::{Aggregator, Announcement, News, SignatureError};
use passbook::clock::Clock;
use sha2::Sha256;

use super::bank::{Bank, SECRET, START, Which, runtime, source};
use super::script::Script;

/// Stands in a signature's header for the one of the body that follows.
const GOOD: &str = "{signature}";

thread_local! {
    static BOTH: [(Which, Aggregator); 2] = {
        let runtime = runtime();
        let _entered = runtime.enter();
        let clock = Clock::virtual_at(START.parse().expect("an instant"));
        let bank = Bank::new(Script::read(b""));
        [Which::Truv, Which::Bridge].map(|which| (which, bank.aggregator(&source(which), &clock)))
    };
}

/// The first line is a signature's header (several after `|`), what follows is the body. Both are also a browser's query.
pub fn webhooks(input: &[u8]) {
    let (line, body) = input.split_at(input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len()));
    let body = body.strip_prefix(b"\n").unwrap_or(body);
    let line = String::from_utf8_lossy(line);
    BOTH.with(|both| {
        for (which, aggregator) in both {
            signed(*which, aggregator, &line, body);
            read(aggregator, body);
            returned(aggregator, &String::from_utf8_lossy(body));
        }
    });
}

fn signature_of(body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any key");
    mac.update(body);
    let bytes: [u8; 32] = mac.finalize().into_bytes().into();
    bytes.iter().fold(String::new(), |digits, byte| format!("{digits}{byte:02x}"))
}

fn signed(which: Which, aggregator: &Aggregator, line: &str, body: &[u8]) {
    let name = match which {
        Which::Truv => "x-webhook-sign",
        Which::Bridge => "bridgeapi-signature",
    };
    let good = signature_of(body);
    let mut headers = HeaderMap::new();
    for value in line.replace(GOOD, &good).split('|').filter_map(|value| HeaderValue::from_str(value).ok()) {
        headers.append(name, value);
    }
    let verdict = aggregator.webhooks().verify(&headers, body);
    let values: Vec<String> = headers
        .values()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|value| value.trim().to_ascii_lowercase())
        .collect();
    let is_there = values.iter().any(|value| *value == format!("v1={good}"));
    // Nothing else is ever believed; of many values only the first few are looked at, and the scheme is in small letters.
    match verdict {
        Ok(()) => assert!(is_there, "{line:?}"),
        Err(SignatureError::Missing) => assert!(headers.is_empty()),
        Err(SignatureError::Unreadable | SignatureError::Wrong) => {
            assert!(!is_there || values.len() > 4 || line.contains("V1"), "{line:?}");
        }
        Err(SignatureError::NoSecret) => panic!("there is one"),
    }
}

fn read(aggregator: &Aggregator, body: &[u8]) {
    let read = aggregator.webhooks().read(body);
    assert_eq!(read, aggregator.webhooks().read(body));
    let Some(Announcement { event_type, user, news, .. }) = read else { return };
    assert!(body.trim_ascii_start().starts_with(b"{"), "what is no object is no event");
    let link = match news {
        News::RefreshStatus { task, status, link } => Some(format!("{task}{status}{}", link.unwrap_or_default())),
        News::LinkChanged { link } => link,
        News::LinkRead { link } => Some(link),
        News::UserDeleted | News::Nothing => None,
    };
    let told = event_type.len() + user.map_or(0, |user| user.len()) + link.map_or(0, |link| link.len());
    assert!(told <= body.len(), "{told} bytes of {}", body.len());
}

fn returned(aggregator: &Aggregator, query: &str) {
    let Some(returned) = aggregator.connect().read_return(query) else { return };
    let shown = format!("{returned:?}");
    if let Some(context) = returned.context.filter(|context| context.expose().len() >= 20) {
        let elsewhere = [&returned.user, &returned.link].into_iter().flatten();
        let is_repeated = elsewhere.into_iter().any(|text| format!("{text:?}").contains(context.expose()));
        assert!(is_repeated || !shown.contains(context.expose()), "the context is shown");
    }
    // Text that is percent-encoded is shorter when read, and what is no UTF-8 becomes three bytes for one.
    let told = [returned.user, returned.link].into_iter().flatten().map(|text| text.len()).sum::<usize>();
    assert!(told <= 3 * query.len(), "{told} bytes of {}", query.len());
}
