//! Categories, providers and stocks.

use std::time::Duration;

use passbook::sandbox::{NewAccount, NewStock};
use serde_json::json;

use crate::bench::{Bench, instant};

#[tokio::test(start_paused = true)]
async fn categories_have_two_levels_and_two_languages() {
    let bench = Bench::new();
    let list = bench.get("", "/v3/aggregation/categories?limit=500").await.rows();
    let food = list.iter().find(|category| category["id"] == 160).expect("food");
    assert_eq!(food["name"], "Alimentation & Restauration");
    assert_eq!(food["categories"].as_array().map(Vec::len), Some(2));
    let mut request = bench.request("GET", "/v3/aggregation/categories/83", "", None);
    request.headers_mut().insert("accept-language", "en".parse().expect("a value"));
    let one = bench.send(request).await.expect("a body").json();
    assert_eq!(one, json!({"resources": [{"id": 83, "name": "Restaurants", "parent_id": 160}]}));
    assert_eq!(bench.get("", "/v3/aggregation/categories/4711").await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn providers_are_outside_aggregation() {
    let bench = Bench::new();
    let list = bench.get("", "/v3/providers?limit=10").await;
    let rest = bench.get("", &list.next().expect("a next page")).await;
    assert_eq!((list.rows().len(), rest.rows().len()), (10, 4));
    assert_eq!(bench.get("", "/v3/providers?country_code=ES,DE").await.rows().len(), 2);
    assert_eq!(bench.get("", "/v3/providers?country_code=ES&country_code=DE").await.rows().len(), 2);
    assert_eq!(bench.get("", "/v3/providers?capabilities=aggregation,bulk_transfer").await.rows().len(), 0);
    let demo = bench.get("", "/v3/providers/574").await.json();
    assert_eq!((&demo["name"], &demo["country_code"]), (&json!("Demo Bank"), &json!("FR")));
    assert_eq!(demo["health_status"]["aggregation"]["status"], "healthy");
    bench.sandbox.set_provider_disabled(574, true);
    let demo = bench.get("", "/v3/providers/574").await.json();
    assert_eq!(demo["health_status"]["aggregation"]["status"], "unavailable");
    assert_eq!(bench.get("", "/v3/aggregation/providers").await.status, 404);
    // A bank that a script named by a word.
    let user = bench.sandbox.add_user("customer-1");
    bench.sandbox.add_link(user, "chase");
    assert_eq!(bench.get("", "/v3/providers/9001").await.json()["name"], "chase");
}

#[tokio::test(start_paused = true)]
async fn stocks_are_priced_and_sold() {
    let bench = Bench::new();
    let small = bench.small_link(0).await;
    let new = NewAccount { kind: "INVESTMENT".to_owned(), ..NewAccount::checking("Titres", 0).currency("EUR") };
    let account = bench.sandbox.add_account(small.link, new);
    let stock = bench.sandbox.add_stock(
        account,
        NewStock {
            label: "Société".to_owned(),
            isin: "FR0000120000".to_owned(),
            ticker: "SOC".to_owned(),
            quantity_thousandths: 2_500,
            price_minor: 10_000,
            cost_minor: 9_050,
        },
    );
    let path = "/v3/aggregation/stocks";
    let row = bench.get(&small.token, path).await.rows()[0].clone();
    assert_eq!((row["id"].to_string(), row["account_id"].to_string()), (stock.to_string(), account.to_string()));
    assert_eq!((&row["quantity"], &row["total_value"]), (&json!(2.5), &json!(250)));
    assert_eq!((&row["average_purchase_price"], &row["deleted"]), (&json!(90.5), &json!(false)));
    bench.sandbox.price_stock(stock, 12_000);
    tokio::time::sleep(Duration::from_secs(1)).await;
    bench.sandbox.refresh_item(small.link);
    let one = bench.get(&small.token, &format!("{path}/{stock}")).await.json();
    assert_eq!((&one["current_price"], instant(&one["updated_at"])), (&json!(120), bench.sandbox.now()));
    bench.sandbox.sell_stock(stock);
    tokio::time::sleep(Duration::from_secs(1)).await;
    bench.sandbox.refresh_item(small.link);
    assert_eq!(bench.get(&small.token, path).await.rows().len(), 0);
    assert_eq!(bench.get(&small.token, &format!("{path}/{stock}")).await.status, 404);
    let gone = bench.get(&small.token, &format!("{path}?since=2026-03-10T12:00:01Z&account_id={account}")).await.rows();
    assert_eq!((gone.len(), &gone[0]["deleted"]), (1, &json!(true)));
    assert_eq!(bench.get(&small.token, &format!("{path}?since=2026-03-10T12:00:02Z")).await.rows().len(), 0);
}
