//! Forwarding guides over REST, and what the service asks of phones.

use serde_json::{Value, json};

use crate::support::Centre;

async fn get(centre: &Centre, path: &str) -> (u16, Value) {
    centre.anyone().get(path).await
}

#[tokio::test]
async fn s40_guides_are_listed_and_shown_without_a_key() {
    let (_folder, centre) = Centre::running().await;
    let (status, list) = get(&centre, "/v1/guides").await;
    assert_eq!(status, 200, "{list}");
    let carriers: Vec<_> = list["items"].as_array().unwrap().iter().collect();
    let about = |item: &Value| {
        let text = |name: &str| item[name].as_str().unwrap().to_owned();
        (text("carrier"), text("kind"), item["verified"].as_bool().unwrap(), text("as_of"))
    };
    let wanted = [
        ("docomo", "voice_guidance", true, "2022-11"),
        ("rakuten-au", "auto_dial", true, "2022-11"),
        ("softbank", "generic", false, "2026-11"),
        ("rakuten", "generic", false, "2026-11"),
        ("other", "generic", false, "2026-11"),
    ];
    let wanted = wanted.map(|(c, k, v, a)| (c.to_owned(), k.to_owned(), v, a.to_owned()));
    assert_eq!(carriers.into_iter().map(about).collect::<Vec<_>>(), wanted);
    let (_, english) = get(&centre, "/v1/guides?language=en").await;
    assert_eq!(english["items"][1]["name"], "Rakuten Mobile, au line");
    centre.stop().await;
}

/// S41: docomo. S42–S46: the au line of Rakuten Mobile, dialled by the app.
#[tokio::test]
async fn s41_s42_a_guide_fills_in_the_number_and_gives_a_link_to_dial() {
    let (_folder, centre) = Centre::running().await;
    let (status, guide) = get(&centre, "/v1/guides/rakuten-au?number=05012345678").await;
    assert_eq!(status, 200, "{guide}");
    assert_eq!((&guide["number"], &guide["kind"]), (&"+815012345678".into(), &"auto_dial".into()));
    assert_eq!(guide["number_shown"], "050-1234-5678");
    assert_eq!(guide["steps"].as_array().unwrap().len(), 3);
    assert_eq!(guide["steps"][0]["tel"], "tel:142205012345678");
    assert!(guide["steps"][0]["text"].as_str().unwrap().contains("「設定する」"));
    assert_eq!(guide["steps"][1]["tel"], Value::Null);

    let (_, guide) = get(&centre, "/v1/guides/docomo?number=050-1234-5678&language=en").await;
    assert_eq!(guide["steps"][0]["tel"], "tel:1429");
    let step = guide["steps"][1]["text"].as_str().unwrap();
    assert!(step.contains("voice") && step.contains("050-1234-5678"), "{step}");

    let (_, guide) = get(&centre, "/v1/guides/other?number=%2B815012345678").await;
    let step = &guide["steps"][1];
    assert_eq!(step["dial"], "**61*05012345678**15#");
    assert_eq!(step["tel"], "tel:%2A%2A61%2A05012345678%2A%2A15%23");

    let (_, guide) = get(&centre, "/v1/guides/rakuten-au").await;
    assert_eq!((&guide["number"], &guide["steps"][0]["tel"]), (&Value::Null, &Value::Null));
    assert!(guide["steps"][0]["text"].as_str().unwrap().contains("050-XXXX-XXXX"));
    centre.stop().await;
}

#[tokio::test]
async fn every_warning_has_its_date_in_both_languages() {
    let (_folder, centre) = Centre::running().await;
    for carrier in ["docomo", "rakuten-au", "softbank", "rakuten", "other"] {
        for language in ["ja", "en"] {
            let path = format!("/v1/guides/{carrier}?language={language}");
            let (_, guide) = get(&centre, &path).await;
            let warnings = guide["warnings"].as_array().unwrap();
            for id in ["charge", "dialling_prefix", "roaming", "live_voicemail"] {
                let warning = warnings.iter().find(|warning| warning["id"] == id).unwrap();
                assert_eq!(warning["as_of"].as_str().unwrap().len(), 7, "{path} {id}");
                assert!(!warning["text"].as_str().unwrap().is_empty());
            }
        }
    }
    centre.stop().await;
}

#[tokio::test]
async fn a_guide_that_is_not_there_and_a_number_that_is_none_are_refused() {
    let (_folder, centre) = Centre::running().await;
    let table = [
        ("/v1/guides/nobody", 404, "not_found"),
        ("/v1/guides/%ff", 400, "malformed_path"),
        ("/v1/guides/docomo?number=09012345678", 400, "malformed_query"),
        ("/v1/guides/docomo?number=0501234567", 400, "malformed_query"),
        ("/v1/guides/docomo?language=fr", 400, "malformed_query"),
        ("/v1/guides?number=05012345678", 400, "malformed_query"),
    ];
    for (path, status, code) in table {
        let (got, problem) = get(&centre, path).await;
        assert_eq!((got, &problem["code"]), (status, &code.into()), "{path}: {problem}");
    }
    centre.stop().await;
}

/// S47–S51.
#[tokio::test]
async fn s47_capabilities_say_what_a_phone_must_have_and_as_of_when() {
    let (_folder, centre) = Centre::running().await;
    let (_, offers) = get(&centre, "/v1/capabilities").await;
    let app = json!({"android_min": "6.0", "ios_min": "13", "size_mb": 40,
        "memory": "os_recommended", "as_of": "2022-11"});
    assert_eq!(offers["app"], app);
    assert_eq!(offers["forwarding_charge"]["as_of"], "2022-11");
    assert_eq!(offers["guides"][0], "docomo");
    centre.stop().await;
}
