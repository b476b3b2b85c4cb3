//! Signatures and what webhooks of every generation say.

use super::*;

const BODY: &[u8] = br#"{"content":{"item_id":1,"user_uuid":"u"},"timestamp":1612782588323,"type":"item.created"}"#;
/// Source: upstream/bridge.md section 12.4.
const VECTOR: &str = "2761BD7FD7FA676AC5DA25D9C4A82CEF1AFE20DA18C6AD0FBD71722A9FD35D4F";
const HEADER: &str = "bridgeapi-signature";

fn secrets(texts: &[&str]) -> Vec<Secret> {
    texts.iter().map(|text| Secret::new(*text)).collect()
}

fn check(texts: &[&str], lines: &[&str], body: &[u8]) -> Result<(), SignatureError> {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(HEADER, line.parse().expect("a header"));
    }
    verify(&headers, HEADER, &secrets(texts), body)
}

#[test]
fn the_documented_signature_is_accepted_in_either_case() {
    for digits in [VECTOR.to_owned(), VECTOR.to_ascii_lowercase()] {
        assert_eq!(check(&["whsec_test"], &[&format!("v1={digits}")], BODY), Ok(()));
    }
}

#[test]
fn while_a_secret_is_replaced_either_of_two_secrets_and_two_signatures_counts() {
    let (right, wrong) = (format!("v1={VECTOR}"), format!("v1={}", "0".repeat(64)));
    for line in [format!("{right},{wrong}"), format!("{wrong}, {right}"), right.clone()] {
        for secrets in [["whsec_test", "newer"], ["older", "whsec_test"]] {
            assert_eq!(check(&secrets, &[&line], BODY), Ok(()), "{line}");
        }
    }
    assert_eq!(check(&["whsec_test"], &[&wrong, &right], BODY), Ok(()), "two header lines");
}

#[test]
fn nothing_but_a_whole_signature_of_the_right_scheme_counts() {
    let cases: [(&[&str], SignatureError); 11] = [
        (&[], SignatureError::Missing),
        (&[""], SignatureError::Unreadable),
        (&[VECTOR], SignatureError::Unreadable),
        (&["v1="], SignatureError::Unreadable),
        (&[&format!("v0={VECTOR}")], SignatureError::Unreadable),
        (&[&format!("v2={VECTOR}")], SignatureError::Unreadable),
        (&[&format!("v1={}", &VECTOR[..62])], SignatureError::Unreadable),
        (&[&format!("v1={VECTOR}00")], SignatureError::Unreadable),
        (&[&format!("v1={}zz", &VECTOR[..62])], SignatureError::Unreadable),
        (&[&format!("v0={VECTOR},v1={}", "0".repeat(64))], SignatureError::Wrong),
        (&[&format!("v1={}00", &VECTOR[..62])], SignatureError::Wrong),
    ];
    for (lines, error) in cases {
        assert_eq!(check(&["whsec_test"], lines, BODY), Err(error), "{lines:?}");
    }
    let right = format!("v1={VECTOR}");
    assert_eq!(check(&["whsec_other"], &[&right], BODY), Err(SignatureError::Wrong));
    assert_eq!(check(&["whsec_test"], &[&right], &BODY[..88]), Err(SignatureError::Wrong));
    assert_eq!(check(&[], &[&right], BODY), Err(SignatureError::NoSecret));
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

fn link(id: &str) -> String {
    id.to_owned()
}

#[test]
fn every_generation_of_truvs_events_is_read() {
    let status = |task: &str, status: &str, link: Option<String>| News::RefreshStatus {
        task: task.to_owned(),
        status: status.to_owned(),
        link,
    };
    let newest = r#"{"webhook_id":"488f","event_type":"task-status-updated","event_created_at":"2022-08-24T13:55:12.845645Z",
        "updated_at":"2022-08-24T13:55:12.845666+00:00","task_id":"5214","link_id":"d39d","product":"transactions",
        "data_source":"financial_accounts","tracking_info":null,"status":"done","user_id":"88fe","template_id":null}"#;
    let oldest = r#"{"webhook_id":"1","event_type":"task-status-updated","updated_at":"2021-08-24T13:55:12.845666+00:00",
        "task_id":"5214","link_id":"d39d","product":"transactions","tracking_info":null,"status":"login"}"#;
    let cases = [
        (
            newest,
            Some(at("2022-08-24T13:55:12.845645Z")),
            Some(link("88fe")),
            status("5214", "done", Some(link("d39d"))),
        ),
        (oldest, Some(at("2021-08-24T13:55:12.845666Z")), None, status("5214", "login", Some(link("d39d")))),
        (r#"{"event_type":"link-connected","link_id":"d"}"#, None, None, News::LinkChanged { link: Some(link("d")) }),
        (r#"{"event_type":"link-deleted","user_id":"u"}"#, None, Some(link("u")), News::LinkChanged { link: None }),
        (r#"{"event_type":"link-deleted","link_id":"d","data_source":"payroll"}"#, None, None, News::Nothing),
        (
            r#"{"event_type":"task-status-updated","link_id":"d"}"#,
            None,
            None,
            News::LinkChanged { link: Some(link("d")) },
        ),
        (r#"{"event_type":"order-status-updated","link_id":null,"status":"expired"}"#, None, None, News::Nothing),
        (r#"{"event_type":"what-comes-next","updated_at":17}"#, None, None, News::Nothing),
        ("{}", None, None, News::Nothing),
    ];
    for (body, announced_at, user, news) in cases {
        let read = truv::read_webhook(body.as_bytes()).expect(body);
        assert_eq!((read.announced_at, read.user, read.news), (announced_at, user, news), "{body}");
    }
}

#[test]
fn every_generation_of_bridges_events_is_read() {
    let read_link = || News::LinkRead { link: "7".to_owned() };
    let changed = || News::LinkChanged { link: Some(link("7")) };
    let cases = [
        ("item.created", changed()),
        ("ITEM_CREATED", changed()),
        ("item.deleted", changed()),
        ("item.refreshed", read_link()),
        ("ITEM_REFRESHED", read_link()),
        ("item.account.created", read_link()),
        ("item.account.updated", read_link()),
        ("item.account.deleted", read_link()),
        ("ACCOUNT_UPDATED", read_link()),
        ("user.deleted", News::UserDeleted),
        ("TEST_EVENT", News::Nothing),
        ("payment.transaction.created", News::Nothing),
        ("item.what.comes.next", News::Nothing),
    ];
    for (name, news) in cases {
        let body = format!(r#"{{"content":{{"item_id":7,"user_uuid":"u","status_code":0}},"type":"{name}"}}"#);
        let read = bridge::read_webhook(body.as_bytes()).expect(name);
        assert_eq!((read.user, read.news, read.event_type.as_str()), (Some(link("u")), news, name));
    }
    for (timestamp, expected) in [
        ("1612782588323", Some(at("2021-02-08T11:09:48.323Z"))),
        ("1612782588", Some(at("2021-02-08T11:09:48Z"))),
        ("\"soon\"", None),
        ("null", None),
    ] {
        let body = format!(r#"{{"timestamp":{timestamp},"type":"item.refreshed"}}"#);
        let read = bridge::read_webhook(body.as_bytes()).expect("an object");
        assert_eq!((read.announced_at, read.news), (expected, News::LinkChanged { link: None }));
    }
}

#[test]
fn what_is_no_object_is_no_webhook() {
    for body in ["", "null", "[]", r#"["task-status-updated"]"#, "{", "\"text\"", "{\"a\":1}x", "\u{feff}{}"] {
        assert_eq!(truv::read_webhook(body.as_bytes()), None, "{body}");
        assert_eq!(bridge::read_webhook(body.as_bytes()), None, "{body}");
    }
    assert_eq!(bridge::read_webhook(b"{\"type\":\"\xff\"}"), None);
    assert_eq!(truv::read_webhook(b"{\"event_type\":\"\xff\"}"), None);
}

#[test]
fn a_tasks_words_follow_each_other() {
    let words = ["new", "login", "mfa", "parse", "full_parse", "done"];
    for (earlier, word) in words.iter().enumerate() {
        for (later, other) in words.iter().enumerate() {
            assert_eq!(truv::stage(other) > truv::stage(word), later > earlier, "{word} {other}");
        }
    }
    assert_eq!(truv::stage("base_parse"), truv::stage("parse"));
    assert!(truv::stage("unheard_of") < truv::stage("new"));
}
