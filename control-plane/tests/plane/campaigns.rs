//! Campaigns over REST.

use control_plane::Scope;
use serde_json::{Value, json};

use crate::support::{Centre, read};

fn body(starts_on: &str, ends_on: Option<&str>, free_months: u32) -> Value {
    json!({"name": "最大1か月無料", "starts_on": starts_on, "ends_on": ends_on,
        "free_months": free_months})
}

#[tokio::test]
async fn s61_s72_versions_of_the_campaign_are_added_and_listed() {
    let (_folder, centre) = Centre::running().await;
    let (status, first) = centre.json("POST", "/v1/campaigns", body("2026-01-01", None, 1)).await;
    assert_eq!((status, &first["version"], &first["in_force"]), (201, &1.into(), &true.into()));
    assert_eq!(first["ends_on"], Value::Null);
    let ahead = body("2999-01-01", Some("2999-12-31"), 2);
    let (status, second) = centre.json("POST", "/v1/campaigns", ahead).await;
    assert_eq!((status, &second["version"], &second["in_force"]), (201, &2.into(), &false.into()));
    assert_eq!(second["ends_on"], "2999-12-31");
    // One without free months stops the campaign.
    let (status, third) = centre.json("POST", "/v1/campaigns", body("2026-07-01", None, 0)).await;
    assert_eq!((status, &third["in_force"]), (201, &true.into()), "{third}");

    let (status, page) = centre.get("/v1/campaigns?limit=2").await;
    assert_eq!((status, page["items"].as_array().unwrap().len()), (200, 2));
    assert_eq!(page["items"][0]["in_force"], false);
    let next = page["next"].as_str().unwrap();
    let (_, page) = centre.get(&format!("/v1/campaigns?limit=2&cursor={next}")).await;
    assert_eq!((&page["items"][0]["version"], &page["next"]), (&3.into(), &Value::Null));
    let (status, shown) = centre.get("/v1/campaigns/2").await;
    assert_eq!((status, shown), (200, second));
    for (path, status) in [("4", 404), ("0", 404), ("x", 400)] {
        assert_eq!(centre.get(&format!("/v1/campaigns/{path}")).await.0, status, "{path}");
    }
    centre.stop().await;
}

#[tokio::test]
async fn a_campaign_that_cannot_be_so_is_refused_by_its_field() {
    let (_folder, centre) = Centre::running().await;
    let table = [
        (body("2026-02-30", None, 1), "starts_on"),
        (body("20260701", None, 1), "starts_on"),
        (body("2026-07-01", Some("31 July"), 1), "ends_on"),
        (body("2026-07-01", Some("2026-06-30"), 1), "ends_on"),
        (body("2026-07-01", None, 13), "free_months"),
        (json!({"name": " ", "starts_on": "2026-07-01", "free_months": 1}), "name"),
    ];
    for (body, field) in table {
        let (status, problem) = centre.json("POST", "/v1/campaigns", body).await;
        assert_eq!((status, &problem["field"]), (422, &field.into()), "{problem}");
    }
    centre.stop().await;
}

#[tokio::test]
async fn campaigns_need_their_scope() {
    let (_folder, centre) = Centre::running().await;
    let keys = centre.plane.keys();
    let (_, secret) = keys.create_key("reader", &[Scope::BillingRead]).await.unwrap();
    for (method, wanted) in [("GET", 200), ("POST", 403)] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = centre.http.request(method, format!("{}/v1/campaigns", centre.url));
        let sent = request.header("authorization", format!("Bearer {secret}")).send().await;
        assert_eq!(read(sent.unwrap()).await.0, wanted);
    }
    centre.stop().await;
}
