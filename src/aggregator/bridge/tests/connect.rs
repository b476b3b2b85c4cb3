//! Users and connect sessions. Sections 5 and 7.

use url::Url;

use super::*;
use crate::aggregator::connect::{Beginning, Begun, Customer, Repair, Returned, Stopped};
use crate::model::Attention;

const USERS: &str = "POST /v3/aggregation/users";
const SESSIONS: &str = "POST /v3/aggregation/connect-sessions";

fn session(url: &str) -> (u16, Value) {
    (200, json!({"id": "s-1", "url": url}))
}

/// What is begun: a new connection, or the repair of a link.
#[derive(Clone, Copy)]
enum Wish {
    New,
    Repair(Option<Attention>),
}

async fn begin(bridge: &Bridge, wish: Wish) -> Result<String, CallError> {
    let callback: Url = "https://bank.test/connect/invite/return/fr".parse().expect("a URL");
    let email = Secret::new("a@example.com");
    let context_word = Secret::new("0123456789abcdef");
    let beginning = Beginning {
        user: "u-1",
        email: Some(&email).filter(|_| matches!(wish, Wish::New)),
        repair: match wish {
            Wish::New => None,
            Wish::Repair(attention) => Some(Repair { link: "10000001", access_token: None, attention }),
        },
        language: "fr",
        callback: &callback,
        context: &context_word,
    };
    match bridge.begin_connection(&context(), &beginning).await? {
        Begun::Hosted { url } => Ok(url.into()),
        Begun::Widget { .. } => panic!("a widget"),
    }
}

async fn user(bridge: &Bridge, known_as: Option<&str>) -> Result<String, CallError> {
    let customer = Customer { external_id: "customer-1", known_as, first_name: None, last_name: None };
    bridge.find_or_make_user(&context(), &customer).await.map(|user| user.upstream_id)
}

/// Section 7.1.
#[tokio::test(start_paused = true)]
async fn a_session_is_asked_for_with_the_documented_fields() {
    let stand = Stand::default();
    stand.on(SESSIONS, [session("https://connect.test/session/s-1")]);
    let (bridge, _) = stand.bridge();
    for (wish, more) in [
        (Wish::New, json!({"user_email": "a@example.com"})),
        (Wish::Repair(None), json!({"item_id": 10_000_001})),
        (Wish::Repair(Some(Attention::Login)), json!({"item_id": 10_000_001})),
        (Wish::Repair(Some(Attention::SecondFactor)), json!({"item_id": 10_000_001, "force_reauthentication": true})),
    ] {
        assert_eq!(begin(&bridge, wish).await.expect("a session"), "https://connect.test/session/s-1");
        let mut expected = json!({
            "callback_url": "https://bank.test/connect/invite/return/fr", "context": "0123456789abcdef",
            "account_types": "all",
        });
        expected.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let seen = stand.seen().pop().expect("a request");
        assert_eq!((seen.target.as_str(), &seen.body), (SESSIONS, &expected));
        assert_eq!(seen.headers["authorization"], "Bearer token-1");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_renewed_once_and_nothing_else_is_sent_again() {
    let stand = Stand::default();
    stand.on(SESSIONS, [(401, errors("invalid_token")), session("https://connect.test/1")]);
    let (bridge, _) = stand.bridge();
    begin(&bridge, Wish::New).await.expect("a session");
    assert_eq!((stand.count(SESSIONS), stand.count(TOKEN)), (2, 2));
    stand.on(SESSIONS, [(500, errors("down"))]);
    assert!(matches!(begin(&bridge, Wish::New).await, Err(CallError::OutcomeUnknown(_))));
    assert_eq!(stand.count(SESSIONS), 3);
    stand.on(SESSIONS, [(404, errors("not_found"))]);
    assert!(matches!(begin(&bridge, Wish::New).await, Err(CallError::Gone(_))));
}

#[tokio::test(start_paused = true)]
async fn customers_are_sent_nowhere_but_over_https() {
    let urls = [
        ("https://connect.test/1", true, true),
        ("http://127.0.0.1:7/1", false, true),
        ("http://localhost/1", false, true),
        ("http://connect.test/1", false, false),
        ("https://user:secret@connect.test/1", false, false),
        ("javascript:alert(1)", false, false),
        ("data:text/html,x", false, false),
        ("/session/1", false, false),
        ("", false, false),
    ];
    for (url, from_afar, from_here) in urls {
        for (origin, expected) in [("https://bridge.test", from_afar), ("http://127.0.0.1:1", from_here)] {
            let stand = Stand::default();
            stand.on(SESSIONS, [session(url)]);
            let (bridge, _) = stand.bridge_at(origin);
            let begun = begin(&bridge, Wish::New).await;
            assert_eq!(begun.is_ok(), expected, "{url} from {origin}");
            assert!(expected || matches!(begun, Err(CallError::Malformed { .. })), "{url}");
        }
    }
}

/// Section 5.
#[tokio::test(start_paused = true)]
async fn a_customer_is_found_or_made_once() {
    let made = || (201, json!({"uuid": "u-1", "external_user_id": "customer-1"}));
    let token = || (200, json!({"access_token": "t", "user": {"uuid": "u-1", "external_user_id": "customer-1"}}));
    let refused = || (409, errors("users.creation.already_exists_with_external_user_id"));
    for (answer, expected) in [(made(), 0), (refused(), 1), ((500, errors("down")), 1), ((201, json!([])), 1)] {
        let stand = Stand::default();
        stand.on(USERS, [answer.clone()]).on(TOKEN, [token()]);
        assert_eq!(user(&stand.bridge().0, None).await.expect("a user"), "u-1");
        assert_eq!((stand.count(USERS), stand.count(TOKEN)), (1, expected), "{answer:?}");
    }
    let stand = Stand::default();
    stand.on("GET /v3/aggregation/users/u-1", [(200, made().1)]);
    assert_eq!(user(&stand.bridge().0, Some("u-1")).await.expect("a user"), "u-1");
    assert_eq!(stand.count(USERS), 0);
    // Deleted since: somebody else now.
    stand.on(USERS, [(201, json!({"uuid": "u-2", "external_user_id": "customer-1"}))]);
    assert_eq!(user(&stand.bridge().0, Some("u-0")).await.expect("a user"), "u-2");
    // Never made, and never answered.
    let stand = Stand::default();
    stand.on(USERS, [(500, errors("down"))]).on(TOKEN, [(404, errors("not_found"))]);
    assert!(matches!(user(&stand.bridge().0, None).await, Err(CallError::OutcomeUnknown(_))));
    // Somebody else's.
    let stand = Stand::default();
    let other = json!({"access_token": "t", "user": {"uuid": "u-3", "external_user_id": "customer-3"}});
    stand.on(USERS, [refused()]).on(TOKEN, [(200, other)]);
    assert!(matches!(user(&stand.bridge().0, None).await, Err(CallError::Malformed { .. })));
}

/// Section 7.2.
#[test]
fn a_way_back_is_read_for_hints() {
    let query = "user_uuid=U-1&item_id=7&success=true&source=connect&context=c-1";
    let expected = Returned {
        context: Some(Secret::new("c-1")),
        user: Some("u-1".to_owned()),
        link: Some("7".to_owned()),
        stopped: None,
    };
    assert_eq!(read_return(query), expected);
    assert_eq!(read_return("uuid=u-1&success=true").user.as_deref(), Some("u-1"));
    for (query, stopped) in [
        ("success=false&step=bank_creds_form", Stopped::Login),
        ("success=false&step=otp_form", Stopped::SecondFactor),
        ("success=false&step=highlighted_banks", Stopped::Choosing),
        ("success=false&step=sync_pending", Stopped::Reading),
        ("success=false&step=sync_error", Stopped::Failed),
        ("success=false&step=pro_validation_form", Stopped::Confirmation),
        ("success=false&step=new_step", Stopped::Elsewhere),
        ("success=TRUE", Stopped::Elsewhere),
        ("", Stopped::Elsewhere),
        ("%ff%fe&&==&success", Stopped::Elsewhere),
    ] {
        assert_eq!(read_return(query).stopped, Some(stopped), "{query}");
    }
}
