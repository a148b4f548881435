//! Campaigns over REST.

use control_plane::Scope;
use serde_json::{Value, json};

use crate::support::Centre;

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
        let answer = centre.with(&secret).json(method, "/v1/campaigns", Value::Null).await;
        assert_eq!(answer.0, wanted);
    }
    centre.stop().await;
}

/// S58–S61, S72: what was granted at the application stays when the campaign stops, and the bill of
/// the month says so.
#[tokio::test]
async fn s58_s61_s72_an_application_is_free_to_the_months_end_and_stays_so() {
    let (_folder, centre) = Centre::running().await;
    assert_eq!(centre.json("POST", "/v1/campaigns", body("2020-01-01", None, 1)).await.0, 201);
    let apply = async |line: &str| {
        let wishes = json!({"line": line, "kind": "individual", "email": "user@example.jp"});
        let (status, contract) = centre.json("POST", "/v1/contracts", wishes).await;
        assert_eq!(status, 201, "{contract}");
        contract
    };
    let granted = apply("+819012345678").await;
    let applied_on: jiff::civil::Date = granted["applied_on"].as_str().unwrap().parse().unwrap();
    let last = applied_on.last_of_month().to_string();
    assert_eq!((&granted["free_until"], &granted["campaign_version"]), (&json!(last), &json!(1)));
    assert_eq!(centre.json("POST", "/v1/campaigns", body("2020-01-01", None, 0)).await.0, 201);
    let later = apply("+819012345679").await;
    assert_eq!(later["free_until"], Value::Null);
    let path = format!("/v1/contracts/{}", granted["id"].as_str().unwrap());
    assert_eq!(centre.get(&path).await.1["free_until"], granted["free_until"]);

    let month = &last[..7];
    let (_, bill) = centre.get(&format!("/v1/billing/months/{month}")).await;
    let lines = bill["lines"].as_array().unwrap();
    let of = |contract: &Value| lines.iter().find(|line| line["contract"] == contract["id"]);
    assert_eq!(of(&granted).unwrap()["status"], "free");
    assert_eq!(of(&later).unwrap()["total_yen"], 319);
    centre.stop().await;
}
