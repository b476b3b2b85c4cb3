//! What the aggregators announce reaches the store without any schedule, and shows on the dashboard.

use passbook::sandbox::{NewTransaction, Served};
use serde_json::json;

use crate::driver::browse;
use crate::house::{EUROPE, House, US, ask};

#[test]
fn what_the_aggregators_announce_arrives_and_shows() {
    browse(async |browser| {
        let house = House::open(1).await;
        house.until_all_are_active(2).await;
        let said = house.run(&["webhooks", "register", "--source", US]);
        assert!(said.contains(&house.public), "{said}");
        let bank = &house.bank;
        for link in bank.truth().links {
            let account = link.accounts.iter().find(|account| account.data_access).expect("an account").id;
            let row = NewTransaction::posted(-4_210, "BROWSER TEST").at(bank.now());
            bank.add_transaction(account, row);
            match link.served {
                // Somebody else has the bank read.
                Served::Truv => {
                    let headers =
                        [("x-access-client-id", bank.truv_client_id()), ("x-access-secret", bank.truv_secret())];
                    let body = json!({"access_token": link.access_token, "product_type": "transactions"});
                    ask(&house.bank_origin, "/v1/refresh/tasks/", &headers, body).await;
                }
                Served::Bridge => bank.refresh_item(link.id),
            }
        }
        let arrived = "SELECT count(*) FROM v_transactions WHERE amount_minor = -4210";
        house.until(arrived, "2").await;
        house.until_all_are_active(2).await;
        house.assert_store_is_truth();
        house.log_in(browser).await;
        for source in [US, EUROPE] {
            let card = browser.text(&format!("#{source}")).await;
            assert!(card.contains("Webhooks") && card.contains("Waiting"), "{card}");
            let sql = format!(
                "SELECT w.link_id FROM webhook_events w JOIN sources s USING (source_id)
                 WHERE s.name = '{source}' AND w.outcome = 'applied' AND w.link_id IS NOT NULL LIMIT 1"
            );
            let link_id = &house.rows(&sql)[0][0];
            browser.goto(&format!("{}/links/{link_id}", house.admin)).await;
            assert_eq!(browser.text("#events").await, "Latest webhook events");
            browser.goto(&house.admin).await;
        }
        browser.shoot("dashboard-webhooks").await;
    });
}
