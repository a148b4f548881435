//! Monthly billing over REST. Contracts of past months are put into the database as rows, since
//! the service itself dates applications now.

use control_plane::{PlaneConfig, Scope};
use reqwest::header::ACCEPT;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::support::{Centre, read};

const JULY: &str = "/v1/billing/months/2026-07";
const AUGUST: &str = "/v1/billing/months/2026-08";

fn id(contract: u32) -> String {
    format!("01980000-0000-7000-8000-{contract:012}")
}

/// A centre whose contracts 1 (free in July), 2 (corporate) and 3 (from August) applied in 2026.
async fn centre() -> (TempDir, Centre) {
    let (folder, centre) = Centre::running().await;
    let file = folder.path().join("rusuden.db");
    let rows = sqlx::SqlitePool::connect(&format!("sqlite://{}", file.display())).await.unwrap();
    let contracts = [
        (1, "individual", "2026-07-25", Some("2026-07-31")),
        (2, "corporate", "2026-07-31", None),
        (3, "individual", "2026-08-01", None),
    ];
    for (n, kind, applied_on, free_until) in contracts {
        let sql = "INSERT INTO contracts (id, line, kind, state, applied_at, applied_on, \
            serial_hash, language, campaign_version, free_until, version) \
            VALUES ($1, $2, $3, 'applied', 0, $4, $1, 'ja', $5, $6, 1)";
        sqlx::query(sql)
            .bind(id(n))
            .bind(format!("+8190{n:08}"))
            .bind(kind)
            .bind(applied_on)
            .bind(free_until.map(|_| 1_i64))
            .bind(free_until)
            .execute(&rows)
            .await
            .unwrap();
    }
    rows.close().await;
    (folder, centre)
}

async fn bytes(centre: &Centre, path: &str, accept: Option<&str>) -> (u16, Vec<u8>) {
    let mut request = centre.request("GET", path);
    if let Some(accept) = accept {
        request = request.header(ACCEPT, accept);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.bytes().await.unwrap().to_vec())
}

fn records(csv: &[u8]) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_reader(csv);
    reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

#[tokio::test]
async fn s21_a_month_is_exported_as_csv_and_json_with_a_line_for_each_contract() {
    let (_folder, centre) = centre().await;
    let (status, csv) = bytes(&centre, &format!("{JULY}.csv"), None).await;
    assert_eq!(status, 200);
    let rows = records(&csv);
    assert_eq!(rows.len(), 2, "the third applied in August");
    assert_eq!(rows[0][1..5], [id(1), "+819000000001".into(), "individual".into(), "free".into()]);
    assert_eq!((rows[0][13].as_str(), rows[1][13].as_str()), ("0", "319"), "S17, S58, S65");
    assert_eq!(bytes(&centre, JULY, Some("text/csv")).await, (200, csv));
    let (status, bill) = centre.get(JULY).await;
    assert_eq!((status, &bill["totals"]["total_yen"]), (200, &319.into()), "{bill}");
    assert_eq!(
        (&bill["lines"][0]["contract"], &bill["lines"][0]["until"]),
        (&id(1).into(), &"2026-07-31".into())
    );
    let (status, problem) = bytes(&centre, JULY, Some("image/png")).await;
    let problem: Value = serde_json::from_slice(&problem).unwrap();
    assert_eq!((status, &problem["code"]), (406, &"not_acceptable".into()));
    for path in ["2026-13", "2026-07.xml", "2026-7", "1999-12", "x"] {
        assert_eq!(centre.get(&format!("/v1/billing/months/{path}")).await.0, 400, "{path}");
    }
    centre.stop().await;
}

#[tokio::test]
async fn s21_a_closed_month_gives_the_same_bytes_for_ever() {
    let (folder, centre) = centre().await;
    let paths = [format!("{JULY}.csv"), format!("{JULY}.json")];
    let mut before = Vec::new();
    for path in &paths {
        before.push(bytes(&centre, path, None).await.1);
    }
    let (status, problem) = centre.json("POST", &format!("{AUGUST}/close"), Value::Null).await;
    assert_eq!((status, &problem["code"]), (409, &"earlier_month_open".into()), "{problem}");
    let (status, closed) = centre.json("POST", &format!("{JULY}/close"), Value::Null).await;
    assert_eq!((status, &closed["lines"], &closed["total_yen"]), (200, &2.into(), &319.into()));
    assert_eq!(closed["csv"]["sha256"], hex::encode(Sha256::digest(&before[0])));
    let again = centre.json("POST", &format!("{JULY}/close"), Value::Null).await;
    assert_eq!(again, (200, closed.clone()));

    // A contract that is changed afterwards, and a start of the service anew.
    let cancel = format!("/v1/contracts/{}/cancellation", id(1));
    let (status, cancelled) = centre.json("POST", &cancel, Value::Null).await;
    assert_eq!(status, 200, "{cancelled}");
    centre.stop().await;
    let centre = Centre::open(folder.path(), PlaneConfig::default()).await;
    for (path, before) in paths.iter().zip(&before) {
        assert_eq!(bytes(&centre, path, None).await, (200, before.clone()), "{path}");
    }
    let response = centre.request("GET", &paths[0]).send().await.unwrap();
    let headers = response.headers().clone();
    assert_eq!(
        (&headers["month-state"], &headers["etag"]),
        (
            &"closed".parse().unwrap(),
            &format!("{:?}", closed["csv"]["sha256"].as_str().unwrap()).parse().unwrap()
        )
    );
    assert!(headers["repr-digest"].to_str().unwrap().starts_with("sha-256=:"));
    let known = centre.request("GET", &paths[0]).header("if-none-match", &headers["etag"]);
    assert_eq!(known.send().await.unwrap().status(), 304);
    let (_, months) = centre.get("/v1/billing/months").await;
    assert_eq!((&months["items"][0], &months["next"]), (&closed, &Value::Null));
    centre.stop().await;
}

/// S21: a bill that is kept in several parts is one whole. `BILL_CONTRACTS=1000000` makes it a
/// figure of how long closing takes.
#[tokio::test]
async fn s21_a_bill_of_many_parts_is_whole() {
    let contracts: u32 =
        std::env::var("BILL_CONTRACTS").map_or(10_000, |text| text.parse().unwrap());
    let (folder, centre) = centre().await;
    let file = folder.path().join("rusuden.db");
    let rows = sqlx::SqlitePool::connect(&format!("sqlite://{}", file.display())).await.unwrap();
    let many = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) \
        INSERT INTO contracts (id, line, kind, state, applied_at, applied_on, serial_hash, \
        language, version) SELECT printf('01980000-0000-7000-9000-%012d', i), \
        printf('+8180%08d', i), 'individual', 'applied', 0, '2026-07-01', i, 'ja', 1 FROM n";
    sqlx::query(many).bind(contracts).execute(&rows).await.unwrap();
    rows.close().await;
    let mut before = Vec::new();
    for path in [format!("{JULY}.csv"), format!("{JULY}.json")] {
        before.push(bytes(&centre, &path, None).await.1);
    }
    let (status, closed) = centre.json("POST", &format!("{JULY}/close"), Value::Null).await;
    assert_eq!((status, &closed["lines"]), (200, &json!(contracts + 2)));
    for (format, before) in ["csv", "json"].iter().zip(&before) {
        assert!(before.len() > 1_024 * 1_024, "it has more than one part");
        let (status, after) = bytes(&centre, &format!("{JULY}.{format}"), None).await;
        assert_eq!((status, after == *before), (200, true), "{format} is as it was");
        assert_eq!(closed[*format]["sha256"], hex::encode(Sha256::digest(&after)));
        assert_eq!(closed[*format]["bytes"], json!(after.len()));
    }
    assert_eq!(records(&before[0]).len(), contracts as usize + 2);
    let bill: Value = serde_json::from_slice(&before[1]).unwrap();
    assert_eq!(bill["lines"].as_array().unwrap().len(), contracts as usize + 2);
    centre.stop().await;
}

#[tokio::test]
async fn s21_a_correction_lands_in_the_next_open_month() {
    let (_folder, centre) = centre().await;
    let path = format!("{JULY}/adjustments");
    let body = json!({"contract": id(2), "net_yen": -290, "reason": "Charged in error"});
    let (status, problem) = centre.json("POST", &path, body.clone()).await;
    assert_eq!((status, &problem["code"]), (409, &"month_open".into()), "{problem}");
    assert_eq!(centre.json("POST", &format!("{JULY}/close"), Value::Null).await.0, 200);
    let (_, before) = bytes(&centre, &format!("{JULY}.json"), None).await;

    let send = async |body: &Value| {
        let request = centre.request("POST", &path).header("content-type", "application/json");
        let request = request.header("idempotency-key", "\"1\"").body(body.to_string());
        read(request.send().await.unwrap()).await
    };
    let (status, made) = send(&body).await;
    assert_eq!((status, &made["lands_in"]), (201, &"2026-08".into()), "{made}");
    assert_eq!(send(&body).await, (201, made.clone()), "the same request");
    let mut other = body.clone();
    other["net_yen"] = json!(-100);
    assert_eq!(send(&other).await.0, 422);
    let (_, bill) = centre.get(AUGUST).await;
    assert_eq!(bill["lines"][1]["adjustments"][0]["id"], made["id"]);
    assert_eq!(
        (&bill["lines"][1]["net_yen"], &bill["totals"]["net_yen"]),
        (&0.into(), &580.into())
    );
    assert_eq!(bytes(&centre, &format!("{JULY}.json"), None).await.1, before);

    let unknown = json!({"contract": id(9), "net_yen": 1, "reason": "x"});
    let (status, problem) = centre.json("POST", &path, unknown).await;
    assert_eq!((status, &problem["code"]), (404, &"not_found".into()), "{problem}");
    let table = [
        ("net_yen", json!(0)),
        ("net_yen", json!(1_000_001)),
        ("reason", json!(" ")),
        ("contract", json!("2")),
    ];
    for (field, value) in table {
        let mut bad = body.clone();
        bad[field] = value;
        let (status, problem) = centre.json("POST", &path, bad).await;
        assert_eq!((status, &problem["field"]), (422, &field.into()), "{problem}");
    }
    centre.stop().await;
}

#[tokio::test]
async fn a_month_that_is_not_over_cannot_be_closed() {
    let (_folder, centre) = centre().await;
    let (status, problem) =
        centre.json("POST", "/v1/billing/months/2999-12/close", Value::Null).await;
    assert_eq!((status, &problem["code"]), (409, &"month_not_over".into()), "{problem}");
    let (status, problem) =
        centre.json("POST", "/v1/billing/months/2026-06/close", Value::Null).await;
    assert_eq!((status, &problem["code"]), (409, &"before_first_month".into()), "{problem}");
    centre.stop().await;
}

#[tokio::test]
async fn s22_s23_usage_lists_the_contracts_of_a_month_in_pages() {
    let (_folder, centre) = centre().await;
    let (status, page) = centre.get(&format!("{AUGUST}/usage?limit=2")).await;
    assert_eq!((status, page["items"].as_array().unwrap().len()), (200, 2), "{page}");
    let expected = json!({"contract": id(1), "calls": 0, "call_ms": 0, "units": 0,
        "cost_yen": 0, "cost_with_tax_yen": 0});
    assert_eq!(page["items"][0], expected);
    let next = page["next"].as_str().unwrap();
    let (_, rest) = centre.get(&format!("{AUGUST}/usage?limit=2&cursor={next}")).await;
    assert_eq!((&rest["items"][0]["contract"], &rest["next"]), (&id(3).into(), &Value::Null));
    centre.stop().await;
}

#[tokio::test]
async fn bills_need_their_scopes() {
    let (_folder, centre) = centre().await;
    let keys = centre.plane.keys();
    let (_, secret) = keys.create_key("reader", &[Scope::BillingRead]).await.unwrap();
    let close = format!("{JULY}/close");
    for (method, path, wanted) in [("GET", JULY, 200), ("POST", close.as_str(), 403)] {
        assert_eq!(centre.with(&secret).json(method, path, Value::Null).await.0, wanted, "{path}");
    }
    centre.stop().await;
}
