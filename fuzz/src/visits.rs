//! Requests to our own two sides: addresses, queries, forms, cookies, tokens, languages, proxies' words, webhooks.

use axum::body::Body;
use axum::extract::Request;
use http::Method;

use super::house::{ADMIN_TOKEN, House};
use super::script::header;

/// No page of a store as small as this is larger.
const MAX_PAGE_BYTES: usize = 1 << 20;
/// What somebody might want a page to say.
const MARKUP: &str = "<xss";
/// What everybody may see of the admin side.
const OPEN: [&str; 4] = ["/login", "/health", "/assets", "/favicon"];

/// The first line is a side, a method and a target, then come headers, an empty line and the body. `{invite}`, `{invite-2}`,
/// `{session}`, `{form}` and `{admin}` stand for what is given only to those who may come in.
pub fn visits(input: &[u8]) {
    House::with(|house| {
        let has = |pass: &[u8]| input.windows(pass.len()).any(|window| window == pass);
        let names_token = has(ADMIN_TOKEN.as_bytes());
        let is_allowed = names_token || has(b"{session}") || has(b"{admin}") || has(house.session.as_bytes());
        let Some((is_admin, request)) = request(&filled(house, input)) else { return };
        let target = request.uri().path().to_owned();
        let page = house.visit(is_admin, request);
        assert_ne!(page.status, 500, "{}", page.text);
        assert!(page.text.len() + page.head.len() <= MAX_PAGE_BYTES, "{} bytes", page.text.len());
        assert!(!page.text.to_ascii_lowercase().contains(MARKUP), "{}", page.text);
        // Who writes it into a field gets it back.
        assert!(names_token || !(page.text.contains(ADMIN_TOKEN) || page.head.contains(ADMIN_TOKEN)));
        if is_admin && !is_allowed {
            let is_open = OPEN.iter().any(|open| target.starts_with(open));
            assert!(is_open || page.status != 200, "{target} is shown to everybody");
            assert!(!page.head.contains("set-cookie: passbook=") || page.head.contains("Max-Age=0"), "{}", page.head);
        }
    });
}

fn passes(house: &House) -> [(&'static str, String); 6] {
    [
        // Only where it belongs: who writes it into an address or a field gets it back.
        ("earer {admin}", format!("earer {ADMIN_TOKEN}")),
        ("\ntoken={admin}", format!("\ntoken={ADMIN_TOKEN}")),
        ("{invite}", house.invites[0].clone()),
        ("{invite-2}", house.invites[1].clone()),
        ("{session}", house.session.clone()),
        ("{form}", house.form_token.clone()),
    ]
}

fn filled(house: &House, input: &[u8]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for (name, value) in passes(house) {
        while let Some(at) = bytes.windows(name.len()).position(|window| window == name.as_bytes()) {
            bytes.splice(at..at + name.len(), value.bytes());
        }
    }
    bytes
}

fn request(bytes: &[u8]) -> Option<(bool, Request)> {
    let mut rest = bytes;
    let mut line = || {
        let at = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let (line, after) = rest.split_at(at);
        rest = after.get(1..).unwrap_or_default();
        line.trim_ascii_end()
    };
    let mut words = line().split(|byte| *byte == b' ');
    let is_admin = words.next()? == b"admin";
    let method = Method::from_bytes(words.next()?).ok()?;
    let mut request = Request::builder().method(method).uri(words.next()?);
    loop {
        let line = line();
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = header(line) {
            request = request.header(name, value);
        }
    }
    Some((is_admin, request.body(Body::from(rest.to_vec())).ok()?))
}
