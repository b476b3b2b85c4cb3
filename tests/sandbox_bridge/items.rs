//! Items and accounts: how refreshes end, and what readers see of it.

use std::time::Duration;

use jiff::SignedDuration;
use passbook::sandbox::{DeferredDebit, NewAccount, NewTransaction};
use serde_json::{Value, json};

use crate::bench::{Bench, instant};

const ITEMS: &str = "/v3/aggregation/items";
const ACCOUNTS: &str = "/v3/aggregation/accounts";

/// Status and detail of the only item.
async fn status(bench: &Bench, token: &str) -> (i64, String) {
    let item = bench.get(token, ITEMS).await.rows()[0].clone();
    (item["status"].as_i64().expect("a status"), item["status_code_info"].as_str().expect("a detail").to_owned())
}

#[tokio::test(start_paused = true)]
async fn an_item_tells_its_state_in_two_languages() {
    let bench = Bench::new();
    let small = bench.small_link(1).await;
    let item = bench.get(&small.token, ITEMS).await.rows()[0].clone();
    assert_eq!(
        item,
        json!({
            "id": small.link.to_string().parse::<u64>().expect("a number"), "provider_id": 574, "status": 0,
            "status_code_info": "ok", "status_code_description": "Votre connexion fonctionne.",
            "account_types": "payment", "created_at": "2026-03-10T12:00:00.000Z",
            "last_successful_refresh": "2026-03-10T12:00:00.000Z", "last_try_refresh": "2026-03-10T12:00:00.000Z",
            "authentication_expires_at": "2026-09-06T12:00:00.000Z",
        })
    );
    let path = format!("{ITEMS}/{}", small.link);
    let mut request = bench.request("GET", &path, &small.token, None);
    request.headers_mut().insert("accept-language", "en-GB".parse().expect("a value"));
    let english = bench.send(request).await.expect("a body").json();
    assert_eq!(english["status_code_description"], "Your connection works.");
    assert_eq!(bench.get(&small.token, &format!("{ITEMS}/4711")).await.status, 404);
    for refresh in [format!("{path}/refresh"), format!("{path}/refresh/status")] {
        assert_eq!(bench.post(&small.token, &refresh, json!({})).await.status, 404);
        let empty = bench.request("POST", &refresh, &small.token, None);
        assert_eq!(bench.send(empty).await.expect("a body").status, 404);
    }
    assert_eq!(bench.delete(&small.token, &path).await.status, 204);
    assert_eq!(bench.get(&small.token, &path).await.status, 404);
    assert_eq!(bench.get(&small.token, ITEMS).await.rows().len(), 0);
    assert_eq!(bench.walk(&small.token, "").await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn refreshes_end_as_scripted_and_keep_the_last_data() {
    let bench = Bench::new();
    let small = bench.small_link(1).await;
    assert_eq!(status(&bench, &small.token).await, (0, "ok".to_owned()));
    bench.sandbox.add_transaction(small.account, NewTransaction::posted(-5, "NEW"));
    bench.sandbox.script_item(small.link, "1003.402_WRONG_PWD.1005_CLOSED_ACCOUNT.success");
    for (expected, rows) in
        [((1003, "cnt_crash"), 1), ((402, "wrong_pwd"), 1), ((1005, "closed_account"), 1), ((0, "ok"), 2)]
    {
        tokio::time::sleep(Duration::from_secs(1)).await;
        bench.sandbox.refresh_item(small.link);
        assert_eq!(status(&bench, &small.token).await, (expected.0, expected.1.to_owned()));
        assert_eq!(bench.walk(&small.token, "").await.len(), rows);
        let account = bench.get(&small.token, ACCOUNTS).await.rows()[0].clone();
        assert_eq!(account["last_refresh_status"], if expected.0 == 0 { "successful" } else { "failed" });
        let item = bench.get(&small.token, ITEMS).await.rows()[0].clone();
        assert_eq!(instant(&item["last_try_refresh"]), bench.sandbox.now());
        let is_fresh = instant(&account["updated_at"]) >= instant(&item["last_try_refresh"]);
        assert_eq!(is_fresh, expected.0 == 0);
    }
    for (word, expected) in [
        ("login_error", (402, "invalid_creds")),
        ("mfa_error", (1010, "otp_required")),
        ("unavailable", (1003, "cnt_crash")),
        ("account_locked", (402, "account_blocked")),
        ("not_supported", (1005, "otp_not_supported")),
        ("1007", (1007, "disabled_temporarily")),
        ("429_KYC_TO_FILL", (429, "kyc_to_fill")),
    ] {
        bench.sandbox.break_login(small.link, word);
        bench.sandbox.refresh_item(small.link);
        assert_eq!(status(&bench, &small.token).await, (expected.0, expected.1.to_owned()), "{word}");
    }
    bench.sandbox.heal_login(small.link);
    bench.sandbox.refresh_item(small.link);
    let truth = &bench.sandbox.truth().links[0];
    assert_eq!((truth.status.as_str(), truth.status_info.as_deref()), ("0", Some("ok")));
}

#[tokio::test(start_paused = true)]
async fn bridge_refreshes_by_itself_and_notices_lapsed_consent_and_dead_connectors() {
    let bench = Bench::new();
    let small = bench.small_link(1).await;
    bench.walk(&small.token, "").await;
    bench.sandbox.add_transaction(small.account, NewTransaction::posted(-5, "NEW"));
    tokio::time::sleep(Duration::from_secs(12 * 3600 - 1)).await;
    let token = bench.token(small.user).await;
    assert_eq!(bench.walk(&token, "").await.len(), 1);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bench.walk(&token, "").await.len(), 2);
    bench.sandbox.set_consent_expiry(small.link, bench.sandbox.now() + SignedDuration::from_hours(1));
    bench.sandbox.set_provider_disabled(574, true);
    bench.sandbox.refresh_item(small.link);
    assert_eq!(status(&bench, &token).await.0, 1007);
    bench.sandbox.set_provider_disabled(574, false);
    tokio::time::sleep(Duration::from_hours(12)).await;
    let token = bench.token(small.user).await;
    assert_eq!(status(&bench, &token).await, (1010, "otp_required".to_owned()));
    // Off: nothing moves any more.
    bench.sandbox.set_consent_expiry(small.link, bench.sandbox.now() + SignedDuration::from_hours(100));
    bench.sandbox.settings(|settings| settings.bridge.refresh_every = None);
    tokio::time::sleep(Duration::from_hours(24)).await;
    let token = bench.token(small.user).await;
    assert_eq!(status(&bench, &token).await.0, 1010);
    bench.sandbox.settings(|settings| settings.bridge.refresh_every = Some(Duration::from_secs(30)));
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(status(&bench, &token).await.0, 0);
}

#[tokio::test(start_paused = true)]
async fn a_locked_business_item_hides_what_is_sensitive() {
    let bench = Bench::new();
    let small = bench.small_link(1).await;
    bench.sandbox.set_business(small.account, true);
    bench.sandbox.refresh_item(small.link);
    let (before, account) = (bench.walk(&small.token, "").await, bench.get(&small.token, ACCOUNTS).await.rows());
    assert_eq!((&account[0]["pro"], &account[0]["name"]), (&json!(true), &json!("Main")));
    bench.sandbox.set_item_status(small.link, 1100);
    assert_eq!(status(&bench, &small.token).await, (1100, "pro_account_locked".to_owned()));
    let hidden = bench.walk(&small.token, "").await[0].clone();
    assert_eq!((&hidden["clean_description"], &hidden["provider_description"]), (&json!("XXXX"), &json!("XXXX")));
    assert_eq!(hidden["amount"], before[0]["amount"]);
    let account = bench.get(&small.token, &format!("{ACCOUNTS}/{}", small.account)).await.json();
    assert_eq!((&account["name"], &account["iban"]), (&json!("XXXX"), &json!("XXXX")));
    bench.sandbox.refresh_item(small.link);
    assert_eq!(bench.walk(&small.token, "").await, before);
}

#[tokio::test(start_paused = true)]
async fn accounts_close_reopen_and_are_shared_or_not() {
    let bench = Bench::new();
    let small = bench.small_link(2).await;
    let loan = bench.sandbox.add_account(
        small.link,
        NewAccount { kind: "LOAN".to_owned(), ..NewAccount::checking("Prêt", -14_020_000).currency("EUR") },
    );
    let accounts = bench.get(&small.token, ACCOUNTS).await.rows();
    assert_eq!((accounts.len(), &accounts[1]["type"]), (2, &json!("loan")));
    assert_eq!(accounts[1]["loan_details"]["remaining_capital"], 140_200);
    assert_eq!(accounts[1]["iban"], Value::Null);
    let item = bench.get(&small.token, ITEMS).await.rows()[0].clone();
    assert_eq!(item["account_types"], "all");
    let iban = accounts[0]["iban"].as_str().expect("an IBAN").to_owned();
    assert!(iban.starts_with("FR") && iban.len() == 27, "{iban}");
    assert_eq!(bench.sandbox.truth().links[0].accounts[0].iban.as_deref(), Some(&*iban));
    bench.sandbox.set_data_access(small.account, false);
    let closed = bench.get(&small.token, &format!("{ACCOUNTS}/{}", small.account)).await.json();
    assert_eq!(closed["data_access"], "disabled");
    assert!(["balance", "accounting_balance", "instant_balance", "iban"].iter().all(|name| closed.get(name).is_none()));
    assert_eq!(bench.walk(&small.token, "").await.len(), 0);
    bench.sandbox.set_data_access(small.account, true);
    assert_eq!(bench.walk(&small.token, "").await.len(), 2);
    bench.sandbox.close_account(small.account);
    assert_eq!(bench.get(&small.token, ACCOUNTS).await.rows().len(), 2);
    bench.sandbox.refresh_item(small.link);
    let left = bench.get(&small.token, &format!("{ACCOUNTS}?item_id={}", small.link)).await.rows();
    assert_eq!((left.len(), left[0]["id"].to_string()), (1, loan.to_string()));
    assert_eq!(bench.walk(&small.token, "since=2020-01-01").await.len(), 0);
    bench.sandbox.reopen_account(small.account);
    bench.sandbox.refresh_item(small.link);
    assert_eq!(bench.walk(&small.token, "").await.len(), 2);
    assert_eq!(bench.get(&small.token, &format!("{ACCOUNTS}?item_id=1")).await.rows().len(), 0);
    bench.sandbox.set_stalled(small.account, true);
    tokio::time::sleep(Duration::from_secs(1)).await;
    bench.sandbox.refresh_item(small.link);
    let accounts = bench.get(&small.token, ACCOUNTS).await.rows();
    assert_eq!(accounts[0]["last_refresh_status"], "failed");
    assert_eq!(accounts[1]["last_refresh_status"], "successful");
}

#[tokio::test(start_paused = true)]
async fn a_bank_connected_again_has_new_ids_and_the_same_ibans() {
    let bench = Bench::new();
    let small = bench.small_link(3).await;
    let again = bench.sandbox.readd_link(small.link);
    assert_ne!(again, small.link);
    let accounts = bench.get(&small.token, ACCOUNTS).await.rows();
    assert_eq!((accounts.len(), &accounts[0]["iban"]), (2, &accounts[1]["iban"]));
    assert_ne!(accounts[0]["id"], accounts[1]["id"]);
    let rows = bench.walk(&small.token, "").await;
    assert_eq!(rows.len(), 6);
    bench.sandbox.delete_link(small.link);
    let rows = bench.walk(&small.token, "").await;
    assert!(rows.len() == 3 && rows.iter().all(|row| row["account_id"] == accounts[1]["id"]));
    bench.sandbox.delete_user(small.user);
    assert_eq!(bench.get(&small.token, ITEMS).await.status, 401);
}

#[tokio::test(start_paused = true)]
async fn a_deferred_debit_month_has_purchases_and_one_compensation() {
    for (booked, on_card, on_checking) in
        [(DeferredDebit::OnCard, 1, 0), (DeferredDebit::OnChecking, 0, 1), (DeferredDebit::OnBoth, 1, 1)]
    {
        let bench = Bench::new();
        let small = bench.small_link(0).await;
        let card = bench.sandbox.add_account(small.link, NewAccount::credit_card("Carte", 0).currency("EUR"));
        bench.sandbox.deferred_debit_month(card, small.account, booked);
        let count = async |account: String, operation: &str| {
            let rows = bench.walk(&small.token, &format!("account_id={account}")).await;
            rows.iter().filter(|row| row["operation_type"] == operation).count()
        };
        assert_eq!(count(card.to_string(), "card").await, 3);
        assert_eq!(count(card.to_string(), "deferred_debit_card").await, on_card);
        assert_eq!(count(small.account.to_string(), "deferred_debit_card").await, on_checking);
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_is_put_into_another_category() {
    let bench = Bench::new();
    let small = bench.small_link(1).await;
    assert_eq!(bench.walk(&small.token, "").await[0]["category_id"], 1);
    for (word, id) in [("Travel", 249), ("270", 270)] {
        bench.sandbox.recategorise(small.txns[0], word);
        tokio::time::sleep(Duration::from_secs(1)).await;
        bench.sandbox.refresh_item(small.link);
        let row = bench.walk(&small.token, "").await[0].clone();
        assert_eq!((row["category_id"].as_i64(), instant(&row["updated_at"])), (Some(id), bench.sandbox.now()));
    }
}
